#include "api/enum_names.h"

#include "api/drift_monitor_schema.h"
#include "api/model_version_schema.h"

namespace perennial::api {
namespace {

template <class E>
std::string Name(E value) {
  return std::string(EnumNames<E>::kNames.at(static_cast<std::size_t>(value)));
}

}  // namespace

std::string NameOf(SignalState state) {
  return Name(state);
}
std::string NameOf(Severity severity) {
  return Name(severity);
}
std::string NameOf(VersionPhase phase) {
  return Name(phase);
}

}  // namespace perennial::api
