#include "app/shard_metrics.h"

#include <string>
#include <utility>

#include "app/metric_family.h"
#include "app/metrics.h"

namespace perennial::app {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// A family has its series together, whatever shards they are of.
void Merge(int shard, std::vector<MetricFamily> families,
           std::map<std::string, MetricFamily>& merged) {
  for (MetricFamily& family : families) {
    for (ClientMetric& metric : family.metric) {
      metric.label.push_back({"shard", std::to_string(shard)});
    }
    const auto [it, fresh] = merged.try_emplace(family.name);
    if (fresh) {
      it->second = std::move(family);
      continue;
    }
    for (ClientMetric& metric : family.metric) it->second.metric.push_back(std::move(metric));
  }
}

}  // namespace

std::vector<MetricFamily> ShardMetrics::Collect() const {
  std::vector<MetricFamily> out = CollectProcess(sources_.events);
  MetricFamily held = Family("perennial_shard_held", "1 for a shard whose Lease this process holds",
                             MetricType::Gauge);
  for (std::size_t i = 0; i < sources_.held.size(); ++i) {
    Add(held, {{"shard", std::to_string(i)}}, sources_.held[i] ? 1 : 0);
  }
  out.push_back(std::move(held));
  out.push_back(Single("perennial_shard_replicas",
                       "Replicas that share the shards, as this one sees it; 0: none yet",
                       MetricType::Gauge, static_cast<double>(sources_.replicas)));
  std::map<std::string, MetricFamily> merged;
  for (const auto& [shard, stack] : sources_.stacks) {
    Merge(shard, ControllerMetrics(stack->Sources()).CollectWork(), merged);
  }
  for (auto& [name, family] : merged) out.push_back(std::move(family));
  return out;
}

}  // namespace perennial::app
