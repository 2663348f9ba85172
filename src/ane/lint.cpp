#include "ane/lint.h"

#include <fmt/format.h>

#include <span>
#include <string_view>
#include <vector>

#include "ane/layout.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen::ane {
namespace {

/// The inputs, or the outputs.
struct Side {
  std::string_view what;
  std::span<const TensorLayout> layouts;
  std::vector<Place> places;
};

/// Sources say that names decide, and that what is sorted are symbols; where the one is the
/// beginning of the other name, these are two orders.
bool sorts_behind(const TensorLayout& a, const TensorLayout& b) {
  return a.name > b.name || a.symbol > b.symbol;
}

void check_order(const Side& side, Diagnostics& diagnostics) {
  for (std::size_t i = 1; i < side.layouts.size(); ++i) {
    const TensorLayout& first = side.layouts[i - 1];
    const TensorLayout& second = side.layouts[i];
    if (!sorts_behind(first, second)) continue;
    diagnostics.warning(
        rule<"ane.order">.id(),
        fmt::format("{} {} is declared before {} and sorts behind it, so that hosts which bind in "
                    "declared order swap them",
                    side.what, printable(first.symbol), printable(second.symbol)),
        side.places[i - 1]);
    return;
  }
}

void check_pitch(const Side& side, Diagnostics& diagnostics) {
  for (std::size_t i = 0; i < side.layouts.size(); ++i) {
    const TensorLayout& layout = side.layouts[i];
    const std::int64_t row_bytes = layout.width * layout.element_bytes();
    if (row_bytes % kRowAlignmentBytes == 0) continue;
    diagnostics.warning(
        rule<"ane.pitch">.id(),
        fmt::format("{} {} with rows of {} bytes, which the engine keeps {} bytes apart, so that "
                    "hosts which write packed bytes misplace them",
                    side.what, layout_text(layout), row_bytes, layout.row_stride),
        side.places[i]);
  }
}

void check(const Side& side, Diagnostics& diagnostics) {
  check_order(side, diagnostics);
  check_pitch(side, diagnostics);
}

}  // namespace

void lint(const mil::Function& function, const Declaration& declaration, Diagnostics& diagnostics) {
  Side inputs{"input", declaration.inputs, {}};
  for (const mil::Value input : function.inputs()) inputs.places.push_back(input.place());
  check(inputs, diagnostics);
  Side outputs{"output", declaration.outputs, {}};
  for (const mil::Binding output : function.body().outputs()) {
    outputs.places.push_back(output.place());
  }
  check(outputs, diagnostics);
}

}  // namespace milgen::ane
