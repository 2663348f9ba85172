#include "cpu/product.h"

#include <algorithm>
#include <vector>

#include "cpu/blas.h"
#include "cpu/product_blas.h"
#include "cpu/product_kernels.h"
#include "cpu/product_parts.h"

namespace milgen::detail {
namespace {

// Terms that are added before the next tile: this much of a panel of columns (32 KiB with AVX-512)
// stays in the first-level cache while the panels of rows pass by.
constexpr std::size_t kInnerBlock = 256;
// What a thread keeps of its own block of lines in its second-level cache.
constexpr std::size_t kLocalBytes = 256 * 1024;
// What all threads share at a time of the other operand: a part of the last-level cache.
constexpr std::size_t kSharedBytes = std::size_t{4} << 20;
// Panels of constants that a task multiplies with the only row of a product.
constexpr std::size_t kRowBlock = 32;
// Products of which each fits into the caches of one thread are not split.
constexpr std::size_t kSmallBytes = 512 * 1024;
// More tasks than threads even out what they take.
constexpr std::size_t kTasksPerThread = 4;
// Multiplications that are worth the handing over to another thread.
constexpr std::size_t kGrain = 64 * 1024;

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t round_up(std::size_t a, std::size_t b) { return divide_up(a, b) * b; }

std::size_t grain_for(std::size_t multiplications) {
  return std::max(std::size_t{1}, kGrain / std::max(std::size_t{1}, multiplications));
}

/// What the tiles of a product of these sizes cost, rows and columns beyond the edges included.
std::size_t tile_work(const ProductKernels& kernels, std::size_t rows, std::size_t columns) {
  const std::size_t rest = rows % kernels.tile_rows;
  const std::size_t padded_rows = rows - rest + (rest == 0 ? 0 : row_width_for(kernels, rest));
  return padded_rows * round_up(columns, kernels.tile_columns);
}

/// Whether C transposed is computed: its columns are neighbours in memory, or it is so narrow that
/// vectors along its rows would be mostly empty.
bool better_transposed(const ProductKernels& kernels, std::size_t rows, std::size_t columns,
                       bool by_columns) {
  const std::size_t straight = tile_work(kernels, rows, columns);
  const std::size_t transposed = tile_work(kernels, columns, rows);
  return by_columns ? straight * 2 > transposed : transposed * 2 <= straight;
}

/// The element of a source where a line and a term of it begin.
std::ptrdiff_t position(const LineSource& source, std::size_t line, std::size_t inner) {
  return static_cast<std::ptrdiff_t>(line) * source.line_stride +
         static_cast<std::ptrdiff_t>(inner) * source.inner_stride;
}

LineSource from_element(LineSource source, std::ptrdiff_t index) {
  source.data = element_at(source.data, source.half, index);
  return source;
}

/// As ProductKernels::pack, without a change of dtype.
void pack_halves(const LineSource& source, std::size_t lines, std::size_t inner, std::size_t width,
                 std::uint16_t* panel) {
  if (lines < width) std::fill_n(panel, inner * width, std::uint16_t{0});
  for (std::size_t line = 0; line < lines; ++line) {
    const auto* from = static_cast<const std::uint16_t*>(source.data) +
                       static_cast<std::ptrdiff_t>(line) * source.line_stride;
    for (std::size_t k = 0; k < inner; ++k, from += source.inner_stride) {
      panel[k * width + line] = *from;
    }
  }
}

/// A range of lines or of terms.
struct Span {
  std::size_t begin;
  std::size_t end;
  std::size_t size() const { return end - begin; }
};

/// The part of [0, count) that begins at `begin` and has at most `size`.
Span span_at(std::size_t begin, std::size_t size, std::size_t count) {
  return {begin, std::min(begin + size, count)};
}

/// Panels in memory: [panel][inner][width] floats, of which the first terms may be left out.
struct Panels {
  const float* first;
  std::size_t stride;  // from one to the next
  std::size_t width;
  std::size_t lines;

  std::size_t count() const { return divide_up(lines, width); }
  const float* at(std::size_t panel) const { return first + panel * stride; }
  std::size_t lines_at(std::size_t panel) const { return std::min(width, lines - panel * width); }
};

}  // namespace

bool PackedMatrix::pack(const PackRequest& request, ThreadPool& pool) {
  const bool is_a = request.side == ProductSide::a;
  dense_ = request.mode == NumericMode::fast && blas_wants(blas_library(), request);
  if (dense_) return keep_dense(request, pool);
  kernels_ = &product_kernels();
  half_ = request.matrix.dtype == DType::fp16;
  lines_ = is_a ? request.rows : request.columns;
  inner_ = is_a ? request.columns : request.rows;
  const std::size_t other = request.other == 0 ? lines_ + kernels_->tile_columns : request.other;
  const bool transposed = better_transposed(*kernels_, is_a ? lines_ : other, is_a ? other : lines_,
                                            request.result_by_columns);
  vectors_ = is_a == transposed;
  width_ = vectors_ ? kernels_->tile_columns : row_width_for(*kernels_, lines_);

  const std::size_t elements = request.count * matrix_elements();
  if (!panels_.reserve(elements * element_bytes(half_))) return false;
  const LineSource source = lines_of(request.matrix, is_a);
  const auto pack_panels = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t line = i % panel_count() * width_;
      const auto matrix = static_cast<std::ptrdiff_t>(i / panel_count());
      const LineSource part =
          from_element(source, matrix * request.matrix_stride + position(source, line, 0));
      const std::size_t lines = std::min(width_, lines_ - line);
      std::byte* to = panels_.data() + i * panel_elements() * element_bytes(half_);
      if (half_) {
        pack_halves(part, lines, inner_, width_, reinterpret_cast<std::uint16_t*>(to));
      } else {
        kernels_->pack(part, lines, inner_, width_, reinterpret_cast<float*>(to));
      }
    }
  };
  if (elements != 0) pool.run(request.count * panel_count(), 1, pack_panels);
  return true;
}

/// Row-major floats.
bool PackedMatrix::keep_dense(const PackRequest& request, ThreadPool& pool) {
  lines_ = request.rows;
  inner_ = request.columns;
  if (!panels_.reserve(request.count * matrix_elements() * sizeof(float))) return false;
  pool.run(request.count * lines_, 16, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(i / lines_) * request.matrix_stride +
                                static_cast<std::ptrdiff_t>(i % lines_) * request.matrix.row_stride;
      product_kernels().pack(lines_of(request.matrix, false, at), inner_, 1, inner_,
                             reinterpret_cast<float*>(panels_.data()) + i * inner_);
    }
  });
  return true;
}

void PackedMatrix::unpack(const PackRequest& request, void* matrix) const {
  const bool to_half = request.matrix.dtype == DType::fp16;
  const LineSource lines = lines_of(request.matrix, dense_ || request.side == ProductSide::a);
  for (std::size_t i = 0; i < request.count * lines_ * inner_; ++i) {
    const std::size_t k = i % inner_;
    const std::size_t line = i / inner_ % lines_;
    const std::size_t index = i / inner_ / lines_;
    const std::size_t from =
        index * matrix_elements() + line / width_ * panel_elements() + k * width_ + line % width_;
    void* to = element_at(
        matrix, to_half,
        static_cast<std::ptrdiff_t>(index) * request.matrix_stride + position(lines, line, k));
    if (half_) {
      *static_cast<std::uint16_t*>(to) =
          reinterpret_cast<const std::uint16_t*>(panels_.data())[from];
      continue;
    }
    const float value = reinterpret_cast<const float*>(panels_.data())[from];
    if (to_half) {
      *static_cast<std::uint16_t*>(to) = half_from_float(value);  // kept dense: exact
    } else {
      *static_cast<float*>(to) = value;
    }
  }
}

/// A product on its way. Of its two operands, seen as lines (cpu/product_kernels.h), the smaller is
/// packed as a whole, or group by group where it is large, and shared by all threads; the other is
/// cut into blocks, and a thread packs its own block, a few terms at a time.
class ProductRun {
 public:
  ProductRun(const Product& product, int threads);

  std::size_t workspace_bytes() const {
    return (shared_elements_ * (split_ ? 1 : threads_) + scratch_elements_ * threads_) *
           sizeof(float);
  }
  void run(ThreadPool& pool, std::byte* workspace) const;

 private:
  struct Operand {
    LineSource source;
    const PackedMatrix* packed;
    BatchStride batch_stride;
    std::size_t lines;
    std::size_t width;

    /// Packed as the tile functions want it.
    bool ready() const { return packed != nullptr && !packed->half_; }
  };
  struct Target {
    void* data;
    bool half;
    std::ptrdiff_t row_stride;
    std::ptrdiff_t column_stride;
  };
  struct Scratch {
    float* local;
    float* sums;
  };
  /// Where one product of a batch begins, in elements.
  struct Offsets {
    std::ptrdiff_t shared;
    std::ptrdiff_t local;
    std::ptrdiff_t target;
    std::ptrdiff_t bias;
  };
  /// Columns and rows of C that are computed together.
  struct Block {
    Offsets offsets;
    Span local;
    Span shared;
    const float* panels;  // of the shared lines
  };

  void choose_sides(const Product& product);
  void choose_blocks();
  Operand operand_of(const MatrixView& matrix, bool is_a, std::size_t lines, bool vectors) const;
  Offsets offsets_of(std::size_t index) const;

  void run_whole(ThreadPool& pool, float* workspace) const;
  void run_split(ThreadPool& pool, float* workspace) const;
  void pack(const Operand& operand, std::ptrdiff_t offset, Span lines, Span inner,
            float* panels) const;
  Panels ready_panels(const Operand& operand, std::ptrdiff_t offset, Span lines,
                      std::size_t inner) const;
  void compute(const Block& block, const Scratch& scratch) const;
  void add_terms(const Block& block, Span inner, const Scratch& scratch) const;
  void compute_row(const Block& block, const Scratch& scratch) const;
  void finish(const Block& block, std::size_t row, std::size_t rows, std::size_t column,
              std::size_t columns, const float* sums) const;
  Scratch scratch_of(float* workspace, std::size_t slot) const;

  const ProductKernels* kernels_;
  TileFunction tile_;
  RowFunction row_;
  std::span<const BatchDim> batch_;
  std::size_t threads_;
  std::size_t inner_;
  std::size_t rows_;
  std::size_t columns_;
  Target target_;
  ProductBias bias_;
  bool shares_columns_;
  bool one_row_;  // times constants, which are used where they are
  Operand shared_;
  Operand local_;
  std::size_t inner_block_;   // terms
  std::size_t shared_group_;  // lines
  std::size_t local_block_;   // lines
  bool split_;                // one product by all threads; otherwise each by one thread
  std::size_t shared_elements_;
  std::size_t local_elements_;
  std::size_t scratch_elements_;  // of a thread
};

ProductRun::ProductRun(const Product& product, int threads)
    : batch_(product.batch),
      threads_(static_cast<std::size_t>(threads)),
      inner_(product.inner),
      bias_(product.bias) {
  const PackedMatrix* packed = product.a.packed != nullptr ? product.a.packed : product.b.packed;
  kernels_ = packed != nullptr ? packed->kernels_ : &product_kernels();
  choose_sides(product);
  // Two halves multiply without rounding, so that fusing changes nothing.
  const auto is_half = [](const Operand& operand) {
    return operand.packed != nullptr ? operand.packed->half_ : operand.source.half;
  };
  const bool fuse = product.mode == NumericMode::fast || (is_half(shared_) && is_half(local_));
  tile_ = fuse ? kernels_->fused : kernels_->separate;
  row_ = fuse ? kernels_->row_fused : kernels_->row_separate;
  one_row_ = rows_ == 1 && !shares_columns_ && local_.packed != nullptr;
  choose_blocks();
}

void ProductRun::choose_sides(const Product& product) {
  bool transposed = better_transposed(*kernels_, product.rows, product.columns,
                                      product.c.column_stride != 1 && product.c.row_stride == 1);
  if (product.a.packed != nullptr) transposed = product.a.packed->vectors_;
  if (product.b.packed != nullptr) transposed = !product.b.packed->vectors_;

  const Operand a = operand_of(product.a, true, product.rows, transposed);
  const Operand b = operand_of(product.b, false, product.columns, !transposed);
  rows_ = transposed ? product.columns : product.rows;
  columns_ = transposed ? product.rows : product.columns;
  target_ = {product.c.data, product.c.dtype == DType::fp16,
             transposed ? product.c.column_stride : product.c.row_stride,
             transposed ? product.c.row_stride : product.c.column_stride};
  if (transposed) bias_.per_row = !bias_.per_row;

  const bool shares_b = product.columns <= product.rows;
  shared_ = shares_b ? b : a;
  local_ = shares_b ? a : b;
  shares_columns_ = shares_b != transposed;
}

ProductRun::Operand ProductRun::operand_of(const MatrixView& matrix, bool is_a, std::size_t lines,
                                           bool vectors) const {
  const auto stride = is_a ? &BatchDim::a_stride : &BatchDim::b_stride;
  if (matrix.packed != nullptr) return {{}, matrix.packed, stride, lines, matrix.packed->width_};
  const std::size_t width = vectors ? kernels_->tile_columns : row_width_for(*kernels_, lines);
  return {lines_of(matrix, is_a), nullptr, stride, lines, width};
}

void ProductRun::choose_blocks() {
  const std::size_t inner_blocks =
      one_row_ ? 1 : std::max(std::size_t{1}, divide_up(inner_, kInnerBlock));
  inner_block_ = std::max(std::size_t{1}, divide_up(inner_, inner_blocks));

  const std::size_t terms = std::max(std::size_t{1}, inner_);
  const std::size_t shared_lines = round_up(std::max(std::size_t{1}, shared_.lines), shared_.width);
  const std::size_t fitting = kSharedBytes / sizeof(float) / terms / shared_.width * shared_.width;
  shared_group_ = std::min(shared_lines, std::max(shared_.width, fitting));
  shared_elements_ = shared_.ready() ? 0 : shared_group_ * inner_;
  split_ = threads_ > 1 &&
           (batch_count(batch_) < kTasksPerThread * threads_ / 2 || shared_group_ < shared_lines ||
            shared_group_ * inner_ * sizeof(float) > kSmallBytes);

  const std::size_t tasks = split_ ? kTasksPerThread * threads_ : 1;
  const std::size_t most =
      one_row_ ? kRowBlock * local_.width : kLocalBytes / sizeof(float) / inner_block_;
  const std::size_t wanted = std::min(most, divide_up(local_.lines, tasks));
  local_block_ = round_up(std::max(std::size_t{1}, wanted), local_.width);
  local_elements_ = local_.ready() || one_row_ ? 0 : local_block_ * inner_block_;

  const std::size_t tile = kernels_->tile_rows * kernels_->tile_columns;
  const std::size_t tiles =
      inner_blocks == 1 && !one_row_
          ? 1
          : divide_up(local_block_, local_.width) * divide_up(shared_group_, shared_.width);
  // Whole cache lines, so that the next thread's begin at one.
  constexpr std::size_t kLine = AlignedBuffer::kAlignmentBytes / sizeof(float);
  shared_elements_ = round_up(shared_elements_, kLine);
  local_elements_ = round_up(local_elements_, kLine);
  scratch_elements_ = local_elements_ + round_up(tiles * tile, kLine);
}

ProductRun::Offsets ProductRun::offsets_of(std::size_t index) const {
  return {batch_offset(batch_, index, shared_.batch_stride),
          batch_offset(batch_, index, local_.batch_stride),
          batch_offset(batch_, index, &BatchDim::c_stride),
          batch_offset(batch_, index, &BatchDim::bias_stride)};
}

ProductRun::Scratch ProductRun::scratch_of(float* workspace, std::size_t slot) const {
  float* begin = workspace + shared_elements_ * (split_ ? 1 : threads_) + scratch_elements_ * slot;
  return {begin, begin + local_elements_};
}

void ProductRun::run(ThreadPool& pool, std::byte* workspace) const {
  if (rows_ == 0 || columns_ == 0 || batch_count(batch_) == 0) return;
  auto* floats = reinterpret_cast<float*>(workspace);
  if (split_) {
    run_split(pool, floats);
  } else {
    run_whole(pool, floats);
  }
}

/// Every product by one thread.
void ProductRun::run_whole(ThreadPool& pool, float* workspace) const {
  const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
    float* panels = workspace + shared_elements_ * slot;
    const Scratch scratch = scratch_of(workspace, slot);
    for (std::size_t index = begin; index < end; ++index) {
      const Offsets offsets = offsets_of(index);
      for (std::size_t first = 0; first < shared_.lines; first += shared_group_) {
        const Span shared = span_at(first, shared_group_, shared_.lines);
        const bool packed_before =
            index > begin && shared_group_ >= shared_.lines &&
            batch_offset(batch_, index - 1, shared_.batch_stride) == offsets.shared;
        if (!shared_.ready() && !packed_before) {
          pack(shared_, offsets.shared, shared, {0, inner_}, panels);
        }
        for (std::size_t line = 0; line < local_.lines; line += local_block_) {
          compute({offsets, span_at(line, local_block_, local_.lines), shared, panels}, scratch);
        }
      }
    }
  };
  pool.run(batch_count(batch_), grain_for(rows_ * columns_ * inner_), work);
}

/// One product after the other, each by all threads.
void ProductRun::run_split(ThreadPool& pool, float* workspace) const {
  const std::size_t blocks = divide_up(local_.lines, local_block_);
  for (std::size_t index = 0; index < batch_count(batch_); ++index) {
    const Offsets offsets = offsets_of(index);
    for (std::size_t first = 0; first < shared_.lines; first += shared_group_) {
      const Span shared = span_at(first, shared_group_, shared_.lines);
      if (!shared_.ready()) {
        // A term of packing takes about as long as a few multiplications.
        pool.run(shared.size(), round_up(grain_for(inner_ * 8), shared_.width),
                 [&](std::size_t begin, std::size_t end) {
                   pack(shared_, offsets.shared, {first + begin, first + end}, {0, inner_},
                        workspace + begin * inner_);
                 });
      }
      const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
        const Scratch scratch = scratch_of(workspace, slot);
        for (std::size_t i = begin; i < end; ++i) {
          const Span local = span_at(i * local_block_, local_block_, local_.lines);
          compute({offsets, local, shared, workspace}, scratch);
        }
      };
      pool.run(blocks, grain_for(local_block_ * shared.size() * inner_), work);
    }
  }
}

/// `lines`, which begin with a panel, and the terms `inner` of them, panel after panel.
void ProductRun::pack(const Operand& operand, std::ptrdiff_t offset, Span lines, Span inner,
                      float* panels) const {
  const std::size_t width = operand.width;
  for (std::size_t line = lines.begin; line < lines.end; line += width) {
    if (operand.packed != nullptr) {
      const PackedMatrix& packed = *operand.packed;
      const std::size_t at = static_cast<std::size_t>(offset) * packed.matrix_elements() +
                             line * inner_ + inner.begin * width;
      kernels_->widen(reinterpret_cast<const std::uint16_t*>(packed.panels_.data()) + at,
                      inner.size() * width, panels);
    } else {
      const std::ptrdiff_t at = offset + position(operand.source, line, inner.begin);
      kernels_->pack(from_element(operand.source, at), std::min(width, lines.end - line),
                     inner.size(), width, panels);
    }
    panels += width * inner.size();
  }
}

/// Lines of an operand that is ready, from the term `inner` on.
Panels ProductRun::ready_panels(const Operand& operand, std::ptrdiff_t offset, Span lines,
                                std::size_t inner) const {
  const PackedMatrix& packed = *operand.packed;
  const std::size_t at = static_cast<std::size_t>(offset) * packed.matrix_elements() +
                         lines.begin * inner_ + inner * operand.width;
  return {reinterpret_cast<const float*>(packed.panels_.data()) + at, operand.width * inner_,
          operand.width, lines.size()};
}

void ProductRun::compute(const Block& block, const Scratch& scratch) const {
  if (one_row_) return compute_row(block, scratch);
  // Once, too, when there are no terms: the bias is still to be stored.
  std::size_t inner = 0;
  do {
    add_terms(block, span_at(inner, inner_block_, inner_), scratch);
    inner += inner_block_;
  } while (inner < inner_);
}

void ProductRun::compute_row(const Block& block, const Scratch& scratch) const {
  const PackedMatrix& packed = *local_.packed;
  const std::size_t width = local_.width;
  const std::size_t first = block.local.begin;
  const std::size_t at =
      static_cast<std::size_t>(block.offsets.local) * packed.matrix_elements() + first * inner_;
  const KeptPanels panels = {packed.panels_.data() + at * element_bytes(packed.half_), packed.half_,
                             packed.panel_elements(), divide_up(block.local.size(), width)};
  row_(block.panels, panels, inner_, {scratch.sums, true});
  const float* sums = scratch.sums;
  for (std::size_t column = first; column < block.local.end; column += width) {
    finish(block, 0, 1, column, std::min(width, block.local.end - column), sums);
    sums += kernels_->tile_rows * kernels_->tile_columns;
  }
}

void ProductRun::add_terms(const Block& block, Span inner, const Scratch& scratch) const {
  Panels shared = {block.panels + inner.begin * shared_.width, shared_.width * inner_,
                   shared_.width, block.shared.size()};
  if (shared_.ready()) {
    shared = ready_panels(shared_, block.offsets.shared, block.shared, inner.begin);
  }
  Panels local = {scratch.local, local_.width * inner.size(), local_.width, block.local.size()};
  if (local_.ready()) {
    local = ready_panels(local_, block.offsets.local, block.local, inner.begin);
  } else {
    pack(local_, block.offsets.local, block.local, inner, scratch.local);
  }
  const Panels& rows = shares_columns_ ? local : shared;
  const Panels& columns = shares_columns_ ? shared : local;
  const std::size_t first_row = (shares_columns_ ? block.local : block.shared).begin;
  const std::size_t first_column = (shares_columns_ ? block.shared : block.local).begin;

  const bool is_first = inner.begin == 0;
  const bool is_last = inner.end == inner_;
  const std::size_t tile = kernels_->tile_rows * kernels_->tile_columns;
  float* sums = scratch.sums;
  for (std::size_t c = 0; c < columns.count(); ++c) {
    for (std::size_t r = 0; r < rows.count(); ++r) {
      const std::size_t row_count = rows.lines_at(r);
      tile_(rows.at(r), rows.width, row_count, columns.at(c), inner.size(), {sums, is_first});
      if (is_last) {
        finish(block, first_row + r * rows.width, row_count, first_column + c * columns.width,
               columns.lines_at(c), sums);
      }
      // Sums that are finished at once need no place of their own.
      if (!is_first || !is_last) sums += tile;
    }
  }
}

void ProductRun::finish(const Block& block, std::size_t row, std::size_t rows, std::size_t column,
                        std::size_t columns, const float* sums) const {
  const std::ptrdiff_t at = block.offsets.target +
                            static_cast<std::ptrdiff_t>(row) * target_.row_stride +
                            static_cast<std::ptrdiff_t>(column) * target_.column_stride;
  TileTarget target = {element_at(target_.data, target_.half, at),
                       target_.half,
                       target_.row_stride,
                       target_.column_stride,
                       nullptr,
                       nullptr};
  float bias[std::max(kLargestTileRows, kLargestTileColumns)] = {};
  if (bias_.data != nullptr) {
    const std::size_t first = bias_.per_row ? row : column;
    const std::size_t count = bias_.per_row ? rows : columns;
    copy_bias(bias_, block.offsets.bias, first, count, bias);
    (bias_.per_row ? target.row_bias : target.column_bias) = bias;
  }
  kernels_->finish(sums, rows, columns, target);
}

namespace {

/// The product with matrices that are kept dense as plain ones, and the strides for that.
struct Opened {
  Product product;
  std::vector<BatchDim> batch;
};

bool is_dense(const MatrixView& matrix) {
  return matrix.packed != nullptr && matrix.packed->is_dense();
}

void open_dense(MatrixView& matrix, std::span<BatchDim> batch, BatchStride stride) {
  const PackedMatrix* packed = matrix.packed;
  for (BatchDim& dim : batch) dim.*stride *= packed->dense_stride();
  matrix = packed->dense_view();
}

Opened open_dense(const Product& product) {
  Opened opened = {product, {product.batch.begin(), product.batch.end()}};
  opened.product.batch = opened.batch;
  if (is_dense(product.a)) open_dense(opened.product.a, opened.batch, &BatchDim::a_stride);
  if (is_dense(product.b)) open_dense(opened.product.b, opened.batch, &BatchDim::b_stride);
  return opened;
}

bool goes_to_blas(const Product& product) {
  return product.mode == NumericMode::fast && product.a.packed == nullptr &&
         product.b.packed == nullptr && blas_wants(blas_library(), product);
}

}  // namespace

std::size_t workspace_bytes(const Product& product, int threads) {
  if (is_dense(product.a) || is_dense(product.b)) {
    return workspace_bytes(open_dense(product).product, threads);
  }
  if (goes_to_blas(product)) return blas_workspace_bytes(product, threads);
  return ProductRun(product, threads).workspace_bytes();
}

bool multiply(const Product& product, ThreadPool& pool, ProductWorkspace& workspace) {
  if (is_dense(product.a) || is_dense(product.b)) {
    return multiply(open_dense(product).product, pool, workspace);
  }
  if (goes_to_blas(product)) {
    if (!workspace.reserve(blas_workspace_bytes(product, pool.threads()))) return false;
    blas_multiply(product, blas_library(), pool, workspace.data());
    return true;
  }
  const ProductRun run(product, pool.threads());
  if (!workspace.reserve(run.workspace_bytes())) return false;
  run.run(pool, workspace.data());
  return true;
}

}  // namespace milgen::detail
