#!/usr/bin/env python3
"""Forward and backward of one sequence in PyTorch, fp32, for bench_train.

    stories_train_torch.py THREADS LAYERS DIM HIDDEN HEADS SEQ VOCAB

Answers on standard input as stories_turns.py says: "stories" is the model without rotary embedding,
"dynamic" the one with it. Gradients are added to those that are there, as bench_train does.
"""

import sys

sys.dont_write_bytecode = True

from stories_turns import take_turns, thread_count

try:
    import torch
except ImportError:
    sys.exit("there is no torch")

LAYERS, DIM, HIDDEN, HEADS, SEQ, VOCAB = (int(word) for word in sys.argv[2:])
HEAD_DIM = DIM // HEADS
EPS = 1e-5

torch.set_num_threads(thread_count())
torch.manual_seed(7)


def matrix(rows, columns):
    return torch.nn.Parameter((torch.rand(rows, columns) * 2 - 1) / columns**0.5)


def gain():
    return torch.nn.Parameter(torch.ones(DIM))


class Layer:
    def __init__(self):
        self.wq, self.wk, self.wv, self.wo = (matrix(DIM, DIM) for _ in range(4))
        self.w1, self.w2, self.w3 = matrix(HIDDEN, DIM), matrix(DIM, HIDDEN), matrix(HIDDEN, DIM)
        self.rms_att, self.rms_ffn = gain(), gain()


EMBED = matrix(VOCAB, DIM)
MODEL = [Layer() for _ in range(LAYERS)]
RMS_FINAL = gain()
TOKENS, TARGETS = torch.randint(VOCAB, (2, SEQ))
MASK = torch.full((SEQ, SEQ), float("-inf")).triu(1)
ANGLES = torch.outer(torch.arange(SEQ), 10000.0 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM))
COS, SIN = ANGLES.cos(), ANGLES.sin()

linear = torch.nn.functional.linear


def rms_norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * weight


def heads_of(x):
    return x.view(SEQ, HEADS, HEAD_DIM).transpose(0, 1)


def rotated(x):
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * COS - odd * SIN, even * SIN + odd * COS], -1).flatten(-2)


def attention(xn, layer, rotary):
    q, k, v = (heads_of(linear(xn, w)) for w in (layer.wq, layer.wk, layer.wv))
    if rotary:
        q, k = rotated(q), rotated(k)
    scores = torch.baddbmm(MASK, q, k.transpose(1, 2), alpha=HEAD_DIM**-0.5)
    mixed = torch.softmax(scores, -1) @ v
    return linear(mixed.transpose(0, 1).reshape(SEQ, DIM), layer.wo)


def feed_forward(xn, layer):
    return linear(torch.nn.functional.silu(linear(xn, layer.w1)) * linear(xn, layer.w3), layer.w2)


def step(rotary):
    x = EMBED[TOKENS]
    for layer in MODEL:
        x = x + attention(rms_norm(x, layer.rms_att), layer, rotary)
        x = x + feed_forward(rms_norm(x, layer.rms_ffn), layer)
    logits = linear(rms_norm(x, RMS_FINAL), EMBED)
    torch.nn.functional.cross_entropy(logits, TARGETS).backward()


take_turns({"stories": step, "dynamic": step}, {"stories": False, "dynamic": True})
