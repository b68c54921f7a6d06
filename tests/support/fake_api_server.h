#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kube/kubeconfig.h"
#include "kube/meta.h"
#include "kube/transport.h"
#include "support/faults.h"

namespace perennial::testing {

struct FakeApiOptions {
  // Listen on a loopback port too, for the real client. Without, only transport() reaches it.
  bool listen = true;
  bool tls = false;  // with a certificate made for this server, which Config() trusts
  // What the server's certificate is valid for, as OpenSSL writes it.
  std::string certificate_names = "IP:127.0.0.1,DNS:localhost";
  // PEM of the one client certificate that is let in; empty: none is asked for.
  std::string client_ca_pem;
  std::string token;            // if set, other tokens get 401
  bool collect_garbage = true;  // deletes what is owned by a deleted object
};

struct RecordedRequest {
  kube::Request request;
  std::string authorization;  // of requests that came over the wire
  int connection = 0;         // number of the connection, 0 for transport()
  int status = 0;             // of the answer; 0 while there is none
};

struct ObjectTally {
  int created = 0;
  int deleted = 0;
};

// A Kubernetes API server in this process: objects of any resource with uid, generation and
// resourceVersion; create, get, list in pages, watch with bookmarks, replace, merge patch,
// server-side apply, the status subresource, delete with preconditions, finalizers, owner
// references, all as far as Perennial uses them. Faults can be planned for every request. What it
// does is compared with a real API server by tests/integration.
//
// Reach it over loopback (`MakeHttpTransport(server.Config(), ...)`), or without sockets by
// `transport()`, which is faster and in step with the caller.
class FakeApiServer {
 public:
  explicit FakeApiServer(FakeApiOptions options = {});
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  kube::ConnectionConfig Config() const;
  kube::Transport& transport();
  std::string url() const;

  // The world, as other clients change it. `Put` creates the object or replaces all of it, status
  // too, and answers what is stored; `object` needs a metadata.name at least.
  nlohmann::json Put(const kube::Resource& resource, nlohmann::json object);
  // null, and nothing done, where the object is gone.
  nlohmann::json PutStatus(const kube::Ref& ref, nlohmann::json status);
  std::optional<nlohmann::json> Get(const kube::Ref& ref) const;
  std::vector<nlohmann::json> List(const kube::Resource& resource) const;
  void Remove(const kube::Ref& ref);
  // Requests for it get 404, as if its CRD were not installed; and back.
  void Uninstall(const kube::Resource& resource);
  void Install(const kube::Resource& resource);

  // What is older than now is forgotten: watches from an older version and pages under way get 410.
  void Compact();
  void SendBookmarks();
  // Ends all connections, as a restart does.
  void CloseConnections();
  std::size_t open_watches() const;
  // So far: watches that CloseConnections() found open, and those that got 410 since Compact().
  std::size_t cut_watches() const;
  std::size_t expired_watches() const;

  // The next `times` matching requests after `skip` of them go wrong.
  void FailNext(Match match, Fault fault, int times = 1, int skip = 0);
  FaultPlan& faults();
  const FaultPlan& faults() const;

  std::vector<RecordedRequest> Requests(const Match& match = {}) const;
  std::size_t Count(const Match& match) const;
  std::size_t Writes() const;  // requests that are not GET
  void ForgetRequests();
  std::string resource_version() const;  // the newest
  // How often an object of each name was created and deleted, whoever did it.
  std::map<kube::Ref, ObjectTally> Tallies() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Resources that tests use.
kube::Resource ConfigMaps();
kube::Resource Deployments();
kube::Resource Jobs();
kube::Resource Services();
kube::Resource Leases();
kube::Resource Events();
kube::Resource HttpRoutes();
kube::Resource ModelDeployments();

// {"apiVersion", "kind", "metadata": {"namespace", "name"}, ...fields}
nlohmann::json MakeObject(const kube::Ref& ref, const std::string& fields_json = "{}");

}  // namespace perennial::testing
