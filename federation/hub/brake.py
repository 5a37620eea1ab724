"""The brake on destructive writes (I15): every delete and every shrink of a copy in a member asks here first.

The window is kept in a Lease by compare-and-swap, so it is one for all replicas and outlives them; tokens are stored
before the write. Whoever asks meanwhile shares the next swap. If the hub does not answer, nothing is allowed (unknown is
not free). What is over the limit is held until a human approves it, or until nobody wants it any more.
"""

import asyncio
import enum
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

from federation.api.meta import GROUP, SYSTEM_NAMESPACE, Manifest
from federation.hub.brake_window import Limits, Window, parse_window, print_window
from federation.hub.caches import HubCaches
from federation.hub.fleet import Fleet
from federation.hub.held import APPROVALS, DELETE, Change, approved
from federation.hub.settings import Settings
from federation.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from federation.kube.resource import LEASES

log = logging.getLogger(__name__)

LEASE = "federation-brake"
WINDOW_ANNOTATION = f"{GROUP}/destructive-writes"
CHANGES = Counter("federation_brake_changes_total", "Destructive changes by what the brake said.", ["verdict"])

_SWAPS = 20
"""Swaps that may be lost to other replicas in a row."""
_SETTLE = 10.0
"""Seconds after the start in which members may still be counted: until then a limit by percent is not known."""
_REMEMBERED = 60.0
"""Seconds for which a refusal is remembered here; by then the member's line says it."""


class Verdict(enum.Enum):
    """What the brake says of a change."""

    ALLOWED = "allowed"
    HELD = "held"
    LATER = "later"
    """Not known right now: ask again."""


class Gate(Protocol):
    """Who is asked before every destructive write."""

    async def allow(self, change: Change) -> Verdict:
        """Whether this write may be made now."""
        ...


@dataclass(slots=True)
class _Ask:
    change: Change
    verdict: Verdict | None = None


class Brake:
    """The one gate of a hub process."""

    def __init__(
        self, caches: HubCaches, fleet: Fleet, settings: Settings, *, wall: Callable[[], float] = time.time
    ) -> None:
        self._caches = caches
        self._fleet = fleet
        self._wall = wall
        self._limits = Limits.of(settings)
        self._lock = asyncio.Lock()
        self._asks: list[_Ask] = []
        self._lease: Manifest | None = None
        self._window = Window()
        self._paid: dict[str, float] = {}
        """Deletes that have a token, by change: until when. One UID goes only once, so a repeated DELETE is the same write."""
        self._refused: dict[str, float] = {}
        self._began = time.monotonic()
        self._approvals: tuple[str, dict[str, float]] = ("", {})

    async def allow(self, change: Change) -> Verdict:
        """Whether this write may be made now."""
        verdict = await self._judge(change)
        CHANGES.labels(verdict.value).inc()
        return verdict

    async def _judge(self, change: Change) -> Verdict:
        now = self._wall()
        if max(self._approved().get(change.id, 0.0), self._paid.get(change.id, 0.0)) > now:
            return Verdict.ALLOWED
        if change.held or self._refused.get(change.id, 0.0) > now:
            return Verdict.HELD
        ask = _Ask(change)
        self._asks.append(ask)
        async with self._lock:
            if ask.verdict is None:
                asks, self._asks = self._asks, []
                await self._answer(asks)
        return ask.verdict or Verdict.LATER

    def _approved(self) -> dict[str, float]:
        entry = self._caches.config_maps.get(SYSTEM_NAMESPACE, APPROVALS)
        if entry is None:
            return {}
        if self._approvals[0] != entry.resource_version:
            self._approvals = (entry.resource_version, approved(entry.manifest().get("data") or {}))
        return self._approvals[1]

    async def _answer(self, asks: list[_Ask]) -> None:
        """Give every asker a verdict, first come first served; all of them, also when this is cut off."""
        verdicts = [Verdict.LATER] * len(asks)
        try:
            given = await self._take(len(asks))
            refused = Verdict.LATER if given < len(asks) and self._still_counting() else Verdict.HELD
            verdicts = [Verdict.ALLOWED] * given + [refused] * (len(asks) - given)
            self._remember(asks, verdicts)
        except ApiError as error:
            log.warning("no destructive write is made while the brake's lease cannot be kept: %s", error)
        finally:
            for ask, verdict in zip(asks, verdicts, strict=True):
                ask.verdict = verdict

    def _remember(self, asks: list[_Ask], verdicts: list[Verdict]) -> None:
        now = self._wall()
        self._paid = {change: until for change, until in self._paid.items() if until > now}
        self._refused = {change: until for change, until in self._refused.items() if until > now}
        for ask, verdict in zip(asks, verdicts, strict=True):
            if verdict is Verdict.ALLOWED and ask.change.what == DELETE:
                self._paid[ask.change.id] = now + self._limits.life
            elif verdict is Verdict.HELD:
                self._refused[ask.change.id] = now + _REMEMBERED
                log.warning(
                    "held: %s of %s in %s (plan %s: %s)", ask.change.what, ask.change.uid, ask.change.cluster,
                    ask.change.cause.plan, ask.change.cause.text,
                )  # fmt: skip

    def _still_counting(self) -> bool:
        """Whether members are still being read after a start: the limit by percent is higher once they are."""
        unread = any(member.reachable and not member.watches.all_synced for member in self._fleet)
        return unread and time.monotonic() - self._began < _SETTLE

    async def _take(self, asked: int) -> int:
        """Tokens that were stored for us, at most `asked`. Raises ApiError while that is not known."""
        managed = self._fleet.held
        for _ in range(_SWAPS):
            known = self._lease
            lease = known or await self._read()
            stored = (lease["metadata"].get("annotations") or {}).get(WINDOW_ANNOTATION, "") if lease else None
            window, given = self._parsed(stored, managed).take(
                asked, managed=managed, limits=self._limits, now=self._wall()
            )
            if given < asked and known is not None:
                self._lease = None  # a refusal is worth a look at what is stored now
                continue
            if print_window(window) != stored:
                self._lease = None
                try:
                    self._lease = await self._store(lease, window)
                except (Conflict, AlreadyExists, NotFound):
                    continue
            self._window = window
            return given
        raise Conflict(409, "Conflict", f"other replicas changed Lease {LEASE} {_SWAPS} times in a row")

    def _parsed(self, stored: str | None, managed: int) -> Window:
        """The window in force. A Lease that somebody removed frees nothing: what we know of it still counts."""
        if stored is None:
            return self._window
        try:
            return parse_window(stored)
        except ValueError:
            log.warning("annotation %s of Lease %s cannot be read: the window counts as full", WINDOW_ANNOTATION, LEASE)
            return Window(((math.ceil(self._wall()), self._limits.most(managed), managed),))

    async def _read(self) -> Manifest | None:
        try:
            return await self._caches.client.get(LEASES, LEASE, SYSTEM_NAMESPACE)
        except NotFound:
            return None

    async def _store(self, lease: Manifest | None, window: Window) -> Manifest:
        metadata: Manifest = dict(lease["metadata"]) if lease else {"name": LEASE, "namespace": SYSTEM_NAMESPACE}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), WINDOW_ANNOTATION: print_window(window)}
        spec: Manifest = (lease or {}).get("spec") or {}
        manifest = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        if lease is None:
            return await self._caches.client.create(LEASES, manifest)
        return await self._caches.client.replace(LEASES, manifest)
