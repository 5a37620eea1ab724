"""The cells laid out for the search: in which order, what each of them touches and holds, and what later ones still can."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from federation.schedule.spread.constraint import Bound
from federation.schedule.spread.topology import Cell, Key
from federation.schedule.spread.weight import room


@dataclass(frozen=True, slots=True)
class Count:
    """How many groups of one key were touched, as bits of a state.

    Above `hard` nothing goes; without it, more than `least` counts as `least`. `width`: the most groups that one cluster lies in.
    """

    shift: int
    mask: int
    least: int
    hard: int | None
    width: int

    def of(self, state: int) -> int:
        """The number in a state."""
        return (state >> self.shift) & self.mask

    def one_more(self, state: int) -> int | None:
        """The state with one more group touched; None if that is too many."""
        now = self.of(state)
        if self.hard is None:
            return state + (1 << self.shift) if now < self.least else state
        return state + (1 << self.shift) if now < self.hard else None


@dataclass(frozen=True, slots=True)
class Step:
    """One cell."""

    cell: Cell
    touches: tuple[tuple[int, Count, int], ...]
    """Its groups: (bit, count of the key, worth)."""
    choices: tuple[tuple[int, int], ...]
    """What can be taken of it: (units, amount). A unit is what the bound on clusters counts."""
    over: int
    """Bits of the groups that no later cell lies in."""
    rest: tuple[int, ...]
    """By key: the groups that later cells lie in."""
    reach: tuple[int, ...]
    """By number of units (the last entry: any number): the most that so many of later cells hold."""
    hope: tuple[tuple[int, ...], ...]
    """By key, by number of groups: the greatest worth of so many of those that later cells lie in."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The scan as data. Asked for together is the amount `wanted`, with at least `least` units and at most `most`."""

    steps: tuple[Step, ...]
    counts: tuple[Count, ...]
    low: int
    """The bits of a state that hold the counts; those above say which open groups were touched."""
    wanted: int
    least: int
    most: int | None


def lay_out(
    keys: Sequence[Key], cells: Sequence[Cell], *, cluster: Bound, replicas: int | None, coarsest: int | None
) -> Layout:
    """The scan that chooses groups alone, or (with `replicas`) groups whose clusters have room for them.

    Groups alone: a unit is a cell, as one cluster of each cell taken must go in; the amount is clusters. With room: a unit is a
    cluster, the amount is room. `coarsest`: the most groups of the first key.
    """
    ordered = _order(cells)
    worth = _worth(keys)
    units = [_units(cell, cluster, replicas) for cell in ordered]
    there = sum(map(len, units))
    most = None if cluster.most is None or cluster.most >= there else cluster.most
    counts, bits = _counts(keys, ordered, coarsest)
    last = _last(ordered)
    shift = bits.bit_length()
    bit = {group: 1 << (shift + place) for place, group in enumerate(last)}
    reaches, hopes = _reaches(units, most), _hopes(keys, ordered, worth)
    rest = [len(key.groups) for key in keys]
    steps = []
    for index, cell in enumerate(ordered):
        over = [group for group in _groups(cell) if last[group] == index]
        for key, _ in over:
            rest[key] -= 1
        sums = list(enumerate(accumulate(units[index], initial=0)))
        steps.append(Step(
            cell=cell, touches=tuple((bit[group], counts[group[0]], worth[group]) for group in _groups(cell)),
            choices=tuple(sums[1:] if most is not None else sums[-1:]), over=sum(bit[group] for group in over),
            rest=tuple(rest), reach=reaches[index], hope=hopes[index],
        ))  # fmt: skip
    return Layout(
        steps=tuple(steps), counts=counts, low=bits, most=most, least=0 if replicas is None else cluster.least,
        wanted=replicas if replicas is not None else cluster.least if cluster.least > 1 else 0,
    )  # fmt: skip


def _units(cell: Cell, cluster: Bound, replicas: int | None) -> list[int]:
    """What each unit of a cell holds, the most first."""
    if replicas is None:
        return [len(cell.clusters) if cluster.least > 1 else 0]
    return sorted((room(one) for one in cell.clusters), reverse=True)


def _reaches(units: Sequence[Sequence[int]], most: int | None) -> list[tuple[int, ...]]:
    """For each cell: the most that 0, 1, 2, ... up to `most` units of the later ones hold; without a limit, all of them."""
    found: list[tuple[int, ...]] = []
    best: list[int] = []
    total = 0
    for own in reversed(units):
        found.append((total,) if most is None else tuple(accumulate(best, initial=0)))
        total += sum(own)
        best = sorted([*best, *own], reverse=True)[:most]
    return found[::-1]


def _hopes(
    keys: Sequence[Key], cells: Sequence[Cell], worth: dict[tuple[int, str], int]
) -> list[tuple[tuple[int, ...], ...]]:
    """For each cell, by key: the greatest worth of 0, 1, ... up to the fewest of the groups that later cells lie in."""
    found: list[tuple[tuple[int, ...], ...]] = []
    best: list[list[int]] = [[] for _ in keys]
    seen: set[tuple[int, str]] = set()
    for cell in reversed(cells):
        found.append(tuple(tuple(accumulate(own, initial=0)) for own in best))
        for group in _groups(cell):
            if group not in seen:
                seen.add(group)
                key = group[0]
                best[key] = sorted([*best[key], worth[group]], reverse=True)[: keys[key].bound.least]
    return found[::-1]


def _counts(keys: Sequence[Key], cells: Sequence[Cell], coarsest: int | None) -> tuple[tuple[Count, ...], int]:
    """(a count a key, the mask of all their bits)."""
    shift = 0
    counts = []
    for index, key in enumerate(keys):
        hard = coarsest if index == 0 else key.bound.most
        if hard is not None and hard >= len(key.groups):
            hard = None
        mask = (1 << (key.bound.least if hard is None else hard).bit_length()) - 1
        width = max(len(cell.places[index]) for cell in cells)
        counts.append(Count(shift, mask, key.bound.least, hard, width))
        shift += mask.bit_length()
    return tuple(counts), (1 << shift) - 1


def _worth(keys: Sequence[Key]) -> dict[tuple[int, str], int]:
    """One number a group, such that sums compare as the order of preference: per key fewest, weight, clusters, names."""
    worth: dict[tuple[int, str], int] = {}
    below = 1
    for index in range(len(keys) - 1, -1, -1):
        groups = sorted(keys[index].groups.values(), key=lambda group: group.name)
        weights, values = sum(group.weight for group in groups) + 1, sum(group.value for group in groups) + 1
        names = 1 << len(groups)
        for place, group in enumerate(groups):
            own = ((group.weight - weights) * values + group.value) * names + (1 << (len(groups) - 1 - place))
            worth[index, group.name] = own * below
        below *= 2 * (len(groups) + 1) * weights * values * names
    return worth


def _order(cells: Sequence[Cell]) -> list[Cell]:
    """The order with the fewest groups open at once: by the keys as they come, or by one of them before the others."""
    orders = [sorted(cells, key=lambda cell: cell.places)]
    orders += [
        sorted(cells, key=lambda cell, key=key: (cell.places[key], cell.places))  # type: ignore[misc]
        for key in range(1, len(cells[0].places))
    ]
    return min(orders, key=_widest)


def _widest(cells: Sequence[Cell]) -> int:
    """The most groups that lie both before and after one point of the scan."""
    last = _last(cells)
    opened: set[tuple[int, str]] = set()
    widest = 0
    for index, cell in enumerate(cells):
        opened.update(_groups(cell))
        opened = {group for group in opened if last[group] > index}
        widest = max(widest, len(opened))
    return widest


def _last(cells: Sequence[Cell]) -> dict[tuple[int, str], int]:
    return {group: index for index, cell in enumerate(cells) for group in _groups(cell)}


def _groups(cell: Cell) -> list[tuple[int, str]]:
    return [(key, name) for key, names in enumerate(cell.places) for name in names]
