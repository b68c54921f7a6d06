#include <gtest/gtest.h>

#include <vector>

#include "app/options.h"

namespace perennial::app {
namespace {

ParsedOptions Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "perennial-controller");
  return ParseRunOptions(static_cast<int>(arguments.size()), arguments.data());
}

// The arguments of charts/perennial/templates/deployment.yaml.
TEST(Options, TakesWhatTheChartPasses) {
  const auto parsed =
      Parse({"run", "--workers=3", "--log-level=debug", "--log-format=text", "--metrics-port=9090",
             "--health-port=8081", "--leader-elect", "--lease-namespace=perennial-system",
             "--lease-name=perennial-controller", "--max-runs=50", "--max-runs-per-namespace=5"});
  ASSERT_TRUE(parsed.run.has_value());
  EXPECT_EQ(parsed.run->workers, 3);
  EXPECT_EQ(parsed.run->log_level, "debug");
  EXPECT_EQ(parsed.run->log_format, LogFormat::kText);
  EXPECT_EQ(parsed.run->metrics_port, 9090);
  EXPECT_EQ(parsed.run->health_port, 8081);
  EXPECT_TRUE(parsed.run->leader_elect);
  EXPECT_EQ(parsed.run->lease_namespace, "perennial-system");
  EXPECT_EQ(parsed.run->lease_name, "perennial-controller");
  EXPECT_EQ(parsed.run->runs.cluster, 50);
  EXPECT_EQ(parsed.run->runs.per_namespace, 5);
}

TEST(Options, HaveDefaults) {
  const auto parsed = Parse({"run"});
  ASSERT_TRUE(parsed.run.has_value());
  EXPECT_EQ(parsed.run->log_format, LogFormat::kJson);
  EXPECT_FALSE(parsed.run->leader_elect);
  EXPECT_TRUE(parsed.run->ns.empty());
  EXPECT_EQ(parsed.run->runs.cluster, 100);
  EXPECT_EQ(parsed.run->runs.per_namespace, 0);
}

TEST(Options, RefuseWhatIsWrong) {
  for (const char* wrong : {"--workers=0", "--log-level=loud", "--log-format=xml",
                            "--metrics-port=70000", "--max-runs=-1", "--no-such-flag"}) {
    const auto parsed = Parse({"run", wrong});
    EXPECT_FALSE(parsed.run.has_value()) << wrong;
    EXPECT_NE(parsed.exit_code, 0) << wrong;
  }
  EXPECT_NE(Parse({}).exit_code, 0);
}

TEST(Options, DivideWhatCanBeDivided) {
  EXPECT_EQ(Parse({"run"}).run->shards, 1);
  EXPECT_EQ(Parse({"run", "--leader-elect", "--shards=4"}).run->shards, 4);
  EXPECT_TRUE(Parse({"run", "--leader-elect", "--shards=4", "--max-runs=4"}).run);
  EXPECT_TRUE(Parse({"run", "--leader-elect", "--shards=4", "--max-runs=0"}).run);
  for (const std::vector<const char*>& wrong :
       {std::vector<const char*>{"run", "--shards=4"},
        {"run", "--leader-elect", "--shards=4", "--max-runs=3"},
        {"run", "--leader-elect", "--shards=4", "--namespace=transit"},
        {"run", "--leader-elect", "--shards=0"},
        {"run", "--leader-elect", "--shards=65"}}) {
    const auto parsed = Parse(wrong);
    EXPECT_FALSE(parsed.run) << wrong.back();
    EXPECT_NE(parsed.exit_code, 0) << wrong.back();
  }
}

TEST(Options, OfDriftEval) {
  const auto parsed = Parse({"drift", "eval", "--baseline", "a", "--current", "b", "--threshold",
                             "0.25", "--metric", "x", "--metric", "y", "-o", "json"});
  EXPECT_FALSE(parsed.run.has_value());
  ASSERT_TRUE(parsed.eval.has_value());
  EXPECT_EQ(parsed.eval->baseline, "a");
  EXPECT_EQ(parsed.eval->current, "b");
  EXPECT_EQ(parsed.eval->threshold, "0.25");
  EXPECT_EQ(parsed.eval->metrics, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(parsed.eval->measure, "population_stability_index");
  EXPECT_TRUE(parsed.eval->json);
  EXPECT_FALSE(Parse({"drift", "eval", "--baseline", "a"}).eval.has_value());
  EXPECT_FALSE(Parse({"drift", "eval", "--baseline", "a", "--current", "b", "--monitor", "m",
                      "--threshold", "1"})
                   .eval.has_value())
      << "the monitor has thresholds";
}

TEST(Options, PrintTheVersion) {
  testing::internal::CaptureStdout();
  const auto parsed = Parse({"--version"});
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            std::string("perennial-controller ") + Version() + "\n");
  EXPECT_FALSE(parsed.run.has_value());
  EXPECT_EQ(parsed.exit_code, 0);
}

}  // namespace
}  // namespace perennial::app
