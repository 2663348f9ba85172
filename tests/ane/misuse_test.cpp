// What users do to the runtime that they should not: threads against each other on one program, and
// bindings by hand that other hosts make.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "fake_ane/raw_client.h"
#include "milgen/ane/model.h"
#include "milgen/ane/request_pool.h"

namespace milgen::test {
namespace {

using namespace std::chrono_literals;
using ane::Error;
using ane::ErrorKind;
namespace raw = fake_ane::raw;

const std::vector<float> kOnes(128, 1.0F);

/// Two inputs and two outputs of different sizes, all beyond the 16 KiB that a surface has at
/// least, declared in another order than they sort in, with rows that have gaps.
constexpr std::string_view kLarge = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 512, 1, 40]> w, tensor<fp16, [1, 1024, 1, 40]> a) {
            tensor<fp16, [1, 512, 1, 40]> z = add(x = w, y = w)[name = string("z")];
            tensor<fp16, [1, 1024, 1, 40]> b = square(x = a)[name = string("b")];
        } -> (z, b);
})";
constexpr std::size_t kSmallElements = 512 * 40;
constexpr std::size_t kLargeElements = 1024 * 40;

std::vector<float> counted(std::size_t size) {
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<float>(i % 97);
  return values;
}

/// Errors that a thread may get whose model another one closes.
void closed_or_none(const Error& error) {
  CHECK_MESSAGE((!error || error.kind() == ErrorKind::closed), error.text());
}

/// Runs both at once.
template <class A, class B>
void together(const A& a, const B& b) {
  std::atomic<int> ready{0};
  const auto start = [&ready] {
    ++ready;
    while (ready < 2) std::this_thread::yield();
  };
  std::thread other([&] {
    start();
    b();
  });
  start();
  a();
  other.join();
}

/// A surface as other hosts make them, of packed bytes.
class RawSurface {
 public:
  explicit RawSurface(std::size_t bytes) {
    const raw::Pool pool;
    surface_ = raw::make_surface(static_cast<long long>(bytes));
  }
  RawSurface(const RawSurface&) = delete;
  RawSurface& operator=(const RawSurface&) = delete;
  ~RawSurface() { raw::symbol<void (*)(raw::Id)>("CFRelease")(surface_); }
  raw::Id get() const { return surface_; }

 private:
  raw::Id surface_;
};

/// kLarge, brought up by messages alone, evaluated once with this request; what the engine says of
/// it, and why.
std::string evaluated_by_hand(const std::vector<raw::Id>& inputs,
                              const std::vector<raw::Id>& outputs) {
  TemporaryFolder folder;
  const raw::Pool pool;
  const raw::Id model =
      raw::in_memory_model(kLarge, raw::send(raw::cls("NSDictionary"), "dictionary"));
  raw::write_folder(model, folder.path().string(), kLarge);
  REQUIRE(raw::compile(model).words == "");
  REQUIRE(raw::load(model).words == "");
  const raw::Failure failure = raw::evaluate(model, raw::request(inputs, {0, 1}, outputs, {0, 1}));
  CHECK(raw::unload(model).words == "");
  return failure.words + "; " + failure.reason;
}

}  // namespace

TEST_CASE("what binds by hand is refused, and milgen's binding gives the right numbers") {
  CleanTemporary temporary;
  FakeScope fake;
  fake.allow_violations();
  const std::string refusal =
      "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: Program "
      "Inference error; ";
  {
    // In declared order: the first symbol of the inputs is a.
    const RawSurface w(512 * 128);
    const RawSurface a(1024 * 128);
    const RawSurface z(512 * 128);
    const RawSurface b(1024 * 128);
    CHECK(evaluated_by_hand({w.get(), a.get()}, {z.get(), b.get()}) ==
          refusal + "the surface of a has 65536 bytes and takes 131072");
    // In the right order, of packed bytes.
    const RawSurface packed_w(kSmallElements * 2);
    const RawSurface packed_a(kLargeElements * 2);
    CHECK(evaluated_by_hand({packed_a.get(), packed_w.get()}, {b.get(), z.get()}) ==
          refusal + "the surface of a has 81920 bytes and takes 131072");
    CHECK(evaluated_by_hand({a.get(), w.get()}, {b.get(), z.get()}) == "; ");
  }
  ane::Model model = compiled(fake.engine(), kLarge);
  const std::vector<float> w = counted(kSmallElements);
  const std::vector<float> a = counted(kLargeElements);
  write(model, 0, w);
  write(model, 1, a);
  evaluate(model);
  const std::vector<float> z = read(model, 0);
  const std::vector<float> b = read(model, 1);
  for (std::size_t i = 0; i < w.size(); ++i) REQUIRE(z[i] == 2 * w[i]);
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(b[i] == float_from_half(half_from_float(a[i] * a[i])));
  }
}

TEST_CASE("a model that is closed while another thread uses it") {
  for (const auto bound : {0ms, 30'000ms}) {
    for (int round = 0; round < 20; ++round) {
      CleanTemporary temporary;
      FakeScope fake({{"latency_us", "50"}});
      ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = bound});
      const auto use = [&] {
        std::vector<float> values(128);
        for (Error error; !error;) {
          error = model.write_fp32("x", kOnes);
          if (!error) error = model.evaluate();
          if (!error) error = model.read_fp32("y", values);
          if (!error) error = copy_io(model, "y", model, "x");
          closed_or_none(error);
        }
      };
      const auto close = [&] {
        std::this_thread::sleep_for(std::chrono::microseconds(100 * (round % 10)));
        CHECK_FALSE(model.close());
        CHECK_FALSE(model.close());
      };
      together(use, close);
      CHECK(model.evaluate().kind() == ErrorKind::closed);
    }
  }
}

TEST_CASE("a model that is closed twice at once is unloaded once") {
  for (int round = 0; round < 20; ++round) {
    CleanTemporary temporary;
    FakeScope fake;
    ane::Model model = compiled(fake.engine(), kDouble);
    const auto close = [&] { CHECK_FALSE(model.close()); };
    together(close, close);
    CHECK(FakeScope::logged("unloadWithQoS") == 1);
  }
}

TEST_CASE("a model that goes while evaluations are under way") {
  for (int round = 0; round < 20; ++round) {
    CleanTemporary temporary;
    std::atomic<int> told{0};
    std::vector<ane::Evaluation> evaluations;
    {
      FakeScope fake({{"latency_us", "100"}});
      {
        ane::Model model = compiled(fake.engine(), kDouble);
        for (int i = 0; i < 10; ++i) {
          auto evaluation = model.evaluate_async([&](const Error&) { ++told; });
          REQUIRE(evaluation);
          evaluations.push_back(*evaluation);
        }
      }
      for (ane::Evaluation& evaluation : evaluations) closed_or_none(evaluation.wait());
      evaluations.clear();
      for (int i = 0; i < 2000 && told < 10; ++i) std::this_thread::sleep_for(1ms);
      CHECK(told == 10);
      for (int i = 0; i < 2000 && FakeScope::live("_ANEInMemoryModel") != 0; ++i) {
        std::this_thread::sleep_for(1ms);
      }
    }
  }
}

TEST_CASE("programs that feed each other from two threads do not wait for each other for ever") {
  CleanTemporary temporary;
  FakeScope fake;
  ane::Model one = compiled(fake.engine(), kDouble);
  ane::Model two = compiled(fake.engine(), kDouble);
  const auto feed = [](ane::Model& from, ane::Model& to) {
    for (int i = 0; i < 200; ++i) {
      CHECK_FALSE(copy_io(from, "y", to, "x"));
      if (i % 10 == 0) CHECK_FALSE(from.evaluate());
    }
  };
  together([&] { feed(one, two); }, [&] { feed(two, one); });
  const auto bind = [](ane::Model& from, ane::Model& to) {
    for (int i = 0; i < 20; ++i) CHECK_FALSE(share_surface(from, "y", to, "x"));
  };
  together([&] { bind(one, two); }, [&] { bind(two, one); });
}

TEST_CASE("surfaces are exchanged, and a pool is made, while another thread evaluates") {
  CleanTemporary temporary;
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", kOnes);
  std::atomic<bool> done{false};
  const auto evaluate_often = [&] {
    while (!done) CHECK_FALSE(model.evaluate());
  };
  const auto exchange = [&] {
    for (int i = 0; i < 20; ++i) {
      auto surface = ane::Surface::create(fake.engine(), 16384);
      REQUIRE(surface);
      CHECK_FALSE(model.set_output_surface("y", *surface));
      auto pool = ane::RequestPool::create(model, {});
      CHECK_MESSAGE(pool, pool.error().text());
      if (!pool) continue;
      auto request = pool->acquire();
      REQUIRE(request);
      CHECK_FALSE(request->write_fp32("x", kOnes));
      CHECK_FALSE(request->evaluate());
    }
    done = true;
  };
  together(evaluate_often, exchange);
  CHECK_FALSE(model.evaluate());
  CHECK(read(model, "y") == std::vector<float>(128, 2.0F));
}

TEST_CASE("many threads bring programs up and down at once") {
  CleanTemporary temporary;
  TemporaryFolder cache;
  FakeScope fake;
  const ane::Engine& engine = fake.engine();
  const auto live = [&](bool cached) {
    for (int i = 0; i < 10; ++i) {
      ane::ModelOptions options;
      options.cache = {cached, cache.file("cache")};
      Diagnostics diagnostics;
      auto model = ane::Model::compile(engine, kDouble, "test.mil", options, diagnostics);
      CHECK_MESSAGE(model, model.error().text());
      if (!model) continue;
      CHECK_FALSE(model->write_fp32("x", kOnes));
      CHECK_FALSE(model->evaluate());
      std::vector<float> values(128);
      CHECK_FALSE(model->read_fp32("y", values));
      CHECK(values == std::vector<float>(128, 2.0F));
    }
  };
  together([&] { live(true); }, [&] { together([&] { live(true); }, [&] { live(false); }); });
  // The cache's program is compiled once, the private ones each time.
  CHECK(fake.engine().ledger().compiles == 11);
}

}  // namespace milgen::test
