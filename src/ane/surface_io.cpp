#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "ane/layout.h"
#include "milgen/ane/surface.h"
#include "support/half.h"

namespace milgen::ane {
namespace {

// Batches, channels, depth, height.
constexpr std::size_t kRowAxes = 4;
using RowAxes = std::array<std::int64_t, kRowAxes>;

/// Runs of elements that stand at regular distances in memory.
struct Side {
  std::int64_t first = 0;  // this and the following: bytes
  RowAxes strides{};
  std::int64_t element_bytes = 0;
};

/// Elements that go from one memory to another: `counts` runs of `columns` elements. Both memories
/// are known to have them all.
struct Transfer {
  RowAxes counts{};
  std::int64_t columns = 0;
  Side from;
  Side to;

  bool empty() const { return columns == 0 || std::ranges::count(counts, 0) != 0; }

  /// Makes one run of rows that follow each other without a gap on both sides, and moves the axes
  /// that are left inwards, where a step costs least.
  void merge() {
    std::size_t last = kRowAxes;
    for (std::size_t axis = kRowAxes; axis-- > 0;) {
      const std::int64_t count = std::exchange(counts[axis], 1);
      const bool follows = last == kRowAxes && from.strides[axis] == columns * from.element_bytes &&
                           to.strides[axis] == columns * to.element_bytes;
      if (count == 1 || follows) {
        columns *= count;
        continue;
      }
      --last;
      counts[last] = count;
      from.strides[last] = from.strides[axis];
      to.strides[last] = to.strides[axis];
    }
  }

  /// Where the last run of a side ends, in bytes.
  std::int64_t end(const Side& side) const {
    std::int64_t offset = side.first + columns * side.element_bytes;
    for (std::size_t axis = 0; axis < kRowAxes; ++axis) {
      offset += (counts[axis] - 1) * side.strides[axis];
    }
    return offset;
  }
  bool overlaps() const { return from.first < end(to) && to.first < end(from); }
  bool keeps_strides() const {
    for (std::size_t axis = 0; axis < kRowAxes; ++axis) {
      if (counts[axis] != 1 && from.strides[axis] != to.strides[axis]) return false;
    }
    return true;
  }

  /// Begins with the last run.
  void turn_round() {
    for (Side* side : {&from, &to}) {
      for (std::size_t axis = 0; axis < kRowAxes; ++axis) {
        side->first += (counts[axis] - 1) * side->strides[axis];
        side->strides[axis] = -side->strides[axis];
      }
    }
  }
};

/// Calls `move(from, to, elements)` for every run.
template <class Move>
void for_each_run(const Transfer& transfer, const std::byte* from, std::byte* to, Move&& move) {
  const RowAxes& a = transfer.from.strides;
  const RowAxes& b = transfer.to.strides;
  const auto count = static_cast<std::size_t>(transfer.columns);
  for (std::int64_t i = 0; i < transfer.counts[0]; ++i) {
    for (std::int64_t j = 0; j < transfer.counts[1]; ++j) {
      for (std::int64_t k = 0; k < transfer.counts[2]; ++k) {
        const std::byte* run = from + transfer.from.first + i * a[0] + j * a[1] + k * a[2];
        std::byte* run_to = to + transfer.to.first + i * b[0] + j * b[1] + k * b[2];
        for (std::int64_t l = 0; l < transfer.counts[3]; ++l) {
          move(run + l * a[3], run_to + l * b[3], count);
        }
      }
    }
  }
}

RowAxes row_counts(const TensorLayout& layout, std::int64_t channels) {
  return {layout.batches, channels, layout.depth, layout.height};
}

/// In the surface, from a channel and a column on.
Side surface_side(const TensorLayout& layout, std::int64_t channel, std::int64_t column) {
  return {
      .first = channel * layout.plane_stride + column * layout.element_bytes(),
      .strides = {layout.batch_stride, layout.plane_stride, layout.depth_stride, layout.row_stride},
      .element_bytes = layout.element_bytes()};
}

/// In the caller's memory, without gaps.
Side packed_side(const RowAxes& counts, std::int64_t columns, std::int64_t element_bytes) {
  Side side = {.first = 0, .strides = {}, .element_bytes = element_bytes};
  std::int64_t stride = columns * element_bytes;
  for (std::size_t axis = kRowAxes; axis-- > 0;) {
    side.strides[axis] = stride;
    stride *= counts[axis];
  }
  return side;
}

Error argument_error(std::string message) { return Error(ErrorKind::argument, std::move(message)); }

Error check_place(const Surface& surface, const TensorLayout& layout) {
  if (Error error = check_layout(layout)) return error;
  if (!surface) return argument_error(fmt::format("{}, and has no surface", layout_text(layout)));
  if (layout.alloc_bytes() <= surface.bytes()) return {};
  return argument_error(fmt::format("{} and takes {} bytes, but its surface has {}",
                                    layout_text(layout), layout.alloc_bytes(), surface.bytes()));
}

/// The channels or columns of a tensor, and those that are asked for.
struct Range {
  std::string_view what;
  std::int64_t size;
  std::int64_t first;
  std::int64_t count;
};

/// Takes -1 as all that follow; `argument` when they are not all there.
Error resolve(const TensorLayout& layout, Range& range) {
  const bool begins = range.first >= 0 && range.first <= range.size;
  if (begins && range.count == -1) range.count = range.size - range.first;
  if (begins && range.count >= 0 && range.count <= range.size - range.first) return {};
  return argument_error(fmt::format("{} with {} {}s, but {} from {} {} on are asked for",
                                    layout_text(layout), range.size, range.what,
                                    range.count == -1 ? "all" : std::to_string(range.count),
                                    range.what, range.first));
}

/// Takes counts of -1 as what they stand for.
Error resolve(const TensorLayout& layout, Region& region) {
  if (region.first_channel == 0 && region.channels == -1 && region.first_column == 0 &&
      region.columns == -1) {
    region.channels = layout.channels;
    region.columns = layout.width;
    return {};
  }
  if (layout.batches != 1 || layout.depth != 1) {
    return argument_error(
        fmt::format("{} with {} batches and a depth of {}, but a part is taken of one batch and a "
                    "depth of 1",
                    layout_text(layout), layout.batches, layout.depth));
  }
  Range channels = {"channel", layout.channels, region.first_channel, region.channels};
  if (Error error = resolve(layout, channels)) return error;
  Range columns = {"column", layout.width, region.first_column, region.columns};
  if (Error error = resolve(layout, columns)) return error;
  region.channels = channels.count;
  region.columns = columns.count;
  return {};
}

/// What the caller gives or wants.
struct Values {
  std::string_view unit;      ///< as messages count them
  std::size_t count;          ///< in units
  std::int64_t unit_bytes;    ///< of the caller's memory
  std::int64_t units_of_one;  ///< units that one element of the tensor is
  std::int64_t element_bytes() const { return unit_bytes * units_of_one; }
};

/// `region` with its counts resolved.
Error check_count(const TensorLayout& layout, const Region& region, const Values& values) {
  std::int64_t wanted = region.columns * values.units_of_one;
  for (const std::int64_t count : row_counts(layout, region.channels)) wanted *= count;
  if (static_cast<std::uint64_t>(wanted) == values.count) return {};
  const bool whole = region.channels == layout.channels && region.columns == layout.width;
  const std::string part = whole ? std::string("with")
                                 : fmt::format("and {} channels, {} rows and {} columns of it are",
                                               region.channels, layout.height, region.columns);
  return argument_error(fmt::format("{} {} {} {}, but {} {} given", layout_text(layout), part,
                                    wanted, values.unit, values.count,
                                    values.count == 1 ? "was" : "were"));
}

/// The way from the caller's values into the surface for Access::write, the other way for
/// Access::read.
Result<Transfer> plan(const Surface& surface, const TensorLayout& layout, Region region,
                      const Values& values, Access access) {
  if (Error error = check_place(surface, layout)) return error;
  if (Error error = resolve(layout, region)) return error;
  if (Error error = check_count(layout, region, values)) return error;
  Transfer transfer = {.counts = row_counts(layout, region.channels),
                       .columns = region.columns,
                       .from = {},
                       .to = {}};
  transfer.from = packed_side(transfer.counts, region.columns, values.element_bytes());
  transfer.to = surface_side(layout, region.first_channel, region.first_column);
  if (access == Access::read) std::swap(transfer.from, transfer.to);
  transfer.merge();
  return transfer;
}

template <class Move>
Error write_values(const Surface& surface, const TensorLayout& layout, const Region& region,
                   const Values& values, const void* from, Move&& move) {
  const Result<Transfer> transfer = plan(surface, layout, region, values, Access::write);
  if (!transfer) return transfer.error();
  if (transfer->empty()) return {};
  Result<SurfaceLock> lock = SurfaceLock::take(surface, Access::write);
  if (!lock) return lock.error();
  for_each_run(*transfer, static_cast<const std::byte*>(from), lock->bytes().data(), move);
  return lock->unlock();
}

template <class Move>
Error read_values(const Surface& surface, const TensorLayout& layout, const Region& region,
                  const Values& values, void* to, Move&& move) {
  const Result<Transfer> transfer = plan(surface, layout, region, values, Access::read);
  if (!transfer) return transfer.error();
  if (transfer->empty()) return {};
  Result<SurfaceLock> lock = SurfaceLock::take(surface, Access::read);
  if (!lock) return lock.error();
  for_each_run(*transfer, lock->bytes().data(), static_cast<std::byte*>(to), move);
  return lock->unlock();
}

Values packed_values(const TensorLayout& layout, std::size_t count) {
  return {.unit = "bytes", .count = count, .unit_bytes = 1, .units_of_one = layout.element_bytes()};
}
Values fp16_values(std::size_t count) {
  return {.unit = "elements", .count = count, .unit_bytes = 2, .units_of_one = 1};
}
Values fp32_values(std::size_t count) {
  return {.unit = "elements", .count = count, .unit_bytes = 4, .units_of_one = 1};
}

/// Moves elements as they are.
auto copy_elements(std::int64_t element_bytes) {
  return [size = static_cast<std::size_t>(element_bytes)](const std::byte* from, std::byte* to,
                                                          std::size_t count) {
    std::memcpy(to, from, count * size);
  };
}

void convert(const void* from, void* to, std::size_t count) {
  HalfReport unread;
  halves_from_floats(from, to, count, unread);
}

/// Converts floats that follow each other, to runs that need not. What does not fill a vector is
/// slow, and so is the beginning of a conversion: long runs end with elements that are converted
/// twice, and short ones are converted several at a time (bench_ane_surface: a row of 250 from 0.6
/// to 0.8 of a bare loop).
class Narrow {
 public:
  explicit Narrow(std::size_t total) : left_(total) {}

  void operator()(const std::byte* from, std::byte* to, std::size_t count) {
    if (count < kLongRun) return convert_short(from, to, count);
    const std::size_t rest = count % kVector;
    convert(from, to, count - rest);
    if (rest == 0) return;
    const std::size_t last = count - kVector;
    convert(from + sizeof(float) * last, to + sizeof(std::uint16_t) * last, kVector);
  }

 private:
  static constexpr std::size_t kVector = 16;
  static constexpr std::size_t kLongRun = 512;
  static constexpr std::size_t kStage = 2048;

  void convert_short(const std::byte* from, std::byte* to, std::size_t count) {
    if (at_ == end_) {
      at_ = 0;
      end_ = std::min(left_, kStage / count * count);
      left_ -= end_;
      convert(from, stage_.data(), end_);
    }
    std::memcpy(to, stage_.data() + at_, sizeof(std::uint16_t) * count);
    at_ += count;
  }

  std::array<std::uint16_t, kStage> stage_;  // of converted elements [at_, end_) are still to go
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::size_t left_;
};

void widen(const std::byte* from, std::byte* to, std::size_t count) {
  floats_from_halves(from, to, count);
}

Error check_fp16(const TensorLayout& layout) {
  if (layout.dtype == DType::fp16) return {};
  return argument_error(fmt::format("{}, and fp16 values go with fp16 alone", layout_text(layout)));
}

Error check_fp32(const TensorLayout& layout) {
  if (layout.dtype == DType::fp16 || layout.dtype == DType::fp32) return {};
  return argument_error(
      fmt::format("{}, and fp32 values go with fp16 and fp32 alone", layout_text(layout)));
}

Error check_raw(const Surface& surface, const TensorLayout& layout, std::size_t given) {
  if (Error error = check_place(surface, layout)) return error;
  if (static_cast<std::uint64_t>(layout.alloc_bytes()) == given) return {};
  return argument_error(fmt::format("{} and takes {} bytes with its padding, but {} {} given",
                                    layout_text(layout), layout.alloc_bytes(), given,
                                    given == 1 ? "was" : "were"));
}

Error check_same(const TensorLayout& source, const TensorLayout& target) {
  const auto same = [&](auto member) { return source.*member == target.*member; };
  if (same(&TensorLayout::dtype) && same(&TensorLayout::batches) && same(&TensorLayout::depth) &&
      same(&TensorLayout::height) && same(&TensorLayout::width)) {
    return {};
  }
  return argument_error(fmt::format("{} and {}, but only channels may differ in number",
                                    layout_text(source), layout_text(target)));
}

/// Takes -1 as what both have.
Error resolve(const TensorLayout& source, const TensorLayout& target, CopyRange& range) {
  Range from = {"channel", source.channels, range.source_channel, range.channels};
  if (Error error = resolve(source, from)) return error;
  Range to = {"channel", target.channels, range.channel, range.channels};
  if (Error error = resolve(target, to)) return error;
  range.channels = std::min(from.count, to.count);
  return {};
}

/// Runs of one surface onto itself: the last comes first where they are moved to the back, so that
/// none is written before it is read. That takes the same strides on both sides.
Error copy_within(const Surface& surface, const TensorLayout& source, const TensorLayout& target,
                  Transfer transfer) {
  transfer.merge();
  if (transfer.overlaps() && !transfer.keeps_strides()) {
    return argument_error(
        fmt::format("{} and {}, which overlap in one surface with strides that differ",
                    layout_text(source), layout_text(target)));
  }
  if (transfer.from.first < transfer.to.first) transfer.turn_round();
  Result<SurfaceLock> lock = SurfaceLock::take(surface, Access::write);
  if (!lock) return lock.error();
  std::byte* const base = lock->bytes().data();
  const auto size = static_cast<std::size_t>(source.element_bytes());
  for_each_run(transfer, base, base, [&](const std::byte* from, std::byte* to, std::size_t count) {
    std::memmove(to, from, count * size);
  });
  return lock->unlock();
}

}  // namespace

Error write_packed(const Surface& surface, const TensorLayout& layout,
                   std::span<const std::byte> packed) {
  return write_values(surface, layout, {}, packed_values(layout, packed.size()), packed.data(),
                      copy_elements(layout.element_bytes()));
}

Error read_packed(const Surface& surface, const TensorLayout& layout, std::span<std::byte> packed) {
  return read_values(surface, layout, {}, packed_values(layout, packed.size()), packed.data(),
                     copy_elements(layout.element_bytes()));
}

Error write_fp16(const Surface& surface, const TensorLayout& layout,
                 std::span<const std::uint16_t> values, const Region& region) {
  if (Error error = check_fp16(layout)) return error;
  return write_values(surface, layout, region, fp16_values(values.size()), values.data(),
                      copy_elements(2));
}

Error read_fp16(const Surface& surface, const TensorLayout& layout, std::span<std::uint16_t> values,
                const Region& region) {
  if (Error error = check_fp16(layout)) return error;
  return read_values(surface, layout, region, fp16_values(values.size()), values.data(),
                     copy_elements(2));
}

Error write_fp32(const Surface& surface, const TensorLayout& layout, std::span<const float> values,
                 const Region& region) {
  if (Error error = check_fp32(layout)) return error;
  const Values floats = fp32_values(values.size());
  return layout.dtype == DType::fp16
             ? write_values(surface, layout, region, floats, values.data(), Narrow(values.size()))
             : write_values(surface, layout, region, floats, values.data(), copy_elements(4));
}

Error read_fp32(const Surface& surface, const TensorLayout& layout, std::span<float> values,
                const Region& region) {
  if (Error error = check_fp32(layout)) return error;
  const Values floats = fp32_values(values.size());
  return layout.dtype == DType::fp16
             ? read_values(surface, layout, region, floats, values.data(), widen)
             : read_values(surface, layout, region, floats, values.data(), copy_elements(4));
}

Error write_raw(const Surface& surface, const TensorLayout& layout,
                std::span<const std::byte> bytes) {
  if (Error error = check_raw(surface, layout, bytes.size())) return error;
  Result<SurfaceLock> lock = SurfaceLock::take(surface, Access::write);
  if (!lock) return lock.error();
  std::memcpy(lock->bytes().data(), bytes.data(), bytes.size());
  return lock->unlock();
}

Error read_raw(const Surface& surface, const TensorLayout& layout, std::span<std::byte> bytes) {
  if (Error error = check_raw(surface, layout, bytes.size())) return error;
  Result<SurfaceLock> lock = SurfaceLock::take(surface, Access::read);
  if (!lock) return lock.error();
  std::memcpy(bytes.data(), lock->bytes().data(), bytes.size());
  return lock->unlock();
}

Error copy_channels(const Surface& source, const TensorLayout& source_layout, const Surface& target,
                    const TensorLayout& layout, const CopyRange& range) {
  if (Error error = check_place(source, source_layout)) return error;
  if (Error error = check_place(target, layout)) return error;
  if (Error error = check_same(source_layout, layout)) return error;
  CopyRange whole = range;
  if (Error error = resolve(source_layout, layout, whole)) return error;
  Transfer transfer = {.counts = row_counts(layout, whole.channels),
                       .columns = layout.width,
                       .from = surface_side(source_layout, whole.source_channel, 0),
                       .to = surface_side(layout, whole.channel, 0)};
  if (transfer.empty()) return {};
  if (source == target) return copy_within(source, source_layout, layout, transfer);
  transfer.merge();
  Result<SurfaceLock> from = SurfaceLock::take(source, Access::read);
  if (!from) return from.error();
  Result<SurfaceLock> to = SurfaceLock::take(target, Access::write);
  if (!to) return to.error();
  for_each_run(transfer, from->bytes().data(), to->bytes().data(),
               copy_elements(layout.element_bytes()));
  Error error = to->unlock();
  return error ? error : from->unlock();
}

Result<TensorView> TensorView::take(const Surface& surface, TensorLayout layout, Access access) {
  if (Error error = check_place(surface, layout)) return error;
  Result<SurfaceLock> lock = SurfaceLock::take(surface, access);
  if (!lock) return lock.error();
  TensorView view;
  view.layout_ = std::move(layout);
  view.lock_ = *std::move(lock);
  return view;
}

std::span<std::byte> TensorView::bytes() const {
  // None in a view that was moved from.
  const std::span<std::byte> all = lock_.bytes();
  return all.empty() ? all : all.first(static_cast<std::size_t>(layout_.alloc_bytes()));
}

std::span<std::byte> TensorView::row(std::int64_t row) const {
  const std::int64_t rows = layout_.elements() / layout_.width;
  if (row < 0 || row >= rows || lock_.bytes().empty()) return {};
  std::int64_t offset = row % layout_.height * layout_.row_stride;
  row /= layout_.height;
  offset += row % layout_.depth * layout_.depth_stride;
  row /= layout_.depth;
  offset += row % layout_.channels * layout_.plane_stride;
  offset += row / layout_.channels * layout_.batch_stride;
  return lock_.bytes().subspan(static_cast<std::size_t>(offset),
                               static_cast<std::size_t>(layout_.width * layout_.element_bytes()));
}

}  // namespace milgen::ane
