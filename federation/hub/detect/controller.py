"""Follows policies and the templates that they can select; keeps one binding per claimed template.

A binding that disappears is made again while a policy claims its template; a template that is gone is left to the
garbage collector, which ends its binding through the owner reference.
"""

import asyncio
import logging
import time
from typing import Any

from federation.api.meta import Manifest
from federation.api.naming import binding_name
from federation.hub.caches import BY_NAMESPACE, POLICY_KINDS, BindingKey, HubCaches
from federation.hub.detect.decide import Plan, binding_key, owner_patch, plan
from federation.hub.detect.notes import Notes, TemplateKey
from federation.hub.detect.policy_status import policy_status
from federation.hub.evidence import Standing, template_evidence
from federation.hub.policies import Policy
from federation.hub.settings import Settings
from federation.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from federation.kube.queue import Lane, WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS, Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)

PolicyKey = tuple[str, str, str]
"""(kind, namespace, name)"""


class Detect:
    """The detect controller."""

    def __init__(self, caches: HubCaches, settings: Settings) -> None:
        self._caches = caches
        self._settings = settings
        self._queue: WorkQueue[TemplateKey] = WorkQueue()
        self._status_queue: WorkQueue[PolicyKey] = WorkQueue()
        self._lost = Notes()
        """What policies lost, and to whom."""
        self._never = Notes()
        """What policies claim but never propagate, and why."""
        self._waits = Notes()
        """What policies claim and cannot place yet, and what is missing."""
        self._removed: set[BindingKey] = set()
        """Bindings that went while the cache has their template: it may be late, so it is asked for before one is made again."""
        self._status_written: dict[PolicyKey, float] = {}

    async def run(self) -> None:
        """Reconcile until cancelled."""
        caches = self._caches
        await caches.synced()
        caches.on_template(self._template_changed)
        for store in (caches.policies, caches.cluster_policies):
            store.subscribe(self._policy_changed)
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        caches.priority_classes.subscribe(self._priority_class_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                run_workers(self._queue, self._reconcile, workers=self._settings.workers, name="detect"), name="detect"
            )
            group.create_task(
                run_workers(self._status_queue, self._write_status, workers=2, name="policy-status"),
                name="policy-status",
            )

    def _template_changed(self, resource: Resource, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None:
            return
        if old and new and old.labels == new.labels and old.deleting == new.deleting and old.uid == new.uid:
            # Which policy claims an object follows from its labels alone; its numbers are read by schedule.
            return
        self._queue.add((resource.api_version, resource.kind, entry.namespace, entry.name))

    def _policy_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None or (old and new and old.generation == new.generation and old.deleting == new.deleting):
            return
        for manifest in (entry.manifest(), old.manifest() if old else None):
            if manifest is not None:
                self._enqueue_selected(manifest)
        if new is not None:
            self._mark_status(entry)
        else:
            self._status_written.pop((_kind(entry), entry.namespace, entry.name), None)

    def _priority_class_changed(self, change: Change) -> None:
        entry = change.new or change.old
        for policy in self._caches.all_policies():
            asked = self._caches.judged(policy).spec.schedule_priority
            if entry is not None and asked is not None and asked.priority_class_name == entry.name:
                self._enqueue_selected(policy.manifest())

    def _enqueue_selected(self, manifest: Manifest) -> None:
        namespace = manifest["metadata"].get("namespace") or ""
        for selector in (manifest.get("spec") or {}).get("resourceSelectors") or []:
            api_version, kind = selector.get("apiVersion") or "", selector.get("kind") or ""
            store = self._caches.template_store(api_version, kind)
            if store is None:
                continue
            if namespace and selector.get("name"):
                self._queue.add((api_version, kind, namespace, selector["name"]))
                continue
            for entry in store.values():
                if not namespace or entry.namespace == namespace:
                    self._queue.add((api_version, kind, entry.namespace, entry.name))

    def _binding_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None:
            return
        manifest = entry.manifest()
        resource, policy = manifest["spec"]["resource"], manifest["spec"].get("policy")
        if new is None and self._caches.template(manifest) is not None:
            self._removed.add((entry.namespace, entry.name))
        if policy:
            self._mark_status_key((policy["kind"], policy.get("namespace") or "", policy["name"]))
        if (
            old
            and new
            and old.generation == new.generation
            and old.deleting == new.deleting
            and old.owners == new.owners
        ):
            return
        self._queue.add((resource["apiVersion"], resource["kind"], resource.get("namespace") or "", resource["name"]))

    def _policies_for(self, namespace: str) -> list[Policy]:
        own = self._caches.policies.by_index(BY_NAMESPACE, namespace) if namespace else []
        entries = [*own, *self._caches.cluster_policies.values()]
        return [self._caches.judged(entry) for entry in entries if not entry.deleting]

    async def _reconcile(self, key: TemplateKey) -> float | None:
        api_version, kind, namespace, name = key
        store = self._caches.template_store(api_version, kind)
        template = store.get(namespace, name) if store else None
        if template is None:
            self._forget(key)
            self._removed.discard(_binding_key(key))
            return None
        manifest = template.manifest()
        found = self._caches.binding(binding_key(manifest))
        binding = found.manifest() if found else None
        outcome = plan(
            manifest, policies=self._policies_for(namespace), binding=binding,
            priority_of_class=self._caches.priority_of_class,
        )  # fmt: skip
        self._remember(key, outcome)
        if outcome.create is not None and binding_key(manifest) in self._removed:
            evidence = await template_evidence(self._caches, outcome.create["spec"]["resource"])
            if evidence.standing is not Standing.PRESENT or evidence.uid != template.uid:
                return 1.0 if evidence.standing is Standing.UNKNOWN else None
        try:
            await self._apply(manifest, binding, outcome)
        except (AlreadyExists, Conflict, NotFound):
            # The cache was late; the event that proves it is on its way.
            return 0.5
        except Invalid as error:
            if binding is None:
                raise
            log.info("binding %s changed meanwhile: %s", binding["metadata"]["name"], error.message)
            return 0.5
        return None

    async def _apply(self, template: Manifest, binding: Manifest | None, outcome: Plan) -> None:
        client = self._caches.client
        if outcome.create is not None:
            namespace = outcome.create["metadata"].get("namespace")
            resource = RESOURCE_BINDINGS if namespace else CLUSTER_RESOURCE_BINDINGS
            created = await client.create(resource, outcome.create, namespace)
            self._learn(created)
            return
        if binding is None:
            return
        operations = outcome.patch
        if outcome.check_owner:
            evidence = await template_evidence(self._caches, binding["spec"]["resource"])
            if evidence.standing is Standing.PRESENT and evidence.uid == template["metadata"]["uid"]:
                operations = [*owner_patch(binding, template), *operations]
            elif evidence.standing is not Standing.UNKNOWN:
                return
        if operations:
            metadata = binding["metadata"]
            resource = RESOURCE_BINDINGS if metadata.get("namespace") else CLUSTER_RESOURCE_BINDINGS
            self._learn(await client.json_patch(resource, metadata["name"], metadata.get("namespace"), operations))

    def _learn(self, binding: Manifest) -> None:
        key: BindingKey = (binding["metadata"].get("namespace") or "", binding["metadata"]["name"])
        self._removed.discard(key)
        self._caches.binding_store(key).learn(binding)

    def _remember(self, key: TemplateKey, outcome: Plan) -> None:
        """Note what policies lost and what is never propagated, for their status."""
        self._forget(key)
        if outcome.claim is None or outcome.claim.winner is None:
            return
        winner = outcome.claim.winner
        text = f"{key[1]} {key[2]}/{key[3]}" if key[2] else f"{key[1]} {key[3]}"
        for loser, _reason in outcome.claim.losers:
            self._lost.add(key, loser.uid, text, f"{winner.kind} {winner.name}")
            self._mark_status_key((loser.kind, loser.namespace, loser.name))
        if outcome.never is not None:
            self._never.add(key, winner.uid, text, outcome.never)
        if outcome.waits is not None:
            self._waits.add(key, winner.uid, text, outcome.waits)
        if outcome.never is not None or outcome.waits is not None:
            self._mark_status_key((winner.kind, winner.namespace, winner.name))

    def _forget(self, key: TemplateKey) -> None:
        self._lost.forget(key)
        self._never.forget(key)
        self._waits.forget(key)

    def _mark_status(self, entry: Cached) -> None:
        self._mark_status_key((_kind(entry), entry.namespace, entry.name))

    def _mark_status_key(self, key: PolicyKey) -> None:
        """A policy's status is written at most once a period; the first time soon, so that errors show at once."""
        since = time.monotonic() - self._status_written.get(key, 0.0)
        self._status_queue.add_after(key, max(1.0, self._settings.policy_status_period - since), lane=Lane.RESYNC)

    async def _write_status(self, key: PolicyKey) -> float | None:
        kind, namespace, name = key
        entry = self._caches.policy(kind, namespace, name)
        if entry is None or entry.deleting:
            self._status_written.pop(key, None)
            return None
        manifest = entry.manifest()
        stored = manifest.get("status") or {}
        bindings = [found.manifest() for found in self._caches.bindings_of_policy(entry.uid)]
        status = policy_status(
            self._caches.judged(entry),
            stored,
            bindings=bindings,
            lost=self._lost.of(entry.uid),
            never=self._never.of(entry.uid),
            waits=self._waits.of(entry.uid),
            now=time.time(),
        )
        if status == stored:
            return None
        self._status_written[key] = time.monotonic()
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": entry.uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            await self._caches.client.json_patch(
                POLICY_KINDS[kind], name, namespace or None, operations, subresource="status"
            )
        except (Invalid, NotFound):
            return 1.0
        return None


def _binding_key(key: TemplateKey) -> BindingKey:
    api_version, kind, namespace, name = key
    return namespace, binding_name(api_version.rpartition("/")[0], kind, namespace, name)


def _kind(policy: Cached) -> str:
    return "PropagationPolicy" if policy.namespace else "ClusterPropagationPolicy"
