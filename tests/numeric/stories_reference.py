#!/usr/bin/env python3
"""Makes golden/numeric/stories: what the six Stories kernels compute, found without milgen.

`truth` functions are the mathematics of include/milgen/kernels/stories.h, `rounded` functions the
kernels op by op (kernel_goldens.py).

    stories_reference.py            writes the files
    stories_reference.py --check    makes them again and compares them byte for byte; exit code 3
                                    when one differs
"""

import dataclasses
import sys

sys.dont_write_bytecode = True

from arithmetic import np, product, running_sum, sigmoid
from half_ops import (
    attention_bwd1,
    attention_probs,
    heads_of,
    joined,
    rms_norm,
    rounded_attention_bwd1,
    rounded_attention_probs,
    rounded_rms_norm,
    rounded_scale,
    swap,
)
from kernel_goldens import Case, channels, gain, projection, run


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    dim: int
    hidden: int
    heads: int
    seq: int
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads


CONFIGS = (Config("small", 64, 160, 2, 32), Config("stories110m", 768, 2048, 12, 256))

# ---------------------------------------------------------------------------------------------
# Truth. Tensors are laid out as half_ops.py has them; weights are [channels out, channels in].


def attention(q, k, v, c):
    q, k, v = (heads_of(t, c.heads) for t in (q, k, v))
    return joined(product(attention_probs(q, k), v))


def attention_block(xn, w, c):
    """From the normalised input: of, qf, kf, vf, af."""
    q, k, v = (product(w[name], xn) for name in ("wq", "wk", "wv"))
    af = attention(q, k, v, c)
    return product(w["wo"], af), q, k, v, af


def sdpa_fwd_taps(x, w, c):
    xn = rms_norm(x, w["rms1"], c.eps)
    return (*attention_block(xn, w, c), xn)


def gated(h1, h3):
    return h1 * sigmoid(h1) * h3


def feed_forward(xn, w, c):
    """From the normalised input: y, h1, h3, gate."""
    h1, h3 = product(w["w1"], xn), product(w["w3"], xn)
    gate = gated(h1, h3)
    return product(w["w2"], gate), h1, h3, gate


def ffn_fwd_taps(x, w, c):
    xn = rms_norm(x, w["rms2"], c.eps)
    return (*feed_forward(xn, w, c), xn)


def ffn_bwd(x, w, c):
    """y = W2 (silu(h1) h3), h1 = W1 xn, h3 = W3 xn; dffn is the gradient at y."""
    dffn, h1, h3 = np.split(x, [c.dim, c.dim + c.hidden])
    sig = sigmoid(h1)
    dgate = product(w["w2t"], dffn)
    dh1 = dgate * h3 * (sig + h1 * sig * (1 - sig))
    dh3 = dgate * h1 * sig
    return product(w["w1t"], dh1) + product(w["w3t"], dh3), dh1, dh3


def sdpa_bwd1(x, w, c):
    """af_i = sum_j p_ij v_j and of = Wo af; dx2 is the gradient at of."""
    q, k, v, dx2 = np.split(x, 4)
    return attention_bwd1(*(heads_of(t, c.heads) for t in (q, k, v, product(w["wot"], dx2))))


def sdpa_bwd2(x, w, c):
    """The Jacobian of softmax, then that of q_i . k_j / sqrt(d)."""
    scores = c.heads * c.seq
    probs, dp, q, k = np.split(x, [scores, 2 * scores, 2 * scores + c.dim])
    probs, dp = (flat.reshape(c.heads, c.seq, c.seq) for flat in (probs, dp))
    ds = probs * (dp - running_sum(probs * dp, -1)) / np.sqrt(np.float64(c.head_dim))
    dq = product(ds, heads_of(k, c.heads))
    dk = product(swap(ds), heads_of(q, c.heads))
    return joined(dq), joined(dk)


def qkv_bwd(x, w, c):
    dq, dk, dv = np.split(x, 3)
    return (product(w["wqt"], dq) + product(w["wkt"], dk) + product(w["wvt"], dv),)


# ---------------------------------------------------------------------------------------------
# Rounded.


def rounded_sdpa_fwd_taps(ops, x, w, c):
    xn = rounded_rms_norm(ops, x, w["rms1"], c.eps)
    q, k, v = (ops.conv(w[name], xn) for name in ("wq", "wk", "wv"))
    probs = rounded_attention_probs(ops, heads_of(q, c.heads), heads_of(k, c.heads))
    af = joined(ops.matmul(probs, heads_of(v, c.heads)))
    return ops.conv(w["wo"], af), q, k, v, af, xn


def rounded_feed_forward(ops, xn, w):
    h1, h3 = ops.conv(w["w1"], xn), ops.conv(w["w3"], xn)
    gate = ops.mul(ops.mul(h1, ops.sigmoid(h1)), h3)
    return ops.conv(w["w2"], gate), h1, h3, gate


def rounded_ffn_fwd_taps(ops, x, w, c):
    xn = rounded_rms_norm(ops, x, w["rms2"], c.eps)
    return (*rounded_feed_forward(ops, xn, w), xn)


def rounded_ffn_bwd(ops, x, w, c):
    dffn, h1, h3 = np.split(x, [c.dim, c.dim + c.hidden])
    dsilu = ops.conv(w["w2t"], dffn)
    sig = ops.sigmoid(h1)
    dsd = ops.mul(sig, ops.add(1.0, ops.mul(h1, ops.sub(1.0, sig))))
    dh1 = ops.mul(ops.mul(dsilu, h3), dsd)
    dh3 = ops.mul(dsilu, ops.mul(h1, sig))
    return ops.add(ops.conv(w["w1t"], dh1), ops.conv(w["w3t"], dh3)), dh1, dh3


def rounded_sdpa_bwd1(ops, x, w, c):
    q, k, v, dx2 = np.split(x, 4)
    da = ops.conv(w["wot"], dx2)
    return rounded_attention_bwd1(ops, *(heads_of(t, c.heads) for t in (q, k, v, da)))


def rounded_sdpa_bwd2(ops, x, w, c):
    scores = c.heads * c.seq
    probs, dp, q, k = np.split(x, [scores, 2 * scores, 2 * scores + c.dim])
    probs, dp = (flat.reshape(c.heads, c.seq, c.seq) for flat in (probs, dp))
    row_sum = ops.reduce_sum(ops.mul(probs, dp), -1)
    ds = ops.mul(ops.mul(probs, ops.sub(dp, row_sum)), rounded_scale(c.head_dim))
    dq = ops.matmul(ds, heads_of(k, c.heads))
    dk = ops.matmul(swap(ds), heads_of(q, c.heads))
    return joined(dq), joined(dk)


def rounded_qkv_bwd(ops, x, w, c):
    dq, dk, dv = np.split(x, 3)
    first = ops.add(ops.conv(w["wqt"], dq), ops.conv(w["wkt"], dk))
    return (ops.add(first, ops.conv(w["wvt"], dv)),)


# ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kernel:
    truth: object
    rounded: object
    weights: str  # name:rows:columns each, the latter two attributes of Config
    inputs: str  # channels of the input, in terms of the configuration
    parts: str  # what stands side by side in the output
    sizes: str  # channels of each

    def case(self, c):
        sizes = {"D": c.dim, "H": c.hidden, "NS": c.heads * c.seq}
        count = sum(sizes[word] for word in self.inputs.split())
        out_count = sum(sizes[part] for part in self.sizes.split())
        return Case(
            f"stories/{self.truth.__name__}", c,
            lambda inputs, weights: self.truth(inputs["x"], weights, c),
            lambda ops, inputs, weights: self.rounded(ops, inputs["x"], weights, c),
            inputs=(channels("x", count, c.seq),),
            outputs=(channels("out", out_count, c.seq, parts=self.parts),),
            weights=tuple(self.ports(c)),
        )

    def ports(self, c):
        for word in self.weights.split():
            name, rows, columns = word.split(":")
            if columns == "gain":
                yield gain(name, c.dim)
            else:
                yield projection(name, getattr(c, rows), getattr(c, columns))


KERNELS = (
    Kernel(sdpa_fwd_taps, rounded_sdpa_fwd_taps,
           "rms1:dim:gain wq:dim:dim wk:dim:dim wv:dim:dim wo:dim:dim",
           "D", "of qf kf vf af xn", "D D D D D D"),
    Kernel(ffn_fwd_taps, rounded_ffn_fwd_taps,
           "rms2:dim:gain w1:hidden:dim w3:hidden:dim w2:dim:hidden",
           "D", "y h1 h3 gate xn", "D H H H D"),
    Kernel(ffn_bwd, rounded_ffn_bwd,
           "w2t:hidden:dim w1t:dim:hidden w3t:dim:hidden",
           "D H H", "dx dh1 dh3", "D H H"),
    Kernel(sdpa_bwd1, rounded_sdpa_bwd1, "wot:dim:dim", "D D D D", "dv probs dp", "D NS NS"),
    Kernel(sdpa_bwd2, rounded_sdpa_bwd2, "", "NS NS D D", "dq dk", "D D"),
    Kernel(qkv_bwd, rounded_qkv_bwd, "wqt:dim:dim wkt:dim:dim wvt:dim:dim", "D D D", "dx", "D"),
)

if __name__ == "__main__":
    cases = [kernel.case(c) for c in CONFIGS for kernel in KERNELS]
    run(cases, "stories_reference.py", __doc__)
