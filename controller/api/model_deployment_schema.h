#pragma once

#include "api/model_deployment.h"
#include "api/model_deployment_status_schema.h"
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
            "the kubelet mounts the oci:// artifact (Kubernetes 1.35, or 1.33 with the "
            "feature gate ImageVolume).",
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
      Field{"approval", &T::approval,
            "Stay until as many people as spec.approval asks for, at least one, approved this step "
            "(kubectl perennial approve VERSION --step N: a ModelApproval with step).",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self.weight > 0 || (has(self.mirror) && self.mirror > 0) || "
             "(has(self.pause) && self.pause) || (has(self.approval) && self.approval) || "
             "(has(self.hold) && duration(self.hold) > duration('0s'))",
             "a step of weight 0 is for copies, testers and probes: set mirror, hold, pause or "
             "approval, or a weight above 0",
             "weight",
             [](const T& v) {
               return v.weight > 0 || v.mirror > 0 || v.pause || v.approval ||
                      v.hold.value > Millis{0};
             }},
  };
};

template <>
struct Schema<Rollout> {
  using T = Rollout;
  static constexpr std::tuple kFields{
      Field{
          "steps", &T::steps,
          "Shares of the traffic on the way to 100 %. None: 50 % with an experiment, 100 % with an "
          "analysis alone, and without either no step: ready is good enough.",
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

}  // namespace perennial::api
