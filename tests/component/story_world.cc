#include "component/story_world.h"

#include <algorithm>
#include <utility>

#include "api/codec.h"
#include "api/names.h"
#include "app/event_endpoint.h"
#include "base/hash.h"
#include "kube/client.h"
#include "retrain/group.h"
#include "support/in_process.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

constexpr const char* kNs = "transit";
constexpr Millis kScrapeInterval{15'000};
// How long pods, routes, Jobs and people take.
constexpr Millis kReaction{1'500};
const std::vector<double> kUsual = {400, 300, 200, 100};
const std::vector<double> kMoved = {100, 200, 300, 400};

constexpr const char* kDeployment = R"({
  "replicas": 2,
  "template": {"spec": {"containers": [
    {"name": "model", "image": "server:1", "ports": [{"name": "http", "containerPort": 8080}]}]}},
  "metrics": {"port": "http", "path": "/metrics"},
  "traffic": {"gateway": {"parentRefs": [{"name": "edge"}], "hostnames": ["m.example.org"]}},
  "rollout": {"progressDeadline": "5m",
              "steps": [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "2m"}]}})";

constexpr const char* kMonitor = R"({
  "target": {"modelDeployment": "departures"},
  "interval": "15s", "window": "3m", "minSamples": 300, "for": 2, "of": 3,
  "baseline": {"from": "ModelVersion"},
  "signals": [{"name": "distance", "type": "DataDrift", "metric": "x",
               "tests": [{"measure": "population_stability_index", "threshold": "0.25"}]}]})";

constexpr const char* kPolicy = R"({
  "modelDeployment": "departures",
  "triggers": [{"drift": {"monitor": "departures", "signals": ["distance"]}}],
  "cooldown": "30s", "deadline": "30m", "retries": 1,
  "job": {"template": {"spec": {"template": {"spec": {"containers": [
    {"name": "train", "image": "train:1"}]}}}}},
  "gates": [{"metric": "mae", "max": "4.0"}],
  "approval": {"required": true, "approvers": 1}})";

// Fires at one minute of the year.
json ScheduleAt(WallTime at) {
  const std::string text = FormatTime(at);  // 2026-01-02T03:04:05Z
  const auto field = [&](std::size_t from) {
    return std::to_string(std::stoi(text.substr(from, 2)));
  };
  return {{"schedule",
           {{"cron", field(14) + " " + field(11) + " " + field(8) + " " + field(5) + " *"}}}};
}

constexpr const char* kNewData =
    R"({"newData": {"expression": "rows", "threshold": "1000", "window": "1m", "interval": "15s"}})";

constexpr const char* kEvent = R"({"event": {"type": "rows.loaded",
  "bearerTokenSecretRef": {"name": "warehouse", "key": "token"}}})";
constexpr const char* kToken = "a-token-that-is-long-enough";

constexpr const char* kTraining = R"json({
  "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
  "template": {"spec": {"trainer": {"args": ["$(PERENNIAL_TRIGGER)",
    "$(PERENNIAL_MODEL_DEPLOYMENTS)"]}}},
  "success": "status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')",
  "failure": "status.conditions.exists(c, c.type == 'Failed' && c.status == 'True')"})json";
const kube::Resource kTrainJobs{"trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"};

json PolicySpec(const StorySetting& setting) {
  json spec = json::parse(kPolicy);
  if (setting.trigger == StorySetting::Trigger::kNewData) {
    spec["triggers"] = json::array({json::parse(kNewData)});
  } else if (setting.trigger == StorySetting::Trigger::kEvent) {
    spec["triggers"] = json::array({json::parse(kEvent)});
  }
  if (setting.training == StorySetting::Training::kWorkload) {
    spec.erase("job");
    spec["workload"] = json::parse(kTraining);
    spec["result"] = {{"from", "ConfigMap"}};
  }
  return spec;
}

json Whole(const kube::Resource& resource, const std::string& name, const json& spec) {
  json object = MakeObject({resource, {kNs, name}});
  object["spec"] = spec;
  return object;
}

// "" where the object has no such label.
std::string Label(const json& object, std::string_view name) {
  return object["metadata"].value("labels", json::object()).value(std::string(name), "");
}

std::string Name(const json& object) {
  return object["metadata"]["name"];
}

json Condition(const char* type, const std::string& at, std::int64_t generation) {
  return {{"type", type},  {"status", "True"},         {"reason", "Fine"},
          {"message", ""}, {"lastTransitionTime", at}, {"observedGeneration", generation}};
}

// Takes what the API server has into the store, as an informer that has caught up does.
template <class T, class Decode>
void Fill(FakeApiServer& api, kube::Informer<T>& informer, const kube::Resource& resource,
          Decode decode, std::string_view label = {}) {
  std::set<kube::Key> listed;
  for (const json& object : api.List(resource)) {
    if (!label.empty() && Label(object, label).empty()) continue;
    auto decoded = decode(object);
    PERENNIAL_CHECK(decoded.ok());
    listed.insert(decoded->meta.key);
    informer.store().Upsert(std::make_shared<const T>(*std::move(decoded)));
  }
  informer.store().FinishList(listed);
}

}  // namespace

// The process's connection: it counts writes and lets the trouble happen.
class StoryWorld::Line final : public kube::Transport {
 public:
  explicit Line(StoryWorld& world) : world_(world) {}

  Result<kube::Response> Send(const kube::Request& request, Millis deadline) override {
    if (dead_) return Error{Errc::kCancelled, "the process is dead"};
    if (request.method == "GET") return world_.api_.transport().Send(request, deadline);
    ++world_.writes_;
    const Trouble::Kind kind = Due();
    world_.log_.push_back(std::to_string(world_.writes_) + " " + request.method + " " +
                          request.path + " " + request.body);
    switch (kind) {
      case Trouble::Kind::kCrashBefore:
        return Die();
      case Trouble::Kind::kConflict:
        return kube::Response{409, StatusJson(409, "Conflict", "somebody else wrote"), {}};
      case Trouble::Kind::kRefuse:
        return kube::Response{500, StatusJson(500, "InternalError", "try later"), {}};
      default:
        break;
    }
    auto response = world_.api_.transport().Send(request, deadline);
    world_.CheckPromises();
    if (kind == Trouble::Kind::kCrashAfter) return Die();
    if (kind == Trouble::Kind::kLoseReply) return Error{Errc::kTimeout, "no answer"};
    return response;
  }
  Status Stream(const kube::Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kCancelled, "stores are fed directly"};
  }
  bool dead() const { return dead_; }

 private:
  Trouble::Kind Due() const {
    for (const Trouble& trouble : world_.trouble_) {
      const bool lives =
          trouble.kind != Trouble::Kind::kCrashBefore && trouble.kind != Trouble::Kind::kCrashAfter;
      const int last = trouble.at + (lives ? trouble.lasts : 1) - 1;
      if (world_.writes_ >= trouble.at && world_.writes_ <= last) return trouble.kind;
    }
    return Trouble::Kind::kNone;
  }
  Error Die() {
    dead_ = true;
    return Error{Errc::kCancelled, "the process is dead"};
  }

  StoryWorld& world_;
  bool dead_ = false;
};

// All that is lost when the process dies.
struct StoryWorld::Process {
  explicit Process(StoryWorld& world)
      : line(world),
        cache(line, world.clock_, "", {kTrainJobs}),
        samples(world.clock_),
        client(line, world.clock_, "perennial-events"),
        events(client, world.clock_, "perennial.dev/controller", "controller-0"),
        work({line,
              world.clock_,
              cache,
              samples,
              events,
              {},
              "system:serviceaccount:perennial-system:perennial",
              Sleepless(world)}),
        intake_client(line, world.clock_, app::Work::kPolicyManager, Sleepless(world)),
        intake({cache.retrain_policies.store(), intake_client,
                [](const kube::Key&, const std::string&) -> Result<std::string> {
                  return std::string(kToken);
                },
                world.clock_}) {}

  static kube::ClientOptions Sleepless(StoryWorld& world) {
    kube::ClientOptions options;
    options.sleep = [&world](Millis time) { world.clock_.Advance(time); };
    return options;
  }

  Line line;
  app::ClusterCache cache;
  scrape::SampleStore samples;
  kube::Client client;
  kube::EventRecorder events;  // never started: what is recorded is not written
  app::Work work;
  kube::Client intake_client;
  app::EventEndpoint intake;
  std::map<scrape::JobId, std::shared_ptr<const scrape::ScrapeJob>> jobs;
};

StoryWorld::StoryWorld(std::vector<Trouble> trouble, std::optional<std::uint32_t> lag,
                       StorySetting setting)
    : clock_(SystemClock().Wall()), api_(InProcess()), trouble_(std::move(trouble)) {
  if (lag) lag_.emplace(*lag);
  models_.insert(models_.end(), setting.others.begin(), setting.others.end());
  for (const std::string& model : models_) {
    api_.Put(api::kModelDeployments,
             Whole(api::kModelDeployments, model, json::parse(kDeployment)));
    json monitor = Whole(api::kDriftMonitors, model, json::parse(kMonitor));
    monitor["spec"]["target"]["modelDeployment"] = model;
    api_.Put(api::kDriftMonitors, monitor);
    json policy = Whole(api::kRetrainPolicies, model, PolicySpec(setting));
    policy["metadata"]["annotations"] = {{std::string(api::kAnnotationRetrain), "first"}};
    policy["spec"]["modelDeployment"] = model;
    if (setting.trigger == Trigger::kDrift) {
      policy["spec"]["triggers"][0]["drift"]["monitor"] = model;
    } else if (setting.trigger == Trigger::kSchedule) {
      policy["spec"]["triggers"] = json::array({ScheduleAt(clock_.Wall() + kScheduled)});
    }
    if (!setting.others.empty()) policy["spec"]["group"] = {{"name", "all"}, {"window", "1m"}};
    api_.Put(api::kRetrainPolicies, policy);
  }
  process_ = std::make_unique<Process>(*this);
}

StoryWorld::~StoryWorld() = default;

void StoryWorld::EditDeployment(const json& spec) {
  json object = Object(api::kModelDeployments, "departures");
  object["spec"].merge_patch(spec);
  api_.Put(api::kModelDeployments, object);
}

void StoryWorld::Run(Millis time) {
  const Millis end = clock_.Steady() + time;
  while (clock_.Steady() < end) {
    Feed();
    const bool looked = process_->work.Step();
    if (process_->line.dead()) Restart();
    React();
    if (looked) continue;
    // What the cluster did may wake somebody at once.
    const bool up_to_date = Feed();
    Millis next = std::min(end, next_scrape_);
    if (react_at_) next = std::min(next, *react_at_);
    if (!up_to_date) next = std::min(next, clock_.Steady() + Millis(20));
    for (kube::RunnerCore* core : process_->work.Cores()) {
      if (core->queue().depth() > 0) next = clock_.Steady();
      next = std::min(next, core->queue().next_due().value_or(end));
    }
    if (next > clock_.Steady()) clock_.Advance(next - clock_.Steady());
    if (clock_.Steady() >= next_scrape_) Scrape();
  }
}

int StoryWorld::PostEvent(const std::string& id) {
  const std::string head = "POST /events/transit/departures HTTP/1.1\r\nAuthorization: Bearer " +
                           std::string(kToken) +
                           "\r\nce-specversion: 1.0\r\nce-type: rows.loaded\r\nce-source: "
                           "/warehouse\r\nce-id: " +
                           id + "\r\nce-time: " + FormatTime(clock_.Wall()) + "\r\n\r\n";
  return process_->intake.Take({"POST", "/events/transit/departures", head, ""}).status;
}

void StoryWorld::Restart() {
  ++crashes_;
  fed_.clear();
  seen_.clear();
  process_.reset();
  clock_.Advance(Millis(5'000));  // until another one leads
  process_ = std::make_unique<Process>(*this);
}

bool StoryWorld::Feed() {
  const std::string version = api_.resource_version();
  if (fed_ == version) return true;
  bool all = true;
  const auto fill = [&](auto& informer, const kube::Resource& resource, auto decode,
                        std::string_view label = {}) {
    // Watches of different resources lag differently. The first list is a whole one.
    std::string& seen = seen_[resource.plural];
    if (seen == version) return;
    if (lag_ && informer.store().Synced() && (*lag_)() % 3 != 0) {
      all = false;
      return;
    }
    Fill(api_, informer, resource, decode, label);
    seen = version;
  };
  app::ClusterCache& cache = process_->cache;
  fill(cache.model_versions, api::kModelVersions, api::DecodeModelVersion);
  fill(cache.model_approvals, api::kModelApprovals, api::DecodeModelApproval);
  fill(cache.deployments, api::kDeployments, api::DecodeDeploymentView, api::kLabelManagedBy);
  fill(cache.services, api::kServices, api::DecodeServiceView, api::kLabelManagedBy);
  fill(cache.http_routes, api::kHttpRoutes, api::DecodeHttpRouteView, api::kLabelManagedBy);
  fill(cache.grpc_routes, api::kGrpcRoutes, api::DecodeHttpRouteView, api::kLabelManagedBy);
  fill(cache.endpoint_slices, api::kEndpointSlices, api::DecodeEndpointSliceView,
       api::kLabelManagedBy);
  fill(cache.autoscalers, api::kAutoscalers, api::DecodeChildView, api::kLabelManagedBy);
  fill(cache.disruption_budgets, api::kDisruptionBudgets, api::DecodeChildView,
       api::kLabelManagedBy);
  fill(cache.cron_jobs, api::kCronJobs, api::DecodeCronJobView, api::kLabelManagedBy);
  fill(cache.jobs, api::kJobs, api::DecodeJobView, api::kLabelManagedBy);
  fill(cache.pods, api::kPods, api::DecodePodView, api::kLabelRun);
  fill(cache.drift_monitors, api::kDriftMonitors, api::DecodeDriftMonitor);
  fill(cache.retrain_policies, api::kRetrainPolicies, api::DecodeRetrainPolicy);
  fill(cache.model_deployments, api::kModelDeployments, api::DecodeModelDeployment);
  // The policies say what is watched.
  for (const auto& [resource, informer] : cache.run_objects.All()) {
    fill(*informer, resource, api::DecodeRunObjectView, api::kLabelRun);
  }
  if (all) fed_ = version;
  return all;
}

void StoryWorld::React() {
  if (reacted_ == api_.resource_version()) return;
  if (!react_at_) react_at_ = clock_.Steady() + kReaction;
  if (clock_.Steady() < *react_at_) return;
  react_at_.reset();
  ReactToAutoscalers();
  ReactToDeployments();
  ReactToServices();
  ReactToRoutes();
  ReactToJobs();
  ReactToWorkloads();
  if (approve) ApproveVersions();
  CheckPromises();
  reacted_ = api_.resource_version();
}

// Each keeps its Deployment within its bounds; there is no load.
void StoryWorld::ReactToAutoscalers() {
  for (const json& scaler : api_.List(api::kAutoscalers)) {
    auto deployment = api_.Get({api::kDeployments, {kNs, Name(scaler)}});
    if (!deployment) continue;
    const int replicas = (*deployment)["spec"].value("replicas", 1);
    const int least = scaler["spec"]["minReplicas"];
    if (replicas >= least) continue;
    (*deployment)["spec"]["replicas"] = least;
    api_.Put(api::kDeployments, *deployment);
  }
}

void StoryWorld::ReactToDeployments() {
  for (const json& object : api_.List(api::kDeployments)) {
    const int replicas = object["spec"].value("replicas", 1);
    const std::string alias = Alias(Label(object, api::kLabelVersion));
    const bool fails = std::any_of(broken.begin(), broken.end(),
                                   [&](int n) { return alias == "V" + std::to_string(n); });
    const int ready = fails ? 0 : replicas;
    api_.PutStatus({api::kDeployments, {kNs, Name(object)}},
                   {{"observedGeneration", object["metadata"]["generation"]},
                    {"replicas", replicas},
                    {"updatedReplicas", replicas},
                    {"readyReplicas", ready},
                    {"availableReplicas", ready}});
  }
}

// A Service of a version has the pods of the Deployment of the same name.
void StoryWorld::ReactToServices() {
  for (const json& service : api_.List(api::kServices)) {
    const std::string name = Name(service);
    const auto deployment = api_.Get({api::kDeployments, {kNs, name}});
    const int ready =
        deployment ? deployment->value("status", json::object()).value("readyReplicas", 0) : 0;
    json slice = MakeObject({api::kEndpointSlices, {kNs, name + "-slice"}});
    slice["metadata"]["labels"] = service["metadata"].value("labels", json::object());
    slice["metadata"]["labels"]["kubernetes.io/service-name"] = name;
    slice["metadata"]["ownerReferences"] = json::array({{{"apiVersion", "v1"},
                                                         {"kind", "Service"},
                                                         {"name", name},
                                                         {"uid", service["metadata"]["uid"]},
                                                         {"controller", true}}});
    slice["ports"] = json::array({{{"name", "http"}, {"port", 8080}}});
    slice["endpoints"] = json::array();
    for (int i = 0; i < ready; ++i) {
      const std::string uid =
          deployment->at("metadata")["uid"].get<std::string>() + "-" + std::to_string(i);
      slice["endpoints"].push_back({{"addresses", {"10.0.0." + std::to_string(i + 1)}},
                                    {"conditions", {{"ready", true}}},
                                    {"targetRef", {{"kind", "Pod"}, {"name", uid}, {"uid", uid}}}});
    }
    api_.Put(api::kEndpointSlices, slice);
  }
}

void StoryWorld::ReactToRoutes() {
  for (const json& route : api_.List(api::kHttpRoutes)) {
    const std::int64_t generation = route["metadata"]["generation"];
    const json before = route.value("status", json::object());
    if (before.value("generation", 0) == generation) continue;
    const std::string now = FormatTime(clock_.Wall());
    api_.PutStatus(
        {api::kHttpRoutes, {kNs, Name(route)}},
        {{"generation", generation},  // for the line above
         {"parents",
          json::array(
              {{{"parentRef", route["spec"]["parentRefs"][0]},
                {"controllerName", "example.org/gateway"},
                {"conditions", json::array({Condition("Accepted", now, generation),
                                            Condition("ResolvedRefs", now, generation)})}}})}});
  }
}

json StoryWorld::ModelResultOf(const std::string& job, const std::string& model) const {
  const auto error = errors.find(model);
  const double mae = error == errors.end() ? 3.0 : error->second;
  const std::string of = job + "/" + model;
  return {{"artifact", {{"uri", "s3://models/" + of}, {"digest", "sha256:" + Sha256Hex(of)}}},
          {"metrics", json::array({{{"name", "mae"}, {"value", mae}, {"samples", 1000}}})},
          {"profile",
           {{"rows", 1000},
            {"metrics", json::array({{{"metric", "x"},
                                      {"type", "Numeric"},
                                      {"bounds", {1, 2, 3}},
                                      {"counts", drifted ? kMoved : kUsual}}})}}}};
}

namespace {

// The models that the training is to make, as its Job or TrainJob tells it.
std::set<std::string> ToldOf(const json& job) {
  json list = json::array();
  const json::json_pointer args("/spec/trainer/args/1");
  const json::json_pointer env("/spec/template/spec/containers/0/env");
  if (job.contains(args)) list = json::parse(job[args].get<std::string>());
  for (const json& entry : job.contains(env) ? job[env] : json::array()) {
    if (entry["name"] == "PERENNIAL_MODEL_DEPLOYMENTS")
      list = json::parse(std::string(entry["value"]));
  }
  std::set<std::string> out;
  for (const json& model : list) out.insert(model["modelDeployment"].get<std::string>());
  return out;
}

}  // namespace

// One result for the model that the Job was made for, or one for each that it was told of.
json StoryWorld::ResultOf(const json& job) const {
  json out = ModelResultOf(Name(job), Label(job, api::kLabelDeployment));
  out["schemaVersion"] = 1;
  const std::set<std::string> told = ToldOf(job);
  if (told.size() < 2) return out;
  out = {{"schemaVersion", 1}, {"results", json::object()}};
  for (const std::string& model : told) out["results"][model] = ModelResultOf(Name(job), model);
  return out;
}

// A TrainJob succeeds at once, and leaves its result in a ConfigMap a little earlier.
void StoryWorld::ReactToWorkloads() {
  for (const json& job : api_.List(kTrainJobs)) {
    if (job.contains("status")) continue;
    json map = MakeObject({api::kConfigMaps, {kNs, Name(job)}});
    map["metadata"]["labels"] = {{std::string(api::kLabelRun), Label(job, api::kLabelRun)}};
    map["data"] = {{"result.json", ResultOf(job).dump()}};
    api_.Put(api::kConfigMaps, map);
    api_.PutStatus(
        {kTrainJobs, {kNs, Name(job)}},
        {{"conditions", json::array({Condition("Complete", FormatTime(clock_.Wall()), 1)})}});
  }
}

// Every Job's training succeeds, on the data of its time.
void StoryWorld::ReactToJobs() {
  for (const json& job : api_.List(api::kJobs)) {
    if (job.contains("status")) continue;
    const std::string now = FormatTime(clock_.Wall());
    const json result = ResultOf(job);
    json pod = MakeObject({api::kPods, {kNs, Name(job) + "-pod"}});
    pod["metadata"]["labels"] = job["metadata"]["labels"];
    pod["metadata"]["ownerReferences"] = json::array({{{"apiVersion", "batch/v1"},
                                                       {"kind", "Job"},
                                                       {"name", Name(job)},
                                                       {"uid", job["metadata"]["uid"]},
                                                       {"controller", true}}});
    pod["spec"] = {{"containers", json::array({{{"name", "train"}}})}};
    pod["status"] = {{"phase", "Succeeded"},
                     {"containerStatuses", json::array({{{"name", "train"},
                                                         {"state",
                                                          {{"terminated",
                                                            {{"exitCode", 0},
                                                             {"reason", "Completed"},
                                                             {"finishedAt", now},
                                                             {"message", result.dump()}}}}}}})}};
    api_.Put(api::kPods, pod);
    api_.PutStatus(
        {api::kJobs, {kNs, Name(job)}},
        {{"succeeded", 1}, {"conditions", json::array({Condition("Complete", now, 1)})}});
  }
}

void StoryWorld::ApproveVersions() {
  for (const json& version : api_.List(api::kModelVersions)) {
    if (Phase(Name(version)) != "AwaitingApproval") continue;
    json approval = MakeObject({api::kModelApprovals, {kNs, Name(version) + "-yes"}});
    approval["spec"] = {{"modelVersion", Name(version)},
                        {"digest", version["spec"]["model"].value("digest", "")},
                        {"decision", "Approve"},
                        {"approver", "dispatcher"},
                        {"reason", "looks good"}};
    if (!api_.Get({api::kModelApprovals, {kNs, Name(approval)}})) {
      api_.Put(api::kModelApprovals, approval);
    }
  }
}

// Every pod that is subscribed to has served a thousand requests more.
void StoryWorld::Scrape() {
  next_scrape_ = clock_.Steady() + kScrapeInterval;
  const scrape::JobChanges changes = process_->samples.TakeJobChanges();
  for (const auto& job : changes.started) process_->jobs[job->id] = job;
  for (const scrape::JobId stopped : changes.stopped) process_->jobs.erase(stopped);
  std::set<std::string> counted;
  for (const auto& [id, job] : process_->jobs) {
    std::vector<double>& total = counters_[job->target.id];
    total.resize(kUsual.size());
    if (counted.insert(job->target.id).second) {
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += (drifted ? kMoved : kUsual)[i];
    }
    scrape::Series series;
    series.metric = "x";
    series.kind = scrape::SeriesKind::kHistogram;
    series.bounds = {1, 2, 3, std::numeric_limits<double>::infinity()};
    for (const double count : total) series.cumulative.push_back(series.count += count);
    scrape::Series waiting;
    waiting.metric = "rows";
    waiting.kind = scrape::SeriesKind::kGauge;
    waiting.value = rows;
    scrape::Scrape page;
    page.series = {series, waiting};
    process_->samples.Record(id, page, clock_.Steady(), clock_.Wall());
  }
}

json StoryWorld::Object(const kube::Resource& resource, const std::string& name) const {
  return api_.Get({resource, {kNs, name}}).value_or(json::object());
}

std::vector<json> StoryWorld::VersionsByRevision(const std::string& model) const {
  std::vector<json> versions = api_.List(api::kModelVersions);
  std::erase_if(versions, [&](const json& one) { return one["spec"]["modelDeployment"] != model; });
  std::sort(versions.begin(), versions.end(), [](const json& a, const json& b) {
    return a["spec"]["revision"] < b["spec"]["revision"];
  });
  return versions;
}

std::string StoryWorld::VersionName(int n, const std::string& model) const {
  const auto versions = VersionsByRevision(model);
  const auto i = static_cast<std::size_t>(n - 1);
  return i < versions.size() ? Name(versions[i]) : "";
}

std::string StoryWorld::Alias(const std::string& version) const {
  for (const std::string& model : models_) {
    const auto versions = VersionsByRevision(model);
    for (std::size_t i = 0; i < versions.size(); ++i) {
      if (Name(versions[i]) == version) return "V" + std::to_string(i + 1);
    }
  }
  return version.empty() ? "none" : "unknown";
}

std::string StoryWorld::Phase(const std::string& version) const {
  return Object(api::kModelVersions, version)
      .value("status", json::object())
      .value("phase", "Pending");
}

void StoryWorld::Violated(const std::string& what) {
  violations_.push_back("after write " + std::to_string(writes_) + ": " + what);
}

// One Job for each trigger, and one that trains for each run.
void StoryWorld::CheckJobs() {
  std::map<std::string, int> jobs_of;
  for (const kube::Resource& resource : {api::kJobs, kTrainJobs}) {
    for (const json& job : api_.List(resource)) {
      if (Label(job, api::kLabelRun).empty()) continue;  // a rollout's probe
      const json annotations = job["metadata"].value("annotations", json::object());
      ++jobs_of["trigger " + annotations.value("perennial.dev/trigger", "?") + " of " +
                Label(job, api::kLabelPolicy)];
      ++jobs_of["run " + Name(job)];
      const std::string members = annotations.value(std::string(api::kAnnotationMembers), "");
      for (const std::string& member : retrain::ParseMembers(members)) ++jobs_of["run " + member];
    }
  }
  for (const auto& [what, count] : jobs_of) {
    if (count > 1) Violated(std::to_string(count) + " Jobs for the " + what);
  }
}

void StoryWorld::CheckChampion(const std::string& model) {
  const std::string champion =
      Object(api::kModelDeployments, model).value("status", json::object()).value("champion", "");
  std::vector<std::string>& before = champions_[model];
  if (!before.empty() && before.back() == champion) return;
  if (std::count(before.begin(), before.end(), champion) > 0) {
    Violated(champion + " became champion twice");
  }
  before.push_back(champion);
}

void StoryWorld::CheckPromises() {
  CheckJobs();
  std::set<std::string> runs;
  for (const json& version : api_.List(api::kModelVersions)) {
    const std::string run = version["spec"]["origin"].value("run", "");
    if (!runs.insert(run).second) Violated("two versions of run " + run);
    const std::string promoted = version["metadata"]
                                     .value("annotations", json::object())
                                     .value(std::string(api::kAnnotationPromoted), "");
    const std::string before = std::exchange(promoted_at_[Name(version)], promoted);
    if (!before.empty() && before != promoted) Violated("promoted again: " + Name(version));
    if (Phase(Name(version)) == "Rejected") withdrawn_.insert(Name(version));
  }
  for (const std::string& model : models_) CheckChampion(model);
  for (const json& route : api_.List(api::kHttpRoutes)) {
    for (const json& rule : route["spec"]["rules"]) {
      int sum = 0;
      for (const json& backend : rule.value("backendRefs", json::array())) {
        const int weight = backend.value("weight", 1);
        sum += weight;
        const json child = Object(api::kDeployments, backend["name"]);
        const std::string version = child.empty() ? "" : Label(child, api::kLabelVersion);
        if (weight == 0) continue;
        if (Phase(version) != "Approved") {
          Violated("traffic for " + Alias(version) + ", which is " + Phase(version));
        }
        if (child.empty() || child.value("status", json::object()).value("readyReplicas", 0) == 0) {
          Violated("traffic for " + Alias(version) + " without ready pods");
        }
        if (withdrawn_.contains(version)) Violated("traffic for a withdrawn version");
      }
      if (sum != 100) Violated("weights add up to " + std::to_string(sum));
    }
  }
}

std::string StoryWorld::SummaryOf(const std::string& model) const {
  std::string out = models_.size() > 1 ? model + ":\n" : "";
  const auto line = [&](const std::string& text) { out += text + "\n"; };
  for (const json& version : VersionsByRevision(model)) {
    const json origin = version["spec"]["origin"];
    const std::string name = Name(version);
    line(Alias(name) + " by " + origin.value("triggerType", "") + ": " + Phase(name) +
         (promoted_at_.contains(name) && !promoted_at_.at(name).empty() ? ", promoted" : ""));
  }
  const json deployment = Object(api::kModelDeployments, model);
  const json status = deployment.value("status", json::object());
  line("champion " + Alias(status.value("champion", "")) + ", challenger " +
       Alias(status.value("challenger", "")));
  for (const json& condition : status.value("conditions", json::array())) {
    line("  " + condition.value("type", "") + "=" + condition.value("status", "") + " " +
         condition.value("reason", ""));
  }
  for (const json& entry : status.value("history", json::array())) {
    line("  " + entry.value("outcome", "") + " " + Alias(entry.value("version", "")));
  }
  const json runs = Object(api::kRetrainPolicies, model)
                        .value("status", json::object())
                        .value("runs", json::array());
  for (const json& run : runs) {
    line("run by " + run.value("triggerType", "") + ": " + run.value("phase", "") + ", made " +
         Alias(run.value("modelVersion", "")) +
         (run.value("phase", "") == "Failed" ? ": " + run.value("message", "") : ""));
  }
  const json drift = Object(api::kDriftMonitors, model).value("status", json::object());
  for (const json& condition : drift.value("conditions", json::array())) {
    line("monitor " + condition.value("type", "") + "=" + condition.value("status", ""));
  }
  return out;
}

std::string StoryWorld::Summary() const {
  std::string out;
  const auto line = [&](const std::string& text) { out += text + "\n"; };
  for (const std::string& model : models_) out += SummaryOf(model);
  std::vector<std::string> children;
  for (const json& child : api_.List(api::kDeployments)) {
    children.push_back("pods of " + Alias(Label(child, api::kLabelVersion)) + ": " +
                       std::to_string(child["spec"].value("replicas", 1)));
  }
  for (const json& route : api_.List(api::kHttpRoutes)) {
    for (const json& backend : route["spec"]["rules"][0]["backendRefs"]) {
      const json child = Object(api::kDeployments, backend["name"]);
      children.push_back("weight of " +
                         (child.empty() ? "nobody" : Alias(Label(child, api::kLabelVersion))) +
                         ": " + std::to_string(backend.value("weight", 1)));
    }
  }
  std::sort(children.begin(), children.end());
  for (const std::string& child : children) line(child);
  line("services: " + std::to_string(api_.List(api::kServices).size()));
  line("jobs: " + std::to_string(api_.List(api::kJobs).size() + api_.List(kTrainJobs).size()));
  line("approvals: " + std::to_string(api_.List(api::kModelApprovals).size()));
  return out;
}

}  // namespace perennial::testing
