#include "milgen/train/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <queue>
#include <unordered_map>
#include <utility>

#include "support/files.h"
#include "support/printable.h"
#include "support/rule.h"
#include "train/value_file.h"
#include "weights/blob_format.h"

namespace milgen::train {
namespace {

using detail::fail;
using milgen::detail::load_little;
using milgen::detail::store_little;

constexpr std::int64_t kBytes = 256;
constexpr std::int64_t kFewestTokens = kFirstByteToken + kBytes;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 20;
/// run.c begins its search for the best pair with this.
constexpr float kScoreNeverTaken = -1e10f;

std::string byte_text(std::int64_t byte) { return fmt::format("<0x{:02X}>", byte); }

constexpr std::array<char, 256> kByteTexts = [] {
  std::array<char, 256> texts{};
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = static_cast<char>(i);
  return texts;
}();

bool check_vocab(const std::string& path, std::int64_t vocab, Diagnostics& diagnostics) {
  if (vocab >= kFewestTokens && vocab <= kMostTokens) return true;
  return fail(rule<"tokenizer.vocab">,
              fmt::format("the vocabulary has {} tokens, but tokenizers have from {} to {}", vocab,
                          kFewestTokens, kMostTokens),
              path, diagnostics);
}

/// The bytes of the character at the front, as run.c takes them: at most 4, whatever the first.
std::size_t character_bytes(std::string_view text) {
  constexpr std::size_t kMostBytes = 4;
  std::size_t size = 1;
  while (size < kMostBytes && size < text.size() &&
         (static_cast<unsigned char>(text[size]) & 0xC0u) == 0x80u) {
    ++size;
  }
  return size;
}

/// Tokens that become fewer: neighbours that make a better token are merged.
class Merger {
 public:
  Merger(const Tokenizer& tokenizer, std::size_t longest, std::vector<std::int32_t> tokens)
      : tokenizer_(tokenizer), longest_(longest), tokens_(std::move(tokens)) {
    before_.resize(tokens_.size());
    behind_.resize(tokens_.size());
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      before_[i] = i - 1;
      behind_[i] = i + 1;
    }
  }

  std::vector<std::int32_t> merge() {
    for (std::size_t i = 0; i + 1 < tokens_.size(); ++i) offer(i);
    while (!offers_.empty()) {
      const Offer best = offers_.top();
      offers_.pop();
      if (stands(best)) take(best);
    }
    std::erase(tokens_, kNone);
    return std::move(tokens_);
  }

 private:
  static constexpr std::int32_t kNone = -1;

  /// Two neighbours, and the token that they make.
  struct Offer {
    float score;
    std::size_t at;
    std::int32_t left;
    std::int32_t right;
    std::int32_t merged;

    /// The best score is at the top of the queue, the first place of equal ones.
    bool operator<(const Offer& other) const {
      return score != other.score ? score < other.score : at > other.at;
    }
  };

  void offer(std::size_t at) {
    const std::size_t next = behind_[at];
    if (next >= tokens_.size()) return;
    const std::int32_t merged = merge_of(tokens_[at], tokens_[next]);
    if (merged == kNone) return;
    offers_.push({tokenizer_.score(merged), at, tokens_[at], tokens_[next], merged});
  }

  /// The token that two make, kNone when they do not. A text has few pairs that differ.
  std::int32_t merge_of(std::int32_t left, std::int32_t right) {
    const auto key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
    const auto [place, is_new] = merges_.try_emplace(key, kNone);
    const std::string_view first = tokenizer_.text(left);
    const std::string_view second = tokenizer_.text(right);
    if (!is_new || first.size() + second.size() > longest_) return place->second;
    text_.assign(first);
    text_.append(second);
    const std::int32_t merged = tokenizer_.find(text_);
    // The comparison is false for what is not a number, too.
    if (merged >= 0 && tokenizer_.score(merged) > kScoreNeverTaken) place->second = merged;
    return place->second;
  }

  /// Whether no merge has taken one of the two since.
  bool stands(const Offer& offer) const {
    return tokens_[offer.at] == offer.left && behind_[offer.at] < tokens_.size() &&
           tokens_[behind_[offer.at]] == offer.right;
  }

  void take(const Offer& offer) {
    const std::size_t gone = behind_[offer.at];
    tokens_[offer.at] = offer.merged;
    tokens_[gone] = kNone;
    behind_[offer.at] = behind_[gone];
    if (behind_[gone] < tokens_.size()) before_[behind_[gone]] = offer.at;
    if (before_[offer.at] < tokens_.size()) this->offer(before_[offer.at]);
    this->offer(offer.at);
  }

  const Tokenizer& tokenizer_;
  std::size_t longest_;
  std::vector<std::int32_t> tokens_;
  // Places of the neighbours; none where it is not below the number of tokens.
  std::vector<std::size_t> before_;
  std::vector<std::size_t> behind_;
  std::priority_queue<Offer> offers_;
  std::unordered_map<std::uint64_t, std::int32_t> merges_;
  std::string text_;
};

}  // namespace

void Tokenizer::add(std::string_view text, float score) {
  texts_ += text;
  ends_.push_back(texts_.size());
  scores_.push_back(score);
  longest_ = std::max(longest_, text.size());
}

bool Tokenizer::index(const std::string& path, Diagnostics& diagnostics) {
  for (std::int64_t byte = 0; byte < kBytes; ++byte) {
    const auto token = static_cast<std::int32_t>(kFirstByteToken + byte);
    if (text(token) == byte_text(byte)) continue;
    return fail(rule<"tokenizer.bytes">,
                fmt::format("token {} is '{}', but stands for a byte, '{}'", token,
                            printable(text(token)), byte_text(byte)),
                path, diagnostics);
  }
  sorted_.resize(scores_.size());
  std::iota(sorted_.begin(), sorted_.end(), 0);
  std::ranges::stable_sort(sorted_, std::ranges::less(),
                           [this](std::int32_t token) { return text(token); });
  return true;
}

bool Tokenizer::read(const std::string& path, std::int64_t vocab, Diagnostics& diagnostics) {
  MappedFile file;
  if (!check_vocab(path, vocab, diagnostics) || !file.open(path, diagnostics)) return false;
  std::span<const std::byte> left = file.bytes();
  const auto take_number = [&] {
    const auto number = load_little<std::uint32_t>(left.data());
    left = left.subspan(sizeof(number));
    return number;
  };
  if (left.size() < 4) {
    return fail(rule<"tokenizer.size">,
                fmt::format("the file has {} bytes, less than its first number", left.size()), path,
                diagnostics);
  }
  const auto most = static_cast<std::int32_t>(take_number());
  Tokenizer made;
  for (std::int64_t token = 0; token < vocab; ++token) {
    const auto end_early = [&] {
      return fail(rule<"tokenizer.size">,
                  fmt::format("the file ends at byte {}, within token {} of {}",
                              file.bytes().size(), token, vocab),
                  path, diagnostics);
    };
    if (left.size() < 8) return end_early();
    const auto score = std::bit_cast<float>(take_number());
    const auto length = static_cast<std::int32_t>(take_number());
    if (length < 0 || length > most) {
      return fail(rule<"tokenizer.length">,
                  fmt::format("token {} has {} bytes, but the file says that {} is the most", token,
                              length, most),
                  path, diagnostics);
    }
    const auto size = static_cast<std::size_t>(length);
    if (left.size() < size) return end_early();
    made.add({reinterpret_cast<const char*>(left.data()), size}, score);
    left = left.subspan(size);
  }
  if (!left.empty()) {
    return fail(rule<"tokenizer.size">,
                fmt::format("the {} tokens end at byte {}, but the file has {}", vocab,
                            file.bytes().size() - left.size(), file.bytes().size()),
                path, diagnostics);
  }
  if (!made.index(path, diagnostics)) return false;
  *this = std::move(made);
  return true;
}

bool Tokenizer::assign(const std::vector<TokenText>& tokens, Diagnostics& diagnostics) {
  if (!check_vocab("", static_cast<std::int64_t>(tokens.size()), diagnostics)) return false;
  Tokenizer made;
  for (const TokenText& token : tokens) made.add(token.text, token.score);
  if (!made.index("", diagnostics)) return false;
  *this = std::move(made);
  return true;
}

bool Tokenizer::write(const std::string& path, Diagnostics& diagnostics) const {
  AtomicFile file;
  std::array<std::byte, 8> numbers{};
  store_little(numbers.data(), static_cast<std::uint32_t>(longest_));
  if (!file.open(path, diagnostics) || !file.write(std::span(numbers).first(4), diagnostics)) {
    return false;
  }
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    const std::string_view bytes = text(static_cast<std::int32_t>(i));
    store_little(numbers.data(), std::bit_cast<std::uint32_t>(scores_[i]));
    store_little(numbers.data() + 4, static_cast<std::uint32_t>(bytes.size()));
    if (!file.write(numbers, diagnostics) || !file.write(bytes, diagnostics)) return false;
  }
  return file.commit(diagnostics);
}

std::string_view Tokenizer::text(std::int32_t token) const {
  if (token < 0 || token >= vocab()) return {};
  const auto index = static_cast<std::size_t>(token);
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(texts_).substr(begin, ends_[index] - begin);
}

std::int32_t Tokenizer::find(std::string_view wanted) const {
  const auto found = std::ranges::lower_bound(sorted_, wanted, std::ranges::less(),
                                              [this](std::int32_t token) { return text(token); });
  return found != sorted_.end() && text(*found) == wanted ? *found : -1;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text,
                                            const EncodeOptions& options) const {
  std::vector<std::int32_t> tokens;
  const auto add_character = [&](std::string_view character) {
    const std::int32_t token = find(character);
    if (token >= 0) {
      tokens.push_back(token);
      return;
    }
    for (const char c : character)
      tokens.push_back(kFirstByteToken + static_cast<unsigned char>(c));
  };
  if (options.bos) tokens.push_back(kBosToken);
  if (!text.empty()) add_character(" ");
  while (!text.empty()) {
    const std::size_t size = character_bytes(text);
    add_character(text.substr(0, size));
    text.remove_prefix(size);
  }
  tokens = Merger(*this, longest_, std::move(tokens)).merge();
  if (options.eos) tokens.push_back(kEosToken);
  return tokens;
}

std::string_view Tokenizer::piece(std::int32_t previous, std::int32_t token) const {
  const std::int32_t byte = token - kFirstByteToken;
  if (token >= kFirstByteToken && byte < kBytes && token < vocab()) {
    return {&kByteTexts[static_cast<std::size_t>(byte)], 1};
  }
  std::string_view piece = text(token);
  if (previous == kBosToken && piece.starts_with(' ')) piece.remove_prefix(1);
  return piece;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::string decoded;
  std::int32_t previous = kUnknownToken;
  for (const std::int32_t token : tokens) {
    if (token != kBosToken && token != kEosToken) decoded += piece(previous, token);
    previous = token;
  }
  return decoded;
}

}  // namespace milgen::train
