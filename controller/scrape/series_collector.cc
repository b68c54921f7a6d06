#include "scrape/series_collector.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

namespace perennial::scrape {
namespace {

// Neither byte occurs in UTF-8, so that keys of different labels differ.
constexpr char kNameEnd = '\xFF';
constexpr char kValueEnd = '\xFE';
constexpr std::size_t kMaxProblems = 8;
constexpr std::size_t kMostRoom = 32;  // buckets that a new histogram gets room for at once

// Does the sample belong to the family that the last TYPE line declared? Groups are contiguous in
// both formats, so the last declaration is the only one that can apply.
bool BelongsTo(std::string_view name, std::string_view family, SeriesKind type) {
  if (family.empty() || !name.starts_with(family)) return false;
  const std::string_view suffix = name.substr(family.size());
  if (suffix.empty()) return true;
  switch (type) {
    case SeriesKind::kHistogram:
      return suffix == "_bucket" || suffix == "_sum" || suffix == "_count" || suffix == "_created";
    case SeriesKind::kSummary:
      return suffix == "_sum" || suffix == "_count" || suffix == "_created";
    case SeriesKind::kCounter:
      return suffix == "_total" || suffix == "_created";
    case SeriesKind::kGauge:
    case SeriesKind::kUnknown:
      return false;
  }
  return false;
}

void Unescape(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    const char next = text[++i];
    if (next == 'n') {
      out.push_back('\n');
    } else if (next == '"' || next == '\\') {
      out.push_back(next);
    } else {  // an unknown escape stands for itself (OpenMetrics 1.0, ABNF of escaped-char)
      out.push_back('\\');
      out.push_back(next);
    }
  }
}

Labels LabelsOfKey(std::string_view key) {
  Labels labels;
  labels.reserve(static_cast<std::size_t>(std::ranges::count(key, kValueEnd)));
  while (!key.empty()) {
    const std::size_t name = key.find(kNameEnd);
    const std::size_t value = key.find(kValueEnd, name);
    labels.emplace_back(key.substr(0, name), key.substr(name + 1, value - name - 1));
    key.remove_prefix(value + 1);
  }
  return labels;
}

// One sample of a histogram or summary that was asked for by its own name counts up.
SeriesKind KindOfPart(std::string_view name, const RawSample& sample) {
  const bool part = name.size() > sample.family.size();
  const bool composed =
      sample.type == SeriesKind::kHistogram || sample.type == SeriesKind::kSummary;
  if (composed) {
    if (part) return name.ends_with("_created") ? SeriesKind::kGauge : SeriesKind::kCounter;
    return SeriesKind::kGauge;  // a summary's quantile
  }
  if (sample.type == SeriesKind::kCounter && name.ends_with("_created")) return SeriesKind::kGauge;
  return sample.type;
}

// Most samples count something: a few digits, exact as a double.
bool ParseCount(std::string_view text, double* value) {
  constexpr std::size_t kExactDigits = 15;
  if (text.empty() || text.size() > kExactDigits) return false;
  std::int64_t count = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    count = count * 10 + (c - '0');
  }
  *value = static_cast<double>(count);
  return true;
}

}  // namespace

bool ParseNumber(std::string_view text, double* value) {
  if (ParseCount(text, value)) return true;
  std::string_view digits = text;
  if (!digits.empty() && digits.front() == '+') {
    digits.remove_prefix(1);
    if (!digits.empty() && (digits.front() == '+' || digits.front() == '-')) return false;
  }
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *value);
  if (digits.empty() || end != digits.data() + digits.size()) return false;
  if (error == std::errc::result_out_of_range) {
    *value = std::strtod(std::string(digits).c_str(), nullptr);
    return true;
  }
  return error == std::errc();
}

SeriesCollector::SeriesCollector(const WantedMetrics::Table& table, const ParseLimits& limits)
    : table_(&table), limits_(limits) {}

Fault SeriesCollector::Add(const RawSample& sample, std::vector<RawLabel>& labels) {
  if (labels.size() > limits_.labels) return {Errc::kTooLarge, "too many labels"};
  for (const RawLabel& label : labels) {
    if (label.name.size() > limits_.label_length || label.value.size() > limits_.label_length) {
      return {Errc::kTooLarge, "label is too long"};
    }
  }
  for (std::size_t i = 0; i < sample.uses.count; ++i) {
    const Fault fault = AddUse(sample.uses.list[i], sample, labels);
    if (fault.why != nullptr) return fault;
  }
  return {};
}

Fault SeriesCollector::AddUse(const Use& use, const RawSample& sample,
                              std::vector<RawLabel>& labels) {
  if (use.wanted == kProcessStart) {
    if (std::isfinite(sample.value)) process_start_ = sample.value;
    return {};
  }
  const std::string& wanted = table_->names[use.wanted];
  const std::string_view name = sample.name;
  const bool declared = BelongsTo(name, sample.family, sample.type);
  // "x_count" declared as a family of its own is no part of "x".
  const bool part_of_other = declared && sample.family != wanted;
  const bool is_part =
      use.role == Role::kBucket || use.role == Role::kSum || use.role == Role::kCount;
  if (is_part && part_of_other) return {};
  if (use.role == Role::kBase && declared && sample.type != SeriesKind::kCounter) return {};

  double le = 0;
  const bool bucket = use.role == Role::kBucket;
  if (Fault fault = BuildKey(use.wanted, bucket, labels, bucket ? &le : nullptr);
      fault.why != nullptr) {
    return fault;
  }
  auto found = FindOrAdd(use.wanted);
  if (!found.ok()) {
    return {Errc::kTooLarge, "more wanted series, or longer labels of them, than the limit"};
  }
  Entry& entry = **found;

  const auto once = [](bool& seen, double& slot, double value) -> Fault {
    if (seen) return {Errc::kInvalid, "the same sample appears twice"};
    seen = true;
    slot = value;
    return {};
  };
  switch (use.role) {
    case Role::kExact:
      if (declared) {
        entry.type = KindOfPart(name, sample);
      } else if (name.ends_with("_total")) {
        entry.type = SeriesKind::kCounter;
      }
      return once(entry.has_exact, entry.exact, sample.value);
    case Role::kTotal:
      if (!entry.has_exact) entry.type = SeriesKind::kCounter;
      return once(entry.has_total, entry.total, sample.value);
    case Role::kBase:
      if (!entry.has_exact) entry.type = SeriesKind::kCounter;
      return once(entry.has_base, entry.base, sample.value);
    case Role::kSum:
      return once(entry.has_sum, entry.sum, sample.value);
    case Role::kCount:
      return once(entry.has_count, entry.count, sample.value);
    case Role::kCreated:
      return once(entry.has_created, entry.created, sample.value);
    case Role::kBucket:
      if (entry.buckets.size() >= limits_.buckets) {
        return {Errc::kTooLarge, "histogram has more buckets than the limit"};
      }
      // Histograms of a page have about as many buckets as the one before.
      if (entry.buckets.empty()) entry.buckets.reserve(room_);
      entry.buckets.emplace_back(le, sample.value);
      room_ = std::min(entry.buckets.size(), kMostRoom);
      return {};
  }
  return {};
}

// Leaves the canonical text of the labels in key_.
Fault SeriesCollector::BuildKey(std::uint32_t wanted, bool drop_le, std::vector<RawLabel>& labels,
                                double* le) {
  // Pages keep one order of labels, mostly sorted: insertion sort moves little.
  for (std::size_t i = 1; i < labels.size(); ++i) {
    for (std::size_t k = i; k > 0 && labels[k].name < labels[k - 1].name; --k) {
      std::swap(labels[k], labels[k - 1]);
    }
  }
  key_.assign(reinterpret_cast<const char*>(&wanted), sizeof(wanted));
  bool has_le = false;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const RawLabel& label = labels[i];
    if (i > 0 && label.name == labels[i - 1].name) {
      return {Errc::kInvalid, "the same label appears twice"};
    }
    std::string_view value = label.value;
    if (drop_le && label.name == "le") {
      if (!ParseNumber(value, le) || std::isnan(*le)) {
        return {Errc::kInvalid, "label le is not a number"};
      }
      has_le = true;
      continue;
    }
    if (value.empty()) continue;
    if (label.escaped) {
      Unescape(label.name, unescaped_);
      key_.append(unescaped_);
      key_.push_back(kNameEnd);
      Unescape(value, unescaped_);
      key_.append(unescaped_);
    } else {
      key_.append(label.name);
      key_.push_back(kNameEnd);
      key_.append(value);
    }
    key_.push_back(kValueEnd);
  }
  if (drop_le && !has_le) return {Errc::kInvalid, "histogram bucket without label le"};
  return {};
}

Result<SeriesCollector::Entry*> SeriesCollector::FindOrAdd(std::uint32_t wanted) {
  if (last_ < entries_.size() && entries_[last_].key == key_) return &entries_[last_];
  if (auto it = index_.find(key_); it != index_.end()) {
    last_ = it->second;
    return &entries_[last_];
  }
  key_bytes_ += key_.size();
  if (entries_.size() >= limits_.wanted_series || key_bytes_ > limits_.wanted_label_bytes) {
    return Error{Errc::kTooLarge, ""};
  }
  last_ = entries_.size();
  index_.emplace(key_, static_cast<std::uint32_t>(last_));
  Entry& entry = entries_.emplace_back();
  entry.wanted = wanted;
  entry.key = key_;
  return &entry;
}

bool SeriesCollector::FinishHistogram(Entry& entry, Series& series, Scrape& scrape) const {
  const auto refuse = [&](const char* why) {
    if (scrape.problems.size() < kMaxProblems) {
      std::string text = "histogram " + table_->names[entry.wanted] + " ignored: " + why;
      if (std::ranges::find(scrape.problems, text) == scrape.problems.end()) {
        scrape.problems.push_back(std::move(text));
      }
    }
    return false;
  };
  std::ranges::sort(entry.buckets);
  if (entry.buckets.back().first != std::numeric_limits<double>::infinity()) {
    return refuse("it has no +Inf bucket");
  }
  double before = 0;
  for (std::size_t i = 0; i < entry.buckets.size(); ++i) {
    const auto [le, cumulative] = entry.buckets[i];
    if (i > 0 && le == entry.buckets[i - 1].first) return refuse("two buckets have one bound");
    if (!std::isfinite(cumulative) || cumulative < 0) return refuse("a count is not a number");
    if (cumulative < before) return refuse("its cumulative counts fall");
    before = cumulative;
  }
  if (entry.has_count && entry.count != before) return refuse("its +Inf bucket is not its count");
  series.kind = SeriesKind::kHistogram;
  series.bounds.reserve(entry.buckets.size());
  series.cumulative.reserve(entry.buckets.size());
  for (const auto& [le, cumulative] : entry.buckets) {
    series.bounds.push_back(le);
    series.cumulative.push_back(cumulative);
  }
  series.count = before;
  series.sum = entry.has_sum ? entry.sum : std::numeric_limits<double>::quiet_NaN();
  return true;
}

bool SeriesCollector::FinishEntry(Entry& entry, Series& series, Scrape& scrape) const {
  series.metric = table_->names[entry.wanted];
  series.labels = LabelsOfKey(std::string_view(entry.key).substr(sizeof(entry.wanted)));
  if (entry.has_created && std::isfinite(entry.created)) series.created = entry.created;
  if (!entry.buckets.empty()) return FinishHistogram(entry, series, scrape);
  if (entry.has_exact || entry.has_total || entry.has_base) {
    series.kind = entry.type;
    series.value = entry.has_exact ? entry.exact : entry.has_total ? entry.total : entry.base;
    return true;
  }
  if (entry.has_count && std::isfinite(entry.count) && entry.count >= 0) {
    series.kind = SeriesKind::kSummary;
    series.count = entry.count;
    series.sum = entry.has_sum ? entry.sum : std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  return false;
}

void SeriesCollector::Finish(Scrape& scrape) {
  scrape.process_start_time = process_start_;
  scrape.series.reserve(entries_.size());
  for (Entry& entry : entries_) {
    Series series;
    if (FinishEntry(entry, series, scrape)) scrape.series.push_back(std::move(series));
  }
  entries_.clear();
  index_.clear();
}

}  // namespace perennial::scrape
