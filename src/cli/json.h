// JSON output. Keys stand in the order in which they were put.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cli/context.h"
#include "milgen/shape.h"

namespace milgen::cli {

using Json = nlohmann::ordered_json;

/// Indented by two, with a line end; text that is not UTF-8 gets replacement characters.
inline std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const Context& context, const Diagnostic& diagnostic);
Json to_json(const Context& context, const Diagnostics& diagnostics);
Json to_json(const Shape& shape);

}  // namespace milgen::cli
