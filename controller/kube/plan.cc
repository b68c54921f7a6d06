#include "kube/plan.h"

namespace perennial::kube {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string ToString(const Action& action) {
  return std::visit(
      Overloaded{
          [](const ApplyObject& apply) {
            return (apply.owned ? "apply " : "annotate ") + ToString(apply.target) + " " +
                   apply.body;
          },
          [](const CreateObject& create) {
            return "create " + ToString(create.target) + " " + create.body;
          },
          [](const DeleteObject& remove) {
            return "delete " + ToString(remove.target) + " uid " + remove.uid;
          },
          [](const RelabelObject& relabel) {
            return "relabel " + ToString(relabel.target) + " " + relabel.labels;
          },
          [](const EmitEvent& event) {
            return std::string("event ") +
                   (event.type == EmitEvent::Type::kWarning ? "Warning " : "Normal ") +
                   event.reason + " " + event.action + ": " + event.note;
          },
      },
      action);
}

}  // namespace

std::string ToString(const Plan& plan) {
  std::string out = "why: " + plan.why + "\n";
  for (const Action& action : plan.actions) out += ToString(action) + "\n";
  if (plan.status) out += "status " + *plan.status + "\n";
  if (plan.wake_at) out += "wake at " + FormatTime(*plan.wake_at) + "\n";
  return out;
}

}  // namespace perennial::kube
