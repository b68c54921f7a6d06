#include "drift/explain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <variant>

#include "base/text.h"

namespace perennial::drift {
namespace {

constexpr double kLeastShift = 0.00005;  // what four digits show
constexpr std::size_t kLongestBin = 64;  // a category's name is a stranger's label value

std::string Number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Bins that both sides have, with what was counted in each.
struct Bins {
  std::vector<double> baseline;
  std::vector<double> current;
  std::vector<double> bounds;      // of a histogram
  std::vector<std::string> names;  // of categories

  std::string NameOf(std::size_t i) const {
    if (bounds.empty()) return CutText(names[i], kLongestBin);
    if (i == bounds.size()) return "> " + NumberText(bounds.back());
    if (i == 0) return "<= " + NumberText(bounds.front());
    return "(" + NumberText(bounds[i - 1]) + ", " + NumberText(bounds[i]) + "]";
  }
};

Bins BinsOf(const stats::Histogram& a, const stats::Histogram& b) {
  auto common = stats::AtCommonBounds(a, b);
  if (!common.ok() || common->first.bounds.empty()) return {};
  return {std::move(common->first.counts),
          std::move(common->second.counts),
          std::move(common->first.bounds),
          {}};
}

Bins BinsOf(const stats::Categories& a, const stats::Categories& b) {
  stats::AlignedCategories aligned = stats::Align(a, b);
  return {std::move(aligned.baseline), std::move(aligned.current), {}, std::move(aligned.names)};
}

template <class A, class B>
Bins BinsOf(const A&, const B&) {
  return {};
}

// Turns counts into shares; false without any.
bool MakeShares(std::vector<double>& counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (!(total > 0)) return false;
  for (double& count : counts) count /= total;
  return true;
}

std::string Percent(const std::string& share) {
  return Number(std::strtod(share.c_str(), nullptr) * 100, "%.1f%%");
}

}  // namespace

std::vector<api::BinShift> MostMoved(const stats::Distribution& baseline,
                                     const stats::Distribution& current, std::size_t most) {
  Bins bins =
      std::visit([](const auto& a, const auto& b) { return BinsOf(a, b); }, baseline, current);
  if (!MakeShares(bins.baseline) || !MakeShares(bins.current)) return {};
  const auto shift = [&](std::size_t i) { return std::abs(bins.current[i] - bins.baseline[i]); };
  std::vector<std::size_t> order(bins.current.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return shift(a) > shift(b); });
  std::vector<api::BinShift> out;
  for (const std::size_t i : order) {
    if (out.size() == most || shift(i) < kLeastShift) break;
    out.push_back(
        {bins.NameOf(i), Number(bins.baseline[i], "%.4f"), Number(bins.current[i], "%.4f")});
  }
  return out;
}

std::string DescribeMoves(const std::vector<api::BinShift>& moved) {
  std::string out;
  for (const api::BinShift& shift : moved) {
    if (!out.empty()) out += ", ";
    out += shift.bin + " " + Percent(shift.baseline) + " -> " + Percent(shift.current);
  }
  return out;
}

}  // namespace perennial::drift
