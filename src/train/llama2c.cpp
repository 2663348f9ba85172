#include "milgen/train/llama2c.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "support/rule.h"
#include "train/value_file.h"
#include "weights/blob_format.h"

namespace milgen::train {
namespace {

using detail::fail;
using milgen::detail::load_little;
using milgen::detail::store_little;

/// What run.c computes with, whatever the file.
constexpr ModelConfig kRunConfig{.eps = 1e-5, .theta = 10000, .residual_scale = 1};

/// "ak42", with which versions 1 and 2 begin (export.py).
constexpr std::int64_t kLaterMagic = 0x616B3432;

constexpr std::vector<float> LayerTensors::*kLayerTensors[] = {
    &LayerTensors::rms_att, &LayerTensors::wq, &LayerTensors::wk,
    &LayerTensors::wv,      &LayerTensors::wo, &LayerTensors::rms_ffn,
    &LayerTensors::w1,      &LayerTensors::w2, &LayerTensors::w3,
};

std::uint64_t table_bytes(const ModelConfig& config) {
  return static_cast<std::uint64_t>(config.seq * config.head_dim) * sizeof(float);
}

struct Header {
  ModelConfig config;
  bool has_tables = false;
};

bool check_size(const std::string& path, std::uint64_t size_bytes, Header& header,
                Diagnostics& diagnostics) {
  const std::uint64_t bare = kLlama2cHeaderBytes + model_parameters(header.config) * sizeof(float);
  const std::uint64_t whole = bare + table_bytes(header.config);
  header.has_tables = size_bytes == whole;
  if (header.has_tables || size_bytes == bare) return true;
  return fail(rule<"llama2c.size">,
              fmt::format("the header stands for {} bytes, or {} without rotary tables, but the "
                          "file has {}",
                          whole, bare, size_bytes),
              path, diagnostics);
}

bool parse_header(const std::string& path, std::span<const std::byte> file, Header& header,
                  Diagnostics& diagnostics) {
  if (file.size() < kLlama2cHeaderBytes) {
    return fail(rule<"llama2c.header">,
                fmt::format("the file has {} bytes, but the header alone takes {}", file.size(),
                            kLlama2cHeaderBytes),
                path, diagnostics);
  }
  const auto number = [&](std::size_t index) {
    const auto bits = load_little<std::uint32_t>(file.data() + 4 * index);
    return std::int64_t{static_cast<std::int32_t>(bits)};
  };
  ModelConfig config = kRunConfig;
  config.dim = number(0);
  config.hidden = number(1);
  config.layers = number(2);
  config.heads = number(3);
  config.kv_heads = number(4);
  config.shared_classifier = number(5) > 0;
  config.vocab = std::abs(number(5));
  config.seq = number(6);
  if (config.dim == kLaterMagic) {
    return fail(rule<"llama2c.header">,
                fmt::format("the file begins with the mark of a later version, here {}; version 0, "
                            "without a mark, is read",
                            config.hidden),
                path, diagnostics);
  }
  if (config.heads < 1 || config.dim % config.heads != 0) {
    return fail(rule<"llama2c.header">,
                fmt::format("dim is {} and n_heads is {}, which does not divide it", config.dim,
                            config.heads),
                path, diagnostics);
  }
  config.head_dim = config.dim / config.heads;
  if (!detail::check_model_at(path, config, diagnostics)) return false;
  header.config = config;
  return check_size(path, file.size(), header, diagnostics);
}

bool check_representable(const std::string& path, const ModelConfig& config,
                         Diagnostics& diagnostics) {
  if (config.q_dim() != config.dim) {
    return fail(rule<"llama2c.config">,
                fmt::format("{} heads of {} have {} channels, but in llama2.c they have those of "
                            "dim, which is {}",
                            config.heads, config.head_dim, config.q_dim(), config.dim),
                path, diagnostics);
  }
  const auto check = [&](std::string_view name, double value, double built_in) {
    return value == built_in ||
           fail(rule<"llama2c.config">,
                fmt::format("{} is {}, but llama2.c computes with {}", name, value, built_in), path,
                diagnostics);
  };
  return check("eps", config.eps, kRunConfig.eps) && check("theta", config.theta, kRunConfig.theta);
}

std::array<std::byte, kLlama2cHeaderBytes> header_bytes(const ModelConfig& config) {
  const std::int64_t vocab = config.shared_classifier ? config.vocab : -config.vocab;
  const std::int64_t numbers[] = {config.dim,      config.hidden, config.layers, config.heads,
                                  config.kv_heads, vocab,         config.seq};
  std::array<std::byte, kLlama2cHeaderBytes> bytes{};
  for (std::size_t i = 0; i < std::size(numbers); ++i) {
    store_little(bytes.data() + 4 * i, static_cast<std::int32_t>(numbers[i]));
  }
  return bytes;
}

/// One of the two tables: `function` of each angle.
bool write_table(AtomicFile& file, const ModelConfig& config, double (*function)(double),
                 Diagnostics& diagnostics) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < config.head_dim; i += 2) {
    frequencies.push_back(
        std::pow(config.theta, -static_cast<double>(i) / static_cast<double>(config.head_dim)));
  }
  std::vector<float> row(frequencies.size());
  for (std::int64_t position = 0; position < config.seq; ++position) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = static_cast<float>(function(static_cast<double>(position) * frequencies[i]));
    }
    if (!detail::write_values(file, row, 1, diagnostics)) return false;
  }
  return true;
}

bool write_tensors(AtomicFile& file, const ModelConfig& config, const ModelWeights& weights,
                   Diagnostics& diagnostics) {
  const auto write = [&](std::span<const float> values, float scale) {
    return detail::write_values(file, values, scale, diagnostics);
  };
  if (!write(weights.embed, 1)) return false;
  for (const auto member : kLayerTensors) {
    const bool is_added = member == &LayerTensors::wo || member == &LayerTensors::w2;
    const float scale = is_added ? static_cast<float>(config.alpha()) : 1.0f;
    for (const LayerWeights& layer : weights.layers) {
      if (!write(layer.*member, scale)) return false;
    }
  }
  return write(weights.rms_final, 1) &&
         write_table(
             file, config, [](double angle) { return std::cos(angle); }, diagnostics) &&
         write_table(
             file, config, [](double angle) { return std::sin(angle); }, diagnostics) &&
         write(weights.classifier, 1);
}

}  // namespace

bool read_llama2c_config(const std::string& path, ModelConfig& config, Diagnostics& diagnostics) {
  MappedFile file;
  Header header;
  if (!file.open(path, diagnostics) || !parse_header(path, file.bytes(), header, diagnostics)) {
    return false;
  }
  config = header.config;
  return true;
}

bool read_llama2c(const std::string& path, ModelConfig& config, ModelWeights& weights,
                  Diagnostics& diagnostics) {
  MappedFile file;
  Header header;
  if (!file.open(path, diagnostics) || !parse_header(path, file.bytes(), header, diagnostics) ||
      !detail::make_room(path, header.config, weights, diagnostics)) {
    return false;
  }
  config = header.config;
  detail::ValueReader reader(file.bytes());
  reader.skip(kLlama2cHeaderBytes);
  reader.read(weights.embed);
  for (const auto member : kLayerTensors) {
    for (LayerWeights& layer : weights.layers) reader.read(layer.*member);
  }
  reader.read(weights.rms_final);
  if (header.has_tables) reader.skip(table_bytes(config));
  reader.read(weights.classifier);
  return true;
}

bool write_llama2c(const std::string& path, const ModelConfig& config, const ModelWeights& weights,
                   Diagnostics& diagnostics) {
  AtomicFile file;
  return detail::check_model_at(path, config, diagnostics) &&
         check_representable(path, config, diagnostics) &&
         detail::check_tensors(path, config, weights, diagnostics) &&
         file.open(path, diagnostics) && file.write(header_bytes(config), diagnostics) &&
         write_tensors(file, config, weights, diagnostics) && file.commit(diagnostics);
}

}  // namespace milgen::train
