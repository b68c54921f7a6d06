#include "app/csv.h"

#include <string_view>

namespace perennial::app {
namespace {

constexpr std::size_t kLongestRecord = std::size_t{1} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr int kEnd = std::char_traits<char>::eof();

}  // namespace

CsvReader::CsvReader(std::istream& in, char delimiter) : in_(in), delimiter_(delimiter) {
  for (const char c : kByteOrderMark) {
    if (in_.peek() != static_cast<unsigned char>(c)) break;
    in_.get();
  }
}

Error CsvReader::Wrong(const char* why) const {
  return Error{Errc::kInvalid, "line " + std::to_string(line_) + ": " + why};
}

Result<bool> CsvReader::Next(std::vector<std::string>& fields) {
  fields.clear();
  auto& buffer = *in_.rdbuf();
  int c = buffer.sbumpc();
  if (c == kEnd) return false;
  line_ = next_line_;
  std::size_t size = 0;
  std::string field;
  bool quoted = false;
  bool closed = false;  // a quoted field has ended
  for (;; c = buffer.sbumpc()) {
    if (++size > kLongestRecord) return Wrong("a record of more than 1 MiB");
    if (quoted) {
      if (c == kEnd) return Wrong("a quote that begins here does not end");
      if (c == '\n') ++next_line_;
      if (c != '"') {
        field += static_cast<char>(c);
      } else if (buffer.sgetc() == '"') {
        field += static_cast<char>(buffer.sbumpc());
      } else {
        quoted = false;
        closed = true;
      }
      continue;
    }
    if (c == '\r' && (buffer.sgetc() == '\n' || buffer.sgetc() == kEnd)) continue;
    if (c == kEnd || c == '\n' || c == static_cast<unsigned char>(delimiter_)) {
      fields.push_back(std::move(field));
      field.clear();
      closed = false;
      if (c == static_cast<unsigned char>(delimiter_)) continue;
      if (c == '\n') ++next_line_;
      return true;
    }
    if (closed) return Wrong("text after a closing quote");
    if (c == '"' && field.empty()) {
      quoted = true;
    } else {
      field += static_cast<char>(c);
    }
  }
}

}  // namespace perennial::app
