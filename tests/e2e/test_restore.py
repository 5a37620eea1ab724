"""The hub loses its memory: restored from an older snapshot, rebuilt empty, its kinds deleted, the federation taken away.

Clusters of their own: a hub and two members, as the tests damage the hub. The order matters: the last one uninstalls.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.lab.audit import requests
from hack.lab.kind import KindSet
from hack.lab.providers import cluster_set
from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import config_map, deployment, namespace, on, policy, selector, weights

PLACE = "shop"
MARK = "federation.dev/mark"
KINDS = (
    "clusters", "clustercapacities", "propagationpolicies", "clusterpropagationpolicies", "overridepolicies",
    "clusteroverridepolicies", "resourcebindings", "clusterresourcebindings", "rebalances",
)  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A hub and two members, joined, with the hub process running."""
    kept = os.environ.get("FEDERATION_TEST_SET")
    clusters = cluster_set(f"{kept}-restore" if kept else f"restore-{os.getpid()}", "local")
    assert not isinstance(clusters, KindSet)
    clusters.up(members=2, audit=True)
    found = Lab(clusters, tmp_path_factory.mktemp("hub"))
    try:
        found.process.prepare()
        found.process.start()
        for number in (1, 2):
            if found.hub.get("cluster", f"member{number}") is None:
                found.join(number)
        found.hub.apply(namespace(PLACE))
        yield found
    finally:
        if found.process.running:
            found.process.kill()
        if not kept:
            clusters.down()


@pytest.fixture(autouse=True)
def no_errors_in_the_log(lab: Lab) -> Iterator[None]:
    """The hub process logs no error, but for kinds of ours that are not served any more: then it ends, and says why."""
    before = len(lab.process.errors())
    yield
    errors = [line for line in lab.process.errors()[before:] if "404 page not found" not in line]
    assert not errors, "\n".join(errors)


def data(lab: Lab) -> dict[str, str]:
    """The hub's record."""
    found = lab.hub.get("configmap", "federation-hub", "federation-system")
    return (found or {}).get("data") or {}


def copies(lab: Lab, name: str) -> dict[str, tuple[str, str]]:
    """UID and spec of each copy of a Deployment (its generation moves with its annotations, so with marks)."""
    found = {member: one.get("deployment", name, PLACE) for member, one in lab.members.items()}
    return {
        member: (one["metadata"]["uid"], json.dumps(one["spec"], sort_keys=True))
        for member, one in found.items()
        if one is not None
    }


def pods(lab: Lab) -> set[str]:
    """Each pod, as text that says which it is where a comparison fails."""
    return {
        f"{name} {pod['metadata']['name']} {pod['metadata']['uid']}"
        for name, member in lab.members.items()
        for pod in member.every("pods", PLACE)
    }


def same(lab: Lab, running: set[str]) -> bool:
    """Whether exactly these pods run. If not, the failure says which came and went, and what was written last, by whom."""
    found = pods(lab)
    if found != running:
        writes = [
            f"{name} {one.time} {one.user} {one}"
            for name, member in lab.members.items()
            for one in requests(member.audit_log)
            if one.writes and one.namespace == PLACE and one.resource in {"deployments", "replicasets", "pods"}
        ]
        text = "\n".join(sorted(writes, key=lambda line: line.split()[1])[-40:])
        raise AssertionError(
            f"gone: {sorted(running - found)}, new: {sorted(found - running)}; the last writes:\n{text}"
        )
    return True


def at_rest(lab: Lab, count: int = 0) -> set[str]:
    """The pods once there are `count` of them (0: any) and no rollout goes on: the same for two seconds."""
    found: set[str] = set()
    since = time.monotonic()

    def unchanged() -> bool:
        nonlocal found, since
        now = pods(lab)
        if now != found or len(now) != (count or len(now)):
            found, since = now, time.monotonic()
        return time.monotonic() - since > 2

    eventually(unchanged, within=60)
    return found


def replicas(lab: Lab, name: str) -> list[int]:
    found = [one.get("deployment", name, PLACE) for one in lab.members.values()]
    return [one["spec"]["replicas"] for one in found if one is not None]


def apply(lab: Lab, name: str, count: int, *, image: str = "registry.test/app:1", **placement: object) -> None:
    where = on("member1", "member2") | placement
    lab.hub.apply(
        policy(name, PLACE, selector(name=name), placement=where), deployment(name, PLACE, count, image=image)
    )
    eventually(lambda: lab.hub.settled("Deployment", name, PLACE) and sum(replicas(lab, name)) > 0)


def renewed(lab: Lab) -> None:
    """Return once the process knows a newer Lease than before: a leader renews its own; where none leads, by hand."""
    if lab.hub.get("lease", "federation-leader", "federation-system") is None:
        lab.hub.apply({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"leaseTransitions": time.time_ns() % 10**9},
            "metadata": {"name": "federation-by-hand", "namespace": "federation-system"},
        })  # fmt: skip
    time.sleep(4)


def test_a_hub_restored_from_an_older_snapshot_removes_nothing_until_a_human_resumes(lab: Lab, tmp_path: Path) -> None:
    apply(lab, "web", 2)
    assert lab.process.stop() == 0
    lab.clusters.snapshot("hub", tmp_path / "hub.tar.gz")
    lab.process.start()
    renewed(lab)
    apply(lab, "new", 1)
    apply(lab, "web", 4, image="registry.test/app:2")
    eventually(lambda: replicas(lab, "web") == [4, 4])
    running = at_rest(lab, 10)
    before = {name: copies(lab, name) for name in ("web", "new")}
    assert lab.process.stop() == 0

    lab.clusters.restore("hub", tmp_path / "hub.tar.gz")
    assert lab.hub.get("deployment", "new", PLACE) is None, "the hub forgot it"
    lab.process.start()
    assert json.loads(data(lab)["behind"])["ahead"]
    always(lambda: same(lab, running), seconds=3)
    assert {name: copies(lab, name) for name in ("web", "new")} == before
    assert "HubBehindMembers" in lab.hub.run("get", "events", "-n", "federation-system")
    status = lab.fedctl("hub", "status")
    assert "HubBehindMembers" in status
    assert "Deployment shop/web" in status
    eventually(lambda: lab.hub.members("Deployment", "web", PLACE)["member1"].get("reason") == "HubBehindMembers")
    assert "first: fedctl hub status" in lab.fedctl("orphans", "--delete", "--yes", fails=1)
    assert "HubBehindMembers" in lab.fedctl("orphans")
    lab.process.kill()
    lab.process.start()
    always(lambda: same(lab, running), seconds=2)

    said = lab.fedctl("hub", "resume", "--yes")
    assert "new" in said
    assert "behind" not in data(lab)
    eventually(lambda: replicas(lab, "web") == [2, 2] and lab.hub.settled("Deployment", "web", PLACE))
    assert copies(lab, "new") == before["new"], "from the lost timeline: stranded, never swept"
    found = json.loads(lab.fedctl("orphans", "-o", "json", "--cluster", "member1"))
    assert [(one["kind"], one["name"], one["reason"]) for one in found] == [("Deployment", "new", "LostTimeline")]
    lab.process.restart()
    always(lambda: copies(lab, "new") == before["new"], seconds=2)
    assert "2 deleted" in lab.fedctl("orphans", "--delete", "--yes")
    assert copies(lab, "new") == {}
    assert "nothing to resume" in lab.fedctl("hub", "resume", "--yes", fails=1)


def test_our_kinds_deleted_and_installed_again_remove_no_workload(lab: Lab) -> None:
    apply(lab, "web", 2)
    running = at_rest(lab, 4)
    before = copies(lab, "web")
    for kind in KINDS:
        lab.hub.run("delete", "crd", f"{kind}.federation.dev", "--wait=false", "--ignore-not-found")
    eventually(lambda: not [one for one in KINDS if lab.hub.get("crd", f"{one}.federation.dev")], within=60)
    always(lambda: same(lab, running), seconds=3)
    assert copies(lab, "web") == before
    lab.process.kill()  # it has nothing left to do; a supervisor would start it anew
    lab.process.start()
    for number in (1, 2):
        lab.join(number)
    always(lambda: same(lab, running), seconds=1)
    apply(lab, "web", 2)
    assert copies(lab, "web") == before
    assert same(lab, running)


def test_a_hub_rebuilt_from_git_on_an_empty_api_server_takes_up_what_runs_and_touches_marks_only(lab: Lab) -> None:
    shares = weights(member1=1, member2=1)
    apply(lab, "web", 2)
    apply(lab, "odd", 5, **shares)
    renewed(lab)
    apply(lab, "late", 1)
    running = at_rest(lab, 4 + 5 + 2)
    before = {name: copies(lab, name) for name in ("web", "odd", "late")}
    divided, old = replicas(lab, "odd"), lab.fedctl("hub", "identity").strip()
    template = lab.hub.uid("deployment", "web", PLACE)
    assert lab.process.stop() == 0
    lab.clusters.stop("hub")
    shutil.rmtree(lab.clusters.cluster("hub").directory / "etcd")
    lab.clusters.start("hub")
    lab.process.prepare()
    lab.process.start()
    assert old in lab.fedctl("join", "member1", "--kubeconfig", str(lab.member(1).kubeconfig), fails=1)
    assert lab.process.stop() == 0
    lab.fedctl("hub", "identity", old)
    lab.process.start()
    with lab.member(1).counting() as asked:
        for number in (1, 2):
            lab.join(number)
        eventually(lambda: data(lab).get("behind"))
        assert "clusters have joined" in lab.fedctl("hub", "identity", "another", fails=1)
        lab.hub.apply(namespace(PLACE))
        apply(lab, "odd", 5, **shares)
        apply(lab, "web", 2)
    assert replicas(lab, "odd") == divided
    assert {name: copies(lab, name) for name in before} == before
    assert same(lab, running)
    mark = lab.member(1).get("deployment", "web", PLACE)["metadata"]["annotations"][MARK]
    assert template not in mark
    ours = [
        str(one) for one in asked
        if one.user.endswith(":federation-hub") and one.writes and one.resource != "serviceaccounts"
    ]  # fmt: skip
    assert len(ours) == 2, f"one write for each copy, its marks: {ours}"
    lab.fedctl("hub", "resume", "--yes")
    always(lambda: same(lab, running), seconds=2)
    apply(lab, "late", 1)
    assert copies(lab, "late") == before["late"], "taken up when its YAML came"
    assert "no object" in lab.fedctl("orphans")


def test_uninstalling_leaves_every_workload_running_and_nothing_of_ours(lab: Lab) -> None:
    apply(lab, "web", 2)
    lab.hub.apply(
        policy("app", PLACE, selector("ConfigMap", "app", api="v1"), placement=on("member1")), config_map("app", PLACE)
    )
    eventually(lambda: lab.member(1).get("configmap", "app", PLACE))
    running = at_rest(lab)
    before = copies(lab, "web")
    assert "fedctl leave each" in lab.fedctl("uninstall", fails=1)
    assert "no longer ours" in lab.fedctl("uninstall", "--keep", "--yes")
    lab.process.kill()
    assert copies(lab, "web") == before
    assert same(lab, running)
    for member in lab.members.values():
        eventually(lambda member=member: member.get("namespace", "federation-system") is None, within=60)
        assert member.get("clusterrole", "federation-hub") is None
        for kind in ("deployments", "configmaps", "namespaces"):
            assert member.every(kind, selector="federation.dev/hub") == []
        assert MARK not in (member.get("deployment", "web", PLACE)["metadata"].get("annotations") or {})
    eventually(lambda: "federation.dev" not in lab.hub.run("get", "crd", "-o", "name"))
    assert lab.hub.get("deployment", "web", PLACE) is not None, "templates are the user's"
