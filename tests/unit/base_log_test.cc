#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace perennial {
namespace {

TEST(Redact, RemovesBearerTokens) {
  EXPECT_EQ(Redact("Authorization: Bearer abc.def.ghi"), "Authorization: Bearer [redacted]");
  EXPECT_EQ(Redact("a Bearer abc, then Bearer def end"),
            "a Bearer [redacted], then Bearer [redacted] end");
  EXPECT_EQ(Redact("Bearer "), "Bearer [redacted]");
}

TEST(Redact, RemovesPemBlocksToTheEnd) {
  EXPECT_EQ(Redact("key: -----BEGIN PRIVATE KEY-----\nMIIsecret\n-----END PRIVATE KEY-----"),
            "key: -----BEGIN [redacted]");
}

TEST(Redact, LetsNoTextForgeALine) {
  const std::string out = Redact("name\n2026-11-24T00:00:00Z E all is lost\r\x1b[31m\x7f");
  for (const char c : out) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << out;
  EXPECT_EQ(out.find('\x7f'), std::string::npos);
  EXPECT_NE(out.find("\\x0a"), std::string::npos) << out;
}

TEST(Redact, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(Redact("\"a\" \\ 25 % für departures-v3"), "\"a\" \\ 25 % für departures-v3");
}

class LogLine : public ::testing::Test {
 protected:
  ~LogLine() override { spdlog::set_default_logger(before_); }

  std::string Written(LogFormat format, const std::string& text) {
    ::testing::internal::CaptureStderr();
    InitLogging("info", format);
    spdlog::debug("not shown");
    spdlog::warn("{}", text);
    return ::testing::internal::GetCapturedStderr();
  }

 private:
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_F(LogLine, IsOneJsonObjectWhateverTheTextHolds) {
  const std::string out =
      Written(LogFormat::kJson, "a \"quoted\" C:\\path\n{\"level\":\"error\"} Bearer abc");
  ASSERT_EQ(std::count(out.begin(), out.end(), '\n'), 1) << out;
  const auto parsed = nlohmann::json::parse(out, nullptr, false);
  ASSERT_TRUE(parsed.is_object()) << out;
  EXPECT_EQ(parsed["level"], "warning");
  EXPECT_EQ(out.find("abc"), std::string::npos);
  EXPECT_NE(parsed["message"].get<std::string>().find("C:\\path"), std::string::npos);
}

TEST_F(LogLine, IsOneLineOfText) {
  const std::string out = Written(LogFormat::kText, "first\nsecond");
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1) << out;
  EXPECT_NE(out.find("Z W first"), std::string::npos) << out;
}

}  // namespace
}  // namespace perennial
