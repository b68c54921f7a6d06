#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace perennial::kube {

// Cuts a stream of bytes, however it arrives, into whole lines without their ends. Memory is
// bounded by the longest line allowed.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t longest) : longest_(longest) {}

  // False once a line is longer than allowed; nothing is delivered any more then.
  bool Feed(std::string_view bytes, const std::function<void(std::string_view line)>& on_line);
  // True while the last line has no end yet.
  bool Open() const { return !rest_.empty(); }

 private:
  std::size_t longest_;
  std::string rest_;
};

}  // namespace perennial::kube
