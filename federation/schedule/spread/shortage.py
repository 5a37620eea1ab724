"""Why no selection satisfies the spread constraints, with the constraint and the numbers. Only read when there is none."""

from collections.abc import Sequence
from dataclasses import replace

from federation.schedule.divide.assign import Candidate
from federation.schedule.errors import ScheduleError, insufficient_resource, too_few
from federation.schedule.spread.constraint import Bound
from federation.schedule.spread.search import WORK, search
from federation.schedule.spread.topology import Key, Topology
from federation.schedule.spread.weight import room

NAMES_IN_MESSAGE = 10
BOUNDED = ". The search was bounded: there may be a choice that it did not see"


def missing(known: Topology, cluster: Bound) -> ScheduleError | None:
    """What a glance at the counts tells: a key with fewer groups than it needs, fewer clusters than needed."""
    for bound in (*(key.bound for key in known.keys), cluster):
        if bound.most is not None and bound.least > bound.most:
            return too_few(bound.plural, f"{bound} allows fewer groups than it needs")
    for key in known.keys:
        if len(key.groups) < key.bound.least:
            have = f"{len(key.groups)} have clusters that fit{_names(sorted(key.groups))}"
            return too_few(
                key.bound.plural, f"spread by {key.bound.what} needs {_count(key.bound.least, 'group')}, {have}"
            )
    if len(known.clusters) < cluster.least:
        fit = f"{len(known.clusters)} fit{_names([one.name for one in known.clusters])}"
        return too_few(cluster.plural, f"spread by cluster needs {_count(cluster.least, 'cluster')}, {fit}")
    return None


def conflict(known: Topology, cluster: Bound, *, cut: bool) -> ScheduleError:
    """The constraints cannot hold together: names the first one without which they could."""
    bounds = [cluster, *(key.bound for key in known.keys)]
    together = " and ".join(str(bound) for bound in bounds if bound.least > 1 or bound.most is not None)
    sizes = "; ".join(_sizes(key) for key in known.keys)
    message = f"no choice of clusters satisfies {together}. Clusters {sizes}"
    if cut:
        message += BOUNDED
    for index, bound in enumerate(bounds):
        free = Bound(bound.by, label=bound.label)
        keys = [replace(key, bound=free) if place + 1 == index else key for place, key in enumerate(known.keys)]
        if search(keys, known.cells(), cluster=free if index == 0 else cluster, work=WORK // 10).found is not None:
            return too_few(bound.plural, f"{message}. Without {bound} there is one")
    return too_few(cluster.plural, message)


def short_of_room(
    known: Topology, cluster: Bound, chosen: Sequence[Candidate], *, replicas: int, cut: bool
) -> ScheduleError:
    """The constraints can be satisfied, but not with room for all replicas; `chosen` is the best without regard to room."""
    held = sum(room(one) for one in chosen)
    bounds = [bound for bound in (*(key.bound for key in known.keys), cluster) if bound.most or bound.least > 1]
    under = f" under {' and '.join(map(str, bounds))}" if bounds else ""
    offers = ", ".join(f"{one.name} {room(one)}" for one in chosen[:NAMES_IN_MESSAGE])
    message = f"{replicas} replicas do not fit{under}; the preferred choice has room for {held}: {offers}"
    return insufficient_resource(message + BOUNDED if cut else message)


def _names(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > NAMES_IN_MESSAGE else ""
    return f": {', '.join(names[:NAMES_IN_MESSAGE])}{more}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _sizes(key: Key) -> str:
    groups = sorted(key.groups.values(), key=lambda group: (-group.value, group.name))
    more = ", ..." if len(groups) > NAMES_IN_MESSAGE else ""
    return f"by {key.bound.what}: " + ", ".join(f"{one.name} {one.value}" for one in groups[:NAMES_IN_MESSAGE]) + more
