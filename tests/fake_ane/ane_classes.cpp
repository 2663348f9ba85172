// _ANEClient and _ANEDeviceInfo, and the list of all classes of the private framework.
#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "ane_model.h"
#include "ane_request.h"
#include "control.h"
#include "foundation.h"
#include "objc.h"

namespace milgen::fake_ane {
namespace {

/// How many begins of real-time tasks wait for their end.
std::atomic<long> real_time_tasks{0};

/// The digests that an identifier is made of; false when it is none.
bool split_identifier(const std::string& identifier, std::string& text, std::string& weights) {
  constexpr std::size_t kDigits = 64;
  if (identifier.size() != 3 * kDigits + 2) return false;
  text = identifier.substr(0, kDigits);
  weights = identifier.substr(2 * kDigits + 2);
  return true;
}

// _ANEClient.
class Client final : public Object {
 public:
  static Client* shared(Class&) {
    static Client* const client = [] {
      Client* made = make<Client>().detach();
      make_immortal(*made);
      return made;
    }();
    return client;
  }

  bool compile(Model* model, NsDictionary* options, unsigned qos, Object** error) {
    return with("-[_ANEClient compileModel:options:qos:error:]", model,
                call_arguments(qos, options), error,
                [&](EngineError& what) { return model->compile(what); });
  }
  bool load(Model* model, NsDictionary* options, unsigned qos, Object** error) {
    return with("-[_ANEClient loadModel:options:qos:error:]", model, call_arguments(qos, options),
                error, [&](EngineError& what) { return model->load(what); });
  }
  bool unload(Model* model, NsDictionary* options, unsigned qos, Object** error) {
    return with("-[_ANEClient unloadModel:options:qos:error:]", model, call_arguments(qos, options),
                error, [&](EngineError& what) { return model->unload(what); });
  }
  bool load_real_time(Model* model, NsDictionary* options, unsigned qos, Object** error) {
    return with("-[_ANEClient loadRealTimeModel:options:qos:error:]", model,
                call_arguments(qos, options), error,
                [&](EngineError& what) { return model->load(what); });
  }
  bool unload_real_time(Model* model, NsDictionary* options, unsigned qos, Object** error) {
    return with("-[_ANEClient unloadRealTimeModel:options:qos:error:]", model,
                call_arguments(qos, options), error,
                [&](EngineError& what) { return model->unload(what); });
  }
  bool evaluate(Model* model, NsDictionary* options, Request* request, unsigned qos,
                Object** error) {
    return evaluate_as("-[_ANEClient evaluateWithModel:options:request:qos:error:]", model, request,
                       call_arguments(qos, options), error);
  }
  bool evaluate_direct(Model* model, NsDictionary* options, Request* request, unsigned qos,
                       Object** error) {
    return evaluate_as("-[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]", model,
                       request, call_arguments(qos, options), error);
  }
  bool evaluate_real_time(Model* model, NsDictionary* options, Request* request, Object** error) {
    return evaluate_as("-[_ANEClient evaluateRealTimeWithModel:options:request:error:]", model,
                       request, call_arguments(0, options), error);
  }

  bool begin_real_time() {
    log_call("-[_ANEClient beginRealTimeTask] -> 1");
    ++real_time_tasks;
    return true;
  }
  bool end_real_time() {
    long before = real_time_tasks;
    while (before > 0 && !real_time_tasks.compare_exchange_weak(before, before - 1)) {
    }
    const bool done = before > 0;
    log_call(done ? "-[_ANEClient endRealTimeTask] -> 1" : "-[_ANEClient endRealTimeTask] -> 0");
    return done;
  }

  bool map(Model* model, Request* request, bool cache_inference, Object** error) {
    return with("-[_ANEClient mapIOSurfacesWithModel:request:cacheInference:error:]", model,
                cache_inference ? "cacheInference=1" : "cacheInference=0", error,
                [&](EngineError& what) { return model->map(request, cache_inference, what); });
  }
  void unmap(Model* model, Request* request) {
    log_call("-[_ANEClient unmapIOSurfacesWithModel:request:]");
    if (model != nullptr) model->unmap(request);
  }

  bool exists(Model* model) { return model != nullptr && model->compiled_exists(); }
  bool exists_matching(NsString* hash) {
    std::string text;
    std::string weights;
    return hash != nullptr && split_identifier(hash->text(), text, weights) &&
           compiled_exists(default_folder(hash->text()), text, weights);
  }
  void purge(Model* model) {
    log_call("-[_ANEClient purgeCompiledModel:]");
    if (model != nullptr) model->purge();
  }
  void purge_matching(NsString* hash) {
    log_call("-[_ANEClient purgeCompiledModelMatchingHash:]");
    std::string text;
    std::string weights;
    if (hash != nullptr && split_identifier(hash->text(), text, weights)) {
      remove_compiled(default_folder(hash->text()));
    }
  }
  bool is_virtual() const { return number(Key::kVm) != 0; }

 private:
  template <class Work>
  static bool with(std::string_view message, Model* model, const std::string& arguments,
                   Object** error, Work work) {
    if (model == nullptr) {
      trap(fmt::format("{} is sent without a model", message));
      return false;
    }
    return answer(message, arguments, error, work);
  }

  static bool evaluate_as(std::string_view message, Model* model, Request* request,
                          const std::string& arguments, Object** error) {
    const Ref<Request> keep(request);
    const bool done = with(message, model, arguments, error,
                           [&](EngineError& what) { return model->evaluate(request, what); });
    if (request != nullptr) request->complete(done, error == nullptr ? nullptr : *error);
    return done;
  }
};

// _ANEDeviceInfo, of which only class methods are used.
class DeviceInfo final : public Object {
 public:
  static bool has_ane(Class&) { return number(Key::kHasAne) != 0; }
  static unsigned engines(Class&) { return number(Key::kHasAne) != 0 ? 1 : 0; }
  static unsigned cores(Class&) { return static_cast<unsigned>(number(Key::kCores)); }
  static Ref<NsString> architecture(Class&) { return make_string(text(Key::kArchitecture)); }
  static std::int64_t board(Class&) { return 0; }
  static Ref<NsString> product(Class&) { return make_string(text(Key::kProduct)); }
  static Ref<NsString> build(Class&) { return make_string(text(Key::kBuild)); }
  static bool is_vm(Class&) { return number(Key::kVm) != 0; }
  static bool no(Class&) { return false; }
};

}  // namespace

void define_ane_classes() {
  define_ane_request_classes();
  define_ane_model_classes();
  on_reset([] { real_time_tasks = 0; });
  define_class<Client>("_ANEClient")
      .class_method<&Client::shared>("sharedConnection")
      .method<&Client::compile>("compileModel:options:qos:error:")
      .method<&Client::load>("loadModel:options:qos:error:")
      .method<&Client::unload>("unloadModel:options:qos:error:")
      .method<&Client::evaluate>("evaluateWithModel:options:request:qos:error:")
      .method<&Client::evaluate_direct>("doEvaluateDirectWithModel:options:request:qos:error:")
      .method<&Client::evaluate_real_time>("evaluateRealTimeWithModel:options:request:error:")
      .method<&Client::begin_real_time>("beginRealTimeTask")
      .method<&Client::end_real_time>("endRealTimeTask")
      .method<&Client::load_real_time>("loadRealTimeModel:options:qos:error:")
      .method<&Client::unload_real_time>("unloadRealTimeModel:options:qos:error:")
      .method<&Client::map>("mapIOSurfacesWithModel:request:cacheInference:error:")
      .method<&Client::unmap>("unmapIOSurfacesWithModel:request:")
      .method<&Client::exists>("compiledModelExistsFor:")
      .method<&Client::exists_matching>("compiledModelExistsMatchingHash:")
      .method<&Client::purge>("purgeCompiledModel:")
      .method<&Client::purge_matching>("purgeCompiledModelMatchingHash:")
      .method<&Client::is_virtual>("isVirtualClient")
      .breaks_after_fork();
  define_class<DeviceInfo>("_ANEDeviceInfo")
      .class_method<&DeviceInfo::has_ane>("hasANE")
      .class_method<&DeviceInfo::engines>("numANEs")
      .class_method<&DeviceInfo::cores>("numANECores")
      .class_method<&DeviceInfo::architecture>("aneArchitectureType")
      .class_method<&DeviceInfo::architecture>("aneSubType")
      .class_method<&DeviceInfo::board>("aneBoardType")
      .class_method<&DeviceInfo::product>("productName")
      .class_method<&DeviceInfo::build>("buildVersion")
      .class_method<&DeviceInfo::is_vm>("isVirtualMachine")
      .class_method<&DeviceInfo::no>("isInternalBuild")
      .class_method<&DeviceInfo::no>("precompiledModelChecksDisabled");
}

}  // namespace milgen::fake_ane
