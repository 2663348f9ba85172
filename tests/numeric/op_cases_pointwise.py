"""Ops that compute each element from the elements at its place."""

import math

import numpy as np

from op_cases_common import EXACT, POINTWISE, Value, formula, i32, tensor, text

FAMILY = "pointwise"

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))),
                    np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


UNARY = {
    "abs": np.abs,
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": erf,
    "exp": np.exp,
    "exp2": lambda x: np.exp2(x.astype(np.float64)),
    "floor": np.floor,
    "identity": lambda x: x,
    "logical_not": np.logical_not,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": np.rint,  # halves to even
    "sigmoid": sigmoid,
    "sign": np.sign,
    "silu": lambda x: x * sigmoid(x),
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
}


@formula(*UNARY)
def unary(a):
    return a.out(UNARY[a.op](a["x"]))


@formula("clip")
def clip(a):
    return a.out(np.minimum(np.maximum(a["x"], a.number("alpha", 0)), a.number("beta", 0)))


@formula("threshold")
def threshold(a):
    return a.out(np.maximum(a["x"], a["alpha"]))


@formula("inverse")
def inverse(a):
    return a.out(1 / (a["x"] + a.number("epsilon", 1e-4)))


@formula("log")
def log(a):
    return a.out(np.log(a["x"] + a.number("epsilon", 1e-45)))


@formula("rsqrt")
def rsqrt(a):
    return a.out(1 / np.sqrt(a["x"] + a.number("epsilon", 1e-12)))


@formula("cast")
def cast(a):
    x, dtype = a["x"], a.text("dtype")
    if dtype == "bool":
        return Value(dtype, x != 0)
    if dtype in ("fp16", "fp32"):
        return Value(dtype, x)
    return Value(dtype, np.trunc(x))


# --- Activations. ---


def channels(a, name):
    """A vector of one number a channel, dim 1 of x."""
    return a[name].reshape([-1] + [1] * (a["x"].ndim - 2))


@formula("clamped_relu")
def clamped_relu(a):
    x = a["x"]
    return a.out(np.minimum(a["beta"], np.where(x >= 0, x, a["alpha"] * x)))


@formula("elu")
def elu(a):
    x = a["x"]
    return a.out(np.where(x > 0, x, a["alpha"] * np.expm1(x)))


@formula("gelu")
def gelu(a):
    x, mode = a["x"], a.text("mode", "EXACT")
    if mode == "EXACT":
        return a.out(0.5 * x * (1 + erf(x / math.sqrt(2))))
    if mode == "TANH_APPROXIMATION":
        return a.out(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return a.out(x * sigmoid(1.702 * x))


@formula("leaky_relu")
def leaky_relu(a):
    x = a["x"]
    return a.out(np.where(x >= 0, x, a["alpha"] * x))


@formula("prelu")
def prelu(a):
    x = a["x"]
    return a.out(np.where(x >= 0, x, channels(a, "alpha") * x))


@formula("linear_activation")
def linear_activation(a):
    return a.out(a["alpha"] * a["x"] + a["beta"])


@formula("scaled_tanh")
def scaled_tanh(a):
    return a.out(a["alpha"] * np.tanh(a["beta"] * a["x"]))


@formula("sigmoid_hard")
def sigmoid_hard(a):
    return a.out(np.minimum(np.maximum(a["alpha"] * a["x"] + a["beta"], 0), 1))


@formula("softplus_parametric")
def softplus_parametric(a):
    return a.out(channels(a, "alpha") * softplus(channels(a, "beta") * a["x"]))


@formula("thresholded_relu")
def thresholded_relu(a):
    x = a["x"]
    return a.out(np.where(x >= a["alpha"], x, 0))


# --- Two operands. ---


def floor_div(x, y):
    return x // y if x.dtype == np.int64 else np.floor(x / y)


def real_div(x, y):
    return np.trunc(x / y).astype(np.int64) if x.dtype == np.int64 else x / y


BINARY = {
    "add": np.add,
    "floor_div": floor_div,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": lambda x, y: x - y * floor_div(x, y),
    "mul": np.multiply,
    "pow": np.power,
    "real_div": real_div,
    "sub": np.subtract,
}
COMPARISONS = {
    "equal": np.equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "not_equal": np.not_equal,
}


@formula(*BINARY)
def binary(a):
    return a.out(BINARY[a.op](a["x"], a["y"]))


@formula(*COMPARISONS)
def comparison(a):
    return Value("bool", COMPARISONS[a.op](a["x"], a["y"]))


@formula("select")
def select(a):
    return a.out(np.where(a["cond"], a["a"], a["b"]), "a")


# --- Cases. ---

# Where an op is defined and does not overflow, and the numbers at which it turns.
RANGES = {
    "acos": (-1, 1),
    "asin": (-1, 1),
    "atanh": (-0.9921875, 0.9921875),
    "cosh": (-6, 6),
    "exp": (-8, 8),
    "exp2": (-9, 9),
    "inverse": (0.125, 4),
    "log": (0.03125, 8),
    "rsqrt": (0.03125, 8),
    "sinh": (-6, 6),
    "sqrt": (0, 9),
    "tan": (-1.375, 1.375),
    "tanh": (-6, 6),
}
UNROUNDED = {"abs", "ceil", "floor", "identity", "logical_not", "relu", "relu6", "round", "sign"}
PARAMETERS = {
    "clamped_relu": {"alpha": 0.25, "beta": 1.5},
    "clip": {"alpha": -0.75, "beta": 1.25},
    "elu": {"alpha": 0.625},
    "leaky_relu": {"alpha": 0.1},
    "linear_activation": {"alpha": 1.3, "beta": -0.7},
    "scaled_tanh": {"alpha": 1.7, "beta": 0.65},
    "sigmoid_hard": {"alpha": 0.2, "beta": 0.5},
    "threshold": {"alpha": 0.375},
    "thresholded_relu": {"alpha": 0.75},
}
OWN_DTYPE_SINCE_17 = set(PARAMETERS) - {"clip", "threshold"}
INF = float("inf")
# IEEE results of the formulas: what a range check or a shortcut would get wrong.
SPECIAL = {
    "abs": [-INF, -0.0, 6e-8, -65504],
    "acos": [-1, 1, 0, -0.0],
    "asin": [-1, 1, 0, 0.5],
    "atan": [-INF, INF, 0, 60000],
    "atanh": [-1, 1, 0, 6.104e-5],
    "ceil": [-0.5, 0.5, -INF, 2049],
    "cos": [0, 3.140625, 1000, -30000],
    "cosh": [0, -INF, 12, -12],
    "erf": [-INF, INF, 0, 4],
    "exp": [-INF, INF, 0, 12],
    "exp2": [-INF, INF, -24, 15],
    "floor": [-0.5, 0.5, INF, 2049],
    "leaky_relu": [-INF, INF, -0.0, 65504],
    "log": [INF, 1, 6e-8, 65504],
    "relu": [-INF, INF, 6e-8, -6e-8],
    "relu6": [-INF, INF, 6, 5.996],
    "round": [0.5, 1.5, -2.5, -0.4],
    "sigmoid": [-INF, INF, -20, 20],
    "sign": [0, 6e-8, -6e-8, -INF],
    "silu": [0, 60000, -60000, 20],
    "sin": [0, 3.140625, 1000, -30000],
    "sinh": [0, -INF, 12, -12],
    "softplus": [-INF, 60000, 0, -16],
    "softsign": [0, 65504, -65504, 6e-8],
    "sqrt": [INF, 6e-8, 0, 65504],
    "square": [-INF, 256, 6e-8, 255.75],
    "tan": [0, 1.5, -1.5, 100],
    "tanh": [-INF, INF, 6e-8, -20],
}


def unary_cases(cases, op):
    if op == "logical_not":
        for shape in ([], [3, 1, 5]):
            cases.add(op, "iOS15", {"x": cases.draw(op).bools(shape)})
        return
    tol = EXACT if op in UNROUNDED else POINTWISE
    plan = [("iOS15", "fp32", [2, 3, 1, 2]), ("iOS16", "fp16", [17]), ("iOS18", "fp16", [2, 1, 3]),
            ("iOS17", "fp32", [])]
    for opset, dtype, shape in plan[:2 if op in SPECIAL else 4]:
        draw = cases.draw(op)
        low, high = RANGES.get(op, (-3, 3))
        x = draw.floats(dtype, shape, low, high)
        cases.add(op, opset, {"x": x}, parameters(op, opset, dtype), tol)
    for dtype in ("fp16", "fp32"):
        if op in SPECIAL:
            x = tensor(dtype, SPECIAL[op])
            cases.add(op, "iOS15", {"x": x}, parameters(op, "iOS15", dtype), tol)


def parameters(op, opset, dtype):
    """From iOS17 on parameters have a dtype of their own."""
    if op in OWN_DTYPE_SINCE_17 and opset == "iOS17":
        dtype = "fp16" if dtype == "fp32" else "fp32"
    return {name: tensor(dtype, number) for name, number in PARAMETERS.get(op, {}).items()}


def epsilon_cases(cases):
    for op in ("inverse", "log", "rsqrt"):
        for opset, dtype, epsilon_dtype, epsilon in (("iOS15", "fp32", "fp32", 0.5),
                                                     ("iOS16", "fp16", "fp16", 1e-3),
                                                     ("iOS17", "fp16", "fp32", 0.1)):
            x = cases.draw(op).floats(dtype, [3, 7], *RANGES[op])
            cases.add(op, opset, {"x": x}, {"epsilon": tensor(epsilon_dtype, epsilon)}, POINTWISE)


def integer_cases(cases):
    for op in ("abs", "exp2", "identity", "sign", "square", "threshold"):
        x = cases.draw(op).ints("int32", [2, 7], 0 if op == "exp2" else -9, 12)
        cases.add(op, "iOS15", {"x": x}, {"alpha": i32(2)} if op == "threshold" else {})
    cases.add("abs", "iOS18", {"x": i32([-2147483647, 2147483647])})


def channel_cases(cases):
    for opset, dtype, shape in (("iOS15", "fp32", [2, 3, 2, 2]), ("iOS16", "fp16", [1, 4, 3, 2]),
                                ("iOS17", "fp16", [2, 2, 1, 5])):
        own = "fp32" if opset == "iOS17" else dtype
        draw = cases.draw("prelu")
        cases.add("prelu", opset, {"x": draw.floats(dtype, shape)},
                  {"alpha": draw.floats(own, [shape[1]])}, POINTWISE)
        draw = cases.draw("softplus_parametric")
        cases.add("softplus_parametric", opset, {"x": draw.floats(dtype, shape)},
                  {"alpha": draw.floats(own, [shape[1]]), "beta": draw.floats(own, [shape[1]])},
                  POINTWISE)
    for shape in ([2, 3, 4], [1, 3, 2, 1, 2]):  # of these ranks all slopes are one
        x = cases.draw("prelu").floats("fp32", shape)
        cases.add("prelu", "iOS15", {"x": x}, {"alpha": tensor("fp32", [0.3] * 3)}, POINTWISE)
    x = cases.draw("softplus_parametric").floats("fp32", [2, 2, 3])
    cases.add("softplus_parametric", "iOS15", {"x": x},
              {"alpha": tensor("fp32", [1.5, -0.5]), "beta": tensor("fp32", [40, -3])}, POINTWISE)


def gelu_cases(cases):
    for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
        for dtype in ("fp16", "fp32"):
            x = cases.draw("gelu").floats(dtype, [2, 5], -5, 5)
            cases.add("gelu", "iOS15", {"x": x}, {"mode": text(mode)}, POINTWISE)


def cast_cases(cases):
    numbers = [-3.75, -1, -0.5, 0, 0.25, 1.999, 7, 100.5]
    for source, dtype in (("fp16", "fp32"), ("fp32", "int32"), ("fp16", "bool"), ("fp32", "fp16"),
                          ("fp16", "int32")):
        cases.add("cast", "iOS15", {"x": tensor(source, numbers, [2, 4])}, {"dtype": text(dtype)})
    cases.add("cast", "iOS15", {"x": tensor("fp32", [65519.5, 65520, 1e-8, 3e-8, -1e6, 2049])},
              {"dtype": text("fp16")})
    cases.add("cast", "iOS15", {"x": tensor("fp32", [INF, -INF, float("nan"), -0.0])},
              {"dtype": text("fp16")})
    cases.add("cast", "iOS15", {"x": i32([-70000, 2047, 2049, 65520])}, {"dtype": text("fp16")})
    cases.add("cast", "iOS15", {"x": i32([16777217, -16777219, 2147483647])},
              {"dtype": text("fp32")})
    cases.add("cast", "iOS15", {"x": tensor("bool", [[True, False]])}, {"dtype": text("int32")})
    for source, dtype in (("fp32", "int8"), ("fp16", "uint8"), ("int8", "fp16"), ("uint16", "fp32"),
                          ("int16", "int32"), ("int32", "uint16"), ("uint8", "bool"),
                          ("fp32", "int16")):
        low = 0 if "u" in source + dtype else -90
        x = cases.draw("cast").ints("int32", [3, 4], low, 90)
        cases.add("cast", "iOS17", {"x": Value(source, x.data)}, {"dtype": text(dtype)})


BROADCASTS = [([2, 7], [2, 7]), ([2, 1, 4], [3, 1]), ([], [5]), ([1, 2, 1, 2, 1], [2, 1, 3, 1, 2])]
ROUNDED_BINARY = {"add", "mod", "mul", "pow", "real_div", "sub"}


def binary_cases(cases):
    for op in sorted({**BINARY, **COMPARISONS}):
        for number, (left, right) in enumerate(BROADCASTS):
            opset = ("iOS15", "iOS16", "iOS17", "iOS18")[number]
            if op.startswith("logical"):
                draw = cases.draw(op)
                cases.add(op, opset, {"x": draw.bools(left), "y": draw.bools(right)})
                continue
            dtype = ("fp32", "fp16", "int32", "fp16")[number]
            x, y = binary_operands(cases.draw(op), op, dtype, left, right)
            tol = POINTWISE if op in ROUNDED_BINARY else EXACT
            # One operand may be a constant, at either side.
            if number == 2:
                cases.add(op, opset, {"y": y}, {"x": x}, tol)
            elif number == 3:
                cases.add(op, opset, {"x": x}, {"y": y}, tol)
            else:
                cases.add(op, opset, {"x": x, "y": y}, {}, tol)


def binary_operands(draw, op, dtype, left, right):
    divides = op in ("floor_div", "mod", "real_div")
    if dtype == "int32":
        x, y = draw.ints(dtype, left), draw.ints(dtype, right)
        if op == "pow":
            x, y = draw.ints(dtype, left, -4, 4), draw.ints(dtype, right, 0, 5)
        if divides:
            y.data[()] = np.where(y.data == 0, 7, y.data)
        return x, y
    if op == "pow":
        return draw.floats(dtype, left, 0.25, 3), draw.floats(dtype, right, -3, 3)
    if op in COMPARISONS:  # few numbers, so that some are equal
        return draw.floats(dtype, left, -1, 1, 2), draw.floats(dtype, right, -1, 1, 2)
    x, y = draw.floats(dtype, left), draw.floats(dtype, right)
    if divides:  # away from 0 and, with quarters, exact
        x, y = draw.floats(dtype, left, -6, 6, 4), draw.floats(dtype, right, 0.75, 2.5, 4)
        y.data[()] = y.data * draw.state.choice([-1, 1], size=right)
    return x, y


def special_binary_cases(cases):
    nan = float("nan")
    left, right = [INF, -INF, nan, 0.0, -0.0, 65504], [INF, 1, 1, -0.0, -0.0, 65504]
    for number, op in enumerate([*sorted(COMPARISONS), "add", "sub", "mul"]):
        dtype = ("fp16", "fp32")[number % 2]
        cases.add(op, "iOS15", {"x": tensor(dtype, left), "y": tensor(dtype, right)})
    cases.add("real_div", "iOS15", {"x": tensor("fp16", [1, -1, 0, 65504, INF, 1]),
                                    "y": tensor("fp16", [0, 0, 0, 0.5, INF, 3])}, {}, POINTWISE)
    cases.add("pow", "iOS15", {"x": tensor("fp32", [-2, -2, 0, 0, INF, 2, -1, 4]),
                               "y": tensor("fp32", [3, 2, 0, 2, -1, -2, 5, 0.5])}, {}, POINTWISE)
    cases.add("real_div", "iOS15", {"x": i32([7, -7, 7, -7]), "y": i32([2, 2, -2, -2])})
    cases.add("floor_div", "iOS15", {"x": i32([7, -7, 7, -7]), "y": i32([2, 2, -2, -2])})
    cases.add("mod", "iOS15", {"x": i32([7, -7, 7, -7]), "y": i32([2, 3, -2, -3])})
    for op in ("maximum", "minimum"):
        cases.add(op, "iOS15",
                  {"x": tensor("fp16", [INF, -INF, 3]), "y": tensor("fp16", [1, 1, INF])})


def select_cases(cases):
    for dtype, left, right in (("fp32", [2, 3], [2, 3]), ("fp16", [2, 1, 3], [2, 4, 1]),
                               ("int32", [4], []), ("bool", [2, 2], [2, 2])):
        draw = cases.draw("select")
        shape = np.broadcast_shapes(tuple(left), tuple(right))
        cases.add("select", "iOS15", {"cond": draw.bools(shape), "a": draw.values(dtype, left),
                                      "b": draw.values(dtype, right)})
    cases.add("select", "iOS18", {"cond": tensor("bool", [True, False]),
                                  "a": tensor("fp16", [1, float("nan")]),
                                  "b": tensor("fp16", [INF, 2])})


def add_cases(cases):
    for op in sorted([*UNARY, *PARAMETERS, "inverse", "log", "rsqrt"]):
        unary_cases(cases, op)
    epsilon_cases(cases)
    integer_cases(cases)
    channel_cases(cases)
    gelu_cases(cases)
    cast_cases(cases)
    binary_cases(cases)
    special_binary_cases(cases)
    select_cases(cases)
