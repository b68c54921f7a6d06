#pragma once

#include "api/condition_schema.h"
#include "api/model_deployment.h"
#include "api/model_version_schema.h"
#include "api/quantity_schema.h"
#include "api/source_schema.h"
#include "api/traffic_schema.h"

namespace perennial::api {

template <>
struct EnumNames<Updates> {
  static constexpr std::array<std::string_view, 2> kNames{"Automatic", "Manual"};
};
template <>
struct EnumNames<ChallengerReplicas> {
  static constexpr std::array<std::string_view, 2> kNames{"Full", "Proportional"};
};
template <>
struct EnumNames<RolloutPhase> {
  static constexpr std::array<std::string_view, 7> kNames{
      "Starting", "Progressing", "Paused", "Promoting", "Promoted", "RollingBack", "RolledBack"};
};

template <>
struct EnumNames<Delivery> {
  static constexpr std::array<std::string_view, 2> kNames{"Download", "ImageVolume"};
};
template <>
struct EnumNames<Protocol> {
  static constexpr std::array<std::string_view, 2> kNames{"None", "OpenInference"};
};

template <>
struct Schema<Storage> {
  using T = Storage;
  static constexpr std::tuple kFields{
      Field{"type", &T::type,
            "Download: an init container of yours fetches MODEL_URI into MODEL_PATH. ImageVolume: "
            "the kubelet mounts the oci:// artifact (Kubernetes 1.33 or newer).",
            Rules{}},
      Field{"image", &T::image,
            "Download: an image whose entry point fetches MODEL_URI, checks MODEL_DIGEST, and "
            "writes below MODEL_PATH.",
            Rules{.max_length = 512}},
      Field{"credentialsSecretRef", &T::credentials_secret,
            "Download: a Secret in this namespace whose keys become the init container's "
            "environment, and no other container's.",
            kObjectName},
      Field{"path", &T::path, "Where all containers find the artifact; also in MODEL_PATH.",
            Rules{.pattern = "^/[^\\s:]+$",
                  .wants = "an absolute path such as \"/models\"",
                  .max_length = 256}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.type) || self.type == 'Download' ? has(self.image) && self.image != '' : "
             "!has(self.image) && !has(self.credentialsSecretRef)",
             "Download needs an image; ImageVolume takes neither image nor credentialsSecretRef "
             "(use imagePullSecrets in the template)",
             "image",
             [](const T& v) {
               return v.type == Delivery::kDownload
                          ? !v.image.empty()
                          : v.image.empty() && v.credentials_secret.empty();
             }},
  };
};

template <>
struct Schema<Autoscaling> {
  using T = Autoscaling;
  static constexpr std::tuple kFields{
      Field{"minReplicas", &T::min_replicas,
            "Fewest pods of a variant. A challenger has no fewer than the champion has right now.",
            Rules{.min = 1, .max = 10000}},
      Field{"maxReplicas", &T::max_replicas, "Most pods of a variant.",
            Rules{.required = true, .min = 1, .max = 10000}},
      Field{"metrics", &T::metrics,
            "Metrics of a HorizontalPodAutoscaler (autoscaling/v2); none: 80 % of the pods' CPU "
            "requests.",
            Rules{.max_items = 16}},
      Field{"behavior", &T::behavior, "How fast a HorizontalPodAutoscaler scales.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
             "minReplicas must not be above maxReplicas", "minReplicas",
             [](const T& v) { return v.min_replicas <= v.max_replicas; }},
  };
};

template <>
struct Schema<RolloutStep> {
  using T = RolloutStep;
  static constexpr std::tuple kFields{
      Field{"weight", &T::weight,
            "Percent of the traffic that the challenger gets. With 0 it has its pods, and answers "
            "rules and probes only.",
            Rules{.required = true, .min = 0, .max = 100}},
      Field{"mirror", &T::mirror,
            "Percent of the requests that are also sent to the challenger, whose answers nobody "
            "gets. With weight 0 it is a shadow step.",
            Rules{.min = 0, .max = 100}},
      Field{"hold", &T::hold, "How long before the next step.", Rules{}},
      Field{
          "pause", &T::pause,
          "Stay until somebody resumes or promotes (kubectl perennial resume, or the annotation).",
          Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self.weight > 0 || (has(self.mirror) && self.mirror > 0) || "
             "(has(self.pause) && self.pause) || "
             "(has(self.hold) && duration(self.hold) > duration('0s'))",
             "a step of weight 0 is for copies, testers and probes: set mirror, hold or pause, or "
             "a weight above 0",
             "weight",
             [](const T& v) {
               return v.weight > 0 || v.mirror > 0 || v.pause || v.hold.value > Millis{0};
             }},
  };
};

template <>
struct Schema<Rollout> {
  using T = Rollout;
  static constexpr std::tuple kFields{
      Field{"steps", &T::steps,
            "Shares of the traffic on the way to 100 %. None: one step to 100 %.",
            Rules{.max_items = 32}},
      Field{"progressDeadline", &T::progress_deadline,
            "Time in which a new version must become ready, or it is rolled back.", Rules{}},
      Field{"challengerReplicas", &T::challenger_replicas,
            "Pods of a challenger behind a gateway. Full: as many as the champion's. Proportional: "
            "what the step's weight needs, rounded up; they are ready before the weight moves.",
            Rules{}},
      Field{"keepPrevious", &T::keep_previous,
            "How long after a promotion the pods of the version before stay, so that a return to "
            "it is instant.",
            Rules{}},
      Field{"source", &T::source,
            "From where checks and experiment read: the pods, or a Prometheus that scrapes them. "
            "The same metrics either way.",
            Rules{}},
      Field{"analysis", &T::analysis, "Checks throughout each step; failing ones roll back.",
            Rules{}},
      Field{"experiment", &T::experiment,
            "A/B test between champion and challenger that decides about promotion. With variants "
            "it compares each of them with the first, and only reports.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.steps) || (self.steps.map(s, s.weight).isSorted() && "
             "self.steps.all(s, s.weight == 0 || self.steps.exists_one(t, t.weight == s.weight)))",
             "weights of steps must ascend: sort the steps and give each its own weight", "steps",
             [](const T& v) {
               return std::adjacent_find(v.steps.begin(), v.steps.end(),
                                         [](const RolloutStep& a, const RolloutStep& b) {
                                           return a.weight >= b.weight && b.weight + a.weight > 0;
                                         }) == v.steps.end();
             }},
      Cel<T>{"!has(self.progressDeadline) || duration(self.progressDeadline) >= duration('1s')",
             "progressDeadline must be at least 1s", "progressDeadline",
             [](const T& v) { return v.progress_deadline.value >= Seconds(1); }},
  };
};

template <>
struct Schema<FixedVariant> {
  using T = FixedVariant;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "Its name, unique in the list.", Required(kObjectName)},
      Field{"weight", &T::weight, "Percent of the traffic.",
            Rules{.required = true, .min = 0, .max = 100}},
      Field{"model", &T::model, "Its artifact.", Rules{.required = true}},
  };
};

template <>
struct Schema<ModelDeploymentSpec> {
  using T = ModelDeploymentSpec;
  static constexpr std::tuple kFields{
      Field{"model", &T::model,
            "An artifact to serve: each change makes a new ModelVersion. Without it (and without "
            "variants) versions come from retraining or pipelines only.",
            Rules{}},
      Field{"variants", &T::variants, "A fixed split between artifacts, instead of model.",
            Rules{.min_items = 1, .max_items = 16, .list_key = "name"}},
      Field{"updates", &T::updates,
            "Automatic: the newest approved version serves. Manual: only what spec.model names.",
            Rules{}},
      Field{"replicas", &T::replicas,
            "Pods of the champion; 1 unless set. Leave it out where an autoscaler sets it.",
            Rules{.min = 0, .max = 10000}},
      Field{"autoscaling", &T::autoscaling,
            "A HorizontalPodAutoscaler for each variant, instead of replicas. It alone sets their "
            "number of pods.",
            Rules{}},
      Field{"disruptionBudget", &T::disruption_budget,
            "A PodDisruptionBudget for each variant: minAvailable or maxUnavailable, and whatever "
            "else its spec has but the selector, which is ours.",
            Rules{}},
      Field{"batch", &T::batch,
            "A CronJobSpec (batch/v1): scores in batches with the version that serves. Its "
            "containers get MODEL_URI, MODEL_DIGEST and MODEL_VERSION, and the artifact as "
            "storage brings it.",
            Rules{}},
      Field{"template", &T::pod_template,
            "A PodTemplateSpec. Every container gets MODEL_URI, MODEL_DIGEST and MODEL_VERSION.",
            Rules{.required = true}},
      Field{"storage", &T::storage,
            "Brings the artifact into the pods. Without it the containers get its address in "
            "MODEL_URI and fetch it themselves.",
            Rules{}},
      Field{"protocol", &T::protocol,
            "OpenInference: the serving container is probed at /v2/health/ready and "
            "/v2/health/live, unless the template has probes of its own; while it loads, until "
            "rollout.progressDeadline, it is not restarted.",
            Rules{}},
      Field{"metrics", &T::metrics, "Where the pods expose Prometheus metrics.", Rules{}},
      Field{"traffic", &T::traffic, "How requests reach the pods.", Rules{}},
      Field{"rollout", &T::rollout, "How a new version takes over.", Rules{}},
      Field{"approval", &T::approval,
            "Who must agree to a version before it gets traffic, whatever its origin.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(has(self.traffic) && has(self.traffic.headless) && self.traffic.headless) == "
             "(has(oldSelf.traffic) && has(oldSelf.traffic.headless) && "
             "oldSelf.traffic.headless)",
             "traffic.headless can't be changed, since a Service keeps its cluster address: make "
             "another ModelDeployment",
             "traffic.headless", nullptr},
      Cel<T>{"!(has(self.model) && has(self.variants))",
             "model and variants exclude each other: remove spec.model or spec.variants",
             "variants", [](const T& v) { return !v.model.has_value() || v.variants.empty(); }},
      Cel<T>{"!has(self.variants) || self.variants.map(v, v.weight).sum() == 100",
             "weights of variants must sum to 100: change the weights in spec.variants", "variants",
             [](const T& v) {
               int sum = 0;
               for (const FixedVariant& variant : v.variants) sum += variant.weight;
               return v.variants.empty() || sum == 100;
             }},
      Cel<T>{"!has(self.rollout) || !has(self.rollout.steps) || "
             "self.rollout.steps.all(s, !has(s.mirror) || s.mirror == 0) || "
             "(has(self.traffic) && has(self.traffic.gateway))",
             "a Service can't mirror requests: set spec.traffic.gateway, or remove mirror from the "
             "steps",
             "rollout",
             [](const T& v) {
               return v.traffic.gateway ||
                      std::none_of(v.rollout.steps.begin(), v.rollout.steps.end(),
                                   [](const RolloutStep& step) { return step.mirror > 0; });
             }},
      Cel<T>{"!has(self.protocol) || self.protocol != 'OpenInference' || !has(self.traffic) || "
             "!has(self.traffic.protocol) || self.traffic.protocol != 'GRPC'",
             "OpenInference probes HTTP paths of the serving port: with traffic.protocol GRPC "
             "remove protocol, and give the template grpc probes",
             "protocol",
             [](const T& v) {
               return v.protocol != Protocol::kOpenInference ||
                      v.traffic.protocol != TrafficProtocol::kGrpc;
             }},
      Cel<T>{"!has(self.rollout) || !has(self.rollout.experiment) || "
             "!has(self.rollout.experiment.weights) || "
             "self.rollout.experiment.weights != 'Thompson' || (has(self.variants) && "
             "has(self.traffic) && has(self.traffic.gateway) && size(self.variants) * "
             "(has(self.rollout.experiment.floor) ? self.rollout.experiment.floor : 5) <= 100)",
             "weights: Thompson moves the weights of variants behind a gateway, each of which "
             "keeps the floor: set variants and traffic.gateway, lower floor, or remove weights",
             "rollout",
             [](const T& v) {
               const auto& experiment = v.rollout.experiment;
               if (!experiment || experiment->weights != Allocation::kThompson) return true;
               return !v.variants.empty() && v.traffic.gateway.has_value() &&
                      static_cast<int>(v.variants.size()) * experiment->floor <= 100;
             }},
      Cel<T>{"!has(self.autoscaling) || !has(self.replicas)",
             "autoscaling sets the number of pods: remove replicas, or autoscaling", "replicas",
             [](const T& v) { return !v.autoscaling || !v.replicas; }},
      Cel<T>{"!has(self.autoscaling) || (has(self.traffic) && has(self.traffic.gateway)) || "
             "!(has(self.variants) || (has(self.rollout) && (has(self.rollout.experiment) || "
             "(has(self.rollout.steps) && self.rollout.steps.exists(s, s.weight < 100)))))",
             "without a gateway traffic is split by numbers of pods, which an autoscaler changes: "
             "set traffic.gateway, or remove autoscaling",
             "autoscaling",
             [](const T& v) {
               const bool splits =
                   !v.variants.empty() || v.rollout.experiment ||
                   std::any_of(v.rollout.steps.begin(), v.rollout.steps.end(),
                               [](const RolloutStep& step) { return step.weight < 100; });
               return !v.autoscaling || v.traffic.gateway || !splits;
             }},
      Cel<T>{"!has(self.updates) || self.updates != 'Manual' || has(self.model) || "
             "has(self.variants)",
             "updates: Manual pins to spec.model: set spec.model, or updates: Automatic", "updates",
             [](const T& v) {
               return v.updates != Updates::kManual || v.model.has_value() || !v.variants.empty();
             }},
  };
};

template <>
struct Schema<VariantStatus> {
  using T = VariantStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "champion, challenger, or the fixed variant's name.",
            Rules{.required = true, .max_length = 63}},
      Field{"version", &T::version, "Its ModelVersion.", Rules{}},
      Field{"service", &T::service, "Its Service.", Rules{}},
      Field{"model", &T::model, "Its artifact.", Rules{}},
      Field{"replicas", &T::replicas, "Pods wanted.", Rules{.always = true}},
      Field{"readyReplicas", &T::ready_replicas, "Pods ready.", Rules{.always = true}},
      Field{"weightWanted", &T::weight_wanted, "Percent of the traffic that it should get.",
            Rules{.always = true}},
      Field{"weight", &T::weight, "Percent in effect, as the accepted route says.",
            Rules{.always = true}},
  };
};

template <>
struct Schema<CheckStatus> {
  using T = CheckStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The check or guardrail.", Rules{.required = true}},
      Field{"challenger", &T::challenger, "The challenger's value.", Rules{}},
      Field{"champion", &T::champion, "The champion's value.", Rules{}},
      Field{"threshold", &T::threshold, "The bound.", Rules{}},
      Field{"samples", &T::samples, "The challenger's observations.", Rules{}},
      Field{"verdict", &T::verdict, "Pass, Fail, Inconclusive or NoData.", Rules{.always = true}},
      Field{"message", &T::message, "Why.", kMessage},
      Field{"looks", &T::looks, "Looks with a verdict, where count ends them.", Rules{.min = 0}},
      Field{"failures", &T::failures, "Failing looks in a row.", Rules{.min = 0}},
      Field{"inconclusive", &T::inconclusive, "Undecided looks in a row.", Rules{.min = 0}},
      Field{"lookedAt", &T::looked_at, "The look that was counted last.", Rules{}},
      Field{"job", &T::job, "The Job of a probe.", Rules{}},
      Field{"jobUID", &T::job_uid, "Its UID, since it is there: it never runs twice.", Rules{}},
  };
};

template <>
struct Schema<ArmCounts> {
  using T = ArmCounts;
  static constexpr std::tuple kFields{
      Field{"n", &T::n, "Observations.", Rules{}},
      Field{"sum", &T::sum, "Their sum, or how many were successes.", Rules{}},
      Field{"squares", &T::squares, "Sum of their squares, where it is known.", Rules{}},
  };
};

template <>
struct Schema<QuantityCounts> {
  using T = QuantityCounts;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The quantity.", Rules{.required = true}},
      Field{"champion", &T::champion, "What the champion counted.", Rules{}},
      Field{"challenger", &T::challenger, "What the challenger counted.", Rules{}},
  };
};

template <>
struct Schema<ExperimentStatus> {
  using T = ExperimentStatus;
  static constexpr std::tuple kFields{
      Field{"effect", &T::effect, "Challenger minus champion.", Rules{}},
      Field{"lower", &T::lower, "Lower end of its always-valid confidence interval.", Rules{}},
      Field{"upper", &T::upper, "Upper end.", Rules{}},
      Field{"pValue", &T::p_value, "Smallest p-value so far.", Rules{}},
      Field{"championSamples", &T::champion_samples, "Observations of the champion.", Rules{}},
      Field{"challengerSamples", &T::challenger_samples, "Observations of the challenger.",
            Rules{}},
      Field{"verdict", &T::verdict, "Pass, Fail, Inconclusive or NoData.", Rules{.always = true}},
      Field{"message", &T::message, "Why, and what happens next.", kMessage},
      Field{"sampleRatioMismatch", &T::mismatch,
            "Whether the variants' numbers of requests are not what their weights should have "
            "given: a win is then none.",
            Rules{}},
      Field{"probabilityBetter", &T::probability_better,
            "Bayesian probability that the challenger's primary is better. Information only: it "
            "is not valid when looked at repeatedly.",
            Rules{}},
      Field{"expectedLoss", &T::expected_loss,
            "What choosing the challenger is expected to cost in the primary. Information only.",
            Rules{}},
      Field{"guardrails", &T::guardrails, "Each guardrail's verdict.", Rules{}},
      Field{"counts", &T::counts,
            "What was counted so far. A restarted controller goes on counting from here.", Rules{}},
  };
};

template <>
struct Schema<RolloutStatus> {
  using T = RolloutStatus;
  static constexpr std::tuple kFields{
      Field{"version", &T::version, "The challenger's ModelVersion.", Rules{.required = true}},
      Field{"champion", &T::champion, "What it is compared with.", Rules{}},
      Field{"phase", &T::phase, "Where the rollout is.", Rules{.always = true}},
      Field{"step", &T::step, "Index into spec.rollout.steps.", Rules{.always = true, .min = 0}},
      Field{"started", &T::started, "When it began.", Rules{}},
      Field{"stepStarted", &T::step_started,
            "Since when the step's weight is in effect, or is awaited.", Rules{}},
      Field{"inEffect", &T::in_effect, "Whether the route has the step's weight.", Rules{}},
      Field{"paused", &T::paused, "Whether somebody paused it, by annotation.", Rules{}},
      Field{"released", &T::released,
            "The step (1 is the first) that somebody ended before its time; 0: none.",
            Rules{.min = 0}},
      Field{"message", &T::message, "What it waits for.", kMessage},
      Field{
          "until", &T::until,
          "When the wait ends by itself: a hold, a deadline, the experiment's maxDuration, or the "
          "time for which the previous version's pods are kept. Absent: it waits for data, or for "
          "a person.",
          Rules{}},
      Field{"then", &T::then, "What happens at that time.", Rules{.max_length = 256}},
      Field{"experimentEnds", &T::experiment_ends,
            "When the experiment's maxDuration is over: how much longer it may take.", Rules{}},
      Field{"checks", &T::checks, "Verdicts of the analysis.", Rules{}},
      Field{"experiment", &T::experiment, "State of the A/B test.", Rules{}},
  };
};

template <>
struct Schema<HistoryEntry> {
  using T = HistoryEntry;
  static constexpr std::tuple kFields{
      Field{"version", &T::version, "The ModelVersion.", Rules{.required = true}},
      Field{"outcome", &T::outcome, "Promoted, RolledBack or Superseded.", Rules{.required = true}},
      Field{"at", &T::at, "When.", Rules{}},
      Field{"message", &T::message, "Why.", kMessage},
  };
};

template <>
struct Schema<CommandStatus> {
  using T = CommandStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The annotation, without perennial.dev/.",
            Rules{.required = true, .max_length = 63}},
      Field{"value", &T::value, "Its value then.", Rules{.required = true}},
      Field{"at", &T::at, "When it was answered.", Rules{}},
      Field{"outcome", &T::outcome, "What was done, or why nothing was.", kMessage},
  };
};

template <>
struct Schema<Comparison> {
  using T = Comparison;
  static constexpr std::tuple kFields{
      Field{"variant", &T::variant, "The variant.", Rules{.required = true}},
      Field{"control", &T::control, "What it is compared with: the first variant.", Rules{}},
      Field{"identity", &T::identity,
            "Versions and weights of the split; another split begins to count anew.", Rules{}},
      Field{"experiment", &T::experiment, "What is known so far.", Rules{}},
  };
};

template <>
struct Schema<ModelDeploymentStatus> {
  using T = ModelDeploymentStatus;
  static constexpr std::tuple kFields{
      Field{"observedGeneration", &T::observed_generation, kObservedGenerationDoc,
            Rules{.always = true, .min = -1}},
      Field{"champion", &T::champion, "The ModelVersion that serves.", Rules{}},
      Field{"challenger", &T::challenger, "The ModelVersion that is being rolled out.", Rules{}},
      Field{"variants", &T::variants, "What serves, and with which share.",
            Rules{.max_items = 32, .list_key = "name"}},
      Field{"rollout", &T::rollout, "The rollout that runs, or the last one.", Rules{}},
      Field{"comparisons", &T::comparisons,
            "A fixed split with an experiment: each variant against the first.",
            Rules{.max_items = 15}},
      Field{"history", &T::history, "How earlier rollouts ended, newest first.", Rules{}},
      Field{"commands", &T::commands,
            "The last request of each kind that was answered; none is carried out twice.",
            Rules{.max_items = 16, .list_key = "name"}},
      Field{"replicas", &T::replicas, "Pods wanted, of all variants.", Rules{.always = true}},
      Field{"readyReplicas", &T::ready_replicas, "Pods ready.", Rules{.always = true}},
      Field{"selector", &T::selector, "Label selector of all pods.", Rules{}},
      Field{"approximateSplit", &T::approximate_split,
            "Whether the split is by number of replicas, which is approximate.", Rules{}},
      Field{"why", &T::why, "What the controller is doing, in one sentence.", kMessage},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

}  // namespace perennial::api
