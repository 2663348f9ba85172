// scaled_dot_product_attention: scores = query key^T / sqrt(E) + mask, softmax over the keys, times
// value. Scores and weights stay fp32, the result is rounded once. Queries are done in blocks, so
// that scores take little memory whatever the sequence.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/kernel_util.h"
#include "cpu/kernels_transformer.h"
#include "cpu/linear.h"
#include "cpu/rows.h"

namespace milgen::cpu {
namespace {

constexpr std::int64_t kMostScores = std::int64_t{1} << 20;  // fp32: 4 MB

/// [batch, queries, E], [batch, keys, E] and [batch, keys, values], and how much of it is done at a
/// time.
struct Attention {
  std::int64_t batch = 1;
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t embedding = 0;
  std::int64_t values = 0;
  std::int64_t batch_step = 1;
  std::int64_t query_step = 1;
};

Attention read_attention(const OpRun& run) {
  const TensorView& query = run.in("query");
  const std::size_t rank = query.rank();
  Attention a;
  for (std::size_t i = 0; i + 2 < rank; ++i) a.batch *= query.dim(i);
  a.queries = query.dim(rank - 2);
  a.embedding = query.dim(rank - 1);
  a.keys = run.in("key").dim(rank - 2);
  a.values = run.in("value").dim(rank - 1);
  const std::int64_t row = std::max<std::int64_t>(1, a.keys);
  a.query_step = std::clamp<std::int64_t>(kMostScores / row, 1, a.queries);
  if (a.query_step == a.queries) {
    a.batch_step = std::clamp<std::int64_t>(kMostScores / (row * a.queries), 1, a.batch);
  }
  return a;
}

/// The mask as it is added to scores of the shape of query with its last dim replaced by keys.
class Mask {
 public:
  Mask(const OpRun& run, const Attention& attention) : keys_(attention.keys) {
    if (!run.has("attn_mask")) return;
    mask_ = &run.in("attn_mask");
    const Shape& query = run.in("query").shape;
    const std::size_t lead = query.size() - mask_->rank();
    std::int64_t stride = 1;
    strides_.resize(query.size(), 0);
    for (std::size_t i = mask_->rank(); i-- > 0;) {
      if (mask_->dim(i) != 1) strides_[lead + i] = stride;
      stride *= mask_->dim(i);
    }
    dims_ = query;
  }

  /// Adds to the scores of one query, which is number `row` of all batches' queries.
  void add_to(std::int64_t row, float* scores) const {
    if (mask_ == nullptr) return;
    std::int64_t first = 0;
    for (std::size_t i = dims_.size() - 1; i-- > 0;) {
      first += row % dims_[i] * strides_[i];
      row /= dims_[i];
    }
    with_element_type(mask_->dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* mask = mask_->as<T>() + first;
      const std::int64_t step = strides_.back();
      for (std::int64_t k = 0; k < keys_; ++k) {
        if constexpr (std::is_same_v<T, Bool>) {
          if (!number(mask[k * step])) scores[k] = -std::numeric_limits<float>::infinity();
        } else {
          scores[k] += static_cast<float>(number(mask[k * step]));
        }
      }
    });
  }

 private:
  const TensorView* mask_ = nullptr;
  std::int64_t keys_;
  Shape dims_;
  Ints strides_;
};

/// `batch` dense matrices of [rows, columns].
TensorView matrices(DType dtype, std::int64_t batch, std::int64_t rows, std::int64_t columns) {
  return {.dtype = dtype, .shape = {batch, rows, columns}, .count = batch * rows * columns};
}

const std::byte* element(const TensorView& tensor, std::int64_t index) {
  return tensor.data + index * static_cast<std::int64_t>(element_bytes(tensor.dtype));
}

/// Batches [batch, batch + batches), queries [first, first + queries); several batches only with
/// all queries.
bool attend(OpRun& run, const Attention& a, const Mask& mask, std::int64_t batch,
            std::int64_t batches, std::int64_t first, std::int64_t queries, float* scores) {
  const TensorView& query = run.in("query");
  const TensorView& key = run.in("key");
  const TensorView& value = run.in("value");
  const TensorView& out = run.out();
  const OpProduct to_scores =
      matmul_product(run.mode(), matrices(query.dtype, batches, queries, a.embedding),
                     matrices(key.dtype, batches, a.keys, a.embedding), false, true,
                     matrices(DType::fp32, batches, queries, a.keys));
  const std::int64_t row = batch * a.queries + first;
  if (!multiply_in(run, to_scores, element(query, row * a.embedding),
                   element(key, batch * a.keys * a.embedding), nullptr, scores)) {
    return false;
  }
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(a.embedding)));
  const auto add_mask = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* one = scores + i * a.keys;
      for (std::int64_t k = 0; k < a.keys; ++k) one[k] *= scale;
      mask.add_to(row + i, one);
    }
  };
  const std::int64_t rows = batches * queries;
  parallel_for(run, rows, items_grain(a.keys), add_mask);
  softmax_rows(DType::fp32, scores, scores, {.outer = rows, .axis = a.keys, .inner = 1}, run.mode(),
               run.pool());
  const OpProduct to_values =
      matmul_product(run.mode(), matrices(DType::fp32, batches, queries, a.keys),
                     matrices(value.dtype, batches, a.keys, a.values), false, false,
                     matrices(out.dtype, batches, queries, a.values));
  return multiply_in(
      run, to_values, scores, element(value, batch * a.keys * a.values), nullptr,
      out.data + row * a.values * static_cast<std::int64_t>(element_bytes(out.dtype)));
}

}  // namespace

bool run_scaled_dot_product_attention(OpRun& run) {
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const Attention a = read_attention(run);
  if (a.keys == 0) {
    std::memset(out.data, 0, static_cast<std::size_t>(out.count) * element_bytes(out.dtype));
    return true;  // sums of nothing
  }
  auto* scores = run.scratch_of<float>(a.batch_step * a.query_step * a.keys);
  if (scores == nullptr) return false;
  const Mask mask(run, a);
  for (std::int64_t batch = 0; batch < a.batch; batch += a.batch_step) {
    const std::int64_t batches = std::min(a.batch_step, a.batch - batch);
    for (std::int64_t first = 0; first < a.queries; first += a.query_step) {
      const std::int64_t queries = std::min(a.query_step, a.queries - first);
      if (!attend(run, a, mask, batch, batches, first, queries, scores)) return false;
    }
  }
  return true;
}

}  // namespace milgen::cpu
