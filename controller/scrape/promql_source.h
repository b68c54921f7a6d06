#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/exposition.h"
#include "scrape/promql_answer.h"

namespace perennial::scrape {

// A Prometheus (or what speaks its HTTP API) that scrapes the pods, and how its series name them.
// Only series of the pods of `variants` in `ns` are ever asked for.
struct PromqlSource {
  std::string url;  // "https://prometheus.monitoring.svc:9090"; a path before /api/v1 may follow
  std::string ns;
  std::string namespace_label = "namespace";
  std::string pod_label = "pod";
  std::string version_label;  // holds the variant's name; empty: the pod's name tells it
  Labels matchers;            // further labels that the series must have
  // Variant and the name of its Deployment, whose pods are called "<name>-<hash>-<suffix>".
  std::vector<std::pair<std::string, std::string>> variants;

  bool operator==(const PromqlSource&) const = default;
};

// "https://.../api/v1/query"; kInvalid for a URL with credentials, query or fragment, or that is
// not http or https.
Result<std::string> QueryUrl(std::string_view url);

// The range selector whose instant value is all raw samples of the wanted metrics in the last
// `range`, with `up` (which shows each scrape of a target, its time and the target's labels) and
// the start times of processes. Every value is quoted.
std::string RangeSelector(const PromqlSource& source, const std::vector<std::string>& metrics,
                          Millis range);

// The form to post to QueryUrl().
std::string QueryForm(std::string_view query, WallTime at, Millis timeout);

// What a scrape of one pod at one moment saw.
struct ScrapedPage {
  std::string pod;
  std::string variant;
  WallTime at{};
  Result<Scrape> outcome;
};

struct ScrapedPages {
  std::vector<ScrapedPage> pages;     // ascending in time
  std::vector<std::string> problems;  // sentences for the status, at most 8
};

// Puts the samples together into the pages from which they came: samples of one target with the
// same time stamp are one scrape. The labels of `up` are those that Prometheus gave the target;
// they are taken off, so that series look as the pod exposed them. A page at which `up` is 0
// failed. If several scrape configurations read the same metrics of a pod, only the first counts.
ScrapedPages PagesOf(const PromAnswer& answer, const PromqlSource& source,
                     const WantedMetrics& wanted, const ParseLimits& limits = {});

}  // namespace perennial::scrape
