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
from federation.schedule.decide import ScheduleError, schedule
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import trigger


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


def decide(view: BindingView, clusters: Sequence[ClusterView], assumed: Mapping[str, Any]) -> Answer:
    """Ask for a decision only where a named trigger calls for one."""
    if view.previous is not None and trigger(view, clusters) is None:
        return Answer()
    outcome = schedule(view, clusters, assumed=assumed)
    return Answer(decision=outcome.decision if outcome.error is None else None, error=outcome.error)


def describe(answer: Answer) -> dict[str, str]:
    """The Scheduled condition in words."""
    if answer.error is None:
        return {"kind": "Scheduled", "status": "True", "reason": "Scheduled", "message": ""}
    return {
        "kind": "Scheduled",
        "status": "False",
        "reason": answer.error.reason,
        "message": answer.error.message,
    }
