"""What kind is told and asked, with programs in its place that write down how they were called."""

import json
import stat
from pathlib import Path

import pytest
import yaml

from hack.lab import providers
from hack.lab.kind import KindCluster, KindSet
from hack.lab.local import HUB_CONTROLLERS
from hack.lab.sets import ClusterSet

PROGRAM = """#!/usr/bin/env python3
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as file:
    file.write(json.dumps([pathlib.Path(__file__).name, *sys.argv[1:]]) + "\\n")
made = here / "made"
name = next((word.partition("=")[2] for word in sys.argv if word.startswith("--name=")), "")
if sys.argv[1:3] == ["get", "clusters"]:
    print(made.read_text() if made.exists() else "", end="")
if sys.argv[1:3] == ["create", "cluster"]:
    with made.open("a") as file:
        file.write(name + "\\n")
    target = next(word.partition("=")[2] for word in sys.argv if word.startswith("--kubeconfig="))
    pathlib.Path(target).write_text("clusters: [{name: x, cluster: {server: 'https://127.0.0.1:6443'}}]")
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("kind", "docker", "kubectl"):
        file = tmp_path / name
        file.write_text(PROGRAM)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("hack.lab.kind.kubectl", lambda: tmp_path / "kubectl")
    return lambda: [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


def patch_of(name: str, *, audit: bool = False) -> dict:
    cluster = KindCluster(name=name, set_name="s", directory=Path("/d"), audit=audit)
    node = cluster.configuration()["nodes"][0]
    return {**yaml.safe_load(node["kubeadmConfigPatches"][0]), "mounts": node.get("extraMounts", [])}


def test_the_hub_gets_only_the_controllers_of_a_hub_and_a_member_all() -> None:
    assert patch_of("hub")["controllerManager"]["extraArgs"]["controllers"] == HUB_CONTROLLERS
    assert "disable-admission-plugins" in patch_of("hub")["apiServer"]["extraArgs"]
    assert "controllers" not in patch_of("member1")["controllerManager"]["extraArgs"]


def test_the_audit_log_is_written_into_a_directory_of_the_host() -> None:
    found = patch_of("member1", audit=True)
    assert found["apiServer"]["extraArgs"]["audit-log-path"] == "/federation/audit.log"
    assert found["mounts"] == [{"hostPath": "/d", "containerPath": "/federation"}]


def test_a_set_is_created_started_listed_and_deleted(calls) -> None:
    clusters = KindSet("s")
    clusters.up(members=0, audit=True)
    assert clusters.names() == ["hub"]
    assert json.loads(clusters.kubeconfig("hub").read_text())["clusters"][0]["name"] == "x"
    assert clusters.cluster("hub").audit_log.exists()
    clusters.up(members=0)
    clusters.down()
    words = [" ".join(call[:3]) for call in calls()]
    assert words.count("kind create cluster") == 1, "the second up found it"
    assert words.count("docker start s-hub-control-plane") == 2
    assert words[-1] == "kind delete cluster"


@pytest.mark.parametrize(("chosen", "kind"), [("kind", KindSet), ("local", ClusterSet)])
def test_the_environment_chooses_the_provider(monkeypatch: pytest.MonkeyPatch, chosen: str, kind: type) -> None:
    monkeypatch.setenv(providers.CHOICE, chosen)
    assert isinstance(providers.cluster_set("s"), kind)
    monkeypatch.setenv(providers.CHOICE, "docker")
    with pytest.raises(ValueError, match="auto, kind, local"):
        providers.cluster_set("s")
