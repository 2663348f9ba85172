#include "cpu/conv.h"

#include <algorithm>
#include <cstring>

#include "cpu/conv_planes.h"
#include "cpu/float_span.h"
#include "cpu/kernel_util.h"

namespace milgen::cpu {

using detail::BatchDim;
using detail::PackRequest;
using detail::Product;

namespace {

/// What windows cover is copied this many bytes at a time: some fit into the second level cache,
/// and a weight that has to be packed for each block is used often enough.
constexpr std::int64_t kColumnBytes = std::int64_t{2} << 20;
constexpr std::int64_t kLeastColumns = 64;

struct Grid {
  const TapAxis* axes[3];

  const TapAxis& operator[](std::size_t i) const { return *axes[i]; }
  std::int64_t taps() const {
    return static_cast<std::int64_t>(axes[0]->taps.size() * axes[1]->taps.size() *
                                     axes[2]->taps.size());
  }
};

/// Calls f(grid) for every combination of the dims' axes until it returns false.
template <class F>
bool for_each_grid(const ConvPlan& plan, const F& f) {
  for (const TapAxis& depth : plan.axes[0]) {
    for (const TapAxis& height : plan.axes[1]) {
      for (const TapAxis& width : plan.axes[2]) {
        if (!f(Grid{{&depth, &height, &width}})) return false;
      }
    }
  }
  return true;
}

/// Positions of a grid that are done together: rows [row, row + rows) at one depth, columns
/// [column, column + columns). Several rows only when they are whole.
struct Block {
  std::int64_t depth = 0;
  std::int64_t row = 0;
  std::int64_t rows = 0;
  std::int64_t column = 0;
  std::int64_t columns = 0;

  std::int64_t positions() const { return rows * columns; }
};

/// The size of the first block of a grid, which is the largest.
Block first_block(const ConvPlan& plan, const Grid& grid) {
  const std::int64_t position_bytes = plan.groups * plan.in_channels *
                                      std::max<std::int64_t>(1, grid.taps()) *
                                      static_cast<std::int64_t>(element_bytes(plan.x));
  const std::int64_t most =
      std::max(kLeastColumns, kColumnBytes / std::max<std::int64_t>(1, position_bytes));
  Block block;
  block.columns = std::min(most, grid[2].count);
  block.rows = block.columns == grid[2].count
                   ? std::clamp<std::int64_t>(most / block.columns, 1, grid[1].count)
                   : 1;
  return block;
}

std::int64_t columns_elements(const ConvPlan& plan, const Grid& grid) {
  return plan.groups * plan.in_channels * grid.taps() * first_block(plan, grid).positions();
}

/// Whether the weight is a matrix as it lies in memory: [out_channels, in_channels * taps] for each
/// group, or that transposed.
bool weight_is_matrix(const ConvPlan& plan) { return !plan.transposed || plan.taps() == 1; }

std::int64_t gathered_elements(const ConvPlan& plan, const Grid& grid) {
  if (weight_is_matrix(plan)) return 0;
  return plan.groups * plan.out_channels * plan.in_channels * grid.taps();
}

/// The weights of a grid's taps of a transposed convolution as [groups][out_channels][in_channels *
/// taps].
template <class T>
void gather_weight(const ConvPlan& plan, const Grid& grid, const T* weight, T* to) {
  for (std::int64_t row = 0; row < plan.groups * plan.out_channels; ++row) {
    const std::int64_t group = row / plan.out_channels;
    const std::int64_t out = row % plan.out_channels;
    for (std::int64_t in = 0; in < plan.in_channels; ++in) {
      const T* kernel =
          weight + ((group * plan.in_channels + in) * plan.out_channels + out) * plan.taps();
      for (const TapAxis::Tap& d : grid[0].taps) {
        for (const TapAxis::Tap& h : grid[1].taps) {
          const T* line = kernel + (d.index * plan.kernel[1] + h.index) * plan.kernel[2];
          for (const TapAxis::Tap& w : grid[2].taps) *to++ = line[w.index];
        }
      }
    }
  }
}

/// What one tap takes for the columns of a row of positions.
template <class T>
void copy_line(const TapAxis& axis, std::int64_t offset, const Block& block, const T* line, T* to) {
  const std::int64_t last = block.column + block.columns;
  const std::int64_t begin = std::clamp(axis.begin(offset), block.column, last);
  const std::int64_t end = std::clamp(axis.end(offset), begin, last);
  std::fill_n(to, begin - block.column, T{0});
  T* out = to + (begin - block.column);
  if (begin < end) {
    const T* from = line + begin * axis.step + offset;
    if (axis.step == 1) {
      std::copy_n(from, end - begin, out);
    } else {
      for (std::int64_t i = 0; i < end - begin; ++i) out[i] = from[i * axis.step];
    }
  }
  std::fill_n(out + (end - begin), last - end, T{0});
}

/// One row of the column matrix: what tap `tap` of the grid takes of a channel's plane.
template <class T>
void copy_tap(const ConvPlan& plan, const Grid& grid, std::int64_t tap, const Block& block,
              const T* plane, T* to) {
  const auto widths = static_cast<std::int64_t>(grid[2].taps.size());
  const auto heights = static_cast<std::int64_t>(grid[1].taps.size());
  const auto offset_at = [&](std::size_t axis, std::int64_t i) {
    return grid[axis].taps[static_cast<std::size_t>(i)].offset;
  };
  const std::int64_t w = offset_at(2, tap % widths);
  const std::int64_t h = offset_at(1, tap / widths % heights);
  const std::int64_t depth = block.depth * grid[0].step + offset_at(0, tap / (widths * heights));
  for (std::int64_t i = 0; i < block.rows; ++i, to += block.columns) {
    const std::int64_t height = (block.row + i) * grid[1].step + h;
    const bool inside =
        depth >= 0 && depth < plan.in_dims[0] && height >= 0 && height < plan.in_dims[1];
    if (inside) {
      copy_line(grid[2], w, block, plane + (depth * plan.in_dims[1] + height) * plan.in_dims[2],
                to);
    } else {
      std::fill_n(to, block.columns, T{0});
    }
  }
}

/// The column matrices of all groups: [groups][in_channels * taps][positions].
template <class T>
void copy_columns(const ConvPlan& plan, const Grid& grid, const Block& block, const T* image, T* to,
                  ThreadPool& pool) {
  const std::int64_t taps = grid.taps();
  const std::int64_t positions = block.positions();
  const auto work = [&](std::size_t begin, std::size_t end) {
    for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
      copy_tap(plan, grid, i % taps, block, image + i / taps * plan.in_plane(), to + i * positions);
    }
  };
  pool.run(static_cast<std::size_t>(plan.groups * plan.in_channels * taps), items_grain(positions),
           work);
}

/// A product of all groups; `batch` is what its span points to.
struct GroupProduct {
  Product product;
  std::array<BatchDim, 2> batch;
};

/// What groups and the weight have to do with it.
void set_weight(const ConvPlan& plan, std::int64_t inner, const void* weight, bool is_gathered,
                const detail::PackedMatrix* packed, GroupProduct& p, BatchDim& groups) {
  p.product.mode = plan.mode;
  p.product.rows = static_cast<std::size_t>(plan.out_channels);
  p.product.inner = static_cast<std::size_t>(inner);
  p.product.a = {.data = weight, .dtype = plan.weight, .row_stride = inner, .packed = packed};
  if (plan.transposed && !is_gathered) {
    p.product.a.row_stride = 1;
    p.product.a.column_stride = plan.out_channels;
  }
  p.product.bias = {.dtype = plan.bias, .per_row = true};
  groups.count = static_cast<std::size_t>(plan.groups);
  groups.a_stride = packed != nullptr ? 1 : plan.out_channels * inner;
  groups.c_stride = plan.out_channels * plan.out_plane();
  groups.bias_stride = plan.out_channels;
}

GroupProduct whole_product(const ConvPlan& plan, const detail::PackedMatrix* packed,
                           const void* weight) {
  GroupProduct p;
  const std::int64_t plane = plan.in_plane();
  set_weight(plan, plan.in_channels, weight, false, packed, p, p.batch[1]);
  p.product.columns = static_cast<std::size_t>(plane);
  p.product.b = {.dtype = plan.x, .row_stride = plane};
  p.product.c = {.dtype = plan.out, .row_stride = plane};
  p.batch[0] = {.count = static_cast<std::size_t>(plan.images),
                .b_stride = plan.groups * plan.in_channels * plane,
                .c_stride = plan.groups * plan.out_channels * plane};
  p.batch[1].b_stride = plan.in_channels * plane;
  return p;
}

/// The product of a block. Where its positions do not follow each other in the result, rows are a
/// dimension of the batch.
GroupProduct block_product(const ConvPlan& plan, const Grid& grid, const Block& block,
                           const detail::PackedMatrix* packed, const void* weight) {
  GroupProduct p;
  const std::int64_t inner = plan.in_channels * grid.taps();
  const std::int64_t positions = block.positions();
  set_weight(plan, inner, weight, !weight_is_matrix(plan), packed, p, p.batch[0]);
  p.batch[0].b_stride = inner * positions;
  p.product.b = {.dtype = plan.x, .row_stride = positions};
  p.product.c = {
      .dtype = plan.out, .row_stride = plan.out_plane(), .column_stride = grid[2].result_step};
  const bool is_dense =
      grid[1].result_step == 1 && grid[2].result_step == 1 && block.columns == plan.out_dims[2];
  p.product.columns = static_cast<std::size_t>(is_dense ? positions : block.columns);
  if (!is_dense) {
    p.batch[1] = {.count = static_cast<std::size_t>(block.rows),
                  .b_stride = block.columns,
                  .c_stride = grid[1].result_step * plan.out_dims[2]};
  }
  return p;
}

std::byte* element(void* data, DType dtype, std::int64_t index) {
  return static_cast<std::byte*>(data) + index * static_cast<std::int64_t>(element_bytes(dtype));
}

bool multiply_groups(GroupProduct& p, const ConvData& data, const void* b, void* c,
                     ThreadPool& pool, detail::ProductWorkspace& workspace) {
  p.product.b.data = b;
  p.product.c.data = c;
  p.product.bias.data = data.bias;
  p.product.batch = p.batch;
  return detail::multiply(p.product, pool, workspace);
}

/// Calls f(block) for the blocks that cover a grid until it returns false.
template <class F>
bool for_each_block(const ConvPlan& plan, const Grid& grid, const F& f) {
  const Block size = first_block(plan, grid);
  Block block = size;
  for (block.depth = 0; block.depth < grid[0].count; ++block.depth) {
    for (block.row = 0; block.row < grid[1].count; block.row += size.rows) {
      block.rows = std::min(size.rows, grid[1].count - block.row);
      for (block.column = 0; block.column < grid[2].count; block.column += size.columns) {
        block.columns = std::min(size.columns, grid[2].count - block.column);
        if (!f(block)) return false;
      }
    }
  }
  return true;
}

/// The element of a channel's plane of the result where a block begins.
std::int64_t block_start(const ConvPlan& plan, const Grid& grid, const Block& block) {
  const std::int64_t depth = grid[0].first + block.depth * grid[0].result_step;
  const std::int64_t row = grid[1].first + block.row * grid[1].result_step;
  return (depth * plan.out_dims[1] + row) * plan.out_dims[2] + grid[2].first +
         block.column * grid[2].result_step;
}

bool convolve_columns(const ConvPlan& plan, const ConvData& data, ThreadPool& pool,
                      detail::ProductWorkspace& workspace, std::byte* scratch) {
  const std::int64_t in_image = plan.groups * plan.in_channels * plan.in_plane();
  const std::int64_t out_image = plan.groups * plan.out_channels * plan.out_plane();
  return for_each_grid(plan, [&](const Grid& grid) {
    std::byte* columns = scratch;
    const void* weight = data.weight;
    if (const std::int64_t gathered = gathered_elements(plan, grid); gathered != 0) {
      with_element_size(plan.weight, [&](auto zero) {
        using T = decltype(zero);
        gather_weight(plan, grid, static_cast<const T*>(weight), reinterpret_cast<T*>(scratch));
      });
      weight = scratch;
      columns = element(static_cast<void*>(scratch), plan.weight, gathered + (gathered & 1));
    }
    return for_each_block(plan, grid, [&](const Block& block) {
      GroupProduct p = block_product(plan, grid, block, data.packed, weight);
      const std::int64_t start = block_start(plan, grid, block);
      for (std::int64_t image = 0; image < plan.images; ++image) {
        with_element_size(plan.x, [&](auto zero) {
          using T = decltype(zero);
          copy_columns(plan, grid, block, static_cast<const T*>(data.x) + image * in_image,
                       reinterpret_cast<T*>(columns), pool);
        });
        if (!multiply_groups(p, data, columns,
                             element(data.out, plan.out, image * out_image + start), pool,
                             workspace)) {
          return false;
        }
      }
      return true;
    });
  });
}

}  // namespace

bool conv_pack_request(const ConvPlan& plan, const void* weight, PackRequest& request) {
  if (plan.method == ConvMethod::planes || !weight_is_matrix(plan)) return false;
  GroupProduct p;
  set_weight(plan, plan.in_channels * plan.taps(), weight, false, nullptr, p, p.batch[0]);
  request = {.mode = plan.mode,
             .side = detail::ProductSide::a,
             .matrix = p.product.a,
             .rows = p.product.rows,
             .columns = p.product.inner,
             .count = static_cast<std::size_t>(plan.groups),
             .matrix_stride = p.batch[0].a_stride,
             .other = static_cast<std::size_t>(plan.out_plane())};
  return true;
}

std::uint64_t conv_scratch_bytes(const ConvPlan& plan, int threads) {
  if (plan.method == ConvMethod::whole) return 0;
  if (plan.method == ConvMethod::planes) return conv_planes_scratch_bytes(plan, threads);
  std::int64_t most = 0;
  for_each_grid(plan, [&](const Grid& grid) {
    const std::int64_t gathered = gathered_elements(plan, grid);
    const std::int64_t bytes =
        (gathered + (gathered & 1)) * static_cast<std::int64_t>(element_bytes(plan.weight)) +
        columns_elements(plan, grid) * static_cast<std::int64_t>(element_bytes(plan.x));
    most = std::max(most, bytes);
    return true;
  });
  return static_cast<std::uint64_t>(most);
}

std::size_t conv_workspace_bytes(const ConvPlan& plan, const detail::PackedMatrix* packed,
                                 int threads) {
  std::size_t most = 0;
  const auto measure = [&](GroupProduct p) {
    p.product.batch = p.batch;
    most = std::max(most, detail::workspace_bytes(p.product, threads));
  };
  if (plan.method == ConvMethod::whole) measure(whole_product(plan, packed, nullptr));
  if (plan.method != ConvMethod::columns) return most;
  for_each_grid(plan, [&](const Grid& grid) {
    measure(block_product(plan, grid, first_block(plan, grid), packed, nullptr));
    return true;
  });
  return most;
}

bool convolve(const ConvPlan& plan, const ConvData& data, ThreadPool& pool,
              detail::ProductWorkspace& workspace, std::byte* scratch) {
  if (plan.images * plan.groups * plan.out_channels * plan.out_plane() == 0) return true;
  switch (plan.method) {
    case ConvMethod::planes:
      convolve_planes(plan, data, pool, scratch);
      return true;
    case ConvMethod::columns:
      return convolve_columns(plan, data, pool, workspace, scratch);
    case ConvMethod::whole:
      break;
  }
  GroupProduct p = whole_product(plan, data.packed, data.weight);
  return multiply_groups(p, data, data.x, data.out, pool, workspace);
}

}  // namespace milgen::cpu
