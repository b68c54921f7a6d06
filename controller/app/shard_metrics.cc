#include "app/shard_metrics.h"

#include <string>
#include <utility>

#include "app/metrics.h"

namespace perennial::app {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void AddGauge(MetricFamily& family, std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily Gauge(const char* name, const char* help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = MetricType::Gauge;
  return family;
}

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
  MetricFamily held = Gauge("perennial_shard_held", "1 for a shard whose Lease this process holds");
  for (std::size_t i = 0; i < sources_.held.size(); ++i) {
    AddGauge(held, {{"shard", std::to_string(i)}}, sources_.held[i] ? 1 : 0);
  }
  out.push_back(std::move(held));
  MetricFamily replicas = Gauge("perennial_shard_replicas",
                                "Replicas that share the shards, as this one sees it; 0: none yet");
  AddGauge(replicas, {}, static_cast<double>(sources_.replicas));
  out.push_back(std::move(replicas));
  std::map<std::string, MetricFamily> merged;
  for (const auto& [shard, stack] : sources_.stacks) {
    Merge(shard, ControllerMetrics(stack->Sources()).CollectWork(), merged);
  }
  for (auto& [name, family] : merged) out.push_back(std::move(family));
  return out;
}

}  // namespace perennial::app
