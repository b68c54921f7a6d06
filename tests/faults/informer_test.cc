#include "kube/informer.h"

#include <gtest/gtest.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "kube/http_transport.h"
#include "support/eventually.h"
#include "support/fake_api_server.h"

namespace perennial::testing {
namespace {

using kube::Informer;
using kube::InformerOptions;
using kube::Key;
using kube::Meta;
using kube::Ref;

struct Map {
  Meta meta;
  std::string value;
};

Result<Map> DecodeMap(const nlohmann::json& object) {
  PERENNIAL_TRY(Meta meta, kube::ParseMeta(object));
  const auto data = object.value("data", nlohmann::json::object());
  if (data.contains("bad")) return Error{Errc::kInvalid, "data.bad is not understood"};
  return Map{std::move(meta), data.at("v").get<std::string>()};  // throws without "v"
}

Match MapLists() {
  return {.method = "GET", .path = "/configmaps", .watch = false, .body = ""};
}
Match MapWatches() {
  return {.method = "GET", .path = "/configmaps", .watch = true, .body = ""};
}

// true: over loopback with the real client; false: in step with the server.
class InformerTest : public ::testing::TestWithParam<bool> {
 protected:
  InformerTest()
      : server_({.listen = GetParam(),
                 .tls = false,
                 .certificate_names = "",
                 .client_ca_pem = "",
                 .token = "",
                 .collect_garbage = true}) {
    if (GetParam()) http_ = *kube::MakeHttpTransport(server_.Config(), SystemClock());
    options_.first_backoff = Millis{10};
    options_.longest_backoff = Millis{50};
    options_.absent_retry = Millis{30};
    options_.page_size = 2;
  }

  void SetValue(const std::string& name, const std::string& value) {
    server_.Put(ConfigMaps(),
                MakeObject({ConfigMaps(), {"ns", name}}, R"({"data":{"v":")" + value + R"("}})"));
  }
  void Delete(const std::string& name) { server_.Remove({ConfigMaps(), {"ns", name}}); }

  void Start() {
    informer_ = std::make_unique<Informer<Map>>(http_ ? *http_ : server_.transport(), SystemClock(),
                                                ConfigMaps(), options_, DecodeMap);
    informer_->store().AddListener([this](const auto& before, const auto& after) {
      const std::lock_guard lock(mutex_);
      const std::string name = (after ? after : before)->meta.key.name;
      news_.push_back((before ? (after ? "~" : "-") : "+") + name +
                      (after ? "=" + after->value : ""));
    });
    informer_->Start();
    ASSERT_TRUE(Eventually([&] { return informer_->store().Synced(); }));
  }
  std::string Value(const std::string& name) const {
    const auto found = informer_->store().Get({"ns", name});
    return found ? found->value : "";
  }
  // What listeners were told, once there are as many; they hear of a change after it is visible.
  std::vector<std::string> News(std::size_t expected = 0) {
    (void)Eventually([&] {
      const std::lock_guard lock(mutex_);
      return news_.size() >= expected;
    });
    const std::lock_guard lock(mutex_);
    return std::exchange(news_, {});
  }
  bool Becomes(const std::string& name, const std::string& value) {
    return Eventually([&] { return Value(name) == value; });
  }
  bool Watching() {
    return Eventually([&] { return server_.open_watches() == 1; });
  }

  FakeApiServer server_;
  std::unique_ptr<kube::Transport> http_;
  kube::Unreadable unreadable_;
  InformerOptions options_;
  std::mutex mutex_;
  std::vector<std::string> news_;
  std::unique_ptr<Informer<Map>> informer_;
};

INSTANTIATE_TEST_SUITE_P(Paths, InformerTest, ::testing::Bool(),
                         [](const auto& path) { return path.param ? "Loopback" : "Direct"; });

using Texts = std::vector<std::string>;

TEST_P(InformerTest, FollowsAResource) {
  for (const char* name : {"a", "b", "c", "d", "e"}) SetValue(name, "1");
  Start();
  EXPECT_EQ(informer_->store().size(), 5u);
  EXPECT_EQ(server_.Count(MapLists()), 3u);  // pages of two
  SetValue("a", "2");
  SetValue("f", "1");
  Delete("b");
  EXPECT_TRUE(Eventually([&] {
    return Value("a") == "2" && Value("f") == "1" && !informer_->store().Get({"ns", "b"});
  }));
  EXPECT_EQ(server_.Count(MapLists()), 3u);
  EXPECT_EQ(News(8), (Texts{"+a=1", "+b=1", "+c=1", "+d=1", "+e=1", "~a=2", "+f=1", "-b"}));
  const auto counters = informer_->Counters();
  EXPECT_EQ(counters.lists, 1u);
  EXPECT_EQ(counters.events, 3u);
  EXPECT_GT(counters.last_contact, Millis{0});
  // The first list asks for the newest state, not for any that a cache may hold.
  EXPECT_EQ(server_.Requests(MapLists())[0].request.path.find("resourceVersion"),
            std::string::npos);
}

TEST_P(InformerTest, ResumesAfterLostConnectionsWithoutAList) {
  SetValue("a", "1");
  Start();
  for (int i = 2; i < 6; ++i) {
    ASSERT_TRUE(Watching());
    server_.CloseConnections();
    SetValue("a", std::to_string(i));
    EXPECT_TRUE(Becomes("a", std::to_string(i)));
  }
  EXPECT_EQ(server_.Count(MapLists()), 1u);
  EXPECT_EQ(News(5), (Texts{"+a=1", "~a=2", "~a=3", "~a=4", "~a=5"}));
}

TEST_P(InformerTest, ListsAgainAfterAnExpiredVersionWithoutLostOrInventedNews) {
  for (const char* name : {"a", "b", "c"}) SetValue(name, "1");
  Start();
  ASSERT_TRUE(Watching());
  News();
  // Changes that the watch never sees: it is cut off, and the history is gone when it comes back.
  server_.FailNext(MapWatches(), Drop(), 1'000);
  server_.CloseConnections();
  SetValue("a", "2");
  Delete("b");
  SetValue("d", "1");
  server_.Compact();
  server_.faults().Clear();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().lists == 2; }));
  EXPECT_TRUE(Becomes("d", "1"));
  EXPECT_TRUE(Eventually([&] { return !informer_->store().Get({"ns", "b"}); }));
  EXPECT_EQ(News(3), (Texts{"~a=2", "+d=1", "-b"}));
  // And goes on.
  SetValue("c", "2");
  EXPECT_TRUE(Becomes("c", "2"));
}

TEST_P(InformerTest, AnExpiredVersionAsAStatusIsTheSame) {
  SetValue("a", "1");
  Start();
  ASSERT_TRUE(Watching());
  server_.FailNext(MapWatches(), Answer(410, "Expired"));
  server_.CloseConnections();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().lists == 2; }));
  EXPECT_TRUE(Watching());
}

TEST_P(InformerTest, ATokenThatExpiresBetweenPagesStartsTheListOver) {
  for (int i = 0; i < 7; ++i) SetValue("m" + std::to_string(i), "1");
  for (int page = 1; page <= 3; ++page) {
    SCOPED_TRACE(page);
    server_.ForgetRequests();
    server_.FailNext({.method = "GET", .path = "continue=", .watch = {}, .body = ""},
                     Answer(410, "Expired"), 1, page - 1);
    Start();
    EXPECT_EQ(informer_->store().size(), 7u);
    EXPECT_EQ(server_.Count(MapLists()), static_cast<size_t>(4 + page + 1));
    EXPECT_EQ(News(7).size(), 7u);
    informer_.reset();
  }
}

TEST_P(InformerTest, NothingIsSyncedOrRemovedOnHalfAList) {
  for (int i = 0; i < 6; ++i) SetValue("m" + std::to_string(i), "1");
  Start();
  ASSERT_TRUE(Watching());
  News();
  // The second page fails for a while: objects of later pages must stay.
  const Match later{.method = "GET", .path = "continue=", .watch = {}, .body = ""};
  server_.FailNext(later, Answer(500, "InternalError"), 5);
  server_.FailNext(later, Cut(30), 2);
  server_.FailNext(later, LoseReply(), 2);
  server_.Put(Services(), MakeObject({Services(), {"ns", "s"}}));
  server_.FailNext(MapWatches(), Answer(410, "Expired"));
  server_.CloseConnections();
  EXPECT_TRUE(Eventually([&] { return server_.faults().Left() == 0; }));
  EXPECT_TRUE(Watching());
  EXPECT_EQ(informer_->store().size(), 6u);
  EXPECT_EQ(News(), Texts{});
}

TEST_P(InformerTest, DuplicatesAndReorderingsChangeNothing) {
  SetValue("a", "1");
  for (const Fault& fault : {Duplicate(), Reorder()}) {
    server_.FailNext(MapWatches(), fault);
    Start();
    ASSERT_TRUE(Watching());
    SetValue("b", "1");
    SetValue("b", "2");
    Delete("a");
    SetValue("c", "1");
    SetValue("c", "2");
    SetValue("a", "9");  // another object of that name
    EXPECT_TRUE(Becomes("c", "2"));
    EXPECT_TRUE(Becomes("a", "9"));
    EXPECT_TRUE(Becomes("b", "2"));
    informer_->Stop();
    EXPECT_EQ(informer_->store().size(), 3u);
    EXPECT_EQ(informer_->Counters().lists, 1u);
    Delete("b");
    Delete("c");
    SetValue("a", "1");
  }
}

TEST_P(InformerTest, ResumesFromBookmarks) {
  SetValue("a", "1");
  Start();
  ASSERT_TRUE(Watching());
  // Other resources move the version on; without the bookmark the watch's version would be gone.
  for (int i = 0; i < 5; ++i) {
    server_.Put(Services(), MakeObject({Services(), {"ns", "s" + std::to_string(i)}}));
  }
  server_.SendBookmarks();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().events == 1; }));
  server_.Compact();
  server_.CloseConnections();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().watches == 2; }));
  SetValue("a", "2");
  EXPECT_TRUE(Becomes("a", "2"));
  EXPECT_EQ(informer_->Counters().lists, 1u);
}

TEST_P(InformerTest, GarbageAndHalfLinesLoseNothing) {
  SetValue("a", "1");
  server_.FailNext(MapWatches(), Garbage(1));
  server_.FailNext(MapWatches(), CutLine(1));
  server_.FailNext(MapWatches(), ErrorEvent(500, "InternalError", 1));
  Start();
  for (int i = 2; i < 12; ++i) {
    SetValue("a", std::to_string(i));
    ASSERT_TRUE(Becomes("a", std::to_string(i)));
  }
  EXPECT_EQ(server_.faults().Left(), 0);
  EXPECT_EQ(informer_->Counters().lists, 2u);  // after the garbage alone
}

TEST_P(InformerTest, AnObjectThatCannotBeReadHoldsUpNoOther) {
  options_.unreadable = &unreadable_;
  SetValue("a", "1");
  server_.Put(ConfigMaps(), MakeObject({ConfigMaps(), {"ns", "b"}}, R"({"data":{"bad":"x"}})"));
  server_.Put(ConfigMaps(), MakeObject({ConfigMaps(), {"ns", "c"}}, R"({"data":{"w":"x"}})"));
  SetValue("d", "1");
  Start();
  EXPECT_EQ(informer_->store().size(), 2u);
  EXPECT_EQ(informer_->Counters().undecodable, 2u);
  ASSERT_TRUE(Watching());
  // One that was readable stays as it was, through lists too, until it can be read or is gone.
  server_.Put(ConfigMaps(), MakeObject({ConfigMaps(), {"ns", "a"}}, R"({"data":{"bad":"x"}})"));
  SetValue("d", "2");
  EXPECT_TRUE(Becomes("d", "2"));
  server_.Compact();
  server_.FailNext(MapWatches(), Answer(410, "Expired"));
  server_.CloseConnections();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().lists == 2; }));
  EXPECT_TRUE(Watching());
  EXPECT_EQ(Value("a"), "1");
  SetValue("a", "3");
  EXPECT_TRUE(Becomes("a", "3"));
  EXPECT_TRUE(unreadable_.In("ns")) << "b and c are still there";
  Delete("b");
  Delete("a");
  EXPECT_TRUE(Eventually([&] { return informer_->store().size() == 1; }));
  EXPECT_TRUE(unreadable_.In("ns"));
  SetValue("c", "1");
  EXPECT_TRUE(Becomes("c", "1"));
  EXPECT_TRUE(Eventually([&] { return unreadable_.empty(); }));
}

TEST_P(InformerTest, AnOptionalResourceComesAndGoes) {
  options_.optional = true;
  SetValue("a", "1");
  server_.Uninstall(ConfigMaps());
  Start();
  EXPECT_EQ(informer_->store().size(), 0u);
  EXPECT_TRUE(informer_->Counters().absent);
  server_.Install(ConfigMaps());
  EXPECT_TRUE(Becomes("a", "1"));
  EXPECT_TRUE(Eventually([&] { return !informer_->Counters().absent; }));
  ASSERT_TRUE(Watching());
  server_.Uninstall(ConfigMaps());
  server_.CloseConnections();
  EXPECT_TRUE(Eventually([&] { return informer_->store().size() == 0; }));
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().absent; }));
}

TEST_P(InformerTest, WaitsAsLongAsAThrottlingServerSays) {
  server_.FailNext(MapLists(), Answer(429, "TooManyRequests", 1), 2);
  const Millis begin = SystemClock().Steady();
  Start();
  const Millis took = SystemClock().Steady() - begin;
  EXPECT_GE(took, Millis{2'000});
  EXPECT_EQ(server_.Count(MapLists()), 3u);
}

TEST_P(InformerTest, SelectsByLabelAndNamespace) {
  options_.ns = "ns";
  options_.label_selector = "app=web";
  const auto put = [&](const std::string& ns, const std::string& name, const std::string& app) {
    server_.Put(ConfigMaps(),
                MakeObject({ConfigMaps(), {ns, name}},
                           R"({"data":{"v":"1"},"metadata":{"labels":{"app":")" + app + R"("}}})"));
  };
  put("ns", "a", "web");
  put("ns", "b", "db");
  put("other", "c", "web");
  Start();
  EXPECT_EQ(informer_->store().size(), 1u);
  put("ns", "b", "web");
  EXPECT_TRUE(Becomes("b", "1"));
  put("ns", "a", "db");
  EXPECT_TRUE(Eventually([&] { return informer_->store().size() == 1; }));
}

TEST_P(InformerTest, StopsAtOnceWhateverItDoes) {
  SetValue("a", "1");
  Start();
  ASSERT_TRUE(Watching());
  Millis begin = SystemClock().Steady();
  informer_->Stop();
  EXPECT_LT(SystemClock().Steady() - begin, Millis{500});
  // While it waits to try again.
  options_.first_backoff = Millis{60'000};
  options_.longest_backoff = Millis{60'000};
  server_.FailNext(MapLists(), Answer(500, "InternalError"), 100);
  informer_ = std::make_unique<Informer<Map>>(http_ ? *http_ : server_.transport(), SystemClock(),
                                              ConfigMaps(), options_, DecodeMap);
  informer_->Start();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().failures == 1; }));
  begin = SystemClock().Steady();
  informer_->Stop();
  EXPECT_LT(SystemClock().Steady() - begin, Millis{500});
}

TEST_P(InformerTest, WatchesForARandomTimeBelowThatOfIdleLimits) {
  options_.shortest_watch = Seconds{1};
  options_.longest_watch = Seconds{2};
  Start();
  EXPECT_TRUE(Eventually([&] { return informer_->Counters().watches == 3; }, Millis{20'000}));
  EXPECT_EQ(informer_->Counters().lists, 1u);
  EXPECT_EQ(informer_->Counters().failures, 0u);
  for (const RecordedRequest& watch : server_.Requests(MapWatches())) {
    const bool in_range = watch.request.path.find("timeoutSeconds=1") != std::string::npos ||
                          watch.request.path.find("timeoutSeconds=2") != std::string::npos;
    EXPECT_TRUE(in_range) << watch.request.path;
    EXPECT_NE(watch.request.path.find("allowWatchBookmarks=true"), std::string::npos);
  }
}

// Random faults at the wire while the world changes: at the end, the store is the world.
TEST_P(InformerTest, ComesToTheWorldsStateAfterAnyFaults) {
  const std::vector<Fault> faults = {Drop(),
                                     Garbage(1),
                                     CutLine(1),
                                     CutLine(0),
                                     End(1),
                                     Duplicate(),
                                     Reorder(),
                                     Answer(503, "ServiceUnavailable"),
                                     ErrorEvent(410, "Expired", 1),
                                     Answer(410, "Expired")};
  const std::vector<Fault> of_lists = {Drop(), Cut(60), Answer(503, "ServiceUnavailable"),
                                       Answer(410, "Expired"), Raw("\x16\x03 no HTTP\n\n")};
  options_.page_size = 3;
  std::uint64_t random = 17;
  const auto next = [&](std::uint64_t below) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random >> 33) % below;
  };
  Start();
  for (int step = 0; step < 400; ++step) {
    const std::string name = "m" + std::to_string(next(12));
    if (next(4) == 0) {
      if (server_.Get({ConfigMaps(), {"ns", name}})) Delete(name);
    } else {
      SetValue(name, std::to_string(step));
    }
    if (next(6) == 0) server_.FailNext(MapWatches(), faults[next(faults.size())]);
    if (next(20) == 0) server_.FailNext(MapLists(), of_lists[next(of_lists.size())]);
    if (next(25) == 0) server_.Compact();
    if (next(10) == 0) server_.CloseConnections();
    if (next(3) == 0) std::this_thread::sleep_for(Millis{next(5)});
  }
  server_.faults().Clear();
  server_.CloseConnections();
  SetValue("last", "done");
  ASSERT_TRUE(Becomes("last", "done"));
  EXPECT_TRUE(Eventually([&] {
    const auto world = server_.List(ConfigMaps());
    if (world.size() != informer_->store().size()) return false;
    for (const auto& object : world) {
      if (Value(object["metadata"]["name"]) != object["data"]["v"]) return false;
    }
    return true;
  }));
}

}  // namespace
}  // namespace perennial::testing
