// What status says of pods that don't start.
#include <gtest/gtest.h>

#include "deployment/pending_pods.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;

struct Waiting : ServingWorld {
  Waiting() {
    Settle();
    v1 = NewestDeclared();
    Pass(Seconds(10));
    SetModel("oci://m:2");
    Step();
    v2 = NewestDeclared();
    broken = {v2};
    React();
    Settle();
  }
  // A pod of the challenger as the kubelet tells of it.
  void Tell(const std::string& name, const std::string& reason, const std::string& message) {
    api::PodView pod;
    pod.meta.key = {"transit", name};
    pod.meta.labels = {{std::string(api::kLabelVersion), v2}};
    pod.phase = "Pending";
    pod.waiting_reason = reason;
    pod.waiting_message = message;
    std::erase_if(pending_pods, [&](const auto& one) { return one->meta.key.name == name; });
    pending_pods.push_back(std::make_shared<api::PodView>(std::move(pod)));
  }
  std::string v1, v2;
};

TEST(PendingPods, SayInStatusWhatTheyWaitFor) {
  Waiting world;
  EXPECT_NE(world.Status().why.find("readiness probe"), std::string::npos) << world.Status().why;
  world.Tell("a", "ContainerCreating", "");
  world.Settle();
  EXPECT_EQ(world.Status().why.find("pod a"), std::string::npos) << "nothing is wrong yet";
  world.Tell("a", "ErrImagePull", "no such image");
  world.Settle();
  const std::string said = "0 of 2 pods ready; pod a waits: ImagePullBackOff: no such image";
  EXPECT_NE(world.Status().why.find(said), std::string::npos) << world.Status().why;
  world.Live(std::chrono::minutes(11));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
  EXPECT_NE(world.Message("Stalled").find(said), std::string::npos) << world.Message("Stalled");
  EXPECT_NE(world.Status().history[0].message.find(said), std::string::npos);
  EXPECT_EQ(world.Champion(), world.v1);
}

TEST(PendingPods, AreWordsAndNoDecision) {
  Waiting world;
  world.Tell("a", "CrashLoopBackOff", "");
  world.broken.clear();
  world.React();
  world.Settle();
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing) << "its pods are ready, whatever was seen";
}

TEST(PendingPods, OfOneCauseAreToldOnce) {
  Waiting world;
  world.Tell("b", "CreateContainerError", "container 4711: no such file");
  world.Settle();
  const std::string said = world.Status().why;
  EXPECT_NE(said.find("container 4711"), std::string::npos) << said;
  const auto unchanged = [&](const char* what) {
    EXPECT_FALSE(world.Step().status.has_value()) << what;
    EXPECT_EQ(world.Status().why, said);
  };
  world.Tell("b", "CreateContainerError", "container 4712: no such file");
  unchanged("every try has another number");
  world.Tell("b", "ContainerCreating", "");
  unchanged("the next try");
  world.Tell("a", "CreateContainerError", "container 4713: no such file");
  unchanged("another pod has the same trouble");
  world.Tell("b", "ErrImagePull", "another cause");
  EXPECT_TRUE(world.Step().status.has_value());
  EXPECT_NE(world.Status().why, said);
}

TEST(PendingPods, TellWhyNoNodeTakesThemAndHowTheyEnded) {
  Waiting world;
  api::PodView pod;
  pod.meta.key = {"transit", "a"};
  pod.meta.labels = {{std::string(api::kLabelVersion), world.v2}};
  pod.phase = "Pending";
  pod.unscheduled = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.";
  const auto why = [&] {
    world.pending_pods = {std::make_shared<api::PodView>(pod)};
    world.status["why"] = "";
    return WhyPodsWait(world.See(), world.v2);
  };
  EXPECT_EQ(why(), "pod a waits: Unschedulable: " + pod.unscheduled);
  pod.unscheduled.clear();
  pod.waiting_reason = "CrashLoopBackOff";
  pod.waiting_message = "back-off 40s restarting failed container";
  pod.waiting_exit = "exited with 1 (Error): wrong digest";
  EXPECT_EQ(why(), "pod a waits: CrashLoopBackOff: exited with 1 (Error): wrong digest");
  pod.phase = "Running";
  EXPECT_EQ(why(), "") << "it runs by now";
  pod.phase = "Pending";
  EXPECT_EQ(WhyPodsWait(world.See(), world.v1), "") << "it is another version's";
}

TEST(PendingPods, TellWhereARuntimeMountsNoImages) {
  Waiting world;
  world.Tell("a", "CreateContainerError", "failed to mkdir \"\"");
  EXPECT_EQ(WhyPodsWait(world.See(), world.v2).find("ImageVolume"), std::string::npos);
  world.spec["storage"] = {{"type", "ImageVolume"}};
  const std::string why = WhyPodsWait(world.See(), world.v2);
  EXPECT_NE(why.find("CreateContainerError (storage.type ImageVolume needs nodes"),
            std::string::npos)
      << why;
  EXPECT_NE(why.find("failed to mkdir"), std::string::npos) << why;
}

TEST(PendingPods, AreToldWhereATemplateBreaksTheChampion) {
  Waiting world;
  world.Annotate(api::kAnnotationAbort, world.v2);
  world.Live(Seconds(20));
  ASSERT_EQ(world.Champion(), world.v1);
  auto& status = world.Object(api::kDeployments, ServingWorld::Child(world.v1))["status"];
  world.pods_stay = true;
  status["conditions"] = {{{"type", "Progressing"},
                           {"status", "False"},
                           {"reason", "ProgressDeadlineExceeded"},
                           {"message", "timed out"}}};
  world.v2 = world.v1;
  world.Tell("new", "ImagePullBackOff", "no such server");
  world.Settle();
  EXPECT_EQ(world.Condition("Stalled"), "True/ProgressDeadlineExceeded");
  EXPECT_NE(world.Message("Stalled").find("pod new waits: ImagePullBackOff: no such server"),
            std::string::npos)
      << world.Message("Stalled");
  world.Tell("new", "ImagePullBackOff", "the same in other words");
  EXPECT_FALSE(world.Step().status.has_value());
}

}  // namespace
}  // namespace perennial::deployment
