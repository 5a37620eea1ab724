"""Writes the status of policies: at most once a period each, only a difference, and not before everything was looked at once.

Not before: a start would else say of each policy that it lost or changed nothing, and take it back a moment later.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from federation.api.meta import Manifest
from federation.hub.detect.notes import PolicyKey
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.errors import Invalid, NotFound
from federation.kube.queue import Lane, WorkQueue
from federation.kube.resource import Resource
from federation.kube.store import Cached, Store
from federation.kube.workers import run_workers

Compute = Callable[[Cached, Manifest, float], Manifest]
"""(policy, its stored status, seconds since the epoch) -> the status to store."""

SOON = 1.0
"""Seconds until the first write, so that errors show at once."""
PATIENCE = 30.0
"""Seconds after which a status is written although some kind cannot be listed."""


class Statuses:
    """The statuses of some kinds of policies."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        kinds: Mapping[str, tuple[Resource, Store]],
        compute: Compute,
        *,
        complete: Callable[[], bool],
    ) -> None:
        """`complete`: whether all that `compute` knows of has been looked at since the start."""
        self._client = client
        self._period = settings.policy_status_period
        self._kinds = kinds
        self._compute = compute
        self._complete = complete
        self._began = time.monotonic()
        self._waits = True
        self._queue: WorkQueue[PolicyKey] = WorkQueue()
        self._written: dict[PolicyKey, float] = {}

    async def run(self, name: str) -> None:
        """Write until cancelled."""
        await run_workers(self._queue, self._write, workers=2, name=name)

    def mark(self, key: PolicyKey) -> None:
        """Something that a policy's status tells may have changed."""
        if key[0] in self._kinds:
            since = time.monotonic() - self._written.get(key, 0.0)
            self._queue.add_after(key, max(SOON, self._period - since), lane=Lane.RESYNC)

    def forget(self, key: PolicyKey) -> None:
        """The policy is gone."""
        self._written.pop(key, None)

    async def _write(self, key: PolicyKey) -> float | None:
        kind, namespace, name = key
        resource, store = self._kinds[kind]
        entry = store.get(namespace, name)
        if entry is None or entry.deleting:
            self.forget(key)
            return None
        self._waits = self._waits and not self._complete() and time.monotonic() - self._began < PATIENCE
        if self._waits:
            return SOON
        stored = entry.manifest().get("status") or {}
        status = self._compute(entry, stored, time.time())
        if status == stored:
            return None
        self._written[key] = time.monotonic()
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": entry.uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            await self._client.json_patch(resource, name, namespace or None, operations, subresource="status")
        except (Invalid, NotFound):
            return SOON
        return None
