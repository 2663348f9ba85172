#include "support/hash.h"

// macOS has SHA-256 in libSystem, which every program is linked to; elsewhere libcrypto has it.
#ifdef __APPLE__
#include <CommonCrypto/CommonDigest.h>
#else
#include <openssl/evp.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace milgen {
namespace {

__extension__ using Wide = unsigned __int128;

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr,
               "milgen: SHA-256 fails (%s); this is a bug in milgen or the system's library\n",
               what);
  std::abort();
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t word(const std::byte* from) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

}  // namespace

#ifdef __APPLE__
struct Sha256::Impl {
  CC_SHA256_CTX context;
  Impl() { start(); }
  void start() {
    if (CC_SHA256_Init(&context) != 1) broken("init");
  }
  void update(std::span<const std::byte> bytes) {
    // CC_LONG has 32 bits.
    constexpr std::size_t kMostBytes = std::size_t{1} << 30;
    while (!bytes.empty()) {
      const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), kMostBytes));
      if (CC_SHA256_Update(&context, part.data(), static_cast<CC_LONG>(part.size())) != 1) {
        broken("update");
      }
      bytes = bytes.subspan(part.size());
    }
  }
  void finish(Digest& digest) {
    if (CC_SHA256_Final(digest.data(), &context) != 1) broken("final");
  }
};
static_assert(std::tuple_size_v<Sha256::Digest> == CC_SHA256_DIGEST_LENGTH);
#else
struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() { start(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { EVP_MD_CTX_free(context); }
  void start() const {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) {
      broken("init");
    }
  }
  void update(std::span<const std::byte> bytes) const {
    if (EVP_DigestUpdate(context, bytes.data(), bytes.size()) != 1) broken("update");
  }
  void finish(Digest& digest) const {
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context, digest.data(), &size) != 1 || size != digest.size()) {
      broken("final");
    }
  }
};
#endif

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::Sha256(Sha256&& other) noexcept = default;
Sha256& Sha256::operator=(Sha256&& other) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) { impl_->update(bytes); }

Sha256::Digest Sha256::finish() {
  Digest digest{};
  impl_->finish(digest);
  impl_->start();
  return digest;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) {
  // Four lanes, because one would wait for its own multiplication. The constants are odd and have
  // about as many ones as zeros; nothing else is asked of them.
  constexpr std::uint64_t kKey[4] = {0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u,
                                     0xD6E8FEB86659FD93u};
  const std::byte* from = bytes.data();
  std::size_t left = bytes.size();
  // Each lane begins with another key than the one that it multiplies by: with the same, a bit in
  // one word of a pair would do what it does in the other.
  std::uint64_t lane[4] = {seed ^ kKey[2], seed ^ kKey[3], seed ^ kKey[0], seed ^ kKey[1]};
  while (left >= 64) {
    for (std::size_t i = 0; i < 4; ++i) {
      lane[i] = fold(lane[i] ^ word(from + 16 * i), kKey[i] ^ word(from + 16 * i + 8));
    }
    from += 64;
    left -= 64;
  }
  std::byte tail[64] = {};
  if (left != 0) std::memcpy(tail, from, left);
  for (std::size_t i = 0; i < 4; ++i) {
    lane[i] = fold(lane[i] ^ word(tail + 16 * i), kKey[(i + 1) % 4] ^ word(tail + 16 * i + 8));
  }
  const std::uint64_t size = bytes.size();
  return fold(fold(lane[0] ^ size, lane[1] ^ kKey[2]), fold(lane[2] ^ kKey[3], lane[3] ^ kKey[0]));
}

}  // namespace milgen
