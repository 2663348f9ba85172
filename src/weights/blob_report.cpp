#include "weights/blob_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "milgen/weights.h"
#include "support/printable.h"
#include "weights/blob_format.h"

namespace milgen::detail {
namespace {

constexpr std::size_t kFaultLimit = 100;

/// Whether a file begins with a line of text instead of with numbers, and that line.
bool begins_as_text(std::span<const std::byte> bytes, std::string& line) {
  constexpr std::size_t kLeastBytes = 8;
  if (bytes.size() < kLeastBytes) return false;
  for (const std::byte byte :
       bytes.first(std::min<std::size_t>(bytes.size(), kWeightHeaderBytes))) {
    const auto c = std::to_integer<unsigned char>(byte);
    const bool is_space = c == '\t' || c == '\n' || c == '\r';
    if ((c < 0x20 && !is_space) || c == 0x7F) return false;
    if (line.empty() ? c > 0x20 : line.back() != '\n') line += static_cast<char>(c);
  }
  line.erase(std::min(line.find_first_of("\r\n"), line.size()));
  return !line.empty();
}

}  // namespace

bool BlobReport::fault(Rule rule, std::string message, Severity severity) {
  if (faults_++ == kFaultLimit) {
    diagnostics_.error(
        milgen::rule<"blob.many">.id(),
        fmt::format("there are more than {} faults; the rest is not looked at", kFaultLimit),
        place_);
  }
  if (faults_ > kFaultLimit) return false;
  diagnostics_.add({std::string(rule.id()), severity, std::move(message), place_, {}});
  return true;
}

void Liberties::report(BlobReport& report) const {
  for (const Kind& kind : kinds_) {
    std::string message = kind.first;
    if (kind.count > 1) message += fmt::format(", the first of {} such records", kind.count);
    report.fault(kind.rule, std::move(message), Severity::warning);
  }
}

bool read_header(std::span<const std::byte> bytes, BlobReport& report, std::uint32_t& count) {
  std::string line;
  if (begins_as_text(bytes, line)) {
    report.fault(rule<"blob.text">,
                 fmt::format("the file is text that begins with '{}', and a weight file is binary",
                             printable(line, 40)));
    return false;
  }
  if (bytes.size() < kWeightHeaderBytes) {
    report.fault(rule<"blob.header">,
                 fmt::format("the file has {} bytes, its header alone takes {}", bytes.size(),
                             kWeightHeaderBytes));
    return false;
  }
  count = load_little<std::uint32_t>(bytes.data());
  const auto version = load_little<std::uint32_t>(bytes.data() + 4);
  if (version != kWeightFileVersion) {
    report.fault(rule<"blob.version">,
                 fmt::format("the version at byte 4 is {}, not {}", version, kWeightFileVersion));
    return false;
  }
  for (std::size_t at = 8; at < kWeightHeaderBytes; at += 8) {
    const auto value = load_little<std::uint64_t>(bytes.data() + at);
    if (value == 0) continue;
    report.fault(rule<"blob.reserved">,
                 fmt::format("the header has {:#x} at byte {}, where there are zeros", value, at),
                 Severity::warning);
  }
  return true;
}

}  // namespace milgen::detail
