// What an inference function sees of an op, and what it says about it.
//
// Inference is verification: the one function of an op's row computes its result types and reports
// what is wrong. The DSL, the parser's checker and the passes all come through infer_op().
//
// infer_op() has already checked, from the table alone, what the table says: that required
// arguments are there and unknown ones are not, kinds, dtypes, shared domains, which values must be
// constants, and the words that a text argument takes. A row's function therefore may read every
// required argument without asking, and only has to know what is particular to its op.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/op_info.h"
#include "milgen/shape.h"
#include "support/rule.h"

namespace milgen {

enum class TypeKind : std::uint8_t { tensor, list, dict, tuple, state, tensor_buffer };

/// A view of a value's type. A scalar is a tensor of rank 0.
struct TypeView {
  TypeKind kind = TypeKind::tensor;
  DType dtype = DType::none;
  std::span<const std::int64_t> shape;
  /// list<T, n> and state<T>: the element's type; null otherwise.
  const TypeView* element = nullptr;
  std::int64_t length = 0;  ///< of a list; kUnknownDim when it is `?`
  /// Of a tensor_buffer, in elements, one for each dim; empty where the type does not say.
  std::span<const std::int64_t> strides = {};
  std::span<const std::int64_t> interleave_factors = {};

  int rank() const { return static_cast<int>(shape.size()); }
  std::int64_t dim(int i) const { return shape[static_cast<std::size_t>(i)]; }
};

/// A value that is known when the program is compiled.
struct ConstView {
  DType dtype = DType::none;
  std::span<const std::int64_t> shape;
  /// Exactly one of these holds the elements (bool as 0 and 1 in `ints`); `known` is false for a
  /// constant whose bytes are not at hand (a weight), and then all are empty.
  bool known = false;
  std::span<const std::int64_t> ints;
  std::span<const double> reals;
  std::span<const std::string_view> texts;
};

inline bool known(std::int64_t dim) { return dim >= 0; }

/// One value among an op's arguments.
struct ArgumentValue {
  TypeView type;
  const ConstView* constant = nullptr;  ///< null for a run-time value
};

/// An argument that was given: one value, or those of a tuple.
struct ArgumentView {
  std::string_view name;
  std::span<const ArgumentValue> values;
};

/// The arguments lie in one flat list, one entry for each name, because inference asks for them by
/// name several times an op: what answers has to be a short inlined loop.
class InferContext {
 public:
  explicit InferContext(const OpInfo& op, Opset opset) : op_(op), opset_(opset) {}
  InferContext(const InferContext&) = delete;
  InferContext& operator=(const InferContext&) = delete;

  const OpInfo& op() const { return op_; }
  Opset opset() const { return opset_; }

  // --- Arguments, by their name in the op's row. ---

  /// In the order of the op's row, where the context knows it.
  std::span<const ArgumentView> arguments() const { return arguments_; }
  /// Null when the argument was not given. One step for each argument, of which no op has more than
  /// two dozen; a tuple is one. Names mostly come from one literal, and where not, their lengths or
  /// first letters mostly differ, so that few of the comparisons look at all letters.
  const ArgumentView* find(std::string_view param) const {
    for (const ArgumentView& argument : arguments_) {
      const std::string_view name = argument.name;
      if (name.size() != param.size()) continue;
      if (name.data() == param.data() || name.empty() ||
          (name.front() == param.front() &&
           std::memcmp(name.data(), param.data(), name.size()) == 0)) {
        return &argument;
      }
    }
    return nullptr;
  }
  /// Whether the argument was given. A defaulted argument that was left out is not.
  bool has(std::string_view param) const { return count(param) != 0; }
  /// 1 for a plain argument that was given; the number of elements of a variadic one.
  int count(std::string_view param) const {
    const ArgumentView* argument = find(param);
    return argument == nullptr ? 0 : static_cast<int>(argument->values.size());
  }
  /// As has(), but true for an empty tuple as well, where a context can tell it from no argument.
  bool given(std::string_view param) const { return find(param) != nullptr; }
  /// An empty view when there is no such value.
  TypeView type(std::string_view param, int index = 0) const {
    const ArgumentValue* value = find(param, index);
    return value == nullptr ? TypeView{} : value->type;
  }
  /// The constant behind the argument; null when it is a run-time value or was not given.
  const ConstView* constant(std::string_view param, int index = 0) const {
    const ArgumentValue* value = find(param, index);
    return value == nullptr ? nullptr : value->constant;
  }
  /// How a message calls the operand: "x", or "weight 'wq'" where the author named it.
  virtual std::string describe(std::string_view param, int index = 0) const = 0;

  // Readers for constants. The second argument is returned when the argument was not given, and
  // when it was given but its value is not known.
  std::int64_t integer(std::string_view param, std::int64_t otherwise = 0) const;
  double real(std::string_view param, double otherwise = 0) const;
  bool boolean(std::string_view param, bool otherwise = false) const;
  std::string_view text(std::string_view param, std::string_view otherwise = {}) const;
  /// The elements, or false when the argument was not given or is not known. A scalar reads as one
  /// element.
  bool integers(std::string_view param, Ints& out) const;

  // --- Results. ---

  /// Adds a result: a tensor of `dtype` and `shape`.
  virtual void result(DType dtype, std::span<const std::int64_t> shape) = 0;
  /// Adds a result of the same type as an argument, whatever its kind.
  virtual void result_like(std::string_view param, int index = 0) = 0;
  /// Adds a list result.
  virtual void result_list(DType dtype, std::span<const std::int64_t> element_shape,
                           std::int64_t length) = 0;
  /// Adds a tensor result with the element type of a state or list argument.
  virtual void result_element(std::string_view param) = 0;
  /// Adds a dictionary result (classify). Where a context knows no dictionaries the result has no
  /// type: DType::none.
  virtual void result_dict(DType key, DType value);
  /// Adds a tensor_buffer result; strides (in elements) and factors have one entry for each dim.
  /// Where a context knows no buffers the result has no type: DType::none.
  virtual void result_tensor_buffer(DType dtype, std::span<const std::int64_t> shape,
                                    std::span<const std::int64_t> strides,
                                    std::span<const std::int64_t> interleave_factors);

  // --- Blocks (cond, while_loop). ---
  virtual int block_count() const { return 0; }
  virtual int block_inputs(int block) const;
  virtual TypeView block_input(int block, int index) const;
  virtual int block_outputs(int block) const;
  virtual TypeView block_output(int block, int index) const;

  // --- What is wrong. ---

  /// Reports an error. `operands` names, separated by spaces, the arguments that the sentence is
  /// about; the report shows where each was made. The op's name is put in front of the message. No
  /// result needs to be added after an error.
  virtual void error(Rule rule, std::string_view operands, std::string message) = 0;
  bool failed() const { return failed_; }

 protected:
  ~InferContext() = default;
  void set_failed() { failed_ = true; }
  /// The list is the derived context's and has to stay as long as that lives.
  void set_arguments(std::span<const ArgumentView> arguments) { arguments_ = arguments; }

 private:
  const ArgumentValue* find(std::string_view param, int index) const {
    const ArgumentView* argument = find(param);
    const auto at = static_cast<std::size_t>(index);
    return argument == nullptr || at >= argument->values.size() ? nullptr : &argument->values[at];
  }

  std::span<const ArgumentView> arguments_;
  const OpInfo& op_;
  Opset opset_;
  bool failed_ = false;
};

// --- Helpers that several families share. ---

/// "tensor<fp16, [1, 768, 1, 256]>", or the bare dtype for a scalar, as MIL spells it.
std::string to_string(const TypeView& type);
/// The same with the shape alone: "[1, 768, 1, 256]".
std::string shape_text(std::span<const std::int64_t> shape);

/// numpy broadcast of two shapes. False when they do not fit. Equal dims stay, 1 gives way, an
/// unknown against a number greater than 1 gives that number, two different unknowns give a new
/// unknown.
bool broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b, Shape& out);

/// Brings `axis` into [0, rank). Reports `RULE` and returns false when it lies outside
/// [-rank, rank).
bool normalize_axis(InferContext& ctx, Rule rule, std::string_view param, std::int64_t axis,
                    int rank, int& out);

/// Whether two dims may be the same number: equal, or at least one is not known.
inline bool compatible(std::int64_t a, std::int64_t b) { return a == b || !known(a) || !known(b); }

/// Checks an op against its row and calls the row's function. True when nothing was reported.
bool infer_op(InferContext& ctx);

}  // namespace milgen
