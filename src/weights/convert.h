// From the bytes of a source to the payload of a weight.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "milgen/weights.h"
#include "support/half.h"

namespace milgen::detail {

/// A tensor as a source has it.
struct SourceTensor {
  /// DType::none for a raw file, whose size decides.
  DType dtype = DType::none;
  /// The source's own word for a dtype that milgen does not read; empty otherwise.
  std::string foreign_dtype;
  Shape shape;
  /// Where it is not, the dtype may be unknown as well (a raw file).
  bool shape_known = true;
  /// The first dim varies fastest, as in Fortran.
  bool column_major = false;
  std::span<const std::byte> bytes;
};

/// `shape` without its dims of 1.
Shape without_ones(const Shape& shape);

/// Whether values of `from` become a weight of `to`.
bool converts(DType from, DType to);

/// Whether the tensor is what `request` asks for, values aside; reports if not. `where` is what
/// messages call the source, quotes included. `fitted` is `tensor` with its dtype and shape known.
bool fit_tensor(const SourceTensor& tensor, const WeightRequest& request, bool transposed,
                std::string_view where, SourceTensor& fitted, Diagnostics& diagnostics);

/// Writes the payload that `request` asks for.
bool write_tensor(const SourceTensor& tensor, const WeightRequest& request, bool transposed,
                  const WeightSourceOptions& options, std::string_view where, WeightSink& sink,
                  Diagnostics& diagnostics);

/// Reports what a conversion met. False when that is an error, which it is under `strict`.
bool report_halves(std::string_view name, DType dtype, const Shape& shape, const HalfReport& report,
                   bool strict, Diagnostics& diagnostics);

/// Produces a payload of `count` elements chunk by chunk, in memory that the sink lends where it
/// does. `make(to, first, count)` makes elements of `bits` each; `first` is a multiple of 8, so
/// that elements below 8 bits begin on a byte.
template <class Make>
bool stream_elements(std::uint64_t count, unsigned bits, WeightSink& sink, Diagnostics& diagnostics,
                     const Make& make) {
  constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 20;
  constexpr std::size_t kOwnBytes = std::size_t{64} << 10;
  std::string own;
  std::uint64_t first = 0;
  while (first < count) {
    // A sink that lends everything still gets it in pieces that a cache holds.
    const std::uint64_t left = count - first;
    const std::uint64_t chunk = std::min(left, kChunkBytes * 8 / bits);
    const std::uint64_t wanted_bytes = (chunk * bits + 7) / 8;
    std::span<std::byte> to = sink.lend(wanted_bytes);
    // Fewer than eight elements lent are as good as none.
    const bool lent = to.size() >= std::min<std::uint64_t>(wanted_bytes, bits);
    if (!lent) {
      if (own.empty()) own.resize(kOwnBytes);
      to = std::as_writable_bytes(std::span(own));
    }
    std::uint64_t piece = std::min(chunk, std::uint64_t{to.size()} * 8 / bits);
    if (piece < left) piece -= piece % 8;
    const auto bytes = static_cast<std::size_t>((piece * bits + 7) / 8);
    if (!make(to.data(), first, static_cast<std::size_t>(piece))) return false;
    if (!(lent ? sink.accept(bytes, diagnostics) : sink.write(to.first(bytes), diagnostics))) {
      return false;
    }
    first += piece;
  }
  return true;
}

}  // namespace milgen::detail
