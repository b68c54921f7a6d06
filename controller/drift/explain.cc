#include "drift/explain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <variant>

#include "base/text.h"

namespace perennial::drift {
namespace {

constexpr std::size_t kLongestBin = 64;  // a category's name is a stranger's label value

struct Bin {
  std::string name;
  double baseline = 0;
  double current = 0;
};

std::string Number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string NameOfBucket(const std::vector<double>& bounds, std::size_t i) {
  if (i == bounds.size()) return "> " + Number(bounds.back(), "%.6g");
  if (i == 0) return "<= " + Number(bounds.front(), "%.6g");
  return "(" + Number(bounds[i - 1], "%.6g") + ", " + Number(bounds[i], "%.6g") + "]";
}

std::vector<Bin> BinsOf(const stats::Histogram& a, const stats::Histogram& b) {
  const auto common = stats::AtCommonBounds(a, b);
  if (!common.ok() || common->first.bounds.empty()) return {};
  std::vector<Bin> bins;
  for (std::size_t i = 0; i < common->first.counts.size(); ++i) {
    bins.push_back(
        {NameOfBucket(common->first.bounds, i), common->first.counts[i], common->second.counts[i]});
  }
  return bins;
}

std::vector<Bin> BinsOf(const stats::Categories& a, const stats::Categories& b) {
  const stats::AlignedCategories aligned = stats::Align(a, b);
  std::vector<Bin> bins;
  for (std::size_t i = 0; i < aligned.names.size(); ++i) {
    bins.push_back(
        {CutText(aligned.names[i], kLongestBin), aligned.baseline[i], aligned.current[i]});
  }
  return bins;
}

template <class A, class B>
std::vector<Bin> BinsOf(const A&, const B&) {
  return {};
}

std::string Percent(const std::string& share) {
  return Number(std::strtod(share.c_str(), nullptr) * 100, "%.1f%%");
}

}  // namespace

std::vector<api::BinShift> MostMoved(const stats::Distribution& baseline,
                                     const stats::Distribution& current, std::size_t most) {
  std::vector<Bin> bins =
      std::visit([](const auto& a, const auto& b) { return BinsOf(a, b); }, baseline, current);
  Bin total;
  for (const Bin& bin : bins) {
    total.baseline += bin.baseline;
    total.current += bin.current;
  }
  if (!(total.baseline > 0) || !(total.current > 0)) return {};
  for (Bin& bin : bins) {
    bin.baseline /= total.baseline;
    bin.current /= total.current;
  }
  const auto shift = [](const Bin& bin) { return std::abs(bin.current - bin.baseline); };
  std::stable_sort(bins.begin(), bins.end(),
                   [&](const Bin& a, const Bin& b) { return shift(a) > shift(b); });
  std::vector<api::BinShift> out;
  for (Bin& bin : bins) {
    if (out.size() == most || !(shift(bin) > 0)) break;
    out.push_back({std::move(bin.name), Number(bin.baseline, "%.4f"), Number(bin.current, "%.4f")});
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
