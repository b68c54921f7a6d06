// The server of probes and metrics against clients that mean no good.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "app/http_server.h"
#include "support/raw_client.h"

namespace perennial::app {
namespace {

using Client = ::perennial::test::RawClient;

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Takes every descriptor that the process may still open.
class AllDescriptors {
 public:
  AllDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = std::min<rlim_t>(before_.rlim_cur, 256);
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken_.push_back(fd);
  }
  ~AllDescriptors() {
    for (const int fd : taken_) ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void Listen(HttpLimits limits = {}) {
    auto server = HttpServer::Listen(
        0,
        [this](const HttpRequest& request) {
          ++asked_;
          const std::string_view path = request.path;
          if (path == "/who")
            return HttpReply{401, request.Header("authorization").value_or("") + "|\n"};
          if (path == "/big") return HttpReply{200, std::string(4 << 20, 'x')};
          return path == "/healthz" ? HttpReply{200, "ok\n"} : HttpReply{404, "no\n"};
        },
        SystemClock(), limits);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = *std::move(server);
  }
  std::string Ask(std::string_view request) {
    const Client client(server_->port());
    EXPECT_TRUE(client.Send(request));
    return client.ReadAll();
  }

  std::atomic<int> asked_{0};
  std::unique_ptr<HttpServer> server_;
};

constexpr const char* kGetHealth = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(HttpServerTest, AnswersAProbe) {
  Listen();
  const std::string answer = Ask(kGetHealth);
  EXPECT_EQ(answer.rfind("HTTP/1.1 200 OK\r\n", 0), 0u) << answer;
  EXPECT_NE(answer.find("Content-Length: 3\r\n"), std::string::npos);
  EXPECT_EQ(answer.substr(answer.size() - 7), "\r\n\r\nok\n");
  EXPECT_EQ(Ask("GET /healthz?verbose HTTP/1.0\r\n\r\n").rfind("HTTP/1.1 200", 0), 0u);
  EXPECT_EQ(Ask("GET /secret HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 404", 0), 0u);
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  Listen();
  const std::string answer = Ask("HEAD /healthz HTTP/1.1\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 3\r\n"), std::string::npos);
  EXPECT_EQ(answer.substr(answer.size() - 4), "\r\n\r\n");
}

TEST_F(HttpServerTest, RefusesWhatIsNoRequestOfItsKind) {
  Listen();
  EXPECT_EQ(Ask("POST /healthz HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 405", 0), 0u);
  EXPECT_EQ(Ask("hello\r\n\r\n").rfind("HTTP/1.1 400", 0), 0u);
  EXPECT_EQ(Ask("GET http://elsewhere/ HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 400", 0), 0u);
  EXPECT_EQ(Ask("GET  HTTP/1.1\r\n\r\n").rfind("HTTP/1.1 400", 0), 0u);
  EXPECT_EQ(Ask(std::string("\0\xff\x16\x03\x01\r\n\r\n", 9)).rfind("HTTP/1.1 400", 0), 0u);
  EXPECT_EQ(asked_, 0);
}

TEST_F(HttpServerTest, RefusesHeadersThatAreTooLarge) {
  Listen();
  const std::string huge = "GET /healthz HTTP/1.1\r\nX: " + std::string(9'000, 'a') + "\r\n\r\n";
  EXPECT_EQ(Ask(huge).rfind("HTTP/1.1 431", 0), 0u);
  EXPECT_EQ(asked_, 0);
  // Without an end, too: nothing beyond the limit is kept.
  EXPECT_EQ(Ask(std::string(9'000, 'a')).rfind("HTTP/1.1 431", 0), 0u);
}

TEST_F(HttpServerTest, EndsAConnectionThatNeverFinishesItsRequest) {
  Listen({.request_timeout = Millis(150)});
  const Client slow(server_->port());
  ASSERT_TRUE(slow.Send("GET /healthz HTTP/1.1\r\n"));
  EXPECT_EQ(slow.ReadAll(), "") << "closed without an answer";
  EXPECT_EQ(asked_, 0);
}

TEST_F(HttpServerTest, SendsALongAnswerWhole) {
  Listen();
  const std::string answer = Ask("GET /big HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, static_cast<size_t>(4 << 20));
}

TEST_F(HttpServerTest, EndsAConnectionThatTakesNoAnswer) {
  Listen({.response_timeout = Millis(150)});
  const Client deaf(server_->port());
  ASSERT_TRUE(deaf.Send("GET /big HTTP/1.1\r\n\r\n"));
  ::usleep(400'000);  // reads nothing meanwhile: the answer fills the socket's buffers and stops
  EXPECT_LT(deaf.ReadAll().size(), static_cast<size_t>(4 << 20));
}

// Slow loris: connections that are opened and never ask. A thousand, where the system lets a
// process have so many; most do if it asks.
TEST_F(HttpServerTest, AnswersProbesWhileManyConnectionsSayNothing) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::max(files.rlim_cur, std::min<rlim_t>(files.rlim_max, 4'096));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  const int many = files.rlim_cur < 1'200 ? 400 : 1'000;
  Listen({.request_timeout = Seconds(60)});
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < many; ++i) {
    idle.push_back(std::make_unique<Client>(server_->port()));
    ASSERT_TRUE(idle.back()->connected()) << i;
    if (i % 2 == 0) idle.back()->Send("GET /heal");
    if (i % 100 != 99) continue;
    EXPECT_EQ(Ask(kGetHealth).rfind("HTTP/1.1 200", 0), 0u) << "after " << i;
  }
}

TEST_F(HttpServerTest, HandsTheAuthorizationOn) {
  Listen();
  const auto who = [&](const std::string& headers) {
    const std::string answer = Ask("GET /who HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n");
    EXPECT_NE(answer.find("WWW-Authenticate: Bearer\r\n"), std::string::npos) << answer;
    return answer.substr(answer.find("\r\n\r\n") + 4);
  };
  EXPECT_EQ(who("Authorization: Bearer a.b-c\r\n"), "Bearer a.b-c|\n");
  EXPECT_EQ(who("X: y\r\naUTHORIZATION:  \t Bearer a \r\n"), "Bearer a|\n");
  EXPECT_EQ(who(""), "|\n");
  EXPECT_EQ(who("Authorization:\r\n"), "|\n");
  EXPECT_EQ(who("X-Authorization: Bearer a\r\n"), "|\n");
  EXPECT_EQ(who("X: Authorization: Bearer a\r\n"), "|\n");
  EXPECT_EQ(who("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), "|\n") << "which?";
}

TEST_F(HttpServerTest, NamesAPortThatIsTaken) {
  Listen();
  const auto second = HttpServer::Listen(
      server_->port(), [](const HttpRequest&) { return HttpReply{}; }, SystemClock());
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(std::to_string(server_->port())), std::string::npos);
}

TEST_F(HttpServerTest, DoesNotSpinWithoutDescriptors) {
  Listen();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  {
    const AllDescriptors taken;
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const double before = CpuSeconds();
    std::this_thread::sleep_for(Millis{600});
    EXPECT_LT(CpuSeconds() - before, 0.2) << "the connection waits in the backlog";
  }
  const std::string request = "GET /healthz HTTP/1.1\r\n\r\n";
  ASSERT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  pollfd poller{fd, POLLIN, 0};
  EXPECT_EQ(::poll(&poller, 1, 5'000), 1) << "answered once there are descriptors again";
  ::close(fd);
}

// A descriptor that somebody holds who asks nothing is worth less than one who asks.
TEST_F(HttpServerTest, TakesTheDescriptorOfAnIdleConnectionWhenThereIsNoOther) {
  Listen({.request_timeout = Millis{60'000}});
  const Client idle(server_->port());
  ASSERT_TRUE(idle.connected());
  std::this_thread::sleep_for(Millis{100});  // accepted
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const AllDescriptors taken;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string request = "GET /healthz HTTP/1.1\r\n\r\n";
  ASSERT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  pollfd poller{fd, POLLIN, 0};
  EXPECT_EQ(::poll(&poller, 1, 5'000), 1);
  ::close(fd);
}

}  // namespace
}  // namespace perennial::app
