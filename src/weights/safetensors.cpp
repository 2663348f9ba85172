#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "weights/blob_format.h"
#include "weights/tensor_file.h"

namespace milgen::detail {
namespace {

using Json = nlohmann::json;

// What the safetensors library itself refuses to go beyond.
constexpr std::uint64_t kHeaderLimitBytes = 100'000'000;
constexpr std::size_t kRankLimit = 32;

struct FileDType {
  std::string_view word;
  DType dtype;
};
constexpr FileDType kFileDTypes[] = {
    {"F16", DType::fp16},     {"F32", DType::fp32},          {"F64", DType::fp64},
    {"BF16", DType::bf16},    {"I8", DType::int8},           {"I16", DType::int16},
    {"I32", DType::int32},    {"I64", DType::int64},         {"U8", DType::uint8},
    {"U16", DType::uint16},   {"U32", DType::uint32},        {"U64", DType::uint64},
    {"BOOL", DType::boolean}, {"F8_E4M3", DType::fp8e4m3fn}, {"F8_E5M2", DType::fp8e5m2},
};

struct Entry {
  std::string name;
  std::string dtype;
  Shape shape;
  std::vector<std::uint64_t> offsets;
  bool has_shape = false;
};

/// Takes the header's events one by one instead of building a tree of it: the nesting is known,
/// and a deeper or another one is refused where it begins.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  std::vector<Entry> entries;
  std::string fault;

  bool null() override { return wrong("has a null"); }
  bool boolean(bool) override { return wrong("has a bool"); }
  bool number_integer(number_integer_t) override { return wrong("has a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return wrong("has a number that is not whole");
  }
  bool binary(binary_t&) override { return wrong("has binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::shape) {
      if (value > kLargestFileBytes) return wrong("has a dim that does not fit in 63 bits");
      if (entries.back().shape.size() == kRankLimit) return wrong("has more than 32 dims");
      entries.back().shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (state_ == State::offsets) {
      if (entries.back().offsets.size() == 2) return wrong("has more than 2 data_offsets");
      entries.back().offsets.push_back(value);
      return true;
    }
    return wrong("has a number where none belongs");
  }

  bool string(string_t& value) override {
    if (state_ == State::metadata) return true;
    if (state_ == State::tensor && key_ == "dtype") {
      entries.back().dtype = value;
      return true;
    }
    return wrong("has a string where none belongs");
  }

  bool start_object(std::size_t) override {
    if (state_ == State::before) {
      state_ = State::root;
      return true;
    }
    if (state_ != State::root) return wrong("has an object where none belongs");
    if (key_ == "__metadata__") {
      state_ = State::metadata;
      return true;
    }
    state_ = State::tensor;
    entries.push_back({});
    entries.back().name = key_;
    return true;
  }

  bool key(string_t& name) override {
    key_ = name;
    if (state_ == State::root && !names_.insert(name).second) return wrong("has the name twice");
    if (state_ == State::tensor && name != "dtype" && name != "shape" && name != "data_offsets") {
      return wrong("has a key that no tensor has");
    }
    return true;
  }

  bool end_object() override {
    state_ = state_ == State::root ? State::after : State::root;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ == State::tensor && key_ == "shape") {
      state_ = State::shape;
      entries.back().has_shape = true;
      entries.back().shape.clear();
      return true;
    }
    if (state_ == State::tensor && key_ == "data_offsets") {
      state_ = State::offsets;
      entries.back().offsets.clear();
      return true;
    }
    return wrong("has an array where none belongs");
  }

  bool end_array() override {
    state_ = State::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    if (fault.empty()) fault = fmt::format("is not JSON at byte {} of it", position);
    return false;
  }

 private:
  enum class State { before, root, metadata, tensor, shape, offsets, after };

  bool wrong(std::string_view what) {
    fault = key_.empty() ? std::string(what) : fmt::format("{} at '{}'", what, printable(key_));
    return false;
  }

  State state_ = State::before;
  std::string key_;
  std::unordered_set<std::string> names_;
};

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  const auto* const row = std::ranges::find(kFileDTypes, dtype, &FileDType::dtype);
  return row == std::end(kFileDTypes) ? std::string_view() : row->word;
}

bool parse_safetensors(std::span<const std::byte> file, const std::string& path,
                       std::vector<NamedTensor>& tensors, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  const auto fail = [&](Rule rule, std::string message) {
    diagnostics.error(rule.id(), std::move(message), Place(path));
    return false;
  };
  tensors.clear();
  if (file.size() < 8) {
    return fail(
        rule<"safetensors.header">,
        fmt::format("the file has {} byte{}, not even the 8 that say how long its header is",
                    file.size(), file.size() == 1 ? "" : "s"));
  }
  const auto length = load_little<std::uint64_t>(file.data());
  if (length > file.size() - 8) {
    return fail(rule<"safetensors.header">,
                fmt::format("the header has {} bytes, but the file ends {} behind its length",
                            length, file.size() - 8));
  }
  if (length > kHeaderLimitBytes) {
    return fail(
        rule<"safetensors.header">,
        fmt::format("the header has {} bytes, but {} are read at most", length, kHeaderLimitBytes));
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + 8;
  HeaderReader reader;
  if (!Json::sax_parse(text, text + length, &reader)) {
    return fail(rule<"safetensors.header">,
                "the header " + (reader.fault.empty() ? std::string("is not JSON") : reader.fault));
  }

  const auto data = file.subspan(8 + static_cast<std::size_t>(length));
  struct Extent {
    std::uint64_t begin;
    std::uint64_t end;
    std::size_t tensor;
  };
  std::vector<Extent> extents;
  for (Entry& entry : reader.entries) {
    NamedTensor named;
    named.name = std::move(entry.name);
    named.tensor.shape = std::move(entry.shape);
    const auto refuse = [&](std::string what) {
      fail(rule<"safetensors.tensor">, fmt::format("tensor '{}' {}", printable(named.name), what));
    };
    if (entry.dtype.empty() || !entry.has_shape || entry.offsets.size() != 2) {
      refuse("lacks its dtype, its shape or its two data_offsets");
      continue;
    }
    const std::uint64_t begin = entry.offsets[0];
    const std::uint64_t end = entry.offsets[1];
    if (begin > end || end > data.size()) {
      refuse(fmt::format("has data_offsets [{}, {}], but there are {} bytes of data", begin, end,
                         data.size()));
      continue;
    }
    for (const FileDType& row : kFileDTypes) {
      if (entry.dtype == row.word) named.tensor.dtype = row.dtype;
    }
    if (named.tensor.dtype == DType::none) {
      named.tensor.foreign_dtype = entry.dtype;
    } else {
      if (!takes_bytes(named.tensor, end - begin)) {
        refuse(fmt::format("is {}, which takes {}, but it has {}",
                           tensor_text(named.tensor.dtype, named.tensor.shape),
                           wanted_bytes_text(named.tensor), end - begin));
        continue;
      }
    }
    named.tensor.bytes =
        data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    if (begin != end) extents.push_back({begin, end, tensors.size()});
    tensors.push_back(std::move(named));
  }

  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.tensor < b.tensor;
  });
  // Against the one that reaches furthest, not the one before: a long tensor may hold several.
  std::size_t furthest = 0;
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].begin < extents[furthest].end) {
      fail(rule<"safetensors.overlap">,
           fmt::format("tensor '{}' begins at byte {} of the data, but '{}' ends at {}",
                       printable(tensors[extents[i].tensor].name), extents[i].begin,
                       printable(tensors[extents[furthest].tensor].name), extents[furthest].end));
    }
    if (extents[i].end > extents[furthest].end) furthest = i;
  }
  return diagnostics.errors() == errors_before;
}

}  // namespace milgen::detail
