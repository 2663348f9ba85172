#include "cli/numeric_golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cli/array_report.h"
#include "cli/parse_text.h"
#include "cli/text_diff.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kFirstLine = "# milgen numeric golden 1";

std::int64_t channels_of(const Shape& shape) { return shape.size() < 2 ? 1 : shape[1]; }

bool is_finite_from(double value, double least) { return std::isfinite(value) && value >= least; }

/// Cuts the first word off.
std::string_view take_word(std::string_view& text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(std::min(space + 1, text.size()));
  return word;
}

template <class T>
bool take_number(std::string_view& text, T& out) {
  return parse_number(take_word(text), out);
}

class NumericParser {
 public:
  NumericParser(const std::string& file, NumericGolden& golden, Diagnostics& diagnostics)
      : file_(file), golden_(golden), diagnostics_(diagnostics) {}

  bool parse(std::string_view text) {
    const std::vector<std::string_view> lines = split_lines(text);
    line_ = 1;
    if (lines.empty() || lines.front() != kFirstLine) {
      return refuse(fmt::format("the first line is not '{}'", kFirstLine));
    }
    for (const std::string_view line : std::span(lines).subspan(1)) {
      ++line_;
      if (!(line.starts_with("# ") ? header_line(line.substr(2)) : value_line(line))) return false;
    }
    if (golden_.kernel.empty()) return refuse("no line says which kernel this is");
    if (golden_.outputs.empty()) return refuse("no output stands here");
    return finish_output();
  }

 private:
  bool refuse(std::string message) {
    diagnostics_.error(rule<"golden.format">.id(), std::move(message), Place(file_, line_, 1));
    return false;
  }

  bool refuse_value(std::string_view key, std::string_view value) {
    return refuse(fmt::format("'{}' cannot be '{}'", key, value));
  }

  bool refuse_key(std::string_view key) {
    return refuse(fmt::format("'{}' is no line of a numeric golden", key));
  }

  bool header_line(std::string_view line) {
    const std::string_view key = take_word(line);
    bool good = true;
    if (read_header_line(key, line, golden_, good)) {
      // Which kernel it is.
    } else if (key == "weight-seed") {
      good = parse_number(line, golden_.weight_seed);
    } else if (key == "input-seed") {
      good = parse_number(line, golden_.input_seed);
    } else if (key == "origin") {
      golden_.origin = line;
    } else {
      return refuse_key(key);
    }
    return good || refuse_value(key, line);
  }

  bool value_line(std::string_view line) {
    const std::string_view key = take_word(line);
    if (key == "output") return output_line(line);
    if (key != "part" && key != "at" && key != "sums") return refuse_key(key);
    if (golden_.outputs.empty()) {
      return refuse(fmt::format("'{}' stands in front of every 'output'", key));
    }
    NumericGoldenOutput& output = golden_.outputs.back();
    if (key == "part") return part_line(output, line);
    return key == "at" ? sample_line(output, line) : sums_line(output, line);
  }

  bool output_line(std::string_view line) {
    if (!golden_.outputs.empty() && !finish_output()) return false;
    const std::string_view value = line;
    NumericGoldenOutput output;
    output.name = take_word(line);
    output.dtype = dtype_from_name(take_word(line));
    if (output.dtype == DType::none || output.dtype == DType::string ||
        !parse_shape(line, output.shape) || !element_count(output.shape, elements_) ||
        elements_ == 0) {
      return refuse_value("output", value);
    }
    part_channels_ = 0;
    one_ = Array(output.dtype, {});
    golden_.outputs.push_back(std::move(output));
    return true;
  }

  bool part_line(NumericGoldenOutput& output, std::string_view line) {
    const std::string_view value = line;
    NumericPart part;
    part.name = take_word(line);
    const bool good =
        take_number(line, part.channels) && take_number(line, part.scale) &&
        take_number(line, part.truth_tolerance) && take_number(line, part.rounded_tolerance) &&
        parse_number(line, part.mean_tolerance) &&
        is_finite_from(part.scale, std::numeric_limits<double>::min()) &&
        is_finite_from(part.truth_tolerance, 0) && is_finite_from(part.rounded_tolerance, 0) &&
        is_finite_from(part.mean_tolerance, 0);
    const std::int64_t left = channels_of(output.shape) - part_channels_;
    if (!good || part.channels < 1 || part.channels > left) return refuse_value("part", value);
    part_channels_ += part.channels;
    output.parts.push_back(std::move(part));
    return true;
  }

  bool sample_line(NumericGoldenOutput& output, std::string_view line) {
    const std::string_view value = line;
    NumericSample sample;
    if (!take_number(line, sample.index) || !take_number(line, sample.truth) ||
        !parse_number(line, sample.rounded)) {
      return refuse_value("at", value);
    }
    if (sample.index < 0 || sample.index >= elements_) {
      return refuse(fmt::format("element {} is outside of '{}', which has {}", sample.index,
                                output.name, elements_));
    }
    if (!output.samples.empty() && sample.index <= output.samples.back().index) {
      return refuse(fmt::format("element {} stands behind element {}", sample.index,
                                output.samples.back().index));
    }
    // The decimal is as short as reading it in the dtype allows.
    one_.set(0, sample.rounded);
    sample.rounded = one_.real(0);
    output.samples.push_back(sample);
    return true;
  }

  bool sums_line(NumericGoldenOutput& output, std::string_view line) {
    bool good = true;
    for_each_word(line, [&](std::string_view word) {
      double sum = 0;
      good = good && parse_number(word, sum);
      if (good) output.sums.push_back(sum);
    });
    return good || refuse_value("sums", line);
  }

  /// The rules of an output as a whole.
  bool finish_output() {
    const NumericGoldenOutput& output = golden_.outputs.back();
    const std::int64_t channels = channels_of(output.shape);
    if (part_channels_ != channels) {
      return refuse(fmt::format("the parts of '{}' have {} channels together, but it has {}",
                                output.name, part_channels_, channels));
    }
    if (output.sums.size() != static_cast<std::size_t>(channels)) {
      return refuse(fmt::format("'{}' has {} sums for {} channels", output.name, output.sums.size(),
                                channels));
    }
    return true;
  }

  const std::string& file_;
  NumericGolden& golden_;
  Diagnostics& diagnostics_;
  std::uint32_t line_ = 0;
  // Of the last output:
  std::int64_t elements_ = 0;
  std::int64_t part_channels_ = 0;
  Array one_;
};

double error_in_epsilons(double got, double want, double scale, double epsilon) {
  if (got == want || (std::isnan(got) && std::isnan(want))) return 0;
  if (!std::isfinite(got) || !std::isfinite(want)) return std::numeric_limits<double>::infinity();
  return std::fabs(got - want) / (epsilon * std::max(std::fabs(want), scale));
}

/// Whether `a` uses up more of its tolerance than `b`.
bool is_worse(const NumericWorst& a, const NumericWorst& b) {
  const auto used = [](const NumericWorst& one) {
    return one.error == 0 ? 0.0 : one.error / one.tolerance;
  };
  if (a.holds() != b.holds()) return b.holds();
  return used(a) > used(b);
}

/// The part of each channel.
std::vector<std::size_t> parts_of_channels(const NumericGoldenOutput& golden) {
  std::vector<std::size_t> parts;
  parts.reserve(golden.sums.size());
  for (std::size_t i = 0; i < golden.parts.size(); ++i) {
    parts.insert(parts.end(), static_cast<std::size_t>(golden.parts[i].channels), i);
  }
  return parts;
}

/// Elements that follow each other in one channel.
std::int64_t run_of_channel(const Shape& shape) {
  std::int64_t run = 1;
  for (std::size_t i = shape.size() < 2 ? 0 : 2; i < shape.size(); ++i) run *= shape[i];
  return run;
}

/// Sums of channels, each in increasing index order.
std::vector<double> channel_sums(const Array& array, std::int64_t run, std::size_t channels) {
  std::vector<double> sums(channels, 0.0);
  std::size_t channel = 0;
  for (std::int64_t begin = 0; begin < array.size(); begin += run) {
    for (std::int64_t i = begin; i < begin + run; ++i) sums[channel] += array.real(i);
    channel = channel + 1 == channels ? 0 : channel + 1;
  }
  return sums;
}

}  // namespace

bool parse_numeric_golden(std::string_view text, const std::string& file, NumericGolden& out,
                          Diagnostics& diagnostics) {
  out = {};
  return NumericParser(file, out, diagnostics).parse(text);
}

void keep_worse(NumericWorst& worst, const NumericWorst& one) {
  if (worst.index < 0 || is_worse(one, worst)) worst = one;
}

NumericVerdict compare_numeric(const NumericGoldenOutput& golden, const Array& array) {
  NumericVerdict verdict;
  if (array.dtype() != golden.dtype || array.shape() != golden.shape) {
    verdict.mismatch = true;
    return verdict;
  }
  const double epsilon = is_float(golden.dtype) ? epsilon_of(golden.dtype) : 1;
  const std::vector<std::size_t> parts = parts_of_channels(golden);
  const std::int64_t run = run_of_channel(golden.shape);
  const auto channels = static_cast<std::int64_t>(golden.sums.size());

  const auto compared = [&](std::int64_t index, std::int64_t channel, double got, double want,
                            double NumericPart::*tolerance) {
    const std::size_t part = parts[static_cast<std::size_t>(channel)];
    const NumericPart& bounds = golden.parts[part];
    return NumericWorst{.index = index,
                        .part = part,
                        .got = got,
                        .want = want,
                        .error = error_in_epsilons(got, want, bounds.scale, epsilon),
                        .tolerance = bounds.*tolerance};
  };

  for (const NumericSample& sample : golden.samples) {
    const double got = array.real(sample.index);
    const std::int64_t channel = sample.index / run % channels;
    keep_worse(verdict.truth,
               compared(sample.index, channel, got, sample.truth, &NumericPart::truth_tolerance));
    const NumericWorst rounded =
        compared(sample.index, channel, got, sample.rounded, &NumericPart::rounded_tolerance);
    if (rounded.error == 0) ++verdict.equal;
    keep_worse(verdict.rounded, rounded);
  }

  const std::vector<double> sums = channel_sums(array, run, golden.sums.size());
  const double in_channel = static_cast<double>(array.size() / channels);
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    const auto i = static_cast<std::size_t>(channel);
    keep_worse(verdict.mean, compared(channel, channel, sums[i] / in_channel,
                                      golden.sums[i] / in_channel, &NumericPart::mean_tolerance));
  }
  return verdict;
}

bool report_numeric(const NumericGoldenOutput& golden, const Array& array,
                    const NumericVerdict& verdict, NumericTarget target, const std::string& file,
                    Diagnostics& diagnostics) {
  const auto report = [&](std::string message) {
    diagnostics.error(rule<"golden.numeric">.id(), std::move(message), Place(file));
  };
  if (verdict.mismatch) {
    report(fmt::format("'{}' is {} but its golden is {}", golden.name,
                       tensor_text(array.dtype(), array.shape()),
                       tensor_text(golden.dtype, golden.shape)));
    return false;
  }
  bool good = true;
  const auto hold = [&](const NumericWorst& worst, const std::string& what, std::string_view kind) {
    if (worst.holds()) return;
    good = false;
    report(
        fmt::format("{} of '{}', in part '{}', is {:.7g} but {} {:.7g}: {:.4g} epsilons of {}, "
                    "and at most {:g} are allowed",
                    what, golden.name, golden.parts[worst.part].name, worst.got, kind, worst.want,
                    worst.error, dtype_name(golden.dtype), worst.tolerance));
  };
  const auto element = [&](const NumericWorst& worst) {
    return worst.index < 0 ? std::string() : "element " + index_text(golden.shape, worst.index);
  };
  hold(verdict.truth, element(verdict.truth), "is in truth");
  if (target == NumericTarget::rounded) {
    hold(verdict.rounded, element(verdict.rounded), "rounds after each op to");
  }
  hold(verdict.mean, fmt::format("the mean of channel {}", verdict.mean.index), "is in truth");
  return good;
}

}  // namespace milgen::cli
