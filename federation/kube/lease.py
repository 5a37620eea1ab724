"""One candidate for one Lease, with fencing: who holds it knows for how long at most, and ends in time.

Time is CLOCK_BOOTTIME, which goes on while the machine sleeps, so a process that was frozen knows that its lease ran
out. A renewal counts from before its request was sent, and costs one PUT: the Lease is read again only after a request
that did not succeed. Other processes' clocks are never compared: a lease is expired when it has not changed for its
duration as seen from here (client-go).
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from federation.api.meta import Manifest
from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from federation.kube.resource import LEASES

log = logging.getLogger(__name__)


def boottime() -> float:
    """Seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseLost(Exception):
    """The lease could not be renewed in time, or is another's; nothing more may be done in its name."""


class HubWentBack(Exception):
    """The hub shows an older state than one that we wrote: it was restored from a backup, and what we know is of no use."""


class LeaseElector:
    """A candidate. `holderIdentity` is `<identity>_<run>`: a process started again under its identity takes over at once.

    That is safe where one identity names one process at a time (the containers of a pod). Of two running processes with
    one identity the later takes the lease, and the earlier finds out at its next renewal only.
    Durations in seconds: a dead holder is followed after `duration` and at most two looks of the others.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        run: str,
        duration: float = 10.0,
        renew_deadline: float = 7.0,
        retry_period: float = 1.5,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not retry_period < renew_deadline < duration:
            raise ValueError("retry_period < renew_deadline < duration must hold")
        self.name = name
        self.revision = 0
        """The resourceVersion of our last successful write of this Lease."""
        self._client = client
        self._namespace, self._identity, self._self = namespace, identity, f"{identity}_{run}"
        self._duration, self._renew_deadline, self._retry_period = duration, renew_deadline, retry_period
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._lease: Manifest | None = None
        self._known = False
        """Whether `_lease` may still be the newest state: then it is written without another look."""
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)

    @property
    def holder(self) -> str:
        """The identity that holds the lease as far as seen from here; empty where it is free, expired or absent."""
        found = _holder(self._lease)
        return "" if not found or self._expired() else _identity(found)

    def held_for(self) -> float:
        """Seconds for which the lease is certainly ours; 0 when it may not be. Subtract a request's time-out from it."""
        if self._renewed is None:
            return 0.0
        return max(0.0, self._renewed + self._duration - self._clock())

    def observe(self, lease: Manifest | None) -> None:
        """Take in the Lease as a quorum read showed it a moment ago; None where there is none. A holder knows better."""
        if self._renewed is None:
            self._note(lease)

    async def attempt(self, limit: float | None = None) -> bool:
        """Take or renew once, within `limit` seconds (default: the retry period); True when the lease is ours.

        Raises LeaseLost where somebody else has what was ours, HubWentBack.
        """
        try:
            async with asyncio.timeout(limit or self._retry_period):
                return await self._take()
        except ApiError as error:
            log.log(logging.INFO if error.retryable else logging.WARNING, "lease %s: %s", self.name, error)
            return False
        except TimeoutError:
            log.info("lease %s: no answer in time", self.name)
            return False

    async def keep(self) -> None:
        """Renew a lease that was taken until cancelled. Raises LeaseLost, HubWentBack."""
        while True:
            await self._sleep(self._retry_period * random.uniform(0.9, 1.1))
            left = (self._renewed or 0.0) + self._renew_deadline - self._clock()
            if left <= 0:
                raise LeaseLost(f"{self.name} could not be renewed for {self._renew_deadline:.0f} s")
            # A connection that hangs must leave time for another one.
            await self.attempt(min(left, 2 * self._retry_period))

    async def release(self) -> None:
        """Give the lease up, so that others need not wait; nothing may be done in its name from now on."""
        limit, self._renewed = min(self._retry_period, self.held_for()), None
        if limit <= 0:
            return
        try:
            async with asyncio.timeout(limit):
                await self._clear()
        except ApiError as error:
            log.info("lease %s was not released: %s", self.name, error)
        except TimeoutError:
            log.info("lease %s was not released: no answer in time", self.name)

    async def _clear(self) -> None:
        lease = self._lease if self._known else await self._read()
        self._known = False
        if lease is not None and _holder(lease) == self._self:
            lease["spec"].update({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()})
            self._wrote(await self._client.replace(LEASES, lease))

    async def _take(self) -> bool:
        started = self._clock()
        for _ in range(2):
            if not self._known:
                self._note(await self._read())
            if not self._may_take():
                return False
            self._known = False  # until the answer says otherwise
            try:
                if self._lease is None:
                    written = await self._client.create(LEASES, self._manifest(), self._namespace)
                else:
                    written = await self._client.replace(LEASES, self._manifest())
            except (AlreadyExists, Conflict):
                continue
            self._wrote(written)
            self._renewed = started
            return True
        return False

    def _may_take(self) -> bool:
        holder = _holder(self._lease)
        if holder == self._self:
            return True
        if self._renewed is not None:
            self._renewed = None
            raise LeaseLost(f"{self.name} is held by {holder or 'nobody'} now")
        if not holder or _identity(holder) == self._identity or self._expired():
            return True
        self._known = False
        return False

    async def _read(self) -> Manifest | None:
        try:
            lease = await self._client.get(LEASES, self.name, self._namespace)
        except NotFound:
            return None
        if revision_of(lease) < self.revision:
            raise HubWentBack(f"lease {self.name} is at {revision_of(lease)}, we wrote {self.revision}")
        return lease

    def _note(self, lease: Manifest | None) -> None:
        self._lease, self._known = lease, True
        version = lease["metadata"]["resourceVersion"] if lease else ""
        if self._seen[0] != version:
            self._seen = (version, self._clock())

    def _wrote(self, lease: Manifest) -> None:
        if revision_of(lease) < self.revision:
            raise HubWentBack(f"lease {self.name} was written at {revision_of(lease)}, after {self.revision}")
        self.revision = revision_of(lease)
        self._note(lease)

    def _expired(self) -> bool:
        spec = (self._lease or {}).get("spec") or {}
        return self._clock() - self._seen[1] >= float(spec.get("leaseDurationSeconds") or self._duration)

    def _manifest(self) -> Manifest:
        lease = self._lease or {}
        spec: dict[str, Any] = dict(lease.get("spec") or {})
        now, before = self._now(), spec.get("holderIdentity")
        if before != self._self:
            spec["acquireTime"] = now
            if lease:
                spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        spec.update({
            "holderIdentity": self._self, "leaseDurationSeconds": max(1, round(self._duration)), "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0),
        })  # fmt: skip
        metadata = dict(lease.get("metadata") or {"name": self.name, "namespace": self._namespace})
        metadata.pop("managedFields", None)
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _now(self) -> str:
        return datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def revision_of(lease: Manifest) -> int:
    """The resourceVersion of a Lease as a number: of two states of one hub the later has the higher one."""
    return int(lease["metadata"]["resourceVersion"])


def _holder(lease: Manifest | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _identity(holder: str) -> str:
    return holder.rpartition("_")[0] or holder
