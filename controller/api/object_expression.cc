#include "api/object_expression.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/object_expression_node.h"

namespace perennial::api {
namespace {

using Node = ObjectExpression::Node;
using Op = Node::Op;
using nlohmann::json;

// nullptr: unknown. A part keeps the whole, so that nothing is copied to look into it.
using Value = std::shared_ptr<const json>;

Value Made(json value) {
  return std::make_shared<const json>(std::move(value));
}
Value PartOf(const Value& whole, const json& part) {
  return {whole, &part};
}

// What an evaluation may still take: lists within lists multiply, and the text is a user's.
class Steps {
 public:
  bool spent() const { return left_ == 0; }
  void Take(std::size_t count) { left_ -= std::min(left_, count); }
  // To compare the value, or to copy it.
  void TakeAll(const json& value) {
    Take(1);
    if (value.is_string()) Take(value.get_ref<const std::string&>().size() / kBytes);
    if (!value.is_structured()) return;
    for (const auto& [name, part] : value.items()) {
      if (spent()) return;
      if (value.is_object()) Take(name.size() / kBytes);
      TakeAll(part);
    }
  }

 private:
  static constexpr std::size_t kBytes = 64;  // of a text, as fast as any other step
  std::size_t left_ = kMostSteps;
};

struct Scope {
  const json& object;
  std::vector<std::pair<std::string, Value>> variables;
  Steps steps;
};

Value Evaluate(const Node& node, Scope& scope);

Value MemberOf(const Value& value, const std::string& name) {
  if (!value || !value->is_object()) return nullptr;
  const auto it = value->find(name);
  return it == value->end() ? nullptr : PartOf(value, *it);
}

Value NameOf(const std::string& name, const Scope& scope) {
  for (auto it = scope.variables.rbegin(); it != scope.variables.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  const Value object = PartOf(nullptr, scope.object);  // its owner is the caller
  return name == "object" ? object : MemberOf(object, name);
}

Value IndexOf(const Value& value, const Value& index, Scope& scope) {
  if (!value || !index) return nullptr;
  scope.steps.TakeAll(*index);
  if (index->is_string()) return MemberOf(value, index->get_ref<const std::string&>());
  if (!value->is_array() || !index->is_number()) return nullptr;
  const double at = index->get<double>();
  if (at < 0 || at >= static_cast<double>(value->size())) return nullptr;
  return PartOf(value, (*value)[static_cast<std::size_t>(at)]);
}

std::optional<bool> Bool(const Value& value) {
  if (!value || !value->is_boolean()) return std::nullopt;
  return value->get<bool>();
}

Value FromBool(std::optional<bool> value) {
  return value ? Made(*value) : nullptr;
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
  if (!list || !list->is_array()) return nullptr;
  return use(*list, [&](const json& item) {
    scope.variables.emplace_back(node.name, PartOf(list, item));
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
      if (holds(item) != true) continue;
      scope.steps.TakeAll(item);
      out.push_back(item);
    }
    return Made(std::move(out));
  });
}

Value Ordered(Op op, const json& a, const json& b) {
  // Texts compare byte by byte, numbers by value; others have no order.
  if (!(a.is_number() && b.is_number()) && !(a.is_string() && b.is_string())) return nullptr;
  switch (op) {
    case Op::kLess:
      return Made(a < b);
    case Op::kAtMost:
      return Made(a <= b);
    case Op::kGreater:
      return Made(a > b);
    default:
      return Made(a >= b);
  }
}

Value Contains(const json& list, const json& item) {
  if (list.is_object()) {
    return item.is_string() ? Made(list.contains(item.get_ref<const std::string&>())) : nullptr;
  }
  if (!list.is_array()) return nullptr;
  for (const json& one : list) {
    if (one == item) return Made(true);
  }
  return Made(false);
}

Value Compared(const Node& node, Scope& scope) {
  const Value left = Evaluate(*node.arguments[0], scope);
  const Value right = Evaluate(*node.arguments[1], scope);
  if (!left || !right) return nullptr;
  scope.steps.TakeAll(*left);
  if (node.op != Op::kIn || right->is_array()) scope.steps.TakeAll(*right);
  if (scope.steps.spent()) return nullptr;
  if (node.op == Op::kEqual) return Made(*left == *right);
  if (node.op == Op::kUnequal) return Made(*left != *right);
  if (node.op == Op::kIn) return Contains(*right, *left);
  return Ordered(node.op, *left, *right);
}

Value Listed(const Node& node, Scope& scope) {
  json out = json::array();
  for (const auto& argument : node.arguments) {
    const Value item = Evaluate(*argument, scope);
    if (!item) return nullptr;
    scope.steps.TakeAll(*item);
    if (scope.steps.spent()) return nullptr;
    out.push_back(*item);
  }
  return Made(std::move(out));
}

Value Evaluate(const Node& node, Scope& scope) {
  scope.steps.Take(1);
  if (scope.steps.spent()) return nullptr;
  const auto first = [&] { return Evaluate(*node.arguments[0], scope); };
  switch (node.op) {
    case Op::kLiteral:
      return node.literal;
    case Op::kName:
      return NameOf(node.name, scope);
    case Op::kMember:
      return MemberOf(first(), node.name);
    case Op::kIndex:
      return IndexOf(first(), Evaluate(*node.arguments[1], scope), scope);
    case Op::kList:
      return Listed(node, scope);
    case Op::kHas:
      return Made(first() != nullptr);
    case Op::kSize: {
      const Value value = first();
      if (!value) return nullptr;
      return Made(value->is_string() ? value->get_ref<const std::string&>().size() : value->size());
    }
    case Op::kNot: {
      const auto value = Bool(first());
      return FromBool(value ? std::optional(!*value) : std::nullopt);
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

// Of a question that was not asked to its end nothing is known, whatever the parts say: has() is
// false where nothing was looked at.
Value Answer(const Node& root, const json& object) {
  Scope scope{object, {}, {}};
  Value value = Evaluate(root, scope);
  return scope.steps.spent() ? nullptr : value;
}

}  // namespace

bool ObjectExpression::Holds(const json& object) const {
  return Bool(Answer(*root_, object)) == true;
}

std::optional<std::string> ObjectExpression::Text(const json& object) const {
  const Value value = Answer(*root_, object);
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  return value->dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace perennial::api
