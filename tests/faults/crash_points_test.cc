// Whole stories of the product, in which the controller's process dies before or after each of its
// requests, or learns nothing of one: the end must always be the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "faults/story_plots.h"

namespace perennial::testing {
namespace {

using Kind = Trouble::Kind;

// Every how-manieth place of a scenario is tried. PERENNIAL_STRIDE=1 tries all of them, as
// docs/reliability.md counts them; the usual run takes a sample, which sanitizers, ten times as
// slow, make smaller still.
int Stride(int usual) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  usual *= 10;
#endif
  const char* text = std::getenv("PERENNIAL_STRIDE");
  return text == nullptr ? usual : std::max(1, std::atoi(text));
}

// The undisturbed story, told once a process.
const Told& ReferenceOf(const Plot& plot) {
  static std::map<std::string, Told> told;
  const auto known = told.find(plot.name);
  return known != told.end() ? known->second : told.emplace(plot.name, Tell(plot)).first->second;
}

class CrashPoints : public ::testing::TestWithParam<Plot> {
 protected:
  // One trouble of this kind at each request of the story's chapter, or at every `stride`th.
  void AtEach(const Trouble& what, int stride) {
    const Plot& plot = GetParam();
    const Told& reference = ReferenceOf(plot);
    ASSERT_EQ(reference.violations, std::vector<std::string>());
    ASSERT_EQ(reference.idle_writes, 0) << reference.log.back();
    const auto [calls, writes] = reference.chapter;
    const int begin = 1 + (what.every_call ? calls : writes);
    const int last = what.every_call ? reference.calls : reference.writes;
    // A sample begins elsewhere in each story.
    const int first =
        begin + static_cast<int>(std::hash<std::string>{}(plot.name) %
                                 static_cast<std::size_t>(std::clamp(last - begin + 1, 1, stride)));
    int points = 0;
    for (int at = first; at <= last; at += stride) {
      SCOPED_TRACE("at request " + std::to_string(at));
      Trouble trouble = what;
      trouble.at = at;
      const Told told = Tell(plot, {trouble});
      EXPECT_EQ(told.crashes, Dies(what.kind) ? 1 : 0);
      ExpectSame(told, reference, at);
      ++points;
      if (HasFailure()) return;
    }
    std::cout << "points: " << points << " of " << plot.name << "\n";
    RecordProperty("points", points);
    EXPECT_GT(points, 0);
    EXPECT_GT(last - begin, 4);
  }
  static bool Dies(Kind kind) {
    return kind != Kind::kLoseReply && kind != Kind::kConflict && kind != Kind::kRefuse;
  }
};

// A crash after a read is one before the next request.
TEST_P(CrashPoints, ACrashBeforeAnyRequestChangesNothing) {
  Trouble trouble{Kind::kCrashBefore};
  trouble.every_call = true;
  AtEach(trouble, Stride(11));
}

TEST_P(CrashPoints, ACrashAfterAnyWriteChangesNothing) {
  AtEach({Kind::kCrashAfter}, Stride(4));
}

TEST_P(CrashPoints, ALostAnswerToAWriteChangesNothing) {
  AtEach({Kind::kLoseReply}, Stride(9));
}

TEST_P(CrashPoints, AConflictAtAWriteChangesNothing) {
  AtEach({Kind::kConflict, 0, 3}, Stride(17));
}

TEST_P(CrashPoints, ARefusalOfAWriteChangesNothing) {
  AtEach({Kind::kRefuse, 0, 5}, Stride(17));
}

// A replica of the API server, or of etcd, that is behind: Sieve's time travel.
TEST_P(CrashPoints, ARestartIntoThePastChangesNothing) {
  Trouble trouble{Kind::kCrashAfter};
  for (const int back : {1, 4}) {
    // Open: a list from before the route had announced an undone champion's successor is acted on,
    // and gives the rejected champion all traffic again until the list is newer.
    if (back == 4 && GetParam().name == AnEditThatIsAbortedRetriedAndUndone().name) continue;
    trouble.stale = back;
    AtEach(trouble, Stride(17));
  }
}

TEST_P(CrashPoints, ALeaseThatIsLostInTheMiddleChangesNothing) {
  AtEach({Kind::kLoseLease}, Stride(9));
}

TEST_P(CrashPoints, AWriteThatArrivesAfterItsSuccessorsChangesNothing) {
  for (const int later : {1, 3}) AtEach({Kind::kArriveLate, 0, later}, Stride(17));
}

TEST_P(CrashPoints, TwoCrashesAnywhereChangeNothing) {
  const Plot& plot = GetParam();
  const Told& reference = ReferenceOf(plot);
  std::mt19937 random(static_cast<std::uint32_t>(plot.name.size()));
  for (int i = 0; i < 20; i += Stride(10)) {
    std::vector<Trouble> trouble;
    int at = 0;
    for (int crash = 0; crash < 2; ++crash) {
      at += 1 + static_cast<int>(random() % static_cast<std::uint32_t>(reference.writes / 2));
      trouble.push_back({random() % 2 ? Kind::kCrashBefore : Kind::kCrashAfter, at, 1});
    }
    SCOPED_TRACE("at writes " + std::to_string(trouble[0].at) + " and " + std::to_string(at));
    ExpectSame(Tell(plot, trouble), reference, at);
    if (HasFailure()) return;
  }
}

TEST_P(CrashPoints, StoresThatLagBehindChangeNothing) {
  const Plot& plot = GetParam();
  const Told& reference = ReferenceOf(plot);
  for (std::uint32_t seed = 1; seed <= 12; seed += static_cast<std::uint32_t>(Stride(6))) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ExpectSame(Tell(plot, {}, seed), reference, 0);
    // And a process that dies on top of that.
    const int at = 1 + static_cast<int>(seed * 7919 % static_cast<std::uint32_t>(reference.writes));
    const Kind kind = seed % 2 ? Kind::kCrashBefore : Kind::kCrashAfter;
    ExpectSame(Tell(plot, {{kind, at, 1}}, seed), reference, at);
    if (HasFailure()) return;
  }
}

std::string NameOfPlot(const ::testing::TestParamInfo<Plot>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Scenarios, CrashPoints, ::testing::ValuesIn(AllPlots()), NameOfPlot);

}  // namespace
}  // namespace perennial::testing
