#include "app/process_metrics.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace perennial::app {

// proc(5), /proc/pid/stat: the fields after the command name, which is in parentheses and may
// itself hold anything. Field 3 (state) is then the first.
ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return usage;
  std::istringstream words(text.substr(end + 1));
  const std::vector<std::string> fields((std::istream_iterator<std::string>(words)),
                                        std::istream_iterator<std::string>());
  constexpr size_t kUserTime = 14 - 3, kSystemTime = 15 - 3, kThreads = 20 - 3, kResident = 24 - 3;
  if (fields.size() <= kResident) return usage;
  const auto number = [&](size_t i) { return std::strtod(fields[i].c_str(), nullptr); };
  usage.cpu_seconds =
      (number(kUserTime) + number(kSystemTime)) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  usage.threads = static_cast<int>(number(kThreads));
  usage.resident_bytes = number(kResident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    ++usage.open_fds;
  }
  return usage;
}

}  // namespace perennial::app
