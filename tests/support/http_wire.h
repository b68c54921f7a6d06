#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kube/transport.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

namespace perennial::testing {

struct WireRequest {
  kube::Request request;
  std::string authorization;
};

// The server's end of one connection.
class Wire {
 public:
  Wire(int socket, SSL_CTX* tls, int number);
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // The next whole request; nullopt once the peer is gone, or talks something else.
  std::optional<WireRequest> Read();
  // False once the peer is gone.
  bool Write(std::string_view bytes);
  // Until the peer hangs up.
  void WaitForEnd();
  bool PeerGone();
  void HangUp();  // thread-safe: ends every wait
  int number() const { return number_; }
  bool up() const { return up_; }

 private:
  bool Fill();  // reads more into buffer_
  std::optional<std::string> ReadBody(size_t length);

  const int socket_;
  const int number_;
  SSL* tls_ = nullptr;
  std::atomic<bool> up_{true};
  std::string buffer_;
};

// Listens on a port of 127.0.0.1; each connection has a thread, which runs `serve`.
class WireServer {
 public:
  using Serve = std::function<void(Wire&)>;
  WireServer(Serve serve, SSL_CTX* tls);
  ~WireServer();

  int port() const { return port_; }
  void HangUpAll();

 private:
  void Accept();

  Serve serve_;
  SSL_CTX* tls_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::set<std::shared_ptr<Wire>> wires_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace perennial::testing
