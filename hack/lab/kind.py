"""The same sets from kind, where a Docker engine answers. Written with care; it runs in the kind workflow only.

The hub's controller manager is limited by kubeadm patches to what a hub needs, so a Deployment there starts no pod.
"""

import shutil
import subprocess
from pathlib import Path

import yaml

from hack.lab.local import HUB_CONTROLLERS, HUB_WITHOUT
from hack.lab.places import say, state_directory


def available() -> bool:
    """Whether kind is installed and a Docker engine answers."""
    if shutil.which("kind") is None or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0


class KindSet:
    """Clusters `NAME-hub`, `NAME-member1` ... of kind."""

    def __init__(self, name: str = "default") -> None:
        self.name = name
        self.directory = state_directory() / "kind" / name

    def up(self, *, members: int = 3) -> None:
        """Create what is missing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        existing = self.names()
        for name in ["hub", *(f"member{number}" for number in range(1, members + 1))]:
            if name in existing:
                continue
            file = self.directory / f"{name}.yaml"
            file.write_text(yaml.safe_dump(self._configuration(name)))
            say(f"creating {name} with kind")
            command = ["kind", "create", "cluster", f"--name={self.name}-{name}", f"--config={file}",
                       f"--kubeconfig={self.kubeconfig(name)}", f"--wait={'0s' if name == 'hub' else '180s'}"]  # fmt: skip
            subprocess.run(command, check=True)

    def down(self) -> None:
        """Delete every cluster of the set."""
        for name in self.names():
            subprocess.run(["kind", "delete", "cluster", f"--name={self.name}-{name}"], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def names(self) -> list[str]:
        """The clusters of the set, hub first."""
        answer = subprocess.run(["kind", "get", "clusters"], check=True, capture_output=True, text=True)
        prefix = f"{self.name}-"
        names = [line.removeprefix(prefix) for line in answer.stdout.split() if line.startswith(prefix)]
        return sorted(names, key=lambda name: (name != "hub", len(name), name))

    def kubeconfig(self, name: str) -> Path:
        """Path of the administrator's kubeconfig of one cluster."""
        return self.directory / f"{name}.kubeconfig"

    def _configuration(self, name: str) -> dict[str, object]:
        kubeadm: dict[str, object] = {"kind": "ClusterConfiguration"}
        if name == "hub":
            kubeadm["controllerManager"] = {"extraArgs": {"controllers": HUB_CONTROLLERS}}
            kubeadm["apiServer"] = {"extraArgs": {"disable-admission-plugins": HUB_WITHOUT}}
        node: dict[str, object] = {"role": "control-plane"}
        if name != "hub":
            # Members run real pods: one node more than the control plane.
            return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node, {"role": "worker"}]}
        node["kubeadmConfigPatches"] = [yaml.safe_dump(kubeadm)]
        return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]}
