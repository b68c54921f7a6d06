#include "kube/http_transport.h"

#include <cpprest/containerstream.h>
#include <cpprest/http_client.h>
#include <cpprest/producerconsumerstream.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <pplx/threadpool.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "kube/line_splitter.h"
#include "kube/tls_material.h"
#include "kube/token_source.h"

// What cpprestsdk 2.10.18 does by itself, and what is done about it here (read in its source,
// Release/src/http/client/http_client_asio.cpp, and measured):
// - its time-out is an idle time: every wait below has an end of its own and cancels the request;
// - it repeats a request whose pooled connection dies, unless the body's stream can't seek; it then
//   leaves a connection in the pool that was never connected;
// - it follows redirects with all headers; it trusts the system's CAs; it sets no keepalive;
// - the end of a connection ends a body without a length well: callers check what they got.

namespace perennial::kube {
namespace {

namespace http = web::http;
using boost::asio::ip::tcp;
using Bytes = concurrency::streams::streambuf<std::uint8_t>;

// The library's own idle limit: never the one that matters.
constexpr std::chrono::hours kLibraryTimeout{1};
// They only move bytes, and each more is woken for what another one had done meanwhile: with 4
// instead of 2, a quarter of the whole process's CPU time went to waking and waiting.
constexpr size_t kLibraryThreads = 2;
// What a stream may bring beyond what was read of it.
constexpr std::uint64_t kMostUnread = std::uint64_t{64} << 20;
constexpr std::size_t kLargestErrorBody = 64 << 10;
constexpr Millis kErrorBodyDeadline{5'000};

// OpenSSL must not clean up at exit: the library's threads end later than that, in a destructor of
// its own, and may be in the middle of a handshake. To hold, it has to be said before anything else
// is asked of OpenSSL.
[[maybe_unused]] const int kOpenSslStays = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

// Dead peers are noticed after 20 + 3 * 5 s of silence, or 30 s with data on its way.
void KeepAlive(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 20);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

// A pooled connection that the peer has closed. Nothing was sent on it.
struct Stale : std::runtime_error {
  Stale() : std::runtime_error(kStale) {}
  static constexpr char kStale[] = "the pooled connection is closed";
};

struct TooMuch : std::runtime_error {
  TooMuch() : std::runtime_error("the answer is too large") {}
};

// Where the result of one of the library's tasks arrives. Shared with the task, which may outlive
// the wait for it.
template <class T>
struct Landing {
  std::mutex mutex;
  std::condition_variable_any arrived;
  bool done = false;
  std::optional<T> value;
  std::exception_ptr failure;
};

template <class T>
std::shared_ptr<Landing<T>> Land(const pplx::task<T>& task) {
  auto landing = std::make_shared<Landing<T>>();
  task.then([landing](pplx::task<T> finished) {
    std::optional<T> value;
    std::exception_ptr failure;
    try {
      value = finished.get();
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(landing->mutex);
    landing->value = std::move(value);
    landing->failure = failure;
    landing->done = true;
    landing->arrived.notify_all();
  });
  return landing;
}

Error FromException(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const TooMuch& e) {
    return Error{Errc::kTooLarge, e.what()};
  } catch (const http::http_exception& e) {
    std::string what = e.what();
    if (what.find("SSL handshake") != std::string::npos) {
      what += " (does the cluster's CA sign the server's certificate, for this name?)";
    } else if (e.error_code().value() != 0) {
      what += " (" + std::generic_category().message(e.error_code().value()) + ")";
    }
    return Error{Errc::kUnavailable, what};
  } catch (const std::exception& e) {
    return Error{Errc::kUnavailable, e.what()};
  } catch (...) {
    return Error{Errc::kUnavailable, "unknown failure of the HTTP library"};
  }
}

// Requests that can't have reached the server: an error while the head is written means that it is
// not whole, and without a whole head there is no request.
bool NotSent(const Error& error) {
  return error.message == Stale::kStale ||
         error.message.starts_with("Failed to write request headers");
}

// Waits for a task until `left` is over or one of two asks to stop.
template <class T>
Result<T> Await(const pplx::task<T>& task, Millis left, const std::stop_token& stop) {
  const auto landing = Land(task);
  std::unique_lock lock(landing->mutex);
  if (!landing->arrived.wait_for(lock, stop, left, [&] { return landing->done; })) {
    if (stop.stop_requested()) return Error{Errc::kCancelled, "stopped"};
    return Error{Errc::kTimeout, "no answer in time"};
  }
  if (landing->failure) return FromException(landing->failure);
  return *std::move(landing->value);
}

// A request under way: given up, it closes its connection and stops all work on it.
class Flight {
 public:
  Flight() = default;
  ~Flight() {
    if (!landed_) source_.cancel();
  }
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  pplx::cancellation_token token() const { return source_.get_token(); }
  void Landed() { landed_ = true; }

 private:
  pplx::cancellation_token_source source_;
  bool landed_ = false;
};

// Lets a bounded number through at once.
class Gate {
 public:
  explicit Gate(int places) : places_(places) {}

  bool Enter(Millis left, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!free_.wait_for(lock, stop, left, [&] { return places_ > 0; })) return false;
    // Where there is a place at once, the wait never looks at `stop`.
    if (stop.stop_requested()) return false;
    --places_;
    return true;
  }
  void Leave() {
    const std::lock_guard lock(mutex_);
    ++places_;
    free_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any free_;
  int places_;
};

struct Leave {
  Gate& gate;
  ~Leave() { gate.Leave(); }
};

std::optional<Millis> RetryAfter(const http::http_response& response) {
  const auto it = response.headers().find("Retry-After");
  if (it == response.headers().end()) return std::nullopt;
  int seconds = -1;
  const std::string& text = it->second;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (seconds < 0 || seconds > 3600) return std::nullopt;
  return Seconds(seconds);
}

std::string WithoutBrackets(const std::string& host) {
  const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return v6 ? host.substr(1, host.size() - 2) : host;
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// AF_INET or AF_INET6, by the first address: the one that is tried first.
Result<int> FamilyOf(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  if (IsIpAddress(host)) hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found); code != 0) {
    return Error{Errc::kUnavailable, host + ": " + gai_strerror(code)};
  }
  const int family = found->ai_family;
  freeaddrinfo(found);
  return family;
}

class HttpTransport final : public Transport {
 public:
  HttpTransport(const web::uri& server, const http::client::http_client_config& config,
                std::string host_header, const ConnectionConfig& connection, const Clock& clock,
                HttpTransportOptions options)
      : options_(std::move(options)),
        host_header_(std::move(host_header)),
        tokens_(connection, clock, options_.token_refresh),
        gate_(options_.max_in_flight),
        calls_(server, config),
        streams_(server, config) {}

  ~HttpTransport() override { Shutdown(); }

  void Shutdown() override { shutdown_.request_stop(); }

  Result<Response> Send(const Request& request, Millis deadline) override {
    return Guarded([&]() -> Result<Response> {
      const Millis end = Now() + deadline;
      const std::stop_token stop = shutdown_.get_token();
      if (!gate_.Enter(deadline, stop)) {
        return stop.stop_requested() ? Error{Errc::kCancelled, "stopped"}
                                     : Error{Errc::kTimeout, "too many requests are under way"};
      }
      const Leave leave{gate_};
      std::string token = tokens_.Current();
      const auto once = [&] { return SendOnce(request, token, end, stop); };
      auto response = UntilSent(once);
      if (response.ok() && response->status == 401 && tokens_.Replace(token)) {
        token = tokens_.Current();
        response = UntilSent(once);
      }
      return response;
    });
  }

  Status Stream(const Request& request, Millis longest,
                const std::function<void(std::string_view line)>& on_line,
                std::stop_token stop) override {
    std::stop_source both;
    const std::stop_callback by_caller(stop, [&both] { both.request_stop(); });
    const std::stop_callback by_us(shutdown_.get_token(), [&both] { both.request_stop(); });
    const auto once = [&](const std::string& token) {
      return UntilSent(
          [&] { return StreamOnce(request, token, longest, on_line, both.get_token()); });
    };
    return Guarded([&]() -> Result<Unit> {
      const std::string token = tokens_.Current();
      Status first = once(token);
      if (first.ok() || first.error().code != Errc::kUnauthorized || !tokens_.Replace(token)) {
        return first;
      }
      return once(tokens_.Current());
    });
  }

 private:
  static Millis Now() { return SystemClock().Steady(); }

  // Exceptions of the library end here.
  template <class Call>
  static auto Guarded(const Call& call) -> decltype(call()) {
    try {
      return call();
    } catch (...) {
      return FromException(std::current_exception());
    }
  }

  // Again while the pool gives out connections that are closed: there may be as many as there were
  // calls at once.
  template <class Once>
  auto UntilSent(const Once& once) -> decltype(once()) {
    auto result = once();
    for (int i = 0; i < options_.max_in_flight && !result.ok() && NotSent(result.error()); ++i) {
      result = once();
    }
    return result;
  }

  http::http_request Build(const Request& request, const std::string& token) const {
    http::http_request out(request.method);
    out.set_request_uri(web::uri(request.path));
    out.headers().add("Accept", "application/json");
    out.headers().add("User-Agent", options_.user_agent);
    if (!token.empty()) out.headers().add("Authorization", "Bearer " + token);
    if (!host_header_.empty()) out.headers().add("Host", host_header_);
    if (!request.body.empty()) {
      // A buffer that can't seek: the library can't send it again behind our back.
      concurrency::streams::producer_consumer_buffer<std::uint8_t> body;
      body.putn_nocopy(reinterpret_cast<const std::uint8_t*>(request.body.data()),
                       request.body.size())
          .wait();
      body.close(std::ios_base::out).wait();
      out.set_body(body.create_istream(), request.body.size(), request.content_type);
    }
    return out;
  }

  Result<Response> SendOnce(const Request& request, const std::string& token, Millis end,
                            const std::stop_token& stop) {
    http::http_request message = Build(request, token);
    concurrency::streams::container_buffer<std::vector<std::uint8_t>> body;
    message.set_response_stream(body.create_ostream());
    message.set_progress_handler(
        [most = options_.max_body](http::message_direction::direction way, std::uint64_t size) {
          if (way == http::message_direction::download && size > most) throw TooMuch();
        });
    Flight flight;
    PERENNIAL_TRY(const http::http_response head,
                  Await(calls_.request(message, flight.token()), end - Now(), stop));
    PERENNIAL_TRY(const http::http_response whole, Await(head.content_ready(), end - Now(), stop));
    flight.Landed();
    const auto& bytes = body.collection();
    if (bytes.size() > options_.max_body) throw TooMuch();
    return Response{whole.status_code(), std::string(bytes.begin(), bytes.end()),
                    RetryAfter(whole)};
  }

  // The whole stream has a limit, and not each silence in it: a byte now and then would keep a
  // watch open for ever that shows nothing.
  Status StreamOnce(const Request& request, const std::string& token, Millis longest,
                    const std::function<void(std::string_view line)>& on_line,
                    const std::stop_token& stop) {
    http::http_request message = Build(request, token);
    // Shared with the library's threads, which may be in the handler when this call is over.
    const auto read = std::make_shared<std::atomic<std::uint64_t>>(0);
    message.set_progress_handler(
        [read](http::message_direction::direction way, std::uint64_t size) {
          if (way == http::message_direction::download && size > *read + kMostUnread) {
            throw TooMuch();
          }
        });
    const Millis end = Now() + longest;
    Flight flight;
    PERENNIAL_TRY(const http::http_response head,
                  Await(streams_.request(message, flight.token()), end - Now(), stop));
    Bytes body = head.body().streambuf();
    if (head.status_code() < 200 || head.status_code() >= 300) {
      return ErrorFromStatus({head.status_code(), ReadError(body, *read, stop), RetryAfter(head)});
    }
    LineSplitter lines(options_.max_line);
    for (;;) {
      PERENNIAL_TRY(const bool more, WaitForBytes(body, end - Now(), stop));
      if (!more) break;
      bool fits = true;
      Consume(body, *read, [&](std::string_view bytes) { fits = lines.Feed(bytes, on_line); });
      if (stop.stop_requested()) return Error{Errc::kCancelled, "stopped"};
      if (!fits) return Error{Errc::kTooLarge, "a line of the stream is too long"};
    }
    flight.Landed();
    if (lines.Open()) return Error{Errc::kUnavailable, "the stream ended within a line"};
    return Ok();
  }

  // False at the end of the body.
  static Result<bool> WaitForBytes(Bytes& body, Millis left, const std::stop_token& stop) {
    PERENNIAL_TRY(const auto next, Await(body.getc(), left, stop));
    return next != Bytes::traits::eof();
  }

  template <class Use>
  static void Consume(Bytes& body, std::atomic<std::uint64_t>& read, const Use& use) {
    std::uint8_t* bytes = nullptr;
    size_t size = 0;
    if (!body.acquire(bytes, size)) return;
    use(std::string_view(reinterpret_cast<const char*>(bytes), size));
    body.release(bytes, size);
    read += size;
  }

  // Of an answer that is no stream: as much as an error message needs.
  static std::string ReadError(Bytes& body, std::atomic<std::uint64_t>& read,
                               const std::stop_token& stop) {
    std::string out;
    const Millis end = Now() + kErrorBodyDeadline;
    while (out.size() < kLargestErrorBody) {
      const auto more = WaitForBytes(body, end - Now(), stop);
      if (!more.ok() || !*more) break;
      Consume(body, read, [&](std::string_view bytes) { out += bytes; });
    }
    return out;
  }

  const HttpTransportOptions options_;
  const std::string host_header_;
  TokenSource tokens_;
  Gate gate_;
  std::stop_source shutdown_;
  // Watches hold a connection each; they don't share the pool that short calls take theirs from.
  http::client::http_client calls_;
  http::client::http_client streams_;
};

// True for a connection that brings anything while nobody has asked anything: its end, mostly.
bool Speaks(int fd) {
  char byte;
  const auto size = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

// Runs before each request. The socket of a new connection is not open yet, so it is opened here to
// have something to set options on; one from the pool may have died there.
void PrepareSocket(void* handle, bool tls, int family) {
  tcp::socket& socket =
      tls ? static_cast<boost::asio::ssl::stream<tcp::socket&>*>(handle)->next_layer()
          : *static_cast<tcp::socket*>(handle);
  if (socket.is_open()) {
    if (Speaks(socket.native_handle())) throw Stale();
    return;
  }
  boost::system::error_code error;
  socket.open(family == AF_INET6 ? tcp::v6() : tcp::v4(), error);
  if (!error) KeepAlive(socket.native_handle());
}

}  // namespace

Result<std::unique_ptr<Transport>> MakeHttpTransport(const ConnectionConfig& config,
                                                     const Clock& clock,
                                                     HttpTransportOptions options) {
  static std::once_flag threads;
  try {
    std::call_once(threads,
                   [] { crossplat::threadpool::initialize_with_threads(kLibraryThreads); });
    web::uri_builder server{web::uri(config.server)};
    const std::string host = HostOf(config.server);
    // With brackets the library neither resolves nor verifies an IPv6 address.
    server.set_host(host);
    const bool tls = server.scheme() == "https";
    if (!tls && (server.scheme() != "http" || !IsLoopback(host))) {
      return Error{Errc::kInvalid, "server " + config.server + ": only https is supported"};
    }
    PERENNIAL_TRY(const int family, FamilyOf(host));

    http::client::http_client_config library;
    library.set_timeout(kLibraryTimeout);
    library.set_max_redirects(0);
    library.set_nativehandle_options(
        [tls, family](void* handle) { PrepareSocket(handle, tls, family); });
    const std::string& name = config.server_name.empty() ? host : config.server_name;
    if (tls) {
      PERENNIAL_TRY(const std::shared_ptr<const TlsMaterial> material,
                    TlsMaterial::Make(config, name));
      library.set_ssl_context_callback([material](boost::asio::ssl::context& context) {
        if (!material->ApplyTo(context.native_handle())) {
          throw std::runtime_error("TLS can't be set up");
        }
      });
      library.set_tlsext_sni_enabled(!IsIpAddress(name));  // RFC 6066: no addresses
    }
    // The library verifies the Host header's name where there is one.
    return std::unique_ptr<Transport>(std::make_unique<HttpTransport>(
        server.to_uri(), library, config.server_name, config, clock, std::move(options)));
  } catch (const std::exception& e) {
    return Error{Errc::kInvalid, "server \"" + config.server + "\": " + e.what()};
  }
}

std::string HostOf(const std::string& server) {
  return web::uri::validate(server) ? WithoutBrackets(web::uri(server).host()) : "";
}

}  // namespace perennial::kube
