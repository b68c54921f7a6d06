#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/clock.h"

namespace perennial {

// What kind of failure it was: callers decide on this, people read Error::message.
enum class Errc {
  kNotFound,       // the object or path does not exist
  kAlreadyExists,  // create of a name that is taken
  kConflict,       // optimistic lock lost, or another field manager owns the field
  kInvalid,        // the input is wrong; trying again cannot help until it changes
  kForbidden,      // authenticated, but not allowed (also quota and admission)
  kUnauthorized,   // credentials refused
  kGone,           // the resource version is too old: list again
  kThrottled,      // 429: try again after Error::retry_after
  kUnavailable,    // connection failed or 5xx: the outcome of a write is unknown
  kTimeout,        // our own deadline passed: the outcome of a write is unknown
  kCancelled,      // the caller asked to stop
  kTooLarge,       // a limit on size or count was exceeded
};

// Stable lower-case name ("not_found"), for logs and metric labels.
const char* ToString(Errc code);

struct Error {
  Errc code = Errc::kUnavailable;
  std::string message;
  std::optional<Millis> retry_after{};

  bool operator==(const Error&) const = default;
};

struct Unit {
  bool operator==(const Unit&) const = default;
};

// A value or the reason why there is none. std::expected needs C++23.
// Reading the wrong alternative is a broken invariant and aborts.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(implicit)
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(implicit)

  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }

  const T& operator*() const& {
    PERENNIAL_CHECK(ok());
    return *std::get_if<0>(&v_);
  }
  T& operator*() & {
    PERENNIAL_CHECK(ok());
    return *std::get_if<0>(&v_);
  }
  T&& operator*() && {
    PERENNIAL_CHECK(ok());
    return std::move(*std::get_if<0>(&v_));
  }
  const T* operator->() const { return &**this; }
  T* operator->() { return &**this; }

  const Error& error() const {
    PERENNIAL_CHECK(!ok());
    return *std::get_if<1>(&v_);
  }

 private:
  std::variant<T, Error> v_;
};

using Status = Result<Unit>;

inline Status Ok() {
  return Status(Unit{});
}

}  // namespace perennial

#define PERENNIAL_CONCAT_INNER(a, b) a##b
#define PERENNIAL_CONCAT(a, b) PERENNIAL_CONCAT_INNER(a, b)

// PERENNIAL_TRY(auto x, Expr()) binds the value, or returns the error from the enclosing function.
#define PERENNIAL_TRY(declaration, expression)                 \
  auto PERENNIAL_CONCAT(try_result_, __LINE__) = (expression); \
  if (!PERENNIAL_CONCAT(try_result_, __LINE__).ok())           \
    return PERENNIAL_CONCAT(try_result_, __LINE__).error();    \
  declaration = *std::move(PERENNIAL_CONCAT(try_result_, __LINE__))

// The same for a Status, whose value nobody needs.
#define PERENNIAL_TRY_STATUS(expression)                                                \
  do {                                                                                  \
    if (auto try_status_ = (expression); !try_status_.ok()) return try_status_.error(); \
  } while (false)
