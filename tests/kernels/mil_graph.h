// A second, small reader of MIL text for tests: it shares no code with milgen's own printer, and
// gives programs as numbered structures, so that two texts can be compared as graphs whatever their
// names, the order of independent ops, the place of constants and the spelling of numbers.
#pragma once

#include <cmath>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace milgen::test {

/// Numbers structures: equal structures of any two texts get equal numbers.
class MilGraphs {
 public:
  /// The number of what `text` computes: its outputs in order. Throws on text that is not of the
  /// small form that generated and hand-written kernels have.
  int read(std::string_view text) {
    text_ = text;
    at_ = 0;
    std::map<std::string, int> values;
    skip_to("func");
    take("func");
    skip_past("(");
    while (!peek(")")) {
      const std::string type = read_type();
      const std::string name = word();
      values[name] = number("input " + type + " " + name);
      if (peek(",")) take(",");
    }
    take(")");
    take("{");
    while (!peek("}")) read_op(values);
    take("}");
    take("->");
    take("(");
    std::string key = "program";
    while (!peek(")")) {
      key += " " + std::to_string(values.at(word()));
      if (peek(",")) take(",");
    }
    return number(key);
  }
  /// What a number stands for, for messages.
  std::string describe(int id) const {
    for (const auto& [key, value] : numbers_) {
      if (value == id) return key;
    }
    return "?";
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  int number(const std::string& key) {
    return numbers_.try_emplace(key, static_cast<int>(numbers_.size())).first->second;
  }
  void space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool peek(std::string_view token) {
    space();
    return text_.substr(at_).starts_with(token);
  }
  void take(std::string_view token) {
    if (!peek(token)) {
      throw std::runtime_error("expected '" + std::string(token) + "' at '" +
                               std::string(text_.substr(at_, 60)) + "'");
    }
    at_ += token.size();
  }
  void skip_to(std::string_view token) {
    at_ = text_.find(token, at_);
    if (at_ == text_.npos) throw std::runtime_error("no " + std::string(token));
  }
  void skip_past(std::string_view token) {
    skip_to(token);
    at_ += token.size();
  }
  std::string word() {
    space();
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_')) {
      ++at_;
    }
    if (at_ == start) throw std::runtime_error("expected a word at " + std::to_string(at_));
    return std::string(text_.substr(start, at_ - start));
  }
  /// A type without its white space.
  std::string read_type() {
    std::string out = word();
    if (!peek("<")) return out;
    take("<");
    out += '<';
    int depth = 1;
    while (depth != 0) {
      const char c = text_.at(at_++);
      if (c == '<') ++depth;
      if (c == '>') --depth;
      if (c != ' ') out += c;
    }
    return out;
  }
  /// Everything up to the parenthesis that closes, numbers brought to one spelling.
  std::string read_literal() {
    std::string out;
    int depth = 0;
    for (;;) {
      space();
      const char c = text_.at(at_);
      if (c == ')' && depth == 0) return out;
      if (c == '(') ++depth;
      if (c == ')') --depth;
      const bool number_start =
          std::isdigit(static_cast<unsigned char>(c)) != 0 ||
          (c == '-' && std::isdigit(static_cast<unsigned char>(text_.at(at_ + 1))) != 0);
      if (number_start &&
          (out.empty() || out.back() == '[' || out.back() == ',' || out.back() == '(')) {
        const std::string rest(text_.substr(at_, 64));
        char* end = nullptr;
        const double value = std::strtod(rest.c_str(), &end);
        char spelled[64];
        std::snprintf(spelled, sizeof spelled, "%.17g", value);
        out += spelled;
        at_ += static_cast<std::size_t>(end - rest.c_str());
        continue;
      }
      out += c;
      ++at_;
    }
  }
  void read_op(std::map<std::string, int>& values) {
    const std::string type = read_type();
    const std::string name = word();
    take("=");
    const std::string op = word();
    take("(");
    std::map<std::string, std::string> args;
    while (!peek(")")) {
      const std::string key = word();
      take("=");
      std::string value;
      if (peek("(")) {
        take("(");
        while (!peek(")")) {
          value += " " + std::to_string(values.at(word()));
          if (peek(",")) take(",");
        }
        take(")");
      } else {
        value = " " + std::to_string(values.at(word()));
      }
      args[key] = value;
      if (peek(",")) take(",");
    }
    take(")");
    std::string key = op + " -> " + type;
    take("[");
    while (!peek("]")) {
      const std::string attribute = word();
      take("=");
      const std::string value_type = read_type();
      take("(");
      const std::string literal = read_literal();
      take(")");
      if (attribute == "val") key = "const " + value_type + " " + literal;
      if (peek(",")) take(",");
    }
    take("]");
    take(";");
    for (const auto& [arg, value] : args) key += " " + arg + "=" + value;
    if (!values.emplace(name, number(key)).second) {
      throw std::runtime_error("second value of name " + name);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, int> numbers_;
};

}  // namespace milgen::test
