// Elementwise arithmetic of floats: short programs ("tapes") that run over tensors block by block.
//
// A tape is straight-line code over registers. Each instruction is one step of an op and works on
// fp32 values; where it says so its result is rounded to fp16 before anything reads it. A block of
// kTapeBlock elements goes through the whole tape before the next one is loaded, so that what
// stands between the first and the last instruction never leaves the cache: a chain of ops costs
// one pass over memory. One op is a tape of one or a few instructions; fusing ops is appending
// their instructions. As every instruction rounds as the op itself would, a fused chain has the
// bits of the separate ops.
//
// Instructions use no fused multiply-add and no approximate instruction, and a value does not
// depend on its place in the block: results are the same for every vector width, machine and thread
// count. NaNs leave a tape as the one quiet NaN with a positive sign and no payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "milgen/dtype.h"
#include "milgen/shape.h"
#include "support/thread_pool.h"

namespace milgen::cpu {

/// Elements that go through a tape at a time.
inline constexpr std::size_t kTapeBlock = 1024;
/// Registers that may hold something needed at any one point of a tape.
inline constexpr std::size_t kMaxLiveRegisters = 16;
inline constexpr std::size_t kMaxTapeConstants = 32;

/// Steps. x, y, z are the operands, alpha and beta the instruction's constants; names and formulas
/// as in MIL. Behind functions stand the largest error met, in units of the last place of fp32, and
/// how many of all 65536 halves come out of Rounding::fp16 as another half than the true result
/// rounded once (pointwise_test; with constants, for those that it takes). What has no numbers is
/// one operation of IEEE 754, or a few of them as the formula shows.
enum class PointOp : std::uint8_t {
  // One operand.
  abs,
  acos,   ///< 0.5, 0: computed in double and rounded once, as all that have these numbers
  asin,   ///< 0.5, 0
  atan,   ///< 0.5, 0
  atanh,  ///< 0.5, 0
  ceil,
  clamped_relu,  ///< min(x >= 0 ? x : alpha * x, beta)
  clip,          ///< min(max(x, alpha), beta)
  cos,           ///< 0.5, 0
  cosh,          ///< 0.5, 0
  elu,           ///< x >= 0 ? x : alpha * (exp(x) - 1); 0.9, 0
  erf,           ///< 1.3, 2
  exp,           ///< 0.95, 2
  exp2,          ///< 0.93, 1
  floor,
  gelu,          ///< x * (1 + erf(x / sqrt(2))) / 2; 4, 3
  gelu_sigmoid,  ///< x * sigmoid(1.702 x); 2.7, 2
  gelu_tanh,     ///< x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2; 2.9, 2
  inverse,       ///< 1 / (x + alpha)
  leaky_relu,    ///< x >= 0 ? x : alpha * x
  linear,        ///< alpha * x + beta
  log,           ///< log(x + alpha); 0.8, 1
  logical_not,   ///< x == 0 ? 1 : 0
  negate,
  pow_constant,  ///< x to the power of alpha; the bits of pow
  relu,
  relu6,
  round,         ///< ties to the even integer
  rsqrt,         ///< 1 / sqrt(x + alpha); 1.5, 0
  scaled_tanh,   ///< alpha * tanh(beta * x); 3, 6
  sigmoid,       ///< 2.2, 6
  sigmoid_hard,  ///< min(max(alpha * x + beta, 0), 1)
  sign,          ///< 0 and NaN are themselves
  silu,          ///< x * sigmoid(x); NaN for -inf, as the product is; 2.9, 3
  sin,           ///< 0.5, 0
  sinh,          ///< 0.5, 0
  softplus,      ///< log(1 + exp(x)); 1.6, 2
  softsign,      ///< x / (|x| + 1); 1.5, 0
  sqrt,
  square,
  tan,               ///< 0.5, 0
  tanh,              ///< 1.3, 0
  threshold,         ///< max(x, alpha)
  thresholded_relu,  ///< x >= alpha ? x : 0
  // Two. Comparisons and logical ops give 1 or 0; logical operands are true unless 0.
  add,
  equal,
  floor_div,  ///< x / y in double, rounded down
  greater,
  greater_equal,
  less,
  less_equal,
  logical_and,
  logical_or,
  logical_xor,
  maximum,  ///< NaN if either is; y if they are equal
  minimum,  ///< likewise
  mod,      ///< has the sign of y; exact where the signs of x and y agree
  mul,
  not_equal,
  pow,    ///< special values as in C, exact for y = 2; 1.2, 0
  prelu,  ///< x >= 0 ? x : y * x
  real_div,
  sub,
  // Three.
  select,  ///< x != 0 ? y : z
};

int operand_count(PointOp op);

/// How an op is computed.
enum class PointCost : std::uint8_t {
  few_instructions,
  vector_function,
  in_double,  ///< element by element, and rounded from there
};
PointCost point_cost(PointOp op);

/// The dtype that an instruction's result is rounded to. fp16 values are kept as the fp32 numbers
/// that they are.
enum class Rounding : std::uint8_t { fp32, fp16 };

/// A register of a tape: written once, by what made it.
struct TapeRegister {
  std::uint16_t index = 0;
};

/// An instruction on slots of memory: what a finished tape consists of. Slots from
/// kMaxLiveRegisters on are constants.
struct TapeStep {
  PointOp op;
  Rounding rounding;
  std::uint8_t operands[3];
  std::uint8_t result;
  float alpha;
  float beta;
  /// Operand x is the result of the step before, which nothing else reads: it can stay in vector
  /// registers.
  bool continues;
};

class Tape {
 public:
  /// The next input. fp16, fp32 or boolean; booleans are 0 or 1 in their register.
  TapeRegister input(DType dtype);
  /// The same value for every element.
  TapeRegister constant(float value);
  TapeRegister apply(PointOp op, Rounding rounding, TapeRegister x, float alpha = 0,
                     float beta = 0);
  TapeRegister apply(PointOp op, Rounding rounding, TapeRegister x, TapeRegister y);
  TapeRegister apply(PointOp op, Rounding rounding, TapeRegister x, TapeRegister y, TapeRegister z);
  /// Makes a register the next output: fp16 (rounded to nearest even), fp32, or boolean (whether it
  /// is not 0).
  void output(TapeRegister value, DType dtype);

  /// To be called once after the last output: gives registers their memory and drops roundings that
  /// change nothing. False when more than kMaxLiveRegisters would be needed at once, or there are
  /// more than kMaxTapeConstants; the tape cannot be run then.
  bool finish();

  std::span<const DType> inputs() const { return input_dtypes_; }
  std::size_t output_count() const { return outputs_.size(); }
  std::size_t instruction_count() const { return code_.size(); }

 private:
  friend struct TapeRun;

  struct Instruction {
    PointOp op;
    Rounding rounding;
    std::uint16_t operands[3];
    float alpha;
    float beta;
  };
  /// What wrote a register, and what is known of it.
  struct Register {
    enum class Origin : std::uint8_t { input, constant, instruction } origin;
    bool is_half;              ///< every value it can have is an fp16
    std::uint16_t index;       ///< among inputs, constants or instructions
    std::uint16_t uses = 0;    ///< by instructions
    std::size_t last_use = 0;  ///< the instruction, or their number where an output reads it
    std::uint8_t slot = 0;
  };
  struct Output {
    std::uint16_t reg;
    DType dtype;
  };

  TapeRegister add_register(Register::Origin origin, std::size_t index, bool is_half);
  TapeRegister add_instruction(const Instruction& instruction);
  bool keeps_halves(const Instruction& instruction) const;
  void find_uses();
  void drop_roundings();
  bool assign_slots();
  TapeStep step_of(std::size_t instruction) const;
  void join_steps();

  std::vector<DType> input_dtypes_;
  std::vector<float> constants_;
  std::vector<Instruction> code_;
  std::vector<Output> outputs_;
  std::vector<Register> registers_;
  std::vector<TapeStep> steps_;  // one an instruction, made by finish()
};

/// Memory of an input, and how far apart its elements are along each dim of the output: one stride
/// a dim, counted in elements, 0 along dims that it is repeated along. Any strides, also negative.
struct TapeInput {
  const void* data = nullptr;
  Ints strides;
};

/// The strides of a dense tensor of shape `shape` that broadcasts to `target` as MIL has it: dims
/// are aligned at the last one, those of size 1 or missing are repeated.
Ints broadcast_strides(std::span<const std::int64_t> shape, std::span<const std::int64_t> target);

/// Runs a finished tape over a tensor of the given shape. `inputs` are in the order of Tape::input,
/// `outputs` of Tape::output: dense memory for all elements each. An output may be the memory of an
/// input of the same dtype that is dense as well; any other overlap is not allowed.
void run_tape(const Tape& tape, std::span<const TapeInput> inputs, std::span<void* const> outputs,
              std::span<const std::int64_t> shape, detail::ThreadPool& pool);

/// The same over `count` elements of dense inputs.
void run_tape(const Tape& tape, std::span<const void* const> inputs, std::span<void* const> outputs,
              std::int64_t count, detail::ThreadPool& pool);

}  // namespace milgen::cpu
