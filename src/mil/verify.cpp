// The rules of programs, functions, blocks and names. Those of ops are in verify_op.cpp.
#include "milgen/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "mil/literal.h"
#include "mil/module_data.h"
#include "mil/verify_flexible.h"
#include "mil/verify_names.h"
#include "mil/verify_op.h"
#include "mil/verify_report.h"
#include "mil/verify_values.h"
#include "mil/weight_path.h"
#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/printable.h"
#include "support/text.h"

namespace milgen {
namespace mil {
namespace {

constexpr std::size_t kLargestRank = 5;  // op_semantics: no tensor above rank 5

class Verifier {
 public:
  Verifier(const ModuleData& data, const VerifyOptions& options)
      : data_(data),
        options_(options),
        report_(data, options),
        names_(data, report_),
        values_(data),
        ops_(data, values_, names_, report_),
        type_states_(data.types.size(), Answer::unasked),
        name_states_(data.names.size(), Answer::unasked) {}

  bool verify(Diagnostics& diagnostics, std::size_t* allowed_errors) {
    program();
    for (Id id = 0; id < data_.functions.size(); ++id) function(id);
    weights();
    if (allowed_errors != nullptr) *allowed_errors = report_.allowed_errors();
    return report_.finish(diagnostics);
  }

 private:
  enum class Answer : std::uint8_t { unasked, good, bad };

  // --- The program. ---

  void program();
  void styles();
  void duplicate_functions();

  // --- Functions and blocks. ---

  void function(Id id);
  Opset opset_of(Id name, std::uint32_t at, Opset otherwise, bool of_function);
  void function_inputs(const FunctionRecord& record);
  void input_order(const BlockRecord& body);
  void function_outputs(const FunctionRecord& record);
  void repeated_outputs(std::span<const BindingRecord> outputs);
  void walk(Id body);
  void block_inputs(const BlockRecord& block);
  void block_outputs(Id id);
  void op(Id id);

  // --- Values. ---

  void value_name(Id value);
  void value_type(Id value, bool is_weight);
  bool type_is_good(Id type);
  bool is_unused(const OpRecord& op) const;
  void report_unused(Id id);

  // --- Weights. ---

  void weights();
  static bool is_plausible(const BlobRecord& blob, const TypeRecord& type);
  void overlaps();
  Place place_of_literal(Id literal) const;
  void reference(const WeightReference& reference);

  const ModuleData& data_;
  const VerifyOptions& options_;
  VerifyReport report_;
  VerifyNames names_;
  VerifyValues values_;
  OpVerifier ops_;
  std::vector<Answer> type_states_;  // by type
  std::vector<Answer> name_states_;  // by name: whether it may be one
  Opset opset_ = Opset::ios18;
  bool has_effects_ = false;  // of the function at hand
  std::vector<Id> unused_;    // ops of it
};

// --- The program. ---

void Verifier::program() {
  // Without a version the text has a syntax error there.
  if (!data_.version.empty() && data_.version.find('.') == std::string_view::npos) {
    report_.error(rule<"program.version">, place_of_text(data_, data_.version), [&] {
      return fmt::format(
          "the program is of version {}, but a version is two numbers with a dot "
          "between them, as 1.3 is",
          printable(data_.version));
    });
  } else if (!data_.version.empty() && data_.version != "1.0" && data_.version != "1.3") {
    report_.warning(
        rule<"program.version">, [&] { return place_of_text(data_, data_.version); },
        [&] {
          return fmt::format("the program is of version {}, but compilers print 1.0 and 1.3",
                             printable(data_.version));
        });
  }
  ops_.verify_attributes(
      std::span(data_.attributes).subspan(data_.first_attribute, data_.program_attributes));
  if (data_.functions.empty() && data_.well_formed) {
    report_.error(rule<"program.empty">, data_.place(0),
                  [] { return std::string("the program has no function"); });
  }
  if (!data_.comments.empty()) {
    const CommentRecord& first = data_.comments.front();
    report_.warning(
        rule<"text.comment">, [&] { return data_.place(first.at, first.text.size()); },
        [&] {
          return fmt::format(
              "the text has {} comment{}; whether Apple's compiler takes them is "
              "not known",
              data_.comments.size(), data_.comments.size() == 1 ? "" : "s");
        });
  }
  duplicate_functions();
  styles();
}

void Verifier::duplicate_functions() {
  std::vector<Id> first(data_.names.size(), kNoId);
  for (Id id = 0; id < data_.functions.size(); ++id) {
    const FunctionRecord& record = data_.functions[id];
    const std::string_view name = data_.name(record.name);
    if (record.name == kEmptyName) continue;  // a syntax error took it away
    Id& known_as = first[record.name];
    if (known_as == kNoId) {
      known_as = id;
      continue;
    }
    Diagnostic* diagnostic =
        report_.error(rule<"function.duplicate">, data_.place(record.at, name.size()),
                      [&] { return fmt::format("there are two functions '{}'", name); });
    if (diagnostic != nullptr) {
      diagnostic->notes.push_back(
          {"this is the first", data_.place(data_.functions[known_as].at, name.size())});
    }
  }
}

/// mil_text_format, section 4: a text of version 1.0 has tensor<T, []> throughout, one of a later
/// version T alone.
void Verifier::styles() {
  if (data_.version.empty()) return;
  const bool brackets = data_.version == "1.0";
  std::vector<bool> is_foreign(data_.types.size());
  for (Id type = 0; type < data_.types.size(); ++type) {
    const TypeRecord& record = data_.types[type];
    is_foreign[type] =
        record.kind == TypeKind::tensor && record.rank == 0 && record.bracketed != brackets;
  }
  // The table also has spellings that nothing was read in.
  std::size_t times = 0;
  Id first_value = kNoId;
  Id first_literal = kNoId;
  for (Id id = 0; id < data_.values.size(); ++id) {
    if (!is_foreign[data_.values[id].type]) continue;
    ++times;
    if (first_value == kNoId || data_.values[id].at < data_.values[first_value].at) {
      first_value = id;
    }
  }
  for (Id id = 0; id < data_.literals.size(); ++id) {
    const LiteralRecord& literal = data_.literals[id];
    if (literal.type == kNoId || !is_foreign[literal.type]) continue;
    ++times;
    if (first_literal == kNoId || literal.at < data_.literals[first_literal].at) {
      first_literal = id;
    }
  }
  if (times == 0) return;
  const bool is_literal =
      first_value == kNoId ||
      (first_literal != kNoId && data_.literals[first_literal].at < data_.values[first_value].at);
  const Id type = is_literal ? data_.literals[first_literal].type : data_.values[first_value].type;
  report_.warning(
      rule<"program.dialect">,
      [&] {
        return is_literal ? place_of_literal(first_literal) : ops_.place_of_type(first_value);
      },
      [&] {
        return fmt::format("a scalar is written as {}{}, but a program({}) has {} throughout",
                           data_.types[type].text,
                           times == 1 ? "" : fmt::format(", the first of {} such", times),
                           printable(data_.version), brackets ? "tensor<T, []>" : "T alone");
      });
}

// --- Functions and blocks. ---

Opset Verifier::opset_of(Id name, std::uint32_t at, Opset otherwise, bool of_function) {
  const std::string_view word = data_.name(name);
  Opset opset = otherwise;
  if (word.empty() || opset_from_name(word, opset)) return opset;
  // Behind the name of the function or op and its `<`.
  const auto place = [&] {
    const std::size_t angle = at == kNoPlace ? std::string_view::npos : data_.text().find('<', at);
    return angle == std::string_view::npos
               ? data_.place(at)
               : data_.place(static_cast<std::uint32_t>(angle + 1), word.size());
  };
  // What went before ios15 had the same ops but for two; what came after ios18 has the same.
  // Converters call opsets CoreML5 and so on (mlpackage_format).
  const std::size_t prefix = word.starts_with("ios") ? 3 : word.starts_with("CoreML") ? 6 : 0;
  const std::string_view digits = prefix == 0 ? std::string_view() : word.substr(prefix);
  int number = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || read.ptr != digits.data() + digits.size()) {
    report_.error(rule<"opset.unknown">, place(), [&] {
      constexpr std::string_view kOpsets[] = {"ios15", "ios16", "ios17", "ios18"};
      return fmt::format("{} of opset {}, but opsets are called ios15, ios16 and so on{}",
                         of_function ? "the function is" : "the op is", printable(word),
                         did_you_mean(word, kOpsets));
    });
    return otherwise;
  }
  opset = number == 13 || number == 14 ? Opset::ios15 : Opset::ios18;
  report_.warning(rule<"opset.unknown">, place, [&] {
    return fmt::format("{} of opset {}, which milgen does not know; it is judged as {}",
                       of_function ? "the function is" : "the op is", printable(word),
                       opset_name(opset));
  });
  return opset;
}

void Verifier::function(Id id) {
  const FunctionRecord& record = data_.functions[id];
  const std::string_view name = data_.name(record.name);
  if (is_reserved_word(name)) {
    report_.error(rule<"name.reserved">, data_.place(record.at, name.size()), [&] {
      return fmt::format("'{}' is a word of MIL and cannot be the name of a function", name);
    });
  }
  opset_ = options_.opset ? *options_.opset : opset_of(record.opset, record.at, Opset::ios18, true);
  const bool has_opset = record.opset != kEmptyName;  // unless a syntax error took it away
  if (has_opset && opset_ >= Opset::ios18 && data_.version == "1.0") {
    // mil_text_format, section 0: compilers print ios18 in programs of version 1.3 alone.
    report_.warning(
        rule<"program.dialect">, [&] { return data_.place(record.at, name.size()); },
        [&] {
          return fmt::format(
              "func {} is of {} but the program is of version 1.0, in which no "
              "compiler writes {}",
              name, opset_name(opset_), opset_name(opset_));
        });
  }
  has_effects_ = false;
  unused_.clear();
  names_.enter(id);
  ops_.verify_attributes(
      std::span(data_.attributes).subspan(record.first_attribute, record.attributes));
  verify_flexible_shapes(data_, record, report_);
  function_inputs(record);
  walk(record.body);
  function_outputs(record);
  for (const Id op : unused_) report_unused(op);
}

void Verifier::function_inputs(const FunctionRecord& record) {
  const BlockRecord& body = data_.blocks[record.body];
  block_inputs(body);
  for (Id value = body.first_input; value != body.first_input + body.inputs; ++value) {
    const std::string_view name = data_.name(data_.values[value].name);
    const TypeRecord& type = data_.types[data_.values[value].type];
    const auto place = [&] { return data_.place_of_value(value); };
    if (type.kind == TypeKind::tensor && type.rank == 0) {
      report_.warning(rule<"input.scalar">, place, [&] {
        return fmt::format(
            "input '{}' is {}, and some loaders take no input of rank 0; "
            "tensor<{}, [1]> would do",
            name, type.text, dtype_name(type.dtype));
      });
    }
    if (type.kind == TypeKind::state && opset_ < Opset::ios18) {
      report_.error(rule<"state.opset">, place(), [&] {
        return fmt::format(
            "input '{}' is {}, but there are states from ios18 on and func {} is "
            "judged as one of {}",
            name, printable(type.text), data_.name(record.name), opset_name(opset_));
      });
    }
    if (data_.values[value].first_use == kNoId && data_.well_formed) {
      report_.warning(rule<"input.unused">, place,
                      [&] { return fmt::format("nothing uses input '{}'", name); });
    }
  }
  input_order(body);
}

/// The runtime binds by sorted name (ane_constraints, U4), and compilers write inputs sorted.
void Verifier::input_order(const BlockRecord& body) {
  if (data_.functions[body.function].names_lost) return;
  Id before = kNoId;
  for (Id value = body.first_input; value != body.first_input + body.inputs; ++value) {
    if (data_.types[data_.values[value].type].kind == TypeKind::state) continue;
    const std::string_view name = data_.name(data_.values[value].name);
    if (before == kNoId || data_.name(data_.values[before].name) <= name) {
      before = value;
      continue;
    }
    Diagnostic* diagnostic = report_.warning(
        rule<"io.order">, [&] { return data_.place_of_value(value); },
        [&] {
          return fmt::format(
              "input '{}' is written behind '{}' and sorts before it; the ANE binds inputs in name "
              "order",
              name, data_.name(data_.values[before].name));
        });
    report_.note_made(diagnostic, "input", before);
    return;
  }
}

void Verifier::function_outputs(const FunctionRecord& record) {
  const BlockRecord& body = data_.blocks[record.body];
  if (body.outputs == 0 && !has_effects_ && data_.well_formed) {
    const std::string_view name = data_.name(record.name);
    report_.error(rule<"function.outputs">, data_.place(record.at, name.size()),
                  [&] { return fmt::format("func {} has no outputs", name); });
  }
  const std::span<const BindingRecord> outputs = data_.outputs_of(body);
  for (const BindingRecord& output : outputs) {
    if (output.kind != BindingKind::value) continue;
    const ValueRecord& value = data_.values[output.id];
    const std::string_view name = data_.name(value.name);
    if (data_.types[value.type].kind != TypeKind::state) {
      if (value.op == kNoId && data_.well_formed) {
        // ane_constraints, FMT-014: some loaders crash on such a program.
        report_.warning(
            rule<"output.input">, [&] { return data_.place(output.at, name.size()); },
            [&] {
              return fmt::format(
                  "output '{}' is an input, which some loaders crash on; "
                  "identity(x = {}) would do",
                  name, name);
            });
      }
      continue;
    }
    Diagnostic* diagnostic =
        report_.error(rule<"state.output">, data_.place(output.at, name.size()), [&] {
          return fmt::format("output '{}' is a state; a function gives what read_state reads",
                             name);
        });
    report_.note_made(diagnostic, "input", output.id);
  }
  repeated_outputs(outputs);
}

/// An error once for each value: the outputs of a program are told apart by their names.
void Verifier::repeated_outputs(std::span<const BindingRecord> outputs) {
  std::vector<std::pair<Id, std::uint32_t>> seen;  // the value and its place
  for (const BindingRecord& output : outputs) {
    if (output.kind == BindingKind::value) seen.emplace_back(output.id, output.at);
  }
  std::ranges::sort(seen);
  for (std::size_t i = 0; i < seen.size();) {
    std::size_t end = i + 1;
    while (end < seen.size() && seen[end].first == seen[i].first) ++end;
    if (end - i > 1) {
      const std::string_view name = data_.name(data_.values[seen[i].first].name);
      Diagnostic* diagnostic = report_.error(
          rule<"output.twice">, data_.place(seen[i + 1].second, name.size()),
          [&] { return fmt::format("value '{}' is {} outputs of one name", name, end - i); });
      if (diagnostic != nullptr) {
        diagnostic->notes.push_back(
            {"this is the first", data_.place(seen[i].second, name.size())});
      }
    }
    i = end;
  }
}

/// Ops in the order of the text, those of an op's blocks in front of the op itself. An op that has
/// blocks waits on a stack of its own.
void Verifier::walk(Id body) {
  std::vector<Id> open;
  Id block = body;
  Id next = data_.blocks[body].first_op;
  for (;;) {
    if (next != kNoId) {
      const OpRecord& record = data_.ops[next];
      if (record.blocks == 0 || record.broken) {
        op(next);
        next = record.next;
      } else {
        open.push_back(next);
        block = record.first_block;
        block_inputs(data_.blocks[block]);
        next = data_.blocks[block].first_op;
      }
      continue;
    }
    block_outputs(block);
    if (open.empty()) return;
    const Id owner = open.back();
    if (data_.blocks[block].next != kNoId) {
      block = data_.blocks[block].next;
      block_inputs(data_.blocks[block]);
      next = data_.blocks[block].first_op;
    } else {
      open.pop_back();
      op(owner);
      block = data_.ops[owner].block;
      next = data_.ops[owner].next;
    }
  }
}

void Verifier::block_inputs(const BlockRecord& block) {
  for (Id value = block.first_input; value != block.first_input + block.inputs; ++value) {
    value_name(value);
    value_type(value, false);
    values_.set_input(value);
  }
}

void Verifier::block_outputs(Id id) {
  const BlockRecord& block = data_.blocks[id];
  const std::string_view what = block.op == kNoId ? "an output" : "an output of a block";
  const std::string_view owner = block.op == kNoId
                                     ? data_.name(data_.functions[block.function].name)
                                     : data_.name(data_.ops[block.op].name);
  for (const BindingRecord& output : data_.outputs_of(block)) {
    ops_.verify_binding(output, owner, what, id, static_cast<Id>(data_.values.size()));
  }
}

void Verifier::op(Id id) {
  const OpRecord& record = data_.ops[id];
  for (Id i = 0; i < record.results; ++i) value_name(record.first_result + i);
  if (record.broken) return;
  const OpInfo* info = record.code >= 0 ? &op_info(static_cast<OpCode>(record.code)) : nullptr;
  const bool is_weight =
      info != nullptr && (info->code == OpCode::const_ || has(info->traits, Trait::constexpr_op));
  for (Id i = 0; i < record.results; ++i) value_type(record.first_result + i, is_weight);
  if (info != nullptr && has(info->traits, Trait::side_effect)) has_effects_ = true;
  if (info != nullptr && info->code == OpCode::coreml_update_state) {
    report_.warning(
        rule<"state.update">, [&] { return data_.place_of_op(id); },
        [] {
          return std::string(
              "coreml_update_state is what converters have; in a compiled text it "
              "is write_state, and read_state where the result is used");
        });
  }
  ops_.verify(id, opset_of(record.opset, record.name_at, opset_, false));
  if (info != nullptr && !has(info->traits, Trait::side_effect) && is_unused(record)) {
    unused_.push_back(id);
  }
}

// --- Values. ---

void Verifier::value_name(Id value) {
  const ValueRecord& record = data_.values[value];
  Answer& state = name_states_[record.name];
  if (state == Answer::unasked) {
    state = is_reserved_word(data_.name(record.name)) ? Answer::bad : Answer::good;
  }
  if (state == Answer::bad) {
    report_.error(rule<"name.reserved">, data_.place_of_value(value), [&] {
      return fmt::format("'{}' is a word of MIL and cannot be the name of a value",
                         data_.name(record.name));
    });
  }
  const Id redefined = data_.redefined_value(value);
  if (redefined == kNoId) return;
  const std::string_view name = data_.name(record.name);
  const bool same_block = data_.block_of_value(value) == data_.block_of_value(redefined);
  Diagnostic* diagnostic =
      same_block
          ? report_.error(rule<"name.duplicate">, data_.place_of_value(value),
                          [&] { return fmt::format("there are two values '{}'", name); })
          : report_.warning(
                rule<"name.shadow">, [&] { return data_.place_of_value(value); },
                [&] { return fmt::format("'{}' hides a value outside of its block", name); });
  report_.note_made(diagnostic, same_block ? "the first" : "the other", redefined);
  names_.excuse(record.name);
}

/// Weights may have more dims than other tensors: the lookup table of a convolution has six.
void Verifier::value_type(Id value, bool is_weight) {
  const Id id = data_.values[value].type;
  if (type_is_good(id)) return;
  // What is made of such a value mostly is of its type, and is no mistake of its own.
  if (!is_weight) type_states_[id] = Answer::good;
  const TypeRecord& type = data_.types[id];
  const std::string_view name = data_.name(data_.values[value].name);
  if (type.kind == TypeKind::state) {
    report_.error(rule<"type.state">, ops_.place_of_type(value), [&] {
      return fmt::format("'{}' is {}, but a state holds a tensor", name, printable(type.text));
    });
    return;
  }
  std::int64_t count = 0;
  const std::span<const std::int64_t> shape = data_.types.shape(type);
  if (std::ranges::all_of(shape, known) && !element_count(shape, count)) {
    report_.error(rule<"tensor.size">, ops_.place_of_type(value), [&] {
      return fmt::format("'{}' is {}, which has more than 2^63 - 1 elements", name,
                         printable(type.text));
    });
  } else if (!is_weight) {
    report_.error(rule<"tensor.rank">, ops_.place_of_type(value), [&] {
      return fmt::format("'{}' is {} of rank {}; the largest rank is {}", name,
                         printable(type.text), type.rank, kLargestRank);
    });
  }
}

bool Verifier::type_is_good(Id id) {
  Answer& state = type_states_[id];
  if (state == Answer::unasked) {
    const TypeRecord& type = data_.types[id];
    const std::span<const std::int64_t> shape = data_.types.shape(type);
    std::int64_t count = 0;
    bool good = type.rank <= kLargestRank;
    if (std::ranges::all_of(shape, known)) good = good && element_count(shape, count);
    if (type.kind == TypeKind::state) {
      good = data_.types[data_.types.children(type).front()].kind == TypeKind::tensor;
    }
    state = good ? Answer::good : Answer::bad;
  }
  return state == Answer::good;
}

bool Verifier::is_unused(const OpRecord& op) const {
  // What a syntax error took away may have been a use; a block may have effects.
  if (op.results == 0 || op.blocks != 0 || !data_.well_formed) return false;
  for (Id i = 0; i < op.results; ++i) {
    if (data_.values[op.first_result + i].first_use != kNoId) return false;
  }
  return true;
}

void Verifier::report_unused(Id id) {
  const OpRecord& op = data_.ops[id];
  const Id name = data_.values[op.first_result].name;
  if (names_.is_excused(name)) return;
  report_.warning(
      rule<"value.unused">, [&] { return data_.place_of_value(op.first_result); },
      [&] { return fmt::format("{}: nothing uses '{}'", data_.name(op.name), data_.name(name)); });
}

// --- Weights. ---

void Verifier::weights() {
  const bool check = options_.weights == WeightCheck::check;
  std::vector<WeightReference> references;
  for (const BlobUse& use : ops_.blobs()) {
    const LiteralRecord& literal = data_.literals[use.literal];
    const BlobRecord& blob = data_.blobs[literal.blob];
    const TypeRecord& type = data_.types[literal.type];
    if (!check && is_plausible(blob, type)) continue;
    references.push_back({std::string(data_.name(use.name)), unescape(blob.path), blob.offset,
                          type.dtype, Shape(data_.types.shape(type)),
                          place_of_literal(use.literal)});
  }
  if (!check) {
    for (const WeightReference& one : references) reference(one);
    overlaps();
    return;
  }
  Diagnostics found;
  check_weights(references, options_.model_path, found,
                {.lenient = options_.lenient, .file = options_.weight_file});
  report_.append(found);
  // A reference that no record fits mostly overlaps another one, which is no news.
  if (!found.has_errors() && !options_.lenient) overlaps();
}

/// Whether reference() would say nothing.
bool Verifier::is_plausible(const BlobRecord& blob, const TypeRecord& type) {
  return blob.path.size() >= 2 && blob.path.find('\\') == std::string_view::npos &&
         weight_path_fault(blob.path.substr(1, blob.path.size() - 2)).empty() &&
         weight_dtype_code(type.dtype) != 0 && blob.offset % kWeightAlignmentBytes == 0;
}

/// Records of one file share bytes only where they are one record. mil_text_format, section 6: a
/// record of 64 bytes stands at the offset, with the payload behind it.
void Verifier::overlaps() {
  struct Extent {
    std::string_view path;
    std::uint64_t begin;
    std::uint64_t end;
    Id literal;
  };
  std::vector<Extent> extents;
  for (const BlobUse& use : ops_.blobs()) {
    const LiteralRecord& literal = data_.literals[use.literal];
    const BlobRecord& blob = data_.blobs[literal.blob];
    const TypeRecord& type = data_.types[literal.type];
    std::uint64_t elements = 0;
    std::uint64_t size_bytes = 0;
    if (!weight_size(type.dtype, data_.types.shape(type), elements, size_bytes)) continue;
    // A size has 63 bits, so the first sum fits in 64.
    size_bytes += kWeightRecordBytes;
    if (blob.offset > UINT64_MAX - size_bytes) continue;
    const std::string_view path = options_.weight_file.empty() ? blob.path : std::string_view();
    extents.push_back({path, blob.offset, blob.offset + size_bytes, use.literal});
  }
  std::ranges::stable_sort(extents, [](const Extent& a, const Extent& b) {
    return std::tie(a.path, a.begin, a.end) < std::tie(b.path, b.begin, b.end);
  });
  const Extent* last = nullptr;  // of those of its file the one that reaches farthest
  for (const Extent& one : extents) {
    const bool is_apart = last == nullptr || last->path != one.path || one.begin >= last->end;
    if (!is_apart && (one.begin != last->begin || one.end != last->end)) {
      Diagnostic* diagnostic = report_.warning(
          rule<"weight.overlap">, [&] { return place_of_literal(one.literal); },
          [&] {
            return fmt::format(
                "bytes {} to {} of the weight file are referred to, but another weight takes {} "
                "to {}",
                one.begin, one.end, last->begin, last->end);
          });
      if (diagnostic != nullptr) {
        diagnostic->notes.push_back({"this is the other weight", place_of_literal(last->literal)});
      }
    }
    if (is_apart || one.end > last->end) last = &one;
  }
}

Place Verifier::place_of_literal(Id literal) const {
  const LiteralRecord& record = data_.literals[literal];
  return data_.place(record.at, record.text.size());
}

/// What can be said without the file.
void Verifier::reference(const WeightReference& reference) {
  if (const std::string_view fault = weight_path_fault(reference.path); !fault.empty()) {
    report_.error(rule<"weight.path">, reference.place, [&] {
      return fmt::format("weight '{}' is in '{}', {}", reference.name, printable(reference.path),
                         fault);
    });
  }
  if (weight_dtype_code(reference.dtype) == 0) {
    report_.error(rule<"weight.dtype">, reference.place, [&] {
      return fmt::format("weight '{}' is of {}, which weight files do not have", reference.name,
                         dtype_name(reference.dtype));
    });
  }
  if (reference.offset % kWeightAlignmentBytes != 0) {
    report_.warning(
        rule<"weight.alignment">, [&] { return reference.place; },
        [&] {
          return fmt::format("weight '{}' is at offset {}, which is no multiple of {}",
                             reference.name, reference.offset, kWeightAlignmentBytes);
        });
  }
}

}  // namespace
}  // namespace mil

bool verify_mil(const Module& module, const VerifyOptions& options, Diagnostics& diagnostics,
                std::size_t* allowed_errors) {
  return mil::Verifier(module.data(), options).verify(diagnostics, allowed_errors);
}

}  // namespace milgen
