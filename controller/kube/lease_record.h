#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "kube/meta.h"

namespace perennial::kube {

// coordination.k8s.io/v1.
const Resource& LeaseResource();

// What a Lease says. `renewed` is compared as text: another machine's clock is never trusted.
struct LeaseRecord {
  std::string resource_version;
  std::string holder;
  std::string renewed;
  Seconds duration{0};
  int transitions = 0;
  std::map<std::string, std::string> annotations;
};
Result<LeaseRecord> ParseLease(const std::string& text);

// The spec of a Lease that is renewed now.
nlohmann::json LeaseSpec(const std::string& holder, Seconds duration, const std::string& acquired,
                         WallTime now, int transitions);

// What is known of a holder by watching its Lease: when WE first saw what it last wrote. A plain
// value.
class LeaseSight {
 public:
  // `now` is from when the answer was here: later than the renewal itself, so that the holder has
  // at least its whole duration.
  void Observe(const LeaseRecord& record, Seconds least, Millis now);
  // Nobody that we know of can still be writing under the lease, unless `own` does.
  bool Free(const std::string& own, Millis now) const;
  // When a lease that is held would be free; nullopt: nobody holds it.
  std::optional<Millis> FreeAt() const;
  const std::string& holder() const { return holder_; }

 private:
  std::string holder_;
  std::string renewed_;
  std::optional<Millis> at_;
  Seconds duration_{0};
};

}  // namespace perennial::kube
