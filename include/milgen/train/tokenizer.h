// The tokenizer of llama2.c: byte-pair encoding with scores, as tokenizer.py exports it from a
// sentencepiece model and run.c reads it (github.com/karpathy/llama2.c).
//
// tokenizer.bin is little-endian: int32 max_token_length, then for each token a float score, an
// int32 length and that many bytes. The number of tokens is not in the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"

namespace milgen::train {

inline constexpr std::int32_t kUnknownToken = 0;
inline constexpr std::int32_t kBosToken = 1;
inline constexpr std::int32_t kEosToken = 2;
/// Of byte 0; byte b is b later, and its text is "<0xXX>".
inline constexpr std::int32_t kFirstByteToken = 3;

struct TokenText {
  std::string text;
  float score = 0;
};

/// What encode() puts around a text.
struct EncodeOptions {
  bool bos = true;
  bool eos = false;
};

class Tokenizer {
 public:
  /// `vocab` tokens. Reports `file.*`; `tokenizer.vocab` for fewer than 259 tokens, which the bytes
  /// take, or more than 2^20; `tokenizer.size` for a file that ends within a token or has bytes
  /// behind the last; `tokenizer.length` for a token that is longer than the file says any is;
  /// `tokenizer.bytes` where a byte does not have its token.
  bool read(const std::string& path, std::int64_t vocab, Diagnostics& diagnostics);
  /// The same from memory; `tokenizer.vocab` and `tokenizer.bytes`.
  bool assign(const std::vector<TokenText>& tokens, Diagnostics& diagnostics);
  bool write(const std::string& path, Diagnostics& diagnostics) const;

  std::int64_t vocab() const { return static_cast<std::int64_t>(scores_.size()); }
  /// As the file has it: "<0x0A>" for a line break. Empty for a token that there is not.
  std::string_view text(std::int32_t token) const;
  float score(std::int32_t token) const { return scores_[static_cast<std::size_t>(token)]; }
  /// The token with this text, the lowest of several; -1 when there is none.
  std::int32_t find(std::string_view text) const;

  /// As run.c has it: a space in front of a text that is not empty; a token for each UTF-8
  /// character, for each byte of one that has none; then, again and again, the two neighbours that
  /// make the token with the best score become that token, the first of equally good ones. A score
  /// of -1e10 or less is never taken. Time grows as n log n.
  std::vector<std::int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// What `token` adds to a text whose last token is `previous`: the byte of a byte token, else its
  /// text, behind BOS without a space at its front.
  std::string_view piece(std::int32_t previous, std::int32_t token) const;
  /// The text of a sequence. BOS and EOS have none; tokens that there are not are left out.
  std::string decode(std::span<const std::int32_t> tokens) const;

 private:
  void add(std::string_view text, float score);
  bool index(const std::string& path, Diagnostics& diagnostics);

  std::string texts_;              // one behind the other
  std::vector<std::size_t> ends_;  // in texts_, of each token
  std::vector<float> scores_;
  std::vector<std::int32_t> sorted_;  // by text, then by id
  std::size_t longest_ = 0;
};

}  // namespace milgen::train
