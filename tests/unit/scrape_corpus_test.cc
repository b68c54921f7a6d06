#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "scrape/exposition.h"
#include "support/corpus.h"
#include "support/exposition_property.h"
#include "support/expression_property.h"
#include "support/promql_property.h"
#include "support/source_tree.h"

namespace perennial::scrape {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(ExpositionCorpus, KeepsEveryPropertyInEveryFormatAndPiece) {
  const fs::path corpus = testing::SourcePath("tests/fuzz/corpus/exposition");
  int files = 0;
  for (const auto& file : fs::directory_iterator(corpus)) {
    ++files;
    std::string input = ReadFile(file.path());
    ASSERT_GE(input.size(), 2u) << file.path();
    EXPECT_EQ(test::ViolatedByPage(input), "") << file.path();
    for (const int choice : {0, 1, 2, 3}) {
      for (const int piece : {0, 6, 30}) {
        input[0] = static_cast<char>(choice);
        input[1] = static_cast<char>(piece);
        EXPECT_EQ(test::ViolatedByPage(input), "") << file.path() << " " << choice << " " << piece;
      }
    }
  }
  EXPECT_GT(files, 20);
}

TEST(ExpressionCorpus, KeepsEveryProperty) {
  for (const std::string& text : testing::Corpus("expression")) {
    EXPECT_EQ(test::ViolatedByExpression(text), "") << text;
  }
}

TEST(PromqlCorpus, KeepsEveryPropertyWithEveryChoice) {
  for (std::string answer : testing::Corpus("promql")) {
    EXPECT_EQ(test::ViolatedByAnswer(answer), "") << answer;
    for (const int choice : {0, 1, 2, 3}) {
      answer[0] = static_cast<char>(choice);
      EXPECT_EQ(test::ViolatedByAnswer(answer), "") << answer << " " << choice;
    }
  }
}

// Pages as servers really answered, each with what it must hold.
const Series* Find(const Scrape& scrape, std::string_view metric) {
  for (const Series& series : scrape.series) {
    if (series.metric == metric) return &series;
  }
  return nullptr;
}

TEST(CapturedPages, HoldsEveryMetricOfTheSampleService) {
  const WantedMetrics wanted({"feature_distance_km", "predicted_minutes", "prediction_error",
                              "prediction_error_squares_total", "feature_weather_total",
                              "predictions_total", "prediction_failures_total"});
  for (const auto& [file, format] : {std::pair{"departures.txt", Format::kText},
                                     std::pair{"departures.openmetrics", Format::kOpenMetrics}}) {
    const std::string page =
        ReadFile(fs::path(testing::SourcePath("tests/data/exposition")) / file);
    const Result<Scrape> scrape = ParseExposition(page, wanted, format);
    ASSERT_TRUE(scrape.ok()) << file << ": " << scrape.error().message;
    EXPECT_TRUE(scrape->problems.empty());
    EXPECT_TRUE(scrape->process_start_time.has_value());
    for (const std::string& name : wanted.names()) {
      ASSERT_NE(Find(*scrape, name), nullptr) << file << ": " << name;
    }
    for (const char* name : {"feature_distance_km", "predicted_minutes", "prediction_error"}) {
      const Series* series = Find(*scrape, name);
      EXPECT_EQ(series->kind, SeriesKind::kHistogram);
      EXPECT_EQ(series->bounds.size(), 13u);
      EXPECT_GT(series->count, 0) << file << ": " << name;
    }
    EXPECT_EQ(Find(*scrape, "predictions_total")->kind, SeriesKind::kCounter);
    EXPECT_EQ(Find(*scrape, "predictions_total")->value, Find(*scrape, "predicted_minutes")->count);
  }
}

}  // namespace
}  // namespace perennial::scrape
