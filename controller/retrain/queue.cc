#include "retrain/queue.h"

#include <algorithm>

namespace perennial::retrain {

bool ByHand(const api::Run& run) {
  return run.trigger_type == "Manual" || !run.by_hand.empty();
}

std::optional<Claim> ClaimOf(const api::RetrainPolicy& policy) {
  if (policy.meta.deleting) return std::nullopt;
  for (const api::Run& run : policy.status.runs) {
    if (run.phase == api::RunPhase::kSucceeded || run.phase == api::RunPhase::kFailed) continue;
    // Only the run that leads a group takes a place, once others had time to follow it.
    if (!run.follows.empty() || run.gather_until) return std::nullopt;
    Claim claim;
    claim.run = run.name;
    claim.active = run.phase != api::RunPhase::kWaiting;
    if (!claim.active) {
      if (policy.spec.suspend || run.held_until) return std::nullopt;
      claim.place = (run.enqueued ? run.enqueued->value : run.started.value) -
                    policy.spec.priority * kHeadStartOfPriority;
      if (ByHand(run)) claim.place -= kHeadStartByHand;
    }
    return claim;
  }
  return std::nullopt;
}

size_t StageOf(size_t position) {
  return static_cast<size_t>(std::count_if(kToldPositions.begin(), kToldPositions.end(),
                                           [&](size_t told) { return position > told; }));
}

size_t RunQueue::KeyHash::operator()(const kube::Key& key) const {
  const std::hash<std::string> hash;
  return hash(key.ns) * 31 + hash(key.name);
}

bool RunQueue::Full(const Namespace& space) const {
  return budgets_.per_namespace > 0 && space.active >= budgets_.per_namespace;
}

void RunQueue::SetTurn(const std::string& ns) {
  const auto it = namespaces_.find(ns);
  Namespace& space = it->second;
  if (space.turn) turns_.erase(*space.turn);
  space.turn.reset();
  if (space.waiting.empty()) {
    if (space.active == 0) namespaces_.erase(it);
    return;
  }
  if (Full(space)) return;
  space.turn = Turn(space.active, space.waiting.begin()->first, ns);
  turns_.insert(*space.turn);
}

void RunQueue::Insert(const kube::Key& policy, Entry entry) {
  Namespace& space = namespaces_[policy.ns];
  if (entry.claim.active || entry.granted) {
    ++space.active;
    ++active_;
  } else {
    space.waiting.insert({entry.claim.place, policy.name});
    ++waiting_;
  }
  entries_[policy] = std::move(entry);
  SetTurn(policy.ns);
}

void RunQueue::Remove(const kube::Key& policy, const Entry& entry) {
  Namespace& space = namespaces_[policy.ns];
  if (entry.claim.active || entry.granted) {
    --space.active;
    --active_;
  } else {
    Unqueue(policy, entry.claim, space);
  }
  entries_.erase(policy);
  SetTurn(policy.ns);
}

// Whoever was one place behind a position that is told has come to it.
void RunQueue::Unqueue(const kube::Key& policy, const Claim& claim, Namespace& space) {
  const std::pair mine(claim.place, policy.name);
  const size_t ahead = space.waiting.order_of_key(mine);
  space.waiting.erase(mine);
  --waiting_;
  for (const size_t told : kToldPositions) {
    if (ahead >= told || space.waiting.size() < told) continue;
    moved_.push_back({policy.ns, space.waiting.find_by_order(told - 1)->second});
  }
}

void RunQueue::Update(const kube::Key& policy, std::optional<Claim> claim) {
  Entry before;
  if (const auto it = entries_.find(policy); it != entries_.end()) {
    if (claim && it->second.claim == *claim) return;
    before = it->second;
    Remove(policy, before);
  }
  if (!claim) return;
  const bool keeps = before.granted && !claim->active && before.claim.run == claim->run;
  Insert(policy, {*std::move(claim), keeps});
}

std::vector<kube::Key> RunQueue::Admit() {
  std::vector<kube::Key> admitted;
  while (!turns_.empty() && (budgets_.cluster <= 0 || active_ < budgets_.cluster)) {
    const std::string ns = std::get<2>(*turns_.begin());
    const kube::Key next{ns, namespaces_.at(ns).waiting.begin()->second};
    Entry entry = entries_.at(next);
    Remove(next, entry);
    entry.granted = true;
    Insert(next, std::move(entry));
    admitted.push_back(next);
  }
  return admitted;
}

RunQueue::View RunQueue::Look(const kube::Key& policy) const {
  View view;
  view.active = active_;
  const bool cluster_is_full = budgets_.cluster > 0 && active_ >= budgets_.cluster;
  if (const auto it = namespaces_.find(policy.ns); it != namespaces_.end()) {
    view.active_in_namespace = it->second.active;
    view.waiting_in_namespace = it->second.waiting.size();
    view.namespace_is_full = Full(it->second);
  }
  view.room = !cluster_is_full && !view.namespace_is_full;
  if (const auto it = entries_.find(policy); it != entries_.end()) {
    const Entry& entry = it->second;
    view.granted = entry.granted;
    if (!entry.granted && !entry.claim.active) {
      view.position =
          namespaces_.at(policy.ns).waiting.order_of_key({entry.claim.place, policy.name}) + 1;
    }
  }
  return view;
}

}  // namespace perennial::retrain
