// Compiled kernels by key, for executors: made once, kept for the next call, and closed when they
// were not used for the longest time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "milgen/ane/error.h"
#include "milgen/ane/linear.h"

namespace milgen::ane {

/// Any thread may call anything. Calls for one kernel exclude each other.
template <class Key, class Kernel>
class KernelCache {
 public:
  explicit KernelCache(std::size_t most) : most_(most == 0 ? 1 : most) {}

  /// Calls `use` with the kernel of `key`, which `make` makes when there is none.
  template <class Make, class Use>
  Result<LinearCallStats> call(const Key& key, const Make& make, const Use& use) {
    const std::shared_ptr<Entry> entry = find_or_add(key);
    if (entry == nullptr) return closed_error();
    const std::lock_guard<std::mutex> lock(entry->mutex);
    // Whoever waited for a kernel that could not be made gets the same answer.
    if (entry->error) return entry->error;
    const bool compiled = !entry->kernel;
    if (compiled) {
      Result<Kernel> made = make();
      if (!made) {
        entry->error = made.error();
        forget(key, entry);
        return entry->error;
      }
      entry->kernel.emplace(*std::move(made));
    }
    count(compiled);
    return used(key, entry, compiled, use);
  }

  /// The same with a kernel that is there; the error `missing` when it is not.
  template <class Use, class Missing>
  Result<LinearCallStats> call_kept(const Key& key, const Use& use, const Missing& missing) {
    const std::shared_ptr<Entry> entry = find(key);
    if (entry == nullptr) return is_closed() ? closed_error() : missing();
    const std::lock_guard<std::mutex> lock(entry->mutex);
    if (!entry->kernel) return missing();
    count(false);
    return used(key, entry, false, use);
  }

  LinearStats stats() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    LinearStats stats = stats_;
    stats.kernels = entries_.size();
    return stats;
  }

  /// Calls under way end; later ones give `closed`.
  void close() {
    Entries gone;
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    places_.clear();
    gone.swap(entries_);
  }

 private:
  struct Entry {
    std::mutex mutex;
    std::optional<Kernel> kernel;
    Error error;  // why there is none
  };
  /// The last used one is in front.
  using Entries = std::list<std::pair<Key, std::shared_ptr<Entry>>>;

  static Error closed_error() { return {ErrorKind::closed, "the executor is closed"}; }

  bool is_closed() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return closed_;
  }

  std::shared_ptr<Entry> find(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return find_locked(key);
  }

  std::shared_ptr<Entry> find_locked(const Key& key) {
    const auto place = places_.find(key);
    if (place == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, place->second);
    return place->second->second;
  }

  std::shared_ptr<Entry> find_or_add(const Key& key) {
    Entries gone;  // closed behind the lock: that takes its time
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return nullptr;
    if (std::shared_ptr<Entry> entry = find_locked(key)) return entry;
    entries_.emplace_front(key, std::make_shared<Entry>());
    places_[key] = entries_.begin();
    while (entries_.size() > most_) {
      places_.erase(entries_.back().first);
      gone.splice(gone.begin(), entries_, std::prev(entries_.end()));
    }
    return entries_.front().second;
  }

  void forget(const Key& key, const std::shared_ptr<Entry>& entry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto place = places_.find(key);
    if (place == places_.end() || place->second->second != entry) return;
    entries_.erase(place->second);
    places_.erase(place);
  }

  void count(bool compiled) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++(compiled ? stats_.compiles : stats_.cache_hits);
  }

  /// The caller has the entry's lock.
  template <class Use>
  Result<LinearCallStats> used(const Key& key, const std::shared_ptr<Entry>& entry, bool compiled,
                               const Use& use) {
    LinearCallStats stats{compiled, 0};
    Error error = use(*entry->kernel, stats);
    // A kernel that did not answer stays broken: the next call makes another one.
    if (error.kind() == ErrorKind::timeout || error.kind() == ErrorKind::broken) {
      forget(key, entry);
    }
    if (error) return error;
    return stats;
  }

  mutable std::mutex mutex_;
  Entries entries_;
  std::map<Key, typename Entries::iterator> places_;
  LinearStats stats_;
  std::size_t most_;
  bool closed_ = false;
};

}  // namespace milgen::ane
