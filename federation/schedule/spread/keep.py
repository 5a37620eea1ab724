"""Keep what is placed while a workload grows: clusters are added to those that have it, none is exchanged. Pure.

The best selection for a bigger number may be another one, by weight or because it has the room. Then replicas that are placed well would
move for a change that only asked for more; so that answer counts only where adding clusters satisfies no constraint (T1).
"""

from collections.abc import Sequence

from federation.api.placement import SpreadConstraint
from federation.schedule.divide.assign import Candidate
from federation.schedule.spread.constraint import Bound, read
from federation.schedule.spread.weight import room


def grow(
    candidates: Sequence[Candidate], constraints: Sequence[SpreadConstraint], *, replicas: int
) -> list[Candidate] | None:
    """The candidates that have the work and, by rank, as few more as satisfy every constraint and have room; None if none do."""
    cluster, keys = read(constraints)
    bounds = [cluster, *keys]
    chosen = [one for one in candidates if one.has]
    rest = [one for one in candidates if not one.has]
    while True:
        touched = {bound: _groups(bound, chosen) for bound in bounds}
        if any(bound.most is not None and len(groups) > bound.most for bound, groups in touched.items()):
            return None
        short = [bound for bound, groups in touched.items() if len(groups) < bound.least]
        if not short and sum(room(one) for one in chosen) >= replicas:
            return chosen
        following = next((one for one in rest if _helps(one, touched, short)), None)
        if following is None:
            return None
        chosen.append(following)
        rest.remove(following)


def _groups(bound: Bound, chosen: Sequence[Candidate]) -> frozenset[str]:
    return frozenset(group for one in chosen for group in bound.groups_of(one.facts))


def _helps(one: Candidate, touched: dict[Bound, frozenset[str]], short: Sequence[Bound]) -> bool:
    """Whether a candidate breaks no upper bound, and gives a group that is missing (or, where none is, room)."""
    for bound, groups in touched.items():
        own = bound.groups_of(one.facts)
        if not own or (bound.most is not None and len(groups.union(own)) > bound.most):
            return False
    if short:
        return any(touched[bound].isdisjoint(bound.groups_of(one.facts)) for bound in short)
    return room(one) > 0
