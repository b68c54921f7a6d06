#include "api/path.h"

namespace perennial::api {

std::string Path::Text() const {
  std::string text = parent_ == nullptr ? std::string() : parent_->Text();
  if (is_index_) return text + "[" + std::to_string(index_) + "]";
  if (!text.empty() && !name_.empty()) text += '.';
  text += name_;
  return text;
}

}  // namespace perennial::api
