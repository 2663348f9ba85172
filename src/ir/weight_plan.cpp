// The plan of a program's inputs as text, and the names that it is written with.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string>
#include <utility>

#include "ir/builder.h"
#include "milgen/array.h"
#include "milgen/weight_modes.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen {
namespace {

constexpr std::string_view kFirstLine = "# milgen weight plan 1";
constexpr std::size_t kCells = 10;
constexpr std::string_view kColumns =
    "input\tdtype\tshape\tpart\tkind\tdtype\tshape\tlayout\tfirst column\tcolumns";
constexpr std::size_t kLargestRank = 5;  // op_semantics: Apple's compiler takes no tensor above it

constexpr std::array<std::string_view, 3> kModeNames = {"const", "param", "packed"};
constexpr std::array<std::string_view, 3> kLayoutNames = {"whole", "columns", "transposed"};
constexpr std::array<std::string_view, 2> kKindNames = {"activation", "weight"};

template <class Enum, std::size_t N>
bool find_name(const std::array<std::string_view, N>& names, std::string_view name, Enum& out) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return false;
  out = static_cast<Enum>(found - names.begin());
  return true;
}

/// "3", as a number of columns is written: no sign and no zeros in front.
bool parse_columns(std::string_view text, std::int64_t& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && out >= 0 &&
         (text.front() != '0' || text.size() == 1);
}

/// "[1, 64, 1, ?]", exactly as to_string() writes it.
bool parse_shape(std::string_view text, Shape& shape) {
  shape.clear();
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  std::string_view left = text.substr(1, text.size() - 2);
  while (!left.empty() && shape.size() <= kLargestRank) {
    const std::size_t comma = std::min(left.find(", "), left.size());
    std::int64_t dim = kUnknownDim;
    if (left.substr(0, comma) != "?" && !parse_columns(left.substr(0, comma), dim)) return false;
    shape.push_back(dim);
    left.remove_prefix(std::min(comma + 2, left.size()));
  }
  return to_string(shape) == text;
}

/// Reads a plan line by line; nothing that a line says is taken before it is held against the rest.
class PlanReader {
 public:
  PlanReader(std::string_view text, std::string_view file, Diagnostics& diagnostics)
      : left_(text), file_(file), diagnostics_(diagnostics) {}

  bool read(WeightPlan& plan) {
    if (!expect(kFirstLine) || !expect(kColumns)) return false;
    std::string_view line;
    while (next_line(line)) {
      if (!read_row(line)) return false;
    }
    if (!end_input()) return false;
    plan = std::move(plan_);
    return true;
  }

 private:
  using Cells = std::array<std::string_view, kCells>;

  bool refuse(const std::string& message) {
    diagnostics_.error(rule<"plan.format">.id(), message, Place(std::string(file_), line_));
    return false;
  }

  bool next_line(std::string_view& line) {
    if (left_.empty()) return false;
    const std::size_t end = std::min(left_.find('\n'), left_.size());
    line = left_.substr(0, end);
    left_.remove_prefix(std::min(end + 1, left_.size()));
    ++line_;
    return true;
  }

  bool expect(std::string_view wanted) {
    std::string_view line;
    if (!next_line(line)) {
      ++line_;
      return refuse(fmt::format("the text ends where '{}' belongs", wanted));
    }
    if (line == wanted) return true;
    return refuse(fmt::format("the line is '{}' but has to be '{}'", printable(line), wanted));
  }

  bool read_row(std::string_view line) {
    Cells cells;
    std::size_t count = 0;
    for (std::string_view left = line;; ++count) {
      const std::size_t tab = left.find('\t');
      if (count < kCells) cells[count] = left.substr(0, tab);
      if (tab == std::string_view::npos) break;
      left.remove_prefix(tab + 1);
    }
    ++count;
    if (count != kCells) {
      return refuse(fmt::format("the row has {} cells and not {}", count, kCells));
    }
    return read_input(cells) && read_part(cells);
  }

  bool read_tensor(std::string_view dtype_cell, std::string_view shape_cell, DType& dtype,
                   Shape& shape) {
    dtype = dtype_from_name(dtype_cell);
    if (element_bytes(dtype) == 0) {
      return refuse(fmt::format("'{}' is no dtype of an input", printable(dtype_cell)));
    }
    if (!parse_shape(shape_cell, shape) || shape.size() > kLargestRank) {
      return refuse(fmt::format("'{}' is no shape", printable(shape_cell)));
    }
    std::int64_t count = 1;
    for (const std::int64_t dim : shape) {
      const std::int64_t known = dim == kUnknownDim ? 1 : dim;
      if (dim != 0 && count <= INT64_MAX / 8 / known) {
        count *= known;
        continue;
      }
      return refuse(fmt::format("{} is no shape of an input: it has {}", shape_cell,
                                dim == 0 ? "no elements" : "more bytes than 63 bits count"));
    }
    return true;
  }

  bool read_name(std::string_view name, std::string_view what, std::set<std::string>& names) {
    if (!is_identifier(name)) {
      return refuse(fmt::format("'{}' is no name of {}", printable(name), what));
    }
    if (names.emplace(name).second) return true;
    return refuse(fmt::format("{} '{}' stands twice", what, printable(name)));
  }

  /// The first three cells: an input that begins, or the one of the row before.
  bool read_input(const Cells& cells) {
    DType dtype{};
    Shape shape;
    if (!read_tensor(cells[1], cells[2], dtype, shape)) return false;
    if (!plan_.inputs.empty() && plan_.inputs.back().name == cells[0]) {
      const PlannedInput& last = plan_.inputs.back();
      if (last.dtype == dtype && last.shape == shape) return true;
      return refuse(fmt::format("input '{}' is {} {} and, a row before, {} {}", printable(cells[0]),
                                cells[1], cells[2], dtype_name(last.dtype), to_string(last.shape)));
    }
    if (!end_input() || !read_name(cells[0], "input", input_names_)) return false;
    plan_.inputs.push_back({std::string(cells[0]), dtype, shape, {}});
    taken_columns_ = 0;
    return true;
  }

  bool read_part(const Cells& cells) {
    PlannedPart part;
    if (!read_name(cells[3], "part", part_names_)) return false;
    part.name = cells[3];
    if (!find_name(kKindNames, cells[4], part.is_weight)) {
      return refuse(fmt::format("'{}' is neither activation nor weight", printable(cells[4])));
    }
    if (!read_tensor(cells[5], cells[6], part.dtype, part.shape)) return false;
    if (!find_name(kLayoutNames, cells[7], part.layout)) {
      return refuse(fmt::format("'{}' is no layout", printable(cells[7])));
    }
    if (!parse_columns(cells[8], part.first_column) || !parse_columns(cells[9], part.columns)) {
      return refuse(
          fmt::format("'{}' and '{}' are no columns", printable(cells[8]), printable(cells[9])));
    }
    const bool fits = part.layout == PartLayout::whole ? check_whole(part) : check_columns(part);
    if (fits) plan_.inputs.back().parts.push_back(std::move(part));
    return fits;
  }

  bool check_whole(const PlannedPart& part) {
    const PlannedInput& input = plan_.inputs.back();
    if (!input.parts.empty() || part.first_column != 0 || part.columns != 0) {
      return refuse(fmt::format("part '{}' is whole and shares input '{}' or has columns",
                                part.name, input.name));
    }
    std::int64_t in_part = 0;
    std::int64_t in_input = 0;
    const bool known = element_count(part.shape, in_part) && element_count(input.shape, in_input);
    const bool same = part.is_weight ? known && in_part == in_input : part.shape == input.shape;
    if (same && part.dtype == input.dtype) return true;
    return refuse(fmt::format("part '{}' is {} {} and the whole of input '{}', {} {}", part.name,
                              dtype_name(part.dtype), to_string(part.shape), input.name,
                              dtype_name(input.dtype), to_string(input.shape)));
  }

  bool check_columns(const PlannedPart& part) {
    const PlannedInput& input = plan_.inputs.back();
    const Shape& wide = input.shape;
    std::int64_t count = 0;
    if (wide.size() != 4 || wide[0] != 1 || wide[2] != 1 || !element_count(wide, count)) {
      return refuse(
          fmt::format("part '{}' is columns of input '{}', which is {} and not "
                      "[1, C, 1, W]",
                      part.name, input.name, to_string(wide)));
    }
    // Activation first, then weights, without a gap that a part could be missing from.
    if (part.first_column != taken_columns_ || part.columns == 0 ||
        part.columns > wide[3] - taken_columns_) {
      return refuse(
          fmt::format("part '{}' has {} columns from {} on, and input '{}' has {} left "
                      "from {} on",
                      part.name, part.columns, part.first_column, input.name,
                      wide[3] - taken_columns_, taken_columns_));
    }
    const bool leads = input.parts.empty();
    const Shape own = {1, wide[1], 1, part.columns};
    if (leads == part.is_weight ||
        (leads && (!(part.shape == own) || part.layout != PartLayout::columns))) {
      return refuse(
          fmt::format("part '{}' of input '{}' is {} {}: an activation {} comes first, "
                      "then weights",
                      part.name, input.name, kKindNames[part.is_weight ? 1 : 0],
                      to_string(part.shape), to_string(own)));
    }
    const bool dtype_fits =
        part.dtype == input.dtype ||
        (part.is_weight && part.dtype == DType::fp16 && input.dtype == DType::fp32);
    if (!element_count(part.shape, count) || count / part.columns != wide[1] ||
        count % part.columns != 0 || !dtype_fits) {
      return refuse(
          fmt::format("part '{}' is {} {} and does not fill {} columns of input '{}', {} "
                      "{}",
                      part.name, dtype_name(part.dtype), to_string(part.shape), part.columns,
                      input.name, dtype_name(input.dtype), to_string(wide)));
    }
    if (!fits_layout(part, wide[1])) {
      return refuse(fmt::format("part '{}' is {}, whose layout '{}' in {} channels it contradicts",
                                part.name, to_string(part.shape), part_layout_name(part.layout),
                                wide[1]));
    }
    taken_columns_ += part.columns;
    return true;
  }

  /// Whether the rows and columns of the matrix that the shape is, dims of 1 aside, are where the
  /// layout puts them. One that is a vector lies the same way in both.
  static bool fits_layout(const PlannedPart& part, std::int64_t channels) {
    std::vector<std::int64_t> dims;
    for (const std::int64_t dim : part.shape) {
      if (dim != 1) dims.push_back(dim);
    }
    if (dims.size() < 2) return true;
    const std::size_t in_channels = part.layout == PartLayout::transposed ? 1 : 0;
    return dims.size() == 2 && dims[in_channels] == channels &&
           dims[1 - in_channels] == part.columns;
  }

  /// What can be said of an input only once its last row has been read.
  bool end_input() {
    if (plan_.inputs.empty()) return true;
    const PlannedInput& input = plan_.inputs.back();
    if (input.parts.front().layout == PartLayout::whole || taken_columns_ == input.shape[3]) {
      return true;
    }
    return refuse(fmt::format("input '{}' has {} columns and its parts {}", input.name,
                              input.shape[3], taken_columns_));
  }

  std::string_view left_;
  std::string_view file_;
  Diagnostics& diagnostics_;
  WeightPlan plan_;
  std::set<std::string> input_names_;
  std::set<std::string> part_names_;
  std::int64_t taken_columns_ = 0;
  std::uint32_t line_ = 0;
};

}  // namespace

std::string_view weights_as_name(WeightsAs as) { return kModeNames[static_cast<std::size_t>(as)]; }

bool weights_as_from_name(std::string_view name, WeightsAs& as) {
  return find_name(kModeNames, name, as);
}

std::string_view part_layout_name(PartLayout layout) {
  return kLayoutNames[static_cast<std::size_t>(layout)];
}

bool WeightPlan::has_weights() const {
  return std::ranges::any_of(inputs, [](const PlannedInput& input) {
    return std::ranges::any_of(input.parts, &PlannedPart::is_weight);
  });
}

std::int64_t WeightPlan::widest_packed() const {
  std::int64_t widest = 0;
  for (const PlannedInput& input : inputs) {
    if (input.parts.size() > 1) widest = std::max(widest, input.shape[3]);
  }
  return widest;
}

std::string plan_text(const WeightPlan& plan) {
  std::string out = fmt::format("{}\n{}\n", kFirstLine, kColumns);
  for (const PlannedInput& input : plan.inputs) {
    for (const PlannedPart& part : input.parts) {
      out += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", input.name,
                         dtype_name(input.dtype), to_string(input.shape), part.name,
                         kKindNames[part.is_weight ? 1 : 0], dtype_name(part.dtype),
                         to_string(part.shape), part_layout_name(part.layout), part.first_column,
                         part.columns);
    }
  }
  return out;
}

bool read_plan(std::string_view text, std::string_view file, WeightPlan& plan,
               Diagnostics& diagnostics) {
  return PlanReader(text, file, diagnostics).read(plan);
}

}  // namespace milgen
