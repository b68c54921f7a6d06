// The watchman is watched: promises 1 to 11, each broken on purpose by what then lies in the API
// server, and not by what may lie there.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "api/names.h"
#include "faults/story_promises_fixture.h"
#include "kube/client.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using std::chrono::minutes;

class StatePromises : public StoryPromisesFixture {
 protected:
  explicit StatePromises(const Plot& plot) : StoryPromisesFixture(plot) {}

  void Put(const kube::Resource& kind, const json& object) { world_.api().Put(kind, object); }
  void PutStatus(const kube::Resource& kind, const std::string& name, const json& patch) {
    json status = world_.Object(kind, name).value("status", json::object());
    status.merge_patch(patch);
    world_.api().PutStatus({kind, {kStoryNamespace, name}}, status);
  }
  // Another object like this one.
  static json Like(json object, const std::string& name, const json& patch) {
    object.merge_patch(patch);
    object["metadata"]["name"] = name;
    object.erase("status");
    return object;
  }
};

// ---- what is trained ----

class TrainingPromises : public StatePromises {
 protected:
  TrainingPromises() : StatePromises(DriftIsCured()) {}

  bool Judges(const char* state, int samples) {
    PutStatus(api::kDriftMonitors, "departures",
              {{"signals", json::array({{{"name", "distance"},
                                         {"variant", Champion(world_)},
                                         {"state", state},
                                         {"samples", samples}}})}});
    return Breaks("6", std::string(state) + " on " + std::to_string(samples));
  }
};

TEST_F(TrainingPromises, ATriggerHasOneRun) {
  const json job = world_.Listed(api::kJobs).at(0);
  const std::string run = LabelOf(job, api::kLabelRun);
  Put(api::kJobs, Like(job, run + "-1", json::object()));
  EXPECT_FALSE(Breaks("1")) << "another attempt";
  const json other = {{"metadata", {{"labels", {{std::string(api::kLabelRun), "other"}}}}}};
  Put(api::kJobs, Like(job, "other", other));
  EXPECT_TRUE(Breaks("1", "trigger manual/first of departures"));
}

TEST_F(TrainingPromises, ARunIsTrainedOnce) {
  const json job = world_.Listed(api::kJobs).at(0);
  world_.api().Remove({api::kJobs, {kStoryNamespace, NameOf(job)}});
  EXPECT_FALSE(Breaks("1"));
  Put(api::kJobs, Like(job, NameOf(job), json::object()));
  EXPECT_TRUE(Breaks("1", "attempt " + NameOf(job))) << "the first one may have trained to its end";
}

TEST_F(TrainingPromises, AMemberOfAGroupIsTrainedWithItAlone) {
  const json job = world_.Listed(api::kJobs).at(0);
  const std::string run = LabelOf(job, api::kLabelRun);
  json group = Like(job, "group", json::object());
  group["metadata"]["labels"][std::string(api::kLabelRun)] = "group";
  group["metadata"]["annotations"] = {{"perennial.dev/trigger", "drift/another"},
                                      {std::string(api::kAnnotationMembers), run}};
  Put(api::kJobs, group);
  EXPECT_TRUE(Breaks("1", "run " + run));
}

TEST_F(TrainingPromises, ARunMakesOneVersion) {
  const json version = world_.Object(api::kModelVersions, Champion(world_));
  const std::string run = version["spec"]["origin"]["run"];
  Put(api::kModelVersions,
      Like(version, "copy", {{"spec", {{"origin", {{"copyOf", NameOf(version)}}}}}}));
  EXPECT_FALSE(Breaks("1")) << "somebody asked for another try";
  Put(api::kModelVersions, Like(version, "twice", json::object()));
  EXPECT_TRUE(Breaks("1", "version of run " + run));
}

TEST_F(TrainingPromises, NoDataIsNoVerdict) {
  for (const char* state : {"Ok", "Warning", "Drifted"}) {
    EXPECT_FALSE(Judges("NoData", 0));
    EXPECT_FALSE(Judges(state, 10'000)) << state;
    EXPECT_FALSE(Judges(state, 0)) << "it was on record";
    EXPECT_FALSE(Judges("NoData", 0));
    EXPECT_TRUE(Judges(state, 299)) << state;
  }
  EXPECT_FALSE(Judges("Error", 0));
  world_.silent = true;
  world_.Run(minutes(30));
  EXPECT_FALSE(Judges("NoData", 0));
  EXPECT_TRUE(Judges("Ok", 10'000)) << "no pod has counted that";
}

// ---- who gets traffic ----

// In the only step of an edit, with half of the traffic for each version.
class TrafficPromises : public StatePromises {
 protected:
  TrafficPromises() : StatePromises(AnEditThatTestersSeeFirst()) {
    world_.EditDeployment({{"model", {{"uri", "s3://models/second"}, {"digest", nullptr}}}});
    RunUntil(
        world_, [&] { return Split()["backendRefs"].at(0)["weight"] == 50; }, Millis(5'000));
    Look();
    route_ = Route();
  }

  json Route() const { return world_.Listed(api::kHttpRoutes).at(0); }
  json Split() const { return Route()["spec"]["rules"][0]; }
  // The route with another split, or whatever of it.
  void Reroute(const json& split_patch) {
    json route = route_;
    route["spec"]["rules"][0].merge_patch(split_patch);
    Put(api::kHttpRoutes, route);
  }
  void Weigh(int first, int second) {
    json backends = route_["spec"]["rules"][0]["backendRefs"];
    backends[ChildOf(1) == backends[0]["name"] ? 0 : 1]["weight"] = first;
    backends[ChildOf(1) == backends[0]["name"] ? 1 : 0]["weight"] = second;
    Reroute({{"backendRefs", backends}});
  }
  void GiveAllToTheFirst() {
    json route = route_;
    for (json& rule : route["spec"]["rules"]) {
      rule["backendRefs"] = json::array({{{"name", ChildOf(1)}, {"weight", 100}}});
    }
    Put(api::kHttpRoutes, route);
  }
  std::string ChildOf(int n) const {
    for (const json& child : world_.Listed(api::kDeployments)) {
      if (LabelOf(child, api::kLabelVersion) == world_.VersionName(n)) return NameOf(child);
    }
    return "";
  }
  void SetPhase(int n, const std::string& phase) {
    PutStatus(api::kModelVersions, world_.VersionName(n), {{"phase", phase}});
  }

  json route_;
};

TEST_F(TrafficPromises, WeightsAddUp) {
  Weigh(40, 60);
  EXPECT_FALSE(Breaks("2"));
  Weigh(40, 59);
  EXPECT_TRUE(Breaks("2", "weights add up to 99"));
  Reroute({{"backendRefs", json::array()}});
  EXPECT_TRUE(Breaks("2", "weights add up to 0"));
}

TEST_F(TrafficPromises, OneVariantAnswersAloneWhereTheSpecSaysSo) {
  json route = route_;
  route["spec"]["rules"][0]["backendRefs"] = json::array({{{"name", ChildOf(1)}, {"weight", 1}}});
  Put(api::kHttpRoutes, route);
  EXPECT_TRUE(Breaks("2", "weights add up to 1")) << "the split is nobody's alone";
}

class PlainTrafficPromises : public StatePromises {
 protected:
  PlainTrafficPromises() : StatePromises(AnEditThatWinsAnExperiment()) {}
};

TEST_F(PlainTrafficPromises, NobodyAnswersAloneWhereTheSpecHasNoRules) {
  json route = world_.Listed(api::kHttpRoutes).at(0);
  json rule = route["spec"]["rules"][0];
  rule["backendRefs"][0]["weight"] = 1;
  rule["matches"][0]["headers"] = json::array({{{"name", "x-tester"}, {"value", "yes"}}});
  route["spec"]["rules"].push_back(rule);
  Put(api::kHttpRoutes, route);
  EXPECT_TRUE(Breaks("2", "weights add up to 1"));
}

TEST_F(TrafficPromises, WeightGoesToReadyPods) {
  const std::string child = ChildOf(2);
  const json slice = world_.Object(api::kEndpointSlices, child + "-slice");
  json unready = slice;
  for (json& endpoint : unready["endpoints"]) endpoint["conditions"]["ready"] = false;
  Put(api::kEndpointSlices, unready);
  EXPECT_TRUE(Breaks("2", "traffic for V2 without ready pods")) << "whatever its Deployment says";
  Put(api::kEndpointSlices, slice);
  EXPECT_FALSE(Breaks("2"));
  PutStatus(api::kDeployments, child, {{"readyReplicas", 0}});
  EXPECT_TRUE(Breaks("2", "traffic for V2 without ready pods"));
  PutStatus(api::kDeployments, child, {{"readyReplicas", 2}});
  const json mirror = {{"type", "RequestMirror"},
                       {"requestMirror", {{"backendRef", {{"name", "nobody"}}}, {"percent", 5}}}};
  Reroute({{"filters", json::array({mirror})}});
  promises_.CheckWorld();
  EXPECT_TRUE(Says("2", "traffic for none without ready pods")) << "copies are requests too";
}

TEST_F(TrafficPromises, APromotionHappensOnce) {
  const std::string first = world_.VersionName(1);
  json version = world_.Object(api::kModelVersions, first);
  json& mark = version["metadata"]["annotations"][std::string(api::kAnnotationPromoted)];
  ASSERT_TRUE(mark.is_string()) << version;
  mark = "2031-01-01T00:00:00Z";
  Put(api::kModelVersions, version);
  EXPECT_TRUE(Breaks("3", "promoted again: " + first));
}

TEST_F(TrafficPromises, NobodyBecomesChampionTwice) {
  const auto crown = [&](int n) {
    PutStatus(api::kModelDeployments, "departures", {{"champion", world_.VersionName(n)}});
    promises_.CheckWorld();
    return Says("3", world_.VersionName(n) + " became champion twice");
  };
  EXPECT_FALSE(crown(2));
  EXPECT_TRUE(crown(1));
}

TEST_F(TrafficPromises, WhomARejectionBringsBackIsChampionAgain) {
  const auto crown = [&](int n) {
    PutStatus(api::kModelDeployments, "departures", {{"champion", world_.VersionName(n)}});
    promises_.CheckWorld();
    return Says("3");
  };
  const auto mark = [&](const char* at) {
    json version = world_.Object(api::kModelVersions, world_.VersionName(1));
    version["metadata"]["annotations"][std::string(api::kAnnotationPromoted)] = at;
    Put(api::kModelVersions, version);
  };
  EXPECT_FALSE(crown(2));
  SetPhase(2, "Rejected");
  promises_.CheckWorld();
  EXPECT_FALSE(crown(1));
  mark("2031-01-01T00:00:00Z");
  EXPECT_FALSE(Breaks("3"));
  mark("2032-01-01T00:00:00Z");
  EXPECT_TRUE(Breaks("3")) << "once more, and nobody was rejected";
}

TEST_F(TrafficPromises, WhoWasWithdrawnGetsNoTrafficAgain) {
  SetPhase(2, "Rejected");
  EXPECT_FALSE(Breaks("4")) << "somebody rejects it, and the route follows";
  Weigh(60, 40);
  EXPECT_FALSE(Breaks("4"));
  Weigh(50, 50);
  EXPECT_TRUE(Breaks("4", world_.VersionName(2)));
  GiveAllToTheFirst();
  EXPECT_FALSE(Breaks("4"));
  SetPhase(2, "Approved");
  Weigh(99, 1);
  EXPECT_TRUE(Breaks("4", world_.VersionName(2))) << "whatever is said of it later";
}

TEST_F(TrafficPromises, WhoIsRolledBackHasNoTrafficAnyMore) {
  json approval = MakeObject({api::kModelApprovals, {kStoryNamespace, "rolled-back"}});
  approval["metadata"]["labels"] = {{std::string(api::kLabelManagedBy), api::kManagedBy}};
  approval["spec"] = {{"modelVersion", world_.VersionName(2)}, {"decision", "Reject"}};
  Put(api::kModelApprovals, approval);
  SetPhase(2, "Rejected");
  EXPECT_TRUE(Breaks("4", world_.VersionName(2))) << "its rejection comes after its traffic went";
}

TEST_F(TrafficPromises, NothingUnapprovedGetsWeight) {
  for (const char* phase : {"AwaitingApproval", "GatesFailed", "Pending", "Expired"}) {
    SetPhase(2, "Approved");
    GiveAllToTheFirst();
    EXPECT_FALSE(Breaks("8"));
    Weigh(50, 50);
    EXPECT_FALSE(Breaks("8"));
    SetPhase(2, phase);
    EXPECT_FALSE(Breaks("8")) << "it had that before";
    Weigh(49, 51);
    EXPECT_TRUE(Breaks("8", std::string("traffic for V2, which is ") + phase));
    GiveAllToTheFirst();
    EXPECT_FALSE(Breaks("8"));
    Weigh(99, 1);
    EXPECT_TRUE(Breaks("8")) << "it had left";
  }
}

TEST_F(PlainTrafficPromises, NothingUnapprovedIsBehindTheModelsService) {
  json version = world_.Object(api::kModelVersions, Champion(world_));
  Put(api::kModelVersions, Like(version, "unapproved", {{"spec", {{"revision", 2}}}}));
  const json of = {{"labels", {{std::string(api::kLabelVersion), "unapproved"}}}};
  json child = Like(world_.Listed(api::kDeployments).at(0), "unapproved", {{"metadata", of}});
  child["spec"]["template"]["metadata"].merge_patch(of);
  Put(api::kDeployments, child);
  EXPECT_FALSE(Breaks("8")) << "pods without traffic";
  json service = world_.Object(api::kServices, "departures");
  service["spec"]["selector"].erase(std::string(api::kLabelVersion));
  Put(api::kServices, service);
  EXPECT_TRUE(Breaks("8", "which is Pending"));
}

// ---- what others have, and what the objects say ----

TEST_F(PlainTrafficPromises, NothingOfOthersIsTouched) {
  for (const kube::Resource& kind : StoryPromises::KindsOfBystanders()) {
    const json theirs = world_.Object(kind, "foreign");
    json touched = theirs;
    touched["metadata"]["labels"]["ours"] = "now";
    Put(kind, touched);
    EXPECT_TRUE(Breaks("5", kind.plural)) << kind.plural;
    Put(kind, theirs);
    EXPECT_FALSE(Breaks("5")) << kind.plural;
  }
  world_.api().Remove({api::kServices, {kStoryNamespace, "foreign"}});
  EXPECT_TRUE(Breaks("5", "services"));
}

TEST(IdlePromise, WritesAfterTheEndAreCounted) {
  const Plot restless{"Restless", [](StoryWorld& world) {
                        Begin(world);
                        world.EditDeployment({{"replicas", 3}});
                      }};
  EXPECT_GT(Tell(restless).idle_writes, 0);
}

TEST_F(PlainTrafficPromises, NoRequestLeavesWhatIsOurs) {
  const auto asks = [&](const char* method, const std::string& path) {
    promises_.CheckRequest({method, path, "application/json", "{}"});
    return Says("9", path);
  };
  EXPECT_FALSE(asks("GET", kube::PathOf(api::kServices, kStoryNamespace)));
  EXPECT_FALSE(asks("GET", kube::PathOf(api::kConfigMaps, kStoryNamespace)));
  EXPECT_TRUE(asks("GET", kube::PathOf(api::kServices, "elsewhere")));
  EXPECT_TRUE(asks("GET", "/api/v1/services")) << "of all namespaces";
  EXPECT_TRUE(asks("GET", "/api/v1/namespaces/transit/secrets/warehouse"));
  EXPECT_TRUE(asks("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/transit/roles"));
  EXPECT_TRUE(asks("GET", "/metrics"));
  EXPECT_TRUE(asks("POST", kube::PathOf(api::kConfigMaps, kStoryNamespace)));
}

TEST_F(PlainTrafficPromises, WhatOthersWriteIntoOursStays) {
  json child = world_.Listed(api::kDeployments).at(0);
  child["metadata"]["annotations"].erase("example.org/note");
  Put(api::kDeployments, child);
  EXPECT_TRUE(Breaks("10", NameOf(child)));
}

TEST_F(PlainTrafficPromises, AStatusNeverGoesBack) {
  const auto says = [&](const json& patch, const std::string& words) {
    PutStatus(api::kModelDeployments, "departures", patch);
    return Breaks("11", words);
  };
  const auto conditions = [](const char* ready, const char* since, const char* stalled) {
    const auto condition = [&](const char* type, const char* status) {
      return json{{"type", type}, {"status", status}, {"lastTransitionTime", since}};
    };
    return json{
        {"conditions", json::array({condition("Ready", ready), condition("Stalled", stalled),
                                    condition("Reconciling", ready)})}};
  };
  const char* early = "2031-01-01T00:00:00Z";
  const char* late = "2031-01-01T00:00:01Z";
  world_.EditDeployment({{"replicas", 3}});
  EXPECT_FALSE(says({{"observedGeneration", 2}}, ""));
  EXPECT_TRUE(says({{"observedGeneration", 1}}, "observedGeneration fell"));
  EXPECT_TRUE(says({{"observedGeneration", 3}}, "ahead of the generation"));
  PutStatus(api::kModelDeployments, "departures", {{"observedGeneration", nullptr}});
  EXPECT_FALSE(says({{"rollout", {{"step", 1}}}}, ""));
  EXPECT_TRUE(says({{"rollout", {{"step", 0}}}}, "the rollout's step fell"));
  EXPECT_FALSE(says({{"rollout", {{"step", 1}}}}, ""));
  says(conditions("True", early, "False"), "");
  EXPECT_TRUE(says(conditions("True", late, "False"), "of Ready moved without its status"));
  EXPECT_TRUE(says(conditions("True", late, "True"), "Reconciling and Stalled"));
  EXPECT_FALSE(says(conditions("False", early, "False"), "")) << "moved with its status";
  EXPECT_TRUE(says({{"why", std::string(33 * 1024, 'x')}}, "bytes"));
}

}  // namespace
}  // namespace perennial::testing
