// Running a planned function.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpu/code.h"
#include "cpu/plan.h"
#include "cpu/product.h"
#include "cpu/run_infer.h"
#include "milgen/backend.h"
#include "milgen/diagnostic.h"

namespace milgen::cpu {

/// Memory that is taken while a program runs, counted. A block that leaves the run as an output
/// stays counted as long as it lives.
class Heap {
 public:
  explicit Heap(std::uint64_t limit_bytes) : count_(std::make_shared<Count>()) {
    count_->limit = limit_bytes;
  }
  /// Aligned to 64 bytes, not zeroed; null when there is none, or the limit is reached.
  std::shared_ptr<std::byte> take(std::uint64_t bytes);
  /// Counts bytes that something else takes, as long as the result lives; null when the limit is
  /// reached.
  std::shared_ptr<void> charge(std::uint64_t bytes);
  std::uint64_t bytes() const { return count_->bytes; }
  std::uint64_t peak() const { return count_->peak; }
  std::uint64_t limit() const { return count_->limit; }
  void reset_peak() { count_->peak.store(count_->bytes); }

 private:
  struct Count {
    std::atomic<std::uint64_t> bytes = 0;
    std::atomic<std::uint64_t> peak = 0;
    std::uint64_t limit = 0;

    bool add(std::uint64_t more);
  };
  std::shared_ptr<Count> count_;
};

struct ListValue;

/// A value while a program runs.
struct Slot {
  TensorView view;
  /// Keeps memory that was taken for this value; null where the memory is the plan's, a constant's
  /// or the caller's.
  std::shared_ptr<std::byte> owner;
  std::shared_ptr<ListValue> list;
  Array* state = nullptr;
  Array texts;  ///< of a tensor<string>, and the keys of a dictionary

  bool is_set() const { return view.dtype != DType::none || list != nullptr || state != nullptr; }
};

struct ListValue {
  DType dtype = DType::none;
  Shape shape;                   ///< of an element, with what make_list leaves open
  std::vector<Slot> elements;    ///< one without memory was never written
  std::shared_ptr<void> charge;  ///< for what `elements` itself takes
  bool may_grow = false;
};

/// The values of one run. Reused by later runs.
class Frame {
 public:
  /// False when there is not as much memory as the plan takes; nothing else is to be called then.
  Frame(std::shared_ptr<const Plan> plan, std::uint64_t memory_limit_bytes);
  explicit operator bool() const { return ok_; }

  const Plan& plan() const { return *plan_; }
  const Code& code() const { return plan_->code(); }
  Slot& slot(SlotId id) { return slots_[id]; }
  const Slot& slot(SlotId id) const { return slots_[id]; }
  Heap& heap() { return heap_; }
  /// Memory for whoever runs now, until release_scratch(): every call gives another piece. Null
  /// when there is not as much.
  std::byte* scratch(std::uint64_t bytes);
  void release_scratch();
  /// The same for the pack buffers of products.
  detail::ProductWorkspace& workspace() { return workspace_; }

  /// Points planned values that stand in port `index` to its memory.
  void bind(Where where, std::uint32_t index, std::byte* memory);
  /// Drops what a run left on the heap.
  void clear();

 private:
  std::shared_ptr<const Plan> plan_;
  Heap heap_;
  bool ok_ = false;
  std::vector<Slot> slots_;
  std::shared_ptr<std::byte> arena_;
  /// One block that is kept from step to step, as large as the largest need so far, and what a step
  /// asks for beyond it.
  std::shared_ptr<std::byte> scratch_;
  std::uint64_t scratch_bytes_ = 0;
  std::uint64_t scratch_used_ = 0;
  std::vector<std::shared_ptr<std::byte>> more_scratch_;
  detail::ProductWorkspace workspace_;
  std::vector<SlotId> heap_slots_;
  std::vector<std::pair<std::uint32_t, SlotId>> input_slots_;   // by index
  std::vector<std::pair<std::uint32_t, SlotId>> output_slots_;  // by index
};

/// Runs blocks and steps on a frame.
class Runner final : public ValueSource {
 public:
  Runner(Frame& frame, NumericMode mode, ThreadPool& pool, const RunOptions& options,
         Diagnostics& diagnostics);

  Frame& frame() { return frame_; }
  NumericMode mode() const { return mode_; }
  ThreadPool& pool() const { return pool_; }

  bool run_body();
  /// A step by its kernel or by the executor, with shapes inferred now. For constants that are
  /// computed while planning, too.
  bool run_dynamic(const StepCode& step);
  /// A step by its kernel, with results that are in place.
  bool run_kernel(const StepCode& step);
  bool fail(const StepCode& step, Rule rule, const std::string& message);
  /// Reports `run.shape` when the result `id` of the step is not what the text declares.
  bool check_declared(const StepCode& step, SlotId id, DType dtype, const Shape& shape);
  bool no_memory(const StepCode& step, std::uint64_t bytes);
  /// When RunOptions::time_ops says so, in the order of the program.
  std::vector<OpTime> take_times();

  KnownValue known(SlotId slot) const override;

 private:
  friend class StepRun;

  bool run_block(const BlockCode& block);
  bool run_step(const StepCode& step, const StepPlan* plan);
  bool run_planned(const StepCode& step, const StepPlan* plan);
  bool run_timed(const StepCode& step, const StepPlan* plan);

  /// Gives a slot on the heap memory for `shape`; reports and returns false when there is none.
  bool make_tensor(const StepCode& step, Slot& slot, DType dtype, const Shape& shape);
  bool reserve_result(const StepCode& step, std::uint32_t i, DType dtype, const Shape& shape);
  /// Makes result `i` the value of `from`, which may be planned elsewhere.
  bool set_result(const StepCode& step, std::uint32_t i, const Slot& from);
  bool copy_tensor(const StepCode& step, std::uint32_t i, const TensorView& from);
  void release(const StepCode& step);

  // control_flow.cpp
  bool run_special(const StepCode& step);
  void clear_ports(const BlockCode& block);
  bool run_cond(const StepCode& step);
  bool run_while_loop(const StepCode& step);
  bool run_make_list(const StepCode& step);
  bool run_list_write(const StepCode& step);
  bool run_list_scatter(const StepCode& step);
  bool run_list_read(const StepCode& step);
  bool run_list_gather(const StepCode& step);
  bool run_list_length(const StepCode& step);
  bool run_state(const StepCode& step);
  bool run_classify(const StepCode& step);
  /// The list to write to; null when there is no memory for another.
  std::shared_ptr<ListValue> own_list(const StepCode& step, SlotId id);
  bool charge_list(const StepCode& step, ListValue& list, std::size_t length);
  bool put_element(const StepCode& step, ListValue& list, std::int64_t index,
                   const TensorView& value);
  Slot* element(const StepCode& step, ListValue& list, std::int64_t index);
  bool dies_at(const StepCode& step, SlotId id) const;
  bool take_outputs(const StepCode& step, const BlockCode& block, std::vector<Slot>& values);

  SlotId arg(const StepCode& step, std::string_view param, std::uint32_t index = 0) const;
  bool hand_on(const StepCode& step);
  void look_for_nonfinite(const StepCode& step);

  Frame& frame_;
  const Code& code_;
  NumericMode mode_;
  ThreadPool& pool_;
  const RunOptions& options_;
  Diagnostics& diagnostics_;
  std::vector<InferredValue> inferred_;
  std::uint64_t round_ = 0;                // differs between the rounds of loops; 0 outside of them
  std::map<std::uint32_t, OpTime> times_;  // by StepCode::number
  std::uint64_t inside_ns_ = 0;            // what ops inside of the one at hand took
};

}  // namespace milgen::cpu
