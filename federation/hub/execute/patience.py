"""What execute remembers of a copy between two steps: since when it is unknown, and how often it was mended. Pure.

Nothing here outlives its binding or its cluster. Times are seconds of any clock that only goes forward.
"""

from collections import deque

from federation.api.naming import BindingKey

EARLY = 5.0
"""Seconds for which a member may be unconnected or unread before the binding says so."""
FIGHT_WINDOW, FIGHT_LIMIT = 60.0, 3
"""Overwrites within so many seconds after which a contested copy is left alone."""


class Patience:
    """How long to wait before saying that something is wrong with a copy, by binding and cluster."""

    def __init__(self) -> None:
        self._unknown_since: dict[BindingKey, dict[str, float]] = {}
        self._overwrites: dict[BindingKey, dict[str, deque[float]]] = {}

    def early(self, key: BindingKey, cluster: str, *, now: float) -> bool:
        """Whether a copy has been unknown for a moment only: after a start what is stored is truer than "unknown" (I14)."""
        return now - self._unknown_since.setdefault(key, {}).setdefault(cluster, now) < EARLY

    def known(self, key: BindingKey, cluster: str) -> None:
        """The copy can be read, or the binding says why not: the next time that it is unknown is early again."""
        _drop(self._unknown_since, key, cluster)

    def overwrite(self, key: BindingKey, cluster: str, *, now: float) -> float | None:
        """Count an overwrite; seconds to stay away once there were too many, else None."""
        times = self._overwrites.setdefault(key, {}).setdefault(cluster, deque(maxlen=FIGHT_LIMIT + 1))
        while times and now - times[0] > FIGHT_WINDOW:
            times.popleft()
        times.append(now)
        return FIGHT_WINDOW if len(times) > FIGHT_LIMIT else None

    def forget(self, key: BindingKey, cluster: str | None = None) -> None:
        """The binding is gone, or its copy in one cluster."""
        for table in (self._unknown_since, self._overwrites):
            if cluster is None:
                table.pop(key, None)
            else:
                _drop(table, key, cluster)


def _drop(
    table: dict[BindingKey, dict[str, float]] | dict[BindingKey, dict[str, deque[float]]], key: BindingKey, cluster: str
) -> None:
    clusters = table.get(key)
    if clusters is not None:
        clusters.pop(cluster, None)
        if not clusters:
            del table[key]
