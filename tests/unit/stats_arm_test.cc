// The value and variance of an arm, above all of ratios of sums.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "stats/sequential.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;

struct Unit {
  double x = 0;
  double y = 1;
};

Arm RatioOf(const std::vector<Unit>& units) {
  Arm arm{0, 0, 0.0, Divisor{0, 0.0, 0.0}};
  for (const auto& [x, y] : units) {
    arm.n += 1;
    arm.sum += x;
    *arm.sum_squares += x * x;
    arm.divisor->sum += y;
    *arm.divisor->squares += y * y;
    *arm.divisor->products += x * y;
  }
  return arm;
}

Arm OfSums(const nlohmann::json& sums) {
  const std::vector<double> v = testing::Numbers(sums);
  return {v.at(0), v.at(1), v.at(2), Divisor{v.at(3), v.at(4), v.at(5)}};
}

// 200 units of 1 to 4 items, of which `bad` in every other unit fail.
Arm Requests(double bad) {
  std::vector<Unit> units;
  for (int i = 0; i < 200; ++i) units.push_back({i % 2 == 0 ? bad : 0, 1.0 + i % 4});
  return RatioOf(units);
}

TEST(Ratio, MatchesTheDeltaMethod) {
  for (const auto& test : Cases("msprt_ratios")) {
    SCOPED_TRACE(test["name"]);
    const Arm champion = OfSums(test["inputs"]["champion_n_x_xx_y_yy_xy"]);
    const Arm challenger = OfSums(test["inputs"]["challenger_n_x_xx_y_yy_xy"]);
    const auto& expected = test["expected"];
    ExpectMatches(*ValueOf(champion), expected["ratios"][0], test);
    ExpectMatches(*ValueOf(challenger), expected["ratios"][1], test);
    ExpectMatches(*VarianceOfUnits(champion), expected["variances_of_unit"][0], test);
    ExpectMatches(*VarianceOfUnits(challenger), expected["variances_of_unit"][1], test);
    SequentialOptions options;
    options.alpha = test["inputs"]["alpha"];
    options.expected_samples = test["inputs"]["expected_samples"];
    options.min_samples = 100;
    const SequentialResult got = CompareArms(ArmKind::kRatio, champion, challenger, options);
    EXPECT_EQ(got.note, "");
    ASSERT_TRUE(got.effect && got.lower && got.upper);
    ExpectMatches(*got.effect, expected["effect"], test);
    ExpectMatches(*got.lower, expected["lower"], test);
    ExpectMatches(*got.upper, expected["upper"], test);
    ExpectMatches(got.p_value, expected["p_value"], test);
  }
}

// By hand: R = 6 / 6 = 1, so x - R y is -1, 0, 1; over mean(y) = 2 that is variance 2 / 2 / 4.
TEST(Ratio, IsLinearisedAtItsOwnValue) {
  const Arm arm = RatioOf({{0, 1}, {2, 2}, {4, 3}});
  EXPECT_DOUBLE_EQ(*ValueOf(arm), 1);
  EXPECT_DOUBLE_EQ(*VarianceOfUnits(arm), 0.25);
}

TEST(Ratio, OfDenominatorsOfOneIsTheMean) {
  std::vector<Unit> units;
  for (int i = 0; i < 500; ++i) units.push_back({static_cast<double>(i % 7) / 8, 1});
  const Arm ratio = RatioOf(units);
  Arm mean = ratio;
  mean.divisor.reset();
  EXPECT_EQ(ValueOf(ratio), ValueOf(mean));
  EXPECT_EQ(VarianceOfUnits(ratio), VarianceOfUnits(mean));
  Arm other = ratio;
  other.sum += 40;
  *other.sum_squares += 90;
  *other.divisor->products += 40;
  Arm other_mean = other;
  other_mean.divisor.reset();
  const SequentialResult as_ratio = CompareArms(ArmKind::kRatio, ratio, other, {});
  const SequentialResult as_mean = CompareArms(ArmKind::kMean, mean, other_mean, {});
  EXPECT_LT(as_mean.p_value, 1);
  EXPECT_EQ(as_ratio.p_value, as_mean.p_value);
  EXPECT_EQ(as_ratio.effect, as_mean.effect);
  EXPECT_EQ(as_ratio.lower, as_mean.lower);
}

TEST(Ratio, DoesNotDependOnTheUnitOfMeasure) {
  const SequentialResult plain = CompareArms(ArmKind::kRatio, Requests(1), Requests(2), {0.05, 1});
  const auto in_thousands = [](double bad) {
    Arm arm = Requests(bad);
    arm.divisor->sum /= 1000;
    *arm.divisor->squares /= 1e6;
    *arm.divisor->products /= 1000;
    return arm;
  };
  const SequentialResult scaled =
      CompareArms(ArmKind::kRatio, in_thousands(1), in_thousands(2), {0.05, 1});
  EXPECT_LT(plain.p_value, 0.05);
  EXPECT_NEAR(scaled.p_value, plain.p_value, 1e-9);
  EXPECT_NEAR(*scaled.effect, 1000 * *plain.effect, 1e-9);
}

TEST(Ratio, SaysWhatIsWrongWithTheNumbers) {
  const Arm good = Requests(1);
  const auto note = [&](auto&& spoil) {
    Arm bad = good;
    spoil(bad);
    const SequentialResult got = CompareArms(ArmKind::kRatio, good, bad, {0.05, 100});
    EXPECT_EQ(got.p_value, 1);
    EXPECT_FALSE(got.lower.has_value());
    return got.note;
  };
  EXPECT_EQ(note([](Arm& arm) { arm.divisor.reset(); }),
            "the challenger has a denominator of zero");
  EXPECT_EQ(note([](Arm& arm) {
              *arm.divisor = {0, 0.0, 0.0};
            }),
            "the challenger has a denominator of zero");
  for (const auto sum : {&Divisor::squares, &Divisor::products}) {
    const std::string unknown = note([&](Arm& arm) { ((*arm.divisor).*sum).reset(); });
    EXPECT_NE(unknown.find("variance is unknown"), std::string::npos) << unknown;
  }
  EXPECT_NE(note([](Arm& arm) { arm.sum_squares.reset(); }).find("variance is unknown"),
            std::string::npos);
  EXPECT_NE(note([](Arm& arm) { *arm.divisor->products *= 20; }).find("can't be of the same units"),
            std::string::npos);
  EXPECT_NE(note([](Arm& arm) {
              arm = {99, 10, 20.0, Divisor{99, 99.0, 10.0}};
            }).find("minimum of 100"),
            std::string::npos);
}

// Each unit has the same ratio, in numbers that no double holds exactly.
TEST(Ratio, RoundingLeavesNoNegativeVariance) {
  for (const double ratio : {0.1, 1.0 / 3, 7.7}) {
    std::vector<Unit> units;
    for (int i = 1; i <= 1000; ++i) units.push_back({ratio * (0.3 * i), 0.3 * i});
    const Arm arm = RatioOf(units);
    EXPECT_GE(VarianceOfUnits(arm).value_or(-1), 0) << ratio;
    EXPECT_LT(*VarianceOfUnits(arm), 1e-9) << ratio;
  }
}

}  // namespace
}  // namespace perennial::stats
