#include "cli/op_example.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "cli/own_examples.h"
#include "milgen/kernel.h"
#include "milgen/op_builder.h"
#include "milgen/print.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

/// What an argument can be in an example: the one that fits its form is read.
struct Choice {
  Shape ints = {};  // a shape for operands
  double number = 0;
  std::string_view text = {};
};

/// Examples that read better than what the search would find first, and arguments that an op needs
/// although each alone may be left out. Not facts about ops: the search checks them like any other.
struct Hint {
  std::string_view op;  ///< "" for all
  std::string_view param;
  Choice choice;
};
const std::vector<Hint>& hints() {
  static const std::vector<Hint> all = {
      {"affine", "transform_matrix", {{1, 6}}},
      {"affine", "padding_value", {{}, 0}},
      {"avg_pool", "kernel_sizes", {{2, 2}}},
      {"batch_norm", "mean", {{4}}},
      {"batch_norm", "variance", {{4}}},
      {"conv", "weight", {{6, 4, 3, 3}}},
      {"conv_quantized", "weight", {{6, 4, 3, 3}}},
      {"conv_transpose", "weight", {{4, 6, 3, 3}}},
      {"crop", "crop_height", {{1, 1}}},
      {"crop", "crop_width", {{1, 1}}},
      {"einsum", "values", {{2, 4, 4, 4}}},
      {"einsum", "equation", {{}, 0, "nchw,nwhu->nchu"}},
      {"gather", "indices", {{2}}},
      {"gru", "x", {{5, 1, 4}}},
      {"gru", "initial_h", {{1, 6}}},
      {"gru", "weight_ih", {{18, 4}}},
      {"gru", "weight_hh", {{18, 6}}},
      {"l2_norm", "epsilon", {{}, 1e-5}},
      {"layer_norm", "x", {{1, 8, 4}}},
      {"layer_norm", "axes", {{-1}}},
      {"linear", "x", {{8, 4}}},
      {"linear", "weight", {{6, 4}}},
      {"lstm", "x", {{5, 1, 4}}},
      {"lstm", "initial_h", {{1, 6}}},
      {"lstm", "initial_c", {{1, 6}}},
      {"lstm", "weight_ih", {{24, 4}}},
      {"lstm", "weight_hh", {{24, 6}}},
      {"matmul", "x", {{1, 2, 8, 4}}},
      {"matmul", "y", {{1, 2, 4, 8}}},
      {"max_pool", "kernel_sizes", {{2, 2}}},
      {"pad", "pad", {{0, 0, 1, 1}}},
      {"reduce_argmax", "axis", {{}, 1}},
      {"rnn", "x", {{5, 1, 4}}},
      {"rnn", "initial_h", {{1, 6}}},
      {"rnn", "weight_ih", {{6, 4}}},
      {"rnn", "weight_hh", {{6, 6}}},
      {"scaled_dot_product_attention", "query", {{1, 2, 8, 4}}},
      {"scaled_dot_product_attention", "key", {{1, 2, 8, 4}}},
      {"scaled_dot_product_attention", "value", {{1, 2, 8, 4}}},
      {"slice_by_index", "end", {{1, 2, 8, 8}}},
      {"slice_by_size", "size", {{1, 2, 8, 8}}},
      {"split", "num_splits", {{}, 2}},
      {"split", "axis", {{}, 1}},
      {"tile", "reps", {{1, 2, 1, 1}}},
      {"transpose", "perm", {{0, 2, 3, 1}}},
      {"", "axes", {{1}}},
      {"", "axis", {{}, 1}},
      {"", "begin", {{0, 0, 0, 0}}},
      {"", "end", {{1, 2, 4, 4}}},
      {"", "x", {{1, 4, 8, 8}}},
  };
  return all;
}

std::vector<Choice> operand_choices() {
  std::vector<Choice> out;
  for (const Shape& shape :
       {Shape{1, 4, 8, 8}, Shape{4}, Shape{}, Shape{4, 8}, Shape{1}, Shape{2}, Shape{6, 4, 1, 1},
        Shape{1, 4, 8}, Shape{8, 4}, Shape{1, 4}, Shape{6}, Shape{2, 2}, Shape{3}}) {
    out.push_back({.ints = shape});
  }
  return out;
}

std::vector<Choice> choices_of(const OpInfo& op, const Param& param) {
  std::vector<Choice> out;
  for (const Hint& hint : hints()) {
    if (hint.param == param.name && hint.op == op.name) out.push_back(hint.choice);
  }
  // What was chosen for this op is meant to be used as it is.
  if (!out.empty()) return out;
  for (const Hint& hint : hints()) {
    if (hint.param == param.name && hint.op.empty()) out.push_back(hint.choice);
  }
  switch (param.form) {
    case Form::operand: {
      const std::vector<Choice> more = operand_choices();
      out.insert(out.end(), more.begin(), more.end());
      break;
    }
    case Form::extents:
    case Form::integers:
    case Form::booleans:
      for (const Shape& ints : {Shape{1}, Shape{2, 2}, Shape{1, 4, 8, 8}, Shape{0}, Shape{1, 1},
                                Shape{0, 0, 0, 0}, Shape{1, 1, 1, 1}, Shape{4, 8, 8}}) {
        out.push_back({.ints = ints});
      }
      break;
    case Form::integer:
      for (const double number : {2.0, 1.0, 0.0, 4.0}) out.push_back({.number = number});
      break;
    case Form::real:
      for (const double number : {0.5, 1.0, 2.0}) out.push_back({.number = number});
      break;
    case Form::boolean:
      out.push_back({.number = 0});
      out.push_back({.number = 1});
      break;
    case Form::text:
    case Form::dtype:
      for_each_word(param.choices, [&](std::string_view word) { out.push_back({.text = word}); });
      if (out.empty()) out.push_back({.text = "example"});
      break;
  }
  return out;
}

DType dtype_of_example(const Param& param) {
  for (const DType wanted : {DType::fp16, DType::int32, DType::boolean, DType::fp32, DType::int8,
                             DType::uint8, DType::uint4, DType::uint1, DType::string}) {
    if (param.dtypes.has(wanted)) return wanted;
  }
  return param.dtypes.empty() ? DType::fp16 : DType::none;
}

template <class T>
Value make(Kernel& kernel, bool is_weight, std::string_view name, const Shape& shape) {
  if (is_weight) return kernel.weight<T>(name, shape);
  return kernel.input<T>(name, shape);
}

Value make_tensor(Kernel& kernel, DType dtype, bool is_weight, std::string_view name,
                  const Shape& shape) {
  switch (dtype) {
    case DType::fp16:
      return make<fp16>(kernel, is_weight, name, shape);
    case DType::fp32:
      return make<fp32>(kernel, is_weight, name, shape);
    case DType::int32:
      return make<int32>(kernel, is_weight, name, shape);
    case DType::int8:
      return make<int8>(kernel, is_weight, name, shape);
    case DType::uint8:
      return make<uint8>(kernel, is_weight, name, shape);
    case DType::uint4:
      return make<uint4>(kernel, is_weight, name, shape);
    case DType::uint1:
      return make<uint1>(kernel, is_weight, name, shape);
    case DType::boolean:
      if (!is_weight) return kernel.input<bool>(name, shape);
      break;
    default:
      break;
  }
  return {};
}

std::string tag(DType dtype) {
  return std::string(dtype == DType::boolean ? "bool" : dtype_name(dtype));
}

std::string braces(const Shape& ints) {
  std::string text = to_string(ints);
  text.front() = '{';
  text.back() = '}';
  return text;
}

/// One attempt: a choice for each argument.
class Attempt {
 public:
  Attempt(const OpInfo& op, std::span<const Param* const> params,
          std::span<const Choice* const> choices)
      : op_(op), params_(params), choices_(choices) {}

  bool run(OpExample& example) {
    Kernel kernel("example");
    std::string call;
    std::string options;
    std::string to;
    {
      OpBuilder builder(op_.code, kernel, here());
      for (std::size_t i = 0; i < params_.size(); ++i) {
        const Param& param = *params_[i];
        std::string spelled;
        if (!argument(kernel, builder, param, *choices_[i], spelled, to)) return false;
        if (param.form == Form::dtype) continue;
        std::string& list = param.required() ? call : options;
        if (!list.empty()) list += ", ";
        list += param.required() ? spelled : fmt::format(".{} = {}", param.name, spelled);
      }
      const Value result = builder.result();
      if (kernel.diagnostics().has_errors() || result.poisoned() || !result.given()) return false;
      kernel.output("out", result);
    }
    const Program program = kernel.finish();
    if (!program) return false;
    if (!options.empty()) call += fmt::format(", {{{}}}", options);
    const std::string_view member = op_.results == ResultCount::one        ? ""
                                    : has(op_.traits, Trait::constexpr_op) ? ".mask"
                                                                           : "[0]";
    if (takes_kernel_) call = "k" + (call.empty() ? std::string() : ", " + call);
    example.source = fmt::format("{}auto out = {}{}({});\nk.output(\"out\", out{});\n", source_,
                                 op_.name, to, call, member);
    example.text = print_mil(program);
    return true;
  }

 private:
  bool argument(Kernel& kernel, OpBuilder& builder, const Param& param, const Choice& choice,
                std::string& spelled, std::string& to) {
    switch (param.form) {
      case Form::operand: {
        takes_kernel_ = false;
        const DType dtype = dtype_of_example(param);
        // What an author has in a file, although the op would take it at run time as well.
        const bool is_weight = param.is_const || param.name.starts_with("weight") ||
                               param.name == "gamma" || param.name == "beta";
        const int count = param.kind == ParamKind::variadic ? 2 : 1;
        if (count == 1 && param.kind != ParamKind::tensor && param.kind != ParamKind::any)
          return false;
        for (int n = 0; n < count; ++n) {
          const std::string name =
              count == 1 ? std::string(param.name) : std::string(1, static_cast<char>('a' + n));
          const Value value = make_tensor(kernel, dtype, is_weight, name, choice.ints);
          if (!value.given() || value.poisoned()) return false;
          source_ +=
              fmt::format("auto {} = k.{}<{}>(\"{}\", {});\n", name, is_weight ? "weight" : "input",
                          tag(dtype), name, braces(choice.ints));
          if (count == 1) {
            builder.operand(param.name, value);
            spelled = name;
          } else {
            builder.element(param.name, value);
            spelled = "{a, b}";
          }
        }
        return true;
      }
      case Form::extents:
        builder.extents(param.name, Extents(choice.ints));
        spelled = braces(choice.ints);
        return true;
      case Form::integers:
        builder.integers(param.name, choice.ints);
        spelled = braces(choice.ints);
        return true;
      case Form::booleans:
        builder.booleans(param.name, choice.ints);
        spelled = braces(choice.ints);
        return true;
      case Form::integer:
        builder.integer(param.name, static_cast<std::int64_t>(choice.number));
        spelled = fmt::format("{}", static_cast<std::int64_t>(choice.number));
        return true;
      case Form::real:
        // Where no tensor settles the dtype, the generated function asks for it.
        if (takes_kernel_) {
          builder.number(param.name, dtype_of_example(param), choice.number);
          to = fmt::format("<{}>", tag(dtype_of_example(param)));
        } else {
          builder.real(param.name, choice.number);
        }
        spelled = fmt::format("{}", choice.number);
        return true;
      case Form::boolean:
        builder.boolean(param.name, choice.number != 0);
        spelled = choice.number != 0 ? "true" : "false";
        return true;
      case Form::text:
        builder.text(param.name, choice.text);
        spelled = fmt::format("\"{}\"", choice.text);
        return true;
      case Form::dtype: {
        const DType dtype = dtype_from_name(choice.text);
        if (dtype == DType::none) return false;
        builder.dtype(param.name, dtype);
        to = fmt::format("<{}>", tag(dtype));
        return true;
      }
    }
    return false;
  }

  const OpInfo& op_;
  std::span<const Param* const> params_;
  std::span<const Choice* const> choices_;
  std::string source_;
  bool takes_kernel_ = true;
};

}  // namespace

bool make_op_example(const OpInfo& op, OpExample& example) {
  if (const OwnExample* own = find_own_example(op.code)) {
    Kernel kernel("example");
    own->build(kernel);
    example.source = own->source;
    example.text = print_mil(kernel.finish());
    return !example.text.empty();
  }
  if (has(op.traits, Trait::no_dsl)) return false;
  std::vector<const Param*> params;
  std::vector<std::vector<Choice>> choices;
  for (const Param& param : op.params()) {
    const bool hinted = std::ranges::any_of(
        hints(), [&](const Hint& hint) { return hint.op == op.name && hint.param == param.name; });
    if (!param.required() && !hinted) continue;
    params.push_back(&param);
    choices.push_back(choices_of(op, param));
  }
  constexpr int kMostAttempts = 20000;
  std::vector<std::size_t> at(params.size());
  std::vector<const Choice*> chosen(params.size());
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    for (std::size_t i = 0; i < params.size(); ++i) chosen[i] = &choices[i][at[i]];
    if (Attempt(op, params, chosen).run(example)) return true;
    // The last argument changes fastest.
    std::size_t i = params.size();
    while (i != 0 && ++at[i - 1] == choices[i - 1].size()) at[--i] = 0;
    if (i == 0) return false;
  }
  return false;
}

std::string op_call(const OpInfo& op) {
  std::string required;
  std::string optional;
  std::string to;
  for (const Param& param : op.params()) {
    if (param.form == Form::dtype) {
      to = "<T>";
      continue;
    }
    std::string& list = param.required() ? required : optional;
    if (!list.empty()) list += ", ";
    list += (param.required() ? "" : ".") + std::string(param.name);
  }
  if (!optional.empty())
    required += fmt::format("{}{{{}}}", required.empty() ? "" : ", ", optional);
  return fmt::format("{}{}({})", op.name, to, required);
}

}  // namespace milgen::cli
