#include "cli/engine_options.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "cli/format.h"
#include "cli/parse_text.h"
#include "cli/progress.h"
#include "cli/run_input.h"
#include "support/rule.h"
#include "support/tensor_text.h"

namespace milgen::cli {
namespace {

using ane::EvaluateRoute;

constexpr std::array<std::pair<std::string_view, EvaluateRoute>, 4> kRoutes = {{
    {"standard", EvaluateRoute::standard},
    {"client", EvaluateRoute::client},
    {"direct", EvaluateRoute::direct},
    {"real-time", EvaluateRoute::real_time},
}};

/// A day is more than any bound that is meant.
constexpr std::uint64_t kMostSeconds = 86400;

bool read_option(const std::string& text, ane::EngineOption& option, Diagnostics& diagnostics) {
  std::string value;
  if (!split_name(text, option.key, value) || value.empty()) {
    diagnostics.error(rule<"usage.value">.id(),
                      fmt::format("--option takes KEY=VALUE, not '{}'", text));
    return false;
  }
  std::int64_t number = 0;
  if (value == "true" || value == "false") {
    option.value = value == "true";
  } else if (parse_number(value, number)) {
    option.value = number;
  } else {
    option.value = value;
  }
  return true;
}

std::string strides_text(const ane::TensorLayout& layout) {
  return layout.from_model ? "told" : "assumed";
}

}  // namespace

ane::Engine open_engine(Diagnostics& diagnostics) {
  const ane::Result<ane::Engine> engine = ane::Engine::open();
  if (engine) return *engine;
  // One sentence: in which function it failed says no more.
  const ane::Error::Detail& detail = engine.error().detail();
  const std::string hint = detail.hint.empty() ? "" : "; " + detail.hint;
  report(ane::Error(detail.kind, detail.message + hint), diagnostics);
  return {};
}

std::string_view route_name(EvaluateRoute route) {
  for (const auto& [name, value] : kRoutes) {
    if (value == route) return name;
  }
  return "standard";
}

bool parse_route(std::string_view text, EvaluateRoute& route) {
  for (const auto& [name, value] : kRoutes) {
    if (name != text) continue;
    route = value;
    return true;
  }
  return false;
}

bool read_engine_options(const Context& context, const Args& args, ane::ModelOptions& options,
                         Diagnostics& diagnostics) {
  std::uint64_t qos = options.qos;
  std::uint64_t mask = 0;
  std::uint64_t seconds = kMostSeconds;
  constexpr std::uint64_t kMostQos = 63;  // 0 to 63 all work (ane_runtime, 4.4)
  constexpr std::uint64_t kMostMask = 15;
  if (!count_option(args, "--qos", kMostQos, qos, diagnostics) ||
      !count_option(args, "--perf-mask", kMostMask, mask, diagnostics) ||
      !count_option(args, "--timeout", kMostSeconds, seconds, diagnostics)) {
    return false;
  }
  options.qos = static_cast<std::uint32_t>(qos);
  options.perf_stats_mask = static_cast<std::uint32_t>(mask);
  if (args.has("--timeout")) {
    const std::chrono::milliseconds bound = std::chrono::seconds(seconds);
    options.compile_timeout = options.load_timeout = options.evaluate_timeout = bound;
  }
  parse_route(args.value("--route", "standard"), options.route);
  for (const std::string& text : args.values("--option")) {
    ane::EngineOption option;
    if (!read_option(text, option, diagnostics)) return false;
    options.options.push_back(std::move(option));
  }
  options.cache.enabled = args.has("--cache") || args.has("--cache-folder");
  if (args.has("--cache-folder")) {
    options.cache.folder = context.resolve(args.value("--cache-folder"));
  }
  if (args.has("--dump")) options.dump_folder = context.resolve(args.value("--dump"));
  return true;
}

ane::Model bring_up(const Context& context, const ane::Engine& engine, const RunTarget& target,
                    const ane::ModelOptions& options, Diagnostics& diagnostics) {
  const BusyLine busy(context, "compiling " + target.name);
  const std::size_t errors_before = diagnostics.errors();
  ane::ModelOptions with_weights = options;
  with_weights.function = target.options.function;
  with_weights.model_path = target.options.model_path;
  with_weights.weights = target.options.weights;
  with_weights.weight_file = target.options.weight_file;
  ane::Result<ane::Model> model =
      ane::Model::compile(engine, target.module, with_weights, diagnostics);
  if (model) return std::move(*model);
  // Those of the text and of weights stand there with their places already.
  if (diagnostics.errors() == errors_before) {
    report(model.error(), diagnostics, Place(target.name));
  }
  return {};
}

std::string engine_line(std::string_view label) { return fmt::format("engine: {}\n", label); }

std::string layout_table(const ane::Model& model) {
  Table table;
  table.right_align({3, 4, 5});
  table.row({"", "name", "type", "symbol", "row bytes", "surface bytes", "strides"});
  const auto rows = [&](std::string_view what, std::span<const ane::TensorLayout> layouts) {
    for (const ane::TensorLayout& layout : layouts) {
      table.row({std::string(what), layout.name, tensor_text(layout.dtype, layout.shape),
                 fmt::format("{} {}", layout.symbol_index, layout.symbol),
                 grouped(static_cast<std::uint64_t>(layout.row_stride)),
                 grouped(static_cast<std::uint64_t>(layout.alloc_bytes())), strides_text(layout)});
    }
  };
  rows("input", model.inputs());
  rows("output", model.outputs());
  return table.text();
}

Json layout_json(const ane::Model& model) {
  const auto list = [](std::span<const ane::TensorLayout> layouts) {
    Json out = Json::array();
    for (const ane::TensorLayout& layout : layouts) {
      Json entry;
      entry["name"] = layout.name;
      entry["dtype"] = dtype_name(layout.dtype);
      entry["shape"] = to_json(layout.shape);
      entry["symbol"] = layout.symbol;
      entry["symbol_index"] = layout.symbol_index;
      entry["row_stride"] = layout.row_stride;
      entry["plane_stride"] = layout.plane_stride;
      entry["batch_stride"] = layout.batch_stride;
      entry["alloc_bytes"] = layout.alloc_bytes();
      entry["strides_from_model"] = layout.from_model;
      out.push_back(std::move(entry));
    }
    return out;
  };
  Json out;
  out["inputs"] = list(model.inputs());
  out["outputs"] = list(model.outputs());
  out["bound_by_engine"] = model.bound_by_engine();
  return out;
}

std::string phase_table(const ane::CompileStats& stats) {
  Table table;
  table.right_align({1});
  const auto row = [&](std::string what, std::uint64_t nanoseconds, std::string note = {}) {
    table.row({std::move(what), milliseconds_text(nanoseconds), std::move(note)});
  };
  row("files", stats.write_ns);
  if (stats.pause_ns != 0) row("pause", stats.pause_ns, "after a failed compile");
  row("compile", stats.compile_ns,
      stats.recompiled ? "the cached program did not load"
      : stats.cached   ? "the cache had it"
                       : "");
  row("load", stats.load_ns,
      stats.load_attempts > 1 ? counted(static_cast<std::uint64_t>(stats.load_attempts), "attempt")
                              : "");
  row("map", stats.map_ns);
  row("together", stats.total_ns);
  return table.text();
}

Json phase_json(const ane::CompileStats& stats) {
  Json out;
  out["write_ms"] = milliseconds(stats.write_ns);
  out["pause_ms"] = milliseconds(stats.pause_ns);
  out["compile_ms"] = milliseconds(stats.compile_ns);
  out["load_ms"] = milliseconds(stats.load_ns);
  out["map_ms"] = milliseconds(stats.map_ns);
  out["total_ms"] = milliseconds(stats.total_ns);
  out["load_attempts"] = stats.load_attempts;
  out["cached"] = stats.cached;
  out["recompiled"] = stats.recompiled;
  return out;
}

}  // namespace milgen::cli
