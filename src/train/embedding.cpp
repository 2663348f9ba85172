#include <fmt/format.h>

#include <algorithm>

#include "milgen/train/host_ops.h"
#include "support/rule.h"

namespace milgen::train {
namespace {

// Channels that are copied at a time: a cache line of a row of the embedding.
constexpr std::int64_t kChannels = 16;

/// Calls work(place in x: [D, S], place in the token's row of [V, D]) for every channel and
/// position, the positions of a channel ascending. Both sides are gone through in runs.
template <class Work>
void for_each_embedded(Tokens tokens, std::int64_t dim, std::int64_t seq, const Work& work) {
  for (std::int64_t first = 0; first < dim; first += kChannels) {
    const std::int64_t end = std::min(dim, first + kChannels);
    for (std::int64_t s = 0; s < seq; ++s) {
      const std::int64_t row = tokens[static_cast<std::size_t>(s)] * dim;
      for (std::int64_t c = first; c < end; ++c) {
        work(static_cast<std::size_t>(c * seq + s), static_cast<std::size_t>(row + c));
      }
    }
  }
}

/// Calls work(place in the compact rows, place in the full rows, elements) for each token.
template <class Work>
void for_each_row(const CompactVocab& vocab, std::int64_t dim, const Work& work) {
  const auto length = static_cast<std::size_t>(dim);
  for (std::size_t i = 0; i < vocab.full.size(); ++i) {
    work(i * length, static_cast<std::size_t>(vocab.full[i]) * length, length);
  }
}

}  // namespace

void embed_lookup(std::span<float> x, std::span<const float> embed, Tokens tokens, std::int64_t dim,
                  std::int64_t seq) {
  for_each_embedded(tokens, dim, seq,
                    [&](std::size_t of_x, std::size_t of_row) { x[of_x] = embed[of_row]; });
}

void embed_backward(std::span<float> d_embed, std::span<const float> dx, Tokens tokens,
                    std::int64_t dim, std::int64_t seq) {
  for_each_embedded(tokens, dim, seq,
                    [&](std::size_t of_x, std::size_t of_row) { d_embed[of_row] += dx[of_x]; });
}

bool compact_vocab(Tokens tokens, std::int64_t vocab, CompactVocab& out, Diagnostics& diagnostics) {
  out = {};
  out.compact.assign(static_cast<std::size_t>(vocab), -1);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab) {
      diagnostics.error(
          rule<"model.token">.id(),
          fmt::format("token {} is {}, and the vocabulary has {}", i, tokens[i], vocab));
      return false;
    }
    out.compact[static_cast<std::size_t>(tokens[i])] = 0;
  }
  for (std::size_t token = 0; token < out.compact.size(); ++token) {
    if (out.compact[token] < 0) continue;
    out.compact[token] = static_cast<std::int32_t>(out.full.size());
    out.full.push_back(static_cast<std::int32_t>(token));
  }
  return true;
}

void gather_rows(std::span<float> compact, std::span<const float> full, const CompactVocab& vocab,
                 std::int64_t dim) {
  for_each_row(vocab, dim, [&](std::size_t to, std::size_t from, std::size_t length) {
    std::copy_n(full.data() + from, length, compact.data() + to);
  });
}

void scatter_rows(std::span<float> full, std::span<const float> compact, const CompactVocab& vocab,
                  std::int64_t dim) {
  for_each_row(vocab, dim, [&](std::size_t from, std::size_t to, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) full[to + i] += compact[from + i];
  });
}

}  // namespace milgen::train
