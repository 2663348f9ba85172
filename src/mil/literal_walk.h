// The text of a literal and its type, walked together.
#pragma once

#include <cstdint>
#include <vector>

#include "mil/literal.h"
#include "mil/module_data.h"

namespace milgen::mil {

/// What is to be met: a value of `type`, or a part of one: what is left of a tensor behind its
/// first `dim` dims, or a pair of a dict.
struct LiteralPart {
  Id type;
  std::uint32_t dim;
  bool is_pair;
};

/// Walks a literal along its type, without recursion. The visitor is told what is met, in the order
/// of the text:
///
///     void open(const Token&), close(const Token&), comma();
///     bool leaf(const Token&, DType, bool in_dict);       false ends the walk
///     void count_fault(const LiteralPart&, std::int64_t expected, std::int64_t found,
///                      const Token&);
///     void shape_fault(Id type, char expected, const Token&);
///
/// `expected` is a bracket, a comma, ')' for the end, or 0 for an element; the token is what stands
/// there. walk() says whether all of it fits the type.
template <class Visitor>
class LiteralWalk {
 public:
  LiteralWalk(const TypeTable& types, std::string_view text, Visitor& visitor)
      : types_(types), tokens_(text), visitor_(visitor) {}

  bool walk(Id type) {
    for (LiteralPart part{type, 0, false};;) {
      if (!descend(part)) return false;
      // Behind an element: what closes, then a comma or the end.
      for (;;) {
        const Token token = tokens_.next();
        if (levels_.empty()) return token.kind == TokenKind::end || misshapen(type, ')', token);
        const Level& level = levels_.back();
        if (token.kind == TokenKind::comma) {
          if (level.found == level.expected) return miscounted(level, level.found + 1, peek());
          visitor_.comma();
          part = next_of(level);
          break;
        }
        if (token.kind != TokenKind::close) return misshapen(level.what.type, ',', token);
        if (!close(token)) return false;
      }
    }
  }

 private:
  /// An open bracket.
  struct Level {
    LiteralPart what;
    std::int64_t expected;  // elements; kUnknownDim for any number
    std::int64_t found;
  };

  /// From the start of an element to behind its first leaf or row or empty pair of brackets.
  bool descend(LiteralPart part) {
    for (;;) {
      const TypeRecord& type = types_[part.type];
      const Token token = tokens_.next();
      if (type.kind == TypeKind::tensor && part.dim == type.rank) {
        if (!is_leaf(token)) return misshapen(part.type, '\0', token);
        if (!levels_.empty()) ++levels_.back().found;
        return visitor_.leaf(token, type.dtype, dicts_ != 0);
      }
      const char bracket = bracket_of(type);
      if (token.kind != TokenKind::open || token.text[0] != bracket) {
        return misshapen(part.type, bracket, token);
      }
      visitor_.open(token);
      if (!levels_.empty()) ++levels_.back().found;
      if (type.kind == TypeKind::dict) ++dicts_;
      levels_.push_back({part, expected_of(type, part), 0});
      if (type.kind == TypeKind::tensor && part.dim + 1 == type.rank) return row(type);
      if (tokens_.closes()) return close(tokens_.next());
      if (levels_.back().expected == 0) return miscounted(levels_.back(), 1, peek());
      part = next_of(levels_.back());
    }
  }

  /// Nearly all text of nearly all literals: elements with commas between them.
  bool row(const TypeRecord& type) {
    std::int64_t found = 0;
    const std::int64_t expected = levels_.back().expected;
    const bool in_dict = dicts_ != 0;
    Token token = tokens_.next();
    if (token.kind != TokenKind::close) {
      for (;;) {
        if (!is_leaf(token)) return misshapen(levels_.back().what.type, '\0', token);
        if (found == expected) return miscounted(levels_.back(), found + 1, token);
        ++found;
        if (!visitor_.leaf(token, type.dtype, in_dict)) return false;
        token = tokens_.next();
        if (token.kind != TokenKind::comma) break;
        visitor_.comma();
        token = tokens_.next();
      }
    }
    levels_.back().found = found;
    if (token.kind != TokenKind::close) return misshapen(levels_.back().what.type, ',', token);
    return close(token);
  }

  bool close(const Token& token) {
    const Level& level = levels_.back();
    const TypeRecord& type = types_[level.what.type];
    if (level.found < level.expected) {
      return miscounted(level, level.found, token);
    }
    visitor_.close(token);
    if (type.kind == TypeKind::dict) --dicts_;
    levels_.pop_back();
    return true;
  }

  static bool is_leaf(const Token& token) {
    return token.kind >= TokenKind::string && token.kind <= TokenKind::real;
  }
  static char bracket_of(const TypeRecord& type) {
    switch (type.kind) {
      case TypeKind::tensor:
      case TypeKind::list:
        return '[';
      case TypeKind::tuple:
        return '(';
      case TypeKind::dict:
        return '{';
      case TypeKind::state:
      case TypeKind::tensor_buffer:
        break;
    }
    return '?';  // such a type has no values in text
  }
  std::int64_t expected_of(const TypeRecord& type, const LiteralPart& part) const {
    switch (type.kind) {
      case TypeKind::tensor:
        return types_.shape(type)[part.dim];
      case TypeKind::list:
        return type.length;
      case TypeKind::tuple:
        return type.children;
      case TypeKind::dict:
        return part.is_pair ? 2 : kUnknownDim;
      case TypeKind::state:
      case TypeKind::tensor_buffer:
        break;
    }
    return kUnknownDim;
  }
  /// What the next element of a level is.
  LiteralPart next_of(const Level& level) const {
    const TypeRecord& type = types_[level.what.type];
    if (type.kind == TypeKind::tensor) return {level.what.type, level.what.dim + 1, false};
    if (type.kind == TypeKind::dict && !level.what.is_pair) return {level.what.type, 0, true};
    const std::span<const Id> children = types_.children(type);
    const std::size_t i = type.kind == TypeKind::list ? 0 : static_cast<std::size_t>(level.found);
    return {children[i], 0, false};
  }
  Token peek() const {
    LiteralTokens ahead = tokens_;
    return ahead.next();
  }
  bool miscounted(const Level& level, std::int64_t found, const Token& at) {
    visitor_.count_fault(level.what, level.expected, found, at);
    return false;
  }
  bool misshapen(Id type, char expected, const Token& at) {
    visitor_.shape_fault(type, expected, at);
    return false;
  }

  const TypeTable& types_;
  LiteralTokens tokens_;
  Visitor& visitor_;
  std::vector<Level> levels_;
  std::size_t dicts_ = 0;
};

}  // namespace milgen::mil
