#include <algorithm>
#include <array>

#include "ir/canonical.h"
#include "mil/number_text.h"
#include "mil/text_buffer.h"
#include "mil/weight_path.h"
#include "milgen/layout.h"
#include "milgen/print.h"
#include "milgen/weights.h"

namespace milgen {
namespace {

/// The parameters of each op in byte order of their names, which is the order of MIL arguments
/// (mil_text_format, section 3).
class SortedParams {
 public:
  SortedParams() {
    std::uint32_t total = 0;
    for (int i = 0; i < kOpCount; ++i) {
      first_[static_cast<std::size_t>(i)] = total;
      const std::size_t params =
          op_table()[static_cast<std::size_t>(i)].signatures.back().params.size();
      most_ = std::max(most_, params);
      total += static_cast<std::uint32_t>(params);
    }
    order_.resize(total);
    for (int i = 0; i < kOpCount; ++i) {
      const auto params = op_table()[static_cast<std::size_t>(i)].signatures.back().params;
      const std::span<std::uint16_t> order =
          std::span(order_).subspan(first_[static_cast<std::size_t>(i)], params.size());
      for (std::size_t p = 0; p < order.size(); ++p) order[p] = static_cast<std::uint16_t>(p);
      std::ranges::sort(order, {}, [&](std::uint16_t p) { return params[p].name; });
    }
  }
  std::span<const std::uint16_t> of(OpCode code, std::size_t params) const {
    return std::span(order_).subspan(first_[static_cast<std::size_t>(code)], params);
  }
  /// The number of parameters of the op that has most.
  std::size_t most() const { return most_; }
  static const SortedParams& instance() {
    static const SortedParams table;
    return table;
  }

 private:
  std::array<std::uint32_t, kOpCount> first_{};
  std::vector<std::uint16_t> order_;
  std::size_t most_ = 0;
};

/// The style is a template argument because it decides about every literal.
template <TextStyle Style>
class Printer {
 public:
  /// Without a layout each weight has a file of its own.
  Printer(const Program& program, const WeightLayout* layout, std::size_t index,
          const PrintOptions& options)
      : data_(program.data()),
        graph_(*data_.graph),
        canonical_(data_.canonical),
        layout_(layout),
        index_(index),
        options_(options),
        sorted_params_(SortedParams::instance()),
        type_text_(graph_.types.size()),
        begins_(sorted_params_.most()),
        // Grown once for a usual program: some hundred and forty bytes for a line of text.
        out_(640 + canonical_.order.size() * 144) {}

  std::string print() {
    put("program(1.3)\n[buildInfo");
    equals();
    if constexpr (kCompact) {
      put("dict<string,string>({");
    } else {
      put("dict<string, string>({");
    }
    bool first = true;
    // Every dictionary that Apple prints has its keys in order.
    const BuildInfo* info = &options_.build_info;
    BuildInfo sorted;
    if (!std::ranges::is_sorted(*info)) {
      sorted = *info;
      std::ranges::sort(sorted);
      info = &sorted;
    }
    for (const auto& [key, value] : *info) {
      if (!first) comma();
      first = false;
      put('{');
      quoted(key);
      comma();
      quoted(value);
      put('}');
    }
    put("})]\n{\n");
    if constexpr (!kCompact) put("    ");
    put("func main<");
    put(opset_name(data_.opset));
    put(">(");
    inputs(graph_.inputs.size(), [&](std::size_t i) { return graph_.inputs[i]; });
    lines();
    if constexpr (kCompact) {
      put("}->(");
    } else {
      put("        } -> (");
    }
    first = true;
    for (const Graph::Output& output : graph_.outputs) {
      if (!first) comma();
      first = false;
      put(canonical_.names[output.value]);
    }
    put(");\n}");
    return out_.take();
  }

 private:
  static constexpr bool kCompact = Style == TextStyle::compact;

  void put(std::string_view text) { out_.put(text); }
  void put(char c) { out_.put(c); }
  template <std::size_t N>
  void put(const char (&literal)[N]) {
    out_.put(literal);
  }
  void comma() {
    if constexpr (kCompact) {
      put(',');
    } else {
      put(", ");
    }
  }
  void equals() {
    if constexpr (kCompact) {
      put('=');
    } else {
      put(" = ");
    }
  }

  void quoted(std::string_view text) {
    put('"');
    escaped(text);
    put('"');
  }
  void escaped(std::string_view text) {
    // A piece without a quote, a backslash or a line break is copied whole. Line breaks inside of
    // buildInfo are refused by the engine's compiler (mil_text_format, section 5).
    std::size_t start = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '"' && text[i] != '\\' && text[i] != '\n') continue;
      put(text.substr(start, i - start));
      put('\\');
      start = i;
      if (text[i] == '\n') {
        put('n');
        start = i + 1;
      }
    }
    put(text.substr(start));
  }

  /// Behind the parenthesis that opens the inputs of a function or block, up to its ops.
  template <class InputAt>
  void inputs(std::size_t count, const InputAt& input_at) {
    for (std::size_t i = 0; i < count; ++i) {
      if (i != 0) comma();
      const ValueId input = input_at(i);
      type(graph_.value(input).type);
      put(' ');
      put(canonical_.names[input]);
    }
    if constexpr (kCompact) {
      put("){\n");
    } else {
      put(") {\n");
    }
  }

  void integer(std::int64_t value) {
    out_.written_to(write_integer(out_.room(kNumberTextBytes), value));
  }

  void real(double value, DType dtype) {
    out_.written_to(write_float(out_.room(kNumberTextBytes), value, dtype, options_.floats));
  }

  /// Types recur on every line: each is spelled once and copied from where it first stood.
  void type(TypeId id) {
    Span& known = type_text_[id];
    if (known.length != 0) {
      out_.repeat(known.start, known.length);
      return;
    }
    const std::size_t start = out_.size();
    spell(graph_.types.view(id));
    known = {start, out_.size() - start};
  }

  struct Span {
    std::size_t start = 0;
    std::size_t length = 0;
  };

  void spell(const TypeView& type) {
    switch (type.kind) {
      case TypeKind::list:
        put("list<");
        spell(*type.element);
        comma();
        dim(type.length);
        put('>');
        return;
      case TypeKind::state:
        put("state<");
        spell(*type.element);
        put('>');
        return;
      case TypeKind::dict:
        put("dict<");
        spell(*type.element);
        comma();
        put(dtype_name(type.dtype));
        put('>');
        return;
      default:
        break;
    }
    if (type.rank() == 0) {
      put(dtype_name(type.dtype));
      return;
    }
    put("tensor<");
    put(dtype_name(type.dtype));
    comma();
    put('[');
    for (int i = 0; i < type.rank(); ++i) {
      if (i != 0) comma();
      dim(type.dim(i));
    }
    put("]>");
  }

  void dim(std::int64_t value) {
    if (known(value)) {
      integer(value);
    } else {
      put('?');
    }
  }

  /// The elements of one row, without its brackets.
  void row(const Const& constant, DType dtype, std::size_t first, std::size_t count) {
    if (constant.kind == ConstKind::reals) {
      const std::span<const double> values = graph_.reals(constant).subspan(first, count);
      for (std::size_t i = 0; i < count; ++i) {
        if (i != 0) comma();
        real(values[i], dtype);
      }
      return;
    }
    const std::span<const std::int64_t> values = graph_.ints(constant).subspan(first, count);
    for (std::size_t i = 0; i < count; ++i) {
      if (i != 0) comma();
      if (dtype == DType::boolean) {
        put(values[i] != 0 ? std::string_view("true") : std::string_view("false"));
      } else {
        integer(values[i]);
      }
    }
  }

  /// The elements of a constant from `at` on, nested as its dims are. Bounded by the largest rank.
  void elements(const Const& constant, DType dtype, std::span<const std::int64_t> shape,
                std::size_t& at) {
    if (shape.empty()) {
      row(constant, dtype, at++, 1);
      return;
    }
    put('[');
    if (shape.size() == 1) {
      const auto count = static_cast<std::size_t>(shape[0]);
      row(constant, dtype, at, count);
      at += count;
    } else {
      for (std::int64_t i = 0; i < shape[0]; ++i) {
        if (i != 0) comma();
        elements(constant, dtype, shape.subspan(1), at);
      }
    }
    put(']');
  }

  void blob(std::uint32_t weight, ValueId value) {
    put("BLOBFILE(path");
    equals();
    put("string(\"");
    std::uint64_t offset = kWeightHeaderBytes;
    if (layout_ != nullptr) {
      escaped(layout_->blob_path(index_, weight));
      offset = layout_->blob_offset(index_, weight);
    } else {
      // The program's name is the author's own text; the rest holds nothing to escape.
      const bool derived = graph_.value(value).name == kNoName;
      put(kModelPath);
      put(kWeightsFolder);
      for (const std::string_view piece :
           weight_stem(data_.name, canonical_.names[value], derived)) {
        escaped(piece);
      }
      put(kWeightSuffix);
    }
    put("\")");
    comma();
    put("offset");
    equals();
    put("uint64(");
    integer(static_cast<std::int64_t>(offset));
    put("))");
  }

  /// The elements of a list constant.
  void list(const Const& constant, const TypeView& type) {
    put('[');
    if (constant.kind == ConstKind::ints) {
      row(constant, type.element->dtype, 0, constant.count);
    } else {
      bool first = true;
      for (const std::int64_t text : graph_.text_ids(constant)) {
        if (!first) comma();
        first = false;
        quoted(graph_.names.view(static_cast<NameId>(text)));
      }
    }
    put(']');
  }

  void literal(const Const& constant, ValueId value) {
    type(constant.type);
    put('(');
    if (const std::uint32_t weight = canonical_.weight_index[value]; weight != kNone) {
      blob(weight, value);
    } else if (constant.kind == ConstKind::text) {
      quoted(graph_.text(constant));
    } else if (const TypeView list_type = graph_.types.view(constant.type);
               list_type.kind == TypeKind::list) {
      list(constant, list_type);
    } else {
      std::size_t at = 0;
      elements(constant, graph_.types.dtype(constant.type), graph_.types.shape(constant.type), at);
    }
    put(')');
  }

  /// The value of an argument: a name, or a constant that is written in place.
  void operand(ValueId value, bool takes_inline) {
    const Const* constant = takes_inline ? graph_.constant_of(value) : nullptr;
    if (constant != nullptr) {
      literal(*constant, value);
    } else {
      put(canonical_.names[value]);
    }
  }

  /// `named` is called once, before the argument that `name` stands before in byte order, or at the
  /// end.
  template <class Named>
  void arguments(const OpRecord& op, const OpInfo& info, const Named& named) {
    const std::span<const Param> params = info.signatures.back().params;
    const bool takes_inline = info.has_inline_constants();
    const std::span<const Operand> operands = graph_.operands(op);
    // Where each argument's operands begin: they stand in table order.
    const std::span<std::uint32_t> begins = std::span(begins_).first(params.size());
    for (std::uint32_t& begin : begins) begin = kNone;
    for (std::size_t i = operands.size(); i-- != 0;) {
      begins[operands[i].param] = static_cast<std::uint32_t>(i);
    }
    bool first = true;
    const auto next = [&] {
      if (!first) comma();
      first = false;
    };
    for (const std::uint16_t param : sorted_params_.of(op.code, params.size())) {
      const std::size_t begin = begins[param];
      // A tuple that is required and has no elements is that of make_list: those of a scalar list.
      const bool empty = begin == kNone && params[param].kind == ParamKind::variadic &&
                         params[param].required() && !takes_blocks(op.code);
      if (begin == kNone && !empty) continue;
      named(params[param].name, next);
      next();
      put(params[param].name);
      equals();
      if (empty) {
        put("()");
        continue;
      }
      std::size_t end = begin + 1;
      while (end < operands.size() && operands[end].param == param) ++end;
      const bool tuple = end - begin > 1;  // one binding prints bare (mil_text_format, section 2)
      if (tuple) put('(');
      for (std::size_t i = begin; i < end; ++i) {
        if (i != begin) comma();
        operand(operands[i].value, takes_inline);
      }
      if (tuple) put(')');
    }
    named({}, next);
  }

  void name_attribute(std::string_view name) {
    if constexpr (kCompact) {
      put("name=string(\"");
    } else {
      put("name = string(\"");
    }
    put(name);
    put("\")");
  }

  void results(const OpRecord& op) {
    for (std::uint32_t r = 0; r < op.results; ++r) {
      if (r != 0) comma();
      type(graph_.value(op.first_result + r).type);
      put(' ');
      put(canonical_.names[op.first_result + r]);
    }
    if (op.results != 0) equals();
  }

  /// An op from its results to its attributes, without what ends it.
  void head(const OpRecord& op) {
    if constexpr (!kCompact) put("            ");
    for (std::size_t i = 0; i < open_.size(); ++i) indent();
    results(op);
    const std::string_view name = op.results != 0 ? canonical_.names[op.first_result]
                                                  : canonical_.effect_names[effects_printed_++];
    if (op.code == OpCode::const_) {
      put("const()[");
      name_attribute(name);
      if constexpr (kCompact) {
        put(",val=");
      } else {
        put(", val = ");
      }
      literal(graph_.constant(op.constant), op.first_result);
      put(']');
      return;
    }
    const OpInfo& info = op_info(op.code);
    put(info.name);
    if (info.written_as_attributes(data_.opset)) {
      put("()[");
      bool told = false;
      arguments(op, info, [&](std::string_view before, const auto& next) {
        if (told || (!before.empty() && before < "name")) return;
        told = true;
        next();
        name_attribute(name);
      });
    } else {
      put('(');
      arguments(op, info, [](std::string_view, const auto&) {});
      put(")[");
      name_attribute(name);
    }
    put(']');
  }

  /// What the lines of a nested block have more than those around it.
  void indent() {
    if constexpr (!kCompact) put("        ");
  }

  /// A nested block whose ops are being printed.
  struct OpenBlock {
    const OpRecord* op;
    std::size_t index;  // among the blocks of the op
  };
  BlockId id_of(const OpenBlock& open) const { return graph_.nested(*open.op)[open.index]; }

  void block_margin() {
    if constexpr (!kCompact) put("                ");
    for (std::size_t i = 1; i < open_.size(); ++i) indent();
  }
  void open_block() {
    put('\n');
    block_margin();
    const BlockRecord& block = graph_.block(id_of(open_.back()));
    put('(');
    inputs(block.inputs,
           [&](std::size_t i) { return block.first_input + static_cast<ValueId>(i); });
  }
  void close_block() {
    block_margin();
    if constexpr (kCompact) {
      put("}->(");
    } else {
      put("} -> (");
    }
    bool first = true;
    for (const ValueId output : graph_.block_outputs(graph_.block(id_of(open_.back())))) {
      if (!first) comma();
      first = false;
      put(canonical_.names[output]);
    }
    put(')');
  }
  /// Closes the blocks whose last op is before `place` in the order.
  void close_blocks(std::size_t place) {
    while (!open_.empty() && canonical_.block_end[id_of(open_.back())] == place) {
      close_block();
      if (++open_.back().index < kNestedBlocks) {
        open_block();
      } else {
        put(";\n");
        open_.pop_back();
      }
    }
  }

  void lines() {
    for (std::size_t i = 0; i < canonical_.order.size(); ++i) {
      close_blocks(i);
      const OpId id = canonical_.order[i];
      if (!canonical_.inlined.empty() && canonical_.inlined[id]) continue;
      const OpRecord& op = graph_.op(id);
      head(op);
      if (takes_blocks(op.code)) {
        open_.push_back({&op, 0});
        open_block();
      } else {
        put(";\n");
      }
    }
    close_blocks(canonical_.order.size());
  }

  const ProgramData& data_;
  const Graph& graph_;
  const Canonical& canonical_;
  const WeightLayout* layout_;
  std::size_t index_;
  const PrintOptions& options_;
  const SortedParams& sorted_params_;
  std::vector<Span> type_text_;
  std::vector<std::uint32_t> begins_;  // of arguments()
  std::vector<OpenBlock> open_;
  std::size_t effects_printed_ = 0;
  Text out_;
};

std::string print(const Program& program, const WeightLayout* layout, std::size_t index,
                  const PrintOptions& options) {
  if (!program) return {};
  if (options.style == TextStyle::compact) {
    return Printer<TextStyle::compact>(program, layout, index, options).print();
  }
  return Printer<TextStyle::apple>(program, layout, index, options).print();
}

}  // namespace

BuildInfo default_build_info() {
  return {{"coremlc-component-MIL", "3510.2.1"},
          {"coremlc-version", "3505.4.1"},
          {"coremltools-component-milinternal", ""},
          {"coremltools-version", "9.0"}};
}

std::string print_mil(const Program& program, const WeightLayout& layout, std::size_t index,
                      const PrintOptions& options) {
  return print(program, &layout, index, options);
}

std::string print_mil(const Program& program, const WeightLayout& layout, std::size_t index) {
  static const PrintOptions usual;  // made once: its buildInfo is a dozen strings
  return print_mil(program, layout, index, usual);
}

std::string print_mil(const Program& program) {
  static const PrintOptions usual;
  return print_mil(program, usual);
}

std::string print_mil(const Program& program, const PrintOptions& options) {
  return print(program, nullptr, 0, options);
}

}  // namespace milgen
