#include "milgen/ane/model.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "ane/bring_up.h"
#include "ane/foundation.h"
#include "ane/model_state.h"
#include "ane/program_source.h"
#include "milgen/print.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

/// All that bringing down takes but the model's worker, which may be the thread that asks for it.
Error let_go(ModelState& state) {
  const AutoreleasePool pool(state.platform());
  unmap_request_sets(state);
  unmap_request(state, state.request);
  state.request = {};
  Error error;
  const bool may_unload = !(state.from_package && state.evaluated_with_events);
  if (std::exchange(state.loaded, false) && may_unload) error = unload_now(state);
  state.inner = {};
  state.in_memory = {};
  state.descriptor = {};
  state.client = {};
  state.call_options = {};
  state.input_surfaces.clear();
  state.output_surfaces.clear();
  state.weight_owner.reset();
  state.folder = {};
  return error;
}

void dispose(ModelState* state) {
  if (state->runtime().check_process()) return;
  // Deleted when the engine's last call has come back.
  const std::shared_ptr<ModelState> owner(state);
  // Nobody is left to be told.
  static_cast<void>(owner->shut_down());
}

Result<std::shared_ptr<ModelState>> bring_up_module(const Engine& engine, const Module& module,
                                                    std::string text, std::string_view name,
                                                    const ModelOptions& options,
                                                    Diagnostics& diagnostics) {
  if (!engine) return Error(ErrorKind::unavailable, "the engine is not open");
  Result<ProgramSource> source = make_source(module, std::move(text), options, diagnostics);
  if (!source) return source.error();
  if (!name.empty()) source->name = name;
  return bring_up(engine, *std::move(source), options);
}

/// What model.mil in a package declares; nothing where there is none, or none that can be read.
Declaration package_declaration(const std::string& folder) {
  const std::string path = folder + "/model.mil";
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) return {};
  Diagnostics diagnostics;
  const Module module = read_mil(path, diagnostics);
  if (!module || module.functions().empty()) return {};
  Result<Declaration> declaration = declare(module.functions()[0], diagnostics);
  return declaration ? *std::move(declaration) : Declaration();
}

}  // namespace

std::shared_ptr<ModelState> ModelState::create(const Engine& engine) {
  std::shared_ptr<ModelState> state(new ModelState, dispose);
  state->engine = engine;
  return state;
}

Error ModelState::shut_down() {
  if (std::exchange(closed, true)) return {};
  worker.reset();
  // Of what is not loaded the engine is asked nothing.
  if (!loaded) return let_go(*this);
  Error error = call_bounded(shared_from_this(), let_go, "unload", options.load_timeout);
  return error.kind() == ErrorKind::unavailable ? let_go(*this) : error;
}

Result<Model> Model::compile(const Engine& engine, const Module& module,
                             const ModelOptions& options, Diagnostics& diagnostics) {
  Result<std::shared_ptr<ModelState>> state =
      bring_up_module(engine, module, print_mil(module), {}, options, diagnostics);
  if (!state) return state.error();
  return Model(*std::move(state));
}

Result<Model> Model::compile(const Engine& engine, std::string_view mil_text, std::string_view name,
                             const ModelOptions& options, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  ParseOptions parse_options;
  if (!name.empty()) parse_options.file = name;
  const Module module = parse_mil(mil_text, diagnostics, parse_options);
  if (!module) return text_error(diagnostics, errors_before);
  Result<std::shared_ptr<ModelState>> state =
      bring_up_module(engine, module, std::string(mil_text), name, options, diagnostics);
  if (!state) return state.error();
  return Model(*std::move(state));
}

Result<Model> Model::load_package(const Engine& engine, const std::string& folder,
                                  const ModelOptions& options, Diagnostics& diagnostics) {
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code)) {
    Error error(ErrorKind::file,
                fmt::format("{} is no folder, and a package is one", printable(folder)));
    report(error, diagnostics, Place(folder));
    return error;
  }
  Result<std::shared_ptr<ModelState>> state =
      bring_up_package(engine, folder, package_declaration(folder), options);
  if (!state) return state.error();
  return Model(*std::move(state));
}

Model& Model::operator=(Model&& other) noexcept {
  if (this == &other) return *this;
  static_cast<void>(close());
  state_ = std::move(other.state_);
  return *this;
}

Model::~Model() { static_cast<void>(close()); }

Error Model::close() {
  if (state_ == nullptr) return {};
  const ModelCall call(state_.get());
  // What never came back, or is the parent's, is not ended from here; what it uses stays.
  const ErrorKind kind = call.error().kind();
  if (kind == ErrorKind::closed || kind == ErrorKind::broken) return {};
  if (call.error()) return call.error();
  return state_->shut_down();
}

const Engine& Model::engine() const {
  static const Engine none;
  return state_ == nullptr ? none : state_->engine;
}

std::string_view Model::identifier() const {
  return state_ == nullptr ? std::string_view() : state_->identifier;
}

const CompileStats& Model::stats() const {
  static const CompileStats none;
  return state_ == nullptr ? none : state_->stats;
}

std::uint64_t Model::hardware_ns() const {
  return state_ == nullptr ? 0 : state_->hardware_ns.load();
}

const std::string& Model::folder() const {
  static const std::string none;
  if (state_ == nullptr) return none;
  return state_->from_package ? state_->identifier : state_->folder.path();
}

bool Model::from_package() const { return state_ != nullptr && state_->from_package; }
bool Model::bound_by_engine() const { return state_ != nullptr && state_->bound_by_engine; }

std::span<const TensorLayout> Model::inputs() const {
  return state_ == nullptr ? std::span<const TensorLayout>() : state_->inputs;
}
std::span<const TensorLayout> Model::outputs() const {
  return state_ == nullptr ? std::span<const TensorLayout>() : state_->outputs;
}

}  // namespace milgen::ane
