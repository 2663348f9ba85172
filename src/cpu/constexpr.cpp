// Weights that are stored compressed. Blocks, tables and masks are those of op_semantics and
// opset_ios18; what is computed is computed in double and rounded once.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "cpu/kernel_util.h"
#include "cpu/kernels_quantization.h"

namespace milgen::cpu {
namespace {

/// A tensor cut into equal blocks along each dim. `blocks` is a tensor with one entry for each, or
/// begins with the dims of one.
class Blocks {
 public:
  Blocks(const Shape& shape, const Shape& blocks) : shape_(shape), sizes_(shape), strides_(shape) {
    std::int64_t stride = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      sizes_[i] /= std::max<std::int64_t>(blocks[i], 1);
      strides_[i] = stride;
      stride *= blocks[i];
    }
  }

  /// How many elements that follow each other in the last dim share a block.
  std::int64_t run_length() const { return sizes_.back(); }

  /// The block of an element, counted in row-major order.
  std::int64_t block_of(std::int64_t element) const {
    std::int64_t block = 0;
    for (std::size_t i = shape_.size(); i-- > 0; element /= shape_[i]) {
      block += element % shape_[i] / sizes_[i] * strides_[i];
    }
    return block;
  }

  /// Calls run(first, block) for each stretch of run_length() elements, on the threads of the run.
  template <class Run>
  void for_each_run(OpRun& run, std::int64_t elements, const Run& each) const {
    if (elements == 0) return;
    const std::int64_t length = run_length();
    const std::size_t grain = kElementGrain / static_cast<std::size_t>(length) + 1;
    parallel_for(run, elements / length, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) each(i * length, block_of(i * length));
    });
  }

 private:
  Shape shape_;
  Ints sizes_;    ///< of a block, along each dim
  Ints strides_;  ///< of the blocks, along each dim
};

/// scale * (value - offset), with a scale and an offset for each block.
struct BlockParameters {
  explicit BlockParameters(OpRun& run)
      : scale(run.in("scale")), offset(run.has("offset") ? &run.in("offset") : nullptr) {}
  double scale_of(std::int64_t block) const { return real_at(scale, block); }
  double offset_of(std::int64_t block) const {
    return offset == nullptr ? 0 : real_at(*offset, block);
  }

  const TensorView& scale;
  const TensorView* offset;
};

template <class Result, class Value>
Result scaled(Value value, double scale, double offset) {
  return element_from_real<Result>(scale * (static_cast<double>(number(value)) - offset));
}

/// Whether a mask has as many ones as there are values. Inference holds that only where it sees the
/// mask's bytes.
bool mask_fits(OpRun& run, std::int64_t ones, std::string_view mask, std::string_view values) {
  const TensorView& data = run.in(values);
  if (ones == data.count) return true;
  return run.fail(rule<"constexpr.mask">, fmt::format("{} has {} ones but {} has shape {}", mask,
                                                      ones, values, to_string(data.shape)));
}

std::int64_t count_ones(const TensorView& mask) {
  const auto* bits = mask.as<std::uint8_t>();
  return mask.count - std::count(bits, bits + mask.count, std::uint8_t{0});
}

bool sparse_fits(OpRun& run, std::string_view mask, std::string_view values) {
  return mask_fits(run, count_ones(run.in(mask)), mask, values);
}

/// Puts the values where is_set(i), and zeros elsewhere. There are as many values as set places.
template <class IsSet>
void scatter_values(const TensorView& values, const TensorView& out, const IsSet& is_set) {
  with_element_size(out.dtype, [&](auto element) {
    const auto* next = values.as<decltype(element)>();
    auto* result = out.as_mutable<decltype(element)>();
    for (std::int64_t i = 0; i < out.count; ++i) result[i] = is_set(i) ? *next++ : 0;
  });
}

// --- Lookup tables. ---

/// Index i of tightly packed ones of `bits` bits each, the first in the lowest bits. Those of 6
/// bits may reach into the next byte.
unsigned packed_index(const std::uint8_t* bytes, std::int64_t i, int bits) {
  const std::int64_t bit = i * bits;
  const std::int64_t byte = bit / 8;
  const auto shift = static_cast<unsigned>(bit % 8);
  unsigned value = static_cast<unsigned>(bytes[byte]) >> shift;
  if (shift + static_cast<unsigned>(bits) > 8u) {
    value |= static_cast<unsigned>(bytes[byte + 1]) << (8u - shift);
  }
  return value & ((1u << static_cast<unsigned>(bits)) - 1u);
}

bool run_packed_lut(OpRun& run) {
  const TensorView& indices = run.in("indices");
  const TensorView& lut = run.in("lut");
  const TensorView& out = run.out();
  int bits = 0;
  while ((std::int64_t{1} << bits) < lut.count) ++bits;
  with_element_size(out.dtype, [&](auto element) {
    const auto* table = lut.as<decltype(element)>();
    auto* result = out.as_mutable<decltype(element)>();
    parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        result[i] = table[packed_index(indices.as<std::uint8_t>(), i, bits)];
      }
    });
  });
  return true;
}

/// A table [blocks..., entries, vector length] for the elements of `shape`. Each element stands for
/// a vector along one of the axes.
struct BlockedLut {
  BlockedLut(OpRun& run, const Shape& shape)
      : lut(run.in("lut")),
        blocks(shape, lut.shape),
        entries(lut.shape[shape.size()]),
        vector(lut.shape[shape.size() + 1]),
        view(around_axis(shape, run.has("vector_axis")
                                    ? axis_from_front(run.integer("vector_axis"), shape.size())
                                    : shape.size() - 1)) {}

  /// Where the vector of `index` begins. Indices have as many bits as entries are numbered with;
  /// bytes that hold more lose them.
  std::int64_t entry(std::int64_t block, std::uint8_t index) const {
    return (block * entries + (index & (entries - 1))) * vector;
  }

  const TensorView& lut;
  Blocks blocks;
  std::int64_t entries;
  std::int64_t vector;
  AxisView view;
};

bool run_blocked_lut(OpRun& run) {
  const TensorView& indices = run.in("indices");
  const TensorView& out = run.out();
  const BlockedLut lut(run, indices.shape);
  const std::int64_t inner = lut.view.inner;
  with_element_size(out.dtype, [&](auto element) {
    const auto* table = lut.lut.as<decltype(element)>();
    const auto* index = indices.as<std::uint8_t>();
    auto* result = out.as_mutable<decltype(element)>();
    const auto look_up = [&](std::int64_t first, std::int64_t block) {
      for (std::int64_t i = first; i < first + lut.blocks.run_length(); ++i) {
        const auto* vector = table + lut.entry(block, index[i]);
        auto* to = result + (lut.vector == 1 ? i : i / inner * lut.vector * inner + i % inner);
        for (std::int64_t v = 0; v < lut.vector; ++v) to[v * inner] = vector[v];
      }
    };
    lut.blocks.for_each_run(run, indices.count, look_up);
  });
  return true;
}

}  // namespace

bool run_constexpr_blockwise_shift_scale(OpRun& run) {
  const TensorView& data = run.in("data");
  const TensorView& out = run.out();
  const BlockParameters parameters(run);
  const Blocks blocks(data.shape, parameters.scale.shape);
  with_element_and_float(data.dtype, out.dtype, [&](auto value, auto real) {
    const auto* values = data.as<decltype(value)>();
    auto* result = out.as_mutable<decltype(real)>();
    blocks.for_each_run(run, data.count, [&](std::int64_t first, std::int64_t block) {
      const double scale = parameters.scale_of(block);
      const double offset = parameters.offset_of(block);
      for (std::int64_t i = first; i < first + blocks.run_length(); ++i) {
        result[i] = scaled<decltype(real)>(values[i], scale, offset);
      }
    });
  });
  return true;
}

bool run_constexpr_cast(OpRun& run) {
  const TensorView& source = run.in("source_val");
  const TensorView& out = run.out();
  parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    floats_from_halves(source.as<std::uint16_t>() + begin, out.as_mutable<float>() + begin,
                       static_cast<std::size_t>(end - begin));
  });
  return true;
}

bool run_constexpr_lut_to_dense(OpRun& run) {
  return run.opset() < Opset::ios18 ? run_packed_lut(run) : run_blocked_lut(run);
}

bool run_constexpr_lut_to_sparse(OpRun& run) {
  if (!sparse_fits(run, "indices_mask", "indices_nonzero_data")) return false;
  const TensorView& mask = run.in("indices_mask");
  const BlockedLut lut(run, mask.shape);
  const auto* bits = mask.as<std::uint8_t>();
  auto* out_bits = run.out(0).as_mutable<std::uint8_t>();
  with_element_size(lut.lut.dtype, [&](auto element) {
    const auto* table = lut.lut.as<decltype(element)>();
    const auto* index = run.in("indices_nonzero_data").as<std::uint8_t>();
    auto* result = run.out(1).as_mutable<decltype(element)>();
    const std::int64_t inner = lut.view.inner;
    // Rows of `inner` elements; each becomes `vector` rows of the result, which take the elements
    // of the vectors in turn.
    for (std::int64_t row = 0; row < mask.count; row += inner) {
      const std::int64_t ones = inner - std::count(bits + row, bits + row + inner, std::uint8_t{0});
      for (std::int64_t v = 0; v < lut.vector; ++v) {
        const auto* next = index;
        for (std::int64_t i = row; i < row + inner; ++i) {
          const bool is_set = bits[i] != 0;
          *out_bits++ = is_set ? 1 : 0;
          if (is_set) *result++ = table[lut.entry(lut.blocks.block_of(i), *next++) + v];
        }
      }
      index += ones;
    }
  });
  return true;
}

bool run_constexpr_sparse_blockwise_shift_scale(OpRun& run) {
  if (!sparse_fits(run, "data_mask", "nonzero_data")) return false;
  const TensorView& mask = run.in("data_mask");
  const TensorView& data = run.in("nonzero_data");
  const auto* bits = mask.as<std::uint8_t>();
  auto* out_bits = run.out(0).as_mutable<std::uint8_t>();
  const BlockParameters parameters(run);
  const Blocks blocks(mask.shape, parameters.scale.shape);
  with_element_and_float(data.dtype, run.out(1).dtype, [&](auto value, auto real) {
    const auto* values = data.as<decltype(value)>();
    auto* result = run.out(1).as_mutable<decltype(real)>();
    for (std::int64_t i = 0; i < mask.count; ++i) {
      out_bits[i] = bits[i] != 0 ? 1 : 0;
      if (bits[i] == 0) continue;
      const std::int64_t block = blocks.block_of(i);
      *result++ = scaled<decltype(real)>(*values++, parameters.scale_of(block),
                                         parameters.offset_of(block));
    }
  });
  return true;
}

bool run_constexpr_sparse_to_dense(OpRun& run) {
  const TensorView& out = run.out();
  const TensorView& values = run.in("nonzero_data");
  const auto* mask = run.in("mask").as<std::uint8_t>();
  if (run.opset() >= Opset::ios18) {
    if (!sparse_fits(run, "mask", "nonzero_data")) return false;
    scatter_values(values, out, [mask](std::int64_t i) { return mask[i] != 0; });
    return true;
  }
  // One bit an element, the first in the lowest bit.
  const auto is_set = [mask](std::int64_t i) { return ((mask[i / 8] >> (i % 8)) & 1) != 0; };
  std::int64_t ones = 0;
  for (std::int64_t i = 0; i < out.count; ++i) ones += is_set(i) ? 1 : 0;
  if (!mask_fits(run, ones, "mask", "nonzero_data")) return false;
  scatter_values(values, out, is_set);
  return true;
}

}  // namespace milgen::cpu
