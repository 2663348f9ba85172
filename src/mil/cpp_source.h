// What milgen DSL source is written with: C++ words, literals and lines, and how the generated op
// functions (ir/op_header.cpp) take and return what the op table says.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>

#include "milgen/dtype.h"
#include "milgen/op_info.h"

namespace milgen::detail {

/// `name` as milgen's own C++ spells an op or an argument: const_, dtype_.
std::string cpp_word(std::string_view name);
/// The tag of Tensor<T>; "" for a dtype that has none.
std::string_view cpp_tag(DType dtype);
/// A string literal.
std::string cpp_string(std::string_view text);
/// A float that is rounded to `dtype`, as the shortest decimal that rounds to it again.
std::string cpp_real(double value, DType dtype);

/// The names of one C++ scope, each once and none of them a word of C++ or of the DSL.
class CppNames {
 public:
  /// `name`, or what is nearest to it: `class` becomes `class_`, the second `x` becomes `x_2`.
  std::string take(std::string_view name);

 private:
  std::unordered_set<std::string> taken_;
};

/// Writes `statement` indented, broken into lines of at most 100 columns where a person would.
void put_statement(std::string& out, std::size_t indent, std::string_view statement);

// --- The generated function of an op. ---

/// The arguments that stand before the options.
inline bool is_positional(const Param& param) {
  return param.required() && param.form != Form::dtype;
}
inline bool is_option(const Param& param) { return !param.required() && param.form != Form::dtype; }

enum class CppResult : std::uint8_t {
  none,
  tensor,      ///< Tensor<T> or List<T>
  value,       ///< Value
  tensors,     ///< Tensors<T>
  values,      ///< Values
  sparse,      ///< Sparse<T>
  classified,  ///< Classified
};
CppResult cpp_result(const OpInfo& op);
/// Whether the function takes the kernel, having no tensor that leads to it.
bool takes_kernel(const OpInfo& op);
/// Whether the dtype of the results is a template argument that has to be spelled out.
bool spells_result(const OpInfo& op);
/// Whether the function also takes a C++ number for `param`.
bool takes_number(const OpInfo& op, const Param& param);
/// What an option's dtype is when no positional argument settles it; `result` is the dtype of the
/// op's first result.
DType default_option_dtype(const OpInfo& op, const Param& param, DType result);
/// "+" for add; "" for an op that C++ has no operator for. `comparison` is of numbers too.
std::string_view cpp_operator(OpCode code);

}  // namespace milgen::detail
