#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "kube/informer.h"
#include "kube/transport.h"
#include "scrape/address_policy.h"

namespace perennial::app {

// The addresses of the API server, which nobody may have scraped: those at which this process
// reaches it, that of its Service, and those of its endpoints as they come and go. As long as they
// can't be read they stay unknown, and nothing is scraped.
class ApiServerWatch final : private kube::InformerSink {
 public:
  // `server`: the URL that the transport uses. Its host is resolved here.
  ApiServerWatch(kube::Transport& transport, const Clock& clock, const std::string& server);

  std::shared_ptr<const scrape::ApiServerAddresses> addresses() const { return addresses_; }
  void Start() { loop_.Start(); }
  void Stop() { loop_.Stop(); }
  // The first list is under way: it neither came nor failed.
  bool Awaited() const;

 private:
  struct Slice {
    std::string uid;
    std::vector<std::string> addresses;
  };

  Status Put(std::string_view json) override;
  void Remove(const kube::Key& key, const std::string& uid) override;
  void FinishList(const std::set<kube::Key>& listed) override;
  void Publish();

  const scrape::ApiServerAddresses::Ranges reached_;
  // The loop's thread alone uses these.
  std::map<kube::Key, Slice> slices_;
  bool listed_ = false;

  const std::shared_ptr<scrape::ApiServerAddresses> addresses_;
  kube::InformerLoop loop_;  // last: it uses the others
};

}  // namespace perennial::app
