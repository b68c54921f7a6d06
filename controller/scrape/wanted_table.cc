#include "scrape/wanted_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace perennial::scrape {
namespace {

// Reads at most 16 of the name's bytes: enough to tell names apart that share prefix or suffix, and
// the look-up compares whole names anyway.
std::uint64_t HashOf(std::string_view name) {
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
  if (name.size() >= 8) {
    std::memcpy(&head, name.data(), 8);
    std::memcpy(&tail, name.data() + name.size() - 8, 8);
  } else if (!name.empty()) {  // whose data may be null, which memcpy never takes
    std::memcpy(&head, name.data(), name.size());
  }
  std::uint64_t hash = (head ^ (tail * 0x9E3779B97F4A7C15ULL)) + name.size();
  hash ^= hash >> 32;
  hash *= 0xD6E8FEB86659FD93ULL;
  hash ^= hash >> 32;
  return hash;
}

constexpr std::string_view kTotalSuffix = "_total";
constexpr std::string_view kProcessStartName = "process_start_time_seconds";

struct Suffix {
  std::string_view text;
  Role role;
};
constexpr Suffix kSuffixes[] = {{"_bucket", Role::kBucket},
                                {"_sum", Role::kSum},
                                {"_count", Role::kCount},
                                {"_created", Role::kCreated},
                                {kTotalSuffix, Role::kTotal}};

WantedMetrics::Table::Name& FindOrAdd(std::vector<WantedMetrics::Table::Name>& known,
                                      std::string_view name) {
  const auto it = std::ranges::find(known, name, &WantedMetrics::Table::Name::text);
  if (it != known.end()) return *it;
  return known.emplace_back(WantedMetrics::Table::Name{std::string(name)});
}

}  // namespace

const WantedMetrics::Table::Name* WantedMetrics::Table::Lookup(std::string_view name) const {
  const std::size_t mask = slots.size() - 1;
  for (std::size_t at = HashOf(name) & mask;; at = (at + 1) & mask) {
    const std::uint32_t slot = slots[at];
    if (slot == 0) return nullptr;
    if (const Name& found = known[slot - 1]; found.text == name) return &found;
  }
}

Uses WantedMetrics::Table::Find(std::string_view name) const {
  Uses uses;
  if (const Name* found = Lookup(name)) {
    if (found->exact != kNone) uses.Add(found->exact, Role::kExact);
    if (found->base != kNone) uses.Add(found->base, Role::kBase);
  }
  if (name == kProcessStartName) uses.Add(kProcessStart, Role::kExact);
  for (const Suffix& suffix : kSuffixes) {
    if (name.size() <= suffix.text.size() || !name.ends_with(suffix.text)) continue;
    const Name* family = Lookup(name.substr(0, name.size() - suffix.text.size()));
    if (family == nullptr) break;
    if (family->exact != kNone) uses.Add(family->exact, suffix.role);
    if (family->base != kNone && suffix.role == Role::kCreated) {
      uses.Add(family->base, suffix.role);
    }
    break;
  }
  return uses;
}

WantedMetrics::WantedMetrics(std::vector<std::string> names) : table_(std::make_unique<Table>()) {
  std::erase(names, "");
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  table_->names = std::move(names);
  auto& known = table_->known;
  known.reserve(table_->names.size());
  for (std::uint32_t i = 0; i < table_->names.size(); ++i) {
    const std::string& name = table_->names[i];
    FindOrAdd(known, name).exact = i;
    if (name.size() > kTotalSuffix.size() && name.ends_with(kTotalSuffix)) {
      FindOrAdd(known, name.substr(0, name.size() - kTotalSuffix.size())).base = i;
    }
  }
  std::size_t size = 8;
  while (size < known.size() * 2) size *= 2;
  table_->slots.assign(size, 0);
  for (std::uint32_t i = 0; i < known.size(); ++i) {
    std::size_t at = HashOf(known[i].text) & (size - 1);
    while (table_->slots[at] != 0) at = (at + 1) & (size - 1);
    table_->slots[at] = i + 1;
  }
}

WantedMetrics::~WantedMetrics() = default;
WantedMetrics::WantedMetrics(WantedMetrics&&) noexcept = default;
WantedMetrics& WantedMetrics::operator=(WantedMetrics&&) noexcept = default;

const std::vector<std::string>& WantedMetrics::names() const {
  return table_->names;
}

}  // namespace perennial::scrape
