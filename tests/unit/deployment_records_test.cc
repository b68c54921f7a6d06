#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/names.h"
#include "deployment/records.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

TEST(Records, OfAChangedModelNameItsAuthor) {
  api::ModelDeployment deployment;
  deployment.meta.key = {"transit", "departures"};
  deployment.meta.uid = "d";
  const Declaration declaration{"", {"oci://m:1", ""}, "", 1};
  const auto origin = [&] {
    return json::parse(RenderVersion(deployment, declaration).body)["spec"].value("origin",
                                                                                  json::object());
  };
  EXPECT_FALSE(origin().contains("author"));
  const std::string name = RenderVersion(deployment, declaration).target.key.name;
  deployment.meta.annotations[std::string(api::kAnnotationAuthor)] = "gitops";
  EXPECT_EQ(origin()["author"], "gitops");
  EXPECT_EQ(RenderVersion(deployment, declaration).target.key.name, name);
}

TEST(Records, OfAPromotionSayWhenAndWhy) {
  api::ModelVersion version;
  version.meta.key = {"transit", "v2"};
  const WallTime at = *ParseTime("2026-11-24T12:30:00Z");
  const json body = json::parse(RenderPromoted(version, at, "better by 0.4").body);
  const json expected = {{"perennial.dev/promoted-at", "2026-11-24T12:30:00Z"},
                         {"perennial.dev/promoted-because", "better by 0.4"}};
  EXPECT_EQ(body["metadata"]["annotations"], expected);
  EXPECT_FALSE(body.contains("spec"));
}

}  // namespace
}  // namespace perennial::deployment
