#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "scrape/http_fetch.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"
#include "support/gzip.h"
#include "support/socket_server.h"

namespace perennial::scrape {
namespace {

using test::Connection;
using test::Gzip;
using test::HttpAnswer;
using test::SocketServer;

constexpr FetchLimits kLimits{.connect = Millis{300},
                              .total = Millis{300},
                              .header_bytes = std::size_t{16} << 10,
                              .wire_bytes = std::size_t{256} << 10,
                              .body_bytes = std::size_t{512} << 10};
// What the kernels of both sides may hold of a stream that nobody reads, and the limits above.
constexpr std::size_t kMostSent = std::size_t{24} << 20;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n\r\n";

std::string Text(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

// Says `first`, then `again` for ever.
SocketServer::Handler Endless(std::string first, std::string again) {
  return [first = std::move(first), again = std::move(again)](Connection& peer) {
    peer.Send(first);
    while (peer.Send(again)) {
    }
  };
}

// Says something and then nothing, but stays.
SocketServer::Handler Hang(std::string text) {
  return [text = std::move(text)](Connection& peer) {
    peer.Send(text);
    peer.WaitForPeer();
  };
}

SocketServer::Handler Say(std::string text) {
  return [text = std::move(text)](Connection& peer) { peer.Send(text); };
}

SocketServer::Handler Drip(std::string first) {
  return [first = std::move(first)](Connection& peer) {
    peer.Send(first);
    while (peer.Send("a")) std::this_thread::sleep_for(Millis{10});
  };
}

struct Hostile {
  std::string name;
  SocketServer::Handler handler;
  Errc expected;
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

std::vector<Hostile> Headers(const std::string& kilobytes) {
  return {
      {"EndlessHeaderLine", Endless(Text({kOk, "X: "}), kilobytes), Errc::kTooLarge},
      {"EndlessHeaders", Endless(std::string(kOk), "X-Y: zzzzzzzzzzzzzz\r\n"), Errc::kTooLarge},
      {"EndlessStatusLine", Endless("HTTP/1.1 200 ", kilobytes), Errc::kTooLarge},
      {"EndlessInformation", Endless("", "HTTP/1.1 100 Continue\r\n\r\n"), Errc::kTooLarge},
      {"DrippingHeaders", Drip(Text({kOk, "X: "})), Errc::kTimeout},
      {"NegativeLength", Hang(Text({kOk, "Content-Length: -5\r\n\r\nabc"})), Errc::kInvalid},
      {"HugeLength", Hang(Text({kOk, "Content-Length: 99999999999\r\n\r\nabc"})), Errc::kTooLarge},
      {"ShortBody", Say(Text({kOk, "Content-Length: 99\r\n\r\nabc"})), Errc::kUnavailable},
      {"Garbage", Say("\x16\x03\x01 no HTTP at all\n\n\n"), Errc::kInvalid},
      {"EndlessGarbage", Endless("", kilobytes), Errc::kInvalid},
      {"StatusBeyondThreeDigits", Say("HTTP/1.1 99999 X\r\n\r\n"), Errc::kInvalid},
      {"OtherProtocol",
       Endless("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", kilobytes),
       Errc::kTooLarge},
      {"Nothing", Say(""), Errc::kUnavailable},
      {"NeverAnswers", Hang(""), Errc::kTimeout},
      {"NeverEnds", Hang(Text({kOk, "\r\nx 1\n"})), Errc::kTimeout},
  };
}

std::vector<Hostile> Bodies(const std::string& kilobytes) {
  const std::string bomb = Gzip(std::string(std::size_t{16} << 20, 'a'));
  const std::string gzip = Text({kOk, "Content-Encoding: gzip\r\n"});
  return {
      {"EndlessBody", Endless(Text({kOk, "\r\n"}), kilobytes), Errc::kTooLarge},
      {"EndlessChunks", Endless(Text({kOk, kChunked}), "4\r\nx 1\n\r\n"), Errc::kTooLarge},
      {"ChunkOfMinusOne", Hang(Text({kOk, kChunked, "-1\r\nabc"})), Errc::kUnavailable},
      {"ChunkOfAllBytes", Hang(Text({kOk, kChunked, "FFFFFFFFFFFFFFFF\r\nabc"})),
       Errc::kUnavailable},
      {"ChunkSizeTooLong", Hang(Text({kOk, kChunked, "00000000000000000000003\r\nabc"})),
       Errc::kUnavailable},
      {"EndlessChunkExtension", Endless(Text({kOk, kChunked, "1;x="}), kilobytes), Errc::kTooLarge},
      {"EndlessTrailers", Endless(Text({kOk, kChunked, "0\r\n"}), "X-Y: zzzzzzzz\r\n"),
       Errc::kTooLarge},
      {"EndlessTrailer", Endless(Text({kOk, kChunked, "0\r\nX: "}), kilobytes), Errc::kUnavailable},
      {"SlowDrip", Drip(Text({kOk, "\r\n"})), Errc::kTimeout},
      {"GzipBomb", Say(HttpAnswer("200 OK", "Content-Encoding: gzip\r\n", bomb)), Errc::kTooLarge},
      {"BrokenGzip", Say(Text({gzip, "\r\nnot gzip"})), Errc::kInvalid},
      {"CutGzip", Say(Text({gzip, "\r\n", Gzip("x 1\n").substr(0, 12)})), Errc::kInvalid},
      {"UnknownEncoding", Say(Text({kOk, "Content-Encoding: br\r\n\r\nabc"})), Errc::kInvalid},
      {"TransferBomb", Say(Text({kOk, "Transfer-Encoding: gzip\r\n\r\n", bomb})), Errc::kInvalid},
      {"TransferZstd", Say(Text({kOk, "Transfer-Encoding: zstd, chunked\r\n\r\n"})),
       Errc::kInvalid},
  };
}

std::vector<Hostile> AllHostile() {
  const std::string kilobytes(std::size_t{64} << 10, 'a');
  std::vector<Hostile> all = Headers(kilobytes);
  for (Hostile& hostile : Bodies(kilobytes)) all.push_back(std::move(hostile));
  return all;
}

FetchRequest RequestTo(std::uint16_t port) {
  FetchRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(port) + "/metrics";
  request.limits = kLimits;
  request.addresses.allow_loopback = true;
  return request;
}

class HostileServer : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileServer, CostsBoundedBytesAndTime) {
  std::size_t sent = 0;
  {
    SocketServer server([&](Connection& peer) {
      peer.ReadHead();
      GetParam().handler(peer);
    });
    const Millis before = SystemClock().Steady();
    FetchRequest request = RequestTo(server.port());
    // What ends by a limit on bytes must not end by one on time first, on a busy machine.
    if (GetParam().expected != Errc::kTimeout) request.limits.total = Millis{4'500};
    const Result<FetchedBody> fetched = Fetch(request);
    // Far above the limit, because the machine may be busy; a peer that is not cut off takes for
    // ever.
    EXPECT_LT(SystemClock().Steady() - before, Millis{5'000});
    ASSERT_FALSE(fetched.ok());
    EXPECT_EQ(fetched.error().code, GetParam().expected) << fetched.error().message;
    EXPECT_EQ(fetched.error().message.find("zzz"), std::string::npos);
    sent = server.sent();
  }
  EXPECT_LT(sent, kMostSent);
}

INSTANTIATE_TEST_SUITE_P(Every, HostileServer, ::testing::ValuesIn(AllHostile()),
                         [](const auto& info) { return info.param.name; });

TEST(HttpFetch, NeverPassesOnMoreThanTheLimit) {
  const std::string bomb = HttpAnswer("200 OK", "Content-Encoding: gzip\r\n",
                                      Gzip(std::string(std::size_t{16} << 20, 'a')));
  SocketServer server([&](Connection& peer) {
    peer.ReadHead();
    peer.Send(bomb);
  });
  std::size_t seen = 0;
  HttpFetcher fetcher;
  fetcher.Start(1, RequestTo(server.port()),
                {.on_head = [](int, std::string_view) { return Ok(); },
                 .on_body =
                     [&](std::string_view piece) {
                       seen += piece.size();
                       return Ok();
                     }});
  std::optional<Errc> outcome;
  while (!outcome) {
    fetcher.Poll(Millis{100}, [&](std::uint64_t, Result<FetchSummary> result) {
      outcome = result.error().code;
    });
  }
  EXPECT_EQ(*outcome, Errc::kTooLarge);
  EXPECT_LE(seen, kLimits.body_bytes);
}

TEST(HttpFetch, GivesRedirectsToTheCallerAndAsksNobodyElse) {
  SocketServer other([](Connection& peer) {
    peer.ReadHead();
    peer.Send(HttpAnswer("200 OK", "", "secret"));
  });
  SocketServer server([&](Connection& peer) {
    peer.ReadHead();
    const std::string where = "http://127.0.0.1:" + std::to_string(other.port()) + "/";
    peer.Send(
        HttpAnswer("302 Found", "Location: " + where + "\r\nRefresh: 0; " + where + "\r\n", ""));
  });
  const Result<FetchedBody> fetched = Fetch(RequestTo(server.port()));
  ASSERT_TRUE(fetched.ok());
  EXPECT_EQ(fetched->status, 302);
  EXPECT_EQ(fetched->body, "");
  EXPECT_EQ(other.accepted(), 0u);
}

TEST(HttpFetch, SaysThatNobodyListens) {
  std::uint16_t port = 0;
  {
    SocketServer server([](Connection&) {});
    port = server.port();
  }
  const Result<FetchedBody> fetched = Fetch(RequestTo(port));
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().code, Errc::kUnavailable);
  EXPECT_EQ(fetched.error().message, "connection failed");
}

TEST(HttpFetch, IgnoresTheProxyOfTheEnvironment) {
  SocketServer proxy([](Connection& peer) { peer.ReadHead(); });
  SocketServer server([](Connection& peer) {
    peer.ReadHead();
    peer.Send(HttpAnswer("200 OK", "", "x 1\n"));
  });
  const std::string where = "http://127.0.0.1:" + std::to_string(proxy.port());
  setenv("http_proxy", where.c_str(), 1);
  const Result<FetchedBody> fetched = Fetch(RequestTo(server.port()));
  unsetenv("http_proxy");
  ASSERT_TRUE(fetched.ok());
  EXPECT_EQ(fetched->body, "x 1\n");
  EXPECT_EQ(proxy.accepted(), 0u);
}

// However the address is written: what counts is where the connection would go.
TEST(HttpFetch, RefusesMetadataAndTheApiServerInEverySpelling) {
  SocketServer server([](Connection& peer) { peer.ReadHead(); });
  FetchRequest request = RequestTo(server.port());
  request.addresses = {};
  const auto refused = [&](const std::string& host) {
    request.url = "http://" + host + ":" + std::to_string(server.port()) + "/";
    const Result<FetchedBody> fetched = Fetch(request);
    ASSERT_FALSE(fetched.ok()) << host;
    EXPECT_EQ(fetched.error().code, Errc::kForbidden) << host << ": " << fetched.error().message;
  };
  for (const char* host : {"169.254.169.254",
                           "2852039166",
                           "0xA9FEA9FE",
                           "0251.0376.0251.0376",
                           "169.254.43518",
                           "[::ffff:169.254.169.254]",
                           "[::ffff:a9fe:a9fe]",
                           "[0:0:0:0:0:ffff:a9fe:a9fe]",
                           "[64:ff9b::a9fe:a9fe]",
                           "[2002:a9fe:a9fe::1]",
                           "[fe80::1]",
                           "[fd00:ec2::254]",
                           "100.100.100.200",
                           "2130706433",
                           "0177.0.0.1",
                           "0x7f.1",
                           "127.255.255.254",
                           "[::1]",
                           "[::ffff:127.0.0.1]",
                           "[::ffff:7f00:1]",
                           "[::127.0.0.1]",
                           "0.0.0.0",
                           "0",
                           "[::]"}) {
    refused(host);
  }
  // The API server's own addresses, which the controller learns at its start, by number and by
  // name; loopback stands for them here.
  request.addresses.allow_loopback = true;
  const auto api_server = std::make_shared<ApiServerAddresses>();
  request.addresses.api_server = api_server;
  for (const char* host : {"127.0.0.1", "localhost"}) {
    request.url = "http://" + std::string(host) + ":" + std::to_string(server.port()) + "/";
    const Result<FetchedBody> fetched = Fetch(request);
    ASSERT_FALSE(fetched.ok()) << host << ": while they are not known, any may be one";
    EXPECT_EQ(fetched.error().code, Errc::kUnavailable) << fetched.error().message;
  }
  api_server->Set({*ParseAddressRange("127.0.0.0/8")});
  for (const char* host : {"127.0.0.1", "localhost", "LOCALHOST", "2130706433"}) {
    refused(host);
  }
  EXPECT_EQ(server.accepted(), 0u);
}

TEST(HttpFetch, RefusesLoopbackUnlessToldOtherwise) {
  SocketServer server([](Connection& peer) { peer.ReadHead(); });
  FetchRequest request = RequestTo(server.port());
  request.addresses = {};
  // By name as well: what counts is the address that would be connected to.
  for (const char* host : {"127.0.0.1", "localhost", "127.1", "0x7f000001"}) {
    request.url = "http://" + std::string(host) + ":" + std::to_string(server.port()) + "/";
    const Result<FetchedBody> fetched = Fetch(request);
    ASSERT_FALSE(fetched.ok());
    EXPECT_EQ(fetched.error().code, Errc::kForbidden) << host << ": " << fetched.error().message;
  }
  EXPECT_EQ(server.accepted(), 0u);
}

// All of them at once, one of them well-behaved, which must not notice.
TEST(HostileTargets, DoNotKeepThePoolFromScrapingGoodOnes) {
  const std::vector<Hostile> hostile = AllHostile();
  SocketServer server([&](Connection& peer) {
    const std::string head = peer.ReadHead();
    const std::size_t at = head.find("/hostile/");
    if (at == head.npos) {
      peer.Send(HttpAnswer("200 OK", "", "# TYPE c counter\nc 1\n"));
    } else {
      hostile.at(static_cast<std::size_t>(std::stoi(head.substr(at + 9)))).handler(peer);
    }
  });
  SampleStore store(SystemClock());
  Subscription good{.interval = Millis{1'000}, .metrics = {"c"}, .targets = {}, .access = {}};
  good.targets.push_back({"good", "127.0.0.1", server.port(), "/metrics", "v1"});
  Subscription bad = good;
  bad.targets.clear();
  for (std::size_t i = 0; i < hostile.size(); ++i) {
    bad.targets.push_back(
        {hostile[i].name, "127.0.0.1", server.port(), "/hostile/" + std::to_string(i), "v1"});
  }
  store.Set("bad", bad);
  store.Set("good", good);
  PoolOptions options;
  options.in_flight = 8;
  options.fetch = kLimits;
  options.addresses.allow_loopback = true;
  ScrapePool pool(store, SystemClock(), options);
  const Millis begin = SystemClock().Steady();
  pool.Start();
  while (store.Generation("good") < 3 && SystemClock().Steady() - begin < Millis{20'000}) {
    std::this_thread::sleep_for(Millis{20});
  }
  // Three turns of one second each. One after the other, the hanging ones alone would take longer.
  EXPECT_LT(SystemClock().Steady() - begin, Millis{8'000});
  while (pool.Counters().scrapes < hostile.size() + 3 &&
         SystemClock().Steady() - begin < Millis{20'000}) {
    std::this_thread::sleep_for(Millis{20});
  }
  pool.Stop();
  const WindowView seen =
      store.View("good", "v1", Millis{60'000}, Millis{0}, SystemClock().Steady());
  EXPECT_EQ(seen.targets_up, 1);
  EXPECT_TRUE(seen.problems.empty());
  const WindowView failed =
      store.View("bad", "v1", Millis{60'000}, Millis{0}, SystemClock().Steady());
  EXPECT_EQ(failed.targets, static_cast<int>(hostile.size()));
  EXPECT_EQ(failed.targets_up, 0);
  EXPECT_TRUE(failed.series.empty());
  EXPECT_FALSE(failed.problems.empty());
}

}  // namespace
}  // namespace perennial::scrape
