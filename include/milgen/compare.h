// Whether two programs are the same graph, and what differs where they are not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/module.h"

namespace milgen {

enum class Verdict : std::uint8_t {
  /// The same text, byte for byte; of programs that were edited, both what was read and what they
  /// print.
  identical,
  same,  ///< the same graph, written differently; Comparison::remarks says how
  different,
};

enum class ChangeKind : std::uint8_t {
  op_added,    ///< only `b` has it
  op_removed,  ///< only `a` has it
  /// Op, operands, attributes, annotated result types, or the values of one op.
  op_changed,
  constant_changed,  ///< a value in the text
  weight_changed,    ///< a value in a weight file, or where it stands
  input_changed,     ///< of a function: added, removed, or of another type
  output_changed,
  function_changed,  ///< added, removed, of another opset, or with other attributes
  program_changed,   ///< an attribute of the program
};

inline constexpr std::size_t kChangeKinds = 9;

/// "op added", "constant changed" ...
std::string_view change_name(ChangeKind kind);

/// What one of the two programs has where they differ.
struct ChangeSide {
  /// One line: the op with the values of its constants, arguments that are alike left out; or the
  /// constant or input. Empty where this side has nothing.
  std::string text = {};
  /// Bytes [first, second) of `text` that the other side does not have.
  std::vector<std::pair<std::size_t, std::size_t>> marks = {};
  Place place = {};
  mil::Op op = {};  ///< false where it is no op
};

struct Change {
  ChangeKind kind = ChangeKind::op_changed;
  std::string function = {};
  /// One phrase: "conv: operand x is rewired", "constant eps: 1e-05 -> 1e-06".
  std::string what = {};
  ChangeSide a = {};
  ChangeSide b = {};
  /// Of a constant: the ops that use it, on side `b`.
  std::vector<ChangeSide> uses = {};
  /// More sentences, such as the first element of a weight that differs.
  std::vector<std::string> notes = {};
};

struct Comparison {
  Verdict verdict = Verdict::identical;
  /// The smallest set that could be found: the interface, then each function's ops in the order of
  /// `b`'s text, then those that only `a` has. At most CompareOptions::change_limit of them.
  std::vector<Change> changes = {};
  /// How many there are of each kind, by ChangeKind.
  std::array<std::size_t, kChangeKinds> counts = {};
  /// How two texts of one graph differ: "14 names differ", "the dialect is 1.0 in one and 1.3 in
  /// the other".
  std::vector<std::string> remarks = {};
  /// Ops, constants aside, that have a partner without a change.
  std::size_t equal_ops = 0;
  /// CompareOptions::weights was asked for and a file could not be read: the verdict is of the
  /// texts and of what could be read.
  bool weights_unread = false;
  /// Ops whose result types differ only because those of their operands do.
  std::size_t following_ops = 0;
};

struct CompareOptions {
  /// add(x, y) is add(y, x): for the ops of the table that say so.
  bool commutative = false;
  /// Values in weight files are compared, wherever they stand, instead of paths and offsets. The
  /// folders are what @model_path is of each side. Files that cannot be read are reported
  /// (`file.*`, `blob.*`, `weight.*`), and their weights compared by path and offset.
  bool weights = false;
  std::string model_path_a = {};
  std::string model_path_b = {};
  /// Changes that are described; more are counted.
  std::size_t change_limit = 1000;
};

/// Compares two programs as graphs. Not part of a graph are: names, the order of independent ops
/// and of functions, whether a constant is an op or written where it is used, is shared or
/// repeated, or used at all, the spelling of numbers (rounded to their dtype), tensor<T, []>
/// against T, the order of arguments and attributes, tuples of one element, the attribute `name`,
/// buildInfo, comments and layout. Everything else is: ops and how often each is computed,
/// operands, values, result types, other attributes, opsets, blocks, the order of reads and writes
/// of one state.
///
/// Inputs and functions are partners by name, and where that leaves some over, by position; outputs
/// by name where both sides have the same names, else by position. A program whose interface is
/// renamed or ordered otherwise is the same graph, and a remark says so. A weight in a file is its
/// path and offset unless CompareOptions::weights.
///
/// Linear in time and memory; nothing recurses.
Comparison compare_mil(const Module& a, const Module& b, const CompareOptions& options,
                       Diagnostics& diagnostics);
Comparison compare_mil(const Module& a, const Module& b);

}  // namespace milgen
