#include "milgen/registry.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>

namespace milgen {
namespace {

template <class T>
bool parse(std::string_view text, T& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

}  // namespace

std::string KernelConfig::get(const KernelParam& param) const {
  const std::byte* at = static_cast<const std::byte*>(data_) + param.offset;
  switch (param.type) {
    case ParamType::integer: {
      std::int64_t value = 0;
      std::memcpy(&value, at, sizeof value);
      return std::to_string(value);
    }
    case ParamType::real: {
      double value = 0;
      std::memcpy(&value, at, sizeof value);
      return fmt::format("{}", value);
    }
    case ParamType::boolean: {
      bool value = false;
      std::memcpy(&value, at, sizeof value);
      return value ? "true" : "false";
    }
  }
  return {};
}

bool KernelConfig::set(const KernelParam& param, std::string_view text) {
  std::byte* at = static_cast<std::byte*>(data_) + param.offset;
  switch (param.type) {
    case ParamType::integer: {
      std::int64_t value = 0;
      if (!parse(text, value)) return false;
      std::memcpy(at, &value, sizeof value);
      return true;
    }
    case ParamType::real: {
      double value = 0;
      if (!parse(text, value)) return false;
      std::memcpy(at, &value, sizeof value);
      return true;
    }
    case ParamType::boolean: {
      const bool value = text == "true" || text == "1";
      if (!value && text != "false" && text != "0") return false;
      std::memcpy(at, &value, sizeof value);
      return true;
    }
  }
  return false;
}

const KernelEntry* KernelSetInfo::find(std::string_view kernel) const {
  for (const KernelEntry& entry : kernels) {
    if (entry.name == kernel) return &entry;
  }
  return nullptr;
}

const KernelParam* KernelSetInfo::find_param(std::string_view param) const {
  for (const KernelParam& candidate : params) {
    if (candidate.name == param) return &candidate;
  }
  return nullptr;
}

const NamedConfig* KernelSetInfo::find_config(std::string_view config) const {
  for (const NamedConfig& candidate : configs) {
    if (candidate.name == config) return &candidate;
  }
  return nullptr;
}

std::string KernelSetInfo::describe(const KernelConfig& config) const {
  std::string out;
  for (const KernelParam& param : params) {
    out += fmt::format("{}{}={}", out.empty() ? "" : " ", param.name, config.get(param));
  }
  return out;
}

std::size_t Registry::add_set(std::string_view name, std::string_view doc) {
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    if (sets_[i].name == name) return i;
  }
  sets_.push_back({std::string(name), std::string(doc), {}, {}, {}, {}});
  return sets_.size() - 1;
}

const KernelSetInfo* Registry::find_set(std::string_view name) const {
  for (const KernelSetInfo& set : sets_) {
    if (set.name == name) return &set;
  }
  return nullptr;
}

const KernelEntry* Registry::find(std::string_view name, const KernelSetInfo*& set) const {
  const std::size_t slash = name.find('/');
  const std::string_view set_name =
      slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  for (const KernelSetInfo& candidate : sets_) {
    if (!set_name.empty() && candidate.name != set_name) continue;
    if (const KernelEntry* entry = candidate.find(name)) {
      set = &candidate;
      return entry;
    }
  }
  return nullptr;
}

Program build_kernel(const KernelSetInfo&, const KernelEntry& entry, const KernelConfig& config,
                     Diagnostics& diagnostics) {
  Kernel kernel(entry.name, entry.opset);
  entry.build(kernel, config.data());
  // A kernel that refused its configuration has nothing to finish, and says so itself.
  Program program = kernel.diagnostics().has_errors() ? Program() : kernel.finish();
  diagnostics.append(kernel.diagnostics());
  return program;
}

}  // namespace milgen
