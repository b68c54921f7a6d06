#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace perennial::kube {

// How to reach an API server and who to be. PEM texts, not file names, except where a file may
// change under us.
struct ConnectionConfig {
  std::string server;       // "https://10.0.0.1:6443"; http only for loopback (tests)
  std::string ca_pem;       // the only trust anchors
  std::string server_name;  // TLS name to verify instead of the server's host; mostly empty
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string token;           // fixed bearer token
  std::string token_file;      // read again as it rotates (service account tokens); wins over token
  std::string ns = "default";  // of the context, or of the pod
};

// $KUBECONFIG (the first file of a list), then ~/.kube/config, then the service account of the pod
// that we run in. kNotFound says what was looked for.
Result<ConnectionConfig> LoadConnectionConfig(const std::string& kubeconfig_flag,
                                              const std::string& context_flag);

// One kubeconfig file. `context` empty: its current-context. Relative paths are relative to the
// file. kInvalid names the field; exec and auth-provider plugins and insecure-skip-tls-verify are
// refused with what to use instead.
Result<ConnectionConfig> LoadKubeconfig(const std::string& path, const std::string& context);
// The same for a file's text; `folder` is where it lies.
Result<ConnectionConfig> ParseKubeconfig(const std::string& text, const std::string& folder,
                                         const std::string& context);

// The mounted service account below `folder` and KUBERNETES_SERVICE_HOST/PORT.
Result<ConnectionConfig> LoadInClusterConfig(
    const std::string& folder = "/var/run/secrets/kubernetes.io/serviceaccount");

}  // namespace perennial::kube
