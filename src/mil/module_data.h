// What a Module is made of: flat arrays with integer ids, and text that is never copied - names and
// literals are views into the source (or into text that an edit added), so that parsing allocates
// little and printing as written is copying.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/infer.h"
#include "milgen/module.h"
#include "support/id_table.h"

namespace milgen::mil {

using Id = std::uint32_t;
inline constexpr Id kNoId = 0xFFFFFFFFu;
/// A place that is not in the source: what an edit added.
inline constexpr std::uint32_t kNoPlace = 0xFFFFFFFFu;
/// The name that is no name.
inline constexpr Id kEmptyName = 0;

/// Each distinct word once. Views stay valid: they are of text that the module owns.
class NameTable {
 public:
  NameTable();
  /// `text` has to outlive the table.
  Id intern(std::string_view text);
  /// kNoId when the word is not there.
  Id find(std::string_view text) const;
  std::string_view view(Id id) const { return views_[id]; }
  std::size_t size() const { return views_.size(); }

 private:
  std::vector<std::string_view> views_;
  IdTable ids_;
};

struct TypeRecord {
  TypeKind kind = TypeKind::tensor;
  DType dtype = DType::none;
  bool bracketed = false;       ///< rank 0 written as tensor<T, []>
  std::uint32_t first_dim = 0;  ///< into TypeTable::dims
  std::uint32_t rank = 0;
  std::uint32_t first_child = 0;  ///< into TypeTable::children
  std::uint32_t children = 0;
  std::int64_t length = 0;        ///< of a list
  std::uint32_t first_field = 0;  ///< of a tensor_buffer, into TypeTable::fields
  std::uint32_t fields = 0;
  Id plain = kNoId;       ///< the same type with every rank 0 written as T
  std::string_view text;  ///< as Apple spaces it, in the spelling of rank 0 it was read in
};

/// `shape=[1, 64]` of a tensor_buffer.
struct TypeField {
  std::string_view name;
  std::uint32_t first_dim = 0;
  std::uint32_t dims = 0;
};

/// Each distinct spelling of a type once; `plain` tells whether two are one type.
class TypeTable {
 public:
  TypeTable() = default;
  TypeTable(const TypeTable& other);
  TypeTable& operator=(const TypeTable&) = delete;
  ~TypeTable() = default;

  const TypeRecord& operator[](Id id) const { return records_[id]; }
  std::size_t size() const { return records_.size(); }
  std::span<const std::int64_t> shape(const TypeRecord& type) const {
    return {dims_.data() + type.first_dim, type.rank};
  }
  std::span<const Id> children(const TypeRecord& type) const {
    return {children_.data() + type.first_child, type.children};
  }
  std::span<const TypeField> fields(const TypeRecord& type) const {
    return {fields_.data() + type.first_field, type.fields};
  }
  std::span<const std::int64_t> dims(const TypeField& field) const {
    return {dims_.data() + field.first_dim, field.dims};
  }
  /// For inference. Valid until a type is added.
  const TypeView& view(Id id) const;

  Id tensor(DType dtype, std::span<const std::int64_t> shape, bool bracketed);
  Id list(Id element, std::int64_t length);
  Id state(Id element);
  Id tuple(std::span<const Id> elements);
  Id dict(Id key, Id value);
  struct Field {
    std::string_view name;
    std::vector<std::int64_t> dims;
  };
  Id tensor_buffer(DType dtype, std::span<const Field> fields);

 private:
  /// `text` is the key.
  Id add(std::string text, TypeRecord record, std::span<const std::int64_t> dims,
         std::span<const Id> children);
  Id plain_of(const TypeRecord& record, std::span<const Id> children);

  std::vector<TypeRecord> records_;
  std::vector<std::int64_t> dims_;
  std::vector<Id> children_;
  std::vector<TypeField> fields_;
  NameTable by_text_;  // the id of a text is that of its type, plus one
  std::vector<std::shared_ptr<const std::string>> texts_;
  mutable std::vector<std::unique_ptr<TypeView>> views_;
};

struct BlobRecord {
  Id path_type = kNoId;
  std::string_view path;  ///< with quotes and escapes, as written
  Id offset_type = kNoId;
  std::string_view offset_text;
  std::uint64_t offset = 0;
};

struct LiteralRecord {
  Id type = kNoId;  ///< kNoId for a bare one
  Id blob = kNoId;  ///< into blobs; kNoId for a value in the text
  std::string_view text;
  std::uint32_t at = kNoPlace;
  /// Spaced as Apple does (one space behind each comma and nowhere else), so that it can be copied.
  bool spaced = true;
};

enum class BindingKind : std::uint8_t {
  value,      ///< id is a value
  literal,    ///< id is a literal
  undefined,  ///< id is a name
  tuple,      ///< id is the first of `count` bindings that follow each other
};

struct BindingRecord {
  BindingKind kind = BindingKind::undefined;
  Id id = kNoId;
  std::uint32_t count = 0;
  std::uint32_t at = kNoPlace;
  /// The op that it is an argument of, or kNoId and the block that it is an output of.
  Id op = kNoId;
  Id block = kNoId;
  /// The chain of a value's uses.
  Id next_use = kNoId;
  Id previous_use = kNoId;
};

struct ArgumentRecord {
  Id name = kEmptyName;
  Id first_binding = 0;
  std::uint32_t bindings = 0;
  std::uint32_t at = kNoPlace;
  bool is_tuple = false;
};

struct AttributeRecord {
  Id name = kEmptyName;
  Id literal = kNoId;
  std::uint32_t at = kNoPlace;
};

struct ValueRecord {
  Id name = kEmptyName;
  Id type = kNoId;
  Id op = kNoId;     ///< kNoId for an input
  Id block = kNoId;  ///< that it is an input of; kNoId for a result
  std::uint32_t index = 0;
  Id first_use = kNoId;
  /// The value that had the name already, and was in sight, when the text was read; kNoId for a
  /// name of its own. ModuleData::redefined_value() says what edits left of that.
  Id redefines = kNoId;
  std::uint32_t at = kNoPlace;
};

struct OpRecord {
  Id name = kEmptyName;
  Id opset = kEmptyName;   ///< op<ios17>(...)
  std::int16_t code = -1;  ///< OpCode, or -1
  bool broken = false;     ///< had a syntax error behind its results; is not judged or printed
  bool erased = false;
  Id block = kNoId;
  Id previous = kNoId;
  Id next = kNoId;
  Id first_result = 0;
  std::uint32_t results = 0;
  Id first_argument = 0;
  std::uint32_t arguments = 0;
  Id first_attribute = 0;
  std::uint32_t attributes = 0;
  Id first_block = kNoId;
  std::uint32_t blocks = 0;
  std::uint32_t at = kNoPlace;       ///< the statement's first byte
  std::uint32_t name_at = kNoPlace;  ///< the op's word
};

struct BlockRecord {
  Id op = kNoId;  ///< kNoId for a function's body
  Id function = kNoId;
  Id next = kNoId;  ///< the op's next block
  Id first_input = 0;
  std::uint32_t inputs = 0;
  Id first_op = kNoId;
  Id last_op = kNoId;
  std::uint32_t ops = 0;
  Id first_output = 0;  ///< a binding
  std::uint32_t outputs = 0;
  bool no_parentheses = false;  ///< a block without inputs that is written ` {`, not `() {`
  std::uint32_t at = kNoPlace;
  std::uint32_t end = kNoPlace;  ///< its closing brace
};

struct FunctionRecord {
  Id name = kEmptyName;
  Id opset = kEmptyName;
  Id first_attribute = 0;
  std::uint32_t attributes = 0;
  Id body = kNoId;
  std::uint32_t at = kNoPlace;
  /// A syntax error hid which names an op or the inputs define, so that an undefined name means
  /// nothing here.
  bool names_lost = false;
};

/// `// ...`: never printed by Apple (mil_text_format, section 1), kept for who writes by hand.
struct CommentRecord {
  std::uint32_t at = 0;
  std::string_view text;  ///< from the slashes to the end of the line
};

struct ModuleData {
  /// Behind its end stands a byte of 0, so that scanning needs no other bound. Shared with clones,
  /// as all text is: views stay valid.
  std::shared_ptr<const std::string> source;
  std::string file;
  std::vector<std::shared_ptr<const std::string>> added;  ///< text that edits brought in
  bool well_formed = false;

  std::string_view version;
  Id first_attribute = 0;
  std::uint32_t program_attributes = 0;
  std::string_view tail;  ///< white space behind the program

  NameTable names;
  TypeTable types;
  std::vector<FunctionRecord> functions;
  std::vector<BlockRecord> blocks;
  std::vector<OpRecord> ops;
  std::vector<ValueRecord> values;
  std::vector<ArgumentRecord> arguments;
  std::vector<BindingRecord> bindings;
  std::vector<AttributeRecord> attributes;
  std::vector<LiteralRecord> literals;
  std::vector<BlobRecord> blobs;
  std::vector<CommentRecord> comments;  ///< in the order of the text
  std::size_t live_ops = 0;

  std::string_view text() const { return *source; }
  std::string_view name(Id id) const { return names.view(id); }
  /// The place of a byte of the source; without a line for kNoPlace.
  Place place(std::uint32_t at, std::size_t length = 1) const;
  /// Of the name that a value is defined by, of an op's word.
  Place place_of_value(Id value) const;
  Place place_of_op(Id op) const;

  std::span<const ArgumentRecord> arguments_of(const OpRecord& op) const {
    return {arguments.data() + op.first_argument, op.arguments};
  }
  std::span<const AttributeRecord> attributes_of(const OpRecord& op) const {
    return {attributes.data() + op.first_attribute, op.attributes};
  }
  std::span<const BindingRecord> bindings_of(const ArgumentRecord& argument) const {
    return {bindings.data() + argument.first_binding, argument.bindings};
  }
  std::span<const BindingRecord> outputs_of(const BlockRecord& block) const {
    return {bindings.data() + block.first_output, block.outputs};
  }
  /// The literal of a `const` op's attribute val, or kNoId.
  Id const_literal(const OpRecord& op) const;
  /// The literal behind a binding, be it written there or that of a const op; kNoId when the value
  /// is not known.
  Id literal_behind(const BindingRecord& binding) const;

  /// The block that a value is an input of or is made in.
  Id block_of_value(Id value) const {
    const ValueRecord& record = values[value];
    return record.op == kNoId ? record.block : ops[record.op].block;
  }
  Id function_of_value(Id value) const { return blocks[block_of_value(value)].function; }
  /// Whether the op that makes a value, or has the block that it is an input of, is erased.
  bool is_erased_value(Id value) const;
  /// The value that had the name of `value` before it and still has it: edits rename and erase.
  /// kNoId when there is none.
  Id redefined_value(Id value) const;

  void add_use(Id binding);
  void remove_use(Id binding);
  /// A copy of `text` that lives as long as the module.
  std::string_view keep(std::string_view text);

 private:
  mutable std::vector<std::uint32_t> line_starts_;  // made when the first place is asked for
};

/// Reads ops from `text` into `block`, in front of `before` (kNoId: at the end). Errors are placed
/// in `text`. False, and nothing is added, when there is one.
bool parse_ops(ModuleData& data, std::string_view text, Id block, Id before,
               Diagnostics& diagnostics);
/// Reads one typed literal; kNoId when there is an error.
Id parse_literal(ModuleData& data, std::string_view text, Diagnostics& diagnostics);

}  // namespace milgen::mil
