// What the pods of a story count, and how much of it a process has seen.
#include <algorithm>
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
    counted_[version].emplace_back(clock_.Steady(), kRequests);
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
  page.series = {Histogram("x", pod, first ? PodCounts() : none),
                 Histogram("seconds", pod, first ? (fast ? kFast : kSlow) : none), waiting};
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
