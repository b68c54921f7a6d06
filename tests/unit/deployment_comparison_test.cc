// The A/B/n test of a fixed split, and what is believed beside the verdict.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "deployment/allocation.h"
#include "deployment/belief.h"
#include "deployment/comparison.h"
#include "support/counted_samples.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using api::Verdict;
using nlohmann::json;
using std::chrono::minutes;

Samples Booked(double requests, double bookings) {
  scrape::WindowView view = OfOnePod();
  AddCounter("bookings", bookings, view);
  AddCounter("requests", requests, view);
  return {view, view, view};
}

struct Split : ServingWorld {
  Split() {
    spec.erase("model");
    spec["variants"] = json::parse(R"([
      {"name": "a", "weight": 50, "model": {"uri": "oci://a:1"}},
      {"name": "b", "weight": 25, "model": {"uri": "oci://b:1"}},
      {"name": "c", "weight": 25, "model": {"uri": "oci://c:1"}}])");
    spec["rollout"] = json::parse(R"({"experiment": {
      "primary": {"name": "booked", "kind": "Proportion", "goal": "Increase",
                  "numerator": "bookings", "denominator": "requests"},
      "minSamples": 200, "expectedSamples": 4000}})");
    Settle();
    for (const api::VariantStatus& row : Status().variants) version[row.name] = row.version;
  }
  void Count(double a, double b, double c) {
    samples[version["a"]] = Booked(4000, 4000 * a);
    samples[version["b"]] = Booked(2000, 2000 * b);
    samples[version["c"]] = Booked(2000, 2000 * c);
  }
  std::map<std::string, std::string> version;
};

TEST(Comparison, JudgesEveryVariantAgainstTheFirst) {
  Split split;
  split.Count(0.10, 0.16, 0.10);
  split.Live(Seconds(30));
  const auto rows = split.Status().comparisons;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].variant, "b");
  EXPECT_EQ(rows[0].control, "a");
  EXPECT_EQ(rows[0].experiment.verdict, Verdict::kPass) << rows[0].experiment.message;
  EXPECT_EQ(rows[0].experiment.probability_better, "1");
  EXPECT_EQ(rows[1].experiment.verdict, Verdict::kInconclusive) << rows[1].experiment.message;
  EXPECT_EQ(split.Weights()[split.version["b"]], 25) << "it reports and moves nothing";
}

TEST(Comparison, ShareTheAlphaBetweenThem) {
  Split split;
  split.Count(0.10, 0.10, 0.10);
  split.Live(Seconds(30));
  EXPECT_NE(split.Status().comparisons[0].experiment.message.find("alpha 0.05/2"),
            std::string::npos)
      << split.Status().comparisons[0].experiment.message;
  // A difference that is enough for one comparison isn't for two.
  const auto p = [&](double rate) {
    split.Count(0.10, rate, 0.10);
    split.Live(Seconds(30));
    return std::stod(split.Status().comparisons[0].experiment.p_value);
  };
  double rate = 0.10;
  double value = 1;
  while (value > 0.05) value = p(rate += 0.0005);
  ASSERT_GT(value, 0.025) << "the steps are small enough to land in between";
  EXPECT_EQ(split.Status().comparisons[0].experiment.verdict, Verdict::kInconclusive);
}

int Sum(const std::vector<int>& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0);
}

TEST(Allocation, KeepsFloorAndCeiling) {
  using Shares = std::vector<int>;
  EXPECT_EQ(Allocate({0.5, 0.5}, 5, 90), (Shares{50, 50}));
  EXPECT_EQ(Allocate({1, 0}, 5, 90), (Shares{90, 10})) << "the ceiling is the lower bound's";
  EXPECT_EQ(Allocate({1, 0}, 5, 95), (Shares{95, 5}));
  EXPECT_EQ(Allocate({0, 1, 0}, 10, 70), (Shares{15, 70, 15}));
  for (int n = 2; n <= 16; ++n) {
    for (int winner = 0; winner < n; ++winner) {
      std::vector<double> best(static_cast<size_t>(n), 0);
      best[static_cast<size_t>(winner)] = 1;
      const Shares shares = Allocate(best, 5, 60);
      EXPECT_EQ(Sum(shares), 100);
      EXPECT_GE(*std::min_element(shares.begin(), shares.end()), 5);
      EXPECT_LE(*std::max_element(shares.begin(), shares.end()), 60);
    }
  }
}

TEST(Allocation, BelievesMeansAsTheyLie) {
  const auto arm = [](double mean) {
    return stats::Arm{1000, 1000 * mean, 1000 * (mean * mean + 1)};
  };
  const auto equal =
      ProbabilitiesOfBest(stats::ArmKind::kMean, api::Goal::kDecrease, {arm(4), arm(4), arm(4)});
  for (const double one : equal) EXPECT_NEAR(one, 1.0 / 3, 1e-6);
  // Two arms agree with the closed form.
  const auto two =
      ProbabilitiesOfBest(stats::ArmKind::kMean, api::Goal::kDecrease, {arm(4), arm(3.95)});
  const auto belief = Believe(stats::ArmKind::kMean, api::Goal::kDecrease, arm(4), arm(3.95));
  EXPECT_NEAR(two[1], belief->probability_better, 1e-6);
  EXPECT_TRUE(ProbabilitiesOfBest(stats::ArmKind::kMean, api::Goal::kDecrease,
                                  {arm(4), stats::Arm{1000, 4000, {}}})
                  .empty());
}

TEST(Allocation, FollowsTheRecordAndSurvivesARestart) {
  Split split;
  split.spec["rollout"]["experiment"]["weights"] = "Thompson";
  split.Live(Seconds(30));
  EXPECT_EQ(split.Weights()[split.version["a"]], 50) << "as the spec says, until there is data";
  split.Count(0.10, 0.16, 0.10);
  split.Live(minutes(2));
  const auto weights = split.Weights();
  EXPECT_EQ(weights.at(split.version["b"]), 90) << split.Status().why;
  EXPECT_EQ(weights.at(split.version["a"]), 5);
  EXPECT_EQ(weights.at(split.version["c"]), 5);
  EXPECT_EQ(split.Status().comparisons[0].experiment.verdict, Verdict::kPass)
      << "moving weights begin no new test: " << split.Status().comparisons[0].experiment.message;
  // Another process knows nothing but the record.
  split.samples.clear();
  const auto applied = Decide(split.See(), split.now).actions;
  EXPECT_TRUE(applied.empty());
  EXPECT_EQ(split.Weights(), weights);
  // Idle means no writes.
  split.Count(0.10, 0.16, 0.10);
  split.Settle();
  EXPECT_FALSE(split.Step().status.has_value());
}

TEST(Allocation, GivesTheFloorToWhoBreaksAGuardrail) {
  Split split;
  split.spec["rollout"]["experiment"]["weights"] = "Thompson";
  split.spec["rollout"]["experiment"]["guardrails"] = json::parse(R"([
      {"name": "refunds", "kind": "Proportion", "numerator": "refunds", "denominator": "requests",
       "maxIncrease": "0.01"}])");
  const auto count = [&](const char* name, double requests, double bookings, double refunds) {
    Samples samples = Booked(requests, bookings);
    for (scrape::WindowView* view : {&samples.window, &samples.totals, &samples.step}) {
      scrape::SeriesWindow series;
      series.metric = "refunds";
      series.kind = scrape::SeriesKind::kCounter;
      series.increase = refunds;
      view->series.push_back(series);
    }
    split.samples[split.version[name]] = samples;
  };
  count("a", 4000, 400, 20);
  count("b", 2000, 320, 200);  // more bookings, and many refunds
  count("c", 2000, 200, 10);
  split.Live(minutes(2));
  EXPECT_EQ(split.Status().comparisons[0].experiment.verdict, Verdict::kFail);
  EXPECT_EQ(split.Weights()[split.version["b"]], 5);
}

TEST(Comparison, BeginsAnewWithAnotherSplit) {
  Split split;
  split.Count(0.10, 0.20, 0.10);
  split.Live(Seconds(30));
  ASSERT_EQ(split.Status().comparisons[0].experiment.verdict, Verdict::kPass);
  split.samples.clear();
  split.spec["variants"][0]["weight"] = 40;
  split.spec["variants"][2]["weight"] = 35;
  ++split.generation;
  split.Live(Seconds(30));
  EXPECT_EQ(split.Status().comparisons[0].experiment.verdict, Verdict::kNoData);
  EXPECT_EQ(split.Status().comparisons[0].experiment.p_value, "1");
  // Without an experiment there is nothing to show.
  split.spec["rollout"].erase("experiment");
  ++split.generation;
  split.Live(Seconds(30));
  EXPECT_TRUE(split.Status().comparisons.empty());
}

TEST(Comparison, SeesASplitThatIsNotTheWantedOne) {
  Split split;
  split.Count(0.10, 0.16, 0.10);
  split.samples[split.version["b"]] = Booked(1000, 160);
  split.Live(Seconds(30));
  const auto rows = split.Status().comparisons;
  EXPECT_EQ(rows[0].experiment.verdict, Verdict::kInconclusive);
  EXPECT_NE(rows[0].experiment.message.find("sample-ratio"), std::string::npos);
}

TEST(Belief, IsSureWhereTheDataAre) {
  using stats::Arm;
  using stats::ArmKind;
  const Arm ten{1000, 100, {}};
  const Arm twenty{1000, 200, {}};
  const auto better = Believe(ArmKind::kProportion, api::Goal::kIncrease, ten, twenty);
  EXPECT_GT(better->probability_better, 0.999);
  EXPECT_LT(better->expected_loss, 1e-6);
  const auto worse = Believe(ArmKind::kProportion, api::Goal::kDecrease, ten, twenty);
  EXPECT_LT(worse->probability_better, 0.001);
  EXPECT_NEAR(worse->expected_loss, 0.1, 0.001) << "the whole difference";
  const auto even = Believe(ArmKind::kProportion, api::Goal::kIncrease, ten, ten);
  EXPECT_NEAR(even->probability_better, 0.5, 1e-6);
}

TEST(Belief, OfMeansFollowsTheNormalLaw) {
  using stats::Arm;
  using stats::ArmKind;
  // Mean 4 and variance 1 against mean 4.1: deviation of the difference sqrt(2 / 399) or so.
  const Arm champion{400, 1600, 400 * 17.0};
  const Arm challenger{400, 1640, 400 * (4.1 * 4.1 + 1)};
  const double deviation = std::sqrt(2.0 / 399);
  const double z = 0.1 / deviation;
  const double below = 0.5 * std::erfc(z / std::sqrt(2));
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * M_PI);
  const auto up = Believe(ArmKind::kMean, api::Goal::kIncrease, champion, challenger);
  EXPECT_NEAR(up->probability_better, 1 - below, 1e-9);
  EXPECT_NEAR(up->expected_loss, deviation * (density - z * below), 1e-9);
  const auto down = Believe(ArmKind::kMean, api::Goal::kDecrease, champion, challenger);
  EXPECT_NEAR(down->probability_better, below, 1e-9);
  EXPECT_NEAR(down->expected_loss - up->expected_loss, 0.1, 1e-9) << "losses differ by the effect";
  EXPECT_FALSE(Believe(ArmKind::kMean, api::Goal::kIncrease, {400, 1600, {}}, challenger));
}

}  // namespace
}  // namespace perennial::deployment
