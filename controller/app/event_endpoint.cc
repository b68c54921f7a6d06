#include "app/event_endpoint.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/names.h"
#include "base/hash.h"
#include "retrain/event.h"

namespace perennial::app {
namespace {

using nlohmann::json;

constexpr int kMostTries = 4;
constexpr Millis kBetweenWarnings{60'000};
// While one event is written, nobody else is answered.
constexpr Millis kMostTime{5'000};
constexpr std::string_view kSignature = "sha256=";
constexpr std::size_t kShortestSecret = 16;

std::optional<kube::Key> PolicyIn(std::string_view path) {
  constexpr std::string_view kPrefix = "/events/";
  if (!path.starts_with(kPrefix)) return std::nullopt;
  path.remove_prefix(kPrefix.size());
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  kube::Key key{std::string(path.substr(0, slash)), std::string(path.substr(slash + 1))};
  if (key.ns.empty() || key.name.empty() || key.name.find('/') != std::string::npos) {
    return std::nullopt;
  }
  return key;
}

HttpReply Refused(int status, const std::string& why) {
  return {status, why + "\n"};
}

// Files of Secrets often end with a newline that nobody means.
std::string Stripped(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// The token of "Bearer TOKEN"; empty for anything else. A scheme's case doesn't matter (RFC 9110,
// 11.1).
std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != kScheme[i]) return {};
  }
  return authorization.substr(kScheme.size());
}

bool Has(const api::RetrainPolicy& policy, const api::EventTrigger& event) {
  return std::any_of(policy.spec.triggers.begin(), policy.spec.triggers.end(),
                     [&](const api::Trigger& trigger) { return trigger.event == event; });
}

}  // namespace

std::optional<std::string> EventEndpoint::Secret(const api::RetrainPolicy& policy,
                                                 const api::SecretKey& secret) {
  auto read = from_.secrets(kube::Key{policy.meta.key.ns, secret.name}, secret.key);
  std::string why;
  if (!read.ok()) {
    why = read.error().message;
  } else if (std::string value = Stripped(*std::move(read)); value.size() >= kShortestSecret) {
    return value;
  } else {
    why = "Secret " + secret.name + ": entry " + secret.key + " is shorter than " +
          std::to_string(kShortestSecret) + " characters";
  }
  // Whoever sends requests must not fill the log.
  const Millis now = from_.clock.Steady();
  if (!warned_at_ || now - *warned_at_ >= kBetweenWarnings) {
    warned_at_ = now;
    spdlog::warn("events for RetrainPolicy {}: {}", kube::ToString(policy.meta.key), why);
  }
  return std::nullopt;
}

std::vector<api::EventTrigger> EventEndpoint::Admitted(const api::RetrainPolicy& policy,
                                                       const HttpRequest& request) {
  const std::string authorization = request.Header("authorization").value_or("");
  const std::string_view token = BearerToken(authorization);
  const std::string signature = request.Header("x-hub-signature-256").value_or("");
  std::vector<api::EventTrigger> out;
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (!trigger.event) continue;
    const api::EventTrigger& event = *trigger.event;
    bool known = false;
    if (event.bearer_token && !token.empty()) {
      const auto secret = Secret(policy, *event.bearer_token);
      known = secret && SameSecret(*secret, token);
    } else if (event.signature && signature.starts_with(kSignature)) {
      const auto secret = Secret(policy, *event.signature);
      known = secret && SameSecret(HmacSha256Hex(*secret, request.body),
                                   std::string_view(signature).substr(kSignature.size()));
    }
    if (known) out.push_back(event);
  }
  return out;
}

HttpReply EventEndpoint::Take(const HttpRequest& request) {
  const auto key = PolicyIn(request.path);
  if (!key) return Refused(404, "POST to /events/NAMESPACE/POLICY");
  const auto policy = from_.policies.Get(*key);
  std::vector<api::EventTrigger> admitted;
  if (policy != nullptr && !policy->meta.deleting) admitted = Admitted(*policy, request);
  // The same for all, so that nobody learns which policies there are.
  if (admitted.empty()) return Refused(401, "no such policy, or not with these credentials");
  const auto event = retrain::ReadEvent(
      {[&](std::string_view name) { return request.Header(name); }, request.body});
  if (!event.ok()) return Refused(400, event.error().message);
  const auto wanted = std::find_if(admitted.begin(), admitted.end(), [&](const auto& trigger) {
    return retrain::Wants(trigger, event->type, event->source);
  });
  if (wanted == admitted.end()) {
    return Refused(422, "no trigger with these credentials wants this type from this source");
  }
  // A signature covers the body: in binary mode id, source and type would be anybody's.
  if (wanted->signature && !event->structured) {
    return Refused(400, "a signed event must be in structured mode (application/cloudevents+json)");
  }
  if (const Status fresh = retrain::CheckTime(*event, from_.clock.Wall()); !fresh.ok()) {
    return Refused(400, fresh.error().message);
  }
  return Record(*policy, *wanted, *event);
}

HttpReply EventEndpoint::Record(const api::RetrainPolicy& admitted,
                                const api::EventTrigger& trigger,
                                const retrain::CloudEvent& event) {
  const kube::Key& key = admitted.meta.key;
  const kube::Ref ref{api::kRetrainPolicies, key};
  const std::string run = retrain::EventIdentity(event.source, event.id);
  const Millis started = from_.clock.Steady();
  for (int i = 0; i < kMostTries && from_.clock.Steady() - started < kMostTime; ++i) {
    const auto text = from_.client.Get(ref);
    if (!text.ok()) return Refused(503, "try again later");
    const json object = json::parse(*text, nullptr, false);
    const auto policy = api::DecodeRetrainPolicy(object);
    if (!policy.ok()) return Refused(503, "try again later");
    // The credentials were those of what was seen then, and are not of what is there now.
    if (policy->meta.uid != admitted.meta.uid || !Has(*policy, trigger)) {
      return Refused(503, "try again later");
    }
    api::RetrainPolicyStatus status = policy->status;
    if (retrain::IsKnown(status, event.source, event.id)) {
      return {200, "taken before, as " + run + "\n"};
    }
    if (!retrain::Accept(event, from_.clock.Wall(), status)) {
      return Refused(429, "too many events for this policy: try again later");
    }
    const json body = {{"apiVersion", ref.resource.ApiVersion()},
                       {"kind", ref.resource.kind},
                       {"metadata",
                        {{"name", key.name},
                         {"namespace", key.ns},
                         {"uid", policy->meta.uid},
                         {"resourceVersion", policy->meta.resource_version}}},
                       {"status", json::parse(api::EncodeStatus(status))}};
    const auto written =
        from_.client.Apply(ref, body.dump(), kube::Subresource::kStatus, /*force=*/true);
    if (written.ok()) {
      spdlog::info("took event {} for RetrainPolicy {}", run, kube::ToString(key));
      return {202, "taken as " + run + "\n"};
    }
    if (written.error().code != Errc::kConflict) return Refused(503, "try again later");
  }
  return Refused(503, "try again later");
}

}  // namespace perennial::app
