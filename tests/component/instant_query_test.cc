// Queries that users wrote, over real sockets.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "scrape/instant_query_pool.h"
#include "support/eventually.h"
#include "support/socket_server.h"

namespace perennial::scrape {
namespace {

using perennial::testing::Eventually;
using test::Connection;
using test::HttpAnswer;
using test::SocketServer;

std::string Vector(const std::string& value) {
  return HttpAnswer("200 OK", "Content-Type: application/json\r\n",
                    R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},)"
                    R"("value":[1700000000,")" +
                        value + "\"]}]}}");
}

PromqlOptions Options() {
  PromqlOptions options;
  options.fetch.total = Millis{300};
  options.addresses.allow_loopback = true;
  return options;
}

// Answers the n-th request with n, unless it was asked for something that hangs.
class Counting {
 public:
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void Serve(Connection& peer) {
    const std::string request = peer.ReadRequest();
    std::size_t n = 0;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      n = requests_.size();
    }
    if (request.find("hang") != request.npos) return peer.WaitForPeer();
    peer.Send(Vector(std::to_string(n)));
  }

  std::mutex mutex_;
  std::vector<std::string> requests_;
  SocketServer server_{[this](Connection& peer) { Serve(peer); }};
};

TEST(InstantQueryPool, AsksOnceAnIntervalAndTellsWhoAsked) {
  Counting server;
  std::atomic<int> told = 0;
  InstantQueryPool pool(SystemClock(), Options());
  pool.OnAnswer([&](const std::string& owner) { told += owner == "rollout/a"; });
  pool.Set("rollout/a", {{"errors", {server.url(), "sum(x{v=\"b\"})", {}, Millis{1'000}}}});
  EXPECT_FALSE(pool.Newest("rollout/a", "errors")) << "nobody has answered yet";
  pool.Start();
  ASSERT_TRUE(Eventually([&] {
    const auto newest = pool.Newest("rollout/a", "errors");
    return newest && newest->value.ok() && *newest->value >= 2;
  }));
  EXPECT_GE(told, 2);
  EXPECT_FALSE(pool.Newest("rollout/b", "errors"));
  const std::string first = server.requests().front();
  EXPECT_NE(first.find("POST /api/v1/query "), first.npos) << first;
  EXPECT_NE(first.find("query=sum%28x%7Bv%3D%22b%22%7D%29&"), first.npos) << first;
}

TEST(InstantQueryPool, KeepsTheAnswerToTheSameQuestionAlone) {
  Counting server;
  InstantQueryPool pool(SystemClock(), Options());
  const InstantQuery question{server.url(), "x", {}, Millis{1'000}};
  InstantQuery other = question;
  other.expression = "y";
  pool.Start();
  pool.Set("a", {{"errors", question}});
  ASSERT_TRUE(Eventually([&] { return pool.Newest("a", "errors").has_value(); }));
  pool.Set("a", {{"errors", question}});
  EXPECT_TRUE(pool.Newest("a", "errors")) << "the same again changes nothing";
  pool.Set("a", {{"errors", other}});
  EXPECT_FALSE(pool.Newest("a", "errors")) << "it answered another question";
  ASSERT_TRUE(Eventually([&] { return pool.Newest("a", "errors").has_value(); }));
  EXPECT_NE(server.requests().back().find("query=y&"), std::string::npos);
  pool.Set("a", {});
  EXPECT_FALSE(pool.Newest("a", "errors"));
  // One may have been under way.
  std::this_thread::sleep_for(Millis{200});
  const std::size_t asked = server.requests().size();
  std::this_thread::sleep_for(Millis{1'500});
  EXPECT_EQ(server.requests().size(), asked) << "nobody wants to know any more";
}

TEST(InstantQueryPool, AServerThatHangsHoldsNobodyElseUp) {
  Counting server;
  InstantQueryPool pool(SystemClock(), Options());
  InstantQueryPool::Queries queries;
  for (int i = 0; i < 8; ++i) {
    queries["hang" + std::to_string(i)] = {server.url(), "hang", {}, Millis{1'000}};
  }
  queries["answers"] = {server.url(), "x", {}, Millis{1'000}};
  pool.Set("a", queries);
  pool.Start();
  ASSERT_TRUE(Eventually([&] {
    const auto hung = pool.Newest("a", "hang0");
    const auto newest = pool.Newest("a", "answers");
    return hung && newest && newest->value.ok();
  }));
  EXPECT_EQ(pool.Newest("a", "hang0")->value.error().code, Errc::kTimeout);
  // A question that is dropped while it hangs ends by itself.
  pool.Set("a", {});
  pool.Stop();
}

TEST(InstantQueryPool, AsksNoAddressThatUsersMayNotReach) {
  Counting server;
  PromqlOptions options = Options();
  options.addresses.allow_loopback = false;
  InstantQueryPool pool(SystemClock(), options);
  pool.Set("a", {{"errors", {server.url(), "x", {}, Millis{1'000}}}});
  pool.Start();
  ASSERT_TRUE(Eventually([&] { return pool.Newest("a", "errors").has_value(); }));
  EXPECT_FALSE(pool.Newest("a", "errors")->value.ok());
  EXPECT_TRUE(server.requests().empty());
}

}  // namespace
}  // namespace perennial::scrape
