#include "ane/worker.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace milgen::ane {
namespace {

using Clock = std::chrono::steady_clock;

/// How long either side spins for the other before it sleeps.
constexpr std::chrono::nanoseconds kSpin{20'000};
/// For the end of a job that a sleeping thread has to be woken for first.
constexpr std::chrono::nanoseconds kWakingSpin{50'000};
/// Spinning that did not help is left out so many times at most before it is tried again.
constexpr std::uint32_t kMostLeftOut = 63;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// With one processor a spinning thread keeps the other from what it waits for.
bool several_processors() {
  static const bool several = std::thread::hardware_concurrency() > 1;
  return several;
}

/// Whether `has_come` became true within the time. What comes at once takes no look at the clock.
template <class HasCome>
bool spin(std::chrono::nanoseconds at_most, HasCome has_come) {
  Clock::time_point until;
  do {
    for (int turn = 0; turn < 16; ++turn) {
      if (has_come()) return true;
      relax();
    }
    if (until == Clock::time_point()) until = Clock::now() + at_most;
  } while (Clock::now() < until);
  return false;
}

/// Whether it pays to spin: not for long jobs, nor when processors have more to do than there are
/// of them, so that what is waited for cannot go on beside the spinning. Learnt from how it went;
/// who writes first is of no matter, so that nothing is ordered here.
class Patience {
 public:
  /// Whether `has_come` became true within the time, if it is one to spin at.
  template <class HasCome>
  bool spin(std::chrono::nanoseconds at_most, HasCome has_come) {
    const std::uint32_t left_out = left_out_.load(std::memory_order_relaxed);
    const std::uint32_t to_leave_out = to_leave_out_.load(std::memory_order_relaxed);
    if (!several_processors() || left_out < to_leave_out) {
      left_out_.store(left_out + 1, std::memory_order_relaxed);
      return has_come();
    }
    const bool came = ane::spin(at_most, has_come);
    left_out_.store(0, std::memory_order_relaxed);
    to_leave_out_.store(came ? 0 : std::min(2 * to_leave_out + 1, kMostLeftOut),
                        std::memory_order_relaxed);
    return came;
  }

 private:
  std::atomic<std::uint32_t> left_out_{0};
  std::atomic<std::uint32_t> to_leave_out_{0};
};

}  // namespace

struct Worker::State {
  struct Entry {
    Job job;
    std::shared_ptr<void> keep;  // of a run() that was given up
  };

  std::mutex mutex;
  std::condition_variable came;        // a job, or the stop
  std::condition_variable ended;       // a job
  std::array<Entry, kMostJobs> ring;   // by ticket
  std::atomic<Ticket> last_posted{0};  // this and the following: written under the mutex
  std::atomic<Ticket> last_ended{0};
  std::atomic<bool> stopping{false};
  std::atomic<bool> calling_back{false};  // of a job that ended
  Ticket last_begun = 0;
  std::atomic<bool> asleep{false};
  std::size_t waiting = 0;
  Patience patience;        // of who waits for a job's end
  bool spins_next = false;  // the thread, for the next job
  pthread_t thread{};
  const pid_t process = getpid();

  Entry& entry(Ticket ticket) { return ring[static_cast<std::size_t>(ticket % ring.size())]; }
  bool idle() const { return last_ended == last_posted && !calling_back; }
  std::unique_lock<std::mutex> lock();
  void serve();
  bool next(Job& job);
  std::shared_ptr<void> finish(bool calls_back);
};

/// What the other side saw while it spun was written under the mutex, which is about to be free:
/// going to sleep for it would cost more than all the rest.
std::unique_lock<std::mutex> Worker::State::lock() {
  if (several_processors() && spin(kSpin / 20, [this] { return mutex.try_lock(); })) {
    return std::unique_lock<std::mutex>(mutex, std::adopt_lock);
  }
  return std::unique_lock<std::mutex>(mutex);
}

/// Gives the job that is next, waiting for it; false at the end of all.
bool Worker::State::next(Job& job) {
  const auto has_come = [this] {
    return last_posted.load(std::memory_order_acquire) != last_begun ||
           stopping.load(std::memory_order_acquire);
  };
  if (spins_next) spin(kSpin, has_come);
  std::unique_lock<std::mutex> held = lock();
  if (!has_come()) {
    asleep = true;
    came.wait(held, has_come);
    asleep = false;
  }
  if (last_posted == last_begun) return false;
  job = entry(++last_begun).job;
  return true;
}

/// Lets those go on who wait for the job; gives what a run() that was given up left behind.
std::shared_ptr<void> Worker::State::finish(bool calls_back) {
  std::unique_lock<std::mutex> held = lock();
  std::shared_ptr<void> keep = std::move(entry(last_begun).keep);
  calling_back = calls_back;
  last_ended.store(last_begun, std::memory_order_release);
  const bool tell = waiting != 0;
  // Who waits without sleeping has a processor of its own, and comes back soon.
  spins_next = !tell && several_processors();
  held.unlock();
  if (tell) ended.notify_all();
  return keep;
}

void Worker::State::serve() {
  Job job;
  while (next(job)) {
    job.run(job.argument);
    // Goes after the callback: its end may be that of all that the job belongs to.
    const std::shared_ptr<void> keep = finish(job.ended != nullptr);
    if (job.ended == nullptr) continue;
    job.ended(job.argument);
    calling_back = false;
  }
}

std::shared_ptr<Worker> Worker::start() {
  auto state = std::make_shared<State>();
  auto* of_thread = new std::shared_ptr<State>(state);
  const auto body = [](void* argument) -> void* {
    const std::unique_ptr<std::shared_ptr<State>> mine(
        static_cast<std::shared_ptr<State>*>(argument));
    (*mine)->serve();
    return nullptr;
  };
  if (pthread_create(&state->thread, nullptr, body, of_thread) != 0) {
    delete of_thread;
    return nullptr;
  }
  return std::shared_ptr<Worker>(new Worker(std::move(state)));
}

Worker::~Worker() {
  State& state = *state_;
  // In a child of the process that started it there is no such thread, and the mutex is as some
  // thread left it.
  if (getpid() != state.process) return;
  bool idle = false;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    idle = state.idle();
    state.stopping = true;
    state.came.notify_one();
  }
  if (idle && pthread_equal(pthread_self(), state.thread) == 0) {
    pthread_join(state.thread, nullptr);
  } else {
    pthread_detach(state.thread);
  }
}

Worker::Ticket Worker::post(const Job& job) {
  State& state = *state_;
  const std::unique_lock<std::mutex> held = state.lock();
  if (state.last_posted - state.last_ended == kMostJobs) return 0;
  const Ticket ticket = state.last_posted + 1;
  state.entry(ticket).job = job;
  state.last_posted.store(ticket, std::memory_order_release);
  // Told under the mutex: the job's end may be the end of this worker.
  if (state.asleep) state.came.notify_one();
  return ticket;
}

std::uint64_t Worker::unfinished(Ticket ticket) const {
  const Ticket ended = state_->last_ended.load(std::memory_order_acquire);
  return ended >= ticket ? 0 : ticket - ended;
}

bool Worker::wait(Ticket ticket, std::chrono::nanoseconds at_most) {
  State& state = *state_;
  const auto has_ended = [&] { return unfinished(ticket) == 0; };
  if (state.patience.spin(std::min(at_most, state.asleep ? kWakingSpin : kSpin), has_ended)) {
    return true;
  }
  std::unique_lock<std::mutex> held = state.lock();
  ++state.waiting;
  const bool came = wait_bounded(state.ended, held, at_most, has_ended);
  --state.waiting;
  return came;
}

bool Worker::abandon(Ticket ticket, const std::shared_ptr<void>& keep) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (unfinished(ticket) == 0) return false;
  state_->entry(ticket).keep = keep;
  return true;
}

bool Worker::run(const Job& job, std::chrono::nanoseconds at_most,
                 const std::shared_ptr<void>& keep) {
  const Ticket ticket = post(job);
  return ticket != 0 && (wait(ticket, at_most) || !abandon(ticket, keep));
}

}  // namespace milgen::ane
