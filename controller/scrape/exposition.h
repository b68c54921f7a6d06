#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace perennial::scrape {

// Label names and values, sorted by name, each name once, no empty values (an empty value means
// that the label is absent).
using Labels = std::vector<std::pair<std::string, std::string>>;

enum class SeriesKind : std::uint8_t { kUnknown, kGauge, kCounter, kHistogram, kSummary };

// "Histogram", "Counter", ... as users read it.
const char* ToString(SeriesKind kind);

// One series of one scrape.
struct Series {
  // The wanted name under which it was found: a counter asked for as "x" and exposed as "x_total"
  // is called "x" here.
  std::string metric;
  Labels labels;  // without `le`
  SeriesKind kind = SeriesKind::kUnknown;
  // Histogram: upper bounds, ascending, the last is +Inf; cumulative counts, never falling.
  std::vector<double> bounds;
  std::vector<double> cumulative;
  double sum = 0;    // histogram and summary; NaN where the page has none or says so
  double count = 0;  // histogram and summary
  double value = 0;  // counter, gauge, unknown
  // When the counters began (`_created`), Unix seconds by the target's clock.
  std::optional<double> created;
};

struct Scrape {
  std::vector<Series> series;
  std::optional<double> process_start_time;  // process_start_time_seconds, Unix seconds
  // Wanted series that were left out because they contradict themselves (a histogram without +Inf,
  // falling cumulative counts). At most 8, without text from the page beyond metric names.
  std::vector<std::string> problems;
  std::size_t samples = 0;  // all sample lines of the page, wanted or not
  std::size_t bytes = 0;
};

enum class Format { kText, kOpenMetrics };

// The format that a Content-Type announces; no type at all means text 0.0.4. kInvalid for types
// that are neither (protobuf, HTML), whose bytes must not be guessed at.
Result<Format> FormatOf(std::string_view content_type);

// What one page may cost. A page beyond any of them is rejected as a whole (kTooLarge).
struct ParseLimits {
  std::size_t bytes = std::size_t{16} << 20;
  std::size_t line = std::size_t{64} << 10;
  std::size_t samples = 500'000;
  std::size_t wanted_series = 10'000;
  std::size_t wanted_label_bytes = std::size_t{1} << 20;  // of all wanted series together
  std::size_t buckets = 500;                              // per histogram
  std::size_t labels = 64;                                // per wanted sample
  std::size_t label_length = 1'024;  // bytes of a wanted sample's label name or value
};

// The metric families that a subscriber asked for, compiled once for fast look-up. A histogram or
// summary is asked for by its family name ("latency", not "latency_bucket"); asking for
// "latency_sum" gives that sample as a counter. Counters match with and without `_total`.
// Immutable.
class WantedMetrics {
 public:
  explicit WantedMetrics(std::vector<std::string> names);
  ~WantedMetrics();
  WantedMetrics(WantedMetrics&&) noexcept;
  WantedMetrics& operator=(WantedMetrics&&) noexcept;

  // Sorted, each once. Series::metric is one of them.
  const std::vector<std::string>& names() const;

  struct Table;
  const Table& table() const { return *table_; }

 private:
  std::unique_ptr<Table> table_;
};

// Streaming parser for the Prometheus text format 0.0.4 and OpenMetrics 1.0. Feed() takes the body
// in pieces of any size; what is not wanted is checked and forgotten without an allocation. One
// wrong line rejects the page, as Prometheus does: half a page is not a measurement. Errors say
// "line L, column C: why" and never repeat bytes of the page. Not thread-safe.
// `wanted` must outlive the parser.
class ExpositionParser {
 public:
  ExpositionParser(const WantedMetrics& wanted, Format format, ParseLimits limits = {});
  ~ExpositionParser();
  ExpositionParser(ExpositionParser&&) noexcept;
  ExpositionParser& operator=(ExpositionParser&&) noexcept;

  // After the first error every further call returns that error.
  Status Feed(std::string_view chunk);
  // Ends the page. Call once.
  Result<Scrape> Finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Parses a whole page at once.
Result<Scrape> ParseExposition(std::string_view page, const WantedMetrics& wanted, Format format,
                               ParseLimits limits = {});

}  // namespace perennial::scrape
