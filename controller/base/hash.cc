#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace perennial {
namespace {

std::array<unsigned char, SHA256_DIGEST_LENGTH> Sha256(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::string Hex(const std::array<unsigned char, SHA256_DIGEST_LENGTH>& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace

std::string Sha256Hex(std::string_view text) {
  return Hex(Sha256(text));
}

std::string HmacSha256Hex(std::string_view key, std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &length);
  return Hex(digest);
}

bool SameSecret(std::string_view a, std::string_view b) {
  // Digests have one length whatever the texts have.
  const auto left = Sha256(a);
  const auto right = Sha256(b);
  return CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

std::string ShortHash(std::string_view text, size_t length) {
  static constexpr char kAlphabet[] = "abcdfghjklmnpqrstvwxyz0123456789";
  const auto digest = Sha256(text);
  std::string out;
  for (size_t i = 0; i < std::min(length, digest.size()); ++i) out += kAlphabet[digest[i] & 31];
  return out;
}

std::string BoundedName(std::string_view base, std::string_view suffix, size_t limit) {
  if (base.size() + 1 + suffix.size() <= limit) {
    return std::string(base) + "-" + std::string(suffix);
  }
  const std::string hash = ShortHash(base, 6);
  const size_t room = limit - std::min(limit, suffix.size() + hash.size() + 2);
  std::string head(base.substr(0, room));
  while (!head.empty() && (head.back() == '-' || head.back() == '.')) head.pop_back();
  return head + "-" + hash + "-" + std::string(suffix);
}

}  // namespace perennial
