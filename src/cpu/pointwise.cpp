#include "cpu/pointwise.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "cpu/pointwise_run.h"
#include "support/half.h"

namespace milgen::cpu {
namespace {

bool is_half_value(float value) { return float_from_half(half_from_float(value)) == value; }

StridedDims merged_dims(std::span<const std::int64_t> shape, const Ints& strides) {
  StridedDims dims;
  for (std::size_t i = shape.size(); i-- > 0;) dims.add(shape[i], strides[i]);
  return dims;
}

InputKind kind_of(const StridedDims& dims, DType dtype) {
  if (dims.size() > 1) return InputKind::strided;
  const std::int64_t stride = dims.inner().stride;
  if (stride == 0) return InputKind::constant;
  if (stride != 1) return InputKind::strided;
  return dtype == DType::fp32 ? InputKind::in_place : InputKind::dense;
}

/// Whether a step can be part of a chain.
bool is_link(PointOp op) {
  return point_cost(op) == PointCost::few_instructions && op != PointOp::select;
}

bool is_commutative(PointOp op) {
  switch (op) {
    case PointOp::add:
    case PointOp::equal:
    case PointOp::logical_and:
    case PointOp::logical_or:
    case PointOp::logical_xor:
    case PointOp::mul:
    case PointOp::not_equal:
      return true;
    default:
      return false;
  }
}

}  // namespace

int operand_count(PointOp op) {
  if (op == PointOp::select) return 3;
  return op >= PointOp::add ? 2 : 1;
}

PointCost point_cost(PointOp op) {
  switch (op) {
    case PointOp::acos:
    case PointOp::asin:
    case PointOp::atan:
    case PointOp::atanh:
    case PointOp::cos:
    case PointOp::cosh:
    case PointOp::floor_div:
    case PointOp::mod:
    case PointOp::sin:
    case PointOp::sinh:
    case PointOp::tan:
      return PointCost::in_double;
    case PointOp::elu:
    case PointOp::erf:
    case PointOp::exp:
    case PointOp::exp2:
    case PointOp::gelu:
    case PointOp::gelu_sigmoid:
    case PointOp::gelu_tanh:
    case PointOp::log:
    case PointOp::pow:
    case PointOp::pow_constant:
    case PointOp::scaled_tanh:
    case PointOp::sigmoid:
    case PointOp::silu:
    case PointOp::softplus:
    case PointOp::tanh:
      return PointCost::vector_function;
    default:
      return PointCost::few_instructions;
  }
}

TapeRegister Tape::add_register(Register::Origin origin, std::size_t index, bool is_half) {
  registers_.push_back(
      {.origin = origin, .is_half = is_half, .index = static_cast<std::uint16_t>(index)});
  return {static_cast<std::uint16_t>(registers_.size() - 1)};
}

TapeRegister Tape::input(DType dtype) {
  input_dtypes_.push_back(dtype);
  return add_register(Register::Origin::input, input_dtypes_.size() - 1, dtype != DType::fp32);
}

TapeRegister Tape::constant(float value) {
  constants_.push_back(value);
  return add_register(Register::Origin::constant, constants_.size() - 1, is_half_value(value));
}

TapeRegister Tape::apply(PointOp op, Rounding rounding, TapeRegister x, float alpha, float beta) {
  return add_instruction({op, rounding, {x.index, x.index, x.index}, alpha, beta});
}

TapeRegister Tape::apply(PointOp op, Rounding rounding, TapeRegister x, TapeRegister y) {
  return add_instruction({op, rounding, {x.index, y.index, y.index}, 0, 0});
}

TapeRegister Tape::apply(PointOp op, Rounding rounding, TapeRegister x, TapeRegister y,
                         TapeRegister z) {
  return add_instruction({op, rounding, {x.index, y.index, z.index}, 0, 0});
}

TapeRegister Tape::add_instruction(const Instruction& instruction) {
  code_.push_back(instruction);
  const bool halves = keeps_halves(instruction);
  // What is an fp16 anyhow needs no rounding.
  if (halves) code_.back().rounding = Rounding::fp32;
  return add_register(Register::Origin::instruction, code_.size() - 1,
                      halves || instruction.rounding == Rounding::fp16);
}

void Tape::output(TapeRegister value, DType dtype) { outputs_.push_back({value.index, dtype}); }

/// Whether the result of an instruction is an fp16 without being rounded, its operands being such.
bool Tape::keeps_halves(const Instruction& instruction) const {
  const auto half_operand = [&](int i) { return registers_[instruction.operands[i]].is_half; };
  switch (instruction.op) {
    case PointOp::equal:
    case PointOp::greater:
    case PointOp::greater_equal:
    case PointOp::less:
    case PointOp::less_equal:
    case PointOp::logical_and:
    case PointOp::logical_not:
    case PointOp::logical_or:
    case PointOp::logical_xor:
    case PointOp::not_equal:
      return true;
    case PointOp::abs:
    case PointOp::ceil:
    case PointOp::floor:
    case PointOp::negate:
    case PointOp::relu:
    case PointOp::relu6:
    case PointOp::round:
    case PointOp::sign:
    case PointOp::thresholded_relu:
      return half_operand(0);
    case PointOp::clip:
      return half_operand(0) && is_half_value(instruction.alpha) && is_half_value(instruction.beta);
    case PointOp::threshold:
      return half_operand(0) && is_half_value(instruction.alpha);
    case PointOp::maximum:
    case PointOp::minimum:
      return half_operand(0) && half_operand(1);
    case PointOp::select:
      return half_operand(1) && half_operand(2);
    default:
      return false;
  }
}

void Tape::find_uses() {
  for (std::size_t i = 0; i < code_.size(); ++i) {
    for (int k = 0; k < operand_count(code_[i].op); ++k) {
      Register& reg = registers_[code_[i].operands[k]];
      ++reg.uses;
      reg.last_use = i;
    }
  }
  for (const Output& output : outputs_) registers_[output.reg].last_use = code_.size();
}

/// Storing an fp16 rounds: where nothing else reads a register, its instruction need not.
void Tape::drop_roundings() {
  std::vector<bool> wider(registers_.size(), false);
  for (const Output& output : outputs_) {
    if (output.dtype != DType::fp16) wider[output.reg] = true;
  }
  for (const Output& output : outputs_) {
    const Register& reg = registers_[output.reg];
    if (wider[output.reg] || reg.uses != 0 || reg.origin != Register::Origin::instruction) continue;
    Instruction& instruction = code_[reg.index];
    // What is computed in double is rounded from there.
    if (point_cost(instruction.op) != PointCost::in_double) instruction.rounding = Rounding::fp32;
  }
}

bool Tape::assign_slots() {
  static_assert(kMaxLiveRegisters + kMaxTapeConstants <= 256);
  if (constants_.size() > kMaxTapeConstants) return false;
  std::vector<std::uint8_t> free;
  for (std::size_t i = kMaxLiveRegisters; i-- > 0;) free.push_back(static_cast<std::uint8_t>(i));
  const auto take = [&](Register& reg) {
    if (free.empty()) return false;
    reg.slot = free.back();
    free.pop_back();
    return true;
  };
  // Inputs are loaded before the first instruction, wherever they were added.
  for (Register& reg : registers_) {
    if (reg.origin == Register::Origin::constant) {
      reg.slot = static_cast<std::uint8_t>(kMaxLiveRegisters + reg.index);
    } else if (reg.origin == Register::Origin::input && !take(reg)) {
      return false;
    }
  }
  for (Register& reg : registers_) {
    if (reg.origin != Register::Origin::instruction) continue;
    TapeStep step = step_of(reg.index);
    for (int k = 0; k < 3; ++k) {
      const Register& operand = registers_[code_[reg.index].operands[k]];
      const bool repeated =
          std::find(step.operands, step.operands + k, operand.slot) != step.operands + k;
      if (operand.last_use != reg.index || repeated) continue;
      if (operand.origin != Register::Origin::constant) free.push_back(operand.slot);
    }
    if (!take(reg)) return false;
    step.result = reg.slot;
    steps_.push_back(step);
    // One that nothing reads has its slot for the instruction alone.
    if (reg.last_use == 0) free.push_back(reg.slot);
  }
  return true;
}

/// An instruction whose operands have slots.
TapeStep Tape::step_of(std::size_t index) const {
  const Instruction& instruction = code_[index];
  TapeStep step = {.op = instruction.op,
                   .rounding = instruction.rounding,
                   .operands = {},
                   .result = 0,
                   .alpha = instruction.alpha,
                   .beta = instruction.beta,
                   .continues = false};
  for (int k = 0; k < 3; ++k) step.operands[k] = registers_[instruction.operands[k]].slot;
  return step;
}

void Tape::join_steps() {
  std::uint16_t last = 0;  // the register of the instruction before
  for (std::uint16_t r = 0; r < registers_.size(); ++r) {
    if (registers_[r].origin != Register::Origin::instruction) continue;
    const std::size_t i = registers_[r].index;
    Instruction& instruction = code_[i];
    if (i > 0 && is_link(instruction.op) && is_link(code_[i - 1].op) &&
        registers_[last].uses == 1 && registers_[last].last_use == i) {
      if (is_commutative(instruction.op) && instruction.operands[1] == last) {
        std::swap(steps_[i].operands[0], steps_[i].operands[1]);
        std::swap(instruction.operands[0], instruction.operands[1]);
      }
      steps_[i].continues = instruction.operands[0] == last;
    }
    last = r;
  }
}

bool Tape::finish() {
  find_uses();
  drop_roundings();
  if (!assign_slots()) return false;
  join_steps();
  return true;
}

TapeRun::TapeRun(const Tape& tape, std::span<const TapeInput> tape_inputs,
                 std::span<void* const> memory, std::span<const std::int64_t> shape)
    : code(tape.steps_), constants(tape.constants_) {
  for (const std::int64_t dim : shape) count *= dim;
  for (const Tape::Register& reg : tape.registers_) {
    if (reg.origin != Tape::Register::Origin::input) continue;
    const TapeInput& input = tape_inputs[reg.index];
    const DType dtype = tape.input_dtypes_[reg.index];
    StridedDims dims = merged_dims(shape, input.strides);
    InputKind kind = kind_of(dims, dtype);
    // An output that is an input as it stands may be written after the memory of that input.
    if (kind == InputKind::in_place && reg.last_use == tape.code_.size()) kind = InputKind::dense;
    inputs.push_back({kind, dtype, input.data, reg.slot, std::move(dims)});
  }
  for (std::size_t i = 0; i < tape.outputs_.size(); ++i) {
    const Tape::Output& output = tape.outputs_[i];
    outputs.push_back({tape.registers_[output.reg].slot, output.dtype, memory[i]});
  }
}

Ints broadcast_strides(std::span<const std::int64_t> shape, std::span<const std::int64_t> target) {
  Ints strides(target.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t dim = shape[shape.size() - 1 - i];
    if (dim != 1) strides[target.size() - 1 - i] = stride;
    stride *= dim;
  }
  return strides;
}

void run_tape(const Tape& tape, std::span<const TapeInput> inputs, std::span<void* const> outputs,
              std::span<const std::int64_t> shape, detail::ThreadPool& pool) {
  // Blocks that are worth waking a thread for.
  constexpr std::size_t kGrain = 4;
  const TapeRun run(tape, inputs, outputs, shape);
  const auto count = static_cast<std::size_t>(run.count);
  pool.run((count + kTapeBlock - 1) / kTapeBlock, kGrain, [&](std::size_t first, std::size_t last) {
    run_blocks(run, static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
  });
}

void run_tape(const Tape& tape, std::span<const void* const> inputs, std::span<void* const> outputs,
              std::int64_t count, detail::ThreadPool& pool) {
  std::vector<TapeInput> dense;
  for (const void* data : inputs) dense.push_back({data, Ints{1}});
  run_tape(tape, dense, outputs, std::array{count}, pool);
}

}  // namespace milgen::cpu
