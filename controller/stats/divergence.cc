#include "stats/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace perennial::stats {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> ScaledShares(std::span<const double> counts, double added) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0) +
                       added * static_cast<double>(counts.size());
  PERENNIAL_CHECK(total > 0);
  std::vector<double> shares;
  shares.reserve(counts.size());
  for (const double count : counts) shares.push_back((count + added) / total);
  return shares;
}

}  // namespace

std::vector<double> Shares(std::span<const double> counts) {
  return ScaledShares(counts, 0);
}

std::vector<double> SmoothedShares(std::span<const double> counts) {
  return ScaledShares(counts, 0.5);
}

double KullbackLeibler(std::span<const double> p, std::span<const double> q) {
  PERENNIAL_CHECK(p.size() == q.size());
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] <= 0) continue;
    if (q[i] <= 0) return kInfinity;
    sum += p[i] * std::log(static_cast<long double>(p[i]) / q[i]);
  }
  return static_cast<double>(sum);
}

double JensenShannonDivergence(std::span<const double> p, std::span<const double> q) {
  PERENNIAL_CHECK(p.size() == q.size());
  std::vector<double> middle(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) middle[i] = (p[i] + q[i]) / 2;
  const double divergence = (KullbackLeibler(p, middle) + KullbackLeibler(q, middle)) / 2;
  return std::max(0.0, divergence);  // rounding can leave a tiny negative number
}

double PopulationStabilityIndex(std::span<const double> p, std::span<const double> q) {
  PERENNIAL_CHECK(p.size() == q.size());
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] == q[i]) continue;
    if (p[i] <= 0 || q[i] <= 0) return kInfinity;
    sum +=
        (static_cast<long double>(p[i]) - q[i]) * std::log(static_cast<long double>(p[i]) / q[i]);
  }
  return static_cast<double>(sum);
}

double HellingerDistance(std::span<const double> p, std::span<const double> q) {
  PERENNIAL_CHECK(p.size() == q.size());
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const long double difference =
        std::sqrt(static_cast<long double>(p[i])) - std::sqrt(static_cast<long double>(q[i]));
    sum += difference * difference;
  }
  return static_cast<double>(std::min(1.0L, std::sqrt(sum / 2)));
}

double TotalVariation(std::span<const double> p, std::span<const double> q) {
  PERENNIAL_CHECK(p.size() == q.size());
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += std::abs(p[i] - q[i]);
  return static_cast<double>(sum / 2);
}

double ChebyshevDistance(std::span<const double> p, std::span<const double> q) {
  PERENNIAL_CHECK(p.size() == q.size());
  double greatest = 0;
  for (std::size_t i = 0; i < p.size(); ++i) greatest = std::max(greatest, std::abs(p[i] - q[i]));
  return greatest;
}

double Wasserstein(std::span<const double> points, std::span<const double> p,
                   std::span<const double> q) {
  PERENNIAL_CHECK(points.size() == p.size() && p.size() == q.size());
  long double area = 0;
  long double lead = 0;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    lead += static_cast<long double>(p[i]) - q[i];
    area += std::abs(lead) * (points[i + 1] - points[i]);
  }
  return static_cast<double>(area);
}

}  // namespace perennial::stats
