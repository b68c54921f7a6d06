#include "retrain/run_result.h"

#include <nlohmann/json.hpp>

#include "api/object_expression.h"
#include "retrain/run_pods.h"

namespace perennial::retrain {
namespace {

struct Found {
  std::string where;
  std::string text;
};

Error Unusable(const std::string& where, const std::string& why) {
  return Error{Errc::kInvalid, "result of " + where + " is unusable: " + why};
}

std::optional<Found> OfPod(const Observed& seen, const api::JobView& job) {
  const api::PodView* pod = TellingPod(seen, job);
  if (pod == nullptr || !pod->terminated) return std::nullopt;
  return Found{"pod " + pod->meta.key.name, pod->termination_message};
}

Result<std::optional<Found>> OfObject(const Observed& seen, const api::JobView& job) {
  const auto it = seen.results.find(job.meta.key.name);
  if (it == seen.results.end()) return std::optional<Found>();
  const api::ResultSource& source = seen.policy->spec.result;
  const bool map = source.from == api::ResultFrom::kConfigMap;
  const std::string where = map ? "ConfigMap " + job.meta.key.name + ", entry " + api::kResultEntry
                                : Called(seen, job.meta.key.name) + ", " + source.path;
  if (it->second->oversized) {
    return Unusable(where, "longer than " + std::to_string(api::kLongestRunObject) + " bytes");
  }
  if (map) return std::optional<Found>(Found{where, it->second->text});
  const auto path = api::ObjectExpression::Parse(source.path);
  if (!path.ok()) return Unusable(where, path.error().message);
  const auto object = nlohmann::json::parse(it->second->text, nullptr, false);
  const auto text = path->Text(object);
  if (!text) return std::optional<Found>();
  return std::optional<Found>(Found{where, *text});
}

}  // namespace

Result<std::optional<api::TrainingResult>> FindResult(const Observed& seen,
                                                      const api::JobView& job) {
  std::optional<Found> found;
  if (seen.policy->spec.result.from == api::ResultFrom::kTerminationMessage) {
    found = OfPod(seen, job);
  } else {
    PERENNIAL_TRY(found, OfObject(seen, job));
  }
  if (!found) return std::optional<api::TrainingResult>();
  auto result = api::DecodeTrainingResult(found->text, seen.policy->spec.model_deployment);
  if (!result.ok()) return Unusable(found->where, result.error().message);
  return std::optional<api::TrainingResult>(*std::move(result));
}

}  // namespace perennial::retrain
