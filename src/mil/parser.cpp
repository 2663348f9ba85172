// MIL text to a Module: one pass over the bytes. What recurs on every line - names, types - is
// looked up by its bytes. Nothing recurses: blocks, types and values have explicit stacks.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "mil/literal_parser.h"
#include "milgen/op_info.h"
#include "support/files.h"

namespace milgen {
namespace mil {
namespace {

constexpr std::string_view kOpExample =
    "tensor<fp16, [1, 64]> y = relu(x = x)[name = string(\"y\")];";
constexpr std::string_view kFunctionExample =
    "func main<ios18>(tensor<fp16, [1, 64]> x) { ... } -> (y);";

class Parser : public LiteralParser {
 public:
  using LiteralParser::LiteralParser;

  bool program();
  bool ops_into(Id block, Id before);

 private:
  struct Frame {
    Id op;  ///< kNoId for a function's body
    Id block;
    std::size_t undo;  ///< names to take out of sight when the block ends
  };

  // --- Attributes, arguments. ---

  bool attributes(Id& first, std::uint32_t& count);
  bool arguments(Id op);
  bool argument(Id op);
  bool binding(Id op, BindingRecord& out);
  bool tuple(Id op, ArgumentRecord& argument);
  void bind_name(std::string_view name, const char* at, BindingRecord& out);
  Id add_bindings(std::span<const BindingRecord> records);
  void add_binding(const BindingRecord& record);

  // --- Names in sight. ---

  Id visible(Id name) const { return name < visible_.size() ? visible_[name] : kNoId; }
  void define(Id value);
  void hide(std::size_t undo);
  FunctionRecord& function_of(Id block) { return data_.functions[data_.blocks[block].function]; }

  // --- Statements. ---

  void reserve();
  bool header();
  bool function();
  bool inputs(Id block);
  bool outputs(Id block);
  /// Ops up to the brace that closes the first frame. False when the text ended before.
  bool body(std::vector<Frame> frames, Id before);
  bool statement_head(Id block, Id before, Id& op);
  bool results(Id op);
  bool begin_block(Id op, Id previous, std::vector<Frame>& frames);
  void link_op(Id op, Id block, Id before);
  void finish_op(Id op);
  bool begins_block() {
    skip();
    return *p_ == '(' || *p_ == '{';
  }
  bool begins_function() const;
  bool begins_statement() const;
  bool opens_block() const;
  static bool closes_block(const char* at);
  static const char* behind_space(const char* at) {
    while (is(*at, kSpace)) ++at;
    return at;
  }
  void end_statement(const char* stop, std::string_view example);
  /// Behind the `;` of the statement that has the error, or in front of what ends the block.
  void recover();
  bool skip_to_body();
  bool skip_to_function();
  void define_visible_at(Id block, Id before);

  struct Hidden {
    Id name;
    Id value;
  };
  std::vector<Id> visible_;  // by name
  std::vector<Hidden> undo_;
  std::vector<std::int16_t> codes_;  // of ops, by name; kUnasked until one is looked up
  std::vector<BindingRecord> pending_;
  bool lost_end_ = false;  // what comes behind an error was not found up to the end of the text
};

constexpr std::int16_t kUnasked = -2;

// --- Attributes, arguments. ---

/// `[a = T(v), ...]` when it stands here.
bool Parser::attributes(Id& first, std::uint32_t& count) {
  constexpr std::string_view kExample = "[name = string(\"y\")]";
  first = static_cast<Id>(data_.attributes.size());
  count = 0;
  const char* before = p_;
  if (!take('[')) {
    p_ = before;  // so that what is missing there is reported there
    return true;
  }
  do {
    skip();
    AttributeRecord attribute;
    attribute.at = place_of(p_);
    std::string_view name;
    if (!word(name, {"an attribute", kExample})) return false;
    if (!take('=', {"'='", kExample}) || !typed(attribute.literal)) return false;
    attribute.name = data_.names.intern(name);
    data_.attributes.push_back(attribute);
    ++count;
  } while (take(','));
  return take(']', {"',' or ']'", kExample});
}

void Parser::bind_name(std::string_view name, const char* at, BindingRecord& out) {
  const Id id = data_.names.intern(name);
  const Id value = visible(id);
  out.kind = value == kNoId ? BindingKind::undefined : BindingKind::value;
  out.id = value == kNoId ? id : value;
  out.at = place_of(at);
}

void Parser::add_binding(const BindingRecord& record) {
  data_.bindings.push_back(record);
  if (record.kind == BindingKind::value) {
    data_.add_use(static_cast<Id>(data_.bindings.size() - 1));
  }
}

Id Parser::add_bindings(std::span<const BindingRecord> records) {
  const auto first = static_cast<Id>(data_.bindings.size());
  for (const BindingRecord& record : records) add_binding(record);
  return first;
}

/// A name, a typed literal, or a bare one.
bool Parser::binding(Id op, BindingRecord& out) {
  skip();
  out = {};
  out.op = op;
  const char* start = p_;
  out.at = place_of(start);
  const std::string_view name = word();
  if (!name.empty()) {
    skip();
    if (*p_ == ',' || *p_ == ')') {
      if (!is_literal_word(name)) {
        bind_name(name, start, out);
        return true;
      }
    } else if (*p_ != '(' && *p_ != '<') {
      return expected({"',' or ')'", "add(x = a, y = b)"});
    } else {
      p_ = start;
      out.kind = BindingKind::literal;
      return typed(out.id);
    }
  }
  p_ = start;
  if (name.empty() && *p_ != '"' && *p_ != '-' && *p_ != '[' && *p_ != '{' && !is(*p_, kDigit)) {
    return expected({"a value", "add(x = a, y = fp16(0x1p+0))"});
  }
  // mil_text_format, section 5: a bare literal has been seen in text written by hand.
  LiteralRecord literal;
  literal.at = place_of(start);
  if (!scan_value(literal.text, literal.spaced)) return false;
  out.kind = BindingKind::literal;
  out.id = static_cast<Id>(data_.literals.size());
  data_.literals.push_back(literal);
  return true;
}

/// Behind the `(` of a variadic argument. The elements of a tuple have to follow each other, so
/// those of open tuples wait in pending_.
bool Parser::tuple(Id op, ArgumentRecord& argument) {
  constexpr Expected kWanted{"',' or ')'",
                             "concat(axis = axis_0, interleave = no, values = (a, b))"};
  struct Open {
    std::size_t first;
    const char* at;
  };
  std::vector<Open> open{{pending_.size(), p_}};
  bool needs_element = false;
  for (;;) {
    skip();
    if (*p_ == '(') {
      if (open.size() == kNestingLimit) {
        return error(rule<"syntax.nesting">,
                     fmt::format("an argument nests deeper than {} tuples", kNestingLimit), p_);
      }
      open.push_back({pending_.size(), p_++});
      needs_element = false;
      continue;
    }
    if (*p_ != ')' || needs_element) {
      BindingRecord element;
      if (!binding(op, element)) return false;
      pending_.push_back(element);
    }
    // Behind an element, or in front of the end of an empty tuple.
    for (;;) {
      skip();
      if (*p_ == ',') {
        ++p_;
        needs_element = true;
        break;
      }
      if (*p_ != ')') return expected(kWanted);
      ++p_;
      const Open closed = open.back();
      open.pop_back();
      const std::span<const BindingRecord> elements = std::span(pending_).subspan(closed.first);
      const auto count = static_cast<std::uint32_t>(elements.size());
      const Id first = add_bindings(elements);
      pending_.resize(closed.first);
      if (open.empty()) {
        argument.first_binding = first;
        argument.bindings = count;
        return true;
      }
      BindingRecord nested;
      nested.kind = BindingKind::tuple;
      nested.id = first;
      nested.count = count;
      nested.at = place_of(closed.at);
      nested.op = op;
      pending_.push_back(nested);
    }
  }
}

bool Parser::argument(Id op) {
  constexpr std::string_view kExample = "add(x = a, y = b)";
  skip();
  ArgumentRecord record;
  record.at = place_of(p_);
  std::string_view name;
  if (!word(name, {"an argument", kExample}) || !take('=', {"'='", kExample})) return false;
  record.name = data_.names.intern(name);
  skip();
  if (*p_ == '(') {
    ++p_;
    record.is_tuple = true;
    if (!tuple(op, record)) return false;
  } else {
    BindingRecord bound;
    if (!binding(op, bound)) return false;
    record.first_binding = static_cast<Id>(data_.bindings.size());
    record.bindings = 1;
    add_binding(bound);
  }
  data_.arguments.push_back(record);
  return true;
}

bool Parser::arguments(Id op) {
  const auto first = static_cast<Id>(data_.arguments.size());
  data_.ops[op].first_argument = first;
  if (!take('(', {"'('", kOpExample})) return false;
  bool ok = true;
  if (!take(')')) {
    do {
      ok = argument(op);
    } while (ok && take(','));
    ok = ok && take(')', {"',' or ')'", "add(x = a, y = b)"});
  }
  data_.ops[op].arguments = static_cast<std::uint32_t>(data_.arguments.size()) - first;
  return ok;
}

// --- Names in sight. ---

void Parser::define(Id value) {
  const Id name = data_.values[value].name;
  if (name >= visible_.size()) visible_.resize(std::max<std::size_t>(name + 1, name * 2), kNoId);
  data_.values[value].redefines = visible_[name];
  undo_.push_back({name, visible_[name]});
  visible_[name] = value;
}

void Parser::hide(std::size_t undo) {
  while (undo_.size() > undo) {
    visible_[undo_.back().name] = undo_.back().value;
    undo_.pop_back();
  }
}

// --- Statements. ---

/// `T a, T b =` when it stands here.
bool Parser::results(Id op) {
  const auto first = static_cast<Id>(data_.values.size());
  data_.ops[op].first_result = first;
  bool ok = true;
  do {
    ValueRecord value;
    value.op = op;
    value.index = data_.ops[op].results;
    ok = type(value.type);
    if (!ok) break;
    skip();
    value.at = place_of(p_);
    std::string_view name;
    ok = word(name, {"a name", kOpExample});
    if (!ok) break;
    value.name = data_.names.intern(name);
    data_.values.push_back(value);
    ++data_.ops[op].results;
  } while (take(','));
  return ok && take('=', {"',' or '='", kOpExample});
}

void Parser::link_op(Id op, Id block, Id before) {
  OpRecord& record = data_.ops[op];
  BlockRecord& owner = data_.blocks[block];
  record.block = block;
  record.next = before;
  record.previous = before == kNoId ? owner.last_op : data_.ops[before].previous;
  (record.previous == kNoId ? owner.first_op : data_.ops[record.previous].next) = op;
  (before == kNoId ? owner.last_op : data_.ops[before].previous) = op;
  ++owner.ops;
  ++data_.live_ops;
}

/// An op up to where its blocks begin.
bool Parser::statement_head(Id block, Id before, Id& op) {
  op = static_cast<Id>(data_.ops.size());
  data_.ops.emplace_back();
  data_.ops[op].at = place_of(p_);
  data_.ops[op].first_result = static_cast<Id>(data_.values.size());
  link_op(op, block, before);

  const char* start = p_;
  const std::string_view first = word();
  if (first.empty()) return expected({"an op", kOpExample});
  skip();
  // A type begins with a container's word and `<`, or is a word with a name behind it.
  const bool has_results = *p_ == '<' ? container(first).has_value() : is(*p_, kWordStart);
  if (*p_ == '=') {
    return dtype_from_name(first) != DType::none
               ? expected({"a name", kOpExample})
               : expected({"a type in front of the name", kOpExample}, start);
  }
  std::string_view name = first;
  if (has_results) {
    p_ = start;
    if (!results(op)) return false;
    skip();
    start = p_;
    if (!word(name, {"an op", kOpExample})) return false;
  }
  OpRecord& record = data_.ops[op];
  record.name = data_.names.intern(name);
  record.name_at = place_of(start);
  if (record.name >= codes_.size()) {
    codes_.resize(std::max<std::size_t>(record.name + 1, data_.names.size()), kUnasked);
  }
  if (codes_[record.name] == kUnasked) {
    const OpInfo* info = find_op(name);
    codes_[record.name] =
        info == nullptr ? std::int16_t{-1} : static_cast<std::int16_t>(info->code);
  }
  record.code = codes_[record.name];
  if (take('<')) {
    std::string_view opset;
    if (!word(opset, {"an opset", "cast<ios17>(dtype = dtype_0, x = x)"}) ||
        !take('>', {"'>'", "cast<ios17>(dtype = dtype_0, x = x)"})) {
      return false;
    }
    record.opset = data_.names.intern(opset);
  }
  if (!arguments(op)) return false;
  Id first_attribute = 0;
  std::uint32_t count = 0;
  const bool ok = attributes(first_attribute, count);
  data_.ops[op].first_attribute = first_attribute;
  data_.ops[op].attributes = count;
  return ok;
}

void Parser::finish_op(Id op) {
  const OpRecord& record = data_.ops[op];
  for (Id value = record.first_result; value != record.first_result + record.results; ++value) {
    define(value);
  }
}

/// `(T a, T b)` of a function or block, or nothing in front of a block's brace.
bool Parser::inputs(Id block) {
  constexpr std::string_view kExample = "func main<ios18>(tensor<fp16, [1, 64]> x)";
  data_.blocks[block].first_input = static_cast<Id>(data_.values.size());
  const auto list = [&] {
    if (!take('(', {"'('", kExample})) return false;
    if (take(')')) return true;
    do {
      ValueRecord value;
      value.block = block;
      value.index = data_.blocks[block].inputs;
      if (!type(value.type)) return false;
      skip();
      value.at = place_of(p_);
      std::string_view name;
      if (!word(name, {"a name", kExample})) return false;
      value.name = data_.names.intern(name);
      data_.values.push_back(value);
      ++data_.blocks[block].inputs;
    } while (take(','));
    return take(')', {"',' or ')'", kExample});
  };
  const bool ok = list();
  if (!ok) function_of(block).names_lost = true;
  const BlockRecord& opened = data_.blocks[block];
  for (Id v = opened.first_input; v != opened.first_input + opened.inputs; ++v) define(v);
  return ok;
}

/// `-> (a, b)`.
bool Parser::outputs(Id block) {
  constexpr Expected kArrow{"'->'", "} -> (y);"};
  data_.blocks[block].first_output = static_cast<Id>(data_.bindings.size());
  skip();
  if (p_[0] != '-' || p_[1] != '>') return expected(kArrow);
  p_ += 2;
  if (!take('(', {"'('", "} -> (y);"})) return false;
  if (take(')')) return true;
  do {
    skip();
    const char* at = p_;
    std::string_view name;
    if (!word(name, {"a name", "} -> (y);"})) return false;
    BindingRecord record;
    record.block = block;
    bind_name(name, at, record);
    add_binding(record);
    ++data_.blocks[block].outputs;
  } while (take(','));
  return take(')', {"',' or ')'", "} -> (y);"});
}

/// At the `(` or `{` of a nested block, which follows `previous` of the same op or is its first.
/// False after an error, with the block's ops still to be read where its brace could be found.
bool Parser::begin_block(Id op, Id previous, std::vector<Frame>& frames) {
  if (frames.size() >= kNestingLimit) {
    return error(rule<"syntax.nesting">, fmt::format("blocks nest deeper than {}", kNestingLimit),
                 p_);
  }
  const auto block = static_cast<Id>(data_.blocks.size());
  data_.blocks.emplace_back();
  BlockRecord& record = data_.blocks[block];
  record.op = op;
  record.function = data_.blocks[frames.back().block].function;
  record.at = place_of(p_);
  record.first_input = static_cast<Id>(data_.values.size());
  (previous == kNoId ? data_.ops[op].first_block : data_.blocks[previous].next) = block;
  ++data_.ops[op].blocks;
  frames.push_back({op, block, undo_.size()});
  if (*p_ == '{') {
    record.no_parentheses = true;
    ++p_;
    return true;
  }
  if (inputs(block) && take('{', {"'{'", "(tensor<int32, []> i) { ... } -> (i_next)"})) return true;
  return skip_to_body();
}

/// The statement's `;`, which belongs at `stop`. One that is missing is taken as written where a
/// statement follows.
void Parser::end_statement(const char* stop, std::string_view example) {
  if (take(';')) return;
  std::size_t length = 0;
  const std::string found = describe(p_, length);
  error(at_end() ? rule<"syntax.end"> : rule<"syntax.expected">,
        fmt::format("expected ';' but found {}; an example: {}", found, example), stop);
  if (!is(*p_, kWordStart) && *p_ != '}') recover();
}

void Parser::recover() {
  std::size_t blocks = 0;
  std::size_t braces = 0;  // of values
  while (p_ < end_) {
    switch (*p_) {
      case ';':
        ++p_;
        if (blocks == 0 && braces == 0) return;
        continue;
      case '"':
        // The rest of a line, when the quote is not closed on it.
        for (++p_; p_ < end_ && *p_ != '"' && *p_ != '\n';) {
          p_ += *p_ == '\\' && p_ + 1 < end_ ? 2 : 1;
        }
        if (*p_ == '"') ++p_;
        continue;
      case '{':
        ++(opens_block() ? blocks : braces);
        break;
      case '}': {
        std::size_t& open = closes_block(p_) ? blocks : braces;
        if (open == 0) return;
        --open;
        break;
      }
      case '\n':
        skip();
        // A line that begins as ops and functions do ends whatever went before, except that the ops
        // in the blocks of the op with the error are passed over with it.
        if (begins_function() || (blocks == 0 && begins_statement())) return;
        continue;
      default:
        break;
    }
    ++p_;
  }
  lost_end_ = true;
}

/// Whether the brace that stands here has ops behind it, or is closed as a block.
bool Parser::opens_block() const {
  const char* at = behind_space(p_ + 1);
  return is(*at, kWordStart) || (*at == '}' && closes_block(at));
}

/// Whether `->` follows the brace at `at`.
bool Parser::closes_block(const char* at) {
  at = behind_space(at + 1);
  return at[0] == '-' && at[1] == '>';
}

/// Whether a type, a name and `=` or `,` stand here, on one line.
bool Parser::begins_statement() const {
  const char* at = p_;
  if (!is(*at, kWordStart)) return false;
  const auto skip_word = [&at] {
    const char* start = at;
    while (is(*at, kWord)) ++at;
    return std::string_view(start, static_cast<std::size_t>(at - start));
  };
  const std::string_view word = skip_word();
  if (*at == '<') {
    if (!container(word)) return false;
    std::size_t depth = 0;
    do {
      if (*at == '<') ++depth;
      if (*at == '>') --depth;
      ++at;
    } while (depth != 0 && at < end_ && *at != '\n');
    if (depth != 0) return false;
  } else if (dtype_from_name(word) == DType::none) {
    return false;
  }
  if (*at != ' ') return false;
  while (*at == ' ') ++at;
  if (!is(*at, kWordStart)) return false;
  skip_word();
  while (*at == ' ') ++at;
  return *at == '=' || *at == ',';
}

/// Whether `func name<` stands here.
bool Parser::begins_function() const {
  if (end_ - p_ < 5 || std::memcmp(p_, "func", 4) != 0 || !is(p_[4], kSpace)) return false;
  const char* at = p_ + 5;
  while (is(*at, kSpace)) ++at;
  if (!is(*at, kWordStart)) return false;
  while (is(*at, kWord)) ++at;
  while (is(*at, kSpace)) ++at;
  return *at == '<' || *at == '(';
}

/// Behind the brace with which ops begin: one that a word or the closing brace follows. Where a
/// line begins as ops do the brace is missing.
bool Parser::skip_to_body() {
  const char* line = p_;
  while (line != begin_ && line[-1] == ' ') --line;
  if (line != begin_ && line[-1] == '\n' && begins_statement()) return true;
  for (; p_ < end_; ++p_) {
    if (begins_function()) return false;
    if (*p_ != '{') continue;
    ++p_;
    skip();
    if (is(*p_, kWordStart) || *p_ == '}') return true;
    --p_;
  }
  return false;
}

bool Parser::skip_to_function() {
  for (; p_ < end_; ++p_) {
    if (*p_ == 'f' && begins_function()) return true;
  }
  return false;
}

bool Parser::body(std::vector<Frame> frames, Id before) {
  for (;;) {
    skip();
    const bool outermost = frames.size() == 1;
    if (at_end()) {
      if (!is_source_ && outermost) return true;
      if (lost_end_) return false;
      const Id function = data_.blocks[frames.back().block].function;
      return error(rule<"syntax.end">,
                   fmt::format("the text ends inside of func '{}'; an example of its end: }} -> "
                               "(y);",
                               data_.name(data_.functions[function].name)),
                   p_);
    }
    Id op = kNoId;
    Id previous_block = kNoId;
    if (*p_ == '}' || (p_[0] == '-' && p_[1] == '>')) {
      if (!is_source_ && outermost) return expected({"an op", kOpExample});
      if (*p_ == '}') {
        data_.blocks[frames.back().block].end = place_of(p_++);
      } else {
        expected({"'}'", "} -> (y);"});
      }
      const Frame closed = frames.back();
      const bool ok = outputs(closed.block);
      hide(closed.undo);
      frames.pop_back();
      if (!ok) recover();
      if (frames.empty()) {
        if (ok) end_statement(p_, "} -> (y);");
        return true;
      }
      op = closed.op;
      previous_block = closed.block;
      if (!ok) {
        data_.ops[op].broken = true;
        finish_op(op);
        continue;
      }
    } else {
      if (*p_ == 'f' && begins_function()) {
        return expected({"'}'", "} -> (y);"});
      }
      if (!statement_head(frames.back().block, outermost ? before : kNoId, op)) {
        data_.ops[op].broken = true;
        if (data_.ops[op].name == kEmptyName) function_of(frames.back().block).names_lost = true;
        finish_op(op);
        recover();
        continue;
      }
    }
    const char* stop = p_;
    if (begins_block()) {
      if (begin_block(op, previous_block, frames)) continue;
      data_.ops[op].broken = true;
      recover();
      continue;
    }
    finish_op(op);
    end_statement(stop, kOpExample);
  }
}

bool Parser::function() {
  const auto id = static_cast<Id>(data_.functions.size());
  data_.functions.emplace_back();
  const auto block = static_cast<Id>(data_.blocks.size());
  data_.blocks.emplace_back();
  data_.blocks[block].function = id;
  data_.functions[id].body = block;
  data_.functions[id].at = place_of(p_);
  data_.functions[id].names_lost = true;  // until the inputs are read
  data_.blocks[block].at = place_of(p_);

  const std::size_t undo = undo_.size();
  const auto head = [&] {
    std::string_view name;
    std::string_view opset;
    if (word() != "func") return expected({"'func'", kFunctionExample});
    skip();
    const char* at = p_;
    if (!word(name, {"a name", kFunctionExample})) return false;
    data_.functions[id].at = place_of(at);
    data_.functions[id].name = data_.names.intern(name);
    const bool has_opset = take('<', {"'<'", kFunctionExample}) &&
                           word(opset, {"an opset", kFunctionExample}) &&
                           take('>', {"'>'", kFunctionExample});
    // What the function takes is known without its opset.
    if (!has_opset && *p_ != '(') return false;
    if (has_opset) data_.functions[id].opset = data_.names.intern(opset);
    data_.functions[id].names_lost = false;
    if (!inputs(block)) return false;
    Id first = 0;
    std::uint32_t count = 0;
    const bool attributes_ok = attributes(first, count);
    data_.functions[id].first_attribute = first;
    data_.functions[id].attributes = count;
    return attributes_ok && take('{', {"'{'", kFunctionExample});
  };
  const bool opened = head() || skip_to_body();
  const bool closed = opened && body({{kNoId, block, undo}}, kNoId);
  hide(undo);
  return closed;
}

bool Parser::header() {
  constexpr std::string_view kExample = "program(1.3)";
  skip();
  const char* at = p_;
  if (word() != "program") return expected({"'program'", kExample}, at);
  if (!take('(', {"'('", kExample})) return false;
  skip();
  at = p_;
  if (!is(*p_, kDigit) || !scan_number()) {
    return at == p_ ? expected({"a version", kExample}) : false;
  }
  data_.version = {at, static_cast<std::size_t>(p_ - at)};
  if (!take(')', {"')'", kExample})) return false;
  const bool ok = attributes(data_.first_attribute, data_.program_attributes);
  return ok && take('{', {"'{'", "program(1.3) { func main<ios18>() { ... } -> (y); }"});
}

/// What real files come to: an op for each 180 bytes of text, with two attributes. Memory that is
/// reserved and not used costs nothing.
void Parser::reserve() {
  const std::size_t ops = data_.text().size() / 160 + 8;
  data_.ops.reserve(ops);
  data_.values.reserve(ops);
  data_.arguments.reserve(ops * 2);
  data_.bindings.reserve(ops * 2);
  data_.attributes.reserve(ops * 2);
  data_.literals.reserve(ops * 2);
}

bool Parser::program() {
  reserve();
  // A byte order mark is not part of the text.
  if (data_.text().starts_with("\xEF\xBB\xBF")) p_ += 3;
  if (!header() && !skip_to_function()) return false;
  for (;;) {
    skip();
    if (*p_ == '}' && !at_end()) {
      ++p_;
      break;
    }
    if (at_end()) {
      if (errors_ == 0) expected({"'}'", "program(1.3) { func main<ios18>() { ... } -> (y); }"});
      return false;
    }
    const char* start = p_;
    const bool is_function = word() == "func";
    p_ = start;
    if (!is_function) {
      expected({"'func' or '}'", kFunctionExample});
      if (!skip_to_function()) return false;
    }
    if (!function() && !skip_to_function()) return false;
  }
  const char* tail = p_;
  skip();
  if (!at_end()) {
    std::size_t length = 1;
    const std::string found = describe(p_, length);
    return error(rule<"syntax.trailing">,
                 fmt::format("{} stands behind the program's closing brace", found), p_, length);
  }
  data_.tail = {tail, static_cast<std::size_t>(end_ - tail)};
  return errors_ == 0;
}

// --- Text that an edit adds. ---

/// Brings the names into sight that an op in `block` in front of `before` sees.
void Parser::define_visible_at(Id block, Id before) {
  std::vector<std::pair<Id, Id>> path;  // from the innermost block outwards
  for (;;) {
    path.emplace_back(block, before);
    before = data_.blocks[block].op;
    if (before == kNoId) break;
    block = data_.ops[before].block;
  }
  for (std::size_t i = path.size(); i-- != 0;) {
    const auto [inner, stop] = path[i];
    const BlockRecord& record = data_.blocks[inner];
    for (Id v = record.first_input; v != record.first_input + record.inputs; ++v) {
      const Id redefines = data_.values[v].redefines;
      define(v);
      data_.values[v].redefines = redefines;
    }
    for (Id op = record.first_op; op != kNoId && op != stop; op = data_.ops[op].next) {
      const OpRecord& made = data_.ops[op];
      for (Id v = made.first_result; v != made.first_result + made.results; ++v) {
        const Id redefines = data_.values[v].redefines;
        define(v);
        data_.values[v].redefines = redefines;
      }
    }
  }
}

bool Parser::ops_into(Id block, Id before) {
  define_visible_at(block, before);
  const std::size_t ops_before = data_.ops.size();
  if (!body({{kNoId, block, undo_.size()}}, before) || errors_ != 0) return false;
  return data_.ops.size() != ops_before || expected({"an op", kOpExample});
}

/// Sizes of everything that an edit grows, to go back to when it is refused.
struct Sizes {
  explicit Sizes(const ModuleData& data)
      : ops(data.ops.size()),
        values(data.values.size()),
        blocks(data.blocks.size()),
        arguments(data.arguments.size()),
        bindings(data.bindings.size()),
        attributes(data.attributes.size()),
        literals(data.literals.size()),
        blobs(data.blobs.size()) {}
  void restore(ModuleData& data) const {
    for (std::size_t b = bindings; b < data.bindings.size(); ++b) {
      if (data.bindings[b].kind == BindingKind::value) data.remove_use(static_cast<Id>(b));
    }
    data.ops.resize(ops);
    data.values.resize(values);
    data.blocks.resize(blocks);
    data.arguments.resize(arguments);
    data.bindings.resize(bindings);
    data.attributes.resize(attributes);
    data.literals.resize(literals);
    data.blobs.resize(blobs);
  }
  std::size_t ops;
  std::size_t values;
  std::size_t blocks;
  std::size_t arguments;
  std::size_t bindings;
  std::size_t attributes;
  std::size_t literals;
  std::size_t blobs;
};

constexpr std::string_view kEditFile = "<edit>";

/// Whether no value from `first` on, all of which are of one function, has a name that another one
/// of that function has.
bool names_are_free(const ModuleData& data, Id function, std::size_t first,
                    Diagnostics& diagnostics) {
  std::vector<Id> owner(data.names.size(), kNoId);
  for (std::size_t v = data.values.size(); v-- != 0;) {
    const ValueRecord& value = data.values[v];
    const auto id = static_cast<Id>(v);
    if (data.is_erased_value(id) || data.function_of_value(id) != function) continue;
    Id& taken = owner[value.name];
    if (taken != kNoId && taken >= first) {
      diagnostics
          .error(rule<"name.duplicate">.id(),
                 fmt::format("'{}' is made by what is added, but the name is taken",
                             data.name(value.name)),
                 Place(std::string(kEditFile)))
          .notes.push_back(
              {fmt::format("'{}' is made here", data.name(value.name)), data.place_of_value(id)});
      return false;
    }
    taken = id;
  }
  return true;
}

}  // namespace

bool parse_ops(ModuleData& data, std::string_view text, Id block, Id before,
               Diagnostics& diagnostics) {
  const Sizes sizes(data);
  const BlockRecord block_before = data.blocks[block];
  FunctionRecord& function = data.functions[block_before.function];
  const bool names_lost = function.names_lost;
  const Id previous = before == kNoId ? block_before.last_op : data.ops[before].previous;
  const std::size_t live_before = data.live_ops;
  Parser parser(data, data.keep(text), kEditFile, false, ParseOptions().error_limit, diagnostics);
  if (parser.ops_into(block, before) &&
      names_are_free(data, block_before.function, sizes.values, diagnostics)) {
    return true;
  }
  sizes.restore(data);
  function.names_lost = names_lost;
  data.blocks[block] = block_before;
  data.live_ops = live_before;
  if (previous != kNoId) data.ops[previous].next = before;
  if (before != kNoId) data.ops[before].previous = previous;
  return false;
}

Id parse_literal(ModuleData& data, std::string_view text, Diagnostics& diagnostics) {
  return Parser(data, data.keep(text), kEditFile, false, 1, diagnostics).single_literal();
}

}  // namespace mil

namespace {

Module parse_owned(std::string text, Diagnostics& diagnostics, const ParseOptions& options) {
  Module module;
  mil::ModuleData& data = module.data();
  data.file = options.file;
  if (text.size() > kTextLimitBytes) {
    diagnostics.error(
        rule<"syntax.size">.id(),
        fmt::format("the text has {} bytes; at most {} are taken", text.size(), kTextLimitBytes),
        Place(data.file));
    return module;
  }
  data.source = std::make_shared<const std::string>(std::move(text));
  mil::Parser parser(data, data.text(), data.file, true, options.error_limit, diagnostics);
  data.well_formed = parser.program();
  return module;
}

}  // namespace

Module parse_mil(std::string_view text, Diagnostics& diagnostics, const ParseOptions& options) {
  const std::uint64_t limit = std::min(options.size_limit_bytes, kTextLimitBytes);
  if (text.size() > limit) {
    diagnostics.error(
        rule<"syntax.size">.id(),
        fmt::format("the text has {} bytes; at most {} are taken", text.size(), limit),
        Place(std::string(options.file)));
    return Module();
  }
  return parse_owned(std::string(text), diagnostics, options);
}

Module read_mil(const std::string& path, Diagnostics& diagnostics) {
  std::string text;
  if (!read_file(path, kTextLimitBytes, text, diagnostics)) return Module();
  return parse_owned(std::move(text), diagnostics, {.file = path});
}

}  // namespace milgen
