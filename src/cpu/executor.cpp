#include "cpu/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>

#include "backend/ports.h"
#include "cpu/op_run.h"
#include "support/printable.h"

namespace milgen::cpu {
namespace {

constexpr std::size_t kAlignmentBytes = 64;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

/// False when the bytes of such a tensor do not fit in 63 bits.
bool tensor_bytes(DType dtype, const Shape& shape, std::int64_t& count, std::uint64_t& bytes) {
  if (!element_count(shape, count)) return false;
  std::int64_t product = 0;
  const auto size = static_cast<std::int64_t>(element_bytes(dtype));
  if (__builtin_mul_overflow(count, size, &product)) return false;
  bytes = static_cast<std::uint64_t>(product);
  return true;
}

}  // namespace

// --- Memory. ---

bool Heap::Count::add(std::uint64_t more) {
  if (more > limit) return false;
  const std::uint64_t before = bytes.fetch_add(more);
  if (before + more > limit) {
    bytes.fetch_sub(more);
    return false;
  }
  std::uint64_t highest = peak;
  while (highest < before + more && !peak.compare_exchange_weak(highest, before + more)) {
  }
  return true;
}

std::shared_ptr<void> Heap::charge(std::uint64_t bytes) {
  if (!count_->add(bytes)) return nullptr;
  return {count_.get(), [count = count_, bytes](void*) { count->bytes.fetch_sub(bytes); }};
}

std::shared_ptr<std::byte> Heap::take(std::uint64_t bytes) {
  if (!count_->add(bytes)) return nullptr;
  const auto size = static_cast<std::size_t>(std::max<std::uint64_t>(bytes, 1));
  void* block = ::operator new (size, std::align_val_t{kAlignmentBytes}, std::nothrow);
  if (block == nullptr) {
    count_->bytes.fetch_sub(bytes);
    return nullptr;
  }
  return {static_cast<std::byte*>(block), [count = count_, bytes](std::byte* memory) {
            count->bytes.fetch_sub(bytes);
            ::operator delete (memory, std::align_val_t{kAlignmentBytes});
          }};
}

Frame::Frame(std::shared_ptr<const Plan> plan, std::uint64_t memory_limit_bytes)
    : plan_(std::move(plan)), heap_(memory_limit_bytes), slots_(plan_->code().slots.size()) {
  arena_ = heap_.take(plan_->arena_bytes);
  if (arena_ == nullptr) return;
  for (SlotId id = 0; id < slots_.size(); ++id) {
    const SlotPlan& planned = plan_->slots[id];
    Slot& slot = slots_[id];
    if (planned.where == Where::heap) {
      if (!planned.elided) heap_slots_.push_back(id);
      continue;
    }
    if (planned.where == Where::constant) {
      // Nothing writes to a constant; a view has one kind of pointer.
      Array constant = plan_->constants[planned.index];
      slot.view = {constant.dtype(), constant.shape(), constant.mutable_bytes().data(),
                   constant.size()};
      slot.texts = constant;
      continue;
    }
    slot.view.dtype = code().slots[id].dtype;
    slot.view.shape = planned.shape;
    element_count(planned.shape, slot.view.count);
    if (planned.where == Where::arena) slot.view.data = arena_.get() + planned.offset;
    if (planned.where == Where::input) input_slots_.emplace_back(planned.index, id);
    if (planned.where == Where::output) output_slots_.emplace_back(planned.index, id);
  }
  std::ranges::sort(input_slots_);
  std::ranges::sort(output_slots_);
  ok_ = true;
}

std::byte* Frame::scratch(std::uint64_t bytes) {
  if (bytes > heap_.limit()) return nullptr;
  // For tensors without elements there is nothing to ask for, which is no lack of memory.
  bytes =
      (std::max<std::uint64_t>(bytes, 1) + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  const std::uint64_t at = scratch_used_;
  scratch_used_ += bytes;
  if (scratch_used_ <= scratch_bytes_) return scratch_.get() + at;
  return more_scratch_.emplace_back(heap_.take(bytes)).get();
}

void Frame::release_scratch() {
  if (!more_scratch_.empty()) {
    // The next step like this one finds it in one piece.
    more_scratch_.clear();
    scratch_.reset();
    scratch_ = heap_.take(scratch_used_);
    scratch_bytes_ = scratch_ == nullptr ? 0 : scratch_used_;
  }
  scratch_used_ = 0;
}

void Frame::bind(Where where, std::uint32_t index, std::byte* memory) {
  const auto& slots = where == Where::input ? input_slots_ : output_slots_;
  for (auto at = std::ranges::lower_bound(slots, std::pair{index, SlotId{0}});
       at != slots.end() && at->first == index; ++at) {
    slots_[at->second].view.data = memory + plan_->slots[at->second].offset;
  }
}

void Frame::clear() {
  for (const SlotId id : heap_slots_) slots_[id] = Slot();
}

// --- Running. ---

Runner::Runner(Frame& frame, NumericMode mode, ThreadPool& pool, const RunOptions& options,
               Diagnostics& diagnostics)
    : frame_(frame),
      code_(frame.code()),
      mode_(mode),
      pool_(pool),
      options_(options),
      diagnostics_(diagnostics) {}

bool Runner::fail(const StepCode& step, Rule rule, const std::string& message) {
  diagnostics_.error(rule.id(), fmt::format("{}: {}", step.op->name, message),
                     code_.place_of(step));
  return false;
}

bool Runner::no_memory(const StepCode& step, std::uint64_t bytes) {
  return fail(step, rule<"memory.limit">,
              fmt::format("{} bytes are needed beside {} in use, and {} is the most", bytes,
                          frame_.heap().bytes(), frame_.heap().limit()));
}

KnownValue Runner::known(SlotId id) const {
  const Slot& slot = frame_.slot(id);
  if (slot.list != nullptr) {
    return {.shape = &slot.list->shape,
            .length = static_cast<std::int64_t>(slot.list->elements.size())};
  }
  if (slot.state != nullptr) return {.shape = &slot.state->shape()};
  return {.shape = &slot.view.shape, .values = &slot.view, .texts = slot.texts.strings()};
}

SlotId Runner::arg(const StepCode& step, std::string_view param, std::uint32_t index) const {
  const ArgCode* found = code_.find_arg(step, param);
  return found == nullptr || index >= found->count ? kNone : code_.slots_of(*found)[index];
}

bool Runner::run_body() {
  const Plan& plan = frame_.plan();
  const std::vector<StepCode>& steps = code_.body().steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (!run_timed(steps[i], &plan.steps[i])) return false;
    release(steps[i]);
  }
  return true;
}

bool Runner::run_block(const BlockCode& block) {
  for (const StepCode& step : block.steps) {
    if (!run_timed(step, nullptr)) return false;
    release(step);
  }
  return true;
}

bool Runner::run_timed(const StepCode& step, const StepPlan* plan) {
  if (!options_.time_ops) return run_step(step, plan);
  if (plan != nullptr && plan->kind == StepKind::skip) return true;
  const std::uint64_t outer_inside = inside_ns_;
  inside_ns_ = 0;
  const std::uint64_t start = now_ns();
  const bool done = run_step(step, plan);
  const std::uint64_t spent = now_ns() - start;
  // What the ops of its blocks took is theirs.
  OpTime& time = times_[step.number];
  if (time.calls == 0) {
    time.op = plan != nullptr && plan->group != kNone ? frame_.plan().groups[plan->group]->name()
                                                      : std::string(step.op->name);
    time.result = step.result_name;
    time.line = step.line;
  }
  ++time.calls;
  time.nanoseconds += spent - std::min(spent, inside_ns_);
  inside_ns_ = outer_inside + spent;
  return done;
}

bool Runner::run_step(const StepCode& step, const StepPlan* plan) {
  try {
    return run_planned(step, plan);
  } catch (const std::bad_alloc&) {
    // Lists and small tables of kernels are not taken from the frame's heap.
    frame_.release_scratch();
    return fail(step, rule<"memory.limit">, "there is not enough memory");
  }
}

bool Runner::run_planned(const StepCode& step, const StepPlan* plan) {
  const StepKind kind = plan == nullptr ? StepKind::dynamic : plan->kind;
  bool done = true;
  switch (kind) {
    case StepKind::skip:
      return true;
    case StepKind::group:
      done = frame_.plan().groups[plan->group]->run(*this);
      frame_.release_scratch();
      return done;
    case StepKind::run:
      done = run_kernel(step);
      break;
    case StepKind::dynamic:
      done = run_dynamic(step);
      break;
  }
  // The executor's own ops only hand values on.
  if (done && options_.report_nonfinite && step.row->kernel != nullptr) look_for_nonfinite(step);
  return done;
}

bool Runner::run_kernel(const StepCode& step) {
  StepRun run(*this, step);
  const bool done = step.row->kernel(run);
  frame_.release_scratch();
  return done;
}

bool Runner::run_dynamic(const StepCode& step) {
  if (step.row->kernel == nullptr) return run_special(step);
  if (hand_on(step)) return true;
  if (!infer_results(code_, step, *this, inferred_, diagnostics_)) return false;
  for (std::uint32_t i = 0; i < step.results; ++i) {
    const InferredValue& value = inferred_[i];
    // Strings have no elements in memory, which is what kernels work on.
    if (value.dtype == DType::string) {
      return fail(step, rule<"run.op">, "the op has no executor for strings");
    }
    // The others are known once the kernel has looked at values; it calls make_out().
    if (!std::ranges::all_of(value.shape, [](std::int64_t dim) { return dim >= 0; })) continue;
    if (!reserve_result(step, i, value.dtype, value.shape)) return false;
  }
  return run_kernel(step);
}

/// An op that changes nothing hands on what has no elements in memory: a list, a state, strings.
bool Runner::hand_on(const StepCode& step) {
  if (!has(step.row->flags, KernelFlags::alias)) return false;
  const Slot& x = frame_.slot(arg(step, "x"));
  const bool is_other = x.list != nullptr || x.state != nullptr || x.view.dtype == DType::string;
  if (is_other) frame_.slot(step.first_result) = x;
  return is_other;
}

bool Runner::check_declared(const StepCode& step, SlotId id, DType dtype, const Shape& shape) {
  const SlotCode& declared = code_.slots[id];
  const SlotPlan& planned = frame_.plan().slots[id];
  bool fits = declared.dtype == dtype && shape_fits(declared.shape, shape);
  // Steps behind this one were planned with the shape.
  if (planned.shape_known) fits = fits && planned.shape == shape;
  if (fits) return true;
  return fail(step, rule<"run.shape">,
              fmt::format("the result is tensor<{}, {}> in this run but {} is declared as "
                          "tensor<{}, {}>",
                          dtype_name(dtype), to_string(shape), printable(step.result_name),
                          dtype_name(declared.dtype), to_string(declared.shape)));
}

bool Runner::reserve_result(const StepCode& step, std::uint32_t i, DType dtype,
                            const Shape& shape) {
  const SlotId id = step.first_result + i;
  if (!check_declared(step, id, dtype, shape)) return false;
  if (frame_.plan().slots[id].where != Where::heap) return true;
  return make_tensor(step, frame_.slot(id), dtype, shape);
}

bool Runner::make_tensor(const StepCode& step, Slot& slot, DType dtype, const Shape& shape) {
  std::uint64_t bytes = 0;
  std::int64_t count = 0;
  if (!tensor_bytes(dtype, shape, count, bytes)) {
    return fail(step, rule<"memory.limit">,
                fmt::format("a tensor<{}, {}> is larger than any memory", dtype_name(dtype),
                            to_string(shape)));
  }
  slot = Slot();
  slot.owner = frame_.heap().take(bytes);
  if (slot.owner == nullptr) return no_memory(step, bytes);
  slot.view = {dtype, shape, slot.owner.get(), count};
  return true;
}

bool Runner::copy_tensor(const StepCode& step, std::uint32_t i, const TensorView& from) {
  if (!reserve_result(step, i, from.dtype, from.shape)) return false;
  const TensorView& to = frame_.slot(step.first_result + i).view;
  const std::size_t bytes = static_cast<std::size_t>(from.count) * element_bytes(from.dtype);
  if (bytes != 0 && to.data != from.data) std::memmove(to.data, from.data, bytes);
  return true;
}

bool Runner::set_result(const StepCode& step, std::uint32_t i, const Slot& from) {
  const SlotId id = step.first_result + i;
  const bool shared = from.owner != nullptr && frame_.plan().slots[id].where == Where::heap;
  if (from.list == nullptr && from.texts.dtype() != DType::string && !shared) {
    return copy_tensor(step, i, from.view);
  }
  frame_.slot(id) = from;
  return from.list != nullptr || check_declared(step, id, from.view.dtype, from.view.shape);
}

void Runner::release(const StepCode& step) {
  for (const SlotId id : code_.dead_after(step)) {
    if (frame_.plan().slots[id].where == Where::heap) frame_.slot(id) = Slot();
  }
}

// --- Values that are not finite. ---

namespace {

/// The number of elements that are infinite or not a number, and the first of them.
std::uint64_t nonfinite(const TensorView& tensor, std::int64_t& first, double& value) {
  std::uint64_t count = 0;
  if (!is_float(tensor.dtype)) return 0;
  for (std::int64_t i = 0; i < tensor.count; ++i) {
    const double at = real_at(tensor, i);
    if (std::isfinite(at)) continue;
    if (count++ == 0) {
      first = i;
      value = at;
    }
  }
  return count;
}

}  // namespace

void Runner::look_for_nonfinite(const StepCode& step) {
  if (options_.report == nullptr || options_.report->nonfinite.found) return;
  std::int64_t first = 0;
  double value = 0;
  for (const ArgCode& arg : code_.args_of(step)) {
    for (const SlotId id : code_.slots_of(arg)) {
      if (nonfinite(frame_.slot(id).view, first, value) != 0) return;
    }
  }
  for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
    const std::uint64_t count = nonfinite(frame_.slot(id).view, first, value);
    if (count == 0) continue;
    options_.report->nonfinite = {true,
                                  std::string(step.op->name),
                                  std::string(step.result_name),
                                  code_.place_of(step),
                                  first,
                                  value,
                                  count};
    return;
  }
}

std::vector<OpTime> Runner::take_times() {
  std::vector<OpTime> times;
  times.reserve(times_.size());
  for (auto& [number, time] : times_) times.push_back(std::move(time));
  return times;
}

}  // namespace milgen::cpu
