#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "app/stack.h"
#include "kube/events.h"

namespace perennial::app {

// The metrics of a replica that shares the work with others: those of ControllerMetrics with the
// label `shard`, and which shards it holds.
class ShardMetrics final : public prometheus::Collectable {
 public:
  struct Sources {
    const kube::EventRecorder& events;
    std::map<int, std::shared_ptr<Stack>> stacks;
    std::vector<bool> held;  // by shard
    std::size_t replicas = 0;
  };
  explicit ShardMetrics(Sources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Sources sources_;
};

}  // namespace perennial::app
