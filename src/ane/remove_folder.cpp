#include "ane/remove_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace milgen::ane {
namespace {

/// A descriptor of a folder.
class Folder {
 public:
  Folder(int parent, const char* name)
      : fd_(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// All names are read before anything is removed: what readdir() gives of a folder that changes is
/// not defined.
bool read_names(int folder, std::vector<std::string>& names) {
  names.clear();
  // A descriptor of its own, since closedir() closes it and the position belongs to it.
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    if (fd >= 0) ::close(fd);
    return false;
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  return true;
}

/// Whether nothing, or something that is no folder, is under the name after this; a folder stays.
enum class Outcome : std::uint8_t { removed, folder, failed };
Outcome remove_file(int folder, const std::string& name) {
  if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return Outcome::removed;
  const int code = errno;
  struct stat info = {};
  // Systems differ in what they say of a folder: EISDIR, EPERM.
  if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode)) {
    return Outcome::folder;
  }
  errno = code;
  return Outcome::failed;
}

/// Empties a folder without going down in it: folders of the second level are moved to the first,
/// so that two descriptors are enough for any depth.
class Emptier {
 public:
  explicit Emptier(int root) : root_(root) {}

  /// False, with errno set.
  bool run() {
    std::vector<std::string> names;
    for (;;) {
      if (!read_names(root_, names)) return false;
      if (names.empty()) return true;
      for (const std::string& name : names) {
        const Outcome outcome = remove_file(root_, name);
        if (outcome == Outcome::failed) return false;
        if (outcome == Outcome::folder && !remove_child(name)) return false;
      }
    }
  }

 private:
  bool remove_child(const std::string& name) {
    {
      const Folder child(root_, name.c_str());
      if (child.fd() < 0 || !read_names(child.fd(), inner_)) return false;
      for (const std::string& inner : inner_) {
        const Outcome outcome = remove_file(child.fd(), inner);
        if (outcome == Outcome::failed) return false;
        if (outcome == Outcome::folder && !lift(child.fd(), inner)) return false;
      }
    }
    return ::unlinkat(root_, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
  }

  bool lift(int child, const std::string& name) {
    for (;;) {
      const std::string lifted = fmt::format("lifted.{}", next_++);
      if (::renameat(child, name.c_str(), root_, lifted.c_str()) == 0) return true;
      // The name is taken.
      if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return false;
    }
  }

  int root_;
  std::uint64_t next_ = 0;
  std::vector<std::string> inner_;
};

Error failure(const std::string& path, int code) {
  return {ErrorKind::file, fmt::format("the folder '{}' cannot be removed: {}", path,
                                       std::system_category().message(code))};
}

}  // namespace

Error empty_folder(const std::string& path) {
  const Folder folder(AT_FDCWD, path.c_str());
  if (folder.fd() < 0 || !Emptier(folder.fd()).run()) return failure(path, errno);
  return {};
}

Error remove_folder(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0 && errno == ENOENT) return {};
  if (Error error = empty_folder(path)) return error;
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return failure(path, errno);
  return {};
}

}  // namespace milgen::ane
