#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/names.h"
#include "api/schema_node.h"

namespace perennial::api {

// A column of `kubectl get`. Priority 0 is always shown, 1 with -o wide.
struct Column {
  std::string_view name;
  std::string_view type;  // string, integer, date
  std::string_view json_path;
  int priority = 0;
};
inline constexpr Column kAgeColumn{"Age", "date", ".metadata.creationTimestamp"};
inline constexpr Column kReadyColumn{"Ready", "string",
                                     ".status.conditions[?(@.type==\"Ready\")].status"};
inline constexpr Column kReasonColumn{"Reason", "string",
                                      ".status.conditions[?(@.type==\"Ready\")].reason"};

// A condition type or an annotation, and what it means.
struct Term {
  std::string_view name;
  std::string_view meaning;
};

struct ScalePaths {
  std::string_view spec_replicas;
  std::string_view status_replicas;
  std::string_view selector;
};

// What a CRD says beside the fields.
struct KindInfo {
  kube::Resource resource;
  std::string_view short_name;
  std::string_view doc;
  SchemaNode spec;
  std::optional<SchemaNode> status{};
  std::optional<ScalePaths> scale{};
  std::vector<std::string_view> selectable{};  // JSON paths, for --field-selector
  std::vector<Column> columns{};
  // Its name becomes a label, and where the kind serves or trains the name of a Service or Job.
  bool name_is_label = true;
  std::vector<Term> conditions{};
  std::vector<Term> annotations{};  // what people may write
};

KindInfo ModelDeploymentKind();
KindInfo DriftMonitorKind();
KindInfo RetrainPolicyKind();
KindInfo ModelVersionKind();
KindInfo ModelApprovalKind();

// All five, in the order of the reference.
std::vector<KindInfo> Kinds();

// The contract of what a training container writes.
SchemaNode TrainingResultSchema();

}  // namespace perennial::api
