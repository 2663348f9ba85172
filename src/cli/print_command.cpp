#include <fmt/format.h>

#include <filesystem>
#include <ostream>
#include <utility>

#include "cli/commands.h"
#include "cli/files.h"
#include "cli/finding.h"
#include "cli/mil_input.h"
#include "cli/text_diff.h"
#include "ir/builder.h"
#include "mil/module_data.h"
#include "milgen/print.h"
#include "milgen/print_cpp.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kMilOnly[] = {"--canonical", "--dialect", "--style", "--floats",
                                         "--check"};

ModulePrintOptions options_of(const Args& args) {
  ModulePrintOptions options;
  options.canonical = args.has("--canonical");
  if (args.has("--dialect")) {
    options.dialect = args.value("--dialect") == "1.0" ? mil::Dialect::v1_0 : mil::Dialect::v1_3;
  }
  if (args.value("--style") == "compact") options.style = TextStyle::compact;
  if (args.has("--floats")) {
    options.floats = args.value("--floats") == "hex" ? FloatStyle::hex : FloatStyle::decimal;
  }
  return options;
}

bool check_usage(const Args& args, Diagnostics& usage) {
  if (args.positionals().empty()) {
    usage.error(rule<"usage.argument">.id(), "a MIL text or an .mlmodelc folder is to be named");
  }
  if (args.value("--as") == "cpp") {
    for (const std::string_view option : kMilOnly) {
      if (!args.has(option)) continue;
      usage.error(rule<"usage.option">.id(), fmt::format("{} does not go with --as=cpp", option));
    }
  }
  if (args.has("--check") && args.has("--out")) {
    usage.error(rule<"usage.option">.id(), "--check writes nothing, so --out has no file to write");
  }
  return !usage.has_errors();
}

/// What the command line says as it was given, for the hint how to accept.
std::string options_text(const Args& args) {
  std::string out;
  for (const std::string_view option : kMilOnly) {
    if (!args.has(option) || option == "--check") continue;
    out += fmt::format(" {}", option);
    if (!args.value(option).empty()) out += fmt::format(" {}", args.value(option));
  }
  return out;
}

/// A path as one word of a command line.
std::string shell_word(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!path.empty() && path.find_first_not_of(kPlain) == path.npos) return std::string(path);
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// Whether a text is what printing it gives; says where not.
bool is_printed(const Context& context, const Args& args, const MilInput& input,
                std::string_view text, std::string_view printed) {
  // Both texts are alike up to the first difference, so its place is the same in both.
  const TextDiff diff = diff_text(text, printed);
  if (diff.same()) return true;
  const bool only_end = diff.added == 0 && diff.removed == 0;
  Finding finding;
  finding.what = {.id = std::string(rule<"print.changed">.id()),
                  .message = fmt::format("printing changes the text: {}", diff.summary()),
                  .place = Place(input.path, diff.line, diff.column, 1),
                  .notes = {}};
  if (!only_end) finding.detail = diff.hunks;
  if (input.path != "-") {
    finding.accept = fmt::format("{} print{} -o {} {}", context.streams.program, options_text(args),
                                 shell_word(input.path), shell_word(input.path));
  }
  context.streams.err << finding_text(context, finding);
  return false;
}

bool print_one(const Module& module, const Args& args, const MilInput& input, std::string& text,
               Diagnostics& diagnostics) {
  if (args.value("--as") != "cpp") {
    text = print_mil(module, options_of(args));
    return true;
  }
  CppOptions options;
  if (input.path != "-") {
    options.source = input.path;
    // "ffn_bwd.small.mil" is of a kernel ffn_bwd.
    const std::string file = std::filesystem::path(input.path).filename().string();
    const std::string stem = file.substr(0, file.find('.'));
    if (is_identifier(stem)) options.name = stem;
  }
  return print_cpp(module, options, text, diagnostics);
}

}  // namespace

int run_print(Context& context, const Args& args) {
  Diagnostics diagnostics;
  if (!check_usage(args, diagnostics)) return context.usage_error(diagnostics, "print");

  const bool check = args.has("--check");
  std::vector<MilInput> inputs;
  bool failed = false;
  for (const std::string& argument : args.positionals()) {
    failed = !find_mil_inputs(context, argument, inputs, diagnostics) || failed;
  }
  if (!check && inputs.size() > 1) {
    diagnostics.error(rule<"usage.argument">.id(),
                      fmt::format("one text is printed at a time; {} are named, '{}' and '{}' "
                                  "first",
                                  inputs.size(), inputs[0].path, inputs[1].path));
    return context.usage_error(diagnostics, "print");
  }
  bool differs = false;
  for (const MilInput& input : inputs) {
    Module module;
    std::string text;
    if (!read_mil_input(context, input, module, diagnostics) || !module ||
        !print_one(module, args, input, text, diagnostics)) {
      failed = true;
      continue;
    }
    if (check) {
      differs = !is_printed(context, args, input, module.data().text(), text) || differs;
    } else if (const std::string_view path = args.value("--out", "-"); path == "-") {
      context.streams.out << text;
    } else {
      failed = !write_file(context.resolve(path), text, diagnostics) || failed;
    }
  }
  context.report(diagnostics);
  if (failed) return kExitFailed;
  return differs ? kExitDiffers : kExitDone;
}

}  // namespace milgen::cli
