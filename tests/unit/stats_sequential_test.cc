#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "stats/sequential.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;

// Runs one vector's looks and checks each: the p-value is the running minimum.
void CheckLooks(const nlohmann::json& test, const std::vector<std::pair<double, double>>& looks) {
  const double tau = test["inputs"]["tau2"];
  const double alpha = test["inputs"]["alpha"];
  double running = 1;
  int first = -1;
  const auto& expected = test["expected"]["looks"];
  ASSERT_EQ(looks.size(), expected.size());
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const auto [difference, variance] = looks[i];
    ExpectMatches(difference, expected[i]["diff"], test);
    ExpectMatches(variance, expected[i]["variance_of_diff"], test);
    const auto look = LookAt(difference, variance, tau, alpha);
    ASSERT_EQ(look.has_value(), !expected[i]["log_lambda"].is_null());
    if (look) {
      ExpectMatches(look->log_likelihood_ratio, expected[i]["log_lambda"], test);
      ExpectMatches(look->half_width, expected[i]["ci_half_width"], test);
      running = std::min(running, look->p_value);
    }
    ExpectMatches(running, expected[i]["p_value"], test);
    if (first < 0 && running <= alpha) first = static_cast<int>(i);
  }
  const auto& reject = test["expected"]["first_reject_index"];
  EXPECT_EQ(first, reject.is_null() ? -1 : reject.get<int>());
}

TEST(MixtureTest, MatchesTheVectorsForMeans) {
  for (const auto& test : Cases("msprt_means")) {
    SCOPED_TRACE(test["name"]);
    std::vector<std::pair<double, double>> looks;
    for (const auto& in : test["inputs"]["looks_na_meana_vara_nb_meanb_varb"]) {
      const std::array<double, 6> v = in;
      looks.emplace_back(v[4] - v[1], v[2] / v[0] + v[5] / v[3]);
    }
    CheckLooks(test, looks);
  }
}

// The vectors use the paper's unpooled variance, CompareArms the pooled one for its p-value.
TEST(MixtureTest, MatchesTheVectorsForProportions) {
  for (const auto& test : Cases("msprt_proportions")) {
    SCOPED_TRACE(test["name"]);
    std::vector<std::pair<double, double>> looks;
    for (const auto& in : test["inputs"]["looks_xa_na_xb_nb"]) {
      const std::array<double, 4> v = in;
      const double a = v[0] / v[1];
      const double b = v[2] / v[3];
      looks.emplace_back(b - a, a * (1 - a) / v[1] + b * (1 - b) / v[3]);
    }
    CheckLooks(test, looks);
  }
}

// The same numbers in the form of arXiv 2103.06476, with N = na + nb of equal arms.
TEST(MixtureTest, IsTheAsymptoticConfidenceSequence) {
  const double alpha = 0.05;
  const double planned = 5000;
  const double unit = 2.5;
  for (const double arm : {100.0, 1000.0, 40'000.0}) {
    const double n = 2 * arm;
    const double variance = 2 * unit / arm;
    const double rho2 = (-2 * std::log(alpha) + std::log(1 - 2 * std::log(alpha))) / planned;
    const double t = n * rho2 + 1;
    const double difference = 0.13;
    const auto look = LookAt(difference, variance, MixtureWidth(alpha, planned) * unit, alpha);
    ASSERT_TRUE(look.has_value());
    EXPECT_NEAR(look->half_width,
                std::sqrt(n * variance) *
                    std::sqrt(2 * t * std::log(std::sqrt(t) / alpha) / (n * n * rho2)),
                1e-12);
    EXPECT_NEAR(look->p_value,
                std::min(1.0, std::sqrt(t) * std::exp(-rho2 * difference * difference * n /
                                                      (2 * variance * t))),
                1e-12);
  }
}

Arm Means(double n, double mean, double variance) {
  return {n, n * mean, n * (variance * (n - 1) / n + mean * mean)};
}

TEST(CompareArms, FindsAnEffectAndItsInterval) {
  const SequentialResult got =
      CompareArms(ArmKind::kMean, Means(5000, 10, 4), Means(5000, 10.5, 4), {});
  EXPECT_TRUE(got.enough);
  EXPECT_NEAR(*got.effect, 0.5, 1e-9);
  EXPECT_LT(got.p_value, 1e-6);
  EXPECT_GT(*got.lower, 0);
  EXPECT_NEAR((*got.lower + *got.upper) / 2, 0.5, 1e-9);
  EXPECT_EQ(got.note, "");
  // Wider than at a fixed horizon (1.96 standard errors), but not by more than twice.
  const double half = (*got.upper - *got.lower) / 2;
  EXPECT_GT(half, 1.96 * std::sqrt(8.0 / 5000));
  EXPECT_LT(half, 2 * 1.96 * std::sqrt(8.0 / 5000));
}

TEST(CompareArms, DecidesNothingBelowTheMinimum) {
  SequentialOptions options;
  options.min_samples = 10;
  const SequentialResult few =
      CompareArms(ArmKind::kProportion, {99, 10, {}}, {5000, 4000, {}}, options);
  EXPECT_FALSE(few.enough) << "never below 100";
  EXPECT_EQ(few.p_value, 1);
  EXPECT_FALSE(few.lower.has_value());
  EXPECT_TRUE(few.effect.has_value());
  EXPECT_NE(few.note.find("minimum of 100"), std::string::npos) << few.note;
  EXPECT_TRUE(CompareArms(ArmKind::kProportion, {100, 10, {}}, {5000, 4000, {}}, options)
                  .lower.has_value());
  EXPECT_FALSE(CompareArms(ArmKind::kProportion, {499, 10, {}}, {500, 4, {}}, {}).enough);
}

TEST(CompareArms, SaysWhatIsWrongWithTheNumbers) {
  const auto note = [](ArmKind kind, Arm a, Arm b) {
    const SequentialResult got = CompareArms(kind, a, b, {});
    EXPECT_EQ(got.p_value, 1);
    EXPECT_FALSE(got.lower.has_value());
    return got.note;
  };
  EXPECT_EQ(note(ArmKind::kMean, {1000, 5, {}}, Means(1000, 1, 1)),
            "the champion has no sum of squares, so its variance is unknown");
  EXPECT_EQ(note(ArmKind::kMean, Means(1000, 1, 1), {0, 0, 0.0}),
            "the challenger has no samples yet");
  EXPECT_NE(note(ArmKind::kProportion, {1000, 1001, {}}, {1000, 1, {}}).find("more successes"),
            std::string::npos);
  EXPECT_NE(note(ArmKind::kMean, Means(1000, 1, 0), Means(1000, 2, 0)).find("all equal"),
            std::string::npos);
  EXPECT_EQ(note(ArmKind::kMean, Means(1000, 1, 1), {1000, 1000, 900.0}),
            "the challenger has a sum of squares that can't be of the same samples as its sum");
  EXPECT_NE(note(ArmKind::kMean, {1000, std::nan(""), 1.0}, Means(1000, 2, 1)).find("not a number"),
            std::string::npos);
}

// A guardrail on failures must be able to pass when nothing fails.
TEST(CompareArms, NoFailuresAtAllStillBoundTheDifference) {
  const SequentialResult got =
      CompareArms(ArmKind::kProportion, {10'000, 0, {}}, {10'000, 0, {}}, {});
  EXPECT_EQ(got.p_value, 1);
  ASSERT_TRUE(got.upper.has_value());
  EXPECT_LT(*got.upper, 0.001);
  EXPECT_GT(*got.upper, 3.0 / 10'000) << "rule of three";
  EXPECT_EQ(got.note, "");
}

// Shares of traffic change between steps; the arms' own variances decide, not the split.
TEST(CompareArms, AnUnevenSplitWidensTheInterval) {
  const SequentialResult even =
      CompareArms(ArmKind::kProportion, {5000, 500, {}}, {5000, 500, {}}, {});
  const SequentialResult uneven =
      CompareArms(ArmKind::kProportion, {9500, 950, {}}, {500, 50, {}}, {});
  EXPECT_GT(*uneven.upper, 1.5 * *even.upper);
}

// The pooled variance would be far too small where a small arm differs.
TEST(CompareArms, TheIntervalUsesTheGreaterVariance) {
  const SequentialResult got =
      CompareArms(ArmKind::kProportion, {9500, 95, {}}, {500, 100, {}}, {});
  const double pooled_rate = 195.0 / 10'000;
  const double pooled_error = std::sqrt(pooled_rate * (1 - pooled_rate) * (1 / 9500.0 + 1 / 500.0));
  EXPECT_GT((*got.upper - *got.lower) / 2, 3 * 2.5 * pooled_error / 1.96);
}

constexpr int kStreams = 600;
constexpr int kLooks = 100;

TEST(SampleRatio, OneLookMatchesScipy) {
  for (const auto& test : Cases("srm")) {
    SCOPED_TRACE(test["name"]);
    const auto counts = testing::Numbers(test["inputs"]["observed"]);
    const auto shares = testing::Numbers(test["inputs"]["expected_ratio"]);
    const SampleRatioTest got = SampleRatioChiSquared(counts, shares);
    ExpectMatches(got.statistic, test["expected"]["statistic"], test);
    ExpectMatches(got.p_value, test["expected"]["p_value"], test);
    EXPECT_EQ(got.degrees, test["expected"]["dof"].get<int>());
  }
}

TEST(SampleRatio, GoodnessOfFitMatchesScipy) {
  for (const auto& test : Cases("chi2_goodness")) {
    SCOPED_TRACE(test["name"]);
    const SampleRatioTest got =
        SampleRatioChiSquared(testing::Numbers(test["inputs"]["current_counts"]),
                              testing::Numbers(test["inputs"]["reference_counts"]));
    if (std::isnan(testing::Number(test["expected"]["statistic"]))) {
      // The tool's 0 / 0, of what was neither expected nor seen. Here that says nothing.
      EXPECT_TRUE(got.p_value >= 0 && got.p_value <= 1) << got.p_value;
      continue;
    }
    ExpectMatches(got.statistic, test["expected"]["statistic"], test);
    ExpectMatches(got.p_value, test["expected"]["p_value"], test);
    if (test["expected"].contains("dof")) {
      EXPECT_EQ(got.degrees, test["expected"]["dof"].get<int>());
    }
  }
}

TEST(SampleRatio, SeesAWrongSplitAndLetsARightOneBe) {
  const std::vector<double> even{1, 1};
  EXPECT_LT(SampleRatioPValue(std::vector<double>{8800, 1200}, std::vector<double>{9, 1}), 1e-4);
  EXPECT_EQ(SampleRatioPValue(std::vector<double>{5023, 4977}, even), 1);
  EXPECT_EQ(SampleRatioPValue(std::vector<double>{0, 0}, even), 1);
  EXPECT_EQ(SampleRatioPValue(std::vector<double>{10, 1}, std::vector<double>{1, 0}), 0)
      << "an arm that should get nothing got something";
  EXPECT_EQ(SampleRatioEvidence(std::vector<double>{10}, std::vector<double>{1}), 0);
  EXPECT_GT(SampleRatioPValue(std::vector<double>{500'050'000, 499'950'000}, even), 1e-3);
  EXPECT_LT(SampleRatioPValue(std::vector<double>{501'000'000, 499'000'000}, even), 1e-9);
}

TEST(SampleRatio, MayBeLookedAtAtAnyTime) {
  std::mt19937_64 random(3);
  std::binomial_distribution<int> batch(200, 0.1);
  const std::vector<double> shares{0.9, 0.1};
  int alarms = 0;
  for (int run = 0; run < kStreams; ++run) {
    double second = 0;
    bool alarm = false;
    for (int look = 1; look <= kLooks; ++look) {
      second += batch(random);
      alarm = alarm ||
              SampleRatioPValue(std::vector<double>{look * 200 - second, second}, shares) <= 0.05;
    }
    alarms += alarm ? 1 : 0;
  }
  EXPECT_LE(alarms, kStreams * 0.05);
}

}  // namespace
}  // namespace perennial::stats
