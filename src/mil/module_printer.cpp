#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mil/canonical_module.h"
#include "mil/literal.h"
#include "mil/literal_walk.h"
#include "mil/module_data.h"
#include "mil/number_text.h"
#include "mil/text_buffer.h"
#include "milgen/module.h"
#include "milgen/print.h"

namespace milgen::mil {
namespace {

/// The text of each type in another dialect or style than it was read in. A type comes behind its
/// elements, so one pass does.
class TypeTexts {
 public:
  TypeTexts(const TypeTable& types, TextStyle style, std::optional<Dialect> dialect)
      : comma_(style == TextStyle::compact ? "," : ", ") {
    texts_.reserve(types.size());
    for (Id id = 0; id < types.size(); ++id) texts_.push_back(spell(types, types[id], dialect));
  }
  std::string_view operator[](Id id) const { return texts_[id]; }

 private:
  std::string spell(const TypeTable& types, const TypeRecord& type,
                    std::optional<Dialect> dialect) const {
    const std::span<const Id> children = types.children(type);
    switch (type.kind) {
      case TypeKind::list:
        return "list<" + texts_[children[0]] + comma_ + dim(type.length) + ">";
      case TypeKind::state:
        return "state<" + texts_[children[0]] + ">";
      case TypeKind::dict:
        return "dict<" + texts_[children[0]] + comma_ + texts_[children[1]] + ">";
      case TypeKind::tuple: {
        std::string out = "tuple<";
        for (std::size_t i = 0; i < children.size(); ++i) {
          if (i != 0) out += comma_;
          out += texts_[children[i]];
        }
        return out + ">";
      }
      case TypeKind::tensor_buffer: {
        std::string out = "tensor_buffer<" + std::string(dtype_name(type.dtype));
        for (const TypeField& field : types.fields(type)) {
          out += comma_ + std::string(field.name) + "=" + dims(types.dims(field));
        }
        return out + ">";
      }
      case TypeKind::tensor:
        break;
    }
    const std::string dtype(dtype_name(type.dtype));
    const bool bracketed = dialect ? *dialect == Dialect::v1_0 : type.bracketed;
    if (type.rank == 0 && !bracketed) return dtype;
    return "tensor<" + dtype + comma_ + dims(types.shape(type)) + ">";
  }
  std::string dims(std::span<const std::int64_t> values) const {
    std::string out = "[";
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) out += comma_;
      out += dim(values[i]);
    }
    return out + "]";
  }
  static std::string dim(std::int64_t value) { return known(value) ? std::to_string(value) : "?"; }

  std::string comma_;
  std::vector<std::string> texts_;
};

/// Comments in the order of the text, taken from the front as printing goes on.
class Comments {
 public:
  explicit Comments(const ModuleData& data, bool dropped) : data_(data) {
    if (!dropped) left_ = data.comments;
    // What stands behind the program is printed as part of the white space there.
    const std::string_view tail = data.tail;
    while (!left_.empty() && !tail.empty() && left_.back().text.data() >= tail.data()) {
      left_ = left_.first(left_.size() - 1);
    }
  }

  bool empty() const { return left_.empty(); }
  /// The next comment when it begins before `at`.
  bool take_before(std::uint32_t at, std::string_view& text) {
    return !left_.empty() && at != kNoPlace && left_.front().at < at && take(text);
  }
  /// The next comment when it stands between the words of the statement that ends before `next`.
  bool take_inside(std::uint32_t next, std::string_view& text) {
    return is_before(next) && !is_between_statements() && take(text);
  }
  /// The next comment when it stands behind a statement's end, on its line.
  bool take_behind(std::uint32_t next, std::string_view& text) {
    return is_before(next) && ends_line_of_statement() && take(text);
  }

 private:
  bool is_before(std::uint32_t next) const {
    return !left_.empty() && (next == kNoPlace || left_.front().at < next);
  }
  bool take(std::string_view& text) {
    last_between_ = is_between_statements();
    text = left_.front().text;
    last_end_ = left_.front().at + text.size();
    left_ = left_.subspan(1);
    return true;
  }
  std::string_view space_before() const {
    const std::string_view before = data_.text().substr(0, left_.front().at);
    const std::size_t end = before.find_last_not_of(" \t\r\n");
    return before.substr(end == std::string_view::npos ? 0 : end + 1);
  }
  /// Whether nothing but space stands between the last comment that was taken and the next one.
  bool follows_last() const { return last_end_ != 0 && begin_of_space() == last_end_; }
  std::size_t begin_of_space() const { return left_.front().at - space_before().size(); }
  bool is_between_statements() const {
    const std::size_t begin = begin_of_space();
    if (begin == 0) return true;
    if (follows_last()) return last_between_;
    const char last = data_.text()[begin - 1];
    return last == ';' || last == '{' || last == '}';
  }
  bool ends_line_of_statement() const {
    const std::size_t begin = begin_of_space();
    return begin != 0 && data_.text()[begin - 1] == ';' && !follows_last() &&
           space_before().find('\n') == std::string_view::npos;
  }

  const ModuleData& data_;
  std::span<const CommentRecord> left_;
  std::size_t last_end_ = 0;
  bool last_between_ = false;
};

/// The style is a template argument because it decides about every comma.
template <TextStyle Style>
class ModulePrinter {
 public:
  ModulePrinter(const ModuleData& data, const ModulePrintOptions& options)
      : data_(data),
        canonical_(options.canonical),
        floats_(options.floats ? options.floats
                               : (canonical_ ? std::optional(FloatStyle::hex) : std::nullopt)),
        dialect_(options.dialect ? options.dialect
                                 : (canonical_ ? std::optional(Dialect::v1_3) : std::nullopt)),
        has_comments_(options.comments && !canonical_),
        comments_(data, !has_comments_),
        out_(data.text().size() + data.text().size() / 32 + 512) {
    if (kCompact || dialect_) {
      type_texts_.emplace(data.types, Style, dialect_);
    }
    if (canonical_) {
      order_.emplace(data);
      fresh_.emplace(data);
      moved_.resize(data.bindings.size());
    }
  }

  std::string print() {
    program_head();
    for (Id f = 0; f < data_.functions.size(); ++f) function(f);
    comment_lines_before(kNoPlace - 1, 4);
    put('}');
    if (has_comments_) tail();
    return out_.take();
  }

  // --- What LiteralWalk calls. ---

  void open(const Token& token) { put(token.text[0]); }
  void close(const Token& token) { put(token.text[0]); }
  void comma() {
    if constexpr (kCompact) {
      put(',');
    } else {
      put(", ");
    }
  }
  bool leaf(const Token& token, DType dtype, bool in_dict) {
    double value = 0;
    // A number that the dtype does not hold stays: inf in its place would hide what was meant.
    if (is_float(dtype) && decode_real(token.text, dtype, value) &&
        keeps_number(token.text, value)) {
      real(value, dtype, in_dict);
    } else if (canonical_ && token.kind == TokenKind::whole && !is_float(dtype)) {
      whole(token.text, dtype);
    } else {
      put(token.text);
    }
    return true;
  }
  void count_fault(const LiteralPart&, std::int64_t, std::int64_t, const Token&) {}
  void shape_fault(Id, char, const Token&) {}

 private:
  static constexpr bool kCompact = Style == TextStyle::compact;

  /// A block that is being printed.
  struct Open {
    Id block;
    Id op;              // the next one, in written order
    std::size_t entry;  // the next one, in canonical order
    std::size_t indent;
  };

  void put(std::string_view text) { out_.put(text); }
  void put(char c) { out_.put(c); }
  template <std::size_t N>
  void put(const char (&literal)[N]) {
    out_.put(literal);
  }
  void equals() {
    if constexpr (kCompact) {
      put('=');
    } else {
      put(" = ");
    }
  }
  void indentation(std::size_t columns) {
    if constexpr (kCompact) return;
    constexpr std::string_view kSpaces = "                                ";
    for (; columns > kSpaces.size(); columns -= kSpaces.size()) put(kSpaces);
    put(kSpaces.substr(0, columns));
  }
  void name(Id id) { put(data_.name(id)); }
  void type(Id id) { put(type_texts_ ? (*type_texts_)[id] : data_.types[id].text); }

  /// Lines end in \n here, too, whatever those of the text that was read end in.
  void tail() {
    std::string_view rest = data_.tail;
    for (std::size_t at = rest.find('\r'); at != rest.npos; at = rest.find('\r')) {
      put(rest.substr(0, at));
      rest.remove_prefix(at + 1);
    }
    put(rest);
  }

  // --- Comments. ---

  void comment_line(std::string_view text, std::size_t indent) {
    indentation(indent);
    put(text);
    put('\n');
  }
  void comment_lines_before(std::uint32_t at, std::size_t indent) {
    std::string_view text;
    while (comments_.take_before(at, text)) comment_line(text, indent);
  }
  /// Of the op and of what stands inside of it.
  void comments_of_op(Id op, std::size_t indent) {
    if (comments_.empty()) return;
    const std::uint32_t at = data_.ops[op].at;
    if (at == kNoPlace) return;
    comment_lines_before(at, indent);
    std::string_view text;
    while (comments_.take_inside(next_statement(op), text)) comment_line(text, indent);
  }
  void end_statement(Id op) {
    put(';');
    std::string_view text;
    if (!comments_.empty() && data_.ops[op].at != kNoPlace &&
        comments_.take_behind(next_statement(op), text)) {
      put(' ');
      put(text);
    }
    put('\n');
  }
  /// Ops are numbered in the order of the text.
  std::uint32_t next_statement(Id op) const {
    return op + 1 < data_.ops.size() ? data_.ops[op + 1].at : kNoPlace;
  }

  // --- Literals. ---

  void real(double value, DType dtype, bool in_dict) {
    char* to = out_.room(kNumberTextBytes);
    // A dictionary's numbers are not hex (mil_text_format, section 3.1).
    if (in_dict && dtype == DType::fp64 && *floats_ == FloatStyle::hex && std::isfinite(value)) {
      constexpr int kDigits = 17;
      out_.written_to(
          std::to_chars(to, to + kNumberTextBytes, value, std::chars_format::general, kDigits).ptr);
    } else {
      out_.written_to(write_float(to, value, dtype, *floats_));
    }
  }
  void whole(std::string_view token, DType dtype) {
    if (dtype == DType::boolean && (token == "0" || token == "1")) {
      put(token == "1" ? std::string_view("true") : std::string_view("false"));
      return;
    }
    // What 64 bits do not take stays as it is written, as it does for every other reader.
    std::int64_t value = 0;
    std::uint64_t large = 0;
    const char* end = token.data() + token.size();
    if (std::from_chars(token.data(), end, value).ec != std::errc() &&
        (dtype != DType::uint64 || std::from_chars(token.data(), end, large).ec != std::errc())) {
      put(token);
      return;
    }
    const bool negative = token.starts_with('-');
    if (negative) token.remove_prefix(1);
    const std::size_t first = std::min(token.find_first_not_of('0'), token.size() - 1);
    token.remove_prefix(first);
    if (negative && token != "0") put('-');
    put(token);
  }
  void respaced(std::string_view text) {
    LiteralTokens tokens(text);
    for (Token token = tokens.next(); token.kind != TokenKind::end; token = tokens.next()) {
      if (token.kind == TokenKind::comma) {
        comma();
      } else {
        put(token.text);
      }
    }
  }
  void value_text(const LiteralRecord& literal) {
    if (floats_ && literal.type != kNoId) {
      const std::size_t before = out_.size();
      if (LiteralWalk(data_.types, literal.text, *this).walk(literal.type)) return;
      out_.cut(before);
    }
    if (literal.spaced && !kCompact) {
      put(literal.text);
    } else {
      respaced(literal.text);
    }
  }
  void literal(Id id) {
    const LiteralRecord& literal = data_.literals[id];
    if (literal.type == kNoId) {
      value_text(literal);
      return;
    }
    type(literal.type);
    put('(');
    if (literal.blob == kNoId) {
      value_text(literal);
    } else {
      blob(data_.blobs[literal.blob]);
    }
    put(')');
  }
  void blob(const BlobRecord& blob) {
    put("BLOBFILE(path");
    equals();
    type(blob.path_type);
    put('(');
    put(blob.path);
    put(')');
    comma();
    put("offset");
    equals();
    type(blob.offset_type);
    put('(');
    if (canonical_) {
      whole(blob.offset_text, DType::uint64);
    } else {
      put(blob.offset_text);
    }
    put("))");
  }

  // --- Arguments and attributes. ---

  /// Calls `print` with each record, in written order or in byte order of their names.
  template <class Record, class Print>
  void each(std::span<const Record> records, const Print& print) {
    if (!canonical_) {
      for (const Record& record : records) print(record);
      return;
    }
    sorted_.clear();
    for (std::uint32_t i = 0; i < records.size(); ++i) sorted_.push_back(i);
    std::ranges::stable_sort(sorted_, {},
                             [&](std::uint32_t i) { return data_.name(records[i].name); });
    for (const std::uint32_t i : sorted_) print(records[i]);
  }

  void attributes(Id first, std::uint32_t count) {
    put('[');
    bool more = false;
    each(std::span(data_.attributes).subspan(first, count), [&](const AttributeRecord& record) {
      if (std::exchange(more, true)) comma();
      name(record.name);
      equals();
      literal(record.literal);
    });
    put(']');
  }

  void binding(Id id) {
    const BindingRecord& record = data_.bindings[id];
    switch (record.kind) {
      case BindingKind::value:
        name(data_.values[record.id].name);
        break;
      case BindingKind::literal:
        if (canonical_ && !moved_[id].empty()) {
          put(moved_[id]);
        } else {
          literal(record.id);
        }
        break;
      case BindingKind::undefined:
        name(record.id);
        break;
      case BindingKind::tuple:
        break;
    }
  }

  /// `(a, (b, c))`, without recursion; the bindings of a tuple follow each other.
  void bindings(Id first, std::uint32_t count, bool is_tuple) {
    struct Left {
      Id next;
      Id end;
    };
    std::vector<Left> open;
    Left left{first, first + count};
    if (is_tuple) put('(');
    for (bool more = false;;) {
      if (left.next == left.end) {
        if (open.empty()) break;
        put(')');
        left = open.back();
        open.pop_back();
        more = true;
        continue;
      }
      if (more) comma();
      const Id id = left.next++;
      const BindingRecord& record = data_.bindings[id];
      if (record.kind == BindingKind::tuple) {
        put('(');
        open.push_back(left);
        left = {record.id, record.id + record.count};
        more = false;
      } else {
        binding(id);
        more = true;
      }
    }
    if (is_tuple) put(')');
  }

  void argument(const ArgumentRecord& record) {
    name(record.name);
    equals();
    if (!record.is_tuple && record.bindings == 1) {
      binding(record.first_binding);
      return;
    }
    // One binding is the same with and without parentheses (mil_text_format, section 2); nested
    // tuples keep theirs.
    const bool is_bare = canonical_ && record.bindings == 1 &&
                         data_.bindings[record.first_binding].kind != BindingKind::tuple;
    bindings(record.first_binding, record.bindings, record.is_tuple && !is_bare);
  }

  // --- Ops and blocks. ---

  void values(Id first, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (i != 0) comma();
      const ValueRecord& value = data_.values[first + i];
      type(value.type);
      put(' ');
      name(value.name);
    }
  }

  /// All of an op but its blocks and its end.
  void op(Id id, std::size_t indent) {
    const OpRecord& record = data_.ops[id];
    indentation(indent);
    if (record.results != 0) {
      values(record.first_result, record.results);
      equals();
    }
    name(record.name);
    if (record.opset != kEmptyName) {
      put('<');
      name(record.opset);
      put('>');
    }
    put('(');
    bool more = false;
    each(data_.arguments_of(record), [&](const ArgumentRecord& one) {
      if (std::exchange(more, true)) comma();
      argument(one);
    });
    put(')');
    if (record.attributes != 0) attributes(record.first_attribute, record.attributes);
  }

  /// The `const` that a literal becomes.
  void moved_literal(const CanonicalEntry& entry, std::size_t indent) {
    const std::string_view made = fresh_->make(entry.argument);
    moved_[entry.id] = made;
    const Id value = data_.bindings[entry.id].id;
    indentation(indent);
    type(data_.literals[value].type);
    put(' ');
    put(made);
    equals();
    put("const()[name");
    equals();
    put(*dialect_ == Dialect::v1_0 ? (kCompact ? std::string_view("tensor<string,[]>")
                                               : std::string_view("tensor<string, []>"))
                                   : std::string_view("string"));
    put("(\"");
    put(made);
    put("\")");
    comma();
    put("val");
    equals();
    literal(value);
    put("];\n");
  }

  Open opened(Id block, std::size_t indent) const {
    return {block, data_.blocks[block].first_op, 0, indent};
  }

  /// The next op of a block, printed up to its blocks; kNoId when there is none left. What a syntax
  /// error left of an op is passed over.
  Id next_op(Open& open) {
    for (;;) {
      Id id = kNoId;
      if (canonical_) {
        const std::span<const CanonicalEntry> entries = order_->of(open.block);
        if (open.entry == entries.size()) return kNoId;
        const CanonicalEntry& entry = entries[open.entry++];
        if (entry.is_literal()) {
          moved_literal(entry, open.indent);
          continue;
        }
        id = entry.id;
      } else {
        id = open.op;
        if (id == kNoId) return kNoId;
        open.op = data_.ops[id].next;
      }
      if (data_.ops[id].broken) continue;
      comments_of_op(id, open.indent);
      op(id, open.indent);
      return id;
    }
  }

  void block_head(Id block, std::size_t indent) {
    const BlockRecord& record = data_.blocks[block];
    put('\n');
    indentation(indent);
    if (record.no_parentheses && !canonical_) {
      put("{\n");
      return;
    }
    put('(');
    values(record.first_input, record.inputs);
    if constexpr (kCompact) {
      put("){\n");
    } else {
      put(") {\n");
    }
  }

  void block_end(Id block, std::size_t indent) {
    const BlockRecord& record = data_.blocks[block];
    if (!comments_.empty()) comment_lines_before(record.end, indent + 4);
    indentation(indent);
    if constexpr (kCompact) {
      put("}->(");
    } else {
      put("} -> (");
    }
    bindings(record.first_output, record.outputs, false);
    put(')');
  }

  /// All ops below a function's head, up to its outputs.
  void body(Id block) {
    constexpr std::size_t kIndent = 12;
    open_.push_back(opened(block, kIndent));
    while (!open_.empty()) {
      Open& top = open_.back();
      if (const Id id = next_op(top); id != kNoId) {
        const OpRecord& record = data_.ops[id];
        if (record.blocks == 0) {
          end_statement(id);
        } else {
          const std::size_t inner = top.indent + 8;
          block_head(record.first_block, inner - 4);
          open_.push_back(opened(record.first_block, inner));
        }
        continue;
      }
      const Open done = top;
      open_.pop_back();
      const BlockRecord& closed = data_.blocks[done.block];
      block_end(done.block, done.indent - 4);
      if (closed.op == kNoId) break;
      if (closed.next != kNoId) {
        block_head(closed.next, done.indent - 4);
        open_.push_back(opened(closed.next, done.indent));
      } else {
        end_statement(closed.op);
      }
    }
  }

  void function(Id id) {
    constexpr std::size_t kIndent = 4;
    const FunctionRecord& record = data_.functions[id];
    if (canonical_) fresh_->enter(id);
    comment_lines_before(record.at, kIndent);
    indentation(kIndent);
    put("func ");
    name(record.name);
    put('<');
    name(record.opset);
    put(">(");
    const BlockRecord& block = data_.blocks[record.body];
    values(block.first_input, block.inputs);
    put(')');
    if (record.attributes != 0) {
      if constexpr (!kCompact) put(' ');
      attributes(record.first_attribute, record.attributes);
    }
    if constexpr (kCompact) {
      put("{\n");
    } else {
      put(" {\n");
    }
    body(record.body);
    put(";\n");
  }

  void program_head() {
    // Those in front of the program and inside of its head.
    std::string_view text;
    const std::uint32_t end = head_end();
    while (comments_.take_before(end, text)) comment_line(text, 0);
    put("program(");
    if (!dialect_) {
      put(data_.version);
    } else {
      put(*dialect_ == Dialect::v1_0 ? std::string_view("1.0") : std::string_view("1.3"));
    }
    put(')');
    if (data_.program_attributes != 0) {
      put('\n');
      attributes(data_.first_attribute, data_.program_attributes);
      put("\n{\n");
    } else if constexpr (kCompact) {
      put("{\n");
    } else {
      put(" {\n");
    }
  }
  /// Where the program's brace opens, for comments; a text that was not read from anything has
  /// none.
  std::uint32_t head_end() const {
    if (comments_.empty() || data_.functions.empty()) return 0;
    const std::uint32_t first = data_.functions.front().at;
    const std::size_t brace = data_.text().substr(0, first).rfind('{');
    return brace == std::string_view::npos ? 0 : static_cast<std::uint32_t>(brace);
  }

  const ModuleData& data_;
  bool canonical_;
  std::optional<FloatStyle> floats_;
  std::optional<Dialect> dialect_;
  bool has_comments_;
  Comments comments_;
  std::optional<TypeTexts> type_texts_;
  std::optional<CanonicalOrder> order_;
  std::optional<FreshNames> fresh_;
  std::vector<std::string_view> moved_;  // by binding: the name of the const that it became
  std::vector<Open> open_;
  std::vector<std::uint32_t> sorted_;
  Text out_;
};

}  // namespace
}  // namespace milgen::mil

namespace milgen {

std::string print_mil(const Module& module, const ModulePrintOptions& options) {
  const mil::ModuleData& data = module.data();
  if (options.style == TextStyle::compact) {
    return mil::ModulePrinter<TextStyle::compact>(data, options).print();
  }
  return mil::ModulePrinter<TextStyle::apple>(data, options).print();
}

}  // namespace milgen
