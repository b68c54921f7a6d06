#include <gtest/gtest.h>

#include "support/corpus.h"
#include "support/object_expression_property.h"

namespace perennial::api {
namespace {

using testing::Corpus;

TEST(ApiCorpus, ObjectExpressionHoldsForEachTextOfTheFuzzersCorpus) {
  for (const std::string& text : Corpus("object_expression")) {
    EXPECT_EQ(testing::ViolatedByObjectExpression(text), "") << text;
  }
}

}  // namespace
}  // namespace perennial::api
