#include "app/controller.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "app/cluster_cache.h"
#include "app/event_endpoint.h"
#include "app/http_server.h"
#include "app/metrics.h"
#include "app/metrics_access.h"
#include "app/preflight.h"
#include "app/secret_reader.h"
#include "app/watchdog.h"
#include "app/work.h"
#include "base/hash.h"
#include "kube/events.h"
#include "kube/lease.h"
#include "scrape/promql_pool.h"
#include "scrape/scrape_pool.h"

namespace perennial::app {
namespace {

constexpr Millis kLongestRetry{30'000};
// How long the end of a process waits for requests that are under way; a pod has 30 s to end.
constexpr Millis kShutdownGrace{10'000};

// The API server may be slow, and a worker waits for it.
constexpr Millis kSecretDeadline{5'000};

std::vector<scrape::AddressRange> Allowed(const RunOptions& options) {
  std::vector<scrape::AddressRange> out;
  for (const std::string& text : options.source_allow) {
    const auto range = scrape::ParseAddressRange(text);
    if (range.ok()) out.push_back(*range);
  }
  return out;
}

scrape::PoolOptions ScrapeOptions(const RunOptions& options) {
  scrape::PoolOptions out;
  out.addresses.allowed = Allowed(options);
  return out;
}

scrape::PromqlOptions QueryOptions(const RunOptions& options) {
  scrape::PromqlOptions out;
  out.addresses.allowed = Allowed(options);
  return out;
}

std::string Joined(const std::vector<std::string>& words, const char* separator) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : separator) + word;
  return out;
}

// Unique to this process, so that a container that restarts under its pod's name doesn't take its
// predecessor's Lease for its own.
std::string LeaseIdentity(const std::string& instance, const Clock& clock) {
  return instance + "_" +
         ShortHash(instance + std::to_string(clock.Wall().time_since_epoch().count()) + "/" +
                   std::to_string(::getpid()));
}

}  // namespace

class Controller::Impl {
 public:
  Impl(RunOptions options, Dependencies dependencies)
      : options_(std::move(options)),
        dependencies_(std::move(dependencies)),
        cache_(dependencies_.transport, dependencies_.clock, options_.ns, options_.workload_kinds),
        runs_(cache_.retrain_policies.store()),
        metrics_access_(dependencies_.transport, dependencies_.clock),
        kpis_(cache_.model_versions.store(), cache_.drift_monitors.store(), dependencies_.clock),
        samples_(dependencies_.clock),
        pool_(samples_, dependencies_.clock, ScrapeOptions(options_)),
        queries_(samples_, dependencies_.clock, QueryOptions(options_)),
        secret_client_(dependencies_.transport, dependencies_.clock, "perennial-secrets",
                       {.deadline = kSecretDeadline}),
        secrets_(secret_client_, dependencies_.clock),
        event_secrets_(secret_client_, dependencies_.clock, api::kUseEvents),
        intake_client_(dependencies_.transport, dependencies_.clock, Work::kPolicyManager,
                       {.deadline = kSecretDeadline}),
        intake_({cache_.retrain_policies.store(), intake_client_,
                 [this](const kube::Key& secret, const std::string& key) {
                   return event_secrets_.Read(secret, key);
                 },
                 dependencies_.clock}),
        event_client_(dependencies_.transport, dependencies_.clock, "perennial-events"),
        lease_client_(dependencies_.lease_transport, dependencies_.clock, "perennial-lease"),
        events_(event_client_, dependencies_.clock, "perennial.dev/controller", options_.instance) {
    if (options_.leader_elect) {
      kube::LeaseOptions lease;
      lease.ns = options_.lease_namespace;
      lease.name = options_.lease_name;
      lease.identity = LeaseIdentity(options_.instance, dependencies_.clock);
      election_.emplace(lease_client_, dependencies_.clock, std::move(lease));
    }
  }

  Status Listen() {
    PERENNIAL_TRY(health_server_,
                  HttpServer::Listen(
                      options_.health_port,
                      [this](const HttpRequest& request) { return Health(request.path); },
                      dependencies_.clock));
    PERENNIAL_TRY(
        metrics_server_,
        HttpServer::Listen(
            options_.metrics_port, [this](const HttpRequest& request) { return Metrics(request); },
            dependencies_.clock));
    if (options_.events_port == 0) return Ok();
    PERENNIAL_TRY(events_server_,
                  HttpServer::ListenForPosts(
                      options_.events_port,
                      [this](const HttpRequest& request) {
                        // Before the first list nobody is known.
                        return synced_ ? intake_.Take(request) : HttpReply{503, "not ready\n"};
                      },
                      dependencies_.clock, kEventLimits));
    return Ok();
  }

  int metrics_port() const { return metrics_server_ ? metrics_server_->port() : 0; }
  int health_port() const { return health_server_ ? health_server_->port() : 0; }

  void Run(const std::stop_token& stop) {
    const std::optional<std::string> identity = Preflight(stop);
    if (!identity) return;
    {
      const std::lock_guard lock(mutex_);
      work_.emplace(Work::Dependencies{dependencies_.transport,
                                       dependencies_.clock,
                                       cache_,
                                       samples_,
                                       events_,
                                       [this] { return !election_ || election_->MayWrite(); },
                                       *identity,
                                       {},
                                       [this](const kube::Key& secret, const std::string& key) {
                                         return secrets_.Read(secret, key);
                                       },
                                       options_.runs});
    }
    ForbidApiServer();
    cache_.Start();
    if (WaitForStores(stop) && WaitForLease(stop)) {
      events_.Start();
      pool_.Start();
      queries_.Start();
      working_ = true;
      work_->Start(options_.workers);
      spdlog::info("working as {} with {} workers for each kind", *identity, options_.workers);
      WaitUntil(stop, [] { return false; });
    }
    End();
  }

 private:
  // Who we are to the API server, once it knows us and our kinds; nullopt when stopped before.
  std::optional<std::string> Preflight(const std::stop_token& stop) {
    Millis delay = dependencies_.first_retry;
    while (!stop.stop_requested()) {
      auto identity = WhoAmI(dependencies_.transport);
      const Status installed =
          identity.ok() ? CheckInstalled(dependencies_.transport) : Status(identity.error());
      if (installed.ok()) return *std::move(identity);
      spdlog::error("not started yet: {}; next try in {}", installed.error().message,
                    FormatDuration(delay));
      Sleep(stop, delay);
      delay = std::min(delay * 2, kLongestRetry);
    }
    return std::nullopt;
  }

  // What users have scraped must not be the API server.
  void ForbidApiServer() {
    std::vector<scrape::AddressRange> addresses;
    for (const std::string& address : ApiServerAddresses(dependencies_.transport)) {
      const auto range = scrape::ParseAddressRange(address);
      if (range.ok()) addresses.push_back(*range);
    }
    if (addresses.empty()) spdlog::warn("the API server's addresses are not known");
    pool_.Forbid(addresses);
    queries_.Forbid(std::move(addresses));
  }

  bool WaitForStores(const std::stop_token& stop) {
    constexpr Millis kPoll{50};
    Millis tell_at = dependencies_.clock.Steady() + Seconds(10);
    while (!stop.stop_requested()) {
      const auto missing = cache_.Unsynced();
      if (missing.empty()) {
        synced_ = true;
        spdlog::info("all stores are filled");
        return true;
      }
      if (dependencies_.clock.Steady() >= tell_at) {
        spdlog::warn("still waiting for the first list of {}", Joined(missing, ", "));
        tell_at += Seconds(30);
      }
      Sleep(stop, kPoll);
    }
    return false;
  }

  bool WaitForLease(const std::stop_token& stop) {
    if (!election_) return true;
    spdlog::info("waiting for Lease {}/{}", options_.lease_namespace, options_.lease_name);
    election_->Start(
        [this] {
          const std::lock_guard lock(mutex_);
          leading_ = true;
          changed_.notify_all();
        },
        dependencies_.on_lost);
    return WaitUntil(stop, [this] { return leading_; });
  }

  // What is under way is finished, unless it takes too long; then nobody writes any more, and only
  // then the Lease is given up.
  void End() {
    spdlog::info("stopping");
    std::jthread hurry([this](const std::stop_token& done) {
      if (!Sleep(done, kShutdownGrace)) dependencies_.transport.Shutdown();
    });
    work_->Stop();
    working_ = false;
    pool_.Stop();
    queries_.Stop();
    cache_.Stop();
    if (election_) election_->Stop(/*release=*/true);
    hurry.request_stop();
  }

  // False when the time passed before `stop` was requested.
  bool Sleep(const std::stop_token& stop, Millis time) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_for(lock, stop, time, [] { return false; });
    return stop.stop_requested();
  }

  template <class Condition>
  bool WaitUntil(const std::stop_token& stop, Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, stop, condition);
  }

  HttpReply Health(std::string_view path) {
    // The reasons are in the log; a port without authentication tells nothing of the cluster.
    if (path == "/readyz") {
      return synced_ ? HttpReply{200, "ok\n"} : HttpReply{503, "not ready\n"};
    }
    if (path != "/healthz") return {404, "only /healthz and /readyz are here\n"};
    const auto hanging = Hanging();
    if (hanging.empty()) return {200, "ok\n"};
    for (const std::string& what : hanging) spdlog::error("unhealthy: {}", what);
    return {503, "unhealthy\n"};
  }

  std::vector<std::string> Hanging() {
    if (!synced_) return {};
    std::vector<InformerSign> informers;
    cache_.ForEach([&](std::string_view name, const auto& informer) {
      // An absent resource is asked for seldom, and answered with an error.
      if (IsOptional(name)) return;
      informers.push_back({std::string(name), informer.Counters().last_contact});
    });
    return watchdog_.Check(dependencies_.clock.Steady(),
                           working_ ? work_->Signs() : std::vector<WorkerSign>{}, informers);
  }

  HttpReply Metrics(const HttpRequest& request) {
    if (options_.metrics_auth) {
      const int status =
          metrics_access_.Check(request.Header("authorization").value_or(""), request.path);
      if (status == 401) return {401, "a bearer token that the API server knows is needed\n"};
      if (status == 403) return {403, "not allowed to get this path\n"};
      if (status != 200) return {503, "the API server cannot be asked at the moment\n"};
    }
    if (request.path != "/metrics") return {404, "only /metrics is here\n"};
    std::vector<kube::RunnerCore*> runners;
    {
      const std::lock_guard lock(mutex_);
      if (work_) runners = work_->Cores();
    }
    const ControllerMetrics metrics({cache_, runs_, samples_, pool_, events_, std::move(runners),
                                     options_.workers, election_ ? &*election_ : nullptr,
                                     options_.lease_name, dependencies_.clock, kpis_,
                                     static_cast<std::size_t>(options_.object_series)});
    return {200, RenderMetrics(metrics), "text/plain; version=0.0.4; charset=utf-8"};
  }

  const RunOptions options_;
  const Dependencies dependencies_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool leading_ = false;
  std::atomic<bool> synced_{false};
  std::atomic<bool> working_{false};
  Watchdog watchdog_;
  ClusterCache cache_;
  RunTally runs_;
  MetricsAccess metrics_access_;
  KpiTally kpis_;
  scrape::SampleStore samples_;
  scrape::ScrapePool pool_;
  scrape::PromqlPool queries_;
  kube::Client secret_client_;
  SecretReader secrets_;
  SecretReader event_secrets_;
  kube::Client intake_client_;
  EventEndpoint intake_;
  kube::Client event_client_;
  kube::Client lease_client_;
  kube::EventRecorder events_;
  std::optional<kube::LeaderElection> election_;
  std::optional<Work> work_;
  // Last: their threads use the others.
  std::unique_ptr<HttpServer> health_server_;
  std::unique_ptr<HttpServer> metrics_server_;
  std::unique_ptr<HttpServer> events_server_;
};

Controller::Controller(RunOptions options, Dependencies dependencies)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(dependencies))) {}
Controller::~Controller() = default;

Status Controller::Listen() {
  return impl_->Listen();
}
int Controller::metrics_port() const {
  return impl_->metrics_port();
}
int Controller::health_port() const {
  return impl_->health_port();
}
void Controller::Run(std::stop_token stop) {
  impl_->Run(stop);
}

}  // namespace perennial::app
