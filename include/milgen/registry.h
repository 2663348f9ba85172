// Kernels by name, with typed parameters: what gives a kernel the command line of milc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/kernel.h"
#include "milgen/layout.h"
#include "milgen/weight_modes.h"

namespace milgen {

enum class ParamType : std::uint8_t { integer, real, boolean };

/// A parameter of a set's kernels: a field of its configuration struct.
struct KernelParam {
  std::string name;
  std::string doc;
  ParamType type = ParamType::integer;
  std::size_t offset = 0;
};

/// A configuration of some set, its C++ type erased. Copies share nothing.
class KernelConfig {
 public:
  KernelConfig() = default;
  template <class Config>
  explicit KernelConfig(const Config& config)
      : data_(new Config(config)),
        clone_([](const void* from) -> void* {
          return new Config(*static_cast<const Config*>(from));
        }),
        destroy_([](void* config_data) { delete static_cast<Config*>(config_data); }) {}
  KernelConfig(const KernelConfig& other)
      : data_(other.data_ != nullptr ? other.clone_(other.data_) : nullptr),
        clone_(other.clone_),
        destroy_(other.destroy_) {}
  KernelConfig(KernelConfig&& other) noexcept
      : data_(other.data_), clone_(other.clone_), destroy_(other.destroy_) {
    other.data_ = nullptr;
  }
  KernelConfig& operator=(KernelConfig other) noexcept {
    std::swap(data_, other.data_);
    std::swap(clone_, other.clone_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~KernelConfig() {
    if (data_ != nullptr) destroy_(data_);
  }

  const void* data() const { return data_; }
  /// The value of `param` as text that set() takes.
  std::string get(const KernelParam& param) const;
  /// False when `text` is no value of the parameter's type.
  bool set(const KernelParam& param, std::string_view text);

 private:
  void* data_ = nullptr;
  void* (*clone_)(const void*) = nullptr;
  void (*destroy_)(void*) = nullptr;
};

struct NamedConfig {
  std::string name;
  KernelConfig config;
};

struct KernelEntry {
  std::string name;
  std::string doc;
  void (*build)(Kernel& kernel, const void* config) = nullptr;
  Opset opset = Opset::ios18;
  /// How its weights are laid out in files where nobody says otherwise.
  WeightFiles weight_files = WeightFiles::per_weight;
};

/// Kernels that share a configuration struct.
struct KernelSetInfo {
  std::string name;
  std::string doc;
  std::vector<KernelParam> params;
  std::vector<KernelEntry> kernels;
  /// Each is golden-tested for every kernel of the set. The first is what a kernel is emitted with
  /// when no parameter is given.
  std::vector<NamedConfig> configs;
  /// How else than as constants the weights may come: each is golden-tested, too, for every kernel
  /// that gets an input with weights by it.
  std::vector<WeightsAs> weight_modes;

  const KernelEntry* find(std::string_view kernel) const;
  const KernelParam* find_param(std::string_view param) const;
  const NamedConfig* find_config(std::string_view config) const;
  /// "dim=768 hidden=2048 ..."
  std::string describe(const KernelConfig& config) const;
};

/// Fills a KernelSetInfo, checking types.
template <class Config>
class KernelSet {
 public:
  KernelSet(std::vector<KernelSetInfo>& sets, std::size_t index) : sets_(&sets), index_(index) {}

  KernelSet& param(std::string_view name, std::int64_t Config::*field, std::string_view doc) {
    return add(name, doc, ParamType::integer, field);
  }
  KernelSet& param(std::string_view name, double Config::*field, std::string_view doc) {
    return add(name, doc, ParamType::real, field);
  }
  KernelSet& param(std::string_view name, bool Config::*field, std::string_view doc) {
    return add(name, doc, ParamType::boolean, field);
  }
  KernelSet& config(std::string_view name, const Config& config) {
    (*sets_)[index_].configs.push_back({std::string(name), KernelConfig(config)});
    return *this;
  }
  /// Asks for goldens with the weights as `modes` says, beside those with constants.
  KernelSet& weight_modes(std::vector<WeightsAs> modes) {
    (*sets_)[index_].weight_modes = std::move(modes);
    return *this;
  }
  /// `Build` is `void build(Kernel&, const Config&)`.
  template <auto Build>
  KernelSet& kernel(std::string_view name, std::string_view doc, Opset opset = Opset::ios18,
                    WeightFiles weight_files = WeightFiles::per_weight) {
    (*sets_)[index_].kernels.push_back({std::string(name), std::string(doc),
                                        [](Kernel& kernel, const void* config) {
                                          Build(kernel, *static_cast<const Config*>(config));
                                        },
                                        opset, weight_files});
    return *this;
  }

 private:
  template <class Field>
  KernelSet& add(std::string_view name, std::string_view doc, ParamType type,
                 Field Config::*field) {
    const Config probe{};
    const auto offset =
        static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&(probe.*field)) -
                                 reinterpret_cast<const std::byte*>(&probe));
    (*sets_)[index_].params.push_back({std::string(name), std::string(doc), type, offset});
    return *this;
  }
  // By index: a set that is added later may move the others.
  std::vector<KernelSetInfo>* sets_;
  std::size_t index_;
};

/// All the kernels that a program knows.
///
///     Registry kernels;
///     kernels.set<Config>("mine", "kernels of my model")
///         .param("dim", &Config::dim, "channels")
///         .config("small", {.dim = 64})
///         .kernel<residual>("residual", "y = x + w x");
class Registry {
 public:
  /// The set `name`, made when it is not there yet.
  template <class Config>
  KernelSet<Config> set(std::string_view name, std::string_view doc) {
    return KernelSet<Config>(sets_, add_set(name, doc));
  }
  std::span<const KernelSetInfo> sets() const { return sets_; }
  const KernelSetInfo* find_set(std::string_view name) const;
  /// A kernel by its name, or by SET/NAME where two sets have one of that name. The first that
  /// fits; its set in `set`.
  const KernelEntry* find(std::string_view name, const KernelSetInfo*& set) const;

 private:
  std::size_t add_set(std::string_view name, std::string_view doc);
  std::vector<KernelSetInfo> sets_;
};

/// Builds `entry` with `config`; false after an error, which is in `diagnostics` along with the
/// kernel's warnings.
Program build_kernel(const KernelSetInfo& set, const KernelEntry& entry, const KernelConfig& config,
                     Diagnostics& diagnostics);

/// Adds what comes with milgen.
void add_builtin_kernels(Registry& registry);

}  // namespace milgen
