#include "kube/repeats.h"

#include <algorithm>
#include <functional>
#include <string>

namespace perennial::kube {
namespace {

constexpr Millis kFirstWait{1'000};
constexpr Millis kLongestWait{300'000};
constexpr Millis kRemembered{600'000};
// As many as a plan has children of one object, and a few of the one before.
constexpr std::size_t kMost = 32;

std::size_t HashOf(const std::string& text) {
  return std::hash<std::string>()(text);
}

}  // namespace

const Repeats::Entry* Repeats::Find(const ApplyObject& action, Millis now) const {
  if (entries_.empty()) return nullptr;
  const std::size_t target = HashOf(ToString(action.target));
  const std::size_t body = HashOf(action.body);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.target == target && entry.body == body && now - entry.at < kRemembered;
  });
  return found == entries_.end() ? nullptr : &*found;
}

Millis Repeats::Wait(const ApplyObject& action, Millis now) const {
  const Entry* entry = Find(action, now);
  if (entry == nullptr || entry->times < 2) return Millis{0};
  Millis wait = kFirstWait;
  for (int i = 2; i < entry->times && wait < kLongestWait; ++i) wait *= 2;
  return std::max(Millis{0}, entry->at + std::min(wait, kLongestWait) - now);
}

bool Repeats::Contested(const ApplyObject& action, Millis now) const {
  const Entry* entry = Find(action, now);
  // A watch that is silent for some seconds shows nothing of what was applied either.
  return entry != nullptr && entry->times > 4;
}

void Repeats::Add(const ApplyObject& action, Millis now) {
  const Entry* known = Find(action, now);
  const Entry entry{HashOf(ToString(action.target)), HashOf(action.body), now,
                    known == nullptr ? 1 : known->times + 1};
  std::erase_if(entries_, [&](const Entry& other) {
    return other.target == entry.target || now - other.at >= kRemembered;
  });
  if (entries_.size() >= kMost) entries_.erase(entries_.begin());
  entries_.push_back(entry);
}

}  // namespace perennial::kube
