"""From chosen groups to clusters: each group gets its best cluster, the rest goes by rank (karmada.md 2.6.5, 2.6.7). Pure."""

from collections import Counter
from collections.abc import Sequence

from federation.schedule.divide.assign import Candidate
from federation.schedule.spread.topology import Found, Topology
from federation.schedule.spread.weight import room


def fill(known: Topology, found: Found, *, most: int | None) -> list[Candidate]:
    """The best cluster of each chosen group, then the others inside all chosen groups by rank, at most `most` in all.

    The finest key's groups come first, the weightiest before the others; a group that has one already needs no other. Where keys cross
    that can take more than `most`: then the best of each cell that was found to be enough goes in.
    """
    inside = allowed(known, found.groups)
    cover = _cover(known, found.groups, inside)
    if most is not None and len(cover) > most:
        cover = [cell.clusters[0] for cell, _ in found.taken]
    taken = {one.name for one in cover}
    rest = [one for one in inside if one.name not in taken]
    return cover + rest[: len(rest) if most is None else max(0, most - len(cover))]


def _cover(known: Topology, levels: Sequence[frozenset[str]], inside: Sequence[Candidate]) -> list[Candidate]:
    covered: list[set[str]] = [set() for _ in levels]
    cover = []
    for index in range(len(levels) - 1, -1, -1):
        first: dict[str, Candidate] = {}
        for one in inside:
            for name in known.places[one.name][index]:
                first.setdefault(name, one)
        for group in known.keys[index].chosen(levels[index]):
            if group.name in covered[index]:
                continue
            best = first[group.name]
            cover.append(best)
            for key, names in enumerate(known.places[best.name]):
                covered[key].update(names)
    return cover


def make_room(
    known: Topology, kept: Sequence[Candidate], others: Sequence[Candidate], *, replicas: int
) -> list[Candidate]:
    """`kept`, until it has room for `replicas`: from the last one upwards, each makes way for the one with the most room.

    Only for strictly more room, and only if every group that has a cluster keeps one. Without groups the answer has the most room
    that so many clusters can have.
    """
    result, rest = list(kept), list(others)
    held = sum(room(one) for one in result)
    holders = Counter(group for one in result for group in _groups(known, one))
    for index in range(len(result) - 1, -1, -1):
        if held >= replicas:
            break
        out = result[index]
        alone = {group for group in _groups(known, out) if holders[group] == 1}
        fit = [place for place, one in enumerate(rest) if alone.issubset(_groups(known, one))]
        best = max(fit, key=lambda place: room(rest[place]), default=None)
        if best is None or room(rest[best]) <= room(out):
            continue
        result[index], rest[best] = rest[best], out
        held += room(result[index]) - room(out)
        holders.update(_groups(known, result[index]))
        holders.subtract(_groups(known, out))
    return result


def with_most_room(found: Found, inside: Sequence[Candidate], *, most: int | None) -> list[Candidate]:
    """The clusters that the search counted, those with the most room of each cell, and others by rank up to `most`."""
    names = {
        one.name
        for cell, count in found.taken
        for one in sorted(cell.clusters, key=room, reverse=True)[:count]
    }  # fmt: skip
    counted = [one for one in inside if one.name in names]
    rest = [one for one in inside if one.name not in names]
    return counted + rest[: len(rest) if most is None else max(0, most - len(counted))]


def allowed(known: Topology, levels: Sequence[frozenset[str]]) -> list[Candidate]:
    """The clusters whose groups are all chosen, by rank."""
    return [
        one
        for one in known.clusters
        if all(level.issuperset(names) for level, names in zip(levels, known.places[one.name], strict=True))
    ]


def _groups(known: Topology, one: Candidate) -> list[tuple[int, str]]:
    return [(key, name) for key, names in enumerate(known.places[one.name]) for name in names]
