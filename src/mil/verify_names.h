// What to say of a name that stands where nothing defines it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "mil/module_data.h"
#include "mil/verify_report.h"

namespace milgen::mil {

class VerifyNames {
 public:
  VerifyNames(const ModuleData& data, VerifyReport& report) : data_(data), report_(report) {}

  /// The values of the function that is judged next.
  void enter(Id function);

  /// Reports the name: `subject` says where it stands ("conv: weight"), `place` is the name's,
  /// `block` the block that it stands in, and values from `end` on are made behind it.
  void undefined(Id name, std::string_view subject, Place place, Id block, Id end);

  /// Names that a reported mistake keeps from being used: that nothing uses them is no news.
  void excuse(Id name) { excused_.insert(name); }
  bool is_excused(Id name) const { return excused_.contains(name); }

 private:
  Id find_elsewhere(Id name);
  bool is_inside(Id block, Id outer) const;
  /// "; did you mean 'x'?"; the name that is meant is excused.
  std::string suggestion(std::string_view name, Id end);

  const ModuleData& data_;
  VerifyReport& report_;
  Id function_ = kNoId;
  Id first_value_ = 0;
  Id end_value_ = 0;
  std::size_t searches_ = 0;
  std::unordered_set<Id> excused_;
  std::vector<Id> first_of_name_;  // of the function's values; made when it is asked for
};

}  // namespace milgen::mil
