#include "mil/verify_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/text.h"

namespace milgen::mil {
namespace {

/// A spelling is looked for among the last values in front of the place, and for so many names
/// only: beyond that a text has another problem than a slip of the finger.
constexpr std::size_t kNearbyValues = 1000;
constexpr std::size_t kMostSearches = 50;

}  // namespace

void VerifyNames::enter(Id function) {
  function_ = function;
  first_value_ = data_.blocks[data_.functions[function].body].first_input;
  end_value_ = function + 1 < data_.functions.size()
                   ? data_.blocks[data_.functions[function + 1].body].first_input
                   : static_cast<Id>(data_.values.size());
  first_of_name_.clear();
  excused_.clear();
}

Id VerifyNames::find_elsewhere(Id name) {
  if (first_of_name_.empty()) {
    first_of_name_.resize(data_.names.size(), kNoId);
    for (Id value = end_value_; value-- > first_value_;) {
      first_of_name_[data_.values[value].name] = value;
    }
  }
  return first_of_name_[name];
}

bool VerifyNames::is_inside(Id block, Id outer) const {
  while (block != outer) {
    const Id op = data_.blocks[block].op;
    if (op == kNoId) return false;
    block = data_.ops[op].block;
  }
  return true;
}

std::string VerifyNames::suggestion(std::string_view name, Id end) {
  if (++searches_ > kMostSearches) return {};
  std::vector<std::string_view> candidates;
  const auto add = [&](Id value) { candidates.push_back(data_.name(data_.values[value].name)); };
  end = std::clamp(end, first_value_, end_value_);
  for (Id value = end; value-- > first_value_ && candidates.size() < kNearbyValues;) add(value);
  const BlockRecord& body = data_.blocks[data_.functions[function_].body];
  for (Id i = 0; i < body.inputs && i < kNearbyValues; ++i) add(body.first_input + i);
  excuse(data_.names.find(nearest(name, candidates)));
  return did_you_mean(name, candidates);
}

void VerifyNames::undefined(Id name, std::string_view subject, Place place, Id block, Id end) {
  if (data_.functions[function_].names_lost) return;
  const std::string_view word = data_.name(name);
  const Id elsewhere = find_elsewhere(name);
  if (elsewhere == kNoId) {
    report_.error(rule<"name.undefined">, std::move(place), [&] {
      return fmt::format("{} is '{}', which nothing defines{}", subject, word,
                         suggestion(word, end));
    });
    return;
  }
  const ValueRecord& value = data_.values[elsewhere];
  const Id made_in = value.op == kNoId ? value.block : data_.ops[value.op].block;
  Diagnostic* diagnostic =
      is_inside(block, made_in)
          ? report_.error(rule<"name.later">, std::move(place),
                          [&] {
                            return fmt::format("{} is '{}', which is made only behind it", subject,
                                               word);
                          })
          : report_.error(rule<"name.scope">, std::move(place), [&] {
              return fmt::format("{} is '{}', which is made in a block that this is outside of",
                                 subject, word);
            });
  report_.note_made(diagnostic, "value", elsewhere);
}

}  // namespace milgen::mil
