#include "scrape/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace perennial::scrape {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

struct Range {
  Bytes prefix;
  int bits;
  const char* why;
};

constexpr const char* kLoopback = "address is loopback";
constexpr const char* kMetadata = "address is a cloud's metadata service";

constexpr Range kForbidden4[] = {
    {{0}, 8, "address is unspecified"},
    {{127}, 8, kLoopback},
    {{169, 254}, 16, "address is link-local"},
    {{224}, 4, "address is multicast"},
    {{240}, 4, "address is reserved"},
    {{100, 100, 100, 200}, 32, kMetadata},  // Alibaba Cloud
    {{168, 63, 129, 16}, 32, kMetadata},    // Azure
    {{192, 0, 0, 192}, 32, kMetadata},      // Oracle Cloud
};

constexpr Range kForbidden6[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, kLoopback},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, "address is an IPv4-mapped IPv6 address"},
    {{}, 96, "address is unspecified or IPv4-compatible"},
    {{0x00, 0x64, 0xFF, 0x9B}, 32, "address is a NAT64 address"},
    {{0x20, 0x01, 0, 0}, 32, "address is a Teredo address"},
    {{0x20, 0x02}, 16, "address is a 6to4 address"},
    {{0xFE, 0x80}, 10, "address is link-local"},
    {{0xFE, 0xC0}, 10, "address is site-local"},
    {{0xFF}, 8, "address is multicast"},
    {{0xFD, 0x00, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, kMetadata},  // AWS
    {{0xFD, 0x20, 0x00, 0xCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, kMetadata},  // GCP
};

// Of what runs on every node or beside the API server, on addresses that pods of the host network
// share: an address alone does not tell them apart.
struct NodePort {
  std::uint16_t port;
  const char* why;
};

constexpr NodePort kNodePorts[] = {
    {10250, "port is the kubelet's"},
    {10255, "port is the kubelet's"},
    {10249, "port is kube-proxy's"},
    {10256, "port is kube-proxy's"},
    {10257, "port is kube-controller-manager's"},
    {10259, "port is kube-scheduler's"},
    {2379, "port is etcd's"},
    {2380, "port is etcd's"},
};

bool Contains(const Bytes& prefix, int bits, const Bytes& address) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(address.begin(), address.begin() + whole, prefix.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

bool AnyContains(const std::vector<AddressRange>& ranges, bool v6, const Bytes& address) {
  return std::ranges::any_of(ranges, [&](const AddressRange& range) {
    return range.v6 == v6 && Contains(range.prefix, range.bits, address);
  });
}

Status CheckApiServer(bool v6, const Bytes& address, const AddressPolicy& policy) {
  if (policy.api_server == nullptr) return Ok();
  const auto known = policy.api_server->Get();
  if (known == nullptr) {
    return Error{Errc::kUnavailable,
                 "the API server's addresses are not known yet, and this may be one of them"};
  }
  if (!AnyContains(*known, v6, address)) return Ok();
  return Error{Errc::kForbidden, "address is one of the API server's"};
}

Status CheckPort(std::uint16_t port) {
  for (const NodePort& forbidden : kNodePorts) {
    if (forbidden.port == port) return Error{Errc::kForbidden, forbidden.why};
  }
  return Ok();
}

// `port` is 0 where only the address is known.
template <std::size_t N>
Status Check(const Range (&forbidden)[N], bool v6, const Bytes& address, std::uint16_t port,
             const AddressPolicy& policy) {
  if (AnyContains(policy.allowed, v6, address)) return Ok();
  for (const Range& range : forbidden) {
    if (!Contains(range.prefix, range.bits, address)) continue;
    if (policy.allow_loopback && range.why == kLoopback) break;
    return Error{Errc::kForbidden, range.why};
  }
  PERENNIAL_TRY_STATUS(CheckApiServer(v6, address, policy));
  return CheckPort(port);
}

Status Check4(const in_addr& address, std::uint16_t port, const AddressPolicy& policy) {
  Bytes bytes{};
  std::memcpy(bytes.data(), &address, sizeof(address));
  return Check(kForbidden4, false, bytes, port, policy);
}

Status Check6(const in6_addr& address, std::uint16_t port, const AddressPolicy& policy) {
  Bytes bytes{};
  std::memcpy(bytes.data(), &address, sizeof(address));
  return Check(kForbidden6, true, bytes, port, policy);
}

}  // namespace

void ApiServerAddresses::Set(Ranges ranges) {
  auto next = std::make_shared<const Ranges>(std::move(ranges));
  const std::lock_guard lock(mutex_);
  ranges_ = std::move(next);
}

std::shared_ptr<const ApiServerAddresses::Ranges> ApiServerAddresses::Get() const {
  const std::lock_guard lock(mutex_);
  return ranges_;
}

Status CheckAddress(const sockaddr* address, const AddressPolicy& policy) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    return Check4(in.sin_addr, ntohs(in.sin_port), policy);
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof(in));
    return Check6(in.sin6_addr, ntohs(in.sin6_port), policy);
  }
  return Error{Errc::kInvalid, "address is neither IPv4 nor IPv6"};
}

Status CheckAddress(std::string_view literal, const AddressPolicy& policy) {
  const std::string text(literal);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return Check4(v4, 0, policy);
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return Check6(v6, 0, policy);
  return Error{Errc::kInvalid, "address is not an IP address"};
}

Result<AddressRange> ParseAddressRange(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  AddressRange range;
  if (inet_pton(AF_INET, address.c_str(), range.prefix.data()) == 1) {
    range.bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), range.prefix.data()) == 1) {
    range.v6 = true;
    range.bits = 128;
  } else {
    return Error{Errc::kInvalid, "not an IP address or range of them: " + std::string(text)};
  }
  if (slash == text.npos) return range;
  const std::string_view bits = text.substr(slash + 1);
  const int most = range.bits;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), range.bits);
  if (error != std::errc() || end != bits.data() + bits.size() || range.bits < 0 ||
      range.bits > most) {
    return Error{Errc::kInvalid, "not a range of IP addresses: " + std::string(text)};
  }
  return range;
}

Result<std::string> TargetUrl(std::string_view scheme, std::string_view address, std::uint16_t port,
                              std::string_view path) {
  // Loopback is judged when the connection opens; here only the syntax counts.
  if (const Status status = CheckAddress(address, {.allow_loopback = true});
      !status.ok() && status.error().code == Errc::kInvalid) {
    return status.error();
  }
  if (port == 0) return Error{Errc::kInvalid, "port is 0"};
  const bool plain = std::ranges::all_of(
      path, [](unsigned char c) { return c > 0x20 && c < 0x7F && c != '#' && c != '\\'; });
  if (!path.starts_with('/') || path.size() > 1024 || !plain) {
    return Error{Errc::kInvalid, "path is not a plain absolute path"};
  }
  const bool v6 = address.find(':') != address.npos;
  std::string url(scheme);
  url += v6 ? "://[" : "://";
  url += address;
  if (v6) url += ']';
  url += ':' + std::to_string(port);
  url += path;
  return url;
}

}  // namespace perennial::scrape
