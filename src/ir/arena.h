// The first memory of a set of arrays, inside the object that owns them.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory_resource>
#include <new>

namespace milgen {

/// Gives out pieces of its own block until that is used up, and memory of the heap from then on. A
/// kernel of the usual size then costs one allocation in place of some twenty, which were a tenth
/// of the time of building it; arrays that outgrow the block give their memory back as any vector
/// does, so that a large graph holds nothing twice.
template <std::size_t Bytes>
class BlockResource final : public std::pmr::memory_resource {
 public:
  BlockResource() = default;
  BlockResource(const BlockResource&) = delete;
  BlockResource& operator=(const BlockResource&) = delete;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    // Every piece is rounded up to the strictest alignment, so that no sum below can be unaligned.
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (alignment <= kAlignment && bytes <= Bytes && rounded <= Bytes - used_) {
      std::byte* at = block_.data() + used_;
      used_ += rounded;
      return at;
    }
    // Not new_delete_resource(), which takes the slower aligned form for whatever it is asked.
    return alignment <= kAlignment ? ::operator new(bytes)
                                   : ::operator new(bytes, std::align_val_t(alignment));
  }
  void do_deallocate(void* at, std::size_t, std::size_t alignment) override {
    const std::less<> before;
    const std::byte* piece = static_cast<const std::byte*>(at);
    if (!before(piece, block_.data()) && before(piece, block_.data() + Bytes)) return;
    if (alignment <= kAlignment) {
      ::operator delete(at);
    } else {
      ::operator delete(at, std::align_val_t(alignment));
    }
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  static constexpr std::size_t kAlignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  static_assert(Bytes % kAlignment == 0);
  std::size_t used_ = 0;
  // NOLINTNEXTLINE(*-member-init): its users write it
  alignas(kAlignment) std::array<std::byte, Bytes> block_;
};

}  // namespace milgen
