#include "mil/cpp_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "mil/number_text.h"
#include "support/text.h"

namespace milgen::detail {
namespace {

/// Words that printed source may not use for names of its own: those of C++, macros of the headers
/// that come with milgen's, what the source itself says, and C functions that a kernel's function
/// would overload, so that its name alone no longer says which one is meant. Names of ops are held
/// against the table.
constexpr std::string_view kWords =
    "Block Config DType Fill Kernel List Loc OpBuilder OpCode Opset Pack Registry Sparse State "
    "Tensor Tensors Value Values abort accept alignas alignof and and_eq argc argv asm assert "
    "auto bf16 bind bitand bitor bool break case catch char char16_t char32_t char8_t class "
    "clock co_await co_return co_yield compl concept connect const const_cast consteval "
    "constexpr constinit continue decltype default delete div do double dynamic_cast else enum "
    "errno exit explicit export extern false float for fp16 fp32 fp64 friend gamma get goto "
    "here if index inline int int16 int32 int4 int64 int8 k kUnknownDim kernels linux long main "
    "milc_main milgen mutable namespace new noexcept not not_eq nullptr open operator or or_eq "
    "pipe private protected public read register reinterpret_cast remove requires return send "
    "short signal signed sizeof static static_assert static_cast std stderr stdin stdout struct "
    "switch template this thread_local throw time true try typedef typeid typename uint1 uint16 "
    "uint2 uint3 uint32 uint4 uint6 uint64 uint8 union unix unsigned using virtual void "
    "volatile wchar_t while write xor xor_eq";

bool is_word(std::string_view name) {
  static const std::unordered_set<std::string_view> words = [] {
    std::unordered_set<std::string_view> out;
    for_each_word(kWords, [&](std::string_view word) { out.insert(word); });
    return out;
  }();
  return words.contains(name) || find_op(name) != nullptr;
}

/// A name that C++ takes and that no macro has: those are upper case throughout, begin with an
/// underscore, or are words of their own.
std::string legal_name(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '@', '_');
  if (out.empty() || out.front() == '_') out.insert(0, 1, 'v');
  const bool has_lower = std::ranges::any_of(out, [](char c) { return c >= 'a' && c <= 'z'; });
  if (is_word(out) || (!has_lower && out.size() > 2)) out += '_';
  return out;
}

/// Ops whose only result has the dtype of x although the table leaves it to inference.
bool is_typed_as_x(OpCode code) { return code == OpCode::identity; }

/// Whether the results are a Sparse<T>.
bool is_sparse(OpCode code) {
  return code == OpCode::constexpr_lut_to_sparse ||
         code == OpCode::constexpr_sparse_blockwise_shift_scale;
}

bool is_typed_alike(const OpInfo& op) {
  return op.result_dtype != ResultDType::inferred && op.result_dtype != ResultDType::parameter;
}

}  // namespace

std::string cpp_word(std::string_view name) {
  if (name == "const") return "const_";
  if (name == "dtype") return "dtype_";
  return std::string(name);
}

std::string_view cpp_tag(DType dtype) {
  switch (dtype) {
    case DType::none:
    case DType::string:
    case DType::fp8e4m3fn:
    case DType::fp8e5m2:
      return {};
    default:
      return dtype_name(dtype);
  }
}

std::string cpp_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\{:03o}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string cpp_real(double value, DType dtype) {
  if (std::isnan(value)) return "NAN";
  if (std::isinf(value)) return value < 0 ? "-INFINITY" : "INFINITY";
  return float_text(value, dtype, FloatStyle::decimal);
}

std::string CppNames::take(std::string_view name) {
  const std::string base = legal_name(name);
  std::string out = base;
  for (int number = 2; !taken_.insert(out).second; ++number) {
    out = fmt::format("{}_{}", base, number);
  }
  return out;
}

namespace {

/// Where `statement` may be broken: behind commas, behind `=` and in front of `.named`, but not
/// inside of strings and of short lists.
std::vector<std::size_t> breaks_of(std::string_view statement) {
  constexpr std::size_t kShortList = 40;
  std::vector<std::size_t> out;
  bool quoted = false;
  std::size_t list_end = 0;
  for (std::size_t i = 0; i < statement.size(); ++i) {
    const char c = statement[i];
    const std::string_view rest = statement.substr(i);
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      continue;
    } else if (c == '{' && i >= list_end) {
      const std::size_t end = rest.find('}');
      if (end != std::string_view::npos && end < kShortList) list_end = i + end;
    } else if (i >= list_end && (rest.starts_with(", ") || rest.starts_with("= "))) {
      out.push_back(i + 2);
    } else if (i >= list_end && rest.starts_with(".named(")) {
      out.push_back(i);
    }
  }
  out.push_back(statement.size());
  return out;
}

}  // namespace

void put_statement(std::string& out, std::size_t indent, std::string_view statement) {
  constexpr std::size_t kColumns = 100;
  constexpr std::size_t kContinuation = 4;
  out.append(indent, ' ');
  std::size_t column = indent;
  std::size_t begin = 0;
  for (const std::size_t end : breaks_of(statement)) {
    const std::string_view piece = statement.substr(begin, end - begin);
    // The space behind a comma is not needed at a line's end.
    const std::size_t width = piece.ends_with(' ') ? piece.size() - 1 : piece.size();
    if (column + width > kColumns && begin != 0) {
      if (out.back() == ' ') out.pop_back();
      out += '\n';
      out.append(indent + kContinuation, ' ');
      column = indent + kContinuation;
    }
    out += piece;
    column += piece.size();
    begin = end;
  }
  out += '\n';
}

CppResult cpp_result(const OpInfo& op) {
  if (has(op.traits, Trait::own_dsl)) {
    if (op.code == OpCode::classify) return CppResult::classified;
    return op.results == ResultCount::none ? CppResult::none : CppResult::tensor;
  }
  if (is_sparse(op.code)) return CppResult::sparse;
  switch (op.results) {
    case ResultCount::none:
      return CppResult::none;
    case ResultCount::one:
      return op.result_dtype != ResultDType::inferred || is_typed_as_x(op.code) ? CppResult::tensor
                                                                                : CppResult::value;
    case ResultCount::two:
    case ResultCount::three:
    case ResultCount::by_inference:
      break;
  }
  return is_typed_alike(op) ? CppResult::tensors : CppResult::values;
}

bool takes_kernel(const OpInfo& op) {
  if (op.code == OpCode::make_list) return true;
  return std::ranges::none_of(op.params(), [](const Param& param) {
    return is_positional(param) && param.form == Form::operand;
  });
}

bool spells_result(const OpInfo& op) {
  if (op.code == OpCode::make_list) return true;
  if (op.result_dtype == ResultDType::parameter) return true;
  if (op.result_dtype != ResultDType::domain) return false;
  return std::ranges::none_of(op.params(), [&](const Param& param) {
    return is_positional(param) && param.form == Form::operand && param.domain == op.result_domain;
  });
}

bool takes_number(const OpInfo& op, const Param& param) {
  // milgen::Index, which is a number or a tensor.
  if (has(op.traits, Trait::own_dsl)) return param.name == "index" || param.name == "init_length";
  if (op.code == OpCode::select) return param.name == "a" || param.name == "b";
  const std::span<const Param> params = op.params();
  return op.family == "elementwise_binary" && params.size() == 2 &&
         params[0].domain == params[1].domain && !params[1].dtypes.has(DType::boolean) &&
         param.name == params[1].name;
}

DType default_option_dtype(const OpInfo& op, const Param& param, DType result) {
  const bool has_result =
      op.result_dtype == ResultDType::domain || op.result_dtype == ResultDType::parameter;
  if (has_result) {
    DTypeSet of_result;
    for (const Param& other : op.params()) {
      if (op.result_dtype == ResultDType::domain && other.domain == op.result_domain) {
        of_result = of_result | other.dtypes;
      }
      if (op.result_dtype == ResultDType::parameter && other.form == Form::dtype) {
        for (int d = 1; d < kDTypeCount; ++d) {
          const std::string words = " " + std::string(other.choices) + " ";
          const std::string word = " " + std::string(dtype_name(static_cast<DType>(d))) + " ";
          if (words.find(word) != std::string::npos) {
            of_result = of_result | DTypeSet(static_cast<DType>(d));
          }
        }
      }
    }
    if (!of_result.empty() && (of_result | param.dtypes) == param.dtypes) return result;
  }
  if (param.dtypes.has(DType::int32)) return DType::int32;
  for (int d = 1; d < kDTypeCount; ++d) {
    if (param.dtypes.has(static_cast<DType>(d))) return static_cast<DType>(d);
  }
  return DType::none;
}

std::string_view cpp_operator(OpCode code) {
  switch (code) {
    case OpCode::add:
      return "+";
    case OpCode::sub:
      return "-";
    case OpCode::mul:
      return "*";
    case OpCode::real_div:
      return "/";
    case OpCode::equal:
      return "==";
    case OpCode::not_equal:
      return "!=";
    case OpCode::less:
      return "<";
    case OpCode::less_equal:
      return "<=";
    case OpCode::greater:
      return ">";
    case OpCode::greater_equal:
      return ">=";
    case OpCode::logical_and:
      return "&&";
    case OpCode::logical_or:
      return "||";
    case OpCode::logical_not:
      return "!";
    default:
      return {};
  }
}

}  // namespace milgen::detail
