#include "app/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <list>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace perennial::app {
namespace {

// After no descriptor was left for a new connection.
constexpr Millis kAcceptPause{100};

// A file descriptor that is closed once.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string AnswerPage(std::string_view head, const HttpHandler& handler) {
  const auto line = ReadRequestLine(head);
  if (const auto* reply = std::get_if<HttpReply>(&line)) return Serialize(*reply, true);
  const HttpRequest& request = std::get<HttpRequest>(line);
  if (request.method != "GET" && request.method != "HEAD") {
    return Serialize({405, "GET or HEAD only\n"}, true);
  }
  return Serialize(handler(request), request.method == "GET");
}

std::string AnswerPost(std::string_view head, std::string_view body, const HttpHandler& handler) {
  const auto line = ReadRequestLine(head);
  if (const auto* reply = std::get_if<HttpReply>(&line)) return Serialize(*reply, true);
  HttpRequest request = std::get<HttpRequest>(line);
  request.body = body;
  return Serialize(handler(request), true);
}

Descriptor OpenListener(int port) {
  const int on = 1;
  const int off = 0;
  Descriptor six(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (six.get() >= 0) {
    ::setsockopt(six.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(six.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_any;
    address.sin6_port = htons(static_cast<std::uint16_t>(port));
    if (::bind(six.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::listen(six.get(), 128) == 0) {
      return six;
    }
    if (errno == EADDRINUSE || errno == EACCES) return Descriptor();
  }
  // A machine without IPv6.
  Descriptor four(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (four.get() < 0) return four;
  ::setsockopt(four.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(four.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(four.get(), 128) == 0) {
    return four;
  }
  return Descriptor();
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(Descriptor listener, Descriptor wake, Takes takes, HttpHandler handler, const Clock& clock,
       HttpLimits limits)
      : listener_(std::move(listener)),
        wake_(std::move(wake)),
        port_(PortOf(listener_.get())),
        takes_(takes),
        handler_(std::move(handler)),
        clock_(clock),
        limits_(limits),
        thread_([this](const std::stop_token& stop) { Loop(stop); }) {}

  ~Impl() {
    thread_.request_stop();
    const std::uint64_t one = 1;
    // Can't fail short of a full counter, which wakes as well.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
    thread_.join();
  }

  int port() const { return port_; }

 private:
  enum class State { kReading, kWriting, kDraining };
  struct Connection {
    Descriptor fd;
    Millis deadline{0};
    State state = State::kReading;
    std::string in{};
    std::string out{};
    std::size_t looked = 0;  // bytes in which the head's end is not
    std::size_t head = 0;    // its length, once known
    std::size_t body = 0;
    std::size_t sent = 0;
    bool done = false;
  };

  void Loop(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<pollfd> fds;
      fds.push_back({wake_.get(), POLLIN, 0});
      // Negative: not looked at.
      fds.push_back({clock_.Steady() < accept_from_ ? -1 : listener_.get(), POLLIN, 0});
      for (const Connection& connection : connections_) {
        const short events = connection.state == State::kWriting ? POLLOUT : POLLIN;
        fds.push_back({connection.fd.get(), events, 0});
      }
      if (::poll(fds.data(), fds.size(), WaitMillis()) < 0 && errno != EINTR) return;
      const Millis now = clock_.Steady();
      size_t i = 2;
      for (Connection& connection : connections_) {
        if (fds[i++].revents != 0) Advance(connection, now);
        if (now >= connection.deadline) connection.done = true;
      }
      connections_.remove_if([](const Connection& connection) { return connection.done; });
      if ((fds[1].revents & POLLIN) != 0) Accept(now);
    }
  }

  // Until the earliest deadline, rounded up so that the loop does not spin in its last millisecond.
  int WaitMillis() const {
    const bool pausing = clock_.Steady() < accept_from_;
    if (connections_.empty() && !pausing) return -1;
    Millis earliest = pausing ? accept_from_ : connections_.front().deadline;
    for (const Connection& connection : connections_) {
      earliest = std::min(earliest, connection.deadline);
    }
    const auto wait = (earliest - clock_.Steady()).count() + 1;
    return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000));
  }

  void Accept(Millis now) {
    // A bounded batch, so that connections that wait are served between floods of new ones.
    for (int i = 0; i < 16; ++i) {
      Descriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          // The connection stays in the backlog, where poll() would show it again at once. Somebody
          // who asks nothing makes room; if there is nobody, the listener is left alone for a
          // while.
          if (!connections_.empty()) {
            Evict();
            continue;
          }
          accept_from_ = now + kAcceptPause;
        }
        return;
      }
      if (connections_.size() >= limits_.connections) Evict();
      connections_.push_back({std::move(fd), now + limits_.request_timeout});
      Advance(connections_.back(), now);  // a request is often there already
    }
  }

  // Those who ask nothing go first, so that a slow but honest reader of a long answer stays.
  void Evict() {
    const auto idle = std::find_if(connections_.begin(), connections_.end(),
                                   [](const auto& c) { return c.state == State::kReading; });
    connections_.erase(idle == connections_.end() ? connections_.begin() : idle);
  }

  void Advance(Connection& connection, Millis now) {
    if (connection.state == State::kReading) Read(connection, now);
    if (connection.state == State::kWriting) Write(connection, now);
    if (connection.state == State::kDraining) Drain(connection);
  }

  void Read(Connection& connection, Millis now) {
    char buffer[4096];
    while (true) {
      const ssize_t got = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
      if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) connection.done = true;
        return;
      }
      if (got == 0) {
        connection.done = true;
        return;
      }
      connection.in.append(buffer, static_cast<size_t>(got));
      auto answer = AnswerIfWhole(connection);
      if (!answer) continue;
      connection.out = *std::move(answer);
      connection.in.clear();
      connection.state = State::kWriting;
      connection.deadline = now + limits_.response_timeout;
      return;
    }
  }

  std::optional<std::string> AnswerIfWhole(Connection& connection) {
    const std::string_view in = connection.in;
    // The end of the head is looked for once in each byte, and not again while a body comes.
    if (connection.head == 0) {
      const size_t from = connection.looked > 3 ? connection.looked - 3 : 0;
      const size_t end = in.find("\r\n\r\n", from);
      connection.looked = in.size();
      const size_t head = end == std::string_view::npos ? in.size() : end + 4;
      if (head > limits_.request_bytes) return Serialize({431, "request too large\n"}, true);
      if (end == std::string_view::npos) return std::nullopt;
      connection.head = head;
      if (takes_ == Takes::kPosts) {
        const auto length = BodyLength(in.substr(0, head), limits_.body_bytes);
        if (const auto* reply = std::get_if<HttpReply>(&length)) return Serialize(*reply, true);
        connection.body = std::get<size_t>(length);
      }
    }
    const std::string_view head = in.substr(0, connection.head);
    if (takes_ == Takes::kPages) return AnswerPage(head, handler_);
    if (in.size() - connection.head < connection.body) return std::nullopt;
    return AnswerPost(head, in.substr(connection.head, connection.body), handler_);
  }

  void Write(Connection& connection, Millis now) {
    while (connection.sent < connection.out.size()) {
      const ssize_t sent = ::send(connection.fd.get(), connection.out.data() + connection.sent,
                                  connection.out.size() - connection.sent, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) connection.done = true;
        return;
      }
      connection.sent += static_cast<size_t>(sent);
    }
    // Closing while the peer still sends would reset the connection and could take the answer
    // along (RFC 9112, 9.6): end our side and wait a little for theirs.
    ::shutdown(connection.fd.get(), SHUT_WR);
    connection.state = State::kDraining;
    connection.deadline = std::min(connection.deadline, now + Millis(500));
  }

  static void Drain(Connection& connection) {
    char buffer[4096];
    for (int i = 0; i < 16; ++i) {
      const ssize_t got = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
      if (got > 0) continue;
      if (got == 0 || (errno != EAGAIN && errno != EINTR)) connection.done = true;
      return;
    }
  }

  const Descriptor listener_;
  const Descriptor wake_;
  const int port_;
  const Takes takes_;
  const HttpHandler handler_;
  const Clock& clock_;
  const HttpLimits limits_;
  std::list<Connection> connections_;  // oldest first
  Millis accept_from_ = Millis::min();
  std::jthread thread_;  // last: it uses the others
};

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(int port, HttpHandler handler,
                                                       const Clock& clock, HttpLimits limits) {
  return Start(port, Takes::kPages, std::move(handler), clock, limits);
}

Result<std::unique_ptr<HttpServer>> HttpServer::ListenForPosts(int port, HttpHandler handler,
                                                               const Clock& clock,
                                                               HttpLimits limits) {
  return Start(port, Takes::kPosts, std::move(handler), clock, limits);
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(int port, Takes takes, HttpHandler handler,
                                                      const Clock& clock, HttpLimits limits) {
  Descriptor listener = OpenListener(port);
  if (listener.get() < 0) {
    return Error{Errc::kUnavailable,
                 "cannot listen on port " + std::to_string(port) + ": " + std::strerror(errno)};
  }
  Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake.get() < 0) {
    return Error{Errc::kUnavailable, std::string("eventfd: ") + std::strerror(errno)};
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(
      std::move(listener), std::move(wake), takes, std::move(handler), clock, limits)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

int HttpServer::port() const {
  return impl_->port();
}

}  // namespace perennial::app
