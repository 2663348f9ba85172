// A MIL program as text says it: what parse_mil() makes and print_mil() writes back.
//
// A Module keeps everything that the text holds - dialect, written order, unknown ops and
// attributes, number spellings, comments, white space behind the program - and judges nothing:
// verify_mil() (milgen/verify.h) does that. It is walked with small handles (Function, Block, Op,
// Value, Literal), which are two words, cheap to copy, and valid as long as their Module.
//
//     Diagnostics diagnostics;
//     Module module = read_mil("model.mlmodelc/model.mil", diagnostics);
//     for (mil::Function f : module.functions())
//       for (mil::Op op : f.body().ops())
//         if (op.name() == "relu") module.set_op_name(op, "relu6");
//     std::string text = print_mil(module);
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/op_code.h"
#include "milgen/shape.h"

namespace milgen {

struct OpInfo;

namespace mil {

struct ModuleData;  // internal: src/mil/module_data.h

class Op;
class Block;
class Function;
class Value;
class Binding;
class Argument;
class Attribute;
class Literal;
class Type;

/// Handles of one kind that follow each other, by index: `for (Op op : block.ops())`.
template <class Handle>
class Range {
 public:
  class Iterator {
   public:
    using value_type = Handle;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(ModuleData* data, std::uint32_t id) : data_(data), id_(id) {}
    Handle operator*() const { return Handle(data_, id_); }
    Iterator& operator++() {
      id_ = Handle::next(data_, id_);
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(Iterator a, Iterator b) { return a.id_ == b.id_; }

   private:
    ModuleData* data_ = nullptr;
    std::uint32_t id_ = 0;
  };

  Range(ModuleData* data, std::uint32_t first, std::uint32_t end, std::size_t size)
      : data_(data), first_(first), end_(end), size_(size) {}
  Iterator begin() const { return {data_, first_}; }
  Iterator end() const { return {data_, end_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return first_ == end_; }
  /// Linear in `i` for ops and blocks, constant for everything else.
  Handle operator[](std::size_t i) const {
    std::uint32_t id = first_;
    if constexpr (Handle::kContiguous) {
      id += static_cast<std::uint32_t>(i);
    } else {
      for (; i != 0; --i) id = Handle::next(data_, id);
    }
    return Handle(data_, id);
  }

 private:
  ModuleData* data_;
  std::uint32_t first_;
  std::uint32_t end_;
  std::size_t size_;
};

/// What every handle is: the module and a number in it.
class Handle {
 public:
  Handle() = default;
  Handle(ModuleData* data, std::uint32_t id) : data_(data), id_(id) {}
  /// False for "there is none": the producer of an input, an attribute that is not there.
  explicit operator bool() const { return data_ != nullptr && id_ != 0xFFFFFFFFu; }
  std::uint32_t id() const { return id_; }
  friend bool operator==(const Handle& a, const Handle& b) {
    return a.data_ == b.data_ && a.id_ == b.id_;
  }

 protected:
  ModuleData* data_ = nullptr;
  std::uint32_t id_ = 0xFFFFFFFFu;
};

enum class TypeClass : std::uint8_t { tensor, list, tuple, dict, state, tensor_buffer };

/// A type as the text spells it. `tensor<fp16, []>` and `fp16` are both tensors of rank 0.
class Type : public Handle {
 public:
  using Handle::Handle;
  TypeClass type_class() const;
  /// Of a tensor or tensor_buffer; DType::none for the others.
  DType dtype() const;
  /// Of a tensor or tensor_buffer: kUnknownDim for `?`.
  Shape shape() const;
  /// Of a list, state, tuple or dict (key, value).
  std::size_t element_count() const;
  Type element(std::size_t i) const;
  /// Of a list; kUnknownDim for `?`.
  std::int64_t list_length() const;
  /// "tensor<fp16, [1, 64]>", spaced as Apple does.
  std::string_view text() const;
  /// Whether both are one type, however rank 0 is spelled.
  bool same(Type other) const;
};

/// A typed value in the text: `fp16(0x1p+0)`, `tensor<int32, [2]>([1, 2])`, or one in a weight
/// file: `tensor<fp16, [8]>(BLOBFILE(path = ..., offset = ...))`.
class Literal : public Handle {
 public:
  using Handle::Handle;
  /// Without one (false) where a bare `true` or number stands for an argument.
  Type type() const;
  bool is_blob() const;
  /// BLOBFILE's path ("@model_path/weights/weight.bin") and offset; nothing for other literals.
  std::string blob_path() const;
  std::uint64_t blob_offset() const;
  /// What stands between the parentheses, as written.
  std::string_view text() const;
  /// The elements in row-major order, bools as 0 and 1. False when it holds something else (a
  /// blob, floats, a dict), an integer that 64 bits do not take, or more than `limit` elements.
  bool integers(std::vector<std::int64_t>& out, std::size_t limit = SIZE_MAX) const;
  /// The elements rounded once to the type's dtype; integers are taken too.
  bool reals(std::vector<double>& out, std::size_t limit = SIZE_MAX) const;
  /// The strings without quotes and escapes.
  bool strings(std::vector<std::string>& out, std::size_t limit = SIZE_MAX) const;
  /// The only string; false when it is not one.
  bool string(std::string& out) const;
};

/// What is bound to an argument: a value by name, a literal, or, inside of a variadic argument, a
/// nested tuple.
class Binding : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = true;
  static std::uint32_t next(ModuleData*, std::uint32_t id) { return id + 1; }
  bool is_value() const;
  bool is_literal() const;
  bool is_tuple() const;
  /// A name that nothing before it defines.
  bool is_undefined() const;
  Value value() const;
  Literal literal() const;
  Range<Binding> elements() const;  ///< of a tuple
  /// The name as written, of a value or of what is undefined.
  std::string_view name() const;
  /// The op that has it among its arguments; false for an output of a block.
  Op user() const;
  Place place() const;
};

class Argument : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = true;
  static std::uint32_t next(ModuleData*, std::uint32_t id) { return id + 1; }
  std::string_view name() const;
  /// Written in parentheses: `values = (a, b)`.
  bool is_tuple() const;
  Range<Binding> bindings() const;
  Place place() const;
};

class Attribute : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = true;
  static std::uint32_t next(ModuleData*, std::uint32_t id) { return id + 1; }
  std::string_view name() const;
  Literal value() const;
  Place place() const;
};

class Value : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = true;
  static std::uint32_t next(ModuleData*, std::uint32_t id) { return id + 1; }
  std::string_view name() const;
  Type type() const;
  /// The op that makes it; false for an input of a function or block.
  Op producer() const;
  /// Which result of its producer, or which input of its block.
  std::size_t index() const;
  /// Its literal when a `const` op makes it; false otherwise.
  Literal constant() const;
  /// Every place that names it, in no particular order.
  std::vector<Binding> uses() const;
  bool has_uses() const;
  Place place() const;
};

class Op : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = false;
  static std::uint32_t next(ModuleData* data, std::uint32_t id);
  std::string_view name() const;
  /// The row of the op table; null for an op that it does not have.
  const OpInfo* info() const;
  bool is(OpCode code) const;
  /// `op<ios17>(...)`; empty when none is written.
  std::string_view opset_override() const;
  Range<Value> results() const;
  Range<Argument> arguments() const;
  /// False when it is not written.
  Argument argument(std::string_view name) const;
  Range<Attribute> attributes() const;
  Attribute attribute(std::string_view name) const;
  Range<Block> blocks() const;
  Block parent() const;
  Place place() const;
};

/// A list of ops with inputs and outputs: a function's body, or a branch or body of an op.
class Block : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = false;
  static std::uint32_t next(ModuleData* data, std::uint32_t id);
  Range<Value> inputs() const;
  Range<Op> ops() const;
  Range<Binding> outputs() const;
  /// The op that it is nested in; false for a function's body.
  Op parent() const;
  Function function() const;
  Place place() const;
};

class Function : public Handle {
 public:
  using Handle::Handle;
  static constexpr bool kContiguous = true;
  static std::uint32_t next(ModuleData*, std::uint32_t id) { return id + 1; }
  std::string_view name() const;
  std::string_view opset() const;
  Range<Value> inputs() const;
  Range<Attribute> attributes() const;
  Block body() const;
  Place place() const;
};

/// How the text writes scalars (mil_text_format, section 4).
enum class Dialect : std::uint8_t {
  v1_0,  ///< program(1.0): tensor<int32, []>(0)
  v1_3,  ///< program(1.3): int32(0)
};

}  // namespace mil

/// Places are 32 bits wide, so a longer text is refused (`syntax.size`).
inline constexpr std::uint64_t kTextLimitBytes = 0xFFFFFF00u;

struct ParseOptions {
  /// What places in diagnostics call the text.
  std::string_view file = "<text>";
  /// Syntax errors after which parsing ends.
  std::size_t error_limit = 100;
  /// Longer texts are refused (`syntax.size`): memory is some three times that.
  std::uint64_t size_limit_bytes = kTextLimitBytes;
};

/// Deepest nesting of blocks, and of brackets in a value, that is taken (`syntax.nesting`). Apple's
/// own files nest five deep; nothing here recurses, so the limit is there to bound what a hostile
/// file can ask for.
inline constexpr std::size_t kNestingLimit = 256;
/// The same of types. Each level holds its own spelling, so that this bounds memory too.
inline constexpr std::size_t kTypeNestingLimit = 32;

/// A program in memory. Not for two threads at a time, not even when neither edits: places are
/// looked up in tables that are made when they are first asked for. A clone() is for itself.
class Module {
 public:
  Module();
  Module(Module&&) noexcept;
  Module& operator=(Module&&) noexcept;
  ~Module();
  /// Whether the text was read without a syntax error. What could be read is there all the same,
  /// so that the rest can be verified in the same run.
  explicit operator bool() const;
  /// An independent copy.
  Module clone() const;

  /// "1.0", "1.3".
  std::string_view version() const;
  mil::Dialect dialect() const;
  mil::Range<mil::Attribute> attributes() const;
  mil::Range<mil::Function> functions() const;
  /// Ops of all functions and blocks.
  std::size_t op_count() const;
  std::size_t text_bytes() const;

  // --- Editing. Every call keeps uses exact. What is refused is reported and changes nothing.
  // Handles of what is erased are for erase() only; indices are to be in range. Whether values are
  // still made in front of what uses them is judged where the printed text is read again. ---

  /// Renames a value and, where it says the same, its op's `name` attribute. Refuses what is not a
  /// name (`name.characters`), a reserved word (`name.reserved`) and a name that is taken in the
  /// function (`name.duplicate`). What attributes of the function say of its inputs by name
  /// (FlexibleShapeInformation) stays. Linear in the module's values when the module has the name
  /// already.
  bool rename(mil::Value value, std::string_view name, Diagnostics& diagnostics);
  void set_op_name(mil::Op op, std::string_view name);
  /// Everything that uses `from` uses `to` instead. Linear in the uses.
  void replace_uses(mil::Value from, mil::Value to);
  /// Binds an argument to a value, replacing what was bound or adding the argument.
  void set_argument(mil::Op op, std::string_view name, mil::Value value);
  /// The same with a literal in MIL text: `fp16(0x1p-1)`.
  bool set_argument(mil::Op op, std::string_view name, std::string_view literal,
                    Diagnostics& diagnostics);
  void remove_argument(mil::Op op, std::string_view name);
  bool set_attribute(mil::Op op, std::string_view name, std::string_view literal,
                     Diagnostics& diagnostics);
  void remove_attribute(mil::Op op, std::string_view name);
  /// Removes an op and its blocks; refuses while a result of it, or of an op in them, is in use
  /// elsewhere (`edit.used`). True for what is erased already, with the block that had it as well.
  bool erase(mil::Op op, Diagnostics& diagnostics);
  /// Reads ops from MIL text, one at least, and puts them in front of `op`; names mean what they
  /// mean there, and those of results have to be new in the function (`name.duplicate`). Comments
  /// are dropped. Returns the last of them; false when the text has an error or `op` is erased
  /// (`edit.erased`). Linear in the module's values, so that many ops are best put into one text.
  mil::Op insert_before(mil::Op op, std::string_view text, Diagnostics& diagnostics);
  /// The same at the end of a block.
  mil::Op append(mil::Block block, std::string_view text, Diagnostics& diagnostics);
  void set_output(mil::Block block, std::size_t index, mil::Value value);

  /// internal
  mil::ModuleData& data() const { return *data_; }

 private:
  friend Module parse_mil(std::string_view, Diagnostics&, const ParseOptions&);
  std::unique_ptr<mil::ModuleData> data_;
};

/// Reads MIL text: every form of mil_text_format section 2, both dialects. Errors (`syntax.*`) name
/// what was expected with an example and the place; reading goes on behind each of them, so that
/// one run reports all that are independent. Names that nothing defines and ops that nobody knows
/// are kept: judging is verify_mil()'s. Linear in time and memory.
Module parse_mil(std::string_view text, Diagnostics& diagnostics, const ParseOptions& options = {});

/// The same from a file; `-` is not special here.
Module read_mil(const std::string& path, Diagnostics& diagnostics);

}  // namespace milgen
