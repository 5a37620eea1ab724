"""Workloads of several pod templates: their components, and that a cluster takes a whole set or none."""

from typing import Any

import pytest

from federation.api.cluster import ResourceSummary
from federation.api.meta import Manifest
from federation.hub.schedule.decide import decide
from federation.interpret import Component, Requirements, components_of
from federation.policy.facts import ClusterFacts
from federation.schedule.decide import schedule
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import Trigger, trigger


def pod(cpu: str) -> Manifest:
    return {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]}}


FLINK: Manifest = {
    "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
    "spec": {
        "flinkConfiguration": {"taskmanager.numberOfTaskSlots": "2"}, "job": {"parallelism": 5},
        "jobManager": {"resource": {"cpu": 1, "memory": "2048m"}}, "taskManager": {"resource": {"cpu": 0.5, "memory": "1g"}},
    },
}  # fmt: skip
KINDS: dict[str, tuple[Manifest, dict[str, tuple[int, dict[str, str]]]]] = {
    "Flink counts task managers by its slots and reads its own memory units": (
        FLINK,
        {"jobmanager": (1, {"cpu": "1", "memory": "2Gi"}), "taskmanager": (3, {"cpu": "500m", "memory": "1Gi"})},
    ),
    "a number of task managers beats the parallelism": (
        {**FLINK, "spec": {**FLINK["spec"], "taskManager": {"replicas": 4}}},
        {"jobmanager": (1, {"cpu": "1", "memory": "2Gi"}), "taskmanager": (4, {})},
    ),
    "Volcano has tasks": (
        {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job",
         "spec": {"tasks": [{"name": "ps", "replicas": 2, "template": pod("1")}, {"name": "worker", "template": pod("2")}]}},
        {"ps": (2, {"cpu": "1"}), "worker": (1, {"cpu": "2"})},
    ),
    "Ray has a head and groups of workers": (
        {"apiVersion": "ray.io/v1", "kind": "RayCluster",
         "spec": {"headGroupSpec": {"template": pod("1")},
                  "workerGroupSpecs": [{"groupName": "gpu", "replicas": 3, "template": pod("4")}]}},
        {"head": (1, {"cpu": "1"}), "gpu": (3, {"cpu": "4"})},
    ),
    "Kubeflow has roles": (
        {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
         "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 2, "template": pod("1")}, "Master": {"template": pod("1")}}}},
        {"master": (1, {"cpu": "1"}), "worker": (2, {"cpu": "1"})},
    ),
    "a Job of Kubernetes has none": ({"apiVersion": "batch/v1", "kind": "Job", "spec": {"tasks": []}}, {}),
    "what cannot be read has none": ({**FLINK, "spec": {**FLINK["spec"], "job": {"parallelism": "many"}}}, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_components(case: str) -> None:
    manifest, wanted = KINDS[case]
    found = {
        one.name: (one.replicas, dict(one.requirements.resource_request) if one.requirements else {})
        for one in components_of(manifest)
    }
    assert found == wanted


SET = (
    Component(name="jobmanager", replicas=1, requirements=Requirements(resource_request={"cpu": "1"})),
    Component(name="taskmanager", replicas=3, requirements=Requirements(resource_request={"cpu": "2"})),
)


def member(name: str, cpu: str) -> ClusterView:
    apis = frozenset({("flink.apache.org/v1beta1", "FlinkDeployment")})
    return ClusterView(
        facts=ClusterFacts(name=name), apis=apis, summary=ResourceSummary(allocatable={"pods": "100", "cpu": cpu})
    )


def flink(**fields: Any) -> BindingView:
    return BindingView(
        key="shop/f", uid="u", api_version="flink.apache.org/v1beta1", kind="FlinkDeployment", components=SET, **fields
    )


def test_a_cluster_takes_a_whole_set_or_none() -> None:
    outcome = schedule(flink(), [member("m1", "6"), member("m2", "7")])
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m2": 0}
    assert outcome.decision.refused == ["Capacity 1: m1"]


def test_no_room_for_a_whole_set_anywhere_is_unschedulable() -> None:
    outcome = schedule(flink(), [member("m1", "6")])
    assert outcome.error is not None
    assert outcome.error.reason == "Unschedulable"


def test_a_set_on_its_way_takes_the_room_of_the_next_one() -> None:
    on_its_way = {"m1": [(one.requirements, one.replicas) for one in SET]}
    outcome = schedule(flink(), [member("m1", "13")], assumed=on_its_way)
    assert outcome.error is not None
    assert schedule(flink(), [member("m1", "14")], assumed=on_its_way).decision is not None


def test_what_is_placed_stays_when_the_room_is_gone() -> None:
    outcome = schedule(flink(held={"m1": 0}), [member("m1", "0")])
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m1": 0}


def test_a_cluster_more_that_has_no_room_is_not_a_new_decision() -> None:
    view = flink(previous=schedule(flink(), [member("m1", "7")]).decision)
    more = [member("m1", "7"), member("m2", "1")]
    assert trigger(view, more) == Trigger.CLUSTER_ELIGIBLE
    answer = decide(view, more, {})
    assert (answer.decision, answer.error) == (None, None)
