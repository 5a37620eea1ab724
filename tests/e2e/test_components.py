"""Workloads of several pod templates on real clusters: a whole set of components goes to one cluster with room for it, or nowhere.

The definitions are the kinds' names and nothing else; no operator of theirs runs, so what counts is the object in the member.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab, Manifest, eventually
from tests.e2e.manifests import aggregated, on, policy, selector

ROOM, TOO_MUCH = "10", "40"
"""CPUs of a worker: four of the first fit into a member of 96, four of the second do not."""


def flink(place: str, name: str, cpu: str) -> Manifest:
    return {
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": name, "namespace": place},
        "spec": {
            "jobManager": {"replicas": 1, "resource": {"cpu": 1, "memory": "1024m"}},
            "taskManager": {"replicas": 4, "resource": {"cpu": int(cpu), "memory": "1024m"}},
        },
    }  # fmt: skip


def volcano(place: str, name: str, cpu: str) -> Manifest:
    def task(role: str, replicas: int, asked: str) -> Manifest:
        container = {"name": "main", "image": "registry.test/app:1", "resources": {"requests": {"cpu": asked}}}
        return {"name": role, "replicas": replicas, "template": {"spec": {"containers": [container]}}}

    return {
        "apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": name, "namespace": place},
        "spec": {"minAvailable": 5, "tasks": [task("ps", 1, "1"), task("worker", 4, cpu)]},
    }  # fmt: skip


KINDS = {
    "FlinkDeployment": (flink, "flinkdeployments", "flink.apache.org", "v1beta1"),
    "Volcano Job": (volcano, "jobs", "batch.volcano.sh", "v1alpha1"),
}


def definition(plural: str, group: str, version: str, kind: str) -> Manifest:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}],
        },
    }  # fmt: skip


@pytest.fixture
def served(lab: Lab, place: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A kind of KINDS that the hub and two members serve, by its name; gone at the end, with its objects."""
    make, plural, group, version = KINDS[request.param]
    kind = make(place, "x", ROOM)["kind"]
    for cluster in (lab.hub, lab.member(1), lab.member(2)):
        cluster.define(definition(plural, group, version, kind))
    for name in ("member1", "member2"):
        lab.fedctl("allow", name, f"{plural}.{group}", "--kubeconfig", str(lab.members[name].kubeconfig))
    yield request.param
    lab.hub.run("delete", f"{plural}.{group}", "--all", "-n", place)
    eventually(lambda: not lab.hub.every("rb", place), within=60)
    for cluster in (lab.hub, lab.member(1), lab.member(2)):
        cluster.run("delete", "crd", f"{plural}.{group}", "--wait=false")


@pytest.mark.parametrize("served", KINDS, indirect=True)
def test_a_whole_set_of_components_goes_to_one_cluster_with_room_for_it(lab: Lab, place: str, served: str) -> None:
    make, plural, group, version = KINDS[served]
    kind, resource = make(place, "x", ROOM)["kind"], f"{plural}.{group}"
    alone = {"spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]}
    chosen = selector(kind, api=f"{group}/{version}")
    lab.hub.apply(policy("sets", place, chosen, placement=on("member1", "member2") | aggregated() | alone))
    lab.hub.apply(make(place, "fits", ROOM), make(place, "big", TOO_MUCH))
    eventually(lambda: lab.hub.settled(kind, "fits", place, group))
    targets = lab.hub.targets(kind, "fits", place, group)
    assert len(targets) == 1
    (name,) = targets
    copy = lab.members[name].get(resource, "fits", place)
    assert copy is not None
    assert copy["spec"] == make(place, "fits", ROOM)["spec"], "sent as it is"
    other = next(one for one in ("member1", "member2") if one != name)
    assert lab.members[other].get(resource, "fits", place) is None
    said = eventually(lambda: _refusal(lab, kind, "big", place, group))
    assert "set" in said
    assert lab.hub.targets(kind, "big", place, group) == {}
    lab.hub.delete(resource, "fits", place)
    eventually(lambda: lab.members[name].get(resource, "fits", place) is None)


def _refusal(lab: Lab, kind: str, name: str, place: str, group: str) -> str:
    conditions = lab.hub.status(kind, name, place, group).get("conditions") or []
    found = next((one for one in conditions if one["type"] == "Scheduled" and one["status"] == "False"), {})
    return str(found.get("message", ""))
