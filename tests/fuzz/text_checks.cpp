#include "fuzz/text_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "milgen/compare.h"
#include "milgen/print.h"
#include "milgen/verify.h"

namespace milgen::test {
namespace {

constexpr std::size_t kElements = 1000;

/// Reads all that a literal offers, for the sanitizers to watch.
std::size_t read_literal(mil::Literal literal) {
  std::vector<std::int64_t> integers;
  std::vector<double> reals;
  std::vector<std::string> strings;
  std::string string;
  std::size_t read = literal.text().size() + literal.blob_path().size();
  read += literal.blob_offset() % 2;
  read += literal.integers(integers, kElements) ? integers.size() : 0;
  read += literal.reals(reals, kElements) ? reals.size() : 0;
  read += literal.strings(strings, kElements) ? strings.size() : 0;
  read += literal.string(string) ? string.size() : 0;
  if (literal.type()) read += literal.type().text().size();
  return read;
}

/// Walks a module once. Nothing recurses, as a text may nest as deep as it likes.
class Walk {
 public:
  std::string fault_of(const Module& module) {
    for (const mil::Attribute attribute : module.attributes()) take(attribute);
    std::size_t ops = 0;
    for (const mil::Function function : module.functions()) {
      read_ += function.name().size() + function.opset().size() + function.place().column;
      for (const mil::Attribute attribute : function.attributes()) take(attribute);
      blocks_.push_back(function.body());
      while (!blocks_.empty() && fault_.empty()) {
        const mil::Block block = blocks_.back();
        blocks_.pop_back();
        take(block);
        ops += block.ops().size();
      }
    }
    if (!fault_.empty()) return fault_;
    if (ops != module.op_count()) {
      return fmt::format("the module counts {} ops, its blocks {}", module.op_count(), ops);
    }
    for (const mil::Value value : values_) {
      for (const mil::Binding use : value.uses()) {
        if (!use.is_value() || !(use.value() == value)) {
          return fmt::format("a use of '{}' does not name it", value.name());
        }
        ++uses_;
      }
    }
    if (uses_ != named_)
      return fmt::format("{} bindings name values, which know {}", named_, uses_);
    return {};
  }

 private:
  void take(mil::Attribute attribute) {
    read_ += attribute.name().size() + read_literal(attribute.value()) + attribute.place().column;
  }
  void take(mil::Value value) {
    read_ += value.name().size() + value.type().text().size() + value.index() + value.place().line;
    if (value.constant()) read_ += read_literal(value.constant());
    values_.push_back(value);
  }
  void take(const mil::Range<mil::Binding>& bindings) {
    std::vector<mil::Range<mil::Binding>> open{bindings};
    while (!open.empty()) {
      const mil::Range<mil::Binding> range = open.back();
      open.pop_back();
      for (const mil::Binding binding : range) {
        read_ += binding.name().size() + binding.place().column;
        if (binding.is_value()) ++named_;
        if (binding.is_literal()) read_ += read_literal(binding.literal());
        if (binding.is_tuple()) open.push_back(binding.elements());
      }
    }
  }
  void take(mil::Block block) {
    read_ += block.place().column;
    for (const mil::Value value : block.inputs()) take(value);
    take(block.outputs());
    std::size_t count = 0;
    for (const mil::Op op : block.ops()) {
      ++count;
      take(op);
      if (!(op.parent() == block)) fault_ = "an op's parent is not the block that lists it";
    }
    if (count != block.ops().size()) {
      fault_ = fmt::format("a block says {} ops and lists {}", block.ops().size(), count);
    }
  }
  void take(mil::Op op) {
    read_ += op.name().size() + op.opset_override().size() + op.place().column;
    read_ += op.info() != nullptr ? op.info()->name.size() : 0;
    for (const mil::Value value : op.results()) {
      take(value);
      if (!(value.producer() == op)) fault_ = "a result's producer is another op";
    }
    for (const mil::Argument argument : op.arguments()) {
      read_ += argument.name().size() + argument.place().column;
      take(argument.bindings());
    }
    for (const mil::Attribute attribute : op.attributes()) take(attribute);
    for (const mil::Block block : op.blocks()) {
      blocks_.push_back(block);
      if (!(block.parent() == op)) fault_ = "a block's parent is not the op that lists it";
    }
  }

  std::string fault_;
  std::size_t read_ = 0;  // keeps the reading from being left out as dead
  std::size_t named_ = 0;
  std::size_t uses_ = 0;
  std::vector<mil::Value> values_;
  std::vector<mil::Block> blocks_;
};

/// What the verifier says, without places and texts.
std::vector<std::string> verdict(const Module& module, std::string_view text, std::string& fault) {
  Diagnostics diagnostics;
  const bool ok = verify_mil(module, {}, diagnostics);
  if (ok == diagnostics.has_errors()) fault = "verify_mil() returns what its diagnostics deny";
  if (fault.empty()) fault = fault_of_places(text, diagnostics);
  std::vector<std::string> ids;
  for (const Diagnostic& diagnostic : diagnostics.all()) ids.push_back(diagnostic.id);
  return ids;
}

/// Prints `module`, reads that, and prints it again.
std::string fault_of_printing(const Module& module, const ModulePrintOptions& options,
                              std::string_view what, Module& again) {
  const std::string printed = print_mil(module, options);
  Diagnostics diagnostics;
  again = parse_mil(printed, diagnostics);
  if (!again) {
    return fmt::format("what is printed {} does not parse: {}", what, render(diagnostics));
  }
  if (print_mil(again, options) != printed) {
    return fmt::format("what is printed {} is no fixpoint", what);
  }
  if (compare_mil(module, again).verdict == Verdict::different) {
    return fmt::format("what is printed {} is another program", what);
  }
  return {};
}

}  // namespace

std::string fault_of_places(std::string_view text, const Diagnostics& diagnostics) {
  std::vector<std::size_t> starts{0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') starts.push_back(i + 1);
  }
  const auto holds = [&](const Place& place) {
    if (place.line == 0) return true;
    if (place.line > starts.size()) return false;
    const std::size_t start = starts[place.line - 1];
    const std::size_t end = place.line == starts.size() ? text.size() : starts[place.line] - 1;
    return place.column >= 1 && place.column - 1 <= end - start && place.length >= 1;
  };
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    // How many were left out is said of the whole text.
    bool all =
        holds(diagnostic.place) && (diagnostic.place.line != 0 || diagnostic.id == "report.many");
    for (const Note& note : diagnostic.notes) all = all && holds(note.place);
    if (!all) {
      return fmt::format("a place outside of the text: {}", render(diagnostic, {false, {}}));
    }
  }
  return {};
}

std::string fault_of_handles(const Module& module) { return Walk().fault_of(module); }

std::string fault_of_text(std::string_view text) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  if (static_cast<bool>(module) == diagnostics.has_errors()) {
    return "parse_mil() returns what its diagnostics deny";
  }
  std::string fault = fault_of_places(text, diagnostics);
  if (!fault.empty()) return fault;
  const std::vector<std::string> said = verdict(module, text, fault);
  if (!fault.empty() || !module) {
    // What was read of a broken text can be looked at and printed.
    if (fault.empty()) print_mil(module);
    return fault;
  }
  fault = fault_of_handles(module);
  Module again;
  if (fault.empty()) fault = fault_of_printing(module, {}, "as written", again);
  if (!fault.empty()) return fault;
  const std::string printed = print_mil(again);
  if (said != verdict(again, printed, fault))
    return "the verifier judges what is printed otherwise";
  if (fault.empty()) {
    fault = fault_of_printing(module, {.canonical = true}, "in canonical form", again);
  }
  return fault;
}

void stop_at(const std::string& fault) {
  if (fault.empty()) return;
  std::fprintf(stderr, "%s\n", fault.c_str());
  std::abort();
}

}  // namespace milgen::test
