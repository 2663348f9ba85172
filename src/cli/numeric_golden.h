// Numeric goldens: what a kernel computes, found without milgen, and how near a backend comes.
// golden/README.md, "Numeric goldens", describes the files.
//
// Errors are in epsilons: |got - want| / (epsilon * max(|want|, scale)), where epsilon is the
// spacing of the dtype at 1 (1 for bool and integers) and the scale that of the part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/golden_header.h"
#include "milgen/array.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

/// Channels of an output that belong together, one behind the other on axis 1.
struct NumericPart {
  std::string name;
  std::int64_t channels = 0;
  double scale = 0;              ///< root mean square of the true values, above 0
  double truth_tolerance = 0;    ///< against what is true, in epsilons
  double rounded_tolerance = 0;  ///< against what rounding after each op gives
  double mean_tolerance = 0;     ///< of a channel's mean against the true one
};

struct NumericSample {
  std::int64_t index = 0;  ///< of the element, row-major
  double truth = 0;
  double rounded = 0;  ///< a value of the output's dtype
};

struct NumericGoldenOutput {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  std::vector<NumericPart> parts;      ///< their channels add up to those of the output
  std::vector<NumericSample> samples;  ///< in increasing index order
  /// The true sum of every channel. The channels are the dim of axis 1; an output of a lower rank
  /// has one.
  std::vector<double> sums;
};

struct NumericGolden : GoldenHeader {
  std::uint64_t weight_seed = 0;
  std::uint64_t input_seed = 0;
  std::string origin;  ///< what computed the values
  std::vector<NumericGoldenOutput> outputs;
};

/// Reads a numeric golden; `file` is for messages. Reports `golden.format`, once.
bool parse_numeric_golden(std::string_view text, const std::string& file, NumericGolden& out,
                          Diagnostics& diagnostics);

/// The value that uses up most of its tolerance.
struct NumericWorst {
  std::int64_t index = -1;  ///< of an element, or of a channel; -1 where nothing was compared
  std::size_t part = 0;
  double got = 0;
  double want = 0;
  double error = 0;  ///< in epsilons; infinite where one is no finite number and they differ
  double tolerance = 0;

  bool holds() const { return error <= tolerance; }
};

/// Takes `one` over where it uses up more of its tolerance than `worst`.
void keep_worse(NumericWorst& worst, const NumericWorst& one);

struct NumericVerdict {
  /// The array has another dtype or shape; nothing else was compared then.
  bool mismatch = false;
  NumericWorst truth;
  NumericWorst rounded;
  NumericWorst mean;      ///< of channels; index is the channel
  std::size_t equal = 0;  ///< samples that are `rounded` to the bit, the sign of zero aside

  bool near_truth() const { return !mismatch && truth.holds() && mean.holds(); }
  /// What the exact mode has to keep.
  bool near_rounded() const { return near_truth() && rounded.holds(); }
};

NumericVerdict compare_numeric(const NumericGoldenOutput& golden, const Array& array);

/// Whether a backend is held against `truth` alone or, where it rounds after each op, also against
/// `rounded`.
enum class NumericTarget : std::uint8_t { truth, rounded };

/// Reports `golden.numeric` for each bound that `verdict`, which compare_numeric() made of these
/// two, is beyond; true when there is none.
bool report_numeric(const NumericGoldenOutput& golden, const Array& array,
                    const NumericVerdict& verdict, NumericTarget target, const std::string& file,
                    Diagnostics& diagnostics);

}  // namespace milgen::cli
