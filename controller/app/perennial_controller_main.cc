// perennial-controller: see `perennial-controller run --help`.
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <stop_token>
#include <thread>
#include <utility>

#include "app/controller.h"
#include "app/drift_eval.h"
#include "app/options.h"
#include "base/log.h"
#include "kube/http_transport.h"
#include "kube/kubeconfig.h"

namespace perennial::app {
namespace {

// SIGTERM and SIGINT are taken by one thread and never interrupt another; SIGPIPE is ignored.
sigset_t BlockSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void WaitForSignal(const sigset_t& signals, const std::stop_token& ended, std::stop_source& stop) {
  const timespec look{0, 500'000'000};
  while (!ended.stop_requested()) {
    const int signal = sigtimedwait(&signals, nullptr, &look);
    if (signal != SIGTERM && signal != SIGINT) continue;
    spdlog::info("{} received", signal == SIGTERM ? "SIGTERM" : "SIGINT");
    stop.request_stop();
    return;
  }
}

int Fail(const Error& error) {
  spdlog::critical("cannot start: {}", error.message);
  return 1;
}

// Whoever takes over may write already: nothing is finished, nothing is cleaned up.
[[noreturn]] void ExitAtOnce() {
  spdlog::critical("the Lease is lost; exiting at once");
  spdlog::default_logger()->flush();
  std::_Exit(1);
}

int Run(const RunOptions& options) {
  InitLogging(options.log_level, options.log_format);
  const sigset_t signals = BlockSignals();
  const Clock& clock = SystemClock();
  const auto config = kube::LoadConnectionConfig(options.kubeconfig, options.context);
  if (!config.ok()) return Fail(config.error());
  const auto transport = kube::MakeHttpTransport(*config, clock);
  if (!transport.ok()) return Fail(transport.error());
  const auto lease_transport = kube::MakeHttpTransport(*config, clock);
  if (!lease_transport.ok()) return Fail(lease_transport.error());

  std::stop_source stop;
  Controller::Dependencies dependencies{**transport, **lease_transport, clock, ExitAtOnce};
  dependencies.server = config->server;
  Controller controller(options, std::move(dependencies));
  if (const Status listening = controller.Listen(); !listening.ok()) {
    return Fail(listening.error());
  }
  spdlog::info("perennial-controller {} at {}, metrics on port {}, health on port {}", Version(),
               config->server, controller.metrics_port(), controller.health_port());
  std::jthread waiter([&](const std::stop_token& ended) { WaitForSignal(signals, ended, stop); });
  controller.Run(stop.get_token());
  spdlog::info("ended");
  return 0;
}

}  // namespace
}  // namespace perennial::app

int main(int argc, char** argv) {
  const auto parsed = perennial::app::ParseRunOptions(argc, argv);
  if (parsed.eval) return perennial::app::DriftEval(*parsed.eval, std::cout, std::cerr);
  return parsed.run ? perennial::app::Run(*parsed.run) : parsed.exit_code;
}
