"""Arithmetic whose bits do not depend on the machine, and roundings to fp16 and fp32.

Only operations that IEEE 754 defines to the last bit are used (add, subtract, multiply, divide,
square root, ldexp, rint), each as one numpy call over whole arrays, so that neither a BLAS library
nor numpy's choice of SIMD instructions decides the order of a sum or the last bit of an
exponential.
"""

import sys

try:
    import numpy as np
except ImportError:
    print("SKIPPED: numpy is not installed")
    sys.exit(0)

ROWS_IN_CACHE = 64  # rows of a product that are summed together; no influence on the result


def product(a, b, dtype=np.float64):
    """a [..., M, K] times b [..., K, N], added in `dtype` in increasing k, starting from 0.

    Multiplication and addition round separately.
    """
    a, b = np.asarray(a, dtype), np.asarray(b, dtype)
    rows = a.shape[-2]
    out = np.zeros(a.shape[:-1] + b.shape[-1:], dtype)
    for first in range(0, rows, ROWS_IN_CACHE):
        block = a[..., first : first + ROWS_IN_CACHE, :]
        total = np.zeros(block.shape[:-1] + b.shape[-1:], dtype)
        term = np.empty_like(total)
        for k in range(a.shape[-1]):
            np.multiply(block[..., k, None], b[..., k, None, :], out=term)
            np.add(total, term, out=total)
        out[..., first : first + ROWS_IN_CACHE, :] = total
    return out


def running_sum(x, axis, dtype=np.float64):
    """The sum over `axis` in increasing index order, starting from 0; the axis is kept."""
    terms = np.moveaxis(np.asarray(x, dtype), axis, 0)
    total = np.zeros(terms.shape[1:], dtype)
    for term in terms:
        total = total + term
    return np.expand_dims(total, axis)


def exp(x):
    """e to the x for x up to 700, within 2 units of the last place."""
    x = np.maximum(np.asarray(x, np.float64), -800.0)  # below that it is 0
    # ln 2 in two parts, the first so short that its multiples are exact.
    count = np.rint(x * 1.4426950408889634)
    rest = (x - count * 0.693147180369123816490) - count * 1.90821492927058770002e-10
    value = np.ones_like(rest)
    for n in range(17, 0, -1):  # Taylor: |rest| <= 0.35, so that the 18th term is below 2^-72
        value = 1.0 + value * rest / n
    return np.ldexp(value, count.astype(np.int64))


def cos_and_sin(x):
    """Of angles below 2^20, each within 2 units of the last place of 1."""
    x = np.asarray(x, np.float64)
    # pi / 2 in two parts, the first so short that its multiples are exact.
    quarters = np.rint(x * 0.63661977236758134308)
    rest = (x - quarters * 1.57079632673412561417) - quarters * 6.07710050650619224932e-11
    square = rest * rest
    cos, sin = np.ones_like(rest), np.ones_like(rest)
    for n in range(20, 0, -2):  # Taylor: |rest| <= 0.79, so that what is left out is below 2^-77
        cos = 1.0 - cos * square / (n * (n - 1))
        sin = 1.0 - sin * square / (n * (n + 1))
    sin = sin * rest
    turns = quarters % 4
    choices = [turns == quarter for quarter in range(4)]
    return np.select(choices, [cos, -sin, -cos, sin]), np.select(choices, [sin, cos, -sin, -cos])


def sigmoid(x):
    return 1.0 / (1.0 + exp(-np.asarray(x, np.float64)))


def softmax(x):
    """Over the last axis."""
    powers = exp(x - x.max(axis=-1, keepdims=True))
    return powers / running_sum(powers, -1)


def half(x):
    """x rounded once to fp16, to nearest, ties to even; as float64."""
    return np.asarray(x, np.float64).astype(np.float16).astype(np.float64)


def single(x):
    """The same for fp32."""
    return np.asarray(x, np.float64).astype(np.float32).astype(np.float64)
