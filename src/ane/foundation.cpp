#include "ane/foundation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "ane/runtime_hints.h"

namespace milgen::ane {
namespace {

constexpr int kDeepestProperty = 32;
constexpr std::size_t kMostProperties = 1'000'000;
constexpr int kMostUnderlyingErrors = 8;
constexpr std::uint64_t kNotFound = std::numeric_limits<std::int64_t>::max();  // NSNotFound

Id class_named(const Platform& platform, const char* name) { return platform.objc_getClass(name); }

Id option_value(const Platform& platform, const EngineOption& option) {
  return std::visit(
      [&platform](const auto& value) {
        using Value = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string>) {
          return ns_string(platform, value);
        } else {
          return ns_number(platform, value);
        }
      },
      option.value);
}

/// Walks a property list with bounds on depth and number of objects.
class PropertyReader {
 public:
  explicit PropertyReader(const Platform& platform)
      : platform_(platform),
        count_(platform.sel_registerName("count")),
        object_at_(platform.sel_registerName("objectAtIndex:")),
        object_for_(platform.sel_registerName("objectForKey:")) {}

  Property read(Id object, int depth = 0) {
    if (object == nullptr || depth > kDeepestProperty || left_ == 0) return {};
    --left_;
    if (platform_.is_kind_of(object, "NSString")) return {utf8(platform_, object)};
    if (platform_.is_kind_of(object, "NSNumber")) return read_number(object);
    if (platform_.is_kind_of(object, "NSArray")) return read_array(object, depth);
    if (platform_.is_kind_of(object, "NSDictionary")) return read_dictionary(object, depth);
    return {};
  }

 private:
  Property read_number(Id object) const {
    const auto whole = platform_.send<long long>(object, "longLongValue");
    const auto real = platform_.send<double>(object, "doubleValue");
    // Numbers that have a fraction, or do not fit, change on the way to an integer.
    if (static_cast<double>(whole) != real) return {real};
    return {static_cast<std::int64_t>(whole)};
  }

  /// Of those that an array says it has, as many as may still be read.
  std::size_t count(Id array) const {
    return std::min(platform_.send<std::size_t>(array, count_), left_);
  }

  Property read_array(Id object, int depth) {
    PropertyList list;
    const std::size_t size = count(object);
    for (std::size_t i = 0; i < size; ++i) {
      list.push_back(read(platform_.send<Id>(object, object_at_, i), depth + 1));
    }
    return {std::move(list)};
  }

  Property read_dictionary(Id object, int depth) {
    PropertyMap map;
    const Id keys = platform_.send<Id>(object, "allKeys");
    const std::size_t size = count(keys);
    for (std::size_t i = 0; i < size; ++i) {
      const Id key = platform_.send<Id>(keys, object_at_, i);
      if (!platform_.is_kind_of(key, "NSString")) continue;
      map[utf8(platform_, key)] = read(platform_.send<Id>(object, object_for_, key), depth + 1);
    }
    return {std::move(map)};
  }

  const Platform& platform_;
  Sel count_;
  Sel object_at_;
  Sel object_for_;
  std::size_t left_ = kMostProperties;
};

/// An error and those that caused it, outermost first.
std::vector<RuntimeFailure> failure_chain(const Platform& platform, Id error) {
  std::vector<RuntimeFailure> chain;
  for (int i = 0; i < kMostUnderlyingErrors && platform.is_kind_of(error, "NSError"); ++i) {
    chain.push_back({utf8(platform, platform.send<Id>(error, "domain")),
                     static_cast<std::int64_t>(platform.send<long>(error, "code")),
                     utf8(platform, platform.send<Id>(error, "localizedDescription"))});
    const Id info = platform.send<Id>(error, "userInfo");
    error = platform.is_kind_of(info, "NSDictionary")
                ? platform.send<Id>(info, "objectForKey:", ns_string(platform, "NSUnderlyingError"))
                : nullptr;
  }
  return chain;
}

/// The descriptions of a chain, without those that repeat the one before.
std::string describe(std::span<const RuntimeFailure> chain) {
  if (chain.empty()) return "no NSError";
  std::string text = chain.front().description;
  for (std::size_t i = 1; i < chain.size(); ++i) {
    text += fmt::format("; because of {} {}", chain[i].domain, chain[i].code);
    if (chain[i].description != chain[i - 1].description) {
      text += fmt::format(": {}", chain[i].description);
    }
  }
  return text;
}

}  // namespace

Id ns_string(const Platform& platform, const std::string& text) {
  // The message ends the text at the first zero.
  if (text.find('\0') != std::string::npos) return nullptr;
  return platform.send<Id>(class_named(platform, "NSString"),
                           "stringWithUTF8String:", text.c_str());
}

Id ns_data(const Platform& platform, std::span<const std::byte> bytes) {
  return platform.send<Id>(class_named(platform, "NSData"),
                           "dataWithBytes:length:", static_cast<const void*>(bytes.data()),
                           bytes.size());
}

Id ns_data_no_copy(const Platform& platform, std::span<const std::byte> bytes) {
  // The class has no form for memory that it may not write; it does not.
  void* memory =
      const_cast<std::byte*>(bytes.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  return platform.send<Id>(class_named(platform, "NSData"),
                           "dataWithBytesNoCopy:length:freeWhenDone:", memory, bytes.size(), false);
}

Id ns_number(const Platform& platform, std::int64_t value) {
  return platform.send<Id>(class_named(platform, "NSNumber"),
                           "numberWithLongLong:", static_cast<long long>(value));
}

Id ns_number(const Platform& platform, bool value) {
  return platform.send<Id>(class_named(platform, "NSNumber"), "numberWithBool:", value);
}

Id ns_array(const Platform& platform, std::span<const Id> objects) {
  // A nil among them ends the process.
  if (std::find(objects.begin(), objects.end(), nullptr) != objects.end()) return nullptr;
  return platform.send<Id>(class_named(platform, "NSArray"),
                           "arrayWithObjects:count:", objects.data(), objects.size());
}

Id ns_dictionary(const Platform& platform, std::span<const std::pair<std::string, Id>> entries) {
  std::vector<Id> keys;
  std::vector<Id> values;
  for (const auto& [key, value] : entries) {
    keys.push_back(ns_string(platform, key));
    values.push_back(value);
    // A nil among them ends the process.
    if (keys.back() == nullptr || value == nullptr) return nullptr;
  }
  return platform.send<Id>(
      class_named(platform, "NSDictionary"),
      "dictionaryWithObjects:forKeys:count:", static_cast<const Id*>(values.data()),
      static_cast<const Id*>(keys.data()), keys.size());
}

Id ns_options(const Platform& platform, std::span<const EngineOption> options) {
  std::vector<std::pair<std::string, Id>> entries;
  entries.reserve(options.size());
  for (const EngineOption& option : options) {
    entries.emplace_back(option.key, option_value(platform, option));
  }
  return ns_dictionary(platform, entries);
}

Id ns_file_url(const Platform& platform, const std::string& path, bool is_folder) {
  const Id text = ns_string(platform, path);
  if (text == nullptr || path.empty()) return nullptr;  // either ends the process
  return platform.send<Id>(class_named(platform, "NSURL"), "fileURLWithPath:isDirectory:", text,
                           is_folder);
}

std::string utf8(const Platform& platform, Id string) {
  if (!platform.is_kind_of(string, "NSString")) return {};
  const auto* text = platform.send<const char*>(string, "UTF8String");
  return text != nullptr ? text : "";
}

std::vector<std::int64_t> indices(const Platform& platform, Id index_set, std::size_t most) {
  std::vector<std::int64_t> found;
  if (!platform.is_kind_of(index_set, "NSIndexSet")) return found;
  auto index = platform.send<std::uint64_t>(index_set, "firstIndex");
  while (index < kNotFound && found.size() < most) {
    found.push_back(static_cast<std::int64_t>(index));
    index = platform.send<std::uint64_t>(index_set, "indexGreaterThanIndex:", index);
  }
  return found;
}

const Property* Property::find(std::string_view key) const {
  const PropertyMap* entries = map();
  if (entries == nullptr) return nullptr;
  const auto entry = entries->find(key);
  return entry != entries->end() ? &entry->second : nullptr;
}

Property read_property(const Platform& platform, Id object) {
  return PropertyReader(platform).read(object);
}

Error runtime_error(const Platform& platform, Id error, ErrorKind kind, std::string operation,
                    std::string message) {
  const std::vector<RuntimeFailure> chain = failure_chain(platform, error);
  Error::Detail detail;
  detail.kind = kind;
  detail.message = std::move(message);
  detail.operation = std::move(operation);
  if (!chain.empty()) {
    detail.domain = chain.front().domain;
    detail.code = chain.front().code;
  }
  detail.description = describe(chain);
  detail.hint = runtime_hint(kind, chain);
  return Error(std::move(detail));
}

}  // namespace milgen::ane
