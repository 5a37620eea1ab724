"""The one seam to the network: `Transport` sends a request or opens a stream; everything above is pure of I/O.

`AioTransport` keeps two aiohttp sessions per API server, one for requests and one for watches, so that a hundred
watches never starve a write. `trust_env` is off: aiohttp would make two thread hops per request for it (measured).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from yarl import URL

from federation.kube.credentials import Credentials
from federation.kube.errors import Unavailable

USER_AGENT = "federation/0.1"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream(Protocol):
    """An answer that goes on."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """What arrives, as it arrives; raises Unavailable when the connection breaks."""


class Transport(Protocol):
    """Sends requests to one API server. `path` includes the query string."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a budget that the transport spends on connecting too
    ) -> Response:
        """One request. Raises Unavailable when there is no answer; any HTTP status is an answer."""

    def stream(self, path: str, *, accept: str | None = None) -> AbstractAsyncContextManager[Stream]:
        """A GET whose answer is read as it comes."""

    async def close(self) -> None:
        """Close the connections."""


class _AioStream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {key.lower(): value for key, value in response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error


POOL_LIFE = 60.0
"""Seconds after which a pool that a burst filled may be given up."""
FEW = 4
"""Connections that a pool may always keep."""


class AioTransport:
    """Transport over aiohttp. A 401 refreshes the credentials once, single-flight, and tries again.

    aiohttp hands out the connection that has rested longest, so connections that a burst opened are all used in turn for ever, and
    none of them ever times out. So the pool is made anew, between two requests, some time after a burst.
    """

    def __init__(self, credentials: Credentials, *, limit: int = 64, timeout: float = 30.0) -> None:
        self._credentials = credentials
        self._limit = limit
        self._timeout = timeout
        self._base = credentials.endpoint.rstrip("/")
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._closed = False
        self._in_flight = 0
        self._most = 0
        """Requests that were in flight at once since the pool was made: it holds as many connections."""
        self._made = time.monotonic()

    def _session(self, purpose: str) -> aiohttp.ClientSession:
        if self._closed:  # a request that comes after the end must not open a session that nobody closes
            raise Unavailable(0, "Closed", "the connection to this API server has been given up")
        session = self._sessions.get(purpose)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=0 if purpose == "watch" else self._limit,
                keepalive_timeout=90,
                ssl=self._credentials.ssl_context or False,
                force_close=False,
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=["User-Agent"],
                read_bufsize=2**20,
                trust_env=False,
            )
            self._sessions[purpose] = session
        return session

    def _headers(self, content_type: str | None, accept: str | None) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": accept or "application/json", **self._credentials.headers()}
        if content_type:
            headers["Content-Type"] = content_type
        return headers

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - handed to aiohttp, which cancels the socket too
    ) -> Response:
        """Send one request; see Transport."""
        used = self._credentials.version
        response = await self._send(method, path, body, content_type, accept, timeout)
        if response.status == 401 and await self._credentials.refresh(used):
            response = await self._send(method, path, body, content_type, accept, timeout)
        return response

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str | None,
        accept: str | None,
        limit: float | None,
    ) -> Response:
        await self._empty_after_a_burst()
        self._in_flight += 1
        self._most = max(self._most, self._in_flight)
        try:
            async with self._session("request").request(
                method,
                URL(self._base + path, encoded=True),
                data=body,
                headers=self._headers(content_type, accept),
                timeout=aiohttp.ClientTimeout(total=limit or self._timeout),
                proxy=self._credentials.proxy_url,
                allow_redirects=False,
            ) as response:
                content = await response.read()
                headers = {key.lower(): value for key, value in response.headers.items()}
                return Response(response.status, headers, content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error
        finally:
            self._in_flight -= 1

    async def _empty_after_a_burst(self) -> None:
        """Give up the connections that a burst opened; the next request opens one."""
        now = time.monotonic()
        if self._in_flight or now - self._made < POOL_LIFE:
            return
        crowded, self._most, self._made = self._most > FEW, 0, now
        session = self._sessions.pop("request", None) if crowded else None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def stream(self, path: str, *, accept: str | None = None) -> AsyncIterator[Stream]:
        """Open a stream; see Transport."""
        try:
            response = await self._session("watch").get(
                URL(self._base + path, encoded=True),
                headers=self._headers(None, accept),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                proxy=self._credentials.proxy_url,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error
        try:
            if response.status == 401:
                await self._credentials.refresh(self._credentials.version)
            yield _AioStream(response)
        finally:
            response.close()

    async def close(self) -> None:
        """Close both sessions and let their sockets go."""
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()
        if sessions:
            await asyncio.sleep(0)


def _unavailable(error: BaseException) -> Unavailable:
    text = str(error) or type(error).__name__
    return Unavailable(0, "Timeout" if isinstance(error, TimeoutError) else "Unreachable", text)
