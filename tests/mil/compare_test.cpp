#include "milgen/compare.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/weights.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

namespace fs = std::filesystem;

// --- Texts taken apart and put together another way: a second reader, which shares nothing with
// milgen's, for the layout that compilers write: one op a line, no nested blocks. ---

struct Argument {
  std::string name;
  std::vector<std::string> values;
};

struct Op {
  std::vector<std::pair<std::string, std::string>> results;  // type, name
  std::string word;
  std::vector<Argument> arguments;
  std::string rest;  // attributes and ';'

  bool is_const() const { return word == "const"; }
  /// What a const is, with its type; "" when it stands in a weight file.
  std::string literal() const {
    const std::size_t at = rest.find("val = ");
    if (!is_const() || at == rest.npos || rest.find("BLOBFILE") != rest.npos) return {};
    return rest.substr(at + 6, rest.rfind("];") - at - 6);
  }
};

struct Text {
  std::string head;                                         // up to "func "
  std::string function;                                     // "func main<ios18>"
  std::vector<std::pair<std::string, std::string>> inputs;  // type, name
  std::string behind_inputs;                                // attributes and " {"
  std::vector<Op> ops;
  std::vector<std::string> outputs;
};

/// The end of what begins at `at`: the next of `stops` outside of all brackets and strings.
std::size_t piece_end(std::string_view text, std::size_t at, std::string_view stops) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
      continue;
    }
    if (depth == 0 && stops.find(c) != stops.npos) return at;
    if (std::string_view("([{<").find(c) != stops.npos) ++depth;
    if (std::string_view(")]}>").find(c) != stops.npos) --depth;
  }
  return text.size();
}

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = piece_end(text, 0, ",");
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 2));
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> typed_names(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& piece : pieces(text)) {
    const std::size_t space = piece.rfind(' ');
    out.emplace_back(piece.substr(0, space), piece.substr(space + 1));
  }
  return out;
}

bool is_name(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(
             text,
             [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }) &&
         std::isdigit(static_cast<unsigned char>(text[0])) == 0 && text != "true" &&
         text != "false";
}

/// False for a text with blocks or several functions.
bool read_text(const std::string& source, Text& out) {
  const std::size_t func = source.find("func ");
  if (func == source.npos || source.find("func ", func + 1) != source.npos) return false;
  out = {};
  out.head = source.substr(0, func);
  std::istringstream lines(source.substr(func));
  std::string line;
  std::getline(lines, line);
  const std::size_t open = line.find('(');
  const std::size_t close = piece_end(line, open + 1, ")");
  out.function = line.substr(0, open);
  out.inputs = typed_names(std::string_view(line).substr(open + 1, close - open - 1));
  out.behind_inputs = line.substr(close + 1);
  while (std::getline(lines, line)) {
    const std::size_t start = line.find_first_not_of(' ');
    const std::string_view text = std::string_view(line).substr(start);
    if (text.starts_with("} -> (")) {
      if (start != 8) return false;
      for (std::string& name : pieces(text.substr(6, text.find(')') - 6)))
        out.outputs.push_back(name);
      return true;
    }
    Op op;
    const std::size_t equals = piece_end(text, 0, "=");
    const std::size_t paren = piece_end(text, 0, "(");
    std::size_t word = 0;
    if (equals < paren) {
      op.results = typed_names(text.substr(0, equals - 1));
      word = equals + 2;
    }
    const std::size_t arguments = text.find('(', word);
    if (arguments == text.npos) return false;
    const std::size_t end = piece_end(text, arguments + 1, ")");
    if (text.substr(end).find("];") == text.npos && !text.ends_with(");")) return false;
    op.word = std::string(text.substr(word, arguments - word));
    for (const std::string& piece : pieces(text.substr(arguments + 1, end - arguments - 1))) {
      const std::size_t at = piece.find(" = ");
      Argument argument{piece.substr(0, at), {}};
      const std::string value = piece.substr(at + 3);
      if (value.starts_with("(")) {
        argument.values = pieces(std::string_view(value).substr(1, value.size() - 2));
      } else {
        argument.values = {value};
      }
      op.arguments.push_back(std::move(argument));
    }
    op.rest = std::string(text.substr(end + 1));
    out.ops.push_back(std::move(op));
  }
  return false;
}

std::string write_text(const Text& text) {
  std::string out = text.head + text.function + "(";
  for (std::size_t i = 0; i < text.inputs.size(); ++i) {
    out += (i != 0 ? ", " : "") + text.inputs[i].first + " " + text.inputs[i].second;
  }
  out += ")" + text.behind_inputs + "\n";
  for (const Op& op : text.ops) {
    out += "            ";
    for (std::size_t i = 0; i < op.results.size(); ++i) {
      out += (i != 0 ? ", " : "") + op.results[i].first + " " + op.results[i].second;
    }
    if (!op.results.empty()) out += " = ";
    out += op.word + "(";
    for (std::size_t i = 0; i < op.arguments.size(); ++i) {
      const Argument& argument = op.arguments[i];
      out += (i != 0 ? ", " : "") + argument.name + " = ";
      if (argument.values.size() != 1) out += "(";
      for (std::size_t j = 0; j < argument.values.size(); ++j) {
        out += (j != 0 ? ", " : "") + argument.values[j];
      }
      if (argument.values.size() != 1) out += ")";
    }
    out += ")" + op.rest + "\n";
  }
  out += "        } -> (";
  for (std::size_t i = 0; i < text.outputs.size(); ++i)
    out += (i != 0 ? ", " : "") + text.outputs[i];
  return out + ");\n}";
}

template <class Change>
void for_each_use(Text& text, const Change& change) {
  for (Op& op : text.ops) {
    for (Argument& argument : op.arguments) {
      for (std::string& value : argument.values) {
        if (is_name(value)) change(value);
      }
    }
  }
  for (std::string& output : text.outputs) change(output);
}

void rename_all(Text& text, bool interface_too) {
  std::map<std::string, std::string> names;
  std::set<std::string> kept(text.outputs.begin(), text.outputs.end());
  std::size_t next = 0;
  const auto rename = [&](std::string& name, bool keep) {
    if (!keep) name = names.try_emplace(name, "zz" + std::to_string(next++)).first->second;
  };
  for (auto& [type, name] : text.inputs) rename(name, !interface_too);
  for (Op& op : text.ops) {
    for (auto& [type, name] : op.results) rename(name, !interface_too && kept.contains(name));
  }
  for_each_use(text, [&](std::string& value) {
    if (const auto found = names.find(value); found != names.end()) value = found->second;
  });
}

/// Any order in which every value stands in front of its uses.
void shuffle(Text& text, std::mt19937& random) {
  std::map<std::string, std::size_t> maker;
  for (std::size_t i = 0; i < text.ops.size(); ++i) {
    for (const auto& [type, name] : text.ops[i].results) maker[name] = i;
  }
  std::vector<std::vector<std::size_t>> users(text.ops.size());
  std::vector<std::size_t> missing(text.ops.size(), 0);
  for (std::size_t i = 0; i < text.ops.size(); ++i) {
    for (const Argument& argument : text.ops[i].arguments) {
      for (const std::string& value : argument.values) {
        const auto found = maker.find(value);
        if (found == maker.end()) continue;
        users[found->second].push_back(i);
        ++missing[i];
      }
    }
  }
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (missing[i] == 0) ready.push_back(i);
  }
  std::vector<Op> ordered;
  while (!ready.empty()) {
    std::swap(ready[random() % ready.size()], ready.back());
    const std::size_t i = ready.back();
    ready.pop_back();
    for (const std::size_t user : users[i]) {
      if (--missing[user] == 0) ready.push_back(user);
    }
    ordered.push_back(text.ops[i]);
  }
  REQUIRE(ordered.size() == text.ops.size());
  text.ops = std::move(ordered);
}

void inline_constants(Text& text) {
  std::map<std::string, std::string> values;
  for (const Op& op : text.ops) {
    if (!op.literal().empty()) values[op.results[0].second] = op.literal();
  }
  for (const std::string& output : text.outputs) values.erase(output);
  std::erase_if(text.ops, [&](const Op& op) {
    return op.is_const() && values.contains(op.results[0].second);
  });
  for_each_use(text, [&](std::string& value) {
    if (const auto found = values.find(value); found != values.end()) value = found->second;
  });
}

/// Each use of a constant gets a const op of its own, in front of it.
void hoist_constants(Text& text) {
  inline_constants(text);
  std::vector<Op> ops;
  for (Op& op : text.ops) {
    for (Argument& argument : op.arguments) {
      for (std::string& value : argument.values) {
        const std::size_t open = piece_end(value, 0, "(");
        if (is_name(value) || open == 0 || open == value.size()) continue;
        const std::string name = "hoisted_" + std::to_string(ops.size());
        ops.push_back({{{value.substr(0, open), name}}, "const", {}, "[val = " + value + "];"});
        value = name;
      }
    }
    ops.push_back(op);
  }
  text.ops = std::move(ops);
}

void reverse_arguments(Text& text) {
  for (Op& op : text.ops) std::ranges::reverse(op.arguments);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t found = 0; (found = text.find(from, at)) != text.npos;
       at = found + from.size()) {
    out.append(text, at, found - at).append(to);
  }
  return out.append(text, at);
}

/// program(1.0) as program(1.3) and the other way round.
std::string other_dialect(std::string text) {
  const char* const kWords[] = {"string", "bool",   "int8",   "int16", "int32", "int64", "uint8",
                                "uint16", "uint32", "uint64", "fp16",  "fp32",  "fp64"};
  const bool is_old = text.starts_with("program(1.0)");
  text = is_old ? "program(1.3)" + text.substr(12) : "program(1.0)" + text.substr(12);
  for (const std::string word : kWords) {
    const std::string long_form = "tensor<" + word + ", []>";
    if (is_old) {
      text = replaced(text, long_form, word);
      continue;
    }
    std::string out;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '"') in_string = !in_string;
      const bool begins = i != 0 && std::string_view(" (<").find(text[i - 1]) != std::string::npos;
      const std::size_t end = i + word.size();
      const bool scalar =
          !in_string && begins && text.compare(i, word.size(), word) == 0 &&
          (text[end] == '(' || text[end] == '>' || text[end] == ' ' || text[end] == ',') &&
          !std::string_view(text).substr(0, i).ends_with("tensor<") &&
          !std::string_view(text).substr(0, i).ends_with("tensor_buffer<");
      if (scalar) {
        out += long_form;
        i = end - 1;
      } else {
        out += text[i];
      }
    }
    text = std::move(out);
  }
  return text;
}

/// 0x1.8p+1 as 3.0.
std::string decimal_floats(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text.compare(i, 2, "0x") != 0) {
      out += text[i++];
      continue;
    }
    char* end = nullptr;
    char spelled[64];
    std::snprintf(spelled, sizeof spelled, "%.17g", std::strtod(text.c_str() + i, &end));
    out += spelled;
    if (std::string_view(spelled).find_first_of(".en") == std::string::npos) out += ".0";
    i = static_cast<std::size_t>(end - text.c_str());
  }
  return out;
}

// --- Comparing ---

Module read(const std::string& text) {
  Diagnostics diagnostics;
  Module module = parse_mil(text, diagnostics);
  INFO(render(diagnostics));
  REQUIRE(static_cast<bool>(module));
  return module;
}

std::string summary(const Comparison& comparison) {
  std::string out = comparison.verdict == Verdict::identical ? "identical"
                    : comparison.verdict == Verdict::same    ? "same"
                                                             : "different";
  for (const Change& change : comparison.changes) {
    out += "\n" + std::string(change_name(change.kind)) + ": " + change.what;
  }
  return out;
}

Comparison compare(const std::string& a, const std::string& b, const CompareOptions& options = {}) {
  const Module module_a = read(a);
  const Module module_b = read(b);
  Diagnostics diagnostics;
  Comparison out = compare_mil(module_a, module_b, options, diagnostics);
  INFO(render(diagnostics));
  CHECK(diagnostics.empty());
  return out;
}

std::string file_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".mil") out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

void same_however_written(const std::string& source) {
  Text text;
  REQUIRE(read_text(source, text));
  CHECK(compare(source, source).verdict == Verdict::identical);
  std::mt19937 random(7);
  const auto check = [&](const char* how, const std::string& changed) {
    INFO(how);
    const Comparison comparison = compare(source, changed);
    INFO(summary(comparison));
    CHECK(comparison.verdict != Verdict::different);
    CHECK(compare(changed, source).verdict != Verdict::different);
  };
  Text copy = text;
  check("printed again", write_text(copy));
  rename_all(copy, false);
  check("renamed", write_text(copy));
  copy = text;
  rename_all(copy, true);
  check("renamed with its interface", write_text(copy));
  copy = text;
  shuffle(copy, random);
  check("shuffled", write_text(copy));
  copy = text;
  inline_constants(copy);
  check("inlined", write_text(copy));
  copy = text;
  hoist_constants(copy);
  check("hoisted", write_text(copy));
  copy = text;
  reverse_arguments(copy);
  check("arguments reversed", write_text(copy));
  check("restyled", other_dialect(source));
  check("decimal", decimal_floats(source));
  copy = text;
  hoist_constants(copy);
  rename_all(copy, true);
  shuffle(copy, random);
  reverse_arguments(copy);
  check("all together", decimal_floats(other_dialect(write_text(copy))));
}

/// Another value of the same type; "" when there is none to be had simply.
std::string other_value(std::string literal) {
  const std::size_t end = literal.find_last_not_of(")]");
  if (literal.find("true") != literal.npos) return replaced(literal, "true", "false");
  if (literal.find("false") != literal.npos) return replaced(literal, "false", "true");
  if (literal[end] == '"') return literal.insert(end, "x");
  if (literal.find("p+") != literal.npos || literal.find("p-") != literal.npos) {
    const std::size_t sign = literal.find_last_of("+-");
    return literal.compare(sign, end + 1 - sign, "+0") == 0 && literal.find("0x0p") == literal.npos
               ? literal.replace(sign, end + 1 - sign, "+1")
               : std::string();
  }
  if (std::isdigit(static_cast<unsigned char>(literal[end])) == 0) return {};
  return literal.insert(end + 1, "1");
}

/// The value by name that at most one op of the text gives, and is used.
std::map<std::string, std::size_t> use_counts(Text& text) {
  std::map<std::string, std::size_t> uses;
  for_each_use(text, [&](std::string& value) { ++uses[value]; });
  return uses;
}

struct Edits {
  std::size_t constants = 0;
  std::size_t ops = 0;
  std::size_t insertions = 0;
  std::size_t rewired = 0;
};

/// Every constant and every op changed, one at a time; at most `limit` of them, spread evenly.
void each_edit_is_shown(const std::string& source, std::size_t limit, Edits& edits) {
  Text text;
  REQUIRE(read_text(source, text));
  const std::map<std::string, std::size_t> uses = use_counts(text);
  const std::size_t step = std::max<std::size_t>(1, text.ops.size() / limit);
  const Module original = read(source);
  const auto compare_with = [&](const Text& changed) {
    const Module module = read(write_text(changed));
    return compare_mil(original, module);
  };
  for (std::size_t i = 0; i < text.ops.size(); i += step) {
    const Op& op = text.ops[i];
    if (op.results.empty() || !uses.contains(op.results[0].second)) continue;
    const std::string& name = op.results[0].second;
    INFO(name);
    Text changed = text;
    if (op.is_const()) {
      const std::string literal = op.literal();
      const std::string other = literal.empty() ? "" : other_value(literal);
      if (other.empty()) continue;
      changed.ops[i].rest = replaced(op.rest, literal, other);
      const Comparison comparison = compare_with(changed);
      INFO(summary(comparison));
      CHECK(comparison.verdict == Verdict::different);
      REQUIRE(comparison.changes.size() == 1);
      const Change& change = comparison.changes[0];
      const bool is_output = std::ranges::find(text.outputs, name) != text.outputs.end();
      CHECK(change.kind == (is_output ? ChangeKind::output_changed : ChangeKind::constant_changed));
      CHECK(change.b.text.find(" " + name) != std::string::npos);
      if (!is_output) CHECK(change.uses.size() == uses.at(name));
      ++edits.constants;
      continue;
    }
    changed.ops[i].word = "another_op";
    Comparison comparison = compare_with(changed);
    CHECK_MESSAGE(comparison.changes.size() == 1, summary(comparison));
    CHECK(comparison.changes[0].kind == ChangeKind::op_changed);
    CHECK(comparison.changes[0].what == "another_op " + name + ": the op is " +
                                            op.word.substr(0, op.word.find('<')) +
                                            " -> another_op");
    ++edits.ops;

    changed = text;
    for_each_use(changed, [&](std::string& value) { value = value == name ? "zz_new" : value; });
    Op added{{{op.results[0].first, "zz_new"}}, "identity", {{"x", {name}}}, ";"};
    changed.ops.insert(changed.ops.begin() + static_cast<std::ptrdiff_t>(i) + 1, added);
    comparison = compare_with(changed);
    CHECK_MESSAGE(comparison.changes.size() == 1, summary(comparison));
    CHECK(comparison.changes[0].kind == ChangeKind::op_added);
    CHECK(comparison.changes[0].what == "identity zz_new");
    ++edits.insertions;

    // Another value of the same type, from further up.
    for (std::size_t j = 0; j < op.arguments.size(); ++j) {
      const std::string& value = op.arguments[j].values[0];
      if (!is_name(value)) continue;
      std::string type;
      for (const auto& [input_type, input] : text.inputs) type = input == value ? input_type : type;
      std::string other;
      for (std::size_t k = 0; k < i; ++k) {
        if (text.ops[k].results.size() != 1 || text.ops[k].is_const()) continue;
        if (text.ops[k].results[0].second == value) type = text.ops[k].results[0].first;
      }
      for (std::size_t k = 0; k < i && !type.empty(); ++k) {
        const Op& candidate = text.ops[k];
        if (candidate.results.size() == 1 && !candidate.is_const() &&
            candidate.results[0].first == type && candidate.results[0].second != value) {
          other = candidate.results[0].second;
        }
      }
      if (other.empty()) continue;
      changed = text;
      changed.ops[i].arguments[j].values[0] = other;
      comparison = compare_with(changed);
      CHECK_MESSAGE(comparison.changes.size() == 1, summary(comparison));
      CHECK(comparison.changes[0].kind == ChangeKind::op_changed);
      CHECK(comparison.changes[0].what.find(value + " -> " + other) != std::string::npos);
      ++edits.rewired;
      break;
    }
  }
}

constexpr const char* kGolden = MILGEN_SOURCE_DIR "/golden/kernels/stories";

TEST_CASE("a kernel is the same graph however it is written") {
  const std::vector<fs::path> files = files_of(kGolden);
  REQUIRE(files.size() >= 6);
  for (const fs::path& file : files) {
    INFO(file.filename().string());
    same_however_written(file_text(file));
  }
}

TEST_CASE("every edit of a kernel is shown as that edit alone") {
  Edits edits;
  for (const fs::path& file : files_of(kGolden)) {
    INFO(file.filename().string());
    each_edit_is_shown(file_text(file), 1000, edits);
  }
  MESSAGE("edits shown: " << edits.constants << " constants, " << edits.ops << " ops, "
                          << edits.insertions << " insertions, " << edits.rewired << " operands");
  CHECK(edits.constants > 100);
  CHECK(edits.rewired > 20);
}

TEST_CASE("real files: the same however written, different when edited") {
  const char* named = std::getenv("MILGEN_CORPUS");  // NOLINT(concurrency-mt-unsafe): one thread
  const fs::path folder = named != nullptr ? named : MILGEN_SOURCE_DIR "/../shared/corpus";
  const std::vector<fs::path> files = files_of(folder);
  if (files.empty()) {
    MESSAGE("skipped: there are no real files in " << folder.string());
    return;
  }
  Edits edits;
  std::size_t taken = 0;
  for (const fs::path& file : files) {
    INFO(file.filename().string());
    const std::string source = file_text(file);
    CHECK(compare(source, source).verdict == Verdict::identical);
    Text text;
    if (!read_text(source, text)) continue;
    ++taken;
    same_however_written(source);
    each_edit_is_shown(source, 24, edits);
  }
  MESSAGE(taken << " of " << files.size()
                << " files (the others have blocks or several functions); " << edits.constants
                << " constants, " << edits.ops << " ops, " << edits.insertions << " insertions, "
                << edits.rewired << " operands edited");
}

// --- Small programs ---

std::string program(const std::string& inputs, const std::string& ops, const std::string& outputs) {
  return "program(1.3)\n{\n    func main<ios18>(" + inputs + ") {\n" + ops + "        } -> (" +
         outputs + ");\n}";
}
const std::string kX = "tensor<fp16, [2, 4]> x";
const std::string kXY = "tensor<fp16, [2, 4]> x, tensor<fp16, [2, 4]> y";
std::string op(const std::string& name, const std::string& call) {
  return "            tensor<fp16, [2, 4]> " + name + " = " + call + ";\n";
}

TEST_CASE("a constant that changed is shown with both values and its uses") {
  const auto text = [](const std::string& value) {
    return program(kX,
                   "            fp16 eps = const()[val = fp16(" + value + ")];\n" +
                       op("a", "add(x = x, y = eps)") + op("b", "mul(x = a, y = eps)"),
                   "b");
  };
  const Comparison comparison = compare(text("0x1p-2"), text("0.5"));
  REQUIRE(comparison.changes.size() == 1);
  const Change& change = comparison.changes[0];
  CHECK(change.what == "eps: 0.25 -> 0.5");
  CHECK(change.a.text == "fp16 eps = 0x1p-2");
  CHECK(change.b.text == "fp16 eps = 0.5");
  REQUIRE(change.b.marks.size() == 1);
  CHECK(change.b.text.substr(change.b.marks[0].first) == "0.5");
  CHECK(change.a.place.line == 4);
  REQUIRE(change.uses.size() == 2);
  CHECK(change.uses[0].text == "add a, argument y");
  CHECK(change.uses[1].place.line == 6);
  CHECK(comparison.equal_ops == 0);
  // The same number in another spelling, also where it has to be rounded.
  CHECK(compare(text("0x1p-2"), text("2.5e-1")).verdict == Verdict::same);
  CHECK(compare(text("0.1"), text("0x1.998p-4")).verdict == Verdict::same);
  CHECK(compare(text("0.1"), text("0x1.99cp-4")).verdict == Verdict::different);
  CHECK(compare(text("0x0p+0"), text("-0x0p+0")).verdict == Verdict::different);
}

TEST_CASE("elements of a longer constant") {
  const auto text = [](const std::string& value) {
    return program(kX,
                   "            tensor<int32, [4]> p = const()[val = tensor<int32, [4]>([" + value +
                       "])];\n" + op("a", "pad(x = x, pad = p)"),
                   "a");
  };
  const Comparison comparison = compare(text("0, 1, 2, 3"), text("0, 1, 5, 6"));
  REQUIRE(comparison.changes.size() == 1);
  REQUIRE(comparison.changes[0].notes.size() == 1);
  CHECK(comparison.changes[0].notes[0] == "2 of 4 elements differ, the first at 2: 2 -> 5");
}

TEST_CASE("an op computed twice is not an op computed once") {
  const std::string once = program(kX, op("a", "relu(x = x)") + op("b", "add(x = a, y = a)"), "b");
  const std::string twice = program(
      kX, op("a", "relu(x = x)") + op("c", "relu(x = x)") + op("b", "add(x = a, y = c)"), "b");
  const Comparison comparison = compare(once, twice);
  CHECK(summary(comparison) == "different\nop added: relu c\nop changed: add b: y: a -> c");
  CHECK(comparison.changes[0].notes[0] == "it computes what relu a does");
  // Which of two twins is used makes no difference, but how they are shared does.
  const std::string other = program(
      kX, op("c", "relu(x = x)") + op("a", "relu(x = x)") + op("b", "add(x = a, y = c)"), "b");
  CHECK(compare(twice, other).verdict == Verdict::same);
  const std::string dead = program(
      kX, op("a", "relu(x = x)") + op("c", "relu(x = x)") + op("b", "add(x = a, y = a)"), "b");
  CHECK(compare(twice, dead).verdict == Verdict::different);
  CHECK(compare(dead, dead + "\n").verdict == Verdict::same);
}

TEST_CASE("ops that nothing uses count as well, constants do not") {
  const std::string bare = program(kX, op("a", "relu(x = x)"), "a");
  const std::string dead = program(kX, op("a", "relu(x = x)") + op("d", "exp(x = a)"), "a");
  CHECK(summary(compare(bare, dead)) == "different\nop added: exp d");
  CHECK(summary(compare(dead, bare)) == "different\nop removed: exp d");
  const std::string constant =
      program(kX, "            fp16 c = const()[val = fp16(1.0)];\n" + op("a", "relu(x = x)"), "a");
  CHECK(compare(bare, constant).verdict == Verdict::same);
}

TEST_CASE("operands of one op keep their places") {
  const std::string a = program(kXY, op("a", "sub(x = x, y = y)"), "a");
  const std::string b = program(kXY, op("a", "sub(x = y, y = x)"), "a");
  CHECK(summary(compare(a, b)) == "different\nop changed: sub a: x: x -> y; y: y -> x");
  const std::string swapped =
      program("tensor<fp16, [2, 4]> y, tensor<fp16, [2, 4]> x", op("a", "sub(x = x, y = y)"), "a");
  CHECK(compare(a, swapped).verdict == Verdict::same);
  CHECK(compare(a, swapped).remarks[0] == "the inputs of function main are in another order");
  const std::string c = program(kXY, op("a", "sub(x = x, y = y)") + op("b", "exp(x = x)"), "a, b");
  const std::string d = program(kXY, op("a", "sub(x = y, y = x)") + op("b", "exp(x = x)"), "a, b");
  CHECK(summary(compare(c, d)) == "different\nop changed: sub a: x: x -> y; y: y -> x");
  const std::string e = program(kXY, op("a", "add(x = x, y = y)") + op("b", "exp(x = x)"), "a, b");
  const std::string f = program(kXY, op("a", "add(x = y, y = x)") + op("b", "exp(x = x)"), "a, b");
  CHECK(compare(e, f).verdict == Verdict::different);
  const Comparison exchanged = compare(e, f, {.commutative = true});
  CHECK(exchanged.verdict == Verdict::same);
  CHECK(exchanged.remarks == std::vector<std::string>{"operands of commutative ops are exchanged"});
  CHECK(compare(c, d, {.commutative = true}).verdict == Verdict::different);
}

TEST_CASE("interfaces") {
  const std::string a = program(kX, op("a", "relu(x = x)"), "a");
  const Comparison renamed =
      compare(a, program("tensor<fp16, [2, 4]> in", op("out", "relu(x = in)"), "out"));
  CHECK(renamed.verdict == Verdict::same);
  CHECK(renamed.remarks[0] == "inputs and outputs have other names: x -> in, a -> out");

  const std::string wide = program(
      "tensor<fp16, [2, 8]> x",
      "            tensor<fp16, [2, 8]> a = relu(x = x);\n            tensor<fp16, [2, 8]> b = "
      "exp(x = a);\n",
      "b");
  const Comparison shape =
      compare(program(kX, op("a", "relu(x = x)") + op("b", "exp(x = a)"), "b"), wide);
  CHECK(summary(shape) == "different\ninput changed: the type of input x");
  CHECK(shape.changes[0].a.text == "tensor<fp16, [2, 4]> x");
  CHECK(shape.following_ops == 2);

  CHECK(summary(compare(a, program(kXY, op("a", "relu(x = x)"), "a"))) ==
        "different\ninput changed: input y is added");
  const std::string two_outputs = op("a", "relu(x = x)") + op("b", "exp(x = a)");
  const Comparison order =
      compare(program(kX, two_outputs, "a, b"), program(kX, two_outputs, "b, a"));
  CHECK(order.verdict == Verdict::same);
  CHECK(order.remarks ==
        std::vector<std::string>{"the outputs of function main are in another order"});
  const std::string exchanged = op("b", "relu(x = x)") + op("a", "exp(x = b)");
  CHECK(compare(program(kX, two_outputs, "a, b"), program(kX, exchanged, "a, b")).verdict ==
        Verdict::different);
  CHECK(summary(compare(program(kX, op("a", "relu(x = x)"), "a"),
                        program(kX, op("a", "relu(x = x)"), "a, a"))) ==
        "different\noutput changed: output 1 is added");
}

TEST_CASE("what is written differently in one graph is said") {
  const auto remarks = [](const std::string& a, const std::string& b) {
    const Comparison comparison = compare(a, b);
    CHECK(comparison.verdict == Verdict::same);
    REQUIRE(comparison.remarks.size() == 1);
    return comparison.remarks[0];
  };
  const std::string first = "            fp16 c = const()[val = fp16(1.0)];\n";
  const std::string second = "            fp16 d = const()[val = fp16(2.0)];\n";
  const std::string ops = op("a", "add(x = x, y = c)") + op("b", "add(x = a, y = d)");
  const std::string text = program(kX, first + second + ops, "b");
  CHECK(remarks(text, program(kX, second + first + ops, "b")) == "constant ops stand elsewhere");
  CHECK(remarks(text, replaced(text, "y = c)", "y = c)[name = string(\"q\")]")) ==
        "1 name attribute differs");
  CHECK(remarks(text, replaced(text, "fp16(1.0)", "fp16(0x1p+0)")) ==
        "1 value is in another spelling");
  CHECK(remarks(text, replaced(text, "fp16(1.0)", "fp16( 1.0)")) ==
        "only layout or comments differ");
  CHECK(remarks(text, replaced(text, "= fp16(1.0)];", "= fp16(1.0)]; // one")) ==
        "only layout or comments differ");
  std::string returns;
  for (const char c : text) returns += c == '\n' ? "\r\n" : std::string(1, c);
  CHECK(remarks(text, returns) == "only line ends differ");
  const auto unused = [&](const std::string& value) {
    return program(
        kX, first + second + ops + "            int32 u = const()[val = int32(" + value + ")];\n",
        "b");
  };
  CHECK(remarks(unused("1"), unused("2")) ==
        "the first lines that differ, without space: int32 u=const()[val=int32(1)]; against int32 "
        "u=const()[val=int32(2)];");
  const Comparison lost = compare(replaced(text, "fp16(1.0)", "fp16(70000.0)"),
                                  replaced(text, "fp16(1.0)", "fp16(inf)"));
  CHECK(lost.verdict == Verdict::same);
  CHECK(lost.remarks ==
        std::vector<std::string>{
            "1 value is in another spelling",
            "1 value is a number that the dtype does not hold: 70000.0 is inf in fp16"});
  const std::string bare =
      program(kX, op("a", "concat(values = (x), axis = int32(0), interleave = false)"), "a");
  const Comparison typed = compare(bare, replaced(bare, "= false", "= bool(false)"));
  CHECK(typed.remarks == std::vector<std::string>{"1 literal has a type in one of the two alone"});
}

TEST_CASE("changes that look alike on both sides say where they come from") {
  const std::string split =
      "            tensor<fp16, [2, 4]> p, tensor<fp16, [2, 4]> q = split(x = x);\n";
  const std::string other =
      replaced(replaced(replaced(split, "> p", "> t"), "> q", "> p"), "> t", "> q");
  CHECK(summary(compare(program(kX, split + op("a", "relu(x = p)"), "a"),
                        program(kX, other + op("a", "relu(x = p)"), "a"))) ==
        "different\nop changed: relu a: x: p (result 0 of split) -> p (result 1 of split)");
  CHECK(summary(compare(program(kX, op("a", "relu(x = x)"), "a"),
                        program(kX, op("a", "relu(x = w)"), "a"))) ==
        "different\nop changed: relu a: x: x (an input) -> w (not defined)");
  CHECK(summary(compare(program(kX, op("a", "add(x = x, y = fp16(1.0))"), "a"),
                        program(kX, op("a", "add(x = x, y = fp32(1.0))"), "a"))) ==
        "different\nconstant changed: y of add a: fp16 -> fp32");
}

TEST_CASE("an annotation that alone differs is a difference") {
  const std::string a = program(kX, op("a", "relu(x = x)"), "a");
  const std::string b = program(kX, "            tensor<fp16, [8, 1]> a = relu(x = x);\n", "a");
  CHECK(summary(compare(a, b)) == "different\nop changed: relu a: the result's type");
}

TEST_CASE("attributes but for the name, opsets, functions") {
  const std::string a = program(kX, op("a", "relu(x = x)[name = string(\"a\")]"), "a");
  CHECK(compare(a, program(kX, op("a", "relu(x = x)"), "a")).verdict == Verdict::same);
  CHECK(summary(compare(a, program(kX, op("a", "relu(x = x)[milId = uint64(3)]"), "a"))) ==
        "different\nop changed: relu a: attribute milId");
  CHECK(summary(compare(a, program(kX, op("a", "relu<ios17>(x = x)"), "a"))) ==
        "different\nop changed: relu a: the op's opset is '' -> 'ios17'");
  CHECK(summary(compare(a, replaced(a, "main<ios18>", "main<ios17>"))) ==
        "different\nfunction changed: function main: the opset is ios18 -> ios17");
  const Comparison renamed = compare(a, replaced(a, "main<", "other<"));
  CHECK(renamed.verdict == Verdict::same);
  CHECK(renamed.remarks[0] == "function main is called other");
  const std::string two =
      a.substr(0, a.size() - 1) + "    func second<ios18>() {\n        } -> ();\n}";
  CHECK(summary(compare(a, two)) == "different\nfunction changed: function second is added");
  CHECK(summary(compare(two, a)) == "different\nfunction changed: function second is removed");
  const std::string with_info = replaced(
      a, "program(1.3)\n", "program(1.3)\n[buildInfo = dict<string, string>({{\"a\", \"b\"}})]\n");
  CHECK(compare(a, with_info).verdict == Verdict::same);
  const std::string with_more = replaced(with_info, "buildInfo", "other");
  CHECK(summary(compare(a, with_more)) ==
        "different\nprogram changed: attribute other of the program");
}

TEST_CASE("tuples: one element is the value, order counts") {
  const auto text = [](const std::string& values) {
    return program(
        kXY, op("a", "concat(values = " + values + ", axis = int32(0), interleave = false)"), "a");
  };
  CHECK(compare(text("(x)"), text("x")).verdict == Verdict::same);
  CHECK(summary(compare(text("(x, y)"), text("(x, y, x)"))) ==
        "different\nop changed: concat a: values = x is added");
  CHECK(compare(text("((x, y), x)"), text("(x, (y, x))")).verdict == Verdict::different);
  CHECK(compare(text("((x, y), x)"), text("((x, y), x)")).verdict == Verdict::identical);
  CHECK(compare(text("()"), text("x")).verdict == Verdict::different);
  // Bare literals are the scalars that they stand for.
  CHECK(compare(text("x"), replaced(text("x"), "= false", "= bool(false)")).verdict ==
        Verdict::same);
  CHECK(compare(text("x"), replaced(text("x"), "= false", "= bool(true)")).verdict ==
        Verdict::different);
}

TEST_CASE("reads and writes of one state keep their order") {
  const std::string inputs = "state<tensor<fp16, [2, 4]>> s, state<tensor<fp16, [2, 4]>> t, " + kX;
  const std::string write = "            write_state(data = x, input = s);\n";
  const std::string write_t = "            write_state(data = x, input = t);\n";
  const std::string read_s = op("r", "read_state(input = s)");
  const std::string after = program(inputs, write + read_s, "r");
  const std::string before = program(inputs, read_s + write, "r");
  const Comparison order = compare(after, before);
  CHECK(summary(order) ==
        "different\nop changed: read_state r: state s is at another write: line 4 -> as it came");
  // Another state's write may stand anywhere.
  CHECK(compare(program(inputs, write + write_t + read_s, "r"),
                program(inputs, write_t + write + read_s, "r"))
            .verdict == Verdict::same);
  CHECK(summary(compare(before, program(inputs, read_s + write + write_t, "r"))) ==
        "different\nop added: write_state");
}

std::string loop(const std::string& body, const std::string& limit) {
  return program(
      "int32 i, " + kX,
      "            int32 n, tensor<fp16, [2, 4]> h = while_loop(loop_vars = (i, x))[name = "
      "string(\"l\")]\n                (int32 ci, tensor<fp16, [2, 4]> ch) {\n                    "
      "bool go = less(x = ci, y = int32(" +
          limit +
          "));\n                } -> (go)\n            "
          "    (int32 bi, tensor<fp16, [2, 4]> bh) {\n                    int32 next = add(x = bi, "
          "y = "
          "int32(1));\n" +
          body + "                } -> (next, out);\n",
      "h");
}

TEST_CASE("blocks") {
  const std::string relu = "                    tensor<fp16, [2, 4]> out = relu(x = bh);\n";
  const std::string a = loop(relu, "8");
  CHECK(compare(a, a).verdict == Verdict::identical);
  CHECK(compare(a, replaced(replaced(a, "bi", "counter"), "bh", "carried")).verdict ==
        Verdict::same);
  const Comparison limit = compare(a, loop(relu, "9"));
  CHECK(summary(limit) == "different\nconstant changed: y of less go: 8 -> 9");
  CHECK(summary(compare(a, loop(replaced(relu, "relu", "exp"), "8"))) ==
        "different\nop changed: exp out: the op is relu -> exp");
  CHECK(summary(compare(a, loop(replaced(relu, "x = bh", "x = x"), "8"))) ==
        "different\nop changed: relu out: x: bh -> x");
  CHECK(summary(compare(a, replaced(a, "-> (next, out)", "-> (bi, out)")))
            .starts_with(
                "different\noutput changed: output 0 of a block of while_loop n is another value"));
}

TEST_CASE("several changes in one chain") {
  const auto chain = [](const std::string& first, const std::string& middle,
                        const std::string& last) {
    return program(kX,
                   op("a", first) + op("b", "exp(x = a)") + op("c", middle) +
                       op("d", "tanh(x = c)") + op("e", last) + op("f", "add(x = e, y = b)"),
                   "f");
  };
  const std::string a = chain("mul(x = x, y = fp16(2.0))", "relu(x = b)", "sqrt(x = d)");
  CHECK(summary(compare(a, chain("mul(x = x, y = fp16(3.0))", "relu(x = b)", "sqrt(x = d)"))) ==
        "different\nconstant changed: y of mul a: 2.0 -> 3.0");
  CHECK(
      summary(compare(a, chain("mul(x = x, y = fp16(3.0))", "relu6(x = b)", "sqrt(x = b)"))) ==
      "different\nconstant changed: y of mul a: 2.0 -> 3.0\nop changed: relu6 c: the op is relu -> "
      "relu6\nop changed: sqrt e: x: d -> b");
}

TEST_CASE("weights by place, and by value") {
  const auto text = [](const std::string& path, std::uint64_t offset) {
    return program(
        kX,
        "            tensor<fp16, [4]> w = const()[val = tensor<fp16, [4]>(BLOBFILE(path "
        "= string(\"@model_path/" +
            path + "\"), offset = uint64(" + std::to_string(offset) + ")))];\n" +
            op("a", "add(x = x, y = w)"),
        "a");
  };
  const std::uint16_t ones[] = {0x3C00, 0x3C00, 0x3C00, 0x3C00};
  const std::uint16_t others[] = {0x3C00, 0x4000, 0x3C00, 0x3C00};
  const WeightPayload payload_ones{DType::fp16, std::as_bytes(std::span(ones)), 0};
  const WeightPayload payload_others{DType::fp16, std::as_bytes(std::span(others)), 0};
  const WeightPayload both[] = {payload_others, payload_ones};
  const TemporaryFolder folder;
  const auto save = [&](const std::string& name, std::span<const WeightPayload> payloads) {
    folder.write(name, weight_file_bytes(payloads));
  };
  save("one.bin", {&payload_ones, 1});
  save("two.bin", both);
  const std::string one = text("one.bin", 64);
  const std::string first = text("two.bin", 64);
  const std::string second = text("two.bin", 192);
  CHECK(compare(one, one).verdict == Verdict::identical);
  const Comparison by_place = compare(one, second);
  CHECK(summary(by_place) == "different\nweight changed: w");
  CHECK(by_place.changes[0].b.text ==
        "tensor<fp16, [4]> w = BLOBFILE(\"@model_path/two.bin\", 192)");
  CHECK(by_place.changes[0].notes[0] ==
        "compared by path and offset; values in weight files were not looked at");
  const CompareOptions by_value{.weights = true,
                                .model_path_a = folder.path().string(),
                                .model_path_b = folder.path().string()};
  const Comparison same = compare(one, second, by_value);
  CHECK(same.verdict == Verdict::same);
  CHECK(same.remarks[0] == "1 weight stands at another place, with the same values");
  const Comparison different = compare(one, first, by_value);
  REQUIRE(different.changes.size() == 1);
  CHECK(different.changes[0].notes[0] == "1 of 4 elements differs, the first at 1: 1.0 -> 2.0");
  const std::string in_text = program(kX,
                                      "            tensor<fp16, [4]> w = const()[val = "
                                      "tensor<fp16, [4]>([1.0, 1.0, 1.0, 1.0])];\n" +
                                          op("a", "add(x = x, y = w)"),
                                      "a");
  CHECK(compare(one, in_text, by_value).verdict == Verdict::same);
  CHECK(compare(first, in_text, by_value).verdict == Verdict::different);
  // What cannot be read is reported, and compared by place.
  Diagnostics diagnostics;
  const Module a = read(one);
  const Module b = read(text("none.bin", 64));
  CHECK(compare_mil(a, b, by_value, diagnostics).verdict == Verdict::different);
  CHECK(diagnostics.has_errors());
}

TEST_CASE("edits through the API are seen, and only they") {
  const std::string source = file_text(std::string(kGolden) + "/ffn_bwd.small.mil");
  const Module original = read(source);
  Module edited = original.clone();
  Diagnostics diagnostics;
  const auto find = [&](std::string_view name) {
    for (const mil::Op candidate : edited.functions()[0].body().ops()) {
      for (const mil::Value result : candidate.results()) {
        if (result.name() == name) return candidate;
      }
    }
    return mil::Op();
  };
  REQUIRE(edited.rename(find("dsd").results()[0], "renamed", diagnostics));
  CHECK(compare_mil(original, edited).verdict == Verdict::same);
  CHECK(compare_mil(original, edited).remarks ==
        std::vector<std::string>{"1 name differs", "1 name attribute differs"});
  edited.set_op_name(find("sig"), "tanh");
  const Comparison comparison = compare_mil(original, edited);
  CHECK(summary(comparison) == "different\nop changed: tanh sig: the op is sigmoid -> tanh");
  CHECK(comparison.changes[0].b.op == find("sig"));
  CHECK(diagnostics.empty());
}

TEST_CASE("changes beyond the limit are counted") {
  std::string ops_a;
  std::string ops_b;
  std::string outputs;
  for (int i = 0; i < 50; ++i) {
    const std::string name = "v" + std::to_string(i);
    ops_a += op(name, "add(x = x, y = fp16(" + std::to_string(i) + ".0))");
    ops_b += op(name, "add(x = x, y = fp16(" + std::to_string(i) + ".5))");
    outputs += (i != 0 ? ", " : "") + name;
  }
  const Comparison comparison =
      compare(program(kX, ops_a, outputs), program(kX, ops_b, outputs), {.change_limit = 3});
  CHECK(comparison.changes.size() == 3);
  CHECK(comparison.counts[static_cast<std::size_t>(ChangeKind::constant_changed)] == 50);
}

TEST_CASE("long chains and wide values are compared in linear time") {
  constexpr int kOps = 50'000;
  std::string deep;
  std::string wide;
  for (int i = 0; i < kOps; ++i) {
    deep += op("d" + std::to_string(i + 1), "relu(x = d" + std::to_string(i) + ")");
    wide += op("w" + std::to_string(i), "relu(x = d0)");
  }
  const auto text = [&](const std::string& name, const std::string& last) {
    return program("tensor<fp16, [2, 4]> d0", deep + wide + op(name, last), name);
  };
  const std::string end = "d" + std::to_string(kOps);
  const std::string a = text("z", "exp(x = " + end + ")");
  CHECK(compare(a, a).verdict == Verdict::identical);
  CHECK(summary(compare(a, text("z", "exp(x = d1)"))) ==
        "different\nop changed: exp z: x: " + end + " -> d1");
}

}  // namespace
}  // namespace milgen
