// By which tokens and certificates the controller and the API server know each other.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "kube/http_transport.h"
#include "support/fake_api_server.h"
#include "support/http_connection.h"
#include "support/manual_clock.h"
#include "support/socket_server.h"

namespace perennial::testing {
namespace {

using kube::Request;
using kube::Transport;

const Request kGet{"GET", "/api/v1/namespaces/ns/configmaps/map", "", ""};

// --- tokens ---

class TokenTest : public ::testing::Test {
 protected:
  TokenTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "token-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    file_ = folder_ / "token";
  }
  ~TokenTest() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& token) { std::ofstream(file_) << token << "\n"; }
  std::unique_ptr<Transport> Make(FakeApiServer& server) {
    kube::ConnectionConfig config = server.Config();
    config.token.clear();
    config.token_file = file_.string();
    auto made = kube::MakeHttpTransport(config, clock_);
    return *std::move(made);
  }
  static FakeApiOptions With(const std::string& token) {
    FakeApiOptions options;
    options.token = token;
    return options;
  }

  std::filesystem::path folder_, file_;
  ManualClock clock_;
};

TEST_F(TokenTest, ARefusedTokenIsReadAgainOnce) {
  FakeApiServer server(With("new"));
  Write("old");
  const auto http = Make(server);
  Write("new");
  EXPECT_EQ(http->Send(kGet, Millis{5'000})->status, 404);
  EXPECT_EQ(server.Requests().size(), 2u);
  EXPECT_EQ(server.Requests().at(1).authorization, "Bearer new");
  Write("wrong");
  clock_.Advance(Millis{61'000});
  EXPECT_EQ(http->Send(kGet, Millis{5'000})->status, 401);
  EXPECT_EQ(server.Requests().size(), 3u) << "the same token was tried again";
}

TEST_F(TokenTest, ARefusedWatchReadsItAgainToo) {
  FakeApiServer server(With("new"));
  Write("old");
  const auto http = Make(server);
  Write("new");
  server.FailNext({}, End(0));
  EXPECT_TRUE(http->Stream({"GET", "/api/v1/configmaps?watch=true", "", ""}, Millis{5'000},
                           [](std::string_view) {}, {})
                  .ok());
}

TEST_F(TokenTest, TheFileIsReadEveryMinuteAndTheOldTokenKeptWhileItIsAway) {
  FakeApiServer server;
  Write("one");
  const auto http = Make(server);
  Write("two");
  clock_.Advance(Millis{59'000});
  ASSERT_TRUE(http->Send(kGet, Millis{5'000}).ok());
  EXPECT_EQ(server.Requests().back().authorization, "Bearer one");
  clock_.Advance(Millis{2'000});
  ASSERT_TRUE(http->Send(kGet, Millis{5'000}).ok());
  EXPECT_EQ(server.Requests().back().authorization, "Bearer two");
  std::filesystem::remove(file_);
  clock_.Advance(Millis{61'000});
  ASSERT_TRUE(http->Send(kGet, Millis{5'000}).ok());
  EXPECT_EQ(server.Requests().back().authorization, "Bearer two");
  Write("evil\r\nX-Other: header");
  clock_.Advance(Millis{61'000});
  ASSERT_TRUE(http->Send(kGet, Millis{5'000}).ok());
  EXPECT_EQ(server.Requests().back().authorization, "Bearer two");
}

// --- TLS ---

FakeApiOptions Tls(const std::string& names) {
  FakeApiOptions options;
  options.tls = true;
  options.certificate_names = names;
  return options;
}

TEST(TlsTest, TrustsTheClustersCaForTheServersAddress) {
  FakeApiServer server(Tls("IP:127.0.0.1"));
  const auto http = Connect(server.Config());
  const auto got = http->Send(kGet, Millis{5'000});
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 404);
  // Streams too.
  server.FailNext({}, End(0));
  EXPECT_TRUE(http->Stream({"GET", "/api/v1/configmaps?watch=true", "", ""}, Millis{5'000},
                           [](std::string_view) {}, {})
                  .ok());
}

TEST(TlsTest, RefusesCertificatesForOtherNames) {
  for (const char* names : {"IP:127.0.0.2", "DNS:localhost", "DNS:127.0.0.1"}) {
    SCOPED_TRACE(names);
    FakeApiServer server(Tls(names));
    const auto got = Connect(server.Config())->Send(kGet, Millis{5'000});
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, Errc::kUnavailable);
    EXPECT_TRUE(server.Requests().empty());
  }
}

TEST(TlsTest, VerifiesHostNamesAndTheNameThatTheConfigurationGives) {
  FakeApiServer server(Tls("DNS:localhost,DNS:kubernetes"));
  kube::ConnectionConfig config = server.Config();
  const std::string port = config.server.substr(config.server.rfind(':'));
  config.server_name = "kubernetes";
  EXPECT_TRUE(Connect(config)->Send(kGet, Millis{5'000}).ok());
  config.server_name = "other";
  EXPECT_FALSE(Connect(config)->Send(kGet, Millis{5'000}).ok());
  config.server_name.clear();
  config.server = "https://localhost" + port;
  const auto got = Connect(config)->Send(kGet, Millis{5'000});
  EXPECT_TRUE(got.ok()) << got.error().message;
}

TEST(TlsTest, TrustsNobodyElse) {
  FakeApiServer server(Tls("IP:127.0.0.1")), other(Tls("IP:127.0.0.1"));
  kube::ConnectionConfig config = server.Config();
  config.ca_pem = other.Config().ca_pem;
  const auto got = Connect(config)->Send(kGet, Millis{5'000});
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().message.find("CA"), std::string::npos) << got.error().message;
  EXPECT_TRUE(server.Requests().empty());
}

TEST(TlsTest, DoesNotTrustTheSystemsAnchors) {
  FakeApiServer server(Tls("IP:127.0.0.1")), other(Tls("IP:127.0.0.1"));
  kube::ConnectionConfig config = server.Config();
  const auto anchors = std::filesystem::temp_directory_path() /
                       ("anchors-" + std::to_string(SystemClock().Steady().count()) + ".pem");
  std::ofstream(anchors) << config.ca_pem;
  // Where OpenSSL looks for the system's anchors.
  ASSERT_EQ(setenv("SSL_CERT_FILE", anchors.c_str(), 1), 0);
  config.ca_pem = other.Config().ca_pem;
  EXPECT_FALSE(Connect(config)->Send(kGet, Millis{5'000}).ok());
  unsetenv("SSL_CERT_FILE");
  std::filesystem::remove(anchors);
}

TEST(TlsTest, ShowsItsCertificate) {
  const test::TlsIdentity client = test::MakeTlsIdentity("perennial", "DNS:perennial");
  FakeApiOptions options = Tls("IP:127.0.0.1");
  options.client_ca_pem = client.certificate_pem;
  FakeApiServer server(options);
  kube::ConnectionConfig config = server.Config();
  EXPECT_FALSE(Connect(config)->Send(kGet, Millis{5'000}).ok());
  config.client_certificate_pem = client.certificate_pem;
  config.client_key_pem = client.key_pem;
  const auto got = Connect(config)->Send(kGet, Millis{5'000});
  EXPECT_TRUE(got.ok()) << got.error().message;
}

TEST(TlsTest, BadMaterialIsNamedBeforeAnythingIsSent) {
  const test::TlsIdentity one = test::MakeTlsIdentity("one", "DNS:one");
  const test::TlsIdentity two = test::MakeTlsIdentity("two", "DNS:two");
  kube::ConnectionConfig config;
  config.server = "https://127.0.0.1:1";
  const auto message = [&] {
    const auto made = kube::MakeHttpTransport(config, SystemClock());
    return made.ok() ? std::string("ok") : made.error().message;
  };
  EXPECT_NE(message().find("CA"), std::string::npos);
  config.ca_pem = one.certificate_pem;
  EXPECT_EQ(message(), "ok");
  config.client_certificate_pem = one.certificate_pem;
  config.client_key_pem = "nonsense";
  EXPECT_NE(message().find("client key"), std::string::npos);
  config.client_key_pem = two.key_pem;
  EXPECT_NE(message().find("does not belong"), std::string::npos);
  config = {};
  config.server = "http://10.0.0.1:80";
  EXPECT_NE(message().find("https"), std::string::npos);
  config.server = "://";
  EXPECT_NE(message(), "ok");
}

}  // namespace
}  // namespace perennial::testing
