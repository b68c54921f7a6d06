#pragma once

#include <string>
#include <string_view>

namespace perennial {

// SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view text);

// HMAC (RFC 2104) with SHA-256, in the same form.
std::string HmacSha256Hex(std::string_view key, std::string_view text);

// Compares in a time that tells nothing of either text.
bool SameSecret(std::string_view a, std::string_view b);

// First `length` characters of a base-32 SHA-256 in an alphabet without vowels and look-alikes, so
// that names made of it are valid DNS labels and never words. 8 characters carry 40 bits.
std::string ShortHash(std::string_view text, size_t length = 8);

// `base` cut so that base + "-" + suffix is at most `limit` characters and a valid DNS label; where
// it must cut, a hash of the whole base keeps different bases apart.
std::string BoundedName(std::string_view base, std::string_view suffix, size_t limit = 63);

}  // namespace perennial
