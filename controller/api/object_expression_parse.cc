#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/object_expression.h"
#include "api/object_expression_node.h"
#include "base/text.h"

namespace perennial::api {
namespace {

using Node = ObjectExpression::Node;
using Op = Node::Op;
using NodePointer = std::shared_ptr<const Node>;
using nlohmann::json;

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Recursive descent over the text, with CEL's precedence: || then && then comparisons then ! then
// members. Depth is bounded, since the text is a user's.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<NodePointer> Whole() {
    NodePointer node = Or();
    SkipSpace();
    if (node != nullptr && at_ < text_.size()) Fail("an operator or the end");
    if (!error_.empty()) return Error{Errc::kInvalid, error_};
    return node;
  }

 private:
  NodePointer Fail(const std::string& expected) {
    if (!error_.empty()) return nullptr;
    SkipSpace();
    const std::string found =
        at_ < text_.size() ? "'" + CutText(text_.substr(at_), 12) + "'" : "the end";
    error_ = "column " + std::to_string(at_ + 1) + ": expected " + expected + ", got " + found;
    return nullptr;
  }

  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
      ++at_;
    }
  }
  bool Take(std::string_view token) {
    SkipSpace();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  bool TakeWord(std::string_view word) {
    SkipSpace();
    const std::size_t end = at_ + word.size();
    if (text_.substr(at_, word.size()) != word) return false;
    if (end < text_.size() && (IsNameStart(text_[end]) || IsDigit(text_[end]))) return false;
    at_ = end;
    return true;
  }
  std::string Name() {
    SkipSpace();
    const std::size_t from = at_;
    if (at_ >= text_.size() || !IsNameStart(text_[at_])) return {};
    while (at_ < text_.size() && (IsNameStart(text_[at_]) || IsDigit(text_[at_]))) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }

  static NodePointer Make(Op op, std::vector<NodePointer> arguments, std::string name = {}) {
    return std::make_shared<const Node>(Node{op, std::move(name), {}, std::move(arguments)});
  }
  static NodePointer Literal(json value) {
    return std::make_shared<const Node>(
        Node{Op::kLiteral, {}, std::make_shared<const json>(std::move(value)), {}});
  }

  NodePointer Or() {
    NodePointer left = And();
    while (left != nullptr && Take("||")) {
      NodePointer right = And();
      if (right == nullptr) return nullptr;
      left = Make(Op::kOr, {left, right});
    }
    return left;
  }

  NodePointer And() {
    NodePointer left = Comparison();
    while (left != nullptr && Take("&&")) {
      NodePointer right = Comparison();
      if (right == nullptr) return nullptr;
      left = Make(Op::kAnd, {left, right});
    }
    return left;
  }

  std::optional<Op> Comparator() {
    static constexpr std::pair<std::string_view, Op> kOps[] = {
        {"==", Op::kEqual},   {"!=", Op::kUnequal}, {"<=", Op::kAtMost},
        {">=", Op::kAtLeast}, {"<", Op::kLess},     {">", Op::kGreater},
    };
    for (const auto& [token, op] : kOps) {
      if (Take(token)) return op;
    }
    if (TakeWord("in")) return Op::kIn;
    return std::nullopt;
  }

  NodePointer Comparison() {
    NodePointer left = Unary();
    if (left == nullptr) return nullptr;
    const auto op = Comparator();
    if (!op) {
      if (Take("=")) {
        --at_;
        return Fail("'==' to compare");
      }
      return left;
    }
    NodePointer right = Unary();
    if (right == nullptr) return nullptr;
    return Make(*op, {left, right});
  }

  NodePointer Unary() {
    if (++depth_ > kDeepestExpression) return Fail("an expression that nests less");
    NodePointer node;
    if (Take("!")) {
      node = Unary();
      if (node != nullptr) node = Make(Op::kNot, {node});
    } else {
      node = Members(Primary());
    }
    --depth_;
    return node;
  }

  NodePointer Members(NodePointer node) {
    while (node != nullptr) {
      if (Take(".")) {
        const std::string name = Name();
        if (name.empty()) return Fail("a field's name");
        node = Take("(") ? Method(std::move(node), name) : Make(Op::kMember, {node}, name);
      } else if (Take("[")) {
        NodePointer index = Or();
        if (index == nullptr) return nullptr;
        if (!Take("]")) return Fail("']'");
        node = Make(Op::kIndex, {node, index});
      } else {
        break;
      }
    }
    return node;
  }

  NodePointer Method(NodePointer list, const std::string& name) {
    const Op op = name == "exists"   ? Op::kExists
                  : name == "all"    ? Op::kAll
                  : name == "filter" ? Op::kFilter
                                     : Op::kLiteral;
    if (op == Op::kLiteral) {
      at_ -= name.size() + 1;
      return Fail("exists, all or filter");
    }
    const std::string variable = Name();
    if (variable.empty()) return Fail("a name for the list's item");
    if (!Take(",")) return Fail("','");
    NodePointer body = Or();
    if (body == nullptr) return nullptr;
    if (!Take(")")) return Fail("')'");
    return Make(op, {std::move(list), std::move(body)}, variable);
  }

  NodePointer Primary() {
    SkipSpace();
    if (at_ >= text_.size()) return Fail("a value");
    const char c = text_[at_];
    if (c == '"' || c == '\'') return String(c);
    if (IsDigit(c) || c == '-') return Number();
    if (Take("(")) {
      NodePointer node = Or();
      if (node != nullptr && !Take(")")) return Fail("')'");
      return node;
    }
    if (Take("[")) return List();
    const std::string name = Name();
    if (name.empty()) return Fail("a value");
    if (name == "true" || name == "false") return Literal(name == "true");
    if (name == "null") return Literal(nullptr);
    if (name == "has" || name == "size") {
      if (Take("(")) return Function(name);
    }
    return Make(Op::kName, {}, name);
  }

  NodePointer Function(const std::string& name) {
    NodePointer argument = Or();
    if (argument == nullptr) return nullptr;
    if (name == "has" && argument->op != Op::kMember && argument->op != Op::kIndex &&
        argument->op != Op::kName) {
      return Fail("a path inside has()");
    }
    if (!Take(")")) return Fail("')'");
    return Make(name == "has" ? Op::kHas : Op::kSize, {std::move(argument)});
  }

  NodePointer List() {
    std::vector<NodePointer> items;
    if (Take("]")) return Make(Op::kList, {});
    do {
      NodePointer item = Or();
      if (item == nullptr) return nullptr;
      items.push_back(std::move(item));
    } while (Take(","));
    if (!Take("]")) return Fail("',' or ']'");
    return Make(Op::kList, std::move(items));
  }

  NodePointer String(char quote) {
    std::string out;
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] == quote) {
        at_ = i + 1;
        return Literal(out);
      }
      if (text_[i] == '\\' && i + 1 < text_.size()) {
        ++i;
        out += text_[i] == 'n' ? '\n' : text_[i] == 't' ? '\t' : text_[i];
      } else {
        out += text_[i];
      }
    }
    return Fail("a closing quote for the text that begins here");
  }

  NodePointer Number() {
    double value = 0;
    const char* first = text_.data() + at_;
    const auto [end, code] = std::from_chars(first, text_.data() + text_.size(), value);
    if (code != std::errc()) return Fail("a number");
    const std::string_view digits(first, static_cast<std::size_t>(end - first));
    if (digits.find_first_not_of("-.0123456789eE+") != std::string_view::npos) {
      return Fail("a number");
    }
    at_ += digits.size();
    return Literal(value);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string error_;
};

}  // namespace

Result<ObjectExpression> ObjectExpression::Parse(std::string_view text) {
  if (text.size() > kLongestExpression) {
    return Error{Errc::kInvalid,
                 "longer than " + std::to_string(kLongestExpression) + " characters"};
  }
  PERENNIAL_TRY(NodePointer root, Parser(text).Whole());
  return ObjectExpression(std::move(root));
}

}  // namespace perennial::api
