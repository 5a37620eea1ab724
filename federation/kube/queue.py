"""A work queue with client-go semantics, for one event loop.

A key is never worked on twice at once; adding it while it is worked on runs it once more afterwards; adding it twice
runs it once. Two lanes: what a user changed goes before resync, which still gets every fourth turn. Inside a lane a higher
priority goes first, then what came first. One timer serves all delayed keys.
"""

import asyncio
import enum
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY, LONGEST_RETRY = 0.005, 30.0
"""Seconds; a key that keeps failing is tried at least every 30 s (I18)."""

_RESYNC_SHARE = 4


class Lane(enum.IntEnum):
    """Who asked."""

    USER = 0
    RESYNC = 1


class QueueClosed(Exception):
    """The queue takes and gives no more keys."""


class WorkQueue(Generic[K]):
    """Keys to work on: `get`, work, `done`."""

    def __init__(self, *, priority: Callable[[K], int] = lambda _key: 0) -> None:
        """`priority`: asked when a key is added; higher goes first."""
        self._priority = priority
        self._lanes: tuple[list[tuple[int, int, K]], list[tuple[int, int, K]]] = ([], [])
        self._waiting: dict[K, Lane] = {}
        self._active: set[K] = set()
        self._again: dict[K, Lane] = {}
        self._failures: dict[K, int] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, tuple[float, Lane]] = {}
        self._order = itertools.count()
        self._turns = 0
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def failures(self, key: K) -> int:
        """How many times in a row a key was retried."""
        return self._failures.get(key, 0)

    def add(self, key: K, *, lane: Lane = Lane.USER) -> None:
        """Ask for a key to be worked on."""
        if self._closed:
            return
        self._due.pop(key, None)
        if key in self._active:
            self._again[key] = min(lane, self._again.get(key, lane))
            return
        waiting = self._waiting.get(key)
        if waiting is not None and waiting <= lane:
            return
        # A key that moves to the faster lane leaves a shadow in the slow one, which `_take` skips.
        self._waiting[key] = lane
        heapq.heappush(self._lanes[lane], (-self._priority(key), next(self._order), key))
        self._wake()

    def add_after(self, key: K, seconds: float, *, lane: Lane = Lane.RESYNC) -> None:
        """Ask for a key later; of several times the earliest counts."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key, lane=lane)
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        due = self._due.get(key)
        if due is not None and due[0] <= at:
            return
        self._due[key] = (at, lane)
        heapq.heappush(self._delayed, (at, next(self._order), key))
        self._arm()

    def retry(self, key: K) -> None:
        """Ask for a key again after a failure: 5 ms doubling to 30 s, with jitter."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(failures, 20))
        self.add_after(key, pause * random.uniform(0.75, 1.0))

    def forget(self, key: K) -> None:
        """A key succeeded: its next failure counts as the first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; it is the caller's until `done`. Raises QueueClosed."""
        while True:
            if self._closed:
                raise QueueClosed
            if self._waiting:
                return self._take()
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake()  # the wake-up was ours; pass it on
                raise

    def done(self, key: K) -> None:
        """The work on a key ended, well or not."""
        self._active.discard(key)
        lane = self._again.pop(key, None)
        if lane is not None:
            self.add(key, lane=lane)

    def close(self) -> None:
        """Give no more keys; whoever waits gets QueueClosed."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)

    def _take(self) -> K:
        self._turns += 1
        first = Lane.RESYNC if self._turns % _RESYNC_SHARE == 0 else Lane.USER
        for lane in (first, Lane(1 - first)):
            keys = self._lanes[lane]
            while keys:
                key = heapq.heappop(keys)[2]
                if self._waiting.get(key) == lane:
                    del self._waiting[key]
                    self._active.add(key)
                    return key
        raise AssertionError("unreachable: every waiting key is in a lane")

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _arm(self) -> None:
        # The time is kept here: for a time that is past already, uvloop gives a handle that does not know it.
        if self._timer is not None and self._rings_at <= self._delayed[0][0]:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._delayed[0][0]
        self._timer = asyncio.get_running_loop().call_at(self._rings_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        # A timer may ring a clock tick early; what is due within it is due.
        while self._delayed and self._delayed[0][0] <= now + 1e-4:
            at, _, key = heapq.heappop(self._delayed)
            due = self._due.get(key)
            if due is not None and due[0] == at:
                del self._due[key]
                self.add(key, lane=due[1])
        if self._delayed and not self._closed:
            self._arm()
