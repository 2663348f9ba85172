"""What the families of evaluation cases share: values, arguments, formulas, how a case is written.

A value holds float64, int64, bool or text. Floats are rounded to their dtype, to nearest even, when
a value is made and at no other place, so that what a formula computes is rounded once.
"""

import json
import math
import zlib

import numpy as np

ORIGIN = "numpy float64, op_cases.py"
FLOATS = {"fp16": np.float16, "fp32": np.float32, "fp64": np.float64}
EXACT = {"rtol": 0, "atol": 0}
# A few units in the last place of what one operation rounds, and of what a sum of products does.
POINTWISE = {"fp16": {"rtol": 1e-3, "atol": 1e-6}, "fp32": {"rtol": 1e-6, "atol": 2e-7}}
SUMS = {"fp16": {"rtol": 2e-3, "atol": 1e-3}, "fp32": {"rtol": 1e-5, "atol": 1e-5}}

FORMULAS = {}


def formula(*ops):
    """Registers a function of Arguments that gives a Value or a list of them."""

    def register(function):
        for op in ops:
            assert op not in FORMULAS, op
            FORMULAS[op] = function
        return function

    return register


def rounded(dtype, data):
    if dtype in FLOATS:
        with np.errstate(all="ignore"):
            return np.asarray(data, np.float64).astype(FLOATS[dtype]).astype(np.float64)
    if dtype == "bool":
        return np.asarray(data, bool)
    if dtype == "string":
        return np.asarray(data, object)
    return np.asarray(data, np.int64)


class Value:
    def __init__(self, dtype, data):
        self.dtype = dtype
        self.data = rounded(dtype, data)

    @property
    def shape(self):
        return self.data.shape


class ListValue:
    """A list of tensors of one type."""

    def __init__(self, dtype, shape, items):
        self.dtype = dtype
        self.shape = tuple(shape)
        self.items = items


class DictValue:
    def __init__(self, pairs):
        self.pairs = pairs


class Arguments:
    """The operands of one op by name; those of a variadic argument as a list."""

    def __init__(self, op, opset, values):
        self.op = op
        self.opset = opset  # 15 .. 18
        self.values = values

    def has(self, name):
        return name in self.values

    def __getitem__(self, name):
        return self.values[name].data

    def dtype(self, name):
        return self.values[name].dtype

    def tuple(self, name):
        return self.values[name]

    def get(self, name, default=None):
        return self[name] if self.has(name) else default

    def number(self, name, default, like="x"):
        """A scalar; the default is rounded to the dtype of `like`, as a program writes it."""
        if self.has(name):
            return self[name].reshape(()).item()
        return rounded(self.dtype(like), default).item()

    def integer(self, name, default=None):
        return int(self[name].reshape(())) if self.has(name) else default

    def integers(self, name, default=None):
        return [int(n) for n in self[name].reshape(-1)] if self.has(name) else default

    def flag(self, name, default=False):
        return bool(self[name].reshape(())) if self.has(name) else default

    def flags(self, name, count):
        return [bool(b) for b in self[name].reshape(-1)] if self.has(name) else [False] * count

    def text(self, name, default=None):
        return str(self[name].reshape(())) if self.has(name) else default

    def out(self, data, like="x"):
        return Value(self.dtype(like), data)


def evaluate(op, opset, values):
    with np.errstate(all="ignore"):
        result = FORMULAS[op](Arguments(op, opset, values))
    return result if isinstance(result, list) else [result]


# --- JSON. ---


def element(dtype, item):
    if dtype == "bool":
        return bool(item)
    if dtype == "string":
        return str(item)
    if dtype not in FLOATS:
        return int(item)
    if not np.isfinite(item):
        return "nan" if np.isnan(item) else "inf" if item > 0 else "-inf"
    number = float(str(FLOATS[dtype](item)))  # the shortest decimal of the dtype
    assert FLOATS[dtype](number) == FLOATS[dtype](item)
    is_short = number == int(number) and abs(number) < 1e9 and str(number) != "-0.0"
    return int(number) if is_short else number


def to_json(value):
    if isinstance(value, list):
        return [to_json(one) for one in value]
    if isinstance(value, DictValue):
        return {"dict": [[key, item] for key, item in value.pairs]}
    data = [element(value.dtype, item) for item in value.data.reshape(-1)]
    return {"dtype": value.dtype, "shape": list(value.shape), "data": data}


def from_json(item):
    if isinstance(item, list):
        return [from_json(one) for one in item]
    if "const_list" in item:
        return Value(item["const_list"]["dtype"], item["const_list"]["data"])
    if "dict" in item:
        return DictValue([(key, value) for key, value in item["dict"]])
    dtype = item["dtype"]
    data = item["data"]
    if dtype in FLOATS:
        data = [float(one) for one in data]
    return Value(dtype, rounded(dtype, data).reshape(item["shape"]))


def opset_number(name):
    return int(name.removeprefix("iOS"))


# --- Operands of cases. ---


def tensor(dtype, data, shape=None):
    value = Value(dtype, data)
    if shape is not None:
        value.data = value.data.reshape(shape)
    return value


def i32(data, shape=None):
    return tensor("int32", data, shape)


def yes(flag=True):
    return tensor("bool", flag)


def text(word):
    return tensor("string", word)


class Draw:
    """Numbers of a case; RandomState gives the same ones with every numpy."""

    def __init__(self, name):
        self.state = np.random.RandomState(zlib.crc32(name.encode()))

    def floats(self, dtype, shape, low=-2.5, high=2.5, parts=100):
        """Multiples of 1 / `parts`: short decimals, of which few are exact, so that what is
        computed from them has to be rounded. Of a power of 2 all are."""
        first, last = math.ceil(low * parts), math.floor(high * parts)
        return Value(dtype, self.state.randint(first, last + 1, size=shape) / parts)

    def apart(self, dtype, shape, step=1 / 16):
        """Different numbers, so that an order of them has no ties."""
        count = int(np.prod(shape, dtype=int))
        return tensor(dtype, (self.state.permutation(count) - count // 2) * step, shape)

    def ints(self, dtype, shape, low=-9, high=9):
        return Value(dtype, self.state.randint(low, high + 1, size=shape))

    def bools(self, shape):
        return Value("bool", self.state.randint(0, 2, size=shape))

    def values(self, dtype, shape):
        if dtype == "bool":
            return self.bools(shape)
        if dtype in FLOATS:
            return self.floats(dtype, shape)
        return self.ints(dtype, shape, 0 if dtype.startswith("u") else -9, 9)


class Cases:
    """The cases of one family, in order."""

    def __init__(self, family):
        self.family = family
        self.lines = []
        self.counts = {}

    def draw(self, op):
        return Draw(f"{op}/{self.counts.get(op, 0)}")

    def head(self, op, opset, dtype):
        number = self.counts.get(op, 0)
        self.counts[op] = number + 1
        return {"id": f"{op}/{opset}/own/{number:03}", "op": op, "opset": opset, "dtype": dtype}

    def add(self, op, opset, inputs, attrs=None, tol=None):
        """One op. `inputs` are its run-time operands, `attrs` its constants; `tol` is by the dtype
        of the first result."""
        attrs = attrs or {}
        results = evaluate(op, opset_number(opset), {**inputs, **attrs})
        dtype = next((v[0] if isinstance(v, list) else v).dtype for v in [*inputs.values(),
                                                                         *attrs.values()])
        line = self.head(op, opset, dtype)
        line["inputs"] = {name: to_json(value) for name, value in inputs.items()}
        line["attrs"] = {name: to_json(value) for name, value in attrs.items()}
        if op == "classify":  # its only constant is a list, which has no shape
            classes = line["attrs"]["classes"]
            line["attrs"]["classes"] = {"const_list": {"dtype": classes["dtype"],
                                                       "data": classes["data"]}}
        line["outputs"] = [to_json(result) for result in results]
        self.finish(line, tol.get(results[0].dtype, EXACT) if tol and tol is not EXACT else EXACT)

    def finish(self, line, tol):
        line["tol"] = tol
        line["sources"] = [ORIGIN]
        self.lines.append(json.dumps(line, separators=(",", ":")))

    def text(self):
        head = json.dumps({"origin": ORIGIN, "family": self.family})
        return "\n".join([head, *self.lines]) + "\n"
