#include "support/watch_frames_property.h"

#include <cstdint>
#include <vector>

#include "kube/json_scan.h"
#include "kube/line_splitter.h"
#include "kube/watch.h"

namespace perennial::testing {
namespace {

constexpr std::size_t kLongestLine = 4'096;

struct Outcome {
  std::vector<std::string> effects;  // as text, since the views die with their line
  std::string version;
  bool given_up = false;
  bool too_long = false;
  std::string violated;
  bool operator==(const Outcome&) const = default;
};

std::string Describe(const kube::WatchEffect& effect, std::string& violated) {
  if (const auto* put = std::get_if<kube::PutObject>(&effect)) {
    const auto meta = kube::ScanMeta(put->json);
    if (!meta.ok() || meta->key.name.empty() || meta->resource_version.empty()) {
      violated = "an object without name or version was put";
    }
    return "put " + std::string(put->json);
  }
  if (const auto* gone = std::get_if<kube::RemoveObject>(&effect)) {
    if (gone->key.name.empty()) violated = "an object without a name was removed";
    return "remove " + gone->key.ns + "/" + gone->key.name + " " + gone->uid;
  }
  violated = "a watch ended a list";
  return "finish";
}

Outcome Run(std::string_view stream, std::size_t piece) {
  kube::WatchState state;
  state.next = kube::WatchState::Next::kWatch;
  state.version = "5";
  kube::LineSplitter lines(kLongestLine);
  Outcome out;
  const auto on_line = [&](std::string_view line) {
    const bool over = state.next != kube::WatchState::Next::kWatch;
    const int failures = state.failures;
    std::vector<kube::WatchEffect> effects;
    kube::Advance(state, kube::LineSeen{line}, {}, effects);
    if (over && !effects.empty()) out.violated = "a line was used after the watch was given up";
    if (state.failures > failures && !state.error) out.violated = "a failure without an error";
    if (state.next == kube::WatchState::Next::kWatch && state.version.empty()) {
      out.violated = "a watch without a version to resume from";
    }
    for (const kube::WatchEffect& effect : effects) {
      out.effects.push_back(Describe(effect, out.violated));
    }
  };
  for (std::size_t at = 0; at < stream.size() && !out.too_long; at += piece) {
    out.too_long = !lines.Feed(stream.substr(at, piece), on_line);
  }
  out.version = state.version;
  out.given_up = state.next != kube::WatchState::Next::kWatch;
  return out;
}

}  // namespace

std::string ViolatedByWatchFrames(std::string_view input) {
  if (input.empty()) return "";
  const std::size_t piece = static_cast<std::uint8_t>(input[0]) % 64 + 1;
  const std::string_view stream = input.substr(1);
  const Outcome whole = Run(stream, stream.size() + 1);
  if (!whole.violated.empty()) return whole.violated;
  if (Run(stream, piece) != whole) return "the effects differ by the way of cutting";
  return "";
}

}  // namespace perennial::testing
