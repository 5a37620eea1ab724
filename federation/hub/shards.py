"""Takes, renews and hands over the Leases of this process: the lead, shards, and a place among the replicas without one.

One look a period: a quorum list of the Leases, which also shows a hub that went back in time. Losing a lease ends the
process (LeaseLost); handing a shard over does not: new work for its clusters stops, what is in flight ends, and only then
the Lease is free.
"""

import asyncio
import logging
import random
import re
import secrets
from collections.abc import Callable, Iterable

from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.hub.ownership import Ownership, divide, shard_of
from federation.hub.record import RECORD
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.errors import ApiError
from federation.kube.lease import HubWentBack, LeaseElector, revision_of
from federation.kube.metrics import LEADING, SHARDS_HELD
from federation.kube.resource import CONFIG_MAPS, LEASES

log = logging.getLogger(__name__)

SHARDS = 4
LEADER = "federation-leader"
UNCLAIMED = 3
"""Looks after which a free shard is taken by anybody."""
_SHARD = "federation-shard-"
_PLACE = "federation-replica-"
"""Numbered places for replicas that hold no shard (yet), so that the others know of them; used again by later replicas."""
_OURS = re.compile(rf"{LEADER}|(?:{_SHARD}|{_PLACE})\d+")


async def shard_count(client: Client) -> int:
    """How many shards there are: as stored on the hub, where the first process writes it.

    Where the record was lost, the Leases tell: replicas that count differently would own the same clusters.
    """
    record = await client.get(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE)
    stored = str((record.get("data") or {}).get("shards") or "")
    if stored.isdigit() and int(stored) > 0:
        return int(stored)
    if stored:
        log.warning("ConfigMap %s/%s: shards must be a positive number, not %r", SYSTEM_NAMESPACE, RECORD, stored)
    names = (lease["metadata"]["name"] for lease in (await client.list(LEASES, SYSTEM_NAMESPACE)).items)
    count = sum(bool(re.fullmatch(rf"{_SHARD}\d+", name)) for name in names) or SHARDS
    await client.merge_patch(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE, {"data": {"shards": str(count)}})
    return count


class Shards:
    """The leases of one process. `leads` and `executes`: which of them it is a candidate for."""

    def __init__(
        self,
        client: Client,
        ownership: Ownership,
        settings: Settings,
        *,
        identity: str,
        leads: bool = True,
        executes: bool = True,
        busy: Callable[[Callable[[str], bool]], bool] = lambda _concerns: False,
    ) -> None:
        """`busy`: whether a write to any cluster that the argument accepts is in flight."""
        self._client = client
        self._ownership = ownership
        self._settings = settings
        self._identity, self._run = identity, secrets.token_hex(4)
        self._leads, self._executes = leads, executes
        self._busy = busy
        self._electors: dict[str, LeaseElector] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._free_looks: dict[int, int] = {}

    async def run(self) -> None:
        """Until cancelled. Raises LeaseLost and HubWentBack, in a group, when the process must end."""
        pause = self._settings.lease_retry
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                except ApiError as error:
                    log.log(logging.INFO if error.retryable else logging.WARNING, "leases cannot be read: %s", error)
                except TimeoutError:
                    log.info("leases cannot be read in time")
                await asyncio.sleep(pause * random.uniform(0.9, 1.1))

    async def release(self) -> None:
        """Give everything up at once, after `run` was cancelled and when nothing more is done in its name."""
        await asyncio.gather(*(self._electors[name].release() for name in self._keeping))
        self._keeping.clear()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        floor = self._ownership.revision
        async with asyncio.timeout(2 * self._settings.lease_retry):
            page = await self._client.list(LEASES, SYSTEM_NAMESPACE)
        if int(page.resource_version) < floor:
            raise HubWentBack(f"the hub is at {page.resource_version}, and was at {floor}")
        leases = {
            lease["metadata"]["name"]: lease for lease in page.items if _OURS.fullmatch(lease["metadata"]["name"])
        }
        self._observe(leases)
        await asyncio.gather(self._lead(group), self._share(group))

    def _observe(self, leases: dict[str, Manifest]) -> None:
        for name in leases.keys() | {LEADER, *(f"{_SHARD}{shard}" for shard in range(self._ownership.shards))}:
            self._elector(name).observe(leases.get(name))
        self._learn(revision_of(lease) for lease in leases.values())

    def _learn(self, revisions: Iterable[int]) -> None:
        self._ownership.revision = max(self._ownership.revision, *revisions, 0)

    def _elector(self, name: str) -> LeaseElector:
        elector = self._electors.get(name)
        if elector is None:
            settings = self._settings
            elector = self._electors[name] = LeaseElector(
                self._client, namespace=SYSTEM_NAMESPACE, name=name, identity=self._identity, run=self._run,
                duration=settings.lease_duration, renew_deadline=settings.lease_deadline,
                retry_period=settings.lease_retry,
            )  # fmt: skip
        return elector

    def _holder(self, name: str) -> str:
        """Who holds a lease; what an earlier process of our identity left is free."""
        holder = self._elector(name).holder
        return "" if holder == self._identity and name not in self._keeping else holder

    async def _lead(self, group: asyncio.TaskGroup) -> None:
        if not self._leads or LEADER in self._keeping or self._holder(LEADER):
            return
        if await self._take(group, LEADER):
            log.info("%s leads", self._identity)
            LEADING.set(1)
            self._ownership.lead(self._elector(LEADER).held_for)

    async def _share(self, group: asyncio.TaskGroup) -> None:
        """Take and hand over shards as the replicas come and go."""
        if not self._executes:
            return
        holders = {shard: self._holder(f"{_SHARD}{shard}") for shard in range(self._ownership.shards)}
        places = {name: self._holder(name) for name in self._electors if name.startswith(_PLACE)}
        self._free_looks = {
            shard: self._free_looks.get(shard, 0) + 1 for shard, holder in holders.items() if not holder
        }
        division = divide(
            self._identity,
            holders=holders,
            replicas=frozenset(filter(None, (*holders.values(), *places.values()))),
            unclaimed=frozenset(shard for shard, looks in self._free_looks.items() if looks > UNCLAIMED),
        )
        wanted = sorted(division.take)
        taken = await asyncio.gather(*(self._take(group, f"{_SHARD}{shard}") for shard in wanted))
        self._own([shard for shard, ours in zip(wanted, taken, strict=True) if ours])
        for shard in division.hand_over & self._ownership.held:
            group.create_task(self._hand_over(shard))
        await self._place(group, places)

    def _own(self, shards: list[int]) -> None:
        if shards:
            log.info("%s executes for shards %s", self._identity, ", ".join(map(str, shards)))
            self._ownership.grant({shard: self._elector(f"{_SHARD}{shard}").held_for for shard in shards})
            SHARDS_HELD.set(len(self._ownership.held))

    async def _place(self, group: asyncio.TaskGroup, places: dict[str, str]) -> None:
        """Be known to the others: by a shard, or by a place of our own while we have none."""
        ours = [name for name in places if name in self._keeping]
        if self._ownership.held:
            await asyncio.gather(*(self._release(name) for name in ours))
        elif not ours:
            free = (f"{_PLACE}{number}" for number in range(len(places) + 1))
            await self._take(group, next(name for name in free if not places.get(name)))

    async def _hand_over(self, shard: int) -> None:
        name = f"{_SHARD}{shard}"
        self._ownership.withdraw(shard)
        SHARDS_HELD.set(len(self._ownership.held))
        # Bounded by the time-out of a write; the lease is renewed until then.
        while self._busy(lambda cluster: shard_of(cluster, self._ownership.shards) == shard):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await self._release(name)
        log.info("%s handed shard %d over", self._identity, shard)

    async def _take(self, group: asyncio.TaskGroup, name: str) -> bool:
        elector = self._elector(name)
        if not await elector.attempt():
            return False
        self._learn([elector.revision])
        self._keeping[name] = group.create_task(elector.keep(), name=name)
        return True

    async def _release(self, name: str) -> None:
        task = self._keeping.pop(name)
        task.cancel()
        await asyncio.wait([task])
        await self._elector(name).release()
