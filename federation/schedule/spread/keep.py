"""Keep what is placed while a workload grows: clusters are added to those that have it, none is exchanged. Pure.

The best selection for a bigger number may be another one, by weight or because it has the room. Then replicas that are placed well would
move for a change that only asked for more (T1). So that answer does not count: clusters are added, or there is no place for more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from federation.api.placement import SpreadConstraint
from federation.schedule.divide.assign import Candidate
from federation.schedule.spread.constraint import Bound, read
from federation.schedule.spread.weight import room

LOOKS = 800
"""Sets of clusters that are looked at before it counts as impossible; the first path of additions by rank nearly always ends well."""


def grow(
    candidates: Sequence[Candidate], constraints: Sequence[SpreadConstraint], *, replicas: int
) -> list[Candidate] | None:
    """The candidates that have the work and, by rank, more that satisfy every constraint and have room; None if none do."""
    cluster, keys = read(constraints)
    held = [one for one in candidates if one.has]
    search = _Search(bounds=(cluster, *keys), replicas=replicas, looks=LOOKS)
    return search.extend(held, [one for one in candidates if not one.has])


def breaks(held: Sequence[Candidate], constraints: Sequence[SpreadConstraint]) -> bool:
    """Whether these clusters are in more groups than a constraint allows."""
    cluster, keys = read(constraints)
    return any(bound.most is not None and len(_groups(bound, held)) > bound.most for bound in (cluster, *keys))


@dataclass(slots=True)
class _Search:
    """Additions by rank, depth first, each set once."""

    bounds: tuple[Bound, ...]
    replicas: int
    looks: int

    def extend(self, chosen: list[Candidate], rest: Sequence[Candidate]) -> list[Candidate] | None:
        self.looks -= 1
        touched = {bound: _groups(bound, chosen) for bound in self.bounds}
        if any(bound.most is not None and len(groups) > bound.most for bound, groups in touched.items()):
            return None
        short = [bound for bound, groups in touched.items() if len(groups) < bound.least]
        lacking = self.replicas - sum(room(one) for one in chosen)
        if not short and lacking <= 0:
            return chosen
        if lacking > sum(room(one) for one in rest):
            return None
        for at, one in enumerate(rest):
            if self.looks <= 0:
                return None
            if _helps(one, touched, short):
                found = self.extend([*chosen, one], rest[at + 1 :] if not short else [*rest[:at], *rest[at + 1 :]])
                if found is not None:
                    return found
        return None


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
