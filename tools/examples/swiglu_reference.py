#!/usr/bin/env python3
"""What the kernel of swiglu.cpp computes, in numpy and without milgen.

    swiglu_reference.py FOLDER    reads FOLDER/weights, writes x.npy and expected.npy
"""

import pathlib
import sys

import numpy as np

DIM, HIDDEN, SEQ = 64, 160, 32


def weight(folder, name, rows, columns):
    """The values of a weight file with one record begin at byte 128."""
    data = (pathlib.Path(folder) / "weights" / f"{name}.bin").read_bytes()[128:]
    return np.frombuffer(data, "<f2").astype(np.float64).reshape(rows, columns)


def main(folder):
    x = np.random.default_rng(7).uniform(-1, 1, (DIM, SEQ)).astype(np.float16)
    wide = x.astype(np.float64)
    gate = weight(folder, "w1", HIDDEN, DIM) @ wide
    up = weight(folder, "w3", HIDDEN, DIM) @ wide
    silu = gate / (1 + np.exp(-gate))
    y = wide + weight(folder, "w2", DIM, HIDDEN) @ (silu * up)
    np.save("x.npy", x.reshape(1, DIM, 1, SEQ))
    np.save("expected.npy", y.astype(np.float16).reshape(1, DIM, 1, SEQ))


if __name__ == "__main__":
    main(sys.argv[1])
