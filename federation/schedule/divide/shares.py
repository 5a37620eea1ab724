"""The shares of one binding: pinned ones first, closed clusters at most what they have, the rest by the strategy. Pure.

Overflow tiers are filled in their order, each by the strategy, with what has room there (karmada.md 2.7.2). As the tiers before are
filled first at every decision, overflow comes back by itself.
"""

from collections.abc import Mapping, Sequence

from federation.api.placement import ReplicaScheduling
from federation.schedule.divide.assign import DUPLICATED, Candidate, assign
from federation.schedule.errors import unschedulable
from federation.schedule.snapshot import BindingView


def divide(binding: BindingView, candidates: Sequence[Candidate], *, strategy: str) -> dict[str, int]:
    """Replicas by cluster. Raises ScheduleError: no_clusters, unsupported_strategy, unschedulable."""
    if not binding.replicas or strategy == DUPLICATED:
        return _assign(binding, binding.replicas, candidates, strategy, {})
    fixed = _pinned(binding, candidates)
    # New replicas go where somebody answers: a closed cluster's share counts as held, it never grows (issue: I14).
    while True:
        open_ones = [one for one in candidates if one.name not in fixed]
        left = binding.replicas - sum(fixed.values())
        if not open_ones:
            if left:
                raise unschedulable(f"{left} replicas have no cluster: every candidate has a fixed share {fixed}")
            return {name: count for name, count in sorted(fixed.items()) if count}
        shares = _assign(binding, left, open_ones, strategy, fixed) if left else {}
        over = {one.name: one.has for one in open_ones if one.closed and shares.get(one.name, 0) > one.has}
        if not over or len(over) == len(open_ones):
            return {name: count for name, count in sorted({**shares, **fixed}.items()) if count}
        fixed |= over


def _pinned(binding: BindingView, candidates: Sequence[Candidate]) -> dict[str, int]:
    names = {one.name for one in candidates}
    refused = sorted(name for name, count in binding.pin.items() if count and name not in names)
    if refused:
        raise unschedulable(f"pinned to {', '.join(refused)}, which the placement or a filter refuses")
    fixed = {name: count for name, count in binding.pin.items() if name in names}
    if sum(fixed.values()) > (binding.replicas or 0):
        raise unschedulable(
            f"the pinned shares are {sum(fixed.values())}, more than the {binding.replicas} replicas wanted"
        )
    return fixed


def _assign(
    binding: BindingView, replicas: int | None, candidates: Sequence[Candidate], strategy: str, fixed: Mapping[str, int]
) -> dict[str, int]:
    previous = {name: count for name, count in binding.targets.items() if name not in fixed}
    return assign_tiers(
        replicas, candidates, strategy=strategy, scheduling=binding.placement.replica_scheduling, previous=previous,
        fresh=binding.fresh, uid=binding.key,
    )  # fmt: skip


def assign_tiers(
    replicas: int | None,
    candidates: Sequence[Candidate],
    *,
    strategy: str,
    scheduling: ReplicaScheduling | None = None,
    previous: Mapping[str, int],
    fresh: bool = False,
    uid: str = "",
) -> dict[str, int]:
    """`assign` for candidates of several tiers. Raises ScheduleError; unschedulable when all tiers are full."""
    if not replicas or not any(one.tier for one in candidates):
        return assign(
            replicas, candidates, strategy=strategy, scheduling=scheduling, previous=previous, fresh=fresh, uid=uid
        )
    shares: dict[str, int] = {}
    left = replicas
    for tier in sorted({one.tier for one in candidates}):
        inside = [one for one in candidates if one.tier == tier]
        part = min(left, sum(one.available for one in inside))
        if part:
            shares |= assign(
                part, inside, strategy=strategy, scheduling=scheduling, previous=previous, fresh=fresh, uid=uid
            )
        left -= part
    if left:
        offer = ", ".join(f"{one.name} {one.available}" for one in candidates[:10])
        raise unschedulable(f"{left} of {replicas} replicas fit in no tier; what fits: {offer}")
    return shares
