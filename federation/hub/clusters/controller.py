"""Probes every member and keeps Cluster.status true: health with thresholds, version, APIs, nodes, resources.

One task a member; a write at most once a probe period, and only when something changed. Every replica probes for itself
and knows which members it reaches; the leader alone writes. The copies' state is never touched here: an unreachable
member is tainted, its copies stay as they were last seen.
"""

import asyncio
import logging
import time
from typing import Any

from federation.api.meta import Manifest
from federation.hub.caches import HubCaches
from federation.hub.clusters.decide import Health, Inventory, Probe, health_of, inventory, judge, plan
from federation.hub.conditions import timestamp
from federation.hub.fleet import Fleet, Member
from federation.hub.settings import Settings
from federation.kube.errors import ApiError, Conflict, Invalid, NotFound
from federation.kube.resource import CLUSTERS
from federation.kube.store import Cached

log = logging.getLogger(__name__)


class Clusters:
    """The clusters controller."""

    def __init__(self, caches: HubCaches, fleet: Fleet, settings: Settings) -> None:
        self._caches = caches
        self._fleet = fleet
        self._settings = settings
        self._tasks: dict[Member, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow the members until cancelled."""
        await self._caches.synced()
        self._fleet.on_state(lambda _member: self._changed.set())
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    self._changed.clear()
                    self._follow(group)
                    try:
                        async with asyncio.timeout(1.0):
                            await self._changed.wait()
                    except TimeoutError:
                        continue
            finally:
                for task in self._tasks.values():
                    task.cancel()

    def _follow(self, group: asyncio.TaskGroup) -> None:
        present = set(self._fleet)
        for member in [member for member in self._tasks if member not in present]:
            self._tasks.pop(member).cancel()
        for member in present - self._tasks.keys():
            self._tasks[member] = group.create_task(self._watch(member), name=f"probe-{member.name}")

    async def _watch(self, member: Member) -> None:
        found = self._caches.clusters.get("", member.name)
        health = health_of(found.manifest()) if found else Health()
        version = ""
        while True:
            probe = await self._probe(member)
            health = judge(
                health, probe, failure_threshold=self._settings.failure_threshold,
                success_threshold=self._settings.success_threshold,
            )  # fmt: skip
            if member.reachable != probe.answered:
                member.reachable = probe.answered
                self._fleet.changed(member)
            if probe.answered:
                member.hurry()
                version = await self._version(member) or version
                await self._fleet.discover(member)
            await self._write(member, health, version)
            await self._rest(member, health)

    async def _rest(self, member: Member, health: Health) -> None:
        """Wait for the next probe; a CRD that comes or goes in the member is looked at without waiting."""
        period = self._settings.probe_period if health.status == "True" else min(2.0, self._settings.probe_period)
        try:
            async with asyncio.timeout(period):
                await member.crds_changed.wait()
        except TimeoutError:
            return
        member.crds_changed.clear()
        await asyncio.sleep(0.5)

    async def _probe(self, member: Member) -> Probe:
        try:
            async with asyncio.timeout(self._settings.probe_timeout):
                await member.client.get_raw("/readyz")
        except ApiError as error:
            return Probe(at=time.monotonic(), answered=error.status != 0, healthy=False, message=error.message)
        except TimeoutError:
            return Probe(at=time.monotonic(), answered=False, healthy=False, message="no answer in time")
        return Probe(at=time.monotonic(), answered=True, healthy=True)

    async def _version(self, member: Member) -> str:
        try:
            return await member.client.version()
        except ApiError:
            return ""

    def _inventory(self, member: Member) -> Inventory | None:
        nodes, pods = member.nodes, member.pods
        if nodes is None or pods is None or not (nodes.synced and pods.synced):
            return None
        return inventory((entry.manifest() for entry in nodes.values()), (entry.manifest() for entry in pods.values()))

    async def _write(self, member: Member, health: Health, version: str) -> None:
        found = self._caches.clusters.get("", member.name)
        if found is None or not self._fleet.ownership.leads:
            return
        now = time.time()
        cluster: Manifest = found.manifest()
        discovery = member.discovery
        counted = self._inventory(member) if member.reachable else None
        status = plan(
            cluster,
            health=health,
            version=version,
            apis=discovery.lines() if discovery else None,
            unknown_apis=discovery.unknown if discovery else (),
            inventory_now=counted,
            now=now,
            observed_at=timestamp(now),
        )
        if status is not None and not await self._store(found, status):
            return
        if counted is not None:
            member.counted_at = now

    async def _store(self, found: Cached, status: Manifest) -> bool:
        """Write a status; whether it is stored, and known here, now."""
        # The operator writes conditions of its own into the same list: the resourceVersion keeps both from erasing.
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.resource_version},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            written = await self._caches.client.json_patch(CLUSTERS, found.name, None, operations, subresource="status")
        except (Conflict, Invalid, NotFound) as error:
            log.debug("status of cluster %s: %s", found.name, error.message)
            return False
        except ApiError as error:
            log.warning("status of cluster %s not written: %s", found.name, error)
            return False
        self._caches.clusters.learn(written)
        return True
