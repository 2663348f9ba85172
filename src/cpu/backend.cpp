#include "milgen/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "backend/ports.h"
#include "cpu/code.h"
#include "cpu/executor.h"
#include "cpu/plan.h"
#include "milgen/module.h"
#include "milgen/verify.h"
#include "support/machine.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"

namespace milgen {
namespace cpu {
namespace {

/// Plans that are kept: programs with `?` dims are run with a few shapes, over and over.
constexpr std::size_t kMostPlans = 8;

/// One pool for all executables that want as many threads: a program of many functions does not
/// start many threads.
std::shared_ptr<ThreadPool> shared_pool(int threads) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const std::lock_guard lock(mutex);
  std::weak_ptr<ThreadPool>& known = pools[threads];
  std::shared_ptr<ThreadPool> pool = known.lock();
  if (pool == nullptr) {
    pool = std::make_shared<ThreadPool>(threads);
    known = pool;
  }
  return pool;
}

/// Memory of arrays, in pieces that do not touch each other.
class MemoryInUse {
 public:
  void add(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    const std::byte* begin = bytes.data();
    const std::byte* end = begin + bytes.size();
    auto behind = pieces_.upper_bound(end);
    while (behind != pieces_.begin() && !before_(std::prev(behind)->second, begin)) {
      const auto piece = std::prev(behind);
      begin = std::min(begin, piece->first, before_);
      end = std::max(end, piece->second, before_);
      behind = pieces_.erase(piece);
    }
    pieces_[begin] = end;
  }
  bool overlaps(std::span<const std::byte> bytes) const {
    if (bytes.empty()) return false;
    const auto behind = pieces_.lower_bound(bytes.data() + bytes.size());
    return behind != pieces_.begin() && before_(bytes.data(), std::prev(behind)->second);
  }

 private:
  /// Pointers into different arrays are in order for std::less alone.
  std::less<const std::byte*> before_;
  std::map<const std::byte*, const std::byte*> pieces_;  // ends by beginnings
};

class CpuExecutable final : public Executable {
 public:
  CpuExecutable(std::shared_ptr<const Code> code, std::vector<Array> constants,
                const CompileOptions& options)
      : code_(std::move(code)),
        constants_(std::move(constants)),
        mode_(options.mode),
        pool_(shared_pool(options.threads)),
        limit_bytes_(options.memory_limit_bytes != 0 ? options.memory_limit_bytes
                                                     : machine_memory_bytes()),
        inputs_(ports_of(code_->inputs)),
        outputs_(ports_of(code_->outputs)),
        states_(ports_of(code_->states)) {}

  /// Plans ahead when the program has one set of shapes, so that what is wrong shows now.
  bool prepare(Diagnostics& diagnostics) {
    std::vector<Shape> shapes;
    for (const TensorSpec& input : inputs_.specs()) {
      if (std::ranges::any_of(input.shape, [](std::int64_t dim) { return dim < 0; })) return true;
      shapes.push_back(input.shape);
    }
    PlanOptions options = plan_options(false);
    options.drop_packed = true;
    const std::shared_ptr<Entry> entry = plan_for(shapes, options, diagnostics);
    if (entry == nullptr) return false;
    packing_plan_ = entry->plan;
    for (const PackedConstant& one : packing_plan_->packed) constants_[one.constant] = Array();
    return true;
  }

  std::span<const TensorSpec> inputs() const override { return inputs_.specs(); }
  std::span<const TensorSpec> outputs() const override { return outputs_.specs(); }
  std::span<const TensorSpec> states() const override { return states_.specs(); }

  using Executable::run;
  bool run(std::span<const NamedArray> inputs, std::vector<NamedArray>& outputs,
           Diagnostics& diagnostics, const RunOptions& options) const override {
    if (options.report != nullptr) *options.report = {};
    try {
      Call call{
          .given = inputs, .outputs = outputs, .options = options, .diagnostics = diagnostics};
      return run_call(call);
    } catch (const std::bad_alloc&) {
      diagnostics.error(rule<"memory.limit">.id(), "there is not enough memory for a run",
                        Place(code_->file));
      return false;
    }
  }

 private:
  /// An output of a run.
  struct OutputCall {
    std::size_t given = Ports::kNone;  // in the outputs of the caller
    Array wanted;                      // the caller's array that cannot be written before the end
    NamedArray made;
  };

  /// What run() is given, and what it made of that.
  struct Call {
    std::span<const NamedArray> given;
    std::vector<NamedArray>& outputs;
    const RunOptions& options;
    Diagnostics& diagnostics;
    std::vector<Array> inputs = {};           // by port
    std::vector<NamedArray> own_states = {};  // when the caller keeps none
    std::vector<std::size_t> state_at = {};   // by port, in the states
    std::vector<OutputCall> made = {};        // by port
    MemoryInUse in_states = {};
    MemoryInUse in_use = {};         // states, inputs, and outputs that were given
    std::uint64_t output_bytes = 0;  // beside what the heap counts
  };

  bool run_call(Call& call) const {
    if (!take_states(call) || !take_inputs(call)) return false;
    std::vector<Shape> shapes;
    for (const Array& input : call.inputs) shapes.push_back(input.shape());
    const std::shared_ptr<Entry> entry =
        plan_for(shapes, plan_options(call.options.report_nonfinite), call.diagnostics);
    if (entry == nullptr) return false;
    std::unique_ptr<Frame> frame = take_frame(*entry);
    if (!*frame) {
      return refuse(call, rule<"memory.limit">,
                    fmt::format("{} bytes are needed for values, and {} is the most",
                                entry->plan->arena_bytes, limit_bytes_),
                    Place(code_->file));
    }
    const bool done = run_on(*frame, call);
    frame->clear();
    give_frame(*entry, std::move(frame));
    return done;
  }

  /// A plan and the frames that are not in use.
  struct Entry {
    std::vector<Shape> shapes;
    bool one_by_one = false;
    std::shared_ptr<const Plan> plan;
    std::mutex mutex;
    std::vector<std::unique_ptr<Frame>> frames;
  };

  bool refuse(Call& call, Rule rule, std::string message, const Place& place) const {
    call.diagnostics.error(rule.id(), std::move(message), place);
    return false;
  }

  static Ports ports_of(const std::vector<Port>& ports) {
    std::vector<TensorSpec> specs;
    std::vector<Place> places;
    for (const Port& port : ports) {
      specs.push_back(port.spec);
      places.push_back(port.place);
    }
    return {std::move(specs), std::move(places)};
  }

  bool take_inputs(Call& call) const {
    std::vector<std::size_t> given_at;
    if (!match_inputs(inputs_, call.given, code_->file, given_at, call.diagnostics)) return false;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      Array array = call.given[given_at[i]].array;
      // What the run writes to its states, its inputs do not see.
      if (call.in_states.overlaps(array.bytes())) array = array.clone();
      if (!array) {
        return refuse(
            call, rule<"memory.limit">,
            fmt::format("there is no memory for a copy of input {}, which is a state, too",
                        printable(inputs_.spec(i).name)),
            inputs_.place(i));
      }
      call.in_use.add(array.bytes());
      call.inputs.push_back(std::move(array));
    }
    return true;
  }

  bool take_states(Call& call) const {
    std::vector<NamedArray>& states =
        call.options.states != nullptr ? *call.options.states : call.own_states;
    states_.locate(states, call.state_at);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      std::size_t& at = call.state_at[i];
      if (at == Ports::kNone) {
        at = states.size();
        if (!add_state(call, i, states)) return false;
        continue;
      }
      const Array& known = states[at].array;
      if (!check_given("state", states_, i, known, call.diagnostics)) return false;
      call.in_states.add(known.bytes());
      call.in_use.add(known.bytes());
    }
    return true;
  }

  /// Zeros for state `i`, which the caller does not have.
  bool add_state(Call& call, std::size_t i, std::vector<NamedArray>& states) const {
    const TensorSpec& spec = states_.spec(i);
    const auto refuse_state = [&](Rule rule, std::string_view why) {
      return refuse(call, rule,
                    fmt::format("state {} is {}{}", printable(spec.name),
                                tensor_text(spec.dtype, spec.shape), why),
                    states_.place(i));
    };
    std::int64_t count = 0;
    if (!element_count(spec.shape, count)) {
      return refuse_state(rule<"run.input">, " and was not given");
    }
    const bool fits_limit =
        static_cast<std::uint64_t>(count) <= limit_bytes_ / element_bytes(spec.dtype);
    const Array zeros = fits_limit ? Array(spec.dtype, spec.shape) : Array();
    if (!zeros) return refuse_state(rule<"memory.limit">, ", which memory does not take");
    states.push_back({spec.name, zeros});
    return true;
  }

  PlanOptions plan_options(bool one_by_one) const {
    return {.mode = mode_, .one_by_one = one_by_one, .memory_limit_bytes = limit_bytes_};
  }

  /// The constants, with those that only the first plan has. False after a report.
  bool all_constants(std::vector<Array>& constants, Diagnostics& diagnostics) const {
    constants = constants_;
    if (packing_plan_ == nullptr) return true;
    for (const PackedConstant& one : packing_plan_->packed) {
      Array& array = constants[one.constant];
      array = Array::uninitialized(one.dtype, one.shape);
      if (!array) {
        diagnostics.error(rule<"memory.limit">.id(),
                          fmt::format("there is no memory for a second plan's weight, {}",
                                      tensor_text(one.dtype, one.shape)),
                          Place(code_->file));
        return false;
      }
      packing_plan_->groups[one.group]->unpack(array.mutable_bytes().data());
    }
    return true;
  }

  std::shared_ptr<Entry> plan_for(const std::vector<Shape>& shapes, const PlanOptions& options,
                                  Diagnostics& diagnostics) const {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find_if(entries_, [&](const std::shared_ptr<Entry>& entry) {
      return entry->one_by_one == options.one_by_one && entry->shapes == shapes;
    });
    if (known != entries_.end()) {
      std::rotate(entries_.begin(), known, known + 1);
      return entries_.front();
    }
    auto entry = std::make_shared<Entry>();
    entry->shapes = shapes;
    entry->one_by_one = options.one_by_one;
    std::vector<Array> constants;
    if (!all_constants(constants, diagnostics)) return nullptr;
    entry->plan = make_plan(code_, std::move(constants), shapes, options, *pool_, diagnostics);
    if (entry->plan == nullptr) return nullptr;
    entries_.insert(entries_.begin(), entry);
    if (entries_.size() > kMostPlans) entries_.pop_back();
    return entry;
  }

  std::unique_ptr<Frame> take_frame(Entry& entry) const {
    {
      const std::lock_guard lock(entry.mutex);
      if (!entry.frames.empty()) {
        std::unique_ptr<Frame> frame = std::move(entry.frames.back());
        entry.frames.pop_back();
        return frame;
      }
    }
    return std::make_unique<Frame>(entry.plan, limit_bytes_);
  }

  static void give_frame(Entry& entry, std::unique_ptr<Frame> frame) {
    const std::lock_guard lock(entry.mutex);
    entry.frames.push_back(std::move(frame));
  }

  bool refuse_memory(Call& call, std::size_t output, const Shape& shape) const {
    const TensorSpec& spec = outputs_.spec(output);
    return refuse(call, rule<"memory.limit">,
                  fmt::format("output {} is {}, which memory does not take", printable(spec.name),
                              tensor_text(spec.dtype, shape)),
                  outputs_.place(output));
  }

  /// The caller's array for output `i`, where it fits. What the run still looks at is not written
  /// before the end.
  bool take_output(Call& call, std::size_t i, const SlotPlan& planned, OutputCall& output) const {
    const TensorSpec& spec = outputs_.spec(i);
    const Array array = call.outputs[output.given].array;
    if (!array || spec.kind != ValueKind::tensor) return true;
    const Shape& shape = planned.shape_known ? planned.shape : spec.shape;
    if (!check_output(outputs_, i, shape, array, call.diagnostics)) return false;
    (call.in_use.overlaps(array.bytes()) ? output.wanted : output.made.array) = array;
    call.in_use.add(array.bytes());
    return true;
  }

  /// An array for every output whose shape is planned.
  bool make_outputs(Call& call, const Plan& plan) const {
    std::vector<std::size_t> given_at;
    outputs_.locate(call.outputs, given_at);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const TensorSpec& spec = outputs_.spec(i);
      const SlotPlan& planned = plan.slots[code_->outputs[i].slot];
      OutputCall& output = call.made.emplace_back();
      output.made.name = spec.name;
      output.given = given_at[i];
      if (output.given != Ports::kNone && !take_output(call, i, planned, output)) return false;
      if (planned.where != Where::output) continue;
      Array& array = output.made.array;
      if (!array) array = Array::uninitialized(spec.dtype, planned.shape);
      if (!array) return refuse_memory(call, i, planned.shape);
      call.output_bytes += array.bytes().size();
    }
    return true;
  }

  bool run_on(Frame& frame, Call& call) const {
    frame.heap().reset_peak();
    for (std::uint32_t i = 0; i < call.inputs.size(); ++i) {
      frame.bind(Where::input, i, call.inputs[i].mutable_bytes().data());
      if (call.inputs[i].dtype() == DType::string) {
        frame.slot(code_->inputs[i].slot).texts = call.inputs[i];
      }
    }
    if (!make_outputs(call, frame.plan())) return false;
    for (std::uint32_t i = 0; i < call.made.size(); ++i) {
      frame.bind(Where::output, i, call.made[i].made.array.mutable_bytes().data());
    }
    std::vector<NamedArray>& states =
        call.options.states != nullptr ? *call.options.states : call.own_states;
    for (std::size_t i = 0; i < call.state_at.size(); ++i) {
      frame.slot(code_->states[i].slot).state = &states[call.state_at[i]].array;
    }
    Runner runner(frame, mode_, *pool_, call.options, call.diagnostics);
    const bool done = runner.run_body() && finish_outputs(frame, call);
    report(frame, runner, call);
    return done;
  }

  bool finish_outputs(Frame& frame, Call& call) const {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const SlotId slot = code_->outputs[i].slot;
      OutputCall& output = call.made[i];
      const bool in_place = frame.plan().slots[slot].where == Where::output;
      if (!in_place && !fetch(call, i, frame.slot(slot), output.made)) return false;
      if (output.wanted &&
          !check_output(outputs_, i, output.made.array.shape(), output.wanted, call.diagnostics)) {
        return false;
      }
    }
    for (OutputCall& output : call.made) {
      if (output.wanted) {
        copy_bytes(output.made.array.bytes(), output.wanted);
        output.made.array = output.wanted;
      }
      if (output.given == Ports::kNone) {
        call.outputs.push_back(std::move(output.made));
      } else {
        call.outputs[output.given] = std::move(output.made);
      }
    }
    return true;
  }

  static void copy_bytes(std::span<const std::byte> from, Array& to) {
    if (!from.empty()) std::memcpy(to.mutable_bytes().data(), from.data(), from.size());
  }

  /// Output `i`, which did not come to stand where it is wanted.
  bool fetch(Call& call, std::size_t i, const Slot& slot, NamedArray& output) const {
    if (slot.list != nullptr) {
      const bool is_ours = slot.list.use_count() == 1;
      for (const Slot& element : slot.list->elements) {
        output.elements.push_back(list_element(*slot.list, element, is_ours));
      }
      return true;
    }
    // Strings may be the program's own.
    if (slot.view.dtype == DType::string) {
      output.array = slot.texts.clone();
      return true;
    }
    if (outputs_.spec(i).kind == ValueKind::dict) output.keys = slot.texts.clone();
    if (slot.owner.use_count() == 1 && !output.array) {
      output.array = array_of(slot);
      return true;
    }
    if (!output.array) {
      output.array = Array::uninitialized(slot.view.dtype, slot.view.shape);
      if (!output.array) return refuse_memory(call, i, slot.view.shape);
    } else if (!check_output(outputs_, i, slot.view.shape, output.array, call.diagnostics)) {
      return false;
    }
    call.output_bytes += output.array.bytes().size();
    copy_bytes({slot.view.data, output.array.bytes().size()}, output.array);
    return true;
  }

  /// What was never written is zeros; what other values have, too, is copied.
  static Array list_element(const ListValue& list, const Slot& element, bool is_ours) {
    if (element.owner == nullptr) return Array(list.dtype, list.shape);
    const Array array = array_of(element);
    return is_ours && element.owner.use_count() == 2 ? array : array.clone();
  }

  /// A value on the heap, without a copy.
  static Array array_of(const Slot& slot) {
    const std::size_t bytes =
        static_cast<std::size_t>(slot.view.count) * element_bytes(slot.view.dtype);
    return Array::share(slot.view.dtype, slot.view.shape, {slot.view.data, bytes}, slot.owner);
  }

  void report(Frame& frame, Runner& runner, Call& call) const {
    RunReport* report = call.options.report;
    if (report == nullptr) return;
    report->peak_bytes = frame.heap().peak() + frame.workspace().bytes() + call.output_bytes;
    report->live_bytes = frame.plan().live_bytes;
    report->constant_bytes = frame.plan().constant_bytes;
    report->ops = runner.take_times();
  }

  std::shared_ptr<const Code> code_;
  std::vector<Array> constants_;  // none where packing_plan_ has it
  std::shared_ptr<const Plan> packing_plan_;
  NumericMode mode_;
  std::shared_ptr<ThreadPool> pool_;
  std::uint64_t limit_bytes_;
  Ports inputs_;
  Ports outputs_;
  Ports states_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<Entry>> entries_;  // the one used last is the first
};

class CpuBackend final : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }
  bool available(std::string&) const override { return true; }

  using Backend::compile;
  std::unique_ptr<Executable> compile(const Module& module, const CompileOptions& options,
                                      Diagnostics& diagnostics) const override {
    try {
      return prepared(module, options, diagnostics);
    } catch (const std::bad_alloc&) {
      diagnostics.error(rule<"memory.limit">.id(), "there is not enough memory for the program");
      return nullptr;
    }
  }

 private:
  static std::unique_ptr<Executable> prepared(const Module& module, const CompileOptions& options,
                                              Diagnostics& diagnostics) {
    if (!verify_mil(module, {}, diagnostics)) return nullptr;
    std::vector<Array> constants;
    std::shared_ptr<const Code> code = make_code(module, options, constants, diagnostics);
    if (code == nullptr) return nullptr;
    auto executable =
        std::make_unique<CpuExecutable>(std::move(code), std::move(constants), options);
    if (!executable->prepare(diagnostics)) return nullptr;
    return executable;
  }
};

}  // namespace
}  // namespace cpu

const Backend& cpu_backend() {
  static const cpu::CpuBackend backend;
  return backend;
}

}  // namespace milgen
