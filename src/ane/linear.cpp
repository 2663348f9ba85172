#include "milgen/ane/linear.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "ane/channel_first.h"
#include "ane/kernel_cache.h"
#include "milgen/ane/request_pool.h"
#include "milgen/kernel.h"
#include "milgen/layout.h"
#include "milgen/ops.h"
#include "milgen/print.h"
#include "milgen/weights.h"
#include "support/hash.h"

namespace milgen::ane {
namespace {

/// The most channels of a tensor (SH-003 in ane_constraints).
constexpr std::int64_t kMostChannels = 65'536;
/// Of a product in tiles.
constexpr std::int64_t kMostTiled = kMostPooledRequests * kMostColumns;

// What does not fit is found before a program is made for it.

Error check_shape(const LinearShape& shape, std::int64_t most_out) {
  if (Error error = check_dim("batch", shape.batch, kMostColumns)) return error;
  if (Error error = check_dim("in", shape.in, kMostChannels)) return error;
  return check_dim("out", shape.out, most_out);
}

/// For weights as [out, in].
Error check_baked(const LinearShape& shape, std::span<const float> w) {
  Error error = check_shape(shape, kMostChannels);
  return error ? error : check_values("w", w.size(), shape.out, shape.in);
}

/// For weights as [in, out].
Error check_io(const LinearShape& shape, std::span<const float> w) {
  Error error = check_shape(shape, kMostTiled);
  return error ? error : check_values("w", w.size(), shape.in, shape.out);
}

/// Of a shape that was checked.
Error check_ends(const LinearShape& shape, std::span<const float> x, std::span<float> y) {
  Error error = check_values("x", x.size(), shape.batch, shape.in);
  return error ? error : check_values("y", y.size(), shape.batch, shape.out);
}

/// y = conv(x, w), a 1x1 kernel: the product of a linear layer where batch is the width.
Program make_program(const LinearShape& shape) {
  Kernel kernel("linear");
  const auto x = kernel.input<fp16>("x", {1, shape.in, 1, aligned_columns(shape.batch)});
  const auto w = kernel.weight<fp16>("w", {shape.out, shape.in, 1, 1});
  kernel.output("y", conv(x, w));
  return kernel.finish();
}

/// The program's weight file.
Result<WeightFileBytes> make_weights(const WeightLayout& layout, const LinearShape& shape,
                                     std::span<const float> w) {
  auto bytes = std::make_shared<std::vector<std::byte>>(layout.files().front().size_bytes);
  Diagnostics diagnostics;
  if (!half_weight_file("w", w, static_cast<std::uint64_t>(shape.out),
                        static_cast<std::uint64_t>(shape.in), false, *bytes, diagnostics)) {
    return Error(ErrorKind::weights, diagnostics.all().front().message);
  }
  return WeightFileBytes{std::string(layout.blob_path(0, 0)), std::move(bytes)};
}

/// A program with its weights, and memory for one call.
struct BakedLinear {
  LinearShape shape;
  Model model;
  std::vector<std::uint16_t> halves;
  std::vector<float> floats;

  static Result<BakedLinear> make(const Engine& engine, const ModelOptions& options,
                                  const LinearShape& shape, std::span<const float> w);
  Error run(std::span<const float> x, std::span<float> y);
};

Result<BakedLinear> BakedLinear::make(const Engine& engine, const ModelOptions& options,
                                      const LinearShape& shape, std::span<const float> w) {
  const Program program = make_program(shape);
  Diagnostics diagnostics;
  WeightLayout layout;
  if (!layout.plan({&program, 1}, {}, diagnostics)) {
    return Error(ErrorKind::weights, diagnostics.all().front().message);
  }
  Result<WeightFileBytes> weights = make_weights(layout, shape, w);
  if (!weights) return weights.error();
  ModelOptions own = options;
  own.function.clear();
  own.weights = {*std::move(weights)};
  own.weight_file.clear();
  Result<Model> model =
      Model::compile(engine, print_mil(program, layout), "linear", own, diagnostics);
  if (!model) return model.error();
  BakedLinear linear{shape, *std::move(model), {}, {}};
  linear.halves.resize(static_cast<std::size_t>(shape.batch * shape.in));
  linear.floats.resize(static_cast<std::size_t>(shape.batch * shape.out));
  return linear;
}

Error BakedLinear::run(std::span<const float> x, std::span<float> y) {
  to_channel_first(x, shape.batch, halves);
  Error error = model.write_fp16(0, halves, {0, shape.in, 0, shape.batch});
  if (!error) error = model.evaluate();
  if (!error) error = model.read_fp32(0, floats, {0, shape.out, 0, shape.batch});
  if (!error) from_channel_first(floats, shape.batch, y.data(), shape.out);
  return error;
}

/// A digest and not a hash: two matrices with one hash would give each other's results.
struct BakedKey {
  LinearShape shape;
  Sha256::Digest digest = {};
  friend auto operator<=>(const BakedKey&, const BakedKey&) = default;
};

BakedKey key_of(const LinearShape& shape, std::span<const float> w) {
  Sha256 hash;
  hash.update(std::as_bytes(w));
  return {shape, hash.finish()};
}

Error closed() { return {ErrorKind::closed, "the executor was moved from"}; }

}  // namespace

struct LinearExecutor::State {
  State(Engine the_engine, LinearOptions&& options)
      : engine(std::move(the_engine)),
        model(std::move(options.model)),
        cache(options.max_kernels) {}

  Engine engine;
  ModelOptions model;
  KernelCache<BakedKey, BakedLinear> cache;

  template <class Use>
  Result<LinearCallStats> call(const LinearShape& shape, std::span<const float> w, const Use& use) {
    const auto make = [&] { return BakedLinear::make(engine, model, shape, w); };
    return cache.call(key_of(shape, w), make, use);
  }
};

LinearExecutor::LinearExecutor(Engine engine, LinearOptions options)
    : state_(std::make_unique<State>(std::move(engine), std::move(options))) {}
LinearExecutor::LinearExecutor(LinearExecutor&&) noexcept = default;
LinearExecutor& LinearExecutor::operator=(LinearExecutor&&) noexcept = default;
LinearExecutor::~LinearExecutor() = default;

Result<LinearCallStats> LinearExecutor::run(const LinearShape& shape, std::span<const float> x,
                                            std::span<const float> w, std::span<float> y) {
  if (state_ == nullptr) return closed();
  if (Error error = check_baked(shape, w)) return error;
  if (Error error = check_ends(shape, x, y)) return error;
  return state_->call(shape, w, [&](BakedLinear& linear, LinearCallStats& stats) {
    Error error = linear.run(x, y);
    stats.hardware_ns = linear.model.hardware_ns();
    return error;
  });
}

Error LinearExecutor::prepare(const LinearShape& shape, std::span<const float> w) {
  if (state_ == nullptr) return closed();
  if (Error error = check_baked(shape, w)) return error;
  return state_->call(shape, w, [](BakedLinear&, LinearCallStats&) { return Error(); }).error();
}

LinearStats LinearExecutor::stats() const {
  return state_ == nullptr ? LinearStats() : state_->cache.stats();
}

void LinearExecutor::close() {
  if (state_ != nullptr) state_->cache.close();
}

struct DynamicLinearExecutor::State {
  State(Engine the_engine, DynamicLinearOptions&& options)
      : engine(std::move(the_engine)),
        matmul(std::move(options.matmul)),
        cache(options.max_kernels) {}

  Engine engine;
  DynamicMatmulOptions matmul;
  KernelCache<LinearShape, DynamicMatmul> cache;

  /// `use` takes the product; the call's time is what it measured.
  template <class Use>
  Result<LinearCallStats> call(const LinearShape& shape, const Use& use) {
    const auto make = [&] {
      return DynamicMatmul::create(engine, shape.batch, shape.in, shape.out, matmul);
    };
    return cache.call(shape, make, measured(use));
  }

  template <class Use>
  Result<LinearCallStats> call_kept(const LinearShape& shape, const Use& use) {
    return cache.call_kept(shape, measured(use), [&] {
      return Error(ErrorKind::argument,
                   fmt::format("no weights were written for batch {}, in {} and out {}, or they "
                               "went with their program",
                               shape.batch, shape.in, shape.out));
    });
  }

 private:
  template <class Use>
  static auto measured(const Use& use) {
    return [&use](DynamicMatmul& product, LinearCallStats& stats) {
      Error error = use(product);
      stats.hardware_ns = product.hardware_ns();
      return error;
    };
  }
};

DynamicLinearExecutor::DynamicLinearExecutor(Engine engine, DynamicLinearOptions options)
    : state_(std::make_unique<State>(std::move(engine), std::move(options))) {}
DynamicLinearExecutor::DynamicLinearExecutor(DynamicLinearExecutor&&) noexcept = default;
DynamicLinearExecutor& DynamicLinearExecutor::operator=(DynamicLinearExecutor&&) noexcept = default;
DynamicLinearExecutor::~DynamicLinearExecutor() = default;

Result<LinearCallStats> DynamicLinearExecutor::run(const LinearShape& shape,
                                                   std::span<const float> x,
                                                   std::span<const float> w, std::span<float> y) {
  if (state_ == nullptr) return closed();
  if (Error error = check_shape(shape, kMostTiled)) return error;
  if (Error error = check_values("w", w.size(), shape.out, shape.in)) return error;
  if (Error error = check_ends(shape, x, y)) return error;
  return state_->call(shape, [&](DynamicMatmul& product) {
    Error error = product.write_weights_transposed(w);
    return error ? error : product.evaluate(x, y);
  });
}

Result<LinearCallStats> DynamicLinearExecutor::run_io(const LinearShape& shape,
                                                      std::span<const float> x,
                                                      std::span<const float> w,
                                                      std::span<float> y) {
  if (state_ == nullptr) return closed();
  if (Error error = check_io(shape, w)) return error;
  if (Error error = check_ends(shape, x, y)) return error;
  return state_->call(shape, [&](DynamicMatmul& product) { return product.evaluate(x, w, y); });
}

Result<LinearCallStats> DynamicLinearExecutor::run_written(const LinearShape& shape,
                                                           std::span<const float> x,
                                                           std::span<float> y) {
  if (state_ == nullptr) return closed();
  return state_->call_kept(shape, [&](DynamicMatmul& product) { return product.evaluate(x, y); });
}

Result<LinearCallStats> DynamicLinearExecutor::run_one_hot(const LinearShape& shape,
                                                           std::span<const std::int64_t> columns,
                                                           std::span<float> y) {
  if (state_ == nullptr) return closed();
  return state_->call_kept(
      shape, [&](DynamicMatmul& product) { return product.evaluate_one_hot(columns, y); });
}

Error DynamicLinearExecutor::prepare(const LinearShape& shape) {
  if (state_ == nullptr) return closed();
  return state_->call(shape, [](DynamicMatmul&) { return Error(); }).error();
}

Error DynamicLinearExecutor::write_weights(const LinearShape& shape, std::span<const float> w) {
  if (state_ == nullptr) return closed();
  if (Error error = check_io(shape, w)) return error;
  return state_->call(shape, [&](DynamicMatmul& product) { return product.write_weights(w); })
      .error();
}

Error DynamicLinearExecutor::write_weight_rows(const LinearShape& shape, std::span<const float> w,
                                               std::span<const std::int64_t> rows) {
  if (state_ == nullptr) return closed();
  return state_
      ->call_kept(shape, [&](DynamicMatmul& product) { return product.write_weight_rows(w, rows); })
      .error();
}

LinearStats DynamicLinearExecutor::stats() const {
  return state_ == nullptr ? LinearStats() : state_->cache.stats();
}

void DynamicLinearExecutor::close() {
  if (state_ != nullptr) state_->cache.close();
}

}  // namespace milgen::ane
