// Batches are scored with the version that serves.
#include <gtest/gtest.h>

#include "deployment/batch.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;
using std::chrono::minutes;

struct Batched : ServingWorld {
  Batched() {
    spec["batch"] = json::parse(R"({"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {
      "spec": {"containers": [{"name": "score", "image": "score:1",
               "env": [{"name": "MODEL_VERSION", "value": "forged"}]}]}}}}})");
    Settle();
    v1 = Champion();
  }
  bool Has(const std::string& version) const {
    return objects.contains({api::kCronJobs, {"transit", Child(version)}});
  }
  json& Of(const std::string& version) { return Object(api::kCronJobs, Child(version)); }
  std::string v1;
};

TEST(Batch, RunsWithTheVersionThatServes) {
  Batched world;
  ASSERT_TRUE(world.Has(world.v1));
  const json spec = world.Of(world.v1)["spec"];
  EXPECT_EQ(spec["schedule"], "0 2 * * *");
  const json pod = spec["jobTemplate"]["spec"]["template"];
  EXPECT_EQ(pod["spec"]["restartPolicy"], "Never");
  EXPECT_EQ(pod["spec"]["containers"][0]["env"],
            (json{{{"name", "MODEL_URI"}, {"value", "oci://m:1"}},
                  {{"name", "MODEL_DIGEST"}, {"value", ""}},
                  {{"name", "MODEL_VERSION"}, {"value", world.v1}}}));
  EXPECT_FALSE(pod["metadata"]["labels"].contains(std::string(kLabelComponent)))
      << "no Service may send it requests";
  EXPECT_EQ(pod["metadata"]["labels"][std::string(api::kLabelVersion)], world.v1);
  world.SetModel("oci://m:2");
  world.Settle();
  const std::string v2 = world.NewestDeclared();
  EXPECT_FALSE(world.Has(v2)) << "a challenger scores nothing";
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), v2);
  EXPECT_TRUE(world.Has(v2));
  EXPECT_FALSE(world.Has(world.v1));
  world.spec.erase("batch");
  world.Settle();
  EXPECT_FALSE(world.Has(v2));
}

TEST(Batch, EndsWhatItHasBegun) {
  Batched world;
  world.Of(world.v1)["status"] = {{"active", json::array({{{"name", "job"}}})}};
  world.SetModel("oci://m:2");
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), world.NewestDeclared());
  ASSERT_TRUE(world.Has(world.v1)) << "its Job would go with it";
  EXPECT_EQ(world.Of(world.v1)["spec"]["suspend"], true);
  EXPECT_TRUE(Decide(world.See(), world.now).actions.empty()) << "and nobody writes meanwhile";
  world.Of(world.v1)["status"] = {{"active", json::array()}};
  world.Settle();
  EXPECT_FALSE(world.Has(world.v1));
}

TEST(Batch, DeliversTheArtifactAsForServers) {
  ServingWorld world;
  world.spec["storage"] = {{"image", "fetch:1"}, {"credentialsSecretRef", "store"}};
  world.spec["batch"] =
      json::parse(R"({"schedule": "* * * * *", "jobTemplate": {"spec": {"template":
    {"spec": {"containers": [{"name": "score", "image": "score:1"}]}}}}})");
  world.Settle();
  const json pod = world.Object(
      api::kCronJobs,
      world.Child(world.Champion()))["spec"]["jobTemplate"]["spec"]["template"]["spec"];
  EXPECT_EQ(pod["initContainers"][0]["image"], "fetch:1");
  EXPECT_EQ(pod["containers"][0]["volumeMounts"][0]["mountPath"], "/models");
}

TEST(Batch, SaysWhatItMisses) {
  Batched world;
  world.spec["batch"].erase("schedule");
  world.Step();
  EXPECT_NE(world.Message("Stalled").find("spec.batch must be a batch/v1 CronJobSpec"),
            std::string::npos)
      << world.Message("Stalled");
}

}  // namespace
}  // namespace perennial::deployment
