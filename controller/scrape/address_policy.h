#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct sockaddr;

namespace perennial::scrape {

// Which addresses a connection that a user asked for may go to. Users choose what is scraped, so
// whatever the controller can reach and they cannot must stay out of reach: the node itself, link-
// local addresses (cloud metadata among them), and addresses that hide another one (IPv4-mapped,
// NAT64, 6to4, Teredo).
struct AddressRange {
  bool v6 = false;
  std::array<std::uint8_t, 16> prefix{};
  int bits = 0;
};

// "10.0.0.0/8", "fd00::/8", or one address. kInvalid for anything else.
Result<AddressRange> ParseAddressRange(std::string_view text);

// The API server's addresses, which change while it is asked. Thread-safe. Before they are known
// every address may be one of them.
class ApiServerAddresses {
 public:
  using Ranges = std::vector<AddressRange>;

  void Set(Ranges ranges);
  std::shared_ptr<const Ranges> Get() const;  // null before the first Set()

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Ranges> ranges_;
};

struct AddressPolicy {
  bool allow_loopback = false;          // for tests and a demo on one machine
  std::vector<AddressRange> allowed{};  // by who runs the controller; goes before everything else
  std::shared_ptr<const ApiServerAddresses> api_server{};  // null: there is none
};

// kForbidden with the reason, kUnavailable while the API server's addresses are not known; kInvalid
// if it is not IPv4 or IPv6. Ports of a node's own components are refused as well.
Status CheckAddress(const sockaddr* address, const AddressPolicy& policy);
// The same for an IP literal, without brackets and port; kInvalid for names.
Status CheckAddress(std::string_view literal, const AddressPolicy& policy);

// "http://10.0.0.7:8080/metrics". The address must be an IP literal; kInvalid for anything else and
// for paths with bytes that a request line must not hold.
Result<std::string> TargetUrl(std::string_view scheme, std::string_view address, std::uint16_t port,
                              std::string_view path);

}  // namespace perennial::scrape
