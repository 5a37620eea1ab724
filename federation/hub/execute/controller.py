"""Makes the members hold what the decision says: one queue item per copy (binding and cluster).

A slow or dead member therefore delays only its own copies. What a step found out goes to the reporter, which writes it
into the binding. Drift is seen through the member's watch and repaired; a field that somebody else keeps rewriting is
left after three overwrites in a minute, and the binding says who.
"""

import asyncio

from federation.api.meta import Manifest
from federation.api.naming import BindingKey
from federation.hub.brake import Brake, Gate
from federation.hub.caches import HubCaches
from federation.hub.execute.apply import Applier
from federation.hub.execute.copies import Copies, CopyKey
from federation.hub.execute.decide import mark_of
from federation.hub.execute.ending import Endings
from federation.hub.execute.namespaces import Namespaces
from federation.hub.execute.reporter import Reporter
from federation.hub.execute.sweep import Sweep
from federation.hub.fleet import Fleet, KindKey, Member
from federation.hub.held import APPROVALS, HELD
from federation.hub.history import History
from federation.hub.settings import Settings
from federation.hub.views import cluster_facts, decision_of, leaves_at_once, object_facts, override_facts
from federation.kube.queue import Lane, WorkQueue
from federation.kube.resource import Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers
from federation.policy.override import OverrideFacts
from federation.policy.selectors import selectors_priority

ORPHAN_FINALIZER = "orphan"
"""What the API server puts on an object that is deleted with propagationPolicy Orphan."""


class Execute:
    """The execute controller."""

    def __init__(
        self, caches: HubCaches, fleet: Fleet, settings: Settings, history: History, *, gate: Gate | None = None
    ) -> None:
        """`gate` is asked before every destructive write; default: the brake."""
        self._caches = caches
        self._fleet = fleet
        self._ownership = fleet.ownership
        self._settings = settings
        self._history = history
        self._queue: WorkQueue[CopyKey] = WorkQueue()
        self._steps_ahead: dict[BindingKey, set[str]] = {}
        """Clusters of a binding that are queued by one change: a report waits for them, at most one window."""
        self._namespaces = Namespaces(caches, fleet, history)
        self._applier = Applier(self._namespaces, gate or Brake(caches, fleet, settings))
        self._reporter = Reporter(caches, fleet, settings, steps_ahead=self._steps_ahead.__contains__)
        self._endings = Endings(caches, fleet, self._applier, history, note=self._reporter.note)
        self._sweep = Sweep(caches, fleet, self._applier, history)
        self._copies = Copies(caches, fleet, self._applier, history)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        caches = self._caches
        await caches.synced()
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        for overrides in (caches.overrides, caches.cluster_overrides):
            overrides.subscribe(self._override_changed)
        caches.clusters.subscribe(self._cluster_changed)
        caches.config_maps.subscribe(self._approvals_changed)
        caches.on_template(self._template_changed)
        self._fleet.on_object(self._copy_changed)
        self._fleet.on_state(self._member_changed)
        self._ownership.on_change(self._shards_changed)
        self._history.on_change(self._history_changed)
        async with asyncio.TaskGroup() as group:
            workers = self._settings.workers
            group.create_task(
                run_workers(self._queue, self._reconcile, workers=workers * 2, name="execute"), name="execute"
            )
            group.create_task(self._reporter.run(), name="report")
            group.create_task(self._endings.run(), name="endings")
            group.create_task(self._sweep.run(), name="sweep")
            group.create_task(self._namespaces.run(), name="namespaces")

    def _enqueue(self, binding: Manifest, *, lane: Lane = Lane.USER) -> None:
        metadata, status = binding["metadata"], binding.get("status") or {}
        key = (metadata.get("namespace") or "", metadata["name"])
        reference = binding["spec"]["resource"]
        kind = (reference["apiVersion"], reference["kind"])
        self._fleet.want([kind])
        targets = (status.get("decision") or {}).get("targets") or {}
        holding = (member.name for member in self._fleet if self._copy(member, kind, reference) is not None)
        clusters = {*targets, *(status.get("members") or {}), *holding}
        if clusters:
            self._steps_ahead.setdefault(key, set()).update(clusters)
        for cluster in clusters:
            self._queue.add((*key, cluster), lane=lane)

    def _shards_changed(self) -> None:
        """Another process may have left things anywhere: look at everything once, as at a start (level-triggered)."""
        self._reporter.forget_clusters(lambda cluster: not self._ownership.owns(cluster))
        for entry in self._caches.all_bindings():
            self._enqueue(entry.manifest(), lane=Lane.RESYNC)
            if entry.deleting or not entry.owners:
                self._endings.add(entry.key)

    def _copy(self, member: Member, kind: KindKey, reference: Manifest) -> Cached | None:
        return member.copy(kind, reference.get("namespace") or "", reference["name"])

    def _binding_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        if new is None:
            if old is not None:
                self._reporter.forget((old.namespace, old.name))
                self._copies.forget((old.namespace, old.name))
            return
        manifest = new.manifest()
        if new.deleting or not new.owners:
            self._endings.add((new.namespace, new.name))
        self._reporter.lines_changed(old, new)
        if old is not None and old.generation == new.generation:
            before = ((old.manifest().get("status") or {}).get("decision") or {}).get("epoch")
            if before == ((manifest.get("status") or {}).get("decision") or {}).get("epoch"):
                return
        self._enqueue(manifest)

    def _template_changed(self, resource: Resource, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        key = self._caches.binding_key(resource, entry) if entry is not None else ("", "")
        found = self._caches.binding(key)
        if found is None:
            return
        if new is None:
            self._endings.add_later(key)
            return
        if found.deleting:
            self._endings.add_held(key)  # it is there again: nothing of it needs to go
        if new.deleting and ORPHAN_FINALIZER in new.finalizers:
            self._endings.note_orphaned(new.uid)
        if (
            old and new.generation > 0 and old.uid == new.uid
            and (old.generation, old.labels, old.annotations) == (new.generation, new.labels, new.annotations)
        ):  # fmt: skip
            return
        self._enqueue(found.manifest())

    def _override_changed(self, change: Change) -> None:
        if change.old and change.new and change.old.generation == change.new.generation:
            return
        touched = [override_facts(entry.manifest()) for entry in (change.old, change.new) if entry]
        for entry in self._caches.all_bindings():
            manifest = entry.manifest()
            template = self._caches.template(manifest)
            if template is not None and any(_concerns(override, template.manifest()) for override in touched):
                self._enqueue(manifest)

    def _cluster_changed(self, change: Change) -> None:
        """Labels and places of a cluster choose overrides; a leaving cluster gives its copies up."""
        old, new = change.old, change.new
        if new is None and old is not None:
            self._copies.forget_cluster(old.uid)
        if new is None or (old and _execution_facts(old) == _execution_facts(new)):
            return
        self._enqueue_cluster(new.name)

    def _approvals_changed(self, change: Change) -> None:
        """What a human approved goes now: whatever is held is looked at again."""
        if change.new is None or change.new.name != APPROVALS:
            return
        for entry in self._caches.all_bindings():
            if f"reason={HELD} ".encode() in entry.raw:
                self._enqueue(entry.manifest())
                self._endings.add_held((entry.namespace, entry.name))

    def _enqueue_cluster(self, name: str) -> None:
        for entry in self._caches.all_bindings():
            status = entry.manifest().get("status") or {}
            if name in ((status.get("decision") or {}).get("targets") or {}) or name in (status.get("members") or {}):
                self._queue.add((entry.namespace, entry.name, name), lane=Lane.RESYNC)

    def _member_changed(self, member: Member) -> None:
        self._enqueue_cluster(member.name)

    def _history_changed(self) -> None:
        for entry in self._caches.all_bindings():
            self._enqueue(entry.manifest(), lane=Lane.RESYNC)

    def _copy_changed(self, member: Member, resource: Resource, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        mark = mark_of({"metadata": {"annotations": entry.annotations}}) if entry else None
        if entry is None or mark is None:
            return
        namespace, _, name = mark.binding.partition("/")
        self._reporter.add((namespace, name))
        binding = self._caches.binding((namespace, name))
        if binding is None:
            if new is not None:
                self._sweep.add(member, resource, new)
            return
        if new is None and binding.deleting:
            self._endings.add((namespace, name))
            return
        if old and new and new.generation > 0 and _same_object(old, new):
            return  # only its status moved
        self._queue.add((namespace, name, member.name))

    async def _reconcile(self, key: CopyKey) -> float | None:
        try:
            return await self._look(key)
        finally:
            ahead = self._steps_ahead.get(key[:2])
            if ahead is not None:
                ahead.discard(key[2])
                if not ahead:
                    del self._steps_ahead[key[:2]]
                    self._reporter.add(key[:2])

    async def _look(self, key: CopyKey) -> float | None:
        found = self._caches.binding(key[:2])
        if found is None or found.deleting or not found.owners:
            self._copies.forget(key[:2])
            return None
        if not self._ownership.owns(key[2]):
            return None
        binding = found.manifest()
        decision = decision_of(binding)
        if decision is None:
            return None
        outcome, again = await self._copies.step(key, binding, noted=self._reporter.noted(key[:2], key[2]))
        if outcome is not None and self._ownership.owns(key[2]):
            self._reporter.note(key[:2], key[2], outcome)
        return again


def _execution_facts(cluster: Cached) -> tuple[object, ...]:
    """What of a Cluster can change a copy: its labels and places, that it leaves, and how (which may change on the way)."""
    manifest = cluster.manifest()
    return cluster_facts(manifest), cluster.deleting, leaves_at_once(manifest)


def _same_object(old: Cached, new: Cached) -> bool:
    return (old.uid, old.generation, old.labels, old.annotations, old.deleting) == (
        new.uid, new.generation, new.labels, new.annotations, new.deleting,
    )  # fmt: skip


def _concerns(override: OverrideFacts, template: Manifest) -> bool:
    selectors = override.spec.resource_selectors
    return not selectors or selectors_priority(selectors, object_facts(template)) > 0


__all__ = ["Execute"]
