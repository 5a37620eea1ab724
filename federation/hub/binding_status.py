"""JSON patches of a binding's status: each writer replaces its own part and proves what it replaces. Pure.

Ordering rule: the first decision lays out `members` and every condition in a fixed order; later writers patch by
index and test the entry's type. A patch whose test fails is refused whole (422), so a late writer never wins.
"""

from collections.abc import Mapping
from typing import Any

from federation.api.meta import Manifest
from federation.hub.conditions import condition

CONDITION_TYPES = ("Scheduled", "FullyApplied", "Ready")
SCHEDULED, FULLY_APPLIED, READY = range(3)

Operations = list[dict[str, Any]]


def first_status(
    binding: Manifest, *, decision: Manifest | None, scheduled: Manifest, wanted: int, now: float
) -> Operations:
    """Lay out the whole status; used while the binding has no conditions yet."""
    generation = binding["metadata"]["generation"]
    rest = [
        condition(None, kind=kind, status="Unknown", reason="Pending", message="", generation=generation, now=now)
        for kind in CONDITION_TYPES[1:]
    ]
    status: Manifest = {"members": {}, "summary": "", "wanted": wanted, "ready": 0, "conditions": [scheduled, *rest]}
    if decision is not None:
        status["decision"] = decision
    return [*_same_object(binding), {"op": "add", "path": "/status", "value": status}]


def next_decision(binding: Manifest, *, decision: Manifest | None, scheduled: Manifest, wanted: int) -> Operations:
    """Replace the decision and the Scheduled condition; a decision also tests the epoch that it replaces.

    Empty when nothing differs.
    """
    status = binding["status"]
    operations = _replace_condition(status, SCHEDULED, scheduled)
    if decision is not None:
        in_force = status.get("decision")
        if in_force:
            operations.append({"op": "test", "path": "/status/decision/epoch", "value": in_force["epoch"]})
        operations.append({"op": "add", "path": "/status/decision", "value": decision})
    if status.get("wanted") != wanted:
        operations.append({"op": "add", "path": "/status/wanted", "value": wanted})
    return [*_same_object(binding), *operations] if operations else []


def report(
    binding: Manifest,
    *,
    lines: Mapping[str, str],
    applied: Manifest,
    ready: Manifest,
    summary: str,
    ready_count: int,
) -> Operations:
    """Replace the members' lines that changed, and FullyApplied and Ready; empty when nothing differs."""
    status = binding["status"]
    stored: Mapping[str, str] = status.get("members") or {}
    changes: Operations = []
    if "members" not in status:
        changes.append({"op": "add", "path": "/status/members", "value": dict(lines)})
    else:
        changes.extend(
            {"op": "add", "path": f"/status/members/{name}", "value": line}
            for name, line in sorted(lines.items())
            if stored.get(name) != line
        )
        changes.extend(
            {"op": "remove", "path": f"/status/members/{name}"} for name in sorted(stored.keys() - lines.keys())
        )
    changes.extend(_replace_condition(status, FULLY_APPLIED, applied))
    changes.extend(_replace_condition(status, READY, ready))
    if status.get("summary") != summary:
        changes.append({"op": "add", "path": "/status/summary", "value": summary})
    if status.get("ready") != ready_count:
        changes.append({"op": "add", "path": "/status/ready", "value": ready_count})
    return [*_same_object(binding), *changes] if changes else []


def _same_object(binding: Manifest) -> Operations:
    return [{"op": "test", "path": "/metadata/uid", "value": binding["metadata"]["uid"]}]


def _replace_condition(status: Manifest, index: int, entry: Manifest) -> Operations:
    if status["conditions"][index] == entry:
        return []
    path = f"/status/conditions/{index}"
    return [
        {"op": "test", "path": f"{path}/type", "value": CONDITION_TYPES[index]},
        {"op": "replace", "path": path, "value": entry},
    ]
