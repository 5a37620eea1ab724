"""A reverse proxy in front of one API server that makes faults: TLS ends here, HTTP/1.1, bearer tokens pass through.

Every request is journalled before it is forwarded, every answer before it is handed on, every watch line before our
process hears of it. Faults come from the rules, which all proxies share, and from `cut`: no answer, or no connection.
A write that was forwarded is finished even when our process dies meanwhile, as on a real network.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from federation.operator.join import claims_of
from tests.faults.journal import Journal
from tests.faults.rules import DROP, Answer, Phase, Request, Rules, Verdict, read

TOLD = frozenset({"deployments", "configmaps", "resourcebindings", "clusterresourcebindings", "clusters"})
"""Resources whose watch lines are worth decoding."""
_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "accept-encoding", "keep-alive"})


class Proxy:
    """One listener on loopback for one API server."""

    def __init__(
        self, *, server: str, upstream: str, rules: Rules, journal: Journal,
        listen_ssl: ssl.SSLContext | None = None, upstream_ssl: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.server = server
        self.port = 0
        self._upstream = upstream.rstrip("/")
        self._upstream_ssl = upstream_ssl
        self._listen_ssl = listen_ssl
        self._rules = rules
        self._journal = journal
        self._open = asyncio.Event()
        self._open.set()
        self._forwarding: set[asyncio.Task[tuple[int, dict[str, str], bytes]]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._listener = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(self._listener, shutdown_timeout=0.1)
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """Where our process finds the API server."""
        return f"{'https' if self._listen_ssl else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on any free port."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._upstream_ssl or False, keepalive_timeout=90)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=2**20,
            timeout=aiohttp.ClientTimeout(total=None),
        )  # fmt: skip
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._listen_ssl)
        await self._site.start()
        self.port = int(self._runner.addresses[-1][1])

    async def stop(self) -> None:
        """Close every connection."""
        self._open.set()
        self.reset()
        await self._runner.cleanup()
        if self._forwarding:
            await asyncio.wait(self._forwarding, timeout=5)
        if self._session is not None:
            await self._session.close()

    def reset(self) -> None:
        """Abort every connection that is open now, watches in the middle of a line included."""
        for connection in self._listener.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def cut(self, *, refuse: bool) -> None:
        """A partition. `refuse`: connections are reset and refused, errors come fast; else nothing answers any more."""
        self._open.clear()
        self._journal.note("cut", self.server)
        if refuse and self._site is not None:
            await self._site.stop()
            self._site = None
            self.reset()

    async def heal(self) -> None:
        """End the partition; what was held up meanwhile goes on, as packets that are sent again do."""
        self._journal.note("healed", self.server)
        self._open.set()
        if self._site is None:
            await self._listen()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        claims = claims_of(request.headers.get("Authorization", "").removeprefix("Bearer "))
        asked = read(
            self.server, request.method, request.path, request.query_string,
            user=claims.service_account if claims else "", body=body,
        )  # fmt: skip
        await self._open.wait()
        self._journal.asked(asked)
        verdict = await self._rules.verdict(asked, Phase.BEFORE)
        if asked.verb == "watch" and isinstance(verdict, Answer) and verdict.status == 410:
            return await self._expired(request, verdict)
        if verdict is not None:
            return self._instead(request, verdict)
        if asked.verb == "watch":
            return await self._watch(request, asked)
        task = asyncio.create_task(self._forward(request, asked, body))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)
        try:
            status, headers, content = await asyncio.shield(task)
        except aiohttp.ClientError:
            return self._instead(request, DROP)
        verdict = await self._rules.verdict(asked, Phase.AFTER)
        await self._open.wait()
        return (
            self._instead(request, verdict)
            if verdict is not None
            else web.Response(status=status, headers=headers, body=content)
        )

    async def _forward(
        self, request: web.BaseRequest, asked: Request, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the API server, and write down what it said before anybody else can know."""
        assert self._session is not None
        async with self._session.request(
            request.method, self._target(request), data=body or None, headers=_passed(request), allow_redirects=False
        ) as response:
            content = await response.read()
            headers = {key: value for key, value in response.headers.items() if key.lower() not in _HOP}
        if asked.resource in TOLD or asked.writes or asked.verb == "get":
            self._journal.answered(asked, response.status, content)
        return response.status, headers, content

    async def _watch(self, request: web.BaseRequest, asked: Request) -> web.StreamResponse:
        assert self._session is not None
        try:
            upstream = await self._session.get(self._target(request), headers=_passed(request))
        except aiohttp.ClientError:
            return self._instead(request, DROP)
        async with upstream:
            headers = {key: value for key, value in upstream.headers.items() if key.lower() not in _HOP}
            answer = web.StreamResponse(status=upstream.status, headers=headers)
            await answer.prepare(request)
            try:
                async for line in _lines(upstream):
                    if not await self._pass(request, answer, asked, line):
                        return answer
            except (aiohttp.ClientError, ConnectionError):
                return answer
            await answer.write_eof()
        return answer

    async def _pass(self, request: web.BaseRequest, answer: web.StreamResponse, asked: Request, line: bytes) -> bool:
        """Hand one line on; False where a rule ended the watch."""
        verdict = await self._rules.verdict(asked, Phase.LINE)
        await self._open.wait()
        if verdict is DROP:
            await answer.write(line[: len(line) // 2])
            self._instead(request, DROP)
            return False
        if isinstance(verdict, Answer):
            await answer.write(_error(verdict))
            await answer.write_eof()
            return False
        if asked.resource in TOLD and line.strip():
            event = orjson.loads(line)
            if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                self._journal.told(asked, event["type"], event["object"])
        await answer.write(line)
        return True

    async def _expired(self, request: web.BaseRequest, verdict: Answer) -> web.StreamResponse:
        """A watch from a version that is too old is answered 200 with an error in it, as API servers do."""
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(_error(verdict))
        await answer.write_eof()
        return answer

    def _instead(self, request: web.BaseRequest, verdict: Verdict) -> web.Response:
        if isinstance(verdict, Answer):
            headers = {"Content-Type": "application/json"}
            if verdict.retry_after is not None:
                headers["Retry-After"] = str(verdict.retry_after)
            return web.Response(status=verdict.status, headers=headers, body=verdict.body())
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _target(self, request: web.BaseRequest) -> URL:
        return URL(self._upstream + request.raw_path, encoded=True)


def _error(verdict: Answer) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": orjson.loads(verdict.body())}) + b"\n"


def _passed(request: web.BaseRequest) -> dict[str, str]:
    return {key: value for key, value in request.headers.items() if key.lower() not in _HOP}


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines with their ends, as they arrive; aiohttp's own reader would refuse a line beyond its buffer."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
