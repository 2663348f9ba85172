// What inference is shown of a module's values: their types, with a symbol for each dim of an input
// that is not known, and the elements of their constants, each literal decoded once.
#pragma once

#include <deque>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/infer.h"
#include "mil/module_data.h"

namespace milgen::mil {

class VerifyValues {
 public:
  explicit VerifyValues(const ModuleData& data);

  /// What inference takes the type of a value to be.
  const TypeView& type(Id value) const {
    const TypeView* inferred = inferred_[value];
    return inferred != nullptr ? *inferred : data_.types.view(data_.values[value].type);
  }
  /// Makes each unknown dim of an input a symbol of its own.
  void set_input(Id value);
  /// The written type of a result, with what inference found where dims are written as `?`.
  void set_result(Id value, std::span<const std::int64_t> inferred_dims);

  /// Whether the value is known when the program is compiled.
  bool is_constant(Id value) const { return knowledge_[value] == Knowledge::constant; }
  void set_constant(Id value) { knowledge_[value] = Knowledge::constant; }
  /// Whether the op that makes it was refused, so that nobody can say what it is.
  bool is_refused(Id value) const { return knowledge_[value] == Knowledge::refused; }
  void set_refused(Id value) { knowledge_[value] = Knowledge::refused; }
  /// Whether another type is written than its op gives: one of the two is meant, and an op that
  /// takes it may be right although it does not fit the other.
  bool is_disputed(Id value) const { return disputed_[value]; }
  void set_disputed(Id value) { disputed_[value] = true; }
  /// The literal that a `const` gives; kNoId for other values.
  Id literal(Id value) const { return literal_of_[value]; }
  void set_literal(Id value, Id literal) {
    literal_of_[value] = literal;
    knowledge_[value] = Knowledge::constant;
  }

  /// The elements of a literal. `type` is that of the literal, or for a bare one the one that it
  /// is taken for. Values in weight files, and floats by the thousand, are not known.
  const ConstView& constant(Id literal, const TypeView& type);

  /// Marks a literal that does not agree with its type.
  void set_bad(Id literal);
  bool is_bad(Id literal) const { return !bad_.empty() && bad_[literal]; }

  /// A copy of some dims that lives as long as this.
  std::span<const std::int64_t> keep(std::span<const std::int64_t> dims);
  /// The type of a tensor, which lives as long as this.
  const TypeView& make_type(DType dtype, std::span<const std::int64_t> shape);

 private:
  enum class Knowledge : std::uint8_t { run_time, constant, refused };

  template <class T>
  T* allocate(std::size_t count) {
    return std::pmr::polymorphic_allocator<>(&memory_).allocate_object<T>(count);
  }
  void decode(const LiteralRecord& literal, DType dtype, ConstView& out);
  void decode_texts(std::string_view text, ConstView& out);

  const ModuleData& data_;
  std::pmr::monotonic_buffer_resource memory_;
  std::vector<const TypeView*> inferred_;     // by value; null: as written
  std::vector<bool> disputed_;                // by value
  std::vector<Knowledge> knowledge_;          // by value
  std::vector<Id> literal_of_;                // by value
  std::vector<const ConstView*> by_literal_;  // null: not decoded yet
  std::vector<bool> bad_;                     // by literal; empty while none is
  std::int64_t next_symbol_ = kFirstSymbolDim;
  std::deque<std::string> texts_;
  std::vector<std::int64_t> ints_;  // scratch
  std::vector<double> reals_;       // scratch
};

}  // namespace milgen::mil
