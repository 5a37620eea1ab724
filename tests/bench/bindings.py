"""Scheduled bindings a second, end to end: from `kubectl apply` to the decision in the binding's status.

The controllers detect and schedule as the hub process runs them, on an API server in this process; members are Cluster objects alone,
as in the reference's own figures. What a real API server takes for a request is not in it, so the requests are counted beside it.
"""

import asyncio
import time
from collections import Counter
from typing import Any

from federation.api.meta import API_VERSION, SYSTEM_NAMESPACE, Manifest
from federation.hub.caches import HubCaches
from federation.hub.detect.controller import Detect
from federation.hub.fleet import Fleet
from federation.hub.install import install_crds
from federation.hub.kinds import Kinds
from federation.hub.schedule.controller import Schedule
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.resource import CLUSTERS, DEPLOYMENTS, NAMESPACES, PROPAGATION_POLICIES
from federation.sandbox import ApiServer
from tests.e2e.manifests import deployment, dynamic, policy, selector

PLACE = "bench"
WORKLOADS = 300
AT_ONCE = 16
PATIENCE = 300.0


def measure(counts: tuple[int, ...] = (3, 100, 500)) -> dict[str, dict[str, Any]]:
    """By number of clusters: bindings a second, and requests a binding by method."""
    return {str(count): asyncio.run(_at(count)) for count in counts}


async def _at(count: int) -> dict[str, Any]:
    hub = ApiServer("hub")
    user = hub.client(field_manager="user")
    await install_crds(hub.client())
    for name in (SYSTEM_NAMESPACE, PLACE):
        await user.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for number in range(count):
        await _cluster(user, f"m{number:04}")
    caches = HubCaches(Client(hub.transport(), name="hub"), hub_id="bench")
    settings = Settings()
    kinds, fleet = Kinds(caches, settings), Fleet(caches, settings)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run()) for run in (caches.run, kinds.run, fleet.run)]
        await caches.synced()
        tasks += [group.create_task(one.run()) for one in (Detect(caches, settings), Schedule(caches, fleet, settings))]
        await user.create(PROPAGATION_POLICIES, policy("all", PLACE, selector(), placement=dynamic()))
        before, start = Counter(one.method for one in hub.requests), time.perf_counter()
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_create(user, gate, number) for number in range(WORKLOADS)))
        while _decided(hub) < WORKLOADS and time.perf_counter() - start < PATIENCE:
            await asyncio.sleep(0.01)
        took = time.perf_counter() - start
        requests = Counter(one.method for one in hub.requests) - before
        for task in tasks:
            task.cancel()
    each = {method: round(number / WORKLOADS, 2) for method, number in sorted(requests.items())}
    return {"bindings/s": round(_decided(hub) / took, 1), "requests a binding": each}


async def _create(user: Client, gate: asyncio.Semaphore, number: int) -> None:
    asked = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    async with gate:
        await user.create(DEPLOYMENTS, deployment(f"web-{number:04}", PLACE, 6, **asked))


def _decided(hub: ApiServer) -> int:
    found = hub.objects(API_VERSION, "ResourceBinding", PLACE)
    return sum(bool((one.get("status") or {}).get("decision")) for one in found)


async def _cluster(user: Client, name: str) -> None:
    await user.create(CLUSTERS, {
        "apiVersion": API_VERSION, "kind": "Cluster", "metadata": {"name": name},
        "spec": {"syncMode": "Push", "apiEndpoint": f"https://{name}.test"},
    })  # fmt: skip
    status: Manifest = {
        "conditions": [{"type": kind, "status": "True", "reason": "Bench"} for kind in ("Ready", "CompleteAPIs")],
        "apis": ["apps/v1: Deployment"],
        "resourceSummary": {
            "allocatable": {"cpu": "1000", "memory": "4Ti", "pods": "10000"},
            "allocated": {"cpu": "10"},
        },
    }
    await user.merge_patch(CLUSTERS, name, None, {"status": status}, subresource="status")
