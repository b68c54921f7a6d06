#include "support/training_result_property.h"

#include <nlohmann/json.hpp>

#include "api/codec.h"

namespace perennial::testing {

using nlohmann::json;

std::string ViolatedByResult(std::string_view text) {
  const auto result = api::DecodeTrainingResult(text);
  if (!result.ok()) {
    return result.error().message.empty() ? "refused without saying why" : "";
  }
  api::ModelVersionSpec spec;
  spec.model_deployment = "m";
  spec.model = result->artifact;
  spec.metrics = result->metrics;
  spec.data = result->data;
  spec.code = result->code;
  spec.parameters = result->parameters;
  spec.report = result->report;
  spec.profile = result->profile;
  const auto problems = api::Validate(spec);
  if (!problems.empty()) return "the ModelVersion would be refused: " + problems.front();
  const std::string encoded = api::EncodeSpec(spec);
  const json document = json::parse(encoded, nullptr, false);
  if (document.is_discarded()) return "the ModelVersion is not JSON: " + encoded;
  const auto decoded =
      api::DecodeModelVersion({{"metadata", {{"name", "m"}, {"uid", "u"}}}, {"spec", document}});
  if (!decoded.ok()) return "the ModelVersion can't be read back: " + decoded.error().message;
  if (decoded->spec != spec) return "the ModelVersion reads back as another one: " + encoded;
  return {};
}

}  // namespace perennial::testing
