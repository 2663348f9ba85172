// Programs as files: text and weights below one model folder.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/layout.h"
#include "milgen/print.h"
#include "milgen/program.h"

namespace milgen {

class Module;

class WeightSink;
class WeightSource;

struct EmitOptions {
  LayoutOptions layout = {};
  /// Payloads of one dtype with the same bytes are stored once; costs a pass over all weights.
  bool merge_identical = false;
  PrintOptions print = {};
  bool write_text = true;
  bool write_weights = true;
  /// Reads every value once before the first file is touched, so that a strict source that refuses
  /// one leaves the folder as it was.
  bool check_values_first = false;
};

struct EmittedFile {
  std::string path;  ///< below the folder
  std::uint64_t size_bytes = 0;
};

/// Told from time to time how far the weights are.
using Progress = void (*)(void* context, std::string_view what, std::uint64_t done_bytes,
                          std::uint64_t total_bytes);

/// Writes FOLDER/NAME.mil for each program and their weight files below FOLDER/weights. The folder
/// is made when it is missing. Each file is written beside its place and renamed, so an existing
/// file survives a failed write; text is written after all weights, so a text never stands without
/// them. Of a program whose weights are inputs, FOLDER/NAME.plan has the plan_text() of them.
/// Weights stream: memory stays at some chunks whatever their size. False when something was
/// reported as an error. Before anything is written: `program.none` for a program that is false,
/// `program.name` for a name that is no file's (empty, ".", "..", or with '/' or NUL in it), and
/// `program.duplicate` for two that are equal but for case.
bool emit(std::span<const Program> programs, const std::string& folder, WeightSource& source,
          const EmitOptions& options, Diagnostics& diagnostics,
          std::vector<EmittedFile>* written = nullptr, Progress progress = nullptr,
          void* context = nullptr);

/// What the bytes of a weight are.
struct WeightListingRow {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  std::string path;          ///< "weights/wq.bin"
  std::uint64_t offset = 0;  ///< of the record
  std::uint64_t size_bytes = 0;
  std::string sha256;  ///< of the payload, 64 hex digits
};

/// SHA-256 of the payloads that a source gave for weights, by name, dtype, shape and formula.
using WeightDigests = std::map<std::string, std::string>;

/// The rows of a layout, file by file, without writing anything. `digests`, where it is given, is
/// what is known of the same source from other calls: a payload that is in it is not read again.
bool list_weights(std::span<const Program> programs, const WeightLayout& layout,
                  WeightSource& source, Diagnostics& diagnostics,
                  std::vector<WeightListingRow>& rows, WeightDigests* digests = nullptr);

/// Holds what the programs want against what `source` has and reports all that is missing, surplus
/// or of another shape in one go, without reading values. A weight that a program has values for
/// itself (a constant, a fill) is not surplus: a folder that emit() wrote has it as well; neither
/// is one that is an input. `program.none` for a program that is false.
bool check_source(std::span<const Program> programs, const WeightSource& source,
                  Diagnostics& diagnostics);

/// Streams the payload of one weight: from `source`, or for values of its own from the program.
bool read_weight(const Program& program, std::size_t index, WeightSource& source, WeightSink& sink,
                 Diagnostics& diagnostics);

/// A BLOBFILE of some text.
struct WeightReference {
  std::string name;  ///< of the constant, for reports
  std::string path;  ///< "@model_path/weights/wq.bin"
  std::uint64_t offset = 0;
  DType dtype = DType::none;
  Shape shape;
  Place place = {};  ///< in a text; reports of the reference then stand there
};

/// The references of the programs' texts.
std::vector<WeightReference> weight_references(std::span<const Program> programs,
                                               const WeightLayout& layout);

/// The references of a text, in its order. What is no constant of its own is called after the op
/// that has it: `w.scale`.
std::vector<WeightReference> weight_references(const Module& module);

struct CheckWeightsOptions {
  /// Reads the files as ReadMode::lenient does (milgen/weights.h), with its warnings.
  bool lenient = false;
  /// All references are looked up in this one file, whatever their paths are and wherever it is;
  /// "" for the files that they name.
  std::string file = {};
};

/// Holds references against the files below `folder`, and reports each that does not fit: the path
/// begins with @model_path and does not leave the folder, not by a symbolic link either
/// (`weight.path`); the file is there and sound (`file.*`, `blob.*`, once a file); the type has a
/// size in a weight file (`weight.dtype`, `weight.size`); a record stands at the offset
/// (`weight.reference`: never inside another payload, since the file is walked record by record);
/// the record has the reference's dtype and as many bytes as it takes (`weight.record`).
///
/// Names, paths, offsets and shapes may come from a text that is not trusted. A folder that is not
/// there is a missing file for each reference.
bool check_weights(std::span<const WeightReference> references, const std::string& folder,
                   Diagnostics& diagnostics, const CheckWeightsOptions& options = {});

}  // namespace milgen
