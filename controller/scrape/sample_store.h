#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/exposition.h"
#include "scrape/promql_source.h"
#include "scrape/window_view.h"

namespace perennial::scrape {

// One pod to scrape.
struct Target {
  std::string id;       // pod UID: a target keeps its windows as long as this stays the same
  std::string address;  // IP literal; names are refused
  std::uint16_t port = 0;
  std::string path = "/metrics";
  std::string variant;  // name of the ModelVersion that the pod serves

  bool operator==(const Target&) const = default;
};

// How to talk to the targets of a subscription.
struct Access {
  bool tls = false;
  std::string bearer_token;  // sent over TLS only
  std::string username{};    // instead of a token, with the password; over TLS only
  std::string password{};
  std::string ca_pem;       // trust anchors; empty: the system's
  std::string server_name;  // name to verify instead of the IP address

  bool operator==(const Access&) const = default;
};

// What one monitor or experiment wants to have measured.
struct Subscription {
  Millis interval{60'000};           // between two scrapes of a target, at least 1 s
  Millis retention{3'600'000};       // how far back View() can look: the largest window + offset
  std::vector<std::string> metrics;  // family names, see WantedMetrics
  std::vector<Target> targets;
  Access access;
  // Ask this Prometheus instead of the pods. Targets are then known by the pod's name, and only
  // tell which pods should be there.
  std::optional<PromqlSource> promql{};
  // Width of the time slots into which deltas are added up; 0 chooses retention / 60, at least the
  // interval. A retention never has more than 512 slots.
  Millis resolution{0};
  bool totals = false;  // also add up since the subscription began, for TotalsView()

  bool operator==(const Subscription&) const = default;
};

// Names one target of one subscription as it is now: what to scrape there is fixed for the id, and
// a change of it gives a new id. Never used twice.
using JobId = std::uint64_t;

// What the scrape pool has to do for one target.
struct ScrapeJob {
  JobId id = 0;
  Target target;
  Millis interval{0};
  std::shared_ptr<const WantedMetrics> wanted;
  std::shared_ptr<const Access> access;
};

// Jobs that are new or changed, and jobs that ended, since the last TakeJobChanges().
struct JobChanges {
  std::vector<std::shared_ptr<const ScrapeJob>> started;
  std::vector<JobId> stopped;
};

// What the query pool has to ask for one subscription. Without a source there is nothing to ask any
// more.
struct QueryJob {
  std::string subscription;
  // Names the windows that the answers are for: others are to be filled from the beginning on.
  std::uint64_t windows = 0;
  std::optional<PromqlSource> source;
  Millis interval{0};
  Millis retention{0};
  std::shared_ptr<const WantedMetrics> wanted;
  std::shared_ptr<const Access> access;

  bool operator==(const QueryJob&) const = default;
};

// Memory that the store holds, estimated.
struct StoreUsage {
  std::size_t subscriptions = 0;
  std::size_t targets = 0;
  std::size_t series = 0;
  std::size_t bytes = 0;
  std::size_t largest_bytes = 0;  // of the subscription that holds most
};

// Keeps, for every subscription and variant, sliding windows of what its pods counted. Deltas are
// added up over pods as they arrive, so that a pod that goes away takes nothing along, and memory
// does not grow with pod churn. Thread-safe.
class SampleStore {
 public:
  explicit SampleStore(const Clock& clock);
  ~SampleStore();
  SampleStore(const SampleStore&) = delete;
  SampleStore& operator=(const SampleStore&) = delete;

  // Makes the subscription what it should be; the same again changes nothing. Unchanged targets
  // keep their place in the schedule and their counters; the deltas of targets that are gone stay
  // until they age out; a target that returns within the retention continues where it was.
  // Shorter than before, the retention forgets; a changed resolution starts the windows anew, and
  // so does a Prometheus in the place of scrapes or the other way: they tell the pods apart in
  // different ways. Without targets and Prometheus nothing is asked, and what was counted stays.
  void Set(std::string_view id, Subscription subscription);
  void Remove(std::string_view id);

  // Adds up (steady_now - offset - window, steady_now - offset]. Edges are exact to one time slot;
  // a delta counts if it began inside. Unknown id or variant: an empty view.
  WindowView View(std::string_view id, std::string_view variant, Millis window, Millis offset,
                  Millis steady_now) const;
  // The same since Subscription::totals was first set. Memory only: a controller that needs totals
  // beyond its own restart keeps them in a status and adds.
  WindowView TotalsView(std::string_view id, std::string_view variant, Millis steady_now) const;

  // Who is there and up, and what is wrong, without any series: cheaper than View().
  WindowView TargetsView(std::string_view id, std::string_view variant, Millis steady_now) const;

  // Grows by one after each round of scrapes: when every target was tried since the last round, or
  // an interval has passed. 0 before the first round and for unknown ids.
  std::uint64_t Generation(std::string_view id) const;
  // Called from the scraping thread after each round, without any lock held. Set it before the pool
  // starts.
  void OnRound(std::function<void(const std::string& subscription)> listener);

  // Of the subscriptions whose ids begin like that.
  StoreUsage Usage(std::string_view prefix = {}) const;

  // For the scrape pool.
  // Called when TakeJobChanges() has something new; it must not call the store. After it was
  // replaced, the old one is not running any more.
  void OnJobsChanged(std::function<void()> listener);
  JobChanges TakeJobChanges();
  // Outcome of one scrape that ended at steady_now. Jobs that ended meanwhile are ignored.
  // wall_now serves only to tell how old a process is.
  void Record(JobId job, const Result<Scrape>& outcome, Millis steady_now, WallTime wall_now);

  // For the query pool; the same rules.
  void OnQueriesChanged(std::function<void()> listener);
  std::vector<std::shared_ptr<const QueryJob>> TakeQueryChanges();
  // Takes in what a Prometheus saw, in order of time: the windows are those that scraping the same
  // pages at the same moments would have given. Pods that are no targets (any more) count as well.
  // Pages that were taken in before are left out. `caught_up`: these are the newest there are; a
  // round is over.
  void RecordPages(const QueryJob& job, const ScrapedPages& seen, bool caught_up);
  // Nothing could be asked: true of all targets.
  void RecordQueryFailure(std::string_view id, const Error& error);

  // The current job of a target; for tests and for `explain`.
  std::optional<JobId> FindJob(std::string_view id, std::string_view target) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::scrape
