#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

namespace perennial::test {

// A throw-away key and a certificate for it that signs itself.
struct TlsIdentity {
  std::string key_pem;
  std::string certificate_pem;  // also what a client has to trust
};
// `name` is the subject; alt_name as OpenSSL writes it: "IP:127.0.0.1", "DNS:pod.example".
TlsIdentity MakeTlsIdentity(const std::string& name, const std::string& alt_name);

// One accepted connection: whatever bytes a test wants to say, whenever it wants to.
class Connection {
 public:
  Connection(int socket, SSL_CTX* tls, std::atomic<std::size_t>& sent);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The next request up to its empty line; less if the peer left or the server stops.
  std::string ReadHead();
  // The next request with its body, of the length that its head tells.
  std::string ReadRequest();
  // So many bytes of a body; less if the peer left or the server stops.
  std::string ReadBytes(std::size_t size);
  // false if the peer has gone or the server stops.
  bool Send(std::string_view bytes);
  // Until the peer has closed the connection, or the server stops.
  void WaitForPeer();
  void Cut();  // thread-safe: ends every wait

 private:
  long Read(char* buffer, std::size_t size);

  int socket_;
  SSL* tls_ = nullptr;
  std::atomic<std::size_t>& sent_;
};

// Listens on a port of 127.0.0.1, or of another address of this machine, and hands every connection
// to a thread of its own. Plain sockets, because the tests need servers that break HTTP in every
// way.
class SocketServer {
 public:
  using Handler = std::function<void(Connection&)>;

  explicit SocketServer(Handler handler, const TlsIdentity* identity = nullptr,
                        const std::string& address = "127.0.0.1");
  ~SocketServer();
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::size_t accepted() const { return accepted_; }
  std::size_t sent() const { return sent_; }  // bytes that the kernel took

 private:
  void Accept();

  Handler handler_;
  SSL_CTX* tls_ = nullptr;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> accepted_{0};
  std::atomic<std::size_t> sent_{0};
  std::mutex mutex_;  // guards connections_
  std::vector<std::shared_ptr<Connection>> connections_;
  std::vector<std::jthread> threads_;  // of the accepting thread only
  std::jthread acceptor_;
};

// A whole answer with a Content-Length.
std::string HttpAnswer(std::string_view status, std::string_view headers, std::string_view body);

}  // namespace perennial::test
