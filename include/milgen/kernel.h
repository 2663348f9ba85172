// Kernel: a graph under construction.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "milgen/diagnostic.h"
#include "milgen/fill.h"
#include "milgen/op_info.h"
#include "milgen/program.h"
#include "milgen/value.h"

namespace milgen {

struct WeightModes;

/// One kernel: inputs, weights, ops and outputs, checked as they are made.
///
///     Kernel k("residual");
///     auto x = k.input<fp16>("x", {1, 64, 1, 32});
///     auto w = k.weight<fp16>("w", {64, 64, 1, 1});
///     k.output("y", x + conv(x, w));
///     Program program = k.finish();  // false, and k.diagnostics() says why, after a mistake
///
/// Inputs are declared in the order in which input() is called; in an argument list C++ leaves that
/// order open, so give each a line of its own. A kernel that was moved from may only be destroyed
/// or assigned to.
///
/// Nothing is printed and nothing is thrown for bad input. A refused op gives a poisoned value, so
/// that one run reports every independent mistake and nothing that follows from another one.
///
/// Names are those of the MIL text: [A-Za-z_][A-Za-z0-9_@]*, each once in a kernel. A name that is
/// a reserved word of MIL (`state`, `tensor`) gets `_workaround` appended, as coremltools does.
class Kernel {
 public:
  explicit Kernel(std::string_view name, Opset opset = Opset::ios18, Loc loc = here());
  Kernel(Kernel&&) noexcept;
  Kernel& operator=(Kernel&&) noexcept;
  ~Kernel();

  /// A run-time input. `shape` may hold kUnknownDim for a dim that is not known; rank 1 to 5 (rank
  /// 0 is a warning: some loaders refuse it). Inputs are declared in the text in this order; the
  /// ANE binds them in name order, so names that do not sort as declared are a warning.
  template <class T>
  Tensor<T> input(std::string_view name, const Shape& shape, Loc loc = here()) {
    return Tensor<T>::unchecked(add_input(name, dtype_of<T>, shape, loc));
  }

  /// A state: a tensor that a run of the program finds as the run before left it. Declared among
  /// the inputs, in their order; every dim is known. From ios18 on.
  template <class T>
  State<T> state(std::string_view name, const Shape& shape, Loc loc = here()) {
    return State<T>::unchecked(add_state(name, dtype_of<T>, shape, loc));
  }

  /// A weight: values that come from outside when the kernel is emitted. `fill` is what it gets
  /// when no source is named. Asking again for the same name, dtype and shape gives the same
  /// weight.
  template <class T>
  Tensor<T> weight(std::string_view name, const Shape& shape, Fill fill = Fill::uniform,
                   Loc loc = here()) {
    return Tensor<T>::unchecked(add_weight(name, dtype_of<T>, shape, fill, loc));
  }

  /// A constant whose values follow from a formula and belong to the kernel: a mask, a table of
  /// zeros. Like every float constant that is not a scalar it is written to a weight file, since
  /// some chips refuse them inline.
  template <class T>
  Tensor<T> constant(std::string_view name, const Shape& shape, Fill fill, Loc loc = here()) {
    return Tensor<T>::unchecked(add_fill(name, dtype_of<T>, shape, fill, loc));
  }
  /// A constant with its elements in row-major order, rounded once to T. As many as `shape` has.
  template <class T>
  Tensor<T> constant(std::string_view name, const Shape& shape,
                     std::initializer_list<double> values, Loc loc = here()) {
    return Tensor<T>::unchecked(
        add_reals(name, dtype_of<T>, shape, std::span(values.begin(), values.size()), loc));
  }
  template <class T>
  Tensor<T> constant(std::string_view name, const Shape& shape, std::span<const double> values,
                     Loc loc = here()) {
    return Tensor<T>::unchecked(add_reals(name, dtype_of<T>, shape, values, loc));
  }
  template <class T>
  Tensor<T> constant(std::string_view name, const Shape& shape, std::span<const float> values,
                     Loc loc = here()) {
    return Tensor<T>::unchecked(add_floats(name, dtype_of<T>, shape, values, loc));
  }
  template <class T>
  Tensor<T> constant(std::string_view name, const Shape& shape,
                     std::span<const std::int64_t> values, Loc loc = here()) {
    return Tensor<T>::unchecked(add_ints(name, dtype_of<T>, shape, values, loc));
  }

  /// A scalar constant, rounded once to T. Without a name it is shared with every other unnamed
  /// scalar of its value. Asking again for the same name and value gives the same constant.
  template <class T>
  Tensor<T> scalar(std::string_view name, double value, Loc loc = here()) {
    return Tensor<T>::unchecked(add_scalar(name, dtype_of<T>, value, loc));
  }
  template <class T>
  Tensor<T> scalar(double value, Loc loc = here()) {
    return Tensor<T>::unchecked(add_scalar({}, dtype_of<T>, value, loc));
  }

  /// Declares an output under `name`, in this order: a tensor, or the dictionary of classify. The
  /// name becomes that of the value; an input, a constant or a value that is an output already goes
  /// through an `identity` op.
  void output(std::string_view name, Value value, Loc loc = here());

  /// Reports `kernel.config` with `message` unless `ok`: how a kernel refuses a configuration.
  bool require(bool ok, std::string_view message, Loc loc = here());

  /// Names made while the returned object lives get `prefix` and an underscore in front. It must
  /// not outlive the kernel; scopes end in the reverse order of their beginning.
  class Scope {
   public:
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    friend class Kernel;
    explicit Scope(Builder* builder) : builder_(builder) {}
    Builder* builder_;
  };
  [[nodiscard]] Scope scope(std::string_view prefix);

  /// The finished program; false when there was an error. Adds warnings for inputs, weights and ops
  /// that no output needs and for names that do not sort in declared order. Nothing can be added to
  /// the kernel afterwards.
  Program finish(Loc loc = here());
  /// The same with the weights as `modes` says (with_weights_as() in milgen/weight_modes.h).
  Program finish(const WeightModes& modes, Loc loc = here());

  const Diagnostics& diagnostics() const;
  std::string_view name() const;
  Builder* builder() { return builder_; }

 private:
  Value add_input(std::string_view name, DType dtype, const Shape& shape, Loc loc);
  Value add_state(std::string_view name, DType dtype, const Shape& shape, Loc loc);
  Value add_port(std::string_view what, std::string_view name, DType dtype, const Shape& shape,
                 bool is_state, Loc loc);
  Value add_weight(std::string_view name, DType dtype, const Shape& shape, Fill fill, Loc loc);
  Value add_fill(std::string_view name, DType dtype, const Shape& shape, Fill fill, Loc loc);
  Value add_reals(std::string_view name, DType dtype, const Shape& shape,
                  std::span<const double> values, Loc loc);
  Value add_floats(std::string_view name, DType dtype, const Shape& shape,
                   std::span<const float> values, Loc loc);
  Value add_ints(std::string_view name, DType dtype, const Shape& shape,
                 std::span<const std::int64_t> values, Loc loc);
  Value add_scalar(std::string_view name, DType dtype, double value, Loc loc);

  Builder* builder_;  // owned; <memory> would cost every author a tenth of a second
};

}  // namespace milgen
