#include "weights/convert.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "weights/blob_format.h"

namespace milgen::detail {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

bool is_plain_float(DType dtype) {
  return dtype == DType::fp16 || dtype == DType::fp32 || dtype == DType::fp64 ||
         dtype == DType::bf16;
}

double load_real(DType dtype, const std::byte* from) {
  switch (dtype) {
    case DType::fp16:
      return static_cast<double>(float_from_half(load<std::uint16_t>(from)));
    case DType::bf16:
      return static_cast<double>(float_from_bf16(load<std::uint16_t>(from)));
    case DType::fp32:
      return static_cast<double>(load<float>(from));
    default:
      return load<double>(from);
  }
}

/// Stores the value rounded once and returns what is there then, infinite or not.
bool store_real(DType dtype, std::byte* to, double value) {
  switch (dtype) {
    case DType::fp16: {
      const std::uint16_t half = half_from_double(value);
      store(to, half);
      return (half & 0x7FFFu) == 0x7C00u;
    }
    case DType::bf16: {
      const std::uint16_t bits = bf16_from_double(value);
      store(to, bits);
      return (bits & 0x7FFFu) == 0x7F80u;
    }
    case DType::fp32: {
      const auto single = static_cast<float>(value);
      store(to, single);
      return std::isinf(single);
    }
    default:
      store(to, value);
      return std::isinf(value);
  }
}

/// An integer of any width and sign.
struct Whole {
  bool negative = false;
  std::uint64_t bits = 0;  // two's complement

  std::string text() const {
    return negative ? std::to_string(static_cast<std::int64_t>(bits)) : std::to_string(bits);
  }
};

template <class T>
Whole whole(T value) {
  return {value < 0, static_cast<std::uint64_t>(static_cast<std::int64_t>(value))};
}

Whole load_whole(DType dtype, const std::byte* from) {
  switch (dtype) {
    case DType::int8:
      return whole(load<std::int8_t>(from));
    case DType::int16:
      return whole(load<std::int16_t>(from));
    case DType::int32:
      return whole(load<std::int32_t>(from));
    case DType::int64:
      return whole(load<std::int64_t>(from));
    case DType::uint8:
      return {false, load<std::uint8_t>(from)};
    case DType::uint16:
      return {false, load<std::uint16_t>(from)};
    case DType::uint32:
      return {false, load<std::uint32_t>(from)};
    default:
      return {false, load<std::uint64_t>(from)};
  }
}

bool is_signed(DType dtype) {
  return dtype == DType::int4 || dtype == DType::int8 || dtype == DType::int16 ||
         dtype == DType::int32 || dtype == DType::int64;
}

bool fits(Whole value, DType dtype) {
  const auto bits = static_cast<unsigned>(dtype_bits(dtype));
  if (is_signed(dtype)) {
    const std::uint64_t limit = std::uint64_t{1} << (bits - 1);
    return value.negative ? ~value.bits < limit : value.bits < limit;
  }
  return !value.negative && (bits == 64 || value.bits >> bits == 0);
}

/// Converts runs of elements and gathers what is to be reported.
class Converter {
 public:
  Converter(DType from, DType to) : from_(from), to_(to) {}

  /// `first` is the index of the first element in the weight. False when an integer does not fit.
  bool run(const std::byte* from, std::byte* to, std::size_t count, std::uint64_t first) {
    if (is_plain_float(to_)) {
      reals(from, to, count, first);
      return true;
    }
    if (from_ == to_) {
      const auto bits = static_cast<std::size_t>(dtype_bits(to_));
      if (count != 0) std::memcpy(to, from, (count * bits + 7) / 8);
      return true;
    }
    return wholes(from, to, count, first);
  }

  const HalfReport& report() const { return report_; }
  std::uint64_t bad_index() const { return bad_index_; }
  const std::string& bad_value() const { return bad_value_; }

 private:
  void reals(const std::byte* from, std::byte* to, std::size_t count, std::uint64_t first) {
    if (to_ == DType::fp16 && from_ == DType::fp32) {
      halves_from_floats(from, to, count, report_, first);
    } else if (to_ == DType::fp16 && from_ == DType::fp64) {
      halves_from_doubles(from, to, count, report_, first);
    } else if (to_ == DType::fp16 && from_ == DType::bf16) {
      // A bf16 is the upper half of a fp32.
      constexpr std::size_t kBlock = 1024;
      float block[kBlock];
      for (std::size_t i = 0; i < count; i += kBlock) {
        const std::size_t size = std::min(kBlock, count - i);
        for (std::size_t k = 0; k < size; ++k) {
          block[k] = float_from_bf16(load<std::uint16_t>(from + 2 * (i + k)));
        }
        halves_from_floats(block, to + 2 * i, size, report_, first + i);
      }
    } else if (from_ == to_) {
      copy_reals(from, to, count, first);
    } else {
      const auto from_bytes = static_cast<std::size_t>(dtype_bits(from_) / 8);
      const auto to_bytes = static_cast<std::size_t>(dtype_bits(to_) / 8);
      for (std::size_t i = 0; i < count; ++i) {
        const double value = load_real(from_, from + i * from_bytes);
        const bool infinite = store_real(to_, to + i * to_bytes, value);
        if (std::isnan(value)) {
          report_.nan_at(first + i);
        } else if (infinite && !std::isinf(value)) {
          report_.overflow_at(first + i);
        }
      }
    }
  }

  /// Copied as they are, but still looked at: a NaN is as wrong here as after a conversion.
  void copy_reals(const std::byte* from, std::byte* to, std::size_t count, std::uint64_t first) {
    const auto size = static_cast<std::size_t>(dtype_bits(from_) / 8);
    if (count == 0) return;
    std::memcpy(to, from, count * size);
    unsigned any = 0;
    const auto look = [&](auto load_magnitude, auto infinity) {
      for (std::size_t i = 0; i < count; ++i) any |= load_magnitude(from, i) > infinity ? 1u : 0u;
      for (std::size_t i = 0; any != 0 && i < count; ++i) {
        if (load_magnitude(from, i) > infinity) report_.nan_at(first + i);
      }
    };
    switch (from_) {
      case DType::fp32:
        look([](const std::byte* p,
                std::size_t i) { return load<std::uint32_t>(p + 4 * i) & 0x7FFFFFFFu; },
             0x7F800000u);
        break;
      case DType::fp64:
        look([](const std::byte* p, std::size_t i) { return load<std::uint64_t>(p + 8 * i) << 1; },
             std::uint64_t{0x7FF0000000000000u} << 1);
        break;
      default:
        look([](const std::byte* p,
                std::size_t i) { return load<std::uint16_t>(p + 2 * i) & 0x7FFFu; },
             from_ == DType::fp16 ? 0x7C00u : 0x7F80u);
    }
  }

  bool wholes(const std::byte* from, std::byte* to, std::size_t count, std::uint64_t first) {
    const auto from_bytes = static_cast<std::size_t>(dtype_bits(from_) / 8);
    const auto bits = static_cast<unsigned>(dtype_bits(to_));
    if (bits < 8) std::memset(to, 0, (count * bits + 7) / 8);
    for (std::size_t i = 0; i < count; ++i) {
      const Whole value = load_whole(from_, from + i * from_bytes);
      if (!fits(value, to_)) {
        bad_index_ = first + i;
        bad_value_ = value.text();
        return false;
      }
      if (bits >= 8) {
        for (unsigned b = 0; b < bits / 8; ++b) {
          to[i * (bits / 8) + b] = static_cast<std::byte>(value.bits >> (8 * b) & 0xFFu);
        }
        continue;
      }
      const std::size_t bit = i * bits;
      const auto shifted = static_cast<unsigned>(value.bits & ((1u << bits) - 1)) << (bit % 8);
      to[bit / 8] |= static_cast<std::byte>(shifted & 0xFFu);
      if (shifted > 0xFF) to[bit / 8 + 1] |= static_cast<std::byte>(shifted >> 8);
    }
    return true;
  }

  DType from_;
  DType to_;
  HalfReport report_;
  std::uint64_t bad_index_ = 0;
  std::string bad_value_;
};

/// Where an element stands: "[0, 5, 0, 0]".
std::string coordinates(const Shape& shape, std::uint64_t index) {
  Shape at(shape.size(), 0);
  for (std::size_t i = shape.size(); i-- > 0;) {
    const auto dim = static_cast<std::uint64_t>(shape[i]);
    if (dim == 0) break;
    at[i] = static_cast<std::int64_t>(index % dim);
    index /= dim;
  }
  return to_string(at);
}

std::string spelled(const SourceTensor& tensor) {
  const std::string dtype = tensor.foreign_dtype.empty() ? std::string(dtype_name(tensor.dtype))
                                                         : printable(tensor.foreign_dtype, 20);
  return fmt::format("tensor<{}, {}>", dtype, to_string(tensor.shape));
}

std::string spelled(const WeightRequest& request) {
  return tensor_text(request.dtype, request.shape);
}

std::string bytes_text(std::uint64_t count) {
  return fmt::format("{} byte{}", count, count == 1 ? "" : "s");
}

/// The strides, in elements of the source, of the wanted dims; dims of 1 are gone.
struct Walk {
  Shape dims;
  Shape strides;
};

bool reads_in_order(const Walk& walk) {
  std::int64_t stride = 1;
  for (std::size_t i = walk.dims.size(); i-- > 0;) {
    if (walk.strides[i] != stride) return false;
    stride *= walk.dims[i];
  }
  return true;
}

/// A raw file says nothing of itself: its size and the wish decide what it holds. A weight file
/// says its dtype.
bool settle_shape(const SourceTensor& tensor, const WeightRequest& request, bool transposed,
                  std::uint64_t count, std::string_view where, SourceTensor& settled,
                  Diagnostics& diagnostics) {
  settled = tensor;
  settled.shape_known = true;
  settled.shape = request.shape;
  if (transposed) {
    settled.shape = without_ones(request.shape);
    std::reverse(settled.shape.begin(), settled.shape.end());
  }
  std::uint64_t own_bytes = 0;
  std::uint32_t padding_bits = 0;
  if (!payload_bytes(request.dtype, count, own_bytes, padding_bits)) own_bytes = 0;
  const std::uint64_t size = tensor.bytes.size();
  if (tensor.dtype != DType::none) {
    std::uint64_t wanted = 0;
    if (!converts(tensor.dtype, request.dtype) ||
        (payload_bytes(tensor.dtype, count, wanted, padding_bits) && wanted == size)) {
      return true;  // what is not converted is reported as that
    }
    diagnostics.error(
        rule<"weight.size">.id(),
        fmt::format("weight '{}': {} has {} of {}, but {} takes {}", printable(request.name), where,
                    bytes_text(size), dtype_name(tensor.dtype), spelled(request), wanted));
    return false;
  }
  const bool takes_fp32 = is_plain_float(request.dtype);
  if (size == own_bytes) {
    settled.dtype = request.dtype;
  } else if (takes_fp32 && size % 4 == 0 && size / 4 == count) {
    settled.dtype = DType::fp32;
  } else {
    std::string takes = fmt::format("{} of {}", bytes_text(own_bytes), dtype_name(request.dtype));
    if (takes_fp32 && request.dtype != DType::fp32) {
      takes += fmt::format(" or {} of fp32", count * 4);
    }
    diagnostics.error(
        rule<"weight.size">.id(),
        fmt::format("weight '{}': {} has {}, but {} takes {}", printable(request.name), where,
                    bytes_text(size), spelled(request), takes));
    return false;
  }
  return true;
}

bool shape_fault(const SourceTensor& tensor, const WeightRequest& request, bool transposed,
                 std::string_view where, Diagnostics& diagnostics) {
  diagnostics.error(rule<"weight.shape">.id(),
                    fmt::format("weight '{}' is {} but in {} it is {}{}", printable(request.name),
                                spelled(request), where, spelled(tensor),
                                transposed ? ", to be transposed" : ""));
  return false;
}

/// Copies elements that do not follow each other in the source into a run that does.
class Gatherer {
 public:
  Gatherer(const Walk& walk, std::size_t element_bytes)
      : walk_(walk), size_(element_bytes), at_(walk.dims.size(), 0) {}

  /// The next `count` elements in the order of the weight.
  void next(const std::byte* source, std::byte* to, std::size_t count) {
    const std::size_t rank = walk_.dims.size();
    const std::int64_t inner = walk_.dims[rank - 1];
    const auto step = static_cast<std::size_t>(walk_.strides[rank - 1]) * size_;
    while (count != 0) {
      std::int64_t offset = 0;
      for (std::size_t i = 0; i < rank; ++i) offset += at_[i] * walk_.strides[i];
      const auto run = static_cast<std::size_t>(
          std::min<std::int64_t>(inner - at_[rank - 1], static_cast<std::int64_t>(count)));
      const std::byte* from = source + static_cast<std::size_t>(offset) * size_;
      copy(from, step, to, run);
      to += run * size_;
      count -= run;
      at_[rank - 1] += static_cast<std::int64_t>(run);
      for (std::size_t i = rank; i-- > 1 && at_[i] == walk_.dims[i];) {
        at_[i] = 0;
        ++at_[i - 1];
      }
    }
  }

 private:
  void copy(const std::byte* from, std::size_t step, std::byte* to, std::size_t count) const {
    switch (size_) {
      case 1:
        return copy_as<std::uint8_t>(from, step, to, count);
      case 2:
        return copy_as<std::uint16_t>(from, step, to, count);
      case 4:
        return copy_as<std::uint32_t>(from, step, to, count);
      default:
        return copy_as<std::uint64_t>(from, step, to, count);
    }
  }
  template <class T>
  static void copy_as(const std::byte* from, std::size_t step, std::byte* to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) store(to + i * sizeof(T), load<T>(from + i * step));
  }

  const Walk& walk_;
  std::size_t size_;
  Shape at_;
};

/// fp32 to transposed fp16, the common case, has a kernel of its own. It makes whole rows of the
/// result; false in `done` when the sink lends no room for one.
bool write_transposed_halves(const SourceTensor& tensor, std::size_t rows, std::size_t columns,
                             WeightSink& sink, HalfReport& report, bool& done,
                             Diagnostics& diagnostics) {
  const std::uint64_t row_bytes = std::uint64_t{rows} * 2;
  std::vector<std::byte> own;
  done = false;
  std::size_t column = 0;
  while (column < columns) {
    std::span<std::byte> to = sink.lend(row_bytes * (columns - column));
    const bool lent = to.size() >= row_bytes;
    if (!lent) {
      constexpr std::uint64_t kOwnBytes = std::uint64_t{256} << 10;
      if (row_bytes > kOwnBytes && column == 0) return true;
      if (own.empty()) own.resize(static_cast<std::size_t>(kOwnBytes));
      to = own;
    }
    std::size_t count =
        std::min<std::size_t>(columns - column, to.size() / static_cast<std::size_t>(row_bytes));
    // A cache line of the source holds 16 columns; what is cut through it is fetched twice.
    if (count < columns - column && count > 16) count -= count % 16;
    halves_from_floats_transposed(tensor.bytes.data(), rows, columns, column, count, to.data(),
                                  report);
    const auto bytes = static_cast<std::size_t>(row_bytes) * count;
    if (!(lent ? sink.accept(bytes, diagnostics) : sink.write(to.first(bytes), diagnostics))) {
      return false;
    }
    column += count;
  }
  done = true;
  return true;
}

}  // namespace

Shape without_ones(const Shape& shape) {
  Shape out;
  for (const std::int64_t dim : shape) {
    if (dim != 1) out.push_back(dim);
  }
  return out;
}

bool converts(DType from, DType to) {
  if (from == DType::none || to == DType::none) return false;
  if (from == to) return dtype_bits(from) != 0;
  if (is_plain_float(from) && is_plain_float(to)) return true;
  return is_integer(from) && is_integer(to) && dtype_bits(from) >= 8;
}

bool report_halves(std::string_view name, DType dtype, const Shape& shape, const HalfReport& report,
                   bool strict, Diagnostics& diagnostics) {
  const Severity severity = strict ? Severity::error : Severity::warning;
  std::int64_t count = 0;
  if (!element_count(shape, count)) count = 0;
  if (report.overflows != 0) {
    diagnostics.add(
        {std::string(rule<"weight.overflow">.id()),
         severity,
         fmt::format("weight '{}': {} of {} values {} finite in the source and infinite in {}, the "
                     "first at {}",
                     printable(name), report.overflows, count, report.overflows == 1 ? "is" : "are",
                     dtype_name(dtype), coordinates(shape, report.first_overflow)),
         {},
         {}});
  }
  if (report.nans != 0) {
    diagnostics.add(
        {std::string(rule<"weight.nan">.id()),
         severity,
         fmt::format("weight '{}': {} of {} values {} not a number, the first at {}",
                     printable(name), report.nans, count, report.nans == 1 ? "is" : "are",
                     coordinates(shape, report.first_nan)),
         {},
         {}});
  }
  return !strict || (report.overflows == 0 && report.nans == 0);
}

bool fit_tensor(const SourceTensor& given, const WeightRequest& request, bool transposed,
                std::string_view where, SourceTensor& tensor, Diagnostics& diagnostics) {
  std::int64_t signed_count = 0;
  std::uint64_t target_bytes = 0;
  std::uint32_t padding_bits = 0;
  if (!element_count(request.shape, signed_count) ||
      !payload_bytes(request.dtype, static_cast<std::uint64_t>(signed_count), target_bytes,
                     padding_bits)) {
    diagnostics.error(rule<"weight.size">.id(),
                      fmt::format("weight '{}' is {}, which no weight file can hold",
                                  printable(request.name), spelled(request)));
    return false;
  }
  const auto count = static_cast<std::uint64_t>(signed_count);

  if (given.shape_known) {
    tensor = given;
  } else if (!settle_shape(given, request, transposed, count, where, tensor, diagnostics)) {
    return false;
  }
  if (!converts(tensor.dtype, request.dtype) ||
      (dtype_bits(tensor.dtype) < 8 && (transposed || tensor.column_major))) {
    diagnostics.error(
        rule<"weight.convert">.id(),
        fmt::format("weight '{}' is {} but in {} it is {}, {}", printable(request.name),
                    spelled(request), where, spelled(tensor),
                    converts(tensor.dtype, request.dtype)
                        ? "packed and not to be transposed"
                        : fmt::format("which is not converted to {}", dtype_name(request.dtype))));
    return false;
  }
  Shape result = without_ones(tensor.shape);
  if (transposed && result.size() == 2) std::swap(result[0], result[1]);
  if ((transposed && result.size() > 2) || !(result == without_ones(request.shape))) {
    return shape_fault(tensor, request, transposed, where, diagnostics);
  }
  return true;
}

bool write_tensor(const SourceTensor& given, const WeightRequest& request, bool transposed,
                  const WeightSourceOptions& options, std::string_view where, WeightSink& sink,
                  Diagnostics& diagnostics) {
  SourceTensor tensor;
  if (!fit_tensor(given, request, transposed, where, tensor, diagnostics)) return false;
  std::int64_t signed_count = 0;
  if (!element_count(request.shape, signed_count) || signed_count == 0) return true;
  const auto count = static_cast<std::uint64_t>(signed_count);

  Walk walk;
  walk.dims = without_ones(tensor.shape);
  const std::size_t rank = walk.dims.size();
  const bool swaps = transposed && rank == 2;
  // The products of dims below are at most `count`, which fits.
  walk.strides.resize(rank, 1);
  for (std::size_t i = 1; i < rank; ++i) {
    if (tensor.column_major) {
      walk.strides[i] = walk.strides[i - 1] * walk.dims[i - 1];
    } else {
      walk.strides[rank - 1 - i] = walk.strides[rank - i] * walk.dims[rank - i];
    }
  }
  if (swaps) {
    std::swap(walk.dims[0], walk.dims[1]);
    std::swap(walk.strides[0], walk.strides[1]);
  }

  Converter converter(tensor.dtype, request.dtype);
  HalfReport transposed_report;
  const HalfReport* report = &converter.report();
  const auto bits = static_cast<unsigned>(dtype_bits(request.dtype));
  const auto source_bits = static_cast<std::uint64_t>(dtype_bits(tensor.dtype));
  const std::byte* source = tensor.bytes.data();
  bool done = false;
  bool taken = true;
  if (rank != 0 && !reads_in_order(walk)) {
    if (rank == 2 && walk.strides[0] == 1 && tensor.dtype == DType::fp32 &&
        request.dtype == DType::fp16) {
      report = &transposed_report;
      taken = write_transposed_halves(tensor, static_cast<std::size_t>(walk.dims[1]),
                                      static_cast<std::size_t>(walk.dims[0]), sink,
                                      transposed_report, done, diagnostics);
      if (!done) report = &converter.report();
    }
    if (!done && taken) {
      const auto element_bytes = static_cast<std::size_t>(source_bits / 8);
      constexpr std::size_t kBlock = 4096;
      std::vector<std::byte> block(kBlock * element_bytes);
      Gatherer gatherer(walk, element_bytes);
      taken =
          stream_elements(count, bits, sink, diagnostics,
                          [&](std::byte* to, std::uint64_t first, std::size_t size) {
                            for (std::size_t i = 0; i < size; i += kBlock) {
                              const std::size_t part = std::min(kBlock, size - i);
                              gatherer.next(source, block.data(), part);
                              if (!converter.run(block.data(), to + i * bits / 8, part, first + i))
                                return false;
                            }
                            return true;
                          });
    }
  } else {
    taken = stream_elements(
        count, bits, sink, diagnostics, [&](std::byte* to, std::uint64_t first, std::size_t size) {
          return converter.run(source + first * source_bits / 8, to, size, first);
        });
  }
  if (!converter.bad_value().empty()) {
    diagnostics.error(
        rule<"weight.range">.id(),
        fmt::format("weight '{}': {} at {} does not fit in {}", printable(request.name),
                    converter.bad_value(), coordinates(request.shape, converter.bad_index()),
                    dtype_name(request.dtype)));
    return false;
  }
  if (!taken) return false;
  return report_halves(request.name, request.dtype, request.shape, *report, options.strict,
                       diagnostics);
}

}  // namespace milgen::detail
