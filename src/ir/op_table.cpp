#include "ir/op_table.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "ir/graph.h"
#include "ir/op_table_activation.h"
#include "ir/op_table_control_flow.h"
#include "ir/op_table_conv.h"
#include "ir/op_table_elementwise.h"
#include "ir/op_table_image_resizing.h"
#include "ir/op_table_linear.h"
#include "ir/op_table_normalization.h"
#include "ir/op_table_quantization.h"
#include "ir/op_table_random.h"
#include "ir/op_table_recurrent.h"
#include "ir/op_table_reduction.h"
#include "ir/op_table_scatter_gather.h"
#include "ir/op_table_tensor_operation.h"
#include "ir/op_table_tensor_transformation.h"
#include "ir/op_table_transformer.h"

namespace milgen {
namespace {

using namespace table;

struct Table {
  std::array<OpInfo, kOpCount> rows{};
  std::array<int, kOpCount> times{};  ///< how often a row was given for the op

  constexpr void add(std::span<const OpInfo> family) {
    for (const OpInfo& row : family) {
      rows[static_cast<std::size_t>(row.code)] = row;
      ++times[static_cast<std::size_t>(row.code)];
    }
  }
};

constexpr Table make_table() {
  Table out;
  out.add(kActivationOps);
  out.add(kClassifyOps);
  out.add(kConstexprOps);
  out.add(kControlFlowOps);
  out.add(kConvOps);
  out.add(kElementwiseBinaryOps);
  out.add(kElementwiseUnaryOps);
  out.add(kImageResizingOps);
  out.add(kLinearOps);
  out.add(kNormalizationOps);
  out.add(kPoolOps);
  out.add(kQuantizationOps);
  out.add(kRandomOps);
  out.add(kRecurrentOps);
  out.add(kReductionOps);
  out.add(kScatterGatherOps);
  out.add(kSelectOps);
  out.add(kStateOps);
  out.add(kTensorOperationOps);
  out.add(kTensorTransformationOps);
  out.add(kTransformerOps);
  return out;
}

constexpr Table kTable = make_table();

// --- The proofs. Where one fails, the compiler names the first op that breaks the rule: it is the
// argument of Holds. ---

constexpr auto kNoOp = static_cast<OpCode>(kOpCount);

template <OpCode BrokenBy, FixedString Sentence>
struct Holds {
  static_assert(BrokenBy == kNoOp, "an op of the table breaks this rule");
};

constexpr OpCode first_op(bool (*broken)(const OpInfo&)) {
  for (int i = 0; i < kOpCount; ++i) {
    if (broken(kTable.rows[static_cast<std::size_t>(i)])) return static_cast<OpCode>(i);
  }
  return kNoOp;
}

constexpr OpCode first_param(bool (*broken)(const Param&)) {
  for (int i = 0; i < kOpCount; ++i) {
    for (const Signature& signature : kTable.rows[static_cast<std::size_t>(i)].signatures) {
      for (const Param& param : signature.params) {
        if (broken(param)) return static_cast<OpCode>(i);
      }
    }
  }
  return kNoOp;
}

constexpr OpCode first_signature(bool (*broken)(const OpInfo&, std::span<const Param>)) {
  for (int i = 0; i < kOpCount; ++i) {
    const OpInfo& op = kTable.rows[static_cast<std::size_t>(i)];
    for (const Signature& signature : op.signatures) {
      if (broken(op, signature.params)) return op.code;
    }
  }
  return kNoOp;
}

constexpr OpCode first_count_that_is_not_one() {
  for (int i = 0; i < kOpCount; ++i) {
    if (kTable.times[static_cast<std::size_t>(i)] != 1) return static_cast<OpCode>(i);
  }
  return kNoOp;
}
template struct Holds<first_count_that_is_not_one(), "an op needs exactly one row">;

constexpr OpCode first_out_of_order() {
  for (int i = 1; i < kOpCount; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (!(kTable.rows[at - 1].name < kTable.rows[at].name)) return static_cast<OpCode>(i);
  }
  return kNoOp;
}
template struct Holds<first_out_of_order(),
                      "the names must ascend in the order of OpCode: this one does not">;

constexpr OpCode kIncomplete = first_op(
    [](const OpInfo& op) { return op.name.empty() || op.family.empty() || op.summary.empty(); });
template struct Holds<kIncomplete, "an op needs a name, a family and a summary">;

constexpr OpCode kStopped = first_op([](const OpInfo& op) { return op.summary.back() == '.'; });
template struct Holds<kStopped, "a summary has no final stop">;

constexpr OpCode kWithoutInference =
    first_op([](const OpInfo& op) { return (op.infer == nullptr) != (op.code == OpCode::const_); });
template struct Holds<kWithoutInference, "every op but const needs an inference function">;

constexpr OpCode kUnorderedSignatures = first_op([](const OpInfo& op) {
  if (op.signatures.empty()) return true;
  for (std::size_t i = 1; i < op.signatures.size(); ++i) {
    if (op.signatures[i].since <= op.signatures[i - 1].since) return true;
  }
  return false;
});
template struct Holds<kUnorderedSignatures, "an op needs signatures, and their opsets must ascend">;

constexpr OpCode kUnexplained =
    first_op([](const OpInfo& op) { return has(op.traits, Trait::no_dsl) && op.note.empty(); });
template struct Holds<kUnexplained, "an op without a DSL function needs a note that says why">;

constexpr OpCode kBlocks = first_op([](const OpInfo& op) {
  std::uint32_t blocks = 0;
  for (const Param& param : op.signatures.back().params) {
    if (param.kind == ParamKind::block) ++blocks;
  }
  return blocks != (takes_blocks(op.code) ? kNestedBlocks : 0);
});
template struct Holds<kBlocks, "takes_blocks() says whether an op has nested blocks, two of them">;

constexpr OpCode kInline = first_op(
    [](const OpInfo& op) { return op.has_inline_constants() != has_inline_constants(op.code); });
template struct Holds<kInline, "has_inline_constants() says the same of an op and of its row">;

constexpr OpCode kUnnamedParams = first_signature([](const OpInfo&, std::span<const Param> params) {
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (params[i].name.empty()) return true;
    for (std::size_t j = 0; j < i; ++j) {
      if (params[i].name == params[j].name) return true;
    }
  }
  return params.empty();
});
template struct Holds<kUnnamedParams, "arguments need names of their own">;

constexpr OpCode kNothingRequired =
    first_signature([](const OpInfo&, std::span<const Param> params) {
      for (const Param& param : params) {
        if (param.required()) return false;
      }
      return true;
    });
template struct Holds<kNothingRequired, "an op needs at least one argument that is required">;

// A tuple and an argument of any kind may leave the dtype open; write_state's data has the
// state's own.
constexpr OpCode kOpenDTypes = first_signature([](const OpInfo& op, std::span<const Param> params) {
  for (const Param& param : params) {
    const bool open = param.kind != ParamKind::tensor;
    if (open ? !param.dtypes.empty() : param.dtypes.empty() && op.code != OpCode::write_state) {
      return true;
    }
  }
  return false;
});
template struct Holds<kOpenDTypes, "a tensor argument needs dtypes, and nothing else has any">;

constexpr OpCode kDomainLetter = first_param([](const Param& param) {
  return param.domain != '\0' && (param.domain < 'A' || param.domain > 'Z');
});
template struct Holds<kDomainLetter, "a domain is a capital letter">;

constexpr OpCode kMixedDomain = first_signature([](const OpInfo&, std::span<const Param> params) {
  for (const Param& a : params) {
    for (const Param& b : params) {
      if (a.domain != '\0' && a.domain == b.domain && !(a.dtypes == b.dtypes)) {
        return true;
      }
    }
  }
  return false;
});
template struct Holds<kMixedDomain, "arguments of one domain take the same dtypes">;

constexpr OpCode kResultDomain =
    first_signature([](const OpInfo& op, std::span<const Param> params) {
      if (op.result_dtype != ResultDType::domain) return false;
      for (const Param& param : params) {
        if (param.domain == op.result_domain) return false;
      }
      return true;
    });
template struct Holds<kResultDomain, "the domain of the result must be that of an argument">;

constexpr OpCode kNamedDType = first_op([](const OpInfo& op) {
  int named = 0;
  for (const Param& param : op.signatures.back().params) {
    if (param.form == Form::dtype) ++named;
  }
  return named != (op.result_dtype == ResultDType::parameter ? 1 : 0);
});
template struct Holds<
    kNamedDType, "a result dtype that is named by an argument needs one argument that names it">;

constexpr bool fits_form(const Param& param) {
  switch (param.form) {
    case Form::text:
    case Form::dtype:
      return param.dtypes == kString && param.is_const;
    case Form::boolean:
    case Form::booleans:
      return param.dtypes == kBool && param.is_const;
    case Form::integer:
    case Form::integers:
      return !param.dtypes.has(DType::fp32) && !param.dtypes.has(DType::string) && param.is_const;
    case Form::real:
      return param.dtypes.has(DType::fp32) && param.is_const;
    case Form::extents:
      return param.dtypes.has(DType::int32) && !param.is_const;
    case Form::operand:
      return !param.dtypes.has(DType::string);
  }
  return false;
}
constexpr OpCode kForm = first_param([](const Param& param) { return !fits_form(param); });
template struct Holds<kForm, "an argument's dtypes must be those of its form">;

constexpr bool default_fits(const Param& param) {
  const bool is_list = param.form == Form::integers || param.form == Form::booleans;
  switch (param.def.kind) {
    case DefaultKind::required:
    case DefaultKind::absent:
      return true;
    case DefaultKind::integer:
      return !is_list && param.dtypes.has(DType::int32);
    case DefaultKind::real:
      return !is_list && param.dtypes.has(DType::fp32);
    case DefaultKind::boolean:
      return param.form == Form::boolean && (param.def.number == 0 || param.def.number == 1);
    case DefaultKind::text:
      return param.form == Form::text || param.form == Form::dtype;
    case DefaultKind::spatial_dims:
    case DefaultKind::spatial_sides:
    case DefaultKind::all_axes:
      return param.form == Form::integers;
    case DefaultKind::zero_bias:
    case DefaultKind::box_range:
      return param.form == Form::operand;
  }
  return false;
}
constexpr OpCode kDefault = first_param([](const Param& param) { return !default_fits(param); });
template struct Holds<kDefault, "a default must be a value that the argument takes">;

constexpr bool has_choice(std::string_view choices, std::string_view wanted) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find(' '), choices.size());
    if (choices.substr(0, end) == wanted) return true;
    choices.remove_prefix(std::min(end + 1, choices.size()));
  }
  return false;
}
constexpr OpCode kChoicesOfOther = first_param([](const Param& param) {
  const bool is_text = param.form == Form::text || param.form == Form::dtype;
  return !is_text && (!param.choices.empty() || param.any_case);
});
template struct Holds<kChoicesOfOther, "only a text has choices">;
constexpr OpCode kDefaultChoice = first_param([](const Param& param) {
  return !param.choices.empty() && param.def.kind == DefaultKind::text &&
         !has_choice(param.choices, param.def.text);
});
template struct Holds<kDefaultChoice, "the default of a text must be one of its choices">;

constexpr std::string_view kOpsetNames[] = {"ios15", "ios16", "ios17", "ios18"};

}  // namespace

std::string_view opset_name(Opset opset) {
  return kOpsetNames[static_cast<std::size_t>(opset) - static_cast<std::size_t>(Opset::ios15)];
}

bool opset_from_name(std::string_view name, Opset& opset) {
  for (std::size_t i = 0; i < std::size(kOpsetNames); ++i) {
    if (kOpsetNames[i] == name) {
      opset = static_cast<Opset>(static_cast<std::size_t>(Opset::ios15) + i);
      return true;
    }
  }
  return false;
}

std::span<const Param> OpInfo::params(Opset opset) const {
  std::span<const Param> out;
  for (const Signature& signature : signatures) {
    if (signature.since <= opset) out = signature.params;
  }
  return out;
}

bool OpInfo::written_as_attributes(Opset opset) const {
  if (!has(traits, Trait::constexpr_op)) return false;
  return opset < Opset::ios18 || signatures.back().since < Opset::ios18;
}

std::span<const OpInfo> op_table() { return kTable.rows; }

const OpInfo& op_info(OpCode code) { return kTable.rows[static_cast<std::size_t>(code)]; }

const OpInfo* find_op(std::string_view name) {
  const auto found =
      std::lower_bound(kTable.rows.begin(), kTable.rows.end(), name,
                       [](const OpInfo& op, std::string_view wanted) { return op.name < wanted; });
  return found != kTable.rows.end() && found->name == name ? &*found : nullptr;
}

}  // namespace milgen
