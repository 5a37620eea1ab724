"""What joins and leaves, comes and goes by the hundreds leaves a real hub process as it was, within 5 % (I17).

One hub, one member that stays, guests that join and leave under another name each time. About twelve minutes; not part of
`make test`. SOAK_SHARE=0.1 makes a tenth of the cycles, for a quick look.
"""

import asyncio
import os
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from federation.api.meta import SYSTEM_NAMESPACE
from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.errors import NotFound
from federation.kube.resource import CLUSTERS, CONFIG_MAPS, DEPLOYMENTS, RESOURCE_BINDINGS, SECRETS, Resource
from federation.kube.transport import AioTransport
from federation.operator.join import CLUSTER_LABEL
from hack.lab.providers import cluster_set
from tests.e2e.lab import Cluster, Lab
from tests.e2e.manifests import API, config_map, deployment, namespace, on, policy, selector

SHARE = float(os.environ.get("SOAK_SHARE") or 1)
GUESTS, JOINS = 4, 200
BATCH, OBJECTS = 100, 2000
WARM = 4
"""Rounds before the baseline: pools, caches and the allocator are as large as they get."""
IDLE = 100.0
"""Seconds after which connections that nobody uses are closed."""
PLACE = "soak"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    clusters = cluster_set(os.environ.get("FEDERATION_TEST_SET") or f"soak-{os.getpid()}")
    clusters.up(members=1 + GUESTS)
    found = Lab(clusters, tmp_path_factory.mktemp("hub"))
    try:
        found.process.prepare()
        found.process.start(f"--brake-objects={OBJECTS * 10}")
        if found.hub.get("cluster", "member1") is None:
            found.join(1)
        everywhere = policy("everywhere", PLACE, selector("ConfigMap", "everywhere", api="v1"), placement={})
        here = on("member1")
        own = policy("own", PLACE, selector(), selector("ConfigMap", api="v1"), placement=here)
        found.hub.apply(namespace(PLACE), everywhere, own, config_map("everywhere", PLACE))
        yield found
        assert found.process.stop() == 0
    finally:
        if found.process.running:
            found.process.kill()
        if not os.environ.get("FEDERATION_TEST_SET"):
            clusters.down()


@pytest.mark.timeout(900)
async def test_members_that_join_and_leave(lab: Lab) -> None:
    guests = [lab.member(number) for number in range(2, 2 + GUESTS)]
    tokens = {guest.name: _token(guest) for guest in guests}

    async def rounds(first: int, count: int) -> None:
        async with _client(lab.hub) as hub:
            for number in range(first, first + count):
                await asyncio.gather(*(_visit(hub, guest, tokens[guest.name], number) for guest in guests))

    await _returns_to_its_baseline(lab, rounds, round(JOINS * SHARE / GUESTS))


@pytest.mark.timeout(900)
async def test_objects_that_come_and_go(lab: Lab) -> None:
    async def rounds(first: int, count: int) -> None:
        async with _client(lab.hub) as hub:
            for number in range(first, first + count):
                await _batch(hub, number)

    await _returns_to_its_baseline(lab, rounds, round(OBJECTS * SHARE / BATCH))


async def _returns_to_its_baseline(lab: Lab, rounds: Any, count: int) -> None:
    await rounds(0, WARM)
    await asyncio.sleep(IDLE)
    before, start, errors = _holdings(lab), time.monotonic(), lab.process.errors()
    await rounds(WARM, count)
    took, end = time.monotonic() - start, time.monotonic() + IDLE + 20
    while True:
        after = _holdings(lab)
        grown = {name: (before[name], after[name]) for name in before if after[name] > before[name] * 1.05}
        if not grown or time.monotonic() > end:
            break
        await asyncio.sleep(2)
    print(
        f"\n{count} rounds in {took:.0f} s: " + ", ".join(f"{name} {before[name]} -> {after[name]}" for name in before)
    )
    assert not grown
    assert lab.process.errors() == errors


def _holdings(lab: Lab) -> dict[str, int]:
    """What the process holds, by its own account and by the kernel's."""
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.process.port}/metrics") as answer:
        text = answer.read().decode()

    def total(name: str) -> int:
        return round(sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)))

    return {
        "tasks": total("federation_tasks"), "watches": total("federation_watches"),
        "sockets": total("federation_open_sockets"), "descriptors": len(os.listdir(f"/proc/{lab.process.pid}/fd")),
        "threads": len(os.listdir(f"/proc/{lab.process.pid}/task")), "series": text.count("\n"),
        "memory (KiB)": lab.process.memory // 1024,
    }  # fmt: skip


async def _visit(hub: Client, guest: Cluster, token: dict[str, str], number: int) -> None:
    """Join, get the ConfigMap that goes everywhere, leave."""
    name = f"{guest.name}-{number}"
    labels = {CLUSTER_LABEL: name}
    await hub.create(SECRETS, {
        "apiVersion": "v1", "kind": "Secret", "stringData": {"token": token["token"]},
        "metadata": {"name": f"cluster-{name}", "namespace": SYSTEM_NAMESPACE, "labels": labels},
    })  # fmt: skip
    await hub.create(CLUSTERS, {
        "apiVersion": API, "kind": "Cluster", "metadata": {"name": name},
        "spec": {
            "syncMode": "Push", "apiEndpoint": token["endpoint"], "caBundle": token["ca"],
            "secretRef": {"namespace": SYSTEM_NAMESPACE, "name": f"cluster-{name}"},
        },
    })  # fmt: skip
    async with _client(guest) as member:
        await _until(_there(member, CONFIG_MAPS, "everywhere", PLACE))
        await hub.delete(CLUSTERS, name)
        await _until(_absent(hub, CLUSTERS, name, None))
        await _until(_absent(member, CONFIG_MAPS, "everywhere", PLACE))
    await _until(_absent(hub, SECRETS, f"cluster-{name}", SYSTEM_NAMESPACE))


async def _batch(hub: Client, number: int) -> None:
    """As many Deployments as ConfigMaps, at once: placed, then gone."""
    names = [f"o-{number}-{one}" for one in range(BATCH // 2)]
    gate = asyncio.Semaphore(16)

    async def gated(work: Awaitable[Any]) -> None:
        async with gate:
            await work

    made = [(DEPLOYMENTS, deployment(name, PLACE)) for name in names]
    made += [(CONFIG_MAPS, config_map(name, PLACE)) for name in names]
    await asyncio.gather(*(gated(hub.create(resource, manifest)) for resource, manifest in made))

    async def bindings() -> list[dict[str, Any]]:
        found = (await hub.list(RESOURCE_BINDINGS, PLACE, cached=True)).items
        return [one for one in found if one["spec"]["resource"]["name"] != "everywhere"]

    async def ready() -> bool:
        found = await bindings()
        return len(found) == BATCH and all(_is_ready(one) for one in found)

    await _until(ready)
    await asyncio.gather(*(gated(hub.delete(resource, one["metadata"]["name"], PLACE)) for resource, one in made))

    async def gone() -> bool:
        return not await bindings()

    await _until(gone)


def _is_ready(binding: dict[str, Any]) -> bool:
    conditions = (binding.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _there(client: Client, resource: Resource, name: str, place: str | None) -> Any:
    async def test() -> bool:
        try:
            await client.get(resource, name, place)
        except NotFound:
            return False
        return True

    return test


def _absent(client: Client, resource: Resource, name: str, place: str | None) -> Any:
    there = _there(client, resource, name, place)

    async def test() -> bool:
        return not await there()

    return test


async def _until(test: Any) -> None:
    async with asyncio.timeout(120):
        while not await test():
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _client(cluster: Cluster) -> AsyncIterator[Client]:
    client = Client(AioTransport(Credentials.from_kubeconfig(str(cluster.kubeconfig))), name="soak")
    try:
        yield client
    finally:
        await client.close()


def _token(guest: Cluster) -> dict[str, str]:
    """Credentials as somebody makes them who does not use `fedctl join`."""
    guest.run("create", "serviceaccount", "soak", "-n", "default")
    guest.run("create", "clusterrolebinding", "soak", "--clusterrole=cluster-admin", "--serviceaccount=default:soak")
    token = guest.run("create", "token", "soak", "-n", "default", "--duration=24h").strip()
    view = ("config", "view", "--raw", "--flatten", "-o")
    return {
        "token": token,
        "endpoint": guest.run(*view, "jsonpath={.clusters[0].cluster.server}").strip(),
        "ca": guest.run(*view, "jsonpath={.clusters[0].cluster.certificate-authority-data}").strip(),
    }
