#include "ane/foundation.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>

#include "ane/engine_state.h"
#include "ane/fake.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::FakeScope;

namespace {

/// The fake with a pool around the test.
struct Fixture {
  FakeScope fake;
  const Platform& platform = *fake.engine().state()->platform;
  AutoreleasePool pool{platform};

  Id error(const char* domain, long code, Id info) const {
    return platform.send<Id>(platform.objc_getClass("NSError"),
                             "errorWithDomain:code:userInfo:", ns_string(platform, domain), code,
                             info);
  }
};

}  // namespace

TEST_CASE("texts go to the runtime and back") {
  const Fixture f;
  CHECK(utf8(f.platform, ns_string(f.platform, "@model_path/weights/w.bin")) ==
        "@model_path/weights/w.bin");
  CHECK(utf8(f.platform, ns_string(f.platform, "")) == "");
  CHECK(utf8(f.platform, ns_string(f.platform, "gr\xC3\xBC\xC3\x9F")) == "gr\xC3\xBC\xC3\x9F");
  CHECK(ns_string(f.platform, std::string("a\0b", 3)) == nullptr);
  CHECK(utf8(f.platform, nullptr) == "");
  CHECK(utf8(f.platform, ns_number(f.platform, std::int64_t{3})) == "");
}

TEST_CASE("bytes are copied, or referred to") {
  const Fixture f;
  const std::array<std::byte, 3> bytes = {std::byte{1}, std::byte{2}, std::byte{3}};
  const Id copied = ns_data(f.platform, bytes);
  const Id referred = ns_data_no_copy(f.platform, bytes);
  CHECK(f.platform.send<std::size_t>(copied, "length") == 3);
  CHECK(f.platform.send<std::size_t>(referred, "length") == 3);
  const auto* copy = f.platform.send<const void*>(copied, "bytes");
  CHECK(copy != bytes.data());
  CHECK(std::memcmp(copy, bytes.data(), bytes.size()) == 0);
  CHECK(f.platform.send<const void*>(referred, "bytes") == bytes.data());
  CHECK(f.platform.send<std::size_t>(ns_data(f.platform, {}), "length") == 0);
}

TEST_CASE("collections with a nil in them are nil") {
  const Fixture f;
  const Id one = ns_number(f.platform, std::int64_t{1});
  const std::array<Id, 2> whole = {one, one};
  const std::array<Id, 2> broken = {one, nullptr};
  CHECK(f.platform.send<std::size_t>(ns_array(f.platform, whole), "count") == 2);
  CHECK(f.platform.send<std::size_t>(ns_array(f.platform, {}), "count") == 0);
  CHECK(ns_array(f.platform, broken) == nullptr);

  const std::array<std::pair<std::string, Id>, 1> entry = {{{"a", one}}};
  const std::array<std::pair<std::string, Id>, 1> no_value = {{{"a", nullptr}}};
  const std::array<std::pair<std::string, Id>, 1> no_key = {{{std::string("\0", 1), one}}};
  CHECK(f.platform.send<std::size_t>(ns_dictionary(f.platform, entry), "count") == 1);
  CHECK(ns_dictionary(f.platform, {}) != nullptr);
  CHECK(ns_dictionary(f.platform, no_value) == nullptr);
  CHECK(ns_dictionary(f.platform, no_key) == nullptr);
}

TEST_CASE("options of all types become a dictionary") {
  const Fixture f;
  const std::array<EngineOption, 3> options = {{{"kANEFKeepModelMemoryWiredKey", true},
                                                {"kANEFAneInstanceHint", std::int64_t{-2}},
                                                {"kANEFModelType", std::string("kANEFModelMIL")}}};
  const Property read = read_property(f.platform, ns_options(f.platform, options));
  REQUIRE(read.map() != nullptr);
  CHECK(read.map()->size() == 3);
  CHECK(*read.find("kANEFKeepModelMemoryWiredKey")->integer() == 1);
  CHECK(*read.find("kANEFAneInstanceHint")->integer() == -2);
  CHECK(*read.find("kANEFModelType")->text() == "kANEFModelMIL");
  CHECK(read.find("kANEFModel") == nullptr);
  CHECK(read_property(f.platform, ns_options(f.platform, {})).map()->empty());
}

TEST_CASE("paths become URLs") {
  const Fixture f;
  const Id url = ns_file_url(f.platform, "/tmp/a b", true);
  CHECK(utf8(f.platform, f.platform.send<Id>(url, "path")) == "/tmp/a b");
  CHECK(ns_file_url(f.platform, "", true) == nullptr);
  CHECK(ns_file_url(f.platform, std::string("a\0b", 3), false) == nullptr);
}

TEST_CASE("index sets: an empty one, and what is none") {
  const Fixture f;
  const Ref empty =
      Ref::adopt(f.platform, f.platform.send<Id>(f.platform.objc_getClass("NSIndexSet"), "new"));
  CHECK(empty);
  CHECK(indices(f.platform, empty.get(), 8).empty());
  CHECK(indices(f.platform, ns_array(f.platform, {}), 8).empty());
  CHECK(indices(f.platform, nullptr, 8).empty());
}

TEST_CASE("property lists: numbers, texts, lists, maps and what is none of them") {
  const Fixture f;
  const Id numbers = f.platform.objc_getClass("NSNumber");
  const std::array<Id, 6> items = {
      ns_number(f.platform, std::int64_t{-7}),
      f.platform.send<Id>(numbers, "numberWithDouble:", 0.25),
      f.platform.send<Id>(numbers, "numberWithDouble:", std::numeric_limits<double>::quiet_NaN()),
      ns_string(f.platform, "text"),
      ns_data(f.platform, {}),
      ns_array(f.platform, {}),
  };
  const Property read = read_property(f.platform, ns_array(f.platform, items));
  REQUIRE(read.list() != nullptr);
  const PropertyList& list = *read.list();
  REQUIRE(list.size() == items.size());
  CHECK(*list[0].integer() == -7);
  CHECK(std::get<double>(list[1].value) == 0.25);
  CHECK(list[2].integer() == nullptr);
  CHECK(*list[3].text() == "text");
  CHECK(std::holds_alternative<std::monostate>(list[4].value));
  CHECK(list[5].list()->empty());
  CHECK(list[5].find("a") == nullptr);
  CHECK(std::holds_alternative<std::monostate>(read_property(f.platform, nullptr).value));
}

TEST_CASE("numbers above 63 bits are not taken for negative ones") {
  const Fixture f;
  const Id number = f.platform.send<Id>(f.platform.objc_getClass("NSNumber"),
                                        "numberWithUnsignedLongLong:", ~0ULL);
  CHECK(read_property(f.platform, number).integer() == nullptr);
}

TEST_CASE("keys that are no texts are passed over") {
  const Fixture f;
  const Id key = ns_number(f.platform, std::int64_t{1});
  const Id value = ns_string(f.platform, "value");
  const Id dictionary =
      f.platform.send<Id>(f.platform.objc_getClass("NSDictionary"),
                          "dictionaryWithObjects:forKeys:count:", &value, &key, std::size_t{1});
  CHECK(read_property(f.platform, dictionary).map()->empty());
}

TEST_CASE("nesting is followed down to 32") {
  const Fixture f;
  Id nested = ns_string(f.platform, "inside");
  for (int i = 0; i < 40; ++i) nested = ns_array(f.platform, std::array<Id, 1>{nested});
  Property read = read_property(f.platform, nested);
  const Property* at = &read;
  int depth = 0;
  while (at->list() != nullptr) {
    at = &at->list()->front();
    ++depth;
  }
  CHECK(depth == 33);
  CHECK(std::holds_alternative<std::monostate>(at->value));
}

TEST_CASE("lists that hold each other over and over end at a million objects") {
  const Fixture f;
  Id list = ns_array(f.platform, {});
  for (int i = 0; i < 20; ++i)
    list = ns_array(f.platform, std::array<Id, 4>{list, list, list, list});
  CHECK(read_property(f.platform, list).list() != nullptr);
}

TEST_CASE("an NSError gives domain, code, description and hint") {
  const Fixture f;
  const std::array<std::pair<std::string, Id>, 1> info = {
      {{"NSLocalizedDescription", ns_string(f.platform, "Program load failure (0x20004)")}}};
  const Error error = runtime_error(
      f.platform, f.error("com.apple.appleneuralengine", 6, ns_dictionary(f.platform, info)),
      ErrorKind::load, "-[_ANEInMemoryModel loadWithQoS:options:error:]",
      "the engine refuses to load main");
  CHECK(error.kind() == ErrorKind::load);
  CHECK(error.detail().domain == "com.apple.appleneuralengine");
  CHECK(error.detail().code == 6);
  CHECK(error.detail().description == "Program load failure (0x20004)");
  CHECK(error.detail().hint.find("PR-012") != std::string::npos);
}

TEST_CASE("underlying errors are told, and looked at for the hint") {
  const Fixture f;
  const std::array<std::pair<std::string, Id>, 1> inner = {
      {{"NSLocalizedDescription", ns_string(f.platform, "Graph has a cycle path")}}};
  const std::array<std::pair<std::string, Id>, 2> outer = {
      {{"NSLocalizedDescription", ns_string(f.platform, "_ANECompiler : ANECCompile() FAILED")},
       {"NSUnderlyingError", f.error("inner", 22, ns_dictionary(f.platform, inner))}}};
  const Error error = runtime_error(
      f.platform, f.error("com.apple.appleneuralengine", 1, ns_dictionary(f.platform, outer)),
      ErrorKind::compile, "compile", "refused");
  CHECK(error.detail().description ==
        "_ANECompiler : ANECCompile() FAILED; because of inner 22: Graph has a cycle path");
  CHECK(error.detail().hint.find("AT-008") != std::string::npos);
}

TEST_CASE("a chain of errors ends after eight, and repeats nothing") {
  const Fixture f;
  Id error = nullptr;
  for (int i = 0; i < 20; ++i) {
    std::vector<std::pair<std::string, Id>> info = {
        {"NSLocalizedDescription", ns_string(f.platform, "the same")}};
    if (error != nullptr) info.emplace_back("NSUnderlyingError", error);
    error = f.error("d", i, ns_dictionary(f.platform, info));
  }
  const Error told = runtime_error(f.platform, error, ErrorKind::map, "map", "refused");
  CHECK(told.detail().code == 19);
  CHECK(told.detail().description ==
        "the same; because of d 18; because of d 17; because of d 16; because of d 15; because of "
        "d 14; because of d 13; because of d 12");
}

TEST_CASE("what is no NSError is said to be none") {
  const Fixture f;
  for (const Id object : {Id{nullptr}, ns_string(f.platform, "text")}) {
    const Error error = runtime_error(f.platform, object, ErrorKind::compile, "compile", "refused");
    CHECK(error.detail().domain == "");
    CHECK(error.detail().code == 0);
    CHECK(error.detail().description == "no NSError");
    CHECK(error.detail().hint.find("RT-001") != std::string::npos);
  }
}
