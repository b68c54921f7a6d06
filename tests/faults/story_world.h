#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/cluster_cache.h"
#include "app/work.h"
#include "faults/story_promises.h"
#include "kube/events.h"
#include "scrape/exposition.h"
#include "scrape/sample_store.h"
#include "support/fake_api_server.h"
#include "support/manual_clock.h"

namespace perennial::testing {

// What happens to the controller's process at one of its requests, counted from the beginning of
// the story.
struct Trouble {
  enum class Kind {
    kNone,
    kCrashBefore,  // the process dies with the request unsent
    kCrashAfter,   // the request has its effect, the process dies without the answer
    kLoseReply,    // the same, but the process lives and knows nothing
    kConflict,     // 409, as if somebody else had just written
    kRefuse,       // 500 without effect
    kLoseLease,    // the process may write no more, lives on, and another works 15 s later
    kArriveLate,   // the process dies; its request arrives after some writes of its successor
  };
  Kind kind = Kind::kNone;
  int at = 0;
  int lasts = 1;  // how many requests in a row it hits, for the kinds that lose no process
  bool every_call = false;  // `at` counts reads too, not only writes
  int stale = 0;            // the next process sees, for a minute, the world of so many writes ago
};

// From the n-th write on, for a time, the API server answers requests that match with this.
struct Outage {
  int at = 1;
  Millis time{};
  Match match{};
  std::optional<kube::Response> answer{};  // none: the connection fails
  std::function<void()> seen{};            // called for each
};

struct StoryOptions {
  // What the policy trains with: a Job that leaves its result in a pod, or a TrainJob that leaves
  // it in a ConfigMap.
  enum class Training { kJob, kWorkload };
  // What makes the policy train another model than the first, which somebody asks for.
  enum class Trigger { kDrift, kSchedule, kNewData, kEvent };

  std::vector<Trouble> trouble{};
  std::vector<Outage> outages{};
  // With a seed, each store catches up with the API server when it pleases, so that decisions are
  // made on views that are old and don't fit each other.
  std::optional<std::uint32_t> lag{};
  Training training = Training::kJob;
  Trigger trigger = Trigger::kDrift;
  // Models beside departures. With any, the policies of all are a group.
  std::vector<std::string> others{};
  nlohmann::json deployment{};  // merge patch of the ModelDeployment's spec
  nlohmann::json spec{};        // instead of the usual one
  bool retraining = true;       // a policy trains the first model; else the patch names one
  bool by_weight = false;       // pods count what the route sends them, not all the same
  std::set<int> faster{};       // versions whose pods answer in less time, by order of revision
};

// A whole cluster in this process, on one thread and with a clock moved by hand: an API server, the
// controllers of other APIs (Deployments become ready, Jobs succeed, routes are accepted), pods
// that can be scraped, people who approve; and our controller, all four reconcilers as app::Work
// wires them, which dies and comes back as `trouble` says. Stores are fed directly: informers have
// tests of their own. After every write the promises are checked that hold at any moment.
class StoryWorld {
 public:
  using json = nlohmann::json;
  using Training = StoryOptions::Training;
  using Trigger = StoryOptions::Trigger;
  // A schedule's only time, from the beginning.
  static constexpr Millis kScheduled{20 * 60'000};

  explicit StoryWorld(StoryOptions options = {});
  ~StoryWorld();

  // Lets the controller and the cluster run for this long.
  void Run(Millis time);
  // Somebody posts an event that the policy wants; the status of the answer.
  int PostEvent(const std::string& id);
  // Does something once so many writes were made.
  void AtWrite(int write, std::function<void(StoryWorld&)> what) { then_[write] = std::move(what); }
  // What comes from here on is what the story is about.
  void BeginChapter() { chapter_ = {calls_, writes_}; }

  int writes() const { return writes_; }
  int calls() const { return calls_; }
  std::pair<int, int> chapter() const { return chapter_; }  // calls and writes before it
  int crashes() const { return crashes_; }
  const std::vector<std::string>& violations() const { return promises_.violations(); }
  // Each write so far, "PATCH /apis/...", for people who read a failure.
  const std::vector<std::string>& log() const { return log_; }
  // What came of it all, without names, UIDs and times that depend on when things happened.
  std::string Summary() const;
  // How often objects of each resource were created and deleted, without their names.
  std::string Tally() const;
  const std::vector<std::string>& models() const { return models_; }
  // The ModelVersion whose revision comes n-th, from 1; "V2" in summaries.
  std::string VersionName(int n, const std::string& model = "departures") const;
  std::string Alias(const std::string& version) const;
  std::string Phase(const std::string& version) const;
  // null-like ({}) where there is none.
  json Object(const kube::Resource& resource, const std::string& name) const;
  // All but the bystanders: objects that look like ours and aren't, which nobody may touch.
  std::vector<json> Listed(const kube::Resource& resource) const;

  // ---- what goes on in the world ----
  bool drifted = false;  // pods see other inputs than training did
  bool silent = false;   // nothing is scraped
  double rows = 5;       // fresh ones, as pods tell
  std::set<int> broken;  // versions whose pods never become ready, by order of revision
  std::map<std::string, double> errors;  // of what is trained, by model; 3 by default
  bool approve = true;                   // people approve what waits for approval
  std::string finalizer;                 // what somebody else puts on each Deployment
  // What somebody's mutating webhook makes of a Deployment that we apply.
  std::function<void(json& deployment)> admit;
  // What an older CRD does not know of a ModelDeployment's status, and leaves out.
  std::vector<std::string> pruned;
  std::optional<Outage> now;  // an outage that goes on until it is taken away
  void EditDeployment(const json& patch);
  // Somebody asks something of the deployment by annotation.
  void Annotate(std::string_view name, const std::string& value);
  void Decide(const std::string& version, const std::string& decision);
  void Remove(const kube::Resource& resource, const std::string& name = "departures");
  FakeApiServer& api() { return api_; }
  ManualClock& clock() { return clock_; }
  WallTime Now() const { return clock_.Wall(); }
  // Requests of a version that this process has seen its pods count in the time before now.
  double Counted(const std::string& version, Millis within) const;

 private:
  class Line;
  struct Process;

  void AddModel(const std::string& model);
  void AddBystanders();
  bool Feed();  // true if all stores are up to date
  bool Stale() const { return clock_.Steady() < stale_until_; }
  void KeepOldView();
  void React();
  void ReactToAutoscalers();
  void ReactToDeployments();
  void ReactToServices();
  void ReactToRoutes();
  void ReactToJobs();
  void ReactToWorkloads();
  const std::vector<double>& PodCounts() const;
  double ShareOf(const std::string& version) const;
  std::string VersionOfPod(const std::string& uid) const;
  scrape::Scrape PageOf(const std::string& pod, bool first);
  // A histogram of all that the pod has counted so far, with what came since.
  scrape::Series Histogram(const std::string& metric, const std::string& pod,
                           const std::vector<double>& more);
  json ResultOf(const json& job) const;
  json ModelResultOf(const std::string& job, const std::string& model) const;
  void ApproveVersions();
  void Scrape();
  void Restart();
  void DeliverLate();
  std::vector<json> VersionsByRevision(const std::string& model) const;
  std::string SummaryOf(const std::string& model) const;

  const StoryOptions options_;
  std::vector<std::string> models_{"departures"};
  ManualClock clock_;
  FakeApiServer api_;
  StoryPromises promises_{*this};
  std::unique_ptr<Process> process_;
  int calls_ = 0;
  int writes_ = 0;
  std::pair<int, int> chapter_;
  int crashes_ = 0;
  std::map<int, std::function<void(StoryWorld&)>> then_;
  std::map<int, Millis> outage_ends_;  // by place in the options
  Millis next_scrape_{0};
  std::optional<std::mt19937> lag_;
  std::map<std::string, std::string> seen_;  // newest version that each store has seen, by resource
  std::string fed_;                          // the newest that all have
  std::map<std::string, std::vector<json>> old_view_;  // by resource
  Millis stale_until_{0};
  std::optional<Millis> take_over_at_;
  std::optional<kube::Request> late_;
  int late_at_ = 0;
  std::optional<Millis> react_at_;  // when the rest of the cluster has caught up
  std::string reacted_;             // and that the rest of the cluster has
  std::map<std::string, std::vector<double>> counters_;  // by metric and UID of the pod
  std::set<std::string> scraped_;                        // pods, by this process
  std::map<std::string, std::vector<std::pair<Millis, double>>> counted_;  // by version
  std::vector<std::string> log_;

  friend class StoryPromises;
};

// "" where the object has no such label or annotation.
std::string LabelOf(const nlohmann::json& object, std::string_view name);
std::string AnnotationOf(const nlohmann::json& object, std::string_view name);
std::string NameOf(const nlohmann::json& object);

inline constexpr const char* kStoryNamespace = "transit";
extern const kube::Resource kTrainJobs;

}  // namespace perennial::testing
