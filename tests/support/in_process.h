#pragma once

#include <string>
#include <utility>

#include "support/fake_api_server.h"

namespace perennial::testing {

// An API server without sockets, in step with its caller.
inline FakeApiOptions InProcess() {
  FakeApiOptions options;
  options.listen = false;
  return options;
}

// Requests with this method whose path holds this text; empty for any.
inline Match On(std::string method, std::string path = "") {
  Match match;
  match.method = std::move(method);
  match.path = std::move(path);
  return match;
}

}  // namespace perennial::testing
