#include <fmt/format.h>

#include <ostream>

#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/format.h"
#include "cli/json.h"
#include "milgen/ane/engine.h"

namespace milgen::cli {
namespace {

template <class T>
std::string fact(const std::optional<T>& value) {
  if (!value) return "not told";
  if constexpr (std::is_same_v<T, bool>) {
    return *value ? "yes" : "no";
  } else {
    return std::to_string(*value);
  }
}
std::string fact(const std::string& value) { return value.empty() ? "not told" : value; }

template <class T>
Json json_fact(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
Json json_fact(const std::string& value) { return value.empty() ? Json() : Json(value); }

/// Device facts by the names that text and JSON share.
template <class Put>
void for_each_fact(const ane::DeviceInfo& device, const Put& put) {
  put("neural engine", "has_ane", device.has_ane);
  put("architecture", "architecture", device.architecture);
  put("sub type", "sub_type", device.sub_type);
  put("cores", "cores", device.cores);
  put("engines", "engines", device.engines);
  put("board type", "board_type", device.board_type);
  put("product", "product", device.product);
  put("build", "build_version", device.build_version);
  put("system", "os_version", device.os_version);
  put("virtual machine", "virtual_machine", device.virtual_machine);
  put("internal build", "internal_build", device.internal_build);
}

std::string text_report(const ane::Engine& engine, bool all) {
  std::string out = engine_line(engine.label());
  Table facts;
  facts.row({"library", std::string(engine.library())});
  for_each_fact(engine.device(), [&](std::string_view label, std::string_view, const auto& value) {
    facts.row({std::string(label), fact(value)});
  });
  const ane::CompileLedger ledger = engine.ledger();
  facts.row({"compile budget", fmt::format("{} for each process", ledger.limit)});
  out += facts.text();

  std::size_t present = 0;
  std::string lines;
  const std::vector<ane::RuntimeFeature> list = engine.features();
  for (const ane::RuntimeFeature& feature : list) {
    present += feature.present ? 1 : 0;
    if (all || !feature.present) {
      lines += fmt::format("  {:3}  {}: {}\n", feature.present ? "yes" : "no", feature.name,
                           feature.purpose);
    }
  }
  out +=
      fmt::format("\n{} of {} functions, classes and selectors are there{}\n", present, list.size(),
                  all                      ? ":"
                  : present == list.size() ? ""
                                           : "; not there:");
  return out + lines;
}

std::string json_report(const ane::Engine& engine) {
  Json root;
  root["engine"] = engine.label();
  root["library"] = engine.library();
  Json device;
  for_each_fact(engine.device(), [&](std::string_view, std::string_view key, const auto& value) {
    device[std::string(key)] = json_fact(value);
  });
  root["device"] = std::move(device);
  root["compile_limit"] = engine.ledger().limit;
  Json features = Json::array();
  for (const ane::RuntimeFeature& feature : engine.features()) {
    Json entry;
    entry["name"] = feature.name;
    entry["required"] = feature.required;
    entry["present"] = feature.present;
    entry["purpose"] = feature.purpose;
    features.push_back(std::move(entry));
  }
  root["features"] = std::move(features);
  return json_text(root);
}

}  // namespace

int run_info(Context& context, const Args& args) {
  Diagnostics diagnostics;
  const ane::Engine engine = open_engine(diagnostics);
  if (!engine) return context.fail(diagnostics, kExitUnavailable);
  context.streams.out << (args.value("--format") == "json"
                              ? json_report(engine)
                              : text_report(engine, args.has("--all")));
  return kExitDone;
}

}  // namespace milgen::cli
