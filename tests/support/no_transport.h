#pragma once

#include "kube/transport.h"

namespace perennial::testing {

// No API server can be reached.
class NoTransport final : public kube::Transport {
 public:
  Result<kube::Response> Send(const kube::Request&, Millis) override {
    return Error{Errc::kUnavailable, "no API server"};
  }
  Status Stream(const kube::Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kUnavailable, "no API server"};
  }
};

}  // namespace perennial::testing
