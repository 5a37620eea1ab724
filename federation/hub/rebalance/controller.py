"""Follows Rebalances and the bindings that they name: asks, waits, reports, and removes what is past its time to live."""

import contextlib
import time

from federation.api.naming import BindingKey
from federation.hub.caches import HubCaches
from federation.hub.rebalance.decide import binding_keys, plan, token_of
from federation.kube.errors import Conflict, Invalid, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, REBALANCES, RESOURCE_BINDINGS
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers

QUIET = 0.5
"""Seconds to wait after a change of a binding: many workloads are answered with few writes."""
_BY_BINDING = "awaited binding"
"""Index of the Rebalances that have not finished, by the bindings of their workloads."""


class Rebalances:
    """The rebalance controller."""

    def __init__(self, caches: HubCaches) -> None:
        self._caches = caches
        caches.rebalances.add_index(_BY_BINDING, _awaited)
        self._queue: WorkQueue[str] = WorkQueue()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        caches = self._caches
        await caches.synced()
        caches.rebalances.subscribe(self._rebalance_changed)
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        await run_workers(self._queue, self._reconcile, workers=2, name="rebalance")

    def _rebalance_changed(self, change: Change) -> None:
        if change.new is not None and not change.new.deleting:
            self._queue.add(change.new.name)

    def _binding_changed(self, change: Change) -> None:
        entry = change.new or change.old
        if entry is None:
            return
        for rebalance in self._caches.rebalances.by_index(_BY_BINDING, _index_key(entry.key)):
            self._queue.add_after(rebalance.name, QUIET)

    async def _reconcile(self, name: str) -> float | None:
        found = self._caches.rebalances.get("", name)
        if found is None or found.deleting:
            return None
        rebalance, now = found.manifest(), time.time()
        keys = binding_keys(rebalance)
        bindings = {key: entry.manifest() for key in keys if (entry := self._caches.binding(key)) is not None}
        outcome = plan(rebalance, bindings, now=now)
        for key in outcome.ask:
            await self._ask(key, bindings[key]["metadata"]["uid"], token_of(rebalance))
        if outcome.status != (rebalance.get("status") or {}):
            test = {"op": "test", "path": "/metadata/uid", "value": found.uid}
            write = {"op": "add", "path": "/status", "value": outcome.status}
            try:
                written = await self._caches.client.json_patch(
                    REBALANCES, name, None, [test, write], subresource="status"
                )
            except (Conflict, Invalid, NotFound):
                return QUIET
            self._caches.rebalances.learn(written)
        if outcome.ends_in is None or outcome.ends_in > 0:
            return outcome.ends_in
        with contextlib.suppress(Conflict, NotFound):
            await self._caches.client.delete(REBALANCES, name, uid=found.uid)
        return None

    async def _ask(self, key: BindingKey, uid: str, token: str) -> None:
        resource = RESOURCE_BINDINGS if key[0] else CLUSTER_RESOURCE_BINDINGS
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/spec/rebalance", "value": token},
        ]
        try:
            written = await self._caches.client.json_patch(resource, key[1], key[0] or None, operations)
        except (Conflict, Invalid, NotFound):
            return  # made anew meanwhile: its event brings us back
        self._caches.binding_store(key).learn(written)


def _awaited(rebalance: Cached) -> list[str]:
    manifest = rebalance.manifest()
    if (manifest.get("status") or {}).get("finishTime"):
        return []
    return [_index_key(key) for key in binding_keys(manifest)]


def _index_key(key: BindingKey) -> str:
    return "/".join(key)
