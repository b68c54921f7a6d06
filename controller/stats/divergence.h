#pragma once

#include <span>
#include <vector>

namespace perennial::stats {

// Distances between two discrete distributions: the formulas alone. `p` and `q` are shares of the
// baseline and of the window over the same buckets; they need not sum to exactly 1.

// counts / total. The total must be positive.
std::vector<double> Shares(std::span<const double> counts);
// (count + 1/2) / (total + B/2): Jeffreys' prior. No share is 0, so that a logarithm exists, and
// with counts of 5 and more the distribution of the index stays what chance alone gives, which the
// usual filling with 0.0001 does not (10 buckets, 100 against 30 samples: index > 0.2 in 91 % of
// windows without drift).
std::vector<double> SmoothedShares(std::span<const double> counts);

// sum p ln(p/q) in nats, of the shares as they are. Terms with p = 0 are 0; q = 0 < p gives +Inf.
double KullbackLeibler(std::span<const double> p, std::span<const double> q);

// (KL(p, a) + KL(q, a)) / 2 with a = (p + q) / 2, in nats: 0 to ln 2. Needs no rule for zeros.
double JensenShannonDivergence(std::span<const double> p, std::span<const double> q);

// sum (p - q) ln(p/q) in nats. +Inf where one of the two is 0 and the other isn't.
double PopulationStabilityIndex(std::span<const double> p, std::span<const double> q);

// sqrt(sum (sqrt p - sqrt q)^2 / 2): 0 to 1.
double HellingerDistance(std::span<const double> p, std::span<const double> q);

// sum |p - q| / 2: 0 to 1.
double TotalVariation(std::span<const double> p, std::span<const double> q);

// max |p - q|, which Azure ML calls Chebyshev's distance: 0 to 1.
double ChebyshevDistance(std::span<const double> p, std::span<const double> q);

// Wasserstein-1 between two distributions over ascending points: the area between their cumulative
// shares, in the unit of the points.
double Wasserstein(std::span<const double> points, std::span<const double> p,
                   std::span<const double> q);

}  // namespace perennial::stats
