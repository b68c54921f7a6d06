#include "kube/execute.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "kube/meta.h"

namespace perennial::kube {
namespace {

using nlohmann::json;

struct Context {
  Client& client;
  EventRecorder& events;
  const Subject& subject;
  const WritePermit& permit;
};

Status MayWrite(const WritePermit& permit) {
  if (permit && !permit()) return Error{Errc::kCancelled, "not the leader any more"};
  return Ok();
}

Result<json> ParseObject(const std::string& text, const Ref& ref) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return Error{Errc::kInvalid, ToString(ref) + ": body is not a JSON object"};
  }
  return parsed;
}

Error Foreign(const Ref& target, const std::string& why) {
  return Error{Errc::kAlreadyExists, ToString(target) + " exists and is not " + why};
}

// The UID of the controller that a body of our own names, or empty.
std::string ControllerUid(const json& body) {
  const json::json_pointer owners("/metadata/ownerReferences");
  if (!body.contains(owners) || !body[owners].is_array()) return {};
  for (const json& owner : body[owners]) {
    if (owner.is_object() && owner.value("controller", false)) return owner.value("uid", "");
  }
  return {};
}

// nullopt: there is no such object.
Result<std::optional<json>> ReadObject(Client& client, const Ref& ref) {
  const auto text = client.Get(ref);
  if (!text.ok()) {
    if (text.error().code == Errc::kNotFound) return std::optional<json>();
    return text.error();
  }
  PERENNIAL_TRY(json object, ParseObject(*text, ref));
  return std::optional<json>(std::move(object));
}

Result<std::optional<Meta>> ReadLive(Client& client, const Ref& ref) {
  PERENNIAL_TRY(const std::optional<json> object, ReadObject(client, ref));
  if (!object) return std::optional<Meta>();
  PERENNIAL_TRY(Meta meta, ParseMeta(*object));
  return std::optional<Meta>(std::move(meta));
}

// Server-side apply resets a field that its last owner leaves out of its intent. So somebody else
// owns it first, with the value that it has: the next one who sets it takes it from him
// (kubernetes.io, Server-Side Apply, "Transferring ownership"). Sets the resource version in
// `body` to that of the outcome.
constexpr std::string_view kHandover = "perennial-handover";
Status HandOver(const Context& context, const ApplyObject& action, const json& live, json& body) {
  const json::json_pointer field(action.left_alone);
  if (!live.contains(field)) return Ok();
  json held = {{"apiVersion", body["apiVersion"]},
               {"kind", body["kind"]},
               {"metadata",
                {{"name", action.target.key.name},
                 {"namespace", action.target.key.ns},
                 {"uid", body["metadata"]["uid"]},
                 {"resourceVersion", body["metadata"]["resourceVersion"]}}}};
  held[field] = live[field];
  PERENNIAL_TRY(const Written written, context.client.ApplyAs(kHandover, action.target, held.dump(),
                                                              Subresource::kNone, true));
  body["metadata"]["resourceVersion"] = written.resource_version;
  return Ok();
}

Status CheckMayApply(const Context& context, const ApplyObject& action, const Meta& live) {
  if (live.deleting) {
    return Error{Errc::kConflict, ToString(action.target) + " is being deleted"};
  }
  if (!action.owned) return Ok();
  const OwnerReference* controller = ControllerOf(live);
  if (controller == nullptr || controller->uid != context.subject.uid) {
    return Foreign(action.target, "controlled by " + ToString(context.subject.ref));
  }
  return Ok();
}

// Applies what is thought not to be there; false: ask first after all. Server-side apply compares
// the resource version with that of an object that is there (a conflict), and not where there is
// none. No object ever has version 1: etcd's first write is its second revision (etcd, "Data
// model"). Nothing promises that every API server accepts a version for what isn't there yet: one
// that calls it invalid is asked the longer way, and so is one that finds something else wrong.
Result<bool> MakeFresh(const Context& context, const Ref& target, json body) {
  body["metadata"]["resourceVersion"] = "1";
  const auto written =
      context.client.Apply(target, body.dump(), Subresource::kNone, /*force=*/false);
  if (written.ok()) return true;
  const Errc code = written.error().code;
  if (code == Errc::kConflict || code == Errc::kInvalid) return false;
  return written.error();
}

Status CarryOut(const Context& context, const ApplyObject& action) {
  PERENNIAL_TRY(json body, ParseObject(action.body, action.target));
  if (action.owned && ControllerUid(body) != context.subject.uid) {
    // An object without it would be an orphan that the next look refuses as foreign.
    return Error{Errc::kInvalid, ToString(action.target) + ": body does not name " +
                                     ToString(context.subject.ref) + " as its controller"};
  }
  if (action.fresh && action.owned) {
    PERENNIAL_TRY(const bool made, MakeFresh(context, action.target, body));
    if (made) return Ok();
    PERENNIAL_TRY_STATUS(MayWrite(context.permit));
  }
  PERENNIAL_TRY(const std::optional<json> live, ReadObject(context.client, action.target));
  if (!live && !action.owned) {
    return Error{Errc::kNotFound, ToString(action.target) + " does not exist"};
  }
  // The permit again: reading may have taken longer than it lasts.
  PERENNIAL_TRY_STATUS(MayWrite(context.permit));
  if (live) {
    PERENNIAL_TRY(const Meta meta, ParseMeta(*live));
    PERENNIAL_TRY_STATUS(CheckMayApply(context, action, meta));
    // Never another object of the same name, and never over what was written since: a request that
    // hangs on its way while another leader starts must find the door closed.
    body["metadata"]["uid"] = meta.uid;
    body["metadata"]["resourceVersion"] = meta.resource_version;
    if (!action.left_alone.empty()) {
      PERENNIAL_TRY_STATUS(HandOver(context, action, *live, body));
    }
  }
  const auto written = context.client.Apply(action.target, body.dump(), Subresource::kNone,
                                            /*force=*/live.has_value());
  if (!written.ok()) return written.error();
  return Ok();
}

Status CarryOut(const Context& context, const CreateObject& action) {
  const auto written = context.client.Create(action.target, action.body);
  if (written.ok()) return Ok();
  if (written.error().code != Errc::kAlreadyExists) return written.error();
  PERENNIAL_TRY(const json body, ParseObject(action.body, action.target));
  PERENNIAL_TRY(const std::optional<Meta> live, ReadLive(context.client, action.target));
  if (!live) return Error{Errc::kConflict, ToString(action.target) + " went away meanwhile"};
  const json::json_pointer labels("/metadata/labels");
  const std::string wanted =
      body.contains(labels) ? body[labels].value(std::string(kIdentityLabel), "") : "";
  const std::string* found = Find(live->labels, kIdentityLabel);
  if (wanted.empty() || found == nullptr || *found != wanted) {
    return Foreign(action.target, "the one that was to be created (label " +
                                      std::string(kIdentityLabel) + " differs)");
  }
  // A label can be forged by whoever may create such objects; the owner's UID is the API server's.
  const std::string owner = ControllerUid(body);
  const OwnerReference* controller = ControllerOf(*live);
  if (!owner.empty() && (controller == nullptr || controller->uid != owner)) {
    return Foreign(action.target, "controlled by " + ToString(context.subject.ref));
  }
  return Ok();
}

Status CarryOut(const Context& context, const DeleteObject& action) {
  return context.client.Delete(action.target, action.uid, action.resource_version);
}

Status CarryOut(const Context& context, const RelabelObject& action) {
  PERENNIAL_TRY(const json labels, ParseObject(action.labels, action.target));
  PERENNIAL_TRY(const std::optional<Meta> live, ReadLive(context.client, action.target));
  if (!live || live->uid != action.uid || live->deleting) return Ok();
  const json patch = {
      {"metadata",
       {{"uid", live->uid}, {"resourceVersion", live->resource_version}, {"labels", labels}}}};
  const auto written = context.client.MergePatch(action.target, patch.dump());
  if (!written.ok() && written.error().code != Errc::kNotFound) return written.error();
  return Ok();
}

Status CarryOut(const Context&, const EmitEvent&) {
  return Ok();
}

void Hand(const Context& context, std::vector<const EmitEvent*>& held) {
  for (const EmitEvent* event : held) {
    context.events.Record(context.subject.ref, context.subject.uid, *event);
  }
  held.clear();
}

Result<Written> ApplyStatus(Client& client, const Subject& subject, const json& status,
                            const std::string& resource_version) {
  const json body = {{"apiVersion", subject.ref.resource.ApiVersion()},
                     {"kind", subject.ref.resource.kind},
                     {"metadata",
                      {{"name", subject.ref.key.name},
                       {"namespace", subject.ref.key.ns},
                       {"uid", subject.uid},
                       {"resourceVersion", resource_version}}},
                     {"status", status}};
  return client.Apply(subject.ref, body.dump(), Subresource::kStatus, /*force=*/true);
}

Status WriteStatus(const Context& context, const std::string& text, Executed& executed) {
  PERENNIAL_TRY_STATUS(MayWrite(context.permit));
  PERENNIAL_TRY(const json status, ParseObject(text, context.subject.ref));
  const auto written =
      ApplyStatus(context.client, context.subject, status, context.subject.resource_version);
  if (!written.ok()) {
    if (written.error().code == Errc::kNotFound) return Ok();
    return written.error();
  }
  ++executed.writes;
  executed.resource_version = written->resource_version;
  return Ok();
}

}  // namespace

Result<Executed> Execute(Client& client, EventRecorder& events, const Subject& subject,
                         const Plan& plan, const WritePermit& permit) {
  const Context context{client, events, subject, permit};
  Executed executed;
  std::vector<const EmitEvent*> held;
  for (const Action& action : plan.actions) {
    if (const auto* event = std::get_if<EmitEvent>(&action)) {
      held.push_back(event);
      if (!plan.status) Hand(context, held);
      continue;
    }
    PERENNIAL_TRY_STATUS(MayWrite(permit));
    PERENNIAL_TRY_STATUS(
        std::visit([&](const auto& one) { return CarryOut(context, one); }, action));
    ++executed.writes;
  }
  if (plan.status) PERENNIAL_TRY_STATUS(WriteStatus(context, *plan.status, executed));
  Hand(context, held);
  return executed;
}

Result<std::optional<std::string>> TellConditions(Client& client, const Subject& subject,
                                                  const std::string& status,
                                                  const WritePermit& permit) {
  const std::optional<std::string> nothing;
  PERENNIAL_TRY(const json wanted, ParseObject(status, subject.ref));
  const auto text = client.Get(subject.ref);
  if (!text.ok()) {
    if (text.error().code == Errc::kNotFound) return nothing;
    return text.error();
  }
  PERENNIAL_TRY(const json live, ParseObject(*text, subject.ref));
  PERENNIAL_TRY(const Meta meta, ParseMeta(live));
  if (meta.uid != subject.uid || meta.resource_version != subject.resource_version) return nothing;
  const json before =
      live.contains("status") && live["status"].is_object() ? live["status"] : json::object();
  json told = before;
  for (const char* field : {"conditions", "observedGeneration"}) {
    if (wanted.contains(field)) told[field] = wanted[field];
  }
  if (told == before) return nothing;
  PERENNIAL_TRY_STATUS(MayWrite(permit));
  PERENNIAL_TRY(const Written written, ApplyStatus(client, subject, told, meta.resource_version));
  return std::optional<std::string>(written.resource_version);
}

}  // namespace perennial::kube
