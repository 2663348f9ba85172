// What plans do with memory, and what programs may ask for that no memory has.
#include "cpu/plan.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cpu/code.h"
#include "cpu/run_text.h"
#include "fuzz/chain_generator.h"
#include "support/counted_memory.h"
#include "support/thread_pool.h"

namespace milgen::test {
namespace {

using namespace milgen::cpu;

// --- Plans. ---

struct Planned {
  std::shared_ptr<const Code> code;
  std::unique_ptr<const Plan> plan;
};

Planned plan_of(std::string_view text) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  INFO(render(diagnostics));
  REQUIRE(module);
  Planned out;
  std::vector<Array> constants;
  out.code = make_code(module, {}, constants, diagnostics);
  REQUIRE(out.code != nullptr);
  std::vector<Shape> shapes;
  for (const Port& port : out.code->inputs) shapes.push_back(port.spec.shape);
  ThreadPool pool(1);
  const PlanOptions options{NumericMode::exact, false, std::uint64_t{1} << 40};
  out.plan = make_plan(out.code, std::move(constants), shapes, options, pool, diagnostics);
  REQUIRE(out.plan != nullptr);
  return out;
}

/// Plays a plan with marks in the place of numbers: each byte says which value was written there
/// last, and every read has to find what it reads. Values in blocks have memory of their own.
class MarkedRun {
 public:
  explicit MarkedRun(const Planned& planned) : code_(*planned.code), plan_(*planned.plan) {
    arena_.resize(plan_.arena_bytes);
    outputs_.resize(code_.outputs.size());
    alias_.assign(code_.slots.size(), {kNone, 0});
  }

  /// What is wrong; "" for nothing.
  std::string fault() {
    const std::vector<StepCode>& steps = code_.body().steps;
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
      const StepPlan& step = plan_.steps[i];
      if (step.kind == StepKind::group) {
        read(i, plan_.groups[step.group]->reads());
        for (std::uint32_t m = 0; m <= i; ++m) {
          if (plan_.steps[m].group == step.group)
            write(steps[m], plan_.groups[step.group]->reads());
        }
      } else if (step.kind != StepKind::skip) {
        read_args(i, steps[i]);
        std::vector<SlotId> reads;
        for (const ArgCode& arg : code_.args_of(steps[i])) {
          for (const SlotId id : code_.slots_of(arg)) reads.push_back(id);
        }
        const bool is_concat = steps[i].op->code == OpCode::concat;
        write(steps[i], is_concat ? std::span<const SlotId>() : reads);
        if (is_concat) take_over_parts(steps[i]);
      } else if (step.group == kNone) {
        make_views(steps[i]);
      }
    }
    read(static_cast<std::uint32_t>(steps.size()), code_.body().outputs);
    return fault_;
  }

 private:
  using Mark = std::pair<SlotId, std::uint64_t>;

  std::uint64_t bytes_of(SlotId id) const {
    std::int64_t count = 0;
    element_count(plan_.slots[id].shape, count);
    return static_cast<std::uint64_t>(count) * element_bytes(code_.slots[id].dtype);
  }

  std::vector<Mark>* memory_of(SlotId id) {
    const SlotPlan& slot = plan_.slots[id];
    if (slot.where == Where::arena) return &arena_;
    if (slot.where != Where::output) return nullptr;
    std::vector<Mark>& output = outputs_[slot.index];
    output.resize(std::max<std::size_t>(output.size(), slot.offset + bytes_of(id)));
    return &output;
  }

  /// The mark that the first byte of a value has: a view's is its base's.
  Mark mark_of(SlotId id) const {
    Mark mark{id, 0};
    while (alias_[mark.first].first != kNone) {
      mark.second += alias_[mark.first].second;
      mark.first = alias_[mark.first].first;
    }
    return mark;
  }

  void read(std::uint32_t at, std::span<const SlotId> slots) {
    for (const SlotId id : slots) {
      std::vector<Mark>* memory = memory_of(id);
      if (memory == nullptr) continue;
      const Mark mark = mark_of(id);
      const std::uint64_t offset = plan_.slots[id].offset;
      if (offset + bytes_of(id) > memory->size())
        fault_ += fmt::format("value {} lies outside\n", id);
      for (std::uint64_t b = 0; b < bytes_of(id) && fault_.empty(); ++b) {
        const Mark& found = (*memory)[offset + b];
        if (found == Mark{mark.first, mark.second + b}) continue;
        fault_ =
            fmt::format("step {} reads value {} where value {} was written\n", at, id, found.first);
      }
    }
  }

  /// What a step looks at, in its blocks too.
  void read_args(std::uint32_t at, const StepCode& first) {
    std::vector<const StepCode*> open{&first};
    while (!open.empty()) {
      const StepCode& step = *open.back();
      open.pop_back();
      for (const ArgCode& arg : code_.args_of(step)) read(at, code_.slots_of(arg));
      for (std::uint32_t b = 0; b < step.blocks; ++b) {
        const BlockCode& block = code_.block_of(step, b);
        read(at, block.outputs);
        for (const StepCode& inner : block.steps) open.push_back(&inner);
      }
    }
  }

  /// A result may stand where a value is that is read at the same time, element by element.
  void check_place(SlotId id, SlotId other) {
    const std::uint64_t begin = plan_.slots[id].offset;
    const std::uint64_t from = plan_.slots[other].offset;
    if (!in_one_memory(id, other)) return;
    if (from == begin && plan_.slots[other].shape == plan_.slots[id].shape) return;
    if (begin < from + bytes_of(other) && from < begin + bytes_of(id)) {
      fault_ += fmt::format("value {} is written over a part of value {}\n", id, other);
    }
  }

  void write(const StepCode& step, std::span<const SlotId> reads) {
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      std::vector<Mark>* memory = memory_of(id);
      if (memory == nullptr) continue;
      for (const SlotId other : reads) check_place(id, other);
      for (std::uint64_t b = 0; b < bytes_of(id); ++b)
        (*memory)[plan_.slots[id].offset + b] = {id, b};
    }
  }

  SlotId arg_of(const StepCode& step, std::string_view param) const {
    return code_.slots_of(*code_.find_arg(step, param))[0];
  }

  bool in_one_memory(SlotId a, SlotId b) const {
    return plan_.slots[a].where == plan_.slots[b].where &&
           plan_.slots[a].index == plan_.slots[b].index;
  }

  void make_views(const StepCode& step) {
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      if (plan_.slots[id].where != Where::arena && plan_.slots[id].where != Where::output) continue;
      const SlotId x = arg_of(step, "x");
      if (!in_one_memory(id, x) || plan_.slots[id].offset < plan_.slots[x].offset) {
        fault_ = fmt::format("value {} is no part of value {}\n", id, x);
      }
      alias_[id] = {x, plan_.slots[id].offset - plan_.slots[x].offset};
    }
  }

  /// Parts that are where the whole has them are pieces of it from then on.
  void take_over_parts(const StepCode& step) {
    const SlotId whole = step.first_result;
    const std::uint64_t begin = plan_.slots[whole].offset;
    for (const SlotId id : code_.slots_of(*code_.find_arg(step, "values"))) {
      const Mark mark = mark_of(id);
      if (!in_one_memory(id, whole) || alias_[mark.first].first != kNone || mark.first == whole) {
        continue;
      }
      const std::uint64_t offset = plan_.slots[mark.first].offset;
      if (offset < begin || offset + bytes_of(mark.first) > begin + bytes_of(whole)) continue;
      alias_[mark.first] = {whole, offset - begin};
    }
  }

  const Code& code_;
  const Plan& plan_;
  std::vector<Mark> arena_;
  std::vector<std::vector<Mark>> outputs_;
  std::vector<std::pair<SlotId, std::uint64_t>> alias_;  // by slot: what it is a piece of
  std::string fault_;
};

Array halves(const Shape& shape) {
  Array array(DType::fp16, shape);
  for (std::int64_t i = 0; i < array.size(); ++i) array.set(i, static_cast<double>(i + 1));
  return array;
}

Array scalar(DType dtype, double value) {
  Array array(dtype, {});
  array.set(0, value);
  return array;
}

std::string values_of(const TextRun& run, std::size_t output) {
  if (output >= run.outputs.size()) return run.errors;
  std::string text;
  for (std::int64_t i = 0; i < run.outputs[output].array.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : " ", run.outputs[output].array.real(i));
  }
  return text;
}

bool contains(const std::string& text, std::string_view part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

constexpr std::uint64_t kSmallLimitBytes = 1 << 20;

/// The errors of a program in a megabyte.
TextRun run_small(std::string_view inputs, std::string_view body, std::string_view results,
                  const std::vector<NamedArray>& values) {
  return run_text(program_text(inputs, body, results), values,
                  {.threads = 1, .memory_limit_bytes = kSmallLimitBytes});
}

}  // namespace

// --- Memory that values share. ---

TEST_CASE("no value is overwritten while it is needed") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    RandomChoices choices(seed);
    const std::string text = ChainGenerator(choices).program().text();
    const std::string fault = MarkedRun(plan_of(text)).fault();
    CHECK_MESSAGE(fault.empty(), "seed ", seed, ": ", fault, text);
  }
}

TEST_CASE("a result does not take the place of what is read once more for other elements") {
  // The part of x that is broadcast is read for every row.
  const std::string sliced =
      program_text("tensor<fp16, [2, 2]> a",
                   R"(tensor<fp16, [2, 2]> x = softmax(axis = int32(1), x = a);
         tensor<fp16, [1, 2]> part = slice_by_size(begin = tensor<int32, [2]>([0, 0]),
                                                   size = tensor<int32, [2]>([1, 2]), x = x);
         tensor<fp16, [2, 2]> sum = sub(x = x, y = part);
         tensor<fp16, [2, 2]> z = softmax(axis = int32(1), x = sum);)",
                   "z");
  CHECK(MarkedRun(plan_of(sliced)).fault().empty());
  CHECK(values_of(run_text(sliced, {{"a", halves({2, 2})}}), 0) == "0.5 0.5 0.5 0.5");
  // The same where the part was made in its place in a concatenation.
  const std::string joined =
      program_text("tensor<fp16, [1, 2]> a",
                   R"(tensor<fp16, [1, 2]> p = softmax(axis = int32(1), x = a);
         tensor<fp16, [2, 2]> x = concat(axis = int32(0), interleave = bool(false), values = (p, p));
         tensor<fp16, [2, 2]> diff = sub(x = x, y = p);
         tensor<fp16, [2, 2]> z = softmax(axis = int32(1), x = diff);)",
                   "z");
  CHECK(MarkedRun(plan_of(joined)).fault().empty());
  CHECK(values_of(run_text(joined, {{"a", halves({1, 2})}}), 0) == "0.5 0.5 0.5 0.5");
}

TEST_CASE("what a group writes is not what a step between its own still shares") {
  // relu and square run at square; between them a value that both would replace becomes a part.
  const TextRun run =
      run_text(program_text("tensor<fp16, [1, 2]> a, tensor<fp16, [1, 2]> b",
                            R"(tensor<fp16, [1, 2]> s = softmax(axis = int32(0), x = a);
         tensor<fp16, [1, 2]> m = mul(x = s, y = b);
         tensor<fp16, [2, 2]> c = concat(axis = int32(0), interleave = bool(false), values = (s, a));
         tensor<fp16, [1, 2]> q = mul(x = m, y = m);
         tensor<fp16, [4, 2]> z = concat(axis = int32(0), interleave = bool(false), values = (c, m, q));)",
                            "z"),
               {{"a", halves({1, 2})}, {"b", halves({1, 2})}}, {.threads = 1});
  CHECK(values_of(run, 0) == "1 1 1 2 1 2 1 4");
}

TEST_CASE("planning costs as much for each op, however many there are") {
  const auto program = [](int ops) {
    std::string body;
    std::string last = "x";
    for (int i = 0; i < ops; ++i) {
      const std::string name = fmt::format("v{}", i);
      switch (i % 4) {
        case 0:
          body += fmt::format("tensor<fp16, [1, 4]> {} = softmax(axis = int32(1), x = {});\n", name,
                              last);
          break;
        case 1:
          body += fmt::format("tensor<fp16, [1, 4]> {} = add(x = {}, y = x);\n", name, last);
          break;
        case 2:
          body += fmt::format(
              "tensor<fp16, [2, 4]> {} = concat(axis = int32(0), interleave = bool(false), "
              "values = ({}, x));\n",
              name, last);
          break;
        default:
          body += fmt::format(
              "tensor<fp16, [1, 4]> {} = slice_by_size(begin = tensor<int32, [2]>([1, 0]), "
              "size = tensor<int32, [2]>([1, 4]), x = {});\n",
              name, last);
      }
      last = name;
    }
    return program_text("tensor<fp16, [1, 4]> x", body, last);
  };
  const auto cost = [&](int ops) {
    const std::string text = program(ops);
    return memory_cost_of([&] { plan_of(text); });
  };
  const MemoryCost small = cost(2'000);
  const MemoryCost large = cost(20'000);
  CHECK(large.allocations < 11 * small.allocations);
  CHECK(large.bytes < 13 * small.bytes);
}

TEST_CASE("constants that are computed are constants one by one, too") {
  const std::string text =
      program_text("tensor<fp16, [1, 2, 1]> x",
                   R"(tensor<fp16, [2]> a = sqrt(x = tensor<fp16, [2]>([4, 4]));
         tensor<fp16, [1, 2, 1]> y = prelu(alpha = a, x = x);)",
                   "y");
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  const auto executable = cpu_backend().compile(module, {}, diagnostics);
  INFO(render(diagnostics));
  REQUIRE(executable != nullptr);
  Array x(DType::fp16, {1, 2, 1});
  x.set(0, -3);
  x.set(1, -5);
  RunReport report;
  std::vector<NamedArray> outputs;
  CHECK(executable->run({{"x", x}}, outputs, diagnostics,
                        {.report = &report, .report_nonfinite = true}));
  CHECK(outputs[0].array.real(0) == -6);
  CHECK(outputs[0].array.real(1) == -10);
}

// --- Positions and sizes that only the run knows. ---

TEST_CASE("a slice at a position of the run stays inside of x") {
  const std::string text = program_text("tensor<fp16, [4]> x, tensor<int32, [1]> begin",
                                        "tensor<fp16, [2]> y = slice_by_size(begin = begin, "
                                        "size = tensor<int32, [1]>([2]), x = x);",
                                        "y");
  Array begin(DType::int32, {1});
  const auto at = [&](double value) {
    begin.set(0, value);
    return run_text(text, {{"x", halves({4})}, {"begin", begin}});
  };
  CHECK(values_of(at(2), 0) == "3 4");
  CHECK(at(3).errors ==
        "slice_by_size: begin[0] = 3 and size[0] = 2 reach 5 but dim 0 of x has 4 elements\n");
  CHECK(at(-1).errors == "slice_by_size: begin[0] is -1 but dim 0 of x has 4 elements\n");
  CHECK(at(2147483647).ids == "slice_by_size.range\n");
}

TEST_CASE("an update at a position of the run stays inside of x") {
  const std::string text = program_text(
      "tensor<fp16, [4]> x, tensor<fp16, [2]> u, tensor<int32, [1]> begin, tensor<int32, [1]> end",
      "tensor<fp16, [4]> y = slice_update(begin = begin, end = end, update = u, x = x);", "y");
  Array begin(DType::int32, {1});
  Array end(DType::int32, {1});
  const auto at = [&](double from, double to) {
    begin.set(0, from);
    end.set(0, to);
    return run_text(text, {{"x", halves({4})}, {"u", halves({2})}, {"begin", begin}, {"end", end}});
  };
  CHECK(values_of(at(2, 4), 0) == "1 2 1 2");
  CHECK(contains(at(3, 5).errors, "slice_update: "));
  CHECK(contains(at(0, 4).errors, "slice_update: "));
  CHECK(contains(at(5, 7).errors, "slice_update: "));
}

// --- Sizes that no memory has. ---

TEST_CASE("sizes beyond memory are refused by every op that makes a tensor larger") {
  const auto refused = [](std::string_view inputs, std::string_view body,
                          const std::vector<NamedArray>& values) {
    return run_small(inputs, body, "y", values);
  };
  Array huge(DType::int32, {2});
  huge.set(0, 2147483647);
  huge.set(1, 2147483647);
  const std::vector<NamedArray> sizes = {{"x", halves({1, 1})}, {"n", huge}};
  const std::string_view inputs = "tensor<fp16, [1, 1]> x, tensor<int32, [2]> n";
  for (const std::string_view body : {"tensor<fp16, [?, ?]> y = fill(shape = n, value = fp16(1));",
                                      "tensor<fp16, [?, ?]> y = tile(reps = n, x = x);"}) {
    CAPTURE(body);
    const TextRun run = refused(inputs, body, sizes);
    CHECK(run.outputs.empty());
    CHECK(run.ids == "memory.limit\n");
  }
  CHECK(
      contains(refused(inputs, "tensor<fp16, [?, ?]> y = reshape(shape = n, x = x);", sizes).errors,
               "reshape: "));
  Array pad(DType::int32, {4});
  pad.set(3, 2147483647);
  CHECK(refused("tensor<fp16, [1, 1]> x, tensor<int32, [4]> n",
                "tensor<fp16, [?, ?]> y = pad(constant_val = fp16(0), mode = string(\"constant\"), "
                "pad = n, x = x);",
                {{"x", halves({1, 1})}, {"n", pad}})
            .ids == "memory.limit\n");
  CHECK(refused("fp32 n",
                "tensor<fp32, [?]> y = range_1d(end = n, start = fp32(0), step = fp32(1));",
                {{"n", scalar(DType::fp32, 1e9)}})
            .ids == "memory.limit\n");
  for (const double end :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e38}) {
    const TextRun run = refused(
        "fp32 n", "tensor<fp32, [?]> y = range_1d(end = n, start = fp32(0), step = fp32(1));",
        {{"n", scalar(DType::fp32, end)}});
    CHECK(run.outputs.empty());
    CHECK(contains(run.errors, "range_1d: "));
  }
  CHECK(contains(refused("tensor<fp16, [1024, 1]> a, tensor<fp16, [1, 1024]> b",
                         "tensor<fp16, [1024, 1024]> y = add(x = a, y = b);", {})
                     .errors,
                 "add: 2097152 bytes of values are alive at one time, and 1048576 is the most"));
}

TEST_CASE("lists take what memory has and no more") {
  const auto list = [](std::string_view body, double n) {
    return run_small("tensor<fp16, [2]> x, int32 n", body, "y",
                     {{"x", halves({2})}, {"n", scalar(DType::int32, n)}});
  };
  const std::string_view grow =
      "list<tensor<fp16, [2]>, ?> l = make_list(dtype = string(\"fp16\"), dynamic_length = "
      "bool(true), elem_shape = (int32(2)), init_length = int32(1));\n"
      "list<tensor<fp16, [2]>, ?> m = list_write(index = n, ls = l, value = x);\n"
      "tensor<fp16, [2]> y = list_read(index = n, ls = m);";
  CHECK(values_of(list(grow, 3), 0) == "1 2");
  CHECK(list(grow, 16'000'000).ids == "memory.limit\n");
  CHECK(list(grow, 2147483647).ids == "run.index\n");
  CHECK(list(grow, -1).ids == "run.index\n");
  const std::string_view made =
      "list<tensor<fp16, [2]>, ?> l = make_list(dtype = string(\"fp16\"), dynamic_length = "
      "bool(true), elem_shape = (int32(2)), init_length = n);\n"
      "int32 y = list_length(ls = l);";
  CHECK(values_of(list(made, 5), 0) == "5");
  CHECK(list(made, 16'000'000).ids == "memory.limit\n");
  CHECK(list(made, 2147483647).ids == "run.value\n");
  CHECK(list(made, -3).errors == "make_list: init_length is -3 but must lie in [0, 16777216]\n");
}

TEST_CASE("a state that is larger than memory is refused") {
  const TextRun run = run_small("state<tensor<fp16, [1048576]>> s",
                                "tensor<fp16, [1048576]> x = read_state(input = s);\n"
                                "fp16 y = reduce_sum(keep_dims = bool(false), x = x);",
                                "y", {});
  CHECK(run.ids == "memory.limit\n");
}

TEST_CASE("a loop whose values grow ends where memory does") {
  const TextRun run = run_small("tensor<fp16, [?]> x",
                                R"(tensor<fp16, [?]> y = while_loop(loop_vars = (x))
           (tensor<fp16, [?]> a) {
             bool yes = const()[name = string("yes"), val = bool(true)];
           } -> (yes)
           (tensor<fp16, [?]> b) {
             tensor<fp16, [?]> c = concat(axis = int32(0), interleave = bool(false), values = (b, b));
           } -> (c);)",
                                "y", {{"x", halves({8})}});
  CHECK(run.ids == "memory.limit\n");
  CHECK(contains(run.errors, "concat: "));
}

}  // namespace milgen::test
