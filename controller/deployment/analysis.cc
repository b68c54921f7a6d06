#include "deployment/analysis.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "deployment/probes.h"
#include "deployment/quantity.h"

namespace perennial::deployment {
namespace {

using api::CheckStatus;
using api::Verdict;

bool Stale(const api::Analysis& analysis, const scrape::WindowView& view) {
  return !view.newest_age || *view.newest_age > analysis.interval.value * kStaleIntervals;
}

// A gauge is a state, not a sum of observations: one value is enough.
bool Enough(const api::Analysis& analysis, const api::Quantity& quantity,
            const Measured& measured) {
  const double least =
      quantity.kind == api::QuantityKind::kValue ? 1 : static_cast<double>(analysis.min_samples);
  return measured.value && measured.samples >= least;
}

std::string TooFew(const char* who, const api::Analysis& analysis, const Measured& measured) {
  if (!measured.note.empty()) return std::string(who) + ": " + measured.note;
  return std::string(who) + ": " + NumberText(measured.samples) + " samples, minSamples is " +
         std::to_string(analysis.min_samples);
}

CheckStatus Compare(const api::AnalysisCheck& check, double challenger, double champion,
                    CheckStatus status) {
  const double rise = challenger - champion;
  std::string broken;
  std::string thresholds;
  const auto limit = [&](const std::optional<api::Decimal>& bound, const char* name, double value,
                         bool upper) {
    if (!bound) return;
    thresholds += (thresholds.empty() ? "" : ", ") + std::string(name) + " " + bound->text;
    const bool good = upper ? value <= bound->value : value >= bound->value;
    if (good) return;
    broken += (broken.empty() ? "" : "; ") + NumberText(value) +
              (upper ? " is above " : " is below ") + name + " " + bound->text;
  };
  limit(check.max, "max", challenger, true);
  limit(check.min, "min", challenger, false);
  limit(check.max_increase, "maxIncrease", rise, true);
  limit(check.max_decrease, "maxDecrease", -rise, true);
  status.threshold = thresholds;
  status.verdict = broken.empty() ? Verdict::kPass : Verdict::kFail;
  status.message = broken;
  return status;
}

bool ReadsChampion(const api::AnalysisCheck& check) {
  const auto speaks = [](const std::string& text) {
    return text.find("champion") != std::string::npos;
  };
  return check.max_increase || check.max_decrease || speaks(check.rules.success) ||
         speaks(check.rules.failure);
}

// By expressions instead of a bound.
CheckStatus Ask(const api::LookRules& rules, double challenger, double champion,
                CheckStatus status) {
  const nlohmann::json object = {
      {"challenger", challenger}, {"champion", champion}, {"samples", status.samples}};
  JudgeLook(rules, object.dump(),
            "challenger " + NumberText(challenger) +
                (status.champion.empty() ? "" : ", champion " + NumberText(champion)),
            status);
  return status;
}

bool Moved(const std::string& before, const std::string& after) {
  if (before.empty() != after.empty()) return true;
  const double a = std::strtod(before.c_str(), nullptr);
  const double b = std::strtod(after.c_str(), nullptr);
  return std::abs(a - b) > 0.1 * std::max(std::abs(a), std::abs(b));
}

// With the same numbers: a message that only has other numbers in it is no news.
bool SaysOtherwise(const CheckStatus& before, const CheckStatus& after) {
  return before.challenger == after.challenger && before.samples == after.samples &&
         before.message != after.message;
}

}  // namespace

CheckStatus LookAtCheck(const api::Analysis& analysis, const api::AnalysisCheck& check,
                        const scrape::WindowView& champion_view,
                        const scrape::WindowView& challenger_view) {
  CheckStatus status;
  status.name = check.quantity.name;
  const Measured challenger = Measure(check.quantity, challenger_view);
  status.samples = static_cast<std::int64_t>(challenger.samples);
  if (challenger.value) status.challenger = NumberText(*challenger.value);
  if (Stale(analysis, challenger_view)) {
    status.message = "challenger: no pod's metrics could be read lately";
    return status;
  }
  if (!Enough(analysis, check.quantity, challenger)) {
    status.message = TooFew("challenger", analysis, challenger);
    return status;
  }
  double reference = *challenger.value;
  if (ReadsChampion(check)) {
    const Measured champion = Measure(check.quantity, champion_view);
    if (champion.value) status.champion = NumberText(*champion.value);
    if (Stale(analysis, champion_view) || !Enough(analysis, check.quantity, champion)) {
      status.message = TooFew("champion", analysis, champion);
      return status;
    }
    reference = *champion.value;
  }
  if (check.rules.success.empty() && check.rules.failure.empty()) {
    return Compare(check, *challenger.value, reference, std::move(status));
  }
  return Ask(check.rules, *challenger.value, reference, std::move(status));
}

bool TellsMore(const std::vector<CheckStatus>& before, const std::vector<CheckStatus>& after) {
  if (before.size() != after.size()) return true;
  for (size_t i = 0; i < after.size(); ++i) {
    const CheckStatus& a = before[i];
    const CheckStatus& b = after[i];
    if (a.name != b.name || a.verdict != b.verdict || a.threshold != b.threshold ||
        a.looks != b.looks || a.failures != b.failures || a.inconclusive != b.inconclusive ||
        a.job != b.job || a.job_uid != b.job_uid || SaysOtherwise(a, b) ||
        Moved(a.challenger, b.challenger) || Moved(a.champion, b.champion)) {
      return true;
    }
  }
  return false;
}

}  // namespace perennial::deployment
