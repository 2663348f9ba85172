#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/op_example.h"
#include "cpu/kernel.h"
#include "ir/op_header.h"
#include "milgen/op_info.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

std::string_view kind_name(const Param& param) {
  switch (param.kind) {
    case ParamKind::tensor:
      break;
    case ParamKind::variadic:
      return "tuple";
    case ParamKind::list:
      return "list";
    case ParamKind::state:
      return "state";
    case ParamKind::block:
      return "block";
    case ParamKind::any:
      return "any";
  }
  switch (param.form) {
    case Form::operand:
      return "tensor";
    case Form::extents:
    case Form::integers:
      return "integers";
    case Form::integer:
      return "integer";
    case Form::real:
      return "number";
    case Form::boolean:
      return "bool";
    case Form::booleans:
      return "bools";
    case Form::text:
      return "text";
    case Form::dtype:
      return "dtype";
  }
  return {};
}

std::string dtypes_text(const Param& param) {
  std::string out;
  for (int d = 1; d < kDTypeCount; ++d) {
    const auto dtype = static_cast<DType>(d);
    if (!param.dtypes.has(dtype)) continue;
    if (!out.empty()) out += ", ";
    out += dtype_name(dtype);
  }
  if (param.domain != '\0' && !out.empty()) out = fmt::format("{}: {}", param.domain, out);
  return out;
}

std::string default_text(const Param& param) {
  const Default& def = param.def;
  const auto whole = static_cast<std::int64_t>(def.number);
  switch (def.kind) {
    case DefaultKind::required:
      return "required";
    case DefaultKind::absent:
      return "left out";
    case DefaultKind::integer:
      return fmt::format("{}", whole);
    case DefaultKind::real:
      return fmt::format("{}", def.number);
    case DefaultKind::boolean:
      return def.number != 0 ? "true" : "false";
    case DefaultKind::text:
      return fmt::format("\"{}\"", def.text);
    case DefaultKind::spatial_dims:
      return fmt::format("{} for each spatial dim", whole);
    case DefaultKind::spatial_sides:
      return fmt::format("{} for each side of each spatial dim", whole);
    case DefaultKind::all_axes:
      return "all axes";
    case DefaultKind::zero_bias:
      return "zeros";
    case DefaultKind::box_range:
      return "0, 1, ... one for each box";
  }
  return {};
}

std::string results_text(const OpInfo& op) {
  std::string count;
  switch (op.results) {
    case ResultCount::none:
      return "none";
    case ResultCount::one:
      count = "one";
      break;
    case ResultCount::two:
      count = "two";
      break;
    case ResultCount::three:
      count = "three";
      break;
    case ResultCount::by_inference:
      count = "as many as the arguments say";
      break;
  }
  switch (op.result_dtype) {
    case ResultDType::domain:
      return fmt::format("{}, {}", count, op.result_domain);
    case ResultDType::boolean:
      return count + ", bool";
    case ResultDType::int32:
      return count + ", int32";
    case ResultDType::parameter:
      return count + ", of the dtype that an argument names";
    case ResultDType::inferred:
      return count + ", of a type that follows from the arguments";
  }
  return count;
}

std::vector<std::string_view> families() {
  std::vector<std::string_view> out;
  for (const OpInfo& op : op_table()) {
    if (std::ranges::find(out, op.family) == out.end()) out.push_back(op.family);
  }
  std::ranges::sort(out);
  return out;
}

std::string table_text() {
  std::string out;
  for (const std::string_view family : families()) {
    out += fmt::format("{}{}:\n", out.empty() ? "" : "\n", family);
    Table table;
    for (const OpInfo& op : op_table()) {
      if (op.family != family) continue;
      table.row(
          {std::string(op.name), std::string(opset_name(op.since())), std::string(op.summary)});
    }
    out += table.text("  ");
  }
  return out + fmt::format("\n{}\n", counted(op_table().size(), "op"));
}

/// `|` ends a cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string table_markdown() {
  std::string out = "# Ops of MIL\n";
  for (const std::string_view family : families()) {
    out += fmt::format(
        "\n## {}\n\n| op | since | arguments | what it computes |\n|---|---|---|---|\n", family);
    for (const OpInfo& op : op_table()) {
      if (op.family != family) continue;
      std::string params;
      for (const Param& param : op.params()) {
        params += fmt::format("{}{}{}", params.empty() ? "" : ", ", param.name,
                              param.required() ? "" : "?");
      }
      out += fmt::format("| `{}` | {} | {} | {} |\n", op.name, opset_name(op.since()), cell(params),
                         cell(op.summary));
    }
  }
  return out;
}

Json op_json(const OpInfo& op) {
  Json out;
  out["name"] = std::string(op.name);
  out["family"] = std::string(op.family);
  out["since"] = std::string(opset_name(op.since()));
  out["backends"] = Json::array();
  if (cpu::is_executed(op.code)) out["backends"].push_back("cpu");
  out["summary"] = std::string(op.summary);
  if (!op.note.empty()) out["note"] = std::string(op.note);
  out["arguments"] = Json::array();
  for (const Param& param : op.params()) {
    Json entry;
    entry["name"] = std::string(param.name);
    entry["kind"] = std::string(kind_name(param));
    entry["dtypes"] = Json::array();
    for (int d = 1; d < kDTypeCount; ++d) {
      const auto dtype = static_cast<DType>(d);
      if (param.dtypes.has(dtype)) entry["dtypes"].push_back(std::string(dtype_name(dtype)));
    }
    entry["domain"] = param.domain == '\0' ? Json(nullptr) : Json(std::string(1, param.domain));
    entry["const"] = param.is_const;
    entry["required"] = param.required();
    entry["default"] = param.required() ? Json(nullptr) : Json(default_text(param));
    if (!param.choices.empty()) {
      entry["choices"] = Json::array();
      for_each_word(param.choices,
                    [&](std::string_view word) { entry["choices"].push_back(std::string(word)); });
    }
    out["arguments"].push_back(std::move(entry));
  }
  out["results"] = results_text(op);
  return out;
}

/// The rows of the argument table, without a heading.
std::vector<std::vector<std::string>> argument_rows(const OpInfo& op) {
  std::vector<std::vector<std::string>> rows;
  for (const Param& param : op.params()) {
    std::string takes = dtypes_text(param);
    if (!param.choices.empty()) {
      takes = "one of";
      for_each_word(param.choices,
                    [&](std::string_view word) { takes += fmt::format(" {}", word); });
    }
    rows.push_back({std::string(param.name), std::string(kind_name(param)),
                    param.is_const ? "const" : "", default_text(param), takes});
  }
  return rows;
}

std::string op_text(const OpInfo& op) {
  std::string out = fmt::format("{} - {}\n", op.name, op.summary);
  if (!op.note.empty()) {
    for (const std::string& line : wrap(op.note, 96)) out += line + "\n";
  }
  out += fmt::format("family {}, since {}{}\n", op.family, opset_name(op.since()),
                     cpu::is_executed(op.code) ? ", runs on cpu" : "");
  if (!has(op.traits, Trait::no_dsl)) out += fmt::format("\n  {}\n", op_call(op));
  out += "\narguments:\n";
  Table table;
  table.row({"name", "kind", "", "default", "takes"});
  for (std::vector<std::string>& row : argument_rows(op)) table.row(std::move(row));
  out += table.text("  ");
  out += fmt::format("results: {}\n", results_text(op));
  if (op.signatures.size() > 1) {
    std::string opsets;
    for (const Signature& signature : op.signatures) {
      opsets += fmt::format("{}{}", opsets.empty() ? "" : ", ", opset_name(signature.since));
    }
    out += fmt::format("what it takes changed at: {}; this is {}\n", opsets,
                       opset_name(op.signatures.back().since));
  }
  OpExample example;
  if (make_op_example(op, example)) {
    out += "\nexample:\n";
    std::string_view source = example.source;
    while (!source.empty()) {
      const std::size_t end = source.find('\n');
      out += fmt::format("  {}\n", source.substr(0, end));
      source.remove_prefix(end + 1);
    }
    out += fmt::format("\nprints:\n{}\n", example.text);
  }
  return out;
}

std::string op_markdown(const OpInfo& op) {
  std::string out = fmt::format("# {}\n\n{}\n", op.name, op.summary);
  if (!op.note.empty()) out += fmt::format("\n{}\n", op.note);
  out += fmt::format(
      "\nFamily {}, since {}{}.\n\n| argument | kind | | default | takes |\n"
      "|---|---|---|---|---|\n",
      op.family, opset_name(op.since()), cpu::is_executed(op.code) ? ", runs on cpu" : "");
  for (const std::vector<std::string>& row : argument_rows(op)) {
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", row[0], row[1], row[2], cell(row[3]),
                       cell(row[4]));
  }
  out += fmt::format("\nResults: {}.\n", results_text(op));
  OpExample example;
  if (make_op_example(op, example)) {
    out += fmt::format("\n```cpp\n{}```\n\n```\n{}\n```\n", example.source, example.text);
  }
  return out;
}

}  // namespace

int run_ops(Context& context, const Args& args) {
  const std::string_view format = args.value("--format", "text");
  std::ostream& out = context.streams.out;
  Diagnostics diagnostics;
  if (args.positionals().empty()) {
    if (format == "header") {
      out << op_header();
    } else if (format == "markdown") {
      out << table_markdown();
    } else if (format == "json") {
      Json root = Json::array();
      for (const OpInfo& op : op_table()) root.push_back(op_json(op));
      out << json_text(root);
    } else {
      out << table_text();
    }
    return kExitDone;
  }
  const std::string& name = args.positionals()[0];
  const OpInfo* op = find_op(name);
  if (op == nullptr) {
    std::vector<std::string_view> names;
    for (const OpInfo& candidate : op_table()) names.push_back(candidate.name);
    diagnostics.error(rule<"usage.op">.id(),
                      fmt::format("there is no op '{}'{}", name, did_you_mean(name, names)));
    return context.usage_error(diagnostics, "ops");
  }
  if (format == "header") {
    diagnostics.error(rule<"usage.value">.id(), "--format header is for all ops, not for one");
    return context.usage_error(diagnostics, "ops");
  }
  if (format == "json") {
    Json root = op_json(*op);
    OpExample example;
    if (make_op_example(*op, example)) {
      root["example"]["source"] = example.source;
      root["example"]["text"] = example.text;
    }
    out << json_text(root);
  } else {
    out << (format == "markdown" ? op_markdown(*op) : op_text(*op));
  }
  return kExitDone;
}

}  // namespace milgen::cli
