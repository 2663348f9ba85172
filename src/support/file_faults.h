// Makes writes fail on purpose, so that tests see a full disk without filling one.
#pragma once

#include <cstdint>

namespace milgen::detail {

/// While one lives, every AtomicFile of the process shares `bytes` of room; what goes beyond fails
/// with ENOSPC. Any number of threads may write; only one DiskRoom lives at a time.
class DiskRoom {
 public:
  explicit DiskRoom(std::uint64_t bytes);
  DiskRoom(const DiskRoom&) = delete;
  DiskRoom& operator=(const DiskRoom&) = delete;
  ~DiskRoom();
};

/// Takes up to `bytes` of the room and returns how many there were; all of them without a DiskRoom.
std::uint64_t take_disk_room(std::uint64_t bytes);

}  // namespace milgen::detail
