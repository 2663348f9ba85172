// The DSL's op functions, written from the op table.
#pragma once

#include <string>

namespace milgen {

/// The text of include/milgen/ops.h. It is committed, and a test holds the committed file equal to
/// this, so that the header cannot fall behind the table.
std::string op_header();

}  // namespace milgen
