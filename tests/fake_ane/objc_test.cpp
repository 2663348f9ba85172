// The fake engine's runtime, Foundation and IOSurface, by dlopen and casts alone.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "raw_client.h"

namespace raw = milgen::fake_ane::raw;
using raw::cls;
using raw::Id;
using raw::make_surface;
using raw::Pool;
using raw::sel;
using raw::send;
using raw::text;
using raw::violations;

namespace {

// Calls a C function.
template <class R, class... A>
R call(const char* name, A... arguments) {
  return raw::symbol<R (*)(A...)>(name)(arguments...);
}

// Settings as they are at the start but for trap=record, and a check that nothing is left alive.
class Session {
 public:
  Session() {
    raw::reset();
    CHECK(raw::set("trap", "record") == 0);
    CHECK(raw::report("milgen_fake_ane_live_report") == "");
  }
  ~Session() {
    CHECK(raw::report("milgen_fake_ane_live_report") == "");
    raw::reset();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

Id new_object() { return send(cls("NSObject"), "new"); }

Id flat_surface(long long bytes) {
  const Pool pool;
  return make_surface(bytes);
}

std::int32_t lock(Id surface, std::uint32_t options) {
  return call<std::int32_t>("IOSurfaceLock", surface, options,
                            static_cast<std::uint32_t*>(nullptr));
}
std::int32_t unlock(Id surface, std::uint32_t options) {
  return call<std::int32_t>("IOSurfaceUnlock", surface, options,
                            static_cast<std::uint32_t*>(nullptr));
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The words between `` ` `` that begin the rows of README.md's tables.
std::set<std::string> readme_rows() {
  std::istringstream in(read_file(MILGEN_SOURCE_DIR "/tests/fake_ane/README.md"));
  std::set<std::string> rows;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("| `")) continue;
    rows.insert(line.substr(3, line.find('`', 3) - 3));
  }
  return rows;
}

std::set<std::string> lines_of(const std::string& all) {
  std::istringstream in(all);
  std::set<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.insert(line);
  return lines;
}

// What a program prints and how it ends: "ok\n, 0".
std::string run(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) out += static_cast<char>(c);
  const int status = pclose(pipe);
  return out + ", " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

}  // namespace

TEST_CASE("an object lives from +new to its last release") {
  const Session session;
  Id object = new_object();
  CHECK(raw::live("NSObject") == 1);
  CHECK(send(object, "retain") == object);
  CHECK(call<Id>("objc_retain", object) == object);
  CHECK(send<std::uint64_t>(object, "retainCount") == 3);
  send<void>(object, "release");
  call<void>("objc_release", object);
  CHECK(raw::live("NSObject") == 1);
  CHECK(raw::report("milgen_fake_ane_live_report") == "NSObject 1\n");
  call<void>("CFRelease", object);
  CHECK(raw::live("NSObject") == 0);
  CHECK(raw::live(nullptr) == 0);
  CHECK(violations() == "");
}

TEST_CASE("a nil receiver answers 0 of every type") {
  const Session session;
  CHECK(send(nullptr, "retain") == nullptr);
  CHECK(send<std::uint64_t>(nullptr, "length") == 0);
  CHECK(send<double>(nullptr, "doubleValue") == 0.0);
  CHECK_FALSE(send<bool>(nullptr, "isEqual:", static_cast<Id>(nullptr)));
  CHECK(violations() == "");
}

TEST_CASE("every argument register reaches the method") {
  const Session session;
  const Pool pool;
  Id number_class = cls("NSNumber");
  for (const double value : {0.1, -2.5e300}) {
    Id number = send(number_class, "numberWithDouble:", value);
    CHECK(send<double>(number, "doubleValue") == value);
  }
  Id large = send(number_class, "numberWithUnsignedLongLong:", 0xfedcba9876543210ULL);
  CHECK(send<unsigned long long>(large, "unsignedLongLongValue") == 0xfedcba9876543210ULL);
  CHECK(send<unsigned>(large, "unsignedIntValue") == 0x76543210U);
  CHECK(send<int>(send(number_class, "numberWithInt:", -7), "intValue") == -7);
  CHECK(send<long long>(send(number_class, "numberWithInt:", -7), "longLongValue") == -7);
  const auto yes = static_cast<signed char>(1);
  CHECK(send<bool>(send(number_class, "numberWithBool:", yes), "boolValue"));
  // Six integers: receiver, selector and four more.
  Id error = nullptr;
  const Id list = raw::array({raw::string("a"), raw::number(1)});
  Id plist = send(cls("NSPropertyListSerialization"),
                  "dataWithPropertyList:format:options:error:", list, 200UL, 0UL, &error);
  CHECK(error == nullptr);
  CHECK(std::memcmp(send<const void*>(plist, "bytes"), "bplist00", 8) == 0);
  CHECK(violations() == "");
}

TEST_CASE("a BOOL leaves garbage above its low byte") {
  const Session session;
  const Pool pool;
  Id a = raw::string("same");
  const auto whole = send<std::uint64_t>(a, "isEqualToString:", raw::string("same"));
  CHECK((whole & 0xff) == 1);
#if !(defined(__APPLE__) && defined(__aarch64__))
  CHECK(whole != 1);
#endif
  CHECK_FALSE(send<bool>(a, "isEqualToString:", raw::string("other")));
}

TEST_CASE("classes answer for their methods, and inherit") {
  const Session session;
  const Pool pool;
  Id mutable_array = send(cls("NSMutableArray"), "array");
  send<void>(mutable_array, "addObject:", raw::string("x"));
  CHECK(send<std::uint64_t>(mutable_array, "count") == 1);
  CHECK(send<bool>(mutable_array, "isKindOfClass:", cls("NSArray")));
  CHECK_FALSE(send<bool>(raw::array({}), "isKindOfClass:", cls("NSMutableArray")));
  CHECK(send(mutable_array, "class") == cls("NSMutableArray"));
  CHECK(call<Id>("object_getClass", mutable_array) == cls("NSMutableArray"));
  CHECK(std::string(call<const char*>("class_getName", cls("NSArray"))) == "NSArray");
  CHECK(std::string(call<const char*>("sel_getName", sel("a:b:"))) == "a:b:");

  CHECK(send<bool>(mutable_array, "respondsToSelector:", sel("count")));
  CHECK_FALSE(send<bool>(mutable_array, "respondsToSelector:", sel("length")));
  Id array_class = cls("NSArray");
  CHECK(send<bool>(array_class, "respondsToSelector:", sel("arrayWithObjects:count:")));
  CHECK_FALSE(send<bool>(array_class, "respondsToSelector:", sel("objectAtIndex:")));
  CHECK(send<bool>(array_class, "instancesRespondToSelector:", sel("objectAtIndex:")));
  CHECK_FALSE(send<bool>(array_class, "instancesRespondToSelector:", sel("addObject:")));
  CHECK(call<void*>("class_getInstanceMethod", array_class, sel("retain")) != nullptr);
  CHECK(call<void*>("class_getInstanceMethod", array_class, sel("array")) == nullptr);
  CHECK(call<void*>("class_getClassMethod", array_class, sel("array")) != nullptr);
  CHECK(call<void*>("class_getClassMethod", array_class, sel("addObject:")) == nullptr);

  CHECK(cls("NSNothing") == nullptr);
  CHECK(call<Id>("objc_lookUpClass", "NSArray") == array_class);
  CHECK(violations() == "");
}

TEST_CASE("what the setting hide names is not there, and comes back") {
  const Session session;
  const Pool pool;
  Id number = raw::number(3);
  CHECK(send<long long>(number, "longLongValue") == 3);
  CHECK(raw::set("hide", "NSNumber.longLongValue+NSProcessInfo+NSObject.hash") == 0);
  CHECK_FALSE(send<bool>(number, "respondsToSelector:", sel("longLongValue")));
  CHECK_FALSE(send<bool>(number, "respondsToSelector:", sel("hash")));
  CHECK(call<void*>("class_getInstanceMethod", cls("NSNumber"), sel("longLongValue")) == nullptr);
  CHECK(cls("NSProcessInfo") == nullptr);
  CHECK(send<long long>(number, "longLongValue") == 0);
  CHECK(violations() ==
        "-[NSNumber longLongValue]: unrecognized selector sent to an object of class NSNumber\n");
  CHECK(raw::set("hide", "") == 0);
  CHECK(send<long long>(number, "longLongValue") == 3);
  CHECK(cls("NSProcessInfo") != nullptr);
}

TEST_CASE("autoreleased objects end with their pool") {
  const Session session;
  void* outer = call<void*>("objc_autoreleasePoolPush");
  raw::string("outer");
  {
    const Pool pool;
    raw::string("inner");
    CHECK(raw::live("NSString") == 2);
  }
  CHECK(raw::live("NSString") == 1);
  // A pool that is popped takes those inside of it along.
  call<void*>("objc_autoreleasePoolPush");
  raw::string("inner");
  call<void>("objc_autoreleasePoolPop", outer);
  CHECK(raw::live("NSString") == 0);
  CHECK(violations() == "");

  call<void>("objc_autoreleasePoolPop", outer);
  CHECK(violations() ==
        "objc_autoreleasePoolPop() is given a token of no open pool of this thread\n");
}

TEST_CASE("without a pool an autoreleased object leaks, and that is noted") {
  const Session session;
  Id leaked = raw::string("leaked");
  CHECK(raw::live("NSString") == 1);
  CHECK(violations() == "an object of class NSString is autoreleased without a pool\n");
  send<void>(leaked, "release");
}

TEST_CASE("each thread has pools of its own, and counts stay balanced") {
  const Session session;
  Id shared = new_object();
  constexpr int kThreads = 8;
  constexpr int kRounds = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([shared] {
      for (int i = 0; i < kRounds; ++i) {
        const Pool pool;
        send(shared, "retain");
        send(shared, "autorelease");
        raw::array({raw::number(i), raw::string("x"), shared});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(send<std::uint64_t>(shared, "retainCount") == 1);
  send<void>(shared, "release");
  CHECK(violations() == "");

  std::thread([] {
    call<void*>("objc_autoreleasePoolPush");
    raw::string("left");
  }).join();
  CHECK(violations() == "a thread ends with an autorelease pool that is not popped\n");
}

TEST_CASE("freed objects are found out") {
  const Session session;
  Id object = new_object();
  send<void>(object, "release");
  CHECK(send<std::uint64_t>(object, "hash") == 0);
  send<void>(object, "release");
  call<void>("CFRelease", object);
  {
    const Pool pool;
    CHECK(raw::array({object}) == nullptr);
  }
  CHECK(violations() ==
        "hash is sent to a freed object of class NSObject\n"
        "release is sent to a freed object of class NSObject\n"
        "release is sent to a freed object of class NSObject\n"
        "+[NSArray arrayWithObjects:count:]: number 0 of 1 is not an object\n");
}

TEST_CASE("what is no object at all is found out") {
  const Session session;
  const Pool pool;
  alignas(16) std::array<char, 64> memory{};
  Id stranger = memory.data() + 48;
  CHECK(send(stranger, "retain") == nullptr);
  CHECK(send(static_cast<Id>(memory.data() + 49), "retain") == nullptr);
  CHECK_FALSE(send<bool>(raw::string("a"), "isEqualToString:", stranger));
  CHECK_FALSE(send<bool>(raw::string("a"), "isEqualToString:", raw::number(1)));
  CHECK(call<const char*>("class_getName", raw::number(1)) == std::string("nil"));
  const auto message = raw::symbol<void (*)()>("objc_msgSend");
  using Send = Id (*)(Id, const char*);
  CHECK(reinterpret_cast<Send>(message)(raw::string("a"), "length") == nullptr);
  CHECK(violations() ==
        "retain is sent to something that is no object\n"
        "retain is sent to something that is no object\n"
        "-[NSString isEqualToString:]: argument 1 is something that is no object, not a NSString\n"
        "-[NSString isEqualToString:]: argument 1 is an object of class NSNumber, not a NSString\n"
        "class_getName() is given an object of class NSNumber, not a class\n"
        "a selector that sel_registerName() did not give is sent to an object of class NSString\n");
}

TEST_CASE("a trap prints its line and ends the process unless it is recorded") {
  const Session session;
  CHECK(raw::set("trap", "abort") == 0);
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // doctest has a handler of its own
    dup2(ends[1], 2);
    send(cls("NSString"), "nothing");
    _exit(0);
  }
  close(ends[1]);
  std::string out;
  std::array<char, 256> buffer{};
  for (ssize_t n = 0; (n = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    out.append(buffer.data(), static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
  CHECK(
      out.starts_with("milgen's fake neural engine: +[NSString nothing]: unrecognized selector "
                      "sent to the class NSString\n"));
}

TEST_CASE("surfaces and events do not survive a fork, Foundation's objects do") {
  const Session session;
  Id event = call<Id>("IOSurfaceSharedEventCreate");
  Id string = send(cls("NSString"), "alloc");
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = send<std::uint64_t>(event, "retainCount") == 0;
    const bool kept = send<std::uint64_t>(string, "retainCount") == 1;
    const bool noted = violations() ==
                       "-[IOSurfaceSharedEvent retainCount] is sent to an object that was made "
                       "before a fork\n";
    _exit(refused && kept && noted ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  send<void>(event, "release");
  send<void>(string, "release");
}

TEST_CASE("strings, data, numbers, URLs and index sets hold what they are given") {
  const Session session;
  const Pool pool;
  Id string = raw::string("a\u00fc\u20ac\U0001f600");
  CHECK(text(string) == "a\u00fc\u20ac\U0001f600");
  CHECK(send<std::uint64_t>(string, "length") == 5);
  for (const char* bad : {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xe2\x82"}) {
    CHECK(raw::string(bad) == nullptr);
  }
  Id bytes = send(send(cls("NSString"), "alloc"),
                  "initWithBytes:length:encoding:", static_cast<const void*>("abcd"), 3UL, 4UL);
  CHECK(text(bytes) == "abc");
  send<void>(bytes, "release");

  Id copy = raw::data("12345", 5);
  CHECK(send<std::uint64_t>(copy, "length") == 5);
  std::array<char, 4> own = {'a', 'b', 'c', 'd'};
  const auto no = static_cast<signed char>(0);
  Id borrowed = send(cls("NSData"),
                     "dataWithBytesNoCopy:length:freeWhenDone:", static_cast<void*>(own.data()),
                     own.size(), no);
  CHECK(send<void*>(borrowed, "bytes") == own.data());
  void* given = std::malloc(8);
  const auto yes = static_cast<signed char>(1);
  send(cls("NSData"), "dataWithBytesNoCopy:length:freeWhenDone:", given, 8UL, yes);
  CHECK(send<bool>(copy, "isEqual:", raw::data("12345", 5)));

  Id url = send(cls("NSURL"), "fileURLWithPath:", raw::string("/tmp/x/"));
  CHECK(text(send(url, "path")) == "/tmp/x");
  CHECK(text(send(raw::number(-3), "description")) == "-3");
  CHECK(send<std::uint64_t>(raw::number(7), "hash") == send<std::uint64_t>(raw::number(7), "hash"));

  Id empty = send(cls("NSIndexSet"), "new");
  CHECK(send<std::uint64_t>(empty, "count") == 0);
  CHECK(send<std::uint64_t>(empty, "firstIndex") == 0x7fffffffffffffff);
  CHECK(send<std::uint64_t>(empty, "indexGreaterThanIndex:", 0UL) == 0x7fffffffffffffff);
  send<void>(empty, "release");

  CHECK(raw::set("os", "14.4") == 0);
  CHECK(raw::set("build", "23E214") == 0);
  Id info = send(cls("NSProcessInfo"), "processInfo");
  CHECK(text(send(info, "operatingSystemVersionString")) == "Version 14.4 (Build 23E214)");
  CHECK(text(call<Id>("NSTemporaryDirectory")).ends_with("/"));
  CHECK(violations() == "");
}

TEST_CASE("collections hold their objects, by content for keys") {
  const Session session;
  const Pool pool;
  Id array = raw::array({raw::string("a"), raw::number(2)});
  CHECK(send<std::uint64_t>(array, "count") == 2);
  CHECK(send<long long>(send(array, "objectAtIndex:", 1UL), "longLongValue") == 2);
  CHECK(send<bool>(array, "isEqual:", raw::array({raw::string("a"), raw::number(2)})));

  Id both = raw::dictionary({{raw::string("k"), raw::string("v")}, {raw::number(1), array}});
  CHECK(text(send(both, "objectForKey:", raw::string("k"))) == "v");
  CHECK(send(both, "objectForKey:", raw::number(1)) == array);
  CHECK(send(both, "objectForKey:", raw::string("none")) == nullptr);
  CHECK(send<std::uint64_t>(send(both, "allKeys"), "count") == 2);
  Id changing = send(cls("NSMutableDictionary"), "dictionary");
  for (const long long value : {1, 2}) {
    send<void>(changing, "setObject:forKey:", raw::number(value), raw::string("k"));
  }
  CHECK(send<std::uint64_t>(changing, "count") == 1);
  CHECK(text(send(changing, "description")) == "{k = 2}");
  CHECK(violations() == "");

  CHECK(raw::array({raw::number(1), nullptr}) == nullptr);
  CHECK(send(array, "objectAtIndex:", 2UL) == nullptr);
  send<void>(changing, "setObject:forKey:", static_cast<Id>(nullptr), raw::string("k"));
  CHECK(raw::string(nullptr) == nullptr);
  CHECK(violations() ==
        "+[NSArray arrayWithObjects:count:]: number 1 of 2 is not an object\n"
        "-[NSArray objectAtIndex:]: index 2 is beyond the 2 objects\n"
        "-[NSMutableDictionary setObject:forKey:] is given nil\n"
        "+[NSString stringWithUTF8String:] is given NULL\n");
}

TEST_CASE("property lists have the two formats, and an NSError for the rest") {
  const Session session;
  const Pool pool;
  const auto plist = [](Id list, std::uint64_t format, Id* error) {
    return send(cls("NSPropertyListSerialization"),
                "dataWithPropertyList:format:options:error:", list, format, std::uint64_t{0},
                error);
  };
  Id list =
      raw::dictionary({{raw::string("a<b"), raw::array({raw::number(1), raw::data("abcd", 4)})}});
  Id error = nullptr;
  Id xml = plist(list, 100, &error);
  const std::string written(send<const char*>(xml, "bytes"), send<std::size_t>(xml, "length"));
  CHECK(written.find("<plist version=\"1.0\">\n<dict>\n\t<key>a&lt;b</key>\n\t<array>\n"
                     "\t\t<integer>1</integer>\n\t\t<data>\n\t\tYWJjZA==\n\t\t</data>\n\t</array>\n"
                     "</dict>\n</plist>\n") != std::string::npos);
  CHECK(send<std::size_t>(plist(list, 200, &error), "length") > 40);
  CHECK(error == nullptr);

  Id url = send(cls("NSURL"), "fileURLWithPath:", raw::string("/x"));
  CHECK(plist(raw::array({url}), 200, &error) == nullptr);
  REQUIRE(error != nullptr);
  CHECK(text(send(error, "domain")) == "NSCocoaErrorDomain");
  CHECK(send<std::int64_t>(error, "code") == 3852);
  CHECK(text(send(error, "localizedDescription")) == "Property list invalid for format");
  CHECK(send<std::uint64_t>(send(error, "userInfo"), "count") == 1);
  // An NSError** may be null.
  CHECK(plist(raw::array({url}), 100, nullptr) == nullptr);
  CHECK(violations() == "");
}

TEST_CASE("a surface has the sizes that it was asked for, and garbage in it") {
  const Session session;
  Id surface = flat_surface(100);
  REQUIRE(surface != nullptr);
  CHECK(call<std::size_t>("IOSurfaceGetAllocSize", surface) == 100);
  CHECK(call<std::size_t>("IOSurfaceGetWidth", surface) == 100);
  CHECK(call<std::size_t>("IOSurfaceGetHeight", surface) == 1);
  CHECK(call<std::size_t>("IOSurfaceGetBytesPerRow", surface) == 100);
  CHECK(call<std::size_t>("IOSurfaceGetBytesPerElement", surface) == 1);
  CHECK(call<std::uint32_t>("IOSurfaceGetID", surface) != 0);
  CHECK(call<std::int32_t>("IOSurfaceGetUseCount", surface) == 0);
  call<void>("IOSurfaceIncrementUseCount", surface);
  CHECK(call<std::int32_t>("IOSurfaceGetUseCount", surface) == 1);
  call<void>("IOSurfaceDecrementUseCount", surface);

  CHECK(lock(surface, 0) == 0);
  auto* bytes = static_cast<unsigned char*>(call<void*>("IOSurfaceGetBaseAddress", surface));
  CHECK(std::all_of(bytes, bytes + 100, [](unsigned char b) { return b == 0xa5; }));
  CHECK(reinterpret_cast<std::uintptr_t>(bytes) % 4096 == 0);
  std::memset(bytes, 1, 100);
  CHECK(unlock(surface, 0) == 0);
  CHECK(violations() == "");
  CHECK(call<Id>("CFRetain", surface) == surface);
  call<void>("CFRelease", surface);
  call<void>("CFRelease", surface);
  CHECK(raw::live("IOSurface") == 0);
}

TEST_CASE("a surface whose sizes contradict each other is not made") {
  const Session session;
  const Pool pool;
  const auto create = [](long long width, long long height, long long row, long long all) {
    const Id properties =
        raw::dictionary({{raw::surface_key("kIOSurfaceWidth"), raw::number(width)},
                         {raw::surface_key("kIOSurfaceHeight"), raw::number(height)},
                         {raw::surface_key("kIOSurfaceBytesPerElement"), raw::number(2)},
                         {raw::surface_key("kIOSurfaceBytesPerRow"), raw::number(row)},
                         {raw::surface_key("kIOSurfaceAllocSize"), raw::number(all)}});
    return call<Id>("IOSurfaceCreate", properties);
  };
  CHECK(create(16, 4, 31, 128) == nullptr);
  CHECK(create(16, 4, 32, 127) == nullptr);
  CHECK(create(-1, 4, 32, 128) == nullptr);
  CHECK(create(1LL << 62, 4, 0, 0) == nullptr);
  CHECK(create(0, 0, 0, 0) == nullptr);
  Id wide = create(16, 4, 64, 0);
  REQUIRE(wide != nullptr);
  CHECK(call<std::size_t>("IOSurfaceGetAllocSize", wide) == 256);
  call<void>("CFRelease", wide);
  CHECK(violations() == "");
  CHECK(call<Id>("IOSurfaceCreate", raw::string("x")) == nullptr);
  CHECK(violations() == "IOSurfaceCreate() is given no NSDictionary\n");
}

TEST_CASE("locks are counted by kind, and writing past the end is found") {
  const Session session;
  Id surface = flat_surface(100);
  const std::string name =
      "surface " + std::to_string(call<std::uint32_t>("IOSurfaceGetID", surface));
  CHECK(lock(surface, 1) == 0);
  CHECK(lock(surface, 1) == 0);
  CHECK(unlock(surface, 1) == 0);
  CHECK(unlock(surface, 0) != 0);
  CHECK(violations() == name + " is unlocked without a lock of that kind\n");
  CHECK(unlock(surface, 1) == 0);
  CHECK(unlock(surface, 1) != 0);

  call<void>("milgen_fake_ane_reset");
  CHECK(raw::set("trap", "record") == 0);
  CHECK(lock(surface, 0) == 0);
  static_cast<char*>(call<void*>("IOSurfaceGetBaseAddress", surface))[100] = 0;
  CHECK(unlock(surface, 0) == 0);
  CHECK(violations() == name + " of 100 bytes was written past its end before it is unlocked\n");
  CHECK(lock(surface, 1) == 0);
  call<void>("CFRelease", surface);
  CHECK(violations().ends_with(name + " is released while it is locked\n"));
  CHECK(lock(surface, 0) != 0);
  CHECK(violations().ends_with("IOSurfaceLock() is given no live IOSurface\n"));
}

TEST_CASE("a shared event is one value under one port, and can be waited for") {
  const Session session;
  Id event = call<Id>("IOSurfaceSharedEventCreate");
  CHECK(send<std::uint64_t>(event, "signaledValue") == 0);
  CHECK_FALSE(
      send<bool>(event, "waitUntilSignaledValue:timeoutMS:", std::uint64_t{5}, std::uint64_t{1}));
  const auto port = send<std::uint32_t>(event, "eventPort");
  CHECK(port != 0);
  Id same = send(send(cls("IOSurfaceSharedEvent"), "alloc"), "initWithMachPort:", port);
  REQUIRE(same != nullptr);
  std::thread signaller([same] { send<void>(same, "setSignaledValue:", std::uint64_t{5}); });
  CHECK(send<bool>(event, "waitUntilSignaledValue:timeoutMS:", std::uint64_t{5},
                   std::uint64_t{60'000}));
  signaller.join();
  CHECK(send<std::uint64_t>(event, "signaledValue") == 5);
  CHECK(send(send(cls("IOSurfaceSharedEvent"), "alloc"), "initWithMachPort:", std::uint32_t{1}) ==
        nullptr);
  send<void>(same, "release");
  send<void>(event, "release");
  CHECK(violations() == "");
}

TEST_CASE("settings are checked, and a reset brings the environment's back") {
  const Session session;
  CHECK(raw::set("unknown", "1") != 0);
  CHECK(raw::set("budget", "many") != 0);
  CHECK(raw::set("rows", "65") != 0);
  CHECK(raw::set("latency_us", "always") != 0);
  CHECK(raw::set("fail_load", "always") == 0);
  CHECK(raw::set("rows", "packed") == 0);

  setenv("MILGEN_FAKE_ANE", "os=13.1,nonsense,build=22C65", 1);
  call<void>("milgen_fake_ane_reset");
  unsetenv("MILGEN_FAKE_ANE");
  {
    const Pool pool;
    Id info = send(cls("NSProcessInfo"), "processInfo");
    CHECK(text(send(info, "operatingSystemVersionString")) == "Version 13.1 (Build 22C65)");
  }
  CHECK(violations() == "MILGEN_FAKE_ANE holds 'nonsense', which sets nothing\n");
}

TEST_CASE("README.md lists exactly what is served") {
  const Session session;
  std::set<std::string> served =
      lines_of(read_file(MILGEN_SOURCE_DIR "/tests/fake_ane/exports.txt"));
  for (const std::string& name : served) {
    CHECK_MESSAGE(dlsym(raw::library(), name.c_str()) != nullptr, name);
  }
  served.merge(lines_of(raw::report("milgen_fake_ane_selectors")));
  served.merge(lines_of(raw::report("milgen_fake_ane_keys")));
  const std::set<std::string> listed = readme_rows();
  for (const std::string& name : served) {
    CHECK_MESSAGE(listed.count(name) == 1, name, " is not in README.md");
  }
  for (const std::string& name : listed) {
    CHECK_MESSAGE(served.count(name) == 1, name, " is in README.md alone");
  }
}

TEST_CASE("a program that is linked to the library finds it under the frameworks' names") {
  CHECK(run(MILGEN_FAKE_ANE_LINKED_CLIENT) == "ok\n, 0");
}

TEST_CASE("a program into which the library is preloaded finds it under those names") {
#if defined(__APPLE__)
  const std::string preload = "DYLD_INSERT_LIBRARIES=";
#else
  // The sanitizer's own library wants to be the first; here it need not be.
  const std::string preload = "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=";
#endif
  CHECK(run(preload + MILGEN_FAKE_ANE_LIBRARY + " " + MILGEN_FAKE_ANE_CLIENT) == "ok\n, 0");
}
