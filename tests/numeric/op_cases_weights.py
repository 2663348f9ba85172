"""Quantised values and the compile-time forms of weights."""

import numpy as np

from op_cases_common import POINTWISE, Value, formula, i32, tensor, text

FAMILY = "weights"


def along(vector, rank, axis):
    """A scalar, or a vector as a tensor of `rank` dims that varies along one of them."""
    if vector.ndim == 0 or axis is None:
        return vector
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


@formula("quantize")
def quantize(a):
    x, axis = a["input"], a.integer("axis")
    dtype = a.text("output_dtype")
    low, high = (-128, 127) if dtype == "int8" else (0, 255)
    scale = along(a["scale"], x.ndim, axis)
    zero = along(a.get("zero_point", np.array(0)), x.ndim, axis)
    return Value(dtype, np.clip(np.rint(x / scale) + zero, low, high))


@formula("dequantize")
def dequantize(a):
    x, axis = a["input"], a.integer("axis")
    zero = along(a.get("zero_point", np.array(0)), x.ndim, axis)
    return a.out((x - zero) * along(a["scale"], x.ndim, axis), "scale")


@formula("constexpr_affine_dequantize")
def constexpr_affine_dequantize(a):
    x, axis = a["quantized_data"], a.integer("axis")
    zero = along(a["zero_point"], x.ndim, axis)
    return a.out((x - zero) * along(a["scale"], x.ndim, axis), "scale")


@formula("constexpr_cast")
def constexpr_cast(a):
    return Value(a.text("output_dtype"), a["source_val"])


def spread_blocks(blocks, shape):
    """Each element of `blocks` stands for a block of equal size of a tensor of `shape`."""
    for axis, size in enumerate(shape):
        blocks = np.repeat(blocks, size // blocks.shape[axis], axis)
    return blocks


@formula("constexpr_blockwise_shift_scale")
def constexpr_blockwise_shift_scale(a):
    data = a["data"]
    offset = spread_blocks(a["offset"], data.shape) if a.has("offset") else 0
    return a.out((data - offset) * spread_blocks(a["scale"], data.shape), "scale")


@formula("constexpr_sparse_blockwise_shift_scale")
def constexpr_sparse_blockwise_shift_scale(a):
    mask = a["data_mask"]
    dense = np.zeros(mask.shape)
    dense[mask != 0] = a["nonzero_data"]
    offset = spread_blocks(a["offset"], mask.shape) if a.has("offset") else 0
    out = (dense - offset) * spread_blocks(a["scale"], mask.shape)
    return [a.out(mask, "data_mask"), a.out(out[mask != 0], "scale")]


def bits_of(data):
    """Packed bytes, the lowest bit first."""
    return [byte >> bit & 1 for byte in map(int, data) for bit in range(8)]


def looked_up(lut, indices, vector_axis):
    """Vectors of a palette: lut [blocks of each dim of indices ..., entries, length]."""
    length = lut.shape[-1]
    blocks = [size // count for size, count in zip(indices.shape, lut.shape)]
    axis = vector_axis or 0
    shape = list(indices.shape)
    shape[axis] *= length
    out = np.zeros(shape)
    for place in np.ndindex(*indices.shape):
        vector = lut[(*(p // b for p, b in zip(place, blocks)), int(indices[place]))]
        for i, number in enumerate(vector):
            target = list(place)
            target[axis] = place[axis] * length + i
            out[tuple(target)] = number
    return out


@formula("constexpr_lut_to_dense")
def constexpr_lut_to_dense(a):
    if a.opset >= 18:
        return a.out(looked_up(a["lut"], a["indices"], a.integer("vector_axis")), "lut")
    shape = a.integers("shape")
    width = len(a["lut"]).bit_length() - 1
    bits = bits_of(a["indices"])
    indices = [sum(bit << i for i, bit in enumerate(bits[n * width:(n + 1) * width]))
               for n in range(int(np.prod(shape)))]
    return a.out(a["lut"][indices].reshape(shape), "lut")


@formula("constexpr_lut_to_sparse")
def constexpr_lut_to_sparse(a):
    mask, lut, axis = a["indices_mask"], a["lut"], a.integer("vector_axis")
    indices = np.zeros(mask.shape, np.int64)
    indices[mask != 0] = a["indices_nonzero_data"]
    wide = np.repeat(mask, lut.shape[-1], axis or 0)
    return [a.out(wide, "indices_mask"), a.out(looked_up(lut, indices, axis)[wide != 0], "lut")]


@formula("constexpr_sparse_to_dense")
def constexpr_sparse_to_dense(a):
    mask = a["mask"]
    if a.opset < 18:
        shape = a.integers("shape")
        mask = np.array(bits_of(mask)[:int(np.prod(shape))]).reshape(shape)
    out = np.zeros(mask.shape)
    out[mask != 0] = a["nonzero_data"]
    return a.out(out, "nonzero_data")


# --- Cases. ---


def quantized_cases(cases):
    for number, (dtype, stored, shape, axis, has_zero) in enumerate((
            ("fp32", "int8", [2, 5], None, True), ("fp16", "uint8", [3, 4], 1, True),
            ("fp16", "int8", [2, 3, 2], -2, False), ("fp32", "uint8", [7], None, False))):
        opset = ("iOS17", "iOS18")[number % 2]
        for op, low in (("quantize", -128), ("dequantize", 0)):
            draw = cases.draw(op)
            count = [] if axis is None else [shape[axis]]
            # Scales are powers of 2: whether a quotient is half way is no matter of rounding then.
            attrs = {"scale": Value(dtype, 2.0**draw.state.randint(-4, 1, size=count))}
            if op == "dequantize":
                attrs = {"scale": draw.floats(dtype, count, 0.25, 2)}
            if has_zero:
                attrs["zero_point"] = draw.ints(stored, count, 0, 9)
            if axis is not None:
                attrs["axis"] = i32(axis)
            if op == "quantize":
                x = draw.floats(dtype, shape, -20, 20, 16)
                cases.add(op, opset, {"input": x}, attrs | {"output_dtype": text(stored)})
            else:
                least = -128 if stored == "int8" else 0
                x = draw.ints(stored, shape, least, least + 255)
                cases.add(op, opset, {"input": x}, attrs, POINTWISE)
    # Halves go to even, and what is too large to the ends.
    x = tensor("fp32", [0.5, 1.5, -0.5, -1.5, 2.5, 1e6, -1e6, 126.5])
    cases.add("quantize", "iOS17", {"input": x}, {"scale": tensor("fp32", 1),
                                                  "output_dtype": text("int8")})
    cases.add("quantize", "iOS17", {"input": x}, {"scale": tensor("fp32", 1),
                                                  "zero_point": tensor("uint8", 128),
                                                  "output_dtype": text("uint8")})


def affine_cases(cases):
    for number, (stored, dtype, zero, shape, axis, is_vector) in enumerate((
            ("uint8", "fp16", "uint8", [2, 3], 0, True), ("int8", "fp32", "int8", [3, 4], 1, True),
            ("uint8", "fp32", "uint8", [5], 0, False),
            ("int8", "fp16", "fp32", [2, 2, 2], -1, True))):
        draw = cases.draw("constexpr_affine_dequantize")
        count = [shape[axis]] if is_vector else []
        least = -128 if stored == "int8" else 0
        cases.add("constexpr_affine_dequantize", ("iOS16", "iOS17", "iOS18")[number % 3], {},
                  {"quantized_data": draw.ints(stored, shape, least, least + 255),
                   "zero_point": draw.ints(zero, count, 0, 100),
                   "scale": draw.floats(dtype, count, 0.125, 1),
                   "axis": i32(axis)}, POINTWISE)
    for opset, shape in (("iOS16", [2, 3]), ("iOS18", [4])):
        x = cases.draw("constexpr_cast").floats("fp16", shape)
        cases.add("constexpr_cast", opset, {}, {"source_val": x, "output_dtype": text("fp32")})
    for number, (stored, dtype, shape, blocks, offset) in enumerate((
            ("int4", "fp16", [4, 6], [2, 3], "int4"), ("uint4", "fp32", [2, 8], [2, 1], "uint4"),
            ("int8", "fp16", [3, 4, 2], [3, 1, 1], None), ("uint8", "fp32", [6], [3], "fp32"),
            ("fp16", "fp16", [2, 4], [1, 2], "fp16"))):
        op = "constexpr_blockwise_shift_scale"
        draw = cases.draw(op)
        attrs = {"data": stored_values(draw, stored, shape),
                 "scale": draw.floats(dtype, blocks, 0.125, 2)}
        if offset:
            attrs["offset"] = stored_values(draw, offset, blocks)
        cases.add(op, "iOS18", {}, attrs, POINTWISE)
        op = "constexpr_sparse_blockwise_shift_scale"
        draw = cases.draw(op)
        mask = draw.ints("uint1", shape, 0, 1)
        mask.data.reshape(-1)[0] = 1
        attrs["data_mask"] = mask
        attrs["nonzero_data"] = stored_values(draw, stored, [int(mask.data.sum())])
        del attrs["data"]
        # Its first result is the mask, for which nothing is let pass.
        cases.add(op, "iOS18", {}, attrs, {"uint1": POINTWISE[dtype]})


def stored_values(draw, dtype, shape):
    least = {"int4": -8, "int8": -128}.get(dtype, 0)
    most = {"int4": 7, "uint4": 15, "int8": 127, "uint8": 255}.get(dtype)
    return draw.floats(dtype, shape) if most is None else draw.ints(dtype, shape, least, most)


def packed(numbers, width):
    """The opposite of bits_of."""
    bits = [number >> i & 1 for number in numbers for i in range(width)]
    bits += [0] * (-len(bits) % 8)
    return [sum(bit << i for i, bit in enumerate(bits[n:n + 8])) for n in range(0, len(bits), 8)]


def palette_cases(cases):
    for dtype, width, shape in (("fp16", 2, [3, 3]), ("int8", 4, [5]), ("uint8", 1, [2, 2, 3]),
                                ("fp32", 6, [2, 5]), ("fp16", 8, [4])):
        draw = cases.draw("constexpr_lut_to_dense")
        numbers = draw.state.randint(0, 2**width, size=int(np.prod(shape))).tolist()
        cases.add("constexpr_lut_to_dense", "iOS16" if width != 6 else "iOS17", {},
                  {"indices": tensor("uint8", packed(numbers, width)),
                   "lut": draw.values(dtype, [2**width]), "shape": tensor("uint32", shape)})
    for dtype, width, shape, blocks, length, axis in (
            ("fp16", 2, [2, 6], [1, 1], 1, None), ("fp32", 1, [4, 2], [2, 1], 1, None),
            ("int8", 3, [2, 3], [1, 3], 2, 1), ("fp16", 4, [4], [2], 3, 0),
            ("uint8", 6, [2, 2, 2], [1, 1, 1], 1, None), ("fp16", 2, [4, 2, 1], [2, 1, 1], 2, -3)):
        axes = {} if axis is None else {"vector_axis": i32(axis)}
        draw = cases.draw("constexpr_lut_to_dense")
        lut = draw.values(dtype, [*blocks, 2**width, length])
        cases.add("constexpr_lut_to_dense", "iOS18", {},
                  {"indices": draw.ints(f"uint{width}", shape, 0, 2**width - 1), "lut": lut,
                   **axes})
        draw = cases.draw("constexpr_lut_to_sparse")
        mask = draw.ints("uint1", shape, 0, 1)
        mask.data.reshape(-1)[-1] = 1
        count = int(mask.data.sum())
        cases.add("constexpr_lut_to_sparse", "iOS18", {},
                  {"indices_mask": mask,
                   "indices_nonzero_data": draw.ints(f"uint{width}", [count], 0, 2**width - 1),
                   "lut": draw.values(dtype, [*blocks, 2**width, length]), **axes})


def sparse_cases(cases):
    for opset, dtype, shape in (("iOS16", "fp16", [3, 5]), ("iOS17", "int8", [9]),
                                ("iOS16", "fp32", [2, 4]),
                                ("iOS18", "fp32", [2, 3, 2]), ("iOS18", "int4", [7]),
                                ("iOS18", "uint8", [3, 3]), ("iOS18", "fp16", [4])):
        draw = cases.draw("constexpr_sparse_to_dense")
        mask = draw.ints("uint1", shape, 0, 1)
        mask.data.reshape(-1)[1] = 1
        attrs = {"nonzero_data": stored_values(draw, dtype, [int(mask.data.sum())]), "mask": mask}
        if opset != "iOS18":
            attrs["mask"] = tensor("uint8", packed(map(int, mask.data.reshape(-1)), 1))
            attrs["shape"] = tensor("uint32", shape)
        cases.add("constexpr_sparse_to_dense", opset, {}, attrs)


def add_cases(cases):
    quantized_cases(cases)
    affine_cases(cases)
    palette_cases(cases)
    sparse_cases(cases)
