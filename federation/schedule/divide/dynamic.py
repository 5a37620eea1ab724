"""Divided by what is free: DynamicWeight spreads in proportion, Aggregated packs into few clusters (karmada.md 2.7.5, 2.7.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.schedule.divide.webster import divide_by_weight
from federation.schedule.errors import unschedulable

DYNAMIC_WEIGHT = "DynamicWeight"
AGGREGATED = "Aggregated"


@dataclass(frozen=True, slots=True)
class Room:
    """A candidate and the replicas that still fit it, next to those it has."""

    name: str
    free: int


def divide_step(strategy: str, target: int, rooms: Sequence[Room], *, uid: str = "") -> dict[str, int]:
    """Place `target` replicas by free room; `rooms` come in order of preference. Zeros are left out.

    Aggregated first keeps the shortest prefix that has room for all, then shares inside it in proportion, so that the
    last one is not filled to the brim. Raises ScheduleError (unschedulable) if all rooms together are too small.
    """
    if sum(room.free for room in rooms) < target:
        offer = ", ".join(f"{room.name} {room.free}" for room in rooms[:10]) or "none"
        raise unschedulable(f"{target} more replicas do not fit; free: {offer}")
    chosen = _prefix(target, rooms) if strategy == AGGREGATED else rooms
    shares = divide_by_weight(target, {room.name: room.free for room in chosen}, uid=uid)
    return {name: count for name, count in shares.items() if count}


def assign_dynamic(
    strategy: str,
    replicas: int,
    rooms: Sequence[Room],
    *,
    previous: Mapping[str, int],
    fresh: bool = False,
    uid: str = "",
) -> dict[str, int]:
    """The whole dynamic assignment; `rooms` are the candidates with what is free beside what they have.

    Steady: previous clusters that are no candidates are forgotten; fewer replicas than before shrink in proportion to
    the previous counts; more are placed by free room on top of them; equal stays. `fresh` starts over, counting what a
    cluster has as free.
    """
    names = {room.name for room in rooms}
    kept = {name: count for name, count in previous.items() if name in names and count > 0}
    if fresh:
        whole = [Room(room.name, room.free + kept.get(room.name, 0)) for room in rooms]
        return divide_step(strategy, replicas, _sorted(whole), uid=uid)
    have = sum(kept.values())
    if have == replicas:
        return kept
    if have > replicas:
        held = _sorted([Room(name, count) for name, count in kept.items()])
        return divide_step(strategy, replicas, held, uid=uid)
    order = _sorted(rooms)
    if strategy == AGGREGATED:
        # A stable sort: clusters that run the workload already come first, each half still by free room.
        order.sort(key=lambda room: room.name not in kept)
    more = divide_step(strategy, replicas - have, order, uid=uid)
    return {name: kept.get(name, 0) + more.get(name, 0) for name in sorted(kept.keys() | more.keys())}


def _sorted(rooms: Sequence[Room]) -> list[Room]:
    return sorted(rooms, key=lambda room: (-room.free, room.name))


def _prefix(target: int, rooms: Sequence[Room]) -> list[Room]:
    chosen: list[Room] = []
    total = 0
    for room in rooms:
        if total >= target and chosen:
            break
        chosen.append(room)
        total += room.free
    return chosen
