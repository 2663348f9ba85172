#!/usr/bin/env python3
"""What the C bridge says of wrong calls, and that it shows nothing beside its functions.

    bridge_errors.py LIBRARY

MILGEN_ANE_LIBRARY says what stands in for the Neural Engine.
"""
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from ctypes import POINTER, c_char_p, c_float, c_int, c_int8, c_size_t, c_void_p

sys.dont_write_bytecode = True

from bridge_ctypes import FUNCTIONS, K, M, MATMUL, N, WEIGHTED, Bridge, floats, halves, sizes

ADDED = ["run", "build_weight_blob_int8", "build_weight_blob_quantized", "last_error", "read_plan",
         "free_plan", "plan_inputs", "plan_input_bytes", "plan_parts", "plan_part_name",
         "plan_part_elements", "write_planned"]


class Wrong:
    def __init__(self, path):
        self.bridge = Bridge(path)
        library = ctypes.CDLL(path)
        library.ane_bridge_last_error.restype = c_char_p
        self.last_error = lambda: library.ane_bridge_last_error().decode()
        self.quantized = library.ane_bridge_build_weight_blob_quantized
        self.quantized.restype = c_void_p
        self.quantized.argtypes = [POINTER(c_float), c_int, c_int, POINTER(c_float),
                                   POINTER(c_size_t)]
        self.int8 = library.ane_bridge_build_weight_blob_int8
        self.int8.restype = c_void_p
        self.int8.argtypes = [POINTER(c_int8), c_int, c_int, POINTER(c_size_t)]

    def says(self, expected):
        said = self.last_error()
        assert said.startswith(expected), f"{said!r} does not begin with {expected!r}"

    def compile(self, text=MATMUL, x=K * M * 2, weight=N * K * 2, out=N * M * 2):
        return self.bridge.compile_dyn(text, len(text), 1, sizes(x), 1, sizes(weight), out)


def compiling(wrong):
    assert not wrong.compile(x=7)
    wrong.says(f"input 0 ('x') is tensor<fp16, [1, {K}, {M}]> of {K * M * 2} bytes, but its size "
               "is given as 7")
    assert not wrong.compile(weight=K * N * 4)
    wrong.says(f"weight 0 ('W') is tensor<fp16, [1, {N}, {K}]> of {N * K * 2} bytes, but its size "
               f"is given as {N * K * 4}")
    assert not wrong.compile(out=0)
    wrong.says(f"output 0 ('out') is tensor<fp16, [1, {N}, {M}]> of {N * M * 2} bytes, but its "
               "size is given as 0")
    assert not wrong.bridge.compile_dyn(MATMUL, len(MATMUL), 1, sizes(K * M * 2), 0, None, 2)
    wrong.says("the program has 2 inputs, but 1 are given")
    assert not wrong.bridge.compile_dyn(MATMUL, len(MATMUL), 2, None, 0, None, 2)
    wrong.says("there are 2 inputs, and their array is NULL")
    assert not wrong.bridge.compile_dyn(MATMUL, len(MATMUL), -1, None, 0, None, 2)
    wrong.says("the number of inputs is -1")
    assert not wrong.bridge.compile_dyn(None, 0, 1, sizes(2), 0, None, 2)
    wrong.says("the MIL text is NULL")
    assert not wrong.compile(text=b"program(1.3")
    wrong.says("the program has ")
    assert not wrong.compile(text=b"")
    wrong.says("the program has ")
    assert not wrong.bridge.compile(WEIGHTED, len(WEIGHTED), None, 0, 1, sizes(12), 1, sizes(12))
    wrong.says("the program wants the weight file '@model_path/weights/weight.bin', which is not "
               "among the 0 given")
    assert not wrong.bridge.compile(WEIGHTED, len(WEIGHTED), None, 9, 1, sizes(12), 1, sizes(12))
    wrong.says("the weights are NULL, of 9 bytes")


def handles(wrong):
    kernel = wrong.compile()
    assert kernel and wrong.last_error() == ""
    wrong.bridge.free(kernel)
    assert wrong.last_error() == ""
    gone = f"the kernel {kernel:#x} was freed, or never was one"
    wrong.bridge.free(kernel)
    wrong.says(gone)
    assert not wrong.bridge.eval(kernel)
    wrong.says(gone)
    wrong.bridge.write_input(kernel, 0, b"12", 2)
    wrong.says(gone)
    assert not wrong.bridge.eval(12345)
    wrong.says("the kernel 0x3039 was freed, or never was one")
    assert not wrong.bridge.eval(None)
    wrong.says("the kernel is NULL")
    wrong.bridge.free(None)
    assert wrong.last_error() == ""


def values(wrong):
    bridge = wrong.bridge
    kernel = wrong.compile()
    bridge.write_input(kernel, 1, halves([0.0] * (N * K)), N * K * 2)
    wrong.says("input 1 is asked for, and the kernel has 1 input")
    bridge.write_weight(kernel, -1, halves([0.0]), 2)
    wrong.says("weight -1 is asked for, and the kernel has 1 weight")
    bridge.write_weight_f32(kernel, 1, floats([0.0]), 1)
    wrong.says("weight 1 is asked for, and the kernel has 1 weight")
    bridge.read_output(kernel, 2, None, 0)
    wrong.says("output 2 is asked for, and the kernel has 1 output")
    bridge.write_input(kernel, 0, None, K * M * 2)
    wrong.says(f"the data is NULL, of {K * M * 2} values")

    # What does not fit changes nothing.
    x = [1.0] * (K * M)
    bridge.write_input(kernel, 0, halves(x), K * M * 2)
    bridge.write_weight(kernel, 0, halves([1.0] * (N * K)), N * K * 2)
    bridge.write_input(kernel, 0, halves([9.0] * (K * M - 1)), K * M * 2 - 2)
    assert str(K * M * 2) in wrong.last_error(), wrong.last_error()
    assert str(K * M * 2 - 2) in wrong.last_error(), wrong.last_error()
    bridge.write_weight_f32(kernel, 0, floats([9.0] * (N * K + 1)), N * K + 1)
    assert str(N * K) in wrong.last_error() and str(N * K + 1) in wrong.last_error()
    assert bridge.eval(kernel) and wrong.last_error() == ""
    assert bridge.read(kernel, 0, N * M) == [float(K)] * (N * M)

    bridge.copy_io(kernel, 0, kernel, 0)
    wrong.says(f"output 0 ('out') is tensor<fp16, [1, {N}, {M}]>, but input 0 ('x') is "
               f"tensor<fp16, [1, {K}, {M}]>")
    bridge.copy_io(kernel, 1, kernel, 0)
    wrong.says("output 1 is asked for, and the kernel has 1 output")
    bridge.copy_io(kernel, 0, kernel, 1)
    wrong.says("input 1 is asked for, and the kernel has 1 input")
    bridge.copy_io(kernel, 0, 12345, 0)
    wrong.says("the kernel 0x3039 was freed, or never was one")
    bridge.free(kernel)


def real_time(wrong):
    wrong.bridge.begin_realtime()
    wrong.says("there is no kernel, and a real-time task needs one")
    wrong.bridge.end_realtime()
    wrong.says("no real-time task was begun")
    kernel = wrong.compile()
    for _ in range(2):
        wrong.bridge.begin_realtime()
        assert wrong.last_error() == ""
    for _ in range(2):
        wrong.bridge.end_realtime()
        assert wrong.last_error() == ""
    wrong.bridge.end_realtime()
    wrong.says("no real-time task was begun")
    wrong.bridge.free(kernel)


def blobs(wrong):
    size = c_size_t(5)
    build = wrong.bridge.build_weight_blob
    assert not build(floats([1.0]), 0, 1, ctypes.byref(size)) and size.value == 0
    wrong.says("the matrix is [0, 1], and both must be at least 1")
    assert not build(floats([1.0]), 1, -1, ctypes.byref(size))
    wrong.says("the matrix is [1, -1], and both must be at least 1")
    assert not build(None, 1, 1, ctypes.byref(size))
    wrong.says("the values are NULL")
    assert not build(floats([1.0]), 1, 1, None)
    wrong.says("the place for the length is NULL")
    most = 2**31 - 1
    assert not build(floats([1.0]), most, most, ctypes.byref(size)) and size.value == 0
    wrong.says("there is not enough memory")

    scale = c_float()
    data = wrong.quantized(floats([127.0, 0.5, -0.5, -1.49, -127.0, 2.5]), 2, 3,
                           ctypes.byref(scale), ctypes.byref(size))
    record = bytes([0xEF, 0xBE, 0xAD, 0xDE, 1, 0, 0, 0, 0, 0, 8]).ljust(64, b"\0")
    blob = ctypes.string_at(data, size.value)
    wrong.bridge.free_blob(data)
    assert scale.value == 1.0
    assert blob == record + bytes([127, 1, 255, 255, 129, 3]), blob
    data = wrong.quantized(floats([0.0, -0.0]), 1, 2, ctypes.byref(scale), ctypes.byref(size))
    assert scale.value == 1.0 and ctypes.string_at(data, size.value) == record + b"\0\0"
    wrong.bridge.free_blob(data)
    assert not wrong.quantized(floats([1.0, float("nan")]), 1, 2, ctypes.byref(scale),
                               ctypes.byref(size))
    wrong.says("value 1 is nan, and only finite ones can be scaled")
    assert not wrong.quantized(floats([1.0]), 1, 1, None, ctypes.byref(size))
    wrong.says("the place for the scale is NULL")

    data = wrong.int8((c_int8 * 4)(-128, -1, 0, 127), 4, 1, ctypes.byref(size))
    assert ctypes.string_at(data, size.value) == record + bytes([128, 255, 0, 127])
    wrong.bridge.free_blob(data)


def c_header():
    compiler = shutil.which("cc")
    if compiler is None:
        print("c_header: skipped, there is no C compiler")
        return
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([compiler, "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror",
                    "-fsyntax-only", "-x", "c", "-I", os.path.join(here, "../../include"), "-"],
                   check=True, text=True,
                   input='#include "milgen/ane_bridge.h"\nint main(void) { return ane_bridge_init(); }\n')
    print("c_header: ok")


def exports(path):
    nm = shutil.which("nm")
    if nm is None or sys.platform == "darwin":
        print("exports: skipped, there is no nm")
        return
    listed = subprocess.run([nm, "-D", "--defined-only", path], check=True, capture_output=True,
                            text=True).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert names == {"ane_bridge_" + name for name in [*FUNCTIONS, *ADDED]}, names
    print("exports: ok")


def without_engine(path):
    """In a process of its own, since an engine that is open stays so."""
    code = f"""
import sys; sys.dont_write_bytecode = True
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from bridge_errors import Wrong
wrong = Wrong({path!r})
assert wrong.bridge.init() == -1 and wrong.last_error() != ""
assert not wrong.compile() and wrong.last_error() != ""
assert wrong.bridge.get_compile_count() == 0 and wrong.last_error() == ""
"""
    environment = dict(os.environ, MILGEN_ANE_LIBRARY="/no/such/library")
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    print("without_engine: ok")


def shared_cache(path, folder):
    """What one process compiled, the next one finds."""
    code = f"""
import sys; sys.dont_write_bytecode = True
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from bridge_errors import Wrong
wrong = Wrong({path!r})
assert wrong.compile(), wrong.last_error()
print(wrong.bridge.get_compile_count())
"""

    def count(environment):
        return subprocess.run([sys.executable, "-c", code], check=True, env=environment,
                              capture_output=True, text=True).stdout.strip()

    with_cache = dict(os.environ, MILGEN_ANE_CACHE=folder)
    without = {name: value for name, value in with_cache.items() if name != "MILGEN_ANE_CACHE"}
    counts = [count(with_cache), count(with_cache), count(without), count(without)]
    assert counts == ["1", "0", "1", "1"], counts
    print("shared_cache: ok")


def main():
    path = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        # All that processes leave behind in it, and the cache that one of them was told to keep.
        os.environ["TMPDIR"] = folder
        wrong = Wrong(path)
        assert wrong.last_error() == ""
        for part in (real_time, compiling, handles, values, blobs):
            part(wrong)
            print(f"{part.__name__}: ok")
        without_engine(path)
        before = set(os.listdir(folder))
        shared_cache(path, os.path.join(folder, "cache"))
        assert set(os.listdir(folder)) == before | {"cache"}, os.listdir(folder)
    exports(path)
    c_header()


if __name__ == "__main__":
    main()
