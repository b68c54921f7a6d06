#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/spec_cases.h"

// The cases of spec_cases.h, by what they are about.
namespace perennial::testing {

inline constexpr const char* kMd = "ModelDeployment";
inline constexpr const char* kDm = "DriftMonitor";
inline constexpr const char* kRp = "RetrainPolicy";
inline constexpr const char* kMv = "ModelVersion";
inline constexpr const char* kMa = "ModelApproval";

// `patch` is a JSON merge patch of the kind's valid spec: null removes a field.
SpecCase Patched(std::string name, std::string kind, const char* patch, std::string field = "",
                 std::string message = "");

std::vector<SpecCase> DeploymentCases();
std::vector<SpecCase> MonitorCases();
std::vector<SpecCase> SignalCases();  // of DriftMonitors
std::vector<SpecCase> PolicyCases();
std::vector<SpecCase> RecordCases();  // ModelVersions and ModelApprovals
std::vector<SpecCase> ReferenceCases();

}  // namespace perennial::testing
