#include <fmt/format.h>

#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "milgen/layout.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// What a parameter is when nothing is said: its value in the set's first configuration.
std::string default_of(const KernelSetInfo& set, const KernelParam& param) {
  return set.configs.empty() ? "-" : set.configs.front().config.get(param);
}

std::string set_text(const KernelSetInfo& set) {
  std::string out = fmt::format("{}: {}\n", set.name, set.doc);
  Table kernels;
  for (const KernelEntry& kernel : set.kernels) kernels.row({kernel.name, kernel.doc});
  out += kernels.text("  ");
  out += "parameters:\n";
  Table params;
  for (const KernelParam& param : set.params) {
    params.row({param.name, std::string(type_name(param.type)),
                fmt::format("default {}", default_of(set, param)), param.doc});
  }
  out += params.text("  ");
  out += "configurations:\n";
  Table configs;
  for (const NamedConfig& config : set.configs) {
    configs.row({config.name, set.describe(config.config)});
  }
  return out + configs.text("  ");
}

Json set_json(const KernelSetInfo& set) {
  Json out;
  out["set"] = set.name;
  out["doc"] = set.doc;
  out["kernels"] = Json::array();
  for (const KernelEntry& kernel : set.kernels) {
    Json entry;
    entry["name"] = kernel.name;
    entry["doc"] = kernel.doc;
    out["kernels"].push_back(std::move(entry));
  }
  out["parameters"] = Json::array();
  for (const KernelParam& param : set.params) {
    Json entry;
    entry["name"] = param.name;
    entry["type"] = std::string(type_name(param.type));
    entry["default"] = default_of(set, param);
    entry["doc"] = param.doc;
    out["parameters"].push_back(std::move(entry));
  }
  out["configurations"] = Json::array();
  for (const NamedConfig& config : set.configs) {
    Json entry;
    entry["name"] = config.name;
    for (const KernelParam& param : set.params)
      entry["values"][param.name] = config.config.get(param);
    out["configurations"].push_back(std::move(entry));
  }
  return out;
}

std::uint64_t bytes_of(DType dtype, const Shape& shape) {
  std::int64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint32_t padding_bits = 0;
  if (!element_count(shape, count) ||
      !payload_bytes(dtype, static_cast<std::uint64_t>(count), bytes, padding_bits)) {
    return 0;
  }
  return bytes;
}

int show_kernel(Context& context, const Args& args, const KernelRequest& request) {
  Diagnostics diagnostics;
  const KernelEntry& kernel = *request.kernels.front();
  const Program program = build_kernel(*request.set, kernel, request.config, diagnostics);
  context.report(diagnostics);
  if (!program) return kExitFailed;

  struct Row {
    std::string kind, name;
    DType dtype;
    Shape shape;
    std::string values;
  };
  std::vector<Row> rows;
  for (const PortInfo& port : program.inputs()) {
    rows.push_back({"input", port.name, port.dtype, port.shape, ""});
  }
  for (const PortInfo& port : program.outputs()) {
    rows.push_back({"output", port.name, port.dtype, port.shape, ""});
  }
  for (const WeightInfo& weight : program.weights()) {
    rows.push_back({weight.own_values ? "constant" : "weight", weight.name, weight.dtype,
                    weight.shape, weight.own_values ? "" : std::string(fill_name(weight.fill))});
  }
  if (args.value("--format") == "json") {
    Json root;
    root["set"] = request.set->name;
    root["kernel"] = kernel.name;
    root["doc"] = kernel.doc;
    root["config"] = request.config_name.empty() ? Json(nullptr) : Json(request.config_name);
    for (const KernelParam& param : request.set->params) {
      root["parameters"][param.name] = request.config.get(param);
    }
    root["ops"] = program.op_count();
    root["tensors"] = Json::array();
    for (const Row& row : rows) {
      Json entry;
      entry["kind"] = row.kind;
      entry["name"] = row.name;
      entry["dtype"] = std::string(dtype_name(row.dtype));
      entry["shape"] = to_json(row.shape);
      entry["bytes"] = bytes_of(row.dtype, row.shape);
      root["tensors"].push_back(std::move(entry));
    }
    context.streams.out << json_text(root);
    return kExitDone;
  }
  std::string out = fmt::format("{}/{}: {}\n", request.set->name, kernel.name, kernel.doc);
  out += fmt::format("{}{}\n",
                     request.config_name.empty() ? "" : fmt::format("{}: ", request.config_name),
                     request.set->describe(request.config));
  out += fmt::format("{}\n", counted(program.op_count(), "op"));
  Table table;
  table.right_align({4});
  table.row({"", "name", "dtype", "shape", "bytes"});
  for (const Row& row : rows) {
    table.row({row.kind, row.name, std::string(dtype_name(row.dtype)), to_string(row.shape),
               grouped(bytes_of(row.dtype, row.shape))});
  }
  context.streams.out << out << table.text("  ");
  return kExitDone;
}

}  // namespace

int run_kernels(Context& context, const Args& args) {
  const std::span<const std::string> names = args.positionals();
  if (!names.empty() && names[0].find('=') == std::string::npos) {
    const KernelSetInfo* set = context.registry.find_set(names[0]);
    if (set == nullptr) {
      Diagnostics diagnostics;
      KernelRequest request;
      if (!find_kernel(context.registry, names[0], request, diagnostics) ||
          !configure(request, args.value("--config"), names.subspan(1), diagnostics)) {
        return context.usage_error(diagnostics, "kernels");
      }
      return show_kernel(context, args, request);
    }
    if (names.size() == 1) {
      context.streams.out << (args.value("--format") == "json" ? json_text(set_json(*set))
                                                               : set_text(*set));
      return kExitDone;
    }
  }
  if (!names.empty()) {
    Diagnostics diagnostics;
    diagnostics.error(
        rule<"usage.argument">.id(),
        names[0].find('=') != std::string::npos
            ? fmt::format("'{}' needs a kernel in front of it", names[0])
            : fmt::format("'{}' is a set of kernels; '{}' cannot follow it", names[0], names[1]));
    return context.usage_error(diagnostics, "kernels");
  }
  if (args.value("--format") == "json") {
    Json root = Json::array();
    for (const KernelSetInfo& set : context.registry.sets()) root.push_back(set_json(set));
    context.streams.out << json_text(root);
    return kExitDone;
  }
  bool first = true;
  for (const KernelSetInfo& set : context.registry.sets()) {
    context.streams.out << (first ? "" : "\n") << set_text(set);
    first = false;
  }
  if (first) context.streams.out << "no kernel is registered\n";
  return kExitDone;
}

}  // namespace milgen::cli
