"""What a decision was taken from, as JSON and back: the ledger writes it, a replay reads it. Pure.

Read again, a snapshot gives the same values, so the same functions give the same decision, bit for bit (F3). What is not listed here
cannot influence a decision: a test compares the fields with those of the views.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from federation.api.binding import Decision
from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement, Taint
from federation.interpret import Component, Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.attempt import Assumed
from federation.schedule.snapshot import BindingView, ClusterView

Json = dict[str, Any]


def canonical(value: Any) -> bytes:
    """JSON with sorted keys: equal values are equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def cluster_json(cluster: ClusterView) -> Json:
    """A member as the scheduler saw it."""
    facts = cluster.facts
    return {
        "facts": {
            "name": facts.name, "labels": dict(facts.labels), "region": facts.region, "zones": list(facts.zones),
            "provider": facts.provider,
        },
        "taints": [taint.model_dump(mode="json", by_alias=True, exclude_none=True) for taint in cluster.taints],
        "apis": sorted(list(pair) for pair in cluster.apis),
        "deleting": cluster.deleting, "abandoned": cluster.abandoned, "ready": cluster.ready,
        "summary": cluster.summary.model_dump(mode="json", by_alias=True, exclude_none=True) if cluster.summary else None,
        "incomplete_apis": cluster.incomplete_apis,
    }  # fmt: skip


def cluster_from(data: Json) -> ClusterView:
    """The inverse of `cluster_json`."""
    facts = data["facts"]
    return ClusterView(
        facts=ClusterFacts(**{**facts, "zones": tuple(facts["zones"])}),
        taints=tuple(Taint.model_validate(taint) for taint in data["taints"]),
        apis=frozenset((api_version, kind) for api_version, kind in data["apis"]),
        deleting=data["deleting"], abandoned=data["abandoned"], ready=data["ready"],
        summary=ResourceSummary.model_validate(data["summary"]) if data["summary"] is not None else None,
        incomplete_apis=data["incomplete_apis"],
    )  # fmt: skip


def binding_json(view: BindingView) -> Json:
    """A binding as the scheduler saw it."""
    previous = view.previous
    return {
        "key": view.key, "uid": view.uid, "api_version": view.api_version, "kind": view.kind, "namespace": view.namespace,
        "replicas": view.replicas, "requirements": _requirements(view.requirements),
        "components": [
            {"name": one.name, "replicas": one.replicas, "requirements": _requirements(one.requirements)}
            for one in view.components
        ],
        "placement": view.placement.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True),
        "previous": previous.model_dump(mode="json", by_alias=True) if previous is not None else None,
        "held": dict(view.held), "observed": view.observed, "rebalance": view.rebalance, "fresh": view.fresh,
        "returning": view.returning, "evicting": sorted(view.evicting),
        "together": {name: sorted(where) for name, where in view.together.items()},
        "apart": {name: sorted(where) for name, where in view.apart.items()},
        "pin": dict(view.pin), "surge": view.surge, "lines": dict(view.lines), "seen": dict(view.seen),
    }  # fmt: skip


def binding_from(data: Json) -> BindingView:
    """The inverse of `binding_json`."""
    return BindingView(**{
        **data,
        "requirements": _requirements_from(data["requirements"]),
        "components": tuple(
            Component(name=one["name"], replicas=one["replicas"], requirements=_requirements_from(one["requirements"]))
            for one in data["components"]
        ),
        "placement": Placement.model_validate(data["placement"]),
        "previous": Decision.model_validate(data["previous"]) if data["previous"] is not None else None,
        "evicting": frozenset(data["evicting"]),
        "together": {name: frozenset(where) for name, where in data["together"].items()},
        "apart": {name: frozenset(where) for name, where in data["apart"].items()},
    })  # fmt: skip


def assumed_json(assumed: Assumed) -> Json:
    """What was on its way to each cluster."""
    return {name: [[_requirements(asks), count] for asks, count in parts] for name, parts in assumed.items() if parts}


def assumed_from(data: Json) -> dict[str, list[tuple[Requirements | None, int]]]:
    """The inverse of `assumed_json`."""
    return {name: [(_requirements_from(asks), count) for asks, count in parts] for name, parts in data.items()}


def _requirements(asks: Requirements | None) -> Json | None:
    return asks.as_json() if asks is not None else None


def _requirements_from(data: Json | None) -> Requirements | None:
    if data is None:
        return None
    known: Mapping[str, str] = {
        "resourceRequest": "resource_request", "nodeSelector": "node_selector", "tolerations": "tolerations",
        "hardNodeAffinity": "hard_node_affinity", "priorityClassName": "priority_class_name",
    }  # fmt: skip
    found = {known[key]: value for key, value in data.items()}
    tolerations: Sequence[Any] = found.get("tolerations") or ()
    return Requirements(**{**found, "tolerations": tuple(tolerations)})
