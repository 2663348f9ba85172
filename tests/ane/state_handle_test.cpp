#include "milgen/ane/state_handle.h"

#include <doctest/doctest.h>

#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"

namespace milgen::test {
namespace {

using ane::ErrorKind;

/// Two states: a running sum and a count; y is the sum, doubled.
constexpr std::string_view kRunning = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x, tensor<fp16, [1, 2, 1, 4]> sum, tensor<fp16, [1, 1, 1, 1]> count) {
            tensor<fp16, [1, 2, 1, 4]> new_sum = add(x = sum, y = x)[name = string("new_sum")];
            tensor<fp16, [1, 1, 1, 1]> one = const()[name = string("one"), val = tensor<fp16, [1, 1, 1, 1]>([[[[0x1p+0]]]])];
            tensor<fp16, [1, 1, 1, 1]> new_count = add(x = count, y = one)[name = string("new_count")];
            tensor<fp16, [1, 2, 1, 4]> y = add(x = new_sum, y = new_sum)[name = string("y")];
        } -> (y, new_sum, new_count);
})";

const std::vector<ane::StatePair> kPairs = {{"sum", "new_sum"}, {"count", "new_count"}};

std::vector<float> all(float value) { return std::vector<float>(8, value); }

ane::StateHandle handle_of(ane::Model& model) {
  auto handle = ane::StateHandle::create(model, kPairs, 3);
  REQUIRE_MESSAGE(handle, handle.error().text());
  return *handle;
}

std::vector<float> state_of(const ane::StateHandle& handle, std::size_t which, std::size_t size) {
  std::vector<float> values(size);
  const ane::Error error = handle.read_fp32(which, values);
  CHECK_MESSAGE(!error, error.text());
  return values;
}

void expect(const ane::Error& error, ErrorKind kind, std::string_view message) {
  CHECK(error.kind() == kind);
  CHECK(error.detail().message == message);
}

}  // namespace

TEST_CASE("states go from one evaluation to the next") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kRunning);
  ane::StateHandle handle = handle_of(model);
  CHECK(handle.size() == 2);
  for (int round = 0; round < 2; ++round) {
    float sum = 0;
    for (int i = 1; i <= 3; ++i) {
      write(model, "x", all(static_cast<float>(i)));
      REQUIRE_FALSE(handle.evaluate());
      sum += static_cast<float>(i);
      CHECK(read(model, "y") == all(2 * sum));
      CHECK(state_of(handle, 0, 8) == all(sum));
      CHECK(state_of(handle, 1, 1) == std::vector<float>{static_cast<float>(i)});
      REQUIRE_FALSE(handle.advance(1));
      CHECK(handle.position() == i);
      CHECK(handle.remaining() == 3 - i);
    }
    expect(handle.advance(1), ErrorKind::argument, "1 positions do not follow position 3 of 3");
    expect(handle.advance(-1), ErrorKind::argument, "-1 positions do not follow position 3 of 3");
    REQUIRE_FALSE(handle.reset());
    CHECK(handle.position() == 0);
    CHECK(state_of(handle, 0, 8) == all(0));
  }
}

TEST_CASE("states are written") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kRunning);
  ane::StateHandle handle = handle_of(model);
  write(model, "x", all(1));
  REQUIRE_FALSE(handle.evaluate());
  REQUIRE_FALSE(handle.write_fp32(0, all(10)));
  const std::vector<std::uint16_t> five = halves(std::vector<float>{5});
  REQUIRE_FALSE(handle.write_packed(1, std::as_bytes(std::span(five))));
  REQUIRE_FALSE(handle.evaluate());
  CHECK(state_of(handle, 0, 8) == all(11));
  std::vector<std::uint16_t> count(1);
  REQUIRE_FALSE(handle.read_packed(1, std::as_writable_bytes(std::span(count))));
  CHECK(count == halves(std::vector<float>{6}));
  expect(handle.write_fp32(2, all(1)), ErrorKind::argument, "there is no state 2, only 2 of them");
}

TEST_CASE("an evaluation that fails leaves the states as they were") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kRunning);
  ane::StateHandle handle = handle_of(model);
  write(model, "x", all(1));
  REQUIRE_FALSE(handle.evaluate());
  FakeScope::set("fail_evaluate", "1");
  CHECK(handle.evaluate().kind() == ErrorKind::evaluate);
  CHECK(state_of(handle, 0, 8) == all(1));
  REQUIRE_FALSE(handle.evaluate());
  CHECK(state_of(handle, 0, 8) == all(2));
}

TEST_CASE("what a state handle refuses") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kRunning);
  using Pairs = std::vector<ane::StatePair>;
  const auto refused = [&](const Pairs& pairs, std::int64_t positions = 3) {
    return ane::StateHandle::create(model, pairs, positions).error();
  };
  expect(refused(kPairs, 0), ErrorKind::argument,
         "states have room for at least 1 position, not 0");
  expect(refused({{"total", "new_sum"}}), ErrorKind::argument,
         "there is no input 'total', only 'x', 'sum', 'count'");
  expect(refused({{"sum", "sum"}}), ErrorKind::argument,
         "there is no output 'sum', only 'y', 'new_sum', 'new_count'");
  expect(refused({{"sum", "new_sum"}, {"x", "new_sum"}}), ErrorKind::argument,
         "the pair of 'x' and 'new_sum' shares a tensor with another pair");
  expect(refused({{"sum", "new_count"}}), ErrorKind::layout,
         "a state is read and written alike, but 'sum' is tensor<fp16, [1, 2, 1, 4]>, its rows 64 "
         "and its planes 64 bytes apart, and 'new_count' is tensor<fp16, [1, 1, 1, 1]>, its rows "
         "64 and its planes 64 bytes apart");
  FakeScope::set("fail_map", "always");
  CHECK(refused(kPairs).kind() == ErrorKind::map);
  FakeScope::set("fail_map", "0");
  ane::StateHandle none;
  CHECK(none.size() == 0);
  CHECK(none.remaining() == 0);
  CHECK(none.evaluate().kind() == ErrorKind::closed);
  CHECK(none.write_fp32(0, {}).kind() == ErrorKind::closed);
  ane::StateHandle handle = handle_of(model);
  CHECK_FALSE(model.close());
  expect(handle.evaluate(), ErrorKind::closed, "model 'test.mil' is closed");
  CHECK(handle.reset().kind() == ErrorKind::closed);
}

}  // namespace milgen::test
