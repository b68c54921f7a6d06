#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scrape/exposition.h"

// Internal to the parser: which sample names belong to the wanted metrics, and in which role.
namespace perennial::scrape {

enum class Role : std::uint8_t {
  kExact,    // the wanted name itself
  kTotal,    // wanted name + "_total"
  kBase,     // wanted name without its "_total"
  kBucket,   // wanted name + "_bucket"
  kSum,      // + "_sum"
  kCount,    // + "_count"
  kCreated,  // + "_created", also to the name without its "_total"
};

struct Use {
  std::uint32_t wanted = 0;  // index into Table::names; kProcessStart: the process' start time
  Role role = Role::kExact;
};
inline constexpr std::uint32_t kProcessStart = UINT32_MAX;

// What a sample name is good for. Two wanted metrics may share it ("x" and "x_sum").
struct Uses {
  std::array<Use, 4> list;
  std::size_t count = 0;

  void Add(std::uint32_t wanted, Role role) { list[count++] = {wanted, role}; }
};

struct WantedMetrics::Table {
  static constexpr std::uint32_t kNone = UINT32_MAX - 1;
  struct Name {
    std::string text;
    std::uint32_t exact = kNone;  // wanted under this name
    std::uint32_t base = kNone;   // wanted under this name + "_total"
  };

  std::vector<std::string> names;
  std::vector<Name> known;
  std::vector<std::uint32_t> slots;  // open addressing, power of two; index + 1 or 0

  // count == 0 if the sample name is not wanted.
  Uses Find(std::string_view name) const;

 private:
  const Name* Lookup(std::string_view name) const;
};

}  // namespace perennial::scrape
