#include "cli/array_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "cli/parse_text.h"
#include "support/printable.h"
#include "support/tensor_text.h"

namespace milgen::cli {
namespace {

/// Six digits: enough to know a value by, few enough for a table.
std::string number_text(double value) { return fmt::format("{:.6g}", value); }

/// With as many digits as tell it from its neighbours.
std::string real_text(DType dtype, double value) {
  switch (dtype) {
    case DType::fp16:
      return fmt::format("{:.5g}", value);
    case DType::bf16:
      return fmt::format("{:.4g}", value);
    case DType::fp32:
      return fmt::format("{}", static_cast<float>(value));
    default:
      return fmt::format("{}", value);
  }
}

std::string element_text(const Array& array, std::int64_t index) {
  if (array.dtype() == DType::string) {
    return fmt::format("'{}'", printable(array.strings()[static_cast<std::size_t>(index)], 40));
  }
  if (array.dtype() == DType::boolean) return array.integer(index) != 0 ? "true" : "false";
  if (array.dtype() == DType::uint64) {
    return std::to_string(std::bit_cast<std::uint64_t>(array.integer(index)));
  }
  if (is_integer(array.dtype())) return std::to_string(array.integer(index));
  return real_text(array.dtype(), array.real(index));
}

/// The bits of an element as a number that grows with the value, so that neighbours differ by 1.
std::uint64_t ordinal(const Array& array, std::int64_t index) {
  if (!is_float(array.dtype())) return std::bit_cast<std::uint64_t>(array.integer(index));
  const std::size_t size = element_bytes(array.dtype());
  std::uint64_t bits = 0;
  for (std::size_t i = size; i-- > 0;) {
    bits = bits << 8 | std::to_integer<std::uint64_t>(
                           array.bytes()[static_cast<std::size_t>(index) * size + i]);
  }
  const std::uint64_t sign = std::uint64_t{1} << (8 * size - 1);
  return (bits & sign) != 0 ? sign - (bits & ~sign) : sign + bits;
}

/// One pair of arrays of the same dtype and shape.
class Comparer {
 public:
  Comparer(const Array& here, const Array& there, const Tolerance& tolerance,
           ArrayDifference& result)
      : here_(here), there_(there), result_(result) {
    const double epsilon = epsilon_of(there.dtype());
    // In epsilons of what has none nothing but equality is near.
    limit_ = tolerance.in_epsilons ? tolerance.value * epsilon : tolerance.value;
  }

  void run() {
    if (here_.bytes().size() == there_.bytes().size() && !here_.bytes().empty() &&
        std::memcmp(here_.bytes().data(), there_.bytes().data(), here_.bytes().size()) == 0) {
      return;
    }
    scale_ = root_mean_square();
    for (std::int64_t i = 0; i < there_.size(); ++i) look(i);
    if (result_.worst < 0) return;
    result_.here = element_text(here_, result_.worst);
    result_.there = element_text(there_, result_.worst);
    result_.ulps = distance(result_.worst);
  }

 private:
  double root_mean_square() const {
    double sum = 0;
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < there_.size(); ++i) {
      const double value = there_.real(i);
      if (!std::isfinite(value)) continue;
      sum += value * value;
      ++count;
    }
    return count == 0 ? 0 : std::sqrt(sum / static_cast<double>(count));
  }

  bool equal(std::int64_t index, double a, double b) const {
    if (there_.dtype() == DType::string) {
      const auto at = static_cast<std::size_t>(index);
      return here_.strings()[at] == there_.strings()[at];
    }
    // Large integers may be the same double without being equal.
    if (!is_float(there_.dtype())) return here_.integer(index) == there_.integer(index);
    return a == b || (std::isnan(a) && std::isnan(b));
  }

  void look(std::int64_t index) {
    const double a = here_.real(index);
    const double b = there_.real(index);
    if (equal(index, a, b)) return;
    ++result_.different;
    // Neighbours among large integers are the same double.
    const bool is_whole = is_integer(there_.dtype());
    double absolute = is_whole ? static_cast<double>(distance(index)) : std::fabs(a - b);
    if (!std::isfinite(absolute)) absolute = std::numeric_limits<double>::infinity();
    const double size = std::isfinite(b) ? std::max(std::fabs(b), scale_) : scale_;
    const double relative = size > 0 ? absolute / size : std::numeric_limits<double>::infinity();
    if (!(relative <= limit_)) ++result_.beyond;
    if (result_.worst >= 0 && relative <= result_.relative) return;
    result_.worst = index;
    result_.absolute = absolute;
    result_.relative = relative;
  }

  std::uint64_t distance(std::int64_t index) const {
    if (there_.dtype() == DType::string) return 0;
    const std::uint64_t a = ordinal(here_, index);
    const std::uint64_t b = ordinal(there_, index);
    if (is_float(there_.dtype()) || there_.dtype() == DType::uint64) return a > b ? a - b : b - a;
    const bool less = std::bit_cast<std::int64_t>(a) < std::bit_cast<std::int64_t>(b);
    return less ? b - a : a - b;
  }

  const Array& here_;
  const Array& there_;
  ArrayDifference& result_;
  double limit_ = 0;
  double scale_ = 0;
};

ArrayDifference compare_one(const NamedArray& here, const NamedArray& there,
                            const Tolerance& tolerance) {
  ArrayDifference result{.name = there.name};
  result.dtype = there.array.dtype();
  result.shape = there.array.shape();
  if (here.array.dtype() != there.array.dtype() || !(here.array.shape() == there.array.shape())) {
    result.mismatch =
        fmt::format("{} here, {} there", tensor_text(here.array.dtype(), here.array.shape()),
                    tensor_text(there.array.dtype(), there.array.shape()));
    return result;
  }
  Comparer(here.array, there.array, tolerance, result).run();
  return result;
}

/// JSON has no infinity: null is one, or a value that there is none of.
Json number_json(double value, bool is_there = true) {
  return is_there && std::isfinite(value) ? Json(value) : Json();
}

/// A number of an integer dtype, which a double may have rounded up to 2^63 or 2^64.
Json whole_json(double value) {
  return std::fabs(value) < 0x1p63 ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

Json element_json(const Array& array, std::int64_t index) {
  if (array.dtype() == DType::string) return array.strings()[static_cast<std::size_t>(index)];
  if (array.dtype() == DType::boolean) return array.integer(index) != 0;
  if (array.dtype() == DType::uint64) return std::bit_cast<std::uint64_t>(array.integer(index));
  if (is_integer(array.dtype())) return array.integer(index);
  return number_json(array.real(index));
}

std::int64_t shown_count(const Array& array, std::uint64_t limit) {
  return static_cast<std::int64_t>(std::min(limit, static_cast<std::uint64_t>(array.size())));
}

void put_type(Json& out, std::string_view name, DType dtype, const Shape& shape) {
  out["name"] = name;
  out["dtype"] = dtype_name(dtype);
  out["shape"] = to_json(shape);
}

}  // namespace

double epsilon_of(DType dtype) {
  switch (dtype) {
    case DType::fp16:
      return 0x1p-10;
    case DType::bf16:
      return 0x1p-7;
    case DType::fp32:
      return 0x1p-23;
    case DType::fp64:
      return 0x1p-52;
    case DType::fp8e4m3fn:
      return 0x1p-3;
    case DType::fp8e5m2:
      return 0x1p-2;
    default:
      return 0;
  }
}

std::vector<NamedArray> flat_arrays(std::span<const NamedArray> arrays) {
  std::vector<NamedArray> out;
  for (const NamedArray& named : arrays) {
    for (std::size_t i = 0; i < named.elements.size(); ++i) {
      if (!named.elements[i]) continue;  // never written
      out.push_back({fmt::format("{}.{}", named.name, i), named.elements[i]});
    }
    if (named.array) out.push_back({named.name, named.array});
    if (named.keys) out.push_back({named.name + ".keys", named.keys});
  }
  return out;
}

ArrayStats stats_of(const Array& array) {
  ArrayStats stats;
  if (array.dtype() == DType::string) return stats;
  double sum = 0;
  stats.min = std::numeric_limits<double>::infinity();
  stats.max = -stats.min;
  for (std::int64_t i = 0; i < array.size(); ++i) {
    const double value = array.real(i);
    if (std::isnan(value)) {
      ++stats.nans;
      continue;
    }
    ++stats.numbers;
    stats.min = std::min(stats.min, value);
    stats.max = std::max(stats.max, value);
    if (std::isinf(value)) {
      ++stats.infinities;
    } else {
      ++stats.finite;
      sum += value;
    }
  }
  if (stats.numbers == 0) stats.min = stats.max = 0;
  if (stats.finite != 0) stats.mean = sum / static_cast<double>(stats.finite);
  return stats;
}

Table stats_table(std::span<const NamedArray> arrays) {
  Table table;
  table.row({"output", "dtype", "shape", "min", "max", "mean", "nan", "inf"});
  table.right_align({3, 4, 5, 6, 7});
  for (const NamedArray& named : arrays) {
    const ArrayStats stats = stats_of(named.array);
    const bool any = stats.numbers != 0;
    const bool numeric = named.array.dtype() != DType::string;
    table.row({named.name, std::string(dtype_name(named.array.dtype())),
               to_string(named.array.shape()), any ? number_text(stats.min) : "-",
               any ? number_text(stats.max) : "-",
               stats.finite != 0 ? number_text(stats.mean) : "-",
               numeric ? grouped(static_cast<std::uint64_t>(stats.nans)) : "-",
               numeric ? grouped(static_cast<std::uint64_t>(stats.infinities)) : "-"});
  }
  return table;
}

Json stats_json(std::span<const NamedArray> arrays, std::uint64_t values) {
  Json out = Json::array();
  for (const NamedArray& named : arrays) {
    const ArrayStats stats = stats_of(named.array);
    Json entry;
    put_type(entry, named.name, named.array.dtype(), named.array.shape());
    const bool any = stats.numbers != 0;
    const bool whole = !is_float(named.array.dtype());
    entry["min"] = any && whole ? whole_json(stats.min) : number_json(stats.min, any);
    entry["max"] = any && whole ? whole_json(stats.max) : number_json(stats.max, any);
    entry["mean"] = number_json(stats.mean, stats.finite != 0);
    entry["nan"] = stats.nans;
    entry["inf"] = stats.infinities;
    if (values != 0) {
      entry["values"] = Json::array();
      for (std::int64_t i = 0; i < shown_count(named.array, values); ++i) {
        entry["values"].push_back(element_json(named.array, i));
      }
    }
    out.push_back(std::move(entry));
  }
  return out;
}

std::string first_values(std::span<const NamedArray> arrays, std::uint64_t limit) {
  std::string out;
  for (const NamedArray& named : arrays) {
    const std::int64_t count = shown_count(named.array, limit);
    out += named.name + ":";
    for (std::int64_t i = 0; i < count; ++i) {
      out += fmt::format("{} {}", i == 0 ? "" : ",", element_text(named.array, i));
    }
    out += count < named.array.size() ? ", ...\n" : "\n";
  }
  return out;
}

std::string index_text(const Shape& shape, std::int64_t index) {
  Shape at(shape.size(), 0);
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) break;
    at[i] = index % shape[i];
    index /= shape[i];
  }
  return to_string(at);
}

std::string Tolerance::text() const { return fmt::format("{}{}", value, in_epsilons ? "eps" : ""); }

bool parse_tolerance(std::string_view text, Tolerance& tolerance) {
  tolerance.in_epsilons = text.ends_with("eps");
  if (tolerance.in_epsilons) text.remove_suffix(3);
  return parse_number(text, tolerance.value) && std::isfinite(tolerance.value) &&
         tolerance.value >= 0;
}

double ArrayDifference::epsilons() const {
  const double epsilon = epsilon_of(dtype);
  return epsilon > 0 ? relative / epsilon : 0;
}

std::vector<ArrayDifference> compare_arrays(std::span<const NamedArray> here,
                                            std::span<const NamedArray> there,
                                            const Tolerance& tolerance) {
  std::vector<ArrayDifference> out;
  const std::vector<NamedArray> flat_here = flat_arrays(here);
  const std::vector<NamedArray> flat_there = flat_arrays(there);
  std::map<std::string_view, const NamedArray*> others;
  for (const NamedArray& other : flat_there) others.emplace(other.name, &other);
  for (const NamedArray& one : flat_here) {
    const auto found = others.find(one.name);
    if (found == others.end()) {
      out.push_back({.name = one.name, .mismatch = "not there"});
      continue;
    }
    out.push_back(compare_one(one, *found->second, tolerance));
    others.erase(found);
  }
  for (const auto& [name, other] : others) {
    out.push_back({.name = std::string(name), .mismatch = "not here"});
  }
  return out;
}

Table difference_table(std::span<const ArrayDifference> differences) {
  Table table;
  table.row({"output", "type", "differ", "beyond", "worst at", "here", "there", "absolute",
             "relative", "ulps", "eps"});
  table.right_align({2, 3, 5, 6, 7, 8, 9, 10});
  for (const ArrayDifference& one : differences) {
    if (!one.mismatch.empty()) {
      table.row({one.name, one.mismatch});
      continue;
    }
    const bool any = one.worst >= 0;
    const auto cell = [&](std::string text) { return any ? std::move(text) : std::string("-"); };
    table.row({one.name, tensor_text(one.dtype, one.shape),
               grouped(static_cast<std::uint64_t>(one.different)),
               grouped(static_cast<std::uint64_t>(one.beyond)),
               cell(index_text(one.shape, one.worst)), cell(one.here), cell(one.there),
               cell(fmt::format("{:.3g}", one.absolute)), cell(fmt::format("{:.3g}", one.relative)),
               cell(grouped(one.ulps)), cell(fmt::format("{:.3g}", one.epsilons()))});
  }
  return table;
}

Json difference_json(std::span<const ArrayDifference> differences) {
  Json out = Json::array();
  for (const ArrayDifference& one : differences) {
    Json entry;
    if (!one.mismatch.empty()) {
      entry["name"] = one.name;
      entry["holds"] = false;
      entry["mismatch"] = one.mismatch;
      out.push_back(std::move(entry));
      continue;
    }
    put_type(entry, one.name, one.dtype, one.shape);
    entry["holds"] = one.holds();
    entry["different"] = one.different;
    entry["beyond"] = one.beyond;
    if (one.worst >= 0) {
      Json worst;
      worst["index"] = one.worst;
      worst["here"] = one.here;
      worst["there"] = one.there;
      worst["absolute"] = number_json(one.absolute);
      worst["relative"] = number_json(one.relative);
      worst["ulps"] = one.ulps;
      worst["epsilons"] = number_json(one.epsilons());
      entry["worst"] = std::move(worst);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace milgen::cli
