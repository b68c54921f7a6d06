#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "kube/store.h"

namespace perennial::kube {
namespace {

struct Thing {
  Meta meta;
  std::string target;
};

std::shared_ptr<const Thing> Make(const std::string& name, const std::string& version,
                                  const std::string& target = "t", const std::string& uid = "") {
  auto thing = std::make_shared<Thing>();
  thing->meta.key = {"ns", name};
  thing->meta.uid = uid.empty() ? "uid-" + name : uid;
  thing->meta.resource_version = version;
  thing->target = target;
  return thing;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    store_.AddIndex("target",
                    [](const Thing& thing) { return std::vector<std::string>{thing.target}; });
    store_.AddListener([this](const auto& before, const auto& after) {
      heard_.push_back((before ? before->meta.resource_version : "-") + ">" +
                       (after ? after->meta.resource_version : "-"));
    });
  }

  std::vector<std::string> Names(std::string_view target) const {
    std::vector<std::string> names;
    for (const auto& thing : store_.ByIndex("target", target))
      names.push_back(thing->meta.key.name);
    return names;
  }

  Store<Thing> store_;
  std::vector<std::string> heard_;
};

using Texts = std::vector<std::string>;

TEST_F(StoreTest, HoldsTheNewestOfEachObject) {
  store_.Upsert(Make("a", "1"));
  store_.Upsert(Make("b", "2"));
  store_.Upsert(Make("a", "3"));
  EXPECT_EQ(store_.size(), 2u);
  EXPECT_EQ(store_.Get({"ns", "a"})->meta.resource_version, "3");
  EXPECT_EQ(store_.Get({"other", "a"}), nullptr);
  EXPECT_EQ(heard_, (Texts{"->1", "->2", "1>3"}));
}

TEST_F(StoreTest, IsNotTakenBackInTime) {
  store_.Upsert(Make("a", "10"));
  store_.Upsert(Make("a", "9", "old"));
  store_.Upsert(Make("a", "10", "again"));
  EXPECT_EQ(store_.Get({"ns", "a"})->target, "t");
  EXPECT_EQ(heard_.size(), 1u);
}

TEST_F(StoreTest, TakesWhatARestoredServerListsThoughItIsOlder) {
  store_.Upsert(Make("a", "8"));
  store_.Upsert(Make("b", "9"));
  store_.TakeOlder();
  store_.Upsert(Make("a", "2"));
  store_.FinishList({{"ns", "a"}});
  EXPECT_EQ(store_.Get({"ns", "a"})->meta.resource_version, "2");
  EXPECT_EQ(store_.Get({"ns", "b"}), nullptr);
  store_.Upsert(Make("a", "1"));
  EXPECT_EQ(store_.Get({"ns", "a"})->meta.resource_version, "2") << "once";
}

TEST_F(StoreTest, TakesAnotherUidForAnotherObject) {
  store_.Upsert(Make("a", "10"));
  store_.Upsert(Make("a", "9", "t", "another"));
  EXPECT_EQ(store_.Get({"ns", "a"})->meta.uid, "another");
}

TEST_F(StoreTest, FindsObjectsByIndexAfterEveryChange) {
  store_.Upsert(Make("b", "1", "x"));
  store_.Upsert(Make("a", "2", "x"));
  store_.Upsert(Make("c", "3", "y"));
  EXPECT_EQ(Names("x"), (Texts{"a", "b"}));
  store_.Upsert(Make("b", "4", "y"));
  EXPECT_EQ(Names("x"), Texts{"a"});
  EXPECT_EQ(Names("y"), (Texts{"b", "c"}));
  store_.Remove({"ns", "a"});
  EXPECT_EQ(Names("x"), Texts{});
}

TEST_F(StoreTest, ForgetsWhatAWholeListDoesNotHold) {
  store_.Upsert(Make("a", "1"));
  store_.Upsert(Make("b", "2"));
  EXPECT_FALSE(store_.Synced());
  store_.FinishList({{"ns", "b"}});
  EXPECT_TRUE(store_.Synced());
  EXPECT_EQ(store_.size(), 1u);
  EXPECT_EQ(heard_.back(), "1>-");
  store_.Remove({"ns", "gone"});
  EXPECT_EQ(heard_.size(), 3u) << "what was not there can't go";
}

TEST_F(StoreTest, LeavesReadersWithWhatTheySaw) {
  store_.Upsert(Make("a", "1", "x"));
  const auto seen = store_.Get({"ns", "a"});
  store_.Upsert(Make("a", "2", "y"));
  store_.Remove({"ns", "a"});
  EXPECT_EQ(seen->target, "x");
}

// Any order of the same versions ends in the same state: watches repeat and overtake.
TEST(StoreLaws, TheNewestWinsInAnyOrder) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    std::vector<int> versions = {1, 2, 3, 9, 10, 11, 11, 100, 99, 2};
    std::shuffle(versions.begin(), versions.end(), random);
    Store<Thing> store;
    for (const int version : versions) store.Upsert(Make("a", std::to_string(version)));
    EXPECT_EQ(store.Get({"ns", "a"})->meta.resource_version, "100");
  }
}

TEST(StoreThreads, ReadersSeeWholeObjectsWhileTheWriterWrites) {
  Store<Thing> store;
  store.AddIndex("target",
                 [](const Thing& thing) { return std::vector<std::string>{thing.target}; });
  std::atomic<bool> end{false};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (!end) {
        for (const auto& thing : store.ByIndex("target", "1")) wrong += thing->target != "1";
        store.ForEach([&](const Thing& thing) {
          wrong += thing.target != thing.meta.resource_version.substr(0, 1);
        });
        (void)store.Get({"ns", "3"});
      }
    });
  }
  for (int i = 1; i < 600; ++i) {
    const std::string version = std::to_string(i);
    store.Upsert(Make(std::to_string(i % 10), version, version.substr(0, 1)));
    if (i % 7 == 0) store.Remove({"ns", std::to_string(i % 10)});
  }
  end = true;
  readers.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace perennial::kube
