"""Keeps a Store equal to one kind on an API server: list, watch, and list again when the watch cannot go on.

List at resourceVersion 0 (served from the watch cache), watch with bookmarks. A relist replaces, so deletions that
nobody saw are found. Any error means a pause and another try, never the end; a kind that is not there (404) or not
allowed (403) leaves the store as it was: unknown is not empty (I14). Silence longer than the watchdog breaks the watch.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode

import msgspec

from federation.kube.client import JSON, METADATA, METADATA_LIST, Client
from federation.kube.errors import ApiError, Forbidden, Gone, NotFound, Unavailable, error_from
from federation.kube.metrics import RELISTS, WATCHES
from federation.kube.resource import Resource
from federation.kube.store import Store

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.8, 30.0
REFUSED_PAUSE = 5.0
LIVED, ANSWERED = 5.0, 2
"""Seconds after which a watch that breaks counts as one that worked; and the failures that are remembered of a server that
answers, but whose watches break sooner. So what breaks now and then never waits as long as what is away.
"""
SILENCE = 90.0
"""Seconds without an event or a bookmark (one a minute) after which a watch counts as frozen."""


class _ListMeta(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""


class _List(msgspec.Struct, gc=False):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _BookmarkMeta(msgspec.Struct, gc=False):
    metadata: _ListMeta


_decode_list = msgspec.json.Decoder(_List).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_bookmark = msgspec.json.Decoder(_BookmarkMeta).decode


class Reflector:
    """One kind (or a selected part of it) of one API server."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        store: Store,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        silence: float = SILENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self.error: ApiError | None = None
        """Why the last list or watch failed; None while all is well."""
        self.stale_since: float | None = None
        """Since when (clock seconds) the store may be behind; None while the watch runs."""
        self._client = client
        self._store = store
        self._path = resource.path(namespace or None)
        self._selectors = {
            key: value for key, value in (("labelSelector", label_selector), ("fieldSelector", field_selector)) if value
        }
        self._metadata_only = metadata_only
        self._silence = silence
        self._clock = clock
        self._version = ""
        self._lists = 0
        self._failures = 0
        self._retry = asyncio.Event()

    @property
    def healthy(self) -> bool:
        """Whether the store follows the server."""
        return self._store.synced and self.stale_since is None

    def hurry(self) -> None:
        """The server answers again: try now, whatever pause is left."""
        self._failures = 0
        self._retry.set()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            started = self._clock()
            try:
                if not self._version:
                    await self._list()
                self.error, self.stale_since = None, None
                started = self._clock()
                await self._watch()
                self._failures = 0
                continue
            except Gone:
                self._version = ""
                error: ApiError | None = None
            except ApiError as caught:
                error = caught
                if caught.status not in (0, 429) and caught.status < 500:
                    self._version = ""
            except msgspec.DecodeError as caught:
                error = Unavailable(0, "Broken", f"{self.resource.plural}: {caught}")
                self._version = ""
            self._fail(error)
            self._failures = 1 if self._clock() - started > LIVED else self._failures + 1
            pause = _pause(self._failures)
            # A right that is given, or a kind that comes, should not wait for half a minute.
            await self._rest(min(pause, REFUSED_PAUSE) if isinstance(error, Forbidden | NotFound) else pause)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not on when told to hurry."""
        self._retry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._retry.wait()

    def _fail(self, error: ApiError | None) -> None:
        if self.stale_since is None:
            self.stale_since = self._clock()
        if error is None:
            return
        if self.error is None or self.error.status != error.status:
            log.info("%s: watching %s: %s", self._client.name, self.resource.plural, error)
        self.error = error

    async def _list(self) -> None:
        query = urlencode({**self._selectors, "resourceVersion": "0"})
        accept = METADATA_LIST if self._metadata_only else JSON
        page = _decode_list(await self._client.list_bytes(f"{self._path}?{query}", accept=accept))
        if self._lists:
            RELISTS.labels(self._client.name).inc()
        self._lists += 1
        self._store.replace((bytes(item) for item in page.items or []), page.metadata.resource_version)
        self._version = page.metadata.resource_version

    async def _watch(self) -> None:
        """Follow one watch to its regular end. Raises Gone, or what broke it."""
        seconds = random.randint(300, 600)
        query = urlencode(
            {
                **self._selectors,
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": self._version,
                "timeoutSeconds": str(seconds),
            }
        )
        accept = METADATA if self._metadata_only else JSON
        async with self._client.watch(f"{self._path}?{query}", accept=accept) as stream:
            self._failures = min(self._failures, ANSWERED)
            with WATCHES.labels(self._client.name).track_inprogress():
                async for line in lines(self._awake(stream.chunks())):
                    self._take(line)

    async def _awake(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks; silence raises Unavailable. One timer for the whole watch, moved on by each chunk."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._silence) as guard:
                async for chunk in chunks:
                    guard.reschedule(loop.time() + self._silence)
                    yield chunk
        except TimeoutError as error:
            raise Unavailable(0, "Silent", f"no event and no bookmark for {self._silence:.0f} s") from error

    def _take(self, line: bytes) -> None:
        event = _decode_event(line)
        if event.type in ("ADDED", "MODIFIED"):
            self._store.put(bytes(event.object))
        elif event.type == "DELETED":
            self._store.remove(bytes(event.object))
        elif event.type == "ERROR":
            code = msgspec.json.decode(event.object).get("code") or 500
            raise error_from(int(code), bytes(event.object), {})
        self._version = _decode_bookmark(event.object).metadata.resource_version or self._version


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines of a chunked stream; an unfinished last line is dropped (the relist or the next watch brings it)."""
    rest: list[bytes] = []
    async for chunk in chunks:
        first, separator, after = chunk.partition(b"\n")
        rest.append(first)
        if not separator:
            continue
        yield b"".join(rest)
        *whole, tail = after.split(b"\n")
        for line in whole:
            if line:
                yield line
        rest = [tail]
        await asyncio.sleep(0)


def _pause(failures: int) -> float:
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0))
