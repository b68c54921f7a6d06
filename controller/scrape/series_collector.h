#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "scrape/exposition.h"
#include "scrape/wanted_table.h"

// Internal to the parser: puts the wanted samples of one page together into series.
namespace perennial::scrape {

// A label as it stands on the page, quotes removed, escapes still in.
struct RawLabel {
  std::string_view name;
  std::string_view value;
  bool escaped = false;  // name or value holds a backslash
};

// What the parser knows about a sample beside its labels.
struct RawSample {
  std::string_view name;
  Uses uses;
  std::string_view family;  // of the last TYPE line; empty before the first
  SeriesKind type = SeriesKind::kUnknown;
  double value = 0;
};

// Why a sample was refused; why == nullptr: it was not. The text is static.
struct Fault {
  Errc code = Errc::kInvalid;
  const char* why = nullptr;
};

class SeriesCollector {
 public:
  SeriesCollector(const WantedMetrics::Table& table, const ParseLimits& limits);

  // The labels' views need to live only during the call.
  Fault Add(const RawSample& sample, std::vector<RawLabel>& labels);
  // Moves what was collected into the scrape.
  void Finish(Scrape& scrape);

 private:
  // One label set of one wanted metric; which of its parts were seen decides what it is.
  struct Entry {
    std::uint32_t wanted = 0;
    std::string key;
    SeriesKind type = SeriesKind::kUnknown;
    bool has_exact = false, has_total = false, has_base = false;
    bool has_sum = false, has_count = false, has_created = false;
    double exact = 0, total = 0, base = 0, sum = 0, count = 0, created = 0;
    std::vector<std::pair<double, double>> buckets;  // le, cumulative
  };

  Fault AddUse(const Use& use, const RawSample& sample, std::vector<RawLabel>& labels);
  Fault BuildKey(std::uint32_t wanted, bool drop_le, std::vector<RawLabel>& labels, double* le);
  Result<Entry*> FindOrAdd(std::uint32_t wanted);
  bool FinishHistogram(Entry& entry, Series& series, Scrape& scrape) const;
  bool FinishEntry(Entry& entry, Series& series, Scrape& scrape) const;

  const WantedMetrics::Table* table_;
  ParseLimits limits_;
  std::vector<Entry> entries_;
  std::map<std::string, std::uint32_t, std::less<>> index_;  // ordered: no hash to attack
  std::size_t last_ = 0;                                     // entry of the last sample
  std::size_t room_ = 0;                                     // for a histogram's buckets
  std::string key_;                                          // scratch
  std::string unescaped_;                                    // scratch
  std::size_t key_bytes_ = 0;                                // of all entries
  std::optional<double> process_start_;
};

// Reads a whole number text of the formats ("1", "1e3", "+Inf", "NaN"); false for anything else.
// Beyond the range of double it is an infinity or 0.
bool ParseNumber(std::string_view text, double* value);

}  // namespace perennial::scrape
