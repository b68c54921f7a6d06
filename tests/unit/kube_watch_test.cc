#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "kube/json_scan.h"
#include "kube/line_splitter.h"
#include "kube/watch.h"

namespace perennial::kube {
namespace {

using Next = WatchState::Next;

const WatchPolicy kPolicy{.first_backoff = Millis{800},
                          .longest_backoff = Millis{30'000},
                          .optional = false,
                          .absent_retry = Millis{5'000}};

std::string Object(const std::string& name, int version, const std::string& uid = "u1") {
  return R"({"kind":"X","apiVersion":"v1","metadata":{"name":")" + name +
         R"(","namespace":"ns","uid":")" + uid + R"(","resourceVersion":")" +
         std::to_string(version) + R"("}})";
}
std::string Event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}
std::string Bookmark(int version) {
  return R"({"type":"BOOKMARK","object":{"kind":"X","metadata":{"resourceVersion":")" +
         std::to_string(version) + R"("}}})";
}
std::string ErrorEvent(int code) {
  return R"({"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"m","code":)" +
         std::to_string(code) + "}}";
}

// A state machine with a store made of its effects.
class World {
 public:
  explicit World(WatchPolicy policy = kPolicy) : policy_(policy) {}

  void Page(std::vector<std::string> items, std::string token = "", std::string version = "100") {
    const ListPage page{std::move(items), std::move(token), std::move(version)};
    Take(PageSeen{page});
  }
  void Fail(Errc code, std::optional<Millis> after = {}) {
    Take(ListFailed{{code, "list", after}});
  }
  void Line(const std::string& line) { Take(LineSeen{line}); }
  void EndWell(Millis lasted = Millis{200'000}) { Take(WatchEnded{Ok(), lasted}); }
  void EndBadly(Errc code, const std::string& message = "watch") {
    Take(WatchEnded{Error{code, message, {}}, Millis{5'000}});
  }
  // What the informer's loop does before it carries on.
  Millis Waited() { return std::exchange(state.wait, std::nullopt).value_or(Millis{0}); }

  // "name@version" of what the store holds.
  std::vector<std::string> Held() const {
    std::vector<std::string> out;
    for (const auto& [key, version] : objects_) out.push_back(key.name + "@" + version);
    return out;
  }
  int finished() const { return finished_; }
  bool Watching() const { return state.next == Next::kWatch; }

  WatchState state;

 private:
  void Take(const WatchInput& input) {
    std::vector<WatchEffect> effects;
    Advance(state, input, policy_, effects);
    for (const WatchEffect& effect : effects) Carry(effect);
  }
  void Carry(const WatchEffect& effect) {
    if (const auto* put = std::get_if<PutObject>(&effect)) {
      const auto meta = ScanMeta(put->json);
      ASSERT_TRUE(meta.ok());
      std::string& version = objects_[meta->key];
      // As Store::Upsert does.
      if (version.empty() || takes_older_ ||
          CompareResourceVersions(meta->resource_version, version) > 0) {
        version = meta->resource_version;
      }
    } else if (const auto* remove = std::get_if<RemoveObject>(&effect)) {
      objects_.erase(remove->key);
    } else if (std::holds_alternative<TakeOlder>(effect)) {
      takes_older_ = true;
    } else {
      ++finished_;
      takes_older_ = false;
      const auto& listed = std::get<FinishList>(effect).listed;
      std::erase_if(objects_, [&](const auto& entry) { return !listed.contains(entry.first); });
    }
  }

  WatchPolicy policy_;
  std::map<Key, std::string> objects_;
  int finished_ = 0;
  bool takes_older_ = false;
};

using Names = std::vector<std::string>;

TEST(WatchTest, BeginsWithAListAndWatchesFromItsVersion) {
  World world;
  EXPECT_EQ(world.state.next, Next::kList);
  EXPECT_EQ(world.state.version, "");
  world.Page({Object("a", 7), Object("b", 9)});
  EXPECT_TRUE(world.Watching());
  EXPECT_EQ(world.state.version, "100");
  EXPECT_EQ(world.finished(), 1);
  EXPECT_EQ(world.Held(), (Names{"a@7", "b@9"}));
}

TEST(WatchTest, ListsAllPagesBeforeItIsFinished) {
  World world;
  world.Page({Object("a", 1)}, "t1");
  EXPECT_FALSE(world.Watching());
  EXPECT_EQ(world.finished(), 0);
  EXPECT_EQ(world.state.continue_token, "t1");
  world.Page({Object("b", 2)}, "t2");
  EXPECT_EQ(world.state.continue_token, "t2");
  world.Page({Object("c", 3)}, "", "120");
  EXPECT_EQ(world.finished(), 1);
  EXPECT_EQ(world.Held(), (Names{"a@1", "b@2", "c@3"}));
  EXPECT_EQ(world.state.version, "120");
}

TEST(WatchTest, AnExpiredPageStartsTheListOver) {
  for (int page = 1; page <= 3; ++page) {
    SCOPED_TRACE(page);
    World world;
    for (int i = 0; i < page; ++i) world.Page({Object("old" + std::to_string(i), 1)}, "t");
    world.Fail(Errc::kGone);
    EXPECT_EQ(world.state.next, Next::kList);
    EXPECT_EQ(world.state.continue_token, "");
    EXPECT_EQ(world.Waited(), Millis{0});
    // What only the abandoned pages held is gone after the whole list.
    world.Page({Object("a", 2)});
    EXPECT_EQ(world.Held(), (Names{"a@2"}));
  }
}

TEST(WatchTest, AFailedPageIsAskedForAgainAfterGrowingTimes) {
  World world;
  world.Page({Object("a", 1)}, "t1");
  world.Fail(Errc::kUnavailable);
  EXPECT_EQ(world.state.continue_token, "t1");
  EXPECT_EQ(world.Waited(), Millis{800});
  world.Fail(Errc::kTimeout);
  EXPECT_EQ(world.Waited(), Millis{1'600});
  world.Fail(Errc::kThrottled, Millis{9'000});
  EXPECT_EQ(world.Waited(), Millis{9'000});
  for (int i = 0; i < 20; ++i) world.Fail(Errc::kUnavailable);
  EXPECT_EQ(world.Waited(), Millis{30'000});
  EXPECT_EQ(world.finished(), 0);
}

TEST(WatchTest, AListWithANamelessObjectRemovesNothing) {
  World world;
  world.Page({Object("a", 1)});
  world.EndBadly(Errc::kGone);
  world.Page({R"({"metadata":{}})"});
  EXPECT_EQ(world.finished(), 1);
  EXPECT_EQ(world.Held(), (Names{"a@1"}));
  EXPECT_GT(world.Waited(), Millis{0});
}

TEST(WatchTest, EventsAndBookmarksMoveTheVersion) {
  World world;
  world.Page({Object("a", 1)});
  world.Line(Event("ADDED", Object("b", 101)));
  world.Line(Event("MODIFIED", Object("a", 102)));
  EXPECT_EQ(world.state.version, "102");
  world.Line(Bookmark(150));
  EXPECT_EQ(world.state.version, "150");
  world.Line(Event("DELETED", Object("b", 151)));
  EXPECT_EQ(world.Held(), (Names{"a@102"}));
  EXPECT_EQ(world.state.version, "151");
}

TEST(WatchTest, ABrokenWatchResumesWithoutAList) {
  for (const Errc code : {Errc::kUnavailable, Errc::kTimeout, Errc::kTooLarge, Errc::kThrottled,
                          Errc::kForbidden, Errc::kUnauthorized}) {
    SCOPED_TRACE(ToString(code));
    World world;
    world.Page({});
    world.Line(Bookmark(140));
    world.EndBadly(code);
    EXPECT_TRUE(world.Watching());
    EXPECT_EQ(world.state.version, "140");
    EXPECT_EQ(world.Waited(), Millis{800});
  }
}

TEST(WatchTest, ARegularEndResumesAtOnceButNotInAHotLoop) {
  World world;
  world.Page({});
  world.EndWell();
  EXPECT_TRUE(world.Watching());
  EXPECT_EQ(world.Waited(), Millis{0});
  world.EndWell(Millis{3});
  EXPECT_EQ(world.Waited(), Millis{800});
  world.EndWell(Millis{3});
  EXPECT_EQ(world.Waited(), Millis{1'600});
  world.Line(Bookmark(200));
  world.EndWell(Millis{3});
  EXPECT_EQ(world.Waited(), Millis{0});
}

TEST(WatchTest, AVersionThatIsTooOldMeansToListAgainWhereverItIsSaid) {
  for (const bool as_event : {true, false}) {
    SCOPED_TRACE(as_event);
    World world;
    world.Page({Object("a", 1), Object("b", 2)});
    if (as_event) {
      world.Line(ErrorEvent(410));
      EXPECT_FALSE(world.Watching());
      world.Line(Event("ADDED", Object("ghost", 300)));  // behind it, on a dead connection
      world.EndWell();
    } else {
      world.EndBadly(Errc::kGone);
    }
    EXPECT_EQ(world.state.next, Next::kList);
    EXPECT_EQ(world.Waited(), Millis{0});
    world.Page({Object("b", 2), Object("c", 150)}, "", "160");
    EXPECT_EQ(world.Held(), (Names{"b@2", "c@150"}));
    EXPECT_EQ(world.state.version, "160");
    // A server that answers 410 again and again is given time.
    world.EndBadly(Errc::kGone);
    EXPECT_GT(world.Waited(), Millis{0});
  }
}

TEST(WatchTest, OtherErrorEventsResumeFirstAndListAtLast) {
  World world;
  world.Page({});
  for (int i = 0; i < 2; ++i) {
    world.Line(ErrorEvent(500));
    world.EndWell(Millis{5});
    EXPECT_TRUE(world.Watching());
    EXPECT_GT(world.Waited(), Millis{0});
  }
  world.Line(ErrorEvent(500));
  world.EndWell(Millis{5});
  EXPECT_FALSE(world.Watching());
}

TEST(WatchTest, AGarbageLineDropsTheConnectionAndListsAgain) {
  const std::string good = Event("MODIFIED", Object("a", 130));
  std::vector<std::string> lines = {"garbage",
                                    "{}",
                                    R"({"type":"ADDED"})",
                                    good + good,
                                    R"({"type":"OTHER","object":{}})",
                                    Event("MODIFIED", R"({"metadata":{"resourceVersion":"5"}})"),
                                    Event("MODIFIED", R"({"metadata":{"name":"a"}})")};
  // Every way to cut the line.
  for (size_t i = 1; i < good.size(); ++i) lines.push_back(good.substr(0, i));
  for (const std::string& line : lines) {
    SCOPED_TRACE(line);
    World world;
    world.Page({Object("a", 1)});
    world.Line(line);
    EXPECT_EQ(world.state.next, Next::kList);
    EXPECT_EQ(world.Held(), (Names{"a@1"}));
    EXPECT_EQ(world.Waited(), Millis{800});
  }
}

TEST(WatchTest, AFutureVersionListsAgainAndBelievesTheList) {
  World world;
  world.Page({Object("a", 8), Object("b", 9)});
  world.EndBadly(Errc::kTimeout, "HTTP 504 Timeout: Too large resource version: 9, current: 3");
  EXPECT_EQ(world.state.next, Next::kList);
  EXPECT_GT(world.Waited(), Millis{0});
  // The API server's store was restored from a copy.
  world.Page({Object("a", 2)}, "more");
  world.Page({Object("c", 3)}, "", "3");
  EXPECT_EQ(world.Held(), (Names{"a@2", "c@3"}));
  EXPECT_EQ(world.state.version, "3");
  // Only that list.
  world.Line(Event("MODIFIED", Object("a", 1)));
  EXPECT_EQ(world.Held(), (Names{"a@2", "c@3"}));
}

TEST(WatchTest, AnOptionalResourceThatIsAbsentIsEmptyAndLookedForAgain) {
  WatchPolicy policy = kPolicy;
  policy.optional = true;
  World world(policy);
  world.Fail(Errc::kNotFound);
  EXPECT_EQ(world.finished(), 1);
  EXPECT_TRUE(world.state.absent);
  EXPECT_EQ(world.Waited(), Millis{5'000});
  world.Page({Object("a", 1)});
  EXPECT_FALSE(world.state.absent);
  // Uninstalled while it is watched: what was there is gone.
  world.EndBadly(Errc::kNotFound);
  world.Fail(Errc::kNotFound);
  EXPECT_TRUE(world.Held().empty());
}

TEST(WatchTest, ARequiredResourceThatIsAbsentIsAnErrorAndKeepsWhatIsKnown) {
  World world;
  world.Page({Object("a", 1)});
  world.EndBadly(Errc::kNotFound);
  world.Fail(Errc::kNotFound);
  EXPECT_EQ(world.Held(), (Names{"a@1"}));
  EXPECT_GT(world.Waited(), Millis{0});
}

TEST(WatchTest, LateNewsDoNotBringADeletedObjectBack) {
  World world;
  world.Page({});
  world.Line(Event("DELETED", Object("a", 110)));
  world.Line(Event("MODIFIED", Object("a", 105)));
  EXPECT_TRUE(world.Held().empty());
  world.Line(Event("ADDED", Object("a", 111, "u2")));
  EXPECT_EQ(world.Held(), (Names{"a@111"}));
}

// Any order and any repetition of a history's events come to its end state, as long as the store
// keeps the newest of each object.
TEST(WatchTest, ShuffledAndRepeatedEventsComeToTheSameState) {
  const std::vector<std::string> history = {
      Event("ADDED", Object("a", 101)),    Event("ADDED", Object("b", 102)),
      Event("MODIFIED", Object("a", 103)), Event("DELETED", Object("b", 104)),
      Event("ADDED", Object("c", 105)),    Event("MODIFIED", Object("c", 106)),
      Event("DELETED", Object("d", 107))};
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> lines = history;
    lines.insert(lines.end(), history.begin(), history.end());
    std::shuffle(lines.begin(), lines.end(), random);
    World world;
    world.Page({});
    for (const std::string& line : lines) world.Line(line);
    ASSERT_EQ(world.Held(), (Names{"a@103", "c@106"})) << "round " << round;
    ASSERT_EQ(world.state.version, "107");
  }
}

TEST(JsonScanTest, CutsListsIntoTheirObjects) {
  std::vector<std::string> seen;
  const Status scanned = ScanArray(R"([ {"a":"}]\""} , [1,{"b":2}],"x", 3 ])", [&](auto value) {
    seen.emplace_back(value);
    return Ok();
  });
  EXPECT_TRUE(scanned.ok());
  EXPECT_EQ(seen, (Names{R"({"a":"}]\""})", R"([1,{"b":2}])", R"("x")", "3"}));
}

TEST(JsonScanTest, RefusesWhatIsNotWhole) {
  const std::string whole = R"({"a":{"b":[1,"}"]},"c":"d"})";
  const auto ignore = [](std::string_view, std::string_view) { return Ok(); };
  EXPECT_TRUE(ScanObject(whole, ignore).ok());
  EXPECT_TRUE(ScanObject(whole + " \n", ignore).ok());
  EXPECT_TRUE(ScanObject("{}", ignore).ok());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(ScanObject(whole.substr(0, i), ignore).ok()) << i;
  }
  for (const char* text :
       {"{}x", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1 \"b\":2}", "{,}", "null"}) {
    EXPECT_FALSE(ScanObject(text, ignore).ok()) << text;
  }
}

TEST(JsonScanTest, TakesManagedFieldsOutAndNothingElse) {
  const std::string text =
      R"({"managedFields":[1],"metadata":{"name":"a]}","managedFields":[{"f:x":{"]":[2]}}, 3],)"
      R"("labels":{"managedFields":"[4]"}},"spec":{"managedFields":[5]}})";
  auto wanted = nlohmann::json::parse(text);
  wanted["metadata"]["managedFields"] = nlohmann::json::array();
  EXPECT_EQ(nlohmann::json::parse(WithoutManagedFields(text)), wanted);
  for (const std::string whole :
       {R"({"metadata":{"managedFields":[]}})", R"({"metadata":{"managedFields":null}})",
        R"({"metadata":[]})", R"({"kind":"x"})", "[]", ""}) {
    EXPECT_EQ(WithoutManagedFields(whole), whole);
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_EQ(WithoutManagedFields(text.substr(0, i)), text.substr(0, i)) << "cut off";
  }
}

TEST(JsonScanTest, ReadsEscapedNamesAndGenerations) {
  const auto meta = ScanMeta(
      R"({"metadata":{"generation":12,"name":"a\u002db","uid":"u"},"kind":"K","apiVersion":"v1"})");
  ASSERT_TRUE(meta.ok());
  EXPECT_EQ(meta->key.name, "a-b");
  EXPECT_EQ(meta->generation, 12);
  EXPECT_TRUE(meta->typed);
  EXPECT_FALSE(ScanMeta(R"({"kind":"K"})")->typed);
  EXPECT_FALSE(ScanMeta(R"({"metadata":{"name":3}})").ok());
}

TEST(JsonScanTest, CountsDepthOutsideStringsOnly) {
  EXPECT_TRUE(DepthWithin(R"({"a":["[[[["]})", 2));
  EXPECT_FALSE(DepthWithin(R"({"a":[[1]]})", 2));
  EXPECT_FALSE(DepthWithin(std::string(200'000, '['), 128));
}

TEST(LineSplitterTest, GivesWholeLinesHoweverTheyArrive) {
  const std::string text = "one\n\ntwo\r\nh\xc3\xa4lf\nrest";
  for (size_t step = 1; step <= text.size(); ++step) {
    LineSplitter splitter(100);
    Names lines;
    for (size_t at = 0; at < text.size(); at += step) {
      ASSERT_TRUE(
          splitter.Feed(text.substr(at, step), [&](auto line) { lines.emplace_back(line); }));
    }
    EXPECT_EQ(lines, (Names{"one", "", "two", "h\xc3\xa4lf"})) << step;
    EXPECT_TRUE(splitter.Open());
  }
}

TEST(LineSplitterTest, RefusesLinesAboveTheLimit) {
  const auto ignore = [](std::string_view) {};
  LineSplitter whole(8), parts(8);
  EXPECT_TRUE(whole.Feed("12345678\n", ignore));
  EXPECT_FALSE(whole.Feed("123456789\n", ignore));
  EXPECT_TRUE(parts.Feed("12345", ignore));
  EXPECT_FALSE(parts.Feed("6789", ignore));
}

}  // namespace
}  // namespace perennial::kube
