// non_maximum_suppression: of boxes that overlap, the one with the best score.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cpu/kernel_util.h"
#include "cpu/kernels_tensor_operation.h"
#include "cpu/strided_copy.h"

namespace milgen::cpu {
namespace {

/// A box by its sides. Its score is the greatest of its classes', of which the first has it.
struct Box {
  double left, top, right, bottom;
  double score;
  std::int64_t best_class;
  std::int64_t index;

  double area() const { return (right - left) * (bottom - top); }
};

/// The dims of an op that has boxes either behind coordinates and classes (from ios17 on) or in
/// front of them.
struct Layout {
  bool boxes_last = true;
  std::int64_t boxes = 0;
  std::int64_t classes = 0;
  std::int64_t most = 0;  ///< boxes that an image keeps

  /// Part `part` of `parts` of a box, `box` of `boxes`, of an image.
  std::int64_t at(std::int64_t image, std::int64_t box, std::int64_t box_count, std::int64_t part,
                  std::int64_t parts) const {
    const std::int64_t first = image * box_count * parts;
    return first + (boxes_last ? part * box_count + box : box * parts + part);
  }
};

/// A box stands in the tensor as the x and y of its centre, its width and its height.
Box read_box(OpRun& run, const Layout& layout, std::int64_t image, std::int64_t index) {
  const TensorView& boxes = run.in("boxes");
  const TensorView& scores = run.in("scores");
  double part[4];
  for (std::int64_t i = 0; i < 4; ++i) {
    part[i] = real_at(boxes, layout.at(image, index, layout.boxes, i, 4));
  }
  Box box{.left = part[0] - part[2] / 2,
          .top = part[1] - part[3] / 2,
          .right = part[0] + part[2] / 2,
          .bottom = part[1] + part[3] / 2,
          .score = -std::numeric_limits<double>::infinity(),
          .best_class = 0,
          .index = index};
  for (std::int64_t c = 0; c < layout.classes; ++c) {
    const double score = real_at(scores, layout.at(image, index, layout.boxes, c, layout.classes));
    if (!(score > box.score)) continue;
    box.score = score;
    box.best_class = c;
  }
  return box;
}

/// The area that two boxes share over the area that they cover together.
double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (!(width > 0 && height > 0)) return 0;
  const double shared = width * height;
  return shared / (a.area() + b.area() - shared);
}

/// Moves the boxes that are kept to the front, the best first; how many there are.
std::int64_t choose(OpRun& run, const Layout& layout, Box* boxes, std::int64_t count) {
  const double threshold = run.real("iou_threshold");
  const bool per_class = run.boolean("per_class_suppression");
  std::sort(boxes, boxes + count, [](const Box& a, const Box& b) {
    return a.score != b.score ? a.score > b.score : a.index < b.index;
  });
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < count && kept < layout.most; ++i) {
    const bool is_free = std::all_of(boxes, boxes + kept, [&](const Box& better) {
      return (per_class && better.best_class != boxes[i].best_class) ||
             !(overlap(better, boxes[i]) > threshold);
    });
    if (is_free) boxes[kept++] = boxes[i];
  }
  return kept;
}

/// Copies the parts of a box, elements of one dtype, to its place among those that are kept.
void copy_parts(const TensorView& from, const TensorView& to, const Layout& layout,
                std::int64_t image, std::int64_t box, std::int64_t place, std::int64_t parts) {
  for (std::int64_t part = 0; part < parts; ++part) {
    set_real(to, layout.at(image, place, layout.most, part, parts),
             real_at(from, layout.at(image, box, layout.boxes, part, parts)));
  }
}

}  // namespace

bool run_non_maximum_suppression(OpRun& run) {
  const TensorView& scores = run.in("scores");
  const TensorView& indices = run.out(2);
  const bool boxes_last = run.opset() >= Opset::ios17;
  const Layout layout{.boxes_last = boxes_last,
                      .boxes = scores.dim(boxes_last ? 2 : 1),
                      .classes = scores.dim(boxes_last ? 1 : 2),
                      .most = run.integer("max_boxes")};
  // Places without a box hold zeros, and -1 as the index (op_semantics).
  fill_tensor(run.pool(), run.out(0), 0);
  fill_tensor(run.pool(), run.out(1), 0);
  fill_tensor(run.pool(), indices, -1);
  if (run.results() > 3) fill_tensor(run.pool(), run.out(3), 0);
  if (layout.boxes == 0) return true;
  auto* boxes = run.scratch_of<Box>(layout.boxes);
  if (boxes == nullptr) return false;
  const double least =
      boxes_last ? -std::numeric_limits<double>::infinity() : run.real("score_threshold");
  for (std::int64_t image = 0; image < scores.dim(0); ++image) {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < layout.boxes; ++i) {
      const Box box = read_box(run, layout, image, i);
      if (box.score >= least) boxes[count++] = box;
    }
    const std::int64_t kept = choose(run, layout, boxes, count);
    for (std::int64_t i = 0; i < kept; ++i) {
      copy_parts(run.in("boxes"), run.out(0), layout, image, boxes[i].index, i, 4);
      copy_parts(scores, run.out(1), layout, image, boxes[i].index, i, layout.classes);
      set_integer(indices, image * layout.most + i, boxes[i].index);
    }
    if (run.results() > 3) set_integer(run.out(3), image, kept);
  }
  return true;
}

}  // namespace milgen::cpu
