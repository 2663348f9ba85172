#include "milgen/train/checkpoint.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "support/rule.h"
#include "train/value_file.h"
#include "weights/blob_format.h"

namespace milgen::train {
namespace {

using detail::fail;
using milgen::detail::load_little;
using milgen::detail::store_little;

constexpr std::uint32_t kMagic = 0x424C5A54;
constexpr int kPlainVersion = 2;
constexpr int kGroupedVersion = 4;

/// The numbers of the header, of 4 or 8 bytes, in their order.
class HeaderReader {
 public:
  explicit HeaderReader(const std::byte* at) : at_(at) {}
  std::uint32_t bits() { return take<std::uint32_t>(); }
  std::int32_t integer() { return static_cast<std::int32_t>(bits()); }
  float real() { return std::bit_cast<float>(bits()); }
  double wide_real() { return std::bit_cast<double>(take<std::uint64_t>()); }

 private:
  template <class T>
  T take() {
    const T value = load_little<T>(at_);
    at_ += sizeof(T);
    return value;
  }
  const std::byte* at_;
};

class HeaderWriter {
 public:
  void bits(std::uint32_t value) { put(value); }
  void integer(std::int64_t value) { bits(static_cast<std::uint32_t>(value)); }
  void real(float value) { bits(std::bit_cast<std::uint32_t>(value)); }
  void wide_real(double value) { put(std::bit_cast<std::uint64_t>(value)); }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  template <class T>
  void put(T value) {
    store_little(bytes_.data() + at_, value);
    at_ += sizeof(T);
  }
  std::array<std::byte, kCheckpointHeaderBytes> bytes_{};
  std::size_t at_ = 0;
};

bool check_progress(const std::string& path, const CheckpointProgress& progress,
                    Diagnostics& diagnostics) {
  const std::pair<std::string_view, std::int32_t> counts[] = {
      {"step", progress.step},           {"total_steps", progress.total_steps},
      {"cum_steps", progress.cum_steps}, {"cum_batches", progress.cum_batches},
      {"adam_t", progress.adam_t},
  };
  for (const auto& [name, value] : counts) {
    if (value >= 0) continue;
    return fail(rule<"checkpoint.header">,
                fmt::format("{} is {}, but counts are not below 0", name, value), path,
                diagnostics);
  }
  const std::pair<std::string_view, double> reals[] = {
      {"lr", progress.lr},
      {"loss", progress.loss},
      {"cum_compile", progress.compile_ms},
      {"cum_train", progress.train_ms},
      {"cum_wall", progress.wall_ms},
  };
  for (const auto& [name, value] : reals) {
    if (std::isfinite(value)) continue;
    return fail(rule<"checkpoint.header">,
                fmt::format("{} is {}, but has to be finite", name, value), path, diagnostics);
  }
  return true;
}

/// kv_heads and head_dim, which the versions say in two ways.
bool parse_heads(const std::string& path, HeaderReader& reader, CheckpointInfo& info,
                 Diagnostics& diagnostics) {
  ModelConfig& config = info.config;
  if (info.version == kPlainVersion) {
    config.kv_heads = config.heads;
    if (config.heads < 1 || config.dim % config.heads != 0) {
      return fail(rule<"checkpoint.header">,
                  fmt::format("dim is {} and n_heads is {}, which does not divide it", config.dim,
                              config.heads),
                  path, diagnostics);
    }
    config.head_dim = config.dim / config.heads;
    return true;
  }
  config.kv_heads = reader.integer();
  config.head_dim = reader.integer();
  const std::int64_t q_dim = reader.integer();
  return q_dim == config.q_dim() ||
         fail(rule<"checkpoint.header">,
              fmt::format("q_dim is {}, but {} heads of {} have {} channels", q_dim, config.heads,
                          config.head_dim, config.q_dim()),
              path, diagnostics);
}

/// Weights, m and v.
std::uint64_t file_bytes(const ModelConfig& config) {
  return kCheckpointHeaderBytes + 3 * sizeof(float) * model_parameters(config);
}

bool parse_header(const std::string& path, std::span<const std::byte> file, CheckpointInfo& info,
                  Diagnostics& diagnostics) {
  if (file.size() < kCheckpointHeaderBytes) {
    return fail(rule<"checkpoint.header">,
                fmt::format("the file has {} bytes, but the header alone takes {}", file.size(),
                            kCheckpointHeaderBytes),
                path, diagnostics);
  }
  HeaderReader reader(file.data());
  const std::uint32_t magic = reader.bits();
  if (magic != kMagic) {
    return fail(rule<"checkpoint.header">,
                fmt::format("the file begins with {:#010x}, not with {:#010x}, which marks a "
                            "checkpoint",
                            magic, kMagic),
                path, diagnostics);
  }
  info.version = reader.integer();
  if (info.version != kPlainVersion && info.version != kGroupedVersion) {
    return fail(rule<"checkpoint.header">,
                fmt::format("the version is {}, but 2 and 4 are read", info.version), path,
                diagnostics);
  }
  CheckpointProgress& progress = info.progress;
  ModelConfig& config = info.config;
  progress.step = reader.integer();
  progress.total_steps = reader.integer();
  config.layers = reader.integer();
  config.vocab = reader.integer();
  config.dim = reader.integer();
  config.hidden = reader.integer();
  config.heads = reader.integer();
  config.seq = reader.integer();
  progress.lr = reader.real();
  progress.loss = reader.real();
  progress.compile_ms = reader.wide_real();
  progress.train_ms = reader.wide_real();
  progress.wall_ms = reader.wide_real();
  progress.cum_steps = reader.integer();
  progress.cum_batches = reader.integer();
  progress.adam_t = reader.integer();
  if (!parse_heads(path, reader, info, diagnostics) ||
      !detail::check_model_at(path, config, diagnostics) ||
      !check_progress(path, progress, diagnostics)) {
    return false;
  }
  return file.size() == file_bytes(config) ||
         fail(rule<"checkpoint.size">,
              fmt::format("the header stands for {} bytes, but the file has {}", file_bytes(config),
                          file.size()),
              path, diagnostics);
}

bool check_wanted(const std::string& path, const ModelConfig& has, const ModelConfig& wanted,
                  Diagnostics& diagnostics) {
  struct Field {
    std::string_view name;
    std::int64_t ModelConfig::*value;
  };
  constexpr Field kFields[] = {
      {"layers", &ModelConfig::layers},     {"dim", &ModelConfig::dim},
      {"hidden", &ModelConfig::hidden},     {"heads", &ModelConfig::heads},
      {"kv_heads", &ModelConfig::kv_heads}, {"head_dim", &ModelConfig::head_dim},
      {"seq", &ModelConfig::seq},           {"vocab", &ModelConfig::vocab},
  };
  bool same = true;
  for (const Field& field : kFields) {
    if (has.*field.value == wanted.*field.value) continue;
    same = fail(rule<"checkpoint.config">,
                fmt::format("{} is {} in the checkpoint, but {} in the model", field.name,
                            has.*field.value, wanted.*field.value),
                path, diagnostics);
  }
  return same;
}

bool check_classifier(const std::string& path, const ModelConfig& config,
                      Diagnostics& diagnostics) {
  return config.shared_classifier ||
         fail(rule<"checkpoint.classifier">,
              fmt::format("the model has a classifier [{}, {}] of its own, and a checkpoint has "
                          "the embedding alone",
                          config.vocab, config.dim),
              path, diagnostics);
}

bool is_plain(const ModelConfig& config) {
  return config.kv_heads == config.heads && config.q_dim() == config.dim;
}

bool check_version(const std::string& path, const ModelConfig& config, int version,
                   Diagnostics& diagnostics) {
  if (version != kPlainVersion && version != kGroupedVersion) {
    return fail(rule<"checkpoint.version">,
                fmt::format("the version is {}, but 2 and 4 are written", version), path,
                diagnostics);
  }
  return version == kGroupedVersion || is_plain(config) ||
         fail(rule<"checkpoint.version">,
              fmt::format("version 2 has as many key-value heads as heads, and heads of dim / "
                          "heads, but the model has dim {}, {} heads of {} and {} key-value heads",
                          config.dim, config.heads, config.head_dim, config.kv_heads),
              path, diagnostics);
}

HeaderWriter make_header(const ModelConfig& config, const CheckpointProgress& progress,
                         int version) {
  HeaderWriter header;
  header.bits(kMagic);
  for (const std::int64_t value :
       {std::int64_t{version}, std::int64_t{progress.step}, std::int64_t{progress.total_steps},
        config.layers, config.vocab, config.dim, config.hidden, config.heads, config.seq}) {
    header.integer(value);
  }
  header.real(progress.lr);
  header.real(progress.loss);
  header.wide_real(progress.compile_ms);
  header.wide_real(progress.train_ms);
  header.wide_real(progress.wall_ms);
  header.integer(progress.cum_steps);
  header.integer(progress.cum_batches);
  header.integer(progress.adam_t);
  if (version == kGroupedVersion) {
    header.integer(config.kv_heads);
    header.integer(config.head_dim);
    header.integer(config.q_dim());
  }
  return header;
}

/// Calls `visit` with each tensor in the order of the file, as long as it returns true: all
/// weights of a layer, then m and v of each; behind the layers each tensor with its m and v.
template <class Visit>
bool for_each_tensor(const std::vector<TensorGroup>& groups, const std::vector<AdamState*>& states,
                     const Visit& visit) {
  std::size_t begin = 0;
  while (begin < groups.size()) {
    std::size_t end = begin + 1;
    while (groups[begin].layer >= 0 && groups[end].layer == groups[begin].layer) ++end;
    for (std::size_t i = begin; i < end; ++i) {
      if (!visit(groups[i].values)) return false;
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (!visit(std::span<float>(states[i]->m)) || !visit(std::span<float>(states[i]->v))) {
        return false;
      }
    }
    begin = end;
  }
  return true;
}

}  // namespace

bool read_checkpoint_info(const std::string& path, CheckpointInfo& info, Diagnostics& diagnostics) {
  MappedFile file;
  CheckpointInfo found;
  if (!file.open(path, diagnostics) || !parse_header(path, file.bytes(), found, diagnostics)) {
    return false;
  }
  info = found;
  return true;
}

bool read_checkpoint(const std::string& path, const ModelConfig& config,
                     CheckpointProgress& progress, ModelWeights& weights, ModelAdam& adam,
                     Diagnostics& diagnostics) {
  MappedFile file;
  CheckpointInfo info;
  if (!check_classifier(path, config, diagnostics) || !file.open(path, diagnostics) ||
      !parse_header(path, file.bytes(), info, diagnostics) ||
      !check_wanted(path, info.config, config, diagnostics) ||
      !detail::make_room(path, config, weights, diagnostics) ||
      !detail::make_room(path, config, adam, diagnostics)) {
    return false;
  }
  progress = info.progress;
  detail::ValueReader reader(file.bytes());
  reader.skip(kCheckpointHeaderBytes);
  return for_each_tensor(groups_of(weights, config), states_of(adam), [&](std::span<float> values) {
    reader.read(values);
    return true;
  });
}

bool write_checkpoint(const std::string& path, const ModelConfig& config,
                      const CheckpointProgress& progress, const ModelWeights& weights,
                      const ModelAdam& adam, Diagnostics& diagnostics, int version) {
  if (version == 0) version = is_plain(config) ? kPlainVersion : kGroupedVersion;
  AtomicFile file;
  if (!detail::check_model_at(path, config, diagnostics) ||
      !check_classifier(path, config, diagnostics) ||
      !check_version(path, config, version, diagnostics) ||
      !check_progress(path, progress, diagnostics) ||
      !detail::check_tensors(path, config, weights, diagnostics) ||
      !detail::check_tensors(path, config, adam, diagnostics) || !file.open(path, diagnostics) ||
      !file.write(make_header(config, progress, version).bytes(), diagnostics)) {
    return false;
  }
  const auto write = [&](std::span<float> values) {
    return detail::write_values(file, values, 1, diagnostics);
  };
  return for_each_tensor(detail::groups_to_read(weights, config),
                         states_of(const_cast<ModelAdam&>(adam)), write) &&
         file.commit(diagnostics);
}

}  // namespace milgen::train
