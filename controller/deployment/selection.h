#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "deployment/decide.h"

namespace perennial::deployment {

// Which version should take over from the champion.
struct Selection {
  const api::ModelVersion* target = nullptr;  // null: the champion stays
  // The champion is rejected or gone: what it would be compared with is not worth keeping.
  bool urgent = false;
  std::string why;  // where there is no target
};

// Order of versions by intent: spec.revision; where two were made at once, what a person declared
// (origin Spec) comes after what a run made, then by name. It needs neither status nor times.
bool NewerThan(const api::ModelVersion& a, const api::ModelVersion& b);

// Automatic: the newest approved version, if it is newer than `champion`. Manual: the version of
// spec.model. A champion that was rejected gives way to the approved version that served last
// before it; anything newer is then rolled out in the ordinary way.
Selection Select(const Observed& seen, const std::string& champion);

// The version that served before status was lost: the one promoted last that still has pods, else
// the one promoted last that is not rejected. Empty: none ever served.
std::string RebuildChampion(const Observed& seen);

// The approved version that served last before the champion, or nullptr.
const api::ModelVersion* Previous(const Observed& seen, const std::string& champion);

// Above all revisions that there are.
std::int64_t NextRevision(const Observed& seen);

// The newest approved version of a fixed variant, or nullptr.
const api::ModelVersion* VersionOfVariant(const Observed& seen, const std::string& variant);

// ModelVersions that spec.model (or spec.variants) declares and that are not on record: one is
// made if and only if the newest declared one names another artifact. So an unchanged spec.model
// never undoes what retraining promoted since, and a revert to an earlier artifact is a new
// version.
std::vector<kube::CreateObject> MissingVersions(const Observed& seen);

}  // namespace perennial::deployment
