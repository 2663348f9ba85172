#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/weights.h"
#include "support/file_faults.h"
#include "support/temporary_folder.h"
#include "weights/blob_bytes.h"

namespace milgen {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

std::vector<std::byte> ramp(std::size_t size, unsigned start = 0) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((start + i * 7) & 0xFF);
  return bytes;
}

/// Three records: 5 fp16 (10 bytes at 128), 3 int8 (3 bytes at 256), 9 uint3 (4 bytes at 384).
std::vector<std::byte> small_file() {
  const auto a = ramp(10);
  const auto b = ramp(3, 50);
  const auto c = ramp(4, 90);
  const WeightPayload payloads[] = {{DType::fp16, a, 0}, {DType::int8, b, 0}, {DType::uint3, c, 5}};
  return weight_file_bytes(payloads);
}

std::string faults_of(const std::vector<std::byte>& bytes) {
  WeightFileReader reader;
  Diagnostics diagnostics;
  const bool good = reader.open(bytes, "w.bin", diagnostics);
  CHECK(good == !diagnostics.has_errors());
  return text_of(diagnostics);
}

TEST_CASE("dtype numbers are those of mil_text_format section 6") {
  const std::pair<DType, std::uint32_t> rows[] = {
      {DType::fp16, 1},    {DType::fp32, 2},   {DType::uint8, 3},   {DType::int8, 4},
      {DType::bf16, 5},    {DType::int16, 6},  {DType::uint16, 7},  {DType::int4, 8},
      {DType::uint1, 9},   {DType::uint2, 10}, {DType::uint4, 11},  {DType::uint3, 12},
      {DType::uint6, 13},  {DType::int32, 14}, {DType::uint32, 15}, {DType::fp8e4m3fn, 16},
      {DType::fp8e5m2, 17}};
  std::set<DType> with_code;
  for (const auto& [dtype, code] : rows) {
    CHECK(weight_dtype_code(dtype) == code);
    CHECK(dtype_from_weight_code(code) == dtype);
    with_code.insert(dtype);
  }
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!with_code.contains(dtype)) CHECK(weight_dtype_code(dtype) == 0);
  }
  for (const std::uint32_t code : {0u, 18u, 0xFFFFFFFFu}) {
    CHECK(dtype_from_weight_code(code) == DType::none);
  }
}

TEST_CASE("payload sizes, packed ones and those that do not fit") {
  std::uint64_t size = 0;
  std::uint32_t padding = 0;
  const auto is = [&](DType dtype, std::uint64_t count, std::uint64_t bytes, std::uint32_t bits) {
    CAPTURE(dtype_name(dtype));
    CAPTURE(count);
    CHECK(payload_bytes(dtype, count, size, padding));
    CHECK(size == bytes);
    CHECK(padding == bits);
    CHECK(element_count(WeightRecord{dtype, 64, 128, size, padding}) == count);
  };
  is(DType::fp16, 0, 0, 0);
  is(DType::fp16, 589824, 1179648, 0);
  is(DType::fp32, 3, 12, 0);
  is(DType::uint1, 9, 2, 7);
  is(DType::uint2, 5, 2, 6);
  is(DType::uint3, 9, 4, 5);
  is(DType::uint3, 8, 3, 0);
  is(DType::int4, 3, 2, 4);
  is(DType::uint6, 1, 1, 2);
  is(DType::uint6, 5, 4, 2);
  is(DType::uint1, kLargest - 8, (kLargest - 8 + 7) / 8, 8 - (kLargest - 8) % 8);
  is(DType::fp32, kLargest / 4, kLargest / 4 * 4, 0);
  for (unsigned count = 0; count < 40; ++count) {
    for (const DType dtype :
         {DType::uint1, DType::uint2, DType::uint3, DType::uint4, DType::int4, DType::uint6}) {
      const auto bits = count * static_cast<unsigned>(dtype_bits(dtype));
      is(dtype, count, (bits + 7) / 8, (bits + 7) / 8 * 8 - bits);
    }
  }
  CHECK_FALSE(payload_bytes(DType::fp32, kLargest / 4 + 1, size, padding));
  CHECK_FALSE(payload_bytes(DType::uint6, kLargest, size, padding));
  CHECK_FALSE(payload_bytes(DType::boolean, 1, size, padding));
  CHECK_FALSE(payload_bytes(DType::none, 1, size, padding));
  CHECK(element_count(WeightRecord{DType::uint3, 64, 128, 1, 9}) == 0);
}

TEST_CASE("sub-byte elements are packed from the low bit on") {
  std::size_t bad = 0;
  const std::uint8_t twos[] = {1, 2, 3, 0, 3};
  std::array<std::byte, 2> two_bytes{};
  REQUIRE(pack_elements(DType::uint2, twos, two_bytes, bad));
  CHECK(two_bytes[0] == std::byte{0b00'11'10'01});
  CHECK(two_bytes[1] == std::byte{0b11});
  // 3-bit elements run across byte borders: 0b101, 0b110, 0b111 are 01 110 101 then 1.
  const std::uint8_t threes[] = {5, 6, 7};
  REQUIRE(pack_elements(DType::uint3, threes, two_bytes, bad));
  CHECK(two_bytes[0] == std::byte{0b11'110'101});
  CHECK(two_bytes[1] == std::byte{0b1});
  const std::uint8_t nibbles[] = {0xF8, 7, 0xFF};  // -8, 7, -1
  REQUIRE(pack_elements(DType::int4, nibbles, two_bytes, bad));
  CHECK(two_bytes[0] == std::byte{0x78});
  CHECK(two_bytes[1] == std::byte{0x0F});
}

TEST_CASE("packing goes there and back for every dtype and size, and refuses what does not fit") {
  std::mt19937 random(3);
  for (const DType dtype :
       {DType::uint1, DType::uint2, DType::uint3, DType::uint4, DType::uint6, DType::int4}) {
    const unsigned limit = 1u << dtype_bits(dtype);
    for (std::size_t count = 0; count < 50; ++count) {
      std::vector<std::uint8_t> values(count);
      for (auto& value : values) {
        value = static_cast<std::uint8_t>(random() % limit);
        if (dtype == DType::int4 && value >= 8) value = static_cast<std::uint8_t>(value | 0xF0);
      }
      std::uint64_t size = 0;
      std::uint32_t padding = 0;
      REQUIRE(payload_bytes(dtype, count, size, padding));
      std::vector<std::byte> packed(static_cast<std::size_t>(size), std::byte{0xFF});
      std::vector<std::uint8_t> back(count);
      std::size_t bad = 0;
      REQUIRE(pack_elements(dtype, values, packed, bad));
      REQUIRE(unpack_elements(dtype, packed, back));
      CHECK(back == values);
      if (padding != 0) {
        CHECK((std::to_integer<unsigned>(packed.back()) >> (8 - padding)) == 0);
      }
      if (count < 3) continue;
      values[2] = static_cast<std::uint8_t>(dtype == DType::int4 ? 8 : limit);
      CHECK_FALSE(pack_elements(dtype, values, packed, bad));
      CHECK(bad == 2);
      packed.push_back({});
      CHECK_FALSE(pack_elements(dtype, values, packed, bad));
      CHECK_FALSE(unpack_elements(dtype, packed, back));
    }
  }
  std::size_t bad = 0;
  CHECK_FALSE(pack_elements(DType::uint8, {}, {}, bad));
}

TEST_CASE("records are planned on borders of 64 bytes") {
  const WeightPayloadSize sizes[] = {
      {DType::fp16, 10, 0}, {DType::fp16, 64, 0}, {DType::int8, 0, 0}, {DType::uint3, 4, 5}};
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  REQUIRE(plan_weight_records(sizes, records, file_bytes));
  REQUIRE(records.size() == 4);
  CHECK(records[0] == WeightRecord{DType::fp16, 64, 128, 10, 0});
  CHECK(records[1] == WeightRecord{DType::fp16, 192, 256, 64, 0});
  CHECK(records[2] == WeightRecord{DType::int8, 320, 384, 0, 0});
  CHECK(records[3] == WeightRecord{DType::uint3, 384, 448, 4, 5});
  CHECK(file_bytes == 452);
  REQUIRE(plan_weight_records({}, records, file_bytes));
  CHECK(records.empty());
  CHECK(file_bytes == 64);

  const auto refused = [&](WeightPayloadSize size) {
    const WeightPayloadSize two[] = {{DType::fp16, 2, 0}, size};
    CHECK_FALSE(plan_weight_records(two, records, file_bytes));
    CHECK(records.empty());
  };
  refused({DType::fp64, 8, 0});
  refused({DType::boolean, 8, 0});
  refused({DType::fp16, 3, 0});
  refused({DType::fp16, 4, 1});
  refused({DType::uint3, 4, 4});
  refused({DType::uint4, 4, 8});
  refused({DType::int8, kLargest - 100, 0});
  refused({DType::int8, std::numeric_limits<std::uint64_t>::max(), 0});
}

TEST_CASE("one record gives the classic file with a 128-byte header") {
  const auto payload = ramp(6);
  const WeightPayload one[] = {{DType::fp16, payload, 0}};
  const auto file = weight_file_bytes(one);
  REQUIRE(file.size() == 134);
  std::vector<std::byte> expected(134);
  put(expected, 0, 1, 4);
  put(expected, 4, 2, 4);
  put(expected, 64, 0xDEADBEEF, 4);
  put(expected, 68, 1, 4);
  put(expected, 72, 6, 8);
  put(expected, 80, 128, 8);
  std::copy(payload.begin(), payload.end(), expected.begin() + 128);
  CHECK(file == expected);
  CHECK(file[64] == std::byte{0xEF});
}

TEST_CASE("a sound file reads back") {
  const auto file = small_file();
  CHECK(file.size() == 388);
  WeightFileReader reader;
  Diagnostics diagnostics;
  REQUIRE(reader.open(file, "w.bin", diagnostics));
  CHECK(diagnostics.empty());
  CHECK(reader.file_bytes() == 388);
  REQUIRE(reader.records().size() == 3);
  CHECK(reader.records()[1] == WeightRecord{DType::int8, 192, 256, 3, 0});
  CHECK(reader.records()[2].padding_bits == 5);
  CHECK(element_count(reader.records()[2]) == 9);
  REQUIRE(reader.find(192) != nullptr);
  CHECK(reader.find(192)->dtype == DType::int8);
  for (const std::uint64_t offset : {0u, 63u, 65u, 128u, 384u}) {
    CHECK(reader.find(offset) == nullptr);
  }
  const auto payload = reader.payload(*reader.find(192));
  REQUIRE(payload.size() == 3);
  CHECK(payload[0] == std::byte{50});
  CHECK(reader.payload({DType::int8, 192, 386, 3, 0}).empty());
  CHECK(reader.payload({DType::int8, 192, kLargest, kLargest, 0}).empty());
  CHECK(sha256_hex(payload) == sha256_hex(ramp(3, 50)));
}

TEST_CASE("the first file of a header alone is empty and sound") {
  const auto file = weight_file_bytes({});
  CHECK(file.size() == 64);
  CHECK(faults_of(file).empty());
}

TEST_CASE("each lie of a file has its sentence") {
  const auto good = small_file();
  CHECK(faults_of(good).empty());
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    auto bytes = good;
    put(bytes, at, value, size);
    return faults_of(bytes);
  };
  CHECK(faults_of({}) ==
        "w.bin: error: the file has 0 bytes, its header alone takes 64 [blob.header]\n");
  CHECK(with(4, 1, 4) == "w.bin: error: the version at byte 4 is 1, not 2 [blob.version]\n");
  CHECK(with(16, 9, 1) ==
        "w.bin: warning: the header has 0x9 at byte 16, where there are zeros [blob.reserved]\n");
  CHECK(with(0, 4, 4) ==
        "w.bin: error: the header counts 4 records, but the file's 388 bytes end where record 3 "
        "begins, at byte 448 [blob.count]\n");
  CHECK(with(0, 0xFFFFFFFF, 4) ==
        "w.bin: error: the header counts 4294967295 records, but the file's 388 bytes end where "
        "record 3 begins, at byte 448 [blob.count]\n");
  CHECK(with(0, 2, 4) ==
        "w.bin: error: the header counts 2 records, but another begins at byte 320 "
        "[blob.count]\n");
  CHECK(with(192, 0xDEADBEE0, 4) ==
        "w.bin: error: record 1 at byte 192 begins with 0xdeadbee0, not with 0xdeadbeef "
        "[blob.sentinel]\n");
  CHECK(with(196, 99, 4) ==
        "w.bin: error: record 1 at byte 192 has dtype number 99, which stands for none "
        "[blob.dtype]\n");
  CHECK(with(208, 0, 8) ==
        "w.bin: error: record 1 at byte 192 puts its payload at byte 0, not right behind it at "
        "256 [blob.offset]\n");
  CHECK(with(72, 11, 8) ==
        "w.bin: error: record 0 at byte 64 has 11 bytes, which is no whole number of fp16 "
        "[blob.size]\n");
  CHECK(with(72, 0xFFFFFFFFFFFFFFFE, 8) ==
        "w.bin: error: record 0 at byte 64 has a payload of 18446744073709551614 bytes, but the "
        "file ends 260 bytes behind it [blob.range]\n");
  CHECK(with(88, 3, 8) ==
        "w.bin: warning: record 0 at byte 64 has 3 unused bits, but fp16 leaves none "
        "[blob.padding]\n");
  CHECK(with(344, 4, 8) ==
        "w.bin: error: record 2 at byte 320 has 4 bytes of uint3 with 4 unused bits, which is no "
        "whole number of elements [blob.padding]\n");
  auto longer = good;
  longer.resize(good.size() + 3);
  CHECK(faults_of(longer).empty());
  longer.back() = std::byte{1};
  CHECK(faults_of(longer) ==
        "w.bin: warning: 3 bytes follow the last payload, which ends at byte 388 "
        "[blob.trailing]\n");
}

TEST_CASE("one run reports every fault") {
  auto bytes = small_file();
  put(bytes, 68, 40, 4);
  put(bytes, 192, 0, 4);
  put(bytes, 344, 1, 8);
  const std::string faults = faults_of(bytes);
  CHECK(faults.find("record 0 at byte 64 has dtype number 40") != std::string::npos);
  CHECK(faults.find("record 1 at byte 192 begins with 0x00000000") != std::string::npos);
  CHECK(faults.find("record 2 at byte 320 has 4 bytes of uint3 with 1 unused") !=
        std::string::npos);
}

TEST_CASE("the multi-blob layouts of the field are told what is wrong with them") {
  // mil_text_format section 6.1: a count of 1 although there are two chunks.
  const auto a = ramp(128);
  const WeightPayload two[] = {{DType::fp16, a, 0}, {DType::fp16, a, 0}};
  auto multi = weight_file_bytes(two);
  put(multi, 0, 1, 4);
  CHECK(faults_of(multi) ==
        "w.bin: error: the header counts 1 records, but another begins at byte 256 "
        "[blob.count]\n");
  // Offset 0 and a size that is not the payload's.
  auto bench = weight_file_bytes(two);
  put(bench, 72, 0x080000, 8);
  put(bench, 80, 0, 8);
  const std::string faults = faults_of(bench);
  CHECK(faults.find("puts its payload at byte 0") != std::string::npos);
  CHECK(faults.find("has a payload of 524288 bytes") != std::string::npos);
}

TEST_CASE("a file of nothing but faults stops being reported") {
  std::vector<std::byte> bytes(64 + 64 * 1000);
  put(bytes, 0, 1000, 4);
  put(bytes, 4, 2, 4);
  for (std::size_t i = 0; i < 1000; ++i) {
    put(bytes, 64 + 64 * i, 0xDEADBEEF, 4);
    put(bytes, 64 + 64 * i + 16, 128 + 64 * i, 8);
  }
  WeightFileReader reader;
  Diagnostics diagnostics;
  CHECK_FALSE(reader.open(bytes, "w.bin", diagnostics));
  CHECK(diagnostics.all().size() == 101);
  CHECK(diagnostics.all().back().id == "blob.many");
  CHECK(diagnostics.all().back().message ==
        "there are more than 100 faults; the rest is not looked at");
}

// What no reader may do: crash, or read outside of its bytes. Each case gets a block of exactly its
// size, so that a sanitizer sees a step too far.
void read_all(std::span<const std::byte> bytes, bool& good, bool& silent,
              std::vector<WeightRecord>& records) {
  const std::vector<std::byte> exact(bytes.begin(), bytes.end());
  WeightFileReader reader;
  Diagnostics diagnostics;
  good = reader.open(exact, "w.bin", diagnostics);
  silent = diagnostics.empty();
  records = reader.records();
  unsigned sum = 0;
  for (const WeightRecord& record : records) {
    const auto payload = reader.payload(record);
    REQUIRE(payload.size() == record.size_bytes);
    for (const std::byte byte : payload) sum += std::to_integer<unsigned>(byte);
  }
  CHECK(sum < 0xFFFFFFFFu);
}

TEST_CASE("a file cut at any byte is refused") {
  const auto good = small_file();
  for (std::size_t size = 0; size < good.size(); ++size) {
    bool is_good = true;
    bool silent = true;
    std::vector<WeightRecord> records;
    read_all(std::span(good).first(size), is_good, silent, records);
    CAPTURE(size);
    CHECK_FALSE(is_good);
    CHECK_FALSE(silent);
  }
}

TEST_CASE("a flipped bit of a header or a record is reported or changes nothing") {
  const auto good = small_file();
  bool is_good = false;
  bool silent = false;
  std::vector<WeightRecord> expected;
  read_all(good, is_good, silent, expected);
  REQUIRE(is_good);
  const std::size_t regions[] = {0, 64, 192, 320};
  for (const std::size_t region : regions) {
    for (std::size_t at = region; at < region + 64; ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        auto bytes = good;
        bytes[at] ^= static_cast<std::byte>(1u << bit);
        std::vector<WeightRecord> records;
        read_all(bytes, is_good, silent, records);
        CAPTURE(at);
        CAPTURE(bit);
        // The dtype is the one field whose every wrong value may be a right one of its kind, and so
        // are a shorter size with the same end, and unused bits that make one element fewer.
        const std::size_t field = at - region;
        const bool is_free = region != 0 && (field < 16 ? field >= 4 : field >= 24 && field < 32);
        if (!is_free) CHECK((!is_good || records == expected));
        CHECK((is_good || !silent));
      }
    }
  }
}

TEST_CASE("noise is read without harm") {
  std::mt19937 random(4);
  for (int round = 0; round < 3000; ++round) {
    auto bytes = small_file();
    bytes.resize(64 + random() % 400);
    const auto changes = 1 + random() % 20;
    for (std::size_t i = 0; i < changes; ++i) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random() & 0xFF);
    }
    put(bytes, 4, 2, 4);
    bool is_good = false;
    bool silent = false;
    std::vector<WeightRecord> records;
    read_all(bytes, is_good, silent, records);
  }
}

TEST_CASE("the writer gives the same bytes as memory, in any pieces, and streams") {
  const TemporaryFolder folder;
  const auto a = ramp(1000000);
  const auto b = ramp(3);
  const auto c = ramp(300001, 9);
  const WeightPayload payloads[] = {{DType::fp16, a, 0}, {DType::uint3, b, 0}, {DType::int8, c, 0}};
  const auto expected = weight_file_bytes(payloads);
  std::vector<WeightPayloadSize> sizes;
  for (const auto& p : payloads) sizes.push_back({p.dtype, p.bytes.size(), p.padding_bits});
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  REQUIRE(plan_weight_records(sizes, records, file_bytes));
  CHECK(file_bytes == expected.size());
  for (const std::size_t piece : {1000u, 65536u, 10000000u}) {
    Diagnostics diagnostics;
    WeightFileWriter writer;
    REQUIRE(writer.open(folder.file("w.bin"), records, diagnostics));
    for (const auto& payload : payloads) {
      REQUIRE(writer.begin_payload(diagnostics));
      std::size_t at = 0;
      bool lends = false;
      while (at < payload.bytes.size()) {
        const std::size_t size = std::min(piece, payload.bytes.size() - at);
        if (lends) {
          const auto lent = writer.lend(size);
          REQUIRE(!lent.empty());
          std::memcpy(lent.data(), payload.bytes.data() + at, lent.size());
          REQUIRE(writer.accept(lent.size(), diagnostics));
          at += lent.size();
        } else {
          REQUIRE(writer.write(payload.bytes.subspan(at, size), diagnostics));
          at += size;
        }
        lends = !lends;
      }
    }
    REQUIRE(writer.commit(diagnostics));
    CHECK(diagnostics.empty());
    const std::string text = folder.read("w.bin");
    REQUIRE(text.size() == expected.size());
    CHECK(std::memcmp(text.data(), expected.data(), expected.size()) == 0);
  }
  CHECK(folder.entries() == 1);
  WeightFileReader reader;
  Diagnostics diagnostics;
  REQUIRE(reader.open(folder.file("w.bin"), diagnostics));
  CHECK(reader.records() == records);
}

TEST_CASE("the writer refuses payloads that are not as planned and keeps the old file") {
  const TemporaryFolder folder;
  const std::string path = folder.write("w.bin", "old");
  const WeightPayloadSize sizes[] = {{DType::fp16, 4, 0}, {DType::fp16, 2, 0}};
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  REQUIRE(plan_weight_records(sizes, records, file_bytes));
  const auto bytes = ramp(6);
  const auto run = [&](auto steps) {
    Diagnostics diagnostics;
    {
      WeightFileWriter writer;
      REQUIRE(writer.open(path, records, diagnostics));
      CHECK_FALSE(steps(writer, diagnostics));
      CHECK_FALSE(writer.commit(diagnostics));
      CHECK(diagnostics.errors() == 1);
    }
    CHECK(folder.read("w.bin") == "old");
    CHECK(folder.entries() == 1);
    return text_of(diagnostics);
  };
  using Writer = WeightFileWriter;
  CHECK(run([&](Writer& w, Diagnostics& d) {
          return w.begin_payload(d) && w.write(std::span(bytes).first(3), d) && w.begin_payload(d);
        }) == path + ": error: payload 0 takes 4 bytes but 3 are given [blob.payload]\n");
  CHECK(run([&](Writer& w, Diagnostics& d) {
          return w.begin_payload(d) && w.write(std::span(bytes).first(3), d) &&
                 w.write(std::span(bytes).first(2), d);
        }) == path + ": error: payload 0 takes 4 bytes but 5 are given [blob.payload]\n");
  CHECK(run([&](Writer& w, Diagnostics& d) {
          return w.begin_payload(d) && w.write(std::span(bytes).first(4), d) && w.commit(d);
        }) == path +
                  ": error: the file is planned with 2 payloads but 1 are given "
                  "[blob.payload]\n");
  CHECK(run([&](Writer& w, Diagnostics& d) {
          return w.begin_payload(d) && w.write(std::span(bytes).first(4), d) &&
                 w.begin_payload(d) && w.write(std::span(bytes).first(2), d) && w.begin_payload(d);
        }) == path +
                  ": error: the file is planned with 2 payloads but more are given "
                  "[blob.payload]\n");
  CHECK(run([&](Writer& w, Diagnostics& d) { return w.write(std::span(bytes).first(1), d); }) ==
        path + ": error: bytes are given before the first payload begins [blob.payload]\n");

  Diagnostics diagnostics;
  WeightFileWriter writer;
  records[1].offset += 64;
  CHECK_FALSE(writer.open(path, records, diagnostics));
  CHECK(text_of(diagnostics) ==
        path +
            ": error: record 1 is planned at byte 256 with its payload at 256, but belongs at "
            "192 with its payload at 256 [blob.plan]\n");
  diagnostics.clear();
  records[1].size_bytes = 3;
  CHECK_FALSE(writer.open(path, records, diagnostics));
  CHECK(text_of(diagnostics) ==
        path + ": error: no weight file can have these 2 records [blob.plan]\n");
}

TEST_CASE("a full disk at any point is reported once and keeps the old file") {
  const TemporaryFolder folder;
  const std::string path = folder.write("w.bin", "old");
  const WeightPayloadSize sizes[] = {{DType::int8, 500000, 0}, {DType::int8, 500000, 0}};
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  REQUIRE(plan_weight_records(sizes, records, file_bytes));
  for (const bool lends : {false, true}) {
    for (const std::uint64_t room : {std::uint64_t{0}, std::uint64_t{100}, std::uint64_t{300000},
                                     std::uint64_t{700000}, file_bytes - 1}) {
      Diagnostics diagnostics;
      {
        const detail::DiskRoom limited(room);
        WeightFileWriter writer;
        REQUIRE(writer.open(path, records, diagnostics));
        bool good = true;
        for (std::size_t i = 0; good && i < records.size(); ++i) {
          WeightRequest request;
          request.name = "a";
          request.dtype = DType::int8;
          request.shape = Shape{500000};
          std::vector<std::byte> block(lends ? 0 : 5000);
          good = writer.begin_payload(diagnostics);
          if (lends) {
            good = good && fill_weight(request, 0, writer, diagnostics);
          } else {
            for (int k = 0; good && k < 100; ++k) good = writer.write(block, diagnostics);
          }
        }
        CHECK_FALSE((good && writer.commit(diagnostics)));
        CHECK_FALSE(writer.commit(diagnostics));
      }
      CAPTURE(room);
      CAPTURE(lends);
      REQUIRE(diagnostics.all().size() == 1);
      CHECK(diagnostics.all()[0].id == "file.write");
      CHECK(folder.read("w.bin") == "old");
      CHECK(folder.entries() == 1);
    }
  }
}

TEST_CASE("fp32 from memory to the bytes of a fp16 weight file") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 70000};
  const std::uint16_t straight[] = {0x3C00, 0x4000, 0x4200, 0x4400, 0x4500, 0x7C00};
  const std::uint16_t turned[] = {0x3C00, 0x4400, 0x4000, 0x4500, 0x4200, 0x7C00};
  std::vector<std::byte> file(128 + 12);
  for (const bool transposed : {false, true}) {
    Diagnostics diagnostics;
    REQUIRE(half_weight_file("wq", values, 2, 3, transposed, file, diagnostics));
    CHECK(text_of(diagnostics) ==
          std::string("warning: weight 'wq': 1 of 6 values is finite in the source and infinite "
                      "in fp16, the first at ") +
              (transposed ? "[2, 1]" : "[1, 2]") + " [weight.overflow]\n");
    const WeightPayload payload[] = {
        {DType::fp16, std::as_bytes(std::span(transposed ? turned : straight)), 0}};
    CHECK(file == weight_file_bytes(payload));
  }
  Diagnostics diagnostics;
  CHECK_FALSE(half_weight_file("wq", values, 2, 4, false, file, diagnostics));
  CHECK(text_of(diagnostics) ==
        "error: weight 'wq' is [2, 4], but there are 6 values and 140 bytes for the file "
        "[weight.size]\n");
}

TEST_CASE("files that Apple's tools wrote are read without a word") {
  namespace fs = std::filesystem;
  const fs::path corpus = fs::path(MILGEN_SOURCE_DIR) / "../shared/corpus";
  std::error_code code;
  int files = 0;
  std::size_t records = 0;
  for (const auto& entry : fs::directory_iterator(corpus, code)) {
    if (!entry.path().string().ends_with(".weight.bin")) continue;
    WeightFileReader reader;
    Diagnostics diagnostics;
    CAPTURE(entry.path().filename().string());
    CHECK(reader.open(entry.path().string(), diagnostics));
    CHECK(text_of(diagnostics) == "");
    ++files;
    records += reader.records().size();
    // And written again they are the same bytes.
    std::vector<WeightPayload> payloads;
    for (const WeightRecord& record : reader.records()) {
      payloads.push_back({record.dtype, reader.payload(record), record.padding_bits});
    }
    const auto again = weight_file_bytes(payloads);
    REQUIRE(again.size() == reader.file_bytes());
    std::ifstream stream(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    CHECK(std::memcmp(bytes.data(), again.data(), again.size()) == 0);
  }
  if (files == 0) {
    MESSAGE("skipped: no weight files of Apple's tools here");
  } else {
    MESSAGE(files << " files with " << records << " records");
  }
}

}  // namespace
}  // namespace milgen
