#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/weights.h"
#include "support/half.h"
#include "support/printable.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

std::string text_of(const Diagnostics& diagnostics) {
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

/// What a source gives for a request, or what it says instead.
struct Answer {
  bool good = false;
  std::vector<std::byte> bytes;
  std::string said;

  template <class T>
  std::vector<T> as() const {
    std::vector<T> out(bytes.size() / sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
    return out;
  }
};

Answer ask(WeightSource& source, std::string_view name, DType dtype, const Shape& shape,
           bool transposed = false) {
  Answer answer;
  std::int64_t count = 0;
  std::uint64_t size = 0;
  std::uint32_t padding = 0;
  REQUIRE(element_count(shape, count));
  REQUIRE(payload_bytes(dtype, static_cast<std::uint64_t>(count), size, padding));
  answer.bytes.resize(static_cast<std::size_t>(size));
  MemorySink sink(answer.bytes);
  Diagnostics diagnostics;
  const WeightRequest request = {name, dtype, shape, Fill::uniform};
  answer.good = transposed ? source.read_transposed(request, sink, diagnostics)
                           : source.read(request, sink, diagnostics);
  CHECK(answer.good == !diagnostics.has_errors());
  if (answer.good) CHECK(sink.size() == answer.bytes.size());
  answer.said = text_of(diagnostics);
  return answer;
}

std::unique_ptr<WeightSource> memory(std::vector<MemoryWeight> weights, bool strict = false) {
  Diagnostics diagnostics;
  auto source = memory_weights(std::move(weights), {.strict = strict}, diagnostics);
  CHECK(text_of(diagnostics).empty());
  REQUIRE(source != nullptr);
  return source;
}

std::uint16_t half(double value) { return half_from_double(value); }

// --- Memory, conversions, shapes. ---

TEST_CASE("fp32 in memory becomes fp16, and dims of 1 come and go") {
  const std::vector<float> values = {1.5f, -2, 0.1f, 65504, 3, 4};
  const auto source = memory({{"w", DType::fp32, Shape{2, 3}, bytes_of(values)}});
  for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 1, 1}, Shape{1, 2, 1, 3}}) {
    const Answer answer = ask(*source, "w", DType::fp16, shape);
    CHECK(answer.good);
    CHECK(answer.said.empty());
    CHECK(answer.as<std::uint16_t>() ==
          std::vector<std::uint16_t>{half(1.5), half(-2), 0x2E66, 0x7BFF, half(3), half(4)});
  }
  CHECK(ask(*source, "w", DType::fp16, Shape{3, 2}).said ==
        "error: weight 'w' is tensor<fp16, [3, 2]> but in memory it is tensor<fp32, [2, 3]> "
        "[weight.shape]\n");
  CHECK(ask(*source, "w", DType::fp16, Shape{6}).said.find("[weight.shape]") != std::string::npos);
  CHECK(ask(*source, "w", DType::int8, Shape{2, 3}).said ==
        "error: weight 'w' is tensor<int8, [2, 3]> but in memory it is tensor<fp32, [2, 3]>, "
        "which is not converted to int8 [weight.convert]\n");
  CHECK(ask(*source, "v", DType::fp16, Shape{2, 3}).said ==
        "error: weight 'v' is not in memory; did you mean 'w'? [weight.missing]\n");
}

TEST_CASE("floats go from every dtype to every other, rounded once") {
  std::vector<double> doubles;
  std::mt19937_64 random(5);
  for (int i = 0; i < 5000; ++i) {
    doubles.push_back(std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())),
                                 static_cast<int>(random() % 30) - 80));
  }
  doubles.push_back(1 + 0x1p-11 + 0x1p-40);
  std::vector<float> singles;
  std::vector<std::uint16_t> halves;
  std::vector<std::uint16_t> brains;
  for (const double d : doubles) {
    singles.push_back(static_cast<float>(d));
    halves.push_back(half_from_double(d));
    brains.push_back(bf16_from_double(d));
  }
  const auto size = static_cast<std::int64_t>(doubles.size());
  const auto source = memory({{"d", DType::fp64, Shape{size}, bytes_of(doubles)},
                              {"f", DType::fp32, Shape{size}, bytes_of(singles)},
                              {"h", DType::fp16, Shape{size}, bytes_of(halves)},
                              {"b", DType::bf16, Shape{size}, bytes_of(brains)}});
  CHECK(source->names() == std::vector<std::string>{"b", "d", "f", "h"});
  CHECK(ask(*source, "d", DType::fp16, Shape{size}).as<std::uint16_t>() == halves);
  CHECK(ask(*source, "d", DType::fp32, Shape{size}).as<float>() == singles);
  CHECK(ask(*source, "d", DType::bf16, Shape{size}).as<std::uint16_t>() == brains);
  CHECK(ask(*source, "h", DType::fp16, Shape{size}).as<std::uint16_t>() == halves);
  CHECK(ask(*source, "b", DType::bf16, Shape{size}).as<std::uint16_t>() == brains);
  const auto wide_halves = ask(*source, "h", DType::fp32, Shape{size}).as<float>();
  const auto half_brains = ask(*source, "b", DType::fp16, Shape{size}).as<std::uint16_t>();
  const auto brain_halves = ask(*source, "h", DType::bf16, Shape{size}).as<std::uint16_t>();
  for (std::size_t i = 0; i < doubles.size(); ++i) {
    CHECK(wide_halves[i] == float_from_half(halves[i]));
    CHECK(half_brains[i] == half_from_float(float_from_bf16(brains[i])));
    CHECK(brain_halves[i] == bf16_from_float(float_from_half(halves[i])));
  }
}

TEST_CASE("what overflows or is no number is counted and placed, and refused when strict") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0, 1e5f, kInf, -1e6f, kNan, 1};
  const std::string overflow =
      ": weight 'w': 2 of 6 values are finite in the source and infinite in fp16, the first at "
      "[0, 1] [weight.overflow]\n";
  const std::string nan =
      ": weight 'w': 1 of 6 values is not a number, the first at [1, 1] [weight.nan]\n";
  const std::vector<MemoryWeight> weights = {{"w", DType::fp32, Shape{2, 3}, bytes_of(values)}};
  const auto lenient = memory(weights);
  const Answer answer = ask(*lenient, "w", DType::fp16, Shape{2, 3});
  CHECK(answer.good);
  CHECK(answer.said == "warning" + overflow + "warning" + nan);
  CHECK(answer.as<std::uint16_t>() ==
        std::vector<std::uint16_t>{0, 0x7C00, 0x7C00, 0xFC00, 0x7E00, 0x3C00});
  const auto strict = memory(weights, true);
  const Answer refused = ask(*strict, "w", DType::fp16, Shape{2, 3});
  CHECK_FALSE(refused.good);
  CHECK(refused.said == "error" + overflow + "error" + nan);
  // Transposed, the places are those of the transposed weight.
  CHECK(ask(*lenient, "w", DType::fp16, Shape{3, 2}, true).said.find("the first at [0, 1]") !=
        std::string::npos);
  // Nothing overflows in fp32, but a NaN is one in every dtype.
  CHECK(ask(*lenient, "w", DType::fp32, Shape{2, 3}).said == "warning" + nan);
  const std::vector<double> wide = {1e300, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<std::uint16_t> halves = {0x7C00, 0x7E01};
  const std::vector<std::uint16_t> brains = {0x7F80, 0x7FC0, 0x7F00};
  const auto others = memory({{"d", DType::fp64, Shape{2}, bytes_of(wide)},
                              {"h", DType::fp16, Shape{2}, bytes_of(halves)},
                              {"b", DType::bf16, Shape{3}, bytes_of(brains)}});
  CHECK(ask(*others, "d", DType::bf16, Shape{2}).said ==
        "warning: weight 'd': 1 of 2 values is finite in the source and infinite in bf16, the "
        "first at [0] [weight.overflow]\n"
        "warning: weight 'd': 1 of 2 values is not a number, the first at [1] [weight.nan]\n");
  CHECK(ask(*others, "d", DType::fp64, Shape{2}).said.find("[weight.nan]") != std::string::npos);
  CHECK(ask(*others, "h", DType::fp16, Shape{2}).said.find("the first at [1]") !=
        std::string::npos);
  CHECK(ask(*others, "b", DType::fp16, Shape{3}).said ==
        "warning: weight 'b': 1 of 3 values is finite in the source and infinite in fp16, the "
        "first at [2] [weight.overflow]\n"
        "warning: weight 'b': 1 of 3 values is not a number, the first at [1] [weight.nan]\n");
}

TEST_CASE("integers keep their values or are refused with the value and its place") {
  const std::vector<std::int64_t> values = {-8, 7, 0, 1, 5, -1, 3};
  const std::vector<std::uint8_t> bytes = {0, 7, 5, 4, 3, 2, 1};
  const auto source = memory({{"i", DType::int64, Shape{7}, bytes_of(values)},
                              {"u", DType::uint8, Shape{7}, bytes_of(bytes)}});
  CHECK(ask(*source, "i", DType::int8, Shape{7}).as<std::int8_t>() ==
        std::vector<std::int8_t>{-8, 7, 0, 1, 5, -1, 3});
  CHECK(ask(*source, "i", DType::int32, Shape{7}).as<std::int32_t>() ==
        std::vector<std::int32_t>{-8, 7, 0, 1, 5, -1, 3});
  std::vector<std::uint8_t> back(7);
  REQUIRE(unpack_elements(DType::int4, ask(*source, "i", DType::int4, Shape{7}).bytes, back));
  CHECK(back == std::vector<std::uint8_t>{0xF8, 7, 0, 1, 5, 0xFF, 3});
  REQUIRE(unpack_elements(DType::uint3, ask(*source, "u", DType::uint3, Shape{7}).bytes, back));
  CHECK(back == bytes);
  CHECK(ask(*source, "u", DType::uint2, Shape{7}).said ==
        "error: weight 'u': 7 at [1] does not fit in uint2 [weight.range]\n");
  CHECK(ask(*source, "i", DType::uint8, Shape{7}).said ==
        "error: weight 'i': -8 at [0] does not fit in uint8 [weight.range]\n");
  CHECK(ask(*source, "u", DType::fp16, Shape{7}).said.find("[weight.convert]") !=
        std::string::npos);
  const std::vector<std::uint64_t> large = {std::numeric_limits<std::uint64_t>::max()};
  const auto other = memory({{"l", DType::uint64, Shape{1}, bytes_of(large)}});
  CHECK(ask(*other, "l", DType::int8, Shape{1}).said ==
        "error: weight 'l': 18446744073709551615 at [0] does not fit in int8 [weight.range]\n");
}

TEST_CASE("packed elements are copied as they are, and not transposed") {
  const std::vector<std::uint8_t> packed = {0x21, 0x43, 0x65};
  const auto source = memory({{"q", DType::uint4, Shape{2, 3}, bytes_of(packed)}});
  CHECK(ask(*source, "q", DType::uint4, Shape{2, 3}).as<std::uint8_t>() == packed);
  CHECK(ask(*source, "q", DType::uint4, Shape{3, 2}, true).said ==
        "error: weight 'q' is tensor<uint4, [3, 2]> but in memory it is tensor<uint4, [2, 3]>, "
        "packed and not to be transposed [weight.convert]\n");
  CHECK(ask(*source, "q", DType::uint8, Shape{2, 3}).said.find("[weight.convert]") !=
        std::string::npos);
}

TEST_CASE("transposed reading, for every pair of dtypes and through every sink") {
  constexpr std::int64_t kRows = 37;
  constexpr std::int64_t kColumns = 259;
  std::vector<float> values(static_cast<std::size_t>(kRows * kColumns));
  std::vector<std::int16_t> shorts(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i) * 0.5f;
    shorts[i] = static_cast<std::int16_t>(i);
  }
  const auto source = memory({{"f", DType::fp32, Shape{kRows, kColumns}, bytes_of(values)},
                              {"s", DType::int16, Shape{kRows, kColumns}, bytes_of(shorts)}});
  const Shape turned{kColumns, kRows, 1, 1};
  const auto check = [&](auto got, auto expected) {
    std::size_t wrong = 0;
    for (std::int64_t c = 0; c < kColumns; ++c) {
      for (std::int64_t r = 0; r < kRows; ++r) {
        wrong += got[static_cast<std::size_t>(c * kRows + r)] !=
                         expected(static_cast<std::size_t>(r * kColumns + c))
                     ? 1
                     : 0;
      }
    }
    CHECK(wrong == 0);
  };
  check(ask(*source, "f", DType::fp16, turned, true).as<std::uint16_t>(),
        [&](std::size_t i) { return half_from_float(values[i]); });
  check(ask(*source, "f", DType::fp32, turned, true).as<float>(),
        [&](std::size_t i) { return values[i]; });
  check(ask(*source, "f", DType::bf16, turned, true).as<std::uint16_t>(),
        [&](std::size_t i) { return bf16_from_float(values[i]); });
  check(ask(*source, "s", DType::int16, turned, true).as<std::int16_t>(),
        [&](std::size_t i) { return shorts[i]; });
  check(ask(*source, "s", DType::int32, turned, true).as<std::int32_t>(),
        [&](std::size_t i) { return shorts[i]; });
  HashSink hash;
  Diagnostics diagnostics;
  REQUIRE(source->read_transposed({"f", DType::fp16, turned, Fill::uniform}, hash, diagnostics));
  CHECK(hash.size_bytes() == values.size() * 2);
  CHECK(hash.finish() == sha256_hex(ask(*source, "f", DType::fp16, turned, true).bytes));
  CHECK(hash.size_bytes() == 0);
  CHECK(ask(*source, "f", DType::fp16, Shape{kRows, kColumns}, true).said ==
        "error: weight 'f' is tensor<fp16, [37, 259]> but in memory it is tensor<fp32, "
        "[37, 259]>, to be transposed [weight.shape]\n");
}

TEST_CASE("a transposed row that no buffer holds still comes out") {
  constexpr std::int64_t kRows = 150000;
  std::vector<float> values(static_cast<std::size_t>(kRows * 3));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 2000);
  const auto source = memory({{"f", DType::fp32, Shape{kRows, 3}, bytes_of(values)}});
  HashSink hash;
  Diagnostics diagnostics;
  REQUIRE(source->read_transposed({"f", DType::fp16, Shape{3, kRows}, Fill::uniform}, hash,
                                  diagnostics));
  CHECK(hash.finish() == sha256_hex(ask(*source, "f", DType::fp16, Shape{3, kRows}, true).bytes));
}

TEST_CASE("memory that does not fit itself is refused, all of it") {
  const std::vector<float> values = {1, 2, 3};
  Diagnostics diagnostics;
  CHECK(memory_weights({{"a", DType::fp32, Shape{4}, bytes_of(values)},
                        {"b", DType::fp32, Shape{3}, bytes_of(values)},
                        {"b", DType::fp32, Shape{3}, bytes_of(values)}},
                       {}, diagnostics) == nullptr);
  CHECK(text_of(diagnostics) ==
        "error: weight 'a' is tensor<fp32, [4]>, which does not take the 12 bytes that are given "
        "[weight.size]\n"
        "memory: error: weight 'b' is there twice "
        "[weight.duplicate]\n");
}

// --- Raw files and folders. ---

TEST_CASE("a folder of raw files: fp32, the weight's own dtype, and other sizes") {
  const TemporaryFolder folder;
  folder.write("a.bin", raw<float>({1, 2, 3, 4}));
  folder.write("b.raw", raw<std::uint16_t>({half(1), half(2), half(3), half(4)}));
  folder.write("c.bin", "123456");
  folder.write("n.bin", raw<std::int32_t>({5, 6}));
  folder.write("notes.txt", "no weight");
  Diagnostics diagnostics;
  const auto source = open_weights(folder.path().string(), {}, diagnostics);
  REQUIRE(source != nullptr);
  CHECK(diagnostics.empty());
  CHECK(source->names() == std::vector<std::string>{"a", "b", "c", "n"});
  const std::vector<std::uint16_t> expected = {half(1), half(2), half(3), half(4)};
  CHECK(ask(*source, "a", DType::fp16, Shape{2, 2}).as<std::uint16_t>() == expected);
  CHECK(ask(*source, "b", DType::fp16, Shape{2, 2}).as<std::uint16_t>() == expected);
  CHECK(ask(*source, "a", DType::fp16, Shape{2, 2}, true).as<std::uint16_t>() ==
        std::vector<std::uint16_t>{half(1), half(3), half(2), half(4)});
  CHECK(ask(*source, "n", DType::int32, Shape{2}).as<std::int32_t>() ==
        std::vector<std::int32_t>{5, 6});
  CHECK(ask(*source, "c", DType::fp16, Shape{2, 2}).said ==
        "error: weight 'c': '" + folder.file("c.bin") +
            "' has 6 bytes, but tensor<fp16, [2, 2]> takes 8 bytes of fp16 or 16 of fp32 "
            "[weight.size]\n");
  CHECK(ask(*source, "n", DType::int16, Shape{2}).said.find("takes 4 bytes of int16 [weight") !=
        std::string::npos);
  // Not a way out of the folder.
  WeightDescription description;
  CHECK_FALSE(source->describe("../a", description));
}

TEST_CASE("one file is one weight; two files of one name are refused") {
  const TemporaryFolder folder;
  folder.write("wq.bin", raw<float>({1, 2}));
  Diagnostics diagnostics;
  const auto source = open_weights(folder.file("wq.bin"), {}, diagnostics);
  REQUIRE(source != nullptr);
  CHECK(source->names() == std::vector<std::string>{"wq"});
  CHECK(ask(*source, "wq", DType::fp16, Shape{2}).as<std::uint16_t>() ==
        std::vector<std::uint16_t>{0x3C00, 0x4000});
  folder.write("wq.raw", "");
  CHECK(open_weights(folder.path().string(), {}, diagnostics) == nullptr);
  CHECK(text_of(diagnostics) == folder.path().string() +
                                    ": error: weight 'wq' is there twice, as '" +
                                    folder.file("wq.bin") + "' and as '" + folder.file("wq.raw") +
                                    "' [weight.duplicate]\n");
  diagnostics.clear();
  CHECK(open_weights(folder.file("none.bin"), {}, diagnostics) == nullptr);
  CHECK(text_of(diagnostics) == folder.file("none.bin") +
                                    ": error: cannot be opened: No such file or directory "
                                    "[file.open]\n");
}

// --- .npy ---

std::string npy(std::string_view header, const std::string& data, char major = 1) {
  std::string out = "\x93NUMPY";
  out += major;
  out += '\0';
  const std::size_t size = header.size();
  out += static_cast<char>(size & 0xFF);
  out += static_cast<char>(size >> 8);
  if (major > 1) out += std::string(2, '\0');
  out += header;
  return out + data;
}

std::string npy_fault(const TemporaryFolder& folder, const std::string& bytes) {
  folder.write("x.npy", bytes);
  Diagnostics diagnostics;
  CHECK(open_weights(folder.file("x.npy"), {}, diagnostics) == nullptr);
  const std::string text = text_of(diagnostics);
  const std::string prefix = folder.file("x.npy") + ": error: ";
  REQUIRE(text.starts_with(prefix));
  return text.substr(prefix.size());
}

TEST_CASE(".npy in row-major and column-major order, versions 1 to 3") {
  const TemporaryFolder folder;
  // numpy.arange(6, dtype="<f4").reshape(2, 3), and the same as order="F"
  for (const char major : {'\1', '\2', '\3'}) {
    folder.write("c.npy",
                 npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n",
                     raw<float>({0, 1, 2, 3, 4, 5}), major));
    Diagnostics diagnostics;
    const auto source = open_weights(folder.file("c.npy"), {}, diagnostics);
    REQUIRE(source != nullptr);
    WeightDescription description;
    REQUIRE(source->describe("c", description));
    CHECK(description.dtype == DType::fp32);
    CHECK(description.shape == Shape{2, 3});
    CHECK(ask(*source, "c", DType::fp32, Shape{2, 3}).as<float>() ==
          std::vector<float>{0, 1, 2, 3, 4, 5});
    CHECK(ask(*source, "c", DType::fp32, Shape{3, 2}, true).as<float>() ==
          std::vector<float>{0, 3, 1, 4, 2, 5});
  }
  folder.write("f.npy", npy("{'descr':'<f4','fortran_order':True,'shape':(2,3)}",
                            raw<float>({0, 3, 1, 4, 2, 5})));
  // Rank 3, [2, 2, 2] with element i + 2 j + 4 k at [i, j, k].
  folder.write("g.npy", npy("{'descr': '|i1', 'fortran_order': True, 'shape': (2, 2, 2L)}",
                            raw<std::int8_t>({0, 1, 2, 3, 4, 5, 6, 7})));
  folder.write("s.npy",
               npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", raw<double>({0.1})));
  folder.write("v.npy", npy("{\"descr\": \"<i8\", 'fortran_order': False, 'shape': (3,)}",
                            raw<std::int64_t>({1, -2, 3})));
  Diagnostics diagnostics;
  const auto source = open_weights(folder.path().string(), {}, diagnostics);
  REQUIRE(source != nullptr);
  CHECK(source->names() == std::vector<std::string>{"c", "f", "g", "s", "v"});
  CHECK(ask(*source, "f", DType::fp16, Shape{2, 3}).as<std::uint16_t>() ==
        std::vector<std::uint16_t>{half(0), half(1), half(2), half(3), half(4), half(5)});
  CHECK(ask(*source, "f", DType::fp32, Shape{3, 2, 1, 1}, true).as<float>() ==
        std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(ask(*source, "g", DType::int8, Shape{2, 2, 2}).as<std::int8_t>() ==
        std::vector<std::int8_t>{0, 4, 2, 6, 1, 5, 3, 7});
  CHECK(ask(*source, "g", DType::int8, Shape{2, 2, 2}, true).said.find("[weight.shape]") !=
        std::string::npos);
  CHECK(ask(*source, "s", DType::fp16, Shape{}).as<std::uint16_t>() ==
        std::vector<std::uint16_t>{0x2E66});
  CHECK(ask(*source, "s", DType::fp16, Shape{1, 1}).good);
  CHECK(ask(*source, "v", DType::int8, Shape{3}).as<std::int8_t>() ==
        std::vector<std::int8_t>{1, -2, 3});
}

TEST_CASE("a .npy that is none says what it is not") {
  const TemporaryFolder folder;
  const std::string four(16, '\0');
  CHECK(npy_fault(folder, "short") ==
        "the file does not begin with the 6 bytes that mark a .npy [npy.header]\n");
  CHECK(npy_fault(folder, npy("{}", "", 9)) ==
        "the format version is 9.0, not 1 to 3 [npy.header]\n");
  CHECK(npy_fault(folder, npy("{}", "").substr(0, 11)) ==
        "the header has 2 bytes, but the file ends 1 behind its length [npy.header]\n");
  CHECK(npy_fault(folder, npy("{}", "")) ==
        "the header has no 'descr' (byte 2 of it) [npy.header]\n");
  CHECK(npy_fault(folder, npy("[1]", "")) ==
        "the header does not begin with '{' (byte 0 of it) [npy.header]\n");
  CHECK(npy_fault(folder,
                  npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}", four)) ==
        "the header has a 'descr' that is not one dtype in quotes (byte 10 of it) [npy.header]\n");
  CHECK(npy_fault(folder, npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (4,)}", four)) ==
        "the header has a 'fortran_order' that is neither True nor False (byte 34 of it) "
        "[npy.header]\n");
  CHECK(npy_fault(
            folder,
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", four))
            .find("has a dim that does not fit in 63 bits") != std::string::npos);
  CHECK(npy_fault(folder, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}", four))
            .find("has a dim that is no number") != std::string::npos);
  CHECK(npy_fault(folder, npy("{'descr': '<f4', 'x': 1}", four)).find("has a key 'x'") !=
        std::string::npos);
  CHECK(npy_fault(folder, npy("{'descr': '>f4', 'fortran_order': False, 'shape': (4,)}", four)) ==
        "'>f4' is big-endian; little-endian ('<') is read [npy.dtype]\n");
  CHECK(npy_fault(folder, npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", four)) ==
        "elements of '<c8' are not read; bool, floats and integers of 1 to 8 bytes are "
        "[npy.dtype]\n");
  CHECK(npy_fault(folder, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}", four)) ==
        "tensor<fp32, [5]> takes 20 bytes, but 16 stand behind the header [npy.size]\n");
  CHECK(npy_fault(folder, npy("{'descr': '<f4', 'fortran_order': False, 'shape': "
                              "(4611686018427387904, 4611686018427387904)}",
                              four))
            .find("[npy.size]") != std::string::npos);
}

TEST_CASE("a .npy cut or changed anywhere is refused or read, never worse") {
  const TemporaryFolder folder;
  const std::string good = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n",
                               raw<float>({0, 1, 2, 3, 4, 5}));
  for (std::size_t size = 0; size < good.size(); ++size) {
    folder.write("x.npy", std::string_view(good).substr(0, size));
    Diagnostics diagnostics;
    CHECK(open_weights(folder.file("x.npy"), {}, diagnostics) == nullptr);
    CHECK(diagnostics.errors() == 1);
  }
  std::mt19937 random(6);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % 70] = static_cast<char>(random());
    folder.write("x.npy", bytes);
    Diagnostics diagnostics;
    const auto source = open_weights(folder.file("x.npy"), {}, diagnostics);
    CHECK((source == nullptr) == diagnostics.has_errors());
    if (source != nullptr) ask(*source, "x", DType::fp16, Shape{2, 3});
  }
}

// --- .safetensors ---

std::string safetensors(std::string_view header, const std::string& data) {
  std::string out;
  for (unsigned i = 0; i < 8; ++i) out += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return out.append(header).append(data);
}

TEST_CASE(".safetensors: dtypes, shapes, scalars, metadata") {
  const TemporaryFolder folder;
  const std::string header =
      R"({"__metadata__": {"format": "pt", "x": "{[}"},)"
      R"("layers.0.attention.wq.weight": {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b": {"data_offsets":[24,28],"shape":[2],"dtype":"BF16"},)"
      R"("i": {"dtype":"I8","shape":[],"data_offsets":[28,29]},)"
      R"("e": {"dtype":"F16","shape":[0,7],"data_offsets":[29,29]},)"
      R"("q": {"dtype":"F4","shape":[8],"data_offsets":[29,33]},)"
      R"("f": {"dtype":"F8_E4M3","shape":[1],"data_offsets":[33,34]}})";
  const std::string data = raw<float>({1, 2, 3, 4, 5, 6}) + raw<std::uint16_t>({0x3F80, 0x4000}) +
                           "\x05" + "1234" + "\x38";
  const std::string path = folder.write("m.safetensors", safetensors(header, data));
  Diagnostics diagnostics;
  auto source = open_weights(path, {}, diagnostics);
  CHECK(text_of(diagnostics).empty());
  REQUIRE(source != nullptr);
  CHECK(source->names() ==
        std::vector<std::string>{"b", "e", "f", "i", "layers.0.attention.wq.weight", "q"});
  CHECK(ask(*source, "layers.0.attention.wq.weight", DType::fp16, Shape{2, 3, 1, 1})
            .as<std::uint16_t>() ==
        std::vector<std::uint16_t>{half(1), half(2), half(3), half(4), half(5), half(6)});
  CHECK(ask(*source, "b", DType::fp16, Shape{2}).as<std::uint16_t>() ==
        std::vector<std::uint16_t>{0x3C00, 0x4000});
  CHECK(ask(*source, "i", DType::int8, Shape{1}).as<std::int8_t>() == std::vector<std::int8_t>{5});
  CHECK(ask(*source, "e", DType::fp16, Shape{0, 7}).good);
  CHECK(ask(*source, "f", DType::fp8e4m3fn, Shape{1}).as<std::uint8_t>() ==
        std::vector<std::uint8_t>{0x38});
  CHECK(ask(*source, "q", DType::fp16, Shape{8}).said ==
        "error: weight 'q' is tensor<fp16, [8]> but in '" + path +
            "' it is tensor<F4, [8]>, which is not converted to fp16 [weight.convert]\n");
  CHECK(ask(*source, "layers.0.attention.wk.weight", DType::fp16, Shape{1}).said ==
        "error: weight 'layers.0.attention.wk.weight' is not in '" + path +
            "'; did you mean 'layers.0.attention.wq.weight'? [weight.missing]\n");

  source = mapped_weights(std::move(source),
                          "# names\n\nwq = layers.0.attention.wq.weight\n"
                          "  wqt\t=  transpose layers.0.attention.wq.weight # turned\r\n",
                          "names.map", diagnostics);
  REQUIRE(source != nullptr);
  CHECK(source->names() == std::vector<std::string>{"b", "e", "f", "i", "q", "wq", "wqt"});
  CHECK(ask(*source, "wqt", DType::fp32, Shape{3, 2, 1, 1}).as<float>() ==
        std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(ask(*source, "wqt", DType::fp32, Shape{2, 3}, true).as<float>() ==
        std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(ask(*source, "b", DType::fp16, Shape{2}).good);
  WeightDescription description;
  REQUIRE(source->describe("wqt", description));
  CHECK(description.shape == Shape{3, 2});
  CHECK(ask(*source, "wq", DType::fp32, Shape{3, 3}).said ==
        "error: weight 'layers.0.attention.wq.weight' is tensor<fp32, [3, 3]> but in '" + path +
            "' it is tensor<fp32, [2, 3]> [weight.shape]\n"
            "note: weight 'wq' is tensor 'layers.0.attention.wq.weight' by the name map\n");
}

std::string safetensors_fault(const TemporaryFolder& folder, const std::string& bytes) {
  const std::string path = folder.write("x.safetensors", bytes);
  Diagnostics diagnostics;
  CHECK(open_weights(path, {}, diagnostics) == nullptr);
  std::string text = text_of(diagnostics);
  for (std::size_t at; (at = text.find(path + ": error: ")) != std::string::npos;) {
    text.erase(at, path.size() + 9);
  }
  return text;
}

TEST_CASE("a .safetensors that is none says what it is not") {
  const TemporaryFolder folder;
  const auto fault = [&](std::string_view header, const std::string& data = "") {
    return safetensors_fault(folder, safetensors(header, data));
  };
  CHECK(safetensors_fault(folder, "1234567") ==
        "the file has 7 bytes, not even the 8 that say how long its header is "
        "[safetensors.header]\n");
  CHECK(safetensors_fault(folder, std::string(8, '\xFF') + "{}") ==
        "the header has 18446744073709551615 bytes, but the file ends 2 behind its length "
        "[safetensors.header]\n");
  CHECK(fault("{\"a\":") == "the header is not JSON at byte 6 of it [safetensors.header]\n");
  CHECK(fault("[]") == "the header has an array where none belongs [safetensors.header]\n");
  CHECK(fault("{\"a\": 1}") ==
        "the header has a number where none belongs at 'a' [safetensors.header]\n");
  CHECK(fault("{\"a\": {\"dtype\": \"F32\", \"shape\": [-1]}}") ==
        "the header has a negative number at 'shape' [safetensors.header]\n");
  CHECK(fault("{\"a\": {\"dtype\": \"F32\", \"shape\": [1.5]}}") ==
        "the header has a number that is not whole at 'shape' [safetensors.header]\n");
  CHECK(fault("{\"a\": {\"dtype\": \"F32\", \"shape\": [[1]]}}") ==
        "the header has an array where none belongs at 'shape' [safetensors.header]\n");
  CHECK(fault("{\"a\": {\"strides\": 1}}") ==
        "the header has a key that no tensor has at 'strides' [safetensors.header]\n");
  CHECK(fault("{\"a\": {}, \"a\": {}}") ==
        "the header has the name twice at 'a' [safetensors.header]\n");
  CHECK(fault("{\"a\": {\"dtype\": \"F32\"}, \"b\": {}}") ==
        "tensor 'a' lacks its dtype, its shape or its two data_offsets [safetensors.tensor]\n"
        "tensor 'b' lacks its dtype, its shape or its two data_offsets [safetensors.tensor]\n");
  CHECK(fault(R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "1234") ==
        "tensor 'a' has data_offsets [4, 0], but there are 4 bytes of data [safetensors.tensor]\n");
  CHECK(
      fault(R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[1,18446744073709551615]}})", "1234")
          .find("has data_offsets [1, 18446744073709551615]") != std::string::npos);
  CHECK(fault(R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234") ==
        "tensor 'a' is tensor<fp32, [2]>, which takes 8 bytes, but it has 4 "
        "[safetensors.tensor]\n");
  CHECK(fault(R"({"a": {"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
              R"("b": {"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
              R"("c": {"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
              "12345") ==
        "tensor 'b' begins at byte 1 of the data, but 'a' ends at 4 [safetensors.overlap]\n"
        "tensor 'c' begins at byte 3 of the data, but 'a' ends at 4 [safetensors.overlap]\n");
  // Nesting is refused where it begins, however deep it goes.
  CHECK(fault("{\"a\":" + std::string(1000000, '[')).find("[safetensors.header]") !=
        std::string::npos);
  CHECK(fault("{\"a\\n\x7F\": null}").find("has a null at 'a?\?'") != std::string::npos);
}

TEST_CASE("a .safetensors cut or changed anywhere is refused or read, never worse") {
  const TemporaryFolder folder;
  const std::string good =
      safetensors(R"({"a": {"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                  R"("b": {"dtype":"U8","shape":[3],"data_offsets":[8,11]}})",
                  "12345678abc");
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK_FALSE(safetensors_fault(folder, good.substr(0, size)).empty());
  }
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    const std::string path = folder.write("x.safetensors", bytes);
    Diagnostics diagnostics;
    const auto source = open_weights(path, {}, diagnostics);
    CHECK((source == nullptr) == diagnostics.has_errors());
    if (source == nullptr) continue;
    for (const std::string& name : source->names()) ask(*source, name, DType::fp16, Shape{2, 1});
  }
}

// --- Name maps and checks. ---

TEST_CASE("a name map says where it is wrong, all of it") {
  const std::vector<float> values = {1, 2};
  const auto fault = [&](std::string_view text) {
    Diagnostics diagnostics;
    CHECK(mapped_weights(memory({{"wq.weight", DType::fp32, Shape{2}, bytes_of(values)}}), text,
                         "names.map", diagnostics) == nullptr);
    return text_of(diagnostics);
  };
  CHECK(
      fault("a = wq.weight\n  b wq.weight # x\nc = wk.weight\na = wq.weight\nd = turn wq.weight") ==
      "names.map:2:3: error: 'b wq.weight # x' is neither 'NAME = TENSOR' nor 'NAME = transpose "
      "TENSOR' [map.syntax]\n"
      "names.map:3:5: error: memory has no tensor 'wk.weight'; did you mean 'wq.weight'? "
      "[map.tensor]\n"
      "names.map:4:1: error: 'a' is 'wq.weight' on an earlier line and 'wq.weight' here "
      "[map.duplicate]\n"
      "names.map:5:1: error: 'd = turn wq.weight' is neither 'NAME = TENSOR' nor 'NAME = "
      "transpose TENSOR' [map.syntax]\n");
}

TEST_CASE("a source is held against what is wanted, all of it in one go") {
  const std::vector<float> values = {1, 2, 3, 4};
  const auto source = memory({{"good", DType::fp32, Shape{2, 2}, bytes_of(values)},
                              {"shape", DType::fp32, Shape{4}, bytes_of(values)},
                              {"dtype", DType::fp32, Shape{2, 2}, bytes_of(values)},
                              {"extra1", DType::fp32, Shape{4}, bytes_of(values)},
                              {"extra2", DType::fp32, Shape{4}, bytes_of(values)}});
  const WeightRequest requests[] = {{"good", DType::fp16, Shape{2, 2, 1, 1}, Fill::uniform},
                                    {"shape", DType::fp16, Shape{2, 2}, Fill::uniform},
                                    {"dtype", DType::int8, Shape{2, 2}, Fill::uniform},
                                    {"nowhere", DType::fp16, Shape{1}, Fill::uniform},
                                    {"extra", DType::fp16, Shape{1}, Fill::uniform}};
  Diagnostics diagnostics;
  CHECK_FALSE(check_weights_of(*source, requests, diagnostics));
  CHECK(text_of(diagnostics) ==
        "error: weight 'shape' is tensor<fp16, [2, 2]> but in memory it is tensor<fp32, [4]> "
        "[weight.shape]\n"
        "error: weight 'dtype' is tensor<int8, [2, 2]> but in memory it is tensor<fp32, [2, 2]>, "
        "which is not converted to int8 [weight.convert]\n"
        "error: weight 'nowhere' is not in memory [weight.missing]\n"
        "error: weight 'extra' is not in memory; did you mean 'extra1'? [weight.missing]\n"
        "warning: memory has 2 weights that nothing asks for: extra1, extra2 [weight.extra]\n");
  diagnostics.clear();
  CHECK(check_weights_of(*seeded_weights(0), requests, diagnostics));
  CHECK(diagnostics.empty());
  const std::string_view ignored[] = {"extra2", "extra1", "shape", "dtype"};
  CHECK(check_weights_of(*source, std::span(requests).first(1), diagnostics, ignored));
  CHECK(diagnostics.empty());
}

TEST_CASE("a name map stands in front of what is checked, transposition included") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  Diagnostics diagnostics;
  const auto source =
      mapped_weights(memory({{"a.weight", DType::fp32, Shape{2, 3}, bytes_of(values)}}),
                     "a = transpose a.weight\nb = a.weight", "names.map", diagnostics);
  REQUIRE(source != nullptr);
  const WeightRequest requests[] = {{"a", DType::fp16, Shape{3, 2, 1, 1}, Fill::uniform},
                                    {"b", DType::fp16, Shape{3, 2, 1, 1}, Fill::uniform}};
  CHECK_FALSE(check_weights_of(*source, requests, diagnostics));
  CHECK(text_of(diagnostics) ==
        "error: weight 'a.weight' is tensor<fp16, [3, 2, 1, 1]> but in memory it is tensor<fp32, "
        "[2, 3]> [weight.shape]\n"
        "note: weight 'b' is tensor 'a.weight' by the name map\n");
}

TEST_CASE("a source of someone else is held by what it describes") {
  class Described final : public WeightSource {
   public:
    bool describe(std::string_view name, WeightDescription& description) const override {
      description = {DType::fp32, Shape{2, 3}, true};
      return name == "w";
    }
    std::vector<std::string> names() const override { return {"w"}; }
    bool read(const WeightRequest&, WeightSink&, Diagnostics&) override { return false; }
  };
  const Described source;
  const auto fault = [&](DType dtype, const Shape& shape, bool transposed) {
    Diagnostics diagnostics;
    const bool good = source.check({"w", dtype, shape, Fill::uniform}, transposed, diagnostics);
    CHECK(good == diagnostics.empty());
    return text_of(diagnostics);
  };
  CHECK(fault(DType::fp16, Shape{2, 3, 1}, false).empty());
  CHECK(fault(DType::fp16, Shape{3, 2, 1}, true).empty());
  CHECK(fault(DType::fp16, Shape{3, 2, 1}, false) ==
        "error: weight 'w' is tensor<fp16, [3, 2, 1]> but in the source it is tensor<fp32, [2, 3]> "
        "[weight.shape]\n");
  CHECK(fault(DType::int8, Shape{2, 3}, false) ==
        "error: weight 'w' is tensor<int8, [2, 3]> but in the source it is tensor<fp32, [2, 3]>, "
        "which is not converted to int8 [weight.convert]\n");
  Diagnostics diagnostics;
  CHECK_FALSE(source.check({"v", DType::fp16, Shape{1}, Fill::uniform}, false, diagnostics));
  CHECK(text_of(diagnostics) ==
        "error: weight 'v' is not in the source; did you mean 'w'? [weight.missing]\n");
}

// --- Weight files as sources. ---

std::string file_of(DType dtype, std::span<const std::byte> payload, std::uint32_t padding = 0) {
  const WeightPayload payloads[] = {{dtype, payload, padding}};
  const std::vector<std::byte> bytes = weight_file_bytes(payloads);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_CASE("a weight file with one record is a source, in a folder or alone") {
  const TemporaryFolder folder;
  const std::vector<float> floats = {1, 2, 3, 4, 5, 6};
  const std::vector<std::uint16_t> halves = {half(1), half(2), half(3), half(4), half(5), half(6)};
  const std::vector<std::uint8_t> packed = {0x21, 0x03};
  std::filesystem::create_directories(folder.path() / "model" / "weights");
  folder.write("model/weights/h.bin", file_of(DType::fp16, bytes_of(halves)));
  folder.write("model/weights/f.bin", file_of(DType::fp32, bytes_of(floats)));
  folder.write("model/weights/i.raw", file_of(DType::int4, bytes_of(packed), 4));
  folder.write("model/k.mil", "program(1.3)");
  Diagnostics diagnostics;
  for (const char* path : {"model", "model/weights"}) {
    const auto source = open_weights(folder.file(path), {}, diagnostics);
    CHECK(text_of(diagnostics).empty());
    REQUIRE(source != nullptr);
    CHECK(source->names() == std::vector<std::string>{"f", "h", "i"});
    CHECK(ask(*source, "h", DType::fp16, Shape{2, 3, 1, 1}).as<std::uint16_t>() == halves);
    CHECK(ask(*source, "h", DType::fp32, Shape{2, 3, 1, 1}).as<float>() == floats);
    CHECK(ask(*source, "f", DType::fp16, Shape{6}).as<std::uint16_t>() == halves);
    CHECK(ask(*source, "f", DType::fp16, Shape{3, 2}, true).as<std::uint16_t>() ==
          std::vector{half(1), half(4), half(2), half(5), half(3), half(6)});
    CHECK(ask(*source, "i", DType::int4, Shape{3}).as<std::uint8_t>() == packed);
    WeightDescription description;
    CHECK(source->describe("f", description));
    CHECK(description.dtype == DType::fp32);
    CHECK_FALSE(description.shape_known);
    const std::string where = "'" + folder.file("model/weights");
    CHECK(ask(*source, "h", DType::fp16, Shape{7}).said ==
          "error: weight 'h': " + where +
              "/h.bin' has 12 bytes of fp16, but tensor<fp16, [7]> "
              "takes 14 [weight.size]\n");
    CHECK(ask(*source, "f", DType::int8, Shape{6}).said ==
          "error: weight 'f' is tensor<int8, [6]> but in " + where +
              "/f.bin' it is tensor<fp32, [6]>, which is not converted to int8 "
              "[weight.convert]\n");
  }
  const auto alone = open_weights(folder.file("model/weights/h.bin"), {}, diagnostics);
  REQUIRE(alone != nullptr);
  CHECK(ask(*alone, "h", DType::fp16, Shape{6}).as<std::uint16_t>() == halves);
}

TEST_CASE("what begins as a weight file is never taken for values") {
  const TemporaryFolder folder;
  // 64 halves with a header take as many bytes as 64 floats without.
  const std::vector<std::uint16_t> halves(64, half(3));
  const std::string file = file_of(DType::fp16, bytes_of(halves));
  REQUIRE(file.size() == 256);
  const auto read = [&](const std::string& bytes, bool strict = false) {
    const std::string path = folder.write("w.bin", bytes);
    Diagnostics diagnostics;
    const auto source = open_weights(path, {.strict = strict}, diagnostics);
    CHECK((source == nullptr) == diagnostics.has_errors());
    if (source != nullptr) return ask(*source, "w", DType::fp16, Shape{64});
    Answer answer;
    answer.said = text_of(diagnostics);
    return answer;
  };
  const std::string path = folder.file("w.bin");
  CHECK(read(file).as<std::uint16_t>() == halves);
  CHECK(read(file).said.empty());

  // Each of these bytes alone makes it 64 floats.
  for (const std::size_t at : {4u, 7u, 8u, 40u, 63u, 64u, 67u}) {
    std::string floats = file;
    floats[at] = static_cast<char>(floats[at] ^ 1);
    const Answer answer = read(floats);
    REQUIRE(answer.good);
    CHECK(answer.as<std::uint16_t>()[32] == half_from_float(std::bit_cast<float>(0x42004200u)));
  }
  // And these make it a broken weight file, though its size is still that of 64 floats.
  std::string lying = file;
  lying[72] = 64;
  CHECK(read(lying).said == path +
                                ": warning: 64 bytes follow the last payload, which ends at "
                                "byte 192 [blob.trailing]\n"
                                "error: weight 'w': '" +
                                path +
                                "' has 64 bytes of fp16, but "
                                "tensor<fp16, [64]> takes 128 [weight.size]\n");
  lying = file;
  lying[68] = 99;
  CHECK(read(lying).said == path +
                                ": error: record 0 at byte 64 has dtype number 99, which stands "
                                "for none [blob.dtype]\n");
  CHECK(read(file.substr(0, 128)).said == path +
                                              ": error: record 0 at byte 64 has a payload of "
                                              "128 bytes, but the file ends 0 bytes behind it "
                                              "[blob.range]\n");
  CHECK(read(file + "x").said == path +
                                     ": warning: 1 byte follows the last payload, which ends at "
                                     "byte 256 [blob.trailing]\n");
  CHECK(read(file + "x", true).said == path +
                                           ": error: 1 byte follows the last payload, which "
                                           "ends at byte 256 [blob.trailing]\n");
}

TEST_CASE("a weight file with several records is no source, and says so") {
  const TemporaryFolder folder;
  const std::vector<std::uint16_t> halves(2, half(3));
  const WeightPayload payloads[] = {{DType::fp16, bytes_of(halves), 0},
                                    {DType::fp16, bytes_of(halves), 0}};
  const std::vector<std::byte> bytes = weight_file_bytes(payloads);
  std::filesystem::create_directories(folder.path() / "weights");
  folder.write("weights/weight.bin",
               std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  for (const char* path : {"", "weights", "weights/weight.bin"}) {
    Diagnostics diagnostics;
    CHECK(open_weights(folder.file(path), {}, diagnostics) == nullptr);
    const std::string said = text_of(diagnostics);
    CHECK(said.find("weights/weight.bin: error: the weight file has 2 records, which have no "
                    "names; a file for each weight, NAME.bin, can be read [weight.records]\n") !=
          std::string::npos);
  }
  Diagnostics diagnostics;
  std::filesystem::create_directories(folder.path() / "empty");
  folder.write("empty/notes.txt", "");
  CHECK(open_weights(folder.file("empty"), {}, diagnostics) == nullptr);
  CHECK(text_of(diagnostics) ==
        folder.file("empty") +
            ": error: the folder has no NAME.bin, NAME.raw or NAME.npy, and "
            "none in its folder 'weights' [weight.none]\n");
}

TEST_CASE("a message is cut between characters") {
  CHECK(printable("a\xC3\xA4z", 2) == "a...");
  CHECK(printable("a\xC3\xA4z", 3) == "a\xC3\xA4...");
  CHECK(printable("\x80\x80\x80", 2) == "...");
  CHECK(printable("a\x1B[31m") == "a?[31m");
}

}  // namespace
}  // namespace milgen
