// MIL text of a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "milgen/program.h"

namespace milgen {

class WeightLayout;

enum class TextStyle : std::uint8_t {
  apple,    ///< what coremlcompiler writes (mil_text_format, section 3)
  compact,  ///< no indentation and no space that the grammar does not need
};

enum class FloatStyle : std::uint8_t {
  hex,      ///< %a of the rounded value: 0x1.8p-3, as coremlcompiler writes
  decimal,  ///< the shortest decimal that reads back to the same bits
};

/// The keys and values of `buildInfo`; printed in the order of the keys, as Apple does.
using BuildInfo = std::vector<std::pair<std::string, std::string>>;

/// What the programs of this field carry (ane_runtime, section 4.10): the dictionary has to be
/// there, its values seem not to matter.
BuildInfo default_build_info();

struct PrintOptions {
  TextStyle style = TextStyle::apple;
  FloatStyle floats = FloatStyle::hex;
  BuildInfo build_info = default_build_info();
};

/// The text of `program`, which ends at its closing brace without a line end, as Apple's does.
/// `layout` says where each weight stands, and `program` is the one that it was planned with at
/// `index`. Linear in ops and in inline elements.
std::string print_mil(const Program& program, const WeightLayout& layout, std::size_t index,
                      const PrintOptions& options);
std::string print_mil(const Program& program, const WeightLayout& layout, std::size_t index = 0);
/// The same with one weight file for each weight.
std::string print_mil(const Program& program, const PrintOptions& options);
std::string print_mil(const Program& program);

}  // namespace milgen
