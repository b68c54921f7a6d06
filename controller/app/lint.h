#pragma once

#include <string>
#include <vector>

namespace perennial::app {

struct LintReport {
  int documents = 0;  // in the text
  int checked = 0;    // of our API group; others are passed over
  // One problem each: which document, the field's path, what to change.
  std::vector<std::string> problems;
};

// Checks the manifests of our kinds in a YAML text as the controller and the API server would, and
// more strictly: a field that nobody knows is a mistake here.
LintReport Lint(const std::string& text);

}  // namespace perennial::app
