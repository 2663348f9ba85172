// What a compiled program of the fake engine is: a text that was parsed and verified, layouts of
// its surfaces, a symbol table, and an executable of the CPU backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine_error.h"
#include "milgen/array.h"
#include "milgen/backend.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"
#include "model_folder.h"

namespace milgen::fake_ane {

/// Where sources disagree, or machines do.
struct EngineOptions {
  /// Rows take a multiple of so many bytes; 1: they are packed.
  std::int64_t row_pitch_bytes = 64;
  /// The symbol table is sorted by name; otherwise as declared.
  bool sorted_names = true;
  bool fp32_io = true;
  /// macOS 15 is the first that takes ios18 text.
  int os_major = 15;
  /// Load takes the weight files as they are now instead of what was compiled.
  bool rewritten_weights_count = false;
};

/// A surface of an input or output, as the engine reads and writes it: rows of `width` elements,
/// `row_bytes` apart, in the order of the dims before it. All strides are in bytes.
struct SymbolLayout {
  std::string name;    ///< in the text
  std::string symbol;  ///< "x", "y@output"
  DType dtype = DType::none;
  Shape shape;
  std::int64_t batches = 1;
  std::int64_t channels = 1;
  std::int64_t depth = 1;
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t row_bytes = 0;
  std::int64_t depth_bytes = 0;
  std::int64_t plane_bytes = 0;
  std::int64_t batch_bytes = 0;
  std::int64_t size_bytes = 0;

  std::int64_t rows() const { return batches * channels * depth * height; }
  std::int64_t dense_row_bytes() const;
};

/// False, with a sentence, for what no surface can hold.
bool make_layout(const TensorSpec& spec, const EngineOptions& options, SymbolLayout& layout,
                 std::string& why);

/// A surface of a request, with the symbol index that the client says it is.
struct BoundSurface {
  std::uint64_t symbol = 0;
  std::span<std::byte> bytes;
  /// As the client declared it; height 1: flat.
  std::size_t row_bytes = 0;
  std::size_t height = 1;
};

/// Reads and checks a text and its weights, and leaves the compiled program in the folder, where
/// it stays until remove_compiled(). Code 1 otherwise.
bool compile_program(const ModelSource& source, const EngineOptions& options, EngineError& error);

class LoadedProgram {
 public:
  /// Loads what compile_program() left in `folder`. Null, with code 6, where it is not there, is of
  /// another text or other weights, or was changed.
  static std::unique_ptr<LoadedProgram> load(const std::string& folder, std::string_view text,
                                             std::string_view weights_digest,
                                             const EngineOptions& options, EngineError& error);

  /// A function of the text. Symbol indices count through all procedures.
  struct Procedure;

  std::size_t procedure_count() const;
  std::string_view procedure_name(std::size_t procedure) const;
  /// In the order of the symbol table; index 0 is the symbol `first_input(procedure)`.
  std::vector<const SymbolLayout*> inputs(std::size_t procedure) const;
  std::vector<const SymbolLayout*> outputs(std::size_t procedure) const;
  std::uint64_t first_input(std::size_t procedure) const;
  std::uint64_t first_output(std::size_t procedure) const;

  /// Runs a procedure. Strict: the surfaces of the inputs are exactly its input symbols, those of
  /// the outputs its output symbols (else status 0x2), each as large as its layout and, where it
  /// was declared with rows, with the layout's rows (else status 0x1d). Not strict: what is bound
  /// is taken by its symbol index, what does not fit is left out, and inputs that nothing is bound
  /// to are zeros; nothing is read or written outside of a surface. Bytes behind rows stay as they
  /// are. May be called from several threads; one runs at a time.
  bool evaluate(std::size_t procedure, std::span<const BoundSurface> inputs,
                std::span<const BoundSurface> outputs, bool strict, EngineError& error);

  LoadedProgram(const LoadedProgram&) = delete;
  LoadedProgram& operator=(const LoadedProgram&) = delete;
  ~LoadedProgram();

 private:
  friend bool compile_program(const ModelSource&, const EngineOptions&, EngineError&);

  LoadedProgram();
  static std::unique_ptr<LoadedProgram> make(std::string_view text,
                                             std::span<const WeightFileBytes> weights,
                                             const EngineOptions& options, EngineError& error);

  std::vector<Procedure> procedures_;
  std::mutex mutex_;
};

}  // namespace milgen::fake_ane
