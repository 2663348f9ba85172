// Bytes as edits of a program: whatever is done through the public interface, uses stay exact and
// the text that is printed is the program.
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/program_generator.h"
#include "fuzz/text_checks.h"
#include "milgen/print.h"

namespace {

using namespace milgen;
using milgen::test::ByteChoices;
using milgen::test::fault_of_handles;
using milgen::test::stop_at;

constexpr std::string_view kProgram = R"(program(1.3) {
func main<ios18>(tensor<fp16, [1, 4]> x, bool p, state<tensor<fp16, [1, 4]>> s) {
tensor<fp16, [1, 4]> c = const()[name = string("c"), val = tensor<fp16, [1, 4]>([[1, 2, 3, 4]])];
tensor<fp16, [1, 4]> a = add(x = x, y = c)[name = string("a")];
int32 axis = const()[name = string("axis"), val = int32(1)];
tensor<fp16, [1, 8]> j = concat(axis = axis, interleave = bool(false), values = (a, (x, a), x));
tensor<fp16, [1, 4]> q = cond(pred = p)[name = string("q")]
() { tensor<fp16, [1, 4]> t = relu(x = a)[name = string("t")]; } -> (t)
() { tensor<fp16, [1, 4]> u = cond(pred = p) () { } -> (x) () { } -> (c); } -> (u);
tensor<fp16, [1, 4]> m, tensor<fp16, [1, 4]> n = split(axis = axis, num_splits = int32(2), x = j);
write_state(data = m, input = s)[name = string("w")];
} -> (q, n);
func other<ios18>(fp16 x) { fp16 y = relu(x = x); } -> (y);
})";
constexpr std::string_view kNames[] = {"x", "a",     "c",   "fresh", "j@", "y",
                                       "",  "state", "1st", "axis",  "p",  "fresher"};
constexpr std::string_view kKeys[] = {"x", "y", "name", "val", "values", "milId"};
constexpr std::string_view kLiterals[] = {"fp16(0x1p+0)",
                                          "string(\"a\")",
                                          "tensor<int32, [2]>([1, 2])",
                                          "dict<string, string>({})",
                                          "fp16(",
                                          "fp16(1) 2",
                                          "",
                                          "list<string, 1>([\"b\"])"};
constexpr std::string_view kOps[] = {
    "tensor<fp16, [1, 4]> k1 = relu(x = x)[name = string(\"k1\")];",
    "fp16 k2, fp16 k3 = op(values = (x, (k1, a)), r = (c)); tensor<fp16, [1, 4]> k4 = relu(x = "
    "k2);",
    "bool k5 = cond(pred = p) () { bool k6 = logical_not(x = p); } -> (k6) { } -> (p);",
    "tensor<fp16, [1, 4]> k7 = relu(x = x); broken",
    "tensor<fp16, [1, 4]> a = relu(x = a);",
    "write_state(data = a, input = s);",
    "} -> (x);",
    "bool k8 = cond(pred = p) () { bool k9 = logical_not(x = p); ",
    ""};

/// All values, ops and blocks of a module as they are now.
struct Parts {
  std::vector<mil::Value> values;
  std::vector<mil::Op> ops;
  std::vector<mil::Block> blocks;

  explicit Parts(const Module& module) {
    for (const mil::Function function : module.functions()) blocks.push_back(function.body());
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      for (const mil::Value value : blocks[b].inputs()) values.push_back(value);
      for (const mil::Op op : blocks[b].ops()) {
        ops.push_back(op);
        for (const mil::Value value : op.results()) values.push_back(value);
        for (const mil::Block block : op.blocks()) blocks.push_back(block);
      }
    }
  }
};

/// One edit. False when the module said no, and so must not have changed.
bool edit(Module& module, ByteChoices& choices) {
  const Parts parts(module);
  const mil::Value value = choices.one_of(parts.values);
  const mil::Value other = choices.one_of(parts.values);
  Diagnostics diagnostics;
  const std::size_t kind = choices.below(11);
  if (parts.ops.empty() && kind != 0 && kind != 1 && kind != 9) return true;
  const mil::Op op = parts.ops.empty() ? mil::Op() : choices.one_of(parts.ops);
  const std::string_view key = choices.one_of(kKeys);
  switch (kind) {
    case 0:
      return module.rename(value, choices.one_of(kNames), diagnostics);
    case 1:
      module.replace_uses(value, other);
      return true;
    case 2:
      module.set_op_name(op, choices.chance(50) ? "relu" : "unheard_of");
      return true;
    case 3:
      module.set_argument(op, key, value);
      return true;
    case 4:
      return module.set_argument(op, key, choices.one_of(kLiterals), diagnostics);
    case 5:
      module.remove_argument(op, key);
      return true;
    case 6:
      return module.set_attribute(op, key, choices.one_of(kLiterals), diagnostics);
    case 7:
      module.remove_attribute(op, key);
      return true;
    case 8:
      return module.erase(op, diagnostics);
    case 9: {
      const mil::Block block = choices.one_of(parts.blocks);
      if (block.outputs().empty()) return true;
      module.set_output(block, choices.below(block.outputs().size()), value);
      return true;
    }
    default:
      break;
  }
  const std::string_view text = choices.one_of(kOps);
  if (choices.chance(50))
    module.insert_before(op, text, diagnostics);
  else
    module.append(choices.one_of(parts.blocks), text, diagnostics);
  return !diagnostics.has_errors();
}

std::string fault_of_edits(ByteChoices& choices) {
  Diagnostics diagnostics;
  Module module = parse_mil(kProgram, diagnostics);
  if (!module) return "the program does not parse: " + render(diagnostics);
  constexpr std::size_t kMostEdits = 40;
  for (std::size_t left = 1 + choices.below(kMostEdits); left != 0; --left) {
    const std::string before = print_mil(module);
    const Module copy = module.clone();
    const bool done = edit(module, choices);
    if (print_mil(copy) != before) return "an edit reaches a clone";
    if (!done && print_mil(module) != before) return "an edit that is refused changes the program";
    const std::string fault = fault_of_handles(module);
    if (!fault.empty()) return fault;
  }
  const std::string edited = print_mil(module);
  const Module again = parse_mil(edited, diagnostics);
  if (!again)
    return fmt::format("what was edited does not parse: {}{}", edited, render(diagnostics));
  if (again.op_count() != module.op_count()) return "what was edited is another program";
  if (print_mil(again) != edited) return "what was edited is no fixpoint";
  return fault_of_handles(again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteChoices choices({data, size});
  stop_at(fault_of_edits(choices));
  return 0;
}
