// Images sampled at points that are computed or given: affine, resample and crop_resize. Points and
// interpolation are computed in fp64, an element of the result is rounded once.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "cpu/kernel_util.h"
#include "cpu/kernels_image_resizing.h"
#include "cpu/sampling.h"

namespace milgen::cpu {
namespace {

/// The elements of a plane that an element of the result is made of.
struct Tap {
  static constexpr std::int64_t kOutside = -1;  ///< the padding value

  std::array<std::int64_t, 4> offsets{};
  std::array<double, 4> weights{1, 0, 0, 0};
};

template <class T>
double tapped(const T* plane, const Tap& tap, double padding) {
  double sum = 0;
  for (std::size_t i = 0; i < tap.offsets.size(); ++i) {
    // What has no weight does not make a NaN of an infinite neighbour.
    if (tap.weights[i] == 0) continue;
    const std::int64_t offset = tap.offsets[i];
    const double value =
        offset == Tap::kOutside ? padding : static_cast<double>(number(plane[offset]));
    sum += value * tap.weights[i];
  }
  // Which NaN an operation gives differs between machines.
  return sum == sum ? sum : std::numeric_limits<double>::quiet_NaN();
}

/// Fills the result's planes, [image][channel][points], from x's. `tap_of(image, point)` says what
/// a point is made of, and `source(image)` which image of x it is taken from; points are worked out
/// once for all channels.
template <class Source, class TapOf>
void sample_planes(OpRun& run, std::int64_t images, double padding, const Source& source,
                   const TapOf& tap_of) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  constexpr std::int64_t kBlock = 128;
  const std::int64_t channels = x.dim(1);
  const std::int64_t plane = x.dim(2) * x.dim(3);
  const std::int64_t points = out.dim(out.rank() - 2) * out.dim(out.rank() - 1);
  const std::int64_t blocks = (points + kBlock - 1) / kBlock;
  with_element_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto work = [&](std::int64_t begin, std::int64_t end) {
      std::array<Tap, kBlock> taps;
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t image = i / blocks;
        const std::int64_t first = i % blocks * kBlock;
        const std::int64_t count = std::min(kBlock, points - first);
        for (std::int64_t k = 0; k < count; ++k) {
          taps[static_cast<std::size_t>(k)] = tap_of(image, first + k);
        }
        const T* from = x.as<T>() + source(image) * channels * plane;
        T* to = out.as_mutable<T>() + image * channels * points + first;
        for (std::int64_t c = 0; c < channels; ++c, from += plane, to += points) {
          for (std::int64_t k = 0; k < count; ++k) {
            to[k] = element_from_real<T>(tapped(from, taps[static_cast<std::size_t>(k)], padding));
          }
        }
      }
    };
    parallel_for(run, images * blocks, items_grain(kBlock * (channels + 4) * 4), work);
  });
}

enum class Padding : std::uint8_t { constant, border, reflection, symmetric };
enum class Coordinates : std::uint8_t { pixels, minus_one_to_one, zero_to_one };

char lower(char letter) { return static_cast<char>(letter | 0x20); }

Padding padding_from(std::string_view word) {
  switch (lower(word.front())) {
    case 'b':
      return Padding::border;
    case 'r':
      return Padding::reflection;
    case 's':
      return Padding::symmetric;
    default:
      return Padding::constant;
  }
}

/// unnormalized, normalized_minus_one_to_one or normalized_zero_to_one, in any letter case.
Coordinates coordinates_from(std::string_view word) {
  if (lower(word.front()) == 'u') return Coordinates::pixels;
  constexpr std::size_t kPrefix = std::string_view("normalized_").size();
  return lower(word[kPrefix]) == 'm' ? Coordinates::minus_one_to_one : Coordinates::zero_to_one;
}

/// A coordinate along an axis of `size` elements, counted in elements.
double in_pixels(Coordinates coordinates, bool align_corners, double at, std::int64_t size) {
  const auto extent = static_cast<double>(size);
  switch (coordinates) {
    case Coordinates::minus_one_to_one:
      return align_corners ? (at + 1) / 2 * (extent - 1) : ((at + 1) * extent - 1) / 2;
    case Coordinates::zero_to_one:
      return align_corners ? at * (extent - 1) : at * extent - 0.5;
    case Coordinates::pixels:
      break;
  }
  return at;
}

/// `at` mirrored into [low, low + span] as often as it takes.
double mirrored(double at, double low, double span, std::int64_t size) {
  if (span <= 0) return 0;
  const double distance = std::fabs(at - low);
  const double folds = std::floor(distance / span);
  const double rest = distance - folds * span;
  const bool odd = folds - 2 * std::floor(folds / 2) != 0;
  return held_to(low + (odd ? span - rest : rest), size);
}

double padded(Padding padding, double at, std::int64_t size) {
  const auto extent = static_cast<double>(size);
  switch (padding) {
    case Padding::border:
      return held_to(at, size);
    case Padding::reflection:  // about the centres of the outermost elements
      return mirrored(at, 0, extent - 1, size);
    case Padding::symmetric:  // about their outer edges
      return mirrored(at, -0.5, extent, size);
    case Padding::constant:
      break;
  }
  return at;
}

/// How points of an image are read.
struct Sampler {
  std::int64_t height = 0;
  std::int64_t width = 0;
  Padding padding = Padding::constant;
  bool nearest = false;

  std::int64_t offset(double y, double x) const {
    const bool inside =
        y >= 0 && x >= 0 && y < static_cast<double>(height) && x < static_cast<double>(width);
    if (!inside) return Tap::kOutside;
    return static_cast<std::int64_t>(y) * width + static_cast<std::int64_t>(x);
  }

  Tap tap(double y, double x) const {
    if (height == 0 || width == 0) return {.offsets = {Tap::kOutside}};
    y = padded(padding, y, height);
    x = padded(padding, x, width);
    if (nearest) return {.offsets = {offset(std::rint(y), std::rint(x))}};
    const double top = std::floor(y);
    const double left = std::floor(x);
    const double down = y - top;
    const double right = x - left;
    // Neither side of an endless or undefined coordinate is in the image.
    if (!std::isfinite(down) || !std::isfinite(right)) return {.offsets = {Tap::kOutside}};
    return {.offsets = {offset(top, left), offset(top, left + 1), offset(top + 1, left),
                        offset(top + 1, left + 1)},
            .weights = {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right),
                        down * right}};
  }
};

std::int64_t same_image(std::int64_t image) { return image; }

// --- crop_resize ---

/// A box in elements of x, and the image that it lies in.
struct Box {
  double top = 0;
  double left = 0;
  double bottom = 0;
  double right = 0;
  std::int64_t image = 0;
};

/// The arguments that all boxes share.
struct BoxRules {
  bool height_first = true;
  bool center_size = false;
  bool normalized = false;
  double scale = 1;
  double height = 0;
  double width = 0;
};

BoxRules box_rules(const OpRun& run) {
  const std::string_view mode = run.text("box_coordinate_mode");
  const TensorView& x = run.in("x");
  return {.height_first = mode.ends_with("HEIGHT_FIRST"),
          .center_size = mode.starts_with("CENTER"),
          .normalized = run.boolean("normalized_coordinates"),
          .scale = run.real("spatial_scale"),
          .height = static_cast<double>(x.dim(2)),
          .width = static_cast<double>(x.dim(3))};
}

/// A box from its four numbers.
Box box_from(const BoxRules& rules, std::array<double, 4> numbers) {
  if (!rules.height_first) {
    std::swap(numbers[0], numbers[1]);
    std::swap(numbers[2], numbers[3]);
  }
  Box box{.top = numbers[0], .left = numbers[1], .bottom = numbers[2], .right = numbers[3]};
  if (rules.center_size) {
    box.bottom = box.top + numbers[2] / 2;
    box.top -= numbers[2] / 2;
    box.right = box.left + numbers[3] / 2;
    box.left -= numbers[3] / 2;
  }
  const double rows = rules.scale * (rules.normalized ? rules.height - 1 : 1);
  const double columns = rules.scale * (rules.normalized ? rules.width - 1 : 1);
  box.top *= rows;
  box.bottom *= rows;
  box.left *= columns;
  box.right *= columns;
  return box;
}

/// The image that box `i` is for. False, with run.index reported, when x has no such.
bool image_of(OpRun& run, std::string_view param, std::int64_t i, double index,
              std::int64_t& image) {
  const std::int64_t images = run.in("x").dim(0);
  if (index >= 0 && index < static_cast<double>(images)) {
    image = static_cast<std::int64_t>(index);
    return true;
  }
  return run.fail(rule<"run.index">, fmt::format("{} has the image {} for box {}, but x has {} "
                                                 "images",
                                                 param, index, i, images));
}

/// Reads boxes, [N, 4], and box_indices (from ios17 on).
bool read_boxes(OpRun& run, Box* boxes) {
  const BoxRules rules = box_rules(run);
  const TensorView& numbers = run.in("boxes");
  for (std::int64_t i = 0; i < numbers.dim(0); ++i) {
    boxes[i] = box_from(rules, {real_at(numbers, 4 * i), real_at(numbers, 4 * i + 1),
                                real_at(numbers, 4 * i + 2), real_at(numbers, 4 * i + 3)});
    const double index =
        run.has("box_indices") ? real_at(run.in("box_indices"), i) : static_cast<double>(i);
    if (!image_of(run, "box_indices", i, index, boxes[i].image)) return false;
  }
  return true;
}

/// Reads roi, [N, 1, 4 or 5, 1, 1]: boxes for every image, or with the image in front.
bool read_roi(OpRun& run, Box* boxes) {
  const BoxRules rules = box_rules(run);
  const TensorView& numbers = run.in("roi");
  const std::int64_t entries = numbers.dim(2);
  const std::int64_t images = entries == 5 ? 1 : run.in("x").dim(0);
  for (std::int64_t i = 0; i < numbers.dim(0); ++i) {
    const std::int64_t first = i * entries + entries - 4;
    const Box box = box_from(rules, {real_at(numbers, first), real_at(numbers, first + 1),
                                     real_at(numbers, first + 2), real_at(numbers, first + 3)});
    for (std::int64_t k = 0; k < images; ++k) {
      Box& one = boxes[i * images + k];
      one = box;
      one.image = k;
      if (entries == 5 && !image_of(run, "roi", i, real_at(numbers, first - 1), one.image)) {
        return false;
      }
    }
  }
  return true;
}

/// One side of a tap: a point that is outside of the axis has no low element.
AxisPoint box_point(double at, std::int64_t size) {
  const bool inside = at >= 0 && at <= static_cast<double>(size - 1);
  return inside ? linear_point(at, size) : AxisPoint{.low = Tap::kOutside};
}

}  // namespace

bool run_affine(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const TensorView& matrix = run.in("transform_matrix");
  const Sampler sampler{.height = x.dim(2), .width = x.dim(3)};
  const bool align = run.boolean("align_corners");
  const std::int64_t rows = out.dim(2);
  const std::int64_t columns = out.dim(3);
  // From -1 at one end to 1 at the other: of the outermost pixels' centres or of their edges.
  const auto normalized = [align](std::int64_t i, std::int64_t size) {
    if (!align) return static_cast<double>(2 * i + 1) / static_cast<double>(size) - 1;
    return size == 1 ? 0 : static_cast<double>(2 * i) / static_cast<double>(size - 1) - 1;
  };
  const auto tap_of = [&](std::int64_t image, std::int64_t point) {
    const std::int64_t first = matrix.dim(0) == 1 ? 0 : 6 * image;
    const double down = normalized(point / columns, rows);
    const double right = normalized(point % columns, columns);
    const auto mapped = [&](std::int64_t k) {
      return real_at(matrix, k) * right + real_at(matrix, k + 1) * down + real_at(matrix, k + 2);
    };
    return sampler.tap(
        in_pixels(Coordinates::minus_one_to_one, align, mapped(first + 3), sampler.height),
        in_pixels(Coordinates::minus_one_to_one, align, mapped(first), sampler.width));
  };
  sample_planes(run, out.dim(0), run.real("padding_value"), same_image, tap_of);
  return true;
}

bool run_resample(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const TensorView& given = run.in("coordinates");
  const Sampler sampler{.height = x.dim(2),
                        .width = x.dim(3),
                        .padding = padding_from(run.text("padding_mode")),
                        .nearest = lower(run.text("sampling_mode").front()) == 'n'};
  if (sampler.padding != Padding::constant && (sampler.height == 0 || sampler.width == 0)) {
    return run.fail(rule<"run.shape">, fmt::format("x has shape {}, which has no pixels to sample",
                                                   to_string(x.shape)));
  }
  const Coordinates coordinates = coordinates_from(run.text("coordinates_mode"));
  const bool align = run.boolean("align_corners");
  const std::int64_t points = out.dim(2) * out.dim(3);
  const auto tap_of = [&](std::int64_t image, std::int64_t point) {
    const std::int64_t at = 2 * (image * points + point);
    return sampler.tap(in_pixels(coordinates, align, real_at(given, at + 1), sampler.height),
                       in_pixels(coordinates, align, real_at(given, at), sampler.width));
  };
  sample_planes(run, out.dim(0), run.real("padding_value"), same_image, tap_of);
  return true;
}

bool run_crop_resize(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::int64_t rows = out.dim(out.rank() - 2);
  const std::int64_t columns = out.dim(out.rank() - 1);
  const std::int64_t count = out.dim(0) * (out.rank() == 5 ? out.dim(1) : 1);
  auto* boxes = run.scratch_of<Box>(count);
  if (boxes == nullptr) return false;
  if (!(run.opset() >= Opset::ios17 ? read_boxes(run, boxes) : read_roi(run, boxes))) return false;
  const Sampling sampling = sampling_from(run.text("sampling_mode"));
  const double padding = run.opset() >= Opset::ios16 ? run.real("pad_value") : 0;
  const std::int64_t height = x.dim(2);
  const std::int64_t width = x.dim(3);
  const auto tap_of = [&](std::int64_t i, std::int64_t point) {
    const Box& box = boxes[i];
    const AxisPoint y =
        box_point(grid_point(sampling, box.top, box.bottom, rows, point / columns), height);
    const AxisPoint at =
        box_point(grid_point(sampling, box.left, box.right, columns, point % columns), width);
    if (y.low == Tap::kOutside || at.low == Tap::kOutside) {
      return Tap{.offsets = {Tap::kOutside}};
    }
    return Tap{.offsets = {y.low * width + at.low, y.low * width + at.high, y.high * width + at.low,
                           y.high * width + at.high},
               .weights = {(1 - y.fraction) * (1 - at.fraction), (1 - y.fraction) * at.fraction,
                           y.fraction * (1 - at.fraction), y.fraction * at.fraction}};
  };
  sample_planes(
      run, count, padding, [boxes](std::int64_t i) { return boxes[i].image; }, tap_of);
  return true;
}

}  // namespace milgen::cpu
