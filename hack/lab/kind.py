"""The same sets from kind, where a Docker engine answers: kubeadm control planes, and kwok's simulated nodes for the pods.

The hub's controller manager and admission are limited by kubeadm patches to what a hub needs, so a Deployment there starts
no pod. The one real node of a member is tainted: its pods would need images that do not exist. No Docker engine answered
where this was written; the workflow `e2e-kind` is what runs it.
"""

import json
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.lab.binaries import kubectl, kwok
from hack.lab.local import AUDIT_POLICY, HUB_CONTROLLERS, HUB_WITHOUT, NotReady, simulated_node
from hack.lab.places import say, state_directory
from hack.lab.ports import free_ports
from hack.lab.processes import Running, end, start
from hack.lab.stages import write_stages

SHARED = "/federation"
"""Where a node container sees the cluster's directory."""
REAL_NODE = "federation.test/real=true:NoSchedule"


def available() -> bool:
    """Whether kind is installed and a Docker engine answers."""
    if shutil.which("kind") is None or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0


@dataclass(slots=True, kw_only=True)
class KindCluster:
    """One cluster: a node container of kind and, for a member, a kwok process beside it."""

    name: str
    set_name: str
    directory: Path
    audit: bool = False
    nodes: int = 3

    @property
    def container(self) -> str:
        """The node container, by kind's own naming."""
        return f"{self.set_name}-{self.name}-control-plane"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON line a request, if the cluster was made with `audit`."""
        return self.directory / "audit.log"

    @property
    def endpoint(self) -> str:
        """URL of the API server."""
        return str(json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])

    def create(self) -> None:
        """Make the cluster, and keep its kubeconfig and keys as a local cluster keeps them."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.audit:
            (self.directory / "audit-policy.yaml").write_text(json.dumps(AUDIT_POLICY))
            self.audit_log.touch()  # ours, so that it can be read: the API server writes as root
        file = self.directory / "kind.yaml"
        file.write_text(yaml.safe_dump(self.configuration()))
        command = ["kind", "create", "cluster", f"--name={self.set_name}-{self.name}", f"--config={file}"]
        _run(*command, f"--kubeconfig={self.kubeconfig}", "--wait=0s")
        self.kubeconfig.write_text(json.dumps(yaml.safe_load(self.kubeconfig.read_text())))
        (self.directory / "pki").mkdir(exist_ok=True)
        for name in ("ca.crt", "sa.key", "sa.pub"):
            _run("docker", "cp", f"{self.container}:/etc/kubernetes/pki/{name}", str(self.directory / "pki" / name))

    def start(self) -> None:
        """Start what is stopped."""
        _run("docker", "start", self.container)
        if self.name != "hub":
            self._start_kwok()

    def wait_ready(self) -> None:
        """Return once the cluster can be used; makes the simulated nodes. Raises NotReady."""
        self._wait("the API server", "get", "--raw=/readyz")
        if self.name == "hub":
            return
        self._wait("the ServiceAccount", "get", "serviceaccount", "default", "-n", "default")
        self._kubectl("taint", "nodes", self.container, REAL_NODE, "--overwrite")
        for number in range(self.nodes):
            node = simulated_node(f"{self.name}-node-{number}")
            self._kubectl("apply", "-f", "-", stdin=json.dumps(node))
            # apply ignores status, which a kubelet would write: the size of the node.
            patch = json.dumps({"status": node["status"]})
            self._kubectl(
                "patch", "node", node["metadata"]["name"], "--subresource=status", "--type=merge", "-p", patch
            )
        self._wait("the simulated nodes", "wait", "--for=condition=Ready", "node", "-l", "type=kwok", "--timeout=20s")

    def stop(self) -> None:
        """End the processes; the data stays."""
        end(self._processes())
        _run("docker", "stop", self.container)

    def kill(self) -> None:
        """End everything at once, as after a crash of the machine."""
        for process in self._processes():
            process.signal(signal.SIGKILL)
        _run("docker", "kill", self.container)

    def freeze(self) -> None:
        """Stop answering, with connections open."""
        _run("docker", "pause", self.container)

    def thaw(self) -> None:
        """Answer again."""
        _run("docker", "unpause", self.container)

    def delete(self) -> None:
        """Remove the cluster and what is kept of it."""
        end(self._processes(), timeout=0.5)
        _run("kind", "delete", "cluster", f"--name={self.set_name}-{self.name}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        """As a local cluster says it; the memory of a container is Docker's to tell."""
        found = {one.pid: one.alive for one in self._processes()}
        processes = {f"kwok {pid}": {"pid": pid, "alive": alive, "pss": 0} for pid, alive in found.items()}
        return {"ready": self._asks("get", "--raw=/readyz"), "server": self.endpoint, "processes": processes}

    def configuration(self) -> dict[str, Any]:
        """What kind is told. The patches name no version, so kind translates them to the one that kubeadm reads."""
        patch: dict[str, Any] = {"kind": "ClusterConfiguration"}
        arguments: dict[str, str] = {}
        node: dict[str, Any] = {"role": "control-plane"}
        if self.name == "hub":
            patch["controllerManager"] = {"extraArgs": {"controllers": HUB_CONTROLLERS}}
            arguments["disable-admission-plugins"] = HUB_WITHOUT
        else:
            patch["controllerManager"] = {"extraArgs": {"horizontal-pod-autoscaler-sync-period": "3s"}}
        patch["apiServer"] = {"extraArgs": arguments}
        if self.audit:
            arguments |= {
                "audit-policy-file": f"{SHARED}/audit-policy.yaml", "audit-log-path": f"{SHARED}/audit.log",
                "audit-log-mode": "blocking", "audit-log-maxsize": "2000",
            }  # fmt: skip
            volume = {"name": "federation", "hostPath": SHARED, "mountPath": SHARED, "pathType": "DirectoryOrCreate"}
            patch["apiServer"]["extraVolumes"] = [volume]
            node["extraMounts"] = [{"hostPath": str(self.directory), "containerPath": SHARED}]
        node["kubeadmConfigPatches"] = [yaml.safe_dump(patch)]
        return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]}

    def _start_kwok(self) -> None:
        if any(one.alive for one in self._processes()):
            return
        binary, stages = kwok()
        target = self.directory / "stages.yaml"
        write_stages(stages, target)
        command = [
            str(binary), f"--kubeconfig={self.kubeconfig}", f"--config={target}", "--manage-all-nodes=false",
            "--manage-nodes-with-label-selector=type=kwok", "--node-lease-duration-seconds=40", "--cidr=10.128.0.0/16",
            f"--server-address=127.0.0.1:{free_ports(1, taken=set())[0]}",
        ]  # fmt: skip
        process = start(command, log=self.directory / "kwok.log")
        (self.directory / "kwok.json").write_text(json.dumps(process.as_json()))

    def _processes(self) -> list[Running]:
        file = self.directory / "kwok.json"
        return [Running(**json.loads(file.read_text()))] if file.exists() else []

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> None:
        _run(str(kubectl()), f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def _asks(self, *arguments: str) -> bool:
        command = [str(kubectl()), f"--kubeconfig={self.kubeconfig}", "--request-timeout=25s", *arguments]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def _wait(self, what: str, *arguments: str) -> None:
        deadline = time.monotonic() + 180
        while not self._asks(*arguments):
            if time.monotonic() > deadline:
                raise NotReady(f"{self.name}: {what} did not come up; look at: docker logs {self.container}")
            time.sleep(0.5)


class KindSet:
    """Clusters `NAME-hub`, `NAME-member1` ... of kind, with the surface of a ClusterSet."""

    def __init__(self, name: str = "default") -> None:
        self.name = name
        self.directory = state_directory() / "kind" / name

    def up(
        self, *, members: int = 3, audit: bool = False, nodes: int = 3, minor: str = "", source: str = "auto"
    ) -> None:
        """Create what is missing, start what is stopped. Version and programs are kind's; `minor` and `source` are not used."""
        del minor, source
        existing = self.names()
        names = ["hub", *(f"member{number}" for number in range(1, members + 1))]
        clusters = [self._cluster(name, audit=audit, nodes=nodes) for name in names]
        for cluster in clusters:
            if cluster.name not in existing:
                say(f"creating {cluster.name} with kind")
                cluster.create()
            cluster.start()
        for cluster in clusters:
            cluster.wait_ready()
            say(f"{cluster.name} is ready at {cluster.endpoint}")

    def down(self) -> None:
        """Delete every cluster of the set."""
        for name in self.names():
            self._cluster(name).delete()
        shutil.rmtree(self.directory, ignore_errors=True)

    def names(self) -> list[str]:
        """The clusters of the set, hub first."""
        prefix = f"{self.name}-"
        names = [
            line.removeprefix(prefix) for line in _run("kind", "get", "clusters").split() if line.startswith(prefix)
        ]
        return sorted(names, key=lambda name: (name != "hub", len(name), name))

    def cluster(self, name: str) -> KindCluster:
        """One cluster of the set."""
        return self._cluster(name)

    def kubeconfig(self, name: str) -> Path:
        """Path of the administrator's kubeconfig of one cluster."""
        return self._cluster(name).kubeconfig

    def stop(self, name: str) -> None:
        """Stop one cluster; its data stays."""
        self._cluster(name).stop()

    def snapshot(self, name: str, file: Path) -> None:
        """Refused: etcd of a kind cluster lives in its container. Raises NotReady."""
        raise NotReady(
            f"{name}: snapshot and restore work with local clusters only; run hack/clusters --provider local, or use etcdctl in"
            f" the container {self._cluster(name).container} ({file.name} was not written)"
        )

    def restore(self, name: str, file: Path) -> None:
        """Refused as `snapshot`. Raises NotReady."""
        self.snapshot(name, file)

    def start(self, name: str) -> None:
        """Start a stopped cluster again."""
        cluster = self._cluster(name)
        cluster.start()
        cluster.wait_ready()

    def _cluster(self, name: str, *, audit: bool = False, nodes: int = 3) -> KindCluster:
        return KindCluster(name=name, set_name=self.name, directory=self.directory / name, audit=audit, nodes=nodes)


def _run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotReady(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
