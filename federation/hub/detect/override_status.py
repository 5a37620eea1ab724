"""What an override policy says of itself: how many objects it concerns in how many clusters, and what it cannot do. Pure.

What cannot be done is not found out here: execute renders, and its line in the binding says `OverrideFailed` with the
policy's name. So there is one rendering, and the status shows what really happened to the copies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.hub.detect.policy_status import bounded, conditions
from federation.hub.policies import Override
from federation.hub.views import lines_of
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.override.apply import describe
from federation.policy.override.order import concerns, rules_of
from federation.policy.selectors import cluster_matches

FAILED = "OverrideFailed"
"""The reason in a member's line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one override policy does to one placed object."""

    obj: str
    """`Deployment web`."""
    clusters: frozenset[str]
    """Targets for which it has a rule."""
    problems: tuple[tuple[str, str], ...] = ()
    """(cluster, what failed there)."""


def effects(
    binding: Manifest, obj: ObjectFacts, overrides: Iterable[Override], clusters: Mapping[str, ClusterFacts]
) -> dict[str, Effect]:
    """UID of each override policy that concerns a placed object -> what it does to it."""
    decision = (binding.get("status") or {}).get("decision") or {}
    targets = [clusters[name] for name in decision.get("targets") or {} if name in clusters]
    failed = {name: fields["error"] for name, fields in _failed(binding)}
    found: dict[str, Effect] = {}
    for override in overrides:
        if not concerns(override.facts, obj):
            continue
        reached = frozenset(
            cluster.name
            for cluster in targets
            if any(cluster_matches(rule.target_cluster, cluster) for rule in rules_of(override.facts.spec))
        )
        own = f"{describe(override.facts)}: "
        problems = tuple(
            (name, error.removeprefix(own)) for name, error in sorted(failed.items()) if error.startswith(own)
        )
        if reached or problems:
            found[override.uid] = Effect(obj=f"{obj.kind} {_place(obj)}", clusters=reached, problems=problems)
    return found


def override_status(override: Override, stored: Manifest, *, effects: Iterable[Effect], now: float) -> Manifest:
    """The status to store, from what the policy does to each object."""
    own = list(effects)
    problems = [f"{one.field}: {one.message}" for one in override.violations]
    failing = list(_by_message(own))
    if problems:
        status, reason = "False", "Invalid"
    elif failing:
        status, reason = "False", FAILED
    else:
        status, reason = "True", "Applied" if own else "NothingSelected"
    shown = bounded([*problems, *failing])
    result: Manifest = {
        "observedGeneration": override.generation,
        "objects": len(own),
        "clusters": len(frozenset().union(*(one.clusters for one in own))),
        "conditions": conditions(
            stored, status=status, reason=reason, message="; ".join(shown), stalled=bool(shown),
            generation=override.generation, now=now,
        ),
    }  # fmt: skip
    return result | ({"problems": shown} if shown else {})


def _failed(binding: Manifest) -> Iterable[tuple[str, dict[str, str]]]:
    for name, text in lines_of(binding).items():
        fields = parse_line(text)
        if fields.get("reason") == FAILED and "error" in fields:
            yield name, fields


def _by_message(effects: Iterable[Effect]) -> Iterable[str]:
    """One line for an object and a failure, whatever the number of clusters that it happens in."""
    for effect in effects:
        for message in sorted({message for _, message in effect.problems}):
            names = [name for name, said in effect.problems if said == message]
            yield f"{effect.obj} in {', '.join(bounded(names))}: {message}"


def _place(obj: ObjectFacts) -> str:
    return f"{obj.namespace}/{obj.name}" if obj.namespace else obj.name
