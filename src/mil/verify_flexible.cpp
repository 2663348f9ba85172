#include "mil/verify_flexible.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "mil/literal.h"
#include "support/printable.h"
#include "support/text.h"

namespace milgen::mil {
namespace {

constexpr std::string_view kAttribute = "FlexibleShapeInformation";
constexpr std::string_view kDefaultShapes = "\"DefaultShapes\"";
constexpr std::string_view kRangeDims = "\"RangeDims\"";

/// Goes through the tokens of the attribute. Whatever its tuples and dictionaries are called, a
/// string with a list behind it is an input with its dims, or with a range for each of them; a
/// string with something else behind it is the name of a table or of an enumerated shape.
class FlexibleShapes {
 public:
  FlexibleShapes(const ModuleData& data, const FunctionRecord& function, VerifyReport& report)
      : data_(data), function_(function), report_(report) {
    const BlockRecord& body = data.blocks[function.body];
    for (Id i = 0; i < body.inputs; ++i) {
      names_.push_back(data.name(data.values[body.first_input + i].name));
    }
    listed_.resize(names_.size());
    defaults_.resize(names_.size());
    ranges_of_.resize(names_.size());
  }

  void verify(const LiteralRecord& literal) {
    LiteralTokens tokens(literal.text);
    std::string_view table;
    std::string_view input;
    std::size_t depth = 0;
    for (Token token = tokens.next(); token.kind != TokenKind::end; token = tokens.next()) {
      if (token.kind == TokenKind::open && token.text == "[") {
        if (depth++ == 0)
          begin_list();
        else if (depth == 2)
          begin_range(token.text);
      } else if (token.kind == TokenKind::close && token.text == "]") {
        if (depth == 2) end_range(token.text);
        if (depth != 0 && --depth == 0) end_list(table, input);
      } else if (token.kind == TokenKind::whole && depth == 1) {
        add_dim(token.text);
      } else if (token.kind == TokenKind::whole && depth == 2) {
        ranges_.back().bounds.push_back(number(token.text));
      } else if (token.kind == TokenKind::string && depth == 0) {
        if (is_table(token.text)) table = token.text;
        input = token.text;
      }
    }
    report_missing(&literal);
    for (std::size_t i = 0; i < names_.size(); ++i) report_ranges(i);
  }

  /// Reports inputs with unknown dims that are not listed; `literal` is the attribute's value, null
  /// where there is no such attribute, of which the first input is told.
  void report_missing(const LiteralRecord* literal) {
    const BlockRecord& body = data_.blocks[function_.body];
    for (Id i = 0; i < body.inputs; ++i) {
      const Id value = body.first_input + i;
      const TypeRecord& type = data_.types[data_.values[value].type];
      if (listed_[i] || std::ranges::all_of(data_.types.shape(type), known)) continue;
      Diagnostic* diagnostic = report_.warning(
          rule<"flexible.missing">, [&] { return data_.place_of_value(value); },
          [&] {
            return literal == nullptr
                       ? fmt::format(
                             "input '{}' is {} but func {} has no {}, which says what its "
                             "dims may be",
                             names_[i], printable(type.text), data_.name(function_.name),
                             kAttribute)
                       : fmt::format("input '{}' is {} but {} says nothing of it", names_[i],
                                     printable(type.text), kAttribute);
          });
      if (literal == nullptr) return;
      if (diagnostic != nullptr) {
        diagnostic->notes.push_back({"it is written here", data_.place(literal->at)});
      }
    }
  }

 private:
  static bool is_table(std::string_view quoted) {
    return quoted == kDefaultShapes || quoted == kRangeDims || quoted == "\"EnumeratedShapes\"";
  }

  /// What a dim may be: the least and the largest, which is negative where there is none.
  struct Range {
    std::string_view text;
    std::vector<std::int64_t> bounds;
  };

  static std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  void begin_list() {
    dims_ = 0;
    shape_.clear();
    ranges_.clear();
  }
  void add_dim(std::string_view text) {
    shape_.push_back(number(text));
    ++dims_;
  }
  void begin_range(std::string_view bracket) {
    ranges_.push_back({bracket, {}});
    ++dims_;
  }
  void end_range(std::string_view bracket) {
    std::string_view& text = ranges_.back().text;
    text = {text.data(), static_cast<std::size_t>(bracket.data() + 1 - text.data())};
  }

  void end_list(std::string_view table, std::string_view quoted) {
    if (quoted.size() < 2) return;
    const std::string_view name = quoted.substr(1, quoted.size() - 2);
    const auto place = [&] { return place_of_text(data_, quoted); };
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) {
      report_.warning(rule<"flexible.input">, place, [&] {
        return fmt::format("{} names '{}', which is no input of func {}{}", kAttribute,
                           printable(name), data_.name(function_.name), did_you_mean(name, names_));
      });
      return;
    }
    const auto index = static_cast<Id>(found - names_.begin());
    listed_[index] = true;
    const Id value = data_.blocks[function_.body].first_input + index;
    const TypeRecord& type = data_.types[data_.values[value].type];
    const std::span<const std::int64_t> dims = data_.types.shape(type);
    if (dims_ != dims.size()) {
      Diagnostic* diagnostic = report_.warning(rule<"flexible.rank">, place, [&] {
        return fmt::format("{} has {} dim{} for '{}', which is {}", table, dims_,
                           dims_ == 1 ? "" : "s", name, printable(type.text));
      });
      report_.note_made(diagnostic, "input", value);
      return;
    }
    if (table == kDefaultShapes) defaults_[index] = shape_;
    if (table == kRangeDims) ranges_of_[index] = ranges_;
    if (std::ranges::equal(shape_, dims, compatible) || shape_.size() != dims.size()) return;
    Diagnostic* diagnostic = report_.warning(rule<"flexible.dim">, place, [&] {
      return fmt::format("{} has shape {} for '{}', which is {}", table, shape_text(shape_), name,
                         printable(type.text));
    });
    report_.note_made(diagnostic, "input", value);
  }

  void report_ranges(std::size_t input) {
    const std::span<const std::int64_t> defaults = defaults_[input];
    for (std::size_t dim = 0; dim < ranges_of_[input].size(); ++dim) {
      const Range& range = ranges_of_[input][dim];
      if (range.bounds.size() != 2) continue;
      const std::int64_t least = range.bounds[0];
      const std::int64_t largest = range.bounds[1];
      const auto place = [&] { return place_of_text(data_, range.text); };
      if (largest >= 0 && largest < least) {
        report_.warning(rule<"flexible.range">, place, [&] {
          return fmt::format("the range of dim {} of '{}' goes from {} to {}, so it holds nothing",
                             dim, names_[input], least, largest);
        });
      } else if (dim < defaults.size() &&
                 (defaults[dim] < least || (largest >= 0 && defaults[dim] > largest))) {
        report_.warning(rule<"flexible.range">, place, [&] {
          return fmt::format(
              "the range of dim {} of '{}' goes from {} to {}, but its default is {}", dim,
              names_[input], least, largest < 0 ? "any number" : std::to_string(largest),
              defaults[dim]);
        });
      }
    }
  }

  const ModuleData& data_;
  const FunctionRecord& function_;
  VerifyReport& report_;
  std::vector<std::string_view> names_;
  std::vector<bool> listed_;
  std::size_t dims_ = 0;
  std::vector<std::int64_t> shape_;
  std::vector<Range> ranges_;
  std::vector<std::vector<std::int64_t>> defaults_;  // by input
  std::vector<std::vector<Range>> ranges_of_;        // by input
};

}  // namespace

void verify_flexible_shapes(const ModuleData& data, const FunctionRecord& function,
                            VerifyReport& report) {
  for (Id i = 0; i < function.attributes; ++i) {
    const AttributeRecord& attribute = data.attributes[function.first_attribute + i];
    if (data.name(attribute.name) != kAttribute) continue;
    FlexibleShapes(data, function, report).verify(data.literals[attribute.literal]);
    return;
  }
  if (!function.names_lost) FlexibleShapes(data, function, report).report_missing(nullptr);
}

}  // namespace milgen::mil
