#include "support/source_tree.h"

namespace perennial::testing {

std::string SourcePath(std::string_view relative) {
  return std::string(PERENNIAL_SOURCE_DIR "/").append(relative);
}

}  // namespace perennial::testing
