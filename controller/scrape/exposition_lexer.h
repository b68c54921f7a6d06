#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

// Internal to the parser: how bytes of the two exposition formats are told apart. Every function
// takes a pointer into a complete line, ending with '\n', and never goes beyond that byte.
namespace perennial::scrape::lexer {

// Classes of bytes. '\n' is in none but kStop: every loop ends at a line's end without looking at
// the buffer's, because only complete lines are parsed.
enum : std::uint8_t {
  kNameByte = 1,   // [a-zA-Z0-9_:]
  kLabelByte = 2,  // [a-zA-Z0-9_]
  kDigit = 4,      // [0-9]
  kBlank = 8,      // space, tab
  kStop = 16,      // what ends a plain run inside quotes: quote, backslash, '\n', beyond ASCII
};

constexpr std::array<std::uint8_t, 256> MakeClasses() {
  std::array<std::uint8_t, 256> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[c] = kNameByte | kLabelByte;
  for (int c = 'A'; c <= 'Z'; ++c) classes[c] = kNameByte | kLabelByte;
  for (int c = '0'; c <= '9'; ++c) classes[c] = kNameByte | kLabelByte | kDigit;
  classes['_'] = kNameByte | kLabelByte;
  classes[':'] = kNameByte;
  classes[' '] = classes['\t'] = kBlank;
  classes['"'] = classes['\\'] = classes['\n'] = kStop;
  for (int c = 128; c < 256; ++c) classes[c] = kStop;
  return classes;
}
inline constexpr auto kClasses = MakeClasses();

inline bool Is(char c, std::uint8_t classes) {
  return (kClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

inline const char* SkipBlanks(const char* p) {
  while (Is(*p, kBlank)) ++p;
  return p;
}

// Past one UTF-8 sequence that starts beyond ASCII; nullptr if it is not one (RFC 3629, table 3-7
// of Unicode: no overlong forms, no surrogates, nothing above U+10FFFF).
inline const char* SkipUtf8(const char* p) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(p[i]); };
  const auto tail = [&](int i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? p + 2 : nullptr;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!tail(1) || !tail(2)) return nullptr;
    if (lead == 0xE0 && byte(1) < 0xA0) return nullptr;
    if (lead == 0xED && byte(1) > 0x9F) return nullptr;
    return p + 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return nullptr;
    if (lead == 0xF0 && byte(1) < 0x90) return nullptr;
    if (lead == 0xF4 && byte(1) > 0x8F) return nullptr;
    return p + 4;
  }
  return nullptr;
}

// Past `word` in any case, or nullptr. Lower-casing '\n' gives no letter, so it stops at the end.
inline const char* SkipWord(const char* p, const char* word) {
  for (; *word != '\0'; ++p, ++word) {
    if ((*p | 0x20) != *word) return nullptr;
  }
  return p;
}

// Past a number, or nullptr: the syntax that ParseNumber() reads, checked without converting.
inline const char* SkipNumber(const char* p) {
  if (*p == '+' || *p == '-') ++p;
  if (!Is(*p, kDigit) && *p != '.') {
    if (const char* end = SkipWord(p, "inf")) {
      const char* longer = SkipWord(end, "inity");
      return longer != nullptr ? longer : end;
    }
    return SkipWord(p, "nan");
  }
  const char* start = p;
  while (Is(*p, kDigit)) ++p;
  std::ptrdiff_t digits = p - start;
  if (*p == '.') {
    start = ++p;
    while (Is(*p, kDigit)) ++p;
    digits += p - start;
  }
  if (digits == 0) return nullptr;
  if (*p == 'e' || *p == 'E') {
    ++p;
    if (*p == '+' || *p == '-') ++p;
    if (!Is(*p, kDigit)) return nullptr;
    while (Is(*p, kDigit)) ++p;
  }
  return p;
}

// Past whole milliseconds, as 0.0.4 stamps samples, or nullptr.
inline const char* SkipInteger(const char* p) {
  if (*p == '+' || *p == '-') ++p;
  if (!Is(*p, kDigit)) return nullptr;
  while (Is(*p, kDigit)) ++p;
  return p;
}

}  // namespace perennial::scrape::lexer
