#include "kube/line_splitter.h"

namespace perennial::kube {

bool LineSplitter::Feed(std::string_view bytes,
                        const std::function<void(std::string_view line)>& on_line) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (rest_.size() + part.size() > longest_) return false;
    if (end == std::string_view::npos) {
      rest_ += part;
      return true;
    }
    std::string_view line = part;
    if (!rest_.empty()) {
      rest_ += part;
      line = rest_;
    }
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    on_line(line);
    rest_.clear();
    bytes.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace perennial::kube
