#include "mil/weight_names.h"

#include <fmt/format.h>

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "ir/builder.h"
#include "milgen/op_info.h"

namespace milgen::mil {
namespace {

struct Found {
  Literal literal;
  std::string name;  ///< of its constant, or made of the op and the argument
  bool of_const = false;
};

class Finder {
 public:
  explicit Finder(const Function& function) {
    for (const Value input : function.inputs()) taken_.insert(std::string(input.name()));
    std::vector<Block> blocks = {function.body()};
    while (!blocks.empty()) {
      const Block block = blocks.back();
      blocks.pop_back();
      for (const Value input : block.inputs()) taken_.insert(std::string(input.name()));
      for (const Op op : block.ops()) {
        for (const Block inner : op.blocks()) blocks.push_back(inner);
        for (const Value result : op.results()) taken_.insert(std::string(result.name()));
        find(op);
      }
    }
  }

  std::vector<NamedWeight> names() {
    std::unordered_map<std::string, int> weights_in;
    for (const Found& found : found_) ++weights_in[found.literal.blob_path()];
    std::vector<NamedWeight> out;
    for (Found& found : found_) {
      const std::string path = found.literal.blob_path();
      const std::string stem = weights_in[path] == 1 ? stem_of(path) : std::string();
      std::string name = std::move(found.name);
      if (!stem.empty() && stem != name && taken_.insert(stem).second) {
        name = stem;
      } else if (!found.of_const) {
        name = fresh(name);
      }
      out.push_back({std::move(name), found.literal});
    }
    return out;
  }

 private:
  void find(const Op& op) {
    const std::string_view result = op.results().empty() ? op.name() : op.results()[0].name();
    const bool is_const = op.is(OpCode::const_);
    const auto add = [&](std::string_view argument, const Literal& literal) {
      if (!literal.is_blob()) return;
      found_.push_back({literal,
                        is_const ? std::string(result) : fmt::format("{}_{}", result, argument),
                        is_const});
    };
    for (const Attribute attribute : op.attributes()) add(attribute.name(), attribute.value());
    for (const Argument argument : op.arguments()) {
      for (const Binding binding : argument.bindings()) {
        if (binding.is_literal()) add(argument.name(), binding.literal());
      }
    }
  }

  /// "wq" of "@model_path/weights/wq.bin"; "" where that is no name, or what a file for all weights
  /// is called (mil_text_format, section 6).
  static std::string stem_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    std::string stem = slash == std::string::npos ? path : path.substr(slash + 1);
    if (stem.ends_with(".bin")) stem.resize(stem.size() - 4);
    const bool usable = milgen::is_identifier(stem) && !is_reserved_word(stem) &&
                        stem != "weight" && stem != "weights";
    return usable ? stem : std::string();
  }

  std::string fresh(const std::string& base) {
    std::string name = base;
    for (int number = 2; !taken_.insert(name).second; ++number) {
      name = fmt::format("{}_{}", base, number);
    }
    return name;
  }

  std::vector<Found> found_;
  std::unordered_set<std::string> taken_;
};

}  // namespace

std::vector<NamedWeight> named_weights(const Function& function) {
  return Finder(function).names();
}

}  // namespace milgen::mil
