// What an evaluation costs the host beside the engine's work: Model::evaluate() against the bare
// messages (pool, evaluateWithQoS:options:request:error:, pool), with the same request of an empty
// program on the fake engine. The contestants take turns in one run.
//
//     bench_ane [--quick]
//
// The figures to look at: both ratios at most 2, and no allocation beside the engine's own.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "ane/model_state.h"
#include "bench.h"
#include "milgen/ane/model.h"
#include "milgen/diagnostic.h"
#include "support/counted_memory.h"

namespace {

using namespace milgen;

constexpr std::string_view kEmpty = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 1, 1, 32]> x) {
            tensor<fp16, [1, 1, 1, 32]> y = identity(x = x)[name = string("y")];
        } -> (y);
})";

bool all_good = true;

/// The messages alone, as the shortest program would send them.
void evaluate_bare(const ane::ModelState& state) {
  const ane::AutoreleasePool pool(state.platform());
  ane::Id error = nullptr;
  all_good &= state.runtime().send<ane::Bool>(state.in_memory.get(), ane::Message::evaluate,
                                              state.options.qos, state.call_options.get(),
                                              state.request.object.get(), &error);
}

ane::Model make_model(const ane::Engine& engine, std::chrono::milliseconds bound) {
  Diagnostics diagnostics;
  ane::Result<ane::Model> model =
      ane::Model::compile(engine, kEmpty, "empty.mil", {.evaluate_timeout = bound}, diagnostics);
  if (model) return *std::move(model);
  std::fprintf(stderr, "%s\n", model.error().text().c_str());
  std::exit(1);
}

double seconds_of(int repeats, const std::function<void()>& work) {
  return bench::seconds([&] {
    for (int i = 0; i < repeats; ++i) work();
  });
}

void race(const char* name, ane::Model& model, int rounds, int repeats) {
  const ane::ModelState& state = *model.state();
  const auto bare = [&] { evaluate_bare(state); };
  const auto ours = [&] { all_good &= !model.evaluate(); };
  bench::Race race(rounds, 1);
  const std::size_t a = race.add_timed([&] { return seconds_of(repeats, bare); });
  const std::size_t b = race.add_timed([&] { return seconds_of(repeats, ours); });
  race.run();
  const auto of_bare = test::memory_cost_of([&] { seconds_of(repeats, bare); }).allocations;
  const auto of_ours = test::memory_cost_of([&] { seconds_of(repeats, ours); }).allocations;
  std::printf("  %-22s %8.0f ns  bare %8.0f ns  %.2f of bare (least %.2f)  %lld allocations\n",
              name, 1e9 * race.median(b) / repeats, 1e9 * race.median(a) / repeats,
              race.median(b) / race.median(a), race.least(b) / race.least(a),
              static_cast<long long>(of_ours) - static_cast<long long>(of_bare));
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  // A log would grow with every message.
  setenv("MILGEN_FAKE_ANE", "log=0", 0);
  const ane::Result<ane::Engine> engine = ane::Engine::open({MILGEN_FAKE_ANE_LIBRARY});
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().text().c_str());
    return 1;
  }
  const int rounds = quick ? 1 : 101;
  const int repeats = quick ? 10 : 1000;
  std::printf("an evaluation of an empty program, engine: %s\n",
              std::string(engine->label()).c_str());
  ane::Model unbounded = make_model(*engine, std::chrono::milliseconds(0));
  race("on the caller's thread", unbounded, rounds, repeats);
  ane::Model bounded = make_model(*engine, ane::ModelOptions().evaluate_timeout);
  race("bounded", bounded, rounds, repeats);
  return all_good ? 0 : 1;
}
