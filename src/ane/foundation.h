// Values of Foundation, to and from C++. Everything that is made here is autoreleased: the caller
// has a pool, and keeps what it wants to keep in a Ref.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ane/platform.h"
#include "milgen/ane/error.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

Id ns_string(const Platform& platform, const std::string& text);
/// Copies the bytes.
Id ns_data(const Platform& platform, std::span<const std::byte> bytes);
/// Refers to bytes that outlive every use of the object.
Id ns_data_no_copy(const Platform& platform, std::span<const std::byte> bytes);
Id ns_number(const Platform& platform, std::int64_t value);
Id ns_number(const Platform& platform, bool value);
Id ns_array(const Platform& platform, std::span<const Id> objects);
Id ns_dictionary(const Platform& platform, std::span<const std::pair<std::string, Id>> entries);
/// The options of a call; an empty dictionary of none.
Id ns_options(const Platform& platform, std::span<const EngineOption> options);
Id ns_file_url(const Platform& platform, const std::string& path, bool is_folder);

/// "" for nil and for what is no NSString.
std::string utf8(const Platform& platform, Id string);
/// The numbers of an NSIndexSet, ascending; at most `most`.
std::vector<std::int64_t> indices(const Platform& platform, Id index_set, std::size_t most);

/// What a property list holds, in C++: modelAttributes is read through this.
struct Property;
using PropertyList = std::vector<Property>;
using PropertyMap = std::map<std::string, Property, std::less<>>;
struct Property {
  std::variant<std::monostate, std::int64_t, double, std::string, PropertyList, PropertyMap> value;

  const PropertyMap* map() const { return std::get_if<PropertyMap>(&value); }
  const PropertyList* list() const { return std::get_if<PropertyList>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&value); }
  /// The entry of a map; null when this is no map or has none of that key.
  const Property* find(std::string_view key) const;
};
/// Objects of other classes become monostate; what is nested more than 32 deep, or behind the first
/// million objects, too.
Property read_property(const Platform& platform, Id object);

/// An error of the runtime in the words of its NSError; `error` may be nil, which the runtime gives
/// with some failures.
Error runtime_error(const Platform& platform, Id error, ErrorKind kind, std::string operation,
                    std::string message);

}  // namespace milgen::ane
