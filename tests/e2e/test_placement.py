"""Where workloads go on real clusters: the acceptance scenarios of the reference (research, 6.6) about scheduling."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from federation.api.quantity import parse_quantity
from federation.hub.schedule.assumed import SETTLING
from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import (
    API,
    Manifest,
    aggregated,
    config_map,
    deployment,
    dynamic,
    on,
    policy,
    selector,
    weights,
)

CPU = "7500m"
"""Three nodes of 32 CPUs a member: room for twelve of these, by sums and node by node, whatever small pods run there too."""


def term(name: str, *clusters: str, overflow: tuple[str, ...] = ()) -> Manifest:
    found: Manifest = {"affinityName": name, "clusterNames": list(clusters)}
    if overflow:
        found["overflowAffinities"] = [{"affinityName": f"{name}-more", "clusterNames": list(overflow)}]
    return found


def web(place: str, placement: Manifest, **spec: Any) -> Manifest:
    return policy("web", place, selector(name="web"), placement=placement, **spec)


def replicas(lab: Lab, place: str, name: str = "web") -> dict[str, int]:
    found = {member: lab.members[member].get("deployment", name, place) for member in ("member1", "member2", "member3")}
    return {member: copy["spec"]["replicas"] for member, copy in found.items() if copy is not None}


def at(lab: Lab, place: str, name: str = "web", **shares: int) -> None:
    def there() -> bool:
        found = replicas(lab, place, name)
        assert found == shares, f"{found}; {lab.hub.status('Deployment', name, place)}"
        return lab.hub.settled("Deployment", name, place)

    eventually(there, within=60)


def counted() -> None:
    """Return once the members' summaries count what was decided until now, and nothing is deducted besides (assumed.py)."""
    time.sleep(SETTLING + 2)


def is_empty(lab: Lab, name: str) -> bool:
    """Whether the hub knows that nothing big runs in a member: the pods of the test before go a moment after it."""
    summary = (lab.hub.get("cluster.federation.dev", name) or {})["status"]["resourceSummary"]
    used = [parse_quantity((summary.get(part) or {}).get("cpu", "0")) for part in ("allocated", "allocating")]
    return sum(used) < 4


def decision(lab: Lab, place: str, name: str = "web") -> Manifest:
    found: Manifest = lab.hub.status("Deployment", name, place)["decision"]
    return found


@pytest.fixture
def label(lab: Lab) -> Iterator[str]:
    """A label that only this test's clusters have: member1 at first."""
    key = "placement-test"
    lab.hub.run("label", "cluster.federation.dev", "member1", f"{key}=home", "--overwrite")
    lab.hub.run("label", "cluster.federation.dev", "member2", f"{key}=backup", "--overwrite")
    yield key
    for name in ("member1", "member2"):
        lab.hub.run("label", "cluster.federation.dev", name, f"{key}-")


def test_a_workload_falls_to_the_second_group_when_labels_change_and_a_rebalance_brings_it_back(
    lab: Lab, place: str, label: str
) -> None:
    groups = [
        {"affinityName": name, "labelSelector": {"matchLabels": {label: name}}} for name in ("home", "backup")
    ]  # fmt: skip
    lab.hub.apply(web(place, {"clusterAffinities": groups} | dynamic()), deployment("web", place, 2))
    at(lab, place, member1=2)
    lab.hub.run("label", "cluster.federation.dev", "member1", f"{label}-")
    at(lab, place, member2=2)
    assert decision(lab, place)["affinity"] == "backup"
    lab.hub.run("label", "cluster.federation.dev", "member1", f"{label}=home")
    always(lambda: replicas(lab, place) == {"member2": 2}, seconds=2)
    said = lab.fedctl("rebalance", "deployment/web", "-n", place)
    assert "Successful" in said
    at(lab, place, member1=2)
    assert (decision(lab, place)["affinity"], "affinity group in use: home" in lab.fedctl("explain", "deploy/web", "-n", place)) == ("home", True)  # fmt: skip


def test_a_policy_may_change_between_one_affinity_and_several_groups_without_moving_anything(
    lab: Lab, place: str
) -> None:
    lab.hub.apply(web(place, on("member1") | dynamic()), deployment("web", place, 2))
    at(lab, place, member1=2)
    uid = lab.member(1).uid("deployment", "web", place)
    lab.hub.apply(web(place, {"clusterAffinities": [term("a", "member1"), term("b", "member2")]} | dynamic()))
    eventually(lambda: decision(lab, place)["affinity"] == "a")
    at(lab, place, member1=2)
    lab.hub.apply(web(place, on("member1") | dynamic()))
    eventually(lambda: not decision(lab, place).get("affinity"))
    at(lab, place, member1=2)
    assert lab.member(1).uid("deployment", "web", place) == uid


@pytest.mark.parametrize("strategy", [dynamic(), aggregated()], ids=["by free room", "aggregated"])
def test_overflow_expands_when_scaled_up_and_retracts_when_scaled_down(
    lab: Lab, place: str, strategy: Manifest
) -> None:
    asked = {"resources": {"requests": {"cpu": CPU}}}
    eventually(lambda: is_empty(lab, "member1") and is_empty(lab, "member2"))
    lab.hub.apply(web(place, {"clusterAffinities": [term("own", "member1", overflow=("member2",))]} | strategy))
    lab.hub.apply(deployment("web", place, 10, **asked))
    at(lab, place, member1=10)
    counted()
    lab.hub.scale("web", place, 15)
    at(lab, place, member1=12, member2=3)
    lab.hub.scale("web", place, 10)
    at(lab, place, member1=10)


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [(dynamic(), {"member1": 2, "member2": 2}), (aggregated(), {"member1": 4}), (weights(member1=1, member2=1), {"member1": 2, "member2": 2})],
    ids=["by free room", "aggregated", "by weights"],
)  # fmt: skip
def test_a_rebalance_divides_anew(lab: Lab, place: str, strategy: Manifest, wanted: dict[str, int]) -> None:
    lab.hub.apply(web(place, on("member1") | strategy), deployment("web", place, 4))
    at(lab, place, member1=4)
    lab.hub.apply(web(place, on("member1", "member2") | strategy))
    eventually(lambda: decision(lab, place)["trigger"] == "PlacementChanged")
    lab.fedctl("rebalance", "deployment/web", "-n", place)
    eventually(lambda: lab.hub.settled("Deployment", "web", place) and sum(replicas(lab, place).values()) == 4)
    if wanted == {"member1": 4}:
        assert len(replicas(lab, place)) == 1, "aggregated: whichever has the most room"
    else:
        at(lab, place, **wanted)


def test_a_rebalance_is_removed_after_its_time_and_names_what_it_did_not_find(lab: Lab, place: str) -> None:
    name = f"gone-{place}"
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": place, "name": "absent"}
    lab.hub.apply({
        "apiVersion": API, "kind": "Rebalance", "metadata": {"name": name},
        "spec": {"workloads": [workload], "ttlSecondsAfterFinished": 3},
    })  # fmt: skip
    status = eventually(lambda: ((lab.hub.get("rebalance", name) or {}).get("status") or {}).get("finishTime") and lab.hub.get("rebalance", name)["status"])  # fmt: skip
    assert status["observedWorkloads"][0]["reason"] == "ReferencedBindingNotFound"
    eventually(lambda: lab.hub.get("rebalance", name) is None)


def test_workloads_of_one_affinity_group_land_together_and_of_another_namespace_do_not_interact(
    lab: Lab, place: str
) -> None:
    def member_of(name: str, group: str) -> Manifest:
        found = deployment(name, place)
        found["metadata"]["labels"] = {"group": group}
        return found

    together = {"workloadAffinity": {"affinity": {"groupByLabelKey": "group"}}}
    lab.hub.apply(
        policy("first", place, selector(name="first"), placement=on("member2") | aggregated() | together),
        policy("others", place, selector(), placement=on("member1", "member2", "member3") | aggregated() | together),
        member_of("first", "a"),
    )
    at(lab, place, "first", member2=1)
    lab.hub.apply(member_of("second", "a"), member_of("third", "b"))
    at(lab, place, "second", member2=1)
    lab.hub.apply(policy("stuck", place, selector(name="fourth"), placement=on("member1") | aggregated() | together))
    lab.hub.apply(member_of("fourth", "a"))
    refused = eventually(
        lambda: (
            (found := lab.hub.condition("Deployment", "fourth", place, "Scheduled")).get("status") == "False" and found
        )
    )
    assert "same affinity group" in refused["message"]
    assert "Deployment" in json.dumps(lab.fedctl("explain", "deploy/fourth", "-n", place))


def test_a_binding_inherits_the_value_of_its_priority_class_and_there_is_none_without_the_class(
    lab: Lab, place: str
) -> None:
    name = f"class-{place}"
    asked = {"priorityClassSource": "KubePriorityClass", "priorityClassName": name}
    lab.hub.apply(web(place, on("member1"), schedulePriority=asked), deployment("web", place, 1))
    eventually(lambda: name in json.dumps((lab.hub.get("pp", "web", place) or {}).get("status") or {}))
    assert lab.hub.binding("Deployment", "web", place) is None
    lab.hub.apply(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 5}
    )
    try:
        at(lab, place, member1=1)
        assert lab.hub.binding("Deployment", "web", place)["spec"]["schedulePriority"] == {"priority": 5}
    finally:
        lab.hub.run("delete", "priorityclass", name)


def test_scheduling_that_is_suspended_places_nothing_until_it_is_resumed(lab: Lab, place: str) -> None:
    lab.hub.apply(web(place, on("member1"), suspension={"scheduling": True}), deployment("web", place, 1))
    eventually(lambda: lab.hub.condition("Deployment", "web", place, "Scheduled").get("reason") == "Suspended")
    always(lambda: replicas(lab, place) == {}, seconds=1)
    lab.hub.apply(web(place, on("member1")))
    at(lab, place, member1=1)


def test_bounds_of_static_weights_hold_on_real_members(lab: Lab, place: str) -> None:
    rules = [
        {"targetCluster": {"clusterNames": ["member1"]}, "weight": 1, "minReplicas": 2},
        {"targetCluster": {"clusterNames": ["member2"]}, "weight": 8, "maxReplicas": 3},
        {"targetCluster": {"clusterNames": ["member3"]}, "weight": 1},
    ]
    placement = on("member1", "member2", "member3") | {
        "replicaScheduling": {"replicaDivisionPreference": "Weighted", "weightPreference": {"staticWeightList": rules}}
    }
    lab.hub.apply(web(place, placement), deployment("web", place, 7))
    at(lab, place, member1=2, member2=3, member3=2)


def test_why_not_names_the_smallest_change_and_the_change_admits_the_cluster(lab: Lab, place: str) -> None:
    lab.hub.apply(
        web(place, {"clusterAffinity": {"labelSelector": {"matchLabels": {f"{place}/use": "yes"}}}}),
        deployment("web", place, 1),
    )
    eventually(lambda: lab.hub.condition("Deployment", "web", place, "Scheduled").get("reason") == "NoClusterFit")
    answer = json.loads(lab.fedctl("why-not", "member1", "deploy/web", "-n", place, "-o", "json"))
    (fix,) = answer["fixes"]
    lab.hub.run(*fix["command"].split()[1:])
    try:
        at(lab, place, member1=1)
        assert "member1 has it: 1 replicas" in lab.fedctl("why-not", "member1", "deploy/web", "-n", place, fails=1)
    finally:
        lab.hub.delete("deployment", "web", place)
        lab.hub.run("label", "cluster.federation.dev", "member1", f"{place}/use-")


def test_a_workload_spreads_over_regions_and_moves_nothing_when_it_grows(lab: Lab, place: str) -> None:
    spread = [
        {"spreadByField": "region", "minGroups": 2, "maxGroups": 2},
        {"spreadByField": "cluster", "minGroups": 2, "maxGroups": 2},
    ]
    lab.hub.apply(
        web(place, on("member1", "member2", "member3", spreadConstraints=spread) | dynamic()),
        deployment("web", place, 4),
    )
    eventually(
        lambda: sum(replicas(lab, place).values()) == 4 and lab.hub.settled("Deployment", "web", place), within=60
    )
    before = replicas(lab, place)
    assert "member3" in before, "the only one of region us"
    assert len(before) == 2
    lab.hub.scale("web", place, 6)
    eventually(
        lambda: sum(replicas(lab, place).values()) == 6 and lab.hub.settled("Deployment", "web", place), within=60
    )
    after = replicas(lab, place)
    assert after.keys() == before.keys()
    assert all(after[name] >= count for name, count in before.items())
    assert "spread by region (2 to 2)" in lab.fedctl("explain", "deploy/web", "-n", place)


def test_a_spread_that_cannot_be_is_an_error_that_names_the_constraint(lab: Lab, place: str) -> None:
    spread = [{"spreadByField": "region", "minGroups": 3}, {"spreadByField": "cluster", "minGroups": 1}]
    lab.hub.apply(
        web(place, on("member1", "member2", "member3", spreadConstraints=spread)), deployment("web", place, 1)
    )
    refused = eventually(
        lambda: (found := lab.hub.condition("Deployment", "web", place, "Scheduled")).get("status") == "False" and found
    )
    assert "region" in refused["message"]
    assert "3" in refused["message"]


def test_what_if_says_where_everything_would_go_and_writes_nothing(lab: Lab, place: str, tmp_path: Path) -> None:
    lab.hub.apply(web(place, on("member1", "member2") | weights(member1=1, member2=1)), deployment("web", place, 4))
    at(lab, place, member1=2, member2=2)
    version = lab.hub.binding("Deployment", "web", place)["metadata"]["resourceVersion"]
    rows = json.loads(lab.fedctl("what-if", "--without", "member2", "-n", place, "-o", "json"))
    assert [(row["workload"], row["after"], row["trigger"]) for row in rows] == [
        (f"Deployment {place}/web", {"member1": 4}, "ClusterGone")
    ]
    twin = lab.hub.get("cluster.federation.dev", "member1")
    twin["metadata"] = {"name": "member9"}
    file = tmp_path / "member9.yaml"
    file.write_text(json.dumps(twin))
    lab.hub.apply(config_map("app", place), policy("app", place, selector("ConfigMap", "app", api="v1"), placement={}))
    eventually(lambda: lab.hub.targets("ConfigMap", "app", place, group=""))
    rows = json.loads(lab.fedctl("what-if", "--with-cluster", str(file), "-n", place, "-o", "json"))
    assert [row["workload"] for row in rows] == [f"ConfigMap {place}/app"], "replicas that are placed well stay"
    assert "member9" in rows[0]["after"]
    assert lab.hub.binding("Deployment", "web", place)["metadata"]["resourceVersion"] == version
    assert "there is no cluster nowhere" in lab.fedctl("what-if", "--without", "nowhere", fails=True)
