// How a comparison shows ops, constants and inputs: a line each.
#pragma once

#include <span>
#include <string>

#include "mil/compare_graph.h"
#include "milgen/compare.h"

namespace milgen::mil {

/// What of an op differs from its partner, and is marked.
struct Marked {
  std::vector<Id> bindings = {};
  std::vector<Id> attributes = {};
  bool word = false;
  std::vector<std::uint32_t> results = {};
};

/// `tensor<fp16, [1, 64]> y = conv(weight = w, x = x, ...)`: constants as their values. With
/// `marked`, arguments that are constants and not marked are left out.
ChangeSide op_line(const ModuleData& data, Id op, const Marked* marked);
/// `conv y`, `write_state`: how sentences call an op.
std::string op_phrase(const ModuleData& data, Id op);
/// `fp16 eps = 0x1p-10`, its type marked as well unless `same_type`, its value unless it is written
/// as `other` is: what stands on the other side. A long value is cut to where they differ.
ChangeSide constant_line(const ModuleData& data, const OperandSlot& slot, bool same_type,
                         std::string_view other);
/// The value alone, as written.
std::string constant_text(const ModuleData& data, Id literal);
/// `tensor<fp16, [1, 64]> x`
ChangeSide value_line(const ModuleData& data, Id value);
std::string value_phrase(const ModuleData& data, const OperandSlot& slot);
/// The same with where the value comes from: "x (result 1 of split)", "y (not defined)".
std::string origin_phrase(const ModuleData& data, const OperandSlot& slot);
/// A value of at most `limit` bytes, a window around byte `at` where it is longer.
std::string excerpt_of(std::string_view text, std::size_t at, std::size_t limit);

}  // namespace milgen::mil
