#include "retrain/gates.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace perennial::retrain {
namespace {

using api::GateAcross;
using api::GateComparison;
using api::GateStatus;
using api::Verdict;

// The bound, its name and on which side of it the value must lie.
struct Bound {
  const char* name;
  const api::Decimal* limit;
  bool upper;
};

Bound BoundOf(const api::Gate& gate) {
  if (gate.max) return {"max", &*gate.max, true};
  if (gate.min) return {"min", &*gate.min, false};
  if (gate.max_increase) return {"maxIncrease", &*gate.max_increase, true};
  return {"maxDecrease", gate.max_decrease ? &*gate.max_decrease : nullptr, true};
}

const char* NameOf(GateComparison versus) {
  return versus == GateComparison::kParent ? "parent" : "champion";
}

// "recall{south} min", "mae of the worst group versus Champion maxIncrease".
std::string TitleOf(const api::Gate& gate, const Bound& bound) {
  std::string out = gate.group.empty() ? gate.metric : gate.metric + "{" + gate.group + "}";
  if (gate.across == GateAcross::kWorstGroup) out += " of the worst group";
  if (gate.across == GateAcross::kGroupDifference) out += " difference of groups";
  if (gate.across == GateAcross::kGroupRatio) out += " ratio of groups";
  if (gate.versus == GateComparison::kChampion) out += " versus Champion";
  if (gate.versus == GateComparison::kParent) out += " versus Parent";
  return out + " " + bound.name;
}

void Append(std::string& text, const std::string& more) {
  if (more.empty()) return;
  if (!text.empty()) text += "; ";
  text += more;
}

// How far the value is beyond the bound: what makes one group worse than another.
constexpr double kNothingToCompare = -std::numeric_limits<double>::infinity();
constexpr double kCannotBeJudged = std::numeric_limits<double>::infinity();

struct Judged {
  GateStatus status;
  double excess = kCannotBeJudged;
};

Judged Fail(GateStatus status, const std::string& why) {
  status.verdict = Verdict::kFail;
  Append(status.message, why);
  return {std::move(status), kCannotBeJudged};
}

Judged NothingToCompare(GateStatus status, const std::string& why) {
  status.verdict = Verdict::kPass;
  Append(status.message, why);
  return {std::move(status), kNothingToCompare};
}

Judged JudgeValue(GateStatus status, const Bound& bound, const Reading& reading) {
  const double value = *reading.value;
  const double limit = bound.limit->value;
  const bool pass = bound.upper ? value <= limit : value >= limit;
  status.verdict = pass ? Verdict::kPass : Verdict::kFail;
  if (!pass) {
    Append(status.message,
           NumberText(value) + (bound.upper ? " is above " : " is below ") + bound.limit->text);
  }
  Append(status.message, reading.note);
  return {std::move(status), bound.upper ? value - limit : limit - value};
}

// Sets compared_on; true if the comparison may stand.
bool SameData(const api::Gate& gate, const api::ModelVersionSpec& version,
              const api::ModelVersion& other, GateStatus& status) {
  const std::string here = version.evaluation_data ? version.evaluation_data->digest : "";
  const std::string there = other.spec.evaluation_data ? other.spec.evaluation_data->digest : "";
  const std::string& name = other.meta.key.name;
  if (here.empty() || there.empty()) {
    status.compared_on = api::ComparedOn::kUnknown;
    if (gate.on_other_data == api::OtherData::kFlag) return true;
    Append(status.message, std::string(here.empty() ? "the training result" : name) +
                               " records no evaluationData.digest, so whether both were evaluated "
                               "on the same data is not known: have the training write it, or set "
                               "onOtherData: Flag");
    return false;
  }
  if (here == there) {
    status.compared_on = api::ComparedOn::kSameData;
    return true;
  }
  status.compared_on = api::ComparedOn::kOtherData;
  std::string why = std::string(NameOf(gate.versus)) + " " + name +
                    " was evaluated on other data (" + there.substr(0, 19) + ", not " +
                    here.substr(0, 19) + ")";
  if (gate.on_other_data == api::OtherData::kFail) {
    why += ": evaluate both on the same data, or set onOtherData: Flag";
  }
  Append(status.message, why);
  return gate.on_other_data == api::OtherData::kFlag;
}

Judged JudgeChange(GateStatus status, const api::Gate& gate, const Bound& bound,
                   const api::ModelVersionSpec& version, const Reading& reading,
                   const api::ModelVersion* other) {
  const std::string name = NameOf(gate.versus);
  const std::string& with = ComparedWith(version, gate);
  if (with.empty()) {
    return NothingToCompare(std::move(status),
                            "no champion served when this version was made: nothing to compare "
                            "with");
  }
  if (other == nullptr) {
    return Fail(std::move(status), "ModelVersion " + with + " to compare with does not exist");
  }
  const std::vector<Reading> references = ReadMetric(other->spec, gate);
  const auto found =
      std::find_if(references.begin(), references.end(), [&](const Reading& reference) {
        return reference.group == reading.group && reference.value;
      });
  if (found == references.end()) {
    // A first version written by hand has no evaluation: with nothing to compare, the absolute
    // gates and the A/B test on live traffic still stand between this version and all traffic.
    const std::string group = gate.group.empty() ? reading.group : gate.group;
    return NothingToCompare(std::move(status), name + " " + with + " records no " + gate.metric +
                                                   (group.empty() ? "" : "{" + group + "}") +
                                                   ": nothing to compare with");
  }
  status.reference = NumberText(*found->value);
  if (!SameData(gate, version, *other, status)) return {std::move(status), kCannotBeJudged};
  const double change =
      gate.max_increase ? *reading.value - *found->value : *found->value - *reading.value;
  const bool pass = change <= bound.limit->value;
  status.verdict = pass ? Verdict::kPass : Verdict::kFail;
  if (!pass) {
    Append(status.message, status.value + " is " + NumberText(change) +
                               (gate.max_increase ? " above " : " below ") + name + " " + with +
                               "'s " + status.reference + ", more than " + bound.limit->text);
  }
  Append(status.message, reading.note);
  return {std::move(status), change - bound.limit->value};
}

Judged JudgeReading(const api::Gate& gate, const Bound& bound, const api::ModelVersionSpec& version,
                    const Reading& reading, const api::ModelVersion* other) {
  GateStatus status;
  status.gate = TitleOf(gate, bound);
  status.group = reading.group;
  status.threshold = bound.limit->text;
  status.verdict = Verdict::kFail;
  if (!reading.value) return Fail(std::move(status), reading.note);
  status.value = NumberText(*reading.value);
  if (gate.versus == GateComparison::kAbsolute) {
    return JudgeValue(std::move(status), bound, reading);
  }
  return JudgeChange(std::move(status), gate, bound, version, reading, other);
}

GateStatus EvaluateGate(const api::Gate& gate, const api::ModelVersionSpec& version,
                        const api::ModelVersion* other) {
  const Bound bound = BoundOf(gate);
  if (bound.limit == nullptr) {
    GateStatus status;
    status.gate = TitleOf(gate, bound);
    return Fail(std::move(status), "gate has no bound: set max, min, maxIncrease or maxDecrease")
        .status;
  }
  Judged worst;
  bool first = true;
  for (const Reading& reading : ReadMetric(version, gate)) {
    Judged judged = JudgeReading(gate, bound, version, reading, other);
    if (first || judged.excess > worst.excess) worst = std::move(judged);
    first = false;
  }
  return std::move(worst.status);
}

}  // namespace

const std::string& ComparedWith(const api::ModelVersionSpec& version, const api::Gate& gate) {
  const bool parent = gate.versus == GateComparison::kParent && !version.trained_from.empty();
  return parent ? version.trained_from : version.parent;
}

const api::ModelVersion* VersionOf(const Compared& compared, const api::ModelVersionSpec& version,
                                   const api::Gate& gate) {
  const bool parent = gate.versus == GateComparison::kParent && !version.trained_from.empty();
  return parent ? compared.parent : compared.champion;
}

std::vector<api::GateStatus> EvaluateGates(const api::ModelVersion& version,
                                           const Compared& compared) {
  std::vector<api::GateStatus> out;
  for (const api::Gate& gate : version.spec.requirements.gates) {
    out.push_back(EvaluateGate(gate, version.spec, VersionOf(compared, version.spec, gate)));
  }
  return out;
}

bool GatesPass(const std::vector<api::GateStatus>& gates, api::GateMode mode) {
  if (mode == api::GateMode::kDryRun) return true;
  return std::all_of(gates.begin(), gates.end(), [](const api::GateStatus& gate) {
    return gate.verdict == api::Verdict::kPass;
  });
}

}  // namespace perennial::retrain
