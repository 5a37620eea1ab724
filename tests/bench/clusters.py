"""Latency, burst and memory on real clusters: one hub, three members, the hub process under its own ServiceAccount."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.resource import CONFIG_MAPS, RESOURCE_BINDINGS, Resource
from federation.kube.store import Change
from federation.kube.transport import AioTransport
from federation.kube.watches import Watches
from hack.lab.processes import memory
from tests.e2e.lab import Lab
from tests.e2e.manifests import config_map, deployment, namespace, on, policy, selector

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True, status=True)
MEMBERS = ("member1", "member2", "member3")
TICKS = os.sysconf("SC_CLK_TCK")


class Arrivals:
    """When each Deployment was first seen in each member (perf_counter seconds)."""

    def __init__(self, lab: Lab) -> None:
        self.seen: dict[str, dict[str, float]] = {}
        self.clients = [Client(AioTransport(_admin(lab.members[name].kubeconfig)), name=name) for name in MEMBERS]

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for client in self.clients:
                watches = Watches(client)
                watches.want(DEPLOYMENTS).subscribe(lambda change, name=client.name: self._note(name, change))
                group.create_task(watches.run())

    def _note(self, member: str, change: Change) -> None:
        if change.new is not None and change.old is None:
            self.seen.setdefault(change.new.name, {}).setdefault(member, time.perf_counter())

    async def all_of(self, names: list[str], *, within: float) -> None:
        """Return once every Deployment is in every member."""
        async with asyncio.timeout(within):
            while any(len(self.seen.get(name, {})) < len(MEMBERS) for name in names):
                await asyncio.sleep(0.005)


def _admin(file: Path) -> Credentials:
    return Credentials.from_kubeconfig(str(file))


async def measure(lab: Lab, *, samples: int, burst: int, bindings: int) -> dict[str, Any]:
    """Run the three parts one after the other."""
    hub = Client(AioTransport(_admin(lab.hub.kubeconfig)), name="bench")
    arrivals = Arrivals(lab)
    watching = asyncio.create_task(arrivals.run())
    try:
        lab.hub.apply(namespace("bench"), policy("all", "bench", selector(), placement=on(*MEMBERS)))
        lab.hub.apply(
            namespace("many"), policy("one", "many", selector("ConfigMap", api="v1"), placement=on("member1"))
        )
        await asyncio.sleep(2)
        await hub.create(DEPLOYMENTS, deployment("warm", "bench", 1))
        await arrivals.all_of(["warm"], within=30)
        return {
            "latency": await _latency(hub, arrivals, samples),
            "burst": await _burst(lab, hub, arrivals, burst),
            "memory": await _memory(lab, hub, bindings),
        }
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for client in (hub, *arrivals.clients):
            await client.close()


async def _latency(hub: Client, arrivals: Arrivals, samples: int) -> dict[str, float]:
    """Milliseconds from the user's request to the object in the first member, and in all three; one at a time."""
    first: list[float] = []
    last: list[float] = []
    for number in range(samples):
        name = f"one-{number}"
        start = time.perf_counter()
        await hub.create(DEPLOYMENTS, deployment(name, "bench", 1))
        await arrivals.all_of([name], within=30)
        times = sorted(arrivals.seen[name].values())
        first.append((times[0] - start) * 1000)
        last.append((times[-1] - start) * 1000)
        await asyncio.sleep(0.3)
    return {
        "first_p50_ms": _quantile(first, 0.5), "first_p99_ms": _quantile(first, 0.99),
        "all_p50_ms": _quantile(last, 0.5), "all_p99_ms": _quantile(last, 0.99), "samples": samples,
    }  # fmt: skip


async def _burst(lab: Lab, hub: Client, arrivals: Arrivals, count: int) -> dict[str, Any]:
    """Deployments at once; until all are in all members, and until all bindings say Ready."""
    names = [f"burst-{number}" for number in range(count)]
    before = _processor_seconds(lab)
    start = time.perf_counter()
    gate = asyncio.Semaphore(16)

    async def create(name: str) -> None:
        async with gate:
            await hub.create(DEPLOYMENTS, deployment(name, "bench", 1))

    await asyncio.gather(*(create(name) for name in names))
    created = time.perf_counter() - start
    await arrivals.all_of(names, within=600)
    everywhere = time.perf_counter() - start
    ready = await _all_ready(hub, "bench", len(names), start)
    after = _processor_seconds(lab)
    return {
        "deployments": count, "created_s": round(created, 2), "everywhere_s": round(everywhere, 2), "ready_s": ready,
        "propagated_per_s": round(count / everywhere, 1),
        "cpu_ms_per_deployment": {name: round((after[name] - before[name]) * 1000 / count, 2) for name in before},
    }  # fmt: skip


async def _all_ready(hub: Client, place: str, least: int, start: float) -> float:
    async with asyncio.timeout(900):
        while True:
            items = (await hub.list(RESOURCE_BINDINGS, place, cached=True)).items
            if len(items) >= least and all(_is_ready(one) for one in items):
                return round(time.perf_counter() - start, 2)
            await asyncio.sleep(0.5)


def _is_ready(binding: dict[str, Any]) -> bool:
    conditions = (binding.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def _memory(lab: Lab, hub: Client, count: int) -> dict[str, float]:
    """Proportional set size of the hub process with this many bindings, and after a restart with them."""
    empty = memory(lab.process.pid)
    gate = asyncio.Semaphore(16)
    start = time.perf_counter()

    async def create(number: int) -> None:
        async with gate:
            await hub.create(CONFIG_MAPS, config_map(f"c-{number}", "many"))

    await asyncio.gather(*(create(number) for number in range(count)))
    settled = await _all_ready(hub, "many", count, start)
    full = memory(lab.process.pid)
    begun = time.perf_counter()
    await asyncio.to_thread(lab.process.restart)
    restart = time.perf_counter() - begun
    await asyncio.sleep(10)
    return {
        "bindings": count, "before_mib": _mib(empty), "with_bindings_mib": _mib(full), "after_restart_mib": _mib(memory(lab.process.pid)),
        "settled_s": settled, "placed_per_s": round(count / settled, 1), "restart_to_ready_s": round(restart, 2),
    }  # fmt: skip


def _processor_seconds(lab: Lab) -> dict[str, float]:
    """CPU seconds so far, by process."""
    found = {"federation hub": _seconds(lab.process.pid)}
    for name in ("hub", *MEMBERS):
        processes = lab.clusters.cluster(name).processes
        found[f"{name} apiserver"] = _seconds(processes["apiserver"].pid)
        found[f"{name} etcd"] = _seconds(processes["etcd"].pid)
    return found


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1)


def _mib(size: int) -> float:
    return round(size / 1024 / 1024, 1)
