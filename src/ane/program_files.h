// What a program is on disk: model.mil and weights/, in a folder of its own or in the cache
// (ane_runtime, 4.3 and 4.8).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ane/file_lock.h"
#include "milgen/ane/error.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

/// A weight file of a program: the path as BLOBFILE says it, "@model_path/weights/w.bin", and its
/// bytes, which outlive this.
struct ProgramWeight {
  std::string path;
  std::span<const std::byte> bytes;
};

/// The part of a BLOBFILE path below the model's folder. Errors: `weights` for a path that does not
/// begin with "@model_path/", that leads out of the folder, that is no plain list of names, or that
/// is model.mil's own.
Result<std::string> relative_weight_path(std::string_view path);

/// A folder with a program's files. Neither it nor its lock is touched by a forked child of the
/// process that made it.
class ProgramFolder {
 public:
  ProgramFolder() = default;  ///< none
  ProgramFolder(ProgramFolder&& other) noexcept;
  ProgramFolder& operator=(ProgramFolder&& other) noexcept;
  /// Removes it, with everything that the engine put into it: a private one always, a shared one
  /// when no other holder is left, one of the cache never.
  ~ProgramFolder();

  /// A new folder below `temporary` ("" for $TMPDIR, or /tmp), which nobody else has or can enter.
  static Result<ProgramFolder> create_private(const std::string& temporary);
  /// The folder `identifier` below `temporary`: where the engine looks when it cannot be told
  /// another place (ane_runtime, 4.3). Programs of the same identifier have the same files, so all
  /// of them use it, and the last one removes it. Errors as of open_cached(), and `file` for an
  /// identifier that is no file name.
  static Result<ProgramFolder> open_shared(const std::string& temporary,
                                           std::string_view identifier,
                                           std::chrono::milliseconds lock_timeout);
  /// The folder of `key` in the cache: made when it is not there. Until unlock() nobody else has
  /// it. Errors: `cache` for a folder that is not the user's, that others can write to, that is a
  /// symbolic link, or whose lock does not come free in `lock_timeout`; `file`.
  static Result<ProgramFolder> open_cached(const std::string& cache, const std::string& key,
                                           std::chrono::milliseconds lock_timeout);

  /// Writes model.mil and all weights, each beside its place and renamed. Files that are there with
  /// the same bytes are left alone, and symbolic links are replaced, not followed. Errors:
  /// `weights` (a path that cannot be, two of them that are one file), `file` (a full disk; nothing
  /// half-written stays).
  Error write(std::string_view mil_text, std::span<const ProgramWeight> weights);
  /// Removes everything in it.
  Error clear();
  /// Lets others at a folder of the cache; nothing for the other kinds.
  void unlock();

  /// Absolute; "" of none.
  const std::string& path() const { return path_; }
  bool cached() const { return kind_ == Kind::cached; }

 private:
  enum class Kind : std::uint8_t { none, exclusive, shared, cached };

  ProgramFolder(std::string path, Kind kind, FileLock lock);
  void swap(ProgramFolder& other) noexcept;

  std::string path_;
  Kind kind_ = Kind::none;
  FileLock lock_;
  pid_t process_ = 0;
};

/// The cache's folder: as given, $MILGEN_ANE_CACHE, ~/Library/Caches/milgen/ane on macOS,
/// $XDG_CACHE_HOME/milgen/ane or ~/.cache/milgen/ane elsewhere. "" where none can be told.
std::string cache_folder(const std::string& given);

/// The key of a program: SHA-256 over text, weights (paths and bytes), options, the system's build
/// and the chip, each with its length in front. The order of weights and options does not matter.
std::string cache_key(std::string_view mil_text, std::span<const ProgramWeight> weights,
                      const ModelOptions& options, std::string_view build_version,
                      std::string_view architecture);

/// Writes what is sent to the engine below `folder`: FOLDER/IDENTIFIER/model.mil, weights/, and
/// options.json. Errors: `weights`, `file`.
Error dump_program(const std::string& folder, const std::string& identifier,
                   std::string_view mil_text, std::span<const ProgramWeight> weights,
                   const ModelOptions& options);

}  // namespace milgen::ane
