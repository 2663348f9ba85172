#include "fuzz/run_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "fuzz/text_checks.h"
#include "milgen/diagnostic.h"
#include "milgen/weights.h"

namespace milgen::test {
namespace {

constexpr std::uint64_t kMemoryLimitBytes = std::uint64_t{64} << 20;

constexpr std::int64_t kMostElements = 4'000'000;  // of an input

// --- Weights. ---

/// A text whose weights stand in a file that is in memory.
struct WithWeights {
  std::string text;
  std::vector<WeightFileBytes> files;
};

/// The dtype and number of elements of the type that ends at `end`: "tensor<fp16, [2, 3]>".
bool type_before(std::string_view text, std::size_t end, DType& dtype, std::size_t& count) {
  const std::size_t begin = text.rfind("tensor<", end);
  if (begin == std::string_view::npos) return false;
  const std::string_view type = text.substr(begin + 7, end - begin - 7);
  dtype = dtype_from_name(type.substr(0, type.find(',')));
  count = 1;
  std::size_t dim = 0;
  for (std::size_t i = std::min(type.find('['), type.size()); i < type.size(); ++i) {
    if (type[i] >= '0' && type[i] <= '9') {
      dim = dim * 10 + static_cast<std::size_t>(type[i] - '0');
    } else if (type[i] == ',' || type[i] == ']') {
      count *= dim;
      dim = 0;
    }
  }
  return dtype != DType::none && dtype_bits(dtype) != 0 && count <= 1'000'000;
}

/// Elements as a weight file has them: fp values around one, the others any bits.
std::vector<std::byte> random_payload(DType dtype, std::size_t count, Choices& choices) {
  const std::size_t bits = count * static_cast<std::size_t>(dtype_bits(dtype));
  std::vector<std::byte> bytes((bits + 7) / 8);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(choices.below(256));
  if (is_float(dtype)) {
    const std::size_t size = static_cast<std::size_t>(dtype_bits(dtype)) / 8;
    // The upper byte of 0.5 to 2, with either sign.
    for (std::size_t i = size - 1; i < bytes.size(); i += size) {
      bytes[i] = (bytes[i] & std::byte{0x80}) | std::byte{0x3C};
    }
  }
  if (bits % 8 != 0) bytes.back() &= static_cast<std::byte>((1u << bits % 8) - 1);
  return bytes;
}

/// Points every BLOBFILE to values of the right dtype and size.
WithWeights with_weights(std::string_view text, Choices& choices) {
  constexpr std::string_view kBlob = "(BLOBFILE(";
  constexpr std::string_view kPath = "@model_path/run.bin";
  struct Reference {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  std::vector<Reference> references;
  std::vector<std::vector<std::byte>> values;
  std::vector<WeightPayloadSize> sizes;
  for (std::size_t at = text.find(kBlob); at != std::string_view::npos;
       at = text.find(kBlob, at + 1)) {
    DType dtype = DType::none;
    std::size_t count = 0;
    std::size_t end = at + 1;
    int depth = 0;
    do {
      depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
      ++end;
    } while (end < text.size() && (depth != 0 || text[end - 1] != ')'));
    if (!type_before(text, at, dtype, count)) return {std::string(text), {}};
    references.push_back({at + 1, end});
    values.push_back(random_payload(dtype, count, choices));
    const std::size_t bits = values.back().size() * 8;
    sizes.push_back(
        {dtype, values.back().size(),
         static_cast<std::uint32_t>(bits - count * static_cast<std::size_t>(dtype_bits(dtype)))});
  }
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  if (references.empty() || !plan_weight_records(sizes, records, file_bytes)) {
    return {std::string(text), {}};
  }
  std::vector<WeightPayload> payloads;
  for (std::size_t i = 0; i < values.size(); ++i) {
    payloads.push_back({sizes[i].dtype, values[i], sizes[i].padding_bits});
  }
  WithWeights out;
  std::size_t from = 0;
  for (std::size_t i = 0; i < references.size(); ++i) {
    out.text += text.substr(from, references[i].begin - from);
    const bool is_old = text.find("program(1.0)") != std::string_view::npos;
    out.text += fmt::format("BLOBFILE(path = {}(\"{}\"), offset = {}({}))",
                            is_old ? "tensor<string, []>" : "string", kPath,
                            is_old ? "tensor<uint64, []>" : "uint64", records[i].offset);
    from = references[i].end;
  }
  out.text += text.substr(from);
  out.files.push_back({std::string(kPath), std::make_shared<const std::vector<std::byte>>(
                                               weight_file_bytes(payloads))});
  return out;
}

// --- Outcomes. ---

/// What a run gave.
struct RunOutcome {
  bool done = false;
  std::vector<NamedArray> outputs;
  Diagnostics diagnostics;

  bool is_out_of_memory() const {
    return !done && !diagnostics.all().empty() && diagnostics.all().back().id == "memory.limit";
  }
};

/// Equal bits, where two values that are not numbers are equal.
bool same_values(const Array& a, const Array& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  if (!std::ranges::equal(a.strings(), b.strings())) return false;
  const std::span<const std::byte> x = a.bytes();
  const std::span<const std::byte> y = b.bytes();
  if (x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0) return true;
  if (!is_float(a.dtype())) return false;
  const std::size_t size = element_bytes(a.dtype());
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const std::size_t at = static_cast<std::size_t>(i) * size;
    if (std::memcmp(x.data() + at, y.data() + at, size) == 0) continue;
    if (!std::isnan(a.real(i)) || !std::isnan(b.real(i))) return false;
  }
  return true;
}

/// Which output differs; "" for none.
std::string difference(const std::vector<NamedArray>& a, const std::vector<NamedArray>& b) {
  if (a.size() != b.size()) return "the number of outputs";
  for (std::size_t i = 0; i < a.size(); ++i) {
    bool same = a[i].name == b[i].name && same_values(a[i].array, b[i].array) &&
                same_values(a[i].keys, b[i].keys) && a[i].elements.size() == b[i].elements.size();
    for (std::size_t e = 0; same && e < a[i].elements.size(); ++e) {
      same = same_values(a[i].elements[e], b[i].elements[e]);
    }
    if (!same) return a[i].name;
  }
  return {};
}

/// Refusals name a place in the text. What the whole function takes has no line.
std::string fault_of_refusal(std::string_view text, const Diagnostics& diagnostics) {
  if (diagnostics.errors() == 0) return "is refused without an error";
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    if (diagnostic.severity != Severity::error || diagnostic.id == "memory.limit") continue;
    if (diagnostic.place.line == 0) return "is refused without a place: " + render(diagnostics);
  }
  return fault_of_places(text, diagnostics);
}

std::unique_ptr<Executable> compiled(std::string_view text,
                                     const std::vector<WeightFileBytes>& weights, int threads,
                                     Diagnostics& diagnostics) {
  const Module module = parse_mil(text, diagnostics);
  if (!module) return nullptr;
  CompileOptions options;
  options.threads = threads;
  options.weights = weights;
  options.memory_limit_bytes = kMemoryLimitBytes;
  if (!module.functions().empty())
    options.function = std::string((*module.functions().begin()).name());
  return cpu_backend().compile(module, options, diagnostics);
}

RunOutcome run(const Executable& executable, const std::vector<NamedArray>& inputs,
               bool one_by_one) {
  RunOutcome out;
  RunReport report;
  const RunOptions options{.seed = 7, .report = &report, .report_nonfinite = one_by_one};
  out.done = executable.run(inputs, out.outputs, out.diagnostics, options);
  return out;
}

/// Runs in several ways; the first way's outcome is handed out.
std::string fault_of_ways(std::string_view text, const std::vector<WeightFileBytes>& weights,
                          const Executable& executable, const std::vector<NamedArray>& inputs,
                          RunOutcome& first) {
  first = run(executable, inputs, false);
  if (!first.done) {
    const std::string fault = fault_of_refusal(text, first.diagnostics);
    if (!fault.empty()) return fault;
  }
  Diagnostics diagnostics;
  const std::unique_ptr<Executable> threads = compiled(text, weights, 4, diagnostics);
  if (threads == nullptr) return "does not compile for 4 threads: " + render(diagnostics);
  const std::pair<std::string_view, RunOutcome> others[] = {
      {"in a second run", run(executable, inputs, false)},
      {"with every op by itself", run(executable, inputs, true)},
      {"on 4 threads", run(*threads, inputs, false)}};
  for (const auto& [way, other] : others) {
    // One by one more memory is needed, and each thread needs its own.
    if (first.is_out_of_memory() || other.is_out_of_memory()) continue;
    if (first.done != other.done) {
      return fmt::format("is {} {}: {}", other.done ? "not refused" : "refused", way,
                         render(other.done ? first.diagnostics : other.diagnostics));
    }
    if (!first.done) continue;
    const std::string name = difference(first.outputs, other.outputs);
    if (!name.empty()) return fmt::format("gives another {} {}", name, way);
  }
  return {};
}

std::vector<NamedArray> random_inputs(const Executable& executable, Choices& choices) {
  std::vector<NamedArray> inputs;
  for (const TensorSpec& spec : executable.inputs()) {
    inputs.push_back({spec.name, random_array(spec, choices)});
  }
  return inputs;
}

std::string with_text(const std::string& fault, std::string_view text) {
  return fault.empty() ? fault : fmt::format("this program {}\n\n{}", fault, text);
}

// --- Chains. ---

/// Runs each op by itself; `known` has the inputs, and gets all values.
std::string run_each(const ChainProgram& program, std::map<std::string, Array>& known) {
  for (const ChainOp& op : program.ops) {
    const std::string text = program.text_of(op);
    Diagnostics diagnostics;
    const std::unique_ptr<Executable> executable = compiled(text, {}, 1, diagnostics);
    if (executable == nullptr) {
      return fmt::format("has an op that does not compile: {}\n{}", render(diagnostics), text);
    }
    std::vector<NamedArray> inputs;
    for (const std::size_t id : op.arguments) {
      inputs.push_back({program.values[id].name, known[program.values[id].name]});
    }
    const RunOutcome out = run(*executable, inputs, false);
    if (!out.done) {
      return fmt::format("has an op that does not run: {}\n{}", render(out.diagnostics), text);
    }
    for (const NamedArray& output : out.outputs) known[output.name] = output.array;
  }
  return {};
}

}  // namespace

Array random_array(const TensorSpec& spec, Choices& choices) {
  Shape shape = spec.shape;
  for (std::int64_t& dim : shape) {
    if (dim < 0) dim = 1 + static_cast<std::int64_t>(choices.below(4));
  }
  constexpr double kLarge[] = {1e9, -1e9, 2147483647, -2147483648.0, 65504, 1e30, 300, -300};
  const bool is_wild = choices.chance(15);
  // No tensor at all, which a run refuses, where memory would not take it.
  std::int64_t count = 0;
  if (!element_count(shape, count) || count > kMostElements) return {};
  Array array(spec.dtype, shape);
  for (std::int64_t i = 0; i < array.size(); ++i) {
    if (spec.dtype == DType::boolean) {
      array.set(i, static_cast<double>(choices.below(2)));
    } else if (is_wild && choices.chance(30)) {
      array.set(i, choices.one_of(kLarge));
    } else if (is_float(spec.dtype)) {
      array.set(i, (static_cast<double>(choices.below(4001)) - 2000) / 1000);
    } else {
      array.set(i, static_cast<double>(choices.below(6)) - (choices.chance(20) ? 3 : 0));
    }
  }
  return array;
}

std::string fault_of_run(std::string_view text, std::uint64_t seed, RunTally& tally) {
  // A generated loop may have no end.
  if (text.find("= while_loop") != std::string_view::npos) return {};
  RandomChoices choices(seed);
  const WithWeights program = with_weights(text, choices);
  ++tally.programs;
  Diagnostics diagnostics;
  const std::unique_ptr<Executable> executable =
      compiled(program.text, program.files, 1, diagnostics);
  if (executable == nullptr) {
    return with_text(fault_of_refusal(program.text, diagnostics), program.text);
  }
  ++tally.compiled;
  for (int round = 0; round < 2; ++round) {
    RunOutcome first;
    const std::string fault = fault_of_ways(program.text, program.files, *executable,
                                            random_inputs(*executable, choices), first);
    if (!fault.empty()) return with_text(fault, program.text);
    ++tally.runs;
    if (first.done) ++tally.complete_runs;
  }
  return {};
}

std::string fault_of_chain(const ChainProgram& program, std::uint64_t seed, RunTally& tally) {
  RandomChoices choices(seed);
  const std::string text = program.text();
  ++tally.programs;
  Diagnostics diagnostics;
  const std::unique_ptr<Executable> executable = compiled(text, {}, 1, diagnostics);
  if (executable == nullptr) return with_text("is refused: " + render(diagnostics), text);
  ++tally.compiled;
  const std::vector<NamedArray> inputs = random_inputs(*executable, choices);
  RunOutcome first;
  std::string fault = fault_of_ways(text, {}, *executable, inputs, first);
  if (!fault.empty()) return with_text(fault, text);
  ++tally.runs;
  if (!first.done) return with_text("does not run: " + render(first.diagnostics), text);
  ++tally.complete_runs;
  std::map<std::string, Array> known;
  for (const NamedArray& input : inputs) known[input.name] = input.array;
  fault = run_each(program, known);
  if (!fault.empty()) return with_text(fault, text);
  for (const NamedArray& output : first.outputs) {
    if (!same_values(output.array, known[output.name])) {
      return with_text(fmt::format("gives another {} than its ops one by one", output.name), text);
    }
  }
  return {};
}

}  // namespace milgen::test
