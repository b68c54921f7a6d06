#include "api/object_expression.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "api/object_expression_node.h"

namespace perennial::api {
namespace {

using Node = ObjectExpression::Node;
using Op = Node::Op;
using nlohmann::json;

// nullopt: unknown.
using Value = std::optional<json>;

struct Scope {
  const json& object;
  std::vector<std::pair<std::string, json>> variables;
};

Value Evaluate(const Node& node, Scope& scope);

Value MemberOf(const Value& value, const std::string& name) {
  if (!value || !value->is_object()) return std::nullopt;
  const auto it = value->find(name);
  return it == value->end() ? Value() : Value(*it);
}

Value NameOf(const std::string& name, const Scope& scope) {
  for (auto it = scope.variables.rbegin(); it != scope.variables.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  if (name == "object") return scope.object;
  return MemberOf(scope.object, name);
}

Value IndexOf(const Value& value, const Value& index) {
  if (!value || !index) return std::nullopt;
  if (index->is_string()) return MemberOf(value, index->get<std::string>());
  if (!value->is_array() || !index->is_number()) return std::nullopt;
  const double at = index->get<double>();
  if (at < 0 || at >= static_cast<double>(value->size())) return std::nullopt;
  return (*value)[static_cast<std::size_t>(at)];
}

std::optional<bool> Bool(const Value& value) {
  if (!value || !value->is_boolean()) return std::nullopt;
  return value->get<bool>();
}

Value FromBool(std::optional<bool> value) {
  return value ? Value(json(*value)) : Value();
}

// Kleene's `and` (decisive = false) and `or` (decisive = true) over items in turn.
class Connective {
 public:
  explicit Connective(bool decisive) : decisive_(decisive), result_(!decisive) {}
  // True once nothing can change the result any more.
  bool Take(std::optional<bool> value) {
    if (value == decisive_) {
      result_ = decisive_;
      return true;
    }
    if (!value) result_.reset();
    return false;
  }
  std::optional<bool> result() const { return result_; }

 private:
  bool decisive_;
  std::optional<bool> result_;
};

Value Both(const Node& node, bool decisive, Scope& scope) {
  Connective all(decisive);
  for (const auto& argument : node.arguments) {
    if (all.Take(Bool(Evaluate(*argument, scope)))) break;
  }
  return FromBool(all.result());
}

template <class Use>
Value OverItems(const Node& node, Scope& scope, const Use& use) {
  const Value list = Evaluate(*node.arguments[0], scope);
  if (!list || !list->is_array()) return std::nullopt;
  return use(*list, [&](const json& item) {
    scope.variables.emplace_back(node.name, item);
    const auto holds = Bool(Evaluate(*node.arguments[1], scope));
    scope.variables.pop_back();
    return holds;
  });
}

Value Quantified(const Node& node, bool decisive, Scope& scope) {
  return OverItems(node, scope, [&](const json& list, const auto& holds) {
    Connective result(decisive);
    for (const json& item : list) {
      if (result.Take(holds(item))) break;
    }
    return FromBool(result.result());
  });
}

Value Filtered(const Node& node, Scope& scope) {
  return OverItems(node, scope, [&](const json& list, const auto& holds) {
    json out = json::array();
    for (const json& item : list) {
      if (holds(item) == true) out.push_back(item);
    }
    return Value(std::move(out));
  });
}

Value Ordered(Op op, const json& a, const json& b) {
  // Texts compare byte by byte, numbers by value; others have no order.
  if (!(a.is_number() && b.is_number()) && !(a.is_string() && b.is_string())) return std::nullopt;
  switch (op) {
    case Op::kLess:
      return json(a < b);
    case Op::kAtMost:
      return json(a <= b);
    case Op::kGreater:
      return json(a > b);
    default:
      return json(a >= b);
  }
}

Value Contains(const json& list, const json& item) {
  if (list.is_object()) {
    return item.is_string() ? Value(json(list.contains(item.get<std::string>()))) : Value();
  }
  if (!list.is_array()) return std::nullopt;
  for (const json& one : list) {
    if (one == item) return json(true);
  }
  return json(false);
}

Value Compared(const Node& node, Scope& scope) {
  const Value left = Evaluate(*node.arguments[0], scope);
  const Value right = Evaluate(*node.arguments[1], scope);
  if (!left || !right) return std::nullopt;
  if (node.op == Op::kEqual) return json(*left == *right);
  if (node.op == Op::kUnequal) return json(*left != *right);
  if (node.op == Op::kIn) return Contains(*right, *left);
  return Ordered(node.op, *left, *right);
}

Value Listed(const Node& node, Scope& scope) {
  json out = json::array();
  for (const auto& argument : node.arguments) {
    Value item = Evaluate(*argument, scope);
    if (!item) return std::nullopt;
    out.push_back(*std::move(item));
  }
  return out;
}

Value Evaluate(const Node& node, Scope& scope) {
  const auto first = [&] { return Evaluate(*node.arguments[0], scope); };
  switch (node.op) {
    case Op::kLiteral:
      return *node.literal;
    case Op::kName:
      return NameOf(node.name, scope);
    case Op::kMember:
      return MemberOf(first(), node.name);
    case Op::kIndex:
      return IndexOf(first(), Evaluate(*node.arguments[1], scope));
    case Op::kList:
      return Listed(node, scope);
    case Op::kHas:
      return json(first().has_value());
    case Op::kSize: {
      const Value value = first();
      if (!value) return std::nullopt;
      return json(value->is_string() ? value->get_ref<const std::string&>().size() : value->size());
    }
    case Op::kNot: {
      const auto value = Bool(first());
      return value ? Value(json(!*value)) : Value();
    }
    case Op::kAnd:
      return Both(node, false, scope);
    case Op::kOr:
      return Both(node, true, scope);
    case Op::kExists:
      return Quantified(node, true, scope);
    case Op::kAll:
      return Quantified(node, false, scope);
    case Op::kFilter:
      return Filtered(node, scope);
    default:
      return Compared(node, scope);
  }
}

}  // namespace

bool ObjectExpression::Holds(const json& object) const {
  Scope scope{object, {}};
  return Bool(Evaluate(*root_, scope)) == true;
}

std::optional<std::string> ObjectExpression::Text(const json& object) const {
  Scope scope{object, {}};
  const Value value = Evaluate(*root_, scope);
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  return value->dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace perennial::api
