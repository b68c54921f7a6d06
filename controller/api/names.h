#pragma once

#include <string_view>

#include "kube/meta.h"

// Names of the API that several layers must spell alike.
namespace perennial::api {

inline constexpr std::string_view kGroup = "perennial.dev";
inline constexpr std::string_view kVersion = "v1alpha1";

inline const kube::Resource kModelDeployments{"perennial.dev", "v1alpha1", "modeldeployments",
                                              "ModelDeployment"};
inline const kube::Resource kDriftMonitors{"perennial.dev", "v1alpha1", "driftmonitors",
                                           "DriftMonitor"};
inline const kube::Resource kRetrainPolicies{"perennial.dev", "v1alpha1", "retrainpolicies",
                                             "RetrainPolicy"};
inline const kube::Resource kModelVersions{"perennial.dev", "v1alpha1", "modelversions",
                                           "ModelVersion"};
inline const kube::Resource kModelApprovals{"perennial.dev", "v1alpha1", "modelapprovals",
                                            "ModelApproval"};

inline const kube::Resource kDeployments{"apps", "v1", "deployments", "Deployment"};
inline const kube::Resource kServices{"", "v1", "services", "Service"};
inline const kube::Resource kSecrets{"", "v1", "secrets", "Secret"};
inline const kube::Resource kPods{"", "v1", "pods", "Pod"};
inline const kube::Resource kJobs{"batch", "v1", "jobs", "Job"};
inline const kube::Resource kCronJobs{"batch", "v1", "cronjobs", "CronJob"};
inline const kube::Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline const kube::Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices",
                                            "EndpointSlice"};
inline const kube::Resource kAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                         "HorizontalPodAutoscaler"};
inline const kube::Resource kDisruptionBudgets{"policy", "v1", "poddisruptionbudgets",
                                               "PodDisruptionBudget"};
inline const kube::Resource kHttpRoutes{"gateway.networking.k8s.io", "v1", "httproutes",
                                        "HTTPRoute"};
inline const kube::Resource kGateways{"gateway.networking.k8s.io", "v1", "gateways", "Gateway"};
inline const kube::Resource kGatewayClasses{"gateway.networking.k8s.io", "v1", "gatewayclasses",
                                            "GatewayClass"};
inline const kube::Resource kGrpcRoutes{"gateway.networking.k8s.io", "v1", "grpcroutes",
                                        "GRPCRoute"};

// Labels on everything that we make.
inline constexpr std::string_view kLabelDeployment = "perennial.dev/model-deployment";
inline constexpr std::string_view kLabelVersion = "perennial.dev/model-version";
inline constexpr std::string_view kLabelPolicy = "perennial.dev/retrain-policy";
inline constexpr std::string_view kLabelRun = "perennial.dev/run";
// What a created object stands for: a second create of the same identity is done, not a conflict.
inline constexpr std::string_view kLabelIdentity = "perennial.dev/identity";
inline constexpr std::string_view kLabelManagedBy = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kManagedBy = "perennial";

// On the Job of a run that trains for others of its group too: the Jobs that these would have had,
// separated by commas.
inline constexpr std::string_view kAnnotationMembers = "perennial.dev/members";
// On each Job: where the data end that it was told to train on.
inline constexpr std::string_view kAnnotationDataEnd = "perennial.dev/data-end";

// What something that somebody else made may be used for. A Secret, metrics: it may be sent to
// servers of metrics that objects of its namespace name. A ConfigMap, baseline: it holds profiles.
inline constexpr std::string_view kLabelUse = "perennial.dev/use";
inline constexpr std::string_view kUseMetrics = "metrics";
inline constexpr std::string_view kUseBaseline = "baseline";
// A Secret, events: a sender of events has to know it.
inline constexpr std::string_view kUseEvents = "events";

// What people ask for, on a ModelDeployment; the value names the ModelVersion that is meant, so a
// stale request does nothing: VERSION, VERSION/STEP (promote), either with ":TOKEN" where the same
// is asked again.
inline constexpr std::string_view kAnnotationPromote = "perennial.dev/promote";
inline constexpr std::string_view kAnnotationAbort = "perennial.dev/abort";
inline constexpr std::string_view kAnnotationPause = "perennial.dev/pause";
inline constexpr std::string_view kAnnotationResume = "perennial.dev/resume";
inline constexpr std::string_view kAnnotationRetry = "perennial.dev/retry";
inline constexpr std::string_view kAnnotationUndo = "perennial.dev/undo";
// On a RetrainPolicy: any new value starts one run.
inline constexpr std::string_view kAnnotationRetrain = "perennial.dev/retrain";
// On a ModelDeployment or RetrainPolicy: who changed the model, or asked for a run. Admission lets
// nobody write another's name.
inline constexpr std::string_view kAnnotationAuthor = "perennial.dev/author";
// On a ModelVersion, by the ModelDeployment controller: when it was promoted (RFC 3339). Kept apart
// from status so that a restored backup still knows what served.
inline constexpr std::string_view kAnnotationPromoted = "perennial.dev/promoted-at";
// And why: the verdict on its rollout.
inline constexpr std::string_view kAnnotationPromotedBecause = "perennial.dev/promoted-because";

}  // namespace perennial::api
