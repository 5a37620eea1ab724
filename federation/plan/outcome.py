"""The plan itself: what becomes of each workload, each copy, and what the hub would stop. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.hub.held import HeldChange
from federation.hub.views import condition, decision_of, lines_of, template_text
from federation.plan.changes import Change, Effect

_TROUBLE = frozenset(("AlreadyExists", "OverrideFailed", "KindMissing", "Forbidden", "Rejected", "Invalid"))
"""Reasons in a member's line that do not go away by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is decided anew for one template. None before or after: it has no binding then."""

    object: str
    policy: tuple[str, str]
    """Who claims it, before and after; empty for nobody."""
    targets: tuple[Mapping[str, int], Mapping[str, int]]
    why: str
    """What caused the decision."""
    problems: tuple[str, ...] = ()
    """What stands in its way, if that is new."""

    @property
    def moved(self) -> bool:
        """Whether it is somewhere else, or its shares differ."""
        return dict(self.targets[0]) != dict(self.targets[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a change does."""

    workloads: tuple[Workload, ...]
    changes: tuple[Change, ...]
    """What is written to members at once."""
    held: tuple[HeldChange, ...] = ()
    """What the brake stops until somebody approves it."""
    after_approval: tuple[Change, ...] = ()
    """What is written once all of that is approved."""
    notes: tuple[str, ...] = field(default=())

    @property
    def empty(self) -> bool:
        """Whether nothing happens: no decision, and no write to any member."""
        return not (self.workloads or self.changes or self.held or self.after_approval)

    @property
    def stopped(self) -> bool:
        """Whether something needs a look: the brake holds, or a workload meets a problem."""
        return bool(self.held) or any(one.problems for one in self.workloads)

    def count(self, effect: Effect) -> int:
        """Copies of that effect, held or not."""
        return sum(one.effect is effect for one in (*self.changes, *self.after_approval))


def workloads(before: Iterable[Manifest], after: Iterable[Manifest]) -> tuple[Workload, ...]:
    """What differs between the bindings."""
    old, new = ({_key(one): one for one in bindings} for bindings in (before, after))
    found = (_workload(old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys()))
    return tuple(one for one in found if one is not None)


def _key(binding: Manifest) -> tuple[str, str]:
    return template_text(binding), binding["metadata"]["name"]


def _workload(old: Manifest | None, new: Manifest | None) -> Workload | None:
    either = new or old
    assert either is not None
    policies, targets = (_policy(old), _policy(new)), (_targets(old), _targets(new))
    known = set(_problems(old))
    problems = tuple(one for one in _problems(new) if one not in known)
    if policies[0] == policies[1] and targets[0] == targets[1] and not problems and _inputs(old) == _inputs(new):
        return None
    decision = decision_of(new) if new is not None else None
    why = decision.trigger if decision is not None and _epoch(old) != decision.epoch else ""
    if new is None:
        why = "TemplateDeleted"
    return Workload(object=template_text(either), policy=policies, targets=targets, why=why, problems=problems)


def _policy(binding: Manifest | None) -> str:
    reference = ((binding or {}).get("spec") or {}).get("policy") or {}
    if not reference:
        return ""
    place = f"{reference['namespace']}/" if reference.get("namespace") else ""
    return f"{reference['kind']} {place}{reference['name']}"


def _targets(binding: Manifest | None) -> dict[str, int]:
    decision = decision_of(binding) if binding is not None else None
    return dict(decision.targets) if decision is not None else {}


def _epoch(binding: Manifest | None) -> int:
    decision = decision_of(binding) if binding is not None else None
    return decision.epoch if decision is not None else 0


def _inputs(binding: Manifest | None) -> object:
    """What was decided from, but for the template's UID: a workload that is decided anew alike is still decided anew."""
    decision = decision_of(binding) if binding is not None else None
    found = orjson.loads(decision.inputs) if decision is not None and decision.inputs else {}
    return {key: value for key, value in found.items() if key != "template"}


def _problems(binding: Manifest | None) -> list[str]:
    if binding is None:
        return []
    found = []
    scheduled = condition(binding, "Scheduled")
    if scheduled is not None and scheduled["status"] == "False":
        found.append(f"{scheduled['reason']}: {scheduled.get('message') or ''}".rstrip(": "))
    for cluster, text in sorted(lines_of(binding).items()):
        line = parse_line(text)
        if line.get("reason") in _TROUBLE:
            found.append(f"{cluster}: {line['reason']}: {line.get('error', '')}".rstrip(": "))
    return found
