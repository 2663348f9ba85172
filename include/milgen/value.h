// Value and Tensor<T>: handles to what a kernel's graph computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <utility>
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
  constexpr bool given() const { return builder_ != nullptr || id_ != 0xFFFFFFFFu; }
  bool poisoned() const { return id_ >= 0xFFFFFFFEu; }
  /// Outermost dim first; empty for a scalar, for a poisoned value and for what is no tensor.
  Shape shape() const;
  /// DType::none for a poisoned value, a list and a state.
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
/// The shape of a list's elements or of what a state holds.
Shape element_shape(Value value);
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

/// A C++ number, as it may stand beside a tensor. `bool` is none: of 1 and `true` only one is meant
/// as a number.
template <class N>
concept Number = std::is_arithmetic_v<N> && !__is_same(N, bool);

/// The dtypes that `add` and its kin take (op_semantics, elementwise_binary).
template <class T>
inline constexpr bool kHasArithmetic = is_one_of<T, fp16, fp32, int32>;
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
    template <detail::Number N>
    Arg(N scalar, Loc where = here()) : At{{}, static_cast<double>(scalar), true, where} {}
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
  friend Tensor operator+(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return both(detail::Binary::add, x, y);
  }
  friend Tensor operator-(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return both(detail::Binary::sub, x, y);
  }
  friend Tensor operator*(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return both(detail::Binary::mul, x, y);
  }
  friend Tensor operator/(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return both(detail::Binary::real_div, x, y);
  }
  /// x * -1: MIL has no op for it.
  friend Tensor operator-(Arg x) requires detail::kHasArithmetic<T> {
    return both(detail::Binary::mul, x, Arg(-1, x.loc));
  }
  Tensor& operator+=(Arg y) requires detail::kHasArithmetic<T> {
    return *this = both(detail::Binary::add, Arg(*this, y.loc), y);
  }
  Tensor& operator-=(Arg y) requires detail::kHasArithmetic<T> {
    return *this = both(detail::Binary::sub, Arg(*this, y.loc), y);
  }
  Tensor& operator*=(Arg y) requires detail::kHasArithmetic<T> {
    return *this = both(detail::Binary::mul, Arg(*this, y.loc), y);
  }
  Tensor& operator/=(Arg y) requires detail::kHasArithmetic<T> {
    return *this = both(detail::Binary::real_div, Arg(*this, y.loc), y);
  }
  friend Tensor<bool> operator==(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return test(detail::Binary::equal, x, y);
  }
  friend Tensor<bool> operator!=(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return test(detail::Binary::not_equal, x, y);
  }
  friend Tensor<bool> operator<(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return test(detail::Binary::less, x, y);
  }
  friend Tensor<bool> operator<=(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return test(detail::Binary::less_equal, x, y);
  }
  friend Tensor<bool> operator>(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return test(detail::Binary::greater, x, y);
  }
  friend Tensor<bool> operator>=(Arg x, Arg y) requires detail::kHasArithmetic<T> {
    return test(detail::Binary::greater_equal, x, y);
  }

 private:
  static Tensor both(detail::Binary op, const Arg& x, const Arg& y) {
    return unchecked(detail::binary(op, dtype_of<T>, x, y));
  }
  static Tensor<bool> test(detail::Binary op, const Arg& x, const Arg& y) {
    return Tensor<bool>::unchecked(detail::binary(op, dtype_of<T>, x, y));
  }
};

namespace detail {
/// An operand of a logical operator, with the place where the operator stands.
struct Condition {
  // NOLINTNEXTLINE(google-explicit-constructor)
  Condition(Tensor<bool> tensor, Loc where = here()) : value(tensor), loc(where) {}
  Tensor<bool> value;
  Loc loc;
};
}  // namespace detail

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

  /// Gives the results one after the other, by value; valid as long as the Tensors.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Tensor<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Tensor<T>;

    Iterator() = default;
    Iterator(Builder* builder, const std::uint32_t* id) : builder_(builder), id_(id) {}
    Tensor<T> operator*() const { return Tensor<T>(builder_, *id_); }
    Iterator& operator++() {
      ++id_;
      return *this;
    }
    Iterator operator++(int) { return Iterator(builder_, id_++); }
    friend bool operator==(Iterator a, Iterator b) { return a.id_ == b.id_; }

   private:
    Builder* builder_ = nullptr;
    const std::uint32_t* id_ = nullptr;
  };
  Iterator begin() const { return Iterator(builder_, ids_.data()); }
  Iterator end() const { return Iterator(builder_, ids_.data() + ids_.size()); }

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

/// A list of tensors that all have dtype T and one shape. MIL's lists are values: what writes to
/// one gives a new list (milgen/control_flow.h).
template <class T>
class List : public Value {
  static_assert(dtype_of<T> != DType::none, "List<T> takes a dtype tag such as milgen::fp16");

 public:
  constexpr List() = default;
  /// Of a value that is known to be such a list.
  static constexpr List unchecked(Value value) {
    List out;
    static_cast<Value&>(out) = value;
    return out;
  }
  /// The shape of one element.
  Shape element_shape() const { return detail::element_shape(*this); }
  /// Gives the list the name that it has in MIL text.
  List named(std::string_view name, Loc loc = here()) const {
    detail::set_name(*this, name, loc);
    return *this;
  }
};

/// A state: a tensor of dtype T that a function finds as its last run left it
/// (milgen/control_flow.h: read_state, write_state).
template <class T>
class State : public Value {
  static_assert(dtype_of<T> != DType::none, "State<T> takes a dtype tag such as milgen::fp16");

 public:
  constexpr State() = default;
  /// Of a value that is known to be such a state.
  static constexpr State unchecked(Value value) {
    State out;
    static_cast<Value&>(out) = value;
    return out;
  }
  /// The shape of what it holds.
  Shape element_shape() const { return detail::element_shape(*this); }
};

/// A weight that stays sparse until the program runs: which elements are not zero, and these.
template <class T>
struct Sparse {
  Tensor<uint1> mask;
  Tensor<T> values;
};

/// Integers that are known when the graph is built, or a tensor that holds them at run time:
/// `reshape(x, {1, 12, 64, 256})`, `reshape(x, shape_of_y)`.
class Extents {
 public:
  // NOLINTBEGIN(google-explicit-constructor)
  Extents() = default;
  Extents(std::initializer_list<std::int64_t> values) : ints_(values), given_(true) {}
  Extents(const Ints& values) : ints_(values), given_(true) {}
  Extents(const std::vector<std::int64_t>& values) : ints_(values), given_(true) {}
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
