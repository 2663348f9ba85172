#include "milgen/train/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "support/files.h"
#include "support/rule.h"
#include "train/value_file.h"
#include "weights/blob_format.h"

namespace milgen::train {
namespace {

using detail::fail;
using milgen::detail::load_little;
using milgen::detail::store_little;

std::size_t bytes_of(TokenWidth width) { return static_cast<std::size_t>(width); }

}  // namespace

struct TokenFile::Mapping {
  MappedFile file;
};

TokenFile::TokenFile() = default;
TokenFile::TokenFile(TokenFile&&) noexcept = default;
TokenFile& TokenFile::operator=(TokenFile&&) noexcept = default;
TokenFile::~TokenFile() = default;

bool TokenFile::open(const std::string& path, std::int64_t vocab, TokenWidth width,
                     Diagnostics& diagnostics) {
  auto mapping = std::make_unique<Mapping>();
  if (!mapping->file.open(path, diagnostics)) return false;
  const std::size_t size_bytes = mapping->file.bytes().size();
  if (size_bytes == 0)
    return fail(rule<"tokens.size">, "the file has no tokens", path, diagnostics);
  if (size_bytes % bytes_of(width) != 0) {
    return fail(
        rule<"tokens.size">,
        fmt::format("the file has {} bytes, but tokens take {} each", size_bytes, bytes_of(width)),
        path, diagnostics);
  }
  mapping_ = std::move(mapping);
  path_ = path;
  size_ = static_cast<std::int64_t>(size_bytes / bytes_of(width));
  vocab_ = vocab;
  width_ = width;
  return true;
}

std::uint32_t TokenFile::token(std::int64_t index) const {
  const std::byte* at =
      mapping_->file.bytes().data() + static_cast<std::size_t>(index) * bytes_of(width_);
  return width_ == TokenWidth::uint16 ? load_little<std::uint16_t>(at)
                                      : load_little<std::uint32_t>(at);
}

bool TokenFile::refuse(std::int64_t index, Diagnostics& diagnostics) const {
  return fail(rule<"tokens.vocab">,
              fmt::format("token {} is {}, but the vocabulary has {}", index, token(index), vocab_),
              path_, diagnostics);
}

bool TokenFile::read(std::int64_t first, std::span<std::int32_t> out,
                     Diagnostics& diagnostics) const {
  const auto count = static_cast<std::int64_t>(out.size());
  if (first < 0 || first > size_ || count > size_ - first) {
    return fail(
        rule<"tokens.range">,
        fmt::format("{} tokens from {} on are wanted, but there are {}", count, first, size_),
        path_, diagnostics);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t value = token(first + i);
    if (std::cmp_greater_equal(value, vocab_)) return refuse(first + i, diagnostics);
    out[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(value);
  }
  return true;
}

bool TokenFile::check(Diagnostics& diagnostics) const {
  constexpr std::int64_t kPiece = std::int64_t{1} << 20;
  for (std::int64_t first = 0; first < size_; first += kPiece) {
    const std::int64_t end = first + std::min(kPiece, size_ - first);
    for (std::int64_t i = first; i < end; ++i) {
      if (std::cmp_greater_equal(token(i), vocab_)) return refuse(i, diagnostics);
    }
    detail::forget_pages(
        mapping_->file.bytes().subspan(static_cast<std::size_t>(first) * bytes_of(width_),
                                       static_cast<std::size_t>(end - first) * bytes_of(width_)));
  }
  return true;
}

bool write_tokens(const std::string& path, std::span<const std::int32_t> tokens, std::int64_t vocab,
                  TokenWidth width, Diagnostics& diagnostics) {
  const std::int64_t held = width == TokenWidth::uint16 ? std::int64_t{1} << 16 : vocab;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::int32_t token = tokens[i];
    if (token >= 0 && token < vocab && token < held) continue;
    return fail(rule<"tokens.vocab">,
                token >= held && token < vocab
                    ? fmt::format("token {} is {}, which 16 bits do not hold", i, token)
                    : fmt::format("token {} is {}, but the vocabulary has {}", i, token, vocab),
                path, diagnostics);
  }
  AtomicFile file;
  if (!file.open(path, diagnostics)) return false;
  while (!tokens.empty()) {
    const auto lent = file.lend(tokens.size() * bytes_of(width), diagnostics);
    const std::size_t count = lent.size() / bytes_of(width);
    if (count == 0) return false;
    for (std::size_t i = 0; i < count; ++i) {
      std::byte* at = lent.data() + i * bytes_of(width);
      if (width == TokenWidth::uint16) {
        store_little(at, static_cast<std::uint16_t>(tokens[i]));
      } else {
        store_little(at, static_cast<std::uint32_t>(tokens[i]));
      }
    }
    file.accept(count * bytes_of(width));
    tokens = tokens.subspan(count);
  }
  return file.commit(diagnostics);
}

}  // namespace milgen::train
