#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <tuple>

#include "scrape/promql_source.h"
#include "scrape/series_collector.h"

namespace perennial::scrape {
namespace {

constexpr std::size_t kMaxProblems = 8;
constexpr std::string_view kName = "__name__";
constexpr std::string_view kUp = "up";
// The labels of targets where no `up` shows them: those of Prometheus itself and of its operator
// (docs/configuration, "relabel_config"; prometheus-operator, generated pod and service configs).
constexpr std::array<std::string_view, 8> kUsualLabels{
    "container", "endpoint", "instance", "job", "namespace", "node", "pod", "service"};
// Before a label of the pod's own that has a target label's name (honor_labels: false).
constexpr std::string_view kExported = "exported_";

std::string_view ValueOf(const Labels& labels, std::string_view name) {
  const auto it = std::ranges::lower_bound(labels, name, {}, &Labels::value_type::first);
  return it != labels.end() && it->first == name ? std::string_view(it->second)
                                                 : std::string_view{};
}

bool IsPartOfName(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
  });
}

// "departures-v1-5d9c-x7k2p" belongs to the Deployment "departures-v1".
bool IsPodOf(std::string_view pod, std::string_view workload) {
  if (!pod.starts_with(workload)) return false;
  std::string_view rest = pod.substr(workload.size());
  if (!rest.starts_with('-')) return false;
  rest.remove_prefix(1);
  const std::size_t dash = rest.find('-');
  return dash != rest.npos && IsPartOfName(rest.substr(0, dash)) &&
         IsPartOfName(rest.substr(dash + 1));
}

std::string_view VariantOf(const Labels& labels, const PromqlSource& source) {
  for (const auto& [variant, workload] : source.variants) {
    const bool is = source.version_label.empty()
                        ? IsPodOf(ValueOf(labels, source.pod_label), workload)
                        : ValueOf(labels, source.version_label) == variant;
    if (is) return variant;
  }
  return {};
}

// One target of the Prometheus, and the series that it gave.
struct Scraped {
  Labels labels;  // of the target, without __name__
  std::string_view pod;
  std::string_view variant;
  const PromSeries* up = nullptr;
  std::vector<const PromSeries*> series;
  bool wanted = false;  // any of them is more than a process' start time
};

bool Contains(const Labels& all, const Labels& some) {
  return std::ranges::includes(all, some);
}

Scraped ScrapedOf(Labels labels) {
  Scraped target;
  target.labels = std::move(labels);
  return target;
}

using Place = std::vector<Scraped>::iterator;

std::ptrdiff_t Offset(std::size_t count) {
  return static_cast<std::ptrdiff_t>(count);
}

// Of the targets that may have given the series the one that says most, so that the order in which
// series come decides nothing.
Place OwnerOf(const PromSeries& series, Place first, Place last) {
  Place best = last;
  for (Place it = first; it != last; ++it) {
    if (!Contains(series.labels, it->labels)) continue;
    const auto says_more = [](const Labels& a, const Labels& b) {
      return a.size() != b.size() ? a.size() > b.size() : a < b;
    };
    if (best == last || says_more(it->labels, best->labels)) best = it;
  }
  return best;
}

// What stands for a target's labels where no `up` shows them.
Labels UsualLabels(const PromSeries& series, const PromqlSource& source) {
  Labels labels;
  for (const auto& label : series.labels) {
    const bool usual = std::ranges::find(kUsualLabels, label.first) != kUsualLabels.end();
    if (usual || label.first == source.pod_label || label.first == source.namespace_label ||
        label.first == source.version_label) {
      labels.push_back(label);
    }
  }
  return labels;
}

std::vector<Scraped> TargetsOf(const PromAnswer& answer, const PromqlSource& source) {
  std::vector<Scraped> targets;
  for (const PromSeries& series : answer.series) {
    if (ValueOf(series.labels, kName) != kUp) continue;
    Scraped target = ScrapedOf(series.labels);
    std::erase_if(target.labels, [](const auto& label) { return label.first == kName; });
    target.up = &series;
    targets.push_back(std::move(target));
  }
  const std::size_t seen_up = targets.size();
  for (const PromSeries& series : answer.series) {
    if (ValueOf(series.labels, kName) == kUp) continue;
    auto it = OwnerOf(series, targets.begin(), targets.begin() + Offset(seen_up));
    if (it == targets.begin() + Offset(seen_up)) {
      Labels labels = UsualLabels(series, source);
      it = std::find_if(it, targets.end(), [&](const Scraped& t) { return t.labels == labels; });
      if (it == targets.end()) it = targets.insert(it, ScrapedOf(std::move(labels)));
    }
    it->series.push_back(&series);
    it->wanted |= ValueOf(series.labels, kName) != "process_start_time_seconds";
  }
  for (Scraped& target : targets) {
    target.pod = ValueOf(target.labels, source.pod_label);
    target.variant = VariantOf(target.labels, source);
  }
  std::erase_if(targets, [](const Scraped& t) { return t.pod.empty() || t.variant.empty(); });
  return targets;
}

// One target a pod and version: the one with the metrics. A pod's other ports are no concern of
// ours. Of several versions is only a pod that joins outcomes to predictions, where the version's
// label is the series' own.
std::vector<Scraped> OnePerPod(std::vector<Scraped> targets, std::vector<std::string>& problems) {
  std::ranges::sort(targets, [](const Scraped& a, const Scraped& b) {
    return std::tie(a.pod, a.variant, b.wanted, a.labels) <
           std::tie(b.pod, b.variant, a.wanted, b.labels);
  });
  std::vector<Scraped> chosen;
  bool told = false;
  for (Scraped& target : targets) {
    if (chosen.empty() || chosen.back().pod != target.pod ||
        chosen.back().variant != target.variant) {
      chosen.push_back(std::move(target));
    } else if (target.wanted && !told) {
      told = true;
      problems.push_back(
          "several scrape configurations of the Prometheus read the same pods; one of them is "
          "used: name it in spec.source.prometheus.matchers, for example by the label job");
    }
  }
  return chosen;
}

// Samples of all series of a target, to be cut into pages.
struct Point {
  std::int64_t at_ms;
  std::uint32_t series;
  double value;
};

// Name and labels as the pod exposed them.
struct Exposed {
  std::string_view name;
  std::vector<RawLabel> labels;
  Uses uses;
};

Exposed ExposedOf(const PromSeries& series, const Scraped& target, const WantedMetrics& wanted) {
  Exposed out;
  out.name = ValueOf(series.labels, kName);
  out.uses = wanted.table().Find(out.name);
  for (const auto& [name, value] : series.labels) {
    if (name == kName || !ValueOf(target.labels, name).empty()) continue;
    std::string_view own = name;
    if (own.starts_with(kExported) &&
        !ValueOf(target.labels, own.substr(kExported.size())).empty()) {
      own.remove_prefix(kExported.size());
    }
    out.labels.push_back({own, value, false});
  }
  return out;
}

// Prometheus leaves its staleness markers out of range selectors (promql/engine.go,
// matrixIterSlice); other servers show them, and in JSON they are NaN like any other. Only a sum
// may be that: of observations among which one was.
bool IsSample(const PromSample& sample, const Exposed& exposed) {
  const auto is_sum = [](const Use& use) { return use.role == Role::kSum; };
  const auto& uses = exposed.uses;
  return !std::isnan(sample.value) ||
         std::any_of(uses.list.begin(), uses.list.begin() + Offset(uses.count), is_sum);
}

Result<Scrape> PageOf(std::span<const Point> points, const std::vector<Exposed>& series,
                      const WantedMetrics& wanted, const ParseLimits& limits) {
  SeriesCollector collector(wanted.table(), limits);
  for (const Point& point : points) {
    const Exposed& exposed = series[point.series];
    if (exposed.uses.count == 0) continue;
    std::vector<RawLabel> labels = exposed.labels;
    const RawSample sample{exposed.name, exposed.uses, {}, SeriesKind::kUnknown, point.value};
    const Fault fault = collector.Add(sample, labels);
    if (fault.why != nullptr) return Error{fault.code, fault.why};
  }
  Scrape scrape;
  scrape.samples = points.size();
  collector.Finish(scrape);
  return scrape;
}

void AddPages(const Scraped& target, const WantedMetrics& wanted, const ParseLimits& limits,
              std::vector<ScrapedPage>& pages) {
  std::vector<Exposed> series;
  std::vector<Point> points;
  for (const PromSeries* one : target.series) {
    const auto index = static_cast<std::uint32_t>(series.size());
    series.push_back(ExposedOf(*one, target, wanted));
    for (const PromSample& sample : one->samples) {
      if (IsSample(sample, series.back())) points.push_back({sample.at_ms, index, sample.value});
    }
  }
  std::ranges::stable_sort(points, {}, &Point::at_ms);
  std::map<std::int64_t, bool> up;  // every scrape, also one that saw nothing wanted
  if (target.up != nullptr) {
    for (const PromSample& sample : target.up->samples) {
      if (!std::isnan(sample.value)) up[sample.at_ms] = sample.value != 0;
    }
  }
  for (const Point& point : points) up.try_emplace(point.at_ms, true);
  auto point = points.begin();
  for (const auto& [at, worked] : up) {
    const auto first = point;
    while (point != points.end() && point->at_ms == at) ++point;
    Result<Scrape> outcome =
        worked ? PageOf({first, point}, series, wanted, limits)
               : Result<Scrape>(Error{Errc::kUnavailable, "Prometheus could not scrape the pod"});
    pages.push_back({std::string(target.pod), std::string(target.variant), WallTime(Millis(at)),
                     std::move(outcome)});
  }
}

}  // namespace

ScrapedPages PagesOf(const PromAnswer& answer, const PromqlSource& source,
                     const WantedMetrics& wanted, const ParseLimits& limits) {
  ScrapedPages out;
  for (const std::string& warning : answer.warnings) {
    out.problems.push_back("Prometheus warns: " + warning);
  }
  if (answer.native_histograms) {
    out.problems.push_back(
        "native histograms are not read: let the Prometheus also scrape classic ones");
  }
  for (const Scraped& target : OnePerPod(TargetsOf(answer, source), out.problems)) {
    AddPages(target, wanted, limits, out.pages);
  }
  std::ranges::stable_sort(out.pages, {}, &ScrapedPage::at);
  if (out.problems.size() > kMaxProblems) out.problems.resize(kMaxProblems);
  return out;
}

}  // namespace perennial::scrape
