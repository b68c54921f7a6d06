#include <gtest/gtest.h>

#include "support/corpus.h"
#include "support/kubeconfig_property.h"
#include "support/watch_frames_property.h"

namespace perennial::kube {
namespace {

using testing::Corpus;

TEST(KubeCorpus, KubeconfigHoldsForEachTextOfTheFuzzersCorpus) {
  for (const std::string& text : Corpus("kubeconfig"))
    EXPECT_EQ(testing::ViolatedByKubeconfig(text), "") << text;
}

TEST(KubeCorpus, WatchFramesHoldsForEachTextOfTheFuzzersCorpus) {
  for (const std::string& text : Corpus("watch_frames"))
    EXPECT_EQ(testing::ViolatedByWatchFrames(text), "") << text;
}

}  // namespace
}  // namespace perennial::kube
