#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "stats/divergence.h"
#include "support/vectors.h"

// Our formulas on Evidently's buckets. That tool cuts buckets anew for each comparison, over both
// samples together, and fills empty ones; here buckets are the baseline's and are pooled instead.
// So its binning lives in this test alone: with it, the numbers are the same.
namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;
using testing::Numbers;

std::vector<double> WithoutNaN(std::vector<double> samples) {
  std::erase_if(samples, [](double value) { return std::isnan(value); });
  return samples;
}

// numpy.histogram_bin_edges(samples, bins="sturges").
std::vector<double> SturgesEdges(const std::vector<double>& samples) {
  const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
  const double range = *high - *low;
  if (range == 0) return {*low - 0.5, *high + 0.5};
  const double width = range / (std::log2(static_cast<double>(samples.size())) + 1);
  const auto bins = static_cast<int>(std::ceil(range / width));
  std::vector<double> edges;
  for (int i = 0; i <= bins; ++i) edges.push_back(*low + range / bins * i);
  edges.back() = *high;
  return edges;
}

// numpy.histogram: [a, b), the last bucket with its upper edge.
std::vector<double> CountIn(const std::vector<double>& edges, const std::vector<double>& samples) {
  std::vector<double> counts(edges.size() - 1, 0);
  for (const double value : samples) {
    const auto above = std::upper_bound(edges.begin(), edges.end(), value) - edges.begin();
    const auto bin = std::clamp<std::ptrdiff_t>(above - 1, 0, std::ssize(counts) - 1);
    counts[static_cast<std::size_t>(bin)] += 1;
  }
  return counts;
}

struct Binned {
  std::vector<double> edges;  // empty: a bucket for each distinct value
  std::vector<double> reference;
  std::vector<double> current;
};

Binned AsEvidently(const std::vector<double>& reference, const std::vector<double>& current) {
  Binned out;
  const std::set<double> distinct(reference.begin(), reference.end());
  std::vector<double> both = reference;
  both.insert(both.end(), current.begin(), current.end());
  if (distinct.size() > 20) {
    out.edges = SturgesEdges(both);
    out.reference = CountIn(out.edges, reference);
    out.current = CountIn(out.edges, current);
    return out;
  }
  std::map<double, std::pair<double, double>> counts;
  for (const double value : reference) counts[value].first += 1;
  for (const double value : current) counts[value].second += 1;
  for (const auto& [value, pair] : counts) {
    out.reference.push_back(pair.first);
    out.current.push_back(pair.second);
  }
  return out;
}

// Empty buckets of one side get 0.0001, or a millionth of the smallest share if that is no more.
std::vector<double> Filled(std::vector<double> shares) {
  double least = 1;
  for (const double share : shares) {
    if (share > 0) least = std::min(least, share);
  }
  for (double& share : shares) {
    if (share == 0) share = least <= 1e-4 ? least / 1e6 : 1e-4;
  }
  return shares;
}

Binned InputsOf(const nlohmann::json& test) {
  return AsEvidently(WithoutNaN(Numbers(test["inputs"]["reference"])),
                     WithoutNaN(Numbers(test["inputs"]["current"])));
}

TEST(Evidently, PopulationStabilityIndex) {
  for (const auto& test : Cases("psi_evidently")) {
    SCOPED_TRACE(test["name"]);
    const Binned binned = InputsOf(test);
    const auto& expected = test["expected"];
    EXPECT_EQ(binned.edges.empty(), expected["binning"] == "distinct_values");
    if (!binned.edges.empty()) {
      const auto edges = Numbers(expected["bin_edges"]);
      ASSERT_EQ(binned.edges.size(), edges.size());
      for (std::size_t i = 0; i < edges.size(); ++i) EXPECT_NEAR(binned.edges[i], edges[i], 1e-9);
      EXPECT_EQ(binned.reference, Numbers(expected["reference_counts"]));
      EXPECT_EQ(binned.current, Numbers(expected["current_counts"]));
    }
    ExpectMatches(
        PopulationStabilityIndex(Filled(Shares(binned.reference)), Filled(Shares(binned.current))),
        expected["statistic"], test);
  }
}

TEST(Evidently, JensenShannonDistance) {
  for (const auto& test : Cases("js_evidently")) {
    SCOPED_TRACE(test["name"]);
    const Binned binned = InputsOf(test);
    EXPECT_EQ(binned.edges.empty(), test["expected"]["binning"] == "distinct_values");
    ExpectMatches(
        std::sqrt(JensenShannonDivergence(Shares(binned.reference), Shares(binned.current))),
        test["expected"]["statistic"], test);
  }
}

// For this one alone, the edges are those of the distinct values, each taken once.
TEST(Evidently, HellingerDistance) {
  for (const auto& test : Cases("hellinger_evidently")) {
    SCOPED_TRACE(test["name"]);
    const auto reference = WithoutNaN(Numbers(test["inputs"]["reference"]));
    const auto current = WithoutNaN(Numbers(test["inputs"]["current"]));
    std::set<double> distinct(reference.begin(), reference.end());
    distinct.insert(current.begin(), current.end());
    const auto edges = SturgesEdges({distinct.begin(), distinct.end()});
    ExpectMatches(
        HellingerDistance(Shares(CountIn(edges, reference)), Shares(CountIn(edges, current))),
        test["expected"]["statistic"], test);
  }
}

}  // namespace
}  // namespace perennial::stats
