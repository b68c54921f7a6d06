#pragma once

#include "api/rules.h"
#include "api/schema.h"
#include "kube/meta.h"

namespace perennial::api {

template <>
struct Schema<kube::Condition> {
  using T = kube::Condition;
  static constexpr std::tuple kFields{
      Field{"type", &T::type, "What the condition is about.",
            Rules{.required = true, .min_length = 1, .max_length = 316}},
      Field{"status", &T::status, "True, False or Unknown.",
            Rules{.required = true,
                  .pattern = "^(True|False|Unknown)$",
                  .wants = "True, False or Unknown",
                  .max_length = 7}},
      Field{"reason", &T::reason, "Why, in one CamelCase word.",
            Rules{.required = true, .min_length = 1, .max_length = 1024}},
      Field{"message", &T::message, "Why, in words.", Required(kMessage)},
      Field{"observedGeneration", &T::observed_generation,
            "The metadata.generation that this was decided on.", Rules{.min = 0}},
      Field{"lastTransitionTime", &T::last_transition_time, "When the status last changed.",
            Rules{.required = true, .max_length = 40}},
  };
};

// A status's list of conditions.
inline constexpr Rules kConditions{.max_items = 32, .list_key = "type"};
inline constexpr const char* kConditionsDoc =
    "What holds at the moment: Ready, and what the kind's reference lists beside it.";
inline constexpr const char* kObservedGenerationDoc =
    "The metadata.generation that the controller has acted on; -1 before the first time.";

}  // namespace perennial::api
