"""Groups of one key by the rule of the reference (karmada.md 2.6.8), in polynomial instead of exponential time.

The reference walks the groups by value (ascending), weight (descending), name, takes each or not, and ends a path as soon as it
has enough groups and clusters. So a set is a path if it is enough and its last group cannot be left out. Best: greatest sum of
weights, then of values, then the one that the walk meets first; of the best one, by weight and name, the shortest beginning that
is a path itself.

Cost: O(groups * longest path * target) at worst; O(groups log groups) where any `least` groups have clusters enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Group:
    """`value`: how many clusters it has."""

    name: str
    value: int
    weight: int


def select_groups(groups: Sequence[Group], *, least: int, most: int | None, target: int) -> list[Group] | None:
    """Between `least` and `most` groups with `target` clusters together, greatest weight first; None if there are none."""
    longest = len(groups) if most is None else min(most, len(groups))
    if not groups or least > longest:
        return None
    walk = sorted(groups, key=lambda group: (group.value, -group.weight, group.name))
    if sum(group.value for group in walk[:least]) >= target:
        # Every set of `least` groups is a path, and no other is.
        first = sorted(walk, key=lambda group: (-group.weight, -group.value, group.name))[: max(1, least)]
        return sorted(first, key=_preference)
    found = _best(walk, least=least, longest=longest, target=target)
    if found is None:
        return None
    best = sorted(found, key=_preference)
    # The shortest beginning that is enough is a path: it is not enough without its last, so even less without its largest.
    beginnings = (best[:length] for length in range(max(1, least), len(best)))
    return next((path for path in beginnings if sum(group.value for group in path) >= target), best)


def _preference(group: Group) -> tuple[int, str]:
    return (-group.weight, group.name)


State = tuple[int, int]
"""(groups taken, clusters in them, at most the target); without a limit, groups beyond the fewest are not told apart."""


def _best(walk: Sequence[Group], *, least: int, longest: int, target: int) -> list[Group] | None:
    """The best path: states that the walk can reach, forwards; then the best way on from each, backwards."""
    counted = longest if longest < len(walk) else least
    layers = _reachable(walk, least=least, longest=longest, target=target)
    scale = sum(group.value for group in walk) + 1
    onward: dict[State, tuple[int, Any]] = {}
    for index in range(len(walk) - 1, -1, -1):
        group, here = walk[index], {}
        worth = group.weight * scale + group.value
        for state in layers[index]:
            count, held = state[0] + 1, state[1] + group.value
            skip = onward.get(state)
            if count >= least and held >= target:
                take: tuple[int, Any] | None = (worth, (index, None))
            else:
                rest = onward.get((min(count, counted), min(held, target)))
                take = (worth + rest[0], (index, rest[1])) if rest is not None else None
            # On equal sums the walk meets the set with the earlier group first.
            best = take if skip is None or (take is not None and take[0] >= skip[0]) else skip
            if best is not None:
                here[state] = best
        onward = here
    if (0, 0) not in onward:
        return None
    path, link = [], onward[0, 0][1]
    while link is not None:
        path.append(walk[link[0]])
        link = link[1]
    return path


def _reachable(walk: Sequence[Group], *, least: int, longest: int, target: int) -> list[set[State]]:
    """States before each group from which a path can still end."""
    limited = longest < len(walk)
    counted = longest if limited else least
    ends = [0]
    for group in reversed(walk):
        ends.append(ends[-1] + group.value)
    layers: list[set[State]] = [{(0, 0)}]
    for index, group in enumerate(walk):
        left = len(walk) - index
        alive = set()
        for count, held in layers[-1]:
            # The values ascend, so the last ones are the most that can still be added.
            addable = min(left, longest - count) if limited else left
            if count + left >= least and held + ends[addable] >= target:
                alive.add((count, held))
        layers[-1] = alive
        following = set(alive)
        for count, held in alive:
            more, sum_ = count + 1, held + group.value
            if not (more >= least and sum_ >= target) and (not limited or more < longest):
                following.add((min(more, counted), min(sum_, target)))
        layers.append(following)
    return layers
