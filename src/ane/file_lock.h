// A lock that processes share, on a file (ane_runtime, 4.3).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "milgen/ane/error.h"

namespace milgen::ane {

enum class Sharing : std::uint8_t { exclusive, shared };

/// Holds `path` with flock(), which the system gives back when a process dies. Each FileLock is a
/// holder of its own, also within one process.
class FileLock {
 public:
  FileLock() = default;  ///< none
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

  /// Makes the file when it is not there, for its user alone. Errors, all `cache`: what `path` is
  /// belongs to someone else or is no plain file, the file system cannot lock, others hold it for
  /// longer than `timeout`.
  static Result<FileLock> take(const std::string& path, Sharing sharing,
                               std::chrono::milliseconds timeout);

  explicit operator bool() const { return fd_ >= 0; }
  /// Makes a shared lock exclusive if nobody else has one; when false, it may be lost.
  bool make_exclusive();
  /// Also takes the file away. Who waits for the lock sees that and begins with a new file. Only
  /// while it is held exclusively.
  void remove_file();
  void release();

 private:
  FileLock(std::string path, int fd);
  bool is_file() const;

  std::string path_;
  int fd_ = -1;
  pid_t process_ = 0;  // a forked child has the same lock: it must not give back its parent's
};

}  // namespace milgen::ane
