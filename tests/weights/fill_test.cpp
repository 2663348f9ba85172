#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/weights.h"

namespace milgen {
namespace {

std::string text_of(const Diagnostics& diagnostics) {
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

std::vector<std::byte> filled(std::string_view name, DType dtype, const Shape& shape, Fill fill,
                              std::uint64_t seed) {
  std::int64_t count = 0;
  std::uint64_t size = 0;
  std::uint32_t padding = 0;
  REQUIRE(element_count(shape, count));
  REQUIRE(payload_bytes(dtype, static_cast<std::uint64_t>(count), size, padding));
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  MemorySink sink(bytes);
  Diagnostics diagnostics;
  REQUIRE(fill_weight({name, dtype, shape, fill}, seed, sink, diagnostics));
  CHECK(diagnostics.empty());
  CHECK(sink.size() == bytes.size());
  return bytes;
}

template <class T>
std::vector<T> as(const std::vector<std::byte>& bytes, std::size_t count) {
  std::vector<T> out(count);
  std::memcpy(out.data(), bytes.data(), count * sizeof(T));
  return out;
}

// Every number here was computed by the Python lines of golden/README.md, "Seeded weights".

TEST_CASE("uniform and near_one are the bytes of the Python formula") {
  const Shape wq{8, 4, 1, 1};
  CHECK(as<std::uint16_t>(filled("wq", DType::fp16, wq, Fill::uniform, 0), 6) ==
        std::vector<std::uint16_t>{0xB2ED, 0xAC7E, 0x33E9, 0xB542, 0x347F, 0x35DB});
  CHECK(as<std::uint16_t>(filled("wq", DType::fp16, wq, Fill::near_one, 0), 6) ==
        std::vector<std::uint16_t>{0x3BA7, 0x3BE3, 0x3C33, 0x3B79, 0x3C3A, 0x3C4B});
  CHECK(as<std::uint32_t>(filled("wq", DType::fp32, wq, Fill::uniform, 0), 4) ==
        std::vector<std::uint32_t>{0xBE5DA418, 0xBD8FB6DA, 0x3E7D173E, 0xBEA8402B});
  CHECK(as<std::uint16_t>(filled("wq", DType::fp16, wq, Fill::uniform, 1), 6) ==
        std::vector<std::uint16_t>{0x354C, 0xB2C7, 0x33DB, 0xB5BF, 0x363A, 0xB7DD});
  const Shape rms{1, 16, 1, 1};
  CHECK(as<std::uint16_t>(filled("rms1", DType::fp16, rms, Fill::uniform, 7), 6) ==
        std::vector<std::uint16_t>{0x2CFE, 0xAB00, 0xAECC, 0x327F, 0x3104, 0x2D0A});
  CHECK(sha256_hex(filled("wq", DType::fp16, wq, Fill::uniform, 0)) ==
        "7fa3f38fc8961e34ab4aaf8373ef46d71bfff269ca0cdbbaf4096c07e5728b96");
  CHECK(sha256_hex(filled("rms1", DType::fp16, rms, Fill::near_one, 7)) ==
        "ad53326db7fb79d0b292c41da87c247f7c3c2d51792e5c60974593dbe216d12c");
}

TEST_CASE("a weight of many blocks is the bytes of the Python formula") {
  const Shape shape{100, 1000};
  CHECK(sha256_hex(filled("big", DType::fp16, shape, Fill::uniform, 3)) ==
        "6bcfabd095598efce40499e67da867f7db22df02b1a29bb4e117b3925cf72d06");
  CHECK(sha256_hex(filled("big", DType::fp32, shape, Fill::uniform, 3)) ==
        "709645bd6451577fa778881d07bc7f890b8ed14a9ba8637c5796894e95d966ba");
}

TEST_CASE("integers are the upper bits") {
  const Shape wq{8, 4, 1, 1};
  CHECK(as<std::int8_t>(filled("wq", DType::int8, wq, Fill::uniform, 0), 6) ==
        std::vector<std::int8_t>{72, 110, -65, 43, -57, -35});
  CHECK(as<std::int8_t>(filled("wq", DType::int8, wq, Fill::near_one, 0), 1)[0] == 72);
  CHECK(as<std::int32_t>(filled("wq", DType::int32, wq, Fill::uniform, 0), 3) ==
        std::vector<std::int32_t>{1217853942, 1846092981, -1085943954});
  std::vector<std::uint8_t> nibbles(32);
  REQUIRE(unpack_elements(DType::uint4, filled("wq", DType::uint4, wq, Fill::uniform, 0), nibbles));
  nibbles.resize(6);
  CHECK(nibbles == std::vector<std::uint8_t>{4, 6, 11, 2, 12, 13});
  std::vector<std::uint8_t> ones(11);
  REQUIRE(unpack_elements(DType::uint3, filled("w", DType::uint3, Shape{11}, Fill::ones, 0), ones));
  CHECK(ones == std::vector<std::uint8_t>(11, 1));
}

TEST_CASE("zeros, ones and the causal mask") {
  CHECK(as<std::uint16_t>(filled("a", DType::fp16, Shape{3}, Fill::zeros, 9), 3) ==
        std::vector<std::uint16_t>{0, 0, 0});
  CHECK(as<std::uint16_t>(filled("a", DType::bf16, Shape{3}, Fill::ones, 9), 3) ==
        std::vector<std::uint16_t>{0x3F80, 0x3F80, 0x3F80});
  const auto mask =
      as<std::uint16_t>(filled("m", DType::fp16, Shape{2, 1, 40, 40}, Fill::causal_mask, 0), 3200);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const std::size_t row = i / 40 % 40;
    const std::size_t column = i % 40;
    wrong += mask[i] != (column > row ? 0xFBFF : 0) ? 1 : 0;
  }
  CHECK(wrong == 0);
  CHECK(as<float>(filled("m", DType::fp32, Shape{2, 2}, Fill::causal_mask, 0), 4) ==
        std::vector<float>{0, -65504, 0, 0});
}

TEST_CASE("8-bit floats") {
  CHECK(as<std::uint8_t>(filled("a", DType::fp8e4m3fn, Shape{1}, Fill::ones, 0), 1)[0] == 0x38);
  CHECK(as<std::uint8_t>(filled("a", DType::fp8e5m2, Shape{1}, Fill::ones, 0), 1)[0] == 0x3C);
  // Rounded once from the double: each is within half a step of the fp32 of the same element.
  const auto exact = as<float>(filled("a", DType::fp32, Shape{500}, Fill::uniform, 0), 500);
  const auto e4m3 =
      as<std::uint8_t>(filled("a", DType::fp8e4m3fn, Shape{500}, Fill::uniform, 0), 500);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const auto decode = [](unsigned bits) {
      const unsigned exponent = bits >> 3 & 15;
      const auto mantissa = static_cast<float>(bits & 7);
      const float magnitude = exponent == 0
                                  ? mantissa * 0x1p-9f
                                  : (8 + mantissa) * 0x1p-10f * static_cast<float>(1u << exponent);
      return (bits & 0x80) != 0 ? -magnitude : magnitude;
    };
    const float here = decode(e4m3[i]);
    const float beside =
        std::max(std::abs(decode(e4m3[i] + 1u) - here), std::abs(here - decode(e4m3[i] - 1u)));
    CHECK(std::abs(here - exact[i]) <= beside / 2);
  }
}

TEST_CASE("values do not depend on how the sink takes them") {
  class Chopped final : public WeightSink {
   public:
    explicit Chopped(std::size_t most) : most_(most) {}
    bool write(std::span<const std::byte> bytes, Diagnostics&) override {
      all.insert(all.end(), bytes.begin(), bytes.end());
      return true;
    }
    std::span<std::byte> lend(std::uint64_t wanted) override {
      if (most_ == 0) return {};
      buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(wanted, most_)));
      return buffer_;
    }
    bool accept(std::size_t size, Diagnostics&) override {
      all.insert(all.end(), buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(size));
      return true;
    }
    std::vector<std::byte> all;

   private:
    std::size_t most_;
    std::vector<std::byte> buffer_;
  };
  for (const DType dtype : {DType::fp16, DType::uint3, DType::uint1, DType::fp32}) {
    const auto expected = filled("n", dtype, Shape{70, 1001}, Fill::uniform, 5);
    for (const std::size_t most : {0u, 1u, 17u, 4096u, 100000u}) {
      Chopped sink(most);
      Diagnostics diagnostics;
      REQUIRE(fill_weight({"n", dtype, Shape{70, 1001}, Fill::uniform}, 5, sink, diagnostics));
      CHECK(sink.all == expected);
    }
  }
}

TEST_CASE("what a formula does not fit is weight.fill") {
  std::vector<std::byte> room(1000);
  const auto fault = [&](DType dtype, const Shape& shape, Fill fill) {
    MemorySink sink(room);
    Diagnostics diagnostics;
    CHECK_FALSE(fill_weight({"m", dtype, shape, fill}, 0, sink, diagnostics));
    return text_of(diagnostics);
  };
  CHECK(fault(DType::fp16, Shape{4, 5}, Fill::causal_mask) ==
        "error: weight 'm' is tensor<fp16, [4, 5]>, and causal_mask takes two equal last dims "
        "[weight.fill]\n");
  CHECK(fault(DType::fp16, Shape{4}, Fill::causal_mask).find("two equal last dims") !=
        std::string::npos);
  CHECK(fault(DType::int8, Shape{4, 4}, Fill::causal_mask) ==
        "error: weight 'm' is tensor<int8, [4, 4]>, and causal_mask takes a float that holds "
        "-65504 [weight.fill]\n");
  CHECK(fault(DType::fp16, Shape{kUnknownDim}, Fill::zeros) ==
        "error: weight 'm' is tensor<fp16, [?]>, and zeros fills what has a number of elements "
        "and a size [weight.fill]\n");
  CHECK(fault(DType::boolean, Shape{1}, Fill::ones).find("[weight.fill]") != std::string::npos);
  MemorySink small(std::span<std::byte>(room).first(7));
  Diagnostics diagnostics;
  CHECK_FALSE(fill_weight({"m", DType::fp16, Shape{4}, Fill::ones}, 0, small, diagnostics));
  CHECK(text_of(diagnostics) ==
        "error: the payload has more than the 7 bytes that there is room for [blob.payload]\n");
}

TEST_CASE("the seeded source has every name, and its transpose is the transpose") {
  const auto source = seeded_weights(3);
  WeightDescription description;
  CHECK(source->describe("anything", description));
  CHECK_FALSE(description.shape_known);
  CHECK(source->names().empty());
  std::vector<std::byte> bytes(200000);
  MemorySink sink(bytes);
  Diagnostics diagnostics;
  REQUIRE(source->read({"big", DType::fp16, Shape{100, 1000}, Fill::uniform}, sink, diagnostics));
  CHECK(sha256_hex(bytes) == "6bcfabd095598efce40499e67da867f7db22df02b1a29bb4e117b3925cf72d06");
  std::vector<std::byte> turned(200000);
  MemorySink turned_sink(turned);
  REQUIRE(source->read_transposed({"big", DType::fp16, Shape{1000, 100, 1, 1}, Fill::uniform},
                                  turned_sink, diagnostics));
  const auto straight = as<std::uint16_t>(bytes, 100000);
  const auto transposed = as<std::uint16_t>(turned, 100000);
  std::size_t wrong = 0;
  for (std::size_t r = 0; r < 100; ++r) {
    for (std::size_t c = 0; c < 1000; ++c) {
      wrong += straight[r * 1000 + c] != transposed[c * 100 + r] ? 1 : 0;
    }
  }
  CHECK(wrong == 0);
  CHECK_FALSE(source->read_transposed({"t", DType::fp16, Shape{2, 3, 4}, Fill::uniform}, sink,
                                      diagnostics));
  CHECK(text_of(diagnostics) ==
        "error: weight 't' is tensor<fp16, [2, 3, 4]>, which is no matrix to be transposed "
        "[weight.shape]\n");
}

TEST_CASE("formulas have the names that listings use") {
  CHECK(fill_name(Fill::uniform) == "uniform");
  CHECK(fill_name(Fill::near_one) == "near_one");
  CHECK(fill_name(Fill::zeros) == "zeros");
  CHECK(fill_name(Fill::ones) == "ones");
  CHECK(fill_name(Fill::causal_mask) == "causal_mask");
}

}  // namespace
}  // namespace milgen
