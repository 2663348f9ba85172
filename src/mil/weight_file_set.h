// The weight files that references lead to, opened once each and held against them.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen {

/// A weight file that is in memory, by the path that references name it by.
struct MemoryFile {
  std::string_view path;
  std::span<const std::byte> bytes;
};

/// Keeps the files open, so that payloads stay where they are for as long as the set lives.
class WeightFileSet {
 public:
  /// `memory_files` and their bytes outlive the set; what is not among them is looked up below
  /// `folder`.
  WeightFileSet(const std::string& folder, CheckWeightsOptions options,
                std::span<const MemoryFile> memory_files = {});
  WeightFileSet(const WeightFileSet&) = delete;
  WeightFileSet& operator=(const WeightFileSet&) = delete;

  /// Reports what check_weights() says; false when there was an error. To be called once.
  bool check(std::span<const WeightReference> references, Diagnostics& diagnostics);
  /// The bytes of a reference that check() found sound.
  std::span<const std::byte> payload(const WeightReference& reference) const;
  /// The whole file that check() found for a path.
  std::span<const std::byte> file(std::string_view path) const;

 private:
  /// What a path leads to: a file, or a fault of the path.
  struct Target {
    std::string path;
    std::string_view fault;
    const MemoryFile* memory = nullptr;
    std::size_t uses = 0;
    bool opened = false;
    bool sound = false;
    std::vector<RecordReference> references;
    WeightFileReader reader;
  };

  Target& target_of(std::string_view path);
  const Target* known_target(std::string_view path) const;
  Target& resolve(std::string_view path);
  std::string_view locate(std::string_view path, std::string& file, std::string& real) const;
  void collect(std::span<const WeightReference> references);
  bool open(Target& target, const WeightReference& first);
  void check(const WeightReference& reference);
  void check_record(const WeightReference& reference, std::uint64_t size_bytes,
                    const Target& target);
  void fault(const WeightReference& reference, Rule rule, const std::string& path,
             std::string message);

  std::string folder_;
  std::filesystem::path real_folder_;
  CheckWeightsOptions options_;
  std::span<const MemoryFile> memory_files_;
  Diagnostics* diagnostics_ = nullptr;
  std::deque<Target> targets_;
  std::unordered_map<std::string, Target*> by_path_;
  std::unordered_map<std::string, Target*> by_file_;
};

}  // namespace milgen
