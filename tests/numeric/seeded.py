"""Seeded weights and inputs, as golden/README.md defines them."""

import hashlib

from arithmetic import half, np, single


def random_bits(name, seed, count):
    """`count` uint64."""
    mask = 2**64 - 1
    start = 0xCBF29CE484222325
    for byte in name.encode():
        start = ((start ^ byte) * 0x100000001B3) & mask
    start = (start + seed * 0xD1B54A32D192ED03) & mask
    z = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def signed_unit(name, seed, shape):
    """Uniform in [-1, 1)."""
    count = int(np.prod(shape, dtype=np.int64))
    z = random_bits(name, seed, count)
    return (2.0 * ((z >> np.uint64(11)).astype(np.float64) * 2.0**-53) - 1.0).reshape(shape)


ROUNDED = {"fp16": half, "fp32": single}


def seeded_input(name, seed, shape, dtype="fp16"):
    return ROUNDED[dtype](signed_unit(name, seed, shape))


def seeded_weight(name, seed, shape, formula, dtype="fp16"):
    if formula == "near_one":
        return ROUNDED[dtype](1.0 + signed_unit(name, seed, shape) / 10)
    fan_in = int(np.prod(shape[1:], dtype=np.int64))
    return ROUNDED[dtype](signed_unit(name, seed, shape) / np.sqrt(np.float64(fan_in)))


def sha256_of(x, dtype="fp16"):
    """Of the bytes of its values, little-endian."""
    return hashlib.sha256(x.astype({"fp16": "<f2", "fp32": "<f4"}[dtype]).tobytes()).hexdigest()
