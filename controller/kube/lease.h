#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace perennial::kube {

// client-go's defaults for leader election.
struct LeaseOptions {
  std::string ns;
  std::string name;
  std::string identity;           // unique to this process: pod name and a random suffix
  Seconds duration{15};           // how long a leader that went silent is waited for
  Millis renew_deadline{10'000};  // a leader without a renewal for this long stops writing
  Millis retry_period{2'000};
};

// Leader election by a coordination.k8s.io/v1 Lease, with fencing by time: MayWrite() turns false
// `renew_deadline` after the START of the last renewal that worked, by the steady clock, while
// another process waits the whole `duration` from its own observation before it takes over. So a
// leader that lost its lease, or was stopped for a minute, writes nothing after a new one started.
// What was already on its way can't be fenced by time: such writes carry resource versions or
// deterministic names.
class LeaderElection {
 public:
  // `client` should have a transport of its own, so that throttled work delays no renewal, and a
  // deadline of half the renew deadline, so that one lost answer leaves time for another try.
  LeaderElection(Client& client, const Clock& clock, LeaseOptions options);
  ~LeaderElection();  // stops, without release
  LeaderElection(const LeaderElection&) = delete;
  LeaderElection& operator=(const LeaderElection&) = delete;

  // Callbacks come from the election's thread. `lost` is called at most once; the process should
  // then exit at once.
  void Start(std::function<void()> gained, std::function<void()> lost);
  // Ends the election. With `release`, a held lease is given up, so that the next leader need not
  // wait; only after all workers have stopped.
  void Stop(bool release);

  // Thread-safe, cheap.
  bool MayWrite() const;
  bool Leading() const;
  std::string Holder() const;
  // As far as we have seen, nobody holds it: it was given up, or not renewed for its duration.
  bool Vacant() const;

  // Whether a lease that nobody holds is taken, as at first. Who doesn't stand looks on, and keeps
  // what it holds.
  void Stand(bool candidate);

  // One step of the election on the caller's thread, for tests; returns after how long the next is
  // due.
  Millis Step();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::kube
