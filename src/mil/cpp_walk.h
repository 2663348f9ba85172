// What print_cpp() knows of a function before it writes the first line: which ops are needed, what
// they are given, and which names the canonical walk finds by itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/module.h"
#include "milgen/op_info.h"
#include "support/rule.h"

namespace milgen::detail {

/// The type of a tensor, of a list's elements or of what a state holds; false for other types.
mil::Type element_type(const mil::Type& type);
DType element_dtype(const mil::Type& type);

/// One thing that an argument is bound to.
struct Item {
  mil::Value value;      ///< false for a literal in place
  mil::Literal literal;  ///< in place or of a const op; false for what only the run knows
  Place place;

  DType dtype() const { return element_dtype(value ? value.type() : literal.type()); }
};

/// What an op gets for one of its parameters, in the table's order.
struct Given {
  const Param* param = nullptr;
  std::vector<Item> items;

  explicit operator bool() const { return !items.empty(); }
  const Item& only() const { return items.front(); }
};

/// The elements of a literal that is not in a weight file.
struct Elements {
  std::vector<std::int64_t> ints;
  std::vector<double> reals;
};

/// False for what is in a weight file or has no type, and for a text that is no such list.
bool read_elements(const mil::Literal& literal, Elements& out);
bool is_scalar(const mil::Literal& literal);
/// The only element as a double, exact; nothing where there is none such.
std::optional<double> number_of(const mil::Literal& literal);

inline bool is_const(const mil::Op& op) { return op.is(OpCode::const_); }

/// What print_cpp() gathers over all functions.
struct Session {
  Diagnostics& diagnostics;
  std::set<std::string> told;  ///< warnings that are given once
  bool uses_cmath = false;

  void warn_once(Rule rule, const std::string& message, const Place& place) {
    if (told.insert(message).second) diagnostics.warning(rule.id(), message, place);
  }
};

/// The arguments of `op` by the rows of the op table. Reports those that it does not have.
class Arguments {
 public:
  Arguments(Session& session, const mil::Op& op);

  bool ok() const { return ok_; }
  const std::vector<Given>& all() const { return given_; }

 private:
  Given* find(std::string_view name);

  void refuse(const mil::Op& op, std::string_view name, const Place& place);

  void add(Given& given, const mil::Binding& binding);

  /// Up to ios17 constexpr ops have their operands here (mil_text_format, section 2).
  void take_attribute(const mil::Op& op, const mil::Attribute& attribute);

  Session* session_;
  std::span<const Param> params_;
  std::vector<Given> given_;
  bool ok_ = true;
};

/// The arguments of each op that an output needs.
using ArgumentMap = std::unordered_map<std::uint32_t, Arguments>;

/// Whether the DSL makes an operand of it, as against a C++ value.
bool is_operand(const Given& given);

/// Names that need not be said because the canonical walk derives them (ir/canonical.cpp): the
/// same walk, which takes a name for derived only when it is the very next one of its base.
class DerivedNames {
 public:
  explicit DerivedNames(const mil::Function& function);

  void add_results(const mil::Op& op);

  /// A number that is an operand: unnamed ones are shared by all that have its dtype and value.
  void add_number(const Item& item, DType dtype, double value);
  void add_constant(const Item& item);

  bool has(const mil::Value& value) const { return !all_said_ && unnamed_.contains(value.id()); }
  /// Of a program with nested blocks or states nothing is taken for derived.
  void say_all() { all_said_ = true; }

 private:
  std::string draft(std::string_view base, std::uint32_t number) const;
  std::string next(std::string_view base);
  bool is_next(std::string_view base, std::string_view name);

  std::unordered_set<std::string_view> argument_names_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, std::uint32_t> counters_;
  std::map<std::pair<DType, std::uint64_t>, std::string> numbers_;
  std::unordered_set<std::uint32_t> seen_;
  std::unordered_set<std::uint32_t> unnamed_;
  bool all_said_ = false;
};

/// Reads the arguments of the ops that the outputs of `function` and its states need into
/// `arguments`, and settles names. False after a report (`cpp.op`, `cpp.argument`).
bool read_needed_ops(Session& session, const mil::Function& function, ArgumentMap& arguments,
                     DerivedNames& names);

}  // namespace milgen::detail
