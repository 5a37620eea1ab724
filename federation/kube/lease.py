"""Leader election over a Lease, with fencing: who holds it knows for how long at most, and ends in time.

Time is CLOCK_BOOTTIME, which goes on while the machine sleeps, so a process that was frozen knows that its lease ran
out. A renewal counts from before its request was sent. Losing the lease cancels the work and raises LeaseLost; the
process is expected to end. Other processes' clocks are never compared: a lease is expired when it has not changed for
its duration as seen from here (client-go).
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
    """The lease could not be renewed in time; nothing more may be done in its name."""


class LeaseElector:
    """One candidate for one Lease. Durations in seconds (client-go's 15/10/2)."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not retry_period < renew_deadline < duration:
            raise ValueError("retry_period < renew_deadline < duration must hold")
        self._client = client
        self._namespace, self._name, self._identity = namespace, name, identity
        self._duration, self._renew_deadline, self._retry_period = duration, renew_deadline, retry_period
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)

    def held_for(self) -> float:
        """Seconds for which the lease is certainly ours; 0 when it may not be. Subtract a request's time-out from it."""
        if self._renewed is None:
            return 0.0
        return max(0.0, self._renewed + self._duration - self._clock())

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, run `lead` while it is ours, release it when `lead` returns.

        Raises LeaseLost when it cannot be renewed within the renew deadline, and whatever `lead` raises.
        """
        while not await self._attempt(self._retry_period):
            await self._sleep(self._retry_period * random.uniform(1.0, 1.2))
        log.info("%s leads %s", self._identity, self._name)
        leading = asyncio.ensure_future(lead())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({leading, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done() and not leading.done():
                raise LeaseLost(f"{self._name} could not be renewed for {self._renew_deadline:.0f} s")
            await leading
        finally:
            for task in (leading, renewing):
                task.cancel()
            await asyncio.gather(leading, renewing, return_exceptions=True)
            if self.held_for() > 0:
                await self._release()
            self._renewed = None

    async def _renew(self) -> None:
        """Return when the lease is lost."""
        while True:
            await self._sleep(self._retry_period * random.uniform(0.9, 1.1))
            left = (self._renewed or 0.0) + self._renew_deadline - self._clock()
            if left <= 0:
                return
            await self._attempt(left)

    async def _attempt(self, limit: float) -> bool:
        """Take or renew once, within `limit` seconds; True when the lease is ours."""
        try:
            async with asyncio.timeout(limit):
                return await self._take()
        except (ApiError, TimeoutError) as error:
            log.info("lease %s: %s", self._name, error)
            return False

    async def _take(self) -> bool:
        started = self._clock()
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            try:
                await self._client.create(LEASES, self._manifest({}, transitions=0), self._namespace)
            except (AlreadyExists, Conflict):
                return False
            self._renewed = started
            return True
        holder = (lease.get("spec") or {}).get("holderIdentity") or ""
        if holder and holder != self._identity and not self._expired(lease):
            return False
        transitions = int((lease.get("spec") or {}).get("leaseTransitions") or 0) + (holder != self._identity)
        try:
            await self._client.replace(LEASES, self._manifest(lease, transitions=transitions))
        except Conflict:
            return False
        self._renewed = started
        return True

    def _expired(self, lease: Manifest) -> bool:
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen[0] != version:
            self._seen = (version, self._clock())
            return False
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._duration)
        return self._clock() - self._seen[1] >= duration

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(min(self._retry_period, self.held_for())):
                lease = await self._client.get(LEASES, self._name, self._namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    lease["spec"].update({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()})
                    await self._client.replace(LEASES, lease)
        except (ApiError, TimeoutError) as error:
            log.info("lease %s was not released: %s", self._name, error)

    def _manifest(self, lease: Manifest, *, transitions: int) -> Manifest:
        spec: dict[str, Any] = dict(lease.get("spec") or {})
        now = self._now()
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
        spec.update(
            {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(self._duration),
                "renewTime": now,
                "leaseTransitions": transitions,
            }
        )
        metadata = dict(lease.get("metadata") or {"name": self._name, "namespace": self._namespace})
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _now(self) -> str:
        return datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
