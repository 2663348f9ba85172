// A hash table of ids: who owns it keeps what the ids stand for, and says when two are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace milgen {

/// Differs from process to process, so that no file can hold words that all fall into one slot.
/// Nothing depends on it but the order inside of tables, which nobody walks.
inline std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }();
  return seed;
}

class IdTable {
 public:
  static constexpr std::uint32_t kNoId = 0xFFFFFFFFu;

  /// The id of this hash for which `same` holds; kNoId when there is none.
  template <class Same>
  std::uint32_t find(std::uint32_t hash, const Same& same) const {
    return slots_[slot_of(hash, same)].id;
  }
  /// The same, or else `next`, which is in the table from then on.
  template <class Same>
  std::uint32_t find_or_add(std::uint32_t hash, std::uint32_t next, const Same& same) {
    const std::size_t slot = slot_of(hash, same);
    if (slots_[slot].id != kNoId) return slots_[slot].id;
    slots_[slot] = {hash, next};
    if (++used_ * 2 > slots_.size()) grow();
    return next;
  }

 private:
  struct Slot {
    std::uint32_t hash;
    std::uint32_t id;
  };
  static constexpr std::size_t kFirstSlots = 1024;

  template <class Same>
  std::size_t slot_of(std::uint32_t hash, const Same& same) const {
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot].id != kNoId && !(slots_[slot].hash == hash && same(slots_[slot].id))) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 4, Slot{0, kNoId});
    old.swap(slots_);
    for (const Slot& entry : old) {
      if (entry.id == kNoId) continue;
      slots_[slot_of(entry.hash, [](std::uint32_t) { return false; })] = entry;
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kFirstSlots, Slot{0, kNoId});  // at most half full
  std::size_t used_ = 0;
};

}  // namespace milgen
