#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "kube/transport.h"

namespace perennial::testing {

// Which requests something is about. Empty fields match everything.
struct Match {
  std::string method;
  std::string path;           // a part of path and query: "/deployments", "continue="
  std::optional<bool> watch;  // only watches, or only others
  std::string body;           // a part of the body
  bool writes = false;        // whatever isn't a GET
  bool creates = false;       // POST, and server-side apply without a version or with 1

  bool operator()(const kube::Request& request) const;
};

// What goes wrong with one request.
struct Fault {
  enum class Kind {
    kAnswer,     // this status, without any effect
    kDrop,       // the connection ends before the request has an effect
    kLoseReply,  // the request has its effect, but the connection ends before the answer
    kCut,        // `at` bytes of the answer, then the connection ends
    kDrip,       // a byte of the answer at each interval
    kEndless,    // an answer that never ends, a byte at each interval
    kHalfOpen,   // no effect, no answer, no end
    kRedirect,   // 307 to `text`
    kRaw,        // `text` as the whole answer, then the connection ends
    // Of a watch, after `at` events.
    kErrorEvent,  // an ERROR event with this status, then the end
    kGarbage,     // a line that is no event
    kEnd,         // a regular end
    kCutLine,     // half the next line, then the connection ends
    kDuplicate,   // every event twice
    kReorder,     // events in pairs, the later one first
  };
  Kind kind = Kind::kDrop;
  int status = 0;
  std::string reason;
  std::optional<int> retry_after;  // seconds
  std::size_t at = 0;
  Millis interval{10};
  std::string text;
};

Fault Answer(int status, std::string reason, std::optional<int> retry_after = {});
Fault Drop();
Fault LoseReply();
Fault Cut(std::size_t bytes);
Fault Drip(Millis interval);
Fault Endless(Millis interval);
Fault HalfOpen();
Fault Redirect(std::string url);
Fault Raw(std::string answer);
Fault ErrorEvent(int status, std::string reason, std::size_t at = 0);
Fault Garbage(std::size_t at = 0);
Fault CutLine(std::size_t at = 0);
Fault End(std::size_t at = 0);
Fault Duplicate();
Fault Reorder();

// Faults that wait for their requests. Thread-safe.
class FaultPlan {
 public:
  // The fault hits the next `times` matching requests after `skip` of them.
  void Add(Match match, Fault fault, int times = 1, int skip = 0);
  std::optional<Fault> Take(const kube::Request& request);
  void Clear();
  // Faults that were planned and did not happen yet.
  int Left() const;
  // Requests that met one so far, whatever was cleared since.
  int Struck() const;

 private:
  struct Entry {
    Match match;
    Fault fault;
    int times;
    int skip;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
  int struck_ = 0;
};

// What a watch sends, line by line, with its fault in it.
class WatchLines {
 public:
  explicit WatchLines(std::optional<Fault> fault) : fault_(std::move(fault)) {}

  struct Out {
    std::string bytes;     // with line ends
    bool end = false;      // regularly, after the bytes
    bool hang_up = false;  // in the middle of things, after the bytes
  };
  Out Open();
  Out Next(const std::string& line);

 private:
  void Strike(Out& out);

  std::optional<Fault> fault_;
  std::size_t seen_ = 0;
  std::optional<std::string> held_;
};

// A metav1.Status of a failure.
std::string StatusJson(int code, std::string_view reason, std::string_view message);

}  // namespace perennial::testing
