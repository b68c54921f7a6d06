#include "support/faults.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace perennial::testing {

bool Match::operator()(const kube::Request& request) const {
  const bool is_watch = request.path.find("watch=true") != std::string::npos;
  return (method.empty() || method == request.method) &&
         (path.empty() || request.path.find(path) != std::string::npos) &&
         (!watch || *watch == is_watch) &&
         (body.empty() || request.body.find(body) != std::string::npos) &&
         (!writes || request.method != "GET") &&
         (!creates || request.method == "POST" ||
          (request.content_type == "application/apply-patch+yaml" &&
           (request.body.find("resourceVersion") == std::string::npos ||
            request.body.find(R"("resourceVersion":"1")") != std::string::npos)));
}

namespace {
Fault Of(Fault::Kind kind) {
  Fault fault;
  fault.kind = kind;
  return fault;
}
Fault At(Fault::Kind kind, std::size_t at) {
  Fault fault = Of(kind);
  fault.at = at;
  return fault;
}
Fault Every(Fault::Kind kind, Millis interval) {
  Fault fault = Of(kind);
  fault.interval = interval;
  return fault;
}
Fault With(Fault::Kind kind, std::string text) {
  Fault fault = Of(kind);
  fault.text = std::move(text);
  return fault;
}
}  // namespace

Fault Answer(int status, std::string reason, std::optional<int> retry_after) {
  Fault fault = Of(Fault::Kind::kAnswer);
  fault.status = status;
  fault.reason = std::move(reason);
  fault.retry_after = retry_after;
  return fault;
}
Fault Drop() {
  return Of(Fault::Kind::kDrop);
}
Fault LoseReply() {
  return Of(Fault::Kind::kLoseReply);
}
Fault Cut(std::size_t bytes) {
  return At(Fault::Kind::kCut, bytes);
}
Fault Drip(Millis interval) {
  return Every(Fault::Kind::kDrip, interval);
}
Fault Endless(Millis interval) {
  return Every(Fault::Kind::kEndless, interval);
}
Fault HalfOpen() {
  return Of(Fault::Kind::kHalfOpen);
}
Fault Redirect(std::string url) {
  return With(Fault::Kind::kRedirect, std::move(url));
}
Fault Raw(std::string answer) {
  return With(Fault::Kind::kRaw, std::move(answer));
}
Fault ErrorEvent(int status, std::string reason, std::size_t at) {
  Fault fault = At(Fault::Kind::kErrorEvent, at);
  fault.status = status;
  fault.reason = std::move(reason);
  return fault;
}
Fault Garbage(std::size_t at) {
  return At(Fault::Kind::kGarbage, at);
}
Fault CutLine(std::size_t at) {
  return At(Fault::Kind::kCutLine, at);
}
Fault End(std::size_t at) {
  return At(Fault::Kind::kEnd, at);
}
Fault Duplicate() {
  return Of(Fault::Kind::kDuplicate);
}
Fault Reorder() {
  return Of(Fault::Kind::kReorder);
}

void FaultPlan::Add(Match match, Fault fault, int times, int skip) {
  const std::lock_guard lock(mutex_);
  entries_.push_back({std::move(match), std::move(fault), times, skip});
}

std::optional<Fault> FaultPlan::Take(const kube::Request& request) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.times == 0 || !entry.match(request)) continue;
    if (entry.skip > 0) {
      --entry.skip;
      continue;
    }
    --entry.times;
    ++struck_;
    return entry.fault;
  }
  return std::nullopt;
}

void FaultPlan::Clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

int FaultPlan::Left() const {
  const std::lock_guard lock(mutex_);
  int left = 0;
  for (const Entry& entry : entries_) left += entry.times;
  return left;
}

int FaultPlan::Struck() const {
  const std::lock_guard lock(mutex_);
  return struck_;
}

WatchLines::Out WatchLines::Open() {
  Out out;
  Strike(out);
  return out;
}

// What comes once, when `at` events were sent.
void WatchLines::Strike(Out& out) {
  if (!fault_ || seen_ != fault_->at) return;
  if (fault_->kind == Fault::Kind::kErrorEvent) {
    out.bytes += R"({"type":"ERROR","object":)" +
                 StatusJson(fault_->status, fault_->reason, "planned by the test") + "}\n";
    out.end = true;
  } else if (fault_->kind == Fault::Kind::kGarbage) {
    out.bytes += "{\"type\":\"MODIF}\n";
  } else if (fault_->kind == Fault::Kind::kEnd) {
    out.end = true;
  }
}

WatchLines::Out WatchLines::Next(const std::string& line) {
  Out out{line + "\n"};
  if (fault_ && fault_->kind == Fault::Kind::kCutLine && seen_ == fault_->at) {
    return {line.substr(0, line.size() / 2), false, true};
  }
  ++seen_;
  if (fault_ && fault_->kind == Fault::Kind::kDuplicate) out.bytes += line + "\n";
  if (fault_ && fault_->kind == Fault::Kind::kReorder) {
    if (!held_) {
      held_ = std::move(out.bytes);
      return {};
    }
    out.bytes += *std::exchange(held_, std::nullopt);
  }
  Strike(out);
  return out;
}

std::string StatusJson(int code, std::string_view reason, std::string_view message) {
  return nlohmann::json{
      {"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", nlohmann::json::object()},
      {"status", "Failure"}, {"message", message}, {"reason", reason},
      {"code", code}}
      .dump();
}

}  // namespace perennial::testing
