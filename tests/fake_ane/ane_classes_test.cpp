// The private classes of the fake engine, from the outside: messages by casts, no milgen between.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fake_ane/raw_client.h"
#include "support/temporary_folder.h"

namespace milgen::fake_ane {
namespace {

using namespace raw;  // NOLINT(google-build-using-namespace): the client is the test

/// Names that do not sort as declared, and rows with gaps.
constexpr std::string_view kSub = R"(program(1.3)
{
    func main<ios18>(tensor<fp32, [1, 2, 3]> w, tensor<fp32, [1, 3]> a) {
            tensor<fp32, [1, 2, 3]> z = sub(x = w, y = a)[name = string("z")];
            tensor<fp32, [1, 2, 1]> b = reduce_sum(x = z, axes = tensor<int32, [1]>([-1]), keep_dims = bool(true))[name = string("b")];
        } -> (z, b);
}
)";

constexpr std::string_view kAbs = R"(program(1.3)
{
    func main<ios18>(tensor<fp32, [4]> x) {
            tensor<fp32, [4]> y = abs(x = x)[name = string("y")];
        } -> (y);
}
)";

constexpr std::string_view kWeighted = R"(program(1.3)
{
    func main<ios18>(tensor<fp16, [1, 4]> x) {
            tensor<fp16, [1, 4]> w = const()[name = string("w"), val = tensor<fp16, [1, 4]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
            tensor<fp16, [1, 4]> y = mul(x = x, y = w)[name = string("y")];
        } -> (y);
}
)";

/// Settings and counts as new before and after; nothing is left alive, and nothing was objected to
/// that the test did not ask for.
class Fresh {
 public:
  Fresh() {
    REQUIRE(library() != nullptr);
    reset();
    set("trap", "record");
    before_ = live(nullptr);
  }
  Fresh(const Fresh&) = delete;
  Fresh& operator=(const Fresh&) = delete;
  ~Fresh() {
    CHECK(live(nullptr) == before_);
    CHECK(violations() == "");
    if (live(nullptr) != before_) MESSAGE(report("milgen_fake_ane_live_report"));
    reset();
  }
  /// What was objected to since the last time; forgets it and the settings.
  std::string take_violations() {
    std::string lines = violations();
    reset();
    set("trap", "record");
    return lines;
  }

 private:
  long before_ = 0;
};

/// A surface that is released with it.
class Surface {
 public:
  explicit Surface(long long bytes) {
    const Pool pool;
    id_ = make_surface(bytes);
  }
  Surface(const Surface&) = delete;
  Surface& operator=(const Surface&) = delete;
  ~Surface() { symbol<void (*)(Id)>("CFRelease")(id_); }
  Id id() const { return id_; }

 private:
  Id id_;
};

/// abs, compiled and loaded in a folder of its own.
class AbsModel {
 public:
  AbsModel() {
    const Pool pool;
    model_ = retain(in_memory_model(kAbs, send(cls("NSDictionary"), "dictionary")));
    write_folder(model_, folder_.path().string(), kAbs);
    REQUIRE(compile(model_).words == "");
    REQUIRE(load(model_).words == "");
    write_floats(x_.id(), 0, {-1, -2, 3, -4});
    request_ = retain(request({x_.id()}, {0}, {y_.id()}, {0}));
  }
  AbsModel(const AbsModel&) = delete;
  AbsModel& operator=(const AbsModel&) = delete;
  ~AbsModel() {
    const Pool pool;
    if (send<std::uint64_t>(model_, "programHandle") != 0) CHECK(unload(model_).words == "");
    release(request_);
    release(model_);
  }
  Failure run() const {
    const Pool pool;
    return evaluate(model_, request_);
  }
  Id model() const { return model_; }
  Id request_object() const { return request_; }
  Id x() const { return x_.id(); }
  Id y() const { return y_.id(); }

 private:
  TemporaryFolder folder_;
  Surface x_{64};
  Surface y_{64};
  Id model_ = nullptr;
  Id request_ = nullptr;
};

TEST_CASE("the whole life of a program") {
  const Fresh fresh;
  const TemporaryFolder folder;
  const Pool pool;
  const Id model = in_memory_model(kSub, send(cls("NSDictionary"), "dictionary"));
  REQUIRE(model != nullptr);
  const std::string identifier = text(send(model, "hexStringIdentifier"));
  CHECK(identifier.size() == 3 * 64 + 2);
  CHECK(identifier[64] == '_');
  CHECK(text(send(model, "localModelPath")).ends_with("/" + identifier));
  write_folder(model, folder.path().string(), kSub);
  CHECK(text(send(send(model, "modelURL"), "path")) == folder.path().string());
  CHECK_FALSE(send<bool>(model, "compiledModelExists"));
  CHECK(load(model).words == "Program load failure (0x20004)");
  CHECK(load(model).code == 6);
  CHECK(send(model, "model") == nullptr);
  REQUIRE(compile(model).words == "");
  CHECK(send<bool>(model, "compiledModelExists"));
  REQUIRE(load(model).words == "");
  CHECK(send<std::uint64_t>(model, "programHandle") != 0);
  CHECK(send<signed char>(model, "queueDepth") == 127);
  CHECK(send<std::uint64_t>(model, "intermediateBufferHandle") == 0);
  CHECK(send(model, "program") != nullptr);

  const Surface a(64);
  const Surface w(128);
  const Surface b(128);
  const Surface z(128);
  write_floats(w.id(), 0, {10, 20, 30});
  write_floats(w.id(), 64, {40, 50, 60});
  write_floats(a.id(), 0, {1, 2, 3});
  const Id right = request({a.id(), w.id()}, {0, 1}, {b.id(), z.id()}, {0, 1});
  CHECK(send<bool>(right, "validate"));
  Id error = nullptr;
  CHECK(send<bool>(model, "mapIOSurfacesWithRequest:cacheInference:error:", right, true, &error));
  CHECK(evaluate(model, right).words == "");
  CHECK(read_float(z.id(), 64 + 8) == 57.0f);
  CHECK(read_float(b.id(), 64) == 144.0f);
  send<void>(model, "unmapIOSurfacesWithRequest:", right);
  CHECK(unload(model).words == "");
  send<void>(model, "purgeCompiledModel");
  CHECK_FALSE(send<bool>(model, "compiledModelExists"));
  CHECK(folder.entries() == 2);
  CHECK(log().find("-[_ANEInMemoryModel loadWithQoS:options:error:] qos=21 options={} -> 1") !=
        std::string::npos);
}

TEST_CASE("a loaded model tells its symbols and strides") {
  const Fresh fresh;
  const TemporaryFolder folder;
  const Pool pool;
  const Id model = in_memory_model(kSub, nullptr);
  write_folder(model, folder.path().string(), kSub);
  REQUIRE(compile(model).words == "");
  CHECK(send(model, "modelAttributes") == nullptr);
  REQUIRE(load(model).words == "");
  const Id attributes = send(model, "modelAttributes");
  const Id description = find(attributes, "ANEFModelDescription");
  const Id inputs = find(description, "kANEFModelInputSymbolsArrayKey");
  REQUIRE(send<std::size_t>(inputs, "count") == 2);
  CHECK(text(send(inputs, "objectAtIndex:", std::size_t{0})) == "a");
  CHECK(text(send(inputs, "objectAtIndex:", std::size_t{1})) == "w");
  const Id outputs = find(description, "kANEFModelOutputSymbolsArrayKey");
  CHECK(text(send(outputs, "objectAtIndex:", std::size_t{0})) == "b@output");
  const Id network = send(find(attributes, "NetworkStatusList"), "objectAtIndex:", std::size_t{0});
  const Id live_inputs = find(network, "LiveInputList");
  const Id w = send(live_inputs, "objectAtIndex:", std::size_t{1});
  CHECK(text(find(w, "Name")) == "w");
  CHECK(text(find(w, "Type")) == "Float32");
  CHECK(send<long long>(find(w, "RowStride"), "longLongValue") == 64);
  CHECK(send<long long>(find(w, "Height"), "longLongValue") == 2);
  CHECK(send<long long>(find(w, "BatchStride"), "longLongValue") == 128);

  const Id inner = send(model, "model");
  const Id symbols = send(inner, "inputSymbolIndicesForProcedureIndex:", 0u);
  CHECK(send<std::size_t>(symbols, "count") == 2);
  CHECK(send<std::size_t>(symbols, "firstIndex") == 0);
  CHECK(send<std::size_t>(send(inner, "outputSymbolIndicesForProcedureIndex:", 3u), "count") == 0);
  CHECK(send(inner, "procedureInfoForProcedureIndex:", 0u) != nullptr);
  CHECK(send(inner, "procedureInfoForProcedureIndex:", 1u) == nullptr);
  CHECK(send(inner, "getUUID") != nullptr);
  CHECK(unload(model).words == "");

  set("attributes", "0");
  REQUIRE(load(model).words == "");
  CHECK(send(model, "modelAttributes") == nullptr);
  CHECK(send<std::size_t>(send(inner, "inputSymbolIndicesForProcedureIndex:", 0u), "count") == 0);
  CHECK(unload(model).words == "");
}

TEST_CASE("strict refuses the order of declaration, and the real thing computes nonsense") {
  Fresh fresh;
  const TemporaryFolder folder;
  const Pool pool;
  const Id model = in_memory_model(kSub, nullptr);
  write_folder(model, folder.path().string(), kSub);
  REQUIRE(compile(model).words == "");
  REQUIRE(load(model).words == "");
  const Surface w(128);
  const Surface a(64);
  const Surface z(128);
  const Surface b(128);
  write_floats(w.id(), 0, {10, 20, 30});
  write_floats(w.id(), 64, {40, 50, 60});
  write_floats(a.id(), 0, {1, 2, 3});
  const Id naive = request({w.id(), a.id()}, {0, 1}, {z.id(), b.id()}, {0, 1});
  const Failure small = evaluate(model, naive);
  CHECK(small.code == 8);
  CHECK(small.domain == "com.apple.appleneuralengine");
  CHECK(small.words ==
        "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: Program "
        "Inference error");
  CHECK(small.reason == "the surface of w has 64 bytes and takes 128");
  const Failure wrong =
      evaluate(model, request({a.id(), w.id()}, {0, 0}, {b.id(), z.id()}, {0, 1}));
  CHECK(wrong.words.find("status=0x2 ") != std::string::npos);
  CHECK(fresh.take_violations() ==
        "the surface of w has 64 bytes and takes 128\n"
        "the 2 inputs that are bound are not the symbols a, w\n");

  set("strict", "0");
  CHECK(evaluate(model, naive).words == "");
  CHECK(read_float(b.id(), 0) == -9.0f);
  CHECK(unload(model).words == "");
}

TEST_CASE("settings make calls fail as documented") {
  Fresh fresh;
  const AbsModel model;
  const Pool pool;
  set("fail_compile", "1");
  const Failure compiled = compile(model.model());
  CHECK(compiled.code == 1);
  CHECK(compiled.words == "_ANECompiler : ANECCompile() FAILED");
  CHECK(compile(model.model()).words == "");

  CHECK(unload(model.model()).words == "");
  set("fail_load", "2");
  CHECK(load(model.model()).code == 6);
  CHECK(load(model.model()).code == 6);
  CHECK(load(model.model()).words == "");
  set("fail_evaluate", "always");
  CHECK(model.run().code == 8);
  CHECK(model.run().code == 8);
  set("fail_evaluate", "0");
  CHECK(model.run().words == "");
  set("fail_map", "1");
  Id error = nullptr;
  CHECK_FALSE(send<bool>(model.model(), "mapIOSurfacesWithRequest:cacheInference:error:",
                         model.request_object(), true, &error));
  CHECK(Failure(error).words == "Program IOSurfaces map failure");

  set("latency_us", "20000");
  const auto start = std::chrono::steady_clock::now();
  CHECK(model.run().words == "");
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(20));
}

TEST_CASE("the compile after the budget fails without a word") {
  const Fresh fresh;
  const AbsModel model;
  const Pool pool;
  set("budget", "2");
  CHECK(compile(model.model()).words == "");
  const Failure refused = compile(model.model());
  CHECK(refused.code == 0);
  CHECK(refused.words == "nothing said");
  CHECK(load(model.model()).words == "");
  CHECK(violations() == "a model is loaded twice\n");
  reset();
}

TEST_CASE("a call that hangs comes back when it is let go") {
  const Fresh fresh;
  const AbsModel model;
  set("hang", "evaluate");
  std::atomic<bool> done = false;
  std::thread thread([&] {
    model.run();
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK_FALSE(done);
  set("hang", "none");
  thread.join();
  CHECK(read_float(model.y(), 0) == 1.0f);
}

TEST_CASE("what crashes the real thing is trapped") {
  Fresh fresh;
  const AbsModel model;
  const Pool pool;
  const auto trapped = [&] { return fresh.take_violations(); };

  // A string for the text.
  CHECK(send(cls("_ANEInMemoryModelDescriptor"),
             "modelWithMILText:weights:optionsPlist:", string("program"), Id{}, Id{}) == nullptr);
  CHECK(trapped() != "");
  // Surfaces for surface objects, strings for indices, an integer's object that is none.
  const Id request_class = cls("_ANERequest");
  const char* five = "requestWithInputs:inputIndices:outputs:outputIndices:procedureIndex:";
  CHECK(send(request_class, five, array({model.x()}), array({number(0)}), array({model.y()}),
             array({number(0)}), number(0)) == nullptr);
  CHECK(trapped().find("which is no _ANEIOSurfaceObject") != std::string::npos);
  const Id x = array({surface_object(model.x())});
  const Id y = array({surface_object(model.y())});
  CHECK(send(request_class, five, x, array({string("x")}), y, array({number(0)}), number(0)) ==
        nullptr);
  CHECK(trapped() == "the array of input indices holds x, which is no NSNumber\n");
  CHECK(send(request_class, five, x, array({number(0)}), y, array({number(0)}), Id{}) == nullptr);
  CHECK(trapped() == "a request has no procedure index\n");
  const Id six =
      send(request_class,
           "requestWithInputs:inputIndices:outputs:outputIndices:perfStats:procedureIndex:", x,
           array({number(0)}), y, array({number(0)}), string("stats"), number(0));
  CHECK(six != nullptr);
  CHECK(trapped() == "the statistics of a request are stats, which is no _ANEPerformanceStats\n");

  lock(model.x());
  CHECK(model.run().code == 8);
  unlock(model.x());
  CHECK(trapped().find("while the CPU has it locked") != std::string::npos);
  CHECK(evaluate(model.model(), nullptr).words == "nothing said");
  CHECK(trapped() == "a model is evaluated without a request\n");

  Id error = nullptr;
  CHECK(send<bool>(model.model(), "mapIOSurfacesWithRequest:cacheInference:error:",
                   model.request_object(), true, &error));
  CHECK(unload(model.model()).words == "");
  CHECK(trapped() == "a model is unloaded while 1 requests are mapped\n");
  send<void>(model.model(), "unmapIOSurfacesWithRequest:", model.request_object());
  CHECK(trapped() == "a request is unmapped that is not mapped\n");
  CHECK(model.run().code == 8);
  CHECK(trapped() == "a model is evaluated after it was unloaded\n");
  CHECK(unload(model.model()).code == 6);
  CHECK(trapped() == "a model is unloaded twice\n");

  const TemporaryFolder folder;
  const Id other = in_memory_model(kAbs, nullptr);
  write_folder(other, folder.path().string(), kAbs);
  CHECK(compile(other).words == "");
  CHECK(evaluate(other, model.request_object()).code == 8);
  CHECK(trapped() == "a model is evaluated before it was loaded\n");
}

TEST_CASE("a model that is freed while it is loaded, and two threads on one") {
  Fresh fresh;
  const TemporaryFolder folder;
  {
    const Pool pool;
    const Id model = in_memory_model(kAbs, nullptr);
    write_folder(model, folder.path().string(), kAbs);
    REQUIRE(compile(model).words == "");
    REQUIRE(load(model).words == "");
  }
  CHECK(fresh.take_violations() == "a model is freed while it is loaded\n");

  const AbsModel model;
  for (const char* serial : {"1", "0"}) {
    set("serial", serial);
    set("hang_once", "evaluate");
    std::thread thread([&] { model.run(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    model.run();
    set("hang_once", "none");
    set("hang", "none");
    thread.join();
    CHECK(fresh.take_violations() ==
          (serial[0] == '1' ? "a model is evaluated by two threads at a time\n" : ""));
  }
}

TEST_CASE("weights come by their exact paths") {
  Fresh fresh;
  const TemporaryFolder folder;
  const Pool pool;
  std::vector<std::byte> blob(136);
  const std::vector<std::uint32_t> head = {1, 2};
  const std::vector<std::uint32_t> record = {0xDEADBEEF, 1, 8, 0, 128};
  std::memcpy(blob.data(), head.data(), 8);
  std::memcpy(blob.data() + 64, record.data(), 20);
  for (std::size_t i = 0; i < 4; ++i) blob[129 + 2 * i] = std::byte{0x40};  // 2.0
  const auto weights = [&](const char* path, Id offset) {
    return dictionary({{string(path), dictionary({{string("offset"), offset},
                                                  {string("data"), data(blob.data(), 136)}})}});
  };
  const char* path = "@model_path/weights/w.bin";
  const Id model = in_memory_model(kWeighted, weights(path, number(0)));
  write_folder(model, folder.path().string(), kWeighted);
  CHECK(compile(model).code == 1);
  CHECK(send<bool>(model, "saveModelFiles"));
  REQUIRE(compile(model).words == "");
  REQUIRE(load(model).words == "");
  const Surface x(64);
  const Surface y(64);
  lock(x.id());
  std::memset(base(x.id()), 0, 64);
  base(x.id())[1] = std::byte{0x3C};  // 1.0
  unlock(x.id());
  CHECK(evaluate(model, request({x.id()}, {0}, {y.id()}, {0})).words == "");
  lock(y.id(), 1);
  CHECK(base(y.id())[1] == std::byte{0x40});
  unlock(y.id(), 1);
  CHECK(unload(model).words == "");

  const Id other = in_memory_model(kWeighted, weights("@model_path/weights/v.bin", number(64)));
  write_folder(other, folder.path().string(), kWeighted);
  CHECK(send<bool>(other, "saveModelFiles"));
  CHECK(compile(other).reason ==
        "w is in @model_path/weights/w.bin, which the weights do not have");
  CHECK(text(send(model, "hexStringIdentifier")) != text(send(other, "hexStringIdentifier")));

  in_memory_model(kWeighted, weights(path, number(7)));
  CHECK(fresh.take_violations() == "the weights of @model_path/weights/w.bin have offset 7\n");
  in_memory_model(kWeighted, weights(path, string("0")));
  CHECK(fresh.take_violations().find("no NSNumber \"offset\"") != std::string::npos);
  in_memory_model(kWeighted, dictionary({{string(path), data(blob.data(), 136)}}));
  CHECK(fresh.take_violations().find("want an NSDictionary for an NSString") != std::string::npos);
}

TEST_CASE("hardware time is there when the mask was set before load and again after") {
  const Fresh fresh;
  const AbsModel model;
  const Pool pool;
  set("hw_ns", "1234");
  const Id stats =
      send(cls("_ANEPerformanceStats"), "statsWithHardwareExecutionNS:", std::uint64_t{0});
  const auto run = [&](Id given) {
    send<void>(model.request_object(), "setPerfStats:", given);
    CHECK(model.run().words == "");
    return send<std::uint64_t>(stats, "hwExecutionTime");
  };
  CHECK(run(stats) == 0);
  CHECK(unload(model.model()).words == "");
  send<void>(model.model(), "setPerfStatsMask:", 1u);
  CHECK(load(model.model()).words == "");
  CHECK(send<unsigned>(model.model(), "perfStatsMask") == 0);
  CHECK(run(stats) == 0);
  send<void>(model.model(), "setPerfStatsMask:", 1u);
  CHECK(run(stats) == 1234);
  set("hw_ns", "99");
  CHECK(run(array({stats})) == 99);
  CHECK(send(model.request_object(), "perfStats") != nullptr);
  CHECK(send<unsigned>(cls("_ANEPerformanceStats"), "driverMaskForANEFMask:", 0xFFu) == 15);
  CHECK(send(stats, "performanceCounters") == nullptr);
  send<void>(model.request_object(), "setPerfStats:", Id{});
}

TEST_CASE("packages go through the client, with shared events") {
  Fresh fresh;
  const TemporaryFolder folder;
  const Pool pool;
  write_folder(nullptr, folder.path().string(), kAbs);
  const Id url = send(cls("NSURL"), "fileURLWithPath:", string(folder.path().c_str()));
  const Id model = send(cls("_ANEModel"), "modelAtURL:key:", url, string("key"));
  const Id client = send(cls("_ANEClient"), "sharedConnection");
  REQUIRE(client != nullptr);
  const Id options = send(cls("NSDictionary"), "dictionary");
  Id error = nullptr;
  CHECK_FALSE(send<bool>(client, "compiledModelExistsFor:", model));
  CHECK_FALSE(send<bool>(client, "loadModel:options:qos:error:", model, options, 21u, &error));
  CHECK(Failure(error).code == 6);
  CHECK(send<bool>(client, "compileModel:options:qos:error:", model, options, 21u, &error));
  CHECK(send<bool>(client, "compiledModelExistsFor:", model));
  CHECK(send<bool>(client, "loadModel:options:qos:error:", model, options, 21u, &error));

  const Surface x(64);
  const Surface y(64);
  write_floats(x.id(), 0, {-1, -2, 3, -4});
  const Id wait_event = symbol<Id (*)()>("IOSurfaceSharedEventCreate")();
  const Id done_event = symbol<Id (*)()>("IOSurfaceSharedEventCreate")();
  const Id signals =
      array({send(cls("_ANESharedSignalEvent"),
                  "signalEventWithValue:symbolIndex:eventType:sharedEvent:", std::uint64_t{7}, 0u,
                  std::int64_t{5}, done_event)});
  const Id waits = array({send(cls("_ANESharedWaitEvent"),
                               "waitEventWithValue:sharedEvent:", std::uint64_t{3}, wait_event)});
  const Id events =
      send(cls("_ANESharedEvents"), "sharedEventsWithSignalEvents:waitEvents:", signals, waits);
  const Id with_events =
      send(cls("_ANERequest"),
           "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:"
           "procedureIndex:sharedEvents:transactionHandle:",
           array({surface_object(x.id())}), array({number(0)}), array({surface_object(y.id())}),
           array({number(0)}), Id{}, Id{}, number(0), events, Id{});
  REQUIRE(with_events != nullptr);
  std::thread host([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    send<void>(wait_event, "setSignaledValue:", std::uint64_t{3});
  });
  CHECK(send<bool>(client, "evaluateWithModel:options:request:qos:error:", model, options,
                   with_events, 21u, &error));
  host.join();
  CHECK(send<std::uint64_t>(done_event, "signaledValue") == 7);
  CHECK(read_float(y.id(), 12) == 4.0f);
  CHECK(send<bool>(client, "doEvaluateDirectWithModel:options:request:qos:error:", model, options,
                   with_events, 21u, &error));

  // On an in-memory model they are refused, unless the setting says otherwise.
  const AbsModel in_memory;
  CHECK(evaluate(in_memory.model(), with_events).reason ==
        "shared events are for package models only");
  set("events_in_memory", "1");
  CHECK(evaluate(in_memory.model(), with_events).words == "");

  CHECK(send<bool>(client, "unloadModel:options:qos:error:", model, options, 21u, &error));
  send<void>(client, "purgeCompiledModel:", model);
  CHECK_FALSE(send<bool>(client, "compiledModelExistsFor:", model));
  std::filesystem::remove(folder.path() / "model.mil");
  CHECK_FALSE(send<bool>(client, "compileModel:options:qos:error:", model, options, 21u, &error));
  CHECK(Failure(error).code == 10);
  release(wait_event);
  release(done_event);
}

TEST_CASE("real-time tasks are counted") {
  const Fresh fresh;
  const AbsModel model;
  const Pool pool;
  const Id client = send(cls("_ANEClient"), "sharedConnection");
  CHECK_FALSE(send<bool>(client, "endRealTimeTask"));
  CHECK(send<bool>(client, "beginRealTimeTask"));
  Id error = nullptr;
  CHECK(send<bool>(client,
                   "evaluateRealTimeWithModel:options:request:error:", send(model.model(), "model"),
                   send(cls("NSDictionary"), "dictionary"), model.request_object(), &error));
  CHECK(read_float(model.y(), 4) == 2.0f);
  CHECK(send<bool>(client, "endRealTimeTask"));
  CHECK_FALSE(send<bool>(client, "endRealTimeTask"));
  CHECK_FALSE(send<bool>(client, "isVirtualClient"));
  CHECK_FALSE(send<bool>(client, "compiledModelExistsMatchingHash:", string("none")));
}

/// A global block as compilers lay it out.
struct Block {
  void* isa;
  int flags;
  int reserved;
  void (*invoke)(Block*, bool, Id);
};
int completions = 0;

TEST_CASE("a completion handler is called after the evaluation") {
  const Fresh fresh;
  const AbsModel model;
  Block block = {nullptr, 1 << 28, 0, [](Block*, bool done, Id error) {
                   completions += done && error == nullptr ? 1 : 100;
                 }};
  send<void>(model.request_object(), "setCompletionHandler:", static_cast<void*>(&block));
  CHECK(model.run().words == "");
  CHECK(completions == 1);
}

TEST_CASE("the device is what the settings say") {
  const Fresh fresh;
  const Pool pool;
  const Id device = cls("_ANEDeviceInfo");
  CHECK(send<bool>(device, "hasANE"));
  CHECK(send<unsigned>(device, "numANEs") == 1);
  set("cores", "8");
  set("architecture", "h13g");
  set("has_ane", "0");
  CHECK_FALSE(send<bool>(device, "hasANE"));
  CHECK(send<unsigned>(device, "numANEs") == 0);
  CHECK(send<unsigned>(device, "numANECores") == 8);
  CHECK(text(send(device, "aneArchitectureType")) == "h13g");
  CHECK_FALSE(send<bool>(device, "isVirtualMachine"));
  CHECK_FALSE(send<bool>(device, "isInternalBuild"));
  CHECK(text(send(device, "buildVersion")) != "");
  CHECK(text(send(device, "productName")) != "");
}

}  // namespace
}  // namespace milgen::fake_ane
