// rnn, gru and lstm over x [steps, batch, features]. What op_semantics says of them: gates stand in
// the order r, o, z (gru) and i, f, o, z (lstm); without reset_after the reset gate is applied
// before the product with weight_hh; clip bounds the cell state; the outputs of a reversed layer
// stand in the order in which they were computed, those of the reversed half of a bidirectional one
// in that of x.
//
// States, gates and everything in between are fp32; results are rounded once, where they are
// stored. A gate is (sum over the features + bias) + sum over the state, each sum in fp32 and in
// increasing index order, and then the products with peepholes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpu/kernel_util.h"
#include "cpu/kernels_recurrent.h"
#include "cpu/pointwise.h"
#include "cpu/product.h"
#include "support/text.h"

namespace milgen::cpu {
namespace {

/// What the gates of the steps that are multiplied at once may take.
constexpr std::int64_t kGateBytes = std::int64_t{1} << 20;

struct Sizes {
  std::int64_t steps;
  std::int64_t batch;
  std::int64_t features;
  std::int64_t hidden;
  std::int64_t gates;

  std::int64_t state() const { return batch * hidden; }
  std::int64_t step() const { return batch * gates * hidden; }  ///< elements of all gates
};

/// Copies `from` [rows, hidden] into the columns of a result from `column` on, rounded to its
/// dtype.
void store_state(const float* from, const Sizes& sizes, const TensorView& to,
                 std::int64_t first_row, std::int64_t column) {
  const std::int64_t width = to.shape.back();
  HalfReport ignored;
  for (std::int64_t row = 0; row < sizes.batch; ++row, from += sizes.hidden) {
    const std::int64_t at = (first_row + row) * width + column;
    if (to.dtype == DType::fp16) {
      halves_from_floats(from, to.as_mutable<std::uint16_t>() + at,
                         static_cast<std::size_t>(sizes.hidden), ignored);
    } else {
      std::copy_n(from, sizes.hidden, to.as_mutable<float>() + at);
    }
  }
}

void load_state(const TensorView& from, const Sizes& sizes, std::int64_t column, float* to) {
  const std::int64_t width = from.shape.back();
  for (std::int64_t row = 0; row < sizes.batch; ++row) {
    for (std::int64_t i = 0; i < sizes.hidden; ++i) {
      *to++ = static_cast<float>(real_at(from, row * width + column + i));
    }
  }
}

// --- Steps as tapes. ---

/// An activation by its name in any case; scaled_tanh is tanh and hard_sigmoid 0.2 x + 0.5
/// (op_semantics).
TapeRegister activate(Tape& tape, std::string_view name, TapeRegister x) {
  const std::string word = lower_case(name);
  if (word == "linear") return x;
  if (word == "sigmoid") return tape.apply(PointOp::sigmoid, Rounding::fp32, x);
  if (word == "hard_sigmoid")
    return tape.apply(PointOp::sigmoid_hard, Rounding::fp32, x, 0.2f, 0.5f);
  if (word == "relu") return tape.apply(PointOp::relu, Rounding::fp32, x);
  return tape.apply(PointOp::tanh, Rounding::fp32, x);
}

TapeRegister apply(Tape& tape, PointOp op, TapeRegister x, TapeRegister y) {
  return tape.apply(op, Rounding::fp32, x, y);
}

/// A tape over [batch, hidden] and the operands that it is run with: parts of rows of gates, whole
/// states, and vectors of one number for each hidden unit.
class StepTape {
 public:
  explicit StepTape(const Sizes& sizes)
      : shape_{sizes.batch, sizes.hidden}, gate_row_(sizes.gates * sizes.hidden) {}

  Tape& tape() { return tape_; }

  /// What the features give to a gate; run() says where that of the step stands.
  TapeRegister x_gate(std::int64_t gate) {
    x_gates_.push_back({inputs_.size(), gate});
    return add({nullptr, {gate_row_, 1}}, DType::fp32);
  }
  /// What the state gives to a gate.
  TapeRegister h_gate(const float* rows, std::int64_t gate) {
    return add({rows + gate * shape_[1], {gate_row_, 1}}, DType::fp32);
  }
  TapeRegister state(const float* values) { return add({values, {shape_[1], 1}}, DType::fp32); }
  TapeRegister vector(const TensorView& values, std::int64_t part) {
    const std::byte* data =
        values.data + static_cast<std::size_t>(part * shape_[1]) * element_bytes(values.dtype);
    return add({data, {0, 1}}, values.dtype);
  }
  void output(TapeRegister value, float* to) {
    tape_.output(value, DType::fp32);
    outputs_.push_back(to);
  }
  void finish() { tape_.finish(); }
  void run(const float* x_rows, ThreadPool& pool) {
    for (const XGate& x : x_gates_) inputs_[x.input].data = x_rows + x.gate * shape_[1];
    run_tape(tape_, inputs_, outputs_, shape_, pool);
  }

 private:
  TapeRegister add(TapeInput input, DType dtype) {
    inputs_.push_back(std::move(input));
    return tape_.input(dtype);
  }

  struct XGate {
    std::size_t input;
    std::int64_t gate;
  };

  Tape tape_;
  std::vector<TapeInput> inputs_;
  std::vector<XGate> x_gates_;
  std::vector<void*> outputs_;
  Shape shape_;
  std::int64_t gate_row_;
};

/// What the features and the state together give to a gate.
TapeRegister whole_gate(StepTape& step, const float* h_rows, std::int64_t gate) {
  const TapeRegister x = step.x_gate(gate);
  return apply(step.tape(), PointOp::add, x, step.h_gate(h_rows, gate));
}

StepTape rnn_step(OpRun& run, const Sizes& sizes, const float* h_rows, float* h) {
  StepTape step(sizes);
  const TapeRegister sum = whole_gate(step, h_rows, 0);
  step.output(activate(step.tape(), run.text("activation"), sum), h);
  step.finish();
  return step;
}

enum LstmGate : std::uint8_t { kInput, kForget, kOutput, kCell };

/// The gate, to which a cell state adds through its peephole, activated.
TapeRegister lstm_gate(OpRun& run, StepTape& step, const float* h_rows, LstmGate gate,
                       const TensorView* peephole, TapeRegister cell) {
  Tape& tape = step.tape();
  TapeRegister sum = whole_gate(step, h_rows, gate);
  if (peephole != nullptr) {
    const TapeRegister weight = step.vector(*peephole, gate);
    sum = apply(tape, PointOp::add, sum, apply(tape, PointOp::mul, weight, cell));
  }
  return activate(tape, run.text("recurrent_activation"), sum);
}

/// The output gate sees the new cell state, the others the old one.
StepTape lstm_step(OpRun& run, const Sizes& sizes, const float* h_rows, float* h, float* c,
                   const TensorView* peephole) {
  StepTape step(sizes);
  Tape& tape = step.tape();
  const TapeRegister old_cell = step.state(c);
  const TapeRegister input = lstm_gate(run, step, h_rows, kInput, peephole, old_cell);
  const TapeRegister candidate =
      activate(tape, run.text("cell_activation"), whole_gate(step, h_rows, kCell));
  const TapeRegister added = apply(tape, PointOp::mul, input, candidate);
  const TapeRegister forget = lstm_gate(run, step, h_rows, kForget, peephole, old_cell);
  TapeRegister cell = apply(tape, PointOp::add, apply(tape, PointOp::mul, forget, old_cell), added);
  if (run.has("clip")) {
    const auto bound = static_cast<float>(run.real("clip"));
    cell = tape.apply(PointOp::clip, Rounding::fp32, cell, -bound, bound);
  }
  const TapeRegister output = lstm_gate(run, step, h_rows, kOutput, peephole, cell);
  step.output(cell, c);
  step.output(apply(tape, PointOp::mul, output, activate(tape, run.text("activation"), cell)), h);
  step.finish();
  return step;
}

enum GruGate : std::uint8_t { kReset, kNew, kUpdate };

TapeRegister gru_gate(OpRun& run, StepTape& step, const float* h_rows, GruGate gate) {
  return activate(step.tape(), run.text("recurrent_activation"), whole_gate(step, h_rows, gate));
}

/// update * h + (1 - update) * candidate
void output_gru_state(StepTape& step, TapeRegister update, TapeRegister candidate, float* h) {
  Tape& tape = step.tape();
  const TapeRegister rest = apply(tape, PointOp::sub, tape.constant(1), update);
  const TapeRegister added = apply(tape, PointOp::mul, rest, candidate);
  const TapeRegister kept = apply(tape, PointOp::mul, update, step.state(h));
  step.output(apply(tape, PointOp::add, added, kept), h);
  step.finish();
}

/// Of a gru that resets after the product: the whole step.
StepTape gru_step_after(OpRun& run, const Sizes& sizes, const float* h_rows, float* h) {
  StepTape step(sizes);
  Tape& tape = step.tape();
  const TapeRegister reset = gru_gate(run, step, h_rows, kReset);
  TapeRegister state = step.h_gate(h_rows, kNew);
  if (run.has("bias")) {
    state = apply(tape, PointOp::add, state, step.vector(run.in("bias"), kNew));
  }
  const TapeRegister sum =
      apply(tape, PointOp::add, step.x_gate(kNew), apply(tape, PointOp::mul, reset, state));
  const TapeRegister candidate = activate(tape, run.text("activation"), sum);
  output_gru_state(step, gru_gate(run, step, h_rows, kUpdate), candidate, h);
  return step;
}

/// Of a gru that resets before it: reset * h, which is what is multiplied.
StepTape gru_reset(OpRun& run, const Sizes& sizes, const float* h_rows, const float* h,
                   float* reset_h) {
  StepTape step(sizes);
  const TapeRegister reset = gru_gate(run, step, h_rows, kReset);
  step.output(apply(step.tape(), PointOp::mul, reset, step.state(h)), reset_h);
  step.finish();
  return step;
}

/// ... and what follows on that.
StepTape gru_step_before(OpRun& run, const Sizes& sizes, const float* h_rows, float* h) {
  StepTape step(sizes);
  const TapeRegister sum = whole_gate(step, h_rows, kNew);
  const TapeRegister candidate = activate(step.tape(), run.text("activation"), sum);
  output_gru_state(step, gru_gate(run, step, h_rows, kUpdate), candidate, h);
  return step;
}

// --- Passes over the steps. ---

struct Direction {
  const TensorView& weight_ih;
  const TensorView& weight_hh;
  const TensorView* bias;
  const TensorView* peephole;
  bool is_reversed;
  bool keeps_x_order;   ///< outputs stand where their step of x does
  std::int64_t column;  ///< where its part of a row of states begins
};

const TensorView* given(OpRun& run, std::string_view param) {
  return run.has(param) ? &run.in(param) : nullptr;
}

Direction only_direction(OpRun& run) {
  return {run.in("weight_ih"),
          run.in("weight_hh"),
          given(run, "bias"),
          given(run, "peephole"),
          run.text("direction") == "reverse",
          false,
          0};
}

Direction direction_back(OpRun& run, std::int64_t hidden) {
  return {run.in("weight_ih_back"),
          run.in("weight_hh_back"),
          given(run, "bias_back"),
          given(run, "peephole_back"),
          true,
          true,
          hidden};
}

/// The memory and the products of a layer.
class Layer {
 public:
  Layer(OpRun& run, std::int64_t gates)
      : run_(run), x_(run.in("x")), is_sequence_(run.boolean("output_sequence")) {
    sizes_ = {.steps = x_.dim(0),
              .batch = x_.dim(1),
              .features = x_.dim(2),
              .hidden = run.in("weight_hh").dim(1),
              .gates = gates};
    chunk_ = std::clamp<std::int64_t>(kGateBytes / (static_cast<std::int64_t>(sizeof(float)) *
                                                    std::max<std::int64_t>(sizes_.step(), 1)),
                                      1, std::max<std::int64_t>(sizes_.steps, 1));
  }

  /// False when there is no memory, which has been reported.
  bool allocate() {
    const std::int64_t rows = sizes_.gates * sizes_.hidden;
    auto* next = run_.scratch_of<float>(rows + 3 * sizes_.state() + (1 + chunk_) * sizes_.step());
    if (next == nullptr) return false;
    for (auto [to, count] :
         {std::pair{&bias_, rows}, std::pair{&h_, sizes_.state()}, std::pair{&c_, sizes_.state()},
          std::pair{&reset_h_, sizes_.state()}, std::pair{&h_rows_, sizes_.step()}}) {
      *to = next;
      next += count;
    }
    x_rows_ = next;
    return true;
  }

  const Sizes& sizes() const { return sizes_; }
  float* h() const { return h_; }
  float* c() const { return c_; }
  float* reset_h() const { return reset_h_; }
  float* h_rows() const { return h_rows_; }

  /// Sets what is added to the features' part of the gates [first, last): the sum of vectors.
  void add_bias(const TensorView* bias, std::int64_t first_gate, std::int64_t last_gate) {
    if (bias == nullptr) return;
    for (std::int64_t i = first_gate * sizes_.hidden; i < last_gate * sizes_.hidden; ++i) {
      bias_[i] += static_cast<float>(real_at(*bias, i));
    }
  }
  void clear_bias() { std::fill_n(bias_, sizes_.gates * sizes_.hidden, 0.0f); }

  /// Calls step(rows of gates that the features give) for each step, which makes a new h, and
  /// stores what it makes. False when one of them failed, which has been reported.
  template <class Step>
  bool run_steps(const Direction& direction, const Step& step) {
    load_state(run_.in("initial_h"), sizes_, direction.column, h_);
    for (std::int64_t done = 0; done < sizes_.steps; ++done) {
      const std::int64_t at = direction.is_reversed ? sizes_.steps - 1 - done : done;
      if (done % chunk_ == 0 && !multiply_features(direction, done)) return false;
      if (!step(x_rows_ + (at - first_step_) * sizes_.step())) return false;
      if (!is_sequence_) continue;
      const std::int64_t place = direction.keeps_x_order ? at : done;
      store_state(h_, sizes_, run_.out(0), place * sizes_.batch, direction.column);
    }
    if (!is_sequence_) store_state(h_, sizes_, run_.out(0), 0, direction.column);
    store_state(h_, sizes_, run_.out(1), 0, direction.column);
    return true;
  }

  bool multiply(const detail::Product& product) {
    if (detail::multiply(product, run_.pool(), run_.workspace())) return true;
    return run_.fail(rule<"memory.limit">, "there is no memory for its products");
  }

 private:
  /// The features' part of the gates of the chunk of steps that begins when `done` are done.
  bool multiply_features(const Direction& direction, std::int64_t done) {
    const std::int64_t count = std::min(chunk_, sizes_.steps - done);
    first_step_ = direction.is_reversed ? sizes_.steps - done - count : done;
    const std::int64_t row = first_step_ * sizes_.batch * sizes_.features;
    const std::int64_t width = sizes_.gates * sizes_.hidden;
    return multiply(
        {.mode = run_.mode(),
         .rows = static_cast<std::size_t>(count * sizes_.batch),
         .columns = static_cast<std::size_t>(width),
         .inner = static_cast<std::size_t>(sizes_.features),
         .a = {.data = x_.data + static_cast<std::size_t>(row) * element_bytes(x_.dtype),
               .dtype = x_.dtype,
               .row_stride = sizes_.features},
         .b = {.data = direction.weight_ih.data,
               .dtype = direction.weight_ih.dtype,
               .row_stride = 1,
               .column_stride = sizes_.features},
         .c = {.data = x_rows_, .dtype = DType::fp32, .row_stride = width},
         .bias = {.data = bias_, .dtype = DType::fp32},
         .batch = {}});
  }

  OpRun& run_;
  const TensorView& x_;
  Sizes sizes_;
  bool is_sequence_;
  std::int64_t chunk_;
  std::int64_t first_step_ = 0;  ///< of x, in x_rows_
  float* bias_ = nullptr;        ///< [gates * hidden]
  float* h_ = nullptr;           ///< [batch, hidden]
  float* c_ = nullptr;           ///< [batch, hidden], lstm
  float* reset_h_ = nullptr;     ///< [batch, hidden], gru
  float* h_rows_ = nullptr;      ///< [batch, gates * hidden]
  float* x_rows_ = nullptr;      ///< [chunk, batch, gates * hidden]
};

/// The product of a state with the rows of weight_hh that belong to some of the gates.
class StateProduct {
 public:
  StateProduct(OpRun& run, Layer& layer, const TensorView& weight, std::int64_t first_gate,
               std::int64_t gate_count)
      : run_(run), layer_(layer), first_gate_(first_gate), gate_count_(gate_count) {
    const Sizes& sizes = layer.sizes();
    const std::int64_t begin = first_gate * sizes.hidden * sizes.hidden;
    weight_ = {.data = weight.data + static_cast<std::size_t>(begin) * element_bytes(weight.dtype),
               .dtype = weight.dtype,
               .row_stride = 1,
               .column_stride = sizes.hidden};
  }

  /// For many steps: arranges the weight once. False when there is no memory, which has been
  /// reported.
  bool pack() {
    const Sizes& sizes = layer_.sizes();
    if (!packed_.pack({.mode = run_.mode(),
                       .side = detail::ProductSide::b,
                       .matrix = weight_,
                       .rows = static_cast<std::size_t>(sizes.hidden),
                       .columns = static_cast<std::size_t>(gate_count_ * sizes.hidden),
                       .other = static_cast<std::size_t>(sizes.batch)},
                      run_.pool())) {
      return run_.fail(rule<"memory.limit">, "there is no memory for its weights");
    }
    weight_.packed = &packed_;
    return true;
  }

  bool multiply(const float* state) const {
    const Sizes& sizes = layer_.sizes();
    return layer_.multiply({.mode = run_.mode(),
                            .rows = static_cast<std::size_t>(sizes.batch),
                            .columns = static_cast<std::size_t>(gate_count_ * sizes.hidden),
                            .inner = static_cast<std::size_t>(sizes.hidden),
                            .a = {.data = state, .dtype = DType::fp32, .row_stride = sizes.hidden},
                            .b = weight_,
                            .c = {.data = layer_.h_rows() + first_gate_ * sizes.hidden,
                                  .dtype = DType::fp32,
                                  .row_stride = sizes.gates * sizes.hidden},
                            .bias = {},
                            .batch = {}});
  }

 private:
  OpRun& run_;
  Layer& layer_;
  std::int64_t first_gate_;
  std::int64_t gate_count_;
  detail::MatrixView weight_;
  detail::PackedMatrix packed_;
};

/// Steps that are one product and one tape each.
bool run_whole_steps(OpRun& run, Layer& layer, const Direction& direction,
                     const StateProduct& product, StepTape& step) {
  return layer.run_steps(direction, [&](const float* x_rows) {
    if (!product.multiply(layer.h())) return false;
    step.run(x_rows, run.pool());
    return true;
  });
}

bool run_lstm_direction(OpRun& run, Layer& layer, const Direction& direction) {
  const Sizes& sizes = layer.sizes();
  StateProduct product(run, layer, direction.weight_hh, 0, sizes.gates);
  if (!product.pack()) return false;
  layer.clear_bias();
  layer.add_bias(direction.bias, 0, sizes.gates);
  load_state(run.in("initial_c"), sizes, direction.column, layer.c());
  StepTape step = lstm_step(run, sizes, layer.h_rows(), layer.h(), layer.c(), direction.peephole);
  if (!run_whole_steps(run, layer, direction, product, step)) return false;
  store_state(layer.c(), sizes, run.out(2), 0, direction.column);
  return true;
}

bool run_gru_after(OpRun& run, Layer& layer, const Direction& direction) {
  StateProduct product(run, layer, direction.weight_hh, 0, layer.sizes().gates);
  if (!product.pack()) return false;
  StepTape step = gru_step_after(run, layer.sizes(), layer.h_rows(), layer.h());
  return run_whole_steps(run, layer, direction, product, step);
}

bool run_gru_before(OpRun& run, Layer& layer, const Direction& direction) {
  StateProduct reset_product(run, layer, direction.weight_hh, kReset, 1);
  StateProduct update_product(run, layer, direction.weight_hh, kUpdate, 1);
  StateProduct new_product(run, layer, direction.weight_hh, kNew, 1);
  if (!reset_product.pack() || !update_product.pack() || !new_product.pack()) return false;
  StepTape reset = gru_reset(run, layer.sizes(), layer.h_rows(), layer.h(), layer.reset_h());
  StepTape step = gru_step_before(run, layer.sizes(), layer.h_rows(), layer.h());
  return layer.run_steps(direction, [&](const float* x_rows) {
    if (!reset_product.multiply(layer.h()) || !update_product.multiply(layer.h())) return false;
    reset.run(x_rows, run.pool());
    if (!new_product.multiply(layer.reset_h())) return false;
    step.run(x_rows, run.pool());
    return true;
  });
}

}  // namespace

bool run_rnn(OpRun& run) {
  const Direction direction = only_direction(run);
  Layer layer(run, 1);
  StateProduct product(run, layer, direction.weight_hh, 0, 1);
  if (!layer.allocate() || !product.pack()) return false;
  layer.clear_bias();
  layer.add_bias(direction.bias, 0, 1);
  StepTape step = rnn_step(run, layer.sizes(), layer.h_rows(), layer.h());
  return run_whole_steps(run, layer, direction, product, step);
}

bool run_gru(OpRun& run) {
  const Direction direction = only_direction(run);
  Layer layer(run, 3);
  if (!layer.allocate()) return false;
  const bool resets_after = run.has("reset_after") && run.boolean("reset_after");
  layer.clear_bias();
  layer.add_bias(given(run, "input_bias"), kReset, kUpdate + 1);
  layer.add_bias(direction.bias, kReset, kReset + 1);
  layer.add_bias(direction.bias, kUpdate, kUpdate + 1);
  if (resets_after) return run_gru_after(run, layer, direction);
  layer.add_bias(direction.bias, kNew, kNew + 1);
  return run_gru_before(run, layer, direction);
}

bool run_lstm(OpRun& run) {
  Layer layer(run, 4);
  if (!layer.allocate()) return false;
  Direction direction = only_direction(run);
  const bool both_ways = run.text("direction") == "bidirectional";
  if (!run_lstm_direction(run, layer, direction)) return false;
  return !both_ways || run_lstm_direction(run, layer, direction_back(run, layer.sizes().hidden));
}

}  // namespace milgen::cpu
