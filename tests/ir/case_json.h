// Recorded cases (op_semantics describes the files) as plain data.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ir/infer_cases.h"
#include "milgen/op_info.h"

namespace milgen::test {

using Json = nlohmann::json;
/// The values that a program of a case has by name.
using Scope = std::map<std::string, OwnedValue>;

OwnedType type_of(const Json& json);
/// A value of a case; nullopt for the name of a value that is not there.
std::optional<OwnedValue> value_of(const Json& json, const Scope& scope);
/// What `inputs` and `attrs` give an op; nullopt, and `why`, when a value is not there.
std::optional<std::vector<Argument>> arguments_of(const Json& sides, const Scope& scope,
                                                  std::string& why);
/// The opset of a case, which is spelled iOS15; false when there is none such.
bool opset_of(const Json& json, Opset& opset);
/// The types that a valid case expects. `is_corrected` tells that the recorded one is what
/// op_semantics lists as a bug of the reference, and the documented one stands in its place.
std::vector<OwnedType> expected_types(const Json& json, Opset opset, bool& is_corrected);

/// How reading a file of cases went.
struct CaseLines {
  /// Why the file could not be read to its end; empty when it could. `is_missing` tells a file that
  /// is not there.
  std::string error;
  bool is_missing = false;
};
/// Gives every line of a file, plain or gzipped, to `use`, which may throw at what is no case. Such
/// lines, and why they are none, go to `unreadable`.
CaseLines read_cases(const std::string& path, std::vector<std::string>& unreadable,
                     const std::function<void(const Json&)>& use);
/// What the variable of the environment says, or the place of `file` beside the repository. `named`
/// says which of the two.
std::string case_file_path(const char* variable, const char* file, bool& named);

}  // namespace milgen::test
