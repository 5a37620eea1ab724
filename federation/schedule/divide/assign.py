"""From chosen candidates to replicas per cluster: the entry point of division (karmada.md 2.7.1 to 2.7.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.api.placement import ReplicaScheduling
from federation.policy.facts import ClusterFacts
from federation.schedule.divide.dynamic import AGGREGATED, DYNAMIC_WEIGHT, Room, assign_dynamic
from federation.schedule.divide.static import divide_static, static_rules
from federation.schedule.errors import no_clusters, unsupported_strategy

DUPLICATED = "Duplicated"
STATIC_WEIGHT = "StaticWeight"
STRATEGIES = (DUPLICATED, STATIC_WEIGHT, DYNAMIC_WEIGHT, AGGREGATED)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cluster that passed the filters, in ranked order. `free` is 0 where the strategy does not ask for it."""

    facts: ClusterFacts
    score: int = 0
    free: int = 0
    has: int = 0
    tier: int = 0
    """0 in the affinity group itself, n in its n-th overflow tier."""
    closed: bool = False
    """It keeps what it has and takes nothing new: an untolerated taint, as that of a member that does not answer."""

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.facts.name

    @property
    def available(self) -> int:
        """What is free together with what it has: the number that clusters are ranked by."""
        return self.free + self.has


def strategy_of(scheduling: ReplicaScheduling | None) -> str:
    """The strategy that a placement names; Duplicated without one, dynamic before static, Weighted before Aggregated."""
    if scheduling is None or scheduling.replica_scheduling_type == DUPLICATED:
        return DUPLICATED
    if scheduling.replica_division_preference == AGGREGATED:
        return AGGREGATED
    if scheduling.weight_preference is not None and scheduling.weight_preference.dynamic_weight:
        return DYNAMIC_WEIGHT
    return STATIC_WEIGHT


def counts_room(scheduling: ReplicaScheduling | None) -> bool:
    """Whether the strategy asks what is free: dynamic ones, and static weights that respect capacity."""
    preference = scheduling.weight_preference if scheduling is not None else None
    strategy = strategy_of(scheduling)
    return strategy in (DYNAMIC_WEIGHT, AGGREGATED) or (
        strategy == STATIC_WEIGHT and preference is not None and bool(preference.respect_capacity)
    )


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first: overflow tier, score, available, name (karmada.md 2.6.1)."""
    return sorted(candidates, key=lambda one: (one.tier, -one.score, -one.available, one.name))


def assign(
    replicas: int | None,
    candidates: Sequence[Candidate],
    *,
    strategy: str,
    scheduling: ReplicaScheduling | None = None,
    previous: Mapping[str, int],
    fresh: bool = False,
    uid: str = "",
) -> dict[str, int]:
    """Replicas by cluster; 0 for objects without replicas and for a workload at zero, which keeps its objects.

    Raises ScheduleError: no_clusters, unsupported_strategy, unschedulable.
    """
    if not candidates:
        raise no_clusters("no clusters are available")
    if strategy not in STRATEGIES:
        raise unsupported_strategy(f"replica division {strategy!r} is not one of {', '.join(STRATEGIES)}")
    names = [candidate.name for candidate in candidates]
    if not replicas:
        # At zero the objects stay where they are (DESIGN section 5): a later scale-up finds them there.
        divided = replicas is not None and strategy != DUPLICATED
        stay = [name for name in names if name in previous] if divided else []
        return dict.fromkeys(stay or names, 0)
    if strategy == DUPLICATED:
        return dict.fromkeys(names, replicas)
    if strategy == STATIC_WEIGHT:
        shares = _static(replicas, candidates, scheduling, uid=uid)
    else:
        rooms = [Room(candidate.name, candidate.free) for candidate in candidates]
        shares = assign_dynamic(strategy, replicas, rooms, previous=previous, fresh=fresh, uid=uid)
    return {name: count for name, count in shares.items() if count}


def _static(
    replicas: int, candidates: Sequence[Candidate], scheduling: ReplicaScheduling | None, *, uid: str
) -> dict[str, int]:
    preference = scheduling.weight_preference if scheduling is not None else None
    rules = static_rules(
        [candidate.facts for candidate in candidates], preference.static_weight_list if preference else None
    )
    limits = {name: rule.max_replicas for name, rule in rules.items() if rule and rule.max_replicas is not None}
    if preference is not None and preference.respect_capacity:
        fits = {one.name: one.available for one in candidates if one.name in rules}
        limits = {name: min(room, limits.get(name, room)) for name, room in fits.items()}
    return divide_static(
        replicas,
        {name: rule.weight if rule else 1 for name, rule in rules.items()},
        floors={name: rule.min_replicas for name, rule in rules.items() if rule and rule.min_replicas},
        limits=limits, uid=uid,
    )  # fmt: skip
