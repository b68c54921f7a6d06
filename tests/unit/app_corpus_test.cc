#include <gtest/gtest.h>

#include "support/corpus.h"
#include "support/http_event_property.h"

namespace perennial::app {
namespace {

using testing::Corpus;

TEST(AppCorpus, HttpEventHoldsForEachTextOfTheFuzzersCorpus) {
  for (const std::string& text : Corpus("http_event")) {
    EXPECT_EQ(testing::ViolatedByHttpEvent(text), "") << text;
  }
}

}  // namespace
}  // namespace perennial::app
