#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "stats/bayes.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;

TEST(Bayes, MatchesScipysIntegrals) {
  for (const auto& test : Cases("beta_binomial")) {
    SCOPED_TRACE(test["name"]);
    const auto& in = test["inputs"];
    const double prior_alpha = in["prior_alpha"];
    const double prior_beta = in["prior_beta"];
    const std::array arms{PosteriorOf(in["x_a"], in["n_a"], prior_alpha, prior_beta),
                          PosteriorOf(in["x_b"], in["n_b"], prior_alpha, prior_beta)};
    const auto best = ProbabilitiesToBeBest(arms);
    const auto losses = ExpectedLosses(arms);
    ExpectMatches(best[1], test["expected"]["prob_b_gt_a"], test);
    EXPECT_NEAR(best[0] + best[1], 1, 1e-9);
    ExpectMatches(losses[0], test["expected"]["expected_loss_choose_a"], test);
    ExpectMatches(losses[1], test["expected"]["expected_loss_choose_b"], test);
    ExpectMatches(arms[0].Mean(), test["expected"]["posterior_mean_a"], test);
    ExpectMatches(arms[1].Mean(), test["expected"]["posterior_mean_b"], test);
    // E[(A - B)+] - E[(B - A)+] = E[A] - E[B].
    EXPECT_NEAR(losses[1] - losses[0], arms[0].Mean() - arms[1].Mean(), 1e-9);
  }
}

TEST(Bayes, OfManyArmsAgreesWithDraws) {
  const std::array arms{PosteriorOf(30, 200), PosteriorOf(38, 220), PosteriorOf(2, 10),
                        PosteriorOf(0, 0), PosteriorOf(35, 200)};
  const auto best = ProbabilitiesToBeBest(arms);
  const auto losses = ExpectedLosses(arms);
  EXPECT_NEAR(std::accumulate(best.begin(), best.end(), 0.0), 1, 1e-9);
  std::mt19937_64 random(5);
  constexpr int kDraws = 100'000;
  std::array<double, 5> wins{};
  std::array<double, 5> regrets{};
  for (int draw = 0; draw < kDraws; ++draw) {
    std::array<double, 5> rates{};
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const double x = std::gamma_distribution<double>(arms[i].alpha)(random);
      rates[i] = x / (x + std::gamma_distribution<double>(arms[i].beta)(random));
    }
    const auto top = std::max_element(rates.begin(), rates.end());
    wins[static_cast<std::size_t>(top - rates.begin())] += 1.0 / kDraws;
    for (std::size_t i = 0; i < arms.size(); ++i) regrets[i] += (*top - rates[i]) / kDraws;
  }
  for (std::size_t i = 0; i < arms.size(); ++i) {
    EXPECT_NEAR(best[i], wins[i], 0.006) << i;
    EXPECT_NEAR(losses[i], regrets[i], 0.005) << i;
  }
}

// 2^30 trials make the densities a hundred-thousandth wide.
TEST(Bayes, StaysPreciseWithABillionTrials) {
  const double n = 1 << 30;
  const std::array arms{PosteriorOf(n / 2, n), PosteriorOf(n / 2 + 20'000, n)};
  const double deviation = std::sqrt(arms[0].Variance() + arms[1].Variance());
  const double z = (arms[1].Mean() - arms[0].Mean()) / deviation;
  EXPECT_NEAR(ProbabilitiesToBeBest(arms)[1], std::erfc(-z / std::sqrt(2.0)) / 2, 1e-6);
  EXPECT_NEAR(ExpectedLosses(arms)[0] - ExpectedLosses(arms)[1], arms[1].Mean() - arms[0].Mean(),
              1e-9);
}

TEST(Bayes, OneArmIsTheBest) {
  const std::array arms{PosteriorOf(3, 10)};
  EXPECT_NEAR(ProbabilitiesToBeBest(arms)[0], 1, 1e-9);
  EXPECT_NEAR(ExpectedLosses(arms)[0], 0, 1e-12);
  EXPECT_TRUE(ProbabilitiesToBeBest({}).empty());
}

}  // namespace
}  // namespace perennial::stats
