"""The common case by sorting alone: key by key, coarsest first, the best groups and as few as the key itself asks for.

Each step takes the best of all that it has to choose from. So if the groups satisfy every constraint together, nothing is preferred to
them; else the search decides. O(cells * keys + groups * log(groups)).
"""

from collections.abc import Sequence

from federation.schedule.spread.constraint import Bound
from federation.schedule.spread.topology import Cell, Found, Key, parents


def climb(keys: Sequence[Key], cells: Sequence[Cell], *, cluster: Bound) -> Found | None:
    """The best groups of each key among those that share clusters with the ones chosen before; None if they do not do."""
    inside = parents(cells)
    left = list(cells)
    levels: list[frozenset[str]] = []
    for index, key in enumerate(keys):
        there = {name for cell in left for name in cell.places[index]}
        ranked = sorted((key.groups[name] for name in there), key=lambda one: (-one.weight, -one.value, one.name))
        first: dict[str, str] = {}
        if inside is not None and index:
            # Where keys nest, every group chosen above needs one below it.
            for group in ranked:
                first.setdefault(inside[index - 1][group.name], group.name)
        names = list(first.values())
        others = [group.name for group in ranked if group.name not in names]
        names += others[: max(0, key.bound.least - len(names))]
        if len(names) < key.bound.least or (key.bound.most is not None and len(names) > key.bound.most):
            return None
        levels.append(frozenset(names))
        left = [cell for cell in left if levels[-1].issuperset(cell.places[index])]
    cover = _cover(levels, left, cluster)
    return Found(tuple(levels), tuple((cell, 1) for cell in cover)) if cover is not None else None


def _cover(levels: Sequence[frozenset[str]], cells: Sequence[Cell], cluster: Bound) -> list[Cell] | None:
    """Few of the cells that together touch every group; None if they cannot, hold too few clusters, or it takes too many."""
    if not cells or sum(len(cell.clusters) for cell in cells) < cluster.least:
        return None
    open_ones = [set(level) for level in levels]
    cover: list[Cell] = []
    while any(open_ones):
        best = max(cells, key=lambda cell: _gain(open_ones, cell))
        if not _gain(open_ones, best) or len(cover) == cluster.most:
            return None
        cover.append(best)
        for names, place in zip(open_ones, best.places, strict=True):
            names.difference_update(place)
    return cover


def _gain(open_ones: Sequence[set[str]], cell: Cell) -> int:
    return sum(len(names.intersection(place)) for names, place in zip(open_ones, cell.places, strict=True))
