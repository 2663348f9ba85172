#include "cpu/eval_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "milgen/module.h"

namespace milgen::test {
namespace {

constexpr int kShownFaults = 5;          // of an op
constexpr std::size_t kLargestRank = 5;  // op_semantics: no tensor above rank 5

/// "" for what is as expected, else what is wrong.
using Fault = std::string;

struct Tolerance {
  double rtol = 0;
  double atol = 0;

  /// An infinity is only near itself, and a NaN counts as near another.
  bool holds(double got, double want) const {
    if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
    if (std::isinf(want) || std::isinf(got)) return got == want;
    return std::abs(got - want) <= atol + rtol * std::abs(want);
  }
};

// --- Values. ---

double number_of(const Json& json) {
  if (json.is_boolean()) return json.get<bool>() ? 1 : 0;
  if (!json.is_string()) return json.get<double>();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string text = json.get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  return text == "-inf" ? -infinity : infinity;
}

/// {"dtype", "shape", "data"}: decimals are rounded to the dtype.
Array array_of(const Json& json) {
  const OwnedType type = type_of(json);
  const Json& data = json.at("data");
  if (type.dtype == DType::string) {
    return Array::of_strings(type.shape, data.get<std::vector<std::string>>());
  }
  Array out(type.dtype, type.shape);
  for (std::size_t i = 0; i < data.size(); ++i) {
    out.set(static_cast<std::int64_t>(i), number_of(data[i]));
  }
  return out;
}

std::string type_text(const Array& array) {
  OwnedType type;
  type.dtype = array.dtype();
  type.shape = array.shape();
  return notation(type);
}

Fault compare_strings(std::span<const std::string> got, std::span<const std::string> want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got[i] != want[i]) return fmt::format("[{}] is \"{}\", not \"{}\"", i, got[i], want[i]);
  }
  return {};
}

Fault compare_integers(const Array& got, const Array& want) {
  for (std::int64_t i = 0; i < want.size(); ++i) {
    if (got.integer(i) != want.integer(i)) {
      return fmt::format("[{}] is {}, not {}", i, got.integer(i), want.integer(i));
    }
  }
  return {};
}

Fault compare_array(const Array& got, const Array& want, const Tolerance& tolerance) {
  if (got.dtype() != want.dtype() || got.shape() != want.shape()) {
    return fmt::format("it is {}, not {}", type_text(got), type_text(want));
  }
  if (want.dtype() == DType::string) return compare_strings(got.strings(), want.strings());
  if (!is_float(want.dtype())) return compare_integers(got, want);
  std::int64_t wrong = 0;
  Fault first;
  for (std::int64_t i = 0; i < want.size(); ++i) {
    if (tolerance.holds(got.real(i), want.real(i))) continue;
    if (wrong++ == 0) first = fmt::format("[{}] is {}, not {}", i, got.real(i), want.real(i));
  }
  return wrong == 0 ? Fault() : fmt::format("{} ({} of {} are off)", first, wrong, want.size());
}

/// A dictionary is {"dict": [[key, value], ...]}.
Fault compare_dict(const NamedArray& got, const Json& pairs, const Tolerance& tolerance) {
  const auto count = static_cast<std::int64_t>(pairs.size());
  const bool has_texts = pairs.at(0).at(0).is_string();
  if (got.keys.size() != count || got.array.size() != count ||
      got.keys.dtype() != (has_texts ? DType::string : DType::int64)) {
    return fmt::format("its keys are {}, not {}", type_text(got.keys), pairs.dump());
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Json& key = pairs[at][0];
    const bool same = has_texts ? got.keys.strings()[at] == key.get<std::string>()
                                : got.keys.integer(i) == key.get<std::int64_t>();
    if (!same) return fmt::format("key {} is not {}", i, key.dump());
    const double want = pairs[at][1].get<double>();
    if (!tolerance.holds(got.array.real(i), want)) {
      return fmt::format("of key {} it is {}, not {}", key.dump(), got.array.real(i), want);
    }
  }
  return {};
}

Fault compare_value(const NamedArray& got, const Json& want, const Tolerance& tolerance) {
  return want.contains("dict") ? compare_dict(got, want["dict"], tolerance)
                               : compare_array(got.array, array_of(want), tolerance);
}

// --- Runs. ---

/// How case_text names the inputs of a single op.
std::vector<NamedArray> single_inputs(const Json& sides) {
  std::vector<NamedArray> out;
  for (const auto& [key, value] : sides.items()) {
    if (!value.is_array()) {
      out.push_back({"in_y0_" + key, array_of(value)});
      continue;
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      out.push_back({fmt::format("in_y0_{}_{}", key, i), array_of(value[i])});
    }
  }
  return out;
}

std::vector<NamedArray> named_inputs(const Json& feeds) {
  std::vector<NamedArray> out;
  for (const auto& [key, value] : feeds.items()) out.push_back({key, array_of(value)});
  return out;
}

/// One run, after which the states are as `call` says.
Fault run_call(const Executable& executable, const Json& call, const Tolerance& tolerance,
               std::vector<NamedArray>& states) {
  Diagnostics diagnostics;
  std::vector<NamedArray> outputs;
  if (!executable.run(inputs_of(call), outputs, diagnostics, {.states = &states})) {
    return "it does not run: " + render(diagnostics);
  }
  const Json& wanted = call.at("outputs");
  if (outputs.size() != wanted.size()) {
    return fmt::format("there are {} outputs, not {}", outputs.size(), wanted.size());
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Fault fault = compare_value(outputs[i], wanted[i], tolerance);
    if (!fault.empty()) return fmt::format("output {}: {}", i, fault);
  }
  const Json after = call.value("state_after", Json::object());
  for (const auto& [name, value] : after.items()) {
    const NamedArray* state = find_array(states, name);
    if (state == nullptr) return "there is no state " + name;
    const Fault fault = compare_value(*state, value, tolerance);
    if (!fault.empty()) return fmt::format("state {}: {}", name, fault);
  }
  return {};
}

Fault run_styled(const Backend& backend, const Json& json, const CaseStyle& style,
                 NumericMode mode) {
  Fault fault;
  const auto executable = compile_case(backend, json, style, {.mode = mode, .threads = 1}, fault);
  if (!executable) return fault;
  const Json& tol = json.at("tol");
  const Tolerance tolerance{tol.at("rtol").get<double>(), tol.at("atol").get<double>()};
  std::vector<NamedArray> states;
  const std::span<const Json> calls = calls_of(json);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    fault = run_call(*executable, calls[i], tolerance, states);
    if (!fault.empty()) return calls.size() == 1 ? fault : fmt::format("call {}: {}", i, fault);
  }
  return {};
}

bool has_large_rank(const Json& value) {
  if (value.is_array()) return std::ranges::any_of(value, has_large_rank);
  return value.contains("shape") && value["shape"].size() > kLargestRank;
}

}  // namespace

std::unique_ptr<Executable> compile_case(const Backend& backend, const Json& json,
                                         const CaseStyle& style, const CompileOptions& options,
                                         std::string& fault) {
  std::string why;
  const std::optional<std::string> text = case_text(as_infer_case(json), style, why);
  if (!text) {
    fault = "text cannot spell it: " + why;
    return nullptr;
  }
  Diagnostics diagnostics;
  const Module module = parse_mil(*text, diagnostics);
  std::unique_ptr<Executable> executable;
  if (module) executable = backend.compile(module, options, diagnostics);
  if (!executable) fault = fmt::format("it does not compile: {}\n{}", render(diagnostics), *text);
  return executable;
}

std::span<const Json> calls_of(const Json& json) {
  if (!json.contains("calls")) return {&json, 1};
  const auto& calls = json["calls"].get_ref<const Json::array_t&>();
  return calls;
}

std::vector<NamedArray> inputs_of(const Json& call) {
  return call.contains("feeds") ? named_inputs(call["feeds"]) : single_inputs(call.at("inputs"));
}

void run_eval_case(const Backend& backend, const Json& json, EvalReport& report) {
  if (json.contains("origin")) return;
  EvalScore& score = report.ops[json.at("op").get<std::string>()];
  if (std::ranges::any_of(json.value("inputs", Json::object()), has_large_rank)) {
    ++score.not_run;
    return;
  }
  Fault fault;
  for (const bool in_place : {false, true}) {
    for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
      if (!fault.empty()) continue;
      const CaseStyle style{.in_place = in_place, .whole = true};
      fault = run_styled(backend, json, style, mode);
      if (fault.empty()) continue;
      fault = fmt::format("{} [constants {}, {}]: {}", json.at("id").get<std::string>(),
                          in_place ? "in place" : "named",
                          mode == NumericMode::exact ? "exact" : "fast", fault);
    }
  }
  const bool is_flagged = json.contains("flags");
  int& failed = is_flagged ? score.flagged_failed : score.failed;
  if (fault.empty()) {
    ++(is_flagged ? score.flagged_passed : score.passed);
  } else if (++failed <= kShownFaults) {
    (is_flagged ? report.flagged_faults : report.faults).push_back(std::move(fault));
  }
}

std::string score_table(const EvalReport& report) {
  std::string out;
  EvalScore total;
  const auto add = [&](std::string_view name, const EvalScore& score) {
    out += fmt::format("{}: {} passed", name, score.passed);
    if (score.failed != 0) out += fmt::format(", {} failed", score.failed);
    if (score.not_run != 0) out += fmt::format(", {} above rank 5 not run", score.not_run);
    const int flagged = score.flagged_passed + score.flagged_failed;
    if (flagged != 0)
      out += fmt::format(", flagged: {} of {} passed", score.flagged_passed, flagged);
    out += '\n';
  };
  for (const auto& [name, score] : report.ops) {
    add(name, score);
    total.passed += score.passed;
    total.failed += score.failed;
    total.not_run += score.not_run;
    total.flagged_passed += score.flagged_passed;
    total.flagged_failed += score.flagged_failed;
  }
  add("total", total);
  return out;
}

}  // namespace milgen::test
