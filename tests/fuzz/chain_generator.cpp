#include "fuzz/chain_generator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace milgen::test {
namespace {

constexpr std::int64_t kMostElements = 40'000;
constexpr std::size_t kMostDims = 5;

std::int64_t elements(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) count *= dim;
  return count;
}

std::string type_text(DType dtype, const Shape& shape) {
  return shape.empty() ? std::string(dtype_name(dtype))
                       : fmt::format("tensor<{}, {}>", dtype_name(dtype), to_string(shape));
}

std::string ints(const Shape& values) {
  return fmt::format("tensor<int32, [{}]>({})", values.size(), to_string(values));
}

/// The dims of both as numpy broadcasts them; false where they do not fit.
bool broadcast(const Shape& a, const Shape& b, Shape& out) {
  out = a.size() < b.size() ? b : a;
  const std::size_t rank = out.size();
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t x = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const std::int64_t y = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    if (x != y && x != 1 && y != 1) return false;
    out[i] = x == 1 ? y : x;
  }
  return true;
}

/// All dims but those of the matrix.
Shape batch_of(const Shape& shape) {
  Shape batch = shape;
  batch.resize(shape.size() - 2, 1);
  return batch;
}

std::string function(std::string_view inputs, std::string_view body, std::string_view outputs) {
  return fmt::format("program(1.3)\n{{\n    func main<ios18>({}) {{\n{}        }} -> ({});\n}}\n",
                     inputs, body, outputs);
}

}  // namespace

// --- Text. ---

std::string ChainProgram::text() const {
  std::vector<std::string> ports;
  for (std::size_t i = 0; i < inputs; ++i) {
    ports.push_back(type_text(values[i].dtype, values[i].shape) + ' ' + values[i].name);
  }
  std::string body;
  for (const ChainOp& op : ops) body += op.text;
  std::vector<std::string_view> names;
  for (const std::size_t id : outputs) names.push_back(values[id].name);
  return function(fmt::format("{}", fmt::join(ports, ", ")), body,
                  fmt::format("{}", fmt::join(names, ", ")));
}

std::string ChainProgram::text_of(const ChainOp& op) const {
  std::vector<std::string> ports;
  for (const std::size_t id : op.arguments) {
    ports.push_back(type_text(values[id].dtype, values[id].shape) + ' ' + values[id].name);
  }
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < op.results; ++i) names.push_back(values[op.first_result + i].name);
  return function(fmt::format("{}", fmt::join(ports, ", ")), op.text,
                  fmt::format("{}", fmt::join(names, ", ")));
}

std::string ChainGenerator::number(DType dtype) {
  constexpr std::string_view kNumbers[] = {"0x1p-1", "0x1p+0", "0x1.8p+0",
                                           "0x0p+0", "0x1p-2", "-0x1p+0"};
  if (dtype == DType::boolean) return choices_.chance(50) ? "true" : "false";
  return std::string(choices_.one_of(kNumbers));
}

std::string ChainGenerator::literal(DType dtype, const Shape& shape) {
  std::string text = type_text(dtype, shape) + '(';
  const std::int64_t count = elements(shape);
  for (std::int64_t i = 0; i < count; ++i) {
    // As many brackets as there are dims that begin, or end, with the element.
    std::int64_t size = 1;
    std::size_t opened = 0;
    std::size_t closed = 0;
    for (std::size_t d = shape.size(); d-- > 0;) {
      size *= shape[d];
      opened += i % size == 0 ? 1u : 0u;
      closed += (i + 1) % size == 0 ? 1u : 0u;
    }
    text += fmt::format("{}{}{}{}", i == 0 ? "" : ", ", std::string(opened, '['), number(dtype),
                        std::string(closed, ']'));
  }
  return text + ')';
}

// --- Values. ---

Shape ChainGenerator::input_shape() {
  Shape shape = base_;
  for (std::int64_t& dim : shape) {
    if (choices_.chance(15)) dim = 1;
  }
  while (!shape.empty() && choices_.chance(8)) shape.erase(0);
  return shape;
}

/// One of the newer values for the most part.
std::size_t ChainGenerator::pick(Want want) {
  std::vector<std::size_t> fitting;
  for (std::size_t id = 0; id < program_.values.size(); ++id) {
    const bool is_bool = value(id).dtype == DType::boolean;
    if (want == Want::any || (want == Want::boolean) == is_bool) fitting.push_back(id);
  }
  const std::size_t newest = std::min<std::size_t>(fitting.size(), 5);
  return choices_.chance(60) ? fitting[fitting.size() - 1 - choices_.below(newest)]
                             : choices_.one_of(fitting);
}

/// A value of this shape, or one that is broadcast with it; the number of values for none.
std::size_t ChainGenerator::pick_fitting(DType dtype, const Shape& shape, bool may_broadcast) {
  std::vector<std::size_t> fitting;
  for (std::size_t id = 0; id < program_.values.size(); ++id) {
    if (value(id).dtype != dtype) continue;
    Shape out;
    if (value(id).shape == shape || (may_broadcast && broadcast(value(id).shape, shape, out) &&
                                     elements(out) <= kMostElements)) {
      fitting.push_back(id);
    }
  }
  return fitting.empty() ? program_.values.size() : choices_.one_of(fitting);
}

/// The value as an argument of the op that is being made.
std::string ChainGenerator::name_of(std::size_t id) {
  if (std::ranges::find(op_.arguments, id) == op_.arguments.end()) op_.arguments.push_back(id);
  return value(id).name;
}

std::size_t ChainGenerator::result(DType dtype, const Shape& shape) {
  const std::size_t id = program_.values.size();
  program_.values.push_back({fmt::format("v{}", id), dtype, shape});
  return id;
}

/// The op whose results are the values from op_.first_result on.
void ChainGenerator::add(std::string_view op, std::string arguments) {
  op_.results = program_.values.size() - op_.first_result;
  std::string line;
  for (std::size_t i = 0; i < op_.results; ++i) {
    const ChainValue& one = value(op_.first_result + i);
    line += fmt::format("{}{} {}", i == 0 ? "" : ", ", type_text(one.dtype, one.shape), one.name);
  }
  op_.text = fmt::format("            {} = {}({});\n", line, op, arguments);
  program_.ops.push_back(op_);
}

// --- Ops. ---

void ChainGenerator::unary() {
  constexpr std::string_view kOps[] = {"relu",     "sigmoid",  "tanh",  "exp",     "abs",
                                       "square",   "sqrt",     "round", "erf",     "softsign",
                                       "silu",     "relu6",    "floor", "sign",    "sin",
                                       "softplus", "identity", "ceil",  "identity"};
  const std::size_t x = pick(Want::real);
  const std::string name = name_of(x);
  const std::string dtype(dtype_name(value(x).dtype));
  const std::size_t kind = choices_.below(6);
  result(value(x).dtype, value(x).shape);
  if (kind == 0) {
    constexpr std::string_view kWithEpsilon[] = {"log", "rsqrt", "inverse"};
    add(choices_.one_of(kWithEpsilon), fmt::format("epsilon = {}(0x1p-10), x = {}", dtype, name));
  } else if (kind == 1) {
    constexpr std::string_view kOfTwo[] = {"clip", "linear_activation", "sigmoid_hard"};
    add(choices_.one_of(kOfTwo),
        fmt::format("alpha = {0}(-0x1p-1), beta = {0}(0x1p+0), x = {1}", dtype, name));
  } else if (kind == 2) {
    add("leaky_relu", fmt::format("alpha = {}(0x1p-3), x = {}", dtype, name));
  } else {
    add(choices_.one_of(kOps), fmt::format("x = {}", name));
  }
}

void ChainGenerator::binary() {
  constexpr std::string_view kOps[] = {"add", "sub",     "mul",       "real_div", "maximum",
                                       "add", "minimum", "floor_div", "mod",      "mul"};
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  std::size_t y = pick_fitting(one.dtype, one.shape, true);
  std::string names[2] = {name_of(x), {}};
  Shape shape = one.shape;
  if (choices_.chance(20)) {
    Shape other;
    if (choices_.chance(50)) other = one.shape;
    for (std::int64_t& dim : other) {
      if (choices_.chance(50)) dim = 1;
    }
    if (elements(other) > 64) other.clear();
    names[1] = literal(one.dtype, other);
  } else {
    broadcast(one.shape, value(y).shape, shape);
    names[1] = name_of(y);
  }
  if (choices_.chance(50)) std::swap(names[0], names[1]);
  result(one.dtype, shape);
  add(choices_.one_of(kOps), fmt::format("x = {}, y = {}", names[0], names[1]));
}

void ChainGenerator::compare() {
  constexpr std::string_view kOps[] = {"less", "greater", "equal", "not_equal", "less_equal"};
  const std::size_t x = pick(Want::real);
  const std::size_t y = pick_fitting(value(x).dtype, value(x).shape, true);
  Shape shape;
  broadcast(value(x).shape, value(y).shape, shape);
  const std::string arguments = fmt::format("x = {}, y = {}", name_of(x), name_of(y));
  result(DType::boolean, shape);
  add(choices_.one_of(kOps), arguments);
}

void ChainGenerator::logical() {
  constexpr std::string_view kOps[] = {"logical_and", "logical_or", "logical_xor"};
  const std::size_t x = pick(Want::boolean);
  if (choices_.chance(30)) {
    const std::string argument = fmt::format("x = {}", name_of(x));
    result(DType::boolean, value(x).shape);
    add("logical_not", argument);
    return;
  }
  const std::size_t y = pick_fitting(DType::boolean, value(x).shape, true);
  Shape shape;
  broadcast(value(x).shape, value(y).shape, shape);
  const std::string arguments = fmt::format("x = {}, y = {}", name_of(x), name_of(y));
  result(DType::boolean, shape);
  add(choices_.one_of(kOps), arguments);
}

void ChainGenerator::select() {
  const std::size_t a = pick();
  const std::size_t b = pick_fitting(value(a).dtype, value(a).shape, false);
  const std::size_t condition = pick_fitting(DType::boolean, value(a).shape, false);
  if (condition == program_.values.size()) return unary();
  const std::string arguments =
      fmt::format("a = {}, b = {}, cond = {}", name_of(a), name_of(b), name_of(condition));
  result(value(a).dtype, value(a).shape);
  add("select", arguments);
}

void ChainGenerator::cast() {
  constexpr DType kTo[] = {DType::fp16, DType::fp32, DType::fp32, DType::fp16, DType::boolean};
  const std::size_t x = pick();
  const DType to = choices_.one_of(kTo);
  const std::string arguments =
      fmt::format("dtype = string(\"{}\"), x = {}", dtype_name(to), name_of(x));
  result(to, value(x).shape);
  add("cast", arguments);
}

void ChainGenerator::concat() {
  const std::size_t x = pick();
  const ChainValue one = value(x);
  if (one.shape.empty() || elements(one.shape) * 4 > kMostElements) return unary();
  // The first dim that is not 1 makes one piece of memory.
  std::size_t axis = 0;
  while (axis + 1 < one.shape.size() && one.shape[axis] == 1) ++axis;
  if (choices_.chance(40)) axis = choices_.below(one.shape.size());
  std::vector<std::size_t> parts{x};
  Shape shape = one.shape;
  for (std::size_t tries = choices_.below(12); tries != 0 && parts.size() < 4; --tries) {
    const std::size_t other = choices_.below(program_.values.size());
    const Shape& dims = value(other).shape;
    if (value(other).dtype != one.dtype || dims.size() != shape.size()) continue;
    bool fits = true;
    for (std::size_t d = 0; d < dims.size(); ++d) fits &= d == axis || dims[d] == shape[d];
    if (!fits || elements(shape) + elements(dims) > kMostElements) continue;
    parts.insert(choices_.chance(50) ? parts.begin() : parts.end(), other);
    shape[axis] += dims[axis];
  }
  std::vector<std::string> names;
  for (const std::size_t part : parts) names.push_back(name_of(part));
  result(one.dtype, shape);
  add("concat", fmt::format("axis = int32({}), interleave = bool(false), values = ({})", axis,
                            fmt::join(names, ", ")));
}

void ChainGenerator::slice() {
  const std::size_t x = pick();
  const ChainValue one = value(x);
  if (one.shape.empty()) return unary();
  const bool is_one_piece = choices_.chance(70);
  Shape begin = one.shape;
  Shape size = one.shape;
  bool is_cut = false;
  for (std::size_t d = 0; d < size.size(); ++d) {
    begin[d] = 0;
    if (size[d] == 1 || (is_one_piece && is_cut) || (!is_one_piece && choices_.chance(40)))
      continue;
    is_cut = true;
    size[d] = 1 + static_cast<std::int64_t>(choices_.below(static_cast<std::size_t>(size[d])));
    begin[d] = static_cast<std::int64_t>(
        choices_.below(static_cast<std::size_t>(one.shape[d] - size[d] + 1)));
  }
  const std::string name = name_of(x);
  result(one.dtype, size);
  if (choices_.chance(70)) {
    add("slice_by_size",
        fmt::format("begin = {}, size = {}, x = {}", ints(begin), ints(size), name));
    return;
  }
  Shape end = begin;
  for (std::size_t d = 0; d < end.size(); ++d) end[d] += size[d];
  add("slice_by_index", fmt::format("begin = {}, end = {}, x = {}", ints(begin), ints(end), name));
}

void ChainGenerator::split() {
  const std::size_t x = pick();
  const ChainValue one = value(x);
  std::size_t axis = 0;
  while (axis < one.shape.size() && one.shape[axis] == 1) ++axis;
  if (axis >= one.shape.size()) return unary();
  if (choices_.chance(30)) axis = choices_.below(one.shape.size());
  if (one.shape[axis] < 2) return unary();
  const std::int64_t first =
      1 + static_cast<std::int64_t>(choices_.below(static_cast<std::size_t>(one.shape[axis] - 1)));
  const std::string name = name_of(x);
  Shape part = one.shape;
  part[axis] = first;
  result(one.dtype, part);
  part[axis] = one.shape[axis] - first;
  result(one.dtype, part);
  add("split", fmt::format("axis = int32({}), split_sizes = {}, x = {}", axis,
                           ints({first, one.shape[axis] - first}), name));
}

void ChainGenerator::reshape() {
  const std::size_t x = pick();
  const ChainValue one = value(x);
  const std::string name = name_of(x);
  Shape shape = one.shape;
  if (choices_.chance(40) && shape.size() < kMostDims) {
    const std::size_t axis = choices_.below(shape.size() + 1);
    shape.insert(axis, 1);
    result(one.dtype, shape);
    add("expand_dims",
        fmt::format("axes = {}, x = {}", ints({static_cast<std::int64_t>(axis)}), name));
    return;
  }
  const std::size_t axis = shape.empty() ? 0 : choices_.below(shape.size());
  if (axis + 1 < shape.size()) {
    shape[axis] *= shape[axis + 1];
    shape.erase(axis + 1);
  } else if (!shape.empty() && shape[axis] % 2 == 0 && shape.size() < kMostDims) {
    shape[axis] /= 2;
    shape.insert(axis, 2);
  } else if (shape.size() < kMostDims) {
    shape.insert(0, 1);
  }
  result(one.dtype, shape);
  add("reshape", fmt::format("shape = {}, x = {}", ints(shape), name));
}

void ChainGenerator::transpose() {
  const std::size_t x = pick();
  const ChainValue one = value(x);
  const std::size_t rank = one.shape.size();
  if (rank < 2) return unary();
  Shape perm;
  for (std::size_t d = 0; d < rank; ++d) perm.push_back(static_cast<std::int64_t>(d));
  if (choices_.chance(70)) {
    std::swap(perm[rank - 1], perm[rank - 2]);
  } else {
    for (std::size_t d = rank; d-- > 1;) std::swap(perm[d], perm[choices_.below(d + 1)]);
  }
  Shape shape = one.shape;
  for (std::size_t d = 0; d < rank; ++d) shape[d] = one.shape[static_cast<std::size_t>(perm[d])];
  const std::string name = name_of(x);
  result(one.dtype, shape);
  add("transpose", fmt::format("perm = {}, x = {}", ints(perm), name));
}

void ChainGenerator::matmul() {
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  const std::size_t rank = one.shape.size();
  if (rank < 2) return unary();
  const bool transpose_x = choices_.chance(30);
  const std::int64_t rows = one.shape[rank - (transpose_x ? 1 : 2)];
  const std::int64_t inner = one.shape[rank - (transpose_x ? 2 : 1)];
  // Another value whose dims fit one way or the other, or a constant.
  for (int tries = 0; tries < 12; ++tries) {
    const std::size_t y = choices_.below(program_.values.size());
    const ChainValue& other = value(y);
    if (other.dtype != one.dtype || other.shape.size() != rank) continue;
    const Shape batch_x = batch_of(one.shape);
    const Shape batch_y = batch_of(other.shape);
    Shape shape;
    if (!broadcast(batch_x, batch_y, shape)) continue;
    const bool transpose_y = other.shape[rank - 2] != inner || choices_.chance(30);
    if (other.shape[rank - (transpose_y ? 1 : 2)] != inner) continue;
    shape.push_back(rows);
    shape.push_back(other.shape[rank - (transpose_y ? 2 : 1)]);
    if (elements(shape) > kMostElements) continue;
    const std::string arguments =
        fmt::format("transpose_x = bool({}), transpose_y = bool({}), x = {}, y = {}", transpose_x,
                    transpose_y, name_of(x), name_of(y));
    result(one.dtype, shape);
    add("matmul", arguments);
    return;
  }
  if (inner > 24) return unary();
  const std::int64_t columns = 1 + static_cast<std::int64_t>(choices_.below(5));
  const std::string weight = literal(one.dtype, {inner, columns});
  const std::string name = name_of(x);
  Shape shape = one.shape;
  shape[rank - 2] = rows;
  shape[rank - 1] = columns;
  result(one.dtype, shape);
  add("matmul", fmt::format("transpose_x = bool({}), transpose_y = bool(false), x = {}, y = {}",
                            transpose_x, name, weight));
}

void ChainGenerator::linear() {
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  if (one.shape.empty() || one.shape.size() > 3 || one.shape.back() > 24) return unary();
  const std::int64_t columns = 1 + static_cast<std::int64_t>(choices_.below(5));
  const std::string arguments =
      fmt::format("bias = {}, weight = {}, x = {}", literal(one.dtype, {columns}),
                  literal(one.dtype, {columns, one.shape.back()}), name_of(x));
  Shape shape = one.shape;
  shape[shape.size() - 1] = columns;
  result(one.dtype, shape);
  add("linear", arguments);
}

void ChainGenerator::conv() {
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  if (one.shape.size() != 4 || one.shape[1] > 8) return unary();
  const std::int64_t side = choices_.chance(60) ? 1 : 3;
  const std::int64_t channels = 1 + static_cast<std::int64_t>(choices_.below(4));
  const std::string arguments = fmt::format(
      "dilations = {0}, groups = int32(1), pad = {1}, pad_type = string(\"same\"), strides = {0}, "
      "weight = {2}, x = {3}",
      ints({1, 1}), ints({0, 0, 0, 0}), literal(one.dtype, {channels, one.shape[1], side, side}),
      name_of(x));
  Shape shape = one.shape;
  shape[1] = channels;
  result(one.dtype, shape);
  add("conv", arguments);
}

void ChainGenerator::over_axes() {
  constexpr std::string_view kOps[] = {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min",
                                       "reduce_l2_norm"};
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  if (one.shape.empty()) return unary();
  const std::string name = name_of(x);
  const std::size_t axis = choices_.below(one.shape.size());
  if (choices_.chance(40)) {
    result(one.dtype, one.shape);
    if (choices_.chance(70)) {
      add("softmax", fmt::format("axis = int32({}), x = {}", axis, name));
    } else {
      add("cumsum", fmt::format("axis = int32({}), exclusive = bool(false), reverse = bool({}), "
                                "x = {}",
                                axis, choices_.chance(50), name));
    }
    return;
  }
  const bool keep_dims = choices_.chance(70);
  Shape shape = one.shape;
  if (keep_dims) {
    shape[axis] = 1;
  } else {
    shape.erase(axis);
  }
  result(one.dtype, shape);
  add(choices_.one_of(kOps), fmt::format("axes = {}, keep_dims = bool({}), x = {}",
                                         ints({static_cast<std::int64_t>(axis)}), keep_dims, name));
}

void ChainGenerator::norm() {
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  if (one.shape.empty() || one.shape.back() > 64) return unary();
  const std::string epsilon = fmt::format("{}(0x1p-10)", dtype_name(one.dtype));
  const std::string name = name_of(x);
  result(one.dtype, one.shape);
  if ((one.shape.size() == 3 || one.shape.size() == 4) && choices_.chance(40)) {
    add(choices_.chance(50) ? "instance_norm" : "l2_norm",
        fmt::format("epsilon = {}, x = {}", epsilon, name));
    return;
  }
  add("layer_norm", fmt::format("axes = {}, beta = {}, epsilon = {}, gamma = {}, x = {}",
                                ints({static_cast<std::int64_t>(one.shape.size()) - 1}),
                                literal(one.dtype, {one.shape.back()}), epsilon,
                                literal(one.dtype, {one.shape.back()}), name));
}

void ChainGenerator::move() {
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  if (one.shape.empty()) return unary();
  const std::size_t axis = choices_.below(one.shape.size());
  const auto size = static_cast<std::size_t>(one.shape[axis]);
  const std::string name = name_of(x);
  Shape shape = one.shape;
  if (choices_.chance(30)) {
    result(one.dtype, shape);
    add("reverse", fmt::format("axes = {}, x = {}", ints({static_cast<std::int64_t>(axis)}), name));
    return;
  }
  if (choices_.chance(30) && elements(shape) * 2 <= kMostElements) {
    Shape reps(shape.size(), 1);
    reps[axis] = 2;
    shape[axis] *= 2;
    result(one.dtype, shape);
    add("tile", fmt::format("reps = {}, x = {}", ints(reps), name));
    return;
  }
  Shape indices;
  for (std::size_t i = 1 + choices_.below(3); i != 0; --i) {
    indices.push_back(static_cast<std::int64_t>(choices_.below(size)));
  }
  shape[axis] = static_cast<std::int64_t>(indices.size());
  result(one.dtype, shape);
  add("gather", fmt::format("axis = int32({}), batch_dims = int32(0), indices = {}, "
                            "validate_indices = bool(false), x = {}",
                            axis, ints(indices), name));
}

/// Writing a value into a part of another, which may be where it was taken from.
void ChainGenerator::update() {
  const std::size_t x = pick(Want::real);
  const ChainValue one = value(x);
  if (one.shape.empty()) return unary();
  for (int tries = 0; tries < 20; ++tries) {
    const std::size_t from = choices_.below(program_.values.size());
    const Shape& part = value(from).shape;
    if (value(from).dtype != one.dtype || part.size() != one.shape.size()) continue;
    bool fits = true;
    Shape begin = one.shape;
    Shape end = one.shape;
    for (std::size_t d = 0; d < part.size(); ++d) {
      fits &= part[d] <= one.shape[d];
      if (!fits) break;
      begin[d] = static_cast<std::int64_t>(
          choices_.below(static_cast<std::size_t>(one.shape[d] - part[d] + 1)));
      end[d] = begin[d] + part[d];
    }
    if (!fits) continue;
    const std::string arguments = fmt::format("begin = {}, end = {}, update = {}, x = {}",
                                              ints(begin), ints(end), name_of(from), name_of(x));
    result(one.dtype, one.shape);
    add("slice_update", arguments);
    return;
  }
  unary();
}

void ChainGenerator::scatter() {
  constexpr std::string_view kModes[] = {"add", "update", "mul", "max"};
  const std::size_t data = pick(Want::real);
  const ChainValue one = value(data);
  if (one.shape.empty()) return unary();
  for (int tries = 0; tries < 20; ++tries) {
    const std::size_t updates = choices_.below(program_.values.size());
    const Shape& part = value(updates).shape;
    if (value(updates).dtype != one.dtype || part.size() != one.shape.size()) continue;
    bool fits = true;
    for (std::size_t d = 1; d < part.size(); ++d) fits &= part[d] == one.shape[d];
    if (!fits || part[0] > 8) continue;
    Shape indices;
    for (std::int64_t i = 0; i < part[0]; ++i) {
      indices.push_back(
          static_cast<std::int64_t>(choices_.below(static_cast<std::size_t>(one.shape[0]))));
    }
    const std::string arguments = fmt::format(
        "axis = int32(0), data = {}, indices = {}, mode = string(\"{}\"), "
        "updates = {}, validate_indices = bool(false)",
        name_of(data), ints(indices), choices_.one_of(kModes), name_of(updates));
    result(one.dtype, one.shape);
    add("scatter", arguments);
    return;
  }
  unary();
}

void ChainGenerator::cond() {
  const std::size_t pred = pick_fitting(DType::boolean, {}, false);
  const std::size_t a = pick(Want::real);
  const std::size_t b = pick_fitting(value(a).dtype, value(a).shape, false);
  if (pred == program_.values.size()) return unary();
  const std::string type = type_text(value(a).dtype, value(a).shape);
  const std::string names[] = {name_of(pred), name_of(a), name_of(b)};
  const std::size_t id = result(value(a).dtype, value(a).shape);
  op_.text = fmt::format(
      "            {0} v{1} = cond(pred = {2})\n                () {{\n"
      "                    {0} v{1}_t = square(x = {3});\n                }} -> (v{1}_t)\n"
      "                () {{ }} -> ({4});\n",
      type, id, names[0], names[1], names[2]);
  program_.ops.push_back(op_);
}

/// Three rounds that double a value and add another from outside.
void ChainGenerator::loop() {
  const std::size_t a = pick(Want::real);
  const std::size_t b = pick_fitting(value(a).dtype, value(a).shape, false);
  const std::string type = type_text(value(a).dtype, value(a).shape);
  const std::string names[] = {name_of(a), name_of(b)};
  const std::size_t id = result(value(a).dtype, value(a).shape);
  op_.text = fmt::format(
      "            int32 v{1}_n, {0} v{1} = while_loop(loop_vars = (int32(0), {2}))\n"
      "                (int32 v{1}_i, {0} v{1}_x) {{\n"
      "                    bool v{1}_go = less(x = v{1}_i, y = int32(3));\n"
      "                }} -> (v{1}_go)\n"
      "                (int32 v{1}_j, {0} v{1}_y) {{\n"
      "                    int32 v{1}_k = add(x = v{1}_j, y = int32(1));\n"
      "                    {0} v{1}_s = add(x = v{1}_y, y = {3});\n"
      "                }} -> (v{1}_k, v{1}_s);\n",
      type, id, names[0], names[1]);
  program_.ops.push_back(op_);
}

void ChainGenerator::any_op() {
  struct Weighted {
    void (ChainGenerator::*make)();
    std::size_t weight;
  };
  constexpr Weighted kMakers[] = {{&ChainGenerator::unary, 10},    {&ChainGenerator::binary, 16},
                                  {&ChainGenerator::compare, 3},   {&ChainGenerator::logical, 2},
                                  {&ChainGenerator::select, 3},    {&ChainGenerator::cast, 4},
                                  {&ChainGenerator::concat, 8},    {&ChainGenerator::slice, 8},
                                  {&ChainGenerator::split, 5},     {&ChainGenerator::reshape, 7},
                                  {&ChainGenerator::transpose, 6}, {&ChainGenerator::matmul, 6},
                                  {&ChainGenerator::linear, 2},    {&ChainGenerator::conv, 3},
                                  {&ChainGenerator::over_axes, 6}, {&ChainGenerator::norm, 2},
                                  {&ChainGenerator::move, 3},      {&ChainGenerator::update, 3},
                                  {&ChainGenerator::scatter, 2},   {&ChainGenerator::cond, 1},
                                  {&ChainGenerator::loop, 1}};
  std::size_t sum = 0;
  for (const Weighted& maker : kMakers) sum += maker.weight;
  std::size_t at = choices_.below(sum);
  op_ = {};
  op_.first_result = program_.values.size();
  for (const Weighted& maker : kMakers) {
    if (at < maker.weight) return (this->*maker.make)();
    at -= maker.weight;
  }
}

ChainProgram ChainGenerator::program() {
  program_ = {};
  base_.clear();
  constexpr std::size_t kRanks[] = {2, 3, 4, 4, 1};
  for (std::size_t rank = choices_.one_of(kRanks); rank != 0; --rank) {
    base_.push_back(1 + static_cast<std::int64_t>(choices_.below(6)));
  }
  // Large enough for several threads.
  if (choices_.chance(6)) base_[base_.size() - 1] = kMostElements / elements(base_);
  for (std::size_t inputs = 1 + choices_.below(3); inputs != 0; --inputs) {
    result(choices_.chance(70) ? DType::fp16 : DType::fp32, input_shape());
  }
  result(DType::boolean, input_shape());
  if (choices_.chance(30)) result(DType::boolean, {});
  program_.inputs = program_.values.size();
  for (std::size_t ops = 3 + choices_.below(28); ops != 0; --ops) any_op();
  const std::size_t last = program_.values.size() - 1;
  program_.outputs.push_back(last);
  for (std::size_t more = choices_.below(4); more != 0; --more) {
    const std::size_t id = choices_.below(program_.values.size());
    if (std::ranges::find(program_.outputs, id) == program_.outputs.end()) {
      program_.outputs.push_back(id);
    }
  }
  return program_;
}

}  // namespace milgen::test
