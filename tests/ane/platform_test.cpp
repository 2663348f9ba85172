#include "ane/platform.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "ane/engine_state.h"
#include "ane/fake.h"
#include "support/temporary_folder.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::FakeScope;

namespace {

std::string open_error(const std::string& library) {
  auto platform = Platform::open(library);
  CHECK_FALSE(platform);
  CHECK(platform.error().kind() == ErrorKind::unavailable);
  return platform.error().text();
}

#ifdef __linux__
constexpr const char* kOtherLibrary = "libm.so.6";
#else
constexpr const char* kOtherLibrary = "/usr/lib/libSystem.B.dylib";
#endif

const Platform& platform_of(FakeScope& fake) { return *fake.engine().state()->platform; }

Id make_object(const Platform& platform) {
  return platform.send<Id>(platform.objc_getClass("NSObject"), "new");
}

}  // namespace

TEST_CASE("a library that is not there is named, with what the system says") {
  const TemporaryFolder folder;
  const std::string path = folder.file("none.so");
  const std::string text = open_error(path);
  CHECK(
      text.starts_with("there is no Neural Engine runtime here: " + path + " cannot be opened: "));
  CHECK(text.ends_with(" (dlopen); MILGEN_ANE_LIBRARY can name a library that stands in for it"));
  // Once, not once more in what the system says.
  CHECK(text.rfind(path) == text.find(path));
}

TEST_CASE("a file that is no library is named") {
  const TemporaryFolder folder;
  const std::string path = folder.write("text.so", "no library");
  CHECK(open_error(path).starts_with("there is no Neural Engine runtime here: " + path));
}

TEST_CASE("all symbols that a library lacks are named at once") {
  const std::string text = open_error(kOtherLibrary);
  CHECK(
      text.starts_with(std::string(kOtherLibrary) +
                       " is no Neural Engine runtime: it lacks objc_getClass, sel_registerName, "));
  CHECK(text.find(", kIOSurfaceAllocSize, kIOSurfacePixelFormat (dlsym)") != std::string::npos);
  CHECK(text.find("NSTemporaryDirectory") == std::string::npos);  // optional
}

#ifdef __linux__
TEST_CASE("without a library the frameworks are asked for") {
  CHECK(open_error("").starts_with(
      "there is no Neural Engine runtime here: "
      "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine cannot be "
      "opened: cannot open shared object file"));
}
#endif

TEST_CASE("the fake is known as such, and has all symbols") {
  auto platform = Platform::open(FakeScope::library());
  REQUIRE_MESSAGE(platform, platform.error().text());
  CHECK((*platform)->fake);
  CHECK((*platform)->fake_version != "");
  CHECK((*platform)->path == FakeScope::library());
  CHECK((*platform)->is_this_process());
  const auto symbols = (*platform)->symbols();
  CHECK(symbols.size() == 27);
  for (const auto& one : symbols) CHECK_MESSAGE(one.second, one.first.name);
}

TEST_CASE("messages: results of all kinds, and nil") {
  FakeScope fake;
  const Platform& platform = platform_of(fake);
  const AutoreleasePool pool(platform);
  const Id numbers = platform.objc_getClass("NSNumber");
  const Id half = platform.send<Id>(numbers, "numberWithDouble:", 0.5);
  CHECK(platform.send<double>(half, "doubleValue") == 0.5);
  CHECK(platform.send<int>(half, "intValue") == 0);
  const Id yes = platform.send<Id>(numbers, "numberWithBool:", true);
  CHECK(platform.send<Bool>(yes, "boolValue"));
  CHECK_FALSE(platform.send<Bool>(half, "isEqual:", yes));

  CHECK(platform.send<Id>(nullptr, "description") == nullptr);
  CHECK(platform.send<double>(nullptr, "doubleValue") == 0.0);
  CHECK_FALSE(platform.send<Bool>(nullptr, "boolValue"));
}

TEST_CASE("objects are asked what they are and what they respond to") {
  FakeScope fake;
  const Platform& platform = platform_of(fake);
  const AutoreleasePool pool(platform);
  const Id number =
      platform.send<Id>(platform.objc_getClass("NSNumber"), "numberWithLongLong:", 3LL);
  CHECK(platform.responds(number, "longLongValue"));
  CHECK_FALSE(platform.responds(number, "objectForKey:"));
  CHECK_FALSE(platform.responds(nullptr, "longLongValue"));
  CHECK(platform.is_kind_of(number, "NSNumber"));
  CHECK(platform.is_kind_of(number, "NSObject"));
  CHECK_FALSE(platform.is_kind_of(number, "NSString"));
  CHECK_FALSE(platform.is_kind_of(number, "NoClassOfThisName"));
  CHECK_FALSE(platform.is_kind_of(nullptr, "NSObject"));
}

TEST_CASE("a Ref holds an object for exactly as long as it lives") {
  FakeScope fake;
  const Platform& platform = platform_of(fake);
  const long before = FakeScope::live("NSObject");
  const auto live = [before] { return FakeScope::live("NSObject") - before; };
  {
    Ref first = Ref::adopt(platform, make_object(platform));
    CHECK(live() == 1);
    Ref second = first;
    first = Ref();
    CHECK_FALSE(first);
    CHECK(live() == 1);
    Ref third = std::move(second);
    CHECK(third.get() != nullptr);
    CHECK(second.get() == nullptr);  // NOLINT(bugprone-use-after-move): that is what is asked
    third = Ref::adopt(platform, make_object(platform));
    CHECK(live() == 1);
    const Ref& same = third;
    third = same;
    CHECK(live() == 1);
    second = third;
    CHECK(second.get() == third.get());
  }
  CHECK(live() == 0);
  CHECK_FALSE(Ref::retain(platform, nullptr));
}

TEST_CASE("a Ref keeps what a pool lets go") {
  FakeScope fake;
  const Platform& platform = platform_of(fake);
  Ref kept;
  {
    const AutoreleasePool pool(platform);
    const Id text =
        platform.send<Id>(platform.objc_getClass("NSString"), "stringWithUTF8String:", "kept");
    kept = Ref::retain(platform, text);
  }
  CHECK(std::string(platform.send<const char*>(kept.get(), "UTF8String")) == "kept");
}

TEST_CASE("in a child after a fork a Ref leaves its object alone") {
  FakeScope fake;
  const Platform& platform = platform_of(fake);
  Ref held = Ref::adopt(platform, make_object(platform));
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const long before = FakeScope::live("NSObject");
    held = Ref();
    _exit(FakeScope::live("NSObject") == before && !platform.is_this_process() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
