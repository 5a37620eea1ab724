"""The general estimator: replicas that fit by the sums over a whole member (karmada.md 2.5.2).

Sums are generous: they do not see that the free cores may be spread over many nodes. The capacity table will.
"""

from collections.abc import Iterable, Mapping, Sequence

from federation.api.cluster import ResourceSummary
from federation.api.quantity import nanos

PODS = "pods"
InFlight = tuple[Mapping[str, str] | None, int]
"""Requests of one replica (None: none), and how many replicas are decided but not in the summary yet."""


def fit(
    summary: ResourceSummary | None, requests: Mapping[str, str] | None, *, assumed: Iterable[InFlight] = ()
) -> int:
    """Replicas with these `requests` (Kubernetes quantities by resource name) that fit what is free.

    0 without a summary: what is unknown is not free (I14 in its safe direction). Pod slots bound every answer; a requested
    resource that the member does not report does not fit at all; a request of zero asks for nothing.
    """
    if summary is None:
        return 0
    in_flight = list(assumed)
    slots = _free(summary, PODS) // 10**9 - sum(replicas for _, replicas in in_flight)
    best = max(0, slots)
    for name, text in (requests or {}).items():
        wanted = nanos(text)
        if name == PODS or wanted <= 0:
            continue
        taken = sum(nanos((other or {}).get(name, "0")) * replicas for other, replicas in in_flight)
        best = min(best, max(0, (_free(summary, name) - taken) // wanted))
    return best


def fit_sets(
    summary: ResourceSummary | None,
    components: Sequence[tuple[Mapping[str, str] | None, int]],
    *,
    assumed: Iterable[InFlight] = (),
) -> int:
    """Whole sets of components that fit what is free; `components`: requests of one pod, and pods in a set."""
    if summary is None:
        return 0
    total: dict[str, int] = {}
    for requests, replicas in components:
        for name, text in (requests or {}).items():
            total[name] = total.get(name, 0) + nanos(text) * replicas
    in_flight = list(assumed)
    slots = max(0, _free(summary, PODS) // 10**9 - sum(replicas for _, replicas in in_flight))
    best = slots // max(1, sum(replicas for _, replicas in components))
    for name, wanted in total.items():
        if name == PODS or wanted <= 0:
            continue
        taken = sum(nanos((other or {}).get(name, "0")) * replicas for other, replicas in in_flight)
        best = min(best, max(0, (_free(summary, name) - taken) // wanted))
    return best


def _free(summary: ResourceSummary, name: str) -> int:
    """What is left of a resource, in billionths."""
    if name not in summary.allocatable:
        return 0
    used = nanos(summary.allocated.get(name, "0")) + nanos(summary.allocating.get(name, "0"))
    return nanos(summary.allocatable[name]) - used
