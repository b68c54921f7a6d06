// What a story's controllers made, as text that two ways to the same state have in common.
#include "faults/story_children.h"

#include <algorithm>
#include <set>
#include <utility>

#include "api/names.h"
#include "retrain/group.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

bool IsTime(const std::string& text) {
  return text.size() == 20 && text[4] == '-' && text[10] == 'T' && text.back() == 'Z';
}

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Longer names first: one may begin like another.
std::string Aliased(std::string text, const Aliases& aliases) {
  std::vector<std::pair<std::string, std::string>> sorted(aliases.begin(), aliases.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.first.size() > b.first.size() || (a.first.size() == b.first.size() && a < b);
  });
  for (const auto& [name, role] : sorted) {
    if (!name.empty()) ReplaceAll(text, name, role);
  }
  return text;
}

// Fields that tell of the way, wherever they are.
const std::set<std::string>& FieldsOfTheWay() {
  static const std::set<std::string> kFields = {
      "resourceVersion", "generation", "observedGeneration", "history", "creationTimestamp",
      "lastTransitionTime", "managedFields", "since", "example.org/note", "revision", "started",
      "perennial.dev/revision",
      // What a run is told of its moment.
      "activeDeadlineSeconds", "evidence", "identity", "dataStart"};
  return kFields;
}

// Hashes of what has names and times in it: that they are there is all that can be compared.
const std::set<std::string>& Hashes() {
  static const std::set<std::string> kHashes = {"perennial.dev/spec-hash",
                                                "perennial.dev/identity"};
  return kHashes;
}

// Variables of a training whose values are of its moment.
bool IsOfItsMoment(const json& value) {
  static const std::set<std::string> kVariables = {"PERENNIAL_EVIDENCE", "PERENNIAL_SEED",
                                                   "PERENNIAL_DATA_START", "PERENNIAL_DATA_END"};
  return value.contains("value") && value.contains("name") && value["name"].is_string() &&
         kVariables.contains(value["name"].get<std::string>());
}

void ForgetTheWay(json& value, bool scales);

void ForgetFields(json& value, bool scales) {
  for (const std::string& name : FieldsOfTheWay()) value.erase(name);
  for (const std::string& name : Hashes()) {
    if (value.contains(name)) value[name] = value[name] == "" ? "none" : "some";
  }
  // An owner must be the one that lives; aliases stand for those.
  if (!value.contains("controller")) value.erase("uid");
  if (IsOfItsMoment(value)) value["value"] = "of its moment";
  // "drift/EPISODE", "manual/TOKEN"
  if (value.contains("perennial.dev/trigger")) {
    const std::string trigger = value["perennial.dev/trigger"];
    value["perennial.dev/trigger"] = trigger.substr(0, trigger.find('/'));
  }
  if (scales) value.erase("replicas");
  if (scales) value.erase("readyReplicas");
  // Which steps led to it is the way, how it ended is the state.
  if (value.contains("rollout") && value["rollout"].is_object()) {
    value["rollout"] = {{"phase", value["rollout"].value("phase", "")},
                        {"version", value["rollout"].value("version", "")}};
  }
}

void ForgetInText(json& value, bool scales) {
  const std::string& text = value.get_ref<const std::string&>();
  if (IsTime(text)) {
    value = "TIME";
  } else if (!text.empty() && (text[0] == '{' || text[0] == '[')) {
    json inner = json::parse(text, nullptr, false);
    if (inner.is_discarded()) return;
    ForgetTheWay(inner, scales);
    value = inner.dump();
  }
}

void ForgetTheWay(json& value, bool scales) {
  if (value.is_object()) ForgetFields(value, scales);
  if (value.is_structured()) {
    for (json& child : value) ForgetTheWay(child, scales);
  }
  // Lists that merge by a key are in the order in which their elements came. Of a route's rules the
  // order says which is the split.
  const bool rules = value.is_array() && !value.empty() && value[0].contains("backendRefs");
  if (value.is_array() && !value.empty() && value[0].is_object() && !rules) {
    std::sort(value.begin(), value.end());
  }
  if (value.is_string()) ForgetInText(value, scales);
}

// Runs that one Job trained together.
std::set<std::string> RunsOfGroups(const StoryWorld& world) {
  std::set<std::string> runs;
  for (const kube::Resource& kind : {api::kJobs, kTrainJobs}) {
    for (const json& job : world.Listed(kind)) {
      const std::string members = AnnotationOf(job, api::kAnnotationMembers);
      if (members.empty()) continue;
      runs.insert(LabelOf(job, api::kLabelRun));
      for (std::string& run : retrain::ParseMembers(members)) runs.insert(std::move(run));
    }
  }
  return runs;
}

// Of versions: their names, digests and UIDs. Where a group's artifact lies tells whose run trained
// it, and that is chance.
void NameVersions(const StoryWorld& world, Aliases& aliases) {
  const std::set<std::string> together = RunsOfGroups(world);
  for (const json& version : world.Listed(api::kModelVersions)) {
    const std::string name = NameOf(version);
    const std::string model = version["spec"]["modelDeployment"];
    const std::string alias = world.Alias(name) + "-of-" + model;
    aliases[name] = alias;
    aliases[version["metadata"]["uid"].get<std::string>()] = "UID-of-" + alias;
    const std::string run = version["spec"].value("origin", json::object()).value("run", "");
    const bool alone = !together.contains(run);
    if (!run.empty()) {
      aliases.try_emplace(run,
                          "RUN-of-" + (alone ? alias : world.Alias(name) + "-of-ONE-OF-THE-GROUP"));
    }
    const std::string digest = version["spec"]["model"].value("digest", "");
    if (!digest.empty()) aliases[digest] = "DIGEST-of-" + alias;
  }
}

// Of what has a version's label: the same name for all of its children.
void NameChildren(const StoryWorld& world, Aliases& aliases) {
  for (const kube::Resource& kind : ChildKinds()) {
    for (const json& object : world.Listed(kind)) {
      const std::string version = LabelOf(object, api::kLabelVersion);
      if (version.empty() || !LabelOf(object, api::kLabelRun).empty()) continue;
      const auto known = aliases.find(version);
      const std::string of = known == aliases.end() ? "unknown" : known->second;
      aliases.try_emplace(NameOf(object), "child-of-" + of);
    }
  }
}

// Of runs, in the order in which they came: UIDs ascend.
void NameRuns(const StoryWorld& world, Aliases& aliases) {
  std::vector<json> jobs = world.Listed(api::kJobs);
  for (const json& job : world.Listed(kTrainJobs)) jobs.push_back(job);
  std::sort(jobs.begin(), jobs.end(), [](const json& a, const json& b) {
    return a["metadata"]["uid"] < b["metadata"]["uid"];
  });
  int count = 0;
  for (const json& job : jobs) {
    const std::string alias = std::to_string(++count);
    aliases.try_emplace(NameOf(job), "JOB-" + alias);
    const std::string run = LabelOf(job, api::kLabelRun);
    if (!run.empty()) aliases.try_emplace(run, "RUN-" + alias);
  }
}

void NameOwners(const StoryWorld& world, Aliases& aliases) {
  for (const kube::Resource& kind :
       {api::kModelDeployments, api::kDriftMonitors, api::kRetrainPolicies}) {
    for (const json& object : world.Listed(kind)) {
      aliases[object["metadata"]["uid"].get<std::string>()] =
          "UID-of-" + kind.kind + "-" + NameOf(object);
    }
  }
}

// Whose run the whole group's Job is, is chance: that of the first that saw its drift.
json OfAnyOfTheGroup(const StoryWorld& world, const json& job, const Aliases& aliases) {
  std::string text = Aliased(job.dump(), aliases);
  for (const json& model : world.Listed(api::kModelDeployments)) {
    ReplaceAll(text, NameOf(model), "ONE-OF-THE-GROUP");
  }
  return json::parse(text);
}

}  // namespace

const std::vector<kube::Resource>& ChildKinds() {
  static const std::vector<kube::Resource> kKinds = {
      api::kDeployments, api::kServices,    api::kHttpRoutes,
      api::kGrpcRoutes,  api::kAutoscalers, api::kDisruptionBudgets,
      api::kCronJobs,    api::kJobs,        kTrainJobs};
  return kKinds;
}

std::string WithoutTheWay(const std::vector<json>& objects, const Aliases& aliases, bool scales) {
  std::vector<std::string> texts;
  for (const json& object : objects) {
    json named = json::parse(Aliased(object.dump(), aliases));
    ForgetTheWay(named, scales);
    texts.push_back(named.dump(1) + "\n");
  }
  std::sort(texts.begin(), texts.end());
  std::string out;
  for (const std::string& text : texts) out += text;
  return out;
}

std::string ChildrenText(const StoryWorld& world) {
  Aliases aliases;
  NameVersions(world, aliases);
  NameChildren(world, aliases);
  NameRuns(world, aliases);
  NameOwners(world, aliases);
  std::vector<json> objects;
  for (const kube::Resource& kind : ChildKinds()) {
    for (json object : world.Listed(kind)) {
      object["kind"] = kind.kind;
      object.erase("status");
      if (object["metadata"]
              .value("annotations", json::object())
              .contains(std::string(api::kAnnotationMembers))) {
        object = OfAnyOfTheGroup(world, object, aliases);
      }
      objects.push_back(std::move(object));
    }
  }
  return WithoutTheWay(objects, aliases, /*scales=*/false);
}

}  // namespace perennial::testing
