#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace perennial::scrape {

// When which job is due. Every job has a fixed phase inside its interval, from a hash of its
// target, so that targets spread evenly and keep their place whatever else happens. A job is handed
// out once and is due again only after Finished(). Pure: time is an argument. Not thread-safe.
class ScrapeSchedule {
 public:
  struct Due {
    std::uint64_t job = 0;
    Millis lateness{0};
  };

  // `target` gives the phase. Adding a known job again changes nothing.
  void Add(std::uint64_t job, std::string_view target, Millis interval, Millis now);
  void Remove(std::uint64_t job);

  // Jobs that are due, longest waiting first, at most `slots`; of these at most `suspect_slots` for
  // jobs whose last scrape failed, so that hanging targets cannot take every slot.
  std::vector<Due> Take(Millis now, std::size_t slots, std::size_t suspect_slots);
  // After a failure the job skips turns: 0, then 1, 3 and at most 7, never more than 15 minutes.
  void Finished(std::uint64_t job, bool success, Millis now);
  // Due at once instead of at its turn: the last one did not get to the end.
  void Again(std::uint64_t job, Millis now);
  bool suspect(std::uint64_t job) const;

  // When the next job that has a free slot is due; nullopt if none ever will be.
  std::optional<Millis> NextDue(bool suspects_too) const;
  std::size_t size() const { return jobs_.size(); }

 private:
  struct Job {
    Millis interval{0};
    Millis phase{0};
    Millis due{0};
    int failures = 0;
    bool running = false;
  };
  using Queue = std::set<std::pair<Millis, std::uint64_t>>;

  static Millis NextTurn(const Job& job, Millis after);
  Queue& QueueOf(const Job& job) { return job.failures > 0 ? suspects_ : healthy_; }
  void TakeFrom(Queue& queue, Millis now, std::size_t slots, std::vector<Due>& due);

  std::unordered_map<std::uint64_t, Job> jobs_;
  Queue healthy_;
  Queue suspects_;
};

}  // namespace perennial::scrape
