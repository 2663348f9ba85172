// MIL texts as commands are given them: a file, a compiled model's folder, or the standard input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "milgen/diagnostic.h"
#include "milgen/module.h"

namespace milgen::cli {

struct MilInput {
  std::string path;    ///< as the user named it, or below what was named; "-" for stdin
  std::string folder;  ///< what @model_path stands for, as a path that can be opened
};

/// The texts that `argument` stands for: a file; of a folder NAME.mlmodelc its model.mil, or those
/// of model0, model1 ... of a pipeline. Reports `mil.none` and `mil.package`.
bool find_mil_inputs(const Context& context, std::string_view argument,
                     std::vector<MilInput>& inputs, Diagnostics& diagnostics);

/// Reads the text. False when that cannot be done (`file.*`); a text with syntax errors makes a
/// Module that is false.
bool read_mil_input(const Context& context, const MilInput& input, Module& module,
                    Diagnostics& diagnostics);

}  // namespace milgen::cli
