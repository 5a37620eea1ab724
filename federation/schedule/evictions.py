"""Which targets a NoExecute taint sends away, and when the next toleration runs out (Kubernetes taints, karmada.md 3.8.1).

Pure: the time is an argument. A taint without `timeAdded` has just been added as far as anybody knows, so a toleration with
seconds holds for as long as it stays unknown: what is unknown moves nothing.
"""

from collections.abc import Sequence

from federation.api.moments import seconds_of
from federation.api.placement import Taint, Toleration
from federation.schedule.plugins.taint_toleration.filter import tolerates
from federation.schedule.snapshot import BindingView, ClusterView


def evictions(
    binding: BindingView, clusters: Sequence[ClusterView], *, now: float
) -> tuple[frozenset[str], float | None]:
    """(clusters of `binding.placed` that must not keep it, seconds until the next one must go or None)."""
    tolerations = binding.placement.cluster_tolerations or ()
    gone: set[str] = set()
    waits: list[float] = []
    for cluster in clusters:
        if cluster.name not in binding.placed:
            continue
        for taint in cluster.taints:
            left = _left(taint, tolerations, now) if taint.effect == "NoExecute" else None
            if left is not None and left <= 0:
                gone.add(cluster.name)
            elif left is not None:
                waits.append(left)
    return frozenset(gone), min(waits, default=None)


def _left(taint: Taint, tolerations: Sequence[Toleration], now: float) -> float | None:
    """Seconds that a taint is tolerated for: 0 or less when it is not (any more), None for ever."""
    matching = [one for one in tolerations if tolerates(one, taint)]
    if not matching:
        return 0.0
    if any(one.toleration_seconds is None for one in matching):
        return None
    added = seconds_of(taint.time_added)
    if added is None:
        return None
    # The shortest one counts, as in Kubernetes.
    return added + min(one.toleration_seconds or 0 for one in matching) - now
