// A probe that asks a Prometheus: which question, and what an answer comes to.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "deployment/fleet.h"
#include "deployment/probes.h"
#include "deployment/query_probe.h"
#include "deployment/render.h"

namespace perennial::deployment {
namespace {

using api::Verdict;

class QueryProbe : public ::testing::Test {
 protected:
  QueryProbe() {
    md_.meta.key = {"transit", "departures"};
    md_.spec.rollout.analysis.emplace().interval = api::Duration{Seconds(20)};
    md_.status.rollout.emplace();
    md_.status.rollout->champion = "departures-a";
    md_.status.rollout->version = "departures-b";
    probe_.name = "errors";
    probe_.query = api::QueryProbe{{"https://prometheus:9090"}, "errors"};
    probe_.rules.success = "result < 0.01";
  }

  Result<std::string> Filled(const std::string& query) const {
    return FilledIn(query, md_, "departures-a", "departures-b");
  }
  api::CheckStatus Look(std::optional<QueryAnswer> answer) const {
    Observed seen;
    seen.deployment = std::make_shared<const api::ModelDeployment>(md_);
    if (answer) seen.answers.insert({"errors", *std::move(answer)});
    return LookAtProbe(seen, *md_.status.rollout, probe_, nullptr);
  }

  api::ModelDeployment md_;
  api::AnalysisProbe probe_;
};

TEST_F(QueryProbe, FillsPlaceholdersIn) {
  EXPECT_EQ(*Filled("sum(x{v=\"${version}\",n=\"${namespace}\"}) / y$"),
            "sum(x{v=\"departures-b\",n=\"transit\"}) / y$");
  EXPECT_EQ(*Filled("${service} ${championService}"),
            ChildName(md_, "departures-b") + " " + ChildName(md_, "departures-a"));
  EXPECT_EQ(*Filled("${championVersion}${version}"), "departures-adepartures-b");
  EXPECT_EQ(Filled("a ${version").error().message, "a ${ has no }: close the placeholder");
  for (const char* query : {"${variant}", "${}"}) {
    const auto filled = Filled(query);
    ASSERT_FALSE(filled.ok()) << query;
    EXPECT_NE(filled.error().message.find("use version, service"), std::string::npos);
  }
}

TEST_F(QueryProbe, AnUnknownPlaceholderIsAProblemOfTheSpec) {
  md_.spec.rollout.analysis->probes = {probe_};
  EXPECT_FALSE(ProbeProblem(md_));
  md_.spec.rollout.analysis->probes[0].query->query = "sum(x{v=\"${target}\"})";
  EXPECT_EQ(ProbeProblem(md_).value_or("").substr(0, 62),
            "spec.rollout.analysis: probe errors: query: there is no ${targ");
}

// What a server tells anybody may be about any namespace.
TEST_F(QueryProbe, AsksWithASecretOnlyUnlessOthersAreAllowed) {
  const api::SecretLookup lookup = [](const kube::Key& key, const std::string& entry) {
    return Result<std::string>(key.ns + "/" + key.name + "/" + entry);
  };
  const auto refused = QueryOf(md_, probe_, false, lookup);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::kForbidden);
  EXPECT_NE(refused.error().message.find("set bearerTokenSecretRef"), std::string::npos);
  const auto allowed = QueryOf(md_, probe_, true, lookup);
  ASSERT_TRUE(allowed.ok());
  EXPECT_EQ(allowed->access, scrape::Access{});
  probe_.query->server.bearer_token = api::SecretKey{"prometheus", "token"};
  probe_.query->query = "x{v=\"${version}\"}";
  const auto query = QueryOf(md_, probe_, false, lookup);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->access.bearer_token, "transit/prometheus/token");
  EXPECT_EQ(query->url, "https://prometheus:9090");
  EXPECT_EQ(query->expression, "x{v=\"departures-b\"}");
  EXPECT_EQ(query->interval, Seconds(20));
  probe_.rules.interval = api::Duration{Seconds(5)};
  EXPECT_EQ(QueryOf(md_, probe_, false, lookup)->interval, Seconds(5)) << "its own";
}

TEST_F(QueryProbe, JudgesTheOneValue) {
  const api::CheckStatus good = Look(QueryAnswer{0.005, Seconds(1)});
  EXPECT_EQ(good.verdict, Verdict::kPass);
  EXPECT_EQ(good.name, "errors");
  EXPECT_EQ(good.challenger, "0.005");
  EXPECT_EQ(good.threshold, "result < 0.01");
  const api::CheckStatus bad = Look(QueryAnswer{0.02, Seconds(1)});
  EXPECT_EQ(bad.verdict, Verdict::kFail);
  EXPECT_EQ(bad.message, "result is 0.02: not result < 0.01");
  probe_.rules.failure = "result > 0.05";
  EXPECT_EQ(Look(QueryAnswer{0.02, Seconds(1)}).verdict, Verdict::kInconclusive);
  EXPECT_EQ(Look(QueryAnswer{0.2, Seconds(1)}).message, "result is 0.2: result > 0.05");
}

TEST_F(QueryProbe, SilenceIsNoVerdict) {
  EXPECT_EQ(Look(std::nullopt).verdict, Verdict::kNoData);
  EXPECT_EQ(Look(std::nullopt).message, "the Prometheus has not answered yet");
  const auto failed = Look(QueryAnswer{Error{Errc::kUnavailable, "refused"}, Seconds(1)});
  EXPECT_EQ(failed.verdict, Verdict::kNoData);
  EXPECT_EQ(failed.message, "refused");
  EXPECT_EQ(Look(QueryAnswer{0.005, Seconds(60)}).verdict, Verdict::kPass);
  const auto stale = Look(QueryAnswer{0.005, Seconds(61)});
  EXPECT_EQ(stale.verdict, Verdict::kNoData) << "three intervals";
  EXPECT_EQ(stale.message, "the Prometheus has not answered lately");
}

scrape::PromAnswer AnswerWith(const std::vector<std::vector<double>>& series) {
  scrape::PromAnswer answer;
  for (const auto& values : series) {
    answer.series.emplace_back();
    for (const double value : values) answer.series.back().samples.push_back({0, value});
  }
  return answer;
}

TEST(ValueOfAnAnswer, IsOneNumber) {
  EXPECT_EQ(*scrape::ValueOf(AnswerWith({{0.25}})), 0.25);
  EXPECT_EQ(scrape::ValueOf(AnswerWith({})).error().code, Errc::kNotFound);
  EXPECT_EQ(scrape::ValueOf(AnswerWith({{std::nan("")}})).error().code, Errc::kNotFound);
  EXPECT_EQ(scrape::ValueOf(AnswerWith({{HUGE_VAL}})).error().code, Errc::kNotFound);
  const auto many = scrape::ValueOf(AnswerWith({{1}, {2}}));
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().message, "the query has 2 values: make one of them, as sum() does");
  EXPECT_EQ(scrape::ValueOf(AnswerWith({{1, 2}})).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace perennial::deployment
