"""What a propagation policy says of itself: what it claims, lost and took, what is placed, what is not, what waits, why. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from federation.api.meta import Manifest
from federation.api.words import first
from federation.hub.conditions import condition
from federation.hub.policies import Policy

FIRST = 10
"""Lines that a list holds; one more says how many are left out."""
LINE = 256
"""Characters of one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the looks at templates found out about one policy: texts by template, as `Deployment shop/web`."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Why the object is not its own: which policy has it, and by which rule."""
    preempted: Mapping[str, str] = field(default_factory=dict)
    """From which policy it takes the object."""
    never: Mapping[str, str] = field(default_factory=dict)
    """Why the object is not propagated."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Why the policy does not act for the object yet."""


def policy_status(
    policy: Policy, stored: Manifest, *, bindings: Sequence[Manifest], found: Found, now: float
) -> Manifest:
    """The status to store. `bindings` are those that name the policy."""
    unplaced = [line for line in (_unplaced(binding) for binding in bindings) if line]
    waiting = [f"{name}: {why}" for name, why in found.waiting.items()]
    if policy.violations:
        status, reason = "False", "Invalid"
        message = "; ".join(f"{one.field}: {one.message}" for one in policy.violations)
    elif policy.missing:
        kind = "OverridePolicy" if policy.facts.namespace else "ClusterOverridePolicy"
        status, reason = "False", "OverridesMissing"
        message = f"there is no {kind} {', '.join(policy.missing)}; until then nothing of this policy takes effect"
    elif unplaced:
        status, reason, message = "False", "NotPlaced", "; ".join(bounded(unplaced))
    elif waiting:
        status, reason, message = "True", "Waiting", "; ".join(bounded(waiting))
    else:
        status, reason, message = "True", "Placed" if bindings else "NothingSelected", ""
    result: Manifest = {
        "observedGeneration": policy.facts.generation,
        "claimed": len(bindings),
        "placed": len(bindings) - len(unplaced),
        "waiting": len(waiting),
        "neverPropagated": len(found.never),
        "conditions": conditions(
            stored, status=status, reason=reason, message=message, stalled=bool(policy.violations),
            generation=policy.facts.generation, now=now,
        ),
    }  # fmt: skip
    lists = {
        "lost": [f"{name}: {why}" for name, why in found.lost.items()],
        "preempted": [f"{name} from {loser}" for name, loser in found.preempted.items()],
        "notPlaced": unplaced,
        "waitingFor": waiting,
    }
    return result | {name: bounded(lines) for name, lines in lists.items() if lines}


def conditions(
    stored: Manifest, *, status: str, reason: str, message: str, stalled: bool, generation: int, now: float
) -> list[Manifest]:
    """Ready and Stalled, as kstatus reads them: Stalled is what only an edit can mend."""
    before = {entry["type"]: entry for entry in stored.get("conditions") or []}
    ready = condition(
        before.get("Ready"), kind="Ready", status=status, reason=reason, message=message, generation=generation, now=now
    )
    return [
        ready,
        condition(
            before.get("Stalled"), kind="Stalled", status="True" if stalled else "False",
            reason=reason if stalled else "Valid", message="", generation=generation, now=now,
        ),
    ]  # fmt: skip


def bounded(lines: Iterable[str]) -> list[str]:
    """The first ten lines in order, each within the bound of a status, and how many more there are."""
    return first([line[:LINE] for line in sorted(lines)], FIRST)


def _unplaced(binding: Manifest) -> str | None:
    status, resource = binding.get("status") or {}, binding["spec"]["resource"]
    scheduled = next((entry for entry in status.get("conditions") or [] if entry["type"] == "Scheduled"), None)
    if scheduled is None:
        return f"{resource['kind']} {resource['name']}: it is not scheduled yet"
    if scheduled["status"] == "True":
        return None
    return f"{resource['kind']} {resource['name']}: {scheduled['reason']}: {scheduled['message']}"
