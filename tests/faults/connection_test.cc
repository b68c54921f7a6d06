// The whole controller over real connections that break in every way, while it brings a model to
// serve and replaces it: the objects at the end, and how often each was made and deleted, must be
// those of the undisturbed run.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kube/http_transport.h"
#include "support/controller_world.h"
#include "support/eventually.h"
#include "support/fake_api_server.h"
#include "support/slowdown.h"
#include "support/tallies.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

constexpr const char* kUndisturbed = "Nothing";
// For a model to serve, where everything is slow: only a failure takes so long.
constexpr Millis kLongest{90'000};

using Act = std::function<void(FakeApiServer&)>;
using Tally = std::function<std::size_t(const FakeApiServer&)>;

std::size_t FaultsMet(const FakeApiServer& server) {
  return static_cast<std::size_t>(server.faults().Struck());
}

struct Break {
  std::string name;
  Act first;   // before the controller starts
  Act amid{};  // while it works, again and again
  // Where nobody answers, a test can't wait as long as the controller does. Until all is broken.
  Millis patience = Millis::max();
  Millis silence = Millis::max();
  // How often it has happened so far; null for what never happens.
  Tally struck = FaultsMet;
};

void PrintTo(const Break& one, std::ostream* out) {
  *out << one.name;
}

Match Watches() {
  Match match;
  match.watch = true;
  return match;
}
Match Calls(const std::string& method = "") {
  Match match;
  match.method = method;
  match.watch = false;
  return match;
}

// The same fault for the next `times` requests.
std::function<void(FakeApiServer&)> Fails(const Match& match, const Fault& fault, int times) {
  return [=](FakeApiServer& server) { server.FailNext(match, fault, times, 1); };
}

// Does the first at once, the second two seconds later, as Break::amid is called.
Act InTurn(Act first, Act second) {
  return [=, calls = 0](FakeApiServer& server) mutable {
    ++calls;
    if (calls == 1) first(server);
    if (calls == 10) second(server);
  };
}

// The first `times` that Break::amid is called.
Act Times(int times, Act act) {
  return [=](FakeApiServer& server) mutable {
    if (times-- > 0) act(server);
  };
}

std::vector<Break> Breaks() {
  const auto close = [](FakeApiServer& server) { server.CloseConnections(); };
  const auto compact = [](FakeApiServer& server) {
    server.Compact();
    server.CloseConnections();
  };
  const auto flush = [](FakeApiServer& server) { server.SendBookmarks(); };
  const auto away = [](FakeApiServer& server) {
    server.FailNext({}, Drop(), 1'000'000);
    server.CloseConnections();
  };
  const auto nothing = [](FakeApiServer&) {};
  const auto back = [](FakeApiServer& server) { server.faults().Clear(); };
  const auto cut = [](const FakeApiServer& server) { return server.cut_watches(); };
  const auto expired = [](const FakeApiServer& server) { return server.expired_watches(); };
  return {
      {"ApiServerRestarts", nullptr, Times(4, close), Millis::max(), Millis::max(), cut},
      {"WatchesExpireInTheMiddle", Fails(Watches(), ErrorEvent(410, "Expired", 1), 10)},
      {"HistoryIsCompacted", nullptr, Times(4, compact), Millis::max(), Millis::max(), expired},
      {"EventsComeTwice", Fails(Watches(), Duplicate(), 100)},
      {"EventsChangePlaces", Fails(Watches(), Reorder(), 100), flush},
      {"ConnectionsAreCut", Fails(Calls(), Drop(), 12)},
      {"AnswersAreLost", Fails(Calls(), LoseReply(), 12)},
      {"WatchLinesAreCut", Fails(Watches(), CutLine(1), 10)},
      {"AnswersAreTruncated", Fails(Calls("GET"), Cut(60), 12)},
      {"WatchesSendGarbage", Fails(Watches(), Garbage(1), 8)},
      {"AnswersAreNoHttp", Fails(Calls(), Raw("\x16\x03\x01 no HTTP\n\n"), 6)},
      {"BytesDrip", Fails(Calls("GET"), Drip(Millis(1)), 6)},
      {"CallsAreNeverAnswered", Fails(Calls(), HalfOpen(), 4), nullptr, Millis(1'000) * kSlowdown},
      {"WatchesAreNeverAnswered", Fails(Watches(), HalfOpen(), 6), nullptr, Millis::max(),
       Millis(2'500) * kSlowdown},
      {"CallsAreThrottled", Fails(Calls(), Answer(429, "TooManyRequests", 1), 6)},
      {"CallsFail", Fails(Calls(), Answer(500, "InternalError"), 12)},
      {"WatchesAreRefused", Fails(Watches(), Answer(503, "ServiceUnavailable"), 8)},
      {"CallsAreRedirected", Fails(Calls(), Redirect("http://127.0.0.1:9/"), 8)},
      {"ApiServerIsAwayAtTheStart", away, InTurn(nothing, back)},
      {"ApiServerIsAwayInTheMiddle", nullptr, InTurn(away, back)},
  };
}

std::string Count(FakeApiServer& server) {
  return TallyText(server, [](const kube::Ref& ref) {
    return ref.resource.plural != "events" && ref.resource.plural != "endpointslices";
  });
}

// Objects, without what depends on the moment.
std::string EndState(FakeApiServer& server, ControllerWorld& world) {
  std::string out;
  const std::string champion = world.Champion();
  for (const kube::Resource& resource :
       {api::kModelVersions, api::kDeployments, api::kServices, api::kHttpRoutes}) {
    for (const json& object : server.List(resource)) {
      const bool serves = object.dump().find(champion) != std::string::npos;
      out += resource.plural + (serves ? " of the champion: " : " of another: ") +
             object["spec"].value("replicas", json()).dump() +
             object["spec"].value("model", json()).dump() + "\n";
    }
  }
  const json model = world.Model();
  for (const json& condition :
       model.value(json::json_pointer("/status/conditions"), json::array())) {
    out += condition["type"].get<std::string>() + "=" + condition["status"].get<std::string>() +
           " " + condition["reason"].get<std::string>() + "\n";
  }
  return out;
}

std::string Live(const Break& broken) {
  FakeApiServer server;
  const auto transport = kube::MakeHttpTransport(server.Config(), SystemClock());
  if (!transport.ok()) return transport.error().message;
  ControllerWorld world(server, transport->get());
  world.front.most_patience = broken.patience;
  world.front.most_silence = broken.silence;
  if (broken.first) broken.first(server);
  // Nothing gets ready before it has happened: else a fast controller would have no more to do.
  const auto happened = [&] { return !broken.struck || broken.struck(server) > 0; };
  int rounds = 0;
  const auto serves = [&](const std::string& uri) {
    return Eventually(
        [&] {
          ++rounds;
          if (broken.amid && rounds % 40 == 0) broken.amid(server);
          if (rounds % 8 == 0 && happened()) world.MakePodsReady();
          const json version =
              server.Get({api::kModelVersions, {"transit", world.Champion()}}).value_or(json());
          return !version.is_null() && version["spec"]["model"]["uri"] == uri;
        },
        kLongest);
  };
  std::string out;
  world.SetModel("http://models/1");
  world.Start();
  // What breaks in the middle finds it at work.
  if (!broken.first) Eventually([&] { return server.Writes() > 0; }, kLongest);
  if (!serves("http://models/1")) out += "the first model does not serve\n";
  world.SetModel("http://models/2");
  if (!serves("http://models/2")) out += "the second model does not serve\n";
  if (!happened()) out += "nothing broke\n";
  server.faults().Clear();
  // Until the pods of the first are gone and nothing is written any more.
  std::size_t writes = 0;
  int quiet = 0;
  Eventually(
      [&] {
        if (broken.amid) broken.amid(server);
        server.faults().Clear();
        world.MakePodsReady();
        const std::size_t before = std::exchange(writes, server.Writes());
        std::this_thread::sleep_for(Millis(250));
        const bool alone = server.List(api::kDeployments).size() == 1;
        quiet = alone && before == server.Writes() ? quiet + 1 : 0;
        return quiet == 4;
      },
      Millis(150'000));
  world.Stop();
  return out + EndState(server, world) + Count(server);
}

// They wait most of the time, for time limits and for backoffs, so that several go on at once; not
// all, since on a slow machine the undisturbed ones would wait for each other. All have ended
// before the first test goes on: others exchange the logger.
constexpr int kAtOnce = 6;

std::map<std::string, std::string> AllEnds() {
  // The logger is made at its first use, by a library that the thread sanitizer can't see into.
  spdlog::default_logger_raw();
  std::vector<Break> breaks = Breaks();
  breaks.push_back({kUndisturbed, nullptr, nullptr, Millis::max(), Millis::max(), nullptr});
  std::vector<std::string> ends(breaks.size());
  std::atomic<std::size_t> next{0};
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < kAtOnce; ++i) {
      running.emplace_back([&] {
        for (std::size_t at = next++; at < breaks.size(); at = next++) ends[at] = Live(breaks[at]);
      });
    }
  }
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < breaks.size(); ++i) out[breaks[i].name] = ends[i];
  return out;
}

const std::string& EndOf(const std::string& name) {
  static const std::map<std::string, std::string> kEnds = AllEnds();
  return kEnds.at(name);
}

class Connections : public ::testing::TestWithParam<Break> {};

TEST_P(Connections, LeadToTheSameEndHoweverTheyBreak) {
  EXPECT_EQ(EndOf(GetParam().name), EndOf(kUndisturbed));
}

TEST(UndisturbedConnections, LeadToAnEndAtAll) {
  const std::string& end = EndOf(kUndisturbed);
  EXPECT_EQ(end.find("does not serve"), std::string::npos) << end;
  EXPECT_NE(end.find("Promoted=True Promoted"), std::string::npos) << end;
  EXPECT_NE(end.find("deployments: +1-0 +1-1"), std::string::npos) << end;
  EXPECT_NE(end.find("modelversions: +1-0 +1-0"), std::string::npos) << end;
}

std::string NameOfBreak(const ::testing::TestParamInfo<Break>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Faults, Connections, ::testing::ValuesIn(Breaks()), NameOfBreak);

}  // namespace
}  // namespace perennial::testing
