"""Which policy claims an object, who loses it and why, and what would have claimed an object that nobody claims.

Order: a living policy that claims the object and still selects it keeps it (DESIGN section 5), unless one that preempts takes
it (karmada.md 3.1.6); else PropagationPolicies come before ClusterPropagationPolicies, then explicit priority (higher first),
selector priority (name, label, kind), name in alphabetical order (karmada.md 3.1.2). The order is total, so the answer does
not depend on the order of arrival.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from federation.api.propagation import ResourceSelector
from federation.policy.facts import ObjectFacts
from federation.policy.never import is_reserved_namespace
from federation.policy.selectors import KIND, LABEL, NAME, NONE, selector_terms, selectors_priority

NAMESPACED_KIND: Final = "PropagationPolicy"
CLUSTER_KIND: Final = "ClusterPropagationPolicy"

_BY = {KIND: "kind", LABEL: "label", NAME: "name"}


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """The policy that claims an object now, as its binding records it. An empty uid matches any."""

    kind: str
    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What the claim rules see of a PropagationPolicy or ClusterPropagationPolicy. `namespace` is empty for the latter."""

    kind: str
    namespace: str
    name: str
    uid: str = ""
    priority: int = 0
    preempts: bool = False
    """`preemption: Always`: it takes the objects that it names from policies below it."""
    selectors: tuple[ResourceSelector, ...] = field(default=(), hash=False)
    generation: int = 0
    changed: str = ""
    """When its content changed last, as the API server writes times."""

    def is_(self, reference: PolicyRef) -> bool:
        """Whether this is the policy that a binding refers to (a namesake made later is another one)."""
        same_name = (self.kind, self.namespace, self.name) == (reference.kind, reference.namespace, reference.name)
        return same_name and reference.uid in {"", self.uid}

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer for one object."""

    winner: PolicyFacts | None
    losers: list[tuple[PolicyFacts, str]] = field(default_factory=list)
    """Policies that select the object too, best first, each with why it does not get it."""
    obj: ObjectFacts | None = None
    considered: Sequence[PolicyFacts] = ()

    @property
    def nearest(self) -> tuple[PolicyFacts, str] | None:
        """For an unclaimed object: the policy that comes closest and its first failing term in words.

        Computed when asked: most objects are asked about by nobody.
        """
        if self.winner is not None or self.obj is None:
            return None
        return _nearest(self.obj, self.considered)


def choose(obj: ObjectFacts, policies: Sequence[PolicyFacts], current: PolicyRef | None) -> Claim:
    """The policy that claims `obj` among `policies` (the living, usable ones), `current` being the one that has it."""
    candidates: list[tuple[int, PolicyFacts]] = []
    for policy in policies:
        priority = selectors_priority(policy.selectors, obj) if out_of_scope(policy, obj) is None else NONE
        if priority != NONE:
            candidates.append((priority, policy))
    if not candidates:
        return Claim(winner=None, obj=obj, considered=policies)
    candidates.sort(key=_rank)
    keeper = next((entry for entry in candidates if current is not None and entry[1].is_(current)), None)
    best = candidates[0] if keeper is None else next((one for one in candidates if _takes(one, keeper)), keeper)
    losers = [
        (entry[1], _reason(entry, best, keeps=best is keeper))
        for entry in candidates
        if entry is not best
    ]  # fmt: skip
    return Claim(winner=best[1], losers=losers, obj=obj, considered=policies)


def out_of_scope(policy: PolicyFacts, obj: ObjectFacts) -> str | None:
    """Why the policy can never claim the object whatever its selectors say, or None (karmada.md 1.1.2)."""
    if policy.kind == NAMESPACED_KIND:
        if not obj.namespace:
            return "a PropagationPolicy selects no cluster-scoped objects; use a ClusterPropagationPolicy"
        if policy.namespace != obj.namespace:
            return f"a PropagationPolicy selects in its own namespace {policy.namespace} only, not in {obj.namespace}"
        return None
    if is_reserved_namespace(obj.namespace):
        return f"namespace {obj.namespace} is reserved"
    return None


def preempts(policy: PolicyFacts, other: PolicyFacts) -> bool:
    """Whether a policy takes a named object from the one that has it (karmada.md 3.1.6).

    A PropagationPolicy from any ClusterPropagationPolicy, never the other way round; among equals the higher priority from
    the lower one; equal priority never.
    """
    if not policy.preempts:
        return False
    if policy.kind != other.kind:
        return policy.kind == NAMESPACED_KIND
    return policy.priority > other.priority


def _takes(entry: tuple[int, PolicyFacts], keeper: tuple[int, PolicyFacts]) -> bool:
    priority, policy = entry
    return priority == NAME and preempts(policy, keeper[1])


def _rank(entry: tuple[int, PolicyFacts]) -> tuple[bool, int, int, str, str, str]:
    priority, policy = entry
    return (policy.kind != NAMESPACED_KIND, -policy.priority, -priority, policy.name, policy.namespace, policy.uid)


def _reason(loser: tuple[int, PolicyFacts], winner: tuple[int, PolicyFacts], *, keeps: bool) -> str:
    """Why the loser does not get the object: the first term of the order in which the two differ."""
    (lost_match, lost), (won_match, won) = loser, winner
    if keeps and _rank(loser) < _rank(winner):
        return f"{won} claimed it first and keeps it while it selects it"
    if won_match == NAME and preempts(won, lost):
        above = "" if lost.kind != won.kind else f": its priority {won.priority} is above {lost.priority}"
        return f"{won} takes it with preemption: Always{above}"
    if lost.kind != won.kind:
        return f"{won} comes first: a {NAMESPACED_KIND} precedes a {CLUSTER_KIND}"
    if lost.priority != won.priority:
        return f"{won} comes first: its priority {won.priority} is above {lost.priority}"
    if lost_match != won_match:
        return f"{won} comes first: it matches by {_BY[won_match]}, this one by {_BY[lost_match]}"
    return f"{won} comes first in alphabetical order"


def _nearest(obj: ObjectFacts, policies: Sequence[PolicyFacts]) -> tuple[PolicyFacts, str] | None:
    best: tuple[tuple[int, str, str, str], PolicyFacts, str] | None = None
    for policy in policies:
        scope = out_of_scope(policy, obj)
        for selector in policy.selectors:
            terms = [scope, *selector_terms(selector, obj)]
            failing = next((term for term in terms if term is not None), None)
            if failing is None:
                continue
            rank = (-sum(term is None for term in terms), policy.kind, policy.namespace, policy.name)
            if best is None or rank < best[0]:
                best = (rank, policy, f"{policy}: {failing}")
    return (best[1], best[2]) if best else None
