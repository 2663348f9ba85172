// Random programs in which much is shared: elementwise chains with values that several ops look at,
// views, parts of concatenations, products between transpositions, branches and loops. They are
// what fusing ops and sharing memory may get wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/program_generator.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen::test {

struct ChainValue {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
};

/// One op. Its constants stand in its text, so that it can be run as a program of its own.
struct ChainOp {
  std::string text;
  std::vector<std::size_t> arguments;  ///< into ChainProgram::values, each once
  std::size_t first_result = 0;        ///< into ChainProgram::values
  std::size_t results = 1;
};

struct ChainProgram {
  std::vector<ChainValue> values;  ///< the inputs, then the results in order
  std::size_t inputs = 0;
  std::vector<ChainOp> ops;
  std::vector<std::size_t> outputs;

  /// The whole, or the op by itself: its arguments are inputs and its results outputs then.
  std::string text() const;
  std::string text_of(const ChainOp& op) const;
};

class ChainGenerator {
 public:
  explicit ChainGenerator(Choices& choices) : choices_(choices) {}
  ChainProgram program();

 private:
  enum class Want { any, real, boolean };

  const ChainValue& value(std::size_t id) const { return program_.values[id]; }
  std::size_t pick(Want want = Want::any);
  std::size_t pick_fitting(DType dtype, const Shape& shape, bool broadcast);
  Shape input_shape();
  std::string literal(DType dtype, const Shape& shape);
  std::string number(DType dtype);
  std::string name_of(std::size_t id);
  std::size_t result(DType dtype, const Shape& shape);
  void add(std::string_view op, std::string arguments);
  void any_op();

  void unary();
  void binary();
  void compare();
  void logical();
  void select();
  void cast();
  void concat();
  void slice();
  void split();
  void reshape();
  void transpose();
  void matmul();
  void linear();
  void conv();
  void over_axes();
  void norm();
  void move();
  void update();
  void scatter();
  void cond();
  void loop();

  Choices& choices_;
  ChainProgram program_;
  ChainOp op_;  ///< the one that is being made
  Shape base_;
};

}  // namespace milgen::test
