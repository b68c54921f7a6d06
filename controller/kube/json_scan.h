#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/meta.h"

namespace perennial::kube {

// Takes JSON text apart without building a document: lists of thousands of objects are cut into
// their objects' texts, each of which is parsed once, by whoever decodes it. Only the shape that is
// walked over is checked; a value's inside is checked by its decoder. kInvalid for text that is cut
// off or followed by anything but white space.

using OnMember = std::function<Status(std::string_view key, std::string_view value)>;
Status ScanObject(std::string_view text, const OnMember& on_member);

Status ScanArray(std::string_view text,
                 const std::function<Status(std::string_view value)>& on_element);

// The text of a JSON string value, unescaped.
Result<std::string> ScanString(std::string_view value);

// What bookkeeping needs of an object.
struct ScannedMeta {
  Key key;
  std::string uid;
  std::string resource_version;
  std::int64_t generation = 0;
  bool typed = false;  // carries both apiVersion and kind
};
Result<ScannedMeta> ScanMeta(std::string_view object);

// The object's text with nothing in metadata.managedFields: half of what the API server sends of an
// object that is applied, and nobody's business here. Text that can't be walked over comes back as
// it was.
std::string WithoutManagedFields(std::string_view object);

// True unless arrays and objects nest deeper than `limit`.
bool DepthWithin(std::string_view text, int limit);

}  // namespace perennial::kube
