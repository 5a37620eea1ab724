"""Keeps every template's status equal to what its members report. Writes follow the binding's, so they share its windows.

A deadline that passes is no event of any API: the queue looks again at that moment. What a member is waiting for since
when is stored in its line, so a restart forgets no deadline.
"""

import logging
import time
from typing import Any

from federation.api.meta import Manifest
from federation.api.naming import BindingKey
from federation.hub.caches import HubCaches
from federation.hub.collect.decide import next_deadline, plan
from federation.hub.settings import Settings
from federation.kube.errors import Conflict, Forbidden, Invalid, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import Resource
from federation.kube.store import Change
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)


class Collect:
    """The collect controller."""

    def __init__(self, caches: HubCaches, settings: Settings) -> None:
        self._caches = caches
        self._settings = settings
        self._queue: WorkQueue[BindingKey] = WorkQueue()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        caches = self._caches
        await caches.synced()
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        caches.on_template(self._template_changed)
        await run_workers(self._queue, self._reconcile, workers=self._settings.workers, name="collect")

    def _binding_changed(self, change: Change) -> None:
        if change.new is not None and not change.new.deleting:
            self._queue.add((change.new.namespace, change.new.name))

    def _template_changed(self, resource: Resource, change: Change) -> None:
        if change.new is not None:
            key = self._caches.binding_key(resource, change.new)
            if self._caches.binding(key) is not None:
                self._queue.add(key)

    async def _reconcile(self, key: BindingKey) -> float | None:
        found = self._caches.binding(key)
        if found is None or found.deleting:
            return None
        binding = found.manifest()
        reference = binding["spec"]["resource"]
        resource = self._caches.resource_of(reference["apiVersion"], reference["kind"])
        template = self._caches.template(binding)
        if resource is None or not resource.status or template is None or template.uid != reference["uid"]:
            return None
        body = template.manifest()
        now = time.time()
        again = next_deadline(body, binding, now=now)
        status = plan(body, binding, now=now)
        if status is None:
            return again
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": template.uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            written: Manifest = await self._caches.client.json_patch(
                resource, template.name, template.namespace or None, operations, subresource="status"
            )
        except (NotFound, Conflict):
            return None
        except Forbidden as error:
            log.warning("the status of %s %s may not be written: %s", resource.kind, template.name, error.message)
            return 60.0
        except Invalid as error:
            log.warning("the status of %s %s/%s was refused: %s", resource.kind, *template.key, error.message)
            return 30.0
        store = self._caches.template_store(resource.api_version, resource.kind)
        if store is not None:
            store.learn(written)
        return again
