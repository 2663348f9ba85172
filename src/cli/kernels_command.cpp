#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "cli/weights_as.h"
#include "milgen/layout.h"
#include "milgen/weights.h"
#include "support/rule.h"
#include "support/tensor_text.h"

namespace milgen::cli {
namespace {

/// What a parameter is when nothing is said: its value in the set's first configuration.
std::string default_of(const KernelSetInfo& set, const KernelParam& param) {
  return set.configs.empty() ? "-" : set.configs.front().config.get(param);
}

/// The modes of a kernel at the set's first configuration; none where that is not legal.
std::vector<ModeVersion> default_versions(const KernelSetInfo& set, const KernelEntry& kernel) {
  Diagnostics ignored;
  if (set.configs.empty()) return {};
  const Program program = build_kernel(set, kernel, set.configs.front().config, ignored);
  return program ? mode_versions(program) : std::vector<ModeVersion>();
}

std::string ops_cell(std::span<const ModeVersion> versions, WeightsAs as) {
  const auto found = std::ranges::find(versions, as, &ModeVersion::as);
  return found == versions.end() ? "-" : grouped(working_ops(found->program));
}

std::string set_text(const KernelSetInfo& set) {
  std::string out = fmt::format("{}: {}\n", set.name, set.doc);
  Table kernels;
  kernels.right_align({1, 2, 3});
  std::vector<std::string> head = {"ops with weights as"};
  for (const WeightsAs as : all_weight_modes()) head.emplace_back(weights_as_name(as));
  kernels.row(head);
  for (const KernelEntry& kernel : set.kernels) {
    const std::vector<ModeVersion> versions = default_versions(set, kernel);
    std::vector<std::string> row = {kernel.name};
    for (const WeightsAs as : all_weight_modes()) row.push_back(ops_cell(versions, as));
    row.push_back(kernel.doc);
    kernels.row(std::move(row));
  }
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
    for (const ModeVersion& version : default_versions(set, kernel)) {
      entry["ops"][std::string(weights_as_name(version.as))] = working_ops(version.program);
    }
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

/// A tensor of a kernel.
struct TensorRow {
  std::string kind;
  std::string name;
  DType dtype = DType::none;
  Shape shape;
};

std::vector<TensorRow> tensors_of(const Program& program) {
  std::vector<TensorRow> rows;
  const std::vector<PlannedInput> planned = weight_plan(program).inputs;
  for (const PortInfo& port : program.inputs()) {
    const auto input = std::ranges::find(planned, port.name, &PlannedInput::name);
    const bool is_weight = input != planned.end() && input->parts.front().is_weight;
    rows.push_back({is_weight ? "param" : "input", port.name, port.dtype, port.shape});
  }
  for (const PortInfo& port : program.outputs()) {
    rows.push_back({"output", port.name, port.dtype, port.shape});
  }
  for (const WeightInfo& weight : program.weights()) {
    rows.push_back(
        {weight.own_values ? "constant" : "weight", weight.name, weight.dtype, weight.shape});
  }
  return rows;
}

Json version_json(const ModeVersion& version) {
  const WeightPlan plan = weight_plan(version.program);
  Json out;
  out["mode"] = std::string(weights_as_name(version.as));
  out["ops"] = working_ops(version.program);
  out["weights_as_inputs"] = planned_weights(plan);
  out["widest_packed"] = plan.widest_packed();
  out["plan"] = plan.has_weights() ? to_json(plan) : Json(nullptr);
  return out;
}

/// A row for each mode that makes sense: ops, inputs, weights that are inputs, columns of packed
/// inputs.
std::string versions_text(std::span<const ModeVersion> versions) {
  Table table;
  table.right_align({1, 2});
  table.row({"weights as", "ops", "inputs", "widest packed", "weights that are inputs"});
  for (const ModeVersion& version : versions) {
    const WeightPlan plan = weight_plan(version.program);
    table.row({std::string(weights_as_name(version.as)), grouped(working_ops(version.program)),
               grouped(plan.inputs.size()),
               plan.widest_packed() == 0
                   ? "-"
                   : grouped(static_cast<std::uint64_t>(plan.widest_packed())),
               fmt::format("{}", fmt::join(planned_weights(plan), ", "))});
  }
  return table.text("  ");
}

/// The plan as a table for people: what stands where in which input.
std::string plan_table(const WeightPlan& plan) {
  Table table;
  table.right_align({4, 5});
  table.row({"input", "part", "shape", "layout", "from column", "columns"});
  for (const PlannedInput& input : plan.inputs) {
    for (const PlannedPart& part : input.parts) {
      const bool is_whole = part.layout == PartLayout::whole;
      table.row({fmt::format("{} {}", input.name, tensor_text(input.dtype, input.shape)), part.name,
                 tensor_text(part.dtype, part.shape), std::string(part_layout_name(part.layout)),
                 is_whole ? "" : grouped(static_cast<std::uint64_t>(part.first_column)),
                 is_whole ? "" : grouped(static_cast<std::uint64_t>(part.columns))});
    }
  }
  return table.text("  ");
}

/// One kernel at one configuration.
class KernelPage {
 public:
  KernelPage(const KernelRequest& request, const WeightModes& modes)
      : request_(request), kernel_(*request.kernels.front()), modes_(modes) {}

  bool build(Diagnostics& diagnostics) {
    const Program program = build_kernel(*request_.set, kernel_, request_.config, diagnostics);
    if (!program) return false;
    program_ = apply_weight_modes(program, modes_, diagnostics);
    versions_ = mode_versions(program);
    plan_ = weight_plan(program_);
    return static_cast<bool>(program_);
  }

  std::string json() const {
    Json root;
    root["set"] = request_.set->name;
    root["kernel"] = kernel_.name;
    root["doc"] = kernel_.doc;
    root["config"] = request_.config_name.empty() ? Json(nullptr) : Json(request_.config_name);
    for (const KernelParam& param : request_.set->params) {
      root["parameters"][param.name] = request_.config.get(param);
    }
    root["weights_as"] = weight_modes_text(modes_);
    root["ops"] = working_ops(program_);
    root["constants"] = constants();
    root["modes"] = Json::array();
    for (const ModeVersion& version : versions_) root["modes"].push_back(version_json(version));
    root["tensors"] = Json::array();
    for (const TensorRow& row : tensors_of(program_)) {
      Json entry;
      entry["kind"] = row.kind;
      entry["name"] = row.name;
      entry["dtype"] = std::string(dtype_name(row.dtype));
      entry["shape"] = to_json(row.shape);
      entry["bytes"] = bytes_of(row.dtype, row.shape);
      root["tensors"].push_back(std::move(entry));
    }
    root["plan"] = plan_.has_weights() ? to_json(plan_) : Json(nullptr);
    return json_text(root);
  }

  std::string text() const {
    std::string out = fmt::format("{}/{}: {}\n", request_.set->name, kernel_.name, kernel_.doc);
    out += fmt::format("{}{}\n", request_.config_name.empty() ? "" : request_.config_name + ": ",
                       request_.set->describe(request_.config));
    out += fmt::format("{} and {}{}\n", counted(working_ops(program_), "op"),
                       counted(constants(), "constant"),
                       is_constant(modes_) ? "" : ", weights as " + weight_modes_text(modes_));
    Table table;
    table.right_align({4});
    table.row({"", "name", "dtype", "shape", "bytes"});
    for (const TensorRow& row : tensors_of(program_)) {
      table.row({row.kind, row.name, std::string(dtype_name(row.dtype)), to_string(row.shape),
                 grouped(bytes_of(row.dtype, row.shape))});
    }
    out += table.text("  ") + "\n" + versions_text(versions_);
    if (plan_.has_weights()) return out + "\n" + plan_table(plan_);
    for (const ModeVersion& version : versions_) {
      const WeightPlan plan = weight_plan(version.program);
      if (plan.widest_packed() == 0) continue;
      out += fmt::format("\nweights as {}:\n{}", weights_as_name(version.as), plan_table(plan));
    }
    return out;
  }

 private:
  std::size_t constants() const { return program_.op_count() - working_ops(program_); }

  const KernelRequest& request_;
  const KernelEntry& kernel_;
  const WeightModes& modes_;
  Program program_;
  std::vector<ModeVersion> versions_;
  WeightPlan plan_;
};

int show_kernel(Context& context, const Args& args, const KernelRequest& request,
                const WeightModes& modes) {
  Diagnostics diagnostics;
  KernelPage page(request, modes);
  const bool built = page.build(diagnostics);
  context.report(diagnostics);
  if (!built) return kExitFailed;
  context.streams.out << (args.value("--format") == "json" ? page.json() : page.text());
  return kExitDone;
}

}  // namespace

/// Options that only a kernel takes, given with a set or with nothing.
bool refuse_kernel_options(const Args& args, Diagnostics& diagnostics) {
  for (const std::string_view option : {std::string_view("--config"), kWeightsAs.name}) {
    if (!args.has(option)) continue;
    diagnostics.error(rule<"usage.argument">.id(),
                      fmt::format("{} is for one kernel, and none is named", option));
    return true;
  }
  return false;
}

int run_kernels(Context& context, const Args& args) {
  const std::span<const std::string> names = args.positionals();
  if (!names.empty() && names[0].find('=') == std::string::npos) {
    const KernelSetInfo* set = context.registry.find_set(names[0]);
    if (set == nullptr) {
      Diagnostics diagnostics;
      KernelRequest request;
      WeightModes modes;
      if (!find_kernel(context.registry, names[0], request, diagnostics) ||
          !configure(request, args.value("--config"), names.subspan(1), diagnostics) ||
          !read_weight_modes(args, modes, diagnostics)) {
        return context.usage_error(diagnostics, "kernels");
      }
      return show_kernel(context, args, request, modes);
    }
    if (names.size() == 1) {
      Diagnostics diagnostics;
      if (refuse_kernel_options(args, diagnostics)) {
        return context.usage_error(diagnostics, "kernels");
      }
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
  Diagnostics diagnostics;
  if (refuse_kernel_options(args, diagnostics)) return context.usage_error(diagnostics, "kernels");
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
