"""A plan for people: as text for a terminal, as Markdown for a pull request. One layout, two ways to draw it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from federation.hub.held import HeldChange
from federation.plan.changes import Change, Effect, Field
from federation.plan.outcome import Plan, Workload

FIELDS = 12
"""Differing fields of one object that are printed; the rest is a count."""
VALUE = 160
"""Characters of a value that are printed."""
_VERBS = {
    Effect.CREATE: "created", Effect.DELETE: "deleted", Effect.REPLACE: "replaced", Effect.RESTART: "restarted",
    Effect.SCALE: "scaled", Effect.CHANGE: "changed", Effect.RELEASE: "released", Effect.MARK: "marked anew",
}  # fmt: skip


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as data: what a pipeline reads."""
    return {
        "workloads": [_workload(one) for one in plan.workloads],
        "changes": [_change(one) for one in plan.changes],
        "held": [_held(one) for one in plan.held],
        "afterApproval": [_change(one) for one in plan.after_approval],
        "notes": list(plan.notes),
        "summary": headline(plan),
    }


def headline(plan: Plan) -> str:
    """The plan in one line."""
    if plan.empty:
        return "Nothing changes in any cluster."
    every = [*plan.changes, *plan.after_approval]
    clusters = len({one.cluster for one in every})
    counts = Counter(one.effect for one in every)
    words = ", ".join(f"{counts[effect]} {word}" for effect, word in _VERBS.items() if counts[effect])
    text = f"{len(every)} objects in {clusters} clusters: {words}." if every else "No object in any cluster changes."
    if plan.held:
        text += f" The brake holds {len(plan.held)} of these until fedctl approve."
    troubled = sum(bool(one.problems) for one in plan.workloads)
    return text + (f" {troubled} workloads meet a problem." if troubled else "")


def as_text(plan: Plan) -> str:
    """For a terminal."""
    lines = [headline(plan)]
    for name, block in _blocks(plan):
        lines += ["", name, *(f"  {line}" for line in block)]
    return "\n".join([*lines, *_notes(plan, "note: ")])


def as_markdown(plan: Plan) -> str:
    """For a comment on a pull request."""
    lines = ["### Federation plan", "", headline(plan)]
    for name, block in _blocks(plan):
        lines += ["", f"**{name}**", "", "```", *block, "```"]
    return "\n".join([*lines, *_notes(plan, "- ")])


def _notes(plan: Plan, sign: str) -> list[str]:
    return ["", *(f"{sign}{note}" for note in plan.notes)] if plan.notes else []


def _blocks(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """What happens, by the object that it happens to."""
    decided = {one.object: one for one in plan.workloads}
    written: dict[str, list[tuple[Change, bool]]] = defaultdict(list)
    for held, changes in ((False, plan.changes), (True, plan.after_approval)):
        for one in changes:
            written[one.object].append((one, held))
    for name in sorted(decided.keys() | written.keys()):
        lines = list(_decision(decided[name])) if name in decided else []
        yield name, [*lines, *_copies(written[name])]


def _decision(workload: Workload) -> Iterator[str]:
    before, after = workload.policy
    if before != after:
        yield f"policy: {before or 'none'} -> {after or 'none'}"
    elif after:
        yield f"policy: {after}"
    if workload.why:
        yield f"decided anew: {workload.why}"
    if workload.moved:
        yield f"targets: {_shares(workload.targets[0])} -> {_shares(workload.targets[1])}"
    for problem in workload.problems:
        yield f"PROBLEM: {problem}"


def _copies(written: list[tuple[Change, bool]]) -> Iterator[str]:
    fields: dict[tuple[Field, ...], list[str]] = defaultdict(list)
    for change, held in written:
        replicas = f" {change.replicas[0]} -> {change.replicas[1]}" if change.replicas else ""
        yield f"{change.cluster}: {change.effect}{replicas}{' (after approval)' if held else ''}"
        shown = tuple(
            one for one in change.fields if not (change.effect is Effect.SCALE and one.path == "spec.replicas")
        )
        if shown:
            fields[_hashable(shown)].append(change.cluster)
    for differing, clusters in fields.items():
        yield f"in {', '.join(dict.fromkeys(clusters))}:"
        yield from (f"  {one.path}: {_value(one.before)} -> {_value(one.after)}" for one in differing[:FIELDS])
        if len(differing) > FIELDS:
            yield f"  and {len(differing) - FIELDS} more fields"


def _hashable(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Equal differences are equal keys, whatever the values are made of."""
    return tuple(Field(one.path, _value(one.before), _value(one.after)) for one in fields)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= VALUE else f"{text[:VALUE]}..."


def _shares(shares: Any) -> str:
    return ", ".join(f"{name}={count}" for name, count in sorted(shares.items())) or "nowhere"


def _workload(one: Workload) -> dict[str, Any]:
    return {
        "object": one.object, "why": one.why, "problems": list(one.problems),
        "policy": {"before": one.policy[0], "after": one.policy[1]},
        "targets": {"before": dict(one.targets[0]), "after": dict(one.targets[1])},
    }  # fmt: skip


def _change(one: Change) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cluster": one.cluster, "effect": str(one.effect), "apiVersion": one.api_version, "kind": one.kind,
        "namespace": one.namespace, "name": one.name,
        "fields": [{"path": field.path, "before": field.before, "after": field.after} for field in one.fields],
    }  # fmt: skip
    if one.replicas is not None:
        found["replicas"] = {"before": one.replicas[0], "after": one.replicas[1]}
    return found


def _held(one: HeldChange) -> dict[str, str]:
    return {"cluster": one.cluster, "object": one.object, "what": one.what, "cause": one.cause, "plan": one.plan}
