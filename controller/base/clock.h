#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace perennial {

using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
// Wall time in UTC, milliseconds since the epoch. For stamps, schedules and what people read.
using WallTime = std::chrono::sys_time<Millis>;

// The one source of time. Wall time may jump; Steady never goes back and is what time-outs, leases
// and back-off use. Thread-safe.
class Clock {
 public:
  virtual WallTime Wall() const = 0;
  virtual Millis Steady() const = 0;
  virtual ~Clock() = default;
};

// The machine's clocks.
const Clock& SystemClock();

// RFC 3339 in UTC with seconds ("2026-11-24T16:13:47Z"), as metav1.Time is written.
std::string FormatTime(WallTime time);
// The same with microseconds ("2026-11-24T16:13:47.123000Z"), as metav1.MicroTime is written.
std::string FormatMicroTime(WallTime time);
// Accepts fractions and numeric offsets too; nullopt for anything else.
std::optional<WallTime> ParseTime(std::string_view text);

// Durations as Kubernetes writes them (GEP-2257): "90s", "1h30m", "500ms"; units h, m, s, ms,
// up to four parts of up to five digits. nullopt for anything else.
std::optional<Millis> ParseDuration(std::string_view text);
// The shortest such text ("1h30m"); "0s" for zero.
std::string FormatDuration(Millis duration);

}  // namespace perennial
