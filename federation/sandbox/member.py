"""A simulated member cluster: an ApiServer whose workloads become what they promise when told to settle.

No pods are made and nothing happens by itself: status is written as its controllers would write it.
"""

from collections.abc import Callable
from typing import Any

from federation.api.meta import Manifest
from federation.kube.client import Client
from federation.sandbox.registry import Options
from federation.sandbox.server import ApiServer, SandboxTransport

Works = Callable[[Manifest], bool]
"""Whether a workload's pods become ready."""

_MANAGER = "kube-controller-manager"
_WORKLOADS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
)


class Member:
    """One member. Other arguments are those of ApiServer."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.server = ApiServer(name, **options)

    def transport(self) -> SandboxTransport:
        """A new connection."""
        return self.server.transport()

    def client(self) -> Client:
        """A new client."""
        return self.server.client()

    def add_node(self, name: str, *, cpu: str = "8", memory: str = "32Gi", pods: str = "110") -> Manifest:
        """A ready node of that size."""
        size = {"cpu": cpu, "memory": memory, "pods": pods}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": self._now()}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {"capacity": size, "allocatable": size, "conditions": [ready]},
        }
        return self.server.registry.create(self.server.kind("v1", "Node"), "", node, Options(manager="kubelet"))

    def settle(self, *, works: Works = lambda _: True) -> int:
        """Write the status of every workload, as if time had passed; how many objects changed."""
        changed = 0
        for api_version, kind in _WORKLOADS:
            for manifest in self.server.objects(api_version, kind):
                if "deletionTimestamp" in manifest["metadata"]:
                    continue
                status = self._status(kind, manifest, works=works(manifest))
                changed += status is not None and self.write_status(manifest, status)
        return changed

    def write_status(self, manifest: Manifest, status: Manifest) -> bool:
        """Write a status as a controller of the member does; whether that changed anything."""
        kind, metadata = self.server.kind(manifest["apiVersion"], manifest["kind"]), manifest["metadata"]
        options = Options(manager=_MANAGER, subresource="status")
        new = {**manifest, "status": status}
        written = self.server.registry.replace(kind, metadata.get("namespace", ""), metadata["name"], new, options)
        return bool(written["metadata"]["resourceVersion"] != metadata["resourceVersion"])

    def _status(self, kind: str, manifest: Manifest, *, works: bool) -> Manifest | None:
        before = manifest.get("status") or {}
        spec, observed = manifest.get("spec") or {}, {"observedGeneration": manifest["metadata"].get("generation", 1)}
        wanted = int(spec.get("replicas", 1))
        ready = wanted if works else 0
        if kind == "Deployment":
            return {**observed, **self._deployment(before, wanted, works=works)}
        if kind == "ReplicaSet":
            return {
                **observed,
                **_present(replicas=wanted, fullyLabeledReplicas=wanted, readyReplicas=ready, availableReplicas=ready),
            }
        if kind == "StatefulSet":
            revision = {"currentRevision": "r1", "updateRevision": "r1", "collisionCount": 0}
            counts = _present(currentReplicas=wanted, updatedReplicas=wanted, readyReplicas=ready)
            return {**observed, **revision, "replicas": wanted, "availableReplicas": ready, **counts}
        if kind == "DaemonSet":
            return {**observed, **self._daemon_set(works=works)}
        if kind == "Job":
            return self._job(manifest, before, works=works)
        if kind == "Service" and spec.get("type") == "LoadBalancer":
            return (
                before
                if before.get("loadBalancer")
                else {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
            )
        if kind == "PersistentVolumeClaim":
            capacity = ((spec.get("resources") or {}).get("requests")) or {}
            return {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": capacity}
        return None

    def _deployment(self, before: Manifest, wanted: int, *, works: bool) -> Manifest:
        ready = wanted if works else 0
        counts = _present(
            replicas=wanted,
            updatedReplicas=wanted,
            readyReplicas=ready,
            availableReplicas=ready,
            unavailableReplicas=wanted - ready,
        )
        enough = ready == wanted
        available = ("True", "MinimumReplicasAvailable") if enough else ("False", "MinimumReplicasUnavailable")
        progressing = ("True", "NewReplicaSetAvailable" if enough else "ReplicaSetUpdated")
        conditions = [
            self._condition(before, "Available", *available),
            self._condition(before, "Progressing", *progressing),
        ]
        return {**counts, "conditions": conditions}

    def _daemon_set(self, *, works: bool) -> Manifest:
        nodes = len(self.server.objects("v1", "Node"))
        ready = nodes if works else 0
        fixed = {
            "currentNumberScheduled": nodes,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": nodes,
            "numberReady": ready,
        }
        return {
            **fixed,
            **_present(updatedNumberScheduled=nodes, numberAvailable=ready, numberUnavailable=nodes - ready),
        }

    def _job(self, manifest: Manifest, before: Manifest, *, works: bool) -> Manifest:
        """A job that works is complete at once; one that does not has active pods that are not ready."""
        if before.get("completionTime"):
            return before
        spec, started = manifest["spec"], before.get("startTime") or self._now()
        wanted = int(spec.get("completions") or spec.get("parallelism") or 1)
        status: Manifest = {"startTime": started, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}
        if spec.get("suspend"):
            return {**status, "conditions": [self._condition(before, "Suspended", "True", "JobSuspended")]}
        if not works:
            return {**status, "active": min(int(spec.get("parallelism") or 1), wanted)}
        conditions = [
            self._condition(before, name, "True", "CompletionsReached") for name in ("SuccessCriteriaMet", "Complete")
        ]
        return {**status, "succeeded": wanted, "completionTime": self._now(), "conditions": conditions}

    def _condition(self, before: Manifest, name: str, status: str, reason: str) -> Manifest:
        """A condition; its times stay while it says the same."""
        now = self._now()
        old: Manifest = next((entry for entry in before.get("conditions") or [] if entry["type"] == name), {})
        moved = old.get("lastTransitionTime") if old.get("status") == status else None
        updated = old.get("lastUpdateTime") if (old.get("status"), old.get("reason")) == (status, reason) else None
        condition = {"type": name, "status": status, "reason": reason, "message": reason}
        return {**condition, "lastTransitionTime": moved or now, "lastUpdateTime": updated or now}

    def _now(self) -> str:
        return self.server.registry.now()


def _present(**counts: int) -> dict[str, int]:
    """Without zeros, which the API leaves out."""
    return {name: count for name, count in counts.items() if count}
