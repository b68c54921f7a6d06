#pragma once

#include "api/model_approval.h"
#include "api/rules.h"
#include "api/schema.h"

namespace perennial::api {

template <>
struct EnumNames<ApprovalDecision> {
  static constexpr std::array<std::string_view, 2> kNames{"Approve", "Reject"};
};

template <>
struct Schema<ModelApprovalSpec> {
  using T = ModelApprovalSpec;
  static constexpr std::tuple kFields{
      Field{"modelVersion", &T::model_version, "The ModelVersion that is decided about.",
            Required(kObjectName)},
      Field{"digest", &T::digest,
            "The digest of the version's artifact. An approval of another digest is void.",
            kDigest},
      Field{"decision", &T::decision,
            "Approve or Reject. A rejection is final for its version; rejecting one that serves "
            "rolls back.",
            Rules{.required = true}},
      Field{"approver", &T::approver,
            "The user who creates this object, as the API server knows them (kubectl auth whoami).",
            Rules{.required = true, .min_length = 1, .max_length = 256}},
      Field{"reason", &T::reason, "Why.", Rules{}},
      Field{
          "step", &T::step,
          "Of the version's rollout (1 is the first): an approval lets this step end, where it has "
          "approval: true. None: the version may serve. A rejection is of the version in any case.",
          Rules{.min = 0, .max = 32}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self == oldSelf", "a ModelApproval never changes: create another one", "", nullptr},
  };
};

}  // namespace perennial::api
