#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/kinds.h"
#include "api/model_version_schema.h"
#include "api/schema_describe.h"
#include "base/text.h"

namespace perennial::api {

template <>
struct Schema<TrainingResult> {
  using T = TrainingResult;
  static constexpr std::tuple kFields{
      Field{"artifact", &T::artifact, "The model that was trained; its digest is required here.",
            Rules{.required = true}},
      Field{"metrics", &T::metrics, "The evaluation, of all rows and of groups of them.",
            Rules{.required = true, .min_items = 1, .max_items = kEvaluationMetrics.max_items}},
      Field{"evaluationData", &T::evaluation_data, kEvaluationDataDoc, Rules{}},
      Field{"trainedFrom", &T::trained_from,
            "The ModelVersion whose training was continued; PERENNIAL_PARENT_VERSION is the "
            "champion's.",
            kObjectName},
      Field{"data", &T::data, "What it was trained on.", kData},
      Field{"code", &T::code, "What it was trained by.", Rules{}},
      Field{"parameters", &T::parameters, "Parameters of the training, as texts.", kParameters},
      Field{"image", &T::image, "The training image with its digest; by default the Job's.",
            Rules{}},
      Field{"report", &T::report, "URI of a report.", Rules{.max_length = 2048}},
      Field{"explanation", &T::explanation,
            "URI of a report that explains the model's predictions.", Rules{.max_length = 2048}},
      Field{"confusionMatrix", &T::confusion_matrix,
            "The confusion matrix, one entry for each actual and predicted class.",
            kConfusionMatrix},
      Field{"profile", &T::profile, "How the values lay that were trained on.", Rules{}},
  };
};

namespace {

using nlohmann::json;

// More than a termination message (4096 bytes) or a ConfigMap's entry needs.
constexpr std::size_t kMaxResultBytes = 1 << 20;
constexpr int kMaxResultDepth = 16;

// Brackets that are open at the deepest place: the text is a stranger's, and is looked at before
// anything recurses into it.
int DepthOf(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

Error Invalid(std::string message) {
  return Error{Errc::kInvalid, std::move(message)};
}

Result<TrainingResult> Read(const json& value, const Path& path) {
  std::string error;
  TrainingResult result;
  if (!ReadObject(value, path, result, error)) return Invalid(error);
  if (result.artifact.digest.empty()) {
    return Invalid(Path(Path(path, "artifact"), "digest").Text() +
                   ": required: \"sha256:\" and 64 lower-case hexadecimal digits");
  }
  const std::vector<std::string> problems = Check(result, path);
  if (!problems.empty()) return Invalid(problems.front());
  return result;
}

}  // namespace

Result<TrainingResult> DecodeTrainingResult(std::string_view text, std::string_view model) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return Invalid("the run left no result");
  }
  if (text.size() > kMaxResultBytes) return Invalid("the result has more than 1 MiB");
  if (DepthOf(text) > kMaxResultDepth) return Invalid("the result is nested too deeply");
  const json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    return Invalid("not JSON: \"" + CutText(text, 80) + "\"" +
                   // The kubelet keeps no more, so a long result ends in the middle.
                   (text.size() >= 4096 ? " (cut: a termination message holds 4096 bytes)" : ""));
  }
  std::string error;
  const Path root("");
  if (!ExpectObject(value, Path("result"), error)) return Invalid(error);
  const json* version = Member(value, "schemaVersion");
  if (version == nullptr) return Invalid("schemaVersion: required; this controller reads 1");
  if (*version != 1) {
    return Invalid("schemaVersion: expected 1, got " + CutText(version->dump(), 60));
  }
  const json* results = Member(value, "results");
  if (results == nullptr) return Read(value, root);
  const Path path(root, "results");
  if (!ExpectObject(*results, path, error)) return Invalid(error);
  const json* own = Member(*results, model);
  if (own != nullptr) {
    const Path place(path, model);
    if (!ExpectObject(*own, place, error)) return Invalid(error);
    return Read(*own, place);
  }
  if (Member(value, "artifact") != nullptr) return Read(value, root);
  return Invalid("results: has no entry for " + std::string(model));
}

SchemaNode TrainingResultSchema() {
  return Describe<TrainingResult>();
}

}  // namespace perennial::api
