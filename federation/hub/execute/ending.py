"""The end of a binding: copies go, or stay unmarked, only on proof that the template is gone (DESIGN section 4).

Cases, by a quorum read of the template: gone or terminating: copies are deleted (unmarked where the user asked to keep
them, or orphaned the template); present: the binding was deleted by hand, its finalizer goes and no copy is touched; the
kind is no longer defined: the binding goes, the copies stay.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from federation.api.lines import parse_line
from federation.api.meta import FINALIZER, Manifest
from federation.api.naming import short_hash
from federation.hub.caches import BindingKey, HubCaches
from federation.hub.events import Subject, emit
from federation.hub.evidence import Evidence, Standing, template_evidence
from federation.hub.execute.apply import Applier
from federation.hub.execute.causes import ended
from federation.hub.execute.decide import Identity, MemberState, Step, plan_dropped
from federation.hub.execute.report import Outcome, held_outcome
from federation.hub.fleet import Fleet, KindKey, Member
from federation.kube.errors import ApiError, Conflict, Invalid, NotFound
from federation.kube.queue import WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)


AGAIN, ASKED, COLLECTED = 0.3, 5.0, 3.0
"""Seconds until the next look at copies that are still there, until a copy that did not go is asked again, and that the
hub's garbage collector has for a binding whose template is gone."""
STOPPED = 30.0
"""Seconds until a copy is looked at again that the brake holds: an approval comes sooner, by its watch."""
_NEVER_WRITTEN = frozenset({"Forbidden", "KindMissing"})


def may_hold(line: str) -> bool:
    """Whether a member with this line may hold a copy: not where every write was refused before there was one.

    Without this, a kind that a member does not let us read would keep the binding of a deleted template for ever.
    """
    fields = parse_line(line)
    return "for" in fields or "uid" in fields or fields.get("reason") not in _NEVER_WRITTEN


class Endings:
    """Ends bindings whose template is gone."""

    def __init__(
        self, caches: HubCaches, fleet: Fleet, applier: Applier, *, note: Callable[[BindingKey, str, Outcome], None]
    ) -> None:
        """`note`: tell the reporter what became of a copy."""
        self._caches = caches
        self._fleet = fleet
        self._applier = applier
        self._note = note
        self._queue: WorkQueue[BindingKey] = WorkQueue()
        self._asked: dict[BindingKey, dict[tuple[str, str], float]] = {}
        """Binding -> (member, UID of a copy) -> when it was asked to go."""
        self._held: dict[BindingKey, float] = {}
        """Bindings of which every copy that is left is held by the brake, and since when."""
        self._orphaned: set[str] = set()
        """UIDs of templates that were deleted leaving orphans."""

    def add(self, key: BindingKey) -> None:
        """Look at a binding that is being deleted, or that lost its owner or its template."""
        self._queue.add(key)

    def add_held(self, key: BindingKey) -> None:
        """Look at a binding again whose copies the brake held: something was approved."""
        if self._held.pop(key, None) is not None:
            self._queue.add(key)

    def note_orphaned(self, template_uid: str) -> None:
        """A template is deleted leaving orphans, as its own finalizer says.

        Usually the owner reference that the garbage collector takes off the binding tells it; but that does nothing for
        bindings in the half minute after our kinds were installed on a hub.
        """
        self._orphaned.add(template_uid)

    def add_later(self, key: BindingKey) -> None:
        """Look at a binding whose template is gone, if the hub's garbage collector has not deleted it meanwhile.

        It learns of a kind that is new on the hub only after half a minute.
        """
        self._queue.add_after(key, COLLECTED)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await run_workers(self._queue, self._reconcile, workers=8, name="ending")

    async def _reconcile(self, key: BindingKey) -> float | None:
        found = self._caches.binding(key)
        if found is None or (found.deleting and FINALIZER not in found.finalizers):
            self._asked.pop(key, None)
            return None
        if not self._fleet.ownership.held:
            return None  # another process ends it; with our first shard everything is looked at
        binding = found.manifest()
        if found.deleting and self._nothing_left(key, binding):
            await self._release(key, binding)
            return None
        if found.deleting and self._all_asked(key, binding):
            return AGAIN
        if time.monotonic() - self._held.get(key, -STOPPED) < STOPPED:
            return STOPPED
        evidence = await template_evidence(self._caches, binding["spec"]["resource"])
        orphaned = not found.owners or binding["spec"]["resource"]["uid"] in self._orphaned
        if evidence.standing is Standing.UNKNOWN:
            return 1.0
        if evidence.standing is Standing.UNDEFINED:
            await self._strand(key, binding)
            return None
        if evidence.standing is Standing.PRESENT:
            return await self._still_wanted(key, binding, evidence, deleting=found.deleting)
        if evidence.standing is Standing.TERMINATING and not found.deleting:
            return AGAIN  # the garbage collector is about to let the template go, or the binding
        keep = orphaned or bool(binding["spec"].get("preserveResourcesOnDeletion"))
        if not await self._clear(key, binding, keep=keep):
            return STOPPED if key in self._held else AGAIN
        await self._release(key, binding)
        return None

    def _nothing_left(self, key: BindingKey, binding: Manifest) -> bool:
        """Whether every member that may hold a copy is known to hold none: then nothing is left to prove."""
        reference = binding["spec"]["resource"]
        kind: KindKey = (reference["apiVersion"], reference["kind"])
        concerned = self._concerned(binding)
        own = short_hash(f"{key[0]}/{key[1]}")
        for member in self._fleet:
            if member.copies_of(kind, own) or (member.name in concerned and not member.knows(kind)):
                return False
        return not self._unconnected(concerned)

    def _all_asked(self, key: BindingKey, binding: Manifest) -> bool:
        """Whether every copy that is left was asked to go a moment ago: then only the members' watches have news.

        Nothing is proven again for it (decision 0003): the next DELETE, if one is needed, is.
        """
        reference = binding["spec"]["resource"]
        own = short_hash(f"{key[0]}/{key[1]}")
        asked, now = self._asked.get(key, {}), time.monotonic()
        left = [
            (member.name, copy.uid)
            for member in self._fleet
            for copy in member.copies_of((reference["apiVersion"], reference["kind"]), own)
        ]
        owns = self._fleet.ownership.owns
        return bool(left) and all(now - asked.get(copy, -ASKED) < ASKED or not owns(copy[0]) for copy in left)

    def _concerned(self, binding: Manifest) -> set[str]:
        """Clusters that may hold a copy: all that were decided or have a line, but where nothing could be written."""
        status = binding.get("status") or {}
        lines: dict[str, str] = status.get("members") or {}
        targets = (status.get("decision") or {}).get("targets") or {}
        return {name for name in {*lines, *targets} if name not in lines or may_hold(lines[name])}

    def _unconnected(self, concerned: set[str]) -> list[str]:
        """Clusters that may hold a copy, still exist, and cannot be asked."""
        connected = {member.name for member in self._fleet}
        return [name for name in concerned - connected if self._caches.clusters.get("", name) is not None]

    async def _still_wanted(
        self, key: BindingKey, binding: Manifest, evidence: Evidence, *, deleting: bool
    ) -> float | None:
        if not deleting:
            return None  # detect gives the owner reference back
        if evidence.namespace_ends:
            return 0.5  # the template goes too; then there is proof
        await self._release(key, binding)
        return None

    async def _clear(self, key: BindingKey, binding: Manifest, *, keep: bool) -> bool:
        """Take one step for every copy; True once no member holds one."""
        reference = binding["spec"]["resource"]
        kind: KindKey = (reference["apiVersion"], reference["kind"])
        self._fleet.want([kind])
        concerned = self._concerned(binding)
        held: set[str] = set()
        members = list(self._fleet)
        # At the same time: a member that is slow to answer holds up nobody else's copies.
        cleared = await asyncio.gather(
            *(
                self._clear_member(member, key, binding, keep=keep, concerned=member.name in concerned, held=held)
                for member in members
            )
        )
        left = {member.name for member, done in zip(members, cleared, strict=True) if not done}
        if left and left <= held:
            self._held[key] = time.monotonic()
        else:
            self._held.pop(key, None)
        return not left and not self._unconnected(concerned)

    async def _clear_member(
        self, member: Member, key: BindingKey, binding: Manifest, *, keep: bool, concerned: bool, held: set[str]
    ) -> bool:
        """Whether nothing of the binding is left in the member. Adds it to `held` if the brake holds what is."""
        reference = binding["spec"]["resource"]
        kind: KindKey = (reference["apiVersion"], reference["kind"])
        identity = Identity(hub_id=self._caches.hub_id, namespace=key[0], name=key[1])
        copies = member.copies_of(kind, short_hash(identity.binding))
        if not copies:
            # Absence counts only where the copies can be read; a cluster that never had one holds nobody up.
            return not concerned or member.knows(kind)
        if not self._fleet.ownership.owns(member.name):
            return False
        for copy in copies:
            observed = copy.manifest()
            observed.setdefault("apiVersion", kind[0])
            observed.setdefault("kind", kind[1])
            state = MemberState(joined=True, reachable=member.reachable, serves=True, knows=True, observed=observed)
            plan = plan_dropped(identity=identity, member=state, keep=keep)
            if plan.step in (Step.DELETE, Step.UNMARK):
                try:
                    result = await self._applier.take(
                        member, reference, plan, template=observed, binding=binding, hub_id=self._caches.hub_id,
                        cause=ended(binding),
                    )  # fmt: skip
                except ApiError as error:
                    log.info("%s: copy of %s not removed yet: %s", member.name, identity.binding, error)
                    continue
                if result.stopped is None:
                    self._asked.setdefault(key, {})[member.name, copy.uid] = time.monotonic()
                    self._note(key, member.name, Outcome(epoch=0, generation=0, gone=True))
                    continue
                outcome, _ = held_outcome(result.stopped.change, result.stopped.verdict, 0, 0)
                if outcome is not None:
                    held.add(member.name)
                    self._note(key, member.name, outcome)
            elif plan.step is Step.NOTHING:
                return True
        return False

    async def _strand(self, key: BindingKey, binding: Manifest) -> None:
        """The kind itself is gone from the hub: let the binding go (or its namespace could not), and touch no copy.

        The copies keep their marks, so they are taken up again when the kind and the template return.
        """
        reference = binding["spec"]["resource"]
        members = sorted((binding.get("status") or {}).get("members") or {})
        message = (
            f"{reference['kind']} is no longer defined on the hub; the copies of {reference['name']} in"
            f" {', '.join(members) or 'no member'} stay as they are, and are taken up again when kind and object return"
        )
        log.warning("binding %s: %s", key, message)
        subject = Subject(
            api_version=reference["apiVersion"], kind=reference["kind"], namespace=reference.get("namespace") or "",
            name=reference["name"], uid=reference["uid"],
        )  # fmt: skip
        await emit(self._caches.client, subject, reason="Stranded", message=message, warning=True)
        await self._release(key, binding)

    async def _release(self, key: BindingKey, binding: Manifest) -> None:
        """Let the binding go: take our finalizer off, and delete it if nobody has yet."""
        client, resource = self._caches.client, RESOURCE_BINDINGS if key[0] else CLUSTER_RESOURCE_BINDINGS
        self._orphaned.discard(binding["spec"]["resource"]["uid"])
        self._asked.pop(key, None)
        self._held.pop(key, None)
        metadata = binding["metadata"]
        index = metadata["finalizers"].index(FINALIZER) if FINALIZER in metadata.get("finalizers", []) else None
        try:
            if index is not None:
                path = f"/metadata/finalizers/{index}"
                released = await client.json_patch(
                    resource,
                    key[1],
                    key[0] or None,
                    [{"op": "test", "path": path, "value": FINALIZER}, {"op": "remove", "path": path}],
                )
                metadata = released["metadata"]
            if "deletionTimestamp" not in metadata:
                await client.delete(resource, key[1], key[0] or None, uid=metadata["uid"])
        except (NotFound, Conflict):
            return
        except Invalid as error:
            log.info("binding %s changed meanwhile: %s", key, error.message)
            self._queue.add_after(key, 0.2)
