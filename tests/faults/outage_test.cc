// Requests that fail for two minutes in the middle of whole stories, or for one object as long as
// it is: the end state and the numbers of creations and deletions must be those of the undisturbed
// run.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "api/names.h"
#include "faults/story_plots.h"
#include "support/in_process.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using std::chrono::minutes;

kube::Response Refusal(int status, const std::string& reason, const std::string& message) {
  return {status, StatusJson(status, reason, message), {}};
}

// As an API server refuses bodies of more than 3 MB.
kube::Response TooLarge() {
  return Refusal(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
}
kube::Response EtcdIsLost() {
  return Refusal(503, "ServiceUnavailable", "etcdserver: no leader");
}

Match Writes() {
  Match match;
  match.writes = true;
  return match;
}

// Requests that match in the two minutes of an outage. A queue that begins with 5 ms and doubles
// them comes 15 times in this time, for each of four objects, and a client that lost a connection
// asks once more.
constexpr int kMostTries = 4 * 15 * 3;

struct FaultCase {
  std::string name;
  Match match;
  std::optional<kube::Response> answer;
  int most_tries = kMostTries;
  // What a status must say meanwhile, word for word as the API server said it; empty where no
  // status can be written, or where waiting is all that there is to do.
  std::string told{};
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
      {"EtcdIsLost", {}, EtcdIsLost()},
      {"ServerTimeouts", Writes(), Refusal(504, "Timeout", "request did not complete")},
      {"EtcdIsOutOfSpace", Writes(),
       Refusal(500, "InternalError", "etcdserver: mvcc: database space exceeded")},
      {"AdmissionDenies", On("PATCH", "/deployments/"),
       Refusal(403, "Forbidden", "admission webhook \"policy.example.org\" denied the request: no"),
       kMostTries, "denied the request: no"},
      {"AdmissionDeniesRoutes", On("PATCH", "/httproutes/"),
       Refusal(400, "BadRequest", "admission webhook \"routes.example.org\" denied the request"),
       kMostTries, "denied the request"},
      {"QuotaOfJobsIsExceeded", On("POST", "/jobs"),
       Refusal(403, "Forbidden", "jobs.batch is forbidden: exceeded quota: runs, limited: 0"),
       kMostTries, "exceeded quota: runs"},
      {"QuotaOfServicesIsExceeded", On("PATCH", "/services/"),
       Refusal(403, "Forbidden", "services is forbidden: exceeded quota: few, limited: 1"),
       kMostTries, "exceeded quota: few"},
      {"StatusesAreNotWritten", On("PATCH", "/status"), Refusal(500, "InternalError", "try later")},
      {"ObjectsAreTooLarge", On("PATCH", "/deployments/"), TooLarge(), kMostTries,
       "Request entity too large"},
      // Each look tries twice: with the whole status, and with its conditions alone.
      {"StatusesAreTooLarge", On("PATCH", "/status"), TooLarge(), 2 * kMostTries},
  };
}

class Outages : public ::testing::TestWithParam<FaultCase> {};

// The requests of an undisturbed story, as they are logged: "17 PATCH /apis/... {...}".
kube::Request Logged(const std::string& line) {
  std::istringstream words(line);
  kube::Request request;
  std::string number;
  words >> number >> request.method >> request.path;
  return request;
}

// Three writes that the outage begins with: those that it hits, or any where it hits reads too.
std::vector<int> Points(const Told& reference, const Match& match) {
  std::vector<int> hit;
  for (int at = 1; at <= reference.writes; ++at) {
    Match of_line = match;
    of_line.creates = false;  // takes more than a line of the log has
    if (of_line(Logged(reference.log[static_cast<std::size_t>(at - 1)]))) hit.push_back(at);
  }
  std::vector<int> points;
  const std::size_t step = 1 + hit.size() / 3;
  for (std::size_t i = 0; i < hit.size(); i += step) points.push_back(hit[i]);
  return points;
}

bool ToldInAStatus(const Told& told, const std::string& text) {
  const std::string quoted = nlohmann::json(text).dump();
  const std::string inner = quoted.substr(1, quoted.size() - 2);
  return std::any_of(told.log.begin(), told.log.end(), [&](const std::string& line) {
    return line.find("/status") != std::string::npos && line.find(inner) != std::string::npos;
  });
}

// Two minutes, which are within every deadline of the story, from each of several of its writes on.
TEST_P(Outages, EndWhereTheUndisturbedStoryEnds) {
  const FaultCase& fault = GetParam();
  int points = 0;
  for (Plot plot : {DriftIsCured(), Approval()}) {
    const Told reference = Tell(plot);
    for (const int at : Points(reference, fault.match)) {
      SCOPED_TRACE(plot.name + " at write " + std::to_string(at));
      plot.options.outages = {{at, minutes(2), fault.match, fault.answer}};
      int tries = 0;
      plot.options.outages[0].seen = [&] { ++tries; };
      const Told told = Tell(plot);
      ExpectSame(told, reference, at);
      EXPECT_GT(tries, 0) << "nothing met the outage";
      EXPECT_LE(tries, fault.most_tries) << "the API server is hammered";
      if (!fault.told.empty()) {
        EXPECT_TRUE(ToldInAStatus(told, fault.told)) << "no status says why nothing happens";
      }
      ++points;
      if (HasFailure()) return;
    }
  }
  EXPECT_GE(points, 2) << "the outage hits nothing that the stories do";
}

std::string NameOfFault(const ::testing::TestParamInfo<FaultCase>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Faults, Outages, ::testing::ValuesIn(FaultCases()), NameOfFault);

// Who can't renew its Lease ends at the beginning of the outage, and so does its successor in the
// middle of it.
TEST(LongOutages, ProcessesThatEndMeanwhileLoseNothingAndMakeNothingTwice) {
  for (Plot plot : {DriftIsCured(), Approval()}) {
    const Told reference = Tell(plot);
    for (const std::optional<kube::Response>& answer :
         {std::optional<kube::Response>(), std::optional(EtcdIsLost())}) {
      for (const int at : Points(reference, {})) {
        SCOPED_TRACE(plot.name + " at write " + std::to_string(at) +
                     (answer ? ", without etcd" : ", without connections"));
        int tries = 0;
        plot.options.outages = {{at, minutes(2), {}, answer, [&] { ++tries; }}};
        const Told told = Tell(
            plot, {{Trouble::Kind::kCrashBefore, at, 1}, {Trouble::Kind::kCrashBefore, at + 3, 1}});
        ExpectSame(told, reference, at);
        EXPECT_GE(told.crashes, 1);
        EXPECT_GT(tries, 0) << "nothing met the outage";
        EXPECT_LE(tries, 2 * kMostTries) << "the API server is hammered";
        if (HasFailure()) return;
      }
    }
  }
}

bool BothServe(const StoryWorld& world) {
  return std::all_of(world.models().begin(), world.models().end(), [&](const std::string& model) {
    const json status = world.Object(api::kModelDeployments, model).value("status", json::object());
    return !status.value("champion", "").empty();
  });
}

// Of two models, what the first one needs is too large for the API server: its Deployment, of which
// its status tells, or its status itself.
TEST(TooLargeObjects, AreNotTriedWithoutEndAndHoldUpNothingElse) {
  StoryOptions options = AnEditBehindAGrpcRoute().options;
  options.others = {"arrivals"};
  StoryWorld reference(options);
  RunUntil(
      reference, [&] { return BothServe(reference); }, minutes(4));
  for (const auto& [path, told] : {std::pair("/deployments/departures", true),
                                   std::pair("/modeldeployments/departures/status", false)}) {
    SCOPED_TRACE(path);
    StoryWorld world(options);
    int tries = 0;
    world.now = Outage{1, {}, On("PATCH", path), TooLarge(), [&] { ++tries; }};
    world.Run(minutes(10));
    const auto status_of = [&](const char* model) {
      return world.Object(api::kModelDeployments, model).value("status", json::object());
    };
    EXPECT_NE(status_of("arrivals").value("champion", ""), "") << "the other one goes on";
    EXPECT_EQ(status_of("departures").value("champion", ""), "");
    EXPECT_EQ(status_of("departures").dump().find("Request entity too large") != std::string::npos,
              told);
    EXPECT_GT(tries, 0);
    EXPECT_LE(tries, 60) << "the API server is hammered";
    world.now.reset();
    RunUntil(
        world, [&] { return BothServe(world); }, minutes(4));
    EXPECT_EQ(world.Summary(), reference.Summary());
    EXPECT_EQ(world.Tally(), reference.Tally());
    EXPECT_EQ(world.violations(), std::vector<std::string>());
  }
}

}  // namespace
}  // namespace perennial::testing
