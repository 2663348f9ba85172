// What a Model holds, and the steps of its life. model.cpp brings it up and down, binding.cpp finds
// symbols and layouts, request.cpp makes requests, evaluate.cpp runs them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/call_lock.h"
#include "ane/engine_state.h"
#include "ane/platform.h"
#include "ane/program_files.h"
#include "ane/worker.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

/// One set of surfaces that can be evaluated: an _ANERequest, mapped.
struct Request {
  Ref object;
  Ref stats;                    ///< _ANEPerformanceStats, when they are asked for
  std::vector<Surface> inputs;  ///< in declared order, kept for as long as the request
  std::vector<Surface> outputs;
  bool mapped = false;
};

/// Requests that a pool, a state handle or an evaluation with events has beside the model's own.
struct RequestSet {
  std::vector<Request> requests;
};

/// One evaluation, for the thread that runs it.
struct EvaluateCall {
  ModelState* model = nullptr;
  Request* request = nullptr;
  EvaluateRoute route = EvaluateRoute::standard;
  Id options = nullptr;  ///< NSDictionary
  Error error;           ///< how it went
};

struct ModelState : std::enable_shared_from_this<ModelState> {
  Engine engine;
  std::string name;        ///< what reports call the program
  std::string identifier;  ///< hexStringIdentifier; a package's: its path
  ModelOptions options;    ///< without the weights' bytes
  bool from_package = false;
  Ref descriptor;
  Ref in_memory;     ///< _ANEInMemoryModel; none for a package
  Ref inner;         ///< _ANEModel; may be none for an in-memory model
  Ref client;        ///< _ANEClient; for packages and for the routes that need it
  Ref call_options;  ///< NSDictionary
  ProgramFolder folder;
  /// What keeps the bytes of the weights: the descriptor refers to them, and the engine's model to
  /// the descriptor.
  std::shared_ptr<const void> weight_owner;

  std::vector<TensorLayout> inputs;  ///< in declared order
  std::vector<TensorLayout> outputs;
  bool bound_by_engine = false;
  std::vector<Surface> input_surfaces;
  std::vector<Surface> output_surfaces;
  Request request;
  CompileStats stats;

  /// Held by every call; a call that does not get it within evaluate_timeout gives `busy`.
  mutable CallLock lock;
  bool loaded = false;
  bool closed = false;
  std::atomic<bool> broken{false};
  std::atomic<std::uint64_t> hardware_ns{0};
  std::shared_ptr<Worker> worker;  ///< made when it is first needed
  EvaluateCall evaluate_call;      ///< of evaluate_bounded(), while it goes on
  /// Requests beside `request` that are mapped; they are unmapped before the model is unloaded.
  std::vector<std::shared_ptr<RequestSet>> request_sets;
  /// Whether it was evaluated with shared events: a package is not unloaded then, since that
  /// crashes (tmc, ane_runtime 4.4).
  bool evaluated_with_events = false;

  /// A state that brings itself down when nobody holds it any more. In a forked child it stays as
  /// it is: what the engine and the folder are to the parent is not the child's to end.
  static std::shared_ptr<ModelState> create(const Engine& engine);
  static Model model_of(std::shared_ptr<ModelState> state) { return Model(std::move(state)); }
  /// Unmaps, unloads, lets everything go and removes the files, within load_timeout: what does not
  /// come back goes on with all that it uses. The caller holds the lock, or is alone. The engine's
  /// error of unloading, or `timeout`; a second call does nothing.
  Error shut_down();

  EngineState& runtime() const { return *engine.state(); }
  const Platform& platform() const { return *engine.state()->platform; }
};

// --- model_call.cpp ---

/// The model's lock, or why a call may not go on: `closed`, `broken`, `busy`.
class ModelCall {
 public:
  /// Waits for the call before, and for evaluations under way unless `beside_evaluations`.
  explicit ModelCall(const ModelState* state, bool beside_evaluations = false);
  ModelCall(const ModelCall&) = delete;
  ModelCall& operator=(const ModelCall&) = delete;
  ~ModelCall();
  const Error& error() const { return error_; }

 private:
  const ModelState* state_ = nullptr;  // whose lock is held
  Error error_;
};

/// While this lives, calls of the model by this thread give `busy`: what is told of the end of an
/// evaluation is not to wait for the next one, which waits for it.
class TellingOfEnd {
 public:
  explicit TellingOfEnd(const ModelState* state);
  TellingOfEnd(const TellingOfEnd&) = delete;
  TellingOfEnd& operator=(const TellingOfEnd&) = delete;
  ~TellingOfEnd();
};

/// `busy` while this thread tells of an end: evaluations behind it go on when that is over.
Error check_not_telling(const ModelState& state);

Error broken_error(const ModelState& state);

// --- engine_call.cpp ---

/// A message to the engine, on whatever thread.
using EngineCall = Error (*)(ModelState& state);
/// Makes the call on a thread of its own within the bound; 0 is none, and needs no thread. The
/// state lives for as long as the call goes on. Errors beside the call's: `timeout`, which leaves
/// the model broken ("the engine did not <verb> <model> ..."), `unavailable` without a thread.
Error call_bounded(const std::shared_ptr<ModelState>& state, EngineCall call, std::string_view verb,
                   std::chrono::milliseconds bound);

/// Messages of a program's life, of a text's or a package's, on this thread; each blocks for as
/// long as the engine does. They keep `loaded`, and the performance mask over a load.
Error compile_now(ModelState& state);
Error load_now(ModelState& state);
Error unload_now(ModelState& state);

// --- binding.cpp ---

/// What the program declares, in order, each laid out by rule A.
struct Declaration {
  std::vector<TensorLayout> inputs;
  std::vector<TensorLayout> outputs;
};
/// What the engine calls an input or output that the program calls `name`: outputs carry a suffix
/// (IO-005 in ane_constraints). Symbols sort by this.
std::string input_symbol(std::string_view name);
std::string output_symbol(std::string_view name);
/// Layouts and symbol indices of a loaded model, into state.inputs and state.outputs: strides and
/// symbols as modelAttributes tells them, indices from the symbol indices of procedure 0; rule A
/// and sorted names where they are missing. Errors: `layout` when the engine's names, numbers or
/// types contradict the declaration.
Error bind(ModelState& state, Declaration declaration);
/// The declaration of a model that is loaded, as the engine tells it, in the order of its symbols;
/// empty when it tells none.
Result<Declaration> told_declaration(const ModelState& state);

// --- request.cpp ---

/// A request over these surfaces (in declared order), with its index arrays. Not mapped.
/// `shared_events` may be null: an _ANESharedEvents.
Result<Request> make_request(const ModelState& state, std::span<const Surface> inputs,
                             std::span<const Surface> outputs, Id shared_events = nullptr);
Error map_request(const ModelState& state, Request& request);
void unmap_request(const ModelState& state, Request& request);

// --- evaluate.cpp ---

/// The message itself, on this thread; blocks for as long as the engine does. No lock is taken.
Error evaluate_now(ModelState& state, Request& request, EvaluateRoute route, Id options);
Error evaluate_now(ModelState& state, Request& request);
/// The same within evaluate_timeout, on the model's worker when there is a bound. The caller holds
/// the model's lock. `keep` owns the request, the options and the model. An evaluation that does
/// not come back leaves the model broken.
Error evaluate_bounded(ModelState& state, Request& request, EvaluateRoute route, Id options,
                       const std::shared_ptr<void>& keep);
Error evaluate_bounded(ModelState& state, Request& request);
/// Leaves the model broken: `timeout`; `broken` when it was that before.
Error gave_up(ModelState& state);
/// The model's worker, started when there is none yet. The caller holds the model's lock.
Error start_worker(ModelState& state);

/// An evaluation that goes on after the call that began it.
struct PostedEvaluation {
  std::shared_ptr<Worker> worker;  ///< the model's, which may be closed before this has ended
  Worker::Ticket ticket = 0;

  bool ended() const { return worker == nullptr || worker->unfinished(ticket) == 0; }
  /// Waits for as long as the model's bound allows for it and those before it; not at all when the
  /// model is broken.
  bool wait(const ModelState& state) const;
};
/// Begins an evaluation, for the call that holds the lock; the job calls run_posted().
Error post_evaluation(ModelState& state, const Worker::Job& job, PostedEvaluation& posted);
void run_posted(EvaluateCall& call);

// --- request_set.cpp ---

/// The surfaces of one request, in declared order.
struct RequestSurfaces {
  std::vector<Surface> inputs;
  std::vector<Surface> outputs;
};
/// New surfaces, but those of the model's `own` where `shared` says so.
Result<std::vector<Surface>> make_surfaces(const ModelState& state,
                                           std::span<const TensorLayout> layouts,
                                           std::span<const Surface> own = {},
                                           const std::vector<bool>& shared = {});
/// Makes and maps a request over each. The model has them, too, until they are ended. The caller
/// holds the lock. `shared_events` as for make_request().
Result<std::shared_ptr<RequestSet>> make_request_set(ModelState& state,
                                                     std::span<const RequestSurfaces> surfaces,
                                                     Id shared_events = nullptr);
/// Unmaps the requests of a set, and takes it from the model. The caller holds the lock.
void end_request_set(ModelState& state, const std::shared_ptr<RequestSet>& set);
/// The same by an owner that goes, and takes the lock; what a model that is broken or in use has
/// mapped stays the model's until its end.
void release_request_set(ModelState& state, const std::shared_ptr<RequestSet>& set);
/// At the end of the model: unmaps all requests of all sets.
void unmap_request_sets(ModelState& state);

// --- model_io.cpp ---

/// The place of a port among the model's inputs or outputs; `argument` when there is none of it,
/// naming all that there are.
Result<std::size_t> find_input(const ModelState& state, const Port& port);
Result<std::size_t> find_output(const ModelState& state, const Port& port);

}  // namespace milgen::ane
