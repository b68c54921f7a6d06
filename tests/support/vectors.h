#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/source_tree.h"

// Reference values that other tools computed: tests/data/vectors/*.json, whose cases each name the
// tool, its version and the tolerance. Those of edges/ are inputs of one measure's file tried with
// the others, and what lies at the borders: one sample, one bucket, constants, ties, fractions.
namespace perennial::testing {

inline nlohmann::json Cases(const std::string& file) {
  nlohmann::json cases = nlohmann::json::array();
  for (const std::string folder : {"", "edges/"}) {
    std::ifstream stream(SourcePath("tests/data/vectors/" + folder + file + ".json"));
    if (!stream && !folder.empty()) continue;
    const nlohmann::json document = nlohmann::json::parse(stream, nullptr, false);
    EXPECT_TRUE(document.is_object() && !document["cases"].empty()) << folder << file;
    if (!document.is_object()) continue;
    for (const auto& test : document["cases"]) cases.push_back(test);
  }
  return cases;
}

// JSON has no infinities: the files write them as strings; a missing sample is null or "NaN".
inline double Number(const nlohmann::json& value) {
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value.is_string()) return value.get<double>();
  const auto text = value.get<std::string>();
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  EXPECT_EQ(text, "NaN");
  return std::numeric_limits<double>::quiet_NaN();
}

inline std::vector<double> Numbers(const nlohmann::json& values) {
  std::vector<double> out;
  for (const auto& value : values) out.push_back(Number(value));
  return out;
}

// How often each distinct value occurs in two lists of samples; missing ones are left out.
struct CountsByValue {
  std::vector<double> values;
  std::vector<double> reference;
  std::vector<double> current;
};
inline CountsByValue CountByValue(const nlohmann::json& reference, const nlohmann::json& current) {
  std::map<double, std::pair<double, double>> counts;
  for (const double value : Numbers(reference)) {
    if (!std::isnan(value)) counts[value].first += 1;
  }
  for (const double value : Numbers(current)) {
    if (!std::isnan(value)) counts[value].second += 1;
  }
  CountsByValue out;
  for (const auto& [value, count] : counts) {
    out.values.push_back(value);
    out.reference.push_back(count.first);
    out.current.push_back(count.second);
  }
  return out;
}

// The case's own tolerance: |got - want| <= abs + rel * |want|. What the tool doesn't define (null)
// is not compared.
inline void ExpectMatches(double got, const nlohmann::json& want_json, const nlohmann::json& test) {
  if (want_json.is_null()) return;
  const double want = Number(want_json);
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << got;
  } else if (std::isinf(want)) {
    EXPECT_EQ(got, want);
  } else {
    const auto& tolerance = test["tolerance"];
    EXPECT_NEAR(got, want,
                tolerance["abs"].get<double>() + tolerance["rel"].get<double>() * std::abs(want));
  }
}

}  // namespace perennial::testing
