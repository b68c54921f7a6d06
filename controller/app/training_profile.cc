#include "app/training_profile.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "api/codec.h"
#include "api/names.h"
#include "app/csv.h"
#include "scrape/exposition.h"
#include "stats/categories.h"

namespace perennial::app {
namespace {

constexpr std::size_t kSampled = 20'000;
constexpr std::size_t kMostCategories = 255;  // and __other__
constexpr std::size_t kMostDistinct = 100'000;
constexpr std::size_t kMostMetrics = 64;
constexpr std::array<std::string_view, 7> kNulls{"", "NA", "NaN", "nan", "null", "NULL", "None"};

bool IsNull(std::string_view text) {
  return std::find(kNulls.begin(), kNulls.end(), text) != kNulls.end();
}

std::optional<double> Number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::string AsName(std::string text) {
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) != 0) {
    text.insert(text.begin(), '_');
  }
  return text;
}

// What is known of one column while the file is read.
struct State {
  ProfileColumn spec;
  std::size_t place = 0;  // among the fields
  bool numeric = true;
  std::uint64_t values = 0;
  std::uint64_t random = 0x9E3779B97F4A7C15;
  std::vector<double> sample;  // a uniform one (reservoir sampling, Vitter's algorithm R)
  api::MetricProfile metric;
  std::map<std::string, double, std::less<>> categories;
  double uncounted = 0;  // categories beyond kMostDistinct

  // xorshift64 (Marsaglia 2003): the same sample at every run.
  std::uint64_t Random() {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  }

  void Scan(const std::string& text) {
    if (IsNull(text)) return;
    const auto value = Number(text);
    if (!value) {
      numeric = false;
      return;
    }
    if (++values <= kSampled) {
      sample.push_back(*value);
    } else if (const std::uint64_t at = Random() % values; at < kSampled) {
      sample[at] = *value;
    }
  }

  Status Count(const std::string& text) {
    if (IsNull(text)) {
      ++metric.nulls;
      return Ok();
    }
    if (metric.type == api::MetricType::kCategorical) {
      const auto known = categories.find(text);
      if (known != categories.end()) {
        ++known->second;
      } else if (categories.size() < kMostDistinct) {
        categories.emplace(text, 1);
      } else {
        ++uncounted;
      }
      return Ok();
    }
    const auto value = Number(text);
    if (!value) return Error{Errc::kInvalid, "column " + spec.column + ": not a number"};
    const auto bucket = std::lower_bound(metric.bounds.begin(), metric.bounds.end(), *value);
    ++metric.counts[static_cast<std::size_t>(bucket - metric.bounds.begin())];
    metric.sum = metric.sum.value_or(0) + *value;
    metric.sum_squares = metric.sum_squares.value_or(0) + *value * *value;
    metric.min = std::min(metric.min.value_or(*value), *value);
    metric.max = std::max(metric.max.value_or(*value), *value);
    return Ok();
  }
};

// About as many observations in each bucket; bounds that few values share are left out.
std::vector<double> QuantileBounds(std::vector<double> sample, int bins) {
  std::sort(sample.begin(), sample.end());
  std::vector<double> bounds;
  for (int i = 1; i < bins && !sample.empty(); ++i) {
    const auto at = sample.size() * static_cast<std::size_t>(i) / static_cast<std::size_t>(bins);
    const double bound = sample[std::min(at, sample.size() - 1)];
    if (bounds.empty() || bound > bounds.back()) bounds.push_back(bound);
  }
  return bounds;
}

template <class Use>
Status ForEachRecord(const ProfileOptions& options, std::vector<std::string>& header, Use use) {
  std::ifstream stream(options.file, std::ios::binary);
  if (!stream) return Error{Errc::kNotFound, options.file + " cannot be read"};
  CsvReader reader(stream, options.delimiter);
  const auto in_file = [&](Error error) {
    error.message = options.file + ": " + error.message;
    return error;
  };
  auto first = reader.Next(header);
  if (!first.ok()) return in_file(first.error());
  if (!*first) return in_file({Errc::kInvalid, "there is no header line"});
  std::vector<std::string> fields;
  for (;;) {
    auto next = reader.Next(fields);
    if (!next.ok()) return in_file(next.error());
    if (!*next) return Ok();
    if (fields.size() == 1 && fields[0].empty()) continue;  // an empty line
    const std::string line = "line " + std::to_string(reader.line());
    if (fields.size() != header.size()) {
      return in_file({Errc::kInvalid, line + ": " + std::to_string(fields.size()) +
                                          " fields, but the header has " +
                                          std::to_string(header.size())});
    }
    const Status used = use(fields);
    if (!used.ok()) return in_file({used.error().code, line + ": " + used.error().message});
  }
}

Result<std::vector<State>> Begin(const ProfileOptions& options,
                                 const std::vector<std::string>& header) {
  std::vector<ProfileColumn> columns = options.columns;
  if (columns.empty()) {
    for (const std::string& name : header) columns.push_back({name, "", "", false, {}});
  }
  if (columns.size() > kMostMetrics) {
    return Error{Errc::kInvalid, "a profile has at most " + std::to_string(kMostMetrics) +
                                     " metrics: choose columns with --columns"};
  }
  std::vector<State> states;
  std::set<std::string> metrics;
  for (ProfileColumn& column : columns) {
    const auto found = std::find(header.begin(), header.end(), column.column);
    if (found == header.end()) {
      return Error{Errc::kInvalid, "there is no column " + column.column};
    }
    if (column.metric.empty()) column.metric = AsName(column.column);
    if (column.label.empty()) column.label = AsName(column.column);
    if (!metrics.insert(column.metric).second) {
      return Error{Errc::kInvalid, "two columns for the metric " + column.metric};
    }
    State state;
    state.place = static_cast<std::size_t>(found - header.begin());
    state.spec = std::move(column);
    states.push_back(std::move(state));
  }
  return states;
}

// After the first reading: what to count, and in which buckets.
Status Prepare(State& state, int bins) {
  api::MetricProfile& metric = state.metric;
  metric.metric = state.spec.metric;
  if (state.spec.categorical || (!state.numeric && state.spec.bounds.empty())) {
    metric.type = api::MetricType::kCategorical;
    metric.label = state.spec.label;
    return Ok();
  }
  metric.bounds =
      state.spec.bounds.empty() ? QuantileBounds(state.sample, bins) : state.spec.bounds;
  std::vector<double>().swap(state.sample);
  if (metric.bounds.empty()) {
    return Error{Errc::kInvalid, "column " + state.spec.column + " has no values"};
  }
  metric.counts.assign(metric.bounds.size() + 1, 0);
  return Ok();
}

Status Finish(State& state) {
  api::MetricProfile& metric = state.metric;
  if (metric.type != api::MetricType::kCategorical) return Ok();
  if (state.categories.empty()) {
    return Error{Errc::kInvalid, "column " + state.spec.column + " has no values"};
  }
  for (const auto& [name, count] : state.categories) metric.categories.push_back({name, count});
  std::stable_sort(metric.categories.begin(), metric.categories.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  double other = state.uncounted;
  while (metric.categories.size() > kMostCategories) {
    other += metric.categories.back().count;
    metric.categories.pop_back();
  }
  if (other > 0) metric.categories.push_back({std::string(stats::kOtherCategory), other});
  return Ok();
}

}  // namespace

Result<ProfileColumn> ParseProfileColumn(const std::string& text) {
  ProfileColumn column;
  const std::size_t equals = text.find('=');
  column.column = text.substr(0, equals);
  if (equals != std::string::npos) column.metric = text.substr(equals + 1);
  if (const std::size_t brace = column.metric.find('{'); brace != std::string::npos) {
    if (!column.metric.ends_with('}') || brace + 2 >= column.metric.size()) {
      return Error{Errc::kInvalid, text + ": expected COLUMN=METRIC{LABEL}"};
    }
    column.label = column.metric.substr(brace + 1, column.metric.size() - brace - 2);
    column.metric.resize(brace);
    column.categorical = true;
  }
  if (column.column.empty() || (equals != std::string::npos && column.metric.empty())) {
    return Error{Errc::kInvalid, text + ": expected COLUMN, COLUMN=METRIC or COLUMN=METRIC{LABEL}"};
  }
  return column;
}

Result<std::pair<std::string, std::vector<double>>> ParseBounds(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::pair<std::string, std::vector<double>> out{text.substr(0, equals), {}};
  std::string_view rest =
      equals == std::string::npos ? "" : std::string_view(text).substr(equals + 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const auto bound = Number(rest.substr(0, comma));
    if (!bound || (!out.second.empty() && *bound <= out.second.back())) {
      return Error{Errc::kInvalid, text + ": expected METRIC=1,2,5 with numbers that ascend"};
    }
    out.second.push_back(*bound);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (out.first.empty() || out.second.empty()) {
    return Error{Errc::kInvalid, text + ": expected METRIC=1,2,5 with numbers that ascend"};
  }
  return out;
}

Result<std::map<std::string, std::vector<double>>> BoundsOfPage(
    const std::string& page, const std::vector<std::string>& metrics) {
  const scrape::WantedMetrics wanted(metrics);
  const auto format = page.find("# EOF") == std::string::npos ? scrape::Format::kText
                                                              : scrape::Format::kOpenMetrics;
  PERENNIAL_TRY(const scrape::Scrape scrape, scrape::ParseExposition(page, wanted, format));
  std::map<std::string, std::vector<double>> out;
  for (const scrape::Series& series : scrape.series) {
    if (series.kind != scrape::SeriesKind::kHistogram || series.bounds.size() < 2) continue;
    out[series.metric] = {series.bounds.begin(), series.bounds.end() - 1};  // without +Inf
  }
  return out;
}

Result<api::Profile> MakeProfile(const ProfileOptions& options) {
  std::vector<std::string> header;
  std::optional<std::vector<State>> states;
  PERENNIAL_TRY_STATUS(ForEachRecord(options, header, [&](const auto& fields) -> Status {
    if (!states) {
      PERENNIAL_TRY(states, Begin(options, header));
    }
    for (State& state : *states) state.Scan(fields[state.place]);
    return Ok();
  }));
  if (!states) return Error{Errc::kInvalid, options.file + ": there are no rows"};
  for (State& state : *states) {
    PERENNIAL_TRY_STATUS(Prepare(state, options.bins));
  }
  api::Profile profile;
  PERENNIAL_TRY_STATUS(ForEachRecord(options, header, [&](const auto& fields) -> Status {
    ++profile.rows;
    for (State& state : *states) {
      PERENNIAL_TRY_STATUS(state.Count(fields[state.place]));
    }
    return Ok();
  }));
  for (State& state : *states) {
    PERENNIAL_TRY_STATUS(Finish(state));
    profile.metrics.push_back(std::move(state.metric));
  }
  return profile;
}

std::string ProfileConfigMap(const api::Profile& profile, const std::string& name) {
  const nlohmann::ordered_json map = {
      {"apiVersion", "v1"},
      {"kind", "ConfigMap"},
      {"metadata",
       {{"name", name}, {"labels", {{std::string(api::kLabelUse), api::kUseBaseline}}}}},
      {"data", {{"profile.json", api::EncodeProfile(profile)}}}};
  return map.dump(2);
}

}  // namespace perennial::app
