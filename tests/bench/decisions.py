"""Decisions a second of the pure scheduler, their record included, by number of clusters.

`first`: clusters that nobody asked before; `repeated`: many workloads of one placement on one snapshot; `rescale`: the same with
another number and something placed before; `unchanged`: nothing is to be decided.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement
from federation.interpret.requirements import Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.decide import schedule
from federation.schedule.snapshot import BindingView, ClusterView, Snapshot
from federation.schedule.triggers import trigger

PLACEMENT = Placement.model_validate({
    "clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "gold"}}},
    "replicaScheduling": {"replicaSchedulingType": "Divided", "weightPreference": {"dynamicWeight": "AvailableReplicas"}},
})  # fmt: skip
SECONDS = 1.0
WORKLOADS = 500


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
    snapshot = Snapshot(clusters)
    others = [replace(first, key=f"n/b{number}", uid=f"u{number}") for number in range(WORKLOADS)]
    decision = schedule(first, clusters).decision
    grown = [replace(one, previous=decision, replicas=100 + number % 7) for number, one in enumerate(others)]
    return {
        "first": _rate(lambda _: schedule(first, list(clusters))),
        "repeated": _rate(lambda number: schedule(others[number % WORKLOADS], snapshot)),
        "rescale": _rate(lambda number: schedule(grown[number % WORKLOADS], snapshot)),
        "unchanged": _rate(lambda number: trigger(grown[number % WORKLOADS], snapshot)),
    }


def _rate(work: Callable[[int], object]) -> float:
    work(0)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        work(done)
        done += 1
    return round(done / (time.perf_counter() - start), 1)
