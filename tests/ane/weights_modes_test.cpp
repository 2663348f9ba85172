// The three ways in which weights reach a program: in files, as inputs that stay, and packed into
// the spatial axis of an input.
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane/model.h"
#include "milgen/weights.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::CleanTemporary;
using milgen::test::compiled;
using milgen::test::FakeScope;
using milgen::test::halves;
using milgen::test::kWeighted;
using milgen::test::refusal;

namespace {

constexpr const char* kPath = "@model_path/weights/w.bin";

/// A weight file with one record of fp16.
std::vector<std::byte> file_of(std::vector<float> values) {
  const std::vector<std::uint16_t> bits = halves(values);
  const WeightPayload payload{DType::fp16, std::as_bytes(std::span(bits)), 0};
  return weight_file_bytes({&payload, 1});
}

WeightFileBytes in_memory(std::vector<float> values, std::string path = kPath) {
  return {std::move(path),
          std::make_shared<const std::vector<std::byte>>(file_of(std::move(values)))};
}

/// y for x = 1, 2, 3, 4.
std::vector<float> weighted(Model& model) {
  test::write(model, "x", {1, 2, 3, 4});
  test::evaluate(model);
  return test::read(model, "y");
}

// y = x W, the weight an input.
constexpr std::string_view kDynamic = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 2, 3]> x, tensor<fp16, [1, 3, 4]> W) {
            bool no = const()[name = string("no"), val = bool(false)];
            tensor<fp16, [1, 2, 4]> y = matmul(transpose_x = no, transpose_y = no, x = x, y = W)[name = string("y")];
        } -> (y);
})";

// The first 2 columns of the input are activations x [1, 4, 1, 2], the other 3 are W [1, 4, 1, 3]:
// y = transpose(x) W.
constexpr std::string_view kPacked = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 4, 1, 5]> packed) {
            tensor<int32, [4]> x_begin = const()[name = string("x_begin"), val = tensor<int32, [4]>([0, 0, 0, 0])];
            tensor<int32, [4]> x_size = const()[name = string("x_size"), val = tensor<int32, [4]>([1, 4, 1, 2])];
            tensor<int32, [4]> w_begin = const()[name = string("w_begin"), val = tensor<int32, [4]>([0, 0, 0, 2])];
            tensor<int32, [4]> w_size = const()[name = string("w_size"), val = tensor<int32, [4]>([1, 4, 1, 3])];
            tensor<int32, [1]> axes = const()[name = string("axes"), val = tensor<int32, [1]>([2])];
            bool yes = const()[name = string("yes"), val = bool(true)];
            bool no = const()[name = string("no"), val = bool(false)];
            tensor<fp16, [1, 4, 1, 2]> x4 = slice_by_size(begin = x_begin, size = x_size, x = packed)[name = string("x4")];
            tensor<fp16, [1, 4, 1, 3]> w4 = slice_by_size(begin = w_begin, size = w_size, x = packed)[name = string("w4")];
            tensor<fp16, [1, 4, 2]> x3 = squeeze(axes = axes, x = x4)[name = string("x3")];
            tensor<fp16, [1, 4, 3]> w3 = squeeze(axes = axes, x = w4)[name = string("w3")];
            tensor<fp16, [1, 2, 3]> y = matmul(transpose_x = yes, transpose_y = no, x = x3, y = w3)[name = string("y")];
        } -> (y);
})";

}  // namespace

TEST_CASE("weights are constants in files: in memory, below the model's folder, or one for all") {
  CleanTemporary temporary;
  FakeScope fake;
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "weights");
  folder.write("weights/w.bin", file_of({2, 2, 2, 2}));
  const std::string elsewhere = folder.write("other.bin", file_of({5, 5, 5, 5}));

  ModelOptions options;
  options.model_path = folder.path().string();
  Model from_folder = compiled(fake.engine(), kWeighted, options);
  CHECK(weighted(from_folder) == std::vector<float>{2, 4, 6, 8});
  options.weights = {in_memory({3, 3, 3, 3})};
  Model from_memory = compiled(fake.engine(), kWeighted, options);
  CHECK(weighted(from_memory) == std::vector<float>{3, 6, 9, 12});
  options.weights.clear();
  options.weight_file = elsewhere;
  Model from_file = compiled(fake.engine(), kWeighted, options);
  CHECK(weighted(from_file) == std::vector<float>{5, 10, 15, 20});
  // The identity is of the weights, too.
  CHECK(from_folder.identifier() != from_memory.identifier());
}

TEST_CASE("weights that are not there, not sound, or outside of the folder are refused") {
  CleanTemporary temporary;
  FakeScope fake;
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "weights");
  ModelOptions options;
  options.model_path = folder.path().string();
  const Error missing = refusal(fake.engine(), kWeighted, options);
  CHECK(missing.kind() == ErrorKind::weights);
  CHECK(missing.text().find("the program's weights have 1 error: test.mil:5: weight 'w' is in "
                            "'@model_path/weights/w.bin'") == 0);
  folder.write("weights/w.bin", file_of({1, 2, 3}));
  CHECK(refusal(fake.engine(), kWeighted, options).text().find("[blob.range]") !=
        std::string::npos);
  folder.write("weights/w.bin", "short");
  CHECK(refusal(fake.engine(), kWeighted, options).kind() == ErrorKind::weights);

  std::string escaping(kWeighted);
  escaping.replace(escaping.find("weights/w.bin"), 13, "../w.bin");
  CHECK(refusal(fake.engine(), escaping, options).text().find("[weight.path]") !=
        std::string::npos);
  // What is given in memory is written to files, too.
  std::string own(kWeighted);
  own.replace(own.find("weights/w.bin"), 13, "model.mil");
  options.weights = {in_memory({1, 2, 3, 4}, "@model_path/model.mil")};
  const Error outside = refusal(fake.engine(), own, options);
  CHECK(outside.kind() == ErrorKind::weights);
  CHECK(outside.text() ==
        "the weight file is '@model_path/model.mil', which is the program's own file");
  options.weights = {{kPath, nullptr}};
  CHECK(refusal(fake.engine(), kWeighted, options).kind() == ErrorKind::weights);
  CHECK(fake.logged("compileWithQoS") == 0);
}

TEST_CASE("a weight file as the field writes it is a warning") {
  CleanTemporary temporary;
  FakeScope fake;
  std::vector<std::byte> file = file_of({2, 2, 2, 2});
  file[72] = std::byte{0};  // the record's size
  ModelOptions options;
  options.weights = {{kPath, std::make_shared<const std::vector<std::byte>>(file)}};
  Diagnostics diagnostics;
  auto model = Model::compile(fake.engine(), kWeighted, "test.mil", options, diagnostics);
  bool warned = false;
  for (const Diagnostic& one : diagnostics.all()) {
    warned = warned || one.id == "blob.lenient_size";
  }
  CHECK(warned);
  // What the engine makes of it is the engine's.
  if (model) {
    CHECK(weighted(*model) == std::vector<float>{2, 4, 6, 8});
  } else {
    CHECK(model.error().kind() == ErrorKind::compile);
  }
}

TEST_CASE("weights are inputs: written any number of times after one compile") {
  CleanTemporary temporary;
  FakeScope fake;
  Model model = compiled(fake.engine(), kDynamic);
  test::write(model, "x", {1, 2, 3, 4, 5, 6});
  std::vector<float> weights = {1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1};
  test::write(model, "W", weights);
  test::evaluate(model);
  const std::vector<float> once = test::read(model, "y");
  CHECK(once == std::vector<float>{1, 2, 3, 6, 4, 5, 6, 15});
  for (int round = 0; round < 3; ++round) {
    for (float& value : weights) value *= 2;
    // Each time from another kind of source.
    if (round == 1) {
      CHECK(model.write_fp16("W", halves(weights)).text() == "");
    } else {
      test::write(model, "W", weights);
    }
    test::evaluate(model);
    std::vector<float> expected = once;
    for (float& value : expected) value *= static_cast<float>(2 << round);
    CHECK(test::read(model, "y") == expected);
  }
  // The input that was not written again stays.
  test::evaluate(model);
  CHECK(test::read(model, "y")[0] == 8);
  CHECK(fake.engine().ledger().compiles == 1);
}

TEST_CASE("weights are columns of an input") {
  CleanTemporary temporary;
  FakeScope fake;
  Model model = compiled(fake.engine(), kPacked);
  const Region activations{.first_column = 0, .columns = 2};
  const Region weight{.first_column = 2, .columns = 3};
  CHECK(model.write_fp32(0, std::vector<float>{1, 5, 2, 6, 3, 7, 4, 8}, activations).text() == "");
  std::vector<float> w = {1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1};
  CHECK(model.write_fp32(0, w, weight).text() == "");
  test::evaluate(model);
  CHECK(test::read(model, "y") == std::vector<float>{1, 2, 10, 5, 6, 26});
  for (float& value : w) value *= 2;
  CHECK(model.write_fp16(0, halves(w), weight).text() == "");
  test::evaluate(model);
  CHECK(test::read(model, "y") == std::vector<float>{2, 4, 20, 10, 12, 52});
  CHECK(model.write_fp32(0, w, Region{.first_column = 3, .columns = 3}).kind() ==
        ErrorKind::argument);
}
