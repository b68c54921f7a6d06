#pragma once

#include <array>
#include <cstddef>
#include <ext/pb_ds/assoc_container.hpp>
#include <ext/pb_ds/tree_policy.hpp>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/retrain_policy.h"
#include "base/clock.h"
#include "kube/meta.h"

namespace perennial::retrain {

// How many runs may be under way at once; 0: any number.
struct RunBudgets {
  int cluster = 100;
  int per_namespace = 0;
};

// What a policy's unfinished run asks of the budgets, as its status shows it.
struct Claim {
  bool active = false;  // past Waiting: it holds a place
  std::string run;
  WallTime place{};  // when it was enqueued, less the head start that its priority gives it
  bool operator==(const Claim&) const = default;
};

// A person is waiting for the run: they asked for it, or for one that waited already to go at once.
bool ByHand(const api::Run& run);

// nullopt: no unfinished run, or one that follows another, or waits for its group, for a
// maintenance window or while its policy is suspended. All of it comes from the object, so that a
// restart finds the same queue.
std::optional<Claim> ClaimOf(const api::RetrainPolicy& policy);

// Each point of priority goes ahead of what was enqueued up to this much earlier. A head start, and
// no strict order: whatever the others' priorities are, a run that waits gets its turn.
inline constexpr Millis kHeadStartOfPriority = std::chrono::minutes(10);
// Of a run by hand.
inline constexpr Millis kHeadStartByHand = std::chrono::hours(24);

// A run that waits is told its position when it is recorded, and again when it comes to one of
// these: a position that was kept up to date would be a write for each run that waits whenever one
// starts.
inline constexpr std::array<size_t, 3> kToldPositions{1'000, 100, 10};
// How many of them are still ahead of this position: falls as a run moves up.
size_t StageOf(size_t position);

// Who has a place among the runs under way and who waits for one. A plain value: it knows no clock,
// lock or network. Every operation costs the logarithm of the number of policies.
//
// The next place goes to the namespace with the fewest runs under way (max-min fairness: one that
// asks for thousands takes nothing from one that asks for one); between namespaces with equally
// many to the one whose first run has waited longest; within a namespace by Claim::place. A
// namespace's priorities do not count against other namespaces.
class RunQueue {
 public:
  explicit RunQueue(RunBudgets budgets) : budgets_(budgets) {}

  // The policy's claim is now this one. A place that was given to a waiting run stays its own until
  // its status shows that it uses it, or it claims no more.
  void Update(const kube::Key& policy, std::optional<Claim> claim);
  // Gives out the places that are free; returns to whom.
  std::vector<kube::Key> Admit();
  // Whose run has come to one of kToldPositions since this was last asked.
  std::vector<kube::Key> TakeMoved() { return std::exchange(moved_, {}); }

  struct View {
    bool granted = false;  // a waiting run has been given a place
    bool room = false;     // a run that begins now would get one at once
    bool namespace_is_full = false;
    size_t position = 0;  // of a waiting run in its namespace's queue, from 1; else 0
    size_t waiting_in_namespace = 0;
    int active = 0;  // of the cluster, places that were given included
    int active_in_namespace = 0;
  };
  View Look(const kube::Key& policy) const;

  int active() const { return active_; }
  size_t waiting() const { return waiting_; }
  const RunBudgets& budgets() const { return budgets_; }

 private:
  struct Entry {
    Claim claim;
    bool granted = false;
  };
  struct KeyHash {
    size_t operator()(const kube::Key& key) const;
  };
  // A red-black tree that also knows ranks (libstdc++'s policy-based data structures).
  using Waiting =
      __gnu_pbds::tree<std::pair<WallTime, std::string>, __gnu_pbds::null_type, std::less<>,
                       __gnu_pbds::rb_tree_tag, __gnu_pbds::tree_order_statistics_node_update>;
  using Turn = std::tuple<int, WallTime, std::string>;
  struct Namespace {
    int active = 0;
    Waiting waiting;
    std::optional<Turn> turn;  // as it stands in turns_
  };

  void Insert(const kube::Key& policy, Entry entry);
  void Remove(const kube::Key& policy, const Entry& entry);
  void Unqueue(const kube::Key& policy, const Claim& claim, Namespace& space);
  void SetTurn(const std::string& ns);
  bool Full(const Namespace& space) const;

  RunBudgets budgets_;
  std::unordered_map<kube::Key, Entry, KeyHash> entries_;
  std::map<std::string, Namespace> namespaces_;
  std::set<Turn> turns_;  // of the namespaces in which a run waits and that are not full
  std::vector<kube::Key> moved_;
  int active_ = 0;
  size_t waiting_ = 0;
};

}  // namespace perennial::retrain
