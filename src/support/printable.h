// Text from outside in messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace milgen {

/// `text` fit for a message: control characters as '?', and cut with "..." behind `limit` bytes, so
/// that a name in a hostile file neither reaches a terminal nor fills the screen.
inline std::string printable(std::string_view text, std::size_t limit = 100) {
  const bool cut = text.size() > limit;
  // Not through the middle of a character.
  while (cut && limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0u) == 0x80u) --limit;
  std::string out(text.substr(0, limit));
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = '?';
  }
  if (cut) out += "...";
  return out;
}

}  // namespace milgen
