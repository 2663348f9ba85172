#!/usr/bin/env python3
"""Real programs in numpy, from the text and the weight file alone, and what milc makes of them.

    corpus_reference.py CORPUS                     writes golden/numeric/corpus/voice_activity.jsonl
    corpus_reference.py CORPUS --compare MILC [NAME ...]
                                                   runs programs by milc too; exit code 3 when an op
                                                   or an output is off

CORPUS is a folder of NAME.mil with NAME.weight.bin beside it. The text is read by the grammar of
mil_text_format, section 2 (no blocks: these programs have none), the weights by its section 6, and
ops are computed by the formulas of op_cases.py: `rounded` in float64 with one rounding to the
declared dtype per op, `truth` in float64 throughout. Nothing of milgen takes part in either.

`--compare` makes every value an output, so that each op is also computed from the very operands
that milc had: a fault shows at its op and not somewhere behind it. A program without a weight file
gets a made-up one that has what its text refers to.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the tests leave nothing behind beside the sources
from arithmetic import np
import op_cases  # registers the formulas
from op_cases_common import FLOATS, Value, evaluate
from seeded import random_bits, signed_unit

GOLDEN = (pathlib.Path(__file__).resolve().parents[2] / "golden" / "numeric" / "corpus" /
          "voice_activity.jsonl")
VOICE_ACTIVITY = ["FluidInference__mobius__1", "FluidInference__mobius__12",
                  "FluidInference__mobius__15", "paean-ai__silero-vad-swift__1"]
ORIGIN = "tests/numeric/corpus_reference.py, numpy: truth is float64, rounded is rounded per op"
EPSILON = {"fp16": 2.0**-10, "fp32": 2.0**-23}
SAMPLES = 32  # of an output in the golden

# --- Reading a program. ---

TOKEN = re.compile(r"""\s+
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<number>-?(?:0x[0-9a-f.]+p[+-]\d+|\d[\d.]*(?:[eE][+-]?\d+)?|(?:inf|nan)\b))
    | (?P<word>[A-Za-z_][\w@]*)
    | (?P<mark>->|[()\[\]{}<>,=;?])""", re.VERBOSE)
CONTAINERS = {"tensor", "list", "tuple", "dict", "state"}
NUMPY = {"bool": np.bool_, "int8": np.int8, "uint8": np.uint8, "int16": np.int16,
         "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32, "int64": np.int64,
         "uint64": np.uint64, **FLOATS}


@dataclasses.dataclass(frozen=True)
class Type:
    dtype: str  # "" of what is no tensor
    shape: tuple


@dataclasses.dataclass(frozen=True)
class Blob:
    type: Type
    offset: int


@dataclasses.dataclass(frozen=True)
class Op:
    kind: str
    results: list  # (Type, name)
    arguments: dict  # a name, a literal or a list of those

    def literals(self):
        return {name: item for name, item in self.arguments.items() if isinstance(item, Blob)}


@dataclasses.dataclass(frozen=True)
class Function:
    name: str
    opset: int
    inputs: list  # (Type, name)
    ops: list
    outputs: list


class Reader:
    def __init__(self, text):
        self.tokens = [(m.lastgroup, m.group()) for m in TOKEN.finditer(text) if m.lastgroup]
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead][1]

    def take(self, wanted=None):
        kind, text = self.tokens[self.at]
        if wanted is not None and text != wanted:
            raise ValueError(f"'{text}' is not '{wanted}'")
        self.at += 1
        return text

    def took(self, text):
        found = self.peek() == text
        self.at += found
        return found

    def listed(self, first, last, read):
        out = []
        self.take(first)
        while not self.took(last):
            out.append(read())
            self.took(",")
        return out

    def functions(self):
        self.take("program")
        self.listed("(", ")", self.take)
        self.attributes()
        return self.listed("{", "}", self.function)

    def function(self):
        self.take("func")
        name = self.take()
        (opset,) = self.listed("<", ">", self.take)
        inputs = self.listed("(", ")", self.named_type)
        self.attributes()
        ops = self.listed("{", "}", self.op)
        self.take("->")
        outputs = self.listed("(", ")", self.take)
        self.take(";")
        return Function(name, int(opset.removeprefix("ios")), inputs, ops, outputs)

    def named_type(self):
        return self.type(), self.take()

    def type(self):
        word = self.take()
        if word == "tensor":
            self.take("<")
            dtype = self.take()
            self.take(",")
            shape = self.listed("[", "]", self.take)
            self.take(">")
            return Type(dtype, tuple(-1 if n == "?" else int(n) for n in shape))
        if word in CONTAINERS:
            self.listed("<", ">", self.element_type)
            return Type("", ())
        return Type(word, ())

    def element_type(self):
        return self.take() if self.peek(1) in (",", ">") else self.type()

    def op(self):
        results = []
        if self.peek(1) != "(" or self.peek() in CONTAINERS:
            results.append(self.named_type())
            while self.took(","):
                results.append(self.named_type())
            self.take("=")
        kind = self.take()
        arguments = dict(self.listed("(", ")", self.argument))
        arguments.update(self.attributes())
        self.take(";")
        arguments.pop("name", None)
        return Op(kind, results, arguments)

    def attributes(self):
        return dict(self.listed("[", "]", self.argument)) if self.peek() == "[" else {}

    def argument(self):
        name = self.take()
        self.take("=")
        return name, self.bound()

    def bound(self):
        if self.peek() == "(":
            return self.listed("(", ")", self.bound)
        is_literal = self.peek(1) in ("<", "(")
        return self.typed() if is_literal else self.take()

    def typed(self):
        kind = self.type()
        self.take("(")
        if self.peek() == "BLOBFILE":
            self.take()
            blob = dict(self.listed("(", ")", self.argument))
            value = Blob(kind, int(blob["offset"].data))
        else:
            items = self.items()
            value = None
            if kind.dtype:
                value = Value(kind.dtype, np.array(items, object).reshape(kind.shape))
        self.take(")")
        return value

    def items(self):
        kind, text = self.tokens[self.at]
        for first, last in ("[]", "()", "{}"):
            if text == first:
                return self.listed(first, last, self.items)
        self.take()
        if kind == "string":
            return text[1:-1]
        if kind == "number":
            if "0x" in text:
                return float.fromhex(text)
            return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
        return text == "true"


# --- Weights. ---


def payload(data, blob):
    sentinel, _, size, start = struct.unpack_from("<IIQQ", data, blob.offset)
    if sentinel != 0xDEADBEEF:
        raise ValueError(f"there is no record at {blob.offset}")
    flat = np.frombuffer(data[start:start + size], NUMPY[blob.type.dtype])
    return Value(blob.type.dtype, flat.reshape(blob.type.shape))


WEIGHT_CODES = {"fp16": 1, "fp32": 2, "uint8": 3, "int8": 4, "int32": 14}


def made_up_numbers(blob, bits_set):
    """Small numbers, or a mask with so many bits."""
    count = int(np.prod(blob.type.shape, dtype=np.int64))
    if bits_set is not None:
        mask = np.zeros(count * 8, np.uint8)
        mask[np.arange(bits_set) * len(mask) // bits_set] = 1
        return np.packbits(mask, bitorder="little")
    if blob.type.dtype not in FLOATS:
        return random_bits("weight", blob.offset, count).astype(NUMPY[blob.type.dtype])
    fan_in = int(np.prod(blob.type.shape[1:], dtype=np.int64))
    numbers = signed_unit("weight", blob.offset, [count])
    return (numbers / (np.sqrt(fan_in) if fan_in > 1 else 64)).astype(NUMPY[blob.type.dtype])


def made_up_weights(functions):
    """A weight file with a record for each reference."""
    data = bytearray(struct.pack("<II56x", 0, 2))
    offsets = set()
    for op in (op for function in functions for op in function.ops):
        blobs = op.literals()
        for name, blob in blobs.items():
            bits_set = blobs["nonzero_data"].type.shape[0] if name == "mask" else None
            numbers = made_up_numbers(blob, bits_set).tobytes()
            start = blob.offset + 64
            data.extend(bytes(max(0, start + len(numbers) - len(data))))
            struct.pack_into("<IIQQ", data, blob.offset, 0xDEADBEEF,
                             WEIGHT_CODES[blob.type.dtype], len(numbers), start)
            data[start:start + len(numbers)] = numbers
            offsets.add(blob.offset)
    struct.pack_into("<I", data, 0, len(offsets))
    return bytes(data)


# --- Running. ---


def widened(item):
    """The same without a dtype that anything is rounded to."""
    if isinstance(item, list):
        return [widened(one) for one in item]
    if item.dtype in FLOATS:
        return Value("fp64", item.data)
    return item


class Program:
    def __init__(self, function, weights):
        self.function = function
        self.weights = weights

    def resolve(self, item, scope):
        if isinstance(item, list):
            return [self.resolve(one, scope) for one in item]
        if isinstance(item, str):
            return scope[item]
        return payload(self.weights, item) if isinstance(item, Blob) else item

    def op(self, op, scope, is_truth=False):
        values = {name: self.resolve(item, scope) for name, item in op.arguments.items()}
        if is_truth:
            values = {name: widened(item) for name, item in values.items()}
        if op.kind == "const":
            return [values["val"]]
        if op.kind == "cast" and is_truth and values["dtype"].data.item() in FLOATS:
            return [Value("fp64", values["x"].data)]
        for name in ("values", "xs"):  # a variadic argument of one
            if isinstance(values.get(name), Value):
                values[name] = [values[name]]
        return evaluate(op.kind, self.function.opset, values)

    def run(self, feeds, is_truth=False):
        scope = dict(feeds)
        if is_truth:
            scope = {name: widened(value) for name, value in scope.items()}
        for op in self.function.ops:
            for (kind, name), value in zip(op.results, self.op(op, scope, is_truth)):
                if -1 not in kind.shape and value.shape != kind.shape:
                    raise ValueError(f"'{name}' has shape {value.shape}, not {kind.shape}")
                scope[name] = value
        return scope


# --- Inputs. ---

RATE = 16000  # samples a second
VOICE = [(140, 12), (280, 9), (420, 6), (700, 4), (1260, 2)]  # Hz, 64ths


def voice(shape):
    """Harmonics, each a sine made of parabolas: integers only, up to one division."""
    n = np.arange(int(np.prod(shape)), dtype=np.int64)
    total = np.zeros(n.shape, np.int64)
    half = RATE // 2
    for frequency, amplitude in VOICE:
        at = n * frequency % RATE
        total += amplitude * np.where(at < half, at * (half - at), (at - half) * (at - RATE))
    return (total / (64.0 * (half // 2)**2)).reshape(shape)


def numbers(kind, name, type):
    if type.dtype not in FLOATS:
        return random_bits(name, 1, int(np.prod(type.shape))).reshape(type.shape) % np.uint64(2)
    if kind == "noise":
        return signed_unit(name, 1, type.shape)
    return voice(type.shape) if kind == "voice" and "audio" in name else np.zeros(type.shape)


def feeds_of(function, kind):
    """`noise` fills states too; with `silence` and `voice` they begin at 0."""
    return {name: Value(type.dtype, numbers(kind, name, type)) for type, name in function.inputs}


INPUTS = ["noise", "silence", "voice"]


# --- The golden. ---


def sampled(truth, rounded):
    step = -(-truth.data.size // SAMPLES)
    flat, flat_rounded = truth.data.reshape(-1), rounded.data.reshape(-1)
    return {"shape": list(truth.shape), "step": step,
            "scale": float(f"{np.sqrt(np.mean(flat_rounded**2)):.4g}"),
            "truth": [float(f"{x:.6g}") for x in flat[::step]],
            "rounded": [float(f"{x:.9g}") for x in flat_rounded[::step]]}


def load(corpus, name):
    functions = Reader((corpus / f"{name}.mil").read_text()).functions()
    path = corpus / f"{name}.weight.bin"
    weights = path.read_bytes() if path.exists() else made_up_weights(functions)
    return [Program(function, weights) for function in functions]


def golden_text(corpus):
    lines = [{"origin": ORIGIN}]
    for name in VOICE_ACTIVITY:
        (program,) = load(corpus, name)
        for kind in INPUTS:
            feeds = feeds_of(program.function, kind)
            truth, rounded = program.run(feeds, is_truth=True), program.run(feeds)
            outputs = {out: sampled(truth[out], rounded[out]) for out in program.function.outputs}
            lines.append({"file": name, "input": kind, "outputs": outputs})
    return "".join(json.dumps(line) + "\n" for line in lines)


# --- Comparing with milc. ---


def off_by(got, want, dtype):
    """The worst error, in epsilons of `dtype` at the element or at the root mean square."""
    if dtype not in FLOATS:
        return float(np.count_nonzero(got != want))
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    if np.all(same):
        return 0.0
    finite = want[np.isfinite(want)]
    scale = np.sqrt(np.mean(finite**2)) if finite.size else 1.0
    with np.errstate(all="ignore"):
        error = np.abs(got - want) / (EPSILON.get(dtype, 1e-15) * np.maximum(np.abs(want), scale))
    error = np.where(same, 0.0, error)
    return float("inf") if np.any(np.isnan(error)) else float(error.max())


class Milc:
    def __init__(self, tool, corpus, name, folder):
        self.tool, self.name, self.folder = tool, name, folder
        self.text = (corpus / f"{name}.mil").read_text()

    def run(self, program, feeds, outputs, *options):
        """Outputs by name, and the seconds that it took."""
        function = program.function
        text = self.text.replace(f"-> ({', '.join(function.outputs)});",
                                 f"-> ({', '.join(outputs)});")
        (self.folder / "model.mil").write_text(text)
        (self.folder / "weight.bin").write_bytes(program.weights)
        command = [self.tool, "run", str(self.folder / "model.mil"), "--function", function.name,
                   "--weights", str(self.folder / "weight.bin"), *options]
        for type, name in function.inputs:
            path = self.folder / f"{name}.in.npy"
            np.save(path, feeds[name].data.astype(NUMPY[type.dtype]))
            command += ["--input", f"{name}={path}"]
        results = self.folder / "results"
        results.mkdir(exist_ok=True)
        start = time.time()
        done = subprocess.run([*command, "--output", f"{results}/"], capture_output=True, text=True)
        seconds = time.time() - start
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: milc run fails\n{done.stdout}{done.stderr}")
        return {name: np.load(results / f"{name}.npy") for name in outputs}, seconds


def computed(function):
    """Results of ops that are no constants."""
    return [(op, name) for op in function.ops if op.kind != "const" for type, name in op.results
            if type.dtype in NUMPY and type.dtype != "string"]


# Epsilons that an op may be off: fp16 a rounding that an fp32 sum turned over, fp32 such a sum.
OP_LIMITS = {"fp16": 1.5, "fp32": 16.0}


def compare_ops(program, feeds, got):
    """The worst op, computed from the operands that milc had: error by limit, error, op, result."""
    scope, worst = dict(feeds), (0.0, 0.0, "", "")
    for op in program.function.ops:
        wanted = program.op(op, scope)
        for (type, name), want in zip(op.results, wanted):
            scope[name] = want
            if name in got:
                scope[name] = Value(want.dtype, got[name])
                error = off_by(got[name], want.data, want.dtype)
                limit = OP_LIMITS.get(want.dtype, 0.5)  # integers: elements that differ
                worst = max(worst, (error / limit, error, op.kind, name))
    return worst


def grain(function):
    """The coarsest dtype that anything is rounded to."""
    dtypes = {type.dtype for op in function.ops for type, _ in op.results if op.kind != "const"}
    return "fp16" if "fp16" in dtypes else "fp32"


def compare_run(tool, corpus, name, program, kind):
    """Shows how far milc is from numpy; returns the worst error of an op by its limit."""
    function = program.function
    feeds = feeds_of(function, kind)
    with tempfile.TemporaryDirectory() as folder:
        milc = Milc(tool, corpus, name, pathlib.Path(folder))
        got, seconds = milc.run(program, feeds, function.outputs)
        everything, _ = milc.run(program, feeds, [n for _, n in computed(function)])
    by_limit, error, op_kind, result = compare_ops(program, feeds, everything)
    rounded, truth = program.run(feeds), program.run(feeds, is_truth=True)
    print(f"{name} {function.name} {kind}: {seconds:.2f} s; worst op {op_kind} '{result}' is off "
          f"by {error:.3g} epsilons of its dtype")
    for out in function.outputs:
        dtype = grain(function) if rounded[out].dtype in FLOATS else rounded[out].dtype
        errors = [off_by(got[out], one[out].data, dtype) for one in (rounded, truth)]
        print(f"  {out}: off by {errors[0]:.3g} epsilons of {dtype} from rounded, {errors[1]:.3g} "
              f"from truth; at most {np.abs(got[out]).max():.4g}")
        if not np.array_equal(got[out], everything[out], equal_nan=True):
            print("  it has other values when all values are outputs")
            by_limit = float("inf")
    sys.stdout.flush()
    return by_limit


def compare(tool, corpus, name):
    kinds = INPUTS if name in VOICE_ACTIVITY else INPUTS[:1]
    return max(compare_run(tool, corpus, name, program, kind)
               for program in load(corpus, name) for kind in kinds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--compare", metavar="MILC")
    parser.add_argument("names", nargs="*", default=VOICE_ACTIVITY)
    args = parser.parse_intermixed_args()
    if args.compare:
        return 3 if max(compare(args.compare, args.corpus, n) for n in args.names) > 1 else 0
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(golden_text(args.corpus))
    return 0


if __name__ == "__main__":
    sys.exit(main())
