#include "mil/module_weights.h"

#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

#include "mil/canonical_module.h"
#include "mil/literal.h"

namespace milgen {
namespace mil {
namespace {

class References {
 public:
  explicit References(const ModuleData& data) : data_(data) {}

  std::vector<WeightReference> collect() {
    for (Id op = 0; op < data_.ops.size(); ++op) {
      if (!data_.ops[op].erased) add(data_.ops[op]);
    }
    return std::move(found_);
  }

 private:
  void add(const OpRecord& op) {
    const std::string_view owner =
        data_.name(op.results == 0 ? op.name : data_.values[op.first_result].name);
    const bool is_const = op.code == static_cast<std::int16_t>(OpCode::const_);
    for (const AttributeRecord& attribute : data_.attributes_of(op)) {
      add(owner, is_const ? std::string_view() : data_.name(attribute.name), attribute.literal);
    }
    for (const ArgumentRecord& argument : data_.arguments_of(op)) {
      for_each_binding(data_, argument, [&](Id, const BindingRecord& binding) {
        if (binding.kind != BindingKind::literal) return;
        add(owner, data_.name(argument.name), binding.id);
      });
    }
  }
  void add(std::string_view owner, std::string_view argument, Id id) {
    const LiteralRecord& literal = data_.literals[id];
    if (literal.blob == kNoId) return;
    const BlobRecord& blob = data_.blobs[literal.blob];
    const TypeRecord& type = data_.types[literal.type];
    found_.push_back({argument.empty() ? std::string(owner) : fmt::format("{}.{}", owner, argument),
                      unescape(blob.path), blob.offset, type.dtype, Shape(data_.types.shape(type)),
                      data_.place(literal.at, literal.text.size())});
  }

  const ModuleData& data_;
  std::vector<WeightReference> found_;
};

}  // namespace

std::vector<WeightReference> references_of(const ModuleData& data) {
  return References(data).collect();
}

}  // namespace mil

std::vector<WeightReference> weight_references(const Module& module) {
  return mil::references_of(module.data());
}

}  // namespace milgen
