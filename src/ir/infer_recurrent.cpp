// Inference: rnn, gru and lstm over x of shape [steps, batch, features].
#include <cstddef>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// One direction's weights: [gates * H, features] and [gates * H, H].
bool need_weights(InferContext& ctx, std::string_view weight_ih, std::string_view weight_hh,
                  int gates, std::int64_t features, std::int64_t hidden) {
  std::int64_t rows = 0;
  return multiply_dims(ctx, weight_hh, gates, hidden, rows) &&
         need_shape(ctx, rule<"recurrent.weight">, weight_ih, Shape{rows, features}) &&
         need_shape(ctx, rule<"recurrent.weight">, weight_hh, Shape{rows, hidden});
}

/// A vector of `gates` times H elements, where it was given.
bool need_vector(InferContext& ctx, std::string_view param, int gates, std::int64_t hidden) {
  std::int64_t length = 0;
  return multiply_dims(ctx, param, gates, hidden, length) &&
         need_shape(ctx, rule<"recurrent.bias">, param, Shape{length});
}

bool need_ranks(InferContext& ctx) {
  return need_rank(ctx, rule<"recurrent.rank">, "x", 3) &&
         need_rank(ctx, rule<"recurrent.rank">, "weight_ih", 2) &&
         need_rank(ctx, rule<"recurrent.rank">, "weight_hh", 2);
}

/// The outputs of all steps or of the last one, then the last state `states` times.
void add_results(InferContext& ctx, std::int64_t width, int states) {
  const TypeView x = ctx.type("x");
  const std::int64_t steps = ctx.boolean("output_sequence") ? x.dim(0) : 1;
  ctx.result(x.dtype, Shape{steps, x.dim(1), width});
  for (int i = 0; i < states; ++i) ctx.result(x.dtype, Shape{x.dim(1), width});
}

/// rnn and gru, which run one way only.
void infer_one_way(InferContext& ctx, int gates, std::int64_t hidden) {
  const TypeView x = ctx.type("x");
  if (!need_weights(ctx, "weight_ih", "weight_hh", gates, x.dim(2), hidden) ||
      !need_vector(ctx, "bias", gates, hidden) || !need_vector(ctx, "input_bias", gates, hidden) ||
      !need_shape(ctx, rule<"recurrent.state">, "initial_h", Shape{x.dim(1), hidden})) {
    return;
  }
  add_results(ctx, hidden, 1);
}

}  // namespace

void infer_rnn(InferContext& ctx) {
  if (need_ranks(ctx)) infer_one_way(ctx, 1, ctx.type("weight_ih").dim(0));
}

void infer_gru(InferContext& ctx) {
  if (need_ranks(ctx)) infer_one_way(ctx, 3, ctx.type("weight_hh").dim(1));
}

void infer_lstm(InferContext& ctx) {
  constexpr int kGates = 4;
  constexpr int kPeepholes = 3;  // the cell gate looks at no cell state
  if (!need_ranks(ctx)) return;
  const TypeView x = ctx.type("x");
  const std::int64_t hidden = ctx.type("weight_hh").dim(1);
  if (!need_weights(ctx, "weight_ih", "weight_hh", kGates, x.dim(2), hidden) ||
      !need_vector(ctx, "bias", kGates, hidden) ||
      !need_vector(ctx, "peephole", kPeepholes, hidden)) {
    return;
  }
  std::int64_t width = hidden;
  if (ctx.text("direction", "forward") == "bidirectional") {
    for (const std::string_view param : {"weight_ih_back", "weight_hh_back"}) {
      if (ctx.has(param)) continue;
      ctx.error(rule<"lstm.back">, "direction",
                fmt::format("direction is bidirectional but {} is not given", param));
      return;
    }
    if (!need_weights(ctx, "weight_ih_back", "weight_hh_back", kGates, x.dim(2), hidden) ||
        !need_vector(ctx, "bias_back", kGates, hidden) ||
        !need_vector(ctx, "peephole_back", kPeepholes, hidden) ||
        !multiply_dims(ctx, "weight_hh", 2, hidden, width)) {
      return;
    }
  }
  const Shape state{x.dim(1), width};
  if (!need_shape(ctx, rule<"recurrent.state">, "initial_h", state) ||
      !need_shape(ctx, rule<"recurrent.state">, "initial_c", state)) {
    return;
  }
  add_results(ctx, width, 2);
}

}  // namespace milgen
