#include "support/fake_api_server.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/check.h"
#include "support/api_world.h"
#include "support/http_wire.h"
#include "support/socket_server.h"

namespace perennial::testing {
namespace {

using kube::Request;
using kube::Response;
using nlohmann::json;
using Kind = Fault::Kind;

bool IsWatch(const Request& request) {
  return request.method == "GET" && request.path.find("watch=true") != std::string::npos;
}

bool IsErrorLine(const std::string& line) {
  return line.starts_with(R"({"type":"ERROR")");
}

std::string Head(int status, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
         headers + "\r\n";
}

std::string Whole(const Response& response) {
  std::string headers = "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  if (response.retry_after) {
    headers += "Retry-After: " +
               std::to_string(std::chrono::duration_cast<Seconds>(*response.retry_after).count()) +
               "\r\n";
  }
  return Head(response.status, headers) + response.body;
}

std::string Chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

Response Planned(const Fault& fault) {
  Response response{
      fault.status, StatusJson(fault.status, fault.reason, "planned by the test"), {}};
  if (fault.retry_after) response.retry_after = Seconds(*fault.retry_after);
  return response;
}

Millis Lifetime(const Request& request) {
  const auto path = ApiPath::Parse(request.path);
  const std::string seconds = path ? path->Query("timeoutSeconds") : "";
  return seconds.empty() ? Millis{3'600'000} : Millis(Seconds(std::stoi(seconds)));
}

Millis Now() {
  return SystemClock().Steady();
}

}  // namespace

class FakeApiServer::Impl {
 public:
  explicit Impl(FakeApiOptions options)
      : options_(std::move(options)), world_(options_.collect_garbage), direct_(*this) {
    if (!options_.listen) return;
    if (options_.tls) {
      identity_ = test::MakeTlsIdentity("fake-api-server", options_.certificate_names);
      MakeTls();
    }
    wires_ = std::make_unique<WireServer>([this](Wire& wire) { Serve(wire); }, tls_);
  }

  ~Impl() {
    stop_.request_stop();
    world_.WakeWatches();
    wires_.reset();
    if (tls_ != nullptr) SSL_CTX_free(tls_);
  }

  void MakeTls();
  std::string Url() const {
    return std::string(options_.tls ? "https" : "http") +
           "://127.0.0.1:" + std::to_string(wires_ ? wires_->port() : 0);
  }
  void CloseConnections() {
    ++epoch_;
    cut_watches_ += open_watches_;
    if (wires_) wires_->HangUpAll();
    world_.WakeWatches();
  }

  // The record's index, for the answer's status.
  size_t Note(const Request& request, const std::string& authorization, int connection) {
    const std::lock_guard lock(mutex_);
    requests_.push_back({request, authorization, connection, 0});
    return requests_.size() - 1 + forgotten_;
  }
  void NoteStatus(size_t index, int status) {
    const std::lock_guard lock(mutex_);
    if (index >= forgotten_) requests_[index - forgotten_].status = status;
  }

  void Serve(Wire& wire);
  void AnswerCall(Wire& wire, const Request& request, const std::optional<Fault>& fault,
                  size_t record);
  void AnswerWatch(Wire& wire, const Request& request, const std::optional<Fault>& fault,
                   size_t record);
  // Faults that look the same for calls and watches; true if that was all.
  bool Misbehave(Wire& wire, const Fault& fault, size_t record);

  Result<Response> Send(const Request& request);
  Status Stream(const Request& request, Millis idle,
                const std::function<void(std::string_view)>& on_line, const std::stop_token& stop);

  class Direct final : public kube::Transport {
   public:
    explicit Direct(Impl& impl) : impl_(impl) {}
    Result<Response> Send(const Request& request, Millis) override { return impl_.Send(request); }
    Status Stream(const Request& request, Millis idle,
                  const std::function<void(std::string_view line)>& on_line,
                  std::stop_token stop) override {
      return impl_.Stream(request, idle, on_line, stop);
    }

   private:
    Impl& impl_;
  };

  const FakeApiOptions options_;
  ApiWorld world_;
  FaultPlan faults_;
  Direct direct_;
  test::TlsIdentity identity_;
  SSL_CTX* tls_ = nullptr;
  std::stop_source stop_;
  std::atomic<int> epoch_{0};
  std::atomic<size_t> open_watches_{0};
  std::atomic<size_t> cut_watches_{0};
  mutable std::mutex mutex_;
  std::vector<RecordedRequest> requests_;
  size_t forgotten_ = 0;
  std::unique_ptr<WireServer> wires_;
};

void FakeApiServer::Impl::MakeTls() {
  tls_ = SSL_CTX_new(TLS_server_method());
  const auto bio = [](const std::string& text) {
    return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  };
  BIO* certificate_bio = bio(identity_.certificate_pem);
  X509* certificate = PEM_read_bio_X509(certificate_bio, nullptr, nullptr, nullptr);
  BIO* key_bio = bio(identity_.key_pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  PERENNIAL_CHECK(SSL_CTX_use_certificate(tls_, certificate) == 1);
  PERENNIAL_CHECK(SSL_CTX_use_PrivateKey(tls_, key) == 1);
  if (!options_.client_ca_pem.empty()) {
    BIO* client_bio = bio(options_.client_ca_pem);
    X509* client = PEM_read_bio_X509(client_bio, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(tls_), client);
    SSL_CTX_set_verify(tls_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    X509_free(client);
    BIO_free(client_bio);
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_bio);
  BIO_free(key_bio);
}

void FakeApiServer::Impl::Serve(Wire& wire) {
  while (auto received = wire.Read()) {
    const Request& request = received->request;
    const size_t record = Note(request, received->authorization, wire.number());
    if (!options_.token.empty() && received->authorization != "Bearer " + options_.token) {
      NoteStatus(record, 401);
      wire.Write(Whole({401, StatusJson(401, "Unauthorized", "Unauthorized"), {}}));
      continue;
    }
    const auto fault = faults_.Take(request);
    if (fault && Misbehave(wire, *fault, record)) continue;
    if (IsWatch(request)) {
      AnswerWatch(wire, request, fault, record);
    } else {
      AnswerCall(wire, request, fault, record);
    }
    if (!wire.up()) return;
  }
}

bool FakeApiServer::Impl::Misbehave(Wire& wire, const Fault& fault, size_t record) {
  switch (fault.kind) {
    case Kind::kAnswer:
      NoteStatus(record, fault.status);
      wire.Write(Whole(Planned(fault)));
      return true;
    case Kind::kDrop:
      wire.HangUp();
      return true;
    case Kind::kHalfOpen:
      wire.WaitForEnd();
      return true;
    case Kind::kRedirect:
      NoteStatus(record, 307);
      wire.Write(Head(307, "Location: " + fault.text + "\r\nContent-Length: 0\r\n"));
      return true;
    case Kind::kRaw:
      wire.Write(fault.text);
      wire.HangUp();
      return true;
    case Kind::kEndless:
      wire.Write(Head(200, "Transfer-Encoding: chunked\r\n"));
      while (!wire.PeerGone() && wire.Write(Chunk(" ")))
        std::this_thread::sleep_for(fault.interval);
      return true;
    default:
      return false;
  }
}

void FakeApiServer::Impl::AnswerCall(Wire& wire, const Request& request,
                                     const std::optional<Fault>& fault, size_t record) {
  const Response response = world_.Handle(request);
  NoteStatus(record, response.status);
  const std::string answer = Whole(response);
  const Kind kind = fault ? fault->kind : Kind::kAnswer;
  if (kind == Kind::kLoseReply) {
    wire.HangUp();
  } else if (kind == Kind::kCut) {
    const size_t head = answer.size() - response.body.size();
    wire.Write(answer.substr(0, head + fault->at));
    wire.HangUp();
  } else if (kind == Kind::kDrip) {
    for (const char byte : answer) {
      if (wire.PeerGone() || !wire.Write({&byte, 1})) return;
      std::this_thread::sleep_for(fault->interval);
    }
  } else {
    wire.Write(answer);
  }
}

void FakeApiServer::Impl::AnswerWatch(Wire& wire, const Request& request,
                                      const std::optional<Fault>& fault, size_t record) {
  auto opened = world_.OpenWatch(request);
  if (const auto* refused = std::get_if<Response>(&opened)) {
    NoteStatus(record, refused->status);
    wire.Write(Whole(*refused));
    return;
  }
  NoteStatus(record, 200);
  auto& watch = std::get<ApiWorld::Watch>(opened);
  WatchLines lines(fault);
  if (!wire.Write(Head(200, "Transfer-Encoding: chunked\r\n"))) return;
  ++open_watches_;
  const Millis end = Now() + Lifetime(request);
  // Sends what came; false at the end of the stream.
  const auto send = [&](const WatchLines::Out& out) {
    if (!out.bytes.empty() && !wire.Write(Chunk(out.bytes))) return false;
    if (out.hang_up) wire.HangUp();
    return !out.end && !out.hang_up;
  };
  bool go_on = send(lines.Open());
  while (go_on && Now() < end && !wire.PeerGone() && !stop_.stop_requested()) {
    for (const std::string& line : world_.NextLines(watch, Millis{20}, stop_.get_token())) {
      go_on = go_on && send(lines.Next(line));
      if (IsErrorLine(line)) {
        go_on = false;
      }
    }
  }
  --open_watches_;
  if (wire.up()) wire.Write("0\r\n\r\n");
}

Result<Response> FakeApiServer::Impl::Send(const Request& request) {
  const size_t record = Note(request, "", 0);
  const auto fault = faults_.Take(request);
  const Kind kind = fault ? fault->kind : Kind::kReorder;  // of no meaning here
  if (kind == Kind::kAnswer) {
    NoteStatus(record, fault->status);
    return Planned(*fault);
  }
  if (kind == Kind::kDrop) return Error{Errc::kUnavailable, "the connection was lost"};
  if (kind == Kind::kHalfOpen || kind == Kind::kEndless) {
    return Error{Errc::kTimeout, "no answer in time"};
  }
  if (kind == Kind::kRedirect) return Response{307, "", {}};
  const Response response = world_.Handle(request);
  NoteStatus(record, response.status);
  if (kind == Kind::kLoseReply || kind == Kind::kCut) {
    return Error{Errc::kUnavailable, "the connection was lost"};
  }
  return response;
}

Status FakeApiServer::Impl::Stream(const Request& request, Millis idle,
                                   const std::function<void(std::string_view)>& on_line,
                                   const std::stop_token& stop) {
  const size_t record = Note(request, "", 0);
  const auto fault = faults_.Take(request);
  if (fault && fault->kind == Kind::kAnswer) {
    NoteStatus(record, fault->status);
    return kube::ErrorFromStatus(Planned(*fault));
  }
  if (fault && fault->kind == Kind::kDrop) return Error{Errc::kUnavailable, "connection lost"};
  auto opened = world_.OpenWatch(request);
  if (const auto* refused = std::get_if<Response>(&opened)) {
    NoteStatus(record, refused->status);
    return kube::ErrorFromStatus(*refused);
  }
  NoteStatus(record, 200);
  auto& watch = std::get<ApiWorld::Watch>(opened);
  WatchLines lines(fault);
  const int epoch = epoch_;
  const Millis end = Now() + std::min(Lifetime(request), idle);
  // Nullopt to go on.
  const auto deliver = [&](const WatchLines::Out& out) -> std::optional<Status> {
    for (size_t at = 0, stop_at; at < out.bytes.size(); at = stop_at + 1) {
      stop_at = out.bytes.find('\n', at);
      if (stop_at == std::string::npos) break;
      on_line(std::string_view(out.bytes).substr(at, stop_at - at));
      if (stop.stop_requested()) return Status(Error{Errc::kCancelled, "stopped"});
    }
    if (out.hang_up) return Status(Error{Errc::kUnavailable, "the connection was lost"});
    if (out.end) return Ok();
    return std::nullopt;
  };
  ++open_watches_;
  auto over = deliver(lines.Open());
  while (!over) {
    const auto news = world_.NextLines(watch, Millis{20}, stop);
    // What came after the connections were closed is no longer heard.
    if (epoch != epoch_) over = Status(Error{Errc::kUnavailable, "the connection was lost"});
    for (const std::string& line : news) {
      if (!over) over = deliver(lines.Next(line));
      if (!over && IsErrorLine(line)) over = Ok();
    }
    if (over) break;
    if (stop.stop_requested()) over = Status(Error{Errc::kCancelled, "stopped"});
    if (Now() >= end) over = Ok();
  }
  --open_watches_;
  return *over;
}

FakeApiServer::FakeApiServer(FakeApiOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
FakeApiServer::~FakeApiServer() = default;

kube::ConnectionConfig FakeApiServer::Config() const {
  kube::ConnectionConfig config;
  config.server = url();
  config.ca_pem = impl_->identity_.certificate_pem;
  config.token = impl_->options_.token;
  return config;
}
kube::Transport& FakeApiServer::transport() {
  return impl_->direct_;
}
std::string FakeApiServer::url() const {
  return impl_->Url();
}
json FakeApiServer::Put(const kube::Resource& resource, json object) {
  return impl_->world_.Put(resource, std::move(object));
}
json FakeApiServer::PutStatus(const kube::Ref& ref, json status) {
  return impl_->world_.PutStatus(ref, std::move(status));
}
std::optional<json> FakeApiServer::Get(const kube::Ref& ref) const {
  return impl_->world_.Get(ref);
}
std::vector<json> FakeApiServer::List(const kube::Resource& resource) const {
  return impl_->world_.List(resource);
}
void FakeApiServer::Remove(const kube::Ref& ref) {
  impl_->world_.Remove(ref);
}
void FakeApiServer::Uninstall(const kube::Resource& resource) {
  impl_->world_.SetInstalled(resource, false);
}
void FakeApiServer::Install(const kube::Resource& resource) {
  impl_->world_.SetInstalled(resource, true);
}
void FakeApiServer::Compact() {
  impl_->world_.Compact();
}
void FakeApiServer::SendBookmarks() {
  impl_->world_.SendBookmarks();
}
void FakeApiServer::CloseConnections() {
  impl_->CloseConnections();
}
std::size_t FakeApiServer::open_watches() const {
  return impl_->open_watches_;
}
std::size_t FakeApiServer::cut_watches() const {
  return impl_->cut_watches_;
}
std::size_t FakeApiServer::expired_watches() const {
  return impl_->world_.expired_watches();
}
void FakeApiServer::FailNext(Match match, Fault fault, int times, int skip) {
  impl_->faults_.Add(std::move(match), std::move(fault), times, skip);
}
FaultPlan& FakeApiServer::faults() {
  return impl_->faults_;
}
const FaultPlan& FakeApiServer::faults() const {
  return impl_->faults_;
}

std::vector<RecordedRequest> FakeApiServer::Requests(const Match& match) const {
  const std::lock_guard lock(impl_->mutex_);
  std::vector<RecordedRequest> out;
  for (const RecordedRequest& recorded : impl_->requests_) {
    if (match(recorded.request)) out.push_back(recorded);
  }
  return out;
}
std::size_t FakeApiServer::Count(const Match& match) const {
  return Requests(match).size();
}
// Of one moment: requests may come while it counts.
std::size_t FakeApiServer::Writes() const {
  const std::vector<RecordedRequest> requests = Requests();
  return static_cast<std::size_t>(
      std::count_if(requests.begin(), requests.end(),
                    [](const RecordedRequest& one) { return one.request.method != "GET"; }));
}
void FakeApiServer::ForgetRequests() {
  const std::lock_guard lock(impl_->mutex_);
  impl_->forgotten_ += impl_->requests_.size();
  impl_->requests_.clear();
}
std::string FakeApiServer::resource_version() const {
  return std::to_string(impl_->world_.version());
}

std::map<kube::Ref, ObjectTally> FakeApiServer::Tallies() const {
  std::map<kube::Ref, ObjectTally> out;
  for (const auto& [ref, tally] : impl_->world_.Tallies()) {
    out[ref] = {tally.created, tally.deleted};
  }
  return out;
}

kube::Resource ConfigMaps() {
  return {"", "v1", "configmaps", "ConfigMap"};
}
kube::Resource Deployments() {
  return {"apps", "v1", "deployments", "Deployment"};
}
kube::Resource Jobs() {
  return {"batch", "v1", "jobs", "Job"};
}
kube::Resource Services() {
  return {"", "v1", "services", "Service"};
}
kube::Resource Leases() {
  return {"coordination.k8s.io", "v1", "leases", "Lease"};
}
kube::Resource Events() {
  return {"events.k8s.io", "v1", "events", "Event"};
}
kube::Resource HttpRoutes() {
  return {"gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"};
}
kube::Resource ModelDeployments() {
  return {"perennial.dev", "v1alpha1", "modeldeployments", "ModelDeployment"};
}

json MakeObject(const kube::Ref& ref, const std::string& fields_json) {
  json object = json::parse(fields_json);
  object["apiVersion"] = ref.resource.ApiVersion();
  object["kind"] = ref.resource.kind;
  object["metadata"]["name"] = ref.key.name;
  if (!ref.key.ns.empty()) object["metadata"]["namespace"] = ref.key.ns;
  return object;
}

}  // namespace perennial::testing
