#!/usr/bin/env python3
"""Makes golden/numeric/classifier: what the classifier's kernels compute, found without milgen.

`truth` functions are the mathematics of include/milgen/kernels/classifier.h, `rounded` functions
the kernels op by op (kernel_goldens.py). What has a value for every token of a vocabulary is there
for smaller ones than that of Stories110M, which would make files of a megabyte.

    classifier_reference.py            writes the files
    classifier_reference.py --check    makes them again and compares them byte for byte; exit code
                                       3 when one differs
"""

import dataclasses
import sys

sys.dont_write_bytecode = True

from arithmetic import half, np, product, running_sum, softmax
from half_ops import rms_norm, rounded_reciprocal_rms, rounded_rms_norm, swap
from kernel_goldens import Case, Port, channels, gain, projection, run


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    dim: int
    vocab: int
    seq: int
    eps: float = 1e-5
    most_inner: int = 16384

    @property
    def cuts(self):
        """Where a slice of the vocabulary begins: even ones, in multiples of 32."""
        slices = -(-self.vocab // self.most_inner)
        even = -(-self.vocab // slices)
        size = min(-(-even // 32) * 32, self.most_inner)
        return range(size, self.vocab, size)


SMALL = Config("small", 64, 512, 32, most_inner=200)
MEDIUM = Config("medium", 256, 4096, 64, most_inner=1024)
STORIES = Config("stories110m", 768, 32000, 256)

# ---------------------------------------------------------------------------------------------
# Truth.


def rmsnorm_bwd(x, w, c):
    """out_i = x_i r w_i with r = (mean x^2 + eps)^(-1/2); dy is the gradient at out."""
    dy, x = np.split(x, 2)
    rms = np.sqrt(running_sum(x * x, 0) / c.dim + c.eps)
    dyw = dy * w["rms_w"]
    return dyw / rms - x * running_sum(dyw * x, 0) / (c.dim * rms * rms * rms)


def final_rmsnorm(x, w, c):
    return rms_norm(x, w["rms_w"], c.eps)


def classifier_fwd(x, w, c):
    return product(w["embed"], x)


def classifier_bwd(x, w, c):
    return product(w["embed_t"], x)


def classifier_bwd_split(x, w, c):
    embed_t = np.concatenate([w[f"embed_t_{i}"] for i in range(len(w))], axis=1)
    return product(embed_t, x)


def softmax_vocab(x, w, c):
    return swap(softmax(swap(x)))


# ---------------------------------------------------------------------------------------------
# Rounded.


def rounded_rmsnorm_bwd(ops, x, w, c):
    dy, x = np.split(x, 2)
    rrms = rounded_reciprocal_rms(ops, x, c.eps)
    dyw = ops.mul(dy, w["rms_w"])
    mean = ops.mul(ops.reduce_sum(ops.mul(dyw, x), 0), half(1.0 / c.dim))
    factor = ops.mul(mean, ops.mul(rrms, rrms))
    return ops.mul(ops.sub(dyw, ops.mul(x, factor)), rrms)


def rounded_final_rmsnorm(ops, x, w, c):
    return rounded_rms_norm(ops, x, w["rms_w"], c.eps)


def rounded_classifier_fwd(ops, x, w, c):
    return ops.conv(w["embed"], x)


def rounded_classifier_bwd(ops, x, w, c):
    return ops.matmul(w["embed_t"], x)


def rounded_classifier_bwd_split(ops, x, w, c):
    total = None
    for i, dl in enumerate(np.split(x, c.cuts)):
        part = ops.matmul(w[f"embed_t_{i}"], dl)
        total = part if i == 0 else ops.add(total, part)
    return total


def rounded_softmax_vocab(ops, x, w, c):
    return swap(ops.softmax(swap(x)))


# ---------------------------------------------------------------------------------------------


def embed_t(name, tokens, c):
    return Port(name, (1, c.dim, tokens), c.dim)


def embed_t_slices(c):
    edges = [0, *c.cuts, c.vocab]
    return tuple(
        embed_t(f"embed_t_{i}", end - first, c)
        for i, (first, end) in enumerate(zip(edges, edges[1:]))
    )


def case(truth, rounded, c, in_channels, out_channels, part, weights):
    return Case(
        f"classifier/{truth.__name__}", c,
        lambda inputs, w: (truth(inputs["x"], w, c),),
        lambda ops, inputs, w: (rounded(ops, inputs["x"], w, c),),
        inputs=(channels("x", in_channels, c.seq),),
        outputs=(channels("out", out_channels, c.seq, parts=part),),
        weights=weights,
    )


def norm_cases(c):
    gains = (gain("rms_w", c.dim),)
    yield case(rmsnorm_bwd, rounded_rmsnorm_bwd, c, 2 * c.dim, c.dim, "dx", gains)
    yield case(final_rmsnorm, rounded_final_rmsnorm, c, c.dim, c.dim, "xn", gains)


def vocabulary_cases(c):
    yield case(classifier_fwd, rounded_classifier_fwd, c, c.dim, c.vocab, "logits",
               (projection("embed", c.vocab, c.dim),))
    yield case(classifier_bwd, rounded_classifier_bwd, c, c.vocab, c.dim, "dx",
               (embed_t("embed_t", c.vocab, c),))
    yield case(classifier_bwd_split, rounded_classifier_bwd_split, c, c.vocab, c.dim, "dx",
               embed_t_slices(c))
    yield case(softmax_vocab, rounded_softmax_vocab, c, c.vocab, c.vocab, "probs", ())


if __name__ == "__main__":
    cases = [*norm_cases(SMALL), *vocabulary_cases(SMALL), *norm_cases(MEDIUM),
             *vocabulary_cases(MEDIUM), *norm_cases(STORIES)]
    run(cases, "classifier_reference.py", __doc__)
