"""One cluster as plain processes on loopback: etcd, API server, controller manager, scheduler, kwok.

Ordering: etcd and API server start together with the rest, which retries; ready means `/readyz`, the controllers' health
and (in a member) the ServiceAccount of namespace default, without which pods are refused.
"""

import http.client
import json
import shutil
import signal
import ssl
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hack.lab.binaries import Binaries
from hack.lab.pki import Authority
from hack.lab.ports import free_ports, is_free
from hack.lab.processes import Running, end, memory, start
from hack.lab.stages import write_stages

PORTS = ("apiserver", "controllers", "scheduler", "etcd", "peer", "kwok")
HUB_CONTROLLERS = (
    "namespace-controller,garbage-collector-controller,serviceaccount-token-controller,"
    "certificatesigningrequest-signing-controller,certificatesigningrequest-approving-controller,"
    "certificatesigningrequest-cleaner-controller,root-ca-certificate-publisher-controller,"
    "clusterrole-aggregation-controller,ttl-after-finished-controller"
)
"""The hub is inert for workloads: a Deployment there starts no pod, a Service gets no endpoints."""
HUB_WITHOUT = "ServiceAccount,StorageObjectInUseProtection,DefaultStorageClass,DefaultIngressClass"
MEMBER_CONTROLLERS = (
    "*,-node-ipam-controller,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller"
)
READY_WITHIN = 120.0
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}],
}  # fmt: skip


def simulated_node(name: str) -> dict[str, Any]:
    """A node that kwok runs. The label tells it from a real one where there are both."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
    resources = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": resources, "capacity": resources},
    }  # fmt: skip


class NotReady(Exception):
    """A cluster did not come up in time; the message ends with the last lines of the log to read."""


@dataclass(slots=True, kw_only=True)
class LocalCluster:
    """One cluster; everything that must survive this process is in `directory`."""

    name: str
    number: int
    directory: Path
    binaries: Binaries
    audit: bool = False
    nodes: int = 3
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Running] = field(default_factory=dict)

    @property
    def is_hub(self) -> bool:
        """Whether this is the API server that holds templates and policies."""
        return self.name == "hub"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON line a request, if the cluster was started with `audit`."""
        return self.directory / "audit.log"

    def load(self) -> None:
        """Read what an earlier process left behind."""
        file = self.directory / "state.json"
        if file.exists():
            state = json.loads(file.read_text())
            self.ports = state["ports"]
            self.audit = state["audit"]
            self.nodes = state["nodes"]
            self.processes = {name: Running(**entry) for name, entry in state["processes"].items()}

    def start(self, *, taken: set[int]) -> None:
        """Start what is not running. Ports are kept while they are free, so that addresses stay true."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._choose_ports(taken)
        self._certificates()
        commands = {"etcd": self._etcd(), "apiserver": self._apiserver(), "controllers": self._controllers()}
        if not self.is_hub:
            commands |= {"scheduler": self._scheduler(), "kwok": self._kwok()}
        for name, command in commands.items():
            if name not in self.processes or not self.processes[name].alive:
                self.processes[name] = start(
                    command, log=self.directory / f"{name}.log", environment={"GOMEMLIMIT": "600MiB"}
                )
                self._save()

    def wait_ready(self) -> None:
        """Return once the cluster can be used; makes the simulated nodes. Raises NotReady."""
        self._wait("apiserver", lambda: self._get("/readyz") == 200)
        if self.is_hub:
            return
        self._wait("controllers", lambda: self._get("/api/v1/namespaces/default/serviceaccounts/default") == 200)
        for number in range(self.nodes):
            self._create_node(f"{self.name}-node-{number}")
        self._wait("kwok", self._nodes_ready)

    def stop(self) -> None:
        """End the processes, etcd last so that nothing of the API server is lost; data and ports stay."""
        end([process for name, process in self.processes.items() if name != "etcd"])
        end([process for name, process in self.processes.items() if name == "etcd"])
        self._save()

    def snapshot(self, file: Path) -> None:
        """Copy what etcd stores into `file`. The cluster must be stopped: etcd writes its files whenever it runs."""
        with tarfile.open(file, "w:gz") as archive:
            archive.add(self.directory / "etcd", arcname="etcd")

    def restore(self, file: Path) -> None:
        """Put an earlier copy in the place of what etcd stores. The cluster must be stopped. Raises NotReady."""
        with tarfile.open(file) as archive:
            if "etcd" not in archive.getnames():
                raise NotReady(f"{file} holds no snapshot of hack/clusters")
            shutil.rmtree(self.directory / "etcd", ignore_errors=True)
            archive.extractall(self.directory, filter="data")

    def kill(self) -> None:
        """SIGKILL for every process, as after a crash of the machine; data and ports stay."""
        for process in self.processes.values():
            process.signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop answering, with connections open."""
        self.processes["apiserver"].signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again."""
        self.processes["apiserver"].signal(signal.SIGCONT)

    def status(self) -> dict[str, Any]:
        """Processes with their state and memory (PSS in bytes)."""
        return {
            "ready": self._get("/readyz") == 200,
            "server": self.endpoint,
            "processes": {
                name: {"pid": one.pid, "alive": one.alive, "pss": memory(one.pid) if one.alive else 0}
                for name, one in self.processes.items()
            },
        }

    @property
    def endpoint(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.ports.get('apiserver', 0)}"

    def _save(self) -> None:
        state = {
            "ports": self.ports, "audit": self.audit, "nodes": self.nodes,
            "processes": {name: one.as_json() for name, one in self.processes.items()},
        }  # fmt: skip
        partial = self.directory / "state.partial"
        partial.write_text(json.dumps(state))
        partial.rename(self.directory / "state.json")

    def _choose_ports(self, taken: set[int]) -> None:
        missing = [
            name for name in PORTS
            if name not in self.ports or (not self._owns(name) and not is_free(self.ports[name]))
        ]  # fmt: skip
        for name, port in zip(missing, free_ports(len(missing), taken=taken), strict=True):
            self.ports[name] = port
            taken.add(port)

    def _owns(self, port: str) -> bool:
        process = self.processes.get("etcd" if port == "peer" else port)
        return process is not None and process.alive

    def _certificates(self) -> None:
        authority = Authority(self.directory / "pki")
        service_ip = f"10.{96 + self.number % 32}.0.1"
        hosts = ("127.0.0.1", "localhost", service_ip, "kubernetes.default.svc")
        authority.issue("apiserver", user="kube-apiserver", hosts=hosts)
        for name in ("admin", "controllers", "scheduler", "kwok"):
            # Every component may do everything: per-controller credentials only make the start slower.
            authority.issue(name, user=f"lab-{name}", groups=("system:masters",))
            target = self.kubeconfig if name == "admin" else self.directory / f"{name}.kubeconfig"
            target.write_text(json.dumps(self._kubeconfig(name)))
            target.chmod(0o600)
        authority.issue("front-proxy", user="front-proxy")
        authority.service_account_key()
        if self.audit:
            (self.directory / "audit-policy.yaml").write_text(json.dumps(AUDIT_POLICY))

    def _kubeconfig(self, user: str) -> dict[str, Any]:
        pki = self.directory / "pki"
        name = f"{self.directory.parent.name}-{self.name}"
        return {
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": {
                "server": self.endpoint, "certificate-authority": str(pki / "ca.crt"),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate": str(pki / f"{user}.crt"), "client-key": str(pki / f"{user}.key"),
            }}],
        }  # fmt: skip

    def _etcd(self) -> list[str]:
        client, peer = self.ports["etcd"], self.ports["peer"]
        return [
            str(self.binaries.etcd), f"--name={self.name}", f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster={self.name}=http://127.0.0.1:{peer}", "--unsafe-no-fsync",
            "--auto-compaction-retention=1", "--log-level=warn",
        ]  # fmt: skip

    def _apiserver(self) -> list[str]:
        pki = self.directory / "pki"
        command = [
            str(self.binaries.apiserver), f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--bind-address=127.0.0.1", f"--secure-port={self.ports['apiserver']}",
            f"--tls-cert-file={pki / 'apiserver.crt'}", f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'sa.pub'}", f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-cluster-ip-range=10.{96 + self.number % 32}.0.0/16",
            f"--requestheader-client-ca-file={pki / 'ca.crt'}", "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki / 'front-proxy.crt'}", f"--proxy-client-key-file={pki / 'front-proxy.key'}",
            "--endpoint-reconciler-type=none", "--enable-priority-and-fairness=false", "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0", "--profiling=false", "--etcd-count-metric-poll-period=0",
            "--etcd-db-metric-poll-interval=0", "--event-ttl=15m", "--shutdown-delay-duration=0s",
        ]  # fmt: skip
        if self.is_hub:
            command.append(f"--disable-admission-plugins={HUB_WITHOUT}")
        if self.audit:
            command += [
                f"--audit-policy-file={self.directory / 'audit-policy.yaml'}", f"--audit-log-path={self.audit_log}",
                "--audit-log-mode=blocking",
            ]  # fmt: skip
        return command

    def _controllers(self) -> list[str]:
        pki = self.directory / "pki"
        return [
            str(self.binaries.controllers), f"--kubeconfig={self.directory / 'controllers.kubeconfig'}",
            f"--controllers={HUB_CONTROLLERS if self.is_hub else MEMBER_CONTROLLERS}", "--leader-elect=false",
            "--use-service-account-credentials=false", "--bind-address=127.0.0.1",
            f"--secure-port={self.ports['controllers']}", f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}", f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--kube-api-qps=5000", "--kube-api-burst=10000", f"--cert-dir={self.directory / 'kcm'}",
            "--horizontal-pod-autoscaler-sync-period=3s",
        ]  # fmt: skip

    def _scheduler(self) -> list[str]:
        file = self.directory / "scheduler.yaml"
        configuration = {
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False}, "podInitialBackoffSeconds": 1, "podMaxBackoffSeconds": 2,
            "clientConnection": {
                "kubeconfig": str(self.directory / "scheduler.kubeconfig"), "qps": 5000, "burst": 10000,
            },
        }  # fmt: skip
        file.write_text(yaml.safe_dump(configuration))
        return [
            str(self.binaries.scheduler), f"--config={file}", "--bind-address=127.0.0.1",
            f"--secure-port={self.ports['scheduler']}", f"--cert-dir={self.directory / 'scheduler'}",
        ]  # fmt: skip

    def _kwok(self) -> list[str]:
        stages = self.directory / "stages.yaml"
        write_stages(self.binaries.stages, stages)
        # A kwok that starts again is another holder, and runs no pod of a node before the last one's Lease has ended.
        return [
            str(self.binaries.kwok), f"--kubeconfig={self.directory / 'kwok.kubeconfig'}", f"--config={stages}",
            "--manage-all-nodes=true", "--node-lease-duration-seconds=8", f"--cidr=10.{128 + self.number % 64}.0.0/16",
            f"--server-address=127.0.0.1:{self.ports['kwok']}",
        ]  # fmt: skip

    def _create_node(self, name: str) -> None:
        status = self._request("POST", "/api/v1/nodes", simulated_node(name))
        if status not in (201, 409):
            raise NotReady(f"{self.name}: node {name} was refused ({status})")

    def _nodes_ready(self) -> bool:
        status, body = self._ask("GET", "/api/v1/nodes", None)
        items = json.loads(body).get("items", []) if status == 200 else []
        ready = [
            one for one in items
            if any(entry["type"] == "Ready" and entry["status"] == "True" for entry in one["status"].get("conditions", []))
            and not one["spec"].get("taints")
        ]  # fmt: skip
        return len(ready) >= self.nodes

    def _wait(self, process: str, test: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if test():
                return
            if not self.processes[process].alive:
                raise NotReady(f"{self.name}: {process} ended\n{self._tail(process)}")
            time.sleep(0.05)
        raise NotReady(f"{self.name}: not ready within {READY_WITHIN:.0f} s\n{self._tail(process)}")

    def _tail(self, process: str) -> str:
        file = self.directory / f"{process}.log"
        return "\n".join(file.read_text(errors="replace").splitlines()[-8:]) if file.exists() else ""

    def _get(self, path: str) -> int:
        return self._request("GET", path, None)

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> int:
        return self._ask(method, path, body)[0]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        pki = self.directory / "pki"
        if not (pki / "admin.crt").exists():
            return 0, b""
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.ports.get("apiserver", 0), context=context, timeout=5
        )
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()
