// y = x * w with w at run time: one program for a shape, however often the weights change.
//
//     auto product = ane::DynamicMatmul::create(engine, batch, in, out);
//     if (!product) return fail(product.error().text());
//     if (auto error = product->write_weights(w)) return fail(error.text());
//     if (auto error = product->evaluate(x, y)) return fail(error.text());
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

/// Where the engine finds weights that come at run time.
enum class WeightPlacement : std::uint8_t {
  /// In an input of their own, `w`. Nothing has to be cut out of anything, and weights and
  /// activations are written apart: 76.9 ms against 110 ms a training step in the one measurement
  /// of both (function parameters, maderix pull request 22).
  parameter,
  /// Beside the activations in the columns of the one input `xw`, as tmc and maderix do it: for
  /// systems that bind but one input rightly.
  packed,
};

struct DynamicMatmulOptions {
  /// Of it count qos, options, compiler_options, perf_stats_mask, route, cache, the timeouts and
  /// pauses, and dump_folder.
  ModelOptions model = {};
  /// At most so many columns of w for each evaluation, rounded up to 32; 0: as many as the engine
  /// takes. All tiles are evaluated by one compiled program, each with surfaces of its own.
  std::int64_t tile_out = 0;
  WeightPlacement weights = WeightPlacement::parameter;
};

/// y [batch, out] = x [batch, in] * w [in, out] in fp16, floats in and out (rounded to nearest,
/// ties to even). "Channel-first" are x as [in, batch] and y as [out, batch], as they lie in the
/// surfaces [1, in, 1, batch] and [1, out, 1, batch] that the kernels of this field use; the other
/// calls transpose on the host.
///
/// For one thread at a time. Calls with spans of other sizes, or of one that was closed, change
/// nothing. Once it is made, calls allocate nothing unless they fail.
class DynamicMatmul {
 public:
  DynamicMatmul() = default;  ///< none: every call gives ErrorKind::closed
  DynamicMatmul(DynamicMatmul&&) noexcept;
  DynamicMatmul& operator=(DynamicMatmul&& other) noexcept;
  ~DynamicMatmul();

  /// Errors: `argument` for sizes below 1, sizes that the engine does not take (batch and in up to
  /// 16,384, fewer of batch when packed; IO-014 and MM-003 in ane_constraints) and more than 127
  /// tiles; those of Model::compile() and RequestPool::create().
  static Result<DynamicMatmul> create(const Engine& engine, std::int64_t batch, std::int64_t in,
                                      std::int64_t out, const DynamicMatmulOptions& options = {});

  explicit operator bool() const { return state_ != nullptr; }
  /// Unloads the program; a second call does nothing.
  Error close();

  std::int64_t batch() const;
  std::int64_t in() const;
  std::int64_t out() const;
  /// How many evaluations of the engine one evaluate() takes.
  int tiles() const;
  /// What bringing the program up took: one compilation, none when the cache had it.
  CompileStats stats() const;

  /// Weights stay until they are written again. After an error they count as not written.
  Error write_weights(std::span<const float> w);
  /// The same of w as [out, in].
  Error write_weights_transposed(std::span<const float> w);
  /// Writes these rows of w [in, out] alone; the others stay. `argument` for a row that there is
  /// none of (then nothing is written), and before any weights were.
  Error write_weight_rows(std::span<const float> w, std::span<const std::int64_t> rows);

  /// write_weights(w) and evaluate(x, y).
  Error evaluate(std::span<const float> x, std::span<const float> w, std::span<float> y);
  /// This and the following: with the weights that were written; `argument` without any.
  Error evaluate(std::span<const float> x, std::span<float> y);
  /// Leaves y in its surfaces, for read(), read_channel_first() and copy_output().
  Error evaluate_channel_first(std::span<const float> x);
  Error evaluate_channel_first(std::span<const float> x, std::span<float> y);
  /// Row b of x is 1 at `columns[b]` and 0 elsewhere: y's row b is w's row columns[b], as the
  /// engine rounds it. `argument` for a column that there is none of.
  Error evaluate_one_hot(std::span<const std::int64_t> columns, std::span<float> y);

  /// y of the last evaluation, zeros before the first.
  Error read(std::span<float> y) const;
  Error read_channel_first(std::span<float> y) const;
  /// y of the last evaluation as channels [first_channel, first_channel + out) of an input of
  /// another model, surface to surface. The input is fp16 [1, channels, 1, columns()] wide.
  Error copy_output(Model& target, Port input, std::int64_t first_channel = 0) const;
  /// How wide the program's surfaces of x and y are: batch, rounded up to 32, so that rows have no
  /// padding of the engine's. Columns from batch on are 0.
  std::int64_t columns() const;

  /// What the engine measured for the last evaluation, all tiles together, in ns; 0 when it did not
  /// (ModelOptions::perf_stats_mask).
  std::uint64_t hardware_ns() const;

 private:
  struct State;
  explicit DynamicMatmul(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace milgen::ane
