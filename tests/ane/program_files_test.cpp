#include "ane/program_files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "ane/remove_folder.h"
#include "support/file_faults.h"
#include "support/temporary_folder.h"

namespace milgen::ane {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{30};
constexpr milliseconds kLong{20'000};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

ProgramWeight weight(std::string path, std::string_view bytes) {
  return {std::move(path), bytes_of(bytes)};
}

std::string path_error(std::string_view path) {
  return relative_weight_path(path).error().detail().message;
}

mode_t mode_of(const std::string& path) {
  struct stat info = {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

ino_t inode_of(const std::string& path) {
  struct stat info = {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_ino;
}

/// Sets an environment variable for a while; null takes it away.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(old_ ? old_->c_str() : nullptr); }

 private:
  void set(const char* value) const {
    if (value == nullptr) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, value, 1);
    }
  }
  const char* name_;
  std::optional<std::string> old_;
};

/// Runs `body` in a child; whether it gave true. The child ends without destructors.
template <class Body>
pid_t start_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  return child;
}

bool wait_for(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("a weight's path is the part below @model_path") {
  CHECK(*relative_weight_path("@model_path/weights/w.bin") == "weights/w.bin");
  CHECK(*relative_weight_path("@model_path/w") == "w");
  CHECK(*relative_weight_path("@model_path/a/b/c..d/.e") == "a/b/c..d/.e");
}

TEST_CASE("paths that no weight file can have are refused with the reason") {
  CHECK(relative_weight_path("w.bin").error().kind() == ErrorKind::weights);
  CHECK(path_error("w.bin") == "the weight file is 'w.bin', which is not below @model_path");
  CHECK(path_error("/etc/passwd") ==
        "the weight file is '/etc/passwd', which is not below @model_path");
  CHECK(path_error("@model_path") ==
        "the weight file is '@model_path', which is not below @model_path");
  CHECK(path_error("@model_path/") ==
        "the weight file is '@model_path/', which is not below @model_path");
  CHECK(path_error("@model_path//etc/passwd") ==
        "the weight file is '@model_path//etc/passwd', which is not below @model_path");
  CHECK(path_error("@model_pathx/w") ==
        "the weight file is '@model_pathx/w', which is not below @model_path");
  CHECK(path_error("@model_path/../w") ==
        "the weight file is '@model_path/../w', which is not below @model_path");
  CHECK(path_error("@model_path/a/../../w") ==
        "the weight file is '@model_path/a/../../w', which is not below @model_path");
  CHECK(path_error("@model_path/a/..") ==
        "the weight file is '@model_path/a/..', which is not below @model_path");
  CHECK(path_error("@model_path/a//b") ==
        "the weight file is '@model_path/a//b', which has an empty name in it");
  CHECK(path_error("@model_path/a/") ==
        "the weight file is '@model_path/a/', which has an empty name in it");
  CHECK(path_error("@model_path/./b") ==
        "the weight file is '@model_path/./b', which has the name '.' in it");
  CHECK(path_error("@model_path/..\\w") ==
        "the weight file is '@model_path/..\\w', which has a backslash");
  using namespace std::string_view_literals;
  CHECK(path_error("@model_path/a\0b"sv) ==
        "the weight file is '@model_path/a?b', which has control characters");
  CHECK(path_error("@model_path/Model.MIL") ==
        "the weight file is '@model_path/Model.MIL', which is the program's own file");
  CHECK(path_error("@model_path/" + std::string(256, 'a')).ends_with("...', which is too long"));
  std::string deep = "@model_path/a";
  for (int i = 0; i < 300; ++i) deep += "/a";
  CHECK(path_error(deep).ends_with("...', which is too long"));
}

TEST_CASE("a private folder is nobody else's, and goes with what the engine put into it") {
  const TemporaryFolder temporary;
  std::string path;
  {
    Result<ProgramFolder> folder = ProgramFolder::create_private(temporary.path().string());
    REQUIRE(folder);
    path = folder->path();
    CHECK(fs::path(path).parent_path() == temporary.path());
    CHECK(mode_of(path) == 0700);
    CHECK_FALSE(folder->cached());
    const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "123"),
                                     weight("@model_path/v.bin", "")};
    REQUIRE_FALSE(folder->write("program", weights));
    CHECK(temporary.read(path + "/model.mil") == "program");
    CHECK(temporary.read(path + "/weights/w.bin") == "123");
    CHECK(fs::file_size(path + "/v.bin") == 0);
    temporary.write(path + "/net.plist", "of the engine");
    fs::create_directories(path + "/data/deep/deeper");
    temporary.write(path + "/data/deep/deeper/x", "x");

    ProgramFolder moved = *std::move(folder);
    CHECK(folder->path().empty());
    CHECK(moved.path() == path);
    moved = ProgramFolder();
    CHECK_FALSE(fs::exists(path));
  }
  CHECK(temporary.entries() == 0);
}

TEST_CASE("private folders lie in TMPDIR, and do not move with the working folder") {
  const TemporaryFolder temporary;
  const Variable variable("TMPDIR", temporary.path().c_str());
  const Result<ProgramFolder> folder = ProgramFolder::create_private("");
  REQUIRE(folder);
  CHECK(fs::path(folder->path()).parent_path() == temporary.path());
  {
    const Variable none("TMPDIR", nullptr);
    const Result<ProgramFolder> fallback = ProgramFolder::create_private("");
    REQUIRE(fallback);
    CHECK(fallback->path().starts_with("/tmp/milgen-ane-"));
  }
  const Variable relative("TMPDIR", fs::relative(temporary.path()).c_str());
  const Result<ProgramFolder> absolute = ProgramFolder::create_private("");
  REQUIRE(absolute);
  CHECK(absolute->path().starts_with("/"));
}

TEST_CASE("a private folder below one that is not there is an error") {
  const TemporaryFolder temporary;
  const Error error = ProgramFolder::create_private(temporary.file("none")).error();
  CHECK(error.kind() == ErrorKind::file);
  CHECK(error.detail().message ==
        fmt::format("cannot make a folder in '{}': No such file or directory",
                    temporary.file("none")));
}

TEST_CASE("a forked child leaves its parent's folder and lock alone") {
  const TemporaryFolder temporary;
  std::optional<ProgramFolder> folder;
  folder = *ProgramFolder::create_private(temporary.path().string());
  std::optional<ProgramFolder> cached;
  cached = *ProgramFolder::open_cached(temporary.file("cache"), "k", kSoon);
  CHECK(wait_for(start_child([&] {
    folder.reset();
    cached.reset();
    return true;
  })));
  CHECK(fs::exists(folder->path()));
  CHECK(ProgramFolder::open_cached(temporary.file("cache"), "k", kSoon).error().kind() ==
        ErrorKind::cache);
}

TEST_CASE("removal takes links away and does not follow them") {
  const TemporaryFolder temporary;
  fs::create_directories(temporary.path() / "outside");
  temporary.write("outside/keep", "keep");
  fs::create_directories(temporary.path() / "victim/inner");
  fs::create_directory_symlink(temporary.path() / "outside", temporary.path() / "victim/link");
  fs::create_directory_symlink(temporary.path() / "outside",
                               temporary.path() / "victim/inner/link");
  fs::create_symlink(temporary.path() / "outside/keep", temporary.path() / "victim/file");
  fs::create_symlink("/nowhere", temporary.path() / "victim/dangling");
  REQUIRE(::mkfifo(temporary.file("victim/pipe").c_str(), 0600) == 0);
  CHECK_FALSE(remove_folder(temporary.file("victim")));
  CHECK_FALSE(fs::exists(temporary.path() / "victim"));
  CHECK(temporary.read("outside/keep") == "keep");

  SUBCASE("nor one in place of the folder itself") {
    fs::create_directory_symlink(temporary.path() / "outside", temporary.path() / "link");
    const Error error = remove_folder(temporary.file("link"));
    CHECK(error.kind() == ErrorKind::file);
    CHECK(error.detail().message.starts_with(
        fmt::format("the folder '{}' cannot be removed: ", temporary.file("link"))));
    CHECK(temporary.read("outside/keep") == "keep");
  }
}

TEST_CASE("removal takes any depth, and names that it uses itself") {
  const TemporaryFolder temporary;
  const std::string path = temporary.file("victim");
  // Deeper than the longest path and than descriptors go.
  constexpr int kDepth = 3000;
  fs::create_directories(path + "/lifted.0/full");
  temporary.write("victim/lifted.1", "a file");
  int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(::mkdirat(folder, "deep", 0700) == 0);
    const int next = ::openat(folder, "deep", O_RDONLY | O_DIRECTORY);
    ::close(folder);
    folder = next;
  }
  ::close(folder);
  CHECK_FALSE(remove_folder(path));
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("what is not there needs no removal, and cannot be emptied") {
  const TemporaryFolder temporary;
  CHECK_FALSE(remove_folder(temporary.file("none")));
  CHECK(empty_folder(temporary.file("none")).detail().message ==
        fmt::format("the folder '{}' cannot be removed: No such file or directory",
                    temporary.file("none")));
}

TEST_CASE("a folder of the cache stays, for its user alone") {
  const TemporaryFolder temporary;
  const std::string cache = temporary.file("some/where/cache");
  std::string path;
  {
    Result<ProgramFolder> folder = ProgramFolder::open_cached(cache + "//", "key", kSoon);
    REQUIRE(folder);
    path = folder->path();
    CHECK(path == cache + "/key");
    CHECK(folder->cached());
    CHECK(mode_of(cache) == 0700);
    CHECK(mode_of(path) == 0700);
    CHECK(mode_of(path + ".lock") == 0600);
    const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "123")};
    REQUIRE_FALSE(folder->write("program", weights));
  }
  CHECK(temporary.read(path + "/weights/w.bin") == "123");

  SUBCASE("files with the same bytes are left alone, others replaced") {
    const ino_t text = inode_of(path + "/model.mil");
    const ino_t bytes = inode_of(path + "/weights/w.bin");
    Result<ProgramFolder> folder = ProgramFolder::open_cached(cache, "key", kSoon);
    REQUIRE(folder);
    const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "124")};
    REQUIRE_FALSE(folder->write("program", weights));
    CHECK(inode_of(path + "/model.mil") == text);
    CHECK(inode_of(path + "/weights/w.bin") != bytes);
    CHECK(temporary.read(path + "/weights/w.bin") == "124");
  }
  SUBCASE("it can be emptied") {
    Result<ProgramFolder> folder = ProgramFolder::open_cached(cache, "key", kSoon);
    REQUIRE(folder);
    CHECK_FALSE(folder->clear());
    CHECK(fs::is_empty(path));
    REQUIRE_FALSE(folder->write("program", {}));
    CHECK(temporary.read(path + "/model.mil") == "program");
  }
  SUBCASE("links that someone put into it are replaced, and not written through") {
    fs::create_directories(temporary.path() / "outside");
    temporary.write("outside/w.bin", "keep");
    fs::remove_all(path + "/weights");
    fs::create_directory_symlink(temporary.path() / "outside", path + "/weights");
    fs::remove(path + "/model.mil");
    fs::create_symlink(temporary.path() / "outside/w.bin", path + "/model.mil");
    Result<ProgramFolder> folder = ProgramFolder::open_cached(cache, "key", kSoon);
    REQUIRE(folder);
    const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "123")};
    REQUIRE_FALSE(folder->write("program", weights));
    CHECK(temporary.read("outside/w.bin") == "keep");
    CHECK(fs::is_directory(fs::symlink_status(path + "/weights")));
    CHECK(fs::is_regular_file(fs::symlink_status(path + "/model.mil")));
    CHECK(temporary.read(path + "/weights/w.bin") == "123");
  }
}

TEST_CASE("a folder of the cache has one holder at a time") {
  const TemporaryFolder temporary;
  const std::string cache = temporary.file("cache");
  Result<ProgramFolder> holder = ProgramFolder::open_cached(cache, "key", kSoon);
  REQUIRE(holder);
  const Error error = ProgramFolder::open_cached(cache, "key", kSoon).error();
  CHECK(error.kind() == ErrorKind::cache);
  CHECK(error.detail().message ==
        fmt::format("the lock '{}/key.lock' is still held by another after 30 ms", cache));
  CHECK(ProgramFolder::open_cached(cache, "other", kSoon));

  SUBCASE("until it lets go") {
    holder->unlock();
    CHECK(holder->cached());
    CHECK(ProgramFolder::open_cached(cache, "key", kSoon));
  }
  SUBCASE("and the next one waits") {
    std::thread later([&] {
      std::this_thread::sleep_for(milliseconds(50));
      holder->unlock();
    });
    CHECK(ProgramFolder::open_cached(cache, "key", kLong));
    later.join();
  }
  SUBCASE("also when it is another process, which dies") {
    holder->unlock();
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = start_child([&] {
      const auto folder = ProgramFolder::open_cached(cache, "key", kLong);
      if (!folder || ::write(ready[1], "x", 1) != 1) return false;
      std::this_thread::sleep_for(milliseconds(100));
      return true;
    });
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    CHECK_FALSE(ProgramFolder::open_cached(cache, "key", milliseconds(0)));
    CHECK(ProgramFolder::open_cached(cache, "key", kLong));
    CHECK(wait_for(child));
    ::close(ready[0]);
    ::close(ready[1]);
  }
}

TEST_CASE("processes that want the same program at once compile it once") {
  const TemporaryFolder temporary;
  const std::string cache = temporary.file("cache");
  const auto compile_or_find = [&] {
    auto folder = ProgramFolder::open_cached(cache, "key", kLong);
    if (!folder) return false;
    if (fs::exists(folder->path() + "/net.plist")) return true;
    std::this_thread::sleep_for(milliseconds(20));
    const int log = ::open(temporary.file("compiles").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const bool ok = ::write(log, "x", 1) == 1 && !folder->write("program", {}) &&
                    fs::copy_file(folder->path() + "/model.mil", folder->path() + "/net.plist");
    folder->unlock();
    return ok;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) children.push_back(start_child(compile_or_find));
  for (const pid_t child : children) CHECK(wait_for(child));
  CHECK(temporary.read("compiles") == "x");
}

TEST_CASE("a cache that is not the user's own is refused") {
  const TemporaryFolder temporary;
  const std::string cache = temporary.file("cache");
  fs::create_directories(cache + "/key");
  const auto refusal = [&] {
    const Error error = ProgramFolder::open_cached(cache, "key", kSoon).error();
    CHECK(error.kind() == ErrorKind::cache);
    return error.detail().message;
  };
  ::chmod(cache.c_str(), 0700);
  ::chmod((cache + "/key").c_str(), 0700);

  SUBCASE("others can write to it") {
    ::chmod(cache.c_str(), 0770);
    CHECK(refusal() ==
          fmt::format("the folder '{}' can be written to by others: its mode is 770", cache));
    ::chmod(cache.c_str(), 0700);
    ::chmod((cache + "/key").c_str(), 0702);
    CHECK(refusal() ==
          fmt::format("the folder '{}/key' can be written to by others: its mode is 702", cache));
  }
  SUBCASE("it is a symbolic link") {
    fs::create_directory_symlink(cache, temporary.path() / "link");
    const Error error = ProgramFolder::open_cached(temporary.file("link/"), "key", kSoon).error();
    CHECK(error.kind() == ErrorKind::cache);
    CHECK(error.detail().message ==
          fmt::format("the folder '{}' is a symbolic link", temporary.file("link")));
    fs::remove(cache + "/key");
    fs::create_directory_symlink(temporary.path(), cache + "/key");
    CHECK(refusal() == fmt::format("the folder '{}/key' is a symbolic link", cache));
  }
  SUBCASE("it is no folder") {
    fs::remove(cache + "/key");
    temporary.write("cache/key", "");
    CHECK(refusal() == fmt::format("the folder '{}/key' is no folder", cache));
  }
  SUBCASE("the lock is a link, or no plain file") {
    temporary.write("victim", "keep");
    fs::create_symlink(temporary.path() / "victim", cache + "/key.lock");
    CHECK(refusal().starts_with(fmt::format("the lock '{}/key.lock' cannot be opened: ", cache)));
    CHECK(temporary.read("victim") == "keep");
    fs::remove(cache + "/key.lock");
    REQUIRE(::mkfifo((cache + "/key.lock").c_str(), 0600) == 0);
    CHECK(refusal() == fmt::format("the lock '{}/key.lock' is no plain file", cache));
  }
  SUBCASE("it belongs to someone else") {
    if (::geteuid() != 0) {
      MESSAGE("skipped: giving a folder away takes root");
      return;
    }
    REQUIRE(::chown((cache + "/key").c_str(), 65534, 65534) == 0);
    CHECK(refusal() ==
          fmt::format("the folder '{}/key' belongs to user 65534, and this is user 0", cache));
    REQUIRE(::chown((cache + "/key.lock").c_str(), 65534, 65534) == 0);
    CHECK(refusal() ==
          fmt::format("the lock '{}/key.lock' belongs to user 65534, and this is user 0", cache));
  }
}

TEST_CASE("a cache that cannot be made is an error of files") {
  const TemporaryFolder temporary;
  temporary.write("file", "");
  const Error error =
      ProgramFolder::open_cached(temporary.file("file/cache"), "key", kSoon).error();
  CHECK(error.kind() == ErrorKind::file);
  CHECK(error.detail().message ==
        fmt::format("{}: the folder cannot be made: a file has its name", temporary.file("file")));
}

TEST_CASE("a shared folder goes with its last holder") {
  const TemporaryFolder temporary;
  const std::string place = temporary.path().string();
  Result<ProgramFolder> first = ProgramFolder::open_shared(place, "0A_b-c", kSoon);
  REQUIRE(first);
  const std::string path = first->path();
  CHECK(path == place + "/0A_b-c");
  CHECK(mode_of(path) == 0700);
  REQUIRE_FALSE(first->write("program", {}));
  first->unlock();  // nothing for this kind
  {
    Result<ProgramFolder> second = ProgramFolder::open_shared(place, "0A_b-c", kSoon);
    REQUIRE(second);
    CHECK(second->path() == path);
    *first = ProgramFolder();
    CHECK(temporary.read("0A_b-c/model.mil") == "program");
  }
  CHECK(temporary.entries() == 0);
}

TEST_CASE("processes that come and go share a folder without losing their files") {
  const TemporaryFolder temporary;
  const auto use = [&] {
    for (int i = 0; i < 50; ++i) {
      auto folder = ProgramFolder::open_shared(temporary.path().string(), "id", kLong);
      if (!folder || folder->write("program", {})) return false;
      if (!fs::exists(folder->path() + "/model.mil")) return false;
    }
    return true;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) children.push_back(start_child(use));
  for (const pid_t child : children) CHECK(wait_for(child));
  CHECK(temporary.entries() == 0);
}

TEST_CASE("a shared folder that cannot be is refused, and leaves nothing") {
  const TemporaryFolder temporary;
  const std::string place = temporary.path().string();
  for (const std::string_view name : {"", "a/b", "..", ".hidden"}) {
    const Error error = ProgramFolder::open_shared(place, name, kSoon).error();
    CHECK(error.kind() == ErrorKind::file);
    CHECK(error.detail().message ==
          fmt::format("the engine calls the program '{}', which is no name of a folder", name));
  }
  temporary.write("id", "a file");
  CHECK(ProgramFolder::open_shared(place, "id", kSoon).error().detail().message ==
        fmt::format("the folder '{}/id' is no folder", place));
  CHECK(temporary.entries() == 1);
}

TEST_CASE("two weights that are one file are refused before anything is written") {
  const TemporaryFolder temporary;
  Result<ProgramFolder> folder = ProgramFolder::create_private(temporary.path().string());
  REQUIRE(folder);
  const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "1"),
                                   weight("@model_path/weights/W.bin", "2")};
  const Error error = folder->write("program", weights);
  CHECK(error.kind() == ErrorKind::weights);
  CHECK(error.detail().message == "two weight files are called '@model_path/weights/W.bin'");
  const ProgramWeight outside[] = {weight("@model_path/../w.bin", "1")};
  CHECK(folder->write("program", outside).kind() == ErrorKind::weights);
  CHECK(fs::is_empty(folder->path()));
}

TEST_CASE("a weight in place of another's folder is an error") {
  const TemporaryFolder temporary;
  Result<ProgramFolder> folder = ProgramFolder::create_private(temporary.path().string());
  REQUIRE(folder);
  const ProgramWeight weights[] = {weight("@model_path/a/b", "1"), weight("@model_path/a", "2")};
  const Error error = folder->write("program", weights);
  CHECK(error.kind() == ErrorKind::file);
  CHECK(error.detail().message ==
        fmt::format("{0}/a: cannot be written: it is a folder", folder->path()));
}

TEST_CASE("a full disk is an error, and leaves nothing half-written") {
  const TemporaryFolder temporary;
  std::string path;
  {
    Result<ProgramFolder> folder = ProgramFolder::open_cached(temporary.file("c"), "key", kSoon);
    REQUIRE(folder);
    path = folder->path();
    const detail::DiskRoom room(10);
    const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "12345")};
    const Error error = folder->write("program", weights);
    CHECK(error.kind() == ErrorKind::file);
    CHECK(error.detail().message == fmt::format("{}/weights/w.bin: cannot be written past byte "
                                                "3: No space left on device",
                                                path));
  }
  CHECK(temporary.read(path + "/model.mil") == "program");
  CHECK(fs::is_empty(path + "/weights"));
}

TEST_CASE("where the cache lies") {
  const Variable cache("MILGEN_ANE_CACHE", nullptr);
  const Variable caches("XDG_CACHE_HOME", nullptr);
  const Variable home("HOME", "/home/u");
  CHECK(cache_folder("given") == "given");
#ifdef __APPLE__
  CHECK(cache_folder("") == "/home/u/Library/Caches/milgen/ane");
#else
  CHECK(cache_folder("") == "/home/u/.cache/milgen/ane");
  {
    const Variable relative("XDG_CACHE_HOME", "relative");
    CHECK(cache_folder("") == "/home/u/.cache/milgen/ane");
    const Variable absolute("XDG_CACHE_HOME", "/caches");
    CHECK(cache_folder("") == "/caches/milgen/ane");
  }
#endif
  {
    const Variable named("MILGEN_ANE_CACHE", "/mine");
    CHECK(cache_folder("") == "/mine");
  }
  const Variable homeless("HOME", nullptr);
  CHECK(cache_folder("").empty());
}

TEST_CASE("the key tells every input apart, and no order") {
  const ProgramWeight a = weight("@model_path/a", "1");
  const ProgramWeight b = weight("@model_path/b", "2");
  const std::vector<ProgramWeight> weights = {a, b};
  ModelOptions options;
  options.options = {{"x", true}, {"y", std::int64_t{1}}};
  const auto key = [](std::string_view text, std::span<const ProgramWeight> of,
                      const ModelOptions& with, std::string_view build,
                      std::string_view chip) { return cache_key(text, of, with, build, chip); };
  const std::string first = key("program", weights, options, "24A335", "h16g");
  CHECK(first.size() == 64);
  CHECK(first.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(key("program", weights, options, "24A335", "h16g") == first);
  const std::vector<ProgramWeight> swapped = {b, a};
  CHECK(key("program", swapped, options, "24A335", "h16g") == first);
  ModelOptions reordered = options;
  std::swap(reordered.options[0], reordered.options[1]);
  CHECK(key("program", weights, reordered, "24A335", "h16g") == first);
  reordered.evaluate_timeout = milliseconds(1);
  CHECK(key("program", weights, reordered, "24A335", "h16g") == first);

  std::vector<std::string> others = {
      key("program2", weights, options, "24A335", "h16g"),
      key("program", weights, options, "24A336", "h16g"),
      key("program", weights, options, "24A335", "h15g"),
      key("program", weights, options, "24A335h", "16g"),
      key("program", {}, options, "24A335", "h16g"),
      key("program", weights, {}, "24A335", "h16g"),
  };
  const ProgramWeight moved[] = {a, weight("@model_path/c", "2")};
  others.push_back(key("program", moved, options, "24A335", "h16g"));
  const ProgramWeight changed[] = {a, weight("@model_path/b", "3")};
  others.push_back(key("program", changed, options, "24A335", "h16g"));
  const ProgramWeight shifted[] = {weight("@model_path/a1", ""), b};
  others.push_back(key("program", shifted, options, "24A335", "h16g"));
  for (const EngineOption& other :
       {EngineOption{"x", false}, EngineOption{"x", std::int64_t{1}}, EngineOption{"x", "1"}}) {
    ModelOptions with = options;
    with.options[0] = other;
    others.push_back(key("program", weights, with, "24A335", "h16g"));
  }
  ModelOptions compiler = options;
  std::swap(compiler.options, compiler.compiler_options);
  others.push_back(key("program", weights, compiler, "24A335", "h16g"));
  others.push_back(first);
  std::ranges::sort(others);
  CHECK(std::ranges::adjacent_find(others) == others.end());
}

TEST_CASE("a dump holds what is sent to the engine") {
  const TemporaryFolder temporary;
  ModelOptions options;
  options.options = {{"wired", true}, {"instance", std::int64_t{2}}};
  options.compiler_options = {{"kind", std::string("mil")}};
  options.perf_stats_mask = 5;
  const ProgramWeight weights[] = {weight("@model_path/weights/w.bin", "123")};
  REQUIRE_FALSE(dump_program(temporary.file("dump"), "ABC_1", "program", weights, options));
  CHECK(temporary.read("dump/ABC_1/model.mil") == "program");
  CHECK(temporary.read("dump/ABC_1/weights/w.bin") == "123");
  CHECK(nlohmann::json::parse(temporary.read("dump/ABC_1/options.json")) ==
        nlohmann::json::parse(R"({"identifier": "ABC_1", "qos": 21,
          "options": {"wired": true, "instance": 2}, "compiler_options": {"kind": "mil"},
          "perf_stats_mask": 5})"));
  // A second time, and under a name that is none.
  REQUIRE_FALSE(dump_program(temporary.file("dump"), "ABC_1", "program", weights, options));
  REQUIRE_FALSE(dump_program(temporary.file("dump"), "../a b", "other", {}, options));
  CHECK(temporary.read("dump/_.._a_b/model.mil") == "other");

  const Error error = dump_program(temporary.write("file", ""), "x", "program", {}, options);
  CHECK(error.kind() == ErrorKind::file);
  CHECK(
      error.detail().message ==
      fmt::format("{0}/x: the folder cannot be made: '{0}' is no folder", temporary.file("file")));
  const ProgramWeight outside[] = {weight("@model_path/../w", "")};
  CHECK(dump_program(temporary.file("dump"), "x", "program", outside, options).kind() ==
        ErrorKind::weights);
}

}  // namespace
}  // namespace milgen::ane
