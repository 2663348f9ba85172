// Programs as files: what is written, what is checked, and what survives when it fails.
#include "milgen/emit.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ir/canonical.h"
#include "milgen/milgen.h"
#include "milgen/weights.h"
#include "support/file_faults.h"
#include "support/temporary_folder.h"

using namespace milgen;
namespace fs = std::filesystem;

namespace {

Program two_weights(const char* name = "k") {
  Kernel k(name);
  auto x = k.input<fp16>("x", {1, 3, 1, 8});
  auto a = k.weight<fp16>("a", {1, 3, 1, 1}, Fill::near_one);
  auto b = k.weight<fp16>("b", {5, 3, 1, 1});
  auto table = k.constant<fp16>("table", {1, 5, 1, 1}, {1.0, 0.5, -2.0, 65504.0, 1e-8});
  k.output("y", conv(x * a, b) * table);
  return k.finish();
}

std::vector<std::string> messages(const Diagnostics& diagnostics) {
  std::vector<std::string> out;
  for (const Diagnostic& d : diagnostics.all()) out.push_back(d.id + ": " + d.message);
  return out;
}

bool emit_seeded(std::span<const Program> programs, const TemporaryFolder& folder,
                 const EmitOptions& options, Diagnostics& diagnostics,
                 std::vector<EmittedFile>* written = nullptr) {
  const auto source = seeded_weights(0);
  return emit(programs, folder.path().string(), *source, options, diagnostics, written);
}

}  // namespace

TEST_CASE("text and weights of a program, with the classic header in front of each weight") {
  const TemporaryFolder folder;
  const Program program = two_weights();
  Diagnostics diagnostics;
  std::vector<EmittedFile> written;
  REQUIRE(emit_seeded(std::span(&program, 1), folder, {}, diagnostics, &written));
  CHECK(diagnostics.empty());
  REQUIRE(written.size() == 4);
  CHECK(written.back().path == "k.mil");
  CHECK(folder.read("k.mil") == print_mil(program));
  // Values that the kernel itself has: 1, 0.5, -2, 65504, and 1e-8, which is below half of the
  // least half and rounds to 0.
  const std::string table = folder.read("weights/table.bin");
  REQUIRE(table.size() == 128 + 10);
  CHECK(table.substr(128) == std::string("\x00\x3c\x00\x38\x00\xc0\xff\x7b\x00\x00", 10));
  CHECK(table.substr(0, 8) == std::string("\x01\x00\x00\x00\x02\x00\x00\x00", 8));
  CHECK(table.substr(64, 8) == std::string("\xef\xbe\xad\xde\x01\x00\x00\x00", 8));

  WeightLayout layout;
  REQUIRE(layout.plan(std::span(&program, 1), {}, diagnostics));
  CHECK(check_weights(weight_references(std::span(&program, 1), layout), folder.path().string(),
                      diagnostics));
}

TEST_CASE("one shared file, read back record by record") {
  const TemporaryFolder folder;
  const std::vector<Program> programs = {two_weights("one"), two_weights("two")};
  Diagnostics diagnostics;
  REQUIRE(emit_seeded(programs, folder, {.layout = {.files = WeightFiles::shared}}, diagnostics));
  WeightFileReader reader;
  REQUIRE(reader.open(folder.file("weights/weight.bin"), diagnostics));
  CHECK(reader.records().size() == 3);
  WeightLayout layout;
  REQUIRE(layout.plan(programs, {.files = WeightFiles::shared}, diagnostics));
  const std::vector<WeightReference> references = weight_references(programs, layout);
  CHECK(references.size() == 6);
  CHECK(check_weights(references, folder.path().string(), diagnostics));
  CHECK(folder.read("two.mil").find("weights/weight.bin") != std::string::npos);
}

TEST_CASE("payloads with the same bytes are stored once on request") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto a = k.constant<fp16>("a", {4}, Fill::zeros);
  auto b = k.constant<fp16>("b", {1, 4}, Fill::zeros);
  auto c = k.constant<fp16>("c", {4}, Fill::ones);
  k.output("y", x + a + b + c);
  const Program program = k.finish();
  REQUIRE(program);
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  std::vector<EmittedFile> written;
  REQUIRE(emit_seeded(std::span(&program, 1), folder, {.merge_identical = true}, diagnostics,
                      &written));
  CHECK(written.size() == 3);
  CHECK_FALSE(fs::exists(folder.file("weights/b.bin")));
  CHECK(folder.read("k.mil").find("tensor<fp16, [1, 4]>(BLOBFILE(path = "
                                  "string(\"@model_path/weights/a.bin\")") != std::string::npos);
}

TEST_CASE("integers and sub-byte values of a kernel's own") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {16, 2});
  auto rows = k.constant<int32>("rows", {10}, {0, 1, 2, 3, 4, 5, 6, 7, 15, 14});
  k.output("y", gather(x, rows, {.axis = 0}));
  const Program program = k.finish();
  REQUIRE(program);
  const TemporaryFolder folder;
  Diagnostics diagnostics;
  REQUIRE(emit_seeded(std::span(&program, 1), folder, {}, diagnostics));
  const std::string bytes = folder.read("weights/rows.bin");
  REQUIRE(bytes.size() == 128 + 40);
  CHECK(bytes.substr(128 + 32, 8) == std::string("\x0f\x00\x00\x00\x0e\x00\x00\x00", 8));
}

TEST_CASE("a damaged folder is told apart from a sound one, each fault by name") {
  const TemporaryFolder folder;
  const Program program = two_weights();
  Diagnostics diagnostics;
  REQUIRE(emit_seeded(std::span(&program, 1), folder, {}, diagnostics));
  WeightLayout layout;
  REQUIRE(layout.plan(std::span(&program, 1), {}, diagnostics));
  std::vector<WeightReference> references = weight_references(std::span(&program, 1), layout);
  const auto faults = [&] {
    Diagnostics found;
    CHECK_FALSE(check_weights(references, folder.path().string(), found));
    return messages(found);
  };

  SUBCASE("a file that is missing") {
    fs::remove(folder.file("weights/b.bin"));
    const std::vector<std::string> found = faults();
    REQUIRE(found.size() == 1);
    CHECK(found[0].starts_with("file.open: "));
  }
  SUBCASE("a record of another size") {
    // b has 15 elements; this file has a's three.
    folder.write("weights/b.bin", folder.read("weights/a.bin"));
    CHECK(faults() == std::vector<std::string>{
                          "weight.record: weight 'b' is tensor<fp16, [5, 3, 1, 1]> of 30 bytes but "
                          "the record at offset 64 is fp16 of 6 bytes"});
  }
  SUBCASE("a record of another dtype") {
    std::string bytes = folder.read("weights/b.bin");
    bytes[68] = 5;
    folder.write("weights/b.bin", bytes);
    CHECK(faults() == std::vector<std::string>{
                          "weight.record: weight 'b' is tensor<fp16, [5, 3, 1, 1]> of 30 bytes but "
                          "the record at offset 64 is bf16 of 30 bytes"});
  }
  SUBCASE("an offset that is not a record's") {
    references[0].offset = 128;
    CHECK(faults() == std::vector<std::string>{
                          "weight.reference: weight 'a' is at offset 128, where no record stands"});
  }
  SUBCASE("a file that breaks the format is reported once, not for each of its weights") {
    folder.write("weights/a.bin", "short");
    references.push_back(references[0]);
    const std::vector<std::string> found = faults();
    REQUIRE(found.size() == 1);
    CHECK(found[0].starts_with("blob.header: "));
  }
  SUBCASE("a path that leaves the folder is never opened") {
    for (const char* path :
         {"@model_path/../a.bin", "/etc/passwd", "weights/a.bin", "@model_path//etc/passwd",
          "@model_path/weights/../../a.bin", "@model_path/"}) {
      references = {{"a", path, 64, DType::fp16, {1, 3, 1, 1}}};
      CHECK(faults() ==
            std::vector<std::string>{"weight.path: weight 'a' is in '" + std::string(path) +
                                     "', which is not below @model_path"});
    }
  }
}

TEST_CASE("what a source lacks is reported in one go, before any file is touched") {
  const TemporaryFolder folder;
  const Program program = two_weights();
  const std::vector<std::byte> bytes(12, std::byte{0});
  Diagnostics diagnostics;
  const auto source = memory_weights({{"b", DType::fp16, {2, 3}, bytes}}, {}, diagnostics);
  REQUIRE(source != nullptr);
  CHECK_FALSE(emit(std::span(&program, 1), folder.path().string(), *source, {}, diagnostics));
  REQUIRE(diagnostics.errors() == 2);
  CHECK(diagnostics.all()[0].id == "weight.missing");
  CHECK(diagnostics.all()[1].id == "weight.shape");
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a value that a strict source refuses leaves the folder as it was") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 2});
  k.output("y", x * k.weight<fp16>("a", {1, 2}) * k.weight<fp16>("b", {1, 2}));
  const Program program = k.finish();
  const std::vector<float> fine = {1, 2};
  const std::vector<float> large = {1, 70000};
  Diagnostics diagnostics;
  const auto source = memory_weights({{"a", DType::fp32, {1, 2}, std::as_bytes(std::span(fine))},
                                      {"b", DType::fp32, {1, 2}, std::as_bytes(std::span(large))}},
                                     {.strict = true}, diagnostics);
  REQUIRE(source != nullptr);
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "weights");
  folder.write("weights/a.bin", "what was there");
  CHECK_FALSE(emit(std::span(&program, 1), folder.path().string(), *source,
                   {.check_values_first = true}, diagnostics));
  REQUIRE(diagnostics.errors() == 1);
  CHECK(diagnostics.all()[0].id == "weight.overflow");
  CHECK(folder.read("weights/a.bin") == "what was there");
  CHECK_FALSE(fs::exists(folder.file("k.mil")));
}

TEST_CASE("a full disk leaves what was there, whole, and no text without its weights") {
  const TemporaryFolder folder;
  const Program program = two_weights();
  Diagnostics first;
  REQUIRE(emit_seeded(std::span(&program, 1), folder, {}, first));
  const std::string old_weight = folder.read("weights/b.bin");
  folder.write("k.mil", "an older text");

  // The first weight file still fits, the second does not.
  const detail::DiskRoom full_disk(150);
  Diagnostics diagnostics;
  CHECK_FALSE(emit_seeded(std::span(&program, 1), folder, {}, diagnostics));
  REQUIRE(diagnostics.errors() == 1);
  CHECK(diagnostics.all()[0].id == "file.write");
  CHECK(diagnostics.all()[0].message.find("No space left on device") != std::string::npos);
  CHECK(folder.read("weights/b.bin") == old_weight);
  CHECK(folder.read("k.mil") == "an older text");
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  CHECK(files == 4);
}

TEST_CASE("progress counts the bytes of all weights") {
  const TemporaryFolder folder;
  const Program program = two_weights();
  const auto source = seeded_weights(0);
  struct Seen {
    std::uint64_t last = 0;
    std::uint64_t total = 0;
  } seen;
  Diagnostics diagnostics;
  REQUIRE(emit(
      std::span(&program, 1), folder.path().string(), *source, {}, diagnostics, nullptr,
      [](void* context, std::string_view, std::uint64_t done, std::uint64_t total) {
        auto& state = *static_cast<Seen*>(context);
        CHECK(done >= state.last);
        state.last = done;
        state.total = total;
      },
      &seen));
  CHECK(seen.last == 6 + 30 + 10);
  CHECK(seen.total == seen.last);
}

TEST_CASE("programs that cannot stand in one folder are refused before anything is written") {
  const TemporaryFolder folder;
  const auto faults = [&](const std::vector<Program>& programs) {
    Diagnostics found;
    CHECK_FALSE(emit_seeded(programs, folder, {}, found));
    CHECK(fs::is_empty(folder.path()));
    return messages(found);
  };
  using Faults = std::vector<std::string>;

  CHECK(faults({two_weights("k"), two_weights("j"), two_weights("k")}) ==
        Faults{"program.duplicate: programs 1 and 3 of 3 are both called 'k'"});
  CHECK(faults({two_weights("kernel"), two_weights("Kernel")}) ==
        Faults{"program.duplicate: programs 'kernel' and 'Kernel' have texts whose names differ "
               "only in case"});
  CHECK(faults({Program(), two_weights()}) ==
        Faults{"program.none: program 1 of 2 is none: its kernel has errors or it was never "
               "built"});

  // No kernel is called so; a program from elsewhere may be.
  const Program sound = two_weights();
  for (const char* name : {"", ".", "..", "a/b", "/a", "../a"}) {
    CAPTURE(name);
    const Program program(new ProgramData(name, sound.opset(), sound.data().graph));
    CHECK(faults({program}) == Faults{"program.name: program 1 of 1 is called '" +
                                      std::string(name) + "', which cannot be the name of a file"});
  }
}
