#include "milgen/fill.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "milgen/array.h"
#include "milgen/weights.h"
#include "support/float8.h"
#include "support/half.h"
#include "support/hash.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/splitmix.h"
#include "weights/convert.h"

namespace milgen {
namespace {

// The formulas are a contract with users' golden files; golden/README.md, "Seeded weights", has
// them in ten lines that anyone can run.

constexpr double kMaskedOut = -65504.0;
constexpr std::size_t kBlock = 1024;

/// detail::mixed gives a number for each element; every name and seed has a start of its own.
std::uint64_t start_of(std::string_view name, std::uint64_t seed) {
  return fnv1a64(name) + seed * 0xD1B54A32D192ED03u;
}

void store_reals(DType dtype, const double* values, std::byte* to, std::size_t count) {
  switch (dtype) {
    case DType::fp16: {
      HalfReport ignored;
      halves_from_doubles(values, to, count, ignored);
      return;
    }
    case DType::fp32:
      for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>(values[i]);
        std::memcpy(to + 4 * i, &value, 4);
      }
      return;
    case DType::bf16:
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint16_t value = bf16_from_double(values[i]);
        std::memcpy(to + 2 * i, &value, 2);
      }
      return;
    case DType::fp64:
      std::memcpy(to, values, 8 * count);
      return;
    default: {
      const detail::Float8 format = detail::float8_format(dtype);
      for (std::size_t i = 0; i < count; ++i) {
        to[i] = static_cast<std::byte>(detail::float8_from_double(values[i], format));
      }
    }
  }
}

/// Produces the values of a float weight as doubles.
class RealFill {
 public:
  RealFill(const WeightRequest& request, std::uint64_t start) : fill_(request.fill), start_(start) {
    double fan_in = 1;
    for (std::size_t i = 1; i < request.shape.size(); ++i) {
      fan_in *= static_cast<double>(request.shape[i]);
    }
    root_ = std::sqrt(std::max(fan_in, 1.0));
    if (!request.shape.empty()) {
      columns_ = static_cast<std::uint64_t>(std::max<std::int64_t>(request.shape.back(), 1));
    }
  }

  /// Always a whole block: loops of a known length are what compilers make vectors of.
  void make(std::uint64_t first, std::array<double, kBlock>& to) const {
    switch (fill_) {
      case Fill::uniform:
      case Fill::near_one:
        for (std::size_t i = 0; i < kBlock; ++i) {
          // Signed, because that is one instruction; the number has 53 bits.
          const auto number = static_cast<std::int64_t>(detail::mixed(start_, first + i) >> 11);
          to[i] = static_cast<double>(number);
        }
        for (std::size_t i = 0; i < kBlock; ++i) to[i] = to[i] * 0x1p-52 - 1;
        if (fill_ == Fill::uniform) {
          const double root = root_;
          for (std::size_t i = 0; i < kBlock; ++i) to[i] = to[i] / root;
        } else {
          for (std::size_t i = 0; i < kBlock; ++i) to[i] = 1 + to[i] / 10;
        }
        return;
      case Fill::zeros:
        to.fill(0.0);
        return;
      case Fill::ones:
        to.fill(1.0);
        return;
      case Fill::causal_mask: {
        std::uint64_t row = first / columns_ % columns_;
        std::uint64_t column = first % columns_;
        for (std::size_t i = 0; i < kBlock; ++i) {
          to[i] = column > row ? kMaskedOut : 0.0;
          if (++column == columns_) {
            column = 0;
            row = row + 1 == columns_ ? 0 : row + 1;
          }
        }
      }
    }
  }

 private:
  Fill fill_;
  std::uint64_t start_;
  double root_ = 1;
  std::uint64_t columns_ = 1;
};

bool fill_reals(const WeightRequest& request, std::uint64_t start, std::uint64_t count,
                WeightSink& sink, Diagnostics& diagnostics) {
  const RealFill fill(request, start);
  const auto bits = static_cast<unsigned>(dtype_bits(request.dtype));
  std::array<double, kBlock> block{};
  return detail::stream_elements(
      count, bits, sink, diagnostics, [&](std::byte* to, std::uint64_t first, std::size_t size) {
        for (std::size_t i = 0; i < size; i += kBlock) {
          const std::size_t part = std::min(kBlock, size - i);
          fill.make(first + i, block);
          store_reals(request.dtype, block.data(), to + i * (bits / 8), part);
        }
        return true;
      });
}

/// Integers are the upper bits of the element's number, so that they spread over the whole range.
bool fill_wholes(const WeightRequest& request, std::uint64_t start, std::uint64_t count,
                 WeightSink& sink, Diagnostics& diagnostics) {
  const auto bits = static_cast<unsigned>(dtype_bits(request.dtype));
  const bool seeded = request.fill == Fill::uniform || request.fill == Fill::near_one;
  const std::uint64_t constant = request.fill == Fill::ones ? 1 : 0;
  return detail::stream_elements(
      count, bits, sink, diagnostics, [&](std::byte* to, std::uint64_t first, std::size_t size) {
        std::memset(to, 0, (size * bits + 7) / 8);
        for (std::size_t i = 0; i < size; ++i) {
          const std::uint64_t value =
              seeded ? detail::mixed(start, first + i) >> (64 - bits) : constant;
          const std::size_t bit = i * bits;
          if (bits < 8) {
            const auto shifted = static_cast<unsigned>(value) << (bit % 8);
            to[bit / 8] |= static_cast<std::byte>(shifted & 0xFFu);
            if (shifted > 0xFF) to[bit / 8 + 1] |= static_cast<std::byte>(shifted >> 8);
          } else {
            for (unsigned b = 0; b < bits / 8; ++b) {
              to[bit / 8 + b] = static_cast<std::byte>(value >> (8 * b) & 0xFFu);
            }
          }
        }
        return true;
      });
}

class SeededSource final : public WeightSource {
 public:
  explicit SeededSource(std::uint64_t seed) : seed_(seed) {}

  bool describe(std::string_view, WeightDescription& description) const override {
    description = {};
    return true;
  }
  std::vector<std::string> names() const override { return {}; }
  bool read(const WeightRequest& request, WeightSink& sink, Diagnostics& diagnostics) override {
    return fill_weight(request, seed_, sink, diagnostics);
  }

 private:
  std::uint64_t seed_;
};

}  // namespace

std::string_view fill_name(Fill fill) {
  switch (fill) {
    case Fill::uniform:
      return "uniform";
    case Fill::near_one:
      return "near_one";
    case Fill::zeros:
      return "zeros";
    case Fill::ones:
      return "ones";
    case Fill::causal_mask:
      return "causal_mask";
  }
  return "";
}

bool fill_weight(const WeightRequest& request, std::uint64_t seed, WeightSink& sink,
                 Diagnostics& diagnostics) {
  const auto refuse = [&](std::string why) {
    diagnostics.error(rule<"weight.fill">.id(),
                      fmt::format("weight '{}' is tensor<{}, {}>, and {} {}",
                                  printable(request.name), dtype_name(request.dtype),
                                  to_string(request.shape), fill_name(request.fill), why));
    return false;
  };
  std::int64_t count = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t padding_bits = 0;
  if (!element_count(request.shape, count) ||
      !payload_bytes(request.dtype, static_cast<std::uint64_t>(count), size_bytes, padding_bits)) {
    return refuse("fills what has a number of elements and a size");
  }
  if (request.fill == Fill::causal_mask) {
    const std::size_t rank = request.shape.size();
    if (rank < 2 || request.shape[rank - 1] != request.shape[rank - 2]) {
      return refuse("takes two equal last dims");
    }
    const bool holds = request.dtype == DType::fp16 || request.dtype == DType::bf16 ||
                       request.dtype == DType::fp32 || request.dtype == DType::fp64;
    if (!holds) return refuse("takes a float that holds -65504");
  }
  const std::uint64_t start = start_of(request.name, seed);
  const auto elements = static_cast<std::uint64_t>(count);
  return is_float(request.dtype) ? fill_reals(request, start, elements, sink, diagnostics)
                                 : fill_wholes(request, start, elements, sink, diagnostics);
}

void fill_seeded(Array& array, std::string_view name, std::uint64_t seed) {
  constexpr std::uint64_t kIntegers = 100;
  const std::uint64_t start = start_of(name, seed);
  const DType dtype = array.dtype();
  const bool is_real = is_float(dtype);
  const int bits = dtype_bits(dtype) - (dtype == DType::int4 ? 1 : 0);
  const std::uint64_t integers =
      is_integer(dtype) && bits < 7 ? std::uint64_t{1} << bits : kIntegers;
  for (std::int64_t i = 0; i < array.size(); ++i) {
    const std::uint64_t z = detail::mixed(start, static_cast<std::uint64_t>(i));
    if (is_real) {
      array.set(i, static_cast<double>(z >> 11) * 0x1p-52 - 1);
    } else if (dtype == DType::boolean) {
      array.set(i, static_cast<double>(z >> 63));
    } else {
      array.set(i, static_cast<double>(z % integers));
    }
  }
}

std::unique_ptr<WeightSource> seeded_weights(std::uint64_t seed) {
  return std::make_unique<SeededSource>(seed);
}

}  // namespace milgen
