#!/usr/bin/env python3
"""The six Stories kernels in numpy, fp32, for bench_cpu; stories_turns.py says how it is driven."""

import sys

sys.dont_write_bytecode = True

from stories_turns import (DIM, EPS, HEAD_DIM, HEADS, HIDDEN, INPUT_CHANNELS, SCORES, SEQ,
                           WEIGHT_SHAPES, take_turns)

try:
    import numpy as np
except ImportError:
    sys.exit("there is no numpy")

RANDOM = np.random.default_rng(7)


def uniform(shape):
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


W = {name: uniform(shape) / np.float32(shape[1] ** 0.5) for name, shape in WEIGHT_SHAPES.items()}
MASK = np.triu(np.full((SEQ, SEQ), -1e4, np.float32), 1)
SCALE = np.float32(HEAD_DIM**-0.5)


def heads_of(x):
    return x.reshape(HEADS, HEAD_DIM, SEQ)


def swap(x):
    return x.transpose(0, 2, 1)


def rms_norm(x, gain):
    mean = np.einsum("cs,cs->s", x, x) / np.float32(DIM)
    return x * (1 / np.sqrt(mean + np.float32(EPS))) * gain


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def attention_probs(q, k):
    scores = swap(heads_of(q)) @ heads_of(k)
    scores *= SCALE
    scores += MASK
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def sdpa_fwd_taps(x):
    xn = rms_norm(x, W["rms1"])
    q, k, v = W["wq"] @ xn, W["wk"] @ xn, W["wv"] @ xn
    af = (heads_of(v) @ swap(attention_probs(q, k))).reshape(DIM, SEQ)
    return np.concatenate([W["wo"] @ af, q, k, v, af, xn])


def ffn_fwd_taps(x):
    xn = rms_norm(x, W["rms2"])
    h1, h3 = W["w1"] @ xn, W["w3"] @ xn
    gate = h1 * sigmoid(h1) * h3
    return np.concatenate([W["w2"] @ gate, h1, h3, gate, xn])


def ffn_bwd(x):
    dffn, h1, h3 = np.split(x, [DIM, DIM + HIDDEN])
    dsilu = W["w2t"] @ dffn
    sig = sigmoid(h1)
    dh1 = dsilu * h3 * (sig * (1 + h1 * (1 - sig)))
    dh3 = dsilu * (h1 * sig)
    return np.concatenate([W["w1t"] @ dh1 + W["w3t"] @ dh3, dh1, dh3])


def sdpa_bwd1(x):
    q, k, v, dx2 = np.split(x, 4)
    da = heads_of(W["wot"] @ dx2)
    probs = attention_probs(q, k)
    dv = da @ probs
    dp = swap(da) @ heads_of(v)
    return np.concatenate([dv.reshape(DIM, SEQ), probs.reshape(-1, SEQ), dp.reshape(-1, SEQ)])


def sdpa_bwd2(x):
    probs, dp, q, k = np.split(x, [SCORES, 2 * SCORES, 2 * SCORES + DIM])
    probs, dp = probs.reshape(HEADS, SEQ, SEQ), dp.reshape(HEADS, SEQ, SEQ)
    rows = np.einsum("hij,hij->hi", probs, dp)[..., None]
    ds = probs * (dp - rows) * SCALE
    dq = heads_of(k) @ swap(ds)
    dk = heads_of(q) @ ds
    return np.concatenate([dq.reshape(DIM, SEQ), dk.reshape(DIM, SEQ)])


def qkv_bwd(x):
    dq, dk, dv = np.split(x, 3)
    return W["wqt"] @ dq + W["wkt"] @ dk + W["wvt"] @ dv


KERNELS = (sdpa_fwd_taps, ffn_fwd_taps, ffn_bwd, sdpa_bwd1, sdpa_bwd2, qkv_bwd)
take_turns({kernel.__name__: kernel for kernel in KERNELS},
           {name: uniform((channels, SEQ)) for name, channels in INPUT_CHANNELS.items()})
