// A peer that dies without a word, such as a node that loses its power, ends no connection: only
// the kernel's questions find out. Seen from outside of the transport, at the process's own
// sockets.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kube/http_transport.h"
#include "support/eventually.h"
#include "support/fake_api_server.h"
#include "support/http_connection.h"

namespace perennial::testing {
namespace {

// The port of a socket's own end, or of its peer's; nullopt for what is no TCP over IPv4.
std::optional<int> PortOf(int fd, decltype(getsockname)* end) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (end(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  if (address.sin_family != AF_INET) return std::nullopt;
  return ntohs(address.sin_port);
}

std::vector<int> SocketsTo(int port) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    if (PortOf(fd, getpeername) == port) found.push_back(fd);
  }
  return found;
}

// As proc(5) has it: an established connection, of which only the keepalive timer (02) runs.
bool KeepAliveTimerRuns(int from, int to) {
  char wanted[64];
  std::snprintf(wanted, sizeof wanted, ":%04X 0100007F:%04X 01 00000000:00000000 02:", from, to);
  std::ifstream table("/proc/self/net/tcp");
  for (std::string line; std::getline(table, line);) {
    if (line.find(wanted) != std::string::npos) return true;
  }
  return false;
}

int OptionOf(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}

class KeepAliveTest : public ::testing::TestWithParam<bool> {
 protected:
  static FakeApiOptions Options() {
    FakeApiOptions options;
    options.tls = GetParam();
    return options;
  }
};

TEST_P(KeepAliveTest, DeadPeersOfCallsAndWatchesAreNoticed) {
  FakeApiServer server(Options());
  const auto http = Connect(server.Config());
  ASSERT_TRUE(
      http->Send({"GET", "/api/v1/namespaces/ns/configmaps/map", "", ""}, Millis{5'000}).ok());
  const std::jthread watch([&](const std::stop_token& stop) {
    const kube::Request request{"GET", "/api/v1/namespaces/ns/configmaps?watch=true", "", ""};
    (void)http->Stream(
        request, Millis{60'000}, [](std::string_view) {}, stop);
  });
  ASSERT_TRUE(Eventually([&] { return server.open_watches() == 1; }));

  const int port = std::stoi(server.url().substr(server.url().rfind(':') + 1));
  const std::vector<int> sockets = SocketsTo(port);
  EXPECT_EQ(sockets.size(), 2u) << "one for calls, one for watches";
  for (const int fd : sockets) {
    const int own_port = PortOf(fd, getsockname).value_or(0);
    EXPECT_TRUE(Eventually([&] { return KeepAliveTimerRuns(own_port, port); }));
    EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    // 35 s of silence, 30 s with data on its way.
    EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_KEEPIDLE), 20);
    EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 30'000);
  }
}

INSTANTIATE_TEST_SUITE_P(PlainAndTls, KeepAliveTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

}  // namespace
}  // namespace perennial::testing
