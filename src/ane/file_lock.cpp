#include "ane/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

namespace milgen::ane {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLongestPause{20};

Error cannot(const std::string& path, std::string_view what) {
  return {ErrorKind::cache, fmt::format("the lock '{}' {}", path, what)};
}

std::string words(int code) { return std::system_category().message(code); }

Result<int> open_lock(const std::string& path) {
  // Not through a link, which could lead to someone else's file; and not waiting for the other end
  // of a pipe.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0) return cannot(path, fmt::format("cannot be opened: {}", words(errno)));
  struct stat info = {};
  const bool known = ::fstat(fd, &info) == 0;
  if (known && S_ISREG(info.st_mode) && info.st_uid == ::geteuid()) return fd;
  ::close(fd);
  if (!known || !S_ISREG(info.st_mode)) return cannot(path, "is no plain file");
  return cannot(path,
                fmt::format("belongs to user {}, and this is user {}", info.st_uid, ::geteuid()));
}

}  // namespace

FileLock::FileLock(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), process_(::getpid()) {}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), process_(other.process_) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(process_, other.process_);
  return *this;
}

FileLock::~FileLock() { release(); }

Result<FileLock> FileLock::take(const std::string& path, Sharing sharing,
                                std::chrono::milliseconds timeout) {
  const int operation = (sharing == Sharing::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const Clock::time_point start = Clock::now();
  FileLock lock;
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    if (!lock) {
      const Result<int> fd = open_lock(path);
      if (!fd) return fd.error();
      lock = FileLock(path, *fd);
    }
    if (::flock(lock.fd_, operation) == 0) {
      if (lock.is_file()) return lock;
      // Its last holder removed the file while this one waited for it.
      lock.release();
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return cannot(path, fmt::format("cannot be taken: {}", words(errno)));
    }
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    if (waited >= timeout) {
      return cannot(path, fmt::format("is still held by another after {} ms", timeout.count()));
    }
    if (lock) std::this_thread::sleep_for(pause);
  }
}

bool FileLock::is_file() const {
  struct stat held = {};
  struct stat there = {};
  return ::fstat(fd_, &held) == 0 && ::lstat(path_.c_str(), &there) == 0 &&
         held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

bool FileLock::make_exclusive() {
  return fd_ >= 0 && process_ == ::getpid() && ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
}

void FileLock::remove_file() { ::unlink(path_.c_str()); }

void FileLock::release() {
  if (fd_ < 0) return;
  // Closing would do, were there no child that was forked meanwhile and still has it open.
  if (process_ == ::getpid()) ::flock(fd_, LOCK_UN);
  ::close(std::exchange(fd_, -1));
}

}  // namespace milgen::ane
