#include "deployment/tally.h"

#include <algorithm>

namespace perennial::deployment {

using api::CheckStatus;
using api::Verdict;

Limits LimitsOf(const api::Analysis& analysis, const api::LookRules& rules) {
  Limits limits;
  limits.interval = rules.interval ? rules.interval->value : analysis.interval.value;
  limits.count = rules.count;
  limits.failure = std::max(1, rules.failure_limit.value_or(analysis.failure_limit));
  limits.inconclusive = rules.inconclusive_limit.value_or(analysis.inconclusive_limit);
  limits.dry_run = rules.dry_run;
  return limits;
}

Limits LimitsOf(const api::Analysis& analysis, const api::AnalysisProbe& probe) {
  Limits limits = LimitsOf(analysis, probe.rules);
  if (probe.job) limits.count = limits.failure = 1;
  return limits;
}

CheckStatus Tally(const Limits& limits, const CheckStatus* before, CheckStatus look, WallTime now) {
  if (before != nullptr) {
    look.looks = before->looks;
    look.failures = before->failures;
    look.inconclusive = before->inconclusive;
    look.looked_at = before->looked_at;
  }
  // A look without data says nothing about the row of looks before it, but ends it.
  if (look.verdict == Verdict::kNoData || look.verdict == Verdict::kPass) look.failures = 0;
  if (look.verdict != Verdict::kInconclusive) look.inconclusive = 0;
  const bool counts = look.verdict == Verdict::kFail || look.verdict == Verdict::kInconclusive ||
                      (limits.count > 0 && look.verdict == Verdict::kPass);
  if (!counts) return look;
  if (look.looked_at && now < look.looked_at->value + limits.interval) return look;
  look.looked_at = api::Time{now};
  if (limits.count > 0) ++look.looks;
  if (look.verdict == Verdict::kFail) ++look.failures;
  if (look.verdict == Verdict::kInconclusive) {
    ++look.inconclusive;
    look.failures = 0;
  }
  return look;
}

bool Ended(const Limits& limits, const CheckStatus& status) {
  return limits.count > 0 && status.looks >= limits.count;
}

Outcome OutcomeOf(const Limits& limits, const CheckStatus& status) {
  if (limits.dry_run) return Outcome::kGood;
  if (status.failures >= limits.failure) return Outcome::kFailed;
  if (status.inconclusive > limits.inconclusive) return Outcome::kInconclusive;
  switch (status.verdict) {
    case Verdict::kPass:
      break;
    case Verdict::kFail:
      // With its last look, fewer failures than the limit are forgiven.
      return Ended(limits, status) ? Outcome::kGood : Outcome::kFailing;
    case Verdict::kInconclusive:
      return Ended(limits, status) ? Outcome::kInconclusive : Outcome::kUndecided;
    case Verdict::kNoData:
      return status.job.empty() ? Outcome::kNoData : Outcome::kCounting;
  }
  return limits.count > 0 && !Ended(limits, status) ? Outcome::kCounting : Outcome::kGood;
}

std::string Explain(Outcome outcome, const Limits& limits, const CheckStatus& status) {
  const auto of = [](int n, int all) { return std::to_string(n) + " of " + std::to_string(all); };
  const std::string what =
      status.name + (status.message.empty() ? std::string() : ": " + status.message);
  switch (outcome) {
    case Outcome::kGood:
      return "";
    case Outcome::kCounting:
      if (!status.job.empty()) return "waiting for " + what;
      return "check " + status.name + " has had " + of(status.looks, limits.count) + " looks";
    case Outcome::kUndecided:
      return "undecided check " + what;
    case Outcome::kNoData:
      return "no verdict without data, so no next step; " + what;
    case Outcome::kInconclusive:
      if (!status.job.empty()) return "no verdict of " + what;
      return "inconclusive check " + what + " (" + std::to_string(status.inconclusive) +
             " looks in a row, inconclusiveLimit is " + std::to_string(limits.inconclusive) + ")";
    case Outcome::kFailing:
    case Outcome::kFailed:
      return std::string(outcome == Outcome::kFailed ? "failed check " : "failing check ") + what +
             " (" + of(status.failures, limits.failure) + " looks in a row)";
  }
  return "";
}

}  // namespace perennial::deployment
