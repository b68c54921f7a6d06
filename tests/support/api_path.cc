#include "support/api_path.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "support/faults.h"

namespace perennial::testing {

using kube::Response;
using nlohmann::json;

namespace {

std::string Decode(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> SplitAt(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::string part;
  for (const char c : text) {
    if (c == separator) {
      out.push_back(std::exchange(part, {}));
    } else {
      part += c;
    }
  }
  out.push_back(part);
  return out;
}

}  // namespace

std::optional<ApiPath> ApiPath::Parse(const std::string& text) {
  ApiPath out;
  const size_t question = text.find('?');
  if (question != std::string::npos) {
    for (const std::string& pair : SplitAt(text.substr(question + 1), '&')) {
      const size_t equals = pair.find('=');
      out.query[pair.substr(0, equals)] =
          equals == std::string::npos ? "" : Decode(pair.substr(equals + 1));
    }
  }
  auto parts = SplitAt(text.substr(0, question), '/');
  for (std::string& part : parts) part = Decode(part);
  size_t at = 1;
  if (parts.size() > at && parts[at] == "apis") {
    if (parts.size() < 5) return std::nullopt;
    out.resource.group = parts[++at];
  } else if (parts.size() < 4 || parts[at] != "api") {
    return std::nullopt;
  }
  out.resource.version = parts[++at];
  ++at;
  if (parts[at] == "namespaces" && parts.size() > at + 2) {
    out.key.ns = parts[at + 1];
    at += 2;
  }
  out.resource.plural = parts[at++];
  if (at < parts.size()) out.key.name = parts[at++];
  if (at < parts.size()) out.subresource = parts[at++];
  if (at != parts.size()) return std::nullopt;
  return out;
}

std::string ApiPath::Query(const std::string& name) const {
  const auto it = query.find(name);
  return it == query.end() ? "" : it->second;
}

bool Selects(const std::string& selector, const json& object) {
  if (object.is_null()) return false;
  if (selector.empty()) return true;
  const json labels = object["metadata"].value("labels", json::object());
  for (const std::string& term : SplitAt(selector, ',')) {
    const size_t equals = term.find('=');
    if (equals == std::string::npos) {
      if (!labels.contains(term)) return false;
      continue;
    }
    const bool negated = equals > 0 && term[equals - 1] == '!';
    const std::string name = term.substr(0, negated ? equals - 1 : equals);
    const std::string value = term.substr(equals + (term.compare(equals, 2, "==") == 0 ? 2 : 1));
    if ((labels.value(name, "\x01") == value) == negated) return false;
  }
  return true;
}

Response Failure(int code, const std::string& reason, const std::string& message) {
  return Response{code, StatusJson(code, reason, message), {}};
}

Response NotFound(const ApiPath& path) {
  return Failure(404, "NotFound", path.resource.plural + " \"" + path.key.name + "\" not found");
}

}  // namespace perennial::testing
