// What is wrong with a weight file, gathered while it is gone over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "support/rule.h"

namespace milgen::detail {

/// The reports of one file. A broken file of gigabytes does not fill the memory with them: from a
/// hundred on they end.
class BlobReport {
 public:
  BlobReport(std::string_view name, Diagnostics& diagnostics)
      : place_(std::string(name)), diagnostics_(diagnostics) {}

  /// False when there have been so many that the walk ends.
  bool fault(Rule rule, std::string message, Severity severity = Severity::error);

 private:
  Place place_;
  Diagnostics& diagnostics_;
  std::size_t faults_ = 0;
};

/// What a reader overlooks. A tool that takes a liberty takes it with every record that it writes,
/// so each kind is one warning: the first place and how many there are.
class Liberties {
 public:
  /// `describe` makes the sentence and is called for the first of a kind alone.
  template <class Describe>
  void take(Rule rule, const Describe& describe) {
    for (Kind& kind : kinds_) {
      if (kind.rule.id() != rule.id()) continue;
      ++kind.count;
      return;
    }
    kinds_.push_back({rule, describe(), 1});
  }
  /// In the order in which the kinds came.
  void report(BlobReport& report) const;

 private:
  struct Kind {
    Rule rule;
    std::string first;
    std::size_t count;
  };
  std::vector<Kind> kinds_;
};

/// Checks the 64 bytes in front of the records. False when they are not those of a weight file.
bool read_header(std::span<const std::byte> bytes, BlobReport& report, std::uint32_t& count);

}  // namespace milgen::detail
