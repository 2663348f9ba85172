// x * w^T, the product of a linear layer, with programs kept for the next call of the same kind.
//
//     ane::LinearExecutor linear(engine);  // weights are a part of the program
//     auto stats = linear.run({batch, in, out}, x, w, y);
//     if (!stats) return fail(stats.error().text());
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/ane/matmul.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

/// x is [batch, in], y is [batch, out].
struct LinearShape {
  std::int64_t batch = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  friend auto operator<=>(const LinearShape&, const LinearShape&) = default;
};

struct LinearOptions {
  /// Of the programs: what DynamicMatmulOptions::model says of its own.
  ModelOptions model = {};
  /// When more programs than this are kept, those that were not used for the longest time are
  /// closed, once nobody uses them any more. At least 1. The compile budget does not grow by that:
  /// a limit below the number of layers compiles in every round.
  std::size_t max_kernels = 32;
};

struct LinearStats {
  std::uint64_t compiles = 0;    ///< programs made, a cache folder's too
  std::uint64_t cache_hits = 0;  ///< calls that found theirs
  std::size_t kernels = 0;       ///< kept now
};

/// Of one call.
struct LinearCallStats {
  bool compiled = false;          ///< the program was made for it
  std::uint64_t hardware_ns = 0;  ///< as DynamicMatmul::hardware_ns()
};

// Any thread may call anything. Calls for one program exclude each other, calls for different ones
// do not; a program is made once however many threads ask for it. No call can be cancelled: each is
// bounded by the timeouts of the model's options, and after a timeout the program is made anew.
// Floats are rounded to fp16, to nearest, ties to even. Errors: `argument` for sizes that do not
// fit, with both, and those of Model and DynamicMatmul; `closed` after close().

/// Weights are constants of the program: one program for each matrix and shape. As 1x1 convolutions
/// (PF-004 in ane_constraints).
class LinearExecutor {
 public:
  explicit LinearExecutor(Engine engine, LinearOptions options = {});
  LinearExecutor(LinearExecutor&&) noexcept;
  LinearExecutor& operator=(LinearExecutor&&) noexcept;
  ~LinearExecutor();

  /// y = x * w^T, w [out, in]. All of w is hashed to find the program: keep an executor for layers
  /// whose weights stay.
  Result<LinearCallStats> run(const LinearShape& shape, std::span<const float> x,
                              std::span<const float> w, std::span<float> y);
  /// Makes the program, if there is none.
  Error prepare(const LinearShape& shape, std::span<const float> w);
  LinearStats stats() const;
  /// Lets go of all programs.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct DynamicLinearOptions {
  DynamicMatmulOptions matmul = {};
  std::size_t max_kernels = 32;  ///< as LinearOptions::max_kernels; weights go with their program
};

/// Weights come at run time: one program for each shape (DynamicMatmul).
class DynamicLinearExecutor {
 public:
  explicit DynamicLinearExecutor(Engine engine, DynamicLinearOptions options = {});
  DynamicLinearExecutor(DynamicLinearExecutor&&) noexcept;
  DynamicLinearExecutor& operator=(DynamicLinearExecutor&&) noexcept;
  ~DynamicLinearExecutor();

  /// y = x * w^T, w [out, in].
  Result<LinearCallStats> run(const LinearShape& shape, std::span<const float> x,
                              std::span<const float> w, std::span<float> y);
  /// y = x * w, w [in, out] (tmc's IO layout): nothing is transposed but x and y.
  Result<LinearCallStats> run_io(const LinearShape& shape, std::span<const float> x,
                                 std::span<const float> w, std::span<float> y);
  /// The last two with the weights that the shape's program has; `argument` when it has none, which
  /// is also so when it was closed since (max_kernels).
  Result<LinearCallStats> run_written(const LinearShape& shape, std::span<const float> x,
                                      std::span<float> y);
  Result<LinearCallStats> run_one_hot(const LinearShape& shape,
                                      std::span<const std::int64_t> columns, std::span<float> y);

  /// Makes the program, if there is none.
  Error prepare(const LinearShape& shape);
  /// As DynamicMatmul's, w [in, out].
  Error write_weights(const LinearShape& shape, std::span<const float> w);
  Error write_weight_rows(const LinearShape& shape, std::span<const float> w,
                          std::span<const std::int64_t> rows);
  LinearStats stats() const;
  /// Lets go of all programs.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace milgen::ane
