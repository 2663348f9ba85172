#include "support/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "support/file_faults.h"
#include "support/rule.h"

namespace milgen {
namespace detail {
namespace {

std::atomic<bool> room_is_limited{false};
std::atomic<std::uint64_t> room_bytes{0};

}  // namespace

DiskRoom::DiskRoom(std::uint64_t bytes) {
  room_bytes = bytes;
  room_is_limited = true;
}

DiskRoom::~DiskRoom() { room_is_limited = false; }

std::uint64_t take_disk_room(std::uint64_t bytes) {
  if (!room_is_limited) return bytes;
  std::uint64_t left = room_bytes;
  while (!room_bytes.compare_exchange_weak(left, left - std::min(left, bytes))) {
  }
  return std::min(left, bytes);
}

}  // namespace detail

namespace {

// macOS refuses to write or read 2 GiB or more in one call.
constexpr std::size_t kCallBytes = std::size_t{1} << 30;

std::string system_words(int code) { return std::system_category().message(code); }

bool fail(Diagnostics& diagnostics, Rule rule, const std::string& path, std::string_view what,
          int code) {
  diagnostics.error(rule.id(), fmt::format("{}: {}", what, system_words(code)), Place(path));
  return false;
}

bool fail(Diagnostics& diagnostics, Rule rule, const std::string& path, std::string what) {
  diagnostics.error(rule.id(), std::move(what), Place(path));
  return false;
}

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/// A file that does not exist yet, in the folder of `target`, so that the rename stays inside one
/// file system. Not mkstemp: its 0600 would have to be undone, and the process's umask cannot be
/// read without setting it.
int create_beside(const std::string& target, std::string& name) {
  static std::atomic<unsigned> counter{0};
  const std::size_t slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : target.substr(0, slash + 1);
  // A long file name leaves no room for a suffix (255 bytes on most file systems).
  const std::string stem = target.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, 200);
  constexpr int kTries = 100;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
    name = fmt::format("{}.{}.{}-{:x}-{:x}.tmp", folder, stem, ::getpid(), counter++,
                       static_cast<unsigned>(ticks & 0xFFFFFF));
    const int fd = open_retrying(name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

}  // namespace

AtomicFile::~AtomicFile() { abandon(); }

void AtomicFile::abandon() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

bool AtomicFile::open(const std::string& path, Diagnostics& diagnostics) {
  abandon();
  path_ = path;
  target_ = path;
  failed_ = true;
  written_ = 0;
  buffered_ = 0;
  if (path.empty()) return fail(diagnostics, rule<"file.open">, path, "the path is empty");

  struct stat info = {};
  const bool there = ::stat(path.c_str(), &info) == 0;
  if (there && S_ISDIR(info.st_mode)) {
    return fail(diagnostics, rule<"file.open">, path, "cannot be written: it is a folder");
  }
  if (there && !S_ISREG(info.st_mode)) {
    fd_ = open_retrying(path.c_str(), O_WRONLY);
    if (fd_ < 0) {
      return fail(diagnostics, rule<"file.open">, path, "cannot be opened for writing", errno);
    }
  } else {
    struct stat link = {};
    if (there && ::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) {
      if (char* resolved = ::realpath(path.c_str(), nullptr)) {
        target_ = resolved;
        std::free(resolved);
      }
    }
    // A file that its owner made read-only is not replaced behind their back.
    if (there && ::access(target_.c_str(), W_OK) != 0) {
      return fail(diagnostics, rule<"file.open">, path, "cannot be opened for writing", errno);
    }
    fd_ = create_beside(target_, temporary_);
    if (fd_ < 0) {
      const int code = errno;
      temporary_.clear();
      return fail(diagnostics, rule<"file.open">, path, "cannot be written", code);
    }
    // Failing to keep the permissions is no reason to keep the old file.
    if (there && ::fchmod(fd_, info.st_mode & 07777) != 0) errno = 0;
  }
  if (buffer_.empty()) buffer_.resize(kBufferBytes);
  failed_ = false;
  return true;
}

bool AtomicFile::write_out(const std::byte* bytes, std::size_t size, Diagnostics& diagnostics) {
  if (failed_) return false;
  while (size != 0) {
    const std::size_t wanted = std::min(size, kCallBytes);
    const auto room = static_cast<std::size_t>(detail::take_disk_room(wanted));
    ssize_t count = room == 0 ? -1 : ::write(fd_, bytes, room);
    if (room == 0) errno = ENOSPC;
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int code = count == 0 ? ENOSPC : errno;
      failed_ = true;
      return fail(diagnostics, rule<"file.write">, path_,
                  fmt::format("cannot be written past byte {}", written_), code);
    }
    bytes += count;
    size -= static_cast<std::size_t>(count);
    written_ += static_cast<std::uint64_t>(count);
  }
  return true;
}

bool AtomicFile::flush(Diagnostics& diagnostics) {
  const std::size_t size = std::exchange(buffered_, 0);
  return write_out(buffer_.data(), size, diagnostics);
}

bool AtomicFile::write(std::span<const std::byte> bytes, Diagnostics& diagnostics) {
  if (failed_) return false;
  if (bytes.size() <= buffer_.size() - buffered_) {
    if (!bytes.empty()) std::memcpy(buffer_.data() + buffered_, bytes.data(), bytes.size());
    buffered_ += bytes.size();
    return true;
  }
  if (!flush(diagnostics)) return false;
  if (bytes.size() >= kBufferBytes) return write_out(bytes.data(), bytes.size(), diagnostics);
  std::memcpy(buffer_.data(), bytes.data(), bytes.size());
  buffered_ = bytes.size();
  return true;
}

bool AtomicFile::write(std::string_view text, Diagnostics& diagnostics) {
  return write(std::as_bytes(std::span(text)), diagnostics);
}

std::span<std::byte> AtomicFile::lend(std::uint64_t wanted_bytes, Diagnostics& diagnostics) {
  if (failed_) return {};
  // A short remainder is not worth lending: it would make many small pieces.
  const std::uint64_t useful = std::min<std::uint64_t>(wanted_bytes, kBufferBytes / 2);
  if (buffer_.size() - buffered_ < useful && !flush(diagnostics)) return {};
  return std::span(buffer_).subspan(buffered_).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(wanted_bytes, buffer_.size() - buffered_)));
}

bool AtomicFile::commit(Diagnostics& diagnostics, Flush flush_disk) {
  if (failed_ || fd_ < 0) return false;
  if (!flush(diagnostics)) return false;
  const bool renames = !temporary_.empty();
  const bool flushes = renames && flush_disk == Flush::yes;
  // Without this the rename may reach the disk before the bytes do.
  if (flushes && ::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP) {
    failed_ = true;
    return fail(diagnostics, rule<"file.write">, path_, "cannot be flushed to the disk", errno);
  }
  // Some file systems report a full disk only here.
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 && errno != EINTR) {
    failed_ = true;
    return fail(diagnostics, rule<"file.write">, path_, "cannot be written", errno);
  }
  failed_ = true;  // nothing more can be written
  if (!renames) return true;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    return fail(diagnostics, rule<"file.rename">, path_, "cannot be replaced", errno);
  }
  temporary_.clear();
  if (!flushes) return true;
  // The folder's entry, too; not every file system lets a folder be flushed.
  const std::size_t slash = target_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
  const int folder_fd = open_retrying(folder.c_str(), O_RDONLY);
  if (folder_fd >= 0) {
    if (::fsync(folder_fd) != 0) errno = 0;
    ::close(folder_fd);
  }
  return true;
}

bool make_folders(const std::string& path, Diagnostics& diagnostics) {
  if (path.empty()) return true;
  std::error_code code;
  std::filesystem::create_directories(path, code);
  // A file with the folder's name is no error for create_directories.
  std::error_code none;
  if (!code && std::filesystem::is_directory(path, none)) return true;
  std::filesystem::path part(path);
  while (part.has_relative_path() && !std::filesystem::exists(part, none)) {
    part = part.parent_path();
  }
  if (!part.empty() && std::filesystem::exists(part, none) &&
      !std::filesystem::is_directory(part, none)) {
    return fail(diagnostics, rule<"file.folder">, path,
                part == std::filesystem::path(path)
                    ? "the folder cannot be made: a file has its name"
                    : fmt::format("the folder cannot be made: '{}' is no folder", part.string()));
  }
  return fail(diagnostics, rule<"file.folder">, path,
              fmt::format("the folder cannot be made: {}", code.message()));
}

namespace {

bool open_to_read(const std::string& path, int& fd, struct stat& info, Diagnostics& diagnostics) {
  fd = open_retrying(path.c_str(), O_RDONLY);
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    const int code = errno;
    if (fd >= 0) ::close(fd);
    return fail(diagnostics, rule<"file.open">, path, "cannot be opened", code);
  }
  if (S_ISDIR(info.st_mode)) {
    ::close(fd);
    return fail(diagnostics, rule<"file.open">, path, "cannot be read: it is a folder");
  }
  return true;
}

}  // namespace

bool read_file(const std::string& path, std::uint64_t limit_bytes, std::string& text,
               Diagnostics& diagnostics) {
  text.clear();
  int fd = -1;
  struct stat info = {};
  if (!open_to_read(path, fd, info, diagnostics)) return false;
  const auto too_large = [&] {
    ::close(fd);
    text.clear();
    return fail(diagnostics, rule<"file.size">, path,
                fmt::format("has more than the {} bytes that are read", limit_bytes));
  };
  const auto size = static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0));
  if (S_ISREG(info.st_mode) && size > limit_bytes) return too_large();

  // One more byte than the file says, so that its end is seen without a second round.
  std::size_t room = S_ISREG(info.st_mode) ? static_cast<std::size_t>(size) + 1 : 0;
  std::size_t used = 0;
  for (;;) {
    room = std::max<std::size_t>(room, used + (std::size_t{64} << 10));
    if (text.size() < room) text.resize(std::max(room, text.size() * 2));
    const ssize_t count = ::read(fd, text.data() + used, std::min(text.size() - used, kCallBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int code = errno;
      ::close(fd);
      text.clear();
      return fail(diagnostics, rule<"file.read">, path, "cannot be read", code);
    }
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
    if (used > limit_bytes) return too_large();
  }
  ::close(fd);
  text.resize(used);
  return true;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() { close(); }

void MappedFile::close() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

bool MappedFile::open(const std::string& path, Diagnostics& diagnostics) {
  close();
  struct stat info = {};
  // Asked before it is opened: opening a pipe would wait for its other end.
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    return fail(diagnostics, rule<"file.open">, path, "cannot be mapped: it is no regular file");
  }
  int fd = -1;
  if (!open_to_read(path, fd, info, diagnostics)) return false;
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail(diagnostics, rule<"file.open">, path, "cannot be mapped: it is no regular file");
  }
  if (info.st_size > 0) {
    const auto size = static_cast<std::size_t>(info.st_size);
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const int code = errno;
      ::close(fd);
      return fail(diagnostics, rule<"file.read">, path, "cannot be mapped", code);
    }
    data_ = static_cast<const std::byte*>(data);
    size_ = size;
  }
  ::close(fd);
  return true;
}

}  // namespace milgen
