// Files of models, checkpoints, tokenizers and tokens: against files that tests/numeric/
// train_files.py and tools/tiny/make_tokens.py made without milgen, there and back, and everything
// that is wrong with them.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "milgen/array_file.h"
#include "milgen/train/checkpoint.h"
#include "milgen/train/llama2c.h"
#include "milgen/train/model_safetensors.h"
#include "milgen/train/token_file.h"
#include "milgen/train/tokenizer.h"
#include "support/file_faults.h"
#include "support/temporary_folder.h"
#include "train/value_file.h"

using namespace milgen;
using namespace milgen::train;

namespace {

using namespace std::string_literals;

const std::string kGolden = MILGEN_SOURCE_DIR "/golden/train/";
const std::string kTiny = MILGEN_SOURCE_DIR "/tools/tiny/";

std::string read_text(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// "message [id]" of each, one a line; all have to be of this file.
std::string faults(Diagnostics& diagnostics, const std::string& path) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    CHECK(diagnostic.place.file == path);
    text += (text.empty() ? "" : "\n") + diagnostic.message + " [" + diagnostic.id + "]";
  }
  diagnostics.clear();
  return text;
}

/// The sizes of train_files.py.
ModelConfig golden_config(std::int64_t kv_heads, std::int64_t head_dim, bool shared) {
  ModelConfig config;
  config.layers = 2;
  config.dim = 8;
  config.hidden = 12;
  config.heads = 2;
  config.kv_heads = kv_heads;
  config.head_dim = head_dim;
  config.seq = 4;
  config.vocab = 5;
  config.shared_classifier = shared;
  return config;
}

/// The values of train_files.py.
ModelWeights golden_weights(const ModelConfig& config) {
  ModelWeights weights(config);
  float first = 0;
  for (const TensorGroup& group : groups_of(weights, config)) {
    for (std::size_t i = 0; i < group.values.size(); ++i) {
      group.values[i] = first + static_cast<float>(i) / 1024;
    }
    ++first;
  }
  return weights;
}

ModelAdam golden_adam(const ModelConfig& config, ModelWeights& weights) {
  ModelAdam adam(config);
  const std::vector<TensorGroup> groups = groups_of(weights, config);
  const std::vector<AdamState*> states = states_of(adam);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    for (std::size_t k = 0; k < groups[i].values.size(); ++k) {
      states[i]->m[k] = -groups[i].values[k];
      states[i]->v[k] = groups[i].values[k] / 2;
    }
  }
  return adam;
}

CheckpointProgress golden_progress() {
  CheckpointProgress progress;
  progress.step = 7;
  progress.total_steps = 100;
  progress.lr = 3e-4f;
  progress.loss = 2.5f;
  progress.compile_ms = 1.5;
  progress.train_ms = 2.25;
  progress.wall_ms = 1e6;
  progress.cum_steps = 70;
  progress.cum_batches = 7;
  progress.adam_t = 8;
  return progress;
}

bool same(ModelWeights& a, ModelWeights& b, const ModelConfig& config) {
  const std::vector<TensorGroup> left = groups_of(a, config);
  const std::vector<TensorGroup> right = groups_of(b, config);
  if (left.size() != right.size() || !train::detail::tensor_fault(config, a).empty()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i].values.size() != right[i].values.size() ||
        std::memcmp(left[i].values.data(), right[i].values.data(), left[i].values.size_bytes()) !=
            0) {
      return false;
    }
  }
  return true;
}

bool same(ModelAdam& a, ModelAdam& b) {
  const std::vector<AdamState*> left = states_of(a);
  const std::vector<AdamState*> right = states_of(b);
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i]->m != right[i]->m || left[i]->v != right[i]->v) return false;
  }
  return true;
}

/// `file` with the little-endian number at a place replaced.
template <class T>
std::string with_number(std::string file, std::size_t at, T value) {
  return file.replace(at, sizeof(value), reinterpret_cast<const char*>(&value), sizeof(value));
}

/// Every prefix of a small file, and some of a larger one: its first bytes, then every 97th.
template <class Visit>
void for_each_prefix(const std::string& file, const Visit& visit) {
  for (std::size_t size = 0; size < file.size(); size += size < 128 ? 1 : 97) {
    visit(file.substr(0, size));
  }
  visit(file.substr(0, file.size() - 1));
}

/// Damaged copies of a file: flipped bits, most of them in what says sizes, and noise.
template <class Visit>
void for_each_damage(const std::string& file, std::size_t header_bytes, const Visit& visit) {
  std::mt19937 random(7);  // NOLINT(bugprone-random-generator-seed): the same bytes every time
  for (int round = 0; round < 400; ++round) {
    std::string damaged = file;
    for (auto flips = random() % 3 + 1; flips > 0; --flips) {
      const std::size_t most = random() % 4 == 0 ? file.size() : header_bytes;
      damaged[random() % most] ^= static_cast<char>(1u << random() % 8);
    }
    visit(damaged);
  }
  for (int round = 0; round < 100; ++round) {
    std::string noise(random() % 2000, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    visit(noise);
  }
}

}  // namespace

TEST_CASE("a llama2.c file is read and written as export.py has it") {
  const TemporaryFolder folder;
  for (const bool shared : {true, false}) {
    const ModelConfig wanted = golden_config(shared ? 1 : 2, 4, shared);
    ModelWeights expected = golden_weights(wanted);
    const std::string golden = kGolden + (shared ? "llama2c_shared.bin" : "llama2c_unshared.bin");
    Diagnostics diagnostics;
    ModelConfig config;
    ModelWeights weights;
    REQUIRE(read_llama2c(golden, config, weights, diagnostics));
    CHECK(config == wanted);
    CHECK(same(weights, expected, wanted));
    ModelConfig alone;
    CHECK(read_llama2c_config(golden, alone, diagnostics));
    CHECK(alone == wanted);

    REQUIRE(write_llama2c(folder.file("m.bin"), wanted, expected, diagnostics));
    const std::string bytes = folder.read("m.bin");
    CHECK(bytes == read_text(golden));

    // Without the tables, which no reader uses; the classifier stands behind them.
    const std::size_t classifier = expected.classifier.size() * 4;
    std::string bare = bytes;
    bare.erase(bytes.size() - classifier - 64, 64);
    REQUIRE(read_llama2c(folder.write("bare.bin", bare), config, weights, diagnostics));
    CHECK(config == wanted);
    CHECK(same(weights, expected, wanted));
    CHECK(diagnostics.empty());
  }
}

TEST_CASE("a residual scale goes into wo and w2 of a llama2.c file") {
  const TemporaryFolder folder;
  ModelConfig config = golden_config(2, 4, true);
  config.residual_scale = 0;  // 1 / sqrt(2 * 2)
  const ModelWeights weights = golden_weights(config);
  Diagnostics diagnostics;
  REQUIRE(write_llama2c(folder.file("m.bin"), config, weights, diagnostics));
  ModelConfig read_config;
  ModelWeights again;
  REQUIRE(read_llama2c(folder.file("m.bin"), read_config, again, diagnostics));
  CHECK(read_config.residual_scale == 1);
  for (std::size_t i = 0; i < 64; ++i) {
    CHECK(again.layers[1].wo[i] == weights.layers[1].wo[i] * 0.5f);
    CHECK(again.layers[1].w2[i] == weights.layers[1].w2[i] * 0.5f);
    CHECK(again.layers[1].w1[i] == weights.layers[1].w1[i]);
  }
}

TEST_CASE("what is wrong with a llama2.c file is said") {
  const TemporaryFolder folder;
  const std::string golden = read_text(kGolden + "llama2c_shared.bin");
  Diagnostics diagnostics;
  ModelConfig config;
  ModelWeights weights;
  const auto fault = [&](const std::string& bytes) {
    const std::string path = folder.write("m.bin", bytes);
    CHECK_FALSE(read_llama2c(path, config, weights, diagnostics));
    CHECK(weights.layers.empty());
    CHECK(config == ModelConfig());
    return faults(diagnostics, path);
  };
  CHECK(fault("") == "the file has 0 bytes, but the header alone takes 28 [llama2c.header]");
  CHECK(fault(golden.substr(0, 27)) ==
        "the file has 27 bytes, but the header alone takes 28 [llama2c.header]");
  CHECK(fault(golden.substr(0, 4000)) ==
        "the header stands for 4252 bytes, or 4188 without rotary tables, but the file has 4000 "
        "[llama2c.size]");
  CHECK(fault(golden + "x") ==
        "the header stands for 4252 bytes, or 4188 without rotary tables, but the file has 4253 "
        "[llama2c.size]");
  CHECK(fault(with_number(with_number(golden, 0, 0x616B3432), 4, 2)) ==
        "the file begins with the mark of a later version, here 2; version 0, without a mark, is "
        "read [llama2c.header]");
  CHECK(fault(with_number(golden, 12, 3)) ==
        "dim is 8 and n_heads is 3, which does not divide it [llama2c.header]");
  CHECK(fault(with_number(golden, 12, 0)) ==
        "dim is 8 and n_heads is 0, which does not divide it [llama2c.header]");
  CHECK(fault(with_number(golden, 20, 0)) ==
        "vocab is 0, and a model has from 1 to 1048576 [model.config]");
  CHECK(fault(with_number(golden, 20, std::numeric_limits<std::int32_t>::min())) ==
        "vocab is 2147483648, and a model has from 1 to 1048576 [model.config]");
  CHECK(fault(with_number(golden, 8, -1)) ==
        "layers is -1, and a model has from 1 to 4096 [model.config]");
  CHECK(fault(with_number(golden, 16, 3)) ==
        "kv_heads is 3, which does not divide the 2 heads [model.config]");
  // The largest sizes that there are: the file's size says that they are not meant.
  std::string large = golden;
  for (const auto& [at, value] : {std::pair{0u, 1 << 20}, {4u, 1 << 20}, {8u, 4096}}) {
    large = with_number(large, at, value);
  }
  CHECK(fault(large).ends_with("but the file has 4252 [llama2c.size]"));
  for_each_prefix(golden, [&](const std::string& prefix) { CHECK_FALSE(fault(prefix).empty()); });

  const std::string missing = folder.file("none.bin");
  CHECK_FALSE(read_llama2c(missing, config, weights, diagnostics));
  CHECK(faults(diagnostics, missing) == "cannot be opened: No such file or directory [file.open]");
}

TEST_CASE("a model that llama2.c does not have is not written") {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.bin");
  Diagnostics diagnostics;
  const auto fault = [&](const ModelConfig& config, const ModelWeights& weights) {
    CHECK_FALSE(write_llama2c(path, config, weights, diagnostics));
    CHECK(folder.entries() == 0);
    return faults(diagnostics, path);
  };
  const ModelConfig config = golden_config(2, 4, true);
  const ModelWeights weights = golden_weights(config);
  const ModelConfig wide = golden_config(1, 6, true);
  CHECK(fault(wide, golden_weights(wide)) ==
        "2 heads of 6 have 12 channels, but in llama2.c they have those of dim, which is 8 "
        "[llama2c.config]");
  ModelConfig other = config;
  other.theta = 1e6;
  CHECK(fault(other, weights) ==
        "theta is 1000000, but llama2.c computes with 10000 [llama2c.config]");
  other = config;
  other.eps = 1e-6;
  CHECK(fault(other, weights) == "eps is 1e-06, but llama2.c computes with 1e-05 [llama2c.config]");
  other = config;
  other.vocab = 0;
  CHECK(fault(other, weights) == "vocab is 0, and a model has from 1 to 1048576 [model.config]");
  other = config;
  other.hidden = 16;
  CHECK(fault(other, weights) ==
        "layers.0.w1 has 96 values, but the model's has [16, 8] [model.tensor]");
  other = config;
  other.layers = 3;
  CHECK(fault(other, weights) ==
        "there are tensors of 2 layers, but the model has 3 [model.tensor]");
  const ModelConfig unshared = golden_config(2, 4, false);
  CHECK(fault(unshared, weights) ==
        "classifier has 0 values, but the model's has [5, 8] [model.tensor]");
  CHECK(fault(config, golden_weights(unshared)) ==
        "the classifier has 40 values, but the model's is the embedding [model.tensor]");
}

TEST_CASE("a checkpoint is read and written as the field has it") {
  const TemporaryFolder folder;
  for (const int version : {2, 4}) {
    const ModelConfig config = version == 2 ? golden_config(2, 4, true) : golden_config(1, 6, true);
    ModelWeights expected = golden_weights(config);
    ModelAdam expected_adam = golden_adam(config, expected);
    const std::string golden = kGolden + (version == 2 ? "checkpoint_2.bin" : "checkpoint_4.bin");
    Diagnostics diagnostics;
    CheckpointProgress progress;
    ModelWeights weights;
    ModelAdam adam;
    REQUIRE(read_checkpoint(golden, config, progress, weights, adam, diagnostics));
    CHECK(progress == golden_progress());
    CHECK(same(weights, expected, config));
    CHECK(same(adam, expected_adam));
    CheckpointInfo info;
    REQUIRE(read_checkpoint_info(golden, info, diagnostics));
    CHECK(info.version == version);
    CHECK(info.config == config);
    CHECK(info.progress == golden_progress());

    const std::string path = folder.file("c.bin");
    REQUIRE(write_checkpoint(path, config, progress, expected, expected_adam, diagnostics));
    CHECK(folder.read("c.bin") == read_text(golden));

    // Into tensors that are there already: they stay where they are.
    const float* const place = weights.layers[1].wq.data();
    weights.zero();
    REQUIRE(read_checkpoint(path, config, progress, weights, adam, diagnostics));
    CHECK(weights.layers[1].wq.data() == place);
    CHECK(same(weights, expected, config));
    CHECK(diagnostics.empty());
  }
}

TEST_CASE("a checkpoint keeps every bit, and version 4 holds a plain model, too") {
  const TemporaryFolder folder;
  const std::string path = folder.file("c.bin");
  const ModelConfig config = golden_config(2, 4, true);
  ModelWeights weights = golden_weights(config);
  ModelAdam adam = golden_adam(config, weights);
  weights.layers[0].wq[0] = -0.0f;
  weights.layers[0].wq[1] = std::numeric_limits<float>::denorm_min();
  weights.layers[0].wq[2] = std::numeric_limits<float>::infinity();
  weights.layers[0].wq[3] = std::bit_cast<float>(0x7FC12345u);
  Diagnostics diagnostics;
  REQUIRE(write_checkpoint(path, config, golden_progress(), weights, adam, diagnostics, 4));
  CheckpointInfo info;
  REQUIRE(read_checkpoint_info(path, info, diagnostics));
  CHECK(info.version == 4);
  CHECK(info.config == config);
  CheckpointProgress progress;
  ModelWeights again;
  ModelAdam again_adam;
  REQUIRE(read_checkpoint(path, config, progress, again, again_adam, diagnostics));
  CHECK(same(again, weights, config));
}

TEST_CASE("what is wrong with a checkpoint is said") {
  const TemporaryFolder folder;
  const std::string golden = read_text(kGolden + "checkpoint_4.bin");
  const ModelConfig config = golden_config(1, 6, true);
  Diagnostics diagnostics;
  CheckpointProgress progress;
  ModelWeights weights;
  ModelAdam adam;
  const auto fault = [&](const std::string& bytes) {
    const std::string path = folder.write("c.bin", bytes);
    CHECK_FALSE(read_checkpoint(path, config, progress, weights, adam, diagnostics));
    CHECK(weights.layers.empty());
    CHECK(adam.layers.empty());
    CHECK(progress == CheckpointProgress());
    return faults(diagnostics, path);
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(fault("") == "the file has 0 bytes, but the header alone takes 96 [checkpoint.header]");
  CHECK(fault(golden.substr(0, 95)) ==
        "the file has 95 bytes, but the header alone takes 96 [checkpoint.header]");
  CHECK(fault(golden.substr(0, 14000)) ==
        "the header stands for 14880 bytes, but the file has 14000 [checkpoint.size]");
  CHECK(fault(golden + "1234") ==
        "the header stands for 14880 bytes, but the file has 14884 [checkpoint.size]");
  CHECK(fault(read_text(kGolden + "llama2c_shared.bin")) ==
        "the file begins with 0x00000008, not with 0x424c5a54, which marks a checkpoint "
        "[checkpoint.header]");
  CHECK(fault(with_number(golden, 4, 3)) ==
        "the version is 3, but 2 and 4 are read [checkpoint.header]");
  CHECK(fault(with_number(golden, 8, -1)) ==
        "step is -1, but counts are not below 0 [checkpoint.header]");
  CHECK(fault(with_number(golden, 80, -8)) ==
        "adam_t is -8, but counts are not below 0 [checkpoint.header]");
  CHECK(fault(with_number(golden, 40, kNan)) ==
        "lr is nan, but has to be finite [checkpoint.header]");
  CHECK(fault(with_number(golden, 44, -kNan))
            .ends_with(", but has to be finite "
                       "[checkpoint.header]"));
  CHECK(fault(with_number(golden, 64, kInfinity)) ==
        "cum_wall is inf, but has to be finite [checkpoint.header]");
  CHECK(fault(with_number(golden, 20, 0)) ==
        "vocab is 0, and a model has from 1 to 1048576 [model.config]");
  CHECK(fault(with_number(golden, 92, 8)) ==
        "q_dim is 8, but 2 heads of 6 have 12 channels [checkpoint.header]");
  CHECK(fault(with_number(with_number(golden, 4, 2), 32, 3)) ==
        "dim is 8 and n_heads is 3, which does not divide it [checkpoint.header]");
  CHECK(fault(with_number(with_number(golden, 4, 2), 32, 0)) ==
        "dim is 8 and n_heads is 0, which does not divide it [checkpoint.header]");
  std::string large = golden;
  for (const auto& [at, value] : {std::pair{16u, 4096}, {24u, 1 << 20}, {28u, 1 << 20}}) {
    large = with_number(large, at, value);
  }
  CHECK(fault(large).ends_with("but the file has 14880 [checkpoint.size]"));
  for_each_prefix(golden, [&](const std::string& prefix) { CHECK_FALSE(fault(prefix).empty()); });
  CheckpointInfo info;
  CHECK_FALSE(read_checkpoint_info(folder.write("c.bin", "x"), info, diagnostics));
  CHECK(faults(diagnostics, folder.file("c.bin")) ==
        "the file has 1 bytes, but the header alone takes 96 [checkpoint.header]");
}

TEST_CASE("a checkpoint of another model names each size that differs") {
  const std::string path = kGolden + "checkpoint_4.bin";
  Diagnostics diagnostics;
  CheckpointProgress progress;
  ModelWeights weights;
  ModelAdam adam;
  CHECK_FALSE(read_checkpoint(path, small_model(), progress, weights, adam, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "dim is 8 in the checkpoint, but 64 in the model [checkpoint.config]\n"
        "hidden is 12 in the checkpoint, but 160 in the model [checkpoint.config]\n"
        "kv_heads is 1 in the checkpoint, but 2 in the model [checkpoint.config]\n"
        "head_dim is 6 in the checkpoint, but 32 in the model [checkpoint.config]\n"
        "seq is 4 in the checkpoint, but 32 in the model [checkpoint.config]\n"
        "vocab is 5 in the checkpoint, but 256 in the model [checkpoint.config]");
  CHECK_FALSE(
      read_checkpoint(path, golden_config(1, 6, false), progress, weights, adam, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "the model has a classifier [5, 8] of its own, and a checkpoint has the embedding alone "
        "[checkpoint.classifier]");
  CHECK(weights.layers.empty());
}

TEST_CASE("a checkpoint that could not be read back is not written") {
  const TemporaryFolder folder;
  const std::string path = folder.file("c.bin");
  Diagnostics diagnostics;
  const auto fault = [&](const ModelConfig& config, const CheckpointProgress& progress,
                         int version) {
    ModelWeights weights = golden_weights(config);
    const ModelAdam adam = golden_adam(config, weights);
    CHECK_FALSE(write_checkpoint(path, config, progress, weights, adam, diagnostics, version));
    CHECK(folder.entries() == 0);
    return faults(diagnostics, path);
  };
  const ModelConfig config = golden_config(2, 4, true);
  CHECK(fault(golden_config(2, 4, false), golden_progress(), 0) ==
        "the model has a classifier [5, 8] of its own, and a checkpoint has the embedding alone "
        "[checkpoint.classifier]");
  CHECK(fault(golden_config(1, 6, true), golden_progress(), 2) ==
        "version 2 has as many key-value heads as heads, and heads of dim / heads, but the model "
        "has dim 8, 2 heads of 6 and 1 key-value heads [checkpoint.version]");
  CHECK(fault(config, golden_progress(), 3) ==
        "the version is 3, but 2 and 4 are written [checkpoint.version]");
  CheckpointProgress progress = golden_progress();
  progress.loss = std::numeric_limits<float>::infinity();
  CHECK(fault(config, progress, 0) == "loss is inf, but has to be finite [checkpoint.header]");

  ModelWeights weights = golden_weights(config);
  ModelAdam adam = golden_adam(config, weights);
  adam.layers[1].w2.v.pop_back();
  CHECK_FALSE(write_checkpoint(path, config, golden_progress(), weights, adam, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "v of layers.1.w2 has 95 values, but the model's has [8, 12] [model.tensor]");
  adam.layers.pop_back();
  CHECK_FALSE(write_checkpoint(path, config, golden_progress(), weights, adam, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "there are tensors of 1 layers, but the model has 2 [model.tensor]");
  CHECK(folder.entries() == 0);
}

TEST_CASE("a full disk leaves the files that were there") {
  const TemporaryFolder folder;
  const ModelConfig config = golden_config(2, 4, true);
  ModelWeights weights = golden_weights(config);
  const ModelAdam adam = golden_adam(config, weights);
  Tokenizer tokenizer;
  Diagnostics diagnostics;
  REQUIRE(tokenizer.read(kTiny + "tokenizer.bin", 512, diagnostics));
  const std::vector<std::int32_t> tokens(5000, 7);
  const auto check = [&](const std::string& name, const auto& write) {
    const std::string path = folder.file(name);
    REQUIRE(write(path));
    const std::string before = folder.read(name);
    for (const std::size_t room : {std::size_t{0}, std::size_t{95}, before.size() - 1}) {
      const milgen::detail::DiskRoom limited(room);
      CHECK_FALSE(write(path));
      CHECK(faults(diagnostics, path) == "cannot be written past byte " + std::to_string(room) +
                                             ": No space left on device [file.write]");
      CHECK(before == folder.read(name));
    }
  };
  check("checkpoint", [&](const std::string& path) {
    return write_checkpoint(path, config, golden_progress(), weights, adam, diagnostics);
  });
  check("llama2c",
        [&](const std::string& path) { return write_llama2c(path, config, weights, diagnostics); });
  check("model.safetensors", [&](const std::string& path) {
    return write_model_safetensors(path, config, weights, {}, diagnostics);
  });
  check("tokenizer", [&](const std::string& path) { return tokenizer.write(path, diagnostics); });
  check("tokens", [&](const std::string& path) {
    return write_tokens(path, tokens, 8, TokenWidth::uint16, diagnostics);
  });
  CHECK(folder.entries() == 5);
}

TEST_CASE("a model of Hugging Face has its rows in the order of llama2.c") {
  const std::string path = kGolden + "hugging_face.safetensors";
  ModelConfig config = golden_config(1, 6, false);
  ModelWeights expected = golden_weights(config);
  ModelWeights weights;
  Diagnostics diagnostics;
  REQUIRE(read_model_safetensors(path, config, weights, diagnostics));
  CHECK(same(weights, expected, config));

  const TemporaryFolder folder;
  for (const TensorNames names : {TensorNames::hugging_face, TensorNames::milgen}) {
    const std::string written = folder.file("m.safetensors");
    REQUIRE(write_model_safetensors(written, config, expected, {.names = names}, diagnostics));
    ModelWeights again;
    REQUIRE(read_model_safetensors(written, config, again, diagnostics));
    CHECK(same(again, expected, config));
    std::vector<NamedArray> arrays;
    REQUIRE(read_safetensors(written, arrays, diagnostics));
    CHECK(arrays.size() == 21);
    std::vector<NamedArray> golden;
    REQUIRE(read_safetensors(path, golden, diagnostics));
    std::size_t found = 0;
    for (const NamedArray& array : arrays) {
      const NamedArray* same_name = find_array(golden, array.name);
      if (same_name == nullptr) continue;
      ++found;
      CHECK(same_name->array.shape() == array.array.shape());
      CHECK(std::ranges::equal(same_name->array.bytes(), array.array.bytes()));
    }
    CHECK(found == (names == TensorNames::hugging_face ? 21 : 0));
  }
  CHECK(diagnostics.empty());
}

TEST_CASE("a model is written in halves, and with its residual scale where names have none") {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.safetensors");
  ModelConfig config = golden_config(1, 6, true);
  config.residual_scale = 0;  // 1 / sqrt(2 * 2)
  const ModelWeights weights = golden_weights(config);
  Diagnostics diagnostics;
  for (const DType dtype : {DType::fp16, DType::bf16}) {
    for (const TensorNames names : {TensorNames::hugging_face, TensorNames::milgen}) {
      ModelWeights again;
      REQUIRE(write_model_safetensors(path, config, weights, {names, dtype}, diagnostics));
      REQUIRE(read_model_safetensors(path, config, again, diagnostics));
      const float scale = names == TensorNames::hugging_face ? 0.5f : 1.0f;
      const double tolerance = dtype == DType::fp16 ? 0x1p-11 : 0x1p-8;
      for (std::size_t i = 0; i < again.layers[1].wo.size(); ++i) {
        const float wanted = weights.layers[1].wo[i] * scale;
        CHECK(std::fabs(again.layers[1].wo[i] - wanted) <= wanted * tolerance);
        CHECK(std::fabs(again.layers[1].wq[i] - weights.layers[1].wq[i]) <=
              weights.layers[1].wq[i] * tolerance);
      }
    }
  }
  CHECK(diagnostics.empty());
  CHECK_FALSE(write_model_safetensors(path, config, weights, {.dtype = DType::int8}, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "a model is written in fp32, fp16 or bf16, not in int8 [array.dtype]");
}

TEST_CASE("a .safetensors of another model is not taken") {
  const std::string path = kGolden + "hugging_face.safetensors";
  ModelWeights weights;
  Diagnostics diagnostics;
  CHECK_FALSE(read_model_safetensors(path, golden_config(1, 6, true), weights, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "the file has 1 tensor that the model does not have, the first 'lm_head.weight' "
        "[model.tensor]");
  ModelConfig config = golden_config(1, 6, false);
  config.layers = 1;
  CHECK_FALSE(read_model_safetensors(path, config, weights, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "the file has 9 tensors that the model does not have, the first "
        "'model.layers.1.input_layernorm.weight' [model.tensor]");
  config.layers = 100;
  CHECK_FALSE(read_model_safetensors(path, config, weights, diagnostics));
  CHECK(diagnostics.errors() == 20);
  CHECK(diagnostics.all()[0].id == "weight.missing");
  CHECK(
      diagnostics.all()[0].message.starts_with("weight 'model.layers.2.self_attn.q_proj.weight' "
                                               "is not in"));
  diagnostics.clear();
  config = golden_config(1, 6, false);
  config.hidden = 16;
  CHECK_FALSE(read_model_safetensors(path, config, weights, diagnostics));
  CHECK(diagnostics.errors() == 6);
  CHECK(diagnostics.all()[0].id == "weight.shape");
  CHECK(diagnostics.all()[0].message ==
        "weight 'model.layers.0.mlp.gate_proj.weight' is tensor<fp32, [16, 8]> but in '" + path +
            "' it is tensor<fp32, [12, 8]>");
  diagnostics.clear();
  const TemporaryFolder folder;
  const std::string other = folder.file("o.safetensors");
  REQUIRE(write_safetensors(other, {{NamedArray{"x", Array(DType::fp32, {2})}}}, diagnostics));
  CHECK_FALSE(read_model_safetensors(other, config, weights, diagnostics));
  CHECK(faults(diagnostics, other) ==
        "the file has neither 'embed' nor 'model.embed_tokens.weight', so its names are not known "
        "[model.tensor]");
  config.vocab = 0;
  CHECK_FALSE(read_model_safetensors(path, config, weights, diagnostics));
  CHECK(faults(diagnostics, path) ==
        "vocab is 0, and a model has from 1 to 1048576 [model.config]");
  CHECK(weights.layers.empty());
}

TEST_CASE("the tiny text has its tokens") {
  Diagnostics diagnostics;
  Tokenizer tokenizer;
  REQUIRE(tokenizer.read(kTiny + "tokenizer.bin", 512, diagnostics));
  TokenFile file;
  REQUIRE(file.open(kTiny + "tokens.bin", tokenizer.vocab(), TokenWidth::uint16, diagnostics));
  CHECK(file.check(diagnostics));
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(file.size()));
  REQUIRE(file.read(0, tokens, diagnostics));
  const std::string text = read_text(kTiny + "text.txt");
  std::vector<std::int32_t> encoded;
  std::string decoded;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    const std::vector<std::int32_t> story = tokenizer.encode(line);
    encoded.insert(encoded.end(), story.begin(), story.end());
    CHECK(tokenizer.decode(story) == line);
    begin = end + 1;
  }
  CHECK(encoded == tokens);
  const TemporaryFolder folder;
  REQUIRE(tokenizer.write(folder.file("t.bin"), diagnostics));
  CHECK(folder.read("t.bin") == read_text(kTiny + "tokenizer.bin"));
  CHECK(diagnostics.empty());
}

namespace {

/// Specials and bytes, and behind them `more`.
std::vector<TokenText> small_vocabulary(const std::vector<TokenText>& more) {
  std::vector<TokenText> tokens = {{"<unk>", 0}, {"\n<s>\n", 0}, {"\n</s>\n", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8] = {};
    std::snprintf(text, sizeof(text), "<0x%02X>", static_cast<unsigned>(byte));
    tokens.push_back({text, 0});
  }
  tokens.insert(tokens.end(), more.begin(), more.end());
  return tokens;
}

/// run.c's encode() as it stands: all pairs, again and again.
std::vector<std::int32_t> encode_slowly(const Tokenizer& tokenizer, std::vector<std::int32_t> ids) {
  for (;;) {
    float best_score = -1e10f;
    std::int32_t best = -1;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const std::int32_t merged = tokenizer.find(std::string(tokenizer.text(ids[i])) +
                                                 std::string(tokenizer.text(ids[i + 1])));
      if (merged >= 0 && tokenizer.score(merged) > best_score) {
        best_score = tokenizer.score(merged);
        best = merged;
        at = i;
      }
    }
    if (best < 0) return ids;
    ids[at] = best;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

}  // namespace

TEST_CASE("text is encoded as run.c does it") {
  Tokenizer tokenizer;
  Diagnostics diagnostics;
  //                                  259       260        261       262         263
  REQUIRE(tokenizer.assign(small_vocabulary({{" ", -9},
                                             {"a", -9},
                                             {"b", -9},
                                             {"ab", -2},
                                             {" a", -1},
                                             {"\xC3\xA9", -9},
                                             {"abab", -1},
                                             {"aa", -3}}),
                           diagnostics));
  CHECK(tokenizer.vocab() == 267);
  using Ids = std::vector<std::int32_t>;
  CHECK(tokenizer.encode("") == Ids{1});
  CHECK(tokenizer.encode("", {.bos = false, .eos = true}) == Ids{2});
  // " a" is better than "ab", so the first "ab" is not made.
  CHECK(tokenizer.encode("abab") == Ids{1, 263, 261, 262});
  CHECK(tokenizer.encode("babab", {.bos = false}) == Ids{259, 261, 265});
  // Of equally good ones the first.
  CHECK(tokenizer.encode("baaa", {.bos = false}) == Ids{259, 261, 266, 260});
  // A character of its own, one of bytes, a lone byte in the middle of a character, and 0.
  CHECK(tokenizer.encode("\xC3\xA9\xC3\xA8\xA8z", {.bos = false, .eos = true}) ==
        Ids{259, 264, 3 + 0xC3, 3 + 0xA8, 3 + 0xA8, 3 + 'z', 2});
  CHECK(tokenizer.encode("\0"s, {.bos = false}) == Ids{259, 3});
  CHECK(tokenizer.encode("\x80\x80\x80\x80\x80", {.bos = false}).size() == 6);
  CHECK(tokenizer.decode(tokenizer.encode("ab\xC3\xA9\n z")) == "ab\xC3\xA9\n z");
  CHECK(tokenizer.decode(Ids{263, 2}) == " a");
  CHECK(tokenizer.decode(Ids{-1, 267, 2'000'000}).empty());
  CHECK(tokenizer.piece(1, 263) == "a");
  CHECK(tokenizer.piece(261, 263) == " a");
  CHECK(tokenizer.piece(1, 3 + ' ') == " ");
  CHECK(tokenizer.find("<unk>") == 0);
  CHECK(tokenizer.find("") == -1);
  CHECK(diagnostics.empty());
}

TEST_CASE("merges in a queue are those of a search of all pairs") {
  std::mt19937 random(11);  // NOLINT(bugprone-random-generator-seed): the same every time
  for (int round = 0; round < 30; ++round) {
    std::vector<TokenText> more = {{" ", -100}, {"a", -100}, {"b", -100}};
    for (unsigned i = 0; i < 20; ++i) {
      std::string text;
      for (auto length = random() % 4 + 2; length > 0; --length) text += "ab "[random() % 3];
      // Few scores, so that many are equal; some are taken never.
      constexpr float kScores[] = {-1, -2, -3, -1e10f, std::numeric_limits<float>::quiet_NaN()};
      more.push_back({text, kScores[random() % 5]});
    }
    Tokenizer tokenizer;
    Diagnostics diagnostics;
    REQUIRE(tokenizer.assign(small_vocabulary(more), diagnostics));
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (auto length = random() % 40 + 1; length > 0; --length) text += "aab bc"[random() % 6];
      std::vector<std::int32_t> ids = {259};
      for (const char c : text) {
        const std::int32_t id = tokenizer.find({&c, 1});
        ids.push_back(id >= 0 ? id : kFirstByteToken + c);
      }
      CHECK(tokenizer.encode(text, {.bos = false}) == encode_slowly(tokenizer, ids));
    }
  }
}

TEST_CASE("a long text is encoded in time") {
  Tokenizer tokenizer;
  Diagnostics diagnostics;
  REQUIRE(tokenizer.read(kTiny + "tokenizer.bin", 512, diagnostics));
  std::string text;
  while (text.size() < 200'000) text += read_text(kTiny + "text.txt");
  // Merges of all pairs at each would be 10^10 look-ups, which no test waits for.
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  CHECK(tokenizer.decode(tokenizer.encode(std::string(200'000, 'l'))).size() == 200'000);
}

TEST_CASE("what is wrong with a tokenizer is said") {
  const TemporaryFolder folder;
  const std::string golden = read_text(kTiny + "tokenizer.bin");
  Diagnostics diagnostics;
  Tokenizer tokenizer;
  const auto fault = [&](const std::string& bytes, std::int64_t vocab = 512) {
    const std::string path = folder.write("t.bin", bytes);
    CHECK_FALSE(tokenizer.read(path, vocab, diagnostics));
    CHECK(tokenizer.vocab() == 0);
    return faults(diagnostics, path);
  };
  CHECK(fault("") == "the file has 0 bytes, less than its first number [tokenizer.size]");
  CHECK(fault(golden.substr(0, 11)) ==
        "the file ends at byte 11, within token 0 of 512 [tokenizer.size]");
  CHECK(fault(golden, 513) ==
        "the file ends at byte 6358, within token 512 of 513 [tokenizer.size]");
  CHECK(fault(golden, 511) ==
        "the 511 tokens end at byte 6349, but the file has 6358 [tokenizer.size]");
  CHECK(fault(golden, 0) ==
        "the vocabulary has 0 tokens, but tokenizers have from 259 to 1048576 [tokenizer.vocab]");
  CHECK(fault(golden, std::int64_t{1} << 40) ==
        "the vocabulary has 1099511627776 tokens, but tokenizers have from 259 to 1048576 "
        "[tokenizer.vocab]");
  CHECK(fault(with_number(golden, 8, -1)) ==
        "token 0 has -1 bytes, but the file says that 7 is the most [tokenizer.length]");
  CHECK(fault(with_number(golden, 0, 4)) ==
        "token 0 has 5 bytes, but the file says that 4 is the most [tokenizer.length]");
  CHECK(fault(with_number(with_number(golden, 0, 1 << 30), 8, 1 << 30)) ==
        "the file ends at byte 6358, within token 0 of 512 [tokenizer.size]");
  std::string other = golden;
  other[golden.find("<0x41>") + 4] = '2';
  CHECK(fault(other) == "token 68 is '<0x42>', but stands for a byte, '<0x41>' [tokenizer.bytes]");
  for_each_prefix(golden, [&](const std::string& prefix) { CHECK_FALSE(fault(prefix).empty()); });
  CHECK_FALSE(tokenizer.assign({{"a", 0}}, diagnostics));
  CHECK(faults(diagnostics, "") ==
        "the vocabulary has 1 tokens, but tokenizers have from 259 to 1048576 [tokenizer.vocab]");
}

TEST_CASE("tokens are read from any place of a file") {
  const TemporaryFolder folder;
  const std::string path = folder.file("t.bin");
  Diagnostics diagnostics;
  for (const TokenWidth width : {TokenWidth::uint16, TokenWidth::uint32}) {
    const std::vector<std::int32_t> tokens = {5, 0, 65535, 255, 256, 1};
    REQUIRE(write_tokens(path, tokens, 70000, width, diagnostics));
    const std::string narrow = "\x05\0\0\0\xff\xff\xff\0\0\x01\x01\0"s;
    const std::string wide = "\x05\0\0\0\0\0\0\0\xff\xff\0\0\xff\0\0\0\0\x01\0\0\x01\0\0\0"s;
    CHECK(folder.read("t.bin") == (width == TokenWidth::uint16 ? narrow : wide));
    TokenFile file;
    REQUIRE(file.open(path, 70000, width, diagnostics));
    CHECK(file.size() == 6);
    CHECK(file.vocab() == 70000);
    CHECK(file.path() == path);
    for (std::size_t first = 0; first <= 6; ++first) {
      for (std::size_t count = 0; first + count <= 6; ++count) {
        std::vector<std::int32_t> out(count);
        REQUIRE(file.read(static_cast<std::int64_t>(first), out, diagnostics));
        CHECK(std::equal(out.begin(), out.end(),
                         tokens.begin() + static_cast<std::ptrdiff_t>(first)));
      }
    }
    CHECK(file.check(diagnostics));
  }
  CHECK(diagnostics.empty());
}

TEST_CASE("what is wrong with tokens is said") {
  const TemporaryFolder folder;
  const std::string path = folder.file("t.bin");
  Diagnostics diagnostics;
  TokenFile file;
  folder.write("t.bin", "");
  CHECK_FALSE(file.open(path, 512, TokenWidth::uint16, diagnostics));
  CHECK(faults(diagnostics, path) == "the file has no tokens [tokens.size]");
  folder.write("t.bin", "12345");
  CHECK_FALSE(file.open(path, 512, TokenWidth::uint16, diagnostics));
  CHECK(faults(diagnostics, path) == "the file has 5 bytes, but tokens take 2 each [tokens.size]");
  folder.write("t.bin", "123456");
  CHECK_FALSE(file.open(path, 512, TokenWidth::uint32, diagnostics));
  CHECK(faults(diagnostics, path) == "the file has 6 bytes, but tokens take 4 each [tokens.size]");

  folder.write("t.bin", "\x01\0\x02\0\0\x02\x03\0"s);
  REQUIRE(file.open(path, 512, TokenWidth::uint16, diagnostics));
  std::vector<std::int32_t> out(2);
  CHECK(file.read(0, out, diagnostics));
  CHECK_FALSE(file.read(1, out, diagnostics));
  CHECK(faults(diagnostics, path) == "token 2 is 512, but the vocabulary has 512 [tokens.vocab]");
  CHECK_FALSE(file.check(diagnostics));
  CHECK(faults(diagnostics, path) == "token 2 is 512, but the vocabulary has 512 [tokens.vocab]");
  for (const std::int64_t first :
       {std::int64_t{3}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max(),
        std::numeric_limits<std::int64_t>::min()}) {
    CHECK_FALSE(file.read(first, out, diagnostics));
    CHECK(faults(diagnostics, path) == "2 tokens from " + std::to_string(first) +
                                           " on are wanted, but there are 4 [tokens.range]");
  }
  folder.write("t.bin", "\xff\xff\xff\xff");
  REQUIRE(file.open(path, 512, TokenWidth::uint32, diagnostics));
  CHECK_FALSE(file.check(diagnostics));
  CHECK(faults(diagnostics, path) ==
        "token 0 is 4294967295, but the vocabulary has 512 [tokens.vocab]");

  const std::string none = folder.file("none.bin");
  const auto refuse = [&](std::vector<std::int32_t> tokens, std::int64_t vocab) {
    CHECK_FALSE(write_tokens(none, tokens, vocab, TokenWidth::uint16, diagnostics));
    return faults(diagnostics, none);
  };
  CHECK(refuse({1, 512}, 512) == "token 1 is 512, but the vocabulary has 512 [tokens.vocab]");
  CHECK(refuse({-1}, 512) == "token 0 is -1, but the vocabulary has 512 [tokens.vocab]");
  CHECK(refuse({65536}, 70000) == "token 0 is 65536, which 16 bits do not hold [tokens.vocab]");
  CHECK(folder.entries() == 1);
}

TEST_CASE("damaged files are read or refused, and nothing else") {
  const TemporaryFolder folder;
  ModelConfig config;
  ModelWeights weights;
  ModelAdam adam;
  CheckpointProgress progress;
  Tokenizer tokenizer;
  const auto check = [&](const std::string& golden, std::size_t header_bytes, const auto& read) {
    std::size_t refused = 0;
    for_each_damage(read_text(golden), header_bytes, [&](const std::string& damaged) {
      const std::string path = folder.write("x.safetensors", damaged);
      Diagnostics diagnostics;
      const bool ok = read(path, diagnostics);
      CHECK(ok == !diagnostics.has_errors());
      refused += ok ? 0 : 1;
    });
    CHECK(refused > 100);
  };
  check(kGolden + "llama2c_unshared.bin", 28, [&](const std::string& path, Diagnostics& faults) {
    return read_llama2c(path, config, weights, faults);
  });
  const ModelConfig wide = golden_config(1, 6, true);
  check(kGolden + "checkpoint_4.bin", 96, [&](const std::string& path, Diagnostics& faults) {
    return read_checkpoint(path, wide, progress, weights, adam, faults);
  });
  const ModelConfig unshared = golden_config(1, 6, false);
  check(kGolden + "hugging_face.safetensors", 2000,
        [&](const std::string& path, Diagnostics& faults) {
          return read_model_safetensors(path, unshared, weights, faults);
        });
  check(kTiny + "tokenizer.bin", 6358, [&](const std::string& path, Diagnostics& faults) {
    return tokenizer.read(path, 512, faults);
  });
}
