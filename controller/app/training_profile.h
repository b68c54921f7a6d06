#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/model_version.h"
#include "base/result.h"

namespace perennial::app {

// One column of the data and what it is called where it is served.
struct ProfileColumn {
  std::string column;
  std::string metric;          // empty: made from the column's name
  std::string label;           // categorical: the metric's label; empty: the column's name
  bool categorical = false;    // else it is what its values are
  std::vector<double> bounds;  // numeric; empty: from quantiles
};

struct ProfileOptions {
  std::string file;
  char delimiter = ',';
  std::vector<ProfileColumn> columns;  // empty: all
  int bins = 10;                       // where a column has no bounds
};

// "COLUMN", "COLUMN=METRIC" or "COLUMN=METRIC{LABEL}" (categorical).
Result<ProfileColumn> ParseProfileColumn(const std::string& text);
// "METRIC=1,2.5,10": bounds that ascend.
Result<std::pair<std::string, std::vector<double>>> ParseBounds(const std::string& text);
// Bounds by metric of the histograms that an exposition page shows.
Result<std::map<std::string, std::vector<double>>> BoundsOfPage(
    const std::string& page, const std::vector<std::string>& metrics);

// The distribution of each column of a CSV file with a header line. The file is read twice and
// never held: once to see what the columns are and where their quantiles lie (from a sample of
// 20,000 values each, the same at every run), once to count. Empty fields, "NA", "NaN", "null" and
// "None" are nulls. The 255 commonest categories keep their names, others are counted as
// "__other__".
Result<api::Profile> MakeProfile(const ProfileOptions& options);

// A ConfigMap with the profile that a DriftMonitor can name, as JSON.
std::string ProfileConfigMap(const api::Profile& profile, const std::string& name);

}  // namespace perennial::app
