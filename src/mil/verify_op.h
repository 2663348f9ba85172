// Judging one op of a module: its arguments against the op table, and what inference says against
// the types that are written.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ir/infer.h"
#include "mil/module_data.h"
#include "mil/verify_names.h"
#include "mil/verify_report.h"
#include "mil/verify_values.h"
#include "milgen/op_info.h"

namespace milgen::mil {

/// A row of a table in one opset, with its argument names as ids of the module.
struct OpRow {
  const OpInfo* info = nullptr;
  std::span<const Param> params;
  std::vector<Id> names;
  /// The operands are written as attributes (mil_text_format, section 2).
  bool in_attributes = false;
};

/// A result as inference gives it.
struct InferredResult {
  TypeView type;
  DType key = DType::none;  ///< of a dictionary
};

/// A literal in a weight file, and the name of the value or argument that it is for.
struct BlobUse {
  Id literal;
  Id name;
};

class OpVerifier {
 public:
  OpVerifier(const ModuleData& data, VerifyValues& values, VerifyNames& names,
             VerifyReport& report);

  /// Judges the op, whose blocks have been judged. The results of one that is refused are marked.
  void verify(Id op, Opset opset);
  /// Reports a name that nothing defines and a literal that does not fit its type. `what` says what
  /// is bound ("conv: weight"), in `block`, with values from `end` on made behind it.
  bool verify_binding(const BindingRecord& binding, std::string_view op, std::string_view what,
                      Id block, Id end);
  /// Duplicate keys, literals, and the type of `name`.
  void verify_attributes(std::span<const AttributeRecord> attributes);
  /// The literals in weight files that were met.
  std::span<const BlobUse> blobs() const { return blobs_; }
  /// Of the type that is written in front of a value's name.
  Place place_of_type(Id value) const;

 private:
  friend class ModuleContext;

  /// An argument that was given, by its place in the row.
  struct Given {
    const BindingRecord* bindings = nullptr;
    std::uint32_t count = 0;
    std::uint32_t at = kNoPlace;
    bool is_tuple = false;
  };

  const OpRow* find_row(const OpRecord& op, Opset opset);
  bool judge(const OpRecord& op, Opset opset);
  bool verify_const(const OpRecord& op);
  bool verify_known_op(const OpRecord& op, const OpRow& row, Opset opset);
  void report_unknown_op(const OpRecord& op);
  bool verify_literal(Id literal);
  bool verify_blob(Id literal);
  bool blocks_are_whole(const OpRecord& op) const;

  bool collect_arguments(const OpRecord& op, const OpRow& row, Opset opset);
  bool collect_attributes(const OpRecord& op, const OpRow& row, Opset opset);
  bool give(const OpRow& row, std::size_t param, const Given& given);
  void report_unknown_argument(const OpRow& row, std::string_view name, std::uint32_t at,
                               Opset opset);
  void check_defaults(const OpRecord& op, const OpRow& row);
  bool is_wanted(const OpRow& row, std::string_view param);
  void show_arguments(const OpRow& row);
  ArgumentValue show(const OpRow& row, std::size_t param, const BindingRecord& binding);
  const TypeView& bare_type(const OpRow& row, std::size_t param, const LiteralRecord& literal);
  bool all_constant() const;
  bool takes_disputed() const;
  Place place_of_argument(const Given& given) const;

  bool compare_results(const OpRecord& op, const OpInfo& info);
  bool compare_result(const OpInfo& info, Id value, const InferredResult& inferred);
  bool parts_agree(const InferredResult& inferred, Id type) const;
  void note_operands(Diagnostic* diagnostic) const;

  const ModuleData& data_;
  VerifyValues& values_;
  VerifyNames& names_;
  VerifyReport& report_;
  std::vector<OpRow> rows_;          // by opset and code
  std::vector<std::uint32_t> seen_;  // by name: the round in which it was met last
  std::uint32_t round_ = 0;
  Id name_key_;
  Id val_key_;
  Id string_type_ = kNoId;    // the spelling of string that was met last
  bool loses_names_ = false;  // a syntax error took the names of results away
  std::vector<BlobUse> blobs_;

  // Of the op at hand.
  Id name_ = kEmptyName;  // of its first result
  const OpRow* row_ = nullptr;
  std::vector<Given> given_;  // by param
  std::vector<BindingRecord> attribute_bindings_;
  std::vector<ArgumentValue> argument_values_;
  std::vector<ConstView> unknown_constants_;
  std::vector<ArgumentView> views_;
  std::vector<InferredResult> results_;
  std::vector<std::int64_t> bare_;
  bool is_disputed_ = false;  // an operand has two types
};

}  // namespace milgen::mil
