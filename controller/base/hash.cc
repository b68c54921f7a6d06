#include "base/hash.h"

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

}  // namespace

std::string Sha256Hex(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : Sha256(text)) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
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
