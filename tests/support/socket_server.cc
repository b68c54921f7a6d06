#include "support/socket_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

namespace perennial::test {
namespace {

std::string Drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

SSL_CTX* MakeContext(const TlsIdentity& identity) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* key = BIO_new_mem_buf(identity.key_pem.data(), static_cast<int>(identity.key_pem.size()));
  BIO* pem = BIO_new_mem_buf(identity.certificate_pem.data(),
                             static_cast<int>(identity.certificate_pem.size()));
  EVP_PKEY* private_key = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
  X509* certificate = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr);
  PERENNIAL_CHECK(SSL_CTX_use_certificate(context, certificate) == 1);
  PERENNIAL_CHECK(SSL_CTX_use_PrivateKey(context, private_key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(private_key);
  BIO_free(key);
  BIO_free(pem);
  return context;
}

void AddExtension(X509* certificate, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  PERENNIAL_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TlsIdentity MakeTlsIdentity(const std::string& name, const std::string& alt_name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_subject_alt_name, alt_name);
  PERENNIAL_CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);

  TlsIdentity identity;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  identity.key_pem = Drain(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  identity.certificate_pem = Drain(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

Connection::Connection(int socket, SSL_CTX* tls, std::atomic<std::size_t>& sent)
    : socket_(socket), sent_(sent) {
  if (tls == nullptr) return;
  tls_ = SSL_new(tls);
  SSL_set_fd(tls_, socket_);
}

Connection::~Connection() {
  SSL_free(tls_);
  close(socket_);
}

long Connection::Read(char* buffer, std::size_t size) {
  if (tls_ == nullptr) return recv(socket_, buffer, size, 0);
  if (!SSL_is_init_finished(tls_) && SSL_accept(tls_) != 1) {
    ERR_clear_error();
    return -1;
  }
  return SSL_read(tls_, buffer, static_cast<int>(size));
}

std::string Connection::ReadHead() {
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n") && Read(&byte, 1) == 1) head.push_back(byte);
  return head;
}

std::string Connection::ReadRequest() {
  constexpr std::string_view kLength = "Content-Length: ";
  std::string request = ReadHead();
  const std::size_t at = request.find(kLength);
  if (at != request.npos) request += ReadBytes(std::stoul(request.substr(at + kLength.size())));
  return request;
}

std::string Connection::ReadBytes(std::size_t size) {
  std::string bytes;
  char byte = 0;
  while (bytes.size() < size && Read(&byte, 1) == 1) bytes.push_back(byte);
  return bytes;
}

bool Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const long size = tls_ != nullptr
                          ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                          : send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    sent_ += static_cast<std::size_t>(size);
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

void Connection::WaitForPeer() {
  char buffer[4096];
  while (Read(buffer, sizeof(buffer)) > 0) {
  }
}

void Connection::Cut() {
  shutdown(socket_, SHUT_RDWR);
}

SocketServer::SocketServer(Handler handler, const TlsIdentity* identity, const std::string& at)
    : handler_(std::move(handler)) {
  if (identity != nullptr) tls_ = MakeContext(*identity);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  PERENNIAL_CHECK(inet_pton(AF_INET, at.c_str(), &address.sin_addr) == 1);
  socklen_t size = sizeof(address);
  PERENNIAL_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  PERENNIAL_CHECK(listen(listener_, 256) == 0);
  PERENNIAL_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { Accept(); });
}

SocketServer::~SocketServer() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_) connection->Cut();
  }
  threads_.clear();
  connections_.clear();
  close(listener_);
  SSL_CTX_free(tls_);
}

void SocketServer::Accept() {
  while (!stopping_) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) {
      if (stopping_) return;
      continue;
    }
    ++accepted_;
    auto connection = std::make_shared<Connection>(socket, tls_, sent_);
    {
      const std::lock_guard lock(mutex_);
      connections_.push_back(connection);
    }
    threads_.emplace_back([this, connection] {
      // OpenSSL writes to a peer that has gone; the signal comes to the writing thread.
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      handler_(*connection);
      connection->Cut();
    });
  }
}

std::string HttpAnswer(std::string_view status, std::string_view headers, std::string_view body) {
  std::string answer = "HTTP/1.1 ";
  answer.append(status).append("\r\n").append(headers);
  answer += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return answer.append(body);
}

}  // namespace perennial::test
