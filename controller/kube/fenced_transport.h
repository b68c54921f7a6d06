#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <string_view>
#include <utility>

#include "kube/transport.h"

namespace perennial::kube {

// Sends writes only while `permit` says so, asked right before each is sent: also before the second
// try of a call that began when it still did. Reads pass, until Shutdown().
class FencedTransport final : public Transport {
 public:
  FencedTransport(Transport& inner, std::function<bool()> permit)
      : inner_(inner), permit_(std::move(permit)) {}

  Result<Response> Send(const Request& request, Millis deadline) override {
    if (closed_) return Error{Errc::kCancelled, "ended"};
    if (request.method != "GET" && permit_ && !permit_()) {
      return Error{Errc::kCancelled, "not the leader any more"};
    }
    return inner_.Send(request, deadline);
  }
  Status Stream(const Request& request, Millis longest,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    if (closed_) return Error{Errc::kCancelled, "ended"};
    return inner_.Stream(request, longest, on_line, std::move(stop));
  }
  // Of this fence alone: what is under way goes on, and has a deadline.
  void Shutdown() override { closed_ = true; }

 private:
  Transport& inner_;
  const std::function<bool()> permit_;
  std::atomic<bool> closed_{false};
};

}  // namespace perennial::kube
