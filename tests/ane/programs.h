// Programs for tests of models, and a place for the files of models that must be empty again.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/ane/model.h"
#include "support/half.h"
#include "support/temporary_folder.h"

namespace milgen::test {

/// Names that do not sort as they are declared, and sizes that differ: z = w - a, b = row sums.
inline constexpr std::string_view kTwoAndTwo = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 2, 1, 4]> w, tensor<fp16, [1, 2, 1, 4]> a) {
            tensor<fp16, [1, 2, 1, 4]> z = sub(x = w, y = a)[name = string("z")];
            tensor<int32, [1]> axes = const()[name = string("axes"), val = tensor<int32, [1]>([-1])];
            bool keep = const()[name = string("keep"), val = bool(true)];
            tensor<fp16, [1, 2, 1, 1]> b = reduce_sum(axes = axes, keep_dims = keep, x = z)[name = string("b")];
        } -> (z, b);
})";

/// y = 2 x, of 32 columns: rows without padding.
inline constexpr std::string_view kDouble = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 4, 1, 32]> x) {
            tensor<fp16, [1, 4, 1, 32]> y = add(x = x, y = x)[name = string("y")];
        } -> (y);
})";

/// y = w x, by weights in a file.
inline constexpr std::string_view kWeighted = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 4]> x) {
            tensor<fp16, [1, 4]> w = const()[name = string("w"), val = tensor<fp16, [1, 4]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
            tensor<fp16, [1, 4]> y = mul(x = x, y = w)[name = string("y")];
        } -> (y);
})";

inline std::vector<std::uint16_t> halves(std::span<const float> values) {
  std::vector<std::uint16_t> out;
  for (const float value : values) out.push_back(half_from_float(value));
  return out;
}

/// TMPDIR in a folder of its own, which has to be empty at the end: programs leave no files.
class CleanTemporary {
 public:
  CleanTemporary() {
    const char* before = std::getenv("TMPDIR");
    if (before != nullptr) before_ = before;
    ::setenv("TMPDIR", folder_.path().c_str(), 1);
  }
  CleanTemporary(const CleanTemporary&) = delete;
  CleanTemporary& operator=(const CleanTemporary&) = delete;
  ~CleanTemporary() {
    CHECK(folder_.entries() == 0);
    if (before_.empty()) {
      ::unsetenv("TMPDIR");
    } else {
      ::setenv("TMPDIR", before_.c_str(), 1);
    }
  }
  std::size_t entries() const { return folder_.entries(); }

 private:
  TemporaryFolder folder_;
  std::string before_;
};

/// The model of a text; the test ends where there is none.
inline ane::Model compiled(const ane::Engine& engine, std::string_view text,
                           const ane::ModelOptions& options = {}) {
  Diagnostics diagnostics;
  auto model = ane::Model::compile(engine, text, "test.mil", options, diagnostics);
  REQUIRE_MESSAGE(model, model.error().text());
  return *std::move(model);
}

/// Why there is none.
inline ane::Error refusal(const ane::Engine& engine, std::string_view text,
                          const ane::ModelOptions& options = {}) {
  Diagnostics diagnostics;
  auto model = ane::Model::compile(engine, text, "test.mil", options, diagnostics);
  CHECK_FALSE(model);
  return model.error();
}

inline std::vector<float> read(const ane::Model& model, ane::Port output) {
  const std::ptrdiff_t index = output.by_index() ? static_cast<std::ptrdiff_t>(output.index())
                                                 : model.find_output(output.name());
  REQUIRE(index >= 0);
  const ane::TensorLayout& layout = model.outputs()[static_cast<std::size_t>(index)];
  std::vector<float> values(static_cast<std::size_t>(layout.elements()));
  const ane::Error error = model.read_fp32(output, values);
  CHECK_MESSAGE(!error, error.text());
  return values;
}

inline void write(ane::Model& model, ane::Port input, const std::vector<float>& values) {
  const ane::Error error = model.write_fp32(input, values);
  CHECK_MESSAGE(!error, error.text());
}

inline void evaluate(ane::Model& model) {
  const ane::Error error = model.evaluate();
  CHECK_MESSAGE(!error, error.text());
}

}  // namespace milgen::test
