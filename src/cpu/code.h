// A function of a Module in the form that it is executed in: flat, without names to look up, and
// independent of the Module that it was made from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/kernel.h"
#include "ir/infer.h"
#include "milgen/array.h"
#include "milgen/backend.h"

namespace milgen {
class WeightFileSet;
}

namespace milgen::cpu {

using SlotId = std::uint32_t;
inline constexpr std::uint32_t kNone = 0xFFFFFFFFu;

/// A value of the program.
struct SlotCode {
  TypeKind kind = TypeKind::tensor;
  DType dtype = DType::none;  ///< of a list or state: of its element; of a dict: of its values
  Shape shape;  ///< as declared, kUnknownDim for `?`; of a list or state: its element's
  std::uint32_t constant = kNone;  ///< into the constants that belong to the code
};

/// An argument that was given: `count` slots from `first` of Code::arg_slots on.
struct ArgCode {
  std::string_view param;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct StepCode {
  const OpInfo* op = nullptr;
  const KernelRow* row = nullptr;
  Opset opset = Opset::ios18;
  std::uint32_t first_arg = 0;
  std::uint32_t args = 0;
  SlotId first_result = 0;
  std::uint32_t results = 0;
  std::uint32_t first_block = 0;  ///< into Code::block_list
  std::uint32_t blocks = 0;
  std::uint32_t number = 0;  ///< among all ops of the function, in the order of the text
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string_view result_name;  ///< of the first result, in Code::names
  /// Slots that nothing behind this step in its block looks at.
  std::uint32_t first_dead = 0;
  std::uint32_t dead = 0;
};

struct BlockCode {
  std::vector<SlotId> inputs;
  std::vector<SlotId> outputs;
  std::vector<SlotId> own_outputs;  ///< those that the block makes itself, or has as inputs
  std::vector<StepCode> steps;
};

/// A port of the function and its slot.
struct Port {
  TensorSpec spec;
  SlotId slot = 0;
  Place place;
};

struct Code {
  std::string file;
  std::vector<SlotCode> slots;
  std::vector<ArgCode> args;
  std::vector<SlotId> arg_slots;
  std::vector<std::uint32_t> block_list;
  std::vector<BlockCode> blocks;  ///< the first one is the function's body
  std::vector<SlotId> dead_slots;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::vector<Port> states;
  std::vector<std::unique_ptr<std::string>> names;

  const BlockCode& body() const { return blocks.front(); }
  std::span<const ArgCode> args_of(const StepCode& step) const {
    return {args.data() + step.first_arg, step.args};
  }
  std::span<const SlotId> slots_of(const ArgCode& arg) const {
    return {arg_slots.data() + arg.first, arg.count};
  }
  /// Null when the argument was not given.
  const ArgCode* find_arg(const StepCode& step, std::string_view param) const {
    for (const ArgCode& arg : args_of(step)) {
      if (arg.param == param) return &arg;
    }
    return nullptr;
  }
  const BlockCode& block_of(const StepCode& step, std::uint32_t i) const {
    return blocks[block_list[step.first_block + i]];
  }
  std::span<const SlotId> dead_after(const StepCode& step) const {
    return {dead_slots.data() + step.first_dead, step.dead};
  }
  Place place_of(const StepCode& step) const {
    return Place(file, step.line, step.column, static_cast<std::uint32_t>(step.op->name.size()));
  }
};

/// Translates a function of a module that was verified; `constants` are its weights and the values
/// of its text. Null when something was reported:
/// `run.function`, `run.op`, `run.value`, and what reading weights reports.
std::unique_ptr<const Code> make_code(const Module& module, const CompileOptions& options,
                                      std::vector<Array>& constants, Diagnostics& diagnostics);

}  // namespace milgen::cpu
