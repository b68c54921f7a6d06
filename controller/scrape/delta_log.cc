#include "scrape/delta_log.h"

#include <cmath>
#include <cstring>

#include "base/check.h"

namespace perennial::scrape {
namespace {

constexpr double kWholeLimit = 9007199254740992.0;  // 2^53
// First byte of a number that follows as eight bytes; a whole number's first byte is even.
constexpr std::uint8_t kRawMark = 1;

}  // namespace

void AppendInteger(PackedNumbers& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

std::uint64_t ReadInteger(const std::uint8_t*& at) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const std::uint8_t byte = *at++;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

void AppendNumber(PackedNumbers& out, double value) {
  if (value >= 0 && value < kWholeLimit && value == std::floor(value)) {
    AppendInteger(out, static_cast<std::uint64_t>(value) << 1);
    return;
  }
  out.push_back(kRawMark);
  std::uint8_t raw[sizeof(value)];
  std::memcpy(raw, &value, sizeof(value));
  out.insert(out.end(), raw, raw + sizeof(raw));
}

double ReadNumber(const std::uint8_t*& at) {
  if (*at != kRawMark) return static_cast<double>(ReadInteger(at) >> 1);
  double value;
  std::memcpy(&value, at + 1, sizeof(value));
  at += 1 + sizeof(value);
  return value;
}

void DeltaLog::AppendRecord(std::int64_t slot, std::span<const double> values) {
  // The vector's doubling would waste half of what tens of thousands of series hold.
  if (data_.capacity() - data_.size() < values.size() * 2 + 16) {
    data_.reserve(data_.size() + data_.size() / 8 + values.size() * 3 + 24);
  }
  if (data_.empty()) first_slot_ = last_slot_ = slot;
  last_offset_ = data_.size();
  AppendInteger(data_, static_cast<std::uint64_t>(slot - last_slot_));
  for (const double value : values) AppendNumber(data_, value);
  last_slot_ = slot;
}

void DeltaLog::Add(std::int64_t slot, std::span<const double> values) {
  PERENNIAL_CHECK(values.size() == width_);
  if (data_.empty() || slot > last_slot_) return AppendRecord(slot, values);
  if (slot < last_slot_) return Insert(slot, values);
  std::vector<double> sums(values.begin(), values.end());
  const std::uint8_t* at = data_.data() + last_offset_;
  const std::uint64_t distance = ReadInteger(at);
  for (double& sum : sums) sum += ReadNumber(at);
  data_.resize(last_offset_);
  AppendInteger(data_, distance);
  for (const double sum : sums) AppendNumber(data_, sum);
}

// Into the past: the first scrape of a pod that began some slots ago. Rare, so everything is
// rebuilt.
void DeltaLog::Insert(std::int64_t slot, std::span<const double> values) {
  DeltaLog rebuilt(width_);
  std::vector<double> numbers(width_);
  bool inserted = false;
  const std::uint8_t* at = data_.data();
  const std::uint8_t* end = at + data_.size();
  std::int64_t current = first_slot_;
  while (at != end) {
    current += static_cast<std::int64_t>(ReadInteger(at));
    for (double& number : numbers) number = ReadNumber(at);
    if (!inserted && slot <= current) {
      rebuilt.AppendRecord(slot, values);
      inserted = true;
    }
    if (current == slot) {
      rebuilt.Add(slot, numbers);
    } else {
      rebuilt.AppendRecord(current, numbers);
    }
  }
  *this = std::move(rebuilt);
}

void DeltaLog::DropBefore(std::int64_t slot) {
  if (data_.empty() || first_slot_ >= slot) return;
  if (last_slot_ < slot) {
    PackedNumbers().swap(data_);
    return;
  }
  const std::uint8_t* at = data_.data();
  std::int64_t current = first_slot_;
  for (;;) {
    const std::uint8_t* record = at;
    current += static_cast<std::int64_t>(ReadInteger(at));
    if (current >= slot) {
      // The kept record's distance is to a slot that is gone now; make it 0 again.
      const auto cut = static_cast<std::size_t>(at - data_.data());
      const bool was_last = static_cast<std::size_t>(record - data_.data()) == last_offset_;
      data_.erase(data_.begin(), data_.begin() + static_cast<std::ptrdiff_t>(cut) - 1);
      data_.front() = 0;
      last_offset_ = was_last ? 0 : last_offset_ - (cut - 1);
      first_slot_ = current;
      if (data_.capacity() > data_.size() * 2 + 64) data_.shrink_to_fit();
      return;
    }
    for (std::size_t i = 0; i < width_; ++i) ReadNumber(at);
  }
}

bool DeltaLog::Sum(std::int64_t first, std::int64_t last, std::span<double> sums) const {
  if (data_.empty() || first > last_slot_ || last < first_slot_) return false;
  bool any = false;
  const std::uint8_t* at = data_.data();
  const std::uint8_t* end = at + data_.size();
  std::int64_t current = first_slot_;
  while (at != end) {
    current += static_cast<std::int64_t>(ReadInteger(at));
    if (current > last) break;
    if (current < first) {
      for (std::size_t i = 0; i < width_; ++i) ReadNumber(at);
      continue;
    }
    any = true;
    for (std::size_t i = 0; i < width_; ++i) sums[i] += ReadNumber(at);
  }
  return any;
}

}  // namespace perennial::scrape
