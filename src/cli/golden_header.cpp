#include "cli/golden_header.h"

#include <fmt/format.h>

#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

bool read_kernel(std::string_view text, GoldenHeader& header) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash + 1 == text.size()) return false;
  header.set = text.substr(0, slash);
  header.kernel = text.substr(slash + 1);
  return true;
}

bool read_params(std::string_view text, GoldenHeader& header) {
  bool good = true;
  for_each_word(text, [&](std::string_view word) {
    const std::size_t equals = word.find('=');
    good = good && equals != std::string_view::npos;
    if (good) header.params.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  });
  return good;
}

}  // namespace

bool read_header_line(std::string_view key, std::string_view value, GoldenHeader& header,
                      bool& good) {
  good = true;
  if (key == "kernel") {
    good = read_kernel(value, header);
  } else if (key == "config") {
    header.config = value;
  } else if (key == "params") {
    good = read_params(value, header);
  } else {
    return false;
  }
  return true;
}

bool build_from_header(const Context& context, const GoldenHeader& header, const std::string& path,
                       Program& program, Diagnostics& diagnostics) {
  const auto refuse = [&](std::string message) {
    diagnostics.error(rule<"golden.kernel">.id(), std::move(message), Place(path));
    return false;
  };
  const KernelSetInfo* set = context.registry.find_set(header.set);
  const KernelEntry* entry = set != nullptr ? set->find(header.kernel) : nullptr;
  if (entry == nullptr) {
    return refuse(fmt::format("no kernel '{}/{}' is registered", header.set, header.kernel));
  }
  const NamedConfig* named = set->find_config(header.config);
  if (named == nullptr && set->configs.empty()) {
    return refuse(fmt::format("set '{}' has no configuration to start from", header.set));
  }
  KernelConfig config = named != nullptr ? named->config : set->configs.front().config;
  for (const auto& [name, value] : header.params) {
    const KernelParam* param = set->find_param(name);
    if (param == nullptr) {
      return refuse(fmt::format("kernels of '{}' have no parameter '{}'", header.set, name));
    }
    if (!config.set(*param, value)) {
      return refuse(fmt::format("parameter '{}' cannot be '{}'", name, value));
    }
  }
  Diagnostics built;
  program = build_kernel(*set, *entry, config, built);
  if (!program) {
    diagnostics.append(built);
    return refuse(fmt::format("kernel '{}' does not build at '{}'", header.kernel, header.config));
  }
  return true;
}

}  // namespace milgen::cli
