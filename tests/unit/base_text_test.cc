#include <gtest/gtest.h>

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

}  // namespace
}  // namespace perennial
