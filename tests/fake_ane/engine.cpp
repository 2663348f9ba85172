#include "engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "mil/weight_path.h"
#include "milgen/diagnostic.h"
#include "milgen/emit.h"
#include "milgen/module.h"
#include "milgen/op_info.h"

namespace milgen::fake_ane {
namespace {

/// In-memory programs take these (ane_constraints, IO-012 and IO-013); the 8 and 16 bit integers
/// are in what loaded models report of their symbols.
constexpr DTypeSet kIoDTypes(DType::boolean, DType::fp16, DType::fp32, DType::int8, DType::uint8,
                             DType::int16, DType::uint16);

constexpr std::size_t kMaxRank = 5;
/// No machine has a surface of this size, and products of strides below it cannot overflow.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

/// The first macOS that takes a text of the opset.
int first_os(Opset opset) { return static_cast<int>(opset) - 3; }

/// The errors, the first few of them, as one text.
std::string summary(const Diagnostics& diagnostics) {
  constexpr std::size_t kMost = 8;
  std::string text;
  std::size_t errors = 0;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    if (diagnostic.severity != Severity::error || ++errors > kMost) continue;
    text += fmt::format("{}{}: {} [{}]", text.empty() ? "" : "\n", diagnostic.place.line,
                        diagnostic.message, diagnostic.id);
  }
  if (errors > kMost) text += fmt::format("\nand {} more", errors - kMost);
  return text;
}

/// An input or output of a procedure, and what is bound to it at present.
struct Port {
  SymbolLayout layout;
  /// The values when the surface's rows have gaps or it is no place to work in.
  Array own;
  std::span<std::byte> bound;
  bool is_bound = false;
  /// The executable reads or writes the surface itself.
  bool direct = false;
};

bool refused(EngineError& error, std::string why) {
  return error.set(kCompileError, kCompileFailed, std::move(why));
}

bool check_opsets(const Module& module, const EngineOptions& options, EngineError& error) {
  for (const mil::Function function : module.functions()) {
    Opset opset = Opset::ios15;
    if (!opset_from_name(function.opset(), opset) || first_os(opset) <= options.os_major) continue;
    return refused(error, fmt::format("{} needs macOS {}, and this is {}", function.opset(),
                                      first_os(opset), options.os_major));
  }
  return true;
}

bool check_references(const Module& module, std::span<const WeightFileBytes> weights,
                      EngineError& error) {
  for (const WeightReference& reference : weight_references(module)) {
    const std::string_view fault = weight_path_fault(reference.path);
    if (!fault.empty()) {
      return refused(error, fmt::format("{} is in {}, {}", reference.name, reference.path, fault));
    }
    if (std::ranges::find(weights, reference.path, &WeightFileBytes::path) != weights.end()) {
      continue;
    }
    return refused(error, fmt::format("{} is in {}, which the weights do not have", reference.name,
                                      reference.path));
  }
  return true;
}

/// The inputs or outputs of a function, in the order of the symbol table.
bool make_ports(std::span<const TensorSpec> specs, const EngineOptions& options,
                std::string_view suffix, std::vector<Port>& ports, EngineError& error) {
  for (const TensorSpec& spec : specs) {
    Port port;
    std::string why;
    if (!make_layout(spec, options, port.layout, why)) return refused(error, std::move(why));
    port.layout.symbol.append(suffix);
    ports.push_back(std::move(port));
  }
  if (options.sorted_names) {
    std::ranges::sort(ports, {}, [](const Port& port) { return port.layout.name; });
  }
  return true;
}

std::vector<NamedArray> arrays_of(std::span<const Port> ports) {
  std::vector<NamedArray> arrays;
  for (const Port& port : ports) arrays.push_back({port.layout.name, Array()});
  return arrays;
}

bool wrong_symbols(EngineError& error, std::string_view what, std::size_t bound,
                   const std::vector<Port>& ports) {
  std::string symbols;
  for (const Port& port : ports) {
    symbols.append(symbols.empty() ? "" : ", ").append(port.layout.symbol);
  }
  return error.set(
      kInferenceError, kWrongSymbol,
      fmt::format("the {} {}s that are bound are not the symbols {}", bound, what, symbols));
}

bool check_surface(const BoundSurface& surface, const SymbolLayout& layout, EngineError& error) {
  if (surface.bytes.size() < static_cast<std::size_t>(layout.size_bytes)) {
    return error.set(kInferenceError, kInferenceFailed,
                     fmt::format("the surface of {} has {} bytes and takes {}", layout.symbol,
                                 surface.bytes.size(), layout.size_bytes));
  }
  if (surface.height > 1 && surface.row_bytes != static_cast<std::size_t>(layout.row_bytes)) {
    return error.set(kInferenceError, kInferenceFailed,
                     fmt::format("the surface of {} has rows of {} bytes and takes {}",
                                 layout.symbol, surface.row_bytes, layout.row_bytes));
  }
  return true;
}

/// Whether the values lie in the surface as an Array has them.
bool is_dense(const SymbolLayout& layout, std::span<const std::byte> bytes) {
  const bool gapless = layout.rows() == 1 || layout.row_bytes == layout.dense_row_bytes();
  return gapless && bytes.size() >= static_cast<std::size_t>(layout.size_bytes) &&
         reinterpret_cast<std::uintptr_t>(bytes.data()) % element_bytes(layout.dtype) == 0;
}

bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  return !a.empty() && !b.empty() && a.data() < b.data() + b.size() &&
         b.data() < a.data() + a.size();
}

/// Points a port and the array of its name to what is bound to it.
void point(Port& port, Array& array, bool direct) {
  port.direct = direct;
  const SymbolLayout& layout = port.layout;
  if (!direct) {
    if (!port.own) port.own = Array(layout.dtype, layout.shape);
    array = port.own;
    return;
  }
  const auto dense = static_cast<std::size_t>(layout.rows() * layout.dense_row_bytes());
  array = Array::borrow(layout.dtype, layout.shape, port.bound.first(dense));
}

/// The part of row `row` that lies inside of a surface.
std::size_t row_inside(const SymbolLayout& layout, std::span<const std::byte> surface,
                       std::size_t offset) {
  const auto row = static_cast<std::size_t>(layout.dense_row_bytes());
  return offset >= surface.size() ? 0 : std::min(row, surface.size() - offset);
}

void unpack(Port& port) {
  const SymbolLayout& layout = port.layout;
  std::byte* to = port.own.mutable_bytes().data();
  const auto row = static_cast<std::size_t>(layout.dense_row_bytes());
  std::size_t offset = 0;
  for (std::int64_t r = 0; r < layout.rows(); ++r) {
    const std::size_t inside = row_inside(layout, port.bound, offset);
    if (inside != 0) std::memcpy(to, port.bound.data() + offset, inside);
    if (inside != row) std::memset(to + inside, 0, row - inside);
    to += row;
    offset += static_cast<std::size_t>(layout.row_bytes);
  }
  if (layout.dtype != DType::boolean) return;
  // A client's byte may hold anything; a bool holds 0 or 1.
  for (std::byte& byte : port.own.mutable_bytes()) byte = std::byte{byte != std::byte{0}};
}

void pack(Port& port) {
  const SymbolLayout& layout = port.layout;
  const std::byte* from = port.own.bytes().data();
  std::size_t offset = 0;
  for (std::int64_t r = 0; r < layout.rows(); ++r) {
    const std::size_t inside = row_inside(layout, port.bound, offset);
    if (inside != 0) std::memcpy(port.bound.data() + offset, from, inside);
    from += layout.dense_row_bytes();
    offset += static_cast<std::size_t>(layout.row_bytes);
  }
}

}  // namespace

std::int64_t SymbolLayout::dense_row_bytes() const {
  return width * static_cast<std::int64_t>(element_bytes(dtype));
}

bool make_layout(const TensorSpec& spec, const EngineOptions& options, SymbolLayout& layout,
                 std::string& why) {
  const std::string type =
      fmt::format("tensor<{}, {}>", dtype_name(spec.dtype), to_string(spec.shape));
  if (spec.kind != ValueKind::tensor || !kIoDTypes.has(spec.dtype) ||
      (spec.dtype == DType::fp32 && !options.fp32_io)) {
    why = fmt::format("{} is {}, which is no type of a surface", spec.name, type);
    return false;
  }
  std::int64_t count = 0;
  if (spec.shape.size() > kMaxRank || !element_count(spec.shape, count) || count < 1 ||
      count > kMaxElements) {
    why = fmt::format("{} is {}, which no surface has room for", spec.name, type);
    return false;
  }
  layout = {.name = spec.name, .symbol = spec.name, .dtype = spec.dtype, .shape = spec.shape};
  // The last dims of all ranks mean the same; only rank 5 has a depth.
  std::vector<std::int64_t*> dims = {&layout.batches, &layout.channels, &layout.height,
                                     &layout.width};
  if (spec.shape.size() == kMaxRank) dims.insert(dims.begin() + 2, &layout.depth);
  for (std::size_t i = 0; i < spec.shape.size(); ++i) {
    *dims[dims.size() - spec.shape.size() + i] = spec.shape[i];
  }
  const std::int64_t pitch = options.row_pitch_bytes;
  layout.row_bytes = (layout.dense_row_bytes() + pitch - 1) / pitch * pitch;
  layout.depth_bytes = layout.height * layout.row_bytes;
  layout.plane_bytes = layout.depth * layout.depth_bytes;
  layout.batch_bytes = layout.channels * layout.plane_bytes;
  layout.size_bytes = layout.batches * layout.batch_bytes;
  return true;
}

struct LoadedProgram::Procedure {
  std::string name;
  std::uint64_t first_input = 0;
  std::uint64_t first_output = 0;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::unique_ptr<Executable> executable;
  /// As the ports, in their order.
  std::vector<NamedArray> input_arrays;
  std::vector<NamedArray> output_arrays;

  bool make(const EngineOptions& options, EngineError& error);
  void point_all();
  bool run(EngineError& error);
};

namespace {

/// Notes what is bound to each port. `changed` becomes true when that is not what was bound before.
bool bind(std::vector<Port>& ports, std::uint64_t first, std::span<const BoundSurface> surfaces,
          std::string_view what, bool strict, bool& changed, EngineError& error) {
  for (Port& port : ports) port.is_bound = false;
  if (strict && surfaces.size() != ports.size()) {
    return wrong_symbols(error, what, surfaces.size(), ports);
  }
  for (const BoundSurface& surface : surfaces) {
    const std::uint64_t index = surface.symbol - first;
    const bool is_symbol = surface.symbol >= first && index < ports.size();
    if (strict && (!is_symbol || ports[index].is_bound)) {
      return wrong_symbols(error, what, surfaces.size(), ports);
    }
    if (!is_symbol) continue;
    Port& port = ports[index];
    if (strict && !check_surface(surface, port.layout, error)) return false;
    changed |=
        port.bound.data() != surface.bytes.data() || port.bound.size() != surface.bytes.size();
    port.bound = surface.bytes;
    port.is_bound = true;
  }
  for (Port& port : ports) {
    if (port.is_bound || port.bound.empty()) continue;
    port.bound = {};
    changed = true;
  }
  return true;
}

}  // namespace

bool LoadedProgram::Procedure::make(const EngineOptions& options, EngineError& error) {
  if (!executable->states().empty()) {
    // ane_constraints, ST-002.
    return refused(error, fmt::format("{} has states, which the engine has no surfaces for", name));
  }
  if (!make_ports(executable->inputs(), options, "", inputs, error) ||
      !make_ports(executable->outputs(), options, "@output", outputs, error)) {
    return false;
  }
  input_arrays = arrays_of(inputs);
  output_arrays = arrays_of(outputs);
  point_all();
  return true;
}

void LoadedProgram::Procedure::point_all() {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Port& port = inputs[i];
    const bool direct = port.layout.dtype != DType::boolean && is_dense(port.layout, port.bound);
    point(port, input_arrays[i].array, direct);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Port& port = outputs[i];
    // What is written while an input or another output is in the same memory would change it.
    const auto shares = [&](const Port& other) {
      return &other != &port && overlap(other.bound, port.bound);
    };
    const bool alone =
        std::ranges::none_of(inputs, shares) && std::ranges::none_of(outputs, shares);
    point(port, output_arrays[i].array, alone && is_dense(port.layout, port.bound));
  }
}

bool LoadedProgram::Procedure::run(EngineError& error) {
  for (Port& port : inputs) {
    if (!port.direct) unpack(port);
  }
  Diagnostics diagnostics;
  if (!executable->run(input_arrays, output_arrays, diagnostics)) {
    return error.set(kInferenceError, kInferenceFailed, summary(diagnostics));
  }
  for (Port& port : outputs) {
    if (!port.direct) pack(port);
  }
  return true;
}

LoadedProgram::LoadedProgram() = default;
LoadedProgram::~LoadedProgram() = default;

std::unique_ptr<LoadedProgram> LoadedProgram::make(std::string_view text,
                                                   std::span<const WeightFileBytes> weights,
                                                   const EngineOptions& options,
                                                   EngineError& error) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics, {.file = "model.mil"});
  if (!module) {
    error.set(kCompileError, kParseFailed, summary(diagnostics));
    return nullptr;
  }
  if (!check_opsets(module, options, error) || !check_references(module, weights, error)) {
    return nullptr;
  }
  std::unique_ptr<LoadedProgram> program(new LoadedProgram);
  std::uint64_t first_input = 0;
  std::uint64_t first_output = 0;
  for (const mil::Function function : module.functions()) {
    Procedure& procedure = program->procedures_.emplace_back();
    procedure.name = function.name();
    procedure.first_input = first_input;
    procedure.first_output = first_output;
    procedure.executable = cpu_backend().compile(
        module,
        {.function = procedure.name, .threads = 1, .weights = {weights.begin(), weights.end()}},
        diagnostics);
    if (procedure.executable == nullptr) {
      refused(error, summary(diagnostics));
      return nullptr;
    }
    if (!procedure.make(options, error)) return nullptr;
    first_input += procedure.inputs.size();
    first_output += procedure.outputs.size();
  }
  if (program->procedures_.empty()) {
    refused(error, "the text has no function");
    return nullptr;
  }
  return program;
}

bool compile_program(const ModelSource& source, const EngineOptions& options, EngineError& error) {
  return check_folder(source, error) &&
         LoadedProgram::make(source.text, source.weights, options, error) != nullptr &&
         write_compiled(source, error);
}

std::unique_ptr<LoadedProgram> LoadedProgram::load(const std::string& folder, std::string_view text,
                                                   std::string_view weights_digest,
                                                   const EngineOptions& options,
                                                   EngineError& error) {
  std::vector<WeightFileBytes> weights;
  if (!read_compiled(folder, text_hash(text), weights_digest, options.rewritten_weights_count,
                     weights, error)) {
    return nullptr;
  }
  std::unique_ptr<LoadedProgram> program = make(text, weights, options, error);
  // Weights that were rewritten need not be any that the compiler would have taken.
  if (program == nullptr) error.set(kLoadError, kLoadFailed, error.detail);
  return program;
}

std::size_t LoadedProgram::procedure_count() const { return procedures_.size(); }

std::string_view LoadedProgram::procedure_name(std::size_t procedure) const {
  return procedures_[procedure].name;
}

namespace {

std::vector<const SymbolLayout*> layouts_of(const std::vector<Port>& ports) {
  std::vector<const SymbolLayout*> layouts;
  for (const Port& port : ports) layouts.push_back(&port.layout);
  return layouts;
}

}  // namespace

std::vector<const SymbolLayout*> LoadedProgram::inputs(std::size_t procedure) const {
  return layouts_of(procedures_[procedure].inputs);
}

std::vector<const SymbolLayout*> LoadedProgram::outputs(std::size_t procedure) const {
  return layouts_of(procedures_[procedure].outputs);
}

std::uint64_t LoadedProgram::first_input(std::size_t procedure) const {
  return procedures_[procedure].first_input;
}

std::uint64_t LoadedProgram::first_output(std::size_t procedure) const {
  return procedures_[procedure].first_output;
}

bool LoadedProgram::evaluate(std::size_t procedure, std::span<const BoundSurface> inputs,
                             std::span<const BoundSurface> outputs, bool strict,
                             EngineError& error) {
  const std::scoped_lock lock(mutex_);
  if (procedure >= procedures_.size()) {
    return error.set(
        kInferenceError, kWrongSymbol,
        fmt::format("procedure {} is asked for, and there are {}", procedure, procedures_.size()));
  }
  Procedure& running = procedures_[procedure];
  bool changed = false;
  if (!bind(running.inputs, running.first_input, inputs, "input", strict, changed, error) ||
      !bind(running.outputs, running.first_output, outputs, "output", strict, changed, error)) {
    // Ports have been bound in part, to surfaces that need not be there at the next call.
    for (Port& port : running.inputs) port.bound = {};
    for (Port& port : running.outputs) port.bound = {};
    running.point_all();
    return false;
  }
  if (changed) running.point_all();
  return running.run(error);
}

}  // namespace milgen::fake_ane
