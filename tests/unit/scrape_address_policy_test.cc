#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>
#include <string>

#include "scrape/address_policy.h"

namespace perennial::scrape {
namespace {

TEST(AddressPolicy, LetsPodAddressesPass) {
  for (const char* address : {"10.0.0.7", "172.30.0.9", "192.168.4.4", "100.64.0.1", "203.0.113.9",
                              "fd00::7", "2600:1f18::1"}) {
    EXPECT_TRUE(CheckAddress(address, {}).ok()) << address;
  }
}

TEST(AddressPolicy, RefusesWhatAUserMustNotReachThroughUs) {
  for (const char* address : {"127.0.0.1",
                              "127.8.8.8",
                              "0.0.0.0",
                              "0.1.2.3",
                              "169.254.169.254",
                              "169.254.0.1",
                              "100.100.100.200",
                              "168.63.129.16",
                              "192.0.0.192",
                              "224.0.0.1",
                              "255.255.255.255",
                              "240.0.0.1",
                              "::1",
                              "::",
                              "::ffff:10.0.0.7",
                              "::ffff:169.254.169.254",
                              "::ffff:7f00:1",
                              "::7f00:1",
                              "64:ff9b::a9fe:a9fe",
                              "64:ff9b:1::1",
                              "2002:7f00:1::",
                              "2001:0:1::1",
                              "fe80::1",
                              "febf::1",
                              "fec0::1",
                              "ff02::1",
                              "fd00:ec2::254",
                              "fd20:ce::254"}) {
    const Status status = CheckAddress(address, {});
    ASSERT_FALSE(status.ok()) << address;
    EXPECT_EQ(status.error().code, Errc::kForbidden) << address;
  }
}

TEST(AddressPolicy, AllowsLoopbackOnlyWhenToldTo) {
  EXPECT_TRUE(CheckAddress("127.0.0.1", {.allow_loopback = true}).ok());
  EXPECT_TRUE(CheckAddress("::1", {.allow_loopback = true}).ok());
  EXPECT_FALSE(CheckAddress("::ffff:127.0.0.1", {.allow_loopback = true}).ok());
  EXPECT_FALSE(CheckAddress("169.254.169.254", {.allow_loopback = true}).ok());
}

TEST(AddressPolicy, ReadsNoOtherSpellingOfAnAddress) {
  for (const char* address :
       {"0177.0.0.1", "2130706433", "0x7f000001", "127.1", "localhost", "10.0.0.7%eth0",
        "fe80::1%eth0", "[::1]", "10.0.0.7 ", "", "a.b.c.d"}) {
    const Status status = CheckAddress(address, {.allow_loopback = true});
    ASSERT_FALSE(status.ok()) << address;
    EXPECT_EQ(status.error().code, Errc::kInvalid) << address;
  }
}

TEST(TargetUrl, PutsTheAddressIntoTheUrl) {
  EXPECT_EQ(*TargetUrl("http", "10.0.0.7", 8080, "/metrics"), "http://10.0.0.7:8080/metrics");
  EXPECT_EQ(*TargetUrl("https", "fd00::7", 443, "/m?x=1"), "https://[fd00::7]:443/m?x=1");
}

TEST(TargetUrl, RefusesWhatCouldBecomeAnotherRequest) {
  EXPECT_FALSE(TargetUrl("http", "example.org", 80, "/").ok());
  EXPECT_FALSE(TargetUrl("http", "10.0.0.7@10.0.0.8", 80, "/").ok());
  EXPECT_FALSE(TargetUrl("http", "10.0.0.7", 0, "/").ok());
  for (const char* path : {"", "metrics", "@evil/", "/a b", "/a\r\nX: y", "/#x", "/\\", "/\x01"}) {
    EXPECT_FALSE(TargetUrl("http", "10.0.0.7", 80, path).ok()) << path;
  }
  EXPECT_FALSE(TargetUrl("http", "10.0.0.7", 80, "/" + std::string(2000, 'a')).ok());
}

TEST(AddressPolicy, IsWidenedAndNarrowedByRanges) {
  AddressPolicy policy;
  const auto api_server = std::make_shared<ApiServerAddresses>();
  api_server->Set({*ParseAddressRange("10.0.0.1"), *ParseAddressRange("fd00::/16")});
  policy.api_server = api_server;
  EXPECT_EQ(CheckAddress("10.0.0.1", policy).error().code, Errc::kForbidden);
  EXPECT_TRUE(CheckAddress("10.0.0.2", policy).ok());
  EXPECT_FALSE(CheckAddress("fd00::7", policy).ok());
  policy.allowed = {*ParseAddressRange("10.0.0.0/30"), *ParseAddressRange("127.0.0.0/8")};
  EXPECT_TRUE(CheckAddress("10.0.0.1", policy).ok());
  EXPECT_TRUE(CheckAddress("127.0.0.1", policy).ok());
  EXPECT_FALSE(CheckAddress("::1", policy).ok());
  EXPECT_FALSE(CheckAddress("169.254.169.254", policy).ok());
}

TEST(AddressPolicy, AllowsNothingWhileTheApiServersAddressesAreNotKnown) {
  const auto api_server = std::make_shared<ApiServerAddresses>();
  AddressPolicy policy;
  policy.api_server = api_server;
  policy.allowed = {*ParseAddressRange("10.1.0.0/16")};
  EXPECT_EQ(CheckAddress("10.0.0.1", policy).error().code, Errc::kUnavailable);
  EXPECT_FALSE(CheckAddress("fd00::7", policy).ok());
  EXPECT_TRUE(CheckAddress("10.1.0.1", policy).ok()) << "who runs the controller knows it";
  api_server->Set({});
  EXPECT_TRUE(CheckAddress("10.0.0.1", policy).ok());
  api_server->Set({*ParseAddressRange("10.0.0.1")});
  EXPECT_EQ(CheckAddress("10.0.0.1", policy).error().code, Errc::kForbidden);
  api_server->Set({*ParseAddressRange("10.0.0.2")});
  EXPECT_TRUE(CheckAddress("10.0.0.1", policy).ok()) << "it was replaced by another";
}

Status CheckPort(std::uint16_t port, const AddressPolicy& policy = {}) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET, "10.0.0.7", &to.sin_addr), 1);
  return CheckAddress(reinterpret_cast<const sockaddr*>(&to), policy);
}

TEST(AddressPolicy, RefusesThePortsOfANodesComponents) {
  for (const std::uint16_t port : {10250, 10255, 10249, 10256, 10257, 10259, 2379, 2380}) {
    ASSERT_FALSE(CheckPort(port).ok()) << port;
    EXPECT_EQ(CheckPort(port).error().code, Errc::kForbidden);
    EXPECT_TRUE(CheckPort(port, {.allowed = {*ParseAddressRange("10.0.0.7")}}).ok()) << port;
  }
  for (const std::uint16_t port : {80, 443, 8080, 9090, 9100}) EXPECT_TRUE(CheckPort(port).ok());
}

TEST(AddressPolicy, RefusesRangesThatAreNone) {
  for (const char* text : {"", "10.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "::/129",
                           "10.0.0.0/8x", "example.org", "/8"}) {
    EXPECT_FALSE(ParseAddressRange(text).ok()) << text;
  }
}

}  // namespace
}  // namespace perennial::scrape
