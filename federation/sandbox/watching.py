"""One watch: events of a collection as lines of JSON, with selectors, bookmarks, time-outs, and 410 for the past."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

import orjson

from federation.api.meta import Manifest
from federation.kube.errors import Unavailable
from federation.sandbox.refusals import RefusalError, bad_request, expired
from federation.sandbox.routing import Target
from federation.sandbox.selectors import selecting
from federation.sandbox.storage import Event, Storage
from federation.sandbox.views import bookmark, shown


class Watch:
    """A Stream whose events are collected from the moment it is made."""

    def __init__(self, storage: Storage, target: Target, *, partial: bool, bookmark_seconds: float) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        self.target = target
        self._storage = storage
        self._partial = partial
        self._selects = selecting(target.kind, target.query)
        self._bookmarks = target.query.get("allowWatchBookmarks") == "true"
        self._bookmark_seconds = bookmark_seconds
        self._seconds = float(target.query.get("timeoutSeconds") or 1800)
        self._lines: list[bytes] = []
        self._news = asyncio.Event()
        self._ended = False
        self._broken: Exception | None = None
        self._stop: Callable[[], None] = lambda: None
        self._begin()

    def _begin(self) -> None:
        collection, asked = self.target.kind.collection, self.target.query.get("resourceVersion", "")
        if asked and not asked.isdigit():
            raise bad_request(f"Invalid value: {asked!r}: resourceVersion must be a number")
        version = int(asked or 0)
        initial = self.target.query.get("sendInitialEvents") == "true"
        if version == 0 or initial:
            for manifest in self._storage.values(collection, self.target.namespace):
                if self._selects(manifest):
                    self._line("ADDED", shown(self.target.kind, manifest, partial=self._partial))
            if initial:
                self.send_bookmark(initial=True)
        elif version < self._storage.oldest(collection):
            oldest = self._storage.oldest(collection)
            self.fail(expired(f"too old resource version: {version} ({oldest})"))
            return
        else:
            for event in self._storage.since(collection, version):
                self._take(event)
        self._stop = self._storage.listen(collection, self._take)

    def _take(self, event: Event) -> None:
        namespace = self.target.namespace
        if namespace and event.last["metadata"].get("namespace") != namespace:
            return
        before = event.old is not None and self._selects(event.old)
        after = event.new is not None and self._selects(event.new)
        if not before and not after:
            return
        manifest = event.last
        if before and not after and event.new is not None and event.old is not None:
            # It left the selection: watchers see what they knew, at the version of the change.
            version = event.last["metadata"]["resourceVersion"]
            manifest = {**event.old, "metadata": {**event.old["metadata"], "resourceVersion": version}}
        kind = "DELETED" if not after else "MODIFIED" if before else "ADDED"
        self._line(kind, shown(self.target.kind, manifest, partial=self._partial))

    def _line(self, kind: str, manifest: Manifest) -> None:
        self._lines.append(orjson.dumps({"type": kind, "object": manifest}) + b"\n")
        self._news.set()

    def send_bookmark(self, *, initial: bool = False) -> None:
        """A bookmark now, if the client allows them."""
        if self._bookmarks or initial:
            version = self._storage.version
            mark = bookmark(self.target.kind, version, partial=self._partial, initial=initial)
            self._line("BOOKMARK", mark)

    def fail(self, refusal: RefusalError) -> None:
        """An ERROR event, and the end."""
        self._line("ERROR", refusal.body())
        self.close()

    def cut(self) -> None:
        """The connection breaks."""
        self._broken = Unavailable(0, "Unreachable", "the connection was cut")
        self._lines.clear()
        self.close()

    def close(self) -> None:
        """No more events."""
        self._ended = True
        self._stop()
        self._stop = lambda: None
        self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """See Stream: all events that are waiting come as one chunk."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        mark = loop.time() + self._bookmark_seconds
        while True:
            if self._lines:
                chunk = b"".join(self._lines)
                self._lines.clear()
                yield chunk
                continue
            if self._broken:
                raise self._broken
            now = loop.time()
            if self._ended or now >= end:
                self.close()
                return
            if now >= mark:
                mark = now + self._bookmark_seconds
                self.send_bookmark()
                continue
            self._news.clear()
            with suppress(TimeoutError):
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the news.
                async with asyncio.timeout(min(end, mark) - now):
                    await self._news.wait()


class Refused:
    """A Stream that is an error."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        yield self._body
