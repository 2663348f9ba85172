"""The text of a numeric golden; golden/README.md, "Numeric goldens", has the format."""

import dataclasses
import math

from arithmetic import np, running_sum
from seeded import random_bits

EPSILON = {"fp16": 2.0**-10, "fp32": 2.0**-23}
NUMPY_DTYPE = {"fp16": np.float16, "fp32": np.float32}
# Digits of true values and of sums, far finer than an epsilon.
VALUE_DIGITS = {"fp16": 7, "fp32": 9}
SUM_DIGITS = {"fp16": 5, "fp32": 9}
SAMPLES = 1000
MARGIN = 2.0  # tolerances are this many times what was found here
SUMS_IN_A_LINE = 12


def shortest(value, dtype):
    """The shortest decimal that reads as this value of the dtype."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if NUMPY_DTYPE[dtype](float(text)) == value:
            return text
    raise ValueError(f"{value} is no {dtype}")


def worst(got, want, scale, dtype):
    """The largest error in epsilons."""
    return float(np.max(np.abs(got - want) / (EPSILON[dtype] * np.maximum(np.abs(want), scale))))


def with_margin(error, least):
    """A tolerance, rounded up to a tenth."""
    return max(least, math.ceil(error * MARGIN * 10) / 10)


@dataclasses.dataclass(frozen=True)
class Part:
    """Channels of an output that belong together; arrays are [channels, positions]."""

    name: str
    truth: object
    rounded: object
    other: object  # rounded after each op like `rounded`, but with sums in float64

    def line(self, dtype):
        positions = self.truth.shape[1]
        squares = running_sum(running_sum(self.truth * self.truth, 1), 0).item()
        scale = f"{math.sqrt(squares / self.truth.size):.4g}"
        mean, rounded_mean = (running_sum(x, 1) / positions for x in (self.truth, self.rounded))
        tolerances = (
            with_margin(worst(self.rounded, self.truth, float(scale), dtype), 1.0),
            with_margin(worst(self.other, self.rounded, float(scale), dtype), 1.0),
            with_margin(worst(rounded_mean, mean, float(scale), dtype), 0.1),
        )
        words = " ".join(f"{tolerance:g}" for tolerance in tolerances)
        return f"part {self.name} {self.truth.shape[0]} {scale} {words}"


@dataclasses.dataclass(frozen=True)
class Output:
    """The channels of all parts together are the dim of axis 1 of `shape`."""

    name: str
    dtype: str
    shape: tuple
    parts: list


def sample_indices(count):
    """One element of each of 1000 equal stretches, or every one when there are fewer."""
    samples = min(SAMPLES, count)
    bits = random_bits("samples", 0, samples)
    for i in range(samples):
        first, end = i * count // samples, (i + 1) * count // samples
        yield first + int(bits[i]) % (end - first)


def output_lines(output):
    truth = np.concatenate([part.truth for part in output.parts])
    rounded = np.concatenate([part.rounded for part in output.parts]).ravel()
    value_digits, sum_digits = VALUE_DIGITS[output.dtype], SUM_DIGITS[output.dtype]
    sums = [f"{value:.{sum_digits}g}" for value in running_sum(truth, 1)[:, 0]]
    dims = ", ".join(str(dim) for dim in output.shape)
    yield f"output {output.name} {output.dtype} [{dims}]"
    for part in output.parts:
        yield part.line(output.dtype)
    for index in sample_indices(truth.size):
        true = f"{truth.flat[index]:.{value_digits}g}"
        yield f"at {index} {true} {shortest(rounded[index], output.dtype)}"
    for first in range(0, len(sums), SUMS_IN_A_LINE):
        yield "sums " + " ".join(sums[first : first + SUMS_IN_A_LINE])


def golden_text(header, outputs):
    lines = ["# milgen numeric golden 1"]
    lines += [f"# {line}" for line in header]
    for output in outputs:
        lines += output_lines(output)
    return "\n".join(lines) + "\n"
