"""What the process holds, counted: every live object of ours by class, and what its collections hold (I17).

Nobody has to name a table for it to be counted: one that a later change adds is counted too. Left out is what is bounded
by itself: the deletions that a store remembers, requests by method and status, what the brake let pass in its window, the
workers that wait at a queue.
"""

import asyncio
import gc
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import REGISTRY

from federation.sandbox import ApiServer

BOUNDED = frozenset({"Store._deleted", "Client.requests", "Brake._paid", "WorkQueue._getters"})
_OURS = ("federation.hub.", "federation.kube.", "federation.operator.")
_SAMPLES, _PAUSE = 3, 0.05
"""What comes and goes with every probe is counted at its least."""


async def census(*servers: ApiServer) -> Counter[str]:
    """Sizes by name: objects, collections, tasks, clusters that metrics name, watches of `servers`."""
    least = _count(servers)
    for _ in range(_SAMPLES - 1):
        await asyncio.sleep(_PAUSE)
        least &= _count(servers)
    return least


def growth(before: Counter[str], after: Counter[str]) -> dict[str, tuple[int, int]]:
    """Name -> (before, after) of all that became more."""
    return {name: (before[name], after[name]) for name in sorted(after) if after[name] > before[name]}


def _count(servers: tuple[ApiServer, ...]) -> Counter[str]:
    gc.collect()
    found: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = type(one)
        if not str(kind.__module__).startswith(_OURS):
            continue
        found[kind.__name__] += 1
        for name, value in _attributes(one):
            place = f"{kind.__name__}.{name}"
            if isinstance(value, Mapping | set | list | deque) and place not in BOUNDED:
                found[place] += _size(value)
    found["tasks"] = len(asyncio.all_tasks())
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    found["clusters in metrics"] = len({sample.labels["cluster"] for sample in samples if "cluster" in sample.labels})
    for server in servers:
        found[f"watches of {server.name}"] = len(server._watches)
    return found


def _attributes(one: Any) -> Iterator[tuple[str, Any]]:
    for name in (*getattr(one, "__dict__", ()), *getattr(type(one), "__slots__", ())):
        yield name, getattr(one, name, None)


def _size(value: Any) -> int:
    """Entries, those of collections inside included."""
    inner = value.values() if isinstance(value, Mapping) else value
    return len(value) + sum(_size(one) for one in inner if isinstance(one, Mapping | set | list | deque))
