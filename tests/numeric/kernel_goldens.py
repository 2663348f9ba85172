"""Writes the numeric goldens of kernels, or checks that they are what is there.

A kernel's `truth` is its mathematics in float64, with nothing rounded but inputs and weights. Its
`rounded` goes through its ops one by one and rounds to fp16 after each, sums in fp32 in increasing
index order inside of an op. golden/README.md, "Numeric goldens", has the format, the formulas of
inputs and samples, and how tolerances apply.
"""

import dataclasses
import pathlib
import re
import sys

from arithmetic import np
from golden_file import Output, Part, golden_text
from half_ops import HalfOps
from seeded import seeded_input, seeded_weight, sha256_of

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WEIGHT_SEED = 0
INPUT_SEED = 7


@dataclasses.dataclass(frozen=True)
class Port:
    """An input, weight or output; truth and rounded have it as [rows, columns]."""

    name: str
    shape: tuple
    rows: int
    dtype: str = "fp16"
    formula: str = "uniform"  # of a weight
    parts: str = ""  # of an output: what stands side by side in it; empty: itself

    def matrix(self, values):
        return values.reshape(self.rows, -1)


def channels(name, count, positions, **rest):
    """[1, C, 1, S]"""
    return Port(name, (1, count, 1, positions), count, **rest)


def projection(name, out, inner, **rest):
    """The weight of a 1x1 convolution."""
    return Port(name, (out, inner, 1, 1), out, **rest)


def gain(name, dim):
    return Port(name, (1, dim, 1, 1), dim, formula="near_one")


@dataclasses.dataclass(frozen=True)
class Case:
    """A kernel at a configuration.

    truth(inputs, weights) and rounded(ops, inputs, weights) take dicts and return one array
    [channels, positions] for each part of each output.
    """

    kernel: str  # SET/NAME
    config: object  # a dataclass: name, then the parameters in the order of the set
    truth: object
    rounded: object
    inputs: tuple
    outputs: tuple
    weights: tuple = ()

    @property
    def file(self):
        return f"{self.kernel}.{self.config.name}"


def params(config):
    names = [field.name for field in dataclasses.fields(config) if field.name != "name"]
    # A field `in_` is the parameter `in`, a word that Python has for itself.
    return " ".join(f"{name.removesuffix('_')}={getattr(config, name):g}" for name in names)


def make_weights(case):
    """Those that milgen writes, whose SHA-256 stand beside the kernel."""
    if not case.weights:
        return {}
    listing = ROOT / f"golden/kernels/{case.file}.weights"
    rows = [line.split("\t") for line in listing.read_text().splitlines() if "\t" in line]
    digests = {row[0]: row[-1] for row in rows}
    weights = {}
    for port in case.weights:
        weight = seeded_weight(port.name, WEIGHT_SEED, port.shape, port.formula, port.dtype)
        if sha256_of(weight, port.dtype) != digests[port.name]:
            sys.exit(f"{listing}: weight '{port.name}' made here has other bytes")
        weights[port.name] = port.matrix(weight)
    return weights


def make_outputs(case, truths, rounded, other):
    columns = zip(truths, rounded, other)
    for port in case.outputs:
        names = port.parts.split() or [port.name]
        parts = [Part(name, *next(columns)) for name in names]
        yield Output(port.name, port.dtype, port.shape, parts)


def make(case, script):
    weights = make_weights(case)
    inputs = {
        port.name: port.matrix(seeded_input(port.name, INPUT_SEED, port.shape, port.dtype))
        for port in case.inputs
    }
    truths = case.truth(inputs, weights)
    rounded = case.rounded(HalfOps(np.float32), inputs, weights)
    other = case.rounded(HalfOps(np.float64), inputs, weights)
    header = [
        f"kernel {case.kernel}",
        f"config {case.config.name}",
        f"params {params(case.config)}",
        f"weight-seed {WEIGHT_SEED}",
        f"input-seed {INPUT_SEED}",
        f"origin tests/numeric/{script}, numpy {np.__version__}: truth is the "
        "mathematics in float64; rounded is rounded to fp16 after each op, sums inside of one "
        "in fp32",
    ]
    return golden_text(header, make_outputs(case, truths, rounded, other))


def without_numpy_version(text):
    """Another version of numpy computes the same."""
    return re.sub(r"numpy [^ :]+", "numpy", text, count=1)


def run(cases, script, usage):
    """What a script of cases does with its arguments; exit code 3 when a file differs."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["--check"]):
        sys.exit(usage)
    differ = 0
    for case in cases:
        path = ROOT / f"golden/numeric/{case.file}.numeric"
        text = make(case, script)
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            continue
        there = path.read_bytes().decode() if path.exists() else ""
        same = without_numpy_version(there) == without_numpy_version(text)
        print(f"{path.name}: {'the same' if same else 'DIFFERS'}")
        differ += not same
    if differ:
        print(f"{differ} differ; {script} without an option writes what is now")
        sys.exit(3)
