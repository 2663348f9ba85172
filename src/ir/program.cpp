#include "milgen/program.h"

#include <atomic>
#include <memory>

#include "ir/canonical.h"

namespace milgen {
namespace {

PortInfo port(const Graph& graph, ValueId value, NameId name, Loc loc) {
  TypeView type = graph.types.view(graph.value(value).type);
  const bool is_state = type.kind == TypeKind::state;
  if (is_state) type = *type.element;
  return {std::string(graph.names.view(name)),
          type.kind == TypeKind::dict ? DType::none : type.dtype, Shape(type.shape), is_state, loc};
}

}  // namespace

Program::Program(const Program& other) : data_(other.data_) {
  if (data_ != nullptr) data_->references.fetch_add(1, std::memory_order_relaxed);
}

Program::~Program() {
  if (data_ != nullptr && data_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    std::unique_ptr<const ProgramData>{data_}.reset();
  }
}

std::string_view Program::name() const {
  return data_ == nullptr ? std::string_view() : std::string_view(data_->name);
}
Opset Program::opset() const { return data_ == nullptr ? Opset::ios18 : data_->opset; }
std::size_t Program::op_count() const {
  return data_ == nullptr ? 0 : data_->canonical.order.size() - data_->canonical.inlined_count;
}

std::vector<PortInfo> Program::inputs() const {
  if (data_ == nullptr) return {};
  const Graph& graph = *data_->graph;
  std::vector<PortInfo> out;
  out.reserve(graph.inputs.size());
  for (const ValueId input : graph.inputs) {
    out.push_back(port(graph, input, graph.value(input).name, graph.loc_of(input)));
  }
  return out;
}

std::vector<PortInfo> Program::outputs() const {
  if (data_ == nullptr) return {};
  const Graph& graph = *data_->graph;
  std::vector<PortInfo> out;
  out.reserve(graph.outputs.size());
  for (const Graph::Output& output : graph.outputs) {
    out.push_back(port(graph, output.value, output.name, output.loc));
  }
  return out;
}

std::vector<WeightInfo> Program::weights() const {
  if (data_ == nullptr) return {};
  const Graph& graph = *data_->graph;
  std::vector<WeightInfo> out;
  out.reserve(data_->canonical.weights.size());
  for (const ValueId value : data_->canonical.weights) {
    const Const& constant = *graph.constant_of(value);
    out.push_back({std::string(data_->canonical.names[value]), graph.types.dtype(constant.type),
                   Shape(graph.types.shape(constant.type)), constant.fill,
                   constant.kind != ConstKind::weight, graph.value(value).name == kNoName,
                   graph.loc_of(value)});
  }
  return out;
}

Loc Program::location_of(std::string_view name) const {
  if (data_ == nullptr) return {};
  const Canonical& canonical = data_->canonical;
  for (ValueId value = 0; value < canonical.names.size(); ++value) {
    if (canonical.names[value] == name && !name.empty()) return data_->graph->loc_of(value);
  }
  return {};
}

}  // namespace milgen
