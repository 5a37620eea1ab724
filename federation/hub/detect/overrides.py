"""Keeps the status of override policies: looks at a binding when something of it changes, adds up by policy.

Read only, but for that status: what overrides do to the copies is execute's business.
"""

import asyncio
from collections.abc import Mapping

from federation.api.naming import BindingKey
from federation.hub.caches import HubCaches
from federation.hub.detect.notes import PolicyKey
from federation.hub.detect.override_status import Effect, effects, override_status
from federation.hub.detect.statuses import SOON, Statuses
from federation.hub.policies import Override, judge_override
from federation.hub.settings import Settings
from federation.hub.views import cluster_facts
from federation.kube.queue import Lane, WorkQueue
from federation.kube.resource import CLUSTER_OVERRIDE_POLICIES, OVERRIDE_POLICIES, Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers
from federation.policy.facts import ClusterFacts, ObjectFacts

NONE: Mapping[str, Effect] = {}


class Overrides:
    """The part of detect that looks at override policies."""

    def __init__(self, caches: HubCaches, settings: Settings) -> None:
        self._caches = caches
        self._queue: WorkQueue[BindingKey] = WorkQueue()
        self._judged: dict[str, tuple[int, Override]] = {}
        """Override policies by UID, with the generation that was judged."""
        self._clusters: dict[str, ClusterFacts] = {}
        self._effects: dict[BindingKey, Mapping[str, Effect]] = {}
        """What concerns a binding, by UID of the override policy."""
        self._concerned: dict[str, set[BindingKey]] = {}
        """The same, by UID of the override policy."""
        self._statuses = Statuses(
            caches.client, settings,
            {
                "OverridePolicy": (OVERRIDE_POLICIES, caches.overrides),
                "ClusterOverridePolicy": (CLUSTER_OVERRIDE_POLICIES, caches.cluster_overrides),
            },
            lambda entry, stored, now: override_status(
                self._override(entry), stored, effects=self._effects_of(entry.uid), now=now
            ),
            complete=lambda: not len(self._queue) and caches.templates_listed,
        )  # fmt: skip

    async def run(self) -> None:
        """Look and write until cancelled; the caches are synced."""
        caches = self._caches
        caches.clusters.subscribe(self._cluster_changed)
        caches.on_template(self._template_changed)
        for store in (caches.overrides, caches.cluster_overrides):
            store.subscribe(self._override_changed)
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(run_workers(self._queue, self._look, workers=1, name="overrides"), name="overrides")
            group.create_task(self._statuses.run("override-status"), name="override-status")

    def _binding_changed(self, change: Change) -> None:
        entry = change.new or change.old
        if entry is None:
            return
        if change.old is None:
            self._queue.add(entry.key, lane=Lane.RESYNC)
        else:  # lines change often while a rollout runs: one look a second is enough
            self._queue.add_after(entry.key, SOON)

    def _template_changed(self, resource: Resource, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is not None and (old is None or new is None or old.labels != new.labels):
            self._queue.add(self._caches.binding_key(resource, entry), lane=Lane.RESYNC)

    def _override_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None or (old and new and (old.uid, old.generation) == (new.uid, new.generation)):
            return
        if old is not None and (new is None or new.uid != old.uid):
            self._judged.pop(old.uid, None)
        if new is None:
            self._statuses.forget(_key(entry))
        else:
            self._statuses.mark(_key(entry))
        for binding in self._caches.all_bindings():
            if not entry.namespace or binding.namespace == entry.namespace:
                self._queue.add(binding.key, lane=Lane.RESYNC)

    def _cluster_changed(self, change: Change) -> None:
        """Labels and places of clusters choose the rules."""
        before = cluster_facts(change.old.manifest()) if change.old else None
        after = cluster_facts(change.new.manifest()) if change.new else None
        if before == after:
            return
        if before is not None:
            self._clusters.pop(before.name, None)
        if after is not None:
            self._clusters[after.name] = after
        for binding in self._caches.all_bindings():
            self._queue.add(binding.key, lane=Lane.RESYNC)

    async def _look(self, key: BindingKey) -> None:
        overrides = {entry.uid: entry for entry in self._caches.overrides_for(key[0])}
        before = self._effects.get(key, NONE)
        now = self._effects_on(key, [self._override(entry) for entry in overrides.values()]) if overrides else NONE
        if now == before:
            return
        for uid in before.keys() - now.keys():
            concerned = self._concerned[uid]
            concerned.discard(key)
            if not concerned:
                del self._concerned[uid]
        for uid in now.keys() - before.keys():
            self._concerned.setdefault(uid, set()).add(key)
        if now:
            self._effects[key] = now
        else:
            del self._effects[key]
        for uid in before.keys() | now.keys():
            if uid in overrides and before.get(uid) != now.get(uid):
                self._statuses.mark(_key(overrides[uid]))

    def _effects_on(self, key: BindingKey, overrides: list[Override]) -> Mapping[str, Effect]:
        found = self._caches.binding(key)
        binding = found.manifest() if found is not None else None
        template = self._caches.template(binding) if binding is not None else None
        if binding is None or template is None:
            return NONE
        facts = ObjectFacts(
            api_version=template.api_version, kind=template.kind, namespace=template.namespace, name=template.name,
            labels=template.labels,
        )  # fmt: skip
        return effects(binding, facts, overrides, self._clusters)

    def _effects_of(self, uid: str) -> list[Effect]:
        return [self._effects[key][uid] for key in self._concerned.get(uid, ())]

    def _override(self, entry: Cached) -> Override:
        known = self._judged.get(entry.uid)
        if known is None or known[0] != entry.generation:
            known = (entry.generation, judge_override(entry.manifest()))
            self._judged[entry.uid] = known
        return known[1]


def _key(entry: Cached) -> PolicyKey:
    return ("OverridePolicy" if entry.namespace else "ClusterOverridePolicy", entry.namespace, entry.name)
