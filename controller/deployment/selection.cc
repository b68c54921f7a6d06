#include "deployment/selection.h"

#include <algorithm>
#include <tuple>

#include "api/names.h"
#include "deployment/fleet.h"
#include "deployment/records.h"

namespace perennial::deployment {
namespace {

using api::ModelVersion;
using api::OriginType;

// Label values, and so the labels of a version's pods, have at most 63 characters; and where
// another version names its parent, or an approval its version, the API takes no dots.
bool NameFits(const ModelVersion& version) {
  const std::string& name = version.meta.key.name;
  return name.size() <= 63 && name.find('.') == std::string::npos;
}

// A copy stands for what somebody asked for once, not for what the spec says.
bool Declared(const ModelVersion& version) {
  return version.spec.origin.type == OriginType::kSpec && version.spec.origin.copy_of.empty();
}

// May serve as champion or challenger, as far as the version itself goes.
bool Eligible(const ModelVersion& version) {
  return Approved(version) && version.spec.origin.variant.empty() && NameFits(version);
}

template <class Accept>
const ModelVersion* Newest(const Observed& seen, Accept accept) {
  const ModelVersion* newest = nullptr;
  for (const auto& version : seen.versions) {
    if (!accept(*version)) continue;
    if (newest == nullptr || NewerThan(*version, *newest)) newest = version.get();
  }
  return newest;
}

const ModelVersion* NewestDeclared(const Observed& seen, const std::string& variant) {
  return Newest(seen, [&](const ModelVersion& version) {
    return Declared(version) && version.spec.origin.variant == variant && !version.meta.deleting;
  });
}

template <class Accept>
const ModelVersion* LastPromoted(const Observed& seen, Accept accept) {
  const ModelVersion* last = nullptr;
  std::optional<WallTime> last_at;
  for (const auto& version : seen.versions) {
    const auto at = api::PromotedAt(*version);
    if (!at || !accept(*version)) continue;
    if (last == nullptr || at > last_at || (at == last_at && NewerThan(*version, *last))) {
      last = version.get();
      last_at = at;
    }
  }
  return last;
}

Selection Fallback(const Observed& seen, const std::string& champion) {
  const auto other = [&](const ModelVersion& version) {
    return Eligible(version) && version.meta.key.name != champion;
  };
  Selection selection;
  selection.urgent = true;
  selection.target = LastPromoted(seen, other);
  if (selection.target == nullptr) selection.target = Newest(seen, other);
  if (selection.target == nullptr) {
    selection.why = champion +
                    " is rejected or deleted but keeps serving, since no other version is "
                    "approved; approve or declare another one";
  }
  return selection;
}

Selection Pinned(const Observed& seen, const std::string& champion) {
  Selection selection;
  const auto& model = seen.deployment->spec.model;
  const ModelVersion* declared = NewestDeclared(seen, "");
  if (!model || declared == nullptr || declared->spec.model != *model) {
    selection.why = "updates: Manual waits for the version of spec.model";
    return selection;
  }
  // Or a retry of it.
  declared = Newest(seen, [&](const ModelVersion& version) {
    return version.spec.origin.type == OriginType::kSpec && version.spec.origin.variant.empty() &&
           version.spec.model == *model && !version.meta.deleting;
  });
  if (declared->meta.key.name != champion && Eligible(*declared)) {
    selection.target = declared;
  } else if (declared->meta.key.name != champion) {
    selection.why = "the version of spec.model, " + declared->meta.key.name +
                    ", is not approved: " + declared->status.why;
  }
  return selection;
}

// Why no version can serve, for people who wait for the first one.
std::string WhyNone(const Observed& seen) {
  const ModelVersion* newest = Newest(seen, [](const ModelVersion& version) {
    return version.spec.origin.variant.empty() && !version.meta.deleting;
  });
  if (newest == nullptr) {
    return "there is no ModelVersion yet: set spec.model, or let a RetrainPolicy train one";
  }
  if (Approved(*newest)) {
    return "ModelVersion " + newest->meta.key.name +
           " is approved, but cannot serve under its name: make one with a name of at most 63 "
           "characters and without dots";
  }
  return "no ModelVersion is approved; the newest, " + newest->meta.key.name +
         ", is not: " + (newest->status.why.empty() ? "not judged yet" : newest->status.why);
}

}  // namespace

std::int64_t NextRevision(const Observed& seen) {
  std::int64_t highest = 0;
  for (const auto& version : seen.versions) highest = std::max(highest, version->spec.revision);
  return highest + 1;
}

bool NewerThan(const ModelVersion& a, const ModelVersion& b) {
  const auto rank = [](const ModelVersion& version) {
    return std::tuple(version.spec.revision, Declared(version), version.meta.key.name);
  };
  return rank(a) > rank(b);
}

Selection Select(const Observed& seen, const std::string& champion) {
  const ModelVersion* serving = FindVersion(seen, champion);
  if (!champion.empty() && (serving == nullptr || Rejected(serving))) {
    return Fallback(seen, champion);
  }
  if (seen.deployment->spec.updates == api::Updates::kManual) return Pinned(seen, champion);
  Selection selection;
  const ModelVersion* newest = Newest(seen, Eligible);
  if (newest == nullptr) {
    if (champion.empty()) selection.why = WhyNone(seen);
  } else if (serving == nullptr || NewerThan(*newest, *serving)) {
    selection.target = newest;
  }
  return selection;
}

std::string RebuildChampion(const Observed& seen) {
  const auto runs = [&](const ModelVersion& version) {
    return RunningOf(seen, version.meta.key.name).deployment != nullptr;
  };
  const ModelVersion* last = LastPromoted(seen, runs);
  if (last == nullptr) {
    last = LastPromoted(seen, [](const ModelVersion& version) { return !Rejected(&version); });
  }
  return last == nullptr ? "" : last->meta.key.name;
}

const ModelVersion* Previous(const Observed& seen, const std::string& champion) {
  return LastPromoted(seen, [&](const ModelVersion& version) {
    return Eligible(version) && version.meta.key.name != champion;
  });
}

const ModelVersion* VersionOfVariant(const Observed& seen, const std::string& variant) {
  return Newest(seen, [&](const ModelVersion& version) {
    return Declared(version) && version.spec.origin.variant == variant && Approved(version);
  });
}

std::vector<kube::CreateObject> MissingVersions(const Observed& seen) {
  std::vector<kube::CreateObject> missing;
  std::int64_t revision = NextRevision(seen);
  const auto declare = [&](const std::string& variant, const api::ModelReference& model) {
    const ModelVersion* newest = NewestDeclared(seen, variant);
    if (newest != nullptr && newest->spec.model == model) return;
    const std::string predecessor = newest == nullptr ? "" : newest->meta.key.name;
    missing.push_back(RenderVersion(*seen.deployment, {variant, model, predecessor, revision++}));
  };
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  if (spec.model && spec.variants.empty()) declare("", *spec.model);
  for (const api::FixedVariant& variant : spec.variants) declare(variant.name, variant.model);
  return missing;
}

}  // namespace perennial::deployment
