#include "scrape/promql_exchange.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.h"
#include "scrape/promql_source.h"

namespace perennial::scrape {
namespace {

constexpr Millis kShortestLimit{5'000};

// What the server must not have repeated in a status. What is shorter would be found in any text.
std::vector<std::string> SecretsOf(const Access& access) {
  constexpr std::size_t kShortest = 6;
  std::vector<std::string> out;
  const std::string basic = EncodeBase64(access.username + ":" + access.password);
  for (const std::string& secret : {access.bearer_token, access.password, basic}) {
    if (secret.size() >= kShortest) out.push_back(secret);
  }
  return out;
}

Error StatusError(int status) {
  const std::string text = "the Prometheus answers with HTTP status " + std::to_string(status);
  if (status >= 300 && status < 400) {
    return {Errc::kNotFound, text + "; redirects are not followed"};
  }
  if (status == 401 || status == 403) return {Errc::kUnauthorized, text};
  return {status >= 500 ? Errc::kUnavailable : Errc::kNotFound, text};
}

}  // namespace

Result<FetchLoop::Exchange> PromqlExchange::Begin(std::string_view url, const Access& access,
                                                  std::string_view query, WallTime at,
                                                  Millis interval, const PromqlOptions& options) {
  status_ = 0;
  body_.clear();
  FetchRequest request;
  PERENNIAL_TRY(request.url, QueryUrl(url));
  request.accept = "application/json";
  request.bearer_token = access.bearer_token;
  request.username = access.username;
  request.password = access.password;
  request.ca_pem = access.ca_pem;
  request.server_name = access.server_name;
  request.limits = options.fetch;
  request.limits.total = std::min(request.limits.total, std::max(interval, kShortestLimit));
  request.post = QueryForm(query, at, request.limits.total);
  request.content_type = "application/x-www-form-urlencoded";
  request.addresses = options.addresses;
  FetchSink sink{.on_head =
                     [this](int status, std::string_view) {
                       status_ = status;
                       return Ok();
                     },
                 .on_body =
                     [this](std::string_view piece) {
                       body_.append(piece);
                       return Ok();
                     }};
  return FetchLoop::Exchange{std::move(request), std::move(sink)};
}

// An error of Prometheus comes with a status of 4xx or 5xx and says why in its body.
Result<PromAnswer> PromqlExchange::End(const Result<FetchSummary>& fetched, const Access& access,
                                       const PromLimits& limits) {
  const std::string body = std::exchange(body_, {});
  if (!fetched.ok()) return fetched.error();
  auto answer = ParsePromAnswer(body, limits, SecretsOf(access));
  const bool explained = !answer.ok() && answer.error().message.starts_with("Prometheus answers");
  if (status_ / 100 != 2 && !explained) return StatusError(status_);
  return answer;
}

}  // namespace perennial::scrape
