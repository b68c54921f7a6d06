#include "app/api_server_watch.h"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/names.h"
#include "kube/http_transport.h"

namespace perennial::app {
namespace {

using nlohmann::json;

// The API server keeps the endpoints of its own Service itself, always in this namespace.
kube::InformerOptions OwnSlices() {
  kube::InformerOptions options;
  options.ns = "default";
  options.label_selector = "kubernetes.io/service-name=kubernetes";
  options.seed = 101;
  return options;
}

const json& ListOf(const json& object, const char* name) {
  static const json nothing = json::array();
  const auto it = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && it != object.end() && it->is_array() ? *it : nothing;
}

std::vector<std::string> AddressesOf(const json& slice) {
  std::vector<std::string> out;
  for (const json& endpoint : ListOf(slice, "endpoints")) {
    for (const json& address : ListOf(endpoint, "addresses")) {
      if (address.is_string()) out.push_back(address.get<std::string>());
    }
  }
  return out;
}

// Outside of a cluster these may be a load balancer's, which is on no slice.
scrape::ApiServerAddresses::Ranges AddressesAt(const std::string& server) {
  scrape::ApiServerAddresses::Ranges ranges;
  const std::string host = kube::HostOf(server);
  addrinfo* found = nullptr;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  if (host.empty() || ::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return ranges;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) != 0) {
      continue;
    }
    const auto range = scrape::ParseAddressRange(text.data());
    if (range.ok()) ranges.push_back(*range);
  }
  ::freeaddrinfo(found);
  return ranges;
}

}  // namespace

ApiServerWatch::ApiServerWatch(kube::Transport& transport, const Clock& clock,
                               const std::string& server)
    : reached_(AddressesAt(server)),
      addresses_(std::make_shared<scrape::ApiServerAddresses>()),
      loop_(transport, clock, api::kEndpointSlices, OwnSlices(), *this) {}

bool ApiServerWatch::Awaited() const {
  return addresses_->Get() == nullptr && loop_.Counters().failures == 0;
}

Status ApiServerWatch::Put(std::string_view text) {
  return kube::WithJson(text, [&](const json& object) -> Status {
    PERENNIAL_TRY(const kube::Meta meta, kube::ParseMeta(object));
    slices_[meta.key] = {meta.uid, AddressesOf(object)};
    Publish();
    return Ok();
  });
}

void ApiServerWatch::Remove(const kube::Key& key, const std::string& uid) {
  const auto it = slices_.find(key);
  if (it == slices_.end() || (!uid.empty() && it->second.uid != uid)) return;
  slices_.erase(it);
  Publish();
}

void ApiServerWatch::FinishList(const std::set<kube::Key>& listed) {
  std::erase_if(slices_, [&](const auto& entry) { return !listed.contains(entry.first); });
  listed_ = true;
  Publish();
}

void ApiServerWatch::Publish() {
  if (!listed_) return;  // some of them are not all of them
  scrape::ApiServerAddresses::Ranges ranges = reached_;
  const auto add = [&](const std::string& address) {
    const auto range = scrape::ParseAddressRange(address);
    if (range.ok()) ranges.push_back(*range);
  };
  // The Service's, which is on no slice.
  if (const char* service = std::getenv("KUBERNETES_SERVICE_HOST")) add(service);
  for (const auto& [key, slice] : slices_) {
    for (const std::string& address : slice.addresses) add(address);
  }
  addresses_->Set(std::move(ranges));
}

}  // namespace perennial::app
