#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "scrape/delta_log.h"

namespace perennial::scrape {
namespace {

double SumOf(const DeltaLog& log, std::int64_t first, std::int64_t last) {
  std::vector<double> sums(log.width(), 0);
  log.Sum(first, last, sums);
  return sums[0];
}

TEST(PackedNumbers, GiveBackWhatWentIn) {
  const std::vector<double> numbers{0,
                                    1,
                                    63,
                                    64,
                                    127,
                                    128,
                                    1e9,
                                    9007199254740991.0,
                                    1e300,
                                    -1,
                                    0.5,
                                    -1e-300,
                                    std::numeric_limits<double>::infinity(),
                                    9007199254740992.0};
  PackedNumbers packed;
  for (const double number : numbers) AppendNumber(packed, number);
  AppendNumber(packed, std::numeric_limits<double>::quiet_NaN());
  const std::uint8_t* at = packed.data();
  for (const double number : numbers) EXPECT_EQ(ReadNumber(at), number);
  EXPECT_TRUE(std::isnan(ReadNumber(at)));
  EXPECT_EQ(at, packed.data() + packed.size());
}

TEST(DeltaLog, TakesOneByteForASmallCount) {
  DeltaLog log(20);
  const std::vector<double> counts(20, 3);
  for (int slot = 0; slot < 60; ++slot) log.Add(slot, counts);
  EXPECT_LT(log.bytes(), 60 * 22 * 5 / 4 + sizeof(DeltaLog) + 100);
}

TEST(DeltaLog, AgreesWithAPlainMapForAnyOrderOfWrites) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    DeltaLog log(2);
    std::map<std::int64_t, std::vector<double>> model;
    std::int64_t now = static_cast<std::int64_t>(random() % 1000);
    for (int step = 0; step < 60; ++step) {
      now += random() % 3;
      if (random() % 10 == 0) now += random() % 300;
      std::int64_t slot = now;
      if (random() % 4 == 0)
        slot = std::max<std::int64_t>(0, now - static_cast<int>(random() % 40));
      const double count = static_cast<double>(random() % 300);
      const double sum = count * 0.25 - 3;
      log.Add(slot, std::vector<double>{count, sum});
      auto& entry = model.try_emplace(slot, std::vector<double>{0, 0}).first->second;
      entry[0] += count;
      entry[1] += sum;
      if (random() % 5 == 0) {
        const std::int64_t oldest = now - static_cast<int>(random() % 30);
        log.DropBefore(oldest);
        model.erase(model.begin(), model.lower_bound(oldest));
      }
      ASSERT_EQ(log.empty(), model.empty());
      if (model.empty()) continue;
      ASSERT_EQ(log.first_slot(), model.begin()->first);
      ASSERT_EQ(log.last_slot(), model.rbegin()->first);
      const std::int64_t first = now - static_cast<int>(random() % 50);
      const std::int64_t last = first + static_cast<int>(random() % 60);
      std::vector<double> sums{0, 0};
      log.Sum(first, last, sums);
      std::vector<double> wanted{0, 0};
      for (const auto& [at, values] : model) {
        if (at < first || at > last) continue;
        wanted[0] += values[0];
        wanted[1] += values[1];
      }
      ASSERT_EQ(sums[0], wanted[0]);
      ASSERT_NEAR(sums[1], wanted[1], 1e-6);
    }
  }
}

TEST(DeltaLog, IsEmptyAgainWhenEverythingIsOld) {
  DeltaLog log(1);
  log.Add(3, std::vector<double>{1});
  log.DropBefore(100);
  EXPECT_TRUE(log.empty());
  log.Add(200, std::vector<double>{5});
  EXPECT_EQ(SumOf(log, 200, 200), 5);
  EXPECT_EQ(SumOf(log, 0, 199), 0);
}

}  // namespace
}  // namespace perennial::scrape
