#include "app/metrics_access.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/hash.h"

namespace perennial::app {
namespace {

using nlohmann::json;

// Scrapers wait some ten seconds, and two questions are asked.
constexpr Millis kDeadline{3'000};
// A minute, as controller-runtime keeps an authentication; less for a refusal, so that a new right
// works soon.
constexpr Millis kRemember{60'000};
constexpr Millis kRememberRefusal{10'000};
// Longer than any scraper pauses between two scrapes.
constexpr Millis kKnowReaders{600'000};
constexpr std::size_t kMostVerdicts = 256;
// Anybody can send tokens that nobody knows; each costs the API server a request.
constexpr double kMostTurns = 10;
constexpr double kTurnsPerSecond = 2;
// A bearer token longer than this is none (the server's limit on a request's head is 8 KiB).
constexpr std::size_t kLongestToken = 8'192;

// RFC 6750, 2.1; the scheme's name is case-insensitive (RFC 9110, 11.1).
std::string_view TokenOf(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
  }
  const std::string_view token = authorization.substr(kScheme.size());
  const bool plain =
      std::ranges::all_of(token, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
  return plain && token.size() <= kLongestToken ? token : std::string_view();
}

// The status of the review; nullopt where there is no answer that can be trusted.
std::optional<json> Review(kube::Transport& transport, const std::string& path,
                           const std::string& kind, const json& spec) {
  const std::string group = path.substr(6, path.rfind('/') - 6);
  const json body = {{"apiVersion", group}, {"kind", kind}, {"spec", spec}};
  const auto response = transport.Send({"POST", path, "application/json", body.dump()}, kDeadline);
  if (!response.ok() || response->status / 100 != 2) return std::nullopt;
  json answer = json::parse(response->body, nullptr, false);
  if (!answer.is_object() || !answer["status"].is_object()) return std::nullopt;
  return answer["status"];
}

bool IsTrue(const json& object, const char* field) {
  return object.contains(field) && object[field] == true;
}

}  // namespace

int MetricsAccess::Check(std::string_view authorization, std::string_view path) {
  const std::string_view token = TokenOf(authorization);
  if (token.empty()) return 401;
  const Millis now = clock_.Steady();
  const std::string id = Sha256Hex(std::string(token) + " " + std::string(path));
  const auto known = verdicts_.find(id);
  if (known != verdicts_.end() && now < known->second.until) return known->second.status;
  const bool reader = known != verdicts_.end() && known->second.status == 200;
  if (!(reader ? of_readers_ : of_strangers_).Take(now)) return 503;
  const int status = Ask(token, path);
  if (status == 503) return status;  // worth another question
  std::erase_if(verdicts_, [&](const auto& entry) { return entry.second.kept <= now; });
  const bool allowed = status == 200;
  const auto refused = [](const auto& entry) { return entry.second.status != 200; };
  if (verdicts_.size() >= kMostVerdicts) std::erase_if(verdicts_, refused);
  if (verdicts_.size() >= kMostVerdicts) verdicts_.clear();
  const Millis until = now + (allowed ? kRemember : kRememberRefusal);
  verdicts_[id] = {status, until, allowed ? now + kKnowReaders : until};
  return status;
}

int MetricsAccess::Ask(std::string_view token, std::string_view path) const {
  const auto who = Review(transport_, "/apis/authentication.k8s.io/v1/tokenreviews", "TokenReview",
                          {{"token", token}});
  if (!who) return 503;
  if (!IsTrue(*who, "authenticated") || !who->contains("user") || !(*who)["user"].is_object()) {
    return 401;
  }
  const json& user = (*who)["user"];
  json spec = {{"nonResourceAttributes", {{"path", path}, {"verb", "get"}}}};
  spec["user"] = user.value("username", json(""));
  for (const char* field : {"uid", "groups", "extra"}) {
    if (user.contains(field)) spec[field] = user[field];
  }
  const auto may = Review(transport_, "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                          "SubjectAccessReview", spec);
  if (!may) return 503;
  return IsTrue(*may, "allowed") && !IsTrue(*may, "denied") ? 200 : 403;
}

bool MetricsAccess::Turns::Take(Millis now) {
  const double passed = static_cast<double>((now - at_).count()) / 1000.0;
  left_ = std::min(kMostTurns, left_ + passed * kTurnsPerSecond);
  at_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

}  // namespace perennial::app
