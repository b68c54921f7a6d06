#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "api/names.h"
#include "base/clock.h"
#include "base/result.h"
#include "kube/client.h"
#include "kube/meta.h"

namespace perennial::app {

// Reads Secrets that sources of metrics or event triggers name, each by its name: no list and no
// watch, so the right to `get` single Secrets is all it takes. A Secret without the label
// perennial.dev/use for this use is not used: who may create a DriftMonitor could otherwise have
// any Secret of the namespace sent to a server of their own. Answers are remembered for a minute,
// failures for half of one, so that a replaced token is picked up soon and an idle controller asks
// little. Where the API server cannot tell, what it told last holds for ten minutes; that a Secret
// is gone or may not be used any more holds at once. Thread-safe.
class SecretReader {
 public:
  // Both must outlive it.
  SecretReader(kube::Client& client, const Clock& clock, std::string_view use = api::kUseMetrics)
      : client_(client), clock_(clock), use_(use) {}

  // Errors are sentences for a status and say what to change; they hold nothing of a Secret.
  Result<std::string> Read(const kube::Key& secret, const std::string& key);

 private:
  using Data = std::map<std::string, std::string>;  // base64
  struct Known {
    Result<Data> data;
    Millis until{0};  // not asked again before
    Millis told{0};   // when the API server did
  };

  Result<Data> Fetch(const kube::Key& secret);
  Result<Data> Renew(const kube::Key& secret, Millis now);

  kube::Client& client_;
  const Clock& clock_;
  const std::string_view use_;
  std::mutex mutex_;
  std::map<kube::Key, Known> known_;
};

}  // namespace perennial::app
