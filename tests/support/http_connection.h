#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "kube/http_transport.h"

namespace perennial::testing {

// The controller's own way to an API server.
inline std::unique_ptr<kube::Transport> Connect(const kube::ConnectionConfig& config,
                                                kube::HttpTransportOptions options = {}) {
  auto made = kube::MakeHttpTransport(config, SystemClock(), std::move(options));
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.ok() ? *std::move(made) : nullptr;
}

}  // namespace perennial::testing
