// The op set of the segmenter's dumps: its rows and their inference.
#include <array>
#include <cstddef>

#include "ir/infer_util.h"
#include "ir/op_table.h"
#include "ir/segmenter_ops.h"

namespace milgen {

using namespace detail;

namespace {

void infer_tensor_buffer_to_tensor(InferContext& ctx) {
  const TypeView buffer = ctx.type("input");
  if (buffer.kind != TypeKind::tensor_buffer) {
    ctx.error(rule<"arg.kind">, "input",
              fmt::format("{} is {} but the op takes a tensor_buffer there", ctx.describe("input"),
                          to_string(buffer)));
    return;
  }
  ctx.result(buffer.dtype, buffer.shape);
}

/// One entry for each dim of input, none of them below `least`.
bool need_layout(InferContext& ctx, std::string_view param, std::int64_t least) {
  const TypeView input = ctx.type("input");
  const std::span<const std::int64_t> values = list_of(ctx, param);
  if (values.size() != input.shape.size()) {
    ctx.error(rule<"tensor_buffer.length">, fmt::format("{} input", param),
              fmt::format("{} has {} entries but {} has shape {}", param, values.size(),
                          ctx.describe("input"), shape_text(input.shape)));
    return false;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= least) continue;
    ctx.error(rule<"tensor_buffer.value">, param,
              fmt::format("{}[{}] is {} but must be {} or more", param, i, values[i], least));
    return false;
  }
  return true;
}

void infer_tensor_to_tensor_buffer(InferContext& ctx) {
  // A stride of 0 lets all indices of a dim share their elements.
  const bool strides = need_layout(ctx, "strides", 0);
  const bool factors = need_layout(ctx, "interleave_factors", 1);
  if (!strides || !factors) return;
  const TypeView input = ctx.type("input");
  ctx.result_tensor_buffer(input.dtype, input.shape, list_of(ctx, "strides"),
                           list_of(ctx, "interleave_factors"));
}

using namespace table;

// The known dumps have int64 strides and uint8 factors; no definition says what else is taken.
constexpr DTypeSet kAnyInteger =
    kInt8And16 | DTypeSet{DType::int32, DType::uint32, DType::int64, DType::uint64};
constexpr DTypeSet kAnyElement = kAnyData | kAnyInteger | DTypeSet{DType::fp64, DType::bf16};

constexpr Param kToTensorParams[] = {of_kind(ParamKind::any, "input")};
constexpr Param kToBufferParams[] = {
    in("input", kAnyElement),
    attribute(Form::integers, "interleave_factors", '\0', kAnyInteger, {}),
    attribute(Form::integers, "strides", '\0', kAnyInteger, {}),
};
// The dumps write the ops as ios17's, whatever the function's opset is.
constexpr Signature kToTensor[] = {{Opset::ios17, kToTensorParams}};
constexpr Signature kToBuffer[] = {{Opset::ios17, kToBufferParams}};

constexpr std::array<OpInfo, 2> kSegmenterOps = {{
    {.code = kTensorBufferToTensor,
     .name = "tensor_buffer_to_tensor",
     .family = "segmenter",
     .summary = "the tensor that lies in a buffer",
     .signatures = kToTensor,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::no_dsl,
     .note = "stands in the segmenter's dumps only",
     .infer = infer_tensor_buffer_to_tensor},
    {.code = kTensorToTensorBuffer,
     .name = "tensor_to_tensor_buffer",
     .family = "segmenter",
     .summary = "lays a tensor out in a buffer",
     .signatures = kToBuffer,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::no_dsl,
     .note = "stands in the segmenter's dumps only",
     .infer = infer_tensor_to_tensor_buffer},
}};

}  // namespace

std::span<const OpInfo> segmenter_op_table() { return kSegmenterOps; }

const OpInfo* find_segmenter_op(std::string_view name) {
  for (const OpInfo& op : kSegmenterOps) {
    if (op.name == name) return &op;
  }
  return nullptr;
}

}  // namespace milgen
