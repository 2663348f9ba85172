#include "ane/program_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "ane/remove_folder.h"
#include "mil/weight_path.h"
#include "support/files.h"
#include "support/hash.h"
#include "support/printable.h"
#include "support/text.h"

namespace milgen::ane {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTextFile = "model.mil";
constexpr std::string_view kOptionsFile = "options.json";
// What common file systems take: of one name, and of a whole path on macOS (PATH_MAX), of which
// some is left for the folder.
constexpr std::size_t kLongestNameBytes = 255;
constexpr std::size_t kLongestPathBytes = 512;

Error file_error(std::string message) { return {ErrorKind::file, std::move(message)}; }

Error file_error(const Diagnostics& diagnostics) {
  const Diagnostic& first = diagnostics.all().front();
  return file_error(fmt::format("{}: {}", first.place.file, first.message));
}

Error system_error(std::string_view what, const std::string& path, int code) {
  return file_error(fmt::format("{} '{}': {}", what, path, std::system_category().message(code)));
}

/// Absolute, so that nothing changes when the process changes its folder, and without slashes at
/// its end, behind which lstat() would follow a link.
std::string absolute(const std::string& path) {
  std::error_code code;
  std::string full = fs::absolute(path, code).string();
  if (code) full = path;
  while (full.size() > 1 && full.back() == '/') full.pop_back();
  return full;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string temporary_folder(const std::string& given) {
  if (!given.empty()) return absolute(given);
  const std::string folder = environment("TMPDIR");
  return folder.empty() ? "/tmp" : absolute(folder);
}

/// What is wrong with the path as a list of names, as the end of a sentence; empty when nothing is.
std::string_view name_fault(std::string_view relative) {
  if (relative.find('\\') != std::string_view::npos) return "which has a backslash";
  if (relative.size() > kLongestPathBytes) return "which is too long";
  for (std::size_t begin = 0; begin <= relative.size();) {
    const std::size_t end = std::min(relative.find('/', begin), relative.size());
    const std::string_view name = relative.substr(begin, end - begin);
    if (name.empty()) return "which has an empty name in it";
    if (name == ".") return "which has the name '.' in it";
    if (name.size() > kLongestNameBytes) return "which is too long";
    begin = end + 1;
  }
  return lower_case(relative) == kTextFile ? "which is the program's own file" : "";
}

// --- Making folders ---

/// Whether the folder is the user's own, and nobody else can put anything into it.
Error check_own(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) {
    return system_error("nothing is known of the folder", path, errno);
  }
  std::string fault;
  if (S_ISLNK(info.st_mode)) {
    fault = "is a symbolic link";
  } else if (!S_ISDIR(info.st_mode)) {
    fault = "is no folder";
  } else if (info.st_uid != ::geteuid()) {
    fault = fmt::format("belongs to user {}, and this is user {}", info.st_uid, ::geteuid());
  } else if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    fault = fmt::format("can be written to by others: its mode is {:o}", info.st_mode & 07777);
  }
  if (fault.empty()) return {};
  return {ErrorKind::cache, fmt::format("the folder '{}' {}", path, fault)};
}

/// Makes the folder when it is not there, and holds it to check_own().
Error make_own(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error("cannot make the folder", path, errno);
  }
  return check_own(path);
}

/// A folder below one that is the user's own. What else has its name is taken away.
Error make_below(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    if (::unlink(path.c_str()) != 0) return system_error("cannot replace", path, errno);
  }
  if (::mkdir(path.c_str(), 0700) != 0) return system_error("cannot make the folder", path, errno);
  return {};
}

// --- Writing files ---

bool has_bytes(const std::string& path, std::span<const std::byte> bytes) {
  std::error_code code;
  if (fs::file_size(path, code) != bytes.size() || code) return false;
  Diagnostics ignored;
  MappedFile file;
  return file.open(path, ignored) && std::ranges::equal(file.bytes(), bytes);
}

/// `path` lies in a folder that is the user's own.
Error write_file(const std::string& path, std::span<const std::byte> bytes) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
    // Another holder of a shared folder may be replacing it at this moment: then it has no name.
    if (S_ISREG(info.st_mode) && info.st_nlink <= 1) {
      if (has_bytes(path, bytes)) return {};
    } else if (::unlink(path.c_str()) != 0) {
      // Not written through: a link leads elsewhere, a pipe nowhere.
      return system_error("cannot replace", path, errno);
    }
  }
  Diagnostics diagnostics;
  AtomicFile file;
  // What a later run finds is held against the bytes that it has, so that nothing is lost with it.
  if (file.open(path, diagnostics) && file.write(bytes, diagnostics) &&
      file.commit(diagnostics, Flush::no)) {
    return {};
  }
  return file_error(diagnostics);
}

struct PlacedWeight {
  std::string relative;
  std::span<const std::byte> bytes;
};

Error place_weights(std::span<const ProgramWeight> weights, std::vector<PlacedWeight>& placed) {
  // Without case, as macOS tells names apart by default.
  std::set<std::string> names;
  for (const ProgramWeight& weight : weights) {
    Result<std::string> relative = relative_weight_path(weight.path);
    if (!relative) return relative.error();
    if (!names.insert(lower_case(*relative)).second) {
      return {ErrorKind::weights,
              fmt::format("two weight files are called '{}'", printable(weight.path))};
    }
    placed.push_back({*std::move(relative), weight.bytes});
  }
  return {};
}

Error write_below(const std::string& folder, const PlacedWeight& weight) {
  for (std::size_t slash = weight.relative.find('/'); slash != std::string::npos;
       slash = weight.relative.find('/', slash + 1)) {
    if (Error error = make_below(folder + "/" + weight.relative.substr(0, slash))) return error;
  }
  return write_file(folder + "/" + weight.relative, weight.bytes);
}

Error write_program(const std::string& folder, std::string_view mil_text,
                    std::span<const ProgramWeight> weights) {
  std::vector<PlacedWeight> placed;
  if (Error error = place_weights(weights, placed)) return error;
  const std::string text_path = fmt::format("{}/{}", folder, kTextFile);
  if (Error error = write_file(text_path, std::as_bytes(std::span(mil_text)))) return error;
  for (const PlacedWeight& weight : placed) {
    if (Error error = write_below(folder, weight)) return error;
  }
  return {};
}

// --- Options ---

using Json = nlohmann::ordered_json;

Json to_json(std::span<const EngineOption> options) {
  Json json = Json::object();
  for (const EngineOption& option : options) {
    std::visit([&](const auto& value) { json[option.key] = value; }, option.value);
  }
  return json;
}

std::string options_text(const std::string& identifier, const ModelOptions& options) {
  const Json json = {{"identifier", identifier},
                     {"qos", options.qos},
                     {"options", to_json(options.options)},
                     {"compiler_options", to_json(options.compiler_options)},
                     {"perf_stats_mask", options.perf_stats_mask}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// The engine's name for a program as the name of a folder, whatever it is.
std::string folder_name(std::string_view identifier) {
  std::string name(identifier.substr(0, kLongestNameBytes));
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.';
  };
  std::ranges::replace_if(
      name, [&](char c) { return !is_plain(c); }, '_');
  if (name.empty() || name.front() == '.') name.insert(name.begin(), '_');
  return name;
}

// --- The key ---

class KeyHash {
 public:
  void add(std::span<const std::byte> bytes) {
    add(std::uint64_t{bytes.size()});
    hash_.update(bytes);
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(std::uint64_t number) {
    std::array<std::byte, 8> bytes{};
    for (std::byte& byte : bytes) {
      byte = static_cast<std::byte>(number & 0xFFu);
      number >>= 8;
    }
    hash_.update(bytes);
  }
  void add(std::span<const EngineOption> options) {
    std::vector<const EngineOption*> sorted;
    for (const EngineOption& option : options) sorted.push_back(&option);
    std::ranges::stable_sort(sorted, {}, [](const EngineOption* option) { return option->key; });
    add(std::uint64_t{sorted.size()});
    for (const EngineOption* option : sorted) {
      add(option->key);
      add(std::uint64_t{option->value.index()});
      if (const auto* text = std::get_if<std::string>(&option->value)) {
        add(*text);
      } else if (const auto* number = std::get_if<std::int64_t>(&option->value)) {
        add(static_cast<std::uint64_t>(*number));
      } else {
        add(std::uint64_t{std::get<bool>(option->value)});
      }
    }
  }
  std::string finish() { return hex(hash_.finish()); }

 private:
  Sha256 hash_;
};

}  // namespace

Result<std::string> relative_weight_path(std::string_view path) {
  std::string_view fault = weight_path_fault(path);
  const std::string_view relative = fault.empty() ? path.substr(kModelPath.size()) : "";
  if (fault.empty()) fault = name_fault(relative);
  if (fault.empty()) return std::string(relative);
  return Error(ErrorKind::weights,
               fmt::format("the weight file is '{}', {}", printable(path), fault));
}

// --- ProgramFolder ---

ProgramFolder::ProgramFolder(std::string path, Kind kind, FileLock lock)
    : path_(std::move(path)), kind_(kind), lock_(std::move(lock)), process_(::getpid()) {}

ProgramFolder::ProgramFolder(ProgramFolder&& other) noexcept { swap(other); }

ProgramFolder& ProgramFolder::operator=(ProgramFolder&& other) noexcept {
  ProgramFolder taken(std::move(other));
  swap(taken);
  return *this;
}

void ProgramFolder::swap(ProgramFolder& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(kind_, other.kind_);
  std::swap(lock_, other.lock_);
  std::swap(process_, other.process_);
}

ProgramFolder::~ProgramFolder() {
  if (process_ != ::getpid()) return;
  const bool last = kind_ == Kind::shared && lock_.make_exclusive();
  // Nobody is left to be told what could not be removed.
  if (last || kind_ == Kind::exclusive) static_cast<void>(remove_folder(path_));
  if (last) lock_.remove_file();
}

Result<ProgramFolder> ProgramFolder::create_private(const std::string& temporary) {
  const std::string parent = temporary_folder(temporary);
  std::string path = parent + "/milgen-ane-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return system_error("cannot make a folder in", parent, errno);
  }
  return ProgramFolder(std::move(path), Kind::exclusive, {});
}

Result<ProgramFolder> ProgramFolder::open_shared(const std::string& temporary,
                                                 std::string_view identifier,
                                                 std::chrono::milliseconds lock_timeout) {
  if (identifier.empty() || folder_name(identifier) != identifier) {
    return file_error(fmt::format("the engine calls the program '{}', which is no name of a folder",
                                  printable(identifier)));
  }
  std::string path = fmt::format("{}/{}", temporary_folder(temporary), identifier);
  Result<FileLock> lock = FileLock::take(path + ".lock", Sharing::shared, lock_timeout);
  if (!lock) return lock.error();
  if (Error error = make_own(path)) {
    if (lock->make_exclusive()) lock->remove_file();
    return error;
  }
  return ProgramFolder(std::move(path), Kind::shared, *std::move(lock));
}

Result<ProgramFolder> ProgramFolder::open_cached(const std::string& cache, const std::string& key,
                                                 std::chrono::milliseconds lock_timeout) {
  const std::string root = absolute(cache);
  Diagnostics diagnostics;
  if (!make_folders(fs::path(root).parent_path().string(), diagnostics)) {
    return file_error(diagnostics);
  }
  if (Error error = make_own(root)) return error;
  std::string path = fmt::format("{}/{}", root, key);
  Result<FileLock> lock = FileLock::take(path + ".lock", Sharing::exclusive, lock_timeout);
  if (!lock) return lock.error();
  if (Error error = make_own(path)) return error;
  return ProgramFolder(std::move(path), Kind::cached, *std::move(lock));
}

Error ProgramFolder::write(std::string_view mil_text, std::span<const ProgramWeight> weights) {
  return write_program(path_, mil_text, weights);
}

Error ProgramFolder::clear() { return empty_folder(path_); }

void ProgramFolder::unlock() {
  if (kind_ == Kind::cached) lock_.release();
}

// --- The cache and dumps ---

std::string cache_folder(const std::string& given) {
  if (!given.empty()) return given;
  if (std::string folder = environment("MILGEN_ANE_CACHE"); !folder.empty()) return folder;
  const std::string home = environment("HOME");
#ifdef __APPLE__
  return home.empty() ? "" : home + "/Library/Caches/milgen/ane";
#else
  // The XDG base directory specification has relative paths ignored.
  const std::string caches = environment("XDG_CACHE_HOME");
  if (caches.starts_with('/')) return caches + "/milgen/ane";
  return home.empty() ? "" : home + "/.cache/milgen/ane";
#endif
}

std::string cache_key(std::string_view mil_text, std::span<const ProgramWeight> weights,
                      const ModelOptions& options, std::string_view build_version,
                      std::string_view architecture) {
  std::vector<const ProgramWeight*> sorted;
  for (const ProgramWeight& weight : weights) sorted.push_back(&weight);
  std::ranges::stable_sort(sorted, {}, [](const ProgramWeight* weight) { return weight->path; });

  KeyHash hash;
  hash.add(mil_text);
  hash.add(std::uint64_t{sorted.size()});
  for (const ProgramWeight* weight : sorted) {
    hash.add(weight->path);
    hash.add(weight->bytes);
  }
  hash.add(options.options);
  hash.add(options.compiler_options);
  hash.add(build_version);
  hash.add(architecture);
  return hash.finish();
}

Error dump_program(const std::string& folder, const std::string& identifier,
                   std::string_view mil_text, std::span<const ProgramWeight> weights,
                   const ModelOptions& options) {
  const std::string path = fmt::format("{}/{}", absolute(folder), folder_name(identifier));
  Diagnostics diagnostics;
  if (!make_folders(path, diagnostics)) return file_error(diagnostics);
  if (Error error = write_program(path, mil_text, weights)) return error;
  const std::string text = options_text(identifier, options);
  return write_file(fmt::format("{}/{}", path, kOptionsFile), std::as_bytes(std::span(text)));
}

}  // namespace milgen::ane
