// The A/B test's error and power by simulation, beside a test that is made for one look: prints
// JSON for hack/bench. What is simulated is Bernoulli outcomes, in which a controller looks after
// each batch of requests.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "stats/distributions.h"
#include "stats/sequential.h"

namespace perennial::stats {
namespace {

constexpr double kBase = 0.1;
constexpr int kBatch = 50;  // requests of each arm between two looks

struct Plan {
  double lift;  // the challenger's rate minus the champion's
  int looks;    // until the experiment ends
  int runs;
};

struct Outcome {
  double sequential = 0;  // share of runs that ever reject
  double peeking = 0;     // the same by a fixed-horizon test that is looked at as often
  double once = 0;        // by that test at the end alone
  double median = 0;      // units in total at the sequential rejection; 0: fewer than half reject
};

// Two-sided z-test of two proportions with pooled variance.
bool FixedRejects(const Arm& a, const Arm& b, double alpha) {
  const double pooled = (a.sum + b.sum) / (a.n + b.n);
  const double deviation = std::sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n));
  if (!(deviation > 0)) return false;
  const double z = (b.sum / b.n - a.sum / a.n) / deviation;
  return NormalTwoSidedTail(z) <= alpha;
}

Outcome Simulate(const Plan& plan, const SequentialOptions& options, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::binomial_distribution<int> champion(kBatch, kBase);
  std::binomial_distribution<int> challenger(kBatch, kBase + plan.lift);
  Outcome outcome;
  std::vector<double> stops;
  for (int run = 0; run < plan.runs; ++run) {
    Arm a;
    Arm b;
    bool stopped = false;
    bool peeked = false;
    for (int look = 0; look < plan.looks; ++look) {
      a.n += kBatch;
      b.n += kBatch;
      a.sum += champion(random);
      b.sum += challenger(random);
      if (a.n < options.min_samples) continue;
      peeked = peeked || FixedRejects(a, b, options.alpha);
      if (stopped) continue;
      stopped = CompareArms(ArmKind::kProportion, a, b, options).p_value <= options.alpha;
      if (stopped) stops.push_back(a.n + b.n);
    }
    outcome.peeking += peeked ? 1 : 0;
    outcome.once += FixedRejects(a, b, options.alpha) ? 1 : 0;
  }
  outcome.sequential = static_cast<double>(stops.size()) / plan.runs;
  outcome.peeking /= plan.runs;
  outcome.once /= plan.runs;
  const auto middle = static_cast<std::size_t>(plan.runs / 2);
  if (stops.size() > middle) {
    std::nth_element(stops.begin(), stops.begin() + plan.runs / 2, stops.end());
    outcome.median = stops[middle];
  }
  return outcome;
}

// Units in total that a fixed-horizon test of the same alpha needs for 80 % power.
double FixedHorizon(double lift, double alpha) {
  const double a = kBase;
  const double b = kBase + lift;
  const double z = NormalQuantile(1 - alpha / 2) + NormalQuantile(0.8);
  return 2 * z * z * (a * (1 - a) + b * (1 - b)) / (lift * lift);
}

}  // namespace
}  // namespace perennial::stats

int main(int argc, char** argv) {
  using namespace perennial::stats;
  const int runs = argc > 1 ? std::atoi(argv[1]) : 2000;
  SequentialOptions options;
  nlohmann::json rows = nlohmann::json::array();
  std::uint64_t seed = 1;
  for (const double lift : {0.0, 0.01, 0.02, 0.03, 0.05}) {
    options.expected_samples = lift > 0 ? FixedHorizon(lift, options.alpha) : 5000;
    // Four times as long as the fixed-horizon test, or 500 looks at nothing.
    const int looks =
        lift > 0 ? static_cast<int>(4 * FixedHorizon(lift, options.alpha) / (2 * kBatch)) : 500;
    const Outcome got = Simulate({lift, std::min(looks, 1500), runs}, options, seed++);
    rows.push_back({{"lift", lift},
                    {"runs", runs},
                    {"looks", std::min(looks, 1500)},
                    {"sequential", got.sequential},
                    {"peeking", got.peeking},
                    {"once", got.once},
                    {"median", got.median},
                    {"fixed", lift > 0 ? FixedHorizon(lift, options.alpha) : 0}});
    // A test that rejects a true null more often than it says is no basis for any verdict. A share
    // of `runs` errors scatters: three standard deviations are left to chance.
    const double chance = 3 * std::sqrt(options.alpha * (1 - options.alpha) / runs);
    if (lift == 0 && got.sequential > options.alpha + chance) {
      std::cerr << "ERROR OCCURRED: type I error " << got.sequential << "\n";
      return 1;
    }
  }
  std::cout << rows.dump(1) << "\n";
  return 0;
}
