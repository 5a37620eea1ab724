"""Workloads of several pod templates: what a whole set of them asks of a member (karmada.md 1.2.1, components).

Such a workload is never cut: a member gets all of it or none. Kinds of others, known by group and kind: Flink, Volcano, Ray,
Kubeflow. What cannot be read counts as asking for nothing, as a member's own controllers have the last word.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from federation.api.meta import Manifest
from federation.api.quantity import format_quantity, parse_quantity
from federation.interpret.group_kind import GroupKind, group_kind
from federation.interpret.requirements import Requirements, requirements_of_pod


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One pod template with the number of its pods."""

    name: str
    replicas: int
    requirements: Requirements | None = None

    def as_json(self) -> dict[str, Any]:
        """For the inputs of a decision."""
        asked = self.requirements.as_json() if self.requirements is not None else None
        return {"name": self.name, "replicas": self.replicas, **({"requirements": asked} if asked else {})}


def components_of(manifest: Manifest) -> tuple[Component, ...]:
    """The components of a workload of several pod templates; empty for every other object."""
    read = _READERS.get(group_kind(manifest))
    if read is None:
        return ()
    try:
        return tuple(read(manifest.get("spec") or {}))
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()


def _of_template(name: str, replicas: Any, template: Manifest | None) -> Component:
    spec = (template or {}).get("spec") or {}
    return Component(
        name=name, replicas=1 if replicas is None else int(replicas), requirements=requirements_of_pod(spec)
    )


def _volcano(spec: Manifest) -> Iterator[Component]:
    for number, task in enumerate(spec.get("tasks") or ()):
        yield _of_template(task.get("name") or f"task-{number}", task.get("replicas"), task.get("template"))


def _ray(spec: Manifest) -> Iterator[Component]:
    spec = spec.get("rayClusterSpec") or spec
    yield _of_template("head", 1, (spec.get("headGroupSpec") or {}).get("template"))
    for group in spec.get("workerGroupSpecs") or ():
        yield _of_template(group["groupName"], group.get("replicas"), group.get("template"))


def _kubeflow(spec: Manifest) -> Iterator[Component]:
    for key, roles in sorted(spec.items()):
        if key.endswith("ReplicaSpecs"):
            for role, one in sorted(roles.items()):
                yield _of_template(role.lower(), one.get("replicas"), one.get("template"))


def _flink(spec: Manifest) -> Iterator[Component]:
    """One job manager by default; without a number, as many task managers as the parallelism needs slots."""
    jobs, tasks = spec.get("jobManager") or {}, spec.get("taskManager") or {}
    slots = (spec.get("flinkConfiguration") or {}).get("taskmanager.numberOfTaskSlots")
    parallelism = (spec.get("job") or {}).get("parallelism")
    needed = math.ceil(int(parallelism) / int(slots)) if parallelism and slots else 1
    for name, part, replicas in (("jobmanager", jobs, 1), ("taskmanager", tasks, needed)):
        asked = part.get("resource") or {}
        requests: dict[str, Fraction] = {}
        if "cpu" in asked:
            requests["cpu"] = parse_quantity(asked["cpu"])
        if "memory" in asked:
            requests["memory"] = _flink_memory(str(asked["memory"]))
        wanted = {key: format_quantity(value) for key, value in requests.items()}
        yield Component(
            name=name, replicas=int(part.get("replicas") or replicas),
            requirements=Requirements(resource_request=wanted) if wanted else None,
        )  # fmt: skip


_FLINK_UNITS = {
    "": 1,
    "b": 1,
    "k": 2**10,
    "kb": 2**10,
    "m": 2**20,
    "mb": 2**20,
    "g": 2**30,
    "gb": 2**30,
    "t": 2**40,
    "tb": 2**40,
}


def _flink_memory(text: str) -> Fraction:
    """Flink's memory sizes are binary: `2048m` is 2 GiB. What it does not know is a Kubernetes quantity."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _FLINK_UNITS:
        return parse_quantity(text)
    return Fraction(int(match[1]) * _FLINK_UNITS[match[2]])


_READERS: dict[GroupKind, Callable[[Manifest], Iterator[Component]]] = {
    ("flink.apache.org", "FlinkDeployment"): _flink,
    ("batch.volcano.sh", "Job"): _volcano,
    ("ray.io", "RayCluster"): _ray,
    ("ray.io", "RayJob"): _ray,
    **{("kubeflow.org", kind): _kubeflow for kind in ("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob")},
}
