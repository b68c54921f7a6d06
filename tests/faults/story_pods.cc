// What the pods of a story count, and how much of it a process has seen.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "api/names.h"
#include "faults/story_world.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

// A thousand requests between two scrapes: by the value of an input, and by how long they take.
constexpr double kRequests = 1'000;
const std::vector<double> kUsual = {400, 300, 200, 100};
const std::vector<double> kMoved = {100, 200, 300, 400};
const std::vector<double> kFast = {400, 300, 200, 100};
const std::vector<double> kSlow = {100, 200, 300, 400};

}  // namespace

const std::vector<double>& StoryWorld::PodCounts() const {
  return drifted ? kMoved : kUsual;
}

std::string StoryWorld::VersionOfPod(const std::string& uid) const {
  for (const json& deployment : Listed(api::kDeployments)) {
    if (uid.starts_with(deployment["metadata"]["uid"].get<std::string>())) {
      return LabelOf(deployment, api::kLabelVersion);
    }
  }
  return "";
}

// Of a thousand requests that each pod would count if all had the same traffic. What is copied to
// a version is counted like what it answers.
double StoryWorld::ShareOf(const std::string& version) const {
  std::vector<json> routes = Listed(api::kHttpRoutes);
  for (json& route : Listed(api::kGrpcRoutes)) routes.push_back(std::move(route));
  if (!options_.by_weight || routes.empty()) return 1;
  const json& split = routes.at(0)["spec"]["rules"][0];
  const auto pods_of = [&](const json& name) {
    const json child = Object(api::kDeployments, name);
    return child.value("status", json::object()).value("readyReplicas", 0);
  };
  double percent = 0;
  int own = 0;
  const auto add = [&](const json& name, double more) {
    if (LabelOf(Object(api::kDeployments, name), api::kLabelVersion) != version) return;
    percent += more;
    own = pods_of(name);
  };
  for (const json& backend : split["backendRefs"]) add(backend["name"], backend["weight"]);
  for (const json& filter : split.value("filters", json::array())) {
    const json& mirror = filter["requestMirror"];
    add(mirror["backendRef"]["name"], mirror["percent"]);
  }
  // Four pods' worth for all.
  return own == 0 ? 0 : percent * 4 / 100 / own;
}

scrape::Series StoryWorld::Histogram(const std::string& metric, const std::string& pod,
                                     const std::vector<double>& more) {
  std::vector<double>& total = counters_[metric + " of " + pod];
  total.resize(PodCounts().size());
  scrape::Series series;
  series.metric = metric;
  series.kind = scrape::SeriesKind::kHistogram;
  series.bounds = {1, 2, 3, std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < total.size(); ++i) {
    if (i < more.size()) total[i] += more[i];
    series.cumulative.push_back(series.count += total[i]);
    series.sum += total[i] * static_cast<double>(i + 1);
  }
  return series;
}

// What the pod tells, with another thousand requests if it is the first time in this round.
scrape::Scrape StoryWorld::PageOf(const std::string& pod, bool first) {
  const std::string version = VersionOfPod(pod);
  // Where a counter stands when it is seen first is where counting begins.
  if (first && !scraped_.insert(pod).second) {
    counted_[version].emplace_back(clock_.Steady(), kRequests * ShareOf(version));
  }
  const std::string alias = Alias(version);
  const bool fast = std::any_of(options_.faster.begin(), options_.faster.end(),
                                [&](int n) { return alias == "V" + std::to_string(n); });
  const std::vector<double> none;
  scrape::Series waiting;
  waiting.metric = "rows";
  waiting.kind = scrape::SeriesKind::kGauge;
  waiting.value = rows;
  scrape::Scrape page;
  const auto shared = [&](std::vector<double> counts) {
    const double share = ShareOf(version);
    for (double& count : counts) count = std::round(count * share);
    return counts;
  };
  page.series = {Histogram("x", pod, first ? shared(PodCounts()) : none),
                 Histogram("seconds", pod, first ? shared(fast ? kFast : kSlow) : none), waiting};
  return page;
}

double StoryWorld::Counted(const std::string& version, Millis within) const {
  double sum = 0;
  const auto counted = counted_.find(version);
  if (counted == counted_.end()) return sum;
  for (const auto& [at, count] : counted->second) {
    if (at + within >= clock_.Steady()) sum += count;
  }
  return sum;
}

}  // namespace perennial::testing
