// Pooling.
#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "ir/infer.h"
#include "ir/op_table.h"
#include "ir/window.h"

namespace milgen {
namespace {

constexpr detail::WindowRules kPoolRules = {
    .rank = rule<"pool.rank">,
    .length = rule<"pool.length">,
    .value = rule<"pool.value">,
    .output = rule<"pool.output">,
};

/// What ceil_mode asks of the padding and of the number of spatial dims.
bool ceil_mode_fits(InferContext& ctx, const detail::Windows& windows) {
  if (windows.dims() > 2) {
    ctx.error(rule<"pool.ceil_mode">, "ceil_mode x",
              fmt::format("ceil_mode is true but x {} has {} spatial dims, and 2 are the most",
                          shape_text(ctx.type("x").shape), windows.dims()));
    return false;
  }
  if (windows.pad_type() == detail::PadType::same) {
    ctx.error(rule<"pool.ceil_mode">, "ceil_mode pad_type",
              "ceil_mode is true but pad_type is same, which leaves nothing to round");
    return false;
  }
  for (int i = 0; i < windows.dims(); ++i) {
    if (windows.pad_before(i) == windows.pad_after(i)) continue;
    ctx.error(rule<"pool.ceil_mode">, "ceil_mode pad",
              fmt::format("ceil_mode is true but pad has {} before and {} after spatial dim {}, "
                          "which must be equal",
                          windows.pad_before(i), windows.pad_after(i), i));
    return false;
  }
  return true;
}

}  // namespace

void infer_pool(InferContext& ctx) {
  detail::Windows windows(kPoolRules);
  if (!windows.read(ctx, false)) return;
  const TypeView x = ctx.type("x");
  if (ctx.op().code == OpCode::l2_pool && windows.dims() > 2) {
    ctx.error(rule<"pool.rank">, "x",
              fmt::format("{} has shape {} but must have rank 3 or 4", ctx.describe("x"),
                          shape_text(x.shape)));
    return;
  }
  std::array<std::int64_t, detail::kMostSpatialDims> kernel{};
  if (!windows.read_list(ctx, "kernel_sizes", 1, 1, kernel) ||
      !windows.need_positive(ctx, "kernel_sizes", kernel)) {
    return;
  }
  if (windows.pad_type() == detail::PadType::same_lower && ctx.opset() < Opset::ios16) {
    ctx.error(rule<"pool.same_lower">, "pad_type",
              fmt::format("pad_type is same_lower, which exists from ios16 on, but the program is "
                          "{}",
                          opset_name(ctx.opset())));
    return;
  }
  const bool ceil_mode = ctx.boolean("ceil_mode");
  if (ceil_mode && !ceil_mode_fits(ctx, windows)) return;
  Shape out{x.dim(0), x.dim(1)};
  for (int i = 0; i < windows.dims(); ++i) {
    std::int64_t size = 0;
    if (!windows.count(ctx, i, kernel[static_cast<std::size_t>(i)], ceil_mode, size)) return;
    out.push_back(size);
  }
  ctx.result(x.dtype, out);
}

}  // namespace milgen
