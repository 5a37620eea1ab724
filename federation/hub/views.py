"""Manifests to the facts that the pure parts decide on. Pure; shared by the controllers and by `fedctl explain`.

One conversion for both is what makes the explanation agree with the decision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from federation.api.binding import Decision
from federation.api.cluster import ResourceSummary
from federation.api.meta import LEAVE_ANNOTATION, Manifest, parse_lenient
from federation.api.moments import seconds_of
from federation.api.override import OverrideSpec
from federation.api.placement import Placement, Taint
from federation.hub.policies import Policy
from federation.interpret import components_of, replicas_of, requirements_of, surge_of
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.override import OverrideFacts
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import rebalanced


def cluster_facts(manifest: Manifest) -> ClusterFacts:
    """What selectors see of a Cluster: name, labels, region, zones (spec.zone counts as one), provider."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    zones = tuple(spec.get("zones") or ([spec["zone"]] if spec.get("zone") else []))
    return ClusterFacts(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        region=spec.get("region") or "",
        zones=zones,
        provider=spec.get("provider") or "",
    )


def condition(manifest: Manifest, kind: str) -> Manifest | None:
    """The condition of one type in `status.conditions`, or None."""
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def is_true(manifest: Manifest, kind: str) -> bool:
    """Whether a condition is present and True."""
    entry = condition(manifest, kind)
    return entry is not None and entry.get("status") == "True"


def cluster_view(manifest: Manifest) -> ClusterView:
    """What the scheduler sees of a Cluster; the taints of spec (user) and status (health) count together."""
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    taints = [parse_lenient(Taint, taint) for taint in [*(spec.get("taints") or []), *(status.get("taints") or [])]]
    summary = status.get("resourceSummary")
    return ClusterView(
        facts=cluster_facts(manifest),
        taints=tuple(taints),
        apis=frozenset(api_pairs(status.get("apis") or [])),
        deleting="deletionTimestamp" in manifest["metadata"],
        abandoned=leaves_at_once(manifest),
        ready=is_true(manifest, "Ready"),
        summary=parse_lenient(ResourceSummary, summary) if summary else None,
        incomplete_apis=not is_true(manifest, "CompleteAPIs"),
    )


def leaves_at_once(cluster: Manifest) -> bool:
    """Whether a Cluster is going and nothing waits for what it holds: `fedctl leave --keep` or `--force`."""
    metadata = cluster["metadata"]
    mode = (metadata.get("annotations") or {}).get(LEAVE_ANNOTATION)
    return "deletionTimestamp" in metadata and mode in ("keep", "force")


def api_pairs(lines: list[str]) -> list[tuple[str, str]]:
    """`Cluster.status.apis` ("apps/v1: Deployment, StatefulSet") as (apiVersion, kind) pairs."""
    pairs: list[tuple[str, str]] = []
    for line in lines:
        api_version, _, kinds = line.partition(": ")
        pairs.extend((api_version, kind) for kind in kinds.split(", ") if kind)
    return pairs


def object_facts(manifest: Manifest) -> ObjectFacts:
    """What resource selectors see of an object."""
    metadata = manifest["metadata"]
    return ObjectFacts(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        labels=metadata.get("labels") or {},
    )


def override_facts(manifest: Manifest) -> OverrideFacts:
    """What rendering sees of an OverridePolicy or ClusterOverridePolicy."""
    metadata = manifest["metadata"]
    return OverrideFacts(
        kind=manifest["kind"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        spec=parse_lenient(OverrideSpec, manifest.get("spec") or {}),
    )


def decision_of(binding: Manifest) -> Decision | None:
    """The decision in force, or None before the first one."""
    found = (binding.get("status") or {}).get("decision")
    return parse_lenient(Decision, found) if found else None


def lines_of(binding: Manifest) -> dict[str, str]:
    """What the members show, by cluster (`binding.status.members`)."""
    return (binding.get("status") or {}).get("members") or {}


def is_connectable(cluster: Manifest) -> bool:
    """Whether the hub process should be connected to a cluster: it joined, and pushes."""
    return is_true(cluster, "Joined") and cluster["spec"].get("syncMode", "Push") == "Push"


def template_text(binding: Manifest) -> str:
    """`Deployment shop/web`."""
    reference = binding["spec"]["resource"]
    place = f"{reference['namespace']}/" if reference.get("namespace") else ""
    return f"{reference['kind']} {place}{reference['name']}"


def priority_of(binding: Manifest) -> int:
    """Its place among those that wait for a decision: the value of its PriorityClass, 0 without one."""
    return int((binding["spec"].get("schedulePriority") or {}).get("priority") or 0)


def recorded_placement(decision: Decision | None) -> Placement:
    """The placement that a decision was taken by: it holds on while no policy is in force (I21)."""
    recorded = orjson.loads(decision.inputs) if decision and decision.inputs else {}
    return parse_lenient(Placement, recorded.get("placement") or {})


def binding_view(
    binding: Manifest,
    template: Manifest,
    policy: Policy | None,
    *,
    held: Mapping[str, int] | None = None,
    now: float | None = None,
) -> BindingView:
    """What the scheduler sees of one binding.

    `policy`: the one in force, if any. `held`: replicas per member that copies hold while there is no decision. `now` (seconds since the epoch): pins that
    ended by then are left out; None leaves none out.
    """
    spec, metadata = binding["spec"], binding["metadata"]
    scale, previous, asked = spec.get("scale"), decision_of(binding), spec.get("rebalance") or ""
    return BindingView(
        key=f"{metadata.get('namespace') or ''}/{metadata['name']}",
        uid=template["metadata"]["uid"],
        api_version=template["apiVersion"],
        kind=template["kind"],
        namespace=template["metadata"].get("namespace") or "",
        replicas=scale if scale is not None else replicas_of(template),
        requirements=requirements_of(template),
        components=components_of(template),
        placement=policy.spec.placement if policy is not None else recorded_placement(previous),
        previous=previous,
        held=held or {},
        observed=previous.affinity if previous is not None else "",
        rebalance=asked,
        fresh=previous is not None and asked > rebalanced(previous),
        pin=pin_of(binding, now=now),
        surge=surge_of(template),
        lines=lines_of(binding),
    )


def workload_groups(binding: Manifest) -> list[str]:
    """The workload groups of a binding as index keys."""
    groups = binding["spec"].get("workloadAffinityGroups") or {}
    return [f"{binding['metadata'].get('namespace') or ''} {kind} {group}" for kind, group in sorted(groups.items())]


def with_peers(
    view: BindingView, binding: Manifest, peers: Iterable[tuple[Manifest, Mapping[str, int]]]
) -> BindingView:
    """The view with the other bindings of its workload groups; `peers`: each with its targets, empty while it has none."""
    groups = binding["spec"].get("workloadAffinityGroups") or {}
    if not groups:
        return view
    found: dict[str, dict[str, frozenset[str]]] = {"affinityGroup": {}, "antiAffinityGroup": {}}
    for peer, targets in peers:
        theirs = peer["spec"].get("workloadAffinityGroups") or {}
        for kind, group in groups.items():
            if theirs.get(kind) == group and targets:
                found[kind][template_text(peer)] = frozenset(targets)
    return replace(view, together=found["affinityGroup"], apart=found["antiAffinityGroup"])


def pin_of(binding: Manifest, *, now: float | None) -> Mapping[str, int]:
    """The shares that `fedctl pin` set, unless they ended."""
    pin: Mapping[str, Any] = binding["spec"].get("pin") or {}
    left = pin_left(binding, now=now) if now is not None else None
    return {} if left is not None and left <= 0 else pin.get("shares") or {}


def pin_left(binding: Manifest, *, now: float) -> float | None:
    """Seconds until the pin ends; None where there is none, or none that ends."""
    until = seconds_of((binding["spec"].get("pin") or {}).get("until"))
    return until - now if until is not None else None
