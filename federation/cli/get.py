"""`fedctl get`: clusters, bindings, and one application's placement with its pods."""

import asyncio
from typing import Any

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.cli.output import show, table
from federation.cli.picture import Picture, take
from federation.cli.session import member_client
from federation.hub.views import condition
from federation.interpret import summary_of
from federation.kube.client import Client
from federation.kube.credentials import CredentialsError
from federation.kube.errors import ApiError
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, CLUSTERS, PODS, RESOURCE_BINDINGS

Row = dict[str, Any]


async def get_clusters(hub: Client, output: str) -> None:
    """The members: health, version, place, nodes, free resources."""
    rows = [
        _cluster_row(one)
        for one in sorted((await hub.list(CLUSTERS)).items, key=lambda one: str(one["metadata"]["name"]))
    ]
    if not show(rows, output):
        table(
            ("NAME", "JOINED", "READY", "VERSION", "REGION", "ZONES", "NODES", "CPU", "MEMORY", "PODS"),
            [(one["name"], one["joined"], one["ready"], one["version"], one["region"], one["zones"], one["nodes"],
              one["cpu"], one["memory"], one["pods"]) for one in rows],
        )  # fmt: skip


async def get_bindings(hub: Client, namespace: str | None, output: str) -> None:
    """Bindings of a namespace, or of all with None; cluster-scoped ones only with all."""
    items = (await hub.list(RESOURCE_BINDINGS, namespace)).items
    if namespace is None:
        items = [*items, *(await hub.list(CLUSTER_RESOURCE_BINDINGS)).items]
    rows = [_binding_row(one) for one in items]
    if not show(rows, output):
        table(
            ("NAMESPACE", "TEMPLATE", "WANTED", "READY", "PLACED", "POLICY", "SCHEDULED", "APPLIED", "REASON"),
            [(one["namespace"], one["template"], one["wanted"], one["ready"], one["placed"], one["policy"],
              one["scheduled"], one["applied"], one["reason"]) for one in rows],
        )  # fmt: skip


async def get_application(hub: Client, text: str, namespace: str, output: str) -> None:
    """Where one template runs: a row a cluster, and its pods where the kind has a selector."""
    picture = await take(hub, text, namespace)
    members = picture.status.get("members") or {}
    targets = (picture.status.get("decision") or {}).get("targets") or {}
    names = sorted({*members, *targets})
    pods = await asyncio.gather(*(_pods(hub, name, picture) for name in names))
    rows = [_member_row(name, targets, members, found) for name, found in zip(names, pods, strict=True)]
    if show(rows, output):
        return
    table(
        ("CLUSTER", "SHARE", "READY", "HEALTH", "STATE", "PODS"),
        [(one["cluster"], one["share"], one["ready"], one["health"], one["state"],
          one["problem"] or ", ".join(f"{pod['name']} {pod['phase']}" for pod in one["pods"][:5])) for one in rows],
    )  # fmt: skip


def _cluster_row(cluster: Manifest) -> Row:
    spec, status = cluster["spec"], cluster.get("status") or {}
    nodes, summary = status.get("nodeSummary") or {}, status.get("resourceSummary") or {}
    zones = spec.get("zones") or ([spec["zone"]] if spec.get("zone") else [])
    return {
        "name": cluster["metadata"]["name"], "joined": _status(cluster, "Joined"), "ready": _status(cluster, "Ready"),
        "version": status.get("kubernetesVersion", ""), "region": spec.get("region", ""), "zones": ",".join(zones),
        "nodes": f"{nodes['readyNum']}/{nodes['totalNum']}" if nodes else "",
        **{name: _use(summary, name) for name in ("cpu", "memory", "pods")},
    }  # fmt: skip


def _use(summary: Manifest, name: str) -> str:
    allocatable = (summary.get("allocatable") or {}).get(name)
    return f"{(summary.get('allocated') or {}).get(name, '0')}/{allocatable}" if allocatable else ""


def _status(manifest: Manifest, kind: str) -> str:
    found = condition(manifest, kind)
    if found is None:
        return "Unknown"
    return str(found["status"]) if found["status"] == "True" else f"{found['status']} {found.get('reason', '')}"


def _binding_row(binding: Manifest) -> Row:
    spec, status = binding["spec"], binding.get("status") or {}
    reference, ready = spec["resource"], condition(binding, "Ready") or {}
    return {
        "namespace": reference.get("namespace", ""), "template": f"{reference['kind']}/{reference['name']}",
        "wanted": status.get("wanted"), "ready": status.get("ready"), "placed": status.get("summary", ""),
        "policy": (spec.get("policy") or {}).get("name", ""), "scheduled": _status(binding, "Scheduled"),
        "applied": _status(binding, "FullyApplied"), "reason": ready.get("reason", ""),
    }  # fmt: skip


def _member_row(name: str, targets: Manifest, members: Manifest, pods: tuple[list[Row], str]) -> Row:
    line = parse_line(members.get(name, ""))
    found, problem = pods
    return {
        "cluster": name, "share": targets.get(name, 0) if name in targets else None,
        "ready": _numbers(line) if line else "", "health": line.get("health", "Unknown"),
        "state": line.get("reason") or ("Applied" if line else "Pending"),
        "problem": line.get("error", "") or problem, "pods": found,
    }  # fmt: skip


def _numbers(line: dict[str, str]) -> str:
    return f"{summary_of(line)} stale" if line.get("stale") else summary_of(line)


async def _pods(hub: Client, name: str, picture: Picture) -> tuple[list[Row], str]:
    """The pods that the copy's selector chooses, or why they cannot be seen."""
    labels = ((picture.template.get("spec") or {}).get("selector") or {}).get("matchLabels")
    namespace = picture.template["metadata"].get("namespace")
    if not isinstance(labels, dict) or not namespace:
        return [], ""
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    try:
        member = await member_client(hub, name)
    except (ApiError, CredentialsError) as error:
        return [], f"pods not shown: {error}"
    try:
        page = await member.list(PODS, namespace, label_selector=selector)
    except ApiError as error:
        return [], f"pods not shown: {error.message}"
    finally:
        await member.close()
    return [
        {
            "name": pod["metadata"]["name"],
            "phase": (pod.get("status") or {}).get("phase", ""),
            "node": pod["spec"].get("nodeName", ""),
        }
        for pod in page.items
    ], ""
