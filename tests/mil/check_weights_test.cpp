// References of texts that are not trusted against the files below a folder.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/temporary_folder.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

/// A model's folder "m" with weights/w.bin, two fp16 at 64, and a file of the same beside it.
class Model {
 public:
  Model() {
    fs::create_directories(inner_.path() / "m/weights");
    const std::vector<std::byte> values(4);
    const WeightPayload payload[] = {{DType::fp16, values, 0}};
    const std::vector<std::byte> bytes = weight_file_bytes(payload);
    inner_.write("m/weights/w.bin", bytes);
    inner_.write("outside.bin", bytes);
  }
  fs::path path() const { return inner_.path() / "m"; }
  fs::path weights() const { return path() / "weights"; }
  std::string outside() const { return inner_.file("outside.bin"); }
  const TemporaryFolder& folder() const { return inner_; }

  /// One line a diagnostic, the temporary folder's name taken away.
  std::string faults(std::vector<WeightReference> references,
                     const CheckWeightsOptions& options = {}) const {
    Diagnostics diagnostics;
    const bool good = check_weights(references, path().string(), diagnostics, options);
    CHECK(good == !diagnostics.has_errors());
    std::string text = render(diagnostics, {.source_lines = false, .source_root = ""});
    const std::string own = inner_.path().string() + "/";
    for (std::size_t at = 0; (at = text.find(own, at)) != std::string::npos;) {
      text.erase(at, own.size());
    }
    return text;
  }

 private:
  TemporaryFolder inner_;
};

WeightReference reference(std::string path, std::uint64_t offset = 64, DType dtype = DType::fp16,
                          Shape shape = {2}) {
  return {"w", std::move(path), offset, dtype, std::move(shape)};
}

WeightReference sound() { return reference("@model_path/weights/w.bin"); }

}  // namespace

TEST_CASE("links inside of the folder are followed, those out of it are not") {
  const Model model;
  CHECK(model.faults({sound()}) == "");
  fs::create_symlink("w.bin", model.weights() / "inside.bin");
  CHECK(model.faults({reference("@model_path/weights/inside.bin")}) == "");
  fs::create_symlink(model.outside(), model.weights() / "link.bin");
  CHECK(model.faults({reference("@model_path/weights/link.bin")}) ==
        "error: weight 'w' is in '@model_path/weights/link.bin', which leads out of the model's "
        "folder [weight.path]\n");
  fs::create_directory_symlink(model.folder().path(), model.path() / "up");
  CHECK(model.faults({reference("@model_path/up/outside.bin")})
            .find("which leads out of the model's folder") != std::string::npos);
  // Through the link and back in is in.
  CHECK(model.faults({reference("@model_path/up/m/weights/w.bin")}) == "");
  // A folder whose name begins with the model's own is another one.
  fs::create_directory(model.folder().path() / "m2");
  fs::copy_file(model.outside(), model.folder().path() / "m2/w.bin");
  fs::create_directory_symlink(model.folder().path() / "m2", model.path() / "m2");
  CHECK(model.faults({reference("@model_path/m2/w.bin")})
            .find("which leads out of the model's folder") != std::string::npos);
  fs::create_symlink("loop.bin", model.weights() / "loop.bin");
  CHECK(model.faults({reference("@model_path/weights/loop.bin")}).find("[file.open]") !=
        std::string::npos);
  // The folder itself may be a link.
  fs::create_directory_symlink(model.path(), model.folder().path() / "alias");
  Diagnostics diagnostics;
  CHECK(check_weights(std::vector{sound()}, model.folder().file("alias"), diagnostics));
  CHECK(check_weights(std::vector{sound()}, model.folder().file("alias/"), diagnostics));
}

TEST_CASE("what is no weight file is said to be that, and a pipe is not waited for") {
  const Model model;
  model.folder().write("m/weights/empty.bin", "");
  REQUIRE(::mkfifo((model.weights() / "pipe.bin").c_str(), 0600) == 0);
  CHECK(model.faults({reference("@model_path/weights/empty.bin"),
                      reference("@model_path/weights/pipe.bin"), reference("@model_path/weights"),
                      reference("@model_path/weights/"), reference("@model_path/gone.bin")}) ==
        "m/weights/empty.bin: error: the file has 0 bytes, its header alone takes 64 "
        "[blob.header]\n"
        "m/weights/pipe.bin: error: cannot be mapped: it is no regular file [file.open]\n"
        "m/weights: error: cannot be read: it is a folder [file.open]\n"
        "m/gone.bin: error: cannot be opened: No such file or directory [file.open]\n");
}

TEST_CASE("paths that are none do not reach the disk or a terminal") {
  const Model model;
  CHECK(model.faults({reference(std::string("@model_path/weights/w.bin\0x", 27)),
                      reference("@model_path/weights/\x1b[31m.bin")}) ==
        "error: weight 'w' is in '@model_path/weights/w.bin?x', which has control characters "
        "[weight.path]\n"
        "error: weight 'w' is in '@model_path/weights/?[31m.bin', which has control characters "
        "[weight.path]\n");
  const std::string text = model.faults({reference("@model_path/" + std::string(100000, 'x'))});
  CHECK(text.find("[file.open]") != std::string::npos);
  Diagnostics diagnostics;
  CHECK_FALSE(check_weights(std::vector{sound()}, model.folder().file("none"), diagnostics));
  CHECK(diagnostics.all().at(0).id == "file.open");
}

TEST_CASE("offsets and shapes at the edges of their numbers") {
  const Model model;
  const std::string path = "@model_path/weights/w.bin";
  constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  CHECK(
      model.faults({reference(path, kLast), reference(path, kLast - 63),
                    reference(path, 64, DType::fp16, {kHuge, 3}),
                    reference(path, 64, DType::fp16, {kHuge}),
                    reference(path, 64, DType::fp16, {kUnknownDim, 2}),
                    reference(path, 64, DType::boolean), reference(path, 64, DType::fp32, {1})}) ==
      "m/weights/w.bin: error: weight 'w' is at offset 18446744073709551615, where no record "
      "stands [weight.reference]\n"
      "m/weights/w.bin: error: weight 'w' is at offset 18446744073709551552, where no record "
      "stands [weight.reference]\n"
      "m/weights/w.bin: error: weight 'w' is tensor<fp16, [9223372036854775807, 3]>, whose bytes "
      "are not known or do not fit in 63 bits [weight.size]\n"
      "m/weights/w.bin: error: weight 'w' is tensor<fp16, [9223372036854775807]>, whose bytes are "
      "not known or do not fit in 63 bits [weight.size]\n"
      "m/weights/w.bin: error: weight 'w' is tensor<fp16, [?, 2]>, whose bytes are not known or "
      "do not fit in 63 bits [weight.size]\n"
      "m/weights/w.bin: error: weight 'w' is tensor<bool, [2]>, and weight files do not have bool "
      "[weight.dtype]\n"
      "m/weights/w.bin: error: weight 'w' is tensor<fp32, [1]> of 4 bytes but the record at "
      "offset 64 is fp16 of 4 bytes [weight.record]\n");
}

TEST_CASE("a file by many names is opened once") {
  const Model model;
  model.folder().write("m/weights/w.bin", "short");
  CHECK(model.faults({sound(), reference("@model_path/weights//w.bin"),
                      reference("@model_path/./weights/w.bin")}) ==
        "m/weights/w.bin: error: the file has 5 bytes, its header alone takes 64 [blob.header]\n");
}

TEST_CASE("an explicit file stands for every path") {
  const Model model;
  CheckWeightsOptions options;
  options.file = model.outside();
  CHECK(model.faults({reference("@model_path/gone.bin"), reference("/etc/passwd"), reference("")},
                     options) == "");
  CHECK(
      model.faults({reference("x", 128), reference("y", 64, DType::int8, {4})}, options) ==
      "outside.bin: error: weight 'w' is at offset 128, where no record stands "
      "[weight.reference]\n"
      "outside.bin: error: weight 'w' is tensor<int8, [4]> of 4 bytes but the record at offset 64 "
      "is fp16 of 4 bytes [weight.record]\n");
}

TEST_CASE("a reference with a place in a text is reported there") {
  const Model model;
  WeightReference wrong = reference("@model_path/weights/w.bin", 128);
  wrong.place = Place("a.mil", 7, 9);
  WeightReference outside = reference("w.bin");
  outside.place = Place("a.mil", 8, 9);
  CHECK(model.faults({wrong, outside}) ==
        "a.mil:7:9: error: weight 'w' is at offset 128, where no record stands "
        "[weight.reference]\n"
        "m/weights/w.bin: note: this is the weight file\n"
        "a.mil:8:9: error: weight 'w' is in 'w.bin', which is not below @model_path "
        "[weight.path]\n");
}

TEST_CASE("leniently, references say what records are, each liberty a warning") {
  const Model model;
  std::string bytes = model.folder().read("outside.bin");
  bytes[68] = 2;  // fp32
  bytes[80] = 0;  // the payload's offset
  model.folder().write("m/weights/w.bin", bytes);
  CHECK(model.faults({sound()}).find("[blob.offset]") != std::string::npos);
  CheckWeightsOptions options;
  options.lenient = true;
  const std::string liberties =
      "m/weights/w.bin: warning: the record of 'w' at byte 64 has dtype fp32 and is read as fp16 "
      "[blob.lenient_dtype]\n"
      "m/weights/w.bin: warning: the record of 'w' at byte 64 puts its payload at byte 0, which is "
      "read from byte 128 [blob.lenient_offset]\n";
  CHECK(model.faults({sound()}, options) == liberties);
  // Two references that cannot both be right.
  CHECK(model.faults({sound(), reference("@model_path/weights/w.bin", 64, DType::int8, {4})},
                     options) ==
        liberties +
            "m/weights/w.bin: error: weight 'w' is tensor<int8, [4]> of 4 bytes but the record at "
            "offset 64 is fp16 of 4 bytes [weight.record]\n");
  CHECK(model.faults(
            {sound(), reference("@model_path/weights/w.bin", 4), reference("@model_path/../w.bin")},
            options) ==
        "m/weights/w.bin: error: the record of 'w' at byte 4 begins inside of the header of 64 "
        "bytes [blob.overlap]\n" +
            liberties +
            "error: weight 'w' is in '@model_path/../w.bin', which is not below @model_path "
            "[weight.path]\n");
}
