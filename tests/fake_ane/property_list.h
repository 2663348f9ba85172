// Property lists as NSPropertyListSerialization writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "objc.h"

namespace milgen::fake_ane {

// `list` as bytes in the format 100 (XML) or 200 (binary); nothing for another format, and when
// `list` holds something else than strings, numbers, data, arrays, and dictionaries keyed by
// strings.
std::optional<std::string> write_property_list(Object& list, std::uint64_t format);

}  // namespace milgen::fake_ane
