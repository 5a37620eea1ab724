"""The clusters grouped by every key that a placement spreads by, coarsest key first."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from federation.schedule.divide.assign import Candidate
from federation.schedule.spread.constraint import Bound
from federation.schedule.spread.groups import Group
from federation.schedule.spread.weight import Demand, group_weight, room

Places = tuple[tuple[str, ...], ...]
"""The groups that a cluster lies in, by key; several only where it lists several zones."""


@dataclass(frozen=True, slots=True)
class Key:
    """One constraint with its groups by name."""

    bound: Bound
    groups: dict[str, Group]

    def chosen(self, names: Set[str]) -> list[Group]:
        """The groups of these names, the weightiest first."""
        return sorted((self.groups[name] for name in names), key=lambda group: (-group.weight, group.name))


@dataclass(frozen=True, slots=True)
class Cell:
    """Clusters that lie in the same groups of every key, best first: one is as good as another for the constraints."""

    places: Places
    clusters: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """`clusters` are those that have every key, best first; `places` says where each of them lies."""

    keys: tuple[Key, ...]
    clusters: tuple[Candidate, ...]
    places: dict[str, Places]

    def cells(self) -> list[Cell]:
        """The clusters by place, in the order of the places' names."""
        found: dict[Places, list[Candidate]] = {}
        for one in self.clusters:
            found.setdefault(self.places[one.name], []).append(one)
        return [Cell(places, tuple(found[places])) for places in sorted(found)]

    @property
    def parts(self) -> bool:
        """Whether no cluster lies in several groups of one key."""
        return all(len(names) == 1 for places in self.places.values() for names in places)


@dataclass(frozen=True, slots=True)
class Found:
    """A choice of groups. `groups` by key, coarsest first; `taken`: how many clusters of which cells are enough for it."""

    groups: tuple[frozenset[str], ...]
    taken: tuple[tuple[Cell, int], ...] = ()


def topology(
    candidates: Sequence[Candidate], bounds: Sequence[Bound], demand: Demand, *, cluster_least: int
) -> Topology:
    """Group `candidates` (ranked). Keys with fewer groups come first, equal ones in the order of the placement."""
    known = [[tuple(dict.fromkeys(bound.groups_of(one.facts))) for bound in bounds] for one in candidates]
    inside = [(one, names) for one, names in zip(candidates, known, strict=True) if all(names)]
    keys = []
    for index, bound in enumerate(bounds):
        members: dict[str, list[tuple[int, int]]] = {}
        for one, places in inside:
            for name in places[index]:
                members.setdefault(name, []).append((one.score, room(one)))
        keys.append(Key(bound, {
            name: Group(name, len(clusters), group_weight(
                clusters, duplicated=demand.duplicated, replicas=demand.replicas, least=bound.least,
                cluster_least=cluster_least,
            ))
            for name, clusters in members.items()
        }))  # fmt: skip
    order = sorted(range(len(keys)), key=lambda index: len(keys[index].groups))
    return Topology(
        keys=tuple(keys[index] for index in order),
        clusters=tuple(one for one, _ in inside),
        places={one.name: tuple(places[index] for index in order) for one, places in inside},
    )


def parents(cells: Sequence[Cell]) -> list[dict[str, str]] | None:
    """For each key but the coarsest: the group of the coarser key that each of its groups lies in; None where keys cross."""
    found: list[dict[str, str]] = [{} for _ in cells[0].places[1:]]
    for cell in cells:
        if any(len(names) != 1 for names in cell.places):
            return None
        for index, parent in enumerate(found):
            coarse, fine = cell.places[index][0], cell.places[index + 1][0]
            if parent.setdefault(fine, coarse) != coarse:
                return None
    return found
