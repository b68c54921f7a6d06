#pragma once

#include "api/drift_monitor.h"
#include "api/model_version_schema.h"

// The tables of DriftMonitor's spec.baseline.
namespace perennial::api {

template <>
struct EnumNames<BaselineFrom> {
  static constexpr std::array<std::string_view, 5> kNames{"ModelVersion", "Inline", "ConfigMap",
                                                          "Champion", "Window"};
};

template <>
struct Schema<BaselineConfigMap> {
  using T = BaselineConfigMap;
  static constexpr std::tuple kFields{
      Field{"name", &T::name,
            "A ConfigMap in the monitor's namespace with the label perennial.dev/use: baseline; "
            "others are not read. Needs the chart's value monitors.configMapBaselines.",
            Required(kObjectName)},
      Field{"key", &T::key, "Its key: a profile as JSON, at most 256 KiB.",
            Rules{.pattern = "^[-._a-zA-Z0-9]+$",
                  .wants = "a key of a ConfigMap: letters, digits, '-', '_' and '.'",
                  .max_length = 253}},
  };
};

template <>
struct Schema<BaselineWindow> {
  using T = BaselineWindow;
  static constexpr std::tuple kFields{
      Field{"offset", &T::offset,
            "How long ago the reference ended; at least spec.window, so that it shares no "
            "observation with what is judged.",
            Rules{.required = true}},
      Field{"length", &T::length, "How long the reference is.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.length) || duration(self.length) >= duration('1s')",
             "length must be at least 1s", "length",
             [](const T& v) { return v.length.value >= Seconds(1); }},
  };
};

template <>
struct Schema<Baseline> {
  using T = Baseline;
  static constexpr std::tuple kFields{
      Field{"from", &T::from,
            "ModelVersion: the profile that was recorded when the served version was trained. "
            "Inline: `profile`. ConfigMap: `configMap`. Champion: what the champion sees in the "
            "same window; the champion itself is compared as with ModelVersion. Window: an "
            "earlier window of the same variant, `window`.",
            Rules{}},
      Field{"profile", &T::profile, "Inline: the profile to compare with.", Rules{}},
      Field{"configMap", &T::config_map, "ConfigMap: where the profile is.", Rules{}},
      Field{"window", &T::window, "Window: which earlier window.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(has(self.from) && self.from == 'Inline') == has(self.profile)",
             "from: Inline needs profile, and profile needs from: Inline", "profile",
             [](const T& v) { return (v.from == BaselineFrom::kInline) == v.profile.has_value(); }},
      Cel<T>{"(has(self.from) && self.from == 'ConfigMap') == has(self.configMap)",
             "from: ConfigMap needs configMap, and configMap needs from: ConfigMap", "configMap",
             [](const T& v) {
               return (v.from == BaselineFrom::kConfigMap) == v.config_map.has_value();
             }},
      Cel<T>{"(has(self.from) && self.from == 'Window') == has(self.window)",
             "from: Window needs window, and window needs from: Window", "window",
             [](const T& v) { return (v.from == BaselineFrom::kWindow) == v.window.has_value(); }},
  };
};

}  // namespace perennial::api
