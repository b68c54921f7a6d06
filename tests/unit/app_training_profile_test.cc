#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "api/children.h"
#include "api/codec.h"
#include "app/csv.h"
#include "app/drift_eval.h"
#include "app/training_profile.h"
#include "support/source_tree.h"

namespace perennial::app {
namespace {

using nlohmann::json;

// Files in a folder that goes with the test.
class ProfileTest : public ::testing::Test {
 protected:
  ProfileTest() {
    std::string name = ::testing::TempDir() + "profileXXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~ProfileTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  // x = 1..rows, y from a few words, z of nulls and numbers.
  std::string Data(int rows, int shift = 0) {
    std::string text = "x,y,z\n";
    for (int i = 1; i <= rows; ++i) {
      text += std::to_string(i + shift) + (i % 4 == 0 ? ",\"rain, cold\"," : ",sun,") +
              (i % 10 == 0 ? "NA" : "0.5") + "\r\n";
    }
    return Write("data" + std::to_string(shift) + ".csv", text);
  }
  int Eval(DriftEvalOptions options) {
    out_.str("");
    err_.str("");
    return DriftEval(options, out_, err_);
  }

  std::filesystem::path folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

double Sum(const std::vector<double>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

TEST(Csv, ReadsQuotedFieldsAndCountsLines) {
  std::istringstream in(
      "\xEF\xBB\xBF"
      "a,b\r\n\"x,\"\"y\"\"\n2\",\n3,4");
  CsvReader reader(in);
  std::vector<std::string> fields;
  ASSERT_TRUE(*reader.Next(fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(*reader.Next(fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"x,\"y\"\n2", ""}));
  EXPECT_EQ(reader.line(), 2u);
  ASSERT_TRUE(*reader.Next(fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"3", "4"}));
  EXPECT_EQ(reader.line(), 4u);
  EXPECT_FALSE(*reader.Next(fields));
}

TEST(Csv, SaysInWhichLineItIsWrong) {
  const auto why = [](const std::string& text) {
    std::istringstream in(text);
    CsvReader reader(in);
    std::vector<std::string> fields;
    for (;;) {
      const auto next = reader.Next(fields);
      if (!next.ok()) return next.error().message;
      if (!*next) return std::string();
    }
  };
  EXPECT_EQ(why("a\n\"b"), "line 2: a quote that begins here does not end");
  EXPECT_EQ(why("a\n\"b\"c\n"), "line 2: text after a closing quote");
  EXPECT_EQ(why(std::string(2'000'000, 'x')), "line 1: a record of more than 1 MiB");
  EXPECT_EQ(why("a\r\n\r\nb"), "");
}

TEST_F(ProfileTest, CutsNumbersAtQuantilesAndCountsCategoriesAndNulls) {
  const auto profile = MakeProfile({Data(1000), ',', {}, 4});
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  EXPECT_EQ(profile->rows, 1000);
  ASSERT_EQ(profile->metrics.size(), 3u);
  const api::MetricProfile& x = profile->metrics[0];
  EXPECT_EQ(x.bounds, (std::vector<double>{251, 501, 751}));
  EXPECT_EQ(x.counts, (std::vector<double>{251, 250, 250, 249}));
  EXPECT_EQ(x.sum, 500'500);
  EXPECT_EQ(x.min, 1);
  EXPECT_EQ(x.max, 1000);
  const api::MetricProfile& y = profile->metrics[1];
  EXPECT_EQ(y.type, api::MetricType::kCategorical);
  EXPECT_EQ(y.label, "y");
  EXPECT_EQ(y.categories, (std::vector<api::Category>{{"sun", 750}, {"rain, cold", 250}}));
  const api::MetricProfile& z = profile->metrics[2];
  EXPECT_EQ(z.nulls, 100);
  EXPECT_EQ(Sum(z.counts), 900);
  // What is printed is what the contract takes.
  const auto again = api::DecodeProfile(json::parse(api::EncodeProfile(*profile)));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(*again, *profile);
}

TEST_F(ProfileTest, TakesTheBoundsOfTheServingHistogram) {
  ProfileColumn column = *ParseProfileColumn("x=feature_x");
  column.bounds = ParseBounds("feature_x=10,100,500")->second;
  const auto profile = MakeProfile({Data(1000), ',', {column}, 10});
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  EXPECT_EQ(profile->metrics.at(0).metric, "feature_x");
  EXPECT_EQ(profile->metrics[0].counts, (std::vector<double>{10, 90, 400, 500}));
  const auto bounds = BoundsOfPage(
      "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"+Inf\"} 2\n"
      "h_sum 9\nh_count 2\n",
      {"h", "g"});
  ASSERT_TRUE(bounds.ok()) << bounds.error().message;
  EXPECT_EQ(bounds->size(), 1u);
  EXPECT_EQ(bounds->at("h"), (std::vector<double>{1, 5}));
}

TEST_F(ProfileTest, FoldsRareCategories) {
  std::string text = "c\n";
  for (int i = 0; i < 400; ++i) text += "k" + std::to_string(i) + (i < 300 ? "\n" : "\nk0\n");
  const auto profile = MakeProfile({Write("c.csv", text), ',', {}, 10});
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  const auto& categories = profile->metrics.at(0).categories;
  ASSERT_EQ(categories.size(), 256u);
  EXPECT_EQ(categories.front(), (api::Category{"k0", 101}));
  EXPECT_EQ(categories.back(), (api::Category{"__other__", 400 - 255}));
}

TEST_F(ProfileTest, SaysWhatIsWrong) {
  const auto why = [&](const std::string& text, std::vector<ProfileColumn> columns = {}) {
    const auto profile = MakeProfile({Write("d.csv", text), ',', std::move(columns), 10});
    return profile.ok() ? "" : profile.error().message.substr(folder_.string().size());
  };
  EXPECT_EQ(why(""), "/d.csv: there is no header line");
  EXPECT_EQ(why("a,b\n1,2\n3\n"), "/d.csv: line 3: 1 fields, but the header has 2");
  ProfileColumn numeric = *ParseProfileColumn("a");
  numeric.bounds = {1};
  EXPECT_EQ(why("a\n1\nx\n", {numeric}), "/d.csv: line 3: column a: not a number");
  EXPECT_NE(MakeProfile({Write("e.csv", "a\n1\n"), ',', {*ParseProfileColumn("b")}, 10})
                .error()
                .message.find("there is no column b"),
            std::string::npos);
  EXPECT_FALSE(ParseProfileColumn("a={b}").ok());
  EXPECT_FALSE(ParseProfileColumn("a=m{b").ok());
  EXPECT_FALSE(ParseBounds("m=2,1").ok());
  EXPECT_FALSE(ParseBounds("m").ok());
}

TEST_F(ProfileTest, GoesThroughAConfigMapAndDriftEval) {
  const auto write = [&](const std::string& name, const std::string& data) {
    ProfileColumn x = *ParseProfileColumn("x");
    x.bounds = {250, 500, 750};
    const auto profile = MakeProfile({data, ',', {x, *ParseProfileColumn("y=m{weather}")}, 10});
    EXPECT_TRUE(profile.ok());
    return Write(name, ProfileConfigMap(*profile, "p"));
  };
  const std::string before = write("before.json", Data(1000));
  const std::string after = write("after.json", Data(1000, 300));
  std::ifstream stream(before);
  json object = json::parse(stream);
  object["metadata"]["uid"] = "u";
  object["metadata"]["namespace"] = "ns";
  const auto map = api::DecodeProfileMapView(object);
  ASSERT_TRUE(map.ok());
  ASSERT_NE(map->keys.at("profile.json").profile, nullptr) << map->keys.at("profile.json").error;
  EXPECT_EQ(*kube::Find(map->meta.labels, "perennial.dev/use"), "baseline")
      << "or the controller never sees it";

  DriftEvalOptions options;
  options.baseline = options.current = before;
  options.threshold = "0.25";
  EXPECT_EQ(Eval(options), 0) << out_.str() << err_.str();
  options.current = after;
  EXPECT_EQ(Eval(options), 2) << out_.str() << err_.str();
  EXPECT_NE(out_.str().find("most moved: > 750 25.0% -> 55.0%"), std::string::npos) << out_.str();
  options.json = true;
  EXPECT_EQ(Eval(options), 2);
  const json printed = json::parse(out_.str());
  EXPECT_EQ(printed["signals"][0]["state"], "Drifted");
  EXPECT_EQ(printed["signals"][0]["moved"][0]["bin"], "> 750");
  EXPECT_EQ(printed["signals"][1]["state"], "Ok") << "the weather did not change";
  const json& tried = printed["signals"][0]["tests"][0];
  EXPECT_EQ(tried["measure"], "population_stability_index");
  EXPECT_EQ(tried["value"], printed["signals"][0]["value"]);
  EXPECT_EQ(tried["threshold"], "0.25");
  for (const char* number : {"value", "pValue", "effect", "noiseFloor"}) {
    EXPECT_FALSE(tried[number].get<std::string>().empty()) << number;
  }
  options.min_samples = 5000;
  EXPECT_EQ(Eval(options), 1) << "no data is not calm";
}

TEST_F(ProfileTest, EvaluatesPagesOfRealServers) {
  const std::string page = ::perennial::testing::SourcePath("tests/data/exposition/departures.txt");
  DriftEvalOptions options;
  options.baseline = options.current = page;
  options.metrics = {"feature_distance_km"};
  options.threshold = "0.25";
  EXPECT_EQ(Eval(options), 0) << out_.str() << err_.str();
  // Both formats of one server say the same.
  options.current =
      ::perennial::testing::SourcePath("tests/data/exposition/departures.openmetrics");
  EXPECT_EQ(Eval(options), 0) << out_.str() << err_.str();
  options.previous = page;
  options.current = page;
  EXPECT_EQ(Eval(options), 1) << "nothing was counted in between";
  options.previous = "";
  options.metrics = {"no_such_metric"};
  EXPECT_EQ(Eval(options), 1);
  EXPECT_NE(out_.str().find("no pod exposes the histogram no_such_metric"), std::string::npos)
      << out_.str();
}

TEST_F(ProfileTest, SubtractsAnEarlierPage) {
  const auto page = [&](const char* name, int low, int high) {
    return Write(name, "# TYPE x histogram\nx_bucket{le=\"1\"} " + std::to_string(low) +
                           "\nx_bucket{le=\"+Inf\"} " + std::to_string(low + high) + "\nx_sum 1\n" +
                           "x_count " + std::to_string(low + high) + "\n");
  };
  DriftEvalOptions options;
  options.baseline = page("baseline.txt", 5000, 5000);
  options.previous = options.baseline;
  options.current = page("current.txt", 5100, 5900);
  options.metrics = {"x"};
  options.threshold = "0.25";
  options.json = true;
  EXPECT_EQ(Eval(options), 2) << out_.str() << err_.str();
  EXPECT_EQ(json::parse(out_.str())["signals"][0]["samples"], 1000);
  options.previous = "";
  EXPECT_EQ(Eval(options), 0) << "in all of its life little changed";
}

TEST_F(ProfileTest, ComparesImportancesOfFeatures) {
  DriftEvalOptions options;
  options.baseline = Write("then.json", R"({"featureAttribution": [
      {"feature": "a", "importance": 6}, {"feature": "b", "importance": 3}]})");
  options.monitor =
      Write("m.yaml",
            "kind: DriftMonitor\nspec:\n  target: {modelDeployment: d}\n  preset: azure\n"
            "  signals:\n  - {name: s, type: AttributionDrift, metric: m}\n");
  options.current = options.baseline;
  EXPECT_EQ(Eval(options), 0) << out_.str() << err_.str();
  options.current =
      Write("page.txt", "# TYPE m gauge\nm{feature=\"a\"} 0.1\nm{feature=\"b\"} 0.7\n");
  EXPECT_EQ(Eval(options), 2) << out_.str() << err_.str();
  EXPECT_NE(out_.str().find("most moved: "), std::string::npos) << out_.str();
  // Shares of two features move by the same.
  EXPECT_NE(out_.str().find("a 66.7% -> 12.5%"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("b 33.3% -> 87.5%"), std::string::npos) << out_.str();
}

TEST_F(ProfileTest, TakesSignalsFromAMonitorAndTellsWhatIsWrong) {
  DriftEvalOptions options;
  options.baseline = options.current =
      ::perennial::testing::SourcePath("tests/data/exposition/departures.txt");
  EXPECT_EQ(Eval(options), 1);
  EXPECT_NE(err_.str().find("give --monitor FILE, or --threshold"), std::string::npos);
  options.monitor =
      Write("m.yaml",
            "apiVersion: perennial.dev/v1alpha1\nkind: DriftMonitor\nmetadata: {name: m}\n"
            "spec:\n  target: {modelDeployment: d}\n  minSamples: 1\n  signals:\n"
            "  - {name: s, type: DataDrift, metric: feature_distance_km, tests: "
            "[{measure: jensen_shannon_distance, threshold: \"0.3\"}]}\n");
  EXPECT_EQ(Eval(options), 0) << out_.str() << err_.str();
  EXPECT_NE(out_.str().find("jensen_shannon_distance"), std::string::npos);
  options.current = (folder_ / "absent").string();
  EXPECT_EQ(Eval(options), 1);
  EXPECT_NE(err_.str().find("cannot be read"), std::string::npos);
  options.current = Write("bad.txt", "x{ 1\n");
  EXPECT_EQ(Eval(options), 1);
  EXPECT_NE(err_.str().find("line 1, column"), std::string::npos) << err_.str();
  options.current = Write("bad.json", R"({"rows": 3})");
  EXPECT_EQ(Eval(options), 1);
  EXPECT_NE(err_.str().find("holds no profile"), std::string::npos) << err_.str();
}

}  // namespace
}  // namespace perennial::app
