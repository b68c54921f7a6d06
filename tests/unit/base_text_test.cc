#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace perennial {
namespace {

TEST(CutText, LeavesShortTextAlone) {
  EXPECT_EQ(CutText("", 0), "");
  EXPECT_EQ(CutText("abc", 3), "abc");
  EXPECT_EQ(CutText("abc", 2), "ab");
}

TEST(CutText, CutsBetweenCharacters) {
  EXPECT_EQ(CutText("a\u00e4b", 2), "a");
  EXPECT_EQ(CutText("a\u00e4b", 3), "a\u00e4");
  EXPECT_EQ(CutText("\U0001f68c", 3), "");
  EXPECT_EQ(CutText("\u20ac\u20ac", 5), "\u20ac");
}

TEST(Base64, IsReadAsItIsWritten) {
  EXPECT_EQ(EncodeBase64(""), "");
  EXPECT_EQ(EncodeBase64("u:p"), "dTpw");
  EXPECT_EQ(EncodeBase64("user:p"), "dXNlcjpw");
  for (const std::string& bytes : {std::string("a"), std::string("ab"), std::string(200, '\xff')}) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
  }
}

TEST(IsDnsLabel, TakesWhatNamesAService) {
  for (const std::string& good : {std::string("a"), std::string("a-1"), std::string(63, 'a')}) {
    EXPECT_TRUE(IsDnsLabel(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("1a"), std::string("a."), std::string("a.b"), std::string("-a"),
        std::string("a-"), std::string("A"), std::string("\u00e4"), std::string(64, 'a')}) {
    EXPECT_FALSE(IsDnsLabel(bad)) << bad;
  }
}

}  // namespace
}  // namespace perennial
