#include "cli/mil_input.h"

#include <fmt/format.h>

#include <filesystem>
#include <istream>
#include <iterator>

#include "support/files.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

namespace fs = std::filesystem;

bool is_folder(const Context& context, const std::string& path) {
  std::error_code code;
  return fs::is_directory(context.resolve(path), code);
}

bool is_there(const Context& context, const std::string& path) {
  std::error_code code;
  return fs::exists(context.resolve(path), code);
}

}  // namespace

bool find_mil_inputs(const Context& context, std::string_view argument,
                     std::vector<MilInput>& inputs, Diagnostics& diagnostics) {
  std::string path(argument);
  if (path == "-") {
    inputs.push_back({path, context.resolve(".")});
    return true;
  }
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!is_folder(context, path)) {
    const std::string parent = fs::path(path).parent_path().string();
    inputs.push_back({path, context.resolve(parent.empty() ? "." : parent)});
    return true;
  }
  const auto add = [&](const std::string& folder) {
    const std::string text = folder + "/model.mil";
    if (!is_there(context, text)) return false;
    inputs.push_back({text, context.resolve(folder)});
    return true;
  };
  if (add(path)) return true;
  std::size_t stages = 0;
  while (add(fmt::format("{}/model{}", path, stages))) ++stages;
  if (stages != 0) return true;
  if (path.ends_with(".mlpackage")) {
    diagnostics.error(rule<"mil.package">.id(),
                      "the folder holds a model that is not compiled; 'xcrun coremlcompiler "
                      "compile' makes a .mlmodelc of it, which has MIL text",
                      Place(path));
  } else {
    diagnostics.error(rule<"mil.none">.id(),
                      "the folder has neither model.mil nor model0/model.mil", Place(path));
  }
  return false;
}

bool read_mil_input(const Context& context, const MilInput& input, Module& module,
                    Diagnostics& diagnostics) {
  std::string text;
  if (input.path == "-") {
    text.assign(std::istreambuf_iterator<char>(context.streams.in), {});
  } else if (!read_file(context.resolve(input.path), kTextLimitBytes, text, diagnostics)) {
    return false;
  }
  const std::string file = input.path == "-" ? input.path : context.resolve(input.path);
  module = parse_mil(text, diagnostics, {.file = file});
  return true;
}

}  // namespace milgen::cli
