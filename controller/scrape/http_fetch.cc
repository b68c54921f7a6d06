#include "scrape/http_fetch.h"

#include <curl/curl.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "scrape/gzip_inflate.h"

namespace perennial::scrape {
namespace {

void InitCurl() {
  static std::once_flag once;
  std::call_once(once, [] { PERENNIAL_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Sentences of our own: curl's error buffer quotes the peer.
Error ErrorOf(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {Errc::kTimeout, "no complete answer in time"};
    case CURLE_FILESIZE_EXCEEDED:
      return {Errc::kTooLarge, "body is larger than the limit"};
    case CURLE_COULDNT_CONNECT:
      return {Errc::kUnavailable, "connection failed"};
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Errc::kUnavailable, "host name does not resolve"};
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
      return {Errc::kUnavailable, "connection ended before the answer did"};
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return {Errc::kUnavailable, "connection broke, or its framing is malformed"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
      return {Errc::kUnauthorized, "TLS handshake failed or the certificate is not trusted"};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {Errc::kInvalid, "URL is not a valid http or https URL"};
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
      return {Errc::kInvalid, "answer is not HTTP"};
    default:
      return {Errc::kUnavailable, curl_easy_strerror(code)};
  }
}

// One exchange. Callbacks get a pointer to it, so it stays where it is until the end.
struct Transfer {
  ~Transfer() {
    curl_slist_free_all(headers);
    curl_slist_free_all(connect_to);
  }

  std::uint64_t id = 0;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  curl_slist* connect_to = nullptr;
  FetchSink sink;
  FetchLimits limits;
  AddressPolicy addresses;
  std::string post;
  std::size_t header_bytes = 0;
  std::string content_type;
  std::string encoding;
  std::unique_ptr<GzipInflater> inflater;
  bool head_passed = false;
  FetchSummary summary;
  std::optional<Error> error;

  bool Stop(Error why) {
    if (!error) error = std::move(why);
    return false;
  }
  bool Header(std::string_view line);
  bool PassHead();
  bool Body(std::string_view piece);
  bool Deliver(std::string_view piece);
};

bool Transfer::Header(std::string_view line) {
  header_bytes += line.size();
  if (header_bytes > limits.header_bytes) {
    return Stop({Errc::kTooLarge, "headers are larger than the limit"});
  }
  if (line.starts_with("HTTP/")) {  // a status line: of the answer, or of a 1xx before it
    content_type.clear();
    encoding.clear();
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return true;
  const std::string name = Lower(line.substr(0, colon));
  if (name == "content-type") content_type = Trim(line.substr(colon + 1));
  if (name == "content-encoding") encoding = Lower(Trim(line.substr(colon + 1)));
  return true;
}

bool Transfer::PassHead() {
  if (head_passed) return true;
  head_passed = true;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  summary.status = static_cast<int>(status);
  if (encoding == "gzip" || encoding == "x-gzip") {
    inflater = std::make_unique<GzipInflater>();
  } else if (!encoding.empty() && encoding != "identity") {
    return Stop({Errc::kInvalid, "content encoding is neither gzip nor identity"});
  }
  if (const Status ok = sink.on_head(summary.status, content_type); !ok.ok()) {
    return Stop(ok.error());
  }
  return true;
}

bool Transfer::Deliver(std::string_view piece) {
  summary.body_bytes += piece.size();
  if (summary.body_bytes > limits.body_bytes) {
    return Stop({Errc::kTooLarge, "body is larger than the limit"});
  }
  if (const Status ok = sink.on_body(piece); !ok.ok()) return Stop(ok.error());
  return true;
}

bool Transfer::Body(std::string_view piece) {
  summary.wire_bytes += piece.size();
  if (summary.wire_bytes > limits.wire_bytes) {
    return Stop({Errc::kTooLarge, "body is larger than the limit"});
  }
  if (!PassHead()) return false;
  if (inflater == nullptr) return Deliver(piece);
  const Status ok = inflater->Feed(piece, [this](std::string_view decoded) -> Status {
    if (Deliver(decoded)) return Ok();
    return *error;
  });
  return ok.ok() || Stop(ok.error());
}

// libcurl is C: nothing may be thrown through it.
template <class Function>
size_t Guarded(Transfer* transfer, size_t size, Function function) {
  try {
    return function() ? size : 0;
  } catch (const std::exception&) {
    transfer->Stop({Errc::kUnavailable, "out of memory"});
    return 0;
  }
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  return Guarded(transfer, line.size(), [&] { return transfer->Header(line); });
}

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view piece(data, size * count);
  return Guarded(transfer, piece.size(), [&] { return transfer->Body(piece); });
}

// The address that is really connected to is judged, so a name that resolves differently a moment
// later gains nothing.
curl_socket_t OnOpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(user);
  if (const Status ok = CheckAddress(&address->addr, transfer->addresses); !ok.ok()) {
    transfer->Stop(ok.error());
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void AddHeader(Transfer& transfer, const std::string& line) {
  curl_slist* longer = curl_slist_append(transfer.headers, line.c_str());
  PERENNIAL_CHECK(longer != nullptr);
  transfer.headers = longer;
}

bool HasLineBreak(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos;
}

Status CheckRequest(const FetchRequest& request) {
  const bool https = request.url.starts_with("https://");
  if (!https && !request.url.starts_with("http://")) return ErrorOf(CURLE_URL_MALFORMAT);
  if (!https && !request.bearer_token.empty()) {
    return Error{Errc::kInvalid, "a token is only sent over https"};
  }
  for (const std::string* text : {&request.url, &request.accept, &request.bearer_token,
                                  &request.server_name, &request.content_type}) {
    if (HasLineBreak(*text)) return Error{Errc::kInvalid, "request holds a line break"};
  }
  return Ok();
}

void SetUpSafety(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // not even the environment's
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "perennial");
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 32L << 10);
}

// URL and TLS name: the name goes into the URL, the address into where to connect.
std::string UrlOf(const FetchRequest& request, Transfer& transfer) {
  if (request.server_name.empty()) return request.url;
  CURLU* url = curl_url();
  char* host = nullptr;
  char* port = nullptr;
  char* whole = nullptr;
  std::string result = request.url;
  if (curl_url_set(url, CURLUPART_URL, request.url.c_str(), 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_HOST, request.server_name.c_str(), 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
    transfer.connect_to =
        curl_slist_append(nullptr, (std::string("::") + host + ":" + std::string(port)).c_str());
    result = whole;
  }
  curl_free(host);
  curl_free(port);
  curl_free(whole);
  curl_url_cleanup(url);
  return result;
}

void SetUp(const FetchRequest& request, Transfer& transfer) {
  CURL* easy = transfer.easy;
  SetUpSafety(easy);
  curl_easy_setopt(easy, CURLOPT_URL, UrlOf(request, transfer).c_str());
  if (transfer.connect_to != nullptr) {
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer.connect_to);
  }
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.limits.connect.count()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.limits.total.count()));
  curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                   static_cast<curl_off_t>(request.limits.wire_bytes));
  if (!request.ca_pem.empty()) {
    curl_blob blob{const_cast<char*>(request.ca_pem.data()), request.ca_pem.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  if (!request.accept.empty()) AddHeader(transfer, "Accept: " + request.accept);
  // Asked for and decoded by hand: libcurl would also accept encodings that need far more memory.
  AddHeader(transfer, "Accept-Encoding: gzip");
  if (!request.bearer_token.empty()) {
    AddHeader(transfer, "Authorization: Bearer " + request.bearer_token);
  }
  if (request.post) {
    transfer.post = *request.post;
    AddHeader(transfer, "Content-Type: " + request.content_type);
    AddHeader(transfer, "Expect:");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(transfer.post.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.post.data());
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, OnOpenSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
}

Result<FetchSummary> OutcomeOf(Transfer& transfer, CURLcode code) {
  if (transfer.error) return *transfer.error;
  if (code != CURLE_OK) return ErrorOf(code);
  if (!transfer.PassHead()) return *transfer.error;  // no body came
  if (transfer.inflater != nullptr && transfer.summary.wire_bytes > 0) {
    PERENNIAL_TRY_STATUS(transfer.inflater->Finish());
  }
  return transfer.summary;
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
    for (const auto& transfer : active_) {
      curl_multi_remove_handle(multi_, transfer->easy);
      curl_easy_cleanup(transfer->easy);
    }
    for (CURL* easy : spare_) curl_easy_cleanup(easy);
    curl_multi_cleanup(multi_);
  }

  void Start(std::uint64_t id, const FetchRequest& request, FetchSink sink) {
    if (const Status ok = CheckRequest(request); !ok.ok()) {
      refused_.emplace_back(id, ok.error());
      return;
    }
    auto transfer = std::make_unique<Transfer>();
    transfer->id = id;
    transfer->sink = std::move(sink);
    transfer->limits = request.limits;
    transfer->addresses = request.addresses;
    transfer->easy = TakeHandle();
    SetUp(request, *transfer);
    curl_multi_add_handle(multi_, transfer->easy);
    active_.push_back(std::move(transfer));
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
    const auto it = std::ranges::find(active_, easy, [](const auto& t) { return t->easy; });
    PERENNIAL_CHECK(it != active_.end());
    const std::unique_ptr<Transfer> transfer = std::move(*it);
    *it = std::move(active_.back());
    active_.pop_back();
    Result<FetchSummary> outcome = OutcomeOf(*transfer, code);
    curl_multi_remove_handle(multi_, easy);
    curl_easy_reset(easy);
    spare_.push_back(easy);
    done(transfer->id, std::move(outcome));
  }

  CURLM* multi_ = nullptr;
  std::vector<std::unique_ptr<Transfer>> active_;
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
