#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/source_tree.h"

namespace perennial::testing {

// The seeds of a fuzzer, tests/fuzz/corpus/<name>.
inline std::vector<std::string> Corpus(const std::string& name) {
  std::vector<std::string> texts;
  for (const auto& file :
       std::filesystem::directory_iterator(SourcePath("tests/fuzz/corpus/" + name))) {
    std::ifstream in(file.path(), std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  EXPECT_GT(texts.size(), 10u) << name;
  return texts;
}

}  // namespace perennial::testing
