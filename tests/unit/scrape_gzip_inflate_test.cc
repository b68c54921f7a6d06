#include <gtest/gtest.h>

#include <string>

#include "scrape/gzip_inflate.h"
#include "support/gzip.h"

namespace perennial::scrape {
namespace {

using test::Gzip;

TEST(GzipInflate, DecodesInPiecesOfAnySize) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "x{a=\"" + std::to_string(i * i) + "\"} 1\n";
  const std::string packed = Gzip(text);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, packed.size()}) {
    GzipInflater inflater;
    std::string out;
    for (std::size_t at = 0; at < packed.size(); at += piece) {
      ASSERT_TRUE(inflater
                      .Feed(std::string_view(packed).substr(at, piece),
                            [&](std::string_view decoded) {
                              EXPECT_LE(decoded.size(), 16u << 10);
                              out += decoded;
                              return Ok();
                            })
                      .ok());
    }
    EXPECT_TRUE(inflater.Finish().ok());
    EXPECT_EQ(out, text);
  }
}

TEST(GzipInflate, EndsWhereItsOutputBufferDoes) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16} << 10,
                                 std::size_t{32} << 10, (std::size_t{32} << 10) + 1}) {
    std::string text(size, 'a');
    GzipInflater inflater;
    std::string out;
    ASSERT_TRUE(inflater
                    .Feed(Gzip(text),
                          [&](std::string_view decoded) {
                            out += decoded;
                            return Ok();
                          })
                    .ok())
        << size;
    EXPECT_TRUE(inflater.Finish().ok());
    EXPECT_EQ(out, text);
  }
}

TEST(GzipInflate, StopsABombAsSoonAsTheSinkHasEnough) {
  const std::string bomb = Gzip(std::string(std::size_t{64} << 20, 'a'));
  ASSERT_LT(bomb.size(), 100'000u);
  GzipInflater inflater;
  std::size_t seen = 0;
  const Status status = inflater.Feed(bomb, [&](std::string_view decoded) -> Status {
    seen += decoded.size();
    if (seen > 1'000'000) return Error{Errc::kTooLarge, "enough"};
    return Ok();
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "enough");
  EXPECT_LT(seen, 1'100'000u);
}

TEST(GzipInflate, RefusesBrokenCutAndExtendedData) {
  const auto accept = [](std::string_view) { return Ok(); };
  std::string packed = Gzip("x 1\n");
  GzipInflater cut;
  EXPECT_TRUE(cut.Feed(packed.substr(0, packed.size() - 1), accept).ok());
  EXPECT_FALSE(cut.Finish().ok());
  GzipInflater extended;
  EXPECT_FALSE(extended.Feed(packed + "more", accept).ok());
  packed[packed.size() - 6] ^= 1;  // checksum
  GzipInflater broken;
  EXPECT_FALSE(broken.Feed(packed, accept).ok());
  GzipInflater plain;
  EXPECT_FALSE(plain.Feed("x 1\n", accept).ok());
}

}  // namespace
}  // namespace perennial::scrape
