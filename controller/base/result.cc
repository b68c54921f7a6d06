#include "base/result.h"

namespace perennial {

const char* ToString(Errc code) {
  switch (code) {
    case Errc::kNotFound:
      return "not_found";
    case Errc::kAlreadyExists:
      return "already_exists";
    case Errc::kConflict:
      return "conflict";
    case Errc::kInvalid:
      return "invalid";
    case Errc::kForbidden:
      return "forbidden";
    case Errc::kUnauthorized:
      return "unauthorized";
    case Errc::kGone:
      return "gone";
    case Errc::kThrottled:
      return "throttled";
    case Errc::kUnavailable:
      return "unavailable";
    case Errc::kTimeout:
      return "timeout";
    case Errc::kCancelled:
      return "cancelled";
    case Errc::kTooLarge:
      return "too_large";
  }
  return "unknown";
}

}  // namespace perennial
