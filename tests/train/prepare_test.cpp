#include "milgen/train/prepare.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "milgen/weights.h"
#include "support/temporary_folder.h"

namespace milgen::train {
namespace {

struct Expected {
  std::string_view tensor;
  std::string_view file;
  bool transposed;
};
constexpr Expected kOfLayer[] = {
    {"wq", "wq", false},        {"wq", "wqt", true}, {"wk", "wk", false},
    {"wk", "wkt", true},        {"wv", "wv", false}, {"wv", "wvt", true},
    {"wo", "wo", false},        {"wo", "wot", true}, {"w1", "w1", false},
    {"w1", "w1t", true},        {"w2", "w2", false}, {"w2", "w2t", true},
    {"w3", "w3", false},        {"w3", "w3t", true}, {"rms_att", "rms1", false},
    {"rms_ffn", "rms2", false},
};
constexpr Expected kOfNone[] = {
    {"rms_final", "rms_w", false}, {"embed", "embed", false}, {"embed", "embed_t", true}};

ModelConfig odd_model() {
  ModelConfig config = small_model();
  config.dim = 76;
  config.hidden = 2600;
  config.heads = 6;
  config.kv_heads = 3;
  config.head_dim = 14;
  config.vocab = 531;
  return config;
}

/// The file that half_weight_file() makes.
std::vector<std::byte> one_file(const TensorGroup& group, bool transposed) {
  const WeightPayloadSize size = {DType::fp16, 2 * group.values.size(), 0};
  std::vector<WeightRecord> records;
  std::uint64_t bytes = 0;
  REQUIRE(plan_weight_records({&size, 1}, records, bytes));
  std::vector<std::byte> file(bytes);
  Diagnostics ignored;
  REQUIRE(half_weight_file(group.name, group.values, static_cast<std::uint64_t>(group.rows),
                           static_cast<std::uint64_t>(group.columns), transposed, file, ignored));
  return file;
}

template <std::size_t kCount>
std::uint64_t check_files(const PreparedWeights& files, const TensorGroup& group,
                          const Expected (&expected)[kCount], std::string_view tensor) {
  std::uint64_t bytes = 0;
  for (const Expected& one : expected) {
    if (one.tensor != tensor) continue;
    const std::vector<std::byte> want = one_file(group, one.transposed);
    REQUIRE_MESSAGE(std::ranges::equal(files.file(group.layer, one.file), want), one.file);
    bytes += want.size();
  }
  CHECK(bytes > 0);
  return bytes;
}

TEST_CASE("every tensor becomes its files, for any number of threads") {
  ModelConfig unshared = odd_model();
  unshared.shared_classifier = false;
  for (const ModelConfig& config : {small_model(), odd_model(), unshared}) {
    for (const int threads : {1, 3}) {
      ModelWeights weights;
      initialize(weights, config, 5);
      Diagnostics diagnostics;
      PreparedWeights files;
      REQUIRE(files.open(config, threads, diagnostics));
      REQUIRE(files.prepare(weights, diagnostics));
      CHECK(diagnostics.empty());
      std::uint64_t bytes = 0;
      for (const TensorGroup& group : groups_of(weights, config)) {
        if (group.layer >= 0) {
          bytes += check_files(files, group, kOfLayer, group.name);
        } else if (group.name == "embed" && !config.shared_classifier) {
          continue;
        } else {
          bytes +=
              check_files(files, group, kOfNone, group.name == "classifier" ? "embed" : group.name);
        }
      }
      CHECK_EQ(files.size_bytes(), bytes);
    }
  }
}

TEST_CASE("files stay where they are and take new values") {
  ModelWeights weights;
  initialize(weights, small_model(), 0);
  Diagnostics diagnostics;
  PreparedWeights files;
  CHECK_EQ(files.size_bytes(), 0u);
  CHECK(files.file(0, "wq").empty());
  REQUIRE(files.open(small_model(), 2, diagnostics));
  REQUIRE(files.prepare(weights, diagnostics));
  const std::span<const std::byte> file = files.file(1, "w2t");
  const std::vector<std::byte> before(file.begin(), file.end());
  weights.layers[1].w2[5] = 8;
  REQUIRE(files.prepare(weights, diagnostics));
  CHECK_EQ(files.file(1, "w2t").data(), file.data());
  CHECK_FALSE(std::ranges::equal(file, before));
  // Element 5 of row 0 of [D, H] is element 0 of row 5 of [H, D]; 8 is 0x4800.
  CHECK_EQ(file[128 + 2 * 5 * 64 + 1], std::byte{0x48});
  CHECK(files.file(1, "w4").empty());
  CHECK(files.file(2, "wq").empty());
  CHECK(files.file(-1, "wq").empty());
  CHECK(files.file(0, "").empty());
  PreparedWeights moved = std::move(files);
  CHECK_EQ(moved.file(1, "w2t").data(), file.data());
}

TEST_CASE("what does not fit in fp16 is told once a tensor") {
  ModelWeights weights;
  initialize(weights, odd_model(), 0);
  std::vector<float>& w1 = weights.layers[1].w1;  // [2600, 76]
  w1[76 * 2599 + 3] = 1e6f;
  w1[76 * 2000 + 75] = -70000;
  w1[76 * 300] = std::numeric_limits<float>::quiet_NaN();
  weights.rms_final[7] = 65520;
  Diagnostics diagnostics;
  PreparedWeights files;
  REQUIRE(files.open(odd_model(), 2, diagnostics));
  REQUIRE(files.prepare(weights, diagnostics));
  CHECK_EQ(render(diagnostics),
           "warning: weight 'layers.1.w1': 2 of 197600 values are finite in the source and "
           "infinite in fp16, the first at [2000, 75] [weight.overflow]\n"
           "warning: weight 'layers.1.w1': 1 of 197600 values is not a number, the first at "
           "[300, 0] [weight.nan]\n"
           "warning: weight 'rms_final': 1 of 76 values is finite in the source and infinite in "
           "fp16, the first at [7, 0] [weight.overflow]\n");
}

TEST_CASE("tensors of another model and models that are none are refused") {
  ModelWeights weights;
  initialize(weights, small_model(), 0);
  Diagnostics diagnostics;
  PreparedWeights files;
  REQUIRE(files.open(odd_model(), 1, diagnostics));
  CHECK_FALSE(files.prepare(weights, diagnostics));
  CHECK(render(diagnostics).find("has 4096 values, but the model's has [84, 76] [model.tensor]") !=
        std::string::npos);
  diagnostics.clear();
  ModelConfig config = small_model();
  config.head_dim = 31;
  CHECK_FALSE(files.open(config, 1, diagnostics));
  CHECK_EQ(render(diagnostics),
           "error: head_dim is 31, and the rotary embedding takes pairs [model.config]\n");
  diagnostics.clear();
  config = small_model();
  config.layers = 4096;
  config.dim = config.hidden = config.heads = config.kv_heads = 1 << 16;
  config.head_dim = 512;
  CHECK_FALSE(files.open(config, 1, diagnostics));
  REQUIRE_EQ(diagnostics.all().size(), 1u);
  CHECK_EQ(diagnostics.all()[0].id, "memory.limit");
  CHECK(diagnostics.all()[0].message.starts_with("the weight files of the model take "));
}

TEST_CASE("files on disk are the same") {
  const TemporaryFolder folder;
  ModelWeights weights;
  initialize(weights, small_model(), 0);
  Diagnostics diagnostics;
  PreparedWeights files;
  REQUIRE(files.open(small_model(), 1, diagnostics));
  REQUIRE(files.prepare(weights, diagnostics));
  REQUIRE(files.write(folder.file("out"), diagnostics));
  WeightFileReader reader;
  REQUIRE(reader.open(folder.file("out/layer1/weights/wkt.bin"), diagnostics));
  REQUIRE_EQ(reader.records().size(), 1u);
  std::vector<double> values(64 * 64);
  REQUIRE(read_elements(DType::fp16, reader.payload(reader.records()[0]), 0, values));
  CHECK(values[64] == doctest::Approx(weights.layers[1].wk[1]).epsilon(1e-3));
  CHECK(reader.open(folder.file("out/weights/embed_t.bin"), diagnostics));
  CHECK(reader.open(folder.file("out/layer0/weights/rms2.bin"), diagnostics));
  CHECK(diagnostics.empty());
  CHECK_FALSE(files.write("/dev/null/out", diagnostics));
  CHECK(diagnostics.has_errors());
  CHECK(diagnostics.all()[0].id.starts_with("file."));
}

}  // namespace
}  // namespace milgen::train
