// Requests that fail for two minutes in the middle of whole stories: the end state and the numbers
// of creations and deletions must be those of the undisturbed run.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "faults/story_plots.h"
#include "support/in_process.h"

namespace perennial::testing {
namespace {

using std::chrono::minutes;

kube::Response Refusal(int status, const std::string& reason, const std::string& message) {
  return {status, StatusJson(status, reason, message), {}};
}

Match Writes() {
  Match match;
  match.writes = true;
  return match;
}

struct FaultCase {
  std::string name;
  Match match;
  std::optional<kube::Response> answer;
  // Requests that match in the two minutes of the outage. A queue that begins with 5 ms and doubles
  // them comes 15 times in this time, for each of four objects, and a client that lost a
  // connection asks once more.
  int most_tries = 4 * 15 * 3;
};

void PrintTo(const FaultCase& fault, std::ostream* out) {
  *out << fault.name;
}

std::vector<FaultCase> FaultCases() {
  kube::Response throttled = Refusal(429, "TooManyRequests", "please try again later");
  throttled.retry_after = Seconds(20);
  return {
      {"ApiServerIsAway", {}, {}},
      {"ConflictsWithoutEnd", Writes(), Refusal(409, "Conflict", "the object has been modified")},
      {"ThrottledWithRetryAfter", {}, throttled, 40},
      {"InternalErrors", {}, Refusal(500, "InternalError", "try later")},
      {"ServerTimeouts", Writes(), Refusal(504, "Timeout", "request did not complete")},
      {"EtcdIsOutOfSpace", Writes(),
       Refusal(500, "InternalError", "etcdserver: mvcc: database space exceeded")},
      {"AdmissionDenies", On("PATCH", "/deployments/"),
       Refusal(403, "Forbidden",
               "admission webhook \"policy.example.org\" denied the request: no")},
      {"AdmissionDeniesRoutes", On("PATCH", "/httproutes/"),
       Refusal(400, "BadRequest", "admission webhook \"routes.example.org\" denied the request")},
      {"QuotaOfJobsIsExceeded", On("POST", "/jobs"),
       Refusal(403, "Forbidden", "jobs.batch is forbidden: exceeded quota: runs, limited: 0")},
      {"QuotaOfServicesIsExceeded", On("PATCH", "/services/"),
       Refusal(403, "Forbidden", "services is forbidden: exceeded quota: few, limited: 1")},
      {"StatusesAreNotWritten", On("PATCH", "/status"), Refusal(500, "InternalError", "try later")},
  };
}

class Outages : public ::testing::TestWithParam<FaultCase> {};

// Two minutes, which are within every deadline of the story, from each of several of its writes on.
TEST_P(Outages, EndWhereTheUndisturbedStoryEnds) {
  const FaultCase& fault = GetParam();
  for (Plot plot : {DriftIsCured(), Approval()}) {
    const Told reference = Tell(plot);
    for (int at = 1; at <= reference.writes; at += 1 + reference.writes / 3) {
      SCOPED_TRACE(plot.name + " at write " + std::to_string(at));
      plot.options.outages = {{at, minutes(2), fault.match, fault.answer}};
      int tries = 0;
      plot.options.outages[0].seen = [&] { ++tries; };
      const Told told = Tell(plot);
      ExpectSame(told, reference, at);
      EXPECT_LE(tries, fault.most_tries) << "the API server is hammered";
      if (HasFailure()) return;
    }
  }
}

std::string NameOfFault(const ::testing::TestParamInfo<FaultCase>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Faults, Outages, ::testing::ValuesIn(FaultCases()), NameOfFault);

}  // namespace
}  // namespace perennial::testing
