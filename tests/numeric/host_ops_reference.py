#!/usr/bin/env python3
"""Makes golden/numeric/train/host_ops.jsonl: what the operations of a training step that the host
does give, from their mathematics in float64.

A line is a case: its sizes, and its outputs in row-major order. Inputs are the fp32 of
`scale * u`, u in [-1, 1) by golden/README.md, "Seeded inputs", with seed 0 and the name
"case.input"; `scales` has the scales that are not 1. Tokens are `z % vocab` of the same numbers.

    host_ops_reference.py            writes the file
    host_ops_reference.py --check    makes it again and compares it byte for byte; exit code 3
                                     when it differs
"""

import json
import math
import pathlib
import sys

sys.dont_write_bytecode = True

from arithmetic import exp, np, product, running_sum, sigmoid
from seeded import random_bits, signed_unit

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "golden" / "numeric" / "train" / "host_ops.jsonl"


class Case:
    def __init__(self, name, scales=None, **sizes):
        self.name = name
        self.scales = scales or {}
        self.sizes = sizes
        self.outputs = {}

    def input(self, name, *shape):
        unit = signed_unit(f"{self.name}.{name}", 0, shape)
        return (unit * self.scales.get(name, 1)).astype(np.float32).astype(np.float64)

    def tokens(self, name, count, vocab):
        return [int(z) % vocab for z in random_bits(f"{self.name}.{name}", 0, count)]

    def line(self):
        def numbers(values):
            return [float(f"{v:.9g}") for v in np.asarray(values, np.float64).ravel()]

        parts = {"case": self.name, "sizes": self.sizes, "scales": self.scales}
        parts["outputs"] = {name: numbers(values) for name, values in self.outputs.items()}
        return json.dumps(parts, separators=(",", ":"))


def single(value):
    """The fp32 nearest to it, as a float."""
    return float(np.float32(value))


def inverse_rms(x, eps):
    return 1 / np.sqrt(running_sum(x * x, 0) / x.shape[0] + eps)


def rmsnorm(name, dim, seq, eps, scale):
    case = Case(name, {"x": scale}, dim=dim, seq=seq, eps=eps)
    x, w = case.input("x", dim, seq), case.input("w", dim)[:, None]
    dy, dw = case.input("dy", dim, seq), case.input("dw", dim)[:, None]
    r = inverse_rms(x, eps)
    case.outputs["out"] = x * r * w
    case.outputs["dx"] = (dy * w - x * (running_sum(dy * w * x, 0) / dim) * r * r) * r
    case.outputs["dw"] = dw + running_sum(dy * x * r, 1)
    return case


def silu_backward(count):
    case = Case("silu_backward", {"h1": 12}, count=count)
    dy, h1, h3 = (case.input(name, count) for name in ("dy", "h1", "h3"))
    s = sigmoid(h1)
    case.outputs["dh1"] = dy * h3 * s * (1 + h1 * (1 - s))
    case.outputs["dh3"] = dy * h1 * s
    return case


def adam(name, count, steps, lr, decay, gradient_scale):
    case = Case(
        name, count=count, steps=steps, lr=lr, weight_decay=decay, gradient_scale=gradient_scale
    )
    w = case.input("w", count)
    m, v = np.zeros(count), np.zeros(count)
    b1, b2, eps = single(0.9), single(0.999), single(1e-8)
    for t in range(1, steps + 1):
        g = case.input(f"g{t}", count) * gradient_scale
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        root = np.sqrt(v / (1 - b2**t))
        w = w - lr * decay * w - lr * (m / (1 - b1**t)) / (root + eps)
    case.outputs.update(w=w, m=m, v=v)
    return case


def cross_entropy(name, vocab, seq, scale, logit_scale):
    case = Case(name, {"logits": logit_scale}, vocab=vocab, seq=seq, scale=scale)
    logits = case.input("logits", vocab, seq)
    targets = case.tokens("targets", seq, vocab)
    most = logits.max(axis=0, keepdims=True)
    powers = exp(logits - most)
    total = running_sum(powers, 0)
    gradient = powers / total
    losses = []
    for s, target in enumerate(targets):
        losses.append(math.log(total[0, s]) + most[0, s] - logits[target, s])
        gradient[target, s] -= 1
    case.outputs["loss"] = [sum(losses) / seq]
    case.outputs["dlogits"] = gradient * scale / seq
    return case


def embedding(vocab, dim, seq):
    case = Case("embedding", vocab=vocab, dim=dim, seq=seq)
    tokens = case.tokens("tokens", seq, vocab)
    embed, d_embed = case.input("embed", vocab, dim), case.input("d_embed", vocab, dim)
    dx = case.input("dx", dim, seq)
    case.outputs["x"] = embed[tokens].T
    for s, token in enumerate(tokens):
        d_embed[token] += dx[:, s]
    case.outputs["d_embed"] = d_embed
    case.outputs["tokens"] = sorted(set(tokens))
    return case


def rope(name, heads, head_dim, seq, theta):
    case = Case(name, heads=heads, head_dim=head_dim, seq=seq, theta=theta)
    x = case.input("x", heads, head_dim, seq)
    cos, sin = np.zeros((seq, head_dim)), np.zeros((seq, head_dim))
    for s in range(seq):
        for i in range(head_dim):
            angle = s * theta ** (-2 * (i // 2) / head_dim)
            cos[s, i], sin[s, i] = math.cos(angle), math.sin(angle)
    even, odd = x[:, 0::2], x[:, 1::2]
    c, n = cos.T[0::2], sin.T[0::2]

    def pairs(first, second):
        return np.stack((first, second), 2).reshape(x.shape)

    case.outputs.update(cos=cos, sin=sin)
    case.outputs["rotated"] = pairs(even * c - odd * n, even * n + odd * c)
    case.outputs["back"] = pairs(even * c + odd * n, odd * c - even * n)
    return case


def grouped(heads, kv_heads, head_dim, seq):
    case = Case("grouped", heads=heads, kv_heads=kv_heads, head_dim=head_dim, seq=seq)
    few = case.input("few", kv_heads, head_dim, seq)
    many = case.input("many", heads, head_dim, seq)
    case.outputs["tiled"] = np.repeat(few, heads // kv_heads, axis=0)
    groups = many.reshape(kv_heads, heads // kv_heads, head_dim, seq)
    case.outputs["reduced"] = running_sum(groups, 1)
    return case


def products(out, inner, seq, scale):
    case = Case("products", out=out, inner=inner, seq=seq, scale=scale)
    w, dw = case.input("w", out, inner), case.input("dw", out, inner)
    dy, x = case.input("dy", out, seq), case.input("x", inner, seq)
    case.outputs["dw"] = dw + product(dy, x.T) * scale
    case.outputs["y"] = product(w, x)
    case.outputs["dx"] = product(w.T, dy)
    return case


def cases():
    yield rmsnorm("rmsnorm", dim=24, seq=19, eps=1e-5, scale=3)
    yield rmsnorm("rmsnorm_small", dim=5, seq=3, eps=1e-3, scale=0.01)
    yield silu_backward(count=53)
    yield adam("adam", count=37, steps=3, lr=single(1e-3), decay=0, gradient_scale=1)
    yield adam("adam_decay", count=37, steps=5, lr=single(0.02), decay=0.125, gradient_scale=0.25)
    yield cross_entropy("cross_entropy", vocab=150, seq=5, scale=1, logit_scale=10)
    yield cross_entropy("cross_entropy_scaled", vocab=3, seq=33, scale=1024, logit_scale=2)
    yield embedding(vocab=11, dim=20, seq=9)
    yield rope("rope", heads=2, head_dim=6, seq=7, theta=10000)
    yield rope("rope_far", heads=1, head_dim=2, seq=40, theta=1000000)
    yield grouped(heads=6, kv_heads=2, head_dim=3, seq=5)
    yield products(out=5, inner=7, seq=11, scale=0.5)


def main(arguments):
    text = "".join(case.line() + "\n" for case in cases())
    if "--check" in arguments:
        if FILE.read_text() != text:
            print(f"{FILE.name} is not what this script makes")
            return 3
        return 0
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
