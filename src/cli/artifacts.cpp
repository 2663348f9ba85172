#include "cli/artifacts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>

#include "cli/files.h"
#include "cli/format.h"
#include "cli/text_diff.h"
#include "cli/transcript.h"
#include "milgen/weights.h"
#include "support/files.h"
#include "support/half.h"
#include "support/hash.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

using Bytes = std::span<const std::byte>;

/// The bytes that a weight file has at the places that are no payload. MILBlob v2: mil_text_format,
/// section 6.
class Frame {
 public:
  explicit Frame(std::span<const WeightListingRow* const> rows) : rows_(rows) {}

  std::uint64_t size_bytes() const {
    return rows_.back()->offset + kWeightRecordBytes + rows_.back()->size_bytes;
  }

  /// The first byte of `file` outside of all payloads that is not what it has to be. `what` says
  /// what stands there.
  bool differs(Bytes file, std::uint64_t& at, std::byte& expected, std::string& what) const {
    std::array<std::byte, kWeightRecordBytes> block{};
    put(block, 0, rows_.size(), 4);
    put(block, 4, kVersion, 4);
    if (block_differs(file, 0, block, at, expected)) {
      what = "the header";
      return true;
    }
    std::uint64_t end = kWeightHeaderBytes;
    for (const WeightListingRow* row : rows_) {
      for (std::uint64_t i = end; i < row->offset; ++i) {
        if (file[i] == std::byte{0}) continue;
        at = i;
        expected = std::byte{0};
        what = fmt::format("the padding in front of '{}'", row->name);
        return true;
      }
      std::int64_t count = 0;
      std::uint64_t size_bytes = 0;
      std::uint32_t padding_bits = 0;
      element_count(row->shape, count);
      payload_bytes(row->dtype, static_cast<std::uint64_t>(count), size_bytes, padding_bits);
      block.fill(std::byte{0});
      put(block, 0, kSentinel, 4);
      put(block, 4, weight_dtype_code(row->dtype), 4);
      put(block, 8, row->size_bytes, 8);
      put(block, 16, row->offset + kWeightRecordBytes, 8);
      put(block, 24, padding_bits, 8);
      if (block_differs(file, row->offset, block, at, expected)) {
        what = fmt::format("the record of '{}'", row->name);
        return true;
      }
      end = row->offset + kWeightRecordBytes + row->size_bytes;
    }
    return false;
  }

 private:
  static constexpr std::uint64_t kVersion = 2;
  static constexpr std::uint64_t kSentinel = 0xDEADBEEF;

  static void put(std::array<std::byte, kWeightRecordBytes>& block, std::size_t at,
                  std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      block[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xFFu);
    }
  }
  static bool block_differs(Bytes file, std::uint64_t offset,
                            const std::array<std::byte, kWeightRecordBytes>& block,
                            std::uint64_t& at, std::byte& expected) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (file[offset + i] == block[i]) continue;
      at = offset + i;
      expected = block[i];
      return true;
    }
    return false;
  }
  std::span<const WeightListingRow* const> rows_;
};

/// An element of a payload as text.
std::string element_text(DType dtype, Bytes payload, std::uint64_t index) {
  const auto bits = static_cast<std::size_t>(dtype_bits(dtype));
  const std::size_t size = bits / 8;
  if (bits % 8 != 0 || (index + 1) * size > payload.size()) return "?";
  std::uint64_t raw = 0;
  for (std::size_t i = 0; i < size; ++i) {
    raw |= static_cast<std::uint64_t>(payload[index * size + i]) << (8 * i);
  }
  if (dtype == DType::fp16) {
    return fmt::format("{}", float_from_half(static_cast<std::uint16_t>(raw)));
  }
  if (dtype == DType::fp32) {
    return fmt::format("{}", std::bit_cast<float>(static_cast<std::uint32_t>(raw)));
  }
  return fmt::format("0x{:0{}x}", raw, size * 2);
}

/// Holds the weight files of one kernel against its listing.
class WeightCheck {
 public:
  WeightCheck(const Context& context, const std::string& dir, const Listing& listing,
              const std::string& listing_path, std::vector<Finding>& findings)
      : context_(context),
        dir_(dir),
        listing_(listing),
        listing_path_(listing_path),
        findings_(findings) {}

  /// The number of files.
  std::size_t run() {
    std::map<std::string, std::vector<const WeightListingRow*>> files;
    std::vector<std::string> order;
    for (const WeightListingRow& row : listing_.rows) {
      auto& rows = files[row.path];
      if (rows.empty()) order.push_back(row.path);
      rows.push_back(&row);
    }
    for (const std::string& path : order) check_file(path, files[path]);
    return order.size();
  }

 private:
  void add(Rule rule, const std::string& path, std::string message) {
    findings_.push_back({.what = {.id = std::string(rule.id()),
                                  .message = std::move(message),
                                  .place = Place(dir_ + "/" + path),
                                  .notes = {}},
                         .detail = {},
                         .accept = {}});
  }

  void check_file(const std::string& path, const std::vector<const WeightListingRow*>& rows) {
    // A listing is a file that anyone may have written: its offsets have to make sense.
    constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;
    std::uint64_t end = kWeightHeaderBytes;
    for (const WeightListingRow* row : rows) {
      if (row->offset < end || row->offset > kLargest || row->size_bytes > kLargest) {
        add(rule<"artifact.file">, path,
            fmt::format("{} puts record '{}' at byte {}, into what stands before it", listing_path_,
                        row->name, row->offset));
        return;
      }
      end = row->offset + kWeightRecordBytes + row->size_bytes;
    }
    const std::string full = context_.resolve(dir_ + "/" + path);
    MappedFile file;
    Diagnostics problems;
    if (!file.open(full, problems)) {
      add(rule<"artifact.missing">, path,
          fmt::format("the file cannot be read ({}); {} has '{}' in it",
                      problems.all().empty() ? "?" : problems.all().front().message, listing_path_,
                      rows.front()->name));
      return;
    }
    const Bytes bytes = file.bytes();
    const Frame frame(rows);
    if (bytes.size() != frame.size_bytes()) {
      add(rule<"artifact.file">, path,
          fmt::format("the file has {} bytes but by {} it ends at byte {}, behind '{}'",
                      bytes.size(), listing_path_, frame.size_bytes(), rows.back()->name));
      return;
    }
    std::uint64_t at = 0;
    std::byte expected{};
    std::string what;
    if (frame.differs(bytes, at, expected, what)) {
      add(rule<"artifact.file">, path,
          fmt::format("byte {} is 0x{:02x} but has to be 0x{:02x}; it belongs to {}", at,
                      std::to_integer<int>(bytes[at]), std::to_integer<int>(expected), what));
    }
    for (const WeightListingRow* row : rows) {
      const Bytes payload = bytes.subspan(row->offset + kWeightRecordBytes, row->size_bytes);
      const std::string digest = sha256_hex(payload);
      if (digest == row->sha256) continue;
      add(rule<"artifact.weight">, path,
          fmt::format("record '{}', tensor<{}, {}>, has sha256 {} but {} says {}", row->name,
                      dtype_name(row->dtype), to_string(row->shape), digest, listing_path_,
                      row->sha256));
      findings_.back().detail = first_difference(path, *row, payload);
    }
  }

  /// Where a payload leaves what the kernel gives with the listing's seed: that needs the kernel.
  std::string first_difference(const std::string& path, const WeightListingRow& row,
                               Bytes payload) {
    if (!expected_made_) {
      expected_made_ = true;
      Diagnostics problems;
      Program program;
      EmitOptions options;
      options.layout = listing_.header.layout;
      options.write_text = false;
      const auto source = seeded_weights(listing_.header.seed);
      expected_there_ =
          build_from_listing(context_, listing_.header, listing_path_, program, problems) &&
          expected_.make(problems) &&
          emit(std::span(&program, 1), expected_.path(), *source, options, problems);
    }
    MappedFile file;
    Diagnostics problems;
    if (!expected_there_ || !file.open(expected_.path() + "/" + path, problems)) return {};
    const std::uint64_t start = row.offset + kWeightRecordBytes;
    if (file.bytes().size() < start + row.size_bytes) return {};
    const Bytes wanted = file.bytes().subspan(start, row.size_bytes);
    const auto at =
        static_cast<std::uint64_t>(std::ranges::mismatch(payload, wanted).in1 - payload.begin());
    if (at == payload.size()) return {};
    const auto bits = static_cast<std::uint64_t>(dtype_bits(row.dtype));
    const std::uint64_t element = at * 8 / std::max<std::uint64_t>(bits, 1);
    std::uint64_t differing = 0;
    for (std::size_t i = at; i < payload.size(); ++i) differing += payload[i] != wanted[i] ? 1 : 0;
    return fmt::format(
        "  first at byte {} of the file, element {} of '{}': {} (byte 0x{:02x}) instead of {} "
        "(byte 0x{:02x})\n  {} of {} differ\n",
        start + at, element, row.name, element_text(row.dtype, payload, element),
        std::to_integer<int>(payload[at]), element_text(row.dtype, wanted, element),
        std::to_integer<int>(wanted[at]), counted(differing, "byte"), grouped(payload.size()));
  }

  const Context& context_;
  const std::string& dir_;
  const Listing& listing_;
  const std::string& listing_path_;
  std::vector<Finding>& findings_;
  TemporaryFolder expected_;
  bool expected_made_ = false;
  bool expected_there_ = false;
};

/// How many lines two texts have in common, in any order: enough to tell which configuration a
/// text is of.
std::size_t common_lines(std::vector<std::string_view> a, std::vector<std::string_view> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  std::size_t common = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) {
      ++common;
      ++i;
      ++j;
    } else if (a[i] < b[j]) {
      ++i;
    } else {
      ++j;
    }
  }
  return common;
}

/// Holds a text of the folder against that of a golden.
bool holds_text(std::string_view what, const std::string& golden, const std::string& golden_path,
                const std::string& text, const std::string& path, std::vector<Finding>& findings) {
  const TextDiff diff = diff_text(golden, text);
  if (diff.same()) return true;
  findings.push_back({.what = {.id = std::string(rule<"artifact.text">.id()),
                               .message = fmt::format("the {} differs from {} from here on: {}",
                                                      what, golden_path, diff.summary()),
                               .place = Place(path, diff.line, diff.column),
                               .notes = {}},
                      .detail = diff.hunks,
                      .accept = {}});
  return false;
}

bool check_plan(const Context& context, const std::string& golden_path, const std::string& path,
                std::vector<Finding>& findings) {
  std::string golden;
  std::string text;
  Diagnostics problems;
  if (!read_text(context.resolve(golden_path), golden, problems)) {
    findings.push_back({.what = problems.all().front(), .detail = {}, .accept = {}});
    return false;
  }
  if (read_text(context.resolve(path), text, problems)) {
    return holds_text("weight plan", golden, golden_path, text, path, findings);
  }
  findings.push_back(
      {.what = {.id = std::string(rule<"artifact.missing">.id()),
                .message = fmt::format("the file cannot be read ({}); by {} weights are inputs",
                                       problems.all().front().message, golden_path),
                .place = Place(path),
                .notes = {}},
       .detail = {},
       .accept = {}});
  return false;
}

}  // namespace

bool passes_filter(const GoldenKernel& golden, std::string_view filter) {
  return filter.empty() || glob_matches(filter, golden.id()) ||
         glob_matches(filter, golden.set + "/" + golden.id());
}

bool check_artifacts(const Context& context, const std::string& dir, const ArtifactOptions& options,
                     std::vector<ArtifactResult>& results, std::vector<Finding>& findings,
                     Diagnostics& diagnostics) {
  namespace fs = std::filesystem;
  std::vector<std::string> kernels;
  std::error_code code;
  for (fs::directory_iterator file(context.resolve(dir), code), end; !code && file != end;
       file.increment(code)) {
    if (file->path().extension() == ".mil") kernels.push_back(file->path().stem().string());
  }
  std::ranges::sort(kernels);
  if (code || kernels.empty()) {
    diagnostics.error(rule<"artifact.empty">.id(),
                      code ? fmt::format("the folder cannot be read: {}", code.message())
                           : std::string("the folder has no .mil file"),
                      Place(dir));
    return false;
  }

  const std::vector<GoldenKernel> goldens = golden_kernels(context, options.golden_dir);
  for (const std::string& kernel : kernels) {
    const std::string mil_path = fmt::format("{}/{}.mil", dir, kernel);
    std::string text;
    if (!read_text(context.resolve(mil_path), text, diagnostics)) return false;

    const GoldenKernel* best = nullptr;
    std::string best_text;
    std::size_t best_lines = 0;
    bool filtered = false;
    for (const GoldenKernel& golden : goldens) {
      if (golden.kernel != kernel || !golden.on_disk) continue;
      if (!options.config.empty() && golden.config != options.config) continue;
      if (!passes_filter(golden, options.filter)) {
        filtered = true;
        continue;
      }
      std::string golden_text;
      Diagnostics problems;
      if (!read_text(context.resolve(golden.mil_path()), golden_text, problems)) continue;
      const std::size_t lines = golden_text == text
                                    ? golden_text.size() + 1
                                    : common_lines(split_lines(golden_text), split_lines(text));
      if (best == nullptr || lines > best_lines) {
        best = &golden;
        best_lines = lines;
        best_text = std::move(golden_text);
      }
    }
    if (best == nullptr && filtered) continue;
    results.push_back({});
    results.back().kernel = kernel;
    ArtifactResult& result = results.back();
    if (best == nullptr) {
      findings.push_back(
          {.what = {.id = std::string(rule<"artifact.unknown">.id()),
                    .message = fmt::format(
                        "{}/kernels has no golden text of kernel '{}'{}", options.golden_dir,
                        kernel,
                        options.config.empty() ? "" : fmt::format(" at '{}'", options.config)),
                    .place = Place(mil_path),
                    .notes = {}},
           .detail = {},
           .accept = {}});
      continue;
    }
    result.config = best->config;
    result.text_matches = holds_text("text", best_text, best->mil_path(), text, mil_path, findings);
    if (best->has_plan()) {
      const std::string plan_path = fmt::format("{}/{}.plan", dir, kernel);
      result.text_matches =
          check_plan(context, best->plan_path(), plan_path, findings) && result.text_matches;
    }
    if (!options.weights) continue;
    Listing listing;
    std::string listing_file;
    Diagnostics problems;
    if (!read_text(context.resolve(best->weights_path()), listing_file, problems) ||
        !parse_listing(listing_file, best->weights_path(), listing, problems)) {
      for (const Diagnostic& problem : problems.all()) {
        findings.push_back({.what = problem, .detail = {}, .accept = {}});
      }
      continue;
    }
    const std::size_t before = findings.size();
    result.weight_files = WeightCheck(context, dir, listing, best->weights_path(), findings).run();
    result.weights_match = findings.size() == before;
  }
  return true;
}

}  // namespace milgen::cli
