// The surfaces and shared events of the fake engine.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "objc.h"

namespace milgen::fake_ane {

// An IOSurfaceRef. Its memory ends at a page that may not be touched.
class IoSurface final : public Object {
 public:
  struct Properties {
    std::size_t width = 0;
    std::size_t height = 0;
    std::size_t bytes_per_element = 0;
    std::size_t bytes_per_row = 0;
    std::size_t alloc_size = 0;
    std::uint32_t pixel_format = 0;
  };

  // Null when the properties contradict each other or there is no memory for them.
  static Ref<IoSurface> create(Properties properties);
  // `base`: the properties' alloc_size bytes at the head of `mapped` bytes before a guard page.
  IoSurface(Properties properties, std::byte* base, std::size_t mapped);
  ~IoSurface() override;

  const Properties& properties() const { return properties_; }
  std::uint32_t id() const { return id_; }
  std::span<std::byte> bytes() const { return {base_, properties_.alloc_size}; }

  // Locks of clients that were not given back yet: in all, and those that may write.
  int locks() const;
  int write_locks() const;
  void lock(bool read_only);
  // False when there is no such lock to give back.
  bool unlock(bool read_only);

  std::atomic<std::int32_t> use_count{0};

  std::string description() const override;

 private:
  // Records a violation when bytes behind the surface were written.
  void check_end(std::string_view when);

  Properties properties_;
  std::byte* base_;
  std::size_t mapped_;  // bytes from base_ to the guard page
  std::uint32_t id_;
  std::atomic<int> read_locks_{0};
  std::atomic<int> write_locks_{0};
};

// A counter that only the signaller sets and others wait for; several IOSurfaceSharedEvent objects
// with the same port are one event.
class SharedEvent final : public Object {
 public:
  struct State;

  // A new event, with a port of its own.
  SharedEvent();
  ~SharedEvent() override;

  std::uint64_t signaled_value() const;
  void signal(std::uint64_t value);
  // False when the time ran out first.
  bool wait(std::uint64_t value, std::chrono::milliseconds timeout) const;
  std::uint32_t port() const;
  // Becomes the event with that port; false when there is none.
  bool attach(std::uint32_t port);

 private:
  std::shared_ptr<State> state_;
};

}  // namespace milgen::fake_ane
