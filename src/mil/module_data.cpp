#include "mil/module_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "support/word_hash.h"

namespace milgen::mil {
namespace {

void append_dims(std::string& out, std::span<const std::int64_t> dims) {
  out += '[';
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i != 0) out += ", ";
    if (known(dims[i])) {
      fmt::format_to(std::back_inserter(out), "{}", dims[i]);
    } else {
      out += '?';
    }
  }
  out += ']';
}

}  // namespace

// --- NameTable ---

NameTable::NameTable() { intern(""); }

Id NameTable::find(std::string_view text) const {
  return ids_.find(hash_word(text, hash_seed()), [&](Id id) { return views_[id] == text; });
}

Id NameTable::intern(std::string_view text) {
  const auto next = static_cast<Id>(views_.size());
  const Id id = ids_.find_or_add(hash_word(text, hash_seed()), next,
                                 [&](Id other) { return views_[other] == text; });
  // A view of nothing would be a null pointer to those who compare bytes.
  if (id == next) views_.push_back(text.data() == nullptr ? std::string_view("") : text);
  return id;
}

// --- TypeTable ---

TypeTable::TypeTable(const TypeTable& other)
    : records_(other.records_),
      dims_(other.dims_),
      children_(other.children_),
      fields_(other.fields_),
      by_text_(other.by_text_),
      texts_(other.texts_) {}

const TypeView& TypeTable::view(Id id) const {
  if (views_.size() < records_.size()) views_.resize(records_.size());
  if (views_[id] != nullptr) return *views_[id];
  const TypeRecord& type = records_[id];
  auto view = std::make_unique<TypeView>();
  view->kind = type.kind;
  view->dtype = type.dtype;
  view->shape = shape(type);
  view->length = type.length;
  for (const TypeField& field : fields(type)) {
    if (field.name == "strides") view->strides = dims(field);
    if (field.name == "interleave_factors") view->interleave_factors = dims(field);
  }
  if (type.kind == TypeKind::list || type.kind == TypeKind::state) {
    // An element has a smaller id, and types nest to kTypeNestingLimit at most.
    view->element = &this->view(children(type).front());
  }
  views_[id] = std::move(view);
  return *views_[id];
}

Id TypeTable::add(std::string text, TypeRecord record, std::span<const std::int64_t> dims,
                  std::span<const Id> children) {
  if (const Id known_as = by_text_.find(text); known_as != kNoId) return known_as - 1;
  texts_.push_back(std::make_shared<const std::string>(std::move(text)));
  record.text = *texts_.back();
  const Id id = by_text_.intern(record.text) - 1;
  record.first_dim = static_cast<std::uint32_t>(dims_.size());
  record.rank = static_cast<std::uint32_t>(dims.size());
  dims_.insert(dims_.end(), dims.begin(), dims.end());
  record.first_child = static_cast<std::uint32_t>(children_.size());
  record.children = static_cast<std::uint32_t>(children.size());
  children_.insert(children_.end(), children.begin(), children.end());
  // Views of earlier types look at the dims, which may have moved.
  views_.clear();
  records_.push_back(record);
  const Id plain = plain_of(record, children);
  records_[id].plain = plain == kNoId ? id : plain;
  return id;
}

Id TypeTable::plain_of(const TypeRecord& record, std::span<const Id> children) {
  if (record.bracketed) return tensor(record.dtype, {}, false);
  std::vector<Id> plain(children.begin(), children.end());
  for (Id& child : plain) child = records_[child].plain;
  if (std::ranges::equal(plain, children)) return kNoId;
  switch (record.kind) {
    case TypeKind::list:
      return list(plain[0], record.length);
    case TypeKind::state:
      return state(plain[0]);
    case TypeKind::dict:
      return dict(plain[0], plain[1]);
    case TypeKind::tuple:
      return tuple(plain);
    case TypeKind::tensor:
    case TypeKind::tensor_buffer:
      break;
  }
  return kNoId;
}

Id TypeTable::tensor(DType dtype, std::span<const std::int64_t> shape, bool bracketed) {
  TypeRecord record;
  record.dtype = dtype;
  record.bracketed = bracketed && shape.empty();
  std::string text(dtype_name(dtype));
  if (!shape.empty() || bracketed) {
    text = fmt::format("tensor<{}, ", text);
    append_dims(text, shape);
    text += '>';
  }
  return add(std::move(text), record, shape, {});
}

Id TypeTable::list(Id element, std::int64_t length) {
  TypeRecord record;
  record.kind = TypeKind::list;
  record.length = length;
  std::string text = fmt::format("list<{}, ", records_[element].text);
  text += known(length) ? fmt::format("{}>", length) : std::string("?>");
  return add(std::move(text), record, {}, {&element, 1});
}

Id TypeTable::state(Id element) {
  TypeRecord record;
  record.kind = TypeKind::state;
  return add(fmt::format("state<{}>", records_[element].text), record, {}, {&element, 1});
}

Id TypeTable::tuple(std::span<const Id> elements) {
  TypeRecord record;
  record.kind = TypeKind::tuple;
  std::string text = "tuple<";
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i != 0) text += ", ";
    text += records_[elements[i]].text;
  }
  text += '>';
  return add(std::move(text), record, {}, elements);
}

Id TypeTable::dict(Id key, Id value) {
  TypeRecord record;
  record.kind = TypeKind::dict;
  const Id children[] = {key, value};
  return add(fmt::format("dict<{}, {}>", records_[key].text, records_[value].text), record, {},
             children);
}

Id TypeTable::tensor_buffer(DType dtype, std::span<const Field> fields) {
  TypeRecord record;
  record.kind = TypeKind::tensor_buffer;
  record.dtype = dtype;
  std::string text = fmt::format("tensor_buffer<{}", dtype_name(dtype));
  std::span<const std::int64_t> shape;
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(text), ", {}=", field.name);
    append_dims(text, field.dims);
    if (field.name == "shape") shape = field.dims;
  }
  text += '>';
  record.first_field = static_cast<std::uint32_t>(fields_.size());
  record.fields = static_cast<std::uint32_t>(fields.size());
  const std::size_t before = records_.size();
  const Id id = add(std::move(text), record, shape, {});
  if (records_.size() == before) return id;
  for (const Field& field : fields) {
    fields_.push_back({field.name, static_cast<std::uint32_t>(dims_.size()),
                       static_cast<std::uint32_t>(field.dims.size())});
    dims_.insert(dims_.end(), field.dims.begin(), field.dims.end());
  }
  return id;
}

// --- ModuleData ---

Place ModuleData::place(std::uint32_t at, std::size_t length) const {
  if (at == kNoPlace) return Place(file);
  if (line_starts_.empty()) {
    line_starts_.push_back(0);
    const std::string_view all = text();
    for (std::size_t i = all.find('\n'); i != std::string_view::npos; i = all.find('\n', i + 1)) {
      line_starts_.push_back(static_cast<std::uint32_t>(i + 1));
    }
  }
  const auto line = std::upper_bound(line_starts_.begin(), line_starts_.end(), at) - 1;
  return Place(file, static_cast<std::uint32_t>(line - line_starts_.begin() + 1), at - *line + 1,
               static_cast<std::uint32_t>(std::max<std::size_t>(length, 1)));
}

Place ModuleData::place_of_value(Id value) const {
  return place(values[value].at, name(values[value].name).size());
}

Place ModuleData::place_of_op(Id op) const {
  return place(ops[op].name_at, name(ops[op].name).size());
}

Id ModuleData::const_literal(const OpRecord& op) const {
  if (op.code != static_cast<std::int16_t>(OpCode::const_)) return kNoId;
  for (const AttributeRecord& attribute : attributes_of(op)) {
    if (name(attribute.name) == "val") return attribute.literal;
  }
  return kNoId;
}

Id ModuleData::literal_behind(const BindingRecord& binding) const {
  if (binding.kind == BindingKind::literal) return binding.id;
  if (binding.kind != BindingKind::value) return kNoId;
  const Id op = values[binding.id].op;
  return op == kNoId ? kNoId : const_literal(ops[op]);
}

bool ModuleData::is_erased_value(Id value) const {
  const ValueRecord& record = values[value];
  const Id op = record.op == kNoId ? blocks[record.block].op : record.op;
  return op != kNoId && ops[op].erased;
}

Id ModuleData::redefined_value(Id value) const {
  Id other = values[value].redefines;
  while (other != kNoId && (values[other].name != values[value].name || is_erased_value(other))) {
    other = values[other].redefines;
  }
  return other;
}

void ModuleData::add_use(Id binding) {
  BindingRecord& record = bindings[binding];
  Id& first = values[record.id].first_use;
  record.previous_use = kNoId;
  record.next_use = first;
  if (first != kNoId) bindings[first].previous_use = binding;
  first = binding;
}

void ModuleData::remove_use(Id binding) {
  const BindingRecord& record = bindings[binding];
  if (record.previous_use == kNoId) {
    values[record.id].first_use = record.next_use;
  } else {
    bindings[record.previous_use].next_use = record.next_use;
  }
  if (record.next_use != kNoId) bindings[record.next_use].previous_use = record.previous_use;
}

std::string_view ModuleData::keep(std::string_view text_to_keep) {
  added.push_back(std::make_shared<const std::string>(text_to_keep));
  return *added.back();
}

}  // namespace milgen::mil
