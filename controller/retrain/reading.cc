#include "retrain/reading.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "stats/confusion_matrix.h"
#include "stats/fairness.h"

namespace perennial::retrain {
namespace {

using api::GateAcross;

std::string Subject(const api::Gate& gate, const std::string& group) {
  return group.empty() ? gate.metric : gate.metric + "{" + group + "}";
}

Reading Missing(const std::string& group, const std::string& why) {
  return {group, std::nullopt, why};
}

bool Counts(const api::Gate& gate, const std::string& group) {
  return !group.empty() && (gate.groups.empty() || std::find(gate.groups.begin(), gate.groups.end(),
                                                             group) != gate.groups.end());
}

// The confusion matrix of one group; of all rows: "".
std::vector<stats::ConfusionCount> MatrixOf(const api::ModelVersionSpec& version,
                                            const std::string& group) {
  std::vector<stats::ConfusionCount> out;
  for (const api::ConfusionCell& cell : version.confusion_matrix) {
    if (cell.group != group) continue;
    out.push_back({cell.actual, cell.predicted, static_cast<double>(cell.count)});
  }
  return out;
}

struct Sampled {
  Reading reading;
  double samples = 0;  // 0: not known
};

// Reported, or computed from the confusion matrix.
Sampled ReadOne(const api::ModelVersionSpec& version, const api::Gate& gate,
                const std::string& group) {
  for (const api::EvaluationMetric& metric : version.metrics) {
    if (metric.name != gate.metric || metric.group != group) continue;
    return {{group, metric.value, ""}, static_cast<double>(metric.samples)};
  }
  const std::string missing = "the training result has no metric " + Subject(gate, group);
  const auto measure = stats::ParseClassificationMeasure(gate.metric);
  if (!measure) return {Missing(group, missing + ": have the training write it to metrics"), 0};
  const auto matrix = MatrixOf(version, group);
  if (matrix.empty()) {
    return {Missing(group, missing + ", nor a confusionMatrix of " +
                               (group.empty() ? "all rows" : "group " + group) +
                               " to compute it from: have the training write one of them"),
            0};
  }
  const stats::ClassificationResult result =
      stats::MeasureClassification(*measure, matrix, gate.positive);
  if (!result.value) {
    return {Missing(group, Subject(gate, group) +
                               " can't be computed from the confusion matrix: " + result.note),
            result.rows};
  }
  return {{group, result.value, ""}, result.rows};
}

std::vector<std::string> GroupsOf(const api::ModelVersionSpec& version, const api::Gate& gate) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& group) {
    if (Counts(gate, group) && std::find(out.begin(), out.end(), group) == out.end()) {
      out.push_back(group);
    }
  };
  for (const api::EvaluationMetric& metric : version.metrics) {
    if (metric.name == gate.metric) add(metric.group);
  }
  if (stats::ParseClassificationMeasure(gate.metric)) {
    for (const api::ConfusionCell& cell : version.confusion_matrix) add(cell.group);
  }
  // A group that the gate names and the result doesn't know is a missing metric, not nothing.
  for (const std::string& group : gate.groups) add(group);
  return out;
}

std::string LeftOut(const std::string& names, const api::Gate& gate) {
  return names.empty() ? ""
                       : "left out: " + names +
                             ", evaluated on fewer rows than "
                             "minGroupSamples " +
                             std::to_string(gate.min_group_samples);
}

// Readings of all groups that have rows enough; what was left out is named.
std::vector<Reading> ReadGroups(const api::ModelVersionSpec& version, const api::Gate& gate,
                                std::string& left_out) {
  std::vector<Reading> out;
  std::string names;
  for (const std::string& group : GroupsOf(version, gate)) {
    Sampled one = ReadOne(version, gate, group);
    if (one.samples > 0 && one.samples < static_cast<double>(gate.min_group_samples)) {
      names += (names.empty() ? "" : ", ") + group;
    } else {
      out.push_back(std::move(one.reading));
    }
  }
  left_out = LeftOut(names, gate);
  return out;
}

Reading NoGroups(const api::Gate& gate, const std::string& left_out) {
  return Missing("", "the training result has " + gate.metric + " of no group" +
                         (left_out.empty() ? "" : " (" + left_out + ")") +
                         ": have the training write metrics or a confusionMatrix with group");
}

std::vector<Reading> ReadWorstGroup(const api::ModelVersionSpec& version, const api::Gate& gate) {
  std::string left_out;
  std::vector<Reading> readings = ReadGroups(version, gate, left_out);
  if (readings.empty()) return {NoGroups(gate, left_out)};
  for (Reading& reading : readings) {
    if (reading.value) reading.note = left_out;
  }
  return readings;
}

Reading ReadSpread(const api::ModelVersionSpec& version, const api::Gate& gate) {
  std::string left_out;
  const std::vector<Reading> readings = ReadGroups(version, gate, left_out);
  if (readings.empty()) return NoGroups(gate, left_out);
  for (const Reading& reading : readings) {
    if (!reading.value) return Missing("", reading.note);
  }
  if (readings.size() < 2) {
    return Missing("", gate.metric + " is there of one group only, " + readings[0].group +
                           (left_out.empty() ? "" : " (" + left_out + ")") +
                           ": a difference between groups needs two");
  }
  const auto [low, high] =
      std::minmax_element(readings.begin(), readings.end(),
                          [](const Reading& a, const Reading& b) { return *a.value < *b.value; });
  Reading out;
  out.note = "lowest: " + low->group + " (" + NumberText(*low->value) +
             "), greatest: " + high->group + " (" + NumberText(*high->value) + ")";
  if (!left_out.empty()) out.note += "; " + left_out;
  if (gate.across == GateAcross::kGroupDifference) {
    out.value = *high->value - *low->value;
  } else if (*high->value > 0 && *low->value >= 0) {
    out.value = *low->value / *high->value;
  } else {
    out.note += ": a ratio needs values above 0; use across: GroupDifference";
  }
  return out;
}

// Rows of each group by their outcome, from the confusion matrix.
std::vector<stats::GroupOutcomes> OutcomesOf(const api::ModelVersionSpec& version,
                                             const api::Gate& gate, std::string& left_out) {
  struct Table {
    double tp = 0, fp = 0, fn = 0, tn = 0;
  };
  std::map<std::string, Table> tables;
  for (const api::ConfusionCell& cell : version.confusion_matrix) {
    if (!Counts(gate, cell.group)) continue;
    const bool actual = cell.actual == gate.positive;
    const bool predicted = cell.predicted == gate.positive;
    Table& table = tables[cell.group];
    (actual ? (predicted ? table.tp : table.fn) : (predicted ? table.fp : table.tn)) +=
        static_cast<double>(cell.count);
  }
  std::vector<stats::GroupOutcomes> out;
  std::string names;
  for (const auto& [group, table] : tables) {
    auto outcomes = stats::FromConfusion(group, table.tp, table.fp, table.fn, table.tn);
    if (outcomes.total < static_cast<double>(gate.min_group_samples)) {
      names += (names.empty() ? "" : ", ") + group;
    } else {
      out.push_back(std::move(outcomes));
    }
  }
  left_out = LeftOut(names, gate);
  return out;
}

// Groups that the gate names and no cell of the confusion matrix has.
std::string UnknownGroups(const api::ModelVersionSpec& version, const api::Gate& gate) {
  std::string out;
  for (const std::string& group : gate.groups) {
    if (MatrixOf(version, group).empty()) out += (out.empty() ? "" : ", ") + group;
  }
  return out;
}

// A difference between groups that has a name of its own, such as demographic_parity_difference.
Reading ReadFairness(const api::ModelVersionSpec& version, const api::Gate& gate,
                     stats::FairnessMeasure measure) {
  const std::string missing = "the training result has no metric " + gate.metric;
  // Without its rows nobody knows how far it is from the others.
  if (const std::string unknown = UnknownGroups(version, gate); !unknown.empty()) {
    return Missing("", missing + ", and its confusionMatrix has no rows of " + unknown +
                           ", which the gate's groups name: have the training write the metric, or "
                           "the matrix of each of them");
  }
  std::string left_out;
  const auto groups = OutcomesOf(version, gate, left_out);
  if (groups.size() < 2) {
    return Missing("", missing +
                           ", and its confusionMatrix has fewer than two groups to compute it "
                           "from" +
                           (left_out.empty() ? "" : " (" + left_out + ")") +
                           ": have the training write the metric, or the matrix with group");
  }
  const auto& cells = version.confusion_matrix;
  const bool known = std::any_of(cells.begin(), cells.end(), [&](const api::ConfusionCell& cell) {
    return cell.actual == gate.positive || cell.predicted == gate.positive;
  });
  if (gate.positive.empty() || !known) {
    return Missing("", missing +
                           "; to compute it from the confusion matrix, set positive to the "
                           "class that counts as positive, such as \"" +
                           cells.front().actual + "\"");
  }
  const auto least = static_cast<double>(gate.min_group_samples);
  const stats::FairnessResult result = stats::MeasureFairness(measure, groups, least);
  // A group that can't be judged must not pass unseen.
  if (!result.value || !result.left_out.empty()) {
    return Missing("", gate.metric + " can't be computed: " +
                           (result.left_out.empty() ? result.note : result.left_out) +
                           "; evaluate more rows, or lower minGroupSamples");
  }
  Reading out;
  out.value = result.value;
  out.note = "lowest: " + result.lowest + ", greatest: " + result.greatest + "; at " +
             (stats::IsRatio(measure) ? "most " : "least ") + NumberText(result.certain) +
             " with 95 % confidence";
  if (!left_out.empty()) out.note += "; " + left_out;
  return out;
}

bool Reported(const api::ModelVersionSpec& version, const api::Gate& gate) {
  return std::any_of(version.metrics.begin(), version.metrics.end(),
                     [&](const api::EvaluationMetric& metric) {
                       return metric.name == gate.metric && metric.group == gate.group;
                     });
}

}  // namespace

std::vector<Reading> ReadMetric(const api::ModelVersionSpec& version, const api::Gate& gate) {
  switch (gate.across) {
    case GateAcross::kWorstGroup:
      return ReadWorstGroup(version, gate);
    case GateAcross::kGroupDifference:
    case GateAcross::kGroupRatio:
      return {ReadSpread(version, gate)};
    case GateAcross::kSingle:
      break;
  }
  const auto fairness = stats::ParseFairnessMeasure(gate.metric);
  if (fairness && gate.group.empty() && !Reported(version, gate)) {
    return {ReadFairness(version, gate, *fairness)};
  }
  Reading reading = ReadOne(version, gate, gate.group).reading;
  reading.group.clear();  // the gate itself names it
  return {std::move(reading)};
}

}  // namespace perennial::retrain
