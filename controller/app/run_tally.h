#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "api/retrain_policy.h"
#include "app/metric_family.h"
#include "kube/store.h"

namespace perennial::app {

// Counts runs as they end, by what the policies' statuses show. Runs that had ended before we
// looked are not counted. Thread-safe.
class RunTally {
 public:
  // Listens to the store; before its informer starts. The tally must outlive it.
  explicit RunTally(kube::Store<api::RetrainPolicy>& policies);
  RunTally(const RunTally&) = delete;
  RunTally& operator=(const RunTally&) = delete;

  // From their start to their end: of the runs of one trigger's type that ended well, or not.
  using Cells = std::map<std::pair<std::string, bool>, TimeHistogram>;
  // Those of all types are there, if only with zeros: alerts on rates need them.
  Cells cells() const;
  // Of the runs that got their turn: from their record to then.
  TimeHistogram waits() const;
  // Of the runs that ended, those that another policy's Job trained for.
  std::uint64_t shared() const;

 private:
  void Look(const api::Run& run, const api::Run* before);

  mutable std::mutex mutex_;
  Cells cells_;
  TimeHistogram waits_;
  std::uint64_t shared_ = 0;
};

}  // namespace perennial::app
