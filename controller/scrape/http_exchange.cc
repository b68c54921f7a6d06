#include "scrape/http_exchange.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <exception>
#include <utility>

#include "base/check.h"

namespace perennial::scrape {
namespace {

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
      return {Errc::kInvalid, "URL is not a valid http or https URL"};
    case CURLE_UNSUPPORTED_PROTOCOL:  // the URL's scheme was checked: HTTP/0.9, or none at all
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
      return {Errc::kInvalid, "answer is not HTTP"};
    case CURLE_OUT_OF_MEMORY:  // also what a line of more than 100 KiB gives
      return {Errc::kTooLarge, "a header line is larger than the limit"};
    default:
      return {Errc::kUnavailable, curl_easy_strerror(code)};
  }
}

bool HasLineBreak(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos;
}

}  // namespace

// libcurl is C: nothing may be thrown through it.
template <class Function>
bool Exchange::Guarded(Exchange* exchange, Function function) {
  try {
    return function();
  } catch (const std::exception&) {
    return exchange->Stop({Errc::kUnavailable, "out of memory"});
  }
}

Exchange::Exchange(std::uint64_t id, CURL* easy, const FetchRequest& request, FetchSink sink)
    : id_(id),
      easy_(easy),
      sink_(std::move(sink)),
      limits_(request.limits),
      addresses_(request.addresses) {
  SetUpSafety();
  SetUpPeer(request);
  SetUpMessage(request);
}

Exchange::~Exchange() {
  curl_slist_free_all(headers_);
  curl_slist_free_all(connect_to_);
}

Status Exchange::Check(const FetchRequest& request) {
  const bool https = request.url.starts_with("https://");
  if (!https && !request.url.starts_with("http://")) return ErrorOf(CURLE_URL_MALFORMAT);
  if (!https && !(request.bearer_token.empty() && request.username.empty())) {
    return Error{Errc::kInvalid, "a token or password is only sent over https"};
  }
  for (const std::string* text : {&request.url, &request.accept, &request.bearer_token,
                                  &request.server_name, &request.content_type}) {
    if (HasLineBreak(*text)) return Error{Errc::kInvalid, "request holds a line break"};
  }
  return Ok();
}

void Exchange::SetUpSafety() {
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy_, CURLOPT_PROXY, "");  // not even the environment's
  curl_easy_setopt(easy_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy_, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  // A resolver that no name server answers can't be interrupted. Without this libcurl waits for its
  // thread at the end of the exchange, and all other exchanges wait for libcurl; so the thread is
  // left alone, and cleans up after itself when the resolver gives up.
  curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy_, CURLOPT_USERAGENT, "perennial");
  curl_easy_setopt(easy_, CURLOPT_BUFFERSIZE, 32L << 10);
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect.count()));
  curl_easy_setopt(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(limits_.total.count()));
  curl_easy_setopt(easy_, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits_.wire_bytes));
  // What chunks carry beside the body (extensions) reaches no other callback.
  curl_easy_setopt(easy_, CURLOPT_VERBOSE, 1L);
  curl_easy_setopt(easy_, CURLOPT_DEBUGFUNCTION, OnTrace);
  curl_easy_setopt(easy_, CURLOPT_DEBUGDATA, this);
  curl_easy_setopt(easy_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy_, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(easy_, CURLOPT_XFERINFODATA, this);
}

void Exchange::SetUpPeer(const FetchRequest& request) {
  curl_easy_setopt(easy_, CURLOPT_URL, UrlOf(request).c_str());
  if (connect_to_ != nullptr) curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to_);
  curl_easy_setopt(easy_, CURLOPT_OPENSOCKETFUNCTION, OnOpenSocket);
  curl_easy_setopt(easy_, CURLOPT_OPENSOCKETDATA, this);
  if (!request.ca_pem.empty()) {
    curl_blob blob{const_cast<char*>(request.ca_pem.data()), request.ca_pem.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy_, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(easy_, CURLOPT_CAPATH, nullptr);
  }
}

void Exchange::SetUpMessage(const FetchRequest& request) {
  if (!request.accept.empty()) AddHeader("Accept: " + request.accept);
  // Asked for and decoded by hand: libcurl would also accept encodings that need far more memory.
  AddHeader("Accept-Encoding: gzip");
  if (!request.bearer_token.empty()) AddHeader("Authorization: Bearer " + request.bearer_token);
  if (!request.username.empty()) {
    curl_easy_setopt(easy_, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(easy_, CURLOPT_USERNAME, request.username.c_str());
    curl_easy_setopt(easy_, CURLOPT_PASSWORD, request.password.c_str());
  }
  if (request.post) {
    post_ = *request.post;
    AddHeader("Content-Type: " + request.content_type);
    AddHeader("Expect:");
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(post_.size()));
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, post_.data());
  }
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
}

// URL and TLS name: the name goes into the URL, the address into where to connect.
std::string Exchange::UrlOf(const FetchRequest& request) {
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
    connect_to_ =
        curl_slist_append(nullptr, (std::string("::") + host + ":" + std::string(port)).c_str());
    PERENNIAL_CHECK(connect_to_ != nullptr);
    result = whole;
  }
  curl_free(host);
  curl_free(port);
  curl_free(whole);
  curl_url_cleanup(url);
  return result;
}

void Exchange::AddHeader(const std::string& line) {
  curl_slist* longer = curl_slist_append(headers_, line.c_str());
  PERENNIAL_CHECK(longer != nullptr);
  headers_ = longer;
}

size_t Exchange::OnHeader(char* data, size_t size, size_t count, void* user) {
  auto* exchange = static_cast<Exchange*>(user);
  const std::string_view line(data, size * count);
  return Guarded(exchange, [&] { return exchange->Header(line); }) ? line.size() : 0;
}

size_t Exchange::OnBody(char* data, size_t size, size_t count, void* user) {
  auto* exchange = static_cast<Exchange*>(user);
  const std::string_view piece(data, size * count);
  return Guarded(exchange, [&] { return exchange->Body(piece); }) ? piece.size() : 0;
}

// Counts and says nothing: a trace cannot end the exchange, OnProgress() can.
int Exchange::OnTrace(CURL*, curl_infotype type, char*, size_t size, void* user) {
  if (type == CURLINFO_HEADER_IN || type == CURLINFO_DATA_IN) {
    static_cast<Exchange*>(user)->raw_bytes_ += size;
  }
  return 0;
}

int Exchange::OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto* exchange = static_cast<Exchange*>(user);
  // Framing may be as long as what it frames, but not endless.
  const FetchLimits& limits = exchange->limits_;
  if (exchange->raw_bytes_ <= limits.header_bytes + 2 * limits.wire_bytes) return 0;
  const auto stop = [&] {
    return exchange->Stop({Errc::kTooLarge, "answer is larger than the limit"});
  };
  return Guarded(exchange, stop) ? 0 : 1;
}

// The address that is really connected to is judged, so a name that resolves differently a moment
// later gains nothing.
curl_socket_t Exchange::OnOpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  auto* exchange = static_cast<Exchange*>(user);
  const auto allowed = [&] {
    const Status ok = CheckAddress(&address->addr, exchange->addresses_);
    return ok.ok() || exchange->Stop(ok.error());
  };
  if (!Guarded(exchange, allowed)) return CURL_SOCKET_BAD;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// false, always: what the callbacks tell libcurl to end with.
bool Exchange::Stop(Error why) {
  if (!error_) error_ = std::move(why);
  return false;
}

bool Exchange::Header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > limits_.header_bytes) {
    return Stop({Errc::kTooLarge, "headers are larger than the limit"});
  }
  if (line.starts_with("HTTP/")) {  // a status line: of the answer, or of a 1xx before it
    content_type_.clear();
    encoding_.clear();
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return true;
  const std::string name = Lower(line.substr(0, colon));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (name == "content-type") content_type_ = value;
  if (name == "content-encoding") encoding_ = Lower(value);
  // libcurl undoes transfer encodings that nobody asked for, zstd and brotli among them.
  if (name == "transfer-encoding" && Lower(value) != "chunked" && Lower(value) != "identity") {
    return Stop({Errc::kInvalid, "transfer encoding is neither chunked nor identity"});
  }
  return true;
}

bool Exchange::PassHead() {
  if (head_passed_) return true;
  head_passed_ = true;
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  summary_.status = static_cast<int>(status);
  if (encoding_ == "gzip" || encoding_ == "x-gzip") {
    inflater_ = std::make_unique<GzipInflater>();
  } else if (!encoding_.empty() && encoding_ != "identity") {
    return Stop({Errc::kInvalid, "content encoding is neither gzip nor identity"});
  }
  const Status ok = sink_.on_head(summary_.status, content_type_);
  return ok.ok() || Stop(ok.error());
}

bool Exchange::Body(std::string_view piece) {
  summary_.wire_bytes += piece.size();
  if (summary_.wire_bytes > limits_.wire_bytes) {
    return Stop({Errc::kTooLarge, "body is larger than the limit"});
  }
  if (!PassHead()) return false;
  if (inflater_ == nullptr) return Deliver(piece);
  const Status ok = inflater_->Feed(piece, [this](std::string_view decoded) -> Status {
    if (Deliver(decoded)) return Ok();
    return *error_;
  });
  return ok.ok() || Stop(ok.error());
}

bool Exchange::Deliver(std::string_view piece) {
  summary_.body_bytes += piece.size();
  if (summary_.body_bytes > limits_.body_bytes) {
    return Stop({Errc::kTooLarge, "body is larger than the limit"});
  }
  const Status ok = sink_.on_body(piece);
  return ok.ok() || Stop(ok.error());
}

Result<FetchSummary> Exchange::Outcome(CURLcode code) {
  if (error_) return *error_;
  if (code != CURLE_OK) return ErrorOf(code);
  if (!PassHead()) return *error_;  // no body came
  if (inflater_ != nullptr && summary_.wire_bytes > 0) {
    PERENNIAL_TRY_STATUS(inflater_->Finish());
  }
  return summary_;
}

}  // namespace perennial::scrape
