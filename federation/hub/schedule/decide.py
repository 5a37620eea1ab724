"""Whether a binding needs a new decision, and what its Scheduled condition says. Pure.

The scheduling itself is `federation.schedule`; this is the part that knows bindings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.api.binding import Decision
from federation.api.lines import parse_mark
from federation.api.meta import MARK_ANNOTATION, Manifest
from federation.interpret import replicas_of
from federation.schedule.decide import Outcome, ScheduleError, proceed, schedule
from federation.schedule.divide.webster import divide_by_weight
from federation.schedule.moves import stuck
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import Trigger, trigger

NO_SUCCESSOR = "NoSuccessor"
SUSPENDED = "Suspended"
MUST_GO = frozenset({
    Trigger.PLACEMENT_CHANGED, Trigger.CLUSTER_GONE, Trigger.CLUSTER_INELIGIBLE, Trigger.EVICTED,
})  # fmt: skip
"""Triggers after which something should leave where it is."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the members hold for a binding without a decision: replicas a cluster, and the highest epoch in their marks."""

    replicas: Mapping[str, int]
    epoch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A new decision, an error that leaves things as they are, or neither: the decision in force stands."""

    decision: Decision | None = None
    error: ScheduleError | None = None
    cause: Trigger | None = None
    """The trigger that asked for a new decision."""


def held_by_members(binding: Manifest, copies: Mapping[str, Manifest]) -> Held:
    """Read the previous result from the marks in the members (binding lost or deleted by hand, I21)."""
    namespace = binding["metadata"].get("namespace") or ""
    own = f"{namespace}/{binding['metadata']['name']}"
    replicas: dict[str, int] = {}
    epoch = 0
    for cluster, copy in copies.items():
        mark = parse_mark((copy["metadata"].get("annotations") or {}).get(MARK_ANNOTATION) or "")
        if mark is None or mark.binding != own:
            continue
        replicas[cluster] = replicas_of(copy) or 0
        epoch = max(epoch, mark.epoch)
    return Held(replicas=replicas, epoch=epoch)


def presumed(held: Held, *, wanted: int | None, divided: bool, away: Sequence[str]) -> Held:
    """What members hold when some of them cannot be asked: what is missing of the wanted is theirs (DESIGN section 4, I14).

    So a binding that was lost while a member was away takes nothing from it, and makes nothing twice, when it is back.
    """
    if not away:
        return held
    if wanted is None or not divided:
        return Held(replicas={**dict.fromkeys(away, wanted or 0), **held.replicas}, epoch=held.epoch)
    missing = max(0, wanted - sum(held.replicas.values()))
    shares = divide_by_weight(missing, dict.fromkeys(away, 1))
    found = {name: count for name, count in shares.items() if count}
    return Held(replicas={**found, **held.replicas}, epoch=held.epoch)


def decide(
    view: BindingView, clusters: Sequence[ClusterView], assumed: Mapping[str, Any], *, suspended: bool = False
) -> Answer:
    """Ask for a decision only where a named trigger calls for one; else take the next step of open moves, if one is due.

    While scheduling is `suspended` no decision and no step is taken, whatever changes; the condition says what waits.
    """
    cause = trigger(view, clusters)
    if suspended:
        waits = None if cause is None and not (view.previous and view.previous.moves) else cause or "open moves"
        return Answer(
            error=ScheduleError("suspended", SUSPENDED, f"scheduling is suspended; what waits: {waits}")
            if waits
            else None
        )
    if cause is None:
        return Answer(decision=proceed(view))
    outcome = schedule(view, clusters, assumed=assumed)
    if cause is Trigger.CLUSTER_ELIGIBLE and view.placed and _says_nothing_new(outcome, view):
        # One cluster more passes the filters and is not needed: not a decision, nor a failure of the one in force.
        return Answer()
    return Answer(decision=outcome.decision if outcome.error is None else None, error=outcome.error, cause=cause)


def _says_nothing_new(outcome: Outcome, view: BindingView) -> bool:
    decision = outcome.decision
    return decision is None or (not decision.moves and decision.targets == dict(view.placed))


def describe(answer: Answer, view: BindingView) -> dict[str, str]:
    """The Scheduled condition in words.

    `NoSuccessor`: something must go from where it is, and nothing takes its place; so it stays (I4).
    """
    if answer.error is not None:
        reason, message = answer.error.reason, answer.error.message
        if view.placed and answer.cause in MUST_GO:
            reason = NO_SUCCESSOR
            message = f"{message}; what is placed stays: {', '.join(sorted(view.placed))}"
        return {"kind": "Scheduled", "status": "False", "reason": reason, "message": message}
    decision = answer.decision or view.previous
    if decision is None or not decision.moves:
        return {"kind": "Scheduled", "status": "True", "reason": "Scheduled", "message": ""}
    without = stuck(decision, view.lines)
    if without:
        return {"kind": "Scheduled", "status": "False", "reason": NO_SUCCESSOR, "message": "; ".join(without)}
    steps = [f"{move.from_} to {move.to or 'another'}: {move.replicas}" for move in decision.moves]
    return {"kind": "Scheduled", "status": "True", "reason": "Moving", "message": ", ".join(steps)}
