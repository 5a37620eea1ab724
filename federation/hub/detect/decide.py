"""Which policy claims a template, and the binding that must say so. Pure: snapshot in, plan out.

An unusable policy (see `policies.py`) claims nothing new and changes nothing that is placed: it counts as absent here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.api.meta import API_VERSION, FINALIZER, Manifest
from federation.api.naming import binding_name
from federation.api.propagation import PropagationSpec
from federation.hub.policies import Policy
from federation.hub.views import object_facts
from federation.policy.claim import Claim, PolicyFacts, PolicyRef, choose
from federation.policy.never import never_propagated
from federation.policy.selectors import selectors_priority

BY_NAME = 3
"""Selector priority of a match by name (karmada.md 1.1.3)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one template. At most one of `create` and `patch` is set."""

    claim: Claim | None = None
    never: str | None = None
    """Why the object is never propagated although a policy selects it."""
    waits: str | None = None
    """What is missing before the claim can take effect."""
    create: Manifest | None = None
    patch: list[dict[str, Any]] = field(default_factory=list)
    check_owner: bool = False
    """The owner reference is gone: orphan deletion or an accident; only a quorum read of the template can tell."""


def binding_key(template: Manifest) -> tuple[str, str]:
    """(namespace, name) of the binding of a template; the namespace is empty for a cluster-scoped one."""
    group = template["apiVersion"].rpartition("/")[0]
    metadata = template["metadata"]
    namespace = metadata.get("namespace") or ""
    return namespace, binding_name(group, template["kind"], namespace, metadata["name"])


def plan(
    template: Manifest,
    *,
    policies: Sequence[Policy],
    binding: Manifest | None,
    priority_of_class: Callable[[str], int | None] = lambda _name: None,
) -> Plan:
    """Decide the claim of one template and the difference to its binding.

    `priority_of_class`: the value of a PriorityClass. While the one that the policy names is missing no binding is made, as in
    Karmada (karmada.md 3.1.3); one that is there stays as it is.
    """
    if "deletionTimestamp" in template["metadata"]:
        return Plan()
    facts = object_facts(template)
    current = _current(binding)
    claim = choose(facts, [policy.facts for policy in policies if policy.usable], current)
    if claim.winner is None:
        # Deleting a policy keeps workloads (I21): an existing binding stays as it is.
        return Plan(claim=claim, patch=_follow_uid(binding, template) if binding is not None else [])
    named = selectors_priority(claim.winner.selectors, facts) == BY_NAME
    never = never_propagated(template, named=named)
    if never is not None:
        return Plan(claim=claim, never=never)
    spec = next(policy.spec for policy in policies if policy.facts.uid == claim.winner.uid)
    wanted = _binding_spec(template, claim.winner, spec)
    if spec.schedule_priority is not None:
        name = spec.schedule_priority.priority_class_name
        priority = priority_of_class(name)
        if priority is None and binding is None:
            return Plan(claim=claim, waits=f"there is no PriorityClass {name}")
        stored = binding["spec"].get("schedulePriority") if binding is not None else None
        wanted["schedulePriority"] = stored if priority is None else {"priority": priority}
    if binding is None:
        return Plan(claim=claim, create=_binding(template, wanted))
    if "deletionTimestamp" in binding["metadata"]:
        # It ends first (execute sees to it); its deletion brings us back here.
        return Plan(claim=claim)
    if binding["spec"]["resource"]["uid"] != template["metadata"]["uid"]:
        return Plan(claim=claim, patch=[*_follow_uid(binding, template), *_spec_patch(binding, wanted)])
    owner_lost = not binding["metadata"].get("ownerReferences")
    return Plan(claim=claim, patch=_spec_patch(binding, wanted), check_owner=owner_lost)


def _follow_uid(binding: Manifest, template: Manifest) -> list[dict[str, Any]]:
    """Go over to a template that was made anew under the same name: its copies are adopted in place (DESIGN section 4)."""
    resource, metadata = binding["spec"]["resource"], template["metadata"]
    if "deletionTimestamp" in binding["metadata"] or resource["uid"] == metadata["uid"]:
        return []
    return [
        {"op": "test", "path": "/metadata/uid", "value": binding["metadata"]["uid"]},
        {"op": "test", "path": "/spec/resource/uid", "value": resource["uid"]},
        {"op": "add", "path": "/metadata/ownerReferences", "value": [_owner(template)]},
        {"op": "add", "path": "/spec/resource", "value": {**resource, "uid": metadata["uid"]}},
    ]


def owner_patch(binding: Manifest, template: Manifest) -> list[dict[str, Any]]:
    """Give a binding its owner reference back."""
    return [
        {"op": "test", "path": "/metadata/uid", "value": binding["metadata"]["uid"]},
        {"op": "add", "path": "/metadata/ownerReferences", "value": [_owner(template)]},
    ]


def _current(binding: Manifest | None) -> PolicyRef | None:
    reference = binding["spec"].get("policy") if binding else None
    if not reference:
        return None
    return PolicyRef(
        kind=reference["kind"],
        namespace=reference.get("namespace") or "",
        name=reference["name"],
        uid=reference.get("uid") or "",
    )


def _owner(template: Manifest) -> Manifest:
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "name": template["metadata"]["name"],
        "uid": template["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }


def _binding(template: Manifest, spec: Manifest) -> Manifest:
    namespace, name = binding_key(template)
    metadata: Manifest = {"name": name, "finalizers": [FINALIZER], "ownerReferences": [_owner(template)]}
    if namespace:
        metadata["namespace"] = namespace
    kind = "ResourceBinding" if namespace else "ClusterResourceBinding"
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _binding_spec(template: Manifest, winner: PolicyFacts, spec: PropagationSpec) -> Manifest:
    """References and options as resolved; no number and no placement is copied (DESIGN section 4)."""
    metadata = template["metadata"]
    resource = {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    policy = {"kind": winner.kind, "namespace": winner.namespace, "name": winner.name, "uid": winner.uid}
    wanted: Manifest = {
        "resource": {key: value for key, value in resource.items() if value},
        "policy": {key: value for key, value in policy.items() if value},
    }
    if spec.conflict_resolution == "Overwrite":
        wanted["conflictResolution"] = spec.conflict_resolution
    if spec.preserve_resources_on_deletion:
        wanted["preserveResourcesOnDeletion"] = True
    groups = _workload_groups(template, spec)
    if groups:
        wanted["workloadAffinityGroups"] = groups
    if spec.suspension is not None:
        suspension = spec.suspension.model_dump(by_alias=True, exclude_none=True, mode="json")
        if suspension:
            wanted["suspension"] = suspension
    return wanted


def _workload_groups(template: Manifest, spec: PropagationSpec) -> Manifest:
    """The groups of other workloads that the template's labels put it into; a template without the label is in none."""
    asked, labels = spec.placement.workload_affinity, template["metadata"].get("labels") or {}
    if asked is None:
        return {}
    keys = {"affinityGroup": asked.affinity, "antiAffinityGroup": asked.anti_affinity}
    return {
        name: f"{group.group_by_label_key}={labels[group.group_by_label_key]}"
        for name, group in keys.items()
        if group is not None and group.group_by_label_key in labels
    }


_OURS = (
    "resource", "policy", "conflictResolution", "preserveResourcesOnDeletion", "suspension", "workloadAffinityGroups",
    "schedulePriority",
)  # fmt: skip
"""The fields of binding.spec that detect writes; `scale` has another writer."""


def _spec_patch(binding: Manifest, wanted: Manifest) -> list[dict[str, Any]]:
    operations: list[dict[str, Any]] = []
    for name in _OURS:
        stored, value = binding["spec"].get(name), wanted.get(name)
        if value is None and stored is not None:
            operations.append({"op": "remove", "path": f"/spec/{name}"})
        elif value != stored:
            operations.append({"op": "add", "path": f"/spec/{name}", "value": value})
    if not operations:
        return []
    return [{"op": "test", "path": "/metadata/uid", "value": binding["metadata"]["uid"]}, *operations]
