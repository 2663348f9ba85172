// Nested blocks, lists, states and classifiers: the functions that the op table alone does not say
// how to write.
//
//     auto [count, out] = while_loop(
//         [&](Tensor<int32> i, Tensor<fp16>) { return i < 4; },
//         [&](Tensor<int32> i, Tensor<fp16> h) { return Pack(i + 1, h * w); },
//         Pack(k.scalar<int32>(0), x));
//     auto y = cond(flag, [&] { return relu(out); }, [&] { return out; });
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "milgen/kernel.h"
#include "milgen/op_builder.h"
#include "milgen/value.h"

namespace milgen {

// --- Several values. ---

namespace detail {
template <std::size_t I, class T>
struct PackedValue {
  T value;
};
template <class Indices, class... Ts>
struct PackedValues;
template <std::size_t... I, class... Ts>
struct PackedValues<std::index_sequence<I...>, Ts...> : PackedValue<I, Ts>... {
  explicit PackedValues(Ts... values) : PackedValue<I, Ts>{values}... {}
};
}  // namespace detail

/// Several values, each of its own type: the loop variables of while_loop and what a block gives.
/// Taken apart by `auto [i, h] = ...`. What std::tuple would do; <tuple> costs everyone who
/// includes milgen an eighth of a second.
template <class... Ts>
struct Pack : detail::PackedValues<std::index_sequence_for<Ts...>, Ts...> {
  explicit Pack(Ts... values)
      : detail::PackedValues<std::index_sequence_for<Ts...>, Ts...>(values...) {}
};
template <std::size_t I, class T>
T get(const detail::PackedValue<I, T>& pack) {
  return pack.value;
}

}  // namespace milgen

template <class... Ts>
struct std::tuple_size<milgen::Pack<Ts...>> : std::integral_constant<std::size_t, sizeof...(Ts)> {};
template <std::size_t I, class First, class... Rest>
struct std::tuple_element<I, milgen::Pack<First, Rest...>>
    : std::tuple_element<I - 1, milgen::Pack<Rest...>> {};
template <class First, class... Rest>
struct std::tuple_element<0, milgen::Pack<First, Rest...>> {
  using type = First;
};

namespace milgen {

// --- Blocks. ---

/// A nested block while it is built, for code that knows the types of its values only at run time;
/// cond and while_loop below open and close theirs themselves. Ops that are made from the opening
/// to the closing belong to the block. It sees the values around it; its own values are seen inside
/// only, but for its outputs, which the op that takes the block turns into results. Blocks close in
/// the reverse order of their opening, and nest up to 256 deep (`block.depth`).
class Block {
 public:
  /// Opens a block with an input of the type of each of `like`, the first given of which tells the
  /// kernel. Without a kernel, and where blocks nest too deep, its inputs are poisoned.
  Block(std::span<const Value> like, Loc loc = here());
  /// Opens a block without inputs in the kernel of `value`.
  explicit Block(Value value, Loc loc = here());
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();

  /// Input `i`; poisoned past the last.
  Value input(std::size_t i) const;
  Values inputs() const;
  /// Closes the block, which gives `outputs`. One that is never closed gives nothing.
  void close(std::span<const Value> outputs, Loc loc = here());

 private:
  friend class OpBuilder;
  void open(std::span<const Value> like, Loc loc);

  Builder* builder_ = nullptr;
  std::uint32_t id_ = 0xFFFFFFFFu;
  bool open_ = false;
  std::vector<std::uint32_t> inputs_;
};

namespace detail {

template <class T>
concept OneValue = std::derived_from<T, Value>;

/// What a block's function returns, as a list of values and back: one value, a Pack or anything
/// else that can be taken apart by get<I>, or a list of values whose types are known at run time.
template <class R>
struct Results {
  static constexpr std::size_t kCount = std::tuple_size<R>::value;

  static std::vector<Value> list(const R& results) {
    return list(results, std::make_index_sequence<kCount>());
  }
  static auto take(OpBuilder& op) { return take(op, std::make_index_sequence<kCount>()); }
  /// Calls `function` with the inputs of the block.
  template <class F>
  static decltype(auto) call(const F& function, const Block& block) {
    return call(function, block, std::make_index_sequence<kCount>());
  }

 private:
  template <std::size_t I>
  using At = std::remove_cvref_t<typename std::tuple_element<I, R>::type>;

  template <std::size_t... I>
  static std::vector<Value> list(const R& results, std::index_sequence<I...>) {
    return {get<I>(results)...};
  }
  template <std::size_t... I>
  static auto take(OpBuilder& op, std::index_sequence<I...>) {
    return Pack<At<I>...>(At<I>::unchecked(op.result(I))...);
  }
  template <class F, std::size_t... I>
  static decltype(auto) call(const F& function, const Block& block, std::index_sequence<I...>) {
    return function(At<I>::unchecked(block.input(I))...);
  }
};
template <OneValue R>
struct Results<R> {
  static std::vector<Value> list(const R& result) { return {result}; }
  static R take(OpBuilder& op) { return R::unchecked(op.result()); }
  template <class F>
  static decltype(auto) call(const F& function, const Block& block) {
    return function(R::unchecked(block.input(0)));
  }
};
template <>
struct Results<Value> {
  static std::vector<Value> list(Value result) { return {result}; }
  static Value take(OpBuilder& op) { return op.result(); }
  template <class F>
  static decltype(auto) call(const F& function, const Block& block) {
    return function(block.input(0));
  }
};
template <>
struct Results<std::vector<Value>> {
  static const std::vector<Value>& list(const std::vector<Value>& results) { return results; }
  static Values take(OpBuilder& op) { return op.values(); }
  template <class F>
  static decltype(auto) call(const F& function, const Block& block) {
    return function(block.inputs());
  }
};

/// Whether a body that returns B may follow loop variables that are given as V: the same types.
template <class V, class B>
inline constexpr bool kSameResults = __is_same(V, B) || (!OneValue<V> && !OneValue<B> && requires {
                                       requires __is_same(
                                           decltype(Results<V>::take(std::declval<OpBuilder&>())),
                                           decltype(Results<B>::take(std::declval<OpBuilder&>())));
                                     });

}  // namespace detail

/// `if_true()` when `pred` is true, `if_false()` otherwise. Both functions are called while the
/// graph is built and make the ops of a nested block; both return the same types: a value, a Pack
/// of values, or a std::vector<Value> of values whose types are known at run time (the result is
/// then Values). Their dims agree, where known. Reports `cond.*`, and `block.scope` where a value
/// that was made inside is used outside.
template <class P, class True, class False>
requires(__is_same(P, Tensor<bool>) || __is_same(P, Value))  //
    auto cond(P pred, const True& if_true, const False& if_false, Loc loc = here()) {
  using Result = std::remove_cvref_t<decltype(if_true())>;
  static_assert(detail::kSameResults<Result, std::remove_cvref_t<decltype(if_false())>>,
                "both functions of cond must return the same types");
  Block yes(pred, loc);
  yes.close(detail::Results<Result>::list(if_true()), loc);
  Block no(pred, loc);
  no.close(detail::Results<Result>::list(if_false()), loc);
  OpBuilder op(OpCode::cond, loc);
  op.operand("pred", pred);
  op.block(yes);
  op.block(no);
  return detail::Results<Result>::take(op);
}

/// Runs `body` for as long as `condition` is true, and gives the loop variables as they are then.
/// `loop_vars` is a value, a Pack of values, or a std::vector<Value>; both functions take the
/// variables one by one (as Values for a vector), `condition` returns a Tensor<bool> of rank 0 and
/// `body` the variables' next values, of the same types. Both are called once, while the graph is
/// built. A dim that the body changes is unknown in the result. Reports `while_loop.*`, and
/// `block.scope` where a value that was made inside is used outside.
template <class Condition, class Body, class Vars>
auto while_loop(const Condition& condition, const Body& body, const Vars& loop_vars,
                Loc loc = here()) {
  using Taken = detail::Results<Vars>;
  const std::vector<Value> before = Taken::list(loop_vars);
  Block test(before, loc);
  const auto go_on = Taken::call(condition, test);
  static_assert(
      __is_same(decltype(go_on), const Tensor<bool>) || __is_same(decltype(go_on), const Value),
      "the condition of while_loop must return a Tensor<bool>");
  const Value outcome = go_on;
  test.close(std::span(&outcome, 1), loc);
  Block step(before, loc);
  const auto after = Taken::call(body, step);
  using After = std::remove_cvref_t<decltype(after)>;
  static_assert(detail::kSameResults<Vars, After>,
                "the body of while_loop must return the types of the loop variables");
  step.close(detail::Results<After>::list(after), loc);
  OpBuilder op(OpCode::while_loop, loc);
  op.block(test);
  op.block(step);
  for (const Value& value : before) op.element("loop_vars", value);
  return Taken::take(op);
}

// --- Lists. ---

/// An int32 scalar: a number, or a tensor that holds it at run time.
class Index {
 public:
  // NOLINTBEGIN(google-explicit-constructor)
  Index(std::int64_t number) : number_(number) {}
  Index(Tensor<int32> value) : value_(value) {}
  // NOLINTEND(google-explicit-constructor)
  void give(OpBuilder& op, std::string_view param) const {
    if (value_.given()) {
      op.operand(param, value_);
    } else {
      op.number(param, DType::int32, static_cast<double>(number_));
    }
  }

 private:
  std::int64_t number_ = 0;
  Value value_;
};

/// A new list of tensors that all have elem_shape.
struct MakeListOptions {
  Index init_length = 1;
  bool dynamic_length = true;  ///< it grows when it is written past its end
};
/// `elem_shape` has at most 4 dims, of which one that is not known is kUnknownDim.
template <OneOf<bool, fp16, fp32, int32> T>
List<T> make_list(Kernel& kernel, const Shape& elem_shape, const MakeListOptions& options = {},
                  Loc loc = here()) {
  OpBuilder op(OpCode::make_list, kernel, loc);
  options.init_length.give(op, "init_length");
  op.boolean("dynamic_length", options.dynamic_length);
  for (const std::int64_t dim : elem_shape) {
    // A name in place of a number says that only the running program knows the dim.
    if (dim == kUnknownDim) {
      op.text("elem_shape", "dim");
    } else {
      op.number("elem_shape", DType::int32, static_cast<double>(dim));
    }
  }
  op.dtype("dtype", dtype_of<T>);
  return List<T>::unchecked(op.result());
}

/// The number of elements of ls.
template <class T>
Tensor<int32> list_length(List<T> ls, Loc loc = here()) {
  OpBuilder op(OpCode::list_length, loc);
  op.operand("ls", ls);
  return op.tensor<int32>();
}

/// The element of ls at index.
template <class T>
Tensor<T> list_read(List<T> ls, const Index& index, Loc loc = here()) {
  OpBuilder op(OpCode::list_read, loc);
  op.operand("ls", ls);
  index.give(op, "index");
  return op.tensor<T>();
}

/// ls with value put in at index.
template <OneOf<bool, fp16, fp32, int32> T>
List<T> list_write(List<T> ls, const Index& index, Tensor<T> value, Loc loc = here()) {
  OpBuilder op(OpCode::list_write, loc);
  op.operand("ls", ls);
  index.give(op, "index");
  op.operand("value", value);
  return List<T>::unchecked(op.result());
}

/// The elements of ls at indices, stacked along a new first dim.
template <class T>
Tensor<T> list_gather(List<T> ls, const Extents& indices, Loc loc = here()) {
  OpBuilder op(OpCode::list_gather, loc);
  op.operand("ls", ls);
  op.extents("indices", indices);
  return op.tensor<T>();
}

/// ls with the slices of value put in at indices.
template <OneOf<bool, fp16, fp32, int32> T>
List<T> list_scatter(List<T> ls, const Extents& indices, Tensor<T> value, Loc loc = here()) {
  OpBuilder op(OpCode::list_scatter, loc);
  op.operand("ls", ls);
  op.extents("indices", indices);
  op.operand("value", value);
  return List<T>::unchecked(op.result());
}

// --- States. From ios18 on. ---
//
// Reads and writes of one state stand in the text in the order of their calls, and so do all writes
// among themselves. A write is never left out.

/// What the state holds at this point of the program.
template <class T>
Tensor<T> read_state(State<T> input, Loc loc = here()) {
  OpBuilder op(OpCode::read_state, loc);
  op.operand("input", input);
  return op.tensor<T>();
}

/// Stores data, which has the state's shape.
template <class T>
void write_state(State<T> input, Tensor<T> data, Loc loc = here()) {
  OpBuilder op(OpCode::write_state, loc);
  op.operand("input", input);
  op.operand("data", data);
  op.result();
}

/// value, after it has been stored in the state: a write_state, and a read_state where the result
/// is used, as in Apple's files.
template <OneOf<bool, fp16, fp32, int16, int32, int8, uint16, uint8> T>
Tensor<T> coreml_update_state(State<T> state, Tensor<T> value, Loc loc = here()) {
  OpBuilder op(OpCode::coreml_update_state, loc);
  op.operand("state", state);
  op.operand("value", value);
  return op.tensor<T>();
}

// --- Classifiers. ---

/// The most likely label, a string or an int64 scalar, and a dictionary of all probabilities.
struct Classified {
  Value label;
  Value probabilities;
};

/// `classes` names the elements of `probabilities`, one for each.
Classified classify(Tensor<fp32> probabilities, std::initializer_list<std::string_view> classes,
                    Loc loc = here());
Classified classify(Tensor<fp32> probabilities, const std::vector<std::string>& classes,
                    Loc loc = here());
Classified classify(Tensor<fp32> probabilities, std::initializer_list<std::int64_t> classes,
                    Loc loc = here());
Classified classify(Tensor<fp32> probabilities, const std::vector<std::int64_t>& classes,
                    Loc loc = here());

}  // namespace milgen
