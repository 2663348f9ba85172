#include "ir/infer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "ir/op_table.h"

namespace milgen {

namespace {

/// Text from a program as a message shows it: in quotes, and never more than a line of it.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShownChars = 60;
  if (text.size() <= kShownChars) return fmt::format("\"{}\"", text);
  return fmt::format("\"{}...\"", text.substr(0, kShownChars));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view a, std::string_view b, bool any_case) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && !(any_case && lower(a[i]) == lower(b[i]))) return false;
  }
  return true;
}

/// Cuts the first word off `words`.
std::string_view next_word(std::string_view& words) {
  const std::size_t end = std::min(words.find(' '), words.size());
  const std::string_view word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

bool has_word(std::string_view words, std::string_view wanted, bool any_case) {
  while (!words.empty()) {
    if (same_word(next_word(words), wanted, any_case)) return true;
  }
  return false;
}

/// Letters that have to be changed, added or dropped to turn `a` into `b`; case does not count.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr std::size_t kLongest = 64;
  if (a.size() > kLongest || b.size() > kLongest) return kLongest;
  std::array<std::size_t, kLongest + 1> row{};
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      const std::size_t change = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, change});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// "; did you mean same_lower", or nothing when no word is near.
std::string suggestion(std::string_view words, std::string_view wanted) {
  std::string_view best;
  std::size_t best_distance = 3;
  while (!words.empty()) {
    const std::string_view word = next_word(words);
    const std::size_t distance = edit_distance(wanted, word);
    // One letter in three may differ; more than that is a guess.
    if (distance < best_distance && distance * 3 <= word.size()) {
      best = word;
      best_distance = distance;
    }
  }
  return best.empty() ? std::string() : fmt::format("; did you mean {}?", best);
}

/// "fp16, fp32 or int32".
std::string any_of(std::string_view words) {
  std::string out;
  while (!words.empty()) {
    const std::string_view word = next_word(words);
    if (!out.empty()) out += words.empty() ? " or " : ", ";
    out += word;
  }
  return out;
}

std::string any_of(DTypeSet dtypes) {
  std::string words;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!dtypes.has(dtype)) continue;
    if (!words.empty()) words += ' ';
    words += dtype_name(dtype);
  }
  return any_of(words);
}

std::string_view kind_taken(ParamKind kind) {
  switch (kind) {
    case ParamKind::tensor:
    case ParamKind::variadic:
      return "a tensor";
    case ParamKind::list:
      return "a list";
    case ParamKind::state:
      return "a state";
    case ParamKind::block:
    case ParamKind::any:
      break;
  }
  return "a value";
}

bool kind_fits(const Param& param, TypeKind kind) {
  switch (param.kind) {
    case ParamKind::tensor:
      return kind == TypeKind::tensor;
    case ParamKind::variadic:
      // Loop variables may be lists; where a tuple shares a domain it is one of tensors.
      return kind == TypeKind::tensor || param.domain == '\0';
    case ParamKind::list:
      return kind == TypeKind::list;
    case ParamKind::state:
      return kind == TypeKind::state;
    case ParamKind::block:
    case ParamKind::any:
      break;
  }
  return true;
}

/// The rank that an argument of this form always has; -1 where the op decides.
int rank_of(Form form) {
  switch (form) {
    case Form::integer:
    case Form::real:
    case Form::boolean:
    case Form::text:
    case Form::dtype:
      return 0;
    case Form::integers:
    case Form::booleans:
      return 1;
    case Form::operand:
    case Form::extents:
      break;
  }
  return -1;
}

/// The first argument of each type domain, to compare the others with.
class Domains {
 public:
  /// False when `param` has another dtype than the one that opened its domain.
  bool add(const Param& param, DType dtype) {
    if (param.domain < 'A' || param.domain > 'Z') return true;
    const Param*& first = first_[static_cast<std::size_t>(param.domain - 'A')];
    if (first == nullptr) {
      first = &param;
      dtype_[static_cast<std::size_t>(param.domain - 'A')] = dtype;
      return true;
    }
    return dtype_[static_cast<std::size_t>(param.domain - 'A')] == dtype;
  }
  const Param& first(const Param& param) const {
    return *first_[static_cast<std::size_t>(param.domain - 'A')];
  }

 private:
  std::array<const Param*, 26> first_{};
  std::array<DType, 26> dtype_{};
};

/// Whether the op's inference hands the shape on without looking at it.
bool takes_any_rank(const OpInfo& op) {
  return op.infer == infer_identity || op.infer == infer_like_x || op.infer == infer_fill_like;
}

void check_words(InferContext& ctx, const Param& param, const ConstView& value) {
  if (value.texts.empty()) return;
  const std::string_view word = value.texts.front();
  if (has_word(param.choices, word, param.any_case)) return;
  ctx.error(rule<"arg.choice">, param.name,
            fmt::format("{} is {} but the op takes {}{}", param.name, quoted(word),
                        any_of(param.choices), suggestion(param.choices, word)));
}

void check_element(InferContext& ctx, const Param& param, const ArgumentValue& given, int index,
                   Domains& domains) {
  const TypeView& type = given.type;
  if (!kind_fits(param, type.kind)) {
    ctx.error(rule<"arg.kind">, param.name,
              fmt::format("{} is {} but the op takes {} there", ctx.describe(param.name, index),
                          to_string(type), kind_taken(param.kind)));
    return;
  }
  if (!param.dtypes.empty() && !param.dtypes.has(type.dtype)) {
    ctx.error(rule<"arg.dtype">, param.name,
              fmt::format("{} is {} but the op takes {} there", ctx.describe(param.name, index),
                          to_string(type), any_of(param.dtypes)));
    return;
  }
  if (type.rank() == 1 && type.dim(0) == kUnknownRank && !takes_any_rank(ctx.op())) {
    ctx.error(rule<"arg.unknown_rank">, param.name,
              fmt::format("the rank of {} is not known but the op has to know it",
                          ctx.describe(param.name, index)));
    return;
  }
  if (!domains.add(param, type.dtype)) {
    const Param& first = domains.first(param);
    ctx.error(rule<"arg.domain">, fmt::format("{} {}", param.name, first.name),
              fmt::format("{} is {} but {} is {}, and both must have one dtype",
                          ctx.describe(param.name, index), dtype_name(type.dtype),
                          ctx.describe(first.name), dtype_name(ctx.type(first.name).dtype)));
  }
  const int rank = rank_of(param.form);
  if (rank >= 0 && type.rank() != rank) {
    ctx.error(
        rule<"arg.rank">, param.name,
        fmt::format("{} has shape {} but the op takes a {} there", ctx.describe(param.name, index),
                    shape_text(type.shape), rank == 0 ? "scalar" : "list of rank 1"));
    return;
  }
  if (!param.is_const) return;
  const ConstView* value = given.constant;
  if (value == nullptr) {
    ctx.error(rule<"arg.const">, param.name,
              fmt::format("{} is a run-time value but must be known when the program is compiled",
                          ctx.describe(param.name, index)));
    return;
  }
  if (param.form != Form::operand && !value->known) {
    // What is part of the op stands in the program's text; a weight file's bytes are read later.
    ctx.error(rule<"arg.value">, param.name,
              fmt::format("the value of {} is not at hand, but it is part of the op",
                          ctx.describe(param.name, index)));
    return;
  }
  if (!param.choices.empty()) check_words(ctx, param, *value);
}

}  // namespace

std::int64_t InferContext::integer(std::string_view param, std::int64_t otherwise) const {
  const ConstView* value = constant(param);
  return value == nullptr || value->ints.empty() ? otherwise : value->ints.front();
}

double InferContext::real(std::string_view param, double otherwise) const {
  const ConstView* value = constant(param);
  if (value == nullptr) return otherwise;
  if (!value->reals.empty()) return value->reals.front();
  return value->ints.empty() ? otherwise : static_cast<double>(value->ints.front());
}

bool InferContext::boolean(std::string_view param, bool otherwise) const {
  return integer(param, otherwise ? 1 : 0) != 0;
}

std::string_view InferContext::text(std::string_view param, std::string_view otherwise) const {
  const ConstView* value = constant(param);
  return value == nullptr || value->texts.empty() ? otherwise : value->texts.front();
}

bool InferContext::integers(std::string_view param, Ints& out) const {
  const ConstView* value = constant(param);
  if (value == nullptr || !value->known) return false;
  out = Ints(value->ints);
  return true;
}

void InferContext::result_dict(DType, DType) { result(DType::none, {}); }
void InferContext::result_tensor_buffer(DType, std::span<const std::int64_t>,
                                        std::span<const std::int64_t>,
                                        std::span<const std::int64_t>) {
  result(DType::none, {});
}

int InferContext::block_inputs(int) const { return 0; }
TypeView InferContext::block_input(int, int) const { return {}; }
int InferContext::block_outputs(int) const { return 0; }
TypeView InferContext::block_output(int, int) const { return {}; }

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) out += ", ";
    // Symbols are told apart in inference only: MIL text has one word for all unknown dims.
    out += known(shape[i]) ? fmt::format_int(shape[i]).str() : std::string("?");
  }
  return out + ']';
}

namespace {

std::string buffer_text(const TypeView& type) {
  std::string out =
      fmt::format("tensor_buffer<{}, shape={}", dtype_name(type.dtype), shape_text(type.shape));
  if (!type.strides.empty()) out += fmt::format(", strides={}", shape_text(type.strides));
  if (!type.interleave_factors.empty()) {
    out += fmt::format(", interleave_factors={}", shape_text(type.interleave_factors));
  }
  return out + '>';
}

}  // namespace

std::string to_string(const TypeView& type) {
  // Lists and states hold tensors only, so one level of nesting is all there is.
  const auto tensor = [](const TypeView& t) {
    if (t.shape.empty()) return std::string(dtype_name(t.dtype));
    return fmt::format("tensor<{}, {}>", dtype_name(t.dtype), shape_text(t.shape));
  };
  switch (type.kind) {
    case TypeKind::tensor:
      return tensor(type);
    case TypeKind::list:
      return fmt::format("list<{}, {}>", type.element != nullptr ? tensor(*type.element) : "?",
                         known(type.length) ? fmt::format_int(type.length).str() : "?");
    case TypeKind::state:
      return fmt::format("state<{}>", type.element != nullptr ? tensor(*type.element) : "?");
    case TypeKind::dict:
      return "dict";
    case TypeKind::tuple:
      return "tuple";
    case TypeKind::tensor_buffer:
      return buffer_text(type);
  }
  return "?";
}

bool broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b, Shape& out) {
  if (a.size() < b.size()) std::swap(a, b);
  const std::size_t lead = a.size() - b.size();
  out.resize(a.size());
  for (std::size_t i = 0; i < lead; ++i) out[i] = a[i];
  for (std::size_t i = lead; i < a.size(); ++i) {
    const std::int64_t p = a[i];
    const std::int64_t q = b[i - lead];
    if (p == q || q == 1) {
      out[i] = p;
    } else if (p == 1) {
      out[i] = q;
    } else if (known(p) && known(q)) {
      return false;
    } else if (known(p) || known(q)) {
      // Only the number itself or 1 fits a number, and either way the number is the result.
      out[i] = known(p) ? p : q;
    } else {
      out[i] = kUnknownDim;
    }
  }
  return true;
}

bool normalize_axis(InferContext& ctx, Rule rule, std::string_view param, std::int64_t axis,
                    int rank, int& out) {
  if (axis < -rank || axis >= rank) {
    const ConstView* value = ctx.constant(param);
    const bool is_list = value != nullptr && !value->shape.empty();
    ctx.error(rule, param,
              fmt::format("{} {} {} but must lie in [{}, {}) for rank {}", param,
                          is_list ? "holds" : "is", axis, -rank, rank, rank));
    return false;
  }
  out = static_cast<int>(axis < 0 ? axis + rank : axis);
  return true;
}

bool infer_op(InferContext& ctx) {
  const OpInfo& op = ctx.op();
  if (op.since() > ctx.opset()) {
    ctx.error(rule<"op.opset">, {},
              fmt::format("the op exists from {} on but the program is {}", opset_name(op.since()),
                          opset_name(ctx.opset())));
    return false;
  }
  Domains domains;
  const std::span<const ArgumentView> arguments = ctx.arguments();
  std::size_t next = 0;
  for (const Param& param : op.params(ctx.opset())) {
    if (param.kind == ParamKind::block) continue;
    // Contexts list arguments as the row does, so the next one is the one looked for, or there is
    // none; it is searched for where a context has another order.
    const ArgumentView* argument = nullptr;
    if (next < arguments.size() && arguments[next].name.data() == param.name.data() &&
        arguments[next].name.size() == param.name.size()) {
      argument = &arguments[next++];
    } else {
      argument = ctx.find(param.name);
    }
    if (argument == nullptr) {
      if (!param.required()) continue;
      ctx.error(rule<"arg.missing">, {},
                fmt::format("argument {} is required but missing", param.name));
      continue;
    }
    int index = 0;
    for (const ArgumentValue& value : argument->values) {
      check_element(ctx, param, value, index++, domains);
    }
  }
  if (ctx.failed()) return false;
  if (op.infer != nullptr) op.infer(ctx);
  return !ctx.failed();
}

}  // namespace milgen
