#include "mil/verify_values.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <new>
#include <system_error>

#include "mil/literal.h"

namespace milgen::mil {
namespace {

/// Inference looks at floats one at a time or in short lists only.
constexpr std::size_t kMostReals = 4096;

}  // namespace

VerifyValues::VerifyValues(const ModuleData& data)
    : data_(data),
      inferred_(data.values.size(), nullptr),
      disputed_(data.values.size(), false),
      knowledge_(data.values.size(), Knowledge::run_time),
      literal_of_(data.values.size(), kNoId),
      by_literal_(data.literals.size(), nullptr) {}

std::span<const std::int64_t> VerifyValues::keep(std::span<const std::int64_t> dims) {
  if (dims.empty()) return {};
  auto* copy = allocate<std::int64_t>(dims.size());
  std::ranges::copy(dims, copy);
  return {copy, dims.size()};
}

const TypeView& VerifyValues::make_type(DType dtype, std::span<const std::int64_t> shape) {
  return *new (allocate<TypeView>(1)) TypeView{.dtype = dtype, .shape = keep(shape)};
}

void VerifyValues::set_input(Id value) {
  const TypeView& written = data_.types.view(data_.values[value].type);
  if (std::ranges::all_of(written.shape, known)) return;
  Shape shape(written.shape);
  for (std::int64_t& dim : shape) {
    if (!known(dim)) dim = next_symbol_--;
  }
  set_result(value, shape);
}

void VerifyValues::set_result(Id value, std::span<const std::int64_t> inferred_dims) {
  const TypeView& written = data_.types.view(data_.values[value].type);
  if (written.shape.size() != inferred_dims.size() || std::ranges::all_of(written.shape, known)) {
    return;
  }
  auto* dims = allocate<std::int64_t>(inferred_dims.size());
  for (std::size_t i = 0; i < inferred_dims.size(); ++i) {
    dims[i] = known(written.shape[i]) ? written.shape[i] : inferred_dims[i];
  }
  auto* view = new (allocate<TypeView>(1)) TypeView(written);
  view->shape = {dims, inferred_dims.size()};
  inferred_[value] = view;
}

void VerifyValues::set_bad(Id literal) {
  if (bad_.empty()) bad_.resize(data_.literals.size());
  bad_[literal] = true;
}

const ConstView& VerifyValues::constant(Id literal, const TypeView& type) {
  const ConstView*& known_as = by_literal_[literal];
  if (known_as != nullptr) return *known_as;
  auto* view = new (allocate<ConstView>(1)) ConstView();
  // A list is a constant of its elements' dtype.
  view->dtype =
      type.kind == TypeKind::list && type.element != nullptr ? type.element->dtype : type.dtype;
  view->shape = type.shape;
  const LiteralRecord& record = data_.literals[literal];
  if (record.blob == kNoId && (type.kind == TypeKind::tensor || type.kind == TypeKind::list)) {
    decode(record, view->dtype, *view);
  }
  known_as = view;
  return *view;
}

void VerifyValues::decode(const LiteralRecord& literal, DType dtype, ConstView& out) {
  if (dtype == DType::string) {
    decode_texts(literal.text, out);
  } else if (is_float(dtype)) {
    reals_.clear();
    if (!decode_reals(literal.text, dtype, reals_, kMostReals)) return;
    auto* copy = allocate<double>(std::max<std::size_t>(reals_.size(), 1));
    std::ranges::copy(reals_, copy);
    out.reals = {copy, reals_.size()};
    out.known = true;
  } else {
    ints_.clear();
    std::int64_t scalar = 0;
    const char* end = literal.text.data() + literal.text.size();
    if (const auto [stop, code] = std::from_chars(literal.text.data(), end, scalar);
        stop == end && code == std::errc()) {
      out.ints = keep({&scalar, 1});
      out.known = true;
      return;
    }
    const bool read = dtype == DType::uint64 ? decode_unsigned(literal.text, ints_, SIZE_MAX)
                                             : decode_integers(literal.text, ints_, SIZE_MAX);
    if (!read) return;
    out.ints = keep(ints_);
    out.known = true;
  }
}

void VerifyValues::decode_texts(std::string_view text, ConstView& out) {
  std::vector<std::string> decoded;
  // Nearly every string is one word without escapes, which can be looked at where it stands.
  const bool plain = text.size() >= 2 && text.front() == '"' && text.find('\\') == text.npos &&
                     text.find('"', 1) == text.size() - 1;
  if (!plain && !decode_strings(text, decoded, SIZE_MAX)) return;
  const std::size_t count = plain ? 1 : decoded.size();
  auto* views = allocate<std::string_view>(std::max<std::size_t>(count, 1));
  if (plain) new (views) std::string_view(text.substr(1, text.size() - 2));
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    new (views + i) std::string_view(texts_.emplace_back(std::move(decoded[i])));
  }
  out.texts = {views, count};
  out.known = true;
}

}  // namespace milgen::mil
