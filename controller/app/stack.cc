#include "app/stack.h"

#include <functional>
#include <utility>

#include "kube/shards.h"

namespace perennial::app {
namespace {

std::vector<scrape::AddressRange> Allowed(const RunOptions& options) {
  std::vector<scrape::AddressRange> out;
  for (const std::string& text : options.source_allow) {
    const auto range = scrape::ParseAddressRange(text);
    if (range.ok()) out.push_back(*range);
  }
  return out;
}

// Where users may have the controller connect to.
scrape::AddressPolicy Reachable(const RunOptions& options, const Stack::Dependencies& from) {
  return {.allowed = Allowed(options), .api_server = from.api_server};
}

scrape::PoolOptions ScrapeOptions(const RunOptions& options, const Stack::Dependencies& from) {
  scrape::PoolOptions out;
  out.addresses = Reachable(options, from);
  return out;
}

scrape::PromqlOptions QueryOptions(const RunOptions& options, const Stack::Dependencies& from) {
  scrape::PromqlOptions out;
  out.addresses = Reachable(options, from);
  return out;
}

// Of answers that are one number: many at a time, so that a slow server of one namespace holds up
// no other's rollouts, in as much memory.
scrape::PromqlOptions ProbeOptions(const RunOptions& options, const Stack::Dependencies& from) {
  scrape::PromqlOptions out = QueryOptions(options, from);
  out.in_flight = 64;
  out.fetch.wire_bytes = out.fetch.body_bytes = std::size_t{256} << 10;
  return out;
}

std::function<bool(std::string_view)> Keep(int shard, int shards) {
  if (shards <= 1) return {};
  return [=](std::string_view ns) { return kube::ShardOf(ns, shards) == shard; };
}

// What counts over the whole cluster is divided, so that nobody has to ask the others.
RunOptions PartOf(RunOptions options, int shard) {
  options.runs.cluster = kube::PartOf(options.runs.cluster, shard, options.shards);
  options.object_series /= options.shards;
  return options;
}

}  // namespace

Stack::Stack(const RunOptions& options, int shard, Dependencies dependencies)
    : options_(PartOf(options, shard)),
      shard_(shard),
      dependencies_(std::move(dependencies)),
      fenced_(dependencies_.transport, dependencies_.permit),
      cache_(dependencies_.transport, dependencies_.clock, options_.ns, options_.workload_kinds,
             Keep(shard, options_.shards)),
      runs_(cache_.retrain_policies.store()),
      kpis_(cache_.model_versions.store(), cache_.drift_monitors.store(), dependencies_.clock),
      samples_(dependencies_.clock),
      pool_(samples_, dependencies_.clock, ScrapeOptions(options_, dependencies_)),
      queries_(samples_, dependencies_.clock, QueryOptions(options_, dependencies_)),
      probes_(dependencies_.clock, ProbeOptions(options_, dependencies_)) {}

Stack::~Stack() {
  Stop();
}

void Stack::Watch(const std::string& identity) {
  const kube::ClientOptions client;
  {
    const std::lock_guard lock(mutex_);
    const Work::Dependencies from{fenced_,
                                  dependencies_.clock,
                                  cache_,
                                  samples_,
                                  dependencies_.events,
                                  dependencies_.permit,
                                  identity,
                                  client,
                                  dependencies_.secrets,
                                  options_.runs,
                                  {&probes_, options_.anonymous_queries}};
    work_.emplace(from);
  }
  cache_.Start();
}

void Stack::Begin() {
  pool_.Start();
  queries_.Start();
  probes_.Start();
  working_ = true;
  work_->Start(options_.workers);
}

void Stack::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (work_) work_->Stop();
  working_ = false;
  pool_.Stop();
  queries_.Stop();
  probes_.Stop();
  cache_.Stop();
}

std::vector<std::string> Stack::Hanging() {
  std::vector<InformerSign> informers;
  cache_.ForEach([&](std::string_view name, const auto& informer) {
    // An absent resource is asked for seldom, and answered with an error.
    if (IsOptional(name)) return;
    informers.push_back({std::string(name), informer.Counters().last_contact});
  });
  return watchdog_.Check(dependencies_.clock.Steady(),
                         working_ ? work_->Signs() : std::vector<WorkerSign>{}, informers);
}

MetricSources Stack::Sources() {
  std::vector<kube::RunnerCore*> runners;
  {
    const std::lock_guard lock(mutex_);
    if (work_) runners = work_->Cores();
  }
  return {cache_,
          runs_,
          samples_,
          pool_,
          dependencies_.events,
          std::move(runners),
          options_.workers,
          nullptr,
          "",
          dependencies_.clock,
          kpis_,
          static_cast<std::size_t>(options_.object_series)};
}

}  // namespace perennial::app
