#include "scrape/http_fetch.h"

#include <curl/curl.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "scrape/http_exchange.h"

namespace perennial::scrape {
namespace {

void InitCurl() {
  static std::once_flag once;
  std::call_once(once, [] { PERENNIAL_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

}  // namespace

class HttpFetcher::Impl {
 public:
  explicit Impl(std::size_t idle_connections) {
    InitCurl();
    multi_ = curl_multi_init();
    PERENNIAL_CHECK(multi_ != nullptr);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(idle_connections));
    curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  }

  ~Impl() {
    for (const auto& exchange : active_) {
      curl_multi_remove_handle(multi_, exchange->easy());
      curl_easy_cleanup(exchange->easy());
    }
    for (CURL* easy : spare_) curl_easy_cleanup(easy);
    curl_multi_cleanup(multi_);
  }

  void Start(std::uint64_t id, const FetchRequest& request, FetchSink sink) {
    if (const Status ok = Exchange::Check(request); !ok.ok()) {
      refused_.emplace_back(id, ok.error());
      return;
    }
    active_.push_back(std::make_unique<Exchange>(id, TakeHandle(), request, std::move(sink)));
    curl_multi_add_handle(multi_, active_.back()->easy());
  }

  std::size_t in_flight() const { return active_.size() + refused_.size(); }

  void Poll(Millis timeout, const Done& done) {
    int running = 0;
    curl_multi_perform(multi_, &running);
    if (!Report(done)) {
      const auto wait =
          static_cast<int>(std::clamp(timeout.count(), std::int64_t{0}, std::int64_t{60'000}));
      curl_multi_poll(multi_, nullptr, 0, wait, nullptr);
      curl_multi_perform(multi_, &running);
      Report(done);
    }
  }

  void Wake() { curl_multi_wakeup(multi_); }

 private:
  CURL* TakeHandle() {
    if (spare_.empty()) {
      CURL* easy = curl_easy_init();
      PERENNIAL_CHECK(easy != nullptr);
      return easy;
    }
    CURL* easy = spare_.back();
    spare_.pop_back();
    return easy;
  }

  bool Report(const Done& done) {
    bool any = false;
    for (auto& [id, error] : std::exchange(refused_, {})) {
      any = true;
      done(id, std::move(error));
    }
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      any = true;
      Finish(message->easy_handle, message->data.result, done);
    }
    return any;
  }

  void Finish(CURL* easy, CURLcode code, const Done& done) {
    const auto it = std::ranges::find(active_, easy, [](const auto& e) { return e->easy(); });
    PERENNIAL_CHECK(it != active_.end());
    const std::unique_ptr<Exchange> exchange = std::move(*it);
    *it = std::move(active_.back());
    active_.pop_back();
    Result<FetchSummary> outcome = exchange->Outcome(code);
    curl_multi_remove_handle(multi_, easy);
    curl_easy_reset(easy);
    spare_.push_back(easy);
    done(exchange->id(), std::move(outcome));
  }

  CURLM* multi_ = nullptr;
  std::vector<std::unique_ptr<Exchange>> active_;
  std::vector<CURL*> spare_;
  std::vector<std::pair<std::uint64_t, Error>> refused_;
};

HttpFetcher::HttpFetcher(std::size_t idle_connections)
    : impl_(std::make_unique<Impl>(idle_connections)) {}
HttpFetcher::~HttpFetcher() = default;

void HttpFetcher::Start(std::uint64_t id, const FetchRequest& request, FetchSink sink) {
  impl_->Start(id, request, std::move(sink));
}

std::size_t HttpFetcher::in_flight() const {
  return impl_->in_flight();
}

void HttpFetcher::Poll(Millis timeout, const Done& done) {
  impl_->Poll(timeout, done);
}

void HttpFetcher::Wake() {
  impl_->Wake();
}

Result<FetchedBody> Fetch(const FetchRequest& request) {
  FetchedBody fetched;
  std::optional<Result<FetchSummary>> outcome;
  HttpFetcher fetcher(0);
  fetcher.Start(0, request,
                {.on_head =
                     [&](int status, std::string_view content_type) {
                       fetched.status = status;
                       fetched.content_type = content_type;
                       return Ok();
                     },
                 .on_body =
                     [&](std::string_view piece) {
                       fetched.body.append(piece);
                       return Ok();
                     }});
  while (!outcome) {
    fetcher.Poll(Millis{1'000}, [&](std::uint64_t, Result<FetchSummary> result) {
      outcome.emplace(std::move(result));
    });
  }
  if (!outcome->ok()) return outcome->error();
  return fetched;
}

}  // namespace perennial::scrape
