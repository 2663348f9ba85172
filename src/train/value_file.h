// What the files of models and checkpoints have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <stdexcept>
#include <string>

#include "milgen/train/model.h"
#include "support/files.h"
#include "support/rule.h"

namespace milgen::train::detail {

/// Reports with the file as the place; false.
bool fail(Rule rule, std::string message, const std::string& path, Diagnostics& diagnostics);

/// check_model(), with the file as the place.
bool check_model_at(const std::string& path, const ModelConfig& config, Diagnostics& diagnostics);

/// What is wrong with the sizes of tensors; empty when they are those of the model.
std::string tensor_fault(const ModelConfig& config, const ModelTensors& tensors);
std::string tensor_fault(const ModelConfig& config, const ModelAdam& adam);

/// `model.tensor` when the caller's tensors are not those of the model.
template <class Tensors>
bool check_tensors(const std::string& path, const ModelConfig& config, const Tensors& tensors,
                   Diagnostics& diagnostics) {
  std::string fault = tensor_fault(config, tensors);
  return fault.empty() || fail(rule<"model.tensor">, std::move(fault), path, diagnostics);
}

/// Tensors of the model's sizes to read into: those that are there when they fit, so that a run
/// that reads its model again needs no second one. `memory.limit` when there is no room.
template <class Tensors>
bool make_room(const std::string& path, const ModelConfig& config, Tensors& tensors,
               Diagnostics& diagnostics) {
  if (tensor_fault(config, tensors).empty()) return true;
  try {
    tensors = Tensors(config);
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return fail(rule<"memory.limit">, "there is no memory for the model's tensors", path,
              diagnostics);
}

/// groups_of() of tensors that are only read.
std::vector<TensorGroup> groups_to_read(const ModelTensors& tensors, const ModelConfig& config);

/// Gives pages of a mapped file back: what was read once is not read again, and would count as
/// memory of the process.
void forget_pages(std::span<const std::byte> bytes);

/// fp32 values of a mapped file, one tensor behind the other. The caller has held the file's size
/// against what it reads.
class ValueReader {
 public:
  explicit ValueReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  void read(std::span<float> values);
  void skip(std::uint64_t size_bytes) { at_ += static_cast<std::size_t>(size_bytes); }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::size_t kept_from_ = 0;  // pages before it are given back
};

/// `values` times `scale`, little-endian.
bool write_values(AtomicFile& file, std::span<const float> values, float scale,
                  Diagnostics& diagnostics);

}  // namespace milgen::train::detail
