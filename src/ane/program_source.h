// What a module, or a text, gives the engine: the text, what it declares, and its weight files.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model_state.h"
#include "milgen/ane/model.h"
#include "milgen/diagnostic.h"
#include "milgen/module.h"

namespace milgen::ane {

struct ProgramSource {
  std::string name;  ///< what reports call the program
  std::string text;
  Declaration declaration;
  std::vector<ProgramWeight> weights;  ///< each path once
  std::shared_ptr<const void> owner;   ///< of the weights' bytes
};

/// Judges the module, chooses the function, lays out what it declares (with the warnings of lint.h)
/// and opens its weights. `text` is what the module was read from, or prints as.
Result<ProgramSource> make_source(const Module& module, std::string text,
                                  const ModelOptions& options, Diagnostics& diagnostics);

/// What the function of a module declares. Errors: `layout`, with the place in the diagnostics.
Result<Declaration> declare(const mil::Function& function, Diagnostics& diagnostics);

/// `text`, of a program with errors: how many there are since `errors_before`, and the first.
Error text_error(const Diagnostics& diagnostics, std::size_t errors_before);

}  // namespace milgen::ane
