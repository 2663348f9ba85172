// Value and Tensor<T>: handles to what a kernel's graph computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen {

class Builder;  // internal: what a Kernel holds

/// A value of a kernel, its dtype known at run time. Trivially copyable; valid as long as its
/// kernel. A value is poisoned when the op that should have made it was refused; ops that take a
/// poisoned value are poisoned too, without a further report.
class Value {
 public:
  constexpr Value() = default;
  constexpr Value(Builder* builder, std::uint32_t id) : builder_(builder), id_(id) {}

  /// Whether it stands for anything: false for the default value, which an optional argument reads
  /// as "absent".
  constexpr bool given() const { return builder_ != nullptr; }
  bool poisoned() const { return id_ == 0xFFFFFFFFu; }
  /// Outermost dim first; empty for a scalar and for a poisoned value.
  Shape shape() const;
  DType dtype() const;
  int rank() const { return static_cast<int>(shape().size()); }
  /// The dim at `axis`, negative axes counting from the end; 0 for a poisoned value or an axis that
  /// is not there.
  std::int64_t dim(int axis) const;

  constexpr Builder* builder() const { return builder_; }
  constexpr std::uint32_t id() const { return id_; }

 private:
  Builder* builder_ = nullptr;
  std::uint32_t id_ = 0xFFFFFFFFu;
};

namespace detail {
/// Names a value. Reports `name.*` when the name cannot be kept.
void set_name(Value value, std::string_view name, Loc loc);
/// `value` when its dtype is `dtype`; otherwise reports `value.dtype` and returns poison.
Value checked(Value value, DType dtype, Loc loc);

enum class Binary : std::uint8_t {
  add,
  sub,
  mul,
  real_div,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal
};

/// An operand of an operator, with the place where the operator stands: a tensor or a number.
struct At {
  Value value;
  double number = 0;
  bool is_number = false;
  Loc loc;
};
Value binary(Binary op, DType dtype, const At& x, const At& y);
}  // namespace detail

/// A value whose dtype the C++ type states. T is a tag that is spelled as MIL spells the dtype:
/// Tensor<fp16>, Tensor<int32>, Tensor<bool>.
template <class T>
class Tensor : public Value {
  static_assert(dtype_of<T> != DType::none, "Tensor<T> takes a dtype tag such as milgen::fp16");

  /// Takes the place where an operator stands: a default argument of a converting constructor is
  /// evaluated at the call.
  struct Arg : detail::At {
    // NOLINTBEGIN(google-explicit-constructor)
    Arg(Tensor tensor, Loc where = here()) : At{tensor, 0, false, where} {}
    Arg(double scalar, Loc where = here()) : At{{}, scalar, true, where} {}
    Arg(float scalar, Loc where = here()) : Arg(static_cast<double>(scalar), where) {}
    Arg(int scalar, Loc where = here()) : Arg(static_cast<double>(scalar), where) {}
    Arg(std::int64_t scalar, Loc where = here()) : Arg(static_cast<double>(scalar), where) {}
    // NOLINTEND(google-explicit-constructor)
  };

 public:
  constexpr Tensor() = default;
  constexpr Tensor(Builder* builder, std::uint32_t id) : Value(builder, id) {}

  /// From a value of run-time dtype, which is checked: reports `value.dtype` when it is another.
  static Tensor from(Value value, Loc loc = here()) {
    return unchecked(detail::checked(value, dtype_of<T>, loc));
  }
  /// For generated code, which has the check behind it.
  static constexpr Tensor unchecked(Value value) { return Tensor(value.builder(), value.id()); }

  /// Gives the value the name that it has in MIL text.
  Tensor named(std::string_view name, Loc loc = here()) const {
    detail::set_name(*this, name, loc);
    return *this;
  }

  // A C++ number beside a tensor becomes a scalar constant of the tensor's dtype.
  friend Tensor operator+(Arg x, Arg y) { return both(detail::Binary::add, x, y); }
  friend Tensor operator-(Arg x, Arg y) { return both(detail::Binary::sub, x, y); }
  friend Tensor operator*(Arg x, Arg y) { return both(detail::Binary::mul, x, y); }
  friend Tensor operator/(Arg x, Arg y) { return both(detail::Binary::real_div, x, y); }
  friend Tensor<bool> operator==(Arg x, Arg y) { return test(detail::Binary::equal, x, y); }
  friend Tensor<bool> operator!=(Arg x, Arg y) { return test(detail::Binary::not_equal, x, y); }
  friend Tensor<bool> operator<(Arg x, Arg y) { return test(detail::Binary::less, x, y); }
  friend Tensor<bool> operator<=(Arg x, Arg y) { return test(detail::Binary::less_equal, x, y); }
  friend Tensor<bool> operator>(Arg x, Arg y) { return test(detail::Binary::greater, x, y); }
  friend Tensor<bool> operator>=(Arg x, Arg y) { return test(detail::Binary::greater_equal, x, y); }

 private:
  static Tensor both(detail::Binary op, const Arg& x, const Arg& y) {
    return unchecked(detail::binary(op, dtype_of<T>, x, y));
  }
  static Tensor<bool> test(detail::Binary op, const Arg& x, const Arg& y) {
    return Tensor<bool>::unchecked(detail::binary(op, dtype_of<T>, x, y));
  }
};

/// The results of an op that has several of one dtype (split). Reading past the end gives a
/// poisoned value, so that a mistake in the op is reported and not walked over.
template <class T>
class Tensors {
 public:
  Tensors() = default;
  Tensors(Builder* builder, std::vector<std::uint32_t> ids)
      : builder_(builder), ids_(std::move(ids)) {}
  std::size_t size() const { return ids_.size(); }
  Tensor<T> operator[](std::size_t i) const {
    return i < ids_.size() ? Tensor<T>(builder_, ids_[i]) : Tensor<T>(builder_, 0xFFFFFFFFu);
  }

 private:
  Builder* builder_ = nullptr;
  std::vector<std::uint32_t> ids_;
};

/// The results of an op whose dtypes differ (topk): `Tensor<int32>::from(out[1])` types one.
class Values {
 public:
  Values() = default;
  Values(Builder* builder, std::vector<std::uint32_t> ids)
      : builder_(builder), ids_(std::move(ids)) {}
  std::size_t size() const { return ids_.size(); }
  Value operator[](std::size_t i) const {
    return {builder_, i < ids_.size() ? ids_[i] : 0xFFFFFFFFu};
  }

 private:
  Builder* builder_ = nullptr;
  std::vector<std::uint32_t> ids_;
};

/// Integers that are known when the graph is built, or a tensor that holds them at run time:
/// `reshape(x, {1, 12, 64, 256})`, `reshape(x, shape_of_y)`.
class Extents {
 public:
  // NOLINTBEGIN(google-explicit-constructor)
  Extents() = default;
  Extents(std::initializer_list<std::int64_t> values) : ints_(values), given_(true) {}
  Extents(const Ints& values) : ints_(values), given_(true) {}
  Extents(Tensor<int32> values) : value_(values), given_(true) {}
  Extents(Tensor<int16> values) : value_(values), given_(true) {}
  Extents(Tensor<int8> values) : value_(values), given_(true) {}
  // NOLINTEND(google-explicit-constructor)
  bool given() const { return given_; }
  const Ints& ints() const { return ints_; }
  Value value() const { return value_; }

 private:
  Ints ints_;
  Value value_;
  bool given_ = false;
};

}  // namespace milgen
