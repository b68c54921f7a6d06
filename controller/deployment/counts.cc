#include "deployment/counts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

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

stats::Arm ArmOf(const api::ArmCounts& counts) {
  stats::Arm arm;
  arm.n = NumberOf(counts.n);
  arm.sum = NumberOf(counts.sum);
  if (!counts.squares.empty()) arm.sum_squares = NumberOf(counts.squares);
  return arm;
}

api::ArmCounts CountsOf(const Measured& measured) {
  if (!measured.value) return {};
  const stats::Arm& arm = measured.arm;
  return {Exact(arm.n), Exact(arm.sum), arm.sum_squares ? Exact(*arm.sum_squares) : ""};
}

void Add(const stats::Arm& carried, Measured& measured) {
  const bool wrong = !measured.value && measured.arm.n > 0;
  if (carried.n <= 0 || wrong) return;
  stats::Arm& arm = measured.arm;
  if (arm.n <= 0) {
    arm = carried;
  } else {
    arm.n += carried.n;
    arm.sum += carried.sum;
    if (arm.sum_squares && carried.sum_squares) {
      *arm.sum_squares += *carried.sum_squares;
    } else {
      arm.sum_squares.reset();
    }
  }
  measured.value = arm.sum / arm.n;
  measured.samples = arm.n;
  measured.note.clear();
}

}  // namespace

void AddCarried(const std::vector<api::QuantityCounts>& carried, const std::string& name,
                Measured& champion, Measured& challenger) {
  const auto it = std::find_if(carried.begin(), carried.end(),
                               [&](const auto& counts) { return counts.name == name; });
  if (it == carried.end()) return;
  Add(ArmOf(it->champion), champion);
  Add(ArmOf(it->challenger), challenger);
}

api::QuantityCounts Recorded(const std::string& name, const Measured& champion,
                             const Measured& challenger) {
  return {name, CountsOf(champion), CountsOf(challenger)};
}

}  // namespace perennial::deployment
