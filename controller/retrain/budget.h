#pragma once

#include <functional>
#include <mutex>

#include "kube/store.h"
#include "retrain/queue.h"

namespace perennial::retrain {

// The RunQueue of the whole controller: kept up to date by the store's changes, so that nobody ever
// scans all policies; wakes who has been given a place or should tell its position. Thread-safe.
class RunBudget {
 public:
  using Wake = std::function<void(const kube::Key&)>;

  // Listens to the store; before its informer starts. `wake` may come from any thread.
  RunBudget(kube::Store<api::RetrainPolicy>& policies, RunBudgets budgets, Wake wake);
  RunBudget(const RunBudget&) = delete;
  RunBudget& operator=(const RunBudget&) = delete;

  // How things stand for this policy. The first question opens the budget: before, the store may
  // lack policies, or another replica may be the one that gives out places.
  RunQueue::View Ask(const kube::Key& policy);

  struct Counts {
    int active = 0;
    size_t waiting = 0;
  };
  Counts Count() const;

 private:
  // Gives out the places that are free; returns who should look.
  std::vector<kube::Key> Turn();
  void WakeAll(const std::vector<kube::Key>& due) const;

  const Wake wake_;
  mutable std::mutex mutex_;
  RunQueue queue_;
  bool open_ = false;
};

}  // namespace perennial::retrain
