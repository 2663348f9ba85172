#include <fmt/format.h>

#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "cli/mil_input.h"
#include "cli/weights_as.h"
#include "milgen/print.h"
#include "milgen/stats.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// Sums stop at the largest number that there is.
std::string amount(std::uint64_t value) {
  return value == UINT64_MAX ? std::string("over 2^64") : grouped(value);
}

std::string port_bytes(const PortStats& port) { return port.size_known ? amount(port.bytes) : "?"; }

std::string share(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "";
  return fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string function_text(const FunctionStats& stats) {
  std::string out = fmt::format("{}<{}>\n", stats.name, stats.opset);
  Table ports;
  ports.right_align({3});
  ports.row({"", "name", "type", "bytes"});
  for (const PortStats& port : stats.inputs) {
    ports.row({"input", port.name, port.type, port_bytes(port)});
  }
  for (const PortStats& port : stats.outputs) {
    ports.row({"output", port.name, port.type, port_bytes(port)});
  }
  out += ports.text("  ");

  Table totals;
  totals.right_align({1});
  totals.row({"ops", grouped(stats.op_count),
              fmt::format("and {}", counted(stats.constant_count, "constant"))});
  totals.row({"parameters", amount(stats.parameters), ""});
  totals.row({"bytes of weights", amount(stats.weight_bytes),
              fmt::format("{} in weight files", counted(stats.weight_count, "weight"))});
  totals.row({"bytes in the text", amount(stats.inline_bytes), ""});
  std::string largest;
  if (!stats.largest_activation.empty()) {
    largest = fmt::format("{}; the largest is {} with {}", counted(stats.activation_count, "value"),
                          stats.largest_activation, amount(stats.largest_activation_bytes));
  }
  if (stats.unknown_activations != 0) {
    largest += fmt::format("{}{} of unknown size not counted", largest.empty() ? "" : "; ",
                           grouped(stats.unknown_activations));
  }
  totals.row({"bytes of activations", amount(stats.activation_bytes), largest});
  std::string flops = "a multiply-add is 2";
  if (stats.uncounted_ops != 0) {
    flops +=
        fmt::format("; {} not counted: unknown dims or ops", counted(stats.uncounted_ops, "op"));
  }
  if (stats.loops != 0) {
    flops += fmt::format("; {} counted as one round", counted(stats.loops, "loop"));
  }
  totals.row({"FLOPs", amount(stats.flops), flops});
  out += totals.text("  ");

  Table ops;
  ops.right_align({1, 2, 3});
  ops.row({"op", "count", "FLOPs", "share"});
  for (const OpStats& op : stats.ops) {
    ops.row({op.name, grouped(op.count),
             op.uncounted == op.count ? "?" : amount(op.flops) + (op.uncounted != 0 ? "+?" : ""),
             share(op.flops, stats.flops)});
  }
  return out + ops.text("  ");
}

Json port_json(const PortStats& port) {
  Json out;
  out["name"] = port.name;
  out["type"] = port.type;
  out["bytes"] = port.size_known ? Json(port.bytes) : Json(nullptr);
  return out;
}

Json function_json(const FunctionStats& stats) {
  Json out;
  out["function"] = stats.name;
  out["opset"] = stats.opset;
  out["inputs"] = Json::array();
  for (const PortStats& port : stats.inputs) out["inputs"].push_back(port_json(port));
  out["outputs"] = Json::array();
  for (const PortStats& port : stats.outputs) out["outputs"].push_back(port_json(port));
  out["ops"] = stats.op_count;
  out["constants"] = stats.constant_count;
  out["parameters"] = stats.parameters;
  out["weights"] = stats.weight_count;
  out["weight_bytes"] = stats.weight_bytes;
  out["inline_bytes"] = stats.inline_bytes;
  out["activations"] = stats.activation_count;
  out["activation_bytes"] = stats.activation_bytes;
  out["unknown_activations"] = stats.unknown_activations;
  out["largest_activation"] = stats.largest_activation;
  out["largest_activation_bytes"] = stats.largest_activation_bytes;
  out["flops"] = stats.flops;
  out["uncounted_ops"] = stats.uncounted_ops;
  out["loops"] = stats.loops;
  out["by_op"] = Json::array();
  for (const OpStats& op : stats.ops) {
    Json entry;
    entry["op"] = op.name;
    entry["count"] = op.count;
    entry["flops"] = op.flops;
    entry["uncounted"] = op.uncounted;
    out["by_op"].push_back(std::move(entry));
  }
  return out;
}

/// One run of `stats`.
class Stats {
 public:
  Stats(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    if (args_.positionals().empty()) {
      diagnostics_.error(rule<"usage.argument">.id(),
                         "a MIL file, a compiled model or a kernel is to be named");
      return usage_error();
    }
    KernelRequest kernel;
    if (names_kernel(context_, args_.positionals()[0], kernel)) {
      WeightModes modes;
      if (!configure(kernel, args_.value("--config"), args_.positionals().subspan(1),
                     diagnostics_) ||
          !read_weight_modes(args_, modes, diagnostics_)) {
        return usage_error();
      }
      show_kernel(kernel, modes);
    } else {
      for (const std::string_view option : {std::string_view("--config"), kWeightsAs.name}) {
        if (!args_.has(option)) continue;
        diagnostics_.error(
            rule<"usage.argument">.id(),
            fmt::format("{} is for kernels, and '{}' is none", option, args_.positionals()[0]));
        return usage_error();
      }
      show_texts();
    }
    if (json()) context_.streams.out << json_text(root_);
    context_.report(diagnostics_);
    return diagnostics_.has_errors() ? kExitFailed : kExitDone;
  }

 private:
  bool json() const { return args_.value("--format") == "json"; }
  int usage_error() { return context_.usage_error(diagnostics_, "stats"); }

  void show_kernel(const KernelRequest& kernel, const WeightModes& modes) {
    const Program program = build_requested(kernel, modes, diagnostics_);
    if (!program) return;
    const std::string& name = args_.positionals()[0];
    const Module module = parse_mil(print_mil(program), diagnostics_, {.file = name});
    if (module) show(module, name);
  }

  void show_texts() {
    std::vector<MilInput> inputs;
    for (const std::string& name : args_.positionals()) {
      find_mil_inputs(context_, name, inputs, diagnostics_);
    }
    for (const MilInput& input : inputs) {
      Module module;
      if (read_mil_input(context_, input, module, diagnostics_) && module) {
        show(module, input.path);
      }
    }
  }

  void show(const Module& module, const std::string& path) {
    const std::vector<FunctionStats> functions = module_stats(module);
    if (json()) {
      Json entry;
      entry["file"] = path;
      entry["version"] = std::string(module.version());
      entry["functions"] = Json::array();
      for (const FunctionStats& stats : functions) {
        entry["functions"].push_back(function_json(stats));
      }
      root_.push_back(std::move(entry));
      return;
    }
    std::ostream& out = context_.streams.out;
    out << fmt::format("{}{}: program({}), {}\n", first_ ? "" : "\n", path, module.version(),
                       counted(functions.size(), "function"));
    first_ = false;
    for (const FunctionStats& stats : functions) out << function_text(stats);
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  Json root_ = Json::array();
  bool first_ = true;
};

}  // namespace

int run_stats(Context& context, const Args& args) { return Stats(context, args).run(); }

}  // namespace milgen::cli
