"""`select()`: ranked candidates in, those that take the work out. Pure and deterministic.

One key with cluster: the reference's answer (karmada.md 2.6) wherever it breaks no constraint. Several keys, a zone key with clusters
that list several, or a reference answer that breaks one (more groups than clusters allowed, too little room): the search.
"""

from collections.abc import Sequence

from federation.api.placement import SpreadConstraint
from federation.schedule.divide.assign import DUPLICATED, STATIC_WEIGHT, Candidate
from federation.schedule.spread.climb import climb
from federation.schedule.spread.constraint import Bound, read
from federation.schedule.spread.fill import allowed, fill, make_room, with_most_room
from federation.schedule.spread.groups import select_groups
from federation.schedule.spread.search import search
from federation.schedule.spread.selection import Choice, Selection
from federation.schedule.spread.shortage import conflict, missing, short_of_room
from federation.schedule.spread.topology import Found, Topology, topology
from federation.schedule.spread.weight import Demand, room


def select(
    candidates: Sequence[Candidate],
    constraints: Sequence[SpreadConstraint],
    *,
    strategy: str,
    replicas: int,
    respect_capacity: bool = False,
    work: int | None = None,
) -> Selection:
    """The candidates (ranked, best first) that take `replicas` (0 for an object without) under the constraints.

    Dynamic strategies get clusters with room for all replicas where any selection has it. Static weights count neither spread nor
    room unless `respect_capacity`; pass only clusters that have a weight. `work`: another bound on the search. Raises ScheduleError: too_few_clusters, too_few_regions
    (zones, providers, groups), insufficient_resource.
    """
    if not constraints or (strategy == STATIC_WEIGHT and not respect_capacity):
        return Selection(clusters=tuple(candidates), candidates=tuple(candidates), ignored=bool(constraints))
    cluster, bounds = read(constraints)
    demand = Demand(replicas=replicas, duplicated=strategy == DUPLICATED, needs_room=strategy != DUPLICATED)
    known = topology(candidates, bounds, demand, cluster_least=cluster.least)
    return choose(known, cluster, demand, candidates=candidates, work=work)


def choose(
    known: Topology, cluster: Bound, demand: Demand, *, candidates: Sequence[Candidate], work: int | None = None
) -> Selection:
    """Groups, then clusters; where those have too little room, groups and clusters that have it. Raises ScheduleError."""
    shortage = missing(known, cluster)
    if shortage is not None:
        raise shortage
    found, approximate = _groups(known, cluster, work)
    chosen = fill(known, found, most=cluster.most)
    if demand.needs_room and _held(chosen) < demand.replicas:
        chosen = _exchange(known, found, chosen, demand.replicas)
        if _held(chosen) < demand.replicas:
            found, approximate, chosen = _with_room(known, cluster, demand.replicas, chosen, work)
    choices = []
    for key, level in zip(known.keys, found.groups, strict=True):
        others = key.groups.keys() - level
        choices.append(Choice(key.bound, tuple(key.chosen(level)), tuple(key.chosen(others))))
    return Selection(
        clusters=tuple(chosen), candidates=tuple(candidates), cluster=cluster, choices=tuple(choices),
        approximate=approximate,
    )  # fmt: skip


def _groups(known: Topology, cluster: Bound, work: int | None) -> tuple[Found, bool]:
    """(the best groups without regard to room, whether a better choice may exist). Raises ScheduleError if there are none."""
    if not known.keys:
        return Found(()), False
    if len(known.keys) == 1 and known.parts:
        key = known.keys[0]
        groups = select_groups(
            list(key.groups.values()), least=key.bound.least, most=key.bound.most, target=cluster.least
        )
        if groups is None:
            raise conflict(known, cluster, cut=False)
        if cluster.most is None or len(groups) <= cluster.most:
            return Found((frozenset(group.name for group in groups),)), False
    cells = known.cells()
    found = climb(known.keys, cells, cluster=cluster)
    if found is not None:
        return found, False
    answer = search(known.keys, cells, cluster=cluster, work=work)
    if answer.found is None:
        raise conflict(known, cluster, cut=answer.cut)
    return answer.found, answer.cut


def _with_room(
    known: Topology, cluster: Bound, replicas: int, chosen: list[Candidate], work: int | None
) -> tuple[Found, bool, list[Candidate]]:
    """The best groups whose clusters have room for all, and those clusters; `chosen` have too little.

    Raises ScheduleError (insufficient_resource) if no choice has it.
    """
    most = len(known.clusters) if cluster.most is None else cluster.most
    largest = sum(sorted((room(one) for one in known.clusters), reverse=True)[:most])
    if not known.keys or largest < replicas:
        raise short_of_room(known, cluster, chosen, replicas=replicas, cut=False)
    answer = search(known.keys, known.cells(), cluster=cluster, replicas=replicas, work=work)
    if answer.found is None:
        raise short_of_room(known, cluster, chosen, replicas=replicas, cut=answer.cut)
    better = _exchange(known, answer.found, fill(known, answer.found, most=cluster.most), replicas)
    if _held(better) < replicas:
        better = with_most_room(answer.found, allowed(known, answer.found.groups), most=cluster.most)
    return answer.found, answer.cut, better


def _exchange(known: Topology, found: Found, chosen: list[Candidate], replicas: int) -> list[Candidate]:
    taken = {one.name for one in chosen}
    others = [one for one in allowed(known, found.groups) if one.name not in taken]
    return make_room(known, chosen, others, replicas=replicas)


def _held(chosen: Sequence[Candidate]) -> int:
    return sum(room(one) for one in chosen)
