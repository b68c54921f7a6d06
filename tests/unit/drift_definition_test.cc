#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <vector>

#include "drift/definition.h"

namespace perennial::drift {
namespace {

class Definition : public ::testing::Test {
 protected:
  Definition() {
    spec_.target.model_deployment = "d";
    api::Signal signal;
    signal.name = "s";
    signal.metric = "x";
    signal.tests = {{"population_stability_index", {}, {0.25, "0.25"}}};
    spec_.signals = {signal};
  }

  using Spec = api::DriftMonitorSpec;
  using Signal = api::Signal;
  using Edit = std::function<void(Spec&, Signal&)>;
  std::string After(const Edit& edit, const std::string& version = "v1",
                    const std::string& champion = "v1") const {
    api::DriftMonitorSpec spec = spec_;
    edit(spec, spec.signals[0]);
    return DefinitionOf(spec, spec.signals[0], version, champion);
  }
  std::string Now() const { return DefinitionOf(spec_, spec_.signals[0], "v1", "v1"); }

  api::DriftMonitorSpec spec_;
};

TEST_F(Definition, StaysHoweverItIsJudged) {
  const std::vector<Edit> judged{
      [](Spec& spec, Signal&) { spec.interval.value = Seconds{30}; },
      [](Spec& spec, Signal&) { spec.window.value = Seconds{600}; },
      [](Spec& spec, Signal&) { spec.min_samples = 7; },
      [](Spec& spec, Signal&) { spec.for_evaluations = spec.of_evaluations = 9; },
      [](Spec& spec, Signal&) { spec.preset = api::Preset::kAzure; },
      [](Spec& spec, Signal& signal) { spec.signals.push_back(signal); },
      [](Spec& spec, Signal&) {
        spec.source = api::Source{api::ScrapeSource{}, std::nullopt};
      },
      [](Spec&, Signal& signal) { signal.name = "t"; },
      [](Spec&, Signal& signal) {
        signal.tests[0].threshold = {0.3, "0.3"};
      },
      [](Spec&, Signal& signal) { signal.window = api::Duration{Seconds{60}}; },
      [](Spec&, Signal& signal) { signal.offset = api::Duration{Seconds{60}}; },
      [](Spec&, Signal& signal) {
        signal.max = {1, "1"};
      },
      [](Spec&, Signal& signal) { signal.severity = api::Severity::kMinor; },
      [](Spec&, Signal& signal) {
        signal.weight = api::Decimal{2, "2"};
      },
  };
  for (std::size_t i = 0; i < judged.size(); ++i) EXPECT_EQ(After(judged[i]), Now()) << i;
}

TEST_F(Definition, IsAnotherForAnythingElseThatIsMeasured) {
  const std::vector<Edit> measured{
      [](Spec& spec, Signal&) { spec.target.model_deployment = "e"; },
      [](Spec& spec, Signal&) {
        spec.target = {"", api::MonitoredService{"d", {}}};
      },
      [](Spec& spec, Signal&) {
        spec.source.emplace().prometheus.emplace().server.url = "http://p";
      },
      [](Spec& spec, Signal&) { spec.baseline.from = api::BaselineFrom::kInline; },
      [](Spec& spec, Signal&) {
        spec.baseline.from = api::BaselineFrom::kConfigMap;
        spec.baseline.config_map = api::BaselineConfigMap{"p"};
      },
      [](Spec& spec, Signal&) {
        spec.baseline.from = api::BaselineFrom::kConfigMap;
        spec.baseline.config_map = api::BaselineConfigMap{"q"};
      },
      [](Spec&, Signal& signal) { signal.type = api::SignalType::kPredictionDrift; },
      [](Spec&, Signal& signal) { signal.metric = "y"; },
      [](Spec&, Signal& signal) { signal.label = "y"; },
      [](Spec&, Signal& signal) { signal.numerator = "y"; },
      [](Spec&, Signal& signal) { signal.denominator = "y"; },
      [](Spec&, Signal& signal) { signal.expression = "y"; },
      [](Spec&, Signal& signal) {
        signal.fairness = api::Fairness{"y", "error_rate_ratio"};
      },
      [](Spec&, Signal& signal) {
        signal.quality = api::Quality{"null_value_rate", "y", {}, {}};
      },
      [](Spec&, Signal& signal) { signal.performance.emplace().metric = "y"; },
  };
  std::set<std::string> seen{Now()};
  for (std::size_t i = 0; i < measured.size(); ++i) {
    EXPECT_TRUE(seen.insert(After(measured[i])).second) << i;
  }
}

TEST_F(Definition, OfAVersionThatIsComparedWithTheChampionNamesIt) {
  const Edit champion = [](auto& spec, auto&) {
    spec.baseline.from = api::BaselineFrom::kChampion;
  };
  EXPECT_EQ(After(champion, "v1", "v1"), Now()) << "its own profile";
  EXPECT_NE(After(champion, "v2", "v1"), Now());
  EXPECT_NE(After(champion, "v2", "v1"), After(champion, "v2", "v3"));
  const Edit range = [&](auto& spec, auto& signal) {
    champion(spec, signal);
    signal.type = api::SignalType::kDataQuality;
    signal.quality = api::Quality{"out_of_bounds_rate", "x", {}, {}};
  };
  EXPECT_NE(After(range, "v2", "v1"), After(range, "v2", "v3"));
  const Edit bound = [&](auto& spec, auto& signal) {
    champion(spec, signal);
    signal.type = api::SignalType::kCustom;
  };
  EXPECT_EQ(After(bound, "v2", "v1"), After(bound, "v2", "v3")) << "it is compared with nothing";
}

}  // namespace
}  // namespace perennial::drift
