// Files that break the format as hand-written tools do (mil_text_format, section 6.1): what is read
// all the same, with which words, and what stays an error.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/weights.h"
#include "weights/blob_bytes.h"

namespace milgen {
namespace {

constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();

Bytes ramp(std::size_t size, unsigned start) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((start + i) & 0x7F);
  return bytes;
}

/// Three [5, 5] fp16 in a row without padding and a count of 1: records at 64, 178 and 292.
Bytes several_chunks() {
  Bytes file;
  put_header(file, 1);
  for (unsigned i = 0; i < 3; ++i) {
    const std::size_t at = 64 + 114 * i;
    put_record(file, at, 1, 50, at + 64, ramp(50, 40 * i));
  }
  return file;
}

/// Two [8, 16] int8 that say to be fp16 of 524,288 bytes at byte 0: records at 64 and 256.
Bytes bench_chunks() {
  Bytes file;
  put_header(file, 1);
  put_record(file, 64, 1, 0x080000, 0, ramp(128, 1));
  put_record(file, 256, 1, 0x080000, 0, ramp(128, 2));
  return file;
}

struct Read {
  bool good = false;
  std::string text;
  std::vector<WeightRecord> records;
};

/// Reads a copy of exactly the file's size, so that a sanitizer sees a step too far.
Read read(const Bytes& bytes, ReadMode mode, std::vector<RecordReference> references = {}) {
  const Bytes exact(bytes.begin(), bytes.end());
  WeightFileReader reader;
  Diagnostics diagnostics;
  Read out;
  out.good = reader.open(exact, "w.bin", diagnostics, {mode, references});
  CHECK(out.good == !diagnostics.has_errors());
  out.text = text_of(diagnostics);
  out.records = reader.records();
  unsigned sum = 0;
  for (std::size_t i = 0; i < out.records.size(); ++i) {
    const WeightRecord& record = out.records[i];
    const auto payload = reader.payload(record);
    REQUIRE(payload.size() == record.size_bytes);
    for (const std::byte byte : payload) sum += std::to_integer<unsigned>(byte);
    REQUIRE(reader.find(record.offset) != nullptr);
    CHECK(*reader.find(record.offset) == record);
    CHECK((i == 0 || out.records[i - 1].offset < record.offset));
    std::vector<double> values(std::min<std::uint64_t>(element_count(record), 64));
    CHECK(read_elements(record.dtype, payload, 0, std::span(values)));
  }
  CHECK(sum < 0xFFFFFFFFu);
  return out;
}

}  // namespace

TEST_CASE("several chunks behind a count of 1 are read by their references") {
  const Read got = read(
      several_chunks(), ReadMode::lenient,
      {{"wv", 292, DType::fp16, 25}, {"wq", 64, DType::fp16, 25}, {"wk", 178, DType::fp16, 25}});
  CHECK(got.good);
  CHECK(got.text ==
        "w.bin: warning: the record of 'wk' at byte 178 is not at a multiple of 64, the first of 2 "
        "such records [blob.lenient_alignment]\n"
        "w.bin: warning: the header counts 1 record, but 3 are referred to "
        "[blob.lenient_count]\n");
  REQUIRE(got.records.size() == 3);
  CHECK(got.records[1] == WeightRecord{DType::fp16, 178, 242, 50, 0});
  // The strict reader believes the count.
  CHECK(read(several_chunks(), ReadMode::strict).text ==
        "w.bin: warning: 228 bytes follow the last payload, which ends at byte 178 "
        "[blob.trailing]\n");
}

TEST_CASE("wrong dtypes, constant sizes and zero offsets are read by the tensors' types") {
  const Read got = read(bench_chunks(), ReadMode::lenient,
                        {{"a", 64, DType::int8, 128}, {"b", 256, DType::int8, 128}});
  CHECK(got.good);
  CHECK(
      got.text ==
      "w.bin: warning: the record of 'a' at byte 64 has dtype fp16 and is read as int8, the first "
      "of 2 such records [blob.lenient_dtype]\n"
      "w.bin: warning: the record of 'a' at byte 64 says that its payload has 524288 bytes, and "
      "128 are read, the first of 2 such records [blob.lenient_size]\n"
      "w.bin: warning: the record of 'a' at byte 64 puts its payload at byte 0, which is read "
      "from byte 128, the first of 2 such records [blob.lenient_offset]\n"
      "w.bin: warning: the header counts 1 record, but 2 are referred to "
      "[blob.lenient_count]\n");
  REQUIRE(got.records.size() == 2);
  CHECK(got.records[1] == WeightRecord{DType::int8, 256, 320, 128, 0});
}

TEST_CASE("an offset that is not zero is believed, inside of the file") {
  Bytes file;
  put_header(file, 2);
  put_record(file, 64, 4, 16, 192, ramp(128, 0));
  put(file, 64 + 64 + 128 - 1, 9, 1);
  CHECK(read(file, ReadMode::lenient, {{"a", 64, DType::int8, 16}}).text ==
        "w.bin: warning: the record of 'a' at byte 64 puts its payload at byte 192, not right "
        "behind it at 128, and is believed [blob.lenient_offset]\n");
  put(file, 80, 241, 8);
  const Read got = read(file, ReadMode::lenient, {{"a", 64, DType::int8, 16}});
  CHECK(got.text ==
        "w.bin: error: the record of 'a' at byte 64 has a payload of 16 bytes at byte 241, but the "
        "file has 256 bytes [blob.range]\n"
        "w.bin: warning: the record of 'a' at byte 64 puts its payload at byte 241, not right "
        "behind it at 128, and is believed [blob.lenient_offset]\n");
  CHECK(got.records.empty());
  put(file, 80, kLast, 8);
  CHECK_FALSE(read(file, ReadMode::lenient, {{"a", 64, DType::int8, 16}}).good);
  CHECK(read(file, ReadMode::guess)
            .text.find("a payload of 16 bytes at byte "
                       "18446744073709551615") != std::string::npos);
}

TEST_CASE("a sound file is read leniently without a word") {
  Bytes file;
  put_header(file, 2);
  put_record(file, 64, 1, 6, 128, ramp(6, 1));
  file.resize(192);
  put_record(file, 192, 12, 2, 256, ramp(2, 1), 7);
  const Read got =
      read(file, ReadMode::lenient, {{"a", 64, DType::fp16, 3}, {"b", 192, DType::uint3, 3}});
  CHECK(got.text == "");
  CHECK(got.records == read(file, ReadMode::strict).records);
  // References to some of the records are no liberty, and none at all are no error.
  CHECK(read(file, ReadMode::lenient, {{"b", 192, DType::uint3, 3}}).text == "");
  CHECK(read(file, ReadMode::lenient).text == "");
  // Unused bits that the type does not leave.
  CHECK(read(file, ReadMode::lenient, {{"b", 192, DType::uint3, 4}}).text ==
        "w.bin: warning: the record of 'b' at byte 192 has 7 unused bits, but 4 elements of uint3 "
        "leave 4 [blob.padding]\n");
}

TEST_CASE("of two references to one record the first has the say") {
  const Read got = read(bench_chunks(), ReadMode::lenient,
                        {{"a", 64, DType::int8, 128}, {"b", 64, DType::fp16, 32}});
  REQUIRE(got.records.size() == 1);
  CHECK(got.records[0].dtype == DType::int8);
  // One that leads nowhere does not stand in the way of the other.
  const Read second = read(bench_chunks(), ReadMode::lenient,
                           {{"a", 64, DType::boolean, 128}, {"b", 64, DType::fp16, 32}});
  REQUIRE(second.records.size() == 1);
  CHECK(second.records[0].dtype == DType::fp16);
}

TEST_CASE("what no leniency helps") {
  const auto faults = [](RecordReference reference) {
    return read(bench_chunks(), ReadMode::lenient, {reference}).text;
  };
  CHECK(faults({"a", 128, DType::int8, 8}) ==
        "w.bin: error: the record of 'a' at byte 128 begins with 0x04030201, not with 0xdeadbeef "
        "[blob.sentinel]\n");
  CHECK(faults({"", 128, DType::int8, 8}) ==
        "w.bin: error: the record at byte 128 begins with 0x04030201, not with 0xdeadbeef "
        "[blob.sentinel]\n");
  CHECK(faults({"a", 400, DType::int8, 8}) ==
        "w.bin: error: the record of 'a' at byte 400 takes 64 bytes, but the file has 448 bytes "
        "[blob.range]\n");
  for (const std::uint64_t offset : {kLast, kLast - 63, kLast - 64, std::uint64_t{1} << 63}) {
    CHECK(faults({"a", offset, DType::int8, 8}).find("takes 64 bytes, but the file has 448") !=
          std::string::npos);
  }
  CHECK(faults({"a", 8, DType::int8, 8}) ==
        "w.bin: error: the record of 'a' at byte 8 begins inside of the header of 64 bytes "
        "[blob.overlap]\n");
  CHECK(
      faults({"a", 256, DType::int8, 129})
          .starts_with("w.bin: error: the record of 'a' at byte 256 has a payload of 129 bytes at "
                       "byte 320, but the file has 448 bytes [blob.range]\n"));
  CHECK(faults({"a", 64, DType::boolean, 8}) ==
        "w.bin: error: the record of 'a' at byte 64 is referred to as bool, which weight files do "
        "not have [weight.dtype]\n");
  CHECK(
      faults({"a", 64, DType::fp32, kLast}) ==
      "w.bin: error: the record of 'a' at byte 64 is referred to as 18446744073709551615 elements "
      "of fp32, whose bytes do not fit in 63 bits [weight.size]\n");
  CHECK(faults({"a\x1b[31m", 128, DType::int8, 8}).find("'a?[31m'") != std::string::npos);

  Bytes file = bench_chunks();
  put(file, 4, 1, 4);
  CHECK(read(file, ReadMode::lenient, {{"a", 64, DType::int8, 8}}).text ==
        "w.bin: error: the version at byte 4 is 1, not 2 [blob.version]\n");
  for (const ReadMode mode : {ReadMode::strict, ReadMode::lenient, ReadMode::guess}) {
    CHECK(read({}, mode).text ==
          "w.bin: error: the file has 0 bytes, its header alone takes 64 [blob.header]\n");
  }
}

TEST_CASE("a payload over a record or the header has another type than it was written with") {
  const Read got = read(several_chunks(), ReadMode::lenient,
                        {{"wq", 64, DType::fp16, 26}, {"wk", 178, DType::fp16, 25}});
  CHECK_FALSE(got.good);
  CHECK(got.text.starts_with(
      "w.bin: error: the payload of 52 bytes at byte 128 of the record at byte 64 runs over the "
      "record at byte 178 [blob.overlap]\n"));
  Bytes file = bench_chunks();
  put(file, 80, 8, 8);
  CHECK(read(file, ReadMode::lenient, {{"a", 64, DType::int8, 8}})
            .text.starts_with("w.bin: error: the payload of 8 bytes at byte 8 of the record at "
                              "byte 64 runs over the header [blob.overlap]\n"));
  put(file, 80, 64, 8);
  CHECK(read(file, ReadMode::lenient, {{"a", 64, DType::int8, 8}})
            .text.starts_with("w.bin: error: the payload of 8 bytes at byte 64 of the record at "
                              "byte 64 runs over the record at byte 64 [blob.overlap]\n"));
}

TEST_CASE("references without end are reported a hundred times") {
  std::vector<RecordReference> references;
  for (std::uint64_t i = 0; i < 5000; ++i) references.push_back({"a", 1000 + i, DType::int8, 1});
  WeightFileReader reader;
  Diagnostics diagnostics;
  const Bytes file = bench_chunks();
  CHECK_FALSE(reader.open(file, "w.bin", diagnostics, {ReadMode::lenient, references}));
  CHECK(diagnostics.all().size() == 101);
  CHECK(diagnostics.all().back().id == "blob.many");
}

TEST_CASE("without references records are found by their sentinels, and that is said") {
  const Read chunks = read(several_chunks(), ReadMode::guess);
  CHECK(chunks.text ==
        "w.bin: warning: 3 records are found by the sentinel, not by a reference; sizes and dtypes "
        "are a guess [blob.guess]\n"
        "w.bin: warning: the record at byte 178 is not at a multiple of 64, the first of 2 such "
        "records [blob.lenient_alignment]\n"
        "w.bin: warning: the header counts 1 record, but 3 are found [blob.lenient_count]\n");
  REQUIRE(chunks.records.size() == 3);
  CHECK(chunks.records[2] == WeightRecord{DType::fp16, 292, 356, 50, 0});

  const Read bench = read(bench_chunks(), ReadMode::guess);
  CHECK(bench.text.find("the record at byte 64 says that its payload has 524288 bytes, and 128 are "
                        "read, the first of 2 such records [blob.lenient_size]") !=
        std::string::npos);
  REQUIRE(bench.records.size() == 2);
  CHECK(bench.records[0] == WeightRecord{DType::fp16, 64, 128, 128, 0});
  CHECK(bench.records[1] == WeightRecord{DType::fp16, 256, 320, 128, 0});

  Bytes alone;
  put_header(alone, 0);
  CHECK(read(alone, ReadMode::guess).good);
  alone.resize(200);
  CHECK(read(alone, ReadMode::guess).text ==
        "w.bin: error: no record begins with 0xdeadbeef and the number of a dtype "
        "[blob.sentinel]\n");
}

TEST_CASE("a guess does not look inside of a payload whose size leads to what follows") {
  // A weight file as the payload of another one.
  Bytes file;
  put_header(file, 2);
  put_record(file, 64, 3, 448, 128, bench_chunks());
  put_record(file, 576, 8, 2, 640, ramp(2, 0), 4);
  const Read sound = read(file, ReadMode::guess);
  REQUIRE(sound.records.size() == 2);
  CHECK(sound.records == read(file, ReadMode::strict).records);
  // With the size gone everything is a record that looks like one.
  put(file, 72, 0, 8);
  CHECK(read(file, ReadMode::guess).records.size() == 4);
  // What is no whole element is left out.
  put(file, 68, 2, 4);
  file.resize(128 + 126);
  const Read cut = read(file, ReadMode::guess);
  REQUIRE(cut.records.size() == 1);
  CHECK(cut.records[0] == WeightRecord{DType::fp32, 64, 128, 124, 0});
}

TEST_CASE("a text in place of a weight file is called that") {
  const auto faults = [](std::string_view text) {
    Diagnostics diagnostics;
    WeightFileReader reader;
    CHECK_FALSE(reader.open(std::as_bytes(std::span(text)), "x.mil", diagnostics));
    return text_of(diagnostics);
  };
  CHECK(
      faults("program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", \"3\"}})]") ==
      "x.mil: error: the file is text that begins with 'program(1.3)', and a weight file is "
      "binary [blob.text]\n");
  CHECK(faults("\r\n\n  {\"w\": 1, \"v\": 2}") ==
        "x.mil: error: the file is text that begins with '{\"w\": 1, \"v\": 2}', and a weight file "
        "is binary [blob.text]\n");
  CHECK(faults("short") ==
        "x.mil: error: the file has 5 bytes, its header alone takes 64 [blob.header]\n");
}

TEST_CASE("no cut, no flipped bit and no number leads outside of the file in any mode") {
  const std::vector<RecordReference> references = {
      {"a", 64, DType::fp16, 25},   {"b", 178, DType::fp16, 25},  {"c", 256, DType::int8, 128},
      {"d", 292, DType::uint3, 77}, {"e", 292, DType::fp32, 12},  {"f", 3, DType::int4, 1},
      {"g", 256, DType::int8, 129}, {"h", kLast, DType::fp16, 1}, {"i", 64, DType::uint6, 0}};
  std::mt19937 random(11);
  for (const Bytes& good : {several_chunks(), bench_chunks()}) {
    for (std::size_t size = 0; size < good.size(); size += 3) {
      const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
      read(cut, ReadMode::lenient, references);
      read(cut, ReadMode::guess);
    }
    for (int i = 0; i < 2000; ++i) {
      Bytes bytes = good;
      for (int k = 0; k < 4; ++k) {
        const std::size_t at = random() % bytes.size();
        const bool is_flip = (random() & 1u) != 0;
        bytes[at] = is_flip ? bytes[at] ^ static_cast<std::byte>(1u << random() % 8)
                            : static_cast<std::byte>(random() & 0xFF);
      }
      read(bytes, ReadMode::lenient, references);
      read(bytes, ReadMode::guess);
    }
  }
}

TEST_CASE("files of Apple's tools are read alike in every mode") {
  namespace fs = std::filesystem;
  const char* named = std::getenv("MILGEN_CORPUS");
  const fs::path corpus =
      named != nullptr ? fs::path(named) : fs::path(MILGEN_SOURCE_DIR) / "../shared/corpus";
  std::error_code code;
  int files = 0;
  for (const auto& entry : fs::directory_iterator(corpus, code)) {
    if (!entry.path().string().ends_with(".weight.bin")) continue;
    CAPTURE(entry.path().filename().string());
    ++files;
    Diagnostics diagnostics;
    WeightFileReader strict;
    CHECK(strict.open(entry.path().string(), diagnostics));
    std::vector<RecordReference> references;
    for (const WeightRecord& record : strict.records()) {
      references.push_back({{}, record.offset, record.dtype, element_count(record)});
    }
    WeightFileReader lenient;
    CHECK(lenient.open(entry.path().string(), diagnostics, {ReadMode::lenient, references}));
    CHECK(text_of(diagnostics) == "");
    CHECK(lenient.records() == strict.records());
    WeightFileReader guess;
    CHECK(guess.open(entry.path().string(), diagnostics, {ReadMode::guess, {}}));
    CHECK(guess.records() == strict.records());
    CHECK(diagnostics.all().size() == 1);
  }
  if (files == 0) {
    MESSAGE("skipped: no weight files of Apple's tools here");
  } else {
    MESSAGE(files << " files");
  }
}

}  // namespace milgen
