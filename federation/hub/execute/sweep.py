"""Objects of ours in members that no binding leads to: removed on evidence, else reported and left (`orphans.py`).

They are looked at when a member connects or answers again, when a copy shows up whose binding does not exist, when a
template goes, and when the hub was resumed; so what was missed once is found at the next of these, also after a restart.
"""

import logging

from federation.api.lines import parse_mark
from federation.api.meta import MARK_ANNOTATION
from federation.hub.caches import HubCaches
from federation.hub.events import Subject, emit
from federation.hub.evidence import template_evidence
from federation.hub.execute.apply import Applier
from federation.hub.execute.causes import swept
from federation.hub.execute.decide import Plan, Step
from federation.hub.execute.orphans import Fate, Verdict, fate
from federation.hub.fleet import Fleet, Member
from federation.hub.history import History
from federation.hub.marks import marked
from federation.hub.timeline import Marked
from federation.kube.errors import ApiError, Conflict, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import Resource
from federation.kube.store import Cached, Change
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)

AGAIN = 2.0
"""Seconds until the next look at an object of which something is unknown."""
HELD = 60.0
"""Seconds until the brake is asked again: no binding could say that a sweep is held, so it goes at the brake's own pace."""
MADE_AGAIN = 1.0
"""Seconds that detect has to make a binding again that was deleted while its template stays."""
ObjectKey = tuple[str, str, str, str, str]
"""(member, apiVersion, kind, namespace, name)"""


class Sweep:
    """The sweep; part of the execute controller."""

    def __init__(self, caches: HubCaches, fleet: Fleet, applier: Applier, history: History) -> None:
        self._caches = caches
        self._fleet = fleet
        self._applier = applier
        self._history = history
        self._queue: WorkQueue[ObjectKey] = WorkQueue()
        self._kept: dict[ObjectKey, str] = {}
        """Objects that stay -> the reason that was told."""

    async def run(self) -> None:
        """Reconcile until cancelled."""
        self._caches.on_template(self._template_changed)
        for store in (self._caches.bindings, self._caches.cluster_bindings):
            store.subscribe(self._binding_changed)
        self._fleet.on_state(self._member_changed)
        self._history.on_marked(self._listed)
        self._history.on_change(self._again)
        self._fleet.ownership.on_change(self._shards_changed)
        await run_workers(self._queue, self._reconcile, workers=4, name="sweep")

    def add(self, member: Member, resource: Resource, copy: Cached, *, after: float = 0.0) -> None:
        """Look at a copy, if no binding leads to it, at once or some seconds later."""
        mark = parse_mark(copy.annotations.get(MARK_ANNOTATION) or "")
        if mark is not None and self._unbound(mark.binding):
            key = (member.name, resource.api_version, resource.kind, copy.namespace, copy.name)
            if after:
                self._queue.add_after(key, after)
            else:
                self._queue.add(key)

    def _unbound(self, binding: str) -> bool:
        namespace, _, name = binding.partition("/")
        return self._caches.binding((namespace, name)) is None

    def _listed(self, member: Member, objects: list[Marked]) -> None:
        for one in objects:
            if self._unbound(one.mark.binding):
                self._queue.add((member.name, one.api_version, one.kind, one.namespace, one.name))

    def _member_changed(self, member: Member) -> None:
        if self._fleet.get(member.name) is not member:
            self._kept = {key: reason for key, reason in self._kept.items() if key[0] != member.name}
        elif member.reachable:
            for resource, copy in member.copies():
                self.add(member, resource, copy)

    def _binding_changed(self, change: Change) -> None:
        """A binding that went may have left copies in members that did not answer, or that its watch had not shown."""
        if change.new is None and change.old is not None:
            reference = change.old.manifest()["spec"]["resource"]
            self._look_for(
                reference["apiVersion"], reference["kind"], reference.get("namespace") or "", reference["name"],
                after=MADE_AGAIN,
            )  # fmt: skip

    def _template_changed(self, resource: Resource, change: Change) -> None:
        if change.new is None and change.old is not None:
            self._look_for(resource.api_version, resource.kind, change.old.namespace, change.old.name)

    def _look_for(self, api_version: str, kind: str, namespace: str, name: str, *, after: float = 0.0) -> None:
        for member in self._fleet:
            copy = member.copy((api_version, kind), namespace, name)
            found = member.resource_of((api_version, kind))
            if copy is not None and found is not None:
                self.add(member, found, copy, after=after)
        group = api_version.rpartition("/")[0]
        for key in self._kept:
            if (key[1].rpartition("/")[0], *key[2:]) == (group, kind, namespace, name):
                self._queue.add(key)

    def _shards_changed(self) -> None:
        """Look at everything in the members that became ours, of kinds that nobody watches too."""
        for member in self._fleet:
            self._member_changed(member)
            self._listed(member, self._history.marked(member))
        self._again()

    def _again(self) -> None:
        for key in self._kept:
            self._queue.add(key)

    async def _reconcile(self, key: ObjectKey) -> float | None:
        member = self._fleet.get(key[0])
        if member is None or not member.reachable or not self._history.knows(member):
            return None  # its return asks again
        if not self._fleet.ownership.owns(member.name):
            return None  # its owner sweeps it; what becomes ours is looked at then
        resource = member.resource_of(key[1:3])
        if resource is None:
            return None
        try:
            found = marked(member.name, resource, await member.client.get(resource, key[4], key[3] or None))
        except NotFound:
            self._kept.pop(key, None)
            return None
        except ApiError as error:
            log.info("%s: %s %s is not known: %s", key[0], key[2], key[4], error)
            return AGAIN
        if found is None or not self._unbound(found.mark.binding) or found.deleting:
            self._kept.pop(key, None)
            return None
        evidence = await template_evidence(self._caches, found.reference, born=found.created)
        ahead = await self._history.still_ahead(found.mark.at)
        verdict = fate(found, hub_id=self._caches.hub_id, record=self._history.record, evidence=evidence, ahead=ahead)
        if verdict.fate is Fate.DELETE:
            return await self._remove(member, resource, found)
        if verdict.fate is Fate.KEEP:
            await self._tell(key, found, verdict)
        return AGAIN if verdict.fate is Fate.ASK else None

    async def _remove(self, member: Member, resource: Resource, found: Marked) -> float | None:
        log.info("%s goes: its template and its binding are gone", found)
        plan = Plan(step=Step.DELETE, uid=found.uid, resource_version=found.resource_version)
        try:
            stopped = await self._applier.delete(
                member, resource, found.namespace or None, found.name, plan, cause=swept(member.name)
            )
        except Conflict:
            return 0.2  # it changed since it was read
        except ApiError as error:
            log.info("%s is not removed yet: %s", found, error)
            return AGAIN
        return HELD if stopped is not None else None

    async def _tell(self, key: ObjectKey, found: Marked, verdict: Verdict) -> None:
        """Report an object that stays, once for each reason."""
        if self._kept.get(key) == verdict.reason:
            return
        self._kept[key] = verdict.reason
        log.warning("stranded: %s: %s: %s", found, verdict.reason, verdict.message)
        subject = Subject(
            api_version=found.api_version, kind=found.kind, namespace=found.namespace, name=found.name,
            uid=found.mark.template_uid,
        )  # fmt: skip
        message = f"the copy in {found.member} has no binding: {verdict.message}"
        await emit(self._caches.client, subject, reason="Stranded", message=message, warning=True, key=verdict.reason)


__all__ = ["Sweep"]
