#include "milgen/ane/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "ane/channel_first.h"
#include "milgen/ane/request_pool.h"
#include "milgen/kernel.h"
#include "milgen/ops.h"
#include "milgen/print.h"
#include "support/half.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

/// So many weights are converted at a time.
constexpr std::int64_t kChunkElements = 1 << 18;
constexpr std::uint16_t kHalfOne = 0x3C00;

/// What the program looks like, and how w is cut: tile t has w's columns from t * tile on.
struct Plan {
  std::int64_t batch = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t columns = 0;  // of x and y on the engine
  std::int64_t tile = 0;     // columns of w on the engine
  std::int64_t tiles = 0;
  bool packed = false;

  std::int64_t tile_begin(std::int64_t t) const { return t * tile; }
  std::int64_t tile_size(std::int64_t t) const { return std::min(tile, out - t * tile); }
  /// Where in w's input its first column is.
  std::int64_t first_weight_column() const { return packed ? columns : 0; }
};

constexpr int kWeightInput = 0;  // packed: the only one
int activation_input(const Plan& plan) { return plan.packed ? 0 : 1; }

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a - 1) / b + 1; }

Result<Plan> make_plan(std::int64_t batch, std::int64_t in, std::int64_t out,
                       const DynamicMatmulOptions& options) {
  const bool packed = options.weights == WeightPlacement::packed;
  const std::int64_t most_batch = packed ? kMostColumns - kColumnAlignment : kMostColumns;
  if (Error error = check_dim("batch", batch, most_batch)) return error;
  // As many as are summed up at once on all chips (MM-003 in ane_constraints).
  if (Error error = check_dim("in", in, 16'384)) return error;
  if (Error error = check_dim("out", out, kMostPooledRequests * kMostColumns)) return error;
  if (options.tile_out < 0) {
    return Error(ErrorKind::argument,
                 fmt::format("tile_out is {}, and cannot be below 0", options.tile_out));
  }
  Plan plan{batch, in, out, aligned_columns(batch), 0, 0, packed};
  const std::int64_t widest = packed ? kMostColumns - plan.columns : kMostColumns;
  const bool chosen = options.tile_out != 0 && options.tile_out < widest;
  const std::int64_t most = chosen ? aligned_columns(options.tile_out) : widest;
  plan.tiles = divided_up(out, most);
  if (plan.tiles > kMostPooledRequests) {
    return Error(ErrorKind::argument, fmt::format("out is {}, which makes {} tiles of {}, and {} "
                                                  "are the most",
                                                  out, plan.tiles, most, kMostPooledRequests));
  }
  // One program serves all tiles: they are the same size, with as little as can be left over.
  plan.tile = aligned_columns(divided_up(out, plan.tiles));
  return plan;
}

/// y^T = w^T * x^T, since x and y lie channel-first and w as it is given.
Program make_program(const Plan& plan) {
  Kernel kernel("dynamic_matmul");
  Tensor<fp16> w;
  Tensor<fp16> x;
  if (plan.packed) {
    const auto both = kernel.input<fp16>("xw", {1, plan.in, 1, plan.columns + plan.tile});
    x = slice_by_size(both, {0, 0, 0, 0}, {1, plan.in, 1, plan.columns});
    w = slice_by_size(both, {0, 0, 0, plan.columns}, {1, plan.in, 1, plan.tile});
  } else {
    w = kernel.input<fp16>("w", {1, plan.in, 1, plan.tile});
    x = kernel.input<fp16>("x", {1, plan.in, 1, plan.columns});
  }
  const auto rows = reshape(w, {1, 1, plan.in, plan.tile});
  const auto columns = reshape(x, {1, 1, plan.in, plan.columns});
  const auto product = matmul(rows, columns, {.transpose_x = true});
  kernel.output("y", reshape(product, {1, plan.tile, 1, plan.columns}));
  return kernel.finish();
}

Error closed() { return {ErrorKind::closed, "the product is closed"}; }

/// `argument` when `of`, which has `count` of them, has no such row or column.
Error check_place(std::string_view what, std::int64_t place, std::string_view of,
                  std::int64_t count) {
  if (place >= 0 && place < count) return {};
  return {ErrorKind::argument,
          fmt::format("there is no {} {} of {}, only 0 to {}", what, place, of, count - 1)};
}

}  // namespace

struct DynamicMatmul::State {
  Plan plan;
  Model model;
  /// Tile 0 has the model's own surfaces, the others one of these each.
  std::vector<PooledRequest> others;
  bool weights_written = false;
  std::uint64_t hardware_ns = 0;
  std::vector<std::uint16_t> halves;
  std::vector<float> floats;

  /// Calls `use` with what has the surfaces of a tile.
  template <class Use>
  auto with_tile(std::int64_t t, const Use& use) {
    return t == 0 ? use(model) : use(others[static_cast<std::size_t>(t - 1)]);
  }
  /// Calls `use` for all tiles until one fails.
  template <class Use>
  Error for_tiles(const Use& use) {
    for (std::int64_t t = 0; t < plan.tiles; ++t) {
      if (Error error = use(t)) return error;
    }
    return {};
  }

  std::int64_t chunk_rows() const {
    return std::clamp<std::int64_t>(kChunkElements / plan.tile, 1, plan.in);
  }
  Error make_requests();
  template <class Convert>
  Error write_weights(const Convert& convert);
  template <class Write>
  Error write_activations(const Write& write);
  Error evaluate();
  /// With x as fp16 [in, batch].
  Error evaluate(std::span<const std::uint16_t> x, std::span<float> y);
  Error read(std::span<float> y);
  Error check_written() const;
};

Error DynamicMatmul::State::make_requests() {
  const auto most_weights = static_cast<std::size_t>(chunk_rows() * plan.tile);
  halves.resize(std::max(most_weights, static_cast<std::size_t>(plan.in * plan.batch)));
  floats.resize(static_cast<std::size_t>(plan.tile_size(0) * plan.batch));
  if (plan.tiles == 1) return {};
  RequestPoolOptions options;
  options.depth = static_cast<int>(plan.tiles - 1);
  if (!plan.packed) options.shared_inputs = {"x"};
  Result<RequestPool> pool = RequestPool::create(model, options);
  if (!pool) return pool.error();
  for (int i = 0; i < options.depth; ++i) {
    Result<PooledRequest> request = pool->acquire();
    if (!request) return request.error();
    others.push_back(*std::move(request));
  }
  return {};
}

/// `convert` makes rows [first, first + count) of a tile's columns, as fp16 in `halves`.
template <class Convert>
Error DynamicMatmul::State::write_weights(const Convert& convert) {
  weights_written = false;
  Error error = for_tiles([&](std::int64_t t) {
    const std::int64_t size = plan.tile_size(t);
    for (std::int64_t first = 0; first < plan.in; first += chunk_rows()) {
      const std::int64_t count = std::min(chunk_rows(), plan.in - first);
      convert(t, first, count);
      const std::span<const std::uint16_t> values(halves.data(),
                                                  static_cast<std::size_t>(count * size));
      const Region region{first, count, plan.first_weight_column(), size};
      Error failed =
          with_tile(t, [&](auto& tile) { return tile.write_fp16(kWeightInput, values, region); });
      if (failed) return failed;
    }
    return Error();
  });
  weights_written = !error;
  return error;
}

/// `write` writes to a tile's input, which takes `region` of it; once where all share it.
template <class Write>
Error DynamicMatmul::State::write_activations(const Write& write) {
  const Region region{0, plan.in, 0, plan.batch};
  const int input = activation_input(plan);
  if (!plan.packed) return write(model, input, region);
  return for_tiles([&](std::int64_t t) {
    return with_tile(t, [&](auto& tile) { return write(tile, input, region); });
  });
}

Error DynamicMatmul::State::evaluate() {
  hardware_ns = 0;
  // One after the other: the engine runs one at a time, and tells the time of the last alone.
  return for_tiles([&](std::int64_t t) {
    Error error = with_tile(t, [](auto& tile) { return tile.evaluate(); });
    if (!error) hardware_ns += model.hardware_ns();
    return error;
  });
}

Error DynamicMatmul::State::evaluate(std::span<const std::uint16_t> x, std::span<float> y) {
  Error error = write_activations([&](auto& tile, int input, const Region& region) {
    return tile.write_fp16(input, x, region);
  });
  if (!error) error = evaluate();
  return error ? error : read(y);
}

Error DynamicMatmul::State::read(std::span<float> y) {
  return for_tiles([&](std::int64_t t) {
    const std::int64_t size = plan.tile_size(t);
    const std::span<float> values(floats.data(), static_cast<std::size_t>(size * plan.batch));
    Error error = with_tile(t, [&](auto& tile) {
      return tile.read_fp32(0, values, {0, size, 0, plan.batch});
    });
    if (!error) from_channel_first(values, plan.batch, y.data() + plan.tile_begin(t), plan.out);
    return error;
  });
}

Error DynamicMatmul::State::check_written() const {
  if (weights_written) return {};
  return {ErrorKind::argument,
          fmt::format("no weights [{}, {}] were written yet", plan.in, plan.out)};
}

DynamicMatmul::DynamicMatmul(std::unique_ptr<State> state) : state_(std::move(state)) {}
DynamicMatmul::DynamicMatmul(DynamicMatmul&&) noexcept = default;
DynamicMatmul& DynamicMatmul::operator=(DynamicMatmul&&) noexcept = default;
DynamicMatmul::~DynamicMatmul() = default;

Result<DynamicMatmul> DynamicMatmul::create(const Engine& engine, std::int64_t batch,
                                            std::int64_t in, std::int64_t out,
                                            const DynamicMatmulOptions& options) {
  const Result<Plan> plan = make_plan(batch, in, out, options);
  if (!plan) return plan.error();
  ModelOptions model_options = options.model;
  model_options.function.clear();
  model_options.weights.clear();
  model_options.weight_file.clear();
  Diagnostics diagnostics;
  Result<Model> model = Model::compile(engine, print_mil(make_program(*plan)), "dynamic_matmul",
                                       model_options, diagnostics);
  if (!model) return model.error();
  auto state = std::make_unique<State>();
  state->plan = *plan;
  state->model = *std::move(model);
  if (Error error = state->make_requests()) return error;
  return DynamicMatmul(std::move(state));
}

Error DynamicMatmul::close() {
  if (state_ == nullptr) return {};
  const std::unique_ptr<State> state = std::move(state_);
  state->others.clear();
  return state->model.close();
}

std::int64_t DynamicMatmul::batch() const { return state_ == nullptr ? 0 : state_->plan.batch; }
std::int64_t DynamicMatmul::in() const { return state_ == nullptr ? 0 : state_->plan.in; }
std::int64_t DynamicMatmul::out() const { return state_ == nullptr ? 0 : state_->plan.out; }
std::int64_t DynamicMatmul::columns() const { return state_ == nullptr ? 0 : state_->plan.columns; }
int DynamicMatmul::tiles() const {
  return state_ == nullptr ? 0 : static_cast<int>(state_->plan.tiles);
}
CompileStats DynamicMatmul::stats() const {
  return state_ == nullptr ? CompileStats() : state_->model.stats();
}
std::uint64_t DynamicMatmul::hardware_ns() const {
  return state_ == nullptr ? 0 : state_->hardware_ns;
}

Error DynamicMatmul::write_weights(std::span<const float> w) {
  if (state_ == nullptr) return closed();
  State& state = *state_;
  const Plan& plan = state.plan;
  if (Error error = check_values("w", w.size(), plan.in, plan.out)) return error;
  return state.write_weights([&](std::int64_t t, std::int64_t first, std::int64_t count) {
    HalfReport report;
    const std::int64_t size = plan.tile_size(t);
    const float* from = w.data() + first * plan.out + plan.tile_begin(t);
    // Rows of one tile that is all of w follow each other.
    const std::int64_t rows = plan.tiles == 1 ? 1 : count;
    const auto row_size = static_cast<std::size_t>(count / rows * size);
    for (std::int64_t row = 0; row < rows; ++row) {
      halves_from_floats(from + row * plan.out, state.halves.data() + row * size, row_size, report);
    }
  });
}

Error DynamicMatmul::write_weights_transposed(std::span<const float> w) {
  if (state_ == nullptr) return closed();
  State& state = *state_;
  const Plan& plan = state.plan;
  if (Error error = check_values("w", w.size(), plan.out, plan.in)) return error;
  return state.write_weights([&](std::int64_t t, std::int64_t first, std::int64_t count) {
    HalfReport report;
    halves_from_floats_transposed(
        w.data() + plan.tile_begin(t) * plan.in, static_cast<std::size_t>(plan.tile_size(t)),
        static_cast<std::size_t>(plan.in), static_cast<std::size_t>(first),
        static_cast<std::size_t>(count), state.halves.data(), report);
  });
}

Error DynamicMatmul::write_weight_rows(std::span<const float> w,
                                       std::span<const std::int64_t> rows) {
  if (state_ == nullptr) return closed();
  State& state = *state_;
  const Plan& plan = state.plan;
  if (Error error = check_values("w", w.size(), plan.in, plan.out)) return error;
  if (Error error = state.check_written()) return error;
  for (const std::int64_t row : rows) {
    if (Error error = check_place("row", row, "w", plan.in)) return error;
  }
  for (const std::int64_t row : rows) {
    Error error = state.for_tiles([&](std::int64_t t) {
      const std::int64_t size = plan.tile_size(t);
      const std::span<const float> values(w.data() + row * plan.out + plan.tile_begin(t),
                                          static_cast<std::size_t>(size));
      const Region region{row, 1, plan.first_weight_column(), size};
      return state.with_tile(
          t, [&](auto& tile) { return tile.write_fp32(kWeightInput, values, region); });
    });
    state.weights_written = !error;
    if (error) return error;
  }
  return {};
}

Error DynamicMatmul::evaluate(std::span<const float> x, std::span<const float> w,
                              std::span<float> y) {
  if (state_ == nullptr) return closed();
  const Plan& plan = state_->plan;
  if (Error error = check_values("x", x.size(), plan.batch, plan.in)) return error;
  if (Error error = check_values("y", y.size(), plan.batch, plan.out)) return error;
  if (Error error = write_weights(w)) return error;
  return evaluate(x, y);
}

Error DynamicMatmul::evaluate(std::span<const float> x, std::span<float> y) {
  if (state_ == nullptr) return closed();
  State& state = *state_;
  const Plan& plan = state.plan;
  if (Error error = check_values("x", x.size(), plan.batch, plan.in)) return error;
  if (Error error = check_values("y", y.size(), plan.batch, plan.out)) return error;
  if (Error error = state.check_written()) return error;
  const std::span<std::uint16_t> halves(state.halves.data(), x.size());
  to_channel_first(x, plan.batch, halves);
  return state.evaluate(halves, y);
}

Error DynamicMatmul::evaluate_channel_first(std::span<const float> x) {
  if (state_ == nullptr) return closed();
  State& state = *state_;
  if (Error error = check_values("x", x.size(), state.plan.in, state.plan.batch)) return error;
  if (Error error = state.check_written()) return error;
  Error error = state.write_activations([&](auto& tile, int input, const Region& region) {
    return tile.write_fp32(input, x, region);
  });
  return error ? error : state.evaluate();
}

Error DynamicMatmul::evaluate_channel_first(std::span<const float> x, std::span<float> y) {
  if (state_ == nullptr) return closed();
  if (Error error = check_values("y", y.size(), state_->plan.out, state_->plan.batch)) return error;
  Error error = evaluate_channel_first(x);
  return error ? error : read_channel_first(y);
}

Error DynamicMatmul::evaluate_one_hot(std::span<const std::int64_t> columns, std::span<float> y) {
  if (state_ == nullptr) return closed();
  State& state = *state_;
  const Plan& plan = state.plan;
  if (Error error = check_values("columns", columns.size(), plan.batch, 1)) return error;
  if (Error error = check_values("y", y.size(), plan.batch, plan.out)) return error;
  if (Error error = state.check_written()) return error;
  for (const std::int64_t column : columns) {
    if (Error error = check_place("column", column, "x", plan.in)) return error;
  }
  const std::span<std::uint16_t> halves(state.halves.data(),
                                        static_cast<std::size_t>(plan.in * plan.batch));
  std::ranges::fill(halves, std::uint16_t{0});
  for (std::size_t b = 0; b < columns.size(); ++b) {
    halves[static_cast<std::size_t>(columns[b]) * columns.size() + b] = kHalfOne;
  }
  return state.evaluate(halves, y);
}

Error DynamicMatmul::read(std::span<float> y) const {
  if (state_ == nullptr) return closed();
  Error error = check_values("y", y.size(), state_->plan.batch, state_->plan.out);
  return error ? error : state_->read(y);
}

Error DynamicMatmul::read_channel_first(std::span<float> y) const {
  if (state_ == nullptr) return closed();
  const Plan& plan = state_->plan;
  if (Error error = check_values("y", y.size(), plan.out, plan.batch)) return error;
  return state_->for_tiles([&](std::int64_t t) {
    const std::int64_t size = plan.tile_size(t);
    const std::span<float> values(y.data() + plan.tile_begin(t) * plan.batch,
                                  static_cast<std::size_t>(size * plan.batch));
    return state_->with_tile(t, [&](auto& tile) {
      return tile.read_fp32(0, values, {0, size, 0, plan.batch});
    });
  });
}

Error DynamicMatmul::copy_output(Model& target, Port input, std::int64_t first_channel) const {
  if (state_ == nullptr) return closed();
  const Plan& plan = state_->plan;
  const Result<Surface> surface = target.input_surface(input);
  if (!surface) return surface.error();
  const std::int64_t index = input.by_index() ? input.index() : target.find_input(input.name());
  const TensorLayout& layout = target.inputs()[static_cast<std::size_t>(index)];
  if (first_channel < 0 || plan.out > layout.channels - first_channel) {
    return {ErrorKind::argument,
            fmt::format("y has {} channels, which do not lie in the {} of input '{}' from channel "
                        "{} on",
                        plan.out, layout.channels, printable(layout.name), first_channel)};
  }
  return state_->for_tiles([&](std::int64_t t) {
    const Result<Surface> from =
        state_->with_tile(t, [](auto& tile) { return tile.output_surface(0); });
    if (!from) return from.error();
    return copy_channels(*from, state_->model.outputs()[0], *surface, layout,
                         {0, first_channel + plan.tile_begin(t), plan.tile_size(t)});
  });
}

}  // namespace milgen::ane
