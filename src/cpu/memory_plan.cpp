#include "cpu/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <vector>

#include "support/rule.h"

namespace milgen::cpu {
namespace {

constexpr std::uint64_t kAlignmentBytes = 64;
constexpr std::uint32_t kNoStep = kNone;

/// Memory that one value has, or several: views of each other, values that take each other's place,
/// and the parts of a concatenation.
struct Region {
  std::uint64_t bytes = 0;
  std::uint32_t begin = kNoStep;  ///< the step that writes it first
  std::uint32_t end = 0;          ///< the last step that looks at it
  std::uint32_t parent = kNone;   ///< the region that it is a part of
  std::uint64_t offset = 0;       ///< in the parent, or in the arena
  std::uint32_t output = kNone;   ///< the output whose array it is
};

/// Where a value stands.
struct Home {
  std::uint32_t region = kNone;
  std::uint64_t offset = 0;
};

class MemoryPlanner {
 public:
  MemoryPlanner(Plan& plan, bool in_place, Diagnostics& diagnostics)
      : plan_(plan), code_(plan.code()), in_place_(in_place), diagnostics_(diagnostics) {}

  bool run(std::uint64_t limit_bytes) {
    find_runs_at();
    find_last_uses();
    homes_.resize(code_.slots.size());
    for (std::uint32_t i = 0; i < steps().size(); ++i) {
      if (!place_step(i)) return false;
    }
    allocate();
    store();
    // Where values of many sizes come and go, the arena has gaps.
    const std::uint64_t needed = std::max(plan_.live_bytes, plan_.arena_bytes);
    if (needed <= limit_bytes) return true;
    const StepCode& step = steps()[fullest_];
    diagnostics_.error(rule<"memory.limit">.id(),
                       fmt::format("{}: {} bytes of values are alive at one time, and {} is the "
                                   "most",
                                   step.op->name, needed, limit_bytes),
                       code_.place_of(step));
    return false;
  }

 private:
  const std::vector<StepCode>& steps() const { return code_.body().steps; }
  SlotPlan& slot(SlotId id) { return plan_.slots[id]; }

  /// The step at which each step's work is done: that of its group, or its own.
  void find_runs_at() {
    runs_at_.resize(steps().size());
    members_.resize(plan_.groups.size());
    std::vector<std::uint32_t> of_group(plan_.groups.size(), 0);
    for (std::uint32_t i = 0; i < steps().size(); ++i) {
      const StepPlan& step = plan_.steps[i];
      if (step.group != kNone && step.kind == StepKind::group) of_group[step.group] = i;
    }
    for (std::uint32_t i = 0; i < steps().size(); ++i) {
      const std::uint32_t group = plan_.steps[i].group;
      runs_at_[i] = group == kNone ? i : of_group[group];
      if (group != kNone) members_[group].push_back(i);
    }
  }

  void find_last_uses() {
    const auto end = static_cast<std::uint32_t>(steps().size());
    last_use_.assign(code_.slots.size(), end);
    for (std::uint32_t i = 0; i < end; ++i) {
      for (const SlotId id : code_.dead_after(steps()[i])) last_use_[id] = i;
    }
    for (std::uint32_t i = 0; i < end; ++i) {
      const StepPlan& step = plan_.steps[i];
      if (step.kind != StepKind::group) continue;
      for (const SlotId id : plan_.groups[step.group]->reads()) {
        last_use_[id] = std::max(last_use_[id], i);
      }
    }
    is_output_.assign(code_.slots.size(), kNone);
    for (std::uint32_t i = 0; i < code_.outputs.size(); ++i) {
      std::uint32_t& output = is_output_[code_.outputs[i].slot];
      if (output == kNone) output = i;
    }
  }

  template <class F>
  void for_each_arg(const StepCode& step, F&& f) const {
    for (const ArgCode& arg : code_.args_of(step)) {
      for (const SlotId id : code_.slots_of(arg)) f(id);
    }
  }

  std::uint64_t bytes_of(SlotId id) const {
    std::int64_t count = 0;
    element_count(plan_.slots[id].shape, count);
    return static_cast<std::uint64_t>(count) * element_bytes(code_.slots[id].dtype);
  }

  // --- Regions. ---

  /// The outermost region, and where the home stands in it. What it passes is shortened, so that
  /// concatenations of concatenations cost no more than others.
  Home root_of(Home home) {
    std::uint32_t at = home.region;
    std::uint64_t below = 0;
    while (regions_[at].parent != kNone) {
      below += regions_[at].offset;
      at = regions_[at].parent;
    }
    const Home root{at, home.offset + below};
    for (at = home.region; at != root.region;) {
      Region& passed = regions_[at];
      const std::uint32_t next = passed.parent;
      const std::uint64_t own = passed.offset;
      passed.parent = root.region;
      passed.offset = below;
      below -= own;
      at = next;
    }
    return root;
  }

  void join(SlotId id, Home home) {
    homes_[id] = home;
    Region& region = regions_[root_of(home).region];
    region.end = std::max(region.end, last_use_[id]);
  }

  bool new_region(SlotId id, std::uint32_t step) {
    std::int64_t count = 0;
    std::int64_t product = 0;
    const auto size = static_cast<std::int64_t>(element_bytes(code_.slots[id].dtype));
    if (!element_count(plan_.slots[id].shape, count) ||
        __builtin_mul_overflow(count, size, &product)) {
      diagnostics_.error(
          rule<"memory.limit">.id(),
          fmt::format("{}: a tensor<{}, {}> is larger than any memory", steps()[step].op->name,
                      dtype_name(code_.slots[id].dtype), to_string(plan_.slots[id].shape)),
          code_.place_of(steps()[step]));
      return false;
    }
    regions_.push_back({.bytes = static_cast<std::uint64_t>(product),
                        .begin = runs_at_[step],
                        .end = std::max(last_use_[id], runs_at_[step]),
                        .output = is_output_[id]});
    homes_[id] = {static_cast<std::uint32_t>(regions_.size() - 1), 0};
    return true;
  }

  // --- Steps. ---

  bool place_step(std::uint32_t i) {
    const StepCode& step = steps()[i];
    const StepKind kind = plan_.steps[i].kind;
    if (step.row->kernel == nullptr || (kind == StepKind::skip && plan_.steps[i].group == kNone)) {
      return true;
    }
    if (kind == StepKind::run && (place_view(step, i) || place_over(step, i))) return true;
    if (plan_.steps[i].group == kNone) {
      if (!place_results(i)) return false;
      if (kind == StepKind::run && step.op->code == OpCode::concat) place_parts(step);
      return true;
    }
    // Only when the group runs is it known what became of the values that it reads: steps between
    // its own may have made views of them.
    if (kind != StepKind::group) return true;
    for (const std::uint32_t member : members_[plan_.steps[i].group]) {
      if (!place_results(member)) return false;
    }
    return true;
  }

  bool place_results(std::uint32_t i) {
    const StepCode& step = steps()[i];
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      if (!slot(id).shape_known || slot(id).elided || place_in_group(step, i)) continue;
      if (!new_region(id, i)) return false;
    }
    return true;
  }

  SlotId arg_of(const StepCode& step, std::string_view param) const {
    const ArgCode* arg = code_.find_arg(step, param);
    return arg == nullptr || arg->count != 1 ? kNone : code_.slots_of(*arg)[0];
  }

  /// A result that is its argument's memory, or a piece of it: then nothing is left to be done.
  bool place_view(const StepCode& step, std::uint32_t i) {
    const OpCode code = step.op->code;
    const bool is_slice = code == OpCode::slice_by_size || code == OpCode::split;
    if (!is_slice && !has(step.row->flags, KernelFlags::alias)) return false;
    const SlotId x = arg_of(step, "x");
    if (x == kNone) return false;
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      if (is_output_[id] != kNone) return false;
    }
    const SlotPlan& from = slot(x);
    const bool in_region = homes_[x].region != kNone;
    if (!in_region && from.where != Where::input) return false;
    std::uint64_t offset = in_region ? homes_[x].offset : from.offset;
    if (is_slice && !add_slice_offset(step, x, offset)) return false;
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      if (in_region) {
        join(id, {homes_[x].region, offset});
      } else {
        slot(id).where = Where::input;
        slot(id).index = from.index;
        slot(id).offset = offset;
      }
      offset += bytes_of(id);  // the next result of split
    }
    plan_.steps[i].kind = StepKind::skip;
    return true;
  }

  /// Whether the results are one piece of x after the other, the first of them `offset` bytes
  /// behind where it was.
  bool add_slice_offset(const StepCode& step, SlotId x, std::uint64_t& offset) const {
    const Shape& whole = plan_.slots[x].shape;
    const Shape& part = plan_.slots[step.first_result].shape;
    if (part.size() != whole.size()) return false;
    std::size_t axis = 0;
    while (axis < whole.size() && whole[axis] == 1) ++axis;
    std::uint64_t inner = element_bytes(code_.slots[x].dtype);
    for (std::size_t d = axis + 1; d < whole.size(); ++d) {
      if (part[d] != whole[d]) return false;
      inner *= static_cast<std::uint64_t>(whole[d]);
    }
    if (step.op->code == OpCode::split) return axis < whole.size() && part[axis] != whole[axis];
    const SlotId begin = arg_of(step, "begin");
    if (begin == kNone || plan_.slots[begin].where != Where::constant) return false;
    if (axis == whole.size()) return true;
    const std::int64_t at =
        plan_.constants[plan_.slots[begin].index].integer(static_cast<std::int64_t>(axis));
    if (at < 0 || part[axis] > whole[axis] - at) return false;
    offset += static_cast<std::uint64_t>(at) * inner;
    return true;
  }

  /// A result that takes the place of an argument which nothing else looks at any more.
  bool place_over(const StepCode& step, std::uint32_t i) {
    if (!has(step.row->flags, KernelFlags::in_place) || step.results != 1) return false;
    reads_.clear();
    for_each_arg(step, [&](SlotId id) { reads_.push_back(id); });
    return place_over_args(step, step.first_result, i, reads_);
  }

  /// The same in a group, where the argument may be another step's.
  bool place_in_group(const StepCode& step, std::uint32_t i) {
    const std::uint32_t group = plan_.steps[i].group;
    if (group == kNone || !plan_.groups[group]->in_place() || step.results != 1) return false;
    for (const std::uint32_t member : members_[group]) {
      if (place_over_args(steps()[member], step.first_result, runs_at_[i],
                          plan_.groups[group]->reads())) {
        return true;
      }
    }
    return false;
  }

  /// `reads` is all that is looked at while the result is written.
  bool place_over_args(const StepCode& step, SlotId result, std::uint32_t at,
                       std::span<const SlotId> reads) {
    if (!in_place_ || is_output_[result] != kNone) return false;
    bool placed = false;
    // Which arguments a result may replace: any where elements are by themselves, otherwise what is
    // scattered into, normalised and the like.
    const bool any = has(step.op->traits, Trait::elementwise);
    const SlotId x = arg_of(step, "x");
    const SlotId data = arg_of(step, "data");
    for_each_arg(step, [&](SlotId id) {
      if (placed || !(any || id == x || id == data) || homes_[id].region == kNone ||
          homes_[id].offset != 0)
        return;
      const Region& region = regions_[homes_[id].region];
      if (region.parent != kNone || region.output != kNone || region.end != at) return;
      if (region.begin == at || region.bytes != bytes_of(result) ||
          plan_.slots[id].shape != plan_.slots[result].shape ||
          code_.slots[id].dtype != code_.slots[result].dtype) {
        return;
      }
      if (!is_alone(id, any, reads)) return;
      join(result, homes_[id]);
      placed = true;
    });
    return placed;
  }

  /// Whether nothing but `id` is read from its memory, or, `by_element`, only what has each element
  /// where `id` has it: a slice that is broadcast would be overwritten before it is read again.
  bool is_alone(SlotId id, bool by_element, std::span<const SlotId> reads) {
    int seen = 0;
    for (const SlotId other : reads) {
      if (homes_[other].region == kNone) continue;
      const Home home = root_of(homes_[other]);
      if (home.region != homes_[id].region) continue;
      const bool is_same =
          home.offset == homes_[id].offset && plan_.slots[other].shape == plan_.slots[id].shape;
      if (!is_same || (++seen > 1 && !by_element)) return false;
    }
    return true;
  }

  /// The arguments of a concatenation are made where they end up, when that is one piece.
  void place_parts(const StepCode& step) {
    const SlotId result = step.first_result;
    const SlotId axis_slot = arg_of(step, "axis");
    const SlotId interleave = arg_of(step, "interleave");
    const ArgCode* values = code_.find_arg(step, "values");
    if (axis_slot == kNone || values == nullptr || slot(axis_slot).where != Where::constant) return;
    if (interleave != kNone && (slot(interleave).where != Where::constant ||
                                plan_.constants[slot(interleave).index].integer(0) != 0)) {
      return;
    }
    const Shape& shape = slot(result).shape;
    const auto rank = static_cast<std::int64_t>(shape.size());
    std::int64_t axis = plan_.constants[slot(axis_slot).index].integer(0);
    if (axis < 0) axis += rank;
    for (std::int64_t d = 0; d < axis; ++d) {
      if (shape[static_cast<std::size_t>(d)] != 1) return;
    }
    std::uint64_t offset = 0;
    for (const SlotId id : code_.slots_of(*values)) {
      place_part(id, homes_[result].region, offset);
      offset += bytes_of(id);
    }
  }

  void place_part(SlotId id, std::uint32_t whole, std::uint64_t offset) {
    if (homes_[id].region == kNone || homes_[id].offset != 0 || bytes_of(id) == 0) return;
    if (homes_[id].region == whole) return;
    Region& part = regions_[homes_[id].region];
    if (part.parent != kNone || part.output != kNone || part.bytes != bytes_of(id)) return;
    part.parent = whole;
    part.offset = offset;
    regions_[whole].begin = std::min(regions_[whole].begin, part.begin);
    regions_[whole].end = std::max(regions_[whole].end, part.end);
  }

  // --- The arena. ---

  static std::uint64_t aligned(std::uint64_t bytes) {
    return (bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  }

  /// Free pieces of the arena, which never touch each other.
  class FreeList {
   public:
    std::uint64_t take(std::uint64_t bytes) {
      if (bytes == 0) return 0;
      const auto fit = by_size_.lower_bound({bytes, 0});
      if (fit != by_size_.end()) {
        const auto [size, offset] = fit->first;
        by_size_.erase(fit);
        by_offset_.erase(offset);
        if (size > bytes) add(offset + bytes, size - bytes);
        return offset;
      }
      // The last piece grows when it ends where the arena does.
      std::uint64_t offset = end_;
      if (!by_offset_.empty()) {
        const auto last = std::prev(by_offset_.end());
        if (last->first + last->second == end_) {
          offset = last->first;
          by_size_.erase({last->second, last->first});
          by_offset_.erase(last);
        }
      }
      end_ = offset + bytes;
      return offset;
    }
    void give(std::uint64_t offset, std::uint64_t bytes) {
      if (bytes == 0) return;
      const auto after = by_offset_.lower_bound(offset);
      if (after != by_offset_.end() && offset + bytes == after->first) {
        bytes += after->second;
        by_size_.erase({after->second, after->first});
        by_offset_.erase(after);
      }
      const auto behind = by_offset_.lower_bound(offset);
      if (behind != by_offset_.begin()) {
        const auto before = std::prev(behind);
        if (before->first + before->second == offset) {
          offset = before->first;
          bytes += before->second;
          by_size_.erase({before->second, before->first});
          by_offset_.erase(before);
        }
      }
      add(offset, bytes);
    }
    std::uint64_t end() const { return end_; }

   private:
    void add(std::uint64_t offset, std::uint64_t bytes) {
      by_offset_[offset] = bytes;
      by_size_[{bytes, offset}] = 0;
    }
    std::map<std::uint64_t, std::uint64_t> by_offset_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, char> by_size_;
    std::uint64_t end_ = 0;
  };

  /// Sizes of single values fit in 63 bits, their sum may not.
  static void add(std::uint64_t& sum, std::uint64_t bytes) {
    if (__builtin_add_overflow(sum, bytes, &sum)) sum = UINT64_MAX;
  }

  void allocate() {
    std::vector<std::uint32_t> by_begin;
    std::uint64_t live = 0;
    for (std::uint32_t r = 0; r < regions_.size(); ++r) {
      const Region& region = regions_[r];
      if (region.parent != kNone) continue;
      if (region.output != kNone) {
        // An output's array is there from beginning to end.
        add(live, region.bytes);
        fullest_ = region.begin;
      } else {
        by_begin.push_back(r);
      }
    }
    std::vector<std::uint32_t> by_end = by_begin;
    std::ranges::stable_sort(by_begin, {}, [&](std::uint32_t r) { return regions_[r].begin; });
    std::ranges::stable_sort(by_end, {}, [&](std::uint32_t r) { return regions_[r].end; });
    FreeList arena;
    plan_.live_bytes = live;
    auto dead = by_end.begin();
    for (const std::uint32_t r : by_begin) {
      for (; dead != by_end.end() && regions_[*dead].end < regions_[r].begin; ++dead) {
        arena.give(regions_[*dead].offset, aligned(regions_[*dead].bytes));
        live -= regions_[*dead].bytes;
      }
      regions_[r].offset = arena.take(aligned(regions_[r].bytes));
      add(live, regions_[r].bytes);
      if (live > plan_.live_bytes) {
        plan_.live_bytes = live;
        fullest_ = regions_[r].begin;
      }
    }
    plan_.arena_bytes = arena.end();
  }

  void store() {
    for (SlotId id = 0; id < homes_.size(); ++id) {
      if (homes_[id].region == kNone) continue;
      const Home root = root_of(homes_[id]);
      const Region& region = regions_[root.region];
      SlotPlan& planned = slot(id);
      if (region.output != kNone) {
        planned.where = Where::output;
        planned.index = region.output;
        planned.offset = root.offset;
      } else {
        planned.where = Where::arena;
        planned.offset = region.offset + root.offset;
      }
    }
  }

  Plan& plan_;
  const Code& code_;
  bool in_place_;
  Diagnostics& diagnostics_;
  std::vector<std::uint32_t> runs_at_;               // by step
  std::vector<std::vector<std::uint32_t>> members_;  // by group
  std::vector<std::uint32_t> last_use_;              // by slot
  std::vector<std::uint32_t> is_output_;             // by slot: the first output that it is
  std::vector<Home> homes_;                          // by slot
  std::vector<Region> regions_;
  std::vector<SlotId> reads_;  // by the step at hand
  std::uint32_t fullest_ = 0;  // the step at which most bytes are alive
};

}  // namespace

bool plan_memory(Plan& plan, bool in_place, std::uint64_t limit_bytes, Diagnostics& diagnostics) {
  return MemoryPlanner(plan, in_place, diagnostics).run(limit_bytes);
}

}  // namespace milgen::cpu
