#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace perennial::api {

// Where in a document we are, as a chain on the stack: text is made only when it is needed.
class Path {
 public:
  explicit Path(std::string_view root) : name_(root) {}
  Path(const Path& parent, std::string_view name) : parent_(&parent), name_(name) {}
  Path(const Path& parent, std::size_t index) : parent_(&parent), index_(index), is_index_(true) {}

  // "spec.rollout.steps[2].weight"
  std::string Text() const;

 private:
  const Path* parent_ = nullptr;
  std::string_view name_{};
  std::size_t index_ = 0;
  bool is_index_ = false;
};

}  // namespace perennial::api
