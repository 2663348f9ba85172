// A Module as C++ source: for who arrives with hand-written MIL and wants to go on in the DSL.
#pragma once

#include <memory>
#include <string>

#include "milgen/diagnostic.h"
#include "milgen/module.h"
#include "milgen/weights.h"

namespace milgen {

struct CppOptions {
  /// What the kernel of a module with one function is called. Empty: as the function, or "kernel"
  /// for `main`, which C++ keeps for itself. Kernels of several functions are called as those.
  std::string name;
  /// What the comment at the top calls the text that the source was printed from.
  std::string source = "MIL text";
};

/// Writes a complete source file: one kernel for each function of `module`, and a main() that gives
/// them the command line of milc, so that the program's `emit NAME` writes the same graph again -
/// for text in canonical form, the same text. Names of values are kept where the canonical walk
/// would not find them by itself; names of constants that stand for an argument (axes, strides) are
/// not.
///
/// False, and nothing is written, when the DSL has no words for something (`cpp.*`, at its place).
/// What the program does not carry on is a warning: `cpp.dropped` for ops that no output needs and
/// attributes, `cpp.default` for arguments that the text leaves out and the DSL writes.
/// Linear in the size of the module.
bool print_cpp(const Module& module, const CppOptions& options, std::string& out,
               Diagnostics& diagnostics);

/// The weights that the texts of `module` refer to, by the names that print_cpp() gives them: what
/// a printed program is emitted with to have the values of the original. `folder` is what
/// @model_path stands for. The files are read when the source is. Null after a report of
/// check_weights() (milgen/emit.h), or of memory_weights() where two functions have different
/// weights of one name.
std::unique_ptr<WeightSource> model_weights(const Module& module, const std::string& folder,
                                            const WeightSourceOptions& options,
                                            Diagnostics& diagnostics);

}  // namespace milgen
