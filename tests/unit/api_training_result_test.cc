#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "support/source_tree.h"
#include "support/training_result_property.h"

namespace perennial::api {
namespace {

using nlohmann::json;

json Valid() {
  return json::parse(R"({"schemaVersion": 1,
    "artifact": {"uri": "http://feed/models/1", "digest": "sha256:)" +
                     std::string(64, 'a') + R"("},
    "metrics": [{"name": "mae", "value": 3.1, "samples": 100},
                {"name": "mae", "value": 4, "group": "weekend"}]})");
}

TEST(TrainingResult, ReadsWhatAContainerReports) {
  json document = Valid();
  document["data"] = json::parse(R"([{"uri": "http://feed/history", "rows": 20000}])");
  document["code"] = {{"repository", "https://git"}, {"commit", "0abc"}};
  document["parameters"] = {{"l2", "0.1"}};
  document["profile"] = json::parse(R"({"rows": 6, "metrics": [
    {"metric": "m", "type": "Numeric", "bounds": [1, 2.5], "counts": [1, 2, 3], "sum": 9.5,
     "sumSquares": 20.25, "nulls": 1, "min": 0.5, "max": 4},
    {"metric": "w", "type": "Categorical", "label": "value",
     "categories": [{"name": "rain", "count": 2}]}]})");
  document["unknown"] = {{"later", true}};
  const auto result = DecodeTrainingResult(document.dump());
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->artifact.uri, "http://feed/models/1");
  EXPECT_EQ(result->metrics.at(1).group, "weekend");
  EXPECT_EQ(result->metrics.at(1).value, 4);
  EXPECT_EQ(result->data.at(0).rows, 20000);
  EXPECT_EQ(result->parameters.at("l2"), "0.1");
  EXPECT_EQ(result->profile->metrics.at(0).counts, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(result->profile->metrics.at(0).sum_squares, 20.25);
  EXPECT_EQ(result->profile->metrics.at(1).categories.at(0), (Category{"rain", 2}));
}

TEST(TrainingResult, ReadsWhatThePythonLibraryWrites) {
  const std::string script =
      "import sys; sys.path.insert(0, '" + testing::SourcePath("samples/python") +
      "'); import perennial_result as r; "
      "p = r.profile(4, [r.numeric_profile('m', [0.5, 1, None, 7.25], [1, 2, 5]), "
      "r.categorical_profile('w', 'value', ['rain', 'sun', 'rain'])]); "
      "sys.stdout.buffer.write(r.build('https://store/m.json', r.digest_of(b'm'), "
      "[r.metric('mae', 3, samples=5), r.metric('mae', 2.5, group='weekend')], profile=p, "
      "data=[{'uri': 'https://store/d', 'digest': r.digest_of(b'd'), 'rows': 4}], "
      "code={'commit': 'abc'}, parameters={'l2': 0.5, 'seed': 7}, report='https://store/r', "
      "explanation='https://store/e', image='i@sha256:0', trained_from='m-1', "
      "evaluation_data=r.dataset('https://store/h', r.digest_of(b'h'), 3), "
      "confusion_matrix=r.confusion_matrix([1, 0, 1], [1, 1, 1], ['a', 'a', 'b'])))";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen(("PYTHONDONTWRITEBYTECODE=1 python3 -c \"" + script + "\"").c_str(), "r"), pclose);
  ASSERT_NE(pipe, nullptr);
  std::string text;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    text.append(buffer.data(), n);
  }
  const auto result = DecodeTrainingResult(text);
  ASSERT_TRUE(result.ok()) << result.error().message << "\n" << text;
  EXPECT_EQ(result->metrics.size(), 2u);
  EXPECT_EQ(result->parameters.at("seed"), "7");
  EXPECT_EQ(result->explanation, "https://store/e");
  EXPECT_EQ(result->image, "i@sha256:0");
  EXPECT_EQ(result->trained_from, "m-1");
  EXPECT_EQ(result->evaluation_data->uri, "https://store/h");
  EXPECT_EQ(result->evaluation_data->rows, 3);
  ASSERT_EQ(result->confusion_matrix.size(), 5u);  // two cells of all rows, two of a, one of b
  EXPECT_EQ(result->confusion_matrix[0], (ConfusionCell{"", "0", "1", 1}));
  EXPECT_EQ(result->confusion_matrix[1], (ConfusionCell{"", "1", "1", 2}));
  EXPECT_EQ(result->confusion_matrix[4], (ConfusionCell{"b", "1", "1", 1}));
  const MetricProfile& numeric = result->profile->metrics.at(0);
  EXPECT_EQ(numeric.counts, (std::vector<double>{2, 0, 0, 1}));
  EXPECT_EQ(numeric.nulls, 1);
  EXPECT_EQ(numeric.max, 7.25);
  EXPECT_EQ(result->profile->metrics.at(1).categories.at(0), (Category{"rain", 2}));
}

TEST(TrainingResult, ReadsWhatThePythonLibraryWritesOfSeveralModels) {
  const std::string script =
      "import os, sys; sys.path.insert(0, '" + testing::SourcePath("samples/python") +
      "'); import perennial_result as r; os.environ['PERENNIAL_MODEL_DEPLOYMENTS'] = "
      "r.json.dumps([{'modelDeployment': 'a'}, {'modelDeployment': 'b'}]); "
      "sys.stdout.buffer.write(r.build_all({m['modelDeployment']: "
      "r.build('s3://m/' + m['modelDeployment'], r.digest_of(b'm'), [r.metric('mae', 3)]) "
      "for m in r.models()}))";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen(("PYTHONDONTWRITEBYTECODE=1 python3 -c \"" + script + "\"").c_str(), "r"), pclose);
  ASSERT_NE(pipe, nullptr);
  std::array<char, 4096> buffer;
  const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get());
  const std::string text(buffer.data(), n);
  for (const std::string model : {"a", "b"}) {
    const auto result = DecodeTrainingResult(text, model);
    ASSERT_TRUE(result.ok()) << result.error().message << "\n" << text;
    EXPECT_EQ(result->artifact.uri, "s3://m/" + model);
  }
}

struct Wrong {
  const char* pointer;
  const char* value;  // empty: removed
  const char* error;
};

TEST(TrainingResult, SaysWhatIsWrong) {
  const Wrong cases[] = {
      {"/schemaVersion", "2", "schemaVersion: expected 1, got 2"},
      {"/schemaVersion", "null", "schemaVersion: required; this controller reads 1"},
      {"/artifact", "null", "artifact: required. "},
      {"/artifact/digest", "null", "artifact.digest: required: \"sha256:\""},
      {"/artifact/digest", R"("sha256:abc")", "artifact.digest: expected \"sha256:\" and 64"},
      {"/artifact/uri", R"("model.json")", "artifact.uri: expected an absolute URI"},
      {"/metrics", "[]", "metrics: needs at least 1 items"},
      {"/metrics", "{}", "metrics: expected list, got an object"},
      {"/metrics/0/value", R"("3.1")", "metrics[0].value: expected number, got \"3.1\""},
      {"/metrics/0/value", "null", "metrics[0].value: required. "},
      {"/metrics/0/samples", "-1", "metrics[0].samples: expected integer of at least 0, got -1"},
      {"/trainedFrom", R"("Not A Name")", "trainedFrom: expected the name of an object"},
      {"/evaluationData", R"({"uri": "s3://d", "digest": "md5:1"})",
       "evaluationData.digest: expected \"sha256:\" and 64"},
      {"/parameters", R"({"l2": 0.1})", "parameters.l2: expected string, got 0.1"},
      {"/profile", R"({"metrics": [{"metric": "m", "type": "Numeric", "bounds": [1],
         "counts": [1]}]})",
       "profile.metrics[0].counts: a Numeric profile needs bounds"},
  };
  for (const Wrong& c : cases) {
    SCOPED_TRACE(c.error);
    json document = Valid();
    document[json::json_pointer(c.pointer)] = json::parse(c.value);
    const auto result = DecodeTrainingResult(document.dump());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Errc::kInvalid);
    EXPECT_EQ(result.error().message.find(c.error), 0u) << result.error().message;
  }
}

TEST(TrainingResult, HasAPartForEachModelThatWasTrained) {
  json own = Valid();
  own.erase("schemaVersion");
  own["artifact"]["uri"] = "s3://models/north";
  json document = Valid();
  document["results"] = {{"north", own}};
  const auto uri = [&](const char* model) {
    const auto result = DecodeTrainingResult(document.dump(), model);
    return result.ok() ? result->artifact.uri : result.error().message;
  };
  EXPECT_EQ(uri("north"), "s3://models/north");
  EXPECT_EQ(uri("south"), Valid()["artifact"]["uri"].get<std::string>()) << "what they share";
  document.erase("artifact");
  EXPECT_EQ(uri("north"), "s3://models/north");
  EXPECT_EQ(uri("south"), "results: has no entry for south");
  document["results"]["north"]["artifact"].erase("digest");
  EXPECT_EQ(uri("north").find("results.north.artifact.digest: required"), 0u) << uri("north");
  document["results"]["north"]["metrics"] = 3;
  EXPECT_EQ(uri("north").find("results.north.metrics: expected list"), 0u) << uri("north");
  document["results"]["north"] = 3;
  EXPECT_EQ(uri("north").find("results.north: expected object"), 0u) << uri("north");
  document["results"] = 3;
  EXPECT_EQ(uri("north").find("results: expected object"), 0u) << uri("north");
}

TEST(TrainingResult, RefusesWhatIsNoDocument) {
  EXPECT_EQ(DecodeTrainingResult(" \n").error().message, "the run left no result");
  EXPECT_EQ(DecodeTrainingResult("all good!").error().message, "not JSON: \"all good!\"");
  EXPECT_EQ(DecodeTrainingResult("[1]").error().message, "result: expected object, got a list");
  EXPECT_EQ(DecodeTrainingResult(std::string(100'000, '[')).error().message,
            "the result is nested too deeply");
  const std::string cut = Valid().dump().substr(0, 60) + std::string(4036, 'x');
  EXPECT_NE(DecodeTrainingResult(cut).error().message.find("holds 4096 bytes"), std::string::npos);
}

TEST(TrainingResult, HoldsForEachTextOfTheFuzzersCorpus) {
  namespace fs = std::filesystem;
  int texts = 0;
  for (const auto& file :
       fs::directory_iterator(testing::SourcePath("tests/fuzz/corpus/training_result"))) {
    SCOPED_TRACE(file.path().string());
    std::ifstream in(file.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(testing::ViolatedByResult(text), "");
    ++texts;
  }
  EXPECT_GT(texts, 10);
}

}  // namespace
}  // namespace perennial::api
