#include "support/http_wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

namespace perennial::testing {
namespace {

// Value of a header in "Name: value\r\n" lines, or empty.
std::string Header(std::string_view head, std::string_view name) {
  size_t at = head.find("\r\n");
  while (at != std::string_view::npos) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      std::string_view value = line.substr(name.size() + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      return std::string(value);
    }
    at = head.find("\r\n", at + 2);
  }
  return "";
}

}  // namespace

Wire::Wire(int socket, SSL_CTX* tls, int number) : socket_(socket), number_(number) {
  const int one = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (tls == nullptr) return;
  tls_ = SSL_new(tls);
  SSL_set_fd(tls_, socket_);
  if (SSL_accept(tls_) != 1) HangUp();
  ERR_clear_error();
}

Wire::~Wire() {
  if (tls_ != nullptr) SSL_free(tls_);
  close(socket_);
}

void Wire::HangUp() {
  up_ = false;
  shutdown(socket_, SHUT_RDWR);
}

bool Wire::Fill() {
  if (!up_) return false;
  char bytes[16384];
  const long size =
      tls_ != nullptr ? SSL_read(tls_, bytes, sizeof bytes) : recv(socket_, bytes, sizeof bytes, 0);
  if (size <= 0) {
    ERR_clear_error();
    up_ = false;
    return false;
  }
  buffer_.append(bytes, static_cast<size_t>(size));
  return true;
}

std::optional<std::string> Wire::ReadBody(size_t length) {
  while (buffer_.size() < length) {
    if (!Fill()) return std::nullopt;
  }
  std::string body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return body;
}

std::optional<WireRequest> Wire::Read() {
  size_t end = std::string::npos;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return std::nullopt;
  }
  const std::string head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  WireRequest out;
  const size_t method_end = head.find(' ');
  const size_t path_end = head.find(' ', method_end + 1);
  if (path_end == std::string::npos) return std::nullopt;
  out.request.method = head.substr(0, method_end);
  out.request.path = head.substr(method_end + 1, path_end - method_end - 1);
  out.request.content_type = Header(head, "Content-Type");
  out.authorization = Header(head, "Authorization");
  const std::string length = Header(head, "Content-Length");
  auto body = ReadBody(length.empty() ? 0 : std::stoul(length));
  if (!body) return std::nullopt;
  out.request.body = *std::move(body);
  return out;
}

bool Wire::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!up_) return false;
    const long size = tls_ != nullptr
                          ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                          : send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) {
      ERR_clear_error();
      up_ = false;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

bool Wire::PeerGone() {
  if (!up_) return true;
  pollfd waiting{socket_, POLLIN | POLLRDHUP, 0};
  if (poll(&waiting, 1, 0) > 0 && (waiting.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
    up_ = false;
  }
  return !up_;
}

void Wire::WaitForEnd() {
  while (!PeerGone()) {
    pollfd waiting{socket_, POLLRDHUP, 0};
    poll(&waiting, 1, 20);
  }
}

WireServer::WireServer(Serve serve, SSL_CTX* tls) : serve_(std::move(serve)), tls_(tls) {
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  PERENNIAL_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  PERENNIAL_CHECK(listen(listener_, 128) == 0);
  PERENNIAL_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

void WireServer::Accept() {
  int number = 0;
  for (;;) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (stopping_) {
      if (socket >= 0) close(socket);
      return;
    }
    if (socket < 0) continue;
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, socket, number = ++number] {
      // The handshake happens here: a peer that does not finish it must not hold up others.
      const auto wire = std::make_shared<Wire>(socket, tls_, number);
      {
        const std::lock_guard inner(mutex_);
        if (stopping_) return;
        wires_.insert(wire);
      }
      if (wire->up()) serve_(*wire);
      wire->HangUp();
      const std::lock_guard inner(mutex_);
      wires_.erase(wire);
    });
  }
}

void WireServer::HangUpAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& wire : wires_) wire->HangUp();
}

WireServer::~WireServer() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  HangUpAll();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace perennial::testing
