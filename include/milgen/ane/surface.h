// Tensors in IOSurfaces: how rows lie in them, and moving values in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/array.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen::ane {

/// Rows of a surface begin at multiples of this (ane_runtime, 4.0, rule A).
inline constexpr std::int64_t kRowAlignmentBytes = 64;

/// The bytes from one row to the next when the engine says nothing else: `width * element_size`
/// rounded up to 64. -1 when that is no positive number or does not fit in 63 bits.
std::int64_t row_stride_bytes(std::int64_t width, std::int64_t element_size);

/// How one tensor lies in its surface. The engine sees [N, C, D, H, W]; a tensor of lower rank is
/// aligned to the right: [a, b, c] is C = a, H = b, W = c. Rank 4 is [N, C, H, W], rank 5 is
/// [N, C, D, H, W]. Element (n, c, d, h, w) stands at byte
/// n * batch_stride + c * plane_stride + d * depth_stride + h * row_stride + w * element_bytes.
struct TensorLayout {
  std::string name;    ///< as the MIL text declares it
  std::string symbol;  ///< as the compiled program calls it: "y@output"
  std::int64_t symbol_index = -1;
  DType dtype = DType::none;
  Shape shape = {};  ///< as declared
  std::int64_t batches = 1;
  std::int64_t channels = 1;
  std::int64_t depth = 1;
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t row_stride = 0;  ///< this and the following: bytes
  std::int64_t depth_stride = 0;
  std::int64_t plane_stride = 0;
  std::int64_t batch_stride = 0;
  bool from_model = false;  ///< the strides are the compiled program's own, not rule A

  std::int64_t element_bytes() const;  ///< 0 for a dtype that surfaces do not hold
  // The following are -1 when they do not fit in 63 bits, which make_layout() does not let happen.
  std::int64_t elements() const;       ///< without padding
  std::int64_t logical_bytes() const;  ///< elements() * element_bytes()
  std::int64_t alloc_bytes() const;    ///< batches * batch_stride: what a surface must have
  /// Whether the bytes of the tensor follow each other without padding.
  bool contiguous() const;
};

/// The layout by rule A. Errors: `layout` for a rank above 5, an unknown or empty dim, a dtype that
/// surfaces do not hold (IO-012 and IO-013 in ane_constraints: fp16, fp32, int8, uint8, int16,
/// uint16 and bool do), or sizes that do not fit in 63 bits.
Result<TensorLayout> make_layout(std::string name, DType dtype, const Shape& shape);

/// An IOSurface; copies are the same one, which lives as long as one of them.
class Surface {
 public:
  Surface() = default;
  /// At least `bytes` large, and at least one page of 16 KiB (IO-003 in ane_constraints); zeros.
  static Result<Surface> create(const Engine& engine, std::int64_t bytes);
  /// A surface that someone else made (an IOSurfaceRef); retained.
  static Result<Surface> wrap(const Engine& engine, void* io_surface);

  explicit operator bool() const { return state_ != nullptr; }
  void* ref() const;           ///< the IOSurfaceRef
  std::int64_t bytes() const;  ///< that it has
  std::uint32_t id() const;    ///< by which other processes know it; 0 when the system does not say
  friend bool operator==(const Surface& a, const Surface& b) { return a.ref() == b.ref(); }

  struct State;  // internal
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  explicit Surface(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

enum class Access : std::uint8_t { read, write };

/// Memory of a surface while it is locked for the CPU; unlocked when this goes.
class SurfaceLock {
 public:
  SurfaceLock() = default;
  SurfaceLock(SurfaceLock&& other) noexcept;
  SurfaceLock& operator=(SurfaceLock&& other) noexcept;
  ~SurfaceLock();
  static Result<SurfaceLock> take(const Surface& surface, Access access);

  std::span<std::byte> bytes() const { return bytes_; }
  /// Unlocks before this goes, with the error of the system if it gave one.
  Error unlock();

 private:
  Surface surface_;
  Access access_ = Access::read;
  std::span<std::byte> bytes_;
};

/// A part of a tensor that has one batch and a depth of 1: `channels` channels from `first_channel`
/// on, of all rows of each the elements [first_column, first_column + columns). Counts of -1: all
/// that follow. Counts of 0 move nothing. Region{} is all of any tensor.
struct Region {
  std::int64_t first_channel = 0;
  std::int64_t channels = -1;
  std::int64_t first_column = 0;
  std::int64_t columns = -1;
};

// Values go in row-major order, without padding. The number of values must be that of the tensor,
// or of the region; ErrorKind::argument otherwise, and nothing is moved.

/// The tensor's own bytes, packed: logical_bytes() of them.
Error write_packed(const Surface& surface, const TensorLayout& layout,
                   std::span<const std::byte> packed);
Error read_packed(const Surface& surface, const TensorLayout& layout, std::span<std::byte> packed);
/// fp16 bits, to or from a tensor of fp16.
Error write_fp16(const Surface& surface, const TensorLayout& layout,
                 std::span<const std::uint16_t> values, const Region& region = {});
Error read_fp16(const Surface& surface, const TensorLayout& layout, std::span<std::uint16_t> values,
                const Region& region = {});
/// Floats, to or from a tensor of fp16 (rounded to nearest, ties to even) or fp32.
Error write_fp32(const Surface& surface, const TensorLayout& layout, std::span<const float> values,
                 const Region& region = {});
Error read_fp32(const Surface& surface, const TensorLayout& layout, std::span<float> values,
                const Region& region = {});
/// All bytes of the surface up to alloc_bytes(), padding included.
Error write_raw(const Surface& surface, const TensorLayout& layout,
                std::span<const std::byte> bytes);
Error read_raw(const Surface& surface, const TensorLayout& layout, std::span<std::byte> bytes);

/// Which channels are copied: `channels` of them (-1: as many as both have), from `source_channel`
/// of one to `channel` of the other.
struct CopyRange {
  std::int64_t source_channel = 0;
  std::int64_t channel = 0;
  std::int64_t channels = -1;
};
/// From surface to surface, without a buffer between them. Dtypes, batches, depths, heights and
/// widths must be the same; channels must lie in both. Within one surface they may overlap when the
/// strides are the same (`argument` otherwise): the target has what the source had before.
Error copy_channels(const Surface& source, const TensorLayout& source_layout, const Surface& target,
                    const TensorLayout& layout, const CopyRange& range = {});

/// A tensor in its surface, without a copy, locked for as long as this lives. An evaluation of a
/// model that uses the surface waits for nobody: release views first.
class TensorView {
 public:
  static Result<TensorView> take(const Surface& surface, TensorLayout layout, Access access);
  const TensorLayout& layout() const { return layout_; }
  /// From the first element on: alloc_bytes() of them.
  std::span<std::byte> bytes() const;
  /// The elements of one row, as bytes; `row` counts over all dims but the last. Empty when there
  /// is no such row.
  std::span<std::byte> row(std::int64_t row) const;

 private:
  TensorLayout layout_;
  SurfaceLock lock_;
};

}  // namespace milgen::ane
