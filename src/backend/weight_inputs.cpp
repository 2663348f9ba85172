#include "milgen/weight_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "backend/ports.h"
#include "milgen/weights.h"
#include "support/half.h"
#include "support/half_transpose.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"

namespace milgen {
namespace {

constexpr std::size_t kTile = 32;

/// Where the elements of a part go: a matrix whose rows may be apart.
struct Target {
  DType dtype = DType::none;
  std::byte* bytes = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;   // elements from one row to the next
  bool transposed = false;  // the part's own matrix is [columns, rows]
};

/// The two dims of a shape that are not 1: [out, in, 1, 1], [1, out, in], [1, C, 1, S].
bool matrix_dims(const Shape& shape, std::int64_t& rows, std::int64_t& columns) {
  rows = 1;
  columns = 1;
  int seen = 0;
  for (const std::int64_t dim : shape) {
    if (dim == 1) continue;
    if (++seen > 2) return false;
    rows = columns;
    columns = dim;
  }
  return true;
}

/// Finds a part's place in `input`; false where sizes do not fit each other.
bool find_target(const PlannedInput& planned, const PlannedPart& part, std::size_t elements,
                 std::span<std::byte> input, bool needs_matrix, Target& target) {
  std::int64_t in_part = 0;
  std::int64_t in_input = 0;
  const std::size_t element = element_bytes(planned.dtype);
  if (!element_count(part.shape, in_part) || !element_count(planned.shape, in_input) ||
      static_cast<std::uint64_t>(in_part) != elements || element == 0 ||
      input.size() % element != 0 ||
      input.size() / element != static_cast<std::uint64_t>(in_input)) {
    return false;
  }
  target.dtype = planned.dtype;
  if (part.layout == PartLayout::whole) {
    std::int64_t rows = 1;
    std::int64_t columns = in_part;
    if (in_part != in_input) return false;
    if (needs_matrix && !matrix_dims(part.shape, rows, columns)) return false;
    target.bytes = input.data();
    target.rows = static_cast<std::size_t>(rows);
    target.columns = static_cast<std::size_t>(columns);
    target.stride = target.columns;
    return true;
  }
  if (planned.shape.size() != 4 || part.first_column < 0 || part.columns <= 0 ||
      part.columns > planned.shape[3] || part.first_column > planned.shape[3] - part.columns ||
      in_part % part.columns != 0 || in_part / part.columns != in_input / planned.shape[3]) {
    return false;
  }
  target.bytes = input.data() + static_cast<std::size_t>(part.first_column) * element;
  target.rows = static_cast<std::size_t>(in_part / part.columns);
  target.columns = static_cast<std::size_t>(part.columns);
  target.stride = static_cast<std::size_t>(planned.shape[3]);
  target.transposed = part.layout == PartLayout::transposed;
  return true;
}

// Conversions of contiguous elements.
void convert(const float* from, float* to, std::size_t count) {
  std::memcpy(to, from, count * sizeof(float));
}
void convert(const std::uint16_t* from, std::uint16_t* to, std::size_t count) {
  std::memcpy(to, from, count * sizeof(std::uint16_t));
}
void convert(const float* from, std::uint16_t* to, std::size_t count) {
  HalfReport report;
  halves_from_floats(from, to, count, report);
}
void convert(const std::uint16_t* from, float* to, std::size_t count) {
  floats_from_halves(from, to, count);
}

float element_as(float value, float) { return value; }
std::uint16_t element_as(std::uint16_t value, std::uint16_t) { return value; }
float element_as(std::uint16_t value, float) { return float_from_half(value); }

/// `to` [rows, columns], rows `stride` apart, is the transpose of `from` [columns, rows].
template <class From, class To>
void transpose(const From* from, To* to, std::size_t rows, std::size_t columns,
               std::size_t stride) {
  for (std::size_t r0 = 0; r0 < rows; r0 += kTile) {
    const std::size_t r1 = std::min(rows, r0 + kTile);
    for (std::size_t c0 = 0; c0 < columns; c0 += kTile) {
      const std::size_t c1 = std::min(columns, c0 + kTile);
      for (std::size_t r = r0; r < r1; ++r) {
        for (std::size_t c = c0; c < c1; ++c) {
          to[r * stride + c] = element_as(from[c * rows + r], To{});
        }
      }
    }
  }
}
void transpose(const float* from, std::uint16_t* to, std::size_t rows, std::size_t columns,
               std::size_t stride) {
  HalfReport report;
  detail::transpose_to_halves({.floats = from,
                               .rows = columns,
                               .columns = rows,
                               .row_count = columns,
                               .column_count = rows,
                               .halves = to,
                               .stride = stride},
                              report);
}

template <class From, class To>
void write_matrix(std::span<const From> values, const Target& target, bool transposed) {
  To* to = reinterpret_cast<To*>(target.bytes);
  if (transposed) {
    transpose(values.data(), to, target.rows, target.columns, target.stride);
  } else if (target.stride == target.columns) {
    convert(values.data(), to, values.size());
  } else {
    for (std::size_t r = 0; r < target.rows; ++r) {
      convert(values.data() + r * target.columns, to + r * target.stride, target.columns);
    }
  }
}

float as_float(float value) { return value; }
float as_float(std::uint16_t value) { return float_from_half(value); }

/// Integers and the like, which are whole inputs: element by element.
template <class From>
void write_elements(std::span<const From> values, const Target& target, bool transposed) {
  Array to = Array::borrow(target.dtype, {static_cast<std::int64_t>(values.size())},
                           {target.bytes, values.size() * element_bytes(target.dtype)});
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t r = i / target.columns;
    const std::size_t c = i % target.columns;
    to.set(static_cast<std::int64_t>(i), as_float(values[transposed ? c * target.rows + r : i]));
  }
}

/// Reports `memory.limit`; false.
bool no_memory(std::string_view what, std::string_view name, DType dtype, const Shape& shape,
               Diagnostics& diagnostics) {
  diagnostics.error(rule<"memory.limit">.id(), fmt::format("there is no memory for {} '{}', {}",
                                                           what, name, tensor_text(dtype, shape)));
  return false;
}

template <class From>
bool write_values(const PlannedInput& planned, const PlannedPart& part,
                  std::span<const From> values, Transposed transposed, std::span<std::byte> input) {
  Target target;
  const bool given_transposed = transposed == Transposed::yes;
  if (!find_target(planned, part, values.size(), input, given_transposed, target)) return false;
  // What stands in its columns as its own transpose is turned by the one or the other.
  const bool turn = given_transposed != target.transposed;
  if (target.dtype == DType::fp16) {
    write_matrix<From, std::uint16_t>(values, target, turn);
  } else if (target.dtype == DType::fp32) {
    write_matrix<From, float>(values, target, turn);
  } else {
    if (part.layout != PartLayout::whole) return false;
    write_elements(values, target, turn);
  }
  return true;
}

}  // namespace

bool write_part(const PlannedInput& planned, const PlannedPart& part, std::span<const float> values,
                Transposed transposed, std::span<std::byte> input) {
  return write_values(planned, part, values, transposed, input);
}

struct WeightInputs::Impl {
  struct Place {
    std::size_t input;
    std::size_t part;
  };

  WeightPlan plan;
  std::vector<Array> arrays;  // by input; no tensor where an activation is all of it
  std::map<std::string, Place, std::less<>> weights;
  Ports activations;                    // in the order of the inputs that they are in
  std::vector<std::size_t> activation;  // by input: its port, or Ports::kNone
  std::vector<std::size_t> at;          // of bind(): held from one to the next

  const PlannedInput& input(const Place& place) const { return plan.inputs[place.input]; }
  const PlannedPart& part(const Place& place) const { return input(place).parts[place.part]; }

  template <class From>
  bool write(std::string_view weight, std::span<const From> values, Transposed transposed,
             Diagnostics& diagnostics) {
    const auto found = weights.find(weight);
    if (found == weights.end()) {
      diagnostics.error(
          rule<"weights.unknown">.id(),
          fmt::format("no input of the program holds a weight {}", printable(weight)));
      return false;
    }
    const Place& place = found->second;
    if (write_values(input(place), part(place), values, transposed,
                     arrays[place.input].mutable_bytes())) {
      return true;
    }
    diagnostics.error(rule<"weight.size">.id(),
                      fmt::format("weight '{}' is {} and was given {} elements{}", part(place).name,
                                  tensor_text(part(place).dtype, part(place).shape), values.size(),
                                  transposed == Transposed::yes ? " of its transpose" : ""));
    return false;
  }

  bool load(const Place& place, WeightSource& source, Diagnostics& diagnostics) {
    const PlannedPart& wanted = part(place);
    const WeightRequest request{wanted.name, wanted.dtype, wanted.shape, wanted.fill};
    if (wanted.layout == PartLayout::whole) {
      MemorySink sink(arrays[place.input].mutable_bytes());
      return source.read(request, sink, diagnostics);
    }
    Array values = Array::uninitialized(wanted.dtype, wanted.shape);
    if (!values) return no_memory("weight", wanted.name, wanted.dtype, wanted.shape, diagnostics);
    MemorySink sink(values.mutable_bytes());
    if (!source.read(request, sink, diagnostics)) return false;
    return wanted.dtype == DType::fp16
               ? write(wanted.name, values.as<std::uint16_t>(), Transposed::no, diagnostics)
               : write(wanted.name, values.as<float>(), Transposed::no, diagnostics);
  }

  /// Puts an activation in front of the weights that it shares its input with.
  void write_activation(std::size_t at_input, const Array& values) {
    const PlannedInput& planned = plan.inputs[at_input];
    const std::size_t element = element_bytes(planned.dtype);
    const auto wide = static_cast<std::size_t>(planned.shape[3]) * element;
    const auto row = static_cast<std::size_t>(planned.parts[0].columns) * element;
    std::byte* to = arrays[at_input].mutable_bytes().data();
    const std::span<const std::byte> from = values.bytes();
    for (std::size_t r = 0; r * row < from.size(); ++r) {
      std::memcpy(to + r * wide, from.data() + r * row, row);
    }
  }
};

WeightInputs::WeightInputs() : impl_(std::make_unique<Impl>()) {}
WeightInputs::WeightInputs(WeightInputs&&) noexcept = default;
WeightInputs& WeightInputs::operator=(WeightInputs&&) noexcept = default;
WeightInputs::~WeightInputs() = default;

bool WeightInputs::open(WeightPlan plan, Diagnostics& diagnostics) {
  auto impl = std::make_unique<Impl>();
  impl->plan = std::move(plan);
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < impl->plan.inputs.size(); ++i) {
    const PlannedInput& input = impl->plan.inputs[i];
    Array array;
    std::size_t port = Ports::kNone;
    for (std::size_t p = 0; p < input.parts.size(); ++p) {
      const PlannedPart& part = input.parts[p];
      if (part.is_weight) {
        impl->weights.emplace(part.name, Impl::Place{i, p});
      } else {
        port = specs.size();
        specs.push_back({part.name, part.dtype, part.shape});
      }
    }
    if (port == Ports::kNone || input.parts.size() > 1) {
      array = Array(input.dtype, input.shape);
      if (!array) {
        return no_memory("input", input.name, input.dtype, input.shape, diagnostics);
      }
    }
    impl->arrays.push_back(std::move(array));
    impl->activation.push_back(port);
  }
  std::vector<Place> places(specs.size());
  impl->activations = Ports(std::move(specs), std::move(places));
  impl->at.reserve(impl->activations.size());
  impl_ = std::move(impl);
  return true;
}

const WeightPlan& WeightInputs::plan() const { return impl_->plan; }

bool WeightInputs::write(std::string_view weight, std::span<const float> values,
                         Transposed transposed, Diagnostics& diagnostics) {
  return impl_->write(weight, values, transposed, diagnostics);
}

bool WeightInputs::write_fp16(std::string_view weight, std::span<const std::uint16_t> values,
                              Transposed transposed, Diagnostics& diagnostics) {
  return impl_->write(weight, values, transposed, diagnostics);
}

bool WeightInputs::load(WeightSource& source, Diagnostics& diagnostics) {
  bool ok = true;
  for (const auto& [name, place] : impl_->weights) ok &= impl_->load(place, source, diagnostics);
  return ok;
}

bool WeightInputs::bind(std::span<const NamedArray> activations, std::vector<NamedArray>& inputs,
                        Diagnostics& diagnostics) {
  Impl& impl = *impl_;
  if (!match_inputs(impl.activations, activations, "", impl.at, diagnostics)) return false;
  inputs.resize(impl.plan.inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t port = impl.activation[i];
    inputs[i].name = impl.plan.inputs[i].name;
    inputs[i].array = impl.arrays[i];
    if (port == Ports::kNone) continue;
    const Array& given = activations[impl.at[port]].array;
    if (impl.arrays[i]) {
      impl.write_activation(i, given);
    } else {
      inputs[i].array = given;
    }
  }
  return true;
}

}  // namespace milgen
