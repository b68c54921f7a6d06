#include <filesystem>
#include <fstream>
#include <iostream>

#include "api/crd.h"

// Writes everything that is generated from the tables of controller/api below the given folder.
int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: generate ROOT\n";
    return 2;
  }
  const std::filesystem::path root(argv[1]);
  for (const auto& file : perennial::api::GeneratedFiles()) {
    const std::filesystem::path path = root / file.path;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    std::ofstream out(path, std::ios::binary);
    out << file.content;
    out.close();
    if (!out) {
      std::cerr << "cannot write " << path << "\n";
      return 1;
    }
  }
  return 0;
}
