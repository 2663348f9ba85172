// Values into and out of surfaces, against what the machine does at best with memory that is
// pitched the same way: memcpy for fp16 and a bare conversion loop for fp32, row by row, or in one
// go where rows follow each other. The contestants take turns in one run.
//
//     bench_ane_surface [--quick]
//
// Surfaces are the fake engine's, so that locks count. The figures to look at: every ratio of
// "write" at least 0.8 for the weight and the activation.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bare_conversion.h"
#include "bench.h"
#include "milgen/ane/engine.h"
#include "milgen/ane/surface.h"

namespace {

using namespace milgen::ane;
using milgen::bench::bare_narrow;
using milgen::bench::bare_widen;
using milgen::bench::Race;

bool all_good = true;

/// A region of a tensor in a surface, and as much memory beside it.
struct Subject {
  const char* name;
  Surface surface;
  TensorLayout layout;
  Region region;
  std::int64_t channels;
  std::int64_t columns;
  std::vector<std::byte> beside;

  std::size_t count() const { return static_cast<std::size_t>(channels * columns); }
  /// Where a channel's first column stands in the memory beside the surface.
  std::uint16_t* row(std::int64_t channel) {
    return reinterpret_cast<std::uint16_t*>(beside.data() +
                                            (region.first_channel + channel) * layout.plane_stride +
                                            2 * region.first_column);
  }
  bool one_run() const { return layout.contiguous() && columns == layout.width; }

  /// `move(elements of the memory beside, index of the first value, number)` for each run.
  template <class Move>
  void for_each_run(const Move& move) {
    if (one_run()) return move(row(0), std::size_t{0}, count());
    const auto width = static_cast<std::size_t>(columns);
    for (std::int64_t c = 0; c < channels; ++c) {
      move(row(c), static_cast<std::size_t>(c) * width, width);
    }
  }
};

void race(const char* what, const Subject& subject, int rounds, const std::function<void()>& bare,
          const std::function<Error()>& ours) {
  // A turn takes some 200 us at least.
  const int repeats =
      static_cast<int>(std::size_t{1} << 20) / static_cast<int>(subject.count()) + 1;
  Race race(rounds, 1);
  const std::size_t a = race.add([&] {
    for (int i = 0; i < repeats; ++i) bare();
  });
  const std::size_t b = race.add([&] {
    for (int i = 0; i < repeats; ++i) all_good &= !ours();
  });
  race.run();
  std::printf("  %-11s %9.1f us  bare %9.1f us  %.2f of bare\n", what,
              1e6 * race.median(b) / repeats, 1e6 * race.median(a) / repeats,
              race.median(a) / race.median(b));
}

void rows(Subject subject, int rounds) {
  std::vector<std::uint16_t> halves(subject.count());
  std::vector<float> floats(subject.count());
  for (std::size_t i = 0; i < floats.size(); ++i) {
    floats[i] = static_cast<float>(i % 9973) * 0.001f - 5.0f;
  }
  bare_narrow(floats.data(), halves.data(), halves.size());
  std::printf("%s: %lld channels of %lld columns of %lld, %s\n", subject.name,
              static_cast<long long>(subject.channels), static_cast<long long>(subject.columns),
              static_cast<long long>(subject.layout.width),
              subject.one_run() ? "in one run" : "row by row");
  race(
      "write fp16", subject, rounds,
      [&] {
        subject.for_each_run([&](std::uint16_t* at, std::size_t first, std::size_t count) {
          std::memcpy(at, halves.data() + first, 2 * count);
        });
        milgen::bench::keep(subject.beside.data());
      },
      [&] { return write_fp16(subject.surface, subject.layout, halves, subject.region); });
  race(
      "write fp32", subject, rounds,
      [&] {
        subject.for_each_run([&](std::uint16_t* at, std::size_t first, std::size_t count) {
          bare_narrow(floats.data() + first, at, count);
        });
        milgen::bench::keep(subject.beside.data());
      },
      [&] { return write_fp32(subject.surface, subject.layout, floats, subject.region); });
  race(
      "read fp16", subject, rounds,
      [&] {
        subject.for_each_run([&](std::uint16_t* at, std::size_t first, std::size_t count) {
          std::memcpy(halves.data() + first, at, 2 * count);
        });
        milgen::bench::keep(halves.data());
      },
      [&] { return read_fp16(subject.surface, subject.layout, halves, subject.region); });
  race(
      "read fp32", subject, rounds,
      [&] {
        subject.for_each_run([&](std::uint16_t* at, std::size_t first, std::size_t count) {
          bare_widen(at, floats.data() + first, count);
        });
        milgen::bench::keep(floats.data());
      },
      [&] { return read_fp32(subject.surface, subject.layout, floats, subject.region); });
}

bool bench(const Engine& engine, const char* name, const milgen::Shape& shape, const Region& region,
           int rounds) {
  const Result<TensorLayout> layout = make_layout(name, milgen::DType::fp16, shape);
  if (!layout) return false;
  const Result<Surface> surface = Surface::create(engine, layout->alloc_bytes());
  if (!surface) return false;
  Subject subject = {.name = name,
                     .surface = *surface,
                     .layout = *layout,
                     .region = region,
                     .channels = region.channels == -1 ? layout->channels : region.channels,
                     .columns = region.columns == -1 ? layout->width : region.columns,
                     .beside = {}};
  subject.beside.resize(static_cast<std::size_t>(surface->bytes()));
  rows(std::move(subject), rounds);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = milgen::bench::is_quick(argc, argv);
  const int rounds = quick ? 3 : 41;
  setenv("MILGEN_FAKE_ANE", "log=0", 1);  // NOLINT(concurrency-mt-unsafe): before any thread
  const Result<Engine> engine = Engine::open({.library = MILGEN_FAKE_ANE_LIBRARY});
  if (!engine) {
    std::printf("%s\n", engine.error().text().c_str());
    return 1;
  }
  std::printf("values in surfaces, engine: %s, one thread%s\n",
              std::string(engine->label()).c_str(),
              milgen::bench::has_bare_loop() ? "" : "; the machine has no conversion instruction");
  struct Row {
    const char* name;
    milgen::Shape shape;
    Region region;
  };
  const Row table[] = {
      {"weight", {1, 2048, 1, 768}, {}},
      {"weight, padded", {1, 2048, 1, 760}, {}},
      {"activation", {1, 768, 1, 256}, {}},
      {"activation, padded", {1, 768, 1, 250}, {}},
      {"one token", {1, 768, 1, 1}, {}},
      {"weight beside an activation", {1, 768, 1, 1024}, {0, -1, 256, 768}},
      {"some channels", {1, 768, 1, 256}, {256, 256, 0, -1}},
  };
  for (const Row& row : table) {
    all_good &= bench(*engine, row.name, row.shape, row.region, rounds);
  }
  return all_good ? 0 : 1;
}
