#include "train/train_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "support/files.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen::train {
namespace {

constexpr std::string_view kHeader = "step,loss,lr,gradient_norm,tokens_per_second,step_ms\n";
constexpr std::uint64_t kMostLogBytes = std::uint64_t{1} << 30;

std::string row_text(const LogRow& row) {
  return fmt::format("{},{:.9g},{:.9g},{:.9g},{:.6g},{:.6g}\n", row.step, row.loss, row.lr,
                     row.gradient_norm, row.tokens_per_second, row.step_ms);
}

/// One number in front of a comma or the end, taken off `text`.
template <class T>
bool take_number(std::string_view& text, T& value) {
  const std::string_view cell = text.substr(0, text.find(','));
  text.remove_prefix(std::min(text.size(), cell.size() + 1));
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && end == cell.data() + cell.size();
}

bool parse_row(std::string_view line, LogRow& row) {
  return take_number(line, row.step) && take_number(line, row.loss) && take_number(line, row.lr) &&
         take_number(line, row.gradient_norm) && take_number(line, row.tokens_per_second) &&
         take_number(line, row.step_ms) && line.empty();
}

bool report(const std::string& path, std::uint32_t line, std::string message,
            Diagnostics& diagnostics) {
  diagnostics.error(rule<"train.log">.id(), std::move(message), Place(path, line));
  return false;
}

}  // namespace

bool read_log(const std::string& path, std::vector<LogRow>& rows, Diagnostics& diagnostics) {
  std::string text;
  if (!read_file(path, kMostLogBytes, text, diagnostics)) return false;
  if (!text.starts_with(kHeader)) {
    return report(path, 1, "the first line is not that of a training log", diagnostics);
  }
  std::string_view rest = std::string_view(text).substr(kHeader.size());
  std::vector<LogRow> read;
  for (std::uint32_t number = 2; rest.find('\n') != std::string_view::npos; ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    LogRow row;
    if (!parse_row(line, row)) {
      return report(path, number,
                    fmt::format("'{}' is not a row of a training log", printable(line)),
                    diagnostics);
    }
    if (row.step < 1 || row.step > INT32_MAX) {
      return report(path, number,
                    fmt::format("step {} is none: they are 1 to {}", row.step, INT32_MAX),
                    diagnostics);
    }
    if (!read.empty() && row.step <= read.back().step) {
      return report(path, number,
                    fmt::format("step {} stands behind step {}", row.step, read.back().step),
                    diagnostics);
    }
    read.push_back(row);
  }
  rows = std::move(read);
  return true;
}

namespace detail {

bool TrainLog::open(const std::string& path, std::int64_t step, Diagnostics& diagnostics) {
  path_ = path;
  if (path.empty()) return true;
  std::vector<LogRow> rows;
  std::error_code code;
  if (step > 0 && std::filesystem::exists(path, code) && !read_log(path, rows, diagnostics)) {
    return false;
  }
  AtomicFile file;
  if (!file.open(path, diagnostics) || !file.write(kHeader, diagnostics)) return false;
  for (const LogRow& row : rows) {
    if (row.step <= step && !file.write(row_text(row), diagnostics)) return false;
  }
  if (!file.commit(diagnostics, Flush::no)) return false;
  out_.open(path, std::ios::app | std::ios::binary);
  return true;
}

bool TrainLog::add(const LogRow& row, Diagnostics& diagnostics) {
  if (path_.empty()) return true;
  out_ << row_text(row) << std::flush;
  if (out_.good()) return true;
  diagnostics.error(
      rule<"file.write">.id(),
      fmt::format("'{}' cannot be written: {}", printable(path_, 4096), std::strerror(errno)));
  return false;
}

}  // namespace detail

// --- The plot. ---

namespace {

constexpr double kWidth = 800;
constexpr double kHeight = 450;
constexpr double kLeft = 64;
constexpr double kRight = 16;
constexpr double kTop = 32;
constexpr double kBottom = 48;
/// More points than this nobody sees: neighbours become their mean.
constexpr std::size_t kMostPoints = 1500;
/// Of a point: what is larger would leave nothing to see of the others.
constexpr double kLargestLoss = 1e30;

/// A distance between ticks that is 1, 2 or 5 times a power of ten.
double tick_step(double range, int most) {
  const double raw = range / most;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

struct Axis {
  double low = 0;
  double high = 1;
  double begin = 0;  // of the picture, where `low` is
  double end = 1;

  double at(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

/// `high`, or what is so far from `low` that ticks between the two are numbers of their own.
double apart(double low, double high, double least) {
  return std::max(high, low + std::max(least, 1e-6 * std::fabs(low)));
}

/// The multiples of `step` on an axis.
std::vector<double> ticks(const Axis& axis, double step) {
  // The sum makes of -0, which would be written as such, 0.
  const double first = std::ceil(axis.low / step) + 0.0;
  std::vector<double> out;
  for (int i = 0; (first + i) * step <= axis.high; ++i) out.push_back((first + i) * step);
  return out;
}

/// Means of as many neighbours as it takes to have at most kMostPoints.
std::vector<LogRow> thinned(std::span<const LogRow> rows) {
  const std::size_t each = (rows.size() + kMostPoints - 1) / kMostPoints;
  std::vector<LogRow> out;
  for (std::size_t i = 0; i < rows.size(); i += each) {
    const std::span<const LogRow> part = rows.subspan(i, std::min(each, rows.size() - i));
    LogRow mean = part[part.size() / 2];
    mean.loss = 0;
    for (const LogRow& row : part) mean.loss += row.loss / static_cast<double>(part.size());
    out.push_back(mean);
  }
  return out;
}

/// The mean over about a fiftieth of the run around each row, by running sums.
std::vector<LogRow> smoothed(std::span<const LogRow> rows) {
  std::vector<double> sums(rows.size() + 1);
  for (std::size_t i = 0; i < rows.size(); ++i) sums[i + 1] = sums[i] + rows[i].loss;
  const std::size_t reach = rows.size() / 50 + 1;
  std::vector<LogRow> out(rows.begin(), rows.end());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t first = i < reach ? 0 : i - reach;
    const std::size_t last = std::min(rows.size(), i + reach + 1);
    out[i].loss = (sums[last] - sums[first]) / static_cast<double>(last - first);
  }
  return out;
}

std::string polyline(std::span<const LogRow> rows, const Axis& x, const Axis& y,
                     std::string_view style) {
  std::string out = "<polyline fill=\"none\" ";
  out += style;
  out += " points=\"";
  for (const LogRow& row : rows) {
    out += fmt::format("{:.1f},{:.1f} ", x.at(static_cast<double>(row.step)), y.at(row.loss));
  }
  return out + "\"/>\n";
}

std::string grid_line(double x1, double y1, double x2, double y2) {
  return fmt::format("<path stroke=\"#ddd\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", x1, y1, x2,
                     y2);
}

std::string label(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     text);
}

std::string grid(const Axis& x, const Axis& y) {
  std::string out;
  const double across = std::max(1.0, tick_step(x.high - x.low, 8));
  for (const double tick : ticks(x, across)) {
    out += grid_line(x.at(tick), y.begin, x.at(tick), y.end);
    out += label(x.at(tick), y.begin + 18, "middle", fmt::format("{:g}", tick));
  }
  for (const double tick : ticks(y, tick_step(y.high - y.low, 6))) {
    out += grid_line(x.begin, y.at(tick), x.end, y.at(tick));
    out += label(x.begin - 8, y.at(tick) + 4, "end", fmt::format("{:.4g}", tick));
  }
  return out;
}

}  // namespace

std::string loss_plot(std::span<const LogRow> rows) {
  std::vector<LogRow> drawn;
  std::ranges::copy_if(rows, std::back_inserter(drawn), [](const LogRow& row) {
    return std::fabs(row.loss) <= kLargestLoss;  // false for what is not a number
  });
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:g}\" "
      "viewBox=\"0 0 {0:g} {1:g}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"{0:g}\" height=\"{1:g}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  if (!drawn.empty()) {
    const std::vector<LogRow> points = thinned(drawn);
    const auto [least, most] = std::ranges::minmax(points, {}, &LogRow::loss);
    const double margin = 0.05 * (most.loss - least.loss);
    const double low = least.loss < 0 ? least.loss - margin : std::max(0.0, least.loss - margin);
    const auto first = static_cast<double>(points.front().step);
    const Axis x{.low = first,
                 .high = apart(first, static_cast<double>(points.back().step), 1),
                 .begin = kLeft,
                 .end = kWidth - kRight};
    const Axis y{.low = low,
                 .high = apart(low, most.loss + margin, 1e-6),
                 .begin = kHeight - kBottom,
                 .end = kTop};
    out += grid(x, y);
    out += polyline(points, x, y, "stroke=\"#9ecae1\"");
    out += polyline(smoothed(points), x, y, "stroke=\"#08519c\" stroke-width=\"2\"");
    out += label(kWidth / 2, kHeight - 10, "middle", "step");
    out += label(kLeft, kTop - 12, "start",
                 fmt::format("loss: {:.4g} at step {}, {:.4g} at step {}", drawn.front().loss,
                             drawn.front().step, drawn.back().loss, drawn.back().step));
  }
  return out + "</svg>\n";
}

}  // namespace milgen::train
