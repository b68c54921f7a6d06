#pragma once

#include "api/schema.h"

// Rules that several tables share.
namespace perennial::api {

constexpr Rules Required(Rules rules = {}) {
  rules.required = true;
  return rules;
}

constexpr Rules Always(Rules rules = {}) {
  rules.always = true;
  return rules;
}

// What people read in a status; as long as metav1.Condition allows a message to be.
inline constexpr Rules kMessage{.max_length = 32768};

// The name of an object of ours, in our own namespace: it becomes a label's value.
inline constexpr Rules kObjectName{
    .pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    .wants = "the name of an object: lower-case letters, digits and '-'",
    .max_length = 63};
// A name inside a list, chosen by the user.
inline constexpr Rules kItemName{
    .pattern = "^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$",
    .wants = "a name: letters, digits, '-', '_' and '.', from a letter or digit to one",
    .max_length = 63};
inline constexpr Rules kPortName{.pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                                 .wants = "the name of a container port, such as \"http\"",
                                 .max_length = 15};
inline constexpr Rules kMetricName{
    .pattern = "^[a-zA-Z_:][a-zA-Z0-9_:]*$",
    .wants = "the name of a Prometheus metric, such as \"predictions_total\"",
    .max_length = 256};
inline constexpr Rules kLabelName{.pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$",
                                  .wants = "the name of a Prometheus label",
                                  .max_length = 128};
inline constexpr Rules kUri{.pattern = "^[a-zA-Z][a-zA-Z0-9+.-]*://[^\\s]+$",
                            .wants = "an absolute URI, such as \"oci://models/departures:3\"",
                            .max_length = 2048};
inline constexpr Rules kDigest{.pattern = "^sha256:[0-9a-f]{64}$",
                               .wants = "\"sha256:\" and 64 lower-case hexadecimal digits",
                               .max_length = 71};

}  // namespace perennial::api
