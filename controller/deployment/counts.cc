#include "deployment/counts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/hash.h"

namespace perennial::deployment {
namespace {

// 17 digits bring a double back as it was.
std::string Exact(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

double NumberOf(const std::string& text) {
  const double value = std::strtod(text.c_str(), nullptr);
  return std::isfinite(value) ? value : 0;
}

std::optional<double> KnownNumberOf(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(NumberOf(text));
}

std::string ExactIfKnown(const std::optional<double>& value) {
  return value ? Exact(*value) : "";
}

// What one of the two didn't know, nobody knows of both.
void AddIfKnown(const std::optional<double>& carried, std::optional<double>& sum) {
  if (carried && sum) {
    *sum += *carried;
  } else {
    sum.reset();
  }
}

api::ArmCounts CountsOf(const Measured& measured) {
  if (!measured.value) return {};
  const stats::Arm& arm = measured.arm;
  api::ArmCounts counts{Exact(arm.n), Exact(arm.sum), ExactIfKnown(arm.sum_squares)};
  if (arm.divisor) {
    counts.denominator = Exact(arm.divisor->sum);
    counts.denominator_squares = ExactIfKnown(arm.divisor->squares);
    counts.products = ExactIfKnown(arm.divisor->products);
  }
  return counts;
}

// Numbers that can't be. A ratio whose few units had nothing to divide by is not wrong, it waits.
bool Wrong(const Measured& measured) {
  const auto& divisor = measured.arm.divisor;
  return !measured.value && measured.arm.n > 0 && !(divisor && divisor->sum == 0);
}

void Add(const stats::Arm& carried, Measured& measured) {
  stats::Arm& arm = measured.arm;
  // A quantity that was of another kind before begins anew.
  const bool same_kind = carried.divisor.has_value() == arm.divisor.has_value();
  if (carried.n <= 0 || !same_kind || Wrong(measured)) return;
  if (arm.n <= 0) {
    arm = carried;
  } else {
    arm.n += carried.n;
    arm.sum += carried.sum;
    AddIfKnown(carried.sum_squares, arm.sum_squares);
    if (arm.divisor) {
      arm.divisor->sum += carried.divisor->sum;
      AddIfKnown(carried.divisor->squares, arm.divisor->squares);
      AddIfKnown(carried.divisor->products, arm.divisor->products);
    }
  }
  measured.value = stats::ValueOf(arm);
  measured.samples = arm.n;
  if (measured.value) measured.note.clear();
}

}  // namespace

std::string DefinitionOf(const api::Quantity& quantity) {
  std::string text = std::to_string(static_cast<int>(quantity.kind));
  for (const std::string& part :
       {quantity.metric, quantity.squares, quantity.numerator, quantity.denominator, quantity.units,
        quantity.denominator_squares, quantity.products}) {
    text += ' ' + part;
  }
  return ShortHash(text);
}

stats::Arm ArmOf(const api::ArmCounts& counts) {
  stats::Arm arm{NumberOf(counts.n), NumberOf(counts.sum), KnownNumberOf(counts.squares)};
  if (!counts.denominator.empty()) {
    arm.divisor =
        stats::Divisor{NumberOf(counts.denominator), KnownNumberOf(counts.denominator_squares),
                       KnownNumberOf(counts.products)};
  }
  return arm;
}

const api::QuantityCounts* RecordOf(const std::vector<api::QuantityCounts>& counts,
                                    const api::Quantity& quantity) {
  const auto it = std::find_if(counts.begin(), counts.end(),
                               [&](const auto& one) { return one.name == quantity.name; });
  if (it == counts.end()) return nullptr;
  // Controllers before this one recorded none.
  const bool same = it->definition.empty() || it->definition == DefinitionOf(quantity);
  return same ? &*it : nullptr;
}

void AddCarried(const std::vector<api::QuantityCounts>& carried, const api::Quantity& quantity,
                Measured& champion, Measured& challenger) {
  const api::QuantityCounts* counts = RecordOf(carried, quantity);
  if (counts == nullptr) return;
  Add(ArmOf(counts->champion), champion);
  Add(ArmOf(counts->challenger), challenger);
}

api::QuantityCounts Recorded(const api::Quantity& quantity, const Measured& champion,
                             const Measured& challenger) {
  return {quantity.name, CountsOf(champion), CountsOf(challenger), DefinitionOf(quantity)};
}

}  // namespace perennial::deployment
