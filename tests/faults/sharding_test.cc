// Several controllers in this process that share the work by shards, against one API server. Time
// is real, and Leases are short.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/names.h"
#include "faults/sharding_replica.h"
#include "kube/client.h"
#include "kube/shards.h"
#include "support/controller_world.h"
#include "support/eventually.h"
#include "support/in_process.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

constexpr int kNamespaces = 8;
constexpr int kModels = 3;  // in each

std::string Namespace(int i) {
  return "team-" + std::to_string(i);
}

class ShardingTest : public ::testing::Test {
 protected:
  std::unique_ptr<ShardReplica> Start(const std::string& name, int shards = 4, int events_port = 0,
                                      const ShardReplica::Times& times = {}) {
    app::RunOptions options;
    options.shards = shards;
    options.events_port = events_port;
    return std::make_unique<ShardReplica>(server_, journal_, name, options, times);
  }

  void AddModels(const std::string& prefix, int models = kModels) {
    for (int ns = 0; ns < kNamespaces; ++ns) {
      for (int i = 0; i < models; ++i) {
        json object = json::parse(R"({"spec": {"replicas": 0, "model": {"uri": "http://m/1"},
          "template": {"spec": {"containers": [{"name": "model", "image": "m",
            "ports": [{"name": "http", "containerPort": 8080}]}]}}}})");
        object["metadata"] = {{"namespace", Namespace(ns)}, {"name", prefix + std::to_string(i)}};
        server_.Put(api::kModelDeployments, object);
      }
    }
  }

  // Somebody edits the first model of each namespace: there is something to write.
  void EditModels(const std::string& prefix, int edit) {
    kube::Client user(server_.transport(), SystemClock(), "user");
    const json labels = {{"edit", std::to_string(edit)}};
    const json patch = {{"spec", {{"template", {{"metadata", {{"labels", labels}}}}}}}};
    for (int ns = 0; ns < kNamespaces; ++ns) {
      EXPECT_TRUE(
          user.MergePatch({api::kModelDeployments, {Namespace(ns), prefix + "0"}}, patch.dump())
              .ok());
    }
  }

  bool Converged() const {
    for (const json& model : server_.List(api::kModelDeployments)) {
      if (model.value("/status/observedGeneration"_json_pointer, 0) !=
          model["metadata"]["generation"]) {
        return false;
      }
    }
    const std::size_t models = server_.List(api::kModelDeployments).size();
    return server_.List(api::kDeployments).size() == models &&
           server_.List(api::kModelVersions).size() == models;
  }
  void Settle() {
    ASSERT_TRUE(Eventually([&] { return Converged(); }, Millis(60'000)));
    std::size_t before = 0;
    ASSERT_TRUE(Eventually(
        [&] {
          const std::size_t now = WorkWrites();
          const bool quiet = std::exchange(before, now) == now;
          std::this_thread::sleep_for(Millis(400));
          return quiet;
        },
        Millis(60'000)));
  }
  // All that isn't about Leases, of one moment.
  std::size_t WorkWrites() const {
    const std::vector<RecordedRequest> requests = server_.Requests();
    return static_cast<std::size_t>(
        std::count_if(requests.begin(), requests.end(), [](const RecordedRequest& one) {
          return one.request.method != "GET" &&
                 one.request.path.find("/leases") == std::string::npos;
        }));
  }

  // Whose each shard is, by its Lease: the replica's name.
  std::vector<std::string> Holders(int shards = 4) const {
    std::vector<std::string> out;
    for (int i = 0; i < shards; ++i) {
      const auto lease = server_.Get(
          {Leases(), {"perennial-system", "perennial-controller-shard-" + std::to_string(i)}});
      const std::string holder =
          lease ? lease->value("/spec/holderIdentity"_json_pointer, std::string()) : "";
      out.push_back(holder.substr(0, holder.find('_')));
    }
    return out;
  }
  std::map<std::string, int> Shares(int shards = 4) const {
    std::map<std::string, int> out;
    for (const std::string& holder : Holders(shards)) ++out[holder];
    return out;
  }
  // Each shard is held, and each by another replica; as seen in one look.
  bool EachHasOne(int shards) const {
    const auto shares = Shares(shards);
    return shares.size() == static_cast<std::size_t>(shards) && !shares.contains("");
  }

  // Nothing was made twice, and nothing that is not to go was deleted.
  void ExpectOnce() const {
    int seen = 0;
    for (const auto& [ref, tally] : server_.Tallies()) {
      if (ref.resource.plural == "leases" || ref.resource.plural == "events") continue;
      ++seen;
      EXPECT_EQ(tally.created, 1) << kube::ToString(ref);
      EXPECT_EQ(tally.deleted, 0) << kube::ToString(ref);
    }
    EXPECT_GT(seen, kNamespaces * kModels);
  }
  // Each namespace had these writers one after the other at most.
  void ExpectWriters(std::size_t most) const {
    const auto writers = journal_.writers();
    EXPECT_EQ(writers.size(), static_cast<std::size_t>(kNamespaces));
    for (const auto& [ns, who] : writers) {
      EXPECT_LE(who.size(), most) << ns << ": " << json(who).dump();
      EXPECT_EQ(std::set<std::string>(who.begin(), who.end()).size(), who.size())
          << ns << ": two wrote by turns: " << json(who).dump();
    }
  }

  FakeApiServer server_{InProcess()};
  WriterJournal journal_;
};

TEST_F(ShardingTest, TwoReplicasShareTheWork) {
  const auto a = Start("a");
  const auto b = Start("b");
  ASSERT_TRUE(Eventually(
      [&] {
        return Shares() == std::map<std::string, int>{{"a", 2}, {"b", 2}};
      },
      Millis(30'000)))
      << json(Holders()).dump();
  AddModels("early");
  Settle();
  ExpectOnce();
  ExpectWriters(1);
  const auto holders = Holders();
  for (const auto& [ns, who] : journal_.writers()) {
    EXPECT_EQ(who.back(), holders[static_cast<std::size_t>(kube::ShardOf(ns, 4))]) << ns;
  }
  EXPECT_FALSE(a->lost || b->lost);
  a->Stop();
  const Millis given_up = SystemClock().Steady();
  EXPECT_TRUE(Eventually([&] {
    return Shares() == std::map<std::string, int>{{"b", 4}};
  })) << json(Holders()).dump();
  EXPECT_LT(SystemClock().Steady() - given_up, Millis(kShardLease) * 3 / 4)
      << "what is given up is not waited for";
}

TEST_F(ShardingTest, AKilledReplicasObjectsAreTakenOver) {
  std::vector<std::unique_ptr<ShardReplica>> replicas;
  for (const char* name : {"a", "b", "c", "d"}) replicas.push_back(Start(name));
  ASSERT_TRUE(Eventually([&] { return EachHasOne(4); }, Millis(30'000))) << json(Holders()).dump();
  AddModels("early");
  // In the middle of it.
  ASSERT_TRUE(Eventually([&] {
    return server_.List(api::kDeployments).size() >= static_cast<std::size_t>(kNamespaces);
  }));
  const std::string killed = Holders()[2];
  for (auto& replica : replicas) {
    if (replica->name() == killed) replica->Kill();
  }
  const Millis begin = SystemClock().Steady();
  ASSERT_TRUE(Eventually([&] { return !Shares().contains(killed); }, Millis(30'000)));
  const Millis took = SystemClock().Steady() - begin;
  RecordProperty("takeover_ms", static_cast<int>(took.count()));
  EXPECT_GT(took, Millis(kShardLease) / 2) << "not before it must have stopped";
  EXPECT_LT(took, Millis(kShardLease) * 2);
  Settle();
  AddModels("late");
  Settle();
  ExpectOnce();
  ExpectWriters(2);
  for (const auto& [ns, who] : journal_.writers()) {
    EXPECT_NE(who.back(), killed);
    EXPECT_EQ(who.size(), kube::ShardOf(ns, 4) == 2 && who.front() == killed ? 2u : 1u)
        << "only the killed one's were moved: " << ns << " " << json(who).dump();
  }
}

// The clock of one is a tenth slow, and that of the other a tenth fast: what the first may still do
// lasts longer than its Lease says, and the second one waits for less. The first learns nothing of
// its Leases any more, and whatever it writes arrives.
TEST_F(ShardingTest, ClocksThatRunApartNeverMakeTwoOwners) {
  const RatedClock slow_clock(90);
  const RatedClock fast_clock(110);
  const auto slow = Start("slow", 4, 0, {kShardLease * 3 / 2, slow_clock});
  const auto fast = Start("fast", 4, 0, {kShardLease * 3 / 2, fast_clock});
  ASSERT_TRUE(Eventually(
      [&] {
        return Shares() == std::map<std::string, int>{{"fast", 2}, {"slow", 2}};
      },
      Millis(40'000)))
      << json(Holders()).dump();
  AddModels("early");
  Settle();
  slow->CutLeases();
  int edits = 0;
  ASSERT_TRUE(Eventually(
      [&] {
        EditModels("early", ++edits);
        std::this_thread::sleep_for(Millis(100));
        return Shares() == std::map<std::string, int>{{"fast", 4}};
      },
      Millis(40'000)))
      << json(Holders()).dump();
  EXPECT_TRUE(Eventually([&] { return slow->lost.load(); }));
  Settle();
  ExpectOnce();
  ExpectWriters(2);
  int handed_over = 0;
  for (const auto& [ns, who] : journal_.writers()) {
    EXPECT_EQ(who.back(), "fast") << ns;
    handed_over += who.front() == "slow";
  }
  EXPECT_GT(handed_over, 0);
  EXPECT_LT(handed_over, kNamespaces);
  EXPECT_FALSE(fast->lost);
}

TEST_F(ShardingTest, AReplicaThatComesGetsItsShare) {
  const auto a = Start("a");
  AddModels("early");
  Settle();
  EXPECT_EQ(Shares(), (std::map<std::string, int>{{"a", 4}}));
  const std::size_t before = WorkWrites();
  const auto b = Start("b");
  ASSERT_TRUE(Eventually(
      [&] {
        return Shares() == std::map<std::string, int>{{"a", 2}, {"b", 2}};
      },
      Millis(40'000)))
      << json(Holders()).dump();
  std::this_thread::sleep_for(Millis(1'000));
  EXPECT_EQ(WorkWrites(), before) << "what is as it should be costs its new controller no write";
  AddModels("late");
  Settle();
  ExpectOnce();
  ExpectWriters(2);
  EXPECT_FALSE(a->lost || b->lost);
}

TEST_F(ShardingTest, WhoDividesOtherwiseWaits) {
  auto a = Start("a", 4);
  ASSERT_TRUE(Eventually(
      [&] {
        return Shares(4) == std::map<std::string, int>{{"a", 4}};
      },
      Millis(20'000)));
  const auto b = Start("b", 2);
  const auto whole = Start("c", 1);
  AddModels("early");
  Settle();
  for (const auto& [ns, who] : journal_.writers()) EXPECT_EQ(who, std::vector<std::string>{"a"});
  a->Stop();
  AddModels("late");
  Settle();
  ExpectOnce();
  ExpectWriters(2);
  std::set<std::string> last;
  for (const auto& [ns, who] : journal_.writers()) last.insert(who.back());
  EXPECT_EQ(last.size(), 1u) << "one of the two others has it all, and the other one waits";
}

// A port that nobody listens on.
int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// The status line of the answer to an event for this policy.
std::string Post(int port, const std::string& ns, const std::string& token) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string body = R"({"rows": 3})";
  const std::string request =
      "POST /events/" + ns + "/cure HTTP/1.1\r\nHost: x\r\n" + "Authorization: Bearer " + token +
      "\r\nce-specversion: 1.0\r\n" +
      "ce-id: 1\r\nce-type: org.example.landed\r\nce-source: /lake\r\n" +
      "ce-time: " + FormatTime(SystemClock().Wall()) + "\r\n" +
      "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string out;
  char buffer[1024];
  for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return out.substr(0, out.find('\r'));
}

TEST_F(ShardingTest, AnyReplicaTakesAnEventForAnyPolicy) {
  const int port = FreePort();
  const auto a = Start("a", 2, port);
  const auto b = Start("b", 2);
  ASSERT_TRUE(Eventually([&] { return EachHasOne(2); }, Millis(30'000)));
  const std::string token = "0123456789abcdef-token";
  for (int i = 0; i < kNamespaces; ++i) {
    server_.Put({"", "v1", "secrets", "Secret"},
                {{"metadata",
                  {{"namespace", Namespace(i)},
                   {"name", "lake"},
                   {"labels", {{std::string(api::kLabelUse), std::string(api::kUseEvents)}}}}},
                 {"data", {{"token", "MDEyMzQ1Njc4OWFiY2RlZi10b2tlbg=="}}}});
    json policy = json::parse(R"({
      "spec": {"modelDeployment": "m", "job": {"template": {}},
        "triggers": [{"event": {"type": "org.example.landed",
                                "bearerTokenSecretRef": {"name": "lake", "key": "token"}}}]}})");
    policy["metadata"] = {{"namespace", Namespace(i)}, {"name", "cure"}};
    server_.Put(api::kRetrainPolicies, policy);
  }
  std::set<std::string> answered_by;
  for (int i = 0; i < kNamespaces; ++i) {
    std::string answer;
    EXPECT_TRUE(Eventually([&] {
      answer = Post(port, Namespace(i), token);
      return answer.find(" 202") != std::string::npos || answer.find(" 200") != std::string::npos;
    })) << Namespace(i)
        << ": " << answer;
    answered_by.insert(Holders(2)[static_cast<std::size_t>(kube::ShardOf(Namespace(i), 2))]);
    const json status =
        server_.Get({api::kRetrainPolicies, {Namespace(i), "cure"}})->value("status", json());
    EXPECT_NE(status.dump().find("/lake"), std::string::npos) << status;
    EXPECT_NE(Post(port, Namespace(i), "not-the-token-0123456789").find(" 401"), std::string::npos);
  }
  EXPECT_EQ(answered_by.size(), 2u) << "policies of both replicas' shards were asked about";
}

}  // namespace
}  // namespace perennial::testing
