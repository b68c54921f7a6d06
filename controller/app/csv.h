#pragma once

#include <cstddef>
#include <istream>
#include <string>
#include <vector>

#include "base/result.h"

namespace perennial::app {

// Reads records of RFC 4180 one by one: quoted fields may hold delimiters, doubled quotes and line
// breaks; CRLF and LF end a record; a byte order mark is skipped. Memory: one record, of at most
// 1 MiB. Not thread-safe.
class CsvReader {
 public:
  explicit CsvReader(std::istream& in, char delimiter = ',');

  // False at the end. kInvalid names the line: a quote that doesn't end, text after a closing
  // quote, a record that is too long.
  Result<bool> Next(std::vector<std::string>& fields);
  // Of the record that Next() read last, from 1.
  std::size_t line() const { return line_; }

 private:
  Error Wrong(const char* why) const;

  std::istream& in_;
  char delimiter_;
  std::size_t line_ = 0;
  std::size_t next_line_ = 1;
};

}  // namespace perennial::app
