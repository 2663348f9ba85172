#!/usr/bin/env python3
"""Holds the backward kernels' truth functions against central differences of the forward ones.

In float64 on a configuration so small that every element is moved. ffn_bwd and qkv_bwd give the
gradient at xn, the normalised input, and not at x; sdpa_bwd1 and sdpa_bwd2 give one together: dV
comes from the first, dQ and dK from the second, which is fed with the first one's probs and dP.
Exit code 3 when a relative error is 1e-6 or more.
"""

import sys

sys.dont_write_bytecode = True

from arithmetic import np, product
from seeded import signed_unit
from stories_reference import (
    Config,
    attention,
    attention_block,
    feed_forward,
    ffn_bwd,
    gated,
    qkv_bwd,
    rms_norm,
    sdpa_bwd1,
    sdpa_bwd2,
)

C = Config("gradient", dim=16, hidden=24, heads=2, seq=8)
SEED = 7
STEP = 1e-3
LARGEST_ERROR = 1e-6


def central_differences(loss, x):
    """The gradient of a scalar function, of fourth order in the step."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()

        def at(steps):
            moved[index] = x[index] + steps * STEP
            return loss(moved)

        gradient[index] = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP)
    return gradient


def difference(got, want):
    """Largest difference, in units of the largest element."""
    return float(np.max(np.abs(got - want)) / np.max(np.abs(want)))


class Report:
    def __init__(self):
        self.failed = False

    def equal(self, what, got, want):
        error = difference(got, want)
        good = error < LARGEST_ERROR
        self.failed |= not good
        print(f"{what}: relative error {error:.1e}{'' if good else ', which is TOO LARGE'}")

    def differ(self, what, got, want):
        error = difference(got, want)
        good = error > 0.01
        self.failed |= not good
        print(f"{what}: differ by {error:.1e}{'' if good else ', which is TOO LITTLE'}")


def random(name, *shape):
    return signed_unit(name, SEED, shape)


def check_feed_forward(report):
    w = {name: random(name, *shape) for name, shape in
         (("w1", (C.hidden, C.dim)), ("w3", (C.hidden, C.dim)), ("w2", (C.dim, C.hidden)))}
    w |= {name + "t": w[name].T for name in ("w1", "w2", "w3")}
    x, dffn = random("x", C.dim, C.seq), random("dffn", C.dim, C.seq)
    gain = 1 + random("gain", C.dim, 1) / 10
    xn = rms_norm(x, gain, C)
    _, h1, h3, _ = feed_forward(xn, w, C)
    dx, dh1, dh3 = ffn_bwd(np.concatenate([dffn, h1, h3]), w, C)

    def loss(xn):
        return np.sum(dffn * feed_forward(xn, w, C)[0])

    def loss_of_gate(h1, h3):
        return np.sum(dffn * product(w["w2"], gated(h1, h3)))

    report.equal("ffn_bwd dx, at xn", dx, central_differences(loss, xn))
    report.equal("ffn_bwd dh1", dh1, central_differences(lambda h: loss_of_gate(h, h3), h1))
    report.equal("ffn_bwd dh3", dh3, central_differences(lambda h: loss_of_gate(h1, h), h3))
    at_x = central_differences(lambda x: loss(rms_norm(x, gain, C)), x)
    report.differ("ffn_bwd dx and the gradient at x", dx, at_x)


def check_attention(report):
    w = {name: random(name, C.dim, C.dim) for name in ("wq", "wk", "wv", "wo")}
    w |= {name + "t": w[name].T for name in ("wq", "wk", "wv", "wo")}
    x, dx2 = random("x", C.dim, C.seq), random("dx2", C.dim, C.seq)
    gain = 1 + random("gain", C.dim, 1) / 10
    xn = rms_norm(x, gain, C)
    _, q, k, v, _ = attention_block(xn, w, C)
    dv, probs, dp = sdpa_bwd1(np.concatenate([q, k, v, dx2]), w, C)
    dq, dk = sdpa_bwd2(np.concatenate([probs, dp, q, k]), w, C)
    (dx,) = qkv_bwd(np.concatenate([dq, dk, dv]), w, C)

    def loss_of(q, k, v):
        return np.sum(dx2 * product(w["wo"], attention(q, k, v, C)))

    def loss(xn):
        return np.sum(dx2 * attention_block(xn, w, C)[0])

    report.equal("sdpa_bwd1 dv", dv, central_differences(lambda t: loss_of(q, k, t), v))
    report.equal("sdpa_bwd1 and 2 dq", dq, central_differences(lambda t: loss_of(t, k, v), q))
    report.equal("sdpa_bwd1 and 2 dk", dk, central_differences(lambda t: loss_of(q, t, v), k))
    report.equal("all three dx, at xn", dx, central_differences(loss, xn))
    at_x = central_differences(lambda x: loss(rms_norm(x, gain, C)), x)
    report.differ("qkv_bwd dx and the gradient at x", dx, at_x)


def main():
    report = Report()
    check_feed_forward(report)
    check_attention(report)
    sys.exit(3 if report.failed else 0)


if __name__ == "__main__":
    main()
