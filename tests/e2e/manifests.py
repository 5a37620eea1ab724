"""Builders of manifests: what a test does not say is the usual."""

from typing import Any

Manifest = dict[str, Any]
API = "federation.dev/v1alpha1"


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(
    name: str, place: str, replicas: int = 1, *, image: str = "registry.test/app:1", **container: Any
) -> Manifest:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": place},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels}, "progressDeadlineSeconds": 3,
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": image, **container}]},
            },
        },
    }  # fmt: skip


def config_map(name: str, place: str, *, labels: dict[str, str] | None = None, **data: str) -> Manifest:
    metadata: Manifest = {"name": name, "namespace": place}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"key": "value"}}


def selector(
    kind: str = "Deployment", name: str = "", *, api: str = "apps/v1", labels: dict[str, str] | None = None
) -> Manifest:
    result: Manifest = {"apiVersion": api, "kind": kind}
    if name:
        result["name"] = name
    if labels:
        result["labelSelector"] = {"matchLabels": labels}
    return result


def policy(
    name: str, place: str | None, *selectors: Manifest, placement: Manifest | None = None, **spec: Any
) -> Manifest:
    """A PropagationPolicy in `place`, or a ClusterPropagationPolicy with None. Default: member1 to member3."""
    metadata: Manifest = {"name": name}
    if place:
        metadata["namespace"] = place
    return {
        "apiVersion": API, "kind": "PropagationPolicy" if place else "ClusterPropagationPolicy", "metadata": metadata,
        "spec": {
            "resourceSelectors": list(selectors),
            "placement": placement if placement is not None else on("member1", "member2", "member3"),
            **spec,
        },
    }  # fmt: skip


def on(*clusters: str, **placement: Any) -> Manifest:
    """Placement on named clusters."""
    return {"clusterAffinity": {"clusterNames": list(clusters)}, **placement}


def weights(**by_cluster: int) -> Manifest:
    """Divided by static weights."""
    rules = [{"targetCluster": {"clusterNames": [name]}, "weight": weight} for name, weight in by_cluster.items()]
    return {
        "replicaScheduling": {
            "replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
            "weightPreference": {"staticWeightList": rules},
        },
    }  # fmt: skip


def dynamic() -> Manifest:
    return {
        "replicaScheduling": {
            "replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
            "weightPreference": {"dynamicWeight": "AvailableReplicas"},
        },
    }  # fmt: skip


def aggregated() -> Manifest:
    return {"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}}


def override(name: str, place: str | None, *rules: Manifest, selectors: list[Manifest] | None = None) -> Manifest:
    metadata: Manifest = {"name": name}
    if place:
        metadata["namespace"] = place
    return {
        "apiVersion": API, "kind": "OverridePolicy" if place else "ClusterOverridePolicy", "metadata": metadata,
        "spec": {"resourceSelectors": selectors or [selector()], "overrideRules": list(rules)},
    }  # fmt: skip


def widget(group: str, place: str) -> Manifest:
    """A custom resource."""
    return {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": place},
        "spec": {"a": 1},
    }


def widget_definition(group: str) -> Manifest:
    """The definition of Widgets in a group."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }  # fmt: skip
