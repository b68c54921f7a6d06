#include "kube/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"

namespace perennial::kube {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLargestFile = 4 << 20;

Error Invalid(std::string message) {
  return Error{Errc::kInvalid, std::move(message)};
}

Result<std::string> ReadFile(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return Error{Errc::kNotFound, path.string() + ": " + error.message()};
  if (size > kLargestFile) return Error{Errc::kTooLarge, path.string() + " is too large"};
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return Error{Errc::kNotFound, path.string() + " can't be read"};
  return std::move(text).str();
}

std::string Text(const YAML::Node& node, const char* name) {
  const YAML::Node value = node[name];
  return value && value.IsScalar() ? value.as<std::string>() : std::string();
}

// The entry of a kubeconfig list ("clusters", "users", "contexts") with this name.
Result<YAML::Node> Named(const YAML::Node& root, const char* list, const std::string& name,
                         const char* entry) {
  for (const YAML::Node& item : root[list]) {
    if (Text(item, "name") == name && item[entry] && item[entry].IsMap()) {
      return YAML::Node(item[entry]);
    }
  }
  return Invalid(std::string(list) + " has no \"" + name + "\" with a " + entry);
}

// PEM text of "<name>-data" (base64, wins) or of the file "<name>".
Result<std::string> Pem(const YAML::Node& node, const std::string& name, const fs::path& folder) {
  if (const std::string data = Text(node, (name + "-data").c_str()); !data.empty()) {
    auto text = DecodeBase64(data);
    if (!text) return Invalid(name + "-data is not base64");
    return *std::move(text);
  }
  const std::string file = Text(node, name.c_str());
  if (file.empty()) return std::string();
  return ReadFile(folder / file);
}

Status ReadCluster(const YAML::Node& cluster, const fs::path& folder, ConnectionConfig& out) {
  out.server = Text(cluster, "server");
  if (out.server.empty()) return Invalid("cluster.server is missing");
  if (Text(cluster, "insecure-skip-tls-verify") == "true") {
    return Invalid(
        "cluster.insecure-skip-tls-verify is not supported: set certificate-authority-data to the "
        "cluster's CA");
  }
  if (cluster["proxy-url"]) return Invalid("cluster.proxy-url is not supported");
  out.server_name = Text(cluster, "tls-server-name");
  PERENNIAL_TRY(out.ca_pem, Pem(cluster, "certificate-authority", folder));
  return Ok();
}

Status ReadUser(const YAML::Node& user, const fs::path& folder, ConnectionConfig& out) {
  for (const char* plugin : {"exec", "auth-provider"}) {
    if (user[plugin]) {
      return Invalid(std::string("user.") + plugin +
                     " is not supported: use a client certificate, token or tokenFile (kubectl "
                     "create token makes one for a service account)");
    }
  }
  for (const char* field : {"username", "password", "as", "as-groups", "as-uid"}) {
    if (user[field]) return Invalid(std::string("user.") + field + " is not supported");
  }
  PERENNIAL_TRY(out.client_certificate_pem, Pem(user, "client-certificate", folder));
  PERENNIAL_TRY(out.client_key_pem, Pem(user, "client-key", folder));
  if (out.client_certificate_pem.empty() != out.client_key_pem.empty()) {
    return Invalid("user has a client certificate or a client key, but not both");
  }
  out.token = Text(user, "token");
  if (const std::string file = Text(user, "tokenFile"); !file.empty()) {
    out.token_file = (folder / file).string();
  }
  return Ok();
}

Result<ConnectionConfig> FromYaml(const YAML::Node& root, const fs::path& folder,
                                  const std::string& wanted) {
  if (!root.IsMap()) return Invalid("not a kubeconfig");
  const std::string name = wanted.empty() ? Text(root, "current-context") : wanted;
  if (name.empty()) return Invalid("current-context is not set");
  PERENNIAL_TRY(const YAML::Node context, Named(root, "contexts", name, "context"));
  PERENNIAL_TRY(const YAML::Node cluster,
                Named(root, "clusters", Text(context, "cluster"), "cluster"));
  ConnectionConfig out;
  PERENNIAL_TRY_STATUS(ReadCluster(cluster, folder, out));
  if (const std::string user_name = Text(context, "user"); !user_name.empty()) {
    PERENNIAL_TRY(const YAML::Node user, Named(root, "users", user_name, "user"));
    PERENNIAL_TRY_STATUS(ReadUser(user, folder, out));
  }
  if (const std::string ns = Text(context, "namespace"); !ns.empty()) out.ns = ns;
  return out;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

void TrimEnd(std::string& text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
}

}  // namespace

Result<ConnectionConfig> ParseKubeconfig(const std::string& text, const std::string& folder,
                                         const std::string& context) {
  try {
    return FromYaml(YAML::Load(text), folder, context);
  } catch (const std::exception& e) {  // yaml-cpp's; its text holds a position, no values
    return Invalid(e.what());
  }
}

Result<ConnectionConfig> LoadKubeconfig(const std::string& path, const std::string& context) {
  PERENNIAL_TRY(const std::string text, ReadFile(path));
  auto config = ParseKubeconfig(text, fs::absolute(path).parent_path().string(), context);
  if (config.ok()) return config;
  return Error{config.error().code, "kubeconfig " + path + ": " + config.error().message};
}

Result<ConnectionConfig> LoadInClusterConfig(const std::string& folder) {
  const std::string host = Environment("KUBERNETES_SERVICE_HOST");
  const std::string port = Environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return Error{Errc::kNotFound, "KUBERNETES_SERVICE_HOST and _PORT are not set: not in a pod"};
  }
  ConnectionConfig out;
  const bool v6 = host.find(':') != std::string::npos;
  out.server = "https://" + (v6 ? "[" + host + "]" : host) + ":" + port;
  PERENNIAL_TRY(out.ca_pem, ReadFile(fs::path(folder) / "ca.crt"));
  out.token_file = (fs::path(folder) / "token").string();
  PERENNIAL_TRY_STATUS([&]() -> Status {
    PERENNIAL_TRY(const std::string token, ReadFile(out.token_file));
    return token.empty() ? Status(Invalid(out.token_file + " is empty")) : Ok();
  }());
  PERENNIAL_TRY(out.ns, ReadFile(fs::path(folder) / "namespace"));
  TrimEnd(out.ns);
  return out;
}

Result<ConnectionConfig> LoadConnectionConfig(const std::string& kubeconfig_flag,
                                              const std::string& context_flag) {
  if (!kubeconfig_flag.empty()) return LoadKubeconfig(kubeconfig_flag, context_flag);
  std::string listed = Environment("KUBECONFIG");
  listed = listed.substr(0, listed.find(':'));
  if (!listed.empty()) return LoadKubeconfig(listed, context_flag);
  const std::string home = Environment("HOME");
  const fs::path usual = fs::path(home) / ".kube" / "config";
  std::error_code ignored;
  if (!home.empty() && fs::exists(usual, ignored)) return LoadKubeconfig(usual, context_flag);
  auto pod = LoadInClusterConfig();
  if (pod.ok()) return pod;
  return Error{Errc::kNotFound, "no API server to talk to: no --kubeconfig, no $KUBECONFIG, no " +
                                    usual.string() + ", and " + pod.error().message};
}

}  // namespace perennial::kube
