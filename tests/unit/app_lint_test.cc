#include <gtest/gtest.h>

#include <algorithm>

#include "app/lint.h"

namespace perennial::app {
namespace {

constexpr const char* kMonitor = R"(
apiVersion: perennial.dev/v1alpha1
kind: DriftMonitor
metadata: {name: departures}
spec:
  target: {modelDeployment: departures}
  signals:
  - name: eta
    type: PredictionDrift
    metric: predicted_minutes
    tests: [{measure: population_stability_index, threshold: "0.25"}]
)";

std::string Replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

std::string All(const LintReport& report) {
  std::string out;
  for (const std::string& problem : report.problems) out += problem + "\n";
  return out;
}

TEST(Lint, PassesAGoodManifestAndForeignOnes) {
  const LintReport report =
      Lint(std::string("kind: ConfigMap\napiVersion: v1\nwhatever: 1\n---") + kMonitor);
  EXPECT_EQ(report.documents, 2);
  EXPECT_EQ(report.checked, 1);
  EXPECT_EQ(All(report), "");
}

TEST(Lint, NamesAnUnknownFieldWithWhatWasMeant) {
  const std::string found = All(Lint(Replaced(kMonitor, "threshold:", "treshold:")));
  EXPECT_NE(found.find("document 1, DriftMonitor departures: spec.signals[0].tests[0].treshold: "
                       "unknown field; did you mean threshold?"),
            std::string::npos)
      << found;
}

TEST(Lint, NamesAWrongTypeByItsPath) {
  const std::string found = All(Lint(Replaced(kMonitor, "\"0.25\"", "[]")));
  EXPECT_NE(found.find("spec.signals[0].tests[0].threshold"), std::string::npos) << found;
}

TEST(Lint, NamesAMeasureThatDoesNotExist) {
  const std::string found =
      All(Lint(Replaced(kMonitor, "population_stability_index", "stability")));
  EXPECT_NE(found.find("measure"), std::string::npos) << found;
}

TEST(Lint, RefusesAKindThatDoesNotExist) {
  EXPECT_NE(All(Lint(Replaced(kMonitor, "DriftMonitor", "DriftWatcher"))), "");
  EXPECT_NE(All(Lint(Replaced(kMonitor, "v1alpha1", "v1"))), "");
  EXPECT_NE(All(Lint("apiVersion: perennial.dev/v1alpha1\nkind: [1]\n")), "");
}

TEST(Lint, ReadsSchedulesAsTheControllerDoes) {
  const std::string policy = R"(
apiVersion: perennial.dev/v1alpha1
kind: RetrainPolicy
metadata: {name: departures}
spec:
  modelDeployment: departures
  triggers: [{schedule: {cron: "0 3 * * 1", timeZone: Europe/Berlin}}]
  job: {template: {spec: {template: {spec: {containers: [{name: train, image: t}]}}}}}
)";
  EXPECT_EQ(All(Lint(policy)), "");
  EXPECT_NE(All(Lint(Replaced(policy, "0 3 * * 1", "0 25 * * 1"))).find("triggers[0]"),
            std::string::npos);
  EXPECT_NE(All(Lint(Replaced(policy, "Europe/Berlin", "Europe/Nowhere"))).find("timeZone"),
            std::string::npos);
}

TEST(Lint, ReadsExpressionsAsTheControllerDoes) {
  const std::string head = R"(
apiVersion: perennial.dev/v1alpha1
kind: DriftMonitor
metadata: {name: a}
spec:
  target: {modelDeployment: d}
  signals:
  - {name: e, type: Custom, max: "1", expression: ")";
  EXPECT_TRUE(Lint(head + "rate(a[1h]) / rate(b[1h])\"}\n").problems.empty());
  const LintReport wrong = Lint(head + "rate(a[1h]) / \"}\n");
  ASSERT_EQ(wrong.problems.size(), 1u);
  EXPECT_NE(wrong.problems[0].find("spec.signals[0].expression: column 15: ends too early"),
            std::string::npos)
      << wrong.problems[0];
}

TEST(Lint, LooksIntoLists) {
  std::string item = kMonitor;
  std::string list = "apiVersion: v1\nkind: List\nitems:\n-";
  for (size_t at = 0; (at = item.find('\n', at)) != std::string::npos; at += 3) {
    item.replace(at, 1, "\n  ");
  }
  EXPECT_EQ(Lint(list + item.substr(2)).checked, 1);
}

}  // namespace
}  // namespace perennial::app
