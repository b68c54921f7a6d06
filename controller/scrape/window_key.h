#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "scrape/exposition.h"

// Internal to the windows: one string that identifies a series.
namespace perennial::scrape {

// The kind is part of it: a metric that changes from counter to gauge is another series.
std::string MakeKey(std::string_view metric, const Labels& labels, SeriesKind kind);
// Metric and packed labels, without the kind: what users see as one series.
std::string_view NameOfKey(std::string_view key);
// Metric and labels.
std::pair<std::string_view, Labels> SplitKey(std::string_view key);

}  // namespace perennial::scrape
