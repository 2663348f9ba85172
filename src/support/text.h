// Small helpers for words.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace milgen {

/// Calls `visit` for each word of `text`; words are separated by single spaces.
template <class Visit>
void for_each_word(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    visit(text.substr(0, space));
    if (space == std::string_view::npos) return;
    text.remove_prefix(space + 1);
  }
}

/// `text` with the letters A to Z as small ones. Names of MIL have no other letters, so that two
/// that become equal are one file where case is not told apart, as macOS has it by default.
std::string lower_case(std::string_view text);

/// Insertions, deletions, replacements and neighbour swaps that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that `word` is most likely meant to be; empty when none is near (a third of its
/// length, at least one edit, case aside). The first of equally near ones.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "; did you mean 'softmax'?", or nothing when no candidate is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace milgen
