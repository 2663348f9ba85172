// All 17 dtypes of weight files: bytes written by hand against the writer, the reader and
// read_elements().
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "milgen/weights.h"
#include "support/temporary_folder.h"
#include "weights/blob_bytes.h"

namespace milgen {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Case {
  DType dtype;
  std::uint32_t code;
  std::vector<double> values;
  Bytes payload;
  std::uint32_t padding_bits;
};

std::vector<Case> cases() {
  return {
      {DType::fp16,
       1,
       {1, -2, 0.5, 65504, 0x1p-24, kInfinity},
       hex_bytes({0x00, 0x3C, 0x00, 0xC0, 0x00, 0x38, 0xFF, 0x7B, 0x01, 0x00, 0x00, 0x7C}),
       0},
      {DType::fp32,
       2,
       {1, -2.5, static_cast<double>(0.1f)},
       hex_bytes({0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x20, 0xC0, 0xCD, 0xCC, 0xCC, 0x3D}),
       0},
      {DType::uint8, 3, {0, 1, 255}, hex_bytes({0x00, 0x01, 0xFF}), 0},
      {DType::int8, 4, {-128, -1, 127}, hex_bytes({0x80, 0xFF, 0x7F}), 0},
      {DType::bf16, 5, {1, -2.5, 0x1p-133}, hex_bytes({0x80, 0x3F, 0x20, 0xC0, 0x01, 0x00}), 0},
      {DType::int16, 6, {-32768, -2, 258}, hex_bytes({0x00, 0x80, 0xFE, 0xFF, 0x02, 0x01}), 0},
      {DType::uint16, 7, {65535, 258}, hex_bytes({0xFF, 0xFF, 0x02, 0x01}), 0},
      {DType::int4, 8, {-8, 7, -1}, hex_bytes({0x78, 0x0F}), 4},
      {DType::uint1, 9, {1, 0, 1, 1, 0, 0, 0, 1, 1}, hex_bytes({0x8D, 0x01}), 7},
      {DType::uint2, 10, {1, 2, 3, 0, 3}, hex_bytes({0x39, 0x03}), 6},
      {DType::uint4, 11, {15, 0, 9}, hex_bytes({0x0F, 0x09}), 4},
      // 5 + 6 * 8 + 7 * 64 is 0x1F5.
      {DType::uint3, 12, {5, 6, 7}, hex_bytes({0xF5, 0x01}), 7},
      // 1 + 63 * 2^6 + 32 * 2^12 + 5 * 2^18 is 0x160FC1.
      {DType::uint6, 13, {1, 63, 32, 5, 42}, hex_bytes({0xC1, 0x0F, 0x16, 0x2A}), 2},
      {DType::int32,
       14,
       {-2, 16909060},
       hex_bytes({0xFE, 0xFF, 0xFF, 0xFF, 0x04, 0x03, 0x02, 0x01}),
       0},
      {DType::uint32,
       15,
       {4294967295.0, 16909060},
       hex_bytes({0xFF, 0xFF, 0xFF, 0xFF, 0x04, 0x03, 0x02, 0x01}),
       0},
      {DType::fp8e4m3fn,
       16,
       {1, -448, 0x1p-9, 240, 0, kNan},
       hex_bytes({0x38, 0xFE, 0x01, 0x77, 0x00, 0x7F}),
       0},
      {DType::fp8e5m2,
       17,
       {1, -57344, 0x1p-16, kInfinity, -kInfinity, kNan},
       hex_bytes({0x3C, 0xFB, 0x01, 0x7C, 0xFC, 0x7E}),
       0},
  };
}

Bytes file_by_hand(const Case& one) {
  Bytes file;
  put_header(file, 1);
  put_record(file, 64, one.code, one.payload.size(), 128, one.payload, one.padding_bits);
  return file;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("each dtype is written as the bytes that it takes by hand") {
  const TemporaryFolder folder;
  REQUIRE(cases().size() == 17);
  for (const Case& one : cases()) {
    CAPTURE(dtype_name(one.dtype));
    const Bytes expected = file_by_hand(one);
    const WeightPayload payload[] = {{one.dtype, one.payload, one.padding_bits}};
    CHECK(weight_file_bytes(payload) == expected);

    // The size and the unused bits follow from the count of elements.
    std::uint64_t size_bytes = 0;
    std::uint32_t padding_bits = 0;
    REQUIRE(payload_bytes(one.dtype, one.values.size(), size_bytes, padding_bits));
    CHECK(size_bytes == one.payload.size());
    CHECK(padding_bits == one.padding_bits);

    const WeightPayloadSize size[] = {{one.dtype, size_bytes, padding_bits}};
    std::vector<WeightRecord> records;
    std::uint64_t file_bytes = 0;
    REQUIRE(plan_weight_records(size, records, file_bytes));
    Diagnostics diagnostics;
    WeightFileWriter writer;
    REQUIRE(writer.open(folder.file("w.bin"), records, diagnostics));
    REQUIRE(writer.begin_payload(diagnostics));
    REQUIRE(writer.write(one.payload, diagnostics));
    REQUIRE(writer.commit(diagnostics));
    const std::string written = folder.read("w.bin");
    REQUIRE(written.size() == expected.size());
    CHECK(std::memcmp(written.data(), expected.data(), expected.size()) == 0);
  }
}

TEST_CASE("each dtype is read back as its values, in every mode") {
  for (const Case& one : cases()) {
    CAPTURE(dtype_name(one.dtype));
    const Bytes file = file_by_hand(one);
    const RecordReference reference[] = {{"w", 64, one.dtype, one.values.size()}};
    for (const ReadMode mode : {ReadMode::strict, ReadMode::lenient, ReadMode::guess}) {
      WeightFileReader reader;
      Diagnostics diagnostics;
      REQUIRE(reader.open(file, "w.bin", diagnostics, {mode, reference}));
      CHECK(diagnostics.all().size() == (mode == ReadMode::guess ? 1 : 0));
      REQUIRE(reader.records().size() == 1);
      const WeightRecord& record = reader.records()[0];
      CHECK(record == WeightRecord{one.dtype, 64, 128, one.payload.size(), one.padding_bits});
      REQUIRE(element_count(record) == one.values.size());
      std::vector<double> reals(one.values.size());
      REQUIRE(read_elements(one.dtype, reader.payload(record), 0, std::span(reals)));
      for (std::size_t i = 0; i < reals.size(); ++i) {
        CAPTURE(i);
        CHECK(same(reals[i], one.values[i]));
        CHECK(std::signbit(reals[i]) == std::signbit(one.values[i]));
      }
      std::vector<std::int64_t> wholes(one.values.size());
      CHECK(read_elements(one.dtype, reader.payload(record), 0, std::span(wholes)) ==
            is_integer(one.dtype));
      for (std::size_t i = 0; is_integer(one.dtype) && i < wholes.size(); ++i) {
        CHECK(static_cast<double>(wholes[i]) == one.values[i]);
      }
    }
  }
}

TEST_CASE("elements below 8 bits are packed from their values to the bytes by hand") {
  for (const Case& one : cases()) {
    if (dtype_bits(one.dtype) >= 8) continue;
    CAPTURE(dtype_name(one.dtype));
    std::vector<std::uint8_t> values;
    for (const double value : one.values) {
      values.push_back(static_cast<std::uint8_t>(static_cast<int>(value)));
    }
    Bytes packed(one.payload.size());
    std::size_t bad = 0;
    REQUIRE(pack_elements(one.dtype, values, packed, bad));
    CHECK(packed == one.payload);
  }
}

TEST_CASE("every pattern of the 8-bit floats has the value that its fields say") {
  for (unsigned bits = 0; bits < 256; ++bits) {
    CAPTURE(bits);
    const Bytes payload = hex_bytes({bits});
    const double sign = bits < 128 ? 1 : -1;
    double value = 0;
    REQUIRE(read_elements(DType::fp8e5m2, payload, 0, std::span(&value, 1)));
    const int e5 = static_cast<int>(bits >> 2 & 31);
    const double m2 = bits & 3;
    const double wide = e5 == 31  ? (m2 == 0 ? kInfinity : kNan)
                        : e5 == 0 ? std::ldexp(m2 / 4, -14)
                                  : std::ldexp(1 + m2 / 4, e5 - 15);
    CHECK(same(value, sign * wide));
    REQUIRE(read_elements(DType::fp8e4m3fn, payload, 0, std::span(&value, 1)));
    const int e4 = static_cast<int>(bits >> 3 & 15);
    const double m3 = bits & 7;
    const double narrow = (bits & 127) == 127 ? kNan
                          : e4 == 0           ? std::ldexp(m3 / 8, -6)
                                              : std::ldexp(1 + m3 / 8, e4 - 7);
    CHECK(same(value, sign * narrow));
  }
}

TEST_CASE("elements are read from any place, in pieces, at any alignment") {
  for (const Case& one : cases()) {
    CAPTURE(dtype_name(one.dtype));
    // Forty copies of the bytes, at an odd address.
    Bytes all(1);
    for (int i = 0; i < 40; ++i) all.insert(all.end(), one.payload.begin(), one.payload.end());
    const std::span<const std::byte> payload = std::span<const std::byte>(all).subspan(1);
    const std::uint64_t count = element_count(WeightRecord{one.dtype, 0, 0, payload.size(), 0});
    std::vector<double> whole(count);
    REQUIRE(read_elements(one.dtype, payload, 0, std::span(whole)));
    for (std::uint64_t first = 0; first < count; first += 7) {
      std::vector<double> piece(std::min<std::uint64_t>(11, count - first));
      REQUIRE(read_elements(one.dtype, payload, first, std::span(piece)));
      for (std::size_t i = 0; i < piece.size(); ++i) CHECK(same(piece[i], whole[first + i]));
    }
    double last = 0;
    CHECK(read_elements(one.dtype, payload, count - 1, std::span(&last, 1)));
    CHECK_FALSE(read_elements(one.dtype, payload, count, std::span(&last, 1)));
    CHECK_FALSE(read_elements(one.dtype, payload, ~std::uint64_t{0}, std::span(&last, 1)));
    CHECK(read_elements(one.dtype, payload, count, std::span<double>()));
    CHECK_FALSE(read_elements(one.dtype, payload, count + 1, std::span<double>()));
  }
  double value = 5;
  const Bytes zeros(16);
  for (const DType dtype :
       {DType::none, DType::boolean, DType::string, DType::fp64, DType::int64}) {
    CHECK_FALSE(read_elements(dtype, zeros, 0, std::span(&value, 1)));
  }
  CHECK(value == 5);
  CHECK(read_elements(DType::uint3, {}, 0, std::span<double>()));
}

}  // namespace milgen
