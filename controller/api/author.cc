#include "api/author.h"

#include "api/names.h"

namespace perennial::api {

bool LacksAuthor(const Origin& origin) {
  const bool of_a_person = origin.type != OriginType::kRun || origin.trigger_type == "Manual";
  return of_a_person && origin.author.empty();
}

std::string HowToNameAuthor(const Origin& origin) {
  const std::string annotation(kAnnotationAuthor);
  switch (origin.type) {
    case OriginType::kSpec:
      return "change spec.model together with the annotation " + annotation +
             ", your user name, on the ModelDeployment";
    case OriginType::kRun:
      return "ask for runs with kubectl perennial retrain, which sets the annotation " + annotation;
    case OriginType::kExternal:
      break;
  }
  return "create the version with spec.origin.author, the user name of who creates it";
}

std::string NoApprovalCounts(const Origin& origin) {
  return "no approval counts, because separationOfDuties needs to know who made this version: " +
         HowToNameAuthor(origin);
}

}  // namespace perennial::api
