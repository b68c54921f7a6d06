// The commands of kubectl-perennial against an API server in this process.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "api/names.h"
#include "app/commands.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::app {
namespace {

using nlohmann::json;
using ::perennial::testing::FakeApiServer;
using ::perennial::testing::InProcess;

// Who the user is, as an API server would say.
class AsUser final : public kube::Transport {
 public:
  AsUser(kube::Transport& inner, std::string user) : inner_(inner), user_(std::move(user)) {}
  Result<kube::Response> Send(const kube::Request& request, Millis deadline) override {
    if (request.path == "/apis/authentication.k8s.io/v1/selfsubjectreviews") {
      return kube::Response{
          201, json{{"status", {{"userInfo", {{"username", user_}}}}}}.dump(), {}};
    }
    return inner_.Send(request, deadline);
  }
  Status Stream(const kube::Request& request, Millis idle,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    return inner_.Stream(request, idle, on_line, stop);
  }

 private:
  kube::Transport& inner_;
  std::string user_;
};

constexpr const char* kDigest =
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    server_.Put(api::kModelVersions,
                {{"metadata", {{"namespace", "transit"}, {"name", "departures-2"}}},
                 {"spec",
                  {{"modelDeployment", "departures"},
                   {"revision", 2},
                   {"model", {{"uri", "http://models/2"}, {"digest", kDigest}}}}},
                 {"status", {{"phase", "AwaitingApproval"}}}});
    server_.Put(api::kRetrainPolicies,
                {{"metadata", {{"namespace", "transit"}, {"name", "departures"}}},
                 {"spec", {{"modelDeployment", "departures"}}}});
    server_.Put(api::kRetrainPolicies,
                {{"metadata", {{"namespace", "transit"}, {"name", "another"}}},
                 {"spec", {{"modelDeployment", "arrivals"}}}});
  }

  void PutDeployment(json status) {
    server_.Put(api::kModelDeployments,
                {{"metadata", {{"namespace", "transit"}, {"name", "departures"}}},
                 {"spec", {{"template", {{"spec", {{"containers", json::array()}}}}}}},
                 {"status", std::move(status)}});
  }
  CommandContext As(const char* user) {
    transport_.emplace(server_.transport(), user);
    client_.emplace(*transport_, clock_, "kubectl-perennial");
    out_.str("");
    return {*transport_, *client_, clock_, "transit", out_};
  }
  // What an annotation names, without its token.
  std::string About(std::string_view key) {
    const std::string value = Annotation(api::kModelDeployments, key);
    EXPECT_NE(value.find(':'), std::string::npos) << value;
    return value.substr(0, value.find(':'));
  }
  std::string Annotation(const kube::Resource& resource, std::string_view key) {
    const auto object = server_.Get({resource, {"transit", "departures"}});
    const json annotations = object->at("metadata").value("annotations", json::object());
    return annotations.value(std::string(key), "");
  }

  FakeApiServer server_{InProcess()};
  ::perennial::testing::ManualClock clock_;
  std::optional<AsUser> transport_;
  std::optional<kube::Client> client_;
  std::ostringstream out_;
};

TEST_F(CommandsTest, AnApprovalNamesItsUserAndTheDigestOnce) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        Judge(As("ada"), "departures-2", api::ApprovalDecision::kApprove, "report is fine").ok());
  }
  EXPECT_NE(out_.str().find("already approved by ada"), std::string::npos) << out_.str();
  const auto approvals = server_.List(api::kModelApprovals);
  ASSERT_EQ(approvals.size(), 1u);
  EXPECT_EQ(approvals[0]["spec"], json({{"modelVersion", "departures-2"},
                                        {"digest", kDigest},
                                        {"decision", "Approve"},
                                        {"approver", "ada"},
                                        {"reason", "report is fine"}}));
  EXPECT_EQ(approvals[0]["metadata"]["ownerReferences"][0]["kind"], "ModelVersion");
}

TEST_F(CommandsTest, PeopleAndDecisionsAreKeptApart) {
  using api::ApprovalDecision;
  ASSERT_TRUE(Judge(As("ada"), "departures-2", ApprovalDecision::kApprove, "").ok());
  ASSERT_TRUE(Judge(As("bob"), "departures-2", ApprovalDecision::kApprove, "").ok());
  ASSERT_TRUE(Judge(As("bob"), "departures-2", ApprovalDecision::kReject, "bias").ok());
  ASSERT_TRUE(Judge(As("bob"), "departures-2", ApprovalDecision::kApprove, "", 2).ok());
  EXPECT_EQ(server_.List(api::kModelApprovals).size(), 4u);
}

TEST_F(CommandsTest, AVersionThatDoesNotExistIsNamed) {
  const Status status = Judge(As("ada"), "nope", api::ApprovalDecision::kApprove, "");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "ModelVersion transit/nope does not exist");
}

TEST_F(CommandsTest, RetrainAsksWithATokenThatIsNew) {
  ASSERT_TRUE(Retrain(As("ada"), "departures").ok());
  const std::string first = Annotation(api::kRetrainPolicies, api::kAnnotationRetrain);
  EXPECT_FALSE(first.empty());
  clock_.Advance(Millis(1));
  ASSERT_TRUE(Retrain(As("ada"), "departures").ok());
  EXPECT_NE(Annotation(api::kRetrainPolicies, api::kAnnotationRetrain), first);
  EXPECT_EQ(Annotation(api::kRetrainPolicies, api::kAnnotationAuthor), "ada");
}

TEST_F(CommandsTest, PromoteAndAbortNameTheVersionUnderWay) {
  PutDeployment({{"rollout", {{"version", "departures-2"}, {"phase", "Progressing"}}}});
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kPromoteFull).ok());
  EXPECT_EQ(About(api::kAnnotationPromote), "departures-2");
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kPromote).ok());
  EXPECT_EQ(About(api::kAnnotationPromote), "departures-2/1") << "the step that it is in";
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kPause).ok());
  EXPECT_EQ(About(api::kAnnotationPause), "departures-2");
  const std::string first = Annotation(api::kModelDeployments, api::kAnnotationPause);
  clock_.Advance(Millis(1));
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kPause).ok());
  EXPECT_NE(Annotation(api::kModelDeployments, api::kAnnotationPause), first) << "asked anew";
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kAbort).ok());
  EXPECT_EQ(About(api::kAnnotationAbort), "departures-2");
  EXPECT_FALSE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kResume).ok())
      << "it is not paused";
}

TEST_F(CommandsTest, RetryIsAboutWhatWasRolledBack) {
  PutDeployment({{"rollout", {{"version", "departures-2"}, {"phase", "Progressing"}}}});
  EXPECT_FALSE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kRetry).ok());
  PutDeployment({{"rollout", {{"version", "departures-2"}, {"phase", "RolledBack"}}}});
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kRetry).ok());
  EXPECT_EQ(About(api::kAnnotationRetry), "departures-2");
}

TEST_F(CommandsTest, UndoNamesTheVersionToReturnTo) {
  PutDeployment({{"champion", "departures-2"}});
  const Status nothing = Undo(As("ada"), "departures", "");
  ASSERT_FALSE(nothing.ok()) << "none served before";
  EXPECT_NE(nothing.error().message.find("--to"), std::string::npos);
  ASSERT_TRUE(Undo(As("ada"), "departures", "departures-1").ok());
  EXPECT_EQ(About(api::kAnnotationUndo), "departures-1");
}

TEST_F(CommandsTest, ResumeNamesTheVersion) {
  PutDeployment({{"rollout", {{"version", "departures-2"}, {"phase", "Paused"}, {"step", 1}}}});
  ASSERT_TRUE(AnswerRollout(As("ada"), "departures", RolloutAnswer::kResume).ok());
  EXPECT_EQ(About(api::kAnnotationResume), "departures-2");
}

TEST_F(CommandsTest, NothingUnderWayIsNothingToAnswer) {
  PutDeployment({{"rollout", {{"version", "departures-2"}, {"phase", "Promoted"}}}});
  const Status status = AnswerRollout(As("ada"), "departures", RolloutAnswer::kAbort);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("no rollout under way"), std::string::npos);
  EXPECT_EQ(Annotation(api::kModelDeployments, api::kAnnotationAbort), "");
}

TEST_F(CommandsTest, WhyIsTextOrJson) {
  PutDeployment({{"champion", "departures-2"},
                 {"variants",
                  {{{"name", "champion"},
                    {"version", "departures-2"},
                    {"model", {{"uri", "http://models/2"}}}}}}});
  ASSERT_TRUE(Judge(As("ada"), "departures-2", api::ApprovalDecision::kApprove, "fine").ok());
  out_.str("");
  const Status text = PrintWhy(As("ada"), "departures", false);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_NE(out_.str().find("champion  departures-2"), std::string::npos) << out_.str();
  out_.str("");
  ASSERT_TRUE(PrintWhy(As("ada"), "departures", true).ok());
  const json why = json::parse(out_.str());
  EXPECT_EQ(why["serving"][0]["chain"][0]["approvals"]["given"][0]["approver"], "ada");
}

TEST_F(CommandsTest, StatusShowsWhatBelongsToTheDeployment) {
  PutDeployment({{"why", "all traffic goes to departures-1"}});
  ASSERT_TRUE(PrintStatus(As("ada"), "departures").ok());
  const std::string text = out_.str();
  EXPECT_NE(text.find("WHY  all traffic goes to departures-1"), std::string::npos) << text;
  EXPECT_NE(text.find("approve departures-2"), std::string::npos) << text;
  EXPECT_NE(text.find("RETRAIN departures"), std::string::npos) << text;
  EXPECT_EQ(text.find("another"), std::string::npos) << text;
}

TEST_F(CommandsTest, StatusTellsWhereAWaitingRunStandsNow) {
  const auto put = [&](const char* name, const char* deployment, const char* enqueued,
                       const char* phase) {
    server_.Put(
        api::kRetrainPolicies,
        {{"metadata", {{"namespace", "transit"}, {"name", name}}},
         {"spec", {{"modelDeployment", deployment}, {"job", {{"template", json::object()}}}}},
         {"status",
          {{"runs", json::array({{{"name", "r"},
                                  {"phase", phase},
                                  {"enqueued", enqueued},
                                  {"position", 90},
                                  {"message", "waits for its turn at position 90"}}})}}}});
  };
  PutDeployment(json::object());
  put("departures", "departures", "2026-01-01T00:00:05Z", "Waiting");
  put("another", "arrivals", "2026-01-01T00:00:03Z", "Waiting");
  put("third", "third", "2026-01-01T00:00:04Z", "Waiting");
  put("later", "later", "2026-01-01T00:00:09Z", "Waiting");
  put("runs", "runs", "2026-01-01T00:00:01Z", "Running");
  const CommandContext context = As("ann");
  ASSERT_TRUE(PrintStatus(context, "departures").ok());
  EXPECT_NE(out_.str().find(" now at position 3 among"), std::string::npos) << out_.str();
}

}  // namespace
}  // namespace perennial::app
