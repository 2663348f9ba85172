#include "ane/binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>

#include "ane/layout.h"
#include "support/printable.h"
#include "support/tensor_text.h"
#include "support/text.h"

namespace milgen::ane {
namespace {

/// What engines call outputs (IO-005 in ane_constraints).
constexpr std::string_view kOutputSuffix = "@output";
/// More symbols than any engine has surfaces for (IO-009 in ane_constraints: 128).
constexpr std::size_t kMostSymbols = 4096;

/// Where modelAttributes tells of inputs, or of outputs (ane_runtime, 4.5 and 4.6).
struct Side {
  std::string_view what;
  std::string_view symbols_key;
  std::string_view indices_key;
  std::string_view live_key;
  std::vector<std::int64_t> Told::*indices;
  std::string (*symbol_of)(std::string_view name);
};
constexpr Side kInputs{"input",
                       "kANEFModelInputSymbolsArrayKey",
                       "ANEFModelInputSymbolIndexArray",
                       "LiveInputList",
                       &Told::input_indices,
                       input_symbol};
constexpr Side kOutputs{"output",
                        "kANEFModelOutputSymbolsArrayKey",
                        "ANEFModelOutputSymbolIndexArray",
                        "LiveOutputList",
                        &Told::output_indices,
                        output_symbol};

std::string_view without_suffix(std::string_view symbol) {
  if (symbol.ends_with(kOutputSuffix)) symbol.remove_suffix(kOutputSuffix.size());
  return symbol;
}

/// What the model tells of one side.
struct SideTold {
  std::vector<std::string> symbols;   // the whole table; may be empty
  std::vector<std::int64_t> indices;  // that procedure 0 uses, ascending; may be empty
  const PropertyList* live = nullptr;
};

/// The first entry of a list of maps; null where there is none.
const Property* first_of(const Property* list) {
  if (list == nullptr || list->list() == nullptr || list->list()->empty()) return nullptr;
  return &list->list()->front();
}

const PropertyList* list_in(const Property* map, std::string_view key) {
  const Property* entry = map == nullptr ? nullptr : map->find(key);
  return entry == nullptr ? nullptr : entry->list();
}

/// The indices that the attributes have for procedure 0.
std::vector<std::int64_t> procedure_indices(const Side& side, const Property* description) {
  std::vector<std::int64_t> indices;
  const Property* procedure =
      first_of(description == nullptr ? nullptr : description->find("ANEFModelProcedures"));
  if (const PropertyList* list = list_in(procedure, side.indices_key)) {
    for (const Property& entry : *list) {
      if (entry.integer() != nullptr) indices.push_back(*entry.integer());
    }
  }
  std::ranges::sort(indices);
  return indices;
}

SideTold told_of(const Told& told, const Side& side) {
  SideTold out;
  const Property* description = told.attributes.find("ANEFModelDescription");
  if (const PropertyList* symbols = list_in(description, side.symbols_key)) {
    for (const Property& symbol : *symbols) {
      out.symbols.push_back(symbol.text() == nullptr ? std::string() : *symbol.text());
    }
  }
  out.indices = told.*side.indices;
  if (out.indices.empty()) out.indices = procedure_indices(side, description);
  out.live = list_in(first_of(told.attributes.find("NetworkStatusList")), side.live_key);
  return out;
}

std::string joined(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text.empty() ? "none" : printable(text, 1000);
}

// --- Symbols ---

Error check_count(std::string_view program, const Side& side, std::size_t told,
                  std::size_t declared) {
  if (told == declared) return {};
  return {ErrorKind::layout, fmt::format("the engine binds {} {}s of {} but its text declares {}",
                                         told, side.what, printable(program), declared)};
}

/// Every layout gets the index at which the table has its name.
Error bind_by_names(std::string_view program, const Side& side, const SideTold& told,
                    std::vector<TensorLayout>& layouts) {
  std::vector<std::int64_t> indices = told.indices;
  if (indices.empty()) {
    indices.resize(told.symbols.size());
    std::iota(indices.begin(), indices.end(), std::int64_t{0});
  } else if (Error error = check_count(program, side, indices.size(), layouts.size())) {
    return error;
  }
  std::vector<std::pair<std::string_view, std::int64_t>> by_name;
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= static_cast<std::int64_t>(told.symbols.size())) {
      return {ErrorKind::layout,
              fmt::format("the engine binds {} symbol {} of {} but has {} symbols", side.what,
                          index, printable(program), told.symbols.size())};
    }
    const std::string& symbol = told.symbols[static_cast<std::size_t>(index)];
    by_name.emplace_back(without_suffix(symbol), index);
  }
  std::ranges::sort(by_name);
  for (TensorLayout& layout : layouts) {
    const auto found = std::ranges::lower_bound(by_name, std::string_view(layout.name), {},
                                                [](const auto& entry) { return entry.first; });
    if (found == by_name.end() || found->first != layout.name) {
      return {ErrorKind::layout,
              fmt::format("the engine has no symbol for {} {} of {}, only {}", side.what,
                          printable(layout.name), printable(program), joined(told.symbols))};
    }
    layout.symbol_index = found->second;
    layout.symbol = told.symbols[static_cast<std::size_t>(found->second)];
  }
  return {};
}

/// Rule B (ane_runtime, 4.0): the engine has no names to tell, and its symbols are sorted.
Error bind_by_order(std::string_view program, const Side& side, const SideTold& told,
                    std::vector<TensorLayout>& layouts) {
  if (!told.indices.empty()) {
    if (Error error = check_count(program, side, told.indices.size(), layouts.size())) return error;
  }
  std::vector<TensorLayout*> sorted;
  for (TensorLayout& layout : layouts) sorted.push_back(&layout);
  std::ranges::sort(sorted, {}, [](const TensorLayout* layout) { return layout->symbol; });
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sorted[i]->symbol_index = told.indices.empty() ? static_cast<std::int64_t>(i) : told.indices[i];
  }
  return {};
}

// --- Layouts ---

/// A number of an entry of the live lists; `otherwise` where there is none, or 0.
std::int64_t number(const Property& entry, std::string_view key, std::int64_t otherwise) {
  const Property* value = entry.find(key);
  if (value == nullptr || value->integer() == nullptr || *value->integer() == 0) return otherwise;
  return *value->integer();
}

std::string_view text_in(const Property& entry, std::string_view key) {
  const Property* value = entry.find(key);
  return value == nullptr || value->text() == nullptr ? std::string_view() : *value->text();
}

/// The name that the text has for an entry.
std::string_view name_of(const Property& entry) {
  const std::string_view symbol = text_in(entry, "Symbol");
  return without_suffix(symbol.empty() ? text_in(entry, "Name") : symbol);
}

struct TypeName {
  std::string_view name;
  DType dtype;
};
constexpr std::array kTypeNames = {
    TypeName{"float16", DType::fp16}, TypeName{"float32", DType::fp32},
    TypeName{"int8", DType::int8},    TypeName{"uint8", DType::uint8},
    TypeName{"int16", DType::int16},  TypeName{"uint16", DType::uint16},
};

/// DType::none for a type that no source tells of.
DType type_of(const Property& entry) {
  const std::string type = lower_case(text_in(entry, "Type"));
  const auto found = std::ranges::find(kTypeNames, type, &TypeName::name);
  return found == kTypeNames.end() ? DType::none : found->dtype;
}

std::string dims_text(const TensorLayout& layout) {
  return to_string(
      Shape{layout.batches, layout.channels, layout.depth, layout.height, layout.width});
}

/// The dims as the engine has them. It may split those of a tensor of a lower rank as it likes, as
/// long as rows are rows.
Error take_dims(const Property& entry, const Side& side, TensorLayout& layout) {
  TensorLayout told = layout;
  told.batches = number(entry, "Batches", layout.batches);
  told.channels = number(entry, "Channels", layout.channels);
  told.depth = number(entry, "Depth", layout.depth);
  told.height = number(entry, "Height", layout.height);
  told.width = number(entry, "Width", layout.width);
  const auto rows = [](const TensorLayout& of, std::int64_t& count) {
    return element_count(std::array{of.batches, of.channels, of.depth, of.height}, count);
  };
  std::int64_t told_rows = 0;
  std::int64_t declared_rows = 0;
  const bool same_rows =
      rows(told, told_rows) && rows(layout, declared_rows) && told_rows == declared_rows;
  if (!same_rows || told.width != layout.width ||
      (layout.shape.size() >= 4 && dims_text(told) != dims_text(layout))) {
    return {ErrorKind::layout,
            fmt::format("{} {}, which is {}, and the engine has it as {}", side.what,
                        layout_text(layout), dims_text(layout), dims_text(told))};
  }
  layout = std::move(told);
  return {};
}

/// A stride as the entry has it; `count` times the inner one where it does not.
std::int64_t stride(const Property& entry, std::string_view key, std::int64_t count,
                    std::int64_t inner) {
  std::int64_t dense = 0;
  // What does not fit is refused with the other strides that are too small.
  if (__builtin_mul_overflow(count, inner, &dense)) dense = 0;
  return number(entry, key, dense);
}

Error take_strides(const Property& entry, const Side& side, TensorLayout& layout) {
  // There is nothing to step over with one slice alone.
  const std::string_view depth_key = layout.depth == 1 ? "" : "DepthStride";
  layout.row_stride = number(entry, "RowStride", layout.row_stride);
  layout.depth_stride = stride(entry, depth_key, layout.height, layout.row_stride);
  layout.plane_stride = stride(entry, "PlaneStride", layout.depth, layout.depth_stride);
  layout.batch_stride = stride(entry, "BatchStride", layout.channels, layout.plane_stride);
  layout.from_model = number(entry, "RowStride", 0) != 0;
  const std::int64_t element = layout.element_bytes();
  for (const std::int64_t bytes :
       {layout.row_stride, layout.depth_stride, layout.plane_stride, layout.batch_stride}) {
    if (bytes % element == 0) continue;
    return {ErrorKind::layout,
            fmt::format("{} {}, and a stride of {} bytes is no multiple of {} bytes", side.what,
                        layout_text(layout), bytes, element)};
  }
  return check_layout(layout);
}

Error take_entry(const Property& entry, const Side& side, TensorLayout& layout) {
  const DType told = type_of(entry);
  if (told != DType::none && layout.dtype != DType::boolean && told != layout.dtype) {
    return {ErrorKind::layout, fmt::format("{} {}, and the engine has it as {}", side.what,
                                           layout_text(layout), dtype_name(told))};
  }
  if (const std::int64_t interleave = number(entry, "Interleave", 1); interleave != 1) {
    return {ErrorKind::layout, fmt::format("{} {}, and the engine interleaves {} of its channels",
                                           side.what, layout_text(layout), interleave)};
  }
  if (Error error = take_dims(entry, side, layout)) return error;
  return take_strides(entry, side, layout);
}

Error bind_side(const Told& all, std::string_view program, const Side& side,
                std::vector<TensorLayout>& layouts, bool& by_engine) {
  const SideTold told = told_of(all, side);
  const bool has_names = !told.symbols.empty();
  by_engine = by_engine && (has_names || layouts.empty());
  Error error = has_names ? bind_by_names(program, side, told, layouts)
                          : bind_by_order(program, side, told, layouts);
  if (error) return error;
  if (told.live == nullptr) return {};
  std::map<std::string_view, const Property*> live;
  for (const Property& entry : *told.live) live.try_emplace(name_of(entry), &entry);
  for (TensorLayout& layout : layouts) {
    const auto entry = live.find(layout.name);
    if (entry == live.end()) continue;
    if (error = take_entry(*entry->second, side, layout); error) return error;
  }
  return {};
}

/// A layout of what the engine tells, with the rank that the engine has.
Result<TensorLayout> told_layout(const Property& entry) {
  Shape shape{number(entry, "Batches", 1), number(entry, "Channels", 1), number(entry, "Depth", 1),
              number(entry, "Height", 1), number(entry, "Width", 1)};
  if (shape[2] == 1) shape.erase(2);
  return make_layout(std::string(name_of(entry)), type_of(entry), shape);
}

Error declare_side(const Told& all, const Side& side, std::vector<TensorLayout>& layouts) {
  const SideTold told = told_of(all, side);
  if (told.live == nullptr) return {};
  for (const Property& entry : *told.live) {
    Result<TensorLayout> layout = told_layout(entry);
    if (!layout) return layout.error();
    layout->symbol = side.symbol_of(layout->name);
    layouts.push_back(*std::move(layout));
  }
  std::map<std::string_view, std::size_t> place;
  for (std::size_t i = 0; i < told.symbols.size(); ++i) {
    place.try_emplace(without_suffix(told.symbols[i]), i);
  }
  std::ranges::stable_sort(layouts, {}, [&](const TensorLayout& layout) {
    const auto known = place.find(layout.name);
    return known == place.end() ? told.symbols.size() : known->second;
  });
  return {};
}

// --- Asking ---

/// The inner model's attributes; the in-memory model's where that has none. They are there after
/// load alone (ane_runtime, 4.6).
Property attributes_of(const ModelState& state) {
  const EngineState& runtime = state.runtime();
  Property attributes;
  if (state.platform().responds(state.inner.get(), runtime.sel(Message::model_attributes))) {
    attributes = read_property(state.platform(),
                               runtime.send<Id>(state.inner.get(), Message::model_attributes));
  }
  if (attributes.map() != nullptr && !attributes.map()->empty()) return attributes;
  if (!state.in_memory || !runtime.has(Message::in_memory_attributes)) return {};
  return read_property(state.platform(),
                       runtime.send<Id>(state.in_memory.get(), Message::in_memory_attributes));
}

std::vector<std::int64_t> symbol_indices(const ModelState& state, Message message) {
  const EngineState& runtime = state.runtime();
  if (!state.platform().responds(state.inner.get(), runtime.sel(message))) return {};
  return indices(state.platform(), runtime.send<Id>(state.inner.get(), message, std::uint32_t{0}),
                 kMostSymbols);
}

Told ask(const ModelState& state) {
  const AutoreleasePool pool(state.platform());
  return {attributes_of(state), symbol_indices(state, Message::input_symbol_indices),
          symbol_indices(state, Message::output_symbol_indices)};
}

}  // namespace

std::string input_symbol(std::string_view name) { return std::string(name); }
std::string output_symbol(std::string_view name) { return std::string(name).append(kOutputSuffix); }

Error bind_declaration(const Told& told, std::string_view program, Declaration& declaration,
                       bool& by_engine) {
  by_engine = true;
  Error error = bind_side(told, program, kInputs, declaration.inputs, by_engine);
  return error ? error : bind_side(told, program, kOutputs, declaration.outputs, by_engine);
}

Result<Declaration> declaration_of(const Told& told) {
  Declaration declaration;
  if (Error error = declare_side(told, kInputs, declaration.inputs)) return error;
  if (Error error = declare_side(told, kOutputs, declaration.outputs)) return error;
  return declaration;
}

Error bind(ModelState& state, Declaration declaration) {
  if (Error error = bind_declaration(ask(state), state.name, declaration, state.bound_by_engine)) {
    return error;
  }
  state.inputs = std::move(declaration.inputs);
  state.outputs = std::move(declaration.outputs);
  return {};
}

Result<Declaration> told_declaration(const ModelState& state) { return declaration_of(ask(state)); }

}  // namespace milgen::ane
