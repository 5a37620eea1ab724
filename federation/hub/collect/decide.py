"""The template's own status from what the binding says of its members. Pure.

`observedGeneration` moves only when every target runs the current generation and said so (I13), or when one of them has
been in trouble for longer than the progress deadline: then the status says that this generation failed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from federation.api.binding import Decision
from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.hub.conditions import timestamp
from federation.hub.views import decision_of, lines_of
from federation.interpret import Trouble, aggregate, progress_deadline
from federation.schedule.moves import divides, goal_of, is_divided

_EXECUTE_KEYS = frozenset({
    "for", "epoch", "hash", "uid", "kept", "reason", "since", "plan", "change", "do", "error", "stale", "cut",
})  # fmt: skip
_PATIENT = frozenset({"Suspended", "Held"})
"""Reasons that wait for a human, who asked for it: no deadline passes meanwhile."""

Line = dict[str, str]


def plan(template: Manifest, binding: Manifest, *, now: float) -> Manifest | None:
    """The status to store on the template, or None where there is nothing to say (or nothing new)."""
    status = binding.get("status") or {}
    decision = status.get("decision")
    if not decision:
        return None
    lines, targets = _lines(binding), decision.get("targets") or {}
    if not lines:
        return None
    members = {
        name: _facts(lines[name]) if name in lines and _has_facts(lines[name]) else None
        for name in sorted({*targets, *lines})
    }
    generation = template["metadata"].get("generation") or 0
    caught_up = bool(targets) and all(
        _caught_up(lines.get(name), epoch=decision["epoch"], generation=generation) for name in targets
    )
    known = decision_of(binding)
    divided = known is not None and is_divided(known)
    troubles = _troubles(template, lines, targets, now=now)
    late = any(one.late for one in troubles.values())
    if known is not None and not late and _moving(known, lines) and _serves(template, known, lines):
        return None
    result = aggregate(
        template, members, caught_up=caught_up, now=timestamp(now), divided=divided, troubles=troubles,
        behind={name for name in targets if lines.get(name, {}).get("for") != str(generation)},
    )  # fmt: skip
    if result is None or _meaning(result) == _meaning(template.get("status") or {}):
        return None
    return result


def _moving(decision: Decision, lines: Mapping[str, Line]) -> bool:
    """Whether moves are open, or what the last step takes away is still there."""
    epoch = str(decision.epoch)
    return bool(decision.moves) or any(
        name not in decision.targets or line.get("epoch") != epoch for name, line in lines.items()
    )


def _serves(template: Manifest, decision: Decision, lines: Mapping[str, Line]) -> bool:
    """Whether all that is wanted is available while a move goes on: then what it holds on top of that is no news.

    Summed up, the surge of a move would read as a rollout that does not end, and cost a write for each of its steps.
    """
    if (template.get("status") or {}).get("observedGeneration") != template["metadata"].get("generation"):
        return False
    if not divides(decision):
        return all(lines.get(move.from_, {}).get("health") == "Healthy" for move in decision.moves)
    available = sum(int(line.get("available", "0")) for line in lines.values() if not line.get("stale"))
    return available >= sum(goal_of(decision).values())


def next_deadline(template: Manifest, binding: Manifest, *, now: float) -> float | None:
    """Seconds until the next member has been in trouble for too long; None while none is on its way there."""
    targets = ((binding.get("status") or {}).get("decision") or {}).get("targets") or {}
    troubles = _troubles(template, _lines(binding), targets, now=now).values()
    open_ = [_since(one.since) for one in troubles if not one.late and one.reason not in _PATIENT]
    return min((at + progress_deadline(template) - now for at in open_), default=None)


def _troubles(
    template: Manifest, lines: Mapping[str, Line], targets: Mapping[str, int], *, now: float
) -> dict[str, Trouble]:
    deadline = progress_deadline(template)
    return {
        name: Trouble(
            reason=line["reason"], since=line["since"], message=line.get("error", ""), stale="stale" in line,
            late=line["reason"] not in _PATIENT and now >= _since(line["since"]) + deadline,
        )
        for name, line in lines.items()
        if name in targets and line.get("reason") and line.get("since")
    }  # fmt: skip


def _since(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _lines(binding: Manifest) -> dict[str, Line]:
    return {name: parse_line(text) for name, text in lines_of(binding).items()}


def _meaning(value: Any) -> Any:
    """A status without zeros and empty fields: API servers drop some of them and write others."""
    if isinstance(value, dict):
        parts = ((key, _meaning(item)) for key, item in value.items())
        return {key: item for key, item in parts if item not in (None, 0, "", [], {})}
    if isinstance(value, list):
        return [_meaning(item) for item in value]
    return value


def _facts(line: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in line.items() if key not in _EXECUTE_KEYS}


def _has_facts(line: dict[str, str]) -> bool:
    return "health" in line


def _caught_up(line: dict[str, str] | None, *, epoch: int, generation: int) -> bool:
    """Whether a member runs this generation of the template by this decision, and its controllers have seen it."""
    if line is None or line.get("reason") or line.get("epoch") != str(epoch) or line.get("for") != str(generation):
        return False
    observed, _, wanted = line.get("generation", "").partition("/")
    return observed == wanted
