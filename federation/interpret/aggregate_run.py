"""Aggregation of the kinds that run to an end: Job, CronJob, Pod (karmada.md 3.5.2)."""

from collections.abc import Mapping

from federation.api.meta import Manifest
from federation.interpret.conditions import Members, condition

Targets = Mapping[str, Mapping[str, str] | None]
_PHASES = ("Failed", "Pending", "Running", "Succeeded")


def aggregate_job(template: Manifest, targets: Targets, *, now: str) -> Manifest:
    """Sums; Failed if any member failed, Complete when every one is complete; what is finished never changes.

    Complete and Failed come with SuccessCriteriaMet and FailureTarget, which the API server demands beside them.
    """
    before = template.get("status") or {}
    if any(
        one.get("type") in ("Complete", "Failed") and one.get("status") == "True"
        for one in before.get("conditions") or ()
    ):
        return dict(before)
    members = {name: facts for name, facts in sorted(targets.items()) if facts is not None}
    states = [facts.get("state", "") if facts is not None else "" for facts in targets.values()]
    status: Manifest = {}
    for key, fact in (("active", "active"), ("ready", "podsReady"), ("succeeded", "succeeded"), ("failed", "failed")):
        total = sum(int(facts.get(fact, "0")) for facts in members.values())
        if total:
            status[key] = total
    starts = [facts.get("start", "") if facts is not None else "" for facts in targets.values()]
    if before.get("startTime"):
        status["startTime"] = before["startTime"]
    elif starts and all(starts):
        status["startTime"] = min(starts)
    failed = [name for name, facts in members.items() if facts.get("state") == "Failed"]
    if failed:
        message = f"Job failed in {', '.join(failed[:10])}"
        status["conditions"] = [
            _ended(template, kind, "JobFailed", message, now) for kind in ("FailureTarget", "Failed")
        ]
        # A finished Job has no running pods for its API server; those of other members go on until they are done.
        status.pop("active", None)
        status.pop("ready", None)
    elif states and all(state == "Complete" for state in states):
        message = f"completed in all {len(states)} clusters"
        status["conditions"] = [
            _ended(template, "SuccessCriteriaMet", "CompletionsReached", message, now),
            _ended(template, "Complete", "CompletionsReached", message, now),
        ]
        status["completionTime"] = max(facts.get("completion", "") for facts in members.values()) or now
    elif "Suspended" in states:
        status["conditions"] = [_ended(template, "Suspended", "JobSuspended", "Job suspended", now)]
    return status


def _ended(template: Manifest, kind: str, reason: str, message: str, now: str) -> Manifest:
    entry = condition(template, kind, status="True", reason=reason, message=message, now=now)
    return {**entry, "lastProbeTime": entry["lastTransitionTime"]}


def aggregate_cron_job(_template: Manifest, members: Members) -> Manifest:
    """Running Jobs of all members by name, the latest times."""
    status: Manifest = {}
    namespace = _template["metadata"].get("namespace")
    jobs = [(name, job) for name, facts in members.items() for job in facts.get("jobs", "").split(",") if job]
    if jobs:
        status["active"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": job} for _, job in jobs
        ]
    for key, fact in (("lastScheduleTime", "scheduled"), ("lastSuccessfulTime", "successful")):
        times = [facts[fact] for facts in members.values() if facts.get(fact)]
        if times:
            status[key] = max(times)
    return status


def aggregate_pod(template: Manifest, targets: Targets, *, now: str) -> Manifest:
    """The worst phase; Ready only if all are; the first container that waits for a reason, so that tools can name it."""
    members = {name: facts for name, facts in sorted(targets.items()) if facts is not None}
    phases = [facts.get("phase") or "Pending" if facts is not None else "Pending" for facts in targets.values()]
    status: Manifest = {"phase": next(phase for phase in _PHASES if phase in phases)}
    waiting = [name for name, facts in targets.items() if facts is None or facts.get("ready") != "1"]
    ready = "False" if waiting else "True"
    message = f"not ready in {', '.join(sorted(waiting)[:10])}" if waiting else ""
    status["conditions"] = [
        condition(
            template, kind, status=ready, reason="ContainersNotReady" if waiting else "", message=message, now=now
        )
        for kind in ("Ready", "ContainersReady")
    ]
    starts = [facts["start"] for facts in members.values() if facts.get("start")]
    if starts:
        status["startTime"] = min(starts)
    containers = (template.get("spec") or {}).get("containers") or ()
    status["containerStatuses"] = [
        _container(
            one, members, ready=not waiting, running=status["phase"] == "Running", since=status.get("startTime") or now
        )
        for one in containers
    ]
    return status


def _container(container: Manifest, members: Members, *, ready: bool, running: bool, since: str) -> Manifest:
    name = container["name"]
    blocked = next((facts for facts in members.values() if facts.get("container") == name and facts.get("why")), None)
    state: Manifest = {"waiting": {"reason": blocked["why"]}} if blocked else {}
    if not blocked and running:
        state = {"running": {"startedAt": since}}
    return {
        "name": name, "image": container.get("image", ""), "imageID": "", "ready": ready and not blocked,
        "restartCount": max((int(facts.get("restarts", "0")) for facts in members.values()), default=0),
        "state": state, "lastState": {},
    }  # fmt: skip
