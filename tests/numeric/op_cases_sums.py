"""Ops that add up: products, windows, norms, reductions, recurrent layers, attention."""

import itertools
import math

import numpy as np

from op_cases_common import (EXACT, POINTWISE, SUMS, Value, formula, i32, tensor, text, yes)
from op_cases_pointwise import sigmoid

FAMILY = "sums"


# --- Products. ---


@formula("linear")
def linear(a):
    out = a["x"] @ a["weight"].T
    return a.out(out + a["bias"] if a.has("bias") else out)


@formula("matmul")
def matmul(a):
    x = np.swapaxes(a["x"], -1, -2) if a.flag("transpose_x") else a["x"]
    y = np.swapaxes(a["y"], -1, -2) if a.flag("transpose_y") else a["y"]
    return a.out(x @ y)


@formula("einsum")
def einsum(a):
    x, y = a.tuple("values")
    spec = "nchw,nwhu->nchu" if x.data.ndim == 4 else "chw,whr->chr"
    # Letters of a size 1 dim may stand for a longer one on the other side.
    batch = np.broadcast_shapes(*[(v.shape[0] if v.data.ndim == 4 else 1,) for v in (x, y)])
    height = max(x.shape[-2], y.shape[-2])
    left = np.broadcast_to(x.data, (*batch, x.shape[-3], height, x.shape[-1])[4 - x.data.ndim:])
    right = np.broadcast_to(y.data, (*batch, y.shape[-3], height, y.shape[-1])[4 - y.data.ndim:])
    return Value(x.dtype, np.einsum(spec, left, right))


# --- Windows. ---


def window_pads(a, spatial, kernel, strides, dilations):
    """Pairs of padding by pad_type; what `same` cannot halve goes behind, same_lower in front."""
    kind = a.text("pad_type", "valid").lower()
    if kind == "custom":
        return np.array(a.integers("pad", [0] * (2 * len(spatial)))).reshape(-1, 2).tolist()
    if kind == "valid":
        return [[0, 0] for _ in spatial]
    pads = []
    for size, k, s, d in zip(spatial, kernel, strides, dilations):
        total = max(0, (math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size)
        small, large = total // 2, total - total // 2
        pads.append([large, small] if kind == "same_lower" else [small, large])
    return pads


def padded(x, pads, number):
    return np.pad(x, [(0, 0), (0, 0), *map(tuple, pads)], constant_values=number)


def convolve(x, weight, strides, dilations, groups):
    """x [N, C, ...] is padded already."""
    spatial = x.shape[2:]
    kernel = weight.shape[2:]
    sizes = [(n - (k - 1) * d - 1) // s + 1
             for n, k, s, d in zip(spatial, kernel, strides, dilations)]
    out = np.zeros([x.shape[0], weight.shape[0], *sizes], x.dtype)
    per_group = weight.shape[0] // groups
    for channel in range(weight.shape[0]):
        first = channel // per_group * weight.shape[1]
        for tap in itertools.product(*map(range, kernel)):
            view = x[:, first:first + weight.shape[1]][(slice(None), slice(None), *(
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, dilations, sizes, strides)))]
            factors = weight[(channel, slice(None), *tap)].reshape([1, -1] + [1] * len(kernel))
            out[:, channel] += (view * factors).sum(axis=1)
    return out


def with_bias(a, out, bias):
    return out if bias is None else out + bias.reshape([-1] + [1] * (out.ndim - 2))


def conv_of(a, weight):
    x = a["x"]
    rank = x.ndim - 2
    strides, dilations = a.integers("strides", [1] * rank), a.integers("dilations", [1] * rank)
    pads = window_pads(a, x.shape[2:], weight.shape[2:], strides, dilations)
    out = convolve(padded(x, pads, 0), weight, strides, dilations, a.integer("groups", 1))
    return a.out(with_bias(a, out, a.get("bias")))


@formula("conv")
def conv(a):
    return conv_of(a, a["weight"])


@formula("conv_quantized")
def conv_quantized(a):
    """The weight is quant_scale * stored + quant_bias, per output channel or one for all."""
    shape = [-1] + [1] * (a["weight"].ndim - 1)
    weight = a["weight"] * a["quant_scale"].reshape(shape) + a["quant_bias"].reshape(shape)
    return conv_of(a, weight)


@formula("conv_transpose")
def conv_transpose(a):
    x, weight = a["x"], a["weight"]
    rank = x.ndim - 2
    strides, dilations = a.integers("strides", [1] * rank), a.integers("dilations", [1] * rank)
    groups = a.integer("groups", 1)
    kernel = weight.shape[2:]
    full = [(n - 1) * s + (k - 1) * d + 1
            for n, s, k, d in zip(x.shape[2:], strides, kernel, dilations)]
    out = np.zeros([x.shape[0], weight.shape[1] * groups, *full])
    for channel in range(weight.shape[0]):
        first = channel // (weight.shape[0] // groups) * weight.shape[1]
        for tap in itertools.product(*map(range, kernel)):
            place = tuple(slice(t * d, t * d + (n - 1) * s + 1, s)
                          for t, d, n, s in zip(tap, dilations, x.shape[2:], strides))
            for other in range(weight.shape[1]):
                out[(slice(None), first + other, *place)] += (x[:, channel] *
                                                             weight[(channel, other, *tap)])
    sizes, fronts = transposed_window(a, x, full, strides)
    for i, (size, front) in enumerate(zip(sizes, fronts)):
        out = np.pad(out, [(0, max(0, size + front - out.shape[axis]) if axis == i + 2 else 0)
                           for axis in range(out.ndim)])
        out = np.take(out, range(front, front + size), axis=i + 2)
    return a.out(with_bias(a, out, a.get("bias")))


def transposed_window(a, x, full, strides):
    """Which part of the full result is given: its sizes and where it begins."""
    kind = a.text("pad_type", "valid").lower()
    rank = len(full)
    pads = a.integers("pad", [0] * (2 * rank)) if kind == "custom" else [0] * (2 * rank)
    sizes = [n - pads[2 * i] - pads[2 * i + 1] for i, n in enumerate(full)]
    if kind.startswith("same"):
        sizes = [n * s for n, s in zip(x.shape[2:], strides)]
    if a.has("output_shape"):
        sizes = a.integers("output_shape")[-rank:]
    fronts = [pads[2 * i] for i in range(rank)]
    if kind.startswith("same"):
        total = [max(0, n - size) for n, size in zip(full, sizes)]
        fronts = [n - n // 2 if kind == "same_lower" else n // 2 for n in total]
    return sizes, fronts


@formula("avg_pool", "l2_pool", "max_pool")
def pool(a):
    x = a["x"]
    kernel = a.integers("kernel_sizes")
    rank = len(kernel)
    strides = a.integers("strides", [1] * rank)
    pads = window_pads(a, x.shape[2:], kernel, strides, [1] * rank)
    is_ceil = a.flag("ceil_mode")
    sizes = []
    for n, k, s, (front, back) in zip(x.shape[2:], kernel, strides, pads):
        size = (n + front + back - k) // s + 1
        if is_ceil:
            size = (n + front + back - k + s - 1) // s + 1
            if (size - 1) * s >= n + front and front + back > 0:
                size -= 1
        sizes.append(size)
    out = np.zeros([*x.shape[:2], *sizes])
    for place in itertools.product(*map(range, sizes)):
        starts = [p * s - front for p, s, (front, _) in zip(place, strides, pads)]
        ends = [begin + k for begin, k in zip(starts, kernel)]
        inside = tuple(slice(max(0, begin), min(n, end))
                       for begin, end, n in zip(starts, ends, x.shape[2:]))
        part = x[(slice(None), slice(None), *inside)].reshape(*x.shape[:2], -1)
        if a.op == "max_pool":
            result = part.max(axis=2)
        elif a.op == "l2_pool":
            result = np.sqrt(np.square(part).sum(axis=2))
        else:
            # Padding counts, but not what ceil_mode reaches beyond it.
            counted = math.prod(min(end, n + back) - begin
                                for begin, end, n,
                                (_, back) in zip(starts, ends, x.shape[2:], pads))
            if a.flag("exclude_padding_from_average"):
                counted = part.shape[2]
            result = part.sum(axis=2) / counted
        out[(slice(None), slice(None), *place)] = result
    return a.out(out)


# --- Norms. ---


def per_channel(a, name, default, rank):
    return a[name].reshape([-1] + [1] * (rank - 2)) if a.has(name) else default


@formula("batch_norm")
def batch_norm(a):
    x = a["x"]
    # Without a batch, [C, H, W] has its channels in front as well.
    part = {name: per_channel(a, name, default, x.ndim)
            for name, default in (("mean", 0), ("variance", 1), ("gamma", 1), ("beta", 0))}
    epsilon = a.number("epsilon", 1e-5)
    return a.out((x - part["mean"]) / np.sqrt(part["variance"] + epsilon) * part["gamma"] +
                 part["beta"])


def normalized(x, axes, epsilon):
    mean = x.mean(axis=axes, keepdims=True)
    variance = np.square(x - mean).mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


@formula("instance_norm")
def instance_norm(a):
    x = a["x"]
    out = normalized(x, tuple(range(2, x.ndim)), a.number("epsilon", 1e-5))
    return a.out(out * per_channel(a, "gamma", 1, x.ndim) + per_channel(a, "beta", 0, x.ndim))


@formula("layer_norm")
def layer_norm(a):
    x = a["x"]
    axes = sorted(n % x.ndim for n in a.integers("axes", range(x.ndim)))
    out = normalized(x, tuple(axes), a.number("epsilon", 1e-5))
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    gamma = a["gamma"].reshape(shape) if a.has("gamma") else 1
    beta = a["beta"].reshape(shape) if a.has("beta") else 0
    return a.out(out * gamma + beta)


@formula("l2_norm")
def l2_norm(a):
    x = a["x"]
    total = np.square(x).sum(axis=(-3, -2, -1), keepdims=True)
    return a.out(x / np.sqrt(total + a.number("epsilon", 1e-6)))


@formula("local_response_norm")
def local_response_norm(a):
    x, size = a["x"], a.integer("size")
    alpha, beta, k = a.number("alpha", 1e-4), a.number("beta", 0.75), a.number("k", 1)
    squares = np.square(x)
    total = np.zeros_like(x)
    count = x.shape[-3]
    for channel in range(count):
        low, high = max(0, channel - size // 2), min(count, channel + (size - 1) // 2 + 1)
        total[..., channel, :, :] = squares[..., low:high, :, :].sum(axis=-3)
    return a.out(x / (k + alpha / size * total)**beta)


@formula("softmax")
def softmax(a):
    x, axis = a["x"], a.integer("axis", -1)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return a.out(e / e.sum(axis=axis, keepdims=True))


# --- Reductions. ---


def log_sum_exp(x, axis, keepdims):
    top = x.max(axis=axis, keepdims=True)
    out = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)


REDUCTIONS = {
    "reduce_l1_norm": lambda x, **kw: np.abs(x).sum(**kw),
    "reduce_l2_norm": lambda x, **kw: np.sqrt(np.square(x).sum(**kw)),
    "reduce_log_sum": lambda x, **kw: np.log(x.sum(**kw)),
    "reduce_log_sum_exp": lambda x, **kw: log_sum_exp(x, **kw),
    "reduce_max": lambda x, **kw: x.max(**kw),
    "reduce_mean": lambda x, **kw: x.mean(**kw),
    "reduce_min": lambda x, **kw: x.min(**kw),
    "reduce_prod": lambda x, **kw: x.prod(**kw),
    "reduce_sum": lambda x, **kw: x.sum(**kw),
    "reduce_sum_square": lambda x, **kw: np.square(x).sum(**kw),
}


@formula(*REDUCTIONS)
def reduction(a):
    x = a["x"]
    axes = tuple(n % x.ndim for n in a.integers("axes", range(x.ndim)))
    return a.out(REDUCTIONS[a.op](x, axis=axes, keepdims=a.flag("keep_dims")))


@formula("reduce_argmax", "reduce_argmin")
def arg_reduction(a):
    find = np.argmax if a.op == "reduce_argmax" else np.argmin
    # Of equals the first.
    out = find(a["x"], axis=a.integer("axis", -1), keepdims=a.flag("keep_dims"))
    return Value(a.text("output_dtype", "int32").lower(), out)


# --- Recurrent layers: x [s, b, I]. ---

RECURRENT = {
    "tanh": np.tanh,
    "scaled_tanh": np.tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "sigmoid_hard": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
}


def activation(a, name, default):
    return RECURRENT[a.text(name, default).lower()]


def steps(a):
    x = a["x"]
    return x[::-1] if a.text("direction", "forward") == "reverse" else x


def sequence(a, outputs):
    """All steps in the order in which they were made, or the last one."""
    return np.stack(outputs if a.flag("output_sequence") else outputs[-1:])


@formula("rnn")
def rnn(a):
    act = activation(a, "activation", "tanh")
    h = a["initial_h"]
    outputs = []
    for x in steps(a):
        h = act(x @ a["weight_ih"].T + h @ a["weight_hh"].T + a.get("bias", 0))
        outputs.append(h)
    return [a.out(sequence(a, outputs)), a.out(h)]


@formula("gru")
def gru(a):
    gate = activation(a, "recurrent_activation", "sigmoid")
    act = activation(a, "activation", "tanh")
    h = a["initial_h"]
    size = h.shape[1]
    rows = [slice(i * size, (i + 1) * size) for i in range(3)]  # r(eset), o(utput), z (update)
    w, u = a["weight_ih"], a["weight_hh"]
    bias = a.get("bias", np.zeros(3 * size))
    input_bias = a.get("input_bias", np.zeros(3 * size))
    outputs = []
    for x in steps(a):
        at = [x @ w[row].T + input_bias[row] for row in rows]
        r = gate(at[0] + h @ u[rows[0]].T + bias[rows[0]])
        z = gate(at[2] + h @ u[rows[2]].T + bias[rows[2]])
        if a.flag("reset_after"):
            o = act(at[1] + r * (h @ u[rows[1]].T + bias[rows[1]]))
        else:
            o = act(at[1] + (r * h) @ u[rows[1]].T + bias[rows[1]])
        h = (1 - z) * o + z * h
        outputs.append(h)
    return [a.out(sequence(a, outputs)), a.out(h)]


def lstm_pass(a, steps_in, h, c, suffix):
    gate = activation(a, "recurrent_activation", "sigmoid")
    cell = activation(a, "cell_activation", "tanh")
    act = activation(a, "activation", "tanh")
    size = h.shape[1]
    w, u = a["weight_ih" + suffix], a["weight_hh" + suffix]
    bias = a.get("bias" + suffix, np.zeros(4 * size))
    peephole = a.get("peephole" + suffix, np.zeros(3 * size)).reshape(3, size)
    limit = a["clip"].item() if a.has("clip") else np.inf
    outputs = []
    for x in steps_in:
        i, f, o, z = np.split(x @ w.T + h @ u.T + bias, 4, axis=1)
        i, f = gate(i + peephole[0] * c), gate(f + peephole[1] * c)
        c = np.clip(f * c + i * cell(z), -limit, limit)
        h = gate(o + peephole[2] * c) * act(c)
        outputs.append(h)
    return outputs, h, c


@formula("lstm")
def lstm(a):
    h, c = a["initial_h"], a["initial_c"]
    if a.text("direction", "forward") != "bidirectional":
        outputs, h, c = lstm_pass(a, steps(a), h, c, "")
        return [a.out(sequence(a, outputs)), a.out(h), a.out(c)]
    size = h.shape[1] // 2
    ahead, h0, c0 = lstm_pass(a, a["x"], h[:, :size], c[:, :size], "")
    back, h1, c1 = lstm_pass(a, a["x"][::-1], h[:, size:], c[:, size:], "_back")
    if a.flag("output_sequence"):  # each step beside the one of its own input
        out = np.concatenate([np.stack(ahead), np.stack(back[::-1])], axis=2)
    else:
        out = np.concatenate([h0, h1], axis=1)[None]
    return [a.out(out), a.out(np.concatenate([h0, h1], axis=1)),
            a.out(np.concatenate([c0, c1], axis=1))]


# --- Attention. ---


@formula("scaled_dot_product_attention")
def attention(a):
    q, k, v = a["query"], a["key"], a["value"]
    scores = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    if a.has("attn_mask"):
        mask = a["attn_mask"]
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return a.out(e / e.sum(axis=-1, keepdims=True) @ v, "query")


# --- Cases. ---


def product_cases(cases):
    for opset, dtype, shape, rows in (("iOS15", "fp32", [2, 3, 5], 4),
                                      ("iOS16", "fp16", [7, 19], 3),
                                      ("iOS18", "fp16", [1, 33], 2), ("iOS15", "int32", [3, 4], 5)):
        draw = cases.draw("linear")
        attrs = {"weight": draw.values(dtype, [rows, shape[-1]])}
        if dtype != "fp32":
            attrs["bias"] = draw.values(dtype, [rows])
        cases.add("linear", opset, {"x": draw.values(dtype, shape)}, attrs, SUMS)
    draw = cases.draw("linear")
    cases.add("linear", "iOS17", {"x": draw.floats("fp32", [2, 6])},
              {"weight": draw.floats("fp16", [3, 6]), "bias": draw.floats("fp16", [3])}, SUMS)
    for opset, dtype, left, right, flags in (
            ("iOS15", "fp32", [2, 3, 4], [2, 4, 5], {}),
            ("iOS16", "fp16", [1, 3, 17], [4, 2, 17], {"transpose_y": True}),
            ("iOS18", "fp16", [2, 1, 6, 3], [5, 6, 4], {"transpose_x": True}),
            ("iOS17", "fp32", [5, 2], [3, 5], {"transpose_x": True, "transpose_y": True}),
            ("iOS15", "fp32", [6], [2, 6, 3], {}),
            ("iOS15", "fp16", [4, 6], [6], {}),
            ("iOS15", "fp32", [7], [7], {}),
            ("iOS15", "int32", [3, 4], [4, 2], {})):
        draw = cases.draw("matmul")
        cases.add("matmul", opset, {"x": draw.values(dtype, left), "y": draw.values(dtype, right)},
                  {name: yes(flag) for name, flag in flags.items()}, SUMS)
    draw = cases.draw("matmul")
    cases.add("matmul", "iOS17", {"x": draw.floats("fp16", [3, 4])},
              {"y": draw.floats("fp32", [4, 2])},
              SUMS)
    draw = cases.draw("matmul")
    cases.add("matmul", "iOS15", {"y": draw.floats("fp32", [4, 3])},
              {"x": draw.floats("fp32", [2, 4])},
              SUMS)
    # The sum of halves passes 65504 on its way and comes back: it is kept wider.
    cases.add("matmul", "iOS15", {"x": tensor("fp16", [[256, 256, 256, 1]]),
                                  "y": tensor("fp16", [[200], [200], [-300], [3]])}, {}, SUMS)
    cases.add("matmul", "iOS15",
              {"x": tensor("fp16", [[256, 256]]), "y": tensor("fp16", [[200], [200]])},
              {}, SUMS)
    for dtype, left, right, equation in (
            ("fp32", [2, 3, 4, 5], [2, 5, 4, 6], "nchw,nwhu->nchu"),
            ("fp16", [3, 1, 5], [5, 4, 2], "chw,whr->chr"),
            ("fp16", [1, 2, 3, 4], [3, 4, 1, 2], "nchw,nwhu->nchu"),
            ("fp32", [2, 3, 4], [4, 3, 5], "abc,cbd->abd")):
        draw = cases.draw("einsum")
        cases.add("einsum", "iOS15",
                  {"values": [draw.floats(dtype, left), draw.floats(dtype, right)]},
                  {"equation": text(equation)}, SUMS)


def conv_cases(cases):
    plan = [
        ("iOS15", "fp32", [2, 3, 7], [4, 3, 3], {}),
        ("iOS15", "fp32", [1, 4, 6, 5], [6, 2, 3, 2],
         {"groups": 2, "strides": [2, 1], "pad_type": "same"}),
        ("iOS16", "fp16", [1, 2, 5, 6], [3, 2, 2, 4],
         {"pad_type": "same_lower", "strides": [1, 2]}),
        ("iOS17", "fp16", [2, 5, 3, 4], [4, 5, 1, 1], {}),
        ("iOS18", "fp16", [1, 3, 6, 6], [3, 1, 3, 3], {"groups": 3, "pad_type": "custom",
                                                       "pad": [1, 0, 2, 1]}),
        ("iOS15", "fp32", [1, 2, 9], [3, 2, 3],
         {"dilations": [2], "strides": [3], "pad_type": "custom",
                                                 "pad": [2, 3]}),
        ("iOS15", "fp32", [1, 2, 3, 4, 3], [2, 2, 2, 3, 1],
         {"strides": [1, 2, 1], "pad_type": "same"}),
        ("iOS18", "fp16", [1, 1, 1, 12], [5, 1, 1, 4], {"strides": [1, 2]}),
    ]
    for opset, dtype, shape, weight, options in plan:
        draw = cases.draw("conv")
        attrs = {"weight": draw.floats(dtype, weight)}
        if weight[0] % 2 == 0:
            attrs["bias"] = draw.floats(dtype, [weight[0]])
        cases.add("conv", opset, {"x": draw.floats(dtype, shape)}, attrs | constants(options), SUMS)
    draw = cases.draw("conv")  # a weight that is not known before the run
    cases.add("conv", "iOS18", {"x": draw.floats("fp32", [1, 2, 4, 4]),
                                "weight": draw.floats("fp32", [2, 2, 3, 3])}, {}, SUMS)
    draw = cases.draw("conv")
    cases.add("conv", "iOS17", {"x": draw.floats("fp16", [1, 2, 5])},
              {"weight": draw.floats("fp32", [2, 2, 2]), "bias": draw.floats("fp32", [2])}, SUMS)
    for opset, dtype, shape, weight, options in (
            ("iOS15", "fp32", [1, 3, 4], [3, 2, 3], {"strides": [2]}),
            ("iOS16", "fp16", [2, 4, 3, 2], [4, 1, 2, 3], {"groups": 2, "strides": [2, 2],
                                                          "pad_type": "same"}),
            ("iOS18", "fp16", [1, 2, 3, 3], [2, 3, 3, 3],
             {"pad_type": "custom", "pad": [1, 1, 0, 2],
                                                          "strides": [2, 1]}),
            ("iOS15", "fp32", [1, 2, 4], [2, 2, 2], {"dilations": [3]}),
            ("iOS15", "fp32", [1, 1, 2, 3, 2], [1, 2, 2, 1, 3], {"strides": [1, 2, 2]})):
        draw = cases.draw("conv_transpose")
        attrs = {"weight": draw.floats(dtype, weight)}
        if shape[0] == 1:
            attrs["bias"] = draw.floats(dtype, [weight[1] * options.get("groups", 1)])
        cases.add("conv_transpose", opset, {"x": draw.floats(dtype, shape)},
                  attrs | constants(options),
                  SUMS)
    quantized_cases(cases)


def quantized_cases(cases):
    for dtype, shape, weight, scales in (("fp32", [1, 2, 5, 4], [3, 2, 3, 2], 3),
                                         ("fp16", [2, 3, 6], [2, 3, 2], 1)):
        draw = cases.draw("conv_quantized")
        attrs = {"weight": draw.ints("uint8", weight, 0, 255),
                 "quantization_type": text("linear"), "nbits": i32(8),
                 "quant_scale": draw.floats(dtype, [scales], 0.0078125, 0.03125, 1024),
                 "quant_bias": draw.floats(dtype, [scales], -1, 1)}
        cases.add("conv_quantized", "iOS15", {"x": draw.floats(dtype, shape)}, attrs, SUMS)


def constants(options):
    out = {}
    for name, option in options.items():
        out[name] = (text(option) if isinstance(option, str) else
                     yes(option) if isinstance(option, bool) else
                     i32(option))
    return out


def pool_cases(cases):
    plan = [
        ("iOS15", "fp32", [2, 3, 7], {"kernel_sizes": [3], "pad_type": "valid"}),
        ("iOS15", "fp16", [1, 2, 5, 6],
         {"kernel_sizes": [2, 3], "strides": [2, 2], "pad_type": "same"}),
        ("iOS16", "fp32", [1, 2, 4, 5], {"kernel_sizes": [2, 2], "strides": [1, 2],
                                        "pad_type": "same_lower"}),
        ("iOS18", "fp16", [1, 3, 6, 5],
         {"kernel_sizes": [3, 2], "strides": [2, 1], "pad_type": "custom",
                                        "pad": [1, 1, 1, 0]}),
        ("iOS17", "fp32", [1, 1, 6, 7],
         {"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "valid",
                                        "ceil_mode": True}),
    ]
    for op in ("avg_pool", "l2_pool", "max_pool"):
        tol = EXACT if op == "max_pool" else SUMS
        for opset, dtype, shape, options in plan:
            x = cases.draw(op).floats(dtype, shape)
            cases.add(op, opset, {"x": x}, constants(options), tol)
    for op in ("avg_pool", "max_pool"):
        x = cases.draw(op).floats("fp32", [1, 2, 3, 4, 3])
        cases.add(op, "iOS15", {"x": x}, constants({"kernel_sizes": [2, 2, 2], "strides": [1, 2, 1],
                                                    "pad_type": "valid"}),
                  EXACT if op == "max_pool" else SUMS)
    for pad_type, more in (("same", {}), ("custom", {"pad": [1, 2, 0, 1]})):
        x = cases.draw("avg_pool").floats("fp16", [1, 2, 5, 4])
        cases.add("avg_pool", "iOS15", {"x": x},
                  constants({"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": pad_type,
                             "exclude_padding_from_average": True, **more}), SUMS)
    x = tensor("fp16", -np.arange(1, 13), [1, 1, 3, 4])  # padding is no 0 for a maximum
    cases.add("max_pool", "iOS15", {"x": x}, constants({"kernel_sizes": [2, 2], "strides": [2, 2],
                                                        "pad_type": "custom", "pad": [1, 1, 1, 1]}))


def norm_cases(cases):
    for opset, dtype, shape in (("iOS15", "fp32", [2, 3, 2, 4]), ("iOS16", "fp16", [2, 4, 3]),
                                ("iOS18", "fp16", [1, 2, 3, 2, 2]),
                                ("iOS17", "fp32", [1, 3, 3, 3])):
        own = "fp16" if opset == "iOS17" else dtype
        count = shape[1]
        draw = cases.draw("batch_norm")
        attrs = {"mean": draw.floats(own, [count]), "variance": draw.floats(own, [count], 0.25, 4)}
        if len(shape) == 4:
            attrs |= {"gamma": draw.floats(own, [count]), "beta": draw.floats(own, [count]),
                      "epsilon": tensor(own, 1e-3)}
        cases.add("batch_norm", opset, {"x": draw.floats(dtype, shape)}, attrs, SUMS)
        if len(shape) < 5:
            draw = cases.draw("instance_norm")
            attrs = {"epsilon": tensor(own, 1e-2)}
            if len(shape) == 4:
                attrs |= {"gamma": draw.floats(own, [count]), "beta": draw.floats(own, [count])}
            cases.add("instance_norm", opset, {"x": draw.floats(dtype, shape)}, attrs, SUMS)
        draw = cases.draw("l2_norm")
        cases.add("l2_norm", opset, {"x": draw.floats(dtype, shape)},
                  {"epsilon": tensor(own, 1e-3)},
                  SUMS)
    cases.add("instance_norm", "iOS15", {"x": tensor("fp32", np.full([1, 2, 3, 2], 1.5))}, {}, SUMS)
    cases.add("l2_norm", "iOS15", {"x": cases.draw("l2_norm").floats("fp32", [2, 3, 2])}, {}, SUMS)
    for opset, dtype, shape, axes, own in (("iOS15", "fp32", [2, 3, 5], [-1], "fp32"),
                                           ("iOS16", "fp16", [2, 16, 1, 3], [1], "fp16"),
                                           ("iOS17", "fp16", [2, 3, 4], [1, 2], "fp32"),
                                           ("iOS18", "fp32", [3, 2, 4, 2], [-2, 1], "fp32")):
        draw = cases.draw("layer_norm")
        kept = [shape[axis] for axis in sorted(axis % len(shape) for axis in axes)]
        cases.add("layer_norm", opset, {"x": draw.floats(dtype, shape)},
                  {"axes": i32(axes), "gamma": draw.floats(own, kept),
                   "beta": draw.floats(own, kept),
                   "epsilon": tensor(own, 1e-3)}, SUMS)
    draw = cases.draw("layer_norm")
    cases.add("layer_norm", "iOS15", {"x": draw.floats("fp32", [2, 9])}, {"axes": i32([1])}, SUMS)
    x = cases.draw("layer_norm").floats("fp16", [1, 24], 100,
                                        104)  # far from 0 beside its deviation
    cases.add("layer_norm", "iOS15", {"x": x}, {"axes": i32([-1])}, SUMS)
    for opset, dtype, shape, size in (("iOS15", "fp32", [2, 5, 2, 3], 3),
                                      ("iOS16", "fp16", [1, 7, 2, 1], 5),
                                      ("iOS17", "fp32", [1, 2, 2, 2], 7),
                                      ("iOS18", "fp16", [1, 3, 1, 4], 1)):
        draw = cases.draw("local_response_norm")
        own = "fp16" if opset == "iOS17" else dtype
        cases.add("local_response_norm", opset, {"x": draw.floats(dtype, shape)},
                  {"size": i32(size), "alpha": tensor(own, 0.5), "beta": tensor(own, 0.625),
                   "k": tensor(own, 1.5)}, SUMS)
    x = cases.draw("local_response_norm").floats("fp32", [1, 4, 2, 2])
    cases.add("local_response_norm", "iOS15", {"x": x}, {"size": i32(3)}, SUMS)


def softmax_cases(cases):
    for opset, dtype, shape, axis in (("iOS15", "fp32", [2, 3, 4], 1),
                                      ("iOS16", "fp16", [3, 33], -1),
                                      ("iOS18", "fp16", [2, 1, 5, 2], -2),
                                      ("iOS17", "fp32", [4], 0)):
        x = cases.draw("softmax").floats(dtype, shape, -6, 6)
        cases.add("softmax", opset, {"x": x}, {"axis": i32(axis)}, POINTWISE)
    inf = float("inf")
    for dtype in ("fp16", "fp32"):
        x = tensor(dtype, [[-inf, 0, 1, -inf], [60000, 59968, -60000, 0], [5, 5, 5, 5]])
        cases.add("softmax", "iOS15", {"x": x}, {}, POINTWISE)


def reduction_cases(cases):
    for op in sorted(REDUCTIONS):
        kept = op in ("reduce_max", "reduce_min")
        low = 0.125 if op == "reduce_log_sum" else -2.5
        for opset, dtype, shape, attrs in (
                ("iOS15", "fp32", [2, 3, 3], {"axes": i32([1])}),
                ("iOS16", "fp16", [3, 2, 5], {"axes": i32([0, -1]), "keep_dims": yes()}),
                ("iOS18", "fp16", [2, 3, 1, 2], {"axes": i32([-1])}),
                ("iOS17", "fp32", [4, 1, 3], {})):
            x = cases.draw(op).floats(dtype, shape, low)
            cases.add(op, opset, {"x": x}, attrs, EXACT if kept else SUMS)
        if op in ("reduce_l1_norm", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum",
                  "reduce_sum_square"):
            x = cases.draw(op).ints("int32", [2, 3, 2], -5, 5)
            cases.add(op, "iOS15", {"x": x}, {"axes": i32([2, 0])})
    x = tensor("fp16",
               [[100, 90, -1], [-70, 11, 12]])  # no exponential of these is a half, or a float
    cases.add("reduce_log_sum_exp", "iOS15", {"x": x}, {"axes": i32([1])}, SUMS)
    cases.add("reduce_sum", "iOS15",
              {"x": tensor("fp16", [[60000, 60000, -60000], [60000, 60000, 1]])},
              {"axes": i32([-1])}, SUMS)
    x = tensor("fp16", [2048] + [1] * 24)  # each 1 is lost to a sum of halves
    cases.add("reduce_sum", "iOS15", {"x": x}, {"keep_dims": yes()}, SUMS)
    for op in ("reduce_argmax", "reduce_argmin"):
        for opset, dtype, shape, attrs in (
                ("iOS15", "fp32", [2, 3, 4], {"axis": i32(1)}),
                ("iOS16", "fp16", [3, 7], {"keep_dims": yes()}),
                ("iOS17", "int32", [3, 4], {"axis": i32(0), "output_dtype": text("uint16")}),
                ("iOS18", "fp16", [6], {"axis": i32(0)})):
            x = cases.draw(op).values(dtype, shape)
            cases.add(op, opset, {"x": x}, attrs)
        cases.add(op, "iOS15", {"x": tensor("fp32", [[2, 2, -1, -1], [0, 0, 0, 0]])})


def recurrent_cases(cases):
    plan = [("iOS15", "fp32", 3, 2, 4, 2, {}),
            ("iOS15", "fp32", 2, 1, 3, 5, {"direction": "reverse"}),
            ("iOS17", "fp16", 3, 2, 2, 3, {"output_sequence": True}),
            ("iOS18", "fp32", 4, 2, 3, 2, {"direction": "reverse", "output_sequence": True})]
    for op, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        for number, (opset, dtype, s, b, i, h, options) in enumerate(plan):
            inputs, attrs = layer(cases.draw(op), op, gates, dtype, s, b, i, h, number != 1)
            cases.add(op, opset, inputs, attrs | constants(options), SUMS)
    for name in ("relu", "linear", "scaled_tanh"):
        if name != "scaled_tanh":
            inputs, attrs = layer(cases.draw("rnn"), "rnn", 1, "fp32", 2, 1, 2, 2, True)
            cases.add("rnn", "iOS15", inputs, attrs | constants({"activation": name}), SUMS)
        inputs, attrs = layer(cases.draw("lstm"), "lstm", 4, "fp32", 2, 2, 2, 2, True)
        cases.add("lstm", "iOS15", inputs, attrs | constants({
            "recurrent_activation": "hard_sigmoid" if name == "relu" else "sigmoid",
            "cell_activation": name, "activation": "sigmoid" if name == "linear" else name}), SUMS)
    gru_cases(cases)
    lstm_cases(cases)


def layer(draw, op, gates, dtype, s, b, i, h, has_bias):
    inputs = {"x": draw.floats(dtype, [s, b, i]), "initial_h": draw.floats(dtype, [b, h], -1, 1)}
    if op == "lstm":
        inputs["initial_c"] = draw.floats(dtype, [b, h], -1, 1)
    attrs = {"weight_ih": draw.floats(dtype, [gates * h, i], -1, 1),
             "weight_hh": draw.floats(dtype, [gates * h, h], -1, 1)}
    if has_bias:
        attrs["bias"] = draw.floats(dtype, [gates * h], -1, 1)
    return inputs, attrs


def gru_cases(cases):
    for reset_after, dtype in ((True, "fp32"), (False, "fp32"), (True, "fp16")):
        draw = cases.draw("gru")
        inputs, attrs = layer(draw, "gru", 3, dtype, 3, 2, 3, 2, True)
        attrs |= {"input_bias": draw.floats(dtype, [6], -1, 1), "reset_after": yes(reset_after)}
        cases.add("gru", "iOS18", inputs, attrs, SUMS)
    inputs, attrs = layer(cases.draw("gru"), "gru", 3, "fp32", 2, 1, 2, 2, True)
    cases.add("gru", "iOS15", inputs, attrs | constants({"activation": "relu",
                                                         "recurrent_activation": "hard_sigmoid"}),
              SUMS)


def lstm_cases(cases):
    draw = cases.draw("lstm")
    inputs, attrs = layer(draw, "lstm", 4, "fp32", 3, 2, 3, 2, True)
    attrs |= {"peephole": draw.floats("fp32", [6], -1, 1), "clip": tensor("fp32", 0.25)}
    cases.add("lstm", "iOS15", inputs, attrs, SUMS)
    for opset, dtype, is_sequence in (("iOS15", "fp32", True), ("iOS17", "fp16", False)):
        draw = cases.draw("lstm")
        inputs, attrs = layer(draw, "lstm", 4, dtype, 3, 2, 2, 2, True)
        inputs["initial_h"] = draw.floats(dtype, [2, 4], -1, 1)
        inputs["initial_c"] = draw.floats(dtype, [2, 4], -1, 1)
        _, back = layer(draw, "lstm", 4, dtype, 3, 2, 2, 2, True)
        attrs |= {name + "_back": value for name, value in back.items()}
        attrs |= constants({"direction": "bidirectional", "output_sequence": is_sequence})
        cases.add("lstm", opset, inputs, attrs, SUMS)


def attention_cases(cases):
    for dtype, batch, length, others, width, depth, mask in (
            ("fp32", [2, 2], 3, 4, 5, 2, None), ("fp16", [1, 2], 3, 3, 8, 4, "causal"),
            ("fp16", [2], 4, 5, 3, 3, "added"), ("fp32", [1, 1, 2], 2, 3, 4, 4, "some")):
        draw = cases.draw("scaled_dot_product_attention")
        inputs = {"query": draw.floats(dtype, [*batch, length, width]),
                  "key": draw.floats(dtype, [*batch, others, width]),
                  "value": draw.floats(dtype, [*batch, others, depth])}
        if mask == "added":
            inputs["attn_mask"] = draw.floats(dtype, [length, others])
        elif mask is not None:  # no row is masked as a whole
            allowed = np.tril(np.ones([length, others]))
            if mask == "some":
                allowed = allowed[:, ::-1].copy()
                allowed[:, 0] = 1
            inputs["attn_mask"] = tensor("bool", allowed)
        cases.add("scaled_dot_product_attention", "iOS18", inputs, {}, SUMS)


def add_cases(cases):
    product_cases(cases)
    conv_cases(cases)
    pool_cases(cases)
    norm_cases(cases)
    softmax_cases(cases)
    reduction_cases(cases)
    recurrent_cases(cases)
    attention_cases(cases)
