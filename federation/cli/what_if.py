"""`fedctl what-if --without CLUSTER --with-cluster FILE`: where everything would go. Reads the hub, writes nothing.

Every binding is decided by the functions that decide, against the clusters as they would be. Moves make before they break, so a
cluster that is taken away while it answers keeps its copies until the new ones serve; a cluster that dies does not.
"""

import asyncio
from pathlib import Path
from typing import Any

import click
import yaml

from federation.api.meta import Manifest
from federation.api.words import shares_text
from federation.cli.output import show, table
from federation.cli.picture import fetch_policies
from federation.cli.session import Refused
from federation.hub.policies import Policy, in_force
from federation.hub.views import binding_view, cluster_view, decision_of, priority_of, template_text, with_peers
from federation.kube.client import Client
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, CLUSTERS, RESOURCE_BINDINGS
from federation.policy.suspend import scheduling_suspended
from federation.schedule.rehearse import Rehearsed, Waiting, rehearse
from federation.schedule.snapshot import BindingView, ClusterView


async def what_if(
    hub: Client, *, without: tuple[str, ...], with_cluster: tuple[str, ...], namespace: str | None, output: str
) -> bool:
    """Print what would change; whether something would have no place. `namespace` None: everything. Raises Refused."""
    clusters = _changed(await _clusters(hub), without, [_read(file) for file in with_cluster])
    bindings, policies = await asyncio.gather(_bindings(hub, namespace), fetch_policies(hub, namespace))
    templates = await _templates(hub, bindings, namespace)
    waiting = [
        Waiting(
            name=template_text(binding),
            view=view,
            priority=priority_of(binding),
            suspended=scheduling_suspended(binding["spec"].get("suspension")),
        )
        for binding in bindings
        if (view := _view(binding, bindings, templates, policies)) is not None
    ]
    rows = [_row(one) for one in rehearse(waiting, clusters) if one.changed]
    stuck = any(row["error"] for row in rows)
    if show(rows, output):
        return stuck
    if not rows:
        click.echo(f"nothing would change: {len(waiting)} workloads stay where they are")
        return stuck
    table(
        ("WORKLOAD", "WHY", "NOW", "THEN"),
        [
            (row["workload"], row["trigger"], shares_text(row["before"]), row["error"] or shares_text(row["after"]))
            for row in rows
        ],
    )
    return stuck


def _row(one: Rehearsed) -> dict[str, Any]:
    return {
        "workload": one.name, "trigger": one.trigger, "before": dict(one.before), "after": dict(one.after), "error": one.error,
    }  # fmt: skip


def _changed(clusters: list[ClusterView], without: tuple[str, ...], more: list[ClusterView]) -> list[ClusterView]:
    known = {one.name for one in clusters}
    unknown = sorted(set(without) - known)
    if unknown:
        raise Refused(
            f"--without: there is no cluster {', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}"
        )
    new = {one.name: one for one in more}
    left = [one for one in clusters if one.name not in without and one.name not in new]
    return sorted([*left, *new.values()], key=lambda one: one.name)


def _read(file: str) -> ClusterView:
    """A Cluster from a file, as `kubectl get cluster NAME -o yaml` prints one; without status it serves nothing. Raises Refused."""
    try:
        manifest = yaml.safe_load(Path(file).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Refused(f"--with-cluster {file}: {error}") from error
    if (
        not isinstance(manifest, dict)
        or manifest.get("kind") != "Cluster"
        or not (manifest.get("metadata") or {}).get("name")
    ):
        raise Refused(f"--with-cluster {file}: it holds no Cluster (kind: Cluster with metadata.name)")
    if not (manifest.get("status") or {}).get("apis"):
        raise Refused(
            f"--with-cluster {file}: status.apis is empty, so nothing could go there; copy status.apis and status.resourceSummary "
            "of a cluster that is alike (kubectl get cluster.federation.dev NAME -o yaml)"
        )
    return cluster_view(manifest)


async def _clusters(hub: Client) -> list[ClusterView]:
    return [cluster_view(one) for one in (await hub.list(CLUSTERS)).items]


async def _bindings(hub: Client, namespace: str | None) -> list[Manifest]:
    items = list((await hub.list(RESOURCE_BINDINGS, namespace)).items)
    return items if namespace is not None else [*items, *(await hub.list(CLUSTER_RESOURCE_BINDINGS)).items]


async def _templates(hub: Client, bindings: list[Manifest], namespace: str | None) -> dict[str, Manifest]:
    """Templates by UID: one list a kind."""
    wanted = {(one["spec"]["resource"]["apiVersion"], one["spec"]["resource"]["kind"]) for one in bindings}
    served = (await hub.discover()).resources
    found: dict[str, Manifest] = {}
    for resource in served:
        if (resource.api_version, resource.kind) in wanted:
            page = await hub.list(resource, namespace if resource.namespaced else None)
            for one in page.items:
                found[one["metadata"]["uid"]] = {"apiVersion": resource.api_version, "kind": resource.kind, **one}
    return found


def _view(
    binding: Manifest,
    bindings: list[Manifest],
    templates: dict[str, Manifest],
    policies: dict[str, Policy],
) -> BindingView | None:
    """What the scheduler sees of a binding; None for one whose template is gone."""
    template = templates.get(binding["spec"]["resource"]["uid"])
    if template is None:
        return None
    view = binding_view(binding, template, in_force(binding["spec"].get("policy") or {}, policies))
    if not binding["spec"].get("workloadAffinityGroups"):
        return view
    place = binding["metadata"].get("namespace")
    peers = [one for one in bindings if one is not binding and one["metadata"].get("namespace") == place]
    return with_peers(view, binding, [(one, decision.targets) for one in peers if (decision := decision_of(one))])
