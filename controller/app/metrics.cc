#include "app/metrics.h"

#include <prometheus/text_serializer.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "api/enum_names.h"
#include "app/metric_family.h"
#include "app/options.h"
#include "app/process_metrics.h"
#include "drift/observe.h"
#include "retrain/group.h"
#include "retrain/queue.h"

namespace perennial::app {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Status carries numbers as decimal text.
std::optional<double> Number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// controller-runtime's names, so that stock dashboards work.
void CollectRunners(const MetricSources& from, std::vector<MetricFamily>& out) {
  MetricFamily total = Family("controller_runtime_reconcile_total",
                              "Reconciliations per controller and result", MetricType::Counter);
  MetricFamily errors = Family("controller_runtime_reconcile_errors_total",
                               "Reconciliations that failed", MetricType::Counter);
  MetricFamily terminal = Family("controller_runtime_terminal_reconcile_errors_total",
                                 "Failures that only a change can cure", MetricType::Counter);
  MetricFamily most = Family("controller_runtime_max_concurrent_reconciles",
                             "Worker threads per controller", MetricType::Gauge);
  MetricFamily writes = Family("perennial_writes_total", "Writes to the API server per controller",
                               MetricType::Counter);
  MetricFamily seconds =
      Family("perennial_reconcile_seconds_total",
             "Time spent observing, deciding and applying, per controller", MetricType::Counter);
  MetricFamily depth = Family("workqueue_depth", "Keys that are due", MetricType::Gauge);
  MetricFamily delayed =
      Family("perennial_workqueue_delayed", "Keys that wait for their time", MetricType::Gauge);
  for (kube::RunnerCore* runner : from.runners) {
    const kube::RunnerCounters counters = runner->Counters();
    const ClientMetric::Label controller{"controller", runner->name()};
    Add(total, {controller, {"result", "success"}}, static_cast<double>(counters.success));
    Add(total, {controller, {"result", "requeue_after"}},
        static_cast<double>(counters.requeue_after));
    Add(total, {controller, {"result", "error"}},
        static_cast<double>(counters.error + counters.terminal));
    Add(errors, {controller}, static_cast<double>(counters.error + counters.terminal));
    Add(terminal, {controller}, static_cast<double>(counters.terminal));
    Add(most, {controller}, from.workers);
    Add(writes, {controller}, static_cast<double>(counters.writes));
    Add(seconds, {controller}, counters.seconds);
    Add(depth, {controller, {"name", runner->name()}},
        static_cast<double>(runner->queue().depth()));
    Add(delayed, {controller}, static_cast<double>(runner->queue().delayed()));
  }
  for (MetricFamily* family :
       {&total, &errors, &terminal, &most, &writes, &seconds, &depth, &delayed}) {
    out.push_back(std::move(*family));
  }
}

void CollectInformers(const MetricSources& from, std::vector<MetricFamily>& out) {
  MetricFamily objects =
      Family("perennial_informer_objects", "Objects held, per resource", MetricType::Gauge);
  MetricFamily synced = Family("perennial_informer_synced", "1 once a whole list has been taken in",
                               MetricType::Gauge);
  MetricFamily lists =
      Family("perennial_informer_lists_total", "Whole lists taken in", MetricType::Counter);
  MetricFamily watches =
      Family("perennial_informer_watches_total", "Watches begun", MetricType::Counter);
  MetricFamily events =
      Family("perennial_informer_events_total", "Changes received", MetricType::Counter);
  MetricFamily undecodable = Family("perennial_informer_undecodable_total",
                                    "Objects that could not be read", MetricType::Counter);
  from.cache.ForEach([&](const char* name, const auto& informer) {
    const kube::InformerCounters counters = informer.Counters();
    const Labels labels{{"resource", name}};
    Add(objects, labels, static_cast<double>(informer.store().size()));
    Add(synced, labels, informer.store().Synced() ? 1 : 0);
    Add(lists, labels, static_cast<double>(counters.lists));
    Add(watches, labels, static_cast<double>(counters.watches));
    Add(events, labels, static_cast<double>(counters.events));
    Add(undecodable, labels, static_cast<double>(counters.undecodable));
  });
  for (MetricFamily* family : {&objects, &synced, &lists, &watches, &events, &undecodable}) {
    out.push_back(std::move(*family));
  }
}

MetricFamily Lateness(const scrape::PoolCounters& counters) {
  MetricFamily family = Family("perennial_scrape_lateness_seconds",
                               "How long after its time a scrape began", MetricType::Histogram);
  ClientMetric metric;
  std::uint64_t below = 0;
  for (size_t i = 0; i < counters.lateness.size(); ++i) {
    below += counters.lateness[i];
    const bool last = i == scrape::PoolCounters::kLatenessBounds.size();
    metric.histogram.bucket.push_back(
        {below, last ? std::numeric_limits<double>::infinity()
                     : static_cast<double>(scrape::PoolCounters::kLatenessBounds[i]) / 1000.0});
  }
  metric.histogram.sample_count = below;
  metric.histogram.sample_sum = counters.lateness_sum_ms / 1000.0;
  family.metric.push_back(std::move(metric));
  return family;
}

void CollectScrapes(const MetricSources& from, std::vector<MetricFamily>& out) {
  const scrape::PoolCounters counters = from.pool.Counters();
  const scrape::StoreUsage usage = from.samples.Usage();
  out.push_back(Single("perennial_scrapes_total", "Scrapes that ended, well or not",
                       MetricType::Counter, static_cast<double>(counters.scrapes)));
  MetricFamily errors = Family("perennial_scrape_errors_total", "Scrapes that failed, by reason",
                               MetricType::Counter);
  for (const auto& [reason, count] : counters.failures) {
    Add(errors, {{"reason", ToString(reason)}}, static_cast<double>(count));
  }
  out.push_back(std::move(errors));
  out.push_back(Single("perennial_scrape_bytes_total", "Decoded bytes of scraped pages",
                       MetricType::Counter, static_cast<double>(counters.bytes)));
  out.push_back(Single("perennial_scrape_samples_total", "Samples parsed, wanted or not",
                       MetricType::Counter, static_cast<double>(counters.samples)));
  out.push_back(Single("perennial_scrape_targets", "Pods that are scraped, once a subscription",
                       MetricType::Gauge, static_cast<double>(counters.targets)));
  out.push_back(Single("perennial_scrape_in_flight", "Scrapes under way", MetricType::Gauge,
                       static_cast<double>(counters.in_flight)));
  out.push_back(Lateness(counters));
  out.push_back(Single("perennial_sample_series", "Series held in sliding windows",
                       MetricType::Gauge, static_cast<double>(usage.series)));
  out.push_back(Single("perennial_sample_bytes", "Memory of the sliding windows, estimated",
                       MetricType::Gauge, static_cast<double>(usage.bytes)));
  const scrape::StoreUsage monitors = from.samples.Usage(drift::SubscriptionOf(""));
  out.push_back(Single("perennial_monitor_memory_bytes",
                       "Memory of the windows of all DriftMonitors, estimated", MetricType::Gauge,
                       static_cast<double>(monitors.bytes)));
  out.push_back(Single("perennial_monitor_memory_largest_bytes",
                       "Memory of the windows of the DriftMonitor that holds most, estimated",
                       MetricType::Gauge, static_cast<double>(monitors.largest_bytes)));
}

// Counts series of single objects and refuses those beyond the limit.
class Budget {
 public:
  explicit Budget(std::size_t most) : most_(most) {}
  bool Take() {
    if (used_ < most_) {
      ++used_;
      return true;
    }
    ++omitted_;
    return false;
  }
  std::size_t omitted() const { return omitted_; }

 private:
  std::size_t most_;
  std::size_t used_ = 0;
  std::size_t omitted_ = 0;
};

void AddScores(const api::DriftMonitor& monitor, Budget& budget, MetricFamily& scores) {
  const auto add = [&](const api::SignalStatus& signal, const std::string& measure,
                       const std::string& text) {
    const auto value = Number(text);
    if (!value || !budget.Take()) return;
    Add(scores,
        {{"namespace", monitor.meta.key.ns},
         {"monitor", monitor.meta.key.name},
         {"signal", signal.name},
         {"version", signal.variant},
         {"measure", measure}},
        *value);
  };
  for (const api::SignalStatus& signal : monitor.status.signals) {
    if (signal.tests.empty()) add(signal, "value", signal.value);
    std::set<std::string> seen;  // a measure that is listed twice must not make a series twice
    for (const api::TestStatus& test : signal.tests) {
      if (seen.insert(test.measure).second) add(signal, test.measure, test.value);
    }
  }
}

void CollectDrift(const MetricSources& from, Budget& budget, std::vector<MetricFamily>& out) {
  MetricFamily scores = Family("perennial_drift_score",
                               "Last recorded value of a measure of a signal", MetricType::Gauge);
  MetricFamily drifted =
      Family("perennial_drifted", "1 while a drift episode lasts", MetricType::Gauge);
  from.cache.drift_monitors.store().ForEach([&](const api::DriftMonitor& monitor) {
    AddScores(monitor, budget, scores);
    if (!budget.Take()) return;
    Add(drifted, {{"namespace", monitor.meta.key.ns}, {"monitor", monitor.meta.key.name}},
        monitor.status.episode ? 1 : 0);
  });
  out.push_back(std::move(scores));
  out.push_back(std::move(drifted));
}

void CollectRollouts(const MetricSources& from, Budget& budget, std::vector<MetricFamily>& out) {
  MetricFamily weights =
      Family("perennial_rollout_weight_ratio",
             "Share of traffic of a variant, as wanted and as in effect", MetricType::Gauge);
  from.cache.model_deployments.store().ForEach([&](const api::ModelDeployment& deployment) {
    for (const api::VariantStatus& variant : deployment.status.variants) {
      if (!budget.Take()) continue;
      Labels labels{{"namespace", deployment.meta.key.ns},
                    {"name", deployment.meta.key.name},
                    {"role", variant.name},
                    {"kind", "desired"}};
      Add(weights, labels, variant.weight_wanted / 100.0);
      labels.back().value = "actual";
      Add(weights, std::move(labels), variant.weight / 100.0);
    }
  });
  out.push_back(std::move(weights));
}

void CollectVersions(const MetricSources& from, std::vector<MetricFamily>& out) {
  std::map<std::string, int> phases;
  from.cache.model_versions.store().ForEach(
      [&](const api::ModelVersion& version) { ++phases[NameOf(version.status.phase)]; });
  MetricFamily versions =
      Family("perennial_model_versions", "ModelVersions per phase", MetricType::Gauge);
  for (const auto& [phase, count] : phases) Add(versions, {{"phase", phase}}, count);
  out.push_back(std::move(versions));
  MetricFamily runs =
      Family("perennial_retrain_runs_total",
             "Retraining runs that ended since this process started", MetricType::Counter);
  MetricFamily took = Family("perennial_retrain_run_duration_seconds",
                             "Time from a run's start to its end", MetricType::Histogram);
  for (const auto& [key, times] : from.runs.cells()) {
    const Labels labels{{"result", key.second ? "succeeded" : "failed"}, {"trigger", key.first}};
    Add(runs, labels, static_cast<double>(times.count()));
    times.AddTo(took, labels);
  }
  out.push_back(std::move(runs));
  out.push_back(std::move(took));
}

void CollectRuns(const MetricSources& from, std::vector<MetricFamily>& out) {
  int waiting = 0;
  int active = 0;
  int following = 0;
  from.cache.retrain_policies.store().ForEach([&](const api::RetrainPolicy& policy) {
    const auto claim = retrain::ClaimOf(policy);
    if (claim) ++(claim->active ? active : waiting);
    const api::Run* run = claim ? nullptr : retrain::UnfinishedRun(policy);
    if (run != nullptr && !run->follows.empty()) ++following;
  });
  MetricFamily runs =
      Family("perennial_retrain_runs",
             "Retraining runs that are under way, wait for their turn, or follow another's Job",
             MetricType::Gauge);
  Add(runs, {{"state", "active"}}, active);
  Add(runs, {{"state", "waiting"}}, waiting);
  Add(runs, {{"state", "following"}}, following);
  out.push_back(std::move(runs));
  out.push_back(
      Single("perennial_retrain_shared_runs_total",
             "Runs that ended since this process started and that another's Job trained for",
             MetricType::Counter, static_cast<double>(from.runs.shared())));
  MetricFamily waits = Family("perennial_retrain_waiting_seconds",
                              "Time from a run's record to its turn", MetricType::Histogram);
  from.runs.waits().AddTo(waits, {});
  out.push_back(std::move(waits));
}

void CollectElection(const MetricSources& from, std::vector<MetricFamily>& out) {
  if (from.election == nullptr) return;
  MetricFamily leader = Family("leader_election_master_status",
                               "1 while this process holds the Lease", MetricType::Gauge);
  Add(leader, {{"name", from.lease_name}}, from.election->Leading() ? 1 : 0);
  out.push_back(std::move(leader));
}

}  // namespace

std::vector<MetricFamily> CollectProcess(const kube::EventRecorder& events) {
  std::vector<MetricFamily> out;
  MetricFamily build =
      Family("perennial_build_info", "1, with the version that runs", MetricType::Gauge);
  Add(build, {{"version", Version()}}, 1);
  out.push_back(std::move(build));
  out.push_back(Single("perennial_events_dropped_total",
                       "Events that were not written, to spare the API server", MetricType::Counter,
                       static_cast<double>(events.dropped())));
  const ProcessUsage usage = ReadProcessUsage();
  out.push_back(Single("process_resident_memory_bytes", "Resident memory", MetricType::Gauge,
                       usage.resident_bytes));
  out.push_back(Single("process_cpu_seconds_total", "User and system time", MetricType::Counter,
                       usage.cpu_seconds));
  out.push_back(
      Single("process_open_fds", "Open file descriptors", MetricType::Gauge, usage.open_fds));
  out.push_back(Single("perennial_process_threads", "Threads", MetricType::Gauge, usage.threads));
  return out;
}

std::vector<MetricFamily> ControllerMetrics::Collect() const {
  std::vector<MetricFamily> out = CollectProcess(sources_.events);
  CollectElection(sources_, out);
  for (MetricFamily& family : CollectWork()) out.push_back(std::move(family));
  return out;
}

std::vector<MetricFamily> ControllerMetrics::CollectWork() const {
  std::vector<MetricFamily> out;
  Budget budget(sources_.object_series);
  CollectRunners(sources_, out);
  CollectInformers(sources_, out);
  CollectScrapes(sources_, out);
  CollectVersions(sources_, out);
  CollectRuns(sources_, out);
  for (MetricFamily& family : sources_.kpis.Collect()) out.push_back(std::move(family));
  CollectRollouts(sources_, budget, out);
  CollectDrift(sources_, budget, out);
  out.push_back(Single("perennial_metrics_omitted_series",
                       "Series of single objects that were left out for their number",
                       MetricType::Gauge, static_cast<double>(budget.omitted())));
  return out;
}

std::string RenderMetrics(const prometheus::Collectable& metrics) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, metrics.Collect());
  return out.str();
}

}  // namespace perennial::app
