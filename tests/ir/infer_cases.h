// Inference without a graph: arguments as plain data, one op at a time.
//
// Two ways in. `infer_line` reads an op from one line, for the cases that stand in the tests:
//
//     infer_line("conv", "x=fp16[1,4,8,8] weight=%fp16[2,4,3,3] pad_type=string:same")
//
//   fp16[2,s0,?]     a run-time tensor; s0, s1 ... are symbols, ? is a dim that is not known
//   fp16             a run-time scalar
//   %fp16[2,3]       a constant whose bytes are not at hand (a weight)
//   int32:-1         a constant scalar;  string:same, bool:true, fp32:0.5 likewise
//   int32[2]:1,2     a constant list; one value alone fills it
//   (A B C)          a tuple
//   list<A,3>        a list of 3 elements of type A, list<A,?> of a length that is not known
//   state<A>         a state
//   buffer<A;8,1;1,1>     a tensor_buffer of A's dtype and shape, its strides and its interleave
//                         factors
//   #list<string,2>:a,b   a list constant (classify)
//   in0=(A B) out0=(A)    the inputs and outputs of the op's nested block 0
//
// `run_case_file` replays recorded cases (op_semantics describes the file's format).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/infer.h"
#include "milgen/diagnostic.h"

namespace milgen::test {

/// A type that owns what it consists of.
struct OwnedType {
  TypeKind kind = TypeKind::tensor;
  DType dtype = DType::none;
  Shape shape;
  std::shared_ptr<OwnedType> element;
  std::int64_t length = 0;
  DType key = DType::none;  ///< of a dictionary
  Ints strides;             ///< of a tensor_buffer
  Ints interleave_factors;  ///< of a tensor_buffer

  TypeView view() const;

 private:
  mutable TypeView element_view_;
};

/// "fp16[1,2]", "list<fp16[2],3>", in the notation of infer_line.
std::string notation(const OwnedType& type);

struct OwnedValue {
  OwnedType type;
  bool is_const = false;
  bool known = false;
  std::vector<std::int64_t> ints;
  std::vector<double> reals;
  std::vector<std::string> texts;
};

struct Argument {
  std::string name;
  bool is_tuple = false;
  std::vector<OwnedValue> values;
};

struct Block {
  std::vector<OwnedType> inputs;
  std::vector<OwnedType> outputs;
};

/// An InferContext over plain data.
class DataContext final : public InferContext {
 public:
  DataContext(const OpInfo& op, Opset opset, std::vector<Argument> arguments,
              std::vector<Block> blocks = {});

  /// Reports arg.unknown for names that the op does not have, then infers.
  bool run();
  const Diagnostics& diagnostics() const { return diagnostics_; }
  const std::vector<OwnedType>& results() const { return results_; }
  /// The operands that each error names, in the order of diagnostics().
  const std::vector<std::string>& blamed() const { return blamed_; }

  std::string describe(std::string_view param, int index = 0) const override;
  void result(DType dtype, std::span<const std::int64_t> shape) override;
  void result_like(std::string_view param, int index = 0) override;
  void result_list(DType dtype, std::span<const std::int64_t> element_shape,
                   std::int64_t length) override;
  void result_element(std::string_view param) override;
  void result_dict(DType key, DType value) override;
  void result_tensor_buffer(DType dtype, std::span<const std::int64_t> shape,
                            std::span<const std::int64_t> strides,
                            std::span<const std::int64_t> interleave_factors) override;
  int block_count() const override { return static_cast<int>(blocks_.size()); }
  int block_inputs(int block) const override;
  TypeView block_input(int block, int index) const override;
  int block_outputs(int block) const override;
  TypeView block_output(int block, int index) const override;
  void error(Rule rule, std::string_view operands, std::string message) override;

 private:
  const Argument* find(std::string_view param) const;
  const OwnedValue& value(std::string_view param, int index) const;

  std::vector<Argument> arguments_;
  std::vector<Block> blocks_;
  // What set_arguments() is given, and what that looks at: the inner vectors never change size
  // once the constructor is done.
  std::vector<ArgumentView> argument_views_;
  std::vector<std::vector<ArgumentValue>> value_views_;
  std::map<const OwnedValue*, std::pair<ConstView, std::vector<std::string_view>>> views_;
  std::vector<OwnedType> results_;
  Diagnostics diagnostics_;
  std::vector<std::string> blamed_;
};

/// An op's arguments and blocks, as a line gives them.
struct ParsedLine {
  std::vector<Argument> arguments;
  std::vector<Block> blocks;
};
/// False when the line cannot be read.
bool read_line(std::string_view line, ParsedLine& out);

struct Outcome {
  bool accepted = false;
  std::string results;  ///< "fp16[1,2] int32[?]"
  Diagnostics diagnostics;
  std::vector<std::string> blamed;
};

Outcome infer_parsed(const OpInfo& op, Opset opset, ParsedLine line);
/// The row of an op by its name, be it the opset's or the segmenter's; null when there is none.
const OpInfo* find_any_op(std::string_view name);
/// Infers one op from one line. A line that cannot be read is reported as "test.syntax".
Outcome infer_line(std::string_view op, std::string_view arguments, Opset opset = Opset::ios18);

/// Whether `outcome` is as `expected`: result types in the notation, or "conv.channels: part of
/// the sentence" for an error. Otherwise `why` says what came instead.
bool as_expected(const Outcome& outcome, std::string_view expected, std::string& why);

/// What became of the recorded cases of one op.
struct OpScore {
  int accepted = 0;
  int to_accept = 0;
  int refused = 0;
  int to_refuse = 0;
};
struct CaseReport {
  /// Why the file could not be read to its end; empty when it could. `is_missing` tells a file that
  /// is not there.
  std::string error;
  bool is_missing = false;
  std::map<std::string, OpScore> ops;
  /// Cases whose recorded type is what op_semantics lists as a bug of the reference, though they
  /// are not marked so: how many, and how many of them have the documented type.
  int corrected = 0;
  int to_correct = 0;
  /// Cases of other categories than valid and invalid, which are not judged, by category.
  std::map<std::string, int> not_judged;
  std::vector<std::string> mismatches;
};
/// Replays the cases of a file, plain or gzipped.
CaseReport run_case_file(const std::string& path);

}  // namespace milgen::test
