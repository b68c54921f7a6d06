#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "faults/story_world.h"

namespace perennial::testing {

// What stands for names, UIDs and digests that depend on when and how something happened.
using Aliases = std::map<std::string, std::string>;

// The kinds of what our controllers make, but for the records (ModelVersions, ModelApprovals).
const std::vector<kube::Resource>& ChildKinds();

// The objects' texts, one after the other, as they are whichever way led there: with roles for
// names, without UIDs, versions, times and history. Without the numbers of pods too, where
// `scales`: these are an autoscaler's, and depend on the past.
std::string WithoutTheWay(const std::vector<nlohmann::json>& objects, const Aliases& aliases,
                          bool scales);

// All that the controllers have made of ChildKinds: specs, labels, annotations, owners.
std::string ChildrenText(const StoryWorld& world);

}  // namespace perennial::testing
