#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "drift/verdict.h"

namespace perennial::drift {
namespace {

using api::PolicyMode;
using api::Severity;
using api::SignalState;

constexpr std::string_view kAlphabet = "BCw-?E";
constexpr std::array kStates{SignalState::kOk, SignalState::kWarning, SignalState::kDrifted,
                             SignalState::kNoData, SignalState::kError};

// Every history of up to `longest` looks.
std::vector<std::string> AllMarks(std::size_t longest) {
  std::vector<std::string> all{""};
  for (std::size_t from = 0, length = 0; length < longest; ++length) {
    const std::size_t to = all.size();
    for (; from < to; ++from) {
      for (const char mark : kAlphabet) all.push_back(all[from] + mark);
    }
  }
  return all;
}

std::ptrdiff_t CountOf(const std::string& marks, std::string_view of) {
  return std::count_if(marks.begin(), marks.end(),
                       [&](char mark) { return of.find(mark) != std::string_view::npos; });
}

TEST(NextState, IsKOfNWithHysteresis) {
  using S = SignalState;
  const struct {
    S before;
    const char* marks;  // newest first
    S want;
  } cases[] = {
      {S::kNoData, "-", S::kOk},
      {S::kOk, "B---", S::kWarning},
      {S::kOk, "BB--", S::kWarning},
      {S::kOk, "BBB-", S::kDrifted},
      {S::kOk, "B-BB", S::kDrifted},
      {S::kOk, "-B--", S::kOk},
      {S::kOk, "w---", S::kWarning},
      {S::kDrifted, "-BBB", S::kDrifted},
      {S::kDrifted, "--BB", S::kDrifted},
      {S::kDrifted, "---B", S::kOk},
      {S::kDrifted, "w--B", S::kWarning},
      {S::kDrifted, "????", S::kDrifted},
      {S::kDrifted, "-?-?", S::kDrifted},
      {S::kOk, "?---", S::kOk},
      {S::kOk, "????", S::kNoData},
      {S::kWarning, "????", S::kNoData},
      {S::kOk, "???", S::kOk},
      {S::kNoData, "", S::kNoData},
      {S::kDrifted, "", S::kDrifted},
      {S::kOk, "?B?B", S::kWarning},
      {S::kOk, "EEE", S::kError},
      {S::kOk, "E---", S::kOk},
      {S::kOk, "CBC-", S::kDrifted},
      {S::kOk, "C---", S::kWarning},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(NextState(test.before, test.marks, 3, 4), test.want)
        << test.marks << " from " << static_cast<int>(test.before);
    EXPECT_EQ(NextState(test.want, test.marks, 3, 4), test.want) << "not stable: " << test.marks;
  }
  EXPECT_EQ(NextState(S::kOk, "B", 1, 1), S::kDrifted);
  EXPECT_EQ(NextState(S::kDrifted, "-", 1, 1), S::kOk);
}

// What follows holds for every history of every k of n up to 4.
template <class Check>
void ForEveryHistory(Check check) {
  for (int n = 1; n <= 4; ++n) {
    for (const std::string& marks : AllMarks(static_cast<std::size_t>(n))) {
      for (int k = 1; k <= n; ++k) check(marks, k, n);
    }
  }
}

TEST(NextState, NeedsAsManyBreachesAsItSays) {
  ForEveryHistory([](const std::string& marks, int k, int n) {
    for (const SignalState before : kStates) {
      if (before == SignalState::kDrifted) continue;
      EXPECT_EQ(NextState(before, marks, k, n) == SignalState::kDrifted, CountOf(marks, "BC") >= k)
          << marks << " " << k;
    }
  });
}

TEST(NextState, LeavesADriftOnlyByAsManyCalmLooks) {
  ForEveryHistory([](const std::string& marks, int k, int n) {
    const bool left = NextState(SignalState::kDrifted, marks, k, n) != SignalState::kDrifted;
    EXPECT_EQ(left, CountOf(marks, "BC") < k && CountOf(marks, "-w") >= k) << marks << " " << k;
  });
}

// A look without data instead of any other never makes a drift, nor ends one.
TEST(NextState, NoDataMovesNothing) {
  ForEveryHistory([](const std::string& marks, int k, int n) {
    for (std::size_t i = 0; i < marks.size(); ++i) {
      std::string blind = marks;
      blind[i] = '?';
      for (const SignalState before : kStates) {
        const bool drifts = NextState(before, marks, k, n) == SignalState::kDrifted;
        const bool blindly = NextState(before, blind, k, n) == SignalState::kDrifted;
        if (before == SignalState::kDrifted) {
          EXPECT_TRUE(blindly || CountOf(blind, "-w") >= k) << marks;
        } else {
          EXPECT_TRUE(drifts || !blindly) << marks;
        }
      }
    }
    if (CountOf(marks, "?") != std::ssize(marks)) return;
    for (const SignalState before : {SignalState::kOk, SignalState::kWarning}) {
      EXPECT_NE(NextState(before, marks, k, n), SignalState::kDrifted);
    }
  });
}

// A worse look instead of a better one never leads to a better state.
TEST(NextState, IsMonotone) {
  const std::string_view order = "-wBC";
  const auto rank = [](SignalState state) {
    return state == SignalState::kDrifted ? 2 : state == SignalState::kWarning ? 1 : 0;
  };
  ForEveryHistory([&](const std::string& marks, int k, int n) {
    if (CountOf(marks, "?E") > 0) return;
    for (std::size_t i = 0; i < marks.size(); ++i) {
      const std::size_t at = order.find(marks[i]);
      if (at + 1 == order.size()) continue;
      std::string worse = marks;
      worse[i] = order[at + 1];
      for (const SignalState before : kStates) {
        EXPECT_LE(rank(NextState(before, marks, k, n)), rank(NextState(before, worse, k, n)))
            << marks << " " << worse;
      }
      EXPECT_LE(SeverityOf({}, marks, k, n), SeverityOf({}, worse, k, n));
    }
  });
}

TEST(SeverityOf, IsTheSignalsUntilEnoughLooksWereCritical) {
  api::Signal signal;
  signal.severity = Severity::kMinor;
  EXPECT_EQ(SeverityOf(signal, "BBCC", 3, 4), Severity::kMinor);
  EXPECT_EQ(SeverityOf(signal, "CBCC", 3, 4), Severity::kCritical);
  EXPECT_EQ(SeverityOf(signal, "BBCCC", 3, 4), Severity::kMinor) << "the fifth look is too old";
}

api::DriftMonitorSpec Spec(const std::vector<double>& weights, PolicyMode mode, double least = 0) {
  api::DriftMonitorSpec spec;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    api::Signal signal;
    signal.name = "s" + std::to_string(i);
    if (weights[i] != 1) signal.weight = api::Decimal{weights[i], "w"};
    spec.signals.push_back(signal);
  }
  spec.policy.mode = mode;
  if (mode != PolicyMode::kAny) spec.policy.at_least = api::Decimal{least, "least"};
  return spec;
}

TEST(Policy, AnyIsOneThatCounts) {
  const auto spec = Spec({1, 0, 1}, PolicyMode::kAny);
  EXPECT_FALSE(JudgePolicy(spec, {}).drifted);
  EXPECT_FALSE(JudgePolicy(spec, {"s1"}).drifted);
  EXPECT_TRUE(JudgePolicy(spec, {"s1", "s2"}).drifted);
}

TEST(Policy, ShareIsOfAllSignals) {
  const auto spec = Spec({1, 1, 1, 1}, PolicyMode::kShare, 0.5);
  EXPECT_FALSE(JudgePolicy(spec, {"s1"}).drifted);
  EXPECT_EQ(JudgePolicy(spec, {"s1"}).reason, "1 of 4 signals have drifted, share 0.25, below 0.5");
  EXPECT_TRUE(JudgePolicy(spec, {"s1", "s3"}).drifted);
}

TEST(Policy, ScoreAddsUpWeights) {
  const auto spec = Spec({0.1, 0.2, 3, 0}, PolicyMode::kScore, 0.3);
  EXPECT_FALSE(JudgePolicy(spec, {"s0"}).drifted);
  EXPECT_TRUE(JudgePolicy(spec, {"s0", "s1"}).drifted) << "0.1 + 0.2 reaches 0.3";
  EXPECT_TRUE(JudgePolicy(spec, {"s2"}).drifted);
  EXPECT_FALSE(JudgePolicy(spec, {"s3"}).drifted);
  EXPECT_FALSE(JudgePolicy(Spec({0, 0}, PolicyMode::kShare, 0.5), {"s0", "s1"}).drifted);
}

// One drifted signal more never ends a drift of the model; none never begins one.
TEST(Policy, IsMonotone) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int run = 0; run < 2000; ++run) {
    std::vector<double> weights(1 + random() % 8);
    for (double& weight : weights) weight = random() % 4 == 0 ? 0 : 2 * uniform(random);
    const auto mode = static_cast<PolicyMode>(random() % 3);
    const auto spec = Spec(weights, mode, 0.05 + 0.95 * uniform(random));
    std::set<std::string> drifted;
    EXPECT_FALSE(JudgePolicy(spec, drifted).drifted);
    bool before = false;
    std::vector<std::size_t> order(weights.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    double sum = 0;
    for (const std::size_t i : order) {
      drifted.insert("s" + std::to_string(i));
      sum += weights[i];
      const bool now = JudgePolicy(spec, drifted).drifted;
      EXPECT_TRUE(now || !before);
      EXPECT_TRUE(sum > 0 || !now);
      before = now;
    }
    EXPECT_TRUE(before || mode == PolicyMode::kScore || sum == 0) << "all of them have drifted";
  }
}

}  // namespace
}  // namespace perennial::drift
