#include <gtest/gtest.h>

#include "support/corpus.h"
#include "support/cron_property.h"

namespace perennial::retrain {
namespace {

using testing::Corpus;

TEST(RetrainCorpus, CronHoldsForEachTextOfTheFuzzersCorpus) {
  for (const std::string& text : Corpus("cron"))
    EXPECT_EQ(testing::ViolatedByCron(text), "") << text;
}

}  // namespace
}  // namespace perennial::retrain
