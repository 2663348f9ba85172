#include "cpu/pointwise_ops.h"

#include <algorithm>
#include <iterator>

#include "support/half.h"

namespace milgen::cpu {
namespace {

constexpr PointRow kRows[] = {
    {OpCode::abs, PointOp::abs},
    {OpCode::acos, PointOp::acos},
    {OpCode::add, PointOp::add},
    {OpCode::asin, PointOp::asin},
    {OpCode::atan, PointOp::atan},
    {OpCode::atanh, PointOp::atanh},
    {OpCode::ceil, PointOp::ceil},
    {OpCode::clamped_relu, PointOp::clamped_relu, "alpha", "beta"},
    {OpCode::clip, PointOp::clip, "alpha", "beta"},
    {OpCode::cos, PointOp::cos},
    {OpCode::cosh, PointOp::cosh},
    {OpCode::elu, PointOp::elu, "alpha"},
    {OpCode::equal, PointOp::equal},
    {OpCode::erf, PointOp::erf},
    {OpCode::exp, PointOp::exp},
    {OpCode::exp2, PointOp::exp2},
    {OpCode::floor, PointOp::floor},
    {OpCode::floor_div, PointOp::floor_div},
    {OpCode::gelu, PointOp::gelu},
    {OpCode::greater, PointOp::greater},
    {OpCode::greater_equal, PointOp::greater_equal},
    {OpCode::inverse, PointOp::inverse, "epsilon"},
    {OpCode::leaky_relu, PointOp::leaky_relu, "alpha"},
    {OpCode::less, PointOp::less},
    {OpCode::less_equal, PointOp::less_equal},
    {OpCode::linear_activation, PointOp::linear, "alpha", "beta"},
    {OpCode::log, PointOp::log, "epsilon"},
    {OpCode::logical_and, PointOp::logical_and},
    {OpCode::logical_not, PointOp::logical_not},
    {OpCode::logical_or, PointOp::logical_or},
    {OpCode::logical_xor, PointOp::logical_xor},
    {OpCode::maximum, PointOp::maximum},
    {OpCode::minimum, PointOp::minimum},
    {OpCode::mod, PointOp::mod},
    {OpCode::mul, PointOp::mul},
    {OpCode::not_equal, PointOp::not_equal},
    {OpCode::pow, PointOp::pow},
    {OpCode::real_div, PointOp::real_div},
    {OpCode::relu, PointOp::relu},
    {OpCode::relu6, PointOp::relu6},
    {OpCode::round, PointOp::round},
    {OpCode::rsqrt, PointOp::rsqrt, "epsilon"},
    {OpCode::scaled_tanh, PointOp::scaled_tanh, "alpha", "beta"},
    {OpCode::sigmoid, PointOp::sigmoid},
    {OpCode::sigmoid_hard, PointOp::sigmoid_hard, "alpha", "beta"},
    {OpCode::sign, PointOp::sign},
    {OpCode::silu, PointOp::silu},
    {OpCode::sin, PointOp::sin},
    {OpCode::sinh, PointOp::sinh},
    {OpCode::softplus, PointOp::softplus},
    {OpCode::softsign, PointOp::softsign},
    {OpCode::sqrt, PointOp::sqrt},
    {OpCode::square, PointOp::square},
    {OpCode::sub, PointOp::sub},
    {OpCode::tan, PointOp::tan},
    {OpCode::tanh, PointOp::tanh},
    {OpCode::threshold, PointOp::threshold, "alpha"},
    {OpCode::thresholded_relu, PointOp::thresholded_relu, "alpha"},
};

constexpr bool is_before(const PointRow& row, OpCode code) { return row.code < code; }

static_assert(std::is_sorted(std::begin(kRows), std::end(kRows),
                             [](const PointRow& a, const PointRow& b) { return a.code < b.code; }),
              "point_row looks rows up by halving");

float constant(const OpRun& run, std::string_view param) {
  if (param.empty()) return 0;
  const double value = run.real(param);
  return run.has(param) ? static_cast<float>(value) : point_default(value, run.in("x").dtype);
}

void run_unary_tape(OpRun& run, PointOp op, float alpha, float beta) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  Tape tape;
  tape.output(tape.apply(op, rounding_of(out.dtype), tape.input(x.dtype), alpha, beta), out.dtype);
  tape.finish();
  const void* const inputs[] = {x.data};
  void* const outputs[] = {out.data};
  run_tape(tape, inputs, outputs, out.count, run.pool());
}

void run_binary_tape(OpRun& run, PointOp op) {
  const TensorView& x = run.in("x");
  const TensorView& y = run.in("y");
  const TensorView& out = run.out();
  Tape tape;
  const TapeRegister left = tape.input(x.dtype);
  const TapeRegister right = tape.input(y.dtype);
  tape.output(tape.apply(op, rounding_of(out.dtype), left, right), out.dtype);
  tape.finish();
  const TapeInput inputs[] = {{x.data, broadcast_strides(x.shape, out.shape)},
                              {y.data, broadcast_strides(y.shape, out.shape)}};
  void* const outputs[] = {out.data};
  run_tape(tape, inputs, outputs, out.shape, run.pool());
}

}  // namespace

const PointRow* point_row(OpCode code) {
  const auto* row = std::lower_bound(std::begin(kRows), std::end(kRows), code, is_before);
  return row != std::end(kRows) && row->code == code ? row : nullptr;
}

PointOp gelu_step(std::string_view mode) {
  if (mode == "TANH_APPROXIMATION") return PointOp::gelu_tanh;
  if (mode == "SIGMOID_APPROXIMATION") return PointOp::gelu_sigmoid;
  return PointOp::gelu;
}

Rounding rounding_of(DType dtype) { return dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32; }

float point_default(double value, DType x) {
  if (x == DType::fp16) return float_from_half(half_from_double(value));
  return static_cast<float>(value);
}

PointStep point_step(const OpRun& run) {
  const PointRow& row = *point_row(run.info().code);
  const PointOp op = row.code == OpCode::gelu ? gelu_step(run.text("mode")) : row.op;
  return {op, constant(run, row.alpha), constant(run, row.beta)};
}

bool run_pointwise(OpRun& run) {
  const PointStep step = point_step(run);
  if (operand_count(step.op) == 1) {
    run_unary_tape(run, step.op, step.alpha, step.beta);
  } else if (step.op == PointOp::pow && run.in("y").count == 1 &&
             run.out().count == run.in("x").count) {
    run_unary_tape(run, PointOp::pow_constant, static_cast<float>(real_at(run.in("y"), 0)), 0);
  } else {
    run_binary_tape(run, step.op);
  }
  return true;
}

}  // namespace milgen::cpu
