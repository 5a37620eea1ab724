"""Objects that are never propagated, whatever a policy selects (DESIGN section 4): each with its reason in words.

Three groups: what belongs to this system or to Kubernetes itself, what every API server or member makes on its own, and
what acts on the API server it lives in, which travels only when a policy names it.
"""

from federation.api.meta import GROUP, SYSTEM_NAMESPACE, Manifest

EXECUTION_NAMESPACE_PREFIX = "fed-"
"""Namespaces that hold the Works of one pull member each."""

_BOOTSTRAP_LABEL = "kubernetes.io/bootstrapping"

_LIVES_IN_ONE_CLUSTER = {
    ("", "Event"): "Events are facts about one cluster",
    ("events.k8s.io", "Event"): "Events are facts about one cluster",
    ("coordination.k8s.io", "Lease"): "Leases are held within one cluster",
    ("", "Node"): "Nodes belong to one cluster",
    ("", "Endpoints"): "Endpoints are made by each cluster for its own pods",
    ("discovery.k8s.io", "EndpointSlice"): "EndpointSlices are made by each cluster for its own pods",
}

_ONLY_NAMED = {
    "admissionregistration.k8s.io": "admission configuration acts on the API server it lives in",
    "apiregistration.k8s.io": "an APIService acts on the API server it lives in",
    "apiextensions.k8s.io": "a CustomResourceDefinition acts on the API server it lives in",
    "flowcontrol.apiserver.k8s.io": "flow control acts on the API server it lives in",
}


def never_propagated(obj: Manifest, *, named: bool) -> str | None:
    """Why the object must not be propagated, or None. `named`: the policy selects it by name."""
    group = obj["apiVersion"].rpartition("/")[0]
    metadata = obj["metadata"]
    return (
        _by_place(group, obj["kind"], namespace=metadata.get("namespace") or "", name=metadata["name"])
        or _controlled(metadata)
        or _made_by_every_cluster(obj, group=group)
        or _unless_named(group, named=named)
    )


def never_selected(api_version: str, kind: str, *, namespace: str, name: str) -> str | None:
    """Why nothing that a selector can find is propagated; None where that depends on the object. Absent terms are empty."""
    group = api_version.rpartition("/")[0]
    return _by_place(group, kind, namespace=namespace, name=name) or _unless_named(group, named=bool(name))


def _by_place(group: str, kind: str, *, namespace: str, name: str) -> str | None:
    """What kind and place alone tell."""
    if is_own_group(group):
        return f"group {group} belongs to the federation itself"
    place = name if (group, kind) == ("", "Namespace") else namespace
    if is_reserved_namespace(place):
        return f"namespace {place} is reserved"
    return _LIVES_IN_ONE_CLUSTER.get((group, kind))


def _controlled(metadata: Manifest) -> str | None:
    owner = next((entry for entry in metadata.get("ownerReferences") or () if entry.get("controller")), None)
    if owner is None:
        return None
    return f"it is made by its controller {owner.get('kind')} {owner.get('name')}; propagate that instead"


def _unless_named(group: str, *, named: bool) -> str | None:
    if group in _ONLY_NAMED and not named:
        return f"{_ONLY_NAMED[group]}; it travels only when a policy selects it by name"
    return None


def is_own_group(group: str) -> bool:
    """Whether an API group is ours."""
    return group == GROUP or group.endswith(f".{GROUP}")


def is_reserved_namespace(namespace: str) -> bool:
    """Whether a namespace is Kubernetes' own (`kube-*`) or ours; the empty one (cluster scope) is not."""
    return namespace == SYSTEM_NAMESPACE or namespace.startswith(("kube-", EXECUTION_NAMESPACE_PREFIX))


def _made_by_every_cluster(obj: Manifest, *, group: str) -> str | None:
    kind, metadata = obj["kind"], obj["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace") or ""
    match (group, kind):
        case ("", "ConfigMap") if name == "kube-root-ca.crt":
            return "kube-root-ca.crt is made by every cluster with its own certificate"
        case ("", "ServiceAccount") if name == "default":
            return "the default ServiceAccount is made by every cluster in every namespace"
        case ("", "Secret") if obj.get("type") == "kubernetes.io/service-account-token":
            return "a service account token is valid in the cluster that issued it only"
        case ("", "Service") if (namespace, name) == ("default", "kubernetes"):
            return "default/kubernetes is the API server's own Service in every cluster"
        case ("rbac.authorization.k8s.io", _) if name.startswith("system:"):
            return "system: roles and bindings are made by every API server"
        case ("rbac.authorization.k8s.io", _) if _BOOTSTRAP_LABEL in (metadata.get("labels") or {}):
            return "default roles and bindings are made by every API server"
        case ("scheduling.k8s.io", "PriorityClass") if name.startswith("system-"):
            return "system- priority classes are made by every API server"
        case ("apiregistration.k8s.io", _) if not (obj.get("spec") or {}).get("service"):
            return "a local APIService is made by every API server"
        case ("apiextensions.k8s.io", _) if is_own_group((obj.get("spec") or {}).get("group") or ""):
            return f"group {obj['spec']['group']} belongs to the federation itself"
    return None
