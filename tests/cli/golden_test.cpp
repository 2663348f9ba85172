// The repository's own goldens, and the machinery on a folder of somebody else's.
#include "cli/golden.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "cli/run_milc.h"
#include "cli/text_diff.h"
#include "cli/transcript.h"
#include "milgen/ops.h"
#include "support/temporary_folder.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

struct Config {
  std::int64_t dim = 8;
  double scale = 0.5;
  bool square = false;
};

void first(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  const auto w = k.weight<fp16>("w", {c.dim, c.dim, 1, 1});
  const auto y = conv(x, w) * c.scale;
  k.output("y", c.square ? y * y : y);
}

void second(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("y", relu(x));
}

/// What `second` became after somebody touched it.
void second_changed(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("y", tanh(x));
}

template <auto Second>
Registry my_kernels() {
  Registry registry;
  registry.set<Config>("mine", "kernels of my model")
      .param("dim", &Config::dim, "channels")
      .param("scale", &Config::scale, "factor")
      .param("square", &Config::square, "whether to square")
      .config("small", {.dim = 4})
      .config("squared", {.dim = 2, .square = true})
      .kernel<first>("first", "y = scale w x")
      .kernel<Second>("second", "y = f(x)");
  return registry;
}

}  // namespace

TEST_CASE("a user's kernels get goldens, and a changed kernel fails with what differs") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels<second>();
  const MilcSetting here{.cwd = folder.path()};

  MilcRun run = run_milc({"check", "golden"}, kernels, here);
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("there is no folder 'golden'") != std::string::npos);

  run = run_milc({"check", "--accept", "golden"}, kernels, here);
  CHECK(run.code == kExitDone);
  CHECK(run.out.find("accepted golden/kernels/mine/second.small.mil (new)") != std::string::npos);
  CHECK(run.out.ends_with("4 kernels: 8 files accepted\n"));
  CHECK(run.err.empty());
  const std::string text = read(fs::path(folder.path()) / "golden/kernels/mine/second.small.mil");
  CHECK(text.find("relu(x = x)") != std::string::npos);

  run = run_milc({"check", "golden"}, kernels, here);
  CHECK(run.code == kExitDone);
  CHECK(run.out == "4 kernels: all match\n");

  run = run_milc({"check", "golden"}, my_kernels<second_changed>(), here);
  CHECK(run.code == kExitDiffers);
  CHECK(run.out.find("golden/kernels/mine/second.small.mil:5:44: error: text of mine/second at "
                     "small: 1 line differs [golden.text]\n") != std::string::npos);
  CHECK(run.out.find("-5 |             tensor<fp16, [1, 4, 1, 4]> y = relu(x = x)") !=
        std::string::npos);
  CHECK(run.out.find("+5 |             tensor<fp16, [1, 4, 1, 4]> y = tanh(x = x)") !=
        std::string::npos);
  CHECK(run.out.find("to accept: milc check --accept golden --filter second.small\n") !=
        std::string::npos);
  CHECK(run.out.ends_with("4 kernels: 2 differ\n"));

  // Accepted for one configuration alone, the other one still differs.
  run = run_milc({"check", "--accept", "golden", "--filter", "second.small"},
                 my_kernels<second_changed>(), here);
  CHECK(run.code == kExitDone);
  CHECK(run.out.ends_with("1 kernel: 1 file accepted\n"));
  run = run_milc({"check", "golden"}, my_kernels<second_changed>(), here);
  CHECK(run.code == kExitDiffers);
  CHECK(run.out.ends_with("4 kernels: 1 differs\n"));
}

TEST_CASE("under CI nothing is accepted") {
  const TemporaryFolder folder;
  const MilcRun run = run_milc({"check", "--accept", "golden"}, my_kernels<second>(),
                               {.cwd = folder.path(), .ci = true});
  CHECK(run.code == kExitUsage);
  CHECK(run.err.find("--accept is refused where CI is set") != std::string::npos);
  CHECK_FALSE(fs::exists(fs::path(folder.path()) / "golden"));
}

TEST_CASE("accepting writes only what changed") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels<second>();
  const MilcSetting here{.cwd = folder.path()};
  REQUIRE(run_milc({"check", "--accept", "golden"}, kernels, here).code == kExitDone);
  const fs::path path = fs::path(folder.path()) / "golden/kernels/mine/first.small.mil";
  const auto before = fs::last_write_time(path);
  const MilcRun run = run_milc({"check", "--accept", "golden"}, kernels, here);
  CHECK(run.out == "4 kernels: all match\n");
  CHECK(fs::last_write_time(path) == before);
}

TEST_CASE("every byte of an emitted folder counts") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels<second>();
  const MilcSetting here{.cwd = folder.path()};
  REQUIRE(run_milc({"check", "--accept", "golden"}, kernels, here).code == kExitDone);
  REQUIRE(run_milc({"emit", "--all", "mine", "-o", "out"}, kernels, here).code == kExitDone);
  const std::vector<std::string> check = {"check", "golden", "--artifacts", "out"};
  MilcRun run = run_milc(check, kernels, here);
  CHECK(run.code == kExitDone);
  CHECK(run.out == "4 kernels, 2 artifacts with 1 weight file: all match\n");

  for (const std::string& name :
       {std::string("first.mil"), std::string("second.mil"), std::string("weights/w.bin")}) {
    const fs::path path = fs::path(folder.path()) / "out" / name;
    const std::string good = read(path);
    for (std::size_t i = 0; i < good.size(); i += name.ends_with(".bin") ? 1 : 13) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1);
      write(path, bad);
      run = run_milc(check, kernels, here);
      CAPTURE(name);
      CAPTURE(i);
      CHECK(run.code == kExitDiffers);
      CHECK(run.out.starts_with("out/" + name + ":"));
    }
    for (const std::string& other : {good + "\n", good.substr(0, good.size() - 1), std::string()}) {
      write(path, other);
      run = run_milc(check, kernels, here);
      CHECK(run.code == kExitDiffers);
    }
    write(path, good);
  }
  fs::remove(fs::path(folder.path()) / "out/weights/w.bin");
  run = run_milc(check, kernels, here);
  CHECK(run.code == kExitDiffers);
  CHECK(run.out.find("[artifact.missing]") != std::string::npos);
}

TEST_CASE("a changed weight is named with its byte, its element and both values") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels<second>();
  const MilcSetting here{.cwd = folder.path()};
  REQUIRE(run_milc({"check", "--accept", "golden"}, kernels, here).code == kExitDone);
  REQUIRE(run_milc({"emit", "first", "-o", "out"}, kernels, here).code == kExitDone);
  const fs::path path = fs::path(folder.path()) / "out/weights/w.bin";
  std::string bytes = read(path);
  bytes[128 + 10] = 0;
  bytes[128 + 11] = 0x3C;  // element 5 becomes 1
  write(path, bytes);
  const MilcRun run = run_milc({"check", "golden", "--artifacts", "out"}, kernels, here);
  CHECK(run.code == kExitDiffers);
  CHECK(run.out.find("out/weights/w.bin: error: record 'w', tensor<fp16, [4, 4, 1, 1]>, has "
                     "sha256 ") != std::string::npos);
  CHECK(
      run.out.find("first at byte 138 of the file, element 5 of 'w': 1 (byte 0x00) instead of ") !=
      std::string::npos);
  CHECK(run.out.find("2 bytes of 32 differ") != std::string::npos);
}

TEST_CASE("a transcript that replays itself ends") {
  const TemporaryFolder folder;
  write(fs::path(folder.path()) / "golden/a.golden", "--- RUN\nmilc check x\n--- EXIT 0\n");
  const MilcRun run = run_milc({"check", "golden", "--filter", "a"}, builtin_kernels(),
                               {.cwd = folder.path(), .replay_depth = 4});
  CHECK(run.code == kExitDiffers);
  CHECK(run.out.find("golden/a.golden: error: this transcript is replayed by 4 others already "
                     "[transcript.depth]") != std::string::npos);
}

TEST_CASE("transcripts survive being read and written") {
  const std::string text =
      "Prose.\n\nMore.\n--- FILE a/b.txt\n\\--- RUN\n\\\\ no newline at end\nx\n"
      "\\ no newline at end\n--- FILE c base64\nAAEC\n/w==\n--- RUN\nCI=1 milc 'a b' \"c\"\n"
      "--- STDIN\nin\n--- EXIT 3\n--- STDOUT\n\\--- x\n\\ no newline at end\n--- STDERR\ny\n";
  cli::Transcript transcript;
  Diagnostics diagnostics;
  REQUIRE(cli::parse_transcript(text, "t.golden", transcript, diagnostics));
  CHECK(cli::transcript_text(transcript) == text);
  REQUIRE(transcript.steps.size() == 3);
  CHECK(transcript.steps[0].content == "--- RUN\n\\ no newline at end\nx");
  CHECK(transcript.steps[1].content == std::string("\0\1\2\xFF", 4));
  CHECK(transcript.steps[2].input == "in\n");
  CHECK(transcript.steps[2].out == "--- x");
  CHECK(transcript.expects_failure());
}

TEST_CASE("broken transcripts and listings are refused or read, and never more") {
  std::vector<std::string> texts;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(MILGEN_SOURCE_DIR) / "golden/kernels/stories")) {
    if (entry.path().filename() == "qkv_bwd.small.weights") texts.push_back(read(entry.path()));
  }
  texts.push_back(read(fs::path(MILGEN_SOURCE_DIR) / "golden/cli/bad_artifact_weight.golden"));
  REQUIRE(texts.size() == 2);
  std::uint32_t state = 1;
  for (const std::string& good : texts) {
    for (int round = 0; round < 2000; ++round) {
      std::string bad = good;
      for (int change = 0; change < 3; ++change) {
        state = state * 1664525u + 1013904223u;
        const std::size_t at = (state >> 8) % bad.size();
        if (round % 3 == 0) {
          bad[at] = static_cast<char>(state >> 24);
        } else if (round % 3 == 1) {
          bad.erase(at, 1 + state % 40);
        } else {
          bad.insert(at, "\n--- ");
        }
      }
      cli::Transcript transcript;
      cli::Listing listing;
      Diagnostics diagnostics;
      if (cli::parse_transcript(bad, "t.golden", transcript, diagnostics)) {
        cli::Transcript again;
        CHECK(cli::parse_transcript(cli::transcript_text(transcript), "t", again, diagnostics));
      }
      if (cli::parse_listing(bad, "t.weights", listing, diagnostics)) {
        CHECK_FALSE(cli::listing_text(listing).empty());
      }
      CHECK_FALSE(cli::diff_text(good, bad).same() != (good == bad));
    }
  }
}

TEST_CASE("command lines are split as a shell splits them") {
  std::vector<std::string> words;
  CHECK(cli::split_words("milc  'a b' \"c\\\"d\" e\\ f ''", words));
  CHECK(words == std::vector<std::string>{"milc", "a b", "c\"d", "e f", ""});
  CHECK(cli::split_words("", words));
  CHECK(words.empty());
  CHECK_FALSE(cli::split_words("milc 'a", words));
}

TEST_CASE("differences are found where they are") {
  CHECK(cli::diff_text("a\nb\n", "a\nb\n").same());

  const cli::TextDiff changed = cli::diff_text("a\nbcd\ne\n", "a\nbxd\ne\n");
  CHECK(changed.line == 2);
  CHECK(changed.column == 2);
  CHECK(changed.summary() == "1 line differs");
  CHECK(changed.hunks == "   1 | a\n  -2 | bcd\n  +2 | bxd\n");

  const cli::TextDiff inserted = cli::diff_text("a\nb\nc\nd\n", "a\nx\ny\nb\nc\nd\n");
  CHECK(inserted.removed == 0);
  CHECK(inserted.added == 2);
  CHECK(inserted.hunks == "   1 | a\n  +2 | x\n  +3 | y\n");

  const cli::TextDiff removed = cli::diff_text("a\nb\nc\nd\n", "a\nd\n");
  CHECK(removed.removed == 2);
  CHECK(removed.added == 0);

  const cli::TextDiff end = cli::diff_text("a\n", "a");
  CHECK_FALSE(end.same());
  CHECK(end.summary() == "only the line end at the end of the file differs");

  const cli::TextDiff empty = cli::diff_text("", "a\n");
  CHECK(empty.line == 1);
  CHECK(empty.added == 1);
}

TEST_CASE("long texts that differ everywhere are compared in linear time") {
  std::string a;
  std::string b;
  for (int i = 0; i < 20000; ++i) {
    a += "a" + std::to_string(i) + "\n";
    b += "b" + std::to_string(i) + "\n";
  }
  const cli::TextDiff diff = cli::diff_text(a, b);
  CHECK(diff.removed == 20000);
  CHECK(diff.added == 20000);
  CHECK(diff.hunks.size() < 2000);
}
