#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "app/cluster_cache.h"
#include "app/work.h"
#include "kube/events.h"
#include "scrape/sample_store.h"
#include "support/fake_api_server.h"
#include "support/manual_clock.h"

namespace perennial::testing {

// What happens to the controller's process at one of its writes, counted from the beginning of the
// story.
struct Trouble {
  enum class Kind {
    kNone,
    kCrashBefore,  // the process dies with the request unsent
    kCrashAfter,   // the request has its effect, the process dies without the answer
    kLoseReply,    // the same, but the process lives and knows nothing
    kConflict,     // 409, as if somebody else had just written
    kRefuse,       // 500 without effect
  };
  Kind kind = Kind::kNone;
  int at = 0;
  int lasts = 1;  // how many requests in a row it hits, for the kinds that leave the process alive
};

struct StorySetting {
  // What the policy trains with: a Job that leaves its result in a pod, or a TrainJob that leaves
  // it in a ConfigMap.
  enum class Training { kJob, kWorkload };
  // What makes the policy train the second model.
  enum class Trigger { kDrift, kSchedule, kNewData, kEvent };
  Training training = Training::kJob;
  Trigger trigger = Trigger::kDrift;
  // Models beside departures. With any, the policies of all are a group.
  std::vector<std::string> others{};
};

// A whole cluster in this process, on one thread and with a clock moved by hand: an API server, the
// controllers of other APIs (Deployments become ready, Jobs succeed, routes are accepted), pods
// that can be scraped, people who approve; and our controller, all four reconcilers as app::Work
// wires them, which dies and comes back as `trouble` says. Stores are fed directly: informers have
// tests of their own. After every write the promises are checked that hold at any moment.
class StoryWorld {
 public:
  using json = nlohmann::json;

  using Training = StorySetting::Training;
  using Trigger = StorySetting::Trigger;
  // A schedule's only time, from the beginning.
  static constexpr Millis kScheduled{20 * 60'000};

  // With `lag`, a seed, each store catches up with the API server when it pleases, so that
  // decisions are made on views that are old and don't fit each other.
  explicit StoryWorld(std::vector<Trouble> trouble = {}, std::optional<std::uint32_t> lag = {},
                      StorySetting setting = {});
  ~StoryWorld();

  // Somebody posts an event that the policy wants; the status of the answer.
  int PostEvent(const std::string& id);

  // Lets the controller and the cluster run for this long.
  void Run(Millis time);

  int writes() const { return writes_; }
  int crashes() const { return crashes_; }
  const std::vector<std::string>& violations() const { return violations_; }
  // Each write so far, "PATCH /apis/...", for people who read a failure.
  const std::vector<std::string>& log() const { return log_; }
  // What came of it all, without names, UIDs and times that depend on when things happened.
  std::string Summary() const;
  // The ModelVersion whose revision comes n-th, from 1; "V2" in summaries.
  std::string VersionName(int n, const std::string& model = "departures") const;
  std::string Phase(const std::string& version) const;
  // null-like ({}) where there is none.
  json Object(const kube::Resource& resource, const std::string& name) const;

  // Somebody edits the ModelDeployment's spec, by an RFC 7386 merge patch.
  void EditDeployment(const json& spec);

  // ---- what goes on in the world ----
  bool drifted = false;  // pods see other inputs than training did
  std::set<int> broken;  // versions whose pods never become ready, by order of revision
  double rows = 5;       // fresh ones, as pods tell
  std::map<std::string, double> errors;  // of what is trained, by model; 3 by default
  bool approve = true;                   // people approve what waits for approval
  int turned = 0;                        // writes before the part that only this story has
  FakeApiServer& api() { return api_; }
  ManualClock& clock() { return clock_; }

 private:
  class Line;
  struct Process;

  bool Feed();  // true if all stores are up to date
  void React();
  void ReactToDeployments();
  void ReactToAutoscalers();
  void ReactToServices();
  void ReactToRoutes();
  void ReactToJobs();
  void ReactToWorkloads();
  json ResultOf(const json& job) const;
  json ModelResultOf(const std::string& job, const std::string& model) const;
  void ApproveVersions();
  void Scrape();
  void Restart();
  void CheckPromises();
  void CheckJobs();
  void CheckChampion(const std::string& model);
  std::string SummaryOf(const std::string& model) const;
  void Violated(const std::string& what);
  std::vector<json> VersionsByRevision(const std::string& model) const;
  std::string Alias(const std::string& version) const;

  ManualClock clock_;
  FakeApiServer api_;
  std::vector<std::string> models_{"departures"};
  std::vector<Trouble> trouble_;
  std::unique_ptr<Process> process_;
  int writes_ = 0;
  int crashes_ = 0;
  Millis next_scrape_{0};
  std::optional<std::mt19937> lag_;
  std::map<std::string, std::string> seen_;  // newest version that each store has seen, by resource
  std::string fed_;                          // the newest that all have
  std::optional<Millis> react_at_;           // when the rest of the cluster has caught up
  std::string reacted_;                      // and that the rest of the cluster has
  std::map<std::string, std::vector<double>> counters_;  // of each pod, by UID
  std::vector<std::string> log_;
  std::vector<std::string> violations_;
  // One after the other, by model.
  std::map<std::string, std::vector<std::string>> champions_;
  std::map<std::string, std::string> promoted_at_;  // by version
  std::set<std::string> withdrawn_;                 // rejected or rolled back once
};

}  // namespace perennial::testing
