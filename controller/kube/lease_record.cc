#include "kube/lease_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace perennial::kube {
namespace {

using nlohmann::json;

std::string TextOf(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int NumberOf(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_integer() ? it->get<int>() : 0;
}

}  // namespace

const Resource& LeaseResource() {
  static const Resource resource{"coordination.k8s.io", "v1", "leases", "Lease"};
  return resource;
}

Result<LeaseRecord> ParseLease(const std::string& text) {
  const json lease = json::parse(text, nullptr, /*allow_exceptions=*/false);
  PERENNIAL_TRY(const Meta meta, ParseMeta(lease));
  LeaseRecord record;
  record.resource_version = meta.resource_version;
  if (const auto spec = lease.find("spec"); spec != lease.end() && spec->is_object()) {
    record.holder = TextOf(*spec, "holderIdentity");
    record.renewed = TextOf(*spec, "renewTime");
    record.duration = Seconds(NumberOf(*spec, "leaseDurationSeconds"));
    record.transitions = NumberOf(*spec, "leaseTransitions");
  }
  const json::json_pointer annotations("/metadata/annotations");
  if (lease.contains(annotations) && lease[annotations].is_object()) {
    for (const auto& [name, value] : lease[annotations].items()) {
      if (value.is_string()) record.annotations.emplace(name, value.get<std::string>());
    }
  }
  return record;
}

json LeaseSpec(const std::string& holder, Seconds duration, const std::string& acquired,
               WallTime now, int transitions) {
  return {{"holderIdentity", holder},
          {"leaseDurationSeconds", duration.count()},
          {"acquireTime", acquired},
          {"renewTime", FormatMicroTime(now)},
          {"leaseTransitions", transitions}};
}

void LeaseSight::Observe(const LeaseRecord& record, Seconds least, Millis now) {
  if (at_ && record.holder == holder_ && record.renewed == renewed_) return;
  holder_ = record.holder;
  renewed_ = record.renewed;
  at_ = now;
  // The holder may have been started with a longer one; a shorter one is not believed.
  duration_ = std::max(record.duration, least);
}

bool LeaseSight::Free(const std::string& own, Millis now) const {
  return !at_ || holder_.empty() || holder_ == own || now - *at_ >= duration_;
}

std::optional<Millis> LeaseSight::FreeAt() const {
  if (!at_ || holder_.empty()) return std::nullopt;
  return *at_ + duration_;
}

}  // namespace perennial::kube
