#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/fake_api_server.h"

namespace perennial::testing {

// How often the objects of each resource were made and deleted, without their names:
// "jobs: +1-0 +2-2\n".
inline std::string TallyText(const FakeApiServer& server,
                             const std::function<bool(const kube::Ref&)>& counts) {
  std::map<std::string, std::vector<std::string>> by_resource;
  for (const auto& [ref, tally] : server.Tallies()) {
    if (!counts(ref)) continue;
    by_resource[ref.resource.plural].push_back("+" + std::to_string(tally.created) + "-" +
                                               std::to_string(tally.deleted));
  }
  std::string out;
  for (auto& [resource, tallies] : by_resource) {
    std::sort(tallies.begin(), tallies.end());
    out += resource + ":";
    for (const std::string& one : tallies) out += " " + one;
    out += "\n";
  }
  return out;
}

}  // namespace perennial::testing
