#include "cli/args.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "cli/format.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr OptionSpec kHelp = {
    .name = "--help", .value = "", .doc = "this page", .short_name = "-h"};

std::vector<const OptionSpec*> options_of(const CommandSpec& spec) {
  std::vector<const OptionSpec*> out;
  for (const OptionSpec& option : spec.options) out.push_back(&option);
  out.push_back(&kHelp);
  return out;
}

bool has_word(std::string_view words, std::string_view word) {
  bool found = false;
  for_each_word(words, [&](std::string_view candidate) { found = found || candidate == word; });
  return found;
}

/// "apple or compact"
std::string alternatives(std::string_view words) {
  std::vector<std::string_view> list;
  for_each_word(words, [&](std::string_view word) { list.push_back(word); });
  std::string out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i != 0) out += i + 1 == list.size() ? " or " : ", ";
    out += list[i];
  }
  return out;
}

}  // namespace

std::span<const std::string> Args::values(std::string_view option) const {
  for (const Given& given : given_) {
    if (given.option == option) return given.values;
  }
  return {};
}

std::string_view Args::value(std::string_view option, std::string_view otherwise) const {
  const std::span<const std::string> all = values(option);
  return all.empty() ? otherwise : std::string_view(all.back());
}

bool Args::parse(const CommandSpec& spec, std::span<const std::string> args,
                 Diagnostics& diagnostics) {
  const std::vector<const OptionSpec*> options = options_of(spec);
  const auto find = [&](std::string_view name) -> const OptionSpec* {
    for (const OptionSpec* option : options) {
      if (option->name == name || (!option->short_name.empty() && option->short_name == name)) {
        return option;
      }
    }
    return nullptr;
  };

  ::CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<::CLI::Option*> parsed;
  for (const OptionSpec* option : options) {
    const std::string names = option->short_name.empty()
                                  ? std::string(option->name)
                                  : fmt::format("{},{}", option->short_name, option->name);
    if (option->value.empty()) {
      // A flag that takes a value would read "--strict=no" as a wish to be strict.
      parsed.push_back(app.add_flag(names)->disable_flag_override());
    } else {
      parsed.push_back(app.add_option(names, [](const ::CLI::results_t&) { return true; })
                           ->type_size(1)
                           ->expected(1)
                           ->allow_extra_args(false)
                           ->multi_option_policy(::CLI::MultiOptionPolicy::TakeAll));
    }
  }

  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const ::CLI::ParseError&) {
    // The only ways to get here: an option without its value, or a flag with one.
    for (std::size_t i = 0; i < args.size(); ++i) {
      const std::string_view word = std::string_view(args[i]).substr(0, args[i].find('='));
      const OptionSpec* option = find(word);
      if (option == nullptr) continue;
      if (option->value.empty() && word.size() != args[i].size()) {
        diagnostics.error(rule<"usage.value">.id(),
                          fmt::format("{} takes no value, but here is '{}'", option->name,
                                      args[i].substr(word.size() + 1)));
        return false;
      }
      if (option->value.empty()) continue;
      if (word.size() != args[i].size()) {
        if (word.size() + 1 != args[i].size()) continue;
        diagnostics.error(rule<"usage.value">.id(), fmt::format("{} takes {}, which is empty here",
                                                                option->name, option->value));
        return false;
      }
      if (i + 1 == args.size() || (args[i + 1].size() > 1 && args[i + 1][0] == '-')) {
        diagnostics.error(
            rule<"usage.value">.id(),
            fmt::format("{} takes {}, but {}", option->name, option->value,
                        i + 1 == args.size() ? std::string("nothing follows it")
                                             : fmt::format("'{}' follows it", args[i + 1])));
        return false;
      }
      ++i;
    }
    diagnostics.error(rule<"usage.value">.id(),
                      fmt::format("the options of '{}' cannot be read", spec.name));
    return false;
  }

  for (std::size_t i = 0; i < options.size(); ++i) {
    if (parsed[i]->count() == 0) continue;
    Given given{options[i]->name, parsed[i]->results()};
    if (options[i]->value.empty()) given.values.assign(1, "");
    given_.push_back(std::move(given));
  }

  bool only_positionals = false;
  for (std::string& rest : app.remaining()) {
    if (!only_positionals && rest == "--") {
      only_positionals = true;
    } else if (!only_positionals && rest.size() > 1 && rest[0] == '-') {
      const std::string_view name = std::string_view(rest).substr(0, rest.find('='));
      std::vector<std::string_view> names;
      names.reserve(options.size());
      for (const OptionSpec* option : options) names.push_back(option->name);
      diagnostics.error(rule<"usage.option">.id(), fmt::format("'{}' has no option {}{}", spec.name,
                                                               name, did_you_mean(name, names)));
    } else {
      positionals_.push_back(std::move(rest));
    }
  }
  if (diagnostics.has_errors() || has("--help")) return !diagnostics.has_errors();

  for (const OptionSpec* option : options) {
    const std::span<const std::string> all = values(option->name);
    if (option->value.empty()) continue;
    if (all.size() > 1 && !option->repeatable) {
      diagnostics.error(rule<"usage.value">.id(),
                        fmt::format("{} is given {} times, as '{}' and as '{}'", option->name,
                                    all.size(), all[0], all[1]));
    }
    for (const std::string& value : all) {
      // CLI11 takes any word as a value; the name of an option is not meant as one.
      if (value.empty()) {
        diagnostics.error(rule<"usage.value">.id(), fmt::format("{} takes {}, which is empty here",
                                                                option->name, option->value));
        continue;
      }
      if (find(value) != nullptr) {
        diagnostics.error(
            rule<"usage.value">.id(),
            fmt::format("{} takes {}, but '{}' follows it", option->name, option->value, value));
        continue;
      }
      if (option->choices.empty() || has_word(option->choices, value)) continue;
      diagnostics.error(
          rule<"usage.value">.id(),
          fmt::format("{} is {}, not '{}'", option->name, alternatives(option->choices), value));
    }
  }
  // An empty path would be the root of the file system once something is put behind it.
  if (std::ranges::find(positionals_, "") != positionals_.end()) {
    diagnostics.error(rule<"usage.argument">.id(),
                      fmt::format("'{}' takes no empty argument", spec.name));
  }
  if (positionals_.size() > spec.max_args) {
    diagnostics.error(
        rule<"usage.argument">.id(),
        spec.max_args == 0
            ? fmt::format("'{}' takes no arguments, but here is '{}'", spec.name, positionals_[0])
            : fmt::format("'{}' takes at most {}, but here is '{}' as well", spec.name,
                          counted(spec.max_args, "argument"), positionals_[spec.max_args]));
  }
  return !diagnostics.has_errors();
}

std::string help_page(const CommandSpec& spec, std::string_view program) {
  // A program of one command is called as the command is.
  std::string out = program == spec.name
                        ? fmt::format("{} - {}\n\n", program, spec.summary)
                        : fmt::format("{} {} - {}\n\n", program, spec.name, spec.summary);
  std::size_t widest = 0;
  for (const Example& example : spec.examples) {
    widest = std::max(widest, program.size() + example.command.size());
  }
  for (const Example& example : spec.examples) {
    out += hanging(fmt::format("  {} {}", program, example.command), std::min(widest + 5, 58ul),
                   example.what);
  }
  out += "\nusage:\n";
  for (const std::string_view usage : spec.usages) {
    out += fmt::format("  {} {}\n", program, usage);
  }
  out += "\noptions:\n";
  constexpr std::size_t kDocColumn = 30;
  for (const OptionSpec* option : options_of(spec)) {
    std::string left = fmt::format(
        "  {}{}", option->short_name.empty() ? "    " : fmt::format("{}, ", option->short_name),
        option->name);
    if (!option->value.empty()) left += fmt::format(" {}", option->value);
    out += hanging(left, kDocColumn, option->doc);
  }
  std::string_view notes = spec.notes;
  while (!notes.empty()) {
    const std::size_t end = notes.find("\n\n");
    out += '\n';
    for (const std::string& line : wrap(notes.substr(0, end), 96)) out += line + "\n";
    if (end == std::string_view::npos) break;
    notes.remove_prefix(end + 2);
  }
  return out;
}

}  // namespace milgen::cli
