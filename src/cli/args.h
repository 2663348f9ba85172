// What a command takes, as data: the parser, the help page and the hints read the same rows.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/cli.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

class Context;
class Args;

struct OptionSpec {
  std::string_view name;   ///< "--out"
  std::string_view value;  ///< how the help calls its value; "" for a flag
  std::string_view doc;
  std::string_view short_name = {};  ///< "-o"
  std::string_view choices = {};     ///< words that are taken, one space apart; "" for any value
  bool repeatable = false;
};

struct Example {
  std::string_view command;  ///< without the program's name
  std::string_view what;
};

struct CommandSpec {
  std::string_view name;
  std::string_view summary;
  std::span<const Example> examples;
  std::span<const std::string_view> usages;  ///< without the program's name
  std::span<const OptionSpec> options;
  std::string_view notes;  ///< paragraphs, one blank line apart
  std::size_t max_args = 0;
  int (*run)(Context& context, const Args& args) = nullptr;
};

/// A parsed command line.
class Args {
 public:
  bool has(std::string_view option) const { return !values(option).empty(); }
  /// The value of an option; `otherwise` where it was not given. "" is the value of a flag.
  std::string_view value(std::string_view option, std::string_view otherwise = {}) const;
  std::span<const std::string> values(std::string_view option) const;
  std::span<const std::string> positionals() const { return positionals_; }

  /// Reads `args`, which are those behind the command's name. Reports `usage.*` and returns false
  /// when they are not what `spec` takes.
  bool parse(const CommandSpec& spec, std::span<const std::string> args, Diagnostics& diagnostics);

 private:
  struct Given {
    std::string_view option;
    std::vector<std::string> values;
  };
  std::vector<Given> given_;
  std::vector<std::string> positionals_;
};

/// The help page of a command.
std::string help_page(const CommandSpec& spec, std::string_view program);

/// All commands, in the order in which the overview lists them.
std::span<const CommandSpec> commands();

}  // namespace milgen::cli
