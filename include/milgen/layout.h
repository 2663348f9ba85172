// Where the weights of programs stand in weight files: planned before any text is printed, and read
// by both the text and the files, so that an offset cannot disagree with a blob.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/program.h"

namespace milgen {

enum class WeightFiles : std::uint8_t {
  per_weight,  ///< weights/NAME.bin, one record each: the field's "128-byte header" blobs
  shared,      ///< weights/weight.bin with a record for each weight
};

struct LayoutOptions {
  WeightFiles files = WeightFiles::per_weight;
  std::string shared_name = "weight.bin";
};

/// One payload in a file. Weights with the same content may share one.
struct PlannedPayload {
  WeightInfo weight;          ///< the first weight that it is for
  std::uint32_t program = 0;  ///< the program that this is a weight of
  std::uint32_t index = 0;    ///< its index in that program's weights()
  std::uint64_t size_bytes = 0;
  std::uint32_t padding_bits = 0;
  std::uint64_t record_offset = 0;  ///< of the 64-byte record, what BLOBFILE's offset means
};

struct PlannedFile {
  std::string path;  ///< below the model's folder: "weights/wq.bin"
  std::vector<PlannedPayload> payloads;
  std::uint64_t size_bytes = 0;
};

/// Where a weight of a program stands.
struct WeightPlace {
  std::uint32_t file = 0;
  std::uint32_t payload = 0;
};

class WeightLayout {
 public:
  /// Plans the weights of programs that share a model folder. A weight that two programs declare
  /// under one name is stored once; `weight.conflict` when they disagree about its dtype, shape,
  /// formula or the elements that they give it, or when a name that milgen made is one that an
  /// author gave; `weight.file_case` when two files differ only in case, which many file systems do
  /// not tell apart; `weight.size` when a size does not fit in 63 bits; `program.none` for a
  /// program that is false. `same_as`, when given, has an entry for each weight of each program in
  /// order: weights of one dtype with equal entries (a digest of their bytes) share a payload.
  /// False when something was reported; the layout is then not to be used.
  bool plan(std::span<const Program> programs, const LayoutOptions& options,
            Diagnostics& diagnostics, std::span<const std::string> same_as = {});

  const std::vector<PlannedFile>& files() const { return files_; }
  WeightPlace place(std::size_t program, std::size_t weight) const {
    return places_[first_[program] + weight];
  }
  /// "@model_path/weights/wq.bin"
  std::string_view blob_path(std::size_t program, std::size_t weight) const {
    return blob_paths_[place(program, weight).file];
  }
  std::uint64_t blob_offset(std::size_t program, std::size_t weight) const {
    const WeightPlace at = place(program, weight);
    return files_[at.file].payloads[at.payload].record_offset;
  }

 private:
  std::vector<PlannedFile> files_;
  std::vector<std::string> blob_paths_;
  std::vector<WeightPlace> places_;
  std::vector<std::size_t> first_;
};

}  // namespace milgen
