"""The template's own status from the facts of its members (karmada.md 3.5.2), right for kubectl, Argo CD and kstatus.

`observedGeneration` moves only when all targets have caught up (I13); until then every tool says "in progress". The one
exception: a member that has been in trouble for longer than the progress deadline. Then the status says of this generation
that it failed, which tools believe only of an observed one; what is not updated is not counted as updated. Divided
workloads sum up. A Duplicated workload shows its slowest member: a sum would exceed spec.replicas, which kstatus reads as
"pending termination" for ever, and would let `kubectl rollout status` end when the first member is done.
"""

from collections.abc import Callable, Mapping, Set

from federation.api.meta import Manifest
from federation.api.naming import short_hash
from federation.api.words import listed
from federation.interpret.aggregate_input import Input
from federation.interpret.aggregate_progress import available, progressing, stalled, stamped
from federation.interpret.aggregate_run import aggregate_cron_job, aggregate_job, aggregate_pod
from federation.interpret.conditions import condition, merged, shown
from federation.interpret.group_kind import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    HPA,
    INGRESS,
    JOB,
    NAMESPACE,
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
from federation.interpret.trouble import Troubles

_OWN_STATUS = frozenset({
    "apiextensions.k8s.io", "apiregistration.k8s.io", "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io",
})  # fmt: skip
"""Groups that act on the API server they live in: the hub's own writes their status, and serves kinds by it."""


def aggregate(
    template: Manifest,
    members: Mapping[str, Mapping[str, str] | None],
    *,
    caught_up: bool,
    now: str,
    divided: bool = True,
    troubles: Troubles | None = None,
    behind: Set[str] = frozenset(),
) -> Manifest | None:
    """The new `.status`, or None where the kind has nothing to aggregate.

    `members`: facts by cluster, None for a target that has not been heard of. `now`: RFC 3339, used for what changes only.
    `troubles`: targets that do not hold what they should; `behind`: those that this generation has not reached.
    """
    known = {name: facts for name, facts in sorted(members.items()) if facts is not None}
    given = Input(
        template=template,
        members=known,
        unknown=len(known) < len(members),
        caught_up=caught_up,
        now=now,
        divided=divided,
        troubles=troubles or {},
        behind=behind,
    )
    kind = group_kind(template)
    if kind[0] in _OWN_STATUS or kind == NAMESPACE or (not known and not given.late):
        return None
    if kind == POD:
        return aggregate_pod(template, members, now=now)
    if kind == JOB:
        return stalled(given, kind, aggregate_job(template, members, now=now))
    return stalled(given, kind, _RULES.get(kind, _any_kind)(given))


def _deployment(given: Input) -> Manifest:
    replicas, serving = given.number("replicas"), given.number("available")
    status = {
        "observedGeneration": given.observed_generation, "replicas": replicas, "updatedReplicas": given.number("updated"),
        "readyReplicas": given.number("ready"), "availableReplicas": serving,
        "unavailableReplicas": max(0, replicas - serving),
    }  # fmt: skip
    conditions = [available(given), progressing(given)]
    failing = given.names(lambda facts: shown(facts, "ReplicaFailure")[0] == "True")
    if failing:
        reason = shown(given.members[failing[0]], "ReplicaFailure")[1] or "FailedCreate"
        conditions.append(stamped(given, "ReplicaFailure", "True", reason, f"pods cannot be made in {listed(failing)}"))
    return {**_without_zeros(status), "conditions": conditions}


def _replica_set(given: Input) -> Manifest:
    status = {
        "observedGeneration": given.observed_generation, "fullyLabeledReplicas": given.number("labelled"),
        "readyReplicas": given.number("ready"), "availableReplicas": given.number("available"),
    }  # fmt: skip
    failing = given.names(lambda facts: shown(facts, "ReplicaFailure")[0] == "True")
    result = {"replicas": given.number("replicas"), **_without_zeros(status)}
    if failing:
        reason = shown(given.members[failing[0]], "ReplicaFailure")[1] or "FailedCreate"
        entry = condition(
            given.template,
            "ReplicaFailure",
            status="True",
            reason=reason,
            message=f"in {listed(failing)}",
            now=given.now,
        )
        result["conditions"] = [entry]
    return result


def _stateful_set(given: Input) -> Manifest:
    name = given.template["metadata"]["name"]
    update = _revision(name, [facts.get("revision", "") for facts in given.members.values()])
    running = _revision(name, [facts.get("running", "") for facts in given.members.values()])
    status = {
        "observedGeneration": given.observed_generation, "readyReplicas": given.number("ready"),
        "currentReplicas": given.number("current"), "updatedReplicas": given.number("updated"),
        "currentRevision": running, "updateRevision": update,
    }  # fmt: skip
    counts = {"replicas": given.number("replicas"), "availableReplicas": given.number("available")}
    return {**counts, **_without_zeros(status)}


def _revision(name: str, hashes: list[str]) -> str:
    """One revision for all members: their common one, else a name of the set, so that equal sets compare equal."""
    distinct = sorted({one for one in hashes if one})
    if not distinct:
        return ""
    return f"{name}-{distinct[0]}" if len(distinct) == 1 else f"{name}-{short_hash(','.join(distinct))[:10]}"


def _daemon_set(given: Input) -> Manifest:
    wanted, available = _total(given, "wanted"), _total(given, "available")
    optional = {
        "observedGeneration": given.observed_generation, "updatedNumberScheduled": _total(given, "updated"),
        "numberAvailable": available, "numberUnavailable": max(0, wanted - available),
    }  # fmt: skip
    return {
        "currentNumberScheduled": _total(given, "current"), "desiredNumberScheduled": wanted,
        "numberReady": _total(given, "ready"), "numberMisscheduled": _total(given, "misscheduled"),
        **_without_zeros(optional),
    }  # fmt: skip


def _total(given: Input, key: str) -> int:
    """A plain sum: these kinds carry their wanted number in the status itself."""
    return sum(int(facts.get(key, "0")) for facts in given.members.values())


def _load_balancer(given: Input) -> Manifest | None:
    addresses = sorted({text for facts in given.members.values() for text in facts.get("lb", "").split(",") if text})
    service = group_kind(given.template) == SERVICE
    if service and (given.template.get("spec") or {}).get("type") != "LoadBalancer":
        return None
    return {"loadBalancer": {"ingress": [_address(text, service=service) for text in addresses]} if addresses else {}}


def _address(text: str, *, service: bool) -> Manifest:
    if not text.replace(".", "").isdigit() and ":" not in text:
        return {"hostname": text}
    return {"ip": text, "ipMode": "VIP"} if service else {"ip": text}


def _claim(given: Input) -> Manifest:
    phases = [facts.get("phase", "Pending") for facts in given.members.values()]
    if "Lost" in phases:
        phase = "Lost"
    else:
        phase = "Pending" if given.unknown else next((one for one in phases if one != "Bound"), "Bound")
    status: Manifest = {"phase": phase}
    bound = [facts for facts in given.members.values() if facts.get("capacity")]
    if phase == "Bound" and bound:
        status["accessModes"] = sorted({mode for facts in bound for mode in facts.get("modes", "").split(",") if mode})
        status["capacity"] = {"storage": bound[0]["capacity"]}
    return status


def _volume(given: Input) -> Manifest:
    phases = [facts.get("phase", "Pending") for facts in given.members.values()]
    order = ("Failed", "Pending", "Available", "Bound", "Released")
    return {"phase": next((phase for phase in order if phase in phases), "Pending")}


def _budget(given: Input) -> Manifest:
    status = {
        "disruptionsAllowed": _total(given, "allowed"), "currentHealthy": _total(given, "healthy"),
        "desiredHealthy": _total(given, "desired"), "expectedPods": _total(given, "expected"),
    }  # fmt: skip
    enough = status["disruptionsAllowed"] > 0
    entry = condition(
        given.template, "DisruptionAllowed", status="True" if enough else "False",
        reason="SufficientPods" if enough else "InsufficientPods", message="", now=given.now,
    )  # fmt: skip
    entry["observedGeneration"] = given.observed_generation
    return {**status, **_without_zeros({"observedGeneration": given.observed_generation}), "conditions": [entry]}


def _autoscaler(given: Input) -> Manifest:
    times = sorted(facts["scaled"] for facts in given.members.values() if facts.get("scaled"))
    kinds = ("AbleToScale", "ScalingActive", "ScalingLimited")
    merging = (merged(given.template, kind, given.members, now=given.now) for kind in kinds)
    optional = {
        "observedGeneration": given.observed_generation, "currentReplicas": _total(given, "current"),
        "lastScaleTime": times[-1] if times else "",
    }  # fmt: skip
    status: Manifest = {"desiredReplicas": _total(given, "desired"), **_without_zeros(optional)}
    conditions = [entry for entry in merging if entry is not None]
    if conditions:
        status["conditions"] = conditions
    return status


def _any_kind(given: Input) -> Manifest | None:
    """Conditions, phase and observedGeneration, each only if members show it: the schema may know no other."""
    status: Manifest = {}
    if any("generation" in facts for facts in given.members.values()) and given.observed_generation:
        status["observedGeneration"] = given.observed_generation
    phases = sorted({facts["phase"] for facts in given.members.values() if facts.get("phase")})
    if phases:
        status["phase"] = phases[0] if len(phases) == 1 else "Mixed"
    kinds = sorted({key[5:] for facts in given.members.values() for key in facts if key.startswith("cond.")})
    conditions = [merged(given.template, kind, given.members, now=given.now) for kind in kinds]
    if conditions:
        status["conditions"] = conditions
    return status or None


def _without_zeros(status: Manifest) -> Manifest:
    """Zero and empty are written as absent, which is how the API server stores them: else every look would differ."""
    return {key: value for key, value in status.items() if value}


_RULES: dict[GroupKind, Callable[[Input], Manifest | None]] = {
    DEPLOYMENT: _deployment,
    REPLICA_SET: _replica_set,
    STATEFUL_SET: _stateful_set,
    DAEMON_SET: _daemon_set,
    SERVICE: _load_balancer,
    INGRESS: _load_balancer,
    PVC: _claim,
    PV: _volume,
    PDB: _budget,
    HPA: _autoscaler,
    CRON_JOB: lambda given: aggregate_cron_job(given.template, given.members),
}
