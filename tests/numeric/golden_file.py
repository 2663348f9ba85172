"""The text of a numeric golden; golden/README.md, "Numeric goldens", has the format."""

import dataclasses
import math

from arithmetic import np, running_sum
from seeded import random_bits

EPSILON = 2.0**-10  # of fp16
SAMPLES = 1000
MARGIN = 2.0  # tolerances are this many times what was found here
SUMS_IN_A_LINE = 12


def shortest_half(value):
    """The shortest decimal that reads as this fp16."""
    for digits in range(1, 6):
        text = f"{value:.{digits}g}"
        if np.float16(float(text)) == value:
            return text
    raise ValueError(f"{value} is no fp16")


def worst(got, want, scale):
    """The largest error in epsilons."""
    return float(np.max(np.abs(got - want) / (EPSILON * np.maximum(np.abs(want), scale))))


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

    def line(self):
        positions = self.truth.shape[1]
        squares = running_sum(running_sum(self.truth * self.truth, 1), 0).item()
        scale = f"{math.sqrt(squares / self.truth.size):.4g}"
        mean, rounded_mean = (running_sum(x, 1) / positions for x in (self.truth, self.rounded))
        tolerances = (
            with_margin(worst(self.rounded, self.truth, float(scale)), 1.0),
            with_margin(worst(self.other, self.rounded, float(scale)), 1.0),
            with_margin(worst(rounded_mean, mean, float(scale)), 0.1),
        )
        words = " ".join(f"{tolerance:g}" for tolerance in tolerances)
        return f"part {self.name} {self.truth.shape[0]} {scale} {words}"


def sample_indices(count):
    """One element of each of 1000 equal stretches, or every one when there are fewer."""
    samples = min(SAMPLES, count)
    bits = random_bits("samples", 0, samples)
    for i in range(samples):
        first, end = i * count // samples, (i + 1) * count // samples
        yield first + int(bits[i]) % (end - first)


def golden_text(header, output, parts):
    truth = np.concatenate([part.truth for part in parts])
    rounded = np.concatenate([part.rounded for part in parts]).ravel()
    channels, positions = truth.shape
    sums = [f"{value:.5g}" for value in running_sum(truth, 1)[:, 0]]
    lines = ["# milgen numeric golden 1"]
    lines += [f"# {line}" for line in header]
    lines.append(f"output {output} fp16 [1, {channels}, 1, {positions}]")
    lines += [part.line() for part in parts]
    for index in sample_indices(truth.size):
        lines.append(f"at {index} {truth.flat[index]:.7g} {shortest_half(rounded[index])}")
    for first in range(0, channels, SUMS_IN_A_LINE):
        lines.append("sums " + " ".join(sums[first : first + SUMS_IN_A_LINE]))
    return "\n".join(lines) + "\n"
