#include "support/cluster_access.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "api/crd.h"
#include "kube/client.h"
#include "kube/http_transport.h"
#include "kube/kubeconfig.h"
#include "support/manifest.h"
#include "support/source_tree.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

constexpr Millis kDeadline{20'000};

// The plural of each kind that tests write.
std::string PluralOf(const std::string& kind) {
  if (kind.ends_with("y")) return kind.substr(0, kind.size() - 1) + "ies";
  return kind + "s";
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string AdminKubeconfig() {
  const char* path = std::getenv("PERENNIAL_KUBECONFIG");
  if (path == nullptr) {
    throw std::runtime_error(
        "PERENNIAL_KUBECONFIG is not set: integration tests need a cluster; run them with "
        "hack/test, or with tests/e2e/cluster api exec after tests/e2e/cluster api up");
  }
  return path;
}

kube::Ref NamespaceRef(const std::string& name) {
  return {{"", "v1", "namespaces", "Namespace"}, {"", name}};
}

void MustBeOk(const Answer& answer, const std::string& what) {
  if (!answer.ok()) throw std::runtime_error(what + ": " + answer.message());
}

void InstallCrds() {
  for (const api::KindInfo& kind : api::Kinds()) {
    const json crd = ParseManifests(api::RenderCrd(kind)).at(0);
    MustBeOk(Admin().Apply(RefOf(crd), crd), "cannot install " + kind.resource.plural);
  }
  for (const api::KindInfo& kind : api::Kinds()) {
    const bool served =
        Eventually([&] { return Admin().List(kind.resource, "default", "limit=1").ok(); });
    if (!served) throw std::runtime_error(kind.resource.plural + " are not served");
  }
}

}  // namespace

std::string Answer::message() const {
  const std::string text =
      body.is_object() ? body.value("message", body.dump().substr(0, 400)) : body.dump();
  return std::to_string(status) + " " + text;
}

ApiUser::ApiUser(const std::string& kubeconfig) {
  const auto config = kube::LoadKubeconfig(kubeconfig, "");
  if (!config.ok()) throw std::runtime_error(kubeconfig + ": " + config.error().message);
  auto transport = kube::MakeHttpTransport(*config, SystemClock());
  if (!transport.ok()) throw std::runtime_error(transport.error().message);
  transport_ = *std::move(transport);
}

Answer ApiUser::Send(const std::string& method, const std::string& path, const std::string& type,
                     const json* body) {
  const kube::Request request{method, path, type, body == nullptr ? "" : body->dump()};
  const auto response = transport_->Send(request, kDeadline);
  if (!response.ok()) throw std::runtime_error(path + ": " + response.error().message);
  return {response->status, json::parse(response->body, nullptr, false)};
}

Answer ApiUser::Get(const kube::Ref& ref, const std::string& rest) {
  return Send("GET", kube::PathOf(ref) + rest, "", nullptr);
}

Answer ApiUser::Create(const kube::Ref& ref, const json& object, const std::string& query) {
  const std::string path = kube::PathOf(ref.resource, ref.key.ns) + "?fieldValidation=Strict" +
                           (query.empty() ? "" : "&" + query);
  return Send("POST", path, "application/json", &object);
}

Answer ApiUser::Apply(const kube::Ref& ref, const json& object) {
  return Send("PATCH", kube::PathOf(ref) + "?fieldManager=test&force=true&fieldValidation=Strict",
              "application/apply-patch+yaml", &object);
}

Answer ApiUser::MergePatch(const kube::Ref& ref, const json& patch,
                           const std::string& subresource) {
  const std::string rest = subresource.empty() ? "" : "/" + subresource;
  return Send("PATCH", kube::PathOf(ref) + rest + "?fieldValidation=Strict",
              "application/merge-patch+json", &patch);
}

Answer ApiUser::Delete(const kube::Ref& ref) {
  return Send("DELETE", kube::PathOf(ref), "", nullptr);
}

Answer ApiUser::List(const kube::Resource& resource, const std::string& ns,
                     const std::string& query) {
  return Send("GET", kube::PathOf(resource, ns) + "?" + query, "", nullptr);
}

ApiUser& Admin() {
  static ApiUser admin(AdminKubeconfig());
  static bool installed = false;
  if (!installed) {
    installed = true;
    InstallCrds();
  }
  return admin;
}

std::unique_ptr<ApiUser> User(const std::string& name) {
  std::string path = Output(SourcePath("hack/cluster") + " user " + name);
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return std::make_unique<ApiUser>(path);
}

TestNamespace::TestNamespace() {
  static std::atomic<int> next{0};
  name_ = "test-" + std::to_string(getpid()) + "-" + std::to_string(next++);
  const json object = {
      {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name_}}}};
  MustBeOk(Admin().Create(NamespaceRef(name_), object), "cannot make namespace " + name_);
}

TestNamespace::~TestNamespace() {
  const Answer answer = Admin().Delete(NamespaceRef(name_));
  EXPECT_TRUE(answer.ok()) << answer.message();
}

void InstallManifests(const std::string& path) {
  for (const json& object : ParseManifests(ReadSource(path))) {
    MustBeOk(Admin().Apply(RefOf(object), object), "cannot install " + path);
  }
}

void Grant(const std::string& ns, const std::string& user, const json& rules) {
  static std::atomic<int> next{0};
  const std::string name = user + "-" + std::to_string(next++);
  const json metadata = {{"name", name}, {"namespace", ns}};
  const std::string group = "rbac.authorization.k8s.io";
  const json role = {
      {"apiVersion", group + "/v1"}, {"kind", "Role"}, {"metadata", metadata}, {"rules", rules}};
  const json binding = {
      {"apiVersion", group + "/v1"},
      {"kind", "RoleBinding"},
      {"metadata", metadata},
      {"roleRef", {{"apiGroup", group}, {"kind", "Role"}, {"name", name}}},
      {"subjects", json::array({{{"apiGroup", group}, {"kind", "User"}, {"name", user}}})}};
  MustBeOk(Admin().Create(RefOf(role), role), "cannot make role");
  MustBeOk(Admin().Create(RefOf(binding), binding), "cannot bind role");
}

bool Eventually(const std::function<bool()>& holds) {
  const Millis give_up = SystemClock().Steady() + Seconds(90);
  while (!holds()) {
    if (SystemClock().Steady() > give_up) return false;
    std::this_thread::sleep_for(Millis(50));
  }
  return true;
}

std::string Output(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>&1").c_str(), "r"), pclose);
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  std::string text;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    text.append(buffer.data(), n);
  }
  return text;
}

kube::Ref RefOf(const json& object) {
  const std::string api_version = object.at("apiVersion");
  const std::size_t slash = api_version.find('/');
  const bool core = slash == std::string::npos;
  const std::string kind = object.at("kind");
  const json& metadata = object.at("metadata");
  return {{core ? "" : api_version.substr(0, slash),
           core ? api_version : api_version.substr(slash + 1), PluralOf(Lower(kind)), kind},
          {metadata.value("namespace", ""), metadata.value("name", "")}};
}

}  // namespace perennial::testing
