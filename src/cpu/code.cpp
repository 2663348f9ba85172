#include "cpu/code.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "cpu/constants.h"
#include "mil/literal.h"
#include "mil/module_data.h"
#include "mil/weight_file_set.h"
#include "milgen/emit.h"
#include "milgen/module.h"
#include "support/printable.h"

namespace milgen::cpu {
namespace {

using mil::ArgumentRecord;
using mil::AttributeRecord;
using mil::BindingKind;
using mil::BindingRecord;
using mil::BlockRecord;
using mil::FunctionRecord;
using mil::Id;
using mil::kNoId;
using mil::LiteralRecord;
using mil::ModuleData;
using mil::OpRecord;
using mil::ValueRecord;

/// What weights in memory are kept alive by: the files, and the bytes of those that the caller
/// gave.
struct WeightOwner {
  std::vector<WeightFileBytes> memory;
  std::vector<MemoryFile> files;
  std::unique_ptr<WeightFileSet> set;
};

class CodeMaker {
 public:
  CodeMaker(const ModuleData& data, const CompileOptions& options, std::vector<Array>& constants,
            Diagnostics& diagnostics)
      : data_(data),
        options_(options),
        constants_(constants),
        diagnostics_(diagnostics),
        code_(std::make_unique<Code>()),
        slot_of_(data.values.size(), kNone),
        constant_of_(data.literals.size(), kNone) {}

  std::unique_ptr<const Code> make() {
    const FunctionRecord* function = find_function();
    if (function == nullptr) return nullptr;
    code_->file = data_.file;
    collect_blocks(function->body);
    if (!open_weights()) return nullptr;
    if (!opset_from_name(data_.name(function->opset), opset_)) opset_ = Opset::ios18;
    code_->blocks.resize(1);
    add_inputs(data_.blocks[function->body]);
    work_.push_back({function->body, 0});
    while (!work_.empty()) {
      const Work next = work_.back();
      work_.pop_back();
      add_block(next);
    }
    if (diagnostics_.errors() != errors_before_) return nullptr;
    add_outputs(data_.blocks[function->body]);
    find_dead();
    return std::move(code_);
  }

 private:
  /// A block of the module and the one that is made of it.
  struct Work {
    Id block;
    std::uint32_t made;
  };
  /// Where a nested block stands.
  struct Parent {
    std::uint32_t block = kNone;
    std::uint32_t step = 0;
  };

  const FunctionRecord* find_function() {
    std::string names;
    for (const FunctionRecord& function : data_.functions) {
      const std::string_view name = data_.name(function.name);
      if (options_.function.empty()) {
        if (name == "main" || data_.functions.size() == 1) return &function;
      } else if (name == options_.function) {
        return &function;
      }
      names += fmt::format("{}{}", names.empty() ? "" : ", ", printable(name));
    }
    std::string message = "the program has no function";
    if (!names.empty()) {
      message = options_.function.empty()
                    ? fmt::format("the program has the functions {} and none is called main", names)
                    : fmt::format("the program has no function {}, only {}",
                                  printable(options_.function), names);
    }
    diagnostics_.error(rule<"run.function">.id(), std::move(message), Place(data_.file));
    return nullptr;
  }

  template <class F>
  void for_each_op(Id block, F&& f) const {
    for (Id op = data_.blocks[block].first_op; op != kNoId; op = data_.ops[op].next) f(op);
  }

  /// All blocks of the function, outer ones first.
  void collect_blocks(Id body) {
    module_blocks_.push_back(body);
    for (std::size_t i = 0; i < module_blocks_.size(); ++i) {
      for_each_op(module_blocks_[i], [&](Id op) {
        for (Id block = data_.ops[op].first_block; block != kNoId;
             block = data_.blocks[block].next) {
          module_blocks_.push_back(block);
        }
      });
    }
  }

  // --- Constants. ---

  void add_reference(Id literal, std::string_view name) {
    const LiteralRecord& record = data_.literals[literal];
    if (record.blob == kNoId) return;
    const mil::BlobRecord& blob = data_.blobs[record.blob];
    const mil::TypeRecord& type = data_.types[record.type];
    reference_of_.try_emplace(literal, references_.size());
    references_.push_back({std::string(name), mil::unescape(blob.path), blob.offset, type.dtype,
                           Shape(data_.types.shape(type)),
                           data_.place(record.at, record.text.size())});
  }

  /// Every weight file is opened and every reference held against it before anything is loaded.
  bool open_weights() {
    for (const Id block : module_blocks_) {
      for_each_op(block, [&](Id id) {
        const OpRecord& op = data_.ops[id];
        const std::string_view name =
            data_.name(op.results == 0 ? op.name : data_.values[op.first_result].name);
        for (const AttributeRecord& attribute : data_.attributes_of(op)) {
          add_reference(attribute.literal, name);
        }
        for (const ArgumentRecord& argument : data_.arguments_of(op)) {
          for (const BindingRecord& binding : data_.bindings_of(argument)) {
            if (binding.kind == BindingKind::literal) add_reference(binding.id, name);
          }
        }
      });
    }
    owner_ = std::make_shared<WeightOwner>();
    owner_->memory = options_.weights;
    for (const WeightFileBytes& file : owner_->memory) {
      if (file.bytes == nullptr) continue;
      owner_->files.push_back({file.path, *file.bytes});
      memory_by_address_.try_emplace(file.bytes->data(), file.bytes);
    }
    owner_->set = std::make_unique<WeightFileSet>(
        options_.model_path, CheckWeightsOptions{.lenient = true, .file = options_.weight_file},
        owner_->files);
    return owner_->set->check(references_, diagnostics_);
  }

  /// The constant of a literal; kNone after a report.
  std::uint32_t constant(Id literal, DType fallback) {
    std::uint32_t& known = constant_of_[literal];
    if (known != kNone) return known;
    const LiteralRecord& record = data_.literals[literal];
    const auto reference = reference_of_.find(literal);
    Array array;
    if (reference != reference_of_.end()) {
      const WeightReference& weight = references_[reference->second];
      const std::span<const std::byte> payload = owner_->set->payload(weight);
      array = array_of_payload(weight.dtype, weight.shape, payload, owner_of(payload));
    } else {
      array = array_of_literal(data_, record, fallback);
    }
    if (!array) {
      diagnostics_.error(rule<"run.value">.id(), "the value cannot be read into memory",
                         data_.place(record.at, std::min<std::size_t>(record.text.size(), 40)));
      return kNone;
    }
    known = static_cast<std::uint32_t>(constants_.size());
    constants_.push_back(std::move(array));
    return known;
  }

  /// Of a payload in memory the one file that it is in, so that the others may go.
  std::shared_ptr<const void> owner_of(std::span<const std::byte> payload) const {
    const auto behind = memory_by_address_.upper_bound(payload.data());
    if (behind == memory_by_address_.begin()) return owner_;
    const auto& file = std::prev(behind)->second;
    const std::less_equal<const std::byte*> at_most;
    const bool inside = at_most(payload.data() + payload.size(), file->data() + file->size());
    return inside ? std::shared_ptr<const void>(file) : owner_;
  }

  /// A slot that holds a literal; kNone after a report.
  SlotId constant_slot(Id literal, DType fallback) {
    const std::uint32_t index = constant(literal, fallback);
    if (index == kNone) return kNone;
    const Array& array = constants_[index];
    return new_slot({.dtype = array.dtype(), .shape = array.shape(), .constant = index}, kNone);
  }

  // --- Slots. ---

  SlotId new_slot(SlotCode slot, std::uint32_t block) {
    code_->slots.push_back(std::move(slot));
    block_of_slot_.push_back(block);
    return static_cast<SlotId>(code_->slots.size() - 1);
  }

  SlotCode slot_of_type(Id type) const {
    const TypeView& view = data_.types.view(type);
    if ((view.kind == TypeKind::list || view.kind == TypeKind::state) && view.element != nullptr) {
      return {.kind = view.kind, .dtype = view.element->dtype, .shape = Shape(view.element->shape)};
    }
    if (view.kind == TypeKind::dict) {
      const auto parts = data_.types.children(data_.types[type]);
      return {.kind = view.kind, .dtype = data_.types[parts.back()].dtype, .shape = {}};
    }
    return {.kind = view.kind, .dtype = view.dtype, .shape = Shape(view.shape)};
  }

  SlotId add_value(Id value, std::uint32_t block) {
    return slot_of_[value] = new_slot(slot_of_type(data_.values[value].type), block);
  }

  Port port_of(Id value, std::string_view name, SlotId slot) const {
    const SlotCode& code = code_->slots[slot];
    const ValueKind kind = code.kind == TypeKind::list   ? ValueKind::list
                           : code.kind == TypeKind::dict ? ValueKind::dict
                                                         : ValueKind::tensor;
    return {{std::string(name), code.dtype, code.shape, kind},
            slot,
            value == kNoId ? Place(data_.file) : data_.place_of_value(value)};
  }

  void add_inputs(const BlockRecord& body) {
    for (Id value = body.first_input; value < body.first_input + body.inputs; ++value) {
      const SlotId slot = add_value(value, 0);
      code_->blocks[0].inputs.push_back(slot);
      Port port = port_of(value, data_.name(data_.values[value].name), slot);
      const TypeKind kind = code_->slots[slot].kind;
      if (kind != TypeKind::state && kind != TypeKind::tensor) {
        diagnostics_.error(rule<"run.input">.id(),
                           fmt::format("input {} is no tensor, and such a program cannot be run",
                                       printable(port.spec.name)),
                           port.place);
      }
      (kind == TypeKind::state ? code_->states : code_->inputs).push_back(std::move(port));
    }
  }

  void add_outputs(const BlockRecord& body) {
    for (const BindingRecord& binding : data_.outputs_of(body)) {
      const SlotId slot = slot_of_binding(binding, DType::fp32);
      code_->blocks[0].outputs.push_back(slot);
      const bool is_value = binding.kind == BindingKind::value;
      const std::string_view name =
          is_value ? data_.name(data_.values[binding.id].name) : std::string_view("output");
      code_->outputs.push_back(port_of(is_value ? binding.id : kNoId, name, slot));
    }
  }

  SlotId slot_of_binding(const BindingRecord& binding, DType fallback) {
    if (binding.kind == BindingKind::value) return slot_of_[binding.id];
    return binding.kind == BindingKind::literal ? constant_slot(binding.id, fallback) : kNone;
  }

  // --- Blocks and ops. ---

  void add_block(const Work& work) {
    const BlockRecord& block = data_.blocks[work.block];
    if (work.made != 0) {
      for (Id value = block.first_input; value < block.first_input + block.inputs; ++value) {
        const SlotId slot = add_value(value, work.made);
        code_->blocks[work.made].inputs.push_back(slot);
      }
    }
    for_each_op(work.block, [&](Id op) { add_op(op, work.made); });
    if (work.made == 0) return;
    for (const BindingRecord& binding : data_.outputs_of(block)) {
      code_->blocks[work.made].outputs.push_back(slot_of_binding(binding, DType::fp32));
    }
  }

  void add_op(Id id, std::uint32_t block) {
    const OpRecord& op = data_.ops[id];
    if (op.code == static_cast<std::int16_t>(OpCode::const_)) {
      add_const(op);
      return;
    }
    if (op.code < 0 || op.code >= kOpCount) {
      diagnostics_.error(rule<"run.op">.id(),
                         fmt::format("{} has no executor", printable(data_.name(op.name))),
                         data_.place_of_op(id));
      return;
    }
    StepCode step;
    step.op = &op_info(static_cast<OpCode>(op.code));
    step.row = &kernel_row(step.op->code);
    step.opset = opset_;
    if (op.opset != mil::kEmptyName) opset_from_name(data_.name(op.opset), step.opset);
    const Place place = data_.place_of_op(id);
    step.line = place.line;
    step.column = place.column;
    step.number = id;
    if (op.results != 0) step.result_name = keep(data_.name(data_.values[op.first_result].name));
    add_args(op, step);
    step.first_result = static_cast<SlotId>(code_->slots.size());
    step.results = op.results;
    for (Id value = op.first_result; value < op.first_result + op.results; ++value) {
      add_value(value, block);
    }
    step.first_block = static_cast<std::uint32_t>(code_->block_list.size());
    step.blocks = op.blocks;
    for (Id inner = op.first_block; inner != kNoId; inner = data_.blocks[inner].next) {
      const auto made = static_cast<std::uint32_t>(code_->blocks.size());
      code_->block_list.push_back(made);
      code_->blocks.emplace_back();
      parents_.resize(code_->blocks.size());
      parents_[made] = {block, static_cast<std::uint32_t>(code_->blocks[block].steps.size())};
      work_.push_back({inner, made});
    }
    code_->blocks[block].steps.push_back(step);
  }

  void add_const(const OpRecord& op) {
    const Id literal = data_.const_literal(op);
    if (literal == kNoId || op.results != 1) return;
    slot_of_[op.first_result] = constant_slot(literal, DType::fp32);
  }

  std::string_view keep(std::string_view name) {
    return *code_->names.emplace_back(std::make_unique<std::string>(name));
  }

  void add_args(const OpRecord& op, StepCode& step) {
    step.first_arg = static_cast<std::uint32_t>(code_->args.size());
    if (step.op->written_as_attributes(step.opset)) {
      for (const AttributeRecord& attribute : data_.attributes_of(op)) {
        const Param* param = find_param(step, data_.name(attribute.name));
        if (param != nullptr) add_arg(*param, {{constant_slot(attribute.literal, first(*param))}});
      }
    }
    for (const ArgumentRecord& argument : data_.arguments_of(op)) {
      const Param* param = find_param(step, data_.name(argument.name));
      if (param == nullptr) continue;
      std::vector<SlotId> slots;
      add_bindings(data_.bindings_of(argument), first(*param), slots);
      add_arg(*param, slots);
    }
    step.args = static_cast<std::uint32_t>(code_->args.size()) - step.first_arg;
  }

  static const Param* find_param(const StepCode& step, std::string_view name) {
    for (const Param& param : step.op->params(step.opset)) {
      if (param.name == name) return &param;
    }
    return nullptr;
  }

  /// The dtype that a bare number stands for.
  static DType first(const Param& param) {
    for (const DType dtype : {DType::fp32, DType::fp16, DType::int32, DType::boolean}) {
      if (param.dtypes.has(dtype)) return dtype;
    }
    return DType::fp32;
  }

  /// Tuples in tuples count as one flat list: only make_list's elem_shape has such, and its parts
  /// follow each other.
  void add_bindings(std::span<const BindingRecord> bindings, DType fallback,
                    std::vector<SlotId>& slots) {
    for (const BindingRecord& binding : bindings) {
      if (binding.kind == BindingKind::tuple) {
        for (std::uint32_t i = 0; i < binding.count; ++i) {
          const BindingRecord& inner = data_.bindings[binding.id + i];
          if (inner.kind != BindingKind::tuple) slots.push_back(slot_of_binding(inner, fallback));
        }
      } else {
        slots.push_back(slot_of_binding(binding, fallback));
      }
    }
  }

  void add_arg(const Param& param, std::span<const SlotId> slots) {
    code_->args.push_back({param.name, static_cast<std::uint32_t>(code_->arg_slots.size()),
                           static_cast<std::uint32_t>(slots.size())});
    code_->arg_slots.insert(code_->arg_slots.end(), slots.begin(), slots.end());
  }

  // --- Last uses. ---

  /// Notes that `slot` is looked at by step `step` of `block`: in its own block that is the step
  /// that has the blocks in between.
  void note_use(SlotId slot, std::uint32_t block, std::uint32_t step) {
    const std::uint32_t home = block_of_slot_[slot];
    if (home == kNone) return;
    while (block != home) {
      step = parents_[block].step;
      block = parents_[block].block;
    }
    last_use_[slot] = std::max(last_use_[slot], step);
  }

  void find_dead() {
    last_use_.assign(code_->slots.size(), 0);
    for (std::uint32_t b = 0; b < code_->blocks.size(); ++b) {
      BlockCode& block = code_->blocks[b];
      for (std::uint32_t s = 0; s < block.steps.size(); ++s) {
        const StepCode& step = block.steps[s];
        for (const ArgCode& arg : code_->args_of(step)) {
          for (const SlotId slot : code_->slots_of(arg)) note_use(slot, b, s);
        }
        for (std::uint32_t r = 0; r < step.results; ++r) note_use(step.first_result + r, b, s);
      }
      // What leaves the block lives to its end.
      for (const SlotId slot : block.outputs) {
        note_use(slot, b, static_cast<std::uint32_t>(block.steps.size()));
        if (block_of_slot_[slot] == b) block.own_outputs.push_back(slot);
      }
    }
    list_dead();
  }

  void list_dead() {
    std::vector<std::vector<std::pair<std::uint32_t, SlotId>>> by_block(code_->blocks.size());
    for (SlotId slot = 0; slot < code_->slots.size(); ++slot) {
      const std::uint32_t home = block_of_slot_[slot];
      if (home != kNone) by_block[home].emplace_back(last_use_[slot], slot);
    }
    for (std::size_t b = 0; b < by_block.size(); ++b) {
      std::ranges::sort(by_block[b]);
      std::vector<StepCode>& steps = code_->blocks[b].steps;
      auto next = by_block[b].begin();
      for (std::uint32_t s = 0; s < steps.size(); ++s) {
        steps[s].first_dead = static_cast<std::uint32_t>(code_->dead_slots.size());
        for (; next != by_block[b].end() && next->first == s; ++next) {
          code_->dead_slots.push_back(next->second);
        }
        steps[s].dead = static_cast<std::uint32_t>(code_->dead_slots.size()) - steps[s].first_dead;
      }
    }
  }

  const ModuleData& data_;
  const CompileOptions& options_;
  std::vector<Array>& constants_;
  Diagnostics& diagnostics_;
  const std::size_t errors_before_ = diagnostics_.errors();
  std::unique_ptr<Code> code_;
  Opset opset_ = Opset::ios18;
  std::vector<Id> module_blocks_;
  std::vector<SlotId> slot_of_;               // by value of the module
  std::vector<std::uint32_t> constant_of_;    // by literal of the module
  std::vector<std::uint32_t> block_of_slot_;  // kNone for a constant
  std::vector<std::uint32_t> last_use_;
  std::vector<Parent> parents_;
  std::vector<Work> work_;
  std::vector<WeightReference> references_;
  std::unordered_map<Id, std::size_t> reference_of_;  // by literal
  std::shared_ptr<WeightOwner> owner_;
  std::map<const std::byte*, std::shared_ptr<const std::vector<std::byte>>> memory_by_address_;
};

}  // namespace

std::unique_ptr<const Code> make_code(const Module& module, const CompileOptions& options,
                                      std::vector<Array>& constants, Diagnostics& diagnostics) {
  return CodeMaker(module.data(), options, constants, diagnostics).make();
}

}  // namespace milgen::cpu
