#include "milgen/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "mil/compare_graph.h"
#include "mil/compare_match.h"
#include "mil/compare_text.h"
#include "mil/compare_weights.h"
#include "mil/literal.h"
#include "mil/number_text.h"
#include "milgen/print.h"

namespace milgen {
namespace mil {
namespace {

/// Ops that only one side has and that are looked through for the operand behind them.
constexpr std::size_t kOpsLookedThrough = 16;
constexpr std::size_t kUsesShown = 4;
constexpr std::size_t kElementsRead = 4096;
constexpr std::size_t kShortBytes = 40;
constexpr std::size_t kLineBytes = 70;

constexpr std::string_view kChangeNames[] = {
    "op added",      "op removed",     "op changed",       "constant changed", "weight changed",
    "input changed", "output changed", "function changed", "program changed",
};
static_assert(std::size(kChangeNames) == kChangeKinds);

/// "1 name differs", "14 names differ"
std::string differ(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{} {}", count, noun, count == 1 ? "" : "s",
                     count == 1 ? "differs" : "differ");
}

enum class Partners : std::uint8_t { by_name, by_place };

/// Partners among things that have names and a kind that should agree: by name, then the k-th of a
/// kind with the k-th of that kind, then the k-th of those left with the k-th.
class NamePairs {
 public:
  struct Entry {
    Id name;
    Id kind;
  };
  NamePairs(std::span<const Entry> a, std::span<const Entry> b, Partners how)
      : of_a_(a.size(), kNoId), of_b_(b.size(), kNoId) {
    if (how == Partners::by_name) {
      join(a, b, [](const Entry& entry) { return std::uint64_t{entry.name}; });
      join(a, b, [](const Entry& entry) { return std::uint64_t{entry.kind}; });
    }
    join(a, b, [](const Entry&) { return std::uint64_t{0}; });
  }
  Id of_a(std::size_t i) const { return of_a_[i]; }
  Id of_b(std::size_t i) const { return of_b_[i]; }

 private:
  template <class Key>
  void join(std::span<const Entry> a, std::span<const Entry> b, const Key& key) {
    std::unordered_map<std::uint64_t, std::vector<Id>> free;
    for (std::size_t j = b.size(); j > 0; --j) {
      if (of_b_[j - 1] == kNoId) free[key(b[j - 1])].push_back(static_cast<Id>(j - 1));
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (of_a_[i] != kNoId) continue;
      const auto found = free.find(key(a[i]));
      if (found == free.end() || found->second.empty()) continue;
      of_a_[i] = found->second.back();
      of_b_[of_a_[i]] = static_cast<Id>(i);
      found->second.pop_back();
    }
  }

  std::vector<Id> of_a_;
  std::vector<Id> of_b_;
};

/// One attempt at a comparison, with one way of finding partners among inputs.
class Comparer {
 public:
  Comparer(ModuleData& a, ModuleData& b, const CompareOptions& options, Partners partners,
           Diagnostics& diagnostics)
      : module_a_(a), module_b_(b), options_(options), partners_(partners) {
    shared_.commutative = options.commutative;
    if (options.weights) {
      weights_a_ = std::make_unique<ModelWeights>(a, options.model_path_a, diagnostics);
      weights_b_ = std::make_unique<ModelWeights>(b, options.model_path_b, diagnostics);
    }
    a_ = std::make_unique<GraphSide>(a, shared_, weights_a_.get());
    b_ = std::make_unique<GraphSide>(b, shared_, weights_b_.get());
  }

  /// Whether inputs are partners that have neither one name nor one place; after run().
  bool guessed_inputs() const { return guessed_inputs_; }

  Comparison run() {
    compare_program();
    pair_functions();
    number_functions();
    Matcher matcher(*a_, *b_, shared_.keys.size(), shared_.words.size());
    matcher_ = &matcher;
    for (const FunctionPair& pair : pairs_) {
      for (const auto& [value_a, value_b] : pair.inputs) matcher.pair_values(value_a, value_b);
      matcher.match(body(*a_, pair.a), body(*b_, pair.b));
    }
    for (const FunctionPair& pair : pairs_) compare_function(pair);
    for (const auto& [block_a, block_b] : matcher.blocks()) compare_block(block_a, block_b);
    finish();
    return std::move(result_);
  }

 private:
  struct FunctionPair {
    Id a;
    Id b;
    std::vector<std::pair<Id, Id>> inputs;  // values
    std::vector<Id> only_a;
    std::vector<Id> only_b;
  };
  /// How a pair of ops differs.
  struct Difference {
    Marked a;
    Marked b;
    std::vector<std::string> phrases;
    bool follows = false;  // operands differ only as what makes them does
    bool is_pure() const { return phrases.empty(); }
  };

  static Id body(const GraphSide& side, Id function) { return side.data.functions[function].body; }
  std::string function_of(const GraphSide& side, Id block) const {
    const Id function = side.data.blocks[block].function;
    return function == kNoId ? std::string()
                             : std::string(side.data.name(side.data.functions[function].name));
  }

  // --- Program and functions ---

  void compare_program() {
    const ModuleData& a = a_->data;
    const ModuleData& b = b_->data;
    if (a.version != b.version) {
      remark(fmt::format("the program's version is {} in one and {} in the other", a.version,
                         b.version));
    }
    compare_attributes(ChangeKind::program_changed, {}, "the program",
                       {a.first_attribute, a.program_attributes},
                       {b.first_attribute, b.program_attributes});
  }

  struct Attributes {
    Id first;
    std::uint32_t count;
  };
  /// Attributes of a program or a function; `whose` is how a sentence calls it.
  void compare_attributes(ChangeKind kind, const std::string& function, std::string_view whose,
                          Attributes a, Attributes b) {
    std::vector<Id> only_a;
    std::vector<Id> only_b;
    differing_attributes(a, b, only_a, only_b);
    const auto name_of = [](const GraphSide& side, Id attribute) {
      return side.data.name(side.data.attributes[attribute].name);
    };
    std::vector<std::string_view> names;
    for (const Id id : only_a) names.push_back(name_of(*a_, id));
    for (const Id id : only_b) names.push_back(name_of(*b_, id));
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string_view name : names) {
      if (name == "buildInfo") {
        remark("buildInfo differs");
        continue;
      }
      Change change{.kind = kind, .function = function};
      change.what = fmt::format("attribute {} of {}", name, whose);
      const auto side_of = [&](const GraphSide& side, std::span<const Id> ids) {
        for (const Id id : ids) {
          if (name_of(side, id) != name) continue;
          OperandSlot slot;
          slot.literal = side.data.attributes[id].literal;
          return constant_line(side.data, slot, true, {});
        }
        return ChangeSide{};
      };
      change.a = side_of(*a_, only_a);
      change.b = side_of(*b_, only_b);
      add(std::move(change));
    }
  }

  void differing_attributes(Attributes a, Attributes b, std::vector<Id>& only_a,
                            std::vector<Id>& only_b) {
    struct Entry {
      Id name;
      Id value;
      Id id;
      auto key() const { return std::pair(name, value); }
    };
    const auto entries = [](GraphSide& side, Attributes attributes) {
      std::vector<Entry> out;
      for (Id id = attributes.first; id < attributes.first + attributes.count; ++id) {
        const AttributeRecord& record = side.data.attributes[id];
        if (side.data.name(record.name) == "name" || record.literal == kNoId) continue;
        out.push_back({side.shared_name(record.name), side.constant(record.literal), id});
      }
      std::ranges::sort(out, {}, &Entry::key);
      return out;
    };
    const std::vector<Entry> of_a = entries(*a_, a);
    const std::vector<Entry> of_b = entries(*b_, b);
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < of_a.size() || j < of_b.size()) {
      if (j == of_b.size() || (i < of_a.size() && of_a[i].key() < of_b[j].key())) {
        only_a.push_back(of_a[i++].id);
      } else if (i == of_a.size() || of_b[j].key() < of_a[i].key()) {
        only_b.push_back(of_b[j++].id);
      } else {
        ++i;
        ++j;
      }
    }
  }

  void pair_functions() {
    const auto entries = [](const GraphSide& side) {
      std::vector<NamePairs::Entry> out;
      for (const FunctionRecord& function : side.data.functions) {
        out.push_back({side.shared_name(function.name), 0});
      }
      return out;
    };
    const std::vector<NamePairs::Entry> of_a = entries(*a_);
    const std::vector<NamePairs::Entry> of_b = entries(*b_);
    const NamePairs names(of_a, of_b, Partners::by_name);
    for (std::size_t i = 0; i < of_a.size(); ++i) {
      if (names.of_a(i) == kNoId) {
        whole_function(*a_, static_cast<Id>(i), "removed");
      } else {
        pairs_.push_back({static_cast<Id>(i), names.of_a(i), {}, {}, {}});
      }
    }
    for (std::size_t j = 0; j < of_b.size(); ++j) {
      if (names.of_b(j) == kNoId) whole_function(*b_, static_cast<Id>(j), "added");
    }
    // In the order of b's text.
    std::ranges::sort(pairs_, {}, &FunctionPair::b);
    if (!std::ranges::is_sorted(pairs_, {}, &FunctionPair::a)) {
      remark("functions are in another order");
    }
  }

  void whole_function(const GraphSide& side, Id id, std::string_view how) {
    const FunctionRecord& function = side.data.functions[id];
    Change change{.kind = ChangeKind::function_changed,
                  .function = std::string(side.data.name(function.name))};
    change.what = fmt::format("function {} is {}", change.function, how);
    (&side == a_.get() ? change.a : change.b) = {
        .text = fmt::format("func {}<{}>", change.function, side.data.name(function.opset)),
        .marks = {},
        .place = side.data.place(function.at),
        .op = {}};
    add(std::move(change));
  }

  void number_functions() {
    std::uint32_t next_code = 0;
    for (FunctionPair& pair : pairs_) {
      const BlockRecord& block_a = a_->data.blocks[body(*a_, pair.a)];
      const BlockRecord& block_b = b_->data.blocks[body(*b_, pair.b)];
      const auto entries = [](const GraphSide& side, const BlockRecord& block) {
        std::vector<NamePairs::Entry> out;
        for (Id value = block.first_input; value < block.first_input + block.inputs; ++value) {
          out.push_back(
              {side.shared_name(side.data.values[value].name), side.type_of_value(value)});
        }
        return out;
      };
      const std::vector<NamePairs::Entry> of_a = entries(*a_, block_a);
      const std::vector<NamePairs::Entry> of_b = entries(*b_, block_b);
      const NamePairs names(of_a, of_b, partners_);
      std::vector<std::uint32_t> codes_a(of_a.size());
      std::vector<std::uint32_t> codes_b(of_b.size());
      for (std::size_t i = 0; i < of_a.size(); ++i) {
        codes_a[i] = next_code++;
        const Id value = block_a.first_input + static_cast<Id>(i);
        if (names.of_a(i) == kNoId) {
          pair.only_a.push_back(value);
        } else {
          codes_b[names.of_a(i)] = codes_a[i];
          guessed_inputs_ =
              guessed_inputs_ || (names.of_a(i) != i && of_a[i].name != of_b[names.of_a(i)].name);
          pair.inputs.emplace_back(value, block_b.first_input + names.of_a(i));
        }
      }
      for (std::size_t j = 0; j < of_b.size(); ++j) {
        if (names.of_b(j) != kNoId) continue;
        codes_b[j] = next_code++;
        pair.only_b.push_back(block_b.first_input + static_cast<Id>(j));
      }
      const std::vector<std::uint32_t> places = output_places(pair, block_a, block_b);
      a_->number(pair.a, codes_a, {});
      b_->number(pair.b, codes_b, places);
    }
  }

  /// Where a's outputs have the names that b's have: the places in b's order, when it is another
  /// one.
  std::vector<std::uint32_t> output_places(const FunctionPair& pair, const BlockRecord& block_a,
                                           const BlockRecord& block_b) {
    if (partners_ != Partners::by_name || block_a.outputs != block_b.outputs) return {};
    std::unordered_map<Id, std::uint32_t> of_name;
    for (std::uint32_t i = 0; i < block_a.outputs; ++i) {
      const Id name = output_name(*a_, block_a.first_output + i);
      if (name == kNoId || !of_name.try_emplace(name, i).second) return {};
    }
    std::vector<std::uint32_t> places;
    for (std::uint32_t i = 0; i < block_b.outputs; ++i) {
      const auto found = of_name.find(output_name(*b_, block_b.first_output + i));
      if (found == of_name.end()) return {};
      places.push_back(found->second);
      of_name.erase(found);
    }
    if (std::ranges::is_sorted(places)) return {};
    remark(fmt::format("the outputs of function {} are in another order",
                       b_->data.name(b_->data.functions[pair.b].name)));
    return places;
  }
  static Id output_name(const GraphSide& side, Id binding) {
    const BindingRecord& record = side.data.bindings[binding];
    return record.kind == BindingKind::value ? side.shared_name(side.data.values[record.id].name)
                                             : kNoId;
  }

  void compare_function(const FunctionPair& pair) {
    const FunctionRecord& a = a_->data.functions[pair.a];
    const FunctionRecord& b = b_->data.functions[pair.b];
    const std::string name(b_->data.name(b.name));
    if (a_->shared_name(a.name) != b_->shared_name(b.name)) {
      remark(fmt::format("function {} is called {}", a_->data.name(a.name), name));
    }
    if (a_->shared_name(a.opset) != b_->shared_name(b.opset)) {
      Change change{.kind = ChangeKind::function_changed, .function = name};
      change.what = fmt::format("function {}: the opset is {} -> {}", name, a_->data.name(a.opset),
                                b_->data.name(b.opset));
      change.a.place = a_->data.place(a.at);
      change.b.place = b_->data.place(b.at);
      change.a.text = fmt::format("func {}<{}>", a_->data.name(a.name), a_->data.name(a.opset));
      change.b.text = fmt::format("func {}<{}>", name, b_->data.name(b.opset));
      add(std::move(change));
    }
    compare_attributes(ChangeKind::function_changed, name, "function " + name,
                       {a.first_attribute, a.attributes}, {b.first_attribute, b.attributes});
    compare_inputs(pair, name);
  }

  void compare_inputs(const FunctionPair& pair, const std::string& function) {
    bool in_order = true;
    Id last = 0;
    for (const auto& [a, b] : pair.inputs) {
      const std::string_view name_a = a_->data.name(a_->data.values[a].name);
      const std::string_view name_b = b_->data.name(b_->data.values[b].name);
      if (name_a != name_b) renamed_.push_back(fmt::format("{} -> {}", name_a, name_b));
      in_order = in_order && b >= last;
      last = b;
      if (a_->type_of_value(a) == b_->type_of_value(b)) continue;
      Change change{.kind = ChangeKind::input_changed, .function = function};
      change.what = fmt::format("the type of input {}", name_b);
      change.a = value_line(a_->data, a);
      change.b = value_line(b_->data, b);
      add(std::move(change));
    }
    if (!in_order) remark(fmt::format("the inputs of function {} are in another order", function));
    for (const bool is_a : {true, false}) {
      const GraphSide& side = is_a ? *a_ : *b_;
      for (const Id value : is_a ? pair.only_a : pair.only_b) {
        Change change{.kind = ChangeKind::input_changed, .function = function};
        change.what = fmt::format("input {} is {}", side.data.name(side.data.values[value].name),
                                  is_a ? "removed" : "added");
        (is_a ? change.a : change.b) = value_line(side.data, value);
        add(std::move(change));
      }
    }
  }

  // --- Blocks and ops ---

  void compare_block(Id block_a, Id block_b) {
    const std::string function = function_of(*b_, block_b);
    note_block_inputs(a_->data.blocks[block_a], b_->data.blocks[block_b]);
    std::uint32_t last = 0;
    for (Id b = b_->data.blocks[block_b].first_op; b != kNoId; b = b_->data.ops[b].next) {
      if (b_->is_constant(b)) continue;
      const Id a = matcher_->partner_of_b(b);
      if (a == kNoId) {
        lone_op(*b_, b, ChangeKind::op_added, function);
        continue;
      }
      compare_ops(a, b, function);
      if (a_->position(a) < last) order_differs_ = true;
      last = std::max(last, a_->position(a));
    }
    compare_outputs(block_a, block_b, function);
    for (Id a = a_->data.blocks[block_a].first_op; a != kNoId; a = a_->data.ops[a].next) {
      if (a_->is_constant(a) || matcher_->partner_of_a(a) != kNoId) continue;
      lone_op(*a_, a, ChangeKind::op_removed, function);
    }
  }

  void lone_op(const GraphSide& side, Id op, ChangeKind kind, const std::string& function) {
    if (!wanted(kind)) return;
    Change change{.kind = kind, .function = function};
    change.what = op_phrase(side.data, op);
    ChangeSide line = op_line(side.data, op, nullptr);
    line.op = handle(side, op);
    (kind == ChangeKind::op_added ? change.b : change.a) = std::move(line);
    if (const Id twin = twin_of(side, op); twin != kNoId) {
      change.notes.push_back(fmt::format("it computes what {} does", op_phrase(side.data, twin)));
    }
    const std::string users = users_of(side, op);
    if (!users.empty()) change.notes.push_back("used by " + users);
    result_.changes.push_back(std::move(change));
  }

  /// An op of the same side that computes the same and has a partner.
  Id twin_of(const GraphSide& side, Id op) {
    std::unordered_map<Id, Id>& by_number = &side == a_.get() ? twins_a_ : twins_b_;
    if (by_number.empty()) {
      for (const auto& [block_a, block_b] : matcher_->blocks()) {
        const Id block = &side == a_.get() ? block_a : block_b;
        for (Id other = side.data.blocks[block].first_op; other != kNoId;
             other = side.data.ops[other].next) {
          if (!side.is_constant(other) && has_partner(side, other)) {
            by_number.try_emplace(side.exact(other), other);
          }
        }
      }
    }
    const auto found = by_number.find(side.exact(op));
    return found == by_number.end() ? kNoId : found->second;
  }
  bool has_partner(const GraphSide& side, Id op) const {
    return (&side == a_.get() ? matcher_->partner_of_a(op) : matcher_->partner_of_b(op)) != kNoId;
  }

  std::string users_of(const GraphSide& side, Id op) const {
    std::string out;
    std::size_t count = 0;
    const OpRecord& record = side.data.ops[op];
    for (Id value = record.first_result; value < record.first_result + record.results; ++value) {
      for (Id use = side.data.values[value].first_use; use != kNoId;
           use = side.data.bindings[use].next_use) {
        if (++count > kUsesShown) continue;
        const Id user = side.data.bindings[use].op;
        out += fmt::format("{}{}", out.empty() ? "" : ", ",
                           user == kNoId ? "an output" : op_phrase(side.data, user));
      }
    }
    if (count > kUsesShown) out += fmt::format(" and {} more", count - kUsesShown);
    return out;
  }

  void compare_ops(Id a, Id b, const std::string& function) {
    const OpRecord& op_a = a_->data.ops[a];
    const OpRecord& op_b = b_->data.ops[b];
    Difference difference;
    compare_words(a, b, difference);
    std::vector<std::pair<const OperandSlot*, const OperandSlot*>> constants;
    Matcher::aligned(a_->operands(a), b_->operands(b),
                     [&](const OperandSlot* x, const OperandSlot* y) {
                       compare_operand(x, y, difference, constants);
                     });
    compare_op_attributes(op_a, op_b, difference);
    if (op_a.blocks != op_b.blocks) {
      difference.phrases.push_back(fmt::format("{} blocks -> {}", op_a.blocks, op_b.blocks));
    }
    compare_results(a, b, !constants.empty(), difference);
    note_writing(a, b);
    for (const auto& [x, y] : constants) changed_constant(*x, *y, b, function);
    if (!difference.is_pure()) {
      changed_op(a, b, difference, function);
    } else if (difference.follows) {
      ++result_.following_ops;
    } else if (constants.empty()) {
      ++result_.equal_ops;
    }
  }

  void compare_words(Id a, Id b, Difference& difference) {
    const OpRecord& op_a = a_->data.ops[a];
    const OpRecord& op_b = b_->data.ops[b];
    if (a_->word(a) != b_->word(b)) {
      difference.phrases.push_back(
          fmt::format("the op is {} -> {}", a_->data.name(op_a.name), b_->data.name(op_b.name)));
    } else if (a_->opset(a) != b_->opset(b)) {
      difference.phrases.push_back(fmt::format(
          "the op's opset is '{}' -> '{}'", a_->data.name(op_a.opset), b_->data.name(op_b.opset)));
    } else {
      return;
    }
    difference.a.word = true;
    difference.b.word = true;
  }

  void compare_operand(const OperandSlot* x, const OperandSlot* y, Difference& difference,
                       std::vector<std::pair<const OperandSlot*, const OperandSlot*>>& constants) {
    if (x == nullptr || y == nullptr) {
      const OperandSlot& slot = x != nullptr ? *x : *y;
      const GraphSide& side = x != nullptr ? *a_ : *b_;
      if (slot.kind != SlotKind::mark) {
        difference.phrases.push_back(fmt::format("{} = {} is {}", shared_.words.view(slot.name),
                                                 value_phrase(side.data, slot),
                                                 x != nullptr ? "removed" : "added"));
      } else {
        difference.phrases.push_back(
            fmt::format("{} has other tuples", shared_.words.view(slot.name)));
      }
      if (slot.binding != kNoId) {
        (x != nullptr ? difference.a : difference.b).bindings.push_back(slot.binding);
      }
      return;
    }
    if (matcher_->same(*x, *y)) {
      note_spelling(*x, *y);
      return;
    }
    if (x->kind == SlotKind::constant && y->kind == SlotKind::constant) {
      constants.emplace_back(x, y);
      return;
    }
    if (is_explained(*x, *y)) return;
    const std::string_view argument = shared_.words.view(x->name);
    if (x->kind == SlotKind::value && y->kind == SlotKind::value &&
        matcher_->same_value(x->value, y->value)) {
      difference.phrases.push_back(
          fmt::format("state {} is at another write: {} -> {}", value_phrase(b_->data, *y),
                      writer_phrase(*a_, x->after), writer_phrase(*b_, y->after)));
    } else if (x->kind == SlotKind::mark || y->kind == SlotKind::mark) {
      difference.phrases.push_back(fmt::format("{} has other tuples", argument));
    } else {
      difference.phrases.push_back(fmt::format("{}: {}", argument, other_value(*x, *y)));
    }
    if (x->binding != kNoId) difference.a.bindings.push_back(x->binding);
    if (y->binding != kNoId) difference.b.bindings.push_back(y->binding);
  }

  /// "x -> y"; where both have one name, what that stands for.
  std::string other_value(const OperandSlot& x, const OperandSlot& y) const {
    std::string a = value_phrase(a_->data, x);
    std::string b = value_phrase(b_->data, y);
    if (a == b || x.kind == SlotKind::undefined || y.kind == SlotKind::undefined) {
      a = origin_phrase(a_->data, x);
      b = origin_phrase(b_->data, y);
    }
    return fmt::format("{} -> {}", a, b);
  }

  static std::string writer_phrase(const GraphSide& side, Id op) {
    if (op == kNoId) return "as it came";
    return fmt::format("line {}", side.data.place_of_op(op).line);
  }

  /// Whether two operands differ only by ops that are shown already, because one side has them and
  /// the other has not.
  bool is_explained(const OperandSlot& x, const OperandSlot& y) const {
    const Id lone_a = lone_maker(*a_, x);
    const Id lone_b = lone_maker(*b_, y);
    if (lone_a != kNoId && lone_b != kNoId) return true;
    if (lone_b != kNoId)
      return leads_to(*b_, lone_b,
                      [&](const OperandSlot& slot) { return matcher_->same(x, slot); });
    if (lone_a != kNoId)
      return leads_to(*a_, lone_a,
                      [&](const OperandSlot& slot) { return matcher_->same(slot, y); });
    return false;
  }
  /// The op without a partner that makes an operand, or wrote the state that it is.
  Id lone_maker(const GraphSide& side, const OperandSlot& slot) const {
    if (slot.kind != SlotKind::value) return kNoId;
    const Id op = slot.after != kNoId ? slot.after : side.data.values[slot.value].op;
    return op == kNoId || has_partner(side, op) ? kNoId : op;
  }
  template <class Wanted>
  bool leads_to(const GraphSide& side, Id op, const Wanted& wanted) const {
    std::vector<Id> open = {op};
    for (std::size_t i = 0; i < open.size() && i < kOpsLookedThrough; ++i) {
      for (const OperandSlot& slot : side.operands(open[i])) {
        if (wanted(slot)) return true;
        const Id next = lone_maker(side, slot);
        if (next != kNoId && std::ranges::find(open, next) == open.end()) open.push_back(next);
      }
    }
    return false;
  }

  void compare_op_attributes(const OpRecord& op_a, const OpRecord& op_b, Difference& difference) {
    if (op_a.attributes == 0 && op_b.attributes == 0) return;
    differing_attributes({op_a.first_attribute, op_a.attributes},
                         {op_b.first_attribute, op_b.attributes}, difference.a.attributes,
                         difference.b.attributes);
    for (const Id id : difference.a.attributes) {
      difference.phrases.push_back(
          fmt::format("attribute {}", a_->data.name(a_->data.attributes[id].name)));
    }
    for (const Id id : difference.b.attributes) {
      std::string phrase = fmt::format("attribute {}", b_->data.name(b_->data.attributes[id].name));
      if (std::ranges::find(difference.phrases, phrase) == difference.phrases.end()) {
        difference.phrases.push_back(std::move(phrase));
      }
    }
  }

  /// Result types follow from the operands: they are a difference of their own only where all
  /// operands have equal types and nothing else differs.
  void compare_results(Id a, Id b, bool other_constants, Difference& difference) {
    const OpRecord& op_a = a_->data.ops[a];
    const OpRecord& op_b = b_->data.ops[b];
    if (op_a.results != op_b.results) {
      difference.phrases.push_back(fmt::format("{} results -> {}", op_a.results, op_b.results));
      return;
    }
    std::vector<std::uint32_t> differing;
    for (std::uint32_t i = 0; i < op_a.results; ++i) {
      if (a_->type_of_value(op_a.first_result + i) != b_->type_of_value(op_b.first_result + i)) {
        differing.push_back(i);
      }
    }
    if (differing.empty()) return;
    if (other_constants || !difference.is_pure() || operand_types_differ(a, b)) {
      difference.follows = true;
      if (difference.is_pure()) return;
    } else {
      difference.phrases.push_back(differing.size() == 1 ? "the result's type"
                                                         : "the results' types");
    }
    difference.a.results = differing;
    difference.b.results = std::move(differing);
  }
  bool operand_types_differ(Id a, Id b) const {
    bool differ_somewhere = false;
    Matcher::aligned(
        a_->operands(a), b_->operands(b), [&](const OperandSlot* x, const OperandSlot* y) {
          if (x == nullptr || y == nullptr || x->value == kNoId || y->value == kNoId) {
            return;
          }
          differ_somewhere =
              differ_somewhere || a_->type_of_value(x->value) != b_->type_of_value(y->value);
        });
    return differ_somewhere;
  }

  void changed_op(Id a, Id b, const Difference& difference, const std::string& function) {
    if (!wanted(ChangeKind::op_changed)) return;
    Change change{.kind = ChangeKind::op_changed, .function = function};
    change.what =
        fmt::format("{}: {}", op_phrase(b_->data, b), fmt::join(difference.phrases, "; "));
    change.a = op_line(a_->data, a, &difference.a);
    change.b = op_line(b_->data, b, &difference.b);
    change.a.op = handle(*a_, a);
    change.b.op = handle(*b_, b);
    result_.changes.push_back(std::move(change));
  }

  void compare_outputs(Id block_a, Id block_b, const std::string& function) {
    const Id owner = b_->data.blocks[block_b].op;
    Matcher::aligned(
        a_->outputs(block_a), b_->outputs(block_b),
        [&](const OperandSlot* x, const OperandSlot* y) {
          if (x != nullptr && y != nullptr) {
            if (matcher_->same(*x, *y)) {
              note_spelling(*x, *y);
              if (owner == kNoId) note_output_name(*x, *y);
              return;
            }
            if (is_explained(*x, *y)) return;
          }
          const OperandSlot& slot = x != nullptr ? *x : *y;
          // A last write that only one side has is an op that only one side has.
          if (slot.binding == kNoId) return;
          const std::string where =
              owner == kNoId ? "" : fmt::format(" of a block of {}", op_phrase(b_->data, owner));
          Change change{.kind = ChangeKind::output_changed, .function = function};
          const auto side_of = [](const GraphSide& side, const OperandSlot* operand) {
            if (operand == nullptr) return ChangeSide{};
            ChangeSide line;
            if (operand->value != kNoId) line = value_line(side.data, operand->value);
            if (operand->value == kNoId) line.text = value_phrase(side.data, *operand);
            line.place = side.data.place(side.data.bindings[operand->binding].at);
            return line;
          };
          change.what = fmt::format("output {}{}{}", slot.index, where,
                                    x == nullptr   ? " is added"
                                    : y == nullptr ? " is removed"
                                                   : " is another value");
          change.a = side_of(*a_, x);
          change.b = side_of(*b_, y);
          if (change.a.text == change.b.text) change.what += ": " + other_value(*x, *y);
          add(std::move(change));
        });
  }

  // --- Constants ---

  void changed_constant(const OperandSlot& x, const OperandSlot& y, Id user,
                        const std::string& function) {
    const bool is_weight =
        a_->data.literals[x.literal].blob != kNoId || b_->data.literals[y.literal].blob != kNoId;
    const ChangeKind kind = is_weight ? ChangeKind::weight_changed : ChangeKind::constant_changed;
    const std::uint64_t key = (std::uint64_t{x.literal} << 32) | y.literal;
    const auto [known, is_new] = constants_.try_emplace(key, result_.changes.size());
    if (is_new && !wanted(kind)) {
      constants_.erase(known);
      return;
    }
    if (is_new) {
      Change change{.kind = kind, .function = function};
      const std::string text_a = constant_text(a_->data, x.literal);
      const std::string text_b = constant_text(b_->data, y.literal);
      change.what = fmt::format(
          "{}{}",
          y.value != kNoId
              ? std::string(b_->data.name(b_->data.values[y.value].name))
              : fmt::format("{} of {}", shared_.words.view(y.name), op_phrase(b_->data, user)),
          value_change(x, y));
      const bool same_type = constant_type(*a_, x) == constant_type(*b_, y);
      if (!same_type && text_a == text_b) {
        change.what += fmt::format(": {} -> {}", type_phrase(*a_, x), type_phrase(*b_, y));
      }
      change.a = constant_line(a_->data, x, same_type, text_b);
      change.b = constant_line(b_->data, y, same_type, text_a);
      if (x.value != kNoId) change.a.op = handle(*a_, a_->data.values[x.value].op);
      if (y.value != kNoId) change.b.op = handle(*b_, b_->data.values[y.value].op);
      note_elements(x, y, change);
      result_.changes.push_back(std::move(change));
    }
    Change& change = result_.changes[known->second];
    ChangeSide use;
    use.text =
        fmt::format("{}, argument {}", op_phrase(b_->data, user), shared_.words.view(y.name));
    use.place = b_->data.place_of_op(user);
    use.op = handle(*b_, user);
    change.uses.push_back(std::move(use));
  }

  static Id constant_type(GraphSide& side, const OperandSlot& slot) {
    return slot.value != kNoId ? side.type_of_value(slot.value)
                               : side.type_of_literal(side.data.literals[slot.literal]);
  }

  static std::string type_phrase(const GraphSide& side, const OperandSlot& slot) {
    const Id type = slot.value != kNoId ? side.data.values[slot.value].type
                                        : side.data.literals[slot.literal].type;
    return type == kNoId ? "no type" : std::string(side.data.types[type].text);
  }

  /// ": 1e-05 -> 1e-06" where both are one number.
  std::string value_change(const OperandSlot& x, const OperandSlot& y) const {
    const std::string a = scalar_text(a_->data, x.literal);
    const std::string b = scalar_text(b_->data, y.literal);
    return a.empty() || b.empty() || a == b ? std::string() : fmt::format(": {} -> {}", a, b);
  }
  static std::string scalar_text(const ModuleData& data, Id literal_id) {
    const LiteralRecord& literal = data.literals[literal_id];
    if (literal.blob != kNoId || literal.text.size() > kShortBytes) return {};
    if (literal.type == kNoId || data.types[literal.type].rank != 0 ||
        !is_float(data.types[literal.type].dtype)) {
      return std::string(literal.text);
    }
    const DType dtype = data.types[literal.type].dtype;
    double value = 0;
    if (!decode_real(literal.text, dtype, value)) return std::string(literal.text);
    return float_text(value, dtype, FloatStyle::decimal);
  }

  /// Which elements differ, when both sides have as many.
  void note_elements(const OperandSlot& x, const OperandSlot& y, Change& change) const {
    const LiteralRecord& a = a_->data.literals[x.literal];
    const LiteralRecord& b = b_->data.literals[y.literal];
    if (a.blob == kNoId || b.blob == kNoId) {
      std::vector<std::uint64_t> values_a;
      std::vector<std::uint64_t> values_b;
      if (a.type == kNoId || b.type == kNoId || a_->type(a.type) != b_->type(b.type)) return;
      const DType dtype = a_->data.types[a.type].dtype;
      if (!inline_elements(a, dtype, values_a) || !inline_elements(b, dtype, values_b)) return;
      if (values_a.size() != values_b.size() || values_a.size() < 2) return;
      ElementCount count;
      count.compare(values_a, values_b);
      change.notes.push_back(count.sentence(values_a.size(), dtype));
      return;
    }
    if (!weights_a_) {
      if (a_->type(a.type) != b_->type(b.type)) return;
      change.notes.push_back(
          "compared by path and offset; values in weight files were not looked at");
      return;
    }
    const std::uint64_t elements = weight_elements(a_->data, a.type);
    if (elements == 0 || a_->type(a.type) != b_->type(b.type)) return;
    ElementCount count;
    std::vector<std::uint64_t> of_a;
    std::vector<std::uint64_t> of_b;
    for (std::uint64_t first = 0; first < elements; first += of_a.size()) {
      of_a.resize(
          static_cast<std::size_t>(std::min<std::uint64_t>(kElementsRead, elements - first)));
      of_b.resize(of_a.size());
      if (!weights_a_->read(a_->data, a, first, of_a) ||
          !weights_b_->read(b_->data, b, first, of_b)) {
        return;
      }
      count.compare(of_a, of_b);
    }
    change.notes.push_back(count.sentence(elements, a_->data.types[a.type].dtype));
  }

  /// Elements that differ and the first of them.
  struct ElementCount {
    std::uint64_t seen = 0;
    std::uint64_t differing = 0;
    std::uint64_t first = 0;
    std::uint64_t first_a = 0;
    std::uint64_t first_b = 0;

    void compare(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
      for (std::size_t i = 0; i < a.size(); ++i, ++seen) {
        if (a[i] == b[i]) continue;
        if (differing++ != 0) continue;
        first = seen;
        first_a = a[i];
        first_b = b[i];
      }
    }
    std::string sentence(std::uint64_t count, DType dtype) const {
      const auto text = [&](std::uint64_t bits) {
        return is_float(dtype) ? float_text(std::bit_cast<double>(bits), dtype, FloatStyle::decimal)
                               : std::to_string(static_cast<std::int64_t>(bits));
      };
      return fmt::format("{} of {} elements {}, the first at {}: {} -> {}", differing, count,
                         differing == 1 ? "differs" : "differ", first, text(first_a),
                         text(first_b));
    }
  };

  static bool inline_elements(const LiteralRecord& literal, DType dtype,
                              std::vector<std::uint64_t>& out) {
    if (literal.blob != kNoId) return false;
    if (is_float(dtype)) {
      std::vector<double> values;
      if (!decode_reals(literal.text, dtype, values, SIZE_MAX)) return false;
      for (const double value : values) out.push_back(std::bit_cast<std::uint64_t>(value));
      return true;
    }
    std::vector<std::int64_t> values;
    if (!decode_integers(literal.text, values, SIZE_MAX)) return false;
    for (const std::int64_t value : values) out.push_back(static_cast<std::uint64_t>(value));
    return true;
  }

  // --- What is written differently and is the same ---

  void remark(std::string text) { result_.remarks.push_back(std::move(text)); }

  void note_output_name(const OperandSlot& x, const OperandSlot& y) {
    if (x.value == kNoId || y.value == kNoId) return;
    const std::string_view a = a_->data.name(a_->data.values[x.value].name);
    const std::string_view b = b_->data.name(b_->data.values[y.value].name);
    if (a != b) renamed_.push_back(fmt::format("{} -> {}", a, b));
  }

  /// Those of a function are its interface.
  void note_block_inputs(const BlockRecord& a, const BlockRecord& b) {
    if (b.op == kNoId) return;
    for (std::uint32_t i = 0; i < std::min(a.inputs, b.inputs); ++i) {
      note_name(a.first_input + i, b.first_input + i);
    }
  }

  static std::string_view name_attribute(const GraphSide& side, const OpRecord& op) {
    for (const AttributeRecord& attribute : side.data.attributes_of(op)) {
      if (attribute.literal != kNoId && side.data.name(attribute.name) == "name") {
        return side.data.literals[attribute.literal].text;
      }
    }
    return {};
  }
  void note_name_attributes(const OpRecord& a, const OpRecord& b) {
    if (name_attribute(*a_, a) != name_attribute(*b_, b)) ++name_attributes_;
  }

  /// A constant that is an op on both sides; several ops may use it.
  void note_constant_ops(Id value_a, Id value_b) {
    if (!met_.insert((std::uint64_t{value_a} << 32) | value_b).second) return;
    note_name(value_a, value_b);
    const Id a = a_->data.values[value_a].op;
    const Id b = b_->data.values[value_b].op;
    note_name_attributes(a_->data.ops[a], b_->data.ops[b]);
    if (a_->position(a) != b_->position(b)) constants_moved_ = true;
  }

  /// The first number of a literal that its dtype does not hold.
  void note_lost(const ModuleData& data, const LiteralRecord& literal) {
    if (literal.type == kNoId) return;
    const DType dtype = data.types[literal.type].dtype;
    if (data.types[literal.type].kind != TypeKind::tensor || !is_float(dtype)) return;
    LiteralTokens tokens(literal.text);
    for (Token token = tokens.next(); token.kind != TokenKind::end; token = tokens.next()) {
      double value = 0;
      const bool is_number = token.kind == TokenKind::whole || token.kind == TokenKind::real;
      if (!is_number || !decode_real(token.text, dtype, value) || keeps_number(token.text, value)) {
        continue;
      }
      if (lost_++ == 0) {
        first_lost_ = fmt::format("{} is {} in {}", excerpt_of(token.text, 0, kShortBytes),
                                  float_text(value, dtype, FloatStyle::decimal), dtype_name(dtype));
      }
      return;
    }
  }

  void note_spelling(const OperandSlot& x, const OperandSlot& y) {
    if (x.kind != SlotKind::constant) return;
    if ((x.value == kNoId) != (y.value == kNoId)) constants_placed_ = true;
    if (x.value != kNoId && y.value != kNoId) note_constant_ops(x.value, y.value);
    const LiteralRecord& a = a_->data.literals[x.literal];
    const LiteralRecord& b = b_->data.literals[y.literal];
    if (a.blob != kNoId && b.blob != kNoId) {
      const BlobRecord& blob_a = a_->data.blobs[a.blob];
      const BlobRecord& blob_b = b_->data.blobs[b.blob];
      if (blob_a.offset != blob_b.offset || blob_a.path != blob_b.path) ++weights_placed_;
    } else if (a.blob != kNoId || b.blob != kNoId) {
      ++weights_placed_;
    } else if (a.text != b.text) {
      ++spelled_;
      note_lost(a_->data, a);
      note_lost(b_->data, b);
    }
    if ((a.type == kNoId) != (b.type == kNoId)) ++bare_;
  }

  void note_name(Id a, Id b) {
    if (a_->shared_name(a_->data.values[a].name) == b_->shared_name(b_->data.values[b].name)) {
      return;
    }
    ++names_;
  }

  /// The argument that an operand stands at in the text.
  static Id written_argument(const GraphSide& side, const OpRecord& op, const OperandSlot& slot) {
    for (const ArgumentRecord& argument : side.data.arguments_of(op)) {
      if (argument.first_binding == slot.binding) return side.shared_name(argument.name);
    }
    return slot.name;
  }

  void note_writing(Id a, Id b) {
    const OpRecord& op_a = a_->data.ops[a];
    const OpRecord& op_b = b_->data.ops[b];
    for (std::uint32_t i = 0; i < std::min(op_a.results, op_b.results); ++i) {
      note_name(op_a.first_result + i, op_b.first_result + i);
    }
    note_name_attributes(op_a, op_b);
    if (options_.commutative && a_->operands(a).size() == 2 && b_->operands(b).size() == 2 &&
        written_argument(*a_, op_a, a_->operands(a)[0]) !=
            written_argument(*b_, op_b, b_->operands(b)[0])) {
      exchanged_ = true;
    }
    const auto arguments_a = a_->data.arguments_of(op_a);
    const auto arguments_b = b_->data.arguments_of(op_b);
    if (arguments_a.size() != arguments_b.size()) return;
    for (std::size_t i = 0; i < arguments_a.size(); ++i) {
      if (a_->shared_name(arguments_a[i].name) == b_->shared_name(arguments_b[i].name)) continue;
      arguments_ordered_ = true;
      return;
    }
  }

  void finish() {
    if (!renamed_.empty()) {
      std::string names = fmt::format(
          "{}", fmt::join(renamed_.begin(),
                          renamed_.begin() + static_cast<std::ptrdiff_t>(
                                                 std::min<std::size_t>(renamed_.size(), 8)),
                          ", "));
      if (renamed_.size() > 8) names += ", ...";
      result_.remarks.insert(result_.remarks.begin(),
                             fmt::format("inputs and outputs have other names: {}", names));
    }
    if (names_ != 0) remark(differ(names_, "name"));
    if (name_attributes_ != 0) remark(differ(name_attributes_, "name attribute"));
    if (order_differs_) remark("independent ops are in another order");
    if (constants_placed_) {
      remark("constants are ops in one and values of arguments in the other");
    }
    if (!constants_placed_ && a_->constant_ops() != b_->constant_ops()) {
      remark(fmt::format("the number of constant ops is {} in one and {} in the other",
                         a_->constant_ops(), b_->constant_ops()));
    } else if (!constants_placed_ && !order_differs_ && constants_moved_) {
      remark("constant ops stand elsewhere");
    }
    if (spelled_ != 0)
      remark(fmt::format("{} in another spelling",
                         spelled_ == 1 ? "1 value is" : fmt::format("{} values are", spelled_)));
    if (lost_ != 0) {
      remark(fmt::format(
          "{} that the dtype does not hold: {}",
          lost_ == 1 ? "1 value is a number" : fmt::format("{} values have numbers", lost_),
          first_lost_));
    }
    if (bare_ != 0) {
      remark(fmt::format("{} a type in one of the two alone",
                         bare_ == 1 ? "1 literal has" : fmt::format("{} literals have", bare_)));
    }
    const std::string_view scalars_a = scalars(a_->data);
    const std::string_view scalars_b = scalars(b_->data);
    if (scalars_a != scalars_b && !scalars_a.empty() && !scalars_b.empty()) {
      remark(
          fmt::format("scalars are written {} in one and {} in the other", scalars_a, scalars_b));
    }
    if (weights_placed_ != 0) {
      remark(fmt::format("{} at another place, with the same values",
                         weights_placed_ == 1 ? "1 weight stands"
                                              : fmt::format("{} weights stand", weights_placed_)));
    }
    if (arguments_ordered_) remark("arguments are in another order");
    if (exchanged_) remark("operands of commutative ops are exchanged");
    const bool changed = std::ranges::any_of(result_.counts, [](std::size_t n) { return n != 0; });
    result_.verdict = changed                   ? Verdict::different
                      : result_.remarks.empty() ? Verdict::identical
                                                : Verdict::same;
  }

  /// How a program writes the type of a scalar; empty where it has none. The table holds each
  /// bracketed type's plain form as well.
  static std::string_view scalars(const ModuleData& data) {
    std::string_view out;
    for (Id id = 0; id < data.types.size(); ++id) {
      const TypeRecord& type = data.types[id];
      if (type.kind != TypeKind::tensor || type.rank != 0) continue;
      if (type.bracketed) return "tensor<T, []>";
      out = "T";
    }
    return out;
  }

  // --- Changes ---

  /// Counts a change; whether it is to be described.
  bool wanted(ChangeKind kind) {
    ++result_.counts[static_cast<std::size_t>(kind)];
    return result_.changes.size() < options_.change_limit;
  }
  void add(Change change) {
    if (wanted(change.kind)) result_.changes.push_back(std::move(change));
  }
  Op handle(const GraphSide& side, Id op) {
    return {&side == a_.get() ? &module_a_ : &module_b_, op};
  }

  ModuleData& module_a_;  // for handles
  ModuleData& module_b_;
  const CompareOptions& options_;
  Partners partners_;
  Shared shared_;
  std::unique_ptr<ModelWeights> weights_a_;
  std::unique_ptr<ModelWeights> weights_b_;
  std::unique_ptr<GraphSide> a_;
  std::unique_ptr<GraphSide> b_;
  std::vector<FunctionPair> pairs_;
  Matcher* matcher_ = nullptr;
  Comparison result_;
  std::unordered_map<std::uint64_t, std::size_t> constants_;  // changes, by both literals
  std::unordered_map<Id, Id> twins_a_;
  std::unordered_map<Id, Id> twins_b_;
  std::unordered_set<std::uint64_t> met_;  // pairs of constants that are ops, by their values
  std::vector<std::string> renamed_;
  std::size_t names_ = 0;
  std::size_t name_attributes_ = 0;
  std::size_t spelled_ = 0;
  std::size_t bare_ = 0;
  std::size_t lost_ = 0;
  std::string first_lost_;
  std::size_t weights_placed_ = 0;
  bool guessed_inputs_ = false;
  bool order_differs_ = false;
  bool constants_placed_ = false;
  bool constants_moved_ = false;
  bool arguments_ordered_ = false;
  bool exchanged_ = false;
};

/// The first line of each that differs, where one of the two has more lines nothing.
std::string first_lines(std::string_view a, std::string_view b) {
  const auto at = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  const std::size_t before = a.substr(0, at).rfind('\n');
  const std::size_t first = before == a.npos ? 0 : before + 1;
  const auto line = [&](std::string_view text) {
    const std::string_view rest = text.substr(std::min(first, text.size()));
    return excerpt_of(rest.substr(0, rest.find('\n')), at - first, kLineBytes);
  };
  return fmt::format("the first lines that differ, without space: {} against {}", line(a), line(b));
}

std::string without_returns(std::string_view text) {
  std::string out(text);
  std::erase(out, '\r');
  return out;
}

/// What two texts differ in of which the comparison of their graphs has nothing to say.
std::string layout_remark(const Module& a, const Module& b) {
  const ModulePrintOptions bare{.style = TextStyle::compact, .comments = false};
  const std::string words_a = print_mil(a, bare);
  const std::string words_b = print_mil(b, bare);
  if (words_a != words_b) return first_lines(words_a, words_b);
  const bool line_ends = without_returns(a.data().text()) == without_returns(b.data().text());
  return line_ends ? "only line ends differ" : "only layout or comments differ";
}

/// Edits leave the text that was read as it is.
bool same_text(const Module& a, const Module& b) {
  return a.data().text() == b.data().text() && print_mil(a) == print_mil(b);
}

Comparison compare_graphs(const Module& a, const Module& b, const CompareOptions& options,
                          Diagnostics& diagnostics) {
  Comparer first(a.data(), b.data(), options, Partners::by_name, diagnostics);
  Comparison by_name = first.run();
  if (by_name.verdict != Verdict::different || !first.guessed_inputs()) return by_name;
  // Where inputs were renamed, those of one type may have been taken for each other.
  Diagnostics said_before;
  Comparison by_place =
      Comparer(a.data(), b.data(), options, Partners::by_place, said_before).run();
  return by_place.verdict == Verdict::different ? std::move(by_name) : std::move(by_place);
}

}  // namespace
}  // namespace mil

std::string_view change_name(ChangeKind kind) {
  return mil::kChangeNames[static_cast<std::size_t>(kind)];
}

Comparison compare_mil(const Module& a, const Module& b, const CompareOptions& options,
                       Diagnostics& diagnostics) {
  Diagnostics of_weights;
  Comparison out = mil::compare_graphs(a, b, options, of_weights);
  out.weights_unread = of_weights.has_errors();
  diagnostics.append(of_weights);
  if (out.verdict == Verdict::identical && !mil::same_text(a, b)) {
    out.verdict = Verdict::same;
    out.remarks.push_back(mil::layout_remark(a, b));
  }
  return out;
}

Comparison compare_mil(const Module& a, const Module& b) {
  Diagnostics none;
  return compare_mil(a, b, {}, none);
}

}  // namespace milgen
