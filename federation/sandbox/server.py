"""The sandbox's API server: a Transport to it, a log of its requests, and the faults that tests ask of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from federation.api.meta import FIELD_MANAGER, Manifest
from federation.kube.client import Client
from federation.kube.errors import Unavailable
from federation.kube.transport import Response, Stream
from federation.sandbox.answers import Answers, Request, refused
from federation.sandbox.kinds import Kind, Kinds
from federation.sandbox.refusals import RefusalError, expired, method_not_allowed
from federation.sandbox.registry import NAMESPACES, Options, Registry
from federation.sandbox.reviews import Access
from federation.sandbox.routing import split, target
from federation.sandbox.storage import Storage
from federation.sandbox.views import metadata_only
from federation.sandbox.watching import Refused, Watch

Fault = Callable[[str, str], Exception | Response | None]
"""(method, path with query) -> an exception to raise, an answer to give instead, or None."""


class Logged(NamedTuple):
    """One request; status 0 where the client got no answer."""

    method: str
    path: str
    status: int


class ApiServer:
    """A Kubernetes API server in this process, as far as `federation.sandbox` says."""

    def __init__(
        self,
        name: str = "sandbox",
        *,
        version: str = "v1.36.3",
        controllers: bool = True,
        aggregated: bool = True,
        history: int = 10_000,
        namespaces: Sequence[str] = ("default", "kube-node-lease", "kube-public", "kube-system"),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`controllers`: garbage collection and namespaces; `aggregated`: discovery in two requests."""
        self.name = name
        self.requests: list[Logged] = []
        """Every request in order, watches too."""
        self.faults: Fault | None = None
        """Asked before a request is carried out: nothing has happened when it strikes."""
        self.reply_faults: Fault | None = None
        """Asked after a request was carried out: the write is done, its reply is lost or another."""
        self.access: Access = lambda _: True
        """What SelfSubjectAccessReviews are answered."""
        self.latency = 0.0
        """Seconds that a request takes, before it is carried out."""
        self.bookmark_seconds = 60.0
        self.down = False
        """While true, every request fails to connect."""
        self.kinds = Kinds()
        self.storage = Storage(history=history)
        self.registry = Registry(self.storage, self.kinds, clock=clock, controllers=controllers)
        self._answers = Answers(
            self.registry,
            version=version,
            access=self._allows,
            aggregated=aggregated,
            clock=clock,
        )
        self._watches: list[Watch] = []
        served = self.kinds.kept(NAMESPACES)
        assert served
        for namespace in namespaces:
            manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            self.registry.create(served, "", manifest, Options(manager="kube-apiserver"))

    def transport(self) -> "SandboxTransport":
        """A new connection."""
        return SandboxTransport(self)

    def client(self, *, field_manager: str = FIELD_MANAGER) -> Client:
        """A new client."""
        return Client(self.transport(), name=self.name, field_manager=field_manager)

    def count(self, method: str = "", path: str = "") -> int:
        """How many requests were made: of that method, with that in the path."""
        return sum(1 for entry in self.requests if method in ("", entry.method) and path in entry.path)

    def objects(self, api_version: str, kind: str, namespace: str = "") -> list[Manifest]:
        """What is stored, without a request. Not to be changed in place."""
        return self.storage.values(self.kind(api_version, kind).collection, namespace)

    def kind(self, api_version: str, kind: str) -> Kind:
        """A served kind. Raises LookupError."""
        found = self.kinds.named(api_version, kind)
        if found is None:
            raise LookupError(f"{self.name} does not serve {api_version} {kind}")
        return found

    def send_bookmarks(self) -> None:
        """A bookmark to every watch that allows them."""
        for watch in self._watches:
            watch.send_bookmark()

    def cut_watches(self) -> None:
        """Break every watch."""
        for watch in list(self._watches):
            watch.cut()

    def expire(self, *, running: bool = False) -> None:
        """Forget the past: old resourceVersions and continue tokens get 410, and `running` watches too."""
        self.storage.compact()
        self._answers.expire_lists()
        for watch in list(self._watches) if running else []:
            watch.fail(expired("too old resource version"))

    async def request(self, request: Request, seconds: float | None) -> Response:
        """One request of a transport: fault, deed, fault, log."""
        with self._logged(request.method, request.path) as log:
            fault = await self._arrive(request.method, request.path, seconds)
            if fault is None:
                if request.method == "GET" and _watching(request.path, self.kinds):
                    fault = refused(method_not_allowed())
                else:
                    log.status = self._answers.answer(request)
                    await asyncio.sleep(0)
                    fault = _struck(self.reply_faults, request.method, request.path)
            log.status = fault or log.status
            assert log.status
            return log.status

    @asynccontextmanager
    async def stream(self, path: str, accept: str) -> AsyncIterator[Stream]:
        """One watch of a transport."""
        watch: Watch | None = None
        with self._logged("GET", path) as log:
            fault = await self._arrive("GET", path, None)
            if fault is None:
                try:
                    watch = self._watch(path, accept)
                except RefusalError as refusal:
                    fault = refused(refusal)
            log.status = fault or Response(200, {}, b"")
        if watch is None:
            yield Refused(log.status.status, log.status.body)
            return
        self._watches.append(watch)
        try:
            yield watch
        finally:
            watch.close()
            self._watches.remove(watch)

    def _watch(self, path: str, accept: str) -> Watch:
        found = target(split(path), self.kinds)
        if not found.watching:
            raise method_not_allowed()
        partial = metadata_only(accept)
        return Watch(self.storage, found, partial=partial, bookmark_seconds=self.bookmark_seconds)

    def _allows(self, attributes: Manifest) -> bool:
        return self.access(attributes)

    async def _arrive(self, method: str, path: str, seconds: float | None) -> Response | None:
        if seconds is not None and self.latency > seconds:
            await asyncio.sleep(seconds)
            raise Unavailable(0, "Timeout", f"no answer within {seconds} s")
        await asyncio.sleep(self.latency)
        if self.down:
            raise Unavailable(0, "Unreachable", f"{self.name} is down")
        return _struck(self.faults, method, path)

    @contextmanager
    def _logged(self, method: str, path: str) -> Iterator["_Log"]:
        log = _Log()
        try:
            yield log
        except BaseException:
            self.requests.append(Logged(method, path, 0))
            raise
        self.requests.append(Logged(method, path, log.status.status if log.status else 0))


class _Log:
    status: Response | None = None


def _struck(fault: Fault | None, method: str, path: str) -> Response | None:
    struck = fault(method, path) if fault else None
    if isinstance(struck, Exception):
        raise struck
    return struck


def _watching(path: str, kinds: Kinds) -> bool:
    try:
        return target(split(path), kinds).watching
    except RefusalError:
        return False


class SandboxTransport:
    """Transport to an ApiServer."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the protocol
    ) -> Response:
        """See Transport."""
        self._check()
        request = Request(method, path, body, content_type or "", accept or "application/json")
        return await self._server.request(request, timeout)

    @asynccontextmanager
    async def stream(self, path: str, *, accept: str | None = None) -> AsyncIterator[Stream]:
        """See Transport."""
        self._check()
        async with self._server.stream(path, accept or "application/json") as stream:
            yield stream

    async def close(self) -> None:
        """See Transport."""
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise Unavailable(0, "Unreachable", "the transport is closed")
