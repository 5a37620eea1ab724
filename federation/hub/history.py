"""The hub's place in its own history: finds out that it went back, remembers it, and says so until a human resumes.

Ordering: at start the marks of the members are compared before this process takes or renews a Lease, and nothing is
written to a member that was not compared. The record is ConfigMap `federation-system/federation-hub` (docs/disaster-recovery.md).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from prometheus_client import Gauge

from federation.api.lines import Moment
from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.api.naming import BindingKey
from federation.hub.caches import HubCaches
from federation.hub.conditions import timestamp
from federation.hub.events import Subject, emit
from federation.hub.fleet import Fleet, Member
from federation.hub.marks import marked_objects
from federation.hub.record import RECORD, record_of, write_record
from federation.hub.timeline import (
    Behind,
    Marked,
    Record,
    ahead_of,
    behind_text,
    fell_behind,
    numbers_text,
)
from federation.hub.views import decision_of
from federation.kube.client import Client
from federation.kube.errors import ApiError, NotFound
from federation.kube.lease import HubWentBack
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, CONFIG_MAPS, LEASES, RESOURCE_BINDINGS

log = logging.getLogger(__name__)

BEHIND = Gauge("federation_hub_behind_members", "1 while members show writes that the hub does not remember.")
REASON = "HubBehindMembers"
LEASE_PREFIX = "federation-"
PATIENCE, PERIOD = 3.0, 3.0
"""Seconds that a start waits for members that do not answer; between two looks at the record and the Leases."""

MarkedHandler = Callable[[Member, list[Marked]], None]


async def lease_versions(client: Client) -> dict[str, int]:
    """ResourceVersion of each federation Lease, by UID, by a quorum read. Raises ApiError."""
    page = await client.list(LEASES, SYSTEM_NAMESPACE, metadata_only=True)
    found = (item["metadata"] for item in page.items)
    return {
        one["uid"]: int(one["resourceVersion"]) for one in found if str(one["name"]).startswith(LEASE_PREFIX)
    }  # fmt: skip


class History:
    """Where the hub is in its history. `check()` once at start, then `run()`."""

    def __init__(
        self, caches: HubCaches, fleet: Fleet, *, revision: Callable[[], int] = lambda: 0, patience: float = PATIENCE,
        period: float = PERIOD,
    ) -> None:  # fmt: skip
        """`revision`: resourceVersion of the newest Lease that this process wrote, if it knows better than a look does."""
        self.record = Record()
        self._caches = caches
        self._fleet = fleet
        self._newest = revision
        self._patience, self._period = patience, period
        self._revision = 0
        self._leases: dict[str, int] = {}
        """UID of a Lease -> the highest resourceVersion seen of it."""
        self._went_back = False
        self._compared: set[Member] = set()
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._marked_handlers: list[MarkedHandler] = []
        self._marked: dict[Member, list[Marked]] = {}
        self._changed_handlers: list[Callable[[], None]] = []

    @property
    def behind(self) -> Behind | None:
        """Set while the hub is behind its members: nothing is deleted, unmarked or shrunk anywhere."""
        return self.record.behind

    def stamp(self) -> Moment:
        """The moment that a mark written now carries. While the hub is behind it does not move on."""
        if self.record.behind is not None:
            return self.record.behind.hub
        return Moment(self.record.incarnation, max(self._revision, self._newest()))

    def knows(self, member: Member) -> bool:
        """Whether the marks of a member were compared: before that nothing is written to it."""
        return member in self._compared

    def on_marked(self, handler: MarkedHandler) -> None:
        """Call `handler` with all marked objects of each member that was or will be compared."""
        self._marked_handlers.append(handler)
        for member, objects in self._marked.items():
            handler(member, objects)

    def marked(self, member: Member) -> list[Marked]:
        """All marked objects of a member as they were when it was compared."""
        return self._marked.get(member, [])

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` when the hub is found behind, and when it was resumed."""
        self._changed_handlers.append(handler)

    async def check(self) -> None:
        """Compare all members that answer within the patience; the fleet must run. Before any Lease is taken."""
        self._take(await self._read())
        first = await self._look_at_leases()
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(self._reach(name) for name in self._fleet.expected()))
        except TimeoutError:
            silent = [name for name in self._fleet.expected() if name not in {member.name for member in self._compared}]
            log.warning("not compared yet, as they do not answer: %s", ", ".join(silent))
            if await self._look_at_leases() == first:
                # Nobody else runs who could have compared them, or written to them since.
                await self._remember_unseen(silent, first)

    async def run(self) -> None:
        """Follow the record and compare members that connect, until cancelled. Raises HubWentBack."""
        self._fleet.on_state(lambda _member: self._wake.set())
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._wake.wait()
            self._wake.clear()
            try:
                self._take(await self._read())
                await self._look_at_leases()
            except ApiError as error:
                log.info("the hub's record: %s", error)
            if self._went_back:
                raise HubWentBack("the hub's Leases are older than they were: it was restored while this process ran")
            present = set(self._fleet)
            self._compared &= present
            self._marked = {member: objects for member, objects in self._marked.items() if member in present}
            waiting = [one for one in present - self._compared if one.reachable and one.discovery is not None]
            await asyncio.gather(*(self._compare_safely(member) for member in waiting))

    async def still_ahead(self, mark_at: Moment | None) -> bool:
        """Whether a mark is ahead of the hub by a fresh look at the Leases: asked before an object without a binding goes."""
        await self._look_at_leases()
        return mark_at is not None and mark_at > self.stamp()

    async def _reach(self, name: str) -> None:
        while True:
            member = self._fleet.get(name)
            if member is not None and member.discovery is not None and await self._compare_safely(member):
                return
            await asyncio.sleep(0.05)

    async def _compare_safely(self, member: Member) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                await self._compare(member)
        except (ApiError, TimeoutError) as error:
            log.info("%s: its marks are not known yet: %s", member.name, error)
            await asyncio.sleep(0.2)
            return False
        return True

    async def _compare(self, member: Member) -> None:
        if member.discovery is None:
            return
        objects = await marked_objects(
            member.client, member.discovery, name=member.name, hub_label=self._fleet.hub_label
        )  # fmt: skip
        suspects = self._ahead(objects, member, self._epochs(objects))
        if suspects or member.name in self.record.unseen:
            # Somebody else may have written meanwhile, with a newer Lease or for a newer decision: look again.
            self._take(await self._read())
            await self._look_at_leases()
            suspects = self._ahead(suspects, member, await self._read_epochs(suspects))
        if suspects:
            await self._fall_behind(suspects, self._bound(member))
        if member.name in self.record.unseen:
            await self._seen(member.name)
        self._compared.add(member)
        self._marked[member] = objects
        for handler in self._marked_handlers:
            handler(member, objects)
        self._fleet.changed(member)
        log.debug("%s: %d marked objects compared for hub %s", member.name, len(objects), self._caches.hub_id)

    def _bound(self, member: Member) -> Moment:
        if self.record.behind is not None:
            return self.record.behind.hub
        known = max(self._revision, self._newest())
        return Moment(self.record.incarnation, min(known, self.record.unseen.get(member.name, known)))

    def _ahead(self, objects: Iterable[Marked], member: Member, epochs: Mapping[BindingKey, int]) -> list[Marked]:
        return ahead_of(objects, hub_id=self._caches.hub_id, bound=self._bound(member), epochs=epochs)

    def _epochs(self, objects: Iterable[Marked]) -> dict[BindingKey, int]:
        found: dict[BindingKey, int] = {}
        for key in {one.binding for one in objects}:
            entry = self._caches.binding(key)
            decision = decision_of(entry.manifest()) if entry is not None else None
            if decision is not None:
                found[key] = decision.epoch
        return found

    async def _read_epochs(self, objects: Iterable[Marked]) -> dict[BindingKey, int]:
        """By quorum reads: our cache may be behind a decision that another process took."""
        found: dict[BindingKey, int] = {}
        for key in {one.binding for one in objects}:
            resource = RESOURCE_BINDINGS if key[0] else CLUSTER_RESOURCE_BINDINGS
            try:
                decision = decision_of(await self._caches.client.get(resource, key[1], key[0] or None))
            except NotFound:
                continue
            if decision is not None:
                found[key] = decision.epoch
        return found

    async def _look_at_leases(self) -> int:
        """Read the Leases themselves; the highest resourceVersion. Raises ApiError."""
        versions = await lease_versions(self._caches.client)
        newest = max(versions.values(), default=0)
        back = any(version < self._leases.get(uid, 0) for uid, version in versions.items())
        self._leases.update(versions)
        if back:
            self._went_back = True
            await self._fall_behind([], Moment(self.record.incarnation, newest))
        self._revision = max(self._revision, newest)
        return newest

    async def _read(self) -> Record:
        record, _ = await record_of(self._caches.client)
        return record

    def _take(self, record: Record) -> None:
        if record.id and record.id != self._caches.hub_id:
            raise HubWentBack(f"the hub's identity became {record.id}; this process served {self._caches.hub_id}")
        before, self.record = self.record, record
        BEHIND.set(1 if record.behind is not None else 0)
        if (before.behind is None) != (record.behind is None) or before.incarnation != record.incarnation:
            for handler in self._changed_handlers:
                handler()

    async def _fall_behind(self, ahead: list[Marked], bound: Moment) -> None:
        async with self._writing:
            known = self.record.behind
            behind = fell_behind(ahead, bound=bound, since=timestamp(time.time()), known=known)
            if behind == known:
                return
            message = (
                f"the hub remembers {behind.hub}, its members {behind.highest} ({behind.count} objects):"
                f" it was restored or rebuilt. Nothing is removed until: fedctl hub resume"
            )
            log.warning("%s: %s; %s", REASON, message, "; ".join(behind.ahead[:5]))
            await write_record(self._caches.client, {"behind": behind_text(behind)})
            self._take(replace(self.record, behind=behind))
            await emit(self._caches.client, await self._subject(), reason=REASON, message=message, warning=True)

    async def _subject(self) -> Subject:
        found: Manifest = await self._caches.client.get(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE)
        return Subject(
            api_version="v1", kind="ConfigMap", namespace=SYSTEM_NAMESPACE, name=RECORD, uid=found["metadata"]["uid"]
        )

    async def _remember_unseen(self, names: list[str], revision: int) -> None:
        unseen = {**dict.fromkeys(names, revision), **self.record.unseen}
        if unseen != self.record.unseen:
            await write_record(self._caches.client, {"unseen": numbers_text(unseen)})
            self._take(await self._read())

    async def _seen(self, name: str) -> None:
        async with self._writing:
            left = {member: revision for member, revision in self.record.unseen.items() if member != name}
            await write_record(self._caches.client, {"unseen": numbers_text(left) or None})
            self._take(await self._read())
