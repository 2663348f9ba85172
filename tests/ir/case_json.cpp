#include "ir/case_json.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include "ir/graph.h"

namespace milgen::test {

OwnedType type_of(const Json& json) {
  OwnedType out;
  if (json.contains("state")) {
    out.kind = TypeKind::state;
    out.element = std::make_shared<OwnedType>(type_of(json["state"]));
  } else if (json.contains("list")) {
    const Json& list = json["list"];
    out.kind = TypeKind::list;
    out.element = std::make_shared<OwnedType>(type_of(list["elem"]));
    // MIL text has no word for the first length of a list that grows.
    out.length = list.value("dynamic_length", false) ? kUnknownDim
                                                     : list.at("init_length").get<std::int64_t>();
  } else if (json.contains("dict")) {
    out.kind = TypeKind::dict;
    out.key = dtype_from_name(json["dict"]["key"].get<std::string>());
    out.dtype = dtype_from_name(json["dict"]["value"].get<std::string>());
  } else {
    out.dtype = dtype_from_name(json.at("dtype").get<std::string>());
    for (const Json& dim : json.at("shape")) {
      if (dim.is_number()) {
        out.shape.push_back(dim.get<std::int64_t>());
      } else if (dim == "*") {
        out.shape.push_back(kUnknownRank);
      } else if (dim == "?" || dim.get_ref<const std::string&>().front() == '=') {
        // milgen keeps no arithmetic of symbols: "=s0 + 2" is one more dim that is not known.
        out.shape.push_back(kUnknownDim);
      } else {
        out.shape.push_back(kFirstSymbolDim - std::stoll(dim.get<std::string>().substr(1)));
      }
    }
  }
  return out;
}

namespace {

double number_of(const Json& json) {
  if (json.is_boolean()) return json.get<bool>() ? 1 : 0;
  if (!json.is_string()) return json.get<double>();
  const std::string text = json.get<std::string>();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

void add_element(DType dtype, const Json& json, OwnedValue& out) {
  if (dtype == DType::string) {
    out.texts.push_back(json.get<std::string>());
  } else if (is_float(dtype)) {
    out.reals.push_back(round_to(dtype, number_of(json)));
  } else {
    out.ints.push_back(json.is_number_integer() ? json.get<std::int64_t>()
                                                : static_cast<std::int64_t>(number_of(json)));
  }
}

}  // namespace

std::optional<OwnedValue> value_of(const Json& json, const Scope& scope) {
  OwnedValue out;
  if (json.is_string()) {
    const auto found = scope.find(json.get<std::string>().substr(1));
    if (found == scope.end()) return std::nullopt;
    return found->second;
  }
  if (json.contains("var")) {
    out.type = type_of(json["var"]);
  } else if (json.contains("const")) {
    const Json& value = json["const"];
    out.type = type_of(value);
    out.is_const = true;
    out.known = true;
    std::int64_t count = 1;
    element_count(out.type.shape, count);
    if (value.contains("data")) {
      for (const Json& item : value["data"]) add_element(out.type.dtype, item, out);
    } else {
      for (std::int64_t i = 0; i < count; ++i) add_element(out.type.dtype, value["fill"], out);
    }
  } else if (json.contains("const_list")) {
    const Json& list = json["const_list"];
    out.is_const = true;
    out.known = true;
    out.type.kind = TypeKind::list;
    out.type.element = std::make_shared<OwnedType>();
    out.type.element->dtype = dtype_from_name(list["dtype"].get<std::string>());
    out.type.length = static_cast<std::int64_t>(list["data"].size());
    for (const Json& item : list["data"]) add_element(out.type.element->dtype, item, out);
  } else {
    out.type = type_of(json);
  }
  return out;
}

std::optional<std::vector<Argument>> arguments_of(const Json& sides, const Scope& scope,
                                                  std::string& why) {
  std::vector<Argument> out;
  for (const char* side : {"inputs", "attrs"}) {
    if (!sides.contains(side)) continue;
    for (const auto& [key, json] : sides[side].items()) {
      Argument argument;
      argument.name = key;
      argument.is_tuple = json.is_array();
      for (const Json& item : json.is_array() ? json : Json::array({json})) {
        std::optional<OwnedValue> value = value_of(item, scope);
        if (!value) {
          why = "no value " + item.dump();
          return std::nullopt;
        }
        argument.values.push_back(std::move(*value));
      }
      out.push_back(std::move(argument));
    }
  }
  return out;
}

bool opset_of(const Json& json, Opset& opset) {
  std::string word = json.at("opset").get<std::string>();
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return opset_from_name(word, opset);
}

namespace {

/// An argument of a case by its name, run-time or constant; nullopt when it was not given.
std::optional<OwnedValue> argument_of(const Json& json, const char* name) {
  for (const char* side : {"inputs", "attrs"}) {
    if (json.contains(side) && json[side].contains(name)) return value_of(json[side][name], {});
  }
  return std::nullopt;
}

// What op_semantics lists as bugs of the reference ("do not imitate") and the recording did not
// always notice: where dims are symbols it had no documented shape to hold the recorded one
// against. Each is recognised by its situation and puts the documented type in its place.

/// crop_resize before ios17 with rois of 5 elements, which begin with the index of an image: each
/// gives one crop, so that dim 1 is 1; the reference has the batch of x there.
bool correct_crop_resize(const Json& json, Opset opset, OwnedType& result) {
  if (opset > Opset::ios16 || result.shape.size() != 5 || result.shape[1] == 1) return false;
  const std::optional<OwnedValue> roi = argument_of(json, "roi");
  const std::optional<OwnedValue> x = argument_of(json, "x");
  if (!roi || !x || roi->type.shape.size() != 5 || roi->type.shape[2] != 5) return false;
  if (x->type.shape.empty() || x->type.shape[0] != result.shape[1]) return false;
  result.shape[1] = 1;
  return true;
}

/// slice_by_index with bounds that are only known at run time: a slice of a dim of 1 may be empty;
/// the reference says 1.
bool correct_slice(const Json& json, OwnedType& result) {
  const std::optional<OwnedValue> x = argument_of(json, "x");
  if (!x) return false;
  const auto is_open = [&](const char* bound, const char* mask, std::size_t d) {
    const std::optional<OwnedValue> value = argument_of(json, bound);
    const std::optional<OwnedValue> masks = argument_of(json, mask);
    const bool masked = masks && d < masks->ints.size() && masks->ints[d] != 0;
    return value && !value->is_const && !masked;
  };
  const std::optional<OwnedValue> squeeze = argument_of(json, "squeeze_mask");
  bool changed = false;
  std::size_t at = 0;
  for (std::size_t d = 0; d < x->type.shape.size(); ++d) {
    if (squeeze && d < squeeze->ints.size() && squeeze->ints[d] != 0) continue;
    if (at == result.shape.size()) return changed;
    std::int64_t& dim = result.shape[at++];
    if (x->type.shape[d] != 1 || dim != 1) continue;
    if (!is_open("begin", "begin_mask", d) && !is_open("end", "end_mask", d)) continue;
    dim = kUnknownDim;
    changed = true;
  }
  return changed;
}

bool correct(const Json& json, Opset opset, std::vector<OwnedType>& wanted) {
  if (wanted.size() != 1) return false;
  const std::string op = json["op"].get<std::string>();
  if (op == "crop_resize") return correct_crop_resize(json, opset, wanted.front());
  return op == "slice_by_index" && correct_slice(json, wanted.front());
}

}  // namespace

std::vector<OwnedType> expected_types(const Json& json, Opset opset, bool& is_corrected) {
  std::vector<OwnedType> out;
  for (const Json& type : json.at("expect").at("outputs")) out.push_back(type_of(type));
  is_corrected = correct(json, opset, out);
  return out;
}

// --- Files. ---

namespace {

/// The whole file, or why it could not be read.
std::string read_file(const std::string& path, std::string& out) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return "it cannot be opened";
  char buffer[1 << 16];
  int n = 0;
  while ((n = gzread(file, buffer, sizeof(buffer))) > 0) {
    out.append(buffer, static_cast<std::size_t>(n));
  }
  // A gzip file that ends too early shows itself only here.
  return gzclose(file) == Z_OK && n == 0 ? "" : "it cannot be read to its end";
}

}  // namespace

std::string case_file_path(const char* variable, const char* file, bool& named) {
  const char* path = std::getenv(variable);
  named = path != nullptr;
  return named ? path : std::string(MILGEN_SOURCE_DIR "/../shared/opset/") + file;
}

CaseLines read_cases(const std::string& path, std::vector<std::string>& unreadable,
                     const std::function<void(const Json&)>& use) {
  CaseLines out;
  std::error_code ignored;
  out.is_missing = !std::filesystem::exists(path, ignored);
  std::string all;
  out.error = read_file(path, all);
  if (!out.error.empty()) return out;
  std::string_view rest = all;
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    const auto complain = [&](std::string_view why) {
      unreadable.push_back(
          fmt::format("line {} is no case ({}): {}", number, why, line.substr(0, 60)));
    };
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
      complain("no JSON object");
      continue;
    }
    try {
      use(json);
    } catch (const std::exception& fault) {
      complain(fault.what());
    }
  }
  return out;
}

}  // namespace milgen::test
