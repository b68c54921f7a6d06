#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "stats/confusion_matrix.h"

namespace perennial::stats {
namespace {

using Matrix = std::vector<ConfusionCount>;

// 60 true positives, 20 false positives, 40 false negatives, 880 true negatives.
const Matrix kRare{{"yes", "yes", 60}, {"no", "yes", 20}, {"yes", "no", 40}, {"no", "no", 880}};

double Value(const char* name, const Matrix& matrix, const char* positive = "yes") {
  const auto measure = ParseClassificationMeasure(name);
  EXPECT_TRUE(measure) << name;
  const auto result = MeasureClassification(*measure, matrix, positive);
  EXPECT_TRUE(result.value) << name << ": " << result.note;
  return result.value.value_or(-99);
}

TEST(ConfusionMatrix, ComputesWhatTextbooksDo) {
  EXPECT_DOUBLE_EQ(Value("accuracy", kRare), 0.94);
  EXPECT_DOUBLE_EQ(Value("error_rate", kRare), 1 - 0.94);
  EXPECT_DOUBLE_EQ(Value("precision", kRare), 0.75);
  EXPECT_DOUBLE_EQ(Value("recall", kRare), 0.6);
  EXPECT_DOUBLE_EQ(Value("f1_score", kRare), 2 * 0.75 * 0.6 / (0.75 + 0.6));
  EXPECT_DOUBLE_EQ(Value("specificity", kRare), 880.0 / 900);
  EXPECT_DOUBLE_EQ(Value("false_positive_rate", kRare), 20.0 / 900);
  EXPECT_DOUBLE_EQ(Value("false_negative_rate", kRare), 0.4);
  EXPECT_DOUBLE_EQ(Value("selection_rate", kRare), 0.08);
  EXPECT_DOUBLE_EQ(Value("balanced_accuracy", kRare), (0.6 + 880.0 / 900) / 2);
  // (60 * 880 - 20 * 40) / sqrt(80 * 100 * 900 * 920)
  EXPECT_NEAR(Value("matthews_correlation", kRare), 52000 / std::sqrt(80.0 * 100 * 900 * 920),
              1e-12);
}

TEST(ConfusionMatrix, TakesTheOtherClassForPositive) {
  EXPECT_DOUBLE_EQ(Value("recall", kRare, "no"), 880.0 / 900);
  EXPECT_DOUBLE_EQ(Value("specificity", kRare, "no"), 0.6);
}

// sklearn.metrics of y_true = [0,0,0,1,1,1,2,2,2,2], y_pred = [0,0,1,1,1,2,2,2,0,2]:
// matthews_corrcoef 0.5454..., balanced_accuracy_score 0.6944...
TEST(ConfusionMatrix, KnowsThreeClasses) {
  const Matrix three{{"0", "0", 2}, {"0", "1", 1}, {"1", "1", 2},
                     {"1", "2", 1}, {"2", "2", 3}, {"2", "0", 1}};
  EXPECT_DOUBLE_EQ(Value("accuracy", three), 0.7);
  EXPECT_NEAR(Value("balanced_accuracy", three), (2.0 / 3 + 2.0 / 3 + 0.75) / 3, 1e-12);
  // c = 7, s = 10, sum p t = 3*3 + 3*3 + 4*4 = 34, sum p^2 = sum t^2 = 34.
  EXPECT_NEAR(Value("matthews_correlation", three), 36.0 / 66, 1e-12);
  EXPECT_DOUBLE_EQ(Value("precision", three, "2"), 0.75);
}

TEST(ConfusionMatrix, HasNoValueOfNothing) {
  const auto none = MeasureClassification(ClassificationMeasure::kAccuracy, {}, "");
  EXPECT_FALSE(none.value);
  EXPECT_EQ(none.note, "the confusion matrix counts no rows");
  // Nothing was predicted positive: precision is 0 / 0.
  const Matrix never{{"yes", "no", 5}, {"no", "no", 5}};
  EXPECT_FALSE(MeasureClassification(ClassificationMeasure::kPrecision, never, "yes").value);
  EXPECT_DOUBLE_EQ(Value("recall", never), 0);
  EXPECT_FALSE(MeasureClassification(ClassificationMeasure::kMatthewsCorrelation, never, "").value);
}

TEST(ConfusionMatrix, SaysWhichClassesThereAre) {
  const auto unset = MeasureClassification(ClassificationMeasure::kRecall, kRare, "");
  EXPECT_EQ(unset.note, "positive is not set: set it to one of no, yes");
  const auto unknown = MeasureClassification(ClassificationMeasure::kRecall, kRare, "maybe");
  EXPECT_EQ(unknown.note, "there is no class \"maybe\": set positive to one of no, yes");
}

TEST(ConfusionMatrix, NamesItsMeasuresBothWays) {
  for (int i = 0; i <= static_cast<int>(ClassificationMeasure::kSelectionRate); ++i) {
    const auto measure = static_cast<ClassificationMeasure>(i);
    EXPECT_EQ(ParseClassificationMeasure(ToString(measure)), measure);
  }
  EXPECT_FALSE(ParseClassificationMeasure("mae"));
}

}  // namespace
}  // namespace perennial::stats
