#include "retrain/data_watch.h"

#include <algorithm>
#include <utility>

#include "api/store_index.h"
#include "scrape/expression.h"
#include "source/access.h"

namespace perennial::retrain {
namespace {

constexpr std::string_view kPrefix = "retrain/";
// All versions are one to this measurement: traffic moves between them, the data doesn't care.
constexpr const char* kAll = "all";

scrape::Range Real(scrape::Range range, const api::NewDataTrigger& trigger) {
  if (range.length == Millis{0}) range.length = trigger.window.value;
  return range;
}

scrape::PromqlSource PromqlOf(const api::PrometheusSource& prometheus,
                              const api::ModelDeployment& deployment) {
  scrape::PromqlSource promql = source::QueriesOf(prometheus, deployment.meta.key.ns);
  // The names of pods tell whose they are; a label would have to tell that they are "all".
  promql.version_label.clear();
  for (const api::VariantStatus& variant : deployment.status.variants) {
    // A version's Deployment has its Service's name.
    if (!variant.service.empty()) promql.variants.emplace_back(kAll, variant.service);
  }
  return promql;
}

// Conservative: signs in labels count as well.
bool OnlyGrows(const scrape::Expression& expression) {
  for (const char* other : {"/", "-", "avg", "histogram_", "<", "==", "!=", "min"}) {
    if (expression.text().find(other) != std::string::npos) return false;
  }
  return true;
}

std::string WhyNothing(const scrape::WindowView& view, const std::string& note) {
  std::string out = view.targets == 0  ? "no ready pod to read from"
                    : !view.newest_age ? "no scrape has worked yet"
                                       : note;
  if (!view.problems.empty()) out += " (" + view.problems.front() + ")";
  return out;
}

}  // namespace

std::string_view PolicyUidOf(std::string_view subscription) {
  if (!subscription.starts_with(kPrefix)) return {};
  subscription.remove_prefix(kPrefix.size());
  return subscription.substr(0, subscription.find('/'));
}

DataWatch::DataWatch(Stores stores, scrape::SampleStore& samples, const Clock& clock,
                     api::SecretLookup secrets)
    : stores_(stores), samples_(samples), clock_(clock), secrets_(std::move(secrets)) {}

std::vector<DataReading> DataWatch::Read(const api::RetrainPolicy& policy,
                                         const api::ModelDeployment* deployment) {
  std::vector<DataReading> out;
  std::set<std::string> ids;
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (!trigger.new_data || deployment == nullptr || policy.spec.suspend) continue;
    const std::string id =
        std::string(kPrefix) + policy.meta.uid + "/" + DataName(*trigger.new_data);
    if (!ids.insert(id).second) continue;
    out.push_back(ReadOne(*trigger.new_data, id, *deployment));
  }
  Keep(policy.meta.key, ids);
  return out;
}

void DataWatch::Forget(const kube::Key& policy) {
  Keep(policy, {});
}

void DataWatch::Keep(const kube::Key& policy, const std::set<std::string>& ids) {
  std::set<std::string> before;
  {
    const std::lock_guard lock(mutex_);
    if (ids.empty() && !subscribed_.contains(policy)) return;
    before = std::exchange(subscribed_[policy], ids);
    if (ids.empty()) subscribed_.erase(policy);
  }
  for (const std::string& id : before) {
    if (!ids.contains(id)) samples_.Remove(id);
  }
}

DataReading DataWatch::ReadOne(const api::NewDataTrigger& trigger, const std::string& id,
                               const api::ModelDeployment& deployment) {
  DataReading reading;
  reading.trigger = DataName(trigger);
  const auto expression = scrape::Expression::Parse(trigger.expression);
  if (!expression.ok()) {
    reading.problem = "newData: expression: " + expression.error().message;
    reading.note = reading.problem;
    return reading;
  }
  scrape::Subscription subscription;
  subscription.interval = trigger.interval.value;
  subscription.retention = Millis{0};
  Millis shortest = Millis::max();
  for (const scrape::Range& named : expression->ranges()) {
    const scrape::Range range = Real(named, trigger);
    subscription.retention = std::max(subscription.retention, range.length + range.offset);
    shortest = std::min(shortest, range.length);
  }
  subscription.retention = std::max(subscription.retention, subscription.interval);
  subscription.resolution =
      std::max({subscription.interval, std::min(shortest, subscription.retention) / 60,
                subscription.retention / 500});
  subscription.metrics = expression->metrics();
  const Status reached = AddPods(trigger, deployment, subscription);
  samples_.Set(id, subscription);
  if (!reached.ok()) {
    reading.note = reached.error().message;
    return reading;
  }
  std::vector<scrape::WindowView> views;
  views.reserve(expression->ranges().size());
  std::vector<scrape::RangeView> ranges;
  reading.whole = true;
  reading.grows = OnlyGrows(*expression);
  for (const scrape::Range& named : expression->ranges()) {
    const scrape::Range range = Real(named, trigger);
    views.push_back(samples_.View(id, kAll, range.length, range.offset, clock_.Steady()));
    ranges.push_back({named, range.length, &views.back()});
    // Samples are an interval apart, and slots have a width.
    const Millis edge = 2 * std::max(subscription.interval, subscription.resolution);
    if (views.back().covered + edge < range.length) reading.whole = false;
    if (views.back().targets_up < views.back().targets) reading.missing = true;
  }
  const auto result = expression->Evaluate(ranges);
  if (!result.ok()) {
    reading.problem = "newData: expression: " + result.error().message;
    reading.note = reading.problem;
  } else if (result->value) {
    reading.value = *result->value;
  } else {
    reading.note = ranges.empty() ? result->note : WhyNothing(views.front(), result->note);
  }
  return reading;
}

Status DataWatch::AddPods(const api::NewDataTrigger& trigger,
                          const api::ModelDeployment& deployment,
                          scrape::Subscription& subscription) const {
  const std::string& ns = deployment.meta.key.ns;
  const bool promql = trigger.source && trigger.source->prometheus;
  if (promql) {
    const api::PrometheusSource& prometheus = *trigger.source->prometheus;
    PERENNIAL_TRY(subscription.access, source::AccessTo(prometheus.server, ns, secrets_));
    scrape::PromqlSource queries = PromqlOf(prometheus, deployment);
    if (!queries.variants.empty()) subscription.promql = std::move(queries);
  } else {
    PERENNIAL_TRY(subscription.access, source::AccessTo(deployment.spec.metrics, ns, secrets_));
  }
  for (const api::VariantStatus& variant : deployment.status.variants) {
    AddTargets(deployment, variant, promql, subscription);
  }
  return Ok();
}

// Whoever may write EndpointSlices could name any address in one with the Service's label: only
// those count that the Service controls, and it must be the ModelDeployment's.
void DataWatch::AddTargets(const api::ModelDeployment& deployment,
                           const api::VariantStatus& variant, bool promql,
                           scrape::Subscription& subscription) const {
  if (variant.service.empty()) return;
  const kube::Key key{deployment.meta.key.ns, variant.service};
  const auto service = stores_.services.Get(key);
  if (service == nullptr) return;
  const kube::OwnerReference* owner = kube::ControllerOf(service->meta);
  if (owner == nullptr || owner->uid != deployment.meta.uid) return;
  std::set<std::string> known;
  for (const scrape::Target& target : subscription.targets) known.insert(target.id);
  const api::MetricsEndpoint& metrics = deployment.spec.metrics;
  for (const auto& slice : stores_.slices.ByIndex(api::kSlicesByService, kube::ToString(key))) {
    const kube::OwnerReference* of = kube::ControllerOf(slice->meta);
    if (of == nullptr || of->uid != service->meta.uid) continue;
    const auto port = std::find_if(
        slice->ports.begin(), slice->ports.end(),
        [&](const api::EndpointPort& candidate) { return candidate.name == metrics.port; });
    const bool usable = port != slice->ports.end() && port->port > 0 && port->port <= 65'535;
    if (!usable && !promql) continue;
    for (const api::Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.ready || endpoint.pod_uid.empty() || endpoint.address.empty()) continue;
      const std::string& pod = promql ? endpoint.pod : endpoint.pod_uid;
      if (pod.empty() || !known.insert(pod).second) continue;
      subscription.targets.push_back({pod, endpoint.address,
                                      static_cast<std::uint16_t>(usable ? port->port : 0),
                                      metrics.path, kAll});
    }
  }
}

}  // namespace perennial::retrain
