#include "ane/bring_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "ane/bound.h"
#include "ane/foundation.h"
#include "support/files.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kDumpVariable = "MILGEN_ANE_DUMP";
/// "default": programs lie where the runtime looks by itself, as most users of it have them
/// (ane_runtime, 4.3), for systems that do not heed -setModelURL:.
constexpr std::string_view kFolderVariable = "MILGEN_ANE_FOLDER";
/// In a folder of the cache: that what is in it was compiled and could be loaded. For systems that
/// cannot be asked.
constexpr std::string_view kMarkerFile = "/milgen.compiled";

/// Adds the time until its end to `ns`.
class Timer {
 public:
  explicit Timer(std::uint64_t& ns) : ns_(ns) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_);
    ns_ += static_cast<std::uint64_t>(ns.count());
  }

 private:
  std::uint64_t& ns_;
  Clock::time_point begin_ = Clock::now();
};

// --- Steps that both ways share ---

/// Asks the budget and compiles.
Error compile_within_budget(const std::shared_ptr<ModelState>& state) {
  Budget& budget = state->runtime().budget;
  std::chrono::nanoseconds waited{0};
  Error error = budget.take(waited);
  state->stats.pause_ns += static_cast<std::uint64_t>(waited.count());
  if (error) return error;
  const Timer timer(state->stats.compile_ns);
  error = call_bounded(state, compile_now, "compile", state->options.compile_timeout);
  budget.ended(!error);
  return error;
}

/// Loads, and tries once more after a pause (ane_runtime, 4.4).
Error load_twice(const std::shared_ptr<ModelState>& state) {
  const Timer timer(state->stats.load_ns);
  ++state->stats.load_attempts;
  Error error = call_bounded(state, load_now, "load", state->options.load_timeout);
  if (!error || error.kind() != ErrorKind::load) return error;
  std::this_thread::sleep_for(state->options.load_pause);
  ++state->stats.load_attempts;
  return call_bounded(state, load_now, "load", state->options.load_timeout);
}

Error map_now(ModelState& state) { return map_request(state, state.request); }

/// Surfaces and a request for a model that is bound.
Error attach_surfaces(const std::shared_ptr<ModelState>& state) {
  Result<std::vector<Surface>> inputs = make_surfaces(*state, state->inputs);
  if (!inputs) return inputs.error();
  Result<std::vector<Surface>> outputs = make_surfaces(*state, state->outputs);
  if (!outputs) return outputs.error();
  state->input_surfaces = *std::move(inputs);
  state->output_surfaces = *std::move(outputs);
  const Timer timer(state->stats.map_ns);
  Result<Request> request = make_request(*state, state->input_surfaces, state->output_surfaces);
  if (!request) return request.error();
  state->request = *std::move(request);
  return call_bounded(state, map_now, "map the surfaces of", state->options.load_timeout);
}

/// What both ways begin with.
std::shared_ptr<ModelState> begin(const Engine& engine, std::string name,
                                  const ModelOptions& options) {
  std::shared_ptr<ModelState> state = ModelState::create(engine);
  state->name = std::move(name);
  state->options = options;
  state->options.weights.clear();
  state->call_options =
      Ref::retain(state->platform(), ns_options(state->platform(), options.options));
  return state;
}

/// Without this all options would be passed over for one that cannot be told.
Error check_options(const ModelState& state) {
  if (state.call_options) return {};
  return {ErrorKind::argument,
          fmt::format("the options of {} make no dictionary", printable(state.name))};
}

/// A folder's URL is never nil: nobody knows what the runtime does without one.
Error no_url(const std::string& folder) {
  return {ErrorKind::file,
          fmt::format("the path {} is no text that makes a URL", printable(folder))};
}

/// The connection for what goes through it; none where the system has none.
void connect(ModelState& state) {
  const EngineState& runtime = state.runtime();
  if (!runtime.has(Message::shared_connection)) return;
  state.client = Ref::retain(state.platform(), runtime.send_class<Id>(Message::shared_connection));
}

Error check_engine(const Engine& engine) {
  if (!engine) return {ErrorKind::unavailable, "the engine is not open"};
  return engine.state()->check_process();
}

// --- A program from its text ---

class TextBringUp {
 public:
  TextBringUp(const Engine& engine, ProgramSource source, const ModelOptions& options)
      : state_(begin(engine, source.name, options)),
        runtime_(state_->runtime()),
        source_(std::move(source)) {
    state_->weight_owner = source_.owner;
  }

  Result<std::shared_ptr<ModelState>> run() {
    Error error = check_options(*state_);
    if (!error) error = make_model();
    if (!error) error = dump();
    if (!error) error = open_folder();
    if (!error) error = write_files();
    if (!error) error = compile_and_load();
    // An engine that is still at it keeps the folder of the cache to itself.
    if (!state_->broken) state_->folder.unlock();
    if (!error) error = bind_and_attach();
    if (error) return error;
    return state_;
  }

 private:
  const Platform& platform() const { return state_->platform(); }

  Error none_made(Message message, std::string_view what) const {
    return Error(
        {.kind = ErrorKind::compile,
         .message = fmt::format("the engine makes no {} of {}", what, printable(state_->name)),
         .operation = std::string(message_text(message))});
  }

  /// The weights as the descriptor takes them: { path: { "offset": 0, "data": bytes } }
  /// (ane_runtime, 4.2). The bytes are not copied.
  Id weight_dictionary() const {
    std::vector<std::pair<std::string, Id>> entries;
    for (const ProgramWeight& weight : source_.weights) {
      const std::pair<std::string, Id> entry[] = {
          {"offset", ns_number(platform(), std::int64_t{0})},
          {"data", ns_data_no_copy(platform(), weight.bytes)}};
      entries.emplace_back(weight.path, ns_dictionary(platform(), entry));
    }
    return ns_dictionary(platform(), entries);
  }

  /// The compiler options as a property list in bytes; nil of none.
  Id options_plist() const {
    if (state_->options.compiler_options.empty()) return nullptr;
    const Id options = ns_options(platform(), state_->options.compiler_options);
    if (options == nullptr) return nullptr;
    constexpr std::uintptr_t kBinaryFormat = 200;
    Id error = nullptr;
    return platform().send<Id>(platform().objc_getClass("NSPropertyListSerialization"),
                               "dataWithPropertyList:format:options:error:", options, kBinaryFormat,
                               std::uintptr_t{0}, &error);
  }

  Error make_model() {
    const AutoreleasePool pool(platform());
    const Id plist = options_plist();
    if (plist == nullptr && !state_->options.compiler_options.empty()) {
      return {ErrorKind::argument, fmt::format("the compiler options of {} make no property list",
                                               printable(state_->name))};
    }
    const Id text = ns_data(platform(), std::as_bytes(std::span(source_.text)));
    const Id weights = weight_dictionary();
    if (weights == nullptr) {
      return {ErrorKind::weights,
              fmt::format("the weight files of {} make no dictionary", printable(state_->name))};
    }
    state_->descriptor = Ref::retain(
        platform(), runtime_.send_class<Id>(Message::descriptor_with_mil, text, weights, plist));
    if (!state_->descriptor) return none_made(Message::descriptor_with_mil, "descriptor");
    state_->in_memory = Ref::retain(
        platform(),
        runtime_.send_class<Id>(Message::model_with_descriptor, state_->descriptor.get()));
    if (!state_->in_memory) return none_made(Message::model_with_descriptor, "model");
    connect(*state_);
    state_->identifier =
        utf8(platform(), runtime_.send<Id>(state_->in_memory.get(), Message::hex_identifier));
    // Whatever it is, folders are called after it (ane_runtime, 4.3).
    if (state_->identifier.empty()) state_->identifier = key();
    return {};
  }

  std::string key() const {
    const DeviceInfo device = state_->engine.device();
    // The version names the build, too, where the device does not tell it alone.
    const std::string& build =
        device.build_version.empty() ? device.os_version : device.build_version;
    return cache_key(source_.text, source_.weights, state_->options, build, device.architecture);
  }

  Error dump() const {
    std::string folder = state_->options.dump_folder;
    const char* variable = std::getenv(kDumpVariable.data());
    if (folder.empty() && variable != nullptr) folder = variable;
    if (folder.empty()) return {};
    return dump_program(folder, state_->identifier, source_.text, source_.weights, state_->options);
  }

  /// Where NSTemporaryDirectory says, which is another place than $TMPDIR in sandboxes
  /// (ane_runtime, 4.3); "" where there is no such function.
  std::string temporary_folder() const {
    const AutoreleasePool pool(platform());
    if (platform().NSTemporaryDirectory == nullptr) return {};
    return utf8(platform(), platform().NSTemporaryDirectory());
  }

  bool chooses_folder() const {
    const char* variable = std::getenv(kFolderVariable.data());
    return runtime_.has(Message::set_model_url) &&
           (variable == nullptr || std::string_view(variable) != "default");
  }

  Result<ProgramFolder> choose_folder() const {
    const ModelOptions& options = state_->options;
    const std::chrono::milliseconds lock_timeout =
        options.compile_timeout.count() > 0
            ? std::min<std::chrono::milliseconds>(options.compile_timeout, kYear) +
                  std::min<std::chrono::milliseconds>(options.load_timeout, kYear)
            : std::chrono::hours(1);
    // A folder that the engine is not told is where it looks by itself, and no cache.
    if (!tells_folder_) {
      return ProgramFolder::open_shared(temporary_folder(), state_->identifier, lock_timeout);
    }
    if (!options.cache.enabled) return ProgramFolder::create_private(temporary_folder());
    const std::string cache = cache_folder(options.cache.folder);
    if (cache.empty()) {
      return Error(ErrorKind::cache,
                   "nothing says where the cache's folder is: neither "
                   "MILGEN_ANE_CACHE nor HOME is set");
    }
    return ProgramFolder::open_cached(cache, key(), lock_timeout);
  }

  Error open_folder() {
    Result<ProgramFolder> folder = choose_folder();
    if (!folder) return folder.error();
    state_->folder = *std::move(folder);
    if (!tells_folder_) return {};
    const AutoreleasePool pool(platform());
    const Id url = ns_file_url(platform(), state_->folder.path(), true);
    if (url == nullptr) return no_url(state_->folder.path());
    runtime_.send<void>(state_->in_memory.get(), Message::set_model_url, url);
    return {};
  }

  Error write_files() {
    const Timer timer(state_->stats.write_ns);
    return state_->folder.write(source_.text, source_.weights);
  }

  std::string marker() const { return state_->folder.path() + std::string(kMarkerFile); }

  bool is_compiled() const {
    if (!state_->folder.cached()) return false;
    if (runtime_.has(Message::compiled_model_exists)) {
      return runtime_.send<Bool>(state_->in_memory.get(), Message::compiled_model_exists);
    }
    std::error_code code;
    return std::filesystem::exists(marker(), code);
  }

  Error compile_and_load() {
    if (is_compiled()) {
      Error error = load_twice(state_);
      if (!error) {
        state_->stats.cached = true;
        runtime_.budget.loaded_from_cache();
        return {};
      }
      // Compiled exactly once more (oMLX, ane_runtime 4.8); what does not answer is not asked
      // again.
      if (error.kind() != ErrorKind::load) return error;
      if (error = forget_compiled(); error) return error;
      state_->stats.recompiled = true;
    }
    Error error = compile_within_budget(state_);
    if (!error) error = load_twice(state_);
    if (!state_->folder.cached()) return error;
    return error ? fail_cached(std::move(error)) : mark();
  }

  Error forget_compiled() {
    if (runtime_.has(Message::purge_compiled_model)) {
      const AutoreleasePool pool(platform());
      runtime_.send<void>(state_->in_memory.get(), Message::purge_compiled_model);
    }
    if (Error error = state_->folder.clear()) return error;
    return write_files();
  }

  /// Leaves nothing half-made in the cache, unless the engine is still at it.
  Error fail_cached(Error error) {
    if (!state_->broken) static_cast<void>(state_->folder.clear());
    return error;
  }

  Error mark() {
    if (runtime_.has(Message::compiled_model_exists)) return {};
    Diagnostics diagnostics;
    AtomicFile file;
    if (file.open(marker(), diagnostics) && file.write(state_->identifier, diagnostics) &&
        file.commit(diagnostics)) {
      return {};
    }
    return {ErrorKind::file, diagnostics.all().front().message};
  }

  Error bind_and_attach() {
    {
      const AutoreleasePool pool(platform());
      if (runtime_.has(Message::inner_model)) {
        state_->inner = Ref::retain(
            platform(), runtime_.send<Id>(state_->in_memory.get(), Message::inner_model));
      }
    }
    if (Error error = bind(*state_, std::move(source_.declaration))) return error;
    return attach_surfaces(state_);
  }

  std::shared_ptr<ModelState> state_;
  EngineState& runtime_;
  ProgramSource source_;
  /// Whether the program's folder is milgen's choice, which the engine is told.
  const bool tells_folder_ = chooses_folder();
};

// --- A package ---

/// The key that a model of a package is known by (go_ane_api: CompileOptions::ModelKey).
constexpr const char* kPackageKey = "s";

Error make_package_model(ModelState& state, const std::string& folder) {
  const EngineState& runtime = state.runtime();
  for (const Message message :
       {Message::shared_connection, Message::model_at_url, Message::client_compile,
        Message::client_load, Message::client_unload, Message::client_evaluate}) {
    if (!runtime.has(message)) return missing(runtime, message, "packages");
  }
  if (Error error = check_options(state)) return error;
  const AutoreleasePool pool(state.platform());
  const Id url = ns_file_url(state.platform(), folder, true);
  if (url == nullptr) return no_url(folder);
  connect(state);
  state.inner = Ref::retain(
      state.platform(),
      runtime.send_class<Id>(Message::model_at_url, url, ns_string(state.platform(), kPackageKey)));
  if (state.inner && state.client) return {};
  return {ErrorKind::load, fmt::format("the engine makes no {} for {}",
                                       state.client ? "model" : "connection", printable(folder))};
}

/// What the engine tells; `declared`, of the package's own text, where it tells nothing.
Error bind_package(ModelState& state, Declaration declared) {
  Result<Declaration> told = told_declaration(state);
  if (!told) return told.error();
  const bool tells = !told->inputs.empty() || !told->outputs.empty();
  if (!tells && declared.inputs.empty() && declared.outputs.empty()) {
    return {ErrorKind::package,
            fmt::format("neither the engine nor a model.mil in {} tells of inputs and outputs",
                        printable(state.name))};
  }
  return bind(state, tells ? *std::move(told) : std::move(declared));
}

}  // namespace

Result<std::shared_ptr<ModelState>> bring_up(const Engine& engine, ProgramSource source,
                                             const ModelOptions& options) {
  if (Error error = check_engine(engine)) return error;
  const AutoreleasePool pool(*engine.state()->platform);
  std::uint64_t total_ns = 0;
  const auto timed = [&] {
    const Timer timer(total_ns);
    return TextBringUp(engine, std::move(source), options).run();
  };
  Result<std::shared_ptr<ModelState>> state = timed();
  if (state) (*state)->stats.total_ns = total_ns;
  return state;
}

Result<std::shared_ptr<ModelState>> bring_up_package(const Engine& engine,
                                                     const std::string& folder,
                                                     Declaration declaration,
                                                     const ModelOptions& options) {
  if (Error error = check_engine(engine)) return error;
  const AutoreleasePool pool(*engine.state()->platform);
  const std::shared_ptr<ModelState> state = begin(engine, folder, options);
  const Timer timer(state->stats.total_ns);
  state->from_package = true;
  state->identifier = folder;
  Error error = make_package_model(*state, folder);
  if (!error) error = compile_within_budget(state);
  if (!error) error = load_twice(state);
  if (!error) error = bind_package(*state, std::move(declaration));
  if (!error) error = attach_surfaces(state);
  if (error) return error;
  return state;
}

}  // namespace milgen::ane
