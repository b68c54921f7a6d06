#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "kube/client.h"
#include "kube/http_transport.h"
#include "support/fake_api_server.h"
#include "support/http_connection.h"

// cpprestsdk is not built with ThreadSanitizer; what it synchronizes inside looks like races.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libcpprest.so\nrace:libcpprest.so\nrace:boost::asio\nrace:pplx::\n"
         "race:Concurrency::streams\nmutex:libcpprest.so\ndeadlock:libcpprest.so\n";
}

namespace perennial::testing {
namespace {

using kube::Ref;
using kube::Request;
using kube::Transport;

const Ref kMap{ConfigMaps(), {"ns", "map"}};
const Request kGetMap{"GET", "/api/v1/namespaces/ns/configmaps/map", "", ""};

Millis Now() {
  return SystemClock().Steady();
}

Request Post(const std::string& name, const std::string& data = "1") {
  return {"POST", "/api/v1/namespaces/ns/configmaps", "application/json",
          MakeObject({ConfigMaps(), {"ns", name}}, R"({"data":{"a":")" + data + R"("}})").dump()};
}

class TransportTest : public ::testing::Test {
 protected:
  TransportTest() : http_(Connect(server_.Config())) {
    server_.Put(ConfigMaps(), MakeObject(kMap, R"({"data":{"a":"b"}})"));
  }
  Result<kube::Response> Get(Millis deadline = Millis{5'000}) {
    return http_->Send(kGetMap, deadline);
  }

  FakeApiServer server_;
  std::unique_ptr<Transport> http_;
};

TEST_F(TransportTest, CarriesRequestsAndAnswers) {
  const auto got = Get();
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(nlohmann::json::parse(got->body), *server_.Get(kMap));
  const std::string large(300'000, 'x');
  const auto created = http_->Send(Post("new", large), Millis{5'000});
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ(created->status, 201);
  EXPECT_EQ((*server_.Get({ConfigMaps(), {"ns", "new"}}))["data"]["a"], large);
  // One connection for all of it.
  EXPECT_EQ(server_.Requests().back().connection, server_.Requests().front().connection);
}

TEST_F(TransportTest, KeepsPathsAndQueriesAsTheyAre) {
  const std::string path = "/api/v1/namespaces/a%2Fb/configmaps?continue=x%3D%26y%2B&limit=3";
  ASSERT_TRUE(http_->Send({"GET", path, "", ""}, Millis{5'000}).ok());
  EXPECT_EQ(server_.Requests().back().request.path, path);
}

TEST_F(TransportTest, AnyStatusIsAnAnswer) {
  server_.FailNext({}, Answer(429, "TooManyRequests", 7));
  const auto got = Get();
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->status, 429);
  EXPECT_EQ(got->retry_after, Millis{7'000});
}

// The library repeats a request of its own when a pooled connection dies before the status line.
TEST_F(TransportTest, APostOnADyingConnectionReachesTheServerOnce) {
  for (const bool with_effect : {false, true}) {
    SCOPED_TRACE(with_effect);
    ASSERT_TRUE(Get().ok());  // a connection for the pool
    server_.ForgetRequests();
    server_.FailNext({.method = "POST", .path = "", .watch = {}, .body = ""},
                     with_effect ? LoseReply() : Drop());
    const auto posted = http_->Send(Post("once" + std::to_string(with_effect)), Millis{5'000});
    ASSERT_FALSE(posted.ok());
    EXPECT_EQ(posted.error().code, Errc::kUnavailable);
    EXPECT_EQ(server_.Count({.method = "POST", .path = "", .watch = {}, .body = ""}), 1u);
  }
}

// A write on a connection that the server closed while it was idle is no write with an unknown
// outcome: the client looks before it sends.
TEST_F(TransportTest, APostFindsAnotherConnectionWhereThePoolsOnesAreClosed) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Get().ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  server_.CloseConnections();
  std::this_thread::sleep_for(Millis{50});
  for (int i = 0; i < 5; ++i) {
    const auto posted = http_->Send(Post("p" + std::to_string(i)), Millis{5'000});
    ASSERT_TRUE(posted.ok()) << posted.error().message;
  }
  EXPECT_EQ(server_.Count({.method = "POST", .path = "", .watch = {}, .body = ""}), 5u);
}

// A GET without a body may be repeated; what must hold is that a lost connection hurts one call.
TEST_F(TransportTest, ComesBackAfterAllConnectionsWereLost) {
  ASSERT_TRUE(Get().ok());
  server_.CloseConnections();
  std::this_thread::sleep_for(Millis{50});
  const auto first = Get();
  EXPECT_TRUE(first.ok() || first.error().code == Errc::kUnavailable);
  const auto second = Get();
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->status, 200);
}

TEST_F(TransportTest, DoesNotFollowRedirectsSoTheTokenStaysHere) {
  FakeApiServer thief;
  FakeApiServer server({.listen = true,
                        .tls = false,
                        .certificate_names = "",
                        .client_ca_pem = "",
                        .token = "secret",
                        .collect_garbage = true});
  const auto http = Connect(server.Config());
  server.FailNext({}, Redirect(thief.url() + "/api/v1/namespaces/ns/configmaps/map"));
  const auto got = http->Send(kGetMap, Millis{5'000});
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 307);
  EXPECT_TRUE(thief.Requests().empty());
  EXPECT_EQ(server.Requests().at(0).authorization, "Bearer secret");
}

TEST_F(TransportTest, TheDeadlineHoldsWhileTheAnswerDrips) {
  for (const Fault& fault : {Drip(Millis{30}), Endless(Millis{10}), HalfOpen()}) {
    SCOPED_TRACE(static_cast<int>(fault.kind));
    server_.FailNext({}, fault);
    const Millis begin = Now();
    const auto got = Get(Millis{300});
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, Errc::kTimeout);
    EXPECT_LT(Now() - begin, Millis{1'000});
    EXPECT_GE(Now() - begin, Millis{290});
  }
  EXPECT_TRUE(Get().ok());
}

TEST_F(TransportTest, AStreamThatDripsEndsAllTheSame) {
  for (const Fault& fault : {Endless(Millis{10}), HalfOpen()}) {
    SCOPED_TRACE(static_cast<int>(fault.kind));
    server_.FailNext({}, fault);
    const auto http = Connect(server_.Config());
    const Millis begin = Now();
    const Status how =
        http->Stream({"GET", "/api/v1/namespaces/ns/configmaps?watch=1", "", ""}, Millis{300},
                     [](std::string_view) { ADD_FAILURE() << "a line"; }, {});
    ASSERT_FALSE(how.ok());
    EXPECT_EQ(how.error().code, Errc::kTimeout);
    EXPECT_LT(Now() - begin, Millis{1'000});
  }
}

TEST_F(TransportTest, AnAnswerAboveTheLimitIsAnError) {
  const auto http = Connect(server_.Config(), {.max_in_flight = 32,
                                               .max_body = 100'000,
                                               .max_line = 1000,
                                               .token_refresh = Millis{60'000},
                                               .user_agent = "test"});
  server_.Put(ConfigMaps(), MakeObject({ConfigMaps(), {"ns", "big"}},
                                       R"({"data":{"a":")" + std::string(400'000, 'x') + R"("}})"));
  const auto got =
      http->Send({"GET", "/api/v1/namespaces/ns/configmaps/big", "", ""}, Millis{5'000});
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Errc::kTooLarge);
  EXPECT_TRUE(http->Send(kGetMap, Millis{5'000}).ok());
}

TEST_F(TransportTest, ACutAnswerIsNoAnswer) {
  server_.FailNext({}, Cut(20));
  EXPECT_EQ(Get().error().code, Errc::kUnavailable);
}

// The end of a connection ends a body without a length well, as far as HTTP goes.
TEST_F(TransportTest, AListThatEndsEarlyWithoutALengthIsNoList) {
  const std::string whole =
      R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"a"}}]})";
  kube::Client client(*http_, SystemClock(), "tester");
  server_.FailNext({}, Raw("HTTP/1.1 200 OK\r\n\r\n" + whole));
  ASSERT_TRUE(client.List(ConfigMaps(), {}).ok());
  for (const size_t cut : {size_t{1}, size_t{40}, whole.size() - 1}) {
    server_.FailNext({}, Raw("HTTP/1.1 200 OK\r\n\r\n" + whole.substr(0, cut)));
    const auto page = client.List(ConfigMaps(), {});
    ASSERT_FALSE(page.ok());
    EXPECT_EQ(page.error().code, Errc::kUnavailable);
  }
}

TEST_F(TransportTest, SurvivesAnswersThatAreNotHttp) {
  for (const char* answer : {"garbage", "\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                             "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"}) {
    server_.FailNext({}, Raw(answer));
    EXPECT_FALSE(Get().ok()) << answer;
  }
  EXPECT_TRUE(Get().ok());
}

TEST_F(TransportTest, BoundsWhatIsUnderWay) {
  const auto http = Connect(server_.Config(), {.max_in_flight = 2,
                                               .max_body = 1 << 20,
                                               .max_line = 1 << 20,
                                               .token_refresh = Millis{60'000},
                                               .user_agent = "test"});
  server_.FailNext({}, HalfOpen(), 2);
  std::vector<std::thread> stuck;
  for (int i = 0; i < 2; ++i) {
    stuck.emplace_back([&] { EXPECT_FALSE(http->Send(kGetMap, Millis{600}).ok()); });
  }
  while (server_.Requests().size() < 2) std::this_thread::sleep_for(Millis{5});
  const auto third = http->Send(kGetMap, Millis{100});
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, Errc::kTimeout);
  EXPECT_EQ(server_.Requests().size(), 2u);
  for (std::thread& thread : stuck) thread.join();
  EXPECT_TRUE(http->Send(kGetMap, Millis{5'000}).ok());
}

TEST_F(TransportTest, ManyThreadsShareIt) {
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const auto name = "m" + std::to_string(t) + "-" + std::to_string(i);
        const auto created = http_->Send(Post(name), Millis{20'000});
        if (created.ok() && created->status == 201) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(server_.List(ConfigMaps()).size(), 201u);
}

TEST_F(TransportTest, ShutdownEndsWhatIsUnderWayAndRefusesTheRest) {
  server_.FailNext({}, HalfOpen());
  auto under_way = std::async(std::launch::async, [&] { return Get(Millis{60'000}); });
  while (server_.Requests().empty()) std::this_thread::sleep_for(Millis{5});
  const Millis begin = Now();
  http_->Shutdown();
  EXPECT_EQ(under_way.get().error().code, Errc::kCancelled);
  EXPECT_LT(Now() - begin, Millis{500});
  EXPECT_EQ(Get().error().code, Errc::kCancelled);
}

// --- streams ---

class StreamTest : public TransportTest {
 protected:
  const Request watch_{
      "GET", "/api/v1/configmaps?watch=true&allowWatchBookmarks=true&timeoutSeconds=60", "", ""};
};

TEST_F(StreamTest, DeliversEachLineAsItArrivesAndStopsAtOnce) {
  std::stop_source stop;
  std::atomic<int> lines = 0;
  auto stream = std::async(std::launch::async, [&] {
    return http_->Stream(
        watch_, Millis{30'000}, [&](std::string_view) { ++lines; }, stop.get_token());
  });
  const auto arrives = [&](int count) {
    const Millis begin = Now();
    while (lines < count && Now() - begin < Millis{3'000}) std::this_thread::sleep_for(Millis{1});
    EXPECT_EQ(lines, count);
  };
  arrives(1);  // what is there already
  for (int i = 0; i < 3; ++i) {
    server_.Put(ConfigMaps(), MakeObject({ConfigMaps(), {"ns", "n" + std::to_string(i)}}));
    arrives(2 + i);
  }
  const Millis begin = Now();
  stop.request_stop();
  EXPECT_EQ(stream.get().error().code, Errc::kCancelled);
  EXPECT_LT(Now() - begin, Millis{300});
}

TEST_F(StreamTest, ARegularEndIsOkAndACutOneIsNot) {
  std::vector<std::string> lines;
  const auto run = [&] {
    lines.clear();
    return http_->Stream(watch_, Millis{5'000},
                         [&](std::string_view line) { lines.emplace_back(line); }, {});
  };
  server_.FailNext({}, End(1));
  EXPECT_TRUE(run().ok());
  EXPECT_EQ(lines.size(), 1u);
  server_.FailNext({}, CutLine(0));
  const Status cut = run();
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, Errc::kUnavailable);
  EXPECT_TRUE(lines.empty()) << "half a line was delivered";
  server_.FailNext({}, Raw("HTTP/1.1 200 OK\r\n\r\nwhole\nhalf"));
  EXPECT_FALSE(run().ok());
  EXPECT_EQ(lines, (std::vector<std::string>{"whole"}));
}

TEST_F(StreamTest, SilenceLongerThanTheLimitEndsIt) {
  // Before the head of the answer, and after it: one event is held back for a second one.
  for (const Fault& fault : {HalfOpen(), Reorder()}) {
    server_.FailNext({}, fault);
    const Millis begin = Now();
    const Status status = http_->Stream(watch_, Millis{300}, [](std::string_view) {}, {});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Errc::kTimeout);
    EXPECT_LT(Now() - begin, Millis{1'500});
  }
}

TEST_F(StreamTest, AnErrorStatusIsTheErrorThatItStandsFor) {
  server_.FailNext({}, Answer(410, "Expired"));
  const Status gone = http_->Stream(watch_, Millis{5'000}, [](std::string_view) {}, {});
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, Errc::kGone);
  EXPECT_NE(gone.error().message.find("planned by the test"), std::string::npos);
  server_.FailNext({}, Answer(429, "TooManyRequests", 3));
  EXPECT_EQ(http_->Stream(watch_, Millis{5'000}, [](std::string_view) {}, {}).error().retry_after,
            Millis{3'000});
}

TEST_F(StreamTest, ALineAboveTheLimitIsAnError) {
  const auto http = Connect(server_.Config(), {.max_in_flight = 2,
                                               .max_body = 1 << 20,
                                               .max_line = 100,
                                               .token_refresh = Millis{60'000},
                                               .user_agent = "test"});
  const Status status = http->Stream(watch_, Millis{5'000}, [](std::string_view) {}, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Errc::kTooLarge);
}

TEST_F(StreamTest, StreamsDoNotTakePlacesFromCalls) {
  const auto http = Connect(server_.Config(), {.max_in_flight = 1,
                                               .max_body = 1 << 20,
                                               .max_line = 1 << 20,
                                               .token_refresh = Millis{60'000},
                                               .user_agent = "test"});
  std::stop_source stop;
  std::vector<std::thread> streams;
  for (int i = 0; i < 6; ++i) {
    streams.emplace_back([&] {
      EXPECT_FALSE(http->Stream(
                           watch_, Millis{30'000}, [](std::string_view) {}, stop.get_token())
                       .ok());
    });
  }
  while (server_.open_watches() < 6) std::this_thread::sleep_for(Millis{5});
  EXPECT_TRUE(http->Send(kGetMap, Millis{2'000}).ok());
  stop.request_stop();
  for (std::thread& thread : streams) thread.join();
}

// The library has crashed in races of errors, cancellations and destruction.
TEST_F(StreamTest, SurvivesResetsWhileItIsStoppedAndDestroyed) {
  for (int round = 0; round < 20; ++round) {
    auto http = Connect(server_.Config());
    std::stop_source stop;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        (void)http->Stream(
            watch_, Millis{5'000}, [](std::string_view) {}, stop.get_token());
      });
      threads.emplace_back([&] { (void)http->Send(kGetMap, Millis{round % 5 + 1}); });
    }
    std::this_thread::sleep_for(Millis{round});
    server_.CloseConnections();
    stop.request_stop();
    for (std::thread& thread : threads) thread.join();
    http.reset();
  }
  EXPECT_TRUE(Get().ok());
}

TEST(HttpTransport, TellsTheHostOfAnApiServer) {
  EXPECT_EQ(kube::HostOf("https://api.example.org:6443/path"), "api.example.org");
  EXPECT_EQ(kube::HostOf("https://10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(kube::HostOf("https://[fd00::1]:6443"), "fd00::1");
  EXPECT_EQ(kube::HostOf("no URL"), "");
}

}  // namespace
}  // namespace perennial::testing
