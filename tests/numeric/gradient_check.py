#!/usr/bin/env python3
"""Holds the backward kernels' truth functions against central differences of the forward ones.

In float64 on configurations so small that every element is moved. rmsnorm_bwd and classifier_bwd
give the gradient at their forward kernels' input x. ffn_bwd and qkv_bwd give the gradient at xn,
the normalised input, and not at x; sdpa_bwd1 and sdpa_bwd2 give one together: dV comes from the
first, dQ and dK from the second, which is fed with the first one's probs and dP. Those of the set
`dynamic` do so with the host's steps between them.
Exit code 3 when a relative error is 1e-6 or more.
"""

import sys

sys.dont_write_bytecode = True

import classifier_reference as classifier
import dynamic_reference as dynamic
from arithmetic import np, product
from blocks_reference import ffn_bwd_relu2, relu2, square_of_relu
from half_ops import heads_of, joined, rms_norm
from seeded import signed_unit
from stories_reference import (
    Config,
    attention,
    attention_block,
    feed_forward,
    ffn_bwd,
    gated,
    qkv_bwd,
    sdpa_bwd1,
    sdpa_bwd2,
)

C = Config("gradient", dim=16, hidden=24, heads=2, seq=8)
DYNAMIC = dynamic.Config("gradient", 10, 12, heads=4, kv_heads=2, head_dim=4, seq=6, layers=2)
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
    xn = rms_norm(x, gain, C.eps)
    _, h1, h3, _ = feed_forward(xn, w, C)
    dx, dh1, dh3 = ffn_bwd(np.concatenate([dffn, h1, h3]), w, C)

    def loss(xn):
        return np.sum(dffn * feed_forward(xn, w, C)[0])

    def loss_of_gate(h1, h3):
        return np.sum(dffn * product(w["w2"], gated(h1, h3)))

    report.equal("ffn_bwd dx, at xn", dx, central_differences(loss, xn))
    report.equal("ffn_bwd dh1", dh1, central_differences(lambda h: loss_of_gate(h, h3), h1))
    report.equal("ffn_bwd dh3", dh3, central_differences(lambda h: loss_of_gate(h1, h), h3))
    at_x = central_differences(lambda x: loss(rms_norm(x, gain, C.eps)), x)
    report.differ("ffn_bwd dx and the gradient at x", dx, at_x)


def check_attention(report):
    w = {name: random(name, C.dim, C.dim) for name in ("wq", "wk", "wv", "wo")}
    w |= {name + "t": w[name].T for name in ("wq", "wk", "wv", "wo")}
    x, dx2 = random("x", C.dim, C.seq), random("dx2", C.dim, C.seq)
    gain = 1 + random("gain", C.dim, 1) / 10
    xn = rms_norm(x, gain, C.eps)
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
    at_x = central_differences(lambda x: loss(rms_norm(x, gain, C.eps)), x)
    report.differ("qkv_bwd dx and the gradient at x", dx, at_x)


def check_classifier(report):
    c = classifier.Config("gradient", dim=12, vocab=40, seq=4, most_inner=32)
    x, dy = random("x", c.dim, c.seq), random("dy", c.dim, c.seq)
    dl = random("dl", c.vocab, c.seq)
    w = {"rms_w": 1 + random("gain", c.dim, 1) / 10, "embed": random("embed", c.vocab, c.dim)}
    w["embed_t"] = w["embed"].T
    slices = {f"embed_t_{i}": part for i, part in
              enumerate(np.split(w["embed_t"], c.cuts, axis=1))}

    def loss_of_norm(x):
        return np.sum(dy * classifier.final_rmsnorm(x, w, c))

    def loss_of_logits(x):
        return np.sum(dl * classifier.classifier_fwd(x, w, c))

    dx = classifier.rmsnorm_bwd(np.concatenate([dy, x]), w, c)
    report.equal("rmsnorm_bwd dx, at x", dx, central_differences(loss_of_norm, x))
    at_x = central_differences(loss_of_logits, x)
    report.equal("classifier_bwd dx", classifier.classifier_bwd(dl, w, c), at_x)
    report.equal("classifier_bwd_split dx", classifier.classifier_bwd_split(dl, slices, c), at_x)


def check_relu2(report):
    w = {"w1": random("w1", C.hidden, C.dim), "w2": random("w2", C.dim, C.hidden)}
    w |= {name + "t": w[name].T for name in ("w1", "w2")}
    xn, dffn = random("xn", C.dim, C.seq), random("dffn", C.dim, C.seq)
    h1 = product(w["w1"], xn)
    dx, dh1 = ffn_bwd_relu2({"dffn": dffn, "h1": h1}, w, C)

    def loss_of(h1):
        return np.sum(dffn * product(w["w2"], square_of_relu(h1)))

    report.equal("ffn_bwd_relu2 dh1", dh1, central_differences(loss_of, h1))
    at_xn = central_differences(lambda xn: np.sum(dffn * relu2(xn, w)[0]), xn)
    report.equal("ffn_bwd_relu2 dx, at xn", dx, at_xn)


def check_dynamic_feed_forward(report):
    c = DYNAMIC
    w = {name: random(name, *shape) for name, shape in
         (("w1", (c.hidden, c.dim)), ("w3", (c.hidden, c.dim)), ("w2", (c.dim, c.hidden)))}
    w |= {name + "t": w[name].T for name in ("w1", "w2", "w3")}
    i = {name: random(name, c.dim, c.seq) for name in ("x2", "xn")}
    dout = random("dout", c.dim, c.seq)
    _, h1, h3, gate = dynamic.ffn_fused(i, w, c)
    dffn = c.residual_scale * dout
    dgate = product(w["w2t"], dffn)  # ffn_bwd_w2t
    # The host's: the backward pass of silu(h1) * h3.
    _, dh1, dh3 = ffn_bwd(np.concatenate([dffn, h1, h3]), w, c)
    (dxn,) = dynamic.ffn_bwd_w13t({"dh1": dh1, "dh3": dh3}, w, c)

    def loss_of_gate(gate):
        return np.sum(dout * (i["x2"] + c.residual_scale * product(w["w2"], gate)))

    def loss(xn):
        return np.sum(dout * dynamic.ffn_fused(i | {"xn": xn}, w, c)[0])

    report.equal("dynamic ffn_bwd_w2t dgate", dgate, central_differences(loss_of_gate, gate))
    report.equal("dynamic ffn_bwd_w13t dxn", dxn, central_differences(loss, i["xn"]))


def summed_groups(t, c):
    """[heads * head_dim, S] to [kv_heads * head_dim, S]: the gradient of repeating heads."""
    groups = t.reshape(c.kv_heads, -1, c.head_dim, c.seq)
    return groups.sum(axis=1).reshape(c.kv_dim, c.seq)


def turned_back(t, heads, c):
    return joined(dynamic.rotate(heads_of(t, heads), c, -1))


def check_dynamic_attention(report):
    c = DYNAMIC
    w = {name: random(name, *shape) for name, shape in
         (("wq", (c.q_dim, c.dim)), ("wk", (c.kv_dim, c.dim)), ("wv", (c.kv_dim, c.dim)),
          ("wo", (c.dim, c.q_dim)))}
    w |= {name + "t": w[name].T for name in ("wq", "wk", "wv", "wo")}
    xn, dout = random("xn", c.dim, c.seq), random("dout", c.dim, c.seq)
    _, q, k, v, _ = dynamic.sdpa_fwd({"x": xn}, w, c)
    da = product(w["wot"], dout)  # wot_bwd
    k_tiled, v_tiled = (joined(dynamic.repeat(heads_of(t, c.kv_heads), c)) for t in (k, v))
    dv_full, probs, dp = dynamic.sdpa_bwd1({"x": np.concatenate([q, k_tiled, v_tiled, da])}, {}, c)
    dq, dk_full = dynamic.sdpa_bwd2({"x": np.concatenate([probs, dp, q, k_tiled])}, {}, c)
    dk, dv = summed_groups(dk_full, c), summed_groups(dv_full, c)

    def loss_of(q, k, v):
        return np.sum(dout * product(w["wo"], dynamic.attend(q, k, v, c)))

    report.equal("dynamic sdpa_bwd1 dv", dv, central_differences(lambda t: loss_of(q, k, t), v))
    report.equal("dynamic sdpa_bwd dq", dq, central_differences(lambda t: loss_of(t, k, v), q))
    report.equal("dynamic sdpa_bwd dk", dk, central_differences(lambda t: loss_of(q, t, v), k))

    dq, dk = turned_back(dq, c.heads, c), turned_back(dk, c.kv_heads, c)
    dxn = product(w["wqt"], dq) + dynamic.kv_bwd({"dk": dk, "dv": dv}, w, c)[0]  # q_bwd, kv_bwd

    def loss(xn):
        return np.sum(dout * product(w["wo"], dynamic.sdpa_fwd({"x": xn}, w, c)[0]))

    report.equal("dynamic attention dxn", dxn, central_differences(loss, xn))


def main():
    report = Report()
    check_classifier(report)
    check_feed_forward(report)
    check_attention(report)
    check_relu2(report)
    check_dynamic_feed_forward(report)
    check_dynamic_attention(report)
    sys.exit(3 if report.failed else 0)


if __name__ == "__main__":
    main()
