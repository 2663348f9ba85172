// Inference of arguments that nobody thought of: every op in every opset, with arguments that its
// row allows for the most part and that are otherwise random. Nothing may crash, and what is
// accepted has to be what the row says of the op's results.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "ir/infer_cases.h"
#include "ir/segmenter_ops.h"
#include "milgen/op_info.h"

using namespace milgen;
using namespace milgen::test;

namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }

  std::vector<Argument> arguments(const OpInfo& op, Opset opset) {
    // One dtype and one shape are what most ops want of all their operands.
    for (DType& dtype : domains_) dtype = DType::none;
    shape_ = shape(below(6));
    std::vector<Argument> out;
    for (const Param& param : op.params(opset)) {
      if (param.kind == ParamKind::block || chance(param.required() ? 2 : 50)) continue;
      Argument argument;
      argument.name = std::string(param.name);
      argument.is_tuple = param.kind == ParamKind::variadic && !chance(2);
      const std::size_t count = argument.is_tuple ? below(4) : 1;
      for (std::size_t i = 0; i < count; ++i) argument.values.push_back(value(param));
      out.push_back(std::move(argument));
    }
    return out;
  }

  std::vector<Block> blocks(const std::vector<Argument>& arguments) {
    std::vector<Block> out(chance(90) ? 2 : below(4));
    for (Block& block : out) {
      for (const Argument& argument : arguments) {
        for (const OwnedValue& v : argument.values) {
          if (argument.name == "loop_vars" || chance(5)) block.inputs.push_back(v.type);
        }
      }
      block.outputs = block.inputs;
      if (block.outputs.empty() || chance(40)) block.outputs = {tensor(DType::boolean, {})};
    }
    return out;
  }

 private:
  std::int64_t dim() {
    if (chance(85)) return static_cast<std::int64_t>(below(5));
    constexpr std::int64_t kOdd[] = {kUnknownDim, kFirstSymbolDim,       kFirstSymbolDim - 1,
                                     64,          std::int64_t{1} << 32, std::int64_t{1} << 62,
                                     INT64_MAX};
    return kOdd[below(std::size(kOdd))];
  }
  Shape shape(std::size_t rank) {
    if (chance(1)) return Shape{kUnknownRank};
    Shape out;
    for (std::size_t i = 0; i < rank; ++i) out.push_back(dim());
    return out;
  }
  static OwnedType tensor(DType dtype, Shape shape) {
    OwnedType out;
    out.dtype = dtype;
    out.shape = std::move(shape);
    return out;
  }

  DType dtype_of(const Param& param) {
    if (chance(2) || param.dtypes.empty()) return static_cast<DType>(1 + below(kDTypeCount - 1));
    if (param.domain != '\0') {
      DType& shared = domains_[static_cast<std::size_t>(param.domain - 'A')];
      if (shared != DType::none) return shared;
      return shared = pick(param.dtypes);
    }
    return pick(param.dtypes);
  }
  DType pick(DTypeSet set) {
    while (true) {
      const auto dtype = static_cast<DType>(below(kDTypeCount));
      if (set.has(dtype)) return dtype;
    }
  }

  OwnedType type_of(const Param& param) {
    OwnedType out;
    const bool wrong_kind = chance(2);
    const bool is_list = param.kind == ParamKind::list || param.kind == ParamKind::any;
    if ((is_list || param.kind == ParamKind::state) != wrong_kind) {
      out.kind = param.kind == ParamKind::state || (wrong_kind && chance(30)) ? TypeKind::state
                                                                              : TypeKind::list;
      if (param.kind == ParamKind::any && chance(50)) out.kind = TypeKind::tensor_buffer;
      // A written type has a rank.
      const bool has_rank = shape_.size() != 1 || shape_[0] != kUnknownRank;
      const OwnedType element =
          tensor(static_cast<DType>(1 + below(kDTypeCount - 1)), has_rank ? shape_ : Shape{});
      if (out.kind == TypeKind::tensor_buffer) {
        out.dtype = element.dtype;
        out.shape = element.shape;
        return out;
      }
      out.element = std::make_shared<OwnedType>(element);
      out.length = out.kind == TypeKind::list ? dim() : 0;
      return out;
    }
    const bool vector =
        param.form == Form::integers || param.form == Form::booleans || param.form == Form::extents;
    const bool scalar = param.form != Form::operand && !vector;
    if (scalar && !chance(2)) return tensor(dtype_of(param), {});
    if (vector && !chance(2)) {
      const std::size_t length = chance(70) ? shape_.size() : below(7);
      return tensor(dtype_of(param), Shape{static_cast<std::int64_t>(length)});
    }
    return tensor(dtype_of(param), chance(50) ? shape_ : shape(below(7)));
  }

  OwnedValue value(const Param& param) {
    OwnedValue out;
    out.type = type_of(param);
    out.is_const = chance(param.is_const ? 98 : 40);
    if (!out.is_const || chance(5)) return out;
    const bool is_list = out.type.kind == TypeKind::list;
    if (out.type.kind != TypeKind::tensor && !is_list) return out;
    const DType dtype = is_list ? out.type.element->dtype : out.type.dtype;
    const Shape length{out.type.length};
    const Shape& dims = is_list ? length : out.type.shape;
    std::int64_t count = 1;
    for (const std::int64_t n : dims) {
      constexpr std::int64_t kMost = 64;
      if (n < 0 || n > kMost) return out;  // a constant has a known shape, and a small one here
      count *= n;
      if (count > kMost) return out;
    }
    out.known = true;
    for (std::int64_t i = 0; i < count; ++i) add_element(param, dtype, out);
    return out;
  }

  void add_element(const Param& param, DType dtype, OwnedValue& out) {
    if (dtype == DType::string) {
      out.texts.push_back(word(param.choices));
    } else if (dtype == DType::boolean) {
      out.ints.push_back(static_cast<std::int64_t>(below(2)));
    } else if (is_float(dtype)) {
      constexpr double kReals[] = {0, 0.5, 1, 2, -1, 1e9, 1e300, -1e-9, HUGE_VAL, -HUGE_VAL, NAN};
      out.reals.push_back(kReals[below(chance(80) ? 4 : std::size(kReals))]);
    } else {
      constexpr std::int64_t kInts[] = {
          1, 2, 0, 3, -1, 4, -2, -4, INT64_MAX, INT64_MIN, INT32_MAX, std::int64_t{1} << 62};
      out.ints.push_back(kInts[below(chance(80) ? 4 : std::size(kInts))]);
    }
  }
  std::string word(std::string_view choices) {
    if (choices.empty() || chance(5)) return chance(50) ? "" : "abc,cde->abe";
    std::vector<std::string_view> words;
    while (!choices.empty()) {
      const std::size_t end = std::min(choices.find(' '), choices.size());
      words.push_back(choices.substr(0, end));
      choices.remove_prefix(std::min(end + 1, choices.size()));
    }
    return std::string(words[below(words.size())]);
  }

  std::mt19937_64 random_;
  DType domains_[26] = {};
  Shape shape_;
};

/// What is wrong with the results of an accepted op; nothing when all is well.
std::string fault_of(const OpInfo& op, Opset opset, const std::vector<Argument>& arguments,
                     const std::vector<OwnedType>& results) {
  const int counts[] = {0, 1, 2, 3};
  if (op.results != ResultCount::by_inference &&
      static_cast<int>(results.size()) != counts[static_cast<int>(op.results)] &&
      op.code != OpCode::non_maximum_suppression) {
    return fmt::format("{} results", results.size());
  }
  for (const OwnedType& result : results) {
    for (const std::int64_t dim : result.shape) {
      const bool is_input_symbol = dim == kFirstSymbolDim || dim == kFirstSymbolDim - 1;
      const bool is_rank = dim == kUnknownRank && result.shape.size() == 1;
      if (dim < 0 && dim != kUnknownDim && !is_input_symbol && !is_rank) {
        return fmt::format("a dim of {}", dim);
      }
    }
  }
  if (results.empty()) return {};
  DType wanted = results.front().dtype;
  if (op.result_dtype == ResultDType::boolean) wanted = DType::boolean;
  if (op.result_dtype == ResultDType::int32) wanted = DType::int32;
  // matmul's is that of the run-time operand where the other is a constant.
  if (op.result_dtype == ResultDType::domain && op.code != OpCode::matmul) {
    for (const Param& param : op.params(opset)) {
      if (param.domain != op.result_domain || param.kind == ParamKind::variadic) continue;
      for (const Argument& argument : arguments) {
        if (argument.name == param.name) wanted = argument.values.front().type.dtype;
      }
    }
  }
  if (results.front().dtype == wanted) return {};
  return fmt::format("the dtype {} and not {}", dtype_name(results.front().dtype),
                     dtype_name(wanted));
}

struct Tally {
  int runs = 0;
  int accepted = 0;
};

void fuzz(const OpInfo& op, int rounds, Tally& tally) {
  for (int opset = 15; opset <= 18; ++opset) {
    Generator generator(static_cast<std::uint64_t>(op.code) * 100 +
                        static_cast<std::uint64_t>(opset));
    for (int round = 0; round < rounds; ++round) {
      const std::vector<Argument> arguments = generator.arguments(op, static_cast<Opset>(opset));
      DataContext context(op, static_cast<Opset>(opset), arguments, generator.blocks(arguments));
      const bool accepted = context.run();
      ++tally.runs;
      tally.accepted += accepted ? 1 : 0;
      std::string fault;
      if (accepted != context.diagnostics().all().empty()) {
        fault = "an outcome that its diagnostics deny";
      } else if (accepted) {
        fault = fault_of(op, static_cast<Opset>(opset), arguments, context.results());
      }
      if (!fault.empty()) {
        FAIL_CHECK(op.name, " in ios", opset, ", round ", round, ", has ", fault);
      }
    }
  }
}

}  // namespace

TEST_CASE("random arguments of every op") {
  constexpr int kRounds = 100;
  Tally tally;
  for (const OpInfo& op : op_table()) {
    if (op.code != OpCode::const_) fuzz(op, kRounds, tally);
  }
  for (const OpInfo& op : segmenter_op_table()) fuzz(op, kRounds, tally);
  MESSAGE(tally.runs, " ops inferred, ", tally.accepted, " accepted");
  CHECK(tally.accepted > tally.runs / 20);
}
