#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perennial::api {

// A question to an object of any kind, in a small part of CEL:
//
//   status.phase == "Succeeded"
//   status.conditions.exists(c, c.type == "Complete" && c.status == "True")
//   status.jobStatus in ["FAILED", "STOPPED"] || has(status.error)
//   status.results.filter(r, r.name == "model")[0].value
//
// Paths begin at the object; `object.status` is the same as `status`. There are == != < <= > >= in
// && || ! ( ) [ ], the methods exists, all and filter, has() and size(), texts, numbers, lists,
// true, false and null.
//
// One difference: what is not there is unknown, not an error. Every comparison with it is unknown,
// and so is its negation; && and || decide where the other side alone can (Kleene). A status that
// nobody has written yet therefore decides nothing. Unknown is also what takes more than
// kMostSteps.
class ObjectExpression {
 public:
  // kInvalid says what was expected and at which column (from 1).
  static Result<ObjectExpression> Parse(std::string_view text);

  // True only if the expression is the boolean true: unknown and everything else is not.
  bool Holds(const nlohmann::json& object) const;
  // The value as a text: a string as it is, anything else as JSON; nullopt where it is unknown.
  std::optional<std::string> Text(const nlohmann::json& object) const;

  struct Node;

 private:
  explicit ObjectExpression(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;
};

// The longest text that Parse takes, and how deep it may nest.
inline constexpr std::size_t kLongestExpression = 1024;
inline constexpr int kDeepestExpression = 24;
// For one answer: a hundred times what a list of a hundred items needs, and milliseconds.
inline constexpr std::size_t kMostSteps = 100'000;

}  // namespace perennial::api
