// The binaries as processes: what they exit with and what they say, against an API server on
// loopback. They lie beside this test's own binary.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/names.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"

namespace perennial::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::perennial::testing::FakeApiServer;
using ::perennial::testing::On;
using ::perennial::testing::Raw;

constexpr int kStillRunning = -1;

std::string Read(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// A child process whose two outputs go to one file.
class Process {
 public:
  Process(const std::string& binary, std::vector<std::string> arguments, fs::path output)
      : output_(std::move(output)) {
    arguments.insert(arguments.begin(),
                     (fs::read_symlink("/proc/self/exe").parent_path() / binary).string());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    // Nothing of this machine's own configuration, but what sanitizers are told.
    std::vector<std::string> kept{"HOME=" + output_.parent_path().string()};
    for (const char* name : {"TSAN_OPTIONS", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}) {
      if (const char* value = std::getenv(name)) kept.push_back(std::string(name) + "=" + value);
    }
    std::vector<char*> environment;
    for (std::string& entry : kept) environment.push_back(entry.data());
    environment.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, output_.c_str(), O_CREAT | O_TRUNC | O_WRONLY,
                                     0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    started_ = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environment.data()) == 0;
    posix_spawn_file_actions_destroy(&files);
    EXPECT_TRUE(started_) << argv[0];
  }
  ~Process() {
    if (!started_ || Exit(Millis(0)) != kStillRunning) return;
    ::kill(pid_, SIGKILL);
    Exit(Millis(5'000));
  }

  void Signal(int signal) const { ::kill(pid_, signal); }
  std::string Output() const { return Read(output_); }

  // The exit code, 128 + signal, or kStillRunning.
  int Exit(Millis patience = Millis(10'000)) {
    for (int i = 0; code_ == kStillRunning; ++i) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      } else if (Millis(5) * i >= patience) {
        return kStillRunning;
      } else {
        std::this_thread::sleep_for(Millis(5));
      }
    }
    return code_;
  }
  bool Says(const std::string& text, Millis patience = Millis(10'000)) {
    for (Millis waited{0}; waited < patience && Output().find(text) == std::string::npos;
         waited += Millis(5)) {
      if (Exit(Millis(0)) != kStillRunning) break;
      std::this_thread::sleep_for(Millis(5));
    }
    return Output().find(text) != std::string::npos;
  }

 private:
  fs::path output_;
  pid_t pid_ = 0;
  bool started_ = false;
  int code_ = kStillRunning;
};

std::string Answered(const json& body) {
  const std::string text = body.dump();
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(text.size()) + "\r\n\r\n" + text;
}

class ProcessTest : public ::testing::Test {
 protected:
  ProcessTest() {
    std::string name = (fs::temp_directory_path() / "perennial-process-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    server_.FailNext(On("POST", "/selfsubjectreviews"),
                     Raw(Answered({{"status", {{"userInfo", {{"username", "ada"}}}}}})), 100);
    Discover();
    WriteKubeconfig("kubeconfig", "secret-token");
  }
  ~ProcessTest() override { fs::remove_all(folder_); }

  // The first GET below the group is the discovery.
  static ::perennial::testing::Match DiscoveryOf() { return On("GET", "/apis/perennial.dev"); }

  // For one process that is about to start.
  void Discover() {
    json resources = json::array();
    for (const auto* resource :
         {&api::kModelDeployments, &api::kDriftMonitors, &api::kRetrainPolicies,
          &api::kModelVersions, &api::kModelApprovals}) {
      resources.push_back({{"name", resource->plural}});
    }
    server_.FailNext(DiscoveryOf(), Raw(Answered({{"resources", resources}})), 1);
  }
  void WriteKubeconfig(const std::string& name, const std::string& token) {
    std::ofstream(folder_ / name) << json{
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"current-context", "test"},
        {"contexts", {{{"name", "test"}, {"context", {{"cluster", "test"}, {"user", "test"}}}}}},
        {"clusters", {{{"name", "test"}, {"cluster", {{"server", server_.url()}}}}}},
        {"users", {{{"name", "test"}, {"user", {{"token", token}}}}}}};
  }

  std::vector<std::string> Run(std::vector<std::string> more = {},
                               const std::string& kubeconfig = "kubeconfig") {
    std::vector<std::string> out{"run",
                                 "--log-format=text",
                                 "--kubeconfig",
                                 (folder_ / kubeconfig).string(),
                                 "--metrics-port=0",
                                 "--health-port=0"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  FakeApiServer server_;
  fs::path folder_;
};

TEST_F(ProcessTest, TheControllerEndsWellOnSigterm) {
  Process controller("perennial-controller", Run(), folder_ / "log");
  ASSERT_TRUE(controller.Says("working as ada")) << controller.Output();
  controller.Signal(SIGTERM);
  EXPECT_EQ(controller.Exit(), 0) << controller.Output();
  EXPECT_EQ(controller.Output().find("secret-token"), std::string::npos);
}

TEST_F(ProcessTest, TheControllerExitsAtOnceWhenItsLeaseIsTaken) {
  Process controller("perennial-controller", Run({"--leader-elect"}), folder_ / "log");
  ASSERT_TRUE(controller.Says("working as ada")) << controller.Output();
  const kube::Ref lease{::perennial::testing::Leases(),
                        {"perennial-system", "perennial-controller"}};
  const std::string now = FormatMicroTime(SystemClock().Wall());
  server_.Put(lease.resource,
              {{"metadata", {{"namespace", lease.key.ns}, {"name", lease.key.name}}},
               {"spec",
                {{"holderIdentity", "another"},
                 {"leaseDurationSeconds", 3600},
                 {"acquireTime", now},
                 {"renewTime", now}}}});
  EXPECT_EQ(controller.Exit(), 1) << controller.Output();
  EXPECT_NE(controller.Output().find("the Lease is lost"), std::string::npos);
  EXPECT_EQ(server_.Get(lease)->at("spec")["holderIdentity"], "another");
}

// As on a machine that sleeps, or a node whose processes get no time: the Lease's time passes while
// the process can't see it, and what it meant to write is still in its memory.
TEST_F(ProcessTest, AControllerThatStoodStillForLongerThanItsLeaseWritesNothingAnyMore) {
  Process first("perennial-controller", Run({"--leader-elect"}), folder_ / "first");
  ASSERT_TRUE(first.Says("working as ada")) << first.Output();
  Discover();
  WriteKubeconfig("other", "other-token");
  Process second("perennial-controller", Run({"--leader-elect"}, "other"), folder_ / "second");
  ASSERT_TRUE(second.Says("waiting for Lease")) << second.Output();

  // Work comes at the very moment: the first has heard of it, or will when it goes on.
  const kube::Ref model{api::kModelDeployments, {"transit", "departures"}};
  first.Signal(SIGSTOP);
  server_.Put(model.resource, json::parse(R"({
      "metadata": {"namespace": "transit", "name": "departures"},
      "spec": {"model": {"uri": "http://models/1"}, "template": {"spec": {"containers": [
        {"name": "model", "image": "m", "ports": [{"name": "http", "containerPort": 8080}]}]}}}})"));
  ASSERT_TRUE(second.Says("working as ada", Millis(60'000))) << second.Output();
  for (int i = 0; i < 2'000 && server_.List(api::kDeployments).empty(); ++i) {
    std::this_thread::sleep_for(Millis(5));
  }
  ASSERT_FALSE(server_.List(api::kDeployments).empty()) << second.Output();
  const json lease =
      server_.Get({::perennial::testing::Leases(), {"perennial-system", "perennial-controller"}})
          .value();

  const std::size_t before = server_.Requests().size();
  first.Signal(SIGCONT);
  EXPECT_EQ(first.Exit(), 1) << first.Output();
  EXPECT_NE(first.Output().find("the Lease is lost"), std::string::npos) << first.Output();
  const auto requests = server_.Requests();
  for (std::size_t i = before; i < requests.size(); ++i) {
    const auto& one = requests[i];
    if (one.authorization.find("secret-token") == std::string::npos) continue;
    if (one.request.method == "GET") continue;
    // A renewal that was on its way when it stood still is refused by its version.
    const bool renewal = one.request.path.find("/leases/") != std::string::npos;
    EXPECT_TRUE(renewal && one.status == 409)
        << one.request.method << " " << one.request.path << " " << one.status;
  }
  const json now =
      server_.Get({::perennial::testing::Leases(), {"perennial-system", "perennial-controller"}})
          .value();
  EXPECT_EQ(now["spec"]["holderIdentity"], lease["spec"]["holderIdentity"]);
  second.Signal(SIGTERM);
  EXPECT_EQ(second.Exit(), 0) << second.Output();
}

TEST_F(ProcessTest, TheControllerSaysWhatItCannotConnectWith) {
  Process controller("perennial-controller", {"run", "--log-format=text"}, folder_ / "log");
  EXPECT_EQ(controller.Exit(), 1);
  EXPECT_NE(controller.Output().find("cannot start: "), std::string::npos) << controller.Output();
  EXPECT_NE(controller.Output().find("kube"), std::string::npos) << controller.Output();
}

TEST_F(ProcessTest, TheControllerNamesAPortThatIsTaken) {
  const std::string port = server_.url().substr(server_.url().rfind(':') + 1);
  Process controller("perennial-controller",
                     {"run", "--metrics-port=" + port, "--health-port=0", "--kubeconfig",
                      (folder_ / "kubeconfig").string()},
                     folder_ / "log");
  EXPECT_EQ(controller.Exit(), 1);
  EXPECT_NE(controller.Output().find("port " + port), std::string::npos) << controller.Output();
}

TEST_F(ProcessTest, LintFailsWhereThereIsAProblem) {
  std::ofstream(folder_ / "good.yaml") << "apiVersion: v1\nkind: ConfigMap\n";
  std::ofstream(folder_ / "bad.yaml")
      << "apiVersion: perennial.dev/v1alpha1\nkind: DriftMonitor\nmetadata: {name: x}\nspec: {}\n";
  Process good("kubectl-perennial", {"lint", "-f", (folder_ / "good.yaml").string()},
               folder_ / "good");
  EXPECT_EQ(good.Exit(), 0) << good.Output();
  Process bad("kubectl-perennial", {"lint", "-f", (folder_ / "bad.yaml").string()},
              folder_ / "bad");
  EXPECT_EQ(bad.Exit(), 1);
  EXPECT_NE(bad.Output().find("bad.yaml: document 1, DriftMonitor x: spec"), std::string::npos)
      << bad.Output();
}

TEST_F(ProcessTest, ThePluginWorksOnTheContextsNamespace) {
  server_.faults().Clear();
  server_.Put(api::kModelDeployments, {{"metadata", {{"namespace", "default"}, {"name", "churn"}}},
                                       {"spec", json::object()},
                                       {"status", {{"why", "all is well"}}}});
  const std::string kubeconfig = (folder_ / "kubeconfig").string();
  Process plugin("kubectl-perennial", {"status", "churn", "--kubeconfig", kubeconfig},
                 folder_ / "out");
  EXPECT_EQ(plugin.Exit(), 0) << plugin.Output();
  EXPECT_NE(plugin.Output().find("WHY  all is well"), std::string::npos);
  Process nobody("kubectl-perennial", {"status", "churn", "-n", "x", "--kubeconfig", kubeconfig},
                 folder_ / "out2");
  EXPECT_EQ(nobody.Exit(), 1);
  EXPECT_EQ(nobody.Output(), "error: ModelDeployment x/churn does not exist\n");
}

}  // namespace
}  // namespace perennial::app
