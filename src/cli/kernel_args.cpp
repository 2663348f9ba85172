#include "cli/kernel_args.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <system_error>

#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {

namespace {

/// Whether digits were refused for their size alone.
bool is_too_large(ParamType type, std::string_view text) {
  const char* end = text.data() + text.size();
  std::from_chars_result result{};
  if (type == ParamType::integer) {
    std::int64_t value = 0;
    result = std::from_chars(text.data(), end, value);
  } else if (type == ParamType::real) {
    double value = 0;
    result = std::from_chars(text.data(), end, value);
  }
  return result.ec == std::errc::result_out_of_range && result.ptr == end;
}

/// As a sentence wants it: "an integer".
std::string_view type_phrase(ParamType type) {
  switch (type) {
    case ParamType::integer:
      return "an integer";
    case ParamType::real:
      return "a number";
    case ParamType::boolean:
      return "true or false";
  }
  return {};
}

}  // namespace

std::string_view type_name(ParamType type) {
  switch (type) {
    case ParamType::integer:
      return "integer";
    case ParamType::real:
      return "number";
    case ParamType::boolean:
      return "boolean";
  }
  return {};
}

const KernelSetInfo* find_set(const Registry& registry, std::string_view name,
                              Diagnostics& diagnostics) {
  if (const KernelSetInfo* set = registry.find_set(name)) return set;
  std::vector<std::string_view> names;
  for (const KernelSetInfo& set : registry.sets()) names.push_back(set.name);
  diagnostics.error(rule<"usage.set">.id(), fmt::format("there is no set of kernels '{}'{}", name,
                                                        did_you_mean(name, names)));
  return nullptr;
}

bool find_kernel(const Registry& registry, std::string_view name, KernelRequest& request,
                 Diagnostics& diagnostics) {
  if (const KernelEntry* kernel = registry.find(name, request.set)) {
    request.kernels = {kernel};
    return true;
  }
  std::vector<std::string> full_names;
  const bool with_set = name.find('/') != std::string_view::npos;
  for (const KernelSetInfo& set : registry.sets()) {
    for (const KernelEntry& kernel : set.kernels) {
      full_names.push_back(with_set ? fmt::format("{}/{}", set.name, kernel.name) : kernel.name);
    }
  }
  const std::vector<std::string_view> names(full_names.begin(), full_names.end());
  std::string hint = did_you_mean(name, names);
  if (registry.find_set(name) != nullptr) {
    hint = fmt::format("; it is a set of kernels, '--all {}'", name);
  }
  diagnostics.error(rule<"usage.kernel">.id(),
                    fmt::format("there is no kernel '{}'{}", name, hint));
  return false;
}

bool names_kernel(const Context& context, std::string_view name, KernelRequest& request) {
  std::error_code code;
  Diagnostics no_kernel;
  return name != "-" && !std::filesystem::exists(context.resolve(name), code) &&
         find_kernel(context.registry, name, request, no_kernel);
}

bool configure(KernelRequest& request, std::string_view config_name,
               std::span<const std::string> assignments, Diagnostics& diagnostics) {
  const KernelSetInfo& set = *request.set;
  const std::size_t errors = diagnostics.errors();
  const NamedConfig* named = nullptr;
  if (!config_name.empty()) {
    named = set.find_config(config_name);
    if (named == nullptr) {
      std::vector<std::string_view> names;
      for (const NamedConfig& config : set.configs) names.push_back(config.name);
      diagnostics.error(rule<"usage.config">.id(),
                        fmt::format("set '{}' has no configuration '{}'{}", set.name, config_name,
                                    did_you_mean(config_name, names)));
    }
  } else if (set.configs.empty()) {
    diagnostics.error(rule<"usage.config">.id(),
                      fmt::format("set '{}' has no configuration to start from", set.name));
  } else {
    named = &set.configs.front();
  }
  if (named != nullptr) {
    request.config = named->config;
    request.config_name = named->name;
  }

  std::map<std::string_view, std::string_view> given;
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) {
      diagnostics.error(
          rule<"usage.argument">.id(),
          fmt::format("'{}' is not NAME=VALUE{}", assignment,
                      set.find(assignment) != nullptr ? "; one kernel is named at a time" : ""));
      continue;
    }
    const std::string_view name = std::string_view(assignment).substr(0, equals);
    const std::string_view value = std::string_view(assignment).substr(equals + 1);
    const KernelParam* param = set.find_param(name);
    if (param == nullptr) {
      std::vector<std::string_view> names;
      for (const KernelParam& candidate : set.params) names.push_back(candidate.name);
      diagnostics.error(rule<"usage.param">.id(),
                        fmt::format("kernels of '{}' have no parameter '{}'{}", set.name, name,
                                    did_you_mean(name, names)));
      continue;
    }
    const auto [first, is_new] = given.emplace(name, value);
    if (!is_new) {
      diagnostics.error(
          rule<"usage.value">.id(),
          fmt::format("{} is given twice, as '{}' and as '{}'", name, first->second, value));
      continue;
    }
    if (named == nullptr) continue;
    const std::string before = request.config.get(*param);
    if (!request.config.set(*param, value)) {
      diagnostics.error(
          rule<"usage.value">.id(),
          is_too_large(param->type, value)
              ? fmt::format("{} is {} of 64 bits, which cannot be {}", name,
                            type_phrase(param->type), value)
              : fmt::format("{} is {}, not '{}'", name, type_phrase(param->type), value));
      continue;
    }
    if (request.config.get(*param) != before) request.config_name.clear();
  }
  return diagnostics.errors() == errors;
}

}  // namespace milgen::cli
