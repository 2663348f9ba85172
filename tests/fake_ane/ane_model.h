// The models of the fake engine: descriptor, in-memory model, and the model that both ways in end
// at.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane_request.h"
#include "engine.h"
#include "foundation.h"
#include "model_folder.h"
#include "objc.h"

namespace milgen::fake_ane {

// SHA-256 digests, 64 hex digits each.
struct ModelDigests {
  std::string text;
  std::string options;
  std::string weights;

  // ane_constraints, RT-011.
  std::string identifier() const { return text + "_" + options + "_" + weights; }
};

// _ANEModel: a folder that can be compiled, loaded and evaluated.
class Model final : public Object {
 public:
  static Ref<Model> at_url(Class& self, NsUrl* url, NsString* key);

  // A package, whose text and weights are read from its folder.
  explicit Model(std::string folder);
  // What a descriptor has in memory.
  Model(ModelSource source, ModelDigests digests);
  ~Model() override;

  // What the engine does with it. False leaves the error's code 0 where the real one says nothing.
  bool compile(EngineError& error);
  bool load(EngineError& error);
  bool unload(EngineError& error);
  bool evaluate(Request* request, EngineError& error);
  bool map(Request* request, bool cache_inference, EngineError& error);
  void unmap(Request* request);
  bool compiled_exists();
  void purge();

  bool is_package() const { return is_package_; }
  std::string folder() const;
  void set_folder(std::string folder);
  const ModelSource& source() const { return source_; }
  const ModelDigests& digests() const { return digests_; }
  bool is_known() const;

  // Messages.
  NsDictionary* attributes();
  Ref<NsIndexSet> input_symbols(unsigned procedure) const;
  Ref<NsIndexSet> output_symbols(unsigned procedure) const;
  Ref<NsDictionary> procedure_info(unsigned procedure);
  std::uint64_t state() const;
  signed char queue_depth() const { return 127; }  // ane_constraints, RT-005
  std::uint64_t program_handle() const;
  std::uint64_t intermediate_buffer_handle() const { return 0; }  // ane_constraints, RT-012
  Ref<Object> program() const;
  unsigned perf_stats_mask() const { return stats_mask_; }
  void set_perf_stats_mask(unsigned mask) { stats_mask_ = mask; }
  Ref<NsString> uuid() const;

 private:
  // States as -state gives them.
  enum class State : std::uint64_t { created = 1, loaded = 3, unloaded = 4, failed = 5 };

  bool read_source(ModelSource& source, ModelDigests& digests, EngineError& error) const;
  bool do_load(EngineError& error);
  std::shared_ptr<LoadedProgram> loaded(std::string_view verb, EngineError& error);
  bool run(LoadedProgram& program, Request& request, EngineError& error);

  const bool is_package_;
  mutable std::mutex mutex_;  // of what follows, up to the atomics
  ModelSource source_;
  ModelDigests digests_;
  std::string folder_;
  State state_ = State::created;
  bool compiled_ = false;
  std::shared_ptr<LoadedProgram> program_;
  Ref<NsDictionary> attributes_;
  std::uint64_t handle_ = 0;
  std::vector<Ref<Request>> mapped_;
  std::atomic<unsigned> stats_mask_{0};
  std::atomic<unsigned> mask_at_load_{0};
  std::atomic<int> in_flight_{0};
};

// _ANEProgramForEvaluation, what -program gives of a loaded model.
class ProgramObject final : public Object {
 public:
  explicit ProgramObject(std::uint64_t handle) : handle_(handle) {}
  std::uint64_t handle() const { return handle_; }

 private:
  std::uint64_t handle_;
};

// _ANEInMemoryModelDescriptor.
class Descriptor final : public Object {
 public:
  static Ref<Descriptor> with_text(Class& self, NsData* text, NsDictionary* weights,
                                   NsData* options);
  Descriptor(ModelSource source, ModelDigests digests)
      : source_(std::move(source)), digests_(std::move(digests)) {}

  const ModelSource& source() const { return source_; }
  const ModelDigests& digests() const { return digests_; }

  Ref<NsString> text_hash() const { return make_string(digests_.text); }
  Ref<NsString> weights_hash() const { return make_string(digests_.weights); }
  Ref<NsString> options_hash() const { return make_string(digests_.options); }
  bool is_mil() const { return true; }

 private:
  ModelSource source_;
  ModelDigests digests_;
};

// _ANEInMemoryModel.
class InMemoryModel final : public Object {
 public:
  static Ref<InMemoryModel> with_descriptor(Class& self, Descriptor* descriptor);
  explicit InMemoryModel(Ref<Model> model) : model_(std::move(model)) {}

  Ref<NsString> identifier() const;
  void set_url(NsUrl* url);
  Ref<NsUrl> url() const;
  Ref<NsString> path() const;
  bool save_files() const;

  bool compile(unsigned qos, NsDictionary* options, Object** error);
  bool load(unsigned qos, NsDictionary* options, Object** error);
  bool unload(unsigned qos, Object** error);
  bool evaluate(unsigned qos, NsDictionary* options, Request* request, Object** error);
  bool map(Request* request, bool cache_inference, Object** error);
  void unmap(Request* request);
  bool compiled_exists() const { return model_->compiled_exists(); }
  void purge() const { model_->purge(); }

  Model* model() const;
  NsDictionary* attributes() const { return model_->attributes(); }
  std::uint64_t state() const { return model_->state(); }
  signed char queue_depth() const { return model_->queue_depth(); }
  std::uint64_t program_handle() const { return model_->program_handle(); }
  std::uint64_t intermediate_buffer_handle() const { return model_->intermediate_buffer_handle(); }
  Ref<Object> program() const { return model_->program(); }
  unsigned perf_stats_mask() const { return model_->perf_stats_mask(); }
  void set_perf_stats_mask(unsigned mask) { model_->set_perf_stats_mask(mask); }

 private:
  Ref<Model> model_;
};

// Answers a message: does the work, fills the NSError in, and logs.
template <class Work>
bool answer(std::string_view message, std::string_view arguments, Object** error, Work work);

// The parts of answer() that are the same for every message.
void log_answer(std::string_view message, std::string_view arguments, bool done,
                const EngineError& error);
void give_error(Object** error, const EngineError& what);

template <class Work>
bool answer(std::string_view message, std::string_view arguments, Object** error, Work work) {
  EngineError what;
  const bool done = work(what);
  if (!done) give_error(error, what);
  log_answer(message, arguments, done, what);
  return done;
}

// "qos=21 options={}", for the log; empty when nothing is logged.
std::string call_arguments(unsigned qos, NsDictionary* options);

// The folder of an in-memory model that nobody gave one.
std::string default_folder(const std::string& identifier);

void define_ane_model_classes();

}  // namespace milgen::fake_ane
