#include "milgen/ane/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <tuple>

#include "ane/foundation.h"
#include "ane/model_state.h"
#include "ane/surface_state.h"
#include "milgen/ane/event.h"
#include "milgen/ane/model.h"
#include "milgen/ane/real_time.h"
#include "milgen/ane/telemetry.h"
#include "milgen/weights.h"
#include "support/half.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kQuestionBound{120};
constexpr std::chrono::seconds kEventBound{2};

// --- Programs. ---

std::string program(std::string_view inputs, std::string_view ops, std::string_view outputs) {
  return fmt::format(
      "program(1.3)\n[buildInfo = dict<string, string>({{}})]\n{{\n    func main<ios18>({}) {{\n{}"
      "        }} -> ({});\n}}\n",
      inputs, ops, outputs);
}

/// y = relu(x), which is x for what a probe writes; a compiler cannot leave it out.
std::string relu_program(std::string_view dtype, int width) {
  const std::string type = fmt::format("tensor<{}, [1, 3, 2, {}]>", dtype, width);
  return program(type + " x",
                 fmt::format("            {} y = relu(x = x)[name = string(\"y\")];\n", type), "y");
}

constexpr std::string_view kWeightPath = "@model_path/weights/w.bin";
constexpr int kWeights = 32;

/// y = x * w, w from a file.
std::string weighted_program() {
  const std::string type = fmt::format("tensor<fp16, [1, 1, 1, {}]>", kWeights);
  return program(
      type + " x",
      fmt::format("            {0} w = const()[name = string(\"w\"), val = {0}(BLOBFILE(path = "
                  "string(\"{1}\"), offset = uint64(64)))];\n"
                  "            {0} y = mul(x = x, y = w)[name = string(\"y\")];\n",
                  type, kWeightPath),
      "y");
}

std::vector<std::byte> weight_file(float value) {
  const std::vector<std::uint16_t> halves(kWeights, half_from_float(value));
  const std::vector<WeightPayload> payloads = {{DType::fp16, std::as_bytes(std::span(halves)), 0}};
  return weight_file_bytes(payloads);
}

/// y = 100 c + 10 a + b: the digits of the result are the operands in the order of the declaration.
std::string digits_program() {
  const std::string type = "tensor<fp16, [1, 1, 1, 32]>";
  return program(
      fmt::format("{0} c, {0} a, {0} b", type),
      fmt::format(
          "            {0} hundreds = mul(x = c, y = fp16(100))[name = string(\"hundreds\")];\n"
          "            {0} tens = mul(x = a, y = fp16(10))[name = string(\"tens\")];\n"
          "            {0} most = add(x = hundreds, y = tens)[name = string(\"most\")];\n"
          "            {0} y = add(x = most, y = b)[name = string(\"y\")];\n",
          type),
      "y");
}

/// Two outputs of different sizes whose names do not sort as they are declared.
std::string outputs_program() {
  return program(
      "tensor<fp16, [1, 4, 1, 32]> x",
      "            tensor<fp16, [1, 4, 1, 32]> z = add(x = x, y = x)[name = string(\"z\")];\n"
      "            tensor<fp16, [1, 1, 1, 32]> m = reduce_sum(x = x, axes = tensor<int32, "
      "[1]>([1]), keep_dims = bool(true))[name = string(\"m\")];\n",
      "z, m");
}

// --- Models. ---

ModelOptions probe_options() {
  ModelOptions options;
  options.compile_timeout = std::chrono::seconds(60);
  options.load_timeout = std::chrono::seconds(30);
  options.evaluate_timeout = std::chrono::seconds(5);
  return options;
}

Result<Model> compile(const Engine& engine, const std::string& text, const ModelOptions& options) {
  Diagnostics diagnostics;
  return Model::compile(engine, text, "probe.mil", options, diagnostics);
}

ModelOptions weighted_options(float value) {
  ModelOptions options = probe_options();
  options.weights.push_back({std::string(kWeightPath),
                             std::make_shared<const std::vector<std::byte>>(weight_file(value))});
  return options;
}

/// Fills a model's input with one number.
Error fill(Model& model, Port input, float value) {
  const auto layout = std::ranges::find_if(model.inputs(), [&](const TensorLayout& one) {
    return input.by_index() ? &one - model.inputs().data() == input.index()
                            : one.name == input.name();
  });
  if (layout == model.inputs().end()) {
    return {ErrorKind::argument, fmt::format("there is no input '{}'", input.name())};
  }
  return model.write_fp32(input,
                          std::vector<float>(static_cast<std::size_t>(layout->elements()), value));
}

/// The first number of an output after an evaluation.
Result<float> first_number(Model& model, std::size_t output = 0) {
  if (Error error = model.evaluate()) return error;
  std::vector<float> values(static_cast<std::size_t>(model.outputs()[output].elements()));
  if (Error error = model.read_fp32(output, values)) return error;
  return values.front();
}

// --- Answers. ---

ProbeAnswer failed(Error error) {
  ProbeAnswer answer;
  answer.verdict = "could not be asked: " + error.detail().message;
  answer.error = std::move(error);
  return answer;
}

ProbeAnswer told(ProbeAgreement agreement, std::string verdict, std::vector<std::string> evidence) {
  ProbeAnswer answer;
  answer.agreement = agreement;
  answer.verdict = std::move(verdict);
  answer.evidence = std::move(evidence);
  return answer;
}

/// What the engine said, without what it may mean elsewhere.
std::string words_of(const Error& error) {
  const Error::Detail& detail = error.detail();
  return detail.description.empty() ? detail.message : detail.description;
}

ProbeAgreement agrees_if(bool agrees) {
  return agrees ? ProbeAgreement::agrees : ProbeAgreement::differs;
}

// --- rows ---

constexpr int kRows = 6;  // of [1, 3, 2, width]
/// Every number up to here is a half; every slot of a surface gets one of its own.
constexpr int kLabels = 2040;

/// A run of slots of an output that hold slots of the input which follow each other.
struct Run {
  int slot = 0;   // of the output
  int label = 0;  // slot of the input
  int length = 0;
};

std::vector<Run> runs_of(std::span<const int> labels) {
  std::vector<Run> runs;
  for (int slot = 0; slot < static_cast<int>(labels.size()); ++slot) {
    const int label = labels[static_cast<std::size_t>(slot)];
    if (label < 0) continue;
    if (!runs.empty() && runs.back().slot + runs.back().length == slot &&
        runs.back().label + runs.back().length == label) {
      ++runs.back().length;
    } else {
      runs.push_back({slot, label, 1});
    }
  }
  return runs;
}

struct Pitch {
  int input = 0;  ///< slots from row to row
  int output = 0;
};

/// The pitches that put input slots where they came out; none when no pitch does. Nothing is taken
/// for granted but that rows follow each other at one distance.
std::optional<Pitch> solve(std::span<const int> labels, int width) {
  const std::vector<Run> runs = runs_of(labels);
  if (runs.size() == 1) {
    // One run has all rows: packed, or with the bytes between them copied along, which the last row
    // may do without.
    const int length = runs[0].length;
    for (const int pitch : {length / kRows, (length - width) / (kRows - 1)}) {
      const bool with_last = pitch * kRows == length;
      const bool without_last = pitch * (kRows - 1) + width == length;
      if (pitch >= width && (with_last || without_last)) return Pitch{pitch, pitch};
    }
    return std::nullopt;
  }
  if (runs.size() < 2) return std::nullopt;
  const Pitch pitch = {runs[1].label - runs[0].label, runs[1].slot - runs[0].slot};
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < width; ++column) {
      const int slot = runs[0].slot + row * pitch.output + column;
      const int label = runs[0].label + row * pitch.input + column;
      if (slot < 0 || slot >= static_cast<int>(labels.size()) ||
          labels[static_cast<std::size_t>(slot)] != label) {
        return std::nullopt;
      }
    }
  }
  return pitch;
}

void put_slot(std::span<std::byte> bytes, std::size_t slot, DType dtype, float value) {
  if (dtype == DType::fp32) {
    std::memcpy(bytes.data() + slot * sizeof(float), &value, sizeof(float));
  } else {
    const std::uint16_t half = half_from_float(value);
    std::memcpy(bytes.data() + slot * sizeof(half), &half, sizeof(half));
  }
}

float get_slot(std::span<const std::byte> bytes, std::size_t slot, DType dtype) {
  if (dtype == DType::fp32) {
    float value = 0;
    std::memcpy(&value, bytes.data() + slot * sizeof(float), sizeof(float));
    return value;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, bytes.data() + slot * sizeof(half), sizeof(half));
  return float_from_half(half);
}

/// Gives every slot of the input a number of its own, evaluates, and tells for each slot of the
/// output which one it holds, or -1.
Error read_labels(Model& model, DType dtype, std::vector<int>& labels) {
  constexpr float kUntouched = -1;
  Result<Surface> input = model.input_surface(0);
  Result<Surface> output = model.output_surface(0);
  if (!input) return input.error();
  if (!output) return output.error();
  for (const auto& [surface, first, step] :
       {std::tuple{&*input, 1.0f, 1.0f}, std::tuple{&*output, kUntouched, 0.0f}}) {
    const Result<SurfaceLock> lock = SurfaceLock::take(*surface, Access::write);
    if (!lock) return lock.error();
    for (int i = 0; i < kLabels; ++i) {
      put_slot(lock->bytes(), static_cast<std::size_t>(i), dtype,
               first + step * static_cast<float>(i));
    }
  }
  if (Error error = model.evaluate()) return error;
  const Result<SurfaceLock> lock = SurfaceLock::take(*output, Access::read);
  if (!lock) return lock.error();
  labels.assign(kLabels, -1);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const float value = get_slot(lock->bytes(), i, dtype);
    if (value >= 1 && value <= kLabels) labels[i] = static_cast<int>(value) - 1;
  }
  return {};
}

std::string bytes_text(int slots, std::int64_t element_bytes) {
  return fmt::format("{} bytes", slots * element_bytes);
}

/// One width; false with `error` when it could not be asked.
bool ask_width(const Engine& engine, DType dtype, int width, bool& as_expected, bool& as_told,
               std::vector<std::string>& evidence, Error& error) {
  Result<Model> model = compile(engine, relu_program(dtype_name(dtype), width), probe_options());
  if (!model) {
    error = model.error();
    return false;
  }
  std::vector<int> labels;
  error = read_labels(*model, dtype, labels);
  if (error) return false;
  const TensorLayout& layout = model->inputs()[0];
  const std::int64_t element_bytes = layout.element_bytes();
  const std::optional<Pitch> pitch = solve(labels, width);
  const std::int64_t assumed = row_stride_bytes(width, element_bytes);
  std::string line =
      fmt::format("{}, width {} ({} bytes): ", dtype_name(dtype), width, width * element_bytes);
  if (!pitch) {
    as_expected = as_told = false;
    evidence.push_back(line + "no pitch of rows gives this output");
    return true;
  }
  line += pitch->input == pitch->output
              ? bytes_text(pitch->input, element_bytes)
              : fmt::format("input {}, output {}", bytes_text(pitch->input, element_bytes),
                            bytes_text(pitch->output, element_bytes));
  const auto is = [&](std::int64_t stride) {
    return pitch->input * element_bytes == stride && pitch->output * element_bytes == stride;
  };
  as_expected = as_expected && is(assumed);
  as_told = as_told && is(layout.row_stride);
  if (layout.from_model) line += fmt::format("; the model tells {}", layout.row_stride);
  evidence.push_back(std::move(line));
  return true;
}

ProbeAnswer ask_rows(const Engine& engine) {
  std::vector<std::string> evidence;
  bool as_expected = true;
  bool as_told = true;
  Error error;
  for (const int width : {1, 7, 16, 17, 31, 32, 33, 48}) {
    if (!ask_width(engine, DType::fp16, width, as_expected, as_told, evidence, error)) {
      return failed(std::move(error));
    }
  }
  for (const int width : {1, 7, 15, 16, 17}) {
    // Engines that take no fp32 have answered by then.
    if (!ask_width(engine, DType::fp32, width, as_expected, as_told, evidence, error)) {
      evidence.push_back("fp32: " + words_of(error));
      break;
    }
  }
  if (as_expected) {
    return told(ProbeAgreement::agrees, "rows begin at multiples of 64 bytes", std::move(evidence));
  }
  return told(ProbeAgreement::differs,
              as_told
                  ? "rows do not begin at multiples of 64 bytes, and the model tells how they lie"
                  : "rows do not begin at multiples of 64 bytes, and the model does not tell how "
                    "they lie: tensors must have rows of a multiple of 64 bytes here",
              std::move(evidence));
}

// --- min_surface ---

ProbeAnswer ask_min_surface(const Engine& engine) {
  constexpr float kValue = 7;
  Result<Model> model = compile(engine, relu_program("fp16", 32), probe_options());
  if (!model) return failed(model.error());
  const std::int64_t bytes = model->inputs()[0].alloc_bytes();
  const Result<Surface> input = Surface::State::create(engine.state(), bytes);
  const Result<Surface> output = Surface::State::create(engine.state(), bytes);
  if (!input) return failed(input.error());
  if (!output) return failed(output.error());
  const std::string size = fmt::format(
      "surfaces were made for {} bytes and have {}, where milgen makes them for {} at least", bytes,
      input->bytes(), model->input_surface(0)->bytes());
  Error error = model->set_input_surface(0, *input);
  if (!error) error = model->set_output_surface(0, *output);
  if (!error) error = fill(*model, 0, kValue);
  Result<float> number = error ? Result<float>(error) : first_number(*model);
  if (!number) {
    return told(ProbeAgreement::agrees, "surfaces below 16 KiB do not work",
                {size, words_of(number.error())});
  }
  const bool works = *number == kValue;
  return told(agrees_if(!works),
              works ? "surfaces of the tensor's own size work, too"
                    : "surfaces below 16 KiB give wrong numbers",
              {size, fmt::format("{} came out as {}", kValue, *number)});
}

// --- names ---

/// A request of the same surfaces in the order of their declaration, from 0 on.
Result<std::shared_ptr<RequestSet>> naive_request(ModelState& state) {
  std::vector<TensorLayout> inputs = state.inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    state.inputs[i].symbol_index = static_cast<std::int64_t>(i);
  }
  const RequestSurfaces surfaces{state.input_surfaces, state.output_surfaces};
  Result<std::shared_ptr<RequestSet>> requests = make_request_set(state, {&surfaces, 1});
  state.inputs = std::move(inputs);
  return requests;
}

Error evaluate_naively(ModelState& state) {
  const ModelCall call(&state);
  if (call.error()) return call.error();
  const Result<std::shared_ptr<RequestSet>> requests = naive_request(state);
  if (!requests) return requests.error();
  Error error = evaluate_bounded(state, (*requests)->requests.front());
  // What a wedged engine may still use stays the model's.
  if (!state.broken) end_request_set(state, *requests);
  return error;
}

/// What the program computes when surfaces are bound in the order of their declaration.
std::string naive_digits(Model& model) {
  if (const Error error = evaluate_naively(*model.state())) return "refused: " + words_of(error);
  std::vector<float> values(static_cast<std::size_t>(model.outputs()[0].elements()));
  const Error error = model.read_fp32(0, values);
  return error ? error.text() : fmt::format("{}", values.front());
}

ProbeAnswer ask_names(const Engine& engine) {
  Result<Model> model = compile(engine, digits_program(), probe_options());
  if (!model) return failed(model.error());
  Error error = fill(*model, "c", 1);
  if (!error) error = fill(*model, "a", 2);
  if (!error) error = fill(*model, "b", 3);
  if (error) return failed(std::move(error));
  const Result<float> ours = first_number(*model);
  if (!ours) return failed(ours.error());
  const std::string naive = naive_digits(*model);
  std::vector<std::string> evidence = {
      "100 c + 10 a + b with c, a, b = 1, 2, 3, declared in this order, is 123",
      fmt::format("bound by milgen, by {}: {}",
                  model->bound_by_engine() ? "the symbols that the engine tells" : "sorted names",
                  *ours),
      "bound in the order of the declaration: " + naive};
  Result<Model> outputs = compile(engine, outputs_program(), probe_options());
  if (!outputs) return failed(outputs.error());
  error = fill(*outputs, "x", 1);
  if (error) return failed(std::move(error));
  const Result<float> doubled = first_number(*outputs, 0);
  if (!doubled) return failed(doubled.error());
  const Result<float> sum = first_number(*outputs, 1);
  if (!sum) return failed(sum.error());
  evidence.push_back(
      fmt::format("outputs z = 2 and m = 4 of other sizes came out as {} and {}", *doubled, *sum));
  const bool right = *ours == 123 && *doubled == 2 && *sum == 4;
  if (!right) {
    return told(ProbeAgreement::differs,
                "milgen does not bind inputs and outputs rightly here: please report this",
                std::move(evidence));
  }
  // Sorted, the first surface is that of a: 100 * 3 + 10 * 1 + 2.
  if (naive == "123") {
    return told(ProbeAgreement::differs,
                "surfaces are bound in the order of the declaration; milgen binds them rightly",
                std::move(evidence));
  }
  return told(ProbeAgreement::agrees,
              naive == "312" ? "surfaces are bound in the order of sorted names"
                             : "surfaces are not bound in the order of the declaration",
              std::move(evidence));
}

// --- symbols ---

ProbeAnswer ask_symbols(const Engine& engine) {
  Result<Model> model = compile(engine, outputs_program(), probe_options());
  if (!model) return failed(model.error());
  std::vector<std::string> evidence;
  bool strides = true;
  bool suffix = true;
  for (const auto& layouts : {model->inputs(), model->outputs()}) {
    for (const TensorLayout& layout : layouts) {
      evidence.push_back(fmt::format("{}: symbol {} '{}', strides {}", layout.name,
                                     layout.symbol_index, layout.symbol,
                                     layout.from_model ? "told" : "not told"));
      strides = strides && layout.from_model;
    }
  }
  for (const TensorLayout& layout : model->outputs()) {
    suffix = suffix && layout.symbol.ends_with("@output");
  }
  if (!model->bound_by_engine()) {
    return told(ProbeAgreement::differs, "the engine does not tell its symbols; names are sorted",
                std::move(evidence));
  }
  return told(agrees_if(strides && suffix),
              fmt::format("the engine tells its symbols{}{}", strides ? " and strides" : " alone",
                          suffix ? ", outputs as name@output" : ", outputs by their names"),
              std::move(evidence));
}

// --- fp32_io ---

ProbeAnswer ask_fp32(const Engine& engine) {
  Result<Model> model = compile(engine, relu_program("fp32", 16), probe_options());
  if (!model && model.error().kind() != ErrorKind::compile) return failed(model.error());
  if (!model) {
    return told(ProbeAgreement::differs, "inputs and outputs of fp32 are refused",
                {words_of(model.error())});
  }
  // One more bit than a half has.
  constexpr float kBeyondHalf = 1 + 0x1p-12f;
  if (Error error = fill(*model, 0, kBeyondHalf)) return failed(std::move(error));
  const Result<float> number = first_number(*model);
  if (!number) return failed(number.error());
  return told(ProbeAgreement::agrees, "inputs and outputs of fp32 compile",
              {fmt::format("1 + 2^-12 came out as {}: relu computes in {}", *number,
                           *number == kBeyondHalf ? "fp32" : "fp16")});
}

// --- rewritten_weights ---

Error rewrite_weights(ModelState& state, float value) {
  const ModelCall call(&state);
  if (call.error()) return call.error();
  unmap_request(state, state.request);
  if (Error error = unload_now(state)) return error;
  const std::string path = state.folder.path() + "/weights/w.bin";
  const std::vector<std::byte> bytes = weight_file(value);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return {ErrorKind::file, fmt::format("'{}' cannot be written", path)};
  if (Error error = load_now(state)) return error;
  return map_request(state, state.request);
}

ProbeAnswer ask_rewritten(const Engine& engine) {
  Result<Model> model = compile(engine, weighted_program(), weighted_options(2));
  if (!model) return failed(model.error());
  if (Error error = fill(*model, 0, 1)) return failed(std::move(error));
  const Result<float> before = first_number(*model);
  if (!before) return failed(before.error());
  if (Error error = rewrite_weights(*model->state(), 3)) {
    if (model->state()->loaded || error.kind() != ErrorKind::load) return failed(std::move(error));
    return told(ProbeAgreement::agrees,
                "a program whose weight file is rewritten after unloading does not load",
                {words_of(error)});
  }
  const Result<float> after = first_number(*model);
  if (!after) return failed(after.error());
  const bool stale = *after == *before;
  return told(agrees_if(stale),
              stale ? "a weight file that is rewritten between unload and load has no effect"
                    : "a weight file that is rewritten between unload and load takes effect",
              {fmt::format("weight 2 gave {}; 3, written over it, gave {}", *before, *after)});
}

// --- cache ---

/// A folder of the probe's own that goes away.
class Scratch {
 public:
  explicit Scratch(Result<ProgramFolder> folder) : folder_(std::move(folder)) {}
  Error error() const { return folder_.error(); }
  const std::string& path() const { return folder_->path(); }

 private:
  Result<ProgramFolder> folder_;
};

/// "data, model.mil, weights"
std::string names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (std::filesystem::directory_iterator i(folder, code), end; !code && i != end;
       i.increment(code)) {
    names.push_back(printable(i->path().filename().string()));
  }
  std::ranges::sort(names);
  return names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
}

ProbeAnswer ask_cache(const Engine& engine) {
  const Scratch scratch(ProgramFolder::create_private(""));
  if (scratch.error()) return failed(scratch.error());
  ModelOptions options = weighted_options(2);
  options.cache = {.enabled = true, .folder = scratch.path()};
  std::vector<std::string> evidence;
  std::array<bool, 2> cached{};
  for (bool& once : cached) {
    Result<Model> model = compile(engine, weighted_program(), options);
    if (!model) return failed(model.error());
    if (evidence.empty()) {
      evidence.push_back("in the program's folder after compiling: " + names_in(model->folder()));
    }
    if (Error error = fill(*model, 0, 1)) return failed(std::move(error));
    const Result<float> number = first_number(*model);
    if (!number) return failed(number.error());
    const CompileStats& stats = model->stats();
    once = stats.cached && *number == 2;
    evidence.push_back(fmt::format("{} in {:.3f} ms, loaded in {:.3f} ms; 1 * 2 gave {}",
                                   stats.cached       ? "not compiled"
                                   : stats.recompiled ? "compiled again"
                                                      : "compiled",
                                   static_cast<double>(stats.compile_ns) / 1e6,
                                   static_cast<double>(stats.load_ns) / 1e6, *number));
  }
  return told(agrees_if(cached[1]),
              cached[1] ? "a program that was compiled before is loaded without compiling"
                        : "a program that was compiled before is compiled again",
              std::move(evidence));
}

// --- folder ---

/// Where the runtime has a program's files when it is told nothing (ane_runtime, 4.3).
std::string default_folder(const Model& model) {
  const Platform& platform = model.state()->platform();
  const AutoreleasePool pool(platform);
  if (platform.NSTemporaryDirectory == nullptr) return {};
  return fmt::format("{}/{}", utf8(platform, platform.NSTemporaryDirectory()), model.identifier());
}

ProbeAnswer ask_folder(const Engine& engine) {
  Result<Model> model = compile(engine, relu_program("fp16", 32), probe_options());
  if (!model && model.error().kind() == ErrorKind::compile) {
    return told(ProbeAgreement::differs,
                "nothing compiles in a folder of milgen's choice: try MILGEN_ANE_FOLDER=default",
                {words_of(model.error())});
  }
  if (!model) return failed(model.error());
  const std::string other = default_folder(*model);
  std::error_code code;
  const bool elsewhere = !other.empty() && std::filesystem::exists(other, code) &&
                         !std::filesystem::equivalent(other, model->folder(), code);
  std::vector<std::string> evidence = {"in the folder that was told: " + names_in(model->folder())};
  if (elsewhere) evidence.push_back("in the runtime's own: " + names_in(other));
  return told(agrees_if(!elsewhere),
              elsewhere ? "programs are compiled in the runtime's own folder, too: "
                          "MILGEN_ANE_FOLDER=default uses that alone"
                        : "programs are compiled in the folder that milgen tells",
              std::move(evidence));
}

// --- routes ---

struct Route {
  std::string_view name;
  EvaluateRoute route;
};
constexpr Route kRoutes[] = {{"standard", EvaluateRoute::standard},
                             {"client", EvaluateRoute::client},
                             {"direct", EvaluateRoute::direct},
                             {"real-time", EvaluateRoute::real_time}};

/// What one route gives, and how long half of its evaluations take at most.
struct RouteResult {
  float number = 0;
  double median_us = 0;
};

Result<RouteResult> try_route(const Engine& engine, EvaluateRoute route, float value) {
  constexpr std::size_t kTimes = 20;
  ModelOptions options = probe_options();
  options.route = route;
  Result<Model> model = compile(engine, relu_program("fp16", 32), options);
  if (!model) return model.error();
  if (Error error = fill(*model, 0, value)) return error;
  std::array<double, kTimes> times{};
  for (double& time : times) {
    const Clock::time_point start = Clock::now();
    if (Error error = model->evaluate()) return error;
    time = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }
  const Result<float> number = first_number(*model);
  if (!number) return number.error();
  std::ranges::sort(times);
  return RouteResult{*number, times[kTimes / 2]};
}

ProbeAnswer ask_routes(const Engine& engine) {
  constexpr float kValue = 7;
  std::vector<std::string> evidence;
  std::string_view fastest;
  double least_us = 0;
  bool same = true;
  for (const Route& route : kRoutes) {
    const Result<RouteResult> result = try_route(engine, route.route, kValue);
    if (!result) {
      evidence.push_back(fmt::format("{}: {}", route.name, words_of(result.error())));
      // An engine that does not answer is not asked further.
      if (result.error().kind() == ErrorKind::timeout) break;
      continue;
    }
    same = same && result->number == kValue;
    evidence.push_back(fmt::format("{}: {:.1f} us, {} gave {}", route.name, result->median_us,
                                   kValue, result->number));
    if (fastest.empty() || result->median_us < least_us) {
      fastest = route.name;
      least_us = result->median_us;
    }
  }
  if (fastest.empty()) {
    return failed({ErrorKind::evaluate, "no route evaluates; " + evidence.front()});
  }
  return told(
      same ? ProbeAgreement::untold : ProbeAgreement::differs,
      same ? fmt::format("{} was the fastest of a program that does next to nothing", fastest)
           : "routes give different numbers",
      std::move(evidence));
}

// --- real_time ---

ProbeAnswer ask_real_time(const Engine& engine) {
  Result<RealTimeTask> task = RealTimeTask::begin(engine);
  if (!task) return failed(task.error());
  const bool granted = task->granted();
  if (Error error = task->end()) return failed(std::move(error));
  return told(ProbeAgreement::untold,
              granted ? "real-time scheduling is granted" : "real-time scheduling is not granted",
              {});
}

// --- perf_stats ---

ProbeAnswer ask_perf_stats(const Engine& engine) {
  ModelOptions options = probe_options();
  options.perf_stats_mask = 0xF;
  Result<Model> model = compile(engine, relu_program("fp16", 32), options);
  if (!model) return failed(model.error());
  Result<EvaluateStats> stats = evaluate_with_stats(*model);
  if (!stats) return failed(stats.error());
  std::vector<std::string> evidence = {to_text(*stats)};
  if (const Result<ModelDiagnostics> diagnostics = diagnose(*model)) {
    evidence.push_back(to_text(*diagnostics));
  }
  return told(agrees_if(stats->hardware_ns != 0),
              stats->hardware_ns != 0 ? "the engine tells its own time"
                                      : "the engine does not tell its own time",
              std::move(evidence));
}

// --- events ---

ProbeAnswer ask_events(const Engine& engine) {
  Result<SharedEvent> event = SharedEvent::create(engine);
  if (!event) return failed(event.error());
  Result<Model> model = compile(engine, relu_program("fp16", 32), probe_options());
  if (!model) return failed(model.error());
  SharedEventOptions options;
  options.try_in_memory = true;
  if (Error error = evaluate_with_signal(*model, {*event, 1}, options)) {
    if (error.kind() == ErrorKind::timeout) return failed(std::move(error));
    return told(ProbeAgreement::agrees,
                "an evaluation of MIL text takes no shared events; a package may",
                {words_of(error)});
  }
  const Result<bool> came = event->wait(1, kEventBound);
  if (!came) return failed(came.error());
  return told(ProbeAgreement::differs,
              *came ? "an evaluation of MIL text signals a shared event: "
                      "SharedEventOptions::try_in_memory works here"
                    : "an evaluation of MIL text takes a shared event and never signals it",
              {fmt::format("signalled value 1: {}", *came ? "yes" : "no")});
}

// --- queue ---

ProbeAnswer ask_queue(const Engine& engine) {
  Result<Model> model = compile(engine, relu_program("fp16", 32), probe_options());
  if (!model) return failed(model.error());
  const Result<ModelDiagnostics> diagnostics = diagnose(*model);
  if (!diagnostics) return failed(diagnostics.error());
  constexpr int kExpected = 127;
  if (!diagnostics->queue_depth) {
    return told(ProbeAgreement::untold, "the engine does not tell its queue's depth", {});
  }
  return told(agrees_if(*diagnostics->queue_depth == kExpected),
              fmt::format("the engine queues {} requests", *diagnostics->queue_depth),
              {to_text(*diagnostics)});
}

// --- All of them. ---

struct QuestionRow {
  ProbeQuestion question;
  ProbeAnswer (*ask)(const Engine& engine);
};

constexpr std::size_t kQuestionCount = 13;
constexpr std::array<QuestionRow, kQuestionCount> kRowsOfQuestions = {{
    {{"rows", "how far rows of a tensor are apart in a surface",
      "rule A (ane_runtime 4.0; IO-001): 64 bytes, against packed rows and 128 bytes on M5", 13},
     ask_rows},
    {{"min_surface", "whether a surface below 16 KiB works",
      "IO-003: milgen makes none that is smaller", 1},
     ask_min_surface},
    {{"names", "in which order inputs and outputs are bound",
      "rule B (ane_runtime 4.0; IO-004, IO-005): sorted by name, not as declared", 2},
     ask_names},
    {{"symbols", "whether a loaded model tells its symbols and strides",
      "ane_runtime 4.6: milgen binds by them, and by rules A and B without them", 1},
     ask_symbols},
    {{"fp32_io", "whether inputs and outputs may be fp32",
      "ane_runtime 4.5; IO-010, IO-012: sources disagree by chip and by the way in", 1},
     ask_fp32},
    {{"rewritten_weights", "whether a rewritten weight file takes effect without compiling",
      "ane_runtime 4.8; PR-010: milgen never relies on it", 1},
     ask_rewritten},
    {{"cache", "whether a compiled program is found again",
      "ane_runtime 4.8: what ModelOptions::cache is built on", 2},
     ask_cache},
    {{"folder", "whether the runtime heeds the folder that it is told",
      "ane_runtime 4.3: -setModelURL: is known of two users alone; most leave files where the "
      "runtime looks by itself",
      1},
     ask_folder},
    {{"routes", "which messages evaluate, and how fast",
      "ane_runtime 4.6: sources disagree about the fastest, so that none but the standard one is a "
      "default",
      4},
     ask_routes},
    {{"real_time", "whether real-time scheduling is granted",
      "ane_runtime 4.9: evaluation works either way", 0},
     ask_real_time},
    {{"perf_stats", "whether the engine tells how long it took",
      "ane_runtime 4.9; RT-008: milgen sets the mask before and after loading", 1},
     ask_perf_stats},
    {{"events", "whether shared events work with programs from text",
      "ane_runtime 4.9: one source says that they need a package, which milgen asks for", 1},
     ask_events},
    {{"queue", "how many requests the engine queues",
      "ane_runtime 4.6; RT-005: 127, which is how deep milgen queues", 1},
     ask_queue},
}};

constexpr std::array<ProbeQuestion, kQuestionCount> questions() {
  std::array<ProbeQuestion, kQuestionCount> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = kRowsOfQuestions[i].question;
  return out;
}

constexpr std::array<ProbeQuestion, kQuestionCount> kQuestions = questions();

/// A question on a thread that may be given up.
struct Asking {
  Engine engine;
  const QuestionRow* row = nullptr;
  ProbeAnswer answer = {};
};

ProbeAnswer ask(const Engine& engine, const QuestionRow& row) {
  const auto asking = std::make_shared<Asking>(Asking{engine, &row});
  const std::shared_ptr<Worker> worker = Worker::start();
  if (worker == nullptr) {
    return failed({ErrorKind::unavailable, "the system starts no thread to ask on"});
  }
  const auto run = [](void* argument) {
    auto& self = *static_cast<Asking*>(argument);
    self.answer = self.row->ask(self.engine);
  };
  if (worker->run({run, asking.get(), nullptr}, kQuestionBound, asking)) return asking->answer;
  return failed({ErrorKind::timeout, fmt::format("no answer within {} s", kQuestionBound.count())});
}

}  // namespace

std::span<const ProbeQuestion> probe_questions() { return kQuestions; }

std::string_view name(ProbeAgreement agreement) {
  switch (agreement) {
    case ProbeAgreement::agrees:
      return "agrees";
    case ProbeAgreement::differs:
      return "differs";
    case ProbeAgreement::untold:
      break;
  }
  return "untold";
}

ProbeAnswer probe(const Engine& engine, std::string_view name) {
  ProbeAnswer answer;
  const auto row = std::ranges::find_if(
      kRowsOfQuestions, [&](const QuestionRow& one) { return one.question.name == name; });
  if (!engine) {
    answer = failed({ErrorKind::unavailable, "the engine is not open"});
  } else if (row == kRowsOfQuestions.end()) {
    answer = failed({ErrorKind::argument, fmt::format("there is no question '{}'", name)});
  } else {
    answer = ask(engine, *row);
  }
  answer.name = name;
  return answer;
}

std::vector<ProbeAnswer> probe(const Engine& engine) {
  std::vector<ProbeAnswer> answers;
  for (const ProbeQuestion& question : kQuestions) answers.push_back(probe(engine, question.name));
  return answers;
}

}  // namespace milgen::ane
