#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane_bridge.h"
#include "milgen/weights.h"

using milgen::half_from_float;
using milgen::test::FakeScope;
using milgen::test::kDouble;
using milgen::test::kTwoAndTwo;
using milgen::test::kWeighted;

namespace {

/// The fake in place of the engine that the bridge opens: it has a milgen of its own, and with that
/// an engine of its own, which stays open.
struct BridgeScope {
  BridgeScope() {
    ::setenv("MILGEN_ANE_LIBRARY", FakeScope::library().c_str(), 1);
    ::setenv("MILGEN_ANE_PAUSE_MS", "0", 1);
    REQUIRE_MESSAGE(ane_bridge_init() == 0, ane_bridge_last_error());
  }
  FakeScope fake;
};

/// A kernel, freed at its end.
struct Kernel {
  explicit Kernel(ANEKernelHandle* made) : handle(made) {
    REQUIRE_MESSAGE(handle != nullptr, ane_bridge_last_error());
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel() { ane_bridge_free(handle); }
  ANEKernelHandle* handle;
};

using Sizes = std::vector<std::size_t>;

ANEKernelHandle* compile(std::string_view text, const Sizes& inputs, const Sizes& outputs,
                         const std::vector<std::uint8_t>& weights = {}) {
  return ane_bridge_compile(text.data(), text.size(), weights.empty() ? nullptr : weights.data(),
                            weights.size(), static_cast<int>(inputs.size()), inputs.data(),
                            static_cast<int>(outputs.size()), outputs.data());
}

void write(ANEKernelHandle* kernel, int index, const std::vector<float>& values) {
  const std::vector<std::uint16_t> bits = milgen::test::halves(values);
  ane_bridge_write_input(kernel, index, bits.data(), bits.size() * 2);
  CHECK(ane_bridge_last_error() == std::string_view());
}

std::vector<float> read(ANEKernelHandle* kernel, int index, std::size_t count) {
  std::vector<std::uint16_t> bits(count);
  ane_bridge_read_output(kernel, index, bits.data(), count * 2);
  CHECK(ane_bridge_last_error() == std::string_view());
  std::vector<float> values;
  for (const std::uint16_t half : bits) values.push_back(milgen::float_from_half(half));
  return values;
}

void evaluate(ANEKernelHandle* kernel) {
  CHECK_MESSAGE(ane_bridge_run(kernel), ane_bridge_last_error());
}

std::string last_error() { return ane_bridge_last_error(); }

/// A blob as bytes.
std::vector<std::uint8_t> taken(std::uint8_t* blob, std::size_t size) {
  REQUIRE_MESSAGE(blob != nullptr, ane_bridge_last_error());
  std::vector<std::uint8_t> bytes(blob, blob + size);
  ane_bridge_free_blob(blob);
  return bytes;
}

/// kDouble with another name of its output: a text that no other test compiles.
std::string own_double(const std::string& name) {
  std::string text(kDouble);
  const auto replace = [&text](std::string_view part, const std::string& by) {
    text.replace(text.find(part), part.size(), by);
  };
  replace("> y =", "> " + name + " =");
  replace("\"y\"", "\"" + name + "\"");
  replace("(y)", "(" + name + ")");
  return text;
}

const Sizes kDoubleSize = {4 * 32 * 2};

}  // namespace

TEST_CASE("indices of inputs and outputs are those of the text, whatever sorts first") {
  const BridgeScope bridge;
  const Kernel kernel(compile(kTwoAndTwo, {16, 16}, {16, 4}));
  write(kernel.handle, 0, {10, 20, 30, 40, 50, 60, 70, 80});
  write(kernel.handle, 1, {1, 2, 3, 4, 5, 6, 7, 8});
  evaluate(kernel.handle);
  CHECK(read(kernel.handle, 0, 8) == std::vector<float>{9, 18, 27, 36, 45, 54, 63, 72});
  CHECK(read(kernel.handle, 1, 2) == std::vector<float>{90, 234});
}

TEST_CASE("a kernel is compiled, loaded, evaluated and unloaded once") {
  const BridgeScope bridge;
  const std::string text = own_double("once");
  {
    const Kernel kernel(compile(text, kDoubleSize, kDoubleSize));
    write(kernel.handle, 0, std::vector<float>(128, 1.5f));
    evaluate(kernel.handle);
    CHECK(read(kernel.handle, 0, 128) == std::vector<float>(128, 3.0f));
  }
  CHECK(FakeScope::logged("compileWithQoS:options:error:]") == 1);
  CHECK(FakeScope::logged("loadWithQoS:options:error:]") == 1);
  CHECK(FakeScope::logged("evaluateWithQoS:options:request:error:]") == 1);
  CHECK(FakeScope::logged("unloadWithQoS:error:]") == 1);
}

TEST_CASE("a weight file is the one that the text names") {
  const BridgeScope bridge;
  const std::array<float, 4> weights = {1, 2, 3, 4};
  std::size_t size = 0;
  auto* const made = ane_bridge_build_weight_blob(weights.data(), 1, 4, &size);
  const std::vector<std::uint8_t> blob = taken(made, size);
  const Kernel kernel(compile(kWeighted, {8}, {8}, blob));
  write(kernel.handle, 0, {5, 5, 5, 5});
  evaluate(kernel.handle);
  CHECK(read(kernel.handle, 0, 4) == std::vector<float>{5, 10, 15, 20});

  SUBCASE("and one that is no weight file is refused") {
    std::vector<std::uint8_t> broken = blob;
    broken[64] = 0;
    CHECK(compile(kWeighted, {8}, {8}, broken) == nullptr);
    CHECK(last_error().starts_with("the program's weights have 1 error: "));
  }
  SUBCASE("and one that no BLOBFILE names does no harm") {
    const Kernel other(compile(kDouble, kDoubleSize, kDoubleSize, blob));
    CHECK(last_error().empty());
  }
}

TEST_CASE("weight files of several chunks, as hand-written tools make them, are taken") {
  const BridgeScope bridge;
  // The count is 1, and the second record stands right behind the first payload, at no multiple of
  // 64 (mil_text_format, section 6.1).
  constexpr std::string_view kText = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [4]> x) {
            tensor<fp16, [4]> a = const()[name = string("a"), val = tensor<fp16, [4]>(BLOBFILE(path = string("@model_path/weights/qkv.bin"), offset = uint64(64)))];
            tensor<fp16, [4]> b = const()[name = string("b"), val = tensor<fp16, [4]>(BLOBFILE(path = string("@model_path/weights/qkv.bin"), offset = uint64(136)))];
            tensor<fp16, [4]> c = mul(x = x, y = a)[name = string("c")];
            tensor<fp16, [4]> y = add(x = c, y = b)[name = string("y")];
        } -> (y);
})";
  const std::array<float, 4> first = {1, 2, 3, 4};
  const std::array<float, 4> second = {10, 20, 30, 40};
  std::size_t size = 0;
  auto* made = ane_bridge_build_weight_blob(first.data(), 1, 4, &size);
  std::vector<std::uint8_t> blob = taken(made, size);
  made = ane_bridge_build_weight_blob(second.data(), 1, 4, &size);
  std::vector<std::uint8_t> chunk = taken(made, size);
  chunk.erase(chunk.begin(), chunk.begin() + 64);
  chunk[16] = static_cast<std::uint8_t>(136 + 64);  // where the payload is in the whole file
  blob.insert(blob.end(), chunk.begin(), chunk.end());
  const Kernel kernel(compile(kText, {8}, {8}, blob));
  write(kernel.handle, 0, {1, 1, 1, 1});
  evaluate(kernel.handle);
  CHECK(read(kernel.handle, 0, 4) == std::vector<float>{11, 22, 33, 44});
}

TEST_CASE("what the engine refuses is said, and leaves nothing") {
  const BridgeScope bridge;
  ane_bridge_reset_compile_count();
  SUBCASE("compiling") {
    FakeScope::set("fail_compile", "1");
    CHECK(compile(own_double("refused"), kDoubleSize, kDoubleSize) == nullptr);
    CHECK(last_error().starts_with("the engine does not compile <text>"));
    CHECK(last_error().find("com.apple.appleneuralengine") != std::string::npos);
    CHECK(ane_bridge_get_compile_count() == 0);
    CHECK(last_error().empty());
    const Kernel kernel(compile(own_double("refused"), kDoubleSize, kDoubleSize));
    CHECK(ane_bridge_get_compile_count() == 1);
  }
  SUBCASE("loading") {
    FakeScope::set("fail_load", "always");
    CHECK(compile(own_double("unloadable"), kDoubleSize, kDoubleSize) == nullptr);
    CHECK(last_error().starts_with("the engine does not load <text>"));
    CHECK(ane_bridge_get_compile_count() == 0);
  }
  SUBCASE("loading, once") {
    FakeScope::set("fail_load", "1");
    const Kernel kernel(compile(own_double("loaded_late"), kDoubleSize, kDoubleSize));
    CHECK(ane_bridge_get_compile_count() == 1);
  }
  SUBCASE("evaluating, once") {
    const Kernel kernel(compile(kDouble, kDoubleSize, kDoubleSize));
    FakeScope::set("fail_evaluate", "1");
    CHECK_FALSE(ane_bridge_eval(kernel.handle));
    CHECK(last_error().find("com.apple.appleneuralengine") != std::string::npos);
    CHECK(ane_bridge_eval(kernel.handle));
    CHECK(last_error().empty());
  }
}

TEST_CASE("weight files without a name or bytes are refused") {
  const BridgeScope bridge;
  const std::uint8_t byte = 0;
  const auto refused = [&](const char* name, const std::uint8_t* data) {
    const std::size_t size = 1;
    CHECK(ane_bridge_compile_multi_weights(kDouble.data(), kDouble.size(), &name, &data, &size, 1,
                                           1, kDoubleSize.data(), 1,
                                           kDoubleSize.data()) == nullptr);
    return last_error();
  };
  CHECK(refused(nullptr, &byte) == "the name of weight file 0 is NULL");
  CHECK(refused("@model_path/weights/w.bin", nullptr) == "the data of weight file 0 is NULL");
}

TEST_CASE("the last error is one of each thread") {
  const BridgeScope bridge;
  CHECK_FALSE(ane_bridge_eval(nullptr));
  std::thread([] {
    CHECK(last_error().empty());
    ane_bridge_end_realtime();
    CHECK(last_error() == "no real-time task was begun");
  }).join();
  CHECK(last_error() == "the kernel is NULL");
}

TEST_CASE("threads may use one kernel, and free it under each other's hands") {
  const BridgeScope bridge;
  auto* const kernel = compile(kDouble, kDoubleSize, kDoubleSize);
  REQUIRE_MESSAGE(kernel != nullptr, last_error());
  write(kernel, 0, std::vector<float>(128, 1.0f));
  const auto use = [kernel](int times) {
    for (int i = 0; i < times; ++i) {
      if (ane_bridge_eval(kernel)) continue;
      CHECK(last_error().ends_with("was freed, or never was one"));
      return;
    }
  };
  std::thread first(use, 100);
  std::thread second(use, 100);
  first.join();
  second.join();
  CHECK(FakeScope::logged("evaluateWithQoS:options:request:error:]") == 200);
  CHECK(read(kernel, 0, 128) == std::vector<float>(128, 2.0f));

  std::thread user(use, INT_MAX);
  ane_bridge_free(kernel);
  CHECK(last_error().empty());
  user.join();
  ane_bridge_free(kernel);
  CHECK(last_error().ends_with("was freed, or never was one"));
}

TEST_CASE("a handle is never given out twice") {
  const BridgeScope bridge;
  auto* const first = compile(kDouble, kDoubleSize, kDoubleSize);
  ane_bridge_free(first);
  const Kernel second(compile(kDouble, kDoubleSize, kDoubleSize));
  CHECK(first != second.handle);
  CHECK_FALSE(ane_bridge_eval(first));
}

TEST_CASE("a kernel may feed itself, and its inputs keep what was written") {
  const BridgeScope bridge;
  const Kernel kernel(compile(kDouble, kDoubleSize, kDoubleSize));
  write(kernel.handle, 0, std::vector<float>(128, 1.0f));
  for (int i = 0; i < 3; ++i) {
    evaluate(kernel.handle);
    ane_bridge_copy_io(kernel.handle, 0, kernel.handle, 0);
    CHECK(last_error().empty());
  }
  CHECK(read(kernel.handle, 0, 128) == std::vector<float>(128, 8.0f));
}

TEST_CASE("a real-time task is asked for once, however it is nested") {
  const BridgeScope bridge;
  const Kernel kernel(compile(kDouble, kDoubleSize, kDoubleSize));
  for (int i = 0; i < 2; ++i) ane_bridge_begin_realtime();
  CHECK(last_error().empty());
  evaluate(kernel.handle);
  ane_bridge_end_realtime();
  CHECK(FakeScope::logged("endRealTimeTask]") == 0);
  ane_bridge_end_realtime();
  CHECK(last_error().empty());
  CHECK(FakeScope::logged("beginRealTimeTask]") == 1);
  CHECK(FakeScope::logged("endRealTimeTask]") == 1);
}

TEST_CASE("a forked child is told that it may not") {
  const BridgeScope bridge;
  const Kernel kernel(compile(kDouble, kDoubleSize, kDoubleSize));
  const pid_t child = ::fork();
  if (child == 0) {
    const bool evaluated = ane_bridge_eval(kernel.handle);
    const bool told = last_error().find("fork") != std::string::npos;
    ::_exit(!evaluated && told ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  evaluate(kernel.handle);
}

TEST_CASE("weight files of matrices are those of the library") {
  constexpr int kRows = 67;
  constexpr int kColumns = 130;
  std::vector<float> values(std::size_t{kRows} * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i) * 0.37f - 900.0f;
  }
  values[5] = 1e6f;
  std::vector<std::uint16_t> rows = milgen::test::halves(values);
  std::vector<std::uint16_t> columns(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    columns[i % kColumns * kRows + i / kColumns] = rows[i];
  }
  const auto expected = [](const std::vector<std::uint16_t>& halves) {
    const milgen::WeightPayload payload = {milgen::DType::fp16, std::as_bytes(std::span(halves))};
    const std::vector<std::byte> file = milgen::weight_file_bytes({&payload, 1});
    std::vector<std::uint8_t> bytes(file.size());
    std::memcpy(bytes.data(), file.data(), file.size());
    return bytes;
  };
  std::size_t size = 0;
  auto* made = ane_bridge_build_weight_blob(values.data(), kRows, kColumns, &size);
  CHECK(taken(made, size) == expected(rows));
  made = ane_bridge_build_weight_blob_transposed(values.data(), kRows, kColumns, &size);
  CHECK(taken(made, size) == expected(columns));
  CHECK(rows[5] == 0x7C00);
}

TEST_CASE("quantized values are multiples of one scale, halves away from zero") {
  const std::array<float, 6> values = {-254, 254, 1, -1, 0.999f, 3};
  std::size_t size = 0;
  float scale = 0;
  auto* const made = ane_bridge_build_weight_blob_quantized(values.data(), 3, 2, &scale, &size);
  const std::vector<std::uint8_t> blob = taken(made, size);
  CHECK(scale == 2.0f);
  REQUIRE(blob.size() == 64 + 6);
  const std::array<std::int8_t, 6> steps = {-127, 127, 1, -1, 0, 2};
  CHECK(std::memcmp(blob.data() + 64, steps.data(), steps.size()) == 0);

  const float infinite = std::numeric_limits<float>::infinity();
  CHECK(ane_bridge_build_weight_blob_quantized(&infinite, 1, 1, &scale, &size) == nullptr);
  CHECK(last_error() == "value 0 is inf, and only finite ones can be scaled");
}
