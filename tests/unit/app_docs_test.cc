// The documentation says what the code does: manifests in it are valid, names in it exist, and what
// exists is named. Files are read from the source tree.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "api/codec.h"
#include "api/kinds.h"
#include "app/lint.h"
#include "app/metrics.h"
#include "app/shard_metrics.h"
#include "stats/measure.h"
#include "support/in_process.h"
#include "support/manual_clock.h"
#include "support/source_tree.h"

namespace perennial::app {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

const fs::path kRoot = testing::SourcePath("");

std::string Read(const fs::path& path) {
  std::ifstream stream(path);
  EXPECT_TRUE(stream) << path;
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::vector<fs::path> Pages() {
  std::vector<fs::path> out{kRoot / "README.md", kRoot / "CONTRIBUTING.md", kRoot / "SECURITY.md"};
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "docs")) {
    if (entry.path().extension() == ".md") out.push_back(entry.path());
  }
  return out;
}

// The fenced blocks of one language, in order.
std::vector<std::string> Blocks(const std::string& page, const std::string& language) {
  std::vector<std::string> out;
  const std::string fence = "```" + language + "\n";
  for (size_t at = page.find(fence); at != std::string::npos; at = page.find(fence, at)) {
    at += fence.size();
    const size_t end = page.find("\n```", at);
    if (end == std::string::npos) break;
    out.push_back(page.substr(at, end + 1 - at));
    at = end;
  }
  return out;
}

Names Matches(const std::string& text, const std::string& pattern) {
  Names out;
  const std::regex regex(pattern);
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    out.insert((*it)[1]);
  }
  return out;
}

// The C++ of the controllers in one text.
std::string Source() {
  std::string out;
  for (const char* folder : {"deployment", "drift", "retrain"}) {
    for (const auto& entry : fs::directory_iterator(kRoot / "controller" / folder)) {
      out += Read(entry.path());
    }
  }
  return out;
}

TEST(Docs, ManifestsAreValid) {
  int checked = 0;
  for (const fs::path& page : Pages()) {
    for (const std::string& block : Blocks(Read(page), "yaml")) {
      if (block.find("perennial.dev/") == std::string::npos) continue;
      const LintReport report = Lint(block);
      checked += report.checked;
      for (const std::string& problem : report.problems) {
        ADD_FAILURE() << page << ": " << problem << "\n" << block;
      }
    }
  }
  EXPECT_GE(checked, 9) << "where did the examples go?";
}

TEST(Docs, SamplesAreValid) {
  int checked = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "samples")) {
    if (entry.path().extension() != ".yaml") continue;
    const LintReport report = Lint(Read(entry.path()));
    checked += report.checked;
    for (const std::string& problem : report.problems) {
      ADD_FAILURE() << entry.path() << ": " << problem;
    }
  }
  EXPECT_GE(checked, 8);
}

TEST(Docs, TheTrainingResultIsOne) {
  const auto blocks = Blocks(Read(kRoot / "docs/reference/result-contract.md"), "json");
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_LE(blocks[0].size(), 4096u) << "Kubernetes would cut it";
  const auto result = api::DecodeTrainingResult(blocks[0]);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->metrics.size(), 2u);
  EXPECT_TRUE(result->profile.has_value());
  EXPECT_EQ(result->confusion_matrix.size(), 4u);
  // Field names come from the decoder's own table.
  for (const auto& property : api::TrainingResultSchema().properties) {
    EXPECT_NE(blocks[0].find("\n  \"" + std::string(property.name) + "\": "), std::string::npos)
        << property.name << " is not in the example";
  }
}

TEST(Docs, LinksLeadSomewhere) {
  for (const fs::path& page : Pages()) {
    for (std::string target : Matches(Read(page), R"(\]\(([^)\s]+)\))")) {
      if (target.rfind("http", 0) == 0 || target.rfind("#", 0) == 0) continue;
      target = target.substr(0, target.find('#'));
      EXPECT_TRUE(fs::exists(page.parent_path() / target)) << page << ": " << target;
    }
  }
}

TEST(Docs, NameEveryMetricAndNoOther) {
  ::perennial::testing::ManualClock clock;
  ::perennial::testing::FakeApiServer server(::perennial::testing::InProcess());
  ClusterCache cache(server.transport(), clock, "");
  const RunTally runs(cache.retrain_policies.store());
  const KpiTally kpis(cache.model_versions.store(), cache.drift_monitors.store(), clock);
  scrape::SampleStore samples(clock);
  const scrape::ScrapePool pool(samples, clock);
  kube::Client client(server.transport(), clock, "test");
  const kube::EventRecorder events(client, clock, "perennial.dev/controller", "test");
  kube::LeaderElection election(client, clock, {"ns", "name", "me"});
  const ControllerMetrics metrics(
      {cache, runs, samples, pool, events, {}, 2, &election, "x", clock, kpis});
  Names collected;
  for (const auto& family : metrics.Collect()) collected.insert(family.name);
  for (const auto& family : ShardMetrics({events, {}, {true}, 1}).Collect()) {
    collected.insert(family.name);
  }
  const Names documented = Matches(Read(kRoot / "docs/reference/metrics.md"),
                                   R"(\n\| `([a-z_]+)` \| (?:gauge|counter|histogram))");
  EXPECT_EQ(documented, collected);
}

TEST(Docs, NameEveryEventAndNoOther) {
  const std::string page = Read(kRoot / "docs/reference/events-and-conditions.md");
  const Names rows = Matches(page, R"(\n\| `(\w+)` \| \w+ \| (?:Normal|Warning) )");
  ASSERT_GE(rows.size(), 15u);
  const std::string source = Source();
  for (const std::string& reason : rows) {
    EXPECT_NE(source.find("\"" + reason + "\""), std::string::npos)
        << reason << " is documented, and nothing emits it";
  }
  Names emitted = Matches(source, R"(Emit\((?:kube::EmitEvent::)?Type::\w+,\s*"(\w+)\")");
  emitted.merge(Matches(source, R"(Warn\(step, "(\w+)\"\))"));
  emitted.merge(Matches(source, R"(event\.reason = [^;]*\? "(\w+)\")"));
  emitted.merge(Matches(source, R"(event\.reason = [^;]*: "(\w+)\";)"));
  ASSERT_GE(emitted.size(), 10u);
  for (const std::string& reason : emitted) {
    EXPECT_TRUE(rows.contains(reason)) << reason << " is emitted, and not documented";
  }
}

TEST(Docs, TestsThatAreNamedExist) {
  Names tests;
  Names suites;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "tests")) {
    if (entry.path().extension() != ".cc") continue;
    const std::string source = Read(entry.path());
    static const std::regex pattern(R"(\nTEST(?:_F|_P)?\((\w+),\s*(\w+)\))");
    for (std::sregex_iterator it(source.begin(), source.end(), pattern), end; it != end; ++it) {
      tests.insert((*it)[1].str() + "." + (*it)[2].str());
      suites.insert((*it)[1].str());
    }
  }
  const Names named =
      Matches(Read(kRoot / "docs/reference/regression-tests.md"), R"(`(\w+\.[\w*]+)`)");
  ASSERT_GE(named.size(), 20u);
  for (const std::string& name : named) {
    const std::string suite = name.substr(0, name.find('.'));
    const std::string rest = name.substr(suite.size() + 1);
    const bool exists = suite == "e2e" ? fs::exists(kRoot / "tests/e2e" / (rest + "_test.py"))
                        : rest == "*"  ? suites.contains(suite)
                                       : tests.contains(name);
    EXPECT_TRUE(exists) << name;
  }
}

// A test as docs/reliability.md names it, with its folder unless that is tests/faults.
std::optional<std::string> TestFile(const std::string& name) {
  const std::string path =
      (name.find('/') == std::string::npos ? "tests/faults/" : "tests/") + name;
  for (const char* extension : {".cc", ".py", ""}) {
    if (fs::is_regular_file(kRoot / (path + extension))) return Read(kRoot / (path + extension));
  }
  return std::nullopt;
}

// In tables: `folder/file_test` CamelCase, snake_case; and so on.
TEST(Docs, TestsOfFaultsAndPromisesExist) {
  const std::string page = Read(kRoot / "docs/reliability.md");
  static const std::regex row(R"(\n\|[^\n]*)");
  static const std::regex file(R"(`((?:\w+/)?\w+_test)`([^`|]*))");
  static const std::regex word(R"(\b(?:[A-Z]\w*[a-z]\w*[A-Z]\w*|[a-z]+(?:_[a-z0-9]+)+)\b)");
  const std::sregex_iterator end;
  size_t files = 0;
  size_t names = 0;
  for (std::sregex_iterator rows(page.begin(), page.end(), row); rows != end; ++rows) {
    const std::string line = rows->str();
    for (std::sregex_iterator it(line.begin(), line.end(), file); it != end; ++it, ++files) {
      const auto source = TestFile((*it)[1]);
      ASSERT_TRUE(source) << (*it)[1] << " of" << line;
      const std::string rest = (*it)[2];
      for (std::sregex_iterator name(rest.begin(), rest.end(), word); name != end;
           ++name, ++names) {
        EXPECT_TRUE(std::regex_search(*source, std::regex("\\b(?:test_)?" + name->str() + "\\b")))
            << (*it)[1] << " has no " << name->str();
      }
    }
  }
  EXPECT_GE(files, 60u);
  EXPECT_GE(names, 60u);
}

TEST(Docs, ReasonsOfConditionsExist) {
  const std::string page = Read(kRoot / "docs/reference/events-and-conditions.md");
  const std::string source = Source();
  const std::string conditions = page.substr(page.find("## Conditions"));
  const Names words = Matches(conditions, R"(`([A-Z]\w+)`)");
  ASSERT_GE(words.size(), 30u);
  for (const std::string& word : words) {
    EXPECT_NE(source.find("\"" + word + "\""), std::string::npos) << word;
  }
}

TEST(Docs, DescribeEveryMeasure) {
  const std::string page = Read(kRoot / "docs/concepts/drift-monitor.md");
  for (const stats::MeasureInfo& info : stats::Measures()) {
    const std::string kinds = info.numeric && info.categorical ? "histograms, categories"
                              : info.numeric                   ? "histograms"
                                                               : "categories";
    const std::string worse = info.direction == stats::Direction::kGreaterIsWorse
                                  ? "a greater value"
                                  : "a smaller p-value";
    const std::string row =
        "\n| `" + std::string(info.name) + "` | " + kinds + " | " + worse + " |\n";
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
  EXPECT_EQ(Matches(page, R"(\n\| `(\w+)` \| (?:histograms|categories))").size(),
            stats::Measures().size());
}

}  // namespace
}  // namespace perennial::app
