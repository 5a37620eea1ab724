"""Follows policies and the templates that they can select; keeps one binding per claimed template.

A binding that disappears is made again while a policy claims its template; a template that is gone is left to the
garbage collector, which ends its binding through the owner reference.
"""

import asyncio
import logging

from federation.api.meta import Manifest
from federation.api.naming import BindingKey, binding_key
from federation.hub.caches import BY_NAMESPACE, POLICY_KINDS, HubCaches
from federation.hub.detect.decide import Plan, key_of, owner_patch, plan
from federation.hub.detect.notes import Notes, PolicyKey, TemplateKey
from federation.hub.detect.overrides import Overrides
from federation.hub.detect.policy_status import Found, policy_status
from federation.hub.detect.statuses import Statuses
from federation.hub.evidence import Standing, template_evidence
from federation.hub.policies import Policy
from federation.hub.settings import Settings
from federation.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS, Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers
from federation.policy.claim import CLUSTER_KIND, NAMESPACED_KIND, PolicyFacts, preempts

log = logging.getLogger(__name__)


class Detect:
    """The detect controller."""

    def __init__(self, caches: HubCaches, settings: Settings) -> None:
        self._caches = caches
        self._settings = settings
        self._queue: WorkQueue[TemplateKey] = WorkQueue()
        self._lost, self._preempted, self._never, self._waiting = Notes(), Notes(), Notes(), Notes()
        """What there is to say of templates to the policies that select them."""
        self._removed: set[BindingKey] = set()
        """Bindings that went while the cache has their template: it may be late, so it is asked for before one is made again."""
        self._statuses = Statuses(
            caches.client, settings,
            {
                NAMESPACED_KIND: (POLICY_KINDS[NAMESPACED_KIND], caches.policies),
                CLUSTER_KIND: (POLICY_KINDS[CLUSTER_KIND], caches.cluster_policies),
            },
            self._status, complete=lambda: not len(self._queue) and caches.templates_listed,
        )  # fmt: skip
        self._overrides = Overrides(caches, settings)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        caches = self._caches
        await caches.synced()
        caches.on_template(self._template_changed)
        for store in (caches.policies, caches.cluster_policies):
            store.subscribe(self._policy_changed)
        for store in (caches.overrides, caches.cluster_overrides):
            store.subscribe(self._override_changed)
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        caches.priority_classes.subscribe(self._priority_class_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                run_workers(self._queue, self._reconcile, workers=self._settings.workers, name="detect"), name="detect"
            )
            group.create_task(self._statuses.run("policy-status"), name="policy-status")
            group.create_task(self._overrides.run(), name="overrides")

    def _template_changed(self, resource: Resource, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None:
            return
        key = (resource.api_version, resource.kind, entry.namespace, entry.name)
        relabelled = not (old and new and (old.labels, old.deleting, old.uid) == (new.labels, new.deleting, new.uid))
        # Which policy claims an object follows from its labels alone; its numbers are read by schedule.
        if relabelled or self._waiting.knows(key):
            self._queue.add(key)

    def _policy_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None or (old and new and old.generation == new.generation and old.deleting == new.deleting):
            return
        for one in (new, old):
            if one is not None:
                self._reconsider(one)
        if new is not None:
            self._statuses.mark(_key(entry))
        else:
            self._statuses.forget(_key(entry))

    def _override_changed(self, change: Change) -> None:
        """One that comes lets the policies act that depend on it; one that goes stops them."""
        entry = change.new or change.old
        if entry is None or (change.old and change.new):
            return
        for policy in self._caches.depending(entry):
            self._reconsider(policy)
            self._statuses.mark(_key(policy))

    def _priority_class_changed(self, change: Change) -> None:
        entry = change.new or change.old
        for policy in self._caches.all_policies():
            asked = self._caches.judged(policy).spec.schedule_priority
            if entry is not None and asked is not None and asked.priority_class_name == entry.name:
                self._reconsider(policy)

    def _reconsider(self, policy: Cached) -> None:
        """Look again at everything that a policy selects or claims, by name: what competes for room is decided in that order."""
        for binding in sorted(self._caches.bindings_of_policy(policy.uid), key=lambda one: one.key):
            self._queue.add(_template_key(binding.manifest()))
        namespace = policy.namespace
        for selector in (policy.manifest().get("spec") or {}).get("resourceSelectors") or []:
            api_version, kind = selector.get("apiVersion") or "", selector.get("kind") or ""
            place, name = namespace or selector.get("namespace") or "", selector.get("name") or ""
            store = self._caches.template_store(api_version, kind)
            if store is None:
                continue
            if place and name:
                self._queue.add((api_version, kind, place, name))
                continue
            for entry in sorted(store.values(), key=lambda one: one.key):
                if place in ("", entry.namespace) and name in ("", entry.name):
                    self._queue.add((api_version, kind, entry.namespace, entry.name))

    def _binding_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        entry = new or old
        if entry is None:
            return
        manifest = entry.manifest()
        if new is None and self._caches.template(manifest) is not None:
            self._removed.add((entry.namespace, entry.name))
        self._mark_policy(manifest)
        if old and new and old.generation != new.generation:
            self._mark_policy(old.manifest())
        if (
            old
            and new
            and old.generation == new.generation
            and old.deleting == new.deleting
            and old.owners == new.owners
        ):
            return
        self._queue.add(_template_key(manifest))

    def _mark_policy(self, binding: Manifest) -> None:
        policy = binding["spec"].get("policy")
        if policy:
            self._statuses.mark((policy["kind"], policy.get("namespace") or "", policy["name"]))

    def _policies_for(self, namespace: str) -> list[Policy]:
        own = self._caches.policies.by_index(BY_NAMESPACE, namespace) if namespace else []
        entries = [*own, *self._caches.cluster_policies.values()]
        return [self._caches.judged(entry) for entry in entries if not entry.deleting]

    async def _reconcile(self, key: TemplateKey) -> float | None:
        api_version, kind, namespace, name = key
        store = self._caches.template_store(api_version, kind)
        template = store.get(namespace, name) if store else None
        if template is None:
            self._remember(key, Plan())
            self._removed.discard(binding_key(*key))
            return None
        manifest = template.manifest()
        found = self._caches.binding(key_of(manifest))
        binding = found.manifest() if found else None
        lost = key_of(manifest) in self._removed
        outcome = plan(
            manifest, policies=self._policies_for(namespace), binding=binding, lost=lost,
            priority_of_class=self._caches.priority_of_class,
        )  # fmt: skip
        self._remember(key, outcome)
        if outcome.create is not None and lost:
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
        """Note for the status of policies: what they lost or took, what is never propagated, what waits."""
        touched = self._forget(key)
        if outcome.claim is not None and outcome.claim.winner is not None:
            winner, losers = outcome.claim.winner, outcome.claim.losers
            text = f"{key[1]} {key[2]}/{key[3]}" if key[2] else f"{key[1]} {key[3]}"
            taken = ", ".join(str(loser) for loser, _ in losers if preempts(winner, loser))
            notes = [(self._lost, _key(loser), reason) for loser, reason in losers]
            own = ((self._preempted, taken), (self._never, outcome.never), (self._waiting, outcome.waiting))
            notes += [(about, _key(winner), value) for about, value in own if value]
            for about, policy, value in notes:
                about.add(key, policy, text, value)
            touched |= {policy for _, policy, _ in notes}
        for policy in touched:
            self._statuses.mark(policy)

    def _forget(self, key: TemplateKey) -> set[PolicyKey]:
        return set().union(*(one.forget(key) for one in (self._lost, self._preempted, self._never, self._waiting)))

    def _status(self, entry: Cached, stored: Manifest, now: float) -> Manifest:
        bindings = [found.manifest() for found in self._caches.bindings_of_policy(entry.uid)]
        key = _key(entry)
        found = Found(
            lost=self._lost.of(key), preempted=self._preempted.of(key), never=self._never.of(key),
            waiting=self._waiting.of(key),
        )  # fmt: skip
        return policy_status(self._caches.judged(entry), stored, bindings=bindings, found=found, now=now)


def _template_key(binding: Manifest) -> TemplateKey:
    resource = binding["spec"]["resource"]
    return resource["apiVersion"], resource["kind"], resource.get("namespace") or "", resource["name"]


def _key(policy: Cached | PolicyFacts) -> PolicyKey:
    return NAMESPACED_KIND if policy.namespace else CLUSTER_KIND, policy.namespace, policy.name
