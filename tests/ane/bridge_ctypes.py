#!/usr/bin/env python3
"""Drives the C bridge as callers of ctypes do, by the functions of the field's ane_bridge.h alone.

    bridge_ctypes.py LIBRARY

MILGEN_ANE_LIBRARY says what stands in for the Neural Engine.
"""
import ctypes
import struct
import sys
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_size_t, c_uint8, c_void_p

SIZES = POINTER(c_size_t)
FUNCTIONS = {
    "init": (c_int, []),
    "compile": (c_void_p, [c_char_p, c_size_t, c_char_p, c_size_t, c_int, SIZES, c_int, SIZES]),
    "compile_multi_weights": (c_void_p, [
        c_char_p, c_size_t, POINTER(c_char_p), POINTER(c_char_p), SIZES, c_int, c_int, SIZES,
        c_int, SIZES]),
    "compile_dyn": (c_void_p, [c_char_p, c_size_t, c_int, SIZES, c_int, SIZES, c_size_t]),
    "eval": (c_bool, [c_void_p]),
    "write_input": (None, [c_void_p, c_int, c_char_p, c_size_t]),
    "read_output": (None, [c_void_p, c_int, c_void_p, c_size_t]),
    "write_weight": (None, [c_void_p, c_int, c_char_p, c_size_t]),
    "write_weight_f32": (None, [c_void_p, c_int, POINTER(c_float), c_size_t]),
    "copy_io": (None, [c_void_p, c_int, c_void_p, c_int]),
    "begin_realtime": (None, []),
    "end_realtime": (None, []),
    "free": (None, [c_void_p]),
    "get_compile_count": (c_int, []),
    "reset_compile_count": (None, []),
    "build_weight_blob": (c_void_p, [POINTER(c_float), c_int, c_int, SIZES]),
    "build_weight_blob_transposed": (c_void_p, [POINTER(c_float), c_int, c_int, SIZES]),
    "free_blob": (None, [c_void_p]),
}


class Bridge:
    def __init__(self, path):
        library = ctypes.CDLL(path)
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, "ane_bridge_" + name)
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)

    def read(self, kernel, index, count):
        data = ctypes.create_string_buffer(count * 2)
        self.read_output(kernel, index, data, count * 2)
        return list(struct.unpack(f"<{count}e", data.raw))

    def blob(self, build, values, rows, columns):
        size = c_size_t()
        data = build(floats(values), rows, columns, ctypes.byref(size))
        try:
            return ctypes.string_at(data, size.value)
        finally:
            self.free_blob(data)


def halves(values):
    return struct.pack(f"<{len(values)}e", *values)


def floats(values):
    return (c_float * len(values))(*values)


def sizes(*values):
    return (c_size_t * len(values))(*values)


def program(parameters, body, outputs):
    return f"""program(1.3)
[buildInfo = dict<string, string>({{}})]
{{
    func main<ios18>({parameters}) {{
{body}
        }} -> ({outputs});
}}
""".encode()


# W[1, N, K] times x[1, K, M]: the weight and the activation in the order of the declaration, which
# is not that of their names.
N, K, M = 3, 4, 5
MATMUL = program(
    f"tensor<fp16, [1, {K}, {M}]> x, tensor<fp16, [1, {N}, {K}]> W", f"""
            bool no = const()[name = string("no"), val = bool(false)];
            tensor<fp16, [1, {N}, {M}]> out = matmul(transpose_x = no, transpose_y = no, x = W, y = x)[name = string("out")];
""", "out")

# A program with one weight file.
WEIGHTED = program(
    "tensor<fp16, [2, 3]> x", """
            tensor<fp16, [2, 3]> w = const()[name = string("w"), val = tensor<fp16, [2, 3]>(BLOBFILE(path = string("@model_path/weights/weight.bin"), offset = uint64(64)))];
            tensor<fp16, [2, 3]> y = mul(x = x, y = w)[name = string("y")];
""", "y")

# One with two, and two outputs of different sizes whose names do not sort as they are declared.
TWO_FILES = program(
    "tensor<fp16, [2, 3]> b, tensor<fp16, [3]> a", """
            tensor<fp16, [2, 3]> v = const()[name = string("v"), val = tensor<fp16, [2, 3]>(BLOBFILE(path = string("@model_path/weights/v.bin"), offset = uint64(64)))];
            tensor<fp16, [3]> u = const()[name = string("u"), val = tensor<fp16, [3]>(BLOBFILE(path = string("@model_path/weights/u.bin"), offset = uint64(64)))];
            tensor<fp16, [2, 3]> z = add(x = b, y = v)[name = string("z")];
            tensor<fp16, [3]> c = add(x = a, y = u)[name = string("c")];
""", "z, c")


def product(weight, x):
    return [sum(weight[n * K + k] * x[k * M + m] for k in range(K))
            for n in range(N) for m in range(M)]


def compile_matmul(bridge):
    return bridge.compile_dyn(MATMUL, len(MATMUL), 1, sizes(K * M * 2), 1, sizes(N * K * 2),
                              N * M * 2)


def dynamic_weights(bridge):
    kernel = compile_matmul(bridge)
    assert kernel
    x = [float(i % 7) for i in range(K * M)]
    weight = [float(i % 5 - 2) for i in range(N * K)]
    bridge.write_input(kernel, 0, halves(x), K * M * 2)
    bridge.write_weight(kernel, 0, halves(weight), N * K * 2)
    assert bridge.eval(kernel)
    once = bridge.read(kernel, 0, N * M)
    assert once == product(weight, x), once

    bridge.write_weight(kernel, 0, halves([2 * w for w in weight]), N * K * 2)
    assert bridge.eval(kernel)
    assert bridge.read(kernel, 0, N * M) == [2 * y for y in once]

    quarters = [w / 4 for w in weight]
    bridge.write_weight_f32(kernel, 0, floats(quarters), N * K)
    assert bridge.eval(kernel)
    assert bridge.read(kernel, 0, N * M) == product(quarters, x)
    bridge.free(kernel)


def scaled(weight):
    """y = weight * x, with the factor as a weight that is a parameter."""
    text = program("tensor<fp16, [1, 8, 1, 3]> x, tensor<fp16, [1, 1, 1, 1]> w", f"""
            tensor<fp16, [1, 8, 1, 3]> y{weight} = mul(x = x, y = w)[name = string("y{weight}")];
""", f"y{weight}")
    return text, 8 * 3


def chain(bridge):
    kernels = []
    for stage in range(3):
        text, count = scaled(stage)
        kernel = bridge.compile_dyn(text, len(text), 1, sizes(count * 2), 1, sizes(2), count * 2)
        assert kernel
        kernels.append(kernel)
    factors = [1.0, 2.0, 2.0]
    for kernel, factor in zip(kernels, factors):
        bridge.write_weight_f32(kernel, 0, floats([factor]), 1)
    ones = [1.0] * count
    bridge.write_input(kernels[0], 0, halves(ones), count * 2)
    results = []
    for i, kernel in enumerate(kernels):
        assert bridge.eval(kernel)
        results.append(bridge.read(kernel, 0, count))
        if i + 1 < len(kernels):
            bridge.copy_io(kernel, 0, kernels[i + 1], 0)
    assert results == [ones, [2.0] * count, [4.0] * count], results
    for kernel in kernels:
        bridge.free(kernel)


def weight_files(bridge):
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    blob = bridge.blob(bridge.build_weight_blob, values, 2, 3)
    header = struct.pack("<II56x", 1, 2) + struct.pack("<IIQQ40x", 0xDEADBEEF, 1, 12, 128)
    assert blob == header + halves(values)
    turned = bridge.blob(bridge.build_weight_blob_transposed, values, 2, 3)
    assert turned == header + halves([1.0, 4.0, 2.0, 5.0, 3.0, 6.0])

    kernel = bridge.compile(WEIGHTED, len(WEIGHTED), blob, len(blob), 1, sizes(12), 1, sizes(12))
    assert kernel
    bridge.write_input(kernel, 0, halves([2.0] * 6), 12)
    assert bridge.eval(kernel)
    assert bridge.read(kernel, 0, 6) == [2 * v for v in values]
    bridge.free(kernel)

    row = bridge.blob(bridge.build_weight_blob, [10.0, 20.0, 30.0], 1, 3)
    names = (c_char_p * 2)(b"@model_path/weights/u.bin", b"@model_path/weights/v.bin")
    datas = (c_char_p * 2)(row, blob)
    kernel = bridge.compile_multi_weights(TWO_FILES, len(TWO_FILES), names, datas,
                                          sizes(len(row), len(blob)), 2, 2, sizes(12, 6), 2,
                                          sizes(12, 6))
    assert kernel
    bridge.write_input(kernel, 0, halves([0.5] * 6), 12)
    bridge.write_input(kernel, 1, halves([1.0, 2.0, 3.0]), 6)
    assert bridge.eval(kernel)
    assert bridge.read(kernel, 0, 6) == [v + 0.5 for v in values]
    assert bridge.read(kernel, 1, 3) == [11.0, 22.0, 33.0]
    bridge.free(kernel)


def real_time(bridge):
    kernel = compile_matmul(bridge)
    bridge.write_input(kernel, 0, halves([1.0] * (K * M)), K * M * 2)
    bridge.write_weight(kernel, 0, halves([1.0] * (N * K)), N * K * 2)
    bridge.begin_realtime()
    assert bridge.eval(kernel)
    bridge.end_realtime()
    assert bridge.read(kernel, 0, N * M) == [float(K)] * (N * M)
    bridge.free(kernel)


def compile_count(bridge):
    bridge.reset_compile_count()
    assert bridge.get_compile_count() == 0
    text = MATMUL.replace(b"out", b"other")
    before = text.count(b"other")
    assert before > 0
    arguments = (text, len(text), 1, sizes(K * M * 2), 1, sizes(N * K * 2), N * M * 2)
    first = bridge.compile_dyn(*arguments)
    assert first and bridge.get_compile_count() == 1
    second = bridge.compile_dyn(*arguments)
    assert second and second != first and bridge.get_compile_count() == 1
    assert bridge.eval(first) and bridge.eval(second)
    bridge.free(first)
    bridge.free(second)
    third = bridge.compile_dyn(*arguments)
    assert third and bridge.get_compile_count() == 1
    bridge.free(third)
    bridge.free(None)


def main():
    bridge = Bridge(sys.argv[1])
    assert bridge.init() == 0
    for part in (dynamic_weights, chain, weight_files, real_time, compile_count):
        part(bridge)
        print(f"{part.__name__}: ok")


if __name__ == "__main__":
    main()
