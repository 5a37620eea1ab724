"""`hack/clusters` as a developer uses it: sets side by side, recovery after a crash, a clean end."""

import json
import os
import subprocess
from pathlib import Path

import yaml

from hack.lab.providers import cluster_set
from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import config_map


def command(repository: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(repository / "hack" / "clusters"), *arguments, "--set", name],
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    return done.stdout


def test_a_cluster_that_was_killed_is_mended_by_up_with_its_data_and_its_address(lab: Lab, repository: Path) -> None:
    lab.member(4).apply(config_map("kept", "default", a="1"))
    cluster = lab.clusters.cluster("member4")
    before = cluster.endpoint
    cluster.kill()
    eventually(lambda: not lab.clusters.cluster("member4").status()["ready"])
    lab.clusters.up(members=4, audit=True)
    assert lab.clusters.cluster("member4").endpoint == before
    assert lab.member(4).get("configmap", "kept", "default")["data"] == {"a": "1"}
    lab.member(4).delete("configmap", "kept", "default")
    assert "member4" in command(repository, lab.clusters.name, "status")


def test_pods_run_soon_after_a_member_was_stopped_and_started(lab: Lab) -> None:
    lab.clusters.stop("member4")
    lab.clusters.start("member4")
    lab.member(4).run("run", "after", "-n", "default", "--image=registry.test/app:1")
    eventually(lambda: lab.member(4).get("pod", "after", "default")["status"].get("phase") == "Running", within=15)
    lab.member(4).delete("pod", "after", "default", wait=False)


def test_two_sets_run_side_by_side_and_the_end_of_one_is_not_the_end_of_the_other(lab: Lab, repository: Path) -> None:
    name = f"other-{os.getpid()}"
    try:
        command(repository, name, "up", "--members", "0")
        file = Path(command(repository, name, "kubeconfig", "hub").strip())
        server = yaml.safe_load(file.read_text())["clusters"][0]["cluster"]["server"]
        assert server != json.loads(lab.hub.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        assert lab.hub.uid("namespace", "kube-system") not in command(repository, name, "status")
    finally:
        command(repository, name, "down")
    assert cluster_set(name).names() == []
    assert lab.hub.get("namespace", "kube-system") is not None
