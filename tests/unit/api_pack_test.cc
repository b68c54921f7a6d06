#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "api/drift_monitor_schema.h"
#include "api/model_deployment_schema.h"
#include "api/model_version_schema.h"
#include "api/pack.h"
#include "api/retrain_policy_schema.h"
#include "kube/store.h"
#include "support/arbitrary.h"

namespace perennial::api {
namespace {

using Kept = kube::Kept<DriftMonitor>;

template <class T = DriftMonitor>
T Random(std::uint64_t seed) {
  const auto texts =
      seed % 2 == 0 ? testing::Arbitrary::Texts::kWild : testing::Arbitrary::Texts::kTame;
  testing::Arbitrary arbitrary(seed, texts);
  T object;
  object.meta.key = {"ns", "name-" + std::to_string(seed)};
  object.meta.uid = "uid";
  object.meta.resource_version = std::to_string(seed);
  object.meta.generation = static_cast<std::int64_t>(seed) - 5;
  object.meta.created = WallTime(Millis(static_cast<std::int64_t>(seed) * -1'000));
  object.meta.deleting = seed % 3 == 0;
  object.meta.labels = {{"a", "name"}, {"", ""}};
  object.meta.annotations = {{"a", std::string(300, 'x')}};
  object.meta.owners = {{"v1", "Kind", "name", "uid", seed % 2 == 0}};
  object.spec = arbitrary.Make<decltype(T::spec)>();
  object.status = arbitrary.Make<decltype(T::status)>();
  return object;
}

template <class T>
class PackedKind : public ::testing::Test {};
using PackedKinds = ::testing::Types<DriftMonitor, ModelDeployment, ModelVersion, RetrainPolicy>;
TYPED_TEST_SUITE(PackedKind, PackedKinds);

TYPED_TEST(PackedKind, ComesBackWhole) {
  using Form = kube::Kept<TypeParam>;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto object = Random<TypeParam>(seed);
    const auto back = Form::Show(Form::Keep(std::make_shared<TypeParam>(object)));
    ASSERT_EQ(back->meta, object.meta) << seed;
    ASSERT_EQ(back->spec, object.spec) << seed;
    ASSERT_EQ(back->status, object.status) << seed;
  }
}

TEST(PackTest, NumbersOfEveryKindComeBack) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double number : {0.0, -0.0, 1.0, 0.1, -7.0, 1e300, 9007199254740991.0,
                              9007199254740992.0, infinity, -infinity, std::nan("")}) {
    Packer packer;
    packer.Number(number);
    const std::string packed = packer.Take();
    const double back = Unpacker(packed).Number();
    EXPECT_TRUE(std::isnan(number) ? std::isnan(back) : back == number) << number;
    EXPECT_EQ(std::signbit(back), std::signbit(number)) << number;
  }
  for (const std::int64_t number :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{300},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    Packer packer;
    packer.Signed(number);
    const std::string packed = packer.Take();
    EXPECT_EQ(Unpacker(packed).Signed(), number);
  }
}

TEST(PackTest, ADecimalKeepsItsTextAndItsNumberEvenWhereTheyDiffer) {
  for (const Decimal& decimal : {Decimal{0.25, "0.25"}, Decimal{0.5, "1/2"}, Decimal{3, "4"},
                                 Decimal{1, "+1"}, Decimal{-0.0, "0"}, Decimal{}}) {
    Packer packer;
    Pack(decimal, packer);
    const std::string packed = packer.Take();
    Unpacker unpacker(packed);
    Decimal back;
    Unpack(unpacker, back);
    EXPECT_EQ(back, decimal);
    EXPECT_EQ(std::signbit(back.value), std::signbit(decimal.value));
  }
}

TEST(PackTest, TextsThatRepeatCostAByte) {
  DriftMonitor monitor = Random(1);
  monitor.spec = {};
  monitor.status = {};
  const auto size = [&] { return Kept::Keep(std::make_shared<DriftMonitor>(monitor)).size(); };
  const std::size_t without = size();
  for (int i = 0; i < 100; ++i) {
    monitor.status.signals.emplace_back().message = "a sentence that is the same for all of them";
  }
  EXPECT_LT(size() - without, 100u * 6 + 60);
}

TEST(PackTest, AStoreThatPacksBehavesLikeAnyOther) {
  kube::Store<DriftMonitor> store;
  store.AddIndex("target", [](const DriftMonitor& monitor) {
    return std::vector<std::string>{monitor.spec.target.model_deployment};
  });
  int changes = 0;
  store.AddListener([&](const auto& before, const auto& after) {
    ++changes;
    for (const auto& object : {before, after}) {
      EXPECT_TRUE(object == nullptr || object->meta.uid == "uid");
    }
  });
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    DriftMonitor monitor = Random(seed);
    monitor.spec.target.model_deployment = seed % 2 == 0 ? "even" : "odd";
    store.Upsert(std::make_shared<DriftMonitor>(std::move(monitor)));
  }
  EXPECT_EQ(changes, 200);
  EXPECT_EQ(store.ByIndex("target", "odd").size(), 100u);
  EXPECT_EQ(store.size(), 200u);
  std::set<std::string> seen;
  store.ForEach([&](const DriftMonitor& monitor) { seen.insert(monitor.meta.key.name); });
  EXPECT_EQ(seen.size(), 200u);

  DriftMonitor older = Random(7);
  older.meta.resource_version = "6";
  store.Upsert(std::make_shared<DriftMonitor>(older));
  EXPECT_EQ(changes, 200) << "an older version is ignored";
  DriftMonitor newer = Random(7);
  newer.meta.resource_version = "1000";
  newer.spec.target.model_deployment = "even";
  store.Upsert(std::make_shared<DriftMonitor>(newer));
  EXPECT_EQ(store.ByIndex("target", "odd").size(), 99u);
  EXPECT_EQ(store.Get(newer.meta.key)->meta.resource_version, "1000");
  store.Remove(newer.meta.key);
  EXPECT_EQ(store.Get(newer.meta.key), nullptr);
  EXPECT_EQ(store.size(), 199u);
}

}  // namespace
}  // namespace perennial::api
