#include "support/promql_property.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "scrape/promql_answer.h"
#include "scrape/promql_source.h"
#include "scrape/sample_store.h"
#include "support/manual_clock.h"

namespace perennial::test {
namespace {

using scrape::PromAnswer;
using scrape::PromLimits;
using scrape::PromqlSource;
using scrape::PromSeries;
using scrape::ScrapedPage;
using scrape::ScrapedPages;
using scrape::Series;

constexpr Millis kHour{3'600'000};

const std::vector<std::string>& Names() {
  static const std::vector<std::string> names{"c_total", "g", "h", "s"};
  return names;
}

PromqlSource Source(bool by_label) {
  PromqlSource source;
  source.url = "http://p";
  source.ns = "n";
  if (by_label) source.version_label = "version";
  source.variants = {{"v1", "m-v1"}, {"v2", "m-v2"}};
  return source;
}

bool Printable(std::string_view text) {
  return text.size() < 400 &&
         std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::string Exceeds(const PromAnswer& answer, const PromLimits& limits) {
  std::size_t samples = 0;
  std::size_t bytes = 0;
  for (const PromSeries& series : answer.series) {
    samples += series.samples.size();
    if (series.labels.size() > limits.labels) return "too many labels of a series";
    if (!std::ranges::is_sorted(series.labels)) return "labels in no order";
    for (const auto& [name, value] : series.labels) bytes += name.size() + value.size();
  }
  if (answer.series.size() > limits.series || samples > limits.samples) return "beyond the limits";
  if (bytes > limits.label_bytes) return "too many bytes of labels";
  if (answer.warnings.size() > 4) return "too many warnings";
  return std::ranges::all_of(answer.warnings, Printable) ? "" : "a warning that isn't printable";
}

std::string Malformed(const Series& series) {
  if (std::ranges::find(Names(), series.metric) == Names().end()) return "unwanted metric";
  if (series.kind != scrape::SeriesKind::kHistogram) return "";
  if (series.bounds.empty() || series.bounds.size() != series.cumulative.size()) {
    return "histogram without buckets";
  }
  if (series.bounds.back() != std::numeric_limits<double>::infinity()) return "no +Inf bucket";
  for (std::size_t i = 1; i < series.bounds.size(); ++i) {
    if (!(series.bounds[i] > series.bounds[i - 1])) return "bounds do not ascend";
    if (!(series.cumulative[i] >= series.cumulative[i - 1])) return "counts fall";
  }
  return "";
}

std::string Malformed(const ScrapedPages& pages) {
  std::set<std::tuple<std::string, std::string, WallTime>> seen;
  WallTime last = WallTime::min();
  for (const ScrapedPage& page : pages.pages) {
    if (page.pod.empty() || (page.variant != "v1" && page.variant != "v2")) return "whose page?";
    if (page.at < last) return "pages in no order";
    last = page.at;
    if (!seen.emplace(page.pod, page.variant, page.at).second) {
      return "two pages of a pod and version at one moment";
    }
    if (!page.outcome.ok()) continue;
    for (const Series& series : page.outcome->series) {
      if (std::string why = Malformed(series); !why.empty()) return why;
    }
  }
  if (pages.problems.size() > 8) return "too many problems";
  return std::ranges::all_of(pages.problems, Printable) ? "" : "a problem that isn't printable";
}

bool HasTwins(const PromAnswer& answer) {
  std::set<scrape::Labels> seen;
  return !std::ranges::all_of(
      answer.series, [&](const PromSeries& series) { return seen.insert(series.labels).second; });
}

bool SameMoments(const ScrapedPages& a, const ScrapedPages& b) {
  std::set<std::tuple<std::string, std::string, WallTime>> left, right;
  for (const ScrapedPage& page : a.pages) left.emplace(page.pod, page.variant, page.at);
  for (const ScrapedPage& page : b.pages) right.emplace(page.pod, page.variant, page.at);
  return left == right;
}

// The store must bear them, and count nothing that is not a number.
std::string MiscountedByStore(const ScrapedPages& pages, const PromqlSource& source) {
  testing::ManualClock clock;
  scrape::SampleStore store(clock);
  scrape::Subscription subscription;
  subscription.interval = Millis{60'000};
  subscription.retention = kHour;
  subscription.metrics = Names();
  subscription.targets = {{"m-v1-a-b", "", 0, "/metrics", "v1"}};
  subscription.promql = source;
  store.Set("s", subscription);
  store.RecordPages(*store.TakeQueryChanges().at(0), pages, true);
  if (store.Generation("s") != 1) return "no round";
  for (const char* variant : {"v1", "v2"}) {
    for (const auto& series : store.View("s", variant, kHour, Millis{0}, clock.Steady()).series) {
      if (std::isnan(series.count) || series.count < 0) return "a count that is none";
      for (const double count : series.counts) {
        if (std::isnan(count) || count < 0) return "a bucket that counts less than nothing";
      }
    }
  }
  return "";
}

}  // namespace

std::string ViolatedByAnswer(std::string_view input) {
  if (input.empty()) return "";
  PromLimits limits;
  if ((input[0] & 1) != 0) limits = {.series = 4, .samples = 8, .label_bytes = 100, .labels = 5};
  const PromqlSource source = Source((input[0] & 2) != 0);
  auto answer = scrape::ParsePromAnswer(input.substr(1), limits);
  if (!answer.ok()) {
    return Printable(answer.error().message) && !answer.error().message.empty()
               ? ""
               : "a reason that isn't printable: " + answer.error().message;
  }
  if (std::string why = Exceeds(*answer, limits); !why.empty()) return why;
  static const scrape::WantedMetrics wanted(Names());
  const ScrapedPages pages = PagesOf(*answer, source, wanted);
  if (std::string why = Malformed(pages); !why.empty()) return why;
  // A Prometheus never tells the same series twice.
  if (!HasTwins(*answer)) {
    PromAnswer reversed = *answer;
    std::ranges::reverse(reversed.series);
    if (!SameMoments(pages, PagesOf(reversed, source, wanted))) {
      return "the order of the series changes the pages";
    }
  }
  return MiscountedByStore(pages, source);
}

}  // namespace perennial::test
