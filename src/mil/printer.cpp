#include <algorithm>
#include <array>
#include <cstring>

#include "ir/canonical.h"
#include "mil/number_text.h"
#include "milgen/layout.h"
#include "milgen/print.h"

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
      total += static_cast<std::uint32_t>(
          op_table()[static_cast<std::size_t>(i)].signatures.back().params.size());
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
  static const SortedParams& instance() {
    static const SortedParams table;
    return table;
  }

 private:
  std::array<std::uint32_t, kOpCount> first_{};
  std::vector<std::uint16_t> order_;
};

/// Text that grows at its end. Room is asked for once for a line's fixed parts, so that appending
/// is a copy and nothing else.
class Text {
 public:
  explicit Text(std::size_t reserve) { grow(reserve); }

  void put(char c) {
    need(1);
    *at_++ = c;
  }
  void put(std::string_view text) {
    need(text.size());
    copy(text.data(), text.size());
  }
  /// A copy of what was written from `start` on.
  void repeat(std::size_t start, std::size_t length) {
    need(length);
    copy(out_.data() + start, length);
  }
  /// Room for `bytes` that write() then fills from the returned place on.
  char* room(std::size_t bytes) {
    need(bytes);
    return at_;
  }
  void written_to(char* end) { at_ = end; }
  std::size_t size() const { return static_cast<std::size_t>(at_ - out_.data()); }
  std::string take() {
    out_.resize(size());
    return std::move(out_);
  }

 private:
  void need(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
  }
  void grow(std::size_t bytes) {
    const std::size_t used = at_ == nullptr ? 0 : size();
    out_.resize(std::max(out_.size() * 2, used + bytes));
    at_ = out_.data() + used;
    end_ = out_.data() + out_.size();
  }
  /// Most pieces are names of a few letters, for which a call of memcpy costs more than the copy:
  /// two overlapping words do.
  void copy(const char* from, std::size_t size) {
    if (size > 16) {
      std::memcpy(at_, from, size);
    } else if (size >= 8) {
      copy_ends<8>(from, size);
    } else if (size >= 4) {
      copy_ends<4>(from, size);
    } else if (size >= 2) {
      copy_ends<2>(from, size);
    } else if (size == 1) {
      *at_ = *from;
    }
    at_ += size;
  }
  template <std::size_t Word>
  void copy_ends(const char* from, std::size_t size) {
    std::array<char, Word> first;  // NOLINT(*-member-init): written before it is read
    std::array<char, Word> last;   // NOLINT(*-member-init): written before it is read
    std::memcpy(first.data(), from, Word);
    std::memcpy(last.data(), from + size - Word, Word);
    std::memcpy(at_, first.data(), Word);
    std::memcpy(at_ + size - Word, last.data(), Word);
  }

  std::string out_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

class Printer {
 public:
  Printer(const Program& program, const WeightLayout& layout, std::size_t index,
          const PrintOptions& options)
      : data_(program.data()),
        graph_(*data_.graph),
        canonical_(data_.canonical),
        layout_(layout),
        index_(index),
        options_(options),
        compact_(options.style == TextStyle::compact),
        comma_(compact_ ? "," : ", "),
        equals_(compact_ ? "=" : " = "),
        type_text_(graph_.types.size()),
        // Grown once for a usual program: some hundred bytes for a line of text.
        out_(512 + canonical_.order.size() * 128) {}

  std::string print() {
    put("program(1.3)\n[buildInfo");
    put(equals_);
    put(compact_ ? "dict<string,string>({" : "dict<string, string>({");
    bool first = true;
    for (const auto& [key, value] : options_.build_info) {
      if (!first) put(comma_);
      first = false;
      put('{');
      quoted(key);
      put(comma_);
      quoted(value);
      put('}');
    }
    put("})]\n{\n");
    put(compact_ ? "func main<" : "    func main<");
    put(opset_name(data_.opset));
    put(">(");
    first = true;
    for (const ValueId input : graph_.inputs) {
      if (!first) put(comma_);
      first = false;
      type(graph_.value(input).type);
      put(' ');
      put(canonical_.names[input]);
    }
    put(compact_ ? "){\n" : ") {\n");
    for (const OpId id : canonical_.order) line(graph_.op(id));
    put(compact_ ? "}->(" : "        } -> (");
    first = true;
    for (const Graph::Output& output : graph_.outputs) {
      if (!first) put(comma_);
      first = false;
      put(canonical_.names[output.value]);
    }
    put(");\n}");
    return out_.take();
  }

 private:
  void put(std::string_view text) { out_.put(text); }
  void put(char c) { out_.put(c); }

  void quoted(std::string_view text) {
    put('"');
    for (const char c : text) {
      if (c == '"' || c == '\\') put('\\');
      put(c);
    }
    put('"');
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
        put(comma_);
        dim(type.length);
        put('>');
        return;
      case TypeKind::state:
        put("state<");
        spell(*type.element);
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
    put(comma_);
    put('[');
    for (int i = 0; i < type.rank(); ++i) {
      if (i != 0) put(comma_);
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

  void element(const Const& constant, DType dtype, std::size_t i) {
    if (constant.kind == ConstKind::reals) {
      real(graph_.reals(constant)[i], dtype);
    } else if (dtype == DType::boolean) {
      put(graph_.ints(constant)[i] != 0 ? "true" : "false");
    } else {
      integer(graph_.ints(constant)[i]);
    }
  }

  /// The elements of a constant from `at` on, nested as its dims are. Bounded by the largest rank.
  void elements(const Const& constant, DType dtype, std::span<const std::int64_t> shape,
                std::size_t& at) {
    if (shape.empty()) {
      element(constant, dtype, at++);
      return;
    }
    put('[');
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      if (i != 0) put(comma_);
      elements(constant, dtype, shape.subspan(1), at);
    }
    put(']');
  }

  void literal(const Const& constant, ValueId value) {
    type(constant.type);
    put('(');
    if (const std::uint32_t weight = canonical_.weight_index[value]; weight != kNone) {
      put("BLOBFILE(path");
      put(equals_);
      put("string(");
      quoted(layout_.blob_path(index_, weight));
      put(')');
      put(comma_);
      put("offset");
      put(equals_);
      put("uint64(");
      integer(static_cast<std::int64_t>(layout_.blob_offset(index_, weight)));
      put("))");
    } else if (constant.kind == ConstKind::text) {
      quoted(graph_.text(constant));
    } else {
      std::size_t at = 0;
      elements(constant, graph_.types.dtype(constant.type), graph_.types.shape(constant.type), at);
    }
    put(')');
  }

  void arguments(const OpRecord& op) {
    const std::span<const Operand> operands = graph_.operands(op);
    const std::span<const Param> params = op_info(op.code).signatures.back().params;
    // Where each argument's operands begin: they stand in table order.
    begins_.assign(params.size(), kNone);
    for (std::size_t i = operands.size(); i-- != 0;) {
      begins_[operands[i].param] = static_cast<std::uint32_t>(i);
    }
    bool first = true;
    for (const std::uint16_t param : SortedParams::instance().of(op.code, params.size())) {
      const std::size_t begin = begins_[param];
      if (begin == kNone) continue;
      if (!first) put(comma_);
      first = false;
      put(params[param].name);
      put(equals_);
      std::size_t end = begin + 1;
      while (end < operands.size() && operands[end].param == param) ++end;
      const bool tuple = end - begin > 1;  // one binding prints bare (mil_text_format, section 2)
      if (tuple) put('(');
      for (std::size_t i = begin; i < end; ++i) {
        if (i != begin) put(comma_);
        put(canonical_.names[operands[i].value]);
      }
      if (tuple) put(')');
    }
  }

  void line(const OpRecord& op) {
    if (!compact_) put("            ");
    for (std::uint32_t r = 0; r < op.results; ++r) {
      if (r != 0) put(comma_);
      type(graph_.value(op.first_result + r).type);
      put(' ');
      put(canonical_.names[op.first_result + r]);
    }
    if (op.results != 0) put(equals_);
    const std::string_view name =
        op.results != 0 ? canonical_.names[op.first_result] : std::string_view();
    if (op.code == OpCode::const_) {
      put("const()");
    } else {
      put(op_info(op.code).name);
      put('(');
      arguments(op);
      put(')');
    }
    put("[name");
    put(equals_);
    put("string(\"");
    put(name);
    put("\")");
    if (op.code == OpCode::const_) {
      put(comma_);
      put("val");
      put(equals_);
      literal(graph_.constant(op.constant), op.first_result);
    }
    put("];\n");
  }

  const ProgramData& data_;
  const Graph& graph_;
  const Canonical& canonical_;
  const WeightLayout& layout_;
  std::size_t index_;
  const PrintOptions& options_;
  bool compact_;
  std::string_view comma_;
  std::string_view equals_;
  std::vector<Span> type_text_;
  std::vector<std::uint32_t> begins_;
  Text out_;
};

}  // namespace

BuildInfo default_build_info() {
  return {{"coremlc-component-MIL", "3510.2.1"},
          {"coremlc-version", "3505.4.1"},
          {"coremltools-component-milinternal", ""},
          {"coremltools-version", "9.0"}};
}

std::string print_mil(const Program& program, const WeightLayout& layout, std::size_t index,
                      const PrintOptions& options) {
  return Printer(program, layout, index, options).print();
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
  WeightLayout layout;
  Diagnostics ignored;  // a finished program's own weights always plan
  layout.plan(std::span(&program, 1), {}, ignored);
  return print_mil(program, layout, 0, options);
}

}  // namespace milgen
