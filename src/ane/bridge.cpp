// The C functions of milgen/ane_bridge.h, over Engine and Model. Nothing that happens in them
// leaves by an exception: callers in C and Python could not catch it.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ane/program_files.h"
#include "ane/program_source.h"
#include "milgen/ane/engine.h"
#include "milgen/ane/model.h"
#include "milgen/ane/planned.h"
#include "milgen/ane/real_time.h"
#include "milgen/ane_bridge.h"
#include "milgen/emit.h"
#include "milgen/module.h"
#include "milgen/weight_modes.h"
#include "milgen/weights.h"
#include "support/printable.h"
#include "support/tensor_text.h"

namespace milgen::ane {
namespace {

// --- Errors ---

std::string& last_error() {
  thread_local std::string text;
  return text;
}

/// Runs a call and keeps its error for ane_bridge_last_error(); true when there was none.
template <class Body>
bool succeeds(Body body) {
  last_error().clear();
  try {
    const Error error = body();
    if (error) last_error() = error.text();
    return !error;
  } catch (const std::bad_alloc&) {
    last_error() = "there is not enough memory";
    return false;
  }
}

Error bad_argument(std::string message) { return {ErrorKind::argument, std::move(message)}; }

/// "1 weight", "2 weights".
std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// --- Kernels ---

struct Kernel {
  Model model;
  std::size_t activations = 0;  ///< inputs that are no weights: the first

  std::size_t weights() const { return model.inputs().size() - activations; }
  Port weight_port(int index) const { return activations + static_cast<std::size_t>(index); }
};

/// What was given out and not freed, under a handle of C's. Handles count up instead of being
/// addresses, so that one that was freed never means a later one.
template <class Object, class Handle>
class Handles {
 public:
  explicit Handles(std::string_view what) : what_(what) {}

  Handle* add(std::shared_ptr<Object> object) {
    const std::lock_guard lock(mutex_);
    last_ += kStep;
    objects_.emplace(last_, std::move(object));
    return reinterpret_cast<Handle*>(last_);  // NOLINT(performance-no-int-to-ptr)
  }

  Result<std::shared_ptr<Object>> find(const Handle* handle) const {
    if (handle == nullptr) return bad_argument(fmt::format("the {} is NULL", what_));
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
    if (found == objects_.end()) return unknown(handle);
    return found->second;
  }

  /// Whoever still uses it keeps it until they are done.
  Result<std::shared_ptr<Object>> take(const Handle* handle) {
    const std::lock_guard lock(mutex_);
    auto node = objects_.extract(reinterpret_cast<std::uintptr_t>(handle));
    if (node.empty()) return unknown(handle);
    return std::move(node.mapped());
  }

  bool empty() const {
    const std::lock_guard lock(mutex_);
    return objects_.empty();
  }

 private:
  static constexpr std::uintptr_t kStep = 16;

  Error unknown(const Handle* handle) const {
    return {ErrorKind::closed, fmt::format("the {} {} was freed, or never was one", what_,
                                           static_cast<const void*>(handle))};
  }

  std::string_view what_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uintptr_t, std::shared_ptr<Object>> objects_;
  std::uintptr_t last_ = 0;
};

/// Never destroyed: at the end of the process other threads may be evaluating, and the system takes
/// everything back by itself.
auto& kernels() {
  static auto* const all = new Handles<Kernel, ANEKernelHandle>("kernel");
  return *all;
}

struct Plan {
  explicit Plan(WeightPlan read) : plan(std::move(read)) {
    for (const PlannedInput& input : plan.inputs) {
      for (const PlannedPart& part : input.parts) parts.push_back(&part);
    }
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  WeightPlan plan;
  std::vector<const PlannedPart*> parts;
};

auto& plans() {
  static auto* const all = new Handles<Plan, ANEWeightPlan>("plan");
  return *all;
}

std::atomic<int> compile_count{0};

/// Calls `body` with the kernel, which gives an Error.
template <class Body>
bool with_kernel(const ANEKernelHandle* handle, Body body) {
  return succeeds([&]() -> Error {
    const Result<std::shared_ptr<Kernel>> kernel = kernels().find(handle);
    return kernel ? body(**kernel) : kernel.error();
  });
}

Error check_index(int index, std::size_t count, std::string_view what) {
  if (index >= 0 && static_cast<std::size_t>(index) < count) return {};
  return bad_argument(
      fmt::format("{} {} is asked for, and the kernel has {}", what, index, counted(count, what)));
}

// --- Compiling ---

/// Where this process keeps what it compiled when no folder is named: its own, removed at its end.
Result<std::string> process_cache() {
  static const Result<ProgramFolder> folder = ProgramFolder::create_private("");
  if (!folder) return folder.error();
  return folder->path();
}

Result<CacheOptions> cache_options() {
  CacheOptions cache{.enabled = true};
  const char* named = std::getenv("MILGEN_ANE_CACHE");  // NOLINT(concurrency-mt-unsafe)
  if (named != nullptr && *named != '\0') return cache;
  Result<std::string> folder = process_cache();
  if (!folder) return folder.error();
  cache.folder = *std::move(folder);
  return cache;
}

/// What a compile function was given, in C's own terms.
struct CompileRequest {
  const char* text = nullptr;
  std::size_t text_bytes = 0;
  int inputs = 0;
  const std::size_t* input_sizes = nullptr;
  int weight_inputs = 0;
  const std::size_t* weight_input_sizes = nullptr;
  int outputs = 0;
  const std::size_t* output_sizes = nullptr;
  std::vector<WeightFileBytes> weights = {};

  std::string_view mil() const { return {text, text_bytes}; }
};

Error check_array(std::string_view what, int count, const void* array) {
  if (count < 0) return bad_argument(fmt::format("the number of {} is {}", what, count));
  if (count > 0 && array == nullptr) {
    return bad_argument(fmt::format("there are {} {}, and their array is NULL", count, what));
  }
  return {};
}

Error check_arrays(const CompileRequest& request) {
  if (request.text == nullptr) return bad_argument("the MIL text is NULL");
  if (Error error = check_array("inputs", request.inputs, request.input_sizes)) return error;
  if (Error error = check_array("weights", request.weight_inputs, request.weight_input_sizes)) {
    return error;
  }
  return check_array("outputs", request.outputs, request.output_sizes);
}

Error check_sizes(std::string_view what, std::span<const TensorLayout> declared,
                  std::span<const std::size_t> sizes) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const TensorLayout& layout = declared[i];
    if (std::cmp_equal(sizes[i], layout.logical_bytes())) continue;
    return bad_argument(fmt::format("{} {} ('{}') is {} of {} bytes, but its size is given as {}",
                                    what, i, printable(layout.name),
                                    tensor_text(layout.dtype, layout.shape), layout.logical_bytes(),
                                    sizes[i]));
  }
  return {};
}

Error check_count(std::string_view what, std::size_t declared, std::size_t given) {
  if (declared == given) return {};
  return bad_argument(
      fmt::format("the program has {}, but {} are given", counted(declared, what), given));
}

/// Holds numbers and sizes against the declaration.
Error check_declaration(const CompileRequest& request, const Declaration& declaration) {
  const std::span inputs(request.input_sizes, static_cast<std::size_t>(request.inputs));
  const std::span weights(request.weight_input_sizes,
                          static_cast<std::size_t>(request.weight_inputs));
  const std::span outputs(request.output_sizes, static_cast<std::size_t>(request.outputs));
  const std::size_t given = inputs.size() + weights.size();
  if (Error error = check_count("input", declaration.inputs.size(), given)) return error;
  if (Error error = check_count("output", declaration.outputs.size(), outputs.size())) return error;
  const std::span<const TensorLayout> declared = declaration.inputs;
  if (Error error = check_sizes("input", declared, inputs)) return error;
  if (Error error = check_sizes("weight", declared.subspan(inputs.size()), weights)) return error;
  return check_sizes("output", declaration.outputs, outputs);
}

/// Every path that the text names must have been given: nothing is looked up on the disk.
Error check_weights_given(const Module& module, std::span<const WeightFileBytes> given) {
  for (const WeightReference& reference : weight_references(module)) {
    const auto is_it = [&](const WeightFileBytes& file) { return file.path == reference.path; };
    if (std::ranges::any_of(given, is_it)) continue;
    return {ErrorKind::weights,
            fmt::format("the program wants the weight file '{}', which is not among the {} given",
                        printable(reference.path), given.size())};
  }
  return {};
}

WeightFileBytes copy_weight(std::string path, const std::uint8_t* data, std::size_t size) {
  if (size > std::numeric_limits<std::ptrdiff_t>::max()) throw std::bad_alloc();
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  return {std::move(path), std::make_shared<const std::vector<std::byte>>(bytes, bytes + size)};
}

Result<Module> parse(const CompileRequest& request, Diagnostics& diagnostics) {
  if (Error error = check_arrays(request)) return error;
  Module module = parse_mil(request.mil(), diagnostics);
  if (diagnostics.has_errors()) return text_error(diagnostics, 0);
  return module;
}

Result<ANEKernelHandle*> compile(const CompileRequest& request, const Module& module) {
  Diagnostics diagnostics;
  if (module.functions().empty()) return Error(ErrorKind::text, "the program has no function");
  const Result<Declaration> declaration = declare(module.functions()[0], diagnostics);
  if (!declaration) return declaration.error();
  if (Error error = check_declaration(request, *declaration)) return error;
  if (Error error = check_weights_given(module, request.weights)) return error;
  const Result<Engine> engine = Engine::open();
  if (!engine) return engine.error();
  const Result<CacheOptions> cache = cache_options();
  if (!cache) return cache.error();

  ModelOptions options;
  options.weights = request.weights;
  options.cache = *cache;
  Result<Model> model = Model::compile(*engine, request.mil(), "<text>", options, diagnostics);
  if (!model) return model.error();
  if (!model->stats().cached) ++compile_count;
  auto kernel = std::make_shared<Kernel>();
  kernel->model = *std::move(model);
  kernel->activations = static_cast<std::size_t>(request.inputs);
  return kernels().add(std::move(kernel));
}

/// Parses and compiles; `add_weights` puts the weight files into the request, for which it may look
/// at the module.
template <class AddWeights>
ANEKernelHandle* compile(CompileRequest request, AddWeights add_weights) {
  ANEKernelHandle* handle = nullptr;
  succeeds([&]() -> Error {
    Diagnostics diagnostics;
    const Result<Module> module = parse(request, diagnostics);
    if (!module) return module.error();
    if (Error error = add_weights(*module, request)) return error;
    const Result<ANEKernelHandle*> compiled = compile(request, *module);
    if (compiled) handle = *compiled;
    return compiled.error();
  });
  return handle;
}

/// The path that the text names, and the one that is usual where it names none: the file is then
/// of no use, and no harm.
std::string only_weight_path(const Module& module) {
  const std::vector<WeightReference> references = weight_references(module);
  return references.empty() ? "@model_path/weights/weight.bin" : references.front().path;
}

// --- Moving values ---

template <class Value>
Result<std::span<Value>> values(Value* data, std::size_t count) {
  if (data == nullptr && count > 0) {
    return bad_argument(fmt::format("the data is NULL, of {} values", count));
  }
  return std::span<Value>(data, count);
}

Result<std::span<const std::byte>> packed_bytes(const void* data, std::size_t bytes) {
  return values(static_cast<const std::byte*>(data), bytes);
}

bool same_for_engine(const TensorLayout& a, const TensorLayout& b) {
  return a.dtype == b.dtype && a.batches == b.batches && a.channels == b.channels &&
         a.depth == b.depth && a.height == b.height && a.width == b.width;
}

Error copy_between(Kernel& source, int output, Kernel& target, int input) {
  if (Error error = check_index(output, source.model.outputs().size(), "output")) return error;
  if (Error error = check_index(input, target.activations, "input")) return error;
  const TensorLayout& from = source.model.outputs()[static_cast<std::size_t>(output)];
  const TensorLayout& to = target.model.inputs()[static_cast<std::size_t>(input)];
  if (same_for_engine(from, to)) return copy_io(source.model, output, target.model, input);
  return bad_argument(fmt::format("output {} ('{}') is {}, but input {} ('{}') is {}", output,
                                  printable(from.name), tensor_text(from.dtype, from.shape), input,
                                  printable(to.name), tensor_text(to.dtype, to.shape)));
}

// --- Plans ---

/// What `get` makes of a plan, which gives a Result; `failed` and the error otherwise.
template <class Value, class Get>
Value of_plan(const ANEWeightPlan* handle, Value failed, Get get) {
  Value value = failed;
  succeeds([&]() -> Error {
    const Result<std::shared_ptr<Plan>> plan = plans().find(handle);
    if (!plan) return plan.error();
    const Result<Value> got = get(**plan);
    if (got) value = *got;
    return got.error();
  });
  return value;
}

Result<std::size_t> elements_of(const Shape& shape) {
  std::int64_t count = 0;
  if (element_count(shape, count)) return static_cast<std::size_t>(count);
  return bad_argument(fmt::format("the shape {} is not known", to_string(shape)));
}

// --- Real time ---

/// The task of the process, which begins with the first ane_bridge_begin_realtime() and ends with
/// the last end.
struct RealTime {
  std::mutex mutex;
  std::optional<RealTimeTask> task;
  int depth = 0;

  Error begin() {
    if (kernels().empty()) {
      return {ErrorKind::argument, "there is no kernel, and a real-time task needs one"};
    }
    const std::lock_guard lock(mutex);
    if (depth == 0) {
      const Result<Engine> engine = Engine::open();
      if (!engine) return engine.error();
      Result<RealTimeTask> begun = RealTimeTask::begin(*engine);
      if (!begun) return begun.error();
      task = *std::move(begun);
    }
    ++depth;
    return {};
  }

  Error end() {
    const std::lock_guard lock(mutex);
    if (depth == 0) return {ErrorKind::argument, "no real-time task was begun"};
    if (--depth > 0) return {};
    const Error error = task->end();
    task.reset();
    return error;
  }
};

RealTime& real_time() {
  static auto* const one = new RealTime;
  return *one;
}

// --- Weight files ---

/// Memory that ane_bridge_free_blob() frees.
using Blob = std::unique_ptr<std::uint8_t, void (*)(void*)>;

Blob make_blob(std::size_t bytes) {
  Blob blob(static_cast<std::uint8_t*>(std::malloc(bytes)), std::free);
  if (blob == nullptr) throw std::bad_alloc();
  return blob;
}

struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t elements() const { return rows * columns; }
};

Result<Matrix> check_matrix(const void* source, int rows, int columns, const void* out) {
  if (source == nullptr) return bad_argument("the values are NULL");
  if (out == nullptr) return bad_argument("the place for the length is NULL");
  if (rows < 1 || columns < 1) {
    return bad_argument(
        fmt::format("the matrix is [{}, {}], and both must be at least 1", rows, columns));
  }
  return Matrix{static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)};
}

/// Makes a blob by `fill(matrix, bytes)`, which gives an Error, of `header + elements * width`
/// bytes.
template <class Fill>
std::uint8_t* build_blob(const void* source, int rows, int columns, std::size_t* out_bytes,
                         std::size_t header, std::size_t width, Fill fill) {
  if (out_bytes != nullptr) *out_bytes = 0;
  std::uint8_t* made = nullptr;
  succeeds([&]() -> Error {
    const Result<Matrix> matrix = check_matrix(source, rows, columns, out_bytes);
    if (!matrix) return matrix.error();
    const std::size_t bytes = header + matrix->elements() * width;
    Blob blob = make_blob(bytes);
    if (Error error = fill(*matrix, std::span(blob.get(), bytes))) return error;
    *out_bytes = bytes;
    made = blob.release();
    return {};
  });
  return made;
}

std::uint8_t* build_half_blob(const float* source, int rows, int columns, bool transposed,
                              std::size_t* out_bytes) {
  constexpr std::size_t kHeader = kWeightHeaderBytes + kWeightRecordBytes;
  return build_blob(source, rows, columns, out_bytes, kHeader, 2,
                    [&](const Matrix& matrix, std::span<std::uint8_t> bytes) -> Error {
                      // It warns of values beyond the range of fp16, which become infinite: not a
                      // failure here.
                      Diagnostics diagnostics;
                      const bool made = half_weight_file(
                          "src", {source, matrix.elements()}, matrix.rows, matrix.columns,
                          transposed, std::as_writable_bytes(bytes), diagnostics);
                      return made ? Error() : bad_argument(diagnostics.all().front().message);
                    });
}

constexpr std::size_t kInt8HeaderBytes = 64;

/// The record that is in front of int8 values, and nothing else: as the field writes it.
void put_int8_header(std::span<std::uint8_t> bytes) {
  constexpr std::uint8_t kStart[] = {0xEF, 0xBE, 0xAD, 0xDE, 0x01};
  std::ranges::fill(bytes.first(kInt8HeaderBytes), std::uint8_t{0});
  std::ranges::copy(kStart, bytes.begin());
  bytes[10] = 0x08;
}

/// The largest magnitude; an error for a value that is none.
Result<float> largest(std::span<const float> values) {
  float most = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return bad_argument(
          fmt::format("value {} is {}, and only finite ones can be scaled", i, values[i]));
    }
    most = std::max(most, std::fabs(values[i]));
  }
  return most;
}

/// std::round() takes halves away from zero.
std::uint8_t quantized(float value, float scale) {
  const float steps = std::clamp(std::round(value / scale), -127.0F, 127.0F);
  return static_cast<std::uint8_t>(static_cast<std::int8_t>(steps));
}

}  // namespace
}  // namespace milgen::ane

// --- The functions ---

using namespace milgen::ane;  // NOLINT(google-build-using-namespace): they are C's own names

extern "C" {

int ane_bridge_init(void) {
  return succeeds([] { return Engine::open().error(); }) ? 0 : -1;
}

const char* ane_bridge_last_error(void) { return last_error().c_str(); }

ANEKernelHandle* ane_bridge_compile(const char* mil_text, size_t mil_len,
                                    const uint8_t* weight_data, size_t weight_len, int n_inputs,
                                    const size_t* input_sizes, int n_outputs,
                                    const size_t* output_sizes) {
  const CompileRequest request = {.text = mil_text,
                                  .text_bytes = mil_len,
                                  .inputs = n_inputs,
                                  .input_sizes = input_sizes,
                                  .outputs = n_outputs,
                                  .output_sizes = output_sizes};
  return compile(request, [&](const milgen::Module& module, CompileRequest& to) -> Error {
    if (weight_data == nullptr && weight_len > 0) {
      return bad_argument(fmt::format("the weights are NULL, of {} bytes", weight_len));
    }
    if (weight_data != nullptr) {
      to.weights.push_back(copy_weight(only_weight_path(module), weight_data, weight_len));
    }
    return {};
  });
}

ANEKernelHandle* ane_bridge_compile_multi_weights(const char* mil_text, size_t mil_len,
                                                  const char** weight_names,
                                                  const uint8_t** weight_datas,
                                                  const size_t* weight_lens, int n_weights,
                                                  int n_inputs, const size_t* input_sizes,
                                                  int n_outputs, const size_t* output_sizes) {
  const CompileRequest request = {.text = mil_text,
                                  .text_bytes = mil_len,
                                  .inputs = n_inputs,
                                  .input_sizes = input_sizes,
                                  .outputs = n_outputs,
                                  .output_sizes = output_sizes};
  return compile(request, [&](const milgen::Module&, CompileRequest& to) -> Error {
    for (const void* array :
         {static_cast<const void*>(weight_names), static_cast<const void*>(weight_datas),
          static_cast<const void*>(weight_lens)}) {
      if (Error error = check_array("weight files", n_weights, array)) return error;
    }
    for (int i = 0; i < n_weights; ++i) {
      if (weight_names[i] == nullptr || weight_datas[i] == nullptr) {
        return bad_argument(fmt::format("the {} of weight file {} is NULL",
                                        weight_names[i] == nullptr ? "name" : "data", i));
      }
      to.weights.push_back(copy_weight(weight_names[i], weight_datas[i], weight_lens[i]));
    }
    return {};
  });
}

ANEKernelHandle* ane_bridge_compile_dyn(const char* mil_text, size_t mil_len, int n_inputs,
                                        const size_t* input_sizes, int n_weights,
                                        const size_t* weight_sizes, size_t output_size) {
  const CompileRequest request = {.text = mil_text,
                                  .text_bytes = mil_len,
                                  .inputs = n_inputs,
                                  .input_sizes = input_sizes,
                                  .weight_inputs = n_weights,
                                  .weight_input_sizes = weight_sizes,
                                  .outputs = 1,
                                  .output_sizes = &output_size};
  return compile(request, [](const milgen::Module&, CompileRequest&) { return Error(); });
}

void ane_bridge_free(ANEKernelHandle* kernel) {
  succeeds([&]() -> Error {
    if (kernel == nullptr) return {};
    return kernels().take(kernel).error();
  });
}

int ane_bridge_get_compile_count(void) {
  last_error().clear();
  return compile_count;
}

void ane_bridge_reset_compile_count(void) {
  last_error().clear();
  compile_count = 0;
}

bool ane_bridge_eval(ANEKernelHandle* kernel) {
  return with_kernel(kernel, [](Kernel& found) { return found.model.evaluate(); });
}

bool ane_bridge_run(ANEKernelHandle* kernel) { return ane_bridge_eval(kernel); }

void ane_bridge_write_input(ANEKernelHandle* kernel, int idx, const void* data, size_t bytes) {
  with_kernel(kernel, [&](Kernel& found) -> Error {
    if (Error error = check_index(idx, found.activations, "input")) return error;
    const auto packed = packed_bytes(data, bytes);
    return packed ? found.model.write_packed(idx, *packed) : packed.error();
  });
}

void ane_bridge_read_output(ANEKernelHandle* kernel, int idx, void* data, size_t bytes) {
  with_kernel(kernel, [&](Kernel& found) -> Error {
    if (Error error = check_index(idx, found.model.outputs().size(), "output")) return error;
    const auto packed = values(static_cast<std::byte*>(data), bytes);
    return packed ? found.model.read_packed(idx, *packed) : packed.error();
  });
}

void ane_bridge_write_weight(ANEKernelHandle* kernel, int idx, const void* fp16_data,
                             size_t bytes) {
  with_kernel(kernel, [&](Kernel& found) -> Error {
    if (Error error = check_index(idx, found.weights(), "weight")) return error;
    const auto packed = packed_bytes(fp16_data, bytes);
    return packed ? found.model.write_packed(found.weight_port(idx), *packed) : packed.error();
  });
}

void ane_bridge_write_weight_f32(ANEKernelHandle* kernel, int idx, const float* fp32_data,
                                 size_t count) {
  with_kernel(kernel, [&](Kernel& found) -> Error {
    if (Error error = check_index(idx, found.weights(), "weight")) return error;
    const auto floats = values(fp32_data, count);
    return floats ? found.model.write_fp32(found.weight_port(idx), *floats) : floats.error();
  });
}

void ane_bridge_copy_io(ANEKernelHandle* src, int src_out_idx, ANEKernelHandle* dst,
                        int dst_in_idx) {
  with_kernel(src, [&](Kernel& source) -> Error {
    const auto target = kernels().find(dst);
    return target ? copy_between(source, src_out_idx, **target, dst_in_idx) : target.error();
  });
}

void ane_bridge_begin_realtime(void) {
  succeeds([] { return real_time().begin(); });
}

void ane_bridge_end_realtime(void) {
  succeeds([] { return real_time().end(); });
}

ANEWeightPlan* ane_bridge_read_plan(const char* text, size_t len) {
  ANEWeightPlan* handle = nullptr;
  succeeds([&]() -> Error {
    if (text == nullptr) return bad_argument("the plan's text is NULL");
    milgen::WeightPlan plan;
    milgen::Diagnostics diagnostics;
    if (!milgen::read_plan({text, len}, "<plan>", plan, diagnostics)) {
      const milgen::Diagnostic& first = diagnostics.all().front();
      return {ErrorKind::text,
              fmt::format("line {} of the plan: {}", first.place.line, first.message)};
    }
    handle = plans().add(std::make_shared<Plan>(std::move(plan)));
    return {};
  });
  return handle;
}

void ane_bridge_free_plan(ANEWeightPlan* plan) {
  succeeds([&]() -> Error {
    if (plan == nullptr) return {};
    return plans().take(plan).error();
  });
}

int ane_bridge_plan_inputs(ANEWeightPlan* plan) {
  return of_plan(plan, -1, [](const Plan& found) {
    return Result<int>(static_cast<int>(found.plan.inputs.size()));
  });
}

size_t ane_bridge_plan_input_bytes(ANEWeightPlan* plan, int idx) {
  return of_plan(plan, std::size_t{0}, [&](const Plan& found) -> Result<std::size_t> {
    if (Error error = check_index(idx, found.plan.inputs.size(), "input")) return error;
    const milgen::PlannedInput& input = found.plan.inputs[static_cast<std::size_t>(idx)];
    const Result<std::size_t> elements = elements_of(input.shape);
    if (!elements) return elements.error();
    return *elements * milgen::element_bytes(input.dtype);
  });
}

int ane_bridge_plan_parts(ANEWeightPlan* plan) {
  return of_plan(plan, -1, [](const Plan& found) {
    return Result<int>(static_cast<int>(found.parts.size()));
  });
}

const char* ane_bridge_plan_part_name(ANEWeightPlan* plan, int idx) {
  return of_plan<const char*>(plan, nullptr, [&](const Plan& found) -> Result<const char*> {
    if (Error error = check_index(idx, found.parts.size(), "part")) return error;
    return found.parts[static_cast<std::size_t>(idx)]->name.c_str();
  });
}

size_t ane_bridge_plan_part_elements(ANEWeightPlan* plan, int idx) {
  return of_plan(plan, std::size_t{0}, [&](const Plan& found) -> Result<std::size_t> {
    if (Error error = check_index(idx, found.parts.size(), "part")) return error;
    return elements_of(found.parts[static_cast<std::size_t>(idx)]->shape);
  });
}

bool ane_bridge_write_planned(ANEKernelHandle* kernel, ANEWeightPlan* plan, const char* part,
                              const float* values_of_part, size_t count, bool transposed) {
  return with_kernel(kernel, [&](Kernel& found) -> Error {
    const auto planned = plans().find(plan);
    if (!planned) return planned.error();
    if (part == nullptr) return bad_argument("the name of the part is NULL");
    const auto floats = values(values_of_part, count);
    if (!floats) return floats.error();
    return write_part(found.model, (*planned)->plan, part, *floats,
                      transposed ? milgen::Transposed::yes : milgen::Transposed::no);
  });
}

uint8_t* ane_bridge_build_weight_blob(const float* src, int rows, int cols, size_t* out_len) {
  return build_half_blob(src, rows, cols, false, out_len);
}

uint8_t* ane_bridge_build_weight_blob_transposed(const float* src, int rows, int cols,
                                                 size_t* out_len) {
  return build_half_blob(src, rows, cols, true, out_len);
}

uint8_t* ane_bridge_build_weight_blob_int8(const int8_t* src, int rows, int cols, size_t* out_len) {
  return build_blob(src, rows, cols, out_len, kInt8HeaderBytes, 1,
                    [&](const Matrix& matrix, std::span<std::uint8_t> bytes) -> Error {
                      put_int8_header(bytes);
                      std::memcpy(bytes.data() + kInt8HeaderBytes, src, matrix.elements());
                      return {};
                    });
}

uint8_t* ane_bridge_build_weight_blob_quantized(const float* src, int rows, int cols,
                                                float* out_scale, size_t* out_len) {
  return build_blob(src, rows, cols, out_len, kInt8HeaderBytes, 1,
                    [&](const Matrix& matrix, std::span<std::uint8_t> bytes) -> Error {
                      if (out_scale == nullptr) {
                        return bad_argument("the place for the scale is NULL");
                      }
                      const std::span<const float> floats(src, matrix.elements());
                      const Result<float> most = largest(floats);
                      if (!most) return most.error();
                      const float scale = *most / 127.0F;
                      *out_scale = scale > 0 ? scale : 1.0F;
                      put_int8_header(bytes);
                      std::ranges::transform(
                          floats, bytes.begin() + kInt8HeaderBytes,
                          [&](float value) { return quantized(value, *out_scale); });
                      return {};
                    });
}

void ane_bridge_free_blob(void* ptr) {
  last_error().clear();
  std::free(ptr);
}

}  // extern "C"
