"""When a decision must be taken anew: only for a named reason, which the decision records (DESIGN section 4).

Everything else leaves a decision alone. So a restart, a heartbeat or a new cluster never moves replicas that are well placed.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import orjson

from federation.api.binding import Decision
from federation.api.placement import Placement
from federation.schedule.divide.assign import DUPLICATED, strategy_of
from federation.schedule.eligible import eligible, tiers
from federation.schedule.snapshot import BindingView, ClusterView, Snapshot


class Trigger(StrEnum):
    """Why a binding is scheduled. `Created`: first decision, or the template was made anew under another UID."""

    CREATED = "Created"
    PLACEMENT_CHANGED = "PlacementChanged"
    REPLICAS_CHANGED = "ReplicasChanged"
    REQUIREMENTS_CHANGED = "RequirementsChanged"
    CLUSTER_GONE = "ClusterGone"
    CLUSTER_INELIGIBLE = "ClusterIneligible"
    CLUSTER_ELIGIBLE = "ClusterEligible"
    EVICTED = "Evicted"
    AFFINITY_RESTORED = "AffinityRestored"
    REBALANCE_REQUESTED = "RebalanceRequested"
    PINNED = "Pinned"


def inputs_of(binding: BindingView) -> str:
    """What a decision is taken from, as canonical JSON: placement, replicas, requirements, template UID."""
    return orjson.dumps(_inputs(binding), option=orjson.OPT_SORT_KEYS).decode()


def trigger(binding: BindingView, clusters: Sequence[ClusterView]) -> Trigger | None:
    """The first reason for a new decision; None while the one in force stands."""
    previous = binding.previous
    if previous is None:
        return Trigger.CREATED
    changed = _changed_input(binding)
    if changed is not None:
        return changed
    snapshot, targets = Snapshot.of(clusters), binding.targets
    if not targets.keys() <= snapshot.staying:
        return Trigger.CLUSTER_GONE
    if not targets.keys() <= tiers(binding, snapshot).keys():
        return Trigger.CLUSTER_INELIGIBLE
    if binding.evicting & targets.keys():
        return Trigger.EVICTED
    if binding.returning:
        return Trigger.AFFINITY_RESTORED
    follows = binding.replicas is None or strategy_of(binding.placement.replica_scheduling) == DUPLICATED
    if (follows or not targets) and any(one.name not in targets for one in eligible(binding, snapshot).fitting):
        return Trigger.CLUSTER_ELIGIBLE
    return None


def rebalanced(decision: Decision) -> str:
    """The request for fresh scheduling that a decision answered last; empty without one."""
    return str(orjson.loads(decision.inputs).get("rebalance") or "") if decision.inputs else ""


def placement_changed(placement: Placement, applied: Placement | None, *, observed: str = "") -> bool:
    """Whether an edit of the placement asks for scheduling (karmada.md 2.3.3 a).

    With several affinity groups only the one in use, `observed`, counts; everything else is compared whole.
    """
    return applied is None or _placement_differs(_canonical(placement), _canonical(applied), observed=observed)


def _placement_differs(new: dict[str, Any], old: dict[str, Any], *, observed: str) -> bool:
    if new == old:
        return False
    if {**new, "clusterAffinities": None} != {**old, "clusterAffinities": None}:
        return True
    term = _term(new, observed)
    return term is None or term != _term(old, observed)


def _inputs(binding: BindingView) -> dict[str, Any]:
    inputs: dict[str, Any] = {"pin": dict(binding.pin)} if binding.pin else {}
    if binding.rebalance:
        inputs["rebalance"] = binding.rebalance
    if binding.components:
        inputs["components"] = [one.as_json() for one in binding.components]
    return inputs | {
        "placement": _canonical(binding.placement),
        "replicas": binding.replicas,
        "requirements": binding.requirements.as_json() if binding.requirements is not None else None,
        "template": binding.uid,
    }


def _changed_input(binding: BindingView) -> Trigger | None:
    text = binding.previous.inputs if binding.previous is not None else ""
    if text == inputs_of(binding):
        return None
    recorded, now = orjson.loads(text), _inputs(binding)
    for key, name in (
        ("template", Trigger.CREATED),
        ("pin", Trigger.PINNED),
        ("placement", Trigger.PLACEMENT_CHANGED),
        ("replicas", Trigger.REPLICAS_CHANGED),
        ("requirements", Trigger.REQUIREMENTS_CHANGED),
        ("components", Trigger.REQUIREMENTS_CHANGED),
        ("rebalance", Trigger.REBALANCE_REQUESTED),
    ):
        if recorded.get(key) == now.get(key):
            continue
        if key != "placement" or _placement_differs(now[key], recorded.get(key) or {}, observed=binding.observed):
            return name
    return None


def _canonical(placement: Placement) -> dict[str, Any]:
    return placement.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")


def _term(placement: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((term for term in placement.get("clusterAffinities") or () if term["affinityName"] == name), None)
