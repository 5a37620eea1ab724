"""The values that a server adds to built-in objects: the ones that reconcilers meet, not the whole of Kubernetes.

Custom resources get none: defaults in their schemas are not applied.
"""

import copy
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from federation.api.meta import Manifest


def with_defaults(manifest: Manifest, old: Manifest | None) -> Manifest:
    """A copy with defaults; allocated values of `old` are kept."""
    fill = _FILLERS.get(f"{manifest['apiVersion']}/{manifest['kind']}")
    if fill is None:
        return manifest
    filled = copy.deepcopy(manifest)
    if isinstance(filled.setdefault("spec", {}), dict):
        fill(filled, old or {})
    return filled


def _fill(target: Manifest, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = copy.deepcopy(value)


def _pod_spec(spec: Manifest, *, restart: str = "Always") -> None:
    _fill(
        spec,
        restartPolicy=restart,
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        latest = str(container.get("image", "")).rpartition("/")[2].partition(":")[2] in ("", "latest")
        _fill(
            container,
            resources={},
            terminationMessagePath="/dev/termination-log",
            terminationMessagePolicy="File",
            imagePullPolicy="Always" if latest else "IfNotPresent",
        )
        for port in container.get("ports") or []:
            _fill(port, protocol="TCP")


def _template(spec: Manifest, *, restart: str = "Always") -> None:
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}), restart=restart)


def _pod(manifest: Manifest, _: Manifest) -> None:
    _fill(manifest["spec"], enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority", priority=0)
    _pod_spec(manifest["spec"])


def _deployment(manifest: Manifest, _: Manifest) -> None:
    spec = manifest["spec"]
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    _fill(spec, replicas=1, strategy=rolling, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    _template(spec)


def _replica_set(manifest: Manifest, _: Manifest) -> None:
    _fill(manifest["spec"], replicas=1)
    _template(manifest["spec"])


def _stateful_set(manifest: Manifest, _: Manifest) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    keep = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    _fill(
        manifest["spec"],
        replicas=1,
        podManagementPolicy="OrderedReady",
        updateStrategy=rolling,
        revisionHistoryLimit=10,
        persistentVolumeClaimRetentionPolicy=keep,
    )
    _template(manifest["spec"])


def _daemon_set(manifest: Manifest, _: Manifest) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    _fill(manifest["spec"], updateStrategy=rolling, revisionHistoryLimit=10)
    _template(manifest["spec"])


def _job(manifest: Manifest, old: Manifest) -> None:
    spec = manifest["spec"]
    if spec.get("parallelism") is None and spec.get("completions") is None:
        _fill(spec, completions=1)
    _fill(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=None,
        podReplacementPolicy="TerminatingOrFailed",
    )
    if spec["manualSelector"] is None:
        del spec["manualSelector"]
        uid = (old or manifest)["metadata"].get("uid") or ""
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": manifest["metadata"]["name"],
            "controller-uid": uid,
            "job-name": manifest["metadata"]["name"],
        }
        _fill(spec, selector={"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
        metadata = spec.setdefault("template", {}).setdefault("metadata", {})
        metadata["labels"] = {**labels, **(metadata.get("labels") or {})}
    _template(spec)


def _cron_job(manifest: Manifest, _: Manifest) -> None:
    _fill(
        manifest["spec"],
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )


def _service(manifest: Manifest, old: Manifest) -> None:
    spec, before = manifest["spec"], old.get("spec") or {}
    _fill(spec, type="ClusterIP", sessionAffinity="None")
    for port in spec.get("ports") or []:
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] == "ExternalName":
        return
    number = zlib.crc32(f"{manifest['metadata'].get('uid')}".encode())
    address = before.get("clusterIP") or f"10.96.{number >> 8 & 255}.{number & 255}"
    _fill(spec, clusterIP=address, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    _fill(spec, clusterIPs=[spec["clusterIP"]])
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
        if spec["type"] == "LoadBalancer":
            _fill(spec, allocateLoadBalancerNodePorts=True)
        _node_ports(spec["ports"], before.get("ports") or [], number)


def _node_ports(ports: Sequence[Manifest], before: Sequence[Manifest], number: int) -> None:
    known = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in before}
    for index, port in enumerate(ports):
        _fill(port, nodePort=known.get((port.get("port"), port.get("protocol"))) or 30000 + (number + index) % 2768)


def _claim(manifest: Manifest, _: Manifest) -> None:
    _fill(manifest["spec"], volumeMode="Filesystem")


_FILLERS: dict[str, Callable[[Manifest, Manifest], None]] = {
    "v1/Pod": _pod,
    "v1/Service": _service,
    "v1/PersistentVolumeClaim": _claim,
    "apps/v1/Deployment": _deployment,
    "apps/v1/ReplicaSet": _replica_set,
    "apps/v1/StatefulSet": _stateful_set,
    "apps/v1/DaemonSet": _daemon_set,
    "batch/v1/Job": _job,
    "batch/v1/CronJob": _cron_job,
}
