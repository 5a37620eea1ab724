"""Decisions a second of the pure scheduler: repeated ones (nothing changed) and first ones, by number of clusters."""

import time
from dataclasses import replace

from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement
from federation.interpret.requirements import Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.decide import schedule
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import trigger

PLACEMENT = Placement.model_validate({
    "clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "gold"}}},
    "replicaScheduling": {"replicaSchedulingType": "Divided", "weightPreference": {"dynamicWeight": "AvailableReplicas"}},
})  # fmt: skip
SECONDS = 1.0


def measure(counts: tuple[int, ...] = (3, 100, 500, 1000)) -> dict[str, dict[str, float]]:
    """Decisions a second by number of clusters."""
    return {str(count): _at(count) for count in counts}


def _at(count: int) -> dict[str, float]:
    summary = ResourceSummary(allocatable={"pods": "1000", "cpu": "500"}, allocated={"cpu": "20"})
    apis = frozenset({("apps/v1", "Deployment")})
    clusters = [
        ClusterView(facts=ClusterFacts(name=f"m{number:04}", labels={"tier": "gold"}), apis=apis, summary=summary)
        for number in range(count)
    ]
    first = BindingView(
        key="n/b", uid="u", api_version="apps/v1", kind="Deployment", replicas=100, placement=PLACEMENT,
        requirements=Requirements(resource_request={"cpu": "100m"}),
    )  # fmt: skip
    decided = replace(first, previous=schedule(first, clusters).decision)
    grown = replace(decided, replicas=120)
    return {
        "first": _rate(lambda: schedule(first, clusters)),
        "rescale": _rate(lambda: schedule(grown, clusters)),
        "unchanged": _rate(lambda: trigger(decided, clusters)),
    }


def _rate(work) -> float:  # type: ignore[no-untyped-def]
    work()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        work()
        done += 1
    return round(done / (time.perf_counter() - start), 1)
