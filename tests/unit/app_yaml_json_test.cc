#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/yaml_json.h"

namespace perennial::app {
namespace {

using nlohmann::json;

json One(const std::string& text) {
  const auto documents = ParseYaml(text);
  EXPECT_TRUE(documents.ok()) << (documents.ok() ? "" : documents.error().message);
  EXPECT_EQ(documents.ok() ? documents->size() : 0, 1u);
  return documents.ok() && !documents->empty() ? documents->front() : json();
}

TEST(Yaml, ResolvesPlainScalarsAndLeavesQuotedOnes) {
  EXPECT_EQ(
      One("{a: 1, b: '1', c: 1.5, d: \"1.5\", e: true, f: 'true', g: , h: ~}"),
      json::parse(R"({"a":1,"b":"1","c":1.5,"d":"1.5","e":true,"f":"true","g":null,"h":null})"));
  EXPECT_EQ(One("{a: yes, b: off, c: -7, d: +7, e: 1e3, f: 0x1f, g: 1h, h: v1, i: 1.2.3}"),
            json::parse(R"({"a":true,"b":false,"c":-7,"d":7,"e":1000.0,"f":31,"g":"1h","h":"v1",)"
                        R"("i":"1.2.3"})"));
  EXPECT_EQ(One("a: 0123456789abcdef")["a"], "0123456789abcdef");
  EXPECT_EQ(One("a: .inf")["a"], ".inf") << "JSON has no infinity";
}

TEST(Yaml, ReadsManyDocumentsAndPassesOverEmptyOnes) {
  const auto documents = ParseYaml("---\na: 1\n---\n# nothing\n---\n[x, {y: z}]\n");
  ASSERT_TRUE(documents.ok());
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[1], json::parse(R"(["x",{"y":"z"}])"));
}

TEST(Yaml, ReadsBlockTextsAndAliases) {
  EXPECT_EQ(One("a: |\n  one\n  two\nb: &x {c: 1}\nd: *x\n"),
            json::parse(R"({"a":"one\ntwo\n","b":{"c":1},"d":{"c":1}})"));
}

TEST(Yaml, NamesTheLineOfAMistake) {
  const auto broken = ParseYaml("a: 1\nb: [1, 2\nc: 3\n");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().message.rfind("line ", 0), 0u) << broken.error().message;
  const auto twice = ParseYaml("a: 1\nb: 2\na: 3\n");
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().message, "line 3: a is given twice");
}

TEST(Yaml, RefusesAliasesOfAliasesWithoutExpandingThem) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) bomb += ", " + before;
    bomb += "]\n";
  }
  const auto refused = ParseYaml(bomb);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::kTooLarge);
}

}  // namespace
}  // namespace perennial::app
