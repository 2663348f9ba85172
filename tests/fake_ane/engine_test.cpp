// The fake's engine without its object model: layouts, symbols, what it refuses, what it computes.
#include "fake_ane/engine.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fake_ane/model_folder.h"
#include "milgen/array.h"
#include "support/temporary_folder.h"

namespace milgen::fake_ane {
namespace {

constexpr std::string_view kAdd = R"(program(1.3)
{
    func main<ios18>(tensor<fp32, [1, 2, 3]> w, tensor<fp32, [1, 2, 3]> a) {
            tensor<fp32, [1, 2, 3]> z = sub(x = w, y = a)[name = string("z")];
            tensor<fp32, [1, 2, 1]> b = reduce_sum(x = z, axes = tensor<int32, [1]>([-1]), keep_dims = bool(true))[name = string("b")];
        } -> (z, b);
}
)";

constexpr std::string_view kWeighted = R"(program(1.3)
{
    func main<ios18>(tensor<fp16, [1, 4]> x) {
            tensor<fp16, [1, 4]> w = const()[name = string("w"), val = tensor<fp16, [1, 4]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
            tensor<fp16, [1, 4]> y = mul(x = x, y = w)[name = string("y")];
        } -> (y);
}
)";

/// A weight file with one record of four halves, all of the bits `half`.
std::vector<std::byte> blob(std::uint16_t half) {
  std::vector<std::byte> bytes(136);
  const auto put = [&](std::size_t at, std::uint32_t value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  put(0, 1);
  put(4, 2);
  put(64, 0xDEADBEEF);
  put(68, 1);
  put(72, 8);
  put(80, 128);
  for (std::size_t i = 0; i < 4; ++i) std::memcpy(bytes.data() + 128 + 2 * i, &half, 2);
  return bytes;
}

constexpr std::uint16_t kTwo = 0x4000;
constexpr std::uint16_t kThree = 0x4200;

WeightFileBytes weight(std::string path, std::vector<std::byte> bytes) {
  return {std::move(path), std::make_shared<const std::vector<std::byte>>(std::move(bytes))};
}

/// A model's folder as a client writes it.
ModelSource write_model(const TemporaryFolder& folder, std::string_view text,
                        std::vector<WeightFileBytes> weights = {}) {
  folder.write("model.mil", text);
  std::filesystem::create_directories(folder.path() / "weights");
  for (const WeightFileBytes& file : weights) {
    folder.write(file.path.substr(std::string_view("@model_path/").size()),
                 std::span<const std::byte>(*file.bytes));
  }
  return {folder.path().string(), std::string(text), std::move(weights)};
}

std::string compile_error(const ModelSource& source, const EngineOptions& options = {}) {
  EngineError error;
  if (compile_program(source, options, error)) return {};
  CHECK(error.code == kCompileError);
  return error.detail;
}

std::unique_ptr<LoadedProgram> load(const ModelSource& source, const EngineOptions& options = {}) {
  EngineError error;
  auto program =
      LoadedProgram::load(source.folder, source.text, weights_hash(source.weights), options, error);
  CHECK(error.detail == "");
  return program;
}

std::string load_error(const ModelSource& source, const EngineOptions& options = {}) {
  EngineError error;
  CHECK(LoadedProgram::load(source.folder, source.text, weights_hash(source.weights), options,
                            error) == nullptr);
  CHECK(error.code == kLoadError);
  CHECK(error.description == kLoadFailed);
  return error.detail;
}

/// Memory as a surface has it: filled with something.
struct Surface {
  explicit Surface(std::size_t size) : bytes(size, std::byte{0xA5}) {}
  template <class T>
  void put(std::size_t row_bytes, const std::vector<std::vector<T>>& rows) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::memcpy(bytes.data() + r * row_bytes, rows[r].data(), rows[r].size() * sizeof(T));
    }
  }
  template <class T>
  T at(std::size_t offset) const {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  }
  std::vector<std::byte> bytes;
};

BoundSurface bound(std::uint64_t symbol, Surface& surface) {
  return {.symbol = symbol, .bytes = surface.bytes};
}

TEST_CASE("layouts follow the row pitch") {
  SymbolLayout layout;
  std::string why;
  const auto make = [&](DType dtype, Shape shape, std::int64_t pitch) {
    return make_layout({.name = "x", .dtype = dtype, .shape = std::move(shape)},
                       {.row_pitch_bytes = pitch}, layout, why);
  };
  REQUIRE(make(DType::fp16, {1, 4, 1, 4}, 64));
  // The numbers of a real dump (ane_runtime, 4.0).
  CHECK(layout.row_bytes == 64);
  CHECK(layout.plane_bytes == 64);
  CHECK(layout.batch_bytes == 256);
  REQUIRE(make(DType::fp32, {2, 3, 4, 5, 17}, 64));
  CHECK(layout.row_bytes == 128);
  CHECK(layout.depth == 4);
  CHECK(layout.height == 5);
  CHECK(layout.depth_bytes == 640);
  CHECK(layout.plane_bytes == 2560);
  CHECK(layout.batch_bytes == 7680);
  CHECK(layout.size_bytes == 15360);
  REQUIRE(make(DType::fp16, {3, 5}, 1));
  CHECK(layout.row_bytes == 10);
  CHECK(layout.height == 3);
  REQUIRE(make(DType::fp16, {}, 128));
  CHECK(layout.width == 1);
  CHECK(layout.size_bytes == 128);

  CHECK_FALSE(make(DType::int32, {4}, 64));
  CHECK(why == "x is tensor<int32, [4]>, which is no type of a surface");
  CHECK_FALSE(make(DType::fp16, {4, kUnknownDim}, 64));
  CHECK(why == "x is tensor<fp16, [4, ?]>, which no surface has room for");
  CHECK_FALSE(make(DType::fp16, {1, 1, 1, 1, 1, 1}, 64));
  CHECK_FALSE(make(DType::fp16, {0}, 64));
}

TEST_CASE("values go through padded rows, by symbol") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, kAdd);
  REQUIRE(compile_error(source) == "");
  const auto program = load(source);
  REQUIRE(program != nullptr);
  REQUIRE(program->procedure_count() == 1);
  CHECK(program->procedure_name(0) == "main");
  const auto inputs = program->inputs(0);
  const auto outputs = program->outputs(0);
  REQUIRE(inputs.size() == 2);
  CHECK(inputs[0]->symbol == "a");
  CHECK(inputs[1]->symbol == "w");
  CHECK(outputs[0]->symbol == "b@output");
  CHECK(outputs[1]->symbol == "z@output");

  Surface a(128);
  Surface w(128);
  Surface b(128);
  Surface z(128);
  a.put<float>(64, {{1, 2, 3}, {4, 5, 6}});
  w.put<float>(64, {{10, 20, 30}, {40, 50, 60}});
  EngineError error;
  const std::vector in = {bound(1, w), bound(0, a)};
  const std::vector out = {bound(0, b), bound(1, z)};
  REQUIRE(program->evaluate(0, in, out, true, error));
  CHECK(z.at<float>(0) == 9.0f);
  CHECK(z.at<float>(64 + 8) == 54.0f);
  CHECK(b.at<float>(0) == 54.0f);
  CHECK(b.at<float>(64) == 135.0f);
  // What lies behind a row stays.
  CHECK(z.at<std::uint32_t>(12) == 0xA5A5A5A5u);

  // Other surfaces the next time.
  Surface z2(4096);
  const std::vector out2 = {bound(0, b), bound(1, z2)};
  a.put<float>(64, {{0, 0, 0}, {0, 0, 0}});
  REQUIRE(program->evaluate(0, in, out2, true, error));
  CHECK(z2.at<float>(0) == 10.0f);
  CHECK(z.at<float>(0) == 9.0f);

  // An output in an input's place.
  const std::vector in_place = {bound(0, b), bound(1, w)};
  REQUIRE(program->evaluate(0, in, in_place, true, error));
  CHECK(w.at<float>(64 + 8) == 60.0f);
  CHECK(b.at<float>(64) == 150.0f);
}

TEST_CASE("a strict engine takes exactly its symbols, in surfaces of their size") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, kAdd);
  REQUIRE(compile_error(source) == "");
  const auto program = load(source);
  REQUIRE(program != nullptr);
  Surface a(128);
  Surface w(128);
  Surface b(128);
  Surface z(128);
  Surface small(64);
  const std::vector out = {bound(0, b), bound(1, z)};
  const auto failure = [&](std::vector<BoundSurface> in, std::vector<BoundSurface> to,
                           std::size_t procedure = 0) {
    EngineError error;
    CHECK_FALSE(program->evaluate(procedure, in, to, true, error));
    CHECK(error.code == kInferenceError);
    return error;
  };
  CHECK(failure({bound(0, a)}, out).description == kWrongSymbol);
  CHECK(failure({bound(0, a)}, out).detail ==
        "the 1 inputs that are bound are not the symbols a, w");
  CHECK(failure({bound(0, a), bound(0, w)}, out).description == kWrongSymbol);
  CHECK(failure({bound(0, a), bound(2, w)}, out).description == kWrongSymbol);
  CHECK(failure({bound(0, a), bound(1, w)}, {bound(0, b), bound(7, z)}).detail ==
        "the 2 outputs that are bound are not the symbols b@output, z@output");
  CHECK(failure({bound(0, a), bound(1, w)}, out, 3).detail ==
        "procedure 3 is asked for, and there are 1");
  CHECK(failure({bound(0, a), bound(1, small)}, out).description == kInferenceFailed);
  CHECK(failure({bound(0, a), bound(1, small)}, out).detail ==
        "the surface of w has 64 bytes and takes 128");
  BoundSurface packed = bound(1, w);
  packed.row_bytes = 12;
  packed.height = 2;
  CHECK(failure({bound(0, a), packed}, out).detail ==
        "the surface of w has rows of 12 bytes and takes 64");
}

TEST_CASE("an engine that is not strict computes with what it gets") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, kAdd);
  REQUIRE(compile_error(source) == "");
  const auto program = load(source);
  REQUIRE(program != nullptr);
  Surface a(128);
  Surface w(128);
  Surface b(128);
  Surface z(128);
  a.put<float>(64, {{1, 2, 3}, {4, 5, 6}});
  w.put<float>(64, {{10, 20, 30}, {40, 50, 60}});
  EngineError error;
  // Declared order is w, a; the symbols are a, w.
  const std::vector naive = {bound(0, w), bound(1, a)};
  const std::vector out = {bound(0, b), bound(1, z)};
  REQUIRE(program->evaluate(0, naive, out, false, error));
  CHECK(z.at<float>(0) == -9.0f);

  // A surface that ends early, an input that is missing, an output that nothing takes.
  Surface cut(8);
  const std::vector lone = {bound(1, w), bound(9, a)};
  const std::vector one = {bound(1, cut)};
  REQUIRE(program->evaluate(0, lone, one, false, error));
  CHECK(cut.at<float>(4) == 20.0f);
  const std::vector short_input = {bound(1, cut), bound(0, a)};
  REQUIRE(program->evaluate(0, short_input, out, false, error));
  CHECK(z.at<float>(4) == 18.0f);
  CHECK(z.at<float>(64) == -4.0f);
}

TEST_CASE("rows and names can be compiled otherwise") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, kAdd);
  const EngineOptions options = {.row_pitch_bytes = 1, .sorted_names = false};
  REQUIRE(compile_error(source, options) == "");
  const auto program = load(source, options);
  REQUIRE(program != nullptr);
  CHECK(program->inputs(0)[0]->symbol == "w");
  CHECK(program->inputs(0)[0]->row_bytes == 12);
  CHECK(program->outputs(0)[0]->symbol == "z@output");
}

TEST_CASE("a bool surface may hold any byte") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, R"(program(1.3)
{
    func main<ios18>(tensor<bool, [4]> x) {
            tensor<bool, [4]> y = logical_not(x = x)[name = string("y")];
        } -> (y);
}
)");
  REQUIRE(compile_error(source) == "");
  const auto program = load(source);
  REQUIRE(program != nullptr);
  Surface x(64);
  Surface y(64);
  x.bytes[1] = std::byte{0};
  EngineError error;
  const std::vector in = {bound(0, x)};
  const std::vector out = {bound(0, y)};
  REQUIRE(program->evaluate(0, in, out, true, error));
  CHECK(y.at<std::uint32_t>(0) == 0x00000100u);
}

TEST_CASE("functions are procedures, whose symbols follow each other") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, R"(program(1.3)
{
    func first<ios18>(tensor<fp32, [4]> x) {
            tensor<fp32, [4]> y = neg(x = x)[name = string("y")];
        } -> (y);
    func second<ios18>(tensor<fp32, [4]> x) {
            tensor<fp32, [4]> y = square(x = x)[name = string("y")];
        } -> (y);
}
)");
  const std::string failed = compile_error(source);
  // neg is no MIL op.
  CHECK(failed.find("neg") != std::string::npos);
  std::string text = source.text;
  text.replace(text.find("neg"), 3, "abs");
  const ModelSource right = write_model(folder, text);
  REQUIRE(compile_error(right) == "");
  const auto program = load(right);
  REQUIRE(program != nullptr);
  REQUIRE(program->procedure_count() == 2);
  CHECK(program->first_input(1) == 1);
  CHECK(program->first_output(1) == 1);
  Surface x(64);
  Surface y(64);
  x.put<float>(64, {{-3, 0, 1, 2}});
  EngineError error;
  const std::vector zero_in = {bound(0, x)};
  const std::vector zero_out = {bound(0, y)};
  const std::vector one_in = {bound(1, x)};
  const std::vector one_out = {bound(1, y)};
  REQUIRE(program->evaluate(0, zero_in, zero_out, true, error));
  CHECK(y.at<float>(0) == 3.0f);
  REQUIRE(program->evaluate(1, one_in, one_out, true, error));
  CHECK(y.at<float>(0) == 9.0f);
  CHECK_FALSE(program->evaluate(1, zero_in, zero_out, true, error));
  CHECK(error.description == kWrongSymbol);
}

TEST_CASE("compile refuses what it cannot take") {
  const TemporaryFolder folder;
  const auto error_of = [&](std::string_view text, std::vector<WeightFileBytes> weights = {}) {
    return compile_error(write_model(folder, text, std::move(weights)));
  };
  EngineError error;
  CHECK_FALSE(compile_program(write_model(folder, "program(1.3)\n{"), {}, error));
  CHECK(error.description == kParseFailed);
  CHECK_FALSE(compile_program(write_model(folder, "program(1.3)\n{\n}\n"), {}, error));

  CHECK(error_of(kWeighted) == "w is in @model_path/weights/w.bin, which the weights do not have");
  std::string outside(kWeighted);
  outside.replace(outside.find("weights/w.bin"), 13, "../w.bin");
  CHECK(error_of(outside) == "w is in @model_path/../w.bin, which is not below @model_path");
  auto broken = blob(kTwo);
  broken[64] = std::byte{0};
  CHECK(
      error_of(kWeighted, {weight("@model_path/weights/w.bin", broken)}).find("[blob.sentinel]") !=
      std::string::npos);
  // More than the text uses is fine.
  CHECK(error_of(kWeighted, {weight("@model_path/weights/v.bin", blob(kTwo)),
                             weight("@model_path/weights/w.bin", blob(kTwo))}) == "");

  std::string flexible(kAdd);
  flexible.replace(flexible.find("[1, 2, 3]> w"), 12, "[1, ?, 3]> w");
  CHECK(error_of(flexible) != "");
  CHECK(error_of(R"(program(1.3)
{
    func main<ios18>(tensor<fp32, [1, 2]> a, tensor<fp32, [1, 2]> b) {
            tensor<fp32, [2, 2]> y = concat(values = (a, b), axis = int32(0))[name = string("y")];
        } -> (y);
}
)")
            .find("[arg.demanded]") != std::string::npos);
}

TEST_CASE("compile wants the client's files, and keeps out of what is not below the folder") {
  const TemporaryFolder folder;
  ModelSource source =
      write_model(folder, kWeighted, {weight("@model_path/weights/w.bin", blob(kTwo))});
  folder.write("weights/w.bin", std::span<const std::byte>(blob(kThree)));
  CHECK(compile_error(source) ==
        "the file of @model_path/weights/w.bin has 136 bytes that are not the 136 of the "
        "dictionary");
  std::filesystem::remove(folder.path() / "weights/w.bin");
  CHECK(compile_error(source).find("w.bin") != std::string::npos);
  source.text += "\n";
  CHECK(compile_error(source) == "model.mil is not the text of the descriptor");
  std::filesystem::remove(folder.path() / "model.mil");
  CHECK(compile_error(source).find("model.mil") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "net.plist"));

  ModelSource escaping = write_model(folder, kAdd);
  escaping.weights = {weight("@model_path/../w.bin", blob(kTwo))};
  CHECK(compile_error(escaping) ==
        "the weights are in @model_path/../w.bin, which is not below @model_path");
}

TEST_CASE("a folder that cannot be written to is a compile error") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, kAdd);
  std::filesystem::create_directories(folder.path() / "data" / "in the way");
  CHECK(compile_error(source) == source.folder + "/data: cannot be written");
  CHECK(folder.entries() == 3);
}

TEST_CASE("an old system refuses newer text, and some refuse fp32") {
  const TemporaryFolder folder;
  const ModelSource source = write_model(folder, kAdd);
  CHECK(compile_error(source, {.os_major = 14}) == "ios18 needs macOS 15, and this is 14");
  CHECK(compile_error(source, {.fp32_io = false}) ==
        "w is tensor<fp32, [1, 2, 3]>, which is no type of a surface");
}

TEST_CASE("what was compiled stays in the folder") {
  const TemporaryFolder folder;
  const std::vector<WeightFileBytes> weights = {weight("@model_path/weights/w.bin", blob(kTwo))};
  const ModelSource source = write_model(folder, kWeighted, weights);
  const std::string text_digest = text_hash(source.text);
  const std::string weights_digest = weights_hash(source.weights);
  CHECK(text_digest.size() == 64);
  CHECK_FALSE(compiled_exists(source.folder, text_digest, weights_digest));
  CHECK(load_error(source).find("net.plist") != std::string::npos);
  REQUIRE(compile_error(source) == "");
  CHECK(compiled_exists(source.folder, text_digest, weights_digest));
  CHECK_FALSE(compiled_exists(source.folder, weights_digest, weights_digest));

  const auto first = [&](const EngineOptions& options) {
    const auto program = load(source, options);
    REQUIRE(program != nullptr);
    Surface x(64);
    Surface y(64);
    x.put<std::uint16_t>(64, {{0x3C00, 0, 0, 0}});
    EngineError error;
    const std::vector in = {bound(0, x)};
    const std::vector out = {bound(0, y)};
    REQUIRE(program->evaluate(0, in, out, true, error));
    return y.at<std::uint16_t>(0);
  };
  CHECK(first({}) == kTwo);
  folder.write("weights/w.bin", std::span<const std::byte>(blob(kThree)));
  CHECK(first({}) == kTwo);
  CHECK(first({.rewritten_weights_count = true}) == kThree);
  std::filesystem::remove(folder.path() / "weights/w.bin");
  CHECK(load_error(source, {.rewritten_weights_count = true}).find("w.bin") != std::string::npos);

  const std::string list = folder.read("net.plist");
  folder.write("net.plist", list.substr(0, list.size() - 1));
  CHECK(compiled_exists(source.folder, text_digest, weights_digest));
  CHECK(load_error(source) == "net.plist is not of this text, weights and data");
  folder.write("net.plist", list);
  folder.write("data", folder.read("data") + "x");
  CHECK(load_error(source) == "net.plist is not of this text, weights and data");
  remove_compiled(source.folder);
  CHECK_FALSE(compiled_exists(source.folder, text_digest, weights_digest));
}

TEST_CASE("a package is a text and the files that it names") {
  const TemporaryFolder folder;
  EngineError error;
  ModelSource missing;
  CHECK_FALSE(read_package(folder.path().string(), missing, error));
  CHECK(error.code == kBundleError);
  write_model(folder, kWeighted, {weight("@model_path/weights/w.bin", blob(kTwo))});
  ModelSource source;
  REQUIRE(read_package(folder.path().string(), source, error));
  REQUIRE(source.weights.size() == 1);
  CHECK(source.weights[0].path == "@model_path/weights/w.bin");
  CHECK(compile_error(source) == "");
  std::filesystem::remove(folder.path() / "weights/w.bin");
  ModelSource cut;
  CHECK_FALSE(read_package(folder.path().string(), cut, error));
  CHECK(error.description == kBundleFailed);
}

}  // namespace
}  // namespace milgen::fake_ane
