#include "mil/literal_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "support/printable.h"

namespace milgen::mil {

std::optional<TypeKind> container(std::string_view word) {
  if (word == "tensor") return TypeKind::tensor;
  if (word == "list") return TypeKind::list;
  if (word == "tuple") return TypeKind::tuple;
  if (word == "dict") return TypeKind::dict;
  if (word == "state") return TypeKind::state;
  if (word == "tensor_buffer") return TypeKind::tensor_buffer;
  return std::nullopt;
}

// --- Types. ---

bool LiteralParser::scalar_type(DType& out) {
  skip();
  const char* start = p_;
  const std::string_view name = word();
  out = dtype_from_name(name);
  if (out != DType::none) return true;
  p_ = start;
  return expected({"a scalar type", "fp16, fp32, int32, bool, string"});
}

bool LiteralParser::dim(std::int64_t& out, bool may_be_unknown) {
  skip();
  const char* start = p_;
  if (may_be_unknown && *p_ == '?') {
    ++p_;
    out = kUnknownDim;
    return true;
  }
  if (!is(*p_, kDigit)) {
    return may_be_unknown ? expected({"a dim", "tensor<fp16, [1, 64, ?]>"})
                          : expected({"a number", "strides=[64, 64, 1]"});
  }
  const auto [stop, code] = std::from_chars(p_, end_, out);
  p_ = stop;
  while (is(*p_, kDigit)) ++p_;
  if (code == std::errc() && !is(*p_, kWord)) return true;
  while (is(*p_, kWord)) ++p_;
  const auto length = static_cast<std::size_t>(p_ - start);
  return error(rule<"syntax.number">,
               fmt::format("'{}' is not a dim; the largest is {}",
                           std::string_view(start, std::min<std::size_t>(length, 60)), INT64_MAX),
               start, length);
}

bool LiteralParser::dims(std::vector<std::int64_t>& out, bool may_be_unknown) {
  out.clear();
  if (!take('[', {"'['", "tensor<fp16, [1, 64]>"})) return false;
  if (take(']')) return true;
  do {
    std::int64_t value = 0;
    if (!dim(value, may_be_unknown)) return false;
    out.push_back(value);
  } while (take(','));
  return take(']', {"',' or ']'", "tensor<fp16, [1, 64]>"});
}

/// Behind `tensor<`.
bool LiteralParser::tensor_type(Id& out) {
  DType dtype = DType::none;
  if (!scalar_type(dtype) || !take(',', {"','", "tensor<fp16, [1, 64]>"}) || !dims(dims_, true) ||
      !take('>', {"'>'", "tensor<fp16, [1, 64]>"})) {
    return false;
  }
  out = data_.types.tensor(dtype, dims_, true);
  return true;
}

/// Behind `tensor_buffer<`.
bool LiteralParser::tensor_buffer_type(Id& out) {
  constexpr std::string_view kExample = "tensor_buffer<fp16, shape=[1, 64], strides=[64, 1]>";
  DType dtype = DType::none;
  if (!scalar_type(dtype)) return false;
  std::vector<TypeTable::Field> fields;
  while (take(',')) {
    TypeTable::Field field;
    if (!word(field.name, {"a name", kExample}) || !take('=', {"'='", kExample}) ||
        !dims(field.dims, true)) {
      return false;
    }
    fields.push_back(std::move(field));
  }
  if (!take('>', {"',' or '>'", kExample})) return false;
  out = data_.types.tensor_buffer(dtype, fields);
  return true;
}

/// Any type, with a stack of the containers that are open.
bool LiteralParser::type_at_length(Id& out) {
  struct Open {
    TypeKind kind;
    const char* at;
    std::vector<Id> elements;
  };
  std::vector<Open> open;
  for (;;) {
    skip();
    const char* start = p_;
    const std::string_view name = word();
    const std::optional<TypeKind> kind = container(name);
    if (!kind) {
      const DType dtype = dtype_from_name(name);
      if (dtype == DType::none) {
        p_ = start;
        return expected({"a type", "tensor<fp16, [1, 64]>, fp16, string"});
      }
      out = data_.types.tensor(dtype, {}, false);
    } else {
      if (!take('<', {"'<'", "tensor<fp16, [1, 64]>"})) return false;
      if (*kind == TypeKind::tensor) {
        if (!tensor_type(out)) return false;
      } else if (*kind == TypeKind::tensor_buffer) {
        if (!tensor_buffer_type(out)) return false;
      } else {
        if (open.size() == kTypeNestingLimit) {
          return error(rule<"syntax.nesting">,
                       fmt::format("a type nests deeper than {} levels", kTypeNestingLimit), start);
        }
        open.push_back({*kind, start, {}});
        continue;
      }
    }
    // Behind a type: what is it an element of?
    for (;;) {
      if (open.empty()) return true;
      Open& outer = open.back();
      outer.elements.push_back(out);
      if (outer.kind == TypeKind::list) {
        std::int64_t length = 0;
        if (!take(',', {"','", "list<tensor<fp16, [4]>, 2>"}) || !dim(length, true)) return false;
        if (!take('>', {"'>'", "list<tensor<fp16, [4]>, 2>"})) return false;
        out = data_.types.list(outer.elements.front(), length);
      } else if (outer.kind == TypeKind::state) {
        if (!take('>', {"'>'", "state<tensor<fp16, [1, 64]>>"})) return false;
        out = data_.types.state(outer.elements.front());
      } else if (outer.kind == TypeKind::dict) {
        if (outer.elements.size() == 1) {
          if (!take(',', {"','", "dict<string, string>"})) return false;
          break;
        }
        if (!take('>', {"'>'", "dict<string, string>"})) return false;
        out = data_.types.dict(outer.elements[0], outer.elements[1]);
      } else {
        if (take(',')) break;
        if (!take('>', {"',' or '>'", "tuple<string, int32>"})) return false;
        out = data_.types.tuple(outer.elements);
      }
      open.pop_back();
    }
  }
}

/// Types recur, so that most are known by their bytes: a word, or `tensor<` up to the next `>`.
bool LiteralParser::type(Id& out) {
  skip();
  const char* start = p_;
  const char* stop = past(start, kWord);
  if (*stop == '<' && stop - start == 6 && std::memcmp(start, "tensor", 6) == 0) {
    constexpr std::ptrdiff_t kLongest = 256;
    const char* limit = end_ - stop < kLongest ? end_ : stop + kLongest;
    while (stop < limit && *stop != '>') ++stop;
    if (*stop == '>') ++stop;
  } else if (*stop == '<') {
    return type_at_length(out);
  }
  const std::string_view spelling(start, static_cast<std::size_t>(stop - start));
  const Id word = type_words_.intern(spelling);
  if (word < type_ids_.size() && type_ids_[word] != kNoId) {
    p_ = stop;
    out = type_ids_[word];
    return true;
  }
  if (!type_at_length(out)) return false;
  // One with a comment in it is read each time, for the comment.
  if (p_ == stop && spelling.find('/') == std::string_view::npos) {
    type_ids_.resize(type_words_.size(), kNoId);
    type_ids_[word] = out;
  }
  return true;
}

// --- Literals. ---

bool LiteralParser::blob(LiteralRecord& literal) {
  constexpr std::string_view kExample =
      "BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64))";
  BlobRecord record;
  if (!take('(', {"'('", kExample})) return false;
  bool has_path = false;
  bool has_offset = false;
  do {
    skip();
    const char* at = p_;
    const std::string_view field = word();
    const bool is_path = field == "path" && !has_path;
    const bool is_offset = field == "offset" && !has_offset;
    if (!is_path && !is_offset) {
      return expected({has_path     ? "'offset'"
                       : has_offset ? "'path'"
                                    : "'path' or 'offset'",
                       kExample},
                      at);
    }
    Id type_id = kNoId;
    std::string_view text;
    bool spaced = true;
    if (!take('=', {"'='", kExample}) || !type(type_id) || !take('(', {"'('", kExample})) {
      return false;
    }
    skip();
    const char* value_at = p_;
    if (!scan_value(text, spaced) || !take(')', {"')'", kExample})) return false;
    if (is_path) {
      has_path = true;
      record.path_type = type_id;
      record.path = text;
      if (text.front() != '"') return expected({"a string", kExample}, value_at);
    } else {
      has_offset = true;
      record.offset_type = type_id;
      record.offset_text = text;
      const auto [stop, code] =
          std::from_chars(text.data(), text.data() + text.size(), record.offset);
      if (code != std::errc() || stop != text.data() + text.size()) {
        return error(rule<"syntax.number">,
                     fmt::format("'{}' is not an offset; an example: uint64(64)",
                                 printable(text.substr(0, 60))),
                     value_at, text.size());
      }
    }
  } while (take(','));
  if (!has_path || !has_offset) return expected({"','", kExample});
  if (!take(')', {"')'", kExample})) return false;
  literal.blob = static_cast<Id>(data_.blobs.size());
  data_.blobs.push_back(record);
  return true;
}

bool LiteralParser::typed(Id& out) {
  LiteralRecord literal;
  if (!type(literal.type)) return false;
  if (!take('(', {"'('", "fp16(0x1p+0), tensor<int32, [2]>([1, 2])"})) return false;
  skip();
  literal.at = place_of(p_);
  const char* start = p_;
  if (*p_ == 'B' && word() == "BLOBFILE") {
    if (!blob(literal)) return false;
    literal.text = {start, static_cast<std::size_t>(p_ - start)};
  } else {
    p_ = start;
    if (!scan_value(literal.text, literal.spaced)) return false;
  }
  if (!take(')', {"')'", "fp16(0x1p+0), tensor<int32, [2]>([1, 2])"})) return false;
  out = static_cast<Id>(data_.literals.size());
  data_.literals.push_back(literal);
  return true;
}

Id LiteralParser::single_literal() {
  Id literal = kNoId;
  if (!typed(literal)) return kNoId;
  skip();
  if (at_end()) return literal;
  expected({"the end of the text", "fp16(0x1p+0)"});
  return kNoId;
}

}  // namespace milgen::mil
