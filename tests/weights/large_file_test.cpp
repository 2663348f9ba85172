// Weights far larger than what may be held of them: memory stays flat.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "milgen/weights.h"
#include "support/temporary_folder.h"

using namespace milgen;

namespace {

/// The most memory that this process has had so far.
std::uint64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return static_cast<std::uint64_t>(usage.ru_maxrss);
#else
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
#endif
}

}  // namespace

TEST_CASE("half a gigabyte is written in a few megabytes") {
  const TemporaryFolder folder;
  constexpr std::uint64_t kElements = std::uint64_t{1} << 27;
  const std::int64_t side = 1 << 13;
  const Shape shape = {side, static_cast<std::int64_t>(kElements) / side};
  constexpr std::uint64_t kAllowedBytes = std::uint64_t{32} << 20;

  const auto write = [&](const std::string& name, DType dtype, WeightSource& source) {
    std::uint64_t size_bytes = 0;
    std::uint32_t padding_bits = 0;
    REQUIRE(payload_bytes(dtype, kElements, size_bytes, padding_bits));
    const WeightPayloadSize size{dtype, size_bytes, padding_bits};
    std::vector<WeightRecord> records;
    std::uint64_t file_bytes = 0;
    REQUIRE(plan_weight_records(std::span(&size, 1), records, file_bytes));
    Diagnostics diagnostics;
    WeightFileWriter writer;
    REQUIRE(writer.open(folder.file(name), std::move(records), diagnostics));
    REQUIRE(writer.begin_payload(diagnostics));
    REQUIRE(source.read({"w", dtype, shape, Fill::uniform}, writer, diagnostics));
    REQUIRE(writer.commit(diagnostics));
    CHECK(diagnostics.empty());
    CHECK(std::filesystem::file_size(folder.file(name)) == file_bytes);
  };

  const std::uint64_t before = peak_bytes();
  const auto seeded = seeded_weights(3);
  write("seeded.bin", DType::fp32, *seeded);
  CHECK(peak_bytes() - before < kAllowedBytes);
}
