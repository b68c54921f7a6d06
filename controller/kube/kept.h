#pragma once

#include <memory>
#include <string>
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

// Packed (api/pack.h), which takes a fraction of the bytes. `template <> struct Kept<T> :
// Packed<T>` stands behind T in its header, and an instance of it in T's source file.
template <class T>
struct Packed {
  using Form = std::string;
  static Form Keep(const std::shared_ptr<const T>& object);
  static std::shared_ptr<const T> Show(const Form& form);
};

}  // namespace perennial::kube
