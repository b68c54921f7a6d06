#pragma once

#include <string>

#include "support/serving_world.h"

namespace perennial::deployment {

// A world in which the first version serves.
struct ServingModel : ServingWorld {
  ServingModel() {
    Settle();
    v1 = NewestDeclared();
    Pass(Seconds(10));
  }
  // Lets another declared version arrive and start.
  std::string Release(const std::string& uri = "oci://m:2") {
    SetModel(uri);
    Settle();
    return NewestDeclared();
  }
  std::string v1;
};

}  // namespace perennial::deployment
