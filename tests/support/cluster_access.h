#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kube/meta.h"
#include "kube/transport.h"

// The real API server that an integration test talks to. The environment variable
// PERENNIAL_KUBECONFIG (set by tests/e2e/cluster) names its administrator's kubeconfig; without it
// the tests fail and say so.
namespace perennial::testing {

struct Answer {
  int status = 0;
  nlohmann::json body;
  // The message of a metav1.Status, else the body's beginning.
  std::string message() const;
  bool ok() const { return status >= 200 && status < 300; }
};

// One user's connection.
class ApiUser {
 public:
  explicit ApiUser(const std::string& kubeconfig);

  Answer Get(const kube::Ref& ref, const std::string& rest = "");
  // `query` such as "dryRun=All". Unknown fields are refused, so that typing errors in a test, and
  // fields that are written but not in the CRD, come to light.
  Answer Create(const kube::Ref& ref, const nlohmann::json& object, const std::string& query = "");
  // Server-side apply as the field manager "test".
  Answer Apply(const kube::Ref& ref, const nlohmann::json& object);
  Answer MergePatch(const kube::Ref& ref, const nlohmann::json& patch,
                    const std::string& subresource = "");
  Answer Delete(const kube::Ref& ref);
  Answer List(const kube::Resource& resource, const std::string& ns, const std::string& query);

  kube::Transport& transport() { return *transport_; }

 private:
  Answer Send(const std::string& method, const std::string& path, const std::string& type,
              const nlohmann::json* body);

  std::unique_ptr<kube::Transport> transport_;
};

// The administrator; made once, with our CRDs installed and served.
ApiUser& Admin();
// A user with a client certificate and no rights of its own.
std::unique_ptr<ApiUser> User(const std::string& name);

// A new namespace, deleted with this object.
class TestNamespace {
 public:
  TestNamespace();
  ~TestNamespace();
  TestNamespace(const TestNamespace&) = delete;
  TestNamespace& operator=(const TestNamespace&) = delete;

  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

// Applies each document of crds/<file>.
void InstallManifests(const std::string& path);
// A Role of these rules in the namespace, bound to the user.
void Grant(const std::string& ns, const std::string& user, const nlohmann::json& rules);

// Looks again until `holds` or 90 s have passed; returns whether it did.
bool Eventually(const std::function<bool()>& holds);
// What a shell command prints, with the administrator's kubeconfig and kubectl in PATH.
std::string Output(const std::string& command);

kube::Ref RefOf(const nlohmann::json& object);

}  // namespace perennial::testing
