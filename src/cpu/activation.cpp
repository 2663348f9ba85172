#include "cpu/kernel_util.h"
#include "cpu/kernels_activation.h"
#include "cpu/pointwise.h"
#include "cpu/pointwise_ops.h"
#include "cpu/rows.h"

namespace milgen::cpu {
namespace {

/// The strides of a vector with one element for each channel (dim 1) of x.
Ints channel_strides(std::size_t rank) {
  Ints strides(rank, 0);
  strides[1] = 1;
  return strides;
}

}  // namespace

bool run_prelu(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& alpha = run.in("alpha");
  const TensorView& out = run.out();
  Tape tape;
  const TapeRegister value = tape.input(x.dtype);
  const TapeRegister slope = tape.input(alpha.dtype);
  tape.output(tape.apply(PointOp::prelu, rounding_of(out.dtype), value, slope), out.dtype);
  tape.finish();
  const TapeInput inputs[] = {{x.data, broadcast_strides(x.shape, out.shape)},
                              {alpha.data, channel_strides(x.rank())}};
  void* const outputs[] = {out.data};
  run_tape(tape, inputs, outputs, out.shape, run.pool());
  return true;
}

bool run_softplus_parametric(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& alpha = run.in("alpha");
  const TensorView& beta = run.in("beta");
  const TensorView& out = run.out();
  Tape tape;
  const TapeRegister value = tape.input(x.dtype);
  const TapeRegister factor = tape.input(alpha.dtype);
  const TapeRegister slope = tape.input(beta.dtype);
  const TapeRegister scaled = tape.apply(PointOp::mul, Rounding::fp32, value, slope);
  const TapeRegister softplus = tape.apply(PointOp::softplus, Rounding::fp32, scaled);
  tape.output(tape.apply(PointOp::mul, rounding_of(out.dtype), softplus, factor), out.dtype);
  tape.finish();
  const Ints channels = channel_strides(x.rank());
  const TapeInput inputs[] = {{x.data, broadcast_strides(x.shape, out.shape)},
                              {alpha.data, channels},
                              {beta.data, channels}};
  void* const outputs[] = {out.data};
  run_tape(tape, inputs, outputs, out.shape, run.pool());
  return true;
}

bool run_softmax(OpRun& run) {
  const TensorView& x = run.in("x");
  const std::size_t axis = axis_from_front(run.integer("axis"), x.rank());
  softmax_rows(x.dtype, x.data, run.out().data, row_shape(x.shape, axis, axis), run.mode(),
               run.pool());
  return true;
}

}  // namespace milgen::cpu
