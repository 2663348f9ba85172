// Rows in vectors. Where many rows stand side by side, each lane is a row. Where a row's elements
// stand side by side, the lanes are its elements for everything that does not depend on their
// order, and sums go through several rows in turn, one element of each at a time: every sum is
// sequential, and their latencies overlap.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/rows_block.cpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cpu/highway.h"
#include "cpu/rows_run.h"
#include "cpu/vector_math-inl.h"
#include "support/half.h"

HWY_BEFORE_NAMESPACE();
namespace milgen::cpu::HWY_NAMESPACE {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Elements of a row that are worked on at a time, and room for a whole last vector. The sum is no
/// multiple of a page, so that several rows do not compete for the same lines of the cache.
constexpr std::size_t kChunk = 1024;
constexpr std::size_t kRowFloats = kChunk + kMaxLanes;

std::size_t padded(std::size_t count) { return (count + kMaxLanes - 1) / kMaxLanes * kMaxLanes; }

/// f(i) for each vector of `count` elements.
template <class F>
HWY_INLINE void each_vector(std::size_t count, const F& f) {
  const std::size_t lanes = hn::Lanes(D32());
  for (std::size_t i = 0; i < count; i += lanes) f(i);
}
HWY_INLINE V32 at(const float* values, std::size_t i) { return hn::Load(D32(), values + i); }
HWY_INLINE void put(V32 x, float* values, std::size_t i) { hn::Store(x, D32(), values + i); }

// --- Memory. ---

void load_floats(DType dtype, const void* data, std::int64_t offset, std::int64_t stride, float* to,
                 std::size_t count) {
  const auto strided = [&](const auto* from, auto value) {
    if (stride == 1) return load_row(from, to, count);
    for (std::size_t i = 0; i < count; ++i)
      to[i] = value(from[static_cast<std::int64_t>(i) * stride]);
  };
  if (dtype == DType::fp16) {
    strided(static_cast<const std::uint16_t*>(data) + offset,
            [](std::uint16_t half) { return float_from_half(half); });
  } else {
    strided(static_cast<const float*>(data) + offset, [](float value) { return value; });
  }
}

void store_floats(DType dtype, const float* from, void* data, std::int64_t offset,
                  std::int64_t stride, std::size_t count) {
  const auto strided = [&](auto* to) {
    if (stride == 1) return store_row(from, to, count);
    for (std::size_t i = 0; i < count; ++i) {
      store_row(from + i, to + static_cast<std::int64_t>(i) * stride, 1);
    }
  };
  if (dtype == DType::fp16) {
    strided(static_cast<std::uint16_t*>(data) + offset);
  } else {
    strided(static_cast<float*>(data) + offset);
  }
}

/// Element `index` of a vector of a norm, or what stands for one that was left out.
float norm_element(const NormVector& vector, std::int64_t index, float otherwise) {
  float value = otherwise;
  if (vector.data != nullptr) load_floats(vector.dtype, vector.data, index, 1, &value, 1);
  return value;
}

// --- Steps that lanes as rows and lanes as elements share. ---

float first_value(Reduction reduction) {
  switch (reduction) {
    case Reduction::max:
      return -kInfinity;
    case Reduction::min:
      return kInfinity;
    case Reduction::prod:
      return 1;
    default:
      return 0;
  }
}

/// What is added up.
V32 term(Reduction reduction, V32 x) {
  switch (reduction) {
    case Reduction::l1_norm:
      return hn::Abs(x);
    case Reduction::l2_norm:
    case Reduction::sum_square:
      return hn::Mul(x, x);
    default:
      return x;
  }
}

V32 combined(Reduction reduction, V32 sum, V32 x) {
  switch (reduction) {
    case Reduction::max:
      return maximum(sum, x);
    case Reduction::min:
      return minimum(sum, x);
    case Reduction::prod:
      return hn::Mul(sum, x);
    default:
      return hn::Add(sum, x);
  }
}

/// The result, from what was combined and, of log_sum_exp, the maximum.
V32 finished(Reduction reduction, V32 sum, V32 max, float length) {
  switch (reduction) {
    case Reduction::mean:
      return hn::Div(sum, splat(length));
    case Reduction::max:
    case Reduction::min:
      return hn::Add(sum, splat(0));
    case Reduction::l2_norm:
      return hn::Sqrt(sum);
    case Reduction::log_sum:
      return log(sum);
    case Reduction::log_sum_exp:
      return hn::IfThenElse(hn::Eq(hn::Abs(max), splat(kInfinity)), max, hn::Add(max, log(sum)));
    default:
      return sum;
  }
}

void finish(const RowsRun& run, float* sums, const float* maxima, std::size_t count) {
  each_vector(padded(count), [&](std::size_t i) HWY_ATTR {
    put(finished(run.reduction, at(sums, i), at(maxima, i), static_cast<float>(run.length)), sums,
        i);
  });
}

/// What (x - mean) is divided by, from the sum of squares.
V32 spread_of(const RowsRun& run, V32 sum) {
  const V32 mean =
      run.op == RowOp::layer_norm ? hn::Div(sum, splat(static_cast<float>(run.length))) : sum;
  return hn::Sqrt(hn::Add(mean, splat(run.epsilon)));
}

// --- Lanes as rows. ---

class Columns {
 public:
  Columns(const RowsRun& run, std::int64_t outer, std::int64_t column, std::size_t count)
      : run_(run), first_(outer * run.length * run.shape.inner + column), count_(count) {}

  void execute() {
    switch (run_.op) {
      case RowOp::reduce:
        return reduce();
      case RowOp::softmax:
        return softmax();
      default:
        return normalise();
    }
  }

 private:
  void fill(float* values, float value) { std::fill_n(values, kMaxColumns, value); }

  /// f(place on the axis) with the elements at that place in row_.
  template <class F>
  void each_place(const F& f) {
    for (std::int64_t place = 0; place < run_.length; ++place) {
      load_floats(run_.dtype, run_.x, first_ + place * run_.shape.inner, 1, row_, count_);
      f(place);
    }
  }
  void store(std::int64_t place) {
    store_floats(run_.dtype, row_, run_.out, first_ + place * run_.shape.inner, 1, count_);
  }
  template <class F>
  void each_lane(const F& f) {
    each_vector(padded(count_), f);
  }

  void find_maxima() {
    fill(maxima_, -kInfinity);
    each_place([&](std::int64_t) HWY_ATTR {
      each_lane([&](std::size_t i)
                    HWY_ATTR { put(maximum(at(maxima_, i), at(row_, i)), maxima_, i); });
    });
  }
  void add_exponentials() {
    fill(sums_, 0);
    each_place([&](std::int64_t) HWY_ATTR {
      each_lane([&](std::size_t i) HWY_ATTR {
        put(hn::Add(at(sums_, i), exp(hn::Sub(at(row_, i), at(maxima_, i)))), sums_, i);
      });
    });
  }

  void reduce() {
    if (run_.reduction == Reduction::log_sum_exp) {
      find_maxima();
      add_exponentials();
    } else {
      combine();
    }
    finish(run_, sums_, maxima_, count_);
    // Results stand where a tensor with an axis of 1 would have them.
    const std::int64_t outer = first_ / (run_.length * run_.shape.inner);
    const std::int64_t column = first_ % run_.shape.inner;
    store_floats(run_.dtype, sums_, run_.out, outer * run_.shape.inner + column, 1, count_);
  }

  void combine() {
    const Reduction reduction = run_.reduction;
    fill(sums_, first_value(reduction));
    const auto with = [&](const auto& step) HWY_ATTR {
      each_place([&](std::int64_t) HWY_ATTR {
        each_lane([&](std::size_t i) HWY_ATTR { put(step(at(sums_, i), at(row_, i)), sums_, i); });
      });
    };
    if (reduction == Reduction::sum) {
      with([](V32 sum, V32 x) HWY_ATTR { return hn::Add(sum, x); });
    } else {
      with([&](V32 sum, V32 x) HWY_ATTR { return combined(reduction, sum, term(reduction, x)); });
    }
  }

  void softmax() {
    find_maxima();
    add_exponentials();
    each_place([&](std::int64_t place) HWY_ATTR {
      each_lane([&](std::size_t i) HWY_ATTR {
        put(hn::Div(exp(hn::Sub(at(row_, i), at(maxima_, i))), at(sums_, i)), row_, i);
      });
      store(place);
    });
  }

  void normalise() {
    fill(means_, 0);
    if (run_.op == RowOp::layer_norm) {
      each_place([&](std::int64_t) HWY_ATTR {
        each_lane([&](std::size_t i)
                      HWY_ATTR { put(hn::Add(at(means_, i), at(row_, i)), means_, i); });
      });
      const V32 length = splat(static_cast<float>(run_.length));
      each_lane([&](std::size_t i) HWY_ATTR { put(hn::Div(at(means_, i), length), means_, i); });
    }
    fill(sums_, 0);
    each_place([&](std::int64_t) HWY_ATTR {
      each_lane([&](std::size_t i) HWY_ATTR {
        const V32 distance = hn::Sub(at(row_, i), at(means_, i));
        put(hn::Add(at(sums_, i), hn::Mul(distance, distance)), sums_, i);
      });
    });
    each_lane([&](std::size_t i) HWY_ATTR { put(spread_of(run_, at(sums_, i)), sums_, i); });
    each_place([&](std::int64_t place) HWY_ATTR {
      const V32 gamma = splat(norm_element(run_.gamma, place, 1));
      const V32 beta = splat(norm_element(run_.beta, place, 0));
      each_lane([&](std::size_t i) HWY_ATTR {
        const V32 y = hn::Div(hn::Sub(at(row_, i), at(means_, i)), at(sums_, i));
        put(hn::Add(hn::Mul(y, gamma), beta), row_, i);
      });
      store(place);
    });
  }

  const RowsRun& run_;
  std::int64_t first_;
  std::size_t count_;
  alignas(64) float row_[kMaxColumns] = {};
  alignas(64) float sums_[kMaxColumns];
  alignas(64) float maxima_[kMaxColumns] = {};
  alignas(64) float means_[kMaxColumns];
};

void run_columns_here(const RowsRun& run, std::int64_t width, std::int64_t first,
                      std::int64_t last) {
  const std::int64_t blocks = (run.shape.inner + width - 1) / width;
  for (std::int64_t block = first; block < last; ++block) {
    const std::int64_t column = block % blocks * width;
    const auto count = static_cast<std::size_t>(std::min(width, run.shape.inner - column));
    Columns(run, block / blocks, column, count).execute();
  }
}

// --- Lanes as elements. ---

using Row = float[kRowFloats];

/// Goes on with the sums of R rows, sequentially in each.
template <std::size_t R>
void add_rows(const Row* rows, std::size_t count, float* sums) {
  float sum[R];
  std::copy_n(sums, R, sum);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t r = 0; r < R; ++r) sum[r] += rows[r][i];
  }
  std::copy_n(sum, R, sums);
}

void add_rows(const Row* rows, std::size_t row_count, std::size_t count, float* sums) {
  static_assert(kRowGroup == 8);
  using Function = void (*)(const Row*, std::size_t, float*);
  static constexpr Function kFunctions[] = {add_rows<1>, add_rows<2>, add_rows<3>, add_rows<4>,
                                            add_rows<5>, add_rows<6>, add_rows<7>, add_rows<8>};
  kFunctions[row_count - 1](rows, count, sums);
}

void multiply_row(const float* row, std::size_t count, float& product) {
  for (std::size_t i = 0; i < count; ++i) product *= row[i];
}

/// What maximum() and minimum() make of two numbers.
float extreme_of(Reduction reduction, float x, float y) {
  const bool first = reduction == Reduction::max ? x > y : x < y;
  return first || std::isnan(x) ? x : y;
}

class RowGroup {
 public:
  explicit RowGroup(const RowsRun& run)
      : run_(run), length_(static_cast<std::size_t>(run.length)) {}

  void execute(std::int64_t first, std::size_t count) {
    first_ = first;
    count_ = count;
    for (std::size_t r = 0; r < count; ++r) {
      offsets_[r] = run_.row_dims.offset(first + static_cast<std::int64_t>(r));
    }
    loaded_ = false;
    switch (run_.op) {
      case RowOp::reduce:
        return reduce();
      case RowOp::softmax:
        return softmax();
      default:
        return normalise();
    }
  }

 private:
  /// f(count) with `count` elements of each row in tile_, the last vector filled up with `filling`.
  /// Rows of one chunk stay there, and f may rely on finding what the last call left.
  template <class F>
  void each_chunk(float filling, const F& f) {
    for (std::size_t begin = 0; begin < length_; begin += kChunk) {
      const std::size_t count = std::min(kChunk, length_ - begin);
      begin_ = begin;
      if (!loaded_) load(begin, count, filling);
      f(count);
    }
    loaded_ = length_ <= kChunk;
  }

  bool one_chunk() const { return length_ <= kChunk; }

  void load(std::size_t begin, std::size_t count, float filling) {
    for (std::size_t r = 0; r < count_; ++r) {
      run_.axis_dims.each_run(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(count),
                              [&](std::int64_t at, std::int64_t offset, std::int64_t length) {
                                load_floats(run_.dtype, run_.x, offsets_[r] + offset,
                                            run_.axis_dims.inner().stride, tile_[r] + at,
                                            static_cast<std::size_t>(length));
                              });
      std::fill(tile_[r] + count, tile_[r] + padded(count), filling);
    }
  }

  void store(std::size_t count) {
    for (std::size_t r = 0; r < count_; ++r) {
      run_.axis_dims.each_run(static_cast<std::int64_t>(begin_), static_cast<std::int64_t>(count),
                              [&](std::int64_t at, std::int64_t offset, std::int64_t length) {
                                store_floats(run_.dtype, tile_[r] + at, run_.out,
                                             offsets_[r] + offset, run_.axis_dims.inner().stride,
                                             static_cast<std::size_t>(length));
                              });
    }
  }

  /// tile_[r] = f(r, tile_[r]), or of another tile.
  template <class F>
  HWY_INLINE void change(Row* to, std::size_t count, const F& f) {
    for (std::size_t r = 0; r < count_; ++r) {
      const float* from = tile_[r];
      each_vector(padded(count), [&](std::size_t i) HWY_ATTR { put(f(r, at(from, i)), to[r], i); });
    }
  }

  void add(const Row* rows, std::size_t count) {
    if (!run_.fast) return add_rows(rows, count_, count, sums_);
    for (std::size_t r = 0; r < count_; ++r) sums_[r] += fast_sum(rows[r], count);
  }

  static float fast_sum(const float* row, std::size_t count) {
    const std::size_t lanes = hn::Lanes(D32());
    const std::size_t whole = count / (4 * lanes) * (4 * lanes);
    V32 parts[4] = {splat(0), splat(0), splat(0), splat(0)};
    for (std::size_t i = 0; i < whole; i += 4 * lanes) {
      for (std::size_t k = 0; k < 4; ++k) parts[k] = hn::Add(parts[k], at(row, i + k * lanes));
    }
    alignas(64) float sums[kMaxLanes];
    put(hn::Add(hn::Add(parts[0], parts[1]), hn::Add(parts[2], parts[3])), sums, 0);
    float sum = 0;
    for (std::size_t i = 0; i < lanes; ++i) sum += sums[i];
    for (std::size_t i = whole; i < count; ++i) sum += row[i];
    return sum;
  }

  void find_extremes(Reduction reduction, float* extremes) {
    const float first = first_value(reduction);
    std::fill_n(extremes, kMaxLanes, first);
    each_chunk(first, [&](std::size_t count) HWY_ATTR {
      for (std::size_t r = 0; r < count_; ++r) {
        V32 extreme = splat(extremes[r]);
        each_vector(padded(count), [&](std::size_t i) HWY_ATTR {
          extreme = combined(reduction, extreme, at(tile_[r], i));
        });
        alignas(64) float lanes[kMaxLanes];
        put(extreme, lanes, 0);
        for (std::size_t k = 0; k < hn::Lanes(D32()); ++k) {
          extremes[r] = extreme_of(reduction, extremes[r], lanes[k]);
        }
      }
    });
  }

  /// Leaves exp(x - max) in the tile, and adds it up.
  void add_exponentials() {
    find_extremes(Reduction::max, maxima_);
    std::fill_n(sums_, kMaxLanes, 0.0f);
    each_chunk(-kInfinity, [&](std::size_t count) HWY_ATTR {
      exponentiate(count);
      add(tile_, count);
    });
  }
  void exponentiate(std::size_t count) {
    change(tile_, count,
           [&](std::size_t r, V32 x) HWY_ATTR { return exp(hn::Sub(x, splat(maxima_[r]))); });
  }

  void reduce() {
    std::fill_n(maxima_, kMaxLanes, 0.0f);
    switch (run_.reduction) {
      case Reduction::max:
      case Reduction::min:
        find_extremes(run_.reduction, sums_);
        break;
      case Reduction::log_sum_exp:
        add_exponentials();
        break;
      case Reduction::prod:
        std::fill_n(sums_, kMaxLanes, 1.0f);
        each_chunk(1, [&](std::size_t count) {
          for (std::size_t r = 0; r < count_; ++r) multiply_row(tile_[r], count, sums_[r]);
        });
        break;
      default:
        std::fill_n(sums_, kMaxLanes, 0.0f);
        each_chunk(0, [&](std::size_t count) HWY_ATTR {
          const auto terms = [&](std::size_t, V32 x) HWY_ATTR { return term(run_.reduction, x); };
          change(tile_, count, terms);
          add(tile_, count);
        });
    }
    finish(run_, sums_, maxima_, count_);
    store_floats(run_.dtype, sums_, run_.out, first_, 1, count_);
  }

  void softmax() {
    add_exponentials();
    each_chunk(-kInfinity, [&](std::size_t count) HWY_ATTR {
      if (!one_chunk()) exponentiate(count);
      change(tile_, count,
             [&](std::size_t r, V32 x) HWY_ATTR { return hn::Div(x, splat(sums_[r])); });
      store(count);
    });
  }

  void normalise() {
    std::fill_n(means_, kMaxLanes, 0.0f);
    if (run_.op == RowOp::layer_norm) {
      std::fill_n(sums_, kMaxLanes, 0.0f);
      each_chunk(0, [&](std::size_t count) { add(tile_, count); });
      for (std::size_t r = 0; r < count_; ++r) {
        means_[r] = sums_[r] / static_cast<float>(run_.length);
      }
    }
    std::fill_n(sums_, kMaxLanes, 0.0f);
    each_chunk(0, [&](std::size_t count) HWY_ATTR {
      change(squares_, count, [&](std::size_t r, V32 x) HWY_ATTR {
        const V32 distance = hn::Sub(x, splat(means_[r]));
        return hn::Mul(distance, distance);
      });
      add(squares_, count);
    });
    each_vector(kMaxLanes,
                [&](std::size_t i) HWY_ATTR { put(spread_of(run_, at(sums_, i)), sums_, i); });
    each_chunk(0, [&](std::size_t count) {
      scale_and_shift(count);
      store(count);
    });
  }

  void scale_and_shift(std::size_t count) {
    if (run_.channels == 0) {
      load_vector(run_.gamma, count, 1, gamma_);
      load_vector(run_.beta, count, 0, beta_);
    }
    for (std::size_t r = 0; r < count_; ++r) {
      if (run_.channels != 0) {
        const std::int64_t channel = (first_ + static_cast<std::int64_t>(r)) % run_.channels;
        std::fill_n(gamma_, padded(count), norm_element(run_.gamma, channel, 1));
        std::fill_n(beta_, padded(count), norm_element(run_.beta, channel, 0));
      }
      const V32 mean = splat(means_[r]);
      const V32 spread = splat(sums_[r]);
      float* row = tile_[r];
      each_vector(padded(count), [&](std::size_t i) HWY_ATTR {
        const V32 y = hn::Div(hn::Sub(at(row, i), mean), spread);
        put(hn::Add(hn::Mul(y, at(gamma_, i)), at(beta_, i)), row, i);
      });
    }
  }

  void load_vector(const NormVector& vector, std::size_t count, float otherwise, float* to) {
    std::fill_n(to, padded(count), otherwise);
    if (vector.data == nullptr) return;
    load_floats(vector.dtype, vector.data, static_cast<std::int64_t>(begin_), 1, to, count);
  }

  const RowsRun& run_;
  std::size_t length_;
  std::int64_t first_ = 0;
  std::size_t count_ = 0;  ///< rows
  std::size_t begin_ = 0;  ///< of the chunk in the tile
  bool loaded_ = false;
  std::int64_t offsets_[kRowGroup];
  alignas(64) float sums_[kMaxLanes];
  alignas(64) float maxima_[kMaxLanes];
  alignas(64) float means_[kMaxLanes];
  alignas(64) Row gamma_;
  alignas(64) Row beta_;
  alignas(64) Row tile_[kRowGroup];
  alignas(64) Row squares_[kRowGroup];
};

void run_row_groups_here(const RowsRun& run, std::int64_t first, std::int64_t last) {
  RowGroup group(run);
  for (std::int64_t i = first; i < last; ++i) {
    const std::int64_t row = i * kRowGroup;
    group.execute(row, static_cast<std::size_t>(std::min(kRowGroup, run.rows - row)));
  }
}

}  // namespace milgen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace milgen::cpu {

HWY_EXPORT(run_columns_here);
HWY_EXPORT(run_row_groups_here);

void run_columns(const RowsRun& run, std::int64_t width, std::int64_t first, std::int64_t last) {
  HWY_DYNAMIC_DISPATCH(run_columns_here)(run, width, first, last);
}

void run_row_groups(const RowsRun& run, std::int64_t first, std::int64_t last) {
  HWY_DYNAMIC_DISPATCH(run_row_groups_here)(run, first, last);
}

}  // namespace milgen::cpu
#endif
