#include "milgen/ane/surface.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ane/fake.h"
#include "ane/memory_surfaces.h"

using namespace milgen::ane;
using milgen::ane::test::memory_engine;
using milgen::ane::test::MemorySurface;
using milgen::ane::test::next_surface;
using milgen::ane::test::surface_of;
using milgen::test::FakeScope;

namespace {

std::string message(const Error& error, ErrorKind kind) {
  CHECK(error.kind() == kind);
  return error.detail().message;
}

}  // namespace

TEST_CASE("a surface is held while one of its copies lives") {
  MemorySurface memory(100);
  {
    const Surface surface = surface_of(memory_engine(), memory);
    CHECK(memory.references == 2);
    CHECK(surface);
    CHECK(surface.ref() == &memory);
    CHECK(surface.bytes() == 100);
    const Surface copy = surface;
    CHECK(memory.references == 2);
    CHECK(copy == surface);
    const Surface again = surface_of(memory_engine(), memory);
    CHECK(memory.references == 3);
    CHECK(again == surface);
    CHECK_FALSE(surface == Surface());
  }
  CHECK(memory.references == 1);
}

TEST_CASE("no surface has nothing") {
  const Surface none;
  CHECK_FALSE(none);
  CHECK(none.ref() == nullptr);
  CHECK(none.bytes() == 0);
  CHECK(none.id() == 0);
  CHECK(message(SurfaceLock::take(none, Access::read).error(), ErrorKind::argument) ==
        "there is no surface");
}

TEST_CASE("the number of a surface is 0 where the system has none") {
  MemorySurface memory(100);
  const auto engine = memory_engine();
  const Surface surface = surface_of(engine, memory);
  CHECK(surface.id() == 0);
  auto platform = std::make_shared<Platform>(*engine->platform);
  platform->IOSurfaceGetID = [](SurfaceRef) { return std::uint32_t{7}; };
  engine->platform = platform;
  CHECK(surface.id() == 7);
}

TEST_CASE("a new surface has a page at least, and is zero") {
  FakeScope fake;
  for (const std::int64_t bytes : {0, 1, 16384, 16385, 49152}) {
    const Result<Surface> surface = Surface::create(fake.engine(), bytes);
    REQUIRE_MESSAGE(surface, surface.error().text());
    CHECK(surface->bytes() >= std::max<std::int64_t>(bytes, 16384));
    CHECK(surface->bytes() < std::max<std::int64_t>(bytes, 16384) + 16384);
    CHECK(surface->id() != 0);
    const Result<SurfaceLock> lock = SurfaceLock::take(*surface, Access::read);
    REQUIRE(lock);
    CHECK(std::ranges::all_of(lock->bytes(), [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST_CASE("a surface of someone else's is shared") {
  FakeScope fake;
  const Surface mine = *Surface::create(fake.engine(), 100);
  {
    const Surface theirs = *Surface::wrap(fake.engine(), mine.ref());
    CHECK(theirs == mine);
    CHECK(theirs.id() == mine.id());
    CHECK(theirs.bytes() == mine.bytes());
    const Result<TensorLayout> layout = make_layout("x", milgen::DType::fp16, {1, 2, 1, 4});
    const std::vector<float> values = {1, 2, 3, 4, 5, 6, 7, 8};
    CHECK_FALSE(write_fp32(theirs, *layout, values));
    std::vector<float> back(8);
    CHECK_FALSE(read_fp32(mine, *layout, back));
    CHECK(back == values);
  }
  CHECK(FakeScope::live("IOSurface") == 1);
  CHECK(message(Surface::wrap(fake.engine(), nullptr).error(), ErrorKind::argument) ==
        "there is no surface");
}

TEST_CASE("a surface of a size that no machine has is refused") {
  FakeScope fake;
  CHECK(message(Surface::create(fake.engine(), -1).error(), ErrorKind::argument) ==
        "a surface of -1 bytes is asked for, but the least is 0");
  const Error error =
      Surface::create(fake.engine(), std::numeric_limits<std::int64_t>::max()).error();
  CHECK(message(error, ErrorKind::map) ==
        "there is no surface of 9223372036854775807 bytes to be had");
  CHECK(error.detail().operation == "IOSurfaceCreate");
}

TEST_CASE("a surface that the system does not make, or makes too small, is an error") {
  FakeScope fake;
  const auto engine = memory_engine(*fake.engine().state()->platform);
  next_surface = nullptr;
  CHECK(message(Surface::State::create(engine, 20000).error(), ErrorKind::map) ==
        "there is no surface of 20000 bytes to be had");
  MemorySurface small(16384);
  next_surface = &small;
  CHECK(message(Surface::State::create(engine, 20000).error(), ErrorKind::map) ==
        "a surface has 16384 bytes, but 20000 are asked for");
  CHECK(small.references == 0);
}

TEST_CASE("a new surface that cannot be locked or unlocked is given back") {
  FakeScope fake;
  const auto engine = memory_engine(*fake.engine().state()->platform);
  MemorySurface memory(16384);
  next_surface = &memory;
  memory.unlock_code = 3;
  CHECK(message(Surface::State::create(engine, 1).error(), ErrorKind::map) ==
        "a surface of 16384 bytes cannot be unlocked for writing");
  CHECK(memory.references == 0);
  memory.references = 1;
  memory.locks.clear();
  memory.lock_code = -536870206;
  const Error error = Surface::State::create(engine, 1).error();
  CHECK(message(error, ErrorKind::map) == "a surface of 16384 bytes cannot be locked for writing");
  CHECK(error.detail().operation == "IOSurfaceLock");
  CHECK(error.detail().code == -536870206);
  CHECK(memory.locks.empty());
  CHECK(memory.references == 0);
}

TEST_CASE("no engine makes no surface") {
  CHECK(message(Surface::create(Engine(), 1).error(), ErrorKind::unavailable) ==
        "there is no engine to make a surface for");
  int object = 0;
  CHECK(message(Surface::wrap(Engine(), &object).error(), ErrorKind::unavailable) ==
        "there is no engine to make a surface for");
}

TEST_CASE("a lock is given back once, in the way in which it was taken") {
  MemorySurface memory(100);
  const Surface surface = surface_of(memory_engine(), memory);
  {
    Result<SurfaceLock> read = SurfaceLock::take(surface, Access::read);
    REQUIRE(read);
    CHECK(memory.locks == "r");
    CHECK(read->bytes().data() == memory.bytes.data());
    CHECK(read->bytes().size() == 100);
    SurfaceLock moved = *std::move(read);
    CHECK(memory.locks == "r");
  }
  CHECK(memory.locks == "rR");
  SurfaceLock lock;
  CHECK(lock.bytes().empty());
  CHECK_FALSE(lock.unlock());
  lock = *SurfaceLock::take(surface, Access::write);
  CHECK(memory.locks == "rRw");
  lock = *SurfaceLock::take(surface, Access::read);
  CHECK(memory.locks == "rRwrW");
  SurfaceLock& itself = lock;
  lock = std::move(itself);
  CHECK(lock.bytes().size() == 100);
  CHECK_FALSE(lock.unlock());
  CHECK(lock.bytes().empty());
  CHECK_FALSE(lock.unlock());
  CHECK(memory.locks == "rRwrWR");
}

TEST_CASE("a lock keeps its surface") {
  MemorySurface memory(100);
  {
    SurfaceLock lock = *SurfaceLock::take(surface_of(memory_engine(), memory), Access::read);
    CHECK(memory.references == 2);
  }
  CHECK(memory.locks == "rR");
  CHECK(memory.references == 1);
}

TEST_CASE("a surface without memory is unlocked again") {
  MemorySurface memory(100);
  memory.has_base = false;
  const Error error = SurfaceLock::take(surface_of(memory_engine(), memory), Access::read).error();
  CHECK(message(error, ErrorKind::map) == "a surface of 100 bytes has no memory here");
  CHECK(error.detail().operation == "IOSurfaceGetBaseAddress");
  CHECK(memory.locks == "rR");
}

TEST_CASE("an unlock that fails is told") {
  MemorySurface memory(100);
  memory.unlock_code = 5;
  SurfaceLock lock = *SurfaceLock::take(surface_of(memory_engine(), memory), Access::read);
  const Error error = lock.unlock();
  CHECK(message(error, ErrorKind::map) == "a surface of 100 bytes cannot be unlocked for reading");
  CHECK(error.detail().operation == "IOSurfaceUnlock");
  CHECK(error.detail().code == 5);
}

TEST_CASE("a child of the process touches no surface of its parent") {
  MemorySurface memory(100);
  const auto engine = memory_engine();
  {
    const Surface surface = surface_of(engine, memory);
    SurfaceLock lock = *SurfaceLock::take(surface, Access::write);
    // As it looks behind a fork.
    auto platform = std::make_shared<Platform>(*engine->platform);
    platform->forks += 1;
    engine->platform = platform;
    CHECK(SurfaceLock::take(surface, Access::read).error().kind() == ErrorKind::closed);
    CHECK(Surface::State::create(engine, 1).error().kind() == ErrorKind::closed);
    CHECK(surface.id() == 0);
    CHECK(lock.unlock().kind() == ErrorKind::closed);
    CHECK(lock.bytes().empty());
  }
  CHECK(memory.locks == "w");
  CHECK(memory.references == 2);
}
