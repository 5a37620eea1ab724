"""Whether an API server may be a hub: found out once, remembered, and nothing of the probe stays."""

import asyncio

import pytest

from federation.hub.eligible import PROBE, NotAHub, check_hub
from federation.hub.record import RECORD
from federation.kube.resource import CONFIG_MAPS, DEPLOYMENTS
from federation.sandbox import ApiServer
from federation.sandbox.registry import Options

SYSTEM = "federation-system"


async def _controller(server: ApiServer) -> None:
    """Writes the status of Deployments, as kube-controller-manager does."""
    client = server.client()
    while True:
        for found in (await client.list(DEPLOYMENTS)).items:
            patch = {"status": {"observedGeneration": found["metadata"]["generation"]}}
            metadata = found["metadata"]
            await client.merge_patch(DEPLOYMENTS, metadata["name"], metadata["namespace"], patch, subresource="status")
        await asyncio.sleep(0.01)


async def test_an_api_server_without_workload_controllers_may_be_a_hub_and_a_restart_only_reads() -> None:
    server = ApiServer()
    await check_hub(server.client(), "uid-1", patience=0.05)
    assert server.objects("apps/v1", "Deployment") == []
    record = await server.client().get(CONFIG_MAPS, RECORD, SYSTEM)
    assert record["data"] == {"hub": "uid-1", "id": "uid-1"}
    before = len(server.requests)
    await check_hub(server.client(), "uid-1", patience=0.05)
    assert [entry.method for entry in server.requests[before:]] == ["GET"]


async def test_an_api_server_whose_controllers_run_workloads_is_refused_and_left_as_it_was() -> None:
    server = ApiServer()
    task = asyncio.create_task(_controller(server))
    try:
        with pytest.raises(NotAHub, match="workload controllers"):
            await check_hub(server.client(), "uid-1")
    finally:
        task.cancel()
    assert server.objects("apps/v1", "Deployment") == []
    assert SYSTEM not in {entry["metadata"]["name"] for entry in server.objects("v1", "Namespace")}


async def test_a_probe_that_a_killed_start_left_behind_is_used_and_removed() -> None:
    server = ApiServer(namespaces=("default", "kube-system", SYSTEM))
    labels = {"app": PROBE}
    left = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": PROBE, "namespace": SYSTEM},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "n", "image": "i"}]}}},
    }  # fmt: skip
    server.registry.create(server.kind("apps/v1", "Deployment"), SYSTEM, left, Options(manager="federation"))
    await check_hub(server.client(), "uid-1", patience=0.05)
    assert server.objects("apps/v1", "Deployment") == []
