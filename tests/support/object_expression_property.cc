#include "support/object_expression_property.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/object_expression.h"

namespace perennial::testing {
namespace {

using api::ObjectExpression;
using nlohmann::json;

bool IsUtf8(std::string_view text) {
  try {
    json(text).dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

// "column 7: ..." with a column of the text or just behind it; too long a text has none.
std::string Misplaced(const Error& error, std::string_view text) {
  constexpr std::string_view kPrefix = "column ";
  if (error.code != Errc::kInvalid) return "an error of another kind: " + error.message;
  if (IsUtf8(text) && !IsUtf8(error.message)) return "a character cut in two: " + error.message;
  if (text.size() > api::kLongestExpression) return "";
  if (!error.message.starts_with(kPrefix)) return "an error without a column: " + error.message;
  const std::string_view rest = std::string_view(error.message).substr(kPrefix.size());
  std::size_t column = 0;
  const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), column);
  if (failed != std::errc() || *end != ':') return "an error without a column: " + error.message;
  if (column < 1 || column > text.size() + 1) return "a column outside: " + error.message;
  return "";
}

// Objects as kinds of workloads have them, with lists long enough to find what multiplies, and what
// is no object.
const std::vector<json>& Objects() {
  static const std::vector<json> objects = [] {
    json object = json::parse(R"({
      "metadata": {"name": "x", "annotations": {"a.b/c": "text"}},
      "status": {"phase": "Running", "retries": 3, "ok": true, "empty": [], "ratio": -0.5,
        "conditions": [{"type": "Created", "status": "True"}, {"type": "Complete", "status": "False"}],
        "results": [{"name": "other", "value": 1}, {"name": "model", "value": {"k": [1, 2]}}]},
      "a": [true, null, "a", [], {}]})");
    for (int i = 0; i < 200; ++i) object["list"].push_back(i);
    return std::vector<json>{object, json::object(), json(nullptr), json::array({1}), json("text")};
  }();
  return objects;
}

}  // namespace

std::string ViolatedByObjectExpression(std::string_view input) {
  const auto parsed = ObjectExpression::Parse(input);
  if (!parsed.ok()) return Misplaced(parsed.error(), input);
  // As deep as may be and at full length there is no room for more.
  const auto wrapped = ObjectExpression::Parse("(" + std::string(input) + ")");
  const ObjectExpression& again = wrapped.ok() ? *wrapped : *parsed;
  const auto negated = ObjectExpression::Parse("!(" + std::string(input) + ")");
  const bool utf8 = IsUtf8(input);
  for (const json& object : Objects()) {
    const bool holds = parsed->Holds(object);
    const auto text = parsed->Text(object);
    if (holds != again.Holds(object) || text != again.Text(object)) return "another answer";
    if (holds && text != "true") return "holds, and is not true";
    if (utf8 && text && !IsUtf8(*text)) return "a text that is not UTF-8";
    if (holds && negated.ok() && negated->Holds(object)) return "its negation holds too";
  }
  return "";
}

}  // namespace perennial::testing
