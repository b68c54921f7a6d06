#include <gtest/gtest.h>

#include "kube/unreadable.h"

namespace perennial::kube {
namespace {

TEST(Unreadable, HoldsUpItsNamespaceUntilItCanBeReadOrIsGone) {
  Unreadable unreadable;
  EXPECT_TRUE(unreadable.empty());
  unreadable.Add("ModelVersion", {"transit", "v2"});
  unreadable.Add("ModelVersion", {"transit", "v2"});
  unreadable.Add("DriftMonitor", {"transit", "v2"});
  unreadable.Add("ModelVersion", {"transit-b", "v1"});
  EXPECT_TRUE(unreadable.In("transit"));
  EXPECT_TRUE(unreadable.In("transit-b"));
  EXPECT_FALSE(unreadable.In("trans"));
  EXPECT_FALSE(unreadable.In("transit-a"));
  EXPECT_FALSE(unreadable.In("z"));
  unreadable.Remove("ModelVersion", {"transit", "v2"});
  EXPECT_TRUE(unreadable.In("transit")) << "the monitor of that name";
  unreadable.FinishList("ModelVersion", {{"transit", "v2"}, {"transit-b", "v1"}});
  unreadable.FinishList("DriftMonitor", {});
  EXPECT_FALSE(unreadable.In("transit"));
  EXPECT_TRUE(unreadable.In("transit-b"));
  unreadable.FinishList("ModelVersion", {});
  EXPECT_TRUE(unreadable.empty());
}

}  // namespace
}  // namespace perennial::kube
