#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kube/kubeconfig.h"

namespace perennial::kube {
namespace {

namespace fs = std::filesystem;

class KubeconfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "kubeconfig-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    for (const char* name :
         {"KUBECONFIG", "HOME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}) {
      const char* value = getenv(name);
      saved_.emplace_back(name, value == nullptr ? "" : value);
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : saved_) {
      if (value.empty()) {
        unsetenv(name.c_str());
      } else {
        setenv(name.c_str(), value.c_str(), 1);
      }
    }
    fs::remove_all(folder_);
  }

  std::string Write(const std::string& name, const std::string& text) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  // A kubeconfig with one context; the entries are YAML flow maps.
  std::string Config(const std::string& cluster, const std::string& user,
                     const std::string& name = "config") {
    return Write(name,
                 "current-context: c\ncontexts:\n- {name: c, context: {cluster: k, user: u}}\n"
                 "clusters:\n- name: k\n  cluster: " +
                     cluster + "\nusers:\n- name: u\n  user: " + user + "\n");
  }

  fs::path folder_;
  std::vector<std::pair<std::string, std::string>> saved_;
};

TEST_F(KubeconfigTest, ReadsInlineData) {
  const auto config =
      LoadKubeconfig(Config("{server: 'https://1.2.3.4:6443', certificate-authority-data: Q0E=, "
                            "tls-server-name: kubernetes}",
                            "{client-certificate-data: Q0VSVA==, client-key-data: S0VZ, token: t}"),
                     "");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->server, "https://1.2.3.4:6443");
  EXPECT_EQ(config->ca_pem, "CA");
  EXPECT_EQ(config->server_name, "kubernetes");
  EXPECT_EQ(config->client_certificate_pem, "CERT");
  EXPECT_EQ(config->client_key_pem, "KEY");
  EXPECT_EQ(config->token, "t");
  EXPECT_EQ(config->ns, "default");
}

TEST_F(KubeconfigTest, RelativePathsAreRelativeToTheFile) {
  Write("pki/ca.crt", "CA text");
  Write("pki/token", "T");
  const auto config = LoadKubeconfig(
      Config("{server: 'https://h', certificate-authority: pki/ca.crt}", "{tokenFile: pki/token}"),
      "");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->ca_pem, "CA text");
  EXPECT_EQ(config->token_file, (folder_ / "pki/token").string());
}

TEST_F(KubeconfigTest, AContextCanBeChosen) {
  const std::string path = Write("config", R"(
current-context: a
contexts:
- {name: a, context: {cluster: k, user: u}}
- {name: b, context: {cluster: l, user: u, namespace: transit}}
clusters:
- {name: k, cluster: {server: "https://k"}}
- {name: l, cluster: {server: "https://l"}}
users:
- {name: u, user: {token: t}}
)");
  EXPECT_EQ(LoadKubeconfig(path, "")->server, "https://k");
  EXPECT_EQ(LoadKubeconfig(path, "b")->server, "https://l");
  EXPECT_EQ(LoadKubeconfig(path, "b")->ns, "transit");
  const auto missing = LoadKubeconfig(path, "z");
  EXPECT_EQ(missing.error().code, Errc::kInvalid);
  EXPECT_NE(missing.error().message.find("contexts has no \"z\""), std::string::npos);
}

TEST_F(KubeconfigTest, RefusesWhatItDoesNotDoAndNamesTheField) {
  const struct {
    const char* cluster;
    const char* user;
    const char* named;
  } kCases[] = {
      {"{server: 'https://h', insecure-skip-tls-verify: true}", "{}", "insecure-skip-tls-verify"},
      {"{server: 'https://h', proxy-url: 'http://p'}", "{}", "proxy-url"},
      {"{}", "{}", "cluster.server"},
      {"{server: 'https://h', certificate-authority-data: '***'}", "{}",
       "certificate-authority-data"},
      {"{server: 'https://h', certificate-authority: gone.crt}", "{}", "gone.crt"},
      {"{server: 'https://h'}", "{exec: {command: aws}}", "user.exec"},
      {"{server: 'https://h'}", "{auth-provider: {name: gcp}}", "user.auth-provider"},
      {"{server: 'https://h'}", "{username: a, password: b}", "user.username"},
      {"{server: 'https://h'}", "{as: somebody}", "user.as"},
      {"{server: 'https://h'}", "{client-certificate-data: Q0E=}", "client key"},
  };
  for (const auto& c : kCases) {
    const auto config = LoadKubeconfig(Config(c.cluster, c.user), "");
    ASSERT_FALSE(config.ok()) << c.named;
    EXPECT_NE(config.error().message.find(c.named), std::string::npos) << config.error().message;
  }
}

TEST_F(KubeconfigTest, SurvivesFilesThatAreNone) {
  for (const char* text : {"", "- a", "a: [", "current-context: c", "\x01\x02", "contexts: 3"}) {
    EXPECT_FALSE(LoadKubeconfig(Write("config", text), "").ok()) << text;
  }
  EXPECT_EQ(LoadKubeconfig((folder_ / "none").string(), "").error().code, Errc::kNotFound);
}

TEST_F(KubeconfigTest, DecodesBase64OfEveryLength) {
  const struct {
    const char* text;
    const char* plain;
  } kCases[] = {{"YQ==", "a"}, {"YWI=", "ab"}, {"YWJj", "abc"}, {"YWJjZA==", "abcd"}};
  for (const auto& c : kCases) {
    const auto config = LoadKubeconfig(
        Config(std::string("{server: 'https://h', certificate-authority-data: '") + c.text + "'}",
               "{}"),
        "");
    ASSERT_TRUE(config.ok());
    EXPECT_EQ(config->ca_pem, c.plain);
  }
}

TEST_F(KubeconfigTest, LooksInTheUsualPlacesInOrder) {
  const auto nowhere = LoadConnectionConfig("", "");
  EXPECT_EQ(nowhere.error().code, Errc::kNotFound);
  setenv("HOME", folder_.c_str(), 1);
  Config("{server: 'https://home'}", "{}", ".kube/config");
  EXPECT_EQ(LoadConnectionConfig("", "")->server, "https://home");
  const std::string first = Config("{server: 'https://env'}", "{}", "env");
  setenv("KUBECONFIG", (first + ":/does/not/exist").c_str(), 1);
  EXPECT_EQ(LoadConnectionConfig("", "")->server, "https://env");
  const std::string flag = Config("{server: 'https://flag'}", "{}", "flag");
  EXPECT_EQ(LoadConnectionConfig(flag, "")->server, "https://flag");
  // A file that was named is not passed over.
  EXPECT_FALSE(LoadConnectionConfig("/does/not/exist", "").ok());
}

TEST_F(KubeconfigTest, ReadsThePodsServiceAccount) {
  Write("sa/ca.crt", "CA");
  Write("sa/token", "T");
  Write("sa/namespace", "perennial-system\n");
  const std::string folder = (folder_ / "sa").string();
  EXPECT_EQ(LoadInClusterConfig(folder).error().code, Errc::kNotFound);
  setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
  setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  const auto config = LoadInClusterConfig(folder);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->server, "https://10.96.0.1:443");
  EXPECT_EQ(config->ca_pem, "CA");
  EXPECT_EQ(config->token_file, folder + "/token");
  EXPECT_EQ(config->token, "");
  EXPECT_EQ(config->ns, "perennial-system");
  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  EXPECT_EQ(LoadInClusterConfig(folder)->server, "https://[fd00::1]:443");
  fs::remove(folder_ / "sa/token");
  EXPECT_FALSE(LoadInClusterConfig(folder).ok());
}

}  // namespace
}  // namespace perennial::kube
