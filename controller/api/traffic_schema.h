#pragma once

#include <algorithm>

#include "api/model_deployment.h"
#include "api/rules.h"
#include "api/schema.h"

// Tables of how requests reach the variants.
namespace perennial::api {

template <>
struct EnumNames<TrafficProtocol> {
  static constexpr std::array<std::string_view, 2> kNames{"HTTP", "GRPC"};
};

inline constexpr Rules kGatewayName{
    .required = true,
    .pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
    .wants = "the name of a Gateway: lower-case letters, digits, '-' and '.'",
    .max_length = 253};

template <>
struct Schema<ParentReference> {
  using T = ParentReference;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "A Gateway in this namespace.", kGatewayName},
      Field{"sectionName", &T::section_name, "One of its listeners; empty: all.",
            Rules{.max_length = 253}},
  };
};

template <>
struct Schema<Gateway> {
  using T = Gateway;
  static constexpr std::tuple kFields{
      Field{"parentRefs", &T::parent_refs, "The Gateways that traffic comes through.",
            Rules{.required = true, .min_items = 1, .max_items = 8}},
      Field{"hostnames", &T::hostnames, "Host names that belong to this model.",
            Rules{.pattern = "^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?"
                             "(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
                  .wants = "a host name such as \"departures.example.org\"",
                  .min_length = 1,
                  .max_length = 253,
                  .max_items = 16,
                  .set = true}},
  };
};

// Letters that mean themselves in the regular expression that a cookie is matched by.
inline constexpr Rules kToken{.required = true,
                              .pattern = "^[A-Za-z0-9_-]+$",
                              .wants = "letters, digits, '-' and '_'",
                              .max_length = 128};

template <>
struct Schema<NameValue> {
  using T = NameValue;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "Its name.", kToken},
      Field{"value", &T::value, "Its exact value.", kToken},
  };
};

template <>
struct Schema<TrafficRule> {
  using T = TrafficRule;
  static constexpr std::tuple kFields{
      Field{"header", &T::header, "A request header of that value.", Rules{}},
      Field{"cookie", &T::cookie, "A cookie of that value.", Rules{}},
      Field{"variant", &T::variant,
            "Who answers: champion, challenger, or the name of a fixed variant. While it has no "
            "ready pod, or there is no challenger, the split answers.",
            Required(kObjectName)},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.header) != has(self.cookie)",
             "a rule matches a header or a cookie: set one of them", "header",
             [](const T& v) { return v.header.has_value() != v.cookie.has_value(); }},
  };
};

template <>
struct Schema<Sticky> {
  using T = Sticky;
  static constexpr std::tuple kFields{
      Field{"cookie", &T::cookie, "Name of the cookie that the gateway sets.",
            Rules{.pattern = "^[A-Za-z0-9_-]+$",
                  .wants = "letters, digits, '-' and '_'",
                  .min_length = 1,
                  .max_length = 128}},
      Field{"ttl", &T::ttl, "How long a client keeps its variant.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.ttl) || duration(self.ttl) >= duration('1s')", "ttl must be at least 1s",
             "ttl", [](const T& v) { return v.ttl.value >= Seconds(1); }},
  };
};

template <>
struct Schema<Timeouts> {
  using T = Timeouts;
  static constexpr std::tuple kFields{
      Field{"request", &T::request, "For the whole answer, retries included.", Rules{}},
      Field{"backendRequest", &T::backend_request, "For one attempt; at most request.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.backendRequest) || !has(self.request) || "
             "duration(self.backendRequest) <= duration(self.request)",
             "backendRequest must not be longer than request", "backendRequest",
             [](const T& v) {
               return v.request.value == Millis{0} || v.backend_request.value <= v.request.value;
             }},
  };
};

template <>
struct Schema<Traffic> {
  using T = Traffic;
  static constexpr std::tuple kFields{
      Field{"port", &T::port, "Name of the container port that serves predictions.", kPortName},
      Field{"protocol", &T::protocol,
            "What that port speaks. GRPC: a GRPCRoute instead of an HTTPRoute leads to it.",
            Rules{}},
      Field{"gateway", &T::gateway,
            "Split traffic exactly with an HTTPRoute of ours on these Gateways. Without it, a "
            "Service splits by the number of replicas, which is approximate.",
            Rules{}},
      Field{"sticky", &T::sticky,
            "A client keeps the variant that answered it first, by a cookie of the gateway. Needs "
            "an HTTPRoute with sessionPersistence (Gateway API, experimental channel).",
            Rules{}},
      Field{"rules", &T::rules, "Requests that one variant answers, whatever the weights are.",
            Rules{.max_items = 8}},
      Field{"timeouts", &T::timeouts, "Time-outs of requests.", Rules{}},
      Field{"headless", &T::headless,
            "Services without a cluster address (clusterIP: None): their names stand for the pods' "
            "addresses, on the container port instead of port 80. For gateways, which send to pods "
            "anyway, and for thousands of models, whose addresses the API server and kube-proxy "
            "would have to carry. It can't be changed.",
            Rules{}},
      Field{"drain", &T::drain,
            "How long a pod that is to end still serves, since gateways and kube-proxy send to it "
            "until they have heard of its end: a preStop sleep of the containers that have no "
            "preStop of their own, by which the pod's grace period is longer than the template "
            "says. 0s: none.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.gateway) || !(has(self.sticky) || has(self.rules) || has(self.timeouts))",
             "sticky, rules and timeouts are the gateway's work: set traffic.gateway, or remove "
             "them",
             "gateway",
             [](const T& v) { return v.gateway || !(v.sticky || !v.rules.empty() || v.timeouts); }},
      Cel<T>{
          "!has(self.protocol) || self.protocol != 'GRPC' || !(has(self.timeouts) || "
          "has(self.sticky) || (has(self.rules) && self.rules.exists(r, has(r.cookie))))",
          "a GRPCRoute has no timeouts, and gRPC clients keep no cookies: remove timeouts, sticky "
          "and cookie rules (header rules work), or set protocol: HTTP",
          "protocol",
          [](const T& v) {
            const bool cookies =
                v.sticky || std::any_of(v.rules.begin(), v.rules.end(),
                                        [](const TrafficRule& r) { return r.cookie.has_value(); });
            return v.protocol != TrafficProtocol::kGrpc || !(v.timeouts || cookies);
          }},
  };
};

}  // namespace perennial::api
