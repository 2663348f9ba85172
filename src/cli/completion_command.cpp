#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "milgen/op_info.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

/// Names that a script asks the program for when it completes, so that it is never behind it.
constexpr std::string_view kLists[] = {"configs", "ids", "kernels", "ops", "params", "sets"};

/// What can stand in one place of a command line.
struct Candidates {
  std::vector<std::string> words;
  std::vector<std::string_view> lists;  ///< of kLists
  bool files = false;
  bool folders = false;
};

/// Adds what a word of a usage line or of an option's value stands for. Lower case is meant as it
/// is written.
void add(Candidates& out, std::string_view command, std::string_view word) {
  const auto list = [&](std::string_view name) {
    if (std::ranges::find(out.lists, name) == out.lists.end()) out.lists.push_back(name);
  };
  if (word == "DIR" || word == "GOLDEN_DIR") {
    out.folders = true;
  } else if (word == "FILE" || word == "SOURCE" || word == "TEXT" || word == "A" || word == "B" ||
             word == "NAME.mlmodelc") {
    out.files = true;
  } else if (word == "KERNEL") {
    list("kernels");
  } else if (word == "SET") {
    list("sets");
  } else if (word == "ID") {
    list("ids");
  } else if (word == "NAME=VALUE") {
    list("params");
  } else if (word == "NAME" && command == "ops") {
    list("ops");
  } else if (word == "NAME") {
    list("configs");
  } else if (word == "COMMAND") {
    for (const CommandSpec& spec : commands()) out.words.emplace_back(spec.name);
  } else if (!word.empty() &&
             std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) {
    if (std::ranges::find(out.words, word) == out.words.end()) out.words.emplace_back(word);
  }
}

/// The words between the brackets, bars and blanks of a usage line.
template <class Visit>
void for_each_usage_word(std::string_view usage, const Visit& visit) {
  constexpr std::string_view kBetween = " []|";
  while (!usage.empty()) {
    const std::size_t end = std::min(usage.find_first_of(kBetween), usage.size());
    if (end != 0) visit(usage.substr(0, end));
    usage.remove_prefix(std::min(end + 1, usage.size()));
  }
}

Candidates positionals(const CommandSpec& spec) {
  Candidates out;
  for (std::string_view usage : spec.usages) {
    usage.remove_prefix(spec.name.size());
    bool of_option = false;  // what stands behind `-o` is not a positional
    for_each_usage_word(usage, [&](std::string_view word) {
      if (word.starts_with('-')) {
        of_option = word.size() > 1;
      } else if (of_option) {
        of_option = false;
      } else if (word != "options" && word != "...") {
        add(out, spec.name, word);
      }
    });
  }
  return out;
}

Candidates values(const CommandSpec& spec, const OptionSpec& option) {
  Candidates out;
  if (!option.choices.empty()) {
    for_each_word(option.choices, [&](std::string_view word) { out.words.emplace_back(word); });
  } else {
    for_each_usage_word(option.value, [&](std::string_view word) { add(out, spec.name, word); });
  }
  return out;
}

/// The first clause of an option's description.
std::string_view short_doc(std::string_view doc) {
  return doc.substr(0, std::min({doc.find(';'), doc.find(':'), doc.find(" (")}));
}

/// `text` as one word of a shell.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

/// The program's name as a part of a function's.
std::string function_name(std::string_view program) {
  std::string out = "_";
  for (const char c : program) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += letter ? c : '_';
  }
  return out;
}

constexpr OptionSpec kHelpOption = {.name = "--help", .value = "", .doc = "this command's page"};

std::vector<OptionSpec> options_of(const CommandSpec& spec) {
  std::vector<OptionSpec> out(spec.options.begin(), spec.options.end());
  out.push_back(kHelpOption);
  return out;
}

std::string command_words() {
  std::string out;
  for (const CommandSpec& spec : commands()) out += fmt::format("{} ", spec.name);
  return out + "--help --version";
}

// --- bash ---

/// What fills `words`, `lists`, `files` and `folders` of the script.
std::string bash_assignments(const Candidates& candidates) {
  std::string out;
  if (!candidates.words.empty()) {
    out += fmt::format("words={}; ", quoted(fmt::format("{}", fmt::join(candidates.words, " "))));
  }
  if (!candidates.lists.empty()) {
    out += fmt::format("lists={}; ", quoted(fmt::format("{}", fmt::join(candidates.lists, " "))));
  }
  if (candidates.files) out += "files=-f; ";
  if (candidates.folders && !candidates.files) out += "files=-d; ";
  return out.empty() ? ": ; " : out;
}

std::string bash_command(const CommandSpec& spec) {
  std::string out = fmt::format("    {})\n      case $before in\n", spec.name);
  std::string names;
  for (const OptionSpec& option : options_of(spec)) {
    names += fmt::format("{}{}", names.empty() ? "" : " ", option.name);
    if (!option.short_name.empty()) names += fmt::format(" {}", option.short_name);
    if (option.value.empty()) continue;
    const std::string both = option.short_name.empty()
                                 ? std::string(option.name)
                                 : fmt::format("{}|{}", option.name, option.short_name);
    out += fmt::format("        {}) {};;\n", both, bash_assignments(values(spec, option)));
  }
  out += fmt::format("        *) {};;\n      esac\n      options={} ;;\n",
                     bash_assignments(positionals(spec)), quoted(names));
  return out;
}

std::string bash_script(std::string_view program) {
  const std::string function = function_name(program);
  std::string out = fmt::format(
      "# Completion of {0} for bash. In ~/.bashrc:\n"
      "#     source <({0} completion bash)\n"
      "{1}() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  local words= lists= files= options= list\n"
      "  COMPREPLY=()\n"
      "  # bash makes three words of --option=value.\n"
      "  if [[ $current == '=' ]]; then\n"
      "    current=\n"
      "  elif [[ $before == '=' ]]; then\n"
      "    before=${{COMP_WORDS[COMP_CWORD-2]}}\n"
      "  fi\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W {2} -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${{COMP_WORDS[1]}} in\n",
      program, function, quoted(command_words()));
  for (const CommandSpec& spec : commands()) out += bash_command(spec);
  out += fmt::format(
      "  esac\n"
      "  if [[ $current == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  for list in $lists; do\n"
      "    words+=\" $(\"${{COMP_WORDS[0]}}\" completion \"$list\" 2>/dev/null)\"\n"
      "  done\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  # A parameter goes on with its value.\n"
      "  if [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *= ]]; then\n"
      "    compopt -o nospace 2>/dev/null\n"
      "  fi\n"
      "  if [[ $files ]]; then\n"
      "    compopt -o filenames 2>/dev/null\n"
      "    local path\n"
      "    while IFS= read -r path; do COMPREPLY+=(\"$path\"); done "
      "< <(compgen $files -- \"$current\")\n"
      "  fi\n"
      "}}\n"
      "complete -F {1} {0}\n",
      program, function);
  return out;
}

// --- zsh ---

/// `text` inside of a specification of _arguments, where colons and brackets mean something.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ':' || c == '[' || c == ']' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// The action of _arguments that completes these.
std::string zsh_action(std::string_view function, const Candidates& candidates) {
  std::string out = fmt::format("{}_any", function);
  if (candidates.files) {
    out += " -f";
  } else if (candidates.folders) {
    out += " -d";
  }
  for (const std::string_view list : candidates.lists) out += fmt::format(" @{}", list);
  for (const std::string& word : candidates.words) out += fmt::format(" {}", word);
  return out;
}

std::string zsh_command(std::string_view function, const CommandSpec& spec) {
  std::string out = fmt::format("    {})\n      _arguments", spec.name);
  for (const OptionSpec& option : options_of(spec)) {
    const std::string doc = zsh_text(short_doc(option.doc));
    const std::string value = option.value.empty()
                                  ? std::string()
                                  : fmt::format(":{}:{}", zsh_text(option.value),
                                                zsh_action(function, values(spec, option)));
    const std::string_view equals = option.value.empty() ? "" : "=";
    out += fmt::format(" \\\n        {}",
                       quoted(fmt::format("*{}{}[{}]{}", option.name, equals, doc, value)));
    if (!option.short_name.empty()) {
      out += fmt::format(" \\\n        {}",
                         quoted(fmt::format("*{}[{}]{}", option.short_name, doc, value)));
    }
  }
  if (spec.max_args != 0) {
    out += fmt::format(" \\\n        {}",
                       quoted("*:argument:" + zsh_action(function, positionals(spec))));
  }
  return out + " ;;\n";
}

std::string zsh_script(std::string_view program) {
  const std::string function = function_name(program);
  std::string out = fmt::format(
      "#compdef {0}\n"
      "# Completion of {0} for zsh. In a folder of $fpath, as _{0}; or in ~/.zshrc:\n"
      "#     source <({0} completion zsh)\n"
      "{1}_any() {{\n"
      "  local word\n"
      "  for word in \"$@\"; do\n"
      "    case $word in\n"
      "      -f) _files ;;\n"
      "      -d) _files -/ ;;\n"
      "      @params) compadd -S '' -- ${{(f)\"$($program completion params 2>/dev/null)\"}} ;;\n"
      "      @*) compadd -- ${{(f)\"$($program completion ${{word#@}} 2>/dev/null)\"}} ;;\n"
      "      *) compadd -- $word ;;\n"
      "    esac\n"
      "  done\n"
      "}}\n"
      "{1}() {{\n"
      "  local program=$words[1]\n"
      "  local -a commands=(\n",
      program, function);
  for (const CommandSpec& spec : commands()) {
    out += fmt::format("    {}\n", quoted(fmt::format("{}:{}", spec.name, zsh_text(spec.summary))));
  }
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    compadd -- --help --version\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n";
  for (const CommandSpec& spec : commands()) out += zsh_command(function, spec);
  out += fmt::format(
      "  esac\n"
      "}}\n"
      "if [[ $funcstack[1] == _{0} ]]; then\n"
      "  {1} \"$@\"\n"
      "else\n"
      "  compdef {1} {0}\n"
      "fi\n",
      program, function);
  return out;
}

// --- fish ---

/// The arguments of `complete` that offer these.
std::string fish_arguments(std::string_view program, const Candidates& candidates) {
  std::string offered;
  for (const std::string& word : candidates.words) {
    offered += fmt::format("{}{}", offered.empty() ? "" : " ", word);
  }
  for (const std::string_view list : candidates.lists) {
    offered +=
        fmt::format("{}({} completion {} 2>/dev/null)", offered.empty() ? "" : " ", program, list);
  }
  if (candidates.folders && !candidates.files) {
    offered += fmt::format("{}(__fish_complete_directories)", offered.empty() ? "" : " ");
  }
  std::string out = candidates.files ? " -F" : "";
  if (!offered.empty()) out += fmt::format(" -a {}", quoted(offered));
  return out;
}

std::string fish_script(std::string_view program) {
  std::string out = fmt::format(
      "# Completion of {0} for fish. As ~/.config/fish/completions/{0}.fish; or in config.fish:\n"
      "#     {0} completion fish | source\n"
      "complete -c {0} -f\n"
      "complete -c {0} -n __fish_use_subcommand -l help\n"
      "complete -c {0} -n __fish_use_subcommand -l version\n",
      program);
  for (const CommandSpec& spec : commands()) {
    const std::string inside = quoted(fmt::format("__fish_seen_subcommand_from {}", spec.name));
    out += fmt::format("complete -c {} -n __fish_use_subcommand -a {} -d {}\n", program, spec.name,
                       quoted(spec.summary));
    for (const OptionSpec& option : options_of(spec)) {
      out += fmt::format("complete -c {} -n {} -l {}", program, inside, option.name.substr(2));
      if (!option.short_name.empty()) out += fmt::format(" -s {}", option.short_name.substr(1));
      if (!option.value.empty()) out += " -r" + fish_arguments(program, values(spec, option));
      out += fmt::format(" -d {}\n", quoted(short_doc(option.doc)));
    }
    const std::string arguments = fish_arguments(program, positionals(spec));
    if (!arguments.empty()) {
      out += fmt::format("complete -c {} -n {}{}\n", program, inside, arguments);
    }
  }
  return out;
}

// --- The names that scripts ask for. ---

std::vector<std::string> names_of(const Registry& registry, std::string_view list) {
  std::vector<std::string> out;
  if (list == "ids") {
    for (const DiagnosticInfo& info : diagnostic_ids()) out.emplace_back(info.id);
  } else if (list == "ops") {
    for (const OpInfo& op : op_table()) out.emplace_back(op.name);
  }
  for (const KernelSetInfo& set : registry.sets()) {
    if (list == "sets") out.push_back(set.name);
    if (list == "kernels") {
      for (const KernelEntry& kernel : set.kernels) out.push_back(kernel.name);
    } else if (list == "configs") {
      for (const NamedConfig& config : set.configs) out.push_back(config.name);
    } else if (list == "params") {
      for (const KernelParam& param : set.params) out.push_back(param.name + "=");
    }
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

int run_completion(Context& context, const Args& args) {
  constexpr std::string_view kShells[] = {"bash", "zsh", "fish"};
  const std::string_view program = context.streams.program;
  const std::string what = args.positionals().empty() ? "" : args.positionals()[0];
  if (what == "bash") {
    context.streams.out << bash_script(program);
  } else if (what == "zsh") {
    context.streams.out << zsh_script(program);
  } else if (what == "fish") {
    context.streams.out << fish_script(program);
  } else if (std::ranges::find(kLists, what) != std::ranges::end(kLists)) {
    for (const std::string& name : names_of(context.registry, what)) {
      context.streams.out << name << '\n';
    }
  } else {
    Diagnostics diagnostics;
    if (what.empty()) {
      diagnostics.error(rule<"usage.argument">.id(), "no shell is named: bash, zsh or fish");
    } else {
      diagnostics.error(
          rule<"usage.value">.id(),
          fmt::format("there is no completion for '{}', only for bash, zsh and fish{}", what,
                      did_you_mean(what, kShells)));
    }
    return context.usage_error(diagnostics, "completion");
  }
  return kExitDone;
}

}  // namespace milgen::cli
