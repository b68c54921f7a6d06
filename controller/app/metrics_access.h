#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "kube/transport.h"

namespace perennial::app {

// Who may read /metrics: whoever the API server knows by the bearer token (TokenReview) and allows
// to `get` the path (SubjectAccessReview on a non-resource URL), as controller-runtime's
// WithAuthenticationAndAuthorization asks. Not thread-safe: the metrics server has one thread.
class MetricsAccess {
 public:
  MetricsAccess(kube::Transport& transport, const Clock& clock)
      : transport_(transport), clock_(clock) {}

  // The status to answer with: 200, 401 (who is that?), 403 (known, and not allowed), or 503 when
  // the API server doesn't say, or is asked too often by those it doesn't know. `authorization` is
  // the header's value. May wait for the API server.
  int Check(std::string_view authorization, std::string_view path);

 private:
  struct Verdict {
    int status = 0;
    Millis until{0};
    Millis kept{0};  // until when a reader is known, though asked about again
  };
  // Questions that may be asked: some at once, and so many a second.
  class Turns {
   public:
    bool Take(Millis now);

   private:
    double left_ = 10;
    Millis at_{0};
  };
  int Ask(std::string_view token, std::string_view path) const;

  kube::Transport& transport_;
  const Clock& clock_;
  std::map<std::string, Verdict> verdicts_;  // by hash of token and path: no token is kept
  Turns of_strangers_;
  Turns of_readers_;  // who was allowed before doesn't wait behind those
};

}  // namespace perennial::app
