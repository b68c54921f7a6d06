#include "deployment/query_probe.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "deployment/analysis.h"
#include "deployment/fleet.h"
#include "deployment/probes.h"
#include "deployment/render.h"
#include "deployment/tally.h"
#include "source/access.h"

namespace perennial::deployment {

Result<std::string> FilledIn(const std::string& query, const api::ModelDeployment& deployment,
                             const std::string& champion, const std::string& version) {
  std::string out;
  std::size_t from = 0;
  for (std::size_t at = query.find("${"); at != query.npos; at = query.find("${", from)) {
    const std::size_t end = query.find('}', at);
    if (end == query.npos) return Error{Errc::kInvalid, "a ${ has no }: close the placeholder"};
    const std::string name = query.substr(at + 2, end - at - 2);
    out += query.substr(from, at - from);
    if (name == "version") {
      out += version;
    } else if (name == "service") {
      out += ChildName(deployment, version);
    } else if (name == "championVersion") {
      out += champion;
    } else if (name == "championService") {
      out += ChildName(deployment, champion);
    } else if (name == "namespace") {
      out += deployment.meta.key.ns;
    } else {
      return Error{Errc::kInvalid, "there is no ${" + name +
                                       "}: use version, service, championVersion, "
                                       "championService or namespace"};
    }
    from = end + 1;
  }
  return out + query.substr(from);
}

Result<scrape::InstantQuery> QueryOf(const api::ModelDeployment& deployment,
                                     const api::AnalysisProbe& probe, bool anonymous,
                                     const api::SecretLookup& secrets) {
  const api::PrometheusServer& server = probe.query->server;
  if (!anonymous && !server.bearer_token && !server.basic_auth) {
    return Error{Errc::kForbidden,
                 "a query is asked with a Secret of this namespace alone: set bearerTokenSecretRef "
                 "or basicAuthSecretRef, or let whoever runs the controller allow others "
                 "(controller.anonymousQueries in the chart)"};
  }
  const api::RolloutStatus& rollout = *deployment.status.rollout;
  scrape::InstantQuery query;
  query.url = server.url;
  PERENNIAL_TRY(query.expression,
                FilledIn(probe.query->query, deployment, rollout.champion, rollout.version));
  PERENNIAL_TRY(query.access, source::AccessTo(server, deployment.meta.key.ns, secrets));
  query.interval = LimitsOf(*deployment.spec.rollout.analysis, probe).interval;
  return query;
}

api::CheckStatus LookAtAnswer(const Observed& seen, const api::AnalysisProbe& probe) {
  api::CheckStatus look;
  look.name = probe.name;
  const auto found = seen.answers.find(probe.name);
  if (found == seen.answers.end()) {
    look.message = "the Prometheus has not answered yet";
    return look;
  }
  const QueryAnswer& answer = found->second;
  if (!answer.value.ok()) {
    look.message = answer.value.error().message;
    return look;
  }
  const Limits limits = LimitsOf(*seen.deployment->spec.rollout.analysis, probe);
  if (answer.age > limits.interval * kStaleIntervals) {
    look.message = "the Prometheus has not answered lately";
    return look;
  }
  look.challenger = NumberText(*answer.value);
  JudgeLook(probe.rules, nlohmann::json({{"result", *answer.value}}).dump(),
            "result is " + look.challenger, look);
  return look;
}

}  // namespace perennial::deployment
