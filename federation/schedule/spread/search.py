"""The best groups of several keys at once: a scan over the cells that keeps, for each state, only what can still be best.

A cell is taken (some of its clusters are) or not. A state is what the rest of the scan depends on: how many groups of each key were
touched, and which of the groups that later cells lie in too are touched already. For keys that nest that is one group a key, so
the states are few; for keys that cross it is every group that is open at once. In a state only choices that no other beats are
kept: those with more worth, with more of what is asked for together (clusters, or room for replicas), or with fewer clusters.

Order of preference, coarsest key first, each key before the next: fewest groups, greatest sum of weights, greatest sum of
clusters, names. The order is total, so the answer does not depend on the order of the input.

Cost: it looks at cells * 2^open * product of (bound + 1) over the keys * choices kept, each a few microseconds. It is exact until it has
looked at WORK of them (docs/scheduling.md says how far that reaches). From then on it keeps some of each combination of counts, and
the answer is approximate: it satisfies every constraint, yet a better one may exist. So no policy holds up the scheduler for long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from federation.schedule.spread.constraint import Bound
from federation.schedule.spread.steps import Layout, Step, lay_out
from federation.schedule.spread.topology import Cell, Found, Key, parents

WORK = 200_000
"""Entries that one scan looks at before it cuts, where keys cross; about as many again are looked at after that."""
WORK_NESTED = 2_000_000
"""The same where keys nest: there an entry costs less, and few of the scans come near it."""
GLANCE = 2_000
"""The same for a first scan; if it had to cut, what it found bounds the second: what cannot become better is not looked at."""

Entry = tuple[int, int, int, Any]
"""(amount of what is asked for, worth, units used, the way back: (cell, choice, way back))."""
Frontier = dict[int, list[Entry]]


@dataclass(frozen=True, slots=True)
class Answer:
    """`found` is None where nothing satisfies the constraints; `cut`: the scan was too long to be exact."""

    found: Found | None
    cut: bool


def search(
    keys: Sequence[Key], cells: Sequence[Cell], *, cluster: Bound, replicas: int | None = None, work: int | None = None
) -> Answer:
    """The best groups that satisfy every bound; with `replicas`, those whose clusters also have room for them."""
    if work is None:
        work = WORK if parents(cells) is None else WORK_NESTED
    bound = keys[0].bound
    # Fewest groups of the coarsest key go before everything else, so what has the very fewest needs no wider scan.
    fewest = _scans(lay_out(keys, cells, cluster=cluster, replicas=replicas, coarsest=bound.least), work)
    there = len(keys[0].groups)
    if fewest.found is not None or bound.least == min(bound.most or there, there):
        return fewest
    wider = _scans(lay_out(keys, cells, cluster=cluster, replicas=replicas, coarsest=bound.most), work)
    return Answer(wider.found, fewest.cut or wider.cut)


def _scans(layout: Layout, work: int) -> Answer:
    best, cut = _scan(layout, min(GLANCE, work), None)
    if cut and work > GLANCE:
        again, cut = _scan(layout, work, best)
        best = again or best
    return Answer(_read(layout, best[3]) if best is not None else None, cut)


def _scan(layout: Layout, work: int, known: Entry | None) -> tuple[Entry | None, bool]:
    """(the best entry that satisfies everything, whether the scan cut). Looks at nothing that cannot be as good as `known`."""
    cut = False
    floor = known[1] if known is not None else None
    spent, even = 0, work // len(layout.steps)
    alive: Frontier = {0: [(0, 0, 0, None)]}
    for index, step in enumerate(layout.steps):
        each = len(step.choices) + 1
        cost = each * sum(map(_cost, alive.values()))
        if cost > even and spent + cost > work:
            alive, cut = _fewer(layout, alive, even // each), True
            cost = each * sum(map(_cost, alive.values()))
        spent += cost
        following: Frontier = {}
        for state, front in alive.items():
            _keep(layout, step, following, state, front, floor)
            _take(layout, step, following, state, front, index, floor)
        alive = following
    ends = [entry for entries_ in alive.values() for entry in entries_ if entry[2] >= layout.least]
    return max(ends, key=lambda entry: (entry[1], entry[0], -entry[2]), default=None), cut


def _cost(front: list[Entry]) -> int:
    """Entries to look at, each of them beside the others of its state."""
    return len(front) + len(front) ** 2 // 8


def _take(
    layout: Layout, step: Step, into: Frontier, state: int, entries: list[Entry], index: int, floor: int | None
) -> None:
    """Every way to take some of the cell."""
    touched: int | None = state
    gain = 0
    for bit, count, worth in step.touches:
        if not state & bit:
            touched = count.one_more(touched)  # type: ignore[arg-type]
            if touched is None:
                return
            touched |= bit
            gain += worth
    assert touched is not None
    wanted, least, most = layout.wanted, layout.least, layout.most
    for number, (units, amount) in enumerate(step.choices):
        # Without a limit, units beyond the fewest are not told apart, nor is an amount beyond what is wanted.
        more = [
            (min(wanted, held + amount), worth + gain, min(used + units, least) if most is None else used + units,
             (index, number, way))
            for held, worth, used, way in entries
        ]  # fmt: skip
        _keep(layout, step, into, touched, more, floor)


def _keep(layout: Layout, step: Step, into: Frontier, state: int, entries: Sequence[Entry], floor: int | None) -> None:
    """Keep what can still satisfy everything and is not beaten by another entry of the same state."""
    units = hope = 0
    for count, rest, worth in zip(layout.counts, step.rest, step.hope, strict=True):
        missing = count.least - count.of(state)
        if missing > rest:
            return
        if missing > 0:
            units = max(units, -(-missing // count.width))
            hope += worth[missing]
    after = state & ~step.over
    front = into.get(after, [])
    for entry in entries:
        if floor is not None and entry[1] + hope < floor:
            continue
        left = None if layout.most is None else layout.most - entry[2]
        if left is not None and left < units:
            continue
        reach = step.reach[-1 if left is None else min(left, len(step.reach) - 1)]
        if entry[0] + reach >= layout.wanted and not any(_beats(layout, other, entry) for other in front):
            front[:] = [other for other in front if not _beats(layout, entry, other)]
            front.append(entry)
    if front:
        into[after] = front


def _beats(layout: Layout, one: Entry, other: Entry) -> bool:
    """Whether whatever completes `other` completes `one` as well or better; an equal one is beaten by the first."""
    if one[0] < other[0] or one[1] < other[1]:
        return False
    if layout.most is None:
        return one[2] >= other[2]
    return one[2] == other[2] or layout.least <= one[2] <= other[2]


def _fewer(layout: Layout, alive: Frontier, limit: int) -> Frontier:
    """About `limit` entries: of each combination of counts in turn the worthiest and the fullest, so no way to succeed is given up."""
    strata: dict[int, list[tuple[int, Entry]]] = {}
    for state, entries in alive.items():
        strata.setdefault(state & layout.low, []).extend((state, entry) for entry in entries)
    each = max(2, limit // len(strata))
    kept: Frontier = {}
    for stratum in strata.values():
        stratum.sort(key=lambda one: (-one[1][1], -one[1][0], one[1][2], one[0]))
        worthy, others = stratum[: each // 2], stratum[each // 2 :]
        others.sort(key=lambda one: (-one[1][0], one[1][2], -one[1][1], one[0]))
        for state, entry in worthy + others[: each - each // 2]:
            kept.setdefault(state, []).append(entry)
    return kept


def _read(layout: Layout, way: Any) -> Found:
    taken = []
    while way is not None:
        index, number, way = way
        step = layout.steps[index]
        taken.append((step.cell, step.choices[number][0]))
    names = [frozenset(name for cell, _ in taken for name in cell.places[key]) for key in range(len(layout.counts))]
    return Found(tuple(names), tuple(reversed(taken)))
