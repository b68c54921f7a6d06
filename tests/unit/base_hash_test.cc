#include <gtest/gtest.h>

#include <set>

#include "base/hash.h"

namespace perennial {
namespace {

TEST(Sha256Hex, MatchesTheVectorsOfFips180) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// Names in a cluster are made of it: another version of the program must make the same ones.
TEST(ShortHash, NeverChanges) {
  EXPECT_EQ(ShortHash("departures"), "pwhp7w06");
  EXPECT_EQ(ShortHash("departures", 4), "pwhp");
}

TEST(ShortHash, UsesEveryCharacterOfItsAlphabetAndNoOther) {
  std::set<char> seen;
  for (int i = 0; i < 2'000; ++i) {
    for (const char c : ShortHash(std::to_string(i))) seen.insert(c);
  }
  EXPECT_EQ(seen.size(), 32u);
  EXPECT_FALSE(seen.contains('e') || seen.contains('o') || seen.contains('u'));
}

TEST(ShortHash, KeepsThingsApart) {
  std::set<std::string> seen;
  for (int i = 0; i < 20'000; ++i) seen.insert(ShortHash("trigger/" + std::to_string(i)));
  EXPECT_EQ(seen.size(), 20'000u);
}

TEST(BoundedName, JoinsWhatFits) {
  EXPECT_EQ(BoundedName("departures", "r1"), "departures-r1");
  EXPECT_EQ(BoundedName(std::string(60, 'a'), "r1"), std::string(60, 'a') + "-r1");
}

TEST(BoundedName, CutsAndStaysAValidLabelOfItsOwn) {
  std::set<std::string> seen;
  for (size_t size = 55; size < 253; ++size) {
    std::string base(size, 'a');
    base[size / 2] = '-';
    base[50] = '-';
    const std::string name = BoundedName(base, "r12345678");
    EXPECT_LE(name.size(), 63u);
    EXPECT_EQ(name.find("--"), std::string::npos) << name;
    EXPECT_TRUE(name.ends_with("-r12345678"));
    seen.insert(name);
  }
  EXPECT_EQ(seen.size(), 253u - 55u);
}

TEST(BoundedName, TellsBasesApartThatDifferOnlyWhereItCuts) {
  const std::string base(80, 'a');
  EXPECT_NE(BoundedName(base + "x", "r1"), BoundedName(base + "y", "r1"));
}

}  // namespace
}  // namespace perennial
