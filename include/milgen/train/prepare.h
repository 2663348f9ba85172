// The weight files of all kernels of a model, made anew from fp32 after a step of the optimiser:
// what a run with weights baked in hands to the compiler.
//
//     PreparedWeights files;
//     if (!files.open(config, 0, diagnostics)) return false;       // takes all memory
//     if (!files.prepare(weights, diagnostics)) return false;      // as often as they change
//     use(files.file(3, "wqt"));
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "milgen/diagnostic.h"
#include "milgen/train/model.h"

namespace milgen::train {

/// fp16 weight files of one record each (milgen/weights.h), in memory. Those of a layer have the
/// names of the weights of the sets `stories` and `dynamic`: rms1, wq, wk, wv, wo, rms2, w1, w3, w2
/// and, transposed, w2t, w1t, w3t, wot, wqt, wkt, wvt. Those of no layer (-1) have the names of the
/// set `classifier`: rms_w, the final norm's, and embed and, transposed, embed_t: the classifier,
/// which is the embedding where that is shared. Not for several threads at a time.
class PreparedWeights {
 public:
  PreparedWeights();
  PreparedWeights(PreparedWeights&&) noexcept;
  PreparedWeights& operator=(PreparedWeights&&) noexcept;
  ~PreparedWeights();

  /// Takes the memory for all files and writes what of them no weight changes. `threads` of 0: as
  /// many as the machine has. Reports what check_model() does, and `memory.limit`.
  bool open(const ModelConfig& config, int threads, Diagnostics& diagnostics);

  /// Makes every file from tensors of the model that was opened. Each is read once, for its
  /// straight and its transposed file, and no more memory is taken. Rounded to nearest, ties to
  /// even; what overflows or is not a number is `weight.overflow` and `weight.nan`, as warnings, of
  /// "layers.3.wq". `model.tensor` where the tensors are those of another model.
  bool prepare(const ModelWeights& weights, Diagnostics& diagnostics);

  /// The bytes of a file; none where there is no such weight. Valid until open() is called again.
  std::span<const std::byte> file(std::int64_t layer, std::string_view weight) const;
  /// Bytes of all files together.
  std::uint64_t size_bytes() const;

  /// Writes all files below a folder, which is made where it is missing:
  /// FOLDER/layer3/weights/wq.bin, FOLDER/weights/embed.bin. Reports `file.*`.
  bool write(const std::string& folder, Diagnostics& diagnostics) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace milgen::train
