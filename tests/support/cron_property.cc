#include "support/cron_property.h"

#include "retrain/schedule.h"

namespace perennial::testing {

std::string ViolatedByCron(std::string_view input) {
  const auto cron = retrain::ParseCron(input);
  if (!cron.ok()) return cron.error().message.empty() ? "refused without saying why" : "";
  const WallTime start(Millis{1'774'700'000'000});  // a day before a clock change in Europe
  for (const char* zone : {"UTC", "Europe/Berlin"}) {
    const auto first = retrain::NextTime(*cron, zone, start);
    if (!first.ok()) return first.error().message;
    if (!first->has_value()) continue;
    if (**first <= start) return "the next time is not later";
    const auto second = retrain::NextTime(*cron, zone, **first);
    if (!second.ok()) return second.error().message;
    if (second->has_value() && **second <= **first) return "times do not ascend";
    const auto back = retrain::LastTime(*cron, zone, start, **first);
    if (!back.ok()) return back.error().message;
    if (*back != *first) return "looking back finds another time";
  }
  return "";
}

}  // namespace perennial::testing
