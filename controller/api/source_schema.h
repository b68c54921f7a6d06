#pragma once

#include "api/rules.h"
#include "api/source.h"

namespace perennial::api {

// RFC 1123 subdomain, as Secrets are named.
inline constexpr Rules kSecretName{
    .pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
    .wants = "the name of a Secret: lower-case letters, digits, '-' and '.'",
    .max_length = 253};
inline constexpr Rules kSecretEntry{
    .pattern = "^[-._a-zA-Z0-9]+$", .wants = "a key of the Secret's data", .max_length = 253};
inline constexpr Rules kServerName{.pattern = "^[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?$",
                                   .wants = "a host name, such as \"metrics.example.org\"",
                                   .max_length = 253};

template <>
struct Schema<SecretKey> {
  using T = SecretKey;
  static constexpr std::tuple kFields{
      Field{"name", &T::name,
            "A Secret in this namespace, with the label perennial.dev/use that the reference asks "
            "for.",
            Required(kSecretName)},
      Field{"key", &T::key, "The entry of its data.", Required(kSecretEntry)},
  };
};

template <>
struct Schema<BasicAuthSecret> {
  using T = BasicAuthSecret;
  static constexpr std::tuple kFields{
      Field{"name", &T::name,
            "A Secret in this namespace, with the label perennial.dev/use: metrics and the "
            "entries username and password.",
            Required(kSecretName)},
  };
};

template <>
struct Schema<TlsTrust> {
  using T = TlsTrust;
  static constexpr std::tuple kFields{
      Field{"caSecretRef", &T::ca,
            "The certificate authority to trust, PEM; without it those of the controller's image. "
            "Verification can't be turned off. The Secret has the label perennial.dev/use: "
            "metrics.",
            Rules{}},
      Field{"serverName", &T::server_name,
            "The name that the certificate must carry, where it is not the host or IP address.",
            kServerName},
  };
};

template <>
struct Schema<LabelMatch> {
  using T = LabelMatch;
  static constexpr std::tuple kFields{
      Field{"label", &T::label, "A label of the series.", Required(kLabelName)},
      Field{"value", &T::value, "Its value.", Rules{.required = true, .max_length = 512}},
  };
};

template <>
struct Schema<ScrapeSource> {
  static constexpr std::tuple<> kFields{};
};

template <>
struct Schema<PrometheusServer> {
  using T = PrometheusServer;
  static constexpr std::tuple kFields{
      Field{"url", &T::url,
            "Where its HTTP API is, without /api/v1. Redirects are not followed. Loopback, "
            "link-local, cloud metadata and the API server's addresses are refused.",
            Rules{.required = true,
                  .pattern = "^https?://[^\\s/?#@\\\\\"]+(/[^\\s?#@\\\\\"]*)?$",
                  .wants = "an http or https URL without credentials and query, such as "
                           "\"https://prometheus.monitoring.svc:9090\"",
                  .max_length = 1024}},
      Field{"bearerTokenSecretRef", &T::bearer_token,
            "Sent as bearer token; https only. The Secret has the label perennial.dev/use: "
            "metrics.",
            Rules{}},
      Field{"basicAuthSecretRef", &T::basic_auth, "Sent as basic authentication; https only.",
            Rules{}},
      Field{"tls", &T::tls, "How to verify its certificate.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.bearerTokenSecretRef) || !has(self.basicAuthSecretRef)",
             "set either bearerTokenSecretRef or basicAuthSecretRef", "basicAuthSecretRef",
             [](const T& v) { return !v.bearer_token || !v.basic_auth; }},
      Cel<T>{"self.url.startsWith('https://') || !(has(self.bearerTokenSecretRef) || "
             "has(self.basicAuthSecretRef) || has(self.tls))",
             "credentials and tls go with https only: change url to https", "url",
             [](const T& v) {
               return v.url.starts_with("https://") || !(v.bearer_token || v.basic_auth || v.tls);
             }},
  };
};

template <>
struct Schema<PrometheusSource> {
  using T = PrometheusSource;
  static constexpr std::tuple kFields{
      Inline{&T::server},
      Field{"namespaceLabel", &T::namespace_label,
            "The label of the series that holds the pod's namespace. Only this monitor's own "
            "namespace is read.",
            kLabelName},
      Field{"podLabel", &T::pod_label, "The label that holds the pod's name.", kLabelName},
      Field{"versionLabel", &T::version_label,
            "The label that holds the ModelVersion's name, as a relabelling may copy it from the "
            "pod's label perennial.dev/model-version. Without it the pods' names tell versions "
            "apart.",
            kLabelName},
      Field{"matchers", &T::matchers,
            "Further labels that the series must have, for example job where several scrape "
            "configurations read the same pods.",
            Rules{.max_items = 16, .list_key = "label"}},
  };
};

template <>
struct Schema<Source> {
  using T = Source;
  static constexpr std::tuple kFields{
      Field{"scrape", &T::scrape,
            "The pods themselves, as the ModelDeployment's spec.metrics tells. The default.",
            Rules{}},
      Field{"prometheus", &T::prometheus, "A Prometheus that scrapes the pods.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.scrape) || !has(self.prometheus)", "set either scrape or prometheus",
             "prometheus", [](const T& v) { return !v.scrape || !v.prometheus; }},
  };
};

template <>
struct EnumNames<Scheme> {
  static constexpr std::array<std::string_view, 2> kNames{"HTTP", "HTTPS"};
};

template <>
struct Schema<MetricsEndpoint> {
  using T = MetricsEndpoint;
  static constexpr std::tuple kFields{
      Field{"port", &T::port,
            "Name of the port that serves metrics: of the container, or of the target Service.",
            kPortName},
      Field{
          "path", &T::path, "Path of the metrics.",
          Rules{
              .pattern = "^/[^\\s]*$", .wants = "a path such as \"/metrics\"", .max_length = 512}},
      Field{"scheme", &T::scheme, "HTTP or HTTPS.", Rules{}},
      Field{"tls", &T::tls,
            "HTTPS: how to verify the pods' certificates. Without serverName they must be valid "
            "for the pods' IP addresses.",
            Rules{}},
      Field{"bearerTokenSecretRef", &T::bearer_token,
            "HTTPS: sent to the pods as bearer token. The Secret has the label perennial.dev/use: "
            "metrics.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(has(self.scheme) && self.scheme == 'HTTPS') || "
             "!(has(self.tls) || has(self.bearerTokenSecretRef))",
             "tls and bearerTokenSecretRef go with HTTPS only: set scheme: HTTPS", "scheme",
             [](const T& v) { return v.scheme == Scheme::kHttps || !(v.tls || v.bearer_token); }},
  };
};

}  // namespace perennial::api
