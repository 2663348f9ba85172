// Several evaluations of one model at a time: while the engine runs one, the host writes the inputs
// of the next and reads the outputs of the one before.
//
//     auto pool = ane::RequestPool::create(model, {.depth = 2, .shared_inputs = {"W"}});
//     auto slot = pool->acquire();
//     slot->write_fp32("x", x);
//     slot->begin();
//     ...  // another slot
//     if (auto error = slot->wait()) return fail(error.text());
//     slot->read_fp32("y", y);
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "milgen/ane/error.h"
#include "milgen/ane/model.h"
#include "milgen/ane/surface.h"

namespace milgen::ane {

/// As many requests as the engine queues (ane_runtime, 4.6).
inline constexpr int kMostPooledRequests = 127;

struct RequestPoolOptions {
  int depth = 2;  ///< requests, 1 to kMostPooledRequests
  /// Inputs that all requests take from the model's own surface: weights, which are written once,
  /// by the model.
  std::vector<std::string> shared_inputs = {};
};

/// A request taken out of a pool, with surfaces of its own; goes back when this goes. For one
/// thread at a time; different ones are independent. Writing, evaluating and reading allocate
/// nothing. It keeps what it uses of pool and model alive; once the model is closed, begin() gives
/// `closed`.
class PooledRequest {
 public:
  PooledRequest() = default;
  PooledRequest(PooledRequest&& other) noexcept;
  PooledRequest& operator=(PooledRequest&& other) noexcept;
  /// Waits for an evaluation under way, as wait() does.
  ~PooledRequest() { release(); }

  explicit operator bool() const { return state_ != nullptr; }
  /// Which of the pool's requests it is, from 0 on.
  std::size_t slot() const { return slot_; }
  /// Gives it back.
  void release();

  // As Model's; `argument` also for writing a shared input, `busy` between begin() and wait().
  Error write_packed(Port input, std::span<const std::byte> packed);
  Error write_fp16(Port input, std::span<const std::uint16_t> values, const Region& region = {});
  Error write_fp32(Port input, std::span<const float> values, const Region& region = {});
  Error read_packed(Port output, std::span<std::byte> packed) const;
  Error read_fp16(Port output, std::span<std::uint16_t> values, const Region& region = {}) const;
  Error read_fp32(Port output, std::span<float> values, const Region& region = {}) const;
  Result<Surface> input_surface(Port input) const;
  Result<Surface> output_surface(Port output) const;

  /// Begins an evaluation; those of a model run in the order in which they are begun. Other calls
  /// of the model wait until none is under way. `busy` when this one's is not waited for yet, or
  /// kMostPooledRequests are under way.
  Error begin();
  /// Whether nothing is under way.
  bool done() const;
  /// Waits for the end, as long as evaluate_timeout allows for this evaluation and those before it;
  /// `timeout` leaves the model broken. How the evaluation went; `argument` when none was begun.
  Error wait();
  /// begin() and wait().
  Error evaluate();

 private:
  struct Target;
  friend class RequestPool;
  struct State;
  PooledRequest(std::shared_ptr<State> state, std::size_t slot)
      : state_(std::move(state)), slot_(slot) {}
  Error check_idle() const;
  Result<std::size_t> find_input(Port input) const;
  Result<std::size_t> find_output(Port output) const;

  std::shared_ptr<State> state_;
  std::size_t slot_ = 0;
};

/// Requests of one model, made and mapped at once. Any thread may call anything; copies are the
/// same pool.
class RequestPool {
 public:
  RequestPool() = default;
  /// Takes the model's surfaces for shared inputs as they are now. Errors: `argument` for a depth
  /// or a name that does not fit, `map`, and those of every call of a model.
  static Result<RequestPool> create(Model& model, const RequestPoolOptions& options);

  int depth() const;
  /// One that is free; waits for one at most so long, 0: not at all. `busy` when none came back.
  Result<PooledRequest> acquire(std::chrono::milliseconds at_most);
  /// Waits as long as the model's evaluate_timeout.
  Result<PooledRequest> acquire();

 private:
  explicit RequestPool(std::shared_ptr<PooledRequest::State> state) : state_(std::move(state)) {}
  std::shared_ptr<PooledRequest::State> state_;
};

}  // namespace milgen::ane
