"""Replicas that were decided but cannot be in a member's summary yet; deducted so that one snapshot is not spent twice.

Nothing here is truth: after a restart the summaries are seconds old at most and contain what was decided before.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from federation.api.binding import Decision
from federation.api.naming import BindingKey
from federation.interpret.requirements import Requirements
from federation.schedule.attempt import adds
from federation.schedule.snapshot import BindingView, ClusterView

SETTLING = 3.0
"""Seconds between a decision and the moment from which a member's summary surely contains its pods."""


@dataclass(frozen=True, slots=True)
class Share:
    """What is on its way to one cluster, since a wall-clock time in seconds: requirements of one pod, and pods."""

    parts: tuple[tuple[Requirements | None, int], ...]
    since: float


class Assumed:
    """The shares on their way, by cluster."""

    def __init__(self, counted: Callable[[str], float]) -> None:
        """`counted`: when (seconds since the epoch) the summary of a cluster was last found true; it is stored only when it changes."""
        self._counted = counted
        self._shares: dict[str, dict[BindingKey, Share]] = {}

    @contextmanager
    def taking(self, key: BindingKey, view: BindingView, decision: Decision | None) -> Iterator[None]:
        """Note what a decision adds while it is written; taken back where the write fails, as it is decided again then."""
        before = {cluster: shares[key] for cluster, shares in self._shares.items() if key in shares}
        if decision is not None:
            self.take(key, view, decision)
        try:
            yield
        except BaseException:
            if decision is not None:
                self.forget(key)
                for cluster, share in before.items():
                    self._shares.setdefault(cluster, {})[key] = share
            raise

    def take(self, key: BindingKey, view: BindingView, decision: Decision) -> None:
        """Note what a new decision adds to each cluster."""
        before = view.previous.targets if view.previous is not None else dict(view.held)
        for cluster, parts in adds(view, before, decision.targets).items():
            self._shares.setdefault(cluster, {})[key] = Share(parts=parts, since=time.time())

    def forget(self, key: BindingKey) -> None:
        """The binding is gone."""
        for shares in self._shares.values():
            shares.pop(key, None)

    def forget_cluster(self, name: str) -> None:
        """The Cluster is gone."""
        self._shares.pop(name, None)

    def by_cluster(self, clusters: Sequence[ClusterView]) -> dict[str, list[tuple[Requirements | None, int]]]:
        """What to deduct per cluster; shares that the cluster's summary contains by now are dropped.

        A binding's own share is deducted like any other: it is counted once, as what the cluster has.
        """
        result: dict[str, list[tuple[Requirements | None, int]]] = {}
        for cluster in clusters:
            shares = self._shares.get(cluster.facts.name)
            if not shares:
                continue
            counted = self._counted(cluster.facts.name)
            for key in [key for key, share in shares.items() if counted > share.since + SETTLING]:
                del shares[key]
            result[cluster.facts.name] = [part for share in shares.values() for part in share.parts]
        return result
