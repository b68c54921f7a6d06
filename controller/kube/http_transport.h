#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "kube/kubeconfig.h"
#include "kube/transport.h"

namespace perennial::kube {

struct HttpTransportOptions {
  int max_in_flight = 32;                         // further Send() calls wait their turn
  std::size_t max_body = std::size_t{256} << 20;  // of a Send() answer
  std::size_t max_line = std::size_t{8} << 20;    // of a Stream()
  Millis token_refresh{60'000};                   // how often a token file is read again
  std::string user_agent = "perennial-controller/0.1";
};

// The API server over cpprestsdk: the only file that knows the library. It never follows redirects
// (they would carry the token along), trusts the cluster's CA alone, bounds every call with a
// deadline of its own (the library's time-out is an idle time), keeps TCP alive, and sends bodies
// so that the library cannot repeat a POST silently. A 401 makes it read the token file once more.
// Long-lived: make one a process and purpose.
Result<std::unique_ptr<Transport>> MakeHttpTransport(const ConnectionConfig& config,
                                                     const Clock& clock,
                                                     HttpTransportOptions options = {});

// Of an API server's URL: "https://[fd00::1]:6443" is at fd00::1. Empty if it is no URL.
std::string HostOf(const std::string& server);

}  // namespace perennial::kube
