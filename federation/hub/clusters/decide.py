"""Cluster.status from what was probed and watched. Pure.

Health has thresholds both ways (Karmada 3.7.2): a condition flips only after failures, or successes, lasted long
enough. Quantities are quantised before they are compared, so that a busy cluster does not mean a busy hub.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from federation.api.meta import TAINT_NOT_READY, TAINT_UNREACHABLE, Manifest
from federation.api.quantity import format_quantity, parse_quantity
from federation.hub.conditions import condition
from federation.interpret import requirements_of

READY, COMPLETE_APIS, JOINED, CREDENTIALS = "Ready", "CompleteAPIs", "Joined", "Credentials"
_OURS = (READY, COMPLETE_APIS)
"""Conditions that this controller writes; the others belong to the life-cycle operator and are carried over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One look at a member. `answered`: anything came back; `healthy`: /readyz said ok."""

    at: float
    answered: bool
    healthy: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the probes so far mean. Times are monotonic seconds; `status` is a condition status."""

    status: str = "Unknown"
    reason: str = "NeverProbed"
    message: str = ""
    failing_since: float | None = None
    passing_since: float | None = None


def judge(health: Health, probe: Probe, *, failure_threshold: float, success_threshold: float) -> Health:
    """The health after one more probe."""
    if probe.healthy:
        since = health.passing_since if health.passing_since is not None else probe.at
        if health.status in ("True", "Unknown") or probe.at - since >= success_threshold:
            return Health(status="True", reason="ClusterReady", message="/readyz answers ok", passing_since=since)
        return replace(health, failing_since=None, passing_since=since)
    since = health.failing_since if health.failing_since is not None else probe.at
    if health.status in ("False", "Unknown") or probe.at - since >= failure_threshold:
        reason = "ClusterNotReady" if probe.answered else "ClusterNotReachable"
        return Health(status="False", reason=reason, message=probe.message, failing_since=since)
    return replace(health, failing_since=since, passing_since=None)


def health_of(cluster: Manifest) -> Health:
    """Where a restarted process takes up: the stored condition."""
    stored = _conditions(cluster).get(READY)
    if stored is None or stored["status"] not in ("True", "False"):
        return Health()
    return Health(status=stored["status"], reason=stored["reason"], message=stored["message"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the member's nodes and pods add up to."""

    nodes: int
    ready_nodes: int
    allocatable: Mapping[str, str]
    allocated: Mapping[str, str]
    allocating: Mapping[str, str]


def inventory(nodes: Iterable[Manifest], pods: Iterable[Manifest]) -> Inventory:
    """Sum nodes and pods: allocatable of all nodes, allocated by pods with a node, allocating by pods that wait for one."""
    total = ready = 0
    allocatable: dict[str, Fraction] = defaultdict(Fraction)
    for node in nodes:
        total += 1
        conditions = (node.get("status") or {}).get("conditions") or []
        ready += any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
        _add(allocatable, (node.get("status") or {}).get("allocatable") or {})
    allocated: dict[str, Fraction] = defaultdict(Fraction)
    allocating: dict[str, Fraction] = defaultdict(Fraction)
    for pod in pods:
        requirements = requirements_of(pod)
        into = allocated if (pod.get("spec") or {}).get("nodeName") else allocating
        _add(into, {**(requirements.resource_request if requirements else {}), "pods": "1"})
    return Inventory(
        nodes=total,
        ready_nodes=ready,
        allocatable=_quantised(allocatable),
        allocated=_quantised(allocated),
        allocating=_quantised(allocating),
    )


def plan(
    cluster: Manifest,
    *,
    health: Health,
    version: str,
    apis: list[str] | None,
    unknown_apis: Iterable[str],
    inventory_now: Inventory | None,
    now: float,
    observed_at: str,
) -> Manifest | None:
    """The status to store, or None when it says nothing new. What is not known (None) keeps its last value."""
    stored: Manifest = cluster.get("status") or {}
    generation = cluster["metadata"]["generation"]
    known = _conditions(cluster)
    conditions = [entry for entry in stored.get("conditions") or [] if entry["type"] not in _OURS]
    conditions.append(
        condition(known.get(READY), kind=READY, status=health.status, reason=health.reason, message=health.message,
                  generation=generation, now=now)
    )  # fmt: skip
    missing = sorted(unknown_apis)
    if apis is not None:
        complete = ("False", "Partial", "not listed: " + ", ".join(missing)) if missing else ("True", "Complete", "")
        conditions.append(
            condition(known.get(COMPLETE_APIS), kind=COMPLETE_APIS, status=complete[0], reason=complete[1],
                      message=complete[2], generation=generation, now=now)
        )  # fmt: skip
    elif COMPLETE_APIS in known:
        conditions.append(known[COMPLETE_APIS])
    status: Manifest = {
        **stored,
        "observedGeneration": generation,
        "conditions": conditions,
        "taints": _taints(health, stored, observed_at),
    }
    if not status["taints"]:
        del status["taints"]
    if version:
        status["kubernetesVersion"] = version
    if apis is not None:
        status["apis"] = apis
    if inventory_now is not None:
        status["nodeSummary"] = {"totalNum": inventory_now.nodes, "readyNum": inventory_now.ready_nodes}
        summary = {
            name: dict(value)
            for name, value in (
                ("allocatable", inventory_now.allocatable),
                ("allocated", inventory_now.allocated),
                ("allocating", inventory_now.allocating),
            )
        }
        before = stored.get("resourceSummary") or {}
        same = all(before.get(name) == value for name, value in summary.items())
        status["resourceSummary"] = {
            **summary,
            "observedAt": before.get("observedAt", observed_at) if same else observed_at,
        }
    return None if status == stored else status


def _taints(health: Health, stored: Manifest, since: str) -> list[dict[str, Any]]:
    """Taints from health (Karmada 3.7.3): NoSchedule only; nothing is evicted by health alone."""
    key = {"False": TAINT_NOT_READY}.get(health.status, TAINT_UNREACHABLE)
    if health.status == "True":
        return []
    if health.reason == "ClusterNotReachable":
        key = TAINT_UNREACHABLE
    for taint in stored.get("taints") or []:
        if taint["key"] == key:
            return [taint]
    return [{"key": key, "effect": "NoSchedule", "timeAdded": since}]


def _conditions(cluster: Manifest) -> dict[str, Manifest]:
    return {entry["type"]: entry for entry in (cluster.get("status") or {}).get("conditions") or []}


def _add(total: dict[str, Fraction], quantities: Mapping[str, str]) -> None:
    for name, text in quantities.items():
        total[name] += Fraction(parse_quantity(text))


def _quantised(total: Mapping[str, Fraction]) -> dict[str, str]:
    """Three significant digits are enough to schedule by, and spare a write for every small pod."""
    return {name: format_quantity(_round(name, value)) for name, value in sorted(total.items()) if value}


def _round(name: str, value: Fraction) -> Fraction:
    if name == "pods":
        return value
    step = Fraction(1, 100) if name == "cpu" else Fraction(2**20)
    return (value // step) * step if value >= step else value


__all__ = ["Health", "Inventory", "Probe", "health_of", "inventory", "judge", "plan"]
