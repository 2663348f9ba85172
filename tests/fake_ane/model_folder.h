// What a client and the engine keep in a model's folder: `model.mil` and `weights/` of the client,
// `net.plist` and `data` of the engine.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine_error.h"
#include "milgen/backend.h"

namespace milgen::fake_ane {

/// What is compiled: a text and the weight files that it names, by their exact BLOBFILE paths.
struct ModelSource {
  std::string folder;
  std::string text;
  std::vector<WeightFileBytes> weights;  ///< sorted by path
};

/// SHA-256 as 64 hex digits.
std::string text_hash(std::string_view text);
/// Of paths and bytes, in the order of the paths.
std::string weights_hash(std::span<const WeightFileBytes> weights);

/// Holds the folder against what the client handed over: `model.mil` has the same text, every
/// weight lies below the folder with the same bytes. A compile error otherwise.
bool check_folder(const ModelSource& source, EngineError& error);

/// Reads a package: `model.mil`, and the weight files that its text names. Code 10 where there is
/// none.
bool read_package(const std::string& folder, ModelSource& source, EngineError& error);

/// Writes `net.plist` and a copy of the weights.
bool write_compiled(const ModelSource& source, EngineError& error);
/// Whether `net.plist` is of this text and these weights.
bool compiled_exists(const std::string& folder, std::string_view text_digest,
                     std::string_view weights_digest);
/// The weights that write_compiled() kept, or the files in `weights/` as they are now. Code 6 where
/// nothing was compiled, for something else, or a file was changed.
bool read_compiled(const std::string& folder, std::string_view text_digest,
                   std::string_view weights_digest, bool from_weight_files,
                   std::vector<WeightFileBytes>& weights, EngineError& error);
void remove_compiled(const std::string& folder);

}  // namespace milgen::fake_ane
