// What is settled before a function runs for the first time with inputs of certain shapes: shapes
// of values, those that are constants, and where in memory each value stands.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cpu/code.h"
#include "milgen/diagnostic.h"

namespace milgen::cpu {

class Plan;
class Runner;

/// Where the memory of a value is.
enum class Where : std::uint8_t {
  heap,      ///< taken when the value is made: its shape is known only then, or it is no tensor
  constant,  ///< Plan::constants
  input,     ///< the caller's input `index`
  output,    ///< the array of output `index`
  arena,     ///< the frame's one block of memory
};

struct SlotPlan {
  Where where = Where::heap;
  bool shape_known = false;
  bool elided = false;       ///< exists only inside of a group: has no memory
  std::uint32_t index = 0;   ///< of the constant, input or output
  std::uint64_t offset = 0;  ///< in bytes, in the arena or the output
  Shape shape;
};

/// What is done for one step.
enum class StepKind : std::uint8_t {
  run,      ///< its kernel, with the results where the plan has them
  dynamic,  ///< the same, with shapes inferred when it runs
  skip,     ///< nothing: its results are constants, or another step makes them
  group,    ///< Plan::groups: it and steps that are skipped run as one
};

struct StepPlan {
  StepKind kind = StepKind::dynamic;
  /// Of a step that is part of one; the last step of a group runs it, the others are skipped.
  std::uint32_t group = kNone;
};

/// What runs for several steps, or for one in a way that was prepared.
class Group {
 public:
  virtual ~Group();
  /// False after a report.
  virtual bool run(Runner& runner) const = 0;
  /// The values that it looks at.
  virtual std::span<const SlotId> reads() const = 0;
  /// What it keeps for itself: weights in packed form.
  virtual std::uint64_t constant_bytes() const { return 0; }
  /// The constant that it has in a form of its own, so that it never looks at it; kNone for none.
  virtual SlotId packed_constant() const { return kNone; }
  /// Writes the elements of that constant as they were.
  virtual void unpack(std::byte* to) const;
  /// Whether a result may stand where an argument of equal dtype and shape does.
  virtual bool in_place() const { return false; }
  /// "conv", or "mul+reduce_sum".
  virtual std::string name() const = 0;
};

/// A constant that a plan has let go of.
struct PackedConstant {
  std::uint32_t constant = 0;
  std::uint32_t group = 0;  ///< has it still: Group::unpack
  DType dtype = DType::none;
  Shape shape;
};

class Plan {
 public:
  const Code& code() const { return *code_; }
  const std::shared_ptr<const Code>& code_pointer() const { return code_; }

  std::vector<SlotPlan> slots;  ///< by slot; of values in nested blocks only the constants
  std::vector<StepPlan> steps;  ///< of the body
  /// Those that the plan was made with, then those that were computed. No tensor at all stands for
  /// one that only groups have, in a form of their own.
  std::vector<Array> constants;
  std::vector<PackedConstant> packed;  ///< of the constants that the plan was made with
  std::vector<std::unique_ptr<Group>> groups;
  std::uint64_t arena_bytes = 0;
  /// The most bytes of planned values that are alive at one time.
  std::uint64_t live_bytes = 0;
  std::uint64_t constant_bytes = 0;

  explicit Plan(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

 private:
  std::shared_ptr<const Code> code_;
};

struct PlanOptions {
  NumericMode mode = NumericMode::exact;
  /// Every op by itself, where its values can be looked at.
  bool one_by_one = false;
  std::uint64_t memory_limit_bytes = 0;
  /// Let go of constants that only groups have, in a form of their own.
  bool drop_packed = false;
};

/// Plans for inputs of these shapes, in the order of Code::inputs, with constants by
/// SlotCode::constant. Null when something was
/// reported: an op that is not possible with them, what computing constants shows, `memory.limit`.
std::unique_ptr<const Plan> make_plan(std::shared_ptr<const Code> code,
                                      std::vector<Array> constants, std::span<const Shape> inputs,
                                      const PlanOptions& options, ThreadPool& pool,
                                      Diagnostics& diagnostics);

}  // namespace milgen::cpu
