// What arrays hold and how far two of them are from each other, as tables and as JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/format.h"
#include "cli/json.h"
#include "milgen/array.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

/// Values without what only programs have: the elements of a list as NAME.0, NAME.1 ..., the keys
/// of a dictionary as NAME.keys. Values are shared.
std::vector<NamedArray> flat_arrays(std::span<const NamedArray> arrays);

struct ArrayStats {
  double min = 0;   ///< of what is a number; 0 where `numbers` is 0
  double max = 0;   ///< likewise
  double mean = 0;  ///< of what is finite, added in row-major order in double precision
  std::int64_t numbers = 0;
  std::int64_t finite = 0;
  std::int64_t nans = 0;
  std::int64_t infinities = 0;
};
ArrayStats stats_of(const Array& array);

/// One row each: name, dtype, shape, min, max, mean, NaN, inf.
Table stats_table(std::span<const NamedArray> arrays);
/// The same with the first `values` values of each.
Json stats_json(std::span<const NamedArray> arrays, std::uint64_t values);
/// A line each with the first `limit` values in row-major order.
std::string first_values(std::span<const NamedArray> arrays, std::uint64_t limit);

/// The spacing of the dtype's values at 1; 0 for what is no float.
double epsilon_of(DType dtype);

/// Where a row-major index is: "[0, 5]".
std::string index_text(const Shape& shape, std::int64_t index);

/// How far two values may be from each other. The error of a value is
/// |here - there| / max(|there|, root mean square of all finite values there): the second is there
/// because a sum that cancels has the error of what it added, not of what is left.
struct Tolerance {
  double value = 0;
  bool in_epsilons = false;  ///< of the dtype, the spacing of its values at 1; integers are equal
  std::string text() const;
};
/// "4eps" or "1e-3".
bool parse_tolerance(std::string_view text, Tolerance& tolerance);

/// What comparing one output found.
struct ArrayDifference {
  std::string name;
  /// Why nothing was compared: one side has no such output, or another type; empty else.
  std::string mismatch = {};
  DType dtype = DType::none;
  Shape shape = {};
  std::int64_t different = 0;  ///< elements that are not the same value
  std::int64_t beyond = 0;     ///< elements beyond the tolerance
  /// The element with the largest error; -1 where none differs.
  std::int64_t worst = -1;
  std::string here = {};  ///< its values
  std::string there = {};
  double absolute = 0;
  double relative = 0;     ///< the error, infinite where one side is not finite
  std::uint64_t ulps = 0;  ///< values of the dtype from one to the other; 0 for strings

  bool holds() const { return mismatch.empty() && beyond == 0; }
  double epsilons() const;  ///< the error in epsilons; 0 for what has none
};

/// NaNs equal each other, as do the two zeros. `there` is what `here` is held against.
std::vector<ArrayDifference> compare_arrays(std::span<const NamedArray> here,
                                            std::span<const NamedArray> there,
                                            const Tolerance& tolerance);

Table difference_table(std::span<const ArrayDifference> differences);
Json difference_json(std::span<const ArrayDifference> differences);

}  // namespace milgen::cli
