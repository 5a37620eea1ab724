"""Health with thresholds, and Cluster.status from what was probed."""

from federation.hub.clusters.decide import Health, Probe, inventory, judge, plan


def probe(at: float, healthy: bool, *, answered: bool = True) -> Probe:
    return Probe(at=at, answered=answered, healthy=healthy)


def after(*probes: Probe, start: Health | None = None) -> Health:
    health = start or Health()
    for one in probes:
        health = judge(health, one, failure_threshold=30, success_threshold=10)
    return health


def test_the_first_probe_decides_at_once() -> None:
    assert after(probe(0, True)).status == "True"
    assert after(probe(0, False, answered=False)).reason == "ClusterNotReachable"


def test_a_ready_member_must_fail_for_thirty_seconds() -> None:
    ready = after(probe(0, True))
    assert after(probe(10, False), probe(39, False), start=ready).status == "True"
    assert after(probe(10, False), probe(40, False), start=ready).status == "False"


def test_one_answer_starts_the_count_again() -> None:
    ready = after(probe(0, True))
    assert after(probe(10, False), probe(20, True), probe(45, False), start=ready).status == "True"


def test_a_member_that_was_away_must_answer_for_ten_seconds() -> None:
    away = after(probe(0, False))
    assert after(probe(10, True), probe(19, True), start=away).status == "False"
    assert after(probe(10, True), probe(20, True), start=away).status == "True"


NODE = {
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
    }
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "spec": {"nodeName": "n", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}}}]},
}


def test_inventory_sums_nodes_and_pods() -> None:
    found = inventory([NODE, NODE], [POD])
    assert (found.nodes, found.ready_nodes) == (2, 2)
    assert found.allocatable["cpu"] == "8"
    assert found.allocated == {"cpu": "1500m", "pods": "1"}


def cluster(**status: object) -> dict:
    return {"metadata": {"name": "m1", "generation": 1}, "spec": {}, "status": status}


def status(manifest: dict, health: Health, now: float = 0) -> dict | None:
    return plan(
        manifest, health=health, version="v1.36.3", apis=["v1: Pod"], unknown_apis=[], inventory_now=inventory([NODE], [POD]),
        now=now, observed_at=f"t{now}",
    )  # fmt: skip


def test_an_equal_look_writes_nothing() -> None:
    first = status(cluster(), after(probe(0, True)))
    assert first is not None
    assert status(cluster(**first), after(probe(0, True)), now=60) is None


def test_an_unreachable_member_is_tainted_and_keeps_its_numbers() -> None:
    first = status(cluster(), after(probe(0, True)))
    assert first is not None
    away = status(cluster(**first), after(probe(0, False, answered=False)), now=5)
    assert away is not None
    assert [one["key"] for one in away["taints"]] == ["federation.dev/unreachable"]
    assert away["resourceSummary"] == first["resourceSummary"]
