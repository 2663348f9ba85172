#!/usr/bin/env python3
"""Makes golden/numeric/composable: what the composable kernels compute, found without milgen.

`truth` is the mathematics of include/milgen/kernels/composable.h, `rounded` the kernels op by op
(kernel_goldens.py). conv_fp32 rounds nothing to fp16: its `rounded` adds in fp32.

    composable_reference.py            writes the files
    composable_reference.py --check    makes them again and compares them byte for byte; exit code
                                       3 when one differs
"""

import dataclasses
import sys

sys.dont_write_bytecode = True

from arithmetic import half, np, product, single
from kernel_goldens import Case, Port, channels, projection, run


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    in_: int
    out: int
    hidden: int
    spatial: int
    scale: float = 0.5


CONFIGS = (Config("small", 64, 96, 160, 32), Config("stories110m", 768, 768, 2048, 256))


def matmul(c, name, dtype):
    return Case(
        name, c,
        lambda x, w: (product(x["w"], x["x"]),),
        lambda ops, x, w: (ops.matmul(half(x["w"]), half(x["x"])),),
        inputs=(Port("w", (1, c.out, c.in_), c.out, dtype),
                Port("x", (1, c.in_, c.spatial), c.in_, dtype)),
        outputs=(Port("y", (1, c.out, c.spatial), c.out, dtype),),
    )


def projections(c, name, dtype, outputs, out_channels):
    """`outputs` tells the weight of each output."""
    return Case(
        name, c,
        lambda x, w: [product(w[weight], x["x"]) for weight in outputs.values()],
        lambda ops, x, w: [ops.conv(w[weight], half(x["x"])) for weight in outputs.values()],
        inputs=(channels("x", c.in_, c.spatial, dtype=dtype),),
        outputs=tuple(channels(out, out_channels, c.spatial, dtype=dtype) for out in outputs),
        weights=tuple(projection(weight, out_channels, c.in_) for weight in outputs.values()),
    )


def conv(c, name, dtype):
    return projections(c, name, dtype, {"y": "w"}, c.out)


def qkv(c, name, dtype):
    return projections(c, name, dtype, {"k": "wk", "q": "wq", "v": "wv"}, c.out)


def ffn_up(c, name, dtype):
    return projections(c, name, dtype, {"h1": "w1", "h3": "w3"}, c.hidden)


def conv_fp32(c, name):
    return Case(
        name, c,
        lambda x, w: (product(w["w"], x["x"]),),
        lambda ops, x, w: (single(product(w["w"], x["x"], ops.total)),),
        inputs=(channels("x", c.in_, c.spatial, dtype="fp32"),),
        outputs=(channels("y", c.out, c.spatial, dtype="fp32"),),
        weights=(projection("w", c.out, c.in_, dtype="fp32"),),
    )


def identity(c, name, dtype):
    port = {"count": c.in_, "positions": c.spatial, "dtype": dtype}
    return Case(
        name, c,
        lambda x, w: (x["x"],),
        lambda ops, x, w: (half(x["x"]),),
        inputs=(channels("x", **port),),
        outputs=(channels("y", **port),),
    )


def scale_fp16(c, name):
    return Case(
        name, c,
        lambda x, w: (x["x"] * c.scale,),
        lambda ops, x, w: (ops.mul(x["x"], half(c.scale)),),
        inputs=(channels("x", 1, c.spatial),),
        outputs=(channels("y", 1, c.spatial),),
    )


def dynamic_matmul(c, name):
    def unpacked(x):
        return np.split(x["xw"], [c.spatial], axis=1)

    def truth(x, _):
        x, w = unpacked(x)
        return (product(w.T, x),)

    def rounded(ops, x, _):
        x, w = unpacked(x)
        return (ops.matmul(w.T, x),)

    return Case(
        name, c, truth, rounded,
        inputs=(channels("xw", c.in_, c.spatial + c.out),),
        outputs=(channels("y", c.out, c.spatial),),
    )


def cases(c):
    for make in (matmul, conv, qkv, ffn_up, identity):
        yield make(c, f"composable/{make.__name__}", "fp32")
        yield make(c, f"composable/{make.__name__}_fp16", "fp16")
    for make in (conv_fp32, scale_fp16, dynamic_matmul):
        yield make(c, f"composable/{make.__name__}")


if __name__ == "__main__":
    run([case for c in CONFIGS for case in cases(c)], "composable_reference.py", __doc__)
