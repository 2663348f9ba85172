#include "support/hash.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace milgen {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string sha(std::string_view text) {
  Sha256 hash;
  hash.update(bytes_of(text));
  return hex(hash.finish());
}

TEST_CASE("SHA-256 gives the examples of FIPS 180-2") {
  CHECK(sha("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("SHA-256 does not depend on how the bytes come, and can be used again") {
  Sha256 hash;
  for (int round = 0; round < 2; ++round) {
    hash.update(bytes_of("a"));
    hash.update(bytes_of(""));
    hash.update(bytes_of("bc"));
    CHECK(hex(hash.finish()) == sha("abc"));
  }
}

TEST_CASE("hash64 tells apart every length and every single bit") {
  std::set<std::uint64_t> seen;
  std::vector<std::byte> bytes(200);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    seen.insert(hash64(std::span(bytes).first(size)));
  }
  CHECK(seen.size() == bytes.size() + 1);
  seen.clear();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    seen.insert(hash64(bytes));
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
  CHECK(seen.size() == bytes.size() * 8);
  CHECK(hash64(bytes) != hash64(bytes, 1));
}

TEST_CASE("FNV-1a gives its published values") {
  CHECK(fnv1a64("") == 0xCBF29CE484222325u);
  CHECK(fnv1a64("a") == 0xAF63DC4C8601EC8Cu);
  CHECK(fnv1a64("foobar") == 0x85944171F73967E8u);
}

}  // namespace
}  // namespace milgen
