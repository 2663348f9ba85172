// MIL text of a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "milgen/program.h"

namespace milgen {

class Module;
class WeightLayout;
namespace mil {
enum class Dialect : std::uint8_t;
}

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

/// How a Module (milgen/module.h) is printed; what is not set is as it is written.
struct ModulePrintOptions {
  /// One text for all that differ in nothing but layout, order and spelling:
  ///
  /// - Scalars as program(1.3) writes them, floats in hex and rounded to their dtype (a finite
  ///   number that the dtype makes infinite, or another than 0 that it makes 0, stays as it is
  ///   written), no comments, no text behind the program.
  /// - Arguments and attributes in byte order of their names; a tuple of one element without its
  ///   parentheses.
  /// - A typed literal that is bound to an argument becomes a `const` of its own, which is called
  ///   after the argument (`axis_0`) and stands where the op first needs it. The literals of
  ///   constexpr_* ops and of ops that the op table does not have stay where they are.
  /// - Ops in the order of a walk from the outputs in which operands come first, as the op table
  ///   orders them; then what no output needs, in written order, behind what it needs. What touches
  ///   a state, and what has side effects, keeps its order among itself. Constants that nothing
  ///   needs stay. A function that defines a name twice, or uses one that is not defined, keeps its
  ///   order.
  ///
  /// Functions, their inputs, names, types, weight references and buildInfo are as written.
  /// Printing the canonical text again gives the same text; that of the Program printer is
  /// canonical.
  bool canonical = false;
  /// program(1.0) or program(1.3), and scalars to match (mil_text_format, section 4). An opset's
  /// own form of constexpr_* ops does not depend on it. Canonical text is 1.3 unless this says
  /// otherwise.
  std::optional<mil::Dialect> dialect = {};
  TextStyle style = TextStyle::apple;
  /// How floats are spelled, rounded to their dtype unless that makes a finite number infinite or
  /// another one 0, which then stays as it is written. Canonical text has hex unless this says
  /// otherwise.
  std::optional<FloatStyle> floats = {};
  /// Without them, nothing stands behind the program either. Canonical text has none.
  bool comments = true;
};

/// The text of `module` in Apple's layout: byte for byte what coremlcompiler wrote, for a text that
/// it wrote. Comments stand on lines of their own in front of the op that they stood before or
/// inside of, or behind the op that ends on their line. Ops with a syntax error are left out.
/// Linear in the text.
std::string print_mil(const Module& module, const ModulePrintOptions& options = {});

}  // namespace milgen
