// The watchman is watched: what breaks promises 12 and 13 of a story is seen, and what keeps them
// is not.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "api/names.h"
#include "faults/story_promises_fixture.h"
#include "kube/client.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using std::chrono::minutes;

class StoryPromisesTest : public StoryPromisesFixture {
 protected:
  StoryPromisesTest() : StoryPromisesFixture(AnEditThatWinsAnExperiment()) {}

  bool Refuses(const kube::Request& request) {
    promises_.CheckRequest(request);
    return Says("13");
  }
  static kube::Request Delete(const kube::Ref& ref, const json& preconditions) {
    return {"DELETE", kube::PathOf(ref), "application/json",
            json{{"preconditions", preconditions}}.dump()};
  }
  static kube::Request Patch(const kube::Ref& ref, const std::string& query, const char* type,
                             const json& metadata) {
    return {"PATCH", kube::PathOf(ref) + "?fieldManager=a" + query, type,
            json{{"metadata", metadata}}.dump()};
  }
  static json Named(const json& object) {
    return {{"uid", object["metadata"]["uid"]},
            {"resourceVersion", object["metadata"]["resourceVersion"]}};
  }

  // The status that the model would have with this rollout of a second version, beside a change.
  bool Breaks(const json& rollout, const json& change = json::object()) {
    json status = world_.Object(api::kModelDeployments, "departures")["status"];
    status["rollout"] = rollout;
    status.merge_patch(change);
    world_.api().PutStatus({api::kModelDeployments, {kStoryNamespace, "departures"}}, status);
    promises_.CheckWorld();
    return Says("12");
  }
  std::string Ago(Millis time) const { return FormatTime(world_.Now() - time); }
  // In service for as long as a step of a minute lasts, with all verdicts.
  json Measured() const {
    return {{"version", "second"},
            {"champion", Champion(world_)},
            {"phase", "Progressing"},
            {"step", 0},
            {"started", begun_},
            {"stepStarted", Ago(minutes(1))},
            {"inEffect", true},
            {"checks", json::array({{{"name", "seconds"}, {"verdict", "Pass"}}})},
            {"experiment", {{"verdict", "Pass"}}}};
  }
  json Begun() const {
    return {{"version", "second"},
            {"champion", Champion(world_)},
            {"phase", "Starting"},
            {"step", 0},
            {"started", begun_}};
  }
  static json With(json object, const json& change) {
    object.merge_patch(change);
    return object;
  }

  std::string begun_ = FormatTime(world_.Now());
};

TEST_F(StoryPromisesTest, NothingIsDeletedByItsNameNorWhatIsNotOurs) {
  const json child = world_.Listed(api::kDeployments).at(0);
  const kube::Ref ours{api::kDeployments, {kStoryNamespace, NameOf(child)}};
  EXPECT_FALSE(Refuses(Delete(ours, Named(child))));
  EXPECT_TRUE(Refuses(Delete(ours, json::object())));
  EXPECT_TRUE(Refuses(Delete(ours, {{"resourceVersion", "1"}})));
  EXPECT_TRUE(Refuses(Delete(ours, {{"uid", child["metadata"]["uid"]}})))
      << "it may serve again by now";
  EXPECT_FALSE(Refuses(Delete(ours, {{"uid", "of-an-earlier-one"}})))
      << "the API server refuses that";
  const json foreign = world_.Object(api::kDeployments, "foreign");
  const kube::Ref theirs{api::kDeployments, {kStoryNamespace, "foreign"}};
  EXPECT_TRUE(Refuses(Delete(theirs, Named(foreign)))) << "labels make it nobody's";
  EXPECT_TRUE(Refuses({"DELETE", kube::PathOf(api::kDeployments, kStoryNamespace), "", "{}"}));
}

TEST_F(StoryPromisesTest, NothingIsOverwrittenByItsName) {
  const json child = world_.Listed(api::kDeployments).at(0);
  const kube::Ref ours{api::kDeployments, {kStoryNamespace, NameOf(child)}};
  const char* apply = "application/apply-patch+yaml";
  const char* merge = "application/merge-patch+json";
  const json uid = {{"uid", child["metadata"]["uid"]}};
  EXPECT_FALSE(Refuses(Patch(ours, "&force=true", apply, Named(child))));
  EXPECT_FALSE(Refuses(Patch(ours, "", apply, json::object()))) << "others' fields are safe";
  EXPECT_TRUE(Refuses(Patch(ours, "&force=true", apply, json::object())));
  EXPECT_TRUE(Refuses(Patch(ours, "&force=true", apply, uid)));
  EXPECT_FALSE(Refuses(Patch(ours, "", merge, Named(child))));
  EXPECT_TRUE(Refuses(Patch(ours, "", merge, uid)));
}

TEST_F(StoryPromisesTest, AnotherVersionIsMeasuredFromTheBeginning) {
  EXPECT_FALSE(Breaks(Begun()));
  EXPECT_FALSE(Breaks(Measured()));
  EXPECT_FALSE(Breaks(With(Begun(), {{"version", "third"}})));
  for (const json& kept :
       {json{{"checks", Measured()["checks"]}}, json{{"experiment", Measured()["experiment"]}},
        json{{"step", 1}}, json{{"inEffect", true}}, json{{"phase", "Progressing"}}}) {
    EXPECT_FALSE(Breaks(Begun()));
    EXPECT_TRUE(Breaks(With(With(Begun(), {{"version", "third"}}), kept))) << kept;
  }
}

TEST_F(StoryPromisesTest, WhoIsPromotedWasMeasuredToTheEnd) {
  const json promoting = {{"phase", "Promoting"}};
  EXPECT_FALSE(Breaks(Begun()));
  EXPECT_FALSE(Breaks(Measured()));
  EXPECT_FALSE(Breaks(With(Measured(), promoting)));
  for (const json& lacks :
       {json{{"inEffect", false}}, json{{"stepStarted", Ago(minutes(1) - Millis(2'000))}},
        json{{"checks", json::array()}}, json{{"experiment", nullptr}},
        json::parse(R"({"checks": [{"name": "seconds", "verdict": "NoData"}]})"),
        json::parse(R"({"experiment": {"verdict": "Inconclusive"}})")}) {
    Breaks(Begun());
    Breaks(With(Measured(), lacks));
    EXPECT_TRUE(Breaks(With(With(Measured(), lacks), promoting))) << lacks;
  }
}

TEST_F(StoryPromisesTest, NobodyIsChampionWithoutADecision) {
  const json champion = {{"champion", "second"}};
  const json promoted = With(Measured(), {{"phase", "Promoted"}});
  const std::string before = Champion(world_);
  Breaks(Measured());
  EXPECT_TRUE(Breaks(promoted, champion)) << "nobody had decided on it";
  Breaks(Measured(), {{"champion", before}});
  EXPECT_FALSE(Breaks(With(Measured(), {{"phase", "Promoting"}})));
  EXPECT_FALSE(Breaks(promoted, champion));
}

}  // namespace
}  // namespace perennial::testing
