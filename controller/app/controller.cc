#include "app/controller.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "api/codec.h"
#include "api/names.h"
#include "app/api_server_watch.h"
#include "app/event_endpoint.h"
#include "app/http_server.h"
#include "app/metrics.h"
#include "app/metrics_access.h"
#include "app/preflight.h"
#include "app/secret_reader.h"
#include "app/shard_metrics.h"
#include "app/sharding.h"
#include "app/stack.h"
#include "app/work.h"
#include "base/hash.h"
#include "kube/events.h"
#include "kube/informer.h"
#include "kube/lease.h"

namespace perennial::app {
namespace {

constexpr Millis kLongestRetry{30'000};
// How long the end of a process waits for requests that are under way; a pod has 30 s to end.
constexpr Millis kShutdownGrace{10'000};
constexpr Millis kPoll{50};

// The API server may be slow, and a worker waits for it.
constexpr Millis kSecretDeadline{5'000};

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

// What the endpoint of events needs of a policy. Of one that takes none only the name is kept.
Result<api::RetrainPolicy> DecodeForEvents(const nlohmann::json& object) {
  auto policy = api::DecodeRetrainPolicy(object);
  if (!policy.ok()) return policy;
  const bool takes = std::any_of(policy->spec.triggers.begin(), policy->spec.triggers.end(),
                                 [](const api::Trigger& one) { return one.event.has_value(); });
  if (takes) return policy;
  api::RetrainPolicy name_only;
  name_only.meta.key = policy->meta.key;
  name_only.meta.uid = policy->meta.uid;
  name_only.meta.resource_version = policy->meta.resource_version;
  return name_only;
}

}  // namespace

class Controller::Impl {
 public:
  Impl(RunOptions options, Dependencies dependencies)
      : options_(std::move(options)),
        dependencies_(std::move(dependencies)),
        api_server_(dependencies_.transport, dependencies_.clock, dependencies_.server),
        metrics_access_(dependencies_.transport, dependencies_.clock),
        secret_client_(dependencies_.transport, dependencies_.clock, "perennial-secrets",
                       {.deadline = kSecretDeadline}),
        secrets_(secret_client_, dependencies_.clock),
        event_secrets_(secret_client_, dependencies_.clock, api::kUseEvents),
        intake_client_(dependencies_.transport, dependencies_.clock, Work::kPolicyManager,
                       {.deadline = kSecretDeadline}),
        event_client_(dependencies_.transport, dependencies_.clock, "perennial-events"),
        lease_client_(dependencies_.lease_transport, dependencies_.clock, "perennial-lease"),
        events_(event_client_, dependencies_.clock, "perennial.dev/controller", options_.instance) {
    kube::LeaseOptions lease = dependencies_.lease;
    lease.ns = options_.lease_namespace;
    lease.name = options_.lease_name;
    lease.identity = LeaseIdentity(options_.instance, dependencies_.clock);
    if (options_.shards > 1) {
      Divide(std::move(lease));
    } else {
      if (options_.leader_elect) {
        election_.emplace(lease_client_, dependencies_.clock, std::move(lease));
      }
      only_ = MakeStack(0, [this] { return !election_ || election_->MayWrite(); });
    }
    intake_.emplace(EventEndpoint::Dependencies{
        only_ != nullptr ? only_->policies() : event_policies_->store(), intake_client_,
        [this](const kube::Key& secret, const std::string& key) {
          return event_secrets_.Read(secret, key);
        },
        dependencies_.clock});
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
                        return synced_ ? intake_->Take(request) : HttpReply{503, "not ready\n"};
                      },
                      dependencies_.clock, kEventLimits));
    return Ok();
  }

  int metrics_port() const { return metrics_server_ ? metrics_server_->port() : 0; }
  int health_port() const { return health_server_ ? health_server_->port() : 0; }

  void Run(const std::stop_token& stop) {
    const std::optional<std::string> identity = Preflight(stop);
    if (!identity) return;
    identity_ = *identity;
    WarnOfAdmission();
    // So that the first scrapes are not refused for a moment only. What lasts is told as an error.
    api_server_.Start();
    while (api_server_.Awaited() && !Sleep(stop, kPoll)) {
    }
    if (sharding_) {
      RunShards(stop);
    } else {
      RunAlone(stop);
    }
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

  // The controller can't see who wrote an object: without the policies anybody who may write one
  // has it make what they could not make themselves.
  void WarnOfAdmission() {
    const auto missing = MissingAdmission(dependencies_.transport);
    if (!missing.ok()) {
      spdlog::warn("whether the admission policies are in force is not known: {}",
                   missing.error().message);
    } else if (!missing->empty()) {
      spdlog::warn(
          "not in force: the admission policies {}; authors of ModelDeployments and "
          "RetrainPolicies are not asked for rights of their own (kubectl apply -f "
          "crds/admission.yaml, or the chart's value admission.enabled)",
          Joined(*missing, ", "));
    }
  }

  std::shared_ptr<Stack> MakeStack(int shard, kube::WritePermit permit) {
    return std::make_shared<Stack>(
        options_, shard,
        Stack::Dependencies{dependencies_.transport, dependencies_.clock, events_,
                            std::move(permit),
                            [this](const kube::Key& secret, const std::string& key) {
                              return secrets_.Read(secret, key);
                            },
                            api_server_.addresses()});
  }

  // Any replica takes events for any policy.
  void Divide(kube::LeaseOptions lease) {
    event_policies_.emplace(dependencies_.transport, dependencies_.clock, api::kRetrainPolicies,
                            kube::InformerOptions{}, DecodeForEvents);
    sharding_.emplace(Sharding::Dependencies{
        lease_client_, dependencies_.clock, std::move(lease), options_.shards,
        [this](int shard, kube::WritePermit permit) { return MakeStack(shard, std::move(permit)); },
        [this](Stack& stack) { stack.Watch(identity_); }, dependencies_.on_lost});
  }

  void RunAlone(const std::stop_token& stop) {
    only_->Watch(identity_);
    if (WaitForStores(stop, [this] { return only_->Unsynced(); }) && WaitForLease(stop)) {
      events_.Start();
      only_->Begin();
      spdlog::info("working as {} with {} workers for each kind", identity_, options_.workers);
      WaitUntil(stop, [] { return false; });
    }
    // What is under way is finished, unless it takes too long; then nobody writes any more, and
    // only then the Lease is given up.
    spdlog::info("stopping");
    std::jthread hurry([this](const std::stop_token& done) { Hurry(done); });
    only_->Stop();
    if (election_) election_->Stop(/*release=*/true);
    api_server_.Stop();
  }

  void RunShards(const std::stop_token& stop) {
    const bool events = options_.events_port != 0;
    if (events) event_policies_->Start();
    const bool begun = !events || WaitForStores(stop, [this] {
      return event_policies_->store().Synced() ? std::vector<std::string>{}
                                               : std::vector<std::string>{"retrainpolicies"};
    });
    if (begun) {
      synced_ = true;
      events_.Start();
      spdlog::info("one of those who share {} shards, as {}", options_.shards, identity_);
      std::jthread hurry([this, &stop](const std::stop_token& done) {
        WaitUntil(stop, [] { return false; });
        Hurry(done);
      });
      sharding_->Run(stop);
      api_server_.Stop();
    }
    event_policies_->Stop();
  }

  void Hurry(const std::stop_token& done) {
    if (!Sleep(done, kShutdownGrace)) dependencies_.transport.Shutdown();
  }

  template <class Missing>
  bool WaitForStores(const std::stop_token& stop, Missing unsynced) {
    Millis tell_at = dependencies_.clock.Steady() + Seconds(10);
    while (!stop.stop_requested()) {
      const auto missing = unsynced();
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
      return Ready() ? HttpReply{200, "ok\n"} : HttpReply{503, "not ready\n"};
    }
    if (path != "/healthz") return {404, "only /healthz and /readyz are here\n"};
    const auto hanging = Hanging();
    if (hanging.empty()) return {200, "ok\n"};
    for (const std::string& what : hanging) spdlog::error("unhealthy: {}", what);
    return {503, "unhealthy\n"};
  }

  // Once is enough: who fills the stores of one shard more still works on the others.
  bool Ready() {
    if (ready_ || !synced_) return ready_;
    if (sharding_) {
      for (const auto& [shard, stack] : sharding_->Stacks()) {
        if (!stack->Synced()) return false;
      }
    }
    return ready_ = true;
  }

  std::vector<std::string> Hanging() {
    if (only_ != nullptr) return synced_ ? only_->Hanging() : std::vector<std::string>{};
    std::vector<std::string> out;
    for (const auto& [shard, stack] : sharding_->Stacks()) {
      if (!stack->Synced()) continue;
      for (const std::string& what : stack->Hanging()) {
        out.push_back("shard " + std::to_string(shard) + ": " + what);
      }
    }
    return out;
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
    return {200, Page(), "text/plain; version=0.0.4; charset=utf-8"};
  }

  std::string Page() {
    if (sharding_) {
      return RenderMetrics(
          ShardMetrics({events_, sharding_->Stacks(), sharding_->Held(), sharding_->Replicas()}));
    }
    MetricSources sources = only_->Sources();
    sources.election = election_ ? &*election_ : nullptr;
    sources.lease_name = options_.lease_name;
    return RenderMetrics(ControllerMetrics(std::move(sources)));
  }

  const RunOptions options_;
  const Dependencies dependencies_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool leading_ = false;
  std::atomic<bool> synced_{false};
  std::atomic<bool> ready_{false};
  std::string identity_;  // our user name at the API server
  ApiServerWatch api_server_;
  MetricsAccess metrics_access_;
  kube::Client secret_client_;
  SecretReader secrets_;
  SecretReader event_secrets_;
  kube::Client intake_client_;
  kube::Client event_client_;
  kube::Client lease_client_;
  kube::EventRecorder events_;
  std::optional<kube::LeaderElection> election_;
  // One of the two: all of the work, or shards of it.
  std::shared_ptr<Stack> only_;
  std::optional<Sharding> sharding_;
  std::optional<kube::Informer<api::RetrainPolicy>> event_policies_;  // with shards
  std::optional<EventEndpoint> intake_;
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
