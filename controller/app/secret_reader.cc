#include "app/secret_reader.h"

#include <nlohmann/json.hpp>

#include "api/names.h"
#include "base/text.h"

namespace perennial::app {
namespace {

using nlohmann::json;

constexpr Millis kKeep{60'000};
constexpr Millis kKeepFailure{30'000};
// Through an upgrade of a control plane; a replaced credential is refused by the server that it is
// for.
constexpr Millis kKeepWithoutAnswer{600'000};

// Does the error tell something of the Secret?
bool IsAnswer(const Error& error) {
  return error.code == Errc::kNotFound || error.code == Errc::kForbidden;
}

}  // namespace

Result<SecretReader::Data> SecretReader::Fetch(const kube::Key& secret) {
  const std::string name = "Secret " + kube::ToString(secret);
  const auto text = client_.Get({api::kSecrets, secret});
  if (!text.ok()) {
    if (text.error().code == Errc::kNotFound) {
      return Error{Errc::kNotFound, name + " does not exist"};
    }
    if (text.error().code == Errc::kForbidden) {
      return Error{Errc::kForbidden, "the controller may not read " + name +
                                         ": grant it with a Role (see the page on DriftMonitor)"};
    }
    return Error{text.error().code, name + " could not be read"};
  }
  const json object = json::parse(*text, nullptr, false);
  const json::json_pointer label("/metadata/labels/perennial.dev~1use");
  if (!object.is_object() || !object.contains(label) || object[label] != use_) {
    const std::string use(use_);
    return Error{Errc::kForbidden, name + " is not for " + use + ": label it " +
                                       std::string(api::kLabelUse) + "=" + use};
  }
  Data data;
  if (!object.contains("data") || !object["data"].is_object()) return data;
  for (const auto& [key, value] : object["data"].items()) {
    if (value.is_string()) data[key] = value.get<std::string>();
  }
  return data;
}

Result<SecretReader::Data> SecretReader::Renew(const kube::Key& secret, Millis now) {
  Result<Data> fetched = Fetch(secret);
  const std::lock_guard lock(mutex_);
  std::erase_if(known_, [&](const auto& known) {
    const Known& old = known.second;
    return old.until <= now && !(old.data.ok() && now < old.told + kKeepWithoutAnswer);
  });
  const auto it = known_.find(secret);
  if (!fetched.ok() && !IsAnswer(fetched.error()) && it != known_.end() && it->second.data.ok()) {
    it->second.until = now + kKeepFailure;
    return it->second.data;
  }
  const Millis until = now + (fetched.ok() ? kKeep : kKeepFailure);
  known_.insert_or_assign(secret, Known{fetched, until, now});
  return fetched;
}

Result<std::string> SecretReader::Read(const kube::Key& secret, const std::string& key) {
  const Millis now = clock_.Steady();
  std::optional<Result<Data>> data;
  {
    const std::lock_guard lock(mutex_);
    const auto it = known_.find(secret);
    if (it != known_.end() && it->second.until > now) data = it->second.data;
  }
  if (!data) {
    data = Renew(secret, now);
  }
  if (!data->ok()) return data->error();
  const auto entry = (*data)->find(key);
  if (entry == (*data)->end()) {
    return Error{Errc::kNotFound, "Secret " + kube::ToString(secret) + " has no entry " + key};
  }
  auto value = DecodeBase64(entry->second);
  if (!value) {
    return Error{Errc::kInvalid,
                 "Secret " + kube::ToString(secret) + ": entry " + key + " is not base64"};
  }
  return *std::move(value);
}

}  // namespace perennial::app
