"""The controllers of the hub on sandboxes: brought to rest, given a change, brought to rest again.

Left out are what probes clusters (their status is as the snapshot has it) and what writes statuses of templates. Workloads become
what they promise at once, so moves end; waits of minutes (the return to an earlier affinity group, tolerations) do not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from federation.api.meta import API_VERSION, Manifest
from federation.hub.caches import HubCaches
from federation.hub.detect.controller import Detect
from federation.hub.execute.controller import Execute
from federation.hub.fleet import Fleet
from federation.hub.history import History
from federation.hub.install import install_crds
from federation.hub.kinds import Kinds
from federation.hub.rebalance.controller import Rebalances
from federation.hub.schedule.controller import Schedule
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.transport import Transport
from federation.plan.loading import endpoint, is_away, load_hub, load_member
from federation.plan.manifests import ManifestError
from federation.plan.ownership import take_over
from federation.plan.snapshot import Snapshot
from federation.sandbox import ApiServer, Member
from federation.sandbox.refusals import RefusalError

TICK = 0.01
QUIET = 0.4
"""Seconds in which nothing is written and the event loop is idle, after which the controllers have come to rest."""
BETWEEN = 0.005
"""Seconds between two writes of a user: the controllers do not wait for the last one either."""
MOST = 120.0
"""Seconds after which they are not going to."""
KINDS_LEARNT = 1.0
"""Seconds in which a new definition is found by the controllers."""


class Unsettled(RuntimeError):
    """The controllers did not come to rest; the message says what is still written."""


class World:
    """A hub and its members on sandboxes. Use `living`."""

    def __init__(self, snapshot: Snapshot, settings: Settings) -> None:
        self.hub = ApiServer("hub")
        self.members: dict[str, Member] = {}
        self._snapshot = snapshot
        self._settings = settings
        self._running: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Put the snapshot into place."""
        await install_crds(self.hub.client())
        load_hub(self.hub, self._snapshot)
        for cluster in self.hub.objects(API_VERSION, "Cluster"):
            name = cluster["metadata"]["name"]
            member = Member(name)
            load_member(member, self.hub, cluster, self._snapshot)
            member.settle()
            member.server.down = is_away(cluster)
            self.members[endpoint(name)] = member

    async def run(self) -> None:
        """Run the controllers until cancelled."""
        client = Client(self.hub.transport(), name="hub")
        caches = HubCaches(client, hub_id=self._snapshot.hub_id)
        kinds = Kinds(caches, self._settings)
        fleet = Fleet(caches, self._settings, connect=self._connect)
        history = History(caches, fleet, patience=1.0, period=MOST)
        runs = (
            history.run, Detect(caches, self._settings).run, Schedule(caches, fleet, self._settings).run,
            Rebalances(caches).run, Execute(caches, fleet, self._settings, history).run,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for run in (caches.run, kinds.run, fleet.run, self._settle):
                group.create_task(run())
            await caches.synced()
            await history.check()
            for member in fleet:
                member.reachable = not self.members[endpoint(member.name)].server.down
            for start in runs:
                group.create_task(start())

    async def apply(self, manifests: Iterable[Manifest], *, namespace: str) -> None:
        """Do what `kubectl apply` does, in this order. Raises ManifestError for what the hub would refuse."""
        for manifest in manifests:
            kind = self.hub.kinds.named(manifest["apiVersion"], manifest["kind"])
            if kind is None:
                raise ManifestError(
                    f"{manifest['kind']} {manifest['metadata']['name']}: the hub serves no {manifest['apiVersion']}"
                    f" {manifest['kind']}; add its CustomResourceDefinition"
                )
            version = self.hub.storage.version
            try:
                take_over(self.hub, kind, manifest, namespace=namespace)
            except RefusalError as error:
                raise ManifestError(f"{manifest['kind']} {manifest['metadata']['name']}: {error.message}") from error
            if manifest["kind"] == "CustomResourceDefinition":
                await asyncio.sleep(KINDS_LEARNT)
            elif self.hub.storage.version != version:
                await asyncio.sleep(BETWEEN)

    def objects(self) -> dict[str, list[Manifest]]:
        """What each member holds, by name of the cluster."""
        found: dict[str, list[Manifest]] = {}
        for member in self.members.values():
            storage = member.server.storage
            found[member.name] = [one for kept in storage.collections() for one in storage.values(kept)]
        return found

    def bindings(self) -> list[Manifest]:
        """The bindings of the hub."""
        return [
            *self.hub.objects(API_VERSION, "ResourceBinding"),
            *self.hub.objects(API_VERSION, "ClusterResourceBinding"),
        ]

    async def rest(self) -> None:
        """Return once nothing happens any more. Raises Unsettled, and what a controller raised."""
        loop = asyncio.get_running_loop()
        end, since, seen = loop.time() + MOST, loop.time(), self._moved()
        while loop.time() - since < QUIET:
            if loop.time() > end:
                raise Unsettled(f"after {MOST:.0f} s the hub still writes: {self._last_writes()}")
            before = loop.time()
            await asyncio.sleep(TICK)
            moved = self._moved()
            # A loop that is late has more to do than the sandboxes have shown yet.
            if moved != seen or loop.time() - before > 2 * TICK:
                since, seen = loop.time(), moved
            if self._running is not None and self._running.done():
                await self._running

    def _moved(self) -> tuple[int, int]:
        servers = [self.hub, *(member.server for member in self.members.values())]
        return sum(one.storage.version for one in servers), sum(len(one.requests) for one in servers)

    def _last_writes(self) -> str:
        writes = [f"{one.method} {one.path}" for one in self.hub.requests if one.method != "GET"]
        return "; ".join(writes[-3:])

    def _connect(self, credentials: Credentials) -> Transport:
        return self.members[credentials.endpoint].transport()

    async def _settle(self) -> None:
        """Let workloads become what they promise, whenever something was written in their member."""
        seen: dict[str, int] = {}
        while True:
            for name, member in self.members.items():
                if seen.get(name) != member.server.storage.version:
                    member.settle()
                    seen[name] = member.server.storage.version
            await asyncio.sleep(TICK / 2)


@asynccontextmanager
async def living(snapshot: Snapshot, settings: Settings) -> AsyncIterator[World]:
    """The snapshot with its controllers running, come to rest. Raises Unsettled."""
    world = World(snapshot, settings)
    await world.load()
    running = world._running = asyncio.create_task(world.run())  # noqa: SLF001 - of this module
    try:
        await world.rest()
        yield world
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
