#include "mil/compare_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "mil/literal.h"
#include "support/printable.h"

namespace milgen::mil {
namespace {

/// A constant among arguments is longer than this only behind its name.
constexpr std::size_t kArgumentValueBytes = 40;
constexpr std::size_t kConstantValueBytes = 72;
/// Elements of a tuple that are shown around those that differ.
constexpr std::uint32_t kTupleElements = 8;

std::string_view type_text(const ModuleData& data, Id type) {
  return type == kNoId ? std::string_view() : data.types[type].text;
}

/// Puts a line together and remembers what is marked.
class Line {
 public:
  void add(std::string_view text) { text_ += text; }
  void add(std::string_view text, bool marked) {
    if (marked) marks_.emplace_back(text_.size(), text_.size() + text.size());
    text_ += text;
  }
  ChangeSide take(Place place) {
    return {
        .text = std::move(text_), .marks = std::move(marks_), .place = std::move(place), .op = {}};
  }

 private:
  std::string text_;
  std::vector<std::pair<std::size_t, std::size_t>> marks_;
};

bool contains(const std::vector<Id>& ids, Id id) { return std::ranges::find(ids, id) != ids.end(); }

/// A binding as an argument shows it; true in `is_constant` for a value that is known.
std::string binding_text(const ModuleData& data, const BindingRecord& binding, bool& is_constant) {
  switch (binding.kind) {
    case BindingKind::literal: {
      is_constant = true;
      return excerpt_of(constant_text(data, binding.id), 0, kArgumentValueBytes);
    }
    case BindingKind::value: {
      const std::string_view name = data.name(data.values[binding.id].name);
      const Id literal = data.literal_behind(binding);
      is_constant = literal != kNoId;
      if (literal == kNoId || data.literals[literal].blob != kNoId) return std::string(name);
      const std::string text = constant_text(data, literal);
      return text.size() <= kArgumentValueBytes ? text : std::string(name);
    }
    case BindingKind::undefined:
      return std::string(data.name(binding.id));
    case BindingKind::tuple:
      break;
  }
  return "(...)";
}

void add_results(Line& line, const ModuleData& data, const OpRecord& op, const Marked* marked) {
  for (std::uint32_t i = 0; i < op.results; ++i) {
    const ValueRecord& value = data.values[op.first_result + i];
    if (i != 0) line.add(", ");
    line.add(type_text(data, value.type),
             marked != nullptr && std::ranges::find(marked->results, i) != marked->results.end());
    line.add(" ");
    line.add(data.name(value.name));
  }
  if (op.results != 0) line.add(" = ");
}

/// The bindings [first, last) of a tuple that are shown: all of a short one, else those around the
/// first that is marked.
std::pair<std::uint32_t, std::uint32_t> shown_part(const ArgumentRecord& argument,
                                                   const Marked* marked) {
  if (argument.bindings <= kTupleElements) return {0, argument.bindings};
  std::uint32_t at = 0;
  for (std::uint32_t i = 0; marked != nullptr && i < argument.bindings; ++i) {
    if (!contains(marked->bindings, argument.first_binding + i)) continue;
    at = i;
    break;
  }
  const std::uint32_t first =
      std::min(at - std::min(at, kTupleElements / 2), argument.bindings - kTupleElements);
  return {first, first + kTupleElements};
}

/// False when nothing of the argument was worth showing.
bool add_argument(Line& line, const ModuleData& data, const ArgumentRecord& argument,
                  const Marked* marked, bool is_first) {
  const auto is_marked = [&](Id binding) {
    return marked != nullptr && contains(marked->bindings, binding);
  };
  if (marked != nullptr && argument.bindings == 1 && !is_marked(argument.first_binding)) {
    bool is_constant = false;
    binding_text(data, data.bindings[argument.first_binding], is_constant);
    if (is_constant) return false;
  }
  if (!is_first) line.add(", ");
  line.add(data.name(argument.name));
  line.add(" = ");
  const auto [first, last] = shown_part(argument, marked);
  const bool tuple = argument.bindings != 1;
  if (tuple) line.add(first == 0 ? "(" : "(..., ");
  for (std::uint32_t i = first; i < last; ++i) {
    const Id binding = argument.first_binding + i;
    bool is_constant = false;
    if (i != first) line.add(", ");
    line.add(binding_text(data, data.bindings[binding], is_constant), is_marked(binding));
  }
  if (tuple) line.add(last == argument.bindings ? ")" : ", ...)");
  return true;
}

}  // namespace

std::string excerpt_of(std::string_view text, std::size_t at, std::size_t limit) {
  if (text.size() <= limit) return printable(text, limit);
  const std::size_t before = limit / 3;
  const std::size_t first = at <= before ? 0 : std::min(at - before, text.size() - limit);
  std::string out = first == 0 ? "" : "...";
  out += printable(text.substr(first, limit), limit);
  if (first + limit < text.size()) out += "...";
  return out;
}

std::string constant_text(const ModuleData& data, Id literal_id) {
  const LiteralRecord& literal = data.literals[literal_id];
  if (literal.blob == kNoId) return std::string(literal.text);
  const BlobRecord& blob = data.blobs[literal.blob];
  return fmt::format("BLOBFILE({}, {})", blob.path, blob.offset);
}

std::string op_phrase(const ModuleData& data, Id id) {
  const OpRecord& op = data.ops[id];
  std::string out(data.name(op.name));
  if (op.results != 0) out += fmt::format(" {}", data.name(data.values[op.first_result].name));
  return out;
}

ChangeSide op_line(const ModuleData& data, Id id, const Marked* marked) {
  const OpRecord& op = data.ops[id];
  Line line;
  add_results(line, data, op, marked);
  line.add(data.name(op.name), marked != nullptr && marked->word);
  if (op.opset != kEmptyName) {
    line.add(fmt::format("<{}>", data.name(op.opset)), marked != nullptr && marked->word);
  }
  line.add("(");
  bool is_first = true;
  bool left_out = false;
  for (const ArgumentRecord& argument : data.arguments_of(op)) {
    if (add_argument(line, data, argument, marked, is_first)) {
      is_first = false;
    } else {
      left_out = true;
    }
  }
  if (left_out) line.add(is_first ? "..." : ", ...");
  line.add(")");
  bool any_attribute = false;
  for (std::uint32_t i = 0; marked != nullptr && i < op.attributes; ++i) {
    const Id attribute = op.first_attribute + i;
    if (!contains(marked->attributes, attribute)) continue;
    const AttributeRecord& record = data.attributes[attribute];
    line.add(any_attribute ? ", " : "[");
    any_attribute = true;
    line.add(fmt::format("{} = {}", data.name(record.name),
                         excerpt_of(constant_text(data, record.literal), 0, kConstantValueBytes)),
             true);
  }
  if (any_attribute) line.add("]");
  return line.take(data.place_of_op(id));
}

ChangeSide constant_line(const ModuleData& data, const OperandSlot& slot, bool same_type,
                         std::string_view other) {
  const LiteralRecord& literal = data.literals[slot.literal];
  const std::string text = constant_text(data, slot.literal);
  const auto at = static_cast<std::size_t>(std::ranges::mismatch(text, other).in1 - text.begin());
  Line line;
  Place place = data.place(literal.at);
  std::string_view type = type_text(data, literal.type);
  if (slot.value != kNoId) {
    type = type_text(data, data.values[slot.value].type);
    place = data.place_of_value(slot.value);
  }
  line.add(type, !same_type && !type.empty());
  if (!type.empty()) line.add(" ");
  if (slot.value != kNoId) {
    line.add(data.name(data.values[slot.value].name));
    line.add(" = ");
  }
  line.add(excerpt_of(text, at, kConstantValueBytes), same_type || text != other);
  return line.take(std::move(place));
}

ChangeSide value_line(const ModuleData& data, Id value) {
  Line line;
  line.add(type_text(data, data.values[value].type), true);
  line.add(" ");
  line.add(data.name(data.values[value].name));
  return line.take(data.place_of_value(value));
}

std::string value_phrase(const ModuleData& data, const OperandSlot& slot) {
  if (slot.value != kNoId) return std::string(data.name(data.values[slot.value].name));
  if (slot.literal != kNoId) {
    return excerpt_of(constant_text(data, slot.literal), 0, kArgumentValueBytes);
  }
  if (slot.binding != kNoId && data.bindings[slot.binding].kind == BindingKind::undefined) {
    return std::string(data.name(data.bindings[slot.binding].id));
  }
  return "a tuple";
}

std::string origin_phrase(const ModuleData& data, const OperandSlot& slot) {
  const std::string name = value_phrase(data, slot);
  if (slot.kind == SlotKind::undefined) return fmt::format("{} (not defined)", name);
  if (slot.value == kNoId) return name;
  const ValueRecord& value = data.values[slot.value];
  if (value.op == kNoId) return fmt::format("{} (an input)", name);
  const OpRecord& op = data.ops[value.op];
  const std::string_view word = data.name(op.name);
  if (op.results > 1) return fmt::format("{} (result {} of {})", name, value.index, word);
  const Place place = data.place_of_op(value.op);
  return place.line == 0 ? fmt::format("{} (of {})", name, word)
                         : fmt::format("{} (of {} in line {})", name, word, place.line);
}

}  // namespace milgen::mil
