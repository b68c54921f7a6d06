#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace perennial::scrape {

// Numbers in few bytes, without loss: whole numbers below 2^53 as a variable-length integer (a
// count below 64 is one byte), everything else as a double behind a mark.
using PackedNumbers = std::vector<std::uint8_t>;
void AppendNumber(PackedNumbers& out, double value);
void AppendInteger(PackedNumbers& out, std::uint64_t value);
// Reads and moves past one number; `at` must lie on one that was appended.
double ReadNumber(const std::uint8_t*& at);
std::uint64_t ReadInteger(const std::uint8_t*& at);

// What one series counted, by time slot: for each slot in which something happened, `width`
// numbers. A few bytes a slot, because most counts in a slot are small. Not thread-safe.
class DeltaLog {
 public:
  explicit DeltaLog(std::size_t width) : width_(width) {}

  std::size_t width() const { return width_; }
  bool empty() const { return data_.empty(); }
  // Of the oldest and newest slot; only when not empty.
  std::int64_t first_slot() const { return first_slot_; }
  std::int64_t last_slot() const { return last_slot_; }

  // Adds to a slot, mostly the newest one. values.size() must be width().
  void Add(std::int64_t slot, std::span<const double> values);
  // Forgets all slots below `slot`.
  void DropBefore(std::int64_t slot);
  // Adds the numbers of the slots first..last to sums and says whether there were any.
  bool Sum(std::int64_t first, std::int64_t last, std::span<double> sums) const;

  // Estimate of the memory held, this object included.
  std::size_t bytes() const { return sizeof(*this) + data_.capacity(); }

 private:
  void AppendRecord(std::int64_t slot, std::span<const double> values);
  void Insert(std::int64_t slot, std::span<const double> values);

  std::size_t width_;
  std::int64_t first_slot_ = 0;
  std::int64_t last_slot_ = 0;
  std::size_t last_offset_ = 0;  // where the newest record starts
  PackedNumbers data_;           // records: distance to the slot before, then the numbers
};

}  // namespace perennial::scrape
