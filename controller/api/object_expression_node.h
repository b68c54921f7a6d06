#pragma once

#include <nlohmann/json_fwd.hpp>

#include "api/object_expression.h"

namespace perennial::api {

// The syntax tree, between its parser and its evaluation.
struct ObjectExpression::Node {
  enum class Op {
    kLiteral,
    kName,    // a variable, or a member of the object
    kMember,  // of the first argument
    kIndex,
    kList,
    kHas,
    kSize,
    kNot,
    kAnd,
    kOr,
    kEqual,
    kUnequal,
    kLess,
    kAtMost,
    kGreater,
    kAtLeast,
    kIn,
    kExists,  // `name` is the item's variable; the list and the body
    kAll,
    kFilter,
  };
  Op op = Op::kLiteral;
  std::string name;
  std::shared_ptr<const nlohmann::json> literal;
  std::vector<std::shared_ptr<const Node>> arguments;
};

}  // namespace perennial::api
