#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "retrain/approval.h"
#include "retrain/version.h"

namespace perennial::retrain {
namespace {

const WallTime kCreated{std::chrono::hours(500'000)};
const std::string kDigest = "sha256:" + std::string(64, '0');

class Approvals : public ::testing::Test {
 protected:
  Approvals() {
    version_.meta.key = {"transit", "v2"};
    version_.meta.uid = "uid-v2";
    version_.meta.generation = 1;
    version_.meta.created = kCreated;
    version_.spec.model_deployment = "departures";
    version_.spec.model = {"http://store/m", kDigest};
    version_.spec.requirements.approval.required = true;
  }

  api::ApprovalRule& rule() { return version_.spec.requirements.approval; }
  void Expires(Seconds after) { rule().expires_after = api::Duration{after}; }

  void Vote(const char* who, Seconds after, bool approve = true,
            const std::string& digest = kDigest) {
    auto approval = std::make_shared<api::ModelApproval>();
    approval->meta.key = {"transit", "vote-" + std::to_string(approvals_.size())};
    approval->meta.created = kCreated + after;
    approval->spec.model_version = "v2";
    approval->spec.digest = digest;
    approval->spec.approver = who;
    approval->spec.decision =
        approve ? api::ApprovalDecision::kApprove : api::ApprovalDecision::kReject;
    approvals_.push_back(std::move(approval));
  }

  void VoteOnStep(const char* who, int step, bool approve = true) {
    Vote(who, Seconds(1), approve);
    auto approval = std::make_shared<api::ModelApproval>(*approvals_.back());
    approval->spec.step = step;
    approvals_.back() = std::move(approval);
    Look(Seconds(2));
  }

  // Decides, and keeps the status as the API server would.
  kube::Plan Look(Millis after) {
    VersionObserved seen;
    seen.version = std::make_shared<api::ModelVersion>(version_);
    seen.deployment = deployment_;
    seen.approvals = approvals_;
    const kube::Plan plan = DecideVersion(seen, kCreated + after);
    if (plan.status) {
      const nlohmann::json object = {
          {"metadata", {{"name", "v2"}, {"namespace", "transit"}, {"uid", "uid-v2"}}},
          {"spec", nlohmann::json::parse(api::EncodeSpec(version_.spec))},
          {"status", nlohmann::json::parse(*plan.status)}};
      version_.status = api::DecodeModelVersion(object)->status;
    }
    return plan;
  }

  api::VersionPhase Phase() const { return version_.status.phase; }
  bool Says(const std::string& words) const {
    return version_.status.why.find(words) != std::string::npos;
  }

  api::ModelVersion version_;
  std::shared_ptr<api::ModelDeployment> deployment_;
  std::vector<std::shared_ptr<const api::ModelApproval>> approvals_;
};

TEST_F(Approvals, AreWaitedForUntilTheyExpire) {
  Expires(Seconds(3600));
  const kube::Plan first = Look(Seconds(0));
  EXPECT_EQ(Phase(), api::VersionPhase::kAwaitingApproval);
  EXPECT_TRUE(Says("by " + FormatTime(kCreated + Seconds(3600)))) << version_.status.why;
  ASSERT_TRUE(first.wake_at);
  EXPECT_FALSE(Look(Seconds(3600)).status);
  EXPECT_FALSE(Look(Millis(3'600'999)).status)
      << "who approves now does so at 3600, by their record";
  // It wakes itself up, and then it is over; told once.
  const kube::Plan over = Look(std::chrono::ceil<Seconds>(*first.wake_at - kCreated));
  EXPECT_EQ(Phase(), api::VersionPhase::kExpired);
  EXPECT_TRUE(Says("0 of 1 approvals")) << version_.status.why;
  EXPECT_TRUE(Says("retrain, or create a new ModelVersion")) << version_.status.why;
  ASSERT_EQ(over.actions.size(), 1u);
  const auto& event = std::get<kube::EmitEvent>(over.actions[0]);
  EXPECT_EQ(event.reason, "ApprovalExpired");
  EXPECT_EQ(event.type, kube::EmitEvent::Type::kWarning);
  const kube::Plan again = Look(Seconds(9999));
  EXPECT_FALSE(again.status);
  EXPECT_TRUE(again.actions.empty());
  EXPECT_FALSE(again.wake_at);
}

// flagger#497: a wait is announced once, however long it lasts and whatever else happens meanwhile.
TEST_F(Approvals, AreAskedForOnce) {
  rule().approvers = 3;
  int asked = 0;
  for (int hour = 0; hour < 48; ++hour) {
    if (hour == 5) Vote("ann", Seconds(5 * 3600));
    if (hour == 9) Vote("bob", Seconds(9 * 3600));
    for (const kube::Action& action : Look(Seconds(hour * 3600)).actions) {
      const auto* event = std::get_if<kube::EmitEvent>(&action);
      if (event != nullptr && event->reason == "AwaitingApproval") ++asked;
    }
    EXPECT_EQ(Phase(), api::VersionPhase::kAwaitingApproval);
  }
  EXPECT_EQ(asked, 1);
}

TEST_F(Approvals, ExpireAlsoAfterStatusWasLost) {
  Expires(Seconds(3600));
  Vote("late@example.org", Seconds(3601));
  Look(Seconds(9999));
  EXPECT_EQ(Phase(), api::VersionPhase::kExpired);
  EXPECT_TRUE(Says("1 approval(s) came too late and are void")) << version_.status.why;
  version_.status = {};
  Look(Seconds(10'000));
  EXPECT_EQ(Phase(), api::VersionPhase::kExpired);
}

TEST_F(Approvals, ThatCameInTimeHoldForever) {
  Expires(Seconds(3600));
  Vote("ada", Seconds(3600));
  Look(Seconds(100'000));
  EXPECT_EQ(Phase(), api::VersionPhase::kApproved);
}

TEST_F(Approvals, CanBeTakenBackAfterTheDeadline) {
  Expires(Seconds(3600));
  Vote("ada", Seconds(10));
  Vote("bob", Seconds(7200), false);
  Look(Seconds(7201));
  EXPECT_EQ(Phase(), api::VersionPhase::kRejected);
}

TEST_F(Approvals, OfTheAuthorDontCountWhereDutiesAreSeparate) {
  version_.spec.origin.author = "ada";
  Vote("ada", Seconds(1));
  Look(Seconds(2));
  EXPECT_EQ(Phase(), api::VersionPhase::kApproved);  // nobody asked for it
  rule().separation_of_duties = true;
  Look(Seconds(3));
  EXPECT_EQ(Phase(), api::VersionPhase::kAwaitingApproval);
  EXPECT_TRUE(Says("ada made this version, so somebody else must approve it"))
      << version_.status.why;
  EXPECT_TRUE(version_.status.approved_by.empty());
  Vote("bob", Seconds(4));
  Look(Seconds(5));
  EXPECT_EQ(Phase(), api::VersionPhase::kApproved);
  EXPECT_EQ(version_.status.approved_by, std::vector<std::string>{"bob"});
  // Against one's own version one may always decide.
  Vote("ada", Seconds(6), false);
  Look(Seconds(7));
  EXPECT_EQ(Phase(), api::VersionPhase::kRejected);
}

TEST_F(Approvals, CountForNothingWhereTheAuthorShouldBeKnownAndIsNot) {
  rule().separation_of_duties = true;
  Vote("bob", Seconds(1));
  struct Case {
    api::OriginType type;
    const char* trigger;
    const char* words;
  };
  for (const Case& c : {Case{api::OriginType::kExternal, "", "spec.origin.author"},
                        Case{api::OriginType::kSpec, "", "on the ModelDeployment"},
                        Case{api::OriginType::kRun, "Manual", "kubectl perennial retrain"}}) {
    version_.spec.origin.type = c.type;
    version_.spec.origin.trigger_type = c.trigger;
    Look(Seconds(2));
    EXPECT_EQ(Phase(), api::VersionPhase::kAwaitingApproval);
    EXPECT_TRUE(Says(c.words)) << version_.status.why;
  }
  // Nobody asked for what a drift began.
  version_.spec.origin.trigger_type = "Drift";
  Look(Seconds(3));
  EXPECT_EQ(Phase(), api::VersionPhase::kApproved);
}

TEST_F(Approvals, AreAskedForByWhoeverIsStricter) {
  deployment_ = std::make_shared<api::ModelDeployment>();
  deployment_->spec.approval = api::ApprovalRule{};
  api::ApprovalRule& other = *deployment_->spec.approval;
  other = {.required = true,
           .approvers = 2,
           .expires_after = api::Duration{Seconds(600)},
           .separation_of_duties = true};
  rule().expires_after = api::Duration{Seconds(60)};
  const auto both = EffectiveApproval(version_, deployment_.get());
  EXPECT_EQ(both.approvers, 2);
  EXPECT_TRUE(both.separation_of_duties);
  EXPECT_EQ(both.expires_after->value, Seconds(60));
  rule() = {};
  EXPECT_EQ(EffectiveApproval(version_, deployment_.get()), other);
  other.required = false;
  EXPECT_FALSE(EffectiveApproval(version_, deployment_.get()).required);
}

TEST_F(Approvals, OfAStepAreOfThatStepAlone) {
  VoteOnStep("ada", 2);
  EXPECT_EQ(Phase(), api::VersionPhase::kAwaitingApproval) << "that it may serve, nobody has said";
  EXPECT_EQ(version_.status.approved_steps, std::vector<int>{2});
  Vote("ada", Seconds(1));
  Look(Seconds(2));
  EXPECT_EQ(Phase(), api::VersionPhase::kApproved);
  // As many as the rule asks for, and different ones.
  version_.spec.requirements.approval.approvers = 2;
  VoteOnStep("ada", 1);
  EXPECT_TRUE(version_.status.approved_steps.empty());
  VoteOnStep("bob", 1);
  EXPECT_EQ(version_.status.approved_steps, std::vector<int>{1});
  VoteOnStep("eve", 2, false);
  EXPECT_EQ(Phase(), api::VersionPhase::kRejected) << "a rejection is of the version";
}

// `required` is about the first pod; a step that waits for approval asks for one itself.
TEST_F(Approvals, OfAStepFollowTheRuleThoughNoneIsRequiredBeforeTheFirstPod) {
  rule() = {};
  version_.spec.origin.author = "ada";
  deployment_ = std::make_shared<api::ModelDeployment>();
  deployment_->spec.approval = api::ApprovalRule{.approvers = 2, .separation_of_duties = true};
  VoteOnStep("bob", 1);
  EXPECT_EQ(Phase(), api::VersionPhase::kApproved);
  EXPECT_TRUE(version_.status.approved_steps.empty()) << "one of two";
  VoteOnStep("ada", 1);
  EXPECT_TRUE(version_.status.approved_steps.empty()) << "the author's own doesn't count";
  VoteOnStep("eve", 1);
  EXPECT_EQ(version_.status.approved_steps, std::vector<int>{1});
}

TEST_F(Approvals, OfAnotherDigestAreVoid) {
  Vote("ada", Seconds(1), true, "sha256:" + std::string(64, '1'));
  Look(Seconds(2));
  EXPECT_EQ(Phase(), api::VersionPhase::kAwaitingApproval);
  EXPECT_TRUE(Says("1 approval(s) of another digest are void")) << version_.status.why;
}

}  // namespace
}  // namespace perennial::retrain
