// Who reaches the controller, and whom it reaches for users: that what other tests show of the
// parts is so of the whole.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <string>

#include "api/names.h"
#include "base/log.h"
#include "scrape/address_policy.h"
#include "support/controller_world.h"
#include "support/eventually.h"
#include "support/in_process.h"
#include "support/raw_client.h"
#include "support/socket_server.h"

namespace perennial::app {
namespace {

using nlohmann::json;
using ::perennial::test::Connection;
using ::perennial::test::RawClient;
using ::perennial::test::SocketServer;
using ::perennial::testing::Answer;
using ::perennial::testing::ControllerWorld;
using ::perennial::testing::Eventually;
using ::perennial::testing::FakeApiServer;
using ::perennial::testing::InProcess;
using ::perennial::testing::On;

// An address of this machine that pods could have; empty where there is none.
std::string OwnAddress() {
  std::string found;
  ifaddrs* all = nullptr;
  EXPECT_EQ(::getifaddrs(&all), 0);
  for (const ifaddrs* one = all; one != nullptr && found.empty(); one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_UP) == 0 || !scrape::CheckAddress(one->ifa_addr, {}).ok()) continue;
    char text[INET_ADDRSTRLEN] = "";
    const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    ::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    found = text;
  }
  ::freeifaddrs(all);
  return found;
}

class ReachTest : public ::testing::Test {
 protected:
  std::string Get(const std::string& path, const std::string& header = "") {
    const RawClient client(world_.controller().metrics_port());
    EXPECT_TRUE(client.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n" + header +
                            "Connection: close\r\n\r\n"));
    return client.ReadAll();
  }
  static std::string Bearer(const std::string& token) {
    return "Authorization: Bearer " + token + "\r\n";
  }

  // As the API server keeps its own.
  void SetApiServer(const std::string& address) {
    server_.Put(api::kEndpointSlices,
                {{"metadata",
                  {{"namespace", "default"},
                   {"name", "kubernetes"},
                   {"labels", {{"kubernetes.io/service-name", "kubernetes"}}}}},
                 {"addressType", "IPv4"},
                 {"endpoints", {{{"addresses", {address}}, {"conditions", {{"ready", true}}}}}},
                 {"ports", {{{"name", "https"}, {"port", 6443}}}}});
  }
  // Somebody's monitor whose Prometheus is said to be at `url`.
  void Monitor(const std::string& url) {
    world_.SetModel("http://models/1");
    json monitor = json::parse(R"({
      "metadata": {"namespace": "transit", "name": "m"},
      "spec": {"target": {"modelDeployment": "departures"}, "interval": "1s", "window": "1m",
               "signals": [{"name": "a", "type": "Custom", "metric": "m", "max": "1"}]}})");
    monitor["spec"]["source"]["prometheus"]["url"] = url;
    server_.Put(api::kDriftMonitors, monitor);
  }
  bool StatusSays(const std::string& text) {
    return Eventually(
        [&] {
          world_.MakePodsReady();
          const auto monitor = server_.Get({api::kDriftMonitors, {"transit", "m"}});
          return monitor &&
                 monitor->value("status", json::object()).dump().find(text) != std::string::npos;
        },
        Millis(20'000));
  }
  std::string StatusText() {
    const auto monitor = server_.Get({api::kDriftMonitors, {"transit", "m"}});
    return monitor ? monitor->value("status", json::object()).dump(2) : "no monitor";
  }

  FakeApiServer server_{InProcess()};
  ControllerWorld world_{server_};
};

TEST_F(ReachTest, OnlyThoseWhoMayReadTheMetrics) {
  world_.front.readers = {{"scraper", true}, {"stranger", false}};
  RunOptions options;
  options.metrics_auth = true;
  world_.Start(false, options);
  const auto refused = [](const std::string& answer, const char* status) {
    EXPECT_EQ(answer.rfind(std::string("HTTP/1.1 ") + status, 0), 0u) << answer;
    EXPECT_EQ(answer.find("perennial_"), std::string::npos) << answer;
  };
  refused(Get("/metrics"), "401");
  refused(Get("/metrics", Bearer("made-up")), "401");
  refused(Get("/metrics", Bearer("stranger")), "403");
  refused(Get("/other", Bearer("scraper")), "403");
  const std::string page = Get("/metrics", Bearer("scraper"));
  EXPECT_EQ(page.rfind("HTTP/1.1 200", 0), 0u) << page.substr(0, 200);
  EXPECT_NE(page.find("perennial_"), std::string::npos);
  world_.Stop();
}

TEST_F(ReachTest, SaysWhenNoPolicyGuardsItsRights) {
  InitLogging("warn", LogFormat::kText);
  ::testing::internal::CaptureStderr();
  world_.Start();
  EXPECT_TRUE(Eventually([&] { return server_.open_watches() >= 10; }));
  world_.Stop();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("not in force: the admission policies perennial-modelapprovals, "),
            std::string::npos)
      << log;
}

TEST_F(ReachTest, NobodyHasTheApiServerScraped) {
  const std::string address = OwnAddress();
  ASSERT_FALSE(address.empty()) << "this machine has no address but loopback";
  const SocketServer socket([](Connection&) {}, nullptr, address);
  SetApiServer(address);
  Monitor("http://" + address + ":" + std::to_string(socket.port()));
  world_.Start();
  EXPECT_TRUE(StatusSays("address is one of the API server's")) << StatusText();
  EXPECT_EQ(socket.accepted(), 0u);
  world_.Stop();
}

// As from outside of the cluster: by a load balancer that is on no slice.
TEST_F(ReachTest, NobodyHasItScrapedWhereTheControllerReachesIt) {
  const std::string address = OwnAddress();
  ASSERT_FALSE(address.empty()) << "this machine has no address but loopback";
  const SocketServer socket([](Connection&) {}, nullptr, address);
  SetApiServer("192.0.2.1");
  Monitor("http://" + address + ":" + std::to_string(socket.port()));
  world_.server_url = "https://" + address + ":6443";
  world_.Start();
  EXPECT_TRUE(StatusSays("address is one of the API server's")) << StatusText();
  EXPECT_EQ(socket.accepted(), 0u);
  world_.Stop();
}

TEST_F(ReachTest, NothingIsScrapedWhileNobodyKnowsWhereTheApiServerIs) {
  const std::string address = OwnAddress();
  ASSERT_FALSE(address.empty()) << "this machine has no address but loopback";
  const SocketServer socket([](Connection&) {}, nullptr, address);
  server_.FailNext(On("GET", "/namespaces/default/endpointslices"), Answer(403, "Forbidden"), 1000);
  Monitor("http://" + address + ":" + std::to_string(socket.port()));
  world_.Start();
  EXPECT_TRUE(StatusSays("the API server's addresses are not known yet")) << StatusText();
  EXPECT_EQ(socket.accepted(), 0u);

  // It asks again by itself. What is another's address is scraped.
  SetApiServer("192.0.2.1");
  server_.faults().Clear();
  EXPECT_TRUE(Eventually([&] { return socket.accepted() > 0; }, Millis(60'000))) << StatusText();

  // It moves there while the controller works.
  SetApiServer(address);
  EXPECT_TRUE(StatusSays("address is one of the API server's")) << StatusText();
  const std::size_t accepted = socket.accepted();
  std::this_thread::sleep_for(Millis(2'500));
  EXPECT_EQ(socket.accepted(), accepted);
  world_.Stop();
}

}  // namespace
}  // namespace perennial::app
