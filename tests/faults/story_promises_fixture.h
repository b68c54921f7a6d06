#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "faults/story_plots.h"
#include "faults/story_world.h"

namespace perennial::testing {

// A watchman of a story's world beside the world's own, which the test then breaks promises to.
class StoryPromisesFixture : public ::testing::Test {
 protected:
  explicit StoryPromisesFixture(const Plot& plot) : world_(plot.options) {
    Begin(world_);
    promises_.Guard();
    Look();
  }

  // Takes what there is now for how all began.
  void Look() {
    promises_.CheckWorld();
    News();
  }
  // Whether this promise was broken, in these words, since the last time that somebody asked.
  bool Says(const std::string& number, const std::string& words = "") {
    const std::vector<std::string> news = News();
    return std::any_of(news.begin(), news.end(), [&](const std::string& text) {
      return IsOf(number, text) && text.find(words) != std::string::npos;
    });
  }
  // And no other.
  bool Breaks(const std::string& number, const std::string& words = "") {
    promises_.CheckWorld();
    bool broken = false;
    for (const std::string& text : News()) {
      EXPECT_TRUE(IsOf(number, text)) << text;
      broken |= text.find(words) != std::string::npos;
    }
    return broken;
  }

  StoryWorld world_;
  StoryPromises promises_{world_};

 private:
  static bool IsOf(const std::string& number, const std::string& text) {
    return text.find(": " + number + ": ") != std::string::npos;
  }
  std::vector<std::string> News() {
    const auto& all = promises_.violations();
    std::vector<std::string> news(all.begin() + static_cast<std::ptrdiff_t>(asked_), all.end());
    asked_ = all.size();
    return news;
  }

  std::size_t asked_ = 0;
};

}  // namespace perennial::testing
