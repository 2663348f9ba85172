#include "ir/window.h"

#include <fmt/format.h>

#include <algorithm>

namespace milgen::detail {
namespace {

/// The first letter after a possible "same_" tells the four words apart, in any letter case.
PadType pad_type_from(std::string_view word) {
  const char first = word.empty() ? 'v' : static_cast<char>(word.front() | 0x20);
  if (first == 'c') return PadType::custom;
  if (first == 's') return word.size() == 4 ? PadType::same : PadType::same_lower;
  return PadType::valid;
}

/// Sums and products of dims that remember an overflow.
class Checked {
 public:
  std::int64_t add(std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    overflow_ |= __builtin_add_overflow(a, b, &out);
    return out;
  }
  std::int64_t subtract(std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    overflow_ |= __builtin_sub_overflow(a, b, &out);
    return out;
  }
  std::int64_t multiply(std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    overflow_ |= __builtin_mul_overflow(a, b, &out);
    return out;
  }
  /// The elements that a window reaches over: (kernel - 1) * dilation + 1.
  std::int64_t reach(std::int64_t kernel, std::int64_t dilation) {
    return add(multiply(subtract(kernel, 1), dilation), 1);
  }

  /// Reports shape.overflow when something did not fit in 63 bits.
  bool fits(InferContext& ctx, int dim) const {
    if (!overflow_) return true;
    ctx.error(rule<"shape.overflow">, "x",
              fmt::format("the size of spatial dim {} does not fit in 63 bits", dim));
    return false;
  }

 private:
  bool overflow_ = false;
};

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && a < 0 ? 1 : 0);
}

}  // namespace

bool Windows::read_list(InferContext& ctx, std::string_view param, int per_dim,
                        std::int64_t otherwise, std::span<std::int64_t> out) const {
  const auto wanted = at(dims_ * per_dim);
  const ConstView* value = ctx.constant(param);
  if (value == nullptr) {
    std::fill_n(out.begin(), wanted, otherwise);
    return true;
  }
  if (value->ints.size() != wanted) {
    ctx.error(rules_.length, fmt::format("{} x", param),
              fmt::format("{} has {} entries but x {} has {} spatial dims, which take {}", param,
                          value->ints.size(), shape_text(ctx.type("x").shape), dims_, wanted));
    return false;
  }
  std::copy(value->ints.begin(), value->ints.end(), out.begin());
  return true;
}

bool Windows::need_positive(InferContext& ctx, std::string_view param,
                            std::span<const std::int64_t> values) const {
  for (const std::int64_t value : values.first(at(dims_))) {
    if (value >= 1) continue;
    ctx.error(rules_.value, param, fmt::format("{} holds {} but takes 1 or more", param, value));
    return false;
  }
  return true;
}

bool Windows::read(InferContext& ctx, bool has_dilations) {
  const TypeView x = ctx.type("x");
  dims_ = x.rank() - 2;
  if (dims_ < 1 || dims_ > kMostSpatialDims) {
    ctx.error(rules_.rank, "x",
              fmt::format("{} has shape {} but must have rank 3, 4 or 5", ctx.describe("x"),
                          shape_text(x.shape)));
    return false;
  }
  pad_type_ = pad_type_from(ctx.text("pad_type", "valid"));
  bool good = read_list(ctx, "strides", 1, 1, strides_) && need_positive(ctx, "strides", strides_);
  if (has_dilations) {
    good = read_list(ctx, "dilations", 1, 1, dilations_) &&
           need_positive(ctx, "dilations", dilations_) && good;
  } else {
    dilations_.fill(1);
  }
  return read_list(ctx, "pad", 2, 0, pad_) && good;
}

bool Windows::need_output(InferContext& ctx, int i, std::int64_t kernel, std::int64_t size) const {
  if (size >= 1) return true;
  const TypeView x = ctx.type("x");
  ctx.error(rules_.output, "x",
            fmt::format("spatial dim {} of x {} with a kernel of {}, dilation {}, stride {} and "
                        "padding {} and {} leaves {} elements",
                        i, shape_text(x.shape), kernel, dilation(i), stride(i), pad_before(i),
                        pad_after(i), size));
  return false;
}

bool Windows::count(InferContext& ctx, int i, std::int64_t kernel, bool ceil_mode,
                    std::int64_t& out) const {
  const std::int64_t size = ctx.type("x").dim(i + 2);
  out = kUnknownDim;
  if (!known(size) || !known(kernel)) return true;
  Checked checked;
  const std::int64_t reach = checked.reach(kernel, dilation(i));
  std::int64_t pad = 0;
  if (pad_type_ == PadType::custom) {
    pad = checked.add(pad_before(i), pad_after(i));
  } else if (pad_type_ != PadType::valid) {
    // As many windows as strides begin in x; whatever the last one lacks is padding.
    const std::int64_t strides = size / stride(i) + (size % stride(i) != 0 ? 1 : 0);
    const std::int64_t covered = checked.add(checked.multiply(strides, stride(i)), reach);
    pad = std::max<std::int64_t>(0, checked.subtract(checked.subtract(covered, size), stride(i)));
  }
  const std::int64_t padded = checked.add(size, pad);
  std::int64_t room = checked.subtract(padded, reach);
  if (ceil_mode) room = checked.add(room, stride(i) - 1);
  std::int64_t windows = checked.add(floor_divide(room, stride(i)), 1);
  if (ceil_mode && pad > 0) {
    // A last window that would begin in the padding after x is not counted.
    const std::int64_t last = checked.multiply(checked.subtract(windows, 1), stride(i));
    if (checked.multiply(2, last) >= checked.add(checked.multiply(2, size), pad)) --windows;
  }
  if (!checked.fits(ctx, i) || !need_output(ctx, i, kernel, windows)) return false;
  out = windows;
  return true;
}

bool Windows::spread(InferContext& ctx, int i, std::int64_t kernel, std::int64_t& out) const {
  const std::int64_t size = ctx.type("x").dim(i + 2);
  const bool same = pad_type_ == PadType::same || pad_type_ == PadType::same_lower;
  out = kUnknownDim;
  if (!same && !known(kernel)) return true;
  // stride * size, and what the last window reaches over that or padding cuts off.
  Checked checked;
  std::int64_t added = 0;
  if (!same) added = checked.subtract(checked.reach(kernel, dilation(i)), stride(i));
  if (pad_type_ == PadType::custom) {
    added = checked.subtract(checked.subtract(added, pad_before(i)), pad_after(i));
  }
  if (!known(size)) {
    if (stride(i) == 1 && added == 0) out = size;
    return checked.fits(ctx, i);
  }
  const std::int64_t covered = checked.add(checked.multiply(stride(i), size), added);
  if (!checked.fits(ctx, i) || !need_output(ctx, i, kernel, covered)) return false;
  out = covered;
  return true;
}

}  // namespace milgen::detail
