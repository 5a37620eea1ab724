"""Takes decisions for bindings and writes them; at rest it only asks `trigger()` whether the decision still stands.

Bindings that wait together are decided against one snapshot of the clusters, and what one decision takes is deducted
before the next (assumed replicas), until a newer summary of the member contains it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from federation.api.binding import Decision
from federation.api.lines import parse_mark
from federation.api.meta import MARK_ANNOTATION, Manifest
from federation.api.naming import BindingKey
from federation.api.words import shares_text
from federation.hub.binding_status import CONDITION_TYPES, SCHEDULED, Operations, first_status, next_decision
from federation.hub.caches import HubCaches
from federation.hub.conditions import condition
from federation.hub.events import emit, subject_of
from federation.hub.fleet import Fleet, Member
from federation.hub.policies import Policy, waiting_text
from federation.hub.schedule.assumed import SETTLING, Assumed
from federation.hub.schedule.decide import Answer, Held, decide, describe, held_by_members, presumed
from federation.hub.schedule.ledger import Ledger
from federation.hub.schedule.peers import Peers
from federation.hub.schedule.returning import Returning
from federation.hub.schedule.seen import Seen
from federation.hub.settings import Settings
from federation.hub.views import binding_view, cluster_view, decision_of, lines_of, pin_left, priority_of
from federation.kube.errors import Conflict, Invalid, NotFound
from federation.kube.queue import Lane, WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, CLUSTERS, RESOURCE_BINDINGS, Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers
from federation.policy.lazy import is_due
from federation.policy.suspend import scheduling_suspended
from federation.schedule.divide.assign import DUPLICATED, strategy_of
from federation.schedule.evictions import evictions
from federation.schedule.moves import goal_of
from federation.schedule.snapshot import BindingView, Snapshot

log = logging.getLogger(__name__)


class Schedule:
    """The schedule controller."""

    def __init__(self, caches: HubCaches, fleet: Fleet, settings: Settings) -> None:
        self._caches = caches
        self._fleet = fleet
        self._settings = settings
        self._queue: WorkQueue[BindingKey] = WorkQueue(priority=self._priority)
        self._clusters: Snapshot | None = None
        self._assumed = Assumed(self._counted)
        self._peers = Peers(caches)
        self._ledger = Ledger(Path(settings.ledger)) if settings.ledger else None
        self._returning = Returning(after=settings.return_period)
        self._events: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        caches = self._caches
        await caches.synced()
        for store in (caches.bindings, caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        for store in (caches.policies, caches.cluster_policies):
            store.subscribe(self._policy_changed)
        for store in (caches.overrides, caches.cluster_overrides):
            store.subscribe(self._override_changed)
        caches.clusters.subscribe(self._cluster_changed)
        caches.on_template(self._template_changed)
        self._fleet.on_state(self._member_changed)
        self._fleet.on_object(self._copy_changed)
        try:
            await run_workers(self._queue, self._reconcile, workers=self._settings.workers, name="schedule")
        finally:
            if self._ledger is not None:
                self._ledger.close()

    def _counted(self, cluster: str) -> float:
        member = self._fleet.get(cluster)
        return member.counted_at if member is not None else 0.0

    def _priority(self, key: BindingKey) -> int:
        found = self._caches.binding(key)
        return priority_of(found.manifest()) if found else 0

    def _binding_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        for peer in self._peers.woken(change):
            self._queue.add(peer, lane=Lane.RESYNC)
        if new is None:
            if old is not None:
                self._assumed.forget((old.namespace, old.name))
                self._returning.forget((old.namespace, old.name))
            return
        if old and old.generation == new.generation and old.deleting == new.deleting and not _moves_on(old, new):
            return
        self._queue.add((new.namespace, new.name))

    def _policy_changed(self, change: Change) -> None:
        entry = change.new or change.old
        if entry is None or (change.new and change.old and change.new.generation == change.old.generation):
            return
        # By name: workloads that compete for room are decided in the same order whenever, and by whoever, they are.
        for binding in sorted(self._caches.bindings_of_policy(entry.uid), key=lambda one: one.key):
            self._queue.add((binding.namespace, binding.name))

    def _override_changed(self, change: Change) -> None:
        """A policy that depends on an override policy begins to act when that comes."""
        entry = change.new or change.old
        if entry is None or (change.old and change.new):
            return
        for policy in self._caches.depending(entry):
            for binding in self._caches.bindings_of_policy(policy.uid):
                self._queue.add((binding.namespace, binding.name))

    def _template_changed(self, resource: Resource, change: Change) -> None:
        old, new = change.old, change.new
        if new is None or (old and old.generation == new.generation and new.generation > 0 and old.uid == new.uid):
            return
        key = self._caches.binding_key(resource, new)
        if self._caches.binding(key) is not None:
            self._queue.add(key)

    def _cluster_changed(self, change: Change) -> None:
        """Labels, taints, APIs and the spec of a cluster can all change a verdict; heartbeats that change nothing do not."""
        before = cluster_view(change.old.manifest()) if change.old else None
        after = cluster_view(change.new.manifest()) if change.new else None
        self._clusters = None
        if change.new is None and change.old is not None:
            self._assumed.forget_cluster(change.old.name)
        if before == after:
            return
        for binding in sorted(self._caches.all_bindings(), key=lambda one: one.key):
            self._queue.add((binding.namespace, binding.name), lane=Lane.RESYNC)

    def _member_changed(self, _member: Member) -> None:
        """A member that can be read again may hold copies of bindings that have no decision."""
        for binding in self._caches.all_bindings():
            if not (binding.manifest().get("status") or {}).get("decision"):
                self._queue.add((binding.namespace, binding.name), lane=Lane.RESYNC)

    def _copy_changed(self, _member: Member, _resource: Resource, change: Change) -> None:
        """A copy that was written for a later decision than the one in force: the hub forgot decisions (decision 0005)."""
        old, new = change.old, change.new
        if new is None or (
            old is not None and old.annotations.get(MARK_ANNOTATION) == new.annotations.get(MARK_ANNOTATION)
        ):
            return  # most events are about a copy's status: none of them is worth decoding a binding
        mark = parse_mark(new.annotations.get(MARK_ANNOTATION) or "")
        if mark is None:
            return
        namespace, _, name = mark.binding.partition("/")
        found = self._caches.binding((namespace, name))
        decision = decision_of(found.manifest()) if found is not None else None
        if decision is not None and mark.epoch > decision.epoch:
            self._queue.add((namespace, name))

    def _snapshot(self) -> Snapshot:
        if self._clusters is None:
            entries = sorted(self._caches.clusters.values(), key=lambda entry: entry.name)
            self._clusters = Snapshot(cluster_view(entry.manifest()) for entry in entries)
        return self._clusters

    async def _reconcile(self, key: BindingKey) -> float | None:
        found = self._caches.binding(key)
        if found is None or found.deleting:
            return None
        if self._caches.definition_ends(CLUSTERS):
            return None  # clusters that go with their definition are no reason to move anything (I21)
        binding = found.manifest()
        template = self._caches.template(binding)
        reference = binding["spec"]["resource"]
        if template is None or template.uid != reference["uid"] or template.deleting:
            # Gone, not yet seen, or made anew under another UID: detect and the garbage collector go first.
            return None
        policy, due = self._policy_in_force(binding, template)
        if due or (policy is None and decision_of(binding) is None):
            # Detect is about to put the policy in force; or nothing says where it goes.
            return None
        held = self._held(binding)
        if held is None:
            return 0.2
        now = time.time()
        view = binding_view(binding, template.manifest(), policy, now=now)
        if held.epoch > 0:
            view = replace(view, previous=None)
        if view.previous is None:
            view = replace(view, held=self._presumed(held, view, template).replicas)
        view = self._peers.view(view, binding)
        clusters = self._snapshot()
        evicting, left = evictions(view, clusters, now=now)
        view = replace(view, evicting=evicting, seen=Seen(self._fleet, reference))
        assumed = self._assumed.by_cluster(clusters)
        back = self._returning.wait(key, view, clusters, assumed)
        view = replace(view, returning=back is not None and back <= 0)
        suspended = scheduling_suspended(binding["spec"].get("suspension"))
        taken = decide(view, clusters, assumed, suspended=suspended)
        # Room that was deducted comes back when a summary is found true, which need not change it: nothing would tell.
        deducted = SETTLING if taken.error is not None and not suspended and any(assumed.values()) else None
        waits = (left, pin_left(binding, now=now), back, deducted)
        again = min((one for one in waits if one is not None and one > 0), default=None)
        answer = _after(taken, held, drifted=bool((binding.get("status") or {}).get("decision")))
        operations = _operations(binding, answer, view, now=now)
        if not operations:
            return again
        try:
            await self._write(key, operations, view, answer.decision)
        except NotFound:
            return None
        except (Conflict, Invalid) as error:
            log.info("decision for %s came late: %s", key, error.message)
            return 0.2
        if answer.decision is not None or answer.error is not None:
            self._tell(binding, answer, view.previous)
            if self._ledger is not None:
                named = _policy_text(binding)
                self._ledger.write(view, clusters, assumed, taken, policy=named, suspended=suspended)
        return again

    def _policy_in_force(self, binding: Manifest, template: Cached) -> tuple[Policy | None, bool]:
        """(the policy to schedule by, whether it is about to be put in force).

        Where it is not in force (it is gone or invalid, or waits), what the last decision was taken by goes on to hold.
        """
        found, reference = self._caches.policy_of(binding), binding["spec"].get("policy") or {}
        if found is None or found.uid != reference.get("uid"):
            return None, False
        policy = self._caches.judged(found)
        if policy.decides(reference):
            return policy, False
        return None, policy.acts and is_due(reference, template.manifest())

    def _held(self, binding: Manifest) -> Held | None:
        """What members hold for a binding that has no decision, or an older one than they remember.

        None while a member that answers is still being read and there is no decision.
        """
        decision = decision_of(binding)
        reference = binding["spec"]["resource"]
        kind = (reference["apiVersion"], reference["kind"])
        self._fleet.want([kind])
        copies: dict[str, Cached] = {}
        for member in self._fleet:
            if not member.reachable or member.trouble(kind):
                # What we may not even read there we cannot have written; what is away is looked at when it returns.
                continue
            if not member.knows(kind):
                if decision is not None:
                    continue
                return None
            copy = member.copy(kind, reference.get("namespace") or "", reference["name"])
            if copy is not None:
                copies[member.name] = copy
        marks = (parse_mark(copy.annotations.get(MARK_ANNOTATION) or "") for copy in copies.values())
        if decision is not None and all(mark is None or mark.epoch <= decision.epoch for mark in marks):
            return Held(replicas={}, epoch=0)
        held = held_by_members(binding, {name: copy.manifest() for name, copy in copies.items()})
        return held if decision is None or held.epoch > decision.epoch else Held(replicas={}, epoch=0)

    def _presumed(self, held: Held, view: BindingView, template: Cached) -> Held:
        """With the shares of members that cannot be asked, where the template was placed before: marks or its status say so."""
        if not held.replicas and not (template.manifest().get("status") or {}):
            return held
        joined = self._fleet.expected()
        away = [name for name in sorted(joined) if (member := self._fleet.get(name)) is None or not member.reachable]
        divided = strategy_of(view.placement.replica_scheduling) != DUPLICATED
        return presumed(held, wanted=view.replicas, divided=divided, away=away)

    async def _write(
        self, key: BindingKey, operations: Operations, view: BindingView, decision: Decision | None
    ) -> None:
        """Write an answer. What a decision takes counts at once: others are decided while the write is on its way."""
        resource = RESOURCE_BINDINGS if key[0] else CLUSTER_RESOURCE_BINDINGS
        try:
            with self._peers.writing(key, decision), self._assumed.taking(key, view, decision):
                written = await self._caches.client.json_patch(
                    resource, key[1], key[0] or None, operations, subresource="status"
                )
                self._caches.binding_store(key).learn(written)
        finally:
            if self._caches.binding(key) is None:
                self._assumed.forget(key)

    def _tell(self, binding: Manifest, answer: Answer, previous: Decision | None) -> None:
        """One Event on the template and one on the binding; not awaited, so that they are on nobody's path."""
        decision = answer.decision
        if decision is not None:
            left = previous is not None and _left(previous.targets, decision.targets)
            reason = "Evicting" if decision.moves else "Moved" if left else "Placed"
            text = shares_text(decision.targets)
            leaving = ", ".join(sorted({move.from_ for move in decision.moves}))
            message, warning, mark = f"{decision.trigger}: {text}", False, str(decision.epoch)
            if leaving:
                message += f"; {leaving} gives its share up as soon as the new one is available"
        else:
            reason, message, warning, mark = "Refused", answer.error.message if answer.error else "", True, ""
        for subject in (subject_of(binding, template=True), subject_of(binding, template=False)):
            task = asyncio.create_task(
                emit(self._caches.client, subject, reason=reason, message=message, warning=warning, key=mark)
            )
            self._events.add(task)
            task.add_done_callback(self._events.discard)


def _policy_text(binding: Manifest) -> str:
    named = binding["spec"].get("policy") or {}
    place = f"{named['namespace']}/" if named.get("namespace") else ""
    return f"{named.get('kind')} {place}{named.get('name')}" if named else ""


def _after(answer: Answer, held: Held, *, drifted: bool) -> Answer:
    """Number a decision above every epoch that members remember, so that epochs never repeat.

    `drifted`: it replaces a decision that is older than what they remember.
    """
    decision = answer.decision
    if decision is None or held.epoch == 0:
        return answer
    named = {"trigger": "DriftFromExpectation"} if drifted else {}
    return Answer(decision=decision.model_copy(update={"epoch": max(decision.epoch, held.epoch + 1), **named}))


def _moves_on(old: Cached, new: Cached) -> bool:
    """Whether the members' lines changed while moves are open: what became available may let the next step be taken."""
    binding = new.manifest()
    moves = ((binding.get("status") or {}).get("decision") or {}).get("moves")
    return bool(moves) and lines_of(binding) != lines_of(old.manifest())


def _operations(binding: Manifest, answer: Answer, view: BindingView, *, now: float) -> Operations:
    """The patch that stores an answer; empty when the status says it already."""
    status = binding.get("status") or {}
    laid_out = len(status.get("conditions") or []) == len(CONDITION_TYPES)
    previous = status["conditions"][SCHEDULED] if laid_out else None
    words = describe(answer, view)
    words["message"] = words["message"] or waiting_text(binding["spec"].get("policy") or {})
    scheduled = condition(previous, generation=binding["metadata"]["generation"], now=now, **words)
    decision, wanted = answer.decision, status.get("wanted") or 0
    raw = decision.model_dump(by_alias=True, exclude_none=True, mode="json") if decision is not None else None
    if decision is not None:
        goal = goal_of(decision)
        wanted = sum(goal.values()) if view.replicas is not None else len(goal)
    if not laid_out:
        return first_status(binding, decision=raw, scheduled=scheduled, wanted=wanted, now=now)
    return next_decision(binding, decision=raw, scheduled=scheduled, wanted=wanted)


def _left(before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    return any(name not in after for name in before)
