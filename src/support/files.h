// Files: read whole, mapped, or written beside their place and renamed into it.
//
// Everything here reports what went wrong as `file.*`, with the path and the system's words, and
// returns false.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"

namespace milgen {

/// Whether a file is to survive a loss of power, which costs some milliseconds.
enum class Flush : std::uint8_t {
  yes,
  no,  ///< for files that are made anew whenever they are needed
};

/// A file that is not there, or not whole, until commit(). The bytes go to a file beside `path`
/// that is renamed over it; a symbolic link is followed, so that it stays one, and the permissions
/// of a file that is replaced are kept. A device or a pipe cannot be replaced and is written to
/// directly.
class AtomicFile {
 public:
  AtomicFile() = default;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Without a commit() the file beside `path` is removed and `path` is as it was.
  ~AtomicFile();

  /// The folder must be there; make_folders() makes it.
  bool open(const std::string& path, Diagnostics& diagnostics);
  bool write(std::span<const std::byte> bytes, Diagnostics& diagnostics);
  bool write(std::string_view text, Diagnostics& diagnostics);
  /// Memory that the next bytes can be made in: at most `wanted_bytes`, at least the smaller of
  /// that and 4096. Valid until the next call.
  std::span<std::byte> lend(std::uint64_t wanted_bytes, Diagnostics& diagnostics);
  /// Takes the first `size_bytes` of what was lent last.
  void accept(std::size_t size_bytes) { buffered_ += size_bytes; }
  /// Writes out, flushes to the disk, and puts the file in its place.
  bool commit(Diagnostics& diagnostics, Flush flush_disk = Flush::yes);
  /// What was written so far, buffered bytes included.
  std::uint64_t size_bytes() const { return written_ + buffered_; }

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

  bool flush(Diagnostics& diagnostics);
  bool write_out(const std::byte* bytes, std::size_t size, Diagnostics& diagnostics);
  void abandon();

  std::string path_;
  std::string target_;
  std::string temporary_;
  int fd_ = -1;
  bool failed_ = false;
  std::uint64_t written_ = 0;
  std::size_t buffered_ = 0;
  std::vector<std::byte> buffer_;
};

/// Makes the folder and those above it that are missing.
bool make_folders(const std::string& path, Diagnostics& diagnostics);

/// The whole file, from its start; `file.size` when it is larger than `limit_bytes`. Pipes and
/// devices are read to their end under the same bound.
bool read_file(const std::string& path, std::uint64_t limit_bytes, std::string& text,
               Diagnostics& diagnostics);

/// A regular file in memory, read-only. An empty one is an empty span.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  bool open(const std::string& path, Diagnostics& diagnostics);
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  void close();

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace milgen
