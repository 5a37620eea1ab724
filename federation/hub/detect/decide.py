"""Which policy claims a template, and the binding that must say so. Pure: snapshot in, plan out.

An unusable policy (see `policies.py`) claims nothing new and changes nothing that is placed: it only keeps what it has. What a
policy does not put in force yet (it is Lazy, or overrides are missing) leaves the options of the binding as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.api.meta import API_VERSION, FINALIZER, Manifest
from federation.api.naming import BindingKey, binding_key
from federation.api.propagation import PropagationSpec
from federation.hub.policies import Policy, contenders
from federation.hub.views import object_facts
from federation.policy.claim import Claim, PolicyRef, choose
from federation.policy.lazy import acts_at_once, generation_in_force
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
    waiting: str | None = None
    """Why the policy that claims the object, or would, does not act yet."""
    create: Manifest | None = None
    patch: list[dict[str, Any]] = field(default_factory=list)
    check_owner: bool = False
    """The owner reference is gone: orphan deletion or an accident; only a quorum read of the template can tell."""


def key_of(template: Manifest) -> BindingKey:
    """The key of the binding of a template."""
    metadata = template["metadata"]
    return binding_key(template["apiVersion"], template["kind"], metadata.get("namespace") or "", metadata["name"])


def plan(
    template: Manifest,
    *,
    policies: Sequence[Policy],
    binding: Manifest | None,
    lost: bool = False,
    priority_of_class: Callable[[str], int | None] = lambda _name: None,
) -> Plan:
    """Decide the claim of one template and the difference to its binding.

    `lost`: the binding went although the template is there. It is made again at once, by a Lazy policy too (I21).
    `priority_of_class`: the value of a PriorityClass. While the one that the policy names is missing no binding is made, as in
    Karmada (karmada.md 3.1.3); one that is there stays as it is.
    """
    if "deletionTimestamp" in template["metadata"]:
        return Plan()
    facts = object_facts(template)
    current = _current(binding)
    able = contenders(policies, current)
    claim = choose(facts, [policy.facts for policy in able], current)
    if claim.winner is None:
        return Plan(claim=claim, patch=_unclaimed(binding, template, able) if binding is not None else [])
    named = selectors_priority(claim.winner.selectors, facts) == BY_NAME
    never = never_propagated(template, named=named)
    if never is not None:
        return Plan(claim=claim, never=never)
    policy = next(policy for policy in able if policy.facts is claim.winner)
    if not policy.acts:
        return _as_it_is(template, binding, claim, waiting=_missing(policy))
    if binding is None:
        if policy.lazy and not lost and not acts_at_once(policy.facts, template):
            return Plan(claim=claim, waiting="it claims it when it changes: the policy is newer, and Lazy")
        wanted = _binding_spec(template, policy, _newest(policy), priority_of_class)
        if policy.spec.schedule_priority is not None and "schedulePriority" not in wanted:
            missing = policy.spec.schedule_priority.priority_class_name
            return Plan(claim=claim, waiting=f"there is no PriorityClass {missing}")
        return Plan(claim=claim, create=_binding(template, wanted))
    if "deletionTimestamp" in binding["metadata"]:
        # It ends first (execute sees to it); its deletion brings us back here.
        return Plan(claim=claim)
    return _kept(template, policy, binding, claim, priority_of_class)


def _kept(
    template: Manifest, policy: Policy, binding: Manifest, claim: Claim, priority_of_class: Callable[[str], int | None]
) -> Plan:
    """The difference of a living binding to what the policy that claims its template wants."""
    anew = binding["spec"]["resource"]["uid"] != template["metadata"]["uid"]
    generation, waiting = _newest(policy), None
    if policy.lazy:
        generation = generation_in_force(
            policy.facts, template, binding["spec"].get("policy") or {},
            decided=bool((binding.get("status") or {}).get("decision")), anew=anew,
        )  # fmt: skip
        if "templateHash" in generation:
            waiting = f"generation {policy.facts.generation} acts when it changes: the policy is Lazy"
    wanted = _binding_spec(template, policy, generation, priority_of_class)
    if policy.spec.schedule_priority is not None:
        wanted.setdefault("schedulePriority", binding["spec"].get("schedulePriority"))
    patch = _spec_patch(binding, wanted, only=_REFERENCES if waiting else _OURS)
    if anew:
        return Plan(claim=claim, waiting=waiting, patch=[*_follow_uid(binding, template), *patch])
    return Plan(claim=claim, waiting=waiting, patch=patch, check_owner=_ownerless(binding))


def _as_it_is(template: Manifest, binding: Manifest | None, claim: Claim, *, waiting: str | None) -> Plan:
    """The policy does not act: a binding only goes on following its template."""
    if binding is None:
        return Plan(claim=claim, waiting=waiting)
    patch = _follow_uid(binding, template)
    return Plan(claim=claim, waiting=waiting, patch=patch, check_owner=not patch and _ownerless(binding))


def _ownerless(binding: Manifest) -> bool:
    metadata = binding["metadata"]
    return not metadata.get("ownerReferences") and "deletionTimestamp" not in metadata


def _newest(policy: Policy) -> Manifest:
    """What a reference to a policy that acts as it is now says of its generation: only a Lazy one needs it."""
    return {"generation": policy.facts.generation} if policy.lazy else {}


def _missing(policy: Policy) -> str | None:
    kind = "OverridePolicy" if policy.facts.namespace else "ClusterOverridePolicy"
    return f"there is no {kind} {', '.join(policy.missing)}" if policy.missing else None


def _unclaimed(binding: Manifest, template: Manifest, policies: Sequence[Policy]) -> list[dict[str, Any]]:
    """Deleting a policy keeps workloads (I21), and writes nothing; one that lives and no longer selects the object lets it go.

    In both cases the binding stays under its last decision.
    """
    current, patch = _current(binding), _follow_uid(binding, template)
    let_go = current is not None and any(one.usable and one.facts.is_(current) for one in policies)
    if not let_go or "deletionTimestamp" in binding["metadata"]:
        return patch
    return [*(patch or [_same(binding)]), {"op": "remove", "path": "/spec/policy"}]


def _follow_uid(binding: Manifest, template: Manifest) -> list[dict[str, Any]]:
    """Go over to a template that was made anew under the same name: its copies are adopted in place (DESIGN section 4)."""
    resource, metadata = binding["spec"]["resource"], template["metadata"]
    if "deletionTimestamp" in binding["metadata"] or resource["uid"] == metadata["uid"]:
        return []
    return [
        _same(binding),
        {"op": "test", "path": "/spec/resource/uid", "value": resource["uid"]},
        {"op": "add", "path": "/metadata/ownerReferences", "value": [_owner(template)]},
        {"op": "add", "path": "/spec/resource", "value": {**resource, "uid": metadata["uid"]}},
    ]


def patched(binding: Manifest, outcome: Plan) -> Manifest:
    """The binding as it will be once the patch of its plan is stored; only `spec` is made anew."""
    spec = dict(binding["spec"])
    for one in outcome.patch:
        name = one["path"].removeprefix("/spec/")
        if one["op"] == "remove":
            spec.pop(name, None)
        elif one["op"] == "add" and name != one["path"]:
            spec[name] = one["value"]
    return {**binding, "spec": spec}


def owner_patch(binding: Manifest, template: Manifest) -> list[dict[str, Any]]:
    """Give a binding its owner reference back."""
    return [
        _same(binding),
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
    namespace, name = key_of(template)
    metadata: Manifest = {"name": name, "finalizers": [FINALIZER], "ownerReferences": [_owner(template)]}
    if namespace:
        metadata["namespace"] = namespace
    kind = "ResourceBinding" if namespace else "ClusterResourceBinding"
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _binding_spec(
    template: Manifest, policy: Policy, generation: Manifest, priority_of_class: Callable[[str], int | None]
) -> Manifest:
    """References and options as resolved; no number and no placement is copied (DESIGN section 4).

    `generation`: what the reference says of a Lazy policy.
    """
    metadata, winner, spec = template["metadata"], policy.facts, policy.spec
    resource = {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    claim = {"kind": winner.kind, "namespace": winner.namespace, "name": winner.name, "uid": winner.uid}
    wanted: Manifest = {
        "resource": {key: value for key, value in resource.items() if value},
        "policy": {**{key: value for key, value in claim.items() if value}, **generation},
    }
    if spec.conflict_resolution == "Overwrite":
        wanted["conflictResolution"] = spec.conflict_resolution
    if spec.preserve_resources_on_deletion:
        wanted["preserveResourcesOnDeletion"] = True
    groups = _workload_groups(template, spec)
    if groups:
        wanted["workloadAffinityGroups"] = groups
    asked = spec.schedule_priority
    priority = priority_of_class(asked.priority_class_name) if asked is not None else None
    if priority is not None:
        wanted["schedulePriority"] = {"priority": priority}
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


_REFERENCES = ("resource", "policy")
_OURS = (
    *_REFERENCES, "conflictResolution", "preserveResourcesOnDeletion", "suspension", "workloadAffinityGroups",
    "schedulePriority",
)  # fmt: skip
"""The fields of binding.spec that detect writes; `scale` has another writer."""


def _spec_patch(binding: Manifest, wanted: Manifest, *, only: Sequence[str]) -> list[dict[str, Any]]:
    operations: list[dict[str, Any]] = []
    for name in only:
        stored, value = binding["spec"].get(name), wanted.get(name)
        if value is None and stored is not None:
            operations.append({"op": "remove", "path": f"/spec/{name}"})
        elif value != stored:
            operations.append({"op": "add", "path": f"/spec/{name}", "value": value})
    if not operations:
        return []
    return [_same(binding), *operations]


def _same(binding: Manifest) -> dict[str, Any]:
    return {"op": "test", "path": "/metadata/uid", "value": binding["metadata"]["uid"]}
