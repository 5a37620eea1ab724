"""What a copy in a member shows, as a few flat words: the member's line in the binding carries them (DESIGN section 4).

Always `health` (Healthy, Progressing, Unhealthy, Unknown) and, where the kind has it, `generation=observed/actual`. The
rest is what the template's status is made of, never a raw status.
"""

from collections.abc import Callable, Mapping
from typing import Any

from federation.api.meta import Manifest
from federation.interpret.group_kind import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    HPA,
    INGRESS,
    JOB,
    PDB,
    POD,
    PV,
    PVC,
    REPLICA_SET,
    SERVICE,
    STATEFUL_SET,
    GroupKind,
    group_kind,
)

HEALTHY, PROGRESSING, UNHEALTHY, UNKNOWN = "Healthy", "Progressing", "Unhealthy", "Unknown"
Facts = dict[str, str]
NAMES = 5
"""Most names of one list in a line."""


def facts_of(observed: Manifest) -> Facts:
    """The facts of one copy. Never raises: a status that is not as expected reads as Unknown."""
    rule = _RULES.get(group_kind(observed), _any_kind)
    try:
        facts = rule(observed.get("spec") or {}, observed.get("status") or {}, observed)
    except (AttributeError, TypeError, ValueError):
        facts = {"health": UNKNOWN}
    return {key: value for key, value in facts.items() if value}


def summary_of(facts: Mapping[str, str]) -> str:
    """The member in a word or two: `2/3` for replicas, the health else."""
    if "ready" in facts and "wanted" in facts:
        return f"{facts['ready']}/{facts['wanted']}"
    return facts.get("health", UNKNOWN)


def _generation(status: Manifest, observed: Manifest) -> str:
    if status.get("observedGeneration") is None:
        return f"0/{observed['metadata'].get('generation') or 0}"
    return f"{status['observedGeneration']}/{observed['metadata'].get('generation') or 0}"


def _caught_up(status: Manifest, observed: Manifest) -> bool:
    return int(status.get("observedGeneration") or 0) >= int(observed["metadata"].get("generation") or 0)


def _conditions(status: Manifest, *names: str) -> Facts:
    """`cond.Available=True/MinimumReplicasAvailable` for the named condition types; for all of them without names."""
    return {
        f"cond.{entry['type']}": f"{entry.get('status')}/{entry.get('reason') or ''}"
        for entry in sorted(status.get("conditions") or (), key=lambda entry: str(entry.get("type")))
        if not names or entry.get("type") in names
    }


def _condition(status: Manifest, kind: str) -> Manifest:
    return next((entry for entry in status.get("conditions") or () if entry.get("type") == kind), {})


def _count(status: Manifest, key: str) -> int:
    return int(status.get(key) or 0)


def _deployment(spec: Manifest, status: Manifest, observed: Manifest) -> Facts:
    wanted = int(spec.get("replicas", 1))
    updated, available = _count(status, "updatedReplicas"), _count(status, "availableReplicas")
    progressing, failure = _condition(status, "Progressing"), _condition(status, "ReplicaFailure")
    if progressing.get("status") == "False" or failure.get("status") == "True":
        health = UNHEALTHY
    elif (
        _caught_up(status, observed)
        and updated >= wanted
        and available >= updated
        and _count(status, "replicas") <= updated
    ):
        health = HEALTHY
    else:
        health = PROGRESSING
    return {
        "health": health, "generation": _generation(status, observed), "wanted": str(wanted),
        "replicas": str(_count(status, "replicas")), "updated": str(updated),
        "ready": str(_count(status, "readyReplicas")), "available": str(available),
        **_conditions(status, "Available", "Progressing", "ReplicaFailure"),
    }  # fmt: skip


def _replica_set(spec: Manifest, status: Manifest, observed: Manifest) -> Facts:
    wanted, available = int(spec.get("replicas", 1)), _count(status, "availableReplicas")
    failed = _condition(status, "ReplicaFailure").get("status") == "True"
    done = _caught_up(status, observed) and available >= wanted
    return {
        "health": UNHEALTHY if failed else HEALTHY if done else PROGRESSING,
        "generation": _generation(status, observed), "wanted": str(wanted), "replicas": str(_count(status, "replicas")),
        "labelled": str(_count(status, "fullyLabeledReplicas")), "ready": str(_count(status, "readyReplicas")),
        "available": str(available), **_conditions(status, "ReplicaFailure"),
    }  # fmt: skip


def _stateful_set(spec: Manifest, status: Manifest, observed: Manifest) -> Facts:
    wanted, ready = int(spec.get("replicas", 1)), _count(status, "readyReplicas")
    updated = _count(status, "updatedReplicas")
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
    rolled = status.get("currentRevision") == status.get("updateRevision") or (
        partition and updated >= wanted - partition
    )
    done = _caught_up(status, observed) and rolled and ready >= wanted
    return {
        "health": HEALTHY if done else PROGRESSING, "generation": _generation(status, observed), "wanted": str(wanted),
        "replicas": str(_count(status, "replicas")), "current": str(_count(status, "currentReplicas")),
        "updated": str(updated), "ready": str(ready), "available": str(_count(status, "availableReplicas")),
        "revision": _tail(status.get("updateRevision")), "running": _tail(status.get("currentRevision")),
    }  # fmt: skip


def _tail(revision: Any) -> str:
    """The hash at the end of a revision's name: the name before it is the template's own."""
    return str(revision or "").rpartition("-")[2]


def _daemon_set(_spec: Manifest, status: Manifest, observed: Manifest) -> Facts:
    wanted = _count(status, "desiredNumberScheduled")
    updated, available = _count(status, "updatedNumberScheduled"), _count(status, "numberAvailable")
    done = _caught_up(status, observed) and updated >= wanted and available >= wanted
    return {
        "health": HEALTHY if done else PROGRESSING, "generation": _generation(status, observed), "wanted": str(wanted),
        "current": str(_count(status, "currentNumberScheduled")), "updated": str(updated),
        "ready": str(_count(status, "numberReady")), "available": str(available),
        "misscheduled": str(_count(status, "numberMisscheduled")),
    }  # fmt: skip


def _job(spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    complete = _condition(status, "Complete").get("status") == "True"
    failed = _condition(status, "Failed")
    is_failed = failed.get("status") == "True"
    return {
        "health": UNHEALTHY if is_failed else HEALTHY if complete or spec.get("suspend") else PROGRESSING,
        "state": "Failed" if is_failed else "Complete" if complete else "Suspended" if spec.get("suspend") else "",
        "active": str(_count(status, "active")), "podsReady": str(_count(status, "ready")),
        "succeeded": str(_count(status, "succeeded")), "failed": str(_count(status, "failed")),
        "start": status.get("startTime") or "", "completion": status.get("completionTime") or "",
        "why": failed.get("reason") or "" if is_failed else "",
    }  # fmt: skip


def _cron_job(_spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    active = [str(one.get("name")) for one in status.get("active") or ()]
    return {
        "health": HEALTHY, "jobs": ",".join(active[:NAMES]), "scheduled": status.get("lastScheduleTime") or "",
        "successful": status.get("lastSuccessfulTime") or "",
    }  # fmt: skip


def _pod(_spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    phase = status.get("phase") or ""
    ready = _condition(status, "Ready").get("status") == "True"
    statuses = status.get("containerStatuses") or ()
    waiting = next((one for one in statuses if ((one.get("state") or {}).get("waiting") or {}).get("reason")), None)
    why = waiting["state"]["waiting"]["reason"] if waiting else ""
    broken = why.endswith(("BackOff", "Error")) or why.startswith("Err")
    if phase == "Failed" or broken:
        health = UNHEALTHY
    else:
        health = HEALTHY if phase == "Succeeded" or (phase == "Running" and ready) else PROGRESSING
    return {
        "health": health, "phase": phase, "wanted": "1", "ready": "1" if ready else "0",
        "restarts": str(sum(int(one.get("restartCount") or 0) for one in statuses)),
        "container": str(waiting["name"]) if waiting else "", "why": why, "start": status.get("startTime") or "",
        **_conditions(status, "PodScheduled"),
    }  # fmt: skip


def _addresses(status: Manifest) -> list[str]:
    entries = (status.get("loadBalancer") or {}).get("ingress") or ()
    return sorted({str(one.get("ip") or one.get("hostname")) for one in entries})


def _service(spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    addresses = _addresses(status)
    waits = spec.get("type") == "LoadBalancer" and not addresses
    return {"health": PROGRESSING if waits else HEALTHY, "lb": ",".join(addresses[:NAMES])}


def _ingress(_spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    addresses = _addresses(status)
    return {"health": HEALTHY if addresses else PROGRESSING, "lb": ",".join(addresses[:NAMES])}


def _claim(_spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    phase = status.get("phase") or ""
    health = {"Bound": HEALTHY, "Lost": UNHEALTHY}.get(phase, PROGRESSING)
    return {
        "health": health, "phase": phase, "capacity": (status.get("capacity") or {}).get("storage") or "",
        "modes": ",".join(status.get("accessModes") or ()),
    }  # fmt: skip


def _volume(_spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    phase = status.get("phase") or ""
    return {
        "health": {"Failed": UNHEALTHY, "": PROGRESSING, "Pending": PROGRESSING}.get(phase, HEALTHY),
        "phase": phase,
    }


def _budget(_spec: Manifest, status: Manifest, observed: Manifest) -> Facts:
    healthy, desired = _count(status, "currentHealthy"), _count(status, "desiredHealthy")
    done = _caught_up(status, observed) and healthy >= desired
    return {
        "health": HEALTHY if done else PROGRESSING, "generation": _generation(status, observed),
        "healthy": str(healthy), "desired": str(desired), "expected": str(_count(status, "expectedPods")),
        "allowed": str(_count(status, "disruptionsAllowed")),
    }  # fmt: skip


def _autoscaler(_spec: Manifest, status: Manifest, _observed: Manifest) -> Facts:
    broken = any(_condition(status, kind).get("status") == "False" for kind in ("AbleToScale", "ScalingActive"))
    known = bool(status.get("conditions"))
    return {
        "health": UNHEALTHY if broken else HEALTHY if known else PROGRESSING,
        "current": str(_count(status, "currentReplicas")), "desired": str(_count(status, "desiredReplicas")),
        "scaled": status.get("lastScaleTime") or "",
        **_conditions(status, "AbleToScale", "ScalingActive", "ScalingLimited"),
    }  # fmt: skip


def _any_kind(_spec: Manifest, status: Manifest, observed: Manifest) -> Facts:
    """Any other kind, by the conventions that kstatus reads: observedGeneration, Ready-like conditions, phase."""
    if not status:
        return {"health": HEALTHY}
    judged = {kind: _condition(status, kind).get("status") for kind in ("Ready", "Available", "Established")}
    stalled = (
        _condition(status, "Stalled").get("status") == "True" or _condition(status, "Failed").get("status") == "True"
    )
    behind = status.get("observedGeneration") is not None and not _caught_up(status, observed)
    if stalled:
        health = UNHEALTHY
    elif behind or "False" in judged.values() or "Unknown" in judged.values():
        health = PROGRESSING
    else:
        health = HEALTHY
    phase = status.get("phase")
    return {
        "health": health,
        "generation": _generation(status, observed) if status.get("observedGeneration") is not None else "",
        "phase": phase if isinstance(phase, str) else "",
        **dict(list(_conditions(status).items())[:NAMES]),
    }


_RULES: dict[GroupKind, Callable[[Manifest, Manifest, Manifest], Facts]] = {
    DEPLOYMENT: _deployment,
    REPLICA_SET: _replica_set,
    STATEFUL_SET: _stateful_set,
    DAEMON_SET: _daemon_set,
    JOB: _job,
    CRON_JOB: _cron_job,
    POD: _pod,
    SERVICE: _service,
    INGRESS: _ingress,
    PVC: _claim,
    PV: _volume,
    PDB: _budget,
    HPA: _autoscaler,
}
