// Real programs, those of the folder that MILGEN_CORPUS names or that is beside the repository: the
// ones with weights give what numpy computed, and all others run with weights that are made up.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/case_json.h"
#include "milgen/array_file.h"
#include "milgen/backend.h"
#include "milgen/emit.h"
#include "milgen/fill.h"
#include "milgen/module.h"
#include "milgen/weights.h"
#include "support/temporary_folder.h"
#include "weights/blob_format.h"

namespace fs = std::filesystem;

namespace milgen::test {
namespace {

constexpr double kHalfEpsilon = 1.0 / 1024;

// --- Files. ---

/// Empty, after saying so, when there is no such folder and none was asked for.
std::vector<fs::path> corpus_files(std::string_view extension) {
  const char* named = std::getenv("MILGEN_CORPUS");  // NOLINT(concurrency-mt-unsafe): one thread
  const fs::path folder =
      named != nullptr ? fs::path(named) : fs::path(MILGEN_SOURCE_DIR) / ".." / "shared" / "corpus";
  std::vector<fs::path> out;
  std::error_code code;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().extension() == extension) out.push_back(entry.path());
  }
  std::ranges::sort(out);
  if (named != nullptr) REQUIRE_MESSAGE(!out.empty(), "there is no program in " << named);
  if (out.empty()) {
    MESSAGE(
        "skipped: there is no folder of real files beside the repository, and MILGEN_CORPUS names "
        "none");
  }
  return out;
}

fs::path weights_beside(fs::path path) { return path.replace_extension(".weight.bin"); }

Module read_module(const fs::path& path) {
  Diagnostics diagnostics;
  Module module = read_mil(path.string(), diagnostics);
  REQUIRE_MESSAGE(module, render(diagnostics));
  return module;
}

// --- Weights that are made up. ---

/// So many elements of each dtype are made; weights repeat them. A prime, so that rows differ.
constexpr std::int64_t kPatternElements = 4099;

/// What keeps sums of the weight's products near 1.
double scale_of(const WeightReference& reference) {
  if (reference.name.ends_with(".scale")) return 1.0 / 1024;  // of whole numbers up to 99
  if (reference.shape.size() < 2) return 1.0 / 64;
  double fan_in = 1;
  for (std::size_t i = 1; i < reference.shape.size(); ++i) {
    fan_in *= static_cast<double>(reference.shape[i]);
  }
  return 1 / std::sqrt(fan_in);
}

/// Floats, or bytes from 0 to 99 for everything else.
Array pattern_for(const WeightReference& reference) {
  const bool floats = is_float(reference.dtype);
  Array pattern(floats ? reference.dtype : DType::uint8, {kPatternElements});
  fill_seeded(pattern, reference.name, 1);
  if (!floats) return pattern;
  const double scale = scale_of(reference);
  for (std::int64_t i = 0; i < pattern.size(); ++i) pattern.set(i, pattern.real(i) * scale);
  return pattern;
}

/// Packed bits of which `ones` are set.
void fill_mask(std::span<std::byte> bytes, std::uint64_t ones) {
  for (std::uint64_t i = 0; i < ones; ++i) {
    const std::uint64_t bit = i * bytes.size() * 8 / ones;
    bytes[bit / 8] |= static_cast<std::byte>(1u << bit % 8);
  }
}

/// The elements of `NAME.nonzero_data`, when the reference is `NAME.mask`.
std::uint64_t ones_of_mask(const WeightReference& reference,
                           std::span<const WeightReference> references) {
  if (!reference.name.ends_with(".mask")) return 0;
  const std::string data = reference.name.substr(0, reference.name.size() - 4) + "nonzero_data";
  const auto found = std::ranges::find(references, data, &WeightReference::name);
  return found == references.end() ? 0 : static_cast<std::uint64_t>(found->shape[0]);
}

void fill_payload(std::span<std::byte> payload, const WeightReference& reference,
                  std::span<const WeightReference> references) {
  if (const std::uint64_t ones = ones_of_mask(reference, references); ones != 0) {
    fill_mask(payload, ones);
    return;
  }
  const Array pattern = pattern_for(reference);
  while (!payload.empty()) {
    const std::size_t count = std::min(pattern.bytes().size(), payload.size());
    std::ranges::copy(pattern.bytes().first(count), payload.begin());
    payload = payload.subspan(count);
  }
}

/// A weight file that has what the references say, where they say it.
std::shared_ptr<std::vector<std::byte>> made_up_file(std::span<const WeightReference> references) {
  auto file = std::make_shared<std::vector<std::byte>>(kWeightHeaderBytes);
  std::set<std::uint64_t> offsets;
  for (const WeightReference& reference : references) {
    std::uint64_t elements = 1;
    for (const std::int64_t dim : reference.shape) elements *= static_cast<std::uint64_t>(dim);
    WeightRecord record;
    record.dtype = reference.dtype;
    record.offset = reference.offset;
    record.data_offset = reference.offset + kWeightRecordBytes;
    REQUIRE(payload_bytes(record.dtype, elements, record.size_bytes, record.padding_bits));
    file->resize(std::max<std::uint64_t>(file->size(), record.data_offset + record.size_bytes));
    const std::span<std::byte> bytes(*file);
    std::ranges::copy(detail::record_bytes(record), bytes.subspan(record.offset).begin());
    fill_payload(bytes.subspan(record.data_offset, record.size_bytes), reference, references);
    offsets.insert(record.offset);
  }
  std::ranges::copy(detail::header_bytes(static_cast<std::uint32_t>(offsets.size())),
                    file->begin());
  return file;
}

std::vector<WeightFileBytes> made_up_weights(const Module& module) {
  std::map<std::string, std::vector<WeightReference>> by_path;
  for (WeightReference& reference : weight_references(module)) {
    by_path[reference.path].push_back(std::move(reference));
  }
  std::vector<WeightFileBytes> out;
  for (const auto& [path, references] : by_path) out.push_back({path, made_up_file(references)});
  return out;
}

// --- Inputs. ---

/// Harmonics, each a sine made of parabolas: the same numbers as tests/numeric/corpus_reference.py.
void fill_voice(Array& array) {
  struct Harmonic {
    std::int64_t frequency;
    std::int64_t amplitude;
  };
  constexpr Harmonic kHarmonics[] = {{140, 12}, {280, 9}, {420, 6}, {700, 4}, {1260, 2}};
  constexpr std::int64_t kRate = 16000;
  constexpr std::int64_t kHalf = kRate / 2;
  for (std::int64_t n = 0; n < array.size(); ++n) {
    std::int64_t total = 0;
    for (const auto [frequency, amplitude] : kHarmonics) {
      const std::int64_t at = n * frequency % kRate;
      total += amplitude * (at < kHalf ? at * (kHalf - at) : (at - kHalf) * (at - kRate));
    }
    array.set(n, static_cast<double>(total) / (64.0 * (kHalf / 2) * (kHalf / 2)));
  }
}

Array input_values(const TensorSpec& spec, std::string_view kind) {
  Shape shape = spec.shape;
  std::ranges::replace(shape, kUnknownDim, 2);
  Array array(spec.dtype, shape);
  if (kind == "noise") {
    fill_seeded(array, spec.name, 1);
  } else if (kind == "voice" && spec.name.find("audio") != std::string::npos) {
    fill_voice(array);
  }
  if (!is_float(spec.dtype)) {  // lengths and places, of which 0 and 1 are always there
    for (std::int64_t i = 0; i < array.size(); ++i) {
      array.set(i, static_cast<double>(array.integer(i) % 2));
    }
  }
  return array;
}

std::vector<NamedArray> inputs_of(const Executable& executable, std::string_view kind) {
  std::vector<NamedArray> out;
  for (const TensorSpec& spec : executable.inputs()) {
    out.push_back({spec.name, input_values(spec, kind)});
  }
  return out;
}

/// The same by way of .npy files.
std::vector<NamedArray> through_files(const std::vector<NamedArray>& inputs) {
  const TemporaryFolder folder;
  std::vector<NamedArray> out;
  Diagnostics diagnostics;
  for (const NamedArray& input : inputs) {
    const std::string path = folder.file(input.name + ".npy");
    Array array;
    const bool is_read =
        write_npy(path, input.array, diagnostics) && read_npy(path, array, diagnostics);
    REQUIRE_MESSAGE(is_read, render(diagnostics));
    CHECK(std::ranges::equal(array.bytes(), input.array.bytes()));
    out.push_back({input.name, array});
  }
  return out;
}

// --- Running. ---

std::unique_ptr<Executable> compiled(const Module& module, const CompileOptions& options) {
  Diagnostics diagnostics;
  auto executable = cpu_backend().compile(module, options, diagnostics);
  REQUIRE_MESSAGE(executable != nullptr, render(diagnostics));
  return executable;
}

std::vector<NamedArray> outputs_of(const Executable& executable,
                                   const std::vector<NamedArray>& inputs,
                                   const RunOptions& options = {}) {
  std::vector<NamedArray> outputs;
  Diagnostics diagnostics;
  REQUIRE_MESSAGE(executable.run(inputs, outputs, diagnostics, options), render(diagnostics));
  return outputs;
}

bool all_finite(const Array& array) {
  for (std::int64_t i = 0; i < array.size(); ++i) {
    if (!std::isfinite(array.real(i))) return false;
  }
  return true;
}

void check_finite(const std::vector<NamedArray>& outputs) {
  for (const NamedArray& output : outputs) {
    CAPTURE(output.name);
    CHECK(all_finite(output.array));
  }
}

void check_probability(const NamedArray& output) {
  if (!output.name.starts_with("vad_")) return;
  for (std::int64_t i = 0; i < output.array.size(); ++i) {
    CHECK(output.array.real(i) >= 0);
    CHECK(output.array.real(i) <= 1);
  }
}

// --- What numpy computed. ---

/// Exact mode adds in fp32, the golden in float64; where a sum is near a tie, that moves what is
/// rounded to fp16 by one, and what is computed from it by a little more.
constexpr double kExactEpsilons = 4;
/// Fast mode keeps other roundings, each of which carries as far as those between `truth` and
/// `rounded` do.
constexpr double kFastEpsilons = 16;
constexpr double kFastOfRounding = 4;

/// Errors are of an element or, if that is more, the root mean square of its output.
double epsilons_between(double got, double want, double scale) {
  return std::abs(got - want) / (kHalfEpsilon * std::max(std::abs(want), scale));
}

struct WorstError {
  double exact = 0;     ///< epsilons of fp16 from `rounded`
  double fast = 0;      ///< likewise
  double rounding = 0;  ///< of `truth` from `rounded`
};

void judge(const Json& golden, const Array& exact, const Array& fast, WorstError& worst) {
  REQUIRE(Shape(golden.at("shape").get<std::vector<std::int64_t>>()) == exact.shape());
  REQUIRE(fast.shape() == exact.shape());
  const std::int64_t step = golden.at("step");
  const double scale = golden.at("scale");
  const Json& rounded = golden.at("rounded");
  REQUIRE(std::ssize(rounded) == (exact.size() + step - 1) / step);
  for (std::size_t i = 0; i < rounded.size(); ++i) {
    const double want = rounded[i];
    const std::int64_t index = static_cast<std::int64_t>(i) * step;
    worst.exact = std::max(worst.exact, epsilons_between(exact.real(index), want, scale));
    worst.fast = std::max(worst.fast, epsilons_between(fast.real(index), want, scale));
    worst.rounding = std::max(worst.rounding, epsilons_between(golden.at("truth")[i], want, scale));
  }
}

WorstError check_golden_line(const fs::path& corpus, const Json& line) {
  const fs::path path = corpus / (line.at("file").get<std::string>() + ".mil");
  const Module module = read_module(path);
  CompileOptions options;
  options.weight_file = weights_beside(path).string();
  const auto exact = compiled(module, options);
  options.mode = NumericMode::fast;
  const auto fast = compiled(module, options);

  const auto inputs = through_files(inputs_of(*exact, line.at("input").get<std::string>()));
  const std::vector<NamedArray> outputs = outputs_of(*exact, inputs);
  const std::vector<NamedArray> fast_outputs = outputs_of(*fast, inputs);
  check_finite(outputs);
  check_finite(fast_outputs);
  CHECK(outputs.size() == line.at("outputs").size());
  WorstError worst;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    CAPTURE(outputs[i].name);
    check_probability(outputs[i]);
    check_probability(fast_outputs[i]);
    judge(line.at("outputs").at(outputs[i].name), outputs[i].array, fast_outputs[i].array, worst);
  }
  CHECK(worst.exact <= kExactEpsilons);
  CHECK(worst.fast <= std::max(kFastEpsilons, kFastOfRounding * worst.rounding));
  return worst;
}

// --- All other programs. ---

/// What a compiler notes about a program that it has cut up: its inputs are buffers, no tensors.
bool has_buffers(const Module& module) {
  for (const mil::Function function : module.functions()) {
    for (const mil::Value input : function.body().inputs()) {
      if (input.type().type_class() == mil::TypeClass::tensor_buffer) return true;
    }
  }
  return false;
}

void check_refused(const Module& module) {
  Diagnostics diagnostics;
  CHECK(cpu_backend().compile(module, {}, diagnostics) == nullptr);
  CHECK(render(diagnostics).find("is no tensor, and such a program cannot be run [run.input]") !=
        std::string::npos);
}

void check_same_bytes(const std::vector<NamedArray>& a, const std::vector<NamedArray>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].name);
    CHECK(a[i].array.shape() == b[i].array.shape());
    CHECK(std::ranges::equal(a[i].array.bytes(), b[i].array.bytes()));
  }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Runs a function whole and op by op, and in fast mode.
void check_function(const Module& module, CompileOptions options, std::string_view name) {
  const auto exact = compiled(module, options);
  options.mode = NumericMode::fast;
  const auto fast = compiled(module, options);
  const std::vector<NamedArray> inputs = inputs_of(*exact, "noise");

  const auto start = std::chrono::steady_clock::now();
  const std::vector<NamedArray> outputs = outputs_of(*exact, inputs);
  const double exact_seconds = seconds_since(start);
  const auto fast_start = std::chrono::steady_clock::now();
  const std::vector<NamedArray> fast_outputs = outputs_of(*fast, inputs);
  const double fast_seconds = seconds_since(fast_start);
  check_finite(outputs);
  check_finite(fast_outputs);

  RunReport report;
  RunOptions by_op;
  by_op.report_nonfinite = true;
  by_op.report = &report;
  check_same_bytes(outputs, outputs_of(*exact, inputs, by_op));
  MESSAGE(name, ", ", options.function, ": exact ", exact_seconds, " s, fast ", fast_seconds,
          " s; peak ", report.peak_bytes >> 10, " KiB; first value that is not finite: ",
          report.nonfinite.found ? report.nonfinite.result : std::string("none"));
}

void check_program(const fs::path& path) {
  CAPTURE(path.string());
  const Module module = read_module(path);
  if (has_buffers(module)) return check_refused(module);
  CompileOptions options;
  options.weights = made_up_weights(module);
  for (const mil::Function function : module.functions()) {
    options.function = function.name();
    check_function(module, options, path.filename().string());
  }
}

}  // namespace

TEST_CASE("real voice-activity programs give what numpy computed") {
  const std::vector<fs::path> texts = corpus_files(".mil");
  if (texts.empty()) return;
  std::vector<std::string> unreadable;
  std::string origin;
  const std::string path = MILGEN_SOURCE_DIR "/golden/numeric/corpus/voice_activity.jsonl";
  const CaseLines lines = read_cases(path, unreadable, [&](const Json& line) {
    if (line.contains("origin")) {
      origin = line.at("origin");
      return;
    }
    const std::string file = line.at("file");
    const std::string input = line.at("input");
    CAPTURE(file);
    CAPTURE(input);
    const WorstError worst = check_golden_line(texts.front().parent_path(), line);
    MESSAGE(file, ", ", input, ": in epsilons of fp16, exact is off by ", worst.exact, ", fast by ",
            worst.fast, "; float64 without roundings by ", worst.rounding);
  });
  CHECK(lines.error == "");
  for (const std::string& line : unreadable) FAIL_CHECK(line);
  CHECK(origin.starts_with("tests/numeric/corpus_reference.py"));
}

TEST_CASE("real programs run with weights that are made up") {
  for (const fs::path& path : corpus_files(".mil")) check_program(path);
}

}  // namespace milgen::test
