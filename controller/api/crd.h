#pragma once

#include <string>
#include <vector>

#include "api/kinds.h"

// What is generated from the tables: `hack/generate` writes it, a test compares it.
namespace perennial::api {

struct GeneratedFile {
  std::string path;  // from the root of the source tree
  std::string content;
};

// The CustomResourceDefinition of a kind, as YAML.
std::string RenderCrd(const KindInfo& kind);

// docs/reference/api.md.
std::string RenderReference();

// Every generated file.
std::vector<GeneratedFile> GeneratedFiles();

}  // namespace perennial::api
