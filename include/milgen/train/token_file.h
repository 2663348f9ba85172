// Files of tokens to train on: little-endian token ids one behind the other and nothing else, 16
// bits each as llama2.c's tinystories.py writes them, or 32 for larger vocabularies.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "milgen/diagnostic.h"

namespace milgen::train {

/// Bytes of one token.
enum class TokenWidth : std::uint8_t { uint16 = 2, uint32 = 4 };

/// The tokens of a file, mapped: sequences are read where they are wanted, and the file may be
/// larger than memory.
class TokenFile {
 public:
  TokenFile();
  TokenFile(TokenFile&&) noexcept;
  TokenFile& operator=(TokenFile&&) noexcept;
  ~TokenFile();

  /// Looks at the size alone. Reports `file.*`, and `tokens.size` for a file that is empty or not
  /// of whole tokens. Tokens are to be in [0, vocab).
  bool open(const std::string& path, std::int64_t vocab, TokenWidth width,
            Diagnostics& diagnostics);
  /// The number of tokens.
  std::int64_t size() const { return size_; }
  std::int64_t vocab() const { return vocab_; }
  const std::string& path() const { return path_; }

  /// `out.size()` tokens from `first` on: seq + 1 for inputs and targets of a sequence. Reports
  /// `tokens.range` for tokens behind the end, and `tokens.vocab` with the index of the first one
  /// that the vocabulary does not have.
  bool read(std::int64_t first, std::span<std::int32_t> out, Diagnostics& diagnostics) const;
  /// Looks at every token: `tokens.vocab`. Takes no memory.
  bool check(Diagnostics& diagnostics) const;

 private:
  struct Mapping;

  std::uint32_t token(std::int64_t index) const;
  bool refuse(std::int64_t index, Diagnostics& diagnostics) const;

  std::unique_ptr<Mapping> mapping_;
  std::string path_;
  std::int64_t size_ = 0;
  std::int64_t vocab_ = 0;
  TokenWidth width_ = TokenWidth::uint16;
};

/// Reports `file.*`, and `tokens.vocab` for a token below 0 or not below `vocab`, or one that the
/// width does not hold. The file takes its place whole or not at all.
bool write_tokens(const std::string& path, std::span<const std::int32_t> tokens, std::int64_t vocab,
                  TokenWidth width, Diagnostics& diagnostics);

}  // namespace milgen::train
