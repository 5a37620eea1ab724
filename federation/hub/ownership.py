"""Who does what among the replicas of the hub process. Pure, but for the clock behind a lease.

One Lease for the lead, and one a shard; a cluster belongs to the shard that its name hashes to. Holding a shard's Lease
*is* ownership. Hashing only says who should try: the least loaded replica, and of several the one with the highest score.
"""

import asyncio
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Handler = Callable[[], None]


def shard_of(cluster: str, shards: int) -> int:
    """The shard of a cluster. CRC: names that differ by a number spread evenly, also where they are few."""
    return zlib.crc32(cluster.encode()) % shards


def score(shard: int, replica: str) -> int:
    """How well a shard fits a replica: the highest wins (rendezvous hashing)."""
    return int.from_bytes(hashlib.sha256(f"{shard} {replica}".encode()).digest()[:8], "big")


@dataclass(frozen=True, slots=True)
class Division:
    """What one replica should do next: shards to take, and shards to hand over."""

    take: frozenset[int] = frozenset()
    hand_over: frozenset[int] = frozenset()


def divide(
    me: str, *, holders: Mapping[int, str], replicas: frozenset[str], unclaimed: frozenset[int] = frozenset()
) -> Division:
    """What replica `me` should do, from who holds each shard ("": nobody) and which replicas are there.

    A shard is handed over only where that evens out, so replicas of two versions that hash differently never play
    ping-pong. `unclaimed`: free for so long that whoever should take it seems not to; then anybody does.
    """
    load = dict.fromkeys(sorted(replicas | {me}), 0)
    for holder in holders.values():
        if holder in load:
            load[holder] += 1
    take: set[int] = set()
    for shard in sorted(shard for shard, holder in holders.items() if not holder):
        least = min(load.values())
        best = max((replica for replica in load if load[replica] == least), key=lambda one: score(shard, one))
        load[best] += 1
        if best == me or shard in unclaimed:
            take.add(shard)
    mine = {shard for shard, holder in holders.items() if holder == me}
    return Division(take=frozenset(take), hand_over=frozenset(_excess(me, mine, load)))


def _excess(me: str, mine: set[int], load: dict[str, int]) -> set[int]:
    """Shards to hand over: while somebody is going to have at least two fewer. `load` is used up."""
    given: set[int] = set()
    while True:
        least = min(load, key=lambda replica: (load[replica], replica))
        if load[me] - load[least] < 2 or not mine - given:
            return given
        shard = max(mine - given, key=lambda one: score(one, least))
        given.add(shard)
        load[me] -= 1
        load[least] += 1


@dataclass(slots=True, kw_only=True)
class Ownership:
    """What this process may do now. The runner of the leases grants and withdraws; controllers ask, and hear of changes."""

    shards: int = 1
    leading: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the lead."""
    revision: int = 0
    """The highest resourceVersion of a Lease of ours that was seen: the hub's clock as far as this process knows it."""
    _lead: Callable[[], float] | None = None
    _held: dict[int, Callable[[], float]] = field(default_factory=dict)
    _handlers: list[Handler] = field(default_factory=list)

    @classmethod
    def sole(cls) -> "Ownership":
        """Everything, for ever: one process without leases."""
        found = cls()
        found.lead(_always)
        found.grant({0: _always})
        return found

    @property
    def leads(self) -> bool:
        """Whether this process detects, schedules, collects and writes the status of clusters."""
        return self.leading.is_set()

    @property
    def held(self) -> frozenset[int]:
        """The shards that this process owns."""
        return frozenset(self._held)

    def owns(self, cluster: str) -> bool:
        """Whether this process executes for a cluster."""
        return shard_of(cluster, self.shards) in self._held

    def held_for(self, cluster: str) -> float:
        """Seconds for which this process certainly owns a cluster; 0 where it does not."""
        held_for = self._held.get(shard_of(cluster, self.shards))
        return held_for() if held_for is not None else 0.0

    def certain_for(self) -> float:
        """Seconds for which every lease of this process is certainly its own; endless while it has none."""
        leases = [*self._held.values(), *((self._lead,) if self._lead is not None else ())]
        return min((held_for() for held_for in leases), default=float("inf"))

    def on_change(self, handler: Handler) -> None:
        """Call `handler` after shards were granted or withdrawn."""
        self._handlers.append(handler)

    def lead(self, held_for: Callable[[], float]) -> None:
        """The lead is ours."""
        self._lead = held_for
        self.leading.set()

    def grant(self, shards: Mapping[int, Callable[[], float]]) -> None:
        """These shards are ours."""
        self._held.update(shards)
        self._tell()

    def withdraw(self, shard: int) -> None:
        """A shard is about to be handed over: nothing new is begun for its clusters."""
        self._held.pop(shard, None)
        self._tell()

    def _tell(self) -> None:
        for handler in self._handlers:
            handler()


def _always() -> float:
    return float("inf")
