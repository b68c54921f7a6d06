#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scrape/exposition.h"

namespace perennial::scrape {

struct PromSample {
  std::int64_t at_ms = 0;  // Unix milliseconds by the Prometheus' clock
  double value = 0;
};

struct PromSeries {
  Labels labels;                    // sorted, __name__ among them
  std::vector<PromSample> samples;  // as they came: ascending in time
};

struct PromAnswer {
  std::vector<PromSeries> series;
  // What the server warns of: partial answers, above all. At most 4, printable ASCII, cut short.
  std::vector<std::string> warnings;
  bool native_histograms = false;  // some were left out: they have no buckets by `le`
};

// What one answer may hold. Beyond any of them it is rejected as a whole (kTooLarge).
struct PromLimits {
  std::size_t series = 20'000;
  std::size_t samples = 500'000;
  std::size_t label_bytes = std::size_t{4} << 20;  // of all series together
  std::size_t labels = 64;                         // of a series
};

// Parses the answer to an instant or range query of Prometheus' HTTP API (docs/querying/api.md,
// "Format overview"): result types vector and matrix; no nesting goes deeper than theirs. An answer
// with status "error" is an error that says so in the server's words, cut and made printable:
// kTooLarge where the query asked for too many samples, kTimeout, kUnavailable or kInvalid.
// `secrets` are what the server was asked with: where its words repeat them, as error pages of
// proxies do, they are left out.
Result<PromAnswer> ParsePromAnswer(std::string_view body, PromLimits limits = {},
                                   const std::vector<std::string>& secrets = {});

}  // namespace perennial::scrape
