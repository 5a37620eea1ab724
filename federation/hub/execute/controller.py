"""Makes the members hold what the decision says: one queue item per copy (binding and cluster).

A slow or dead member therefore delays only its own copies. What a step found out goes to the reporter, which writes it
into the binding. Drift is seen through the member's watch and repaired; a field that somebody else keeps rewriting is
left after three overwrites in a minute, and the binding says who.
"""

import asyncio
import logging
import time
from functools import partial

from federation.api.lines import parse_line
from federation.api.meta import LEAVE_ANNOTATION, Manifest
from federation.hub.brake import Brake, Gate
from federation.hub.caches import BindingKey, HubCaches
from federation.hub.evidence import kind_goes
from federation.hub.execute.apply import Applier, Permit
from federation.hub.execute.causes import cause_of
from federation.hub.execute.decide import (
    Identity,
    MemberState,
    Plan,
    Step,
    inputs_stand,
    is_repair,
    mark_of,
    plan_dropped,
    plan_target,
)
from federation.hub.execute.diff import contested, residue
from federation.hub.execute.ending import Endings
from federation.hub.execute.namespaces import Namespaces
from federation.hub.execute.patience import Patience
from federation.hub.execute.permit import permitted
from federation.hub.execute.render import render
from federation.hub.execute.report import Outcome, held_outcome
from federation.hub.execute.reporter import Reporter
from federation.hub.execute.sweep import Sweep
from federation.hub.fleet import Fleet, KindKey, Member
from federation.hub.held import APPROVALS, HELD
from federation.hub.history import History
from federation.hub.settings import Settings
from federation.hub.views import cluster_facts, decision_of, is_divided, leaves_at_once, object_facts, override_facts
from federation.kube.errors import ApiError, Conflict
from federation.kube.fence import Fenced
from federation.kube.queue import Lane, WorkQueue
from federation.kube.resource import CLUSTERS, Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers
from federation.policy.override import OverrideError, OverrideFacts
from federation.policy.selectors import selectors_priority
from federation.policy.suspend import suspended

log = logging.getLogger(__name__)

CopyKey = tuple[str, str, str]
"""(binding namespace, binding name, cluster)"""

ORPHAN_FINALIZER = "orphan"
"""What the API server puts on an object that is deleted with propagationPolicy Orphan."""
_EARLY = frozenset({"NotJoined", "Unknown"})


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
        self._patience = Patience()
        self._kind_goes_of: dict[str, bool] = {}
        """UID of a Cluster that is being deleted -> whether that is because its definition is."""

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
                self._patience.forget((old.namespace, old.name))
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
            self._kind_goes_of.pop(old.uid, None)
        if new is None or (
            old and cluster_facts(old.manifest()) == cluster_facts(new.manifest()) and old.deleting == new.deleting
        ):
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
            self._patience.forget(key[:2])
            return None
        if not self._ownership.owns(key[2]):
            return None
        binding = found.manifest()
        decision = decision_of(binding)
        if decision is None:
            return None
        outcome, again = await self._step(key, binding)
        if outcome is not None and self._ownership.owns(key[2]):
            self._reporter.note(key[:2], key[2], outcome)
        return again

    async def _step(self, key: CopyKey, binding: Manifest) -> tuple[Outcome | None, float | None]:
        """Take one step for one copy: (what it found out, seconds until the next look)."""
        decision = decision_of(binding)
        template = self._caches.template(binding)
        if (
            decision is None
            or template is None
            or template.deleting
            or template.uid != binding["spec"]["resource"]["uid"]
        ):
            return None, None
        cluster, body = key[2], template.manifest()
        entry = self._caches.clusters.get("", cluster)
        identity = Identity(hub_id=self._caches.hub_id, namespace=key[0], name=key[1])
        state = self._member_state(cluster, binding)
        if entry is None and self._fleet.get(cluster) is None:
            # The Cluster object is gone: nothing there is ours to know or to touch any more.
            self._patience.forget(key[:2], cluster)
            return Outcome(epoch=decision.epoch, generation=template.generation, gone=True), None
        # A cluster that leaves keeps its copy until the decision drops it: make before break holds for `leave` as well.
        leaving = entry is None or leaves_at_once(entry.manifest())
        if entry is not None and entry.deleting and await self._kind_goes(entry):
            return None, None
        if cluster not in decision.targets or leaving:
            keep = bool(binding["spec"].get("preserveResourcesOnDeletion")) or (entry is not None and _keeps(entry))
            plan = plan_dropped(identity=identity, member=state, keep=keep)
        else:
            if not inputs_stand(decision, body, binding["spec"].get("scale")):
                return None, None
            if suspended(binding["spec"].get("suspension"), cluster):
                return _outcome(decision.epoch, template, reason="Suspended", message="dispatching is suspended"), None
            try:
                rendering = render(
                    body,
                    cluster=cluster_facts(entry.manifest() if entry else {}),
                    shares=decision.targets if is_divided(decision) else {},
                    overrides=self._overrides(body),
                )
            except OverrideError as error:
                return _outcome(decision.epoch, template, reason="OverrideFailed", message=str(error)), None
            kept = parse_line(((binding.get("status") or {}).get("members") or {}).get(cluster) or "").get("kept", "")
            noted = self._reporter.noted(key[:2], cluster)
            plan = plan_target(
                identity=identity, rendering=rendering, template=body, epoch=decision.epoch, member=state,
                at_least=decision.returned.get(cluster, 0),
                kept=noted.kept if noted and not noted.reason else kept, at=self._history.stamp(),
            )  # fmt: skip
            if plan.step is Step.NOTHING:
                self._patience.known(key[:2], cluster)
                return _outcome(
                    decision.epoch, template, hash=rendering.hash, kept=residue(list(plan.differences))
                ), None
        permit = partial(permitted, epoch=decision.epoch, behind=self._history.behind)
        plan = permit(plan, state.observed)
        return await self._take(key, binding, template, decision.epoch, state, plan, permit)

    async def _take(
        self,
        key: CopyKey,
        binding: Manifest,
        template: Cached,
        epoch: int,
        state: MemberState,
        plan: Plan,
        permit: Permit,
    ) -> tuple[Outcome | None, float | None]:
        now = time.monotonic()
        if plan.step is Step.NOTHING:
            self._patience.forget(key[:2], key[2])
            return Outcome(epoch=epoch, generation=template.generation, gone=True), None
        if plan.step is Step.WAIT and plan.reason in _EARLY and self._patience.early(key[:2], key[2], now=now):
            return None, 0.2
        self._patience.known(key[:2], key[2])
        if plan.step in (Step.WAIT, Step.REFUSE):
            pause = 30.0 if plan.step is Step.REFUSE else {"Unknown": 0.2, "Forbidden": 5.0}.get(plan.reason, 10.0)
            return _outcome(epoch, template, reason=plan.reason, message=plan.message), pause
        member = self._fleet.get(key[2])
        reference = binding["spec"]["resource"]
        if member is None:
            return None, None
        if plan.step is Step.APPLY and state.observed is not None and is_repair(plan, state.observed):
            wait = self._patience.overwrite(key[:2], key[2], now=now)
            if wait is not None:
                message = contested(state.observed, plan.differences)
                return _outcome(epoch, template, reason="Contested", message=message), wait
        body = template.manifest()
        cause = cause_of(
            binding, plan, state.observed, cluster=self._caches.clusters.get("", key[2]),
            policy=self._caches.policy_of(binding),
        )  # fmt: skip
        try:
            result = await self._applier.take(
                member,
                reference,
                plan,
                template=body,
                binding=binding,
                hub_id=self._caches.hub_id,
                cause=cause,
                permit=permit,
            )
        except Fenced:
            return None, 1.0  # our lease is not certain: another process may be about to do it
        except Conflict:
            await self._applier.look_again(member, reference)
            raise  # the queue tries again, slower each time
        except ApiError as error:
            reason, message, again = self._applier.explain(member, reference, error)
            return _outcome(epoch, template, reason=reason, message=message), again
        if result.stopped is not None:
            return held_outcome(result.stopped.change, result.stopped.verdict, epoch, template.generation)
        if result.refused is not None:
            return _outcome(epoch, template, reason=result.refused.reason, message=result.refused.message), 30.0
        if plan.step in (Step.DELETE, Step.UNMARK):
            return None, None  # the watch tells when it is gone
        return _outcome(epoch, template, hash=result.hash, kept=result.kept), None

    async def _kind_goes(self, cluster: Cached) -> bool:
        """Whether a Cluster is deleted only because its definition is: then nobody asked for its copies to go (I21)."""
        if cluster.uid not in self._kind_goes_of:
            self._kind_goes_of[cluster.uid] = await kind_goes(self._caches.client, CLUSTERS)
        return self._kind_goes_of[cluster.uid]

    def _overrides(self, template: Manifest) -> list[OverrideFacts]:
        namespace = template["metadata"].get("namespace") or ""
        return [override_facts(entry.manifest()) for entry in self._caches.overrides_for(namespace)]

    def _member_state(self, cluster: str, binding: Manifest) -> MemberState:
        reference = binding["spec"]["resource"]
        kind = (reference["apiVersion"], reference["kind"])
        member = self._fleet.get(cluster)
        if member is None:
            return MemberState(joined=False, reachable=False, serves=False, knows=False)
        copy = self._copy(member, kind, reference)
        return MemberState(
            joined=True,
            reachable=member.reachable,
            serves=member.resource_of(kind) is not None,
            knows=member.knows(kind) and self._history.knows(member),
            observed=_body(copy, reference) if copy else None,
            error=member.trouble(kind),
        )


def _outcome(
    epoch: int,
    template: Cached,
    *,
    reason: str = "",
    message: str = "",
    hash: str = "",  # noqa: A002 - the word of the line
    kept: str = "",
) -> Outcome:
    return Outcome(epoch=epoch, generation=template.generation, reason=reason, message=message, hash=hash, kept=kept)


def _same_object(old: Cached, new: Cached) -> bool:
    return (old.uid, old.generation, old.labels, old.annotations, old.deleting) == (
        new.uid, new.generation, new.labels, new.annotations, new.deleting,
    )  # fmt: skip


def _keeps(cluster: Cached) -> bool:
    return cluster.deleting and cluster.annotations.get(LEAVE_ANNOTATION) == "keep"


def _concerns(override: OverrideFacts, template: Manifest) -> bool:
    selectors = override.spec.resource_selectors
    return not selectors or selectors_priority(selectors, object_facts(template)) > 0


def _body(copy: Cached, reference: Manifest) -> Manifest:
    manifest = copy.manifest()
    manifest.setdefault("apiVersion", reference["apiVersion"])
    manifest.setdefault("kind", reference["kind"])
    return manifest


__all__ = ["Execute"]
