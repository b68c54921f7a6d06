#pragma once

#include <memory>
#include <utility>

namespace perennial::kube {

// How a store keeps an object: as it is. Where a cluster has many of a type and each is looked at
// seldom, the type's header may say otherwise: then readers get copies made anew.
template <class T>
struct Kept {
  using Form = std::shared_ptr<const T>;
  static Form Keep(std::shared_ptr<const T> object) { return object; }
  static std::shared_ptr<const T> Show(const Form& form) { return form; }
};

}  // namespace perennial::kube
