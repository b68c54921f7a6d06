#include "faults/story_world.h"

#include <algorithm>
#include <utility>

#include "api/codec.h"
#include "api/names.h"
#include "app/event_endpoint.h"
#include "kube/client.h"
#include "support/in_process.h"

namespace perennial::testing {

using nlohmann::json;

const kube::Resource kTrainJobs{"trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"};

std::string LabelOf(const json& object, std::string_view name) {
  return object["metadata"].value("labels", json::object()).value(std::string(name), "");
}

std::string AnnotationOf(const json& object, std::string_view name) {
  return object["metadata"].value("annotations", json::object()).value(std::string(name), "");
}

std::string NameOf(const json& object) {
  return object["metadata"]["name"];
}

namespace {

using Kind = Trouble::Kind;
constexpr Millis kScrapeInterval{15'000};
// Until another process takes over from one that died, and from one that lost the Lease.
constexpr Millis kTakeOver{5'000};
constexpr Millis kLeaseTime{15'000};
constexpr Millis kStaleTime{60'000};
// Of the Secret that whoever posts events knows.
constexpr const char* kToken = "a-token-that-is-long-enough";

// Takes what the API server has into the store, as an informer that has caught up does.
template <class T, class Decode>
void Fill(const std::vector<json>& objects, kube::Informer<T>& informer, Decode decode,
          std::string_view label, std::string_view kind, kube::Unreadable& unreadable) {
  std::set<kube::Key> listed;
  for (const json& object : objects) {
    if (!label.empty() && LabelOf(object, label).empty()) continue;
    auto decoded = decode(object);
    const kube::Key key{kStoryNamespace, NameOf(object)};
    listed.insert(key);
    const bool ours = label.empty();
    if (!decoded.ok()) {
      if (ours) unreadable.Add(kind, key);
      continue;  // left as it was
    }
    unreadable.Remove(kind, key);
    informer.store().Upsert(std::make_shared<const T>(*std::move(decoded)));
  }
  informer.store().FinishList(listed);
}

}  // namespace

// The process's connection: it counts requests and lets the trouble happen.
class StoryWorld::Line final : public kube::Transport {
 public:
  explicit Line(StoryWorld& world) : world_(world) {}

  Result<kube::Response> Send(const kube::Request& request, Millis deadline) override {
    if (dead_) return Error{Errc::kCancelled, "the process is dead"};
    const bool read = request.method == "GET";
    ++world_.calls_;
    if (!read) {
      world_.DeliverLate();
      ++world_.writes_;
      world_.log_.push_back(std::to_string(world_.writes_) + " " + request.method + " " +
                            request.path + " " + request.body);
      if (!permitted_) world_.promises_.Violated("a write without the Lease: " + request.path);
    }
    world_.promises_.CheckRequest(request);
    world_.KeepOldView();
    const Trouble trouble = Due(read);
    switch (trouble.kind) {
      case Kind::kCrashBefore:
        return Die(trouble);
      case Kind::kArriveLate:
        world_.late_ = request;
        world_.late_at_ = world_.writes_ + trouble.lasts;
        return Die(trouble);
      case Kind::kConflict:
        return kube::Response{409, StatusJson(409, "Conflict", "somebody else wrote"), {}};
      case Kind::kRefuse:
        return kube::Response{500, StatusJson(500, "InternalError", "try later"), {}};
      default:
        break;
    }
    if (const Outage* outage = InOutage(request)) {
      if (outage->seen) outage->seen();
      if (!outage->answer) return Error{Errc::kUnavailable, "connection refused"};
      return *outage->answer;
    }
    auto response = world_.api_.transport().Send(Admitted(request), deadline);
    if (!read) world_.promises_.CheckWorld();
    if (trouble.kind == Kind::kCrashAfter) return Die(trouble);
    if (trouble.kind == Kind::kLoseReply) return Error{Errc::kTimeout, "no answer"};
    if (trouble.kind == Kind::kLoseLease && permitted_) {
      permitted_ = false;
      world_.take_over_at_ = world_.clock_.Steady() + kLeaseTime;
    }
    return response;
  }
  Status Stream(const kube::Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kCancelled, "stores are fed directly"};
  }
  bool dead() const { return dead_; }
  bool permitted() const { return permitted_; }

 private:
  Trouble Due(bool read) const {
    for (const Trouble& trouble : world_.options_.trouble) {
      if (read && !trouble.every_call) continue;
      const int count = trouble.every_call ? world_.calls_ : world_.writes_;
      const bool lives = trouble.kind == Kind::kLoseReply || trouble.kind == Kind::kConflict ||
                         trouble.kind == Kind::kRefuse;
      if (count >= trouble.at && count < trouble.at + (lives ? trouble.lasts : 1)) return trouble;
    }
    return {};
  }
  const Outage* InOutage(const kube::Request& request) {
    if (world_.now && world_.now->match(request)) return &*world_.now;
    const auto& outages = world_.options_.outages;
    for (std::size_t i = 0; i < outages.size(); ++i) {
      if (world_.writes_ < outages[i].at) continue;
      const auto [end, begins] = world_.outage_ends_.try_emplace(
          static_cast<int>(i), world_.clock_.Steady() + outages[i].time);
      if (world_.clock_.Steady() < end->second && outages[i].match(request)) return &outages[i];
    }
    return nullptr;
  }
  // As a CRD and a mutating webhook leave it: within the request, so that nobody sees it without.
  kube::Request Admitted(kube::Request request) const {
    if (request.method != "PATCH") return request;
    if (world_.admit && request.path.find("/deployments/") != std::string::npos) {
      json body = json::parse(request.body);
      if (body.contains("spec")) world_.admit(body);
      request.body = body.dump();
    } else if (request.path.find("/modeldeployments/departures/status") != std::string::npos) {
      json body = json::parse(request.body);
      for (const std::string& field : world_.pruned) body["status"].erase(field);
      request.body = body.dump();
    }
    return request;
  }
  Error Die(const Trouble& trouble) {
    dead_ = true;
    if (trouble.stale > 0) world_.stale_until_ = world_.clock_.Steady() + kTakeOver + kStaleTime;
    return Error{Errc::kCancelled, "the process is dead"};
  }

  StoryWorld& world_;
  bool dead_ = false;
  bool permitted_ = true;
};

// All that is lost when the process dies.
struct StoryWorld::Process {
  explicit Process(StoryWorld& world)
      : line(world),
        cache(line, world.clock_, "", {kTrainJobs}),
        samples(world.clock_),
        client(line, world.clock_, "perennial-events"),
        events(client, world.clock_, "perennial.dev/controller", "controller-0"),
        work({line, world.clock_, cache, samples, events, [this] { return line.permitted(); },
              "system:serviceaccount:perennial-system:perennial", Sleepless(world)}),
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

StoryWorld::StoryWorld(StoryOptions options)
    : options_(std::move(options)), clock_(SystemClock().Wall()), api_(InProcess()) {
  if (options_.lag) lag_.emplace(*options_.lag);
  models_.insert(models_.end(), options_.others.begin(), options_.others.end());
  for (const std::string& model : models_) AddModel(model);
  AddBystanders();
  process_ = std::make_unique<Process>(*this);
}

StoryWorld::~StoryWorld() = default;

void StoryWorld::Run(Millis time) {
  const Millis end = clock_.Steady() + time;
  while (clock_.Steady() < end) {
    while (!then_.empty() && then_.begin()->first <= writes_) {
      then_.extract(then_.begin()).mapped()(*this);
    }
    Feed();
    const bool looked = process_->work.Step();
    const bool taken_over = take_over_at_ && clock_.Steady() >= *take_over_at_;
    if (process_->line.dead() || taken_over) Restart();
    React();
    if (looked) continue;
    // What the cluster did may wake somebody at once.
    const bool up_to_date = Feed();
    Millis next = std::min(end, next_scrape_);
    if (react_at_) next = std::min(next, *react_at_);
    if (take_over_at_) next = std::min(next, *take_over_at_);
    if (Stale()) next = std::min(next, stale_until_);
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
  scraped_.clear();
  counted_.clear();
  if (!take_over_at_) clock_.Advance(kTakeOver);  // until another one leads
  take_over_at_.reset();
  process_.reset();
  process_ = std::make_unique<Process>(*this);
}

// A request that was on its way when its process died.
void StoryWorld::DeliverLate() {
  if (!late_ || writes_ < late_at_) return;
  const kube::Request request = *std::exchange(late_, std::nullopt);
  log_.push_back("late " + request.method + " " + request.path + " " + request.body);
  // The API server refuses it or not: that is its own affair, and nobody hears of it.
  (void)api_.transport().Send(request, Millis{0});
  promises_.CheckWorld(/*late=*/true);
}

// Before the write so many writes before the trouble.
void StoryWorld::KeepOldView() {
  for (const Trouble& trouble : options_.trouble) {
    if (trouble.stale == 0 || writes_ != std::max(1, trouble.at - trouble.stale)) continue;
    for (const kube::Resource& resource :
         {api::kModelVersions, api::kModelApprovals, api::kDeployments, api::kServices,
          api::kHttpRoutes, api::kEndpointSlices, api::kJobs, api::kPods, api::kDriftMonitors,
          api::kRetrainPolicies, api::kModelDeployments, api::kGrpcRoutes, api::kAutoscalers,
          api::kDisruptionBudgets, api::kCronJobs, kTrainJobs, api::kConfigMaps}) {
      old_view_[resource.plural] = api_.List(resource);
    }
  }
}

bool StoryWorld::Feed() {
  const std::string version = Stale() ? "stale" : api_.resource_version();
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
    Fill(Stale() ? old_view_[resource.plural] : api_.List(resource), informer, decode, label,
         resource.kind, process_->cache.unreadable);
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

// Every pod that is subscribed to has served a thousand requests more.
void StoryWorld::Scrape() {
  next_scrape_ = clock_.Steady() + kScrapeInterval;
  if (silent) return;
  const scrape::JobChanges changes = process_->samples.TakeJobChanges();
  for (const auto& job : changes.started) process_->jobs[job->id] = job;
  for (const scrape::JobId stopped : changes.stopped) process_->jobs.erase(stopped);
  std::set<std::string> counted;
  for (const auto& [id, job] : process_->jobs) {
    const bool first = counted.insert(job->target.id).second;
    process_->samples.Record(id, PageOf(job->target.id, first), clock_.Steady(), clock_.Wall());
  }
}

json StoryWorld::Object(const kube::Resource& resource, const std::string& name) const {
  return api_.Get({resource, {kStoryNamespace, name}}).value_or(json::object());
}

std::vector<json> StoryWorld::Listed(const kube::Resource& resource) const {
  std::vector<json> objects = api_.List(resource);
  std::erase_if(objects, [](const json& object) { return NameOf(object) == "foreign"; });
  return objects;
}

void StoryWorld::EditDeployment(const json& patch) {
  json object = Object(api::kModelDeployments, "departures");
  object["spec"].merge_patch(patch);
  api_.Put(api::kModelDeployments, object);
  promises_.CheckWorld();
}

void StoryWorld::Annotate(std::string_view name, const std::string& value) {
  json object = Object(api::kModelDeployments, "departures");
  object["metadata"]["annotations"][std::string(name)] = value;
  api_.Put(api::kModelDeployments, object);
  promises_.CheckWorld();
}

void StoryWorld::Remove(const kube::Resource& resource, const std::string& name) {
  api_.Remove({resource, {kStoryNamespace, name}});
  promises_.CheckWorld();
}

std::vector<json> StoryWorld::VersionsByRevision(const std::string& model) const {
  std::vector<json> versions = Listed(api::kModelVersions);
  std::erase_if(versions, [&](const json& one) { return one["spec"]["modelDeployment"] != model; });
  std::sort(versions.begin(), versions.end(), [](const json& a, const json& b) {
    return a["spec"]["revision"] < b["spec"]["revision"];
  });
  return versions;
}

std::string StoryWorld::VersionName(int n, const std::string& model) const {
  const auto versions = VersionsByRevision(model);
  const auto i = static_cast<std::size_t>(n - 1);
  return i < versions.size() ? NameOf(versions[i]) : "";
}

std::string StoryWorld::Alias(const std::string& version) const {
  for (const std::string& model : models_) {
    const auto versions = VersionsByRevision(model);
    for (std::size_t i = 0; i < versions.size(); ++i) {
      if (NameOf(versions[i]) == version) return "V" + std::to_string(i + 1);
    }
  }
  return version.empty() ? "none" : "unknown";
}

std::string StoryWorld::Phase(const std::string& version) const {
  return Object(api::kModelVersions, version)
      .value("status", json::object())
      .value("phase", "Pending");
}

}  // namespace perennial::testing
