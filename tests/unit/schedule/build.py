"""Members and bindings for scheduling tests, with only what a test says."""

from typing import Any

from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement
from federation.policy.facts import ClusterFacts
from federation.schedule.snapshot import BindingView, ClusterView

DEPLOYMENT = frozenset({("apps/v1", "Deployment")})
DYNAMIC = {"replicaScheduling": {"weightPreference": {"dynamicWeight": "AvailableReplicas"}}}
AGGREGATED = {"replicaScheduling": {"replicaDivisionPreference": "Aggregated"}}


def member(name: str, *, pods: int = 100, labels: dict[str, str] | None = None, **fields: Any) -> ClusterView:
    """A member with room for so many pods."""
    summary = ResourceSummary(allocatable={"pods": str(pods), "cpu": "100"})
    return ClusterView(facts=ClusterFacts(name=name, labels=labels or {}), apis=DEPLOYMENT, summary=summary, **fields)


def binding(placement: dict[str, Any] | None = None, *, replicas: int | None = 6, **fields: Any) -> BindingView:
    """The binding of Deployment shop/web."""
    return BindingView(
        key="shop/web", uid="uid", api_version="apps/v1", kind="Deployment", namespace="shop", replicas=replicas,
        placement=Placement.model_validate(placement or {}), **fields,
    )  # fmt: skip


def on(*names: str) -> dict[str, Any]:
    """A cluster affinity by name."""
    return {"clusterNames": list(names)}


def rule(name: str, weight: int, **bounds: int) -> dict[str, Any]:
    """A static weight of one cluster; `minReplicas`, `maxReplicas`."""
    return {"targetCluster": on(name), "weight": weight, **bounds}


def weighted(*rules: dict[str, Any], **preference: Any) -> dict[str, Any]:
    """Divided by static weights."""
    return {"replicaScheduling": {"weightPreference": {"staticWeightList": list(rules), **preference}}}
