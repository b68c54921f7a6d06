#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"

// What the commands' texts are put together from.
namespace perennial::app {

// The text or number at a path; empty where there is none. Bytes that could steer a terminal are
// dropped: names and messages are other people's.
std::string Text(const nlohmann::json& object, const char* pointer);

// The list at a path; empty where there is none.
const nlohmann::json& List(const nlohmann::json& object, const char* pointer);

// "90s", "3h": how long ago an RFC 3339 time was; empty if it is none.
std::string Age(const std::string& time, WallTime now);
// The same of a time to come: "0s" once it is over.
std::string Left(const std::string& time, WallTime now);
// The same of a number of seconds.
std::string Span(std::int64_t seconds);

// Columns as wide as their widest cell.
class Table {
 public:
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string Render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace perennial::app
