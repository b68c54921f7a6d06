#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/object_expression.h"

namespace perennial::api {
namespace {

using nlohmann::json;

const json& Object() {
  static const json object = json::parse(R"({
    "metadata": {"name": "x", "annotations": {"a.b/c": "text"}},
    "status": {"phase": "Running", "retries": 3, "ok": true, "empty": [],
      "conditions": [{"type": "Created", "status": "True"}, {"type": "Complete", "status": "False"}],
      "results": [{"name": "other", "value": 1}, {"name": "model", "value": {"k": [1, 2]}}]}})");
  return object;
}

bool Holds(const std::string& text) {
  const auto expression = ObjectExpression::Parse(text);
  EXPECT_TRUE(expression.ok()) << text << ": " << expression.error().message;
  return expression.ok() && expression->Holds(Object());
}

TEST(ObjectExpression, AnswersQuestions) {
  for (const char* text : {
           "status.phase == \"Running\"",
           "object.status.phase == 'Running'",
           "status.phase != 'Failed' && status.retries >= 3",
           "status.retries < 4 && status.retries > 2 && status.retries <= 3.0",
           "status.phase in ['Pending', 'Running']",
           "'phase' in status",
           "has(status.phase) && !has(status.error)",
           "status.conditions.exists(c, c.type == 'Created' && c.status == 'True')",
           "!status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')",
           "status.conditions.all(c, has(c.type))",
           "status.empty.all(c, c.type == 'x') && !status.empty.exists(c, true)",
           "metadata.annotations['a.b/c'] == 'text'",
           "status.results.filter(r, r.name == 'model')[0].value.k[1] == 2",
           "size(status.conditions) == 2 && size(status.phase) == 7",
           "(false || status.ok) && (true || false && false)",
           "status.results.exists(r, status.retries == 3)",
       }) {
    EXPECT_TRUE(Holds(text)) << text;
  }
  for (const char* text : {"status.phase == 'Failed'", "status.phase", "'true'", "null",
                           "status.phase < 3", "status.phase in 'Running'"}) {
    EXPECT_FALSE(Holds(text)) << text;
  }
}

TEST(ObjectExpression, WhatIsNotThereDecidesNothing) {
  for (const char* text : {
           "status.absent == 'x'",
           "status.absent != 'x'",
           "!(status.absent == 'x')",
           "!status.absent",
           "status.absent.deeper > 1",
           "status.absent.exists(c, true)",
           "status.absent.all(c, true)",
           "status.empty[0] == 1",
           "status.absent == 'x' && true",
           "status.conditions.all(c, c.absent == 'x')",
           "status.retries in [3, status.absent]",
       }) {
    EXPECT_FALSE(Holds(text)) << text;
  }
  EXPECT_TRUE(Holds("status.absent == 'x' || status.ok"));
  EXPECT_TRUE(Holds("!(status.absent == 'x' && false)"));
  EXPECT_TRUE(Holds("status.conditions.exists(c, c.absent == 'x' || c.type == 'Complete')"));
}

// Each of these would take years, or more memory than there is.
TEST(ObjectExpression, WhatMultipliesIsUnknown) {
  json object = Object();
  for (int i = 0; i < 1000; ++i) object["list"].push_back({{"n", i}, {"text", "abc"}});
  for (const std::string list :
       {"list", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", "[[x, x, x, x, x, x]]"}) {
    std::string text = "true";
    for (int depth = 0; depth < 16; ++depth) text = list + ".all(x, " + text + ")";
    text = "[object].all(x, " + text + ")";
    for (const std::string& question : {text, "!has([object].filter(x, !" + text + ")[0])"}) {
      const auto expression = ObjectExpression::Parse(question);
      ASSERT_TRUE(expression.ok()) << question << ": " << expression.error().message;
      EXPECT_FALSE(expression->Holds(object)) << question;
      EXPECT_EQ(expression->Text(object), std::nullopt) << question;
    }
  }
  const auto plain = ObjectExpression::Parse(
      "list.all(x, x.n >= 0 && x.text in ['abc', 'd'] && object.status.ok && has(x.text))");
  EXPECT_TRUE(plain->Holds(object));
}

TEST(ObjectExpression, GivesTexts) {
  const auto text = [](const char* source) {
    return ObjectExpression::Parse(source)->Text(Object()).value_or("(unknown)");
  };
  EXPECT_EQ(text("metadata.annotations['a.b/c']"), "text");
  EXPECT_EQ(text("status.results.filter(r, r.name == 'model')[0].value"), R"({"k":[1,2]})");
  EXPECT_EQ(text("status.results.filter(r, r.name == 'none')[0].value"), "(unknown)");
}

TEST(ObjectExpression, ErrorsPointAtTheColumn) {
  const auto error = [](const std::string& source) {
    const auto parsed = ObjectExpression::Parse(source);
    return parsed.ok() ? std::string("parsed") : parsed.error().message;
  };
  EXPECT_EQ(error(""), "column 1: expected a value, got the end");
  EXPECT_EQ(error("a = 'b'"), "column 3: expected '==' to compare, got '= 'b''");
  EXPECT_EQ(error("a == "), "column 6: expected a value, got the end");
  EXPECT_EQ(error("a == 'b"),
            "column 6: expected a closing quote for the text that begins here, "
            "got ''b'");
  EXPECT_EQ(error("a b"), "column 3: expected an operator or the end, got 'b'");
  EXPECT_EQ(error("(a == 1"), "column 8: expected ')', got the end");
  EXPECT_EQ(error("a.exists(c)"), "column 11: expected ',', got ')'");
  EXPECT_EQ(error("a.matches('x')"),
            "column 3: expected exists, all or filter, got "
            "'matches('x')'");
  EXPECT_EQ(error("has(1)"), "column 6: expected a path inside has(), got ')'");
  EXPECT_EQ(error("[1, 2"), "column 6: expected ',' or ']', got the end");
  EXPECT_EQ(error("a 'Zürich ab\u00dc'"),  // no character is cut in two
            "column 3: expected an operator or the end, got ''Zürich ab'");
  EXPECT_NE(error(std::string(2000, '(')), "parsed");
  EXPECT_NE(error(std::string(500, '(')).find("nests less"), std::string::npos);
  EXPECT_NE(error(std::string(500, '!') + "a").find("nests less"), std::string::npos);
}

// Every beginning of a valid text is parsed or refused, and nothing else happens.
TEST(ObjectExpression, SurvivesAnyBeginning) {
  const std::string text =
      "!(a.b['c'].exists(x, x.y in [1, -2.5, 'z\\'']) || has(q) && size(w) <= 3)";
  ASSERT_TRUE(ObjectExpression::Parse(text).ok());
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_FALSE(ObjectExpression::Parse(text.substr(0, n)).ok()) << n;
  }
}

}  // namespace
}  // namespace perennial::api
