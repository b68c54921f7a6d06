#pragma once

#include <optional>
#include <string>

#include "base/clock.h"

namespace perennial::api {

// A decimal number that manifests write as a string ("0.25"): Kubernetes' API conventions rule out
// floats in specs. Both forms are kept so that what the user wrote is what status shows.
struct Decimal {
  double value = 0;
  std::string text;
  bool operator==(const Decimal&) const = default;
};

// A GEP-2257 duration ("90s", "1h30m").
struct Duration {
  Millis value{0};
  bool operator==(const Duration&) const = default;
};

// A moment, RFC 3339 in JSON, whole seconds.
struct Time {
  WallTime value{};
  bool operator==(const Time&) const = default;
};

// A part of a manifest that belongs to another API (a pod template): compact canonical JSON text.
struct RawJson {
  std::string text;
  bool empty() const { return text.empty(); }
  bool operator==(const RawJson&) const = default;
};

}  // namespace perennial::api
