#pragma once

#include <algorithm>

#include "api/model_version.h"
#include "api/rules.h"
#include "api/schema.h"

// Tables of what other kinds share with ModelVersion: artifacts, gates, approval, profiles.
namespace perennial::api {

template <>
struct EnumNames<MetricType> {
  static constexpr std::array<std::string_view, 2> kNames{"Numeric", "Categorical"};
};
template <>
struct EnumNames<GateComparison> {
  static constexpr std::array<std::string_view, 2> kNames{"Absolute", "Champion"};
};
template <>
struct EnumNames<GateMode> {
  static constexpr std::array<std::string_view, 2> kNames{"Enforce", "DryRun"};
};
template <>
struct EnumNames<Verdict> {
  static constexpr std::array<std::string_view, 4> kNames{"Pass", "Fail", "Inconclusive", "NoData"};
};

template <>
struct Schema<ModelReference> {
  using T = ModelReference;
  static constexpr std::tuple kFields{
      Field{"uri", &T::uri,
            "Where the artifact is. The serving container gets it as MODEL_URI and loads it.",
            Required(kUri)},
      Field{"digest", &T::digest,
            "What the artifact must hash to: \"sha256:\" and 64 hexadecimal digits. The serving "
            "container gets it as MODEL_DIGEST; an approval must name it.",
            kDigest},
  };
};

template <>
struct Schema<Category> {
  using T = Category;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The label's value.", Rules{.required = true, .max_length = 256}},
      Field{"count", &T::count, "Rows of this category.", Rules{.required = true, .min = 0}},
  };
};

template <>
struct Schema<MetricProfile> {
  using T = MetricProfile;
  static constexpr std::tuple kFields{
      Field{"metric", &T::metric, "The metric that serving pods expose for the same quantity.",
            Required(kMetricName)},
      Field{"type", &T::type,
            "Numeric: a histogram, in `bounds` and `counts`. Categorical: `categories`, by "
            "`label`.",
            Rules{.required = true}},
      Field{"bounds", &T::bounds,
            "Upper bounds of the buckets, inclusive and ascending; those of the serving "
            "histogram. +Inf is implied.",
            Rules{.max_items = 256}},
      Field{"counts", &T::counts,
            "Rows in each bucket, one more than there are bounds: the last counts what lies above "
            "the highest bound.",
            Rules{.min = 0, .max_items = 257}},
      Field{"sum", &T::sum, "Sum of the values.", Rules{}},
      Field{"sumSquares", &T::sum_squares, "Sum of the squared values.", Rules{.min = 0}},
      Field{"min", &T::min, "Smallest value.", Rules{}},
      Field{"max", &T::max, "Greatest value.", Rules{}},
      Field{"nulls", &T::nulls, "Rows without a value.", Rules{.min = 0}},
      Field{"label", &T::label, "Categorical: the label whose values are the categories.",
            kLabelName},
      Field{"categories", &T::categories, "Categorical: rows of each category.",
            Rules{.max_items = 256, .list_key = "name"}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self.type != 'Numeric' || (has(self.bounds) && has(self.counts) && "
             "size(self.counts) == size(self.bounds) + 1)",
             "a Numeric profile needs bounds, and counts with one element more than bounds",
             "counts",
             [](const T& v) {
               return v.type != MetricType::kNumeric ||
                      (!v.bounds.empty() && v.counts.size() == v.bounds.size() + 1);
             }},
      Cel<T>{"!has(self.bounds) || self.bounds.isSorted()",
             "bounds must ascend: sort them, and the counts with them", "bounds",
             [](const T& v) { return std::is_sorted(v.bounds.begin(), v.bounds.end()); }},
      Cel<T>{"self.type != 'Categorical' || (has(self.label) && has(self.categories))",
             "a Categorical profile needs label and categories", "categories",
             [](const T& v) {
               return v.type != MetricType::kCategorical ||
                      (!v.label.empty() && !v.categories.empty());
             }},
  };
};

template <>
struct Schema<Profile> {
  using T = Profile;
  static constexpr std::tuple kFields{
      Field{"rows", &T::rows, "Rows that were trained on.", Rules{.min = 0}},
      Field{"metrics", &T::metrics, "The distribution of each metric at training time.",
            Rules{.max_items = 64, .list_key = "metric"}},
  };
};

template <>
struct Schema<EvaluationMetric> {
  using T = EvaluationMetric;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "Such as mae or accuracy; gates refer to it.", Required(kItemName)},
      Field{"group", &T::group, "The group of rows that was evaluated; empty: all rows.",
            Rules{.max_length = 128}},
      Field{"value", &T::value, "The metric's value.", Rules{.required = true}},
      Field{"samples", &T::samples, "Rows that it was computed from; 0: not given.",
            Rules{.min = 0}},
  };
};

template <>
struct Schema<DataReference> {
  using T = DataReference;
  static constexpr std::tuple kFields{
      Field{"uri", &T::uri, "Where the data is.", Rules{.required = true, .max_length = 2048}},
      Field{"digest", &T::digest, "What the data hashed to.", kDigest},
      Field{"rows", &T::rows, "Rows that were read.", Rules{.min = 0}},
  };
};

template <>
struct Schema<CodeReference> {
  using T = CodeReference;
  static constexpr std::tuple kFields{
      Field{"repository", &T::repository, "Where the training code is.", Rules{}},
      Field{"commit", &T::commit, "Its commit.", Rules{.max_length = 128}},
  };
};

template <>
struct Schema<Gate> {
  using T = Gate;
  static constexpr std::tuple kFields{
      Field{"metric", &T::metric, "Name of an evaluation metric in the training result.",
            Required(kItemName)},
      Field{"group", &T::group, "The group of rows; empty: all rows.", Rules{.max_length = 128}},
      Field{"versus", &T::versus,
            "Absolute: the value itself, with max or min. Champion: its change from the version "
            "that served when the new one was made, with maxIncrease or maxDecrease.",
            Rules{}},
      Field{"max", &T::max, "The value may be at most this.", Rules{}},
      Field{"min", &T::min, "The value must be at least this.", Rules{}},
      Field{"maxIncrease", &T::max_increase, "Value minus the champion's may be at most this.",
            Rules{}},
      Field{"maxDecrease", &T::max_decrease, "The champion's value minus this one's, likewise.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"[has(self.max), has(self.min), has(self.maxIncrease), has(self.maxDecrease)]"
             ".filter(b, b).size() == 1",
             "a gate has exactly one bound: set one of max, min, maxIncrease, maxDecrease", "",
             [](const T& v) {
               return v.max.has_value() + v.min.has_value() + v.max_increase.has_value() +
                          v.max_decrease.has_value() ==
                      1;
             }},
      Cel<T>{"(has(self.versus) && self.versus == 'Champion') == "
             "(has(self.maxIncrease) || has(self.maxDecrease))",
             "versus: Champion goes with maxIncrease or maxDecrease; without it set max or min",
             "versus",
             [](const T& v) {
               return (v.versus == GateComparison::kChampion) ==
                      (v.max_increase.has_value() || v.max_decrease.has_value());
             }},
  };
};

template <>
struct Schema<ApprovalRule> {
  using T = ApprovalRule;
  static constexpr std::tuple kFields{
      Field{"required", &T::required,
            "Whether a version needs ModelApprovals before it gets any traffic.", Rules{}},
      Field{"approvers", &T::approvers, "How many different people must approve.",
            Rules{.min = 1, .max = 10}},
  };
};

inline constexpr Rules kGates{.max_items = 64};
inline constexpr Rules kEvaluationMetrics{.max_items = 256};
inline constexpr Rules kData{.max_items = 32};
inline constexpr Rules kParameters{.max_length = 1024, .max_items = 64};

}  // namespace perennial::api
