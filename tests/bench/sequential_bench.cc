// The A/B test's error and power by simulation, beside a test that is made for one look: prints
// JSON for hack/bench. A controller looks after each batch of requests; the variants beside the
// champion are each judged at their share of alpha.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "stats/distributions.h"
#include "stats/sequential.h"

namespace perennial::stats {
namespace {

constexpr int kBatch = 50;  // requests of each arm between two looks
constexpr int kMostLooks = 1500;
constexpr int kLooksAtNothing = 500;

using Random = std::mt19937_64;

struct Unit {
  double x = 0;
  double y = 1;
};

// What one request counts, where the variant is better or worse by `lift` of the quantity.
struct Law {
  const char* name;
  ArmKind kind;
  double value;  // of the champion
  std::function<Unit(Random&, double lift)> draw;
};

double Uniform(Random& random) {
  return std::uniform_real_distribution<double>()(random);
}

Unit Failure(Random& random, double lift) {
  return {Uniform(random) < 0.1 * (1 + lift) ? 1.0 : 0.0, 1};
}

// As latencies and absolute errors are.
Unit Latency(Random& random, double lift) {
  return {std::exponential_distribution<double>()(random) * (1 + lift), 1};
}

// Requests of 1 to 12 items, of which 10 % fail, in one request of five nearly a third: items of
// one request are alike.
Unit Items(Random& random, double lift) {
  const double shape = Uniform(random);
  Unit unit{0, 1 + std::floor(12 * shape * shape)};
  const double rate = (Uniform(random) < 0.2 ? 0.3 : 0.05) * (1 + lift);
  unit.x = std::binomial_distribution<int>(static_cast<int>(unit.y), rate)(random);
  return unit;
}

void Add(ArmKind kind, const Unit& unit, Arm& arm) {
  arm.n += 1;
  arm.sum += unit.x;
  if (kind != ArmKind::kProportion) {
    arm.sum_squares = arm.sum_squares.value_or(0) + unit.x * unit.x;
  }
  if (kind != ArmKind::kRatio) return;
  if (!arm.divisor) arm.divisor = Divisor{0, 0.0, 0.0};
  arm.divisor->sum += unit.y;
  *arm.divisor->squares += unit.y * unit.y;
  *arm.divisor->products += unit.x * unit.y;
}

// Of one unit of the challenger's.
double UnitVariance(ArmKind kind, const Arm& arm) {
  const double rate = arm.sum / arm.n;
  return kind == ArmKind::kProportion ? rate * (1 - rate) : VarianceOfUnits(arm).value_or(0);
}

// The two-sided test for one look: of proportions with pooled variance, else Welch's, at whose
// numbers of units t is normal.
bool FixedRejects(ArmKind kind, const Arm& a, const Arm& b, double alpha) {
  double variance = UnitVariance(kind, a) / a.n + UnitVariance(kind, b) / b.n;
  if (kind == ArmKind::kProportion) {
    const double pooled = (a.sum + b.sum) / (a.n + b.n);
    variance = pooled * (1 - pooled) * (1 / a.n + 1 / b.n);
  }
  if (!(variance > 0)) return false;
  return NormalTwoSidedTail((*ValueOf(b) - *ValueOf(a)) / std::sqrt(variance)) <= alpha;
}

// Units of two arms that a fixed-horizon test of the same alpha needs for 80 % power.
double FixedHorizon(const Law& law, double lift, double alpha) {
  Random random(99);
  double variances = 0;
  for (const double of : {0.0, lift}) {
    Arm arm;
    for (int i = 0; i < 200'000; ++i) Add(law.kind, law.draw(random, of), arm);
    variances += UnitVariance(law.kind, arm);
  }
  const double z = NormalQuantile(1 - alpha / 2) + NormalQuantile(0.8);
  const double difference = law.value * lift;
  return 2 * z * z * variances / (difference * difference);
}

struct Plan {
  double lift;  // of each variant beside the champion, of the champion's value
  int variants;
  int looks;    // until the experiment ends
  int horizon;  // the look at which the fixed-horizon test is made
  int runs;
};

struct Outcome {
  double sequential = 0;  // share of runs that ever reject, for any of the variants
  double peeking = 0;     // the same by a fixed-horizon test that is looked at as often
  double once = 0;        // by that test at its horizon alone
  double median = 0;      // units of a pair at the rejection; 0: fewer than half reject
};

struct Run {
  bool peeked = false;
  bool once = false;
  double stopped = 0;
};

Run RunOnce(const Law& law, const Plan& plan, const SequentialOptions& options, Random& random) {
  std::vector<Arm> arms(static_cast<std::size_t>(plan.variants));
  Run run;
  for (int look = 1; look <= plan.looks; ++look) {
    for (std::size_t i = 0; i < arms.size(); ++i) {
      for (int unit = 0; unit < kBatch; ++unit) {
        Add(law.kind, law.draw(random, i == 0 ? 0 : plan.lift), arms[i]);
      }
    }
    if (arms[0].n < options.min_samples && look != plan.horizon) continue;
    for (std::size_t i = 1; i < arms.size(); ++i) {
      const bool fixed = FixedRejects(law.kind, arms[0], arms[i], options.alpha);
      run.once = run.once || (fixed && look == plan.horizon);
      run.peeked = run.peeked || (fixed && arms[0].n >= options.min_samples);
      if (run.stopped > 0) continue;
      if (CompareArms(law.kind, arms[0], arms[i], options).p_value <= options.alpha) {
        run.stopped = arms[0].n + arms[i].n;
      }
    }
    if (run.stopped > 0 && run.peeked && look >= plan.horizon) break;
  }
  return run;
}

Outcome Simulate(const Law& law, const Plan& plan, const SequentialOptions& options,
                 std::uint64_t seed) {
  Random random(seed);
  Outcome outcome;
  std::vector<double> stops;
  for (int i = 0; i < plan.runs; ++i) {
    const Run run = RunOnce(law, plan, options, random);
    if (run.stopped > 0) stops.push_back(run.stopped);
    outcome.peeking += run.peeked ? 1.0 / plan.runs : 0;
    outcome.once += run.once ? 1.0 / plan.runs : 0;
  }
  outcome.sequential = static_cast<double>(stops.size()) / plan.runs;
  const auto middle = static_cast<std::size_t>(plan.runs / 2);
  if (stops.size() > middle) {
    std::nth_element(stops.begin(), stops.begin() + plan.runs / 2, stops.end());
    outcome.median = stops[middle];
  }
  return outcome;
}

struct Row {
  const Law& law;
  double lift;
  int variants = 2;
};

// False if a true null is rejected more often than alpha says: such a test is no basis for any
// verdict. A share of `runs` errors scatters: three standard deviations are left to chance.
bool Add(const Row& row, int runs, std::uint64_t seed, nlohmann::json& rows) {
  SequentialOptions options;
  const double alpha = options.alpha;
  options.alpha /= row.variants - 1;
  const double fixed = row.lift > 0 ? FixedHorizon(row.law, row.lift, options.alpha) : 0;
  if (row.lift > 0) options.expected_samples = fixed;
  // Four times as long as the fixed-horizon test, or many looks at nothing.
  const int horizon =
      row.lift > 0 ? static_cast<int>(std::ceil(fixed / (2 * kBatch))) : kLooksAtNothing;
  const int looks = row.lift > 0 ? std::min(4 * horizon, kMostLooks) : kLooksAtNothing;
  const Outcome got =
      Simulate(row.law, {row.lift, row.variants, looks, horizon, runs}, options, seed);
  rows.push_back({{"quantity", row.law.name},
                  {"variants", row.variants},
                  {"lift", row.lift},
                  {"runs", runs},
                  {"looks", looks},
                  {"sequential", got.sequential},
                  {"peeking", got.peeking},
                  {"once", got.once},
                  {"median", got.median},
                  {"fixed", fixed}});
  const double chance = 3 * std::sqrt(alpha * (1 - alpha) / runs);
  if (row.lift > 0 || got.sequential <= alpha + chance) return true;
  std::cerr << "ERROR OCCURRED: type I error " << got.sequential << " of " << row.law.name << "\n";
  return false;
}

}  // namespace
}  // namespace perennial::stats

int main(int argc, char** argv) {
  using namespace perennial::stats;
  const int runs = argc > 1 ? std::atoi(argv[1]) : 2000;
  const Law failures{"proportion, 10 %", ArmKind::kProportion, 0.1, Failure};
  const Law latency{"mean, exponential", ArmKind::kMean, 1, Latency};
  const Law items{"ratio, errors per item", ArmKind::kRatio, 0.1, Items};
  nlohmann::json rows = nlohmann::json::array();
  std::uint64_t seed = 1;
  bool valid = true;
  for (const Law* law : {&failures, &latency, &items}) {
    for (const double lift : {0.0, 0.1, 0.2, 0.5}) valid &= Add({*law, lift}, runs, seed++, rows);
  }
  for (const double lift : {0.0, 0.2}) valid &= Add({latency, lift, 4}, runs, seed++, rows);
  std::cout << rows.dump(1) << "\n";
  return valid ? 0 : 1;
}
