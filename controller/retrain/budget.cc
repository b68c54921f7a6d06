#include "retrain/budget.h"

#include <utility>

namespace perennial::retrain {

RunBudget::RunBudget(kube::Store<api::RetrainPolicy>& policies, RunBudgets budgets, Wake wake)
    : wake_(std::move(wake)), queue_(budgets) {
  policies.AddListener([this](const auto& before, const auto& after) {
    std::vector<kube::Key> due;
    {
      const std::lock_guard lock(mutex_);
      queue_.Update((after != nullptr ? after : before)->meta.key,
                    after == nullptr ? std::nullopt : ClaimOf(*after));
      if (open_) due = Turn();
    }
    WakeAll(due);
  });
}

RunQueue::View RunBudget::Ask(const kube::Key& policy) {
  std::vector<kube::Key> due;
  RunQueue::View view;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(open_, true)) due = Turn();
    view = queue_.Look(policy);
  }
  WakeAll(due);
  return view;
}

RunBudget::Counts RunBudget::Count() const {
  const std::lock_guard lock(mutex_);
  return {queue_.active(), queue_.waiting()};
}

std::vector<kube::Key> RunBudget::Turn() {
  std::vector<kube::Key> due = queue_.Admit();
  const std::vector<kube::Key> moved = queue_.TakeMoved();
  due.insert(due.end(), moved.begin(), moved.end());
  return due;
}

void RunBudget::WakeAll(const std::vector<kube::Key>& due) const {
  for (const kube::Key& key : due) wake_(key);
}

}  // namespace perennial::retrain
