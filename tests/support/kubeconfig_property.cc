#include "support/kubeconfig_property.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>

#include "kube/kubeconfig.h"

namespace perennial::testing {
namespace {

// base64, so that what decodes it goes on.
constexpr std::string_view kMark = "TWFya2VkQXNTZWNyZXQ=";
constexpr std::array<std::string_view, 5> kSecretFields{"token", "password", "client-key-data",
                                                        "exec", "auth-provider"};

bool IsSecret(const YAML::Node& key) {
  return key.IsScalar() && std::ranges::find(kSecretFields, key.Scalar()) != kSecretFields.end();
}

// A copy with other texts below the fields that hold secrets. Aliases are written out, so what
// would grow without end is given up.
class Masked {
 public:
  std::optional<YAML::Node> Of(const YAML::Node& node) {
    YAML::Node copy = Copied(node, false, 0);
    return left_ > 0 ? std::optional(copy) : std::nullopt;
  }
  bool any() const { return any_; }

 private:
  YAML::Node Copied(const YAML::Node& node, bool secret, int depth) {
    if (left_ <= 0 || depth > 60) left_ = 0;
    if (left_ == 0) return {};
    --left_;
    if (node.IsScalar()) {
      any_ |= secret;
      return YAML::Node(secret ? std::string(kMark) : node.Scalar());
    }
    YAML::Node copy(node.Type());
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) copy.push_back(Copied(item, secret, depth + 1));
    }
    if (node.IsMap()) {
      for (const auto& entry : node) {
        copy.force_insert(Copied(entry.first, false, depth + 1),
                          Copied(entry.second, secret || IsSecret(entry.first), depth + 1));
      }
    }
    return copy;
  }

  int left_ = 5'000;
  bool any_ = false;
};

// Secrets are replaced by a text that stands nowhere else: what is a name and a token at the same
// time is no leak.
std::string RepeatedSecret(std::string_view input) {
  if (input.find(kMark) != input.npos) return "";
  std::string text;
  try {
    Masked masked;
    const std::optional<YAML::Node> root = masked.Of(YAML::Load(std::string(input)));
    if (!root || !masked.any()) return "";
    text = YAML::Dump(*root);
  } catch (const std::exception&) {  // yaml-cpp's: no YAML, so the reason is a position
    return "";
  }
  const auto config = kube::ParseKubeconfig(text, "/nonexistent", "");
  if (config.ok() || config.error().message.find(kMark) == std::string::npos) return "";
  return "the reason repeats a secret: " + config.error().message;
}

}  // namespace

std::string ViolatedByKubeconfig(std::string_view input) {
  // No file lies there, so that nothing beside the text matters.
  const auto config = kube::ParseKubeconfig(std::string(input), "/nonexistent", "");
  if (!config.ok()) {
    if (config.error().message.empty()) return "refused without saying why";
    return RepeatedSecret(input);
  }
  if (config->server.empty()) return "accepted without a server";
  if (config->client_key_pem.empty() != config->client_certificate_pem.empty()) {
    return "accepted with half a client certificate";
  }
  if (config->ns.empty()) return "accepted without a namespace";
  return "";
}

}  // namespace perennial::testing
