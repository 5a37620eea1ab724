"""The end of a binding: copies go, or stay unmarked, only on proof that the template is gone (DESIGN section 4).

Cases, by a quorum read of the template: gone or terminating: copies are deleted (unmarked where the user asked to keep
them, or orphaned the template); present: the binding was deleted by hand, its finalizer goes and no copy is touched; the
kind is no longer defined: the binding goes, the copies stay.

The finalizer waits for the members that answer: each that may hold a copy is read once more before it goes, as a watch may
be frozen or late (Karmada leaks there, E3). Copies in a member that is away are swept when it returns (`sweep.py`); only
copies that are to be kept make the finalizer wait for it too, as nothing else would remember that wish.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from federation.api.lines import parse_line
from federation.api.meta import FINALIZER, Manifest
from federation.api.naming import BindingKey, short_hash
from federation.hub.caches import HubCaches
from federation.hub.events import Subject, emit
from federation.hub.evidence import Evidence, Standing, template_evidence
from federation.hub.execute.apply import Applier
from federation.hub.execute.causes import ended
from federation.hub.execute.decide import Identity, MemberState, Step, is_ours, plan_dropped
from federation.hub.execute.permit import permitted
from federation.hub.execute.report import Outcome, held_outcome
from federation.hub.fleet import Fleet, KindKey, Member
from federation.hub.held import HELD
from federation.hub.history import History
from federation.hub.views import lines_of
from federation.kube.errors import ApiError, Conflict, Invalid, NotFound, Unavailable
from federation.kube.queue import WorkQueue
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS
from federation.kube.workers import run_workers

log = logging.getLogger(__name__)


AGAIN, ASKED, COLLECTED, AWAY = 0.3, 5.0, 3.0, 5.0
"""Seconds until the next look at copies that are still there, until a copy that did not go is asked again, that the hub's
garbage collector has for a binding whose template is gone, and between two looks at a member that is away."""
STOPPED = 30.0
"""Seconds until a copy is looked at again that the brake holds: an approval comes sooner, by its watch."""
Copy = tuple[Member, Manifest]
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
        self, caches: HubCaches, fleet: Fleet, applier: Applier, history: History,
        *, note: Callable[[BindingKey, str, Outcome], None],
    ) -> None:  # fmt: skip
        """`note`: tell the reporter what became of a copy."""
        self._caches = caches
        self._fleet = fleet
        self._history = history
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
        orphaned = not found.owners or binding["spec"]["resource"]["uid"] in self._orphaned
        keep = orphaned or bool(binding["spec"].get("preserveResourcesOnDeletion"))
        waits = keep and self._away(binding)
        left = self._copies(key, binding)
        if found.deleting and not left:
            hidden = await self._hidden(key, binding)
            if hidden is None:
                return AGAIN
            if not hidden and not waits:
                await self._release(key, binding)  # nothing is left to prove (decision 0003)
                return None
            left = hidden
        if found.deleting and self._all_asked(key, left):
            return AGAIN
        if time.monotonic() - self._held.get(key, -STOPPED) < STOPPED:
            return STOPPED
        evidence = await template_evidence(
            self._caches, binding["spec"]["resource"], born=binding["metadata"].get("creationTimestamp") or ""
        )
        if evidence.standing is Standing.UNKNOWN:
            return 1.0
        if evidence.standing is Standing.UNDEFINED:
            await self._strand(key, binding)
            return None
        if evidence.standing is Standing.PRESENT:
            return await self._still_wanted(key, binding, evidence, deleting=found.deleting)
        if evidence.standing is Standing.TERMINATING and not found.deleting:
            return AGAIN  # the garbage collector is about to let the template go, or the binding
        return await self._clear(key, binding, left, keep=keep)

    async def _clear(self, key: BindingKey, binding: Manifest, left: list[Copy], *, keep: bool) -> float | None:
        """The template is gone: take one step for every copy; the binding goes once no member that answers holds one."""
        if self._history.behind is not None:
            return AWAY  # nothing goes until a human looked (decision 0005)
        hidden = left or await self._hidden(key, binding)
        if hidden is None:
            return AGAIN
        if hidden:
            # At the same time: a member that is slow to answer holds up nobody else's copies.
            held = await asyncio.gather(
                *(self._take_away(member, key, binding, copy, keep=keep) for member, copy in hidden)
            )
            if not all(held):
                self._held.pop(key, None)
                return AGAIN
            self._held[key] = time.monotonic()
            return STOPPED
        if keep and self._away(binding):
            return AWAY
        await self._release(key, binding)
        return None

    def _copies(self, key: BindingKey, binding: Manifest) -> list[Copy]:
        """The copies in members that answer, as the watches show them."""
        reference = binding["spec"]["resource"]
        kind: KindKey = (reference["apiVersion"], reference["kind"])
        self._fleet.want([kind])
        own = short_hash(f"{key[0]}/{key[1]}")
        found = ((member, copy) for member in self._fleet if member.reachable for copy in member.copies_of(kind, own))
        ours = ((member, copy.manifest()) for member, copy in found)
        return [(member, manifest) for member, manifest in ours if is_ours(manifest, self._identity(key))]

    async def _hidden(self, key: BindingKey, binding: Manifest) -> list[Copy] | None:
        """What the members that answer hold although the watches show nothing, by quorum reads; None: not known yet."""
        concerned = self._concerned(binding)
        members = [member for member in self._fleet if member.name in concerned and member.reachable]
        answers = await asyncio.gather(*(self._read(member, binding) for member in members), return_exceptions=True)
        found: list[Copy] = []
        for member, answer in zip(members, answers, strict=True):
            if isinstance(answer, ApiError):
                log.info("%s: whether it holds a copy of %s is not known yet: %s", member.name, key, answer)
                return None
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None and is_ours(answer, self._identity(key)):
                found.append((member, answer))
        return found

    async def _read(self, member: Member, binding: Manifest) -> Manifest | None:
        """The object where the copy would be; None for none. Raises ApiError while that is not known (I14)."""
        reference = binding["spec"]["resource"]
        kind: KindKey = (reference["apiVersion"], reference["kind"])
        resource = member.resource_of(kind)
        if resource is None:
            if not member.knows(kind):
                raise Unavailable(0, "Unknown", "the kinds that it serves are not known yet")
            return None
        try:
            return await member.client.get(resource, reference["name"], reference.get("namespace"))
        except NotFound as error:
            if (error.details or {}).get("name") != reference["name"]:
                raise  # the kind itself is not served at this moment
            return None

    def _identity(self, key: BindingKey) -> Identity:
        return Identity(hub_id=self._caches.hub_id, namespace=key[0], name=key[1])

    def _all_asked(self, key: BindingKey, left: list[Copy]) -> bool:
        """Whether every copy that is left was asked to go a moment ago: then only the members' watches have news.

        Nothing is proven again for it (decision 0003): the next DELETE, if one is needed, is.
        """
        asked, now = self._asked.get(key, {}), time.monotonic()
        owns = self._fleet.ownership.owns
        copies = ((member.name, copy["metadata"]["uid"]) for member, copy in left)
        return bool(left) and all(now - asked.get(copy, -ASKED) < ASKED or not owns(copy[0]) for copy in copies)

    def _concerned(self, binding: Manifest) -> set[str]:
        """Clusters that may hold a copy: all that were decided or have a line, but where nothing could be written."""
        status = binding.get("status") or {}
        lines = lines_of(binding)
        targets = (status.get("decision") or {}).get("targets") or {}
        return {name for name in {*lines, *targets} if name not in lines or may_hold(lines[name])}

    def _away(self, binding: Manifest) -> bool:
        """Whether a cluster that may hold a copy, and still exists, does not answer."""
        answering = {member.name for member in self._fleet if member.reachable}
        away = self._concerned(binding) - answering
        return any(self._caches.clusters.get("", name) is not None for name in away)

    async def _still_wanted(
        self, key: BindingKey, binding: Manifest, evidence: Evidence, *, deleting: bool
    ) -> float | None:
        if not deleting:
            return None  # detect gives the owner reference back
        if evidence.namespace_ends:
            return 0.5  # the template goes too; then there is proof
        await self._release(key, binding)
        return None

    async def _take_away(
        self, member: Member, key: BindingKey, binding: Manifest, copy: Manifest, *, keep: bool
    ) -> bool:
        """Delete one copy, or take our marks off it; True if the brake holds it."""
        reference = binding["spec"]["resource"]
        if not self._fleet.ownership.owns(member.name):
            return parse_line(lines_of(binding).get(member.name, "")).get("reason") == HELD
        state = MemberState(joined=True, reachable=member.reachable, serves=True, knows=True, observed=copy)
        plan = plan_dropped(identity=self._identity(key), member=state, keep=keep)
        plan = permitted(plan, copy, epoch=None, behind=self._history.behind)
        if plan.step not in (Step.DELETE, Step.UNMARK):
            return False
        try:
            result = await self._applier.take(
                member,
                reference,
                plan,
                template=copy,
                binding=binding,
                hub_id=self._caches.hub_id,
                cause=ended(binding),
            )
        except ApiError as error:
            log.info("%s: copy of %s not removed yet: %s", member.name, key, error)
            return False
        if result.stopped is None:
            self._asked.setdefault(key, {})[member.name, copy["metadata"]["uid"]] = time.monotonic()
            self._note(key, member.name, Outcome(epoch=0, generation=0, gone=True))
            return False
        outcome, _ = held_outcome(result.stopped.change, result.stopped.verdict, 0, 0)
        if outcome is not None:
            self._note(key, member.name, outcome)
        return outcome is not None

    async def _strand(self, key: BindingKey, binding: Manifest) -> None:
        """The kind itself is gone from the hub: let the binding go (or its namespace could not), and touch no copy.

        The copies keep their marks, so they are taken up again when the kind and the template return.
        """
        reference = binding["spec"]["resource"]
        members = sorted(lines_of(binding))
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
