#include "support/files.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/file_faults.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Diagnostics& diagnostics) {
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

TEST_CASE("an atomic file is not there before its commit") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  AtomicFile file;
  REQUIRE(file.open(folder.file("a"), diagnostics));
  REQUIRE(file.write("hello ", diagnostics));
  REQUIRE(file.write(std::string_view("world"), diagnostics));
  CHECK(file.size_bytes() == 11);
  CHECK_FALSE(fs::exists(folder.file("a")));
  REQUIRE(file.commit(diagnostics));
  CHECK(folder.read("a") == "hello world");
  CHECK(folder.entries() == 1);
  CHECK(diagnostics.empty());
  CHECK_FALSE(file.write("more", diagnostics));
}

TEST_CASE("an atomic file that is dropped leaves the old one and nothing else") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  {
    Diagnostics diagnostics;
    AtomicFile file;
    REQUIRE(file.open(folder.file("a"), diagnostics));
    REQUIRE(file.write(std::string(1 << 20, 'x'), diagnostics));
    CHECK(folder.entries() == 2);
  }
  CHECK(folder.read("a") == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("large, small and lent pieces come out in order") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  AtomicFile file;
  std::string expected;
  REQUIRE(file.open(folder.file("a"), diagnostics));
  for (std::size_t i = 0; i < 60; ++i) {
    const std::string piece(i % 7 == 6 ? 300000 : i * 997 % 50000, static_cast<char>('a' + i % 26));
    if (i % 3 == 0) {
      std::string_view left = piece;
      while (!left.empty()) {
        const auto lent = file.lend(left.size(), diagnostics);
        REQUIRE(lent.size() >= std::min<std::size_t>(left.size(), 4096));
        REQUIRE(lent.size() <= left.size());
        std::memcpy(lent.data(), left.data(), lent.size());
        file.accept(lent.size());
        left.remove_prefix(lent.size());
      }
    } else {
      REQUIRE(file.write(piece, diagnostics));
    }
    expected += piece;
  }
  CHECK(file.size_bytes() == expected.size());
  REQUIRE(file.commit(diagnostics));
  CHECK(folder.read("a") == expected);
}

TEST_CASE("a full disk is reported and the old file stays") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  for (const std::uint64_t room : {0u, 1u, 300000u}) {
    Diagnostics diagnostics;
    {
      const detail::DiskRoom limited(room);
      AtomicFile file;
      REQUIRE(file.open(folder.file("a"), diagnostics));
      const bool written = file.write(std::string(400000, 'x'), diagnostics);
      CHECK_FALSE((written && file.commit(diagnostics)));
    }
    CHECK(text_of(diagnostics) == folder.file("a") + ": error: cannot be written past byte " +
                                      std::to_string(room) +
                                      ": No space left on device [file.write]\n");
    CHECK(folder.read("a") == "old");
    CHECK(folder.entries() == 1);
  }
  Diagnostics diagnostics;
  AtomicFile file;
  REQUIRE(file.open(folder.file("a"), diagnostics));
  REQUIRE(file.write("new", diagnostics));
  REQUIRE(file.commit(diagnostics));
  CHECK(folder.read("a") == "new");
}

TEST_CASE("the room is shared by all threads and never exceeded") {
  const TemporaryFolder folder;
  const detail::DiskRoom limited(1000000);
  std::vector<std::thread> threads;
  std::atomic<int> done{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Diagnostics diagnostics;
      AtomicFile file;
      if (file.open(folder.file(std::to_string(t)), diagnostics) &&
          file.write(std::string(400000, 'x'), diagnostics) && file.commit(diagnostics)) {
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(done <= 2);
  CHECK(folder.entries() == static_cast<std::size_t>(done));
}

TEST_CASE("what cannot be written says why") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  AtomicFile file;
  CHECK_FALSE(file.open(folder.file("none/a"), diagnostics));
  CHECK(text_of(diagnostics) == folder.file("none/a") +
                                    ": error: cannot be written: No such file or directory "
                                    "[file.open]\n");
  diagnostics.clear();
  CHECK_FALSE(file.open(folder.path().string(), diagnostics));
  CHECK(text_of(diagnostics) ==
        folder.path().string() + ": error: cannot be written: it is a folder [file.open]\n");
  diagnostics.clear();
  CHECK_FALSE(file.open("", diagnostics));
  CHECK(text_of(diagnostics) == "error: the path is empty [file.open]\n");
  CHECK_FALSE(file.write("x", diagnostics));
  CHECK_FALSE(file.commit(diagnostics));
  CHECK(diagnostics.errors() == 1);
}

TEST_CASE("a target that becomes a folder before the commit is file.rename") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  {
    AtomicFile file;
    REQUIRE(file.open(folder.file("a"), diagnostics));
    REQUIRE(file.write("x", diagnostics));
    fs::create_directory(folder.file("a"));
    CHECK_FALSE(file.commit(diagnostics));
  }
  CHECK(text_of(diagnostics) ==
        folder.file("a") + ": error: cannot be replaced: Is a directory [file.rename]\n");
  CHECK(folder.entries() == 1);
}

TEST_CASE("permissions and symbolic links of what is replaced are kept") {
  const TemporaryFolder folder;
  folder.write("real", "old");
  fs::permissions(folder.file("real"), fs::perms::owner_all | fs::perms::group_read);
  fs::create_symlink("real", folder.file("link"));
  Diagnostics diagnostics;
  AtomicFile file;
  REQUIRE(file.open(folder.file("link"), diagnostics));
  REQUIRE(file.write("new", diagnostics));
  REQUIRE(file.commit(diagnostics));
  CHECK(fs::is_symlink(folder.file("link")));
  CHECK(folder.read("real") == "new");
  CHECK(fs::status(folder.file("real")).permissions() ==
        (fs::perms::owner_all | fs::perms::group_read));
}

TEST_CASE("a device is written to as it is") {
  Diagnostics diagnostics;
  AtomicFile file;
  REQUIRE(file.open("/dev/null", diagnostics));
  REQUIRE(file.write("x", diagnostics));
  CHECK(file.commit(diagnostics));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("folders are made with those above them") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  CHECK(make_folders(folder.file("a/b/c"), diagnostics));
  CHECK(make_folders(folder.file("a/b/c"), diagnostics));
  CHECK(make_folders("", diagnostics));
  CHECK(fs::is_directory(folder.file("a/b/c")));
  folder.write("f", "");
  CHECK(diagnostics.empty());
  CHECK_FALSE(make_folders(folder.file("f/x"), diagnostics));
  CHECK(text_of(diagnostics) == folder.file("f/x") + ": error: the folder cannot be made: '" +
                                    folder.file("f") + "' is no folder [file.folder]\n");
  diagnostics.clear();
  CHECK_FALSE(make_folders(folder.file("f"), diagnostics));
  CHECK(diagnostics.all()[0].id == "file.folder");
}

TEST_CASE("files are read whole and within their bound") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  std::string text = "before";
  const std::string large(300000, 'q');
  REQUIRE(read_file(folder.write("a", large), 300000, text, diagnostics));
  CHECK(text == large);
  REQUIRE(read_file(folder.write("e", ""), 0, text, diagnostics));
  CHECK(text.empty());
  CHECK_FALSE(read_file(folder.file("a"), 299999, text, diagnostics));
  CHECK(text_of(diagnostics) ==
        folder.file("a") + ": error: has more than the 299999 bytes that are read [file.size]\n");
  diagnostics.clear();
  CHECK_FALSE(read_file("/dev/zero", 1000, text, diagnostics));
  CHECK(diagnostics.all()[0].id == "file.size");
  CHECK(text.empty());
  diagnostics.clear();
  CHECK_FALSE(read_file(folder.file("none"), 10, text, diagnostics));
  CHECK(text_of(diagnostics) == folder.file("none") +
                                    ": error: cannot be opened: No such file or directory "
                                    "[file.open]\n");
  diagnostics.clear();
  CHECK_FALSE(read_file(folder.path().string(), 10, text, diagnostics));
  CHECK(text_of(diagnostics) ==
        folder.path().string() + ": error: cannot be read: it is a folder [file.open]\n");
}

#if defined(__linux__)
TEST_CASE("a file whose bytes cannot be read is file.read") {
  // Opens, but its reads at address 0 of this process fail.
  Diagnostics diagnostics;
  std::string text;
  CHECK_FALSE(read_file("/proc/self/mem", 1000, text, diagnostics));
  CHECK(text_of(diagnostics) ==
        "/proc/self/mem: error: cannot be read: Input/output error [file.read]\n");
}
#endif

TEST_CASE("mapped files: bytes, an empty one, a folder, a pipe") {
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  MappedFile file;
  REQUIRE(file.open(folder.write("a", "abc"), diagnostics));
  CHECK(file.bytes().size() == 3);
  CHECK(file.bytes()[2] == std::byte{'c'});
  MappedFile moved = std::move(file);
  CHECK(moved.bytes().size() == 3);
  REQUIRE(moved.open(folder.write("e", ""), diagnostics));
  CHECK(moved.bytes().empty());
  CHECK_FALSE(moved.open(folder.path().string(), diagnostics));
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK_FALSE(moved.open(folder.file("pipe"), diagnostics));
  CHECK_FALSE(moved.open(folder.file("none"), diagnostics));
  CHECK(text_of(diagnostics) ==
        folder.path().string() + ": error: cannot be read: it is a folder [file.open]\n" +
            folder.file("pipe") + ": error: cannot be mapped: it is no regular file [file.open]\n" +
            folder.file("none") +
            ": error: cannot be opened: No such file or directory [file.open]\n");
}

}  // namespace
}  // namespace milgen
