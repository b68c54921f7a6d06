// What always-valid means: a look after every single unit, for as long as one likes, rejects a true
// null in at most alpha of the experiments. Simulated with fixed seeds; nothing is added to alpha
// for chance, since a mixture test that ends somewhere stays well below it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "stats/sequential.h"

namespace perennial::stats {
namespace {

constexpr int kRuns = 2000;
constexpr int kUnits = 2500;  // of each arm
constexpr int kFirstLook = 500;

// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the generators of the library take most of the time
// of an unoptimised build.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double Uniform() { return static_cast<double>((Bits() >> 11) + 1) * 0x1p-53; }  // in (0, 1]
  bool Chance(double p) { return Uniform() <= p; }
  double Exponential() { return -std::log(Uniform()); }

 private:
  std::uint64_t state_;
};

struct Unit {
  double x = 0;
  double y = 1;
};

// An arm and, beside it, the z of its difference by formulas of the test's own.
struct Sums {
  double n = 0, x = 0, xx = 0, y = 0, yy = 0, xy = 0;

  void Add(const Unit& unit) {
    n += 1;
    x += unit.x;
    xx += unit.x * unit.x;
    y += unit.y;
    yy += unit.y * unit.y;
    xy += unit.x * unit.y;
  }
  Arm As(ArmKind kind) const {
    Arm arm{n, x, {}, {}};
    if (kind != ArmKind::kProportion) arm.sum_squares = xx;
    if (kind == ArmKind::kRatio) arm.divisor = Divisor{y, yy, xy};
    return arm;
  }
  double Ratio() const { return x / y; }
  // Of the ratio; with y = 1 of the mean.
  double Variance() const {
    const double ratio = x / y;
    return (xx - 2 * ratio * xy + ratio * ratio * yy) / (n - 1) * n / (y * y);
  }
};

double SquaredZ(ArmKind kind, const Sums& a, const Sums& b) {
  const double difference = b.Ratio() - a.Ratio();
  double variance = 0;
  if (kind == ArmKind::kProportion) {
    const double rate = (a.x + b.x) / (a.n + b.n);
    variance = rate * (1 - rate) * (1 / a.n + 1 / b.n);
  } else {
    variance = a.Variance() + b.Variance();
  }
  return variance > 0 ? difference * difference / variance : 0;
}

struct Verdicts {
  bool rejected = false;  // by the test
  bool missed = false;    // by its interval, which did not hold 0
  bool fixed = false;     // by a z-test for one look

  // log L >= ln(1 / alpha) needs z^2 >= 2 ln(1 / alpha), whatever the mixture: below that there is
  // no need to ask, which makes a look after every unit cheap.
  void Look(ArmKind kind, const Sums& a, const Sums& b, const SequentialOptions& options) {
    const double z2 = SquaredZ(kind, a, b);
    fixed = fixed || z2 > 1.96 * 1.96;
    if (rejected || z2 < -1.99 * std::log(options.alpha)) return;
    const SequentialResult got = CompareArms(kind, a.As(kind), b.As(kind), options);
    missed = missed || (got.lower && (*got.lower > 0 || *got.upper < 0));
    rejected = got.p_value <= options.alpha;
  }
};

struct Shares {
  double rejected = 0;
  double missed = 0;
  double fixed = 0;
};

// Experiments of two arms, with a look after each pair of units.
template <class Draw>
Shares Simulate(ArmKind kind, std::uint64_t seed, Draw draw_champion, Draw draw_challenger) {
  Random random(seed);
  const SequentialOptions options;
  Shares shares;
  for (int run = 0; run < kRuns; ++run) {
    Sums a;
    Sums b;
    Verdicts verdicts;
    for (int unit = 0; unit < kUnits; ++unit) {
      a.Add(draw_champion(random));
      b.Add(draw_challenger(random));
      if (unit + 1 >= kFirstLook) verdicts.Look(kind, a, b, options);
    }
    shares.rejected += verdicts.rejected ? 1.0 / kRuns : 0;
    shares.missed += verdicts.missed ? 1.0 / kRuns : 0;
    shares.fixed += verdicts.fixed ? 1.0 / kRuns : 0;
  }
  return shares;
}

void ExpectValid(const Shares& shares) {
  const double alpha = SequentialOptions().alpha;
  EXPECT_LE(shares.rejected, alpha);
  EXPECT_LE(shares.missed, alpha);
  EXPECT_GT(shares.fixed, 3 * alpha) << "the simulation must be able to fail";
}

using Law = Unit (*)(Random&);

Unit Rare(Random& random) {
  return {random.Chance(0.02) ? 1.0 : 0.0, 1};
}
Unit Even(Random& random) {
  return {random.Chance(0.5) ? 1.0 : 0.0, 1};
}
Unit Skewed(Random& random) {
  return {random.Exponential(), 1};
}
// Requests of 1 to 12 items, most of them small. In some requests nearly a third of the items fail:
// items of one request are alike, so counting items as if they were independent says too much.
Unit Items(Random& random) {
  const double shape = random.Uniform();
  const double items = 1 + std::floor(12 * shape * shape * 0.999);
  const double rate = random.Chance(0.2) ? 0.3 : 0.02;
  Unit unit{0, items};
  for (int i = 0; i < static_cast<int>(items); ++i) unit.x += random.Chance(rate) ? 1 : 0;
  return unit;
}

TEST(Peeking, AfterEveryUnitKeepsTheErrorBelowAlphaForProportions) {
  ExpectValid(Simulate<Law>(ArmKind::kProportion, 20261125, Rare, Rare));
  ExpectValid(Simulate<Law>(ArmKind::kProportion, 20261126, Even, Even));
}

TEST(Peeking, AfterEveryUnitKeepsTheErrorBelowAlphaForSkewedMeans) {
  ExpectValid(Simulate<Law>(ArmKind::kMean, 42, Skewed, Skewed));
}

TEST(Peeking, AfterEveryUnitKeepsTheErrorBelowAlphaForRatios) {
  ExpectValid(Simulate<Law>(ArmKind::kRatio, 43, Items, Items));
}

// A tenth of the units' deviation or so: nothing is gained by a test that never rejects.
TEST(Peeking, FindsWhatIsThere) {
  const Law more = [](Random& random) { return Unit{1.2 * random.Exponential(), 1}; };
  EXPECT_GE(Simulate<Law>(ArmKind::kMean, 44, Skewed, more).rejected, 0.9);
  const Law worse = [](Random& random) {
    Unit unit = Items(random);
    if (random.Chance(0.2)) unit.x = std::min(unit.y, unit.x + 1);
    return unit;
  };
  EXPECT_GE(Simulate<Law>(ArmKind::kRatio, 45, Items, worse).rejected, 0.9);
}

// Three variants against one control, each at alpha / 3: the share of experiments in which any of
// the three is called different stays at or below alpha.
TEST(Peeking, AtSeveralVariantsKeepsTheErrorOfAllTogetherBelowAlpha) {
  Random random(46);
  SequentialOptions options;
  const double alpha = options.alpha;
  options.alpha /= 3;
  int rejected = 0;
  int uncorrected = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::array<Sums, 4> arms;
    std::array<Verdicts, 3> verdicts;
    for (int unit = 0; unit < kUnits; ++unit) {
      for (Sums& arm : arms) arm.Add(Skewed(random));
      if (unit + 1 < kFirstLook) continue;
      for (std::size_t i = 0; i < verdicts.size(); ++i) {
        verdicts[i].Look(ArmKind::kMean, arms[0], arms[i + 1], options);
      }
    }
    const auto any = [&](bool Verdicts::*what) {
      return std::any_of(verdicts.begin(), verdicts.end(),
                         [&](const Verdicts& one) { return one.*what; });
    };
    rejected += any(&Verdicts::rejected) ? 1 : 0;
    uncorrected += any(&Verdicts::fixed) ? 1 : 0;
  }
  EXPECT_LE(rejected, kRuns * alpha);
  EXPECT_GT(uncorrected, kRuns * 6 * alpha) << "the simulation must be able to fail";
}

}  // namespace
}  // namespace perennial::stats
