#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ane/memory_surfaces.h"
#include "milgen/ane/surface.h"
#include "support/counted_memory.h"
#include "support/half.h"

using namespace milgen::ane;
using milgen::DType;
using milgen::Shape;
using milgen::ane::test::memory_engine;
using milgen::ane::test::MemorySurface;
using milgen::ane::test::surface_of;

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TensorLayout layout_of(std::string name, DType dtype, const Shape& shape) {
  Result<TensorLayout> layout = make_layout(std::move(name), dtype, shape);
  REQUIRE_MESSAGE(layout, layout.error().text());
  return *std::move(layout);
}

/// A tensor in memory of exactly its size.
struct Place {
  Place(DType dtype, const Shape& shape) : Place(layout_of("x", dtype, shape)) {}
  explicit Place(TensorLayout with)
      : layout(std::move(with)),
        memory(static_cast<std::size_t>(layout.alloc_bytes())),
        surface(surface_of(memory_engine(), memory)) {}

  TensorLayout layout;
  MemorySurface memory;
  Surface surface;
};

std::string message(const Error& error, ErrorKind kind = ErrorKind::argument) {
  CHECK(error.kind() == kind);
  return error.detail().message;
}

std::vector<std::uint16_t> some_halves(std::size_t count) {
  std::vector<std::uint16_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::uint16_t>(i + 1);
  return values;
}

// --- The model: an element at a time, by the formula that TensorLayout states. ---

using Index = std::array<std::int64_t, 5>;

std::size_t offset_of(const TensorLayout& layout, const Index& at) {
  return static_cast<std::size_t>(at[0] * layout.batch_stride + at[1] * layout.plane_stride +
                                  at[2] * layout.depth_stride + at[3] * layout.row_stride +
                                  at[4] * layout.element_bytes());
}

/// Offsets of the region's elements in row-major order.
std::vector<std::size_t> offsets_of(const TensorLayout& layout, const Region& region = {}) {
  const std::int64_t channels =
      region.channels == -1 ? layout.channels - region.first_channel : region.channels;
  const std::int64_t columns =
      region.columns == -1 ? layout.width - region.first_column : region.columns;
  std::vector<std::size_t> out;
  Index at{};
  for (at[0] = 0; at[0] < layout.batches; ++at[0]) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (at[2] = 0; at[2] < layout.depth; ++at[2]) {
        for (at[3] = 0; at[3] < layout.height; ++at[3]) {
          for (std::int64_t w = 0; w < columns; ++w) {
            at[1] = region.first_channel + c;
            at[4] = region.first_column + w;
            out.push_back(offset_of(layout, at));
          }
        }
      }
    }
  }
  return out;
}

class Random {
 public:
  std::int64_t in(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  bool coin() { return in(0, 1) == 1; }
  void fill(std::span<std::byte> bytes) {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(in(0, 255));
  }
  DType dtype() {
    constexpr std::array kAll = {DType::fp16,  DType::fp32,   DType::int8,   DType::uint8,
                                 DType::int16, DType::uint16, DType::boolean};
    return kAll[static_cast<std::size_t>(in(0, 6))];
  }
  /// By the rule, or with room anywhere between rows, slices, planes and batches.
  TensorLayout layout(DType dtype, std::size_t least_rank, std::size_t most_rank) {
    Shape shape;
    const std::int64_t rank =
        in(static_cast<std::int64_t>(least_rank), static_cast<std::int64_t>(most_rank));
    for (std::int64_t i = 1; i < rank; ++i) shape.push_back(in(1, 4));
    // Long rows are converted in another way than short ones.
    if (rank > 0) shape.push_back(in(0, 7) == 0 ? in(500, 1100) : in(1, 80));
    TensorLayout layout = layout_of("x", dtype, shape);
    if (coin()) spread(layout);
    return layout;
  }
  void spread(TensorLayout& layout) {
    const std::int64_t unit = layout.element_bytes();
    const auto more = [&](std::int64_t bytes) { return bytes + (coin() ? unit * in(0, 40) : 0); };
    layout.row_stride = more(layout.width * unit);
    layout.depth_stride = more(layout.height * layout.row_stride);
    layout.plane_stride = more(layout.depth * layout.depth_stride);
    layout.batch_stride = more(layout.channels * layout.plane_stride);
  }
  Region region(const TensorLayout& layout) {
    if (layout.batches != 1 || layout.depth != 1 || in(0, 3) == 0) return {};
    Region out;
    out.first_channel = in(0, layout.channels);
    out.channels = coin() ? -1 : in(0, layout.channels - out.first_channel);
    out.first_column = in(0, layout.width);
    out.columns = coin() ? -1 : in(0, layout.width - out.first_column);
    return out;
  }

 private:
  std::mt19937_64 engine_{20240607};
};

constexpr int kRounds = 400;

}  // namespace

TEST_CASE("values go between the padding") {
  Place place(DType::fp16, {1, 2, 1, 4});
  const std::vector<std::uint16_t> values = {1, 2, 3, 4, 5, 6, 7, 8};
  CHECK_FALSE(write_fp16(place.surface, place.layout, values));
  std::vector<std::byte> expected(128, std::byte{0xA5});
  std::memcpy(expected.data(), values.data(), 8);
  std::memcpy(expected.data() + 64, values.data() + 4, 8);
  CHECK(place.memory.bytes == expected);
  CHECK(place.memory.locks == "wW");
  std::vector<std::uint16_t> back(8);
  CHECK_FALSE(read_fp16(place.surface, place.layout, back));
  CHECK(back == values);
  CHECK(place.memory.locks == "wWrR");
}

TEST_CASE("floats are rounded on their way into fp16") {
  Place place(DType::fp16, {5});
  const std::vector<float> values = {1.0f, 1.00048828125f, 65520.0f, -0.0f, 1e-8f};
  CHECK_FALSE(write_fp32(place.surface, place.layout, values));
  std::vector<std::uint16_t> halves(5);
  CHECK_FALSE(read_fp16(place.surface, place.layout, halves));
  CHECK(halves == std::vector<std::uint16_t>{0x3C00, 0x3C00, 0x7C00, 0x8000, 0});
  std::vector<float> back(5);
  CHECK_FALSE(read_fp32(place.surface, place.layout, back));
  CHECK(back == std::vector<float>{1.0f, 1.0f, std::numeric_limits<float>::infinity(), -0.0f, 0});
}

TEST_CASE("packed bytes of random tensors go where the model says") {
  Random random;
  for (int round = 0; round < kRounds; ++round) {
    Place place(random.layout(random.dtype(), 0, 5));
    const auto size = static_cast<std::size_t>(place.layout.element_bytes());
    random.fill(place.memory.bytes);
    std::vector<std::byte> packed(static_cast<std::size_t>(place.layout.logical_bytes()));
    random.fill(packed);
    std::vector<std::byte> expected = place.memory.bytes;
    std::size_t from = 0;
    for (const std::size_t offset : offsets_of(place.layout)) {
      std::memcpy(expected.data() + offset, packed.data() + size * from++, size);
    }
    CAPTURE(to_string(place.layout.shape));
    CHECK_FALSE(write_packed(place.surface, place.layout, packed));
    CHECK(place.memory.bytes == expected);
    std::vector<std::byte> back(packed.size());
    CHECK_FALSE(read_packed(place.surface, place.layout, back));
    CHECK(back == packed);
    CHECK(place.memory.locks == "wWrR");
  }
}

TEST_CASE("regions of random tensors of fp16 go where the model says") {
  Random random;
  for (int round = 0; round < kRounds; ++round) {
    Place place(random.layout(DType::fp16, 0, 5));
    const Region region = random.region(place.layout);
    const std::vector<std::size_t> offsets = offsets_of(place.layout, region);
    random.fill(place.memory.bytes);
    std::vector<float> floats(offsets.size());
    for (float& value : floats) value = 0.37f * static_cast<float>(random.in(-300'000, 300'000));
    std::vector<std::uint16_t> halves(offsets.size());
    for (std::size_t i = 0; i < halves.size(); ++i) {
      halves[i] = milgen::half_from_float(floats[i]);
    }
    std::vector<std::byte> expected = place.memory.bytes;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      std::memcpy(expected.data() + offsets[i], &halves[i], 2);
    }
    CAPTURE(to_string(place.layout.shape));
    if (random.coin()) {
      CHECK_FALSE(write_fp16(place.surface, place.layout, halves, region));
    } else {
      CHECK_FALSE(write_fp32(place.surface, place.layout, floats, region));
    }
    CHECK(place.memory.bytes == expected);
    std::vector<std::uint16_t> halves_back(halves.size());
    CHECK_FALSE(read_fp16(place.surface, place.layout, halves_back, region));
    CHECK(halves_back == halves);
    std::vector<float> floats_back(floats.size());
    CHECK_FALSE(read_fp32(place.surface, place.layout, floats_back, region));
    for (std::size_t i = 0; i < halves.size(); ++i) {
      CHECK(floats_back[i] == milgen::float_from_half(halves[i]));
    }
  }
}

TEST_CASE("regions of random tensors of fp32 go where the model says") {
  Random random;
  for (int round = 0; round < kRounds; ++round) {
    Place place(random.layout(DType::fp32, 0, 5));
    const Region region = random.region(place.layout);
    const std::vector<std::size_t> offsets = offsets_of(place.layout, region);
    random.fill(place.memory.bytes);
    std::vector<float> values(offsets.size());
    for (float& value : values) value = 0.37f * static_cast<float>(random.in(-300'000, 300'000));
    std::vector<std::byte> expected = place.memory.bytes;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      std::memcpy(expected.data() + offsets[i], &values[i], 4);
    }
    CHECK_FALSE(write_fp32(place.surface, place.layout, values, region));
    CHECK(place.memory.bytes == expected);
    std::vector<float> back(values.size());
    CHECK_FALSE(read_fp32(place.surface, place.layout, back, region));
    CHECK(back == values);
  }
}

TEST_CASE("random channels go from surface to surface, and within one, as the model says") {
  Random random;
  for (int round = 0; round < 2 * kRounds; ++round) {
    const DType dtype = random.dtype();
    const TensorLayout source_layout = random.layout(dtype, 4, 5);
    Shape shape = source_layout.shape;
    shape[1] = random.in(1, 6);
    TensorLayout layout = layout_of("y", dtype, shape);
    if (random.coin()) random.spread(layout);
    const bool within = random.coin();
    if (within) {
      layout = source_layout;
      if (layout.batches == 1) layout.channels = random.in(1, layout.channels);
    }
    CopyRange range;
    range.source_channel = random.in(0, source_layout.channels);
    range.channel = random.in(0, layout.channels);
    const std::int64_t most =
        std::min(source_layout.channels - range.source_channel, layout.channels - range.channel);
    range.channels = random.coin() ? -1 : random.in(0, most);

    Place source(source_layout);
    Place other(layout);
    random.fill(source.memory.bytes);
    random.fill(other.memory.bytes);
    Place& target = within ? source : other;
    std::vector<std::byte> expected = target.memory.bytes;
    const Region from = {range.source_channel, range.channels == -1 ? most : range.channels, 0, -1};
    const Region to = {range.channel, from.channels, 0, -1};
    const std::vector<std::size_t> at = offsets_of(source_layout, from);
    const std::vector<std::size_t> target_at = offsets_of(layout, to);
    REQUIRE(at.size() == target_at.size());
    for (std::size_t i = 0; i < at.size(); ++i) {
      std::memcpy(expected.data() + target_at[i], source.memory.bytes.data() + at[i],
                  static_cast<std::size_t>(layout.element_bytes()));
    }
    CAPTURE(to_string(source_layout.shape));
    CAPTURE(to_string(layout.shape));
    const Error error = copy_channels(source.surface, source_layout, target.surface, layout, range);
    CHECK_MESSAGE(!error, error.text());
    CHECK(target.memory.bytes == expected);
    if (from.channels == 0) {
      CHECK(source.memory.locks.empty());
    } else if (within) {
      CHECK(source.memory.locks == "wW");
    } else {
      CHECK(source.memory.locks == "rR");
      CHECK(other.memory.locks == "wW");
    }
  }
}

TEST_CASE("channels that overlap in one surface arrive whole, in both directions") {
  for (const std::int64_t shift : {1, 2}) {
    for (const bool forward : {true, false}) {
      Place place(DType::fp16, {1, 6, 2, 3});
      const std::vector<std::uint16_t> values = some_halves(36);
      REQUIRE_FALSE(write_fp16(place.surface, place.layout, values));
      // The same surface, known by another object.
      const Surface again = surface_of(memory_engine(), place.memory);
      const CopyRange range = forward ? CopyRange{0, shift, -1} : CopyRange{shift, 0, -1};
      place.memory.locks.clear();
      CHECK_FALSE(copy_channels(place.surface, place.layout, again, place.layout, range));
      CHECK(place.memory.locks == "wW");
      std::vector<std::uint16_t> expected = values;
      const auto moved = static_cast<std::size_t>(6 * shift);
      if (forward) {
        std::copy_n(values.begin(), 36 - moved, expected.begin() + 6 * shift);
      } else {
        std::copy_n(values.begin() + 6 * shift, 36 - moved, expected.begin());
      }
      std::vector<std::uint16_t> back(36);
      CHECK_FALSE(read_fp16(place.surface, place.layout, back));
      CHECK(back == expected);
    }
  }
}

TEST_CASE("channels that overlap with other strides are refused, and copied where they do not") {
  Place place(DType::fp16, {1, 8, 1, 4});
  TensorLayout wide = layout_of("y", DType::fp16, {1, 4, 1, 4});
  wide.row_stride = 128;
  wide.depth_stride = 128;
  wide.plane_stride = 128;
  wide.batch_stride = 512;
  CHECK(message(copy_channels(place.surface, place.layout, place.surface, wide, {1, 0, 3})) ==
        "'x' is tensor<fp16, [1, 8, 1, 4]> and 'y' is tensor<fp16, [1, 4, 1, 4]>, which overlap in "
        "one surface with strides that differ");
  const std::vector<std::uint16_t> values = some_halves(32);
  CHECK_FALSE(write_fp16(place.surface, place.layout, values));
  CHECK_FALSE(copy_channels(place.surface, place.layout, place.surface, wide, {0, 2, 2}));
  std::vector<std::uint16_t> back(8);
  CHECK_FALSE(read_fp16(place.surface, wide, back, {2, 2, 0, -1}));
  CHECK(back == std::vector<std::uint16_t>(values.begin(), values.begin() + 8));
}

TEST_CASE("another number of values is refused with both numbers, and nothing is moved") {
  Place place(DType::fp16, {1, 4, 1, 8});
  std::vector<std::uint16_t> halves(31);
  CHECK(message(write_fp16(place.surface, place.layout, halves)) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 32 elements, but 31 were given");
  CHECK(message(read_fp16(place.surface, place.layout, halves)) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 32 elements, but 31 were given");
  std::vector<float> floats(1);
  CHECK(message(write_fp32(place.surface, place.layout, floats)) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 32 elements, but 1 was given");
  CHECK(message(read_fp32(place.surface, place.layout, floats, {1, 2, 4, -1})) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> and 2 channels, 1 rows and 4 columns of it are 8 "
        "elements, but 1 was given");
  std::vector<std::byte> bytes(65);
  CHECK(message(write_packed(place.surface, place.layout, bytes)) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 64 bytes, but 65 were given");
  CHECK(message(read_packed(place.surface, place.layout, {})) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 64 bytes, but 0 were given");
  CHECK(message(write_raw(place.surface, place.layout, bytes)) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> and takes 256 bytes with its padding, but 65 were "
        "given");
  CHECK(message(read_raw(place.surface, place.layout, std::span(bytes).first(1))) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> and takes 256 bytes with its padding, but 1 was given");
  CHECK(place.memory.locks.empty());
  CHECK(place.memory.bytes == std::vector<std::byte>(256, std::byte{0xA5}));
}

TEST_CASE("values of another dtype are refused with both dtypes") {
  std::vector<std::uint16_t> halves(4);
  std::vector<float> floats(4);
  Place whole(DType::int8, {4});
  CHECK(message(write_fp32(whole.surface, whole.layout, floats)) ==
        "'x' is tensor<int8, [4]>, and fp32 values go with fp16 and fp32 alone");
  CHECK(message(read_fp32(whole.surface, whole.layout, floats)) ==
        "'x' is tensor<int8, [4]>, and fp32 values go with fp16 and fp32 alone");
  Place real(DType::fp32, {4});
  CHECK(message(write_fp16(real.surface, real.layout, halves)) ==
        "'x' is tensor<fp32, [4]>, and fp16 values go with fp16 alone");
  CHECK(message(read_fp16(real.surface, real.layout, halves)) ==
        "'x' is tensor<fp32, [4]>, and fp16 values go with fp16 alone");
}

TEST_CASE("a region outside of the tensor is refused with both numbers") {
  Place place(DType::fp16, {1, 4, 1, 8});
  std::vector<std::uint16_t> values(32);
  const auto refusal = [&](const Region& region) {
    return message(write_fp16(place.surface, place.layout, values, region));
  };
  CHECK(refusal({2, 3, 0, -1}) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 4 channels, but 3 from channel 2 on are asked for");
  CHECK(refusal({5, -1, 0, -1}) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 4 channels, but all from channel 5 on are asked "
        "for");
  CHECK(refusal({-1, -1, 0, -1}).find("but all from channel -1 on") != std::string::npos);
  CHECK(refusal({1, -2, 0, -1}).find("but -2 from channel 1 on") != std::string::npos);
  CHECK(refusal({1, kMost, 0, -1}).find("from channel 1 on") != std::string::npos);
  CHECK(refusal({kMost, kMost, 0, -1}).find("with 4 channels") != std::string::npos);
  CHECK(refusal({0, -1, 8, 1}) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 8 columns, but 1 from column 8 on are asked for");
  CHECK(refusal({0, -1, 0, kMost}).find("with 8 columns") != std::string::npos);
  CHECK(place.memory.locks.empty());
}

TEST_CASE("a region is of one batch and has no depth") {
  std::vector<std::uint16_t> values(8);
  Place batches(DType::fp16, {2, 4, 1, 8});
  CHECK(message(write_fp16(batches.surface, batches.layout, values, {0, 1, 0, -1})) ==
        "'x' is tensor<fp16, [2, 4, 1, 8]> with 2 batches and a depth of 1, but a part is taken of "
        "one batch and a depth of 1");
  Place deep(DType::fp16, {1, 4, 3, 1, 8});
  CHECK(message(read_fp16(deep.surface, deep.layout, values, {0, 1, 0, -1})) ==
        "'x' is tensor<fp16, [1, 4, 3, 1, 8]> with 1 batches and a depth of 3, but a part is taken "
        "of one batch and a depth of 1");
}

TEST_CASE("a region without elements moves nothing") {
  Place place(DType::fp16, {1, 4, 1, 8});
  CHECK_FALSE(write_fp16(place.surface, place.layout, {}, {4, -1, 0, -1}));
  CHECK_FALSE(write_fp32(place.surface, place.layout, {}, {0, -1, 8, -1}));
  CHECK_FALSE(read_fp16(place.surface, place.layout, {}, {1, 0, 0, -1}));
  CHECK_FALSE(read_fp32(place.surface, place.layout, {}, {1, 0, 0, -1}));
  CHECK(place.memory.locks.empty());
}

TEST_CASE("a surface that is too small, or none, is refused") {
  Place place(DType::fp16, {1, 4, 1, 8});
  MemorySurface small(255);
  const Surface surface = surface_of(memory_engine(), small);
  std::vector<std::uint16_t> values(32);
  std::vector<std::byte> raw(256);
  const std::string expected =
      "'x' is tensor<fp16, [1, 4, 1, 8]> and takes 256 bytes, but its surface has 255";
  CHECK(message(write_fp16(surface, place.layout, values)) == expected);
  CHECK(message(read_fp16(surface, place.layout, values)) == expected);
  CHECK(message(write_raw(surface, place.layout, raw)) == expected);
  CHECK(message(read_raw(surface, place.layout, raw)) == expected);
  CHECK(message(copy_channels(surface, place.layout, place.surface, place.layout)) == expected);
  CHECK(message(copy_channels(place.surface, place.layout, surface, place.layout)) == expected);
  CHECK(message(TensorView::take(surface, place.layout, Access::read).error()) == expected);
  CHECK(message(write_fp16(Surface(), place.layout, values)) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]>, and has no surface");
  CHECK(small.locks.empty());
}

TEST_CASE("strides that lead out of the surface are refused") {
  Place place(DType::fp16, {1, 4, 1, 8});
  place.layout.plane_stride = kMost / 2;
  std::vector<std::uint16_t> values(32);
  CHECK(message(write_fp16(place.surface, place.layout, values), ErrorKind::layout)
            .find("more bytes than fit in 63 bits") != std::string::npos);
}

TEST_CASE("all bytes of a tensor are its padding, too") {
  Place place(DType::fp16, {1, 2, 1, 4});
  std::vector<std::byte> bytes(128);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  CHECK_FALSE(write_raw(place.surface, place.layout, bytes));
  CHECK(place.memory.bytes == bytes);
  std::vector<std::byte> back(128);
  CHECK_FALSE(read_raw(place.surface, place.layout, back));
  CHECK(back == bytes);
  CHECK(place.memory.locks == "wWrR");
}

TEST_CASE("channels that are not there, or of another kind, are not copied") {
  Place source(DType::fp16, {1, 4, 1, 8});
  Place target(layout_of("y", DType::fp16, {1, 6, 1, 8}));
  const auto refusal = [&](const CopyRange& range) {
    return message(
        copy_channels(source.surface, source.layout, target.surface, target.layout, range));
  };
  CHECK(refusal({0, 0, 5}) ==
        "'x' is tensor<fp16, [1, 4, 1, 8]> with 4 channels, but 5 from channel 0 on are asked for");
  CHECK(refusal({0, 3, 4}) ==
        "'y' is tensor<fp16, [1, 6, 1, 8]> with 6 channels, but 4 from channel 3 on are asked for");
  CHECK(refusal({0, 7, -1}) ==
        "'y' is tensor<fp16, [1, 6, 1, 8]> with 6 channels, but all from channel 7 on are asked "
        "for");
  CHECK(refusal({-1, 0, -1}).find("all from channel -1 on") != std::string::npos);
  for (const Shape& shape :
       {Shape{2, 4, 1, 8}, Shape{1, 4, 2, 8}, Shape{1, 4, 1, 9}, Shape{1, 4, 2, 1, 8}}) {
    Place other(layout_of("y", DType::fp16, shape));
    CHECK(message(copy_channels(source.surface, source.layout, other.surface, other.layout)) ==
          "'x' is tensor<fp16, [1, 4, 1, 8]> and 'y' is tensor<fp16, " + to_string(shape) +
              ">, but only channels may differ in number");
  }
  Place signless(layout_of("y", DType::uint16, {1, 4, 1, 8}));
  CHECK(message(copy_channels(source.surface, source.layout, signless.surface, signless.layout))
            .find("'y' is tensor<uint16, [1, 4, 1, 8]>, but only channels") != std::string::npos);
  CHECK(source.memory.locks.empty());
}

TEST_CASE("locks that fail are errors, and what was locked is unlocked") {
  Place source(DType::fp16, {1, 1, 1, 4});
  Place target(DType::fp16, {1, 1, 1, 4});
  std::vector<std::uint16_t> values(4);
  std::vector<std::byte> raw(64);
  target.memory.lock_code = -1;
  const std::string write_refused = "a surface of 64 bytes cannot be locked for writing";
  CHECK(message(write_fp16(target.surface, target.layout, values), ErrorKind::map) ==
        write_refused);
  CHECK(message(write_raw(target.surface, target.layout, raw), ErrorKind::map) == write_refused);
  CHECK(message(copy_channels(target.surface, target.layout, target.surface, target.layout),
                ErrorKind::map) == write_refused);
  CHECK(message(read_fp16(target.surface, target.layout, values), ErrorKind::map) ==
        "a surface of 64 bytes cannot be locked for reading");
  CHECK(message(read_raw(target.surface, target.layout, raw), ErrorKind::map) ==
        "a surface of 64 bytes cannot be locked for reading");
  CHECK(message(TensorView::take(target.surface, target.layout, Access::write).error(),
                ErrorKind::map) == write_refused);
  CHECK(message(copy_channels(source.surface, source.layout, target.surface, target.layout),
                ErrorKind::map) == write_refused);
  CHECK(source.memory.locks == "rR");
  CHECK(target.memory.locks.empty());
  CHECK(message(copy_channels(target.surface, target.layout, source.surface, source.layout),
                ErrorKind::map) == "a surface of 64 bytes cannot be locked for reading");
  CHECK(source.memory.locks == "rR");
}

TEST_CASE("an unlock that fails is an error") {
  Place source(DType::fp16, {1, 1, 1, 4});
  Place target(DType::fp16, {1, 1, 1, 4});
  std::vector<std::uint16_t> values(4);
  target.memory.unlock_code = -1;
  CHECK(message(write_fp16(target.surface, target.layout, values), ErrorKind::map) ==
        "a surface of 64 bytes cannot be unlocked for writing");
  CHECK(message(copy_channels(source.surface, source.layout, target.surface, target.layout),
                ErrorKind::map) == "a surface of 64 bytes cannot be unlocked for writing");
  CHECK(message(copy_channels(target.surface, target.layout, source.surface, source.layout),
                ErrorKind::map) == "a surface of 64 bytes cannot be unlocked for reading");
  CHECK(source.memory.locks == "rRwW");
}

TEST_CASE("a view is the surface's memory, locked while it lives") {
  Place place(DType::fp16, {2, 3, 4, 5, 6});
  MemorySurface larger(static_cast<std::size_t>(place.layout.alloc_bytes()) + 100);
  const Surface surface = surface_of(memory_engine(), larger);
  {
    Result<TensorView> taken = TensorView::take(surface, place.layout, Access::write);
    REQUIRE(taken);
    CHECK(larger.locks == "w");
    TensorView view = *std::move(taken);
    CHECK(view.layout().name == "x");
    CHECK(view.bytes().data() == larger.bytes.data());
    CHECK(view.bytes().size() == larger.bytes.size() - 100);
    std::int64_t row = 0;
    Index at{};
    for (at[0] = 0; at[0] < 2; ++at[0]) {
      for (at[1] = 0; at[1] < 3; ++at[1]) {
        for (at[2] = 0; at[2] < 4; ++at[2]) {
          for (at[3] = 0; at[3] < 5; ++at[3]) {
            const std::span<std::byte> bytes = view.row(row++);
            CHECK(bytes.data() == larger.bytes.data() + offset_of(place.layout, at));
            CHECK(bytes.size() == 12);
          }
        }
      }
    }
    CHECK(view.row(row).empty());
    CHECK(view.row(-1).empty());
    const TensorView moved = std::move(view);
    CHECK(view.bytes().empty());  // NOLINT(bugprone-use-after-move)
    CHECK(view.row(0).empty());
    CHECK(moved.row(0).size() == 12);
    CHECK(larger.locks == "w");
  }
  CHECK(larger.locks == "wW");
  CHECK(TensorView().bytes().empty());
  CHECK(TensorView().row(0).empty());
}

TEST_CASE("moving values takes no memory") {
  Place source(DType::fp16, {1, 4, 2, 40});
  Place target(DType::fp16, {1, 4, 2, 40});
  std::vector<std::uint16_t> halves(320);
  std::vector<float> floats(320);
  std::vector<std::byte> packed(640);
  std::vector<std::byte> raw(1024);
  bool good = true;
  const auto cost = milgen::test::memory_cost_of([&] {
    good &= !write_fp16(source.surface, source.layout, halves);
    good &= !write_fp32(source.surface, source.layout, floats);
    good &= !write_fp32(source.surface, source.layout, std::span(floats).first(16), {0, 2, 1, 4});
    good &= !write_packed(source.surface, source.layout, packed);
    good &= !write_raw(source.surface, source.layout, raw);
    good &= !read_fp16(source.surface, source.layout, halves);
    good &= !read_fp32(source.surface, source.layout, floats);
    good &= !read_packed(source.surface, source.layout, packed);
    good &= !read_raw(source.surface, source.layout, raw);
    // What the log of locks is kept in has grown by now.
    good &= !copy_channels(source.surface, source.layout, source.surface, source.layout, {0, 1});
  });
  CHECK(good);
  // The test's own record of locks outgrows the room that strings bring along.
  CHECK(cost.allocations <= 1);
  target.memory.locks.reserve(64);
  source.memory.locks.reserve(64);
  CHECK(milgen::test::memory_cost_of([&] {
          good &= !copy_channels(source.surface, source.layout, target.surface, target.layout);
          good &= !write_fp16(source.surface, source.layout, halves);
          good &= !read_fp32(source.surface, source.layout, floats);
        }).allocations == 0);
  CHECK(good);
}
