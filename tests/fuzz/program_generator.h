// Random programs that are valid by construction: the op table says what an op takes, inference
// says what it gives, and what inference refuses is tried again with other operands in the place of
// those that it blames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/infer_cases.h"
#include "milgen/module.h"
#include "milgen/op_info.h"

namespace milgen::test {

/// Where the choices of a generator come from.
class Choices {
 public:
  virtual ~Choices() = default;
  /// In [0, n); n is at least 1.
  virtual std::size_t below(std::size_t n) = 0;

  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }
  template <class Container>
  const auto& one_of(const Container& container) {
    return *(std::begin(container) + static_cast<std::ptrdiff_t>(below(std::size(container))));
  }
};

/// The same choices for the same seed, whatever the standard library.
class RandomChoices final : public Choices {
 public:
  explicit RandomChoices(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) override { return static_cast<std::size_t>(random_() % n); }

 private:
  std::mt19937_64 random_;
};

/// Choices that are read from bytes, so that a fuzzer can mutate them; zeros behind the end.
class ByteChoices final : public Choices {
 public:
  explicit ByteChoices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::size_t below(std::size_t n) override;

 private:
  std::uint8_t next();
  std::span<const std::uint8_t> bytes_;
};

/// How often an op was tried, and how often inference took it.
struct Attempts {
  int tried = 0;
  int valid = 0;
};

struct ProgramPlan {
  Opset opset = Opset::ios18;
  mil::Dialect dialect = mil::Dialect::v1_3;
  int functions = 1;
  int ops = 4;                    ///< of each function, besides constants
  const OpInfo* first = nullptr;  ///< the op that the first function begins with; null for any
};

class ProgramGenerator {
 public:
  explicit ProgramGenerator(Choices& choices) : choices_(choices) {}

  ProgramPlan plan();
  /// A program in Apple's layout: what print_mil() has to give back byte for byte.
  std::string program(const ProgramPlan& plan);
  /// The same program with other white space between its tokens, and comments.
  std::string in_disorder(std::string_view text);

  /// By name of the op.
  const std::map<std::string_view, Attempts>& attempts() const { return attempts_; }

 private:
  /// A value that an op may be given.
  struct Operand {
    std::string name;  ///< "" for one that is yet to be made
    OwnedValue value;
  };
  struct Given {
    const Param* param = nullptr;
    std::vector<Operand> operands;
  };
  struct BlockText {
    Block types;
    std::string text;
  };

  // --- Text. ---

  std::string type_text(const OwnedType& type) const;
  std::string literal(const OwnedValue& value);
  std::string nested(const OwnedValue& value, const Shape& shape, std::size_t dim, std::size_t& at);
  std::string element(const OwnedValue& value, DType dtype, std::size_t at);
  std::string blob(const OwnedType& type);
  std::string string_literal(std::string_view text);
  std::string quoted(std::string_view text) const;
  std::string attributes(std::map<std::string, std::string> attributes, std::string_view name);
  std::string new_name(std::string_view stem);

  // --- Types and values. ---

  std::int64_t dim();
  Shape shape();
  DType pick(DTypeSet set);
  DType dtype_of(const Param& param);
  OwnedType type_of(const Param& param);
  Operand operand(const Param& param);
  bool from_scope(const Param& param, Operand& out);
  bool fits(const Param& param, const Operand& candidate) const;
  void fill(const Param& param, OwnedValue& value);
  void fill_ints(const Param& param, std::size_t count, OwnedValue& value);
  std::string word(const Param& param);

  // --- Ops. ---

  std::string function(const ProgramPlan& plan, const OpInfo* first);
  bool any_op(int indent);
  bool op(const OpInfo& info, int indent);
  Given given(const Param& param);
  std::vector<Given> arguments(const OpInfo& info, Opset opset);
  void change(std::vector<Given>& arguments, const OpInfo& info, Opset opset,
              std::string_view blamed);
  void take_hints(const Diagnostics& diagnostics);
  void write(const OpInfo& info, Opset opset, std::vector<Given>& arguments,
             const std::vector<OwnedType>& results, const std::vector<BlockText>& blocks,
             int indent);
  std::string bound(Operand& operand, const Param& param, bool in_place, int indent);
  std::string made_input(const Operand& operand, std::string_view stem);
  std::string made_constant(const Operand& operand, std::string_view stem, int indent);
  std::vector<BlockText> blocks(const OpInfo& info, const std::vector<Given>& arguments,
                                int indent);
  BlockText block(const std::vector<OwnedType>& inputs, bool gives_condition,
                  const std::vector<Operand>& passed, int indent);
  std::string outputs();

  Choices& choices_;
  std::map<std::string_view, Attempts> attempts_;
  ProgramPlan plan_;
  std::vector<Operand> scope_;
  std::vector<Operand> inputs_;  ///< of the function, visible everywhere in it
  std::string lines_;
  DType domains_[26] = {};
  Shape theme_;  ///< what most shapes of an op are taken from
  /// What the last refusal says would have been right.
  struct Hints {
    std::vector<Shape> shapes;  ///< and single numbers
    std::vector<std::size_t> ranks;
    DType dtype = DType::none;
    bool constant = false;
  };
  Hints hints_;
  std::size_t tuple_size_ = 1;  ///< that most tuples of an op have
  bool literals_only_ = false;  ///< the op has its operands among its attributes
  int names_ = 0;
  int depth_ = 0;
  std::int64_t next_symbol_ = kFirstSymbolDim;
};

}  // namespace milgen::test
