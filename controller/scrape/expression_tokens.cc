#include "scrape/expression_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "scrape/expression_tree.h"

namespace perennial::scrape::expression {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsNameByte(char c) {
  return IsLetter(c) || IsDigit(c) || c == '_' || c == ':';
}

// Longest first, so that "ms" isn't read as minutes.
struct Unit {
  std::string_view name;
  std::int64_t millis;
};
constexpr std::array<Unit, 6> kUnits{{{"ms", 1},
                                      {"s", 1'000},
                                      {"m", 60'000},
                                      {"h", 3'600'000},
                                      {"d", 86'400'000},
                                      {"w", 604'800'000}}};
constexpr Millis kLongest{std::int64_t{366} * 86'400'000};

// PromQL's durations: "1h30m".
std::optional<Millis> Duration(std::string_view text) {
  Millis sum{0};
  while (!text.empty()) {
    std::int64_t count = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (failed != std::errc() || count < 0 || count > kLongest.count()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const auto* unit = std::ranges::find_if(
        kUnits, [&](const Unit& candidate) { return text.starts_with(candidate.name); });
    if (unit == kUnits.end() || count > kLongest.count() / unit->millis) return std::nullopt;
    sum += Millis(count * unit->millis);
    if (sum > kLongest) return std::nullopt;
    text.remove_prefix(unit->name.size());
  }
  return sum;
}

class Tokenizer {
 public:
  explicit Tokenizer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> Run() {
    std::vector<Token> tokens;
    for (;;) {
      while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) {
        Advance(1);
      }
      PERENNIAL_TRY(Token token, Next());
      tokens.push_back(std::move(token));
      if (tokens.back().kind == Token::Kind::kEnd) return tokens;
    }
  }

 private:
  char Peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void Advance(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i, ++at_) {
      if ((static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80) ++column_;
    }
  }
  Token Take(Token::Kind kind, std::size_t bytes) {
    Token token{kind, column_, std::string(text_.substr(at_, bytes))};
    Advance(bytes);
    return token;
  }

  Result<Token> Next() {
    if (at_ >= text_.size()) return Token{Token::Kind::kEnd, column_, ""};
    const char c = Peek();
    if (IsLetter(c) || c == '_' || c == ':') {
      std::size_t size = 1;
      while (IsNameByte(Peek(size))) ++size;
      return Take(Token::Kind::kName, size);
    }
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return NumberOrDuration();
    if (c == '"' || c == '\'') return String(c);
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "=~", "!~"}) {
      if (text_.substr(at_).starts_with(sign)) return Take(Token::Kind::kSign, 2);
    }
    if (std::string_view("+-*/(){}[],=<>").find(c) != std::string_view::npos) {
      return Take(Token::Kind::kSign, 1);
    }
    std::size_t size = 1;
    while ((static_cast<unsigned char>(Peek(size)) & 0xC0) == 0x80) ++size;
    return At(column_, "'" + std::string(text_.substr(at_, size)) +
                           "' has no meaning here: use metrics, numbers, functions, + - * /, "
                           "comparisons and parentheses");
  }

  Result<Token> NumberOrDuration() {
    std::size_t size = 0;
    while (IsDigit(Peek(size))) ++size;
    if (IsLetter(Peek(size)) && Peek(size) != 'e' && Peek(size) != 'E') {
      while (IsDigit(Peek(size)) || IsLetter(Peek(size))) ++size;
      Token token = Take(Token::Kind::kDuration, size);
      const auto duration = Duration(token.text);
      if (!duration) {
        return At(token.column, token.text +
                                    " is no duration of at most 366d: write digits and "
                                    "ms, s, m, h, d or w, such as 1h30m");
      }
      token.duration = *duration;
      return token;
    }
    if (Peek(size) == '.') ++size;
    while (IsDigit(Peek(size))) ++size;
    if (Peek(size) == 'e' || Peek(size) == 'E') {
      std::size_t digits = size + 1;
      if (Peek(digits) == '+' || Peek(digits) == '-') ++digits;
      if (IsDigit(Peek(digits))) {
        size = digits;
        while (IsDigit(Peek(size))) ++size;
      }
    }
    Token token = Take(Token::Kind::kNumber, size);
    const char* end = token.text.data() + token.text.size();
    const auto [stop, failed] = std::from_chars(token.text.data(), end, token.number);
    if (failed != std::errc() || stop != end || IsNameByte(Peek())) {
      return At(token.column, "not a number: write it like 0.5 or 1e-3");
    }
    return token;
  }

  Result<Token> String(char quote) {
    Token token{Token::Kind::kString, column_, ""};
    Advance(1);
    while (at_ < text_.size() && Peek() != quote) {
      if (Peek() != '\\') {
        token.text.push_back(Peek());
        Advance(1);
        continue;
      }
      const char escaped = Peek(1);
      if (escaped == 'n' || escaped == 't') {
        token.text.push_back(escaped == 'n' ? '\n' : '\t');
      } else if (escaped == '\\' || escaped == '"' || escaped == '\'') {
        token.text.push_back(escaped);
      } else {
        return At(column_, R"(a backslash stands before \, ", ', n or t: write \\ for a )"
                           "backslash, as in \"\\\\d+\"");
      }
      Advance(2);
    }
    if (at_ >= text_.size()) {
      return At(token.column, std::string("this string has no end: add a ") + quote);
    }
    Advance(1);
    return token;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t column_ = 1;
};

}  // namespace

Error At(std::size_t column, const std::string& message) {
  return Error{Errc::kInvalid, "column " + std::to_string(column) + ": " + message};
}

bool Cursor::Sees(std::string_view text) const {
  const Token& token = Peek();
  return (token.kind == Token::Kind::kSign || token.kind == Token::Kind::kName) &&
         token.text == text;
}

bool Cursor::Accept(std::string_view text) {
  if (!Sees(text)) return false;
  Skip(1);
  return true;
}

Status Cursor::Expect(std::string_view text, std::string_view where) {
  if (Accept(text)) return Ok();
  return At(Peek().column,
            "'" + std::string(text) + "' is missing " + std::string(where) +
                (Peek().kind == Token::Kind::kEnd ? "" : " before '" + Peek().text + "'"));
}

Result<std::vector<Token>> Tokenize(std::string_view text) {
  return Tokenizer(text).Run();
}

}  // namespace perennial::scrape::expression
