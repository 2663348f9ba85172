#!/usr/bin/env python3
"""The six Stories kernels in PyTorch, fp32, for bench_cpu; stories_turns.py says how it is driven."""

import sys

sys.dont_write_bytecode = True

from stories_turns import (DIM, EPS, HEAD_DIM, HEADS, HIDDEN, INPUT_CHANNELS, SCORES, SEQ,
                           WEIGHT_SHAPES, take_turns, thread_count)

try:
    import torch
except ImportError:
    sys.exit("there is no torch")

torch.set_num_threads(thread_count())
torch.set_grad_enabled(False)
torch.manual_seed(7)


def uniform(shape):
    return torch.rand(shape) * 2 - 1


W = {name: uniform(shape) / shape[1] ** 0.5 for name, shape in WEIGHT_SHAPES.items()}
MASK = torch.full((SEQ, SEQ), -1e4).triu(1)
SCALE = HEAD_DIM**-0.5


def heads_of(x):
    return x.view(HEADS, HEAD_DIM, SEQ)


def swap(x):
    return x.transpose(1, 2)


def rms_norm(x, gain):
    return x * torch.rsqrt((x * x).mean(0, keepdim=True) + EPS) * gain


def attention_probs(q, k):
    scores = torch.baddbmm(MASK, swap(heads_of(q)), heads_of(k), alpha=SCALE)
    return torch.softmax(scores, -1)


def sdpa_fwd_taps(x):
    xn = rms_norm(x, W["rms1"])
    q, k, v = W["wq"] @ xn, W["wk"] @ xn, W["wv"] @ xn
    af = (heads_of(v) @ swap(attention_probs(q, k))).reshape(DIM, SEQ)
    return torch.cat([W["wo"] @ af, q, k, v, af, xn])


def ffn_fwd_taps(x):
    xn = rms_norm(x, W["rms2"])
    h1, h3 = W["w1"] @ xn, W["w3"] @ xn
    gate = torch.nn.functional.silu(h1) * h3
    return torch.cat([W["w2"] @ gate, h1, h3, gate, xn])


def ffn_bwd(x):
    dffn, h1, h3 = torch.split(x, [DIM, HIDDEN, HIDDEN])
    dsilu = W["w2t"] @ dffn
    sig = torch.sigmoid(h1)
    dh1 = dsilu * h3 * (sig * (1 + h1 * (1 - sig)))
    dh3 = dsilu * (h1 * sig)
    return torch.cat([torch.addmm(W["w1t"] @ dh1, W["w3t"], dh3), dh1, dh3])


def sdpa_bwd1(x):
    q, k, v, dx2 = torch.split(x, DIM)
    da = heads_of(W["wot"] @ dx2)
    probs = attention_probs(q, k)
    dv = da @ probs
    dp = swap(da) @ heads_of(v)
    return torch.cat([dv.reshape(DIM, SEQ), probs.view(-1, SEQ), dp.view(-1, SEQ)])


def sdpa_bwd2(x):
    probs, dp, q, k = torch.split(x, [SCORES, SCORES, DIM, DIM])
    probs, dp = probs.view(HEADS, SEQ, SEQ), dp.view(HEADS, SEQ, SEQ)
    ds = probs * (dp - (probs * dp).sum(-1, keepdim=True)) * SCALE
    dq = heads_of(k) @ swap(ds)
    dk = heads_of(q) @ ds
    return torch.cat([dq.reshape(DIM, SEQ), dk.reshape(DIM, SEQ)])


def qkv_bwd(x):
    dq, dk, dv = torch.split(x, DIM)
    return torch.addmm(torch.addmm(W["wqt"] @ dq, W["wkt"], dk), W["wvt"], dv)


KERNELS = (sdpa_fwd_taps, ffn_fwd_taps, ffn_bwd, sdpa_bwd1, sdpa_bwd2, qkv_bwd)
take_turns({kernel.__name__: kernel for kernel in KERNELS},
           {name: uniform((channels, SEQ)) for name, channels in INPUT_CHANNELS.items()})
