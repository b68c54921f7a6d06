#pragma once

#include <cstdlib>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "app/controller.h"
#include "support/cluster_access.h"

namespace perennial::testing {

// The whole controller at a real API server, in one namespace and as long as this lives.
class RunningController {
 public:
  explicit RunningController(const std::string& ns, std::vector<kube::Resource> kinds = {})
      : lease_(std::getenv("PERENNIAL_KUBECONFIG")),
        controller_(Options(ns, std::move(kinds)),
                    {Admin().transport(), lease_.transport(), SystemClock(), [] {}}),
        thread_([this](const std::stop_token& stop) { controller_.Run(stop); }) {}

 private:
  static app::RunOptions Options(const std::string& ns, std::vector<kube::Resource> kinds) {
    app::RunOptions options;
    options.ns = ns;
    options.workers = 1;
    options.instance = "test";
    options.workload_kinds = std::move(kinds);
    return options;
  }

  ApiUser lease_;
  app::Controller controller_;
  std::jthread thread_;
};

}  // namespace perennial::testing
