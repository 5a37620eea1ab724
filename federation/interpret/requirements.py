"""What one replica asks of a member: requests as Kubernetes sums them, selectors, tolerations, priority class.

Source of the sum: kubernetes.io/docs "Init containers, resource sharing" and KEP-753 (sidecars).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from federation.api.meta import Manifest
from federation.api.quantity import format_quantity, parse_quantity
from federation.interpret.group_kind import DEPLOYMENT, JOB, POD, REPLICA_SET, STATEFUL_SET, group_kind

_WORKLOADS = frozenset({DEPLOYMENT, REPLICA_SET, STATEFUL_SET, JOB})
Requests = dict[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Requirements of one replica; `resource_request` in Kubernetes quantities by resource name."""

    resource_request: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    hard_node_affinity: Mapping[str, Any] | None = None
    priority_class_name: str = ""

    def as_json(self) -> dict[str, Any]:
        """The non-empty parts, for the inputs of a decision."""
        parts = {
            "resourceRequest": dict(self.resource_request),
            "nodeSelector": dict(self.node_selector),
            "tolerations": [dict(one) for one in self.tolerations],
            "hardNodeAffinity": self.hard_node_affinity,
            "priorityClassName": self.priority_class_name,
        }
        return {key: value for key, value in parts.items() if value}


def requirements_of(manifest: Manifest) -> Requirements | None:
    """Requirements of one replica; None for kinds without pods of their own, or pods that ask for nothing."""
    kind = group_kind(manifest)
    spec = manifest.get("spec") or {}
    if kind in _WORKLOADS:
        spec = (spec.get("template") or {}).get("spec") or {}
    elif kind != POD:
        return None
    return requirements_of_pod(spec)


def requirements_of_pod(spec: Manifest) -> Requirements | None:
    """Requirements of one pod by its spec; None for one that asks for nothing."""
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    found = Requirements(
        resource_request={name: format_quantity(value) for name, value in sorted(pod_requests(spec).items())},
        node_selector=spec.get("nodeSelector") or {},
        tolerations=tuple(spec.get("tolerations") or ()),
        hard_node_affinity=affinity,
        priority_class_name=spec.get("priorityClassName") or "",
    )
    return found if found.as_json() else None


def pod_requests(spec: Manifest) -> Requests:
    """Requests of a pod: what runs together is summed, what runs before counts by its peak, overhead comes on top.

    Init containers run one after the other, each next to the sidecars (restartPolicy Always) started before it.
    Pod-level requests replace the sum of the containers for the resources that they name (KEP-2837).
    """
    together: Requests = {}
    for container in spec.get("containers") or ():
        _add(together, _requests(container))
    sidecars: Requests = {}
    peak: Requests = {}
    for container in spec.get("initContainers") or ():
        own = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, own)
            _raise(peak, sidecars)
        else:
            step = dict(sidecars)
            _add(step, own)
            _raise(peak, step)
    _add(together, sidecars)
    _raise(together, peak)
    together.update(_requests(spec))
    _add(together, {name: parse_quantity(text) for name, text in (spec.get("overhead") or {}).items()})
    return {name: value for name, value in together.items() if value > 0}


def _requests(container: Manifest) -> Requests:
    """Requests of a container; a limit without a request is the request, as the API server defaults it."""
    resources = container.get("resources") or {}
    named = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: _quantity(text) for name, text in named.items()}


def _quantity(text: str | float) -> Fraction:
    try:
        return parse_quantity(text)
    except ValueError:
        # The member's API server is the one to refuse it, and its answer ends up in the binding.
        return Fraction(0)


def _add(total: Requests, more: Requests) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Fraction(0)) + value


def _raise(total: Requests, peak: Requests) -> None:
    for name, value in peak.items():
        total[name] = max(total.get(name, Fraction(0)), value)
