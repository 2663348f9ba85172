#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <string_view>

#include "milgen/array.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "weights/blob_format.h"
#include "weights/tensor_file.h"

namespace milgen::detail {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// numpy itself writes a few hundred bytes.
constexpr std::uint64_t kHeaderLimitBytes = std::uint64_t{1} << 20;
constexpr std::size_t kRankLimit = 32;

/// The header is a Python dict literal with three keys. This reads that and nothing more of Python.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  bool parse() {
    if (!take('{')) return wrong("does not begin with '{'");
    while (!take('}')) {
      std::string_view key;
      if (!quoted(key)) return wrong("has something else than a key in quotes");
      if (!take(':')) return wrong("has no ':' behind a key");
      if (!value(key)) return false;
      if (take(',')) continue;
      if (take('}')) break;
      return wrong("has neither ',' nor '}' behind a value");
    }
    space();
    if (at_ != text_.size()) return wrong("goes on behind its '}'");
    if (descr.empty()) return wrong("has no 'descr'");
    if (!has_order_) return wrong("has no 'fortran_order'");
    if (!has_shape_) return wrong("has no 'shape'");
    return true;
  }

  std::string_view descr;
  bool column_major = false;
  Shape shape;
  std::string fault;

 private:
  bool wrong(std::string_view what) {
    fault = fmt::format("{} (byte {} of it)", what, at_);
    return false;
  }

  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  bool take(char c) {
    space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool take_word(std::string_view word) {
    space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool quoted(std::string_view& out) {
    space();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return false;
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }

  bool value(std::string_view key) {
    if (key == "descr") {
      // A list here describes records with named fields.
      return quoted(descr) || wrong("has a 'descr' that is not one dtype in quotes");
    }
    if (key == "fortran_order") {
      has_order_ = true;
      column_major = take_word("True");
      return column_major || take_word("False") ||
             wrong("has a 'fortran_order' that is neither True nor False");
    }
    if (key == "shape") {
      has_shape_ = true;
      return dims();
    }
    return wrong(fmt::format("has a key '{}'", printable(key, 40)));
  }

  bool dims() {
    shape.clear();
    if (!take('(')) return wrong("has a 'shape' that is no tuple");
    while (!take(')')) {
      space();
      std::int64_t dim = 0;
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
        const std::int64_t digit = text_[at_] - '0';
        if (dim > (std::numeric_limits<std::int64_t>::max() - digit) / 10) {
          return wrong("has a dim that does not fit in 63 bits");
        }
        dim = dim * 10 + digit;
        ++at_;
      }
      if (at_ == begin) return wrong("has a dim that is no number");
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote longs so
      shape.push_back(dim);
      if (shape.size() > kRankLimit) return wrong("has more than 32 dims");
      if (take(',')) continue;
      if (take(')')) break;
      return wrong("has neither ',' nor ')' behind a dim");
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool has_order_ = false;
  bool has_shape_ = false;
};

struct NpyDType {
  std::string_view descr;  // without the byte order
  DType dtype;
};
constexpr NpyDType kNpyDTypes[] = {
    {"b1", DType::boolean}, {"f2", DType::fp16},   {"f4", DType::fp32},   {"f8", DType::fp64},
    {"i1", DType::int8},    {"i2", DType::int16},  {"i4", DType::int32},  {"i8", DType::int64},
    {"u1", DType::uint8},   {"u2", DType::uint16}, {"u4", DType::uint32}, {"u8", DType::uint64},
};

}  // namespace

std::string npy_header(DType dtype, const Shape& shape) {
  const auto* const row = std::ranges::find(kNpyDTypes, dtype, &NpyDType::dtype);
  if (row == std::end(kNpyDTypes)) return {};
  std::string dims;
  for (const std::int64_t dim : shape)
    dims += fmt::format("{},{}", dim, shape.size() > 1 ? " " : "");
  if (shape.size() > 1) dims.resize(dims.size() - 2);
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                   element_bytes(dtype) == 1 ? '|' : '<', row->descr, dims);
  // Magic, version and length take 10 bytes; numpy has the data begin at a multiple of 64.
  constexpr std::size_t kStartBytes = 10;
  constexpr std::size_t kAlignmentBytes = 64;
  const std::size_t whole =
      (kStartBytes + header.size() + 1 + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  header.resize(whole - kStartBytes - 1, ' ');
  header += '\n';
  std::array<std::byte, 2> length{};
  store_little(length.data(), static_cast<std::uint16_t>(header.size()));
  std::string out(kMagic);
  out += {'\x01', '\0', std::to_integer<char>(length[0]), std::to_integer<char>(length[1])};
  return out + header;
}

bool parse_npy(std::span<const std::byte> file, const std::string& path, SourceTensor& tensor,
               Diagnostics& diagnostics) {
  const auto fail = [&](Rule rule, std::string message) {
    diagnostics.error(rule.id(), std::move(message), Place(path));
    return false;
  };
  if (file.size() < 10 || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return fail(rule<"npy.header">, "the file does not begin with the 6 bytes that mark a .npy");
  }
  const auto major = std::to_integer<unsigned>(file[6]);
  const auto minor = std::to_integer<unsigned>(file[7]);
  if (major < 1 || major > 3) {
    return fail(rule<"npy.header">,
                fmt::format("the format version is {}.{}, not 1 to 3", major, minor));
  }
  const std::size_t start = major == 1 ? 10 : 12;
  if (file.size() < start) {
    return fail(rule<"npy.header">,
                fmt::format("the file has {} bytes, less than its header", file.size()));
  }
  const std::uint64_t length = major == 1 ? load_little<std::uint16_t>(file.data() + 8)
                                          : load_little<std::uint32_t>(file.data() + 8);
  if (length > file.size() - start) {
    return fail(rule<"npy.header">,
                fmt::format("the header has {} bytes, but the file ends {} behind its length",
                            length, file.size() - start));
  }
  if (length > kHeaderLimitBytes) {
    return fail(rule<"npy.header">, fmt::format("the header has {} bytes, but {} are read at most",
                                                length, kHeaderLimitBytes));
  }
  HeaderParser parser(std::string_view(reinterpret_cast<const char*>(file.data()) + start,
                                       static_cast<std::size_t>(length)));
  if (!parser.parse()) return fail(rule<"npy.header">, "the header " + parser.fault);

  tensor = {};
  tensor.shape = parser.shape;
  tensor.column_major = parser.column_major;
  const std::string_view descr = parser.descr;
  const char order = descr.front();
  if (order == '>') {
    return fail(rule<"npy.dtype">, fmt::format("'{}' is big-endian; little-endian ('<') is read",
                                               printable(descr, 40)));
  }
  const bool ordered = order == '<' || order == '|' || order == '=';
  for (const NpyDType& row : kNpyDTypes) {
    if (descr.substr(ordered ? 1 : 0) == row.descr) tensor.dtype = row.dtype;
  }
  if (tensor.dtype == DType::none) {
    return fail(rule<"npy.dtype">, fmt::format("elements of '{}' are not read; bool, floats and "
                                               "integers of 1 to 8 bytes are",
                                               printable(descr, 40)));
  }
  const auto data = file.subspan(start + static_cast<std::size_t>(length));
  if (!takes_bytes(tensor, data.size())) {
    return fail(rule<"npy.size">, fmt::format("{} takes {}, but {} stand behind the header",
                                              tensor_text(tensor.dtype, tensor.shape),
                                              wanted_bytes_text(tensor), data.size()));
  }
  tensor.bytes = data;
  return true;
}

}  // namespace milgen::detail
