#pragma once

namespace perennial::app {

// What the kernel says of this process; zeros where it says nothing.
struct ProcessUsage {
  double resident_bytes = 0;
  double cpu_seconds = 0;
  int threads = 0;
  int open_fds = 0;
};
ProcessUsage ReadProcessUsage();

}  // namespace perennial::app
