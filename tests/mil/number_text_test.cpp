#include "mil/number_text.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

#include "ir/graph.h"
#include "support/half.h"

using namespace milgen;

namespace {

std::string hex(double value) { return float_text(value, DType::fp64, FloatStyle::hex); }
std::string decimal(double value, DType dtype) {
  return float_text(value, dtype, FloatStyle::decimal);
}

}  // namespace

TEST_CASE("hex floats are printf's %a") {
  // Literals that coremlcompiler printed (mil_text_format, section 3.1).
  CHECK(hex(1) == "0x1p+0");
  CHECK(hex(3) == "0x1.8p+1");
  CHECK(hex(-0.0) == "-0x0p+0");
  CHECK(hex(std::ldexp(1.0, -24)) == "0x1p-24");
  CHECK(hex(float_from_half(0x00a8)) == "0x1.5p-17");
  CHECK(hex(float_from_half(0x03ff)) == "0x1.ff8p-15");
  CHECK(hex(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(hex(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(hex(std::nan("")) == "nan");
  std::uint64_t state = 1;
  for (int i = 0; i < 20000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double value = 0;
    static_assert(sizeof value == sizeof state);
    std::memcpy(&value, &state, sizeof value);
    if (std::isnan(value)) continue;
    char expected[64];
    std::snprintf(expected, sizeof expected, "%a", value);
    REQUIRE(hex(value) == expected);
  }
}

TEST_CASE("every half has a decimal that reads back to it, and none shorter") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double value = float_from_half(static_cast<std::uint16_t>(bits));
    if (std::isnan(value) || std::isinf(value)) continue;
    const std::string text = decimal(value, DType::fp16);
    const double read = std::strtod(text.c_str(), nullptr);
    REQUIRE(half_from_double(read) == bits);
    // Through a float first, as a reader that knows only those would do it.
    REQUIRE(half_from_float(std::strtof(text.c_str(), nullptr)) == bits);
    REQUIRE(text.find_first_of(".e") != std::string::npos);
  }
  CHECK(decimal(round_to(DType::fp16, 0.1), DType::fp16) == "0.1");
  CHECK(decimal(round_to(DType::fp16, 1.0 / 768), DType::fp16) == "0.001302");
  CHECK(decimal(round_to(DType::fp16, 1e-5), DType::fp16) == "1e-05");
  CHECK(decimal(1, DType::fp16) == "1.0");
  CHECK(decimal(65504, DType::fp16) == "65500.0");  // nearer to 65504 than to any other half
  CHECK(decimal(-0.0, DType::fp32) == "-0.0");
}

TEST_CASE("the field's fp16(%f) of 1/dim is another half for 83 of 128 dims, ours for none") {
  int field_wrong = 0;
  int ours_wrong = 0;
  for (int dim = 64; dim <= 8192; dim += 64) {
    const std::uint16_t wanted = half_from_double(1.0 / dim);
    char field[64];
    std::snprintf(field, sizeof field, "%f", 1.0 / dim);
    field_wrong += half_from_double(std::strtod(field, nullptr)) != wanted ? 1 : 0;
    const double value = round_to(DType::fp16, 1.0 / dim);
    for (const FloatStyle style : {FloatStyle::hex, FloatStyle::decimal}) {
      const std::string text = float_text(value, DType::fp16, style);
      ours_wrong += half_from_double(std::strtod(text.c_str(), nullptr)) != wanted ? 1 : 0;
    }
  }
  CHECK(field_wrong == 83);
  CHECK(ours_wrong == 0);
}

TEST_CASE("decimals of fp32 and fp64 read back") {
  std::uint64_t state = 7;
  for (int i = 0; i < 20000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double wide = 0;
    std::memcpy(&wide, &state, sizeof wide);
    if (!std::isnan(wide) && !std::isinf(wide)) {
      REQUIRE(std::strtod(decimal(wide, DType::fp64).c_str(), nullptr) == wide);
    }
    const auto narrow_bits = static_cast<std::uint32_t>(state >> 32);
    float narrow = 0;
    std::memcpy(&narrow, &narrow_bits, sizeof narrow);
    if (!std::isnan(narrow) && !std::isinf(narrow)) {
      const std::string text = decimal(narrow, DType::fp32);
      REQUIRE(std::strtof(text.c_str(), nullptr) == narrow);
      REQUIRE(static_cast<float>(std::strtod(text.c_str(), nullptr)) == narrow);
    }
  }
  CHECK(decimal(static_cast<double>(0.1F), DType::fp32) == "0.1");
}

TEST_CASE("integers") {
  const auto text = [](std::int64_t value) {
    char out[kNumberTextBytes];
    return std::string(out, write_integer(out, value));
  };
  CHECK(text(0) == "0");
  CHECK(text(-1) == "-1");
  CHECK(text(1234567890) == "1234567890");
  CHECK(text(INT64_MIN) == "-9223372036854775808");
  CHECK(text(INT64_MAX) == "9223372036854775807");
}
