// What a comparison of two programs found, for people and for programs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cli/context.h"
#include "cli/json.h"
#include "milgen/compare.h"

namespace milgen::cli {

/// "identical", "same graph", "different: 1 op added, 2 constants changed; 27 ops are equal".
std::string verdict_text(const Comparison& comparison);

/// The verdict, then each change with the lines of both sides, or how two texts of one graph
/// differ. At most `limit` changes.
std::string comparison_text(const Context& context, const Comparison& comparison, std::size_t limit,
                            std::string_view indent = "");
Json comparison_json(const Context& context, const Comparison& comparison);

/// The same for two texts; nothing where one of them has syntax errors, or where they differ by
/// layout alone. For a finding, in front of the lines that differ.
std::string explain_texts(const Context& context, std::string_view expected,
                          const std::string& expected_name, std::string_view found,
                          const std::string& found_name);

}  // namespace milgen::cli
