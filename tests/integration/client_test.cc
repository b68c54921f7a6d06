// The client, the transport and the informer against a real API server: what it answers is what
// the in-process server of the component tests is made to answer.
#include "kube/client.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "kube/http_transport.h"
#include "kube/informer.h"
#include "support/cluster_access.h"
#include "support/fake_api_server.h"
#include "support/socket_server.h"

namespace perennial::testing {
namespace {

using kube::Client;
using kube::ConnectionConfig;
using kube::ListOptions;
using kube::Ref;
using kube::Request;
using kube::Resource;
using kube::Subresource;
using kube::Transport;
using nlohmann::json;

ConnectionConfig AdminConfig() {
  const char* path = getenv("PERENNIAL_KUBECONFIG");
  if (path == nullptr) throw std::runtime_error("PERENNIAL_KUBECONFIG is not set");
  auto config = kube::LoadKubeconfig(path, "");
  if (!config.ok()) throw std::runtime_error(config.error().message);
  return *std::move(config);
}

std::unique_ptr<Transport> Connect(const ConnectionConfig& config) {
  auto made = kube::MakeHttpTransport(config, SystemClock());
  if (!made.ok()) throw std::runtime_error(made.error().message);
  return *std::move(made);
}

class ClientIntegrationTest : public ::testing::Test {
 protected:
  ClientIntegrationTest()
      : http_(Connect(AdminConfig())),
        client_(*http_, SystemClock(), "tester"),
        other_(*http_, SystemClock(), "other") {}

  Ref Map(const std::string& name) const { return {ConfigMaps(), {ns_.name(), name}}; }
  Ref Web() const { return {Deployments(), {ns_.name(), "web"}}; }
  std::string MapBody(const std::string& name, const std::string& value = "1") const {
    return MakeObject(Map(name),
                      R"({"metadata":{"labels":{"of":"test"}},"data":{"v":")" + value + R"("}})")
        .dump();
  }
  std::string WebBody(int replicas, const std::string& metadata = "{}") const {
    json object = MakeObject(Web(), R"({"metadata":)" + metadata + "}");
    object["spec"] = json::parse(R"({"selector":{"matchLabels":{"a":"b"}},"template":{
        "metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}})");
    object["spec"]["replicas"] = replicas;
    return object.dump();
  }

  TestNamespace ns_;
  std::unique_ptr<Transport> http_;
  Client client_;
  Client other_;
};

TEST_F(ClientIntegrationTest, CreatesGetsAndDeletes) {
  const auto created = client_.Create(Map("a"), MapBody("a"));
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ(client_.Create(Map("a"), MapBody("a")).error().code, Errc::kAlreadyExists);
  const auto got = client_.Get(Map("a"));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(json::parse(*got)["metadata"]["uid"], created->uid);
  EXPECT_EQ(json::parse(*got)["data"]["v"], "1");
  // Another UID is another object; an older version is a conflict.
  EXPECT_TRUE(client_.Delete(Map("a"), "00000000-0000-4000-8000-000000000000").ok());
  EXPECT_TRUE(client_.Get(Map("a")).ok());
  EXPECT_EQ(client_.Delete(Map("a"), created->uid, "1").error().code, Errc::kConflict);
  EXPECT_TRUE(client_.Get(Map("a")).ok());
  EXPECT_TRUE(client_.Delete(Map("a"), created->uid, created->resource_version).ok());
  EXPECT_EQ(client_.Get(Map("a")).error().code, Errc::kNotFound);
  EXPECT_TRUE(client_.Delete(Map("a"), created->uid).ok());
}

TEST_F(ClientIntegrationTest, ListsInPages) {
  for (int i = 0; i < 7; ++i) {
    const std::string name = "m" + std::to_string(i);
    json object = json::parse(MapBody(name));
    object["metadata"]["labels"]["list"] = "me";
    ASSERT_TRUE(client_.Create(Map(name), object.dump()).ok());
  }
  ListOptions options{ns_.name(), "list=me", "", "", 3};
  std::set<std::string> names, versions;
  int pages = 0;
  do {
    const auto page = client_.List(ConfigMaps(), options);
    ASSERT_TRUE(page.ok()) << page.error().message;
    for (const std::string& item : page->items) {
      const json object = json::parse(item);
      EXPECT_EQ(object["kind"], "ConfigMap");  // which items of this list don't carry themselves
      EXPECT_EQ(object["apiVersion"], "v1");
      names.insert(object["metadata"]["name"]);
    }
    versions.insert(page->resource_version);
    options.continue_token = page->continue_token;
    ++pages;
  } while (!options.continue_token.empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(names.size(), 7u);
  EXPECT_EQ(versions.size(), 1u) << "all pages are of one moment";
  options.continue_token = "nonsense";
  EXPECT_EQ(client_.List(ConfigMaps(), options).error().code, Errc::kInvalid);
}

TEST_F(ClientIntegrationTest, AppliesOnTheServersSide) {
  const auto first = client_.Apply(Web(), WebBody(0));
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->generation, 1);
  // The same again writes nothing. Seen on an object that no controller writes to meanwhile.
  const auto map = client_.Apply(Map("same"), MapBody("same"));
  ASSERT_TRUE(map.ok()) << map.error().message;
  const auto again = client_.Apply(Map("same"), MapBody("same"));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->resource_version, map->resource_version);
  const auto changed = client_.Apply(Web(), WebBody(1));
  EXPECT_EQ(changed->generation, 2);
  // A field of another manager, with and without force.
  json mine = MakeObject(Web());
  mine["spec"]["replicas"] = 5;
  EXPECT_EQ(other_.Apply(Web(), mine.dump(), Subresource::kNone, false).error().code,
            Errc::kConflict);
  ASSERT_TRUE(other_.Apply(Web(), mine.dump()).ok());
  EXPECT_EQ(json::parse(*client_.Get(Web()))["spec"]["replicas"], 5);
  // A stale version.
  EXPECT_EQ(
      client_
          .Apply(Web(), WebBody(2, R"({"resourceVersion":")" + first->resource_version + R"("})"))
          .error()
          .code,
      Errc::kConflict);
  // What is no Deployment.
  json bad = json::parse(WebBody(1));
  bad["spec"]["template"]["spec"]["containers"] = json::array();
  EXPECT_EQ(client_.Apply(Web(), bad.dump()).error().code, Errc::kInvalid);
}

TEST_F(ClientIntegrationTest, LeavingAFieldOutRemovesIt) {
  const auto with = [&](const std::string& data) {
    return MakeObject(Map("a"), R"({"data":)" + data + "}").dump();
  };
  ASSERT_TRUE(client_.Apply(Map("a"), with(R"({"x":"1","y":"2"})")).ok());
  ASSERT_TRUE(other_.Apply(Map("a"), with(R"({"z":"3"})")).ok());
  ASSERT_TRUE(client_.Apply(Map("a"), with(R"({"x":"1"})")).ok());
  EXPECT_EQ(json::parse(*client_.Get(Map("a")))["data"], (json{{"x", "1"}, {"z", "3"}}));
}

// As support/fake_api_server.h has it, too.
TEST_F(ClientIntegrationTest, WhatACreateSetStaysWhenItsManagerAppliesLess) {
  const auto with = [&](const std::string& data) {
    return MakeObject(Map("c"), R"({"data":)" + data + "}").dump();
  };
  ASSERT_TRUE(client_.Create(Map("c"), with(R"({"x":"1","y":"2"})")).ok());
  ASSERT_TRUE(client_.Apply(Map("c"), with(R"({"x":"1","z":"3"})")).ok());
  ASSERT_TRUE(client_.Apply(Map("c"), with(R"({"x":"1"})")).ok());
  EXPECT_EQ(json::parse(*client_.Get(Map("c")))["data"], (json{{"x", "1"}, {"y", "2"}}));
}

TEST_F(ClientIntegrationTest, WritesTheStatusApart) {
  const auto created = client_.Create(Web(), WebBody(0));
  ASSERT_TRUE(created.ok()) << created.error().message;
  const auto patched = client_.MergePatch(
      Web(), R"({"status":{"observedGeneration":7},"spec":{"replicas":9}})", Subresource::kStatus);
  ASSERT_TRUE(patched.ok()) << patched.error().message;
  EXPECT_EQ(patched->generation, 1);
  const json object = json::parse(patched->body);
  EXPECT_EQ(object["spec"]["replicas"], 0);
}

TEST_F(ClientIntegrationTest, TellsWhyThingsAreRefused) {
  const Ref nowhere{ConfigMaps(), {"no-such-namespace-" + ns_.name(), "a"}};
  EXPECT_EQ(client_.Create(nowhere, MakeObject(nowhere).dump()).error().code, Errc::kNotFound);
  const Resource unknown{"nothing.example", "v1", "things", "Thing"};
  EXPECT_EQ(client_.List(unknown, {}).error().code, Errc::kNotFound);
  EXPECT_EQ(client_.Create(Map("Bad_Name"), MapBody("Bad_Name")).error().code, Errc::kInvalid);
  const std::string large(4 << 20, 'x');
  const Error too_large = client_.Create(Map("big"), MapBody("big", large)).error();
  EXPECT_TRUE(too_large.code == Errc::kTooLarge || too_large.code == Errc::kInvalid)
      << too_large.message;
}

struct Value {
  kube::Meta meta;
  std::string value;
};

Result<Value> Decode(const json& object) {
  PERENNIAL_TRY(kube::Meta meta, kube::ParseMeta(object));
  return Value{std::move(meta), object.at("data").at("v").get<std::string>()};
}

TEST_F(ClientIntegrationTest, AnInformerFollows) {
  for (int i = 0; i < 5; ++i) {
    const std::string name = "m" + std::to_string(i);
    ASSERT_TRUE(client_.Create(Map(name), MapBody(name)).ok());
  }
  kube::InformerOptions options;
  options.ns = ns_.name();
  options.label_selector = "of=test";  // not what the cluster puts into each namespace
  options.page_size = 2;
  kube::Informer<Value> informer(*http_, SystemClock(), ConfigMaps(), options, Decode);
  informer.Start();
  ASSERT_TRUE(Eventually([&] { return informer.store().Synced(); }));
  const auto is = [&](const std::string& name, const std::string& value) {
    return Eventually([&] {
      const auto found = informer.store().Get({ns_.name(), name});
      return value.empty() ? found == nullptr : found != nullptr && found->value == value;
    });
  };
  EXPECT_TRUE(is("m4", "1"));
  ASSERT_TRUE(client_.MergePatch(Map("m0"), R"({"data":{"v":"2"}})").ok());
  const auto created = client_.Create(Map("new"), MapBody("new", "3"));
  ASSERT_TRUE(created.ok());
  EXPECT_TRUE(is("m0", "2"));
  EXPECT_TRUE(is("new", "3"));
  ASSERT_TRUE(client_.Delete(Map("new"), created->uid).ok());
  EXPECT_TRUE(is("new", ""));
  EXPECT_EQ(informer.Counters().lists, 1u);
  EXPECT_EQ(informer.Counters().failures, 0u);
  EXPECT_EQ(informer.Counters().undecodable, 0u);
  const Millis begin = SystemClock().Steady();
  informer.Stop();
  EXPECT_LT(SystemClock().Steady() - begin, Millis{500});
}

// Lines of a watch, until `enough` or the server's end.
std::vector<json> Watch(Transport& http, const Resource& resource, const ListOptions& options,
                        Seconds timeout, const std::function<bool(const json&)>& enough) {
  std::vector<json> lines;
  std::stop_source stop;
  (void)http.Stream(
      kube::WatchRequest(resource, options, timeout), timeout + Seconds{5},
      [&](std::string_view line) {
        lines.push_back(json::parse(line));
        if (enough(lines.back())) stop.request_stop();
      },
      stop.get_token());
  return lines;
}

TEST_F(ClientIntegrationTest, AWatchFromAnOldVersionIsToldToListAgain) {
  // From before this resource was known, which is before what the server's cache remembers of it.
  const auto lines = Watch(*http_, ModelDeployments(), {ns_.name(), "", "1", "", 0}, Seconds{5},
                           [](const json&) { return true; });
  ASSERT_FALSE(lines.empty());
  ASSERT_EQ(lines[0]["type"], "ERROR") << lines[0];
  EXPECT_EQ(lines[0]["object"]["code"], 410);
  EXPECT_EQ(lines[0]["object"]["reason"], "Expired");
}

TEST_F(ClientIntegrationTest, AWatchEndsWellAtItsTime) {
  const auto page = client_.List(ConfigMaps(), {ns_.name(), "", "", "", 1});
  ASSERT_TRUE(page.ok());
  const Millis begin = SystemClock().Steady();
  const Status ended = http_->Stream(
      kube::WatchRequest(ConfigMaps(), {ns_.name(), "", page->resource_version, "", 0}, Seconds{2}),
      Seconds{7}, [](std::string_view) {}, {});
  EXPECT_TRUE(ended.ok()) << ended.error().message;
  EXPECT_GE(SystemClock().Steady() - begin, Millis{1'500});
  EXPECT_LT(SystemClock().Steady() - begin, Millis{5'000});
}

// Bookmarks come about once a minute; the library's own habits must not end a quiet watch earlier.
TEST_F(ClientIntegrationTest, AQuietWatchLivesAndGetsBookmarks) {
  const auto page = client_.List(ConfigMaps(), {ns_.name(), "", "", "", 1});
  ASSERT_TRUE(page.ok());
  const auto lines =
      Watch(*http_, ConfigMaps(), {ns_.name(), "", page->resource_version, "", 0}, Seconds{110},
            [](const json& line) { return line["type"] == "BOOKMARK"; });
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back()["type"], "BOOKMARK");
  const std::string version = lines.back()["object"]["metadata"]["resourceVersion"];
  EXPECT_GE(kube::CompareResourceVersions(version, page->resource_version), 0);
}

const Request kWhoAmI{"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                      "application/json",
                      R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})"};

TEST_F(ClientIntegrationTest, TheServerIsKnownByTheClustersCaAndItsNames) {
  ConnectionConfig config = AdminConfig();
  config.ca_pem = test::MakeTlsIdentity("other", "IP:127.0.0.1").certificate_pem;
  EXPECT_EQ(Connect(config)->Send(kWhoAmI, Seconds{5}).error().code, Errc::kUnavailable);
  config = AdminConfig();
  config.server_name = "kubernetes.default.svc";
  EXPECT_TRUE(Connect(config)->Send(kWhoAmI, Seconds{5}).ok());
  config.server_name = "example.org";
  EXPECT_EQ(Connect(config)->Send(kWhoAmI, Seconds{5}).error().code, Errc::kUnavailable);
}

TEST_F(ClientIntegrationTest, AClientCertificateSaysWhoWeAre) {
  ConnectionConfig config = AdminConfig();
  const auto as_admin = Connect(config)->Send(kWhoAmI, Seconds{5});
  ASSERT_TRUE(as_admin.ok()) << as_admin.error().message;
  EXPECT_EQ(as_admin->status, 201);
  config.client_certificate_pem.clear();
  config.client_key_pem.clear();
  config.token = "wrong";
  const auto as_nobody = Connect(config)->Send(kWhoAmI, Seconds{5});
  ASSERT_TRUE(as_nobody.ok());
  EXPECT_EQ(as_nobody->status, 401);
}

TEST_F(ClientIntegrationTest, AServiceAccountsTokenSaysWhoWeAre) {
  const Ref account{{"", "v1", "serviceaccounts", "ServiceAccount"}, {ns_.name(), "robot"}};
  ASSERT_TRUE(client_.Create(account, MakeObject(account).dump()).ok());
  const auto issued =
      http_->Send({"POST", PathOf(account) + "/token", "application/json",
                   R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}})"},
                  Seconds{5});
  ASSERT_TRUE(issued.ok());
  ASSERT_EQ(issued->status, 201) << issued->body;
  const auto file = std::filesystem::temp_directory_path() / (ns_.name() + ".token");
  std::ofstream(file) << json::parse(issued->body)["status"]["token"].get<std::string>();
  ConnectionConfig config = AdminConfig();
  config.client_certificate_pem.clear();
  config.client_key_pem.clear();
  config.token_file = file.string();
  const auto robot = Connect(config);
  const auto who = robot->Send(kWhoAmI, Seconds{5});
  std::filesystem::remove(file);
  ASSERT_TRUE(who.ok()) << who.error().message;
  EXPECT_EQ(json::parse(who->body)["status"]["userInfo"]["username"],
            "system:serviceaccount:" + ns_.name() + ":robot");
  Client as_robot(*robot, SystemClock(), "robot");
  EXPECT_EQ(as_robot.Get(Map("a")).error().code, Errc::kForbidden);
}

}  // namespace
}  // namespace perennial::testing
