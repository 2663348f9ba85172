#!/usr/bin/env python3
"""Makes golden/numeric/blocks: what the kernels of the set `blocks` compute, found without milgen.

`truth` functions are the mathematics of include/milgen/kernels/blocks.h, `rounded` functions the
kernels op by op (kernel_goldens.py).

    blocks_reference.py            writes the files
    blocks_reference.py --check    makes them again and compares them byte for byte; exit code 3
                                   when one differs
"""

import dataclasses
import sys

sys.dont_write_bytecode = True

import stories_reference as stories
from arithmetic import exp, half, np, product, running_sum, softmax
from half_ops import (
    attention_probs,
    heads_of,
    joined,
    rms_norm,
    rounded_attention_probs,
    rounded_rms_norm,
    swap,
)
from kernel_goldens import Case, Port, channels, gain, projection, run


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    dim: int = 768
    hidden: int = 2048
    heads: int = 12
    kv_heads: int = 12
    seq: int = 256
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads

    @property
    def kv_dim(self):
        return self.kv_heads * self.head_dim


SMALL = Config("small", 64, 160, heads=4, kv_heads=2, seq=32)
STORIES110M = Config("stories110m")

# ---------------------------------------------------------------------------------------------
# Truth: of inputs `i`, weights `w` and configuration.


def split_heads(x, heads, c):
    """An input [1, heads, positions, head_dim]."""
    return x.reshape(heads, c.seq, c.head_dim)


def flat(heads):
    """A row for each head, as an output of such a shape has its channels."""
    return heads.reshape(heads.shape[0], -1)


def repeat(t, c):
    """Each head for all heads of its group."""
    return np.repeat(t, c.heads // c.kv_heads, axis=0)


def sdpa(i, w, c):
    q, k, v = (split_heads(i[name], c.heads, c) for name in "qkv")
    powers = exp(product(q, swap(k)) / np.sqrt(np.float64(c.head_dim)))
    return (flat(product(powers / running_sum(powers, -1), v)),)


def qkv_fwd_rms(i, w, c):
    xn = rms_norm(i["x"], w["rms1"], c.eps)
    return tuple(product(w[name], xn) for name in ("wq", "wk", "wv"))


def x2_of(x, q, k, v, w, c):
    q, k, v = heads_of(q, c.heads), heads_of(k, c.kv_heads), heads_of(v, c.kv_heads)
    attention = joined(product(attention_probs(q, repeat(k, c)), repeat(v, c)))
    return (x + product(w["wo"], attention),)


def sdpa_fwd_x2(i, w, c):
    return x2_of(i["x"], *qkv_fwd_rms(i, w, c), w, c)


def sdpa_apply(i, w, c):
    return x2_of(i["x"], *np.split(i["qkv"], [c.dim, c.dim + c.kv_dim]), w, c)


def ffn_fwd(i, w, c):
    return stories.feed_forward(i["x"], w, c)[:1]


def ffn_fwd_rms(i, w, c):
    return stories.feed_forward(rms_norm(i["x"], w["rms2"], c.eps), w, c)[:1]


def square_of_relu(h1):
    return np.maximum(h1, 0) ** 2


def relu2(x, w):
    h1 = product(w["w1"], x)
    return product(w["w2"], square_of_relu(h1)), h1


def ffn_fwd_relu2(i, w, c):
    return relu2(i["x"], w)[:1]


def ffn_fwd_taps_relu2(i, w, c):
    return relu2(rms_norm(i["x"], w["rms2"], c.eps), w)


def ffn_fwd_rms_relu2(i, w, c):
    return ffn_fwd_taps_relu2(i, w, c)[:1]


def ffn_bwd_relu2(i, w, c):
    dh1 = np.where(i["h1"] > 0, 2 * i["h1"], 0) * product(w["w2t"], i["dffn"])
    return product(w["w1t"], dh1), dh1


def rmsnorm(i, w, c):
    return (rms_norm(i["x"], w["rms_w"], c.eps),)


def gqa_expand(i, w, c):
    return (flat(repeat(split_heads(i["x"], c.kv_heads, c), c)),)


def read_state(i, w, c):
    """Also update_state. A state that nothing was stored in is zeros."""
    return (i["x"],)



# ---------------------------------------------------------------------------------------------
# Rounded.


def rounded_sdpa(ops, i, w, c):
    """The op's parts in fp32, its result rounded: it is one op."""
    q, k, v = (split_heads(i[name], c.heads, c) for name in "qkv")
    scores = product(q, swap(k), ops.total) / np.sqrt(np.float64(c.head_dim))
    return (flat(ops.matmul(softmax(scores), v)),)


def rounded_qkv_fwd_rms(ops, i, w, c):
    xn = rounded_rms_norm(ops, i["x"], w["rms1"], c.eps)
    return tuple(ops.conv(w[name], xn) for name in ("wq", "wk", "wv"))


def rounded_x2_of(ops, x, q, k, v, w, c):
    q, k, v = heads_of(q, c.heads), heads_of(k, c.kv_heads), heads_of(v, c.kv_heads)
    probs = rounded_attention_probs(ops, q, repeat(k, c))
    return (ops.add(x, ops.conv(w["wo"], joined(ops.matmul(probs, repeat(v, c))))),)


def rounded_sdpa_fwd_x2(ops, i, w, c):
    return rounded_x2_of(ops, i["x"], *rounded_qkv_fwd_rms(ops, i, w, c), w, c)


def rounded_sdpa_apply(ops, i, w, c):
    return rounded_x2_of(ops, i["x"], *np.split(i["qkv"], [c.dim, c.dim + c.kv_dim]), w, c)


def rounded_ffn_fwd(ops, i, w, c):
    return stories.rounded_feed_forward(ops, i["x"], w)[:1]


def rounded_ffn_fwd_rms(ops, i, w, c):
    return stories.rounded_feed_forward(ops, rounded_rms_norm(ops, i["x"], w["rms2"], c.eps), w)[:1]


def rounded_relu2(ops, x, w):
    h1 = ops.conv(w["w1"], x)
    up = np.maximum(h1, 0)
    return ops.conv(w["w2"], ops.mul(up, up)), h1


def rounded_ffn_fwd_relu2(ops, i, w, c):
    return rounded_relu2(ops, i["x"], w)[:1]


def rounded_ffn_fwd_taps_relu2(ops, i, w, c):
    return rounded_relu2(ops, rounded_rms_norm(ops, i["x"], w["rms2"], c.eps), w)


def rounded_ffn_fwd_rms_relu2(ops, i, w, c):
    return rounded_ffn_fwd_taps_relu2(ops, i, w, c)[:1]


def rounded_ffn_bwd_relu2(ops, i, w, c):
    dh1 = ops.mul(ops.conv(w["w2t"], i["dffn"]), ops.mul(2.0, np.maximum(i["h1"], 0)))
    return ops.conv(w["w1t"], dh1), dh1


def rounded_rmsnorm(ops, i, w, c):
    x, least = i["x"], half(np.sqrt(np.float64(c.eps)))
    s = np.maximum(np.abs(x).max(axis=0, keepdims=True), least)
    z, least_z = half(x / s), half(least / s)
    squares = ops.mul(z, z)
    mean = half(running_sum(squares, 0, ops.total) / c.dim)
    rrms = ops.reciprocal_root(ops.add(mean, ops.mul(least_z, least_z)))
    return (ops.mul(ops.mul(z, rrms), w["rms_w"]),)


def rounded_exactly(truth):
    """Of a kernel that moves values and computes none."""
    return lambda ops, i, w, c: truth(i, w, c)


# ---------------------------------------------------------------------------------------------


def heads_port(name, heads, c):
    return Port(name, (1, heads, c.seq, c.head_dim), heads)


def case(truth, rounded, c, inputs, outputs, weights=(), name=None):
    return Case(
        f"blocks/{name or truth.__name__}", c,
        lambda i, w: truth(i, w, c),
        lambda ops, i, w: rounded(ops, i, w, c),
        inputs=inputs, outputs=outputs, weights=weights,
    )


def cases(c):
    d, h, kv = c.dim, c.hidden, c.kv_dim
    x, out = (channels("x", d, c.seq),), (channels("out", d, c.seq),)
    qkv = (gain("rms1", d), projection("wq", d, d), projection("wk", kv, d),
           projection("wv", kv, d))
    wo = projection("wo", d, d)
    rms2 = gain("rms2", d)
    up, down = projection("w1", h, d), projection("w2", d, h)
    silu = (up, projection("w3", h, d), down)
    tap = (channels("out", d + h, c.seq, parts="y h1"),)
    yield case(sdpa, rounded_sdpa, c, tuple(heads_port(name, c.heads, c) for name in "kqv"),
               (heads_port("out", c.heads, c),))
    yield case(sdpa_fwd_x2, rounded_sdpa_fwd_x2, c, x, out, (*qkv, wo))
    yield case(qkv_fwd_rms, rounded_qkv_fwd_rms, c, x,
               (channels("out", d + 2 * kv, c.seq, parts="q k v"),), qkv)
    yield case(sdpa_apply, rounded_sdpa_apply, c, (channels("qkv", d + 2 * kv, c.seq), *x), out,
               (wo,))
    yield case(ffn_fwd, rounded_ffn_fwd, c, x, out, silu)
    yield case(ffn_fwd_rms, rounded_ffn_fwd_rms, c, x, out, (rms2, *silu))
    yield case(ffn_fwd_relu2, rounded_ffn_fwd_relu2, c, x, out, (up, down))
    yield case(ffn_fwd_rms_relu2, rounded_ffn_fwd_rms_relu2, c, x, out, (rms2, up, down))
    yield case(ffn_fwd_taps_relu2, rounded_ffn_fwd_taps_relu2, c, x, tap, (rms2, up, down))
    yield case(ffn_bwd_relu2, rounded_ffn_bwd_relu2, c,
               (channels("dffn", d, c.seq), channels("h1", h, c.seq)),
               (channels("out", d + h, c.seq, parts="dx dh1"),),
               (projection("w1t", d, h), projection("w2t", h, d)))
    yield case(rmsnorm, rounded_rmsnorm, c, x, out, (gain("rms_w", d),))
    yield case(gqa_expand, rounded_exactly(gqa_expand), c, (heads_port("x", c.kv_heads, c),),
               (heads_port("out", c.heads, c),))
    for name in ("read_state", "update_state"):
        yield case(read_state, rounded_exactly(read_state), c, x, out, name=name)


# At full size, one of each kind: the others are made of the same parts.
LARGE = ("sdpa", "sdpa_fwd_x2", "ffn_fwd_taps_relu2", "ffn_bwd_relu2", "rmsnorm", "gqa_expand")

if __name__ == "__main__":
    large = [case for case in cases(STORIES110M) if case.kernel.removeprefix("blocks/") in LARGE]
    run([*cases(SMALL), *large], "blocks_reference.py", __doc__)
