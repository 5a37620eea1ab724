"""Namespaces in members: made at first need and marked; removed when the hub's is gone and they hold nothing foreign.

A namespace that we did not make, or in which anything is unknown, stays (I14).
"""

import logging

from federation.api.meta import HUB_LABEL, MARK_ANNOTATION, Manifest
from federation.hub.caches import HubCaches
from federation.hub.fleet import Fleet, Member
from federation.hub.history import History
from federation.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import NAMESPACES, Resource
from federation.kube.store import Change
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)

_OWN_OF_NAMESPACE = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
"""What Kubernetes puts into every namespace."""

_SHADOWS = {"Event", "Endpoints", "EndpointSlice", "ControllerRevision", "PodMetrics"}
"""Kinds that only accompany other objects; they keep no namespace alive."""


class Namespaces:
    """Makes and removes namespaces in the members."""

    def __init__(self, caches: HubCaches, fleet: Fleet, history: History) -> None:
        self._caches = caches
        self._fleet = fleet
        self._history = history
        self._queue: WorkQueue[tuple[str, str]] = WorkQueue()

    async def run(self) -> None:
        """Remove what is left over until cancelled."""
        self._caches.namespaces.subscribe(self._hub_changed)
        await run_workers(self._queue, self._reconcile, workers=2, name="namespaces")

    async def make(self, member: Member, name: str) -> None:
        """Create a namespace with our mark; one that exists is left as it is."""
        manifest: Manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {HUB_LABEL: self._fleet.hub_label},
                "annotations": {MARK_ANNOTATION: f"hub={self._caches.hub_id} made=true"},
            },
        }
        try:
            await member.client.create(NAMESPACES, manifest)
        except (AlreadyExists, Conflict):
            return

    def emptied(self, cluster: str, namespace: str) -> None:
        """One of our copies left a namespace: look whether the namespace can go too."""
        if self._caches.namespaces.get("", namespace) is None:
            self._queue.add_after((cluster, namespace), 1.0)

    def _hub_changed(self, change: Change) -> None:
        if change.new is None and change.old is not None:
            for member in self._fleet:
                self._queue.add_after((member.name, change.old.name), 1.0)

    async def _reconcile(self, key: tuple[str, str]) -> float | None:
        cluster, namespace = key
        member = self._fleet.get(cluster)
        if member is None or not member.reachable or member.discovery is None:
            return 10.0 if member else None
        if self._history.behind is not None:
            return 10.0
        if await self._exists_on_hub(namespace):
            return None
        try:
            found = await member.client.get(NAMESPACES, namespace)
        except NotFound:
            return None
        metadata = found["metadata"]
        mark = (metadata.get("annotations") or {}).get(MARK_ANNOTATION) or ""
        if "deletionTimestamp" in metadata or mark != f"hub={self._caches.hub_id} made=true":
            return None
        if not self._fleet.ownership.owns(cluster):
            return 10.0  # whoever owns it removes it; it may be ours by then
        holds = await self._holds(member, namespace)
        if holds:
            log.info("namespace %s stays in %s: it holds %s", namespace, cluster, holds)
            return 5.0 if holds == "ours" else None
        await member.client.delete(
            NAMESPACES, namespace, uid=metadata["uid"], resource_version=metadata["resourceVersion"]
        )
        return None

    async def _exists_on_hub(self, namespace: str) -> bool:
        try:
            await self._caches.client.get(NAMESPACES, namespace)
        except NotFound:
            return False
        return True

    async def _holds(self, member: Member, namespace: str) -> str:
        """The first thing found in a namespace: "ours", a foreign object, or what could not be read; empty for nothing."""
        resources = member.discovery.resources if member.discovery else ()
        listable = [
            entry for entry in resources if entry.namespaced and "list" in entry.verbs and entry.kind not in _SHADOWS
        ]
        ours = False
        for resource in listable:
            found = await self._first_in(member, resource, namespace)
            if found == "ours":
                ours = True
            elif found:
                return found
        return "ours" if ours else ""

    async def _first_in(self, member: Member, resource: Resource, namespace: str) -> str:
        try:
            page = await member.client.list(resource, namespace, metadata_only=True)
        except Forbidden:
            return f"perhaps {resource.plural} (they may not be listed)"
        except ApiError as error:
            return f"unknown {resource.plural} ({error.reason})"
        ours = False
        for item in page.items:
            metadata = item["metadata"]
            if (resource.kind, metadata["name"]) in _OWN_OF_NAMESPACE:
                continue
            if (metadata.get("labels") or {}).get(HUB_LABEL) == self._fleet.hub_label or metadata.get(
                "ownerReferences"
            ):
                ours = True
                continue
            return f"{resource.kind} {metadata['name']}"
        return "ours" if ours else ""
