"""What a binding says of its members: one line a cluster, two conditions, a summary. Pure.

A line is written from what was done (the outcome of the last step) and what the copy shows (facts). Where nothing has
been found out yet, the stored line stays: a restart never forgets (I14).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from federation.api.binding import Decision
from federation.api.lines import AWAY, parse_line, print_line
from federation.api.meta import Manifest
from federation.hub.binding_status import FULLY_APPLIED
from federation.hub.brake import Verdict
from federation.hub.conditions import condition, timestamp
from federation.hub.held import HELD, Change
from federation.hub.views import lines_of
from federation.interpret import summary_of

NAMED = 5
"""Clusters that a summary names; the rest is a count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of the last step for one copy. `reason` is empty when the copy is as it should be."""

    epoch: int
    generation: int
    """Generation of the template that the copy was rendered from."""
    hash: str = ""
    kept: str = ""
    reason: str = ""
    message: str = ""
    gone: bool = False
    """The copy is proven absent and should be."""
    held: Change | None = None
    """What the brake holds, with the reason Held."""


def held_outcome(change: Change, verdict: Verdict, epoch: int, generation: int) -> tuple[Outcome | None, float | None]:
    """(what to say of a copy that the brake stopped, seconds until it is asked again): Held waits for a human."""
    if verdict is Verdict.LATER:
        return None, 1.0
    return Outcome(epoch=epoch, generation=generation, reason=HELD, message=change.cause.text, held=change), None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The parts of binding.status that execute writes."""

    lines: dict[str, str]
    applied: Manifest
    ready: Manifest
    summary: str
    ready_count: int
    settled: bool
    """Everything applied and healthy, or refused: nothing is on its way."""


def line(outcome: Outcome, facts: Mapping[str, str] | None, *, uid: str, stored: str, now: float) -> str:
    """One member's line. While a member cannot be read, its last facts are kept; while it is away, they are stale.

    `since` says when the reason began; it is kept while the reason stays.
    """
    fields: dict[str, str] = {}
    known = parse_line(stored) if stored else {}
    if outcome.reason:
        fields["reason"] = outcome.reason
        if outcome.held is not None:
            fields.update({"plan": outcome.held.cause.plan, "change": outcome.held.id, "do": outcome.held.what})
        began = known.get("since") if known.get("reason") == outcome.reason else None
        fields["since"] = began or timestamp(now)
    shown = facts if facts is not None else _facts_of_line(stored)
    fields.update(shown)
    if outcome.reason in AWAY and shown:
        fields["stale"] = "true"
    if outcome.reason:
        fields.update({key: known[key] for key in _OURS if key in known})
    else:
        fields.update({"for": str(outcome.generation), "epoch": str(outcome.epoch), "hash": outcome.hash})
        if outcome.kept:
            fields["kept"] = outcome.kept
    if uid:
        fields["uid"] = uid
    if outcome.message:
        fields["error"] = outcome.message
    return print_line(fields)


_OURS = ("for", "epoch", "hash", "uid", "kept")
_NOT_FACTS = {*_OURS, "reason", "since", "plan", "change", "do", "error", "stale", "cut"}


def _facts_of_line(stored: str) -> dict[str, str]:
    return {key: value for key, value in parse_line(stored).items() if key not in _NOT_FACTS} if stored else {}


def report(binding: Manifest, *, decision: Decision, lines: dict[str, str], generation: int, now: float) -> Report:
    """Conditions and summary from the lines. `generation`: the template's."""
    parsed = {name: parse_line(text) for name, text in lines.items()}
    conditions = {entry["type"]: entry for entry in binding["status"]["conditions"]}
    observed = binding["metadata"]["generation"]
    problems: list[str] = []
    reason = ""
    for name in sorted(decision.targets.keys() | parsed.keys()):
        word, text = _problem(name, parsed.get(name), decision, generation)
        if word:
            problems.append(f"{name}: {text or word}")
            reason = reason if reason not in ("", "Applying") else word
    unhealthy = [
        name for name in sorted(decision.targets) if parsed.get(name, {}).get("health", "Unknown") != "Healthy"
    ]
    applied = condition(
        conditions.get("FullyApplied"), kind="FullyApplied", status="False" if problems else "True",
        reason=reason or "Applied", message="; ".join(problems), generation=observed, now=now,
    )  # fmt: skip
    if problems:
        ready_status, ready_reason, ready_message = "False", reason, "; ".join(problems)
    elif unhealthy:
        ready_status, ready_reason = "False", _worst(parsed, unhealthy)
        ready_message = f"not healthy in {', '.join(unhealthy[:10])}"
    else:
        ready_status, ready_reason, ready_message = "True", "Ready", ""
    ready = condition(
        conditions.get("Ready"), kind="Ready", status=ready_status, reason=ready_reason, message=ready_message,
        generation=observed, now=now,
    )  # fmt: skip
    return Report(
        lines=lines,
        applied=applied,
        ready=ready,
        summary=summary(parsed),
        ready_count=_ready_count(decision, parsed),
        settled=not unhealthy and reason != "Applying",
    )


def summary(parsed: Mapping[str, Mapping[str, str]]) -> str:
    """`m1 1/1, m2 2/2 stale, +18`."""
    names = sorted(parsed)
    shown = [f"{name} {_in_short(parsed[name])}" for name in names[:NAMED]]
    more = [f"+{len(names) - NAMED}"] if len(names) > NAMED else []
    return ", ".join([*shown, *more])


def _in_short(fields: Mapping[str, str]) -> str:
    """Numbers, and what is wrong: those of a member that is away are the last known ones."""
    reason = fields.get("reason", "")
    if fields.get("stale"):
        return f"{summary_of(fields)} stale ({reason})"
    return reason or summary_of(fields)


def ending(binding: Manifest, outcomes: Mapping[str, Outcome], *, now: float) -> tuple[dict[str, str], Manifest]:
    """Lines and FullyApplied of a binding that ends: only what the brake holds is told; else it is gone in a moment."""
    status, before = binding["status"], lines_of(binding)
    lines = dict(before)
    for cluster, outcome in outcomes.items():
        stored = lines.get(cluster, "")
        if outcome.held is not None:
            lines[cluster] = line(outcome, None, uid=outcome.held.uid, stored=stored, now=now)
        elif outcome.gone and parse_line(stored).get("reason") == HELD:
            del lines[cluster]
    held = {name: fields for name, text in sorted(lines.items()) if (fields := parse_line(text)).get("reason") == HELD}
    if lines == before:
        return lines, status["conditions"][FULLY_APPLIED]
    applied = condition(
        status["conditions"][FULLY_APPLIED], kind="FullyApplied", status="False", reason=HELD if held else "Removing",
        message="; ".join(f"{name}: {problem_text(fields)}" for name, fields in held.items()),
        generation=binding["metadata"]["generation"], now=now,
    )  # fmt: skip
    return lines, applied


def problem_text(fields: Mapping[str, str]) -> str:
    """What a line with a reason says to people; of what the brake holds also how to let it go."""
    if fields.get("reason") != HELD:
        return fields.get("error", "")
    return f"{fields.get('do')} held by the brake: {fields.get('error')}; to let it go: fedctl approve {fields.get('plan')}"


def _problem(name: str, fields: Mapping[str, str] | None, decision: Decision, generation: int) -> tuple[str, str]:
    if fields is None:
        return "Applying", "nothing applied yet"
    if fields.get("reason"):
        return fields["reason"], problem_text(fields)
    if name not in decision.targets:
        return "Removing", "the copy is still there"
    if fields.get("epoch") != str(decision.epoch) or fields.get("for") != str(generation):
        return "Applying", "the current template is not applied yet"
    return "", ""


def _worst(parsed: Mapping[str, Mapping[str, str]], names: list[str]) -> str:
    words = [parsed.get(name, {}).get("health", "Unknown") for name in names]
    return next((word for word in ("Unhealthy", "Progressing") if word in words), "Unknown")


def _ready_count(decision: Decision, parsed: Mapping[str, Mapping[str, str]]) -> int:
    if orjson.loads(decision.inputs).get("replicas") is not None:
        return sum(
            int(fields.get("ready", "0") or "0") for fields in parsed.values() if fields.get("ready", "0").isdigit()
        )
    return sum(1 for name in decision.targets if parsed.get(name, {}).get("health") == "Healthy")
