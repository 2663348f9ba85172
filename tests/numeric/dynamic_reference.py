#!/usr/bin/env python3
"""Makes golden/numeric/dynamic: what the kernels of the set `dynamic` compute, found without milgen.

`truth` functions are the mathematics of include/milgen/kernels/dynamic.h, `rounded` functions the
kernels op by op (kernel_goldens.py).

    dynamic_reference.py            writes the files
    dynamic_reference.py --check    makes them again and compares them byte for byte; exit code 3
                                    when one differs
"""

import dataclasses
import math
import sys

sys.dont_write_bytecode = True

import stories_reference as stories
from arithmetic import cos_and_sin, exp, half, np, product, running_sum
from half_ops import (
    attention_bwd1,
    attention_probs,
    heads_of,
    joined,
    rounded_attention_bwd1,
    rounded_attention_probs,
)
from kernel_goldens import Case, Port, channels, projection, run


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    dim: int = 768
    hidden: int = 2048
    heads: int = 12
    kv_heads: int = 12
    head_dim: int = 64
    seq: int = 256
    layers: int = 12
    theta: float = 10000
    eps: float = 1e-5
    alpha: float = 0

    @property
    def q_dim(self):
        return self.heads * self.head_dim

    @property
    def kv_dim(self):
        return self.kv_heads * self.head_dim

    @property
    def residual_scale(self):
        return self.alpha or 1 / math.sqrt(2 * self.layers)

    @property
    def attention(self):
        """What the kernels of the stories set know of it."""
        return stories.Config(self.name, self.q_dim, self.hidden, self.heads, self.seq)


SMALL = Config("small", 64, 160, heads=4, kv_heads=2, head_dim=16, seq=32, layers=2)
STORIES110M = Config("stories110m")

# ---------------------------------------------------------------------------------------------
# Truth.


def angles(c):
    """[positions, pairs]"""
    pairs = np.arange(c.head_dim // 2, dtype=np.float64)
    speeds = exp(pairs * (-2 / c.head_dim * math.log(c.theta)))
    return np.arange(c.seq, dtype=np.float64)[:, None] * speeds


def rotate(t, c, direction=1):
    """t: [heads, positions, head_dim]; each pair of neighbours is turned in its plane."""
    cos, sin = cos_and_sin(direction * angles(c))
    out = np.empty_like(t)
    out[..., 0::2] = t[..., 0::2] * cos - t[..., 1::2] * sin
    out[..., 1::2] = t[..., 0::2] * sin + t[..., 1::2] * cos
    return out


def repeat(t, c):
    """Head h becomes the heads of group h."""
    return np.repeat(t, c.heads // c.kv_heads, axis=0)


def norm_of_heads(t, gain, c):
    mean_square = running_sum(t * t, -1) / c.head_dim
    return t / np.sqrt(mean_square + c.eps) * gain


def attend(q, k, v, c):
    """q and k turned. Channels."""
    q, k, v = heads_of(q, c.heads), heads_of(k, c.kv_heads), heads_of(v, c.kv_heads)
    return joined(product(attention_probs(q, repeat(k, c)), repeat(v, c)))


def sdpa_fwd(i, w, c):
    q = heads_of(product(w["wq"], i["x"]), c.heads)
    k = heads_of(product(w["wk"], i["x"]), c.kv_heads)
    if "q_norm" in w:
        q, k = norm_of_heads(q, w["q_norm"], c), norm_of_heads(k, w["k_norm"], c)
    q, k, v = joined(rotate(q, c)), joined(rotate(k, c)), product(w["wv"], i["x"])
    return attend(q, k, v, c), q, k, v, i["x"]


def ffn_fused(i, w, c):
    ffn, *taps = stories.feed_forward(i["xn"], w, c)
    return (i["x2"] + c.residual_scale * ffn, *taps)


def ffn_bwd_w13t(i, w, c):
    return (product(w["w1t"], i["dh1"]) + product(w["w3t"], i["dh3"]),)


def sdpa_bwd1(i, w, c):
    return attention_bwd1(*(heads_of(t, c.heads) for t in np.split(i["x"], 4)))


def sdpa_bwd2(i, w, c):
    return stories.sdpa_bwd2(i["x"], w, c.attention)


def kv_bwd(i, w, c):
    return (product(w["wkt"], i["dk"]) + product(w["wvt"], i["dv"]),)


# ---------------------------------------------------------------------------------------------
# Rounded.


def rounded_rotate(ops, t, c):
    cos, sin = (half(np.repeat(table, 2, axis=1)) for table in cos_and_sin(angles(c)))
    swapped = np.empty_like(t)
    swapped[..., 0::2], swapped[..., 1::2] = -t[..., 1::2], t[..., 0::2]
    return ops.add(ops.mul(t, cos), ops.mul(swapped, sin))


def rounded_norm_of_heads(ops, t, gain, c):
    mean = ops.mul(ops.reduce_sum(ops.mul(t, t), -1), half(1.0 / c.head_dim))
    rrms = ops.reciprocal_root(ops.add(mean, half(c.eps)))
    return ops.mul(ops.mul(t, rrms), gain)


def rounded_sdpa_fwd(ops, i, w, c):
    q = heads_of(ops.conv(w["wq"], i["x"]), c.heads)
    k = heads_of(ops.conv(w["wk"], i["x"]), c.kv_heads)
    v = ops.conv(w["wv"], i["x"])
    if "q_norm" in w:
        q = rounded_norm_of_heads(ops, q, w["q_norm"], c)
        k = rounded_norm_of_heads(ops, k, w["k_norm"], c)
    q, k = rounded_rotate(ops, q, c), rounded_rotate(ops, k, c)
    probs = rounded_attention_probs(ops, q, repeat(k, c))
    attn = ops.matmul(probs, repeat(heads_of(v, c.kv_heads), c))
    return joined(attn), joined(q), joined(k), v, i["x"]


def rounded_ffn_fused(ops, i, w, c):
    ffn, *taps = stories.rounded_feed_forward(ops, i["xn"], w)
    return (ops.add(i["x2"], ops.mul(ffn, half(c.residual_scale))), *taps)


def rounded_ffn_bwd_w13t(ops, i, w, c):
    return (ops.add(ops.conv(w["w1t"], i["dh1"]), ops.conv(w["w3t"], i["dh3"])),)


def rounded_sdpa_bwd1(ops, i, w, c):
    return rounded_attention_bwd1(ops, *(heads_of(t, c.heads) for t in np.split(i["x"], 4)))


def rounded_sdpa_bwd2(ops, i, w, c):
    return stories.rounded_sdpa_bwd2(ops, i["x"], w, c.attention)


def rounded_kv_bwd(ops, i, w, c):
    return (ops.add(ops.conv(w["wkt"], i["dk"]), ops.conv(w["wvt"], i["dv"])),)


# ---------------------------------------------------------------------------------------------


def of_heads(name, c):
    return Port(name, (1, 1, 1, c.head_dim), 1, formula="near_one")


def projection_case(kernel, weight, out, inner, c):
    return Case(
        f"dynamic/{kernel}", c,
        lambda i, w: (product(w[weight], i["x"]),),
        lambda ops, i, w: (ops.conv(w[weight], i["x"]),),
        inputs=(channels("x", inner, c.seq),),
        outputs=(channels("out", out, c.seq),),
        weights=(projection(weight, out, inner),),
    )


def case(truth, rounded, c, inputs, outputs, weights=(), name=None):
    """`inputs` and `outputs`: channels by name."""
    return Case(
        f"dynamic/{name or truth.__name__}", c,
        lambda i, w: truth(i, w, c),
        lambda ops, i, w: rounded(ops, i, w, c),
        inputs=tuple(channels(name, count, c.seq) for name, count in inputs.items()),
        outputs=(channels("out", sum(outputs.values()), c.seq, parts=" ".join(outputs)),),
        weights=tuple(weights),
    )


def cases(c):
    d, h, q, kv, scores = c.dim, c.hidden, c.q_dim, c.kv_dim, c.heads * c.seq
    qkv = (projection("wq", q, d), projection("wk", kv, d), projection("wv", kv, d))
    attention = {"attn": q, "q_rope": q, "k_rope": kv, "v": kv, "xn": d}
    yield case(sdpa_fwd, rounded_sdpa_fwd, c, {"x": d}, attention, qkv)
    yield case(sdpa_fwd, rounded_sdpa_fwd, c, {"x": d}, attention,
               (*qkv, of_heads("q_norm", c), of_heads("k_norm", c)), name="sdpa_fwd_qk_norm")
    yield projection_case("wo_fwd", "wo", d, q, c)
    yield case(ffn_fused, rounded_ffn_fused, c, {"x2": d, "xn": d},
               {"y": d, "h1": h, "h3": h, "gate": h},
               (projection("w1", h, d), projection("w3", h, d), projection("w2", d, h)))
    yield projection_case("ffn_bwd_w2t", "w2t", h, d, c)
    yield case(ffn_bwd_w13t, rounded_ffn_bwd_w13t, c, {"dh1": h, "dh3": h}, {"dx": d},
               (projection("w1t", d, h), projection("w3t", d, h)))
    yield projection_case("wot_bwd", "wot", q, d, c)
    yield case(sdpa_bwd1, rounded_sdpa_bwd1, c, {"x": 4 * q},
               {"dv": q, "probs": scores, "dp": scores})
    yield case(sdpa_bwd2, rounded_sdpa_bwd2, c, {"x": 2 * scores + 2 * q}, {"dq": q, "dk": q})
    yield projection_case("q_bwd", "wqt", d, q, c)
    yield case(kv_bwd, rounded_kv_bwd, c, {"dk": kv, "dv": kv}, {"dx": d},
               (projection("wkt", d, kv), projection("wvt", d, kv)))


if __name__ == "__main__":
    run([*cases(SMALL), *cases(STORIES110M)], "dynamic_reference.py", __doc__)
