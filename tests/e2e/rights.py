"""Rights that RBAC grants and requests that the API server's audit log tells of, compared.

No cluster is asked here: values in, values out.
"""

import collections
import json

# A namespace of "" means everywhere, a name of "" any object.
Right = collections.namedtuple("Right", "verb group resource name namespace")
# `made`: a patch that made its object, as server-side apply does.
Request = collections.namedtuple("Request", "right refused made at uri")

CHANGES = ("get", "list", "watch", "create", "patch", "delete")

# What no request ever asks for, and why it is granted.
NEVER_ASKED = {
    # Where OwnerReferencesPermissionEnforcement is on, which it isn't in these clusters.
    ("update", "perennial.dev", "modeldeployments/finalizers"),
    ("update", "perennial.dev", "retrainpolicies/finalizers"),
    # What admission asks about the author of a ModelApproval.
    ("approve", "perennial.dev", "modelversions"),
}

# What a good day may do without, as {right: (file, test that needs it)}. The stories ask for all of it.
SELDOM_ASKED = {}


def kind(right):
    """Returns a right without where it holds."""
    return (right.verb, right.group, right.resource)


def was_refused(event):
    """Returns whether authentication or RBAC refused a request.

    A 403 alone says too little: admission answers with it too, when a namespace that is being deleted gets
    a new object. And an apply that would make an object is allowed as a patch, and refused as a create
    later, which only the answer says.
    """
    if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
        return True
    status = event.get("responseStatus", {})
    said = status.get("message", "")
    return status.get("code") == 401 or (status.get("code") == 403 and 'User "' in said and " cannot " in said)


def requests(lines, user):
    """Returns the requests of a user in lines of an audit log."""
    found = []
    for line in lines:
        if user not in line:
            continue
        event = json.loads(line)
        target = event.get("objectRef")
        if event["user"]["username"] != user or not target:
            continue
        resource = target.get("resource", "")
        if target.get("subresource"):
            resource += "/" + target["subresource"]
        right = Right(event["verb"], target.get("apiGroup", ""), resource, target.get("name", ""),
                      target.get("namespace", ""))
        made = event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201
        found.append(Request(right, was_refused(event), made, event["requestReceivedTimestamp"],
                             event["requestURI"]))
    return found


def granted(bindings, rules_of, account, namespace):
    """Returns the rights that are bound to a service account, wherever they are bound.

    `bindings` are ClusterRoleBindings and RoleBindings of all namespaces; rules_of(kind, namespace, name)
    returns the rules of a role.
    """
    user = f"system:serviceaccount:{namespace}:{account}"
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")

    def is_it(subject):
        if subject["kind"] == "ServiceAccount":
            return subject["name"] == account and subject.get("namespace") == namespace
        return subject["name"] == user if subject["kind"] == "User" else subject["name"] in groups

    rights = set()
    for binding in bindings:
        if not any(is_it(subject) for subject in binding.get("subjects") or ()):
            continue
        where = binding["metadata"].get("namespace", "")
        role = binding["roleRef"]
        for rule in rules_of(role["kind"], where, role["name"]):
            rights |= {
                Right(verb, group, resource, name, where)
                for verb in rule["verbs"]
                for group in rule.get("apiGroups", ())
                for resource in rule.get("resources", ())
                for name in rule.get("resourceNames") or ("",)
            }
    return rights


def covers(right, used):
    return (kind(right) == kind(used) and right.name in ("", used.name)
            and right.namespace in ("", used.namespace))


def uses(found):
    """Returns the rights that these requests needed."""
    used = {request.right for request in found}
    return used | {request.right._replace(verb="create") for request in found if request.made}


def unused(rights, found):
    """Returns the granted rights that no request needed and that have no reason of their own."""
    used = collections.defaultdict(set)
    for right in uses([request for request in found if not request.refused]):
        used[kind(right)].add(right)
    return {
        right for right in rights
        if kind(right) not in NEVER_ASKED and kind(right) not in SELDOM_ASKED
        and not any(covers(right, use) for use in used[kind(right)])
    }


def asked_after_all(found):
    """Returns what was said never to be asked for, and was."""
    return NEVER_ASKED & {kind(right) for right in uses(found)}


def optional(values):
    """Returns the rights that values of the chart add, as (verb, group, resource, namespace)."""
    rights = {("get", "", "secrets", space) for space in values["rbac"]["secretNamespaces"]}
    if values["workloads"]["configMapResults"] or values["monitors"]["configMapBaselines"]:
        rights |= {(verb, "", "configmaps", "") for verb in ("list", "watch")}
    for one in values["workloads"]["kinds"]:
        plural = one.get("resource") or one["kind"].lower() + "s"
        rights |= {(verb, one["group"], plural, "") for verb in CHANGES}
    return rights


def too_far(rights, values):
    """Returns the rights that reach further than they may with these values of the chart."""
    allowed = optional(values)

    def is_too_far(right):
        if "*" in right.verb + right.group + right.resource:
            return True
        if right.verb in ("bind", "escalate", "impersonate") or right.group == "rbac.authorization.k8s.io":
            return True
        if right.resource in ("pods/exec", "pods/attach", "pods/portforward"):
            return True
        guarded = right.resource.split("/")[0] in ("secrets", "configmaps", "serviceaccounts")
        return guarded and (right.verb, right.group, right.resource, right.namespace) not in allowed

    return {right for right in rights if is_too_far(right)}


def missing(rights, values):
    """Returns the rights that values of the chart promise and that are not granted."""
    have = {(right.verb, right.group, right.resource, right.namespace) for right in rights}
    return optional(values) - have


def refusals(found, since, withdrawn=frozenset()):
    """Returns {namespace: {(verb, group, resource), ...}} of what was refused after a time.

    Not of what `withdrawn` names: rights of an option that somebody turned off while they were in use.
    """
    refused = collections.defaultdict(set)
    for request in found:
        if request.refused and request.at > since and kind(request.right) not in withdrawn:
            refused[request.right.namespace].add(kind(request.right))
    return dict(refused)
