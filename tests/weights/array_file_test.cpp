#include "milgen/array_file.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/fill.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

using namespace std::string_literals;

constexpr DType kEvery[] = {
    DType::boolean, DType::fp16,      DType::fp32,    DType::fp64,  DType::bf16,   DType::int8,
    DType::int16,   DType::int32,     DType::int64,   DType::uint8, DType::uint16, DType::uint32,
    DType::uint64,  DType::int4,      DType::uint1,   DType::uint2, DType::uint3,  DType::uint4,
    DType::uint6,   DType::fp8e4m3fn, DType::fp8e5m2, DType::string};

bool same(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && a.bytes().size() == b.bytes().size() &&
         (a.bytes().empty() ||
          std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0);
}

/// What the last report says, without the file's name.
std::string fault(const Diagnostics& diagnostics, const std::string& path) {
  REQUIRE(diagnostics.errors() == 1);
  const Diagnostic& last = diagnostics.all().back();
  CHECK(last.place.file == path);
  return last.message + " [" + last.id + "]";
}

/// A .npy of version 1 with this dict and these bytes.
std::string npy(std::string_view dict, std::string_view data) {
  return "\x93NUMPY\x01\0"s + static_cast<char>(dict.size()) + '\0' + std::string(dict) +
         std::string(data);
}

std::string safetensors(std::string_view header, std::string_view data) {
  std::string out(8, '\0');
  out[0] = static_cast<char>(header.size());
  return out + std::string(header) + std::string(data);
}

TEST_CASE("what is written as .npy is read again") {
  const TemporaryFolder folder;
  for (const DType dtype : kEvery) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{5}, Shape{2, 0, 3}, Shape{2, 3, 1, 4}}) {
      CAPTURE(std::string(dtype_name(dtype)));
      CAPTURE(to_string(shape));
      Array array(dtype, shape);
      fill_seeded(array, "x", 7);
      const std::string path = folder.file("x.npy");
      Diagnostics diagnostics;
      if (!write_npy(path, array, diagnostics)) {
        const bool foreign = dtype == DType::bf16 || dtype == DType::string ||
                             dtype == DType::fp8e4m3fn || dtype == DType::fp8e5m2 ||
                             dtype_bits(dtype) < 8;
        CHECK(foreign);
        CHECK(fault(diagnostics, path) == "the array is tensor<" + std::string(dtype_name(dtype)) +
                                              ", " + to_string(shape) +
                                              ">, and numpy has no such elements [array.dtype]");
        continue;
      }
      Array again;
      CHECK(read_npy(path, again, diagnostics));
      CHECK(same(array, again));
    }
  }
}

TEST_CASE("a .npy has the bytes that numpy writes") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  const auto bytes = [&](const Array& array) {
    CHECK(write_npy(folder.file("x.npy"), array, diagnostics));
    return folder.read("x.npy");
  };
  // numpy.save of numpy.zeros((2, 3), 'f2'), numpy.zeros(4, 'i1') and numpy.array(True).
  const auto header = [](std::string dict) {
    dict.resize(117, ' ');
    return "\x93NUMPY\x01\0v\0"s + dict + "\n";
  };
  CHECK(bytes(Array(DType::fp16, {2, 3})) ==
        header("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }") +
            std::string(12, '\0'));
  CHECK(bytes(Array(DType::int8, {4})) ==
        header("{'descr': '|i1', 'fortran_order': False, 'shape': (4,), }") + std::string(4, '\0'));
  CHECK(bytes(Array(DType::boolean, {})) ==
        header("{'descr': '|b1', 'fortran_order': False, 'shape': (), }") + std::string(1, '\0'));
}

TEST_CASE("a column-major .npy becomes row-major, NaN and all") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  Array array;
  const std::string halves = "\x00\x3c\x00\x40\x00\x42\x00\x44\x00\x7e\x00\xfc"s;
  const std::string path = folder.write(
      "x.npy", npy("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3)}", halves));
  REQUIRE(read_npy(path, array, diagnostics));
  CHECK(array.shape() == Shape{2, 3});
  CHECK(array.real(0) == 1);
  CHECK(array.real(1) == 3);
  CHECK(array.real(2) != array.real(2));
  CHECK(array.real(3) == 2);
  CHECK(array.real(4) == 4);
  CHECK(array.as<std::uint16_t>()[5] == 0xFC00);
  CHECK(diagnostics.empty());

  const std::string bools = folder.write(
      "b.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", "\x00\x01\xff"s));
  REQUIRE(read_npy(bools, array, diagnostics));
  CHECK(array.dtype() == DType::boolean);
  CHECK(array.as<std::uint8_t>()[2] == 1);
}

TEST_CASE("a .npy that is none says what it is not") {
  const TemporaryFolder folder;
  const auto report = [&](const std::string& bytes) {
    const std::string path = folder.write("x.npy", bytes);
    Diagnostics diagnostics;
    Array array;
    CHECK_FALSE(read_npy(path, array, diagnostics));
    return fault(diagnostics, path);
  };
  const std::string_view vector = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
  CHECK(report("nothing of it") ==
        "the file does not begin with the 6 bytes that mark a .npy [npy.header]");
  CHECK(report(npy(vector, "1234567")) ==
        "tensor<fp32, [2]> takes 8 bytes, but 7 stand behind the header [npy.size]");
  CHECK(report(npy(vector, "123456789")) ==
        "tensor<fp32, [2]> takes 8 bytes, but 9 stand behind the header [npy.size]");
  CHECK(report(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952, 4)}",
                   "")) ==
        "tensor<fp64, [2305843009213693952, 4]> takes more bytes than 64 bits count, but 0 stand "
        "behind the header [npy.size]");
  CHECK(report(npy("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}", "abc")) ==
        "elements of '<U3' are not read; bool, floats and integers of 1 to 8 bytes are "
        "[npy.dtype]");
}

TEST_CASE("what is written as .safetensors is read again, by name or all of it") {
  const TemporaryFolder folder;
  const std::string path = folder.file("x.safetensors");
  std::vector<NamedArray> arrays;
  for (const DType dtype : kEvery) {
    if (dtype == DType::string || (dtype_bits(dtype) < 8 && dtype != DType::boolean)) continue;
    NamedArray& named = arrays.emplace_back();
    named.name = "a " + std::string(dtype_name(dtype)) + " \"\n";
    named.array = Array(dtype, {3, 1});
    fill_seeded(named.array, named.name, 1);
  }
  arrays.push_back({"empty", Array(DType::fp32, {0})});
  Diagnostics diagnostics;
  REQUIRE(write_safetensors(path, arrays, diagnostics));
  std::vector<NamedArray> again;
  REQUIRE(read_safetensors(path, again, diagnostics));
  CHECK(again.size() == arrays.size());
  for (const NamedArray& named : arrays) {
    const NamedArray* found = find_array(again, named.name);
    REQUIRE(found != nullptr);
    CHECK(same(found->array, named.array));
  }
  const std::string_view names[] = {"empty", "other"};
  REQUIRE(read_safetensors(path, names, again, diagnostics));
  CHECK(again.size() == 1);
  CHECK(again[0].name == "empty");

  const NamedArray packed[] = {{"w", Array(DType::int4, {2})}};
  CHECK_FALSE(write_safetensors(path, packed, diagnostics));
  CHECK(fault(diagnostics, path) ==
        "'w' is tensor<int4, [2]>, and safetensors has no such elements [array.dtype]");
  // The file is as it was.
  diagnostics.clear();
  CHECK(read_safetensors(path, again, diagnostics));
  CHECK(again.size() == arrays.size());
}

TEST_CASE("a .safetensors that is none says what it is not") {
  const TemporaryFolder folder;
  const auto report = [&](const std::string& bytes) {
    const std::string path = folder.write("x.safetensors", bytes);
    Diagnostics diagnostics;
    std::vector<NamedArray> arrays;
    CHECK_FALSE(read_safetensors(path, arrays, diagnostics));
    return fault(diagnostics, path);
  };
  CHECK(report("1234567") ==
        "the file has 7 bytes, not even the 8 that say how long its header is "
        "[safetensors.header]");
  CHECK(report(safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "123")) ==
        "tensor 'x' has data_offsets [0, 4], but there are 3 bytes of data [safetensors.tensor]");
  CHECK(report(
            safetensors(R"({"x":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", "12345678")) ==
        "tensor 'x' has elements of 'C64', which are not read [safetensors.dtype]");
}

TEST_CASE("broken files are refused or read, and never more") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  const NamedArray arrays[] = {{"x", Array(DType::fp16, {2, 3})}, {"y", Array(DType::int32, {4})}};
  REQUIRE(write_npy(folder.file("x.npy"), arrays[0].array, diagnostics));
  REQUIRE(write_safetensors(folder.file("x.safetensors"), arrays, diagnostics));
  std::uint32_t state = 1;
  for (const char* name : {"x.npy", "x.safetensors"}) {
    const std::string good = folder.read(name);
    for (int round = 0; round < 2000; ++round) {
      std::string bad = good;
      for (int change = 0; change < 3; ++change) {
        state = state * 1664525u + 1013904223u;
        const std::size_t at = (state >> 8) % bad.size();
        if (round % 3 == 0) {
          bad[at] = static_cast<char>(state >> 24);
        } else if (round % 3 == 1) {
          bad.resize(at + 1);
        } else {
          bad.insert(at, 1, "0123456789,F"[state % 12]);
        }
      }
      const std::string path = folder.write("bad", bad);
      Array array;
      std::vector<NamedArray> several;
      diagnostics.clear();
      const bool read = name[2] == 'n' ? read_npy(path, array, diagnostics)
                                       : read_safetensors(path, several, diagnostics);
      CHECK(read != diagnostics.has_errors());
    }
  }
}

TEST_CASE("raw files are the elements alone") {
  const TemporaryFolder folder;
  const std::string path = folder.file("x.raw");
  for (const DType dtype : kEvery) {
    CAPTURE(std::string(dtype_name(dtype)));
    Array array(dtype, {2, 3});
    fill_seeded(array, "x", 1);
    Diagnostics diagnostics;
    Array again;
    if (dtype == DType::string || (dtype_bits(dtype) < 8 && dtype != DType::boolean)) {
      const std::string spelled = "tensor<" + std::string(dtype_name(dtype)) + ", [2, 3]>";
      CHECK_FALSE(write_raw(path, array, diagnostics));
      CHECK(fault(diagnostics, path) ==
            "the array is " + spelled + ", and a raw file has no such elements [array.dtype]");
      diagnostics.clear();
      CHECK_FALSE(read_raw(path, dtype, {2, 3}, again, diagnostics));
      CHECK(fault(diagnostics, path) ==
            "a raw file has no elements of " + spelled + " [array.dtype]");
      continue;
    }
    CHECK(write_raw(path, array, diagnostics));
    CHECK(folder.read("x.raw").size() == array.bytes().size());
    CHECK(read_raw(path, dtype, {2, 3}, again, diagnostics));
    CHECK(same(array, again));
    CHECK_FALSE(read_raw(path, dtype, {2, 4}, again, diagnostics));
    CHECK(fault(diagnostics, path) ==
          "tensor<" + std::string(dtype_name(dtype)) + ", [2, 4]> takes " +
              std::to_string(8 * element_bytes(dtype)) + " bytes, but the file has " +
              std::to_string(array.bytes().size()) + " [array.size]");
  }
}

TEST_CASE("inputs by formula are those of golden/README.md") {
  // From its Python: 2 * u(z) - 1, z % 100 and z >> 63 of seeded("x", 7, 4).
  Array reals(DType::fp64, {4});
  fill_seeded(reals, "x", 7);
  Array wholes(DType::int32, {4});
  fill_seeded(wholes, "x", 7);
  Array bools(DType::boolean, {4});
  fill_seeded(bools, "x", 7);
  const double expected_reals[] = {-0.9413461575589885, -0.6213586715985835, -0.8871740039284881,
                                   0.668498867812334};
  const std::int64_t expected_wholes[] = {96, 79, 90, 20};
  const std::int64_t expected_bools[] = {0, 0, 0, 1};
  for (int i = 0; i < 4; ++i) {
    CHECK(reals.real(i) == expected_reals[i]);
    CHECK(wholes.integer(i) == expected_wholes[i]);
    CHECK(bools.integer(i) == expected_bools[i]);
  }
  // What a narrow dtype does not hold is not drawn.
  Array narrow(DType::int4, {64});
  fill_seeded(narrow, "x", 7);
  for (int i = 0; i < 64; ++i) {
    CHECK(narrow.integer(i) >= 0);
    CHECK(narrow.integer(i) < 8);
  }
}

}  // namespace
}  // namespace milgen
