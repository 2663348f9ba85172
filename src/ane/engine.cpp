#include "milgen/ane/engine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "ane/engine_state.h"
#include "ane/foundation.h"

namespace milgen::ane {
namespace {

/// The engines that were opened. Never destroyed: threads that the engine never came back to may
/// use theirs until the process ends.
struct Registry {
  std::mutex mutex;
  /// By the library that was asked for; several names may stand for one state.
  std::vector<std::pair<std::string, std::shared_ptr<EngineState>>> states;
  /// The process that opened one, or is about to; 0 when none is open. Read without the lock, which
  /// some other thread may have held when this process was forked.
  std::atomic<std::int64_t> process{0};
};

Registry& registry() {
  static auto* const one = new Registry;
  return *one;
}

std::string wanted_library(const EngineOptions& options) {
  if (!options.library.empty()) return options.library;
  const char* named = std::getenv("MILGEN_ANE_LIBRARY");  // NOLINT(concurrency-mt-unsafe)
  return named != nullptr ? named : "";
}

Error forked(std::int64_t opener) {
  Error::Detail detail;
  detail.kind = ErrorKind::closed;
  detail.message = fmt::format(
      "the Neural Engine was opened by process {}, and this is process {}, a fork of it", opener,
      getpid());
  detail.hint = "what the frameworks hold does not survive a fork; start a new program instead";
  return Error(std::move(detail));
}

void look_up(EngineState& state) {
  const Platform& platform = *state.platform;
  for (std::size_t i = 0; i < kClassCount; ++i) {
    state.classes[i] = platform.objc_getClass(class_row(static_cast<RuntimeClass>(i)).name.data());
  }
  for (std::size_t i = 0; i < kMessageCount; ++i) {
    const MessageRow& row = message_row(static_cast<Message>(i));
    const Id owner = state.class_of(row.owner);
    state.selectors[i] = platform.sel_registerName(row.selector.data());
    const auto lookup =
        row.class_method ? platform.class_getClassMethod : platform.class_getInstanceMethod;
    state.present[i] = owner != nullptr && lookup(owner, state.selectors[i]) != nullptr;
  }
}

/// Everything that is required and not there. Of a class that is not there, its messages are not
/// named.
std::vector<std::string> lacking(const EngineState& state) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kClassCount; ++i) {
    const RuntimeClassRow& row = class_row(static_cast<RuntimeClass>(i));
    if (row.required && state.classes[i] == nullptr) names.emplace_back(row.name);
  }
  for (std::size_t i = 0; i < kMessageCount; ++i) {
    const auto message = static_cast<Message>(i);
    const MessageRow& row = message_row(message);
    const bool asked = row.required && state.class_of(row.owner) != nullptr;
    if (asked && !state.present[i]) names.emplace_back(message_text(message));
  }
  const bool makes_requests = state.has(Message::request_7) || state.has(Message::request_6) ||
                              state.has(Message::request_5);
  if (state.class_of(RuntimeClass::request) != nullptr && !makes_requests) {
    for (const Message message : {Message::request_7, Message::request_6, Message::request_5}) {
      names.emplace_back(message_text(message));
    }
  }
  return names;
}

Error lacks(const Platform& platform, const std::vector<std::string>& names) {
  return Error(ErrorKind::selector,
               fmt::format("the runtime {} lacks {}", platform.path, fmt::join(names, ", ")));
}

Result<std::shared_ptr<EngineState>> make_state(std::shared_ptr<const Platform> platform) {
  auto state = std::make_shared<EngineState>();
  state->platform = std::move(platform);
  const AutoreleasePool pool(*state->platform);
  look_up(*state);
  const std::vector<std::string> names = lacking(*state);
  if (!names.empty()) return lacks(*state->platform, names);
  if (state->has(Message::device_has_ane) && !state->send_class<Bool>(Message::device_has_ane)) {
    return Error(ErrorKind::unavailable, "this machine says that it has no Neural Engine");
  }
  return state;
}

/// With the registry's lock held.
Result<std::shared_ptr<EngineState>> find_or_open(Registry& all, const std::string& library) {
  for (const auto& [name, state] : all.states) {
    if (name == library) return state;
  }
  auto platform = Platform::open(library);
  if (!platform) return platform.error();
  // Another name of the same runtime: the budget is the process's, not the name's.
  for (const auto& [name, state] : all.states) {
    if (state->platform->objc_msgSend == (*platform)->objc_msgSend) {
      std::shared_ptr<EngineState> same = state;
      all.states.emplace_back(library, same);
      return same;
    }
  }
  auto state = make_state(*std::move(platform));
  if (state) all.states.emplace_back(library, *state);
  return state;
}

/// Not used after a fork: then nothing of it is asked.
bool is_usable(const std::shared_ptr<EngineState>& state) {
  return state != nullptr && !state->check_process();
}

std::string text_fact(const EngineState& state, Message message) {
  if (!state.has(message)) return {};
  return utf8(*state.platform, state.send_class<Id>(message));
}

std::optional<bool> yes_or_no(const EngineState& state, Message message) {
  if (!state.has(message)) return {};
  return state.send_class<Bool>(message);
}

template <class Number>
std::optional<Number> number_fact(const EngineState& state, Message message) {
  if (!state.has(message)) return {};
  return state.send_class<Number>(message);
}

std::string system_version(const Platform& platform) {
  const Id process = platform.send<Id>(platform.objc_getClass("NSProcessInfo"), "processInfo");
  return utf8(platform, platform.send<Id>(process, "operatingSystemVersionString"));
}

}  // namespace

Result<Engine> Engine::open(const EngineOptions& options) {
  Registry& all = registry();
  const std::int64_t self = getpid();
  std::int64_t opener = 0;
  if (!all.process.compare_exchange_strong(opener, self) && opener != self) return forked(opener);
  const std::lock_guard lock(all.mutex);
  all.process = self;
  auto state = find_or_open(all, wanted_library(options));
  if (all.states.empty()) all.process = 0;
  if (!state) return state.error();
  return Engine(*state);
}

void forget_engines() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.states.clear();
  all.process = 0;
}

std::string_view Engine::library() const {
  return state_ != nullptr ? std::string_view(state_->platform->path) : std::string_view();
}

bool Engine::fake() const { return state_ != nullptr && state_->platform->fake; }

std::string_view Engine::label() const { return fake() ? "fake" : "ane"; }

DeviceInfo Engine::device() const {
  DeviceInfo info;
  if (!is_usable(state_)) return info;
  const AutoreleasePool pool(*state_->platform);
  info.has_ane = yes_or_no(*state_, Message::device_has_ane);
  info.cores = number_fact<std::uint32_t>(*state_, Message::device_cores);
  info.engines = number_fact<std::uint32_t>(*state_, Message::device_engines);
  info.architecture = text_fact(*state_, Message::device_architecture);
  info.sub_type = text_fact(*state_, Message::device_sub_type);
  info.product = text_fact(*state_, Message::device_product);
  info.build_version = text_fact(*state_, Message::device_build);
  info.os_version = system_version(*state_->platform);
  info.board_type = number_fact<std::int64_t>(*state_, Message::device_board_type);
  info.virtual_machine = yes_or_no(*state_, Message::device_is_vm);
  info.internal_build = yes_or_no(*state_, Message::device_is_internal);
  info.precompiled_checks_disabled =
      yes_or_no(*state_, Message::device_precompiled_checks_disabled);
  return info;
}

std::vector<RuntimeFeature> Engine::features() const {
  std::vector<RuntimeFeature> features;
  if (state_ == nullptr) return features;
  for (const auto& [symbol, present] : state_->platform->symbols()) {
    features.push_back({symbol.name, symbol.required, present, symbol.purpose});
  }
  for (std::size_t i = 0; i < kClassCount; ++i) {
    const RuntimeClassRow& row = class_row(static_cast<RuntimeClass>(i));
    features.push_back({std::string(row.name), row.required, state_->classes[i] != nullptr,
                        "takes the messages of its name"});
  }
  for (std::size_t i = 0; i < kMessageCount; ++i) {
    const auto message = static_cast<Message>(i);
    const MessageRow& row = message_row(message);
    features.push_back(
        {std::string(message_text(message)), row.required, state_->present[i], row.purpose});
  }
  return features;
}

CompileLedger Engine::ledger() const {
  return is_usable(state_) ? state_->budget.ledger() : CompileLedger{};
}

void Engine::set_compile_limit(int limit) {
  if (is_usable(state_)) state_->budget.set_limit(limit);
}

void Engine::set_failure_pause(std::chrono::milliseconds pause) {
  if (is_usable(state_)) state_->budget.set_pause(pause);
}

Error EngineState::check_process() const {
  if (platform->is_this_process()) return {};
  return forked(platform->process);
}

Error missing(const EngineState& engine, Message message, const char* purpose) {
  return Error(ErrorKind::selector,
               fmt::format("the runtime {} lacks {}, which is needed for {}", engine.platform->path,
                           message_text(message), purpose));
}

}  // namespace milgen::ane
