#pragma once

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "api/schema_decode.h"
#include "api/schema_encode.h"

// Random values of the API's types, made from the same tables that everything else is made from.
namespace perennial::testing {

class Arbitrary {
 public:
  // Wild texts have quotes, control characters and any script; tame ones mostly keep the field's
  // rules, so that other rules get their turn.
  enum class Texts { kWild, kTame };
  Arbitrary(std::uint64_t seed, Texts texts) : random_(seed), texts_(texts) {}

  template <class T>
  T Make(const api::Rules& rules = {}) {
    T out{};
    Fill(out, rules);
    return out;
  }

 private:
  bool Chance(int percent) { return Below(100) < static_cast<std::uint64_t>(percent); }
  std::uint64_t Below(std::uint64_t n) { return random_() % n; }

  template <class T>
  void Fill(T& out, const api::Rules& rules) {
    if constexpr (api::internal::IsOptional<T>::value) {
      if (rules.required || Chance(40)) Fill(out.emplace(), rules);
    } else if constexpr (api::internal::IsVector<T>::value) {
      const std::size_t size = std::max<std::size_t>(rules.min_items, Below(3));
      out.resize(std::min(size, rules.max_items));
      for (auto& item : out) Fill(item, rules);
    } else if constexpr (api::HasSchema<T>) {
      const T defaults{};
      api::ForEachField(out, defaults, [&](const auto& field, auto& member, const auto&) {
        if (field.rules.required || Chance(40)) Fill(member, field.rules);
      });
    } else if constexpr (std::is_enum_v<T>) {
      out = static_cast<T>(Below(api::EnumNames<T>::kNames.size()));
    } else if constexpr (api::internal::kIsInteger<T>) {
      out = static_cast<T>(Integer(rules));
    } else {
      Scalar(out, rules);
    }
  }

  // Around the bounds now and then, and seldom beyond them.
  std::int64_t Integer(const api::Rules& rules) {
    const auto low = static_cast<std::int64_t>(rules.min.value_or(-1000));
    const auto high = static_cast<std::int64_t>(rules.max.value_or(static_cast<double>(low) + 1e6));
    if (Chance(10)) return low;
    if (Chance(10)) return high;
    if (texts_ == Texts::kTame && Chance(2)) return Chance(50) ? low - 1 : high + 1;
    return low + static_cast<std::int64_t>(Below(static_cast<std::uint64_t>(high - low) + 1));
  }

  void Scalar(bool& out, const api::Rules&) { out = Chance(50); }
  void Scalar(double& out, const api::Rules& rules) {
    const double any = (static_cast<double>(Below(2'000'001)) - 1e6) / 977.0;
    out = std::max(any, rules.min.value_or(any));
  }
  void Scalar(api::Decimal& out, const api::Rules&) {
    static constexpr std::array<std::pair<double, const char*>, 7> kSome{{{0, "0"},
                                                                          {0.05, "0.05"},
                                                                          {0.25, "0.250"},
                                                                          {4, "4"},
                                                                          {-1.5, "-1.5"},
                                                                          {0.001, "1e-3"},
                                                                          {0.5, "0.5"}}};
    const auto& [value, text] = kSome[Below(kSome.size())];
    out = {value, text};
  }
  void Scalar(api::Duration& out, const api::Rules&) {
    static constexpr std::array<int, 6> kSome{1000, 90'000, 600'000, 3'600'000, 86'399'999, 500};
    out.value = Millis(Chance(5) ? 0 : kSome[Below(kSome.size())]);
  }
  void Scalar(api::Time& out, const api::Rules&) {
    out.value = WallTime(Seconds(1'700'000'000 + static_cast<std::int64_t>(Below(100'000'000))));
  }
  void Scalar(api::RawJson& out, const api::Rules&) {
    out.text = R"({"spec":{"containers":[{"image":"m","name":"n"}]}})";
  }
  void Scalar(std::map<std::string, std::string>& out, const api::Rules& rules) {
    for (std::size_t i = Below(4); i > 0; --i) {
      std::string key;
      Scalar(key, rules);
      Scalar(out[key], rules);
    }
  }
  void Scalar(std::string& out, const api::Rules& rules) {
    static const std::vector<std::string> kWild{"",
                                                "a",
                                                "\"quoted\" \\ back",
                                                "line\nfeed\ttab",
                                                "caf\xC3\xA9 \xE6\x97\xA5",
                                                "null",
                                                "\x01\x1f",
                                                "{}",
                                                "a,b:c"};
    static const std::vector<std::string> kTame{"a",
                                                "b",
                                                "champion",
                                                "http",
                                                "predictions_total",
                                                "errors_total",
                                                "oci://models/m:1",
                                                "sha256:" + std::string(64, 'a'),
                                                "/metrics",
                                                "0 3 * * 1",
                                                "Europe/Berlin",
                                                "www.example.org",
                                                "2026-11-24T16:13:47Z",
                                                "True"};
    if (texts_ == Texts::kWild) {
      out = CutText(kWild[Below(kWild.size())], rules.max_length);
      return;
    }
    std::vector<std::string> allowed(rules.names.begin(), rules.names.end());
    for (const std::string& text : kTame) {
      const bool fits =
          rules.pattern.empty() || RE2::PartialMatch(text, RE2(std::string(rules.pattern)));
      if (rules.names.empty() && fits && text.size() <= rules.max_length) allowed.push_back(text);
    }
    out = allowed.empty() || Chance(1) ? "No such thing!" : allowed[Below(allowed.size())];
  }

  std::mt19937_64 random_;
  Texts texts_;
};

}  // namespace perennial::testing
