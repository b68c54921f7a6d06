#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Internal to expressions: text as a sequence of tokens.
namespace perennial::scrape::expression {

struct Token {
  enum class Kind { kEnd, kName, kNumber, kDuration, kString, kSign };
  Kind kind = Kind::kEnd;
  std::size_t column = 1;  // in characters
  std::string text;        // as written; of a string what stands between the quotes
  double number = 0;
  Millis duration{0};
};

// The last one is kEnd. kInvalid with the column.
Result<std::vector<Token>> Tokenize(std::string_view text);

// Where a parser is.
class Cursor {
 public:
  // As Tokenize() makes them.
  explicit Cursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  void Skip(std::size_t count) { at_ += count; }
  // Does a sign or name of that text come next?
  bool Sees(std::string_view text) const;
  bool Accept(std::string_view text);
  // kInvalid if something else comes next; `where` completes "')' is missing ...".
  Status Expect(std::string_view text, std::string_view where);

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace perennial::scrape::expression
